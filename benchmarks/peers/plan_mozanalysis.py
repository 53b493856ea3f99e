"""mozanalysis: render the enrolment query and the query of all metrics, for one analysis window."""

from __future__ import annotations

import json
import time

from mozanalysis.experiment import Experiment, TimeLimits
from mozanalysis.metrics import DataSource, Metric

from benchmarks.metrics import SETS
from benchmarks.process import cpu_seconds, peak_mb

_KINDS = {"count": "COUNTIF({filter})", "present": "COUNTIF({filter} AND {value} IS NOT NULL)"}


def main() -> None:
    """Print what it took."""
    began, spent = time.perf_counter(), cpu_seconds()
    source = DataSource("events", "shop.events", experiments_column_type=None)
    metrics = []
    for metric in SETS["thousand"].metrics:
        sides = {"": metric.numerator, "_denominator": metric.denominator}
        for suffix, side in sides.items():
            if side is not None:
                pattern = _KINDS.get(side.kind, "SUM(IF({filter}, {value}, NULL))")
                expression = pattern.format(filter=side.filter, value=side.value)
                metrics.append(Metric(f"{metric.name}{suffix}", source, expression))
    experiment = Experiment("bench", "2026-01-01", num_dates_enrollment=5)
    limits = TimeLimits.for_single_analysis_window("2026-01-01", "2026-01-14", 0, 5, 5)
    queries = [
        experiment.build_enrollments_query(limits),
        experiment.build_metrics_query(metrics, limits, "enrollments"),
    ]
    found = {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": cpu_seconds() - spent,
        "peak_mb": peak_mb(),
        "statements": len(queries),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()

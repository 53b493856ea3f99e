"""dbt: parse a project that defines the metrics in its semantic layer; once parsed, it is parsed in part."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from dbt.cli.main import dbtRunner

from benchmarks.metrics import SETS, Aggregate, Metric
from benchmarks.process import cpu_seconds, peak_mb


def write_project(folder: Path) -> None:
    """Write the project, unless it is there."""
    models = folder / "models"
    if models.exists():
        return
    models.mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(
        "name: bench\nversion: '1.0'\nprofile: bench\nmodel-paths: [models]\n"
        "flags: {send_anonymous_usage_stats: false}\n",
        encoding="utf-8",
    )
    (folder / "profiles.yml").write_text(
        "bench: {target: dev, outputs: {dev: {type: duckdb, path: bench.duckdb}}}\n",
        encoding="utf-8",
    )
    (models / "events.sql").write_text("SELECT * FROM 'events.parquet'\n", encoding="utf-8")
    days = "SELECT CAST(range AS DATE) AS date_day FROM range(DATE '2026-01-01', DATE '2027-01-01', INTERVAL 1 DAY)\n"
    (models / "days.sql").write_text(days, encoding="utf-8")
    found = SETS["thousand"]
    measures = [_measure(each) for each in found.aggregates]
    document = {
        "models": [
            {
                "name": "days",
                "time_spine": {"standard_granularity_column": "date_day"},
                "columns": [{"name": "date_day", "granularity": "day"}],
            }
        ],
        "semantic_models": [
            {
                "name": "events",
                "model": "ref('events')",
                "primary_entity": "event",
                "defaults": {"agg_time_dimension": "ts"},
                "entities": [{"name": "unit", "type": "foreign", "expr": "user_id"}],
                "dimensions": [
                    {"name": "ts", "type": "time", "type_params": {"time_granularity": "day"}}
                ],
                "measures": measures,
            }
        ],
        "metrics": [each for metric in found.metrics for each in _metric(metric)],
    }
    (models / "metrics.yml").write_text(json.dumps(document, indent=1), encoding="utf-8")


def _measure(aggregate: Aggregate) -> dict[str, str]:
    value = {"count": "1", "present": f"1 + 0 * ({aggregate.value})"}.get(
        aggregate.kind, str(aggregate.value)
    )
    expression = f"CASE WHEN {aggregate.filter} THEN {value} END"
    return {"name": f"m_{aggregate.name}", "agg": "sum", "expr": expression}


def _metric(metric: Metric) -> list[dict[str, object]]:
    """Return the metric; the sides of a ratio are metrics of their own."""
    if metric.denominator is None:
        params: dict[str, object] = {"measure": f"m_{metric.numerator.name}"}
        return [
            {"name": metric.name, "label": metric.name, "type": "simple", "type_params": params}
        ]
    sides = {"numerator": metric.numerator, "denominator": metric.denominator}
    names = {key: f"{metric.name}_{key}" for key in sides}
    found: list[dict[str, object]] = [
        {
            "name": names[key],
            "label": names[key],
            "type": "simple",
            "type_params": {"measure": f"m_{side.name}"},
        }
        for key, side in sides.items()
    ]
    ratio: dict[str, object] = {
        "name": metric.name,
        "label": metric.name,
        "type": "ratio",
        "type_params": names,
    }
    return [*found, ratio]


def main(folder: Path) -> None:
    """Print what it took."""
    write_project(folder)
    arguments = ["parse", "--project-dir", str(folder), "--profiles-dir", str(folder), "--quiet"]
    began, spent = time.perf_counter(), cpu_seconds()
    done = dbtRunner().invoke(arguments)
    seconds = time.perf_counter() - began
    if not done.success:
        raise RuntimeError(str(done.exception))
    found = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds() - spent,
        "peak_mb": peak_mb(),
        "statements": 0,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]) / "dbt")

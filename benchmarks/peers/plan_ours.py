"""This library: read the project, look at the sources, plan the first load, render each statement."""

from __future__ import annotations

import importlib
import json
import sys
import time
from datetime import date

from benchmarks.metrics import EXPERIMENT_ID
from benchmarks.ours import DRIVERS
from benchmarks.process import cpu_seconds, peak_mb


def main(folder: str) -> None:
    """Print what it took."""
    import statsig_staging as staging
    from statsig_staging import documents

    for name in DRIVERS:
        importlib.import_module(name)
    began, spent = time.perf_counter(), cpu_seconds()
    project = staging.load_project(folder)
    with staging.connect(project) as engine:
        plan = engine.plan(EXPERIMENT_ID, refresh="full", through=date(2026, 1, 5))
        document = documents.plan_document(plan, sql=True)
    found = {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": cpu_seconds() - spent,
        "peak_mb": peak_mb(),
        "statements": sum(len(step.get("sql", ())) for step in document["steps"]),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])

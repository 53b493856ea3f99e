"""This library through its public API: plan, load, Iceberg commits, publishing."""

from __future__ import annotations

import importlib
import json
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from benchmarks.metrics import EXPERIMENT_ID, GROUPS, SETS, START
from benchmarks.process import Cost, serve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.metrics import MetricSet
    from benchmarks.process import Load, Task
    from statsig_staging import LoadResult

DRIVERS = (
    "duckdb",
    "pyarrow.parquet",
    "pyiceberg.catalog.sql",
    "statsig_staging.engine",
    "statsig_staging.warehouses.local.warehouse",
)
"""What this library imports late; imported before the clock starts, as the others' drivers are."""


def project(
    connection: Mapping[str, Any], last_day: str, metrics: MetricSet = SETS["ten"]
) -> dict[str, Any]:
    """Return the configuration of the experiment."""
    return {
        "connection": dict(connection),
        "assignment_sources": [_ASSIGNMENT_SOURCE],
        "metric_sources": [_METRIC_SOURCE],
        "metrics": [metric.to_config() for metric in metrics.metrics],
        "experiments": [
            {
                "id": EXPERIMENT_ID,
                "assignment_source": "exposures",
                "unit": "user_id",
                "start": START,
                "end": last_day,
                "groups": list(GROUPS),
                "control": GROUPS[0],
                "metrics": [metric.name for metric in metrics.metrics],
            }
        ],
    }


def embedded(limits: Mapping[str, str]) -> dict[str, Any]:
    """Return the connection of the embedded warehouse over ``sources`` beside the project."""
    connection: dict[str, Any] = {
        "warehouse": "local",
        "path": "warehouse",
        "folder": "statsig",
        "database": "statsig_staging",
        "sources": {
            "shop.exposures": "sources/exposures/*/*.parquet",
            "shop.events": "sources/events/*/*.parquet",
        },
        "threads": int(limits["threads"]),
    }
    if "memory_limit" in limits:
        connection["memory_limit"] = limits["memory_limit"]
    return connection


_ASSIGNMENT_SOURCE = {
    "name": "exposures",
    "table": '"shop"."exposures"',
    "timestamp": "exposed_at",
    "experiment_id": "experiment_id",
    "group_id": "group_id",
    "units": {"user_id": "user_id"},
    "partition": {"column": "ds"},
}

_METRIC_SOURCE = {
    "name": "events",
    "table": '"shop"."events"',
    "timestamp": "ts",
    "units": {"user_id": "user_id"},
    "columns": {"usd": "amount_cents / 100.0"},
    "partition": {"column": "ds"},
}


def configure(task: Task, load: Load) -> None:
    """Write the project of a load."""
    found = project(embedded(task.limits), task.last_day, SETS[load.metrics])
    text = json.dumps(found, indent=2)
    (Path(task.folder) / "staging.yml").write_text(text, encoding="utf-8")


def load_once(task: Task, load: Load) -> Cost:
    """Do one load."""
    import statsig_staging as staging

    folder = Path(task.folder)
    before = metadata_versions(folder / "warehouse")
    refresh = "full" if load.is_full else "incremental"
    with staging.connect(staging.load_project(folder)) as engine:
        done = engine.run(EXPERIMENT_ID, refresh=refresh, through=date.fromisoformat(load.days[-1]))
    return cost_of(done, metadata_versions(folder / "warehouse") - before)


def cost_of(done: LoadResult, commits: int) -> Cost:
    """Return what a load cost."""
    return Cost(
        statements=done.statements,
        bytes_read=done.bytes_read,
        files_opened=len(done.files_read),
        bytes_written=done.bytes_written,
        commits=commits,
        steps=tuple({"name": step.step, "seconds": step.seconds} for step in done.steps),
    )


def metadata_versions(warehouse: Path) -> int:
    """Return how many metadata files were ever committed, over all tables: their names count them."""
    catalog = warehouse / "catalog.db"
    if not catalog.exists():
        return 0
    with closing(sqlite3.connect(catalog)) as connection:
        rows = connection.execute("SELECT metadata_location FROM iceberg_tables").fetchall()
    return sum(int(Path(location).name.split("-", 1)[0]) + 1 for (location,) in rows)


def answer(task: Task) -> None:
    """Write what is published."""
    import statsig_staging as staging

    with staging.connect(staging.load_project(task.folder)) as engine:
        pq.write_table(engine.results(EXPERIMENT_ID), task.answer)


if __name__ == "__main__":
    for name in DRIVERS:
        importlib.import_module(name)
    serve(load_once, answer, {}, before=configure)

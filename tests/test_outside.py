"""What a load wrote, read with tools that know nothing of this library."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import StaticTable
from pyiceberg.table import Table as IcebergTable

import statsig_staging as staging
from statsig_staging.engine import Engine
from statsig_staging.plan import ColumnType, Table
from statsig_staging.planner import tables
from statsig_staging.project import load_project
from statsig_staging.state import loads_table
from tests.factories import ASSIGNMENT_SOURCE, EXPERIMENT, METRIC_SOURCE, PURCHASES, REVENUE, day

TABLES = (
    "exposure_counts",
    "unit_day_exposures",
    "first_exposures",
    "exposures_summary",
    "unit_day_metrics_events",
    "results",
)
ICEBERG_TYPES = {
    ColumnType.STRING: "string",
    ColumnType.LONG: "long",
    ColumnType.DOUBLE: "double",
    ColumnType.DATE: "date",
    ColumnType.TIMESTAMP: "timestamp",
    ColumnType.BOOLEAN: "boolean",
}
DEFINITION: Mapping[str, Any] = {
    "connection": {
        "warehouse": "local",
        "threads": 1,
        "sources": {
            "shop.exposures": "data/exposures-*.parquet",
            "shop.events": "data/events-*.parquet",
        },
    },
    "assignment_sources": [{**ASSIGNMENT_SOURCE, "context": {"device": "device"}}],
    "metric_sources": [METRIC_SOURCE],
    "metrics": [
        PURCHASES,
        REVENUE,
        {**REVENUE, "name": "order_value", "type": "mean", "filter": "kind = 'purchase'"},
    ],
    "experiments": [{**EXPERIMENT, "metrics": ["purchases", "revenue", "order_value"]}],
}


def write_day(folder: Path, number: int) -> None:
    """Write a day's exposures and events; some come late, some units cross over or are strangers."""
    midnight = datetime(2026, 1, number)  # noqa: DTZ001
    units = [(f"user {n}", n) for n in range(number * 20)]
    exposures = [
        {
            "exposed_at": midnight + timedelta(minutes=n),
            "experiment_id": "123",
            "group_id": "test" if (n + (number if n % 10 == 0 else 0)) % 2 else "control",
            "user_id": unit,
            "device": None if n % 3 else f"dévice {n % 2}",
        }
        for unit, n in units
    ]
    late = timedelta(days=1 if number > 1 else 0)
    events = [
        {
            "ts": midnight - (late if n % 7 == 0 else timedelta()) + timedelta(hours=12, seconds=n),
            "user_id": unit if n % 5 else "stranger",
            "kind": "purchase" if n % 2 else "visit",
            "amount_cents": None if n % 4 == 0 else n * 100 + number,
        }
        for unit, n in units
    ]
    (folder / "data").mkdir(exist_ok=True)
    for name, rows in {"exposures": exposures, "events": events}.items():
        pq.write_table(pa.Table.from_pylist(rows), folder / "data" / f"{name}-{number}.parquet")


def load(folder: Path, through: int, refresh: str = "incremental") -> None:
    """Load through a day."""
    project = load_project(folder)
    with staging.connect(project, now=lambda: datetime(2026, 2, 1, tzinfo=UTC)) as engine:
        engine.run("123", refresh=refresh, through=day(through))


@dataclass(frozen=True)
class Lake:
    """A project that was loaded, and its catalog as anybody may open it."""

    engine: Engine
    catalog: SqlCatalog

    @property
    def tables(self) -> Mapping[str, Table]:
        """The tables as they are documented, by their names."""
        project = staging.Project.model_validate(DEFINITION)
        return staging.engine.Reader(project, self.engine._warehouse).tables(
            project.experiment("123")
        )

    def seen(self, name: str) -> IcebergTable:
        """Return a table as the catalog has it."""
        return self.catalog.load_table(("statsig_staging", self.tables[name].name.catalog))

    def files(self, name: str) -> list[str]:
        """Return the paths of a table's files."""
        tasks = self.seen(name).scan().plan_files()
        return [task.file.file_path.removeprefix("file://") for task in tasks]

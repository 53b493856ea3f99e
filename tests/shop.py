"""A small shop: a project with exposures and events of two days, what it publishes, and changes of it."""

import csv
import io
import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import statsig_staging as staging
from statsig_staging import failures
from tests.factories import ASSIGNMENT_SOURCE, METRIC_SOURCE, PURCHASES, REVENUE

CONFIG, REFUSED, FAILED = 2, 3, 4
"""Exit codes."""


def at(day: int, hour: int) -> datetime:
    """Return a moment of January 2025."""
    return datetime(2025, 1, day, hour)  # noqa: DTZ001


Exposure = tuple[str | None, str | None, datetime | None]
Event = tuple[str | None, datetime | None, str | None, float | None]

EXPOSURES: list[Exposure] = [("u1", "A", at(1, 10)), ("u2", "A", at(1, 11)), ("u3", "B", at(2, 9))]
EVENTS: list[Event] = [
    ("u1", at(1, 12), "purchase", 1000.0),
    ("u1", at(2, 12), "purchase", 500.0),
    ("u3", at(2, 8), "purchase", 9900.0),
    ("u3", at(2, 10), "purchase", 700.0),
]
ANSWERS = {
    ("purchases", "A"): (2, 2.0),
    ("purchases", "B"): (1, 1.0),
    ("revenue", "A"): (2, 15.0),
    ("revenue", "B"): (1, 7.0),
}
"""Metric and group → units and total on the last day."""
DEFINITION: Mapping[str, Any] = {
    "connection": {
        "warehouse": "local",
        "threads": 1,
        "sources": {"shop.exposures": "exposures/*", "shop.events": "events/*"},
    },
    "assignment_sources": [ASSIGNMENT_SOURCE],
    "metric_sources": [METRIC_SOURCE],
    "metrics": [PURCHASES, REVENUE],
    "experiments": [
        {
            "id": "123",
            "assignment_source": "exposures",
            "unit": "user_id",
            "start": "2025-01-01",
            "end": "2025-01-02",
            "metrics": ["purchases", "revenue"],
        }
    ],
}


def exposures(rows: list[Exposure], experiment: str | None = "123") -> pa.Table:
    """Return exposures as a table."""
    users, groups, moments = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "experiment_id": pa.array([experiment] * len(rows), pa.string()),
            "user_id": pa.array(users, pa.string()),
            "group_id": pa.array(groups, pa.string()),
            "exposed_at": pa.array(moments, pa.timestamp("us")),
        }
    )


def events(rows: list[Event]) -> pa.Table:
    """Return events as a table."""
    users, moments, kinds, amounts = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pa.table(
        {
            "user_id": pa.array(users, pa.string()),
            "ts": pa.array(moments, pa.timestamp("us")),
            "kind": pa.array(kinds, pa.string()),
            "amount_cents": pa.array(amounts, pa.float64()),
            "loyal": pa.array([True] * len(rows), pa.bool_()),
        }
    )


def parquet(table: pa.Table) -> bytes:
    """Return a table as the bytes of a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def as_csv(table: pa.Table) -> bytes:
    """Return a table as the bytes of a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table.column_names)
    writer.writerows(row.values() for row in table.to_pylist())
    return text.getvalue().encode()


def as_ndjson(table: pa.Table) -> bytes:
    """Return a table as the bytes of an NDJSON file."""
    return "".join(json.dumps(row, default=str) + "\n" for row in table.to_pylist()).encode()


@dataclass
class Shop:
    """A project folder with exposures and events, and what is published of it."""

    folder: Path
    published: list[dict[str, Any]] = field(default_factory=list)
    published_catalog: bytes = b""

    @classmethod
    def open(
        cls, folder: Path, exposed: pa.Table | None = None, happened: pa.Table | None = None
    ) -> "Shop":
        """Write a project; nothing is loaded."""
        shop = cls(folder)
        folder.mkdir(exist_ok=True)
        shop.put(
            "exposures/a.parquet", parquet(exposures(EXPOSURES) if exposed is None else exposed)
        )
        shop.put("events/a.parquet", parquet(events(EVENTS) if happened is None else happened))
        shop.configure()
        return shop

    def put(self, name: str, content: bytes | pa.Table) -> Path:
        """Write a file below the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(parquet(content) if isinstance(content, pa.Table) else content)
        return path

    def configure(self, **changes: Any) -> None:
        """Write the definition; ``metrics__0__name`` changes what lies at that path, None removes it."""
        definition: Any = deepcopy(dict(DEFINITION))
        for path, value in changes.items():
            *parents, last = path.split("__")
            place = definition
            for part in parents:
                place = place[int(part)] if part.isdigit() else place[part]
            if value is None:
                del place[last]
            else:
                place[int(last) if last.isdigit() else last] = value
        self.write(definition)

    def write(self, definition: Mapping[str, Any]) -> None:
        """Write any definition."""
        text = yaml.safe_dump(dict(definition), sort_keys=False, allow_unicode=True)
        (self.folder / "staging.yml").write_text(text, encoding="utf-8")

    def remember(self) -> None:
        """Take what is published now for what has to stay."""
        self.published, self.published_catalog = self.rows(), self.catalog()

    def catalog(self) -> bytes:
        """Return the catalog; as long as it is the same, no table can be another one."""
        return (self.folder / "warehouse/catalog.db").read_bytes()

    def run(self, experiment: str = "123", **options: Any) -> staging.LoadResult:
        """Load the experiment."""
        with staging.connect(staging.load_project(self.folder)) as engine:
            return engine.run(experiment, **options)

    def rows(self, experiment: str = "123") -> list[dict[str, Any]]:
        """Return all published results."""
        with staging.connect(staging.load_project(self.folder)) as engine:
            rows: list[dict[str, Any]] = engine.results(experiment).to_pylist()
        return rows

    def answers(self, experiment: str = "123") -> dict[tuple[str, str], tuple[int, float]]:
        """Return metric and group → units and total on the last day."""
        return {
            (row["metric"], row["group_id"]): (row["units"], row["total"])
            for row in self.rows(experiment)
            if row["rollup"] == "cumulative" and row["ds"] == date(2025, 1, 2)
        }

    def refuses(self, code: int, *words: str, **options: Any) -> None:
        """Assert that a load fails with an error of ours, and that the published results are as before."""
        with pytest.raises(staging.StagingError) as caught:
            self.run(**options)
        said = "\n".join(failures.lines(caught.value))
        assert failures.exit_code(caught.value) == code, said
        assert [word for word in words if word not in said] == [], said
        assert "LINE 1" not in said
        if self.published:
            self.configure()
            if self.catalog() != self.published_catalog:
                assert self.rows() == self.published

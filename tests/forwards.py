"""Forwarded rows: a project to forward to, rows to forward, and what its tables hold then."""

import gzip
import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

import statsig_staging as staging
from statsig_staging.forwarded import Kind, forwarded_table, read_state
from statsig_staging.warehouses import open_warehouse
from statsig_staging.warehouses.base import Warehouse

NOW = datetime(2025, 2, 1, tzinfo=UTC)
DAY = datetime(2025, 1, 10, tzinfo=UTC)

Row = dict[str, Any]


def a_project(folder: Path, **more: Any) -> staging.Project:
    """Return a project that nothing was forwarded to."""
    folder.mkdir(parents=True, exist_ok=True)
    connection = {"warehouse": "local", "threads": 1}
    return staging.Project.model_validate({"connection": connection, "root": folder, **more})


def opened(project: staging.Project) -> staging.Engine:
    """Return an engine on the first of February."""
    return staging.connect(project, now=lambda: NOW)


def events(count: int, seed: int = 0, days: int = 1) -> list[Row]:
    """Return different events."""
    rng = random.Random(seed)
    return [
        {
            "user_id": f"u{rng.randrange(count // 3 + 1)}",
            "company_id": f"c{number % 5}",
            "timestamp": (DAY + timedelta(seconds=rng.randrange(86400 * days))).isoformat(),
            "event_name": rng.choice(["visit", "purchase"]),
            "event_value": str(number),
            "user_object": {"os": rng.choice(["ios", "android"]), "tags": [1, {"a": None}]},
        }
        for number in range(count)
    ]


def ndjson(rows: Iterable[Row]) -> bytes:
    """Return rows as lines."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def a_file(folder: Path, rows: Iterable[Row] | bytes, name: str = "rows.ndjson") -> str:
    """Write rows as a file, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    data = rows if isinstance(rows, bytes) else ndjson(rows)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(path)


def accepted(project: staging.Project, kind: Kind = Kind.EVENTS) -> list[Row]:
    """Return the rows of the accepted files of a local table, in order."""
    warehouse = open_warehouse(project)
    try:
        return rows_of(warehouse, project, kind)
    finally:
        warehouse.close()


def rows_of(warehouse: Warehouse, project: staging.Project, kind: Kind) -> list[Row]:
    """Return the rows of the accepted files of a table, in order; every receipt is right about them."""
    table = forwarded_table(project.connection, kind)
    state = read_state(warehouse, table)
    found: list[Row] = []
    for day, held in state.days.items():
        for file in held.files:
            data = warehouse.get_object(f"{table.day_folder(day)}/{file.name}")
            assert data is not None
            rows = _parquet(data)
            assert len(rows) == file.rows
            assert len(data) == file.size
            assert {row["ds"] for row in rows} <= {day}
            assert {row["timestamp"].date() for row in rows} <= {day}
            found += rows
    plain = [{k: v for k, v in row.items() if v is not None} for row in found]
    return sorted(plain, key=lambda row: sorted((k, str(v)) for k, v in row.items()))


def _parquet(data: bytes) -> list[Row]:
    import io

    import pyarrow.parquet as pq

    rows: list[Row] = pq.read_table(io.BytesIO(data)).to_pylist()
    return rows


def stray(project: staging.Project, kind: Kind = Kind.EVENTS) -> set[str]:
    """Return the files below a local table's folder that no receipt has accepted."""
    table = forwarded_table(project.connection, kind)
    warehouse = open_warehouse(project)
    try:
        state = read_state(warehouse, table)
        wanted = {
            f"{table.day_folder(day)}/{file.name}"
            for day, held in state.days.items()
            for file in held.files
        }
        return {file.key for file in warehouse.list_files(table.folder)} - wanted
    finally:
        warehouse.close()


def quarantined(project: staging.Project, receipt: Any) -> list[Row]:
    """Return what a quarantine file holds."""
    if not receipt.quarantine:
        return []
    warehouse = open_warehouse(project)
    try:
        data = warehouse.get_object(receipt.quarantine)
    finally:
        warehouse.close()
    assert data is not None
    return [json.loads(line) for line in data.decode().splitlines()]


def query(sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query of DuckDB's."""
    with duckdb.connect() as connection:
        return connection.execute(sql).fetchall()

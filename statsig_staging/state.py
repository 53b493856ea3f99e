"""The published state of an experiment: one row per load in ``loads_<id>``, and its file lists beside it.

A load becomes visible by the append of its row; readers take the row with the highest number.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from statsig_staging.errors import StagingError
from statsig_staging.names import experiment_folder, experiment_table
from statsig_staging.plan import Column, ColumnType, Table
from statsig_staging.sources import SourceFile
from statsig_staging.templates import snapshot
from statsig_staging.warehouses.base import Stamp, TableVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from statsig_staging.sources import Observation
    from statsig_staging.warehouses.base import Warehouse

_STRING, _LONG = ColumnType.STRING, ColumnType.LONG


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """What a source held when it was last loaded.

    Attributes:
        fingerprint: Digest of everything it held.
        days: Digest of each of its days; empty where days cannot be told.
        kept_rows: Days whose rows are kept in ``metric_rows``.
        late: Last day of the last load that read exposures of earlier days; None where none did.
        watch: How its changes are noticed, for a person.
        unseen: A change of a SQL source that no load has read all of since, in words; empty where there
            is none.
    """

    fingerprint: str
    days: Mapping[date, str]
    kept_rows: tuple[date, ...] = ()
    late: date | None = None
    watch: str = ""
    unseen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One published load.

    Attributes:
        load_id: Its id.
        number: Rises with every load; the highest is the current one.
        published_at: When it was published, UTC.
        refresh: What was done.
        start: First day of the experiment.
        through: Last day published.
        watermark: First day that counts as not loaded.
        definitions: Fingerprint of each definition its tables were built from.
        sources: What each source held.
        tables: Catalog name → version, of every table.
        totals_through: Last day that the unit totals hold; None where there are none.
        rows: Rows written.
        bytes_read: Compressed bytes read of the sources.
        bytes_written: Bytes written.
        seconds: How long the load took.
        warnings: What a person should know about it.
    """

    load_id: str
    number: int
    published_at: datetime
    refresh: str
    start: date
    through: date
    watermark: date
    definitions: Mapping[str, str]
    sources: Mapping[str, SourceState]
    tables: Mapping[str, TableVersion]
    totals_through: date | None = None
    rows: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    seconds: float = 0.0
    warnings: tuple[str, ...] = field(default=())

    @property
    def snapshots(self) -> Mapping[str, int]:
        """Catalog name → snapshot, of every table."""
        return {name: version.snapshot_id for name, version in self.tables.items()}


def loads_table(experiment_id: str) -> Table:
    """Return the table of published loads."""
    return Table(
        name=experiment_table("loads", experiment_id),
        experiment_id=experiment_id,
        columns=(
            Column("load_id", _STRING, "The load"),
            Column("number", _LONG, "Rises with every load; the highest is the current one"),
            Column("published_at", ColumnType.TIMESTAMP, "When it was published, UTC"),
            Column("refresh", _STRING, "full or incremental"),
            Column("start", ColumnType.DATE, "First day of the experiment"),
            Column("through", ColumnType.DATE, "Last day published"),
            Column("watermark", ColumnType.DATE, "First day that counts as not loaded"),
            Column("definitions", _STRING, "JSON: definition → fingerprint"),
            Column(
                "sources", _STRING, "JSON: source → digest, digest of each day, how it is watched"
            ),
            Column("tables", _STRING, "JSON: table → snapshot id, metadata location, tag"),
            Column("rows", _LONG, "Rows written"),
            Column("bytes_read", _LONG, "Compressed bytes read of the sources"),
            Column("bytes_written", _LONG, "Bytes written"),
            Column("seconds", ColumnType.DOUBLE, "How long the load took"),
            Column("warnings", _STRING, "JSON: list of warnings"),
            Column("totals_through", ColumnType.DATE, "Last day that the unit totals hold"),
        ),
    )


def loads_at(
    warehouse: Warehouse, database: str, experiment_id: str, keep: int, snapshot_id: int
) -> tuple[Published, ...]:
    """Return the loads that were published at one snapshot of their table, as :func:`read_loads` does."""
    table = loads_table(experiment_id)
    source = exp.table_(table.name.catalog, db=database, quoted=True)
    source.set("version", snapshot(snapshot_id))
    columns = [exp.column(column.name, quoted=True) for column in table.columns]
    query = exp.select(*columns, copy=False).from_(source, copy=False)
    rows = sorted(warehouse.fetch(query).to_pylist(), key=lambda row: -row["number"])
    return tuple(_from_row(row if place < keep else row | _LIGHT) for place, row in enumerate(rows))


def read_loads(
    warehouse: Warehouse,
    database: str,
    experiment_id: str,
    keep: int,
    reading: Callable[..., tuple[Published, ...]] = loads_at,
) -> tuple[Published, ...]:
    """Return the published loads of an experiment, the current one first.

    Args:
        warehouse: Where they are.
        database: The staging database.
        experiment_id: The experiment.
        keep: How many loads stay readable. What later loads are planned and read with, the definitions,
            the sources and the tables, is left out of those before them.
        reading: What reads the loads at a snapshot, by default :func:`loads_at`; one that remembers
            them reads them once.
    """
    table = loads_table(experiment_id)
    version = warehouse.version(table)
    while version is not None:
        try:
            return reading(warehouse, database, experiment_id, keep, version.snapshot_id)
        except StagingError:
            # Another load that puts the rows into one file removes the files they were in.
            before, version = version, warehouse.version(table)
            if version is not None and version.snapshot_id == before.snapshot_id:
                raise
    return ()


_LIGHT = {"definitions": "{}", "sources": "{}", "tables": "{}"}
"""What a load needs of the one before it, and nobody of one out of retention."""


LOADS_PER_FILE = 10
"""After so many appends the rows of ``loads_<id>`` are written as one file."""


def publish(
    warehouse: Warehouse, experiment_id: str, load: Published, before: Iterable[Published]
) -> None:
    """Append the row of a load: from here on readers see its tables."""
    earlier = tuple(before)
    table = loads_table(experiment_id)
    stamp = Stamp(load_id=load.load_id, step="publish")
    compact = len(earlier) % LOADS_PER_FILE == LOADS_PER_FILE - 1
    rows = [_to_row(each) for each in ((*earlier, load) if compact else (load,))]
    arrow = pa.Table.from_pylist(rows, schema=_SCHEMA)
    warehouse.put_rows(table, arrow, stamp, replace=compact)


_SCHEMA = pa.schema(
    [
        ("load_id", pa.string()),
        ("number", pa.int64()),
        ("published_at", pa.timestamp("us")),
        ("refresh", pa.string()),
        ("start", pa.date32()),
        ("through", pa.date32()),
        ("watermark", pa.date32()),
        ("definitions", pa.string()),
        ("sources", pa.string()),
        ("tables", pa.string()),
        ("rows", pa.int64()),
        ("bytes_read", pa.int64()),
        ("bytes_written", pa.int64()),
        ("seconds", pa.float64()),
        ("warnings", pa.string()),
        ("totals_through", pa.date32()),
    ]
)


def _to_row(load: Published) -> dict[str, object]:
    sources = {
        name: {
            "fingerprint": source.fingerprint,
            "days": {day.isoformat(): value for day, value in source.days.items()},
            "kept_rows": [day.isoformat() for day in source.kept_rows],
            "late": source.late.isoformat() if source.late is not None else None,
            "watch": source.watch,
            "unseen": source.unseen,
        }
        for name, source in load.sources.items()
    }
    tables = {name: asdict(version) for name, version in load.tables.items()}
    return {
        "load_id": load.load_id,
        "number": load.number,
        "published_at": load.published_at.astimezone(UTC).replace(tzinfo=None),
        "refresh": load.refresh,
        "start": load.start,
        "through": load.through,
        "watermark": load.watermark,
        "definitions": _json(dict(load.definitions)),
        "sources": _json(sources),
        "tables": _json(tables),
        "rows": load.rows,
        "bytes_read": load.bytes_read,
        "bytes_written": load.bytes_written,
        "seconds": load.seconds,
        "warnings": _json(list(load.warnings)),
        "totals_through": load.totals_through,
    }


def _from_row(row: dict[str, Any]) -> Published:
    sources = {
        name: SourceState(
            fingerprint=source["fingerprint"],
            days={date.fromisoformat(day): value for day, value in source["days"].items()},
            kept_rows=tuple(date.fromisoformat(day) for day in source.get("kept_rows", ())),
            late=date.fromisoformat(source["late"]) if source.get("late") else None,
            watch=source.get("watch", ""),
            unseen=source.get("unseen", ""),
        )
        for name, source in json.loads(row["sources"]).items()
    }
    tables = {name: TableVersion(**version) for name, version in json.loads(row["tables"]).items()}
    decoded = {
        **row,
        "published_at": row["published_at"].replace(tzinfo=UTC),
        "definitions": json.loads(row["definitions"]),
        "sources": sources,
        "tables": tables,
        "warnings": tuple(json.loads(row["warnings"])),
    }
    return Published(**decoded)


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def load_folder(experiment_id: str, load_id: str) -> str:
    """Return the folder of a load's own files, below the staging folder."""
    return f"{experiment_folder(experiment_id)}/_loads/{load_id}"


def files_key(experiment_id: str, load_id: str) -> str:
    """Return the key of a load's file lists, below the staging folder."""
    return f"{load_folder(experiment_id, load_id)}/sources.parquet"


def write_files(
    warehouse: Warehouse, experiment_id: str, load_id: str, observations: Iterable[Observation]
) -> None:
    """Write the file lists of the sources beside the loads."""
    rows = [
        {"source": observation.source, "table": table.table, **_file_row(file)}
        for observation in observations
        for table in observation.tables
        for file in table.files
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=_FILES_SCHEMA), buffer, compression="zstd")
    warehouse.put_object(files_key(experiment_id, load_id), buffer.getvalue())


_FILES_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("table", pa.string()),
        ("path", pa.string()),
        ("size", pa.int64()),
        ("modified_ns", pa.int64()),
        ("changed_ns", pa.int64()),
        ("rows", pa.int64()),
        ("columns", pa.string()),
        ("days", pa.list_(pa.date32())),
        ("misplaced", pa.int64()),
        ("nulls", pa.string()),
        ("column_bytes", pa.string()),
        ("delimiter", pa.string()),
        ("keys", pa.string()),
        ("seen_ns", pa.int64()),
        ("content", pa.string()),
        ("identity", pa.string()),
        ("field_ids", pa.string()),
        ("snapshot", pa.int64()),
        ("stands_for", pa.string()),
        ("anytime", pa.bool_()),
    ]
)


def _file_row(file: SourceFile) -> dict[str, object]:
    return {
        **{each.name: getattr(file, each.name) for each in fields(file)},
        "columns": json.dumps(dict(file.columns)),
        "days": list(file.days),
        "nulls": _json(dict(file.nulls)),
        "column_bytes": _json(dict(file.column_bytes)),
        "keys": _json(dict(file.keys)),
        "field_ids": _json(dict(file.field_ids)),
        "stands_for": _json(dict(file.stands_for)),
    }


def read_files(
    warehouse: Warehouse, experiment_id: str, load_id: str
) -> dict[tuple[str, str], dict[str, SourceFile]]:
    """Return (source, table) → path → file, as a published load knew them."""
    data = warehouse.get_object(files_key(experiment_id, load_id))
    found: dict[tuple[str, str], dict[str, SourceFile]] = {}
    if data is None:
        return found
    for row in pq.read_table(io.BytesIO(data)).to_pylist():
        key = (row.pop("source"), row.pop("table"))
        file = SourceFile(
            **{
                **row,
                "columns": json.loads(row["columns"]),
                "days": tuple(row["days"]),
                "nulls": json.loads(row["nulls"]),
                "column_bytes": json.loads(row["column_bytes"]),
                "keys": json.loads(row.get("keys", "{}")),
                "field_ids": json.loads(row.get("field_ids", "{}")),
                "anytime": bool(row.get("anytime")),
                "stands_for": {
                    day: tuple(prints)
                    for day, prints in json.loads(row.get("stands_for", "{}")).items()
                },
            }
        )
        found.setdefault(key, {})[file.path] = file
    return found


def kept(loads: Iterable[Published], keep: int) -> tuple[Published, ...]:
    """Return the loads that stay readable once another one is published."""
    return tuple(loads)[: max(keep - 1, 1)]

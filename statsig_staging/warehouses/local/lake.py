"""Iceberg tables of the lake as sources: the files of their current snapshot, read by field id.

A data file never changes, so its path and size tell it apart.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.exceptions import ValidationError
from pyiceberg.manifest import DataFile, FileFormat
from pyiceberg.table import StaticTable

from statsig_staging import iceberg
from statsig_staging.errors import SourceFileError, WarehouseError
from statsig_staging.names import digest
from statsig_staging.sources import SourceFile, TableObservation
from statsig_staging.warehouses import lineage
from statsig_staging.warehouses.local import files, glances

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from pyiceberg.table.snapshots import Snapshot

    from statsig_staging.warehouses.base import Sighting

ENDING = ".metadata.json"


def is_lake(patterns: Iterable[str]) -> bool:
    """Return whether a source table is an Iceberg table."""
    return any(pattern.endswith(ENDING) for pattern in patterns)


def newest(paths: Sequence[Path]) -> Path:
    """Return the metadata file of the highest version: of one number, that with the last commit."""
    highest = max(map(_version, paths))
    alike = [path for path in paths if _version(path) == highest]
    return alike[0] if len(alike) == 1 else max(alike, key=_last_commit)


def _version(path: Path) -> int:
    number = re.match(r"v?(\d+)", path.name)
    return int(number[1]) if number else -1


def _last_commit(path: Path) -> tuple[int, int]:
    found = json.loads(path.read_bytes())
    return found.get("last-sequence-number", 0), found.get("last-updated-ms", 0)


def observe(
    paths: Sequence[Path],
    sighting: Sighting,
    known: Mapping[str, SourceFile],
    root: Path,
    connection: duckdb.DuckDBPyConnection,
) -> TableObservation:
    """Return the files of an Iceberg table's current snapshot.

    Args:
        paths: Its metadata files.
        sighting: What is looked at, and how its days are told.
        known: Path → file, as the last load knew them.
        root: The project folder.
        connection: Where rows are read, of files whose days cannot be told otherwise.

    Raises:
        WarehouseError: If the table has delete files, or files that cannot be read by field id.
        SourceFileError: If its metadata cannot be read.
    """
    path = newest(paths)
    try:
        table = StaticTable.from_metadata(str(path))
        look = _Look(table, sighting, root, connection)
        found = look.files(known)
    except (OSError, ValueError, ValidationError, pa.ArrowException, duckdb.Error) as error:
        raise SourceFileError(f"{path}: cannot be read: {error}") from error
    columns = {name: files.normal_type(kind) for name, kind in look.columns.items()}
    return TableObservation(table=sighting.table, columns=columns, files=found)


def local_path(table: str, location: str, kind: FileFormat) -> str:
    """Return the path of a data file.

    Raises:
        WarehouseError: If it is no Parquet file, or lies elsewhere.
    """
    path = re.sub(r"^file:(//)?(?=/)", "", location)
    if "://" in path or kind is not FileFormat.PARQUET:
        raise WarehouseError(
            f"source table {table}: {location} is no Parquet file on this machine, and cannot be read"
        )
    return path


class _Look:
    """One look at an Iceberg table."""

    def __init__(
        self,
        table: StaticTable,
        sighting: Sighting,
        root: Path,
        connection: duckdb.DuckDBPyConnection,
    ) -> None:
        self._table = table
        self._sighting = sighting
        self._root = root
        self._duckdb = connection
        kinds = lineage.columns_of(table.schema())
        self._fields = {name: field for name, (field, _) in kinds.items()}
        self.columns = {name: kind for name, (_, kind) in kinds.items()}
        self._ids = {name: field.field_id for name, field in self._fields.items()}

    def files(self, known: Mapping[str, SourceFile]) -> tuple[SourceFile, ...]:
        """Return the files of the current snapshot; those that are known are not opened."""
        snapshot = self._table.current_snapshot()
        if snapshot is None:
            return ()
        before = lineage.followed(self._table, snapshot, known, self)
        found = self.data_files(snapshot)
        return tuple(
            replace(self.file(data, before.get(path)), snapshot=snapshot.snapshot_id)
            for path, data in sorted(found.items())
        )

    def data_files(self, snapshot: Snapshot) -> dict[str, DataFile]:
        """Return path → data file, of every live one."""
        found = {}
        for task in self._table.scan(snapshot_id=snapshot.snapshot_id).plan_files():
            if task.delete_files:
                raise WarehouseError(
                    f"source table {self._sighting.table}: {task.file.file_path} has rows that are "
                    "deleted by delete files (merge-on-read), which cannot be read; have the table "
                    "compacted (Spark: rewrite_data_files, Athena: OPTIMIZE) and write.delete.mode, "
                    "write.update.mode and write.merge.mode set to copy-on-write"
                )
            found[self._path(task.file)] = task.file
        return found

    def _path(self, data: DataFile) -> str:
        return local_path(self._sighting.table, data.file_path, data.file_format)

    def kept(self, data: DataFile, before: SourceFile) -> SourceFile:  # noqa: ARG002
        """Return a file that a snapshot which only rewrites files has left where it was."""
        return before

    def file(self, data: DataFile, before: SourceFile | None) -> SourceFile:
        """Return a data file as a file of the source; one that is as ``before`` is not opened."""
        if before is not None and self.is_same(data, before):
            return replace(before, columns=self.columns, field_ids=self._ids)
        path = Path(self._path(data))
        self._check_ids(path)
        file = SourceFile(
            path=str(path),
            size=data.file_size_in_bytes,
            modified_ns=0,
            changed_ns=0,
            rows=data.record_count,
            columns=self.columns,
            column_bytes={
                name: (data.column_sizes or {}).get(number, 0) for name, number in self._ids.items()
            },
            field_ids=self._ids,
            identity=self._identity(str(path), data, before),
        )
        days, misplaced = glances.days_of(
            file, self._span(data), self._sighting, {}, self._duckdb, self._root
        )
        nulls = {name: self._nulls(data, file, name) for name in self._sighting.units}
        return replace(file, days=days, misplaced=misplaced, nulls=nulls)

    def is_same(self, data: DataFile, before: SourceFile) -> bool:
        """Return whether a data file still has the rows that it had."""
        kept = before.field_ids.keys() & self._ids.keys()
        return before.size == data.file_size_in_bytes and all(
            before.field_ids[name] == self._ids[name] for name in kept
        )

    def _identity(self, path: str, data: DataFile, before: SourceFile | None) -> str:
        """Return what tells a file apart: other columns under the same names are other content."""
        renamed = "" if before is None else repr(sorted(self._ids.items()))
        return digest(path, str(data.file_size_in_bytes), renamed, length=16)

    def _check_ids(self, path: Path) -> None:
        schema = pq.read_schema(path)
        if any(b"PARQUET:field_id" not in (field.metadata or {}) for field in schema):
            raise WarehouseError(
                f"source table {self._sighting.table}: {path} has columns without Iceberg field ids, as "
                "files have that were added to the table and not written through it; have it rewritten"
            )

    def _span(self, data: DataFile) -> tuple[date, date] | None:
        """Return the first and the last day of a file's rows, by its bounds."""
        field = self._fields.get((self._sighting.timestamp or "").lower())
        if field is None:
            return None
        low = iceberg.day_of_bound(field, (data.lower_bounds or {}).get(field.field_id))
        high = iceberg.day_of_bound(field, (data.upper_bounds or {}).get(field.field_id))
        return None if low is None or high is None else (low, high)

    def _nulls(self, data: DataFile, file: SourceFile, name: str) -> int:
        """Return how many rows of a file have no id, reading it where its metadata cannot tell."""
        number = self._ids.get(name)
        if number is None:
            return 0
        nulls = (data.null_value_counts or {}).get(number)
        lowest = (data.lower_bounds or {}).get(number)
        if nulls is not None and (lowest or nulls == data.record_count):
            return nulls
        rows = files.source_relation([file], self.columns, self._root).subquery("s")
        return glances.count_nulls(rows, [name], {}, self._duckdb)[1][name]

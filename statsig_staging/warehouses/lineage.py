"""Iceberg tables of the lake as sources, whoever reads them: their columns, and what became of their files.

A snapshot whose operation is ``replace`` has the rows of its parent in other files (Iceberg spec, section
Snapshots), as a compaction leaves them. It is no change: the new files stand for those that they took the
place of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from pyiceberg.table.snapshots import Operation

from statsig_staging.errors import StagingError
from statsig_staging.sources import heirs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.schema import Schema
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot
    from pyiceberg.types import NestedField

    from statsig_staging.sources import SourceFile

_TYPES = {
    "boolean": "boolean",
    "int": "integer",
    "long": "bigint",
    "float": "real",
    "double": "double",
    "date": "date",
    "timestamp": "timestamp(6)",
    "timestamptz": "timestamp(6) with time zone",
    "string": "varchar",
    "uuid": "uuid",
    "binary": "varbinary",
}


def columns_of(schema: Schema) -> dict[str, tuple[NestedField, str]]:
    """Return column → field and Athena type; a column that has parts is left out."""
    kinds = {field.name.lower(): (field, _athena_type(field)) for field in schema.fields}
    return {name: (field, kind) for name, (field, kind) in kinds.items() if kind is not None}


def _athena_type(field: NestedField) -> str | None:
    kind = str(field.field_type)
    if kind.startswith("decimal"):
        return kind
    if kind.startswith("fixed"):
        return "varbinary"
    return _TYPES.get(kind)


Data = TypeVar("Data")


class Look(Protocol[Data]):
    """How an adapter looks at the data files of a table's snapshots."""

    def data_files(self, snapshot: Snapshot) -> Mapping[str, Data]:
        """Return path → data file, of every live one."""

    def is_same(self, data: Data, before: SourceFile) -> bool:
        """Return whether a data file still has the rows that it had."""

    def file(self, data: Data, before: SourceFile | None) -> SourceFile:
        """Return a data file as a file of the source; one that is as ``before`` is not looked at."""

    def kept(self, data: Data, before: SourceFile) -> SourceFile:
        """Return a file that a snapshot which only rewrites files has left where it was."""


def followed(
    table: Table, current: Snapshot, known: Mapping[str, SourceFile], look: Look[Data]
) -> Mapping[str, SourceFile]:
    """Return the known files, or what took their place where snapshots only rewrote them."""
    since = next((file.snapshot for file in known.values()), 0)
    path = _lineage(table, since, current)
    if not any(_only_rewrites(snapshot) for snapshot in path):
        return known
    have = dict(known)
    try:
        for snapshot in path:
            have = _after(snapshot, have, look)
    except (OSError, StagingError):
        # Files of a snapshot in between may be gone already; then files are compared by their paths.
        return known
    return have


def _lineage(table: Table, since: int, current: Snapshot) -> list[Snapshot]:
    """Return the snapshots after one, through the current one; none where it is no ancestor."""
    path: list[Snapshot] = []
    snapshot: Snapshot | None = current
    while snapshot is not None and snapshot.snapshot_id != since:
        path.append(snapshot)
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None
    return path[::-1] if snapshot is not None else []


def _after(
    snapshot: Snapshot, have: Mapping[str, SourceFile], look: Look[Data]
) -> dict[str, SourceFile]:
    data = look.data_files(snapshot)
    rewritten = _only_rewrites(snapshot)
    kept = {
        path: look.kept(data[path], file) if rewritten else file
        for path, file in have.items()
        if path in data and (rewritten or look.is_same(data[path], file))
    }
    added = [
        look.file(file, have.get(path)) for path, file in sorted(data.items()) if path not in kept
    ]
    if rewritten:
        gone = [file for path, file in have.items() if path not in data]
        # A file of any day holds days that nobody has asked about yet, for which it would stand for nothing.
        if not any(file.anytime for file in (*gone, *added)):
            added = heirs(gone, added)
    return kept | {file.path: file for file in added}


def _only_rewrites(snapshot: Snapshot) -> bool:
    return snapshot.summary is not None and snapshot.summary.operation is Operation.REPLACE

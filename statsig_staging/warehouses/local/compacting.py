"""Compaction: which files of a table are put together, and the commit that does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from statsig_staging import iceberg
from statsig_staging.iceberg import TableChange
from statsig_staging.manifests import is_alive, manifests_of
from statsig_staging.warehouses.local.parquet import Copy, copy_rows
from statsig_staging.warehouses.local.statements import files_relation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date
    from pathlib import Path

    import duckdb
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table as IcebergTable

    from statsig_staging.iceberg import Committed, WrittenFile

SMALL = 16 * 2**20
"""Bytes below which a file may be put together with others."""
LARGE = 256 * 2**20
"""Bytes that files put together have at most."""
MANY = 5
"""So many small files of a partition are worth one."""
MANY_MANIFESTS = 6
"""So many manifests are worth one, though no file is."""


def groups(files: Iterable[DataFile]) -> list[list[DataFile]]:
    """Return the files that become one each: small ones of one partition, where there are many."""
    small: dict[date | None, list[DataFile]] = {}
    for file in files:
        if file.file_size_in_bytes < SMALL:
            small.setdefault(iceberg.partition_date(file), []).append(file)
    return [part for found in small.values() if len(found) >= MANY for part in _cut(found)]


def _cut(files: list[DataFile]) -> Iterator[list[DataFile]]:
    part: list[DataFile] = []
    for file in files:
        if part and sum(each.file_size_in_bytes for each in (*part, file)) > LARGE:
            yield part
            part = []
        part.append(file)
    yield part


def compact(
    connection: duckdb.DuckDBPyConnection,
    table: IcebergTable,
    folder: Path,
    properties: Mapping[str, str],
    tag: str,
) -> tuple[Committed, list[WrittenFile]] | None:
    """Put small files and manifests of a table together; None where it would not be worth it.

    Args:
        connection: DuckDB.
        table: The table.
        folder: Its data folder.
        properties: Kept in the snapshot's summary.
        tag: A tag for the new snapshot; every earlier snapshot stays.
    """
    snapshot = table.current_snapshot()
    if snapshot is None:
        return None
    small = groups(iceberg.data_files(table))
    manifests = [found for found in manifests_of(snapshot, table.io) if is_alive(found)]
    if not small and len(manifests) < MANY_MANIFESTS:
        return None
    schema = table.schema()
    added: list[WrittenFile] = []
    for files in small:
        copy = Copy(
            select=files_relation(table, files, schema),
            columns=iceberg.columns_of(schema),
            schema=schema,
            folder=folder,
            partition=iceberg.partition_date(files[0]),
            split=False,
        )
        added += copy_rows(connection, copy)
    removed = [file for files in small for file in files]
    done = TableChange.on(table).commit(
        remove=removed, add=added, properties=properties, tag=tag, merge_at=2
    )
    return done, added

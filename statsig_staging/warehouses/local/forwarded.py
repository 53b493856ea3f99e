"""Forwarded tables as sources: the files that their receipts have accepted, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from statsig_staging.config.forwarded import PARTITION
from statsig_staging.errors import WarehouseError
from statsig_staging.forwarded import column_types, marked, read_state
from statsig_staging.sources import TableObservation
from statsig_staging.warehouses.local import spills
from statsig_staging.warehouses.local.glances import observe_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

    from statsig_staging.forwarded import ForwardedTable
    from statsig_staging.sources import SourceFile
    from statsig_staging.warehouses.base import Sighting, StoredFile


class Folder:
    """Files below a staging folder, to be read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get_object(self, key: str) -> bytes | None:
        """Return a file, or None."""
        try:
            return (self._folder / key).read_bytes()
        except FileNotFoundError:
            return None

    def list_files(self, prefix: str) -> list[StoredFile]:
        """Return every file below a folder."""
        return spills.files_below(self._folder / prefix, self._folder)


def observe(
    table: ForwardedTable,
    folder: Path,
    sighting: Sighting,
    known: Mapping[str, SourceFile],
    root: Path,
    connection: duckdb.DuckDBPyConnection,
    seen_ns: int,
) -> TableObservation:
    """Return the accepted files of a forwarded table; those that are known are not opened.

    Args:
        table: The table.
        folder: The staging folder that it lies in.
        sighting: What is looked at, and how its days are told.
        known: Path → file, as the last load knew them.
        root: The project folder.
        connection: Where rows are read, should it come to that.
        seen_ns: The time, nanoseconds since 1970.

    Raises:
        WarehouseError: If nothing has been forwarded yet.
        SourceFileError: If an accepted file is gone.
    """
    state = read_state(Folder(folder), table)
    if not state.days:
        raise nothing_yet(table, sighting.table)
    found = []
    for day, held in sorted(state.days.items()):
        laid = {PARTITION: day.isoformat()}
        for file in held.files:
            path = folder / table.day_folder(day) / file.name
            before = known.get(str(path))
            seen = observe_file(path, before, sighting, root, connection, seen_ns, laid=laid)
            found.append(marked(seen, table, day, file) if before is None else seen)
    return TableObservation(table=sighting.table, columns=column_types(state), files=tuple(found))


def nothing_yet(table: ForwardedTable, name: str) -> WarehouseError:
    """Return the error of a table that nothing was forwarded to."""
    return WarehouseError(
        f"nothing has been forwarded to {name} yet; run: statsig-staging forward {table.kind} FILE"
    )

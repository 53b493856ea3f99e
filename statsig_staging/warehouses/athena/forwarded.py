"""Forwarded tables as sources: the objects that their receipts have accepted, and no others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging.errors import SourceFileError, WarehouseError
from statsig_staging.forwarded import column_types, marked, named_table, read_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from statsig_staging.config import AthenaConnection
    from statsig_staging.forwarded import Objects
    from statsig_staging.plan import Read
    from statsig_staging.sources import SourceFile, TableObservation
    from statsig_staging.warehouses.athena.place import Place

PATH = "$path"
"""The hidden column that names the object a row is in.
https://trino.io/docs/current/connector/hive.html#metadata-columns"""


class ForwardedTables:
    """The forwarded tables of a connection, as sources.

    Args:
        connection: The connection.
        objects: The objects below the staging folder.
        place: Where that lies.
    """

    def __init__(self, connection: AthenaConnection, objects: Objects, place: Place) -> None:
        self._connection = connection
        self._objects = objects
        self._place = place

    def has(self, table: str) -> bool:
        """Return whether ``database.table`` is a forwarded one."""
        return named_table(self._connection, table) is not None

    def check(self, name: str) -> None:
        """Make sure that something was forwarded to a table, if it is a forwarded one.

        Raises:
            WarehouseError: If nothing was.
        """
        table = named_table(self._connection, name)
        if table is not None and not read_state(self._objects, table).days:
            raise WarehouseError(
                f"nothing has been forwarded to {name} yet; run: statsig-staging forward {table.kind} FILE"
            )

    def accepted(self, seen: TableObservation, known: Mapping[str, SourceFile]) -> TableObservation:
        """Return of a table's objects those that receipts have accepted.

        Args:
            seen: What lies in the folders of its days.
            known: Path → file, as the last load knew them.

        Raises:
            SourceFileError: If one of them is gone.
        """
        table = named_table(self._connection, seen.table)
        if table is None:
            return seen
        state = read_state(self._objects, table)
        there = {file.path: file for file in seen.files}
        found = []
        for day, held in sorted(state.days.items()):
            for file in held.files:
                path = f"{self._place.root}{table.day_folder(day)}/{file.name}"
                if path not in there:
                    raise SourceFileError(f"{path}: is gone, though a receipt has accepted it")
                one = there[path]
                found.append(one if path in known else marked(one, table, day, file))
        kinds = column_types(state)
        columns = {name: kind for name, kind in seen.columns.items() if name in kinds}
        return replace(seen, files=tuple(found), columns=columns)

    def read(self, query: exp.Query, reads: Iterable[Read]) -> exp.Query:
        """Return a query that reads of forwarded tables the objects that were looked at, and no others."""
        listed = {read.table: read.files for read in reads if self.has(read.table)}
        if not listed:
            return query
        bound = query.copy()
        for node in list(bound.find_all(exp.Table)):
            files = listed.get(f"{node.db}.{node.name}")
            if files is None:
                continue
            alias, plain = node.alias_or_name, node.copy()
            plain.set("alias", None)
            paths = [exp.Literal.string(file.path) for file in files]
            is_one = exp.In(this=exp.column(PATH, quoted=True), expressions=paths)
            rows = exp.select(exp.Star()).from_(plain)
            node.replace(rows.where(is_one if paths else exp.false()).subquery(alias, copy=False))
        return bound

"""The source of a merge: its rows in a temporary table, and what the touched files become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from sqlglot import exp

from statsig_staging import iceberg
from statsig_staging.errors import StepFailedError, WarehouseError
from statsig_staging.warehouses.local.statements import date_literal, files_relation, typed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from types import TracebackType

    import duckdb
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table as IcebergTable

    from statsig_staging.plan import Merge

_NAME = "merge_source"


class MergeSource:
    """The rows of a merge's source, kept in DuckDB while the merge runs."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, write: Merge) -> None:
        self._duckdb = connection
        self._write = write
        self._columns = [column.name for column in write.target.columns]
        self._exists = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(exp.Drop(tables=[exp.to_table(_NAME)], kind="TABLE", exists=True))

    def _run(self, statement: exp.Expr) -> list[tuple[object, ...]]:
        return self._duckdb.execute(statement.sql("duckdb", copy=False)).fetchall()

    def add(self, select: exp.Query) -> None:
        """Add the rows of a DuckDB query."""
        names = [*self._columns, self._write.deleted]
        rows = exp.select(*(exp.column(name, "q", quoted=True) for name in names)).from_(
            select.subquery("q", copy=False)
        )
        if self._exists:
            self._run(exp.insert(rows, _NAME))
        else:
            temporary = exp.Properties(expressions=[exp.TemporaryProperty()])
            self._run(
                exp.Create(
                    this=exp.to_table(_NAME), kind="TABLE", expression=rows, properties=temporary
                )
            )
        self._exists = True

    def check_keys(self) -> None:
        """Raise a StepFailedError where two rows have the same key, as Athena's MERGE does."""
        keys = [exp.column(key, quoted=True) for key in self._write.keys]
        more = exp.GT(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(1))
        query = exp.select(*keys).from_(_NAME).group_by(*keys).having(more).limit(1)
        for twice in self._run(query):
            raise StepFailedError(
                f"merge into {self._write.target.name.catalog}: more than one source row for {twice}"
            )

    def days(self) -> list[date]:
        """Return the partitions that the rows belong to."""
        query = exp.select("ds").distinct().from_(_NAME).order_by("ds")
        return [row[0] for row in self._run(query)]  # type: ignore[misc]

    def merged(
        self,
        present: IcebergTable | None,
        touched: Sequence[DataFile],
        schema: Schema,
        day: date | None,
    ) -> exp.Query:
        """Return the rows that the touched files hold after the merge, of one day where there are days."""
        new = (
            exp.select(*self._named("s"))
            .from_(exp.to_table(_NAME).as_("s"))
            .where(exp.not_(self._is_deleted()))
        )
        if day is not None:
            new = new.where(exp.EQ(this=exp.column("ds", "s"), expression=date_literal(day)))
            touched = [file for file in touched if iceberg.partition_date(file) == day]
        if not touched:
            return new
        if present is None:
            raise WarehouseError(f"there is no table {self._write.target.name.catalog}")
        kept = (
            exp.select(*self._named("t"))
            .from_(files_relation(present, touched, schema).subquery("t"))
            .where(exp.not_(exp.Exists(this=self._matching())))
        )
        columns = self._write.target.columns
        return exp.union(typed(kept, columns), typed(new, columns), distinct=False, copy=False)

    def _is_deleted(self) -> exp.Expr:
        """Return whether a row removes its key: one that does not say so updates or inserts it."""
        flag = exp.column(self._write.deleted, "s", quoted=True)
        return exp.Coalesce(this=flag, expressions=[exp.false()])

    def _named(self, alias: str) -> list[exp.Column]:
        return [exp.column(name, alias, quoted=True) for name in self._columns]

    def _matching(self) -> exp.Select:
        keys = (
            exp.EQ(this=exp.column(key, "s"), expression=exp.column(key, "t"))
            for key in self._write.keys
        )
        one = exp.Literal.number(1)
        return exp.select(one).from_(exp.to_table(_NAME).as_("s")).where(exp.and_(*keys))

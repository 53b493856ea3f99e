"""Writes as statements of Athena's: which ones, and in which order, a write of the port comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.days import DAY, windows
from statsig_staging.templates import DIALECT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from statsig_staging.plan import Batch, Column, Merge, Read, Table

PARTITIONS = 100
"""So many partitions a statement may write: 100 succeed and 101 fail (measured, reference of the service)."""


def rows_of(batch: Batch, columns: Sequence[Column]) -> exp.Select:
    """Return the query of a batch with exactly the given columns, in their types.

    Without the casts a literal or an expression of another type is refused by INSERT, and a timestamp of
    three digits by a table of Iceberg's.
    """
    query = templates.bind_texts(batch.select, batch.values)
    projections = [
        exp.alias_(
            exp.cast(exp.column(column.name, "q", quoted=True), _kind(column)),
            column.name,
            quoted=True,
        )
        for column in columns
    ]
    return exp.select(*projections, copy=False).from_(query.subquery("q", copy=False), copy=False)


def _kind(column: Column) -> exp.DataType:
    return exp.DataType.build(column.type, dialect=DIALECT)


def at_snapshots(query: exp.Query, reads: Iterable[Read]) -> exp.Query:
    """Return a query that reads Iceberg sources as they were when they were looked at.

    Hive tables and views have no versions.
    """
    snapshots = {
        read.table: max((file.snapshot for file in read.files), default=0) for read in reads
    }
    if not any(snapshots.values()):
        return query
    bound = query.copy()
    for node in bound.find_all(exp.Table):
        pinned = snapshots.get(f"{node.db}.{node.name}")
        if pinned and node.args.get("version") is None:
            node.set("version", templates.snapshot(pinned))
    return bound


def at_base(query: exp.Query, table: exp.Table, base: int | None) -> exp.Query:
    """Return a query that reads a table as it was before a write that removes rows of it first."""
    if base is None or not any(
        (node.db, node.name) == (table.db, table.name) for node in query.find_all(exp.Table)
    ):
        return query
    bound = query.copy()
    for node in bound.find_all(exp.Table):
        is_own = (node.db, node.name) == (table.db, table.name)
        if is_own and node.args.get("version") is None:
            node.set("version", templates.snapshot(base))
    return bound


def of_days(query: exp.Select, days: Sequence[date]) -> exp.Select:
    """Return the rows of a query that belong to some partitions."""
    return query.where(exp.or_(*(_between(found.start, found.end) for found in windows(days))))


def _between(start: date, end: date) -> exp.Expr:
    column = exp.column("ds", "q", quoted=True)
    if end - start == DAY:
        return exp.EQ(this=column, expression=templates.literal(start))
    return exp.Between(this=column, low=templates.literal(start), high=templates.literal(end - DAY))


def creation(table: exp.Table, target: Table, location: str, rows: exp.Query) -> exp.Create:
    """Return ``CREATE TABLE … AS`` of an Iceberg table at a location, which has to be empty."""
    properties: list[exp.Expr] = [
        _property("table_type", exp.Literal.string("ICEBERG")),
        _property("is_external", exp.false()),
        exp.LocationProperty(this=exp.Literal.string(location)),
        _property("format", exp.Literal.string("PARQUET")),
        _property("write_compression", exp.Literal.string("ZSTD")),
    ]
    if target.partitioned:
        parts = exp.Schema(expressions=[exp.to_identifier("ds")])
        properties.append(exp.PartitionedByProperty(this=parts))
    return exp.Create(
        this=table,
        kind="TABLE",
        properties=exp.Properties(expressions=properties),
        expression=rows,
    )


def _property(name: str, value: exp.Expr) -> exp.Property:
    return exp.Property(this=exp.var(name), value=value)


def insertion(table: exp.Table, columns: Iterable[Column], rows: exp.Query) -> exp.Insert:
    """Return the statement that appends rows; columns of the table that they lack are null."""
    named = [exp.to_identifier(column.name, quoted=True) for column in columns]
    return exp.Insert(this=exp.Schema(this=table, expressions=named), expression=rows)


def deletion(table: exp.Table, days: Sequence[date] | None) -> exp.Delete:
    """Return the statement that removes some partitions, or every row.

    Aligned with partitions as it is, it touches metadata only.
    """
    if days is None:
        return exp.delete(table)
    column = exp.column("ds", quoted=True)
    return exp.delete(
        table, where=exp.In(this=column, expressions=[templates.literal(day) for day in days])
    )


def optimization(table: exp.Table) -> exp.Command:
    """Return the statement that rewrites small files and files with deleted rows.

    Athena refuses quotes around names here, and sqlglot has no tree for it.
    """
    rest = f" {table.db}.{table.name} REWRITE DATA USING BIN_PACK"
    return exp.Command(this="OPTIMIZE", expression=exp.Literal.string(rest))


def together(queries: Sequence[exp.Select]) -> exp.Select:
    """Return the rows of several queries of the same columns."""
    if len(queries) == 1:
        return queries[0]
    every = exp.union(*queries, distinct=False, copy=False)
    columns = [exp.column(name, "q", quoted=True) for name in queries[0].named_selects]
    return exp.select(*columns).from_(every.subquery("q"))


def merge(table: exp.Table, write: Merge, rows: exp.Query, days: Sequence[date]) -> exp.Merge:
    """Return the ``MERGE`` of rows by key; ``days`` are the partitions that they belong to, if any."""
    keys: list[exp.Expr] = [
        exp.EQ(this=_of("t", key), expression=_of("s", key)) for key in write.keys
    ]
    if days:
        inside = [templates.literal(day) for day in days]
        keys.append(exp.In(this=_of("t", "ds"), expressions=inside))
    gone = exp.Coalesce(this=_of("s", write.deleted), expressions=[exp.false()])
    names = [column.name for column in write.target.columns]
    values = [name for name in names if name not in write.keys]
    whens = [exp.When(matched=True, condition=gone, then=exp.var("DELETE"))]
    if values:
        changes = [exp.EQ(this=_of("t", name), expression=_of("s", name)) for name in values]
        whens.append(exp.When(matched=True, then=exp.Update(expressions=changes)))
    insert = exp.Insert(
        this=exp.Tuple(expressions=[exp.column(name, quoted=True) for name in names]),
        expression=exp.Tuple(expressions=[_of("s", name) for name in names]),
    )
    whens.append(exp.When(matched=False, condition=exp.not_(gone.copy()), then=insert))
    return exp.Merge(
        this=exp.alias_(table, "t", table=True, copy=False),
        using=rows.subquery("s"),
        on=exp.and_(*keys),
        whens=exp.Whens(expressions=whens),
    )


def _of(alias: str, name: str) -> exp.Column:
    return exp.column(name, alias, quoted=True)

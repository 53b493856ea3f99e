"""SQL templates: load one, bind its tables and values on the syntax tree, hand back the tree."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp

from statsig_staging.expressions import without_positions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from importlib.resources.abc import Traversable

DIALECT = "athena"
"""Templates are written in the SQL that Athena runs; every other dialect is generated."""


def template_root() -> Traversable:
    """Return the folder of the templates: inside an installed package, beside it in a checkout."""
    packaged = files("statsig_staging") / "sql"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "sql"


@cache
def version(name: str) -> str:
    """Return the version that a template carries; it rises with every change of what it computes."""
    text = (template_root() / f"{name}.sql").read_text(encoding="utf-8")
    found = re.search(r"^-- version: (\d+)$", text, re.MULTILINE)
    if found is None:
        raise LookupError(f"template {name!r} carries no version")
    return found[1]


@cache
def _parsed(name: str) -> exp.Select:
    text = (template_root() / f"{name}.sql").read_text(encoding="utf-8")
    query = without_positions(sqlglot.parse_one(text, read=DIALECT))
    if not isinstance(query, exp.Select):
        raise TypeError(f"template {name!r} is not one SELECT")
    return query


def bind(
    name: str,
    *,
    tables: Mapping[str, exp.Expr] | None = None,
    values: Mapping[str, object] | None = None,
) -> exp.Select:
    """Return template ``name`` with its tables and ``:values`` filled in, as a new syntax tree.

    Args:
        name: File name in ``sql/`` without its ending.
        tables: Logical table name → a table, or a query that stands in for it.
        values: Parameter name → a Python value, which becomes a literal, or a syntax tree.

    Raises:
        LookupError: If the template has a parameter or a table that is not given.
    """
    query = _parsed(name).copy()
    for placeholder in list(query.find_all(exp.Placeholder)):
        if placeholder.name not in (values or {}):
            raise LookupError(f"template {name!r} has no value for :{placeholder.name}")
        placeholder.replace(literal((values or {})[placeholder.name]))
    return replace_tables(query, tables or {}, template=name)


def bind_columns(sql: str, alias: str) -> exp.Expr:
    """Return a scalar expression of this library's own with its columns read from ``alias``."""
    tree = without_positions(sqlglot.parse_one(sql, read=DIALECT))
    for column in tree.find_all(exp.Column):
        column.set("table", exp.to_identifier(alias))
    return tree


def bind_texts(query: exp.Query, texts: Mapping[str, str]) -> exp.Query:
    """Return a copy of ``query`` with its parameters replaced by string literals.

    Raises:
        LookupError: If the query has a parameter that is not given.
    """
    bound = query.copy()
    Blanks(bound).fill(texts)
    return bound


class Blanks:
    """The parameters of a query, which is filled in for one statement after the other.

    To copy a large tree for each of many statements takes as long as to write it as SQL.

    Args:
        query: It is changed, and says what it was last filled in with.
    """

    def __init__(self, query: exp.Query) -> None:
        self._texts: list[tuple[str, exp.Expr]] = []
        for placeholder in list(query.find_all(exp.Placeholder)):
            text = exp.Literal.string("")
            placeholder.replace(text)
            self._texts.append((placeholder.name, text))

    def fill(self, texts: Mapping[str, str]) -> None:
        """Put string literals in the place of the parameters.

        Raises:
            LookupError: If a parameter is not given.
        """
        for name, text in self._texts:
            text.set("this", texts[name])


def replace_tables(
    query: exp.Select, tables: Mapping[str, exp.Expr], *, template: str
) -> exp.Select:
    """Put ``tables`` in the place of the logical names of a template, keeping their aliases."""
    own = {cte.alias for cte in query.find_all(exp.CTE)}
    for node in list(query.find_all(exp.Table)):
        if node.db or node.name in own or not isinstance(node.this, exp.Identifier):
            continue
        if node.name not in tables:
            raise LookupError(f"template {template!r} reads {node.name!r}, which is not given")
        node.replace(aliased(tables[node.name], node.alias or node.name))
    return query


def part(query: exp.Query, name: str) -> exp.Select:
    """Return the SELECT of a query's common table expression, to be changed in place."""
    for cte in query.ctes:
        if cte.alias == name and isinstance(cte.this, exp.Select):
            return cte.this
    raise LookupError(f"the template has no part {name!r}")


def aliased(relation: exp.Expr, alias: str) -> exp.Expr:
    """Return a table or query as something that FROM takes, under ``alias``.

    A query that stands in no other tree yet is taken as it is: copies of large ones take long.
    """
    if isinstance(relation, exp.Query):
        own = relation if relation.parent is None else relation.copy()
        return own.subquery(alias, copy=False)
    if not isinstance(relation, exp.Table):
        raise TypeError(f"not a table or query: {relation!r}")
    table = relation.copy()
    table.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
    return table


def snapshot(snapshot_id: int) -> exp.Version:
    """Return what has a table read at one of its snapshots."""
    return exp.Version(this="VERSION", kind="AS OF", expression=exp.Literal.number(snapshot_id))


def literal(value: object) -> exp.Expr:
    """Return ``value`` as a literal; timestamps become naive UTC, as every table holds them."""
    match value:
        case exp.Expr():
            return value.copy()
        case datetime():
            if value.tzinfo is not None:
                value = value.astimezone(UTC).replace(tzinfo=None)
            text = value.isoformat(sep=" ", timespec="microseconds")
            return exp.cast(
                exp.Literal.string(text), exp.DataType.build("timestamp(6)", dialect=DIALECT)
            )
        case date():
            return exp.cast(exp.Literal.string(value.isoformat()), exp.DataType.build("date"))
        case _:
            return exp.convert(value)


def values_table(alias: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> exp.Expr:
    """Return ``(VALUES …) AS alias(columns)`` with every value a literal."""
    tuples = [exp.Tuple(expressions=[literal(value) for value in row]) for row in rows]
    names = [exp.to_identifier(column) for column in columns]
    return exp.Values(
        expressions=tuples, alias=exp.TableAlias(this=exp.to_identifier(alias), columns=names)
    )


def listed(alias: str, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> exp.Select:
    """Return rows of literals as a query."""
    table = values_table(alias, columns, rows)
    return exp.select(*(exp.column(name, alias) for name in columns), copy=False).from_(table)


def together(queries: Sequence[exp.Query]) -> exp.Query:
    """Return the rows of all queries, equal ones as often as they come; there is at least one query."""
    union = queries[0]
    for query in queries[1:]:
        union = exp.union(union, query, distinct=False, copy=False)
    return union

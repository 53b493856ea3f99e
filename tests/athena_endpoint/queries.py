"""Queries: names become relations, Athena's SQL becomes DuckDB's, rows become a result file."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from statsig_staging.errors import UnsupportedSqlError
from statsig_staging.warehouses.local import dialect
from tests.athena_endpoint import pruning, relations, tables
from tests.athena_endpoint.failures import failed
from tests.athena_endpoint.relation import PATH, Relation, quoted
from tests.athena_endpoint.session import refusal
from tests.athena_endpoint.statements import tree_of
from tests.athena_endpoint.types import ResultColumn, result_column
from tests.athena_endpoint.values import rendered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.athena_endpoint.session import Session
    from tests.athena_endpoint.values import Row

_BATCH = 20_000

HIDDEN = "hidden"
"""A mark on a table whose file and row positions are columns too."""

WHOLE = "whole"
"""A mark on a table of which every column is read, whatever names stand in the statement."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query in DuckDB's SQL, over views that its session has.

    Attributes:
        sql: The query.
        precisions: Column → digits of a second, where the statement tells.
    """

    sql: str
    precisions: Mapping[str, int | None] = field(default_factory=dict)


def query_of(session: Session, tree: exp.Expr, database: str) -> Query:
    """Return a query over tables of the catalog in DuckDB's SQL."""
    query = as_query(tree)
    _name_columns(query)
    schema = place(session, query, database)
    return Query(translated(session, query, schema), _precisions(query, schema))


def as_query(tree: exp.Expr) -> exp.Query:
    """Return a copy of a query; of VALUES, a query over them."""
    if isinstance(tree, exp.Subquery) and not tree.alias and isinstance(tree.this, exp.Query):
        return as_query(tree.this)
    if isinstance(tree, exp.Query):
        return tree.copy()
    if not isinstance(tree, exp.Values):
        raise failed("NOT_SUPPORTED", f"not a query: {tree.sql(dialect='trino')[:80]}")
    values = tree.copy()
    first = values.expressions[0]
    width = len(first.expressions) if isinstance(first, exp.Tuple) else 1
    names = [exp.to_identifier(f"_col{position}") for position in range(width)]
    values.set("alias", exp.TableAlias(this=exp.to_identifier("v"), columns=names))
    return exp.select("*").from_(values)


def _precisions(tree: exp.Query, schema: Mapping[str, Mapping[str, str]]) -> dict[str, int | None]:
    """Return the digits of a second of each timestamp column whose expression says so."""
    body: exp.Expr = tree
    while isinstance(body, (exp.SetOperation, exp.Subquery)):
        body = body.this
    known = {
        name: kind
        for table in body.find_all(exp.Table)
        for name, kind in schema.get(table.name, {}).items()
    }
    found: dict[str, int | None] = {}
    for select in body.selects if isinstance(body, exp.Select) else []:
        inner = select.unalias()
        if select.is_star:
            found |= {
                name: _digits(exp.DataType.build(k, dialect="athena")) for name, k in known.items()
            }
        elif isinstance(inner, exp.Cast):
            found[select.alias_or_name.lower()] = _digits(inner.to)
        elif isinstance(inner, exp.Column) and inner.name.lower() in known:
            kind = exp.DataType.build(known[inner.name.lower()], dialect="athena")
            found[select.alias_or_name.lower()] = _digits(kind)
    return found


def _digits(kind: exp.DataType) -> int | None:
    if kind.this is not exp.DType.TIMESTAMP:
        return None
    return int(kind.expressions[0].name) if kind.expressions else 3


def translated(session: Session, tree: exp.Query, schema: Mapping[str, Mapping[str, str]]) -> str:
    """Return a query, whose tables are views of the session, in DuckDB's SQL.

    Raises:
        StatementError: If DuckDB cannot be made to give Athena's answer.
    """
    _fix_now(session, tree)
    try:
        return dialect.to_duckdb(tree, schema)
    except UnsupportedSqlError as error:
        if _only_constructs(tree):
            return tree.sql(dialect="duckdb", identify=True)
        raise refusal(error) from error


_CONSTRUCTS = (
    exp.Select, exp.From, exp.Values, exp.Tuple, exp.Literal, exp.Map, exp.Array, exp.Struct, exp.Cast,
    exp.Null, exp.Boolean, exp.Alias, exp.Column, exp.Identifier, exp.Table, exp.TableAlias, exp.DataType,
    exp.DataTypeParam, exp.ColumnDef, exp.Star, exp.Neg, exp.Subquery, exp.Paren, exp.PropertyEQ, exp.Union,
    exp.Anonymous, exp.Unhex, exp.Encode, exp.Where, exp.Order, exp.Ordered, exp.Limit, exp.Dot,
)  # fmt: skip
"""What only builds and hands on values: maps and rows, which the translation does not take."""


def _only_constructs(tree: exp.Query) -> bool:
    for node in tree.walk():
        if not isinstance(node, _CONSTRUCTS):
            return False
        if isinstance(node, exp.Anonymous) and node.name.upper() != "ROW":
            return False
    for node in list(tree.find_all(exp.Anonymous)):
        node.replace(exp.Anonymous(this="row", expressions=node.expressions))
    return True


def _fix_now(session: Session, tree: exp.Query) -> None:
    """Let ``now()`` be the moment the statement was submitted; Athena too has one value per statement."""
    moment = datetime.fromtimestamp(session.execution.submitted, UTC)
    written = moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    values: dict[type[exp.Expr], tuple[str, str]] = {
        exp.CurrentTimestamp: (f"{written} UTC", "timestamptz"),
        exp.CurrentDate: (written[:10], "date"),
        exp.Localtimestamp: (written, "timestamp"),
    }
    for kind, (value, type_) in values.items():
        for node in list(tree.find_all(kind)):
            node.replace(exp.cast(exp.Literal.string(value), type_))


def has_name(select: exp.Expr) -> bool:
    """Return whether a column of a SELECT has a name of its own."""
    return select.is_star or isinstance(select, (exp.Alias, exp.Column, exp.Dot))


def _name_columns(tree: exp.Query) -> None:
    """Name the columns that have no name as Athena does: ``_col0`` and on."""
    body: exp.Expr = tree
    while isinstance(body, (exp.SetOperation, exp.Subquery)):
        body = body.this
    if isinstance(body, exp.Select):
        named = [
            select if has_name(select) else exp.alias_(select, f"_col{position}", quoted=True)
            for position, select in enumerate(body.expressions)
        ]
        body.set("expressions", named)


def place(session: Session, tree: exp.Expr, database: str) -> dict[str, Mapping[str, str]]:
    """Put views of the session into the places of tables; return the columns of each.

    Raises:
        StatementError: If a table does not exist.
    """
    hidden = any(column.name == PATH for column in tree.find_all(exp.Column))
    names = pruning.names_of(tree)
    schema: dict[str, Mapping[str, str]] = {}
    for node in list(tree.find_all(exp.Table)):
        if not isinstance(node.this, exp.Identifier) or _is_cte(node):
            continue
        if not node.db and node.name in session.placed:
            schema[node.name] = session.placed[node.name]
            continue
        relation = _relation(
            session,
            node,
            database,
            hidden=hidden or HIDDEN in node.meta,
            names=None if WHOLE in node.meta else names,
        )
        view = session.new_name("t")
        session.run(f"CREATE TEMP VIEW {view} AS {relation.sql}")
        schema[view] = relation.columns
        _point_at(node, view)
    for column in tree.find_all(exp.Column):
        column.set("db", None)
        column.set("catalog", None)
    return schema


def _point_at(node: exp.Table, view: str) -> None:
    if not node.args.get("alias"):
        alias = exp.TableAlias(this=exp.to_identifier(node.name, quoted=True))
        node.set("alias", alias)
    node.set("this", exp.to_identifier(view))
    for part in ("db", "catalog", "version"):
        node.set(part, None)


def _is_cte(node: exp.Table) -> bool:
    if node.db:
        return False
    above = node.parent
    while above is not None:
        with_ = above.args.get("with_")
        names = [cte.alias.lower() for cte in with_.expressions] if with_ else []
        if node.name.lower() in names:
            return True
        above = above.parent
    return False


def _relation(
    session: Session,
    node: exp.Table,
    database: str,
    *,
    hidden: bool,
    names: frozenset[str] | None,
) -> Relation:
    name = tables.name_of(node, database)
    if name.database != "information_schema" and "$" not in name.table:
        entry = tables.existing(session.account, name)
        if tables.is_view(entry):
            return _view(session, entry, name.database)
    return relations.relation_of(session, node, database, hidden=hidden, names=names)


def _view(session: Session, entry: dict[str, Any], database: str) -> Relation:
    definition = view_definition(entry)
    tree = tree_of(definition["originalSql"])
    if not isinstance(tree, exp.Query):
        raise failed("NOT_SUPPORTED", f"view {entry['Name']} is not a query")
    query = query_of(session, tree, definition.get("schema") or database)
    columns = {column["name"]: column["type"] for column in definition["columns"]}
    names = ", ".join(quoted(name) for name in columns)
    return Relation(sql=f"SELECT * FROM ({query.sql}) AS v({names})", columns=columns)


_VIEW = "/* Presto View: "


def view_definition(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the definition of a view, which Glue keeps as Presto wrote it."""
    original = entry.get("ViewOriginalText", "")
    if not original.startswith(_VIEW):
        raise failed("NOT_SUPPORTED", f"{entry['Name']} is not a view of Athena's")
    decoded: dict[str, Any] = json.loads(base64.b64decode(original.removeprefix(_VIEW)[:-3]))
    return decoded


def view_text(definition: dict[str, Any]) -> str:
    """Return the text that Glue keeps for a view."""
    return f"{_VIEW}{base64.b64encode(json.dumps(definition).encode()).decode()} */"


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a query that runs, written as Athena writes them."""

    columns: list[ResultColumn]
    rows: Iterator[Row]


def run(session: Session, query: Query) -> Rows:
    """Run a query."""
    described = session.described(query.sql)
    columns = [result_column(name.lower(), kind) for name, kind in described]
    select = []
    for position, column in enumerate(columns):
        value = f"q.c{position}"
        # DuckDB's client turns a timestamp with a time zone into a Python value with pytz only.
        if column.type == "timestamp with time zone":
            value = f"CAST({value} AS TIMESTAMP)"
        select.append(value)
    names = ", ".join(f"c{position}" for position in range(len(columns)))
    micros = _with_micros(session, query, columns, names)
    session.run(f"SELECT {', '.join(select)} FROM ({query.sql}) AS q({names})")
    return Rows(columns, _rendered(session, columns, micros))


def _with_micros(
    session: Session, query: Query, columns: list[ResultColumn], names: str
) -> list[bool]:
    """Return for each column whether its timestamps show six digits.

    Athena shows as many as the type has. DuckDB's type has always six, so a column shows three unless one
    of its values needs more.
    """
    moments = [n for n, column in enumerate(columns) if column.type.startswith("timestamp")]
    found = [False] * len(columns)
    if moments:
        tests = ", ".join(f"bool_or(epoch_us(q.c{n}) % 1000 <> 0)" for n in moments)
        (row,) = session.rows(f"SELECT {tests} FROM ({query.sql}) AS q({names})")
        for n, value in zip(moments, row, strict=True):
            found[n] = bool(value)
    return found


def _rendered(session: Session, columns: list[ResultColumn], micros: list[bool]) -> Iterator[Row]:
    kinds = [column.type for column in columns]
    while batch := session.fetch(_BATCH):
        for row in batch:
            yield tuple(
                rendered(value, kind, micros=wide)
                for value, kind, wide in zip(row, kinds, micros, strict=True)
            )

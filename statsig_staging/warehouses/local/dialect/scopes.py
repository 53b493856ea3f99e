"""The Athena type of every expression of a query, as far as its schema tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from statsig_staging.warehouses.local.dialect import inference
from statsig_staging.warehouses.local.dialect.refusals import refused
from statsig_staging.warehouses.local.dialect.types import (
    BIGINT,
    UNKNOWN,
    common,
    parse_type,
    type_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Schema = Mapping[str, Mapping[str, str]]
    Columns = Mapping[str, exp.DataType]


def annotate(query: exp.Expr, schema: Schema) -> None:
    """Store on every node of `query` the type it has on Athena."""
    tables = columns_of(schema)
    for node in query.walk():
        node.type = None
    if isinstance(query, exp.Query):
        Annotator(tables).run(query)
    for node in _untyped(query):
        if not isinstance(node, exp.DataType):
            node.type = inference.infer(node)


def columns_of(schema: Schema) -> dict[str, Columns]:
    """Return the columns of each table, names in small letters."""
    return {
        table.lower(): {name.lower(): parse_type(kind) for name, kind in columns.items()}
        for table, columns in schema.items()
    }


def _untyped(node: exp.Expr) -> Iterator[exp.Expr]:
    """Return the nodes without a type, children before their parents; a query that has one is done."""
    found = list(node.walk(bfs=True, prune=_is_done))
    return (each for each in reversed(found) if each.type is None)


def _is_done(node: exp.Expr) -> bool:
    return isinstance(node, (exp.Select, exp.SetOperation)) and node.type is not None


class Annotator:
    """Walks the scopes of one query from the inside out, and keeps the columns that each puts out."""

    def __init__(self, tables: Mapping[str, Columns]) -> None:
        self.tables = tables
        self.outputs: dict[int, Columns] = {}

    def run(self, query: exp.Query) -> None:
        """Store on every node of a query the type it has on Athena."""
        for scope in traverse_scope(query):
            for column in scope.columns:
                column.type = self.resolve(column, scope)
            body = scope.expression
            for node in _untyped(body):
                if not isinstance(node, (exp.Column, exp.DataType)):
                    node.type = inference.infer(node)
            self.outputs[id(body)] = self.output(body, scope)
            self.check_aliases(body, scope)

    def check_aliases(self, body: exp.Expr, scope: Scope) -> None:
        """Refuse an alias used where Athena knows columns only; DuckDB takes it nearly everywhere."""
        if not isinstance(body, exp.Select):
            return
        aliases = {select.alias.lower() for select in body.selects if select.alias}
        known = self.known_columns(scope)
        if not aliases or known is None:
            return
        for column in body.find_all(exp.Column):
            name = column.name.lower()
            if column.table or name in known or name not in aliases:
                continue
            if column.parent_select is body and not column.find_ancestor(exp.Order):
                raise refused(
                    f"the alias {name}", "Athena knows it in ORDER BY only; repeat the expression"
                )

    def known_columns(self, scope: Scope) -> set[str] | None:
        """Return the columns in reach of `scope`, None where a source's are not known."""
        found: set[str] = set()
        outer: Scope | None = scope
        while outer is not None:
            for columns in self.sources(outer).values():
                if not columns:
                    return None
                found |= set(columns)
            outer = outer.parent
        return found

    def resolve(self, column: exp.Column, scope: Scope | None) -> exp.DataType:
        """Return the type of `column`, looking outwards from `scope`."""
        name, table = column.name.lower(), column.table.lower()
        while scope is not None:
            sources = {alias.lower(): source for alias, source in self.sources(scope).items()}
            if table and table in sources:
                return sources[table].get(name, UNKNOWN)
            found = [columns[name] for columns in sources.values() if name in columns]
            if found and not table:
                return found[0] if len(found) == 1 else common(found)
            scope = scope.parent
        return UNKNOWN

    def sources(self, scope: Scope) -> dict[str, Columns]:
        """Return the columns that each source in `scope`'s FROM is known to have."""
        return {
            alias: self.source(node, source)
            for alias, (node, source) in scope.selected_sources.items()
        }

    def source(self, node: exp.Expr, source: exp.Expr | Scope) -> Columns:
        """Return the columns that one source is known to have."""
        if isinstance(source, Scope):
            columns = self.outputs.get(id(source.expression), {})
            return _renamed(columns, _alias_of(node) or _alias_of(source.expression))
        if not isinstance(source, exp.Table):
            return {}
        full = f"{source.db}.{source.name}".lower() if source.db else source.name.lower()
        for name in (source.alias_or_name.lower(), full, source.name.lower()):
            if name in self.tables:
                return self.tables[name]
        return {}

    def output(self, body: exp.Expr, scope: Scope) -> Columns:
        """Return name and type of the columns that `body` inference."""
        match body:
            case exp.SetOperation():
                return self.set_output(body)
            case exp.Select():
                return self.select_output(body, scope)
            case exp.Values():
                return _values_output(body)
            case exp.Unnest():
                return _unnest_output(body)
            case _:
                return {}

    def set_output(self, body: exp.SetOperation) -> Columns:
        """Return name and type of the columns of a UNION and its kin."""
        left = self.outputs.get(id(body.left.unnest()), {})
        right = list(self.outputs.get(id(body.right.unnest()), {}).values())
        if len(left) != len(right):
            return dict.fromkeys(left, UNKNOWN)
        pairs = zip(left.items(), right, strict=True)
        return {name: common([kind, other]) for (name, kind), other in pairs}

    def select_output(self, body: exp.Select, scope: Scope) -> Columns:
        """Return name and type of the columns of a SELECT."""
        found: dict[str, exp.DataType] = {}
        for position, projection in enumerate(body.selects):
            if projection.is_star:
                found |= self.star(projection, scope)
            else:
                found[projection.alias_or_name.lower() or f"_col{position}"] = type_of(projection)
        return found

    def star(self, projection: exp.Expr, scope: Scope) -> Columns:
        """Return the columns that a star stands for."""
        table = projection.table.lower() if isinstance(projection, exp.Column) else ""
        sources = self.sources(scope).items()
        chosen = [columns for alias, columns in sources if not table or alias.lower() == table]
        return {name: kind for columns in chosen for name, kind in columns.items()}


def _alias_of(node: exp.Expr) -> exp.TableAlias | None:
    alias = node.args.get("alias")
    if not isinstance(alias, exp.TableAlias) and isinstance(node.parent, (exp.CTE, exp.Subquery)):
        alias = node.parent.args.get("alias")
    return alias if isinstance(alias, exp.TableAlias) else None


def _renamed(columns: Columns, alias: exp.TableAlias | None) -> Columns:
    names = [column.name.lower() for column in alias.columns] if alias else []
    if not names or len(names) != len(columns):
        return {} if names and names != list(columns) else columns
    return dict(zip(names, columns.values(), strict=True))


def _values_output(body: exp.Values) -> Columns:
    rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in body.expressions]
    columns = zip(*rows, strict=True)
    return {f"_col{i}": common([type_of(v) for v in column]) for i, column in enumerate(columns)}


def _unnest_output(body: exp.Unnest) -> Columns:
    alias = body.args.get("alias")
    names = [column.name.lower() for column in alias.columns] if alias else []
    kinds = [inference.element(type_of(array)) for array in body.expressions]
    found = dict(zip(names, kinds, strict=False))
    if isinstance(offset := body.args.get("offset"), exp.Identifier):
        found[offset.name.lower()] = BIGINT
    return found

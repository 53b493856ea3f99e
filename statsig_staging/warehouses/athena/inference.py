"""Types of a query's columns, as Athena has them, without a statement: what its syntax tree and schema tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging.errors import WarehouseError
from statsig_staging.expressions import suggestion
from statsig_staging.warehouses.local.dialect.scopes import Annotator, columns_of
from statsig_staging.warehouses.local.dialect.types import LARGEST_PRECISION, DType, digits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlglot.optimizer.scope import Scope

_NAMES = {
    DType.INT: "integer",
    DType.FLOAT: "real",
    DType.TEXT: "varchar",
    DType.CHAR: "varchar",
    DType.VARCHAR: "varchar",
    DType.TIMESTAMP: "timestamp(6)",
    DType.TIMESTAMPTZ: "timestamp(6) with time zone",
    DType.NULL: "unknown",
}
"""Names under which Athena has a type other than sqlglot's; sizes of texts and moments are left out."""


def types(query: exp.Query, tables: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return column → Athena type of a query over tables with given columns.

    Nothing is run. A column of which the tree does not tell the type is left out; one that is null in
    every row is ``unknown``, as it is among the given columns.

    Args:
        query: A syntax tree in Athena's dialect; it is not changed.
        tables: ``database.table`` → column → Athena type.

    Raises:
        WarehouseError: If the query names a table that is not given, or a column that none of them has.
    """
    plain = {
        table: {name: "null" if kind == "unknown" else kind for name, kind in columns.items()}
        for table, columns in tables.items()
    }
    tree = query.copy()
    for node in tree.walk():
        node.type = None
    typing = _Typing(columns_of(plain))
    typing.run(tree)
    found = typing.outputs.get(id(tree), {})
    return {name: kind for name, each in found.items() if (kind := _name(each)) is not None}


def _name(kind: exp.DataType) -> str | None:
    if kind.this is DType.UNKNOWN:
        return None
    if kind.this is DType.DECIMAL:
        precision, scale = digits(kind) or (LARGEST_PRECISION, 0)
        return f"decimal({precision}, {scale})"
    return _NAMES.get(kind.this) or kind.sql(dialect="athena").lower()


class _Typing(Annotator):
    """Finds the types of one query, and what it names that is not there."""

    def check_aliases(self, body: exp.Expr, scope: Scope) -> None:
        """Refuse names of a scope that Athena would not find."""
        for _, source in scope.selected_sources.values():
            if isinstance(source, exp.Table) and source.db:
                self._check_table(source)
        known = self.known_columns(scope)
        if known is None:
            return
        aliases = (
            {item.alias.lower() for item in body.selects} if isinstance(body, exp.Select) else set()
        )
        sources = self._sources_in_reach(scope)
        for column in scope.columns:
            owner, name = column.table.lower(), column.name.lower()
            if owner in sources:
                self._check_column(column, set(sources[owner]))
            elif owner or column.args.get("db"):
                self._check_column(exp.column(column.parts[0].name), known)
            elif not (name in aliases and column.find_ancestor(exp.Order)):
                self._check_column(column, known)

    def _sources_in_reach(self, scope: Scope) -> dict[str, Mapping[str, exp.DataType]]:
        found: dict[str, Mapping[str, exp.DataType]] = {}
        outer: Scope | None = scope
        while outer is not None:
            found = {
                alias.lower(): columns for alias, columns in self.sources(outer).items()
            } | found
            outer = outer.parent
        return found

    def _check_table(self, table: exp.Table) -> None:
        name = f"{table.db}.{table.name}".lower()
        if name not in self.tables:
            near = suggestion(name, self.tables)
            raise WarehouseError(f"table {table.db}.{table.name} does not exist{near}")

    @staticmethod
    def _check_column(column: exp.Column, known: set[str]) -> None:
        name = column.name.lower()
        if name not in known and not isinstance(column.this, exp.Star):
            near = suggestion(name, known)
            raise WarehouseError(
                f"column {column.sql(dialect='athena')} cannot be resolved{near} "
                f"(columns: {', '.join(sorted(known))})"
            )

"""Reads of staging tables: a plain one through pyiceberg, everything else as a query of Athena's.

What a service asks again and again, the published results and the loads, are plain reads: rows of one
version of one table. They take no statement, wait in no queue and cost nothing but the objects read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue, And, In
from sqlglot import exp

from statsig_staging.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.table import Table as IcebergTable

SMALL = 64 * 2**20
"""A plain read of more bytes than this is a query of Athena's, which has more hands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainRead:
    """Some columns of some rows of one version of one table.

    Attributes:
        database: Its database.
        name: Its name.
        snapshot_id: The version; None for the current one.
        columns: The columns, in order; none for all.
        condition: Which rows.
        order: What they are ordered by.
    """

    database: str
    name: str
    snapshot_id: int | None
    columns: tuple[str, ...]
    condition: BooleanExpression
    order: tuple[str, ...]

    def rows(self, table: IcebergTable) -> pa.Table:
        """Return the rows.

        Raises:
            WarehouseError: If the table lacks a column.
        """
        missing = set(self.columns) - {
            field.name for field in table.scan(snapshot_id=self.snapshot_id).projection().fields
        }
        if missing:
            raise WarehouseError(
                f"table {self.database}.{self.name} has no column {', '.join(sorted(missing))}"
            )
        selected = self.columns or ("*",)
        scan = table.scan(
            row_filter=self.condition, selected_fields=selected, snapshot_id=self.snapshot_id
        )
        found = normal(scan.to_arrow())
        if self.columns:
            found = found.select(list(self.columns))
        if not self.order:
            return found
        keys = [(name, "ascending") for name in self.order]
        return found.sort_by(keys)


def plain_read(query: exp.Query) -> PlainRead | None:
    """Return a query as a plain read; None for one that is more than that."""
    if not isinstance(query, exp.Select) or _has_more(query):
        return None
    source = query.args["from_"].this
    if not isinstance(source, exp.Table) or not source.db:
        return None
    columns = _columns(query.expressions)
    condition = _condition(query.args.get("where"))
    order = _order(query.args.get("order"))
    if columns is None or condition is None or order is None:
        return None
    version = source.args.get("version")
    return PlainRead(
        database=source.db,
        name=source.name,
        snapshot_id=int(version.expression.name) if version is not None else None,
        columns=columns,
        condition=condition,
        order=order,
    )


_PARTS = {"expressions", "from_", "where", "order", "kind", "hint"}


def _has_more(query: exp.Select) -> bool:
    present = {name for name, value in query.args.items() if value}
    return "from_" not in present or not present <= _PARTS


def _columns(projections: Sequence[exp.Expr]) -> tuple[str, ...] | None:
    if len(projections) == 1 and isinstance(projections[0], exp.Star):
        return ()
    if all(
        isinstance(each, exp.Column) and isinstance(each.this, exp.Identifier)
        for each in projections
    ):
        return tuple(each.name for each in projections)
    return None


def _condition(where: exp.Expr | None) -> BooleanExpression | None:
    found: BooleanExpression = AlwaysTrue()
    if where is None:
        return found
    parts = where.this.flatten() if isinstance(where.this, exp.And) else [where.this]
    for part in parts:
        one = _comparison(part)
        if one is None:
            return None
        found = And(found, one)
    return found


def _comparison(part: exp.Expr) -> BooleanExpression | None:
    if not isinstance(part.this, exp.Column):
        return None
    if isinstance(part, exp.EQ) and _is_text(part.expression):
        return In(term=part.this.name, literals=[part.expression.name])
    if isinstance(part, exp.In) and part.expressions and all(map(_is_text, part.expressions)):
        return In(term=part.this.name, literals=[each.name for each in part.expressions])
    return None


def _is_text(value: exp.Expr) -> bool:
    return isinstance(value, exp.Literal) and bool(value.args.get("is_string"))


def _order(order: exp.Expr | None) -> tuple[str, ...] | None:
    if order is None:
        return ()
    names = []
    for each in order.expressions:
        if not isinstance(each.this, exp.Column) or each.args.get("desc"):
            return None
        names.append(each.this.name)
    return tuple(names)


_NORMAL: dict[Any, pa.DataType] = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}


def normal(found: pa.Table) -> pa.Table:
    """Return a table in the types that every warehouse returns."""
    fields = [pa.field(field.name, _NORMAL.get(field.type, field.type)) for field in found.schema]
    return found.cast(pa.schema(fields))

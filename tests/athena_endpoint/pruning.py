"""What a statement need not read: files that its conditions exclude, and columns that it does not name.

Results do not depend on this; ``DataScannedInBytes`` does, and with it what a statement costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from pyiceberg.expressions import (
    AlwaysTrue,
    And,
    BooleanExpression,
    EqualTo,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    LessThan,
    LessThanOrEqual,
)
from pyiceberg.types import (
    DateType,
    IcebergType,
    IntegerType,
    LongType,
    StringType,
    TimestampType,
)
from sqlglot import exp

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema

_Comparison = Callable[..., Any]

# Each comparison, and the one with its sides exchanged.
_COMPARISONS: dict[type[exp.Expr], tuple[_Comparison, _Comparison]] = {
    exp.EQ: (EqualTo, EqualTo),
    exp.LT: (LessThan, GreaterThan),
    exp.LTE: (LessThanOrEqual, GreaterThanOrEqual),
    exp.GT: (GreaterThan, LessThan),
    exp.GTE: (GreaterThanOrEqual, LessThanOrEqual),
}


def names_of(tree: exp.Expr) -> frozenset[str] | None:
    """Return the names of all columns in a statement, None where a star asks for all."""
    for star in tree.find_all(exp.Star):
        if not isinstance(star.parent, exp.Count):
            return None
    return frozenset(column.name.lower() for column in tree.find_all(exp.Column))


def bytes_of(file: DataFile, schema: Schema, names: frozenset[str] | None) -> int:
    """Return the bytes of the columns of a file that are read."""
    if names is None or not file.column_sizes:
        return int(file.file_size_in_bytes)
    found = 0
    for field in schema.fields:
        if field.name.lower() in names:
            inner = _ids(field.field_type, field.field_id)
            found += sum(file.column_sizes.get(field_id, 0) for field_id in inner)
    return found


def _ids(kind: IcebergType, field_id: int) -> list[int]:
    """Return the ids of a field and of everything in it."""
    inner = getattr(kind, "fields", ())
    return [field_id, *(i for field in inner for i in _ids(field.field_type, field.field_id))]


def condition_of(node: exp.Table, schema: Schema) -> BooleanExpression:
    """Return what every row that a statement needs of a table fulfils, as far as that is simple."""
    select = node.find_ancestor(exp.Select)
    if select is None or not isinstance(node.parent, (exp.From, exp.Join)):
        return AlwaysTrue()
    if node.parent.parent is not select:
        return AlwaysTrue()
    joins = select.args.get("joins") or []
    alone = not joins
    fields = {field.name.lower(): field for field in schema.fields}
    found: BooleanExpression = AlwaysTrue()
    for part in _conjuncts(select, node, joins):
        for column, make in _comparisons(part):
            mine = column.table.lower() == node.alias_or_name.lower() or (
                alone and not column.table
            )
            field = fields.get(column.name.lower())
            if mine and field is not None:
                compared = make(field.name, field.field_type)
                found = found if compared is None else And(found, compared)
    return found


def _conjuncts(select: exp.Select, node: exp.Table, joins: list[exp.Join]) -> Iterator[exp.Expr]:
    """Return the conditions that rows of a table have to fulfil; a null fulfils none of those that are used."""
    where = select.args.get("where")
    if where is not None:
        yield from _split(where.this)
    for join in joins:
        inner = not join.side and join.kind.upper() in {"", "INNER"}
        own = join.this is node and join.side.upper() in {"", "LEFT"}
        if join.args.get("on") is not None and (own or (inner and not any(j.side for j in joins))):
            yield from _split(join.args["on"])


def _split(condition: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(condition, exp.Paren):
        yield from _split(condition.this)
    elif isinstance(condition, exp.And):
        yield from _split(condition.left)
        yield from _split(condition.right)
    else:
        yield condition


_Made = Callable[[str, IcebergType], "BooleanExpression | None"]


def _comparisons(part: exp.Expr) -> Iterator[tuple[exp.Column, _Made]]:
    if type(part) in _COMPARISONS:
        usual, exchanged = _COMPARISONS[type(part)]
        left, right = part.this, part.expression
        if isinstance(left, exp.Column):
            yield left, _with(usual, right)
        elif isinstance(right, exp.Column):
            yield right, _with(exchanged, left)
    elif isinstance(part, exp.Between) and isinstance(part.this, exp.Column):
        yield part.this, _with(GreaterThanOrEqual, part.args["low"])
        yield part.this, _with(LessThanOrEqual, part.args["high"])
    elif isinstance(part, exp.In) and isinstance(part.this, exp.Column) and part.expressions:
        yield part.this, _any_of(part.expressions)


def _with(comparison: _Comparison, value: exp.Expr) -> _Made:
    def made(name: str, kind: IcebergType) -> BooleanExpression | None:
        literal = _literal(value, kind)
        found: BooleanExpression | None = None if literal is None else comparison(name, literal)
        return found

    return made


def _any_of(values: list[exp.Expr]) -> _Made:
    among: _Comparison = In

    def made(name: str, kind: IcebergType) -> BooleanExpression | None:
        literals = [_literal(value, kind) for value in values]
        found: BooleanExpression | None = None if None in literals else among(name, literals)
        return found

    return made


def _literal(value: exp.Expr, kind: IcebergType) -> Any:
    """Return a literal of a column's own type, None for everything else."""
    if isinstance(value, exp.Literal):
        if isinstance(kind, StringType) and value.is_string:
            return value.name
        if (
            isinstance(kind, (IntegerType, LongType))
            and value.name.isdigit()
            and not value.is_string
        ):
            return int(value.name)
        return None
    if not isinstance(value, exp.Cast) or not isinstance(value.this, exp.Literal):
        return None
    try:
        if isinstance(kind, DateType) and value.to.this is exp.DType.DATE:
            return date.fromisoformat(value.this.name).isoformat()
        if isinstance(kind, TimestampType) and value.to.this is exp.DType.TIMESTAMP:
            return datetime.fromisoformat(value.this.name).isoformat()
    except ValueError:
        return None
    return None

"""Athena's types: their families, their sizes, and what they have in common."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlglot import exp
from sqlglot.errors import SqlglotError

if TYPE_CHECKING:
    from collections.abc import Sequence

DType = exp.DType

UNKNOWN = exp.DataType(this=DType.UNKNOWN)
NULL = exp.DataType(this=DType.NULL)
BOOLEAN = exp.DataType(this=DType.BOOLEAN)
INTEGER = exp.DataType(this=DType.INT)
BIGINT = exp.DataType(this=DType.BIGINT)
REAL = exp.DataType(this=DType.FLOAT)
DOUBLE = exp.DataType(this=DType.DOUBLE)
VARCHAR = exp.DataType(this=DType.VARCHAR)
DATE = exp.DataType(this=DType.DATE)
TIMESTAMP = exp.DataType(this=DType.TIMESTAMP)
TIMESTAMPTZ = exp.DataType(this=DType.TIMESTAMPTZ)
INTERVAL = exp.DataType(this=DType.INTERVAL)

WIDTHS = {DType.TINYINT: 3, DType.SMALLINT: 5, DType.INT: 10, DType.BIGINT: 19}
"""Decimal digits of each integer type, in the order Athena widens them."""

INTEGERS = frozenset(WIDTHS)
FLOATS = frozenset({DType.FLOAT, DType.DOUBLE})
LARGEST_INTEGER = 2**31 - 1
LARGEST_PRECISION = 38


class Family(StrEnum):
    """Types that Athena compares with each other without a cast."""

    NUMBER = "number"
    TEXT = "varchar"
    BOOLEAN = "boolean"
    MOMENT = "date or timestamp"
    INTERVAL = "interval"
    BINARY = "varbinary"
    ARRAY = "array"
    MAP = "map"
    ROW = "row"
    NULL = "null"
    UNKNOWN = "unknown"


FAMILIES = {
    **dict.fromkeys((*INTEGERS, *FLOATS, DType.DECIMAL), Family.NUMBER),
    **dict.fromkeys((DType.VARCHAR, DType.TEXT, DType.CHAR), Family.TEXT),
    **dict.fromkeys((DType.DATE, DType.TIMESTAMP, DType.TIMESTAMPTZ), Family.MOMENT),
    DType.BOOLEAN: Family.BOOLEAN,
    DType.INTERVAL: Family.INTERVAL,
    DType.VARBINARY: Family.BINARY,
    DType.ARRAY: Family.ARRAY,
    DType.MAP: Family.MAP,
    DType.STRUCT: Family.ROW,
    DType.NULL: Family.NULL,
}


def type_of(node: exp.Expr) -> exp.DataType:
    """Return the type that `annotate` found for `node`."""
    return node.type if isinstance(node.type, exp.DataType) else UNKNOWN


def family_of(node: exp.Expr) -> Family:
    """Return the family of `node`'s type."""
    return family(type_of(node))


def family(kind: exp.DataType) -> Family:
    """Return the family that `kind` belongs to."""
    return FAMILIES.get(kind.this, Family.UNKNOWN)


def is_integer(node: exp.Expr) -> bool:
    """Return whether `node` is known to be of an integer type."""
    return type_of(node).this in INTEGERS


def is_floating(node: exp.Expr) -> bool:
    """Return whether `node` is known to be DOUBLE or REAL."""
    return type_of(node).this in FLOATS


def is_unknown(node: exp.Expr) -> bool:
    """Return whether nothing is known of `node`'s type."""
    return family_of(node) is Family.UNKNOWN


def digits(kind: exp.DataType) -> tuple[int, int] | None:
    """Return precision and scale of a decimal or an integer, None when they are not known."""
    if kind.this in WIDTHS:
        return WIDTHS[kind.this], 0
    sizes = [int(size.name) for size in kind.expressions if size.name.isdigit()]
    if kind.this is not DType.DECIMAL or not sizes:
        return None
    return sizes[0], sizes[1] if len(sizes) > 1 else 0


def decimal(precision: int, scale: int) -> exp.DataType:
    """Return DECIMAL(precision, scale), at most 38 digits."""
    sizes = [min(precision, LARGEST_PRECISION), scale]
    params = [exp.DataTypeParam(this=exp.Literal.number(size)) for size in sizes]
    return exp.DataType(this=DType.DECIMAL, expressions=params, nested=False)


@lru_cache(1024)
def parse_type(name: str) -> exp.DataType:
    """Return the type called `name` in Athena, unknown when it has no such name."""
    try:
        return exp.DataType.build(name, dialect="athena")
    except (SqlglotError, ValueError):
        return UNKNOWN


def common(kinds: Sequence[exp.DataType]) -> exp.DataType:
    """Return the type that Athena gives a value taken from one of `kinds`."""
    kinds = [kind for kind in kinds if kind.this is not DType.NULL]
    if not kinds:
        return NULL
    if all(kind == kinds[0] for kind in kinds):
        return kinds[0]
    families = {family(kind) for kind in kinds}
    if families == {Family.NUMBER}:
        return common_number(kinds)
    if families == {Family.TEXT}:
        return VARCHAR
    names = {kind.this for kind in kinds}
    if families == {Family.MOMENT}:
        return TIMESTAMPTZ if DType.TIMESTAMPTZ in names else TIMESTAMP
    return UNKNOWN


def common_number(kinds: Sequence[exp.DataType]) -> exp.DataType:
    """Return the number type that holds every one of `kinds`, as Athena widens them."""
    names = {kind.this for kind in kinds}
    if DType.DOUBLE in names:
        return DOUBLE
    if DType.FLOAT in names:
        return REAL
    if names <= INTEGERS:
        return exp.DataType(this=max(names, key=WIDTHS.__getitem__))
    sizes = [digits(kind) for kind in kinds]
    if None in sizes:
        return exp.DataType(this=DType.DECIMAL)
    known = [size for size in sizes if size is not None]
    scale = max(scale for _, scale in known)
    return decimal(max(precision - s for precision, s in known) + scale, scale)

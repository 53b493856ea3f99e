"""Aggregates and window functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging.warehouses.local.dialect.build import (
    Place,
    call,
    case,
    cast,
    must,
    must_type,
    of_family,
)
from statsig_staging.warehouses.local.dialect.comparisons import is_nan, may_be_nan, not_nan
from statsig_staging.warehouses.local.dialect.refusals import athena_name, refused
from statsig_staging.warehouses.local.dialect.types import (
    DType,
    Family,
    digits,
    family_of,
    is_floating,
    is_integer,
    is_unknown,
    type_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_ORDERLESS = (exp.ArraySort, exp.ArraySize, exp.ArrayContains, exp.ArrayMax, exp.ArrayMin)
_LARGEST = 2**63 - 1


def count(node: exp.Expr) -> exp.Expr:
    """Leave COUNT as it is; Athena counts one distinct expression."""
    if isinstance(node.this, exp.Distinct) and len(node.this.expressions) > 1:
        raise refused("COUNT(DISTINCT a, b)", "Athena has none; write COUNT(DISTINCT a || b)")
    return node


def total(node: exp.Expr) -> exp.Expr:
    """Sum numbers; DuckDB sums booleans too."""
    return _with_value(node, _number)


def mean(node: exp.Expr) -> exp.Expr:
    """Average numbers; DuckDB turns decimals into doubles."""
    value = _value(node)
    if type_of(value).this is DType.DECIMAL:
        raise refused(
            "avg of decimals", "Athena rounds to their scale; write AVG(CAST(x AS DOUBLE))"
        )
    return _with_value(node, _number_not_decimal)


def _number(value: exp.Expr, user: exp.Expr) -> exp.Expr:
    value = of_family(value, Family.NUMBER, user)
    if not is_unknown(value) or not isinstance(value, exp.Anonymous):
        return value
    real = exp.NEQ(
        this=call("typeof", value.expressions[0].copy()), expression=exp.Literal.string("FLOAT")
    )
    return must_type(value, real, "a REAL column is not known here; CAST it to DOUBLE", user)


def _number_not_decimal(value: exp.Expr, user: exp.Expr) -> exp.Expr:
    if not is_unknown(value):
        return of_family(value, Family.NUMBER, user)
    decimal = exp.Not(this=call("starts_with", call("typeof", value.copy()), "DECIMAL"))
    return must_type(_number(value, user), decimal, "avg of a decimal; CAST it to DOUBLE", user)


def _value(node: exp.Expr) -> exp.Expr:
    value: exp.Expr = node.this
    inner: exp.Expr = value.expressions[0] if isinstance(value, exp.Distinct) else value
    return inner


def _with_value(node: exp.Expr, change: Callable[[exp.Expr, exp.Expr], exp.Expr]) -> exp.Expr:
    value = _value(node)
    place, found = Place.of(value), change(value, node)
    if found is not value:
        place.take(found)
    return node


def lowest_or_highest(node: exp.Expr) -> exp.Expr:
    """Leave MIN and MAX as they are, and the n lowest values: neither engine counts nulls, and NaN is last."""
    if node.expressions and (isinstance(node, exp.Max) or not _is_count(node.expressions[0])):
        raise refused(f"{node.key}(x, n)", "use a window with ROW_NUMBER()")
    return node


def _is_count(number: exp.Expr) -> bool:
    """Return whether it is a number that MIN(x, n) takes; Trino's has to be below 10,000."""
    return isinstance(number, exp.Literal) and number.is_int and 0 < int(number.name) < 10_000


def at_extreme(node: exp.Expr) -> exp.Expr:
    """Return MIN_BY or MAX_BY, which keep a null value; DuckDB's arg_min skips it."""
    name = athena_name(node)
    if node.args.get("count"):
        raise refused(f"{name}(x, y, n)", "use a window with ROW_NUMBER()")
    value, key = node.this.copy(), node.expression.copy()
    if isinstance(node, exp.ArgMax) and may_be_nan(key) and not _is_row(key):
        no_nan = exp.Not(this=exp.Paren(this=is_nan(key)))
        key = must(key, no_nan, f"{name} by NaN")
    function = "arg_min_null" if isinstance(node, exp.ArgMin) else "arg_max_null"
    return call(function, value, key)


def _is_row(key: exp.Expr) -> bool:
    return isinstance(key, exp.Anonymous) and key.name.upper() == "ROW"


def row(node: exp.Expr) -> exp.Expr:
    """Return ROW(a, b), which only orders MIN_BY and MAX_BY."""
    parent = node.parent
    if not isinstance(parent, (exp.ArgMin, exp.ArgMax)) or node.arg_key != "expression":
        raise refused("ROW", "rows are the same on both only as what MIN_BY and MAX_BY order by")
    return call("ROW", *(value.copy() for value in node.expressions))


def array(node: exp.Expr) -> exp.Expr:
    """Return ARRAY_AGG in an order, or where the order makes no difference."""
    parent = node.parent
    while isinstance(parent, (exp.Filter, exp.Paren)):
        parent = parent.parent
    if not isinstance(node.this, exp.Order) and not isinstance(parent, _ORDERLESS):
        raise refused("array_agg", "the order is not determined; write ARRAY_AGG(x ORDER BY y)")
    return node


def joined(node: exp.Expr) -> exp.Expr:
    """Return LISTAGG(x, separator) WITHIN GROUP (ORDER BY y)."""
    if not isinstance(node.this, exp.Order):
        raise refused("listagg", "without an order; write WITHIN GROUP (ORDER BY y)")
    if family_of(node.this.this) not in {Family.TEXT, Family.UNKNOWN}:
        raise refused("listagg", "it takes text; write a CAST")
    return node


def finishing(aggregate: exp.Expr) -> Callable[[exp.Expr], exp.Expr]:
    """Return what gives an aggregate with its FILTER and OVER, once translated, Athena's type and limits.

    Args:
        aggregate: The aggregate as it was before anything in it was translated.
    """
    match aggregate:
        case exp.Sum():
            return _limiting(_value(aggregate))
        case exp.Avg() if type_of(aggregate).this is DType.FLOAT:
            return _as_float
        case exp.Max() if may_be_nan(aggregate.this):
            return _highest
        case exp.Corr():
            return _finite
        case _:
            return _as_it_is


def _limiting(value: exp.Expr) -> Callable[[exp.Expr], exp.Expr]:
    """Return what makes a bigint of a sum, where DuckDB has a HUGEINT that does not overflow."""
    if is_integer(value):
        return _as_bigint
    if type_of(value).this is DType.FLOAT:
        return _as_float
    if is_floating(value) or digits(type_of(value)):
        return _as_it_is
    return _bigint_or_as_it_is


def _as_it_is(shell: exp.Expr) -> exp.Expr:
    return shell


def _as_bigint(shell: exp.Expr) -> exp.Expr:
    return cast(shell, DType.BIGINT)


def _as_float(shell: exp.Expr) -> exp.Expr:
    return cast(shell, DType.FLOAT)


def _finite(shell: exp.Expr) -> exp.Expr:
    """Return null where a quotient is not finite, as Trino does; DuckDB has NaN."""
    return case((call("isfinite", shell), shell.copy()))


def _bigint_or_as_it_is(shell: exp.Expr) -> exp.Expr:
    huge = exp.NEQ(this=call("typeof", shell.copy()), expression=exp.Literal.string("HUGEINT"))
    fits = exp.Between(
        this=shell.copy(),
        low=exp.Neg(this=exp.Literal.number(_LARGEST)),
        high=exp.Literal.number(_LARGEST),
    )
    return must(
        shell, exp.or_(huge, fits, copy=False), "NUMERIC_VALUE_OUT_OF_RANGE: bigint sum overflow"
    )


def _highest(shell: exp.Expr) -> exp.Expr:
    """Return the largest number, NaN only where there is nothing else."""
    numbers = shell.copy()
    for node in numbers.find_all(exp.Max):
        node.set("this", not_nan(node.this))
        break
    return exp.Coalesce(this=numbers, expressions=[shell])

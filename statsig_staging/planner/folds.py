"""Folds: how the aggregates of several unit-days become one, by the rows of a group or along a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from sqlglot import exp

from statsig_staging.aggregates import Fold

if TYPE_CHECKING:
    from statsig_staging.derived import Slot


def double(value: exp.Expr) -> exp.Cast:
    """Return a value as DOUBLE; the value is taken as it is, not copied."""
    return exp.Cast(this=value, to=exp.DataType(this=exp.DataType.Type.DOUBLE))


def named(value: exp.Expr, name: str) -> exp.Expr:
    """Return a value as a column of this name; the value is taken as it is, not copied."""
    return exp.Alias(this=value, alias=exp.to_identifier(name))


def zero() -> exp.Expr:
    """Return 0 as DOUBLE."""
    return double(exp.Literal.number(0))


def or_zero(value: exp.Expr) -> exp.Expr:
    """Return a value, 0 where it is null."""
    return exp.Coalesce(this=value, expressions=[zero()])


def present(aggregate: Slot, value: exp.Expr) -> exp.Expr:
    """Return a day's aggregate: nothing added up is 0, no smallest or latest value is null."""
    return or_zero(value) if aggregate.fold is Fold.SUM else value


def folded(aggregate: Slot, value: exp.Expr, day: exp.Expr) -> exp.Expr:
    """Return the aggregate of the days of a group.

    Args:
        aggregate: What is put together.
        value: The column of it.
        day: The column of the day.
    """
    fold = aggregate.fold
    match fold:
        case Fold.SUM:
            return exp.Sum(this=value)
        case Fold.MIN:
            return exp.Min(this=value)
        case Fold.MAX:
            return exp.Max(this=value)
        case Fold.FIRST | Fold.LATEST:
            call = exp.ArgMin if fold is Fold.FIRST else exp.ArgMax
            there = exp.Where(this=exp.Is(this=value.copy(), expression=exp.Null()).not_())
            return exp.Filter(this=call(this=value, expression=day), expression=there)
        case _:
            assert_never(fold)


def running(
    aggregate: Slot, value: exp.Expr, *, by: exp.Expr, along: exp.Expr, until: str
) -> exp.Expr:
    """Return the aggregate of a unit's days so far.

    Args:
        aggregate: What is put together.
        value: The column of it.
        by: The column of the unit.
        along: The column of the day.
        until: ``CURRENT ROW``, or ``1`` for the day before it.
    """
    spec = exp.WindowSpec(
        kind="ROWS",
        start="UNBOUNDED",
        start_side="PRECEDING",
        end=until if until == "CURRENT ROW" else exp.Literal.number(1),
        end_side=None if until == "CURRENT ROW" else "PRECEDING",
    )
    order = exp.Order(expressions=[exp.Ordered(this=along)])
    return exp.Window(this=_along(aggregate.fold, value), partition_by=[by], order=order, spec=spec)


def _along(fold: Fold, value: exp.Expr) -> exp.Expr:
    match fold:
        case Fold.SUM:
            return exp.Sum(this=value)
        case Fold.MIN:
            return exp.Min(this=value)
        case Fold.MAX:
            return exp.Max(this=value)
        case Fold.FIRST:
            return exp.IgnoreNulls(this=exp.FirstValue(this=value))
        case Fold.LATEST:
            return exp.IgnoreNulls(this=exp.LastValue(this=value))
        case _:
            assert_never(fold)

"""Aggregation: how rows of a unit-day become one number."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from sqlglot import exp

from statsig_staging.aggregates import AggregateKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from statsig_staging.aggregates import Aggregate


def aggregated(
    aggregate: Aggregate,
    values: Mapping[str, str],
    passes: exp.Expr | None,
    when: exp.Expr | None,
) -> tuple[exp.Expr, exp.Expr]:
    """Return an aggregate, and the count of rows that went into it."""
    counted: exp.Expr = exp.Star()
    if aggregate.value is not None:
        counted = exp.column(values[aggregate.value], "e")
    if aggregate.kind is AggregateKind.LATEST_FLAG:
        counted, passes = _flag(passes), None
    conditions = [each for each in (passes, when) if each is not None]
    rows = _filtered(exp.Count(this=counted), conditions)
    found = _put_together(aggregate.kind, counted, rows, conditions)
    if aggregate.cap is not None:
        found = at_most(exp.cast(found, "double"), aggregate.cap)
    return found, rows.copy()


def at_most(number: exp.Expr, cap: float) -> exp.Expr:
    """Return a DOUBLE, the cap where it is above that; null stays null."""
    limit = exp.cast(exp.Literal.number(repr(cap)), "double")
    above = exp.GT(this=number, expression=limit)
    return exp.Case(ifs=[exp.If(this=above, true=limit.copy())], default=number.copy())


def _flag(passes: exp.Expr | None) -> exp.Expr:
    one, zero = (exp.cast(exp.Literal.number(number), "double") for number in (1, 0))
    if passes is None:
        return one
    return exp.Case(ifs=[exp.If(this=passes, true=one)], default=zero)


def _put_together(
    kind: AggregateKind, counted: exp.Expr, rows: exp.Expr, conditions: Sequence[exp.Expr]
) -> exp.Expr:
    match kind:
        case AggregateKind.COUNT | AggregateKind.RECORDS:
            return exp.Nullif(this=rows, expression=exp.Literal.number(0))
        case AggregateKind.ACTIVE:
            some = exp.GT(this=rows, expression=exp.Literal.number(0))
            return exp.Case(ifs=[exp.If(this=some, true=exp.Literal.number(1))])
        case AggregateKind.SUM:
            return _filtered(exp.Sum(this=counted.copy()), conditions)
        case AggregateKind.MIN:
            return _filtered(exp.Min(this=counted.copy()), conditions)
        case AggregateKind.MAX:
            return _filtered(exp.Max(this=counted.copy()), conditions)
        case AggregateKind.FIRST | AggregateKind.LATEST | AggregateKind.LATEST_FLAG:
            pair = exp.Anonymous(
                this="ROW", expressions=[exp.column("occurred_at", "e"), counted.copy()]
            )
            there = exp.Is(this=counted.copy(), expression=exp.Null()).not_()
            call = exp.ArgMin if kind is AggregateKind.FIRST else exp.ArgMax
            return _filtered(call(this=counted.copy(), expression=pair), [*conditions, there])
        case AggregateKind.DISTINCT | AggregateKind.VALUES | AggregateKind.MOMENTS:
            raise ValueError(f"{kind}: a unit-day stores no values one by one")
        case _:
            assert_never(kind)


def _filtered(call: exp.Expr, conditions: Sequence[exp.Expr]) -> exp.Expr:
    if not conditions:
        return call
    where = exp.Where(this=exp.and_(*(condition.copy() for condition in conditions)))
    return exp.Filter(this=call, expression=where)

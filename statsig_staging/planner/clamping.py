"""Clamping: values beyond a percentile of their day are put on it.

Athena has no exact percentile, only ``approx_percentile``
(https://docs.aws.amazon.com/athena/latest/ug/functions-env3.html lists those of Trino), so the values of a
day are sorted into an array and read at two places of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.planner.folds import zero

if TYPE_CHECKING:
    from collections.abc import Mapping

    from statsig_staging.terms import Winsor


def clamped(
    values: exp.Query, winsors: Mapping[str, Winsor | None], *, is_apart: bool = False
) -> exp.Query:
    """Return units' values with some columns cut off at percentiles.

    Args:
        values: Rows with ``point``, ``unit_id``, ``group_id`` and value columns.
        winsors: Every value column → where it is cut off; None where it is not.
        is_apart: Whether percentiles are of the groups that begin with the same two digits.
    """
    cut = {name: winsor for name, winsor in winsors.items() if winsor is not None}
    if not cut:
        return values
    tables = {"unit_values": values}
    query = (
        templates.bind("clamped_by_level", tables=tables)
        if is_apart
        else templates.bind("clamped", tables=tables)
    )
    arrays, bounds = templates.part(query, "sorted"), templates.part(query, "bounds")
    for name, winsor in cut.items():
        arrays.select(exp.alias_(_sorted(exp.column(name, "n")), name), copy=False)
        for side, share in (("low", winsor.low), ("high", winsor.high)):
            if share is not None:
                bound = percentile(exp.column(name, "o"), share)
                bounds.select(exp.alias_(bound, f"{name}_{side}"), copy=False)
    for name in winsors:
        value = _within(name, cut[name]) if name in cut else exp.column(name, "c")
        query.select(exp.alias_(value, name), copy=False)
    return query


def _sorted(value: exp.Expr) -> exp.Expr:
    """Return the values that are not zero, in order."""
    some = exp.Where(this=exp.NEQ(this=value.copy(), expression=zero()))
    return exp.ArraySort(this=exp.Filter(this=exp.ArrayAgg(this=value), expression=some))


def percentile(array: exp.Expr, share: float) -> exp.Expr:
    """Return a percentile of a sorted array, interpolated between the two values around it; null of none."""
    last = exp.Sub(this=exp.ArraySize(this=array), expression=exp.Literal.number(1))
    of = exp.cast(exp.Literal.number(repr(share)), "double")
    rank = exp.paren(exp.Mul(this=of, expression=exp.cast(exp.paren(last), "double")))
    below = exp.cast(exp.Floor(this=rank), "bigint")
    above = exp.cast(exp.Ceil(this=rank.copy()), "bigint")
    part = exp.paren(exp.Sub(this=rank.copy(), expression=exp.Floor(this=rank.copy())))
    low, high = _at(array, below), _at(array, above)
    step = exp.paren(exp.Sub(this=high, expression=low.copy()))
    return exp.Add(this=low, expression=exp.Mul(this=step, expression=part))


def _at(array: exp.Expr, index: exp.Expr) -> exp.Expr:
    position = exp.Add(this=index, expression=exp.Literal.number(1))
    return exp.Bracket(
        this=array.copy(), expressions=[exp.cast(position, "bigint")], offset=1, safe=True
    )


def _within(name: str, winsor: Winsor) -> exp.Expr:
    value = exp.column(name, "c")
    ifs = [exp.If(this=exp.EQ(this=value, expression=zero()), true=value.copy())]
    if winsor.low is not None:
        low = exp.column(f"{name}_low", "b")
        ifs.append(exp.If(this=exp.LT(this=value.copy(), expression=low), true=low.copy()))
    if winsor.high is not None:
        high = exp.column(f"{name}_high", "b")
        ifs.append(exp.If(this=exp.GT(this=value.copy(), expression=high), true=high.copy()))
    return exp.Case(ifs=ifs, default=value.copy())

"""Percentiles: statistics of metrics that are a percentile of all values, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.aggregates import ValueKind
from statsig_staging.planner import direct, exposures, moments, tables
from statsig_staging.planner.direct import Direct
from statsig_staging.planner.folds import or_zero
from statsig_staging.planner.times import days_later

if TYPE_CHECKING:
    from collections.abc import Sequence

    from statsig_staging.planner.results import Results
    from statsig_staging.terms import Statistic

_SUMS = (
    "total",
    "total_squares",
    "denominator_total",
    "denominator_total_squares",
    "numerator_denominator_product",
)
"""What a percentile has statistics of: for each unit how many of its values lie below, and how many it has."""


def statistics(wanted: Results, chosen: Sequence[Statistic], rollup: str) -> exp.Query:
    """Return the statistics of some percentiles of one source that share a clock, in one rollup."""
    of = Direct(wanted=wanted, statistics=chosen, rollup=rollup, names=moments.numbered(chosen))
    point = exp.column("point", "g")
    nothing = exp.cast(exp.null(), "bigint" if not of.by_index else "date")
    query = templates.bind(
        "results_percentiles",
        tables={
            "standing_values": _standing(of),
            "percentile_keys": _keys(chosen),
            "grid": direct.grid(of),
            "counted": direct.counted(of),
            "statistic_keys": moments.keys([rollup], chosen),
        },
        values={
            "ds": nothing if of.by_index else point,
            "day_index": point if of.by_index else nothing,
        },
    )
    for column in moments.COLUMNS:
        query.select(exp.alias_(_column(column), column), copy=False)
    return query


def _column(name: str) -> exp.Expr:
    if name in _SUMS:
        return or_zero(exp.column(name, "t"))
    return exp.column("bound", "q") if name == "percentile" else exp.cast(exp.null(), "double")


def _keys(chosen: Sequence[Statistic]) -> exp.Query:
    """Return one row per metric: what its values are, and which percentile it is."""
    rows = [
        [
            number,
            each.aggregates[0].column,
            exp.cast(templates.literal(repr(each.percentile)), "double"),
        ]
        for number, each in enumerate(chosen)
    ]
    return templates.listed("k", ("number", "aggregate", "share"), rows)


def _standing(of: Direct) -> exp.Query:
    """Return the values of counted units on each day that they count on."""
    wanted = of.wanted
    held = {each.column: each for one in of.statistics for each in one.aggregates}
    [source] = {each.source for each in held.values()}
    table = tables.values(ValueKind.PERCENTILE, wanted.experiment.id, source, held.values())
    chosen = tables.counting(table, "u") or exp.true()
    bound: dict[str, exp.Expr] = {
        "percentile_values": wanted.node(table),
        "members": direct.members(of),
    }
    if of.by_index:
        counts = exp.LTE(this=exp.column("ds", "u"), expression=templates.literal(direct.last(of)))
        values = {"wanted": exp.and_(chosen, counts), "through": wanted.days[-1]}
        return templates.bind("values_since_exposure", tables=bound, values=values)
    first = direct.since(of)
    day = exp.column("ds", "u")
    if first is not None:
        recent = exp.GTE(this=day, expression=templates.literal(first))
        chosen = exp.and_(chosen, recent)
    counts_on = days_later(day.copy(), of.clock.bake_days)
    still: exp.Expr = exp.true()
    if of.rollup in direct.TRAILING:
        gone_on = days_later(day.copy(), direct.TRAILING[of.rollup] + of.clock.bake_days)
        still = exp.LT(this=exp.column("ds", "d"), expression=gone_on)
    return templates.bind(
        "values_standing",
        tables=bound | {"days": exposures.listed_days(of.days)},
        values={"wanted": chosen, "counts_on": counts_on, "still": still},
    )

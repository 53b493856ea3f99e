"""Carried statistics: the daily and the cumulative series of values that change with a unit's own rows only.

A sum over all units moves only by the units that are active on a day, so the whole series costs one pass
over the unit-days (docs/adr/0008-units-that-leave-stand-apart-in-results.md says who stands apart).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.aggregates import Fold
from statsig_staging.days import DAY
from statsig_staging.planner import exposures, moments
from statsig_staging.planner.folds import double, folded, named, or_zero, present, running

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from statsig_staging.derived import Slot
    from statsig_staging.planner.moments import Moment, Numbered
    from statsig_staging.planner.results import Results
    from statsig_staging.terms import Part, Statistic, Term

ROLLUPS = ("daily", "cumulative")
"""The rollups that one pass gives."""


def is_carried(statistic: Statistic) -> bool:
    """Return whether a statistic's values change with a unit's own rows only."""
    alone = all(term.is_carried for term in statistic.values)
    return alone and statistic.clock.is_plain and not statistic.covariates


def statistics(wanted: Results, chosen: Sequence[Statistic], rollups: Sequence[str]) -> exp.Query:
    """Return the statistics of some metrics, of untouched days nothing but their totals."""
    experiment, names = wanted.experiment, moments.numbered(chosen)
    query = templates.bind(
        "results_carried",
        tables={
            "first_exposures": wanted.units,
            "exposures_summary": wanted.summary,
            "unit_days": moments.unit_days(wanted, wanted.totals, names.aggregates),
            "statistic_keys": moments.keys(rollups, chosen),
            "days": exposures.listed_days(wanted.recent),
            "rollups": templates.listed("r", ["rollup"], [[rollup] for rollup in rollups]),
        },
        values={
            "crossovers_leave": experiment.crossover == "exclude",
            "since": wanted.since if wanted.keeps else wanted.days[0],
        },
    )
    for prefix, unit in (("", "unit_key"), ("leaver_", "unit_id")):
        _fill_activity(templates.part(query, f"{prefix}activity"), names)
        _fill_running(templates.part(query, f"{prefix}running"), names, unit)
    if wanted.keeps and not (wanted.carries and names.are_stored):
        _fold(templates.part(query, "activity"), names, wanted.since - DAY)
    _fill_moments(templates.part(query, "moments"), names)
    _fill_leaver_moments(templates.part(query, "leaver_moments"), names)
    _fill_series(templates.part(query, "series"), names)
    _fill_by_rollup(templates.part(query, "by_rollup"), names)
    moments.fill_statistics(query, chosen, lambda source: _value(source, names))
    return query


def _fold(activity: exp.Select, names: Numbered, day: date) -> None:
    """Put everything up to ``day`` on that day, one row per unit."""
    old = exp.column("ds", "u")
    last = templates.literal(day)
    on_day = exp.Case(
        ifs=[exp.If(this=exp.LT(this=old, expression=last), true=last.copy())], default=old.copy()
    )
    together = [
        named(present(aggregate, folded(aggregate, exp.column(short, "u"), old.copy())), short)
        for short, aggregate in names.aggregates.values()
    ]
    keys = [exp.column("unit_key", "m"), exp.column("group_id", "m")]
    activity.select(*keys, named(on_day, "ds"), *together, append=False, copy=False)
    activity.group_by(*(key.copy() for key in keys), on_day.copy(), copy=False)


def _fill_activity(activity: exp.Select, names: Numbered) -> None:
    values = (
        named(present(aggregate, exp.column(short, "u")), short)
        for short, aggregate in names.aggregates.values()
    )
    activity.select(*values, copy=False)


def _fill_running(running_days: exp.Select, names: Numbered, unit: str) -> None:
    """Add, per aggregate, the day's value and the unit's total through that day, and before it if need be."""
    columns: list[exp.Expr] = []
    for short, aggregate in names.aggregates.values():
        value = exp.column(short, "a")
        ends = {"total": "CURRENT ROW"}
        if aggregate.fold is not Fold.SUM:
            ends["before"] = "1"
        windows = (
            named(
                running(
                    aggregate,
                    value.copy(),
                    by=exp.column(unit, "a"),
                    along=exp.column("ds", "a"),
                    until=end,
                ),
                f"{short}_{name}",
            )
            for name, end in ends.items()
        )
        columns += (value, *windows)
    running_days.select(*columns, copy=False)


def _fill_moments(rows: exp.Select, names: Numbered) -> None:
    """Add, per moment, what the day's rows sum to, and by how much the sum over all units moves."""
    sums: list[exp.Expr] = []
    for short, moment in names.moments.values():
        day = _product(moment, names, _day_value)
        sums += (
            named(exp.Sum(this=day), f"{short}_daily"),
            named(exp.Sum(this=_move(moment, names)), f"{short}_move"),
        )
    rows.select(*sums, copy=False)


def _move(moment: Moment, names: Numbered) -> exp.Expr:
    """Return f(total) - f(total - day), without the cancellation that the plain form has."""
    if moment.right is None:
        if moment.left.is_linear:
            return _valued(moment.left, names, _day_value)
    elif moment.left.is_linear and moment.right.is_linear:
        left, right = moment.left, moment.right
        return exp.Sub(
            this=exp.Add(
                this=exp.Mul(
                    this=_valued(left, names, _day_value), expression=_valued(right, names, _total)
                ),
                expression=exp.Mul(
                    this=_valued(left, names, _total), expression=_valued(right, names, _day_value)
                ),
            ),
            expression=exp.Mul(
                this=_valued(left, names, _day_value), expression=_valued(right, names, _day_value)
            ),
        )
    before = _product(moment, names, _total_before)
    return exp.Sub(this=_product(moment, names, _total), expression=exp.paren(before))


def _fill_leaver_moments(rows: exp.Select, names: Numbered) -> None:
    """Add, per moment, what the day's rows of the leavers sum to, and where their totals stand."""
    sums: list[exp.Expr] = []
    for short, moment in names.moments.values():
        on_day = exp.EQ(this=exp.column("ds", "d"), expression=exp.column("ds", "r"))
        day = exp.Case(ifs=[exp.If(this=on_day, true=_product(moment, names, _day_value))])
        sums += (
            named(exp.Sum(this=day), f"{short}_daily"),
            named(exp.Sum(this=_product(moment, names, _total)), f"{short}_standing"),
        )
    rows.select(*sums, copy=False)


def _product(moment: Moment, names: Numbered, value: Callable[[Slot, str], exp.Expr]) -> exp.Expr:
    left = _valued(moment.left, names, value)
    if moment.right is None:
        return left
    return exp.Mul(this=left, expression=_valued(moment.right, names, value))


def _valued(term: Term, names: Numbered, value: Callable[[Slot, str], exp.Expr]) -> exp.Expr:
    def of(part: Part) -> exp.Expr:
        return moments.shaped(part, value(part.aggregate, names.short(part.aggregate)))

    return moments.added(term, of)


def _day_value(_: Slot, short: str) -> exp.Expr:
    return exp.column(short, "r")


def _total(_: Slot, short: str) -> exp.Expr:
    return exp.column(f"{short}_total", "r")


def _total_before(aggregate: Slot, short: str) -> exp.Expr:
    if aggregate.fold is not Fold.SUM:
        return exp.column(f"{short}_before", "r")
    return exp.paren(
        exp.Sub(this=_total(aggregate, short), expression=_day_value(aggregate, short))
    )


def _fill_series(series: exp.Select, names: Numbered) -> None:
    columns: list[exp.Expr] = []
    for short, _ in names.moments.values():
        moved = exp.Window(
            this=exp.Sum(this=or_zero(exp.column(f"{short}_move", "m"))),
            partition_by=[exp.column("group_id", "s")],
            order=exp.Order(expressions=[exp.Ordered(this=exp.column("ds", "s"))]),
            spec=exp.WindowSpec(
                kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW"
            ),
        )
        daily = exp.Add(
            this=or_zero(exp.column(f"{short}_daily", "m")),
            expression=or_zero(exp.column(f"{short}_daily", "l")),
        )
        cumulative = exp.Add(this=moved, expression=or_zero(exp.column(f"{short}_standing", "l")))
        columns += (named(daily, f"{short}_daily"), named(cumulative, f"{short}_cumulative"))
    series.select(*columns, copy=False)


def _fill_by_rollup(rows: exp.Select, names: Numbered) -> None:
    columns: list[exp.Expr] = []
    for short, _ in names.moments.values():
        is_daily = exp.EQ(this=exp.column("rollup", "r"), expression=exp.Literal.string("daily"))
        chosen = exp.Case(
            ifs=[exp.If(this=is_daily, true=exp.column(f"{short}_daily", "t"))],
            default=exp.column(f"{short}_cumulative", "t"),
        )
        columns.append(named(chosen, short))
    rows.select(*columns, copy=False)


def _value(source: Moment | str, names: Numbered) -> exp.Expr:
    if isinstance(source, str):
        return double(exp.column(source, "t"))
    return exp.column(names.moments[source.key][0], "t")

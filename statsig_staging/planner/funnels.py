"""Funnels: the day on which each unit, or each of its sessions, reached each step, from the moments of rows.

Who reached a step is never undone by what comes later: the moments of the steps before it stand, and of
its own rows the earliest counts. So a step is told on one day, and the days add up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.aggregates import ValueKind
from statsig_staging.derived import Lasted, Reached
from statsig_staging.errors import WarehouseError
from statsig_staging.planner import tables
from statsig_staging.planner.times import block, later

if TYPE_CHECKING:
    from collections.abc import Mapping

    from statsig_staging.derived import Funnel, FunnelStep, Limit
    from statsig_staging.planner.request import LoadRequest
    from statsig_staging.planner.results import Results


def check(request: LoadRequest) -> None:
    """Raise a WarehouseError where the moments of a funnel's steps cannot be told apart."""
    dated = {source.name: request.scan(source).is_dated for source in request.metric_sources}
    for statistic in request.statistics:
        for slot in statistic.numerator.slots:
            if isinstance(slot, Reached | Lasted):
                _check_times(statistic.metric, slot.of, dated)


def _check_times(metric: str, funnel: Funnel, dated: Mapping[str, bool]) -> None:
    days = sorted({s.moments.source for s in funnel.steps if dated[s.moments.source]})
    if not days:
        return
    limits = [funnel.limit, *(step.limit for step in funnel.steps)]
    what = None
    if any(not dated[step.moments.source] for step in funnel.steps):
        what = "other steps have a time of day"
    elif funnel.from_exposure:
        what = "the exposure, its first step, has a time of day"
    elif any(limit is not None and limit.is_minutes for limit in limits):
        what = "it has a window of minutes"
    if what is not None:
        raise WarehouseError(
            f"metric {metric!r}: the rows of source {days[0]!r} have a date and no time of day, but "
            f"{what}: which came first cannot be told; use sources with a timestamp"
        )


def step_days(funnel: Funnel, wanted: Results) -> exp.Query:
    """Return one row per unit and day on which it reached steps.

    Columns are ``step_1`` and so on, in how many sessions it did or 1 where they are not told apart, and
    ``seconds``, which it took to the last, on that one's day; null for none.
    """
    numbers = range(1, funnel.count + 1)
    days = [
        exp.If(this=exp.Literal.number(number), true=exp.column(f"ds_{number}", "r"))
        for number in numbers
    ]
    query = templates.bind(
        "funnel_days",
        tables={
            "funnel": _walked(funnel, wanted),
            "step_keys": templates.listed("k", ["step"], [[number] for number in numbers]),
        },
        values={
            "ds": exp.Case(this=exp.column("step", "k"), ifs=days),
            "through": wanted.days[-1],
        },
    )
    for number in numbers:
        own = exp.EQ(this=exp.column("step", "d"), expression=exp.Literal.number(number))
        one = exp.Case(ifs=[exp.If(this=own, true=exp.Literal.number(1))])
        query.select(exp.alias_(exp.Sum(this=one), f"step_{number}"), copy=False)
    last = exp.EQ(this=exp.column("step", "d"), expression=exp.Literal.number(funnel.count))
    seconds = exp.Case(ifs=[exp.If(this=last, true=exp.column("seconds", "d"))])
    return query.select(exp.alias_(exp.Sum(this=seconds), "seconds"), copy=False)


def _walked(funnel: Funnel, wanted: Results) -> exp.Query:
    """Return one row per unit and session that entered: the day on which it reached each step, null where it did not."""
    first, *rest = funnel.steps
    if funnel.from_exposure:
        units = wanted.node(tables.first_exposures(wanted.experiment.id, wanted.source))
        walked = templates.bind("funnel_exposed", tables={"first_exposures": units})
        rest = [first, *rest]
    else:
        walked = templates.bind(
            "funnel_entered",
            tables={"funnel_events": _events(first, wanted)},
            values={"aggregate": first.moments.column},
        )
    for number, step in enumerate(rest, start=2):
        walked = _next(walked, number, step, funnel, wanted)
    return walked


def _next(
    walked: exp.Query, number: int, step: FunnelStep, funnel: Funnel, wanted: Results
) -> exp.Select:
    query = templates.bind(
        "funnel_step",
        tables={"earlier_steps": walked, "funnel_events": _events(step, wanted)},
        values={
            "aggregate": step.moments.column,
            "in_time": _in_time(step, funnel),
            "last_ds": exp.column(f"ds_{number - 1}", "p"),
        },
    )
    [day] = (each for each in query.expressions if each.alias == "ds")
    day.set("alias", exp.to_identifier(f"ds_{number}"))
    for earlier in range(1, number):
        query.select(exp.column(f"ds_{earlier}", "p"), copy=False)
        query.group_by(exp.column(f"ds_{earlier}", "p"), copy=False)
    return query


def _in_time(step: FunnelStep, funnel: Funnel) -> exp.Expr:
    """Return the condition that a row comes after the step before, and no later than it may."""
    moment, last = exp.column("value", "e"), exp.column("reached_at", "p")
    earliest = later(last, -funnel.allowance_ms, "MILLISECOND")
    after = exp.GT if funnel.is_strict else exp.GTE
    conditions: list[exp.Expr] = [after(this=moment, expression=earliest)]
    for limit, since in ((step.limit, "reached_at"), (funnel.limit, "entered_at")):
        if limit is not None:
            end = _over(exp.column(since, "p"), limit)
            conditions.append(exp.LT(this=moment.copy(), expression=end))
    return exp.and_(*conditions)


def _over(moment: exp.Expr, limit: Limit) -> exp.Expr:
    return later(moment, limit.blocks, block(is_minutes=limit.is_minutes))


def _events(step: FunnelStep, wanted: Results) -> exp.Table:
    source = step.moments.source
    table = tables.values(ValueKind.MOMENT, wanted.experiment.id, source, (step.moments,))
    return wanted.node(table)

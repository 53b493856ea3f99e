"""Direct statistics: values that are worked out for every unit on every day.

What a percentile of all units cuts off, what waits for a window to be over, what a trailing week holds:
none of it moves by a unit's own rows alone. It costs units times days.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import templates, terms
from statsig_staging.aggregates import Aggregate, AggregateKind
from statsig_staging.days import DAY
from statsig_staging.planner import clamping, exposures, moments
from statsig_staging.planner.distinct import Counting, DistinctDays
from statsig_staging.planner.folds import folded, or_zero, present, running, zero
from statsig_staging.planner.times import block, days_later, later, midnight

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from statsig_staging.derived import Slot
    from statsig_staging.planner.moments import Moment, Numbered
    from statsig_staging.planner.results import Results
    from statsig_staging.planner.unit_totals import UnitTotals
    from statsig_staging.terms import Clock, Completion, Part, Statistic, Term

TRAILING = {"daily": 1, "7_day": 7, "14_day": 14, "28_day": 28}
"""Rollup → how many days it looks back, the day itself included."""

CUMULATIVE = "cumulative"
SINCE_EXPOSURE = "days_since_exposure"
ROLLUPS = ("daily", CUMULATIVE, SINCE_EXPOSURE, "7_day", "14_day", "28_day")
"""Every rollup there is."""

_COUNTING = {CUMULATIVE: Counting.FIRST, SINCE_EXPOSURE: Counting.EACH_DAY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """Some metrics that share a clock, in one rollup.

    Attributes:
        wanted: What results are computed from.
        statistics: The metrics.
        rollup: The rollup.
        names: Short names for what they need.
    """

    wanted: Results
    statistics: Sequence[Statistic]
    rollup: str
    names: Numbered

    @property
    def clock(self) -> Clock:
        """When units and rows come to count."""
        return self.statistics[0].clock

    @property
    def days(self) -> tuple[date, ...]:
        """The days that are computed."""
        return self.wanted.recent[-1:] if self.wanted.only_latest else self.wanted.recent

    @property
    def is_apart(self) -> bool:
        """Whether percentiles are of the units of one level alone."""
        return self.wanted.stand_in is not None and self.wanted.stand_in.is_apart

    @property
    def by_index(self) -> bool:
        """Whether there is a row per day since exposure."""
        return self.rollup == SINCE_EXPOSURE


def statistics(wanted: Results, chosen: Sequence[Statistic], rollup: str) -> exp.Query:
    """Return the statistics of some metrics that share a clock, in one rollup."""
    of = Direct(wanted=wanted, statistics=chosen, rollup=rollup, names=moments.numbered(chosen))
    point = exp.column("point", "g")
    nothing = exp.cast(exp.null(), "bigint" if not of.by_index else "date")
    query = templates.bind(
        "results_direct",
        tables={
            "unit_values": _values(of),
            "grid": grid(of),
            "counted": counted(of),
            "statistic_keys": moments.keys([rollup], chosen),
        },
        values={
            "ds": nothing if of.by_index else point,
            "day_index": point if of.by_index else nothing,
        },
    )
    _fill_moments(templates.part(query, "moments"), of)
    moments.fill_statistics(query, chosen, lambda source: _value(source, of.names))
    return query


def grid(of: Direct) -> exp.Query:
    """Return every day (or day since exposure) and group."""
    summary = of.wanted.summary
    if not of.by_index:
        point = exp.alias_(exp.column("ds", "s"), "point")
        rows = exp.select(point, exp.column("group_id", "s"))
        rows = rows.from_(templates.aliased(summary, "s"))
        if not of.wanted.only_latest:
            return rows
        last = templates.literal(of.wanted.days[-1])
        return rows.where(exp.EQ(this=exp.column("ds", "s"), expression=last))
    groups = exp.select("s.group_id").distinct().from_(templates.aliased(summary, "s"))
    return (
        exp.select(exp.alias_(exp.column("day_index", "d"), "point"), exp.column("group_id", "h"))
        .from_(groups.subquery("h"))
        .join(_indexes(of).subquery("d"), join_type="cross")
    )


def _indexes(of: Direct) -> exp.Query:
    """Return every day since exposure that some unit may have, also of before it where rows are read."""
    count = len(of.wanted.days)
    before = max((reach(statistic) for statistic in of.statistics), default=0)
    rows = [[index] for index in range(-before, count)]
    return templates.listed("v", ["day_index"], rows)


def reach(statistic: Statistic) -> int:
    """Return how many days before a unit's exposure a statistic looks back."""
    return terms.reach(statistic.aggregates)


def members(of: Direct) -> exp.Query:
    """Return the units, with the days between which each counts."""
    wanted = of.wanted
    return templates.bind(
        "members",
        tables={"first_exposures": wanted.units},
        values={
            "enters": _enters(of.clock, wanted),
            "crossovers_leave": wanted.experiment.crossover == "exclude",
        },
    )


def _covariates(of: Direct) -> exp.Query:
    """Return one row per unit: what it did before its exposure, in the shape of the metric."""
    found = {
        moments.key_of(each): each
        for _, term in of.names.covariates.values()
        for each in term.slots
    }
    shorts = {key: (f"b{n}", aggregate) for n, (key, aggregate) in enumerate(sorted(found.items()))}
    distinct = _distinct(of, shorts, Counting.FIRST)
    days = moments.unit_days(of.wanted, _uncarried(of), shorts, distinct=distinct)

    def value(part: Part) -> exp.Expr:
        short, aggregate = shorts[moments.key_of(part.aggregate)]
        column = present(aggregate, exp.column(short, "u"))
        return moments.shaped(part, folded(aggregate, column, exp.column("ds", "u")))

    query = exp.select(exp.column("unit_id", "u")).from_(days.subquery("u", copy=False))
    for short, term in of.names.covariates.values():
        query.select(exp.alias_(moments.added(term, value), short), copy=False)
    return query.group_by(exp.column("unit_id", "u"), copy=False)


def _enters(clock: Clock, wanted: Results) -> exp.Expr:
    """Return the first day on which a unit counts."""
    exposed = exp.column("first_exposure_ds", "f")
    days = [_over(completion, wanted) for completion in clock.completions] or [exposed]
    latest = days[0] if len(days) == 1 else exp.Greatest(this=days[0], expressions=days[1:])
    return days_later(latest, clock.bake_days)


def _over(completion: Completion, wanted: Results) -> exp.Expr:
    """Return the day at whose end a unit's window is over."""
    span = completion.span
    if completion.source in wanted.dated:
        return days_later(exp.column("first_exposure_ds", "f"), span.end)
    exposed = exp.column("first_exposure", "f")
    over = later(exposed, span.end + 1, block(is_minutes=span.is_minutes))
    day = exp.cast(over, "date")
    at_midnight = exp.EQ(this=over.copy(), expression=midnight(day.copy()))
    return exp.Case(ifs=[exp.If(this=at_midnight, true=days_later(day.copy(), -1))], default=day)


def _sources(of: Direct) -> Sequence[UnitTotals]:
    """Return the unit-days to start from: totals of earlier days serve only what adds up all days."""
    if of.rollup == CUMULATIVE and not of.clock.bake_days:
        return of.wanted.totals
    return _uncarried(of)


def _uncarried(of: Direct) -> Sequence[UnitTotals]:
    return tuple(replace(source, carried=None) for source in of.wanted.totals)


def since(of: Direct) -> date | None:
    """Return the first day whose rows can count on the days that are computed; None for every day."""
    if of.rollup not in TRAILING or not of.days:
        return None
    return of.days[0] - (TRAILING[of.rollup] - 1 + of.clock.bake_days) * DAY


def _distinct(
    of: Direct, aggregates: Mapping[str, tuple[str, Slot]], counting: Counting
) -> DistinctDays | None:
    """Return how distinct values among some aggregates are counted by day; None where there are none."""
    stored = [slot for _, slot in aggregates.values() if isinstance(slot, Aggregate)]
    if all(each.kind is not AggregateKind.DISTINCT for each in stored):
        return None
    return DistinctDays(
        experiment_id=of.wanted.experiment.id,
        database=of.wanted.database,
        counting=counting,
        gone_after=TRAILING[of.rollup] if counting is Counting.UNTIL_NEXT else None,
    )


def _standing(of: Direct) -> exp.Query:
    """Return the aggregates of each unit as they stand on each day."""
    aggregates = of.names.aggregates | _before(of)
    distinct = _distinct(of, aggregates, _COUNTING.get(of.rollup, Counting.UNTIL_NEXT))
    bound: dict[str, exp.Expr] = {
        "unit_days": moments.unit_days(of.wanted, _sources(of), aggregates, since(of), distinct),
        "members": members(of),
    }
    if of.by_index:
        return _standing_since_exposure(of, bound)
    bound["days"] = exposures.listed_days(of.days)
    counts_on = days_later(exp.column("ds", "u"), of.clock.bake_days)
    if of.rollup == CUMULATIVE:
        query = templates.bind("standing_cumulative", tables=bound, values={"counts_on": counts_on})
        _fill_activity(templates.part(query, "activity"), of)
        _fill_running(templates.part(query, "running"), of)
        return query.select(*(exp.column(s, "r") for s, _ in _aggregates(of)), copy=False)
    gone_on = days_later(exp.column("ds", "u"), TRAILING[of.rollup] + of.clock.bake_days)
    if distinct is not None:
        gone_on = days_later(exp.column("gone_ds", "u"), of.clock.bake_days)
    query = templates.bind(
        "standing_trailing", tables=bound, values={"counts_on": counts_on, "gone_on": gone_on}
    )
    _fill_activity(templates.part(query, "activity"), of)
    for short, aggregate in _aggregates(of):
        total = folded(aggregate, exp.column(short, "a"), exp.column("ds", "a"))
        query.select(exp.alias_(total, short), copy=False)
    return query


def _aggregates(of: Direct) -> tuple[tuple[str, Slot], ...]:
    return tuple(of.names.aggregates.values())


def _fill_activity(activity: exp.Select, of: Direct) -> None:
    for short, aggregate in _aggregates(of):
        activity.select(exp.alias_(present(aggregate, exp.column(short, "u")), short), copy=False)


def _fill_running(rows: exp.Select, of: Direct) -> None:
    for short, aggregate in _aggregates(of):
        unit, day = exp.column("unit_id", "a"), exp.column("ds", "a")
        total = running(aggregate, exp.column(short, "a"), by=unit, along=day, until="CURRENT ROW")
        rows.select(exp.alias_(total, short), copy=False)


def _before(of: Direct) -> dict[str, tuple[str, Slot]]:
    """Return what stands in for the aggregates on days before a unit's exposure: those of the covariates."""
    if not of.by_index:
        return {}
    found = {}
    for statistic in of.statistics:
        for term, covariate in zip(statistic.values, statistic.covariates, strict=False):
            for part, before in zip(term.parts, covariate.parts, strict=True):
                short = f"{of.names.short(part.aggregate)}_before"
                found[moments.key_of(before.aggregate)] = (short, before.aggregate)
    return found


def last(of: Direct) -> date:
    """Return the last day whose rows count."""
    return of.wanted.days[-1] - of.clock.bake_days * DAY


def _standing_since_exposure(of: Direct, bound: Mapping[str, exp.Expr]) -> exp.Query:
    query = templates.bind(
        "standing_since_exposure",
        tables=bound,
        values={"through": of.wanted.days[-1], "last": last(of)},
    )
    earlier = {short for short, _ in _before(of).values()}
    is_before = exp.LT(this=exp.column("ds", "u"), expression=exp.column("first_exposure_ds", "m"))
    for short, aggregate in _aggregates(of):
        value: exp.Expr = exp.column(short, "u")
        if f"{short}_before" in earlier:
            before = exp.column(f"{short}_before", "u")
            value = exp.Case(ifs=[exp.If(this=is_before.copy(), true=before)], default=value)
        total = folded(aggregate, present(aggregate, value), exp.column("ds", "u"))
        query.select(exp.alias_(total, short), copy=False)
    return query


def _values(of: Direct) -> exp.Query:
    """Return each unit's values on each day, cut off where a metric says so."""
    parts = {part.key: part for s in of.statistics for term in s.values for part in term.parts}
    values = {term.key: term for s in of.statistics for term in s.values}
    part_names = {key: f"p{number}" for number, key in enumerate(sorted(parts))}
    term_names = _term_names(of)
    query = exp.select(*(exp.column(name, "s") for name in ("point", "unit_id", "group_id")))
    for key, name in part_names.items():
        total = exp.column(of.names.short(parts[key].aggregate), "s")
        value = moments.shaped(parts[key], total, _exposed_days(of))
        query.select(exp.alias_(value, name), copy=False)
    unit_parts: exp.Query = query.from_(_standing(of).subquery("s", copy=False), copy=False)
    winsors = {part_names[key]: part.winsor for key, part in parts.items()}
    unit_parts = clamping.clamped(unit_parts, winsors, is_apart=of.is_apart)
    summed = exp.select(*(exp.column(name, "p") for name in ("point", "unit_id", "group_id")))
    for key, name in term_names.items():
        value = moments.added(values[key], lambda part: exp.column(part_names[part.key], "p"))
        summed.select(exp.alias_(value, name), copy=False)
    unit_terms = summed.from_(unit_parts.subquery("p", copy=False), copy=False)
    of_terms = {term_names[key]: term.winsor for key, term in values.items()}
    return clamping.clamped(unit_terms, of_terms, is_apart=of.is_apart)


def _term_names(of: Direct) -> dict[str, str]:
    keys = {term.key for statistic in of.statistics for term in statistic.values}
    return {key: f"v{number}" for number, key in enumerate(sorted(keys))}


def _exposed_days(of: Direct) -> exp.Expr:
    """Return how many of the days that count a unit was exposed on."""
    if of.by_index:
        return exp.Literal.number(1)
    last = days_later(exp.column("point", "s"), -of.clock.bake_days)
    first = exp.column("first_exposure_ds", "s")
    days = exp.DateDiff(this=last, expression=first, unit=exp.Literal.string("day"))
    exposed = exp.paren(exp.Add(this=days, expression=exp.Literal.number(1)))
    if of.rollup == CUMULATIVE:
        return exposed
    limit = exp.Literal.number(TRAILING[of.rollup])
    return exp.Least(this=exposed, expressions=[limit])


def _fill_moments(rows: exp.Select, of: Direct) -> None:
    """Add, per moment of the days' values, its sum over the units."""
    names = _term_names(of)

    def value(term: Term) -> exp.Expr:
        if term.key in names:
            return exp.column(names[term.key], "w")
        return or_zero(exp.column(of.names.covariates[term.key][0], "x"))

    for short, moment in of.names.moments.values():
        if not of.names.standing(moment):
            rows.select(exp.alias_(exp.Sum(this=_product(moment, value)), short), copy=False)
    if of.names.covariates:
        on = exp.EQ(this=exp.column("unit_id", "x"), expression=exp.column("unit_id", "w"))
        rows.join(_covariates(of).subquery("x"), on=on, join_type="left", copy=False)


def _product(moment: Moment, value: Callable[[Term], exp.Expr]) -> exp.Expr:
    left = value(moment.left)
    if moment.right is None:
        return left
    return exp.Mul(this=left, expression=value(moment.right))


def counted(of: Direct) -> exp.Query:
    """Return how many units count, and the sums of what is known of them from before their exposure."""
    through = of.wanted.days[-1]
    if of.by_index:
        query = templates.bind(
            "counted_since_exposure",
            tables={"day_indexes": _indexes(of), "members": members(of)},
            values={"through": through, "last": last(of)},
        )
    else:
        query = templates.bind(
            "counted_by_day",
            tables={"days": exposures.listed_days(of.days), "members": members(of)},
        )
    for short, moment in of.names.moments.values():
        if of.names.standing(moment):
            product = _product(
                moment, lambda term: exp.column(of.names.covariates[term.key][0], "x")
            )
            query.select(exp.alias_(exp.Sum(this=or_zero(product)), short), copy=False)
    if of.names.covariates:
        on = exp.EQ(this=exp.column("unit_id", "x"), expression=exp.column("unit_id", "m"))
        query.join(_covariates(of).subquery("x"), on=on, join_type="left", copy=False)
    return query


def _value(source: Moment | str, names: Numbered) -> exp.Expr:
    if isinstance(source, str):
        return exp.cast(exp.Coalesce(this=exp.column(source, "c"), expressions=[zero()]), "double")
    short, moment = names.moments[source.key]
    return or_zero(exp.column(short, "c" if names.standing(moment) else "t"))

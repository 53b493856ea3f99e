"""Steps of the results: sufficient statistics by rollup, day, metric and group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.days import DAY
from statsig_staging.plan import Batch, CreateTable, Replace, Step
from statsig_staging.planner import exposures, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date

    from statsig_staging.aggregates import Aggregate, Statistic, Term
    from statsig_staging.config import AssignmentSource, Experiment
    from statsig_staging.plan import Table
    from statsig_staging.planner.unit_totals import UnitTotals

ROLLUPS = ("daily", "cumulative")

_COLUMNS = (
    "total",
    "total_squares",
    "divisor",
    "denominator_total",
    "denominator_total_squares",
    "numerator_denominator_product",
)


@dataclass(frozen=True, slots=True)
class _Moment:
    """A sum over units: of one term's values, or of the products of two."""

    left: Term
    right: Term | None = None

    @property
    def key(self) -> str:
        return self.left.key if self.right is None else f"{self.left.key}__{self.right.key}"


@dataclass(frozen=True, slots=True)
class _Numbered:
    """Short names for the columns of one statement: moments and aggregates are many."""

    moments: dict[str, tuple[str, _Moment]]
    aggregates: dict[str, tuple[str, Aggregate]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What the results of an experiment are computed from.

    Attributes:
        experiment: The experiment.
        source: Its assignment source.
        database: The staging database.
        statistics: Its metrics.
        totals: Their aggregates by unit and day, source by source.
        days: Every day of the results.
        since: The first day that anything has touched; rows of earlier days are kept.
        published: Snapshot of the published results; None where no row is kept.
    """

    experiment: Experiment
    source: AssignmentSource
    database: str
    statistics: Sequence[Statistic]
    totals: Sequence[UnitTotals]
    days: Sequence[date]
    since: date
    published: int | None = None

    @property
    def keeps(self) -> bool:
        """Whether rows of earlier days are kept."""
        return self.published is not None and self.since > self.days[0]

    @property
    def carries(self) -> bool:
        """Whether the days up to some day come as totals already."""
        return all(source.carried is not None for source in self.totals)

    def node(self, table: Table, snapshot_id: int | None = None) -> exp.Table:
        """Return a staging table as something to select from."""
        return tables.node(self.database, table, snapshot_id)


def results_step(wanted: Results, needs: Iterable[str], *, full: bool) -> Step:
    """Return the step that brings ``results`` up to date."""
    target = tables.results(wanted.experiment.id)
    batches = (Batch(select=results(wanted)),)
    reason = "every day"
    if wanted.keeps:
        reason = f"days from {wanted.since} on; earlier rows are kept"
    return Step(
        name="results",
        reason=reason,
        action=CreateTable(target=target, batches=batches)
        if full
        else Replace(target=target, batches=batches),
        needs=tuple(needs),
    )


def results(wanted: Results) -> exp.Query:
    """Return the query of ``results``; one scan of each source's unit-days feeds all metrics."""
    if not wanted.statistics:
        return _no_rows(tables.results(wanted.experiment.id))
    query = _computed(wanted)
    if not wanted.keeps:
        return query
    published = wanted.node(tables.results(wanted.experiment.id), wanted.published)
    summary = wanted.node(tables.exposures_summary(wanted.experiment.id))
    known = templates.bind("groups_published", tables={"published_results": published})
    recent = exp.GTE(this=exp.column("ds", "z"), expression=templates.literal(wanted.since))
    unknown = exp.not_(exp.In(this=exp.column("group_id", "z"), query=known.subquery()))
    kept = templates.bind(
        "results_kept",
        tables={"published_results": published, "exposures_summary": summary},
        values={"since": wanted.since},
    )
    return exp.union(
        query.where(exp.or_(recent, unknown), copy=False), kept, distinct=False, copy=False
    )


def _no_rows(table: Table) -> exp.Query:
    nothing = (
        exp.alias_(exp.cast(exp.null(), column.type, dialect=templates.DIALECT), column.name)
        for column in table.columns
    )
    return exp.select(*nothing).where(exp.false())


def _computed(wanted: Results) -> exp.Select:
    """Return the query that computes results, of untouched days nothing but their totals."""
    experiment, names = wanted.experiment, _numbered(wanted.statistics)
    query = templates.bind(
        "results",
        tables={
            "first_exposures": wanted.node(tables.first_exposures(experiment.id, wanted.source)),
            "exposures_summary": wanted.node(tables.exposures_summary(experiment.id)),
            "unit_days": _unit_days(wanted.totals, names),
            "statistic_keys": _keys(wanted.statistics),
            "days": exposures.listed_days(wanted.days),
        },
        values={
            "experiment_id": experiment.id,
            "crossovers_leave": experiment.crossover == "exclude",
            "since": wanted.since if wanted.keeps else wanted.days[0],
        },
    )
    for prefix, unit in (("", "unit_key"), ("leaver_", "unit_id")):
        _fill_activity(templates.part(query, f"{prefix}activity"), names)
        _fill_running(templates.part(query, f"{prefix}running"), names, unit)
    if wanted.keeps and not wanted.carries:
        _fold(templates.part(query, "activity"), names, wanted.since - DAY)
    _fill_moments(templates.part(query, "moments"), names)
    _fill_leaver_moments(templates.part(query, "leaver_moments"), names)
    _fill_series(templates.part(query, "series"), names)
    _fill_statistics(templates.part(query, "statistics"), wanted.statistics, names)
    return query


def _keys(statistics: Sequence[Statistic]) -> exp.Query:
    """Return one row per rollup and metric, numbered as the metrics are."""
    keys = [
        [rollup, statistic.metric, index]
        for rollup in ROLLUPS
        for index, statistic in enumerate(statistics)
    ]
    columns = ("rollup", "metric", "number")
    listed = templates.values_table("k", columns, keys)
    return exp.select(*(exp.column(name, "k") for name in columns)).from_(listed)


def _fold(activity: exp.Select, names: _Numbered, day: date) -> None:
    """Put everything up to ``day`` on that day, one row per unit."""
    old = exp.column("ds", "u")
    last = templates.literal(day)
    folded = exp.Case(
        ifs=[exp.If(this=exp.LT(this=old, expression=last), true=last.copy())], default=old.copy()
    )
    sums = [
        exp.alias_(
            exp.Sum(this=exp.Coalesce(this=exp.column(short, "u"), expressions=[_zero()])), short
        )
        for short, _ in names.aggregates.values()
    ]
    keys = [exp.column("unit_key", "m"), exp.column("group_id", "m")]
    activity.select(*keys, exp.alias_(folded, "ds"), *sums, append=False, copy=False)
    activity.group_by(*(key.copy() for key in keys), folded.copy(), copy=False)


def _numbered(statistics: Iterable[Statistic]) -> _Numbered:
    moments: dict[str, _Moment] = {}
    aggregates: dict[str, Aggregate] = {}
    for statistic in statistics:
        for moment in _moments(statistic):
            moments[moment.key] = moment
        for term in statistic.terms:
            aggregates[_key(term.aggregate)] = term.aggregate
    return _Numbered(
        moments={
            key: (f"m{number}", moment)
            for number, (key, moment) in enumerate(
                sorted(moments.items(), key=lambda item: item[0])
            )
        },
        aggregates={
            key: (f"a{number}", aggregate)
            for number, (key, aggregate) in enumerate(
                sorted(aggregates.items(), key=lambda item: item[0])
            )
        },
    )


def _key(aggregate: Aggregate) -> str:
    """Return a key of an aggregate; two sources may have the same column."""
    return f"{aggregate.column} of {aggregate.source}"


def _moments(statistic: Statistic) -> list[_Moment]:
    numerator, denominator = statistic.numerator, statistic.denominator
    found = [_Moment(numerator), _Moment(numerator, numerator)]
    if denominator is not None:
        found += [
            _Moment(denominator),
            _Moment(denominator, denominator),
            _Moment(numerator, denominator),
        ]
    return found


def _unit_days(sources: Sequence[UnitTotals], names: _Numbered) -> exp.Query:
    """Return the unit-days of every source side by side; another source's aggregates are null."""
    selects = []
    for source in sources:
        held = {_key(aggregate) for aggregate in source.aggregates}
        for part in source.parts():
            query = exp.select(exp.column("unit_id", "u"), exp.column("ds", "u"))
            for short, aggregate in names.aggregates.values():
                value: exp.Expr = exp.null()
                if _key(aggregate) in held:
                    value = exp.column(aggregate.column, "u")
                query = query.select(exp.alias_(exp.cast(value, "double"), short))
            selects.append(query.from_(part.subquery("u", copy=False), copy=False))
    union: exp.Query = selects[0]
    for select in selects[1:]:
        union = exp.union(union, select, distinct=False, copy=False)
    return union if len(sources) == 1 else _summed(union, names)


def _summed(union: exp.Query, names: _Numbered) -> exp.Query:
    summed = [
        exp.alias_(exp.Sum(this=exp.column(short, "b")), short)
        for short, _ in names.aggregates.values()
    ]
    unit, day = exp.column("unit_id", "b"), exp.column("ds", "b")
    return (
        exp.select(unit, day, *summed).from_(union.subquery("b")).group_by(unit.copy(), day.copy())
    )


def _zero() -> exp.Expr:
    return exp.cast(exp.Literal.number(0), "double")


def _fill_activity(activity: exp.Select, names: _Numbered) -> None:
    for short, _ in names.aggregates.values():
        value = exp.Coalesce(this=exp.column(short, "u"), expressions=[_zero()])
        activity.select(exp.alias_(value, short), copy=False)


def _fill_running(running: exp.Select, names: _Numbered, unit: str) -> None:
    """Add, per aggregate, the day's value and the unit's total through that day."""
    for short, _ in names.aggregates.values():
        total = _running_sum(exp.column(short, "a"), by=exp.column(unit, "a"), along="a")
        running.select(exp.column(short, "a"), exp.alias_(total, f"{short}_total"), copy=False)


def _running_sum(value: exp.Expr, *, by: exp.Expr, along: str) -> exp.Expr:
    return exp.Window(
        this=exp.Sum(this=value),
        partition_by=[by],
        order=exp.Order(expressions=[exp.Ordered(this=exp.column("ds", along))]),
        spec=exp.WindowSpec(
            kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW"
        ),
    )


def _fill_moments(moments: exp.Select, names: _Numbered) -> None:
    """Add, per moment, what the day's rows sum to, and by how much the sum over all units moves."""
    for short, moment in names.moments.values():
        day = _product(moment, names, _day_value)
        moments.select(
            exp.alias_(exp.Sum(this=day), f"{short}_daily"),
            exp.alias_(exp.Sum(this=_move(moment, names)), f"{short}_move"),
            copy=False,
        )


def _move(moment: _Moment, names: _Numbered) -> exp.Expr:
    """Return f(total) - f(total - day), without the cancellation that the plain form has."""
    if moment.right is None:
        if not moment.left.once:
            return _valued(moment.left, names, _day_value)
    elif not moment.left.once and not moment.right.once:
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


def _fill_leaver_moments(moments: exp.Select, names: _Numbered) -> None:
    """Add, per moment, what the day's rows of the leavers sum to, and where their totals stand."""
    for short, moment in names.moments.values():
        on_day = exp.EQ(this=exp.column("ds", "d"), expression=exp.column("ds", "r"))
        day = exp.Case(ifs=[exp.If(this=on_day, true=_product(moment, names, _day_value))])
        moments.select(
            exp.alias_(exp.Sum(this=day), f"{short}_daily"),
            exp.alias_(exp.Sum(this=_product(moment, names, _total)), f"{short}_standing"),
            copy=False,
        )


def _product(moment: _Moment, names: _Numbered, value: Callable[[str], exp.Expr]) -> exp.Expr:
    left = _valued(moment.left, names, value)
    if moment.right is None:
        return left
    return exp.Mul(this=left, expression=_valued(moment.right, names, value))


def _valued(term: Term, names: _Numbered, value: Callable[[str], exp.Expr]) -> exp.Expr:
    short, _ = names.aggregates[_key(term.aggregate)]
    number = value(short)
    if not term.once:
        return number
    positive = exp.GT(this=number, expression=_zero())
    one = exp.cast(exp.Literal.number(1), "double")
    return exp.Case(ifs=[exp.If(this=positive, true=one)], default=_zero())


def _day_value(short: str) -> exp.Expr:
    return exp.column(short, "r")


def _total(short: str) -> exp.Expr:
    return exp.column(f"{short}_total", "r")


def _total_before(short: str) -> exp.Expr:
    return exp.paren(exp.Sub(this=_total(short), expression=_day_value(short)))


def _fill_series(series: exp.Select, names: _Numbered) -> None:
    for short, _ in names.moments.values():
        moved = _running_sum(
            _or_zero(f"{short}_move", "m"), by=exp.column("group_id", "s"), along="s"
        )
        daily = exp.Add(
            this=_or_zero(f"{short}_daily", "m"), expression=_or_zero(f"{short}_daily", "l")
        )
        cumulative = exp.Add(this=moved, expression=_or_zero(f"{short}_standing", "l"))
        series.select(
            exp.alias_(daily, f"{short}_daily"),
            exp.alias_(cumulative, f"{short}_cumulative"),
            copy=False,
        )


def _or_zero(column: str, table: str) -> exp.Expr:
    return exp.Coalesce(this=exp.column(column, table), expressions=[_zero()])


def _fill_statistics(rows: exp.Select, statistics: Sequence[Statistic], names: _Numbered) -> None:
    for column in _COLUMNS:
        cases = [
            exp.If(this=exp.Literal.number(number), true=value)
            for number, statistic in enumerate(statistics)
            if (value := _by_rollup(_source_of(statistic, column), names)) is not None
        ]
        chosen: exp.Expr = exp.cast(exp.null(), "double")
        if cases:
            chosen = exp.Case(this=exp.column("number", "k"), ifs=cases)
        rows.select(exp.alias_(chosen, column), copy=False)


def _source_of(statistic: Statistic, column: str) -> _Moment | str | None:
    """Return what a column of ``results`` holds for a metric: a moment, the units, or nothing."""
    numerator, denominator = statistic.numerator, statistic.denominator
    if column == "total":
        return _Moment(numerator)
    if column == "total_squares":
        return _Moment(numerator, numerator)
    if denominator is None:
        return "units" if column == "divisor" else None
    if column == "denominator_total_squares":
        return _Moment(denominator, denominator)
    if column == "numerator_denominator_product":
        return _Moment(numerator, denominator)
    return _Moment(denominator)


def _by_rollup(source: _Moment | str | None, names: _Numbered) -> exp.Expr | None:
    if source is None:
        return None
    if isinstance(source, str):
        return exp.cast(exp.column(source, "t"), "double")
    short, _ = names.moments[source.key]
    is_daily = exp.EQ(this=exp.column("rollup", "k"), expression=exp.Literal.string("daily"))
    return exp.Case(
        ifs=[exp.If(this=is_daily, true=exp.column(f"{short}_daily", "t"))],
        default=exp.column(f"{short}_cumulative", "t"),
    )

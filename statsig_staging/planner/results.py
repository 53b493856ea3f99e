"""Steps of the results: sufficient statistics by rollup, day, metric and group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.plan import Batch, CreateTable, Replace, Step
from statsig_staging.planner import (
    carried,
    dimensions,
    direct,
    levels,
    moments,
    percentiles,
    tables,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from statsig_staging.config import AssignmentSource, Experiment
    from statsig_staging.plan import Table
    from statsig_staging.planner.dimensions import StandIn
    from statsig_staging.planner.unit_totals import UnitTotals
    from statsig_staging.terms import Clock, Statistic

METRICS_PER_STATEMENT = 30
"""So many metrics share a statement: one of a hundred takes longer than four of thirty (a trial: twice)."""


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
        dated: The sources whose rows are only dates.
        stand_in: What takes the place of the units and groups; None where nothing does.
        only_latest: Whether of all days only the last is wanted.
    """

    experiment: Experiment
    source: AssignmentSource
    database: str
    statistics: Sequence[Statistic]
    totals: Sequence[UnitTotals]
    days: Sequence[date]
    since: date
    published: int | None = None
    dated: Collection[str] = ()
    stand_in: StandIn | None = None
    only_latest: bool = False

    @property
    def keeps(self) -> bool:
        """Whether rows of earlier days are kept."""
        return self.published is not None and self.since > self.days[0]

    @property
    def recent(self) -> tuple[date, ...]:
        """The days whose rows are not kept, and at least the last."""
        since = tuple(day for day in self.days if not self.keeps or day >= self.since)
        return since or (self.days[-1],)

    @property
    def carries(self) -> bool:
        """Whether the days up to some day come as totals already."""
        return all(source.carried is not None for source in self.totals)

    @property
    def units(self) -> exp.Table:
        """The units, as ``first_exposures`` has them."""
        if self.stand_in is not None:
            return self.stand_in.units
        return self.node(tables.first_exposures(self.experiment.id, self.source))

    @property
    def summary(self) -> exp.Table:
        """The units of every day and group, as ``exposures_summary`` has them."""
        if self.stand_in is not None:
            return self.stand_in.summary
        return self.node(tables.exposures_summary(self.experiment.id))

    def node(self, table: Table, snapshot_id: int | None = None) -> exp.Table:
        """Return a staging table as something to select from."""
        return tables.node(self.database, table, snapshot_id)


def results_step(wanted: Results, needs: Iterable[str], *, full: bool) -> Step:
    """Return the step that brings ``results`` up to date."""
    target = tables.results(wanted.experiment.id)
    batches = tuple(Batch(select=select) for select in selects(wanted))
    reason = "every day"
    if wanted.keeps:
        reason = f"days from {wanted.since} on; earlier rows are kept"
        if named := _dimensions(wanted):
            reason += f"; every day by {', '.join(named)}"
    return Step(
        name="results",
        reason=reason,
        action=CreateTable(target=target, batches=batches)
        if full
        else Replace(target=target, batches=batches),
        needs=tuple(needs),
    )


def selects(wanted: Results) -> tuple[exp.Query, ...]:
    """Return the queries that together are ``results``: groups of metrics that are computed alike."""
    population = replace(wanted, statistics=levels.whole(wanted.statistics))
    computed = [_finished(wanted, query) for query in _statistics(population)]
    if not computed:
        return (_no_rows(tables.results(wanted.experiment.id)),)
    if wanted.keeps:
        computed[0] = exp.union(computed[0], _kept(wanted), distinct=False, copy=False)
    return (*computed, *_levels(population), *_metric_levels(wanted))


def _dimensions(wanted: Results) -> tuple[str, ...]:
    """Return the dimensions of the metrics, of units and of rows."""
    of_units = dimensions.dimensions_of(wanted.statistics)
    return tuple(dict.fromkeys((*of_units, *levels.dimensions_of(wanted.statistics))))


def _metric_levels(wanted: Results) -> Iterator[exp.Query]:
    """Return the queries of the rows by level of a metric dimension, of every day as well."""
    own = replace(
        wanted,
        statistics=levels.by_level(wanted.statistics),
        totals=(),
        published=None,
        stand_in=levels.STAND_IN,
    )
    for query, of in _grouped(own, levels.METRICS_PER_STATEMENT):
        yield _finished(own, levels.named(query, of, own))


def _levels(wanted: Results) -> Iterator[exp.Query]:
    """Return the queries of the rows by level of a dimension, of every day: levels may have changed places."""
    for name in dimensions.dimensions_of(wanted.statistics):
        own = replace(
            wanted,
            statistics=[each for each in wanted.statistics if name in each.dimensions],
            totals=[replace(source, carried=None) for source in wanted.totals],
            published=None,
            stand_in=dimensions.STAND_IN,
        )
        for query in _statistics(own):
            of_levels = dimensions.by_level(
                query,
                name,
                wanted.experiment,
                wanted.source,
                database=wanted.database,
                days=wanted.days,
            )
            yield _finished(own, of_levels)


def _statistics(wanted: Results) -> Iterator[exp.Query]:
    return (query for query, _ in _grouped(wanted, METRICS_PER_STATEMENT))


def _grouped(wanted: Results, most: int) -> Iterator[tuple[exp.Query, Sequence[Statistic]]]:
    """Return the queries of the statistics, each with what it is of: at most so many."""
    rollups = wanted.experiment.rollups
    together = [rollup for rollup in carried.ROLLUPS if rollup in rollups]
    moving = [each for each in wanted.statistics if carried.is_carried(each)]
    others = [each for each in wanted.statistics if not carried.is_carried(each)]
    if together:
        for group in _groups(wanted, moving, most):
            yield carried.statistics(wanted, group, together), group
    costly = _latest_only(wanted)
    limited = {each.key for each in costly}
    latest = replace(wanted, only_latest=True)
    for rollup in rollups:
        own = others if rollup in together else wanted.statistics
        of_every_day = [each for each in own if each.key not in limited]
        for group in _groups(wanted, of_every_day, most):
            yield _directly(wanted, group, rollup), group
        for group in _groups(wanted, costly, most):
            yield _directly(latest, group, rollup), group


def _latest_only(wanted: Results) -> list[Statistic]:
    """Return the metrics that have results of the last day only."""
    if wanted.experiment.costly_series == "every_day":
        return []
    return [each for each in wanted.statistics if each.is_costly]


def _directly(wanted: Results, chosen: Sequence[Statistic], rollup: str) -> exp.Query:
    if chosen[0].percentile is not None:
        return percentiles.statistics(wanted, chosen, rollup)
    return direct.statistics(wanted, chosen, rollup)


def _groups(
    wanted: Results, statistics: Iterable[Statistic], most: int
) -> Iterator[tuple[Statistic, ...]]:
    """Return metrics that one statement computes: of one clock and reach, and of few tables.

    Percentiles are computed source by source.
    """
    alike: dict[tuple[Clock, int, str | None], list[Statistic]] = {}
    numbers = {
        moments.key_of(aggregate): source.number
        for source in wanted.totals
        for aggregate in source.aggregates
    }
    for each in sorted(statistics, key=lambda statistic: _tables(statistic, numbers)):
        source = None if each.percentile is None else each.aggregates[0].source
        alike.setdefault((each.clock, direct.reach(each), source), []).append(each)
    for group in alike.values():
        for first in range(0, len(group), most):
            yield tuple(group[first : first + most])


def _tables(statistic: Statistic, numbers: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Return the sources of a metric, and which of their tables of unit-days it needs."""
    found = {(each.source, numbers.get(moments.key_of(each), 1)) for each in statistic.aggregates}
    return tuple(sorted(found))


def _finished(wanted: Results, statistics: exp.Query) -> exp.Query:
    """Return the rows of ``results`` of some statistics; of days before the first touched, those of new groups."""
    query = templates.bind(
        "results",
        tables={"statistics": statistics},
        values={"experiment_id": wanted.experiment.id},
    )
    if not wanted.keeps:
        return query
    known = templates.bind("groups_published", tables={"published_results": _published(wanted)})
    day = exp.column("ds", "z")
    recent = exp.GTE(this=day, expression=templates.literal(wanted.since))
    unknown = exp.not_(exp.In(this=exp.column("group_id", "z"), query=known.subquery()))
    dateless = exp.Is(this=day.copy(), expression=exp.Null())
    return query.where(exp.or_(recent, unknown, dateless), copy=False)


def _published(wanted: Results) -> exp.Table:
    return wanted.node(tables.results(wanted.experiment.id), wanted.published)


def _kept(wanted: Results) -> exp.Query:
    kept = templates.bind(
        "results_kept",
        tables={"published_results": _published(wanted), "exposures_summary": wanted.summary},
        values={"since": wanted.since},
    )
    named = _dimensions(wanted)
    if named:
        dimension = exp.column("dimension", "p")
        of_whole = exp.Is(this=dimension, expression=exp.Null())
        of_level = exp.In(this=dimension.copy(), expressions=[templates.literal(n) for n in named])
        kept.where(exp.or_(of_whole, exp.not_(of_level)), copy=False)
    names = [templates.literal(each.metric) for each in _latest_only(wanted)]
    if names:
        latest = exp.In(this=exp.column("metric", "p"), expressions=names)
        kept.where(exp.not_(latest), copy=False)
    return kept


def _no_rows(table: Table) -> exp.Query:
    nothing = (
        exp.alias_(exp.cast(exp.null(), column.type, dialect=templates.DIALECT), column.name)
        for column in table.columns
    )
    return exp.select(*nothing).where(exp.false())

"""Feeds: the steps that bring the unit-days and the values of each metric source up to date."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from statsig_staging import terms
from statsig_staging.aggregates import ValueKind
from statsig_staging.days import DAY
from statsig_staging.plan import KeptRows
from statsig_staging.planner import tables, watching
from statsig_staging.planner.column_groups import column_groups
from statsig_staging.planner.exposures import Loaded
from statsig_staging.planner.readings import days_to_read, in_reasons, reading_of
from statsig_staging.planner.request import last_published
from statsig_staging.planner.unit_days import UnitDays
from statsig_staging.planner.values import UnitDayValues

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from statsig_staging.config import AssignmentSource, MetricSource
    from statsig_staging.plan import SourceReading, Step
    from statsig_staging.planner.request import LoadRequest
    from statsig_staging.state import Published


@dataclass(frozen=True, slots=True)
class Planned:
    """Steps, what they read of the sources and why, and what is kept of their rows."""

    steps: tuple[Step, ...]
    readings: tuple[SourceReading, ...]
    kept: Mapping[str, KeptRows] = field(default_factory=dict)


Store = UnitDays | UnitDayValues
"""What one table holds of a metric source."""


def feeds(request: LoadRequest) -> tuple[UnitDays, ...]:
    """Return every metric source as it feeds the experiment's unit-days."""
    units = tables.first_exposures(request.experiment.id, request.assignment_source)
    found = []
    for source in request.metric_sources:
        every = request.aggregates_of(source)
        feed = UnitDays(
            scan=request.scan(source),
            source=source,
            aggregates=terms.by_day(every),
            every=every,
            first_exposures=units,
            database=request.database,
            traits=request.traits,
        )
        found.append(feed)
    return tuple(found)


def unit_days(request: LoadRequest, feed: UnitDays) -> tuple[UnitDays, ...]:
    """Return a metric source as it feeds each of its tables of unit-days."""
    return tuple(
        replace(feed, aggregates=group.aggregates, number=group.number)
        for group in column_groups(request, feed.source)
    )


def stores(request: LoadRequest, feed: UnitDays) -> tuple[Store, ...]:
    """Return what is stored of a metric source: its unit-days and its values, where there are such."""
    values = (
        UnitDayValues(kind=kind, feed=replace(feed, aggregates=found))
        for kind in ValueKind
        if (found := terms.by_value(feed.every, kind))
    )
    return (*unit_days(request, feed), *values)


def full_steps(request: LoadRequest, feed: UnitDays) -> tuple[Step, ...]:
    """Return the steps that build everything of a metric source anew."""
    every = Loaded(request.days_of(feed.source))
    return tuple(
        store.days_step(every, full=True, reason="every day") for store in stores(request, feed)
    )


def feed_steps(
    request: LoadRequest, feed: UnitDays, definitions: Mapping[str, str], exposed: Loaded
) -> Planned:
    """Return the steps of one metric source: whole days, then other days of late units."""
    published, source = last_published(request), feed.source
    every = request.days_of(source)
    held = stores(request, feed)
    anew = {store.name: _why_anew(request, store, published, definitions) for store in held}
    whys = [why for why in anew.values() if why is not None]
    if len(whys) == len(held):
        built = [_anew_step(request, store, anew[store.name] or "") for store in held]
        return Planned(tuple(built), (reading_of(request, source, dict.fromkeys(every, whys[0])),))
    reasons = days_to_read(request, source, published)
    days = Loaded(tuple(reasons), exposed.gone)
    first = min(exposed.read, default=request.through + DAY) - request.reach(source) * DAY
    others = tuple(day for day in every if day >= first and day not in reasons)
    keeping = _keeping(request, feed, definitions, days, others)
    steps = list(keeping.steps)
    feed = replace(feed, from_kept=bool(keeping.kept))
    read = dict(reasons)
    for store in stores(request, feed):
        of = _Store(request=request, store=store, definitions=definitions, why=anew[store.name])
        found, more = of.steps(days, reasons, others)
        steps += found
        read = {**more, **read}
    unseen = unseen_change(request, source, definitions)
    reading = reading_of(request, source, dict(sorted(read.items())), unseen)
    return Planned(tuple(steps), (reading,), keeping.kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Store:
    """A store in an incremental load; ``why`` it is built anew all the same, if it is."""

    request: LoadRequest
    store: Store
    definitions: Mapping[str, str]
    why: str | None

    def steps(
        self, days: Loaded, reasons: Mapping[date, str], others: Sequence[date]
    ) -> tuple[list[Step], dict[date, str]]:
        """Return the steps, and the days that are read for them alone, each with its reason.

        Args:
            days: The days that are loaded as a whole.
            reasons: Why.
            others: Earlier days that late units may need.
        """
        request, store = self.request, self.store
        published, source = last_published(request), _feed_of(store).source
        every = request.days_of(source)
        if self.why is not None:
            step = _anew_step(request, store, self.why)
            return [step], dict.fromkeys(every, self.why)
        restated = _columns_anew(request, store, published, self.definitions)
        found, more = [], {}
        if restated:
            rest = [day for day in every if day not in reasons]
            why = _why_restated(request, source.name, restated)
            snapshot = published.tables[store.target.name.catalog].snapshot_id
            found.append(store.restated_step(days, rest, restated, snapshot, why))
            more = dict.fromkeys(rest, why)
        elif days.all:
            found.append(store.days_step(days, full=False, reason=in_reasons(reasons, days.gone)))
        if others:
            units = tables.first_exposures(request.experiment.id, request.assignment_source)
            snapshot = published.tables[units.name.catalog].snapshot_id
            found.append(store.late_step(others, snapshot))
        return found, more


def _anew_step(request: LoadRequest, store: Store, why: str) -> Step:
    feed = replace(_feed_of(store), from_kept=False)
    source = feed if isinstance(store, UnitDays) else replace(store, feed=feed)
    return source.days_step(Loaded(request.days_of(feed.source)), full=True, reason=why)


_DAYS_KEPT = 28
"""So many days of rows are kept of a source whose experiment gets late exposures, and for so long after."""


def _keeping(
    request: LoadRequest,
    feed: UnitDays,
    definitions: Mapping[str, str],
    days: Loaded,
    others: Sequence[date],
) -> Planned:
    """Return the steps that keep rows of a source, where exposures arrive late or have done so lately.

    Late units need days that were read before. Rows that are kept when a day is read spare reading it again.
    """
    published, name = last_published(request), feed.source.name
    before = published.sources.get(name)
    late = before.late if before is not None else None
    first = request.through - _DAYS_KEPT * DAY
    if others:
        late = request.through
    if late is None or late < first or not request.observations[name].dated:
        return Planned((), ())
    there = feed.kept.name.catalog in published.tables
    same = published.definitions.get(f"rows {name}") == definitions[f"rows {name}"]
    staged = set(before.kept_rows) if before is not None and same and there else set()
    expired = {day for day in staged if day < first}
    valid = staged - expired - {*days.all}
    missing = tuple(day for day in others if day not in valid)
    steps = []
    if days.all or expired or not staged:
        steps.append(feed.keep_step(days, expired, is_new=not staged))
    if missing:
        units = published.tables[feed.first_exposures.name.catalog].snapshot_id
        steps.append(feed.keep_late_step(missing, units))
    kept = KeptRows(
        days=tuple(sorted({*valid, *days.read})), late=late, more=f"late_metric_rows_{name}"
    )
    return Planned(tuple(steps), (), {name: kept})


def _columns_anew(
    request: LoadRequest, store: Store, published: Published, definitions: Mapping[str, str]
) -> frozenset[str]:
    """Return the aggregates of a store that are to be computed on every day."""
    staged = published.definitions.get(store.definition, "").split()
    needed = definitions[store.definition].split()
    asked = _columns_asked(request, _feed_of(store).source.name)
    columns = frozenset(each.column for each in store.aggregates)
    new = frozenset(needed) - frozenset(staged)
    return columns if new - columns else new | asked & columns


def _feed_of(store: Store) -> UnitDays:
    return store if isinstance(store, UnitDays) else store.feed


def _columns_asked(request: LoadRequest, source: str) -> frozenset[str]:
    return frozenset(
        aggregate.column
        for statistic in request.statistics
        if statistic.metric in request.metrics
        for aggregate in statistic.aggregates
        if aggregate.source == source
    )


def _why_restated(request: LoadRequest, source: str, columns: frozenset[str]) -> str:
    new = columns - _columns_asked(request, source)
    if not new:
        return f"asked for: {', '.join(request.metrics)}"
    names = [
        statistic.metric
        for statistic in request.statistics
        if any(aggregate.column in new for aggregate in statistic.aggregates)
    ]
    return f"new or changed: {', '.join(dict.fromkeys(names))}"


def _why_anew(
    request: LoadRequest, store: Store, published: Published, definitions: Mapping[str, str]
) -> str | None:
    """Return why a store is built anew, or None where it is not."""
    name = _feed_of(store).source.name
    staged = published.definitions.get(store.definition)
    before = published.definitions.get(f"source {name}")
    is_further = isinstance(store, UnitDays) and store.number > 1
    if is_further and staged is None and before == definitions[f"source {name}"]:
        return _why_restated(request, name, frozenset(each.column for each in store.aggregates))
    if store.target.name.catalog not in published.tables:
        return "new source"
    if before is None or staged is None:
        return "a source that was not needed for a while"
    if before != definitions[f"source {name}"]:
        return "the definition of the source changed"
    restated = _columns_anew(request, store, published, definitions)
    if restated >= {each.column for each in store.aggregates}:
        return _why_restated(request, name, restated)
    return None


def unseen_change(
    request: LoadRequest, source: AssignmentSource | MetricSource, definitions: Mapping[str, str]
) -> str:
    """Return the change of a SQL source that an incremental load may not reach, in words."""
    published, observation = last_published(request), request.observations[source.name]
    anew = [
        _why_anew(request, store, published, definitions)
        for feed in feeds(request)
        if feed.scan.source.name == source.name
        for store in stores(request, feed)
    ]
    if observation.dated or (anew and all(anew)):
        return ""
    return watching.watched(source, observation, published, request.days_of(source)).unseen

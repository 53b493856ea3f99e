"""Feeds: the steps that bring the unit-days of each metric source up to date."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from statsig_staging import terms
from statsig_staging.days import DAY
from statsig_staging.plan import KeptRows
from statsig_staging.planner import tables, watching
from statsig_staging.planner.exposures import Loaded
from statsig_staging.planner.readings import days_to_read, in_reasons, reading_of
from statsig_staging.planner.request import last_published
from statsig_staging.planner.unit_days import UnitDays

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


def feeds(request: LoadRequest) -> tuple[UnitDays, ...]:
    """Return every metric source as it feeds the experiment's unit-days."""
    units = tables.first_exposures(request.experiment.id, request.assignment_source)
    return tuple(
        UnitDays(
            scan=request.scan(source),
            source=source,
            aggregates=terms.aggregates_of(request.statistics, source.name),
            first_exposures=units,
            database=request.database,
            traits=request.traits,
        )
        for source in request.metric_sources
    )


def feed_steps(
    request: LoadRequest, feed: UnitDays, definitions: Mapping[str, str], exposed: Loaded
) -> Planned:
    """Return the steps of one metric source: whole days, then other days of late units."""
    published, source = last_published(request), feed.source
    every = request.days_of(source)
    restated = _columns_anew(request, feed, published, definitions)
    anew = why_anew(request, feed, published, definitions)
    if anew is not None:
        step = feed.days_step(Loaded(every), full=True, reason=anew)
        return Planned((step,), (reading_of(request, source, dict.fromkeys(every, anew)),))
    reasons = days_to_read(request, source, published)
    days = Loaded(tuple(reasons), exposed.gone)
    first = min(exposed.read, default=request.through + DAY) - feed.reach * DAY
    others = tuple(day for day in every if day >= first and day not in reasons)
    keeping = _keeping(request, feed, definitions, days, others)
    steps = list(keeping.steps)
    feed = replace(feed, from_kept=bool(keeping.kept))
    if restated:
        rest = [day for day in every if day not in reasons]
        why = _why_restated(request, source.name, restated)
        unit_days = published.tables[feed.target.name.catalog].snapshot_id
        steps.append(feed.restated_step(days, rest, restated, unit_days, why))
        reasons = dict(sorted({**dict.fromkeys(rest, why), **reasons}.items()))
    elif days.all:
        steps.append(feed.days_step(days, full=False, reason=in_reasons(reasons, days.gone)))
    if others:
        units = published.tables[feed.first_exposures.name.catalog].snapshot_id
        steps.append(feed.late_step(others, units))
    unseen = unseen_change(request, source, definitions)
    return Planned(tuple(steps), (reading_of(request, source, reasons, unseen),), keeping.kept)


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
    request: LoadRequest, feed: UnitDays, published: Published, definitions: Mapping[str, str]
) -> frozenset[str]:
    """Return the columns of a source's unit-days that are to be computed on every day."""
    name = feed.source.name
    staged = published.definitions.get(f"aggregates {name}", "").split()
    needed = definitions[f"aggregates {name}"].split()
    return frozenset(needed) - frozenset(staged) | _columns_asked(request, name)


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
    return f"new or changed: {', '.join(names)}"


def why_anew(
    request: LoadRequest, feed: UnitDays, published: Published, definitions: Mapping[str, str]
) -> str | None:
    """Return why a source's unit-days are built anew, or None where they are not."""
    name = feed.source.name
    if feed.target.name.catalog not in published.tables:
        return "new source"
    if published.definitions.get(f"source {name}") is None:
        return "a source that was not needed for a while"
    if published.definitions.get(f"source {name}") != definitions[f"source {name}"]:
        return "the definition of the source changed"
    restated = _columns_anew(request, feed, published, definitions)
    if len(restated) == len(feed.aggregates):
        return _why_restated(request, name, restated)
    return None


def unseen_change(
    request: LoadRequest, source: AssignmentSource | MetricSource, definitions: Mapping[str, str]
) -> str:
    """Return the change of a SQL source that an incremental load may not reach, in words."""
    published, observation = last_published(request), request.observations[source.name]
    anew = (
        why_anew(request, feed, published, definitions)
        for feed in feeds(request)
        if feed.scan.source.name == source.name
    )
    if observation.dated or any(anew):
        return ""
    return watching.watched(source, observation, published, request.days_of(source)).unseen

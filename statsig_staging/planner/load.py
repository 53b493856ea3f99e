"""The plan of one load: what kind of load it is, and the steps that follow."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from statsig_staging.days import DAY
from statsig_staging.plan import KeptRows, Plan, Refresh, Step
from statsig_staging.planner import exposures, funnels, levels, results, tables, watching
from statsig_staging.planner.definitions import define
from statsig_staging.planner.exposures import Loaded
from statsig_staging.planner.feeds import (
    Planned,
    feed_steps,
    feeds,
    full_steps,
    unit_days,
    unseen_change,
)
from statsig_staging.planner.readings import (
    days_to_read,
    exposed_days,
    reading_of,
    unseen_warnings,
    warnings,
)
from statsig_staging.planner.request import check_sources, every_day, last_published
from statsig_staging.planner.unit_totals import Carried, UnitTotals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from statsig_staging.plan import SourceReading
    from statsig_staging.planner.request import LoadRequest
    from statsig_staging.state import Published


def build_plan(request: LoadRequest) -> Plan:
    """Return what a load will do; no step at all where nothing has changed.

    Raises:
        WarehouseError: If a source lacks a column, or has it in a type that cannot serve.
    """
    check_sources(request)
    funnels.check(request)
    levels.check(request)
    definitions = define(request)
    refresh, reason = _refresh(request, definitions)
    if request.published is not None and refresh is not request.refresh:
        request = replace(request, refresh=refresh)
        definitions = define(request)
    planned = _full(request) if refresh is Refresh.FULL else _incremental(request, definitions)
    return Plan(
        experiment_id=request.experiment.id,
        refresh=refresh,
        reason=reason,
        start=request.experiment.start,
        through=request.through,
        watermark=request.watermark,
        totals_through=request.totals_through,
        kept=planned.kept,
        steps=planned.steps,
        readings=planned.readings,
        warnings=(*warnings(request), *unseen_warnings(request, planned.readings)),
        definitions=definitions,
        observations=request.observations,
        price_per_tb=request.traits.price_per_tb,
    )


def _refresh(request: LoadRequest, definitions: Mapping[str, str]) -> tuple[Refresh, str]:
    published = request.published
    if published is None:
        return Refresh.FULL, "nothing is published yet"
    if request.refresh is Refresh.FULL:
        return Refresh.FULL, "asked for"
    if published.definitions.get("exposures") != definitions["exposures"]:
        return Refresh.FULL, "the definition of the exposures changed"
    for source in request.sources:
        unseen = unseen_change(request, source, definitions)
        if watching.must_refresh(source, unseen):
            return Refresh.FULL, f"source {source.name!r}: {unseen} (on_unseen_change: refresh)"
    if request.refresh is Refresh.METRIC:
        return Refresh.METRIC, f"asked for {', '.join(request.metrics)}"
    return Refresh.INCREMENTAL, f"since load {published.load_id} through {published.through}"


def _full(request: LoadRequest) -> Planned:
    days = Loaded(request.days_of(request.assignment_source))
    reasons = dict.fromkeys(days.read, "full refresh")
    steps = list(_exposure_steps(request, days, published=None))
    readings = [reading_of(request, request.assignment_source, reasons)]
    for feed in feeds(request):
        every = request.days_of(feed.source)
        steps += full_steps(request, feed)
        readings.append(reading_of(request, feed.source, dict.fromkeys(every, "full refresh")))
    last = _results_steps(request, steps, since=days.read[0], full=True)
    return Planned((*steps, *last), tuple(readings))


def _exposure_steps(
    request: LoadRequest, days: Loaded, *, published: Published | None
) -> tuple[Step, ...]:
    """Return the steps of the exposure tables, which build them anew where nothing is published."""
    experiment, source = request.experiment, request.assignment_source
    of = exposures.ExposureTables(
        scan=request.scan(source),
        source=source,
        database=request.database,
        traits=request.traits,
        days=days,
        published=published.snapshots if published is not None else None,
    )
    every = every_day(request)
    return (
        exposures.counts_step(of),
        exposures.check_step(experiment, request.database),
        exposures.unit_day_step(of),
        exposures.first_exposures_step(of),
        exposures.summary_step(experiment, source, request.database, every, full=of.is_full),
    )


def _results_steps(
    request: LoadRequest, steps: Iterable[Step], *, since: date, full: bool
) -> tuple[Step, ...]:
    """Return the steps of what is computed from unit-days: totals to carry on, and results."""
    experiment, published = request.experiment, request.published
    snapshot = None
    if published is not None and not full:
        snapshot = published.tables[tables.results(experiment.id).name.catalog].snapshot_id
    needs = tuple(step.name for step in steps)
    if experiment.costly_series == "latest":
        since = min(since, request.through)
    totals = _totals(request, since=since, full=full)
    wanted = results.Results(
        experiment=experiment,
        source=request.assignment_source,
        database=request.database,
        statistics=request.statistics,
        totals=totals,
        days=every_day(request),
        since=since,
        published=snapshot,
        dated=[s.name for s in request.metric_sources if request.scan(s).is_dated],
    )
    through = request.totals_through
    carried_on = [
        source.step(through, needs=needs, full=full)
        for source in totals
        if through is not None and (source.carried is None or source.carried.through != through)
    ]
    every = (*needs, *(step.name for step in carried_on))
    return (*carried_on, results.results_step(wanted, every, full=full))


def _totals(request: LoadRequest, *, since: date, full: bool) -> tuple[UnitTotals, ...]:
    found = tuple(
        UnitTotals(
            source=feed.source.name,
            number=feed.number,
            target=tables.unit_totals(
                request.experiment.id, feed.source.name, feed.aggregates, feed.number
            ),
            unit_days=feed.target,
            aggregates=feed.aggregates,
            database=request.database,
            carried=None,
        )
        for source in feeds(request)
        for feed in unit_days(request, source)
    )
    return found if full else _carried(found, last_published(request), since)


def _carried(
    totals: tuple[UnitTotals, ...], published: Published, since: date
) -> tuple[UnitTotals, ...]:
    """Return totals that start from the published ones, where all of these still hold."""
    through, versions = published.totals_through, published.tables
    if through is None or through >= since:
        return totals
    if any(each.target.name.catalog not in versions for each in totals):
        return totals
    return tuple(
        replace(
            each,
            carried=Carried(
                through=through, snapshot_id=versions[each.target.name.catalog].snapshot_id
            ),
        )
        for each in totals
    )


def _incremental(request: LoadRequest, definitions: Mapping[str, str]) -> Planned:
    published = last_published(request)
    reasons = days_to_read(request, request.assignment_source, published)
    days = exposed_days(request, reasons, published)
    steps = list(_exposure_steps(request, days, published=published)) if days.all else []
    kept: dict[str, KeptRows] = {}
    unseen = unseen_change(request, request.assignment_source, definitions)
    readings = [reading_of(request, request.assignment_source, reasons, unseen)]
    for feed in feeds(request):
        found = feed_steps(request, feed, definitions, days)
        steps += found.steps
        readings += found.readings
        kept |= found.kept
    redefined = published.definitions.get("results") != definitions["results"]
    if not steps and not redefined:
        return Planned((), tuple(readings))
    if not days.all and (redefined or request.through > published.through):
        steps.append(_summary_step(request))
    since = request.experiment.start if redefined else _first_day_touched(request, readings)
    last = _results_steps(request, steps, since=since, full=False)
    return Planned((*steps, *last), tuple(readings), kept)


def _summary_step(request: LoadRequest) -> Step:
    return exposures.summary_step(
        request.experiment,
        request.assignment_source,
        request.database,
        every_day(request),
        full=False,
    )


def _first_day_touched(request: LoadRequest, readings: Iterable[SourceReading]) -> date:
    """Return the first day whose results may change; rows from before an exposure count from it on."""
    touched = (day for reading in readings for day in reading.days)
    return min(touched, default=request.through + DAY)

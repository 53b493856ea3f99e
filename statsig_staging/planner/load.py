"""The plan of one load: which days of which source are read, and the steps that follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from statsig_staging import aggregates, expressions, templates
from statsig_staging.days import DAY, Window, in_words
from statsig_staging.names import digest
from statsig_staging.plan import Plan, Refresh, SourceReading, Step
from statsig_staging.planner import exposures, statistics, tables
from statsig_staging.planner.exposures import Loaded
from statsig_staging.planner.scans import Scan
from statsig_staging.planner.unit_days import UnitDays
from statsig_staging.sources import changed_days

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from statsig_staging.aggregates import Statistic
    from statsig_staging.config import AssignmentSource, Experiment, MetricSource, Project
    from statsig_staging.sources import Observation
    from statsig_staging.state import Published
    from statsig_staging.warehouses.base import Traits


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """Everything that planning a load looks at.

    Attributes:
        project: The configuration.
        experiment: What is loaded.
        refresh: What was asked for.
        through: Last day to load.
        today: The day it is, UTC.
        observations: What each source holds.
        published: The published load; None before the first.
        traits: How the warehouse likes its statements.
        again: Source → days that are read again in any case, each with its reason.
    """

    project: Project
    experiment: Experiment
    refresh: Refresh
    through: date
    today: date
    observations: Mapping[str, Observation]
    published: Published | None
    traits: Traits
    again: Mapping[str, Mapping[date, str]] = field(default_factory=dict)

    @property
    def assignment_source(self) -> AssignmentSource:
        """The experiment's assignment source."""
        return self.project.assignment_source(self.experiment.assignment_source)

    @property
    def database(self) -> str:
        """The staging database."""
        return self.project.connection.database

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        """The experiment's metrics as statistics."""
        found = (self.project.metric(name) for name in self.experiment.metrics)
        return tuple(aggregates.statistic_of(metric, self.project) for metric in found)

    @property
    def metric_sources(self) -> tuple[MetricSource, ...]:
        """The metric sources that the metrics need, by name."""
        names = {term.aggregate.source for statistic in self.statistics for term in statistic.terms}
        return tuple(self.project.metric_source(name) for name in sorted(names))

    @property
    def sources(self) -> tuple[AssignmentSource | MetricSource, ...]:
        """All sources that the experiment reads."""
        return (self.assignment_source, *self.metric_sources)

    def scan(self, source: AssignmentSource | MetricSource) -> Scan:
        """Return how the experiment reads a source."""
        return Scan(source, self.observations[source.name], self.experiment)


def build_plan(request: LoadRequest) -> Plan:
    """Return what a load will do; no step at all where nothing has changed.

    Raises:
        WarehouseError: If a source lacks a column, or has it in a type that cannot serve.
    """
    check_sources(request)
    definitions = define(request)
    refresh, reason = _refresh(request, definitions)
    planned = _full(request) if refresh is Refresh.FULL else _incremental(request, definitions)
    return Plan(
        experiment_id=request.experiment.id,
        refresh=refresh,
        reason=reason,
        start=request.experiment.start,
        through=request.through,
        watermark=min(request.through + DAY, request.today),
        steps=planned.steps,
        readings=planned.readings,
        warnings=tuple(_warnings(request)),
        definitions=definitions,
        observations=request.observations,
    )


def check_sources(request: LoadRequest) -> None:
    """Raise a WarehouseError where a source cannot serve the experiment."""
    source = request.assignment_source
    scan = request.scan(source)
    scan.check()
    scan.check_identifier("experiment_id", source.experiment_id)
    scan.check_identifier("group_id", source.group_id)
    for name, column in source.context.items():
        scan.check_column(f"context.{name}", column)
    for metric_source in request.metric_sources:
        request.scan(metric_source).check()


@dataclass(frozen=True, slots=True)
class _Planned:
    steps: tuple[Step, ...]
    readings: tuple[SourceReading, ...]


def define(request: LoadRequest) -> dict[str, str]:
    """Return the fingerprint of each definition that the tables are built from."""
    experiment = request.experiment
    found = {
        "exposures": digest(
            experiment.id,
            experiment.unit,
            experiment.start.isoformat(),
            repr(experiment.groups),
            sighting(request.assignment_source, experiment.unit),
            repr(sorted(request.assignment_source.context.items())),
            *_versions("exposures", "exposure_counts", "unit_day_exposures", "first_exposures"),
            length=16,
        ),
        "results": digest(
            experiment.crossover,
            repr([(s.metric, [term.key for term in s.terms]) for s in request.statistics]),
            *_versions("exposures_summary", "groups_seen", "results"),
            length=16,
        ),
    }
    for each in request.sources:
        found[f"sighting {each.name}"] = sighting(each, experiment.unit)
    for source in request.metric_sources:
        columns = aggregates.aggregates_of(request.statistics, source.name)
        found[f"source {source.name}"] = digest(
            sighting(source, experiment.unit), *_versions("unit_day_metrics"), length=16
        )
        found[f"aggregates {source.name}"] = " ".join(column.column for column in columns)
    return found


def _versions(*names: str) -> tuple[str, ...]:
    return tuple(f"{name} {templates.version(name)}" for name in names)


def sighting(source: AssignmentSource | MetricSource, unit: str) -> str:
    """Return a fingerprint of how rows of a source are found and dated."""
    where = source.table if source.table is not None else expressions.fingerprint(source.sql or "")
    mapping = [
        where,
        source.timestamp,
        source.units.get(unit, ""),
        repr(getattr(source, "timestamp_is_date", False)),
        repr(getattr(source, "experiment_id", None)),
        repr(getattr(source, "group_id", None)),
        repr(source.partition),
    ]
    return digest(*mapping, length=16)


def _refresh(request: LoadRequest, definitions: Mapping[str, str]) -> tuple[Refresh, str]:
    published = request.published
    if published is None:
        return Refresh.FULL, "nothing is published yet"
    if request.refresh is Refresh.FULL:
        return Refresh.FULL, "asked for"
    if published.definitions.get("exposures") != definitions["exposures"]:
        return Refresh.FULL, "the definition of the exposures changed"
    return Refresh.INCREMENTAL, f"since load {published.load_id} through {published.through}"


def _every_day(request: LoadRequest) -> tuple[date, ...]:
    return Window.through(request.experiment.start, request.through).days()


def _full(request: LoadRequest) -> _Planned:
    days = Loaded(_every_day(request))
    reasons = dict.fromkeys(days.read, "full refresh")
    steps = list(_exposure_steps(request, days, published=None))
    readings = [_reading(request, request.assignment_source, reasons)]
    for feed in _feeds(request):
        steps.append(feed.days_step(days, full=True, reason="every day"))
        readings.append(_reading(request, feed.scan.source, reasons))
    steps.append(_results_step(request, steps, since=days.read[0], full=True))
    return _Planned(tuple(steps), tuple(readings))


def _exposure_steps(
    request: LoadRequest, days: Loaded, *, published: Published | None
) -> tuple[Step, ...]:
    """Return the steps of the exposure tables, which build them anew where nothing is published."""
    experiment, source = request.experiment, request.assignment_source
    scan, database, full = request.scan(source), request.database, published is None
    snapshot = None
    if published is not None:
        unit_days = tables.unit_day_exposures(experiment.id, source).name.catalog
        snapshot = published.tables[unit_days].snapshot_id
    return (
        exposures.counts_step(scan, source, days, request.traits, full=full),
        exposures.check_step(experiment, database),
        exposures.unit_day_step(scan, source, days, request.traits, full=full),
        exposures.first_exposures_step(experiment, source, database, days=days, published=snapshot),
        exposures.summary_step(experiment, source, database, _every_day(request), full=full),
    )


def _feeds(request: LoadRequest) -> tuple[UnitDays, ...]:
    units = tables.first_exposures(request.experiment.id, request.assignment_source)
    return tuple(
        UnitDays(
            scan=request.scan(source),
            aggregates=aggregates.aggregates_of(request.statistics, source.name),
            first_exposures=units,
            database=request.database,
            traits=request.traits,
        )
        for source in request.metric_sources
    )


def _results_step(request: LoadRequest, steps: Iterable[Step], *, since: date, full: bool) -> Step:
    experiment, published = request.experiment, request.published
    snapshot = None
    if published is not None and not full:
        snapshot = published.tables[tables.results(experiment.id).name.catalog].snapshot_id
    wanted = statistics.Results(
        experiment=experiment,
        source=request.assignment_source,
        database=request.database,
        statistics=request.statistics,
        unit_days=[feed.target for feed in _feeds(request)],
        days=_every_day(request),
        since=since,
        published=snapshot,
    )
    return statistics.results_step(wanted, [step.name for step in steps], full=full)


def _incremental(request: LoadRequest, definitions: Mapping[str, str]) -> _Planned:
    published = _published(request)
    reasons = _days_to_read(request, request.assignment_source, published)
    days = Loaded(tuple(reasons), _days_gone(request, published))
    steps = list(_exposure_steps(request, days, published=published)) if days.all else []
    readings = [_reading(request, request.assignment_source, reasons)]
    for feed in _feeds(request):
        found = _feed_steps(request, feed, definitions, days)
        steps += found.steps
        readings += found.readings
    redefined = published.definitions.get("results") != definitions["results"]
    if not steps and not redefined:
        return _Planned((), tuple(readings))
    if redefined and not days.all:
        steps.append(_summary_step(request))
    since = request.experiment.start if redefined else _first_day_touched(request, steps)
    return _Planned(
        (*steps, _results_step(request, steps, since=since, full=False)), tuple(readings)
    )


def _summary_step(request: LoadRequest) -> Step:
    return exposures.summary_step(
        request.experiment,
        request.assignment_source,
        request.database,
        _every_day(request),
        full=False,
    )


def _first_day_touched(request: LoadRequest, steps: Iterable[Step]) -> date:
    touched = [step.days[0] for step in steps if step.days]
    return min([*touched, request.through + DAY])


def _published(request: LoadRequest) -> Published:
    if request.published is None:
        raise ValueError("an incremental load needs a published one")
    return request.published


def _feed_steps(
    request: LoadRequest, feed: UnitDays, definitions: Mapping[str, str], exposed: Loaded
) -> _Planned:
    """Return the steps of one metric source: whole days, then other days of late units."""
    published, source = _published(request), feed.scan.source
    every = _every_day(request)
    anew = _why_anew(source.name, feed, published, definitions)
    if anew is not None:
        step = feed.days_step(Loaded(every), full=True, reason=anew)
        return _Planned((step,), (_reading(request, source, dict.fromkeys(every, anew)),))
    reasons = _days_to_read(request, source, published)
    days = Loaded(tuple(reasons), exposed.gone)
    steps: list[Step] = []
    if days.all:
        steps.append(feed.days_step(days, full=False, reason=_in_reasons(reasons, days.gone)))
    other = [
        day for day in every if exposed.read and day >= min(exposed.read) and day not in reasons
    ]
    if other:
        units = feed.first_exposures.name.catalog
        needs = (feed.name,) if days.all else ("first_exposures",)
        steps.append(feed.late_step(other, published.tables[units].snapshot_id, needs=needs))
    return _Planned(tuple(steps), (_reading(request, source, reasons),))


def _why_anew(
    name: str, feed: UnitDays, published: Published, definitions: Mapping[str, str]
) -> str | None:
    """Return why a source's unit-days are built anew, or None where they are not."""
    if feed.target.name.catalog not in published.tables:
        return "new source"
    if published.definitions.get(f"source {name}") != definitions[f"source {name}"]:
        return "the definition of the source changed"
    staged = set(published.definitions.get(f"aggregates {name}", "").split())
    if not staged.issuperset(definitions[f"aggregates {name}"].split()):
        return "new or changed metrics"
    return None


def _in_reasons(reasons: Mapping[date, str], gone: Iterable[date]) -> str:
    by_reason: dict[str, list[date]] = {}
    for day, reason in reasons.items():
        by_reason.setdefault(reason, []).append(day)
    for day in gone:
        by_reason.setdefault("after the last day to load", []).append(day)
    return "; ".join(f"{in_words(days)}: {reason}" for reason, days in by_reason.items())


def _days_to_read(
    request: LoadRequest, source: AssignmentSource | MetricSource, published: Published
) -> dict[date, str]:
    """Return the days of a source that an incremental load reads, each with its reason."""
    window = Window.through(request.experiment.start, request.through)
    observation = request.observations[source.name]
    before = published.sources.get(source.name)
    found: dict[date, str] = {}
    if observation.dated:
        changes = changed_days(before.days if before else {}, observation.digests())
        found = {day: reason for day, reason in changes.items() if day in window}
    elif before is None or before.fingerprint != observation.fingerprint():
        first = published.watermark - source.lookback_days * DAY
        again = Window(
            max(first, window.start), max(min(published.watermark, window.end), window.start)
        )
        found = dict.fromkeys(again.days(), f"lookback of {source.lookback_days} days")
    last = min(published.watermark - DAY, published.through)
    for day in window.days():
        if day > last:
            found[day] = "not loaded yet"
    for day, reason in request.again.get(source.name, {}).items():
        if day in window:
            found.setdefault(day, reason)
    return dict(sorted(found.items()))


def _days_gone(request: LoadRequest, published: Published) -> tuple[date, ...]:
    return Window(request.through + DAY, published.through + DAY).days()


def _reading(
    request: LoadRequest, source: AssignmentSource | MetricSource, reasons: Mapping[date, str]
) -> SourceReading:
    watch = "changes are seen file by file"
    if not request.observations[source.name].dated:
        watch = (
            "changes cannot be told by day; "
            f"the last {source.lookback_days} days are read again when a file changed"
        )
    return SourceReading(source=source.name, days=dict(reasons), watch=watch)


def _warnings(request: LoadRequest) -> Iterable[str]:
    for source in (request.assignment_source, *request.metric_sources):
        observation = request.observations[source.name]
        unit = source.units[request.experiment.unit].lower()
        missing = sum(file.nulls.get(unit, 0) for file in observation.files)
        if missing and source is not request.assignment_source:
            yield f"source {source.name!r}: {missing} rows have no {unit}; they are left out"
        misplaced = sum(file.misplaced for file in observation.files)
        if misplaced:
            yield (
                f"source {source.name!r}: {misplaced} rows lie too far from the partition of their "
                "day; they are left out (partition.early and partition.late widen what counts)"
            )
        if source is not request.assignment_source and not any(f.rows for f in observation.files):
            yield f"source {source.name!r} is empty"

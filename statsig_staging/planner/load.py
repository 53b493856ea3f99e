"""The plan of one load: which days of which source are read, and the steps that follow."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from statsig_staging import aggregates, expressions, templates
from statsig_staging.days import DAY, Window, in_words
from statsig_staging.names import digest
from statsig_staging.plan import KeptRows, Plan, Refresh, SourceReading, Step
from statsig_staging.planner import exposures, statistics, tables, watching
from statsig_staging.planner.exposures import Loaded
from statsig_staging.planner.scans import Scan
from statsig_staging.planner.unit_days import UnitDays
from statsig_staging.planner.unit_totals import Carried, UnitTotals
from statsig_staging.sources import changed_days

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date

    from statsig_staging.aggregates import Statistic
    from statsig_staging.config import AssignmentSource, Experiment, MetricSource, Project
    from statsig_staging.sources import Observation, SourceFile
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
        known: Source → files that the published load knew; of a source that is missing nothing is known.
        metrics: Metrics whose columns are computed anew on every day.
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
    known: Mapping[str, tuple[SourceFile, ...]] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
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

    @property
    def watermark(self) -> date:
        """The first day that counts as not loaded afterwards: a day is loaded once it is over."""
        return min(self.through + DAY, self.today)

    @property
    def totals_through(self) -> date | None:
        """The last day that the next load will not read in any case; None where there is none."""
        lookbacks = (s.lookback_days for s in self.sources if not self.observations[s.name].dated)
        day = self.watermark - (1 + max(lookbacks, default=0)) * DAY
        return day if day >= self.experiment.start else None

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
        watermark=request.watermark,
        totals_through=request.totals_through,
        kept=planned.kept,
        steps=planned.steps,
        readings=planned.readings,
        warnings=(*_warnings(request), *_unseen_warnings(request, planned.readings)),
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
    kept: Mapping[str, KeptRows] = field(default_factory=dict)


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
            *_versions(
                "exposures",
                "exposure_counts",
                "exposure_counts_added",
                "staged_exposure_counts",
                "unit_day_exposures",
                "staged_exposures",
                "first_exposures",
                "known_units",
            ),
            length=16,
        ),
        "results": digest(
            experiment.crossover,
            repr([(s.metric, [term.key for term in s.terms]) for s in request.statistics]),
            *_versions("exposures_summary", "groups_seen", "results", "unit_totals"),
            length=16,
        ),
    }
    for each in request.sources:
        found[f"sighting {each.name}"] = sighting(each, experiment.unit)
    for source in request.metric_sources:
        columns = aggregates.aggregates_of(request.statistics, source.name)
        found[f"source {source.name}"] = digest(
            sighting(source, experiment.unit),
            *_versions("metric_rows", "unit_day_metrics"),
            length=16,
        )
        found[f"aggregates {source.name}"] = " ".join(column.column for column in columns)
    for feed in _feeds(request):
        found[f"rows {feed.source.name}"] = digest(
            sighting(feed.source, experiment.unit),
            *(column.name for column in feed.kept.columns),
            *_versions("metric_rows"),
            length=16,
        )
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
    for source in request.sources:
        unseen = _unseen(request, source, definitions)
        if watching.must_refresh(source, unseen):
            return Refresh.FULL, f"source {source.name!r}: {unseen} (on_unseen_change: refresh)"
    if request.refresh is Refresh.METRIC:
        return Refresh.METRIC, f"asked for {', '.join(request.metrics)}"
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
    results = _results_steps(request, steps, since=days.read[0], full=True)
    return _Planned((*steps, *results), tuple(readings))


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
    every = _every_day(request)
    return (
        exposures.counts_step(of),
        exposures.check_step(experiment, request.database),
        exposures.unit_day_step(of),
        exposures.first_exposures_step(of),
        exposures.summary_step(experiment, source, request.database, every, full=of.is_full),
    )


def _feeds(request: LoadRequest) -> tuple[UnitDays, ...]:
    units = tables.first_exposures(request.experiment.id, request.assignment_source)
    return tuple(
        UnitDays(
            scan=request.scan(source),
            source=source,
            aggregates=aggregates.aggregates_of(request.statistics, source.name),
            first_exposures=units,
            database=request.database,
            traits=request.traits,
        )
        for source in request.metric_sources
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
    totals = _totals(request, since=since, full=full)
    wanted = statistics.Results(
        experiment=experiment,
        source=request.assignment_source,
        database=request.database,
        statistics=request.statistics,
        totals=totals,
        days=_every_day(request),
        since=since,
        published=snapshot,
    )
    through = request.totals_through
    carried_on = [
        source.step(through, needs=needs, full=full)
        for source in totals
        if through is not None and (source.carried is None or source.carried.through != through)
    ]
    every = (*needs, *(step.name for step in carried_on))
    return (*carried_on, statistics.results_step(wanted, every, full=full))


def _totals(request: LoadRequest, *, since: date, full: bool) -> tuple[UnitTotals, ...]:
    through = None if full else _carried_through(request, since)
    found = []
    for feed in _feeds(request):
        source = feed.scan.source.name
        target = tables.unit_totals(request.experiment.id, source, feed.aggregates)
        carried = None
        if through is not None:
            snapshot_id = _published(request).tables[target.name.catalog].snapshot_id
            carried = Carried(through=through, snapshot_id=snapshot_id)
        found.append(
            UnitTotals(
                source=source,
                target=target,
                unit_days=feed.target,
                aggregates=feed.aggregates,
                database=request.database,
                carried=carried,
            )
        )
    return tuple(found)


def _carried_through(request: LoadRequest, since: date) -> date | None:
    """Return the day through which the published totals still hold; None where they do not."""
    published = _published(request)
    through = published.totals_through
    if through is None or through >= since:
        return None
    names = [
        tables.unit_totals(request.experiment.id, source.name, ()).name.catalog
        for source in request.metric_sources
    ]
    return through if all(name in published.tables for name in names) else None


def _incremental(request: LoadRequest, definitions: Mapping[str, str]) -> _Planned:
    published = _published(request)
    reasons = _days_to_read(request, request.assignment_source, published)
    days = _exposed_days(request, reasons, published)
    steps = list(_exposure_steps(request, days, published=published)) if days.all else []
    kept: dict[str, KeptRows] = {}
    unseen = _unseen(request, request.assignment_source, definitions)
    readings = [_reading(request, request.assignment_source, reasons, unseen)]
    for feed in _feeds(request):
        found = _feed_steps(request, feed, definitions, days)
        steps += found.steps
        readings += found.readings
        kept |= found.kept
    redefined = published.definitions.get("results") != definitions["results"]
    if not steps and not redefined:
        return _Planned((), tuple(readings))
    if redefined and not days.all:
        steps.append(_summary_step(request))
    since = request.experiment.start if redefined else _first_day_touched(request, steps)
    results = _results_steps(request, steps, since=since, full=False)
    return _Planned((*steps, *results), tuple(readings), kept)


def _exposed_days(
    request: LoadRequest, reasons: Mapping[date, str], published: Published
) -> Loaded:
    """Return the days of exposures to load, and those of them that new files alone have come to."""
    source, gone = request.assignment_source, _days_gone(request, published)
    known = request.known.get(source.name)
    observation = request.observations[source.name]
    if known is None or not observation.dated:
        return Loaded(tuple(reasons), gone)
    before = {file.fingerprint for file in known}
    still = {file.fingerprint for file in observation.files}
    lost = {day for file in known if file.fingerprint not in still for day in file.days}
    kept = {day for file in observation.files if file.fingerprint in before for day in file.days}
    new = [file for file in observation.files if file.fingerprint not in before]
    come = {day for file in new for day in file.days}
    loaded = Window(request.experiment.start, min(published.watermark, published.through + DAY))
    lost |= request.again.get(source.name, {}).keys()
    old = {day for day in reasons if day in loaded and day in come and day not in lost}
    fresh = {day for day in reasons if day not in loaded and day not in kept}
    # The moment of a context value is not staged, so a day of it cannot be added to.
    added = old | fresh if old and not source.context else set()
    return Loaded(
        tuple(reasons),
        gone,
        added=tuple(sorted(added)),
        files=frozenset(file.path for file in new),
        grows=not gone and set(reasons) == fresh | added,
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
    published, source = _published(request), feed.source
    every = _every_day(request)
    restated = _columns_anew(request, feed, published, definitions)
    anew = _why_anew(request, feed, published, definitions)
    if anew is not None:
        step = feed.days_step(Loaded(every), full=True, reason=anew)
        return _Planned((step,), (_reading(request, source, dict.fromkeys(every, anew)),))
    reasons = _days_to_read(request, source, published)
    days = Loaded(tuple(reasons), exposed.gone)
    first = min(exposed.read, default=request.through + DAY)
    others = tuple(day for day in every if day >= first and day not in reasons)
    keeping = _keeping(request, feed, definitions, days, others)
    steps = list(keeping.steps)
    feed = replace(feed, from_kept=bool(keeping.steps))
    if restated:
        rest = [day for day in every if day not in reasons]
        why = _why_restated(request, restated)
        unit_days = published.tables[feed.target.name.catalog].snapshot_id
        steps.append(feed.restated_step(days, rest, restated, unit_days, why))
        reasons = dict(sorted({**dict.fromkeys(rest, why), **reasons}.items()))
    elif days.all:
        steps.append(feed.days_step(days, full=False, reason=_in_reasons(reasons, days.gone)))
    if others:
        units = published.tables[feed.first_exposures.name.catalog].snapshot_id
        steps.append(feed.late_step(others, units))
    unseen = _unseen(request, source, definitions)
    return _Planned(tuple(steps), (_reading(request, source, reasons, unseen),), keeping.kept)


_DAYS_KEPT = 28
"""So many days of rows are kept of a source whose experiment gets late exposures, and for so long after."""


def _keeping(
    request: LoadRequest,
    feed: UnitDays,
    definitions: Mapping[str, str],
    days: Loaded,
    others: Sequence[date],
) -> _Planned:
    """Return the steps that keep rows of a source, where exposures arrive late or have done so lately.

    Late units need days that were read before. Rows that are kept when a day is read spare reading it again.
    """
    published, name = _published(request), feed.source.name
    before = published.sources.get(name)
    late = before.late if before is not None else None
    first = request.through - _DAYS_KEPT * DAY
    if others:
        late = request.through
    if late is None or late < first or not request.observations[name].dated:
        return _Planned((), ())
    is_new = feed.kept.name.catalog not in published.tables
    same = published.definitions.get(f"rows {name}") == definitions[f"rows {name}"]
    staged = set(before.kept_rows) if before is not None and same and not is_new else set()
    expired = {day for day in staged if day < first}
    valid = staged - expired - {*days.all}
    missing = tuple(day for day in others if day not in valid)
    steps = []
    if days.all or expired or is_new:
        steps.append(feed.keep_step(days, expired, is_new=is_new))
    if missing:
        units = published.tables[feed.first_exposures.name.catalog].snapshot_id
        steps.append(feed.keep_late_step(missing, units))
    kept = KeptRows(
        days=tuple(sorted({*valid, *days.read})), late=late, more=f"late_metric_rows_{name}"
    )
    return _Planned(tuple(steps), (), {name: kept})


def _columns_anew(
    request: LoadRequest, feed: UnitDays, published: Published, definitions: Mapping[str, str]
) -> frozenset[str]:
    """Return the columns of a source's unit-days that are to be computed on every day."""
    name = feed.source.name
    staged = published.definitions.get(f"aggregates {name}", "").split()
    asked = {
        term.aggregate.column
        for statistic in request.statistics
        if statistic.metric in request.metrics
        for term in statistic.terms
        if term.aggregate.source == name
    }
    return frozenset(definitions[f"aggregates {name}"].split()) - frozenset(staged) | asked


def _why_restated(request: LoadRequest, columns: Collection[str]) -> str:
    names = [
        statistic.metric
        for statistic in request.statistics
        if any(term.aggregate.column in columns for term in statistic.terms)
    ]
    asked = set(names) <= set(request.metrics)
    return f"{'asked for' if asked else 'new or changed'}: {', '.join(names)}"


def _why_anew(
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
        return _why_restated(request, restated)
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
    else:
        found = dict(watching.watched(source, observation, published, window.days()).again)
    last = min(published.watermark - DAY, published.through)
    for day in window.days():
        if day > last:
            found[day] = "not loaded yet"
    for day, reason in request.again.get(source.name, {}).items():
        if day in window:
            found.setdefault(day, reason)
    return dict(sorted(found.items()))


def _unseen(
    request: LoadRequest, source: AssignmentSource | MetricSource, definitions: Mapping[str, str]
) -> str:
    """Return the change of a SQL source that an incremental load may not reach, in words."""
    published, observation = _published(request), request.observations[source.name]
    anew = (
        _why_anew(request, feed, published, definitions)
        for feed in _feeds(request)
        if feed.scan.source.name == source.name
    )
    if observation.dated or any(anew):
        return ""
    return watching.watched(source, observation, published, _every_day(request)).unseen


def _unseen_warnings(request: LoadRequest, readings: Iterable[SourceReading]) -> Iterable[str]:
    unseen = {reading.source: reading.unseen for reading in readings if reading.unseen}
    for source in request.sources:
        if source.name in unseen:
            yield watching.warning(source, unseen[source.name])


def _days_gone(request: LoadRequest, published: Published) -> tuple[date, ...]:
    return Window(request.through + DAY, published.through + DAY).days()


def _reading(
    request: LoadRequest,
    source: AssignmentSource | MetricSource,
    reasons: Mapping[date, str],
    unseen: str = "",
) -> SourceReading:
    watch = watching.rule(source, request.observations[source.name])
    return SourceReading(source=source.name, days=dict(reasons), watch=watch, unseen=unseen)


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

"""The engine: load an experiment, plan a load, read what is published."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Self

from statsig_staging import aggregates, history, journal, ledger, state
from statsig_staging.days import DAY
from statsig_staging.errors import ConfigError, NoExposuresError, StagingError
from statsig_staging.executor import Surroundings, execute
from statsig_staging.expressions import suggestion
from statsig_staging.journal import OpenJournal, Outcome
from statsig_staging.lease import held
from statsig_staging.observer import observe, with_expressions
from statsig_staging.plan import Refresh
from statsig_staging.planner import LoadRequest, build_plan, sighting
from statsig_staging.planner import tables as staging
from statsig_staging.reader import Reader
from statsig_staging.results import LoadPublished, LoadResult, LoadStarted, Warned
from statsig_staging.warehouses import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    import pyarrow as pa

    from statsig_staging.config import Experiment, Project
    from statsig_staging.executor import Execution
    from statsig_staging.journal import Journal
    from statsig_staging.lease import HeldLease
    from statsig_staging.observer import Known
    from statsig_staging.plan import Plan, Step
    from statsig_staging.reader import ExperimentStatus
    from statsig_staging.results import Event
    from statsig_staging.sources import Observation, SourceFile
    from statsig_staging.state import Published
    from statsig_staging.warehouses.base import Warehouse


def connect(
    project: Project,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    pause: Callable[[float], object] = sleep,
) -> Engine:
    """Return an engine on the project's warehouse; use it in a ``with`` block.

    Args:
        project: The configuration, from ``load_project`` or ``Project.model_validate``.
        now: The clock, UTC; it decides which days are over.
        pause: Waits for some seconds.

    Raises:
        WarehouseError: If the warehouse cannot be reached or written.
    """
    return Engine(project, open_warehouse(project), now, pause)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """A load that was asked for, under its lease."""

    experiment: Experiment
    refresh: Refresh
    metrics: tuple[str, ...]
    through: date
    published: tuple[Published, ...]
    began: float
    on_event: Callable[[Event], object]


class Engine:
    """Loads experiments on one warehouse and reads their published results."""

    def __init__(
        self,
        project: Project,
        warehouse: Warehouse,
        now: Callable[[], datetime],
        pause: Callable[[float], object],
    ) -> None:
        self._project = project
        self._warehouse = warehouse
        self._now = now
        self._pause = pause
        self._reader = Reader(project, warehouse)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the warehouse."""
        self._warehouse.close()

    def run(
        self,
        experiment_id: str,
        *,
        refresh: str = "incremental",
        metrics: Sequence[str] = (),
        through: date | None = None,
        wait: bool = False,
        on_event: Callable[[Event], object] = lambda _: None,
    ) -> LoadResult:
        """Load an experiment and publish it.

        Args:
            experiment_id: The experiment's id in the project.
            refresh: ``incremental`` reads what is new or changed, ``full`` everything; ``metric`` is
                incremental and computes the columns of some metrics anew on every day.
            metrics: The metrics of a ``metric`` refresh.
            through: Last day to load, UTC; by default yesterday or the experiment's end.
            wait: Whether to wait while another load holds the experiment.
            on_event: Hears of every step while the load runs.

        Returns:
            What was done; ``status`` is ``unchanged`` where there was nothing to do.

        Raises:
            ConfigError: If the arguments or the configuration do not make sense.
            WarehouseError: If the warehouse refuses: a missing table or column, a wrong type.
            StepFailedError: If a step fails; what was published before stays readable.
            NoExposuresError: If the experiment has no exposures at all.
            LoadConflictError: If another load holds the experiment.
        """
        began = monotonic()
        experiment = self._project.experiment(experiment_id)
        asked, target = _refresh(refresh, metrics, experiment), self._target(experiment, through)
        before = self._reader.loads(experiment.id)
        with held(
            self._warehouse,
            experiment.id,
            lowest=before[0].number + 1 if before else 1,
            now=self._now,
            wait=self._waiting(wait, on_event),
        ) as lease:
            load = _Load(
                experiment=experiment,
                refresh=asked,
                metrics=tuple(metrics),
                through=target,
                published=self._reader.loads(experiment.id),
                began=began,
                on_event=on_event,
            )
            return self._run(load, lease)

    def _waiting(self, wait: bool, on_event: Callable[[Event], object]) -> Callable[[], bool]:
        said = False

        def again() -> bool:
            nonlocal said
            if wait and not said:
                on_event(Warned(message="another load holds the experiment; waiting for it to end"))
                said = True
            if wait:
                self._pause(1.0)
            return wait

        return again

    def _run(self, load: _Load, lease: HeldLease) -> LoadResult:
        unrecorded = self._record(load, lease, lambda: load.published)
        self._repair(load.experiment, load.published)
        plan = self._plan(load)
        for warning in plan.warnings:
            load.on_event(Warned(message=warning))
        if not plan.steps and load.published:
            found = _result(plan, load.published[0].load_id, load.began, status="unchanged")
            return replace(found, warnings=(*found.warnings, *unrecorded))
        log = self._journal(plan, load)
        log.begin()
        load_id, steps = log.value.load_id, tuple(step.name for step in plan.steps)
        load.on_event(LoadStarted(experiment_id=plan.experiment_id, load_id=load_id, steps=steps))
        try:
            result = self._execute(plan, load, lease, log)
        except Exception as error:
            with suppress(StagingError):
                log.end(Outcome.FAILED, str(error) or type(error).__name__)
            # It may have failed after the commit that published it: the table says so.
            loads = partial(self._reader.loads, load.experiment.id)
            self._record(load, lease, loads, log.value)
            raise
        load.on_event(LoadPublished(load_id=load_id))
        with suppress(StagingError):
            log.end(Outcome.PUBLISHED)
        unrecorded = self._record(load, lease, lambda: load.published, log.value)
        warnings = (*result.warnings, *unrecorded)
        return replace(result, warnings=warnings, seconds=log.value.seconds)

    def _journal(self, plan: Plan, load: _Load) -> OpenJournal:
        entry = journal.planned(
            plan,
            load_id=_new_load_id(self._now()),
            began_at=self._now(),
            assignment_source=load.experiment.assignment_source,
            metrics=aggregates.metrics_by_source(load.experiment.metrics, self._project),
        )
        return OpenJournal(self._warehouse, entry, self._now, lambda: monotonic() - load.began)

    def _record(
        self,
        load: _Load,
        lease: HeldLease,
        published: Callable[[], Iterable[Published]],
        ended: Journal | None = None,
    ) -> tuple[str, ...]:
        """Enter in the ledger what is not there yet; where that fails, warn and return the warning."""
        warnings = ledger.record(
            self._warehouse,
            self._project.connection.database,
            load.experiment.id,
            published=published,
            ended=ended,
            confirm=lease.renew,
            pause=self._pause,
        )
        for warning in warnings:
            load.on_event(Warned(message=warning))
        return warnings

    def _execute(self, plan: Plan, load: _Load, lease: HeldLease, log: OpenJournal) -> LoadResult:
        load_id = log.value.load_id

        def before(step: Step) -> None:
            lease.renew()
            log.start(step)

        around = Surroundings(
            warehouse=self._warehouse,
            load_id=load_id,
            keep_tags=self._tags_to_keep(load.published),
            on_event=load.on_event,
            clock=monotonic,
            database=self._project.connection.database,
            published=_snapshots(load.published),
            before_step=before,
            after_step=log.finish,
        )
        done = execute(plan, around)
        self._check_exposures(load.experiment)
        result = _result(plan, load_id, load.began, status="published", done=done)
        log.publish()
        lease.renew()
        self._publish(plan, result, done, load.published, lease.number)
        return result

    def plan(
        self,
        experiment_id: str,
        *,
        refresh: str = "incremental",
        metrics: Sequence[str] = (),
        through: date | None = None,
    ) -> Plan:
        """Return what :meth:`run` would do with the same arguments; nothing is written."""
        experiment = self._project.experiment(experiment_id)
        load = _Load(
            experiment=experiment,
            refresh=_refresh(refresh, metrics, experiment),
            metrics=tuple(metrics),
            through=self._target(experiment, through),
            published=self._reader.loads(experiment.id),
            began=monotonic(),
            on_event=lambda _: None,
        )
        return self._plan(load)

    def results(
        self, experiment_id: str, *, rollup: str | None = None, metrics: tuple[str, ...] = ()
    ) -> pa.Table:
        """Return the published group statistics, of one load.

        Args:
            experiment_id: The experiment.
            rollup: ``daily`` or ``cumulative``; all by default.
            metrics: Only these metrics; all by default.

        Returns:
            The rows of ``results``; the schema's metadata has ``load_id`` and ``through``.

        Raises:
            ConfigError: If there is no such rollup or metric.
            WarehouseError: If nothing is published.
        """
        return self._reader.results(experiment_id, rollup, metrics)

    def table(self, experiment_id: str, name: str) -> pa.Table:
        """Return a staging table as published.

        Args:
            experiment_id: The experiment.
            name: A table of ``docs/tables.md``, such as ``first_exposures`` or
                ``unit_day_metrics_<source>``.

        Raises:
            WarehouseError: If there is no such table, or nothing is published.
        """
        return self._reader.table(experiment_id, name)

    def ledger(self, experiment_id: str | None = None) -> pa.Table:
        """Return ``pipeline_overview``: the jobs of every load, of one experiment or of all.

        The latest load comes first, its jobs in their order.
        """
        if experiment_id is not None:
            experiment_id = self._project.experiment(experiment_id).id
        return ledger.read(self._warehouse, self._project.connection.database, experiment_id)

    def status(self, experiment_id: str | None = None) -> tuple[ExperimentStatus, ...]:
        """Return what is published of one experiment, or of all in the project."""
        experiments = (
            self._project.experiments
            if experiment_id is None
            else (self._project.experiment(experiment_id),)
        )
        return tuple(self._status(experiment) for experiment in experiments)

    def _status(self, experiment: Experiment) -> ExperimentStatus:
        found = self._reader.status(experiment)
        past = history.past_loads(self._warehouse, experiment.id, found.loads, now=self._now)
        return replace(found, history=past)

    def _repair(self, experiment: Experiment, published: tuple[Published, ...]) -> None:
        """Put tables that an interrupted load has moved back to where the published one left them."""
        if not published:
            return
        for table in self._reader.tables(experiment).values():
            wanted = published[0].tables.get(table.name.catalog)
            now = self._warehouse.version(table) if wanted is not None else None
            if wanted is not None and now is not None and now.snapshot_id != wanted.snapshot_id:
                self._warehouse.restore(table, wanted)

    def _target(self, experiment: Experiment, through: date | None) -> date:
        return _target(experiment, through, self._now().astimezone(UTC).date())

    def _plan(self, load: _Load) -> Plan:
        current = load.published[0] if load.published else None
        request = LoadRequest(
            project=self._project,
            experiment=load.experiment,
            refresh=load.refresh,
            metrics=load.metrics,
            through=load.through,
            today=self._now().astimezone(UTC).date(),
            observations={},
            published=current,
            traits=self._warehouse.traits,
        )
        known = self._known_files(request, current)
        by_source: dict[str, tuple[SourceFile, ...]] = {}
        for (source, _), found in known.items():
            by_source[source] = (*by_source.get(source, ()), *found.values())
        return build_plan(
            replace(request, observations=self._observe(request, known), known=by_source)
        )

    def _observe(self, request: LoadRequest, known: Known) -> dict[str, Observation]:
        experiment = request.experiment
        source = request.assignment_source
        found = {source.name: observe(self._warehouse, source, experiment, known)}
        for metric_source in request.metric_sources:
            seen = observe(self._warehouse, metric_source, experiment, known)
            looked = replace(request, observations={metric_source.name: seen})
            scan = looked.scan(metric_source)
            scan.check()
            columns = aggregates.aggregates_of(request.statistics, metric_source.name)
            found[metric_source.name] = with_expressions(self._warehouse, scan, columns)
        return found

    def _known_files(
        self, request: LoadRequest, current: Published | None
    ) -> dict[tuple[str, str], dict[str, SourceFile]]:
        """Return the files of the last load, of sources whose rows are still dated and found alike."""
        if current is None or request.refresh is Refresh.FULL:
            return {}
        alike = {
            source.name
            for source in request.sources
            if current.definitions.get(f"sighting {source.name}")
            == sighting(source, request.experiment.unit)
        }
        files = state.read_files(self._warehouse, request.experiment.id, current.load_id)
        return {key: found for key, found in files.items() if key[0] in alike}

    def _tags_to_keep(self, published: tuple[Published, ...]) -> dict[str, tuple[str, ...]]:
        tags: dict[str, set[str]] = {}
        for load in state.kept(published, self._project.connection.keep_loads):
            for name, version in load.tables.items():
                tags.setdefault(name, set()).add(version.tag)
        return {name: tuple(sorted(found)) for name, found in tags.items()}

    def _check_exposures(self, experiment: Experiment) -> None:
        source = self._project.assignment_source(experiment.assignment_source)
        if self._warehouse.size(staging.first_exposures(experiment.id, source)).rows == 0:
            raise NoExposuresError(
                f"experiment {experiment.id!r} has no exposures in assignment source "
                f"{source.name!r} from {experiment.start} on; check the id, the dates and the groups"
            )

    def _publish(
        self,
        plan: Plan,
        result: LoadResult,
        done: Execution,
        published: tuple[Published, ...],
        number: int,
    ) -> None:
        before = published[0].tables if published else {}
        observations = self._with_contents(plan, result.files_read)
        sources = {
            reading.source: state.SourceState(
                fingerprint=observations[reading.source].fingerprint(),
                days=observations[reading.source].digests(),
                watch=reading.watch,
                unseen=reading.unseen,
                kept_rows=_kept_rows(plan, reading.source, done),
                late=plan.kept[reading.source].late if reading.source in plan.kept else None,
            )
            for reading in plan.readings
        }
        load = state.Published(
            load_id=result.load_id,
            number=number,
            published_at=self._now().astimezone(UTC),
            refresh=plan.refresh.value,
            start=plan.start,
            through=plan.through,
            watermark=plan.watermark,
            definitions=plan.definitions,
            sources=sources,
            tables={**before, **done.versions},
            totals_through=plan.totals_through,
            rows=result.rows,
            bytes_read=result.bytes_read,
            bytes_written=result.bytes_written,
            seconds=result.seconds,
            warnings=result.warnings,
        )
        state.write_files(self._warehouse, plan.experiment_id, load.load_id, observations.values())
        state.publish(self._warehouse, plan.experiment_id, load, published)

    def _with_contents(self, plan: Plan, read: frozenset[str]) -> dict[str, Observation]:
        """Return what the sources held, with the content of the files that the load has just read."""
        files = {
            file.path: file
            for seen in plan.observations.values()
            for file in seen.files
            if file.path in read and not file.content
        }
        contents = self._warehouse.contents(files.values())
        return {name: seen.with_contents(contents) for name, seen in plan.observations.items()}


def _snapshots(published: tuple[Published, ...]) -> dict[str, int]:
    tables = published[0].tables if published else {}
    return {name: version.snapshot_id for name, version in tables.items()}


def _kept_rows(plan: Plan, source: str, done: Execution) -> tuple[date, ...]:
    """Return the days whose rows are kept of a source once the plan has run."""
    kept = plan.kept.get(source)
    if kept is None:
        return ()
    more = (day for step in done.steps if step.step == kept.more for day in step.partitions)
    return tuple(sorted({*kept.days, *more}))


def _new_load_id(now: datetime) -> str:
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"


def _refresh(name: str, metrics: Sequence[str], experiment: Experiment) -> Refresh:
    try:
        refresh = Refresh(name)
    except ValueError:
        listed = ", ".join(refresh.value for refresh in Refresh)
        raise ConfigError(f"refresh {name!r} is not known; choose one of {listed}") from None
    if refresh is Refresh.METRIC and not metrics:
        raise ConfigError("a metric refresh needs the metrics to refresh: --metric NAME")
    if metrics and refresh is not Refresh.METRIC:
        raise ConfigError("--metric goes with --refresh metric")
    unknown = [name for name in metrics if name not in experiment.metrics]
    if unknown:
        raise ConfigError(
            *(
                f"experiment {experiment.id!r} has no metric {name!r}"
                f"{suggestion(name, experiment.metrics)}"
                for name in unknown
            )
        )
    return refresh


def _target(experiment: Experiment, through: date | None, today: date) -> date:
    """Return the last day to load.

    Raises:
        ConfigError: If it is in the future, or before the experiment's first day.
    """
    if isinstance(through, datetime):
        through = through.date()
    if through is not None and through > today:
        raise ConfigError(f"--through {through} is in the future; today is {today} (UTC)")
    target = today - DAY if through is None else through
    if experiment.end is not None:
        target = min(target, experiment.end)
    if target < experiment.start:
        raise ConfigError(
            f"experiment {experiment.id!r} starts on {experiment.start}; "
            f"there is nothing to load through {target}"
        )
    return target


def _result(
    plan: Plan, load_id: str, began: float, *, status: str, done: Execution | None = None
) -> LoadResult:
    warnings = plan.warnings if done is None else (*plan.warnings, *done.warnings)
    return LoadResult(
        experiment_id=plan.experiment_id,
        load_id=load_id,
        status=status,
        refresh=plan.refresh,
        reason=plan.reason,
        start=plan.start,
        through=plan.through,
        steps=done.steps if done is not None else (),
        readings=plan.readings,
        warnings=warnings,
        seconds=monotonic() - began,
    )

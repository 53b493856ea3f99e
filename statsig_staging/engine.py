"""The engine: load an experiment, plan a load, read what is published."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from time import monotonic, sleep
from typing import TYPE_CHECKING, Self

from statsig_staging import aggregates, journal, maintenance, reconciliation, state, upkeep
from statsig_staging.days import DAY
from statsig_staging.errors import ConfigError, NoExposuresError, StagingError
from statsig_staging.executor import Surroundings, execute
from statsig_staging.journal import Journal
from statsig_staging.lease import held, is_held
from statsig_staging.maintenance import Site
from statsig_staging.observer import observe, with_expressions
from statsig_staging.plan import Refresh
from statsig_staging.planner import LoadRequest, build_plan, sighting
from statsig_staging.planner import tables as staging
from statsig_staging.reader import Reader
from statsig_staging.results import (
    LoadPublished,
    LoadResult,
    LoadStarted,
    MaintenanceResult,
    Warned,
)
from statsig_staging.warehouses import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from types import TracebackType

    import pyarrow as pa

    from statsig_staging.config import Experiment, Project
    from statsig_staging.executor import Execution
    from statsig_staging.lease import HeldLease
    from statsig_staging.plan import Plan
    from statsig_staging.reader import ExperimentStatus
    from statsig_staging.reconciliation import Reconciliation
    from statsig_staging.results import Event, Removed
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


Again = Mapping[str, Mapping[date, str]]
"""Source → days that are read again, each with its reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """A load that was asked for, under its lease."""

    experiment: Experiment
    refresh: Refresh
    through: date
    published: tuple[Published, ...]
    began: float
    on_event: Callable[[Event], object]
    again: Again = field(default_factory=dict)


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
        through: date | None = None,
        wait: bool = False,
        on_event: Callable[[Event], object] = lambda _: None,
    ) -> LoadResult:
        """Load an experiment and publish it.

        Args:
            experiment_id: The experiment's id in the project.
            refresh: ``incremental`` reads what is new or changed, ``full`` everything.
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
        experiment = self._project.experiment(experiment_id)
        asked, target = _refresh(refresh), self._target(experiment, through)
        return self._load(experiment, asked, target, wait=wait, on_event=on_event)

    def _load(
        self,
        experiment: Experiment,
        refresh: Refresh,
        through: date,
        *,
        wait: bool,
        on_event: Callable[[Event], object],
        again: Again | None = None,
    ) -> LoadResult:
        began = monotonic()
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
                refresh=refresh,
                through=through,
                published=self._reader.loads(experiment.id),
                began=began,
                on_event=on_event,
                again=again or {},
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
        self._repair(load.experiment, load.published)
        site = self._site()
        maintenance.before_load(site, load.experiment.id, load.published, lease)
        plan = self._plan(load.experiment, load.refresh, load.through, load.published, load.again)
        for warning in plan.warnings:
            load.on_event(Warned(message=warning))
        if not plan.steps and load.published:
            return _result(plan, load.published[0].load_id, load.began, status="unchanged")
        entry = self._entry(plan)
        journal.begin(self._warehouse, entry)
        steps = tuple(step.name for step in plan.steps)
        load.on_event(
            LoadStarted(experiment_id=plan.experiment_id, load_id=entry.load_id, steps=steps)
        )
        try:
            result, published = self._execute(plan, load, lease, entry.load_id)
        except Exception as error:
            failed = replace(entry, ended="failed", error=str(error) or type(error).__name__)
            with suppress(StagingError):
                journal.end(self._warehouse, failed)
            raise
        load.on_event(LoadPublished(load_id=entry.load_id))
        with suppress(StagingError):
            journal.end(self._warehouse, replace(entry, ended="published"))
        with suppress(StagingError):
            maintenance.after_load(site, load.experiment.id, published, load.published, lease)
        return replace(result, seconds=monotonic() - load.began)

    def _entry(self, plan: Plan) -> Journal:
        return Journal(
            load_id=_new_load_id(self._now()),
            experiment_id=plan.experiment_id,
            began_at=journal.moment(self._now()),
            refresh=plan.refresh.value,
            through=plan.through.isoformat(),
            steps=tuple(step.name for step in plan.steps),
        )

    def _execute(
        self, plan: Plan, load: _Load, lease: HeldLease, load_id: str
    ) -> tuple[LoadResult, Published]:
        around = Surroundings(
            warehouse=self._warehouse,
            load_id=load_id,
            keep_tags=self._tags_to_keep(load.published),
            on_event=load.on_event,
            clock=monotonic,
            before_step=lease.renew,
        )
        done = execute(plan, around)
        self._check_exposures(load.experiment)
        result = _result(plan, load_id, load.began, status="published", done=done)
        lease.renew()
        return result, self._publish(plan, result, done, load.published, lease.number)

    def plan(
        self,
        experiment_id: str,
        *,
        refresh: str = "incremental",
        through: date | None = None,
    ) -> Plan:
        """Return what :meth:`run` would do with the same arguments; nothing is written."""
        experiment = self._project.experiment(experiment_id)
        published = self._reader.loads(experiment.id)
        return self._plan(
            experiment, _refresh(refresh), self._target(experiment, through), published
        )

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

    def status(self, experiment_id: str | None = None) -> tuple[ExperimentStatus, ...]:
        """Return what is published of one experiment, or of all in the project."""
        experiments = (
            self._project.experiments
            if experiment_id is None
            else (self._project.experiment(experiment_id),)
        )
        return tuple(
            self._reader.status(experiment, self._interrupted(experiment.id))
            for experiment in experiments
        )

    def reconcile(
        self,
        experiment_id: str,
        *,
        heal: bool = False,
        on_event: Callable[[Event], object] = lambda _: None,
    ) -> Reconciliation:
        """Recompute the published load from its sources, and compare every table cell by cell.

        Nothing published changes, and no lease is needed, unless differing days are healed.

        Args:
            experiment_id: The experiment.
            heal: Whether days that differ are loaded again, and everything is compared once more.
            on_event: Hears of every step of the recomputation and of the healing.

        Raises:
            WarehouseError: If nothing is published, or a source cannot serve.
            LoadConflictError: If another load holds the experiment that is to be healed.
        """
        experiment = self._project.experiment(experiment_id)
        found = self._reconcile(experiment, on_event)
        again = reconciliation.days_again(found, experiment) if heal else {}
        if not again:
            return found
        healed = self._load(
            experiment,
            Refresh.INCREMENTAL,
            found.through,
            wait=False,
            on_event=on_event,
            again=again,
        )
        return reconciliation.after_healing(self._reconcile(experiment, on_event), healed)

    def _reconcile(
        self, experiment: Experiment, on_event: Callable[[Event], object]
    ) -> Reconciliation:
        load = self._reader.current(experiment.id)
        plan = self._plan(experiment, Refresh.INCREMENTAL, load.through, (load,))
        with self._warehouse.scratch() as scratch:
            engine = Engine(self._project, scratch, self._now, self._pause)
            engine.run(experiment.id, refresh="full", through=load.through, on_event=on_event)
            tables = self._reader.tables(experiment)
            found = reconciliation.compare(
                self._warehouse, self._project.connection.database, load, tables
            )
        return reconciliation.Reconciliation(
            experiment_id=experiment.id,
            load_id=load.load_id,
            through=load.through,
            tables=found,
            notes=reconciliation.changes(plan),
        )

    def clean(self, experiment_id: str) -> Removed:
        """Remove everything that is staged of an experiment: its tables, their files and its state.

        The next load starts from nothing. One that was killed is finished by calling it again.

        Raises:
            ConfigError: If the project has no such experiment, and nothing of one is staged.
            WarehouseError: If a table of one of its names lies elsewhere; nothing is removed then.
            LoadConflictError: If a load holds the experiment.
        """
        return maintenance.clean(self._site(), experiment_id)

    def maintain(
        self, experiment_id: str | None = None, *, grace: timedelta = upkeep.GRACE
    ) -> MaintenanceResult:
        """Expire, compact and sweep what is staged of one experiment, or of all; no row changes.

        Args:
            experiment_id: The experiment; all of the project by default, those that a load holds aside.
            grace: What nothing names goes once it is older than this.

        Raises:
            LoadConflictError: If a load holds the experiment that was asked for.
        """
        experiments = (
            self._project.experiments
            if experiment_id is None
            else (self._project.experiment(experiment_id),)
        )
        done = tuple(
            maintenance.maintain(self._site(), each, grace, skip_held=experiment_id is None)
            for each in experiments
        )
        spilled = self._warehouse.sweep_scratch(self._now() - grace)
        return MaintenanceResult(experiments=done, scratch=upkeep.removed(spilled))

    def _site(self) -> Site:
        return Site(
            project=self._project,
            warehouse=self._warehouse,
            reader=self._reader,
            now=self._now,
            new_load_id=_new_load_id,
            repair=self._repair,
        )

    def _interrupted(self, experiment_id: str) -> Journal | None:
        """Return the load that was killed; one that still holds its lease is running."""
        found = journal.unfinished(
            self._warehouse, experiment_id, self._reader.loads(experiment_id)
        )
        running = found is not None and is_held(self._warehouse, experiment_id, self._now())
        return None if running else found

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

    def _plan(
        self,
        experiment: Experiment,
        refresh: Refresh,
        through: date,
        published: tuple[Published, ...],
        again: Again | None = None,
    ) -> Plan:
        current = published[0] if published else None
        request = LoadRequest(
            project=self._project,
            experiment=experiment,
            refresh=refresh,
            through=through,
            today=self._now().astimezone(UTC).date(),
            observations={},
            published=current,
            traits=self._warehouse.traits,
            again=again or {},
        )
        return build_plan(replace(request, observations=self._observe(request, current)))

    def _observe(self, request: LoadRequest, current: Published | None) -> dict[str, Observation]:
        known = self._known_files(request, current)
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
        return upkeep.kept_tags(state.kept(published, self._project.connection.keep_loads))

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
    ) -> Published:
        before = published[0].tables if published else {}
        sources = {
            name: state.SourceState(
                fingerprint=observation.fingerprint(), days=observation.digests()
            )
            for name, observation in plan.observations.items()
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
            rows=result.rows,
            bytes_read=result.bytes_read,
            bytes_written=result.bytes_written,
            seconds=result.seconds,
            warnings=result.warnings,
        )
        state.write_files(
            self._warehouse, plan.experiment_id, load.load_id, plan.observations.values()
        )
        state.publish(self._warehouse, plan.experiment_id, load, published)
        return load


def _new_load_id(now: datetime) -> str:
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"


def _refresh(name: str) -> Refresh:
    try:
        return Refresh(name)
    except ValueError:
        listed = ", ".join(refresh.value for refresh in Refresh)
        raise ConfigError(f"refresh {name!r} is not known; choose one of {listed}") from None


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
        days_read={reading.source: tuple(reading.days) for reading in plan.readings},
        warnings=warnings,
        seconds=monotonic() - began,
    )

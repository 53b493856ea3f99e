"""The engine: load an experiment, plan a load, read what is published."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Self

from statsig_staging import (
    history,
    journal,
    ledger,
    maintenance,
    reconciliation,
    state,
    terms,
    upkeep,
)
from statsig_staging.collecting import seldom_collected
from statsig_staging.errors import NoExposuresError, StagingError
from statsig_staging.executor import Surroundings, execute
from statsig_staging.forwarded import Kind
from statsig_staging.journal import OpenJournal, Outcome
from statsig_staging.lease import held
from statsig_staging.maintenance import Site
from statsig_staging.plan import Refresh
from statsig_staging.planner import tables as staging
from statsig_staging.preparation import Asked, asked_for, prepare
from statsig_staging.publication import load_result, publish
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
    from collections.abc import Callable, Iterable, Sequence
    from datetime import timedelta
    from types import TracebackType

    import pyarrow as pa

    from statsig_staging.config import Experiment, Project
    from statsig_staging.forwarded import Receipt
    from statsig_staging.forwarding.inputs import Given
    from statsig_staging.forwarding.loading import Site as ForwardingSite
    from statsig_staging.journal import Journal
    from statsig_staging.lease import HeldLease
    from statsig_staging.plan import Plan, Step
    from statsig_staging.reader import ExperimentStatus
    from statsig_staging.reconciliation import Reconciliation
    from statsig_staging.results import Compaction, Event, Removed
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

    asked: Asked
    published: tuple[Published, ...]
    began: float
    on_event: Callable[[Event], object]

    @property
    def experiment(self) -> Experiment:
        return self.asked.experiment


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
        asked = self._asked(experiment_id, refresh, metrics, through)
        return self._load(asked, wait=wait, on_event=on_event)

    def _asked(
        self, experiment_id: str, refresh: str, metrics: Sequence[str], through: date | None
    ) -> Asked:
        return asked_for(
            self._project,
            self._project.experiment(experiment_id),
            refresh=refresh,
            metrics=metrics,
            through=through,
            today=self._today(),
        )

    def _today(self) -> date:
        return self._now().astimezone(UTC).date()

    def _load(self, asked: Asked, *, wait: bool, on_event: Callable[[Event], object]) -> LoadResult:
        began, experiment = monotonic(), asked.experiment
        before = self._reader.loads(experiment.id)
        with held(
            self._warehouse,
            experiment.id,
            lowest=before[0].number + 1 if before else 1,
            now=self._now,
            wait=self._waiting(wait, on_event),
        ) as lease:
            load = _Load(
                asked=asked,
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

    @seldom_collected
    def _run(self, load: _Load, lease: HeldLease) -> LoadResult:
        self._warehouse.settle(load.experiment.id)
        unrecorded = self._record(load, lease, lambda: load.published)
        self._repair(load.experiment, load.published)
        site = self._site()
        maintenance.before_load(site, load.experiment.id, load.published, lease)
        plan = prepare(self._project, self._warehouse, load.asked, load.published)
        for warning in plan.warnings:
            load.on_event(Warned(message=warning))
        if not plan.steps and load.published:
            found = load_result(
                plan, load.published[0].load_id, monotonic() - load.began, status="unchanged"
            )
            return replace(found, warnings=(*found.warnings, *unrecorded))
        log = self._journal(plan, load)
        log.begin()
        load_id, steps = log.value.load_id, tuple(step.name for step in plan.steps)
        load.on_event(LoadStarted(experiment_id=plan.experiment_id, load_id=load_id, steps=steps))
        try:
            result, published = self._execute(plan, load, lease, log)
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
        with suppress(StagingError):
            maintenance.after_load(site, load.experiment.id, published, load.published, lease)
        warnings = (*result.warnings, *unrecorded)
        return replace(result, warnings=warnings, seconds=log.value.seconds)

    def _journal(self, plan: Plan, load: _Load) -> OpenJournal:
        entry = journal.planned(
            plan,
            load_id=_new_load_id(self._now()),
            began_at=self._now(),
            assignment_source=load.experiment.assignment_source,
            metrics=terms.metrics_by_source(load.experiment.metrics, self._project),
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

    def _execute(
        self, plan: Plan, load: _Load, lease: HeldLease, log: OpenJournal
    ) -> tuple[LoadResult, Published]:
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
            published=load.published[0].snapshots if load.published else {},
            before_step=before,
            after_step=log.finish,
        )
        done = execute(plan, around)
        self._check_exposures(load.experiment)
        result = load_result(plan, load_id, monotonic() - load.began, status="published", done=done)
        log.publish()
        lease.renew()
        published = publish(
            self._warehouse,
            plan,
            done,
            result,
            load.published,
            number=lease.number,
            now=self._now().astimezone(UTC),
        )
        return result, published

    def plan(
        self,
        experiment_id: str,
        *,
        refresh: str = "incremental",
        metrics: Sequence[str] = (),
        through: date | None = None,
    ) -> Plan:
        """Return what :meth:`run` would do with the same arguments; nothing is written."""
        asked = self._asked(experiment_id, refresh, metrics, through)
        published = self._reader.loads(asked.experiment.id)
        return prepare(self._project, self._warehouse, asked, published)

    def results(
        self,
        experiment_id: str,
        *,
        rollup: str | None = None,
        metrics: tuple[str, ...] = (),
        dimension: str | None = None,
    ) -> pa.Table:
        """Return the published group statistics, of one load.

        Args:
            experiment_id: The experiment.
            rollup: ``daily`` or ``cumulative``; all by default.
            metrics: Only these metrics; all by default.
            dimension: Only rows of this dimension; by default all, those of the whole population too.

        Returns:
            The rows of ``results``; the schema's metadata has ``load_id`` and ``through``.

        Raises:
            ConfigError: If there is no such rollup, metric or dimension.
            WarehouseError: If nothing is published.
        """
        return self._reader.results(experiment_id, rollup, metrics, dimension)

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
        asked = replace(self._through(experiment, found.through), again=again)
        healed = self._load(asked, wait=False, on_event=on_event)
        return reconciliation.after_healing(self._reconcile(experiment, on_event), healed)

    def _reconcile(
        self, experiment: Experiment, on_event: Callable[[Event], object]
    ) -> Reconciliation:
        load = self._reader.current(experiment.id)
        asked = self._through(experiment, load.through)
        plan = prepare(self._project, self._warehouse, asked, (load,))
        with self._warehouse.scratch() as scratch:
            engine = Engine(self._project, scratch, self._now, self._pause)
            full = engine._asked(experiment.id, "full", (), load.through)
            alike = replace(full, placed_as=load.definitions)
            engine._load(alike, wait=False, on_event=on_event)
            tables = self._reader.comparable(experiment, load)
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

    def _through(self, experiment: Experiment, through: date) -> Asked:
        return Asked(
            experiment=experiment,
            refresh=Refresh.INCREMENTAL,
            through=through,
            today=self._today(),
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
            experiment_id: The experiment; all of the project by default, those that a load holds aside,
                and the forwarded tables.
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
        forwarded = self._compact(grace, skip_held=True) if experiment_id is None else ()
        spilled = self._warehouse.sweep_scratch(self._now() - grace)
        return MaintenanceResult(
            experiments=done, scratch=upkeep.removed(spilled), forwarded=forwarded
        )

    def compact_forwarded(self, *, grace: timedelta = upkeep.GRACE) -> tuple[Compaction, ...]:
        """Merge small files of the days of both forwarded tables; no row changes.

        Loads read the merged files at once, and see no change in them. What these took the place of
        goes with a later call, once it is older than ``grace`` and no load of the project runs.

        Raises:
            LoadConflictError: If a loader holds one of the tables.
        """
        return self._compact(grace, skip_held=False)

    def _compact(self, grace: timedelta, *, skip_held: bool) -> tuple[Compaction, ...]:
        from statsig_staging import forwarding

        site = self._forwarding_site(lambda: False, lambda _: None)
        return forwarding.compact(site, self._project, grace=grace, skip_held=skip_held)

    def _forwarding_site(
        self, wait: Callable[[], bool], on_event: Callable[[Any], object]
    ) -> ForwardingSite:
        from statsig_staging import forwarding

        return forwarding.site_of(
            self._project.connection,
            self._warehouse,
            now=self._now,
            wait=wait,
            on_event=on_event,
        )

    def forward_exposures(
        self, given: Given, *, key: Sequence[str] | None = None, **how: Any
    ) -> Receipt:
        """Load rows into the table of forwarded exposures, each of them once.

        Args:
            given: A path, a glob, a prefix of S3 or several of them; an Arrow reader or table; or an
                iterable of dicts.
            key: Columns that make two rows one; by default ``forward_key``, else all columns.
            how: ``wait`` for another loader; ``on_event`` hears of rows.

        Returns:
            The receipt: what was accepted, what was there already, what is in quarantine.

        Raises:
            ConfigError: If an input is none, or the table has another key.
            SourceFileError: If a file cannot be read to its end; nothing was loaded then.
            LoadConflictError: If another loader holds the table.
        """
        return self._forward(Kind.EXPOSURES, given, key, **how)

    def forward_events(
        self, given: Given, *, key: Sequence[str] | None = None, **how: Any
    ) -> Receipt:
        """Load rows into the table of forwarded events, as :meth:`forward_exposures` does."""
        return self._forward(Kind.EVENTS, given, key, **how)

    def _forward(
        self,
        kind: Kind,
        given: Given,
        key: Sequence[str] | None,
        *,
        wait: bool = False,
        on_event: Callable[[Any], object] = lambda _: None,
    ) -> Receipt:
        from statsig_staging import forwarding

        site = self._forwarding_site(self._waiting(wait, on_event), on_event)
        return forwarding.forward(site, self._project.connection, kind, given, key)

    def _site(self) -> Site:
        return Site(
            project=self._project,
            warehouse=self._warehouse,
            reader=self._reader,
            now=self._now,
            new_load_id=_new_load_id,
            repair=self._repair,
        )

    def _repair(self, experiment: Experiment, published: tuple[Published, ...]) -> None:
        """Put tables that an interrupted load has moved back to where the published one left them."""
        if not published:
            return
        for table in self._reader.tables(experiment, published[0]).values():
            wanted = published[0].tables.get(table.name.catalog)
            now = self._warehouse.version(table) if wanted is not None else None
            if wanted is not None and now is not None and now.snapshot_id != wanted.snapshot_id:
                self._warehouse.restore(table, wanted)

    def _tags_to_keep(self, published: tuple[Published, ...]) -> dict[str, tuple[str, ...]]:
        return upkeep.kept_tags(state.kept(published, self._project.connection.keep_loads))

    def _check_exposures(self, experiment: Experiment) -> None:
        source = self._project.assignment_source(experiment.assignment_source)
        if self._warehouse.size(staging.first_exposures(experiment.id, source)).rows == 0:
            raise NoExposuresError(
                f"experiment {experiment.id!r} has no exposures in assignment source "
                f"{source.name!r} from {experiment.start} on; check the id, the dates and the groups"
            )


def _new_load_id(now: datetime) -> str:
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"

"""The engine: load an experiment, plan a load, read what is published."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from time import monotonic
from typing import TYPE_CHECKING, Self

from sqlglot import exp

from statsig_staging import aggregates, state
from statsig_staging.days import DAY
from statsig_staging.errors import ConfigError, NoExposuresError, WarehouseError
from statsig_staging.executor import Surroundings, execute
from statsig_staging.observer import observe, with_expressions
from statsig_staging.plan import Refresh
from statsig_staging.planner import LoadRequest, build_plan
from statsig_staging.planner import tables as staging
from statsig_staging.results import LoadPublished, LoadResult, LoadStarted, Warned
from statsig_staging.warehouses import open_warehouse
from statsig_staging.warehouses.base import Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    import pyarrow as pa

    from statsig_staging.config import Experiment, Project
    from statsig_staging.executor import Execution
    from statsig_staging.plan import Plan, Table
    from statsig_staging.results import Event
    from statsig_staging.sources import Observation
    from statsig_staging.state import Published
    from statsig_staging.warehouses.base import TableSize, Warehouse


def connect(project: Project, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Engine:
    """Return an engine on the project's warehouse; use it in a ``with`` block.

    Args:
        project: The configuration, from ``load_project`` or ``Project.model_validate``.
        now: The clock, UTC; it decides which days are over.

    Raises:
        WarehouseError: If the warehouse cannot be reached or written.
    """
    return Engine(project, open_warehouse(project), now)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatus:
    """A staging table as published.

    Attributes:
        name: Name in the catalog.
        size: Rows, bytes and files of its current version.
    """

    name: str
    size: TableSize


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentStatus:
    """What is published of an experiment.

    Attributes:
        experiment_id: The experiment.
        loads: Its published loads, the current one first; empty before the first.
        tables: Its staging tables.
    """

    experiment_id: str
    loads: tuple[Published, ...]
    tables: tuple[TableStatus, ...]


class Engine:
    """Loads experiments on one warehouse and reads their published results."""

    def __init__(self, project: Project, warehouse: Warehouse, now: Callable[[], datetime]) -> None:
        self._project = project
        self._warehouse = warehouse
        self._now = now

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
        on_event: Callable[[Event], object] = lambda _: None,
    ) -> LoadResult:
        """Load an experiment and publish it.

        Args:
            experiment_id: The experiment's id in the project.
            refresh: ``incremental`` reads what is new or changed, ``full`` everything.
            through: Last day to load, UTC; by default yesterday or the experiment's end.
            on_event: Hears of every step while the load runs.

        Returns:
            What was done; ``status`` is ``unchanged`` where there was nothing to do.

        Raises:
            ConfigError: If the arguments or the configuration do not make sense.
            WarehouseError: If the warehouse refuses: a missing table or column, a wrong type.
            StepFailedError: If a step fails; what was published before stays readable.
            NoExposuresError: If the experiment has no exposures at all.
        """
        began = monotonic()
        experiment = self._project.experiment(experiment_id)
        published = self._published(experiment.id)
        self._repair(experiment, published)
        plan = self._plan(experiment, refresh, through, published)
        for warning in plan.warnings:
            on_event(Warned(message=warning))
        if not plan.steps and published:
            return _result(plan, published[0].load_id, began, status="unchanged")
        load_id = _new_load_id(self._now())
        on_event(
            LoadStarted(
                experiment_id=experiment.id,
                load_id=load_id,
                steps=tuple(step.name for step in plan.steps),
            )
        )
        around = Surroundings(
            warehouse=self._warehouse,
            load_id=load_id,
            keep_tags=self._tags_to_keep(published),
            on_event=on_event,
            clock=monotonic,
        )
        done = execute(plan, around)
        self._check_exposures(experiment)
        result = _result(plan, load_id, began, status="published", done=done)
        self._publish(plan, result, done, published)
        on_event(LoadPublished(load_id=load_id))
        return replace(result, seconds=monotonic() - began)

    def plan(
        self,
        experiment_id: str,
        *,
        refresh: str = "incremental",
        through: date | None = None,
    ) -> Plan:
        """Return what :meth:`run` would do with the same arguments; nothing is written."""
        experiment = self._project.experiment(experiment_id)
        published = self._published(experiment.id)
        return self._plan(experiment, refresh, through, published)

    def results(
        self, experiment_id: str, *, rollup: str | None = None, metrics: tuple[str, ...] = ()
    ) -> pa.Table:
        """Return the published group statistics, of one load.

        Args:
            experiment_id: The experiment.
            rollup: ``daily`` or ``cumulative``; all by default.
            metrics: Only these metrics; all by default.

        Raises:
            WarehouseError: If nothing is published.
        """
        table = staging.results(self._project.experiment(experiment_id).id)
        query = self._select(table, self._current(experiment_id))
        if rollup is not None:
            query = query.where(exp.column("rollup", quoted=True).eq(rollup))
        if metrics:
            query = query.where(exp.column("metric", quoted=True).isin(*metrics))
        order = ("rollup", "metric", "ds", "group_id")
        return self._warehouse.fetch(
            query.order_by(*(exp.column(name, quoted=True) for name in order))
        )

    def table(self, experiment_id: str, name: str) -> pa.Table:
        """Return a staging table as published.

        Args:
            experiment_id: The experiment.
            name: A table of ``docs/tables.md``, such as ``first_exposures`` or
                ``unit_day_metrics_<source>``; its catalog name serves as well.

        Raises:
            WarehouseError: If there is no such table.
        """
        experiment = self._project.experiment(experiment_id)
        current = self._current(experiment_id)
        tables = self._tables(experiment)
        if name not in tables:
            raise WarehouseError(
                f"experiment {experiment.id!r} has no table {name!r}; it has {', '.join(tables)}"
            )
        return self._warehouse.fetch(self._select(tables[name], current))

    def status(self, experiment_id: str | None = None) -> tuple[ExperimentStatus, ...]:
        """Return what is published of one experiment, or of all in the project."""
        experiments = (
            self._project.experiments
            if experiment_id is None
            else (self._project.experiment(experiment_id),)
        )
        return tuple(self._status(experiment) for experiment in experiments)

    def _status(self, experiment: Experiment) -> ExperimentStatus:
        loads = self._published(experiment.id)
        tables = list(self._tables(experiment).values()) if loads else []
        return ExperimentStatus(
            experiment_id=experiment.id,
            loads=loads,
            tables=tuple(
                TableStatus(name=table.name.catalog, size=self._warehouse.size(table))
                for table in tables
                if table.name.catalog in loads[0].tables
            ),
        )

    def _published(self, experiment_id: str) -> tuple[Published, ...]:
        return state.read_loads(self._warehouse, self._project.connection.database, experiment_id)

    def _current(self, experiment_id: str) -> Published:
        published = self._published(self._project.experiment(experiment_id).id)
        if not published:
            raise WarehouseError(
                f"experiment {experiment_id!r} has no published load; "
                f"run it first: statsig-staging run --experiment {experiment_id}"
            )
        return published[0]

    def _tables(self, experiment: Experiment) -> Mapping[str, Table]:
        source = self._project.assignment_source(experiment.assignment_source)
        statistics = [
            aggregates.statistic_of(self._project.metric(name), self._project)
            for name in experiment.metrics
        ]
        sources = sorted({t.aggregate.source for s in statistics for t in s.terms})
        found = {
            "exposure_counts": staging.exposure_counts(experiment.id),
            "unit_day_exposures": staging.unit_day_exposures(experiment.id, source),
            "first_exposures": staging.first_exposures(experiment.id, source),
            "exposures_summary": staging.exposures_summary(experiment.id),
        }
        for name in sources:
            columns = aggregates.aggregates_of(statistics, name)
            found[f"unit_day_metrics_{name}"] = staging.unit_day_metrics(
                experiment.id, name, columns
            )
        found["results"] = staging.results(experiment.id)
        return found

    def _select(self, table: Table, load: Published) -> exp.Select:
        version = load.tables.get(table.name.catalog)
        if version is None:
            raise WarehouseError(f"table {table.name.catalog} is not part of load {load.load_id}")
        node = staging.node(self._project.connection.database, table, version.snapshot_id)
        return exp.select(
            *(exp.column(column.name, quoted=True) for column in table.columns)
        ).from_(node)

    def _repair(self, experiment: Experiment, published: tuple[Published, ...]) -> None:
        """Put tables that an interrupted load has moved back to where the published one left them."""
        if not published:
            return
        for table in self._tables(experiment).values():
            wanted = published[0].tables.get(table.name.catalog)
            now = self._warehouse.version(table) if wanted is not None else None
            if wanted is not None and now is not None and now.snapshot_id != wanted.snapshot_id:
                self._warehouse.restore(table, wanted)

    def _plan(
        self,
        experiment: Experiment,
        refresh: str,
        through: date | None,
        published: tuple[Published, ...],
    ) -> Plan:
        today = self._now().astimezone(UTC).date()
        current = published[0] if published else None
        request = LoadRequest(
            project=self._project,
            experiment=experiment,
            refresh=_refresh(refresh),
            through=_target(experiment, through, today),
            today=today,
            observations={},
            published=current,
            traits=self._warehouse.traits,
        )
        return build_plan(replace(request, observations=self._observe(request, current)))

    def _observe(self, request: LoadRequest, current: Published | None) -> dict[str, Observation]:
        known = {}
        if current is not None:
            known = state.read_files(self._warehouse, request.experiment.id, current.load_id)
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
    ) -> None:
        before = published[0].tables if published else {}
        sources = {
            name: state.SourceState(
                fingerprint=observation.fingerprint(), days=observation.digests()
            )
            for name, observation in plan.observations.items()
        }
        load = state.Published(
            load_id=result.load_id,
            number=published[0].number + 1 if published else 1,
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
        stamp = Stamp(load_id=load.load_id, step="publish")
        state.publish(self._warehouse, plan.experiment_id, load, stamp)


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

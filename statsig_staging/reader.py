"""Read what is published: every read sees the tables of one load, whatever is being written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import durations, expressions, state, terms
from statsig_staging.aggregates import ValueKind
from statsig_staging.errors import ConfigError, WarehouseError
from statsig_staging.planner import tables as staging
from statsig_staging.planner.column_groups import placed
from statsig_staging.planner.direct import ROLLUPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from statsig_staging.config import Experiment, Project
    from statsig_staging.history import PastLoad
    from statsig_staging.plan import SourceReading, Table
    from statsig_staging.planner.column_groups import ColumnGroup
    from statsig_staging.state import Published
    from statsig_staging.terms import Statistic
    from statsig_staging.warehouses.base import TableSize, Warehouse

_ORDER = ("rollup", "metric", "ds", "group_id", "dimension", "dimension_value")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatus:
    """A staging table as published.

    Attributes:
        name: Name in the catalog.
        size: Its rows, bytes and files.
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
        history: The loads that began last, the newest first, however they ended.
    """

    experiment_id: str
    loads: tuple[Published, ...]
    tables: tuple[TableStatus, ...]
    history: tuple[PastLoad, ...] = ()

    @property
    def readings(self) -> tuple[SourceReading, ...]:
        """What the latest load was to read of each source; says how changes of it are noticed."""
        return next((load.readings for load in self.history if load.readings), ())

    @property
    def interrupted(self) -> PastLoad | None:
        """The load that was interrupted where the next run has to repair what it left."""
        return next((load for load in self.history if load.awaits_repair), None)


_SNAPSHOTS_KEPT = 8
"""The rows at a snapshot never change; whoever reads several tables asks for them each time."""


class Reader:
    """Reads the published tables of a project's experiments."""

    def __init__(self, project: Project, warehouse: Warehouse) -> None:
        self._project = project
        self._warehouse = warehouse
        self._database = project.connection.database
        self._loads_at = lru_cache(_SNAPSHOTS_KEPT)(state.loads_at)

    def loads(self, experiment_id: str) -> tuple[Published, ...]:
        """Return the published loads of an experiment, the current one first."""
        keep = self._project.connection.keep_loads
        return state.read_loads(
            self._warehouse, self._database, experiment_id, keep, self._loads_at
        )

    def current(self, experiment_id: str) -> Published:
        """Return the load that readers see.

        Raises:
            WarehouseError: If nothing is published.
        """
        loads = self.loads(self._project.experiment(experiment_id).id)
        if not loads:
            raise WarehouseError(
                f"experiment {experiment_id!r} has no published load; "
                f"run it first: statsig-staging run --experiment {experiment_id}"
            )
        return loads[0]

    def results(
        self,
        experiment_id: str,
        rollup: str | None,
        metrics: tuple[str, ...],
        dimension: str | None = None,
    ) -> pa.Table:
        """Return the published results; the table's metadata names the load and its last day."""
        experiment = self._project.experiment(experiment_id)
        rollups = () if rollup is None else (rollup,)
        dimensions = () if dimension is None else (dimension,)
        unknown = [
            *_unknown("rollup", rollups, ROLLUPS),
            *_unknown("metric", metrics, experiment.metrics),
            *_unknown("dimension", dimensions, self._dimensions(experiment)),
        ]
        if unknown:
            raise ConfigError(*unknown)
        load = self.current(experiment_id)
        query = self._select(staging.results(experiment.id), load)
        if rollup is not None:
            query = query.where(exp.column("rollup", quoted=True).eq(rollup))
        if metrics:
            query = query.where(exp.column("metric", quoted=True).isin(*metrics))
        if dimension is not None:
            query = query.where(exp.column("dimension", quoted=True).eq(dimension))
        query = query.order_by(*(exp.column(name, quoted=True) for name in _ORDER))
        metadata = {"load_id": load.load_id, "through": load.through.isoformat()}
        return self._warehouse.fetch(query).replace_schema_metadata(metadata)

    def _dimensions(self, experiment: Experiment) -> tuple[str, ...]:
        metrics = [self._project.metric(name) for name in experiment.metrics]
        steps = ("step",) if any(metric.type == "funnel" for metric in metrics) else ()
        found = (name for metric in metrics for name in metric.all_dimensions)
        return tuple(dict.fromkeys((*found, *steps)))

    def table(self, experiment_id: str, name: str) -> pa.Table:
        """Return a staging table as published."""
        experiment = self._project.experiment(experiment_id)
        load = self.current(experiment_id)
        tables = self.tables(experiment, load)
        if name not in tables:
            raise WarehouseError(
                f"experiment {experiment.id!r} has no table {name!r}; it has {', '.join(tables)}"
            )
        return self._warehouse.fetch(self._select(tables[name], load))

    def _select(self, table: Table, load: Published) -> exp.Select:
        version = load.tables.get(table.name.catalog)
        if version is None:
            raise WarehouseError(f"table {table.name.catalog} is not part of load {load.load_id}")
        node = staging.node(self._database, table, version.snapshot_id)
        columns = (exp.column(column.name, quoted=True) for column in table.columns)
        query = exp.select(*columns).from_(node)
        counts = staging.counting(table)
        return query if counts is None else query.where(counts)

    def status(self, experiment: Experiment) -> ExperimentStatus:
        """Return what is published of an experiment."""
        loads = self.loads(experiment.id)
        load = loads[0] if loads else None
        current = load.tables if load is not None else {}
        return ExperimentStatus(
            experiment_id=experiment.id,
            loads=loads,
            tables=tuple(
                TableStatus(name=name, size=self._warehouse.size(table, current[name]))
                for table in self.tables(experiment, load).values()
                if (name := table.name.catalog) in current
            ),
        )

    def tables(self, experiment: Experiment, load: Published | None = None) -> Mapping[str, Table]:
        """Return the staging tables of an experiment, by the names of ``docs/tables.md``.

        Args:
            experiment: The experiment.
            load: The load that has them; without it they are as a first load makes them.
        """
        source = self._project.assignment_source(experiment.assignment_source)
        statistics = durations.statistics_of(experiment, self._project)
        found = {
            "exposure_counts": staging.exposure_counts(experiment.id),
            "unit_day_exposures": staging.unit_day_exposures(experiment.id, source),
            "first_exposures": staging.first_exposures(experiment.id, source),
            "exposures_summary": staging.exposures_summary(experiment.id),
        }
        for name in sorted({each.source for s in statistics for each in s.aggregates}):
            columns = terms.aggregates_of(statistics, name)
            for group in self._column_groups(statistics, name, load):
                of = (experiment.id, name, group.aggregates, group.number)
                found[f"unit_day_metrics_{group.name}"] = staging.unit_day_metrics(*of)
                found[f"unit_totals_{group.name}"] = staging.unit_totals(*of)
            for kind in ValueKind:
                if values := terms.by_value(columns, kind):
                    found[f"{kind}_{name}"] = staging.values(kind, experiment.id, name, values)
            found[f"metric_rows_{name}"] = staging.metric_rows(
                experiment.id, self._project.metric_source(name), columns
            )
        found["results"] = staging.results(experiment.id)
        return found

    def _column_groups(
        self, statistics: Iterable[Statistic], source: str, load: Published | None
    ) -> tuple[ColumnGroup, ...]:
        return placed(
            statistics,
            source,
            places={} if load is None else load.definitions,
            sources=[each.name for each in self._project.metric_sources],
            most=self._warehouse.traits.aggregates_per_table,
        )

    def comparable(self, experiment: Experiment, load: Published) -> Mapping[str, Table]:
        """Return the tables of a load that follow from the sources alone; kept rows do not."""
        return {
            name: table
            for name, table in self.tables(experiment, load).items()
            if table.name.catalog in load.tables and not name.startswith("metric_rows_")
        }


def _unknown(what: str, chosen: Iterable[str], known: Iterable[str]) -> list[str]:
    known = tuple(known)
    choices = f"choose one of {', '.join(known)}" if known else "there is none"
    return [
        f"{what} {name!r} is not known{expressions.suggestion(name, known)}; {choices}"
        for name in chosen
        if name not in known
    ]

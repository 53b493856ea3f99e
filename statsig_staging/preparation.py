"""What a load is asked to do, checked, and the plan that follows from it: look at the sources, then plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from statsig_staging import durations, state
from statsig_staging.collecting import seldom_collected
from statsig_staging.days import DAY
from statsig_staging.errors import ConfigError
from statsig_staging.expressions import suggestion
from statsig_staging.observer import observe, with_expressions
from statsig_staging.plan import Refresh
from statsig_staging.planner import LoadRequest, build_plan, sighting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from statsig_staging.config import AssignmentSource, Experiment, MetricSource, Project
    from statsig_staging.observer import Known
    from statsig_staging.plan import Plan
    from statsig_staging.sources import Observation, SourceFile
    from statsig_staging.state import Published
    from statsig_staging.warehouses.base import Warehouse

Again = Mapping[str, Mapping[date, str]]
"""Source → days that are read again, each with its reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A load as it was asked for.

    Attributes:
        experiment: What is loaded.
        refresh: How.
        metrics: The metrics of a ``metric`` refresh.
        through: Last day to load.
        today: The day it is, UTC.
        again: Days that are read again in any case.
        placed_as: Definitions of the load whose aggregates lie where those of this one are to lie.
    """

    experiment: Experiment
    refresh: Refresh
    metrics: tuple[str, ...] = ()
    through: date
    today: date
    again: Again = field(default_factory=dict)
    placed_as: Mapping[str, str] | None = None


def asked_for(
    project: Project,
    experiment: Experiment,
    *,
    refresh: str,
    metrics: Sequence[str],
    through: date | None,
    today: date,
) -> Asked:
    """Return a load as a user asks for it.

    Raises:
        ConfigError: If the refresh or a metric is not known, or there is nothing to load through that day.
    """
    return Asked(
        experiment=experiment,
        refresh=_refresh(refresh, metrics, experiment),
        metrics=tuple(metrics),
        through=_target(project, experiment, through, today),
        today=today,
    )


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
    unknown = [
        f"experiment {experiment.id!r} has no metric {name!r}{suggestion(name, experiment.metrics)}"
        for name in metrics
        if name not in experiment.metrics
    ]
    if unknown:
        raise ConfigError(*unknown)
    return refresh


def _target(project: Project, experiment: Experiment, through: date | None, today: date) -> date:
    """Return the last day to load.

    Raises:
        ConfigError: If it is in the future, or before the experiment's first day.
    """
    if isinstance(through, datetime):
        through = through.date()
    if through is not None and through > today:
        raise ConfigError(f"--through {through} is in the future; today is {today} (UTC)")
    target = today - DAY if through is None else through
    last = durations.last_day(experiment, project)
    if last is not None:
        target = min(target, last)
    if target < experiment.start:
        raise ConfigError(
            f"experiment {experiment.id!r} starts on {experiment.start}; "
            f"there is nothing to load through {target}"
        )
    return target


@seldom_collected
def prepare(
    project: Project, warehouse: Warehouse, asked: Asked, published: tuple[Published, ...]
) -> Plan:
    """Return what the load will do; nothing is written.

    Raises:
        WarehouseError: If a source lacks a table or a column, or has it in a type that cannot serve.
    """
    current = published[0] if published else None
    request = LoadRequest(
        project=project,
        experiment=asked.experiment,
        refresh=asked.refresh,
        metrics=asked.metrics,
        through=asked.through,
        today=asked.today,
        observations={},
        published=current,
        traits=warehouse.traits,
        again=asked.again,
        placed_as=asked.placed_as,
    )
    known = _known_files(warehouse, request)
    by_source: dict[str, tuple[SourceFile, ...]] = {}
    for (source, _), found in known.items():
        by_source[source] = (*by_source.get(source, ()), *found.values())
    return build_plan(
        replace(request, observations=_observe(warehouse, request, known), known=by_source)
    )


def _observe(warehouse: Warehouse, request: LoadRequest, known: Known) -> dict[str, Observation]:
    experiment = request.experiment
    source = request.assignment_source
    days = request.window(source)
    found = {source.name: observe(warehouse, source, experiment, known, days)}
    for metric_source in request.metric_sources:
        days = request.window(metric_source)
        seen = observe(warehouse, metric_source, experiment, known, days)
        looked = replace(request, observations={metric_source.name: seen})
        scan = looked.scan(metric_source)
        scan.check()
        columns = request.aggregates_of(metric_source)
        found[metric_source.name] = with_expressions(warehouse, scan, columns)
    return found


def _reach_published(current: Published, source: AssignmentSource | MetricSource) -> int:
    return int(current.definitions.get(f"reach {source.name}", "0").split()[0])


def _known_files(warehouse: Warehouse, request: LoadRequest) -> Known:
    """Return the files of the last load, of sources whose rows are still dated and found alike."""
    current = request.published
    if current is None or request.refresh is Refresh.FULL:
        return {}
    alike = {
        source.name
        for source in request.sources
        if current.definitions.get(f"sighting {source.name}")
        == sighting(source, request.experiment.unit)
        and _reach_published(current, source) == request.reach(source)
    }
    files = state.read_files(warehouse, request.experiment.id, current.load_id)
    return {key: found for key, found in files.items() if key[0] in alike}

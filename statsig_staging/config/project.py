"""The project: everything that is declared, checked all at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError, model_validator

from statsig_staging import expressions
from statsig_staging.config.connections import Connection
from statsig_staging.config.experiments import Experiment
from statsig_staging.config.fields import Model
from statsig_staging.config.forwarded import (
    EVENTS_SOURCE,
    EXPOSURES_SOURCE,
    forwarded_events,
    forwarded_exposures,
)
from statsig_staging.config.metrics import Metric
from statsig_staging.config.problems import (
    Location,
    Problem,
    describe,
    error_details,
    lies_below,
    problems_of,
    quote,
)
from statsig_staging.config.reading import read_entries
from statsig_staging.config.sources import AssignmentSource, MetricSource
from statsig_staging.errors import ConfigError

_T = TypeVar("_T")


class Project(Model):
    """Everything that a project declares; names are unique and every reference exists.

    Attributes:
        connection: Where statements run.
        assignment_sources: Where exposures lie.
        metric_sources: Where events and facts lie.
        metrics: What is measured.
        experiments: What is analysed.
        root: The project's folder, which relative paths start from.
    """

    connection: Connection
    assignment_sources: tuple[AssignmentSource, ...] = ()
    metric_sources: tuple[MetricSource, ...] = ()
    metrics: tuple[Metric, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    root: Path = Path()

    @model_validator(mode="before")
    @classmethod
    def _all_mistakes_at_once(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        checked, problems = read_entries(data, cls.model_fields)
        if problems:
            raise ValidationError.from_exception_data(
                cls.__name__, [error_details(problem) for problem in problems]
            )
        return checked

    def experiment(self, experiment_id: str) -> Experiment:
        """Return the experiment with this id.

        Raises:
            ConfigError: If the project has none.
        """
        return _named(self._by_name.experiments, str(experiment_id), "experiment")

    def assignment_source(self, name: str) -> AssignmentSource:
        """Return the assignment source of this name.

        Raises:
            ConfigError: If the project has none.
        """
        known = self._by_name.assignment_sources
        if name == EXPOSURES_SOURCE and name not in known:
            return forwarded_exposures(self.connection, self._unit_types)
        return _named(known, name, "assignment source")

    def metric_source(self, name: str) -> MetricSource:
        """Return the metric source of this name.

        Raises:
            ConfigError: If the project has none.
        """
        known = self._by_name.metric_sources
        if name == EVENTS_SOURCE and name not in known:
            return forwarded_events(self.connection, self._unit_types)
        return _named(known, name, "metric source")

    @property
    def _unit_types(self) -> list[str]:
        return sorted({experiment.unit for experiment in self.experiments})

    def metric(self, name: str) -> Metric:
        """Return the metric of this name.

        Raises:
            ConfigError: If the project has none.
        """
        return _named(self._by_name.metrics, name, "metric")

    @cached_property
    def _by_name(self) -> "_ByName":
        return _ByName(
            assignment_sources={source.name: source for source in self.assignment_sources},
            metric_sources={source.name: source for source in self.metric_sources},
            metrics={metric.name: metric for metric in self.metrics},
            experiments={experiment.id: experiment for experiment in self.experiments},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ByName:
    assignment_sources: Mapping[str, AssignmentSource]
    metric_sources: Mapping[str, MetricSource]
    metrics: Mapping[str, Metric]
    experiments: Mapping[str, Experiment]


def parse_project(
    data: Mapping[str, Any],
    *,
    root: Path,
    origins: Mapping[Location, str] | None = None,
    found: Sequence[Problem] = (),
    complete: bool = True,
) -> Project:
    """Return the project that ``data`` declares.

    Args:
        data: What a project file holds: ``connection`` and the four lists.
        root: The project's folder.
        origins: Place in ``data`` to what it is called in messages, like ``more.yml: metrics[0]``;
            it also names everything below.
        found: Problems that are known already. They are reported with the rest, and what lies at
            or below their places is not reported again.
        complete: Whether ``data`` is everything; if not, what it lacks is not a problem.

    Raises:
        ConfigError: With every problem, one line each.
    """
    problems = list(found)
    places = {problem.location for problem in found}
    project = None
    try:
        project = Project.model_validate({**data, "root": root})
    except ValidationError as error:
        problems += [
            new
            for new in problems_of(error)
            if not lies_below(new.location, places) and (complete or not new.absent)
        ]
    lines = dict.fromkeys(describe(problem, origins or {}) for problem in problems)
    if project is None or lines:
        raise ConfigError(*lines)
    return project


def _named(known: Mapping[str, _T], name: str, what: str) -> _T:
    if name not in known:
        near = expressions.suggestion(name, known)
        raise ConfigError(f"the project has no {what} {quote(name)}{near}")
    return known[name]

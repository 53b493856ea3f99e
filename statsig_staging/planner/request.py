"""What planning a load looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from statsig_staging import durations, terms
from statsig_staging.days import DAY, Window
from statsig_staging.errors import WarehouseError
from statsig_staging.plan import Refresh
from statsig_staging.planner.scans import Scan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from statsig_staging.aggregates import Aggregate
    from statsig_staging.config import AssignmentSource, Experiment, MetricSource, Project
    from statsig_staging.sources import Observation, SourceFile
    from statsig_staging.state import Published
    from statsig_staging.terms import Statistic
    from statsig_staging.warehouses.base import Traits


@dataclass(frozen=True, kw_only=True)
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
        placed_as: Definitions of the load whose aggregates lie where this one's are to lie; None for the
            published load, or none where everything is built anew.
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
    placed_as: Mapping[str, str] | None = None

    @property
    def assignment_source(self) -> AssignmentSource:
        """The experiment's assignment source."""
        return self.project.assignment_source(self.experiment.assignment_source)

    @property
    def database(self) -> str:
        """The staging database."""
        return self.project.connection.database

    @cached_property
    def statistics(self) -> tuple[Statistic, ...]:
        """The experiment's metrics as statistics."""
        return durations.statistics_of(self.experiment, self.project)

    @cached_property
    def metric_sources(self) -> tuple[MetricSource, ...]:
        """The metric sources that the metrics need, by name."""
        names = {each.source for statistic in self.statistics for each in statistic.aggregates}
        return tuple(self.project.metric_source(name) for name in sorted(names))

    @cached_property
    def _aggregates(self) -> dict[str, tuple[Aggregate, ...]]:
        """Metric source → what it must deliver."""
        names = [source.name for source in self.metric_sources]
        return {name: terms.aggregates_of(self.statistics, name) for name in names}

    @property
    def sources(self) -> tuple[AssignmentSource | MetricSource, ...]:
        """All sources that the experiment reads."""
        return (self.assignment_source, *self.metric_sources)

    @property
    def places(self) -> Mapping[str, str]:
        """The definitions that say in which table each aggregate lies that is staged already."""
        if self.placed_as is not None:
            return self.placed_as
        if self.published is None or self.refresh is Refresh.FULL:
            return {}
        return self.published.definitions

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

    def aggregates_of(self, source: AssignmentSource | MetricSource) -> tuple[Aggregate, ...]:
        """Return what a source must deliver; an assignment source nothing."""
        return self._aggregates.get(source.name, ())

    def reach(self, source: AssignmentSource | MetricSource) -> int:
        """Return how many days before a unit's first exposure a source's rows are wanted."""
        return terms.reach(self.aggregates_of(source))

    def first_day(self, source: AssignmentSource | MetricSource) -> date:
        """Return the first day of a source that some unit's rows can count on."""
        return self.experiment.start - self.reach(source) * DAY

    def days_of(self, source: AssignmentSource | MetricSource) -> tuple[date, ...]:
        """Return the days of a source through the last to load."""
        return self.window(source).days()

    def window(self, source: AssignmentSource | MetricSource) -> Window:
        """Return the days of a source that may count, through the last to load."""
        return Window.through(self.first_day(source), self._last_day(source))

    def _last_day(self, source: AssignmentSource | MetricSource) -> date:
        if source.name == self.assignment_source.name:
            last = self.experiment.end if self.experiment.mature_after_end else None
        else:
            last = durations.until(self.aggregates_of(source))
        return self.through if last is None else min(last, self.through)

    def scan(self, source: AssignmentSource | MetricSource) -> Scan:
        """Return how the experiment reads a source."""
        return Scan(source, self.observations[source.name], self.experiment)


def last_published(request: LoadRequest) -> Published:
    """Return the published load that an incremental one builds on."""
    if request.published is None:
        raise ValueError("an incremental load needs a published one")
    return request.published


def every_day(request: LoadRequest) -> tuple[date, ...]:
    """Return the days from the experiment's first through the last to load."""
    return Window.through(request.experiment.start, request.through).days()


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
        scan = request.scan(metric_source)
        scan.check()
        needed = request.aggregates_of(metric_source)
        if scan.is_dated and any(each.span and each.span.is_minutes for each in needed):
            raise WarehouseError(
                f"source {metric_source.name!r}: its rows have a date and no time of day; a window of "
                "minutes needs a timestamp"
            )

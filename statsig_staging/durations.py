"""Durations: for how long an experiment looks at each unit, and at rows at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from statsig_staging import terms
from statsig_staging.aggregates import Aggregate, Span, aggregate
from statsig_staging.days import DAY
from statsig_staging.derived import Lasted, Reached, Retained
from statsig_staging.levels import Leveled
from statsig_staging.terms import Completion

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from statsig_staging.config import Experiment, Project
    from statsig_staging.derived import Retention, Slot
    from statsig_staging.terms import Clock, Statistic, Term

_MINUTES = 24 * 60


def statistics_of(experiment: Experiment, project: Project) -> tuple[Statistic, ...]:
    """Return the statistics of an experiment's metrics, within its durations."""
    of = _Durations(experiment, project)
    found = (project.metric(name) for name in experiment.metrics)
    every = (terms.statistics_of(metric, project) for metric in found)
    return tuple(of.statistic(each) for statistics in every for each in statistics)


def last_day(experiment: Experiment, project: Project) -> date | None:
    """Return the last day of an experiment that has results; None while it has no end."""
    if experiment.end is None or not experiment.mature_after_end:
        return experiment.end
    more = (_days_after_end(each) for each in statistics_of(experiment, project))
    return experiment.end + max(more, default=0) * DAY


@dataclass(frozen=True, slots=True)
class _Durations:
    experiment: Experiment
    project: Project

    @property
    def _cohort(self) -> Span | None:
        """How long each unit is looked at."""
        days = self.experiment.cohorted_duration
        return None if days is None else Span(0, days - 1)

    @property
    def _fixed(self) -> date | None:
        """The last day whose rows count."""
        days = self.experiment.fixed_duration
        return None if days is None else self.experiment.start + (days - 1) * DAY

    @property
    def _end(self) -> date | None:
        """The last day whose rows count where nothing waits for a window."""
        return self.experiment.end if self.experiment.mature_after_end else None

    def statistic(self, found: Statistic) -> Statistic:
        """Return a statistic of the rows and units that the experiment looks at."""
        above, below = found.numerator, found.denominator
        return replace(
            found,
            numerator=self._term(above),
            denominator=None if below is None else self._term(below),
            clock=self._clock(found),
        )

    def _clock(self, found: Statistic) -> Clock:
        cohort, clock = self._cohort, found.clock
        if cohort is None:
            return clock
        completions = {replace(each, span=_cut(each.span, cohort)) for each in clock.completions}
        if self.experiment.completed_cohorts_only:
            sources = {each.source for term in found.values for each in term.aggregates}
            completions |= {Completion(source, cohort) for source in sources}
        return replace(clock, completions=tuple(sorted(completions)))

    def _term(self, term: Term) -> Term:
        parts = (replace(part, aggregate=self._slot(part.aggregate)) for part in term.parts)
        return replace(term, parts=tuple(parts))

    def _slot(self, slot: Slot) -> Slot:
        match slot:
            case Aggregate():
                return self._aggregate(slot)
            case Retained():
                return replace(slot, of=self._retention(slot.of))
            case Reached() | Lasted():
                steps = (
                    replace(step, moments=self._aggregate(step.moments)) for step in slot.of.steps
                )
                return replace(slot, of=replace(slot.of, steps=tuple(steps)))
            case Leveled():
                return self._leveled(slot)
            case _:
                assert_never(slot)

    def _leveled(self, slot: Leveled) -> Leveled:
        levels = tuple(self._aggregate(each) for each in slot.levels.aggregates)
        return replace(
            slot,
            of=self._aggregate(slot.of),
            by_level=self._aggregate(slot.by_level),
            levels=replace(slot.levels, aggregates=levels),
        )

    def _aggregate(self, found: Aggregate) -> Aggregate:
        cohort, span = self._cohort, found.span
        if cohort is not None:
            span = cohort if span is None else _cut(span, cohort)
        until = self._fixed if self._fixed is not None or span is not None else self._end
        return self._limited(found, span, until)

    def _retention(self, found: Retention) -> Retention:
        """Return the windows that are over in time; they are followed to their end."""
        cohort, fixed = self._cohort, self._fixed
        span = None if cohort is None else Span(0, cohort.end - found.end)
        until = self._end if span is None else None
        if fixed is not None:
            until = fixed - found.end * DAY
        return replace(
            found,
            starts=self._limited(found.starts, span, until),
            completions=self._limited(found.completions, None, fixed),
        )

    def _limited(self, found: Aggregate, span: Span | None, until: date | None) -> Aggregate:
        if span == found.span and until is None:
            return found
        source = self.project.metric_source(found.source)
        return aggregate(
            source, found.kind, found.rows, found.value, span, found.cap, until, found.level
        )


def _cut(span: Span, cohort: Span) -> Span:
    """Return a span without what lies after a unit's days."""
    last = (cohort.end + 1) * _MINUTES - 1 if span.is_minutes else cohort.end
    return replace(span, end=min(span.end, last))


def _days_after_end(statistic: Statistic) -> int:
    """Return for how many days after the end of the exposures a statistic may still change."""
    slots = (slot for term in statistic.values for slot in term.slots)
    days = max((_days(slot) for slot in slots), default=0)
    return days + statistic.clock.bake_days if days else 0


def _days(slot: Slot) -> int:
    match slot:
        case Retained():
            starts = slot.of.starts
            return slot.of.end + (_days_of(starts.span) if starts.span is not None else 0)
        case Aggregate() | Reached() | Lasted() | Leveled():
            return max(_days_of(each.span) for each in slot.stored)
        case _:
            assert_never(slot)


def _days_of(span: Span | None) -> int:
    """Return how many days after the day of an exposure a span may reach into."""
    if span is None:
        return 0
    return -(-(span.end + 1) // _MINUTES) if span.is_minutes else span.end + 1


def until(aggregates: Iterable[Aggregate]) -> date | None:
    """Return the last day whose rows count for some aggregate; None where all days do."""
    found = [each.until for each in aggregates]
    days = [day for day in found if day is not None]
    return max(days, default=None) if len(days) == len(found) else None

"""Derived aggregates: numbers of a unit-day that are not stored, as they follow from stored ones of several days."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from statsig_staging.aggregates import Aggregate, AggregateKind, Fold, aggregate, rows_of
from statsig_staging.levels import Leveled
from statsig_staging.names import digest

if TYPE_CHECKING:
    from typing import TypeAlias

    from statsig_staging.config import FunnelMetric, Project, RetentionMetric, StepWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Windows of days that units start, and may come back in.

    Attributes:
        starts: 1 on the days that start a window.
        completions: 1 on the days on which a unit comes back.
        end: How many days after its start a window is over.
        length: How many days it has, the last one included.
    """

    starts: Aggregate
    completions: Aggregate
    end: int
    length: int

    @property
    def key(self) -> str:
        """Everything that decides its windows."""
        return f"{self.starts.column} {self.completions.column} {self.end} {self.length}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """The windows that are over on a day, or those of them that the unit came back in.

    Attributes:
        of: The windows.
        is_completed: Whether only those that it came back in.
    """

    of: Retention
    is_completed: bool

    @property
    def column(self) -> str:
        """A name that no other number of the source has."""
        return f"{'completed' if self.is_completed else 'windows'}_{digest(self.of.key)}"

    @property
    def source(self) -> str:
        """The metric source."""
        return self.of.starts.source

    @property
    def fold(self) -> Fold:
        """How those of several days become one."""
        return Fold.SUM

    @property
    def is_by_value(self) -> bool:
        """It is a number of a unit-day."""
        return False

    @property
    def stored(self) -> tuple[Aggregate, ...]:
        """What unit-days store for it."""
        return (self.of.starts, self.of.completions)


@dataclass(frozen=True, slots=True)
class Limit:
    """How long something may take: so many blocks of 24 hours, or of one minute."""

    blocks: int
    is_minutes: bool = False

    def __str__(self) -> str:
        return f"{self.blocks} {'minutes' if self.is_minutes else 'days'}"


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """A step of a funnel: when its rows happened, and how long after the step before it at most."""

    moments: Aggregate
    limit: Limit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """Steps that follow one another.

    Attributes:
        steps: The steps that are rows of sources.
        is_strict: Whether a step comes after the one before it, not at the same instant.
        allowance_ms: So many milliseconds earlier it may come.
        limit: How long after the first step at most; None for ever.
        from_exposure: Whether the first step is the first exposure, before those of rows.
    """

    steps: tuple[FunnelStep, ...]
    is_strict: bool = True
    allowance_ms: int = 0
    limit: Limit | None = None
    from_exposure: bool = False

    @property
    def count(self) -> int:
        """How many steps there are, the exposure included where it is one."""
        return len(self.steps) + self.from_exposure

    @property
    def source(self) -> str:
        """The metric sources, as one name."""
        return ", ".join(sorted({each.source for each in self.stored}))

    @property
    def stored(self) -> tuple[Aggregate, ...]:
        """What is stored for it: the moments of every step."""
        return tuple(step.moments for step in self.steps)

    @property
    def key(self) -> str:
        """Everything that decides who reaches which step."""
        steps = [
            f"{step.moments.column} of {step.moments.source} {step.limit}" for step in self.steps
        ]
        rules = (self.is_strict, self.allowance_ms, self.limit, self.from_exposure)
        return " ".join([*steps, *map(str, rules)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Whether a unit reached a step of a funnel on a day; in how many of its sessions where they are told apart.

    Attributes:
        of: The funnel.
        step: Which of its steps, from 1.
    """

    of: Funnel
    step: int

    @property
    def column(self) -> str:
        """A name that no other number has."""
        return f"step_{self.step}_{digest(self.of.key)}"

    @property
    def source(self) -> str:
        """The metric sources, as one name."""
        return self.of.source

    @property
    def fold(self) -> Fold:
        """How those of several days become one."""
        return Fold.SUM

    @property
    def is_by_value(self) -> bool:
        """It is a number of a unit-day, whatever it comes from."""
        return False

    @property
    def stored(self) -> tuple[Aggregate, ...]:
        """What is stored for it: the moments of every step."""
        return self.of.stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Lasted:
    """How many seconds a unit took from the first step of a funnel to the last, on the day it reached that.

    Those of several sessions add up.

    Attributes:
        of: The funnel.
    """

    of: Funnel

    @property
    def column(self) -> str:
        """A name that no other number has."""
        return f"seconds_{digest(self.of.key)}"

    @property
    def source(self) -> str:
        """The metric sources, as one name."""
        return self.of.source

    @property
    def fold(self) -> Fold:
        """How those of several days become one."""
        return Fold.SUM

    @property
    def is_by_value(self) -> bool:
        """It is a number of a unit-day, whatever it comes from."""
        return False

    @property
    def stored(self) -> tuple[Aggregate, ...]:
        """What is stored for it: the moments of every step."""
        return self.of.stored


Slot: TypeAlias = Aggregate | Retained | Reached | Lasted | Leveled
"""A number of a unit-day, stored or derived."""


def retention_of(metric: RetentionMetric, project: Project) -> Retention:
    """Return the windows that a metric asks for."""
    source, kind = project.metric_source(metric.source), AggregateKind.ACTIVE
    rows = rows_of(metric)
    back = metric.completion_filter if metric.completion_filter is not None else metric.filter
    return Retention(
        starts=aggregate(source, kind, rows, None),
        completions=aggregate(source, kind, replace(rows, filter=back), None),
        end=metric.end,
        length=metric.length,
    )


def funnel_of(metric: FunnelMetric, project: Project) -> Funnel:
    """Return the steps that a metric asks for."""
    kind = AggregateKind.MOMENTS
    steps = (
        FunnelStep(
            aggregate(
                project.metric_source(step.source),
                kind,
                rows_of(step),
                None,
                level=step.session or metric.session,
            ),
            _limit(step.window),
        )
        for step in metric.steps
    )
    return Funnel(
        steps=tuple(steps),
        is_strict=metric.strict,
        allowance_ms=metric.allowance_ms,
        limit=_limit(metric.within),
        from_exposure=metric.exposure_as_first_step,
    )


def sides_of(
    metric: FunnelMetric, project: Project, number: int | None
) -> tuple[Reached | Lasted, Reached | None]:
    """Return what is divided by what: who reached a step by who reached the one before; by nobody for the first.

    Without a number it is the metric as a whole: who reached the last step by who reached the first, or the
    seconds that it took by who reached the last.
    """
    funnel = funnel_of(metric, project)
    reached = [Reached(of=funnel, step=step + 1) for step in range(funnel.count)]
    if number is not None:
        return reached[number - 1], reached[number - 2] if number > 1 else None
    if metric.time_to_convert:
        return Lasted(of=funnel), reached[-1]
    return reached[-1], reached[0]


def _limit(window: StepWindow | None) -> Limit | None:
    return None if window is None else Limit(window.end + 1, window.unit == "minutes")

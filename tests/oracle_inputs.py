"""What the oracle is told: the rows of the sources, the metrics and the experiment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal

Fields = Mapping[str, Any]
"""The columns of one input row, by name."""

AggregateKind = Literal[
    "count",
    "sum",
    "unit_count",
    "min",
    "max",
    "first_value",
    "latest_value",
    "count_distinct",
]
MetricType = Literal["count", "sum", "mean", "unit_count", "ratio"]
"""The types whose unit-days add up."""

AnyType = Literal[
    MetricType,
    "min",
    "max",
    "first_value",
    "latest_value",
    "count_distinct",
    "retention",
    "composite",
    "percentile",
    "funnel",
]
Rollup = Literal["daily", "cumulative", "days_since_exposure", "7_day", "14_day", "28_day"]


@dataclass(frozen=True, slots=True)
class Exposure:
    """A row of the assignment source; ``at`` is naive UTC."""

    unit: str | None
    group: str | None
    experiment_id: str | None
    at: datetime | None
    context: Fields = field(default_factory=dict)
    partition: date | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A row of a metric source; ``at`` is naive UTC, or a plain date where the source has days."""

    unit: str | None
    at: date | None
    fields: Fields = field(default_factory=dict)
    partition: date | None = None


@dataclass(frozen=True, slots=True)
class PartitionRule:
    """How far from the day of its timestamp a row's partition may lie, in days."""

    early: int = 0
    late: int = 0


def always(_: Fields) -> bool:
    """No filter: every row passes."""
    return True


TimeUnit = Literal["days", "minutes"]
UNIT_LENGTHS: Mapping[TimeUnit, timedelta] = {
    "days": timedelta(hours=24),
    "minutes": timedelta(minutes=1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which time since the first exposure counts, in whole units of time from 0."""

    start: int = 0
    end: int
    unit: TimeUnit = "days"
    completed_only: bool = False

    @property
    def opens_after(self) -> timedelta:
        """How long after the first exposure the window opens: s·U."""
        return self.start * UNIT_LENGTHS[self.unit]

    @property
    def closes_after(self) -> timedelta:
        """How long after it the window is over: (e + 1)·U."""
        return (self.end + 1) * UNIT_LENGTHS[self.unit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Winsorize:
    """The percentiles, from 0 to 1, between which units' values are held."""

    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """One number per unit: how rows of a source are filtered, read and put together.

    ``after_exposure`` and ``before_exposure`` give another moment of a row than when it happened.
    ``rollup`` is that of a unit count: ``once`` also stands for ``window``, which the window tells.
    """

    kind: AggregateKind
    source: str
    where: Callable[[Fields], bool | None] = always
    value: Callable[[Fields], Any] | None = None
    rollup: Literal["once", "daily", "latest"] = "once"
    window: Window | None = None
    cap: float | None = None
    threshold: float | None = None
    winsorize: Winsorize | None = None
    after_exposure: Callable[[Fields], Any] | None = None
    before_exposure: Callable[[Fields], Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Which rows start a window and which rows show that the unit came back in it."""

    source: str
    where: Callable[[Fields], bool | None] = always
    completed_by: Callable[[Fields], bool | None] | None = None
    end: int
    length: int
    window: Window | None = None
    after_exposure: Callable[[Fields], Any] | None = None
    before_exposure: Callable[[Fields], Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of a funnel, how long after the step before it may follow, and which session its rows are of."""

    source: str
    where: Callable[[Fields], bool | None] = always
    window: Window | None = None
    session: Callable[[Fields], str | None] | None = None
    after_exposure: Callable[[Fields], Any] | None = None
    before_exposure: Callable[[Fields], Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """Steps that follow one another.

    With ``exposure_as_first_step`` the exposure is a step before those that are listed. With
    ``time_to_convert`` the whole is about the seconds from the first step to the last. Where steps have
    sessions, the funnel is of each session on its own.
    """

    steps: tuple[Step, ...]
    strict: bool = True
    allowance: timedelta = timedelta(0)
    within: Window | None = None
    exposure_as_first_step: bool = False
    time_to_convert: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A metric that is added or taken away."""

    metric: "OracleMetric"
    sign: Literal[1, -1] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleMetric:
    """A metric; the denominator of a mean follows from its numerator and is left out.

    A percentile has the values as its numerator, of the kind ``sum``. A retention, a funnel and a
    composite have no numerator. ``winsorize`` is that of a composite; others have it in their
    numerator. ``dimensions`` are columns of its rows.
    """

    name: str
    type: AnyType
    numerator: Aggregate | None = None
    denominator: Aggregate | None = None
    percentile: float | None = None
    retention: Retention | None = None
    funnel: Funnel | None = None
    terms: tuple[Term, ...] = ()
    log: bool = False
    winsorize: Winsorize | None = None
    bake_days: int = 0
    cuped_days: int | None = None
    dimensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """The settings of an experiment that decide what its tables hold.

    ``dated_sources`` are those whose rows are days; it matters to units without rows.
    """

    id: str
    start: date
    end: date | None = None
    groups: tuple[str, ...] | None = None
    crossover: Literal["exclude", "first_group"] = "exclude"
    context: tuple[str, ...] = ()
    metrics: tuple[OracleMetric, ...] = ()
    exposure_partitions: PartitionRule | None = None
    source_partitions: Mapping[str, PartitionRule] = field(default_factory=dict)
    rollups: tuple[Rollup, ...] = ("daily", "cumulative")
    dimensions: tuple[str, ...] = ()
    dimension_units: int = 1
    dated_sources: frozenset[str] = frozenset()
    cohorted_duration: int | None = None
    completed_cohorts_only: bool = False
    fixed_duration: int | None = None
    mature_after_end: bool = False

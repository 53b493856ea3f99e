"""Terms: a unit's value as a metric defines it over its aggregates; statistics: a metric as one term, or two."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, assert_never

from statsig_staging import levels
from statsig_staging.aggregates import AggregateKind, Fold, Span, aggregate, rows_of
from statsig_staging.config import (
    CompositeMetric,
    CountComponent,
    CountDistinctComponent,
    CountDistinctMetric,
    CountMetric,
    EdgeComponent,
    EdgeMetric,
    ExtremeComponent,
    ExtremeMetric,
    FunnelMetric,
    MeanMetric,
    PercentileMetric,
    RatioMetric,
    RetentionMetric,
    SumComponent,
    SumMetric,
    UnitCountComponent,
    UnitCountMetric,
)
from statsig_staging.derived import Retained, retention_of, sides_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from statsig_staging.aggregates import Aggregate, ValueKind
    from statsig_staging.config import (
        Component,
        Metric,
        Project,
        SimpleMetric,
        Window,
        Winsorize,
    )
    from statsig_staging.derived import Slot


class ShapeKind(StrEnum):
    """What becomes of a unit's total."""

    PLAIN = "plain"
    """Nothing."""
    ONCE = "once"
    """1 where it is above zero, else 0."""
    AT_LEAST = "at_least"
    """1 where it is at least a number, else 0."""
    LOG = "log"
    """Its natural logarithm where it is above zero, else 0."""
    PER_DAY = "per_day"
    """It divided by the days of exposure."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What becomes of a unit's total; ``threshold`` goes with ``AT_LEAST``."""

    kind: ShapeKind = ShapeKind.PLAIN
    threshold: float | None = None

    def __str__(self) -> str:
        return self.kind if self.threshold is None else f"{self.kind} {self.threshold!r}"


@dataclass(frozen=True, slots=True)
class Winsor:
    """Percentiles of the values that are not zero; values beyond become them. None leaves them."""

    low: float | None
    high: float | None

    def __str__(self) -> str:
        return f"winsorized {self.low!r} {self.high!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A unit's total of an aggregate in some shape, added to a term or taken from it.

    Attributes:
        aggregate: What is put together over the unit's days.
        shape: What becomes of the total.
        winsor: Where it is cut off.
        sign: 1 or -1.
    """

    aggregate: Slot
    shape: Shape = Shape()
    winsor: Winsor | None = None
    sign: int = 1

    @property
    def key(self) -> str:
        """A name that no other part of an experiment has, whatever its sign."""
        found = f"{self.aggregate.column} of {self.aggregate.source}"
        if self.shape.kind is not ShapeKind.PLAIN:
            found += f" {self.shape}"
        return found if self.winsor is None else f"{found} {self.winsor}"

    @property
    def is_linear(self) -> bool:
        """Whether it moves by what a day brings, whatever came before."""
        plain = self.shape.kind is ShapeKind.PLAIN and self.winsor is None
        return plain and self.aggregate.fold is Fold.SUM


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A unit's value: the sum of its parts.

    Attributes:
        parts: What is added up.
        winsor: Where the sum is cut off.
    """

    parts: tuple[Part, ...]
    winsor: Winsor | None = None

    @property
    def key(self) -> str:
        """A name that no other term of an experiment has."""
        signed = [f"-{part.key}" if part.sign < 0 else part.key for part in self.parts]
        found = " + ".join(signed)
        return found if self.winsor is None else f"{found} {self.winsor}"

    @property
    def slots(self) -> tuple[Slot, ...]:
        """What is put together over the unit's days."""
        return tuple(part.aggregate for part in self.parts)

    @property
    def is_flag(self) -> bool:
        """Whether it is 0 or 1 by its shape."""
        flags = (ShapeKind.ONCE, ShapeKind.AT_LEAST)
        part = self.parts[0]
        return len(self.parts) == 1 and part.sign > 0 and part.shape.kind in flags

    @property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """What unit-days store for it."""
        return tuple(stored for slot in self.slots for stored in slot.stored)

    @property
    def is_linear(self) -> bool:
        """Whether it moves by what a day brings, whatever came before."""
        return self.winsor is None and all(part.is_linear for part in self.parts)

    @property
    def is_carried(self) -> bool:
        """Whether it changes on days only that the unit has rows on, and by that unit's rows alone."""
        parts = all(
            part.winsor is None
            and part.shape.kind is not ShapeKind.PER_DAY
            and not part.aggregate.is_by_value
            for part in self.parts
        )
        return parts and self.winsor is None

    @property
    def is_winsorized(self) -> bool:
        """Whether something of it is cut off where a percentile of all units lies."""
        return self.winsor is not None or any(part.winsor is not None for part in self.parts)


@dataclass(frozen=True, slots=True, order=True)
class Completion:
    """A window that must be over before a unit counts; the source says whether its rows are dates."""

    source: str
    span: Span


@dataclass(frozen=True, slots=True, order=True)
class Clock:
    """When units and rows come to count.

    Attributes:
        bake_days: So many days after they happened.
        completions: Windows that must be over.
    """

    bake_days: int = 0
    completions: tuple[Completion, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether everything counts at once."""
        return not self.bake_days and not self.completions


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """A metric as the statistics of one term, or of one over another.

    Attributes:
        metric: The metric's name.
        numerator: A unit's value.
        denominator: What its sum is divided by; None for the units.
        covariate: The numerator before the unit's exposure.
        denominator_covariate: The denominator before it.
        clock: When units and rows come to count.
        dimensions: By which dimensions of units it is broken down beside the whole population.
        about: The dimension and its value that it is about; None for the metric as a whole.
        percentile: Which percentile its mean is, of the values one by one; None for sums over sums.
    """

    metric: str
    numerator: Term
    denominator: Term | None = None
    covariate: Term | None = None
    denominator_covariate: Term | None = None
    clock: Clock = Clock()
    dimensions: tuple[str, ...] = ()
    percentile: float | None = None
    about: tuple[str, str] | None = None

    @property
    def is_costly(self) -> bool:
        """Whether a day of it is computed from all rows so far."""
        return self.percentile is not None or any(term.is_winsorized for term in self.values)

    @property
    def values(self) -> tuple[Term, ...]:
        """Its numerator, and its denominator if it has one."""
        return (self.numerator,) if self.denominator is None else (self.numerator, self.denominator)

    @property
    def covariates(self) -> tuple[Term, ...]:
        """What it knows of its units from before their exposure."""
        return tuple(t for t in (self.covariate, self.denominator_covariate) if t is not None)

    @cached_property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """What unit-days store for it."""
        terms = (*self.values, *self.covariates)
        return tuple(aggregate for term in terms for aggregate in term.aggregates)

    @property
    def key(self) -> str:
        """Everything that decides its numbers."""
        terms = [term.key for term in (*self.values, *self.covariates)]
        clock = [] if self.clock.is_plain else [repr(self.clock)]
        dimensions = [f"by {name}" for name in self.dimensions]
        share = [] if self.percentile is None else [f"percentile {self.percentile!r}"]
        about = [] if self.about is None else [" ".join(self.about)]
        return repr([self.metric, terms, *clock, *dimensions, *share, *about])


def statistic_of(metric: Metric, project: Project) -> Statistic:
    """Return the statistic that a metric asks for."""
    match metric:
        case MeanMetric():
            found = _mean(metric, project)
        case RatioMetric():
            found = _ratio(metric, project)
        case CompositeMetric():
            found = _composite(metric, project)
        case RetentionMetric():
            found = _retention(metric, project)
        case FunnelMetric():
            found = _step(metric, project, None)
        case PercentileMetric():
            found = _percentile(metric, project)
        case (
            CountMetric()
            | SumMetric()
            | ExtremeMetric()
            | EdgeMetric()
            | CountDistinctMetric()
            | UnitCountMetric()
        ):
            found = _simple(metric, project)
        case _:
            assert_never(metric)
    clock = replace(found.clock, bake_days=metric.bake_days)
    return replace(found, clock=clock, dimensions=metric.dimensions)


def statistics_of(metric: Metric, project: Project) -> tuple[Statistic, ...]:
    """Return the statistics that a metric asks for: its own, those of the steps of a funnel, and of levels."""
    own = statistic_of(metric, project)
    if not isinstance(metric, FunnelMetric):
        return (own, *levels.by_level(own, metric, project))
    numbers = range(1, len(metric.steps) + metric.exposure_as_first_step + 1)
    steps = (_step(metric, project, number) for number in numbers)
    return (own, *(replace(step, clock=own.clock) for step in steps))


def _step(metric: FunnelMetric, project: Project, number: int | None) -> Statistic:
    """Return the statistic of a step of a funnel; of the funnel as a whole without a number."""
    above, below = sides_of(metric, project, number)
    return Statistic(
        metric=metric.name,
        numerator=Term(parts=(Part(aggregate=above),)),
        denominator=None if below is None else Term(parts=(Part(aggregate=below),)),
        about=None if number is None else ("step", str(number)),
    )


def _mean(metric: MeanMetric, project: Project) -> Statistic:
    source, span = project.metric_source(metric.source), _span(metric.window)
    rows = rows_of(metric)
    total = aggregate(source, AggregateKind.SUM, rows, metric.value, span)
    records = aggregate(source, AggregateKind.RECORDS, rows, metric.value, span)
    return Statistic(
        metric=metric.name,
        numerator=Term(parts=(Part(aggregate=total),), winsor=_winsor(metric.winsorize)),
        denominator=Term(parts=(Part(aggregate=records),)),
        clock=Clock(completions=_completions(metric)),
    )


def _percentile(metric: PercentileMetric, project: Project) -> Statistic:
    source, span = project.metric_source(metric.source), _span(metric.window)
    values = aggregate(source, AggregateKind.VALUES, rows_of(metric), metric.value, span)
    value = Term(parts=(Part(aggregate=values),))
    return Statistic(
        metric=metric.name,
        numerator=value,
        denominator=value,
        clock=Clock(completions=_completions(metric)),
        percentile=metric.percentile,
    )


def _ratio(metric: RatioMetric, project: Project) -> Statistic:
    sides = (metric.numerator, metric.denominator)
    before = None if metric.cuped is None else Span(-metric.cuped.days, -1)
    return Statistic(
        metric=metric.name,
        numerator=_term(metric.numerator, project),
        denominator=_term(metric.denominator, project),
        covariate=None if before is None else _term(metric.numerator, project, before),
        denominator_covariate=(
            None if before is None else _term(metric.denominator, project, before)
        ),
        clock=Clock(completions=tuple(sorted({c for side in sides for c in _completions(side)}))),
    )


def _composite(metric: CompositeMetric, project: Project) -> Statistic:
    parts: list[Part] = []
    completions: set[Completion] = set()
    for term in metric.terms:
        of = statistic_of(project.metric(term.metric), project)
        completions.update(of.clock.completions)
        for part in of.numerator.parts:
            winsor = of.numerator.winsor or part.winsor
            parts.append(replace(part, sign=term.sign * part.sign, winsor=winsor))
    return Statistic(
        metric=metric.name,
        numerator=Term(parts=tuple(parts), winsor=_winsor(metric.winsorize)),
        clock=Clock(completions=tuple(sorted(completions))),
    )


def _retention(metric: RetentionMetric, project: Project) -> Statistic:
    of = retention_of(metric, project)
    sides = (Retained(of=of, is_completed=completed) for completed in (True, False))
    numerator, denominator = (Term(parts=(Part(aggregate=side),)) for side in sides)
    return Statistic(metric=metric.name, numerator=numerator, denominator=denominator)


def _simple(metric: SimpleMetric, project: Project) -> Statistic:
    value = _term(metric, project)
    denominator = None
    if isinstance(metric, CountMetric | SumMetric) and metric.log:
        [part] = value.parts
        value = Term(parts=(replace(part, shape=Shape(ShapeKind.LOG)),))
        denominator = Term(parts=(replace(part, shape=Shape(ShapeKind.ONCE)),))
    before = None if metric.cuped is None else Span(-metric.cuped.days, -1)
    return Statistic(
        metric=metric.name,
        numerator=value,
        denominator=denominator,
        covariate=None if before is None else _term(metric, project, before),
        clock=Clock(completions=_completions(metric)),
    )


def _term(
    component: Component | SimpleMetric, project: Project, before: Span | None = None
) -> Term:
    """Return a component's value per unit, or the same of the time ``before`` the unit's exposure."""
    source = project.metric_source(component.source)
    span = before if before is not None else _span(component.window)
    rows = rows_of(component)
    match component:
        case CountComponent():
            found = aggregate(source, AggregateKind.COUNT, rows, None, span, component.cap)
            winsorize = component.winsorize if before is None else None
            return _shaped(found, component.threshold, winsorize)
        case SumComponent():
            kind = AggregateKind.SUM
            found = aggregate(source, kind, rows, component.value, span, component.cap)
            winsorize = component.winsorize if before is None else None
            return _shaped(found, component.threshold, winsorize)
        case ExtremeComponent():
            kind = AggregateKind(component.type)
            found = aggregate(source, kind, rows, component.value, span)
            winsorize = component.winsorize if before is None else None
            return _shaped(found, component.threshold, winsorize)
        case EdgeComponent():
            kind = AggregateKind(component.type.removesuffix("_value"))
            found = aggregate(source, kind, rows, component.value, span)
            return _shaped(found, component.threshold)
        case CountDistinctComponent():
            kind = AggregateKind.DISTINCT
            found = aggregate(source, kind, rows, component.value, span)
            winsorize = component.winsorize if before is None else None
            return _shaped(found, component.threshold, winsorize)
        case UnitCountComponent() | UnitCountMetric():
            kind, shape = _UNIT_COUNTS[component.rollup]
            return Term(
                parts=(Part(aggregate=aggregate(source, kind, rows, None, span), shape=shape),)
            )
        case _:
            assert_never(component)


_UNIT_COUNTS = {
    "once": (AggregateKind.COUNT, Shape(ShapeKind.ONCE)),
    "window": (AggregateKind.COUNT, Shape(ShapeKind.ONCE)),
    "daily": (AggregateKind.ACTIVE, Shape(ShapeKind.PER_DAY)),
    "latest": (AggregateKind.LATEST_FLAG, Shape()),
}


def _shaped(found: Aggregate, threshold: float | None, winsorize: Winsorize | None = None) -> Term:
    shape = Shape() if threshold is None else Shape(ShapeKind.AT_LEAST, threshold)
    return Term(parts=(Part(aggregate=found, shape=shape),), winsor=_winsor(winsorize))


def _winsor(winsorize: Winsorize | None) -> Winsor | None:
    if winsorize is None:
        return None
    low = winsorize.low if winsorize.low > 0 else None
    high = winsorize.high if winsorize.high < 1 else None
    return None if low is None and high is None else Winsor(low, high)


def _span(window: Window | None) -> Span | None:
    if window is None:
        return None
    return Span(window.start, window.end, is_minutes=window.unit == "minutes")


def _completions(
    component: Component | SimpleMetric | MeanMetric | PercentileMetric,
) -> tuple[Completion, ...]:
    window, span = component.window, _span(component.window)
    if window is None or span is None or not window.completed_only:
        return ()
    return (Completion(component.source, span),)


def metrics_by_source(metrics: Iterable[str], project: Project) -> dict[str, tuple[str, ...]]:
    """Return metric source → those of some metrics that it serves, by the names of the sources."""
    found: dict[str, tuple[str, ...]] = {}
    for name in metrics:
        needed = statistic_of(project.metric(name), project).aggregates
        for source in dict.fromkeys(each.source for each in needed):
            found[source] = (*found.get(source, ()), name)
    return dict(sorted(found.items()))


def aggregates_of(statistics: Iterable[Statistic], source: str) -> tuple[Aggregate, ...]:
    """Return the aggregates that a source must deliver, each once, by column name, values one by one too."""
    found = {
        each.column: each
        for statistic in statistics
        for each in statistic.aggregates
        if each.source == source
    }
    return tuple(found[column] for column in sorted(found))


def by_day(aggregates: Iterable[Aggregate]) -> tuple[Aggregate, ...]:
    """Return those of some aggregates that a unit-day stores."""
    return tuple(each for each in aggregates if each.values is None)


def by_value(aggregates: Iterable[Aggregate], kind: ValueKind) -> tuple[Aggregate, ...]:
    """Return those of some aggregates whose values one table holds one by one."""
    return tuple(each for each in aggregates if each.values is kind)


def reach(aggregates: Iterable[Aggregate]) -> int:
    """Return how many days before a unit's first exposure some aggregate looks back."""
    starts = (each.span.start for each in aggregates if each.span is not None)
    return max(0, -min(starts, default=0))

"""Metrics: what is measured over the rows of metric sources."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from statsig_staging import expressions
from statsig_staging.config.fields import Count, Days, Model, Name, Scalar, no_bool
from statsig_staging.config.lists import Names
from statsig_staging.config.problems import quote

_M = TypeVar("_M", bound=Model)
_STEP = "step"
UNLEVELED = frozenset(
    ["count_distinct", "first_value", "funnel", "latest_value", "percentile", "retention"]
)
"""Types of metric whose numbers of two levels do not become one."""

Positive = Annotated[float, BeforeValidator(no_bool), Field(gt=0, allow_inf_nan=False)]
"""A number above zero."""

Share = Annotated[float, BeforeValidator(no_bool), Field(ge=0, le=1, allow_inf_nan=False)]
"""A part of the whole: 0.99 is 99 %."""


def _sign(value: object) -> object:
    return int(value) if isinstance(value, str) and value in {"1", "+1", "-1"} else value


Sign = Annotated[Literal[1, -1], BeforeValidator(no_bool), BeforeValidator(_sign)]
"""Whether something is added (1) or taken away (-1)."""


class Window(Model):
    """Time since a unit's first exposure in which its rows count, 0-indexed.

    Attributes:
        start: First block of 24 hours (of a minute); 0 begins with the first exposure.
        end: Last block, inclusive: 0 to 6 are seven days.
        unit: What a block is. Rows that are only dates count by UTC days.
        completed_only: Whether a unit counts only once its window is over.
    """

    start: Days = 0
    end: Days
    unit: Literal["days", "minutes"] = "days"
    completed_only: bool = False

    @field_validator("end")
    @classmethod
    def _not_before_start(cls, end: int, info: ValidationInfo) -> int:
        start = info.data.get("start")
        if start is not None and end < start:
            raise ValueError(f"end {end} is before start {start}")
        return end


class Winsorize(Model):
    """Where the units' values are cut off: at percentiles of those that are not zero.

    Attributes:
        low: Values below this percentile become it; 0 leaves them.
        high: Values above this percentile become it; 1 leaves them.
    """

    low: Share = 0.0
    high: Share = 1.0

    @field_validator("high")
    @classmethod
    def _above_low(cls, high: float, info: ValidationInfo) -> float:
        low = info.data.get("low")
        if low is not None and high <= low:
            raise ValueError(f"high {high:g} is not above low {low:g}")
        return high


class Cuped(Model):
    """The covariate of a metric: the same measure before each unit's first exposure.

    Attributes:
        days: How many blocks of 24 hours before it; UTC days where rows are only dates.
    """

    days: Count


class CompositeTerm(Model):
    """A metric that is added to a composite, or taken from it."""

    metric: Name
    sign: Sign = 1


class _Component(Model):
    source: Name
    filter: Scalar | None = None
    after_exposure: Scalar | None = None
    before_exposure: Scalar | None = None
    window: Window | None = None


class _Thresholded(_Component):
    threshold: Positive | None = None


class _Total(_Thresholded):
    cap: Positive | None = None
    winsorize: Winsorize | None = None

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        return _checked_shape(self, ("threshold", "winsorize"))


class CountComponent(_Total):
    """Rows of a source; ``filter`` says which."""

    type: Literal["count"]


class SumComponent(_Total):
    """The sum of ``value`` over rows of a source; ``filter`` says which."""

    type: Literal["sum"]
    value: Scalar


class ExtremeComponent(_Thresholded):
    """The smallest or largest ``value`` of a unit; ``filter`` says of which rows."""

    type: Literal["min", "max"]
    value: Scalar
    winsorize: Winsorize | None = None

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        return _checked_shape(self, ("threshold", "winsorize"))


class EdgeComponent(_Thresholded):
    """The ``value`` of a unit's first or latest row that has one; ``filter`` says of which rows."""

    type: Literal["first_value", "latest_value"]
    value: Scalar


class CountDistinctComponent(_Thresholded):
    """How many values a unit has that differ as text; ``filter`` says of which rows."""

    type: Literal["count_distinct"]
    value: Scalar
    winsorize: Winsorize | None = None

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        return _checked_shape(self, ("threshold", "winsorize"))


class UnitCountComponent(_Component):
    """Whether a unit has a row; ``filter`` says which."""

    type: Literal["unit_count"]
    rollup: Literal["once", "window"] = "once"

    @model_validator(mode="after")
    def _goes_with_window(self) -> Self:
        if self.rollup == "window" and self.window is None:
            raise ValueError("rollup window needs a window")
        return self


class _Metric(Model):
    name: Name
    bake_days: Days = 0
    dimensions: Names = ()

    @property
    def row_dimensions(self) -> tuple[str, ...]:
        """The columns of its sources that its rows are told apart by."""
        return ()

    @property
    def all_dimensions(self) -> tuple[str, ...]:
        """Its dimensions, those of units and those of rows."""
        return (*self.dimensions, *self.row_dimensions)

    @field_validator("dimensions")
    @classmethod
    def _not_kept(cls, dimensions: tuple[str, ...]) -> tuple[str, ...]:
        return _not_the_steps(dimensions, "the context column")


def _not_the_steps(dimensions: tuple[str, ...], what: str) -> tuple[str, ...]:
    if _STEP in dimensions:
        raise ValueError(f"{_STEP!r} is kept for the steps of funnels; give {what} another name")
    return dimensions


def _with_sides(metric: _Metric) -> tuple[object, ...]:
    """Return a metric, and the two sides that a ratio has."""
    return (metric, getattr(metric, "numerator", None), getattr(metric, "denominator", None))


class _ByLevel(_Metric):
    metric_dimensions: Names = ()

    @property
    def row_dimensions(self) -> tuple[str, ...]:
        """The columns of its sources that its rows are told apart by."""
        return self.metric_dimensions

    @field_validator("metric_dimensions")
    @classmethod
    def _not_steps(cls, dimensions: tuple[str, ...]) -> tuple[str, ...]:
        return _not_the_steps(dimensions, "the column an alias with")

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        for name in self.metric_dimensions:
            if name in self.dimensions:
                raise ValueError(
                    f"{quote(name)} stands under dimensions and under metric_dimensions, and results would "
                    f"not tell them apart; give one of them another name"
                )
        for each in _with_sides(self) if self.metric_dimensions else ():
            if getattr(each, "type", "") in UNLEVELED:
                raise ValueError(f"metric_dimensions do not go with {getattr(each, 'type', '')}")
            if getattr(each, "rollup", "") == "latest":
                raise ValueError("metric_dimensions do not go with rollup latest")
        return self


class _Adjusted(_Metric):
    cuped: Cuped | None = None

    @model_validator(mode="after")
    def _knows_nothing_of_later(self) -> Self:
        if self.cuped is None:
            return self
        for side in _with_sides(self):
            if getattr(side, "after_exposure", None) is not None:
                raise ValueError(
                    "cuped does not go with after_exposure: a covariate is of what was there before"
                )
        return self


class CountMetric(CountComponent, _Adjusted, _ByLevel):
    """Rows per unit."""

    log: bool = False

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        return _checked_shape(self, ("threshold", "winsorize", "log"), alone=("log", "cuped"))


class SumMetric(SumComponent, _Adjusted, _ByLevel):
    """The sum of ``value`` per unit."""

    log: bool = False

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        return _checked_shape(self, ("threshold", "winsorize", "log"), alone=("log", "cuped"))


class MeanMetric(_Component, _ByLevel):
    """The mean of ``value`` over rows."""

    type: Literal["mean"]
    value: Scalar
    winsorize: Winsorize | None = None


class ExtremeMetric(ExtremeComponent, _Adjusted, _ByLevel):
    """The smallest or largest ``value`` per unit."""


class EdgeMetric(EdgeComponent, _Adjusted):
    """The first or latest ``value`` per unit."""


class CountDistinctMetric(CountDistinctComponent, _Adjusted):
    """How many values per unit differ as text."""


class PercentileMetric(_Component, _Metric):
    """A percentile of ``value`` over rows, whoever they belong to."""

    type: Literal["percentile"]
    value: Scalar
    percentile: Share


class UnitCountMetric(_Component, _Adjusted, _ByLevel):
    """The share of units that have a row; per day that they have one; or as their latest row says."""

    type: Literal["unit_count"]
    rollup: Literal["once", "window", "daily", "latest"] = "once"

    @model_validator(mode="after")
    def _goes_with_rollup(self) -> Self:
        if self.rollup == "window" and self.window is None:
            raise ValueError("rollup window needs a window")
        if self.rollup in {"daily", "latest"}:
            for option in ("window", "cuped"):
                if getattr(self, option) is not None:
                    raise ValueError(f"rollup {self.rollup} does not go with {option}")
        if self.rollup == "latest" and self.filter is None:
            raise ValueError("rollup latest needs a filter")
        return self


def _checked_shape(metric: _M, options: Sequence[str], alone: tuple[str, str] | None = None) -> _M:
    """Return ``metric`` unless it has two options that each decide what becomes of a unit's total."""
    pairs = [(one, other) for one in options for other in options if one < other]
    for one, other in [*pairs, *([alone] if alone else [])]:
        if getattr(metric, one) and getattr(metric, other):
            raise ValueError(f"{one} does not go with {other}")
    return metric


def _is_supported(value: object, kinds: Sequence[str], what: str) -> None:
    tag = value.get("type") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or tag in kinds:
        return
    supported = f"supported: {', '.join(kinds)}"
    if tag is None:
        raise ValueError(f"type is required; {supported}")
    near = expressions.suggestion(str(tag), kinds)
    raise ValueError(f"unknown {what} type {quote(tag)}; {supported}{near}")


def _checked_component_type(value: object) -> object:
    _is_supported(value, tuple(COMPONENTS), "component")
    return value


def checked_metric_type(value: object) -> object:
    """Return ``value`` if it is of a type of metric that is supported.

    Raises:
        ValueError: If it is not.
    """
    _is_supported(value, tuple(METRICS), "metric")
    return value


Component = Annotated[
    CountComponent
    | SumComponent
    | ExtremeComponent
    | EdgeComponent
    | CountDistinctComponent
    | UnitCountComponent,
    Field(discriminator="type"),
    BeforeValidator(_checked_component_type),
]
"""One side of a ratio."""


class RatioMetric(_Adjusted, _ByLevel):
    """One total over another; the two may come from different sources."""

    type: Literal["ratio"]
    numerator: Component
    denominator: Component


class CompositeMetric(_ByLevel):
    """Sums and differences of other metrics, unit by unit."""

    type: Literal["composite"]
    terms: Annotated[tuple[CompositeTerm, ...], Field(min_length=1)]
    winsorize: Winsorize | None = None


class RetentionMetric(_Metric):
    """The share of days on which a unit did something that it came back after."""

    type: Literal["retention"]
    source: Name
    filter: Scalar | None = None
    completion_filter: Scalar | None = None
    after_exposure: Scalar | None = None
    before_exposure: Scalar | None = None
    end: Count
    length: Count

    @field_validator("length")
    @classmethod
    def _begins_after_start(cls, length: int, info: ValidationInfo) -> int:
        end = info.data.get("end")
        if end is not None and length > end:
            raise ValueError(f"length {length} is more than end {end}")
        return length


class StepWindow(Model):
    """How long after another step a step may come.

    Attributes:
        end: The last block of 24 hours (of a minute) that counts; 0 is the first.
        unit: What a block is.
    """

    end: Days
    unit: Literal["days", "minutes"] = "days"


class FunnelStep(Model):
    """Rows of a source that are a step, and how long after the step before it they may come.

    ``session`` stands in for that of the funnel, where a source calls it otherwise.
    """

    source: Name
    filter: Scalar | None = None
    after_exposure: Scalar | None = None
    before_exposure: Scalar | None = None
    window: StepWindow | None = None
    session: Scalar | None = None


class FunnelMetric(_Metric):
    """The share of units that went through steps in order; with a ``session``, of their sessions."""

    type: Literal["funnel"]
    steps: Annotated[tuple[FunnelStep, ...], Field(min_length=1)]
    strict: bool = True
    allowance_ms: Days = 0
    within: StepWindow | None = None
    exposure_as_first_step: bool = False
    time_to_convert: bool = False
    session: Scalar | None = None

    @model_validator(mode="after")
    def _has_steps(self) -> Self:
        if self.exposure_as_first_step:
            return self
        if len(self.steps) == 1:
            raise ValueError("a funnel has at least two steps; the exposure may be one")
        if self.steps[0].window is not None:
            raise ValueError("the first step has no window: no step comes before it")
        return self

    @model_validator(mode="after")
    def _sessions_of_every_step(self) -> Self:
        told = [(step.session or self.session) is not None for step in self.steps]
        if not all(told) and any(told):
            number = told.index(False) + 1
            raise ValueError(
                f"step {number} has no session, and others have: give it to the funnel"
            )
        if any(told) and self.exposure_as_first_step:
            raise ValueError("session does not go with exposure_as_first_step, which is of none")
        return self


SimpleMetric = (
    CountMetric | SumMetric | ExtremeMetric | EdgeMetric | CountDistinctMetric | UnitCountMetric
)
"""A metric that is one number of one source per unit."""

Metric = Annotated[
    CountMetric
    | SumMetric
    | ExtremeMetric
    | EdgeMetric
    | CountDistinctMetric
    | UnitCountMetric
    | MeanMetric
    | PercentileMetric
    | RatioMetric
    | CompositeMetric
    | RetentionMetric
    | FunnelMetric,
    Field(discriminator="type"),
    BeforeValidator(checked_metric_type),
]
"""What is measured."""

METRICS: Final[dict[str, type[Model]]] = {
    "composite": CompositeMetric,
    "count": CountMetric,
    "count_distinct": CountDistinctMetric,
    "first_value": EdgeMetric,
    "funnel": FunnelMetric,
    "latest_value": EdgeMetric,
    "max": ExtremeMetric,
    "mean": MeanMetric,
    "min": ExtremeMetric,
    "percentile": PercentileMetric,
    "ratio": RatioMetric,
    "retention": RetentionMetric,
    "sum": SumMetric,
    "unit_count": UnitCountMetric,
}
"""Type of metric → model."""

COMPONENTS: Final[dict[str, type[Model]]] = {
    "count": CountComponent,
    "count_distinct": CountDistinctComponent,
    "first_value": EdgeComponent,
    "latest_value": EdgeComponent,
    "max": ExtremeComponent,
    "min": ExtremeComponent,
    "sum": SumComponent,
    "unit_count": UnitCountComponent,
}
"""Type of component → model."""

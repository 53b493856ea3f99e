"""Metrics: what is measured over the rows of metric sources."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from statsig_staging import expressions
from statsig_staging.config.fields import Model, Name, Scalar
from statsig_staging.config.problems import quote

_LATER_TYPES = frozenset(
    [
        "min",
        "max",
        "first_value",
        "latest_value",
        "count_distinct",
        "percentile",
        "retention",
        "funnel",
        "composite",
    ]
)
LATER_OPTIONS = frozenset(
    [
        "window",
        "bake_days",
        "winsorize",
        "cap",
        "threshold",
        "log",
        "cuped",
        "dimensions",
        "percentile",
        "end",
        "length",
        "steps",
        "terms",
    ]
)
"""Options that a metric may have one day."""


class _Component(Model):
    source: Name
    filter: Scalar | None = None


class CountComponent(_Component):
    """Rows of a source; ``filter`` says which."""

    type: Literal["count"]


class SumComponent(_Component):
    """The sum of ``value`` over rows of a source; ``filter`` says which."""

    type: Literal["sum"]
    value: Scalar


class UnitCountComponent(_Component):
    """Whether a unit has a row; ``filter`` says which."""

    type: Literal["unit_count"]
    rollup: Literal["once"] = "once"


class CountMetric(CountComponent):
    """Rows per unit."""

    name: Name


class SumMetric(SumComponent):
    """The sum of ``value`` per unit."""

    name: Name


class MeanMetric(_Component):
    """The mean of ``value`` over rows."""

    name: Name
    type: Literal["mean"]
    value: Scalar


class UnitCountMetric(UnitCountComponent):
    """The share of units that have a row."""

    name: Name


def _is_supported(value: object, kinds: Sequence[str], what: str) -> None:
    tag = value.get("type") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or tag in kinds:
        return
    supported = f"supported: {', '.join(kinds)}"
    if tag is None:
        raise ValueError(f"type is required; {supported}")
    if isinstance(tag, str) and tag in _LATER_TYPES:
        raise ValueError(f"{what} type {tag!r} is not supported yet; {supported}")
    near = expressions.suggestion(str(tag), kinds)
    raise ValueError(f"unknown {what} type {quote(tag)}; {supported}{near}")


def _checked_component_type(value: object) -> object:
    _is_supported(value, ("count", "sum", "unit_count"), "component")
    return value


def checked_metric_type(value: object) -> object:
    """Return ``value`` if it is of a type of metric that is supported.

    Raises:
        ValueError: If it is not.
    """
    _is_supported(value, ("count", "mean", "ratio", "sum", "unit_count"), "metric")
    return value


Component = Annotated[
    CountComponent | SumComponent | UnitCountComponent,
    Field(discriminator="type"),
    BeforeValidator(_checked_component_type),
]
"""One side of a ratio."""


class RatioMetric(Model):
    """One total over another; the two may come from different sources."""

    name: Name
    type: Literal["ratio"]
    numerator: Component
    denominator: Component


Metric = Annotated[
    CountMetric | SumMetric | MeanMetric | UnitCountMetric | RatioMetric,
    Field(discriminator="type"),
    BeforeValidator(checked_metric_type),
]
"""What is measured."""

METRICS: Final[dict[str, type[Model]]] = {
    "count": CountMetric,
    "mean": MeanMetric,
    "ratio": RatioMetric,
    "sum": SumMetric,
    "unit_count": UnitCountMetric,
}
"""Type of metric → model."""

COMPONENTS: Final[dict[str, type[Model]]] = {
    "count": CountComponent,
    "sum": SumComponent,
    "unit_count": UnitCountComponent,
}
"""Type of component → model."""


def components_of(metric: Metric) -> tuple[Component | MeanMetric, ...]:
    """Return the parts of ``metric`` that read a source: itself, or both sides of a ratio."""
    if isinstance(metric, RatioMetric):
        return metric.numerator, metric.denominator
    return (metric,)

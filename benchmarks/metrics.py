"""The metrics of the experiment, once for all subjects: as configuration, and as the columns that SQL sums.

Plain Python, so that every peer can import it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

EXPERIMENT_ID = "123"
GROUPS = ("control", "test")
START = "2026-01-01"
EVENTS = ("visit", "add_to_cart", "purchase")
"""The events that feed metrics; the data has one kind more."""

EXPOSURE_COLUMNS = ("user_id", "experiment_id", "group_id", "exposed_at")

_SLICES = (
    "",
    *(f"country = '{name}'" for name in ("de", "fr", "us", "jp", "br")),
    *(f"device = '{name}'" for name in ("ios", "android", "web")),
    "country IN ('de', 'fr')",
)
"""Conditions that turn ten metrics into a hundred; the first is none."""

_USD = "amount_cents / 100.0"

_AGGREGATES: dict[str, tuple[str, str, str | None]] = {
    "visits": ("count", "visit", None),
    "carts": ("count", "add_to_cart", None),
    "purchases": ("count", "purchase", None),
    "revenue": ("sum", "purchase", _USD),
    "orders": ("present", "purchase", "amount_cents"),
    "items": ("sum", "purchase", "quantity"),
}
"""Column of a unit-day → kind, event, value. ``orders`` is the denominator of ``order_value``."""

_METRICS: tuple[tuple[str, str, str, str | None], ...] = (
    ("visits", "count", "visits", None),
    ("add_to_carts", "count", "carts", None),
    ("purchases", "count", "purchases", None),
    ("revenue", "sum", "revenue", None),
    ("items", "sum", "items", None),
    ("order_value", "mean", "revenue", "orders"),
    ("visitors", "unit_count", "visits", None),
    ("purchasers", "unit_count", "purchases", None),
    ("revenue_per_visit", "ratio", "revenue", "visits"),
    ("carts_per_visit", "ratio", "carts", "visits"),
)
"""Name, type, aggregate, aggregate of the denominator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """A column of ``unit_day_metrics``: ``count``, ``sum``, or ``present`` for a count of values."""

    name: str
    kind: str
    filter: str
    value: str | None

    @property
    def sql(self) -> str:
        """The aggregate in SQL."""
        over = {"count": "count(*)", "present": f"count({self.value})"}.get(
            self.kind, f"sum({self.value})"
        )
        found = f"{over} FILTER (WHERE {self.filter})"
        return f"CAST({found} AS BIGINT)" if self.value == "quantity" else found


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric: its type and the aggregates that it is made of."""

    name: str
    type: str
    numerator: Aggregate
    denominator: Aggregate | None

    def to_config(self) -> dict[str, Any]:
        """Return the metric as this library is configured with it."""
        if self.type == "ratio" and self.denominator is not None:
            parts = {"numerator": self.numerator, "denominator": self.denominator}
            found = {key: _side(part) for key, part in parts.items()}
            return {"name": self.name, "type": "ratio", **found}
        side = _side(self.numerator)
        if self.type == "unit_count":
            side.pop("value", None)
        return {**side, "name": self.name, "type": self.type}


def _side(aggregate: Aggregate) -> dict[str, Any]:
    found = {"type": aggregate.kind, "source": "events", "filter": aggregate.filter}
    if aggregate.value is not None:
        found["value"] = "usd" if aggregate.value == _USD else aggregate.value
    return found


@dataclass(frozen=True)
class MetricSet:
    """Metrics that are loaded together."""

    metrics: tuple[Metric, ...]
    columns: tuple[str, ...]

    @cached_property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """The distinct aggregates, in the order in which metrics name them."""
        sides = (side for m in self.metrics for side in (m.numerator, m.denominator) if side)
        return tuple({side.name: side for side in sides}.values())

    @cached_property
    def products(self) -> tuple[tuple[str, str], ...]:
        """Numerator and denominator of each mean and ratio metric."""
        pairs = ((m.numerator.name, m.denominator.name) for m in self.metrics if m.denominator)
        return tuple(dict.fromkeys(pairs))

    @cached_property
    def counted_once(self) -> tuple[str, ...]:
        """The aggregates of the unit counts: 1 per unit that has any."""
        return tuple(
            dict.fromkeys(m.numerator.name for m in self.metrics if m.type == "unit_count")
        )

    @cached_property
    def moments(self) -> dict[str, tuple[str, str | None]]:
        """What is summed up over units: name → aggregate, and the one it is multiplied by or ``> 0``."""
        names = [aggregate.name for aggregate in self.aggregates]
        found: dict[str, tuple[str, str | None]] = {name: (name, None) for name in names}
        found |= {f"{name}_squares": (name, name) for name in names}
        found |= {f"{x}_{y}": (x, y) for x, y in self.products}
        return found | {f"{name}_units": (name, "> 0") for name in self.counted_once}

    def rows(self) -> list[tuple[str, str, str, tuple[str, str, str] | None]]:
        """Return name, total, squares and what belongs to the denominator of each metric, as moments."""
        found: list[tuple[str, str, str, tuple[str, str, str] | None]] = []
        for metric in self.metrics:
            name = metric.numerator.name
            below = metric.denominator.name if metric.denominator else None
            if metric.type == "unit_count":
                found.append((metric.name, f"{name}_units", f"{name}_units", None))
            elif below is None:
                found.append((metric.name, name, f"{name}_squares", None))
            else:
                sides = (below, f"{below}_squares", f"{name}_{below}")
                found.append((metric.name, name, f"{name}_squares", sides))
        return found


def _metrics(suffix: str, condition: str) -> list[Metric]:
    also = f" AND {condition}" if condition else ""
    made = {
        name: Aggregate(
            name=f"{name}{suffix}",
            kind=kind,
            filter=f"event_name = '{event}'{also}",
            value=value,
        )
        for name, (kind, event, value) in _AGGREGATES.items()
    }
    return [
        Metric(
            name=f"{name}{suffix}",
            type=kind,
            numerator=made[above],
            denominator=made[below] if below else None,
        )
        for name, kind, above, below in _METRICS
    ]


_COLUMNS = ("user_id", "event_name", "ts", "amount_cents", "quantity")
_TEN = tuple(_metrics("", ""))
_HUNDRED = tuple(
    metric
    for number, condition in enumerate(_SLICES)
    for metric in _metrics(f"_{number}" if number else "", condition)
)

_THOUSAND = tuple(
    metric for n in range(100) for metric in _metrics(f"_{n}", f"path LIKE '/shop/{n}/%'")
)

SETS = {
    "ten": MetricSet(_TEN, _COLUMNS),
    "nine": MetricSet(tuple(m for m in _TEN if m.name != "items"), _COLUMNS),
    "thousand": MetricSet(_THOUSAND, (*_COLUMNS, "path")),
    "hundred": MetricSet(_HUNDRED, (*_COLUMNS, "country", "device")),
}

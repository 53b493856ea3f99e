"""Aggregates: what a unit-day stores, shared by every metric that needs it; and metrics as sums over them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, assert_never

from sqlglot import exp

from statsig_staging import expressions
from statsig_staging.config import (
    CountComponent,
    CountMetric,
    MeanMetric,
    RatioMetric,
    SumComponent,
    SumMetric,
    UnitCountComponent,
    UnitCountMetric,
)
from statsig_staging.names import digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from statsig_staging.config import Component, Metric, MetricSource, Project


_REMEMBERED = 4096
"""So many expressions are remembered once they were parsed: planning asks for them over and over."""


class AggregateKind(StrEnum):
    """How rows of a unit-day are put together."""

    COUNT = "count"
    """Rows that pass the filter; null where there are none."""
    SUM = "sum"
    """Sum of the value over rows that pass the filter, as DOUBLE; null where no value is there."""
    RECORDS = "records"
    """Rows that pass the filter and have a value; null where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """One number of a unit-day.

    Attributes:
        source: The metric source.
        kind: How rows are put together.
        filter: Which rows; None for all.
        value: Of which expression; None for counts.
        column: Its column in ``unit_day_metrics``. The name carries a hash of the definition, so a
            changed definition is another column and equal definitions share one.
    """

    source: str
    kind: AggregateKind
    filter: str | None
    value: str | None
    column: str

    @property
    def doc(self) -> str:
        """The definition in words, stored in the table's schema."""
        what = {
            AggregateKind.COUNT: "rows",
            AggregateKind.SUM: f"sum of {self.value}",
            AggregateKind.RECORDS: f"rows with a value of {self.value}",
        }[self.kind]
        return what if self.filter is None else f"{what} where {self.filter}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A unit's value: its total of an aggregate, or whether that total is above zero.

    Attributes:
        aggregate: What is totalled over the unit's days.
        once: Whether the value is 1 for a total above zero and 0 otherwise.
    """

    aggregate: Aggregate
    once: bool = False

    @property
    def key(self) -> str:
        """A name that no other term of an experiment has."""
        name = f"{self.aggregate.column} of {self.aggregate.source}"
        return f"{name} once" if self.once else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """A metric as the statistics of one term, or of one over another."""

    metric: str
    numerator: Term
    denominator: Term | None = None

    @property
    def terms(self) -> tuple[Term, ...]:
        """Its numerator, and its denominator if it has one."""
        return (self.numerator,) if self.denominator is None else (self.numerator, self.denominator)


def statistic_of(metric: Metric, project: Project) -> Statistic:
    """Return the statistic that a metric asks for."""
    match metric:
        case MeanMetric():
            source = project.metric_source(metric.source)
            total = _aggregate(source, AggregateKind.SUM, metric.filter, metric.value)
            records = _aggregate(source, AggregateKind.RECORDS, metric.filter, metric.value)
            return Statistic(
                metric=metric.name,
                numerator=Term(aggregate=total),
                denominator=Term(aggregate=records),
            )
        case RatioMetric():
            return Statistic(
                metric=metric.name,
                numerator=_term(metric.numerator, project),
                denominator=_term(metric.denominator, project),
            )
        case CountMetric() | SumMetric() | UnitCountMetric():
            return Statistic(metric=metric.name, numerator=_term(metric, project))
        case _:
            assert_never(metric)


def metrics_by_source(metrics: Iterable[str], project: Project) -> dict[str, tuple[str, ...]]:
    """Return metric source → those of some metrics that it serves, by the names of the sources."""
    found: dict[str, tuple[str, ...]] = {}
    for name in metrics:
        terms = statistic_of(project.metric(name), project).terms
        for source in dict.fromkeys(term.aggregate.source for term in terms):
            found[source] = (*found.get(source, ()), name)
    return dict(sorted(found.items()))


def _term(component: Component, project: Project) -> Term:
    source = project.metric_source(component.source)
    match component:
        case CountComponent():
            return Term(aggregate=_aggregate(source, AggregateKind.COUNT, component.filter, None))
        case SumComponent():
            total = _aggregate(source, AggregateKind.SUM, component.filter, component.value)
            return Term(aggregate=total)
        case UnitCountComponent():
            rows = _aggregate(source, AggregateKind.COUNT, component.filter, None)
            return Term(aggregate=rows, once=True)
        case _:
            assert_never(component)


def aggregates_of(statistics: Iterable[Statistic], source: str) -> tuple[Aggregate, ...]:
    """Return the aggregates that a source must deliver, each once, by column name."""
    found = {
        term.aggregate.column: term.aggregate
        for statistic in statistics
        for term in statistic.terms
        if term.aggregate.source == source
    }
    return tuple(found[column] for column in sorted(found))


def _aggregate(
    source: MetricSource, kind: AggregateKind, where: str | None, value: str | None
) -> Aggregate:
    hashed = digest(kind, fingerprint(source, where), fingerprint(source, value))
    return Aggregate(
        source=source.name,
        kind=kind,
        filter=where,
        value=value,
        column="_".join(filter(None, [kind.value, _slug(value), hashed])),
    )


@lru_cache(_REMEMBERED)
def _slug(value: str | None) -> str:
    """Return the name of a value that is one plain column or alias, for people to recognise."""
    tree = expressions.parse_scalar(value) if value is not None else None
    plain = isinstance(tree, exp.Column) and re.fullmatch(r"[A-Za-z]\w{0,30}", tree.sql(), re.ASCII)
    return tree.name.lower() if tree is not None and plain else ""


def expression_column(source: MetricSource, kind: str, sql: str) -> str:
    """Return the name of a column that holds what an expression gives; equal expressions share it."""
    return f"{kind}_{digest(fingerprint(source, sql))}"


def fingerprint(source: MetricSource, sql: str | None) -> str:
    """Return a digest of an expression and of the aliases that it names."""
    if sql is None:
        return ""
    used = _columns(sql)
    aliases = sorted(
        (name.lower(), _tokens(formula))
        for name, formula in source.columns.items()
        if name.lower() in used
    )
    return digest(_tokens(sql), *(part for alias in aliases for part in alias), length=16)


@lru_cache(_REMEMBERED)
def _tokens(sql: str) -> str:
    return expressions.fingerprint(sql)


@lru_cache(_REMEMBERED)
def _columns(sql: str) -> frozenset[str]:
    names = expressions.columns_used(expressions.parse_scalar(sql))
    return frozenset(name.lower() for name in names)

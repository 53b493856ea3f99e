"""Aggregates: what a unit-day stores, shared by every metric that needs it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import expressions
from statsig_staging.names import digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from statsig_staging.config import (
        Component,
        FunnelStep,
        MeanMetric,
        MetricSource,
        PercentileMetric,
        RetentionMetric,
        SimpleMetric,
    )


_REMEMBERED = 4096
"""So many expressions are remembered once they were parsed: planning asks for them over and over."""


class Fold(StrEnum):
    """How the aggregates of several days become one."""

    SUM = "sum"
    MIN = "min"
    MAX = "max"
    FIRST = "first"
    """That of the first day that has one."""
    LATEST = "latest"
    """That of the latest day that has one."""


class ValueKind(StrEnum):
    """What is stored of each value on its own, not of the unit-day; the start of the table's name."""

    DISTINCT = "distinct_values"
    """Values as text."""
    PERCENTILE = "percentile_values"
    """Numbers."""
    MOMENT = "funnel_events"
    """When rows happened."""
    LEVEL = "level_values"
    """Levels of a dimension, each with what the rows of a unit-day that have it come to."""


class AggregateKind(StrEnum):
    """How rows of a unit-day are put together."""

    COUNT = "count"
    """Rows that pass the filter; null where there are none."""
    SUM = "sum"
    """Sum of the value over rows that pass the filter, as DOUBLE; null where no value is there."""
    RECORDS = "records"
    """Rows that pass the filter and have a value; null where there are none."""
    ACTIVE = "active"
    """1 where a row passes the filter; null where none does."""
    MIN = "min"
    """Smallest value of rows that pass the filter."""
    MAX = "max"
    """Largest value of rows that pass the filter."""
    FIRST = "first"
    """Value of the earliest row that passes the filter and has one; of several, the smallest."""
    LATEST = "latest"
    """Value of the latest row that passes the filter and has one; of several, the largest."""
    LATEST_FLAG = "latest_flag"
    """1 where the latest row passes the filter, 0 where it does not; of several, 1 if any does."""
    DISTINCT = "distinct"
    """Each value of rows that pass the filter, compared as text; the days' new ones add up."""
    VALUES = "values"
    """Each value of rows that pass the filter, as DOUBLE."""
    MOMENTS = "moments"
    """When each row that passes the filter happened."""

    @property
    def values(self) -> ValueKind | None:
        """Which table holds the values one by one; None for what a unit-day stores."""
        return _VALUES.get(self)

    @property
    def fold(self) -> Fold:
        """How those of several days become one."""
        return _FOLDS.get(self, Fold.SUM)

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole number."""
        return self in {AggregateKind.COUNT, AggregateKind.RECORDS, AggregateKind.ACTIVE}


_FOLDS = {
    AggregateKind.MIN: Fold.MIN,
    AggregateKind.MAX: Fold.MAX,
    AggregateKind.FIRST: Fold.FIRST,
    AggregateKind.LATEST: Fold.LATEST,
    AggregateKind.LATEST_FLAG: Fold.LATEST,
}

_VALUES = {
    AggregateKind.DISTINCT: ValueKind.DISTINCT,
    AggregateKind.VALUES: ValueKind.PERCENTILE,
    AggregateKind.MOMENTS: ValueKind.MOMENT,
}


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Time relative to a unit's first exposure, in blocks of 24 hours or of one minute.

    Attributes:
        start: First block; 0 begins with the exposure, -7 a week before it.
        end: Last block, inclusive; -1 ends with the exposure.
        is_minutes: Whether a block is a minute.
    """

    start: int
    end: int
    is_minutes: bool = False

    def __str__(self) -> str:
        return f"{'minute' if self.is_minutes else 'day'} {self.start} to {self.end}"


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of a source count.

    Attributes:
        filter: The condition that they fulfil; None for all.
        after: Which moment of a row lies at or after its unit's first exposure; None for none.
        before: Which one lies before it; None for none.
    """

    filter: str | None = None
    after: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """One number of a unit-day.

    Attributes:
        source: The metric source.
        kind: How rows are put together.
        rows: Which rows.
        value: Of which expression; None for counts.
        span: When, since the unit's first exposure; None for ever after.
        cap: What the day's number is at most; None for no limit.
        until: The last day whose rows count; None for all.
        level: By which expression the rows of a day are told apart, so that there is a number for each of
            its values, and moments of each session; None where they are not.
        column: Its column in ``unit_day_metrics``, or what stands in the column ``aggregate`` of a table
            of values. The name carries a hash of the definition, so a changed definition is another
            column and equal definitions share one.
    """

    source: str
    kind: AggregateKind
    rows: Rows
    value: str | None
    span: Span | None = None
    cap: float | None = None
    until: date | None = None
    level: str | None = None
    column: str

    @property
    def filter(self) -> str | None:
        """The condition that rows fulfil; None for all."""
        return self.rows.filter

    @property
    def fold(self) -> Fold:
        """How those of several days become one."""
        return self.kind.fold

    @property
    def values(self) -> ValueKind | None:
        """Which table holds its values one by one; None for what a unit-day stores."""
        return self.kind.values or (None if self.level is None else ValueKind.LEVEL)

    @property
    def is_by_value(self) -> bool:
        """Whether its values are stored one by one."""
        return self.values is not None

    @property
    def stored(self) -> tuple[Aggregate, ...]:
        """What a unit-day stores for it: itself."""
        return (self,)

    @property
    def narrows(self) -> bool:
        """Whether rows that do not pass the filter are nothing to it."""
        return self.filter is not None and self.kind is not AggregateKind.LATEST_FLAG

    @property
    def counts_after(self) -> bool:
        """Whether it is of rows after the exposure."""
        return self.span is None or self.span.end >= 0

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole number."""
        return self.kind.is_whole and self.cap is None

    @property
    def doc(self) -> str:
        """The definition in words, stored in the table's schema."""
        what = {
            AggregateKind.COUNT: "rows",
            AggregateKind.SUM: f"sum of {self.value}",
            AggregateKind.RECORDS: f"rows with a value of {self.value}",
            AggregateKind.ACTIVE: "1 for any row",
            AggregateKind.MIN: f"smallest {self.value}",
            AggregateKind.MAX: f"largest {self.value}",
            AggregateKind.FIRST: f"first {self.value}",
            AggregateKind.LATEST: f"latest {self.value}",
            AggregateKind.LATEST_FLAG: "1 for a latest row",
            AggregateKind.DISTINCT: f"distinct {self.value}",
            AggregateKind.VALUES: f"values of {self.value}",
            AggregateKind.MOMENTS: "moments of rows",
        }[self.kind]
        where = "" if self.filter is None else f" where {self.filter}"
        apart = "" if self.level is None else f" by {self.level}"
        after = "" if self.rows.after is None else f", {self.rows.after} at or after the exposure"
        before = "" if self.rows.before is None else f", {self.rows.before} before the exposure"
        when = "" if self.span is None else f", {self.span} since exposure"
        last = "" if self.until is None else f", through {self.until}"
        limit = "" if self.cap is None else f", at most {self.cap:g}"
        return f"{what}{where}{apart}{after}{before}{when}{last}{limit}"


def aggregate(
    source: MetricSource,
    kind: AggregateKind,
    rows: Rows,
    value: str | None,
    span: Span | None = None,
    cap: float | None = None,
    until: date | None = None,
    level: str | None = None,
) -> Aggregate:
    """Return an aggregate of a source with the column that it lies in."""
    more = [f"span {span}"] if span is not None else []
    more += [f"cap {cap!r}"] if cap is not None else []
    more += [f"after {fingerprint(source, rows.after)}"] if rows.after is not None else []
    more += [f"before {fingerprint(source, rows.before)}"] if rows.before is not None else []
    more += [f"until {until}"] if until is not None else []
    more += [f"level {fingerprint(source, level)}"] if level is not None else []
    hashed = digest(kind, fingerprint(source, rows.filter), fingerprint(source, value), *more)
    return Aggregate(
        source=source.name,
        kind=kind,
        rows=rows,
        value=value,
        span=span,
        cap=cap,
        until=until,
        level=level,
        column="_".join(filter(None, [kind.value, _slug(value), hashed])),
    )


def rows_of(
    of: Component | SimpleMetric | MeanMetric | PercentileMetric | RetentionMetric | FunnelStep,
) -> Rows:
    """Return which rows a metric, or a part of one, is about."""
    return Rows(of.filter, of.after_exposure, of.before_exposure)


def moment_expressions(aggregates: Iterable[Aggregate]) -> set[str]:
    """Return the moments of rows, beside the time they happened, that some aggregates compare."""
    found = {sql for each in aggregates for sql in (each.rows.after, each.rows.before)}
    return {sql for sql in found if sql is not None}


def number_expressions(aggregates: Iterable[Aggregate]) -> set[str]:
    """Return the values that some aggregates need as numbers."""
    return {
        each.value
        for each in aggregates
        if each.value is not None and each.kind is not AggregateKind.DISTINCT
    }


def text_expressions(aggregates: Iterable[Aggregate]) -> set[str]:
    """Return the values and levels that some aggregates need as text."""
    found = list(aggregates)
    distinct = {each.value for each in found if each.kind is AggregateKind.DISTINCT}
    return {sql for sql in (*distinct, *(each.level for each in found)) if sql is not None}


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

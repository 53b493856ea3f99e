"""Moments: the sums over units that statistics are made of, and the short names of what they sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.aggregates import Fold
from statsig_staging.planner.distinct import days_later
from statsig_staging.planner.folds import or_zero, zero
from statsig_staging.terms import ShapeKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from statsig_staging.aggregates import Aggregate
    from statsig_staging.planner.distinct import DistinctDays
    from statsig_staging.planner.unit_totals import UnitTotals
    from statsig_staging.terms import Part, Statistic, Term

COLUMNS = (
    "total",
    "total_squares",
    "divisor",
    "denominator_total",
    "denominator_total_squares",
    "numerator_denominator_product",
    "covariate_total",
    "covariate_total_squares",
    "covariate_product",
    "denominator_covariate_total",
    "denominator_covariate_total_squares",
    "numerator_denominator_covariate_product",
    "denominator_covariate_product",
    "denominator_denominator_covariate_product",
    "covariates_product",
    "percentile",
)
"""What the statistics of a metric are computed from; ``divisor`` is what the mean divides by,
and ``percentile`` the mean itself, of metrics that have one."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A sum over units: of one term's values, or of the products of two."""

    left: Term
    right: Term | None = None

    @property
    def key(self) -> str:
        """A name that no other moment of an experiment has."""
        return self.left.key if self.right is None else f"{self.left.key}__{self.right.key}"

    @property
    def terms(self) -> tuple[Term, ...]:
        """What it is a sum of."""
        return (self.left,) if self.right is None else (self.left, self.right)


@dataclass(frozen=True, slots=True)
class Numbered:
    """Short names for the columns of one statement: moments, terms and aggregates are many.

    Attributes:
        moments: Key → short name and moment.
        aggregates: Key → short name and aggregate, of the values.
        covariates: Key → short name and term that is the same on every day.
    """

    moments: dict[str, tuple[str, Moment]]
    aggregates: dict[str, tuple[str, Aggregate]]
    covariates: dict[str, tuple[str, Term]]

    def short(self, aggregate: Aggregate) -> str:
        """Return the short name of an aggregate."""
        return self.aggregates[key_of(aggregate)][0]

    def standing(self, moment: Moment) -> bool:
        """Return whether a moment is of covariates alone."""
        return all(term.key in self.covariates for term in moment.terms)


def numbered(statistics: Sequence[Statistic]) -> Numbered:
    """Return short names for everything that some statistics need."""
    moments = {
        moment.key: moment
        for statistic in statistics
        for column in COLUMNS
        if isinstance(moment := source_of(statistic, column), Moment)
    }
    aggregates = {
        key_of(aggregate): aggregate
        for statistic in statistics
        for term in statistic.values
        for aggregate in term.aggregates
    }
    covariates = {term.key: term for statistic in statistics for term in statistic.covariates}
    return Numbered(
        moments={key: (f"m{n}", moments[key]) for n, key in enumerate(sorted(moments))},
        aggregates={key: (f"a{n}", aggregates[key]) for n, key in enumerate(sorted(aggregates))},
        covariates={key: (f"x{n}", covariates[key]) for n, key in enumerate(sorted(covariates))},
    )


def key_of(aggregate: Aggregate) -> str:
    """Return a key of an aggregate; two sources may have the same column."""
    return f"{aggregate.column} of {aggregate.source}"


def source_of(statistic: Statistic, column: str) -> Moment | str | None:
    """Return what a column holds for a metric: a moment, ``units``, or nothing."""
    y, n = statistic.numerator, statistic.denominator
    x, m = statistic.covariate, statistic.denominator_covariate
    if column == "percentile":
        return None
    if column == "divisor":
        return Moment(n) if n is not None else "units"
    left, right = {
        "total": (y, None),
        "total_squares": (y, y),
        "denominator_total": (n, None),
        "denominator_total_squares": (n, n),
        "numerator_denominator_product": (y, n),
        "covariate_total": (x, None),
        "covariate_total_squares": (x, x),
        "covariate_product": (y, x),
        "denominator_covariate_total": (m, None),
        "denominator_covariate_total_squares": (m, m),
        "numerator_denominator_covariate_product": (y, m),
        "denominator_covariate_product": (n, x),
        "denominator_denominator_covariate_product": (n, m),
        "covariates_product": (x, m),
    }[column]
    single = column.endswith("_total") or column == "total"
    if left is None or (right is None and not single):
        return None
    return Moment(left, right)


def fill_statistics(
    rows: exp.Select,
    statistics: Sequence[Statistic],
    value: Callable[[Moment | str], exp.Expr],
) -> None:
    """Add the columns of some statistics to their rows, which are numbered by ``k.number``."""
    for column in COLUMNS:
        cases = [
            exp.If(this=exp.Literal.number(number), true=value(source))
            for number, statistic in enumerate(statistics)
            if (source := source_of(statistic, column)) is not None
        ]
        chosen: exp.Expr = exp.cast(exp.null(), "double")
        if cases:
            chosen = exp.Case(this=exp.column("number", "k"), ifs=cases)
        rows.select(exp.alias_(chosen, column), copy=False)


def keys(rollups: Iterable[str], statistics: Sequence[Statistic]) -> exp.Query:
    """Return one row per rollup and metric, numbered as the metrics are."""
    rows = [
        [rollup, statistic.metric, index]
        for rollup in rollups
        for index, statistic in enumerate(statistics)
    ]
    columns = ("rollup", "metric", "number")
    listed = templates.values_table("k", columns, rows)
    return exp.select(*(exp.column(name, "k") for name in columns)).from_(listed)


def unit_days(
    sources: Sequence[UnitTotals],
    aggregates: Mapping[str, tuple[str, Aggregate]],
    since: date | None = None,
    distinct: DistinctDays | None = None,
) -> exp.Query:
    """Return the unit-days of every source side by side; another source's aggregates are null.

    Args:
        sources: The sources.
        aggregates: Key → short name and aggregate.
        since: The first day that is wanted; None for every day.
        distinct: How distinct values are counted by day, where there are such aggregates.
    """
    gone_after = None if distinct is None else distinct.gone_after
    selects: list[exp.Query] = []
    relations = 0
    for source in sources:
        held = {key_of(aggregate) for aggregate in source.aggregates}
        if held.isdisjoint(aggregates):
            continue
        relations += 1
        for part in source.parts(since=since):
            query = exp.select(exp.column("unit_id", "u"), exp.column("ds", "u"))
            if gone_after is not None:
                query = query.select(
                    exp.alias_(days_later(exp.column("ds", "u"), gone_after), "gone_ds")
                )
            for key, (short, aggregate) in aggregates.items():
                value: exp.Expr = exp.null()
                if key in held:
                    value = exp.column(aggregate.column, "u")
                query = query.select(exp.alias_(exp.cast(value, "double"), short))
            selects.append(query.from_(part.subquery("u", copy=False), copy=False))
    if distinct is not None:
        counted = distinct.counted(aggregates, since)
        relations += len(counted)
        selects += counted
    union: exp.Query = selects[0]
    for select in selects[1:]:
        union = exp.union(union, select, distinct=False, copy=False)
    keys = ("unit_id", "ds") if gone_after is None else ("unit_id", "ds", "gone_ds")
    shorts = [short for short, _ in aggregates.values()]
    return union if relations == 1 else _summed(union, keys, shorts)


def _summed(union: exp.Query, keys: Iterable[str], shorts: Iterable[str]) -> exp.Query:
    summed = [exp.alias_(exp.Sum(this=exp.column(short, "b")), short) for short in shorts]
    grain = [exp.column(key, "b") for key in keys]
    rows = exp.select(*grain, *summed).from_(union.subquery("b"))
    return rows.group_by(*(column.copy() for column in grain))


def shaped(part: Part, total: exp.Expr, exposed_days: exp.Expr | None = None) -> exp.Expr:
    """Return what becomes of a unit's total.

    Args:
        part: Of which aggregate, and in which shape.
        total: The total; null for none.
        exposed_days: How many days of exposure it is of, where its shape divides by them.
    """
    match part.shape.kind:
        case ShapeKind.PLAIN:
            return total if _is_zero_based(part) else or_zero(total)
        case ShapeKind.ONCE:
            return _one_where(exp.GT(this=total, expression=zero()))
        case ShapeKind.AT_LEAST:
            least = exp.cast(exp.Literal.number(repr(part.shape.threshold)), "double")
            return _one_where(exp.GTE(this=total, expression=least))
        case ShapeKind.LOG:
            positive = exp.GT(this=total, expression=zero())
            return exp.Case(
                ifs=[exp.If(this=positive, true=exp.Ln(this=total.copy()))], default=zero()
            )
        case ShapeKind.PER_DAY:
            if exposed_days is None:
                raise ValueError("days of exposure are known day by day only")
            return exp.Div(this=or_zero(total), expression=exp.cast(exposed_days, "double"))
        case _:
            assert_never(part.shape.kind)


def _is_zero_based(part: Part) -> bool:
    """Return whether a part's totals are 0 where nothing was added up, and never null."""
    return part.aggregate.kind.fold is Fold.SUM


def _one_where(condition: exp.Expr) -> exp.Expr:
    one = exp.cast(exp.Literal.number(1), "double")
    return exp.Case(ifs=[exp.If(this=condition, true=one)], default=zero())


def added(term: Term, value: Callable[[Part], exp.Expr]) -> exp.Expr:
    """Return the sum of a term's parts."""
    total: exp.Expr | None = None
    for part in term.parts:
        one = value(part)
        if total is None:
            total = one if part.sign > 0 else exp.Neg(this=one)
        elif part.sign > 0:
            total = exp.Add(this=total, expression=one)
        else:
            total = exp.Sub(this=total, expression=one)
    if total is None:
        raise ValueError("a term has at least one part")
    return total if len(term.parts) == 1 and term.parts[0].sign > 0 else exp.paren(total)

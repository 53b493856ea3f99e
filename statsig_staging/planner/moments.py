"""Moments: the sums over units that statistics are made of, and the short names of what they sum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.aggregates import Aggregate, Fold
from statsig_staging.derived import Lasted, Reached, Retained
from statsig_staging.levels import Leveled
from statsig_staging.planner import funnels, levels, retentions
from statsig_staging.planner.folds import double, named, or_zero, zero
from statsig_staging.planner.times import days_later
from statsig_staging.terms import ShapeKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from statsig_staging.derived import Slot
    from statsig_staging.planner.distinct import DistinctDays
    from statsig_staging.planner.results import Results
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
        aggregates: Key → short name and aggregate, stored or derived, of the values.
        covariates: Key → short name and term that is the same on every day.
    """

    moments: dict[str, tuple[str, Moment]]
    aggregates: dict[str, tuple[str, Slot]]
    covariates: dict[str, tuple[str, Term]]

    @property
    def are_stored(self) -> bool:
        """Whether unit-days hold all of the aggregates."""
        return all(isinstance(slot, Aggregate) for _, slot in self.aggregates.values())

    def short(self, aggregate: Slot) -> str:
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
        for aggregate in term.slots
    }
    covariates = {term.key: term for statistic in statistics for term in statistic.covariates}
    return Numbered(
        moments={key: (f"m{n}", moments[key]) for n, key in enumerate(sorted(moments))},
        aggregates={key: (f"a{n}", aggregates[key]) for n, key in enumerate(sorted(aggregates))},
        covariates={key: (f"x{n}", covariates[key]) for n, key in enumerate(sorted(covariates))},
    )


def key_of(aggregate: Slot) -> str:
    """Return a key of an aggregate; two sources may have the same column."""
    return f"{aggregate.column} of {aggregate.source}"


def source_of(statistic: Statistic, column: str) -> Moment | str | None:
    """Return what a column holds for a metric: a moment, ``units``, or nothing.

    A sum of squares of what is 0 or 1 is the sum itself.
    """
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
    if left == right and left.is_flag:
        right = None
    return Moment(left, right)


def fill_statistics(
    rows: exp.Select,
    statistics: Sequence[Statistic],
    value: Callable[[Moment | str], exp.Expr],
) -> None:
    """Add the columns of some statistics to their rows, which are numbered by ``k.number``."""
    _name_parts(rows, statistics)
    for column in COLUMNS:
        cases = [
            exp.If(this=exp.Literal.number(number), true=value(source))
            for number, statistic in enumerate(statistics)
            if (source := source_of(statistic, column)) is not None
        ]
        chosen: exp.Expr = double(exp.null())
        if cases:
            chosen = exp.Case(this=exp.column("number", "k"), ifs=cases)
        rows.select(named(chosen, column), copy=False)


def _name_parts(rows: exp.Select, statistics: Sequence[Statistic]) -> None:
    """Say of rows about a step of a funnel which one they are about, and of rows by level of what."""
    found = [(n, each.about) for n, each in enumerate(statistics) if each.about is not None]
    if not found:
        return
    for index, column in enumerate(("dimension", "dimension_value")):
        ifs = [
            exp.If(this=exp.Literal.number(number), true=exp.Literal.string(about[index]))
            for number, about in found
        ]
        chosen = exp.cast(exp.Case(this=exp.column("number", "k"), ifs=ifs), "varchar")
        [old] = (each for each in rows.expressions if each.alias_or_name == column)
        old.replace(exp.alias_(chosen, column))


def keys(rollups: Iterable[str], statistics: Sequence[Statistic]) -> exp.Query:
    """Return one row per rollup and metric, numbered as the metrics are."""
    rows = [
        [rollup, statistic.metric, index]
        for rollup in rollups
        for index, statistic in enumerate(statistics)
    ]
    return templates.listed("k", ("rollup", "metric", "number"), rows)


def unit_days(
    wanted: Results,
    sources: Sequence[UnitTotals],
    aggregates: Mapping[str, tuple[str, Slot]],
    since: date | None = None,
    distinct: DistinctDays | None = None,
) -> exp.Query:
    """Return the unit-days of every source side by side; another source's aggregates are null.

    Args:
        wanted: What results are computed from.
        sources: The sources.
        aggregates: Key → short name and aggregate.
        since: The first day that is wanted; None for every day.
        distinct: How distinct values are counted by day, where there are such aggregates.
    """
    relations = [
        *_stored(sources, aggregates, since),
        *_retained(wanted, aggregates, since),
        *_reached(wanted, aggregates),
        *_leveled(wanted, aggregates, since),
    ]
    gone_after = None if distinct is None else distinct.gone_after
    selects: list[exp.Query] = []
    for relation in relations:
        for part in relation.parts:
            query = exp.select(exp.column("unit_id", "u"), exp.column("ds", "u"))
            if gone_after is not None:
                gone_ds = days_later(exp.column("ds", "u"), gone_after)
                query.select(named(gone_ds, "gone_ds"), copy=False)
            values = (
                named(double(relation.value(key)), short) for key, (short, _) in aggregates.items()
            )
            query.select(*values, copy=False)
            selects.append(query.from_(part.subquery("u", copy=False), copy=False))
    counted = [] if distinct is None else distinct.counted(aggregates, since)
    selects += counted
    union = templates.together(selects)
    keys = ("unit_id", "ds") if gone_after is None else ("unit_id", "ds", "gone_ds")
    shorts = [short for short, _ in aggregates.values()]
    return union if len(relations) + len(counted) == 1 else _summed(union, keys, shorts)


@dataclass(frozen=True, slots=True)
class _Relation:
    """Rows by unit and day: SELECTs that have no unit and day in common, and key → column."""

    parts: Sequence[exp.Query]
    columns: Mapping[str, str]

    def value(self, key: str) -> exp.Expr:
        """Return the column of an aggregate, null where it is of another relation."""
        held = self.columns.get(key)
        return exp.null() if held is None else exp.column(held, "u")


def _stored(
    sources: Iterable[UnitTotals], aggregates: Iterable[str], since: date | None
) -> Iterator[_Relation]:
    for source in sources:
        own = tuple(each for each in source.aggregates if key_of(each) in aggregates)
        if own:
            held = {key_of(aggregate): aggregate.column for aggregate in own}
            yield _Relation(replace(source, aggregates=own).parts(since=since), held)


def _retained(
    wanted: Results, aggregates: Mapping[str, tuple[str, Slot]], since: date | None
) -> Iterator[_Relation]:
    derived = [slot for _, slot in aggregates.values() if isinstance(slot, Retained)]
    for retention in dict.fromkeys(slot.of for slot in derived):
        held = {
            key_of(slot): "completed" if slot.is_completed else "windows"
            for slot in derived
            if slot.of == retention
        }
        windows = retentions.windows(retention, wanted.totals, wanted.days[-1], since)
        yield _Relation([windows], held)


def _reached(wanted: Results, aggregates: Mapping[str, tuple[str, Slot]]) -> Iterator[_Relation]:
    derived = [slot for _, slot in aggregates.values() if isinstance(slot, Reached | Lasted)]
    for funnel in dict.fromkeys(slot.of for slot in derived):
        own = [slot for slot in derived if slot.of == funnel]
        held = {
            key_of(slot): f"step_{slot.step}" if isinstance(slot, Reached) else "seconds"
            for slot in own
        }
        yield _Relation([funnels.step_days(funnel, wanted)], held)


def _leveled(
    wanted: Results, aggregates: Mapping[str, tuple[str, Slot]], since: date | None
) -> Iterator[_Relation]:
    derived = [slot for _, slot in aggregates.values() if isinstance(slot, Leveled)]
    for of, source in dict.fromkeys((slot.levels, slot.source) for slot in derived):
        own = [slot for slot in derived if slot.levels == of and slot.source == source]
        held = {key_of(slot): slot.column for slot in own}
        yield _Relation([levels.unit_days(of, own, wanted, since)], held)


def _summed(union: exp.Query, keys: Iterable[str], shorts: Iterable[str]) -> exp.Query:
    summed = [named(exp.Sum(this=exp.column(short, "b")), short) for short in shorts]
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
            least = double(exp.Literal.number(repr(part.shape.threshold)))
            return _one_where(exp.GTE(this=total, expression=least))
        case ShapeKind.LOG:
            positive = exp.GT(this=total, expression=zero())
            return exp.Case(
                ifs=[exp.If(this=positive, true=exp.Ln(this=total.copy()))], default=zero()
            )
        case ShapeKind.PER_DAY:
            if exposed_days is None:
                raise ValueError("days of exposure are known day by day only")
            return exp.Div(this=or_zero(total), expression=double(exposed_days))
        case _:
            assert_never(part.shape.kind)


def _is_zero_based(part: Part) -> bool:
    """Return whether a part's totals are 0 where nothing was added up, and never null."""
    return part.aggregate.fold is Fold.SUM


def _one_where(condition: exp.Expr) -> exp.Expr:
    one = double(exp.Literal.number(1))
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

"""Levels of metric dimensions: statistics of a unit's rows of one level, computed as those of further units.

A unit at a place stands for its rows of one level: the first place is that of the level that most units have,
metric by metric (docs/adr/0074-a-unit-stands-for-its-rows-of-one-level.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.aggregates import AggregateKind, ValueKind
from statsig_staging.errors import WarehouseError
from statsig_staging.levels import Leveled, column_of
from statsig_staging.names import digest
from statsig_staging.planner import tables
from statsig_staging.planner.aggregation import at_most
from statsig_staging.planner.dimensions import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from statsig_staging.aggregates import Aggregate
    from statsig_staging.levels import Levels
    from statsig_staging.planner.request import LoadRequest
    from statsig_staging.planner.results import Results
    from statsig_staging.terms import Statistic

STAND_IN = StandIn(
    units=exp.to_table("place_units"), summary=exp.to_table("place_summary"), is_apart=True
)
"""Stands in for the units inside of :func:`named`: one at each place, with a percentile of its own."""

METRICS_PER_STATEMENT = 10
"""So many metrics by level share a statement: each has unit-days of its own, with a column for every other one.

Thirty ratios with covariates took 273 KB of SQL; Athena takes 256 KB
(https://docs.aws.amazon.com/athena/latest/ug/service-limits.html).
"""

_MOST_LEVELS = 10
_FIRST, _NO_LEVEL, _OTHER = "10", "20", "21"
"""Places: two digits each, so that they can stand before the id of a unit and of a group."""

_COLUMNS = 8
"""So many columns of a row say what it is of; the template has them."""

_WITHOUT_NAMES = ("double", "real", "timestamp", "time")
"""Types whose values Athena and DuckDB write differently, by the start of their name."""


def check(request: LoadRequest) -> None:
    """Raise a WarehouseError where a metric dimension is a column whose values have no names."""
    for statistic in request.statistics:
        levels = levels_of(statistic)
        for source in sorted({each.source for each in levels.aggregates} if levels else ()):
            dimension = levels.dimension if levels else ""
            kind = request.observations[source].expressions.get(column_of(dimension), "unknown")
            if kind.startswith(_WITHOUT_NAMES):
                raise WarehouseError(
                    f"metric {statistic.metric!r}: metric dimension {dimension!r} of source {source!r} is of "
                    f"type {kind}; levels are strings, whole numbers, booleans or dates: declare an alias "
                    f"under the source's columns that is one of them"
                )


def levels_of(statistic: Statistic) -> Levels | None:
    """Return the levels that a statistic is of; None where it is of all rows."""
    [first, *_] = statistic.numerator.slots
    return first.levels if isinstance(first, Leveled) else None


def whole(statistics: Iterable[Statistic]) -> list[Statistic]:
    """Return those of some statistics that are of all rows."""
    return [each for each in statistics if levels_of(each) is None]


def by_level(statistics: Iterable[Statistic]) -> list[Statistic]:
    """Return those of some statistics that are by level."""
    return [each for each in statistics if levels_of(each) is not None]


def dimensions_of(statistics: Iterable[Statistic]) -> tuple[str, ...]:
    """Return the metric dimensions of some metrics, each once."""
    found = (levels_of(each) for each in statistics)
    return tuple(dict.fromkeys(levels.dimension for levels in found if levels is not None))


def unit_days(
    levels: Levels, slots: Sequence[Leveled], wanted: Results, since: date | None
) -> exp.Query:
    """Return one row per unit at a place and day: what its rows come to, in columns named as the slots.

    Args:
        levels: The levels.
        slots: What is wanted, all of one source.
        wanted: What results are computed from.
        since: The first day that is wanted; None for every day.
    """
    stored = {slot.by_level.column: slot.by_level for slot in slots}
    conditions: list[exp.Expr] = [tables.of_aggregates(stored, "v")]
    if since is not None:
        day = exp.column("ds", "v")
        conditions.append(exp.GTE(this=day, expression=templates.literal(since)))
    query = templates.bind(
        "level_days",
        tables={
            "level_values": _table(slots[0].source, stored.values(), wanted),
            "level_places": exp.to_table("level_places"),
        },
        values={"wanted": exp.and_(*conditions), "levels": digest(levels.key), "other": _OTHER},
    )
    for slot in slots:
        query.select(exp.alias_(_at_place(slot), slot.column), copy=False)
    return query


def _at_place(slot: Leveled) -> exp.Expr:
    """Return what the levels of a place come to on a day: the cap is of all of them together."""
    own = templates.literal(slot.by_level.column)
    here = exp.EQ(this=exp.column("aggregate", "v"), expression=own)
    number = exp.Case(ifs=[exp.If(this=here, true=exp.column("number", "v"))])
    total = _TOGETHER[together(slot.by_level.kind)](this=number)
    return total if slot.of.cap is None else at_most(total, slot.of.cap)


_TOGETHER = {"sum": exp.Sum, "min": exp.Min, "max": exp.Max}


def together(kind: AggregateKind) -> str:
    """Return how the numbers of rows and levels of one day become one: ``sum``, ``min`` or ``max``.

    Raises:
        ValueError: If they do not.
    """
    match kind:
        case AggregateKind.COUNT | AggregateKind.SUM | AggregateKind.RECORDS:
            return "sum"
        case AggregateKind.MIN:
            return "min"
        case AggregateKind.MAX | AggregateKind.ACTIVE:
            return "max"
        case (
            AggregateKind.FIRST
            | AggregateKind.LATEST
            | AggregateKind.LATEST_FLAG
            | AggregateKind.DISTINCT
            | AggregateKind.VALUES
            | AggregateKind.MOMENTS
        ):
            raise ValueError(f"{kind}: the numbers of two levels do not become one")
        case _:
            assert_never(kind)


def named(statistics: exp.Query, of: Iterable[Statistic], wanted: Results) -> exp.Query:
    """Return statistics of units at places as those of levels, with the levels' names."""
    found = {(each.metric, levels): None for each in of if (levels := levels_of(each)) is not None}
    units = wanted.node(tables.first_exposures(wanted.experiment.id, wanted.source))
    names = [[digest(levels.key), metric, levels.dimension] for metric, levels in found]
    every = dict.fromkeys(levels for _, levels in found)
    query = templates.bind(
        "results_by_place",
        tables={
            "first_exposures": units,
            "exposures_summary": wanted.node(tables.exposures_summary(wanted.experiment.id)),
            "places_of_levels": templates.together([_places(levels, wanted) for levels in every]),
            "level_keys": templates.listed("k", ("levels", "metric", "dimension"), names),
            "statistics": statistics,
        },
        values={"no_level": _NO_LEVEL, "other": _OTHER},
    )
    moments = statistics.named_selects[_COLUMNS:]
    return query.select(*(exp.column(name, "s") for name in moments), copy=False)


def _places(levels: Levels, wanted: Results) -> exp.Query:
    """Return each level that some unit has a row of since its exposure, and its place."""
    of_sources = []
    for source in sorted({each.source for each in levels.aggregates}):
        own = {each.column: each for each in levels.aggregates if each.source == source}
        rows = exp.select("v.unit_id", "v.value").from_(
            templates.aliased(_table(source, own.values(), wanted), "v")
        )
        of_sources.append(rows.where(tables.of_aggregates(own, "v")))
    units = tables.first_exposures(wanted.experiment.id, wanted.source)
    ranked = templates.bind(
        "level_places",
        tables={
            "level_values": templates.together(of_sources),
            "first_exposures": wanted.node(units),
        },
        values={
            "levels": digest(levels.key),
            "crossovers_leave": wanted.experiment.crossover == "exclude",
            "least": wanted.experiment.dimension_units,
            "most": _MOST_LEVELS,
            "before_first": int(_FIRST) - 1,
            "no_level": _NO_LEVEL,
            "other": _OTHER,
        },
    )
    return exp.select("q.levels", "q.value", "q.place").from_(ranked.subquery("q"))


def _table(source: str, stored: Iterable[Aggregate], wanted: Results) -> exp.Table:
    return wanted.node(tables.values(ValueKind.LEVEL, wanted.experiment.id, source, stored))

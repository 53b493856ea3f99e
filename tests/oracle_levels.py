"""Levels: which values of a dimension have rows of their own, and a metric of the rows of one value."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from tests import oracle_durations as durations
from tests import oracle_metrics as metrics
from tests.oracle_inputs import Aggregate, Experiment, Fields, OracleMetric
from tests.oracle_units import ExposedUnit, Loaded, is_counted

Levels = Mapping[object, object]
"""Value of a dimension → the value whose row it is part of."""

MOST_LEVELS = 10
REST = "OTHER"


@dataclass(frozen=True, slots=True)
class AllLevels:
    """The levels of units, by dimension, and those of rows, by metric and dimension."""

    of_units: Mapping[str, Levels]
    of_rows: Mapping[tuple[str, str], Levels]


def levels_of(experiment: Experiment, loaded: Loaded) -> AllLevels:
    """Return all levels, as they are on the last day."""
    of_units = {
        dimension: levels_of_units(experiment, dimension, loaded.units.values())
        for dimension in experiment.dimensions
    }
    of_rows = {
        (metric.name, dimension): levels_of_rows(experiment, metric, dimension, loaded)
        for metric in experiment.metrics
        for dimension in metric.dimensions
    }
    return AllLevels(of_units, of_rows)


def chosen(experiment: Experiment, sizes: Mapping[object, int]) -> Levels:
    """The values that most units have on the last day have a row of their own, and so has null.

    Of values with equally many the smaller comes first.
    """
    large = [
        value
        for value, size in sizes.items()
        if size >= experiment.dimension_units and value != REST
    ]
    ranked = sorted(
        (value for value in large if value is not None),
        key=lambda value: (-sizes[value], str(value)),
    )
    own = {*ranked[:MOST_LEVELS], *({None} & set(large))}
    return {value: value if value in own else REST for value in sizes}


def levels_of_units(experiment: Experiment, dimension: str, units: Iterable[ExposedUnit]) -> Levels:
    """A unit has the value of its context column."""
    sizes: Counter[object] = Counter()
    for unit in units:
        sizes[unit.context[dimension]] += is_counted(experiment, unit)
    return chosen(experiment, sizes)


def levels_of_rows(
    experiment: Experiment, metric: OracleMetric, dimension: str, loaded: Loaded
) -> Levels:
    """A unit has every value of which the metric counts one of its rows, on whatever day."""
    sizes: Counter[object] = Counter()
    for unit in loaded.units.values():
        values = {
            level_of(dimension, row.fields)
            for aggregate in read_by(metric)
            for row in loaded.events[aggregate.source].get(unit.unit, ())
            if durations.counts(experiment, aggregate.window, unit, row)
            and metrics.contribution(metrics.as_of(unit, aggregate), row.fields) is not None
        }
        for value in values:
            sizes[value] += is_counted(experiment, unit)
    return chosen(experiment, sizes)


def read_by(metric: OracleMetric) -> list[Aggregate]:
    """Return the aggregates of a metric and of its terms."""
    found = list(metrics.aggregates_of(metric).values())
    for term in metric.terms:
        found += read_by(term.metric)
    return found


def level_of(dimension: str, fields: Fields) -> str | None:
    """A row's level is its value as text; an empty one is none."""
    value = fields[dimension]
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None or value == "" else str(value)


def at_level(metric: OracleMetric, dimension: str, levels: Levels, value: object) -> OracleMetric:
    """The metric whose filters also ask for rows of this value; all that have no row are the rest."""

    def narrowed(aggregate: Aggregate | None) -> Aggregate | None:
        if aggregate is None:
            return None
        return replace(aggregate, where=both(aggregate.where, is_there))

    def is_there(fields: Fields) -> bool:
        return levels.get(level_of(dimension, fields), REST) == value

    return replace(
        metric,
        numerator=narrowed(metric.numerator),
        denominator=narrowed(metric.denominator),
        terms=tuple(
            replace(term, metric=at_level(term.metric, dimension, levels, value))
            for term in metric.terms
        ),
    )


def both(
    one: Callable[[Fields], bool | None], other: Callable[[Fields], bool]
) -> Callable[[Fields], bool]:
    """Return a filter that passes what both let pass."""
    return lambda fields: one(fields) is True and other(fields)

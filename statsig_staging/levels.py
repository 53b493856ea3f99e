"""Levels: a metric's numbers by the values of a column of its source.

Which values a column has, only the data says. What a unit's rows of one value come to is stored by value;
statistics of values are those of the metric, over units that stand for a unit's rows of one value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from statsig_staging.aggregates import Aggregate, aggregate
from statsig_staging.names import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from statsig_staging.aggregates import Fold
    from statsig_staging.config import Metric, Project
    from statsig_staging.terms import Statistic, Term


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """The levels of a dimension as one metric has them: those that most units have come first.

    Attributes:
        dimension: The column of the metric's sources.
        aggregates: The metric's aggregates by level; a unit has a level that one of them has a row of.
    """

    dimension: str
    aggregates: tuple[Aggregate, ...]

    @property
    def key(self) -> str:
        """Everything that decides which levels there are, and their order."""
        columns = (f"{each.column} of {each.source}" for each in self.aggregates)
        return " ".join((self.dimension, *columns))


@dataclass(frozen=True, slots=True, kw_only=True)
class Leveled:
    """What the rows of a unit-day come to, level by level.

    Attributes:
        of: What all rows of the unit-day come to.
        by_level: The same as it is stored, without its cap: several levels may become one.
        levels: The levels.
    """

    of: Aggregate
    by_level: Aggregate
    levels: Levels

    @property
    def column(self) -> str:
        """A name that no other number has."""
        return f"level_{digest(self.of.column, self.levels.key)}"

    @property
    def source(self) -> str:
        """The metric source."""
        return self.of.source

    @property
    def fold(self) -> Fold:
        """How those of several days become one."""
        return self.of.fold

    @property
    def is_by_value(self) -> bool:
        """It is a number of a unit-day, whatever it comes from."""
        return False

    @property
    def stored(self) -> tuple[Aggregate, ...]:
        """What is stored for it: the number of every level."""
        return (self.by_level,)


def by_level(own: Statistic, metric: Metric, project: Project) -> Iterator[Statistic]:
    """Return the statistics of a metric by each of its dimensions.

    Args:
        own: That of the metric as a whole.
        metric: The metric.
        project: The project, for its metric sources.
    """
    for dimension in metric.row_dimensions:
        found = {
            aggregate: _by_level(aggregate, dimension, project)
            for term in (*own.values, *own.covariates)
            for aggregate in term.aggregates
        }
        counted = (found[each] for term in own.values for each in term.aggregates)
        levels = Levels(dimension=dimension, aggregates=tuple(dict.fromkeys(counted)))
        denominator, covariate, denominator_covariate = (
            None if term is None else _leveled(term, found, levels)
            for term in (own.denominator, own.covariate, own.denominator_covariate)
        )
        yield replace(
            own,
            dimensions=(),
            about=(dimension, ""),
            numerator=_leveled(own.numerator, found, levels),
            denominator=denominator,
            covariate=covariate,
            denominator_covariate=denominator_covariate,
        )


def _by_level(of: Aggregate, dimension: str, project: Project) -> Aggregate:
    source = project.metric_source(of.source)
    return aggregate(source, of.kind, of.rows, of.value, of.span, level=column_of(dimension))


def column_of(dimension: str) -> str:
    """Return a dimension as an expression over its source: a column, or an alias that the source declares."""
    escaped = dimension.replace('"', '""')
    return f'"{escaped}"'


def _leveled(term: Term, found: Mapping[Aggregate, Aggregate], levels: Levels) -> Term:
    parts = []
    for part in term.parts:
        if not isinstance(part.aggregate, Aggregate):
            raise TypeError(f"{part.key} has no levels")
        of = part.aggregate
        parts.append(replace(part, aggregate=Leveled(of=of, by_level=found[of], levels=levels)))
    return replace(term, parts=tuple(parts))

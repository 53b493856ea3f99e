"""Column groups: in which of a metric source's tables of unit-days each of its aggregates lies.

What is staged stays where it is. Which aggregates that is, group by group, the definitions of the published
load say; a full refresh goes by none, and so puts them together anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from statsig_staging import terms
from statsig_staging.names import is_free, numbered

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from statsig_staging.aggregates import Aggregate
    from statsig_staging.config import MetricSource
    from statsig_staging.planner.request import LoadRequest
    from statsig_staging.terms import Statistic

_STAGED = "aggregates"
_LEFT = "left"
_DEFINITION = re.compile(rf"({_STAGED}|{_LEFT})(?:_(\d+))? (.+)", re.DOTALL)

_WIDTH = 2
"""A table has at most so many times as many columns as aggregates, the others left of metrics that are gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnGroup:
    """Aggregates of a metric source that lie in one table of unit-days.

    Attributes:
        source: The metric source.
        number: Which of its tables it is, from 1 on.
        aggregates: What lies there, by column name.
        left: The columns that the table may have besides, of metrics that are gone.
    """

    source: str
    number: int
    aggregates: tuple[Aggregate, ...]
    left: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What stands for it in the names of tables and steps: the source, with a number from the second on."""
        return numbered(self.source, self.number)

    @property
    def definitions(self) -> dict[str, str]:
        """Which columns it has, as the published state remembers them."""
        found = {definition(self.source, self.number): [each.column for each in self.aggregates]}
        if self.left:
            found[_definition(_LEFT, self.source, self.number)] = list(self.left)
        return {name: " ".join(columns) for name, columns in found.items()}

    def room(self, most: int) -> int:
        """Return how many aggregates more it takes where a table has at most so many."""
        staged = len(self.aggregates)
        return max(0, min(most - staged, _WIDTH * most - staged - len(self.left)))

    def with_more(self, aggregates: Iterable[Aggregate]) -> ColumnGroup:
        """Return the group with further aggregates; a column that was left may be one of them."""
        every = sorted((*self.aggregates, *aggregates), key=lambda each: each.column)
        back = {each.column for each in every}
        left = tuple(column for column in self.left if column not in back)
        return ColumnGroup(
            source=self.source, number=self.number, aggregates=tuple(every), left=left
        )


def definition(source: str, number: int) -> str:
    """Return the name of the definition that lists a group's columns."""
    return _definition(_STAGED, source, number)


def _definition(what: str, source: str, number: int) -> str:
    return f"{numbered(what, number)} {source}"


def column_groups(request: LoadRequest, source: MetricSource) -> tuple[ColumnGroup, ...]:
    """Return the column groups of a source, as a load has them when it is done."""
    return placed(
        request.statistics,
        source.name,
        places=request.places,
        sources=[each.name for each in request.project.metric_sources],
        most=request.traits.aggregates_per_table,
    )


def placed(
    statistics: Iterable[Statistic],
    source: str,
    *,
    places: Mapping[str, str],
    sources: Collection[str],
    most: int,
) -> tuple[ColumnGroup, ...]:
    """Return the column groups of a source.

    New aggregates go to the last group that has room, then to new groups, in the order of the metrics, so
    that those of one metric lie together.

    Args:
        statistics: What the aggregates are for.
        source: The metric source.
        places: The definitions of the load whose tables hold what is staged; without any everything is new.
        sources: All metric sources: a further table must not be called like one of theirs.
        most: How many aggregates a table has at most.
    """
    needed = {
        each.column: each
        for statistic in statistics
        for each in terms.by_day(statistic.aggregates)
        if each.source == source
    }
    staged = _staged(source, needed, places, sources)
    there = {each.column for group in staged for each in group.aggregates}
    new = [each for column, each in needed.items() if column not in there]
    groups: dict[int, ColumnGroup] = {}
    for group in reversed(staged):
        room = group.room(most)
        groups[group.number] = group.with_more(new[:room])
        new = new[room:]
    numbers = (n for n in count(1) if n not in groups and is_free(source, n, sources))
    for first in range(0, len(new), most):
        group = ColumnGroup(source=source, number=next(numbers), aggregates=())
        groups[group.number] = group.with_more(new[first : first + most])
    return tuple(groups[number] for number in sorted(groups))


def _staged(
    source: str,
    needed: Mapping[str, Aggregate],
    places: Mapping[str, str],
    sources: Collection[str],
) -> Sequence[ColumnGroup]:
    """Return the groups that hold something which is still needed, by number."""
    columns: dict[str, dict[int, list[str]]] = {_STAGED: {}, _LEFT: {}}
    for name, held in places.items():
        found = _DEFINITION.fullmatch(name)
        if found is not None and found[3] == source:
            columns[found[1]][int(found[2] or 1)] = held.split()
    groups = []
    for number, staged in sorted(columns[_STAGED].items()):
        still = tuple(needed[column] for column in staged if column in needed)
        gone = {column for column in staged if column not in needed}
        left = sorted(gone.union(columns[_LEFT].get(number, ())))
        if still and is_free(source, number, sources):
            groups.append(
                ColumnGroup(source=source, number=number, aggregates=still, left=tuple(left))
            )
    return groups

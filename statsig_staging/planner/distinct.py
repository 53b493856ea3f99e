"""Distinct values by unit and day: numbers that add up to how many different values a unit has had."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.aggregates import Aggregate, AggregateKind, ValueKind
from statsig_staging.planner import tables
from statsig_staging.planner.times import days_later

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from statsig_staging.derived import Slot


class Counting(StrEnum):
    """On which day a value counts that a unit has on several."""

    FIRST = "first"
    """On the first, and ever after: days add up to all days so far."""
    UNTIL_NEXT = "until_next"
    """From each of them until the next, or until it is too long ago: what counts adds up on any day."""
    EACH_DAY = "each_day"
    """On each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistinctDays:
    """How distinct values become numbers of unit-days.

    Attributes:
        experiment_id: The experiment.
        database: The staging database.
        counting: On which day a value counts.
        gone_after: After how many days it no longer does; None for never.
    """

    experiment_id: str
    database: str
    counting: Counting
    gone_after: int | None = None

    def counted(
        self, aggregates: Mapping[str, tuple[str, Slot]], since: date | None
    ) -> list[exp.Query]:
        """Return, per source, one row per unit and day with how many values count from it on.

        Args:
            aggregates: Key → short name and aggregate, those of other kinds are null.
            since: The first day that is wanted; None for every day.
        """
        return [
            self._of_source(source, aggregates, since)
            for source in sorted({each.source for each in _distinct(aggregates).values()})
        ]

    def _of_source(
        self, source: str, aggregates: Mapping[str, tuple[str, Slot]], since: date | None
    ) -> exp.Query:
        own = {
            short: each for short, each in _distinct(aggregates).items() if each.source == source
        }
        table = tables.values(ValueKind.DISTINCT, self.experiment_id, source, own.values())
        wanted = tables.counting(table, "v") or exp.true()
        if since is not None:
            first = exp.GTE(this=exp.column("ds", "v"), expression=templates.literal(since))
            wanted = exp.and_(wanted, first)
        keys = [exp.column(name, "u") for name in self._keys]
        query = exp.select(*keys)
        for short, _ in aggregates.values():
            number = _number(own[short]) if short in own else exp.cast(exp.null(), "double")
            query = query.select(exp.alias_(number, short))
        rows = self._rows(tables.node(self.database, table), wanted)
        return query.from_(rows.subquery("u")).group_by(*(key.copy() for key in keys))

    @property
    def _keys(self) -> tuple[str, ...]:
        return ("unit_id", "ds") if self.gone_after is None else ("unit_id", "ds", "gone_ds")

    def _rows(self, table: exp.Table, wanted: exp.Expr) -> exp.Query:
        bound = {"distinct_values": table}
        match self.counting:
            case Counting.FIRST:
                return templates.bind("distinct_first", tables=bound, values={"wanted": wanted})
            case Counting.UNTIL_NEXT:
                gone_on = days_later(exp.column("ds", "n"), self.gone_after or 0)
                return templates.bind(
                    "distinct_until_next",
                    tables=bound,
                    values={"wanted": wanted, "gone_on": gone_on},
                )
            case Counting.EACH_DAY:
                return templates.bind("distinct_each_day", tables=bound, values={"wanted": wanted})
            case _:
                assert_never(self.counting)


def _distinct(aggregates: Mapping[str, tuple[str, Slot]]) -> dict[str, Aggregate]:
    """Return those of some aggregates that count distinct values, by short name."""
    stored = {s: slot for s, slot in aggregates.values() if isinstance(slot, Aggregate)}
    return {s: slot for s, slot in stored.items() if slot.kind is AggregateKind.DISTINCT}


def _number(aggregate: Aggregate) -> exp.Expr:
    """Return how many of the rows are of an aggregate."""
    own = exp.EQ(this=exp.column("aggregate", "u"), expression=templates.literal(aggregate.column))
    one = exp.cast(exp.Literal.number(1), "double")
    return exp.Sum(this=exp.Case(ifs=[exp.If(this=own, true=one)]))

"""Unit totals: a source's unit-days put together through one day, so that a later load need not do it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.plan import Batch, CreateTable, Replace, Step
from statsig_staging.planner import tables
from statsig_staging.planner.folds import folded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from statsig_staging.aggregates import Aggregate
    from statsig_staging.plan import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """Totals of a published load that still hold.

    Attributes:
        through: The last day that went into them; nothing up to it has changed since.
        snapshot_id: Where the table stood when they were published.
    """

    through: date
    snapshot_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTotals:
    """The totals of one table of a metric source's unit-days.

    Attributes:
        source: The metric source.
        number: Which of its tables of unit-days they are of.
        target: The table of the totals.
        unit_days: The table that they sum.
        aggregates: What is summed.
        database: The staging database.
        carried: The totals to start from; None to sum every day.
    """

    source: str
    number: int
    target: Table
    unit_days: Table
    aggregates: tuple[Aggregate, ...]
    database: str
    carried: Carried | None

    def parts(self, *, since: date | None = None, through: date | None = None) -> list[exp.Select]:
        """Return SELECTs that together hold every unit-day, those up to the carried day as one row a unit.

        Args:
            since: The first day wanted; None for all. Carried totals come whole.
            through: The last day wanted; None for all.
        """
        days = self._of(tables.node(self.database, self.unit_days))
        day = exp.column("ds", "u")
        if through is not None:
            days.where(exp.LTE(this=day, expression=templates.literal(through)), copy=False)
        if self.carried is None:
            first = exp.GTE(this=day.copy(), expression=templates.literal(since))
            return [days if since is None else days.where(first, copy=False)]
        later = exp.GT(this=day.copy(), expression=templates.literal(self.carried.through))
        totals = tables.node(self.database, self.target, self.carried.snapshot_id)
        return [days.where(later, copy=False), self._of(totals, held=self._lasting)]

    @property
    def _lasting(self) -> tuple[Aggregate, ...]:
        """What totals are kept of: what a unit did before its exposure may still come to be known."""
        return tuple(each for each in self.aggregates if each.counts_after)

    def _of(self, node: exp.Table, held: Sequence[Aggregate] | None = None) -> exp.Select:
        query = exp.select(exp.column("unit_id", "u"), exp.column("ds", "u"))
        for each in self.aggregates:
            value: exp.Expr = exp.column(each.column, "u")
            if held is not None and each not in held:
                value = exp.alias_(exp.cast(exp.null(), "double"), each.column)
            query.select(value, copy=False)
        return query.from_(templates.aliased(node, "u"), copy=False)

    def step(self, through: date, *, needs: tuple[str, ...], full: bool) -> Step:
        """Return the step that sums every day up to ``through``."""
        relation = templates.together(self.parts(through=through))
        select = templates.bind(
            "unit_totals", tables={"unit_days": relation}, values={"through": through}
        )
        for aggregate in self._lasting:
            total = folded(aggregate, exp.column(aggregate.column, "u"), exp.column("ds", "u"))
            select.select(exp.alias_(total, aggregate.column), copy=False)
        batches = (Batch(select=select),)
        write = CreateTable if full else Replace
        since = "every day" if self.carried is None else f"days after {self.carried.through}"
        return Step(
            name=self.target.name.folder,
            reason=f"{since} through {through}, for the next load to start from",
            action=write(target=self.target, batches=batches),
            needs=needs,
        )

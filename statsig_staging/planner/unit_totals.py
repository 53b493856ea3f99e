"""Unit totals: a source's unit-days summed through one day, so that a later load need not sum them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.plan import Batch, CreateTable, Replace, Step
from statsig_staging.planner import tables

if TYPE_CHECKING:
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
    """The totals of one metric source's unit-days.

    Attributes:
        source: The metric source.
        target: The table of the totals.
        unit_days: The table that they sum.
        aggregates: What is summed.
        database: The staging database.
        carried: The totals to start from; None to sum every day.
    """

    source: str
    target: Table
    unit_days: Table
    aggregates: tuple[Aggregate, ...]
    database: str
    carried: Carried | None

    def parts(self, *, through: date | None = None) -> list[exp.Select]:
        """Return SELECTs that together hold every unit-day, those up to the carried day as one row a unit.

        Args:
            through: The last day wanted; None for all.
        """
        days = self._of(tables.node(self.database, self.unit_days))
        day = exp.column("ds", "u")
        if through is not None:
            days = days.where(exp.LTE(this=day, expression=templates.literal(through)))
        if self.carried is None:
            return [days]
        since = exp.GT(this=day.copy(), expression=templates.literal(self.carried.through))
        totals = tables.node(self.database, self.target, self.carried.snapshot_id)
        return [days.where(since), self._of(totals)]

    def _of(self, node: exp.Table) -> exp.Select:
        names = ["unit_id", "ds", *(aggregate.column for aggregate in self.aggregates)]
        return exp.select(*(exp.column(name, "u") for name in names)).from_(
            templates.aliased(node, "u")
        )

    def step(self, through: date, *, needs: tuple[str, ...], full: bool) -> Step:
        """Return the step that sums every day up to ``through``."""
        days, *totals = self.parts(through=through)
        relation: exp.Query = days
        for part in totals:
            relation = exp.union(relation, part, distinct=False, copy=False)
        select = templates.bind(
            "unit_totals", tables={"unit_days": relation}, values={"through": through}
        )
        for aggregate in self.aggregates:
            total = exp.Sum(this=exp.column(aggregate.column, "u"))
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

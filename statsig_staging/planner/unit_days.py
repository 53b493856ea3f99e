"""Steps of the metric tables: a source's aggregates by unit and day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.aggregates import AggregateKind
from statsig_staging.days import in_words
from statsig_staging.plan import Merge, Step
from statsig_staging.planner import tables
from statsig_staging.planner.exposures import on_days

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from statsig_staging.aggregates import Aggregate
    from statsig_staging.plan import Table
    from statsig_staging.planner.exposures import Loaded
    from statsig_staging.planner.scans import Days, Scan
    from statsig_staging.warehouses.base import Traits

_FLOATING = ("double", "real")


@dataclass(frozen=True, slots=True)
class UnitDays:
    """A metric source as it feeds an experiment's unit-days.

    Attributes:
        scan: How the source is read.
        aggregates: What a unit-day stores.
        first_exposures: The experiment's units.
        database: The staging database.
        traits: How the warehouse likes its statements.
    """

    scan: Scan
    aggregates: tuple[Aggregate, ...]
    first_exposures: Table
    database: str
    traits: Traits

    @property
    def target(self) -> Table:
        """The table of the unit-days."""
        return tables.unit_day_metrics(
            self.scan.experiment.id, self.scan.source.name, self.aggregates
        )

    @property
    def name(self) -> str:
        """The name of the step that loads whole days."""
        return f"unit_day_metrics_{self.scan.source.name}"

    def select(self, days: Days, units: exp.Expr) -> exp.Query:
        """Return the unit-days of ``days`` for the given first exposures."""
        query = templates.bind(
            "unit_day_metrics",
            tables={"metric_source": self.scan.relation(days), "first_exposures": units},
            values={
                "unit_id": self.scan.text(self.scan.unit_column),
                "occurred_at": self.scan.moment,
                "ds": self.scan.day(days),
                "within": exp.paren(self.scan.within(days)),
                "exposed": self._exposed(),
            },
        )
        events = templates.part(query, "events")
        flags, values = self._flags(), self._values()
        for name, condition in flags.values():
            events.select(exp.alias_(condition, name), copy=False)
        for name, value in values.values():
            events.select(exp.alias_(value, name), copy=False)
        if all(aggregate.filter is not None for aggregate in self.aggregates):
            feeding = exp.or_(*(condition.copy() for _, condition in flags.values()))
            events.where(exp.paren(feeding), copy=False)
        return self._with_aggregates(query, flags, values)

    def _exposed(self) -> exp.Expr:
        if self.scan.is_dated:
            return exp.GTE(
                this=exp.column("ds", "e"), expression=exp.column("first_exposure_ds", "f")
            )
        return exp.GTE(
            this=exp.column("occurred_at", "e"), expression=exp.column("first_exposure", "f")
        )

    def _flags(self) -> dict[str, tuple[str, exp.Expr]]:
        filters = sorted({a.filter for a in self.aggregates if a.filter is not None})
        return {
            sql: (f"where_{number}", exp.paren(self.scan.expression(sql)))
            for number, sql in enumerate(filters, start=1)
        }

    def _values(self) -> dict[str, tuple[str, exp.Expr]]:
        values = sorted({a.value for a in self.aggregates if a.value is not None})
        return {
            sql: (f"value_{number}", self._double(sql))
            for number, sql in enumerate(values, start=1)
        }

    def _double(self, sql: str) -> exp.Expr:
        """Return a value as DOUBLE; what is not a finite number is no value."""
        number = exp.cast(exp.paren(self.scan.expression(sql)), "double")
        if self.scan.observation.expressions.get(sql) not in _FLOATING:
            return number
        finite = exp.Anonymous(this="IS_FINITE", expressions=[number])
        return exp.Case(ifs=[exp.If(this=finite, true=number.copy())])

    def _with_aggregates(
        self,
        query: exp.Select,
        flags: dict[str, tuple[str, exp.Expr]],
        values: dict[str, tuple[str, exp.Expr]],
    ) -> exp.Query:
        present = []
        for aggregate in self.aggregates:
            total, rows = _aggregated(aggregate, flags, values)
            query.select(exp.alias_(total, aggregate.column), copy=False)
            present.append(exp.GT(this=rows, expression=exp.Literal.number(0)))
        return query.having(exp.or_(*present), copy=False)

    def days_step(self, days: Loaded, *, full: bool, reason: str) -> Step:
        """Return the step that loads whole days."""
        units = tables.node(self.database, self.first_exposures)
        batches = self.scan.batches(
            days.read, self.traits, lambda portion: self.select(portion, units)
        )
        return Step(
            name=self.name,
            reason=reason,
            action=days.write(self.target, batches, full=full),
            days=days.all,
            needs=("first_exposures",),
        )

    def late_step(self, days: Sequence[date], published: int, *, needs: tuple[str, ...]) -> Step:
        """Return the step that restates other days of units whose first exposure moved.

        Args:
            days: The days that are not loaded as a whole.
            published: Snapshot of ``first_exposures`` as published.
            needs: Steps that must be done before.
        """
        current = tables.node(self.database, self.first_exposures)
        late = templates.bind(
            "late_units",
            tables={
                "first_exposures": current,
                "published_first_exposures": tables.node(
                    self.database, self.first_exposures, published
                ),
            },
        )
        batches = self.scan.batches(days, self.traits, lambda portion: self._changes(portion, late))
        return Step(
            name=f"late_units_{self.scan.source.name}",
            reason=f"days of units whose first exposure is new on an old day, gone or moved; "
            f"at most {in_words(days)}",
            action=Merge(
                target=self.target, keys=("unit_id", "ds"), deleted="is_deleted", batches=batches
            ),
            days=tuple(days),
            needs=needs,
            guard=templates.bind("earliest_late_day", tables={"late_units": late}),
        )

    def _changes(self, days: Days, late: exp.Query) -> exp.Query:
        late_exposures = templates.bind(
            "first_exposures_of_late_units",
            tables={
                "first_exposures": tables.node(self.database, self.first_exposures),
                "late_units": late,
            },
        )
        staged = templates.bind(
            "staged_unit_days",
            tables={
                "unit_day_metrics": tables.node(self.database, self.target),
                "late_units": late,
            },
            values={"on_days": on_days("m", days)},
        )
        query = templates.bind(
            "unit_day_metrics_changes",
            tables={
                "unit_day_metrics": self.select(days, late_exposures),
                "staged_unit_days": staged,
            },
        )
        return query.select(
            *(exp.column(aggregate.column, "n") for aggregate in self.aggregates), copy=False
        )


def _aggregated(
    aggregate: Aggregate,
    flags: dict[str, tuple[str, exp.Expr]],
    values: dict[str, tuple[str, exp.Expr]],
) -> tuple[exp.Expr, exp.Expr]:
    """Return an aggregate, and the count of rows that went into it."""
    counted: exp.Expr = exp.Star()
    if aggregate.value is not None:
        counted = exp.column(values[aggregate.value][0], "e")
    rows = _filtered(exp.Count(this=counted), aggregate, flags)
    if aggregate.kind is AggregateKind.SUM:
        return _filtered(exp.Sum(this=counted.copy()), aggregate, flags), rows
    return exp.Nullif(this=rows, expression=exp.Literal.number(0)), rows.copy()


def _filtered(
    call: exp.Expr, aggregate: Aggregate, flags: dict[str, tuple[str, exp.Expr]]
) -> exp.Expr:
    if aggregate.filter is None:
        return call
    condition = exp.Where(this=exp.column(flags[aggregate.filter][0], "e"))
    return exp.Filter(this=call, expression=condition)

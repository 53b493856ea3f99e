"""Steps of the metric tables: a source's aggregates by unit and day."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import aggregates, templates, terms
from statsig_staging.days import in_words
from statsig_staging.names import numbered
from statsig_staging.plan import Batch, CreateTable, Merge, ReplacePartitions, Step
from statsig_staging.planner import column_groups, tables
from statsig_staging.planner.aggregation import aggregated
from statsig_staging.planner.exposures import on_days
from statsig_staging.planner.scans import parameter
from statsig_staging.planner.times import block, days_later, later, midnight

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from datetime import date

    from statsig_staging.aggregates import Aggregate
    from statsig_staging.config import MetricSource
    from statsig_staging.plan import Table
    from statsig_staging.planner.exposures import Loaded
    from statsig_staging.planner.scans import Days, Scan
    from statsig_staging.warehouses.base import Traits

_FLOATING = ("double", "real")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitDays:
    """A metric source as it feeds an experiment's unit-days.

    Attributes:
        scan: How the source is read.
        source: The source.
        aggregates: What a unit-day stores.
        every: All aggregates of the source, values one by one too: what its rows are kept for.
        first_exposures: The experiment's units.
        database: The staging database.
        traits: How the warehouse likes its statements.
        from_kept: Whether rows come from those that were kept of the source.
        number: Which of the source's tables of unit-days it fills.
    """

    scan: Scan
    source: MetricSource
    aggregates: tuple[Aggregate, ...]
    every: tuple[Aggregate, ...]
    first_exposures: Table
    database: str
    traits: Traits
    from_kept: bool = False
    number: int = 1

    @property
    def target(self) -> Table:
        """The table of the unit-days."""
        return tables.unit_day_metrics(
            self.scan.experiment.id, self.source.name, self.aggregates, self.number
        )

    @property
    def kept(self) -> Table:
        """The table of the rows that are kept of the source."""
        return tables.metric_rows(self.scan.experiment.id, self.source, self.every)

    @property
    def reach(self) -> int:
        """How many days before a unit's first exposure its rows are wanted."""
        return terms.reach(self.every)

    @property
    def name(self) -> str:
        """The name of the step that loads whole days."""
        return f"unit_day_metrics_{numbered(self.source.name, self.number)}"

    @property
    def definition(self) -> str:
        """The name of its definition: the columns that unit-days have."""
        return column_groups.definition(self.source.name, self.number)

    def select(self, days: Days, units: exp.Expr) -> exp.Query:
        """Return the unit-days of ``days`` for the given first exposures."""
        query = templates.bind(
            "unit_day_metrics",
            tables={"metric_rows": self.found(days), "first_exposures": units},
            values={"exposed": self.exposed(days)},
        )
        return self._with_aggregates(query)

    def found(self, days: Days) -> exp.Query:
        """Return the rows on ``days`` that feed a metric, from the source or as they were kept."""
        return self._kept_rows(days) if self.from_kept else self.rows(days)

    def rows(self, days: Days) -> exp.Query:
        """Return the rows of the source on ``days`` that feed a metric."""
        rows = templates.bind(
            "metric_rows",
            tables={"metric_source": self.scan.relation(days)},
            values={
                "unit_id": self.scan.text(self.scan.unit_column),
                "occurred_at": self.scan.moment,
                "ds": self.scan.day(days),
                "within": exp.paren(self.scan.within(days)),
            },
        )
        conditions = {
            name: exp.paren(self.scan.expression(sql)) for sql, name in self.flags().items()
        }
        values = {name: self._double(sql) for sql, name in self.values().items()}
        texts = {name: self._text(sql) for sql, name in self.texts().items()}
        moments = {name: self.scan.moment_of(sql) for sql, name in self.moments().items()}
        columns = (conditions | values | texts | moments).items()
        rows.select(*(exp.alias_(value, name, copy=False) for name, value in columns), copy=False)
        if all(aggregate.narrows for aggregate in self.aggregates):
            rows.where(exp.paren(exp.or_(*conditions.values())), copy=False)
        return rows

    def _kept_rows(self, days: Days) -> exp.Query:
        rows = templates.bind(
            "staged_metric_rows",
            tables={"metric_rows": tables.node(self.database, self.kept)},
            values={"on_days": on_days("m", days)},
        )
        held = (self.flags(), self.values(), self.texts(), self.moments())
        names = dict.fromkeys(name for each in held for name in each.values())
        return rows.select(*(exp.column(name, "m") for name in names), copy=False)

    def batches(
        self, days: Iterable[date], build: Callable[[Days], exp.Query]
    ) -> tuple[Batch, ...]:
        """Return the statements that fill the partitions of ``days``."""
        if not self.from_kept:
            return self.scan.batches(days, self.traits, build)
        select = build(None)
        return tuple(
            Batch(select=select, values={"ds": day.isoformat()}, partitions=(day,)) for day in days
        )

    def exposed(self, days: Days) -> exp.Expr:
        """Return the condition that a row on ``days`` is not older than what some aggregate looks back to.

        The units whose first exposure is too late for all rows of these days are named once more: so
        they need not be read, let alone joined.
        """
        last = parameter("ds", "date") if days is None else templates.literal(max(days))
        known = exp.LTE(
            this=exp.column("first_exposure_ds", "f"), expression=days_later(last, self.reach)
        )
        return exp.and_(self._since(-self.reach, is_minutes=False), known)

    def _since(self, blocks: int, *, is_minutes: bool) -> exp.Expr:
        """Return the condition that a row lies at or after the start of a block since exposure."""
        occurred, exposed = self._occurred()
        return exp.GTE(
            this=occurred, expression=later(exposed, blocks, block(is_minutes=is_minutes))
        )

    def _occurred(self) -> tuple[exp.Expr, exp.Expr]:
        """Return when a row happened, and its unit's first exposure: both moments, or both days."""
        if self.scan.is_dated:
            return exp.column("ds", "e"), exp.column("first_exposure_ds", "f")
        return exp.column("occurred_at", "e"), exp.column("first_exposure", "f")

    def counts(self, aggregate: Aggregate) -> exp.Expr | None:
        """Return the condition that a row happened when an aggregate looks; None where it always does."""
        within = self.in_span(aggregate)
        if aggregate.until is None:
            return within
        day = templates.literal(aggregate.until)
        through = exp.LTE(this=exp.column("ds", "e"), expression=day)
        return through if within is None else exp.and_(within, through)

    def in_span(self, aggregate: Aggregate) -> exp.Expr | None:
        """Return the condition that a row lies in an aggregate's time; None where all of them do."""
        looks_back, span = self.reach > 0, aggregate.span
        if span is None:
            return self._since(0, is_minutes=False) if looks_back else None
        occurred, exposed = self._occurred()
        end = later(exposed, span.end + 1, block(is_minutes=span.is_minutes))
        before = exp.LT(this=occurred, expression=end)
        if span.start == 0 and not looks_back:
            return before
        return exp.and_(self._since(span.start, is_minutes=span.is_minutes), before)

    def passes(self, aggregate: Aggregate) -> exp.Expr | None:
        """Return the condition that a row is one of an aggregate's, whenever it happened; None for all."""
        rows = aggregate.rows
        conditions: list[exp.Expr] = []
        if rows.filter is not None:
            conditions.append(self.held("where", rows.filter))
        if rows.after is not None:
            moment, exposed = self._compared(rows.after)
            conditions.append(exp.GTE(this=moment, expression=exposed))
        if rows.before is not None:
            moment, exposed = self._compared(rows.before)
            conditions.append(exp.LT(this=moment, expression=exposed))
        return exp.and_(*conditions) if conditions else None

    def _compared(self, sql: str) -> tuple[exp.Expr, exp.Expr]:
        """Return a moment of a row, and what it is compared with; of a date that is the day exposed."""
        moment = self.held("moment", sql)
        if self.scan.observation.expressions.get(sql) == "date":
            return moment, midnight(exp.column("first_exposure_ds", "f"))
        return moment, exp.column("first_exposure", "f")

    def held(self, kind: str, sql: str) -> exp.Column:
        """Return the column of found rows that holds an expression as a ``where``, ``value``, ``text`` or ``moment``."""
        return exp.column(aggregates.expression_column(self.source, kind, sql), "e")

    def moments(self) -> dict[str, str]:
        """Return moment of a row → the column that holds it."""
        moments = sorted(aggregates.moment_expressions(self.aggregates))
        return {sql: aggregates.expression_column(self.source, "moment", sql) for sql in moments}

    def flags(self) -> dict[str, str]:
        """Return filter → the column that answers it."""
        filters = sorted({a.filter for a in self.aggregates if a.filter is not None})
        return {sql: aggregates.expression_column(self.source, "where", sql) for sql in filters}

    def values(self) -> dict[str, str]:
        """Return value → the column that holds it."""
        values = sorted(aggregates.number_expressions(self.aggregates))
        return {sql: aggregates.expression_column(self.source, "value", sql) for sql in values}

    def texts(self) -> dict[str, str]:
        """Return value → the column that holds it as text."""
        values = sorted(aggregates.text_expressions(self.aggregates))
        return {sql: aggregates.expression_column(self.source, "text", sql) for sql in values}

    def _double(self, sql: str) -> exp.Expr:
        """Return a value as DOUBLE; what is not a finite number is no value."""
        number = exp.cast(exp.paren(self.scan.expression(sql)), "double")
        if self.scan.observation.expressions.get(sql) not in _FLOATING:
            return number
        return _finite(number, number.copy())

    def _text(self, sql: str) -> exp.Expr:
        """Return a value as text that no other value of its type has.

        Of DOUBLE and of moments it is their bits: as text they differ between Athena and DuckDB.
        """
        value = exp.paren(self.scan.expression(sql))
        kind = self.scan.observation.expressions.get(sql, "")
        if kind.startswith("timestamp"):
            return _bits(exp.TimeToUnix(this=value))
        if kind in _FLOATING:
            number = exp.cast(value, "double")
            return _finite(number, _bits(number.copy()))
        return value if kind == "varchar" else exp.cast(value, "varchar")

    def _with_aggregates(self, query: exp.Select) -> exp.Query:
        values = self.values()
        totals, present = [], []
        for aggregate in self.aggregates:
            passes, when = self.passes(aggregate), self.counts(aggregate)
            total, rows = aggregated(aggregate, values, passes, when)
            totals.append(exp.alias_(total, aggregate.column, copy=False))
            present.append(exp.GT(this=rows, expression=exp.Literal.number(0)))
        query.select(*totals, copy=False)
        return query.having(exp.or_(*present), copy=False)

    def days_step(self, days: Loaded, *, full: bool, reason: str) -> Step:
        """Return the step that loads whole days."""
        units = tables.node(self.database, self.first_exposures)
        batches = self.batches(days.read, lambda portion: self.select(portion, units))
        return Step(
            name=self.name,
            reason=reason,
            action=days.write(self.target, batches, full=full),
            days=days.all,
            needs=("first_exposures", f"metric_rows_{self.source.name}"),
        )

    def restated_step(
        self,
        days: Loaded,
        others: Sequence[date],
        anew: Collection[str],
        published: int,
        reason: str,
    ) -> Step:
        """Return the step that loads whole days, and some aggregates of other days.

        Args:
            days: The days that are loaded as a whole.
            others: The days that are restated in part.
            anew: The columns that are restated there.
            published: Snapshot of the unit-days as published, for the other columns.
            reason: Why.
        """
        units = tables.node(self.database, self.first_exposures)
        part = replace(
            self,
            aggregates=tuple(a for a in self.aggregates if a.column in anew),
            from_kept=False,
        )
        staged = tuple(a.column for a in self.aggregates if a.column not in anew)

        def build(portion: Days) -> exp.Query:
            query = templates.bind(
                "unit_day_metrics_restated",
                tables={
                    "unit_day_metrics": part.select(portion, units),
                    "staged_unit_days": self._staged(portion, staged, published),
                },
            )
            new = (exp.column(a.column, "n") for a in part.aggregates)
            return query.select(*new, *(exp.column(name, "o") for name in staged), copy=False)

        batches = (
            *self.batches(days.read, lambda portion: self.select(portion, units)),
            *part.batches(others, build),
        )
        every = tuple(sorted({*days.all, *others}))
        return Step(
            name=self.name,
            reason=reason,
            action=ReplacePartitions(target=self.target, partitions=every, batches=batches),
            days=every,
            needs=("first_exposures", f"metric_rows_{self.source.name}"),
        )

    def _staged(self, days: Days, columns: Iterable[str], published: int) -> exp.Query:
        query = templates.bind(
            "unit_days_staged",
            tables={"unit_day_metrics": tables.node(self.database, self.target, published)},
            values={"on_days": on_days("m", days)},
        )
        return query.select(*(exp.column(name, "m") for name in columns), copy=False)

    def keep_step(self, days: Loaded, expired: Iterable[date], *, is_new: bool) -> Step:
        """Return the step that keeps the rows of whole days, and lets go of days long past.

        Args:
            days: The days that are loaded as a whole.
            expired: The days whose rows are not kept any longer.
            is_new: Whether nothing is kept yet.
        """
        batches = self.scan.batches(days.read, self.traits, self._rows_to_keep)
        every = tuple(sorted({*days.all, *expired}))
        write = (
            CreateTable(target=self.kept, batches=batches)
            if is_new
            else ReplacePartitions(target=self.kept, partitions=every, batches=batches)
        )
        return Step(
            name=f"metric_rows_{self.source.name}",
            reason="kept for units whose exposures arrive late",
            action=write,
            days=days.all,
        )

    def keep_late_step(self, days: Sequence[date], published: int) -> Step:
        """Return the step that keeps the rows of days that late units are about to need.

        Args:
            days: Days that are not loaded as a whole and have no rows kept.
            published: Snapshot of ``first_exposures`` as published.
        """
        batches = self.scan.batches(days, self.traits, self._rows_to_keep)
        return Step(
            name=f"late_metric_rows_{self.source.name}",
            reason=f"kept for units whose exposures arrive late; at most {in_words(days)}",
            action=ReplacePartitions(target=self.kept, partitions=tuple(days), batches=batches),
            days=tuple(days),
            needs=("first_exposures", f"metric_rows_{self.source.name}"),
            guard=self.earliest(published),
        )

    def _rows_to_keep(self, days: Days) -> exp.Query:
        return replace(self, aggregates=self.every).rows(days)

    def late_step(self, days: Sequence[date], published: int) -> Step:
        """Return the step that restates other days of units whose first exposure moved.

        Args:
            days: The days that are not loaded as a whole.
            published: Snapshot of ``first_exposures`` as published.
        """
        late = self.late_units(published)
        batches = self.batches(days, lambda portion: self._changes(portion, late))
        return Step(
            name=f"late_units_{numbered(self.source.name, self.number)}",
            reason=f"days of units whose first exposure is new on an old day, gone or moved; "
            f"at most {in_words(days)}",
            action=Merge(
                target=self.target, keys=("unit_id", "ds"), deleted="is_deleted", batches=batches
            ),
            days=tuple(days),
            needs=("first_exposures", self.name, f"late_metric_rows_{self.source.name}"),
            guard=self.earliest(published),
        )

    def late_units(self, published: int) -> exp.Query:
        """Return the units whose first exposure moved since the first exposures were ``published``."""
        return templates.bind(
            "late_units",
            tables={
                "first_exposures": tables.node(self.database, self.first_exposures),
                "published_first_exposures": tables.node(
                    self.database, self.first_exposures, published
                ),
            },
        )

    def earliest(self, published: int) -> exp.Query:
        """Return the query of the earliest day that has to be restated."""
        return templates.bind(
            "earliest_late_day",
            tables={"late_units": self.late_units(published)},
            values={"days": -self.reach},
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


def _finite(number: exp.Expr, value: exp.Expr) -> exp.Expr:
    """Return a value where a number is finite."""
    finite = exp.Anonymous(this="IS_FINITE", expressions=[number])
    return exp.Case(ifs=[exp.If(this=finite, true=value)])


def _bits(number: exp.Expr) -> exp.Expr:
    return exp.Hex(this=exp.Anonymous(this="TO_IEEE754_64", expressions=[number]))

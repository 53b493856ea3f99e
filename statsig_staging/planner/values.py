"""Steps of the tables of values: each value of a unit's rows on its own, by day, where a metric needs that.

What adds up over days is stored by unit and day (``unit_days``). Distinct values, percentiles and the order
of steps do not follow from such numbers, so the values themselves are stored, with how often each occurs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.aggregates import AggregateKind, ValueKind
from statsig_staging.days import in_words
from statsig_staging.plan import Merge, ReplacePartitions, Step
from statsig_staging.planner import levels, tables
from statsig_staging.planner.exposures import on_days

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from datetime import date

    from statsig_staging.aggregates import Aggregate
    from statsig_staging.plan import Table
    from statsig_staging.planner.exposures import Loaded
    from statsig_staging.planner.scans import Days
    from statsig_staging.planner.unit_days import UnitDays

_KEYS = ("unit_id", "ds", "aggregate", "value")
"""What names a row of any table of values; moments have a session besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitDayValues:
    """The values of a metric source, one by one, of one kind.

    Attributes:
        kind: Of which kind.
        feed: The source; its aggregates are those whose values are stored.
    """

    kind: ValueKind
    feed: UnitDays

    @property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """What the values are of."""
        return self.feed.aggregates

    @property
    def source(self) -> str:
        """The metric source."""
        return self.feed.source.name

    @property
    def target(self) -> Table:
        """The table of the values."""
        return tables.values(
            self.kind, self.feed.scan.experiment.id, self.source, self.feed.aggregates
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that name a row: all but what rows with a value come to."""
        return tuple(column.name for column in self.target.columns[:-1])

    @property
    def more_keys(self) -> tuple[str, ...]:
        """Those of them that not every table of values has."""
        return self.keys[len(_KEYS) :]

    @property
    def measure(self) -> str:
        """The column of what rows with a value come to."""
        return self.target.columns[-1].name

    @property
    def name(self) -> str:
        """The name of the step that loads whole days."""
        return f"{self.kind}_{self.source}"

    @property
    def definition(self) -> str:
        """The name of its definition."""
        return f"{self.kind} {self.source}"

    def select(self, days: Days, units: exp.Expr) -> exp.Query:
        """Return the values of ``days`` for the given first exposures."""
        of_row = self._of_row
        inputs = {
            "metric_rows": self.feed.found(days),
            "first_exposures": units,
            "aggregate_keys": self._aggregate_keys(),
        }
        values = {"exposed": self.feed.exposed(days), "present": of_row(self._present)}
        match self.kind:
            case ValueKind.DISTINCT | ValueKind.PERCENTILE:
                values |= {"value": of_row(self._value)}
                return templates.bind("unit_day_values", tables=inputs, values=values)
            case ValueKind.MOMENT:
                values |= {"session": of_row(self._apart)}
                return templates.bind("unit_day_moments", tables=inputs, values=values)
            case ValueKind.LEVEL:
                values |= {"level": of_row(self._apart), "number": of_row(self._number)}
                return templates.bind("unit_day_levels", tables=inputs, values=values)
            case _:
                assert_never(self.kind)

    def _aggregate_keys(self) -> exp.Query:
        """Return the aggregates with their numbers, and with how the numbers of one level become one."""
        columns = ("number", "aggregate")
        keys = [[number, each.column] for number, each in enumerate(self.aggregates)]
        if self.kind is not ValueKind.LEVEL:
            return templates.listed("k", columns, keys)
        folded = [
            [*key, levels.together(each.kind)]
            for key, each in zip(keys, self.aggregates, strict=True)
        ]
        return templates.listed("k", (*columns, "together"), folded)

    def _apart(self, aggregate: Aggregate) -> exp.Expr:
        """Return what tells the rows of an aggregate apart; empty where nothing does."""
        if aggregate.level is None:
            return exp.Literal.string("")
        return self.feed.held("text", aggregate.level)

    def _number(self, aggregate: Aggregate) -> exp.Expr:
        """Return what a row brings to an aggregate: its value, or 1 where rows are counted."""
        if aggregate.kind in {AggregateKind.SUM, AggregateKind.MIN, AggregateKind.MAX}:
            return self._value(aggregate)
        return exp.cast(exp.Literal.number(1), "double")

    def _of_row(self, of: Callable[[Aggregate], exp.Expr]) -> exp.Expr:
        """Return what something is of the aggregate whose number stands in the row."""
        ifs = [
            exp.If(this=exp.Literal.number(number), true=of(each))
            for number, each in enumerate(self.aggregates)
        ]
        return exp.Case(this=exp.column("number", "k"), ifs=ifs)

    def _value(self, aggregate: Aggregate) -> exp.Expr:
        kind = "text" if aggregate.kind is AggregateKind.DISTINCT else "value"
        return self.feed.held(kind, aggregate.value or "")

    def _present(self, aggregate: Aggregate) -> exp.Expr:
        """Return the condition that a row has a value of an aggregate that counts."""
        conditions = [self.feed.counts(aggregate), self.feed.passes(aggregate)]
        needed = [self._value(aggregate)] if aggregate.value is not None else []
        if self.kind is ValueKind.MOMENT and aggregate.level is not None:
            needed.append(self._apart(aggregate))
        conditions += [exp.Is(this=each, expression=exp.Null()).not_() for each in needed]
        found = [each for each in conditions if each is not None]
        return exp.and_(*found) if found else exp.true()

    def days_step(self, days: Loaded, *, full: bool, reason: str) -> Step:
        """Return the step that loads whole days."""
        units = tables.node(self.feed.database, self.feed.first_exposures)
        batches = self.feed.batches(days.read, lambda portion: self.select(portion, units))
        return Step(
            name=self.name,
            reason=reason,
            action=days.write(self.target, batches, full=full),
            days=days.all,
            needs=self._needs,
        )

    @property
    def _needs(self) -> tuple[str, ...]:
        return ("first_exposures", f"metric_rows_{self.source}")

    def restated_step(
        self,
        days: Loaded,
        others: Sequence[date],
        anew: Collection[str],
        published: int,
        reason: str,
    ) -> Step:
        """Return the step that loads whole days, and the values of some aggregates of other days.

        Args:
            days: The days that are loaded as a whole.
            others: The days that are restated in part.
            anew: The aggregates that are restated there.
            published: Snapshot of the values as published, for the other aggregates.
            reason: Why.
        """
        units = tables.node(self.feed.database, self.feed.first_exposures)
        chosen = tuple(each for each in self.aggregates if each.column in anew)
        part = replace(self, feed=replace(self.feed, aggregates=chosen, from_kept=False))
        kept = [each.column for each in self.aggregates if each.column not in anew]

        def build(portion: Days) -> exp.Query:
            staged = self._staged(portion, kept, published)
            return exp.union(part.select(portion, units), staged, distinct=False, copy=False)

        batches = (
            *self.feed.batches(days.read, lambda portion: self.select(portion, units)),
            *part.feed.batches(others, build),
        )
        every = tuple(sorted({*days.all, *others}))
        return Step(
            name=self.name,
            reason=reason,
            action=ReplacePartitions(target=self.target, partitions=every, batches=batches),
            days=every,
            needs=self._needs,
        )

    def _staged(self, days: Days, columns: Iterable[str], published: int) -> exp.Query:
        table = tables.node(self.feed.database, self.target, published)
        values = {"on_days": on_days("m", days), "kept": tables.of_aggregates(columns, "m")}
        query = templates.bind("values_staged", tables={"unit_day_values": table}, values=values)
        more = (*self.more_keys, self.measure)
        return query.select(*(exp.column(name, "m") for name in more), copy=False)

    def late_step(self, days: Sequence[date], published: int) -> Step:
        """Return the step that restates other days of units whose first exposure moved.

        Args:
            days: The days that are not loaded as a whole.
            published: Snapshot of ``first_exposures`` as published.
        """
        late = self.feed.late_units(published)
        batches = self.feed.batches(days, lambda portion: self._changes(portion, late))
        return Step(
            name=f"late_{self.name}",
            reason=f"values of units whose first exposure is new on an old day, gone or moved; "
            f"at most {in_words(days)}",
            action=Merge(target=self.target, keys=self.keys, deleted="is_deleted", batches=batches),
            days=tuple(days),
            needs=("first_exposures", self.name, f"late_metric_rows_{self.source}"),
            guard=self.feed.earliest(published),
        )

    def _changes(self, days: Days, late: exp.Query) -> exp.Query:
        database = self.feed.database
        exposed = templates.bind(
            "first_exposures_of_late_units",
            tables={
                "first_exposures": tables.node(database, self.feed.first_exposures),
                "late_units": late,
            },
        )
        staged = templates.bind(
            "staged_values",
            tables={"unit_day_values": tables.node(database, self.target), "late_units": late},
            values={"on_days": on_days("m", days)},
        )
        staged.select(*(exp.column(name, "m") for name in self.more_keys), copy=False)
        query = templates.bind(
            "unit_day_values_changes",
            tables={"unit_day_values": self.select(days, exposed), "staged_values": staged},
        )
        for name in self.more_keys:
            _match(query, name)
        return query.select(exp.column(self.measure, "n"), copy=False)


def _match(changes: exp.Select, key: str) -> None:
    """Let rows be the same only where one column more is, and select it."""
    new, old = exp.column(key, "n"), exp.column(key, "o")
    [join] = changes.args["joins"]
    join.set("on", exp.and_(join.args["on"], exp.EQ(this=old, expression=new)))
    there = exp.Coalesce(this=new.copy(), expressions=[old.copy()])
    changes.select(exp.alias_(there, key), copy=False)

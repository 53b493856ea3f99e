"""Scans: how rows of a source are read for some days, with the library's own types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import expressions, templates
from statsig_staging.days import DAY, Window, windows
from statsig_staging.errors import WarehouseError
from statsig_staging.plan import Batch, Read
from statsig_staging.sources import components

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from statsig_staging.config import AssignmentSource, Experiment, MetricSource, Partition
    from statsig_staging.sources import Observation
    from statsig_staging.warehouses.base import Traits

SOURCE_ALIAS = "s"
"""The alias of the source in every template that scans one."""

Days = Sequence[date] | None
"""Some days, or None for one day that is named by parameters when a statement runs."""

_IDENTIFIER_TYPES = ("varchar", "tinyint", "smallint", "integer", "bigint", "decimal(20, 0)")


@dataclass(frozen=True, slots=True)
class Scan:
    """A source as one experiment reads it."""

    source: AssignmentSource | MetricSource
    observation: Observation
    experiment: Experiment

    def only(self, files: Collection[str]) -> Scan:
        """Return the scan of no other files of the source than these."""
        seen = tuple(
            replace(table, files=tuple(file for file in table.files if file.path in files))
            for table in self.observation.tables
        )
        return replace(self, observation=replace(self.observation, tables=seen))

    def check(self) -> None:
        """Raise a WarehouseError where a column is missing or of a type that cannot serve."""
        self._check_type("timestamp", self.source.timestamp, _is_time, "a timestamp or a date")
        self.check_identifier(f"units.{self.experiment.unit}", self.unit_column)
        partition = self.source.partition
        if partition is not None:
            self._check_type(
                "partition.column",
                partition.column,
                lambda kind: _can_be_date(kind, partition),
                "a date, a timestamp or a string, or an integer with a format",
            )

    def check_identifier(self, setting: str, column: str) -> None:
        """Raise a WarehouseError where a column cannot be an id."""
        self._check_type(
            setting, column, _IDENTIFIER_TYPES.__contains__, "a string, an integer or a UUID"
        )

    def check_column(self, setting: str, column: str) -> None:
        """Raise a WarehouseError where the source has no such column."""
        self._type(column, setting)

    def _check_type(
        self, setting: str, column: str, serves: Callable[[str], bool], wanted: str
    ) -> None:
        kind = self._type(column, setting)
        if kind != "unknown" and not serves(kind):
            raise WarehouseError(
                f"source {self.source.name!r}: {setting} column {column!r} is of type {kind}; "
                f"it must be {wanted}"
            )

    def _type(self, column: str, setting: str = "") -> str:
        columns = self.observation.columns
        if not columns:
            return "unknown"
        if column.lower() not in columns:
            near = expressions.suggestion(column.lower(), columns)
            what = f"{setting} column" if setting else "column"
            raise WarehouseError(
                f"source {self.source.name!r} has no {what} {column!r}{near} "
                f"(columns: {', '.join(columns)})"
            )
        return columns[column.lower()]

    @property
    def unit_column(self) -> str:
        """The column of the experiment's unit."""
        return self.source.units[self.experiment.unit]

    @property
    def is_dated(self) -> bool:
        """Whether a row has a date and no time of day."""
        flagged = getattr(self.source, "timestamp_is_date", False)
        return flagged or self._type(self.source.timestamp) == "date"

    def column(self, name: str) -> exp.Column:
        """Return a column of the source.

        Raises:
            WarehouseError: If the source has no such column.
        """
        self._type(name)
        return exp.column(name.lower(), SOURCE_ALIAS, quoted=True)

    def text(self, name: str) -> exp.Expr:
        """Return a column as a string; one that is a string is left alone, so that it can be pruned on."""
        column = self.column(name)
        return column if self._type(name) == "varchar" else exp.cast(column, "varchar")

    @property
    def moment(self) -> exp.Expr:
        """The timestamp of a row, naive UTC, at microseconds."""
        column, kind = self.column(self.source.timestamp), self._type(self.source.timestamp)
        if kind.endswith("time zone"):
            return _naive(column)
        if kind in {"date", "unknown"}:
            return exp.cast(column, "timestamp(6)", dialect=templates.DIALECT)
        return column

    def moment_of(self, sql: str) -> exp.Expr:
        """Return what an expression gives as a timestamp, naive UTC, at microseconds; a date is its midnight."""
        value = exp.paren(self.expression(sql))
        if self.observation.expressions.get(sql, "").endswith("time zone"):
            return _naive(value)
        return exp.cast(value, "timestamp(6)", dialect=templates.DIALECT)

    def day(self, days: Days) -> exp.Expr:
        """Return the UTC day of a row, a constant where there is one day only."""
        if days is None:
            return parameter("ds", "date")
        if self._type(self.source.timestamp) == "date":
            return self.column(self.source.timestamp)
        return exp.cast(self.moment, "date")

    def relation(self, days: Days) -> exp.Expr:
        """Return the source's table, or its SELECT with the macros standing for ``days``."""
        if self.source.table is not None:
            return expressions.parse_table(self.source.table)
        if days is None:
            raise ValueError("the days of a query are known when it is planned")
        return expressions.bind_macros(
            expressions.parse_query(self.source.sql or ""),
            min(days),
            max(days),
            datetime.combine(self.experiment.start, time(), UTC),
        )

    def within(self, days: Days) -> exp.Expr:
        """Return the condition that a row belongs to one of ``days``, and lies where it should."""
        if days is None:
            column = self.column(self.source.timestamp)
            bounds = (parameter(name, self._bound_type) for name in ("day_start", "day_end"))
            return exp.and_(_between(column, *bounds), *self._laid_by_parameter())
        if self.source.partition is None:
            return exp.or_(*(self._in_window(window) for window in windows(days)))
        return exp.or_(
            *(
                exp.and_(self._in_window(Window(day, day + DAY)), self._laid_near(day))
                for day in days
            )
        )

    def _in_window(self, window: Window) -> exp.Expr:
        column = self.column(self.source.timestamp)
        bounds = (_typed(self._bound(day), self._bound_type) for day in (window.start, window.end))
        return _between(column, *bounds)

    @property
    def _bound_type(self) -> str:
        kind = self._type(self.source.timestamp)
        return kind if kind == "date" or kind.endswith("time zone") else "timestamp(6)"

    def _bound(self, day: date) -> str:
        if self._bound_type == "date":
            return day.isoformat()
        return f"{day.isoformat()} 00:00:00" + (
            " UTC" if self._bound_type.endswith("time zone") else ""
        )

    def _laid_near(self, day: date) -> exp.Expr:
        kind = self._partition_type
        return self._laid_in([_typed(text, kind) for text in self._near(day)])

    def _laid_by_parameter(self) -> list[exp.Expr]:
        if self.source.partition is None:
            return []
        kind = self._partition_type
        count = self.source.partition.early + self.source.partition.late + 1
        return [self._laid_in([parameter(f"partition_{n}", kind) for n in range(count)])]

    def _laid_in(self, values: list[exp.Expr]) -> exp.Expr:
        column = self.column(self._partition.column)
        if len(values) == 1:
            return exp.EQ(this=column, expression=values[0])
        return exp.In(this=column, expressions=values)

    @property
    def _partition(self) -> Partition:
        if self.source.partition is None:
            raise ValueError(f"source {self.source.name!r} has no partition")
        return self.source.partition

    @property
    def _partition_type(self) -> str:
        return self._type(self._partition.column)

    def _near(self, day: date) -> list[str]:
        """Return the partitions that a row of ``day`` may lie in."""
        partition = self.source.partition
        if partition is None:
            return []
        dated = self._partition_type == "date" or self._partition_type.startswith("timestamp")
        written = "%Y-%m-%d" if dated else partition.format or "%Y-%m-%d"
        offsets = range(-partition.early, partition.late + 1)
        return [(day + timedelta(days=offset)).strftime(written) for offset in offsets]

    def _values(self, day: date) -> dict[str, str]:
        """Return what the parameters stand for on ``day``."""
        return {
            "ds": day.isoformat(),
            "day_start": self._bound(day),
            "day_end": self._bound(day + DAY),
            **{f"partition_{number}": text for number, text in enumerate(self._near(day))},
        }

    def expression(self, sql: str) -> exp.Expr:
        """Return a user's scalar expression over the source, with aliases put in.

        Raises:
            WarehouseError: If it names a column that the source does not have.
        """
        aliases = {name.lower(): formula for name, formula in self._aliases().items()}

        def qualified(node: exp.Expr) -> exp.Expr:
            if not isinstance(node, exp.Column):
                return node
            first, *fields = node.parts
            if not fields and first.name.lower() in aliases:
                return exp.paren(self._plain(aliases[first.name.lower()]))
            return self._field(first.name, fields)

        return expressions.parse_scalar(sql).transform(qualified)

    def _aliases(self) -> dict[str, str]:
        return getattr(self.source, "columns", {})

    def _plain(self, sql: str) -> exp.Expr:
        def qualified(node: exp.Expr) -> exp.Expr:
            if not isinstance(node, exp.Column):
                return node
            first, *fields = node.parts
            return self._field(first.name, fields)

        return expressions.parse_scalar(sql).transform(qualified)

    def _field(self, name: str, fields: Iterable[exp.Expr]) -> exp.Expr:
        column: exp.Expr = self.column(name)
        for field in fields:
            column = exp.Dot(this=column, expression=exp.to_identifier(field.name))
        return column

    def batches(
        self, days: Iterable[date], traits: Traits, build: Callable[[Days], exp.Query]
    ) -> tuple[Batch, ...]:
        """Return the batches that fill the partitions of ``days`` from this source.

        Args:
            days: The days.
            traits: How the warehouse likes its statements.
            build: Returns the SELECT of some days, or of one day that is named by parameters.
        """
        one_day: exp.Query | None = None
        found = []
        for portion in self.portions(days, traits):
            if self.observation.dated and len(portion) == 1:
                one_day = one_day or build(None)
                select, values = one_day, self._values(portion[0])
            else:
                select, values = build(portion), {}
            found.append(
                Batch(
                    select=select,
                    values=values,
                    partitions=portion,
                    reads=self._reads(self._used(select), portion),
                )
            )
        return tuple(found)

    def _used(self, select: exp.Query) -> frozenset[str]:
        """Return the columns of the source tables that a statement reads."""
        if self.source.table is None:
            names = expressions.columns_used(select)
        else:
            names = frozenset(
                node.name for node in select.find_all(exp.Column) if node.table == SOURCE_ALIAS
            )
        return frozenset(name.lower() for name in names)

    def _reads(self, used: frozenset[str], days: Sequence[date]) -> tuple[Read, ...]:
        return tuple(
            Read(
                table=table.table,
                columns=table.columns,
                files=table.files_of(days),
                used=used,
            )
            for table in self.observation.tables
        )

    def portions(self, days: Iterable[date], traits: Traits) -> tuple[tuple[date, ...], ...]:
        """Return ``days`` in portions of one statement each; days that no file holds are left out."""
        if not self.observation.dated:
            wanted = tuple(sorted(days))
            return (wanted,) if wanted else ()
        held = {day for file in self.observation.files for day in file.days}
        parts = components(held.intersection(days), self.observation.files)
        return self._joined(parts, traits)

    def _joined(
        self, parts: Iterable[tuple[date, ...]], traits: Traits
    ) -> tuple[tuple[date, ...], ...]:
        """Put neighbouring portions together as long as they suit the warehouse."""
        joined: list[tuple[date, ...]] = []
        for part in parts:
            both = tuple(sorted(joined[-1] + part)) if joined else ()
            if both and self._fits(both, traits):
                joined[-1] = both
            else:
                joined.append(part)
        return tuple(joined)

    def _fits(self, days: tuple[date, ...], traits: Traits) -> bool:
        if len(days) > traits.days_per_statement:
            return False
        if traits.bytes_per_statement is None:
            return True
        files = (file for table in self.observation.tables for file in table.files_of(days))
        return sum(file.size for file in files) <= traits.bytes_per_statement


def _naive(moment: exp.Expr) -> exp.Expr:
    utc = exp.AtTimeZone(this=moment, zone=exp.Literal.string("UTC"))
    return exp.cast(utc, "timestamp(6)", dialect=templates.DIALECT)


def _is_time(kind: str) -> bool:
    return kind == "date" or kind.startswith("timestamp")


def _can_be_date(kind: str, partition: Partition) -> bool:
    if kind in {"tinyint", "smallint", "integer", "bigint"}:
        return partition.format is not None
    return kind == "varchar" or _is_time(kind)


def parameter(name: str, kind: str) -> exp.Expr:
    """Return a parameter of a batch as a value of an Athena type."""
    return exp.cast(exp.Placeholder(this=name), kind, dialect=templates.DIALECT)


def _typed(text: str, kind: str) -> exp.Expr:
    return exp.cast(exp.Literal.string(text), kind, dialect=templates.DIALECT)


def _between(column: exp.Expr, start: exp.Expr, end: exp.Expr) -> exp.Expr:
    return exp.and_(
        exp.GTE(this=column, expression=start), exp.LT(this=column.copy(), expression=end)
    )

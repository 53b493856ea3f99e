"""Reconciliation: what is published against what a full load of the sources holds, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.days import in_words
from statsig_staging.plan import ColumnType, Refresh
from statsig_staging.planner import tables as staging
from statsig_staging.warehouses.base import SCRATCH

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from statsig_staging.config import Experiment
    from statsig_staging.plan import Column, Plan, Table
    from statsig_staging.results import LoadResult
    from statsig_staging.state import Published
    from statsig_staging.warehouses.base import Warehouse

TOLERANCE = "1e-9"
"""DOUBLE cells may be off by this part of the sum of the absolute values that went in."""

REASON = "differs from its source"
"""Why a day is read again that no source has changed."""

SHOWN = 20
"""So many differing rows of a table are shown; all are counted."""

_KEYS = {
    "exposure_counts": ("ds", "group_id"),
    "exposures_summary": ("ds", "group_id"),
    "results": (
        "experiment_id",
        "rollup",
        "ds",
        "day_index",
        "metric",
        "dimension",
        "dimension_value",
        "group_id",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A cell, or a whole row, that is not what its source says.

    Attributes:
        key: What names the row.
        column: The column; None where the row is on one side only.
        staged: What is published; for a row, whether it is there.
        recomputed: What the sources give.
    """

    key: Mapping[str, Any]
    column: str | None
    staged: Any
    recomputed: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDifferences:
    """How a table differs.

    Attributes:
        table: Its name, as in ``docs/tables.md``.
        rows: Number of rows that differ.
        days: Days that they belong to.
        shown: The differences of the first rows.
        source: The metric source that it is read from day by day; None for other tables.
    """

    table: str
    rows: int
    source: str | None = None
    days: tuple[date, ...] = ()
    shown: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What reconciling an experiment found.

    Attributes:
        experiment_id: The experiment.
        load_id: The published load that was compared.
        through: Its last day.
        tables: The tables that were compared, each with its differences.
        notes: What a person should know, such as days that changed since the load.
        healed: The load that read differing days again; None where none did.
    """

    experiment_id: str
    load_id: str
    through: date
    tables: tuple[TableDifferences, ...]
    notes: tuple[str, ...] = ()
    healed: LoadResult | None = field(default=None)

    @property
    def rows(self) -> int:
        """Number of rows that differ, of all tables."""
        return sum(table.rows for table in self.tables)


def compare(
    warehouse: Warehouse, database: str, load: Published, tables: Mapping[str, Table]
) -> tuple[TableDifferences, ...]:
    """Compare the tables of a published load with those of the scratch warehouse that is open."""
    return tuple(
        _differences(warehouse, database, load, name, table) for name, table in tables.items()
    )


def _differences(
    warehouse: Warehouse, database: str, load: Published, name: str, table: Table
) -> TableDifferences:
    version = load.tables.get(table.name.catalog)
    pairing = Pairing(name, table, database, version.snapshot_id if version is not None else None)
    rows = warehouse.fetch(pairing.count()).column(0)[0].as_py()
    source = table.name.source if table.partitioned else None
    if not rows:
        return TableDifferences(table=name, rows=0, source=source)
    days = warehouse.fetch(pairing.days()).column(0).to_pylist()
    found = warehouse.fetch(pairing.first(SHOWN)).to_pylist()
    return TableDifferences(
        table=name,
        rows=rows,
        source=source,
        days=tuple(sorted(day for day in days if day is not None)),
        shown=tuple(each for row in found for each in pairing.read(row)),
    )


def changes(plan: Plan) -> tuple[str, ...]:
    """Return what has changed since the published load, which the next load is going to do anyway."""
    if plan.refresh is Refresh.FULL:
        return (f"the load is out of date, {plan.reason}: run first",)
    return tuple(
        f"source {reading.source!r}: {in_words(reading.days)} changed since the load "
        f"({', '.join(dict.fromkeys(reading.days.values()))}); run first"
        for reading in plan.readings
        if reading.days
    )


def days_again(found: Reconciliation, experiment: Experiment) -> dict[str, dict[date, str]]:
    """Return source → days that are to be read again so that what differs is computed anew.

    A difference in a derived table alone has the first of its days read again: the tables after the
    exposures are brought up to date from there on.
    """
    again: dict[str, set[date]] = {}
    for table in found.tables:
        if table.source is not None:
            again.setdefault(table.source, set()).update(table.days)
        elif table.table in {"exposure_counts", "unit_day_exposures", "first_exposures"}:
            again.setdefault(experiment.assignment_source, set()).update(table.days)
        elif table.days:
            again.setdefault(experiment.assignment_source, set()).add(min(table.days))
    return {name: dict.fromkeys(sorted(days), REASON) for name, days in again.items() if days}


def after_healing(found: Reconciliation, healed: LoadResult) -> Reconciliation:
    """Return what is left after days were read again, and what helps if that was not enough."""
    notes = found.notes
    if found.rows:
        notes += ("reading days again did not suffice; a full refresh builds everything anew",)
    return replace(found, healed=healed, notes=notes)


@dataclass(frozen=True, slots=True)
class Pairing:
    """The rows of a table as published, beside those of the same key as recomputed.

    Attributes:
        name: The table's name, as in ``docs/tables.md``.
        table: The table.
        database: The staging database.
        snapshot_id: The published snapshot; None where the load has no such table.
    """

    name: str
    table: Table
    database: str
    snapshot_id: int | None

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that name a row."""
        if self.table.aggregates:
            return ("unit_id", "ds", "aggregate", "value")
        by_unit = ("unit_id", "ds") if self.table.partitioned else ("unit_id",)
        return _KEYS.get(self.name, by_unit)

    @property
    def values(self) -> tuple[Column, ...]:
        """The other columns."""
        return tuple(column for column in self.table.columns if column.name not in self.keys)

    def count(self) -> exp.Query:
        """Return the query of the number of rows that differ."""
        return self._differing(exp.alias_(exp.Count(this=exp.Star()), "differing"))

    def days(self) -> exp.Query:
        """Return the query of the days that the differing rows belong to."""
        return self._differing(exp.column("day", "p")).distinct()

    def first(self, most: int) -> exp.Query:
        """Return the query of the first differing rows, with both sides of each cell."""
        names = ["staged", "recomputed", *(f"key_{n}" for n, _ in enumerate(self.keys))]
        for number, _ in enumerate(self.values):
            names += [f"s_{number}", f"r_{number}", f"differs_{number}"]
        columns = (exp.column(name, "p") for name in names)
        keys = (exp.column(f"key_{number}", "p") for number, _ in enumerate(self.keys))
        return self._differing(*columns).order_by(*keys).limit(most)

    def read(self, row: Mapping[str, Any]) -> list[Difference]:
        """Return the differences that a row of :meth:`first` tells."""
        key = {name: row[f"key_{number}"] for number, name in enumerate(self.keys)}
        staged, recomputed = row["staged"] is not None, row["recomputed"] is not None
        if staged != recomputed:
            return [Difference(key=key, column=None, staged=staged, recomputed=recomputed)]
        return [
            Difference(key=key, column=column.name, staged=row[f"s_{n}"], recomputed=row[f"r_{n}"])
            for n, column in enumerate(self.values)
            if row[f"differs_{n}"]
        ]

    def _differing(self, *columns: exp.Expr) -> exp.Select:
        unpaired = [
            exp.Is(this=exp.column(side, "p"), expression=exp.null())
            for side in ("staged", "recomputed")
        ]
        cells = [exp.column(f"differs_{number}", "p") for number, _ in enumerate(self.values)]
        return (
            exp.select(*columns)
            .from_(self._paired().subquery("p"))
            .where(exp.or_(*unpaired, *cells))
        )

    def _paired(self) -> exp.Select:
        staged, recomputed = self._side(self._staged(), "x"), self._side(self._recomputed(), "y")
        on: list[exp.Expr] = [
            exp.NullSafeEQ(this=_cell(name, "s"), expression=_cell(name, "r")) for name in self.keys
        ]
        on.append(exp.EQ(this=exp.column("copy", "s"), expression=exp.column("copy", "r")))
        columns: list[exp.Expr] = [
            exp.alias_(exp.column("copy", "s"), "staged"),
            exp.alias_(exp.column("copy", "r"), "recomputed"),
            exp.alias_(self._day(), "day"),
        ]
        for number, name in enumerate(self.keys):
            either = exp.Coalesce(this=_cell(name, "s"), expressions=[_cell(name, "r")])
            columns.append(exp.alias_(either, f"key_{number}"))
        for number, column in enumerate(self.values):
            columns += [
                exp.alias_(_cell(column.name, "s"), f"s_{number}"),
                exp.alias_(_cell(column.name, "r"), f"r_{number}"),
                exp.alias_(self._differs(column), f"differs_{number}"),
            ]
        return (
            exp.select(*columns)
            .from_(staged.subquery("s"))
            .join(recomputed.subquery("r"), on=exp.and_(*on), join_type="full outer")
        )

    def _staged(self) -> exp.Table:
        if self.snapshot_id is None:
            return self._recomputed()
        return staging.node(self.database, self.table, self.snapshot_id)

    def _recomputed(self) -> exp.Table:
        return exp.table_(self.table.name.catalog, db=SCRATCH, quoted=True)

    def _side(self, relation: exp.Table, alias: str) -> exp.Select:
        """Return one side, its rows of one key numbered; unit-days that are empty count as absent."""
        others = [_cell(column.name, alias) for column in self.values]
        number = exp.Window(
            this=exp.RowNumber(),
            partition_by=[_cell(name, alias) for name in self.keys],
            order=exp.Order(expressions=[exp.Ordered(this=each) for each in others])
            if others
            else None,
        )
        query = exp.select(
            *(_cell(column.name, alias) for column in self.table.columns),
            exp.alias_(number, "copy"),
        ).from_(templates.aliased(relation, alias))
        if self.table.name.kind == "unit_day_metrics" and others:
            present = (exp.not_(exp.Is(this=each.copy(), expression=exp.null())) for each in others)
            query = query.where(exp.or_(*present))
        counts = staging.counting(self.table, alias)
        if counts is not None:
            query = query.where(counts)
        if self.snapshot_id is None and alias == "x":
            query = query.where(exp.false())
        return query

    def _day(self) -> exp.Expr:
        name = "ds" if "ds" in self.keys else "first_exposure_ds"
        if name not in {column.name for column in self.table.columns}:
            return exp.cast(exp.null(), "date")
        earlier = exp.Least(this=_cell(name, "s"), expressions=[_cell(name, "r")])
        return exp.Coalesce(this=earlier, expressions=[_cell(name, "s"), _cell(name, "r")])

    def _differs(self, column: Column) -> exp.Expr:
        staged, recomputed = _cell(column.name, "s"), _cell(column.name, "r")
        exactly = exp.NullSafeNEQ(this=staged, expression=recomputed)
        if column.type is not ColumnType.DOUBLE:
            return exactly
        distance = exp.Abs(this=exp.Sub(this=staged.copy(), expression=recomputed.copy()))
        allowed = exp.Mul(
            this=exp.cast(exp.Literal.string(TOLERANCE), "double"), expression=self._scale(column)
        )
        close = exp.Coalesce(
            this=exp.LTE(this=distance, expression=allowed), expressions=[exp.false()]
        )
        return exp.and_(exactly, exp.not_(close))

    def _scale(self, column: Column) -> exp.Expr:
        """Return about the sum of the absolute values that went into a cell."""
        sizes: list[exp.Expr] = [exp.Abs(this=_cell(column.name, side)) for side in ("s", "r")]
        if self.name == "results":
            more = _SCALES.get(column.name)
            if more is not None:
                sum_of = templates.bind_columns(more, "r")
                sizes.append(exp.Coalesce(this=sum_of, expressions=[_double(0)]))
        return exp.Greatest(this=sizes[0], expressions=sizes[1:])


def _double(value: int) -> exp.Expr:
    return exp.cast(exp.Literal.number(value), "double")


def _cell(name: str, alias: str) -> exp.Column:
    return exp.column(name, alias, quoted=True)


_SCALES = {
    "total": "SQRT(units * total_squares)",
    "mean": "SQRT(units * total_squares) / NULLIF(ABS(COALESCE(denominator_total, units)), 0)",
    "variance": "total_squares / NULLIF(units - 1, 0)",
    "denominator_total": "SQRT(units * denominator_total_squares)",
    "numerator_denominator_product": "SQRT(total_squares * denominator_total_squares)",
}
"""Column of the results → a bound of what went in: Σ|x| is at most √(n Σx²)."""

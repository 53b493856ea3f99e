"""The staging tables of an experiment: their names and columns, as ``docs/tables.md`` documents them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.aggregates import (
    ValueKind,
    expression_column,
    moment_expressions,
    number_expressions,
    text_expressions,
)
from statsig_staging.names import experiment_table, source_table
from statsig_staging.plan import Column, ColumnType, Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from statsig_staging.aggregates import Aggregate
    from statsig_staging.config import AssignmentSource, MetricSource

_STRING, _LONG, _DOUBLE = ColumnType.STRING, ColumnType.LONG, ColumnType.DOUBLE
_DATE, _TIMESTAMP, _BOOLEAN = ColumnType.DATE, ColumnType.TIMESTAMP, ColumnType.BOOLEAN

_UNIT = Column("unit_id", _STRING, "The unit, as a string")
_DS = Column("ds", _DATE, "UTC day")


def unit_day_exposures(experiment_id: str, source: AssignmentSource) -> Table:
    """Return the table of units by day of exposure."""
    return Table(
        name=experiment_table("unit_day_exposures", experiment_id),
        experiment_id=experiment_id,
        partitioned=True,
        columns=(
            _UNIT,
            _DS,
            Column("first_exposure", _TIMESTAMP, "First exposure of that day, UTC"),
            Column("group_id", _STRING, "Group of the first exposure of that day"),
            Column("min_group_id", _STRING, "Smallest group of that day"),
            Column("max_group_id", _STRING, "Largest group of that day"),
            Column(
                "crossover_at",
                _TIMESTAMP,
                "First exposure of that day to another group than group_id",
            ),
            *_context(source),
        ),
    )


def exposure_counts(experiment_id: str) -> Table:
    """Return the table of exposure rows by day and group."""
    return Table(
        name=experiment_table("exposure_counts", experiment_id),
        experiment_id=experiment_id,
        partitioned=True,
        columns=(
            _DS,
            Column("group_id", _STRING, "Group as the source has it; empty for none"),
            Column("exposures", _LONG, "Rows of the experiment, also those that are left out"),
            Column("without_unit", _LONG, "Of these, rows without a unit id"),
        ),
    )


def first_exposures(experiment_id: str, source: AssignmentSource) -> Table:
    """Return the table of units."""
    return Table(
        name=experiment_table("first_exposures", experiment_id),
        experiment_id=experiment_id,
        columns=(
            _UNIT,
            Column("group_id", _STRING, "Group of the first exposure"),
            Column("first_exposure", _TIMESTAMP, "First exposure, UTC"),
            Column("first_exposure_ds", _DATE, "UTC day of the first exposure"),
            Column("crossover", _BOOLEAN, "Whether the unit was seen in more than one group"),
            Column("crossover_at", _TIMESTAMP, "First exposure to a second group, UTC"),
            *_context(source),
        ),
    )


def _context(source: AssignmentSource) -> tuple[Column, ...]:
    return tuple(
        Column(name.lower(), _STRING, f"First {column} of the day that is not null")
        for name, column in source.context.items()
    )


def exposures_summary(experiment_id: str) -> Table:
    """Return the table of exposures by day and group."""
    return Table(
        name=experiment_table("exposures_summary", experiment_id),
        experiment_id=experiment_id,
        columns=(
            _DS,
            Column("group_id", _STRING, "Group"),
            Column("daily_first_exposures", _LONG, "Units first exposed on that day"),
            Column("daily_crossovers", _LONG, "Units that leave the results on that day"),
            Column("cumulative_exposures", _LONG, "Counted units at the end of that day"),
        ),
    )


def unit_day_metrics(
    experiment_id: str, source: str, aggregates: Iterable[Aggregate], number: int = 1
) -> Table:
    """Return the table of a metric source's aggregates by unit and day; one of several has a number."""
    return Table(
        name=source_table("unit_day_metrics", experiment_id, source, number),
        experiment_id=experiment_id,
        partitioned=True,
        columns=(_UNIT, _DS, *_aggregated(aggregates)),
    )


def unit_totals(
    experiment_id: str, source: str, aggregates: Iterable[Aggregate], number: int = 1
) -> Table:
    """Return the table of the totals of what :func:`unit_day_metrics` of this number holds, through one day.

    Before an exposure nothing is added up.
    """
    through = Column("ds", _DATE, "Last day that went in, the same in every row")
    return Table(
        name=source_table("unit_totals", experiment_id, source, number),
        experiment_id=experiment_id,
        columns=(_UNIT, through, *_aggregated(each for each in aggregates if each.counts_after)),
    )


_VALUES = {
    ValueKind.DISTINCT: Column("value", _STRING, "The value, as text"),
    ValueKind.PERCENTILE: Column("value", _DOUBLE, "The value"),
    ValueKind.MOMENT: Column("value", _TIMESTAMP, "When it happened, UTC"),
    ValueKind.LEVEL: Column("value", _STRING, "Level of a metric dimension; empty for none"),
}

_MORE_KEYS = {
    ValueKind.MOMENT: (
        Column("session", _STRING, "The session; empty where sessions are not told apart"),
    ),
}
_MEASURES = {
    ValueKind.LEVEL: Column("number", _DOUBLE, "What rows of that day with this level come to"),
}
_OCCURRENCES = Column("occurrences", _LONG, "Rows of that day with this value")


def values(
    kind: ValueKind, experiment_id: str, source: str, aggregates: Iterable[Aggregate]
) -> Table:
    """Return the table of a metric source's values, one by one, by unit and day."""
    return Table(
        name=source_table(kind, experiment_id, source),
        experiment_id=experiment_id,
        partitioned=True,
        columns=(
            _UNIT,
            _DS,
            Column("aggregate", _STRING, "What the value is of: the hash of a definition"),
            _VALUES[kind],
            *_MORE_KEYS.get(kind, ()),
            _MEASURES.get(kind, _OCCURRENCES),
        ),
        aggregates=tuple(sorted(each.column for each in aggregates)),
    )


def of_aggregates(columns: Iterable[str], alias: str) -> exp.Expr:
    """Return the condition that a row of values is of one of some aggregates."""
    found = [templates.literal(column) for column in sorted(columns)]
    return exp.In(this=exp.column("aggregate", alias), expressions=found) if found else exp.false()


def metric_rows(experiment_id: str, source: MetricSource, aggregates: Iterable[Aggregate]) -> Table:
    """Return the table of a metric source's rows that are kept for units whose exposure arrives late."""
    found = list(aggregates)
    flags = {
        expression_column(source, "where", sql): sql
        for sql in sorted({a.filter for a in found if a.filter is not None})
    }
    numbers = {
        expression_column(source, "value", sql): sql for sql in sorted(number_expressions(found))
    }
    texts = {expression_column(source, "text", sql): sql for sql in sorted(text_expressions(found))}
    moments = {
        expression_column(source, "moment", sql): sql for sql in sorted(moment_expressions(found))
    }
    return Table(
        name=source_table("metric_rows", experiment_id, source.name),
        experiment_id=experiment_id,
        partitioned=True,
        columns=(
            _UNIT,
            Column("occurred_at", _TIMESTAMP, "When it happened, UTC"),
            _DS,
            *(Column(name, _BOOLEAN, f"Whether {sql}") for name, sql in flags.items()),
            *(Column(name, _DOUBLE, f"Value of {sql}") for name, sql in numbers.items()),
            *(Column(name, _STRING, f"Value of {sql}, as text") for name, sql in texts.items()),
            *(Column(name, _TIMESTAMP, f"Moment of {sql}, UTC") for name, sql in moments.items()),
        ),
    )


def _aggregated(aggregates: Iterable[Aggregate]) -> tuple[Column, ...]:
    return tuple(
        Column(aggregate.column, _LONG if aggregate.is_whole else _DOUBLE, aggregate.doc)
        for aggregate in aggregates
    )


_COVARIATE_COLUMNS = (
    ("covariate_total", "Sum of the units' values before their exposure"),
    ("covariate_total_squares", "Sum of their squares"),
    ("covariate_product", "Sum of numerator times covariate"),
    ("denominator_covariate_total", "Sum of the units' denominators before their exposure"),
    ("denominator_covariate_total_squares", "Sum of their squares"),
    ("numerator_denominator_covariate_product", "Sum of numerator times denominator's covariate"),
    ("denominator_covariate_product", "Sum of denominator times covariate"),
    (
        "denominator_denominator_covariate_product",
        "Sum of denominator times denominator's covariate",
    ),
    ("covariates_product", "Sum of covariate times denominator's covariate"),
)


def results(experiment_id: str) -> Table:
    """Return the table of group statistics."""
    return Table(
        name=experiment_table("results", experiment_id),
        experiment_id=experiment_id,
        columns=(
            Column("experiment_id", _STRING, "The experiment"),
            Column(
                "rollup", _STRING, "daily, cumulative, days_since_exposure, 7_day, 14_day or 28_day"
            ),
            Column("ds", _DATE, "UTC day"),
            Column("day_index", _LONG, "Days since exposure, where the rollup counts them"),
            Column("metric", _STRING, "The metric"),
            Column("dimension", _STRING, "The dimension; null for the whole population"),
            Column("dimension_value", _STRING, "Its value; null for the whole population"),
            Column("group_id", _STRING, "Group"),
            Column("units", _LONG, "Counted units"),
            Column("total", _DOUBLE, "Sum of the unit values; of the numerator where there is one"),
            Column("total_squares", _DOUBLE, "Sum of their squares"),
            Column("mean", _DOUBLE, "total over units, or over denominator_total"),
            Column("variance", _DOUBLE, "Sample variance of the unit values"),
            Column("denominator_total", _DOUBLE, "Sum of the units' denominators"),
            Column("denominator_total_squares", _DOUBLE, "Sum of their squares"),
            Column("numerator_denominator_product", _DOUBLE, "Sum of numerator times denominator"),
            *(Column(name, _DOUBLE, doc) for name, doc in _COVARIATE_COLUMNS),
        ),
    )


def counting(table: Table, alias: str | None = None) -> exp.Expr | None:
    """Return the condition that a row of a table of values is of an aggregate that counts; None for others."""
    if not table.aggregates:
        return None
    names = [templates.literal(name) for name in table.aggregates]
    return exp.In(this=exp.column("aggregate", alias, quoted=True), expressions=names)


def node(database: str, table: Table, snapshot_id: int | None = None) -> exp.Table:
    """Return a staging table as something to select from, at one of its snapshots if given."""
    found = exp.table_(table.name.catalog, db=database, quoted=True)
    if snapshot_id is not None:
        found.set("version", templates.snapshot(snapshot_id))
    return found

"""Look at the sources of an experiment: what files they hold, and what types their expressions have."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import aggregates, expressions
from statsig_staging.errors import WarehouseError
from statsig_staging.planner.scans import SOURCE_ALIAS, Scan
from statsig_staging.planner.watching import dating
from statsig_staging.sources import Observation, file_changes
from statsig_staging.templates import aliased
from statsig_staging.warehouses.base import Sighting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from statsig_staging.aggregates import Aggregate
    from statsig_staging.config import AssignmentSource, Experiment, MetricSource
    from statsig_staging.days import Window
    from statsig_staging.planner.watching import Dating
    from statsig_staging.sources import SourceFile, TableObservation
    from statsig_staging.warehouses.base import Warehouse

_NO_TEXT = ("array", "map", "row", "varbinary")
_NUMBERS = ("tinyint", "smallint", "integer", "bigint", "real", "double", "decimal")

Known = dict[tuple[str, str], dict[str, "SourceFile"]]
"""(source, table) → path → file, as the last load knew it."""


def observe(
    warehouse: Warehouse,
    source: AssignmentSource | MetricSource,
    experiment: Experiment,
    known: Mapping[tuple[str, str], Mapping[str, SourceFile]],
    days: Window | None = None,
) -> Observation:
    """Return what a source holds; files that are still as ``known`` are not opened.

    Args:
        warehouse: Where it is.
        source: The source.
        experiment: Whose days matter.
        known: Its files, as the last load knew them.
        days: The days that matter; None where the days of the files are not asked about.

    Raises:
        WarehouseError: If a table or a column is missing.
        SourceFileError: If a file cannot be read.
    """
    if source.table is None:
        return _observe_query(warehouse, source, experiment, known)
    table = _plain_name(expressions.parse_table(source.table))
    sighting = Sighting(
        table=table,
        timestamp=source.timestamp,
        partition=source.partition,
        units=(source.units[experiment.unit].lower(),),
        window=days,
    )
    before = known.get((source.name, table), {})
    seen = warehouse.observe(sighting, before)
    seen = replace(seen, dated=not seen.opaque)
    return Observation(
        source=source.name,
        columns=seen.columns,
        tables=(seen,),
        dated=seen.dated,
        changes=() if seen.dated else file_changes(seen, before),
    )


def _plain_name(table: exp.Table) -> str:
    if not table.db:
        raise WarehouseError(
            f'table {table.name!r} has no database; write "database"."{table.name}"'
        )
    return f"{table.db}.{table.name}"


def _observe_query(
    warehouse: Warehouse,
    source: AssignmentSource | MetricSource,
    experiment: Experiment,
    known: Mapping[tuple[str, str], Mapping[str, SourceFile]],
) -> Observation:
    query = expressions.parse_query(source.sql or "")
    dated = dating(query, source.timestamp)
    names = [_plain_name(table) for table in expressions.tables(query)]
    tables = tuple(
        _observe_under_query(warehouse, name, dated, known.get((source.name, name), {}))
        for name in names
    )
    start = experiment.start
    bound = expressions.bind_macros(query, start, start, datetime.combine(start, time(), UTC))
    try:
        columns = warehouse.types(bound, {table.table: table.columns for table in tables})
    except WarehouseError as error:
        raise WarehouseError(f"source {source.name!r}: sql: {error}") from error
    return Observation(
        source=source.name,
        columns={name.lower(): kind for name, kind in columns.items()},
        tables=tables,
        dated=False,
        changes=tuple(
            change
            for table in tables
            for change in file_changes(table, known.get((source.name, table.table), {}))
        ),
    )


def _observe_under_query(
    warehouse: Warehouse, table: str, dated: Dating | None, known: Mapping[str, SourceFile]
) -> TableObservation:
    """Return what a table under a query holds, with the days of its files where the query tells them."""
    if dated is None or dated.table != table:
        return warehouse.observe(Sighting(table=table), known)
    seen = warehouse.observe(Sighting(table=table, timestamp=dated.column), known)
    if seen.opaque:
        return seen
    if dated.is_cut and seen.columns.get(dated.column, "").endswith("time zone"):
        # Athena takes the day that a moment has in its own zone, which may not be that in UTC.
        return replace(seen, files=tuple(replace(file, days=()) for file in seen.files))
    return replace(seen, dated=seen.columns.get(dated.column, "").startswith(("date", "timestamp")))


def with_expressions(warehouse: Warehouse, scan: Scan, wanted: Iterable[Aggregate]) -> Observation:
    """Return the observation with the types of the aggregates' filters and values.

    Raises:
        WarehouseError: If a filter is not a condition, or a value is not a number or, to be told from
            others, not of a type that has text, or a moment is none.
    """
    found = list(wanted)
    if not scan.observation.columns:
        return scan.observation
    filters = sorted({a.filter for a in found if a.filter is not None})
    values = sorted(aggregates.number_expressions(found))
    texts = sorted(aggregates.text_expressions(found))
    moments = sorted(aggregates.moment_expressions(found))
    types = _types(warehouse, scan, list(dict.fromkeys([*filters, *values, *texts, *moments])))
    for sql in filters:
        if types[sql] != "boolean" and not _names_unknown(scan, sql):
            raise WarehouseError(
                f"metric source {scan.source.name!r}: filter {sql!r} is of type {types[sql]}; "
                "it must be a condition"
            )
    for sql in values:
        if not types[sql].startswith(_NUMBERS) and not _names_unknown(scan, sql):
            raise WarehouseError(
                f"metric source {scan.source.name!r}: value {sql!r} is of type {types[sql]}; "
                "it must be a number"
            )
    for sql in texts:
        if types[sql].startswith(_NO_TEXT):
            raise WarehouseError(
                f"metric source {scan.source.name!r}: value {sql!r} is of type {types[sql]}; "
                "distinct values and levels can be of a number, a string, a boolean, a date or a timestamp"
            )
    for sql in moments:
        if not types[sql].startswith(("timestamp", "date")) and not _names_unknown(scan, sql):
            raise WarehouseError(
                f"metric source {scan.source.name!r}: {sql!r} is of type {types[sql]}; what lies after or "
                "before an exposure must be a timestamp or a date"
            )
    return replace(scan.observation, expressions=types)


def _names_unknown(scan: Scan, sql: str) -> bool:
    """Return whether an expression is over a column that has no value in any file."""
    columns = scan.expression(sql).find_all(exp.Column)
    return any(scan.observation.columns.get(column.name) == "unknown" for column in columns)


def _types(warehouse: Warehouse, scan: Scan, wanted: list[str]) -> dict[str, str]:
    if not wanted:
        return {}
    names = {f"e{number}": sql for number, sql in enumerate(wanted)}
    query = exp.select(
        *(exp.alias_(exp.paren(scan.expression(sql)), name) for name, sql in names.items())
    ).from_(aliased(scan.relation([scan.experiment.start]), SOURCE_ALIAS))
    tables = {table.table: table.columns for table in scan.observation.tables}
    found = warehouse.types(query, tables)
    return {sql: found[name] for name, sql in names.items()}

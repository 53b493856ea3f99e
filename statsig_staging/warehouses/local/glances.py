"""A look at one source file: its columns, rows and days, before any statement reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from statsig_staging.errors import SourceFileError
from statsig_staging.warehouses.layout import partition_date
from statsig_staging.warehouses.local import files, ndjson
from statsig_staging.warehouses.local.drivers import said
from statsig_staging.warehouses.local.stamps import check_file, files_of, stamped, still

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from statsig_staging.config import Partition
    from statsig_staging.plan import Batch
    from statsig_staging.sources import SourceFile
    from statsig_staging.warehouses.base import Sighting


@dataclass(frozen=True, slots=True, kw_only=True)
class _Glance:
    """What a file's footer or head tells, before any row is read."""

    rows: int
    columns: Mapping[str, str]
    nulls: Mapping[str, int]
    column_bytes: Mapping[str, int]
    span: tuple[date, date] | None = None
    delimiter: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)


def observe_file(
    path: Path,
    before: SourceFile | None,
    sighting: Sighting,
    root: Path,
    connection: duckdb.DuckDBPyConnection,
    seen_ns: int,
    *,
    laid: Mapping[str, str] | None = None,
) -> SourceFile:
    """Return what one source file holds; one that is still as it was is not opened.

    A Parquet file is known by its footer; its rows are read only where the footer cannot tell their days.

    Args:
        path: The file.
        before: What is known of it from an earlier look, if anything is.
        sighting: What is looked at, and how its days are told.
        root: The project folder, below which ``key=value`` folders are columns.
        connection: Where rows are read.
        seen_ns: The time, nanoseconds since 1970.
        laid: Values of partition columns that no folder names; the file has these columns too.

    Raises:
        SourceFileError: If the file cannot be read.
    """
    folders = files.folder_columns(path, root)
    try:
        same = still(path, before, seen_ns) if before is not None else None
        if same is not None:
            return same
        found = stamped(path, seen_ns)
        glance = _glance(path, sighting, connection)
        file = replace(
            found,
            rows=glance.rows,
            columns={
                **glance.columns,
                **{key: files.folder_type(value) for key, value in folders.items()},
            },
            nulls=glance.nulls,
            column_bytes=glance.column_bytes,
            delimiter=glance.delimiter,
            keys=glance.keys,
        )
        partitions = {**folders, **(laid or {})}
        days, misplaced = days_of(file, glance.span, sighting, partitions, connection, root)
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise SourceFileError(f"{path}: cannot be read: {_reason(error)}") from error
    return replace(file, days=days, misplaced=misplaced)


_LONGEST_REASON = 400


def _reason(error: Exception) -> str:
    return said(error)[:_LONGEST_REASON] or type(error).__name__


def blame(
    batches: Iterable[Batch],
    root: Path,
    connection: duckdb.DuckDBPyConnection,
    failure: Exception,
) -> None:
    """Name the source file that a failed statement could not read, if there is one.

    Raises:
        SourceFileError: If one of the files cannot be read by itself.
    """
    for file in files_of(batches):
        if file.path in str(failure):
            return
        check_file(file, failure)
        rows = files.source_relation([file], files.merged_columns([file]), root)
        columns = [exp.column(name, quoted=True) for name in file.columns]
        whole = exp.Anonymous(this="hash", expressions=columns or [exp.Literal.number(1)])
        query = exp.select(exp.Anonymous(this="bit_xor", expressions=[whole])).from_(
            rows.subquery("s")
        )
        try:
            connection.execute(query.sql("duckdb")).fetchall()
        except duckdb.Error as error:
            raise SourceFileError(f"{file.path}: cannot be read: {_reason(error)}") from failure


def _glance(path: Path, sighting: Sighting, connection: duckdb.DuckDBPyConnection) -> _Glance:
    if files.file_format(path) == "parquet":
        return _glance_parquet(path, sighting, connection)
    if path.stat().st_size == 0:
        return _Glance(rows=0, columns={}, nulls={}, column_bytes={})
    return _glance_text(path, sighting, connection)


def _glance_parquet(
    path: Path, sighting: Sighting, connection: duckdb.DuckDBPyConnection
) -> _Glance:
    footer = pq.read_metadata(path)
    schema = footer.schema.to_arrow_schema()
    columns = {
        name.lower(): files.arrow_type(kind)
        for name, kind in zip(schema.names, schema.types, strict=False)
    }
    sizes: dict[str, int] = {}
    nulls: dict[str, int | None] = {}
    bounds: list[tuple[date, date] | None] = []
    for group in range(footer.num_row_groups):
        for index in range(footer.num_columns):
            chunk = footer.row_group(group).column(index)
            name = chunk.path_in_schema.split(".")[0].lower()
            sizes[name] = sizes.get(name, 0) + chunk.total_compressed_size
            if name in sighting.units:
                missing = _missing(chunk)
                counted = nulls.get(name, 0)
                nulls[name] = None if missing is None or counted is None else counted + missing
            if sighting.timestamp is not None and name == sighting.timestamp.lower():
                bounds.append(_bounds(chunk))
    known = [bound for bound in bounds if bound is not None]
    span = None
    if known and len(known) == len(bounds):
        span = (min(low for low, _ in known), max(high for _, high in known))
    uncounted = [name for name, count in nulls.items() if count is None]
    if uncounted:
        reader = files.table_function([str(path)], "parquet")
        nulls |= count_nulls(reader, uncounted, {}, connection)[1]
    return _Glance(
        rows=footer.num_rows,
        columns=columns,
        nulls={name: count or 0 for name, count in nulls.items()},
        column_bytes=sizes,
        span=span,
    )


def _missing(chunk: pq.ColumnChunkMetaData) -> int | None:
    """Return how many values of an id column are null; None where the footer cannot tell, or some are empty."""
    statistics = chunk.statistics
    if statistics is None or statistics.null_count is None:
        return None
    if statistics.has_min_max and statistics.min in ("", b""):
        return None
    found: int = statistics.null_count
    return found


def _bounds(chunk: pq.ColumnChunkMetaData) -> tuple[date, date] | None:
    statistics = chunk.statistics
    if statistics is None or not statistics.has_min_max:
        return None
    try:
        low, high = statistics.min, statistics.max
    except (ValueError, pa.ArrowException):
        return None
    if not isinstance(low, date) or not isinstance(high, date):
        return None
    return _day(low), _day(high)


def _day(value: date) -> date:
    return value.date() if isinstance(value, datetime) else value


def _glance_text(path: Path, sighting: Sighting, connection: duckdb.DuckDBPyConnection) -> _Glance:
    keys: dict[str, str] = {}
    delimiter = ""
    if files.file_format(path) == "csv":
        delimiter = csv_delimiter(path, connection)
        reader = files.table_function([str(path)], "csv", delimiter=delimiter)
        columns = csv_types(reader, connection)
    else:
        keys = ndjson.keys_of(path, connection)
        columns = ndjson.types_of(path, keys, _MOMENTS, connection)
        if not keys:
            return _Glance(rows=0, columns={}, nulls={}, column_bytes={})
        texts = dict.fromkeys(keys.values(), "VARCHAR")
        reader = files.table_function([str(path)], "json", columns=texts)
    wanted = [name for name in sighting.units if name in columns]
    rows, nulls = count_nulls(reader, wanted, keys, connection)
    if not rows:
        columns = dict.fromkeys(columns, "unknown")
    return _Glance(
        rows=rows,
        columns=columns,
        nulls=nulls,
        column_bytes={"": path.stat().st_size},
        delimiter=delimiter,
        keys={name: key for name, key in keys.items() if name != key},
    )


def count_nulls(
    reader: exp.Expr,
    columns: Sequence[str],
    keys: Mapping[str, str],
    connection: duckdb.DuckDBPyConnection,
) -> tuple[int, dict[str, int]]:
    """Return the number of rows, and of those without an id in each of some columns."""
    counts: list[exp.Expr] = [exp.Count(this=exp.Star())]
    for name in columns:
        text = exp.cast(exp.column(keys.get(name, name), quoted=True), "varchar")
        present = exp.Nullif(this=text, expression=exp.Literal.string(""))
        counts.append(exp.Count(this=present))
    query = exp.select(*counts).from_(reader)
    rows, *present_rows = connection.execute(query.sql("duckdb")).fetchall()[0]
    missing = (rows - count for count in present_rows)
    return rows, dict(zip(columns, missing, strict=True))


_DELIMITERS = ",;\t|"


def csv_delimiter(path: Path, connection: duckdb.DuckDBPyConnection) -> str:
    """Return the delimiter of a CSV file: of ``, ; tab |`` the one that its header has most of.

    DuckDB guesses a dialect for each file and, where a line does not fit, guesses another one until
    all do; a short line then silently turns the whole file into one column.
    """
    line = exp.Struct(
        expressions=[
            exp.PropertyEQ(this=exp.to_identifier("line"), expression=exp.Literal.string("VARCHAR"))
        ]
    )
    options = {
        "auto_detect": exp.false(),
        "columns": line,
        "delim": exp.Literal.string("\x01"),
        "quote": exp.Literal.string(""),
        "escape": exp.Literal.string(""),
        "header": exp.false(),
        "strict_mode": exp.false(),
    }
    reader = files.call("read_csv", [str(path)], options)
    query = exp.select("line").from_(reader).limit(1)
    found = connection.execute(query.sql("duckdb")).fetchone()
    header = re.sub(r'"[^"]*"', "", str(found[0]) if found and found[0] else "")
    return max(_DELIMITERS, key=header.count)


_CSV_FORMS = (
    ("boolean", r"(?i)true|false"),
    ("bigint", r"-?(0|[1-9]\d{0,17})"),
    ("double", r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?"),
    ("date", r"\d{4}-\d{2}-\d{2}"),
    ("timestamp(6)", r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?"),
    (
        "timestamp(6) with time zone",
        r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?\s?(Z|UTC|[+-]\d{2}(:?\d{2})?)",
    ),
)
"""How the values of a CSV column must all look for it to be more than text; ids keep leading zeros."""

_MOMENTS = _CSV_FORMS[3:]
"""How the texts of an NDJSON column must all look for it to be days or moments."""


def csv_types(reader: exp.Table, connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the columns of a CSV file with the first type that all their values look like."""
    names = [
        str(row[0])
        for row in connection.execute(f"DESCRIBE SELECT * FROM {reader.sql('duckdb')}").fetchall()
    ]
    tests: list[exp.Expr] = []
    for name in names:
        column = exp.column(name, quoted=True)
        tests.append(exp.Count(this=column))
        for _, form in _CSV_FORMS:
            matches = exp.Anonymous(
                this="regexp_full_match", expressions=[column.copy(), exp.Literal.string(form)]
            )
            tests.append(exp.Anonymous(this="bool_and", expressions=[matches]))
    row = connection.execute(exp.select(*tests).from_(reader).sql("duckdb")).fetchall()[0]
    width = len(_CSV_FORMS) + 1
    found = {}
    for index, name in enumerate(names):
        present, *fits = row[index * width : (index + 1) * width]
        kinds = [kind for (kind, _), fit in zip(_CSV_FORMS, fits, strict=True) if fit]
        found[name.lower()] = "unknown" if not present else (kinds or ["varchar"])[0]
    return found


def days_of(
    file: SourceFile,
    span: tuple[date, date] | None,
    sighting: Sighting,
    folders: Mapping[str, str | None],
    connection: duckdb.DuckDBPyConnection,
    root: Path,
) -> tuple[tuple[date, ...], int]:
    """Return the days of the rows that count, and the number of rows too far from their partition."""
    if sighting.timestamp is None or not file.rows:
        return (), 0
    if not _is_time(file.columns.get(sighting.timestamp.lower(), "")):
        return (), 0
    partition = sighting.partition
    if span is not None and span[0] == span[1]:
        if partition is None:
            return (span[0],), 0
        laid = folder_date(folders, partition)
        if laid is not None:
            return ((span[0],), 0) if is_near(span[0], laid, partition) else ((), file.rows)
    return _scan_days(file, sighting, connection, root)


def _is_time(kind: str) -> bool:
    return kind == "date" or kind.startswith("timestamp")


def folder_date(folders: Mapping[str, str | None], partition: Partition) -> date | None:
    """Return the date of the folder that a file lies in, where the partition column is a folder."""
    return partition_date(folders.get(partition.column.lower()), partition)


def is_near(day: date, laid: date, partition: Partition) -> bool:
    """Return whether a row of ``day`` may lie in the partition of the date ``laid``."""
    early, late = timedelta(days=partition.early), timedelta(days=partition.late)
    return day - early <= laid <= day + late


def _scan_days(
    file: SourceFile, sighting: Sighting, connection: duckdb.DuckDBPyConnection, root: Path
) -> tuple[tuple[date, ...], int]:
    relation = files.source_relation([file], files.merged_columns([file]), root)
    timestamp = exp.column(str(sighting.timestamp).lower(), quoted=True)
    day = exp.cast(timestamp, exp.DataType.build("date"))
    partition_column = sighting.partition.column.lower() if sighting.partition is not None else ""
    is_there = partition_column in file.columns
    laid = exp.column(partition_column, quoted=True) if is_there else exp.null()
    query = (
        exp.select(day, laid, exp.Count(this=exp.Star()))
        .from_(relation.subquery("s"))
        .group_by(exp.Literal.number(1), exp.Literal.number(2))
    )
    days: set[date] = set()
    misplaced = 0
    for found, value, rows in connection.execute(query.sql("duckdb")).fetchall():
        if found is None:
            continue
        if sighting.partition is None:
            days.add(found)
            continue
        partition = partition_date(value, sighting.partition)
        if partition is not None and is_near(found, partition, sighting.partition):
            days.add(found)
        else:
            misplaced += rows
    return tuple(sorted(days)), misplaced

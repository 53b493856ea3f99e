"""Source files of the embedded warehouse: what they hold, and the relation that reads them."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from statsig_staging.errors import SourceFileError, WarehouseError
from statsig_staging.sources import SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from statsig_staging.config import Partition
    from statsig_staging.warehouses.base import Sighting

_FORMATS = {
    ".parquet": "parquet",
    ".parq": "parquet",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".csv.zst": "csv",
    ".ndjson": "json",
    ".jsonl": "json",
    ".json": "json",
    ".ndjson.gz": "json",
    ".jsonl.gz": "json",
    ".json.gz": "json",
    ".ndjson.zst": "json",
    ".jsonl.zst": "json",
}
_READERS = {"parquet": "read_parquet", "csv": "read_csv", "json": "read_json"}
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_INTEGERS = ("tinyint", "smallint", "integer", "bigint")


def expand(patterns: Iterable[str], root: Path) -> list[Path]:
    """Return the files that globs relative to ``root`` name, in order.

    Names that begin with ``_`` or ``.`` are hidden, as they are for Athena.
    """
    found = {
        Path(name)
        for pattern in patterns
        for name in glob.glob(str(root / pattern), recursive=True)  # noqa: PTH207
        if not Path(name).name.startswith(("_", ".")) and Path(name).is_file()
    }
    return sorted(found)


def file_format(path: Path | str) -> str:
    """Return ``parquet``, ``csv`` or ``json`` by the ending of a name.

    Raises:
        WarehouseError: If the ending is none of those.
    """
    name = str(path).lower()
    for ending in sorted(_FORMATS, key=len, reverse=True):
        if name.endswith(ending):
            return _FORMATS[ending]
    raise WarehouseError(
        f"{path}: cannot tell the format from the name; "
        f"source files end in one of {', '.join(sorted(_FORMATS))}"
    )


def folder_columns(path: Path, root: Path) -> dict[str, str | None]:
    """Return the columns that ``key=value`` folders below ``root`` give a file."""
    parts = path.relative_to(root).parts if path.is_relative_to(root) else path.parts
    pairs = (part.split("=", 1) for part in parts[:-1] if re.match(r"[^=]+=", part))
    return {
        key.lower(): None if value == _NULL_PARTITION else unquote(value) for key, value in pairs
    }


def folder_type(value: str | None) -> str:
    """Return the type that a folder's value reads as: a date, an integer, else a string."""
    if value is None:
        return "unknown"
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        return "date"
    if re.fullmatch(r"-?(0|[1-9]\d{0,17})", value):
        return "bigint"
    return "varchar"


def arrow_type(kind: pa.DataType) -> str:
    """Return the Athena type of a Parquet column, by its Arrow type."""
    if pa.types.is_dictionary(kind):
        return arrow_type(kind.value_type)
    if pa.types.is_timestamp(kind):
        if kind.tz is not None:
            return "timestamp(6) with time zone"
        return {"us": "timestamp(6)", "ns": "timestamp(9)"}.get(kind.unit, "timestamp(3)")
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision}, {kind.scale})"
    for test, name in _ARROW_TYPES:
        if test(kind):
            return name
    if isinstance(kind, pa.UuidType):
        return "uuid"
    return str(kind)


_ARROW_TYPES = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_int8, "tinyint"),
    (pa.types.is_uint8, "smallint"),
    (pa.types.is_int16, "smallint"),
    (pa.types.is_uint16, "integer"),
    (pa.types.is_int32, "integer"),
    (pa.types.is_uint32, "bigint"),
    (pa.types.is_int64, "bigint"),
    (pa.types.is_uint64, "decimal(20, 0)"),
    (pa.types.is_float16, "real"),
    (pa.types.is_float32, "real"),
    (pa.types.is_float64, "double"),
    (pa.types.is_date, "date"),
    (pa.types.is_string, "varchar"),
    (pa.types.is_large_string, "varchar"),
    (pa.types.is_binary, "varbinary"),
    (pa.types.is_null, "unknown"),
)

_DUCKDB_TYPES = {
    "UTINYINT": "smallint",
    "USMALLINT": "integer",
    "UINTEGER": "bigint",
    "UBIGINT": "decimal(20, 0)",
    "HUGEINT": "decimal(38, 0)",
    "FLOAT": "real",
    "BLOB": "varbinary",
    "JSON": "json",
    "TIMESTAMP": "timestamp(6)",
    "TIMESTAMP_S": "timestamp(6)",
    "TIMESTAMP_MS": "timestamp(3)",
    "TIMESTAMP_NS": "timestamp(9)",
    "TIMESTAMP WITH TIME ZONE": "timestamp(6) with time zone",
    '"NULL"': "unknown",
}


def duckdb_type(name: str) -> str:
    """Return the Athena type of a DuckDB type."""
    return _DUCKDB_TYPES.get(name, name.lower())


def normal_type(kind: str) -> str:
    """Return the type under which a column is offered to statements."""
    if kind.startswith("timestamp") and not kind.endswith("time zone"):
        return "timestamp(6)"
    return {"uuid": "varchar", "unknown": "varchar", "json": "varchar"}.get(kind, kind)


def common_type(kinds: Iterable[str]) -> str:
    """Return the type that holds the values of all ``kinds``; a source's schema is that of all its files."""
    found = {kind for kind in kinds if kind != "unknown"}
    if len(found) <= 1:
        return normal_type(next(iter(found), "unknown"))
    if found <= set(_INTEGERS):
        return max(found, key=_INTEGERS.index)
    if all(kind in {*_INTEGERS, "real", "double"} or kind.startswith("decimal") for kind in found):
        return "double" if found & {"real", "double"} else "decimal(38, 6)"
    if all(kind == "date" or kind.startswith("timestamp") for kind in found):
        zoned = any(kind.endswith("time zone") for kind in found)
        return "timestamp(6) with time zone" if zoned else "timestamp(6)"
    return "varchar"


def merged_columns(files: Iterable[SourceFile]) -> dict[str, str]:
    """Return the columns of all files together, in the order in which they appear."""
    kinds: dict[str, list[str]] = {}
    for file in files:
        for name, kind in file.columns.items():
            kinds.setdefault(name, []).append(kind)
    return {name: common_type(found) for name, found in kinds.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Glance:
    """What a file's footer or head tells, before any row is read."""

    rows: int
    columns: Mapping[str, str]
    nulls: Mapping[str, int]
    column_bytes: Mapping[str, int]
    span: tuple[date, date] | None = None


def observe_file(
    path: Path, sighting: Sighting, root: Path, connection: duckdb.DuckDBPyConnection
) -> SourceFile:
    """Return what one source file holds.

    A Parquet file is known by its footer; its rows are read only where the footer cannot tell their days.

    Raises:
        SourceFileError: If the file cannot be read.
    """
    stat = path.stat()
    folders = folder_columns(path, root)
    try:
        glance = _glance(path, sighting, connection)
        columns = {**glance.columns, **{key: folder_type(value) for key, value in folders.items()}}
        days, misplaced = _days(path, sighting, columns, folders, glance, connection, root)
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise SourceFileError(f"{path}: cannot be read: {_first_line(error)}") from error
    return SourceFile(
        path=str(path),
        size=stat.st_size,
        modified_ns=stat.st_mtime_ns,
        changed_ns=stat.st_ctime_ns,
        rows=glance.rows,
        columns=columns,
        days=days,
        misplaced=misplaced,
        nulls=glance.nulls,
        column_bytes=glance.column_bytes,
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _glance(path: Path, sighting: Sighting, connection: duckdb.DuckDBPyConnection) -> _Glance:
    if file_format(path) == "parquet":
        return _glance_parquet(path, sighting)
    if path.stat().st_size == 0:
        return _Glance(rows=0, columns={}, nulls={}, column_bytes={})
    return _glance_text(path, sighting, connection)


def _glance_parquet(path: Path, sighting: Sighting) -> _Glance:
    footer = pq.read_metadata(path)
    schema = footer.schema.to_arrow_schema()
    columns = {name.lower(): arrow_type(kind) for name, kind in zip(schema.names, schema.types)}  # noqa: B905
    sizes: dict[str, int] = {}
    nulls: dict[str, int] = {}
    bounds: list[tuple[date, date] | None] = []
    for group in range(footer.num_row_groups):
        for index in range(footer.num_columns):
            chunk = footer.row_group(group).column(index)
            name = chunk.path_in_schema.split(".")[0].lower()
            sizes[name] = sizes.get(name, 0) + chunk.total_compressed_size
            if name in sighting.units and chunk.statistics is not None:
                nulls[name] = nulls.get(name, 0) + (chunk.statistics.null_count or 0)
            if sighting.timestamp is not None and name == sighting.timestamp.lower():
                bounds.append(_bounds(chunk))
    known = [bound for bound in bounds if bound is not None]
    span = None
    if known and len(known) == len(bounds):
        span = (min(low for low, _ in known), max(high for _, high in known))
    return _Glance(
        rows=footer.num_rows, columns=columns, nulls=nulls, column_bytes=sizes, span=span
    )


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
    reader = table_function([str(path)], file_format(path))
    described = connection.execute(f"DESCRIBE SELECT * FROM {reader.sql('duckdb')}").fetchall()
    columns = {str(row[0]).lower(): duckdb_type(str(row[1])) for row in described}
    wanted = [name for name in sighting.units if name in columns]
    counts = [exp.Count(this=exp.Star())]
    counts += [exp.Count(this=exp.column(name, quoted=True)) for name in wanted]
    query = exp.select(*counts).from_(reader)
    rows, *present = connection.execute(query.sql("duckdb")).fetchall()[0]
    size = path.stat().st_size
    return _Glance(
        rows=rows,
        columns=columns,
        nulls={name: rows - count for name, count in zip(wanted, present, strict=True)},
        column_bytes={"": size},
    )


def _days(
    path: Path,
    sighting: Sighting,
    columns: Mapping[str, str],
    folders: Mapping[str, str | None],
    glance: _Glance,
    connection: duckdb.DuckDBPyConnection,
    root: Path,
) -> tuple[tuple[date, ...], int]:
    """Return the days of the rows that count, and the number of rows too far from their partition."""
    if sighting.timestamp is None or not glance.rows:
        return (), 0
    if not _is_time(columns.get(sighting.timestamp.lower(), "")):
        return (), 0
    partition = sighting.partition
    if glance.span is not None and glance.span[0] == glance.span[1]:
        if partition is None:
            return (glance.span[0],), 0
        laid = folder_date(folders, partition)
        if laid is not None:
            near = is_near(glance.span[0], laid, partition)
            return ((glance.span[0],), 0) if near else ((), glance.rows)
    return _scan_days(path, sighting, columns, connection, root)


def _is_time(kind: str) -> bool:
    return kind == "date" or kind.startswith("timestamp")


def folder_date(folders: Mapping[str, str | None], partition: Partition) -> date | None:
    """Return the date of the folder that a file lies in, where the partition column is a folder."""
    return partition_date(folders.get(partition.column.lower()), partition)


def partition_date(value: object, partition: Partition) -> date | None:
    """Return the date that a value of the partition column stands for."""
    match value:
        case datetime():
            return value.date()
        case date():
            return value
        case str():
            try:
                return datetime.strptime(value, partition.format or "%Y-%m-%d").date()  # noqa: DTZ007
            except ValueError:
                return None
        case int() if partition.format is not None:
            return partition_date(str(value), partition)
        case _:
            return None


def is_near(day: date, laid: date, partition: Partition) -> bool:
    """Return whether a row of ``day`` may lie in the partition of the date ``laid``."""
    early, late = timedelta(days=partition.early), timedelta(days=partition.late)
    return day - early <= laid <= day + late


def _scan_days(
    path: Path,
    sighting: Sighting,
    columns: Mapping[str, str],
    connection: duckdb.DuckDBPyConnection,
    root: Path,
) -> tuple[tuple[date, ...], int]:
    file = SourceFile(path=str(path), size=0, modified_ns=0, changed_ns=0, rows=0, columns=columns)
    relation = source_relation([file], merged_columns([file]), root)
    timestamp = exp.column(str(sighting.timestamp).lower(), quoted=True)
    day = exp.cast(timestamp, exp.DataType.build("date"))
    laid = (
        exp.column(sighting.partition.column.lower(), quoted=True)
        if sighting.partition is not None
        else exp.null()
    )
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


def table_function(
    paths: Sequence[str],
    kind: str,
    *,
    folders: Mapping[str, str] | None = None,
    types: Mapping[str, str] | None = None,
) -> exp.Table:
    """Return the DuckDB table function that reads files of one format.

    Args:
        paths: The files.
        kind: ``parquet``, ``csv`` or ``json``.
        folders: Columns from ``key=value`` folders → type.
        types: Types of text columns, for CSV.
    """
    arguments: list[exp.Expr] = [
        exp.Array(expressions=[exp.Literal.string(path) for path in paths])
    ]
    options: dict[str, exp.Expr] = {"hive_partitioning": exp.convert(bool(folders))}
    if folders:
        options["hive_types"] = _struct(folders)
    if len(paths) > 1:
        options["union_by_name"] = exp.true()
    if kind == "csv":
        options |= {"header": exp.true(), "sample_size": exp.Literal.number(-1)}
        if types:
            options["types"] = _struct(types)
    if kind == "json":
        options |= {
            "format": exp.Literal.string("newline_delimited"),
            "sample_size": exp.Literal.number(-1),
        }
    arguments += [
        exp.EQ(this=exp.column(name), expression=value) for name, value in options.items()
    ]
    return exp.Table(this=exp.Anonymous(this=_READERS[kind], expressions=arguments))


def _struct(types: Mapping[str, str]) -> exp.Expr:
    return exp.Struct(
        expressions=[
            exp.PropertyEQ(
                this=exp.to_identifier(name, quoted=True),
                expression=exp.Literal.string(
                    exp.DataType.build(kind, dialect="athena").sql("duckdb")
                ),
            )
            for name, kind in types.items()
        ]
    )


@dataclass(frozen=True, slots=True)
class _Alike:
    """Files that one table function can read: one format, the same columns from folders."""

    kind: str
    folders: tuple[str, ...]
    files: list[SourceFile] = field(default_factory=list)


def source_relation(
    files: Sequence[SourceFile], columns: Mapping[str, str], root: Path
) -> exp.Query:
    """Return the SELECT that reads ``files`` with the columns of the whole source.

    A column that these files lack is null; one that they hold in another type is cast.
    """
    if not files:
        return _empty(columns)
    groups: dict[tuple[str, tuple[str, ...]], _Alike] = {}
    for file in files:
        folders = tuple(sorted(folder_columns(Path(file.path), root)))
        key = (file_format(file.path), folders)
        groups.setdefault(key, _Alike(*key)).files.append(file)
    selects = [_select(group, columns) for group in groups.values()]
    query: exp.Query = selects[0]
    for other in selects[1:]:
        query = exp.union(query, other, distinct=False)
    return query


def _empty(columns: Mapping[str, str]) -> exp.Query:
    nothing = [
        exp.alias_(_cast(exp.null(), kind), name, quoted=True) for name, kind in columns.items()
    ]
    return exp.select(*nothing).where(exp.false())


def _select(group: _Alike, columns: Mapping[str, str]) -> exp.Select:
    held = merged_columns(group.files)
    natural = _natural_types(group.files)
    folders = {name: columns[name] for name in group.folders}
    text = {name: columns[name] for name in held if name not in folders}
    reader = table_function(
        [file.path for file in group.files],
        group.kind,
        folders=folders,
        types=text if group.kind == "csv" else None,
    )
    projections = []
    for name, kind in columns.items():
        column: exp.Expr = exp.column(name, quoted=True)
        if name not in held:
            column = _cast(exp.null(), kind)
        elif group.kind != "csv" and name not in folders and natural[name] != kind:
            column = _cast(column, kind)
        projections.append(exp.alias_(column, name, quoted=True))
    return exp.select(*projections, copy=False).from_(reader, copy=False)


def _natural_types(files: Iterable[SourceFile]) -> dict[str, str]:
    kinds: dict[str, set[str]] = {}
    for file in files:
        for name, kind in file.columns.items():
            kinds.setdefault(name, set()).add(kind)
    return {
        name: next(iter(found)) if len(found) == 1 else "mixed" for name, found in kinds.items()
    }


def _cast(node: exp.Expr, kind: str) -> exp.Expr:
    return exp.cast(node, exp.DataType.build(kind, dialect="athena", udt=True))

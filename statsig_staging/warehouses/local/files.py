"""Source files of the embedded warehouse: what they hold, and the relation that reads them."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
from sqlglot import exp

from statsig_staging.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from statsig_staging.sources import SourceFile


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
        path
        for pattern in patterns
        for path in map(Path, glob.glob(str(root / pattern), recursive=True))  # noqa: PTH207
        if not path.name.startswith(("_", ".")) and path.is_file()
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
    """Return the Athena type of a DuckDB type; one with parts keeps the names of these as they are."""
    return _DUCKDB_TYPES.get(name, name if is_nested(name) else name.lower())


def is_nested(kind: str) -> bool:
    """Return whether a type that was told from NDJSON has parts."""
    return kind.startswith(("STRUCT(", "MAP(")) or kind.endswith("]")


def normal_type(kind: str) -> str:
    """Return the type under which a column is offered to statements."""
    if kind.startswith("timestamp") and not kind.endswith("time zone"):
        return "timestamp(6)"
    return {"uuid": "varchar", "json": "varchar"}.get(kind, kind)


def common_type(kinds: Iterable[str]) -> str:
    """Return the type that holds the values of all ``kinds``; a source's schema is that of all its files.

    A column that has no value in any file is ``unknown``: it may stand for anything.
    """
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


@lru_cache(1024)
def _parsed(kind: str) -> exp.DataType:
    return exp.DataType.build(kind, dialect="athena", udt=True)


def data_type(kind: str) -> exp.DataType:
    """Return an Athena type as a node."""
    return _parsed(kind).copy()


@lru_cache(1024)
def in_duckdb(kind: str) -> str:
    """Return an Athena type in DuckDB's SQL."""
    return exp.DataType.build(kind, dialect="athena").sql("duckdb")


def merged_columns(files: Iterable[SourceFile]) -> dict[str, str]:
    """Return the columns of all files together, in the order in which they appear."""
    kinds: dict[str, list[str]] = {}
    for file in files:
        for name, kind in file.columns.items():
            kinds.setdefault(name, []).append(kind)
    return {name: common_type(found) for name, found in kinds.items()}


def table_function(
    paths: Sequence[str],
    kind: str,
    *,
    folders: Mapping[str, str] | None = None,
    field_ids: Mapping[str, tuple[int, str]] | None = None,
    delimiter: str = ",",
    columns: Mapping[str, str] | None = None,
) -> exp.Table:
    """Return the DuckDB table function that reads files of one format.

    Args:
        paths: The files.
        kind: ``parquet``, ``csv`` or ``json``; the columns of a CSV file are all text.
        folders: Columns from ``key=value`` folders → type.
        field_ids: Column → Iceberg field id and Athena type, to read Parquet files by.
        delimiter: The delimiter of CSV files.
        columns: Key of NDJSON files → DuckDB type to read it as.
    """
    options: dict[str, exp.Expr] = {"hive_partitioning": exp.convert(bool(folders))}
    if folders:
        options["hive_types"] = _struct(folders)
    if field_ids:
        options["schema"] = by_field_id(
            (number, name, in_duckdb(kind)) for name, (number, kind) in field_ids.items()
        )
    elif len(paths) > 1 and kind != "json":
        options["union_by_name"] = exp.true()
    if kind == "csv":
        options |= {
            "header": exp.true(),
            "all_varchar": exp.true(),
            "delim": exp.Literal.string(delimiter),
            "quote": exp.Literal.string('"'),
            "escape": exp.Literal.string('"'),
            "comment": exp.Literal.string(""),
            "skip": exp.Literal.number(0),
            "strict_mode": exp.true(),
            "null_padding": exp.false(),
        }
    if kind == "json":
        options |= {
            "format": exp.Literal.string("newline_delimited"),
            "records": exp.Literal.string("true"),
            "columns": _named_types(columns or {}),
        }
    return call(_READERS[kind], paths, options)


def call(function: str, paths: Sequence[str], options: Mapping[str, exp.Expr]) -> exp.Table:
    """Return a call of a DuckDB table function over files, with named options."""
    listed = exp.Array(expressions=[exp.Literal.string(path) for path in paths])
    named = [exp.EQ(this=exp.column(name), expression=value) for name, value in options.items()]
    return exp.Table(this=exp.Anonymous(this=function, expressions=[listed, *named]))


def by_field_id(fields: Iterable[tuple[int, str, str]]) -> exp.Expr:
    """Return the map that has DuckDB read columns by field id, those a file lacks as null.

    Args:
        fields: Field id, name and DuckDB type of each column.
    """
    entries = [
        exp.PropertyEQ(
            this=exp.Literal.number(number),
            expression=exp.Struct(
                expressions=[
                    exp.PropertyEQ(this=exp.to_identifier(key), expression=value)
                    for key, value in (
                        ("name", exp.Literal.string(name)),
                        ("type", exp.Literal.string(kind)),
                        ("default_value", exp.null()),
                    )
                ]
            ),
        )
        for number, name, kind in fields
    ]
    return exp.ToMap(this=exp.Struct(expressions=entries))


def _struct(types: Mapping[str, str]) -> exp.Expr:
    return _named_types({name: in_duckdb(kind) for name, kind in types.items()})


def _named_types(types: Mapping[str, str]) -> exp.Expr:
    """Return names with their DuckDB types, as the options of table functions take them."""
    return exp.Struct(
        expressions=[
            exp.PropertyEQ(
                this=exp.to_identifier(name, quoted=True), expression=exp.Literal.string(kind)
            )
            for name, kind in types.items()
        ]
    )


@dataclass(frozen=True, slots=True)
class _Alike:
    """Files that one table function can read: one format, the same columns from folders, keys spelt alike."""

    kind: str
    folders: tuple[str, ...]
    delimiter: str
    keys: tuple[tuple[str, str], ...]
    field_ids: tuple[tuple[str, int], ...]
    files: list[SourceFile] = field(default_factory=list)


def source_relation(
    files: Sequence[SourceFile], columns: Mapping[str, str], root: Path
) -> exp.Query:
    """Return the SELECT that reads ``files`` with the columns of the whole source.

    A column that these files lack is null; one that they hold in another type is cast. Files without
    rows are not opened.
    """
    filled = [file for file in files if file.rows]
    if not filled:
        return _empty(columns)
    groups: dict[tuple[object, ...], _Alike] = {}
    for file in filled:
        folders: tuple[str, ...] = ()
        if not file.field_ids:
            folders = tuple(sorted(folder_columns(Path(file.path), root)))
        keys = tuple(sorted(file.keys.items()))
        ids = tuple(sorted(file.field_ids.items()))
        key = ("parquet" if ids else file_format(file.path), folders, file.delimiter, keys, ids)
        groups.setdefault(key, _Alike(*key)).files.append(file)
    selects = [_select(group, columns) for group in groups.values()]
    query: exp.Query = selects[0]
    for other in selects[1:]:
        query = exp.union(query, other, distinct=False, copy=False)
    return query


def _empty(columns: Mapping[str, str]) -> exp.Query:
    nothing = [
        exp.alias_(_cast(exp.null(), kind), name, quoted=True) for name, kind in columns.items()
    ]
    return exp.select(*nothing).where(exp.false())


def _select(group: _Alike, columns: Mapping[str, str]) -> exp.Select:
    natural = _natural_types(group, columns)
    folders = {name: columns[name] for name in group.folders}
    spelt = dict(group.keys)
    reader = table_function(
        [file.path for file in group.files],
        group.kind,
        folders={name: _sql_type(kind) for name, kind in folders.items()},
        field_ids={name: (number, natural[name]) for name, number in group.field_ids},
        delimiter=group.delimiter,
        columns={
            key: kind if is_nested(kind) else "VARCHAR"
            for name, kind in natural.items()
            if (key := spelt.get(name, name)) and name not in folders
        },
    )
    projections = []
    for name, kind in columns.items():
        column: exp.Expr = exp.column(spelt.get(name, name), quoted=True)
        if name not in natural or (natural[name] == "unknown" and name not in folders):
            column = _cast(exp.null(), kind)
        elif name not in folders and natural[name] != kind:
            column = _cast(column, kind)
        projections.append(exp.alias_(column, name, quoted=True, copy=False))
    return exp.select(*projections, copy=False).from_(reader, copy=False)


def _natural_types(group: _Alike, columns: Mapping[str, str]) -> dict[str, str]:
    """Return the types under which DuckDB reads the files' columns: text, where it reads text."""
    kinds: dict[str, set[str]] = {}
    for file in group.files:
        for name, kind in file.columns.items():
            whole = group.kind == "json" and is_nested(columns[name])
            is_text = group.kind != "parquet" and not whole
            kinds.setdefault(name, set()).add("varchar" if is_text else kind)
    return {
        name: next(iter(found)) if len(found) == 1 else "mixed" for name, found in kinds.items()
    }


def _cast(node: exp.Expr, kind: str) -> exp.Expr:
    """Return a value as one of a column's type; where nothing is known of that, it is null and fits any."""
    if kind == "unknown":
        return exp.null()
    return exp.Cast(this=node, to=data_type(_sql_type(kind)))


def _sql_type(kind: str) -> str:
    """Return the type of a column in statements; one of which nothing is known is text."""
    return "varchar" if kind == "unknown" else kind

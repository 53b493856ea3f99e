"""NDJSON by rules of our own: which keys a file has, and of what type the values of each are.

DuckDB tells types from all lines too, but takes moments of mixed precision for text, whole numbers of
both signs for HUGEINT, and two spellings of a key for one column of which a file has only one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging.errors import SourceFileError
from statsig_staging.warehouses.local import files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import duckdb

_WHOLE = frozenset({"BIGINT", "UBIGINT"})
_NUMBERS = _WHOLE | {"DOUBLE"}
_NESTED = frozenset({"OBJECT", "ARRAY"})


def keys_of(path: Path, connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return column → key of a file; a file of blank lines has none.

    Raises:
        SourceFileError: If a line is not an object, or two keys differ in case only.
    """
    reader = files.call("read_ndjson_objects", [str(path)], {})
    kind = exp.Anonymous(this="json_type", expressions=[exp.column("json")])
    other = (
        exp.select(kind).from_(reader).where(exp.NEQ(this=kind.copy(), expression=_text("OBJECT")))
    )
    for found in connection.execute(other.limit(1).sql("duckdb")).fetchall():
        raise SourceFileError(f"{path}: cannot be read: a line is no object but {found[0].lower()}")
    listed = exp.Anonymous(this="json_keys", expressions=[exp.column("json")])
    each = exp.Anonymous(this="unnest", expressions=[listed])
    inner = exp.select(exp.alias_(each, "key")).from_(reader.copy())
    query = exp.select("key").distinct().from_(inner.subquery("k")).order_by("key")
    keys: dict[str, str] = {}
    for (key,) in connection.execute(query.sql("duckdb")).fetchall():
        if key.lower() in keys:
            raise SourceFileError(
                f"{path}: cannot be read: the keys {keys[key.lower()]!r} and {key!r} differ in case only"
            )
        keys[key.lower()] = key
    return keys


def types_of(
    path: Path,
    keys: Mapping[str, str],
    moments: Sequence[tuple[str, str]],
    connection: duckdb.DuckDBPyConnection,
) -> dict[str, str]:
    """Return column → Athena type of a file.

    Args:
        path: The file.
        keys: Column → key.
        moments: Types of text with the form that all texts of a column must have, the first that fits.
        connection: Where the file is read.
    """
    if not keys:
        return {}
    reader = files.table_function([str(path)], "json", columns=dict.fromkeys(keys.values(), "JSON"))
    tests: list[exp.Expr] = []
    for key in keys.values():
        tests += _tests(exp.column(key, quoted=True), [form for _, form in moments])
    row = connection.execute(exp.select(*tests).from_(reader).sql("duckdb")).fetchall()[0]
    width = 2 + len(moments)
    nested: dict[str, str] = {}
    found = {}
    for index, name in enumerate(keys):
        kinds, fits_long, *fits = row[index * width : (index + 1) * width]
        present = frozenset(kinds or ()) - {None, "NULL"}
        if len(present) == 1 and present <= _NESTED:
            nested = nested or _described(path, connection)
            found[name] = nested.get(name, "varchar")
        else:
            dated = [kind for (kind, _), fit in zip(moments, fits, strict=True) if fit]
            found[name] = _type(present, dated, is_long=bool(fits_long))
    return found


def _tests(value: exp.Column, forms: Sequence[str]) -> list[exp.Expr]:
    """Return the kinds of a column's values, whether all are longs, and whether all texts have each form."""
    kind = exp.Anonymous(this="json_type", expressions=[value])
    text = exp.Anonymous(this="json_extract_string", expressions=[value.copy(), _text("$")])
    kinds = exp.Anonymous(this="list", expressions=[exp.Distinct(expressions=[kind])])
    long = exp.TryCast(this=text, to=exp.DataType.build("bigint"))
    is_there = exp.NEQ(this=kind.copy(), expression=_text("NULL"))
    fits_long = exp.Anonymous(
        this="bool_and",
        expressions=[exp.or_(exp.not_(is_there), exp.Not(this=long.is_(exp.null())))],
    )
    matches = (
        exp.Anonymous(this="regexp_full_match", expressions=[text.copy(), _text(form)])
        for form in forms
    )
    return [kinds, fits_long, *(exp.Anonymous(this="bool_and", expressions=[m]) for m in matches)]


def _type(kinds: frozenset[str], moments: Sequence[str], *, is_long: bool) -> str:
    if not kinds:
        return "unknown"
    if kinds == {"BOOLEAN"}:
        return "boolean"
    if kinds <= _WHOLE:
        return "bigint" if is_long else "decimal(20, 0)"
    if kinds <= _NUMBERS:
        return "double"
    if kinds == {"VARCHAR"} and moments:
        return moments[0]
    return "varchar"


def _described(path: Path, connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the types that DuckDB tells, for objects and arrays."""
    options = {
        "format": _text("newline_delimited"),
        "records": _text("true"),
        "sample_size": exp.Literal.number(-1),
    }
    reader = files.call("read_json", [str(path)], options)
    rows = connection.execute(f"DESCRIBE SELECT * FROM {reader.sql('duckdb')}").fetchall()
    return {str(row[0]).lower(): files.duckdb_type(str(row[1])) for row in rows}


def _text(value: str) -> exp.Expr:
    return exp.Literal.string(value)

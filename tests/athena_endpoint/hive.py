"""Tables of Glue that are no Iceberg tables: Parquet, delimited text and JSON in folders."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.athena_endpoint.failures import failed
from tests.athena_endpoint.relation import PATH, Relation, quoted, text
from tests.athena_endpoint.types import athena_of_hive, duckdb_of_hive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.athena_endpoint.accounts import Account
    from tests.athena_endpoint.session import Session
    from tests.athena_endpoint.tables import Name

_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


def athena_type(hive: str) -> str:
    """Return Athena's name of a type in Glue."""
    return athena_of_hive(hive)


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition: the values of its keys, and where its files lie."""

    values: tuple[str, ...]
    location: str


def partitions_of(account: Account, name: Name, entry: dict[str, Any]) -> list[Partition]:
    """Return the partitions of a table, or what its partition projection makes of it."""
    if entry.get("Parameters", {}).get("projection.enabled", "").lower() == "true":
        return _projected(entry)
    paginator = account.glue.get_paginator("get_partitions")
    pages = paginator.paginate(DatabaseName=name.database, TableName=name.table)
    return [
        Partition(tuple(found["Values"]), found["StorageDescriptor"]["Location"])
        for page in pages
        for found in page["Partitions"]
    ]


def _projected(entry: dict[str, Any]) -> list[Partition]:
    """Return the partitions of a projection of enum, integer and day-by-day date keys."""
    properties = entry["Parameters"]
    keys = [key["Name"] for key in entry["PartitionKeys"]]
    location = entry["StorageDescriptor"]["Location"].rstrip("/")
    default = location + "/" + "/".join(f"{key}=${{{key}}}" for key in keys)
    template = properties.get("storage.location.template", default)
    found = []
    for values in product(*(_range(properties, key) for key in keys)):
        place = template
        for key, value in zip(keys, values, strict=True):
            place = place.replace(f"${{{key}}}", value)
        found.append(Partition(values, place))
    return found


def _range(properties: dict[str, str], key: str) -> list[str]:
    kind = properties[f"projection.{key}.type"]
    if kind == "enum":
        return [value.strip() for value in properties[f"projection.{key}.values"].split(",")]
    first, last = (part.strip() for part in properties[f"projection.{key}.range"].split(","))
    if kind == "integer":
        return [str(number) for number in range(int(first), int(last) + 1)]
    if kind != "date" or properties.get(f"projection.{key}.format", "yyyy-MM-dd") != "yyyy-MM-dd":
        raise failed("NOT_SUPPORTED", f"this endpoint projects no partitions of type {kind}")
    begin = date.fromisoformat(first)
    end = datetime.now(UTC).date() if last.startswith("NOW") else date.fromisoformat(last)
    return [(begin + timedelta(days=n)).isoformat() for n in range((end - begin).days + 1)]


def relation(session: Session, name: Name, entry: dict[str, Any], *, hidden: bool) -> Relation:
    """Return the rows of all files of a table; names that begin with ``_`` or ``.`` are hidden."""
    descriptor = entry["StorageDescriptor"]
    columns = [(c["Name"].lower(), c["Type"]) for c in descriptor["Columns"]]
    keys = [(c["Name"].lower(), c["Type"]) for c in entry.get("PartitionKeys", [])]
    types = {column: athena_of_hive(kind) for column, kind in [*columns, *keys]}
    parts = [Partition((), descriptor["Location"])]
    if keys:
        parts = partitions_of(session.account, name, entry)
    files = [(part, uri) for part in parts for uri in _files(session, part.location)]
    if not files:
        nulls = [
            f"CAST(NULL AS {duckdb_of_hive(kind)}) AS {quoted(column)}"
            for column, kind in [*columns, *keys]
        ]
        nulls += [f'CAST(NULL AS VARCHAR) AS "{PATH}"'] if hidden else []
        return Relation(sql=f"SELECT {', '.join(nulls)} WHERE false", columns=types)
    local = {uri: session.local(uri) for _, uri in files}
    reader = _reader(entry, columns, list(local.values()))
    known = _known(session, files, local, [key for key, _ in keys])
    selected = [f"d.{quoted(column)}" for column, _ in columns]
    selected += [
        f"CAST(p.{quoted(key)} AS {duckdb_of_hive(kind)}) AS {quoted(key)}" for key, kind in keys
    ]
    selected += [f'p.uri AS "{PATH}"'] if hidden else []
    sql = f"SELECT {', '.join(selected)} FROM ({reader}) AS d JOIN {known} AS p ON d.filename = p.local"
    return Relation(sql=sql, columns=types)


def _files(session: Session, location: str) -> list[str]:
    folder = location if location.endswith("/") else f"{location}/"
    found = []
    for uri, size in session.storage.below(folder):
        parts = uri.removeprefix(folder).split("/")
        if size and not any(part.startswith(("_", ".")) for part in parts):
            found.append(uri)
    return found


def _known(
    session: Session, files: Sequence[tuple[Partition, str]], local: dict[str, str], keys: list[str]
) -> str:
    rows: dict[str, Any] = {
        "uri": [uri for _, uri in files],
        "local": [local[uri] for _, uri in files],
    }
    for position, key in enumerate(keys):
        values = [part.values[position] for part, _ in files]
        nulls = [None if value == _NULL_PARTITION else value for value in values]
        rows[key] = pa.array(nulls, pa.string())
    name = session.new_name("paths")
    session.add(name, pa.table(rows))
    return name


def _reader(entry: dict[str, Any], columns: Sequence[tuple[str, str]], paths: list[str]) -> str:
    library = entry["StorageDescriptor"].get("SerdeInfo", {}).get("SerializationLibrary", "")
    if "parquet" in library.lower():
        return " UNION ALL ".join(_parquet(path, columns) for path in paths)
    if "json" in library.lower():
        return _json(paths, columns)
    if "LazySimpleSerDe" in library or "OpenCSVSerde" in library:
        return _delimited(entry, paths, columns, lazy="LazySimple" in library)
    raise failed("NOT_SUPPORTED", f"this endpoint reads no files of {library or 'no SerDe'}")


def _parquet(path: str, columns: Sequence[tuple[str, str]]) -> str:
    present = {name.lower(): name for name in pq.read_schema(path).names}
    selected = []
    for column, kind in columns:
        value = quoted(present[column]) if column in present else "NULL"
        value = f"CAST({value} AS {duckdb_of_hive(kind)})"
        if kind.lower() == "timestamp":
            value = f"date_trunc('millisecond', {value})"
        selected.append(f"{value} AS {quoted(column)}")
    return (
        f"SELECT {', '.join(selected)}, filename FROM read_parquet([{text(path)}], "
        "filename = true, hive_partitioning = false)"
    )


def _json(paths: Sequence[str], columns: Sequence[tuple[str, str]]) -> str:
    kinds = ", ".join(f"{quoted(column)}: {text(duckdb_of_hive(kind))}" for column, kind in columns)
    listed = ", ".join(text(path) for path in paths)
    names = ", ".join(quoted(column) for column, _ in columns)
    return (
        f"SELECT {names}, filename FROM read_json([{listed}], columns = {{{kinds}}}, filename = true, "
        "format = 'newline_delimited', compression = 'auto_detect')"
    )


def _delimited(
    entry: dict[str, Any], paths: Sequence[str], columns: Sequence[tuple[str, str]], *, lazy: bool
) -> str:
    """Return delimited text; what does not fit its type is null, as LazySimpleSerDe has it."""
    serde = entry["StorageDescriptor"]["SerdeInfo"].get("Parameters", {})
    delimiter = serde.get("field.delim", "\x01") if lazy else serde.get("separatorChar", ",")
    skip = int(entry.get("Parameters", {}).get("skip.header.line.count", "0"))
    names = ", ".join(f"{quoted(column)}: 'VARCHAR'" for column, _ in columns)
    quoting = (
        "quote = '', escape = ''" if lazy else f"quote = {text(serde.get('quoteChar', chr(34)))}"
    )
    listed = ", ".join(text(path) for path in paths)
    selected = ", ".join(
        f"TRY_CAST({quoted(column)} AS {duckdb_of_hive(kind)}) AS {quoted(column)}"
        for column, kind in columns
    )
    return (
        f"SELECT {selected}, filename FROM read_csv([{listed}], columns = {{{names}}}, filename = true, "
        f"delim = {text(delimiter)}, {quoting}, header = false, skip = {skip}, "
        f"nullstr = {text(chr(92) + 'N')}, null_padding = true, auto_detect = false)"
    )

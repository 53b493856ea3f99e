"""Files without Iceberg: CTAS and INSERT of Hive tables, and UNLOAD."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import sqlglot
from sqlglot import exp

from tests.athena_endpoint import properties, queries
from tests.athena_endpoint.failures import failed, malformed
from tests.athena_endpoint.relation import quoted, text
from tests.athena_endpoint.statements import tree_of
from tests.athena_endpoint.types import duckdb_of_hive, hive_of, iceberg_of_duckdb
from tests.athena_endpoint.writing import MOST_PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.athena_endpoint.queries import Query
    from tests.athena_endpoint.session import Session
    from tests.athena_endpoint.tables import Name

_PARQUET_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
_PARQUET_INPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
_PARQUET_OUTPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"


def check_moments(query: Query) -> None:
    """Make sure that no timestamp has microseconds, which Hive's formats do not take.

    https://github.com/aws/aws-sdk-pandas/issues/2252
    """
    for column, digits in query.precisions.items():
        if digits is not None and digits > 3:
            raise failed(
                "NOT_SUPPORTED",
                f"Incorrect timestamp precision for timestamp({digits}); the configured precision is "
                f"MILLISECONDS; column name: {column}",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where files go, and how.

    Attributes:
        keys: The columns that become folders.
        format: ``PARQUET``, ``JSON`` or ``TEXTFILE``.
    """

    location: str
    keys: Sequence[str] = ()
    format: str = "PARQUET"
    codec: str = "gzip"
    delimiter: str = "\x01"

    @property
    def folder(self) -> str:
        """The location with a slash at its end."""
        return self.location if self.location.endswith("/") else f"{self.location}/"


@dataclass(frozen=True, slots=True)
class WrittenFiles:
    """Files in S3: their locations, the values of their partitions, their rows."""

    files: list[tuple[str, tuple[str, ...]]]
    rows: int


def write(session: Session, sql: str, target: Target) -> WrittenFiles:
    """Write the rows of a query.

    Raises:
        StatementError: If they are of more than a hundred partitions; the files stay, as Athena's do.
    """
    folder = session.folder()
    options = [*_format(target), "RETURN_STATS true"]
    if target.keys:
        options.append(f"PARTITION_BY ({', '.join(quoted(key) for key in target.keys)})")
    place = folder / ("parts" if target.keys else "part")
    session.run(f"COPY ({sql}) TO {text(str(place))} ({', '.join(options)})")
    rows = session.fetch(1_000_000)
    written = []
    for row in rows:
        path, count, keys = Path(str(row[0])), int(row[1]), row[5] or {}
        if count:
            values = tuple(
                "__HIVE_DEFAULT_PARTITION__" if keys.get(key) is None else str(keys[key])
                for key in target.keys
            )
            written.append((_upload(session, path, target, values), values))
    if len({values for _, values in written}) > MOST_PARTITIONS:
        raise failed(
            "HIVE_TOO_MANY_OPEN_PARTITIONS",
            f"Exceeded limit of {MOST_PARTITIONS} open writers for partitions/buckets",
        )
    session.hive_files = [uri for uri, _ in written]
    return WrittenFiles(written, sum(int(row[1]) for row in rows))


def _format(target: Target) -> list[str]:
    match target.format.upper():
        case "PARQUET":
            codec = {"none": "uncompressed"}.get(target.codec.lower(), target.codec.lower())
            return ["FORMAT parquet", f"COMPRESSION {codec}"]
        case "JSON":
            return ["FORMAT json", f"COMPRESSION {_text_codec(target)}"]
        case "TEXTFILE":
            delimiter = text(target.delimiter)
            null = text("\\N")
            return [
                "FORMAT csv", f"DELIMITER {delimiter}", "HEADER false", "QUOTE ''", f"NULLSTR {null}",
                f"COMPRESSION {_text_codec(target)}",
            ]  # fmt: skip
        case _:
            pass
    raise failed("NOT_SUPPORTED", f"this endpoint writes no files of format {target.format}")


def _text_codec(target: Target) -> str:
    return "gzip" if target.codec.lower() == "gzip" else "none"


def _upload(session: Session, path: Path, target: Target, values: Sequence[str]) -> str:
    parts = [
        f"{key}={quote(value, safe='')}" for key, value in zip(target.keys, values, strict=True)
    ]
    name = f"{session.execution.id.replace('-', '_')}_{uuid.uuid4()}"
    if target.format.upper() != "PARQUET" and _text_codec(target) == "gzip":
        name += ".gz"
    uri = target.folder + "/".join([*parts, name])
    session.upload(path, uri)
    return uri


def check_empty(session: Session, location: str) -> None:
    """Make sure that nothing is below a location.

    Raises:
        StatementError: If there is something.
    """
    folder = location if location.endswith("/") else f"{location}/"
    if session.storage.below(folder):
        raise failed(
            "HIVE_PATH_ALREADY_EXISTS",
            f"Target directory for table already exists: {location}. You may need to manually clean the data "
            "at this location before retrying.",
        )


def create_table_as(
    session: Session, name: Name, given: Mapping[str, Any], query: Query, default_location: str
) -> WrittenFiles:
    """Write a Hive table of Parquet files and enter it in Glue."""
    check_moments(query)
    kind = str(given.get("format", "parquet")).upper()
    if kind != "PARQUET":
        raise failed(
            "NOT_SUPPORTED", f"this endpoint creates Hive tables of Parquet only, not {kind}"
        )
    location = str(given.get("external_location") or default_location)
    check_empty(session, location)
    keys = [key.lower() for key in given.get("partitioned_by", [])]
    described = [(column.lower(), kind) for column, kind in session.described(query.sql)]
    if keys and [column for column, _ in described][-len(keys) :] != keys:
        raise failed(
            "INVALID_TABLE_PROPERTY",
            f"Partition keys must be the last columns in the table and in the same order: {keys}",
        )
    codec = str(given.get("write_compression") or given.get("parquet_compression") or "gzip")
    target = Target(location=location, keys=keys, codec=codec)
    sql = query.sql
    written = WrittenFiles([], 0) if given.get("no data") else write(session, sql, target)
    session.committing()
    hive = [{"Name": column, "Type": hive_of(iceberg_of_duckdb(k))} for column, k in described]
    entry = {
        "Name": name.table,
        "TableType": "EXTERNAL_TABLE",
        "PartitionKeys": [column for column in hive if column["Name"] in keys],
        "Parameters": {
            "EXTERNAL": "TRUE",
            "classification": "parquet",
            "has_encrypted_data": "false",
        },
        "StorageDescriptor": parquet_descriptor(
            [column for column in hive if column["Name"] not in keys], location
        ),
    }
    session.account.glue.create_table(DatabaseName=name.database, TableInput=entry)  # type: ignore[arg-type]
    add_partitions(session, name, entry["StorageDescriptor"], written, target)
    session.execution.effects += 1
    return written


def parquet_descriptor(columns: Sequence[Mapping[str, str]], location: str) -> dict[str, Any]:
    """Return what Glue keeps of Parquet files."""
    return {
        "Columns": list(columns),
        "Location": location,
        "InputFormat": _PARQUET_INPUT,
        "OutputFormat": _PARQUET_OUTPUT,
        "SerdeInfo": {"SerializationLibrary": _PARQUET_SERDE, "Parameters": {}},
    }


def add_partitions(
    session: Session, name: Name, descriptor: Any, written: WrittenFiles, target: Target
) -> None:
    """Enter the partitions of files in Glue, those that are not there yet."""
    if not target.keys:
        return
    known = set()
    pages = session.account.glue.get_paginator("get_partitions")
    for page in pages.paginate(DatabaseName=name.database, TableName=name.table):
        known |= {tuple(partition["Values"]) for partition in page["Partitions"]}
    for values in sorted({values for _, values in written.files} - known):
        folder = "/".join(
            f"{key}={quote(value, safe='')}" for key, value in zip(target.keys, values, strict=True)
        )
        place: Any = {**descriptor, "Location": f"{target.folder}{folder}/"}
        session.account.glue.create_partition(
            DatabaseName=name.database,
            TableName=name.table,
            PartitionInput={"Values": list(values), "StorageDescriptor": place},
        )


def insert(
    session: Session,
    name: Name,
    entry: dict[str, Any],
    query: Query,
    named: Sequence[str] | None,
) -> int:
    """Add files to a Hive table of Parquet."""
    check_moments(query)
    descriptor = entry["StorageDescriptor"]
    if "parquet" not in descriptor.get("SerdeInfo", {}).get("SerializationLibrary", "").lower():
        raise failed("NOT_SUPPORTED", "this endpoint inserts into Hive tables of Parquet only")
    keys = [key["Name"] for key in entry.get("PartitionKeys", [])]
    columns = [
        (c["Name"], c["Type"]) for c in [*descriptor["Columns"], *entry.get("PartitionKeys", [])]
    ]
    names = list(named) if named is not None else [column for column, _ in columns]
    given = session.described(query.sql)
    if len(given) != len(names):
        raise failed("TYPE_MISMATCH", "line 1:1: Insert query has mismatched column types")
    positions = {column: position for position, column in enumerate(names)}
    selected = ", ".join(
        f"CAST({f'q.c{positions[column]}' if column in positions else 'NULL'} AS {duckdb_of_hive(kind)}) "
        f"AS {quoted(column)}"
        for column, kind in columns
    )
    aliases = ", ".join(f"c{position}" for position in range(len(names)))
    target = Target(location=descriptor["Location"], keys=keys)
    written = write(session, f"SELECT {selected} FROM ({query.sql}) AS q({aliases})", target)
    session.committing()
    add_partitions(session, name, descriptor, written, target)
    session.execution.effects += 1
    return written.rows


_UNLOAD = re.compile(r"^\s*UNLOAD\s*\(", re.IGNORECASE)
_TO = re.compile(r"^\)\s*TO\s*'([^']+)'\s*(?:WITH\s*\((.*)\))?\s*$", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Unload:
    """The parts of an UNLOAD."""

    query: exp.Expr
    location: str
    given: Mapping[str, Any]


def read_unload(sql: str) -> Unload:
    """Return the parts of an UNLOAD.

    Raises:
        CallError: If it does not parse.
    """
    begin = _UNLOAD.match(sql)
    end = _closing(sql, begin.end()) if begin else None
    rest = _TO.match(sql[end:]) if end is not None else None
    if begin is None or rest is None:
        raise malformed("line 1:1: mismatched input 'UNLOAD'")
    options = (
        f"CREATE TABLE x WITH ({rest[2]}) AS SELECT 1" if rest[2] else "CREATE TABLE x AS SELECT 1"
    )
    tree = sqlglot.parse_one(options, read="athena")
    return Unload(
        tree_of(sql[begin.end() : end]), rest[1], properties.values_of(tree.args.get("properties"))
    )


def _closing(sql: str, start: int) -> int | None:
    from tests.athena_endpoint.statements import tokens_of

    depth = 1
    for token in tokens_of(sql[start:]):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if not depth:
            return start + token.start
    return None


def unload(session: Session, sql: str, database: str) -> WrittenFiles:
    """Write the rows of a query to a folder that is empty."""
    parts = read_unload(sql)
    if "format" not in parts.given:
        raise failed("INVALID_TABLE_PROPERTY", "UNLOAD needs the property format")
    query = queries.query_of(session, parts.query, database)
    check_moments(query)
    check_empty(session, parts.location)
    kind = str(parts.given["format"]).upper()
    target = Target(
        location=parts.location,
        keys=[key.lower() for key in parts.given.get("partitioned_by", [])],
        format=kind,
        codec=str(parts.given.get("compression", "gzip")),
        delimiter=str(parts.given.get("field_delimiter", "\x01")),
    )
    session.committing()
    written = write(session, query.sql, target)
    session.execution.effects += 1
    return written

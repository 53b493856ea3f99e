"""SHOW and DESCRIBE: lines of text, as Hive answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.athena_endpoint import hive, queries, tables
from tests.athena_endpoint.ddl import matched, named, plain
from tests.athena_endpoint.failures import ddl_failed, failed, malformed
from tests.athena_endpoint.statements import Kind
from tests.athena_endpoint.types import hive_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyiceberg.table import Table as IcebergTable

    from tests.athena_endpoint.accounts import Account


@dataclass(frozen=True, slots=True)
class Lines:
    """What a statement says: the names of its columns, and lines with tabs between their values."""

    columns: Sequence[str]
    lines: Sequence[str]


def show(account: Account, kind: Kind, sql: str, database: str) -> Lines:
    """Return what a statement says."""
    return _SHOWS[kind](account, sql, database)


def _like(pattern: str | None) -> Callable[[str], bool]:
    """Return whether a name fits a Hive pattern: ``*`` and ``|``."""
    if not pattern:
        return lambda _: True
    expression = "|".join(
        f"(?:{re.escape(part).replace(chr(92) + '*', '.*')})" for part in pattern.lower().split("|")
    )
    return lambda name: (
        re.fullmatch(expression, name) is not None or re.fullmatch(pattern, name) is not None
    )


def _databases(account: Account, sql: str, _: str) -> Lines:
    found = matched(r"SHOW (?:DATABASES|SCHEMAS)(?: LIKE)?(?: '([^']*)')?", sql)
    fits = _like(found[1] if found else None)
    return Lines(["database_name"], [n for n in tables.databases_of(account) if fits(n)])


def _tables_in(account: Account, sql: str, database: str, *, views: bool) -> Lines:
    word = "VIEWS" if views else "TABLES"
    found = matched(rf"SHOW {word}(?: (?:IN|FROM) NAME)?(?: LIKE)?(?: '([^']*)')?", sql)
    if found is None:
        raise ddl_failed(f"cannot recognize input near 'SHOW' '{word}'", parse=True)
    place = plain(found[1]) if found[1] else database
    if not tables.has_database(account, place):
        raise ddl_failed(f"SemanticException [Error 10072]: Database does not exist: {place}")
    fits = _like(found[2])
    names = [
        str(entry["Name"])
        for entry in tables.entries_of(account, place)
        if fits(str(entry["Name"])) and (not views or tables.is_view(entry))
    ]
    return Lines(["views" if views else "tab_name"], names)


def _entry(account: Account, name: tables.Name) -> dict[str, Any]:
    found = tables.glue_table(account, name)
    if found is None:
        # Measured: DESCRIBE and SHOW COLUMNS of a table that is missing are refused at once.
        raise malformed(f"line 1:1: Table not found {name}")
    return found


def _columns(account: Account, sql: str, database: str) -> Lines:
    found = matched(r"SHOW COLUMNS (?:IN|FROM) NAME(?: (?:IN|FROM) NAME)?", sql)
    if found is None:
        raise ddl_failed("cannot recognize input near 'SHOW' 'COLUMNS'", parse=True)
    entry = _entry(account, named(found[1], plain(found[2]) if found[2] else database))
    columns = [*tables.columns_of(entry), *_keys(entry)]
    return Lines(["field"], [f"{column['Name']:<20}" for column in columns])


def _keys(entry: dict[str, Any]) -> list[dict[str, str]]:
    return [] if tables.is_iceberg(entry) else list(entry.get("PartitionKeys", []))


def _describe(account: Account, sql: str, database: str) -> Lines:
    found = matched(r"(?:DESCRIBE|DESC)(?: (?:EXTENDED|FORMATTED))? NAME", sql)
    if found is None:
        raise ddl_failed("cannot recognize input near 'DESCRIBE'", parse=True)
    name = named(found[1], database)
    entry = _entry(account, name)
    iceberg = tables.iceberg_table(account, name) if tables.is_iceberg(entry) else None
    if iceberg is not None:
        columns = [(f.name, hive_of(f.field_type), f.doc or "") for f in iceberg.schema().fields]
        lines = ["# Table schema:\t\t", "# col_name\tdata_type\tcomment"]
        lines += [f"{column}\t{kind}\t{doc}" for column, kind, doc in columns]
        lines += ["\t\t", "# Partition spec:\t\t", "# field_name\tfield_transform\tcolumn_name"]
        return Lines(["col_name", "data_type", "comment"], [*lines, *_spec_lines(iceberg)])
    lines = [_padded(column) for column in [*tables.columns_of(entry), *_keys(entry)]]
    if keys := _keys(entry):
        lines += [
            "\t \t ",
            "# Partition Information\t \t ",
            "# col_name            \tdata_type           \tcomment             ",
            "\t \t ",
        ]
        lines += [_padded(key) for key in keys]
    return Lines(["col_name", "data_type", "comment"], lines)


def _padded(column: dict[str, str]) -> str:
    return f"{column['Name']:<20}\t{column['Type']:<20}\t{column.get('Comment') or '':<20}"


def _spec_lines(table: IcebergTable) -> list[str]:
    schema = table.schema()
    return [
        f"{field.name}\t{field.transform}\t{schema.find_column_name(field.source_id)}"
        for field in table.spec().fields
    ]


def _partitions(account: Account, sql: str, database: str) -> Lines:
    found = matched(r"SHOW PARTITIONS NAME", sql)
    if found is None:
        raise ddl_failed("cannot recognize input near 'SHOW' 'PARTITIONS'", parse=True)
    name = named(found[1], database)
    entry = tables.existing(account, name)
    if tables.is_iceberg(entry) or not entry.get("PartitionKeys"):
        raise ddl_failed(f"SemanticException Table {name} is not a partitioned table")
    keys = [key["Name"] for key in entry["PartitionKeys"]]
    lines = [
        "/".join(f"{key}={value}" for key, value in zip(keys, part.values, strict=True))
        for part in hive.partitions_of(account, name, entry)
    ]
    return Lines(["partition"], sorted(lines))


def _properties(account: Account, sql: str, database: str) -> Lines:
    found = matched(r"SHOW TBLPROPERTIES NAME(?: ?\( ?'([^']*)' ?\))?", sql)
    if found is None:
        raise ddl_failed("cannot recognize input near 'SHOW' 'TBLPROPERTIES'", parse=True)
    name = named(found[1], database)
    entry = tables.existing(account, name)
    known = dict(entry.get("Parameters", {}))
    if tables.is_iceberg(entry):
        known |= tables.iceberg_table(account, name).properties
    if found[2]:
        return Lines(["prpt_name", "prpt_value"], [known[found[2]]] if found[2] in known else [])
    return Lines(
        ["prpt_name", "prpt_value"], [f"{key}\t{value}" for key, value in sorted(known.items())]
    )


def _create_table(account: Account, sql: str, database: str) -> Lines:
    found = matched(r"SHOW CREATE TABLE NAME", sql)
    if found is None:
        raise ddl_failed("cannot recognize input near 'SHOW' 'CREATE'", parse=True)
    name = named(found[1], database)
    entry = tables.existing(account, name)
    if tables.is_view(entry):
        raise ddl_failed(f"SemanticException {name} is a view; write SHOW CREATE VIEW")
    if tables.is_iceberg(entry):
        return Lines(["createtab_stmt"], _iceberg_ddl(name, tables.iceberg_table(account, name)))
    return Lines(["createtab_stmt"], _hive_ddl(entry))


def _iceberg_ddl(name: tables.Name, table: IcebergTable) -> list[str]:
    schema = table.schema()
    columns = [f"  {field.name} {hive_of(field.field_type)}" for field in schema.fields]
    lines = [f"CREATE TABLE {name} (", *_with_commas(columns)]
    parts = [_transform(table, field) for field in table.spec().fields]
    lines += [f"PARTITIONED BY ({', '.join(parts)})"] if parts else []
    own = {
        "table_type": "iceberg",
        "format": table.properties.get("write.format.default", "parquet"),
        "write_compression": table.properties.get("write.parquet.compression-codec", "zstd"),
    }
    own |= {
        key: value
        for key, value in table.properties.items()
        if "." not in key and key != "format-version"
    }
    return [
        *lines,
        f"LOCATION '{table.metadata.location}'",
        "TBLPROPERTIES (",
        *_with_commas([f"  '{key}'='{value}'" for key, value in own.items()]),
    ]


def _transform(table: IcebergTable, field: Any) -> str:
    column = table.schema().find_column_name(field.source_id)
    called = re.match(r"(\w+)\[(\d+)\]", str(field.transform))
    if called:
        return f"{called[1]}({called[2]}, {column})"
    return f"`{column}`" if str(field.transform) == "identity" else f"{field.transform}({column})"


def _with_commas(lines: Sequence[str]) -> list[str]:
    return [f"{line}," for line in lines[:-1]] + [f"{lines[-1]})"]


def _hive_ddl(entry: dict[str, Any]) -> list[str]:
    descriptor = entry["StorageDescriptor"]
    serde = descriptor.get("SerdeInfo", {})
    columns = [f"  `{c['Name']}` {c['Type']}" for c in descriptor["Columns"]]
    lines = [f"CREATE EXTERNAL TABLE `{entry['Name']}`(", *_with_commas(columns)]
    if keys := _keys(entry):
        lines += [
            "PARTITIONED BY ( ",
            *_with_commas([f"  `{k['Name']}` {k['Type']}" for k in keys]),
        ]
    lines += ["ROW FORMAT SERDE ", f"  '{serde.get('SerializationLibrary')}' "]
    if parameters := serde.get("Parameters"):
        lines += [
            "WITH SERDEPROPERTIES ( ",
            *_with_commas([f"  '{k}'='{v}'" for k, v in parameters.items()]),
        ]
    lines += ["STORED AS INPUTFORMAT ", f"  '{descriptor.get('InputFormat')}' "]
    lines += ["OUTPUTFORMAT ", f"  '{descriptor.get('OutputFormat')}'"]
    lines += ["LOCATION", f"  '{descriptor['Location']}'"]
    own = [f"  '{k}'='{v}'" for k, v in entry.get("Parameters", {}).items() if k != "EXTERNAL"]
    return [*lines, "TBLPROPERTIES (", *_with_commas(own)] if own else lines


def _create_view(account: Account, sql: str, database: str) -> Lines:
    found = re.match(r"SHOW CREATE VIEW (.+?)\s*$", sql, re.IGNORECASE)
    name = named(found[1].replace('"', "`"), database) if found else tables.Name(database, "")
    entry = tables.existing(account, name)
    if not tables.is_view(entry):
        raise failed("NOT_SUPPORTED", f"line 1:1: Relation '{name}' is a table, not a view")
    original = queries.view_definition(entry)["originalSql"]
    return Lines(["Create View"], [f"CREATE VIEW {name} AS", *original.splitlines()])


_SHOWS: dict[Kind, Callable[[Account, str, str], Lines]] = {
    Kind.SHOW_DATABASES: _databases,
    Kind.SHOW_TABLES: lambda a, s, d: _tables_in(a, s, d, views=False),
    Kind.SHOW_VIEWS: lambda a, s, d: _tables_in(a, s, d, views=True),
    Kind.SHOW_COLUMNS: _columns,
    Kind.SHOW_PARTITIONS: _partitions,
    Kind.SHOW_CREATE_TABLE: _create_table,
    Kind.SHOW_CREATE_VIEW: _create_view,
    Kind.SHOW_TBLPROPERTIES: _properties,
    Kind.DESCRIBE: _describe,
}

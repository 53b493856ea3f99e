"""Tables as DuckDB reads them: Iceberg with its deletes and its past, Hive's files, metadata tables."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.manifest import DataFileContent
from sqlglot import exp

from tests.athena_endpoint import hive, pruning, tables
from tests.athena_endpoint.failures import failed
from tests.athena_endpoint.relation import PATH, POSITION, Relation, quoted, text
from tests.athena_endpoint.types import athena_of, duckdb_of, iceberg_of_duckdb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyiceberg.manifest import DataFile
    from pyiceberg.schema import Schema
    from pyiceberg.table import FileScanTask
    from pyiceberg.table import Table as IcebergTable

    from tests.athena_endpoint.accounts import Account
    from tests.athena_endpoint.session import Session


_EVERYTHING = AlwaysTrue()


def relation_of(
    session: Session,
    node: exp.Table,
    database: str,
    *,
    hidden: bool,
    names: frozenset[str] | None = None,
) -> Relation:
    """Return what a table in a statement reads.

    Args:
        session: The statement.
        node: The table in its tree.
        database: The database of names without one.
        hidden: Whether ``"$path"`` is asked for.
        names: The columns that are read, None for all.
    """
    name = tables.name_of(node, database)
    if name.database == "information_schema":
        return _information_schema(session, name.table)
    base, _, metadata = name.table.partition("$")
    if metadata:
        table = _iceberg(session, tables.Name(name.database, base))
        return _arrow(session, metadata_table(table, metadata))
    entry = tables.existing(session.account, name)
    if tables.is_view(entry):
        raise AssertionError(f"{name}: views are expanded before")
    if not tables.is_iceberg(entry):
        return hive.relation(session, name, entry, hidden=hidden)
    table = _iceberg(session, name)
    snapshot_id = snapshot_at(table, node)
    where = pruning.condition_of(node, schema_at(table, snapshot_id))
    return iceberg_relation(session, table, snapshot_id, hidden=hidden, where=where, names=names)


def _iceberg(session: Session, name: tables.Name) -> IcebergTable:
    try:
        return tables.iceberg_table(session.account, name)
    except NoSuchTableError as error:
        raise failed("TABLE_NOT_FOUND", f"line 1:1: Table '{name}' does not exist") from error
    except FileNotFoundError as error:
        raise failed("ICEBERG_FILESYSTEM_ERROR", f"Metadata of {name} is gone: {error}") from error


def snapshot_at(table: IcebergTable, node: exp.Table) -> int | None:
    """Return the snapshot that FOR VERSION or FOR TIMESTAMP AS OF names, None for the current one."""
    version = node.args.get("version")
    if version is None:
        return None
    value = version.expression
    if version.name.upper() == "VERSION":
        if value.is_string:
            ref = table.metadata.refs.get(value.name)
            if ref is None:
                raise failed("INVALID_FUNCTION_ARGUMENT", f"Cannot find snapshot: {value.name}")
            return ref.snapshot_id
        if table.snapshot_by_id(int(value.name)) is None:
            raise failed("INVALID_FUNCTION_ARGUMENT", f"Snapshot ID does not exist: {value.name}")
        return int(value.name)
    literal = value.find(exp.Literal)
    if literal is None:
        raise failed("NOT_SUPPORTED", "FOR TIMESTAMP AS OF takes a literal on this endpoint")
    moment = datetime.fromisoformat(literal.name.removesuffix(" UTC")).replace(tzinfo=UTC)
    found = table.snapshot_as_of_timestamp(int(moment.timestamp() * 1000))
    if found is None:
        raise failed("INVALID_FUNCTION_ARGUMENT", f"No version history table at {literal.name}")
    return found.snapshot_id


def schema_at(table: IcebergTable, snapshot_id: int | None) -> Schema:
    """Return the columns of a snapshot."""
    snapshot = None if snapshot_id is None else table.snapshot_by_id(snapshot_id)
    if snapshot is None or snapshot.schema_id is None:
        return table.schema()
    return table.schemas()[snapshot.schema_id]


def iceberg_relation(
    session: Session,
    table: IcebergTable,
    snapshot_id: int | None = None,
    *,
    hidden: bool = False,
    where: BooleanExpression = _EVERYTHING,
    names: frozenset[str] | None = None,
) -> Relation:
    """Return the live rows of a snapshot.

    Args:
        session: The statement.
        table: The table.
        snapshot_id: The snapshot, by default the current one.
        hidden: Whether the file and the position of each row are columns too.
        where: Files that cannot hold rows of this are not read; rows are not filtered.
        names: The columns that are read, None for all.
    """
    schema = schema_at(table, snapshot_id)
    columns = {field.name.lower(): athena_of(field.field_type) for field in schema.fields}
    if snapshot_id is None and table.current_snapshot() is None:
        tasks = []
    else:
        tasks = list(table.scan(row_filter=where, snapshot_id=snapshot_id).plan_files())
    if not tasks:
        return Relation(sql=_nothing(schema, hidden=hidden), columns=columns)
    return Relation(
        sql=live_rows(session, table, tasks, schema, hidden=hidden, names=names), columns=columns
    )


def live_rows(
    session: Session,
    table: IcebergTable,
    tasks: Sequence[FileScanTask],
    schema: Schema | None = None,
    *,
    hidden: bool = False,
    names: frozenset[str] | None = None,
) -> str:
    """Return DuckDB's SELECT of the rows of some files that no delete file names."""
    schema = schema or table.schema()
    deletes = {file.file_path: file for task in tasks for file in task.delete_files}
    paths = {
        task.file.file_path: session.local(
            task.file.file_path, pruning.bytes_of(task.file, schema, names)
        )
        for task in tasks
    }
    reader = _readers(schema, _typical_first([task.file for task in tasks]), paths, table)
    columns = [f"d.{quoted(field.name)} AS {quoted(field.name.lower())}" for field in schema.fields]
    sql = f"SELECT {', '.join(columns)} FROM ({reader}) AS d"
    if hidden or deletes:
        known = _known_paths(session, paths)
        columns += [f'p.uri AS "{PATH}"', f'd.file_row_number AS "{POSITION}"'] if hidden else []
        sql = f"SELECT {', '.join(columns)} FROM ({reader}) AS d JOIN {known} AS p ON d.filename = p.local"
    if deletes:
        gone = _deleted(session, list(deletes.values()))
        sql += f" ANTI JOIN {gone} AS g ON g.file_path = p.uri AND g.pos = d.file_row_number"
    return sql


def _nothing(schema: Schema, *, hidden: bool) -> str:
    nulls = [
        f"CAST(NULL AS {duckdb_of(field.field_type)}) AS {quoted(field.name.lower())}"
        for field in schema.fields
    ]
    if hidden:
        nulls += [f'CAST(NULL AS VARCHAR) AS "{PATH}"', f'CAST(NULL AS BIGINT) AS "{POSITION}"']
    return f"SELECT {', '.join(nulls)} WHERE false"


def _typical_first(files: Sequence[DataFile]) -> list[str]:
    """Order files so that the most typical one comes first.

    DuckDB estimates the rows of a file list as those of the first file times the number of files.
    """
    mean = sum(file.record_count for file in files) / len(files)
    ordered = sorted(files, key=lambda file: abs(file.record_count - mean))
    return [file.file_path for file in ordered]


def _readers(
    schema: Schema, files: Sequence[str], paths: Mapping[str, str], table: IcebergTable
) -> str:
    """Return the SELECT over files: by field id, or by name where files have no ids."""
    named: list[str] = []
    if "schema.name-mapping.default" in table.properties:
        named = [file for file in files if not _has_ids(paths[file])]
    with_ids = [file for file in files if file not in set(named)]
    parts = []
    if with_ids:
        fields = ", ".join(
            f"{field.field_id}: {{name: {text(field.name)}, type: {text(duckdb_of(field.field_type))}, "
            "default_value: NULL}"
            for field in schema.fields
        )
        parts.append(_reader([paths[f] for f in with_ids], f"schema = MAP {{{fields}}}", schema))
    parts += [_by_name(paths[file], schema) for file in named]
    return " UNION ALL ".join(parts)


def _reader(paths: Sequence[str], option: str, schema: Schema) -> str:
    names = ", ".join(quoted(field.name) for field in schema.fields)
    listed = ", ".join(text(path) for path in paths)
    return (
        f"SELECT {names}, filename, file_row_number FROM read_parquet([{listed}], {option}, "
        "hive_partitioning = false, filename = true, file_row_number = true)"
    )


def _by_name(path: str, schema: Schema) -> str:
    present = set(pq.read_schema(path).names)
    columns = [
        f"CAST({quoted(field.name) if field.name in present else 'NULL'} AS "
        f"{duckdb_of(field.field_type)}) AS {quoted(field.name)}"
        for field in schema.fields
    ]
    return (
        f"SELECT {', '.join(columns)}, filename, file_row_number FROM read_parquet([{text(path)}], "
        "hive_partitioning = false, filename = true, file_row_number = true)"
    )


def _has_ids(path: str) -> bool:
    metadata = [field.metadata or {} for field in pq.read_schema(path)]
    return any(b"PARQUET:field_id" in entry for entry in metadata)


def _known_paths(session: Session, paths: Mapping[str, str]) -> str:
    name = session.new_name("paths")
    session.add(name, pa.table({"uri": list(paths.keys()), "local": list(paths.values())}))
    return name


def _deleted(session: Session, files: Sequence[DataFile]) -> str:
    if any(file.content is not DataFileContent.POSITION_DELETES for file in files):
        raise failed("NOT_SUPPORTED", "this endpoint reads no equality deletes")
    listed = ", ".join(text(session.local(file.file_path)) for file in files)
    name = session.new_name("deleted")
    session.run(
        f"CREATE TEMP TABLE {name} AS SELECT DISTINCT file_path, pos FROM read_parquet([{listed}])"
    )
    return name


def metadata_table(table: IcebergTable, kind: str) -> pa.Table:
    """Return one of ``$files``, ``$snapshots``, ``$history``, ``$manifests``, ``$partitions``, ``$refs``.

    Column names: https://trino.io/docs/current/connector/iceberg.html#metadata-tables
    """
    match kind:
        case "files":
            found = table.inspect.files()
            wanted = {
                "content": "content", "file_path": "file_path", "record_count": "record_count",
                "file_format": "file_format", "file_size_in_bytes": "file_size_in_bytes",
                "split_offsets": "split_offsets", "equality_ids": "equality_ids",
            }  # fmt: skip
        case "snapshots":
            found = table.inspect.snapshots()
            wanted = {name: name for name in found.column_names}
        case "history":
            found = table.inspect.history()
            wanted = {name: name for name in found.column_names}
        case "refs":
            found = table.inspect.refs()
            wanted = {name: name for name in found.column_names}
        case "manifests":
            found = table.inspect.manifests()
            wanted = {
                "path": "path", "length": "length", "partition_spec_id": "partition_spec_id",
                "added_snapshot_id": "added_snapshot_id",
                "added_data_files_count": "added_data_files_count",
                "existing_data_files_count": "existing_data_files_count",
                "deleted_data_files_count": "deleted_data_files_count",
            }  # fmt: skip
        case "partitions":
            return _partitions(table)
        case _:
            raise failed("TABLE_NOT_FOUND", f"line 1:1: Table '${kind}' does not exist")
    chosen = found.select(list(wanted)).rename_columns(list(wanted.values()))
    for position, column in enumerate(chosen.schema):
        if pa.types.is_timestamp(column.type):
            zoned = pa.timestamp("ms", "UTC")
            chosen = chosen.set_column(position, column.name, chosen.column(position).cast(zoned))
    return chosen


def _partitions(table: IcebergTable) -> pa.Table:
    found = table.inspect.partitions()
    columns = {
        "record_count": found["record_count"],
        "file_count": found["file_count"],
        "total_size": found["total_data_file_size_in_bytes"],
    }
    if "partition" in found.column_names:
        columns = {"partition": found["partition"], **columns}
    return pa.table(columns)


def _arrow(session: Session, rows: pa.Table) -> Relation:
    name = session.new_name("rows")
    session.add(name, rows)
    sql = f"SELECT * FROM {name}"
    columns = {
        column: athena_of(iceberg_of_duckdb(kind)) for column, kind in session.described(sql)
    }
    return Relation(sql=sql, columns=columns)


def _information_schema(session: Session, name: str) -> Relation:
    account = session.account
    databases = tables.databases_of(account)
    rows: list[dict[str, Any]]
    match name:
        case "schemata":
            rows = [
                {"catalog_name": "awsdatacatalog", "schema_name": database}
                for database in [*databases, "information_schema"]
            ]
        case "tables":
            rows = [
                {
                    "table_catalog": "awsdatacatalog",
                    "table_schema": database,
                    "table_name": entry["Name"],
                    "table_type": "VIEW" if tables.is_view(entry) else "BASE TABLE",
                }
                for database in databases
                for entry in tables.entries_of(account, database)
            ]
        case "columns":
            rows = [row for database in databases for row in _column_rows(account, database)]
        case _:
            raise failed(
                "TABLE_NOT_FOUND", f"line 1:1: Table 'information_schema.{name}' does not exist"
            )
    names = _INFORMATION[name]
    columns = {column: pa.array([row[column] for row in rows], kind) for column, kind in names}
    return _arrow(session, pa.table(columns))


_INFORMATION: Mapping[str, Sequence[tuple[str, pa.DataType]]] = {
    "schemata": [("catalog_name", pa.string()), ("schema_name", pa.string())],
    "tables": [
        ("table_catalog", pa.string()),
        ("table_schema", pa.string()),
        ("table_name", pa.string()),
        ("table_type", pa.string()),
    ],
    "columns": [
        ("table_catalog", pa.string()),
        ("table_schema", pa.string()),
        ("table_name", pa.string()),
        ("column_name", pa.string()),
        ("ordinal_position", pa.int64()),
        ("column_default", pa.string()),
        ("is_nullable", pa.string()),
        ("data_type", pa.string()),
        ("comment", pa.string()),
        ("extra_info", pa.string()),
    ],
}


def _column_rows(account: Account, database: str) -> list[dict[str, Any]]:
    rows = []
    for entry in tables.entries_of(account, database):
        iceberg = tables.is_iceberg(entry)
        keys = [] if iceberg else entry.get("PartitionKeys", [])
        for number, column in enumerate([*tables.columns_of(entry), *keys], start=1):
            kind = hive.athena_type(column["Type"])
            if iceberg:
                kind = re.sub(r"timestamp\(3\)", "timestamp(6)", kind)
            rows.append(
                {
                    "table_catalog": "awsdatacatalog",
                    "table_schema": database,
                    "table_name": entry["Name"],
                    "column_name": column["Name"],
                    "ordinal_position": number,
                    "column_default": None,
                    "is_nullable": "YES",
                    "data_type": kind,
                    "comment": column.get("Comment"),
                    "extra_info": "partition key" if column in keys else None,
                }
            )
    return rows

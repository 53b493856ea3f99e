"""New tables and views: CTAS and CREATE VIEW, which the Trino path reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError
from pyiceberg.schema import Schema
from sqlglot import exp

from tests.athena_endpoint import hivewrites, properties, queries, tables
from tests.athena_endpoint.failures import failed
from tests.athena_endpoint.relation import quoted
from tests.athena_endpoint.types import athena_of, hive_of, iceberg_fields, iceberg_of_duckdb
from tests.athena_endpoint.writing import Layout, Written, write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.athena_endpoint.queries import Query
    from tests.athena_endpoint.session import Session
    from tests.athena_endpoint.tables import Name

_NOT_IN_ICEBERG = frozenset(
    {"tinyint", "smallint", "uuid", "time", "timestamp with time zone", "interval"}
)


def create_table_as(
    session: Session, tree: exp.Create, database: str, *, enforced: bool, default_location: str
) -> int:
    """Create a table from a query, and return its rows.

    Args:
        session: The statement.
        tree: Its tree.
        database: The database of names without one.
        enforced: Whether the workgroup says where results go.
        default_location: Where the data of a Hive table go that names no location.
    """
    if isinstance(tree.this, exp.Schema):
        raise failed("MISSING_COLUMN_NAME", "line 1:1: Column name not specified at position 1")
    name = tables.name_of(tree.this, database)
    if not tables.has_database(session.account, name.database):
        raise failed("SCHEMA_NOT_FOUND", f"line 1:1: Schema {name.database} not found")
    if tables.glue_table(session.account, name) is not None:
        if tree.args.get("exists"):
            return 0
        raise already_exists(name)
    given = properties.values_of(tree.args.get("properties"))
    _check_names(tree.expression)
    query = queries.query_of(session, tree.expression, database)
    if str(given.get("table_type", "HIVE")).upper() == "ICEBERG":
        return _iceberg(session, name, given, query)
    if given.get("external_location") and enforced:
        raise failed(
            "INVALID_TABLE_PROPERTY",
            "The Create Table As Select query failed because it was submitted with an 'external_location' "
            "property to an Athena Workgroup that enforces a centralized output location for all queries. "
            "Please remove the 'external_location' property and resubmit the query.",
        )
    return hivewrites.create_table_as(session, name, given, query, default_location).rows


def already_exists(name: Name) -> Exception:
    """Return the failure of a table whose name is taken."""
    return failed(
        "TABLE_ALREADY_EXISTS",
        f"line 1:1: Destination table 'awsdatacatalog.{name}' already exists",
    )


def _check_names(query: exp.Expr) -> None:
    body = query
    while isinstance(body, (exp.SetOperation, exp.Subquery)):
        body = body.this
    if not isinstance(body, exp.Select):
        return
    seen = set()
    for position, select in enumerate(body.expressions, start=1):
        if select.is_star:
            continue
        column = select.alias_or_name.lower()
        if not queries.has_name(select):
            raise failed(
                "MISSING_COLUMN_NAME", f"line 1:1: Column name not specified at position {position}"
            )
        if column in seen:
            raise failed(
                "DUPLICATE_COLUMN_NAME",
                f"line 1:1: Column name '{column}' specified more than once",
            )
        seen.add(column)


def _iceberg(session: Session, name: Name, given: Mapping[str, Any], query: Query) -> int:
    known = frozenset({"location", "is_external", "partitioning", "no data"})
    kept = properties.iceberg_properties(given, known)
    if str(given.get("is_external", "")).lower() != "false":
        raise failed("INVALID_TABLE_PROPERTY", "is_external must be false for Iceberg tables")
    if not given.get("location"):
        raise failed("INVALID_TABLE_PROPERTY", "Table location must be set for Iceberg tables")
    location = str(given["location"]).rstrip("/")
    if session.storage.below(f"{location}/"):
        raise failed(
            "ICEBERG_FILESYSTEM_ERROR",
            f"Cannot create a table on a non-empty location: {location}, set "
            "'iceberg.unique-table-location=true' in your Iceberg catalog properties to use unique table "
            "locations for every table.",
        )
    for column, digits in query.precisions.items():
        if digits not in {None, 6}:
            raise failed(
                "NOT_SUPPORTED",
                f'Timestamp precision ({digits}) not supported for Iceberg. Use "timestamp(6)" instead. '
                f"Column: {column}",
            )
    schema = _schema(session, query)
    spec = properties.partition_spec(schema, given.get("partitioning", []), number_first=False)
    transaction = session.account.catalog.create_table_transaction(
        (name.database, name.table),
        schema=schema,
        location=location,
        partition_spec=spec,
        properties=kept,
    )
    written = Written([], 0)
    if not given.get("no data"):
        written = write(session, Layout.of(transaction.table_metadata), query.sql)
    with transaction.update_snapshot().fast_append() as snapshot:
        for file in written.files:
            snapshot.append_data_file(file)
    session.committing()
    try:
        transaction.commit_transaction()
    except (CommitFailedException, TableAlreadyExistsError) as error:
        raise already_exists(name) from error
    session.execution.effects += 1
    return written.rows


def _schema(session: Session, query: Query) -> Schema:
    columns = []
    for column, kind in session.described(query.sql):
        if kind.id in _NOT_IN_ICEBERG:
            raise failed(
                "NOT_SUPPORTED", f"Type not supported for Iceberg: {str(kind).lower()} ({column})"
            )
        columns.append((column.lower(), iceberg_of_duckdb(kind), None))
    return Schema(*iceberg_fields(columns))


def create_view(session: Session, tree: exp.Create, database: str) -> None:
    """Create a view; its query is checked now, and run whenever it is read."""
    name = tables.name_of(tree.this, database)
    present = tables.glue_table(session.account, name)
    if present is not None and not tree.args.get("replace"):
        raise failed("TABLE_ALREADY_EXISTS", f"line 1:1: View already exists: '{name}'")
    original = tree.expression.sql(dialect="trino")
    query = queries.query_of(session, tree.expression, database)
    kinds = [
        (column.lower(), iceberg_of_duckdb(kind)) for column, kind in session.described(query.sql)
    ]
    definition = {
        "originalSql": original,
        "catalog": "awsdatacatalog",
        "schema": database,
        "columns": [{"name": column, "type": athena_of(kind)} for column, kind in kinds],
    }
    entry: Any = {
        "Name": name.table,
        "TableType": "VIRTUAL_VIEW",
        "Parameters": {"presto_view": "true", "comment": "Presto View"},
        "ViewOriginalText": queries.view_text(definition),
        "ViewExpandedText": "/* Presto View */",
        "StorageDescriptor": {
            "Columns": [{"Name": column, "Type": hive_of(kind)} for column, kind in kinds],
            "Location": "",
            "SerdeInfo": {},
        },
        "PartitionKeys": [],
    }
    session.committing()
    if present is None:
        session.account.glue.create_table(DatabaseName=name.database, TableInput=entry)
    else:
        session.account.glue.update_table(DatabaseName=name.database, TableInput=entry)
    session.execution.effects += 1


def drop_view(session: Session, name: Name, *, if_exists: bool) -> None:
    """Drop a view."""
    present = tables.glue_table(session.account, name)
    if present is None or not tables.is_view(present):
        if if_exists and present is None:
            return
        raise failed("TABLE_NOT_FOUND", f"line 1:1: View {quoted(str(name))} does not exist")
    session.committing()
    session.account.glue.delete_table(DatabaseName=name.database, Name=name.table)
    session.execution.effects += 1

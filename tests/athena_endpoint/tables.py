"""Tables in the catalog, and the names under which a statement means them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tests.athena_endpoint.failures import failed

if TYPE_CHECKING:
    from pyiceberg.table import Table as IcebergTable
    from sqlglot import exp

    from tests.athena_endpoint.accounts import Account

_CATALOGS = frozenset({"", "awsdatacatalog", "hive"})


@dataclass(frozen=True, slots=True)
class Name:
    """A table's database and name, in lower case as Glue keeps them."""

    database: str
    table: str

    def __str__(self) -> str:
        return f"{self.database}.{self.table}"


def name_of(node: exp.Table, database: str) -> Name:
    """Return the name that a node of a tree means.

    Raises:
        StatementError: If it is in a catalog that does not exist.
    """
    if node.catalog.lower() not in _CATALOGS:
        raise failed("CATALOG_NOT_FOUND", f"line 1:1: Catalog '{node.catalog}' not found")
    return Name((node.db or database).lower(), node.name.lower())


def glue_table(account: Account, name: Name) -> dict[str, Any] | None:
    """Return the entry of a table in Glue, None where there is none."""
    try:
        found = account.glue.get_table(DatabaseName=name.database, Name=name.table)
    except account.glue.exceptions.EntityNotFoundException:
        return None
    return dict(found["Table"])


def has_database(account: Account, database: str) -> bool:
    """Return whether Glue has a database."""
    try:
        account.glue.get_database(Name=database)
    except account.glue.exceptions.EntityNotFoundException:
        return False
    return True


def existing(account: Account, name: Name) -> dict[str, Any]:
    """Return the entry of a table in Glue.

    Raises:
        StatementError: If there is none.
    """
    found = glue_table(account, name)
    if found is not None:
        return found
    if not has_database(account, name.database):
        raise failed("SCHEMA_NOT_FOUND", f"line 1:1: Schema '{name.database}' does not exist")
    raise failed("TABLE_NOT_FOUND", f"line 1:1: Table 'awsdatacatalog.{name}' does not exist")


def is_iceberg(entry: dict[str, Any]) -> bool:
    """Return whether an entry of Glue is an Iceberg table."""
    return str(entry.get("Parameters", {}).get("table_type", "")).upper() == "ICEBERG"


def is_view(entry: dict[str, Any]) -> bool:
    """Return whether an entry of Glue is a view."""
    return entry.get("TableType") == "VIRTUAL_VIEW"


def iceberg_table(account: Account, name: Name) -> IcebergTable:
    """Return an Iceberg table as it is now."""
    return account.catalog.load_table((name.database, name.table))


def entries_of(account: Account, database: str) -> list[dict[str, Any]]:
    """Return every entry of a database in Glue, by name."""
    found: list[dict[str, Any]] = []
    try:
        for page in account.glue.get_paginator("get_tables").paginate(DatabaseName=database):
            found += [dict(entry) for entry in page["TableList"]]
    except ClientError as error:
        raise failed("SCHEMA_NOT_FOUND", f"Schema '{database}' does not exist") from error
    return sorted(found, key=lambda entry: str(entry["Name"]))


def databases_of(account: Account) -> list[str]:
    """Return the names of all databases."""
    found: list[str] = []
    for page in account.glue.get_paginator("get_databases").paginate():
        found += [database["Name"] for database in page["DatabaseList"]]
    return sorted(found)


def columns_of(entry: dict[str, Any]) -> list[dict[str, str]]:
    """Return the columns of an entry without those that Iceberg dropped, which stay in Glue."""
    return [
        column
        for column in entry.get("StorageDescriptor", {}).get("Columns", [])
        if column.get("Parameters", {}).get("iceberg.field.current") != "false"
    ]

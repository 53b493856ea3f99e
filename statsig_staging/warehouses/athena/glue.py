"""What Glue says of tables: what they are, their columns in Athena's types, and where their files lie."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from statsig_staging.errors import StagingError, WarehouseError
from statsig_staging.expressions import suggestion
from statsig_staging.names import TableName, digest, experiment_folder
from statsig_staging.warehouses.athena.calling import code, once
from statsig_staging.warehouses.base import CatalogEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypy_boto3_glue import GlueClient
    from mypy_boto3_glue.type_defs import (
        GetPartitionsRequestTypeDef,
        GetTableRequestTypeDef,
        TableTypeDef,
    )

    from statsig_staging.warehouses.athena.calling import Call


class Kind(StrEnum):
    """How the changes of a table can be seen."""

    ICEBERG = "iceberg"
    """By its snapshots."""
    HIVE = "hive"
    """By the objects in its folders."""
    OPAQUE = "view"
    """Not at all: a view, or a format whose live files only Athena can tell (Delta Lake, Hudi, symlinks)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GlueTable:
    """A table as Glue describes it.

    Attributes:
        database: Its database, as Glue spells it.
        name: Its name.
        kind: How its changes can be seen.
        columns: Column → Athena type, partition keys last; those with parts are left out.
        keys: Names of the partition keys of a Hive table, in order.
        location: Where its files lie; empty for a view.
        metadata_location: The current metadata file of an Iceberg table.
        is_parquet: Whether files have footers that tell what they hold.
        reading: A digest of how files become rows, or of the SELECT of a view.
        parameters: Its properties, among them those of partition projection.
        catalog: The account whose catalog has it; None for the caller's own.
    """

    database: str
    name: str
    kind: Kind
    columns: Mapping[str, str]
    keys: tuple[str, ...] = ()
    location: str = ""
    metadata_location: str = ""
    is_parquet: bool = False
    reading: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    catalog: str | None = None


@dataclass(frozen=True, slots=True)
class Laid:
    """A partition of a Hive table: the values of its keys, and where its files lie."""

    values: Mapping[str, str]
    location: str


class GlueTables:
    """Tables in the Glue data catalog.

    Args:
        glue: boto3's client.
        call: Makes each call.
    """

    def __init__(self, glue: GlueClient, *, call: Call = once) -> None:
        self._glue = glue
        self._call = call

    def table(self, name: str) -> GlueTable:
        """Return a table by its ``database.table``; names are of small letters in Glue.

        Raises:
            WarehouseError: If there is no such table, or it may not be seen.
        """
        database, _, table = name.lower().partition(".")
        found = self._entry({"DatabaseName": database, "Name": table})
        catalog = None
        if found is not None and "TargetTable" in found:
            target = found["TargetTable"]
            catalog = target.get("CatalogId")
            linked: GetTableRequestTypeDef = {
                "DatabaseName": target.get("DatabaseName", ""),
                "Name": target.get("Name", ""),
            }
            if catalog is not None:
                linked["CatalogId"] = catalog
            found = self._entry(linked)
        if found is None:
            raise self._missing(database, table)
        return _described(found, catalog)

    def partitions(self, table: GlueTable) -> Iterator[Laid]:
        """Return the partitions that Glue has of a Hive table, a thousand for each call at most."""
        request: GetPartitionsRequestTypeDef = {
            "DatabaseName": table.database,
            "TableName": table.name,
            "ExcludeColumnSchema": True,
        }
        if table.catalog is not None:
            request["CatalogId"] = table.catalog
        while True:
            page = self._call(partial(self._glue.get_partitions, **request))
            for found in page.get("Partitions", []):
                values = dict(zip(table.keys, found.get("Values", []), strict=False))
                yield Laid(values, found.get("StorageDescriptor", {}).get("Location", ""))
            if not page.get("NextToken"):
                return
            request["NextToken"] = page["NextToken"]

    def entries(self, database: str, root: str, experiment_id: str) -> tuple[CatalogEntry, ...]:
        """Return the tables of the staging database that lie in an experiment's folder; none is opened.

        Args:
            database: The staging database; where there is none, nothing is staged.
            root: Where the staging folder lies, ``s3://bucket/folder``.
            experiment_id: The experiment.
        """
        below = f"{root.rstrip('/')}/"
        place = f"{below}{experiment_folder(experiment_id)}/"
        found = []
        for entry in self._tables(database):
            where = entry.get("StorageDescriptor", {}).get("Location", "")
            metadata = entry.get("Parameters", {}).get("metadata_location", "")
            where = metadata or f"{where.rstrip('/')}/"
            if where.startswith(place):
                folder = where.removeprefix(place).split("/")[0]
                name = TableName(catalog=entry["Name"], folder=folder)
                found.append(CatalogEntry(name=name, metadata=metadata.removeprefix(below)))
        return tuple(found)

    def _entry(self, request: GetTableRequestTypeDef) -> TableTypeDef | None:
        def asked() -> TableTypeDef | None:
            try:
                return self._glue.get_table(**request)["Table"]
            except ClientError as error:
                if code(error) == "EntityNotFoundException":
                    return None
                raise

        return self._call(asked)

    def _tables(self, database: str) -> list[TableTypeDef]:
        def asked() -> list[TableTypeDef]:
            try:
                pages = self._glue.get_paginator("get_tables").paginate(DatabaseName=database)
                return [table for page in pages for table in page["TableList"]]
            except ClientError as error:
                if code(error) == "EntityNotFoundException":
                    return []
                raise

        return self._call(asked)

    def _missing(self, database: str, table: str) -> WarehouseError:
        try:
            names = [found["Name"] for found in self._tables(database)]
        except StagingError:
            names = []
        near = suggestion(table, names)
        return WarehouseError(
            f"table {database}.{table} does not exist in Glue{near or '; check its name and the region'}"
        )


def _described(found: TableTypeDef, catalog: str | None) -> GlueTable:
    parameters = found.get("Parameters", {})
    storage = found.get("StorageDescriptor", {})
    kind = _kind(found)
    serde = storage.get("SerdeInfo", {})
    library = serde.get("SerializationLibrary", "")
    options = {
        **serde.get("Parameters", {}),
        "skip.header.line.count": parameters.get("skip.header.line.count", ""),
    }
    text = found.get("ViewOriginalText", "")
    columns = [(c["Name"], c.get("Type", "")) for c in storage.get("Columns", [])]
    keys = [(c["Name"], c.get("Type", "")) for c in found.get("PartitionKeys", [])]
    types = {name.lower(): athena_type(hive) for name, hive in [*columns, *keys]}
    if kind is Kind.OPAQUE:
        types |= _view_columns(text)
    return GlueTable(
        database=found.get("DatabaseName", ""),
        name=found["Name"],
        kind=kind,
        columns={name: kind for name, kind in types.items() if kind is not None},
        keys=tuple(name.lower() for name, _ in keys),
        location=storage.get("Location", ""),
        metadata_location=parameters.get("metadata_location", ""),
        is_parquet="parquet" in library.lower(),
        reading=digest(library, repr(sorted(options.items())), text),
        parameters=parameters,
        catalog=catalog,
    )


def _kind(found: TableTypeDef) -> Kind:
    parameters = {key.lower(): text.lower() for key, text in found.get("Parameters", {}).items()}
    storage = found.get("StorageDescriptor", {})
    if parameters.get("table_type") == "iceberg":
        return Kind.ICEBERG
    only_athena_can_tell = (
        found.get("TableType") == "VIRTUAL_VIEW"
        or parameters.get("table_type") in {"delta", "hudi"}
        or parameters.get("spark.sql.sources.provider") in {"delta", "hudi"}
        or any(word in storage.get("InputFormat", "").lower() for word in ("symlink", "hoodie"))
    )
    return Kind.OPAQUE if only_athena_can_tell else Kind.HIVE


_TYPES = {
    "string": "varchar",
    "int": "integer",
    "float": "real",
    "binary": "varbinary",
    "timestamp": "timestamp(3)",
    "decimal": "decimal(10, 0)",
    **{name: name for name in ("boolean", "tinyint", "smallint", "integer", "bigint")},
    **{name: name for name in ("real", "double", "date", "varchar", "varbinary", "uuid")},
}


def athena_type(name: str) -> str | None:
    """Return the Athena type of a column that Glue has under Hive's or Presto's name of the type.

    None stands for one that has parts, or that statements cannot use; the column is left out.
    """
    plain = re.sub(r"\s+", " ", name.strip().lower())
    if size := re.fullmatch(r"decimal ?\( ?(\d+) ?(?:, ?(\d+) ?)?\)", plain):
        return f"decimal({size[1]}, {size[2] or 0})"
    if re.fullmatch(r"(var)?char ?\(\d+\)", plain):
        return "varchar"
    if moment := re.fullmatch(r"timestamp ?(\(\d+\))?( with time zone)?", plain):
        return f"timestamp{moment[1] or '(3)'}{moment[2] or ''}"
    return _TYPES.get(plain)


_VIEW = re.compile(r"/\* Presto View: (\S+) \*/")


def _view_columns(text: str) -> Mapping[str, str | None]:
    """Return the columns that a view's own text declares; Hive's types in Glue know milliseconds only."""
    found = _VIEW.match(text)
    if found is None:
        return {}
    try:
        columns: Iterable[Mapping[str, str]] = json.loads(base64.b64decode(found[1]))["columns"]
        return {column["name"].lower(): athena_type(column["type"]) for column in columns}
    except (ValueError, KeyError, TypeError):
        return {}

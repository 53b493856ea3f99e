"""Connections: where a project's statements run."""

from typing import Annotated, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from statsig_staging import expressions
from statsig_staging.config.fields import (
    Arn,
    Bucket,
    CatalogName,
    Column,
    Count,
    FolderName,
    Globs,
    LocalPath,
    Memory,
    Model,
    Price,
    Region,
    S3Location,
    S3Locations,
    Size,
    SourceTable,
    Text,
    Url,
    Workgroup,
)


class ForwardKey(Model):
    """Columns that make two forwarded rows one; none for all of them."""

    exposures: tuple[Column, ...] = ()
    events: tuple[Column, ...] = ()


class _Connection(Model):
    folder: FolderName = "statsig"
    database: CatalogName = "statsig_staging"
    forwarded_exposures: CatalogName = "exposures"
    forwarded_events: CatalogName = "events"
    forward_key: ForwardKey | None = None
    keep_loads: Count = 3

    @field_validator("forwarded_events")
    @classmethod
    def _own_table(cls, events: str, info: ValidationInfo) -> str:
        if events == info.data.get("forwarded_exposures"):
            raise ValueError("is the table of forwarded exposures; choose another name")
        return events


class LocalConnection(_Connection):
    """The embedded warehouse.

    Attributes:
        path: The warehouse's folder, relative to the project.
        folder: The staging folder inside it.
        database: The staging database.
        sources: Read-only tables: ``database.table`` to file patterns.
        forwarded_exposures: Table name inside the folder of forwarded exposures.
        forwarded_events: Table name inside the folder of forwarded events.
        forward_key: Columns that make two forwarded rows one.
        memory_limit: How much memory queries may take, like ``4GB``.
        threads: How many threads queries may use.
        temp_directory: Where queries spill.
        keep_loads: How many published loads stay readable.
    """

    warehouse: Literal["local"]
    path: LocalPath = "warehouse"
    sources: dict[SourceTable, Globs] = Field(default_factory=dict)
    memory_limit: Memory | None = None
    threads: Annotated[Count, Field(le=1024)] | None = None
    temp_directory: LocalPath | None = None

    @field_validator("sources")
    @classmethod
    def _plain_names(cls, sources: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        tables = {name: expressions.parse_table(name) for name in sources}
        plain = {f"{tables[name].db}.{tables[name].name}": sources[name] for name in sources}
        if len({name.lower() for name in plain}) != len(sources):
            raise ValueError("names one table twice")
        return plain


class ReadOnly(Model):
    """What the sources read: a database of the catalog, and where its files lie."""

    database: Text
    locations: S3Locations


class AthenaConnection(_Connection):
    """AWS Athena, Glue and S3.

    Attributes:
        region: AWS region.
        bucket: The bucket of the staging folder.
        folder: The staging folder inside the bucket.
        database: The staging database in Glue.
        query_results: Where Athena writes results; None where the workgroup says it.
        workgroup: Athena workgroup.
        role_arn: Role to assume; None for the default credential chain.
        external_id: External id for assuming the role.
        kms_key: Key for SSE-KMS.
        endpoint_url: An AWS-compatible endpoint.
        read_only: What the sources read, for the IAM policy and the doctor.
        max_bytes_per_query: Guard, in bytes.
        max_bytes_per_load: Guard, in bytes.
        max_bytes_per_statement: Bytes above which a first load is split by days.
        price_per_tb: US dollars for 10^12 bytes scanned.
        max_concurrent_queries: Our own cap on running queries.
        trusted_principal: Who may assume the role; None for the role's account.
        keep_loads: How many published loads stay readable.
        forwarded_exposures: Table name inside the folder of forwarded exposures.
        forwarded_events: Table name inside the folder of forwarded events.
        forward_key: Columns that make two forwarded rows one.
    """

    warehouse: Literal["athena"]
    region: Region
    bucket: Bucket
    query_results: S3Location | None = None
    workgroup: Workgroup = "primary"
    role_arn: Arn | None = None
    external_id: Text | None = None
    kms_key: Arn | None = None
    endpoint_url: Url | None = None
    read_only: tuple[ReadOnly, ...] = ()
    max_bytes_per_query: Size | None = None
    max_bytes_per_load: Size | None = None
    max_bytes_per_statement: Size | None = None
    price_per_tb: Price = 5.0
    max_concurrent_queries: Count = 10
    trusted_principal: Arn | None = None

    @field_validator("folder")
    @classmethod
    def _stands_in_a_literal(cls, folder: str) -> str:
        if found := sorted(set("'\"`\\").intersection(folder)):
            raise ValueError(f"holds {found[0]}, which Athena's two parsers read differently")
        return folder

    @field_validator("external_id")
    @classmethod
    def _goes_with_a_role(cls, external_id: str | None, info: ValidationInfo) -> str | None:
        if external_id and info.data.get("role_arn", "unknown") is None:
            raise ValueError("goes with role_arn")
        return external_id


Connection = Annotated[LocalConnection | AthenaConnection, Field(discriminator="warehouse")]
"""Where a project's statements run."""

CONNECTIONS: Final[dict[str, type[Model]]] = {
    "athena": AthenaConnection,
    "local": LocalConnection,
}
"""Warehouse → model."""

"""Requests: what StartQueryExecution is asked for a statement, and the token that makes it one statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from statsig_staging.names import digest

if TYPE_CHECKING:
    from statsig_staging.config import AthenaConnection

CATALOG: Final = "AwsDataCatalog"
"""Glue of the account itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One attempt at a statement.

    Attributes:
        sql: The statement, as it is sent.
        purpose: The step of the load; messages and costs name it.
        load_id: The load.
        experiment_id: The experiment.
        attempt: 1, and one more after each attempt that ended in FAILED or CANCELLED.
        number: Which statement of the step it is.
        reads_only: Whether it is a SELECT, whose intent nobody has to know.
    """

    sql: str
    purpose: str
    load_id: str
    experiment_id: str
    attempt: int = 1
    number: int = 1
    reads_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What StartQueryExecution is asked: the same request is always the same statement.

    Attributes:
        sql: The statement.
        token: Its ClientRequestToken.
        database: The database of names without one.
        catalog: The data catalog.
        workgroup: The workgroup.
        output_location: Where its result goes; None where the workgroup says it.
        kms_key: Key that its result is encrypted with; None for the workgroup's or bucket's own way.
    """

    sql: str
    token: str
    database: str
    catalog: str
    workgroup: str
    output_location: str | None
    kms_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the statements of a warehouse run.

    Attributes:
        database: The database of names without one.
        workgroup: The workgroup.
        output_location: Where results go; None where the workgroup says it, or Athena keeps them.
        kms_key: Key for results; None for the workgroup's or the bucket's own way.
        catalog: The data catalog.
        at_once: Statements under way at most.
        max_bytes_per_query: Bytes after which a statement is stopped.
        max_bytes_per_load: Bytes after which a load starts no further statement.
        price_per_tb: US dollars for 10^12 bytes.
    """

    database: str
    workgroup: str
    output_location: str | None
    kms_key: str | None = None
    catalog: str = CATALOG
    at_once: int = 10
    max_bytes_per_query: int | None = None
    max_bytes_per_load: int | None = None
    price_per_tb: float = 5.0


def settings_of(connection: AthenaConnection) -> Settings:
    """Return the settings of a connection."""
    return Settings(
        database=connection.database,
        workgroup=connection.workgroup,
        output_location=connection.query_results,
        kms_key=connection.kms_key if connection.query_results is not None else None,
        at_once=connection.max_concurrent_queries,
        max_bytes_per_query=connection.max_bytes_per_query,
        max_bytes_per_load=connection.max_bytes_per_load,
        price_per_tb=connection.price_per_tb,
    )


def request_of(statement: Statement, settings: Settings) -> Request:
    """Return what StartQueryExecution is asked for a statement.

    The workgroup is part of the token because the service does not compare it: the same token in another
    workgroup would return the statement of the first (measured, see ``docs/athena-endpoint.md``).
    """
    token = digest(
        statement.experiment_id,
        statement.load_id,
        statement.purpose,
        str(statement.attempt),
        str(statement.number),
        statement.sql,
        settings.catalog,
        settings.database,
        settings.workgroup,
        settings.output_location or "",
        settings.kms_key or "",
        length=64,
    )
    return Request(
        sql=statement.sql,
        token=token,
        database=settings.database,
        catalog=settings.catalog,
        workgroup=settings.workgroup,
        output_location=settings.output_location,
        kms_key=settings.kms_key,
    )


def parameters_of(request: Request) -> dict[str, Any]:
    """Return the parameters of StartQueryExecution; every one is given, because the service compares them."""
    found: dict[str, Any] = {
        "QueryString": request.sql,
        "ClientRequestToken": request.token,
        "QueryExecutionContext": {"Database": request.database, "Catalog": request.catalog},
        "WorkGroup": request.workgroup,
    }
    results: dict[str, Any] = {}
    if request.output_location is not None:
        results["OutputLocation"] = request.output_location
    if request.kms_key is not None:
        results["EncryptionConfiguration"] = {
            "EncryptionOption": "SSE_KMS",
            "KmsKey": request.kms_key,
        }
    return {**found, "ResultConfiguration": results} if results else found

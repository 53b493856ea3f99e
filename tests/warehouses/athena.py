"""What tests of the Athena warehouse share: a connection, statements, and files in the endpoint's S3."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from statsig_staging.config import AthenaConnection
from statsig_staging.warehouses.athena.clients import open_clients
from statsig_staging.warehouses.athena.intents import folder_of
from statsig_staging.warehouses.athena.requests import Statement, settings_of
from statsig_staging.warehouses.athena.retries import Retries
from statsig_staging.warehouses.athena.statements import Statements
from statsig_staging.warehouses.base import StoredFile
from tests.athena_endpoint.fixtures import DATABASE, REGION, Aws

EXPERIMENT = "checkout"
LOAD = "20260101T000000-1"
FOLDER = folder_of(EXPERIMENT, LOAD).removesuffix("/statements")


@dataclass
class Files:
    """Files below a folder of the endpoint's bucket."""

    s3: Any
    bucket: str
    folder: str = "statsig"

    def put_object(self, key: str, data: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=f"{self.folder}/{key}", Body=data)

    def get_object(self, key: str) -> bytes | None:
        try:
            found = self.s3.get_object(Bucket=self.bucket, Key=f"{self.folder}/{key}")
        except self.s3.exceptions.NoSuchKey:
            return None
        data: bytes = found["Body"].read()
        return data

    def list_files(self, prefix: str) -> tuple[StoredFile, ...]:
        asked = {"Bucket": self.bucket, "Prefix": f"{self.folder}/{prefix}/"}
        pages = self.s3.get_paginator("list_objects_v2").paginate(**asked)
        return tuple(
            StoredFile(
                key=each["Key"].removeprefix(f"{self.folder}/"),
                size=each["Size"],
                modified_at=each["LastModified"],
            )
            for page in pages
            for each in page.get("Contents", ())
        )


@dataclass
class Pauses:
    """Waits that are written down instead of waited."""

    seconds: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def a_connection(aws: Aws, **more: Any) -> AthenaConnection:
    """Return a connection to the endpoint."""
    return AthenaConnection(
        **{
            "warehouse": "athena",
            "region": REGION,
            "bucket": aws.bucket,
            "database": DATABASE,
            "query_results": aws.results,
            "endpoint_url": aws.endpoint.url,
            **more,
        }
    )


@contextmanager
def statements_of(
    aws: Aws, *, pauses: Pauses | None = None, **connection: Any
) -> Iterator[Statements]:
    """Open what runs statements; its policy does not wait."""
    found = a_connection(aws, **connection)
    retries = Retries(pause=pauses or Pauses())
    with open_clients(found, retries) as clients:
        files = Files(aws.client("s3"), aws.bucket)
        statements = Statements(clients, files, settings_of(found), retries=retries)
        try:
            yield statements
        finally:
            statements.stop_all()


def a_statement(sql: str, **more: Any) -> Statement:
    """Return a statement of the load."""
    return Statement(
        **{
            "sql": sql,
            "purpose": "results",
            "load_id": LOAD,
            "experiment_id": EXPERIMENT,
            **more,
        }
    )


def fault(aws: Aws, operation: str, kind: str, **more: Any) -> None:
    """Have the next call of an operation of Athena go wrong."""
    aws.endpoint.faults.add(
        account=aws.id, service="athena", operation=operation, kind=kind, **more
    )


def ran(aws: Aws, match: str) -> list[dict[str, Any]]:
    """Return the statements whose SQL holds a text, after a check that no token ran twice."""
    documents = aws.account.executions.documents()
    tokens = Counter(each["token"] for each in documents)
    assert all(count == 1 for token, count in tokens.items() if token)
    return [each for each in documents if match in each["sql"]]


def open_intents(aws: Aws) -> list[str]:
    """Return the keys of intents without an end."""
    files = Files(aws.client("s3"), aws.bucket)
    keys = {file.key for file in files.list_files(FOLDER)}
    ends = {key.removesuffix(".end.json") for key in keys if key.endswith(".end.json")}
    begun = {key.removesuffix(".json") for key in keys if not key.endswith(".end.json")}
    return sorted(begun - ends)

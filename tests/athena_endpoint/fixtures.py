"""Fixtures: one endpoint for a whole run of tests, a fresh AWS account for each test."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.athena_endpoint.accounts import Account, Credentials
    from tests.athena_endpoint.server import Endpoint

REGION = "us-east-1"
DATABASE = "shop"


@functools.cache
def _session() -> Any:
    """Return a session whose models are loaded once."""
    import boto3

    return boto3.Session()


@dataclass(kw_only=True)
class Aws:
    """An account of the endpoint with a bucket, a database and clients."""

    endpoint: Endpoint
    credentials: Credentials
    _clients: dict[tuple[str, bool], Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The account's number."""
        return self.credentials.account

    @property
    def bucket(self) -> str:
        """A bucket that is there."""
        return f"lake-{self.id}"

    @property
    def results(self) -> str:
        """Where results go."""
        return f"s3://{self.bucket}/results/"

    @property
    def account(self) -> Account:
        """What Athena keeps for the account."""
        return self.endpoint.account(self.id)

    def place(self, name: str) -> str:
        """Return a location for a table."""
        return f"s3://{self.bucket}/tables/{name}/"

    @property
    def keys(self) -> dict[str, str]:
        """Credentials as boto3 takes them."""
        return {
            "aws_access_key_id": self.credentials.access_key,
            "aws_secret_access_key": self.credentials.secret_key,
            "region_name": REGION,
        }

    def client(self, service: str, *, retries: bool = False) -> Any:
        """Return a client of boto3; without retries, a fault is seen as it came."""
        from botocore.config import Config

        if (service, retries) not in self._clients:
            attempts = {"total_max_attempts": 4 if retries else 1, "mode": "standard"}
            self._clients[service, retries] = _session().client(
                service,
                endpoint_url=self.endpoint.url,
                config=Config(retries=attempts, max_pool_connections=60),  # type: ignore[arg-type]
                **self.keys,
            )
        return self._clients[service, retries]

    def start(self, sql: str, **more: Any) -> str:
        """Start a statement and return its id."""
        asked = {
            "QueryString": sql,
            "QueryExecutionContext": {"Database": DATABASE},
            "ResultConfiguration": {"OutputLocation": self.results},
            **more,
        }
        return str(self.client("athena").start_query_execution(**asked)["QueryExecutionId"])

    def wait(self, execution_id: str, seconds: float = 60.0) -> dict[str, Any]:
        """Wait for the end of a statement and return what GetQueryExecution says.

        Raises:
            TimeoutError: If it does not end.
        """
        if not self.account.executions.get(execution_id).ended.wait(seconds):
            raise TimeoutError(execution_id)
        found = self.client("athena").get_query_execution(QueryExecutionId=execution_id)
        execution: dict[str, Any] = found["QueryExecution"]
        return execution

    def run(self, sql: str, **more: Any) -> dict[str, Any]:
        """Run a statement to its end, which has to be SUCCEEDED.

        Raises:
            AssertionError: If it is another.
        """
        execution = self.wait(self.start(sql, **more))
        status = execution["Status"]
        assert status["State"] == "SUCCEEDED", f"{sql}: {status.get('StateChangeReason')}"
        return execution

    def fails(self, sql: str, **more: Any) -> dict[str, Any]:
        """Run a statement whose end has to be FAILED, and return its AthenaError.

        Raises:
            AssertionError: If it is another.
        """
        status = self.wait(self.start(sql, **more))["Status"]
        assert status["State"] == "FAILED", sql
        error: dict[str, Any] = status["AthenaError"]
        return error

    def count(self, sql: str, **more: Any) -> int:
        """Run a statement that writes rows and return UpdateCount."""
        execution = self.run(sql, **more)
        asked = {"QueryExecutionId": execution["QueryExecutionId"]}
        return int(self.client("athena").get_query_results(**asked)["UpdateCount"])

    def rows(self, sql: str, **more: Any) -> list[tuple[str | None, ...]]:
        """Run a query and return its rows, without the header."""
        execution = self.run(sql, **more)
        pages = self.client("athena").get_paginator("get_query_results")
        found: list[tuple[str | None, ...]] = []
        for page in pages.paginate(QueryExecutionId=execution["QueryExecutionId"]):
            found += [
                tuple(cell.get("VarCharValue") for cell in row["Data"])
                for row in page["ResultSet"]["Rows"]
            ]
        return found[1:] if execution["StatementType"] == "DML" else found

    def iceberg(self, name: str, select: str, *, partitioning: Sequence[str] = ()) -> int:
        """Create an Iceberg table by CTAS, and return its rows."""
        parts = ", ".join(f"'{part}'" for part in partitioning)
        by = f", partitioning = ARRAY[{parts}]" if parts else ""
        return self.count(
            f"CREATE TABLE {name} WITH (table_type = 'ICEBERG', is_external = false, "
            f"location = '{self.place(name)}', format = 'PARQUET'{by}) AS {select}"
        )

    def prepare(self) -> None:
        """Create the bucket and the database."""
        from moto.glue.models import glue_backends
        from moto.s3.models import s3_backends

        s3_backends[self.id]["aws"].create_bucket(self.bucket, REGION)
        glue_backends[self.id][REGION].create_database(DATABASE, {"Name": DATABASE})

    def close(self) -> None:
        """Close the clients, and let go of everything that is held back."""
        self.endpoint.holds.clear(self.id)
        self.endpoint.faults.clear(self.id)
        for client in self._clients.values():
            client.close()


@pytest.fixture(scope="session")
def athena_endpoint() -> Iterator[Endpoint]:
    """Return an endpoint that the tests of a run share."""
    from tests.athena_endpoint.server import Endpoint

    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def aws(athena_endpoint: Endpoint) -> Iterator[Aws]:
    """Return an AWS account that nobody used before, with a bucket and a database."""
    account = Aws(endpoint=athena_endpoint, credentials=athena_endpoint.new_account())
    account.prepare()
    yield account
    account.close()


@pytest.fixture
def aws_environment(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """Return an account that clients find through the environment, without being told."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", aws.credentials.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", aws.credentials.secret_key)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return aws

"""AWS accounts: credentials, and everything that Athena keeps for one."""

from __future__ import annotations

import functools
import threading
import uuid
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto.iam.models import get_account_id_from, iam_backends
from werkzeug.test import EnvironBuilder, run_wsgi_app

from tests.athena_endpoint.executions import Executions
from tests.athena_endpoint.glue import InnerGlue
from tests.athena_endpoint.storage import Storage
from tests.athena_endpoint.workgroups import WorkGroups

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import WSGIApplication

    from botocore.awsrequest import AWSPreparedRequest
    from mypy_boto3_glue import GlueClient
    from pyiceberg.catalog.glue import GlueCatalog

REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account, and an access key of a user in it."""

    account: str
    access_key: str
    secret_key: str


def account_of(access_key: str) -> str:
    """Return the account that an access key belongs to, the default one if nobody knows it."""
    return get_account_id_from(access_key)


def new_credentials(account: str) -> Credentials:
    """Return a new access key of an account, which begins to exist if it does not yet."""
    iam = iam_backends[account]["aws"]
    # IAM keeps two keys for a user at most.
    user = f"tester-{uuid.uuid4().hex[:8]}"
    iam.create_user(REGION, user_name=user)
    key = iam.create_access_key(user)
    return Credentials(account, key.access_key_id, key.secret_access_key)


@dataclass(kw_only=True)
class Settings:
    """How the statements of an account are treated.

    Attributes:
        queued_seconds: Seconds that a statement stays QUEUED at least.
        running_seconds: Seconds that it stays RUNNING at least.
        dml_limit: DML statements that may be under way; the default of us-east-1.
        ddl_limit: DDL statements that may be.
        vacuum_files: Files that one VACUUM removes at most.
    """

    queued_seconds: float = 0.0
    running_seconds: float = 0.0
    dml_limit: int = 200
    ddl_limit: int = 20
    vacuum_files: int = 20_000


class _Raw(BytesIO):
    """A body as botocore reads it."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        while chunk := self.read(65536):
            yield chunk


@dataclass(kw_only=True)
class Account:
    """What Athena keeps for an account in one region."""

    id: str
    region: str
    storage: Storage
    glue: GlueClient
    catalog: GlueCatalog
    workgroups: WorkGroups = field(default_factory=WorkGroups)
    executions: Executions = field(default_factory=Executions)
    settings: Settings = field(default_factory=Settings)
    prepared: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)


class Accounts:
    """Every account that was ever asked for.

    Args:
        glue: The WSGI application that Glue's calls from the inside go to.
    """

    def __init__(self, glue: WSGIApplication) -> None:
        self._glue = glue
        self._session = boto3.Session()
        self._accounts: dict[tuple[str, str], Account] = {}
        self._lock = threading.Lock()

    def of(self, account: str, region: str = REGION) -> Account:
        """Return an account in a region."""
        with self._lock:
            key = (account, region)
            if key not in self._accounts:
                self._accounts[key] = self._new(account, region)
            return self._accounts[key]

    def _new(self, account: str, region: str) -> Account:
        from pyiceberg.catalog.glue import GlueCatalog

        def client() -> GlueClient:
            return self._client(new_credentials(account), region)

        glue: Any = InnerGlue(client, self._exceptions, account, region)
        catalog = GlueCatalog(
            "endpoint",
            client=glue,
            **{
                "py-io-impl": "tests.athena_endpoint.fileio.StoredFileIO",
                "endpoint.account": account,
            },
        )
        return Account(
            id=account, region=region, storage=Storage(account), glue=glue, catalog=catalog
        )

    def _client(self, credentials: Credentials, region: str) -> GlueClient:
        """Return boto3's Glue client, whose calls stay inside."""
        client = self._session.client(
            "glue",
            region_name=region,
            endpoint_url="http://inside",
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
        )
        client.meta.events.register("before-send.glue", self._send)  # type: ignore[arg-type]
        return client

    @functools.cached_property
    def _exceptions(self) -> Any:
        return self._client(Credentials("", "inside", "inside"), REGION).exceptions

    def _send(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        """Answer a call of the inner client without HTTP."""
        given: Any = request.headers
        headers = [
            (key, value.decode() if isinstance(value, bytes) else str(value))
            for key, value in given.items()
        ]
        body: Any = request.body
        builder = EnvironBuilder(path="/", method=request.method, headers=headers, data=body)
        content, status, answer = run_wsgi_app(self._glue, builder.get_environ(), buffered=True)
        raw = _Raw(b"".join(content))
        code = int(status.split()[0])
        return AWSResponse(request.url, code, HTTPHeaders.from_pairs(answer.items()), raw)

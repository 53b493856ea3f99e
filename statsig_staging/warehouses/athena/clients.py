"""Clients of AWS, of one connection: the same credentials, region and endpoint for every service."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import (
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import NoCredentialsError

from statsig_staging.access.identities import ROLE_SESSION
from statsig_staging.warehouses.athena import failures
from statsig_staging.warehouses.athena.retries import Retries

if TYPE_CHECKING:
    from types import TracebackType

    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient

    from statsig_staging.config import AthenaConnection

_MORE_CONNECTIONS: Final = 10
"""Connections beyond one for each statement: the poller, files and Glue at the same time."""


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """Credentials of the moment; they do not refresh.

    Attributes:
        access_key: The access key's id.
        secret_key: The access key.
        token: The session token; None for keys of a user.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)


class Clients:
    """Clients of the services, for threads to share.

    None of them tries again by itself: the one policy for that is :class:`Retries`.

    Attributes:
        athena: Athena.
        s3: S3.
        glue: Glue.
        sts: STS, as whoever the other clients act as.
    """

    def __init__(self, session: boto3.Session, connection: AthenaConnection) -> None:
        self._session = session
        config = _config(connection)
        known: dict[str, Any] = {"endpoint_url": connection.endpoint_url, "config": config}
        self.athena: AthenaClient = session.client("athena", **known)
        self.s3: S3Client = session.client("s3", **known)
        self.glue: GlueClient = session.client("glue", **known)
        self.sts: STSClient = session.client("sts", **known)

    def credentials(self) -> AwsKeys:
        """Return the keys of the moment, refreshed if they are about to expire.

        Raises:
            AwsError: If there are none, or the role refuses.
        """
        try:
            found = self._session.get_credentials()
            if found is None:
                raise NoCredentialsError  # noqa: TRY301  boto3's own, raised by its calls otherwise
            keys = found.get_frozen_credentials()
        except Exception as error:  # noqa: BLE001  whatever botocore raises; the rest is raised as it is
            failures.raise_mapped(error, "getting AWS credentials")
        return AwsKeys(keys.access_key or "", keys.secret_key or "", keys.token)

    def close(self) -> None:
        """Close all connections."""
        for client in (self.athena, self.s3, self.glue, self.sts):
            client.close()

    def __enter__(self) -> Clients:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_clients(connection: AthenaConnection, retries: Retries | None = None) -> Clients:
    """Return clients of a connection; nothing is called before the first of them is used.

    Args:
        connection: Region, endpoint and role.
        retries: The policy for assuming the role.

    Raises:
        AwsRefusedError: If there are no credentials at all.
    """
    try:
        session = boto3.Session(region_name=connection.region)
        if session.get_credentials() is None:
            raise NoCredentialsError  # noqa: TRY301  boto3's own, raised by its calls otherwise
        if connection.role_arn is not None:
            session = _assumed(session, connection, retries or Retries())
        return Clients(session, connection)
    except Exception as error:  # noqa: BLE001  whatever botocore raises; the rest is raised as it is
        failures.raise_mapped(error, "connecting to AWS")


def _config(connection: AthenaConnection) -> Config:
    return Config(
        # With none of botocore's own, the policy sees every failure.
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=connection.max_concurrent_queries + _MORE_CONNECTIONS,
        connect_timeout=10,
        read_timeout=60,
        tcp_keepalive=True,
    )


def _assumed(own: boto3.Session, connection: AthenaConnection, retries: Retries) -> boto3.Session:
    """Return a session that acts as the connection's role, and assumes it anew before it expires."""
    core = botocore.session.get_session()
    role = _Role(own, connection, retries)
    core.register_component("credential_provider", CredentialResolver([role]))
    return boto3.Session(botocore_session=core, region_name=connection.region)


class _Role(CredentialProvider):
    """Where botocore gets the credentials of a role: the only place that it asks."""

    METHOD = "assume-role"

    def __init__(self, own: boto3.Session, connection: AthenaConnection, retries: Retries) -> None:
        super().__init__()
        self._own = own
        self._connection = connection
        self._retries = retries
        self._guard = threading.Lock()
        self._sts: STSClient | None = None

    def load(self) -> DeferredRefreshableCredentials:
        return DeferredRefreshableCredentials(refresh_using=self._assume, method=self.METHOD)

    def _assume(self) -> dict[str, str]:
        connection = self._connection
        asked: dict[str, Any] = {
            "RoleArn": connection.role_arn,
            "RoleSessionName": ROLE_SESSION,
        }
        if connection.external_id is not None:
            asked["ExternalId"] = connection.external_id
        answer = self._retries.call(
            f"assuming the role {connection.role_arn}", lambda: self._client().assume_role(**asked)
        )
        keys = answer["Credentials"]
        return {
            "access_key": keys["AccessKeyId"],
            "secret_key": keys["SecretAccessKey"],
            "token": keys["SessionToken"],
            "expiry_time": keys["Expiration"].isoformat(),
        }

    def _client(self) -> STSClient:
        with self._guard:
            if self._sts is None:
                self._sts = self._own.client(
                    "sts",
                    endpoint_url=self._connection.endpoint_url,
                    config=_config(self._connection),
                )
            return self._sts

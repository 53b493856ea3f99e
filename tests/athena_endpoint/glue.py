"""Glue's optimistic lock, which moto lacks, and Glue from the inside without HTTP.

UpdateTable with a stale VersionId is refused, whoever asks: clients over HTTP, and Athena's own commits.
"""

from __future__ import annotations

import copy
import functools
import json
import threading
from io import BytesIO
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import JsonRESTError
from moto.glue.models import GlueBackend, glue_backends

from tests.athena_endpoint.failures import CallError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from mypy_boto3_glue import GlueClient

_LOCK = threading.RLock()
"""One writer of Glue at a time; every check of a version and the update after it are one step."""


def _check_version(backend: GlueBackend, request: dict[str, Any]) -> None:
    """Make sure that an update was computed from the newest version.

    A version that skips the archive is dropped once there is a newer one, as ``SkipArchive`` asks.

    Raises:
        CallError: If it was not.
    """
    asked = request.get("VersionId")
    database, table = request["DatabaseName"], request["TableInput"]["Name"]
    found = backend.databases.get(database)
    if found is None or table not in found.tables:
        return
    versions = found.tables[table].versions
    newest = max(versions, key=int)
    if asked is not None and asked != newest:
        raise CallError(
            "ConcurrentModificationException",
            f"Update table failed due to concurrent modifications: {database}.{table} is at version "
            f"{newest}, not {asked}",
        )
    if request.get("SkipArchive"):
        for version in [v for v in versions if v != newest]:
            del versions[version]


class VersionedGlue:
    """A WSGI application around moto's Glue."""

    def __init__(
        self, moto: WSGIApplication, account_of: Callable[[WSGIEnvironment], tuple[str, str]]
    ) -> None:
        self._moto = moto
        self._account_of = account_of

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer a call."""
        if environ.get("HTTP_X_AMZ_TARGET") != "AWSGlue.UpdateTable":
            return self._moto(environ, start)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        account, region = self._account_of(environ)
        with _LOCK:
            try:
                _check_version(glue_backends[account][region], json.loads(body))
            except CallError as error:
                return answer(start, error)
            return list(self._moto(environ, start))


class InnerGlue:
    """boto3's Glue client of an account, whose most frequent calls do not go through HTTP.

    Args:
        client: Returns the client that has all the other calls; it is made when one of them is needed.
        exceptions: The errors of boto3's Glue clients.
        account: The account.
        region: The region.
    """

    def __init__(
        self, client: Callable[[], GlueClient], exceptions: Any, account: str, region: str
    ) -> None:
        self._client = functools.cache(client)
        self._account = account
        self._region = region
        self.exceptions = exceptions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client(), name)

    @property
    def _backend(self) -> GlueBackend:
        return glue_backends[self._account][self._region]

    def _raised(self, error: JsonRESTError | CallError, operation: str) -> Exception:
        code = error.code if isinstance(error, CallError) else error.error_type
        kind = getattr(self.exceptions, code)
        found: Exception = kind({"Error": {"Code": code, "Message": error.message}}, operation)
        return found

    def get_table(self, *, DatabaseName: str, Name: str) -> dict[str, Any]:  # noqa: N803
        """Return a table."""
        try:
            found = self._backend.get_table(DatabaseName, Name).as_dict()
        except JsonRESTError as error:
            raise self._raised(error, "GetTable") from error
        return {"Table": copy.deepcopy(found)}

    def get_database(self, *, Name: str) -> dict[str, Any]:  # noqa: N803
        """Return a database."""
        try:
            return {"Database": copy.deepcopy(self._backend.get_database(Name).as_dict())}
        except JsonRESTError as error:
            raise self._raised(error, "GetDatabase") from error

    def create_table(self, *, DatabaseName: str, TableInput: dict[str, Any]) -> None:  # noqa: N803
        """Create a table."""
        with _LOCK:
            try:
                name = TableInput["Name"]
                self._backend.create_table(DatabaseName, name, copy.deepcopy(TableInput))
            except JsonRESTError as error:
                raise self._raised(error, "CreateTable") from error

    def update_table(
        self,
        *,
        DatabaseName: str,  # noqa: N803
        TableInput: dict[str, Any],  # noqa: N803
        **more: Any,
    ) -> None:
        """Update a table, if it is still at the version that was read."""
        with _LOCK:
            try:
                asked = {"DatabaseName": DatabaseName, "TableInput": TableInput, **more}
                _check_version(self._backend, asked)
                name = TableInput["Name"]
                self._backend.update_table(DatabaseName, name, copy.deepcopy(TableInput))
            except (JsonRESTError, CallError) as error:
                raise self._raised(error, "UpdateTable") from error


def answer(start: StartResponse, error: CallError) -> list[bytes]:
    """Answer a JSON call with an error."""
    body = {"__type": error.code, "message": error.message, "Message": error.message}
    data = json.dumps({**body, **error.details}).encode()
    headers = [
        ("Content-Type", "application/x-amz-json-1.1"),
        ("Content-Length", str(len(data))),
        ("x-amzn-ErrorType", error.code),
    ]
    start(f"{error.status} Error", headers)
    return [data]

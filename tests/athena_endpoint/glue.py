"""Glue's optimistic lock, which moto lacks: UpdateTable with a stale VersionId is refused."""

from __future__ import annotations

import json
import threading
from io import BytesIO
from typing import TYPE_CHECKING, Any

from moto.glue.models import glue_backends

from tests.athena_endpoint.failures import CallError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class VersionedGlue:
    """A WSGI application around moto's Glue.

    Every commit of an Iceberg table goes through here, whoever makes it. A version that skips the archive is
    dropped once there is a newer one, as ``SkipArchive`` asks.
    """

    def __init__(self, moto: WSGIApplication, account_of: Any) -> None:
        self._moto = moto
        self._account_of = account_of
        self._lock = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer a call."""
        if environ.get("HTTP_X_AMZ_TARGET") != "AWSGlue.UpdateTable":
            return self._moto(environ, start)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        request = json.loads(body)
        with self._lock:
            try:
                self._check(environ, request)
            except CallError as error:
                return answer(start, error)
            return list(self._moto(environ, start))

    def _check(self, environ: WSGIEnvironment, request: dict[str, Any]) -> None:
        asked = request.get("VersionId")
        account, region = self._account_of(environ)
        database, table = request["DatabaseName"], request["TableInput"]["Name"]
        found = glue_backends[account][region].databases.get(database)
        if found is None or table not in found.tables:
            return
        versions = found.tables[table].versions
        newest = max(versions, key=int)
        if asked is not None and asked != newest:
            raise CallError(
                "ConcurrentModificationException",
                f"Update table failed due to concurrent modifications: {database}.{table} is at "
                f"version {newest}, not {asked}",
            )
        if request.get("SkipArchive"):
            for version in [v for v in versions if v != newest]:
                del versions[version]


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

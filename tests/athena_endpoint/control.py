"""The control address: accounts, faults, holds and what happened, over plain HTTP and JSON.

Another process than the one that runs the endpoint asks here; ``docs/athena-endpoint.md`` lists the paths.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.athena_endpoint.server import Endpoint

PREFIX = "/_endpoint/"

_Handler = "Callable[[Endpoint, str, dict[str, Any]], Any]"


def answer(endpoint: Endpoint, environ: WSGIEnvironment, start: StartResponse) -> list[bytes]:
    """Answer a request to the control address."""
    parts = environ["PATH_INFO"].removeprefix(PREFIX).strip("/").split("/")
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    asked = json.loads(body or b"{}")
    method = environ["REQUEST_METHOD"]
    if (method, parts) == ("POST", ["accounts"]):
        return _json(start, "200 OK", asdict(endpoint.new_account()))
    handler = (
        _HANDLERS.get((method, parts[2])) if parts[0] == "accounts" and len(parts) == 3 else None
    )
    if handler is None:
        return _json(start, "404 Not Found", {"message": f"no {method} {environ['PATH_INFO']}"})
    try:
        return _json(start, "200 OK", handler(endpoint, parts[1], asked))
    except (KeyError, TypeError, ValueError, TimeoutError) as error:
        return _json(start, "400 Bad Request", {"message": f"{type(error).__name__}: {error}"})


def _json(start: StartResponse, status: str, document: Any) -> list[bytes]:
    data = json.dumps(document).encode()
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]


def _add_fault(endpoint: Endpoint, account: str, asked: dict[str, Any]) -> Any:
    return {"number": endpoint.faults.add(account=account, **asked)}


def _clear(endpoint: Endpoint, account: str, _: dict[str, Any]) -> Any:
    endpoint.faults.clear(account)
    endpoint.holds.clear(account)
    return {}


def _release(endpoint: Endpoint, account: str, asked: dict[str, Any]) -> Any:
    endpoint.holds.release(account, asked.get("number"))
    return {}


def _wait(endpoint: Endpoint, account: str, asked: dict[str, Any]) -> Any:
    return {"execution_ids": endpoint.holds.held(account, **asked)}


def _settings(endpoint: Endpoint, account: str, asked: dict[str, Any]) -> Any:
    settings = endpoint.account(account).settings
    for key, value in asked.items():
        if key not in asdict(settings):
            raise KeyError(key)
        setattr(settings, key, value)
    return asdict(settings)


_HANDLERS: dict[tuple[str, str], Callable[[Endpoint, str, dict[str, Any]], Any]] = {
    ("GET", "all"): lambda endpoint, account, _: endpoint.documents(account),
    ("GET", "calls"): lambda endpoint, account, _: endpoint.documents(account)["calls"],
    ("GET", "counts"): lambda endpoint, account, _: endpoint.calls.counts(account),
    ("GET", "statements"): lambda endpoint, account, _: endpoint.documents(account)["statements"],
    ("GET", "holds"): lambda endpoint, account, _: endpoint.holds.of(account),
    ("GET", "faults"): lambda endpoint, account, _: endpoint.faults.left(account),
    ("POST", "faults"): _add_fault,
    ("POST", "holds"): lambda e, account, asked: {"number": e.holds.hold(account, **asked)},
    ("POST", "endings"): lambda e, account, asked: {"number": e.holds.end(account, **asked)},
    ("POST", "release"): _release,
    ("POST", "wait"): _wait,
    ("POST", "clear"): _clear,
    ("POST", "settings"): _settings,
}

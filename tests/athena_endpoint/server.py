"""The endpoint: one HTTP server for Athena, moto's services, and the control address beside them."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from tests.athena_endpoint import control, requests
from tests.athena_endpoint.accounts import (
    REGION,
    Accounts,
    Credentials,
    account_of,
    new_credentials,
)
from tests.athena_endpoint.calls import CallLog
from tests.athena_endpoint.failures import CallError
from tests.athena_endpoint.faults import FaultKind, Faults, Rule, error_of, speaks_json, xml_of
from tests.athena_endpoint.glue import VersionedGlue, answer
from tests.athena_endpoint.holds import Holds
from tests.athena_endpoint.storage import Copies, OneWriterS3

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from tests.athena_endpoint.accounts import Account
    from tests.athena_endpoint.athena import Athena
    from tests.athena_endpoint.gate import Gate
    from tests.athena_endpoint.requests import Incoming


class _Handler(MotoRequestHandler):
    """Writes no line for each request, and sends each answer at once.

    Without TCP_NODELAY an answer that is written in two pieces waits for the client's delayed
    acknowledgement, 40 ms.
    """

    disable_nagle_algorithm = True
    wbufsize = 65536
    protocol_version = "HTTP/1.1"

    def handle_expect_100(self) -> bool:
        """Ask for the body at once: boto3 waits a second for that before it sends an object."""
        go_on = super().handle_expect_100()
        self.wfile.flush()
        # werkzeug would ask once more, and leave that in the buffer of a connection that ends.
        del self.headers["Expect"]
        return go_on

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""

    def log_error(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Say nothing: connections end on purpose here."""


class _Moto(DomainDispatcherApplication):
    """moto's services; it looks a host up in the file system for each request, here once."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self._known: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        if host not in self._known:
            self._known[host] = super().get_backend_for_host(host)
        return self._known[host]


class Endpoint:
    """An AWS endpoint whose Athena executes.

    Args:
        port: The port on 127.0.0.1; 0 takes a free one.
        at_once: Statements that run at the same time.
    """

    def __init__(self, port: int = 0, *, at_once: int = 8) -> None:
        self._moto: WSGIApplication = _Moto()
        self._glue = VersionedGlue(self._moto, requests.account_and_region)
        self._s3 = OneWriterS3(self._moto)
        self.copies: Copies = Copies()
        self.holds: Holds = Holds()
        self.faults: Faults = Faults()
        self.calls: CallLog = CallLog()
        self.gates: dict[str, Gate] = {}
        self.accounts = Accounts(self._glue)
        self._at_once = at_once
        self._loading = threading.Lock()
        self._athena: Athena | None = None
        self._server = make_server(
            "127.0.0.1", port, self._application, threaded=True, request_handler=_Handler
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="athena-endpoint", daemon=True
        )

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> Self:
        """Begin to answer; Athena itself is loaded meanwhile, and the first call to it waits for that."""
        self._thread.start()
        threading.Thread(target=lambda: self.athena, name="athena-loading", daemon=True).start()
        return self

    @property
    def athena(self) -> Athena:
        """Athena: its API and its engine."""
        with self._loading:
            if self._athena is None:
                from tests.athena_endpoint.athena import Athena

                self._athena = Athena(self.copies, self.holds, self._at_once)
            return self._athena

    def stop(self) -> None:
        """Stop answering and delete what was kept."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.athena.close()
        self.copies.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def new_account(self) -> Credentials:
        """Return an access key of an account that nobody used before."""
        return new_credentials(f"{uuid.uuid4().int % 10**12:012d}")

    def account(self, account: str, region: str = REGION) -> Account:
        """Return what is kept for an account."""
        return self.accounts.of(account, region)

    def _application(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(control.PREFIX):
            return control.answer(self, environ, start)
        call = requests.read(environ, account_of)
        began = time.time()
        rule = self.faults.take(call.account, call.service, call.operation, call.text)
        seen = _Seen(start)
        try:
            return self._answer(call, rule, environ, seen)
        finally:
            self.calls.add(
                account=call.account,
                service=call.service,
                operation=call.operation,
                status=seen.status,
                token=call.document.get("ClientRequestToken"),
                execution_id=call.document.get("QueryExecutionId") or seen.execution_id,
                fault=rule.kind if rule else None,
                began=began,
                took=time.time() - began,
            )

    def _answer(
        self, call: Incoming, rule: Rule | None, environ: WSGIEnvironment, start: _Seen
    ) -> Iterable[bytes]:
        gate = self._gate(call)
        refusal = None if gate is None else gate.refusal(call, environ)
        if refusal is not None:
            return _refuse(call, refusal, start)
        if rule is None:
            return self._serve(call, environ, start)
        match rule.kind:
            case FaultKind.SLOW:
                time.sleep(rule.seconds)
                return self._serve(call, environ, start)
            case FaultKind.KILL:
                _hang_up(environ)
            case FaultKind.LOSE_ANSWER:
                unsent = _Seen(None)
                _read_out(self._serve(call, environ, unsent))
                start.status, start.execution_id = unsent.status, unsent.execution_id
                _hang_up(environ)
            case FaultKind.ERROR_AFTER_EFFECT:
                unsent = _Seen(None)
                _read_out(self._serve(call, environ, unsent))
                start.execution_id = unsent.execution_id
            case _:
                pass
        error = error_of(rule, call.service)
        if error is None:
            raise ValueError(f"no answer for {rule.kind}")
        return _refuse(call, error, start)

    def _gate(self, call: Incoming) -> Gate | None:
        """Return the gate before an access key, before the roles of an account, or before all of it."""
        role = f"role:{call.account}" if call.access_key.startswith("ASIA") else ""
        names = (call.access_key, role, call.account)
        return next((self.gates[name] for name in names if name in self.gates), None)

    def _serve(self, call: Incoming, environ: WSGIEnvironment, start: _Seen) -> Iterable[bytes]:
        operations = self.athena.operations if call.service == "athena" else {}
        operation = operations.get(call.operation)
        if operation is not None:
            account = self.accounts.of(call.account, call.region)
            try:
                found = operation(account, call.document)
            except CallError as error:
                return answer(start, error)
            start.execution_id = found.get("QueryExecutionId")
            data = json.dumps(found).encode()
            headers = [
                ("Content-Type", "application/x-amz-json-1.1"),
                ("Content-Length", str(len(data))),
            ]
            start("200 OK", headers)
            return [data]
        wrapped: dict[str, WSGIApplication] = {"glue": self._glue, "s3": self._s3}
        application = wrapped.get(call.service, self._moto)
        body: Iterable[bytes] = application(environ, start)
        return body

    def documents(self, account: str) -> dict[str, Any]:
        """Return everything that happened in an account: calls, counts, statements, holds, rules left."""
        return {
            "calls": [call.document() for call in self.calls.of(account)],
            "counts": self.calls.counts(account),
            "statements": self.accounts.of(account).executions.documents(),
            "holds": self.holds.of(account),
            "faults": self.faults.left(account),
            "settings": asdict(self.accounts.of(account).settings),
        }


class _Seen:
    """A ``start_response`` that remembers the status; without one behind it, nothing is sent."""

    def __init__(self, start: StartResponse | None) -> None:
        self._start = start
        self.status = 0
        self.execution_id: str | None = None

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
        self.status = int(status.split(maxsplit=1)[0])
        if self._start is None:
            return lambda _: None
        return self._start(status, headers)


def _refuse(call: Incoming, error: CallError, start: _Seen) -> list[bytes]:
    if speaks_json(call.service):
        return answer(start, error)
    data = xml_of(error, call.service)
    start(
        f"{error.status} Error", [("Content-Type", "text/xml"), ("Content-Length", str(len(data)))]
    )
    return [data]


def _read_out(body: Iterable[bytes]) -> None:
    for _ in body:
        pass
    close = getattr(body, "close", None)
    if close is not None:
        close()


def _hang_up(environ: WSGIEnvironment) -> None:
    """End the connection without an answer.

    Raises:
        ConnectionAbortedError: Always; the server takes it for a client that went away.
    """
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError


def quiet() -> None:
    """Have moto's server write no line for each request."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)

"""Statements that were started: their states, their tokens, and what became of them."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tests.athena_endpoint.failures import CallError, StatementCancelledError, invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.athena_endpoint.failures import AthenaError
    from tests.athena_endpoint.statements import Statement
    from tests.athena_endpoint.types import ResultColumn


class State(StrEnum):
    """States of the API."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        """Whether it is the last one."""
        return self not in {State.QUEUED, State.RUNNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What StartQueryExecution was asked."""

    sql: str
    statement: Statement
    database: str
    asked_database: str | None
    catalog: str | None
    workgroup: str
    asked_location: str | None
    location: str | None
    token: str | None
    parameters: Sequence[str] = ()
    encryption: Mapping[str, str] | None = None

    @property
    def fingerprint(self) -> tuple[str | None, ...]:
        """What is compared where a token comes back.

        Measured: QueryString, Database, Catalog and OutputLocation are, ExecutionParameters and WorkGroup are
        not (aoyagikouhei/athena-local).
        """
        return (self.sql, self.asked_database, self.catalog, self.asked_location)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a statement that succeeded leaves behind.

    Attributes:
        columns: The columns of its result; None where the API has no metadata.
        update_count: Rows written, for statements that write rows.
        location: The result file.
        header: Whether the first row of the result is the header.
    """

    columns: Sequence[ResultColumn] | None = None
    update_count: int | None = None
    location: str | None = None
    manifest: str | None = None
    header: bool = False


@dataclass(kw_only=True)
class Execution:
    """One statement."""

    request: Request
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: State = State.QUEUED
    reason: str | None = None
    error: AthenaError | None = None
    outcome: Outcome = field(default_factory=Outcome)
    scanned: int = 0
    submitted: float = field(default_factory=time.time)
    began: float | None = None
    completed: float | None = None
    history: list[tuple[str, float]] = field(default_factory=list)
    effects: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    _interrupts: list[Callable[[], None]] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _committing: bool = False

    def __post_init__(self) -> None:
        self.history.append((self.state, self.submitted))

    def move(self, state: State) -> None:
        """Enter a state."""
        with self._lock:
            now = time.time()
            self.state = state
            self.history.append((state, now))
            if state is State.RUNNING and self.began is None:
                self.began = now
            if state.terminal:
                self.completed = now
                self.ended.set()

    def stop(self) -> None:
        """Ask for the end; what is being committed is no longer stopped."""
        with self._lock:
            if self.state.terminal or self._committing:
                return
            self.stopped.set()
        threading.Thread(target=self._interrupt, daemon=True).start()

    def _interrupt(self) -> None:
        """Interrupt what runs until it has ended: DuckDB forgets an interrupt that comes before a query."""
        while True:
            with self._lock:
                for interrupt in self._interrupts:
                    interrupt()
            if self.ended.wait(0.05):
                return

    def on_stop(self, interrupt: Callable[[], None]) -> None:
        """Have a function called when the statement is stopped."""
        with self._lock:
            self._interrupts.append(interrupt)

    def check(self) -> None:
        """Make sure that nobody stopped the statement.

        Raises:
            StatementCancelledError: If somebody did.
        """
        if self.stopped.is_set():
            raise StatementCancelledError

    def commit(self) -> None:
        """Pass the point from which on a stop comes too late."""
        with self._lock:
            self.check()
            self._committing = True

    def forget_interrupts(self) -> None:
        """Let go of what a stop would have called."""
        with self._lock:
            self._interrupts.clear()


class Executions:
    """The statements of an account."""

    def __init__(self) -> None:
        self._all: dict[str, Execution] = {}
        self._tokens: dict[str, Execution] = {}
        self._repeats: dict[str, int] = {}
        self._lock = threading.Lock()

    def start(self, request: Request, *, limit: int) -> tuple[Execution, bool]:
        """Return the statement of a request, and whether it is a new one.

        Raises:
            CallError: If the token came with another request, or too many statements are under way.
        """
        with self._lock:
            known = self._tokens.get(request.token) if request.token else None
            if known is not None:
                if known.request.fingerprint != request.fingerprint:
                    raise invalid(
                        "Idempotent parameters do not match", "IDEMPOTENT_PARAMETER_MISMATCH"
                    )
                self._repeats[known.id] = self._repeats.get(known.id, 0) + 1
                return known, False
            self._check_limit(request.statement, limit)
            execution = Execution(request=request)
            self._all[execution.id] = execution
            if request.token:
                self._tokens[request.token] = execution
            return execution, True

    def _check_limit(self, statement: Statement, limit: int) -> None:
        dml = statement.kind.counts_as_dml
        under_way = sum(
            execution.request.statement.kind.counts_as_dml == dml
            for execution in self._all.values()
            if not execution.state.terminal
        )
        if under_way >= limit:
            raise CallError(
                "TooManyRequestsException",
                "You have exceeded the limit for the number of queries you can run concurrently. "
                "Please reduce the number of concurrent queries submitted by this account.",
                Reason="CONCURRENT_QUERY_LIMIT_EXCEEDED",
            )

    def get(self, execution_id: str) -> Execution:
        """Return a statement.

        Raises:
            CallError: If there is none of the id.
        """
        with self._lock:
            found = self._all.get(execution_id)
        if found is None:
            raise invalid(f"QueryExecution {execution_id} was not found")
        return found

    def all(self) -> list[Execution]:
        """Return every statement, the oldest first."""
        with self._lock:
            return list(self._all.values())

    def documents(self) -> list[dict[str, Any]]:
        """Return what the control address shows: each statement, its token, and how often both came back."""
        return [
            {
                "execution_id": execution.id,
                "sql": execution.request.sql,
                "token": execution.request.token,
                "repeats": self._repeats.get(execution.id, 0),
                "state": execution.state,
                "history": execution.history,
                "effects": execution.effects,
                "update_count": execution.outcome.update_count,
                "reason": execution.reason,
            }
            for execution in self.all()
        ]

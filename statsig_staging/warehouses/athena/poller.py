"""The poller: one for all running statements of a warehouse asks Athena how they are.

BatchGetQueryExecution takes 50 ids, so what limits the poller is calls, not statements: at most one in
``GAP`` seconds. A young statement is asked about in every call, an old one every two seconds.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from statsig_staging.warehouses.athena.failures import AwsError, Kind, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

GAP: Final = 0.21
"""Seconds from one call to the next at least: never more than five in a second."""

MOST_IDS: Final = 50
"""Ids that BatchGetQueryExecution takes (AWS, API reference)."""

FIRST_LOOK: Final = 0.1
"""Seconds after its start at which a statement is first asked about, if a call may be made then."""

_YOUNG: Final = 60.0
_OLD: Final = 300.0
_LONGEST: Final = 2.0
_PATIENCE: Final = 60.0
_TERMINAL: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})


def interval(age: float) -> float:
    """Return the seconds from one look at a statement to the next, by the statement's age in seconds.

    As often as calls may follow each other through its first minute, then less and less often, and every two
    seconds from five minutes on: what is waited in vain stays below one percent of the statement's time.
    """
    slower = _LONGEST * (age - _YOUNG) / (_OLD - _YOUNG)
    return min(_LONGEST, max(GAP, slower))


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What Athena says about a statement.

    States do not only move on: a transient error sends RUNNING back to QUEUED (AWS, API reference).

    Attributes:
        query_id: Its id.
        state: Its state.
        reason: Why it is in it.
        error: ``AthenaError``.
        type: ``DDL``, ``DML`` or ``UTILITY``.
        subtype: Like ``CREATE_TABLE_AS_SELECT``.
        bytes_scanned: What it has scanned so far.
        queued_seconds: How long it waited at the service.
        engine_seconds: How long it ran.
        output_location: Where its result is.
    """

    query_id: str
    state: str
    reason: str = ""
    error: Mapping[str, Any] = field(default_factory=dict)
    type: str = ""
    subtype: str = ""
    bytes_scanned: int = 0
    queued_seconds: float = 0.0
    engine_seconds: float = 0.0
    output_location: str | None = None

    @property
    def ended(self) -> bool:
        """Whether the state is the last one."""
        return self.state in _TERMINAL


def execution_of(document: Mapping[str, Any]) -> Execution:
    """Return what a ``QueryExecution`` of the API says."""
    status, statistics = document["Status"], document.get("Statistics") or {}
    return Execution(
        query_id=document["QueryExecutionId"],
        state=status["State"],
        reason=status.get("StateChangeReason") or "",
        error=status.get("AthenaError") or {},
        type=document.get("StatementType") or "",
        subtype=document.get("SubstatementType") or "",
        bytes_scanned=statistics.get("DataScannedInBytes") or 0,
        queued_seconds=(statistics.get("QueryQueueTimeInMillis") or 0) / 1000,
        engine_seconds=(statistics.get("EngineExecutionTimeInMillis") or 0) / 1000,
        output_location=(document.get("ResultConfiguration") or {}).get("OutputLocation"),
    )


def has_ended(execution: Execution) -> bool:
    """Return whether a statement has ended."""
    return execution.ended


@dataclass(eq=False, slots=True, kw_only=True)
class _Watch:
    """Somebody who waits for a statement."""

    query_id: str
    until: Callable[[Execution], bool]
    began: float
    due: float
    heard: float
    future: Future[Execution] = field(default_factory=Future)


class Poller:
    """Asks for all statements that somebody waits for, in a thread that is there while somebody does.

    Args:
        ask: Makes one call about at most ``MOST_IDS`` ids and returns what it says of each; ids that the
            service could not say anything about are left out.
        clock: Seconds that only go up.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[str]], Iterable[Execution]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._changed = threading.Condition()
        self._watches: list[_Watch] = []
        self._running = False
        self._last_call = float("-inf")

    def wait(
        self,
        query_id: str,
        *,
        until: Callable[[Execution], bool] = has_ended,
        seconds: float | None = None,
    ) -> Execution:
        """Return what Athena says of a statement once ``until`` is true of it.

        Args:
            query_id: The statement.
            until: Is asked in the poller's thread at every look, and must not block.
            seconds: How long to wait at most.

        Raises:
            TimeoutError: If that long did not suffice.
            AwsError: If Athena cannot be asked.
        """
        now = self._clock()
        due = now + FIRST_LOOK
        watch = _Watch(query_id=query_id, until=until, began=now, due=due, heard=now)
        with self._changed:
            self._watches.append(watch)
            self._changed.notify()
            if not self._running:
                self._running = True
                threading.Thread(target=self._poll, name="athena-poller", daemon=True).start()
        try:
            return watch.future.result(seconds)
        finally:
            self._forget([watch])

    def _forget(self, watches: Iterable[_Watch]) -> None:
        gone = set(watches)
        with self._changed:
            self._watches = [watch for watch in self._watches if watch not in gone]
            self._changed.notify()

    def _poll(self) -> None:
        while asked := self._next():
            try:
                ids = list(dict.fromkeys(watch.query_id for watch in asked))
                found = {execution.query_id: execution for execution in self._ask(ids)}
                for watch in asked:
                    self._tell(watch, found)
            except BaseException as error:  # noqa: BLE001  it is raised where somebody waits
                _fail(asked, error)
            self._forget([watch for watch in asked if watch.future.done()])

    def _next(self) -> list[_Watch]:
        """Wait until a call is due, and return what to ask in it; nothing where nobody waits any more."""
        with self._changed:
            while self._watches:
                now = self._clock()
                begin = next_call(self._last_call, (watch.due for watch in self._watches))
                if begin <= now:
                    self._last_call = now
                    return due_now(self._watches, now)
                self._changed.wait(begin - now)
            self._running = False
            return []

    def _tell(self, watch: _Watch, found: Mapping[str, Execution]) -> None:
        """Tell who waits what was found, if that is what he waits for."""
        # From the call on, not from its answer: how long that took is no part of the interval.
        now = self._last_call
        watch.due = now + interval(now - watch.began)
        execution = found.get(watch.query_id)
        if execution is not None:
            watch.heard = now
            if watch.until(execution):
                watch.future.set_result(execution)
        elif now - watch.heard > _PATIENCE:
            said = f"Athena has said nothing about query {watch.query_id} for {_PATIENCE:.0f} s"
            watch.future.set_exception(failure(f"{said}; run again", Kind.UNKNOWN))


def next_call(last: float, due: Iterable[float]) -> float:
    """Return when to call next: as soon as something is due, and not too soon after the last call."""
    return max(last + GAP, min(due))


def due_now(watches: Iterable[_Watch], now: float) -> list[_Watch]:
    """Return whom to ask about at ``now``: all who are due before the next call can be, the latest first."""
    due = sorted((w for w in watches if w.due < now + GAP), key=lambda watch: watch.due)
    return due[:MOST_IDS]


def _fail(watches: Iterable[_Watch], error: BaseException) -> None:
    """Raise an error wherever somebody waits; each gets one of his own."""
    for watch in watches:
        if watch.future.done():
            continue
        own = error
        if isinstance(error, AwsError):
            own = failure(str(error), error.kind, code=error.code)
            own.__cause__ = error
        watch.future.set_exception(own)

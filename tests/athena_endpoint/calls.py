"""What was asked of the endpoint: every call with its token, its fault and its answer."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

_KEPT = 100_000
"""The newest calls that are kept one by one; the counts know all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One HTTP request and what became of it.

    Attributes:
        status: The HTTP status that the endpoint answered or would have answered; 0 where nothing ran.
        token: The ``ClientRequestToken``, if the call has one.
        execution_id: The statement that the call named or started.
        fault: The scripted fault that met the call.
        began: Seconds since 1970.
        took: Seconds.
    """

    number: int
    account: str
    service: str
    operation: str
    status: int
    token: str | None
    execution_id: str | None
    fault: str | None
    began: float
    took: float

    def document(self) -> dict[str, Any]:
        """Return what the control address shows."""
        return asdict(self)


class CallLog:
    """The calls of all accounts, in the order in which they were answered."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=_KEPT)
        self._counts: dict[str, Counter[str]] = {}
        self._number = 0
        self._lock = threading.Lock()

    def add(self, **details: Any) -> None:
        """Write a call down."""
        with self._lock:
            self._number += 1
            call = Call(number=self._number, **details)
            self._calls.append(call)
            counts = self._counts.setdefault(call.account, Counter())
            counts[f"{call.service}.{call.operation}"] += 1

    def of(
        self, account: str, service: str | None = None, operation: str | None = None
    ) -> list[Call]:
        """Return the calls of an account, the oldest first."""
        with self._lock:
            calls = list(self._calls)
        return [
            call
            for call in calls
            if call.account == account
            and service in (None, call.service)
            and operation in (None, call.operation)
        ]

    def counts(self, account: str) -> dict[str, int]:
        """Return how often each ``service.Operation`` was called."""
        with self._lock:
            return dict(self._counts.get(account, Counter()))

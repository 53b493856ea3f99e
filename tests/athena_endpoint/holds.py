"""Statements held back on purpose, and statements that end as a script says."""

from __future__ import annotations

import itertools
import re
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tests.athena_endpoint.failures import AthenaError, Category, StatementError

if TYPE_CHECKING:
    from collections.abc import Callable


class Stage(StrEnum):
    """Where a statement can be held back or fail."""

    QUEUED = "queued"
    """Before it runs."""
    RUNNING = "running"
    """It runs, and has read nothing yet."""
    COMMIT = "commit"
    """It has read and written everything; what is left is the commit in Glue."""
    END = "end"
    """Its effect is there, its state is still RUNNING. A statement that fails here has had its effect."""


@dataclass(kw_only=True)
class Hold:
    """Holds back the statements whose SQL it matches, up to `times` of them."""

    number: int
    account: str
    stage: Stage
    match: str = ""
    times: int = 1
    released: bool = False
    ids: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return what the control address shows."""
        return {
            "number": self.number,
            "stage": self.stage,
            "match": self.match,
            "released": self.released,
            "execution_ids": list(self.ids),
        }


@dataclass(kw_only=True)
class Ending:
    """Fails the statements whose SQL it matches, or sends them back to the queue."""

    number: int
    account: str
    stage: Stage
    match: str = ""
    times: int = 1
    requeue: bool = False
    message: str = "GENERIC_INTERNAL_ERROR: scripted"
    category: int = 1
    type: int = 9999
    retryable: bool = False

    def error(self) -> StatementError:
        """Return the failure."""
        category = Category(self.category)
        return StatementError(AthenaError(category, self.type, self.message, self.retryable))


class Holds:
    """What was asked to happen to statements."""

    def __init__(self) -> None:
        self._holds: dict[int, Hold] = {}
        self._endings: dict[int, Ending] = {}
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()

    def hold(self, account: str, **details: Any) -> int:
        """Add a hold and return its number."""
        with self._changed:
            number = next(self._numbers)
            stage = Stage(details.pop("stage"))
            self._holds[number] = Hold(number=number, account=account, stage=stage, **details)
            return number

    def end(self, account: str, **details: Any) -> int:
        """Add an ending and return its number."""
        with self._changed:
            number = next(self._numbers)
            stage = Stage(details.pop("stage"))
            self._endings[number] = Ending(number=number, account=account, stage=stage, **details)
            return number

    def release(self, account: str, number: int | None = None) -> None:
        """Release a hold, or all of an account; statements to come pass."""
        with self._changed:
            for hold in self._holds.values():
                if hold.account == account and number in (None, hold.number):
                    hold.released = True
            self._changed.notify_all()

    def clear(self, account: str) -> None:
        """Release everything of an account and forget it."""
        self.release(account)
        with self._changed:
            self._holds = {n: h for n, h in self._holds.items() if h.account != account}
            self._endings = {n: e for n, e in self._endings.items() if e.account != account}

    def of(self, account: str) -> list[dict[str, Any]]:
        """Return the holds of an account."""
        with self._changed:
            return [hold.document() for hold in self._holds.values() if hold.account == account]

    def wake(self) -> None:
        """Have every held statement look whether it was stopped."""
        with self._changed:
            self._changed.notify_all()

    def held(
        self, account: str, number: int, *, statements: int = 1, seconds: float = 10.0
    ) -> list[str]:
        """Wait until a hold holds so many statements, and return their ids.

        Raises:
            TimeoutError: If it does not.
        """
        with self._changed:
            hold = self._holds[number]
            if hold.account != account:
                raise KeyError(number)
            if not self._changed.wait_for(lambda: len(hold.ids) >= statements, timeout=seconds):
                raise TimeoutError(
                    f"hold {number} holds {len(hold.ids)} of {statements} statements"
                )
            return list(hold.ids)

    def pass_(
        self, account: str, execution_id: str, sql: str, stage: Stage, stopped: Callable[[], bool]
    ) -> None:
        """Let a statement pass a stage: at once, or when its hold is released or it is stopped."""
        with self._changed:
            hold = next((h for h in self._holds.values() if _meets(h, account, sql, stage)), None)
            if hold is None or hold.released or len(hold.ids) >= hold.times:
                return
            hold.ids.append(execution_id)
            self._changed.notify_all()
            self._changed.wait_for(lambda: hold.released or stopped())

    def ending(self, account: str, sql: str, stage: Stage) -> Ending | None:
        """Return what a statement meets at a stage, and count it."""
        with self._changed:
            for ending in self._endings.values():
                if not _meets(ending, account, sql, stage):
                    continue
                ending.times -= 1
                if not ending.times:
                    del self._endings[ending.number]
                return ending
        return None


def _meets(rule: Hold | Ending, account: str, sql: str, stage: Stage) -> bool:
    if rule.account != account or rule.stage is not stage:
        return False
    return re.search(rule.match, sql, re.IGNORECASE | re.DOTALL) is not None

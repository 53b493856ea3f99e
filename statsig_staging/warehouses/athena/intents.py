"""Intents: what a process is about to have Athena write, kept where whoever comes after it finds it.

Each is an object below the load's folder, written before its statement starts, with everything that it takes to
send the statement again byte for byte. A second object beside it says how the statement ended. An intent
without one may belong to a statement that still runs, at the service, for a process that is gone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Protocol

from statsig_staging.names import experiment_folder
from statsig_staging.warehouses.athena.requests import Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from statsig_staging.warehouses.base import StoredFile

_FOLDER: Final = "statements"
_INTENT: Final = ".json"
_END: Final = ".end.json"


class Objects(Protocol):
    """Where intents are kept: files below the staging folder, as in the port."""

    def put_object(self, key: str, data: bytes) -> None:
        """Write a file, whole or not at all."""

    def get_object(self, key: str) -> bytes | None:
        """Return a file, or None."""

    def list_files(self, prefix: str) -> tuple[StoredFile, ...]:
        """Return every file below a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A statement that writes, before it was started.

    Attributes:
        request: What starts it.
        step: The step of the load.
        load_id: The load.
        attempt: Which attempt at the statement it is.
        number: Which statement of the step.
    """

    request: Request
    step: str
    load_id: str
    attempt: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a statement ended.

    Attributes:
        state: Its last state at the service, or ``REFUSED`` where it never began.
        query_id: Its id at the service.
        bytes_scanned: What it scanned.
        reason: Why it did not succeed.
    """

    state: str
    query_id: str | None = None
    bytes_scanned: int = 0
    reason: str | None = None


def folder_of(experiment_id: str, load_id: str) -> str:
    """Return the folder of a load's intents, below the staging folder."""
    return f"{experiment_folder(experiment_id)}/_loads/{load_id}/{_FOLDER}"


class Intents:
    """Writes intents and their ends down, and finds those without one.

    Args:
        objects: Where.
        now: The clock, UTC; intents sort by it.
    """

    def __init__(self, objects: Objects, now: Callable[[], datetime]) -> None:
        self._objects = objects
        self._now = now

    def begin(self, folder: str, intent: Intent) -> str:
        """Write an intent down before its statement starts, and return its key."""
        key = f"{folder}/{self._now():%Y%m%dT%H%M%S%f}-{intent.request.token[:16]}{_INTENT}"
        self._objects.put_object(key, _encoded(asdict(intent)))
        return key

    def end(self, key: str, end: End) -> None:
        """Write down how the statement of an intent ended."""
        self._objects.put_object(f"{key.removesuffix(_INTENT)}{_END}", _encoded(asdict(end)))

    def open(self, prefix: str) -> tuple[tuple[str, Intent], ...]:
        """Return the intents below a folder whose end is not known, with their keys, oldest first."""
        keys = {
            file.key
            for file in self._objects.list_files(prefix)
            if file.key.rsplit("/", 2)[-2:-1] == [_FOLDER] and file.key.endswith(_INTENT)
        }
        ended = {f"{key.removesuffix(_END)}{_INTENT}" for key in keys if key.endswith(_END)}
        names = sorted(key for key in keys - ended if not key.endswith(_END))
        found = ((key, self._objects.get_object(key)) for key in names)
        return tuple((key, _decoded(data)) for key, data in found if data is not None)


def _encoded(document: object) -> bytes:
    return json.dumps(document, indent=1).encode()


def _decoded(data: bytes) -> Intent:
    document = json.loads(data)
    return Intent(**{**document, "request": Request(**document["request"])})

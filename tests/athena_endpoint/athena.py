"""Athena as one thing: the API in front, the engine behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.athena_endpoint.protocol import Protocol
from tests.athena_endpoint.runner import Runner
from tests.athena_endpoint.session import Engine

if TYPE_CHECKING:
    from tests.athena_endpoint.holds import Holds
    from tests.athena_endpoint.storage import Copies


class Athena:
    """The API and the engine of a server."""

    def __init__(self, copies: Copies, holds: Holds, at_once: int) -> None:
        self._engine = Engine(copies)
        self.operations = Protocol(Runner(self._engine, holds, at_once)).operations

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()

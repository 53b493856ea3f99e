"""A load in a process of its own, to which something happens at the n-th point between two side effects.

The points lie right before every side effect that a load has on the disk: a data file, a file of a table's
metadata, a commit to the catalog, a small object written, put in place or removed. What lies after one
side effect is before the next one, so the points are all states that a death can leave behind.
"""

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import PyArrowFile

import statsig_staging as staging
from statsig_staging.warehouses.local import parquet, warehouse
from tests.worlds import NOW

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.boundaries"])

Fate = Literal["kill", "stop", "fill the disk"]
"""What happens at the point: the process dies, pauses, or finds its disk full from there on."""

WRITES = frozenset(["data file", "metadata file", "commit", "object"])
"""The points before which space is needed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a load in a process of its own ended.

    Attributes:
        points: The points that it passed; empty if it was killed.
        exit_code: The exit code of its error; 0 if it had none, -9 if it was killed.
        message: The error's message.
    """

    points: tuple[str, ...] = ()
    exit_code: int = 0
    message: str = ""

    @property
    def killed(self) -> bool:
        """Whether it was killed."""
        return self.exit_code == -signal.SIGKILL


class _Points:
    """Counts the points that a load passes, and has its fate come at one of them."""

    def __init__(self, fate: Callable[[], object], at: int | None) -> None:
        self.passed: list[str] = []
        self._fate = fate
        self._at = at

    def before(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Return ``call`` with a point before it."""

        def watched(*args: Any, **kwargs: Any) -> Any:
            if _is_heartbeat():
                return call(*args, **kwargs)
            self.passed.append(name)
            if len(self.passed) - 1 == self._at:
                self._fate()
            return call(*args, **kwargs)

        return watched


def _is_heartbeat() -> bool:
    """Return whether this is the thread that renews the lease: when it does so is no load's doing."""
    return "_beat" in threading.current_thread().name


def kill() -> None:
    """Die at once, as of a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


def stop() -> None:
    """Pause until somebody says go on."""
    os.kill(os.getpid(), signal.SIGSTOP)


def fill(folder: Path) -> None:
    """Write a file until the disk has no space left."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=FILLER, delete=False, buffering=0) as file:
        for size in (2**16, 2**12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


FILLER = "filler-"


def _run(
    folder: Path,
    asked: dict[str, Any],
    fate: Fate,
    at: int | None,
    now: datetime,
    answer: Connection,
) -> None:
    fates: dict[Fate, Callable[[], object]] = {
        "kill": kill,
        "stop": stop,
        "fill the disk": lambda: fill(folder.parent),
    }
    points = _Points(fates[fate], at)
    copy = points.before(parquet.copy_rows, "data file")
    patched = setattr
    patched(warehouse, "copy_rows", copy)
    patched(parquet, "copy_rows", copy)
    patched(parquet, "STATEMENTS_AT_ONCE", 1)
    for owner, method, name in (
        (PyArrowFile, "create", "metadata file"),
        (SqlCatalog, "commit_table", "commit"),
        (Path, "write_bytes", "object"),
        (Path, "replace", "object in place"),
        (Path, "unlink", "removal"),
    ):
        patched(owner, method, points.before(getattr(owner, method), name))
    project = staging.load_project(folder)
    try:
        with staging.connect(project, now=lambda: now) as engine:
            engine.run(project.experiments[0].id, **asked)
    except staging.StagingError as error:
        answer.send(Outcome(tuple(points.passed), error.exit_code, str(error)))
        return
    answer.send(Outcome(tuple(points.passed)))


class Load:
    """A load that runs in a process of its own."""

    def __init__(
        self,
        folder: Path,
        through: date,
        refresh: str = "incremental",
        *,
        fate: Fate = "kill",
        at: int | None = None,
        now: datetime = NOW,
        **asked: Any,
    ) -> None:
        self._receive, send = _FORKS.Pipe(duplex=False)
        asked = {"refresh": refresh, "through": through, **asked}
        self.process: ForkServerProcess = _FORKS.Process(
            target=_run, args=(folder, asked, fate, at, now, send)
        )
        self.process.start()
        send.close()

    def outcome(self) -> Outcome:
        """Wait for it to end.

        Raises:
            AssertionError: If it ended otherwise than with an answer or by its fate.
        """
        self.process.join()
        try:
            if self.process.exitcode == 0:
                found: Outcome = self._receive.recv()
                return found
        finally:
            self._receive.close()
        if self.process.exitcode != -signal.SIGKILL:
            raise AssertionError(f"the load ended with {self.process.exitcode}")
        return Outcome(exit_code=-signal.SIGKILL)

    def wait_until_stopped(self) -> bool:
        """Wait until the load is paused, and return True; False if it ended before."""
        stat = Path(f"/proc/{self.process.pid}/stat")
        while self.process.is_alive():
            try:
                if stat.read_text().rpartition(")")[2].split()[0] == "T":
                    return True
            except OSError:
                break
            time.sleep(0.02)
        return False

    def go_on(self) -> None:
        """Have a paused load continue."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGCONT)


def load(folder: Path, through: date, refresh: str = "incremental", **how: Any) -> Outcome:
    """Run a load in a process of its own and return how it ended."""
    return Load(folder, through, refresh, **how).outcome()

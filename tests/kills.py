"""Loads that are killed: a child process that dies at the n-th boundary between two side effects."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from pyiceberg.catalog.sql import SqlCatalog

import statsig_staging as staging
from statsig_staging import iceberg
from statsig_staging.warehouses.local import parquet, spills, warehouse
from statsig_staging.warehouses.local.warehouse import LocalWarehouse
from tests.worlds import NOW

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.kills"])


class Boundaries:
    """Counts the boundaries that a load passes, and kills the process at one of them."""

    def __init__(self, kill_at: int | None) -> None:
        self.passed: list[str] = []
        self._kill_at = kill_at

    def pass_by(self, name: str) -> None:
        """Stand at a boundary."""
        if len(self.passed) == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed.append(name)

    def around(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Return ``call`` with a boundary before and after it."""

        def watched(*args: Any, **kwargs: Any) -> Any:
            self.pass_by(f"before {name}")
            result = call(*args, **kwargs)
            self.pass_by(f"after {name}")
            return result

        return watched


def _call(folder: str, call: str, options: Any, kill_at: int | None, answer: Any) -> None:
    found = Boundaries(kill_at)
    copy = found.around(parquet.copy_rows, "files")
    patched = setattr
    patched(warehouse, "copy_rows", copy)
    patched(parquet, "copy_rows", copy)
    patched(parquet, "STATEMENTS_AT_ONCE", 1)
    for owner, name in (
        (iceberg.TableChange, "commit"),
        (SqlCatalog, "commit_table"),
        (LocalWarehouse, "put_object"),
        (LocalWarehouse, "swap_object"),
        (LocalWarehouse, "restore"),
        (SqlCatalog, "drop_table"),
        (warehouse, "_remove"),
        (spills, "remove_empty"),
    ):
        patched(owner, name, found.around(getattr(owner, name), name))
    project = staging.load_project(Path(folder))
    experiment = project.experiments[0].id
    with staging.connect(project, now=lambda: NOW) as engine:
        getattr(engine, call)(experiment, **options)
    answer.send(found.passed)


def load(folder: Path, through: date, refresh: str, kill_at: int | None = None) -> list[str] | None:
    """Load in a child process; return the boundaries it passed, or None where it was killed."""
    return call(folder, "run", {"refresh": refresh, "through": through}, kill_at)


def call(
    folder: Path, name: str, options: dict[str, Any], kill_at: int | None = None
) -> list[str] | None:
    """Call the engine in a child process; return the boundaries it passed, or None where it was killed."""
    receive, send = _FORKS.Pipe(duplex=False)
    arguments = (str(folder), name, options, kill_at, send)
    child = _FORKS.Process(target=_call, args=arguments)
    child.start()
    send.close()
    child.join()
    passed: list[str] | None = receive.recv() if child.exitcode == 0 else None
    if passed is None and child.exitcode != -signal.SIGKILL:
        raise AssertionError(f"the load ended with {child.exitcode}")
    receive.close()
    return passed

"""Who takes part: each subject is a program in an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.process import Report

if TYPE_CHECKING:
    from benchmarks.process import Task

ROOT = Path(__file__).parents[1]
OURS = "statsig_staging"
BY_HAND = "duckdb_by_hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A subject's program.

    Attributes:
        module: What ``python -m`` runs.
        environment: Name of the environment below ``.bench-venv``; None for this one.
        needs: What must be importable there.
        command: What must be found on the path, where there is anything.
    """

    module: str
    environment: str | None = None
    needs: tuple[str, ...] = ()
    command: str | None = None

    @property
    def python(self) -> Path:
        """The interpreter."""
        if self.environment is None:
            return Path(sys.executable)
        return ROOT / ".bench-venv" / self.environment / "bin" / "python"

    def missing(self) -> str | None:
        """Return why it cannot take part; None where it can."""
        if self.command is not None and shutil.which(self.command) is None:
            return f"{self.command} is not on the path"
        return _missing(self.python, self.needs)


@lru_cache
def _missing(python: Path, needs: tuple[str, ...]) -> str | None:
    if not needs:
        return None
    if not python.exists():
        return f"{needs[0]} is not installed: make bench-peers"
    code = "; ".join(f"import {name}" for name in needs)
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return f"{needs[0]} cannot be used: {(done.stderr.strip().splitlines() or ['?'])[-1]}"


def _general(module: str, *needs: str) -> Program:
    return Program(module=f"benchmarks.peers.{module}", environment="general", needs=needs)


_SQLMESH = Program(
    module="benchmarks.peers.sqlmesh_duckdb", environment="sqlmesh", needs=("sqlmesh",)
)

PROGRAMS = {
    OURS: Program(module="benchmarks.ours"),
    f"{OURS}_full_load": Program(module="benchmarks.ours"),
    BY_HAND: Program(module="benchmarks.duckdb_by_hand"),
    f"{BY_HAND}_recompute": Program(module="benchmarks.duckdb_by_hand"),
    "polars_by_hand": _general("polars_by_hand", "polars"),
    "dbt_duckdb_delete_insert": _general("dbt_duckdb", "dbt.adapters.duckdb", "dbt.cli.main"),
    "dbt_duckdb_merge": _general("dbt_duckdb", "dbt.adapters.duckdb", "dbt.cli.main"),
    "sqlmesh_by_time_range": _SQLMESH,
    "sqlmesh_restated": _SQLMESH,
    "pyspark_by_hand": Program(
        module="benchmarks.peers.pyspark_by_hand",
        environment="pyspark",
        needs=("pyspark",),
        command="java",
    ),
}


class SubjectFailedError(Exception):
    """The process of a subject ended with an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A process that ended well: what it said, and how long it lived, imports included."""

    report: Report
    process_seconds: float


def run_process(task: Task) -> Ran:
    """Do a task in a fresh process.

    Raises:
        SubjectFailedError: If it fails.
    """
    program = PROGRAMS[task.subject]
    folder = Path(task.folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task.json").write_text(task.to_json(), encoding="utf-8")
    command = [str(program.python), "-m", program.module, str(folder / "task.json")]
    last_line, took = run_command(command)
    return Ran(report=Report.from_json(last_line), process_seconds=took)


def run_command(command: list[str]) -> tuple[str, float]:
    """Return the last line that a fresh process prints, and how long it lived.

    Raises:
        SubjectFailedError: If it fails.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    took = time.perf_counter() - began
    if done.returncode != 0 or not done.stdout:
        raise SubjectFailedError((done.stderr or done.stdout)[-2000:])
    return done.stdout.splitlines()[-1], took

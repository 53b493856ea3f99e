"""What a fresh process is asked to do, and what it answers; plain Python, so that every peer can import it."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Files = dict[str, dict[str, list[str]]]
"""Table → day → paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One load: what appears at the sources before it, and what it is asked for.

    Attributes:
        added: Files that appear.
        days: All days that exist, in order, as ISO dates.
        new_days: Those that no load before it has seen.
        metrics: The name of a set in ``metrics.SETS``.
        counts: Whether what it costs is part of the answer.
    """

    added: Files
    days: tuple[str, ...]
    new_days: tuple[str, ...]
    metrics: str
    counts: bool

    @property
    def is_full(self) -> bool:
        """Whether nothing was loaded before."""
        return self.days == self.new_days

    @property
    def old_days_changed(self) -> bool:
        """Whether rows appear on days that were loaded before."""
        return any(day not in self.new_days for days in self.added.values() for day in days)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The loads of one process."""

    subject: str
    folder: str
    last_day: str
    limits: dict[str, str]
    loads: tuple[Load, ...]

    @property
    def sources(self) -> Path:
        """The folder of the sources, as it is shown to the subject."""
        return Path(self.folder) / "sources"

    @property
    def answer(self) -> Path:
        """Where the results of the last load are to lie in the end."""
        return Path(self.folder) / "answer.parquet"

    def to_json(self) -> str:
        """Return the task as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Task:
        """Return the task that ``to_json`` wrote."""
        found = json.loads(text)
        loads = tuple(
            Load(**{**load, "days": tuple(load["days"]), "new_days": tuple(load["new_days"])})
            for load in found.pop("loads")
        )
        return cls(loads=loads, **found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Source files whose rows were read, and the columns that were."""

    files: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one load cost, as far as the subject itself can tell.

    Attributes:
        statements: SQL statements that did work; whatever comes closest where there are none.
        reads: What was read of the sources, where the harness is to look up its size.
        bytes_read: Compressed column chunks of source files, where the subject knows it.
        files_opened: Source files whose rows were read, where the subject knows it.
        bytes_written: Bytes of the data files of tables, where known.
        commits: Commits to tables, where there are any.
        steps: What took how long.
    """

    statements: int
    reads: tuple[Read, ...] = ()
    bytes_read: int | None = None
    files_opened: int | None = None
    bytes_written: int | None = None
    commits: int | None = None
    steps: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One load that counts: its cost and its time."""

    seconds: float
    cpu_seconds: float
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a process answers on the last line of its output."""

    loads: tuple[Timed, ...]
    peak_mb: float
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Return the report that ``serve`` printed."""
        found = json.loads(text)
        loads = tuple(_timed(load) for load in found["loads"])
        return cls(loads=loads, peak_mb=found["peak_mb"], versions=found["versions"])


def _timed(found: dict[str, Any]) -> Timed:
    cost = found.pop("cost")
    reads = tuple(
        Read(files=tuple(read["files"]), columns=tuple(read["columns"]))
        for read in cost.pop("reads")
    )
    return Timed(**found, cost=Cost(**{**cost, "reads": reads, "steps": tuple(cost["steps"])}))


def serve(
    load: Callable[[Task, Load], Cost],
    answer: Callable[[Task], object],
    versions: dict[str, str],
    *,
    before: Callable[[Task, Load], object] = lambda _task, _load: None,
) -> None:
    """Do the task that the first argument names, and print the report.

    Args:
        load: Does one load; it is timed.
        answer: Writes the results of the last load to ``Task.answer``; it is not timed.
        versions: Of the packages that matter.
        before: Makes ready for a load; it is not timed.
    """
    task = Task.from_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    report = perform(task, load, answer, versions, before=before)
    print(json.dumps(asdict(report)), flush=True)


def perform(
    task: Task,
    load: Callable[[Task, Load], Cost],
    answer: Callable[[Task], object],
    versions: dict[str, str],
    *,
    before: Callable[[Task, Load], object] = lambda _task, _load: None,
) -> Report:
    """Do a task in this process."""
    timed = []
    for each in task.loads:
        show(task.sources, each.added)
        before(task, each)
        began, spent = time.perf_counter(), cpu_seconds()
        cost = load(task, each)
        seconds, cpu = time.perf_counter() - began, cpu_seconds() - spent
        if each.counts:
            timed.append(Timed(seconds=seconds, cpu_seconds=cpu, cost=cost))
    peak = peak_mb()
    answer(task)
    return Report(loads=tuple(timed), peak_mb=peak, versions=versions)


def show(sources: Path, added: Files) -> None:
    """Have files appear at the sources, beside those already there."""
    for table, days in added.items():
        for day, paths in days.items():
            folder = sources / table / f"ds={day}"
            folder.mkdir(parents=True, exist_ok=True)
            for path in paths:
                link = folder / Path(path).name
                if not link.exists():
                    link.symlink_to(path)


def shown(sources: Path, table: str, days: tuple[str, ...]) -> list[str]:
    """Return the files of some days of a table."""
    folders = (sources / table / f"ds={day}" for day in days)
    return [str(file) for folder in folders for file in sorted(folder.glob("*.parquet"))]


def cpu_seconds() -> float:
    """Return user and system time of this process, of those that it waited for and of those that it runs."""
    found = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own = sum(usage.ru_utime + usage.ru_stime for usage in found)
    return own + sum(_spent(process) for process in _running_below(Path("/proc/self")))


def _spent(process: Path) -> float:
    """Return user and system time of a process and of those that it waited for."""
    # Fields 14 to 17 of proc(5); the second, a name in parentheses, may hold spaces.
    fields = _text(process / "stat").rsplit(")", 1)[-1].split()
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def _text(file: Path) -> str:
    """Return what a file of a process says; nothing where the process has just ended."""
    try:
        return file.read_text()
    except OSError:
        return ""


def _running_below(process: Path) -> list[Path]:
    """Return the processes that a process runs, and those that they run; none where there is no /proc."""
    found = []
    for children in process.glob("task/*/children"):
        for number in _text(children).split():
            child = Path("/proc", number)
            found += [child, *_running_below(child)]
    return found


def peak_mb() -> float:
    """Return the most memory that this process ever held, and each of those that it runs."""
    # On Linux ru_maxrss of a new program starts at what its parent held; VmHWM does not.
    own = Path("/proc/self")
    if (own / "status").exists():
        return sum(_peak_mb(process) for process in (own, *_running_below(own)))
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _peak_mb(process: Path) -> float:
    status = _text(process / "status")
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(lines["VmHWM"].split()[0]) / 1024 if "VmHWM" in lines else 0.0


def default_threads() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

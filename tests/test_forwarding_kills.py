"""A batch may be killed before any of its side effects, and so may a compaction: again, it comes to the same rows."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import statsig_staging as staging
from tests.forwards import Row, a_project, accepted, events, opened, stray

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "tests.test_forwarding_kills",
        "statsig_staging.forwarding",
        "statsig_staging.warehouses.local.warehouse",
    ]
)


class _Points:
    """Counts the side effects of a batch on the disk, and dies before one of them."""

    def __init__(self, kill_at: int | None) -> None:
        self.passed: list[str] = []
        self._kill_at = kill_at

    def before(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Return ``call`` with a point before it."""

        def watched(*args: Any, **kwargs: Any) -> Any:
            if "_beat" not in _thread_name():
                if len(self.passed) == self._kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                self.passed.append(name)
            return call(*args, **kwargs)

        return watched


def _thread_name() -> str:
    import threading

    return threading.current_thread().name


Act = Callable[[staging.Engine], object]


def _in_child(folder: Path, act: Act, kill_at: int | None, answer: Any) -> None:
    points = _Points(kill_at)
    for method in ("write_bytes", "replace", "unlink"):
        setattr(Path, method, points.before(getattr(Path, method), method))
    with opened(a_project(folder)) as engine:
        act(engine)
    answer.send(points.passed)


def acted(folder: Path, act: Act, kill_at: int | None = None) -> list[str] | None:
    """Act in a process of its own; return the points it passed, or None where it was killed."""
    receive, send = _FORKS.Pipe(duplex=False)
    child = _FORKS.Process(target=_in_child, args=(folder, act, kill_at, send))
    child.start()
    send.close()
    child.join()
    passed: list[str] | None = receive.recv() if child.exitcode == 0 else None
    if passed is None and child.exitcode != -signal.SIGKILL:
        raise AssertionError(f"the process ended with {child.exitcode}")
    receive.close()
    return passed


def forwarding(rows: list[Row], engine: staging.Engine) -> None:
    """Forward rows."""
    engine.forward_events(rows)


def compacting(engine: staging.Engine) -> None:
    """Compact, and have what was replaced before go."""
    engine.compact_forwarded(grace=timedelta(0))


def forward(folder: Path, rows: list[Row], kill_at: int | None = None) -> list[str] | None:
    """Forward rows in a process of its own; return the points it passed, or None where it was killed."""
    return acted(folder, partial(forwarding, rows), kill_at)


def play(folder: Path, step: int) -> None:
    """Kill a batch of two days, on top of an accepted one, before every so many of its side effects."""
    rows = events(60, days=2)
    before, whole = folder / "before", folder / "whole"
    forward(before, rows[:30])
    shutil.copytree(before, whole)
    points = forward(whole, rows[20:])
    assert points is not None
    assert len(points) > 10
    expected = accepted(a_project(whole))
    for point in range(0, len(points), step):
        case = folder / f"killed-{point}"
        shutil.copytree(before, case)
        assert forward(case, rows[20:], kill_at=point) is None
        seen = accepted(a_project(case))
        assert seen in (accepted(a_project(before)), expected), points[point]
        forward(case, rows[20:])
        assert accepted(a_project(case)) == expected, points[point]
        assert stray(a_project(case)) == set(), points[point]


@pytest.mark.slow
def test_kills_before_every_side_effect(tmp_path: Path) -> None:
    """Until the receipt is there readers of receipts see nothing of the batch; after a retry, all of it."""
    play(tmp_path, step=1)


def test_kills_before_some_side_effects(tmp_path: Path) -> None:
    """The same before every seventh."""
    play(tmp_path, step=7)


def play_compactions(folder: Path, step: int) -> None:
    """Kill a compaction, and the one that has the replaced files go, before every so many side effects."""
    before = folder / "before"
    rows = events(60, days=2)
    with opened(a_project(before)) as engine:
        for number in range(5):
            engine.forward_events(rows[number::5])
    expected = accepted(a_project(before))
    assert len(files_of(before)) == 10
    for turn in range(2):
        whole = folder / f"whole-{turn}"
        shutil.copytree(before, whole)
        points = acted(whole, compacting)
        assert points is not None
        assert len(points) > 5
        for point in range(turn, len(points), step):
            case = folder / f"killed-{turn}-{point}"
            shutil.copytree(before, case)
            assert acted(case, compacting, kill_at=point) is None
            assert accepted(a_project(case)) == expected, points[point]
            for _ in range(3):
                acted(case, compacting)
                assert accepted(a_project(case)) == expected, points[point]
            assert len(files_of(case)) == 2, points[point]
            with opened(a_project(case)) as engine:
                assert engine.forward_events(rows).accepted == 0
        before = whole


def files_of(folder: Path) -> list[Path]:
    """Return every file of the table, those with hidden names too."""
    table = folder / "warehouse/statsig/statsig_forwarded_events/events"
    return [path for path in table.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_compactions_are_killed_before_every_side_effect(tmp_path: Path) -> None:
    """The rows are the same at any moment, and after more compactions there is one file a day."""
    play_compactions(tmp_path, step=1)


def test_compactions_are_killed_before_some_side_effects(tmp_path: Path) -> None:
    """The same before every sixth."""
    play_compactions(tmp_path, step=6)

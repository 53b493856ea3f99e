"""Several processes at once: one load of an experiment at a time, and nobody sees half of one."""

import multiprocessing
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import statsig_staging as staging
from tests import plain
from tests.boundaries import Load, load
from tests.histories import fast_folder
from tests.plain import day, event, exposure
from tests.worlds import World, compare, write_yaml

_FORKS = multiprocessing.get_context("forkserver")

UNITS = ("u0", "u1", "u2", "u3")
SECONDS = 60
PATIENCE = 300
"""How much longer a process goes on until it has published twice, on a machine that is busy."""
THROUGH = day(3)


@pytest.fixture
def world() -> Iterator[World]:
    """A project whose four days are loaded."""
    with fast_folder() as folder:
        world = World.begin(plain.definitions().spelled_out(), folder / "project")
        for number in range(4):
            unit = UNITS[number]
            world.add("exposures", [exposure(unit, plain.GROUPS[number % 2], 0, number)])
            world.add("events", [event(unit, number, 5, 0.0)])
        with plain.connect(world) as engine:
            engine.run("123", through=THROUGH)
        yield world


@dataclass
class Report:
    """What a process that loads in a loop has seen.

    Attributes:
        published: Ids of the loads that it published.
        refused: How often another process held the experiment.
        failed: What went wrong otherwise.
    """

    published: list[str] = field(default_factory=list)
    refused: int = 0
    failed: list[str] = field(default_factory=list)


def _load_in_a_loop(
    folder: Path,
    experiment: str,
    until: float,
    asked: tuple[dict[str, Any], ...],
    answer: Connection,
) -> None:
    report = Report()
    turn = 0
    patience = until + PATIENCE
    while time.time() < until or (len(report.published) < 2 and time.time() < patience):
        how = asked[turn % len(asked)]
        turn += 1
        try:
            with staging.connect(staging.load_project(folder)) as engine:
                result = engine.run(experiment, through=THROUGH, **how)
            if result.status == "published":
                report.published.append(result.load_id)
            time.sleep(0.3)  # one that waits looks once a second whether it is its turn
        except staging.LoadConflictError:
            report.refused += 1
            time.sleep(0.2)
        except Exception as error:  # noqa: BLE001
            report.failed.append(f"{type(error).__name__}: {error}")
    answer.send(report)


class Loop:
    """A process that loads in a loop."""

    def __init__(self, folder: Path, experiment: str, until: float, *asked: dict[str, Any]) -> None:
        self._receive, send = _FORKS.Pipe(duplex=False)
        arguments = (folder, experiment, until, asked, send)
        self._process = _FORKS.Process(target=_load_in_a_loop, args=arguments)
        self._process.start()
        send.close()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def report(self) -> Report:
        """Wait for its end and return what it has seen."""
        self._process.join()
        assert self._process.exitcode == 0
        found: Report = self._receive.recv()
        return found


def put_whole(world: World, number: int) -> None:
    """Have one more event come, worth a power of two, as a file that is whole from its first moment."""
    name = f"more-{number:04d}.parquet"
    rows = [event(UNITS[number % 4], number % 4, 6, 2.0**number)]
    source = world.scenario.sources["events"]
    draft = world.folder / "draft"
    pq.write_table(source.table(rows), draft)
    draft.replace(world.path("events", name))
    world.files["events"][name] = list(rows)


def check_whole(results: list[dict[str, Any]], most: int) -> None:
    """Assert that results are those of the first so many files: revenue tells which, purchases how many."""
    last = [row for row in results if row["rollup"] == "cumulative" and row["ds"] == THROUGH]
    revenue = sum(row["total"] for row in last if row["metric"] == "revenue")
    purchases = sum(row["total"] for row in last if row["metric"] == "purchases")
    files = round(purchases) - len(UNITS)
    assert 0 <= files <= most
    assert revenue == 2.0**files - 1, "a load holds rows of files without those that came before"
    for metric in ("revenue", "purchases"):
        daily = [row for row in results if row["rollup"] == "daily" and row["metric"] == metric]
        total = sum(row["total"] for row in daily)
        assert total == (revenue if metric == "revenue" else purchases)


@pytest.mark.slow
def test_two_processes_hammer_an_experiment(world: World) -> None:
    """Every read is of one load over one state of the sources; no load is lost or double."""
    until = time.time() + SECONDS
    loops = [
        Loop(world.folder, "123", until, {"wait": True}, {"refresh": "full", "wait": True}),
        Loop(world.folder, "123", until, {}, {}, {"refresh": "full"}),
    ]
    edited = [0]

    def edit() -> None:
        while edited[0] < 45 and any(loop.is_running for loop in loops):
            edited[0] += 1
            put_whole(world, edited[0] - 1)
            time.sleep(SECONDS / 45)

    editor = threading.Thread(target=edit)
    editor.start()
    reads = set()
    with plain.connect(world, datetime.now(UTC)) as engine:
        while any(loop.is_running for loop in loops):
            found = engine.results("123")
            check_whole(found.to_pylist(), edited[0])
            reads.add(found.schema.metadata[b"load_id"])
            time.sleep(0.1)
    editor.join()
    reports = [loop.report() for loop in loops]

    assert [report.failed for report in reports] == [[], []]
    published = [load_id for report in reports for load_id in report.published]
    assert all(report.published for report in reports), "one of them never had its turn"
    assert len(reads) > 1
    with plain.connect(world, datetime.now(UTC)) as engine:
        loads = engine.status("123")[0].loads
        assert sorted(load.load_id for load in loads[:-1]) == sorted(published)
        assert len({load.number for load in loads}) == len(loads)
        in_time = sorted(loads, key=lambda load: load.published_at)
        assert [load.number for load in in_time] == sorted(load.number for load in loads)
        engine.run("123", through=THROUGH)
        compare(world, engine, THROUGH)
        check_whole(engine.results("123").to_pylist(), edited[0])


PAUSES = (
    ("data file", 0),
    ("data file", -2),
    ("metadata file", 0),
    ("metadata file", 12),
    ("metadata file", 25),
    ("commit", 0),
    ("commit", 3),
    ("commit", -2),
)
"""What a load is about to do when it is paused, and for which time it does it.

Not among them are the moments in which it holds the file lock of its lease or of the ledger: a process that
is paused there keeps others waiting until it goes on or dies.
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "which"), PAUSES)
def test_a_paused_holder_does_not_publish(world: World, name: str, which: int) -> None:
    """A load that sleeps beyond its lease is taken over, wakes, and changes nothing that is read."""
    put_whole(world, 0)
    passed = load(world.folder, THROUGH, "full").points
    point = [number for number, found in enumerate(passed) if found == name][which]
    began = datetime.now(UTC)
    holder = Load(world.folder, THROUGH, "full", fate="stop", at=point, now=began)
    assert holder.wait_until_stopped()
    put_whole(world, 1)
    later = began + timedelta(minutes=2)
    with plain.connect(world, later) as engine:
        taken_over = engine.run("123", through=THROUGH)
        compare(world, engine, THROUGH)
        before = plain.tables_of(world, engine)

        holder.go_on()
        outcome = holder.outcome()

        assert outcome.exit_code in (4, 5), "it did not notice that it lost its lease"
        assert engine.status("123")[0].loads[0].load_id == taken_over.load_id
        assert plain.tables_of(world, engine) == before
    put_whole(world, 2)
    with plain.connect(world, later + timedelta(minutes=2)) as engine:
        engine.run("123", through=THROUGH)
        compare(world, engine, THROUGH)


def experiments(world: World, *ids: str) -> None:
    """Have the project hold some more experiments, with exposures like those of the first."""
    for name in ids:
        rows = [row for row in world.exposures() if row.experiment_id == "123"]
        world.add("exposures", [replace(row, experiment_id=name) for row in rows])
    definition = world.scenario.definition()
    (only,) = definition["experiments"]
    definition["experiments"] = [{**only, "id": name} for name in ("123", *ids)]
    write_yaml(world.folder, definition)


@pytest.mark.slow
def test_experiments_load_side_by_side(world: World) -> None:
    """Processes that load different experiments of one warehouse neither wait nor fail."""
    experiments(world, "a", "b")
    until = time.time() + 10
    loops = [Loop(world.folder, name, until, {"refresh": "full"}, {}) for name in ("123", "a", "b")]
    reports = [loop.report() for loop in loops]

    assert [report.failed for report in reports] == [[], [], []]
    assert [report.refused for report in reports] == [0, 0, 0]
    assert all(report.published for report in reports)
    with plain.connect(world, datetime.now(UTC)) as engine:
        engine.run("123", through=THROUGH)
        compare(world, engine, THROUGH)

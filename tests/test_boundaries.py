"""A load may die at any point: what was published stays whole, and the next run repairs."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import plain
from tests.boundaries import load
from tests.histories import fast_folder
from tests.plain import day, event, exposure
from tests.strategies import Draft
from tests.worlds import World, compare

THROUGH = day(3)
MODES = {"incremental": "incremental", "a new metric": "incremental", "full": "full"}
"""What is loaded → its refresh."""


@dataclass
class Case:
    """A project with three days loaded and changes of every kind to come, and its warehouse as it was."""

    world: World
    refresh: str

    @property
    def warehouse(self) -> Path:
        return self.world.folder / "warehouse"

    @property
    def kept(self) -> Path:
        return self.world.folder / "kept"

    def reset(self) -> None:
        """Put the warehouse back to what it was before the changes were loaded."""
        shutil.rmtree(self.warehouse)
        shutil.copytree(self.kept, self.warehouse)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Three days loaded; then a fourth, late and moved exposures, a crossover, a restated day."""
    mode = request.param
    with fast_folder() as folder:
        now = plain.definitions()
        world = World.begin(now.spelled_out(), folder / "project")
        for number in range(3):
            world.add("exposures", [exposure(f"u{number}", plain.GROUPS[number % 2], number, 1)])
            world.add("events", [event(f"u{n}", number, 2, 1.5 + number) for n in range(4)])
        with plain.connect(world) as engine:
            engine.run("123", through=day(2))
        world.add("exposures", [exposure("u3", "test", 3, 1), exposure("u1", "control", 3, 2)])
        world.add("exposures", [exposure("u2", "control", 0, 5)])
        world.add("events", [event(f"u{n}", 3, 2, 9.25) for n in range(4)])
        world.put("events", list(world.files["events"])[2], [event("u0", 1, 3, 100.0)])
        if mode == "a new metric":
            mean = Draft(name="mean", type="mean", sides=plain.REVENUE.sides)
            plain.redefine(world, now, plain.REVENUE, plain.PURCHASES, mean)
        found = Case(world, MODES[mode])
        shutil.copytree(found.warehouse, found.kept)
        yield found


def play_kills(case: Case, points: slice) -> None:
    """Kill a load at some of its points; after each, readers and the next run are right."""
    world = case.world
    with plain.connect(world) as engine:
        before = engine.results("123").to_pylist()
    passed = load(world.folder, THROUGH, case.refresh).points
    with plain.connect(world) as engine:
        after = engine.results("123").to_pylist()
    assert before != after
    for number in range(len(passed))[points]:
        case.reset()
        where = f"a kill before {passed[number]} ({number} of {len(passed)})"
        assert load(world.folder, THROUGH, case.refresh, at=number).killed, where
        with plain.connect(world) as engine:
            seen = engine.results("123").to_pylist()
            assert seen in (before, after), f"half a load is visible after {where}"
            engine.run("123", refresh=case.refresh, through=THROUGH)
            assert engine.results("123").to_pylist() == after, where
            compare(world, engine, THROUGH)
            assert engine.status("123")[0].interrupted is None, where


@pytest.mark.parametrize("case", ["incremental"], indirect=True)
def test_a_kill_at_every_twentieth_point(case: Case) -> None:
    """A load with every kind of step: a new day, late, moved and crossing units, a restated day."""
    play_kills(case, slice(0, None, 20))


@pytest.mark.parametrize("case", ["a new metric", "full"], indirect=True)
def test_a_kill_at_some_points(case: Case) -> None:
    """A load with a new metric, and a full refresh."""
    play_kills(case, slice(5, None, 40))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("case", MODES, indirect=True)
def test_a_kill_at_every_point(case: Case, part: int) -> None:
    """The same, at all points; four parts that can run side by side."""
    play_kills(case, slice(part, None, 4))

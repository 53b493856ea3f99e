"""A disk may be full at any write: what was published stays, the error says so, the next run repairs."""

import ctypes
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import plain
from tests.boundaries import FILLER, WRITES, load
from tests.plain import day, event, exposure
from tests.worlds import World, compare

THROUGH = day(1)
SIZE = "size=8m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes; to mount one takes root, and leave to."""
    if not sys.platform.startswith("linux"):
        pytest.skip("tmpfs is Linux's")
    place = tmp_path / "disk"
    place.mkdir()
    library = ctypes.CDLL(None, use_errno=True)
    target = os.fsencode(place)
    if library.mount(b"tmpfs", target, b"tmpfs", 0, SIZE.encode()) != 0:
        code = ctypes.get_errno()
        pytest.skip(f"a small disk cannot be mounted here: {errno.errorcode.get(code, code)}")
    try:
        yield place
    finally:
        library.umount2(target, 2)  # MNT_DETACH: a reader that is slow to close does no harm


@pytest.fixture
def world(disk: Path) -> World:
    """One day loaded, then another, with a late unit."""
    world = World.begin(plain.definitions().spelled_out(), disk / "project")
    world.add("exposures", [exposure("u0", "control", 0, 1), exposure("u1", "test", 0, 2)])
    world.add("events", [event(f"u{n}", 0, 5, 1.5) for n in range(3)])
    with plain.connect(world) as engine:
        engine.run("123", through=day(0))
    world.add("exposures", [exposure("u2", "test", 0, 3), exposure("u3", "control", 1, 3)])
    world.add("events", [event(f"u{n}", 1, 5, 2.5) for n in range(4)])
    return world


def play_full_disks(world: World, points: slice) -> None:
    """Have the disk fill up before some writes of a load, free it, and run again."""
    failures = 0
    for number in points_of(world)[points]:
        with plain.connect(world) as engine:
            before = plain.tables_of(world, engine)
            load_id = engine.status("123")[0].loads[0].load_id
        outcome = load(world.folder, THROUGH, "full", fate="fill the disk", at=number)
        with plain.connect(world) as engine:
            assert plain.tables_of(world, engine) == before
            if outcome.exit_code:
                failures += 1
                assert (outcome.exit_code, "disk is full" in outcome.message) == (4, True), outcome
                assert engine.status("123")[0].loads[0].load_id == load_id
        for filler in world.folder.parent.glob(f"{FILLER}*"):
            filler.unlink()
        with plain.connect(world) as engine:
            engine.run("123", through=THROUGH, refresh="full")
            compare(world, engine, THROUGH)
    assert failures


def points_of(world: World) -> list[int]:
    """Return the points of a load at which it writes."""
    found = load(world.folder, THROUGH, "full")
    assert found.exit_code == 0
    return [number for number, name in enumerate(found.points) if name in WRITES]


def test_a_disk_that_is_full_at_some_writes(world: World) -> None:
    """Every twentieth write of a load."""
    play_full_disks(world, slice(3, None, 20))


@pytest.mark.slow
def test_a_disk_that_is_full_at_each_write(world: World) -> None:
    """Every write of a load."""
    play_full_disks(world, slice(None))

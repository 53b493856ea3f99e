"""Upkeep: clean an experiment away, maintain what is staged, sweep what a killed load has left."""

import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

import statsig_staging as staging
from statsig_staging import upkeep
from statsig_staging.engine import Engine
from statsig_staging.lease import held
from statsig_staging.plan import Table
from statsig_staging.warehouses.base import Stamp
from statsig_staging.warehouses.local import compacting
from tests.test_kills import GROUPS, START, event, exposure, scenario
from tests.worlds import NOW, World, compare

ZERO = timedelta(0)
LATER = datetime.now(UTC) + timedelta(days=1)
"""A clock by which every file that a test writes is old."""


def world_of(folder: Path, days: int) -> World:
    """Return a project whose first days have arrived."""
    world = World.begin(scenario(), folder)
    for day in range(days):
        arrive(world, day)
    return world


def arrive(world: World, day: int) -> None:
    world.add("exposures", [exposure(f"u{day}", GROUPS[day % 2], day, 1)])
    world.add("events", [event(f"u{unit}", day, 2, 1.5 + day) for unit in range(3)])


def connect(world: World, now: datetime = NOW) -> Engine:
    return staging.connect(staging.load_project(world.folder), now=lambda: now)


def through(day: int) -> date:
    return START + timedelta(days=day)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A project with two loads of two days."""
    world = world_of(tmp_path / "project", 2)
    with connect(world) as engine:
        engine.run("123", through=through(0))
        engine.run("123", through=through(1))
    return world


def folder_of(world: World) -> Path:
    return world.folder / "warehouse" / "statsig" / "experiment-123"


def files_of(world: World) -> set[Path]:
    return {path for path in folder_of(world).rglob("*") if path.is_file()}


@pytest.fixture
def engine(world: World) -> Iterator[Engine]:
    with connect(world, LATER) as engine:
        yield engine


def tables_in_catalog(engine: Engine) -> set[str]:
    return {entry.name.catalog for entry in engine._warehouse.entries("123")}


def test_cleaning_leaves_nothing(world: World, engine: Engine) -> None:
    """No table, no file, no state, no folder; the sources are as they were."""
    sources = {path: path.stat().st_mtime_ns for path in (world.folder / "data").rglob("*")}

    found = engine.clean("123")

    assert found.files > 0
    assert found.bytes > 0
    assert tables_in_catalog(engine) == set()
    assert not folder_of(world).exists()
    assert not engine.status("123")[0].loads
    assert sources == {path: path.stat().st_mtime_ns for path in (world.folder / "data").rglob("*")}


def test_after_cleaning_a_load_starts_from_nothing(world: World, engine: Engine) -> None:
    """It is a full one, with the number of a first one."""
    engine.clean("123")

    load = engine.run("123", through=through(1))

    assert load.refresh.value == "full"
    assert [each.number for each in engine.status("123")[0].loads] == [1]
    compare(world, engine, through(1))


def test_cleaning_what_is_clean_does_nothing(engine: Engine, world: World) -> None:
    """And makes no folder."""
    engine.clean("123")

    assert engine.clean("123").files == 0
    assert not folder_of(world).exists()


def test_an_unknown_experiment_is_not_cleaned(engine: Engine) -> None:
    """A slip of the pen is named."""
    with pytest.raises(staging.ConfigError, match="124"):
        engine.clean("124")


def test_an_experiment_that_left_the_project_can_be_cleaned(world: World) -> None:
    """What it had staged lies there still."""
    file = world.folder / "staging.yml"
    file.write_text(file.read_text().replace("id: '123'", "id: '999'"))

    with connect(world) as engine:
        assert engine.clean("123").files > 0

    assert not folder_of(world).exists()


def test_a_load_that_runs_is_not_cleaned_away(world: World, engine: Engine) -> None:
    """The lease is somebody else's."""
    before = files_of(world)

    with (
        held(engine._warehouse, "123", lowest=1, now=lambda: LATER, wait=lambda: False),
        pytest.raises(staging.LoadConflictError),
    ):
        engine.clean("123")

    assert before <= files_of(world)
    assert engine.results("123").num_rows


def test_a_table_of_somebody_else_is_left(world: World) -> None:
    """One of our name in another folder: nothing is removed at all."""
    file = world.folder / "staging.yml"
    text = file.read_text()
    file.write_text(re.sub("folder: .*", "folder: other", text, count=1))
    before = files_of(world)

    with connect(world) as engine, pytest.raises(staging.WarehouseError, match="lies at"):
        engine.clean("123")

    file.write_text(text)
    assert files_of(world) == before
    with connect(world) as engine:
        compare(world, engine, through(1))


def test_cleaning_ends_what_a_person_began(world: World, engine: Engine) -> None:
    """The folder was removed by hand; the catalog still names its tables."""
    for path in files_of(world):
        path.unlink()

    engine.clean("123")

    assert tables_in_catalog(engine) == set()
    engine.run("123", through=through(1))
    compare(world, engine, through(1))


def orphans(world: World) -> list[Path]:
    """Write files that nothing names, one in each place where a killed load leaves some."""
    places = [
        "results/data/orphan.parquet",
        "results/metadata/0-orphan-m0.avro",
        "_loads/20200101T000000Z-0123abcd/sources.parquet",
        "gone_table/data/orphan.parquet",
        "_loads/.begun.json.0123456789abcdef0123456789abcdef",
    ]
    found = [folder_of(world) / place for place in places]
    for path in found:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1234")
    return found


def test_orphans_go_once_they_are_old(world: World) -> None:
    """Younger ones stay: somebody may be writing them."""
    with connect(world, datetime.now(UTC)) as engine:
        left = orphans(world)
        kept = files_of(world) - set(left)

        young = engine.maintain("123").experiments[0]
        assert young.orphans.files == 0
        assert all(path.exists() for path in left)

        for path in left:
            os.utime(path, (0, 0))
        old = engine.maintain("123").experiments[0]

    assert (old.orphans.files, old.orphans.bytes) == (len(left), 4 * len(left))
    assert not any(path.exists() for path in left)
    assert kept <= files_of(world)


def test_maintaining_changes_no_row(world: World, engine: Engine) -> None:
    """Every table and result is what it was, for the next load too."""
    engine.maintain("123", grace=ZERO)

    compare(world, engine, through(1))
    assert engine.run("123", through=through(1)).status == "unchanged"
    arrive(world, 2)
    engine.run("123", through=through(2))
    compare(world, engine, through(2))


def test_maintaining_twice_finds_nothing(world: World, engine: Engine) -> None:
    """What is kept is not touched again."""
    engine.maintain("123", grace=ZERO)
    before = files_of(world)

    done = engine.maintain("123", grace=ZERO)

    assert done.experiments[0].removed.files == 0
    assert files_of(world) == before


def test_an_experiment_that_a_load_holds_is_skipped(world: World, engine: Engine) -> None:
    """Asked for by name it is an error; among all of them it is said."""
    with held(engine._warehouse, "123", lowest=1, now=lambda: LATER, wait=lambda: False):
        with pytest.raises(staging.LoadConflictError):
            engine.maintain("123")
        done = engine.maintain()

    assert "is being loaded" in (done.experiments[0].skipped or "")


def test_what_nothing_is_staged_of_is_skipped(world: World, engine: Engine) -> None:
    """No folder is made for it."""
    engine.clean("123")

    done = engine.maintain()

    assert done.experiments[0].skipped == "nothing is staged"
    assert not folder_of(world).exists()


def first_exposures(engine: Engine) -> Table:
    return engine._reader.tables(engine._project.experiment("123"))["first_exposures"]


def scattered(engine: Engine) -> None:
    """Publish ``first_exposures`` in many files of few rows."""
    warehouse, table = engine._warehouse, first_exposures(engine)
    rows = engine.table("123", "first_exposures")
    stamp = Stamp(load_id="scattered", step="test")
    for number in range(rows.num_rows):
        warehouse.put_rows(table, rows.slice(number, 1), stamp, replace=number == 0)


@pytest.fixture
def published_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine on a load whose units lie in as many files as there are units."""
    days = compacting.MANY
    world = world_of(tmp_path / "pieces", days)
    with connect(world, LATER) as engine:
        engine.run("123", through=through(days - 1))
        scattered(engine)
        published = engine._reader.loads("123")
        version = engine._warehouse.version(first_exposures(engine))
        assert version is not None
        around = upkeep.Upkeep(
            warehouse=engine._warehouse,
            experiment_id="123",
            kept=published,
            published=frozenset(),
            still_held=lambda: None,
        )
        upkeep.republish(
            around,
            "20250101T000000Z-00000001",
            {first_exposures(engine).name.catalog: version},
            published,
            number=published[0].number + 1,
            now=NOW,
        )
        yield engine


def test_small_files_become_one(published_in_pieces: Engine) -> None:
    """Readers see the same rows; the published load names the new snapshot, and loads go on from it."""
    engine = published_in_pieces
    rows = sorted(
        engine.table("123", "first_exposures").to_pylist(), key=lambda row: row["unit_id"]
    )
    files = {table.name: table.size.files for table in engine.status("123")[0].tables}
    assert files["first_exposures_123"] == compacting.MANY

    done = engine.maintain("123").experiments[0]

    assert done.compacted == ("first_exposures_123",)
    status = engine.status("123")[0]
    assert status.loads[0].load_id == done.load_id
    assert {t.name: t.size.files for t in status.tables}["first_exposures_123"] == 1
    found = engine.table("123", "first_exposures").to_pylist()
    assert sorted(found, key=lambda row: row["unit_id"]) == rows
    assert engine.run("123", through=through(compacting.MANY - 1)).status == "unchanged"
    assert engine.maintain("123").experiments[0].compacted == ()


def test_a_reader_from_before_maintenance_reads_after_it(published_in_pieces: Engine) -> None:
    """The load that it took stays readable, by snapshot and by metadata file, though it is compacted."""
    engine = published_in_pieces
    reader = engine._reader
    load = reader.current("123")
    before = sorted(map(repr, engine.table("123", "first_exposures").to_pylist()))

    assert engine.maintain("123", grace=ZERO).experiments[0].compacted

    query = reader._select(first_exposures(engine), load)
    assert sorted(map(repr, engine._warehouse.fetch(query).to_pylist())) == before
    for version in load.tables.values():
        assert Path(version.metadata_location.removeprefix("file://")).is_file()


@pytest.mark.parametrize("keep", [1, 3])
def test_kept_loads_name_metadata_that_is_there(world: World, keep: int) -> None:
    """Whatever number of loads is kept, each is readable from its metadata files, and no more are kept."""
    file = world.folder / "staging.yml"
    file.write_text(
        file.read_text().replace("connection:", f"connection:\n  keep_loads: {keep}", 1)
    )
    with connect(world) as engine:
        for day in range(2, 7):
            arrive(world, day)
            engine.run("123", through=through(day))
        loads = engine._reader.loads("123")

    for load in loads[:keep]:
        assert load.tables
        for version in load.tables.values():
            assert Path(version.metadata_location.removeprefix("file://")).is_file()
    assert all(not load.tables and not load.sources for load in loads[keep:])
    own = {path.parent.name for path in (folder_of(world) / "_loads").glob("*/sources.parquet")}
    assert own == {load.load_id for load in loads[: max(keep, 2)]}


def test_a_reader_reads_its_load_while_another_one_is_written(world: World) -> None:
    """At every step of the next load readers see the whole load before."""
    arrive(world, 2)
    with connect(world) as writer, connect(world) as reader:
        before = reader.results("123")
        units = reader.table("123", "first_exposures")
        seen: list[bool] = []

        def look(event: object) -> None:
            if type(event).__name__ == "StepFinished":
                found = reader.results("123")
                seen.append(found.equals(before, check_metadata=True))
                seen.append(reader.table("123", "first_exposures").num_rows == units.num_rows)

        writer.run("123", through=through(2), on_event=look)

        assert len(seen) > 10
        assert all(seen)
        assert reader.results("123").num_rows > before.num_rows


def test_scratch_of_dead_processes_goes(world: World, engine: Engine) -> None:
    """Folders that nobody holds; those of warehouses that are open stay."""
    scratch = world.folder / "warehouse" / ".tmp"
    dead = scratch / "spill-dead"
    dead.mkdir()
    (dead / "big.tmp").write_bytes(b"12345")
    mine = set(scratch.iterdir()) - {dead}
    assert mine

    done = engine.maintain(grace=ZERO)

    assert (done.scratch.files, done.scratch.bytes) == (1, 5)
    assert set(scratch.iterdir()) == mine


def test_what_a_cut_load_left_goes_with_a_later_one(world: World) -> None:
    """The next load notes it; the first one that begins when it is old enough removes it."""
    left = folder_of(world) / "results" / "data" / "orphan.parquet"

    def fail(_: object) -> None:
        left.write_bytes(b"1")
        raise staging.StepFailedError("cut")

    began = datetime.now(UTC)
    arrive(world, 2)
    with connect(world, began) as engine:
        with pytest.raises(staging.StepFailedError):
            engine.run("123", through=through(2), on_event=_on("StepStarted", fail))
        engine.run("123", through=through(2))
        assert left.exists()
    with connect(world, began + timedelta(minutes=30)) as engine:
        engine.run("123", through=through(2))
        assert left.exists()
    with connect(world, began + timedelta(hours=2)) as engine:
        engine.run("123", through=through(2))

    assert not left.exists()
    assert not (folder_of(world) / "_loads" / "sweep.json").exists()


def _on(kind: str, act: Callable[[object], None]) -> Callable[[object], None]:
    return lambda event: act(event) if type(event).__name__ == kind else None

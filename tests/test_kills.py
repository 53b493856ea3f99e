"""A load may be killed at any instant: what was published stays whole, and the next run repairs."""

import json
import shutil
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest

import statsig_staging as staging
from tests import oracle, strategies
from tests.kills import call, load
from tests.oracle import Event, Exposure
from tests.strategies import Scenario
from tests.worlds import NOW, World, compare

START = date(2024, 6, 3)
GROUPS = ("control", "test")


def at(day: int, hour: float) -> datetime:
    """Return a moment: hours after the beginning of a day, counted from the start."""
    return datetime.combine(START, time()) + timedelta(days=day, hours=hour)


def exposure(unit: str, group: str, day: int, hour: float) -> Exposure:
    return Exposure(unit, group, "123", at(day, hour), {}, START + timedelta(days=day))


def event(unit: str, day: int, hour: float, amount: float) -> Event:
    fields = {"event_name": "purchase", "amount": amount, "qty": 1, "flag": True}
    return Event(unit, at(day, hour), fields, START + timedelta(days=day))


def scenario() -> Scenario:
    """Return an experiment of four days with a sum, a count and a mean."""
    total = oracle.Aggregate(kind="sum", source="events", value=lambda row: row["amount"])
    rows = oracle.Aggregate(kind="count", source="events")
    metrics = (
        oracle.OracleMetric(name="revenue", type="sum", numerator=total),
        oracle.OracleMetric(name="purchases", type="count", numerator=rows),
    )
    return Scenario(
        experiment=oracle.Experiment(id="123", start=START, metrics=metrics),
        control="control",
        through=START + timedelta(days=3),
        assignment=strategies.AssignmentSource(
            rows=(),
            layout="one file per day",
            partition=None,
            columns=strategies.ASSIGNMENT_COLUMNS[0],
            integer_units=False,
            integer_groups=False,
            split_seed=0,
        ),
        sources={
            "events": strategies.MetricSource(
                name="events",
                rows=(),
                clock="timestamp",
                declared_date=False,
                layout="one file per day",
                partition=None,
                columns=strategies.METRIC_COLUMNS[0],
                integer_units=False,
                split_seed=0,
            )
        },
        metric_definitions=(
            {"name": "revenue", "type": "sum", "source": "events", "value": "amount"},
            {"name": "purchases", "type": "count", "source": "events"},
        ),
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A project with three days loaded, then a fourth day, a late exposure and a restated day."""
    world = World.begin(scenario(), tmp_path / "project")
    for day in range(3):
        world.add("exposures", [exposure(f"u{day}", GROUPS[day % 2], day, 1)])
        world.add("events", [event(f"u{unit}", day, 2, 1.5 + day) for unit in range(4)])
    load(world.folder, START + timedelta(days=2), "incremental")
    world.add("exposures", [exposure("u3", "test", 3, 1), exposure("u1", "control", 3, 2)])
    world.add("exposures", [exposure("u2", "test", 0, 5)])
    world.add("events", [event(f"u{unit}", 3, 2, 9.25) for unit in range(4)])
    world.put("events", next(iter(world.files["events"])), [event("u0", 1, 3, 100.0)])
    return world


def published(world: World) -> list[dict[str, object]]:
    """Return the rows that readers see."""
    with staging.connect(staging.load_project(world.folder), now=lambda: NOW) as engine:
        rows: list[dict[str, object]] = engine.results("123").to_pylist()
    return rows


def is_interrupted(world: World) -> bool:
    with staging.connect(staging.load_project(world.folder), now=lambda: NOW) as engine:
        return engine.status("123")[0].interrupted is not None


def check_ledger(world: World) -> None:
    """Every load that began is in the ledger, each of its jobs once, with what became of it."""
    text = (world.folder / "warehouse/statsig/experiment-123/_loads/recent.json").read_text("utf-8")
    begun = json.loads(text)["loads"]
    with staging.connect(staging.load_project(world.folder), now=lambda: NOW) as engine:
        rows = engine.ledger("123").to_pylist()
        status = engine.status("123")[0]
    assert len(rows) == len({(row["dag_id"], row["job"]) for row in rows})
    assert {row["dag_id"] for row in rows} == {load["load_id"] for load in begun}
    assert all(load["recorded"] for load in begun)
    successes = {row["dag_id"] for row in rows if row["dag_state"] == "success"}
    assert successes == {load.load_id for load in status.loads}
    interrupted = {load.load_id for load in status.history if load.is_interrupted}
    assert {row["dag_id"] for row in rows} - successes == interrupted


def play_kills(world: World, points: slice, refresh: str) -> None:
    """Kill a load at each of some boundaries; after each, readers and the next run are right."""
    warehouse, kept = world.folder / "warehouse", world.folder / "kept"
    shutil.copytree(warehouse, kept)
    before, through = published(world), START + timedelta(days=3)
    passed = load(world.folder, through, refresh)
    assert passed is not None
    after = published(world)
    for number in range(len(passed))[points]:
        shutil.rmtree(warehouse)
        shutil.copytree(kept, warehouse)
        assert load(world.folder, through, refresh, kill_at=number) is None
        seen = published(world)
        assert seen in (before, after), f"half a load is visible after a kill {passed[number]}"
        assert seen == before or not is_interrupted(world)
        assert load(world.folder, through, refresh) is not None
        with staging.connect(staging.load_project(world.folder), now=lambda: NOW) as engine:
            compare(world, engine, through)
            assert engine.status("123")[0].interrupted is None
        check_ledger(world)


@pytest.mark.slow
def test_a_kill_at_every_tenth_boundary(world: World) -> None:
    """An incremental load with every kind of step, killed at every tenth boundary."""
    play_kills(world, slice(0, None, 10), "incremental")


def test_a_full_refresh_that_died_leaves_no_column_behind(world: World) -> None:
    """A metric that is dropped, lost with a refresh that dies, and put back, has all its days."""
    through = START + timedelta(days=3)
    both = world.scenario
    one = replace(
        both,
        experiment=replace(both.experiment, metrics=both.experiment.metrics[1:]),
        metric_definitions=both.metric_definitions[1:],
    )
    passed = load(world.folder, through, "incremental")
    world.scenario = one
    world.write_definition()
    passed = load(world.folder, through, "full")
    assert passed is not None
    world.scenario = both
    world.write_definition()
    assert load(world.folder, through, "full") is not None
    world.scenario = one
    world.write_definition()
    assert load(world.folder, through, "full", kill_at=len(passed) - 20) is None
    world.scenario = both
    world.write_definition()

    assert load(world.folder, through, "incremental") is not None

    with staging.connect(staging.load_project(world.folder), now=lambda: NOW) as engine:
        compare(world, engine, through)


def play_killed_cleaning(world: World, points: slice) -> None:
    """Kill a cleaning at some boundaries: cleaning again finishes it, and a load starts from nothing."""
    warehouse, kept = world.folder / "warehouse", world.folder / "kept"
    shutil.copytree(warehouse, kept)
    passed = call(world.folder, "clean", {})
    assert passed is not None
    through = START + timedelta(days=2)
    for number in range(len(passed))[points]:
        shutil.rmtree(warehouse)
        shutil.copytree(kept, warehouse)
        assert call(world.folder, "clean", {}, kill_at=number) is None
        if number % 2:
            assert call(world.folder, "clean", {}) is not None
            assert not (warehouse / "statsig" / "experiment-123").exists(), passed[number]
        assert load(world.folder, through, "incremental") is not None
        with staging.connect(staging.load_project(world.folder), now=lambda: NOW) as engine:
            compare(world, engine, through)


def play_killed_maintenance(world: World, points: slice) -> None:
    """Kill maintenance at some boundaries: what is published stays, and the next load is right."""
    through = START + timedelta(days=3)
    load(world.folder, through, "incremental", kill_at=60)
    warehouse, kept = world.folder / "warehouse", world.folder / "kept"
    shutil.copytree(warehouse, kept)
    options = {"grace": timedelta(days=-100_000)}
    before = published(world)
    passed = call(world.folder, "maintain", options)
    assert passed is not None
    assert published(world) == before
    for number in range(len(passed))[points]:
        shutil.rmtree(warehouse)
        shutil.copytree(kept, warehouse)
        assert call(world.folder, "maintain", options, kill_at=number) is None
        assert published(world) == before, passed[number]
        assert call(world.folder, "maintain", options) is not None
        assert load(world.folder, through, "incremental") is not None
        with staging.connect(staging.load_project(world.folder), now=lambda: NOW) as engine:
            compare(world, engine, through)


def test_cleaning_that_was_killed(world: World) -> None:
    """At every fortieth boundary."""
    play_killed_cleaning(world, slice(3, None, 40))


def test_maintenance_that_was_killed(world: World) -> None:
    """At every fortieth boundary."""
    play_killed_maintenance(world, slice(3, None, 40))


@pytest.mark.slow
def test_cleaning_that_was_killed_anywhere(world: World) -> None:
    """At every boundary."""
    play_killed_cleaning(world, slice(None))


@pytest.mark.slow
def test_maintenance_that_was_killed_anywhere(world: World) -> None:
    """At every boundary."""
    play_killed_maintenance(world, slice(None))

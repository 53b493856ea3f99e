"""Reconciliation: what is staged is compared with what its sources hold, and healed day by day."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import statsig_staging as staging
from statsig_staging.cli import main
from statsig_staging.engine import Engine
from statsig_staging.iceberg import data_files, path_of
from statsig_staging.planner import build_plan
from statsig_staging.reconciliation import REASON, Reconciliation
from tests.factories import day, make_request, published_by
from tests.test_kills import event
from tests.test_upkeep import arrive, connect, files_of, through, world_of
from tests.worlds import World, compare

DAYS = 3


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A project with three days in one load."""
    world = world_of(tmp_path / "project", DAYS)
    with connect(world) as engine:
        engine.run("123", through=through(DAYS - 1))
    return world


Row = dict[str, Any]


def damage(engine: Engine, table: str, change: Callable[[list[Row]], list[Row]]) -> None:
    """Change the rows of the last file of a published table, behind the library's back."""
    found = engine._warehouse._catalog.load_table(f"statsig_staging.{table}")  # type: ignore[attr-defined]
    path = max(path_of(file.file_path) for file in data_files(found))
    before = pq.ParquetFile(path).read()
    rows = change(before.to_pylist())
    pq.write_table(pa.Table.from_pylist(rows, before.schema), path)


def first(column: str, change: Callable[[Any], Any]) -> Callable[[list[Row]], list[Row]]:
    """Change one cell of the first row."""

    def changed(rows: list[Row]) -> list[Row]:
        rows[0] = {**rows[0], column: change(rows[0][column])}
        return rows

    return changed


def differing(found: Reconciliation) -> dict[str, int]:
    return {table.table: table.rows for table in found.tables if table.rows}


def sum_column(engine: Engine) -> str:
    names: list[str] = engine.table("123", "unit_day_metrics_events").column_names
    return next(name for name in names if name.startswith("sum_"))


def test_what_was_loaded_reconciles(world: World) -> None:
    """Every table is compared, nothing differs, nothing is written, and the scratch space is gone."""
    with connect(world) as engine:
        before = files_of(world)

        found = engine.reconcile("123")

        assert found.rows == 0
        assert found.notes == ()
        assert found.through == through(DAYS - 1)
        experiment = engine._project.experiment("123")
        assert {table.table for table in found.tables} == set(
            engine._reader.comparable(experiment, engine._reader.current("123"))
        )
        assert files_of(world) == before
        (spill,) = (world.folder / "warehouse" / ".tmp").iterdir()
        assert not (spill / "scratch").exists()


def test_what_differs_is_named_and_healed(world: World) -> None:
    """By table, key and column; only the days that differ are read again, and then nothing differs."""
    with connect(world) as engine:
        column = sum_column(engine)
        damage(engine, "unit_day_metrics_123_events", first(column, lambda value: value + 1))
        damage(engine, "unit_day_exposures_123", lambda rows: [*rows, {**rows[0], "unit_id": "x"}])
        damage(engine, "exposures_summary_123", lambda rows: rows[1:])
        damage(engine, "results_123", first("total", lambda value: value * (1 + 1e-6) + 1e-6))

        found = engine.reconcile("123")

        assert differing(found) == {
            "unit_day_exposures": 1,
            "exposures_summary": 1,
            "unit_day_metrics_events": 1,
            "results": 1,
        }
        tables = {table.table: table for table in found.tables}
        (extra,) = tables["unit_day_exposures"].shown
        assert (extra.key["unit_id"], extra.column, extra.staged) == ("x", None, True)
        (cell,) = tables["unit_day_metrics_events"].shown
        assert (cell.column, cell.staged - cell.recomputed) == (column, 1)

        healed = engine.reconcile("123", heal=True)

        assert differing(healed) == {}
        assert healed.healed is not None
        reasons = healed.healed.days_read
        assert set(reasons["events"]) == set(tables["unit_day_metrics_events"].days)
        compare(world, engine, through(DAYS - 1))


def test_the_command_ends_with_1_where_anything_differs(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each cell, the number of all rows, and one document with --json; 0 once it is healed."""
    with connect(world) as engine:
        damage(engine, "first_exposures_123", first("group_id", lambda _: "nonsense"))
    arguments = ["reconcile", "--experiment", "123", "--project", str(world.folder)]

    assert main(arguments) == 1
    shown = capsys.readouterr().out
    assert "first_exposures" in shown
    assert "nonsense" in shown
    assert "1 row differs" in shown

    assert main([*arguments, "--heal", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["rows"] == 0
    assert document["healed"]["status"] == "published"


def test_derived_tables_are_healed_from_their_first_day(world: World) -> None:
    """Units whose group is wrong, though every unit-day is right."""
    with connect(world) as engine:
        damage(engine, "first_exposures_123", first("group_id", lambda _: "nonsense"))

        found = engine.reconcile("123", heal=True)

        assert found.healed is not None
        assert differing(found) == {}
        compare(world, engine, through(DAYS - 1))


def test_sources_that_moved_on_are_named(world: World) -> None:
    """Days that a load would read anyway, which are not in what is published."""
    world.add("events", [event("u0", 1, 5, 100.0)])
    arrive(world, DAYS)

    with connect(world) as engine:
        found = engine.reconcile("123")

    assert any("2024-06-04" in note and "run first" in note for note in found.notes)
    assert differing(found).keys() == {"unit_day_metrics_events", "unit_totals_events", "results"}


def test_doubles_may_be_off_by_their_last_digits(world: World) -> None:
    """The order in which values are added up is no difference."""
    with connect(world) as engine:
        column = sum_column(engine)
        damage(engine, "unit_day_metrics_123_events", first(column, lambda x: x * (1 + 1e-12)))

        assert engine.reconcile("123").rows == 0


def test_scratch_space_goes_after_an_error_too(world: World) -> None:
    """Here a source file is broken."""
    for path in (world.folder / "data" / "events").glob("*.parquet"):
        path.write_bytes(b"no parquet")

    with connect(world) as engine:
        with pytest.raises(staging.StagingError):
            engine.reconcile("123")
        (spill,) = (world.folder / "warehouse" / ".tmp").iterdir()
        assert not (spill / "scratch").exists()


def test_days_that_are_read_again_stand_in_the_plan() -> None:
    """With their reason; those outside of the load do not, and nothing else is read."""
    request = make_request()
    again = {"events": {day(2): REASON, day(30): REASON}}

    plan = build_plan(replace(request, published=published_by(request), again=again))

    readings = {reading.source: dict(reading.days) for reading in plan.readings}
    assert readings == {"exposures": {}, "events": {day(2): REASON}}
    assert [step.name for step in plan.steps] == [
        "unit_day_metrics_events",
        "unit_totals_events",
        "results",
    ]

"""Small files of a day are put together: no row changes, for nobody, and no load reads a day again."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
import yaml

import statsig_staging as staging
from statsig_staging.cli import main
from statsig_staging.errors import LoadConflictError
from statsig_staging.forwarded import Kind, forwarded_table, read_state
from statsig_staging.results import Compaction
from statsig_staging.warehouses import open_warehouse
from tests.forwards import DAY, NOW, a_project, accepted, events, opened, stray
from tests.test_forwarding_sources import exposures, over_forwarded

HOUR = timedelta(hours=1)


def compacted(project: staging.Project, hours: int = 0, grace: timedelta = HOUR) -> Compaction:
    """Compact the events some hours after they were forwarded."""
    with staging.connect(project, now=lambda: NOW + hours * HOUR) as engine:
        done = engine.compact_forwarded(grace=grace)
    return next(each for each in done if each.table.endswith(".events"))


def many(folder: Path, batches: int = 6, days: int = 2, **more: Any) -> staging.Project:
    """Return a project to which some batches of events were forwarded."""
    project, rows = a_project(folder, **more), events(60, days=days)
    with opened(project) as engine:
        for number in range(batches):
            engine.forward_events(rows[number::batches])
    return project


def seen(project: staging.Project) -> list[str]:
    """Return the values that a reader finds who lists the table's folder, hidden names aside."""
    folder = project.root / "warehouse/statsig/statsig_forwarded_events/events"
    assert {len(path.name) for path in folder.iterdir()} == {len("2025-01-10")}
    return sorted(ds.dataset(folder, format="parquet").to_table(["event_value"])[0].to_pylist())


def test_files_of_a_day_become_one(tmp_path: Path) -> None:
    """Whoever goes by receipts reads one file a day at once; whoever lists folders, each row once all along."""
    project = many(tmp_path)
    before, listed = accepted(project), seen(project)
    first = compacted(project)
    assert (first.merged, first.into, first.waiting, len(first.days)) == (12, 2, 12, 2)
    assert len(first.days) == 2
    for hours in (0, 1, 1, 2, 3):
        assert accepted(project) == before
        assert seen(project) == listed
        compacted(project, hours)
    folder = tmp_path / "warehouse/statsig/statsig_forwarded_events/events"
    assert sorted(len(list(day.iterdir())) for day in folder.iterdir()) == [1, 1]
    assert seen(project) == listed
    assert stray(project) == set()
    assert compacted(project, 4) == Compaction(table="statsig_staging.events")


def test_old_files_have_a_grace_period(tmp_path: Path) -> None:
    """They go once an hour has passed, and the merged file gets a name that everybody sees."""
    project = many(tmp_path, days=1)
    compacted(project)
    assert compacted(project).removed.files == 0
    later = compacted(project, 1)
    assert (later.removed.files, later.waiting) == (6, 1)
    assert compacted(project, 2).removed.files == 1
    assert [file.is_hidden for file in files(project)] == [False]


def files(project: staging.Project) -> list[Any]:
    """Return the accepted files of events."""
    warehouse = open_warehouse(project)
    try:
        state = read_state(warehouse, forwarded_table(project.connection, Kind.EVENTS))
        return [file for day in state.days.values() for file in day.files]
    finally:
        warehouse.close()


def test_old_files_stay_while_a_load_runs(tmp_path: Path) -> None:
    """A load that has begun with them finds them, however long it takes."""
    project = over_forwarded(tmp_path)
    asked: list[Compaction] = []
    with opened(project) as engine:
        engine.forward_exposures(exposures())
        for row in events(6):
            engine.forward_events([row])
        engine.compact_forwarded()

        def on_event(_: Any) -> None:
            if not asked:
                asked.append(compacted(project, grace=timedelta(0)))

        engine.run("123", on_event=on_event)
    assert [(done.removed.files, done.waiting) for done in asked] == [(0, 6)]
    assert compacted(project, 2).removed.files == 6


def test_later_batches_still_find_the_rows(tmp_path: Path) -> None:
    """A row that is in a merged file is a duplicate, and a new one goes beside it."""
    project, rows = many(tmp_path), events(61, days=2)
    more = [{**rows[0], "event_value": "new"}]
    for hours in range(3):
        compacted(project, hours)
        with opened(project) as engine:
            receipt = engine.forward_events([*events(60, days=2), *more])
        assert (receipt.accepted, receipt.duplicates) == ((1, 60) if hours == 0 else (0, 61))


def test_columns_that_some_files_lack(tmp_path: Path) -> None:
    """The merged file has the columns of them all."""
    project, rows = a_project(tmp_path), events(5)
    with opened(project) as engine:
        for number, row in enumerate(rows):
            engine.forward_events([{**row, f"column_{number}": "x"}])
    before = accepted(project)
    compacted(project)
    assert accepted(project) == before
    assert sum("column_3" in row for row in before) == 1


def test_a_load_sees_no_change(tmp_path: Path) -> None:
    """A load after a compaction reads no day again; one after a further batch reads that day alone."""
    project = over_forwarded(tmp_path)
    with opened(project) as engine:
        engine.forward_exposures(exposures())
        for number in range(5):
            engine.forward_events(events(60, days=3)[number::5])
        engine.run("123")
        for hours in range(3):
            compacted(project, hours)
            assert engine.run("123").status == "unchanged"
        late = {**events(1)[0], "event_value": "7"}
        engine.forward_events([late])
        days = engine.run("123").days_read
        assert days["statsig_forwarded_events"] == (DAY.date(),)
        engine.run("123", refresh="full")
        assert engine.run("123").status == "unchanged"


def test_a_load_that_missed_a_batch_sees_it_in_the_merged_file(tmp_path: Path) -> None:
    """Rows that came after the last load, and were merged before the next, are read by it."""
    project = over_forwarded(tmp_path)
    with opened(project) as engine:
        engine.forward_exposures(exposures())
        rows = events(60)
        for number in range(4):
            engine.forward_events(rows[number::5])
        engine.run("123")
        engine.forward_events(rows[4::5])
        compacted(project)
        engine.run("123")
        found = engine.results("123").to_pylist()
        engine.run("123", refresh="full")
        assert engine.results("123").to_pylist() == found


def test_a_table_that_is_held_is_skipped_or_refused(tmp_path: Path) -> None:
    """While a loader holds the table, ``maintain`` says so, and compaction alone is an error."""
    project = many(tmp_path, batches=1)
    with opened(project) as first, opened(project) as second:

        def rows() -> Any:
            yield events(1)[0]
            (skipped,) = second.maintain().forwarded
            assert "is being forwarded to" in str(skipped.skipped)
            with pytest.raises(LoadConflictError, match="is being forwarded to"):
                second.compact_forwarded()

        assert first.forward_events(rows()).rows == 1


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what was put together; --forwarded does nothing else, and goes with no experiment."""
    many(tmp_path)
    (tmp_path / "staging.yml").write_text(yaml.safe_dump({"connection": {"warehouse": "local"}}))
    where = ["--project", str(tmp_path)]
    assert main(["maintain", "--forwarded", *where]) == 0
    assert "12 files of 2 days into 2" in " ".join(capsys.readouterr().out.split())
    assert main(["maintain", "--json", *where]) == 0
    (found,) = json.loads(capsys.readouterr().out)["forwarded"]
    assert (found["table"], found["merged"], found["waiting"]) == ("statsig_staging.events", 0, 12)
    assert main(["maintain", "--forwarded", "--experiment", "123", *where]) == 2

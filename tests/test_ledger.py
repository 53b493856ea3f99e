"""The ledger: every job of every load is in it once, and no load fails for its sake."""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from statsig_staging import journal, ledger
from statsig_staging.config import LocalConnection
from statsig_staging.errors import LoadConflictError, StepFailedError
from statsig_staging.journal import Journal, OpenJournal, Outcome
from statsig_staging.plan import Table
from statsig_staging.warehouses.base import Stamp, TableVersion
from statsig_staging.warehouses.local.warehouse import LocalWarehouse
from tests.factories import make_plan, make_published
from tests.fakes.warehouse import RecordingWarehouse
from tests.test_journal import METRICS, NOW, READING, STEPS, done, of_experiment, writing

DATABASE = "statsig_staging"


def begin(
    warehouse: Any, load_id: str = "a", experiment_id: str = "123", began_at: datetime = NOW
) -> OpenJournal:
    """Return the journal of a load that has begun."""
    plan = make_plan(*STEPS)
    entry = journal.planned(
        plan, load_id=load_id, began_at=began_at, assignment_source="exposures", metrics=METRICS
    )
    changes: dict[str, Any] = {"experiment_id": experiment_id, "readings": (READING,)}
    entry = Journal(**{name: getattr(entry, name) for name in Journal.__slots__} | changes)
    log = OpenJournal(warehouse, entry, lambda: NOW, lambda: 61.5)
    log.begin()
    return log


def publish(log: OpenJournal) -> Journal:
    """Have all jobs of a load done, and end it."""
    for step in STEPS:
        log.start(step)
        log.finish(done(step.name, bytes_read=5, statement_ids=("q1",)))
    log.publish()
    log.end(Outcome.PUBLISHED)
    return log.value


def record(
    warehouse: Any,
    ended: Journal | None = None,
    *,
    experiment_id: str = "123",
    published: Iterable[str] = (),
    confirm: Callable[[], object] = lambda: None,
) -> tuple[str, ...]:
    """Enter what is to be entered, without waiting."""
    return ledger.record(
        warehouse,
        DATABASE,
        experiment_id,
        published=lambda: [make_published(load_id=load_id) for load_id in published],
        ended=ended,
        confirm=confirm,
        pause=lambda _: None,
    )


def jobs(warehouse: Any, experiment_id: str | None = None) -> list[tuple[str, str, str]]:
    """Return load, job and state of every row."""
    rows = ledger.read(warehouse, DATABASE, experiment_id).to_pylist()
    return [(row["dag_id"], row["job"], row["job_state"]) for row in rows]


def of_load(load_id: str, *states: str) -> list[tuple[str, str, str]]:
    """Return the rows of a load whose jobs came so far."""
    return [(load_id, step.name, state) for step, state in zip(STEPS, states, strict=True)]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """Have the rows become one file early; return after how many appends."""
    monkeypatch.setattr(ledger, "FEW_FILES", 4)
    return 4


@pytest.fixture
def local(tmp_path: Path) -> Iterable[LocalWarehouse]:
    """Return an embedded warehouse."""
    warehouse = LocalWarehouse(LocalConnection(warehouse="local"), tmp_path)
    yield warehouse
    warehouse.close()


def test_a_published_load_is_a_row_per_job() -> None:
    """With the documented columns as they are documented, and what is known besides."""
    warehouse = RecordingWarehouse()

    assert record(warehouse, publish(begin(warehouse))) == ()

    rows = ledger.read(warehouse, DATABASE).to_pylist()
    assert [row["job_type"] for row in rows] == [
        "Exposure Counts",
        "[Health Check] Left Out",
        "Unit-Day Calculations",
        "Results",
    ]
    assert rows[2] == {
        "ts": NOW.replace(tzinfo=None),
        "job_type": "Unit-Day Calculations",
        "metric_source_id": "events",
        "assignment_source_id": "exposures",
        "job_status": "success",
        "metrics": '["purchases", "revenue"]',
        "dag_state": "success",
        "dag_type": "full",
        "experiment_id": "123",
        "dag_start_ds": "2026-01-01",
        "dag_end_ds": "2026-01-03",
        "wall_time": 61500,
        "turbo_mode": False,
        "dag_id": "a",
        "dag_duration": 3,
        "is_scheduled": False,
        "job_number": 3,
        "job": "unit_day_metrics_events",
        "job_state": "ended",
        "reason": "why unit_day_metrics_events",
        "table_name": "unit_day_metrics_123_events",
        "first_ds": date(2026, 1, 1),
        "last_ds": date(2026, 1, 3),
        "days": 2,
        "started_at": NOW.replace(tzinfo=None),
        "seconds": 0.5,
        "rows": 7,
        "statements": 0,
        "bytes_scanned": 5,
        "bytes_written": 0,
        "statement_ids": '["q1"]',
        "snapshot_id": 2**62,
        "error": None,
        "dag_error": None,
        "queued_seconds": 0.0,
        "engine_seconds": 0.0,
        "price_usd": 0.0,
    }
    assert [row["metric_source_id"] for row in rows] == [None, None, "events", None]


def test_a_failed_load_is_in_it_too() -> None:
    """The job that failed says why; those after it were not run."""
    warehouse = RecordingWarehouse()
    log = begin(warehouse)
    log.start(STEPS[0])
    log.finish(done(STEPS[0].name))
    log.start(STEPS[1])
    log.end(Outcome.FAILED, "the disk is full")

    record(warehouse, log.value)

    rows = ledger.read(warehouse, DATABASE).to_pylist()
    assert jobs(warehouse) == of_load("a", "ended", "failed", "not_run", "not_run")
    assert [row["job_status"] for row in rows] == ["success", "fail", None, None]
    assert [row["error"] for row in rows] == [None, "the disk is full", None, None]
    assert {row["dag_state"] for row in rows} == {"failure"}
    assert {row["dag_error"] for row in rows} == {"the disk is full"}


def test_a_killed_load_is_entered_by_the_next_run() -> None:
    """The job it died in was interrupted, and what it had done is kept."""
    warehouse = RecordingWarehouse()
    log = begin(warehouse)
    log.start(STEPS[0])
    log.finish(done(STEPS[0].name))
    log.start(STEPS[1])

    assert record(warehouse) == ()

    rows = ledger.read(warehouse, DATABASE).to_pylist()
    assert jobs(warehouse) == of_load("a", "ended", "interrupted", "not_run", "not_run")
    assert [row["job_status"] for row in rows] == ["success", "fail", None, None]
    assert rows[0]["rows"] == 7
    assert {row["dag_error"] for row in rows} == {"interrupted in left_out"}


def test_a_load_that_died_after_publishing_is_a_success() -> None:
    """What is published decides, not how the process ended."""
    warehouse = RecordingWarehouse()
    log = begin(warehouse)
    for step in STEPS:
        log.start(step)
        log.finish(done(step.name))
    log.publish()

    record(warehouse, published=["a"])

    rows = ledger.read(warehouse, DATABASE).to_pylist()
    assert jobs(warehouse) == of_load("a", "ended", "ended", "ended", "ended")
    assert {row["dag_state"] for row in rows} == {"success"}


@pytest.mark.parametrize(
    ("is_publishing", "said"),
    [(True, "interrupted while publishing"), (False, "interrupted between jobs")],
)
def test_a_load_that_died_in_no_job_says_where(is_publishing: bool, said: str) -> None:
    """Before the first job, or when all had ended."""
    warehouse = RecordingWarehouse()
    log = begin(warehouse)
    if is_publishing:
        log.publish()

    record(warehouse)

    rows = ledger.read(warehouse, DATABASE).to_pylist()
    assert {row["dag_error"] for row in rows} == {said}


def test_a_load_is_entered_once() -> None:
    """However often it is asked for, and where the note of it is lost, as when the process died."""
    warehouse = RecordingWarehouse()
    ended = publish(begin(warehouse))
    record(warehouse, ended)
    noted = warehouse.objects["experiment-123/_loads/recent.json"]
    assert record(warehouse) == ()
    warehouse.objects["experiment-123/_loads/recent.json"] = noted.replace(b"true", b"false")

    assert record(warehouse, published=["a"]) == ()

    assert jobs(warehouse) == of_load("a", "ended", "ended", "ended", "ended")
    assert warehouse.objects["experiment-123/_loads/recent.json"] == noted


def test_what_could_not_be_appended_is_appended_by_the_next_run() -> None:
    """It is a warning that names the ledger, and no error."""

    class Broken(RecordingWarehouse):
        is_broken = True

        def swap_rows(
            self,
            target: Table,
            before: TableVersion | None,
            rows: pa.Table,
            stamp: Stamp,
            *,
            replace: bool,
        ) -> bool:
            if self.is_broken:
                raise RuntimeError("no such bucket")
            return super().swap_rows(target, before, rows, stamp, replace=replace)

    warehouse = Broken()
    (warning,) = record(warehouse, publish(begin(warehouse, "a")))
    warehouse.is_broken = False

    record(warehouse, publish(begin(warehouse, "b")), published=["a", "b"])

    assert warning == (
        "pipeline_overview was not written: no such bucket; "
        "the next load of the experiment makes up for it"
    )
    assert {row[0] for row in jobs(warehouse)} == {"a", "b"}
    assert len(jobs(warehouse)) == 2 * len(STEPS)


def test_who_lost_the_lease_leaves_it_to_the_other() -> None:
    """Whoever took it over has entered the load already."""
    warehouse = RecordingWarehouse()

    def lost() -> None:
        raise LoadConflictError("taken over")

    assert record(warehouse, publish(begin(warehouse)), confirm=lost) == ()

    assert not warehouse.appended


def test_a_journal_that_is_gone_is_not_waited_for() -> None:
    """There is nothing to enter; the loads after it are."""
    warehouse = RecordingWarehouse()
    begin(warehouse, "gone")
    del warehouse.objects["experiment-123/_loads/gone/journal.json"]

    record(warehouse, publish(begin(warehouse)))

    assert {row[0] for row in jobs(warehouse)} == {"a"}
    assert all(each.recorded for each in journal.recent(warehouse, "123"))


def test_an_append_begins_anew_where_the_table_has_moved(local: LocalWarehouse) -> None:
    """The lease is asked for again each time; both loads are in."""
    warehouse = local
    other = publish(begin(warehouse, "other", "456"))
    asked: list[str] = []

    def confirm() -> None:
        if not asked:
            record(warehouse, other, experiment_id="456")
        asked.append("once more")

    assert record(warehouse, publish(begin(warehouse)), confirm=confirm) == ()

    assert len(asked) == 2
    assert {row[0] for row in jobs(warehouse)} == {"a", "other"}
    assert {row[0] for row in jobs(warehouse, "456")} == {"other"}


def test_an_append_begins_anew_where_what_it_reads_is_gone(
    local: LocalWarehouse, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two appends of others took the files of the version whose rows were to become one file."""
    for number in range(few):
        record(local, publish(begin(local, f"load {number}")))
    others = [publish(begin(local, f"other {number}", number)) for number in ("456", "789")]
    ended, fetch = publish(begin(local)), local.fetch

    def late(*asked: Any) -> Any:
        while others:
            other = others.pop()
            assert record(local, other, experiment_id=other.experiment_id) == ()
        return fetch(*asked)

    monkeypatch.setattr(local, "fetch", late)

    assert record(local, ended) == ()

    assert len(jobs(local)) == len(set(jobs(local))) == (few + 3) * len(STEPS)


def test_a_ledger_that_cannot_be_read_is_a_warning(
    local: LocalWarehouse, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody was faster, reading it again would not help."""
    for number in range(few):
        record(local, publish(begin(local, f"load {number}")))
    asked: list[object] = []

    def broken(*_: object) -> None:
        asked.append(1)
        raise StepFailedError("the disk is gone")

    monkeypatch.setattr(local, "fetch", broken)

    (warning,) = record(local, publish(begin(local)))

    assert "the disk is gone" in warning
    assert len(asked) == 1


def test_a_ledger_that_never_rests_is_a_warning() -> None:
    """It is not waited for without end."""

    class Busy(RecordingWarehouse):
        def swap_rows(self, *args: object, **options: object) -> bool:
            return False

    warehouse = Busy()

    (warning,) = record(warehouse, publish(begin(warehouse)))

    assert "other loads were faster, 60 times" in warning


def test_no_ledger_is_an_empty_one(local: LocalWarehouse) -> None:
    """Before the first load there are columns and no rows."""
    found = ledger.read(local, DATABASE)

    assert found.num_rows == 0
    assert found.column_names == [column.name for column in ledger.ledger_table().columns]


def test_the_latest_load_comes_first(local: LocalWarehouse) -> None:
    """Its jobs in the order in which they ran."""
    for number in (2, 3, 1):
        began_at = datetime(2026, 1, number, tzinfo=UTC)
        record(local, publish(begin(local, f"load {number}", began_at=began_at)))

    found = jobs(local)

    assert [row[0] for row in found[:: len(STEPS)]] == ["load 3", "load 2", "load 1"]
    assert [row[1] for row in found[: len(STEPS)]] == [step.name for step in STEPS]


def test_the_table_lies_in_the_projects_folder(local: LocalWarehouse, tmp_path: Path) -> None:
    """Beside those of the experiments, in the same database."""
    record(local, publish(begin(local)))

    folder = tmp_path / "warehouse" / "statsig" / "pipeline_overview"
    assert sorted(path.name for path in folder.iterdir()) == ["data", "metadata"]
    version = local.version(ledger.ledger_table())
    assert version is not None
    assert version.metadata_location.startswith(f"file://{folder}/metadata/")


def test_files_do_not_grow_for_ever(local: LocalWarehouse, tmp_path: Path, few: int) -> None:
    """After so many appends the rows are one file; no row is lost, and the old files go."""
    folder = tmp_path / "warehouse" / "statsig" / "pipeline_overview"
    count = 2 * few + 3
    for number in range(count):
        record(local, publish(begin(local, f"load {number:02}")))

    assert len(jobs(local)) == count * len(STEPS)
    assert len(set(jobs(local))) == count * len(STEPS)
    assert local.size(ledger.ledger_table()).files <= few
    assert len(list((folder / "data").iterdir())) <= few


def test_what_a_reader_has_begun_to_read_stays(local: LocalWarehouse, few: int) -> None:
    """The version before the current one is readable, also where the rows became one file since."""
    for number in range(few):
        record(local, publish(begin(local, f"load {number:02}")))
    before = local.version(ledger.ledger_table())
    assert before is not None

    record(local, publish(begin(local, "compacts")))

    assert local.size(ledger.ledger_table()).files == 1
    assert ledger._all(local, DATABASE, before).num_rows == few * len(STEPS)


def test_columns_that_were_added_since_are_null(
    local: LocalWarehouse, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """A ledger of an earlier release is read, appended to and made one file as it is."""
    with monkeypatch.context() as earlier:
        columns = tuple(column for column in ledger.OWN if column.name != "dag_error")
        earlier.setattr(ledger, "OWN", columns)
        place = ledger._SCHEMA.get_field_index("dag_error")
        earlier.setattr(ledger, "_SCHEMA", ledger._SCHEMA.remove(place))
        record(local, publish(begin(local, "earlier")))
    assert ledger.read(local, DATABASE).column("dag_error").null_count == len(STEPS)
    for number in range(few):
        record(local, begin(local, f"load {number:02}").value)

    found = ledger.read(local, DATABASE)

    assert found.num_rows == (few + 1) * len(STEPS)
    assert found.column("dag_error").null_count == len(STEPS)


def enter_many(folder: str, experiment_id: str, count: int) -> list[str]:
    """Enter loads of an experiment, one after the other, as a process of its own."""
    warehouse = LocalWarehouse(LocalConnection(warehouse="local"), Path(folder))
    try:
        return [
            warning
            for number in range(count)
            for warning in record(
                warehouse,
                publish(begin(warehouse, f"{experiment_id} {number}", experiment_id)),
                experiment_id=experiment_id,
            )
        ]
    finally:
        warehouse.close()


@pytest.mark.slow
def test_processes_that_append_at_once_are_all_heard(tmp_path: Path) -> None:
    """Across the moments where the rows become one file, too; nothing is lost and nothing twice."""
    experiments, count = ("1", "2", "3"), 8
    LocalWarehouse(LocalConnection(warehouse="local"), tmp_path).close()

    with ProcessPoolExecutor(len(experiments), get_context("forkserver")) as pool:
        asked = [pool.submit(enter_many, str(tmp_path), each, count) for each in experiments]
        warnings = [warning for each in asked for warning in each.result()]

    warehouse = LocalWarehouse(LocalConnection(warehouse="local"), tmp_path)
    found = jobs(warehouse)
    warehouse.close()
    assert not warnings
    assert len(found) == len(set(found)) == len(experiments) * count * len(STEPS)


def test_a_step_of_no_source_is_of_none() -> None:
    """A table of the experiment that ends like a source is not taken for the source's."""
    warehouse = RecordingWarehouse()
    steps = (writing("exposure_counts", of_experiment("exposure_counts")),)
    entry = journal.planned(
        make_plan(*steps),
        load_id="a",
        began_at=NOW,
        assignment_source="exposures",
        metrics={"counts": ("purchases",)},
    )
    log = OpenJournal(warehouse, entry, lambda: NOW, lambda: 1.0)
    log.begin()

    record(warehouse)

    (row,) = ledger.read(warehouse, DATABASE).to_pylist()
    assert (row["metric_source_id"], row["job_type"]) == (None, "Exposure Counts")
    assert json.loads(row["metrics"]) == []
    assert (row["dag_start_ds"], row["dag_end_ds"]) == ("2026-01-01", "2026-01-03")

"""A journal says what a load set out to do and how far it came, whatever happens to its process."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from statsig_staging import journal
from statsig_staging.errors import StepFailedError
from statsig_staging.history import past_loads
from statsig_staging.journal import Begun, Job, JobState, Journal, OpenJournal, Outcome
from statsig_staging.lease import held
from statsig_staging.names import experiment_table, source_table
from statsig_staging.plan import Check, CreateTable, Plan, SourceReading, Step, Table
from statsig_staging.results import StepResult
from tests.factories import day, days, make_batch, make_plan, make_published
from tests.fakes.warehouse import RecordingWarehouse

NOW = datetime(2026, 1, 10, 4, 30, tzinfo=UTC)
METRICS = {"events": ("purchases", "revenue"), "visits": ("rate", "revenue")}


def writing(name: str, table: Table, *numbers: int) -> Step:
    """Return a step that builds a table, about these days."""
    action = CreateTable(target=table, batches=(make_batch(1),))
    return Step(name=name, reason=f"why {name}", action=action, days=days(*numbers))


def of_experiment(table: str, experiment_id: str = "123") -> Table:
    name = experiment_table(table, experiment_id)
    return Table(name=name, experiment_id=experiment_id, columns=())


def of_source(table: str, source: str) -> Table:
    return Table(name=source_table(table, "123", source), experiment_id="123", columns=())


STEPS = (
    writing("exposure_counts", of_experiment("exposure_counts"), 1, 2, 3),
    Step(name="left_out", reason="", action=Check(select=make_batch(1).select, messages={})),
    writing("unit_day_metrics_events", of_source("unit_day_metrics", "events"), 3, 1),
    writing("results", of_experiment("results")),
)
READING = SourceReading(
    source="events",
    days={day(1): "its files changed", day(3): "not loaded yet", day(2): "its files changed"},
    watch="file by file",
)


def opened(
    warehouse: RecordingWarehouse, load_id: str = "a", plan: Plan | None = None
) -> OpenJournal:
    """Return the journal of a load, which takes a second longer each time it is asked."""
    seconds = iter(range(1, 100))
    entry = journal.planned(
        plan or make_plan(*STEPS),
        load_id=load_id,
        began_at=NOW,
        assignment_source="exposures",
        metrics=METRICS,
    )
    return OpenJournal(warehouse, entry, lambda: NOW, lambda: float(next(seconds)))


def done(step: str, **changes: Any) -> StepResult:
    """Return what a step did."""
    values: dict[str, Any] = {"table": "t", "seconds": 0.5, "rows": 7, "snapshot_id": 2**62}
    return StepResult(step=step, **values | changes)


def states(found: Journal | None) -> list[JobState]:
    """Return how far each job of a journal came."""
    assert found is not None
    return [job.state for job in found.jobs]


PLANNED, STARTED, ENDED, FAILED = JobState


def test_jobs_say_what_they_are_about() -> None:
    """Their table, their source and its metrics, the days and the reason of their step."""
    counts, check, metrics, results = opened(RecordingWarehouse()).value.jobs

    assert counts == Job(
        name="exposure_counts",
        kind="exposure_counts",
        table="exposure_counts_123",
        reason="why exposure_counts",
        first_day="2026-01-01",
        last_day="2026-01-03",
        days=3,
    )
    assert (check.is_check, check.kind, check.table) == (True, "left_out", None)
    assert (metrics.kind, metrics.source) == ("unit_day_metrics", "events")
    assert metrics.metrics == ("purchases", "revenue")
    assert (metrics.first_day, metrics.last_day, metrics.days) == ("2026-01-01", "2026-01-03", 2)
    assert (results.source, results.metrics) == (None, ("purchases", "revenue", "rate"))


def test_a_journal_comes_back_as_it_was_written() -> None:
    """Days with their reasons, figures, ids and the moment it began."""
    warehouse = RecordingWarehouse()
    readings = (READING, SourceReading(source="visits", days={}, watch="lookback"))
    plan = replace(make_plan(*STEPS), reason="é is a letter", readings=readings)
    log = opened(warehouse, plan=plan)
    log.begin()
    log.start(STEPS[0])
    log.finish(done("exposure_counts", statement_ids=("q1", "q2")))
    log.publish()
    log.end(Outcome.PUBLISHED)

    assert journal.read(warehouse, "123", "a") == log.value
    assert log.value.jobs[0].snapshot_id == 2**62
    assert dict(log.value.readings[0].days) == dict(READING.days)


def test_a_load_that_is_killed_left_the_job_it_died_in() -> None:
    """What is on disk when a job runs: those before it have ended, with what they did."""
    warehouse = RecordingWarehouse()
    log = opened(warehouse)
    log.begin()
    assert states(journal.read(warehouse, "123", "a")) == [PLANNED] * 4
    log.start(STEPS[0])
    assert states(journal.read(warehouse, "123", "a")) == [STARTED, PLANNED, PLANNED, PLANNED]
    log.finish(done("exposure_counts"))
    log.start(STEPS[1])

    found = journal.read(warehouse, "123", "a")

    assert states(found) == [ENDED, STARTED, PLANNED, PLANNED]
    assert found is not None
    assert found.current is not None
    assert found.current.name == "left_out"
    assert found.jobs[0].rows == 7
    assert found.seconds == 3.0
    assert found.outcome(()) is Outcome.INTERRUPTED
    assert found.outcome({"a"}) is Outcome.PUBLISHED


def test_a_failure_is_that_of_the_job_that_ran() -> None:
    """And of the load; a load can also fail between jobs."""
    warehouse = RecordingWarehouse()
    log = opened(warehouse)
    log.begin()
    log.start(STEPS[0])
    log.end(Outcome.FAILED, "disk full")
    between = opened(warehouse, "b")
    between.begin()
    between.end(Outcome.FAILED, "no exposures")

    first, second = (journal.read(warehouse, "123", load_id) for load_id in "ab")

    assert first is not None
    assert second is not None
    assert states(first) == [FAILED, PLANNED, PLANNED, PLANNED]
    assert first.jobs[0].error == first.error == "disk full"
    assert states(second) == [PLANNED] * 4
    assert second.outcome(()) is Outcome.FAILED


def test_a_step_costs_one_small_write() -> None:
    """And a load three more, and two of the list of loads with the note of the ledger."""
    puts: list[str] = []

    class Counting(RecordingWarehouse):
        def put_object(self, key: str, data: bytes) -> None:
            puts.append(key)
            super().put_object(key, data)

    log = opened(Counting())
    log.begin()
    for step in STEPS:
        log.start(step)
        log.finish(done(step.name))
    log.publish()
    log.end(Outcome.PUBLISHED)

    assert puts == ["experiment-123/_loads/a/journal.json"] * (len(STEPS) + 3)


def test_a_long_history_is_no_long_journal() -> None:
    """Years of days with one reason are written as a first and a last day."""
    warehouse = RecordingWarehouse()
    log = opened(warehouse, plan=make_plan())
    log.begin()
    short = len(warehouse.objects["experiment-123/_loads/a/journal.json"])
    years = {date.fromordinal(day(1).toordinal() + each): "full refresh" for each in range(2000)}
    log.value = replace(
        log.value, readings=(SourceReading(source="events", days=years, watch="w"),)
    )
    log.publish()

    assert len(warehouse.objects["experiment-123/_loads/a/journal.json"]) < short + 500
    found = journal.read(warehouse, "123", "a")
    assert found is not None
    assert found.readings[0].days == years


def test_the_last_loads_are_named_newest_first() -> None:
    """With a note that they are in the ledger; older ones go, those that still have to be entered stay."""
    warehouse = RecordingWarehouse()
    for number in range(journal.KEPT + 5):
        opened(warehouse, f"load {number}").begin()
        if number != 2:
            journal.note_recorded(warehouse, "123", {f"load {number}"})

    found = journal.recent(warehouse, "123")

    assert found[0] == Begun(load_id=f"load {journal.KEPT + 4}", recorded=True)
    assert len(found) == journal.KEPT + 1
    assert found[-1] == Begun(load_id="load 2", recorded=False)


def test_a_list_that_changes_meanwhile_is_read_again() -> None:
    """Of two processes that note something at once, both are heard."""
    warehouse = RecordingWarehouse()
    opened(warehouse, "a").begin()

    class Late(RecordingWarehouse):
        def __init__(self) -> None:
            super().__init__()
            self.objects = warehouse.objects
            self.was_late = False

        def swap_object(self, key: str, before: bytes | None, after: bytes) -> bool:
            if not self.was_late:
                self.was_late = True
                opened(warehouse, "b").begin()
            return super().swap_object(key, before, after)

    journal.note_recorded(Late(), "123", {"a"})

    assert journal.recent(warehouse, "123") == (
        Begun(load_id="b"),
        Begun(load_id="a", recorded=True),
    )


def test_what_a_later_version_added_is_passed_over() -> None:
    """The rest of its journal is read."""
    warehouse = RecordingWarehouse()
    log = opened(warehouse)
    log.begin()
    key = "experiment-123/_loads/a/journal.json"
    document = json.loads(warehouse.objects[key])
    document["jobs"][0]["color"] = document["color"] = "blue"
    warehouse.put_object(key, json.dumps(document).encode())

    assert journal.read(warehouse, "123", "a") == log.value


@pytest.mark.parametrize("data", [b"{", b"[]", b"{}", b'{"load_id": "a", "ended": null}'])
def test_a_journal_that_cannot_be_read_is_none(data: bytes) -> None:
    """It stops nobody."""
    warehouse = RecordingWarehouse()
    warehouse.put_object("experiment-123/_loads/a/journal.json", data)

    assert journal.read(warehouse, "123", "a") is None


def test_the_past_is_told_by_journals_and_published_rows() -> None:
    """Newest first: a running load, a failed one, one whose journal is gone."""
    warehouse = RecordingWarehouse()
    failed = opened(warehouse, "failed")
    failed.begin()
    failed.start(STEPS[0])
    failed.finish(done("exposure_counts"))
    failed.start(STEPS[2])
    failed.end(Outcome.FAILED, "no")
    opened(warehouse, "running").begin()
    row = make_published(load_id="old", rows=5, seconds=60.0)

    with held(warehouse, "123", lowest=1, now=lambda: NOW, wait=lambda: False):
        running, second, old = past_loads(warehouse, "123", [row], now=lambda: NOW)

    assert (running.load_id, running.outcome) == ("running", Outcome.RUNNING)
    assert (second.outcome, second.job, second.error) == (
        Outcome.FAILED,
        "unit_day_metrics_events",
        "no",
    )
    assert second.rows == 7
    assert (old.load_id, old.outcome, old.rows) == ("old", Outcome.PUBLISHED, 5)
    assert old.began_at == datetime(2026, 1, 10, 3, 59, tzinfo=UTC)
    (interrupted, *_) = past_loads(warehouse, "123", [], now=lambda: NOW)
    assert interrupted.is_interrupted


def test_a_journal_that_cannot_be_written_stops_the_load() -> None:
    """Nothing is done that was not announced."""

    class Full(RecordingWarehouse):
        def put_object(self, key: str, data: bytes) -> None:
            raise StepFailedError("the disk is full")

    with pytest.raises(StepFailedError, match="full"):
        opened(Full()).start(STEPS[0])

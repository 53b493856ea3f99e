"""What the engine says of its loads: those that ended well, those that failed, and why days were read."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import statsig_staging as staging
from statsig_staging.documents import status_document
from statsig_staging.engine import Engine
from statsig_staging.errors import NoExposuresError, StepFailedError
from statsig_staging.journal import Outcome
from statsig_staging.results import Event, LoadPublished, StepStarted, Warned
from statsig_staging.warehouses.local.warehouse import LocalWarehouse
from tests.factories import ASSIGNMENT_SOURCE, EXPERIMENT, day

if TYPE_CHECKING:
    from statsig_staging.history import PastLoad

NOW = datetime(2026, 1, 10, 4, tzinfo=UTC)
FILE_BY_FILE = "changes are seen file by file"


def write(folder: Path, name: str, *lines: str) -> None:
    """Write a CSV file of a source."""
    place = folder / "data" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("\n".join(lines) + "\n", encoding="utf-8")


def events(folder: Path, number: int, *amounts: object) -> None:
    """Write the events of a day."""
    rows = [f"u1,2026-01-0{number} 11:00:00,{amount}" for amount in amounts]
    write(folder, f"events/{number}.csv", "user_id,ts,amount", *rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a unit that was exposed on 1 January, and its events of three days."""
    write(
        tmp_path,
        "exposures.csv",
        "user_id,experiment_id,group_id,exposed_at",
        "u1,123,test,2026-01-01 10:00:00",
        "u2,other,test,2026-01-01 10:00:00",
    )
    for number in (1, 2, 3):
        events(tmp_path, number, number)
    return tmp_path


Connect = Callable[..., Engine]


@pytest.fixture
def connect(folder: Path) -> Iterator[Connect]:
    """Return a function that opens the project, with the value of its only metric."""
    opened: list[Engine] = []

    def connected(value: str = "amount", **experiment: Any) -> Engine:
        project = staging.Project.model_validate(
            {
                "connection": {
                    "warehouse": "local",
                    "sources": {
                        "shop.exposures": "data/exposures.csv",
                        "shop.events": "data/events/*.csv",
                    },
                },
                "assignment_sources": [ASSIGNMENT_SOURCE],
                "metric_sources": [
                    {
                        "name": "events",
                        "table": "shop.events",
                        "timestamp": "ts",
                        "units": {"user_id": "user_id"},
                    }
                ],
                "metrics": [{"name": "revenue", "type": "sum", "source": "events", "value": value}],
                "experiments": [{**EXPERIMENT, "metrics": ["revenue"], **experiment}],
                "root": folder,
            }
        )
        opened.append(staging.connect(project, now=lambda: NOW))
        return opened[-1]

    yield connected
    for engine in opened:
        engine.close()


def test_a_load_says_which_days_it_read_and_why(folder: Path, connect: Connect) -> None:
    """For each source, with how its changes are noticed; so does the status afterwards."""
    engine = connect()
    engine.run("123", through=day(2))
    events(folder, 1, 100, 200)

    result = engine.run("123", through=day(3))

    reasons = {reading.source: dict(reading.days) for reading in result.readings}
    assert reasons == {
        "exposures": {day(3): "not loaded yet"},
        "events": {day(1): "its files changed", day(3): "not loaded yet"},
    }
    assert result.days_read["events"] == (day(1), day(3))
    (status,) = engine.status("123")
    latest, first = status.history
    assert (latest.outcome, first.outcome) == (Outcome.PUBLISHED, Outcome.PUBLISHED)
    assert {reading.source: dict(reading.days) for reading in latest.readings} == reasons
    assert latest.reason == result.reason
    assert (latest.rows, latest.bytes_read) == (result.rows, result.bytes_read)
    assert {reading.watch for reading in status.readings} == {FILE_BY_FILE}


def test_documents_say_it_too(folder: Path, connect: Connect) -> None:
    """``run --json`` and ``status --json`` have the same words for it."""
    engine = connect()
    result = engine.run("123", through=day(3)).to_dict()

    (found,) = status_document(engine.status())["experiments"]

    assert result["sources"] == found["history"][0]["sources"]
    assert result["sources"][1] == {
        "source": "events",
        "watch": FILE_BY_FILE,
        "days": [
            {"reason": "full refresh", "days": ["2026-01-01", "2026-01-02", "2026-01-03"]},
        ],
    }
    assert found["sources"] == [
        {"source": name, "watch": FILE_BY_FILE} for name in ("exposures", "events")
    ]
    assert found["interrupted"] is None


def test_a_load_that_failed_in_a_job_is_told(folder: Path, connect: Connect) -> None:
    """In the status, with the job and the reason, and in the ledger; the next load is all well."""
    events(folder, 2, "many")
    with pytest.raises(StepFailedError) as caught:
        connect("CAST(amount AS BIGINT)").run("123", through=day(3))
    events(folder, 2, 5)
    engine = connect("CAST(amount AS BIGINT)")
    (status,) = engine.status()

    assert status.loads == ()
    assert status.history[0].outcome is Outcome.FAILED
    assert status.history[0].job == "unit_day_metrics_events"
    assert status.history[0].error == str(caught.value)
    rows = engine.ledger("123").to_pylist()
    states = {row["job"]: row["job_state"] for row in rows}
    assert (states["unit_day_metrics_events"], states["results"]) == ("failed", "not_run")
    assert {row["dag_error"] for row in rows} == {str(caught.value)}
    engine.run("123", through=day(3))
    assert {row["dag_state"] for row in engine.ledger().to_pylist()} == {"failure", "success"}


def test_a_load_that_somebody_stops_is_entered_by_the_next_run(connect: Connect) -> None:
    """Ctrl-C ends it where it is; the job that ran was interrupted."""
    engine = connect()

    def stop(event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == "results":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.run("123", through=day(3), on_event=stop)
    stopped = engine.status("123")[0].interrupted
    assert stopped is not None
    assert stopped.job == "results"

    load = engine.run("123", through=day(3))

    states = {(row["dag_id"], row["job"]): row["job_state"] for row in engine.ledger().to_pylist()}
    assert states[stopped.load_id, "results"] == "interrupted"
    assert states[load.load_id, "results"] == "ended"


def test_a_run_that_finds_nothing_to_do_has_repaired_all_the_same(connect: Connect) -> None:
    """The load that was stopped stays in the history; nothing waits for a run any more."""
    engine = connect()
    engine.run("123", through=day(3))

    def stop(event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == "results":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.run("123", refresh="full", through=day(3), on_event=stop)
    assert engine.status("123")[0].interrupted is not None

    assert engine.run("123", through=day(3)).status == "unchanged"

    (status,) = engine.status("123")
    assert status.interrupted is None
    assert status.history[0].outcome is Outcome.INTERRUPTED


def test_a_load_that_runs_is_told(connect: Connect) -> None:
    """With the job that it is in; it is not taken for one that died."""
    engine = connect()
    seen: list[PastLoad] = []

    def look(event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == "first_exposures":
            seen.extend(engine.status("123")[0].history)

    engine.run("123", through=day(3), on_event=look)

    assert [(load.outcome, load.job) for load in seen] == [(Outcome.RUNNING, "first_exposures")]


def test_a_load_without_exposures_failed_in_no_job(connect: Connect) -> None:
    """All its jobs did what they had to; nothing is published for it."""
    engine = connect(id="nobody")
    with pytest.raises(NoExposuresError):
        engine.run("nobody", through=day(3))

    rows = engine.ledger("nobody").to_pylist()

    assert {row["job_status"] for row in rows} == {"success"}
    assert {row["dag_state"] for row in rows} == {"failure"}
    assert engine.status("nobody")[0].history[0].job is None


def test_a_run_that_has_nothing_to_do_is_no_load(connect: Connect) -> None:
    """There is no job that could be told of."""
    engine = connect()
    engine.run("123", through=day(3))
    before = engine.ledger()

    assert engine.run("123", through=day(3)).status == "unchanged"

    assert engine.ledger() == before


def test_a_ledger_that_cannot_be_written_fails_no_load(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load is published and warns; a run that has nothing to do makes up for it."""
    heard: list[Event] = []
    engine = connect()
    with monkeypatch.context() as broken:

        def refuse(*_: object, **__: object) -> bool:
            raise OSError("read-only file system")

        broken.setattr(LocalWarehouse, "swap_rows", refuse)
        result = engine.run("123", through=day(3), on_event=heard.append)
    assert result.status == "published"
    assert engine.ledger().num_rows == 0

    engine.run("123", through=day(3))

    (warning,) = result.warnings
    assert "pipeline_overview was not written: read-only file system" in warning
    assert heard[-2:] == [LoadPublished(load_id=result.load_id), Warned(message=warning)]
    assert set(engine.ledger().column("dag_id").to_pylist()) == {result.load_id}


def test_the_ledger_of_an_experiment_that_there_is_not(connect: Connect) -> None:
    """A wrong id is no empty answer."""
    with pytest.raises(staging.ConfigError):
        connect().ledger("12")


def test_days_of_the_ledger_are_those_that_were_read(folder: Path, connect: Connect) -> None:
    """From the first through the last day of any source; a job has its own."""
    engine = connect()
    engine.run("123", through=day(2))
    events(folder, 2, 100, 200)
    load = engine.run("123", through=day(3))

    rows = [row for row in engine.ledger().to_pylist() if row["dag_id"] == load.load_id]

    assert {(row["dag_start_ds"], row["dag_end_ds"], row["dag_duration"]) for row in rows} == {
        ("2026-01-02", "2026-01-03", 2)
    }
    own = {row["job"]: (row["first_ds"], row["last_ds"], row["days"]) for row in rows}
    assert own["unit_day_metrics_events"] == (date(2026, 1, 2), date(2026, 1, 3), 2)
    assert own["exposure_counts"] == (date(2026, 1, 3), date(2026, 1, 3), 1)

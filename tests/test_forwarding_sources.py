"""The forwarded tables as sources of an experiment, on the local disk; and the command."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from statsig_staging.cli import main
from statsig_staging.errors import WarehouseError
from tests.forwards import DAY, Row, a_file, a_project, events, opened

METRICS: list[dict[str, Any]] = [
    {"name": "purchases", "type": "count", "filter": "event_name = 'purchase'"},
    {"name": "value", "type": "sum", "value": "CAST(event_value AS double)"},
]
EXPERIMENT: dict[str, Any] = {
    "id": "123",
    "unit": "user_id",
    "start": "2025-01-10",
    "end": "2025-01-13",
    "metrics": ["purchases", "value"],
}


def exposures(count: int = 30) -> list[Row]:
    """Return exposures of two groups, each of them ahead of the digest and again in it."""
    rows = []
    for number in range(count):
        row = {
            "experiment_id": "123",
            "group_id": "ab"[number % 2],
            "user_id": f"u{number}",
            "timestamp": (DAY + timedelta(hours=number)).isoformat(),
        }
        rows += [row, {**row, "group_name": ["Control", "Test"][number % 2]}]
    return rows


def over_forwarded(folder: Path) -> Any:
    """Return a project over the forwarded tables."""
    metrics = [{**metric, "source": "statsig_forwarded_events"} for metric in METRICS]
    experiment = {**EXPERIMENT, "assignment_source": "statsig_forwarded_exposures"}
    return a_project(folder, metrics=metrics, experiments=[experiment])


def over_files(folder: Path, given: dict[str, list[Row]]) -> Any:
    """Return a project over ordinary source tables of the same rows."""
    folder.mkdir(parents=True)
    for name, rows in given.items():
        plain = [{k: v for k, v in row.items() if not isinstance(v, dict)} for row in rows]
        keys = dict.fromkeys(key for row in plain for key in row)
        columns = {key: [row.get(key) for row in plain] for key in keys}
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    sources = {f"shop.{name}": f"{name}.parquet" for name in given}
    source = {"timestamp": "at", "units": {"user_id": "user_id"}}
    moment = 'SELECT *, CAST(from_iso8601_timestamp("timestamp") AS timestamp(6)) AS at FROM shop.'
    return a_project(
        folder,
        connection={"warehouse": "local", "sources": sources, "threads": 1},
        assignment_sources=[
            {
                **source,
                "name": "e",
                "sql": f"{moment}exposures",
                "experiment_id": "experiment_id",
                "group_id": "group_id",
                "context": {"group_name": "group_name"},
            }
        ],
        metric_sources=[{**source, "name": "m", "sql": f"{moment}events"}],
        metrics=[{**metric, "source": "m"} for metric in METRICS],
        experiments=[{**EXPERIMENT, "assignment_source": "e"}],
    )


def published(project: Any) -> list[list[Row]]:
    """Load the experiment, and return its results and its first exposures."""
    with opened(project) as engine:
        engine.run("123")
        return [
            sorted(engine.results("123").to_pylist(), key=str),
            sorted(engine.table("123", "first_exposures").to_pylist(), key=str),
        ]


def test_an_experiment_is_the_same_as_over_ordinary_tables(tmp_path: Path) -> None:
    """Results and first exposures are equal, and a name missing in one row comes from another of the unit."""
    rows = {"exposures": exposures(), "events": events(120, days=3)}
    project = over_forwarded(tmp_path / "forwarded")
    with opened(project) as engine:
        engine.forward_exposures(rows["exposures"])
        engine.forward_events(rows["events"])
    found = published(project)
    assert found == published(over_files(tmp_path / "ordinary", rows))
    assert {row["group_name"] for row in found[1]} == {"Control", "Test"}


def test_a_late_batch_restates_its_days(tmp_path: Path) -> None:
    """What comes later on an old day is seen, that day alone is read again, and nothing else is."""
    project = over_forwarded(tmp_path)
    with opened(project) as engine:
        engine.forward_exposures(exposures())
        engine.forward_events(events(60, days=3))
        engine.run("123")
        assert engine.run("123").status == "unchanged"
        late = {"user_id": "u1", "event_name": "purchase", "event_value": "7"}
        engine.forward_events([{**late, "timestamp": (DAY + timedelta(days=2)).isoformat()}])
        days = engine.run("123").days_read
    assert days["statsig_forwarded_events"] == ((DAY + timedelta(days=2)).date(),)


def test_nothing_was_forwarded(tmp_path: Path) -> None:
    """A source that nothing was forwarded to is named, with the command that does."""
    with (
        opened(over_forwarded(tmp_path)) as engine,
        pytest.raises(WarehouseError, match="forward exposures FILE"),
    ):
        engine.run("123")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The receipt is on the screen or in JSON, quarantine is a warning, and with --strict exit code 4."""
    text = yaml.safe_dump({"connection": {"warehouse": "local"}})
    (tmp_path / "staging.yml").write_text(text)
    good = a_file(tmp_path, [{"user_id": "u", "timestamp": DAY.isoformat()}])
    bad = a_file(tmp_path, b"nonsense\n", "bad.ndjson")
    where = ["--project", str(tmp_path)]
    assert main(["forward", "events", good, *where]) == 0
    assert "Forwarded 1 row of 1 to statsig_staging.events" in capsys.readouterr().out
    assert main(["forward", "events", good, bad, "--json", *where]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["rows"], document["accepted"], document["duplicates"]) == (2, 0, 1)
    assert document["quarantined"] == {"not JSON": 1}
    assert "warning: 1 row in quarantine: not JSON" in err
    assert main(["forward", "events", bad, "--strict", *where]) == 4
    assert main(["forward", "events", "nothing.ndjson", *where]) == 2

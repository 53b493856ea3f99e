"""Bad input: a clear error or a named warning, the right exit code, and what was published stays readable."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from statsig_staging.cli import main

NOON = datetime(2026, 1, 1, 12)  # noqa: DTZ001
Change = Callable[[dict[str, Any], Path], object]


def definition() -> dict[str, Any]:
    """Return a project of one experiment and one metric."""
    return {
        "connection": {
            "warehouse": "local",
            "sources": {"shop.exposures": "exposures/*", "shop.events": "events/*"},
        },
        "assignment_sources": [
            {
                "name": "exposures",
                "table": "shop.exposures",
                "timestamp": "ts",
                "experiment_id": "experiment",
                "group_id": "variant",
                "units": {"user": "user_id"},
            }
        ],
        "metric_sources": [
            {
                "name": "events",
                "table": "shop.events",
                "timestamp": "ts",
                "units": {"user": "user_id"},
            }
        ],
        "metrics": [
            {"name": "spent", "type": "sum", "source": "events", "value": "amount", "filter": "ok"}
        ],
        "experiments": [
            {
                "id": "x",
                "assignment_source": "exposures",
                "unit": "user",
                "start": date(2026, 1, 1),
                "end": date(2026, 1, 2),
                "groups": ["a", "b"],
                "metrics": ["spent"],
            }
        ],
    }


def put(folder: Path, name: str, columns: Mapping[str, object]) -> None:
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), place)


EXPOSURES = {
    "user_id": ["u1", "u2"],
    "variant": ["a", "b"],
    "experiment": ["x"] * 2,
    "ts": [NOON] * 2,
}
EVENTS = {"user_id": ["u1", "u2"], "ts": [NOON] * 2, "amount": [1.5, 2.0], "ok": [True, True]}


@pytest.fixture
def project(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Path:
    """A project with one published load."""
    put(tmp_path, "exposures/1.parquet", EXPOSURES)
    put(tmp_path, "events/1.parquet", EVENTS)
    (tmp_path / "staging.yml").write_text(yaml.safe_dump(definition()))
    assert main(["run", "--experiment", "x", "--project", str(tmp_path)]) == 0
    capfd.readouterr()
    return tmp_path


def totals(folder: Path, capfd: pytest.CaptureFixture[str]) -> dict[tuple[str, str], float]:
    """Return (day, group) → cumulative total, as published."""
    capfd.readouterr()
    assert main(["results", "--experiment", "x", "--project", str(folder), "--json"]) == 0
    rows = json.loads(capfd.readouterr().out)["rows"]
    return {(r["ds"], r["group_id"]): r["total"] for r in rows if r["rollup"] == "cumulative"}


def of(kind: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda made: made[kind][0]


def setting(kind: str, **values: object) -> Change:
    """Return a change of one entry of the project."""
    return lambda made, _: of(kind)(made).update(values)


def events(name: str = "1", **columns: object) -> Change:
    """Return a change of the events' file, or a further file of theirs."""
    return lambda _, folder: put(folder, f"events/{name}.parquet", {**EVENTS, **columns})


def exposures(name: str = "2", **columns: object) -> Change:
    return lambda _, folder: put(folder, f"exposures/{name}.parquet", {**EXPOSURES, **columns})


def raw(name: str, content: bytes) -> Change:
    return lambda _, folder: (folder / name).write_bytes(content)


REFUSED: dict[str, tuple[Change, int, str]] = {
    "unknown key": (setting("experiments", unitt="user"), 2, "did you mean 'unit'"),
    "two metrics of one name": (
        lambda made, _: made["metrics"].append(dict(made["metrics"][0])),
        2,
        "spent",
    ),
    "not one SELECT": (
        setting("metric_sources", table=None, sql="DROP TABLE shop.events"),
        2,
        "SELECT",
    ),
    "start after end": (setting("experiments", start=date(2026, 2, 1)), 2, "start"),
    "missing source": (setting("metric_sources", table="shop.evnts"), 3, "shop.evnts"),
    "no file": (
        lambda made, _: made["connection"]["sources"].update({"shop.events": "nowhere/*"}),
        3,
        "nowhere/*",
    ),
    "missing timestamp": (setting("metric_sources", timestamp="tss"), 3, "did you mean 'ts'"),
    "missing unit": (setting("metric_sources", units={"user": "usr_id"}), 3, "usr_id"),
    "missing group": (setting("assignment_sources", group_id="grp"), 3, "grp"),
    "missing value": (setting("metrics", value="amuont"), 3, "amuont"),
    "timestamp of text": (events(ts=["x", "y"]), 3, "must be a timestamp"),
    "unit of floats": (events(user_id=[1.5, 2.5]), 3, "must be a string"),
    "value of text": (events(amount=["a", "b"]), 3, "must be a number"),
    "filter of numbers": (setting("metrics", filter="amount"), 3, "must be a condition"),
    "partition of booleans": (
        setting("metric_sources", partition={"column": "ok"}),
        3,
        "partition.column",
    ),
    "truncated Parquet": (raw("events/1.parquet", b"PAR1 cut off"), 4, "1.parquet"),
    "empty Parquet": (raw("events/2.parquet", b""), 4, "2.parquet"),
    "short CSV line": (raw("events/3.csv", b"user_id,ts\nu1\n"), 4, "3.csv"),
    "NDJSON of scalars": (raw("events/3.ndjson", b"1\n2\n"), 4, "3.ndjson"),
    "no exposures": (setting("experiments", groups=["c"]), 4, "no exposures"),
    "folder is a file": (
        lambda made, folder: (
            raw("blocked", b"")(made, folder),
            made["connection"].update(path="blocked/warehouse"),
        ),
        3,
        "cannot be written",
    ),
    "no temporary folder": (
        lambda made, _: made["connection"].update(temp_directory="/proc/nowhere"),
        3,
        "temp_directory",
    ),
    "not a catalog": (raw("warehouse/catalog.db", b"not a database" * 100), 3, "catalog"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused(case: str, project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One line says what failed and on what; the exit code tells the kind; nothing is lost."""
    change, code, said = REFUSED[case]
    before = totals(project, capfd)
    catalog = (project / "warehouse/catalog.db").read_bytes()
    made = definition()
    change(made, project)
    (project / "staging.yml").write_text(yaml.safe_dump(made))

    found = main(["run", "--experiment", "x", "--project", str(project)])

    output = capfd.readouterr()
    assert found == code
    assert said in output.err
    assert "error: " in output.err
    assert "Traceback" not in output.err
    if case == "not a catalog":
        (project / "warehouse/catalog.db").write_bytes(catalog)
    (project / "staging.yml").write_text(yaml.safe_dump(definition()))
    assert totals(project, capfd) == before


@pytest.mark.parametrize("day", ["2999-01-01", "2025-12-31", "yesterday"])
def test_a_day_that_cannot_be_loaded(
    day: str, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """--through in the future, before the start, or no day at all is exit 2."""
    assert main(["run", "--experiment", "x", "--through", day, "--project", str(project)]) == 2
    assert "Traceback" not in capfd.readouterr().err


WARNED: dict[str, tuple[Change, str]] = {
    "unlisted group": (exposures(user_id=["u3", "u4"], variant=["beta", "beta"]), "'beta'"),
    "null unit": (exposures(user_id=[None, ""]), "2 exposures have no unit id"),
    "null group": (exposures(variant=[None, ""]), "2 exposures have no group id"),
    "null event unit": (events("2", user_id=["", None]), "2 rows have no user_id"),
    "empty source": (
        lambda _, folder: put(
            folder,
            "events/1.parquet",
            pq.read_table(folder / "events/1.parquet").slice(0, 0).to_pydict()
            | {"ts": pa.array([], pa.timestamp("us"))},
        ),
        "is empty",
    ),
}


@pytest.mark.parametrize("case", WARNED)
def test_odd_rows_are_named(case: str, project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Rows that are left out end in a warning, and the load in success."""
    change, said = WARNED[case]
    change(definition(), project)

    assert main(["run", "--experiment", "x", "--project", str(project)]) == 0

    assert said in capfd.readouterr().err


ODD = [
    "it's",
    'a"b',
    "a/b",
    "back\\slash",
    "é 日本 🙂",
    "new\nline",
    "x" * 1000,
    "; DROP TABLE x --",
]


def test_odd_ids_are_ids(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Quotes, slashes, unicode and a thousand characters are data everywhere, and nulls are none."""
    made = definition()
    identity = "a/\"b\" 'c' é"
    made["experiments"][0].update(id=identity, groups=["it's", 'b"'])
    put(
        tmp_path,
        "exposures/1.parquet",
        {
            "user_id": [*ODD, None],
            "variant": (["it's", 'b"'] * 5)[:9],
            "experiment": [identity] * 9,
            "ts": [*[NOON] * 8, None],
        },
    )
    put(
        tmp_path,
        "events/1.parquet",
        {
            "user_id": [*ODD, None],
            "ts": [*[NOON] * 7, None, None],
            "amount": [1.0, float("nan"), float("inf"), 2.0, None, 4.0, 8.0, 16.0, None],
            "ok": [*[True] * 8, None],
        },
    )
    (tmp_path / "staging.yml").write_text(yaml.safe_dump(made, allow_unicode=True))

    assert main(["run", "--experiment", identity, "--project", str(tmp_path)]) == 0
    assert main(["results", "--experiment", identity, "--project", str(tmp_path), "--json"]) == 0

    rows = json.loads(
        capfd.readouterr().out.partition('{\n  "experiment_id"')[2].join(['{"experiment_id"', ""])
    )["rows"]
    last = {
        r["group_id"]: r for r in rows if r["rollup"] == "cumulative" and r["ds"] == "2026-01-02"
    }
    assert {group: (row["units"], row["total"]) for group, row in last.items()} == {
        "it's": (4, 9.0),
        'b"': (4, 6.0),
    }


def test_the_clock_is_utc() -> None:
    """The moments of these cases lie in days that are over."""
    assert datetime.now(UTC).date() > date(2026, 1, 2)

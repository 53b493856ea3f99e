"""Rows worked out by hand, table by table: what is given, and what a load must make of it.

A case lies in ``cases/<table>/<case>.yml``: the rows of the sources as CSV, what is special about the
project, and the rows that are expected, of all columns or of some. Nothing between two commas is null.
Exposures without an ``experiment_id`` are of experiment ``123``.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import statsig_staging as staging
from statsig_staging import terms
from tests.factories import ASSIGNMENT_SOURCE, EXPERIMENT, METRIC_SOURCE, PURCHASES

FOLDER = Path(__file__).parent / "cases"
CASES = sorted(str(file.relative_to(FOLDER)) for file in FOLDER.glob("*/*.yml"))
SETTINGS = {"assignment_source", "metric_source", "metrics", "experiment", "through", "format"}
KEYS = SETTINGS | {"about", "exposures", "events", "only", "expect"}
EVENTS = "ts,user_id,kind,amount_cents\n2026-01-01 00:00:00,nobody,visit,0\n"
ARROW = {
    "exposed_at": pa.timestamp("us"),
    "ts": pa.timestamp("us"),
    "day": pa.date32(),
    "laid": pa.date32(),
    "amount_cents": pa.int64(),
}

KNOWN: dict[str, str] = {}
"""Cases that do not hold yet, and why."""

Row = Mapping[str, str | None]


def read_csv(text: str) -> list[Row]:
    """Return rows; nothing between commas is null, an empty text in quotes is empty."""
    header, *lines = text.splitlines()
    names = next(csv.reader([header]))
    return [
        {
            name: None if value == "" and '""' not in line else value
            for name, value in zip(names, next(csv.reader([line])), strict=True)
        }
        for line in lines
    ]


def write_rows(folder: Path, name: str, rows: Sequence[Row], kind: str) -> None:
    """Write the rows of a source as one file."""
    place = folder / "data" / f"{name}.{kind}"
    place.parent.mkdir(exist_ok=True)
    if kind == "csv":
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        place.write_text(out.getvalue(), "utf-8")
    elif kind == "ndjson":
        place.write_text("".join(json.dumps(_typed(row)) + "\n" for row in rows), "utf-8")
    else:
        fields = [pa.field(column, ARROW.get(column, pa.string())) for column in rows[0]]
        columns = {column: pa.array([row[column] for row in rows]) for column in rows[0]}
        table = pa.table(columns)
        pq.write_table(table.cast(pa.schema(fields)), place)


def _typed(row: Row) -> dict[str, object]:
    return {
        name: int(value) if value is not None and name == "amount_cents" else value
        for name, value in row.items()
    }


def definition(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return the project of a case."""
    kind = case.get("format", "csv")
    metrics = case.get("metrics", [PURCHASES])
    return {
        "connection": {
            "warehouse": "local",
            "threads": 1,
            "sources": {f"shop.{name}": f"data/{name}.{kind}" for name in ("exposures", "events")},
        },
        "assignment_sources": [{**ASSIGNMENT_SOURCE, **case.get("assignment_source", {})}],
        "metric_sources": [{**METRIC_SOURCE, **case.get("metric_source", {})}],
        "metrics": metrics,
        "experiments": [
            {
                **EXPERIMENT,
                "metrics": [metric["name"] for metric in metrics],
                **case.get("experiment", {}),
            }
        ],
    }


def loaded(case: Mapping[str, Any], table: str, folder: Path) -> list[dict[str, object]]:
    """Return the rows of a table after a load of the case."""
    kind = case.get("format", "csv")
    exposures = [{"experiment_id": "123", **row} for row in read_csv(case["exposures"])]
    write_rows(folder, "exposures", exposures, kind)
    write_rows(folder, "events", read_csv(case.get("events", EVENTS)), kind)
    (folder / "staging.yml").write_text(yaml.safe_dump(definition(case)), "utf-8")
    project = staging.load_project(folder)
    with staging.connect(project, now=lambda: datetime(2026, 2, 1, tzinfo=UTC)) as engine:
        engine.run("123", through=case.get("through", date(2026, 1, 3)))
        found: list[dict[str, object]] = engine.table("123", table).to_pylist()
    names = metric_columns(project)
    return [{names.get(name, name): value for name, value in row.items()} for row in found]


def metric_columns(project: staging.Project) -> dict[str, str]:
    """Return column of a unit-day → metric, or ``<metric>_denominator``."""
    found: dict[str, str] = {}
    for metric in project.metrics:
        statistic = terms.statistic_of(metric, project)
        found[statistic.numerator.aggregates[0].column] = metric.name
        if statistic.denominator is not None:
            found[statistic.denominator.aggregates[0].column] = f"{metric.name}_denominator"
    return found


def plain(value: object) -> str | float | None:
    """Return a value as a case writes it."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return float(value)
        case None:
            return None
        case _:
            return str(value)


def expected(value: str | None) -> str | float | None:
    """Return a value of a case, a number where it is one."""
    try:
        return None if value is None else float(value)
    except ValueError:
        return value


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=[pytest.mark.xfail(reason=KNOWN[name], strict=True)] if name in KNOWN else [],
        )
        for name in CASES
    ],
)
def test_case(name: str, tmp_path: Path) -> None:
    """The table holds the expected rows, no more and no less."""
    case = yaml.safe_load((FOLDER / name).read_text("utf-8"))
    wanted = read_csv(case["expect"])
    columns = list(wanted[0])

    rows = loaded(case, Path(name).parent.name, tmp_path)

    chosen = [
        row for row in rows if all(row[key] == value for key, value in case.get("only", {}).items())
    ]
    found = sorted(([plain(row[column]) for column in columns] for row in chosen), key=repr)
    hoped = sorted(([expected(row[column]) for column in columns] for row in wanted), key=repr)
    assert [[_rounded(value) for value in row] for row in found] == hoped


def _rounded(value: str | float | None) -> str | float | None:
    return round(value, 9) if isinstance(value, float) else value


@pytest.mark.parametrize("name", CASES)
def test_a_case_says_what_it_is_about(name: str) -> None:
    """In a sentence, and every key is known."""
    case = yaml.safe_load((FOLDER / name).read_text("utf-8"))

    assert case["about"].endswith(".")
    assert case["expect"]
    assert set(case) <= KEYS


def test_every_table_has_cases() -> None:
    """And every format of a source is used."""
    texts = [(FOLDER / name).read_text("utf-8") for name in CASES]

    assert {Path(name).parent.name for name in CASES} == {
        "distinct_values_events",
        "exposure_counts",
        "exposures_summary",
        "first_exposures",
        "percentile_values_events",
        "results",
        "unit_day_exposures",
        "unit_day_metrics_events",
    }
    assert {yaml.safe_load(text).get("format", "csv") for text in texts} == {
        "csv",
        "ndjson",
        "parquet",
    }

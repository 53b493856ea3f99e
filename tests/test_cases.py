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
from tests.athena_endpoint.fixtures import Aws
from tests.athena_worlds import athena_connection, glue_of
from tests.factories import ASSIGNMENT_SOURCE, EXPERIMENT, METRIC_SOURCE, PURCHASES

FOLDER = Path(__file__).parent / "cases"
CASES = sorted(str(file.relative_to(FOLDER)) for file in FOLDER.glob("*/*.yml"))
SETTINGS = {"assignment_source", "metric_source", "metrics", "experiment", "through", "format"}
KEYS = SETTINGS | {"about", "exposures", "events", "only", "expect"}
EVENTS = "ts,user_id,kind,amount_cents\n2026-01-01 00:00:00,nobody,visit,0\n"
ARROW = {
    "exposed_at": pa.timestamp("us"),
    "ts": pa.timestamp("us"),
    "signed_up_at": pa.timestamp("us"),
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
        pq.write_table(arrow(rows), place)


def arrow(rows: Sequence[Row]) -> pa.Table:
    """Return the rows of a source with the types of its columns."""
    fields = [pa.field(column, ARROW.get(column, pa.string())) for column in rows[0]]
    columns = {column: pa.array([row[column] for row in rows]) for column in rows[0]}
    return pa.table(columns).cast(pa.schema(fields))


def _typed(row: Row) -> dict[str, object]:
    return {
        name: int(value) if value is not None and name == "amount_cents" else value
        for name, value in row.items()
    }


def sources_of(case: Mapping[str, Any]) -> dict[str, list[Row]]:
    """Return the rows of each source of a case."""
    return {
        "exposures": [{"experiment_id": "123", **row} for row in read_csv(case["exposures"])],
        "events": read_csv(case.get("events", EVENTS)),
    }


def local_connection(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return the connection of a case whose sources are files."""
    kind = case.get("format", "csv")
    files = {f"shop.{name}": f"data/{name}.{kind}" for name in ("exposures", "events")}
    return {"warehouse": "local", "threads": 1, "sources": files}


def definition(case: Mapping[str, Any], connection: Mapping[str, Any]) -> dict[str, Any]:
    """Return the project of a case."""
    metrics = case.get("metrics", [PURCHASES])
    return {
        "connection": dict(connection),
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
    """Return the rows of a table after a load of the case from files."""
    for name, rows in sources_of(case).items():
        write_rows(folder, name, rows, case.get("format", "csv"))
    return found_in(case, table, folder, local_connection(case))


def found_in(
    case: Mapping[str, Any], table: str, folder: Path, connection: Mapping[str, Any]
) -> list[dict[str, object]]:
    """Return the rows of a table after a load of the case."""
    (folder / "staging.yml").write_text(yaml.safe_dump(definition(case, connection)), "utf-8")
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

    check(case, loaded(case, Path(name).parent.name, tmp_path))


OF_RESULTS = [name for name in CASES if Path(name).parent.name == "results"]


@pytest.mark.slow
@pytest.mark.usefixtures("aws_environment")
def test_cases_on_athena(aws: Aws, tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Results on Athena are those worked out by hand, too."""
    glue = glue_of(aws)
    for number, name in enumerate(OF_RESULTS):
        case = yaml.safe_load((FOLDER / name).read_text("utf-8"))
        folder = tmp_path / f"case_{number}"
        folder.mkdir()
        glue.create_namespace(f"staging_{number}")
        for source, rows in sources_of(case).items():
            table = arrow(rows)
            place = f"s3://{aws.bucket}/sources_{number}/{source}"
            made = glue.create_table(("shop", f"{source}_{number}"), table.schema, location=place)
            made.append(table)
        own = {"database": f"staging_{number}"}
        connection = athena_connection(aws, folder=f"case_{number}") | own
        with subtests.test(name):
            check(case, found_in(on_lake(case, number), "results", folder, connection))


def on_lake(case: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return a case that reads tables of Glue."""
    return {
        **case,
        "assignment_source": {
            **case.get("assignment_source", {}),
            "table": f"shop.exposures_{number}",
        },
        "metric_source": {**case.get("metric_source", {}), "table": f"shop.events_{number}"},
    }


def check(case: Mapping[str, Any], rows: Sequence[Mapping[str, object]]) -> None:
    """Check that rows are the expected ones of a case."""
    wanted = read_csv(case["expect"])
    columns = list(wanted[0])
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

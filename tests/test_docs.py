"""The documentation says what the code does: columns, keys, examples, numbers."""

from __future__ import annotations

import ast
import re
from datetime import date
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import yaml

import statsig_staging as staging
from statsig_staging import config, ledger, state, terms
from statsig_staging.aggregates import AggregateKind, ValueKind
from statsig_staging.plan import ColumnType
from statsig_staging.planner import tables
from tests.athena_worlds import athena_connection, glue_of
from tests.markdown import ROOT, blocks, page, sections
from tests.markdown import tables as tables_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pydantic import BaseModel

    from statsig_staging.plan import Table
    from tests.athena_endpoint.fixtures import Aws

TYPES = {
    ColumnType.STRING: "string",
    ColumnType.LONG: "long",
    ColumnType.DOUBLE: "double",
    ColumnType.DATE: "date",
    ColumnType.TIMESTAMP: "timestamp",
    ColumnType.BOOLEAN: "boolean",
}

SOURCE = config.AssignmentSource(
    name="exposures",
    table="shop.exposures",
    timestamp="exposed_at",
    experiment_id="experiment_id",
    group_id="group_id",
    units={"user_id": "user_id"},
)
METRIC_SOURCE = config.MetricSource(
    name="events", table="shop.events", timestamp="ts", units={"user_id": "user_id"}
)

TABLES = {
    "unit_day_exposures_<id>": tables.unit_day_exposures("1", SOURCE),
    "first_exposures_<id>": tables.first_exposures("1", SOURCE),
    "exposure_counts_<id>": tables.exposure_counts("1"),
    "exposures_summary_<id>": tables.exposures_summary("1"),
    "unit_day_metrics_<id>_<source>": tables.unit_day_metrics("1", "events", ()),
    "unit_totals_<id>_<source>": tables.unit_totals("1", "events", ()),
    **{f"{kind}_<id>_<source>": tables.values(kind, "1", "events", ()) for kind in ValueKind},
    "metric_rows_<id>_<source>": tables.metric_rows("1", METRIC_SOURCE, ()),
    "results_<id>": tables.results("1"),
    "loads_<id>": state.loads_table("1"),
    "pipeline_overview": ledger.ledger_table(),
}

MODELS: dict[str, type[BaseModel]] = {
    "Project": config.Project,
    "Connection: local": config.LocalConnection,
    "Connection: athena": config.AthenaConnection,
    "Read only": config.ReadOnly,
    "Assignment sources": config.AssignmentSource,
    "Metric sources": config.MetricSource,
    "Partitions": config.Partition,
    "count": config.CountMetric,
    "sum": config.SumMetric,
    "mean": config.MeanMetric,
    "min and max": config.ExtremeMetric,
    "first_value and latest_value": config.EdgeMetric,
    "Window": config.Window,
    "Winsorize": config.Winsorize,
    "composite": config.CompositeMetric,
    "unit_count": config.UnitCountMetric,
    "count_distinct": config.CountDistinctMetric,
    "percentile": config.PercentileMetric,
    "ratio": config.RatioMetric,
    "retention": config.RetentionMetric,
    "funnel": config.FunnelMetric,
    "Funnel steps": config.FunnelStep,
    "Step windows": config.StepWindow,
    "Experiments": config.Experiment,
}

README_ROWS = {
    "exposures": "'u1' AS user_id, 'checkout_button' AS experiment_id, 'test' AS group_id, "
    "TIMESTAMP '2026-01-02 10:00:00' AS exposed_at",
    "events": "'u1' AS user_id, 'purchase' AS event_name, TIMESTAMP '2026-01-03 10:00:00' AS ts, "
    "12.5 AS amount",
}

PAGES = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))),
]


def test_every_table_is_documented() -> None:
    """docs/tables.md has a section for each table that there is, and for no other."""
    headings = [heading.strip("`") for heading in sections(page("docs/tables.md"))]
    found = {heading for heading in headings if "<id>" in heading or heading in TABLES}
    assert found == TABLES.keys()


@pytest.mark.parametrize("name", TABLES)
def test_columns_are_documented_in_order_with_type_and_field_id(name: str) -> None:
    """The first table of a section lists exactly the columns of the staging table."""
    described = tables_of(sections(page("docs/tables.md"))[f"`{name}`"])[0]
    written = [(row["id"], row["column"], row["type"]) for row in described]
    assert written == _columns(TABLES[name])


def _columns(table: Table) -> list[tuple[str, str, str]]:
    return [
        (str(number), column.name, TYPES[column.type])
        for number, column in enumerate(table.columns, start=1)
    ]


def test_aggregate_columns_are_named_as_documented() -> None:
    """The kinds of docs/tables.md are those of the code, and the names look as they say."""
    section = sections(page("docs/tables.md"))["`unit_day_metrics_<id>_<source>`"]
    kinds = {row["column"].strip("`").rsplit("_<hash>")[0]: row for row in tables_of(section)[1]}
    documented = {kind.removesuffix("_<slug>"): row["type"] for kind, row in kinds.items()}
    metric = config.MeanMetric(name="m", type="mean", source="events", value="Amount")
    source = config.MetricSource(
        name="events", table="shop.events", timestamp="ts", units={"user_id": "user_id"}
    )
    project = staging.Project.model_validate(
        {"connection": {"warehouse": "local"}, "metric_sources": [source], "metrics": [metric]}
    )
    statistic = terms.statistic_of(metric, project)
    names = [each.column for each in statistic.aggregates]
    assert documented == {
        kind.value: "long" if kind.is_whole else "double"
        for kind in AggregateKind
        if kind.values is None
    }
    assert re.fullmatch(r"sum_amount_[0-9a-f]{8} records_amount_[0-9a-f]{8}", " ".join(names))


@pytest.mark.parametrize("name", MODELS)
def test_every_key_is_documented_with_its_default(name: str) -> None:
    """docs/configuration.md lists exactly the keys of each model, and their defaults."""
    rows = next(
        table
        for table in tables_of(sections(page("docs/configuration.md"))[name])
        if "key" in table[0]
    )
    documented = {row["key"]: row["default"] for row in rows}
    assert documented == {
        key: "required"
        if field.is_required()
        else _default(field.get_default(call_default_factory=True))
        for key, field in MODELS[name].model_fields.items()
    }


def _default(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case () | {}:
            return "empty"
        case _:
            return str(value)


def test_every_metric_type_has_a_section() -> None:
    """docs/metrics.md explains each metric type."""
    types = {name for name, model in MODELS.items() if "Metric" in model.__name__} - {
        "Metric sources"
    }
    headings = {heading.replace("`", "") for heading in sections(page("docs/metrics.md"))}
    assert types <= headings


def test_every_template_is_used() -> None:
    """Each file in sql/ is bound by the planner, and the planner binds no other."""
    bound = {
        node.args[0].value
        for path in sorted((ROOT / "statsig_staging").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "bind"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert {path.stem for path in (ROOT / "sql").glob("*.sql")} == bound


def test_the_examples_of_the_configuration_make_one_project(tmp_path: Path) -> None:
    """The YAML blocks of docs/configuration.md are right, together."""
    whole: dict[str, Any] = {}
    for block in blocks(page("docs/configuration.md"), "yaml"):
        part = yaml.safe_load(block)
        if part.get("connection", {}).get("warehouse") == "athena":
            staging.Project.model_validate(part)
        else:
            assert not whole.keys() & part.keys()
            whole |= part
    (tmp_path / "staging.yml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    project = staging.load_project(tmp_path)
    assert len(project.metric_sources) == 2
    assert project.experiments[0].unit == "user_id"


def test_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's configuration, its Python and its outside readers work on two Parquet files."""
    monkeypatch.chdir(tmp_path)
    readme = page("README.md")
    (configuration,) = blocks(readme, "yaml")
    (tmp_path / "staging.yml").write_text(configuration, encoding="utf-8")
    for name, row in README_ROWS.items():
        duckdb.execute(f"COPY (SELECT {row}) TO '{name}.parquet'")
    names: dict[str, Any] = {}
    for code in blocks(readme, "python"):
        exec(compile(code, "README.md", "exec"), names)
    assert names["load"].status == "published"
    assert names["units"].column("unit_id").to_pylist() == ["u1"]
    assert names["connection"].sql(
        "SELECT total FROM results WHERE rollup = 'cumulative' AND metric = 'revenue' ORDER BY ds DESC"
    ).fetchall()[0] == (12.5,)
    names["connection"].close()
    names["catalog"].close()


def test_the_numbers_of_the_example_are_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worked example of docs/metrics.md is what a load of its rows publishes."""
    monkeypatch.chdir(tmp_path)
    check_example(tmp_path, EXAMPLE["connection"])


@pytest.mark.slow
@pytest.mark.usefixtures("aws_environment")
def test_the_numbers_of_the_example_are_right_on_athena(aws: Aws, tmp_path: Path) -> None:
    """So they are where its rows lie in tables of Glue."""
    connection = athena_connection(aws)
    glue_of(aws).create_namespace(connection["database"])

    def lay(name: str) -> None:
        rows = duckdb.read_csv(str(tmp_path / f"{name}.csv")).to_arrow_table()
        place = f"s3://{aws.bucket}/sources/{name}"
        glue_of(aws).create_table(("shop", name), rows.schema, location=place).append(rows)

    check_example(tmp_path, connection, lay)


def check_example(
    tmp_path: Path,
    connection: Mapping[str, Any],
    lay: Callable[[str], object] = lambda _: None,
) -> None:
    """Load the example of docs/metrics.md, and compare; ``lay`` brings a file to where sources lie."""
    text = page("docs/metrics.md")
    exposures, events, expected = (
        found for found in tables_of(text) if found[0].keys() & {"exposed_at", "ts", "metric"}
    )
    _write_csv(
        tmp_path / "exposures.csv", [{**row, "experiment_id": "example"} for row in exposures]
    )
    _write_csv(tmp_path / "events.csv", events)
    for name in ("exposures", "events"):
        lay(name)
    (metrics,) = blocks(text, "yaml")
    listed = yaml.safe_load(metrics)
    experiment = EXPERIMENT | {"metrics": [metric["name"] for metric in listed["metrics"]]}
    project = staging.Project.model_validate(
        EXAMPLE | listed | {"connection": connection, "experiments": [experiment], "root": tmp_path}
    )
    with staging.connect(project) as engine:
        engine.run("example", through=date(2026, 1, 2))
        rows = engine.results("example").to_pylist()
    last = [row for row in rows if row["ds"] == date(2026, 1, 2) and row["dimension"] is None]
    published = {(row["metric"], row["rollup"]): row for row in last}
    assert len(published) == len(last) == len(expected)
    for row in expected:
        found = published[row["metric"], row["rollup"]]
        assert {column: _rounded(found[column]) for column in row} == row


EXAMPLE: dict[str, Any] = {
    "connection": {
        "warehouse": "local",
        "sources": {"shop.exposures": "exposures.csv", "shop.events": "events.csv"},
    },
    "assignment_sources": [SOURCE],
    "metric_sources": [
        {
            "name": "events",
            "table": "shop.events",
            "timestamp": "ts",
            "units": {"user_id": "unit_id"},
        }
    ],
}
EXPERIMENT = {
    "id": "example",
    "assignment_source": "exposures",
    "unit": "user_id",
    "start": "2026-01-01",
}


def _write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    path.write_text(
        "\n".join(lines).replace("unit_id,group_id", "user_id,group_id"), encoding="utf-8"
    )


def _rounded(value: object) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:.4f}".rstrip("0").rstrip(".")
        case _:
            return str(value)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    """A relative link names a file that there is, and a heading in it."""
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page(name)):
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), target
        if anchor:
            headings = sections(file.read_text(encoding="utf-8"))
            assert anchor in {_anchor(heading) for heading in headings}, target


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")

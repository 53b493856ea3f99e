"""The SQL of representative plans, word for word, in both dialects: does rendering change?

``make golden`` rewrites the files; the difference is to be read like code.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from statsig_staging import documents, templates
from statsig_staging.config import Project
from statsig_staging.plan import Batch, Check, Drop, Merge, Plan, ReplacePartitions, Step
from statsig_staging.planner import LoadRequest, build_plan
from statsig_staging.planner import tables as staging
from statsig_staging.sources import Observation, TableObservation
from statsig_staging.warehouses.local import dialect
from tests.conftest import GOLDEN
from tests.factories import (
    ASSIGNMENT_SOURCE,
    COLUMNS,
    EXPERIMENT,
    METRIC_SOURCE,
    PURCHASES,
    REVENUE,
    daily,
    day,
    make_file,
    make_observation,
    make_project,
    make_request,
    published_by,
)

DATABASE = "statsig_staging"
VISITS: Mapping[str, Any] = {
    "name": "visits",
    "table": "shop.visits",
    "timestamp": "ds",
    "units": {"user_id": "user_id"},
}
VISIT_COLUMNS = {"ds": "date", "user_id": "bigint", "pages": "integer", "seconds": "double"}
METRICS: tuple[Mapping[str, Any], ...] = (
    PURCHASES,
    REVENUE,
    {**REVENUE, "name": "order_value", "type": "mean", "filter": "kind = 'purchase'"},
    {**PURCHASES, "name": "purchasers", "type": "unit_count"},
    {"name": "seconds", "type": "sum", "source": "visits", "value": "seconds"},
    {
        "name": "revenue_per_visit",
        "type": "ratio",
        "numerator": {"type": "sum", "source": "events", "value": "usd"},
        "denominator": {"type": "count", "source": "visits", "filter": "pages > 1"},
    },
)
"""One metric of each type, over two sources, one of them with a filter and one without."""


def two_sources(**experiment: Any) -> Project:
    """Return a project whose metrics come from two sources, with a context column."""
    return Project.model_validate(
        {
            "connection": {"warehouse": "local"},
            "assignment_sources": [{**ASSIGNMENT_SOURCE, "context": {"device": "group_id"}}],
            "metric_sources": [METRIC_SOURCE, VISITS],
            "metrics": METRICS,
            "experiments": [
                {**EXPERIMENT, "metrics": [metric["name"] for metric in METRICS], **experiment}
            ],
        }
    )


def visits(*numbers: int) -> Observation:
    """Return what the source of visits holds: one file for each of these days."""
    files = tuple(make_file(f"visits/{number}", number) for number in numbers)
    table = TableObservation(table="shop.visits", columns=VISIT_COLUMNS, files=files, dated=True)
    return Observation(
        source="visits",
        columns=VISIT_COLUMNS,
        tables=(table,),
        dated=True,
        expressions={"seconds": "double"},
    )


def first_load() -> LoadRequest:
    """Everything is new: context columns, listed groups, two metric sources, every metric type."""
    return make_request(visits(1, 2, 3), project=two_sources(groups=["control", "it's"]))


def incremental_load() -> LoadRequest:
    """A day is new and an older day of exposures changed: late units, and results that are kept."""
    project = two_sources()
    first = make_request(visits(1, 2, 3), project=project)
    files = [make_file(f"exposures/{number}", number) for number in (1, 2, 3, 4)]
    files[2] = replace(files[2], size=7)
    return make_request(
        make_observation("exposures", *files),
        daily("events", 1, 2, 3, 4),
        visits(1, 2, 3, 4),
        project=project,
        published=published_by(first),
        through=day(4),
    )


def sql_source() -> LoadRequest:
    """The metric source is a SELECT with every macro."""
    sql = """
        WITH numbered AS (
          SELECT e.*, ROW_NUMBER() OVER (PARTITION BY e.user_id ORDER BY e.ts) AS place
          FROM shop.events AS e
          WHERE e.ts >= {statsig_start_date}
            AND CAST(e.ts AS DATE) <= {statsig_end_date}
            AND e.ts >= {statsig_experiment_start_timestamp}
            AND e.amount_cents BETWEEN {statsig_start_date_int} AND {statsig_end_date_int}
        )
        SELECT n.ts, n.user_id, n.kind, n.amount_cents FROM numbered AS n WHERE n.place > 1
    """
    project = make_project(metrics=[PURCHASES, REVENUE], metric_source={"table": None, "sql": sql})
    return make_request(daily("events", 1, 2, 3, dated=False), project=project)


def partitioned_sources() -> LoadRequest:
    """Rows lie up to a day before or after their own; one file holds two days."""
    laid = {"column": "laid", "early": 1, "late": 1}
    project = make_project(
        assignment_source={"partition": {**laid, "late": 0}},
        metric_source={"partition": {**laid, "format": "%Y%m%d"}},
    )

    def seen(source: str, kind: str) -> Observation:
        columns = {**COLUMNS[source], "laid": kind}
        files = (make_file(f"{source}/1", 1), make_file(f"{source}/2", 2, 3))
        table = TableObservation(table=f"shop.{source}", columns=columns, files=files, dated=True)
        return make_observation(source, columns=columns, tables=(table,))

    return make_request(seen("exposures", "date"), seen("events", "varchar"), project=project)


def first_group() -> LoadRequest:
    """A unit that meets a second group counts in its first one."""
    return make_request(project=make_project(crossover="first_group"))


BOUGHT = "kind = 'purchase'"
BY_VALUE: tuple[dict[str, Any], ...] = (
    {"name": "kinds", "type": "count_distinct", "source": "events", "value": "kind"},
    {
        "name": "median_order",
        "type": "percentile",
        "source": "events",
        "value": "usd",
        "percentile": 0.5,
    },
    {
        "name": "bought",
        "type": "funnel",
        "session": "kind",
        "within": {"end": 6},
        "steps": [
            {"source": "events", "filter": "kind = 'visit'"},
            {"source": "events", "filter": BOUGHT, "window": {"end": 29, "unit": "minutes"}},
        ],
    },
    {**REVENUE, "name": "revenue_by_kind", "metric_dimensions": ["kind"], "dimensions": ["device"]},
)
"""A metric for each table of values: distinct ones, numbers, moments of sessions, and levels of rows."""
OPTIONS: tuple[dict[str, Any], ...] = (
    {**REVENUE, "name": "adjusted", "cuped": {"days": 7}, "cap": 100},
    {**REVENUE, "name": "held", "winsorize": {"low": 0.01, "high": 0.99}, "bake_days": 1},
    {**REVENUE, "name": "first_week", "window": {"end": 6, "completed_only": True}},
    {**REVENUE, "name": "latest", "type": "latest_value", "filter": BOUGHT},
    {
        "name": "back",
        "type": "retention",
        "source": "events",
        "completion_filter": BOUGHT,
        "end": 3,
        "length": 2,
    },
)
"""What looks before the exposure, at all units together, at windows, at the order of rows, and at later days."""


def one_source(
    metrics: Sequence[Mapping[str, Any]], *observations: Observation, **experiment: Any
) -> LoadRequest:
    """Return a request for metrics of one source, with a context column."""
    project = make_project(
        metrics=metrics, assignment_source={"context": {"device": "group_id"}}, **experiment
    )
    types = {"kind": "varchar", "usd": "double", BOUGHT: "boolean", "kind = 'visit'": "boolean"}
    seen = daily("events", 1, 2, 3, expressions=types)
    return make_request(seen, *observations, project=project)


def values() -> LoadRequest:
    """The first load of a metric for each table of values."""
    return one_source(BY_VALUE, rollups=["daily", "days_since_exposure"])


def late_values() -> LoadRequest:
    """The same, a day later, when an older day of exposures changed and one metric is new."""
    first, request = one_source(BY_VALUE[:-1]), one_source(BY_VALUE)
    files = [make_file(f"exposures/{number}", number) for number in (1, 2, 3, 4)]
    files[2] = replace(files[2], size=7)
    types = request.observations["events"].expressions
    seen = {
        "exposures": make_observation("exposures", *files),
        "events": daily("events", 1, 2, 3, 4, expressions=types),
    }
    return replace(request, observations=seen, published=published_by(first), through=day(4))


def options() -> LoadRequest:
    """The first load of metrics with options."""
    return one_source(OPTIONS, rollups=["cumulative", "7_day"], cohorted_duration=5)


REQUESTS: Mapping[str, Callable[[], LoadRequest]] = {
    "values": values,
    "late_values": late_values,
    "options": options,
    "first_load": first_load,
    "incremental_load": incremental_load,
    "sql_source": sql_source,
    "partitioned_sources": partitioned_sources,
    "first_group": first_group,
}


@dataclass(frozen=True)
class Statement:
    """One statement of a plan: what it is for, and its tree with its values put in."""

    heading: str
    query: exp.Query
    reads: Mapping[str, Mapping[str, str]]


@cache
def planned(name: str) -> Plan:
    """Return a plan by its name."""
    return build_plan(REQUESTS[name]())


def statements(plan: Plan) -> Iterator[Statement]:
    """Return every statement of a plan; of those that share a tree the first, with all their values."""
    for step in plan.steps:
        if step.guard is not None:
            yield Statement(f"-- {step.name}: guard", step.guard, {})
        if isinstance(step.action, Check):
            yield Statement(f"-- {step.name}: check", step.action.select, {})
        elif not isinstance(step.action, Drop):
            yield from _written(step, step.action.batches)


def _written(step: Step, batches: tuple[Batch, ...]) -> Iterator[Statement]:
    shared: dict[int, list[Batch]] = {}
    for batch in batches:
        shared.setdefault(id(batch.select), []).append(batch)
    for alike in shared.values():
        first, *others = alike
        lines = [f"-- {step.name}: {_what(step)}", _partitions(first)]
        lines += [f"-- the same with {dict(batch.values)}" for batch in others]
        query = templates.bind_texts(first.select, first.values)
        reads = {read.table: read.columns for read in first.reads}
        yield Statement("\n".join(filter(None, lines)), query, reads)


def _what(step: Step) -> str:
    action = step.action
    assert not isinstance(action, Check)
    words = [type(action).__name__, action.target.name.catalog]
    if isinstance(action, Merge):
        words.append(f"by {', '.join(action.keys)}, deleting where {action.deleted}")
    if isinstance(action, ReplacePartitions):
        words.append(", ".join(map(str, action.partitions)))
    return " ".join(words)


def _partitions(batch: Batch) -> str:
    return f"-- fills {', '.join(map(str, batch.partitions))}" if batch.partitions else ""


@cache
def columns_of(name: str) -> Mapping[str, Mapping[str, str]]:
    """Return every table that statements of a plan may read, with its columns."""
    request, plan = REQUESTS[name](), planned(name)
    writes = (step.action for step in plan.steps if not isinstance(step.action, Check))
    written = [
        staging.first_exposures("123", request.assignment_source),
        staging.exposures_summary("123"),
        *(write.target for write in writes),
    ]
    return {
        f"{DATABASE}.{table.name.catalog}": {
            column.name: column.type.value for column in table.columns
        }
        for table in written
    } | {table: columns for found in statements(plan) for table, columns in found.reads.items()}


@cache
def in_duckdb(name: str) -> tuple[exp.Query, ...]:
    """Return the statements of a plan in DuckDB's SQL."""
    columns = columns_of(name)
    return tuple(dialect.translate(found.query, columns) for found in statements(planned(name)))


def rendered(name: str, language: str) -> str:
    """Return every statement of a plan as text."""
    found = tuple(statements(planned(name)))
    queries = in_duckdb(name) if language == "duckdb" else [each.query for each in found]
    return "\n".join(
        f"{each.heading}\n{text(query, language)};\n"
        for each, query in zip(found, queries, strict=True)
    )


def text(query: exp.Query, language: str) -> str:
    """Return a tree as people read it."""
    return query.sql(language, pretty=True, comments=False, identify=language == "duckdb")


@pytest.mark.parametrize("name", REQUESTS)
def test_showing_a_plan_leaves_it_as_it_is(name: str) -> None:
    """Statements are written without a copy of their trees, so the generator must not rewrite these."""
    plan = planned(name)
    before = [each.query.copy() for each in statements(plan)]
    documents.plan_document(plan, sql=True)
    assert [each.query for each in statements(plan)] == before


@pytest.mark.parametrize("language", ["athena", "duckdb"])
@pytest.mark.parametrize("name", REQUESTS)
def test_statements_of_a_plan(name: str, language: str, golden: Callable[[str, str], None]) -> None:
    """Every statement is what was reviewed."""
    golden(f"{name}.{language}.sql", rendered(name, language))


@pytest.mark.parametrize("name", REQUESTS)
def test_athena_reads_what_was_written(name: str) -> None:
    """The text of each golden file is that of the trees it is read as."""
    file = (GOLDEN / f"{name}.athena.sql").read_text("utf-8")
    trees = [tree for tree in sqlglot.parse(file, read="athena") if tree is not None]

    assert all(isinstance(tree, exp.Query) for tree in trees)
    assert [text(tree, "athena") for tree in trees] == [  # type: ignore[arg-type]
        text(statement.query, "athena") for statement in statements(planned(name))
    ]


@pytest.mark.parametrize("name", REQUESTS)
def test_duckdb_takes_what_was_written(name: str) -> None:
    """Every name is found and every type fits, over empty tables of the right columns."""
    with duckdb.connect(config={**dialect.SETTINGS}) as connection:
        for macro in dialect.MACROS:
            connection.execute(macro)
        for table, columns in columns_of(name).items():
            _create_empty(connection, table, columns)
        for query in in_duckdb(name):
            latest = query.copy()
            for node in latest.find_all(exp.Table):
                node.set("version", None)
            connection.execute(f"EXPLAIN {latest.sql('duckdb', identify=True)}")


def _create_empty(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str]
) -> None:
    schema = exp.Schema(
        this=exp.to_table(table),
        expressions=[
            exp.ColumnDef(
                this=exp.to_identifier(name, quoted=True),
                kind=exp.DataType.build(kind, dialect="athena"),
            )
            for name, kind in columns.items()
        ],
    )
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {table.partition('.')[0]}")
    connection.execute(exp.Create(this=schema, kind="TABLE").sql("duckdb"))


def test_no_golden_file_is_left_over() -> None:
    """Each belongs to a plan that is still rendered."""
    expected = {f"{name}.{language}.sql" for name in REQUESTS for language in ("athena", "duckdb")}

    assert {file.name for file in GOLDEN.glob("*.sql")} == expected

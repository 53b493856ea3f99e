"""Declarations are checked all at once, in words a person can act on."""

from __future__ import annotations

from copy import deepcopy
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from statsig_staging import config
from statsig_staging.config import (
    AssignmentSource,
    AthenaConnection,
    CountMetric,
    Experiment,
    LocalConnection,
    MeanMetric,
    MetricSource,
    Partition,
    Problem,
    Project,
    RatioMetric,
    SumMetric,
    UnitCountMetric,
    parse_project,
)
from statsig_staging.errors import ConfigError

PROJECT: dict[str, Any] = {
    "connection": {
        "warehouse": "local",
        "sources": {"shop.exposures": "data/exposures/*.parquet", "shop.events": ["a/*", "b/*"]},
    },
    "assignment_sources": [
        {
            "name": "exposures",
            "table": '"shop"."exposures"',
            "timestamp": "exposed_at",
            "experiment_id": "experiment_id",
            "group_id": "group_id",
            "units": {"user_id": "user_id", "device_id": "stable_id"},
        }
    ],
    "metric_sources": [
        {
            "name": "events",
            "table": "shop.events",
            "timestamp": "ts",
            "units": {"user_id": "user_id"},
            "columns": {"usd": "amount_cents / 100.0"},
        },
        {
            "name": "visits",
            "sql": "SELECT * FROM shop.visits WHERE ds >= {statsig_start_date}",
            "timestamp": "ts",
            "units": {"user_id": "user_id", "device_id": "device"},
        },
    ],
    "metrics": [
        {"name": "purchases", "type": "count", "source": "events", "filter": "kind = 'purchase'"},
        {"name": "revenue", "type": "sum", "source": "events", "value": "usd"},
        {"name": "order_value", "type": "mean", "source": "events", "value": "usd"},
        {"name": "purchasers", "type": "unit_count", "source": "events"},
        {
            "name": "revenue_per_visit",
            "type": "ratio",
            "numerator": {"type": "sum", "source": "events", "value": "usd"},
            "denominator": {"type": "count", "source": "visits"},
        },
    ],
    "experiments": [
        {
            "id": "123",
            "assignment_source": "exposures",
            "unit": "user_id",
            "start": "2026-01-01",
            "end": date(2026, 1, 31),
            "groups": ["control", "test"],
            "control": "control",
            "metrics": ["purchases", "revenue_per_visit"],
        }
    ],
}
ATHENA = {"warehouse": "athena", "region": "us-east-1", "bucket": "my-bucket"}
HOSTILE = ['"; DROP TABLE t; --', "it's", "/* x */", "世界 🎉", "a b.c[0]", "{x} ${y}", "x" * 1_000]


def make_data(**changes: object) -> dict[str, Any]:
    """Return a project's data; ``metrics__0__name`` changes what lies at that path."""
    data = deepcopy(PROJECT)
    for path, value in changes.items():
        *parents, last = [int(step) if step.isdigit() else step for step in path.split("__")]
        target: Any = data
        for step in parents:
            target = target[step]
        target[last] = value
    return data


def problems(data: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_project(data, root=Path())
    return list(caught.value.problems)


def make_experiment(**changes: object) -> Experiment:
    return Experiment.model_validate(PROJECT["experiments"][0] | changes)


def test_the_contract_is_accepted() -> None:
    """The documented shape is read into frozen, typed values."""
    project = Project.model_validate(PROJECT)

    assert isinstance(project.connection, LocalConnection)
    assert project.connection.sources == {
        "shop.exposures": ("data/exposures/*.parquet",),
        "shop.events": ("a/*", "b/*"),
    }
    kinds = [CountMetric, SumMetric, MeanMetric, UnitCountMetric, RatioMetric]
    assert [type(metric) for metric in project.metrics] == kinds
    assert project.experiments[0].start == date(2026, 1, 1)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(project, "root", Path("x"))  # noqa: B010


def test_defaults_are_the_documented_ones() -> None:
    """What is left out has its documented value."""
    local = LocalConnection(warehouse="local")
    athena = AthenaConnection.model_validate(ATHENA)
    source = AssignmentSource.model_validate(PROJECT["assignment_sources"][0])

    assert (local.path, local.folder, local.database) == ("warehouse", "statsig", "statsig_staging")
    assert (local.forwarded_exposures, local.forwarded_events) == ("exposures", "events")
    assert (local.keep_loads, local.threads, local.memory_limit) == (3, None, None)
    assert (athena.price_per_tb, athena.max_concurrent_queries, athena.workgroup) == (
        5,
        10,
        "primary",
    )
    assert (source.lookback_days, source.on_unseen_change, source.context) == (2, "warn", {})
    assert Partition(column="ds") == Partition(column="ds", early=0, late=0, format=None)


def test_a_project_of_instances_is_accepted() -> None:
    """Models may be given instead of plain dicts."""
    parsed = Project.model_validate(PROJECT)

    assert parsed == Project(
        connection=parsed.connection,
        assignment_sources=parsed.assignment_sources,
        metric_sources=parsed.metric_sources,
        metrics=parsed.metrics,
        experiments=parsed.experiments,
    )


def test_lists_may_be_left_out() -> None:
    """A connection alone is a project."""
    project = Project.model_validate({"connection": {"warehouse": "local"}})

    assert project.experiments == ()


def test_validation_errors_are_pydantics_with_places() -> None:
    """``model_validate`` raises pydantic's own error, one entry for each mistake, with its place."""
    with pytest.raises(ValidationError) as caught:
        Project.model_validate(make_data(metrics__0__source="evnts", connection__threads=0))

    places = [details["loc"] for details in caught.value.errors()]
    assert places == [("connection", "threads"), ("metrics", 0, "source")]


def test_all_mistakes_are_reported_at_once() -> None:
    """Mistakes of every kind, in every list, come in one error."""
    data = make_data(
        connection__threads="many",
        assignment_sources__0__timestmp="x",
        metric_sources__0__columns__usd="sum(x)",
        metric_sources__1__sql="DROP TABLE t",
        metrics__0__filter="a; DROP TABLE t",
        metrics__4__denominator__source="visit",
        experiments__0__end="2025-12-31",
        experiments__0__control="contrl",
        experiments__0__metrics=["purchase", "revenue"],
    )

    found = problems(data)

    assert [line.split(":")[0] for line in found] == [
        "connection.threads",
        "assignment_sources[0].timestmp",
        "metric_sources[0].columns.usd",
        "metric_sources[1].sql",
        "metrics[0].filter",
        "experiments[0].end",
        "experiments[0].control",
        "metrics[4].denominator.source",
        "experiments[0].metrics[0]",
    ]
    assert [line.split("; ")[-1] for line in found if "did you mean" in line] == [
        "did you mean 'timestamp'?",
        "did you mean 'control'?",
        "did you mean 'visits'?",
        "did you mean 'purchases'?",
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"foo": 1}, "foo: unknown key"),
        ({"metric": []}, "metric: unknown key; did you mean 'metrics'?"),
        ({"entity_sources": []}, "entity_sources: option 'entity_sources' is not supported yet"),
        ({"connection": None}, "connection: is required; say at least warehouse: local"),
        ({"connection": "local"}, "connection: should be a mapping of keys to values"),
        ({"metrics": "purchases"}, "metrics: should be a list"),
        ({"metrics__0": "purchases"}, "metrics[0]: should be a mapping of keys to values"),
        (
            {"connection__warehouse": "locl"},
            "connection.warehouse: unknown warehouse 'locl'; it is athena or local;"
            " did you mean 'local'?",
        ),
        (
            {"connection__memory_limt": "4GB"},
            "connection.memory_limt: unknown key; did you mean 'memory_limit'?",
        ),
        (
            {"metric_sources__0__partition": {"colum": "ds", "column": "ds"}},
            "metric_sources[0].partition.colum: unknown key; did you mean 'column'?",
        ),
        (
            {"metrics__4__numerator__valu": "x"},
            "metrics[4].numerator.valu: unknown key; did you mean 'value'?",
        ),
        (
            {"metrics__0__value": "x"},
            "metrics[0].value: unknown key",
        ),
        (
            {"connection__sources": {"events": "x"}},
            'connection.sources.events: is not a table; write database.table or "database"."table"',
        ),
        (
            {"experiments__0__assignment_source": "exposure"},
            "experiments[0].assignment_source: there is no assignment source 'exposure';"
            " did you mean 'exposures'?",
        ),
        (
            {"experiments__0__assignment_source": "events"},
            "experiments[0].assignment_source: there is no assignment source 'events'",
        ),
        (
            {"experiments__0__unit": "user"},
            "experiments[0].unit: assignment source 'exposures' has no unit type 'user';"
            " did you mean 'user_id'?",
        ),
        (
            {"experiments__0__unit": "device_id"},
            "experiments[0].metrics[0]: metric source 'events' has no unit type 'device_id'",
        ),
    ],
)
def test_a_mistake_is_said_in_one_line(changes: dict[str, object], expected: str) -> None:
    """Each mistake has its path, what is wrong, and the nearest right name."""
    assert expected in problems(make_data(**changes))


@pytest.mark.parametrize(
    ("path", "name", "second", "first"),
    [
        ("metrics__1__name", "purchases", "metrics[1]", "metrics[0]"),
        ("metric_sources__1__name", "events", "metric_sources[1]", "metric_sources[0]"),
        ("assignment_sources__0__name", "events", "metric_sources[0]", "assignment_sources[0]"),
    ],
)
def test_names_are_unique(path: str, name: str, second: str, first: str) -> None:
    """No two metrics share a name, and no two sources of either kind."""
    expected = f"{second}.name: duplicate name {name!r}; see {first}.name"

    assert expected in problems(make_data(**{path: name}))


def test_experiment_ids_are_unique_as_text() -> None:
    """The ids 123 and "123" are the same."""
    data = make_data()
    data["experiments"].append(data["experiments"][0] | {"id": 123})

    assert problems(data) == ["experiments[1].id: duplicate name '123'; see experiments[0].id"]


def test_an_unknown_metric_type_suggests_one() -> None:
    """A misspelled type gets the nearest supported one."""
    [line] = problems(make_data(metrics__0__type="cuont"))

    assert line.startswith("metrics[0].type: unknown metric type 'cuont'; supported: ")
    assert line.endswith("; did you mean 'count'?")


@pytest.mark.parametrize(
    ("context", "told"),
    [
        ({"device": "d", "country": "c"}, "it has device, country; did you mean 'device'?"),
        ({}, "it has none"),
    ],
)
def test_a_dimension_is_a_context_column(context: dict[str, str], told: str) -> None:
    """Any other name is refused where an experiment has the metric, with those that there are."""
    data = make_data(
        metrics__0__dimensions=["devise", "usd"], assignment_sources__0__context=context
    )
    metric, source = data["metrics"][0]["name"], data["assignment_sources"][0]["name"]
    found = problems(data)

    assert found[0] == (
        f"experiments[0].metrics[0]: metric {metric!r} has dimension 'devise', which is no context "
        f"column of assignment source {source!r}: {told}; a column of the metric's source goes under "
        "metric_dimensions"
    )
    assert "dimension 'usd', which is no context column" in found[1]
    assert len(found) == 2


@pytest.mark.parametrize(
    ("dimensions", "told"),
    [(["device", "device"], "lists 'device' twice"), (["step"], "'step' is kept for the steps of")],
)
def test_dimensions_that_no_results_can_have(dimensions: list[str], told: str) -> None:
    """Rows of one name twice could not be told apart."""
    context = {"device": "d", "step": "s"}
    data = make_data(metrics__0__dimensions=dimensions, assignment_sources__0__context=context)

    [line] = problems(data)
    assert line.startswith(f"metrics[0].dimensions: {told}")


def test_a_window_of_a_retention_begins_after_its_start() -> None:
    """A day is no return to itself, so a window has at most the days from the next one on."""
    retention = {"name": "back", "type": "retention", "source": "events", "end": 7, "length": 8}
    data = make_data()
    data["metrics"].append(retention)

    assert problems(data) == [
        f"metrics[{len(data['metrics']) - 1}].length: length 8 is more than end 7"
    ]


STEPS: list[dict[str, Any]] = [{"source": "events"}, {"source": "events", "filter": "amount > 0"}]


@pytest.mark.parametrize(
    ("funnel", "problem"),
    [
        ({"steps": STEPS[:1]}, ": a funnel has at least two steps; the exposure may be one"),
        (
            {"steps": [STEPS[0] | {"window": {"end": 1}}, STEPS[1]]},
            ": the first step has no window: no step comes before it",
        ),
        ({"steps": [STEPS[0], {"source": "evnts"}]}, ".steps[1].source: there is no metric source"),
        (
            {"steps": [STEPS[0] | {"session": "id"}, STEPS[1]]},
            ": step 2 has no session, and others have: give it to the funnel",
        ),
        (
            {"steps": STEPS, "session": "id", "exposure_as_first_step": True},
            ": session does not go with exposure_as_first_step, which is of none",
        ),
        ({"steps": STEPS, "session": "sum(id)"}, ".session: "),
        ({"steps": STEPS, "allowance_ms": -1}, ".allowance_ms: "),
        ({"steps": STEPS, "within": {"start": 1, "end": 2}}, ".within.start: unknown key"),
    ],
)
def test_a_funnel_has_steps_that_follow_one_another(funnel: dict[str, Any], problem: str) -> None:
    """What no funnel can mean is refused."""
    data = make_data()
    data["metrics"].append({"name": "funnel", "type": "funnel", **funnel})
    [line] = problems(data)

    assert line.startswith(f"metrics[{len(data['metrics']) - 1}]{problem}")


def test_a_funnel_may_begin_with_the_exposure() -> None:
    """Then one step more is enough, and it may have a window."""
    data = make_data()
    steps = [STEPS[0] | {"window": {"end": 1}}]
    first = {"exposure_as_first_step": True}
    data["metrics"].append({"name": "funnel", "type": "funnel", "steps": steps, **first})
    project = config.parse_project(data, root=Path())

    assert project.metrics[-1].name == "funnel"


def test_a_side_of_a_ratio_is_no_funnel() -> None:
    """What has no number of its own is no side of a ratio."""
    [line] = problems(make_data(metrics__4__numerator__type="funnel"))

    assert "unknown component type 'funnel'; supported: count, " in line


def test_unknown_metrics_fail_outside_a_project_too() -> None:
    """Reading one metric alone gives the same message."""
    with pytest.raises(ValidationError, match="unknown metric type 'funnels'; supported: "):
        TypeAdapter(config.Metric).validate_python({"name": "a", "type": "funnels"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table": None}, "exactly one of table and sql"),
        ({"sql": "SELECT 1"}, "exactly one of table and sql"),
        ({"table": "events"}, "is not a table"),
        ({"units": {}}, "is empty"),
        ({"units": {"": "x"}}, "is empty"),
        ({"timestamp": ""}, "is empty"),
        ({"timestamp": "a\nb"}, "control character"),
        ({"lookback_days": -1}, "greater than or equal to 0"),
        ({"lookback_days": True}, "should be a number"),
        ({"on_unseen_change": "ignore"}, "'warn', 'refresh' or 'fail'"),
        ({"columns": {"usd": "a AS b"}}, "holds an alias"),
        ({"columns": {"usd": "(SELECT 1)"}}, "holds a subquery"),
        ({"partition": {"column": "ds", "late": -1}}, "greater than or equal to 0"),
        ({"partition": {"early": 1}}, "is required"),
    ],
)
def test_a_source_is_checked(changes: dict[str, object], message: str) -> None:
    """What a source says is checked when it is read."""
    data = make_data()
    data["metric_sources"][0] |= changes

    assert message in "\n".join(problems(data))


def test_a_partition_goes_with_a_table() -> None:
    """A query has macros instead of a partition."""
    [line] = problems(make_data(metric_sources__1__partition={"column": "ds"}))

    assert line.startswith("metric_sources[1].partition: goes with table")


@pytest.mark.parametrize("name", ["ds", "GROUP_ID", "first_exposure", "unit_id"])
def test_context_names_leave_our_columns_alone(name: str) -> None:
    """A context column may not take the name of a column that the tables have already."""
    [line] = problems(make_data(assignment_sources__0__context={name: "x"}))

    assert "is a column of the staging tables" in line


@pytest.mark.parametrize("name", HOSTILE)
def test_names_have_any_characters(name: str) -> None:
    """Names of columns, units, groups, metrics and experiments are taken as they are."""
    data = make_data(
        assignment_sources__0__timestamp=name,
        experiments__0__id=name,
        experiments__0__groups=[name, "other"],
        experiments__0__control=name,
        experiments__0__metrics=[name],
        metrics__0__name=name,
    )

    project = parse_project(data, root=Path())

    assert project.assignment_sources[0].timestamp == name
    assert project.experiment(name).groups == (name, "other")
    assert project.metric(name).name == name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": ""}, "is empty"),
        ({"id": "x" * 1_001}, "longer than 1,000"),
        ({"id": "a\x00b"}, "control character"),
        ({"id": "a\nb"}, "control character"),
        ({"id": "a\u2028b"}, "control character"),
        ({"id": True}, "put it in quotes"),
        ({"id": 1.5}, "put it in quotes"),
        ({"id": date(2026, 1, 1)}, "put it in quotes"),
        ({"start": "2026-02-01"}, "start 2026-02-01 is after end 2026-01-31"),
        ({"start": "01.02.2026"}, "should be a date like 2026-01-31"),
        ({"start": 20260101}, "should be a date like 2026-01-31"),
        ({"start": "20260101"}, "should be a date like 2026-01-31"),
        ({"start": datetime(2026, 1, 1)}, "should be a date like 2026-01-31"),  # noqa: DTZ001
        ({"start": "2026-02-30"}, "date"),
        ({"groups": []}, "is empty"),
        ({"groups": ["control", "control"]}, "lists 'control' twice"),
        ({"groups": ["1", 1, "control"]}, "lists '1' twice"),
        ({"groups": ["a"]}, "'control' is not one of the groups"),
        ({"metrics": ["revenue", "revenue"]}, "lists 'revenue' twice"),
        ({"crossover": "drop"}, "'exclude' or 'first_group'"),
    ],
)
def test_an_experiment_is_checked(changes: dict[str, object], message: str) -> None:
    """What an experiment says is checked when it is read."""
    data = make_data()
    data["experiments"][0] |= changes

    assert message in "\n".join(problems(data))


def test_numbers_are_names() -> None:
    """Ids and groups may be numbers; they count as their digits."""
    experiment = make_experiment(id=7, groups=[0, 1], control=0)

    assert (experiment.id, experiment.groups, experiment.control) == ("7", ("0", "1"), "0")


def test_a_single_day_is_an_experiment() -> None:
    """Start and end may be the same day."""
    assert make_experiment(end="2026-01-01").end == date(2026, 1, 1)


def test_a_control_needs_no_groups() -> None:
    """Without a list of groups any control is accepted."""
    assert make_experiment(groups=None, control="anything").control == "anything"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1 TB", 10**12),
        ("10TB", 10**13),
        ("1 TiB", 2**40),
        ("1.5 GB", 1_500_000_000),
        ("500 mb", 500_000_000),
        ("1024", 1024),
        (2048, 2048),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_sizes_are_bytes(written: str | int, expected: int) -> None:
    """A size is text with a unit, or a number of bytes."""
    connection = AthenaConnection.model_validate(ATHENA | {"max_bytes_per_query": written})

    assert connection.max_bytes_per_query == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_bytes_per_load": "lots"}, "should be a size like 10 GB"),
        ({"max_bytes_per_load": "-1 GB"}, "should be a size like 10 GB"),
        ({"max_bytes_per_load": "1 XB"}, "should be a size like 10 GB"),
        ({"max_bytes_per_load": True}, "should be a size like 10 GB"),
        ({"max_bytes_per_load": "0 GB"}, "greater than or equal to 1"),
        ({"price_per_tb": -1}, "greater than or equal to 0"),
        ({"price_per_tb": "inf"}, "finite"),
        ({"max_concurrent_queries": 0}, "greater than or equal to 1"),
        ({"region": "Mars"}, "should look like us-east-1"),
        ({"bucket": "My_Bucket"}, "should look like my-bucket"),
        ({"query_results": "http://x"}, "should look like s3://bucket/prefix/"),
        ({"role_arn": "role"}, "should look like arn:aws:iam"),
        ({"endpoint_url": "localhost:5000"}, "should look like https://host:port"),
        ({"external_id": "x"}, "goes with role_arn"),
        ({"folder": "../x"}, "should be a folder name"),
        ({"folder": "/x"}, "should be a folder name"),
        ({"database": 'x"; DROP'}, "should look like statsig_staging"),
        ({"read_only": [{"database": "shop", "locations": ["shop/"]}]}, "should look like s3://"),
        ({"read_only": [{"databse": "shop"}]}, "did you mean 'database'"),
        ({"region": None}, "should be a valid string"),
        ({"memory_limit": "4GB"}, "unknown key"),
    ],
)
def test_an_athena_connection_is_checked(changes: dict[str, object], message: str) -> None:
    """What a connection to AWS says is checked when it is read."""
    assert message in "\n".join(problems({"connection": ATHENA | changes}))


def test_every_field_of_athena_is_accepted() -> None:
    """The documented connection to AWS is read."""
    connection = AthenaConnection.model_validate(
        ATHENA
        | {
            "folder": "statsig/sub",
            "query_results": "s3://my-bucket/athena-results/",
            "role_arn": "arn:aws:iam::123456789012:role/statsig-staging",
            "external_id": "x y",
            "kms_key": "arn:aws:kms:us-east-1:123456789012:key/abc",
            "endpoint_url": "http://127.0.0.1:5000",
            "read_only": [{"database": "shop", "locations": ["s3://company-lake/shop/"]}],
            "max_bytes_per_query": "1 TB",
            "max_bytes_per_load": "10 TB",
            "max_bytes_per_statement": "2 TB",
            "price_per_tb": 6.25,
            "max_concurrent_queries": 5,
            "trusted_principal": "arn:aws:iam::123456789012:root",
            "keep_loads": 2,
        }
    )

    assert connection.max_bytes_per_statement == 2 * 10**12
    assert connection.read_only[0].locations == ("s3://company-lake/shop/",)


@pytest.mark.parametrize("limit", ["4", "GB", "4 XB", "80%", "0GB", "4GB; DROP"])
def test_a_memory_limit_is_a_number_and_a_unit(limit: str) -> None:
    """Anything else is refused before it reaches the engine."""
    [line] = problems(make_data(connection__memory_limit=limit))

    assert line == "connection.memory_limit: should be a number and a unit, like 4GB"


def test_quoted_source_names_are_the_plain_ones() -> None:
    """A source's key may be quoted; twice the same table is a mistake."""
    connection = LocalConnection.model_validate(
        {"warehouse": "local", "sources": {'"shop"."events"': "x"}}
    )

    assert connection.sources == {"shop.events": ("x",)}
    with pytest.raises(ValidationError, match="one table twice"):
        LocalConnection.model_validate(
            {"warehouse": "local", "sources": {'"shop"."events"': "x", "Shop.events": "y"}}
        )


def test_lookups_return_what_they_name() -> None:
    """Experiments, sources and metrics are found by name."""
    project = Project.model_validate(PROJECT)

    assert project.experiment("123") is project.experiments[0]
    assert project.assignment_source("exposures") is project.assignment_sources[0]
    assert project.metric_source("visits") is project.metric_sources[1]
    assert project.metric("revenue") is project.metrics[1]


@pytest.mark.parametrize(
    ("lookup", "name", "message"),
    [
        ("experiment", "124", "the project has no experiment '124'; did you mean '123'?"),
        ("assignment_source", "exposure", "did you mean 'exposures'?"),
        ("metric_source", "zzz", "the project has no metric source 'zzz'"),
        ("metric", "revenu", "did you mean 'revenue'?"),
    ],
)
def test_lookups_suggest_the_nearest_name(lookup: str, name: str, message: str) -> None:
    """A name that the project lacks is a ConfigError with the nearest one."""
    project = Project.model_validate(PROJECT)

    with pytest.raises(ConfigError) as caught:
        getattr(project, lookup)(name)

    assert message in str(caught.value)


def test_origins_name_places_in_files() -> None:
    """A place is called what the caller calls it, with the rest of the path behind."""
    data = make_data(metrics__0__source="evnts")

    with pytest.raises(ConfigError) as caught:
        parse_project(data, root=Path(), origins={("metrics", 0): "more.yml: metrics[4]"})

    assert caught.value.problems == (
        "more.yml: metrics[4].source: there is no metric source 'evnts'; did you mean 'events'?",
    )


def test_known_problems_are_not_reported_twice() -> None:
    """What lies below the place of a known problem is left out."""
    found = [Problem(("metrics", 0), "is unreadable")]

    with pytest.raises(ConfigError) as caught:
        parse_project(make_data(metrics__0__source="evnts"), root=Path(), found=found)

    assert caught.value.problems == ("metrics[0]: is unreadable",)


def test_messages_are_single_lines() -> None:
    """A hostile name cannot break a message into two."""
    found = problems(make_data(metrics__0__source="a\nb", experiments__0__unit="x\r\ny"))

    assert found
    assert not [line for line in found if "\n" in line or "\r" in line]


def test_names_are_compared_among_wrong_entries_too() -> None:
    """A reference to an entry with a mistake is no second mistake."""
    assert problems(make_data(metrics__0__filter="sum(x)")) == [
        "metrics[0].filter: holds an aggregate; write one plain expression over one row"
    ]


def test_sources_are_typed() -> None:
    """Both kinds of source take a query; only metric sources take aliases."""
    source = MetricSource.model_validate(PROJECT["metric_sources"][1])

    assert source.table is None
    with pytest.raises(ValidationError, match="columns"):
        AssignmentSource.model_validate(PROJECT["assignment_sources"][0] | {"columns": {"a": "b"}})


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (
            {"type": "count", "window": {"start": 3, "end": 2}},
            "window.end: end 2 is before start 3",
        ),
        (
            {"type": "count", "window": {"end": -1}},
            "window.end: should be greater than or equal to 0",
        ),
        ({"type": "count", "cap": 0}, "cap: should be greater than 0"),
        ({"type": "count", "threshold": 1, "log": True}, "log does not go with threshold"),
        (
            {"type": "count", "threshold": 1, "winsorize": {}},
            "threshold does not go with winsorize",
        ),
        ({"type": "count", "log": True, "cuped": {"days": 7}}, "log does not go with cuped"),
        (
            {"type": "count", "cuped": {"days": 0}},
            "cuped.days: should be greater than or equal to 1",
        ),
        (
            {"type": "count", "cuped": {"days": 7, "dyas": 7}},
            "cuped.dyas: unknown key; did you mean 'days'?",
        ),
        (
            {"type": "count", "winsorize": {"low": 0.9, "high": 0.5}},
            "winsorize.high: high 0.5 is not above low 0.9",
        ),
        (
            {"type": "count", "winsorize": {"high": 99.9}},
            "winsorize.high: should be less than or equal to 1",
        ),
        ({"type": "unit_count", "rollup": "window"}, "rollup window needs a window"),
        (
            {"type": "unit_count", "rollup": "daily", "window": {"end": 1}},
            "rollup daily does not go with window",
        ),
        ({"type": "unit_count", "rollup": "latest"}, "rollup latest needs a filter"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_option_that_makes_no_sense_is_refused(metric: dict[str, Any], message: str) -> None:
    """Where it stands, and why."""
    data = make_data()
    data["metrics"].append({"name": "x", "source": "events", **metric})

    [line] = problems(data)

    assert line.startswith("metrics[5]")
    assert line.endswith(message)


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ("nothing", "there is no metric 'nothing'"),
        ("order_value", "metric 'order_value' is a mean, which no composite takes"),
        ("revenue_per_visit", "metric 'revenue_per_visit' is a ratio, which no composite takes"),
    ],
)
def test_a_composite_takes_metrics_of_one_number(term: str, message: str) -> None:
    """A sum of a mean would be no unit's value."""
    data = make_data()
    terms = [{"metric": term, "sign": "-1"}]
    data["metrics"].append({"name": "x", "type": "composite", "terms": terms})

    [line] = problems(data)

    assert line.startswith("metrics[5].terms[0].metric: ")
    assert message in line


def test_a_composite_needs_the_units_of_its_terms() -> None:
    """It reads the sources that they read."""
    data = make_data(experiments__0__unit="stable_id")
    data["assignment_sources"][0]["units"]["stable_id"] = "stable_id"
    data["metrics"].append({"name": "x", "type": "composite", "terms": [{"metric": "revenue"}]})
    data["experiments"][0]["metrics"] = ["x"]

    [line] = problems(data)

    assert "metric source 'events' has no unit type 'stable_id'" in line

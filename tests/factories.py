"""Small builders of what the tests need; every argument has a default that says nothing special."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
from sqlglot import exp

from statsig_staging.config import Project
from statsig_staging.names import TableName
from statsig_staging.plan import Batch, Column, ColumnType, Plan, Refresh, Step, Table, Write
from statsig_staging.planner import LoadRequest, build_plan
from statsig_staging.sources import Observation, SourceFile, TableObservation
from statsig_staging.state import Published, SourceState
from statsig_staging.warehouses.base import TableVersion, Traits

ASSIGNMENT_SOURCE: dict[str, Any] = {
    "name": "exposures",
    "table": "shop.exposures",
    "timestamp": "exposed_at",
    "experiment_id": "experiment_id",
    "group_id": "group_id",
    "units": {"user_id": "user_id"},
}
METRIC_SOURCE: dict[str, Any] = {
    "name": "events",
    "table": "shop.events",
    "timestamp": "ts",
    "units": {"user_id": "user_id"},
    "columns": {"usd": "amount_cents / 100.0"},
}
PURCHASES: dict[str, Any] = {
    "name": "purchases",
    "type": "count",
    "source": "events",
    "filter": "kind = 'purchase'",
}
REVENUE: dict[str, Any] = {"name": "revenue", "type": "sum", "source": "events", "value": "usd"}
EXPERIMENT: dict[str, Any] = {
    "id": "123",
    "assignment_source": "exposures",
    "unit": "user_id",
    "start": "2026-01-01",
}
COLUMNS: dict[str, dict[str, str]] = {
    "exposures": {
        "exposed_at": "timestamp(6)",
        "experiment_id": "varchar",
        "group_id": "varchar",
        "user_id": "varchar",
    },
    "events": {
        "ts": "timestamp(6)",
        "user_id": "varchar",
        "kind": "varchar",
        "amount_cents": "bigint",
    },
}
"""Source → its columns, by their Athena types."""


def day(number: int) -> date:
    """Return a day of January 2026."""
    return date(2026, 1, number)


def days(*numbers: int) -> tuple[date, ...]:
    """Return days of January 2026."""
    return tuple(map(day, numbers))


def make_project(
    *,
    metrics: Iterable[Mapping[str, Any]] = (PURCHASES,),
    assignment_source: Mapping[str, Any] | None = None,
    metric_source: Mapping[str, Any] | None = None,
    **experiment: Any,
) -> Project:
    """Return a project with one experiment, ``123``, that has all of ``metrics``.

    Args:
        metrics: The metrics.
        assignment_source: What is different about the assignment source.
        metric_source: What is different about the metric source ``events``.
        experiment: What is different about the experiment.
    """
    chosen = [dict(metric) for metric in metrics]
    return Project.model_validate(
        {
            "connection": {"warehouse": "local"},
            "assignment_sources": [ASSIGNMENT_SOURCE | dict(assignment_source or {})],
            "metric_sources": [METRIC_SOURCE | dict(metric_source or {})],
            "metrics": chosen,
            "experiments": [
                {**EXPERIMENT, "metrics": [metric["name"] for metric in chosen], **experiment}
            ],
        }
    )


def make_file(path: str = "file", *numbers: int, **changes: Any) -> SourceFile:
    """Return a file that holds these days of January 2026."""
    file = SourceFile(
        path=path,
        size=100,
        modified_ns=1,
        changed_ns=1,
        rows=10,
        columns={},
        days=days(*numbers),
    )
    return replace(file, **changes)


def make_observation(source: str, *files: SourceFile, **changes: Any) -> Observation:
    """Return what a source of the project holds: one table with these files."""
    columns = COLUMNS[source]
    dated = changes.get("dated", True)
    table = TableObservation(table=f"shop.{source}", columns=columns, files=files, dated=dated)
    observation = Observation(source=source, columns=columns, tables=(table,), dated=True)
    return replace(observation, **changes)


def daily(source: str, *numbers: int, **changes: Any) -> Observation:
    """Return a source that has one file for each of these days."""
    files = [make_file(f"{source}/{number}", number) for number in numbers]
    return make_observation(source, *files, **changes)


def make_request(
    *observations: Observation,
    project: Project | None = None,
    published: Published | None = None,
    **changes: Any,
) -> LoadRequest:
    """Return a request to load experiment ``123`` through 3 January, a week later.

    What is not observed holds one file for each of the three days.
    """
    project = project or make_project()
    request = LoadRequest(
        project=project,
        experiment=project.experiment("123"),
        refresh=Refresh.INCREMENTAL,
        through=day(3),
        today=day(10),
        observations={
            **{name: daily(name, 1, 2, 3) for name in COLUMNS},
            **{observation.source: observation for observation in observations},
        },
        published=published,
        traits=Traits(days_per_statement=1),
    )
    return replace(request, **changes)


def make_version(snapshot_id: int = 1) -> TableVersion:
    """Return a version of a table."""
    return TableVersion(
        snapshot_id=snapshot_id, metadata_location=f"v{snapshot_id}.json", tag="load-a"
    )


def make_published(**changes: Any) -> Published:
    """Return a published load through 3 January."""
    load = Published(
        load_id="a",
        number=1,
        published_at=datetime(2026, 1, 10, 4, tzinfo=UTC),
        refresh="full",
        start=day(1),
        through=day(3),
        watermark=day(4),
        definitions={},
        totals_through=None,
        sources={},
        tables={},
    )
    return replace(load, **changes)


def published_by(request: LoadRequest) -> Published:
    """Return the load that a first load of ``request`` publishes."""
    plan = build_plan(request)
    return make_published(
        through=plan.through,
        watermark=plan.watermark,
        definitions=plan.definitions,
        sources={
            name: SourceState(fingerprint=seen.fingerprint(), days=seen.digests())
            for name, seen in plan.observations.items()
        },
        tables={
            step.action.target.name.catalog: make_version(number)
            for number, step in enumerate(plan.steps, start=1)
            if isinstance(step.action, Write)
        },
    )


def make_table(name: str = "units", *columns: str) -> Table:
    """Return a staging table of strings."""
    return Table(
        name=TableName(catalog=f"{name}_123", folder=name),
        experiment_id="123",
        columns=tuple(Column(column, ColumnType.STRING) for column in columns),
    )


def make_batch(*numbers: int) -> Batch:
    """Return a statement that fills the partitions of these days."""
    return Batch(select=exp.select("1"), partitions=days(*numbers))


def make_plan(*steps: Step) -> Plan:
    """Return a plan of these steps."""
    return Plan(
        experiment_id="123",
        refresh=Refresh.FULL,
        reason="",
        start=day(1),
        through=day(3),
        watermark=day(4),
        steps=steps,
        readings=(),
        warnings=(),
        definitions={},
        totals_through=None,
    )


def one_value(value: object) -> pa.Table:
    """Return the answer of a query with one row and one column."""
    return pa.table({"value": [value]})

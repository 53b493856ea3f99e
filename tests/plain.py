"""A plain experiment for tests that are about time, space and other processes: no traps in its rows."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path

import statsig_staging as staging
from tests import oracle, strategies
from tests.edits import Definitions
from tests.oracle import Event, Exposure
from tests.strategies import Draft, Layout, Scenario, Side
from tests.worlds import NOW, World, read_tables

START = date(2024, 6, 3)
GROUPS = ("control", "test")

AMOUNT = strategies.VALUES[0]
REVENUE = Draft(
    name="revenue", type="sum", sides=(Side(kind="sum", source="events", value=AMOUNT),)
)
PURCHASES = Draft(name="purchases", type="count", sides=(Side(kind="count", source="events"),))
ORDERS = Draft(name="orders", type="count", sides=(Side(kind="count", source="orders"),))
ORDER_VALUE = Draft(
    name="order_value", type="mean", sides=(Side(kind="sum", source="orders", value=AMOUNT),)
)


def day(number: int) -> date:
    """Return a day, counted from the start."""
    return START + timedelta(days=number)


def at(number: int, hour: float) -> datetime:
    """Return a moment: hours after the beginning of a day, counted from the start."""
    return datetime.combine(START, time()) + timedelta(days=number, hours=hour)


def exposure(unit: str, group: str, number: int, hour: float) -> Exposure:
    return Exposure(unit, group, "123", at(number, hour), {}, day(number))


def event(unit: str, number: int, hour: float, amount: float) -> Event:
    fields = {"event_name": "purchase", "amount": amount, "qty": 1, "flag": True}
    return Event(unit, at(number, hour), fields, day(number))


def definitions(
    *metrics: Draft,
    sources: Iterable[str] = ("events",),
    layout: Layout = "one file per day",
    partition: oracle.PartitionRule | None = None,
) -> Definitions:
    """Return an experiment without an end, with these metrics."""
    scenario = Scenario(
        experiment=oracle.Experiment(id="123", start=START),
        control="control",
        through=day(3),
        assignment=strategies.AssignmentSource(
            rows=(),
            layout=layout,
            partition=partition,
            columns=strategies.ASSIGNMENT_COLUMNS[0],
            integer_units=False,
            integer_groups=False,
            split_seed=0,
        ),
        sources={name: metric_source(name, layout, partition) for name in sources},
        metric_definitions=(),
        threads=1,
    )
    return Definitions(scenario, metrics or (REVENUE, PURCHASES), ())


def metric_source(
    name: str, layout: Layout, partition: oracle.PartitionRule | None
) -> strategies.MetricSource:
    return strategies.MetricSource(
        name=name,
        rows=(),
        clock="timestamp",
        declared_date=False,
        layout=layout,
        partition=partition,
        columns=strategies.METRIC_COLUMNS[0],
        integer_units=False,
        split_seed=0,
    )


def redefine(world: World, now: Definitions, *metrics: Draft) -> None:
    """Give the experiment other metrics."""
    world.scenario = replace(now, drafts=metrics).spelled_out()
    world.write_definition()


def connect(world: World, now: datetime = NOW, folder: Path | None = None) -> staging.Engine:
    """Return an engine on a world's project."""
    return staging.connect(staging.load_project(folder or world.folder), now=lambda: now)


def tables_of(world: World, engine: staging.Engine) -> dict[str, object]:
    """Return what is published, comparable as a whole."""
    project = staging.load_project(world.folder)
    found = read_tables(engine, project, "123")
    return {name: sorted(map(repr, table.to_pylist())) for name, table in found.items()}

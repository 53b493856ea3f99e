"""Retentions and funnels over rows that arrive in any order, against the plain definitions."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

import statsig_staging as staging
from tests import oracle, plain
from tests.athena_endpoint.fixtures import Aws
from tests.athena_worlds import AthenaWorld
from tests.factories import ASSIGNMENT_SOURCE, EXPERIMENT, METRIC_SOURCE
from tests.test_cases import Row, write_rows

START = datetime(2026, 1, 1)  # noqa: DTZ001 - naive UTC, as the sources have it
DAYS = 7
ROLLUPS: tuple[oracle.Rollup, ...] = ("daily", "cumulative", "7_day")


def is_kind(kind: str) -> Callable[[oracle.Fields], bool | None]:
    """Return a filter on the kind of a row; null where it is unknown."""
    return lambda fields: None if fields["kind"] is None else fields["kind"] == kind


METRICS: tuple[tuple[dict[str, Any], oracle.OracleMetric], ...] = (
    (
        {"name": "back", "type": "retention", "source": "events", "end": 3, "length": 2},
        oracle.OracleMetric(
            name="back",
            type="retention",
            retention=oracle.Retention(source="events", end=3, length=2),
        ),
    ),
    (
        {
            "name": "bought",
            "type": "retention",
            "source": "events",
            "filter": "kind = 'visit'",
            "completion_filter": "kind = 'purchase'",
            "end": 2,
            "length": 2,
            "bake_days": 1,
        },
        oracle.OracleMetric(
            name="bought",
            type="retention",
            retention=oracle.Retention(
                source="events",
                where=is_kind("visit"),
                completed_by=is_kind("purchase"),
                end=2,
                length=2,
            ),
            bake_days=1,
        ),
    ),
    (
        {
            "name": "funnel",
            "type": "funnel",
            "steps": [
                {"source": "events", "filter": "kind = 'visit'"},
                {"source": "events", "filter": "kind = 'purchase'", "window": {"end": 1}},
                {"source": "events"},
            ],
            "strict": False,
            "allowance_ms": 1000,
            "within": {"end": 3000, "unit": "minutes"},
        },
        oracle.OracleMetric(
            name="funnel",
            type="funnel",
            funnel=oracle.Funnel(
                steps=(
                    oracle.Step(source="events", where=is_kind("visit")),
                    oracle.Step(
                        source="events", where=is_kind("purchase"), window=oracle.Window(end=1)
                    ),
                    oracle.Step(source="events"),
                ),
                strict=False,
                allowance=timedelta(seconds=1),
                within=oracle.Window(end=3000, unit="minutes"),
            ),
        ),
    ),
    (
        {
            "name": "from_exposure",
            "type": "funnel",
            "steps": [
                {"source": "events", "filter": "kind = 'visit'", "window": {"end": 0}},
                {"source": "events", "filter": "kind = 'purchase'"},
            ],
            "exposure_as_first_step": True,
            "bake_days": 1,
        },
        oracle.OracleMetric(
            name="from_exposure",
            type="funnel",
            funnel=oracle.Funnel(
                steps=(
                    oracle.Step(
                        source="events", where=is_kind("visit"), window=oracle.Window(end=0)
                    ),
                    oracle.Step(source="events", where=is_kind("purchase")),
                ),
                exposure_as_first_step=True,
            ),
            bake_days=1,
        ),
    ),
    (
        {
            "name": "took",
            "type": "funnel",
            "steps": [
                {"source": "events", "filter": "kind = 'visit'"},
                {"source": "events", "filter": "kind = 'purchase'"},
            ],
            "time_to_convert": True,
        },
        oracle.OracleMetric(
            name="took",
            type="funnel",
            funnel=oracle.Funnel(
                steps=(
                    oracle.Step(source="events", where=is_kind("visit")),
                    oracle.Step(source="events", where=is_kind("purchase")),
                ),
                time_to_convert=True,
            ),
        ),
    ),
    (
        {"name": "rows", "type": "count", "source": "events"},
        oracle.OracleMetric(
            name="rows",
            type="count",
            numerator=oracle.Aggregate(kind="count", source="events"),
        ),
    ),
)
"""Beside a count, with whose unit-days windows and steps share their statements."""


def drawn(seed: int) -> tuple[list[tuple[int, Row]], list[tuple[int, Row]]]:
    """Return exposures and events, each with the day on which it arrives, now and then late."""
    draw = random.Random(seed)

    def moment(day: int) -> datetime:
        return START + timedelta(days=day, hours=draw.choice((0, 9, 23)))

    def arriving(row: Row, day: int) -> tuple[int, Row]:
        return draw.randrange(day, DAYS) if draw.random() < 0.2 else day, row

    exposures, events = [], []
    for day in (draw.randrange(DAYS - 2) for _ in range(9)):
        group, unit = draw.choice(("control", "test")), draw.choice("abcdef")
        seen = {"experiment_id": "123", "exposed_at": f"{moment(day)}"}
        exposures.append(arriving({**seen, "group_id": group, "user_id": unit}, day))
    for day in (draw.randrange(DAYS) for _ in range(60)):
        kind = draw.choice(("visit", "visit", "purchase", None))
        done = {"ts": f"{moment(day)}", "user_id": draw.choice("abcdef"), "kind": kind}
        events.append(arriving({**done, "amount_cents": "1"}, day))
    exposures[0] = (0, exposures[0][1])
    events[0] = (0, events[0][1])
    return exposures, events


def project(folder: Path) -> staging.Project:
    """Return a project over the files of a folder."""
    names = [config["name"] for config, _ in METRICS]
    groups = ["control", "test"]
    sources = {f"shop.{name}": f"data/{name}.parquet" for name in ("exposures", "events")}
    experiment = {**EXPERIMENT, "metrics": names, "groups": groups, "rollups": list(ROLLUPS)}
    definition = {
        "connection": {"warehouse": "local", "threads": 1, "sources": sources},
        "assignment_sources": [ASSIGNMENT_SOURCE],
        "metric_sources": [METRIC_SOURCE],
        "metrics": [config for config, _ in METRICS],
        "experiments": [experiment],
    }
    (folder / "staging.yml").write_text(yaml.safe_dump(definition), "utf-8")
    return staging.load_project(folder)


def wanted(exposures: Sequence[Row], events: Sequence[Row], through: date) -> list[oracle.Row]:
    """Return the results that the definitions ask for."""
    experiment = oracle.Experiment(
        id="123",
        start=START.date(),
        groups=("control", "test"),
        metrics=tuple(metric for _, metric in METRICS),
        rollups=ROLLUPS,
    )
    seen = [
        oracle.Exposure(row["user_id"], row["group_id"], "123", moment_of(row["exposed_at"]))
        for row in exposures
    ]
    done = [oracle.Event(row["user_id"], moment_of(row["ts"]), row) for row in events]
    return oracle.expected(experiment, seen, {"events": done}, through=through).results


def moment_of(text: str | None) -> datetime:
    """Return the moment that a row writes."""
    assert text is not None
    return datetime.fromisoformat(text)


def test_results_are_the_same_in_whatever_order_rows_arrive(tmp_path: Path) -> None:
    """Loads of some days each, with late rows and exposures between them, give the definitions' results."""
    exposures, events = drawn(3)
    for day in (1, 3, 4, 6):
        seen = [row for arrival, row in exposures if arrival <= day]
        done = [row for arrival, row in events if arrival <= day]
        write_rows(tmp_path, "exposures", seen, "parquet")
        write_rows(tmp_path, "events", done, "parquet")
        through = (START + timedelta(days=day)).date()
        with staging.connect(
            project(tmp_path), now=lambda: datetime(2026, 2, 1, tzinfo=UTC)
        ) as engine:
            engine.run("123", through=through)
            found = engine.results("123").to_pylist()
        oracle.assert_close(found, wanted(seen, done, through), table="results")


def named(unit: str, number: int, hour: float, name: str, qty: int | None = 1) -> oracle.Event:
    """Return a row of the events on Athena."""
    row = plain.event(unit, number, hour, 1.0)
    return replace(row, fields={**row.fields, "event_name": name, "qty": qty})


def quantity(fields: oracle.Fields) -> str | None:
    """Return what stands for a session: the quantity, as text."""
    return None if fields["qty"] is None else str(fields["qty"])


def is_named(name: str) -> Callable[[oracle.Fields], bool | None]:
    """Return a filter on the name of a row."""
    return lambda fields: fields["event_name"] == name


ON_ATHENA: tuple[tuple[dict[str, Any], oracle.OracleMetric], ...] = (
    (
        {"name": "back", "type": "retention", "source": "events", "end": 2, "length": 2},
        oracle.OracleMetric(
            name="back",
            type="retention",
            retention=oracle.Retention(source="events", end=2, length=2),
        ),
    ),
    (
        {
            "name": "bought",
            "type": "funnel",
            "steps": [
                {"source": "events", "filter": "event_name = 'visit'", "window": {"end": 1}},
                {
                    "source": "events",
                    "filter": "event_name = 'purchase'",
                    "window": {"end": 2880, "unit": "minutes"},
                },
            ],
            "exposure_as_first_step": True,
            "allowance_ms": 1,
            "time_to_convert": True,
        },
        oracle.OracleMetric(
            name="bought",
            type="funnel",
            funnel=oracle.Funnel(
                steps=(
                    oracle.Step(
                        source="events", where=is_named("visit"), window=oracle.Window(end=1)
                    ),
                    oracle.Step(
                        source="events",
                        where=is_named("purchase"),
                        window=oracle.Window(end=2880, unit="minutes"),
                    ),
                ),
                allowance=timedelta(milliseconds=1),
                exposure_as_first_step=True,
                time_to_convert=True,
            ),
        ),
    ),
    (
        {
            "name": "bought_in_session",
            "type": "funnel",
            "session": "qty",
            "steps": [
                {"source": "events", "filter": "event_name = 'visit'"},
                {"source": "events", "filter": "event_name = 'purchase'"},
            ],
        },
        oracle.OracleMetric(
            name="bought_in_session",
            type="funnel",
            funnel=oracle.Funnel(
                steps=(
                    oracle.Step(source="events", where=is_named("visit"), session=quantity),
                    oracle.Step(source="events", where=is_named("purchase"), session=quantity),
                ),
            ),
        ),
    ),
)


@pytest.mark.slow
@pytest.mark.usefixtures("aws_environment")
def test_windows_and_steps_on_athena(aws: Aws, tmp_path: Path) -> None:
    """Two loads on Athena, the second with a late exposure and late rows, give the definitions' results."""
    scenario = plain.definitions().spelled_out()
    experiment = replace(scenario.experiment, metrics=tuple(metric for _, metric in ON_ATHENA))
    settings = tuple(config for config, _ in ON_ATHENA)
    scenario = replace(scenario, experiment=experiment, metric_definitions=settings)
    world = AthenaWorld.open(scenario, tmp_path / "project", aws)
    world.add("exposures", [plain.exposure(unit, "control", 0, 1) for unit in "ab"])
    world.add("events", [named("a", 0, 2, "visit"), named("a", 2, 1, "purchase")])
    world.add("events", [named("b", 1, 2, "visit"), named("b", 3, 2, "purchase")])
    world.add("events", [named("b", 1, 3, "visit", 2), named("b", 1, 4, "purchase", 2)])
    world.add("events", [named("b", 1, 5, "visit", None), named("b", 2, 4, "purchase", 3)])
    for through in (plain.day(2), plain.day(3)):
        with plain.connect(world) as engine:
            engine.run("123", through=through)
            found = engine.results("123").to_pylist()
        oracle.assert_close(found, world.expected(through).results, table="results")
        world.add("exposures", [plain.exposure("late", "test", 0, 5)])
        world.add("events", [named("late", 0, 5, "visit"), named("late", 2, 2, "purchase")])
        world.add("events", [named("b", 1, 6, "visit", 3), named("late", 1, 2, "visit", 2)])

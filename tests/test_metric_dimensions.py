"""Metric dimensions: rows told apart by a column of the metric's source, as the definitions say."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, seed, settings
from hypothesis import strategies as st

import statsig_staging as staging
from tests import oracle, plain
from tests.athena_endpoint.fixtures import Aws
from tests.athena_worlds import AthenaWorld
from tests.factories import ASSIGNMENT_SOURCE, EXPERIMENT, METRIC_SOURCE
from tests.metric_histories import QUIET, play_days, whole
from tests.metric_strategies import LEVELS, may_have_levels, new_scenarios
from tests.strategies import Scenario
from tests.test_cases import Row, write_rows
from tests.test_config import make_data, problems

ROWS = {"name": "rows", "type": "count", "source": "events"}
EXPOSURES: Sequence[Row] = [
    {
        "exposed_at": "2026-01-01 10:00:00",
        "group_id": "control",
        "user_id": "a",
        "experiment_id": "123",
    },
    {
        "exposed_at": "2026-01-01 12:00:00",
        "group_id": "test",
        "user_id": "b",
        "experiment_id": "123",
    },
    {
        "exposed_at": "2026-01-02 12:00:00",
        "group_id": "test",
        "user_id": "c",
        "experiment_id": "123",
    },
]


def row(unit: str, at: str, kind: str | None, cents: str | None = "100") -> Row:
    """Return a row of January."""
    return {"ts": f"2026-01-{at}", "user_id": unit, "kind": kind, "amount_cents": cents}


class Project:
    """A project over files that are written before each load."""

    def __init__(self, folder: Path, *metrics: dict[str, Any], **settings: Any) -> None:
        names = [metric["name"] for metric in metrics]
        sources = {f"shop.{name}": f"data/{name}.parquet" for name in ("exposures", "events")}
        definition = {
            "connection": {"warehouse": "local", "threads": 1, "sources": sources},
            "assignment_sources": [ASSIGNMENT_SOURCE],
            "metric_sources": [METRIC_SOURCE],
            "metrics": [{"metric_dimensions": ["kind"], **metric} for metric in metrics],
            "experiments": [{**EXPERIMENT, "metrics": names, **settings}],
        }
        folder.mkdir(exist_ok=True)
        (folder / "staging.yml").write_text(yaml.safe_dump(definition), "utf-8")
        self.exposures = [*EXPOSURES]
        self._folder = folder

    def load(self, events: Sequence[Row], day: int) -> list[dict[str, Any]]:
        """Return the results of a load through a day of January."""
        write_rows(self._folder, "exposures", self.exposures, "parquet")
        write_rows(self._folder, "events", events, "parquet")
        project = staging.load_project(self._folder)
        with staging.connect(project, now=lambda: datetime(2026, 2, 1, tzinfo=UTC)) as engine:
            engine.run("123", through=date(2026, 1, day))
            found: list[dict[str, Any]] = engine.results("123").to_pylist()
        return found


def levels(rows: Sequence[dict[str, Any]], day: int, group: str, column: str = "total") -> Any:
    """Return a column of a day's cumulative rows of a group, by level."""
    return {
        row["dimension_value"]: row[column]
        for row in rows
        if (row["rollup"], row["ds"]) == ("cumulative", date(2026, 1, day))
        and row["dimension"] == "kind"
        and row["group_id"] == group
    }


def test_levels_by_hand(tmp_path: Path) -> None:
    """Rows at both edges of a window, without a level, and with an empty one; all units count everywhere."""
    project = Project(tmp_path, {**ROWS, "window": {"end": 0}})
    found = project.load(
        [
            row("a", "01 09:59:59", "before"),
            row("a", "01 10:00:00", "visit"),
            row("a", "02 09:59:59", "buy"),
            row("a", "02 10:00:00", "after"),
            row("b", "01 13:00:00", None),
            row("b", "01 14:00:00", ""),
            row("b", "01 15:00:00", "visit"),
            row("nobody", "01 15:00:00", "visit"),
        ],
        2,
    )

    assert levels(found, 2, "control") == {"visit": 1, "buy": 1, None: 0}
    assert levels(found, 2, "test") == {"visit": 1, "buy": 0, None: 2}
    assert levels(found, 1, "control") == {"visit": 1, "buy": 0, None: 0}
    assert levels(found, 2, "test", "units") == {"visit": 2, "buy": 2, None: 2}
    assert levels(found, 1, "test", "units") == {"visit": 1, "buy": 1, None: 1}


@pytest.mark.slow
def test_a_level_that_comes_late(tmp_path: Path) -> None:
    """A late row of an old day brings a level on all days, as one full load has it."""
    capped = {**ROWS, "name": "capped", "type": "sum", "value": "usd", "cap": 2}
    metrics = (ROWS, capped, {"name": "share", "type": "unit_count", "source": "events"})
    settings = {"dimension_units": 2}
    project = Project(tmp_path / "daily", *metrics, **settings)
    events = [row("a", "01 11:00:00", "visit"), row("b", "01 13:00:00", "visit")]
    events += [row("a", "02 11:00:00", "buy", "150"), row("a", "02 12:00:00", "buy", None)]
    before = project.load(events, 2)
    events += [row("b", "01 14:00:00", "buy", "300"), row("c", "03 11:00:00", "other")]
    found = project.load(events, 3)
    full = Project(tmp_path / "full", *metrics, **settings).load(events, 3)

    assert levels(before, 1, "control").keys() == {"visit", "OTHER"}
    assert levels(found, 1, "control").keys() == {"visit", "buy", "OTHER"}
    assert sorted(map(repr, found)) == sorted(map(repr, full))


@pytest.mark.slow
def test_a_dimension_that_is_added(tmp_path: Path) -> None:
    """Metrics get levels in a later load, in which a unit comes late and another one earlier than it was."""
    spent = {**ROWS, "name": "spent", "type": "sum", "value": "usd", "cuped": {"days": 3}}
    apart: dict[str, Any] = {"metric_dimensions": []}
    events = [row("a", "01 11:00:00", "visit"), row("c", "01 13:00:00", "buy")]
    events += [row("c", "02 13:00:00", "visit"), row("late", "01 11:00:00", "buy")]
    Project(tmp_path / "daily", {**ROWS, **apart}, {**spent, **apart}).load(events, 2)
    earlier = {**EXPOSURES[2], "exposed_at": "2026-01-01 12:00:00"}
    late = {**EXPOSURES[0], "user_id": "late"}
    events.append(row("late", "02 11:00:00", None))
    loads = []
    for name, metrics in (
        ("daily", (ROWS, {**spent, **apart})),
        ("daily", (ROWS, spent)),
        ("full", (ROWS, spent)),
    ):
        project = Project(tmp_path / name, *metrics)
        project.exposures += [earlier, late]
        loads.append(project.load(events, 3))

    _, found, full = loads
    assert levels(found, 2, "control") == {"visit": 1, "buy": 1, None: 1}
    assert sorted(map(repr, found)) == sorted(map(repr, full))


@pytest.mark.slow
def test_the_eleventh_level_is_part_of_the_rest(tmp_path: Path) -> None:
    """Of levels that equally many units have the smaller come first; the cap is of the rest together."""
    capped = {**ROWS, "cap": 2}
    kinds = [f"k{number:02}" for number in range(12)]
    events = [row("a", "01 11:00:00", kind) for kind in (*kinds, "OTHER", "k00")]
    events += [row("b", "01 13:00:00", "k11")]
    found = Project(tmp_path, capped).load(events, 1)

    rest = {"k09": None, "k10": None}
    wanted = {kind: 1 for kind in kinds if kind not in rest} | {"k00": 2, "OTHER": 2}
    assert levels(found, 1, "control") == wanted


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        (
            {"type": "count", "metric_dimensions": ["step"]},
            "'step' is kept for the steps of funnels",
        ),
        (
            {"type": "count", "metric_dimensions": ["x"], "dimensions": ["x"]},
            "'x' stands under dimensions and under metric_dimensions",
        ),
        (
            {"type": "unit_count", "rollup": "latest", "filter": "kind = 'a'"},
            "metric_dimensions do not go with rollup latest",
        ),
        (
            {"type": "count_distinct", "value": "kind"},
            "metric_dimensions do not go with count_distinct",
        ),
        (
            {"type": "latest_value", "value": "usd"},
            "metric_dimensions do not go with latest_value",
        ),
    ],
)
def test_metrics_without_levels(metric: dict[str, Any], told: str) -> None:
    """What two levels come to together would not follow from what each comes to."""
    data = make_data()
    source = data["metric_sources"][0]["name"]
    data["metrics"].append({"name": "m", "source": source, "metric_dimensions": ["kind"], **metric})

    [line] = problems(data)
    assert told in line


def test_a_ratio_and_a_composite_without_levels() -> None:
    """A side or a term that has no levels is named."""
    data = make_data()
    source = data["metric_sources"][0]["name"]
    distinct = {"type": "count_distinct", "source": source, "value": "kind"}
    count = {"type": "count", "source": source}
    by_level = {"metric_dimensions": ["kind"]}
    data["metrics"] += [
        {"name": "r", "type": "ratio", "numerator": count, "denominator": distinct, **by_level},
        {"name": "d", **distinct},
        {"name": "c", "type": "composite", "terms": [{"metric": "d"}], **by_level},
    ]

    ratio, composite = problems(data)
    assert "metric_dimensions do not go with count_distinct" in ratio
    assert "metric 'd' is a count_distinct, which metric_dimensions do not go with" in composite


def test_a_level_must_have_a_name(tmp_path: Path) -> None:
    """Doubles are written differently by the warehouses, so they are refused."""
    project = Project(tmp_path, {**ROWS, "metric_dimensions": ["usd"]})

    with pytest.raises(
        staging.WarehouseError, match="metric dimension 'usd' of source 'events' is of type"
    ):
        project.load([row("a", "01 11:00:00", "visit")], 1)


@st.composite
def by_level(draw: st.DrawFn) -> Scenario:
    """Draw an experiment whose metrics are told apart by columns of their sources, as far as they may be."""
    scenario = draw(new_scenarios().map(whole))
    chosen = draw(st.lists(st.sampled_from(LEVELS), min_size=1, max_size=2, unique=True))
    pairs = [
        (replace(one, dimensions=tuple(chosen)), {**config, "metric_dimensions": chosen})
        for one, config in zip(
            scenario.experiment.metrics, scenario.metric_definitions, strict=True
        )
        if may_have_levels(one) and not one.terms
    ]
    rollups = draw(
        st.sampled_from((("daily", "cumulative"), ("cumulative", "days_since_exposure", "7_day")))
    )
    experiment = replace(
        scenario.experiment,
        metrics=tuple(one for one, _ in pairs),
        rollups=rollups,  # type: ignore[arg-type]
        dimension_units=draw(st.sampled_from((1, 1, 2, 3))),
    )
    definitions = tuple(config for _, config in pairs)
    return replace(scenario, experiment=experiment, metric_definitions=definitions)


@pytest.mark.slow
@seed(20260801)
@settings(QUIET, max_examples=2)
@given(by_level().filter(lambda scenario: scenario.metric_definitions))
def test_levels_of_rows_are_what_the_definitions_say(scenario: Scenario) -> None:
    """Every cell of every level agrees with the oracle, after loads of late and new rows, too."""
    play_days(scenario)


ON_ATHENA: tuple[tuple[dict[str, Any], oracle.OracleMetric], ...] = (
    (
        {
            "name": "capped",
            "type": "sum",
            "source": "events",
            "value": "amount",
            "cap": 5,
            "cuped": {"days": 2},
            "metric_dimensions": ["event_name"],
        },
        oracle.OracleMetric(
            name="capped",
            type="sum",
            numerator=oracle.Aggregate(
                kind="sum", source="events", value=lambda f: f["amount"], cap=5.0
            ),
            cuped_days=2,
            dimensions=("event_name",),
        ),
    ),
    (
        {
            "name": "largest",
            "type": "max",
            "source": "events",
            "value": "amount",
            "winsorize": {"high": 0.5},
            "metric_dimensions": ["event_name"],
        },
        oracle.OracleMetric(
            name="largest",
            type="max",
            numerator=oracle.Aggregate(
                kind="max",
                source="events",
                value=lambda f: f["amount"],
                winsorize=oracle.Winsorize(high=0.5),
            ),
            dimensions=("event_name",),
        ),
    ),
)


def named(unit: str, number: int, hour: float, name: str | None, amount: float) -> oracle.Event:
    """Return a row of the events on Athena."""
    found = plain.event(unit, number, hour, amount)
    return replace(found, fields={**found.fields, "event_name": name})


@pytest.mark.slow
@pytest.mark.usefixtures("aws_environment")
def test_levels_on_athena(aws: Aws, tmp_path: Path) -> None:
    """Two loads on Athena, the second with a late exposure and late rows, give the definitions' results."""
    scenario = plain.definitions().spelled_out()
    experiment = replace(scenario.experiment, metrics=tuple(metric for _, metric in ON_ATHENA))
    settings_ = tuple(config for config, _ in ON_ATHENA)
    scenario = replace(scenario, experiment=experiment, metric_definitions=settings_)
    world = AthenaWorld.open(scenario, tmp_path / "project", aws)
    world.add("exposures", [plain.exposure(unit, "control", 0, 1) for unit in "ab"])
    world.add("events", [named("a", 0, 2, "visit", 3.0), named("a", 0, 3, "visit", 4.0)])
    world.add("events", [named("b", 1, 2, None, 2.0), named("b", 0, 0.5, "visit", 8.0)])
    for through in (plain.day(2), plain.day(3)):
        with plain.connect(world) as engine:
            engine.run("123", through=through)
            found = engine.results("123").to_pylist()
        oracle.assert_close(found, world.expected(through).results, table="results")
        world.add("exposures", [plain.exposure("late", "test", 0, 5)])
        world.add("events", [named("late", 0, 6, "buy", 1.0), named("a", 1, 2, "buy", 2.0)])

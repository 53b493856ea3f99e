"""Metrics of values one by one: distinct values and percentiles, in many loads as in one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import statsig_staging as staging
from statsig_staging.config.experiments import Rollup
from tests import edits, oracle, plain
from tests.edits import Picks, SourceEdit
from tests.histories import PICKS, fast_folder
from tests.metric_strategies import (
    ALL_OPTIONS,
    DENSE,
    PERCENTILES,
    Sources,
    lookbacks,
    parts,
)
from tests.oracle import Aggregate, OracleMetric
from tests.plain import GROUPS, day, event, exposure
from tests.strategies import Scenario, pattern, scenarios
from tests.worlds import NOW, World, target, write_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


QUIET = settings(
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
    phases=[Phase.generate],
)
INDEXED = "days_since_exposure"
KINDS = ("count_distinct", "count_distinct", "percentile", "ratio", "sum")


@st.composite
def metrics_of_values(
    draw: st.DrawFn, name: str, sources: Sources
) -> tuple[dict[str, Any], OracleMetric]:
    """Draw a metric whose values count one by one, or now and then a sum beside it."""
    kind = draw(st.sampled_from(KINDS))
    bake_days = draw(st.sampled_from((0, 0, 1)))
    config: dict[str, Any] = {"name": name} | ({"bake_days": bake_days} if bake_days else {})
    common: dict[str, Any] = {"name": name, "bake_days": bake_days}
    match kind:
        case "percentile":
            part = draw(parts(("sum",), sources, ("window",)))
            share = draw(st.sampled_from(PERCENTILES))
            config |= part.config | {"type": kind, "percentile": share}
            return config, OracleMetric(
                type="percentile", numerator=part.aggregate, percentile=share, **common
            )
        case "ratio":
            above = draw(parts(("sum", "count_distinct"), sources, ALL_OPTIONS))
            below = draw(parts(("count_distinct",), sources, ALL_OPTIONS))
            config |= {"type": "ratio", "numerator": above.config, "denominator": below.config}
            return config, OracleMetric(
                type="ratio", numerator=above.aggregate, denominator=below.aggregate, **common
            )
        case "count_distinct" | "sum":
            part = draw(parts((kind,), sources, ALL_OPTIONS))
            cuped, days = draw(lookbacks(part))
            return config | part.config | cuped, OracleMetric(
                type=kind, numerator=part.aggregate, **common, **days
            )
        case _:
            raise AssertionError(kind)


@dataclass(frozen=True, slots=True)
class Turn:
    """Edits of the sources and of which metrics there are, then a load through a day."""

    happens: tuple[SourceEdit, ...]
    through: int
    metrics: int


@dataclass(frozen=True, slots=True)
class Story:
    """A project, with its metrics, and what happens to it."""

    scenario: Scenario
    turns: tuple[Turn, ...]

    def at(self, turn: Turn) -> Scenario:
        """Return the project with as many of its metrics as a turn has."""
        metrics = self.scenario.experiment.metrics[: turn.metrics]
        return replace(
            self.scenario,
            experiment=replace(self.scenario.experiment, metrics=metrics),
            metric_definitions=self.scenario.metric_definitions[: turn.metrics],
        )


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Draw a project with up to three such metrics, and up to four loads."""
    scenario = replace(draw(scenarios(DENSE)), threads=1)
    sources = Sources(
        names=tuple(scenario.sources), dated=frozenset(scenario.experiment.dated_sources)
    )
    count = draw(st.integers(1, 3))
    found = [draw(metrics_of_values(f"metric_{number}", sources)) for number in range(count)]
    bakes = any(metric.bake_days for _, metric in found)
    scenario = replace(
        scenario,
        experiment=replace(
            scenario.experiment,
            metrics=tuple(metric for _, metric in found),
            rollups=tuple(each for each in get_args(Rollup) if not bakes or each != INDEXED),
        ),
        metric_definitions=tuple(config for config, _ in found),
    )
    happens = st.builds(
        SourceEdit,
        st.sampled_from(edits.HAPPENINGS),
        st.sampled_from(["exposures", *scenario.sources]),
        PICKS,
    )
    turn = st.builds(
        Turn,
        happens=st.lists(happens, max_size=3).map(tuple),
        through=st.sampled_from((7, 7, 6, 4, 3, 1)),
        metrics=st.integers(1, count),
    )
    return Story(scenario, tuple(draw(st.lists(turn, min_size=2, max_size=4))))


def tell(story: Story) -> None:
    """Play a story: each load's results are those of the definitions, the last tables those of one load."""
    with fast_folder() as folder:
        world = World.begin(story.at(story.turns[0]), folder / "project")
        for name in world.sources:
            edits.append(world, name, Picks(max(len(world.arriving[name]) * 6 // 8 - 1, 0)))
        tables: dict[str, list[str]] = {}
        for turn in story.turns:
            world.scenario = story.at(turn)
            write_definition(world, world.folder)
            for edit in turn.happens:
                edit(world)
            through = target(world.scenario, turn.through)
            if world.has_exposures(through):
                want = world.expected(through)
                tables = load(world, world.folder, turn, want.results)
        if tables:
            turn = story.turns[-1]
            through = target(world.scenario, turn.through)
            if world.has_exposures(through):
                fresh = world.write_fresh_project()
                write_definition(world, fresh)
                assert load(world, fresh, turn, world.expected(through).results) == tables


def write_definition(world: World, folder: Path) -> None:
    """Write the project's configuration, with every rollup."""
    definition = world.scenario.definition()
    definition["connection"]["sources"] = {
        f"shop.{name}": str(world.folder / "data" / name / pattern(source.layout))
        for name, source in world.sources.items()
    }
    for experiment in definition["experiments"]:
        experiment["rollups"] = list(world.scenario.experiment.rollups)
    write_yaml(folder, definition)


def load(
    world: World, folder: Path, turn: Turn, wanted: Sequence[oracle.Row]
) -> dict[str, list[str]]:
    """Load, compare the results, and return the rows of the tables of values."""
    experiment = world.scenario.experiment.id
    with staging.connect(staging.load_project(folder), now=lambda: NOW) as engine:
        engine.run(experiment, through=target(world.scenario, turn.through))
        found = engine.results(experiment).to_pylist()
        oracle.assert_close(found, wanted, table="results")
        names = [
            f"{kind}_{source}"
            for kind in ("distinct_values", "percentile_values")
            for source in world.sources
        ]
        held = {status.name for status in engine.status(experiment)[0].tables}
        assert held
        tables: dict[str, list[str]] = {}
        for name in names:
            try:
                rows = engine.table(experiment, name).to_pylist()
            except staging.WarehouseError:
                continue
            tables[name] = sorted(map(repr, rows))
        return tables


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(2))
def test_many_loads_are_one(chunk: int) -> None:
    """Late rows, late exposures, metrics that come and go: results of the definitions every time."""
    seed(20260301 + chunk)(settings(QUIET, max_examples=10)(given(stories())(tell)))()


def amount(fields: oracle.Fields) -> Any:
    return fields["amount"]


VALUE = {"source": "events", "value": "amount"}
VALUES = Aggregate(kind="sum", source="events", value=amount)
DEFINED: tuple[tuple[dict[str, Any], OracleMetric], ...] = (
    (
        {"name": "amounts", "type": "count_distinct", **VALUE, "cuped": {"days": 2}},
        OracleMetric(
            name="amounts",
            type="count_distinct",
            numerator=replace(VALUES, kind="count_distinct"),
            cuped_days=2,
        ),
    ),
    (
        {"name": "p75", "type": "percentile", **VALUE, "percentile": 0.75},
        OracleMetric(name="p75", type="percentile", numerator=VALUES, percentile=0.75),
    ),
    (
        {"name": "revenue", "type": "sum", **VALUE},
        OracleMetric(name="revenue", type="sum", numerator=VALUES),
    ),
)


def plain_scenario() -> Scenario:
    """Return an experiment with a metric of distinct values, a percentile and a sum."""
    scenario = plain.definitions().spelled_out()
    metrics = tuple(metric for _, metric in DEFINED)
    return replace(
        scenario,
        experiment=replace(scenario.experiment, metrics=metrics),
        metric_definitions=tuple(config for config, _ in DEFINED),
    )


def days_of_three(world: World) -> Iterable[int]:
    """Have a day of exposures and events come at a time, on the last day a late exposure too."""
    for number in range(3):
        world.add("exposures", [exposure(f"u{number}", GROUPS[number % 2], number, 1)])
        rows = [event(f"u{unit}", number, 2, 1.5 + number * (unit % 2)) for unit in range(4)]
        world.add("events", [*rows, *rows[:2]])
        if number == 2:
            world.add("exposures", [exposure("u3", "test", 0, 1)])
        yield number


def test_costly_series_of_the_latest_day(tmp_path: Path) -> None:
    """After each load percentiles have rows of its last day alone, and other metrics of every day."""
    world = World.begin(plain_scenario(), tmp_path / "project")
    definition = world.scenario.definition()
    definition["experiments"][0]["costly_series"] = "latest"
    write_yaml(world.folder, definition)
    for number in days_of_three(world):
        with plain.connect(world) as engine:
            engine.run("123", through=day(number))
            found = engine.results("123").to_pylist()
        wanted = [
            row
            for row in world.expected(day(number)).results
            if row["metric"] != "p75" or row["ds"] == day(number)
        ]
        oracle.assert_close(found, wanted, table="results")
    with plain.connect(world) as engine:
        engine.run("123", through=day(1))
        found = engine.results("123").to_pylist()
    assert {row["ds"] for row in found if row["metric"] == "p75"} == {day(1)}

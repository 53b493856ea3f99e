"""Metrics of every type with every option agree with the definitions, after one load and after many."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import statsig_staging as staging
from tests import edits
from tests.edits import DefinitionEdit, Definitions, Picks, SourceEdit
from tests.histories import (
    NUMBERS,
    PICKS,
    History,
    Turn,
    fast_folder,
    full,
    incremental,
    metric,
    play,
)
from tests.metric_strategies import Sources, metrics, new_scenarios, suits, with_durations
from tests.oracle import Rollup
from tests.strategies import SMALL, FixedDraft, Scenario, scenarios
from tests.worlds import NOW, World, compare

LATER: set[str] = set()
QUIET = settings(
    deadline=None,
    derandomize=False,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
ROLLUPS: tuple[Rollup, ...] = get_args(Rollup)
CHOICES_OF_ROLLUPS: tuple[tuple[Rollup, ...], ...] = (
    ("daily", "cumulative"),
    ("cumulative",),
    ROLLUPS,
)


def types_in(config: object) -> set[str]:
    """Return every type that a metric's definition names."""
    if not isinstance(config, dict):
        return set()
    found = {config["type"]} if "type" in config else set()
    return found.union(*(types_in(value) for value in config.values()))


def is_there(config: dict[str, Any]) -> bool:
    """Whether the library has everything of a metric."""
    return types_in(config).isdisjoint(LATER)


def of_types_that_are_there(scenario: Scenario) -> Scenario:
    """Return a scenario with those of its metrics that the library has."""
    pairs = zip(scenario.experiment.metrics, scenario.metric_definitions, strict=True)
    kept = [(one, config) for one, config in pairs if is_there(dict(config))]
    names = {config["name"] for _, config in kept}
    kept = [
        (one, config)
        for one, config in kept
        if all(term["metric"] in names for term in config.get("terms", ()))
    ]
    experiment = replace(scenario.experiment, metrics=tuple(one for one, _ in kept), dimensions=())
    definitions = tuple(config for _, config in kept)
    return replace(scenario, experiment=experiment, metric_definitions=definitions, threads=1)


def play_days(scenario: Scenario) -> None:
    """Load a scenario day by day, its rows arriving in two portions; every load is right."""
    with fast_folder() as folder:
        world = World.begin(scenario, folder)
        for part in (2, 1):
            for name in world.sources:
                edits.append(world, name, Picks(max(len(world.arriving[name]) // part - 1, 0)))
            last = scenario.through
            for through in (last - timedelta(days=1), last):
                if through < scenario.experiment.start or not world.has_exposures(through):
                    continue
                with staging.connect(staging.load_project(world.folder), now=lambda: NOW) as engine:
                    engine.run(scenario.experiment.id, through=through)
                    compare(world, engine, through)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(2))
def test_every_metric_follows_its_definition(chunk: int) -> None:
    """Loads of late and new rows give what the definitions say, in every rollup."""
    drawn = new_scenarios().map(of_types_that_are_there).filter(lambda s: s.metric_definitions)
    seed(20260301 + chunk)(settings(QUIET, max_examples=8)(given(drawn)(play_days)))()


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw a small experiment with metrics of any type, and a few turns."""
    scenario = replace(draw(scenarios(SMALL)), threads=1)
    rollups: tuple[Rollup, ...] = draw(st.sampled_from(CHOICES_OF_ROLLUPS))
    experiment = replace(draw(with_durations(scenario)), rollups=rollups)
    scenario = replace(scenario, experiment=experiment)
    of = Sources(names=("events", "orders"), dated=experiment.dated_sources)
    drawn = [
        draw(
            metrics(f"metric_{n}", of, ()).filter(
                lambda pair: is_there(pair[0]) and suits(experiment, pair[1])
            )
        )
        for n in range(4)
    ]
    found = tuple(FixedDraft(name=one.name, of=one, config=config) for config, one in drawn)
    count = draw(st.integers(1, 2))
    definitions = Definitions(scenario, found[:count], found[count:])
    happens = st.builds(
        SourceEdit,
        st.sampled_from(edits.HAPPENINGS),
        st.sampled_from(["exposures", "exposures", "events", "events", "orders"]),
        PICKS,
    )
    redefines = st.builds(DefinitionEdit, st.sampled_from(edits.REDEFINITIONS), PICKS)
    turn = st.builds(
        Turn,
        edits=st.lists(happens | happens | redefines, min_size=1, max_size=4).map(tuple),
        command=st.sampled_from((incremental, incremental, incremental, full, metric)),
        pick=NUMBERS,
        through=st.sampled_from((7, 7, 7, 6, 3, 1)),
        early=st.sampled_from((False, False, False, True)),
    )
    turns = draw(st.lists(turn, min_size=1, max_size=3))
    first = Turn((), incremental, 0, draw(st.sampled_from((7, 3))))
    return History(definitions, draw(st.sampled_from((8, 6, 4))), (first, *turns))


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(2))
def test_sequences_with_metrics_of_every_type(chunk: int) -> None:
    """Whatever happens to the sources and the definitions, each load is what the definitions say."""
    seed(20260311 + chunk)(settings(QUIET, max_examples=10)(given(histories())(play)))()

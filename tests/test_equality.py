"""The first promise: after any sequence of edits and loads the tables are those of one full load."""

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

import statsig_staging as staging
from tests.strategies import Scenario, scenarios, write_project
from tests.worlds import NOW, Turn, World, compare, histories, target

QUIET = settings(
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
    phases=[Phase.generate],
)
# A failing history is printed as it was drawn: to shrink one takes minutes.


def play(scenario: Scenario, number: int, turns: tuple[Turn, ...]) -> None:
    """Play a history, comparing the tables with the definitions after every load."""
    dice = random.Random(number)
    with tempfile.TemporaryDirectory() as folder:
        world = World.begin(scenario, Path(folder), dice)
        for turn in turns:
            for edit, name in turn.edits:
                edit(world, name, dice)
            load_and_compare(world, turn)


def load_and_compare(world: World, turn: Turn) -> None:
    """Load, and compare; without any exposure the load must fail and publish nothing."""
    through = target(world.scenario, turn.through)
    experiment = world.scenario.experiment.id
    project = staging.load_project(world.folder)
    with staging.connect(project, now=lambda: NOW) as engine:
        if not world.has_exposures(through):
            before = engine.status(experiment)[0].loads
            with pytest.raises(staging.NoExposuresError):
                engine.run(experiment, refresh=turn.refresh, through=through)
            assert engine.status(experiment)[0].loads == before
            return
        engine.run(experiment, refresh=turn.refresh, through=through)
        compare(world, engine, through)


@seed(20260101)
@settings(QUIET, max_examples=60)
@given(scenarios())
def test_a_full_load_is_what_the_definitions_say(scenario: Scenario) -> None:
    """Every table and every result cell of a first load agrees with the oracle."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(scenario, Path(folder))
        write_project(scenario, world.folder)
        world.files = {name: {"": list(source.rows)} for name, source in world.sources.items()}
        project = staging.load_project(world.folder)
        with staging.connect(project, now=lambda: NOW) as engine:
            engine.run(scenario.experiment.id, through=scenario.through)
            compare(world, engine, scenario.through)


@pytest.mark.parametrize("part", range(2))
def test_sequences(part: int) -> None:
    """Thirty sequences of edits and loads, each load compared with the definitions."""
    sequences(20260102 + part, 15)


@pytest.mark.slow
def test_many_sequences() -> None:
    """A hundred more."""
    sequences(20270102, 100)


def sequences(number: int, count: int) -> None:
    """Play ``count`` histories, always the same ones for a number."""
    seed(number)(settings(QUIET, max_examples=count)(given(histories())(_play)))()


def _play(history: tuple[Scenario, int, tuple[Turn, ...]]) -> None:
    play(*history)

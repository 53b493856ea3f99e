"""The first promise: after any sequence of edits and loads the tables are those of one full load."""

import pytest
from hypothesis import HealthCheck, given, seed, settings

import statsig_staging as staging
from tests.histories import fast_folder, histories, play
from tests.strategies import Scenario, scenarios, write_project
from tests.worlds import NOW, World, compare

QUIET = settings(
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


@pytest.mark.slow
@seed(20260101)
@settings(QUIET, max_examples=60)
@given(scenarios())
def test_a_full_load_is_what_the_definitions_say(scenario: Scenario) -> None:
    """Every table and every result cell of a first load agrees with the oracle."""
    with fast_folder() as folder:
        world = World(scenario, folder)
        write_project(scenario, world.folder)
        world.files = {name: {"": list(source.rows)} for name, source in world.sources.items()}
        project = staging.load_project(world.folder)
        with staging.connect(project, now=lambda: NOW) as engine:
            engine.run(scenario.experiment.id, through=scenario.through)
            compare(world, engine, scenario.through)


CHUNK = 20


def play_histories(number: int, count: int) -> None:
    """Play ``count`` histories, always the same ones for a number."""
    seed(number)(settings(QUIET, max_examples=count)(given(histories())(play)))()


@pytest.mark.parametrize("chunk", range(3))
def test_sequences(chunk: int) -> None:
    """Sixty sequences of edits and loads, each load compared with the definitions."""
    play_histories(20260102 + chunk, CHUNK)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(30))
def test_many_sequences(chunk: int) -> None:
    """Six hundred more; ``--sequences`` plays as many as one has time for."""
    play_histories(20270102 + chunk, CHUNK)


def test_sequences_by_hand(by_hand: tuple[int, int]) -> None:
    """As many as ``--sequences`` asks for, other ones for every ``--sequence-seed``."""
    play_histories(*by_hand)

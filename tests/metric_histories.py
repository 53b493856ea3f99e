"""Scenarios and sequences with metrics of every type, drawn, and played against the oracle."""

from dataclasses import replace
from datetime import timedelta
from typing import get_args

from hypothesis import HealthCheck, Phase, settings
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
)
from tests.metric_strategies import Sources, metrics, suits, with_durations
from tests.oracle import Rollup
from tests.strategies import SMALL, FixedDraft, Scenario, scenarios
from tests.worlds import NOW, World, compare

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


def whole(scenario: Scenario) -> Scenario:
    """Return a scenario whose results are of all units together."""
    experiment = replace(scenario.experiment, dimensions=())
    return replace(scenario, experiment=experiment, threads=1)


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


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw a small experiment with metrics of any type, and a few turns."""
    scenario = replace(draw(scenarios(SMALL)), threads=1)
    rollups: tuple[Rollup, ...] = draw(st.sampled_from(CHOICES_OF_ROLLUPS))
    experiment = replace(draw(with_durations(scenario)), rollups=rollups)
    scenario = replace(scenario, experiment=experiment)
    of = Sources(names=("events", "orders"), dated=experiment.dated_sources)
    drawn = [
        draw(metrics(f"metric_{n}", of, ()).filter(lambda pair: suits(experiment, pair[1])))
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

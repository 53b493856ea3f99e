"""The first promise on Athena: after any sequence of edits and loads, the tables of one full load.

The full load that they are compared with runs on the local warehouse over the same rows: every table and
every cell is the same on both.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

import statsig_staging as staging
from tests import metric_histories
from tests.athena_endpoint.fixtures import Aws
from tests.athena_endpoint.server import Endpoint
from tests.athena_worlds import AthenaWorld, account_of, in_environment
from tests.histories import History, Player, Turn, fast_folder, histories
from tests.strategies import Scenario, write_project
from tests.worlds import NOW, compare_tables, plain_rows, read_tables, target

QUIET = settings(
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
    phases=(Phase.generate,),
    report_multiple_bugs=False,
)


class AthenaPlayer(Player):
    """Plays a history on Athena, and compares its end with the local warehouse."""

    def __init__(self, history: History, folder: Path, aws: Aws) -> None:
        def begin(scenario: Scenario, place: Path) -> AthenaWorld:
            return AthenaWorld.open(scenario, place, aws)

        super().__init__(history, folder, begin)

    def _compare_with_fresh(self, turn: Turn) -> None:
        scenario = self._world.scenario
        through = target(scenario, turn.through)
        if not self._world.has_exposures(through) or turn.meddling is not None:
            return
        local = write_project(self._rows_now(), self._world.folder / "local")
        project = staging.load_project(local)
        with staging.connect(project, now=lambda: NOW) as engine:
            engine.run(scenario.experiment.id, refresh="full", through=through)
            tables = read_tables(engine, project, scenario.experiment.id)
        compare_tables(self._world.expected(through), scenario.experiment, project, tables)
        for name, table in tables.items():
            assert plain_rows(self._tables[name]) == plain_rows(table), name

    def _rows_now(self) -> Scenario:
        """Return the scenario with the rows that its sources hold now."""
        scenario = self._world.scenario
        return replace(
            scenario,
            assignment=replace(scenario.assignment, rows=tuple(self._world.rows("exposures"))),  # type: ignore[arg-type]
            sources={
                name: replace(source, rows=tuple(self._world.rows(name)))  # type: ignore[arg-type]
                for name, source in scenario.sources.items()
            },
        )


def play(history: History, endpoint: Endpoint) -> None:
    """Play a history in an account of its own; nobody is killed in it, see ``test_athena_kills``."""
    alive = replace(history, turns=tuple(replace(turn, kill_at=None) for turn in history.turns))
    with account_of(endpoint) as aws, in_environment(aws), fast_folder() as folder:
        AthenaPlayer(alive, folder / "project", aws).play()


CHUNK = 5


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(4))
def test_sequences_on_athena(athena_endpoint: Endpoint, chunk: int) -> None:
    """Twenty sequences of edits and loads, each load compared with the definitions."""
    drawn = seed(20280102 + chunk)(
        settings(QUIET, max_examples=CHUNK)(
            given(histories())(lambda history: play(history, athena_endpoint))
        )
    )
    drawn()


@pytest.mark.slow
@pytest.mark.parametrize(("chunk", "most"), [(0, None), (1, 2)])
def test_sequences_on_athena_with_metrics_of_every_type(
    athena_endpoint: Endpoint, chunk: int, most: int | None
) -> None:
    """Metrics of every type and option, in every rollup, in one table a source and in tables of two aggregates."""
    drawn = seed(20290102 + chunk)(
        settings(QUIET, max_examples=3)(
            given(metric_histories.histories())(
                lambda history: play(replace(history, aggregates_per_table=most), athena_endpoint)
            )
        )
    )
    drawn()

"""Sequences of edits and commands, drawn, and played against the oracle."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

import statsig_staging as staging
from statsig_staging.results import LoadStarted
from tests import boundaries, edits
from tests.edits import DefinitionEdit, Definitions, Picks, SourceEdit
from tests.strategies import SMALL, Scenario, drafts, scenarios
from tests.worlds import NOW, Tables, World, compare_tables, plain_rows, read_tables, target

Command = Callable[[Scenario, int], dict[str, Any]]
"""What a load is asked for, besides its last day."""


def incremental(scenario: Scenario, pick: int) -> dict[str, Any]:
    """Load what is new or changed."""
    return {"refresh": "incremental"}


def full(scenario: Scenario, pick: int) -> dict[str, Any]:
    """Load everything."""
    return {"refresh": "full"}


def metric(scenario: Scenario, pick: int) -> dict[str, Any]:
    """Load what is new or changed, and one metric on every day."""
    metrics = scenario.experiment.metrics
    return {"refresh": "metric", "metrics": (metrics[pick % len(metrics)].name,)}


COMMANDS: tuple[Command, ...] = (*[incremental] * 6, full, metric)


@dataclass(frozen=True, slots=True)
class Turn:
    """What happens between two looks at the tables: edits, then a load.

    Attributes:
        edits: Changes of the sources and of the definitions, in order.
        command: What the load is asked for.
        pick: Chooses what the command is about.
        through: The last day to load, counted from the start.
        early: Whether it runs while that day is not over.
        kill_at: The side effect at which a first attempt is killed; None for no such attempt.
        meddling: An edit that happens while the load runs.
    """

    edits: tuple[SourceEdit | DefinitionEdit, ...]
    command: Command
    pick: int
    through: int
    early: bool = False
    kill_at: int | None = None
    meddling: SourceEdit | None = None

    def __repr__(self) -> str:
        told = [f"{list(self.edits)}", f"{self.command.__name__}({self.pick})", str(self.through)]
        told += ["early"] * self.early
        told += [f"killed at {self.kill_at}"] if self.kill_at is not None else []
        told += [f"meddling {self.meddling}"] if self.meddling is not None else []
        return f"Turn({', '.join(told)})"


@dataclass(frozen=True, slots=True)
class History:
    """A project and what happens to it.

    Attributes:
        definitions: The project as it is defined at first.
        arrived: Of every eight rows of a source, how many are there from the beginning.
        turns: What happens then.
        aggregates_per_table: How many aggregates a table of unit-days takes; None for as many as usual.
    """

    definitions: Definitions
    arrived: int
    turns: tuple[Turn, ...]
    aggregates_per_table: int | None = None


NUMBERS = st.integers(0, 255)
PICKS = st.builds(Picks, NUMBERS, NUMBERS, NUMBERS)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw a small experiment, and a few turns."""
    scenario = replace(draw(scenarios(SMALL)), threads=1)
    metrics = tuple(draw(drafts(n)) for n in range(draw(st.integers(1, 2))))
    spare = tuple(draw(drafts(n)) for n in range(2, 4))
    definitions = Definitions(scenario, metrics, spare)
    happens = st.builds(
        SourceEdit,
        st.sampled_from(edits.HAPPENINGS),
        st.sampled_from(["exposures", "exposures", "events", "events", "orders"]),
        PICKS,
    )
    redefines = st.builds(DefinitionEdit, st.sampled_from(edits.REDEFINITIONS), PICKS)
    first = Turn((), incremental, 0, draw(st.sampled_from((7, 3))))
    turn = st.builds(
        Turn,
        edits=st.lists(happens | happens | redefines, min_size=1, max_size=4).map(tuple),
        command=st.sampled_from(COMMANDS),
        pick=NUMBERS,
        through=st.sampled_from((7, 7, 7, 7, 6, 4, 3, 2, 1, 0)),
        early=st.sampled_from((False, False, False, True)),
        kill_at=st.sampled_from((False,) * 7 + (True,)).flatmap(
            lambda killed: st.integers(0, 150) if killed else st.none()
        ),
        meddling=st.sampled_from((False,) * 9 + (True,)).flatmap(
            lambda meddles: happens if meddles else st.none()
        ),
    )
    count = draw(st.sampled_from((1, 1, 2, 3)))
    turns = draw(st.lists(turn, min_size=count, max_size=count))
    return History(definitions, draw(st.sampled_from((8, 6, 4))), (first, *turns))


@contextmanager
def fast_folder() -> Iterator[Path]:
    """Make a folder, in memory where that is at hand."""
    memory = Path("/dev/shm")
    place = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def narrow(engine: staging.Engine, most: int) -> staging.Engine:
    """Return an engine whose tables of unit-days take few aggregates."""
    traits = engine._warehouse.traits
    engine._warehouse.traits = replace(traits, aggregates_per_table=most)
    return engine


def play(history: History) -> None:
    """Play a history: after every load the tables are right, and after the last those of a fresh one."""
    with fast_folder() as folder:
        Player(history, folder / "project").play()


class Player:
    """Plays a history in a folder.

    Args:
        history: What happens.
        folder: Where.
        begin: Returns the world in which it happens.
    """

    def __init__(
        self,
        history: History,
        folder: Path,
        begin: Callable[[Scenario, Path], World] = World.begin,
    ) -> None:
        self._turns = history.turns
        self._most = history.aggregates_per_table
        self._definitions = history.definitions
        self._world = begin(history.definitions.spelled_out(), folder)
        self._tables: Tables = {}
        for name in self._world.sources:
            count = len(self._world.arriving[name]) * history.arrived // 8
            edits.append(self._world, name, Picks(max(count - 1, 0)))

    def play(self) -> None:
        """Play all turns; a fresh project that reads the same files is loaded in the end."""
        for turn in self._turns:
            for edit in turn.edits:
                self._happen(edit)
            self._load(turn)
        self._compare_with_fresh(self._turns[-1])

    def _happen(self, edit: SourceEdit | DefinitionEdit) -> None:
        if isinstance(edit, SourceEdit):
            edit(self._world)
            return
        self._definitions = edit(self._definitions)
        self._world.scenario = self._definitions.spelled_out()
        self._world.write_definition()

    @property
    def _experiment(self) -> str:
        return self._world.scenario.experiment.id

    def _connect(self, turn: Turn, project: staging.Project) -> staging.Engine:
        through = target(self._world.scenario, turn.through)
        now = datetime.combine(through, time(12), UTC) if turn.early else NOW
        engine = staging.connect(project, now=lambda: now)
        return engine if self._most is None else narrow(engine, self._most)

    def _load(self, turn: Turn) -> None:
        """Load, and compare; without any exposure the load must fail and publish nothing."""
        through = target(self._world.scenario, turn.through)
        if not self._world.has_exposures(through):
            self._load_nothing(turn)
            return
        asked = turn.command(self._world.scenario, turn.pick)
        if turn.kill_at is not None:
            boundaries.load(self._world.folder, through, at=turn.kill_at, **asked)
        project = self._project()
        with self._connect(turn, project) as engine:
            want = self._world.expected(through)
            if turn.meddling is not None and not self._meddle(engine, turn, asked):
                want = self._world.expected(through)
                if not self._world.has_exposures(through):
                    return
                engine.run(self._experiment, through=through, **asked)
            elif turn.meddling is None:
                engine.run(self._experiment, through=through, **asked)
            self._tables = read_tables(engine, project, self._experiment)
            compare_tables(want, self._world.scenario.experiment, project, self._tables)
            assert engine.status(self._experiment)[0].interrupted is None

    def _meddle(self, engine: staging.Engine, turn: Turn, asked: dict[str, Any]) -> bool:
        """Load while a source changes; return whether the load was published."""
        edit = turn.meddling
        assert edit is not None

        def heard(event: object) -> None:
            if isinstance(event, LoadStarted):
                edit(self._world)

        through = target(self._world.scenario, turn.through)
        try:
            engine.run(self._experiment, through=through, on_event=heard, **asked)
        except staging.SourceFileError:
            return False
        return True

    def _load_nothing(self, turn: Turn) -> None:
        through = target(self._world.scenario, turn.through)
        with self._connect(turn, self._project()) as engine:
            before = engine.status(self._experiment)[0].loads
            with pytest.raises(staging.NoExposuresError):
                engine.run(
                    self._experiment,
                    through=through,
                    **turn.command(self._world.scenario, turn.pick),
                )
            assert engine.status(self._experiment)[0].loads == before

    def _project(self) -> staging.Project:
        return staging.load_project(self._world.folder)

    def _compare_with_fresh(self, turn: Turn) -> None:
        through = target(self._world.scenario, turn.through)
        if not self._world.has_exposures(through) or turn.meddling is not None:
            return
        project = staging.load_project(self._world.write_fresh_project())
        with self._connect(turn, project) as fresh:
            fresh.run(self._experiment, refresh="full", through=through)
            fresh_tables = read_tables(fresh, project, self._experiment)
        want = self._world.expected(through)
        compare_tables(want, self._world.scenario.experiment, project, fresh_tables)
        for name, table in fresh_tables.items():
            assert plain_rows(self._tables[name]) == plain_rows(table), name

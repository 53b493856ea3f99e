"""A project whose sources change: edits of the files, and what a full load over them would publish."""

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from hypothesis import strategies as st

import statsig_staging as staging
from statsig_staging import aggregates
from statsig_staging.engine import Engine
from tests import oracle
from tests.oracle import Event, Exposure
from tests.strategies import PARTITION_COLUMN, AssignmentSource, MetricSource, Scenario, scenarios

Row = Exposure | Event


@dataclass
class World:
    """A project folder and the rows that its files hold now.

    Attributes:
        scenario: The experiment; its rows arrive bit by bit.
        folder: The project folder.
        files: Source → file name → rows.
        arriving: Source → rows that have not arrived yet.
    """

    scenario: Scenario
    folder: Path
    files: dict[str, dict[str, list[Row]]] = field(default_factory=dict)
    arriving: dict[str, list[Row]] = field(default_factory=dict)
    written: int = 0

    @classmethod
    def begin(cls, scenario: Scenario, folder: Path, dice: random.Random) -> "World":
        """Return a project with an empty file in each source, where everything is still to come."""
        world = cls(scenario, folder)
        for name, source in world.sources.items():
            rows: list[Row] = list(source.rows)
            dice.shuffle(rows)
            world.arriving[name] = rows
            world.files[name] = {}
            world.put(name, world.new_name(name, None), [])
        folder.mkdir(parents=True, exist_ok=True)
        world.write_definition()
        return world

    def write_definition(self) -> None:
        """Write the project's configuration."""
        text = yaml.safe_dump(self.scenario.definition(), sort_keys=False, allow_unicode=True)
        (self.folder / "staging.yml").write_text(text, encoding="utf-8")

    @property
    def sources(self) -> Mapping[str, AssignmentSource | MetricSource]:
        """The sources by name."""
        return {"exposures": self.scenario.assignment, **self.scenario.sources}

    def rows(self, name: str) -> list[Row]:
        """Return the rows that a source's files hold now."""
        return [row for rows in self.files[name].values() for row in rows]

    def new_name(self, name: str, partition: date | None) -> str:
        """Return a file name that was never used, in the folder of a partition where there are folders."""
        self.written += 1
        file = f"part-{self.written:04d}.parquet"
        if self.sources[name].layout != "hive folders":
            return file
        return f"{PARTITION_COLUMN}={partition or date(2024, 1, 1)}/{file}"

    def put(self, name: str, file: str, rows: list[Row]) -> None:
        """Write a file of a source, in place of an earlier one of that name."""
        table = self.sources[name].table(rows)  # type: ignore[arg-type]
        if self.sources[name].layout == "hive folders":
            table = table.drop_columns([PARTITION_COLUMN])
        path = self.folder / "data" / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        self.files[name][file] = rows

    def add(self, name: str, rows: list[Row]) -> None:
        """Write rows as new files of a source."""
        if self.sources[name].layout != "hive folders":
            self.put(name, self.new_name(name, None), rows)
            return
        for partition in {row.partition for row in rows}:
            part = [row for row in rows if row.partition == partition]
            self.put(name, self.new_name(name, partition), part)

    def expected(self, through: date) -> oracle.Expected:
        """Return what a full load of the files through a day publishes."""
        events: dict[str, list[Event]] = {
            name: self.rows(name)  # type: ignore[misc]
            for name in self.scenario.sources
        }
        exposures: list[Exposure] = self.rows("exposures")  # type: ignore[assignment]
        return oracle.expected(self.scenario.experiment, exposures, events, through=through)

    def has_exposures(self, through: date) -> bool:
        """Return whether a load through a day finds any exposure."""
        rows: list[Exposure] = self.rows("exposures")  # type: ignore[assignment]
        return bool(oracle.kept_exposures(self.scenario.experiment, rows, through))


Edit = Callable[[World, str, random.Random], None]


def append(world: World, name: str, dice: random.Random) -> None:
    """Some rows arrive, of any day: new days, late rows and future ones alike."""
    waiting = world.arriving[name]
    count = dice.randint(1, max(1, len(waiting)))
    taken, world.arriving[name] = waiting[:count], waiting[count:]
    if taken:
        world.add(name, taken)


def append_in_order(world: World, name: str, dice: random.Random) -> None:
    """The rows of the earliest day that has any arrive, as on a normal day."""
    dated = [row for row in world.arriving[name] if row.at is not None]
    if not dated:
        append(world, name, dice)
        return
    first = min(str(row.at)[:10] for row in dated)
    taken = [row for row in dated if str(row.at)[:10] == first]
    world.arriving[name] = [row for row in world.arriving[name] if row not in taken]
    world.add(name, taken)


def duplicate(world: World, name: str, dice: random.Random) -> None:
    """A file's rows arrive once more."""
    rows = world.files[name][dice.choice(list(world.files[name]))]
    if rows:
        world.add(name, list(rows))


def delete(world: World, name: str, dice: random.Random) -> None:
    """A file vanishes; the last one of a source becomes empty instead."""
    file = dice.choice(list(world.files[name]))
    if len(world.files[name]) == 1:
        world.put(name, file, [])
        return
    (world.folder / "data" / name / file).unlink()
    del world.files[name][file]


def restate(world: World, name: str, dice: random.Random) -> None:
    """A file is written again with some of its rows gone, and one that comes from elsewhere."""
    file = dice.choice(list(world.files[name]))
    rows = [row for row in world.files[name][file] if dice.random() < 0.7]
    if world.arriving[name] and world.sources[name].layout != "hive folders":
        rows.append(world.arriving[name].pop())
    world.put(name, file, rows)


def move(world: World, name: str, dice: random.Random) -> None:
    """Rows of a file move by a day, or to another group."""
    file = dice.choice(list(world.files[name]))
    groups = [row.group for row in world.rows("exposures") if isinstance(row, Exposure)]
    rows = [_moved(row, groups, dice) for row in world.files[name][file]]
    world.put(name, file, rows)


def _moved(row: Row, groups: list[str | None], dice: random.Random) -> Row:
    if isinstance(row, Exposure) and dice.random() < 0.5:
        return replace(row, group=dice.choice(groups))
    days = timedelta(days=dice.choice([-2, -1, 0, 1]))
    match row:
        case Exposure(at=datetime() as at):
            return replace(row, at=at + days)
        case Event(at=date() as at):
            return replace(row, at=at + days)
        case _:
            return row


def touch(world: World, name: str, dice: random.Random) -> None:
    """A file gets a new time and keeps its rows."""
    file = dice.choice(list(world.files[name]))
    os.utime(world.folder / "data" / name / file, ns=(dice.randint(1, 10**18),) * 2)


EDITS: tuple[Edit, ...] = (
    append_in_order,
    append_in_order,
    append,
    append,
    duplicate,
    delete,
    restate,
    move,
    touch,
)


@dataclass(frozen=True)
class Turn:
    """What happens between two looks at the tables: edits, then a load."""

    edits: tuple[tuple[Edit, str], ...]
    refresh: str
    through: int


@st.composite
def histories(draw: st.DrawFn) -> tuple[Scenario, int, tuple[Turn, ...]]:
    """Draw an experiment, a seed for the dice, and a few turns."""
    scenario = draw(scenarios())
    names = ["exposures", *scenario.sources]
    edit = st.tuples(st.sampled_from(EDITS), st.sampled_from(names))
    turn = st.builds(
        Turn,
        edits=st.lists(edit, max_size=5).map(tuple),
        refresh=st.sampled_from(["incremental"] * 6 + ["full"]),
        through=st.integers(0, 8),
    )
    turns = draw(st.lists(turn, min_size=1, max_size=6))
    return scenario, draw(st.integers(0, 2**32)), tuple(turns)


def target(scenario: Scenario, offset: int) -> date:
    """Return a day to load through: a number of days after the start."""
    day = scenario.experiment.start + timedelta(days=offset)
    end = scenario.experiment.end
    return day if end is None else min(day, end)


def compare(world: World, engine: Engine, through: date, *, results: bool = True) -> None:
    """Assert that every published table is what a full load over the files now would publish."""
    experiment = world.scenario.experiment
    want = world.expected(through)
    for table in ("unit_day_exposures", "first_exposures", "exposures_summary"):
        found = engine.table(experiment.id, table).to_pylist()
        oracle.assert_close(found, getattr(want, table), table=table)
    project = staging.load_project(world.folder)
    for name, columns in unit_day_columns(project, experiment).items():
        found = engine.table(experiment.id, f"unit_day_metrics_{name}").to_pylist()
        oracle.assert_unit_days_close(found, want.unit_days[name], columns)
    if results:
        found = engine.results(experiment.id).to_pylist()
        oracle.assert_close(found, want.results, table="results")


def unit_day_columns(
    project: staging.Project, experiment: oracle.Experiment
) -> dict[str, dict[tuple[str, Any], str]]:
    """Return source → (metric, side) → the column that holds it."""
    found: dict[str, dict[tuple[str, Any], str]] = {}
    for metric in experiment.metrics:
        statistic = aggregates.statistic_of(project.metric(metric.name), project)
        for side, term in zip(("numerator", "denominator"), statistic.terms, strict=False):
            if term.once:
                # The unit-day stores how many rows there were; that there was one is told from it.
                continue
            columns = found.setdefault(term.aggregate.source, {})
            columns[metric.name, side] = term.aggregate.column
    return found


NOW = datetime(2025, 1, 1, tzinfo=UTC)
"""The clock of every test load: all days of all scenarios are over."""

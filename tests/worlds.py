"""A project whose sources change, and what a full load over them would publish."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

import statsig_staging as staging
from statsig_staging import durations
from statsig_staging.aggregates import Aggregate, Fold
from statsig_staging.engine import Engine
from statsig_staging.terms import ShapeKind
from tests import oracle, oracle_durations
from tests.oracle import Event, Exposure
from tests.strategies import PARTITION_COLUMN, AssignmentSource, MetricSource, Scenario, pattern

Row = Exposure | Event

NOW = datetime(2025, 1, 1, tzinfo=UTC)
"""The usual clock of test loads: all days of all scenarios are over."""


@dataclass
class World:
    """A project folder and the rows that its files hold now.

    Attributes:
        scenario: The experiment as it is defined now.
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
    def begin(cls, scenario: Scenario, folder: Path) -> "World":
        """Return a project with an empty file in each source, where everything is still to come."""
        world = cls(scenario, folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, source in world.sources.items():
            world.arriving[name] = list(source.rows)
            world.files[name] = {}
            world.put(name, world.new_name(name, None), [])
        world.write_definition()
        return world

    def write_definition(self) -> None:
        """Write the project's configuration as it is now."""
        write_yaml(self.folder, self.scenario.definition())

    def write_fresh_project(self) -> Path:
        """Write a project that reads the same files and has loaded nothing; return its folder."""
        definition = self.scenario.definition()
        definition["connection"]["sources"] = {
            f"shop.{name}": str(self.folder / "data" / name / pattern(source.layout))
            for name, source in self.sources.items()
        }
        folder = self.folder / "fresh"
        folder.mkdir()
        write_yaml(folder, definition)
        return folder

    @property
    def sources(self) -> Mapping[str, AssignmentSource | MetricSource]:
        """The sources by name."""
        return {"exposures": self.scenario.assignment, **self.scenario.sources}

    def rows(self, name: str) -> list[Row]:
        """Return the rows that a source's files hold now."""
        return [row for rows in self.files[name].values() for row in rows]

    def path(self, name: str, file: str) -> Path:
        """Return where a file of a source lies."""
        return self.folder / "data" / name / file

    def new_name(self, name: str, partition: date | None) -> str:
        """Return a file name that was never used, in the folder of a partition where there are folders."""
        self.written += 1
        file = f"part-{self.written:04d}.parquet"
        if self.sources[name].layout != "hive folders":
            return file
        return f"{PARTITION_COLUMN}={partition or date(2024, 1, 1)}/{file}"

    def put(self, name: str, file: str, rows: Iterable[Row]) -> None:
        """Write a file of a source, in place of an earlier one of that name."""
        rows = list(rows)
        table = self.sources[name].table(rows)  # type: ignore[arg-type]
        if self.sources[name].layout == "hive folders":
            table = table.drop_columns([PARTITION_COLUMN])
        path = self.path(name, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        self.files[name][file] = rows

    def add(self, name: str, rows: Iterable[Row]) -> None:
        """Write rows as new files of a source."""
        rows = list(rows)
        if self.sources[name].layout != "hive folders":
            self.put(name, self.new_name(name, None), rows)
            return
        for partition in sorted({row.partition for row in rows}, key=str):
            part = [row for row in rows if row.partition == partition]
            self.put(name, self.new_name(name, partition), part)

    def remove(self, name: str, file: str) -> None:
        """Remove a file of a source; the last one becomes empty instead, for a source needs one."""
        if len(self.files[name]) == 1:
            self.put(name, file, [])
            return
        self.path(name, file).unlink()
        del self.files[name][file]

    def touch(self, name: str, file: str, stamp: int) -> None:
        """Give a file another time, in nanoseconds since 1970."""
        os.utime(self.path(name, file), ns=(stamp, stamp))

    def restate(self, name: str, file: str, rows: Iterable[Row]) -> None:
        """Write a file again under its old time."""
        stat = self.path(name, file).stat()
        self.put(name, file, rows)
        os.utime(self.path(name, file), ns=(stat.st_atime_ns, stat.st_mtime_ns))

    def rename(self, name: str, file: str, new: str) -> None:
        """Give a file another name."""
        self.path(name, file).rename(self.path(name, new))
        self.files[name][new] = self.files[name].pop(file)

    def exposures(self) -> list[Exposure]:
        """Return the exposures as the column mapping has them."""
        source, unit = self.scenario.assignment, self.scenario.unit
        return [source.seen(row, unit) for row in self.rows("exposures")]  # type: ignore[arg-type]

    def expected(self, through: date) -> oracle.Expected:
        """Return what a full load of the files through a day publishes."""
        events = {
            name: [source.seen(row, self.scenario.unit) for row in self.rows(name)]  # type: ignore[arg-type]
            for name, source in self.scenario.sources.items()
        }
        return oracle.expected(self.scenario.experiment, self.exposures(), events, through=through)

    def has_exposures(self, through: date) -> bool:
        """Return whether a load through a day finds any exposure."""
        return bool(oracle.kept_exposures(self.scenario.experiment, self.exposures(), through))


def write_yaml(folder: Path, definition: Mapping[str, Any]) -> None:
    """Write a project's configuration."""
    text = yaml.safe_dump(definition, sort_keys=False, allow_unicode=True)
    (folder / "staging.yml").write_text(text, encoding="utf-8")


def target(scenario: Scenario, offset: int) -> date:
    """Return a day to load through: a number of days after the start, or the experiment's last."""
    day = scenario.experiment.start + timedelta(days=offset)
    end = oracle_durations.last_day(scenario.experiment)
    return day if end is None else min(day, end)


def compare(world: World, engine: Engine, through: date) -> None:
    """Assert that every published table is what a full load over the files now would publish."""
    project = staging.load_project(world.folder)
    tables = read_tables(engine, project, world.scenario.experiment.id)
    compare_tables(world.expected(through), world.scenario.experiment, project, tables)


Tables = Mapping[str, pa.Table]
"""Name of a table → what is published."""


def read_tables(engine: Engine, project: staging.Project, experiment: str) -> Tables:
    """Read all published tables of an experiment, the unit-days of a source as one."""
    found = {name: engine.table(experiment, name) for name in TABLES}
    tables = engine._reader.tables(
        project.experiment(experiment), engine._reader.current(experiment)
    )
    for name, table in tables.items():
        if table.name.kind == "unit_day_metrics":
            whole = f"unit_day_metrics_{table.name.source}"
            read = engine.table(experiment, name)
            found[whole] = side_by_side(found[whole], read) if whole in found else read
    return {**found, "results": engine.results(experiment)}


def side_by_side(left: pa.Table, right: pa.Table) -> pa.Table:
    """Return the unit-days of two tables as one, their columns sorted by name."""
    keys = ["unit_id", "ds"]
    both = left.join(right, keys, join_type="full outer")
    return both.select([*keys, *sorted(set(both.column_names).difference(keys))])


TABLES = ("exposure_counts", "unit_day_exposures", "first_exposures", "exposures_summary")


def compare_tables(
    want: oracle.Expected,
    experiment: oracle.Experiment,
    project: staging.Project,
    tables: Tables,
) -> None:
    """Assert that every table holds what is expected."""
    for table in ("unit_day_exposures", "first_exposures", "exposures_summary", "results"):
        oracle.assert_close(tables[table].to_pylist(), getattr(want, table), table=table)
    for name, columns in unit_day_columns(project, experiment).items():
        found = tables[f"unit_day_metrics_{name}"].to_pylist()
        oracle.assert_unit_days_close(found, want.unit_days[name], columns)


def unit_day_columns(
    project: staging.Project, experiment: oracle.Experiment
) -> dict[str, dict[tuple[str, Any], str]]:
    """Return source → (metric, side) → the column that holds it."""
    found: dict[str, dict[tuple[str, Any], str]] = {}
    every = durations.statistics_of(project.experiment(experiment.id), project)
    statistics = {each.metric: each for each in every if each.about is None}
    for metric in experiment.metrics:
        statistic = statistics[metric.name]
        for side, term in zip(("numerator", "denominator"), statistic.values, strict=False):
            if metric.type not in get_args(oracle.MetricType) or len(term.parts) > 1:
                continue
            [part] = term.parts
            aggregate, plain = part.aggregate, part.shape.kind is ShapeKind.PLAIN
            if not isinstance(aggregate, Aggregate) or aggregate.values is not None:
                continue
            bounds = (aggregate.span, aggregate.cap, aggregate.until)
            if not plain or any(bound is not None for bound in bounds):
                # The oracle has what is added up of all rows; how it counts is for results to show.
                continue
            if aggregate.kind.fold is not Fold.SUM:
                continue
            columns = found.setdefault(part.aggregate.source, {})
            columns[metric.name, side] = part.aggregate.column
    return found


def plain_rows(table: pa.Table) -> list[str]:
    """Return the rows of a table in order, as text and without what was added up as DOUBLE.

    Rows that hold nothing besides their key are left out: unit-days without any of today's metrics.
    """
    filled = pa.array([False] * table.num_rows, pa.bool_())
    for name in table.column_names:
        if name not in {"unit_id", "ds"}:
            filled = pc.or_(filled, table.column(name).is_valid())
    table = table.filter(filled)
    kept = [field.name for field in table.schema if field.type != pa.float64()]
    return sorted(map(repr, table.select(kept).to_pylist()))

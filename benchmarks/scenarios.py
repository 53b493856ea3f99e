"""What is measured: each scenario is a row of loads, of which some count."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import datasets
from benchmarks.answers import wrong_rows
from benchmarks.process import Load, Task
from benchmarks.subjects import BY_HAND, OURS, PROGRAMS, SubjectFailedError, run_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.datasets import Dataset
    from benchmarks.subjects import Ran

RUNS = Path(__file__).parent / "runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A load, by what exists when it runs.

    Attributes:
        days: How many days exist.
        late: How many of the first days have their late file by now; None where the data has none.
        without: The day whose late file of events has not come, by index.
        metrics: The metrics asked for.
    """

    days: int
    late: int | None = None
    without: int | None = None
    metrics: str = "ten"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A row of loads, and who does them.

    Attributes:
        name: What it is called on the command line.
        about: What it is, for people.
        moments: The loads, of so many days.
        subjects: Who takes part.
        skipped: Who does not, and why.
        one_process: Whether all loads happen in one process; else each has its own, and the last counts.
        days: How many days the rows are spread over, where it is not the scale's own number.
    """

    name: str
    about: str
    moments: Callable[[int], tuple[Moment, ...]]
    subjects: tuple[str, ...] = (OURS, BY_HAND)
    skipped: tuple[tuple[str, str], ...] = ()
    one_process: bool = False
    days: int | None = None

    def moments_of(self, subject: str, days: int) -> tuple[Moment, ...]:
        """Return the loads of a subject; the yardstick of a row of loads is one full load."""
        moments = self.moments(days)
        return moments[-1:] if subject == f"{OURS}_full_load" else moments


_INCREMENTAL = ("dbt_duckdb_delete_insert", "dbt_duckdb_merge")
_SQLMESH = "sqlmesh_by_time_range"
_PEERS = ("polars_by_hand", *_INCREMENTAL, _SQLMESH, "pyspark_by_hand")
_DAILY = (OURS, f"{OURS}_full_load", BY_HAND, f"{BY_HAND}_recompute")


def _middle(days: int) -> int:
    return days // 2


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="full_load",
            about="everything, from nothing",
            moments=lambda days: (Moment(days=days),),
            subjects=(OURS, BY_HAND, *_PEERS),
        ),
        Scenario(
            name="one_more_day",
            about="all days but the last are loaded; then the last day's files appear",
            moments=lambda days: (Moment(days=days - 1), Moment(days=days)),
            subjects=(OURS, BY_HAND, *_PEERS),
        ),
        Scenario(
            name="nothing_changed",
            about="everything is loaded; then there is nothing to do",
            moments=lambda days: (Moment(days=days), Moment(days=days)),
            subjects=(OURS, _SQLMESH),
            skipped=((BY_HAND, "it keeps no state, so it cannot tell"),),
        ),
        Scenario(
            name="late_file",
            about="everything is loaded; then a file with 0.1 % more of a day's events appears, "
            "in the middle",
            moments=lambda days: (
                Moment(days=days, late=days, without=_middle(days)),
                Moment(days=days, late=days),
            ),
            subjects=(OURS, BY_HAND, *_INCREMENTAL, _SQLMESH, "sqlmesh_restated"),
        ),
        Scenario(
            name="new_metric",
            about="nine metrics are loaded; then a tenth is asked for",
            moments=lambda days: (Moment(days=days, metrics="nine"), Moment(days=days)),
            subjects=(OURS, BY_HAND, _SQLMESH),
        ),
        Scenario(
            name="hundred_metrics",
            about="a full load of 100 metrics",
            moments=lambda days: (Moment(days=days, metrics="hundred"),),
            subjects=(OURS, BY_HAND, "polars_by_hand"),
        ),
        Scenario(
            name="daily_loads",
            about="every day is loaded when it is over, in one process",
            moments=lambda days: tuple(Moment(days=day) for day in range(1, days + 1)),
            subjects=(*_DAILY, _SQLMESH),
            one_process=True,
        ),
        Scenario(
            name="daily_loads_late",
            about="the same, and 0.1 % of exposures and events come one load late",
            moments=lambda days: tuple(
                Moment(days=day, late=day - 1) for day in range(1, days + 1)
            ),
            subjects=(OURS, f"{OURS}_full_load", f"{BY_HAND}_recompute"),
            one_process=True,
        ),
        Scenario(
            name="loads_in_a_row",
            about="300 daily loads in one process, of the same rows over 300 days",
            moments=lambda days: tuple(Moment(days=day) for day in range(1, days + 1)),
            subjects=(OURS, BY_HAND),
            one_process=True,
            days=300,
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What every subject may use."""

    threads: int
    memory_limit: str | None = None

    def settings(self) -> dict[str, str]:
        """Return the limits by the names that DuckDB and a connection give them."""
        found = {"threads": str(self.threads)}
        return found | ({"memory_limit": self.memory_limit} if self.memory_limit else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the loads that count cost together; None where a subject cannot tell."""

    seconds: float
    cpu_seconds: float
    process_seconds: float
    peak_mb: float
    bytes_read: int
    statements: int
    files_opened: int
    bytes_written: int | None = None
    commits: int | None = None
    each_seconds: tuple[float, ...] = ()
    steps: tuple[dict[str, Any], ...] = ()
    versions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All repeats of one subject in one scenario.

    Attributes:
        subject: Who.
        runs: What each repeat cost.
        wrong_rows: Rows of ``results`` that differ from a full load by hand, over all repeats.
        failure: The end of the error output of a subject that failed.
        skipped: Why it did not take part.
    """

    subject: str
    runs: tuple[Measured, ...] = ()
    wrong_rows: int = 0
    failure: str | None = None
    skipped: str | None = None

    @property
    def best(self) -> Measured:
        """The repeat that took the least time."""
        return min(self.runs, key=lambda run: run.seconds)


def run_scenario(
    scenario: Scenario,
    scale: datasets.Scale,
    limits: Limits,
    *,
    repeat: int = 1,
    root: Path = datasets.ROOT,
) -> tuple[Outcome, ...]:
    """Measure every subject, taking turns, and compare every answer with a full load by hand."""
    scale = scale if scenario.days is None else datasets.over_days(scale, scenario.days)
    dataset = datasets.ensure(scale, root=root)
    reasons = {name: PROGRAMS[name].missing() for name in scenario.subjects}
    missing = {name: why for name, why in reasons.items() if why is not None}
    outcomes = {
        name: Outcome(subject=name, skipped=missing.get(name)) for name in scenario.subjects
    }
    RUNS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RUNS, prefix=f"{scenario.name}-") as place:
        reference = reference_of(scenario, dataset, limits, Path(place) / "reference")
        for turn in range(repeat):
            for name in scenario.subjects:
                if name in missing:
                    continue
                folder = Path(place) / f"{name}-{turn}"
                outcomes[name] = _again(
                    outcomes[name], scenario, dataset, limits, folder, reference
                )
    return tuple(outcomes.values())


def reference_of(scenario: Scenario, dataset: Dataset, limits: Limits, folder: Path) -> Path:
    """Return the results of a full load by hand of what exists in the end."""
    last = scenario.moments(dataset.scale.days)[-1]
    alone = replace(
        scenario, moments=lambda _: (replace(last, late=None, without=None),), one_process=False
    )
    perform(alone, BY_HAND, dataset, limits, folder)
    return folder / "answer.parquet"


def _again(
    outcome: Outcome,
    scenario: Scenario,
    dataset: Dataset,
    limits: Limits,
    folder: Path,
    reference: Path,
) -> Outcome:
    """Return the outcome with one more repeat."""
    try:
        measured = perform(scenario, outcome.subject, dataset, limits, folder)
    except SubjectFailedError as error:
        return replace(outcome, failure=str(error))
    wrong = wrong_rows(folder / "answer.parquet", reference)
    shutil.rmtree(folder)
    return replace(outcome, runs=(*outcome.runs, measured), wrong_rows=outcome.wrong_rows + wrong)


def perform(
    scenario: Scenario,
    subject: str,
    dataset: Dataset,
    limits: Limits,
    folder: Path,
    *,
    run: Callable[[Task], Ran] = run_process,
) -> Measured:
    """Return what the loads of ``scenario`` that count cost; results lie in ``answer.parquet``."""
    loads = list(loads_of(scenario, subject, dataset))
    last_day = dataset.days[-1].isoformat()
    processes: Sequence[tuple[Load, ...]]
    if scenario.one_process:
        processes = [tuple(replace(load, counts=True) for load in loads)]
    else:
        processes = [(replace(load, counts=load is loads[-1]),) for load in loads]
    for each in processes[:-1]:
        run(_task(subject, folder, last_day, limits, each))
    return measured_of(run(_task(subject, folder, last_day, limits, processes[-1])))


def _task(
    subject: str, folder: Path, last_day: str, limits: Limits, loads: tuple[Load, ...]
) -> Task:
    return Task(
        subject=subject,
        folder=str(folder),
        last_day=last_day,
        limits=limits.settings(),
        loads=loads,
    )


def loads_of(scenario: Scenario, subject: str, dataset: Dataset) -> Iterator[Load]:
    """Return the loads of a subject with the files that appear before each."""
    known: set[str] = set()
    before = 0
    for moment in scenario.moments_of(subject, dataset.scale.days):
        shown = datasets.ensure_split(dataset) if moment.late is not None else dataset
        added: dict[str, dict[str, list[str]]] = {}
        for table in datasets.TABLES:
            for index, day in enumerate(dataset.days[: moment.days]):
                files = [
                    file
                    for file in shown.sources.files(table, [day])
                    if file not in known and _exists(file, table, index, moment)
                ]
                if files:
                    added.setdefault(table, {})[day.isoformat()] = files
                    known.update(files)
        days = [day.isoformat() for day in dataset.days[: moment.days]]
        yield Load(
            added=added,
            days=tuple(days),
            new_days=tuple(days[before:]),
            metrics=moment.metrics,
            counts=False,
        )
        before = moment.days


def _exists(file: str, table: str, index: int, moment: Moment) -> bool:
    if moment.late is None or not Path(file).name.startswith("late"):
        return True
    if moment.without == index:
        return table != "events"
    return index < moment.late


def measured_of(ran: Ran) -> Measured:
    """Return the sums over the loads that count."""
    loads = ran.report.loads
    costs = [load.cost for load in loads]
    looked_up = [
        sum(datasets.column_bytes(read.files, read.columns) for read in cost.reads)
        for cost in costs
    ]
    opened = [len({file for read in cost.reads for file in read.files}) for cost in costs]
    return Measured(
        seconds=sum(load.seconds for load in loads),
        cpu_seconds=sum(load.cpu_seconds for load in loads),
        process_seconds=ran.process_seconds,
        peak_mb=ran.report.peak_mb,
        bytes_read=sum(
            size if cost.bytes_read is None else cost.bytes_read
            for cost, size in zip(costs, looked_up, strict=True)
        ),
        statements=sum(cost.statements for cost in costs),
        files_opened=sum(
            count if cost.files_opened is None else cost.files_opened
            for cost, count in zip(costs, opened, strict=True)
        ),
        bytes_written=_sum(cost.bytes_written for cost in costs),
        commits=_sum(cost.commits for cost in costs),
        each_seconds=tuple(round(load.seconds, 4) for load in loads) if len(loads) > 1 else (),
        steps=tuple(costs[-1].steps) if costs else (),
        versions=tuple(sorted(ran.report.versions.items())),
    )


def _sum(values: Iterator[int | None]) -> int | None:
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) if found and len(known) == len(found) else None


def only(scenario: Scenario, subjects: Sequence[str] | None) -> Scenario:
    """Return the scenario with some of its subjects; all where none are named."""
    if not subjects:
        return scenario
    return replace(scenario, subjects=tuple(name for name in scenario.subjects if name in subjects))

"""What is measured: each scenario is a row of loads, and the last of them is the one that counts."""

from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet as pq

from benchmarks import datasets, duckdb_by_hand

if TYPE_CHECKING:
    from datetime import date

OURS = "statsig_staging"
BY_HAND = "duckdb_by_hand"
RUNS = Path(__file__).parent / "runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A row of loads, each in its own process.

    Attributes:
        name: What it is called on the command line.
        hidden_days: Per load, how many of the last days of data do not exist yet.
        subjects: Who takes part.
        skipped: Who does not, and why.
    """

    name: str
    hidden_days: tuple[int, ...]
    subjects: tuple[str, ...] = (OURS, BY_HAND)
    skipped: tuple[tuple[str, str], ...] = ()


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="full_load", hidden_days=(0,)),
        Scenario(name="one_more_day", hidden_days=(1, 0)),
        Scenario(
            name="nothing_changed",
            hidden_days=(0, 0),
            subjects=(OURS,),
            skipped=((BY_HAND, "it keeps no state, so it cannot tell"),),
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
class Task:
    """One load by one subject: what a fresh process is asked to do."""

    subject: str
    scale: str
    first: int
    hidden: int
    folder: str
    data: str
    limits: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one load cost."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    bytes_read: int
    statements: int
    files_opened: int
    steps: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All repeats of one subject in one scenario.

    Attributes:
        subject: Who.
        runs: What each repeat cost.
        wrong_rows: Rows of ``results`` that differ from a full load by hand, over all repeats.
        failure: The end of the error output of a subject that failed.
    """

    subject: str
    runs: tuple[Measured, ...]
    wrong_rows: int
    failure: str | None = None

    @property
    def best(self) -> Measured:
        """The repeat that took the least time."""
        return min(self.runs, key=lambda run: run.seconds)


class SubjectFailedError(Exception):
    """The process of a subject ended with an error."""


def run_scenario(
    scenario: Scenario, dataset: datasets.Dataset, limits: Limits, *, repeat: int = 1
) -> tuple[Outcome, ...]:
    """Measure every subject, taking turns, and compare every answer with a full load by hand."""
    RUNS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RUNS, prefix=f"{scenario.name}-") as name:
        folder = Path(name)
        _perform(SCENARIOS["full_load"], BY_HAND, dataset, limits, folder / "reference")
        reference = folder / "reference" / "answer.parquet"
        measured: dict[str, list[Measured]] = {subject: [] for subject in scenario.subjects}
        wrong = dict.fromkeys(scenario.subjects, 0)
        failures: dict[str, str] = {}
        for turn in range(repeat):
            for subject in scenario.subjects:
                place = folder / f"{subject}-{turn}"
                try:
                    measured[subject].append(_perform(scenario, subject, dataset, limits, place))
                except SubjectFailedError as error:
                    failures[subject] = str(error)
                    continue
                wrong[subject] += wrong_rows(place / "answer.parquet", reference)
                shutil.rmtree(place)
        return tuple(
            Outcome(
                subject=subject,
                runs=tuple(measured[subject]),
                wrong_rows=wrong[subject],
                failure=failures.get(subject),
            )
            for subject in scenario.subjects
        )


def _perform(
    scenario: Scenario, subject: str, dataset: datasets.Dataset, limits: Limits, folder: Path
) -> Measured:
    """Return what the last load of ``scenario`` cost; its results lie in ``answer.parquet``."""
    first = 0
    answers = []
    for hidden in scenario.hidden_days:
        visible = len(dataset.days) - hidden
        task = Task(
            subject=subject,
            scale=dataset.scale.name,
            first=first,
            hidden=hidden,
            folder=str(folder),
            data=str(dataset.sources.path.parent),
            limits=limits.settings(),
        )
        answers.append(_in_fresh_process(task))
        first = visible
    return answers[-1]


def _in_fresh_process(task: Task) -> Measured:
    command = [sys.executable, "-m", "benchmarks", "subject", json.dumps(asdict(task))]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SubjectFailedError(done.stderr[-2000:])
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def perform_task(task: Task) -> Measured:
    """Do the load of ``task`` in this process and keep the results beside it."""
    dataset = datasets.ensure(datasets.SCALES[task.scale], root=Path(task.data))
    days = dataset.days[: len(dataset.days) - task.hidden]
    folder = Path(task.folder)
    shown = datasets.link(dataset, folder / "sources", days)
    if task.subject == OURS:
        return _load_ours(dataset, folder, days, task)
    return _load_by_hand(shown, folder, days[task.first :], task.limits)


def _load_by_hand(
    shown: datasets.Sources, folder: Path, days: tuple[date, ...], limits: dict[str, str]
) -> Measured:
    began, spent = time.perf_counter(), _cpu_seconds()
    load = duckdb_by_hand.load(shown, folder / "tables", days=days, settings=limits)
    measured = Measured(
        seconds=time.perf_counter() - began,
        cpu_seconds=_cpu_seconds() - spent,
        peak_mb=_peak_mb(),
        bytes_read=load.bytes_read,
        statements=load.statements,
        files_opened=load.files_opened,
        steps=tuple(asdict(step) for step in load.steps),
    )
    results = duckdb.read_parquet(str(folder / "tables/results/*.parquet"))
    results.write_parquet(str(folder / "answer.parquet"))
    return measured


DRIVERS = (
    "duckdb",
    "pyarrow.parquet",
    "pyiceberg.catalog.sql",
    "statsig_staging.engine",
    "statsig_staging.warehouses.local.warehouse",
)
"""What our side imports late; imported before the clock starts, as the other side's driver is."""


def _load_ours(
    dataset: datasets.Dataset, folder: Path, days: tuple[date, ...], task: Task
) -> Measured:
    import statsig_staging as staging

    for name in DRIVERS:
        importlib.import_module(name)
    configuration = json.dumps(project(dataset, task.limits), indent=2)
    (folder / "staging.yml").write_text(configuration, encoding="utf-8")
    refresh = "full" if task.first == 0 else "incremental"

    began, spent = time.perf_counter(), _cpu_seconds()
    with staging.connect(staging.load_project(folder)) as engine:
        load = engine.run(datasets.EXPERIMENT_ID, refresh=refresh, through=days[-1])
        measured = Measured(
            seconds=time.perf_counter() - began,
            cpu_seconds=_cpu_seconds() - spent,
            peak_mb=_peak_mb(),
            bytes_read=load.bytes_read,
            statements=load.statements,
            files_opened=len(load.files_read),
            steps=tuple({"name": step.step, "seconds": step.seconds} for step in load.steps),
        )
        results = engine.results(datasets.EXPERIMENT_ID)
    pq.write_table(results, folder / "answer.parquet")
    return measured


def project(dataset: datasets.Dataset, limits: dict[str, str]) -> dict[str, Any]:
    """Return the project with the ten metrics that the SQL by hand computes."""
    connection: dict[str, Any] = {
        "warehouse": "local",
        "path": "warehouse",
        "folder": "statsig",
        "database": "statsig_staging",
        "sources": {
            "shop.exposures": "sources/exposures/*/*.parquet",
            "shop.events": "sources/events/*/*.parquet",
        },
        "threads": int(limits["threads"]),
    }
    if "memory_limit" in limits:
        connection["memory_limit"] = limits["memory_limit"]
    return {
        "connection": connection,
        "assignment_sources": [_ASSIGNMENT_SOURCE],
        "metric_sources": [_METRIC_SOURCE],
        "metrics": _METRICS,
        "experiments": [
            {
                "id": datasets.EXPERIMENT_ID,
                "assignment_source": "exposures",
                "unit": "user_id",
                "start": dataset.days[0].isoformat(),
                "end": dataset.days[-1].isoformat(),
                "groups": list(datasets.GROUPS),
                "control": datasets.GROUPS[0],
                "metrics": [metric["name"] for metric in _METRICS],
            }
        ],
    }


_ASSIGNMENT_SOURCE = {
    "name": "exposures",
    "table": '"shop"."exposures"',
    "timestamp": "exposed_at",
    "experiment_id": "experiment_id",
    "group_id": "group_id",
    "units": {"user_id": "user_id"},
    "partition": {"column": "ds"},
}

_METRIC_SOURCE = {
    "name": "events",
    "table": '"shop"."events"',
    "timestamp": "ts",
    "units": {"user_id": "user_id"},
    "columns": {"usd": "amount_cents / 100.0"},
    "partition": {"column": "ds"},
}

_VISIT = {"source": "events", "filter": "event_name = 'visit'"}
_CART = {"source": "events", "filter": "event_name = 'add_to_cart'"}
_PURCHASE = {"source": "events", "filter": "event_name = 'purchase'"}
_REVENUE = {"type": "sum", "value": "usd", **_PURCHASE}

_METRICS: list[dict[str, Any]] = [
    {"name": "visits", "type": "count", **_VISIT},
    {"name": "add_to_carts", "type": "count", **_CART},
    {"name": "purchases", "type": "count", **_PURCHASE},
    {"name": "revenue", **_REVENUE},
    {"name": "items", "type": "sum", "value": "quantity", **_PURCHASE},
    {"name": "order_value", "type": "mean", "value": "usd", **_PURCHASE},
    {"name": "visitors", "type": "unit_count", **_VISIT},
    {"name": "purchasers", "type": "unit_count", **_PURCHASE},
    {
        "name": "revenue_per_visit",
        "type": "ratio",
        "numerator": _REVENUE,
        "denominator": {"type": "count", **_VISIT},
    },
    {
        "name": "carts_per_visit",
        "type": "ratio",
        "numerator": {"type": "count", **_CART},
        "denominator": {"type": "count", **_VISIT},
    },
]


def wrong_rows(answer: Path, reference: Path) -> int:
    """Count the rows of ``results`` that are missing, too many, or differ in any column.

    Units are compared exactly, doubles to 1e-9 of their magnitude: a variance is a difference of
    squares, so its magnitude is that of the squares. Running totals that end at zero may be off
    by 1e-12.
    """
    agree = " AND ".join([_equal("units"), *(_close(name) for name in _MAGNITUDES)])
    keys = " AND ".join(f"a.{name} IS NOT DISTINCT FROM r.{name}" for name in _KEYS)
    query = f"""
        SELECT
            count(*) FILTER (WHERE NOT coalesce({agree}, false))
            + (SELECT count(*) - count(DISTINCT ({", ".join(_KEYS)})) FROM read_parquet($answer))
        FROM read_parquet($answer) AS a
        FULL JOIN read_parquet($reference) AS r ON {keys}
    """
    with duckdb.connect() as connection:
        paths = {"answer": str(answer), "reference": str(reference)}
        row = connection.execute(query, paths).fetchone()
    return int(row[0]) if row else 0


_KEYS = (
    "experiment_id",
    "rollup",
    "ds",
    "day_index",
    "metric",
    "dimension",
    "dimension_value",
    "group_id",
)

_MAGNITUDES = {
    "total": "r.total",
    "total_squares": "r.total_squares",
    "mean": "r.mean",
    "variance": "r.total_squares / (r.units - 1)",
    "denominator_total": "r.denominator_total",
    "denominator_total_squares": "r.denominator_total_squares",
    "numerator_denominator_product": "r.numerator_denominator_product",
}


def _equal(column: str) -> str:
    return f"a.{column} IS NOT DISTINCT FROM r.{column}"


def _close(column: str) -> str:
    size = _MAGNITUDES[column]
    return f"""({_equal(column)} OR abs(a.{column} - r.{column}) <= 1e-9 * greatest(abs({size}), 1e-3))"""


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_mb() -> float:
    """Return the most memory this process ever held."""
    # On Linux ru_maxrss of a new program starts at what its parent held; VmHWM does not.
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) / 1024
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def default_threads() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

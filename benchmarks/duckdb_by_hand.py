"""The floor: the same tables and results from hand-written DuckDB SQL, as plain Parquet.

Written as a good analyst would write it for this one experiment: filters pushed into the scans,
one pass over each source, temporary tables in between, and results of every day from running
totals instead of a units-by-days grid (the grid took 1.8 times as long at scale M). No state, no
Iceberg, nothing about late rows: loading further days expects that older ones stay as they were.
"""

from __future__ import annotations

import resource
import shutil
import time
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from benchmarks.metrics import EVENTS, EXPERIMENT_ID, EXPOSURE_COLUMNS, GROUPS, SETS, START
from benchmarks.process import Cost, Read, serve, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.metrics import MetricSet
    from benchmarks.process import Load, Task

ANEW = "recompute"
"""Part of the name of a subject that does every load from nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One statement: what it cost."""

    name: str
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Session:
    """A connection that remembers what each statement cost."""

    connection: duckdb.DuckDBPyConnection
    steps: list[Step] = field(default_factory=list)

    def run(self, name: str, statement: str) -> None:
        """Run one statement."""
        began, spent = time.perf_counter(), _cpu()
        self.connection.execute(statement)
        self.steps.append(
            Step(name=name, seconds=time.perf_counter() - began, cpu_seconds=_cpu() - spent)
        )


def load_days(
    sources: Mapping[str, Sequence[str]],
    out: Path,
    *,
    days: tuple[date, ...],
    settings: Mapping[str, str],
    metrics: MetricSet = SETS["ten"],
) -> Cost:
    """Load ``days`` and write every table below ``out``; the days before them lie there already.

    Args:
        sources: The files of ``exposures`` and ``events`` of these days.
        out: Folder of the tables.
        days: Consecutive days; from the first day of the experiment on, it is a full load.
        settings: DuckDB settings.
        metrics: What to compute.
    """
    out.mkdir(parents=True, exist_ok=True)
    exposures, events = list(sources["exposures"]), list(sources["events"])
    with duckdb.connect() as connection:
        connection.execute("SET preserve_insertion_order = false")
        for name, value in {"temp_directory": str(out / "spill"), **settings}.items():
            connection.execute(f"SET {name} = '{value}'")
        session = Session(connection)
        _exposures(session, exposures, out, days)
        _unit_day_metrics(session, events, out, days, metrics)
        if str(days[0]) == START:
            _moments_of_all_days(session, metrics)
        else:
            _moments_of_last_day(session, out, days[-1], metrics)
        _results(session, out / f"results/{days[-1]}.parquet", days, metrics)
    return Cost(
        statements=len(session.steps),
        reads=(
            Read(files=tuple(exposures), columns=EXPOSURE_COLUMNS),
            Read(files=tuple(events), columns=metrics.columns),
        ),
        steps=tuple(asdict(step) for step in session.steps),
    )


def _exposures(session: Session, files: list[str], out: Path, days: tuple[date, ...]) -> None:
    bounds = f">= '{days[0]}' AND exposed_at < DATE '{days[-1]}' + INTERVAL 1 DAY"
    session.run("unit_day_exposures", _UNIT_DAY_EXPOSURES.format(files=files, bounds=bounds))
    session.run("unit_day_exposures: write", _partitioned("unit_day_exposures", out))
    known = "unit_day_exposures"
    if str(days[0]) != START:
        known = f"read_parquet('{out}/unit_day_exposures/*/*.parquet', hive_partitioning = true)"
    session.run("first_exposures", _FIRST_EXPOSURES.format(unit_day_exposures=known))
    session.run("first_exposures: write", _copy("first_exposures", out / "first_exposures.parquet"))
    session.run("exposures_summary", _EXPOSURES_SUMMARY.format(first=START, last=days[-1]))
    target = out / "exposures_summary.parquet"
    session.run("exposures_summary: write", _copy("exposures_summary", target))


def _unit_day_metrics(
    session: Session, files: list[str], out: Path, days: tuple[date, ...], metrics: MetricSet
) -> None:
    bounds = f">= '{days[0]}' AND e.ts < DATE '{days[-1]}' + INTERVAL 1 DAY"
    columns = ",\n    ".join(f"{each.sql} AS {each.name}" for each in metrics.aggregates)
    session.run(
        "unit_day_metrics", _UNIT_DAY_METRICS.format(files=files, bounds=bounds, columns=columns)
    )
    session.run("unit_day_metrics: write", _partitioned("unit_day_metrics", out))


def _partitioned(table: str, out: Path) -> str:
    options = "FORMAT parquet, COMPRESSION zstd, PARTITION_BY (ds), OVERWRITE_OR_IGNORE"
    return f"COPY {table} TO '{out / table}' ({options})"


def _copy(table: str, target: Path) -> str:
    target.parent.mkdir(exist_ok=True)
    return f"COPY {table} TO '{target}' (FORMAT parquet, COMPRESSION zstd)"


# The groups are two, so the later of their first rows is the first row in a second group.
_UNIT_DAY_EXPOSURES = f"""
CREATE TEMP TABLE unit_day_exposures AS
SELECT
    unit_id,
    ds,
    min(first_seen) AS first_exposure,
    arg_min(group_id, (first_seen, group_id)) AS group_id,
    min(group_id) AS min_group_id,
    max(group_id) AS max_group_id,
    IF(count(*) > 1, max(first_seen), NULL) AS crossover_at
FROM (
    SELECT user_id AS unit_id, ds, group_id, min(exposed_at) AS first_seen
    FROM read_parquet({{files}}, hive_partitioning = true)
    WHERE experiment_id = '{EXPERIMENT_ID}'
        AND user_id <> '' AND group_id IN {GROUPS} AND exposed_at {{bounds}}
    GROUP BY user_id, ds, group_id
)
GROUP BY unit_id, ds
"""

_FIRST_EXPOSURES = """
CREATE TEMP TABLE first_exposures AS
WITH firsts AS (
    SELECT
        unit_id,
        arg_min(group_id, first_exposure) AS group_id,
        min(first_exposure) AS first_exposure,
        min(min_group_id) <> max(max_group_id) AS crossover
    FROM {unit_day_exposures}
    GROUP BY unit_id
),
crossings AS (
    SELECT
        unit_id,
        min(IF(d.group_id <> f.group_id, d.first_exposure, d.crossover_at)) AS crossover_at
    FROM {unit_day_exposures} AS d
    JOIN firsts AS f USING (unit_id)
    WHERE f.crossover
    GROUP BY unit_id
)
SELECT
    f.unit_id,
    f.group_id,
    f.first_exposure,
    CAST(f.first_exposure AS DATE) AS first_exposure_ds,
    f.crossover,
    c.crossover_at
FROM firsts AS f
LEFT JOIN crossings AS c USING (unit_id)
"""

_EXPOSURES_SUMMARY = f"""
CREATE TEMP TABLE exposures_summary AS
WITH days AS (
    SELECT CAST(unnest(generate_series(DATE '{{first}}', DATE '{{last}}', INTERVAL 1 DAY)) AS DATE) AS ds
),
moves AS (
    SELECT first_exposure_ds AS ds, group_id, 1 AS came, 0 AS gone FROM first_exposures
    UNION ALL
    SELECT CAST(crossover_at AS DATE), group_id, 0, 1 FROM first_exposures WHERE crossover
),
daily AS (
    SELECT
        d.ds,
        g.group_id,
        CAST(coalesce(sum(m.came), 0) AS BIGINT) AS daily_first_exposures,
        CAST(coalesce(sum(m.gone), 0) AS BIGINT) AS daily_crossovers
    FROM days AS d
    CROSS JOIN (SELECT unnest({list(GROUPS)}) AS group_id) AS g
    LEFT JOIN moves AS m ON m.ds = d.ds AND m.group_id = g.group_id
    GROUP BY d.ds, g.group_id
)
SELECT
    *,
    CAST(sum(daily_first_exposures - daily_crossovers) OVER (PARTITION BY group_id ORDER BY ds) AS BIGINT)
        AS cumulative_exposures
FROM daily
"""

_UNIT_DAY_METRICS = f"""
CREATE TEMP TABLE unit_day_metrics AS
SELECT
    f.unit_id,
    e.ds,
    {{columns}}
FROM read_parquet({{files}}, hive_partitioning = true) AS e
JOIN first_exposures AS f ON e.user_id = f.unit_id AND e.ts >= f.first_exposure
WHERE e.event_name IN {EVENTS} AND e.ts {{bounds}}
GROUP BY f.unit_id, e.ds
"""


def _moments_of_all_days(session: Session, metrics: MetricSet) -> None:
    """Sum, day by day, by how much each unit moves its group's totals, squares and products.

    A unit that meets its second group moves them by all it had, once, on that day.
    """
    names = [each.name for each in metrics.aggregates]
    values = ", ".join(f"CAST(coalesce(m.{x}, 0) AS DOUBLE) AS {x}" for x in names)
    zeros = ", ".join(f"0.0::DOUBLE AS {x}" for x in names)
    befores = ", ".join(f"sum({x}) OVER unit_days - {x} AS {x}_before" for x in names)
    nows = ", ".join(f"IF(gone, 0, {x}_before + {x}) AS {x}_now" for x in names)
    session.run(
        "moves",
        f"""
        CREATE TEMP TABLE moves AS
        WITH counted AS (
            SELECT m.unit_id, m.ds, f.group_id, false AS gone, {values}
            FROM unit_day_metrics AS m
            JOIN first_exposures AS f USING (unit_id)
            WHERE NOT f.crossover OR m.ds < CAST(f.crossover_at AS DATE)
            UNION ALL
            SELECT unit_id, CAST(crossover_at AS DATE), group_id, true, {zeros}
            FROM first_exposures
            WHERE crossover
        ),
        earlier AS (
            SELECT *, {befores} FROM counted WINDOW unit_days AS (PARTITION BY unit_id ORDER BY ds)
        ),
        running AS (SELECT *, {nows} FROM earlier)
        SELECT ds, group_id, {_sums(metrics, "{}")}, {_moves(metrics)}
        FROM running
        GROUP BY ds, group_id
        """,
    )
    dailies = ", ".join(f"coalesce({name}, 0) AS {name}" for name in metrics.moments)
    totals = ", ".join(
        f"coalesce(sum(moved_{name}) OVER days, 0) AS {name}" for name in metrics.moments
    )
    session.run(
        "moments",
        f"""
        CREATE TEMP TABLE moments AS
        SELECT 'daily' AS rollup, s.ds, s.group_id, s.cumulative_exposures AS units, {dailies}
        FROM exposures_summary AS s LEFT JOIN moves USING (ds, group_id)
        UNION ALL
        SELECT 'cumulative', s.ds, s.group_id, s.cumulative_exposures, {totals}
        FROM exposures_summary AS s LEFT JOIN moves USING (ds, group_id)
        WINDOW days AS (PARTITION BY s.group_id ORDER BY s.ds)
        """,
    )


def _moments_of_last_day(session: Session, out: Path, day: date, metrics: MetricSet) -> None:
    """Sum the totals of the units that count on ``day``, over all days and over that day alone."""
    names = [each.name for each in metrics.aggregates]
    history = f"read_parquet('{out}/unit_day_metrics/*/*.parquet', hive_partitioning = true)"
    totals = ", ".join(f"CAST(coalesce(sum(m.{x}), 0) AS DOUBLE) AS {x}" for x in names)
    rollups = " UNION ALL ".join(
        f"""
        SELECT '{rollup}' AS rollup, f.unit_id, f.group_id, {totals}
        FROM {source} AS m JOIN first_exposures AS f USING (unit_id)
        WHERE NOT f.crossover
        GROUP BY f.unit_id, f.group_id
        """
        for rollup, source in (("cumulative", history), ("daily", "unit_day_metrics"))
    )
    sums = ", ".join(f"coalesce({name}, 0) AS {name}" for name in metrics.moments)
    session.run(
        "moments",
        f"""
        CREATE TEMP TABLE moments AS
        WITH totals AS ({rollups}),
        summed AS (SELECT rollup, group_id, {_sums(metrics, "{}")} FROM totals GROUP BY rollup, group_id)
        SELECT r.rollup, s.ds, s.group_id, s.cumulative_exposures AS units, {sums}
        FROM exposures_summary AS s
        CROSS JOIN (SELECT unnest(['daily', 'cumulative']) AS rollup) AS r
        LEFT JOIN summed AS t ON t.rollup = r.rollup AND t.group_id = s.group_id
        WHERE s.ds = '{day}'
        """,
    )


def _expressions(metrics: MetricSet, pattern: str) -> dict[str, str]:
    """Return what is summed up over units, by name, of the columns that ``pattern`` makes."""
    found = {}
    for name, (one, other) in metrics.moments.items():
        column = pattern.format(one)
        if other is None:
            found[name] = column
        elif other == "> 0":
            found[name] = f"CAST({column} > 0 AS DOUBLE)"
        else:
            found[name] = f"{column} * {pattern.format(other)}"
    return found


def _sums(metrics: MetricSet, pattern: str) -> str:
    found = _expressions(metrics, pattern)
    return ", ".join(f"sum({text}) AS {name}" for name, text in found.items())


def _moves(metrics: MetricSet) -> str:
    before, now = _expressions(metrics, "{}_before"), _expressions(metrics, "{}_now")
    return ", ".join(
        f"sum({now[name]} - {before[name]}) AS moved_{name}" for name in metrics.moments
    )


def _results(session: Session, target: Path, days: tuple[date, ...], metrics: MetricSet) -> None:
    target.parent.mkdir(exist_ok=True)
    rows = ", ".join(_metric_row(*metric) for metric in metrics.rows())
    session.run(
        "results",
        f"""
        COPY (
            WITH laid_out AS (
                SELECT rollup, ds, group_id, units, unnest([{rows}], recursive := true)
                FROM moments
                WHERE ds >= '{days[0]}'
            )
            SELECT
                '{EXPERIMENT_ID}' AS experiment_id,
                rollup,
                ds,
                CAST(NULL AS INTEGER) AS day_index,
                metric,
                CAST(NULL AS VARCHAR) AS dimension,
                CAST(NULL AS VARCHAR) AS dimension_value,
                group_id,
                units,
                total,
                total_squares,
                total / nullif(IF(has_denominator, denominator_total, units), 0) AS mean,
                IF(units > 1, (total_squares - total * total / units) / (units - 1), NULL) AS variance,
                denominator_total,
                denominator_total_squares,
                numerator_denominator_product
            FROM laid_out
            ORDER BY rollup, ds, metric, group_id
        ) TO '{target}' (FORMAT parquet, COMPRESSION zstd)
        """,
    )


def _metric_row(
    name: str, total: str, squares: str, denominator: tuple[str, str, str] | None
) -> str:
    below, below_squares, product = denominator or ("NULL::DOUBLE",) * 3
    return f"""{{
        'metric': '{name}', 'total': {total}, 'total_squares': {squares},
        'has_denominator': {denominator is not None}, 'denominator_total': {below},
        'denominator_total_squares': {below_squares}, 'numerator_denominator_product': {product}
    }}"""


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _load(task: Task, load: Load) -> Cost:
    """Do one load; old days that changed, and other metrics, mean that everything is done again."""
    anew = load.is_full or load.old_days_changed or not load.new_days or ANEW in task.subject
    days = load.days if anew else load.new_days
    tables = ("exposures", "events")
    sources = {table: shown(task.sources, table, days) for table in tables}
    out = Path(task.folder) / "tables"
    if anew:
        shutil.rmtree(out, ignore_errors=True)
    return load_days(
        sources,
        out,
        days=tuple(date.fromisoformat(day) for day in days),
        settings=task.limits,
        metrics=SETS[load.metrics],
    )


def _answer(task: Task) -> None:
    results = duckdb.read_parquet(f"{task.folder}/tables/results/*.parquet")
    results.write_parquet(str(task.answer))


if __name__ == "__main__":
    serve(_load, _answer, {"duckdb": duckdb.__version__})

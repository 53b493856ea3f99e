"""dbt with DuckDB: incremental models per day, as dbt's documentation lays them out.

``unit_day_exposures`` and ``unit_day_metrics`` are incremental: they read the source from the last day
that they hold, and replace it (``delete+insert`` on the day, ``merge`` on unit and day). First exposures,
the summary and all results are tables made anew from those. A row that arrives for an earlier day
is not read; dbt says so and suggests a lookback or a full refresh, which is what a new metric gets.
"""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dbt.adapters.duckdb  # noqa: F401  (its drivers, before the clock starts)
import duckdb
from dbt.cli.main import dbtRunner

from benchmarks.metrics import (
    EVENTS,
    EXPERIMENT_ID,
    EXPOSURE_COLUMNS,
    GROUPS,
    SETS,
    START,
    MetricSet,
)
from benchmarks.process import Cost, Read, serve, shown

if TYPE_CHECKING:
    from benchmarks.process import Load, Task

STRATEGIES = {
    "dbt_duckdb_delete_insert": ("delete+insert", "ds"),
    "dbt_duckdb_merge": ("merge", "['unit_id', 'ds']"),
}


def prepare(task: Task, load: Load) -> None:
    """Write the project; a model's text is the same from load to load."""
    folder = Path(task.folder) / "dbt"
    (folder / "models").mkdir(parents=True, exist_ok=True)
    (folder / "dbt_project.yml").write_text(
        "name: bench\nversion: '1.0'\nprofile: bench\nmodel-paths: [models]\n"
        "flags: {send_anonymous_usage_stats: false}\n",
        encoding="utf-8",
    )
    limits = "".join(
        f"        {name}: '{value}'\n"
        for name, value in task.limits.items()
        if name == "memory_limit"
    )
    (folder / "profiles.yml").write_text(
        "bench:\n  target: dev\n  outputs:\n    dev:\n      type: duckdb\n"
        f"      path: {folder}/bench.duckdb\n      threads: {task.limits['threads']}\n"
        f"      settings:\n        threads: {task.limits['threads']}\n{limits}",
        encoding="utf-8",
    )
    strategy, key = STRATEGIES[task.subject]
    header = (
        "{{ config(materialized='incremental', incremental_strategy='"
        + strategy
        + "', unique_key="
        + (key if key.startswith("[") else f"'{key}'")
        + ") }}\n"
    )
    models = {
        "unit_day_exposures": header + _UNIT_DAY_EXPOSURES,
        "first_exposures": _TABLE + _FIRST_EXPOSURES,
        "exposures_summary": _TABLE + _EXPOSURES_SUMMARY.replace("LAST", load.days[-1]),
        "unit_day_metrics": header + _unit_day_metrics(SETS[load.metrics]),
        "moments": _TABLE + _moments(SETS[load.metrics]),
        "results": _TABLE + _results(SETS[load.metrics]),
    }
    for name, text in models.items():
        place = folder / "models" / f"{name}.sql"
        place.write_text(text.replace("SOURCES", str(task.sources)), encoding="utf-8")


def load(task: Task, load: Load) -> Cost:
    """Run dbt once."""
    folder = Path(task.folder) / "dbt"
    statements = 0

    def heard(event: Any) -> None:
        nonlocal statements
        statements += event.info.name == "SQLQuery"

    begins = _first_day_read(folder, load)
    arguments = ["run", "--project-dir", str(folder), "--profiles-dir", str(folder), "--quiet"]
    if load.is_full or load.old_days_changed or load.new_days:
        done = dbtRunner(callbacks=[heard]).invoke(arguments)
    else:
        done = dbtRunner(callbacks=[heard]).invoke([*arguments, "--full-refresh"])
    if not done.success:
        raise RuntimeError(str(done.exception or [each.message for each in done.result]))
    days = tuple(day for day in load.days if day >= begins)
    return Cost(
        statements=statements,
        reads=(
            Read(
                files=tuple(shown(task.sources, "exposures", days)),
                columns=EXPOSURE_COLUMNS,
            ),
            Read(
                files=tuple(shown(task.sources, "events", days)),
                columns=SETS[load.metrics].columns,
            ),
        ),
    )


def _first_day_read(folder: Path, load: Load) -> str:
    """Return the last day that was loaded before, which is read again."""
    before = [day for day in load.days if day not in load.new_days]
    if load.is_full or not (folder / "bench.duckdb").exists() or not load.new_days:
        return before[-1] if load.old_days_changed and before else START
    return before[-1] if before else START


_TABLE = "{{ config(materialized='table') }}\n"

# The documentation's own pattern, with the day looked up first so that folders can be left out.
_SINCE = """
{% if is_incremental() %}
  {% set since = run_query("SELECT coalesce(max(ds), DATE '1970-01-01') FROM " ~ this).columns[0].values()[0] %}
  AND COLUMN.ds >= DATE '{{ since }}'
{% endif %}
"""

_UNIT_DAY_EXPOSURES = f"""
SELECT
    unit_id, ds,
    min(first_seen) AS first_exposure,
    arg_min(group_id, (first_seen, group_id)) AS group_id,
    min(group_id) AS min_group_id,
    max(group_id) AS max_group_id,
    CASE WHEN count(*) > 1 THEN max(first_seen) END AS crossover_at
FROM (
    SELECT x.user_id AS unit_id, x.ds, x.group_id, min(x.exposed_at) AS first_seen
    FROM read_parquet('SOURCES/exposures/*/*.parquet', hive_partitioning = true) AS x
    WHERE x.experiment_id = '{EXPERIMENT_ID}' AND x.user_id <> '' AND x.group_id IN {GROUPS}
    {_SINCE.replace("COLUMN", "x")}
    GROUP BY ALL
)
GROUP BY unit_id, ds
"""

_FIRST_EXPOSURES = """
WITH firsts AS (
    SELECT
        unit_id,
        arg_min(group_id, first_exposure) AS group_id,
        min(first_exposure) AS first_exposure,
        min(min_group_id) <> max(max_group_id) AS crossover
    FROM {{ ref('unit_day_exposures') }}
    GROUP BY unit_id
),
crossings AS (
    SELECT
        unit_id,
        min(CASE WHEN d.group_id <> f.group_id THEN d.first_exposure ELSE d.crossover_at END) AS crossover_at
    FROM {{ ref('unit_day_exposures') }} AS d
    JOIN firsts AS f USING (unit_id)
    WHERE f.crossover
    GROUP BY unit_id
)
SELECT f.*, CAST(f.first_exposure AS DATE) AS first_exposure_ds, c.crossover_at
FROM firsts AS f LEFT JOIN crossings AS c USING (unit_id)
"""

_EXPOSURES_SUMMARY = f"""
WITH moves AS (
    SELECT first_exposure_ds AS ds, group_id, 1 AS came, 0 AS gone FROM {{{{ ref('first_exposures') }}}}
    UNION ALL
    SELECT CAST(crossover_at AS DATE), group_id, 0, 1 FROM {{{{ ref('first_exposures') }}}} WHERE crossover
),
daily AS (
    SELECT
        CAST(d.ds AS DATE) AS ds, g.group_id,
        CAST(coalesce(sum(came), 0) AS BIGINT) AS daily_first_exposures,
        CAST(coalesce(sum(gone), 0) AS BIGINT) AS daily_crossovers
    FROM generate_series(DATE '{START}', DATE 'LAST', INTERVAL 1 DAY) AS d(ds)
    CROSS JOIN (SELECT unnest({list(GROUPS)}) AS group_id) AS g
    LEFT JOIN moves AS m ON m.ds = d.ds AND m.group_id = g.group_id
    GROUP BY d.ds, g.group_id
)
SELECT *, CAST(sum(daily_first_exposures - daily_crossovers)
    OVER (PARTITION BY group_id ORDER BY ds) AS BIGINT) AS cumulative_exposures
FROM daily
"""


def _unit_day_metrics(metrics: MetricSet) -> str:
    columns = ",\n    ".join(f"{each.sql} AS {each.name}" for each in metrics.aggregates)
    return f"""
SELECT
    f.unit_id, e.ds,
    {columns}
FROM read_parquet('SOURCES/events/*/*.parquet', hive_partitioning = true) AS e
JOIN {{{{ ref('first_exposures') }}}} AS f ON e.user_id = f.unit_id AND e.ts >= f.first_exposure
WHERE e.event_name IN {EVENTS}
{_SINCE.replace("COLUMN", "e")}
GROUP BY f.unit_id, e.ds
"""


def _expressions(metrics: MetricSet, pattern: str) -> dict[str, str]:
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


def _moments(metrics: MetricSet) -> str:
    names = [each.name for each in metrics.aggregates]
    values = ", ".join(f"CAST(coalesce(m.{x}, 0) AS DOUBLE) AS {x}" for x in names)
    zeros = ", ".join(f"0.0::DOUBLE AS {x}" for x in names)
    befores = ", ".join(f"sum({x}) OVER unit_days - {x} AS {x}_before" for x in names)
    nows = ", ".join(f"CASE WHEN gone THEN 0 ELSE {x}_before + {x} END AS {x}_now" for x in names)
    sums = ", ".join(f"sum({sql}) AS {x}" for x, sql in _expressions(metrics, "{}").items())
    before, now = _expressions(metrics, "{}_before"), _expressions(metrics, "{}_now")
    moved = ", ".join(f"sum({now[x]} - {before[x]}) AS moved_{x}" for x in metrics.moments)
    dailies = ", ".join(f"coalesce({x}, 0) AS {x}" for x in metrics.moments)
    totals = ", ".join(f"coalesce(sum(moved_{x}) OVER days, 0) AS {x}" for x in metrics.moments)
    return f"""
WITH counted AS (
    SELECT m.unit_id, m.ds, f.group_id, false AS gone, {values}
    FROM {{{{ ref('unit_day_metrics') }}}} AS m JOIN {{{{ ref('first_exposures') }}}} AS f USING (unit_id)
    WHERE NOT f.crossover OR m.ds < CAST(f.crossover_at AS DATE)
    UNION ALL
    SELECT unit_id, CAST(crossover_at AS DATE), group_id, true, {zeros}
    FROM {{{{ ref('first_exposures') }}}} WHERE crossover
),
earlier AS (SELECT *, {befores} FROM counted WINDOW unit_days AS (PARTITION BY unit_id ORDER BY ds)),
running AS (SELECT *, {nows} FROM earlier),
moves AS (SELECT ds, group_id, {sums}, {moved} FROM running GROUP BY ds, group_id)
SELECT 'daily' AS rollup, s.ds, s.group_id, s.cumulative_exposures AS units, {dailies}
FROM {{{{ ref('exposures_summary') }}}} AS s LEFT JOIN moves USING (ds, group_id)
UNION ALL
SELECT 'cumulative', s.ds, s.group_id, s.cumulative_exposures, {totals}
FROM {{{{ ref('exposures_summary') }}}} AS s LEFT JOIN moves USING (ds, group_id)
WINDOW days AS (PARTITION BY s.group_id ORDER BY s.ds)
"""


def _results(metrics: MetricSet) -> str:
    rows = ", ".join(_metric_row(*row) for row in metrics.rows())
    return f"""
WITH laid_out AS (
    SELECT rollup, ds, group_id, units, unnest([{rows}], recursive := true)
    FROM {{{{ ref('moments') }}}}
)
SELECT
    '{EXPERIMENT_ID}' AS experiment_id, rollup, ds, CAST(NULL AS INTEGER) AS day_index, metric,
    CAST(NULL AS VARCHAR) AS dimension, CAST(NULL AS VARCHAR) AS dimension_value, group_id, units,
    total, total_squares,
    total / nullif(CASE WHEN has_denominator THEN denominator_total ELSE units END, 0) AS mean,
    CASE WHEN units > 1 THEN (total_squares - total * total / units) / (units - 1) END AS variance,
    denominator_total, denominator_total_squares, numerator_denominator_product
FROM laid_out
"""


def _metric_row(
    name: str, total: str, squares: str, denominator: tuple[str, str, str] | None
) -> str:
    below, below_squares, product = denominator or ("NULL::DOUBLE",) * 3
    # A space between braces: two of them would be Jinja's.
    return (
        "{ "
        f"'metric': '{name}', 'total': {total}, 'total_squares': {squares}, "
        f"'has_denominator': {denominator is not None}, 'denominator_total': {below}, "
        f"'denominator_total_squares': {below_squares}, 'numerator_denominator_product': {product}"
        " }"
    )


def answer(task: Task) -> None:
    """Copy the results out of the database, which dbt still holds open."""
    folder = Path(task.folder)
    for ending in ("", ".wal"):
        database = folder / "dbt" / f"bench.duckdb{ending}"
        if database.exists():
            shutil.copyfile(database, folder / f"answer.duckdb{ending}")
    with duckdb.connect(str(folder / "answer.duckdb")) as connection:
        connection.execute(f"COPY results TO '{task.answer}' (FORMAT parquet)")


if __name__ == "__main__":
    serve(
        load,
        answer,
        {name: metadata.version(name) for name in ("dbt-core", "dbt-duckdb", "duckdb")},
        before=prepare,
    )

"""The models that dbt and SQLMesh lay out alike: SELECTs for DuckDB, of one experiment.

What differs is given by the caller: how a model is named inside another one, and which rows of a source
an incremental model reads. Plain Python, so that both environments can import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.metrics import EVENTS, EXPERIMENT_ID, GROUPS, START

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.metrics import MetricSet

INCREMENTAL = ("unit_day_exposures", "unit_day_metrics")
"""The models that read a source; the others are small, and made anew from these."""


def models(
    metrics: MetricSet,
    sources: Path,
    last_day: str,
    *,
    ref: Callable[[str], str],
    since: Callable[[str], str],
) -> dict[str, str]:
    """Return name → SELECT, each after those that it reads.

    Args:
        metrics: What to compute.
        sources: The folder of the sources.
        last_day: The last day of the results, as an SQL expression.
        ref: The name by which one model reads another.
        since: What is added to the condition on a source, for its column ``ds``.
    """
    return {
        "unit_day_exposures": _unit_day_exposures(sources, since),
        "first_exposures": _first_exposures(ref),
        "exposures_summary": _exposures_summary(last_day, ref),
        "unit_day_metrics": _unit_day_metrics(metrics, sources, ref, since),
        "moments": _moments(metrics, ref),
        "results": _results(metrics, ref),
    }


def _unit_day_exposures(sources: Path, since: Callable[[str], str]) -> str:
    return f"""
SELECT
    unit_id, ds,
    min(first_seen) AS first_exposure,
    arg_min(group_id, (first_seen, group_id)) AS group_id,
    min(group_id) AS min_group_id,
    max(group_id) AS max_group_id,
    CASE WHEN count(*) > 1 THEN max(first_seen) END AS crossover_at
FROM (
    SELECT x.user_id AS unit_id, x.ds, x.group_id, min(x.exposed_at) AS first_seen
    FROM read_parquet('{sources}/exposures/*/*.parquet', hive_partitioning = true) AS x
    WHERE x.experiment_id = '{EXPERIMENT_ID}' AND x.user_id <> '' AND x.group_id IN {GROUPS}
    {since("x.ds")}
    GROUP BY x.user_id, x.ds, x.group_id
) AS seen
GROUP BY unit_id, ds
"""


def _first_exposures(ref: Callable[[str], str]) -> str:
    return f"""
WITH firsts AS (
    SELECT
        unit_id,
        arg_min(group_id, first_exposure) AS group_id,
        min(first_exposure) AS first_exposure,
        min(min_group_id) <> max(max_group_id) AS crossover
    FROM {ref("unit_day_exposures")}
    GROUP BY unit_id
),
crossings AS (
    SELECT
        d.unit_id,
        min(CASE WHEN d.group_id <> f.group_id THEN d.first_exposure ELSE d.crossover_at END) AS crossover_at
    FROM {ref("unit_day_exposures")} AS d
    JOIN firsts AS f ON f.unit_id = d.unit_id
    WHERE f.crossover
    GROUP BY d.unit_id
)
SELECT
    f.unit_id, f.group_id, f.first_exposure, f.crossover,
    CAST(f.first_exposure AS DATE) AS first_exposure_ds, c.crossover_at
FROM firsts AS f LEFT JOIN crossings AS c ON c.unit_id = f.unit_id
"""


def _exposures_summary(last_day: str, ref: Callable[[str], str]) -> str:
    groups = " UNION ALL ".join(f"SELECT '{group}' AS group_id" for group in GROUPS)
    return f"""
WITH moves AS (
    SELECT first_exposure_ds AS ds, group_id, 1 AS came, 0 AS gone FROM {ref("first_exposures")}
    UNION ALL
    SELECT CAST(crossover_at AS DATE), group_id, 0, 1 FROM {ref("first_exposures")} WHERE crossover
),
groups AS ({groups}),
daily AS (
    SELECT
        CAST(d.ds AS DATE) AS ds, g.group_id,
        CAST(coalesce(sum(m.came), 0) AS BIGINT) AS daily_first_exposures,
        CAST(coalesce(sum(m.gone), 0) AS BIGINT) AS daily_crossovers
    FROM generate_series(DATE '{START}', {last_day}, INTERVAL 1 DAY) AS d(ds)
    CROSS JOIN groups AS g
    LEFT JOIN moves AS m ON m.ds = d.ds AND m.group_id = g.group_id
    GROUP BY d.ds, g.group_id
)
SELECT
    ds, group_id, daily_first_exposures, daily_crossovers,
    CAST(sum(daily_first_exposures - daily_crossovers)
        OVER (PARTITION BY group_id ORDER BY ds) AS BIGINT) AS cumulative_exposures
FROM daily
"""


def _unit_day_metrics(
    metrics: MetricSet, sources: Path, ref: Callable[[str], str], since: Callable[[str], str]
) -> str:
    columns = ",\n    ".join(f"{each.sql} AS {each.name}" for each in metrics.aggregates)
    return f"""
SELECT
    f.unit_id, e.ds,
    {columns}
FROM read_parquet('{sources}/events/*/*.parquet', hive_partitioning = true) AS e
JOIN {ref("first_exposures")} AS f ON e.user_id = f.unit_id AND e.ts >= f.first_exposure
WHERE e.event_name IN {EVENTS}
{since("e.ds")}
GROUP BY f.unit_id, e.ds
"""


def expressions(metrics: MetricSet, pattern: str) -> dict[str, str]:
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


def _moments(metrics: MetricSet, ref: Callable[[str], str]) -> str:
    names = [each.name for each in metrics.aggregates]
    values = ", ".join(f"CAST(coalesce(m.{x}, 0) AS DOUBLE) AS {x}" for x in names)
    zeros = ", ".join(f"CAST(0 AS DOUBLE) AS {x}" for x in names)
    befores = ", ".join(f"sum({x}) OVER unit_days - {x} AS {x}_before" for x in names)
    nows = ", ".join(f"CASE WHEN gone THEN 0 ELSE {x}_before + {x} END AS {x}_now" for x in names)
    kept = ", ".join(f"{x}, {x}_before" for x in names)
    sums = ", ".join(f"sum({sql}) AS {x}" for x, sql in expressions(metrics, "{}").items())
    before, now = expressions(metrics, "{}_before"), expressions(metrics, "{}_now")
    moved = ", ".join(f"sum({now[x]} - {before[x]}) AS moved_{x}" for x in metrics.moments)
    dailies = ", ".join(f"coalesce(m.{x}, 0) AS {x}" for x in metrics.moments)
    totals = ", ".join(f"coalesce(sum(m.moved_{x}) OVER days, 0) AS {x}" for x in metrics.moments)
    summary = f"{ref('exposures_summary')} AS s LEFT JOIN moves AS m ON m.ds = s.ds AND m.group_id = s.group_id"
    return f"""
WITH counted AS (
    SELECT m.unit_id, m.ds, f.group_id, false AS gone, {values}
    FROM {ref("unit_day_metrics")} AS m JOIN {ref("first_exposures")} AS f ON f.unit_id = m.unit_id
    WHERE NOT f.crossover OR m.ds < CAST(f.crossover_at AS DATE)
    UNION ALL
    SELECT unit_id, CAST(crossover_at AS DATE), group_id, true, {zeros}
    FROM {ref("first_exposures")} WHERE crossover
),
earlier AS (
    SELECT unit_id, ds, group_id, gone, {", ".join(names)}, {befores}
    FROM counted WINDOW unit_days AS (PARTITION BY unit_id ORDER BY ds)
),
running AS (SELECT ds, group_id, {kept}, {nows} FROM earlier),
moves AS (SELECT ds, group_id, {sums}, {moved} FROM running GROUP BY ds, group_id)
SELECT 'daily' AS rollup, s.ds, s.group_id, s.cumulative_exposures AS units, {dailies}
FROM {summary}
UNION ALL
SELECT 'cumulative', s.ds, s.group_id, s.cumulative_exposures, {totals}
FROM {summary}
WINDOW days AS (PARTITION BY s.group_id ORDER BY s.ds)
"""


def _results(metrics: MetricSet, ref: Callable[[str], str]) -> str:
    rows = " UNION ALL ".join(_metric_rows(ref("moments"), *row) for row in metrics.rows())
    return f"""
WITH laid_out AS ({rows})
SELECT
    '{EXPERIMENT_ID}' AS experiment_id, rollup, ds, CAST(NULL AS INTEGER) AS day_index, metric,
    CAST(NULL AS VARCHAR) AS dimension, CAST(NULL AS VARCHAR) AS dimension_value, group_id, units,
    total, total_squares,
    total / nullif(CASE WHEN has_denominator THEN denominator_total ELSE units END, 0) AS mean,
    CASE WHEN units > 1 THEN (total_squares - total * total / units) / (units - 1) END AS variance,
    denominator_total, denominator_total_squares, numerator_denominator_product
FROM laid_out
"""


def _metric_rows(
    moments: str, name: str, total: str, squares: str, denominator: tuple[str, str, str] | None
) -> str:
    below, below_squares, product = denominator or ("CAST(NULL AS DOUBLE)",) * 3
    return f"""
    SELECT
        rollup, ds, group_id, units, '{name}' AS metric, {total} AS total, {squares} AS total_squares,
        {denominator is not None} AS has_denominator, {below} AS denominator_total,
        {below_squares} AS denominator_total_squares, {product} AS numerator_denominator_product
    FROM {moments}
    """

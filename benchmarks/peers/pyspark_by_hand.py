"""Spark by hand: Spark SQL on one machine, plain Parquet; the same tables and results.

Set up as its documentation has it: adaptive execution, as many shuffle partitions as there are threads
instead of 200, days overwritten one by one, and writes rebalanced so that a day is one file. The session
is started before the clock, as it is in a notebook or a job that does more than this; ``process_seconds``
has it. Loading one more day reads that day's files and the tables that lie there already.
"""

from __future__ import annotations

import shutil
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyspark
from pyspark.sql import SparkSession

from benchmarks.metrics import EVENTS, EXPERIMENT_ID, EXPOSURE_COLUMNS, GROUPS, SETS, START
from benchmarks.peers.models import expressions
from benchmarks.process import Cost, Read, Task, serve, shown

if TYPE_CHECKING:
    from benchmarks.metrics import MetricSet
    from benchmarks.process import Load

MEMORY = "4g"
"""Of the driver, which does all the work here; Spark's own default is 1g."""


def start(limits: dict[str, str]) -> SparkSession:
    """Start the session."""
    memory = limits.get("memory_limit", MEMORY).removesuffix("B")
    threads = limits["threads"]
    settings = {
        "spark.driver.memory": memory,
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.shuffle.partitions": threads,
        "spark.sql.sources.partitionOverwriteMode": "dynamic",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
    }
    builder = SparkSession.builder.master(f"local[{threads}]").appName("bench")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


@cache
def _session() -> SparkSession:
    """Return the session of this process's task."""
    return start(Task.from_json(Path(sys.argv[1]).read_text(encoding="utf-8")).limits)


class _Tables:
    """The tables of one load below a folder; each is a view once it is written."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self._spark = spark
        self._folder = folder
        self.statements = 0

    def place(self, name: str) -> str:
        return str(self._folder / name)

    def read(self, name: str, place: str) -> None:
        self._spark.read.parquet(place).createOrReplaceTempView(name)

    def write(self, name: str, query: str, *, by_day: bool = False) -> None:
        """Write the rows of a query, days in place of the same days, and show the whole table."""
        rows = self._spark.sql(query)
        if by_day:
            rows.hint("rebalance", "ds").write.partitionBy("ds").mode("overwrite").parquet(
                self.place(name)
            )
        else:
            rows.coalesce(1).write.mode("overwrite").parquet(self.place(name))
        self.read(name, self.place(name))
        self.statements += 1


def load(task: Task, load: Load) -> Cost:
    """Do one load: the new days, or all of them where old ones changed."""
    metrics = SETS[load.metrics]
    anew = load.is_full or load.old_days_changed or not load.new_days
    days = load.days if anew else load.new_days
    spark = _session()
    tables = _Tables(spark, Path(task.folder) / "tables")
    if anew:
        shutil.rmtree(tables.place(""), ignore_errors=True)
    tables.read("exposures", f"{task.sources}/exposures")
    tables.read("events", f"{task.sources}/events")
    between = f"ds BETWEEN DATE '{days[0]}' AND DATE '{days[-1]}'"
    tables.write("unit_day_exposures", _UNIT_DAY_EXPOSURES.format(between=between), by_day=True)
    tables.write("first_exposures", _FIRST_EXPOSURES)
    tables.write("exposures_summary", _EXPOSURES_SUMMARY.format(last=load.days[-1]))
    tables.write("unit_day_metrics", _unit_day_metrics(metrics, between), by_day=True)
    if anew:
        # As a table: Spark would compute what is read twice twice.
        tables.write("moves", _moves(metrics))
    moments = _moments_of_all_days(metrics) if anew else _moments_of_day(metrics, days[-1])
    spark.sql(moments).createOrReplaceTempView("moments")
    tables.write("results", _results(metrics), by_day=True)
    return Cost(
        statements=tables.statements,
        reads=tuple(
            Read(files=tuple(shown(task.sources, table, days)), columns=columns)
            for table, columns in (("exposures", EXPOSURE_COLUMNS), ("events", metrics.columns))
        ),
    )


_UNIT_DAY_EXPOSURES = f"""
SELECT
    unit_id, ds,
    min(first_seen) AS first_exposure,
    min_by(group_id, struct(first_seen, group_id)) AS group_id,
    min(group_id) AS min_group_id,
    max(group_id) AS max_group_id,
    CASE WHEN count(*) > 1 THEN max(first_seen) END AS crossover_at
FROM (
    SELECT user_id AS unit_id, ds, group_id, min(exposed_at) AS first_seen
    FROM exposures
    WHERE experiment_id = '{EXPERIMENT_ID}' AND user_id <> '' AND group_id IN {GROUPS} AND {{between}}
    GROUP BY user_id, ds, group_id
)
GROUP BY unit_id, ds
"""

_FIRST_EXPOSURES = """
WITH firsts AS (
    SELECT
        unit_id,
        min_by(group_id, first_exposure) AS group_id,
        min(first_exposure) AS first_exposure,
        min(min_group_id) <> max(max_group_id) AS crossover
    FROM unit_day_exposures
    GROUP BY unit_id
),
crossings AS (
    SELECT
        d.unit_id,
        min(CASE WHEN d.group_id <> f.group_id THEN d.first_exposure ELSE d.crossover_at END) AS crossover_at
    FROM unit_day_exposures AS d
    JOIN firsts AS f ON f.unit_id = d.unit_id
    WHERE f.crossover
    GROUP BY d.unit_id
)
SELECT f.*, CAST(f.first_exposure AS DATE) AS first_exposure_ds, c.crossover_at
FROM firsts AS f LEFT JOIN crossings AS c ON c.unit_id = f.unit_id
"""

_EXPOSURES_SUMMARY = f"""
WITH moves AS (
    SELECT first_exposure_ds AS ds, group_id, 1 AS came, 0 AS gone FROM first_exposures
    UNION ALL
    SELECT CAST(crossover_at AS DATE), group_id, 0, 1 FROM first_exposures WHERE crossover
),
days AS (SELECT explode(sequence(DATE '{START}', DATE '{{last}}', INTERVAL 1 DAY)) AS ds),
groups AS (SELECT explode(array{GROUPS}) AS group_id),
daily AS (
    SELECT
        d.ds, g.group_id,
        coalesce(sum(m.came), 0) AS daily_first_exposures,
        coalesce(sum(m.gone), 0) AS daily_crossovers
    FROM days AS d
    CROSS JOIN groups AS g
    LEFT JOIN moves AS m ON m.ds = d.ds AND m.group_id = g.group_id
    GROUP BY d.ds, g.group_id
)
SELECT
    *,
    sum(daily_first_exposures - daily_crossovers) OVER (PARTITION BY group_id ORDER BY ds)
        AS cumulative_exposures
FROM daily
"""


def _unit_day_metrics(metrics: MetricSet, between: str) -> str:
    columns = ",\n    ".join(f"{each.sql} AS {each.name}" for each in metrics.aggregates)
    # An integer divided by 100.0 would be a decimal.
    return f"""
SELECT
    f.unit_id, e.ds,
    {columns}
FROM (
    SELECT * EXCEPT (amount_cents), CAST(amount_cents AS DOUBLE) AS amount_cents
    FROM events
    WHERE event_name IN {EVENTS} AND {between}
) AS e
JOIN first_exposures AS f ON e.user_id = f.unit_id AND e.ts >= f.first_exposure
GROUP BY f.unit_id, e.ds
"""


def _moves(metrics: MetricSet) -> str:
    """Sum, day by day, by how much each unit moves its group's totals, squares and products."""
    names = [each.name for each in metrics.aggregates]
    values = ", ".join(f"CAST(coalesce(m.{x}, 0) AS DOUBLE) AS {x}" for x in names)
    zeros = ", ".join(f"0D AS {x}" for x in names)
    befores = ", ".join(f"(sum({x}) OVER unit_days) - {x} AS {x}_before" for x in names)
    nows = ", ".join(f"IF(gone, 0D, {x}_before + {x}) AS {x}_now" for x in names)
    sums = ", ".join(f"sum({sql}) AS {x}" for x, sql in expressions(metrics, "{}").items())
    before, now = expressions(metrics, "{}_before"), expressions(metrics, "{}_now")
    moved = ", ".join(f"sum({now[x]} - {before[x]}) AS moved_{x}" for x in metrics.moments)
    return f"""
WITH counted AS (
    SELECT m.unit_id, m.ds, f.group_id, false AS gone, {values}
    FROM unit_day_metrics AS m JOIN first_exposures AS f ON f.unit_id = m.unit_id
    WHERE NOT f.crossover OR m.ds < CAST(f.crossover_at AS DATE)
    UNION ALL
    SELECT unit_id, CAST(crossover_at AS DATE), group_id, true, {zeros}
    FROM first_exposures WHERE crossover
),
earlier AS (SELECT *, {befores} FROM counted WINDOW unit_days AS (PARTITION BY unit_id ORDER BY ds)),
running AS (SELECT *, {nows} FROM earlier)
SELECT ds, group_id, {sums}, {moved} FROM running GROUP BY ds, group_id
"""


def _moments_of_all_days(metrics: MetricSet) -> str:
    """Lay the moves out by day and group, and sum them up over days."""
    days = "(PARTITION BY s.group_id ORDER BY s.ds)"
    dailies = ", ".join(f"coalesce(m.{x}, 0D) AS {x}" for x in metrics.moments)
    totals = ", ".join(
        f"coalesce(sum(m.moved_{x}) OVER {days}, 0D) AS {x}" for x in metrics.moments
    )
    summary = (
        "exposures_summary AS s LEFT JOIN moves AS m ON m.ds = s.ds AND m.group_id = s.group_id"
    )
    return f"""
SELECT 'daily' AS rollup, s.ds, s.group_id, s.cumulative_exposures AS units, {dailies} FROM {summary}
UNION ALL
SELECT 'cumulative', s.ds, s.group_id, s.cumulative_exposures, {totals} FROM {summary}
"""


def _moments_of_day(metrics: MetricSet, day: str) -> str:
    """Sum the totals of the units that count on ``day``, over all days and over that day alone."""
    names = [each.name for each in metrics.aggregates]
    totals = ", ".join(f"CAST(coalesce(sum(m.{x}), 0) AS DOUBLE) AS {x}" for x in names)
    sums = ", ".join(f"sum({sql}) AS {x}" for x, sql in expressions(metrics, "{}").items())
    laid = ", ".join(f"coalesce(t.{x}, 0D) AS {x}" for x in metrics.moments)
    rollups = " UNION ALL ".join(
        f"""
        SELECT '{rollup}' AS rollup, f.unit_id, f.group_id, {totals}
        FROM unit_day_metrics AS m JOIN first_exposures AS f ON f.unit_id = m.unit_id
        WHERE NOT f.crossover AND {condition}
        GROUP BY f.unit_id, f.group_id
        """
        for rollup, condition in (("cumulative", "true"), ("daily", f"m.ds = DATE '{day}'"))
    )
    return f"""
WITH totals AS ({rollups}),
summed AS (SELECT rollup, group_id, {sums} FROM totals GROUP BY rollup, group_id)
SELECT r.rollup, s.ds, s.group_id, s.cumulative_exposures AS units, {laid}
FROM exposures_summary AS s
CROSS JOIN (SELECT explode(array('daily', 'cumulative')) AS rollup) AS r
LEFT JOIN summed AS t ON t.rollup = r.rollup AND t.group_id = s.group_id
WHERE s.ds = DATE '{day}'
"""


def _results(metrics: MetricSet) -> str:
    rows = ", ".join(_metric_row(*row) for row in metrics.rows())
    return f"""
WITH laid_out AS (SELECT rollup, ds, group_id, units, inline(array({rows})) FROM moments)
SELECT
    '{EXPERIMENT_ID}' AS experiment_id, rollup, CAST(NULL AS INT) AS day_index, metric,
    CAST(NULL AS STRING) AS dimension, CAST(NULL AS STRING) AS dimension_value, group_id, units,
    total, total_squares,
    total / nullif(IF(has_denominator, denominator_total, units), 0) AS mean,
    CASE WHEN units > 1 THEN (total_squares - total * total / units) / (units - 1) END AS variance,
    denominator_total, denominator_total_squares, numerator_denominator_product, ds
FROM laid_out
"""


def _metric_row(
    name: str, total: str, squares: str, denominator: tuple[str, str, str] | None
) -> str:
    below, below_squares, product = denominator or ("CAST(NULL AS DOUBLE)",) * 3
    fields: dict[str, Any] = {
        "metric": f"'{name}'",
        "total": total,
        "total_squares": squares,
        "has_denominator": denominator is not None,
        "denominator_total": below,
        "denominator_total_squares": below_squares,
        "numerator_denominator_product": product,
    }
    return "named_struct(" + ", ".join(f"'{key}', {value}" for key, value in fields.items()) + ")"


def answer(task: Task) -> None:
    """Write all results into one file."""
    place = Path(task.folder) / "answer"
    results = _session().read.parquet(f"{task.folder}/tables/results")
    results.coalesce(1).write.mode("overwrite").parquet(str(place))
    [file] = place.glob("*.parquet")
    file.rename(task.answer)


if __name__ == "__main__":
    _session()
    serve(load, answer, {"pyspark": pyspark.__version__})

"""Polars by hand: lazy scans, one pass over each source, plain Parquet; the same tables and results.

The unit grid is never made: running totals per unit, as in the SQL by hand. Loading one more day
reads that day's files and the tables that lie there already.
"""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from benchmarks.metrics import EVENTS, EXPERIMENT_ID, EXPOSURE_COLUMNS, GROUPS, SETS
from benchmarks.process import Cost, Read, serve, shown

if TYPE_CHECKING:
    from benchmarks.metrics import Aggregate, MetricSet
    from benchmarks.process import Load, Task

DAY = timedelta(days=1)


def load(task: Task, load: Load) -> Cost:
    """Do one load: the new days, or all of them where old ones changed."""
    metrics = SETS[load.metrics]
    out = Path(task.folder) / "tables"
    anew = load.is_full or load.old_days_changed or not load.new_days
    if anew:
        shutil.rmtree(out, ignore_errors=True)
    days = load.days if anew else load.new_days
    exposures, events = (shown(task.sources, name, days) for name in ("exposures", "events"))
    first, last = (date.fromisoformat(day) for day in (load.days[0], load.days[-1]))
    start = date.fromisoformat(days[0])
    out.mkdir(parents=True, exist_ok=True)

    unit_days = _unit_day_exposures(exposures, start, last)
    _write_days(unit_days, out / "unit_day_exposures")
    if not anew:
        unit_days = pl.read_parquet(out / "unit_day_exposures/*.parquet")
    firsts = _first_exposures(unit_days)
    firsts.write_parquet(out / "first_exposures.parquet")
    summary = _exposures_summary(firsts, first, last)
    summary.write_parquet(out / "exposures_summary.parquet")
    activity = _unit_day_metrics(events, firsts, start, last, metrics)
    _write_days(activity, out / "unit_day_metrics")
    moments = (
        _moments_of_all_days(activity, firsts, summary, metrics)
        if anew
        else _moments_of_last_day(out, activity, firsts, summary, last, metrics)
    )
    target = out / "results" / f"{last}.parquet"
    target.parent.mkdir(exist_ok=True)
    _results(moments, metrics).write_parquet(target)
    return Cost(
        statements=6,
        reads=(
            Read(files=tuple(exposures), columns=EXPOSURE_COLUMNS),
            Read(files=tuple(events), columns=metrics.columns),
        ),
    )


def _within(column: str, first: date, last: date) -> pl.Expr:
    return (pl.col(column) >= pl.lit(first)) & (pl.col(column) < pl.lit(last + DAY))


def _write_days(table: pl.DataFrame, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for (day,), rows in table.partition_by("ds", as_dict=True).items():
        rows.write_parquet(folder / f"{day}.parquet")


def _unit_day_exposures(files: list[str], first: date, last: date) -> pl.DataFrame:
    seen = (
        pl.scan_parquet(files, hive_partitioning=False)
        .filter(
            pl.col("experiment_id") == EXPERIMENT_ID,
            pl.col("user_id") != "",
            pl.col("group_id").is_in(GROUPS),
            _within("exposed_at", first, last),
        )
        .group_by(
            pl.col("user_id").alias("unit_id"),
            pl.col("exposed_at").dt.date().alias("ds"),
            "group_id",
        )
        .agg(pl.col("exposed_at").min().alias("seen"))
    )
    return (
        seen.sort("seen", "group_id")
        .group_by("unit_id", "ds")
        .agg(
            pl.col("seen").first().alias("first_exposure"),
            pl.col("group_id").first().alias("group_id"),
            pl.col("group_id").min().alias("min_group_id"),
            pl.col("group_id").max().alias("max_group_id"),
            pl.when(pl.len() > 1).then(pl.col("seen").max()).alias("crossover_at"),
        )
        .collect(engine="streaming")
    )


def _first_exposures(unit_days: pl.DataFrame) -> pl.DataFrame:
    firsts = (
        unit_days.sort("first_exposure")
        .group_by("unit_id")
        .agg(
            pl.col("group_id").first(),
            pl.col("first_exposure").first(),
            (pl.col("min_group_id").min() != pl.col("max_group_id").max()).alias("crossover"),
        )
        .with_columns(pl.col("first_exposure").dt.date().alias("first_exposure_ds"))
    )
    crossings = (
        unit_days.join(
            firsts.filter("crossover").select("unit_id", pl.col("group_id").alias("first_group")),
            on="unit_id",
        )
        .group_by("unit_id")
        .agg(
            pl.when(pl.col("group_id") != pl.col("first_group"))
            .then("first_exposure")
            .otherwise("crossover_at")
            .min()
            .alias("crossover_at")
        )
    )
    return firsts.join(crossings, on="unit_id", how="left").with_columns(
        pl.col("crossover_at").dt.date().alias("crossover_ds")
    )


def _exposures_summary(firsts: pl.DataFrame, first: date, last: date) -> pl.DataFrame:
    grid = pl.DataFrame({"ds": pl.date_range(first, last, "1d", eager=True)}).join(
        pl.DataFrame({"group_id": list(GROUPS)}), how="cross"
    )
    came = firsts.group_by(pl.col("first_exposure_ds").alias("ds"), "group_id").agg(
        pl.len().cast(pl.Int64).alias("daily_first_exposures")
    )
    gone = (
        firsts.filter("crossover")
        .group_by(pl.col("crossover_ds").alias("ds"), "group_id")
        .agg(pl.len().cast(pl.Int64).alias("daily_crossovers"))
    )
    names = ("daily_first_exposures", "daily_crossovers")
    return (
        grid.join(came, on=["ds", "group_id"], how="left")
        .join(gone, on=["ds", "group_id"], how="left")
        .with_columns(pl.col(names).fill_null(0))
        .sort("ds")
        .with_columns(
            (pl.col(names[0]) - pl.col(names[1]))
            .cum_sum()
            .over("group_id")
            .alias("cumulative_exposures")
        )
    )


def _unit_day_metrics(
    files: list[str], firsts: pl.DataFrame, first: date, last: date, metrics: MetricSet
) -> pl.DataFrame:
    exposed = firsts.lazy().select("unit_id", "first_exposure")
    return (
        pl.scan_parquet(files, hive_partitioning=False)
        .filter(pl.col("event_name").is_in(EVENTS), _within("ts", first, last))
        .join(exposed, left_on="user_id", right_on="unit_id")
        .filter(pl.col("ts") >= pl.col("first_exposure"))
        .group_by(pl.col("user_id").alias("unit_id"), pl.col("ts").dt.date().alias("ds"))
        .agg(*(_aggregate(each) for each in metrics.aggregates))
        .collect(engine="streaming")
    )


def _aggregate(aggregate: Aggregate) -> pl.Expr:
    rows = pl.sql_expr(aggregate.filter)
    if aggregate.value is None:
        return rows.sum().cast(pl.Float64).alias(aggregate.name)
    value = pl.sql_expr(aggregate.value).filter(rows)
    found = value.count() if aggregate.kind == "present" else value.sum()
    return found.cast(pl.Float64).alias(aggregate.name)


def _moment(metrics: MetricSet, pattern: str) -> dict[str, pl.Expr]:
    found = {}
    for name, (one, other) in metrics.moments.items():
        column = pl.col(pattern.format(one))
        if other == "> 0":
            found[name] = (column > 0).cast(pl.Float64)
        else:
            found[name] = column if other is None else column * pl.col(pattern.format(other))
    return found


def _moments_of_all_days(
    activity: pl.DataFrame, firsts: pl.DataFrame, summary: pl.DataFrame, metrics: MetricSet
) -> pl.DataFrame:
    """Sum, day by day, by how much each unit moves its group's totals, squares and products."""
    names = [each.name for each in metrics.aggregates]
    counted = (
        activity.lazy()
        .join(firsts.lazy().select("unit_id", "group_id", "crossover_ds"), on="unit_id")
        .filter(pl.col("crossover_ds").is_null() | (pl.col("ds") < pl.col("crossover_ds")))
        .select("unit_id", "ds", "group_id", pl.lit(value=False).alias("gone"), *names)
    )
    leaving = (
        firsts.lazy()
        .filter("crossover")
        .select(
            "unit_id",
            pl.col("crossover_ds").alias("ds"),
            "group_id",
            pl.lit(value=True).alias("gone"),
            *(pl.lit(0.0).alias(name) for name in names),
        )
    )
    now = _moment(metrics, "{}_now")
    before = _moment(metrics, "{}_before")
    moves = (
        pl.concat([counted, leaving])
        .sort("unit_id", "ds")
        .with_columns(
            (pl.col(name).cum_sum().over("unit_id") - pl.col(name)).alias(f"{name}_before")
            for name in names
        )
        .with_columns(
            pl.when("gone")
            .then(0.0)
            .otherwise(pl.col(f"{name}_before") + pl.col(name))
            .alias(f"{name}_now")
            for name in names
        )
        .group_by("ds", "group_id")
        .agg(
            *(each.sum().alias(name) for name, each in _moment(metrics, "{}").items()),
            *((now[name] - before[name]).sum().alias(f"moved_{name}") for name in now),
        )
        .collect()
    )
    moments = list(metrics.moments)
    moved = [f"moved_{name}" for name in moments]
    laid = (
        summary.select("ds", "group_id", pl.col("cumulative_exposures").alias("units"))
        .join(moves, on=["ds", "group_id"], how="left")
        .with_columns(pl.col(*moments, *moved).fill_null(0.0))
        .sort("ds")
    )
    daily = laid.select(pl.lit("daily").alias("rollup"), "ds", "group_id", "units", *moments)
    cumulative = laid.select(
        pl.lit("cumulative").alias("rollup"),
        "ds",
        "group_id",
        "units",
        *(pl.col(f"moved_{name}").cum_sum().over("group_id").alias(name) for name in moments),
    )
    return pl.concat([daily, cumulative])


def _moments_of_last_day(
    out: Path,
    activity: pl.DataFrame,
    firsts: pl.DataFrame,
    summary: pl.DataFrame,
    last: date,
    metrics: MetricSet,
) -> pl.DataFrame:
    """Sum the totals of the units that count on the last day, over all days and over that day."""
    names = [each.name for each in metrics.aggregates]
    counting = firsts.lazy().filter(~pl.col("crossover")).select("unit_id", "group_id")
    history = pl.scan_parquet(out / "unit_day_metrics/*.parquet")
    units = summary.filter(pl.col("ds") == last).select(
        "ds", "group_id", pl.col("cumulative_exposures").alias("units")
    )
    moments = list(metrics.moments)
    parts = []
    for rollup, rows in (("daily", activity.lazy()), ("cumulative", history)):
        sums = (
            rows.join(counting, on="unit_id")
            .group_by("unit_id", "group_id")
            .agg(pl.col(names).sum())
            .group_by("group_id")
            .agg(each.sum().alias(name) for name, each in _moment(metrics, "{}").items())
            .collect(engine="streaming")
        )
        parts.append(
            units.join(sums, on="group_id", how="left").select(
                pl.lit(rollup).alias("rollup"),
                "ds",
                "group_id",
                "units",
                pl.col(moments).fill_null(0.0),
            )
        )
    return pl.concat(parts)


def _results(moments: pl.DataFrame, metrics: MetricSet) -> pl.DataFrame:
    parts = [
        moments.select(
            "rollup",
            "ds",
            pl.lit(name).alias("metric"),
            "group_id",
            "units",
            pl.col(total).alias("total"),
            pl.col(squares).alias("total_squares"),
            *_below(below),
        )
        for name, total, squares, below in metrics.rows()
    ]
    units = pl.col("units")
    by = pl.coalesce("denominator_total", units.cast(pl.Float64))
    spread = pl.col("total_squares") - pl.col("total") ** 2 / units
    return pl.concat(parts).select(
        pl.lit(EXPERIMENT_ID).alias("experiment_id"),
        "rollup",
        "ds",
        pl.lit(None, pl.Int32).alias("day_index"),
        "metric",
        pl.lit(None, pl.String).alias("dimension"),
        pl.lit(None, pl.String).alias("dimension_value"),
        "group_id",
        "units",
        "total",
        "total_squares",
        pl.when(by != 0).then(pl.col("total") / by).alias("mean"),
        pl.when(units > 1).then(spread / (units - 1)).alias("variance"),
        "denominator_total",
        "denominator_total_squares",
        "numerator_denominator_product",
    )


def _below(below: tuple[str, str, str] | None) -> list[pl.Expr]:
    names = (
        "denominator_total",
        "denominator_total_squares",
        "numerator_denominator_product",
    )
    if below is None:
        return [pl.lit(None, pl.Float64).alias(name) for name in names]
    return [pl.col(moment).alias(name) for moment, name in zip(below, names, strict=True)]


def answer(task: Task) -> None:
    """Write the results of all loads."""
    pl.read_parquet(f"{task.folder}/tables/results/*.parquet").write_parquet(task.answer)


if __name__ == "__main__":
    serve(load, answer, {"polars": pl.__version__})

"""What every published table must hold, worked out row by row from the definitions.

The oracle is the independent second opinion on the engine: plain loops over plain rows, with no
SQL and nothing imported from the library. Every function implements one sentence of the semantics
and quotes it in its docstring, so it can be audited on its own. It is slow on purpose.

Three words carry the rest: a row is *kept* if it counts at all; a unit is *exposed* if it has a
kept exposure row; a unit is *counted* if results include it.

It lies in several modules: what it is told (``oracle_inputs``), which rows and units there are
(``oracle_units``), what a unit's rows come to (``oracle_metrics``), which levels have rows of their
own (``oracle_levels``), the rows of ``results`` (``oracle_results``), and the comparison of tables (``oracle_cells``).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import get_args

from tests import oracle_durations, oracle_metrics
from tests.oracle_cells import (
    ANYTHING,
    GRAINS,
    AggregateKey,
    Double,
    Row,
    UnitDays,
    assert_close,
    assert_unit_days_close,
)
from tests.oracle_inputs import (
    Aggregate,
    AggregateKind,
    Event,
    Experiment,
    Exposure,
    Fields,
    Funnel,
    MetricType,
    OracleMetric,
    PartitionRule,
    Retention,
    Rollup,
    Step,
    Term,
    Window,
    Winsorize,
    always,
)
from tests.oracle_levels import levels_of
from tests.oracle_results import frames_of_day, frames_since_exposure, rows_of_frame
from tests.oracle_units import (
    ExposedUnit,
    KeptEvent,
    KeptExposure,
    Loaded,
    context_of,
    days_between,
    earliest,
    groups_of,
    kept_exposures,
    second_group_at,
)

__all__ = [
    "ANYTHING",
    "GRAINS",
    "Aggregate",
    "AggregateKey",
    "AggregateKind",
    "Double",
    "Event",
    "Expected",
    "Experiment",
    "Exposure",
    "Fields",
    "Funnel",
    "MetricType",
    "OracleMetric",
    "PartitionRule",
    "Retention",
    "Rollup",
    "Row",
    "Step",
    "Term",
    "UnitDays",
    "Window",
    "Winsorize",
    "always",
    "assert_close",
    "assert_unit_days_close",
    "days_between",
    "expected",
    "kept_exposures",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Exactly what a full load publishes."""

    unit_day_exposures: list[Row]
    first_exposures: list[Row]
    exposures_summary: list[Row]
    unit_days: dict[str, UnitDays]
    results: list[Row]


def expected(
    experiment: Experiment,
    exposures: Iterable[Exposure],
    sources: Mapping[str, Iterable[Event]],
    *,
    through: date,
    days: Collection[date] | None = None,
) -> Expected:
    """Return what a full load through the day ``through`` publishes.

    Args:
        experiment: The settings and the metrics.
        exposures: All rows of the assignment source.
        sources: All rows of each metric source, by its name.
        through: The last day to load; days after the experiment's last are never loaded.
        days: The days to compute results for, as each is computed from scratch; default all.
    """
    exposures = list(exposures)
    sources = {name: list(events) for name, events in sources.items()}
    end = oracle_durations.last_day(experiment)
    last_day = through if end is None else min(end, through)
    loaded = Loaded.of(experiment, exposures, sources, last_day)
    groups = groups_of(experiment, loaded.exposures)

    levels = levels_of(experiment, loaded)

    results: list[Row] = []
    for day in days_between(experiment.start, last_day):
        if days is None or day in days:
            as_of_day = Loaded.of(experiment, exposures, sources, day)
            for frame in frames_of_day(experiment, day):
                results.extend(rows_of_frame(experiment, as_of_day, groups, levels, frame))
    for frame in frames_since_exposure(experiment, last_day):
        results.extend(rows_of_frame(experiment, loaded, groups, levels, frame))
    return Expected(
        unit_day_exposures=unit_day_exposures(loaded.exposures, experiment.context),
        first_exposures=[unit.row() for unit in loaded.units.values()],
        exposures_summary=exposures_summary(experiment, loaded.units, groups, last_day),
        unit_days={name: unit_days(experiment, loaded, name) for name in sources},
        results=results,
    )


def unit_day_exposures(kept: Iterable[KeptExposure], context: Iterable[str]) -> list[Row]:
    """One row per unit and day: the same facts as of a unit, of that day's rows alone."""
    context = list(context)
    rows_of_day: dict[tuple[str, date], list[KeptExposure]] = defaultdict(list)
    for row in kept:
        rows_of_day[row.unit, row.ds].append(row)
    return [
        {
            "unit_id": unit,
            "ds": ds,
            "first_exposure": earliest(rows).at,
            "group_id": earliest(rows).group,
            "min_group_id": min(row.group for row in rows),
            "max_group_id": max(row.group for row in rows),
            "crossover_at": second_group_at(rows),
            **context_of(rows, context),
        }
        for (unit, ds), rows in rows_of_day.items()
    ]


def exposures_summary(
    experiment: Experiment,
    units: Mapping[str, ExposedUnit],
    groups: Iterable[str],
    last_day: date,
) -> list[Row]:
    """One row for every day and group: who came, who left, who is counted at the end of the day.

    A unit comes on the day of its first exposure. Where crossovers are left out, it leaves on the
    day it meets its second group, which may be the day it came. Nobody leaves otherwise.
    """
    rows: list[Row] = []
    for group in groups:
        counted = 0
        for day in days_between(experiment.start, last_day):
            came = left = 0
            for unit in units.values():
                if unit.group != group:
                    continue
                if unit.first_exposure_ds == day:
                    came += 1
                if (
                    experiment.crossover == "exclude"
                    and unit.crossover_at is not None
                    and unit.crossover_at.date() == day
                ):
                    left += 1
            counted += came - left
            rows.append(
                {
                    "ds": day,
                    "group_id": group,
                    "daily_first_exposures": came,
                    "daily_crossovers": left,
                    "cumulative_exposures": counted,
                }
            )
    return rows


def unit_days(experiment: Experiment, loaded: Loaded, source: str) -> UnitDays:
    """Return the aggregates that read ``source`` for each exposed unit and day.

    A unit-day exists where at least one aggregate has something to aggregate, and holds those.
    """
    events_of_day: dict[tuple[str, date], list[KeptEvent]] = defaultdict(list)
    for unit, events in loaded.events[source].items():
        for event in events:
            events_of_day[unit, event.ds].append(event)
    found: UnitDays = defaultdict(dict)
    for metric in experiment.metrics:
        for key, aggregate in added_up(metric).items():
            if aggregate.source != source:
                continue
            for unit_day, events in events_of_day.items():
                exposed = loaded.units[unit_day[0]]
                amounts = oracle_metrics.contributions(
                    oracle_metrics.as_of(exposed, aggregate), events
                )
                if amounts:
                    found[unit_day][key] = of_unit_day(aggregate, amounts)
    return dict(found)


def added_up(metric: OracleMetric) -> dict[AggregateKey, Aggregate]:
    """Return the aggregates of a metric that add up from day to day, and nothing bounds."""
    if metric.type not in get_args(MetricType):
        return {}
    return {
        (metric.name, side): aggregate
        for side, aggregate in oracle_metrics.aggregates_of(metric).items()
        if aggregate.kind in {"count", "sum", "unit_count"}
        and aggregate.rollup == "once"
        and aggregate.window is None
        and aggregate.cap is None
    }


def of_unit_day(aggregate: Aggregate, amounts: Sequence[float]) -> int | Double:
    """Return the aggregate of at least one contribution: their number, their sum, or just 1."""
    if aggregate.kind == "sum":
        return oracle_metrics.added(amounts)
    return len(amounts) if aggregate.kind == "count" else 1

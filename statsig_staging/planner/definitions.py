"""Definitions: a fingerprint of everything that a table is built from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from statsig_staging import expressions, templates, terms
from statsig_staging.aggregates import ValueKind, moment_expressions
from statsig_staging.names import digest
from statsig_staging.planner import dimensions, levels, tables
from statsig_staging.planner.column_groups import column_groups, definition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from statsig_staging.aggregates import Aggregate
    from statsig_staging.config import AssignmentSource, MetricSource
    from statsig_staging.planner.request import LoadRequest


def define(request: LoadRequest) -> dict[str, str]:
    """Return the fingerprint of each definition that the tables are built from."""
    experiment = request.experiment
    found = {
        "exposures": digest(
            experiment.id,
            experiment.unit,
            experiment.start.isoformat(),
            *([f"through {experiment.end}"] if experiment.mature_after_end else []),
            repr(experiment.groups),
            sighting(request.assignment_source, experiment.unit),
            repr(sorted(request.assignment_source.context.items())),
            *_versions(
                "exposures",
                "exposure_counts",
                "exposure_counts_added",
                "staged_exposure_counts",
                "unit_day_exposures",
                "staged_exposures",
                "first_exposures",
                "known_units",
            ),
            length=16,
        ),
        "results": digest(
            experiment.crossover,
            *(statistic.key for statistic in request.statistics),
            repr(experiment.rollups),
            *_leveled(request),
            *_costly(request),
            *_versions(
                "exposures_summary",
                "groups_seen",
                "results",
                "results_carried",
                "results_direct",
                "members",
                "standing_cumulative",
                "standing_trailing",
                "standing_since_exposure",
                "counted_by_day",
                "counted_since_exposure",
                "clamped",
                "retention_windows",
                "funnel_entered",
                "funnel_exposed",
                "funnel_step",
                "funnel_days",
                "unit_totals",
            ),
            length=16,
        ),
    }
    for each in request.sources:
        found[f"sighting {each.name}"] = sighting(each, experiment.unit)
    for source in request.metric_sources:
        columns = request.aggregates_of(source)
        found[f"source {source.name}"] = digest(
            sighting(source, experiment.unit),
            *_dates(request, source, columns),
            *_versions("metric_rows", "unit_day_metrics"),
            length=16,
        )
        if request.reach(source):
            found[f"reach {source.name}"] = f"{request.reach(source)} days before exposure"
        found[definition(source.name, 1)] = ""
        for group in column_groups(request, source):
            found |= group.definitions
        found |= _values(source, columns)
        kept = tables.metric_rows(experiment.id, source, columns)
        found[f"rows {source.name}"] = digest(
            sighting(source, experiment.unit),
            *(column.name for column in kept.columns),
            *_dates(request, source, columns),
            *_versions("metric_rows"),
            length=16,
        )
    return found


def _dates(
    request: LoadRequest, source: MetricSource, columns: Iterable[Aggregate]
) -> tuple[str, ...]:
    """Return which moments of rows are dates: those are compared with the day of the exposure."""
    types = request.observations[source.name].expressions
    moments = sorted(moment_expressions(columns))
    return tuple(f"{sql} is a date" for sql in moments if types.get(sql) == "date")


def _leveled(request: LoadRequest) -> tuple[str, ...]:
    of_units = dimensions.dimensions_of(request.statistics)
    if not (of_units or levels.dimensions_of(request.statistics)):
        return ()
    least = request.experiment.dimension_units
    return (f"levels of {least} units", *_versions(*(["results_by_level"] if of_units else [])))


def _costly(request: LoadRequest) -> tuple[str, ...]:
    """Return what decides the numbers of metrics that lie in tables of values, or of one day only."""
    templates_of = {
        ValueKind.DISTINCT: ("distinct_first", "distinct_until_next", "distinct_each_day"),
        ValueKind.PERCENTILE: ("results_percentiles", "values_standing", "values_since_exposure"),
        ValueKind.MOMENT: (),
        ValueKind.LEVEL: ("level_places", "level_days", "results_by_place", "clamped_by_level"),
    }
    kinds = {each.values for one in request.statistics for each in one.aggregates}
    names = [name for kind in ValueKind if kind in kinds for name in templates_of[kind]]
    series = request.experiment.costly_series
    return (*([] if series == "every_day" else [series]), *_versions(*names))


def _values(source: MetricSource, aggregates: Iterable[Aggregate]) -> dict[str, str]:
    found = list(aggregates)
    return {
        f"{kind} {source.name}": " ".join(
            [*_version_of_values(kind), *(each.column for each in terms.by_value(found, kind))]
        )
        for kind in ValueKind
        if terms.by_value(found, kind)
    }


def _version_of_values(kind: ValueKind) -> tuple[str, ...]:
    templates_of = {ValueKind.LEVEL: "unit_day_levels", ValueKind.MOMENT: "unit_day_moments"}
    template = templates_of.get(kind, "unit_day_values")
    return (f"version={templates.version(template)}",)


def _versions(*names: str) -> tuple[str, ...]:
    return tuple(f"{name} {templates.version(name)}" for name in names)


def sighting(source: AssignmentSource | MetricSource, unit: str) -> str:
    """Return a fingerprint of how rows of a source are found and dated."""
    where = source.table if source.table is not None else expressions.fingerprint(source.sql or "")
    mapping = [
        where,
        source.timestamp,
        source.units.get(unit, ""),
        repr(getattr(source, "timestamp_is_date", False)),
        repr(getattr(source, "experiment_id", None)),
        repr(getattr(source, "group_id", None)),
        repr(source.partition),
    ]
    return digest(*mapping, length=16)

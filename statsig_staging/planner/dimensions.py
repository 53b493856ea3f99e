"""Dimensions: statistics by level of a context column, computed as those of more and smaller groups.

A group of one level stands in the place of a group: whatever computes statistics of groups computes them
of levels too, and never knows (docs/adr/0070-levels-are-groups.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.planner import exposures, tables

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from statsig_staging.config import AssignmentSource, Experiment
    from statsig_staging.terms import Statistic


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """What statistics are computed over in the place of the units and groups.

    Attributes:
        units: Stands in for ``first_exposures``.
        summary: Stands in for ``exposures_summary``.
        is_apart: Whether percentiles are of the groups of one level, not of all together.
    """

    units: exp.Table
    summary: exp.Table
    is_apart: bool = False


STAND_IN = StandIn(units=exp.to_table("dimension_units"), summary=exp.to_table("dimension_summary"))
"""Stands in for units and groups inside of :func:`by_level`."""

_COLUMNS = 8
"""So many columns of a row say what it is of; the template has them."""


def dimensions_of(statistics: Iterable[Statistic]) -> tuple[str, ...]:
    """Return the dimensions of some metrics, each once."""
    return tuple(dict.fromkeys(name for each in statistics for name in each.dimensions))


def by_level(
    statistics: exp.Query,
    dimension: str,
    experiment: Experiment,
    source: AssignmentSource,
    *,
    database: str,
    days: Iterable[date],
) -> exp.Query:
    """Return statistics over the units and groups that stand in, by level and group.

    Args:
        statistics: Statistics that read ``STAND_IN``.
        dimension: The dimension, a context column of the assignment source.
        experiment: The experiment.
        source: Its assignment source.
        database: The staging database.
        days: Every day of the results.
    """
    crossovers_leave = experiment.crossover == "exclude"
    summary = templates.bind(
        "exposures_summary",
        tables={
            "first_exposures": STAND_IN.units,
            "days": exposures.listed_days(days),
            "groups": exp.to_table("dimension_groups"),
        },
        values={"crossovers_leave": crossovers_leave},
    )
    query = templates.bind(
        "results_by_level",
        tables={
            "first_exposures": tables.node(database, tables.first_exposures(experiment.id, source)),
            "exposures_summary": tables.node(database, tables.exposures_summary(experiment.id)),
            "summary_by_level": summary,
            "statistics": statistics,
        },
        values={
            "level": exp.column(dimension.lower(), "f", quoted=True),
            "crossovers_leave": crossovers_leave,
            "least": experiment.dimension_units,
            "dimension": dimension,
        },
    )
    moments = statistics.named_selects[_COLUMNS:]
    return query.select(*(exp.column(name, "s") for name in moments), copy=False)

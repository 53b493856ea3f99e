"""Retentions: windows of days that units start, told on the day on which each is over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.days import DAY

if TYPE_CHECKING:
    from datetime import date

    from statsig_staging.derived import Retention
    from statsig_staging.planner.unit_totals import UnitTotals


def windows(
    retention: Retention, source: UnitTotals, through: date, since: date | None
) -> exp.Query:
    """Return one row per unit and day on which a window of its is over, and whether it came back.

    Carried totals do not serve: a window that a unit started before them may be over after them.

    Args:
        retention: Which windows.
        source: The unit-days.
        through: The last day on which a window may be over.
        since: The first such day; None for every day.
    """
    first = None if since is None else since - retention.end * DAY
    own = tuple(dict.fromkeys((retention.starts, retention.completions)))
    [days] = replace(source, carried=None, aggregates=own).parts(since=first)
    return templates.bind(
        "retention_windows",
        tables={"unit_days": days},
        values={
            "starts": exp.column(retention.starts.column, "u"),
            "completes": exp.column(retention.completions.column, "u"),
            "first": retention.end - retention.length + 1,
            "end": retention.end,
            "through": through,
        },
    )

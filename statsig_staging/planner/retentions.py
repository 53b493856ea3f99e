"""Retentions: windows of days that units start, told on the day on which each is over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.days import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from statsig_staging.derived import Retention
    from statsig_staging.planner.unit_totals import UnitTotals


def windows(
    retention: Retention, sources: Iterable[UnitTotals], through: date, since: date | None
) -> exp.Query:
    """Return one row per unit and day on which a window of its is over, and whether it came back.

    Carried totals do not serve: a window that a unit started before them may be over after them.

    Args:
        retention: Which windows.
        sources: The unit-days of all sources, those of its own among them.
        through: The last day on which a window may be over.
        since: The first such day; None for every day.
    """
    first = None if since is None else since - retention.end * DAY
    return templates.bind(
        "retention_windows",
        tables={"unit_days": _unit_days(retention, sources, first)},
        values={
            "starts": exp.column(retention.starts.column, "u"),
            "completes": exp.column(retention.completions.column, "u"),
            "first": retention.end - retention.length + 1,
            "end": retention.end,
            "through": through,
        },
    )


def _unit_days(
    retention: Retention, sources: Iterable[UnitTotals], first: date | None
) -> exp.Query:
    """Return the days that start windows, and those on which units come back.

    Where the two lie in different tables, a day has a row for each: windows are told by days, not by rows.
    """
    own = {each.column: each for each in (retention.starts, retention.completions)}
    found: list[exp.Query] = []
    for source in sources:
        columns = {each.column for each in source.aggregates}
        held = tuple(each for column, each in own.items() if column in columns)
        if source.source != retention.starts.source or not held:
            continue
        [days] = replace(source, carried=None, aggregates=held).parts(since=first)
        if len(held) == len(own):
            return days
        query = exp.select(exp.column("unit_id", "u"), exp.column("ds", "u"))
        for column in own:
            value = exp.column(column, "u") if column in columns else exp.null()
            query.select(exp.alias_(exp.cast(value, "bigint"), column), copy=False)
        found.append(query.from_(days.subquery("u", copy=False), copy=False))
    return templates.together(found)

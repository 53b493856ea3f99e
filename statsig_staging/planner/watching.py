"""SQL sources: what of a change their lookback reads again, and what to do about the rest. Pure.

Which rows a SELECT makes of a file is its own affair, so a change of a file cannot be told by day. Where
the SELECT's timestamp is a plain column of one of its tables, and its rows come from one row of that
table each, the days of the file are those of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from sqlglot import exp

from statsig_staging.days import DAY
from statsig_staging.errors import StepFailedError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import date

    from statsig_staging.config import AssignmentSource, MetricSource
    from statsig_staging.sources import FileChange, Observation
    from statsig_staging.state import Published


@dataclass(frozen=True, slots=True)
class Dating:
    """Where the days of a SELECT's rows come from.

    Attributes:
        table: ``database.table``.
        column: The column of it.
        is_cut: Whether only its day is taken, in the zone that the value has.
    """

    table: str
    column: str
    is_cut: bool


_ACROSS_ROWS = ("with_", "limit", "offset", "qualify")


def dating(query: exp.Query, timestamp: str) -> Dating | None:
    """Return the table column that a SELECT's timestamp is; None where its rows may come from any day's."""
    if not isinstance(query, exp.Select) or len(list(query.find_all(exp.Query))) > 1:
        return None
    if query.find(exp.Window) or any(query.args.get(key) for key in _ACROSS_ROWS):
        return None
    found = _projected(query, timestamp)
    if found is None:
        return None
    column, is_cut = found
    named = [table for table in query.find_all(exp.Table) if _is_of(column, table, query)]
    if len(named) != 1 or _times_named(named[0], query) > 1:
        return None
    return Dating(f"{named[0].db}.{named[0].name}", column.name.lower(), is_cut)


def _projected(query: exp.Select, timestamp: str) -> tuple[exp.Column, bool] | None:
    """Return the column that is put out under a name, and whether only its day is."""
    stars = [item for item in query.expressions if item.is_star]
    items = [item for item in query.expressions if item.alias_or_name.lower() == timestamp.lower()]
    if stars and not items and len(stars) == 1:
        owner = stars[0].args.get("table")
        return exp.column(timestamp, table=owner.copy() if owner else None, quoted=True), False
    if stars or len(items) != 1:
        return None
    column = items[0].unalias()
    cut = _day_of(column)
    column = cut or column
    return (column, cut is not None) if isinstance(column, exp.Column) else None


def _day_of(node: exp.Expr) -> exp.Expr | None:
    """Return what a node takes the day of, if it does that."""
    is_cut = (
        (isinstance(node, exp.Date) and not node.expressions and not node.args.get("zone"))
        or (isinstance(node, exp.Cast) and node.is_type("date"))
        or (isinstance(node, exp.TimestampTrunc) and node.text("unit").upper() == "DAY")
    )
    inner: exp.Expr | None = node.this if is_cut else None
    return inner


def _is_of(column: exp.Column, table: exp.Table, query: exp.Select) -> bool:
    if column.table:
        return column.table.lower() == table.alias_or_name.lower()
    return not query.args.get("joins") and not query.args.get("laterals")


def _times_named(table: exp.Table, query: exp.Select) -> int:
    same = (other for other in query.find_all(exp.Table) if other.name == table.name)
    return sum(other.db == table.db for other in same)


@dataclass(frozen=True, slots=True)
class Watched:
    """What an incremental load does about the changes of a SQL source.

    Attributes:
        again: Loaded days that are read again, each with its reason.
        unseen: The change that this may not reach, in words; empty where there is none.
    """

    again: Mapping[date, str]
    unseen: str


def watched(
    source: AssignmentSource | MetricSource,
    observation: Observation,
    published: Published,
    days: Collection[date],
) -> Watched:
    """Return what an incremental load does about the changes of a SQL source.

    Args:
        source: The source.
        observation: What it holds now, and what changed.
        published: The published load.
        days: The days from the experiment's first through the last to load.
    """
    before = published.sources.get(source.name)
    remembered = before.unseen if before is not None else ""
    alike = before is not None and before.fingerprint == observation.fingerprint()
    if alike and not observation.opaque:
        return Watched({}, remembered)
    first = published.watermark - source.lookback_days * DAY
    again = [day for day in sorted(days) if first <= day < published.watermark]
    last = min(published.watermark - DAY, published.through)
    left = {day for day in days if day <= last and day not in again}
    reason = f"lookback of {source.lookback_days} days"
    return Watched(
        dict.fromkeys(again, reason),
        remembered or _unseen(observation.changes, left, published.load_id, first),
    )


def _unseen(changes: Iterable[FileChange], left: set[date], load_id: str, first: date) -> str:
    """Return the changes that may have rows on days that are not read again, in words."""
    beyond = [
        change
        for change in changes
        if left and (change.days is None or left.intersection(change.days))
    ]
    if not beyond:
        return ""
    change = min(beyond, key=lambda change: (change.is_new, change.path))
    more = f" (and {len(beyond) - 1} more)" if len(beyond) > 1 else ""
    rows = "may have rows" if change.days is None else "has or had rows"
    return (
        f"{change.path} of table {change.table} {change.what} since load {load_id}{more} and {rows} "
        f"before {first}, the first day that is read again"
    )


def must_refresh(source: AssignmentSource | MetricSource, unseen: str) -> bool:
    """Return whether an unseen change means a full refresh.

    Raises:
        StepFailedError: If it is to stop the load.
    """
    match source.on_unseen_change:
        case "warn":
            return False
        case "refresh":
            return bool(unseen)
        case "fail":
            if unseen:
                raise StepFailedError(
                    f"source {source.name!r}: {unseen}; nothing was changed; run with --refresh full, "
                    "or raise lookback_days (on_unseen_change: fail)"
                )
            return False
        case _:
            assert_never(source.on_unseen_change)


def warning(source: AssignmentSource | MetricSource, unseen: str) -> str:
    """Return what a person should know of an unseen change."""
    return (
        f"source {source.name!r}: {unseen}; earlier days may be out of date until a run with "
        "--refresh full"
    )


_CONSEQUENCES = {
    "warn": "is a warning",
    "refresh": "means a full refresh",
    "fail": "stops the load",
}


def rule(source: AssignmentSource | MetricSource, observation: Observation) -> str:
    """Return how changes of a source are noticed, for a person."""
    if observation.dated:
        return "changes are seen file by file"
    if observation.opaque:
        return (
            f"changes of {', '.join(observation.opaque)} cannot be seen; the last {source.lookback_days} "
            "loaded days are read again"
        )
    tables = ", ".join(table.table for table in observation.tables)
    return (
        f"changes cannot be told by day; when a file of {tables} changed, the last "
        f"{source.lookback_days} loaded days are read again, and a change that may lie before them "
        f"{_CONSEQUENCES[source.on_unseen_change]}"
    )

"""Days that a file's rows may have, from what is known of it without reading them.

They may be too many, and are never too few: a day too many costs a scan, a day too few hides a change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from statsig_staging.days import DAY, Window

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from statsig_staging.warehouses.base import Sighting

LONGEST = 1000
"""Days between a file's first and last moment beyond which these tell nothing: one of them is a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """The days of a file.

    Attributes:
        days: The days that its rows may have.
        misplaced: Rows that lie too far from their partition, as far as that is sure.
        anytime: Whether they may have any day.
    """

    days: tuple[date, ...] = ()
    misplaced: int = 0
    anytime: bool = False


def dated(
    rows: int,
    spans: Iterable[tuple[date, date]] | None,
    laid: Iterable[tuple[date, date] | None] | None,
    sighting: Sighting,
) -> Dated:
    """Return the days of a file.

    Args:
        rows: Its rows.
        spans: First and last days between which its timestamps lie, none where all are null; None where
            nothing tells.
        laid: First and last dates of the partitions that it lies in, None for one that is no date; None
            where nothing tells.
        sighting: What is looked at.
    """
    if sighting.timestamp is None or not rows:
        return Dated()
    known = None if spans is None else tuple(spans)
    if known == ():
        return Dated()
    may_be = None if known is None else _union(known)
    if laid is not None and sighting.partition is not None:
        near = _union(
            (span[0] - sighting.partition.late * DAY, span[1] + sighting.partition.early * DAY)
            for span in laid
            if span is not None
        )
        may_be = near if may_be is None or near is None else may_be & near
        if may_be is not None and not may_be:
            return Dated(misplaced=rows)
    if may_be is None:
        return of_any_day(sighting)
    return Dated(days=tuple(sorted(may_be)))


def of_any_day(sighting: Sighting) -> Dated:
    """Return the days of a file of which nothing is known: all that are asked about."""
    window = sighting.window
    return Dated(days=window.days() if window is not None else (), anytime=True)


def _union(spans: Iterable[tuple[date, date]]) -> set[date] | None:
    found: set[date] = set()
    for low, high in spans:
        if (high - low).days > LONGEST:
            return None
        found.update(Window.through(low, high).days())
    return found

"""Days and windows: everything is UTC, a window is half-open, days are named by their date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """The days from ``start`` up to, but not including, ``end``."""

    start: date
    end: date

    @classmethod
    def through(cls, first: date, last: date) -> Window:
        """Return the window whose last day is ``last``."""
        return cls(first, last + DAY)

    @property
    def last(self) -> date:
        """The last day of the window."""
        return self.end - DAY

    def days(self) -> tuple[date, ...]:
        """Return every day of the window, in order."""
        count = max(0, (self.end - self.start).days)
        return tuple(self.start + timedelta(days=index) for index in range(count))

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end


def windows(days: Iterable[date]) -> tuple[Window, ...]:
    """Return the fewest windows that hold exactly ``days``, in order."""
    found: list[Window] = []
    for day in sorted(set(days)):
        if found and found[-1].end == day:
            found[-1] = Window(found[-1].start, day + DAY)
        else:
            found.append(Window(day, day + DAY))
    return tuple(found)


def in_words(days: Iterable[date]) -> str:
    """Return ``days`` for a person to read: ``2026-01-01..2026-01-03, 2026-01-07``."""
    return ", ".join(
        f"{window.start}" if window.start == window.last else f"{window.start}..{window.last}"
        for window in windows(days)
    )

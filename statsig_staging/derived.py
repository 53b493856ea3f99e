"""Derived aggregates: numbers of a unit-day that are not stored, as they follow from stored ones of several days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from statsig_staging.aggregates import Aggregate, Fold
from statsig_staging.names import digest

if TYPE_CHECKING:
    from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Windows of days that units start, and may come back in.

    Attributes:
        starts: 1 on the days that start a window.
        completions: 1 on the days on which a unit comes back.
        end: How many days after its start a window is over.
        length: How many days it has, the last one included.
    """

    starts: Aggregate
    completions: Aggregate
    end: int
    length: int

    @property
    def key(self) -> str:
        """Everything that decides its windows."""
        return f"{self.starts.column} {self.completions.column} {self.end} {self.length}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """The windows that are over on a day, or those of them that the unit came back in.

    Attributes:
        of: The windows.
        is_completed: Whether only those that it came back in.
    """

    of: Retention
    is_completed: bool

    @property
    def column(self) -> str:
        """A name that no other number of the source has."""
        return f"{'completed' if self.is_completed else 'windows'}_{digest(self.of.key)}"

    @property
    def source(self) -> str:
        """The metric source."""
        return self.of.starts.source

    @property
    def fold(self) -> Fold:
        """How those of several days become one."""
        return Fold.SUM

    @property
    def stored(self) -> tuple[Aggregate, ...]:
        """What unit-days store for it."""
        return (self.of.starts, self.of.completions)


Slot: TypeAlias = Aggregate | Retained
"""A number of a unit-day, stored or derived."""

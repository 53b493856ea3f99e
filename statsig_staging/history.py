"""The last loads of an experiment, however they ended: from their journals, and from what is published."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

from statsig_staging import journal
from statsig_staging.journal import JobState, Outcome
from statsig_staging.lease import is_held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date, datetime

    from statsig_staging.journal import Journal
    from statsig_staging.plan import SourceReading
    from statsig_staging.state import Published
    from statsig_staging.warehouses.base import Warehouse

SHOWN = 10
"""So many loads are looked up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastLoad:
    """A load that began.

    Attributes:
        load_id: The load.
        outcome: What became of it.
        began_at: When it began, UTC.
        refresh: ``full`` or ``incremental``.
        reason: Why it was done that way; None where its journal is gone, as in all that follow.
        through: Last day it was to publish.
        seconds: How long it took; of one that did not end, until it was last heard of.
        rows: Rows written.
        bytes_read: Compressed bytes of source columns read.
        bytes_written: Bytes of the files written.
        price: What its finished jobs cost at a service, US dollars.
        readings: What it was to read of each source, and why.
        job: The job that runs, that failed, or that it died in.
        error: Why it failed.
        awaits_repair: Whether it was interrupted and no run has come since, which repairs what it left.
    """

    load_id: str
    outcome: Outcome
    began_at: datetime
    refresh: str
    through: date
    seconds: float
    rows: int
    bytes_read: int
    bytes_written: int
    price: float = 0.0
    reason: str | None = None
    readings: tuple[SourceReading, ...] = ()
    job: str | None = None
    error: str | None = None
    awaits_repair: bool = False

    @property
    def is_interrupted(self) -> bool:
        """Whether it did not say how it ended, and does not run."""
        return self.outcome is Outcome.INTERRUPTED

    def to_dict(self) -> dict[str, Any]:
        """Return the load as values that JSON can hold."""
        return {
            "load_id": self.load_id,
            "outcome": self.outcome.value,
            "began_at": self.began_at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z",
            "refresh": self.refresh,
            "reason": self.reason,
            "through": self.through.isoformat(),
            "seconds": round(self.seconds, 3),
            "rows": self.rows,
            "bytes_read": self.bytes_read,
            "bytes_written": self.bytes_written,
            "price_usd": round(self.price, 6),
            "sources": [reading.to_dict() for reading in self.readings],
            "job": self.job,
            "error": self.error,
        }


def past_loads(
    warehouse: Warehouse,
    experiment_id: str,
    published: Iterable[Published],
    *,
    now: Callable[[], datetime],
) -> tuple[PastLoad, ...]:
    """Return the loads that began last, the newest first.

    Args:
        warehouse: Where the journals lie.
        experiment_id: The experiment.
        published: Its published loads, the current one first.
        now: The clock, UTC; it tells a load that runs from one that died.
    """
    rows = {load.load_id: load for load in published}
    held_before = is_held(warehouse, experiment_id, now())
    begun = journal.recent(warehouse, experiment_id)[:SHOWN]
    found = []
    for place, each in enumerate(begun):
        entry = journal.read(warehouse, experiment_id, each.load_id)
        if entry is not None:
            outcome = entry.outcome(rows)
            # A load may end, or begin, while its journal is read.
            if place == 0 and outcome is Outcome.INTERRUPTED:
                running = held_before or is_held(warehouse, experiment_id, now())
                outcome = Outcome.RUNNING if running else outcome
            load = _of_journal(entry, outcome, rows.get(each.load_id))
            # Whoever enters an interrupted load in the ledger is the run that repairs it.
            awaits_repair = place == 0 and load.is_interrupted and not each.recorded
            found.append(replace(load, awaits_repair=awaits_repair))
    known = {load.load_id for load in found}
    others = (_of_row(load) for load in rows.values() if load.load_id not in known)
    newest_first = sorted([*found, *others], key=lambda load: load.began_at, reverse=True)
    return tuple(newest_first[:SHOWN])


def _of_journal(entry: Journal, outcome: Outcome, row: Published | None) -> PastLoad:
    done = [job for job in entry.jobs if job.state is JobState.ENDED]
    current = entry.current
    return PastLoad(
        load_id=entry.load_id,
        outcome=outcome,
        began_at=entry.began_at,
        refresh=entry.refresh,
        reason=entry.reason,
        through=entry.through,
        seconds=entry.seconds if row is None else row.seconds,
        rows=sum(job.rows for job in done),
        bytes_read=sum(job.bytes_read for job in done),
        bytes_written=sum(job.bytes_written for job in done),
        price=sum(job.price for job in done),
        readings=entry.readings,
        job=current.name if current is not None else None,
        error=entry.error,
    )


def _of_row(load: Published) -> PastLoad:
    return PastLoad(
        load_id=load.load_id,
        outcome=Outcome.PUBLISHED,
        began_at=load.published_at - timedelta(seconds=load.seconds),
        refresh=load.refresh,
        through=load.through,
        seconds=load.seconds,
        rows=load.rows,
        bytes_read=load.bytes_read,
        bytes_written=load.bytes_written,
    )

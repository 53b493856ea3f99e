"""The journal of a load: what it set out to do, how far it came, how it ended.

It lies at ``experiment-<ID>/_loads/<load_id>/journal.json`` and is written whole: before the first job,
before each further one (with what the one before it did), before publishing, and at the end. So the
journal of a load that was killed says which job it died in. ``experiment-<ID>/_loads/recent.json`` names
the loads that began last, and which of them still have to be entered in the ledger.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from statsig_staging.days import Window, windows
from statsig_staging.names import experiment_folder
from statsig_staging.plan import Check, SourceReading
from statsig_staging.state import load_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

    from statsig_staging.plan import Plan, Step
    from statsig_staging.results import StepResult
    from statsig_staging.warehouses.base import Warehouse

KEPT = 20
"""So many loads are named in ``recent.json``, and those that are not in the ledger yet."""


class JobState(StrEnum):
    """How far a job came."""

    PLANNED = "planned"
    STARTED = "started"
    ENDED = "ended"
    FAILED = "failed"


class Outcome(StrEnum):
    """What became of a load."""

    PUBLISHED = "published"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """It did not say how it ended: its process was killed, or stopped from outside."""
    RUNNING = "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One step of a load.

    Attributes:
        name: The step's name.
        kind: The table that it writes, without experiment and source; for a check the step's name.
        is_check: Whether it writes nothing and only asks.
        table: Catalog name of the table; None for a check.
        source: The metric source that it reads, where it is one.
        metrics: The metrics that it serves.
        reason: Why it is there.
        first_day: First of the days that it reads or restates, ISO; None where it is about no days.
        last_day: The last of them.
        days: Their number.
        state: How far it came.
        started_at: When it began, UTC, ISO.
        seconds: How long it took.
        rows: Rows written.
        statements: Statements run.
        bytes_read: Compressed bytes of source columns read.
        bytes_written: Bytes of the files written.
        snapshot_id: The Iceberg snapshot it made.
        statement_ids: Ids of its statements at the service.
        bytes_scanned: What the service says it has scanned.
        queued_seconds: How long its statements waited there.
        engine_seconds: How long the service worked on them.
        price: What it charges, in US dollars.
        error: Why it failed.
    """

    name: str
    kind: str
    is_check: bool = False
    table: str | None = None
    source: str | None = None
    metrics: tuple[str, ...] = ()
    reason: str = ""
    first_day: str | None = None
    last_day: str | None = None
    days: int = 0
    state: JobState = JobState.PLANNED
    started_at: str | None = None
    seconds: float = 0.0
    rows: int = 0
    statements: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    snapshot_id: int | None = None
    statement_ids: tuple[str, ...] = ()
    bytes_scanned: int = 0
    queued_seconds: float = 0.0
    engine_seconds: float = 0.0
    price: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What a load set out to do, and how far it came.

    Attributes:
        load_id: The load.
        experiment_id: The experiment.
        assignment_source: Its assignment source.
        began_at: When it began, UTC.
        refresh: ``full`` or ``incremental``.
        reason: Why it is done that way.
        start: First day of the experiment.
        through: Last day it was to publish.
        readings: What it was to read of each source, and why.
        jobs: What it was going to do, in order.
        publishing: Whether all jobs are done and it went on to publish.
        seconds: How long it had taken when this was written.
        ended: How it ended: ``published`` or ``failed``; None while it runs, or if it was killed.
        error: Why it failed.
    """

    load_id: str
    experiment_id: str
    assignment_source: str
    began_at: datetime
    refresh: str
    reason: str
    start: date
    through: date
    readings: tuple[SourceReading, ...] = ()
    jobs: tuple[Job, ...] = ()
    publishing: bool = False
    seconds: float = 0.0
    ended: Outcome | None = None
    error: str | None = None

    def outcome(self, published: Container[str]) -> Outcome:
        """Return what became of the load, which nobody runs any more.

        Args:
            published: Ids of the published loads; what they say is decisive.
        """
        if self.load_id in published:
            return Outcome.PUBLISHED
        return self.ended if self.ended is not None else Outcome.INTERRUPTED

    @property
    def current(self) -> Job | None:
        """The job that runs, that failed, or that the load died in."""
        found = (job for job in self.jobs if job.state in {JobState.STARTED, JobState.FAILED})
        return next(found, None)


def planned(
    plan: Plan,
    *,
    load_id: str,
    began_at: datetime,
    assignment_source: str,
    metrics: Mapping[str, tuple[str, ...]],
) -> Journal:
    """Return the journal of a load that is about to begin.

    Args:
        plan: What it will do.
        load_id: The load.
        began_at: The time, UTC.
        assignment_source: The experiment's assignment source.
        metrics: Metric source → the metrics that it serves.
    """
    return Journal(
        load_id=load_id,
        experiment_id=plan.experiment_id,
        assignment_source=assignment_source,
        began_at=began_at.astimezone(UTC),
        refresh=plan.refresh.value,
        reason=plan.reason,
        start=plan.start,
        through=plan.through,
        readings=plan.readings,
        jobs=tuple(_job(step, metrics) for step in plan.steps),
    )


def _job(step: Step, metrics: Mapping[str, tuple[str, ...]]) -> Job:
    job = Job(name=step.name, kind=step.name, is_check=True, reason=step.reason)
    if not isinstance(step.action, Check):
        name = step.action.target.name
        serves = metrics.get(name.source, ()) if name.source is not None else ()
        if name.kind == "results":
            serves = tuple(dict.fromkeys(each for found in metrics.values() for each in found))
        job = replace(
            job,
            kind=name.kind,
            is_check=False,
            table=name.catalog,
            source=name.source,
            metrics=serves,
        )
    if not step.days:
        return job
    first, last = min(step.days).isoformat(), max(step.days).isoformat()
    return replace(job, first_day=first, last_day=last, days=len(step.days))


class OpenJournal:
    """The journal of a load that runs; each change but the end of a job is written at once.

    Args:
        warehouse: Where it is written.
        journal: What the load sets out to do.
        now: The clock, UTC.
        elapsed: Seconds since the load began.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        journal: Journal,
        now: Callable[[], datetime],
        elapsed: Callable[[], float],
    ) -> None:
        self._warehouse = warehouse
        self._now = now
        self._elapsed = elapsed
        self.value = journal

    def begin(self) -> None:
        """Write what the load sets out to do, and that it is the last that began."""
        self._write(self.value)
        _change_recent(
            self._warehouse,
            self.value.experiment_id,
            lambda recent: (Begun(load_id=self.value.load_id), *recent),
        )

    def start(self, step: Step) -> None:
        """Write that a job begins, and what the one before it did."""
        self._write(self._with(step.name, state=JobState.STARTED, started_at=_moment(self._now())))

    def finish(self, result: StepResult) -> None:
        """Note what a job did; it is written with what comes next."""
        self.value = self._with(
            result.step,
            state=JobState.ENDED,
            seconds=result.seconds,
            rows=result.rows,
            statements=result.statements,
            bytes_read=result.bytes_read,
            bytes_written=result.bytes_written,
            snapshot_id=result.snapshot_id,
            statement_ids=result.statement_ids,
            **asdict(result.usage),
        )

    def publish(self) -> None:
        """Write that all jobs are done and the load is about to be published."""
        self._write(replace(self.value, publishing=True))

    def end(self, outcome: Outcome, error: str | None = None) -> None:
        """Write how the load ended; the job that ran has failed then."""
        current = self.value.current
        value = self.value
        if current is not None:
            value = self._with(current.name, state=JobState.FAILED, error=error)
        self._write(replace(value, ended=outcome, error=error))

    def _with(self, name: str, **changes: Any) -> Journal:
        jobs = (replace(job, **changes) if job.name == name else job for job in self.value.jobs)
        return replace(self.value, jobs=tuple(jobs))

    def _write(self, journal: Journal) -> None:
        self.value = replace(journal, seconds=round(self._elapsed(), 3))
        key = journal_key(journal.experiment_id, journal.load_id)
        self._warehouse.put_object(key, _encode(self.value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A load that began, and whether its jobs are in the ledger."""

    load_id: str
    recorded: bool = False


def recent(warehouse: Warehouse, experiment_id: str) -> tuple[Begun, ...]:
    """Return the loads that began last, the newest first."""
    return _decode_recent(warehouse.get_object(_recent_key(experiment_id)))


def note_recorded(warehouse: Warehouse, experiment_id: str, load_ids: Container[str]) -> None:
    """Write that the jobs of some loads are in the ledger."""
    _change_recent(
        warehouse,
        experiment_id,
        lambda recent: (
            replace(each, recorded=each.recorded or each.load_id in load_ids) for each in recent
        ),
    )


def read(warehouse: Warehouse, experiment_id: str, load_id: str) -> Journal | None:
    """Return the journal of a load; None where there is none, or none that this version can read."""
    data = warehouse.get_object(journal_key(experiment_id, load_id))
    try:
        return None if data is None else _decode(data)
    except (KeyError, TypeError, ValueError):
        return None


def _change_recent(
    warehouse: Warehouse,
    experiment_id: str,
    change: Callable[[tuple[Begun, ...]], Iterable[Begun]],
) -> None:
    key = _recent_key(experiment_id)
    while True:
        before = warehouse.get_object(key)
        changed = tuple(change(_decode_recent(before)))
        kept = [each for place, each in enumerate(changed) if place < KEPT or not each.recorded]
        after = json.dumps({"loads": [asdict(each) for each in kept]}, indent=1).encode()
        if warehouse.swap_object(key, before, after):
            return


def _decode_recent(data: bytes | None) -> tuple[Begun, ...]:
    return () if data is None else tuple(Begun(**each) for each in json.loads(data)["loads"])


def _moment(now: datetime) -> str:
    return now.astimezone(UTC).isoformat()


def _recent_key(experiment_id: str) -> str:
    return f"{experiment_folder(experiment_id)}/_loads/recent.json"


def journal_key(experiment_id: str, load_id: str) -> str:
    """Return the key of a load's journal, below the staging folder."""
    return f"{load_folder(experiment_id, load_id)}/journal.json"


def _encode(journal: Journal) -> bytes:
    document = {each.name: getattr(journal, each.name) for each in fields(journal)}
    document["readings"] = [_encoded_reading(reading) for reading in journal.readings]
    document["jobs"] = [asdict(job) for job in journal.jobs]
    return json.dumps(document, default=lambda value: value.isoformat(), indent=1).encode()


def _encoded_reading(reading: SourceReading) -> dict[str, Any]:
    """Return a reading with its days as first and last days: years of days are one line."""
    days = {
        reason: [(window.start, window.last) for window in windows(days)]
        for reason, days in reading.by_reason().items()
    }
    return {"source": reading.source, "watch": reading.watch, "days": days}


def _decode(data: bytes) -> Journal:
    document: dict[str, Any] = json.loads(data)
    ended = document["ended"]
    return Journal(
        **{
            **_known(Journal, document),
            "began_at": datetime.fromisoformat(document["began_at"]),
            "start": date.fromisoformat(document["start"]),
            "through": date.fromisoformat(document["through"]),
            "readings": tuple(_decoded_reading(reading) for reading in document["readings"]),
            "jobs": tuple(_decoded_job(job) for job in document["jobs"]),
            "ended": None if ended is None else Outcome(ended),
        }
    )


def _known(kind: type[Journal | Job], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what this version knows of; a later one may have written more."""
    return {each.name: document[each.name] for each in fields(kind) if each.name in document}


def _decoded_reading(document: dict[str, Any]) -> SourceReading:
    days = {
        day: reason
        for reason, spans in document["days"].items()
        for first, last in spans
        for day in Window.through(date.fromisoformat(first), date.fromisoformat(last)).days()
    }
    return SourceReading(
        source=document["source"], days=dict(sorted(days.items())), watch=document["watch"]
    )


def _decoded_job(document: dict[str, Any]) -> Job:
    return Job(
        **{
            **_known(Job, document),
            "state": JobState(document["state"]),
            "metrics": tuple(document["metrics"]),
            "statement_ids": tuple(document["statement_ids"]),
        }
    )

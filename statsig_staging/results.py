"""What happened: events while a load runs, and its result."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from statsig_staging.plan import Refresh, SourceReading


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a service that runs statements has done, and what it charges; nothing where nothing is charged.

    Attributes:
        bytes_scanned: Bytes that it says it has scanned, of staging tables too.
        queued_seconds: How long statements have waited there.
        engine_seconds: How long it has worked on them.
        price: US dollars.
    """

    bytes_scanned: int = 0
    queued_seconds: float = 0.0
    engine_seconds: float = 0.0
    price: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            bytes_scanned=self.bytes_scanned + other.bytes_scanned,
            queued_seconds=self.queued_seconds + other.queued_seconds,
            engine_seconds=self.engine_seconds + other.engine_seconds,
            price=self.price + other.price,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            bytes_scanned=self.bytes_scanned - other.bytes_scanned,
            queued_seconds=self.queued_seconds - other.queued_seconds,
            engine_seconds=self.engine_seconds - other.engine_seconds,
            price=self.price - other.price,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON can hold."""
        return {
            "bytes_scanned": self.bytes_scanned,
            "queued_seconds": round(self.queued_seconds, 3),
            "engine_seconds": round(self.engine_seconds, 3),
            "price_usd": round(self.price, 6),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStarted:
    """A load begins; ``steps`` are the names of what it will do."""

    experiment_id: str
    load_id: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """A step begins; it has ``batches`` statements."""

    step: str
    batches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFinished:
    """One of a step's statements is done."""

    step: str
    done: int
    batches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """A step is done."""

    step: str
    seconds: float
    rows: int
    bytes_read: int
    bytes_written: int
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed:
    """A step failed; nothing is published."""

    step: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something a person should know, which does not stop the load."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPublished:
    """The load is published; readers see it from here on."""

    load_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """How far a batch of forwarded rows is.

    Attributes:
        table: The forwarded table.
        rows: Rows read so far.
        seconds: How long that took.
        share: How much of all inputs that was, from 0 to 1; None where it is not known.
    """

    table: str
    rows: int
    seconds: float
    share: float | None = None


Event = (
    LoadStarted | StepStarted | BatchFinished | StepFinished | StepFailed | Warned | LoadPublished
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one step did.

    Attributes:
        step: Its name.
        table: Catalog name of the table it wrote; None for a check.
        seconds: How long it took.
        rows: Rows written.
        statements: Statements run.
        bytes_read: Compressed bytes of source columns read.
        bytes_written: Bytes of the files written.
        files_read: Source files opened.
        snapshot_id: The Iceberg snapshot it made.
        partitions: Days that its statements filled.
        statement_ids: Ids of its statements at the service, where it gives any.
        usage: What the service charges for it.
    """

    step: str
    table: str | None
    seconds: float
    rows: int = 0
    statements: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    files_read: frozenset[str] = frozenset()
    snapshot_id: int | None = None
    partitions: tuple[date, ...] = ()
    statement_ids: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What a load did.

    Attributes:
        experiment_id: The experiment.
        load_id: The load that is published now; an earlier one where nothing had changed.
        status: ``published``, or ``unchanged`` where there was nothing to do.
        refresh: What was done.
        reason: Why it was done that way.
        start: First day of the experiment.
        through: Last day published.
        steps: What each step did.
        readings: What was read of each source, and why; how changes of it are noticed.
        warnings: What a person should know.
        seconds: How long it took, from planning to publishing.
    """

    experiment_id: str
    load_id: str
    status: str
    refresh: Refresh
    reason: str
    start: date
    through: date
    steps: tuple[StepResult, ...] = ()
    readings: tuple[SourceReading, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def days_read(self) -> Mapping[str, tuple[date, ...]]:
        """Source → days that were read."""
        return {reading.source: tuple(reading.days) for reading in self.readings}

    @property
    def watch(self) -> Mapping[str, str]:
        """Source → how its changes are noticed, for a person."""
        return {reading.source: reading.watch for reading in self.readings}

    @property
    def rows(self) -> int:
        """Rows written to staging tables."""
        return sum(step.rows for step in self.steps)

    @property
    def bytes_read(self) -> int:
        """Compressed bytes of source columns read."""
        return sum(step.bytes_read for step in self.steps)

    @property
    def bytes_written(self) -> int:
        """Bytes of the staging files written."""
        return sum(step.bytes_written for step in self.steps)

    @property
    def statements(self) -> int:
        """Statements run."""
        return sum(step.statements for step in self.steps)

    @property
    def usage(self) -> Usage:
        """What the service charges for its steps."""
        return sum((step.usage for step in self.steps), start=Usage())

    @property
    def files_read(self) -> frozenset[str]:
        """Source files opened."""
        return frozenset().union(*(step.files_read for step in self.steps))

    def to_dict(self) -> dict[str, Any]:
        """Return the result as values that JSON can hold."""
        return {
            "experiment_id": self.experiment_id,
            "load_id": self.load_id,
            "status": self.status,
            "refresh": self.refresh.value,
            "reason": self.reason,
            "start": self.start.isoformat(),
            "through": self.through.isoformat(),
            "days_read": {
                source: [day.isoformat() for day in days] for source, days in self.days_read.items()
            },
            "sources": [reading.to_dict() for reading in self.readings],
            "rows": self.rows,
            "statements": self.statements,
            "bytes_read": self.bytes_read,
            "bytes_written": self.bytes_written,
            "files_read": len(self.files_read),
            **self.usage.to_dict(),
            "seconds": round(self.seconds, 3),
            "warnings": list(self.warnings),
            "steps": [
                {
                    "step": step.step,
                    "table": step.table,
                    "seconds": round(step.seconds, 3),
                    "rows": step.rows,
                    "statements": step.statements,
                    "bytes_read": step.bytes_read,
                    "bytes_written": step.bytes_written,
                    "files_read": len(step.files_read),
                    "snapshot_id": step.snapshot_id,
                    "statement_ids": list(step.statement_ids),
                    **step.usage.to_dict(),
                }
                for step in self.steps
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """Files that were removed.

    Attributes:
        files: How many.
        bytes: How large they were together.
    """

    files: int = 0
    bytes: int = 0

    def __add__(self, other: Removed) -> Removed:
        return Removed(files=self.files + other.files, bytes=self.bytes + other.bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """What maintaining an experiment did.

    Attributes:
        experiment_id: The experiment.
        expired: Files of snapshots that no kept load names.
        old: Metadata files, and files of loads, that are out of retention.
        orphans: Files that nothing named.
        compacted: Tables whose small files or manifests were put together.
        load_id: The load that was published for it, with the same rows; None where there was no need.
        skipped: Why nothing was done; None where it was.
    """

    experiment_id: str
    expired: Removed = field(default_factory=Removed)
    old: Removed = field(default_factory=Removed)
    orphans: Removed = field(default_factory=Removed)
    compacted: tuple[str, ...] = ()
    load_id: str | None = None
    skipped: str | None = None

    @property
    def removed(self) -> Removed:
        """All that was removed."""
        return self.expired + self.old + self.orphans


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """What putting the files of a forwarded table together did.

    Attributes:
        table: ``database.table``.
        days: Days (UTC) of which files were put together.
        merged: Files that were.
        into: Files that they became.
        removed: Files that went because others have held their rows for long enough.
        waiting: Files that stay until then.
        skipped: Why nothing was done; None where it was.
    """

    table: str
    days: tuple[date, ...] = ()
    merged: int = 0
    into: int = 0
    removed: Removed = field(default_factory=Removed)
    waiting: int = 0
    skipped: str | None = None

    def __add__(self, other: Compaction) -> Compaction:
        return replace(
            self,
            days=tuple(sorted({*self.days, *other.days})),
            merged=self.merged + other.merged,
            into=self.into + other.into,
            removed=self.removed + other.removed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceResult:
    """What maintaining a project did.

    Attributes:
        experiments: What was done for each experiment.
        scratch: What processes that are gone had spilled.
        forwarded: What was done for each forwarded table.
    """

    experiments: tuple[Maintenance, ...] = ()
    scratch: Removed = field(default_factory=Removed)
    forwarded: tuple[Compaction, ...] = ()

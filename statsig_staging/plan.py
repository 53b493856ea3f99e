"""A plan is data: what a load will do, why, and the state it publishes. Running and explaining read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from statsig_staging.names import experiment_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from sqlglot import exp

    from statsig_staging.names import TableName
    from statsig_staging.sources import Observation, SourceFile


class Refresh(StrEnum):
    """What a load was asked to do."""

    INCREMENTAL = "incremental"
    FULL = "full"
    METRIC = "metric"
    """Incremental, and the columns of some metrics computed anew on every day."""


class ColumnType(StrEnum):
    """The types of staging columns, by their Athena names."""

    STRING = "varchar"
    LONG = "bigint"
    DOUBLE = "double"
    DATE = "date"
    TIMESTAMP = "timestamp(6)"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a staging table; ``doc`` is stored in the table's schema."""

    name: str
    type: ColumnType
    doc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A staging table: its names, its columns, and whether it is partitioned by ``ds``.

    ``experiment_id`` is empty for a table of the whole project. Of a table of values, those of ``aggregates``
    count; rows of other aggregates are what is left of metrics that are gone.
    """

    name: TableName
    experiment_id: str
    columns: tuple[Column, ...]
    partitioned: bool = False
    aggregates: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Where it lies below the staging folder."""
        if not self.experiment_id:
            return self.name.folder
        return f"{experiment_folder(self.experiment_id)}/{self.name.folder}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a batch reads of one source table: exactly these files, with the columns of the whole table.

    Attributes:
        table: ``database.table`` as configured.
        columns: Column → Athena type, of all files of the table together.
        files: The files.
        used: The columns that the statement names.
    """

    table: str
    columns: Mapping[str, str]
    files: tuple[SourceFile, ...]
    used: frozenset[str]

    @property
    def bytes(self) -> int:
        """Compressed bytes of the columns that are read."""
        return sum(file.bytes_of(self.used) for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One statement of a write.

    Attributes:
        select: Its SELECT; batches of one day each share one tree.
        values: What its parameters stand for: name → the text of a literal.
        partitions: The partitions that it fills; none for a table without partitions.
        reads: What it reads of the sources.
    """

    select: exp.Query
    values: Mapping[str, str] = field(default_factory=dict)
    partitions: tuple[date, ...] = ()
    reads: tuple[Read, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTable:
    """The table holds exactly the rows of the batches, whatever was there before."""

    target: Table
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacePartitions:
    """Those partitions hold exactly the batches' rows; the other partitions are untouched."""

    target: Table
    partitions: tuple[date, ...]
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Rows are updated or inserted by key; a source row whose ``deleted`` column is true removes its key.

    A row whose ``deleted`` is null updates or inserts like one where it is false.
    """

    target: Table
    keys: tuple[str, ...]
    deleted: str
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """All rows are replaced; a pinned reader sees the old rows or the new ones, never neither."""

    target: Table
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """The catalog entry and every file are gone."""

    target: Table


Write = CreateTable | ReplacePartitions | Merge | Replace | Drop


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A question about rows that are left out; answers above zero become warnings.

    ``messages`` maps a column of the answer to a sentence with ``{count}`` in it, and ``{example}``
    for what stands in the column ``<column>_example``.
    """

    select: exp.Query
    messages: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One named piece of a load.

    Attributes:
        name: Unique inside the plan.
        reason: Why the step is there, for a person.
        action: What is done.
        days: The days it reads or restates.
        needs: Names of steps that must be done before.
        guard: A query with one row and one column, the earliest day that has to be restated; batches
            that end before it are left out, all of them when it is null. None: every batch runs.
    """

    name: str
    reason: str
    action: Write | Check
    days: tuple[date, ...] = ()
    needs: tuple[str, ...] = ()
    guard: exp.Query | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReading:
    """What a plan reads of one source, and why.

    Attributes:
        source: The source's name.
        days: Day → reason.
        watch: How changes of this source are noticed, for a person.
        unseen: A change that the days do not reach, in words; empty where there is none.
    """

    source: str
    days: Mapping[date, str]
    watch: str
    unseen: str = ""

    def by_reason(self) -> dict[str, tuple[date, ...]]:
        """Return reason → days, in the order of each reason's first day."""
        found: dict[str, tuple[date, ...]] = {}
        for day, reason in sorted(self.days.items()):
            found[reason] = (*found.get(reason, ()), day)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the reading as values that JSON can hold."""
        return {
            "source": self.source,
            "watch": self.watch,
            "days": [
                {"reason": reason, "days": [day.isoformat() for day in days]}
                for reason, days in self.by_reason().items()
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRows:
    """What is kept of a metric source's rows once a plan has run.

    Attributes:
        days: Days whose rows are kept.
        late: Last day of the last load that read exposures of earlier days.
        more: Name of the step whose days are kept too, as far as it ran.
    """

    days: tuple[date, ...]
    late: date
    more: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a load of one experiment will do.

    Attributes:
        experiment_id: The experiment.
        refresh: What is done, which is ``full`` where an incremental load is not possible.
        reason: Why it is done that way.
        start: First day of the experiment.
        through: Last day that the load publishes.
        watermark: First day that counts as not yet loaded afterwards.
        totals_through: Last day of the unit totals that the next load starts from; None where there are none.
        kept: Metric source → what is kept of its rows.
        price_per_tb: US dollars for 10^12 bytes scanned; 0 where nobody charges for them.
        steps: In an order that respects their needs; empty when nothing has changed.
        readings: What is read of each source, and why.
        warnings: What a person should know before it runs.
        definitions: Fingerprint of each definition the tables are built from.
        observations: What each source held when the plan was made; the state to publish.
    """

    experiment_id: str
    refresh: Refresh
    reason: str
    start: date
    through: date
    watermark: date
    totals_through: date | None
    steps: tuple[Step, ...]
    readings: tuple[SourceReading, ...]
    warnings: tuple[str, ...]
    definitions: Mapping[str, str]
    observations: Mapping[str, Observation] = field(default_factory=dict)
    kept: Mapping[str, KeptRows] = field(default_factory=dict)
    price_per_tb: float = 0.0

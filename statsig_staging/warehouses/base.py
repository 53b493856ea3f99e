"""The port: what a load needs of a warehouse. It speaks writes, not SQL text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import date, datetime
    from pathlib import Path

    import pyarrow as pa
    from sqlglot import exp

    from statsig_staging.config import Partition
    from statsig_staging.days import Window
    from statsig_staging.forwarded import ForwardedTable
    from statsig_staging.names import TableName
    from statsig_staging.plan import Read, Table, Write
    from statsig_staging.results import Usage
    from statsig_staging.sources import SourceFile, TableObservation


SCRATCH = "recomputed"
"""The database under which queries name the tables of an open scratch warehouse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """How a warehouse likes its statements.

    Attributes:
        days_per_statement: Most days that one statement should fill.
        price_per_tb: US dollars for 10^12 bytes scanned; 0 where nobody charges for them.
        bytes_per_statement: Bytes of source files above which a statement fills no second day; None for
            any number.
        reads_chosen_files: Whether a statement reads the files that its batch lists, and no others of
            their days.
        aggregates_per_table: Most aggregates that one table of unit-days has. Half of the columns of a table
            may be left of metrics that are gone, and Athena's MERGE fails on a target of more than 321
            (https://github.com/apache/iceberg/issues/10294).
    """

    days_per_statement: int
    price_per_tb: float = 0.0
    bytes_per_statement: int | None = None
    reads_chosen_files: bool = True
    aggregates_per_table: int = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What to look at in a source table, and how its days are told.

    Attributes:
        table: ``database.table`` as configured.
        timestamp: The column whose UTC day is a row's day; None where days cannot be told (SQL sources).
        partition: The date column that the table is laid out by, if any.
        units: Columns whose missing values are counted.
        window: The days that matter; None where days are not asked about. A file whose rows may be of any
            day counts for all of them.
    """

    table: str
    timestamp: str | None = None
    partition: Partition | None = None
    units: tuple[str, ...] = ()
    window: Window | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What is stored with a commit.

    Attributes:
        load_id: The load that makes it.
        step: The step of the load.
        keep_tags: Tags of published loads that stay readable; snapshots under no tag expire.
        base: The snapshot that the table must stand at where the write keeps part of it.
    """

    load_id: str
    step: str
    keep_tags: tuple[str, ...] = ()
    base: int | None = None

    @property
    def tag(self) -> str:
        """The tag of the load's snapshots."""
        return f"load-{self.load_id}"

    @property
    def properties(self) -> Mapping[str, str]:
        """What the summary of a snapshot says of who made it."""
        return {"statsig_staging.load": self.load_id, "statsig_staging.step": self.step}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableVersion:
    """One version of a staging table.

    Attributes:
        snapshot_id: The Iceberg snapshot.
        metadata_location: Where the table's metadata was when it was current.
        tag: The tag that keeps the snapshot.
    """

    snapshot_id: int
    metadata_location: str
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteStats:
    """What a write did.

    Attributes:
        rows: Rows written.
        bytes_written: Size of the files written.
        files_read: Source files opened.
        bytes_read: Compressed bytes of the source columns read.
        statements: Statements run.
        version: The version of the table that it made; None where it made none.
        query_ids: Ids of the statements at the service, where it gives any.
    """

    rows: int = 0
    bytes_written: int = 0
    files_read: frozenset[str] = frozenset()
    bytes_read: int = 0
    statements: int = 0
    version: TableVersion | None = None
    query_ids: Sequence[str] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSize:
    """How large the current version of a staging table is."""

    rows: int
    bytes: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file below the staging folder.

    Attributes:
        key: Its path from the staging folder on, with ``/`` between the parts.
        size: Bytes.
        modified_at: When it was written, UTC.
    """

    key: str
    size: int
    modified_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """A table that the catalog names and that lies in an experiment's folder.

    Attributes:
        name: Its names.
        metadata: Key of its current metadata file.
    """

    name: TableName
    metadata: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An input of a forwarded table.

    Attributes:
        name: What it is called: a path, or a location in S3.
        size: Its bytes.
        opened: Returns it as a file of this machine; a copy is gone after the block.
    """

    name: str
    size: int
    opened: Callable[[], AbstractContextManager[Path]]


class Landing(Protocol):
    """Where forwarded rows land: files of plain tables, beside those of Iceberg's.

    Attributes:
        reads_hidden: Whether a statement can read a file whose name begins with ``_``.
    """

    reads_hidden: bool

    def workplace(self) -> AbstractContextManager[Path]:
        """Return a folder of this machine that is gone after the block."""

    def inputs(self, pattern: str, workplace: Path) -> Iterable[Found]:
        """Return the files that a path, a glob or a prefix of S3 names, in order.

        Raises:
            ConfigError: If there is none.
        """

    def deliver(self, path: Path, key: str) -> None:
        """Put a file of the workplace below the staging folder, whole or not at all; it is gone then."""

    def local(self, key: str, workplace: Path) -> Path:
        """Return a file below the staging folder as one of this machine."""

    def register(
        self, table: ForwardedTable, columns: Mapping[str, str], days: Iterable[date]
    ) -> None:
        """Have the catalog know a forwarded table with these columns and these days."""


class Warehouse(Protocol):
    """Where statements run. Adapters map every driver error to the tree in ``errors``."""

    traits: Traits

    def observe(self, sighting: Sighting, known: Mapping[str, SourceFile]) -> TableObservation:
        """Return the files of a source table; files that are still as ``known`` are not opened."""

    def contents(self, files: Iterable[SourceFile]) -> Mapping[str, str]:
        """Return path → digest of the bytes of files that are still as they were looked at.

        Those are left out whose times cannot lie, or that changed.
        """

    def types(self, query: exp.Query, tables: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
        """Return column → Athena type of a query over source tables with the given columns.

        No source file is opened.
        """

    def write(self, write: Write, stamp: Stamp, on_batch: Callable[[int, int], None]) -> WriteStats:
        """Perform a write; repeating it changes nothing. ``on_batch`` hears of (batches done, all)."""

    def spent(self) -> Usage:
        """Return what all statements have cost since the warehouse was opened."""

    def settle(self, experiment_id: str) -> None:
        """Return once no statement that a process that is gone has begun can change anything any more.

        Whoever has taken the experiment's lease calls it before anything is written or removed.
        """

    def put_rows(
        self, target: Table, rows: pa.Table, stamp: Stamp, *, replace: bool
    ) -> TableVersion:
        """Append rows in one commit, or with ``replace`` have the table hold exactly them.

        The table is created on first use.
        """

    def swap_rows(
        self,
        target: Table,
        before: TableVersion | None,
        rows: pa.Table,
        stamp: Stamp,
        *,
        replace: bool,
    ) -> bool:
        """Do what ``put_rows`` does if ``before`` is still the current version (None: no such table).

        Returns:
            Whether it was, and the rows are in; of several at once one succeeds.
        """

    def fetch(self, query: exp.Query, reads: Iterable[Read] = ()) -> pa.Table:
        """Return the rows of a query over staging tables, and over the sources that ``reads`` lists."""

    def version(self, table: Table) -> TableVersion | None:
        """Return the current version of a table; None where there is no such table."""

    def restore(self, table: Table, version: TableVersion) -> None:
        """Make an earlier version the current one again."""

    def size(self, table: Table, version: TableVersion | None = None) -> TableSize:
        """Return the size of a version of a table, by default of the current one."""

    def put_object(self, key: str, data: bytes) -> None:
        """Write a file below the staging folder, whole or not at all."""

    def get_object(self, key: str) -> bytes | None:
        """Return a file below the staging folder, or None."""

    def swap_object(self, key: str, before: bytes | None, after: bytes) -> bool:
        """Write a file below the staging folder if it is still ``before`` (None: if there is none).

        Returns:
            Whether it was, and is ``after`` now; of several at once one succeeds.
        """

    def entries(self, experiment_id: str) -> tuple[CatalogEntry, ...]:
        """Return the tables in the catalog that lie in an experiment's folder; none is opened."""

    def named_files(self, table: Table) -> frozenset[str]:
        """Return the keys of all files that a table's metadata names, of every snapshot."""

    def expire(self, table: Table, keep_tags: Iterable[str]) -> None:
        """Forget the snapshots of a table under no kept tag, the current one aside, with their files."""

    def compact(self, table: Table, stamp: Stamp) -> WriteStats | None:
        """Put small files of a table together, and its manifests, in one commit that changes no row.

        Earlier snapshots stay as they are.

        Returns:
            What was written; None where it would not be worth it.
        """

    def list_files(self, prefix: str) -> tuple[StoredFile, ...]:
        """Return every file below a folder of the staging folder; none where there is no such folder."""

    def delete_files(self, keys: Iterable[str]) -> None:
        """Remove files below the staging folder; one that is gone already is no error."""

    def delete_empty(self, prefix: str) -> None:
        """Remove a folder of the staging folder and those below it, as far as there is no file in them.

        Where folders are but parts of names, there is nothing to do.
        """

    def landing(self) -> Landing:
        """Return where forwarded rows land.

        Raises:
            WarehouseError: If nothing may be written there.
        """

    def scratch(self) -> AbstractContextManager[Warehouse]:
        """Return a warehouse of the same sources with nothing staged, which is gone after the block.

        While it is open, queries of this one may read its tables, as those of database ``SCRATCH``.
        """

    def sweep_scratch(self, before: datetime) -> tuple[StoredFile, ...]:
        """Remove what processes that are gone had spilled before a moment, and return what it was.

        Keys are whole paths: scratch space lies outside the staging folder.
        """

    def close(self) -> None:
        """Let go of everything that is held."""

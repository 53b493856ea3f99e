"""Performs writes: statements one after the other, checked to be the only ones, then tagged.

Athena commits each statement by itself. Readers are pinned to snapshots of published loads, so what
happens between two statements of a write is seen by nobody. A write that fails in between is undone and
tried anew where that can help; one whose process dies is undone by the next load.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, assert_never

from sqlglot import exp

from statsig_staging import iceberg
from statsig_staging.errors import StagingError, StepFailedError
from statsig_staging.plan import (
    Column,
    ColumnType,
    CreateTable,
    Drop,
    Merge,
    Replace,
    ReplacePartitions,
)
from statsig_staging.templates import DIALECT
from statsig_staging.warehouses.athena import dml
from statsig_staging.warehouses.athena.catalog import is_followed, misplaced, version_of
from statsig_staging.warehouses.athena.failures import AwsError, Kind
from statsig_staging.warehouses.base import WriteStats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.snapshots import Snapshot

    from statsig_staging.plan import Batch, Table, Write
    from statsig_staging.warehouses.athena.catalog import Catalog
    from statsig_staging.warehouses.athena.objects import S3Objects
    from statsig_staging.warehouses.athena.place import Place
    from statsig_staging.warehouses.athena.statements import Finished
    from statsig_staging.warehouses.base import Stamp

ATTEMPTS = 5
"""So often a write is begun; Athena's commit conflicts ask for the whole statement once more."""

OPTIMIZE_RUNS = 50
"""So often a table is optimized that asks for more runs; a run rewrites at most 100 partitions."""

SCATTERED = 5
"""So many files to a partition are worth rewriting; Athena's own threshold for OPTIMIZE is five."""

_AGAIN = {Kind.COMMIT_CONFLICT, Kind.THROTTLED, Kind.TRANSIENT}
_TOO_LARGE = {Kind.TIMED_OUT, Kind.RESOURCES_EXHAUSTED, Kind.TOO_MANY_PARTITIONS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What a statement is sent for.

    Attributes:
        experiment_id: The experiment whose journal it is entered in.
        stamp: The load and the step.
        attempt: How often the step was begun before.
        number: How many statements of the step were sent before.
    """

    experiment_id: str
    stamp: Stamp
    attempt: int
    number: int


class InterferenceError(StepFailedError):
    """Somebody else has committed to a table while it was written."""


@dataclass(slots=True)
class _Sent:
    """What the statements of one attempt have done so far."""

    finished: list[Finished] = field(default_factory=list)
    rows: int = 0
    inserted: int = 0
    merged: bool = False


class Writer:
    """Performs the writes of one warehouse.

    Args:
        send: Runs a statement to its end.
        catalog: The tables.
        objects: The files.
        place: Where the tables lie.
        pause: Waits before a write is begun again, which it has been so many times.
    """

    def __init__(
        self,
        send: Callable[[exp.Expr, Sending], Finished],
        catalog: Catalog,
        objects: S3Objects,
        place: Place,
        pause: Callable[[int], None],
    ) -> None:
        self._send = send
        self._catalog = catalog
        self._objects = objects
        self._place = place
        self._pause = pause

    def perform(
        self, write: Write, stamp: Stamp, on_batch: Callable[[int, int], None]
    ) -> WriteStats:
        """Perform a write; repeating it changes nothing."""
        if isinstance(write, Drop):
            return self._drop(write.target)
        for attempt in range(ATTEMPTS):
            present = self._catalog.load(self._place, write.target)
            base = _snapshot_id(present)
            _check_base(present, base, stamp)
            try:
                return self._attempt(write, present, stamp, attempt, on_batch)
            except StagingError as error:
                self._undo(write.target, present is not None, base)
                if not _is_worth_another(error) or attempt == ATTEMPTS - 1:
                    raise
            self._pause(attempt)
        raise StepFailedError(f"step {stamp.step}: no attempt succeeded")

    def _attempt(
        self,
        write: CreateTable | ReplacePartitions | Merge | Replace,
        present: IcebergTable | None,
        stamp: Stamp,
        attempt: int,
        on_batch: Callable[[int, int], None],
    ) -> WriteStats:
        base = _snapshot_id(present)
        table = self._place.node(write.target)
        batches = tuple(_pinned(batch, table, base) for batch in write.batches)
        one = self._begin(write.target, stamp, attempt)
        if present is None:
            batches = one.create(write, batches)
        else:
            exact = isinstance(write, CreateTable | Replace)
            self._catalog.evolve(self._place, write.target, write.target.columns, exact=exact)
            one.clear(write, present)
        done = len(write.batches) - len(batches)
        if done:
            on_batch(done, len(write.batches))
        if isinstance(write, Merge):
            one.merge(write, batches)
            on_batch(len(batches), len(batches))
        else:
            for number, batch in enumerate(batches, start=done + 1):
                one.fill(batch)
                on_batch(number, len(write.batches))
        return self._concluded(write, stamp, base, one.sent)

    def _begin(self, target: Table, stamp: Stamp, attempt: int) -> _Attempt:
        def run(statement: exp.Expr, number: int) -> Finished:
            sending = Sending(
                experiment_id=target.experiment_id, stamp=stamp, attempt=attempt, number=number
            )
            return self._send(statement, sending)

        return _Attempt(target, self._place, run, lambda: self._clear_files(target))

    def _concluded(
        self,
        write: CreateTable | ReplacePartitions | Merge | Replace,
        stamp: Stamp,
        base: int | None,
        sent: _Sent,
    ) -> WriteStats:
        """Check that the table's new snapshots are the write's own, tag the last, and expire others."""
        after = self._catalog.load(self._place, write.target)
        if after is None:
            raise InterferenceError(f"step {stamp.step}: the table that it has written is gone")
        made = _own(after, base, sent, stamp)
        if not is_followed(after):
            self._catalog.follow(self._place, write.target, stamp.properties)
            after = self._catalog.load(self._place, write.target) or after
        snapshot_id = _snapshot_id(after)
        if snapshot_id is not None:
            retired = self._catalog.keep(
                self._place, write.target, snapshot_id, stamp.tag, stamp.keep_tags
            )
            self._objects.delete_files(self._place.key(location) for location in retired)
            after = self._catalog.load(self._place, write.target) or after
        reads = [read for batch in write.batches for read in batch.reads]
        return WriteStats(
            rows=sent.rows,
            bytes_written=sum(_figure(snapshot, "added-files-size") for snapshot in made),
            files_read=frozenset(file.path for read in reads for file in read.files),
            bytes_read=sum(read.bytes for read in reads),
            statements=len(sent.finished),
            version=version_of(after, snapshot_id) if snapshot_id is not None else None,
            query_ids=tuple(each.query_id for each in sent.finished),
        )

    def compact(self, target: Table, stamp: Stamp) -> WriteStats | None:
        """Put small files and delete files of a table together; None where there is little to put."""
        present = self._catalog.load(self._place, target)
        if present is None or not _is_scattered(present):
            return None
        one = self._begin(target, stamp, 0)
        for _ in range(OPTIMIZE_RUNS):
            try:
                one.optimize()
            except AwsError as error:
                if error.kind is not Kind.MORE_RUNS_NEEDED:
                    raise
                continue
            break
        return self._tagged(target, stamp, one.sent)

    def _tagged(self, target: Table, stamp: Stamp, sent: _Sent) -> WriteStats | None:
        after = self._catalog.load(self._place, target)
        snapshot_id = _snapshot_id(after)
        if after is None or snapshot_id is None:
            return None
        keep = [name for name in after.refs() if name.startswith("load-")]
        self._catalog.keep(self._place, target, snapshot_id, stamp.tag, keep)
        found = self._catalog.version(self._place, target)
        return WriteStats(
            statements=len(sent.finished),
            version=found,
            query_ids=tuple(each.query_id for each in sent.finished),
        )

    def _undo(self, target: Table, was_there: bool, base: int | None) -> None:
        """Have a table as it was before a write that failed."""
        if not was_there:
            self._drop(target)
        elif base is not None:
            self._catalog.restore(self._place, target, base)

    def _drop(self, target: Table) -> WriteStats:
        where = self._catalog.loaded(self._place.database, self._place.name(target))
        if where is not None and not where.location().startswith(f"{self._place.root}"):
            raise misplaced(self._place, target, where.location())
        self._catalog.drop(self._place.database, self._place.name(target))
        self._clear_files(target)
        return WriteStats(statements=1)

    def _clear_files(self, target: Table) -> None:
        """Remove every file of a table that Glue does not name, such as a failed CTAS leaves behind."""
        self._objects.delete_files(file.key for file in self._objects.list_files(target.folder))


class _Attempt:
    """One attempt at a write: its statements, one after the other.

    Args:
        target: The table.
        place: Where it lies.
        run: Runs the statement of a number to its end.
        clear_files: Empties the table's folder.
    """

    def __init__(
        self,
        target: Table,
        place: Place,
        run: Callable[[exp.Expr, int], Finished],
        clear_files: Callable[[], None],
    ) -> None:
        self._target = target
        self._place = place
        self._run = run
        self._clear_files = clear_files
        self.sent = _Sent()

    @property
    def _table(self) -> exp.Table:
        return self._place.node(self._target)

    def _send(self, statement: exp.Expr) -> int:
        """Run a statement to its end, and return how many rows it has written."""
        done = self._run(statement, len(self.sent.finished))
        self.sent.finished.append(done)
        return done.rows or 0

    def create(
        self, write: CreateTable | ReplacePartitions | Merge | Replace, batches: tuple[Batch, ...]
    ) -> tuple[Batch, ...]:
        """Create the table with its first rows, and return the batches that are left."""
        if isinstance(write, Merge) or not batches:
            self._create(_nothing(self._target.columns))
            return batches
        first, *rest = batches
        self._in_parts(first, self._create, self._insert)
        return tuple(rest)

    def _create(self, rows: exp.Query) -> None:
        self._clear_files()
        location = f"{self._place.location(self._target)}/"
        self._count(self._send(dml.creation(self._table, self._target, location, rows)))

    def _insert(self, rows: exp.Query) -> None:
        self._count(self._send(dml.insertion(self._table, self._target.columns, rows)))

    def _count(self, rows: int) -> None:
        self.sent.rows += rows
        self.sent.inserted += rows

    def clear(
        self, write: CreateTable | ReplacePartitions | Merge | Replace, present: IcebergTable
    ) -> None:
        """Remove the rows that a write replaces."""
        match write:
            case CreateTable() | Replace():
                if present.current_snapshot() is not None:
                    self._send(dml.deletion(self._table, None))
            case ReplacePartitions():
                held = iceberg.partitions_of(present)
                days = sorted(held.intersection(write.partitions))
                if days:
                    self._send(dml.deletion(self._table, days))
            case Merge():
                return
            case _:
                assert_never(write)

    def optimize(self) -> None:
        """Rewrite small files, and those with deleted rows, once."""
        self._send(dml.optimization(self._table))

    def fill(self, batch: Batch) -> None:
        """Append the rows of a batch."""
        self._in_parts(batch, self._insert, self._insert)

    def _in_parts(
        self,
        batch: Batch,
        first: Callable[[exp.Query], None],
        others: Callable[[exp.Query], None],
    ) -> None:
        """Write a batch at once, or in halves of its days where Athena cannot do it at once."""
        days = batch.partitions if self._target.partitioned else ()
        send = first
        for part in _portions(days):
            rows = dml.rows_of(batch, self._target.columns)
            whole = len(part) == len(days)
            self._halved(rows if whole else dml.of_days(rows, part), part, send)
            send = others

    def _halved(
        self, rows: exp.Select, days: Sequence[date], send: Callable[[exp.Query], None]
    ) -> None:
        try:
            send(rows)
        except AwsError as error:
            if error.kind not in _TOO_LARGE or len(days) < 2:
                raise
            middle = len(days) // 2
            self._halved(dml.of_days(rows, days[:middle]), days[:middle], send)
            rest = self._insert if send == self._create else send
            self._halved(dml.of_days(rows, days[middle:]), days[middle:], rest)

    def merge(self, write: Merge, batches: Sequence[Batch]) -> None:
        """Merge the rows of all batches, in one statement where their partitions are not too many."""
        self.sent.merged = True
        columns = (*write.target.columns, Column(write.deleted, ColumnType.BOOLEAN))
        for some in _together(batches):
            days = sorted({day for batch in some for day in batch.partitions})
            rows = dml.together([dml.rows_of(batch, columns) for batch in some])
            self._merge_parts(write, rows, days if self._target.partitioned else ())

    def _merge_parts(self, write: Merge, rows: exp.Select, days: Sequence[date]) -> None:
        def send(part: exp.Query) -> None:
            self.sent.rows += self._send(dml.merge(self._table, write, part, days))

        for portion in _portions(days):
            whole = len(portion) == len(days)
            self._halved(rows if whole else dml.of_days(rows, portion), portion, send)


def _together(batches: Sequence[Batch]) -> list[list[Batch]]:
    """Return batches in groups whose partitions one statement may write."""
    found: list[list[Batch]] = []
    count = 0
    for batch in batches:
        if not found or count + len(batch.partitions) > dml.PARTITIONS:
            found.append([])
            count = 0
        found[-1].append(batch)
        count += len(batch.partitions)
    return found


def _is_worth_another(error: StagingError) -> bool:
    """Return whether a write that failed may succeed when it is begun anew."""
    if isinstance(error, AwsError):
        return error.kind in _AGAIN
    return isinstance(error, InterferenceError)


def _is_scattered(table: IcebergTable) -> bool:
    """Return whether deleted rows are kept apart, or more files than partitions need."""
    snapshot = table.current_snapshot()
    if snapshot is None:
        return False
    partitions = len(iceberg.partitions_of(table)) or 1
    return _figure(snapshot, "total-delete-files") > 0 or (
        _figure(snapshot, "total-data-files") >= SCATTERED * partitions
    )


def _portions(days: Sequence[date]) -> list[Sequence[date]]:
    """Return days in portions that one statement may write; no days are one portion."""
    starts = range(0, max(len(days), 1), dml.PARTITIONS)
    return [days[start : start + dml.PARTITIONS] for start in starts]


def _nothing(columns: Sequence[Column]) -> exp.Select:
    nulls = [
        exp.alias_(
            exp.cast(exp.null(), exp.DataType.build(column.type, dialect=DIALECT)),
            column.name,
            quoted=True,
        )
        for column in columns
    ]
    return exp.select(*nulls).where(exp.false())


def _pinned(batch: Batch, table: exp.Table, base: int | None) -> Batch:
    """Return a batch that reads its sources as they were looked at, and its own table as it was."""
    select = dml.at_snapshots(batch.select, batch.reads)
    return replace(batch, select=dml.at_base(select, table, base))


def _snapshot_id(table: IcebergTable | None) -> int | None:
    snapshot = table.current_snapshot() if table is not None else None
    return None if snapshot is None else snapshot.snapshot_id


def _check_base(present: IcebergTable | None, base: int | None, stamp: Stamp) -> None:
    """Raise a StepFailedError where somebody else has written to a table that the load builds on."""
    if present is not None and stamp.base is not None and base != stamp.base:
        raise StepFailedError(
            f"step {stamp.step}: the table was written by somebody else meanwhile; run again"
        )


def _own(after: IcebergTable, base: int | None, sent: _Sent, stamp: Stamp) -> list[Snapshot]:
    """Return the snapshots that a write has made.

    Raises:
        InterferenceError: If there are more of them, or with other rows, than the write's statements made.
    """
    made = iceberg.lineage(after, base)
    if made is None or len(made) > len(sent.finished):
        raise InterferenceError(
            f"step {stamp.step}: somebody else has committed to {'.'.join(after.name())} meanwhile"
        )
    added = sum(_figure(snapshot, "added-records") for snapshot in made)
    if not sent.merged and added != sent.inserted:
        raise InterferenceError(
            f"step {stamp.step}: {'.'.join(after.name())} has {added:,} new rows, and {sent.inserted:,} "
            "were written"
        )
    return made


def _figure(snapshot: Snapshot, name: str) -> int:
    return int((snapshot.summary[name] if snapshot.summary is not None else None) or 0)

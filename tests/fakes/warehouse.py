"""A warehouse that runs nothing: it remembers what it is told, and answers what it was given."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import pyarrow as pa
from sqlglot import exp

from statsig_staging.errors import StepFailedError
from statsig_staging.plan import Drop, Read, Table, Write
from statsig_staging.results import Usage
from statsig_staging.sources import SourceFile, TableObservation
from statsig_staging.warehouses.base import (
    CatalogEntry,
    Landing,
    Sighting,
    Stamp,
    StoredFile,
    TableSize,
    TableVersion,
    Traits,
    WriteStats,
)


class RecordingWarehouse:
    """The port, remembering every call.

    Attributes:
        writes: What was written, with its stamp, in order.
        appended: Catalog name → all rows that were appended to it.
        objects: Key → content, of every file that was put.
        versions: Catalog name → current version.
        queries: What was fetched, other than appended rows.
        answers: What the next queries get, in order.
        broken: Names of steps whose writes fail.
        closed: Whether it was let go.
    """

    def __init__(self, *answers: pa.Table, broken: Iterable[str] = ()) -> None:
        self.traits = Traits(days_per_statement=1)
        self.writes: list[tuple[Write, Stamp]] = []
        self.appended: dict[str, pa.Table] = {}
        self.objects: dict[str, bytes] = {}
        self.versions: dict[str, TableVersion] = {}
        self.queries: list[exp.Query] = []
        self.answers = list(answers)
        self.broken = frozenset(broken)
        self.closed = False

    def observe(self, sighting: Sighting, known: Mapping[str, SourceFile]) -> TableObservation:
        """Return an empty table."""
        return TableObservation(table=sighting.table, columns={}, files=())

    def contents(self, files: Iterable[SourceFile]) -> Mapping[str, str]:
        """Return nothing."""
        return {}

    def types(self, query: exp.Query, tables: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
        """Return every column as a string."""
        return dict.fromkeys(query.named_selects, "varchar")

    def write(self, write: Write, stamp: Stamp, on_batch: Callable[[int, int], None]) -> WriteStats:
        """Remember a write, one row and ten bytes for each batch, or fail where it is told to."""
        if stamp.step in self.broken:
            raise StepFailedError(f"{stamp.step} is broken")
        self.writes.append((write, stamp))
        if isinstance(write, Drop):
            self.versions.pop(write.target.name.catalog, None)
            return WriteStats(statements=1)
        count = len(write.batches)
        for done in range(1, count + 1):
            on_batch(done, count)
        return WriteStats(
            rows=count,
            bytes_written=10 * count,
            bytes_read=sum(read.bytes for batch in write.batches for read in batch.reads),
            statements=count,
            version=self._next_version(write.target, stamp),
        )

    def put_rows(
        self, target: Table, rows: pa.Table, stamp: Stamp, *, replace: bool
    ) -> TableVersion:
        """Keep rows."""
        kept = None if replace else self.appended.get(target.name.catalog)
        self.appended[target.name.catalog] = (
            rows if kept is None else pa.concat_tables([kept, rows])
        )
        return self._next_version(target, stamp)

    def swap_rows(
        self,
        target: Table,
        before: TableVersion | None,
        rows: pa.Table,
        stamp: Stamp,
        *,
        replace: bool,
    ) -> bool:
        """Keep rows if the table is still as it was."""
        if self.version(target) != before:
            return False
        self.put_rows(target, rows, stamp, replace=replace)
        return True

    def fetch(self, query: exp.Query, reads: Iterable[Read] = ()) -> pa.Table:
        """Return the appended rows of a table, else the next answer."""
        names = [table.name for table in query.find_all(exp.Table)]
        if len(names) == 1 and names[0] in self.appended:
            rows = self.appended[names[0]]
            return rows if query.is_star else rows.select(query.named_selects)
        self.queries.append(query)
        return self.answers.pop(0)

    def version(self, table: Table) -> TableVersion | None:
        """Return the version of the last write or append."""
        return self.versions.get(table.name.catalog)

    def restore(self, table: Table, version: TableVersion) -> None:
        """Make a version the current one."""
        self.versions[table.name.catalog] = version

    def size(self, table: Table, version: TableVersion | None = None) -> TableSize:
        """Return the size of the appended rows."""
        rows = self.appended.get(table.name.catalog)
        return TableSize(rows=0 if rows is None else rows.num_rows, bytes=0, files=0)

    def swap_object(self, key: str, before: bytes | None, after: bytes) -> bool:
        """Keep a file if it is still as it was."""
        if self.objects.get(key) != before:
            return False
        self.objects[key] = after
        return True

    def put_object(self, key: str, data: bytes) -> None:
        """Keep a file."""
        self.objects[key] = data

    def get_object(self, key: str) -> bytes | None:
        """Return a file that was put."""
        return self.objects.get(key)

    def entries(self, experiment_id: str) -> tuple[CatalogEntry, ...]:
        """Return no table."""
        return ()

    def named_files(self, table: Table) -> frozenset[str]:
        """Return no file."""
        return frozenset()

    def expire(self, table: Table, keep_tags: Iterable[str]) -> None:
        """Do nothing."""

    def compact(self, table: Table, stamp: Stamp) -> WriteStats | None:
        """Find nothing worth it."""
        return None

    def list_files(self, prefix: str) -> tuple[StoredFile, ...]:
        """Return the files that were put below a folder."""
        return tuple(
            StoredFile(key=key, size=len(data), modified_at=datetime(2026, 1, 1, tzinfo=UTC))
            for key, data in self.objects.items()
            if key.startswith(f"{prefix}/")
        )

    def delete_files(self, keys: Iterable[str]) -> None:
        """Forget files that were put."""
        for key in keys:
            self.objects.pop(key, None)

    def spent(self) -> Usage:
        """Return nothing."""
        return Usage()

    def settle(self, experiment_id: str) -> None:
        """Do nothing: nothing runs."""

    def delete_empty(self, prefix: str) -> None:
        """Do nothing: there are no folders."""

    def landing(self) -> Landing:
        """Refuse: nothing is forwarded here."""
        raise StepFailedError("nothing is forwarded to a warehouse that runs nothing")

    @contextmanager
    def scratch(self) -> Iterator["RecordingWarehouse"]:
        """Return another one."""
        yield RecordingWarehouse()

    def sweep_scratch(self, before: datetime) -> tuple[StoredFile, ...]:
        """Return nothing: nothing spills."""
        return ()

    def close(self) -> None:
        """Remember that it was let go."""
        self.closed = True

    def _next_version(self, table: Table, stamp: Stamp) -> TableVersion:
        number = len(self.writes) + sum(rows.num_rows for rows in self.appended.values())
        version = TableVersion(
            snapshot_id=number, metadata_location=f"v{number}.json", tag=stamp.tag
        )
        self.versions[table.name.catalog] = version
        return version

"""The embedded warehouse: DuckDB computes, pyiceberg commits, everything lies in one folder."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import duckdb
from sqlglot import exp

from statsig_staging import iceberg
from statsig_staging.errors import StepFailedError, WarehouseError
from statsig_staging.forwarded import named_table
from statsig_staging.iceberg import TableChange
from statsig_staging.manifests import named_files
from statsig_staging.names import TableName, experiment_folder
from statsig_staging.plan import CreateTable, Drop, Merge, Replace, ReplacePartitions
from statsig_staging.results import Usage
from statsig_staging.sources import TableObservation
from statsig_staging.warehouses.base import (
    SCRATCH,
    CatalogEntry,
    StoredFile,
    TableSize,
    TableVersion,
    Traits,
    WriteStats,
)
from statsig_staging.warehouses.local import compacting, dialect, files, forwarded, lake, spills
from statsig_staging.warehouses.local.drivers import (
    locked,
    mapped_errors,
    overwrite,
    prepared,
    said,
)
from statsig_staging.warehouses.local.glances import blame, observe_file
from statsig_staging.warehouses.local.landing import LocalLanding
from statsig_staging.warehouses.local.merging import MergeSource
from statsig_staging.warehouses.local.parquet import Copy, CopyQueue, copy_rows
from statsig_staging.warehouses.local.spills import Spill, scratch_root
from statsig_staging.warehouses.local.stamps import check_untouched, contents_of
from statsig_staging.warehouses.local.statements import Statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    import pyarrow as pa
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table as IcebergTable

    from statsig_staging.config import LocalConnection
    from statsig_staging.iceberg import Committed, WrittenFile
    from statsig_staging.plan import Batch, Read, Table, Write
    from statsig_staging.sources import SourceFile
    from statsig_staging.warehouses.base import Sighting, Stamp


class LocalWarehouse:
    """DuckDB and pyiceberg over a folder of the local disk.

    Args:
        connection: The project's ``connection``.
        root: The project folder; relative paths and globs start there.
        clock: The time that files are stamped by, nanoseconds since 1970.

    Raises:
        WarehouseError: If there is no such folder and none can be made; one that is there and cannot be
            written can be read, and refuses every write.
    """

    traits = Traits(days_per_statement=1)

    def __init__(
        self, connection: LocalConnection, root: Path, *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._config = connection
        self._clock = clock
        self._root = root.resolve()
        self._path = (self._root / connection.path).resolve()
        self._folder = self._path / connection.folder
        self._forwarded = self._folder
        self._unwritable = self._prepare()
        self._catalog = iceberg.open_catalog(self._path / "catalog.db", self._path)
        self._catalog.create_namespace_if_not_exists(connection.database)
        self._scratch = scratch_root(
            connection, self._root, self._path, writable=self._unwritable is None
        )
        self._spill = Spill(self._scratch)
        self._duckdb = self._connect()
        self._statements = Statements(self._catalog, connection.database, self._root)

    def _prepare(self) -> WarehouseError | None:
        """Make the folder; return why it cannot be written where it can only be read."""
        if any(mark in str(self._path) for mark in "#?"):
            raise WarehouseError(
                f"connection.path {self._path}: Iceberg locations cannot hold '#' or '?'; use another folder"
            )
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".probe-"):
                pass
        except OSError as error:
            refusal = WarehouseError(
                f"connection.path {self._path}: the folder cannot be written ({error}); "
                "choose a folder that this user may write to"
            )
            if not os.access(self._path / "catalog.db", os.R_OK):
                raise refusal from error
            return refusal
        return None

    def _check_writable(self) -> None:
        if self._unwritable is not None:
            raise self._unwritable

    def _connect(self) -> duckdb.DuckDBPyConnection:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "temp_directory": str(self._spill.path),
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "partitioned_write_max_open_files": 1000,
            **dialect.SETTINGS,
        }
        if self._config.memory_limit is not None:
            settings["memory_limit"] = self._config.memory_limit
        if self._config.threads is not None:
            settings["threads"] = self._config.threads
        try:
            return prepared(duckdb.connect(config=settings))
        except duckdb.Error as error:
            raise WarehouseError(
                f"connection: DuckDB refuses memory_limit or threads: {said(error)}"
            ) from error

    def close(self) -> None:
        """Close the connection and remove what it spilled."""
        self._duckdb.close()
        self._catalog.close()
        self._spill.close()

    def observe(self, sighting: Sighting, known: Mapping[str, SourceFile]) -> TableObservation:
        """Return the files of a source table; files that are still as ``known`` are not opened."""
        table = named_table(self._config, sighting.table)
        if table is not None and sighting.table not in self._config.sources:
            return forwarded.observe(
                table,
                self._forwarded,
                sighting,
                known,
                self._root,
                self._duckdb,
                self._clock(),
            )
        paths = self._source_paths(sighting.table)
        if lake.is_lake(self._config.sources[sighting.table]):
            return lake.observe(paths, sighting, known, self._root, self._duckdb)
        found = [
            observe_file(
                path, known.get(str(path)), sighting, self._root, self._duckdb, self._clock()
            )
            for path in paths
        ]
        return TableObservation(
            table=sighting.table, columns=files.merged_columns(found), files=tuple(found)
        )

    def contents(self, files: Iterable[SourceFile]) -> Mapping[str, str]:
        """Return path → digest of the bytes of files that are still as they were looked at."""
        return contents_of(files)

    def _source_paths(self, table: str) -> list[Path]:
        patterns = self._config.sources.get(table)
        if patterns is None:
            listed = ", ".join(sorted(self._config.sources)) or "none"
            raise WarehouseError(
                f"source table {table} is not listed under connection.sources (listed: {listed}); "
                "add it with the glob of its files"
            )
        paths = files.expand(patterns, self._root)
        if not paths:
            raise WarehouseError(
                f"source table {table}: no file matches {', '.join(patterns)} in {self._root}"
            )
        return paths

    def types(self, query: exp.Query, tables: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
        """Return column → Athena type of a query over source tables with the given columns."""
        statement = self._statements.without_rows(query, tables)
        with mapped_errors():
            described = self._duckdb.execute(
                f"DESCRIBE {statement.sql('duckdb', copy=False)}"
            ).fetchall()
        return {str(row[0]): files.duckdb_type(str(row[1])) for row in described}

    def fetch(self, query: exp.Query, reads: Iterable[Read] = ()) -> pa.Table:
        """Return the rows of a query over staging tables, and over the sources that ``reads`` lists."""
        with mapped_errors():
            statement = self._statements.of(query, reads)
            return self._duckdb.sql(statement.sql("duckdb", copy=False)).to_arrow_table()

    def version(self, table: Table) -> TableVersion | None:
        """Return the current version of a table; None where there is no such table."""
        found = self._load(table)
        snapshot = found.current_snapshot() if found is not None else None
        if found is None or snapshot is None:
            return None
        return _version(found, snapshot.snapshot_id)

    def size(self, table: Table, version: TableVersion | None = None) -> TableSize:
        """Return the size of a version of a table, by default of the current one."""
        found = self._load(table)
        snapshot_id = version.snapshot_id if version is not None else None
        current = iceberg.data_files(found, snapshot_id) if found is not None else []
        return TableSize(
            rows=sum(file.record_count for file in current),
            bytes=sum(file.file_size_in_bytes for file in current),
            files=len(current),
        )

    def _load(self, table: Table) -> IcebergTable | None:
        found = iceberg.load_table(self._catalog, self._config.database, table.name.catalog)
        if found is not None and found.location() != self._location(table):
            raise self._misplaced(table, found.location())
        return found

    def _misplaced(self, table: Table, where: str) -> WarehouseError:
        return WarehouseError(
            f"table {self._config.database}.{table.name.catalog} lies at {where}, not at "
            f"{self._location(table)}; if the warehouse was moved, move it back or choose an empty "
            "connection.path; otherwise choose another connection.database"
        )

    def _location(self, table: Table) -> str:
        return iceberg.location_of(self._table_folder(table))

    def _table_folder(self, table: Table) -> Path:
        return self._folder / table.folder

    def write(self, write: Write, stamp: Stamp, on_batch: Callable[[int, int], None]) -> WriteStats:
        """Perform a write as one commit; repeating it changes nothing."""
        self._check_writable()
        try:
            with mapped_errors():
                return self._write(write, stamp, on_batch)
        except StepFailedError as error:
            if not isinstance(write, Drop):
                blame(write.batches, self._root, self._duckdb, error)
            raise
        finally:
            self._statements.forget()

    def _write(
        self, write: Write, stamp: Stamp, on_batch: Callable[[int, int], None]
    ) -> WriteStats:
        match write:
            case CreateTable() | Replace():
                return self._replace(write, None, stamp, on_batch)
            case ReplacePartitions():
                return self._replace(write, write.partitions, stamp, on_batch)
            case Merge():
                return self._merge(write, stamp, on_batch)
            case Drop():
                return self._drop(write)
            case _:
                assert_never(write)

    def _replace(
        self,
        write: CreateTable | Replace | ReplacePartitions,
        partitions: Sequence[date] | None,
        stamp: Stamp,
        on_batch: Callable[[int, int], None],
    ) -> WriteStats:
        """Replace the rows of some partitions, or of the whole table with its columns."""
        present = self._load(write.target)
        if partitions is not None:
            _check_base(present, stamp)
        change = self._change(write.target, present, exact=partitions is None)
        with CopyQueue(self._duckdb, on_batch, len(write.batches)) as queue:
            for batch in write.batches:
                select = self._statements.of_batch(batch)
                day = batch.partitions[0] if len(batch.partitions) == 1 else None
                queue.add(self._copying(write.target, change, select, day))
            added = queue.files()
        check_untouched(write.batches)
        removed = iceberg.data_files(present, partitions=partitions) if present is not None else []
        return self._commit(write.target, change, removed, added, stamp, write.batches)

    def _merge(
        self, write: Merge, stamp: Stamp, on_batch: Callable[[int, int], None]
    ) -> WriteStats:
        """Write the touched files anew with the rows of the source in them: copy-on-write."""
        present = self._load(write.target)
        _check_base(present, stamp)
        change = self._change(write.target, present, exact=False)
        with MergeSource(self._duckdb, write) as source:
            for number, batch in enumerate(write.batches, start=1):
                source.add(self._statements.of_batch(batch))
                on_batch(number, len(write.batches))
            check_untouched(write.batches)
            source.check_keys()
            days = source.days() if write.target.partitioned else None
            touched = iceberg.data_files(present, partitions=days) if present is not None else []
            added: list[WrittenFile] = []
            for part in [None] if days is None else days:
                rows = source.merged(present, touched, change.schema, part)
                added += self._copy(write.target, change, rows, part)
        return self._commit(write.target, change, touched, added, stamp, write.batches)

    def _drop(self, write: Drop) -> WriteStats:
        name, folder = write.target.name.catalog, self._table_folder(write.target)
        where = iceberg.metadata_locations(self._catalog, self._config.database).get(name)
        if where is not None and not Path(iceberg.path_of(where)).is_relative_to(folder):
            raise self._misplaced(write.target, where)
        if where is not None:
            self._catalog.drop_table((self._config.database, name))
        shutil.rmtree(folder, ignore_errors=True)
        return WriteStats(statements=1)

    def spent(self) -> Usage:
        """Return nothing: nobody charges for it."""
        return Usage()

    def settle(self, experiment_id: str) -> None:
        """Do nothing: statements end with their process."""

    def put_rows(
        self, target: Table, rows: pa.Table, stamp: Stamp, *, replace: bool
    ) -> TableVersion:
        """Append rows in one commit, or have the table hold exactly them."""
        self._check_writable()
        with mapped_errors():
            present = self._load(target)
            change = self._change(target, present, exact=False)
            self._duckdb.register("given_rows", rows)
            try:
                added = self._copy(target, change, exp.select("*").from_("given_rows"), None)
            finally:
                self._duckdb.unregister("given_rows")
            removed = iceberg.data_files(present) if present is not None and replace else []
            stats = self._commit(target, change, removed, added, stamp, ())
        if stats.version is None:
            raise StepFailedError(f"nothing was written to {target.name.catalog}")
        return stats.version

    def swap_rows(
        self,
        target: Table,
        before: TableVersion | None,
        rows: pa.Table,
        stamp: Stamp,
        *,
        replace: bool,
    ) -> bool:
        """Do what ``put_rows`` does if ``before`` is still the current version (None: no such table)."""
        place = self._table_folder(target)
        with mapped_errors():
            place.parent.mkdir(parents=True, exist_ok=True)
            with locked(place.with_name(f".{place.name}.lock")):
                if _snapshot_of(self.version(target)) != _snapshot_of(before):
                    return False
                self.put_rows(target, rows, stamp, replace=replace)
        return True

    def restore(self, table: Table, version: TableVersion) -> None:
        """Make an earlier version the current one again."""
        self._check_writable()
        found = self._load(table)
        if found is not None:
            with mapped_errors():
                iceberg.restore(found, version.snapshot_id)

    def _change(self, target: Table, present: IcebergTable | None, *, exact: bool) -> TableChange:
        if present is not None:
            return TableChange.of(present, target.columns, exact=exact)
        return TableChange.create(
            self._catalog,
            self._config.database,
            target.name.catalog,
            location=self._location(target),
            columns=target.columns,
            partitioned=target.partitioned,
        )

    def _copying(
        self, target: Table, change: TableChange, select: exp.Query, partition: date | None
    ) -> Copy:
        return Copy(
            select=select,
            columns=target.columns,
            schema=change.schema,
            folder=self._table_folder(target) / "data",
            partition=partition,
            split=target.partitioned and partition is None,
        )

    def _copy(
        self, target: Table, change: TableChange, select: exp.Query, partition: date | None
    ) -> list[WrittenFile]:
        return copy_rows(self._duckdb, self._copying(target, change, select, partition))

    def _commit(
        self,
        target: Table,
        change: TableChange,
        remove: Sequence[DataFile],
        add: Sequence[WrittenFile],
        stamp: Stamp,
        batches: Sequence[Batch],
    ) -> WriteStats:
        committed = change.commit(
            remove=remove,
            add=add,
            properties=dict(stamp.properties),
            tag=stamp.tag,
            keep_tags=stamp.keep_tags,
        )
        _remove(committed.retired)
        reads = [read for batch in batches for read in batch.reads]
        return replace(
            self._stats(target, committed, add),
            files_read=frozenset(file.path for read in reads for file in read.files),
            bytes_read=sum(read.bytes for read in reads),
            statements=len(batches),
        )

    def _stats(self, target: Table, committed: Committed, add: Sequence[WrittenFile]) -> WriteStats:
        found = self._load(target)
        return WriteStats(
            rows=sum(file.rows for file in add),
            bytes_written=sum(file.size for file in add),
            version=_version(found, committed.snapshot_id) if found is not None else None,
        )

    def put_object(self, key: str, data: bytes) -> None:
        """Write a file below the staging folder, whole or not at all."""
        self._check_writable()
        place = self._folder / key
        draft = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
        with mapped_errors():
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                draft.write_bytes(data)
                draft.replace(place)
            except OSError:
                draft.unlink(missing_ok=True)
                raise

    def get_object(self, key: str) -> bytes | None:
        """Return a file below the staging folder, or None."""
        try:
            return (self._folder / key).read_bytes()
        except FileNotFoundError:
            return None

    def swap_object(self, key: str, before: bytes | None, after: bytes) -> bool:
        """Write a file below the staging folder if it is still ``before`` (None: if there is none)."""
        self._check_writable()
        place = self._folder / key
        with mapped_errors():
            place.parent.mkdir(parents=True, exist_ok=True)
            with locked(_lock_of(place)):
                if self.get_object(key) != before:
                    return False
                try:
                    self.put_object(key, after)
                except StepFailedError:
                    if before is None or len(before) != len(after):
                        raise
                    # A disk without room for another file has room for as many bytes in place of these.
                    overwrite(place, after)
        return True

    def entries(self, experiment_id: str) -> tuple[CatalogEntry, ...]:
        """Return the tables in the catalog that lie in an experiment's folder; none is opened."""
        folder = self._folder / experiment_folder(experiment_id)
        found = []
        for name, where in iceberg.metadata_locations(self._catalog, self._config.database).items():
            path = Path(iceberg.path_of(where))
            if path.is_relative_to(folder):
                place = TableName(catalog=name, folder=path.relative_to(folder).parts[0])
                found.append(CatalogEntry(name=place, metadata=self._key(where)))
        return tuple(found)

    def _key(self, location: str) -> str:
        return Path(iceberg.path_of(location)).relative_to(self._folder).as_posix()

    def named_files(self, table: Table) -> frozenset[str]:
        """Return the keys of all files that a table's metadata names, of every snapshot."""
        found = self._load(table)
        return frozenset(map(self._key, named_files(found))) if found is not None else frozenset()

    def expire(self, table: Table, keep_tags: Iterable[str]) -> None:
        """Forget the snapshots of a table under no kept tag, the current one aside, with their files."""
        found = self._load(table)
        if found is not None:
            with mapped_errors():
                _remove(TableChange.on(found).expire(keep_tags))

    def compact(self, table: Table, stamp: Stamp) -> WriteStats | None:
        """Put small files of a table together, and its manifests, in one commit that changes no row."""
        found = self._load(table)
        folder = self._table_folder(table) / "data"
        with mapped_errors():
            done = found and compacting.compact(
                self._duckdb, found, folder, dict(stamp.properties), stamp.tag
            )
        if not done:
            return None
        committed, added = done
        _remove(committed.retired)
        return self._stats(table, committed, added)

    def list_files(self, prefix: str) -> tuple[StoredFile, ...]:
        """Return every file below a folder of the staging folder."""
        return tuple(spills.files_below(self._folder / prefix, self._folder))

    def delete_files(self, keys: Iterable[str]) -> None:
        """Remove files below the staging folder, and the folders that are empty then."""
        with mapped_errors():
            paths = [self._folder / key for key in keys]
            _remove(paths)
            _remove(_lock_of(path) for path in paths)
            spills.remove_empty({path.parent for path in paths}, self._folder)

    def delete_empty(self, prefix: str) -> None:
        """Remove a folder of the staging folder and those below it, as far as there is no file in them."""
        place = self._folder / prefix
        with mapped_errors():
            below = (Path(folder) for folder, _, _ in os.walk(place, topdown=False))
            spills.remove_empty([*below, place], self._folder)

    def landing(self) -> LocalLanding:
        """Return where forwarded rows land."""
        self._check_writable()
        return LocalLanding(self._folder, self._root, self._spill.path)

    @contextmanager
    def scratch(self) -> Iterator[LocalWarehouse]:
        """Return a warehouse of the same sources with nothing staged, which is gone after the block."""
        place = self._spill.path / "scratch"
        other = LocalWarehouse(self._config.model_copy(update={"path": str(place)}), self._root)
        other._forwarded = self._forwarded
        try:
            with self._statements.beside(SCRATCH, other._catalog, self._config.database):
                yield other
        finally:
            other.close()
            shutil.rmtree(place, ignore_errors=True)

    def sweep_scratch(self, before: datetime) -> tuple[StoredFile, ...]:
        """Remove what processes that are gone had spilled before a moment, and return what it was."""
        return spills.sweep(self._scratch, before)


def _lock_of(place: Path) -> Path:
    return place.with_name(f".{place.name}.lock")


def _remove(paths: Iterable[Path | str]) -> None:
    for path in paths:
        Path(path).unlink(missing_ok=True)


def _check_base(present: IcebergTable | None, stamp: Stamp) -> None:
    """Raise a StepFailedError where somebody else has written to a table that the load builds on."""
    snapshot = present.current_snapshot() if present is not None else None
    if snapshot is not None and stamp.base is not None and snapshot.snapshot_id != stamp.base:
        raise StepFailedError(
            f"step {stamp.step}: the table was written by somebody else meanwhile; run again"
        )


def _snapshot_of(version: TableVersion | None) -> int | None:
    return None if version is None else version.snapshot_id


def _version(table: IcebergTable, snapshot_id: int) -> TableVersion:
    return TableVersion(
        snapshot_id=snapshot_id,
        metadata_location=table.metadata_location,
        tag=iceberg.tag_of(table, snapshot_id),
    )

"""The production warehouse: Athena computes, Glue catalogues, S3 keeps everything in one folder."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging.names import experiment_folder
from statsig_staging.plan import Drop
from statsig_staging.results import Usage
from statsig_staging.warehouses.athena import dml, fetching, inference
from statsig_staging.warehouses.athena.forwarded import ForwardedTables
from statsig_staging.warehouses.athena.guard import admitted
from statsig_staging.warehouses.athena.landing import AthenaLanding
from statsig_staging.warehouses.athena.place import Place
from statsig_staging.warehouses.athena.requests import Statement
from statsig_staging.warehouses.athena.services import open_services
from statsig_staging.warehouses.athena.writer import Writer
from statsig_staging.warehouses.base import SCRATCH, Traits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    import pyarrow as pa

    from statsig_staging.config import AthenaConnection
    from statsig_staging.plan import Read, Table, Write
    from statsig_staging.sources import SourceFile, TableObservation
    from statsig_staging.warehouses.athena.services import Services
    from statsig_staging.warehouses.athena.statements import Finished
    from statsig_staging.warehouses.athena.writer import Sending
    from statsig_staging.warehouses.base import (
        CatalogEntry,
        Sighting,
        Stamp,
        StoredFile,
        TableSize,
        TableVersion,
        WriteStats,
    )

SCRATCH_FOLDER = "_scratch"
"""The folder of scratch tables below the staging folder."""


class AthenaWarehouse:
    """Athena, Glue and S3 over one folder of a bucket and one database.

    Args:
        services: What is called.
        place: Where the tables lie.
        forwarded: The forwarded tables, where they do not lie there.
    """

    def __init__(
        self, services: Services, place: Place, forwarded: ForwardedTables | None = None
    ) -> None:
        self.traits = Traits(
            days_per_statement=dml.PARTITIONS,
            price_per_tb=services.connection.price_per_tb,
            bytes_per_statement=services.connection.max_bytes_per_statement,
            reads_chosen_files=False,
        )
        self._services = services
        self._place = place
        self._beside: dict[str, Place] = {}
        self._objects = services.objects(place)
        self._forwarded = forwarded or ForwardedTables(services.connection, self._objects, place)
        self._tables = services.catalog
        self._statements = services.statements(self._objects)
        self._spent = Usage()
        self._writer = Writer(
            self._send, services.catalog, self._objects, place, services.pause_before_attempt
        )

    def close(self) -> None:
        """Stop every statement that still runs, and let go of the services."""
        try:
            self._statements.stop_all()
        finally:
            self._services.close()

    def observe(self, sighting: Sighting, known: Mapping[str, SourceFile]) -> TableObservation:
        """Return the files of a source table, as Glue and S3 tell them; no statement is run."""
        self._forwarded.check(sighting.table)
        return self._forwarded.accepted(self._services.observe(sighting, known), known)

    def contents(self, files: Iterable[SourceFile]) -> Mapping[str, str]:  # noqa: ARG002
        """Return nothing: an object's ETag changes with its bytes."""
        return {}

    def types(self, query: exp.Query, tables: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
        """Return column → Athena type of a query over source tables with the given columns.

        Types that cannot be told from the tree are asked for, by a query without rows.
        """
        found = inference.types(query, tables)
        names = [name for name in query.named_selects if name not in found and name != "*"]
        if not names:
            return found
        columns = (exp.column(name, "q", quoted=True) for name in names)
        asked = exp.select(*columns).from_(query.subquery("q")).limit(0)
        return {**found, **self._services.described(self._read(asked, "types"))}

    def write(self, write: Write, stamp: Stamp, on_batch: Callable[[int, int], None]) -> WriteStats:
        """Perform a write; repeating it changes nothing."""
        return self._writer.perform(self._bound(write), stamp, on_batch)

    def _bound(self, write: Write) -> Write:
        """Return a write whose reads have the names that tables have here."""
        if isinstance(write, Drop):
            return write
        batches = tuple(
            replace(
                batch,
                select=self._forwarded.read(
                    self._place.bound(batch.select, self._beside, self._forwarded.has), batch.reads
                ),
            )
            for batch in write.batches
        )
        return replace(write, batches=batches)

    def _send(self, statement: exp.Expr, sending: Sending) -> Finished:
        """Run a statement that writes to its end, exactly once."""
        text = admitted(statement, self._place.database, self._place.root)
        return self._run(
            Statement(
                sql=text,
                purpose=sending.stamp.step,
                load_id=sending.stamp.load_id,
                experiment_id=sending.experiment_id,
                attempt=sending.attempt + 1,
                number=sending.number + 1,
            )
        )

    def _run(self, statement: Statement) -> Finished:
        done = self._statements.run(statement)
        self._spent += Usage(
            bytes_scanned=done.bytes_scanned,
            queued_seconds=done.queued_seconds,
            engine_seconds=done.engine_seconds,
            price=done.cost.dollars,
        )
        return done

    def _read(self, query: exp.Query, purpose: str) -> Finished:
        """Run a query to its end."""
        text = admitted(query, self._place.database, self._place.root)
        load_id = uuid.uuid4().hex
        return self._run(
            Statement(sql=text, purpose=purpose, load_id=load_id, experiment_id="", reads_only=True)
        )

    def fetch(self, query: exp.Query, reads: Iterable[Read] = ()) -> pa.Table:
        """Return the rows of a query over staging tables, and over the sources that ``reads`` lists."""
        reads = tuple(reads)
        bound = dml.at_snapshots(self._place.bound(query, self._beside, self._forwarded.has), reads)
        bound = self._forwarded.read(bound, reads)
        plain = fetching.plain_read(bound)
        if plain is not None and plain.database == self._place.database:
            rows = self._tables.rows(plain)
            if rows is not None:
                return rows
        return self._services.rows(self._read(bound, "read"))

    def version(self, table: Table) -> TableVersion | None:
        """Return the current version of a table; None where there is no such table."""
        return self._tables.version(self._place, table)

    def size(self, table: Table, version: TableVersion | None = None) -> TableSize:
        """Return the size of a version of a table, by default of the current one."""
        return self._tables.size(self._place, table, version)

    def restore(self, table: Table, version: TableVersion) -> None:
        """Make an earlier version the current one again."""
        self._tables.restore(self._place, table, version.snapshot_id)

    def spent(self) -> Usage:
        """Return what all statements have cost since the warehouse was opened."""
        return self._spent

    def settle(self, experiment_id: str) -> None:
        """Return once no statement that a process that is gone has begun can change anything any more."""
        self._statements.settle(f"{experiment_folder(experiment_id)}/_loads")

    def put_rows(
        self, target: Table, rows: pa.Table, stamp: Stamp, *, replace: bool
    ) -> TableVersion:
        """Append rows in one commit, or have the table hold exactly them."""
        return self._tables.put_rows(self._place, target, rows, stamp, replace=replace)

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
        return self._tables.swap_rows(self._place, target, before, rows, stamp, replace=replace)

    def put_object(self, key: str, data: bytes) -> None:
        """Write a file below the staging folder, whole or not at all."""
        self._objects.put_object(key, data)

    def get_object(self, key: str) -> bytes | None:
        """Return a file below the staging folder, or None."""
        return self._objects.get_object(key)

    def swap_object(self, key: str, before: bytes | None, after: bytes) -> bool:
        """Write a file below the staging folder if it is still ``before`` (None: if there is none)."""
        return self._objects.swap_object(key, before, after)

    def entries(self, experiment_id: str) -> tuple[CatalogEntry, ...]:
        """Return the tables in the catalog that lie in an experiment's folder; none is opened."""
        return self._services.entries(self._place, experiment_id)

    def named_files(self, table: Table) -> frozenset[str]:
        """Return the keys of all files that a table's metadata names, of every snapshot."""
        return self._tables.named_files(self._place, table)

    def expire(self, table: Table, keep_tags: Iterable[str]) -> None:
        """Forget the snapshots of a table under no kept tag, the current one aside, with their files."""
        retired = self._tables.expire(self._place, table, keep_tags)
        self._objects.delete_files(map(self._place.key, retired))

    def compact(self, table: Table, stamp: Stamp) -> WriteStats | None:
        """Put small files and delete files of a table together, by ``OPTIMIZE``."""
        return self._writer.compact(table, stamp)

    def list_files(self, prefix: str) -> tuple[StoredFile, ...]:
        """Return every file below a folder of the staging folder."""
        return self._objects.list_files(prefix)

    def delete_files(self, keys: Iterable[str]) -> None:
        """Remove files below the staging folder; one that is gone already is no error."""
        self._objects.delete_files(keys)

    def delete_empty(self, prefix: str) -> None:
        """Do nothing: a folder of S3 is but a part of names."""

    def landing(self) -> AthenaLanding:
        """Return where forwarded rows land."""
        return AthenaLanding(self._services, self._place, self._objects)

    @contextmanager
    def scratch(self) -> Iterator[AthenaWarehouse]:
        """Return a warehouse of the same sources with nothing staged, which is gone after the block."""
        name = uuid.uuid4().hex[:12]
        place = replace(
            self._place,
            folder=f"{self._place.folder}/{SCRATCH_FOLDER}/{name}",
            prefix=f"scratch_{name}_",
        )
        other = AthenaWarehouse(self._services, place, self._forwarded)
        self._beside[SCRATCH] = place
        try:
            yield other
        finally:
            del self._beside[SCRATCH]
            self._remove_scratch(name)

    def sweep_scratch(self, before: datetime) -> tuple[StoredFile, ...]:
        """Remove the scratch tables that processes that are gone had left before a moment."""
        found: dict[str, list[StoredFile]] = {}
        for file in self._objects.list_files(SCRATCH_FOLDER):
            found.setdefault(file.key.split("/")[1], []).append(file)
        old = {
            name: files
            for name, files in found.items()
            if max(file.modified_at for file in files) < before
        }
        for name in old:
            self._remove_scratch(name)
        return tuple(file for files in old.values() for file in files)

    def _remove_scratch(self, name: str) -> None:
        folder = f"{SCRATCH_FOLDER}/{name}"
        for table in self._tables.below(self._place, folder):
            self._tables.drop(self._place.database, table)
        self._objects.delete_files(file.key for file in self._objects.list_files(folder))


def open_athena(connection: AthenaConnection) -> AthenaWarehouse:
    """Return the warehouse of a connection; its workgroup is looked at.

    Raises:
        AwsRefusedError: If there are no credentials, or the workgroup cannot serve.
    """
    place = Place(bucket=connection.bucket, folder=connection.folder, database=connection.database)
    return AthenaWarehouse(open_services(connection), place)

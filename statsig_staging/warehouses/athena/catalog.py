"""Staging tables in Glue, through pyiceberg: what Athena's statements cannot do, or not in one commit."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, TypeVar

from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.table import StaticTable

from statsig_staging import iceberg
from statsig_staging.errors import StepFailedError, WarehouseError
from statsig_staging.iceberg import TableChange
from statsig_staging.manifests import named_files
from statsig_staging.warehouses.athena import failures
from statsig_staging.warehouses.athena.failures import Kind
from statsig_staging.warehouses.athena.fetching import SMALL
from statsig_staging.warehouses.athena.retries import PATIENCE
from statsig_staging.warehouses.base import TableSize, TableVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pyarrow as pa
    from pyiceberg.table import Table as IcebergTable

    from statsig_staging.config import AthenaConnection
    from statsig_staging.plan import Column, Table
    from statsig_staging.warehouses.athena.clients import Clients
    from statsig_staging.warehouses.athena.fetching import PlainRead
    from statsig_staging.warehouses.athena.place import Place
    from statsig_staging.warehouses.athena.retries import Retries
    from statsig_staging.warehouses.base import Stamp

Result = TypeVar("Result")

_COMMIT = "statsig_staging.commit"
"""Where a snapshot says which commit made it."""

COMMITS = 8
"""So often a commit is tried that others get in the way of; each of them has committed meanwhile."""

STATE_PROPERTIES = {**iceberg.TABLE_PROPERTIES, "commit.retry.num-retries": "0"}
"""Of tables that this library writes itself.

pyiceberg's own retry would rebase rows onto a version that nobody has looked at.
"""


class Catalog:
    """The staging database, as pyiceberg sees it.

    Args:
        clients: Clients of the services, and the credentials that files are read with.
        connection: The project's ``connection``.
        retries: How calls are repeated.
    """

    def __init__(self, clients: Clients, connection: AthenaConnection, retries: Retries) -> None:
        self._clients = clients
        self._connection = connection
        self._retries = retries
        self._opened: tuple[object, GlueCatalog] | None = None

    @property
    def glue(self) -> GlueCatalog:
        """The catalog, opened anew when the credentials are others than before."""
        credentials = self._clients.credentials()
        if self._opened is None or self._opened[0] != credentials:
            properties = {
                "s3.region": self._connection.region,
                "s3.access-key-id": credentials.access_key,
                "s3.secret-access-key": credentials.secret_key,
                "s3.session-token": credentials.token or "",
                "s3.endpoint": self._connection.endpoint_url or "",
            }
            given = {key: value for key, value in properties.items() if value}
            self._opened = credentials, GlueCatalog("glue", client=self._clients.glue, **given)
        return self._opened[1]

    def load(self, place: Place, table: Table) -> IcebergTable | None:
        """Return a staging table, or None where there is none.

        Raises:
            WarehouseError: If a table of its name lies elsewhere.
        """
        found = self.loaded(place.database, place.name(table))
        if found is not None and found.location().rstrip("/") != place.location(table):
            raise misplaced(place, table, found.location())
        return found

    def loaded(self, database: str, name: str) -> IcebergTable | None:
        """Return any Iceberg table of Glue, or None where there is none."""
        return self._called(
            f"reading table {database}.{name}",
            lambda: iceberg.load_table(self.glue, database, name),
        )

    def at(self, where: str) -> IcebergTable:
        """Return a table as a metadata file says it is; it can be read only."""
        properties = dict(self.glue.properties)
        return self._called(
            f"reading {where}", lambda: StaticTable.from_metadata(where, properties)
        )

    def change(
        self,
        load: Callable[[], IcebergTable | None],
        make: Callable[[IcebergTable], tuple[str, ...]],
        is_done: Callable[[IcebergTable], bool],
    ) -> tuple[str, ...]:
        """Commit a change of metadata, again and again where others commit in between.

        An answer that was lost leaves open whether the commit is there; then the table is asked.

        Args:
            load: Loads the table.
            make: Commits the change to a table; it is not called where the change is there.
            is_done: Returns whether a table has the change.

        Returns:
            What ``make`` returned, or nothing.
        """
        for _ in range(COMMITS):
            table = load()
            if table is None or is_done(table):
                return ()
            try:
                return make(table)
            except CommitFailedException:
                continue
            except Exception as error:  # noqa: BLE001  whatever boto3 and pyarrow raise
                _raise_unless_passing(error)
        raise StepFailedError("a table was changed by others again and again; run again later")

    def restore(self, place: Place, table: Table, snapshot_id: int) -> None:
        """Make an earlier snapshot the current one again."""

        def make(found: IcebergTable) -> tuple[str, ...]:
            iceberg.restore(found, snapshot_id)
            return ()

        self.change(
            lambda: self.load(place, table), make, lambda found: _current(found) == snapshot_id
        )

    def evolve(self, place: Place, table: Table, columns: Sequence[Column], *, exact: bool) -> None:
        """Give a table the columns that it lacks, and with ``exact`` no others."""

        def change(found: IcebergTable) -> TableChange:
            return TableChange.of_others(found).evolved(tuple(columns), exact=exact)

        def make(found: IcebergTable) -> tuple[str, ...]:
            change(found).apply()
            return ()

        def is_done(found: IcebergTable) -> bool:
            names = {field.name for field in found.schema().fields}
            wanted = {column.name for column in columns}
            return names == wanted if exact else wanted <= names

        self.change(lambda: self.load(place, table), make, is_done)

    def follow(self, place: Place, table: Table, properties: Mapping[str, str]) -> None:
        """Commit a snapshot without files where the current one has other columns than the table.

        A version is read with the columns that it had; statements that found no row to write made none.
        """

        def make(found: IcebergTable) -> tuple[str, ...]:
            TableChange.of_others(found).replace((), (), properties)
            return ()

        self.change(lambda: self.load(place, table), make, is_followed)

    def keep(
        self, place: Place, table: Table, snapshot_id: int, tag: str, keep_tags: Iterable[str]
    ) -> tuple[str, ...]:
        """Tag a snapshot, and forget those under no kept tag; return the files they alone had."""
        keep = tuple(keep_tags)

        def make(found: IcebergTable) -> tuple[str, ...]:
            change = TableChange.of_others(found)
            return change.described(table.columns).keep(snapshot_id, tag, keep)

        def is_done(found: IcebergTable) -> bool:
            ref = found.refs().get(tag)
            return ref is not None and ref.snapshot_id == snapshot_id

        return self.change(lambda: self.load(place, table), make, is_done)

    def expire(self, place: Place, table: Table, keep_tags: Iterable[str]) -> tuple[str, ...]:
        """Forget the snapshots under no kept tag, the current one aside; return the files they alone had."""
        keep = tuple(keep_tags)

        def make(found: IcebergTable) -> tuple[str, ...]:
            return TableChange.of_others(found).expire(keep)

        return self.change(lambda: self.load(place, table), make, lambda _: False)

    def put_rows(
        self, place: Place, table: Table, rows: pa.Table, stamp: Stamp, *, replace: bool
    ) -> TableVersion:
        """Append rows to a table in one commit, or have it hold exactly them."""
        for _ in range(COMMITS):
            before = self.load(place, table)
            if self._put(place, table, before, rows, stamp, replace=replace):
                found = self.version(place, table)
                if found is None:
                    raise StepFailedError(f"nothing was written to {table.name.catalog}")
                return found
        raise StepFailedError(f"{table.name.catalog} was written by others again and again")

    def swap_rows(
        self,
        place: Place,
        table: Table,
        before: TableVersion | None,
        rows: pa.Table,
        stamp: Stamp,
        *,
        replace: bool,
    ) -> bool:
        """Do what ``put_rows`` does if ``before`` is still the current version."""
        present = self.load(place, table)
        wanted = before.snapshot_id if before is not None else None
        if (_current(present) if present is not None else None) != wanted:
            return False
        return self._put(place, table, present, rows, stamp, replace=replace)

    def _put(
        self,
        place: Place,
        table: Table,
        before: IcebergTable | None,
        rows: pa.Table,
        stamp: Stamp,
        *,
        replace: bool,
    ) -> bool:
        """Commit rows on a version of a table; return whether they are in.

        They are not where somebody else has committed after that version. An answer that was lost leaves
        open whether they are; the commit says whose it is.
        """
        commit = uuid.uuid4().hex
        properties = {**stamp.properties, _COMMIT: commit}
        try:
            iceberg.put_rows(
                self._begun(place, table, before),
                before,
                rows,
                replace=replace,
                properties=properties,
                tag=stamp.tag,
            )
        except (CommitFailedException, TableAlreadyExistsError):
            return False
        except Exception as error:  # noqa: BLE001  whatever boto3 and pyarrow raise
            _raise_unless_passing(error)
            return self._has(place, table, commit)
        return True

    def _begun(self, place: Place, table: Table, before: IcebergTable | None) -> TableChange:
        if before is not None:
            change = TableChange.of_others(before)
            return change.evolved(table.columns, exact=False)
        return TableChange.create(
            self.glue,
            place.database,
            place.name(table),
            location=place.location(table),
            columns=table.columns,
            partitioned=False,
            properties=STATE_PROPERTIES,
        )

    def _has(self, place: Place, table: Table, commit: str) -> bool:
        found = self.load(place, table)
        snapshots = found.snapshots() if found is not None else []
        return any(
            each.summary is not None and each.summary[_COMMIT] == commit for each in snapshots
        )

    def rows(self, read: PlainRead) -> pa.Table | None:
        """Return the rows of a plain read; None where there are too many to read them here.

        Raises:
            WarehouseError: If there is no such table, or no such version any more.
        """
        found = self.loaded(read.database, read.name)
        if found is None:
            raise WarehouseError(f"table {read.database}.{read.name} does not exist")
        snapshot = (
            found.current_snapshot()
            if read.snapshot_id is None
            else found.snapshot_by_id(read.snapshot_id)
        )
        if snapshot is None and read.snapshot_id is not None:
            raise expired(read.name, read.snapshot_id)
        summary = snapshot.summary if snapshot is not None else None
        size = int((summary["total-files-size"] if summary is not None else None) or 0)
        return read.rows(found) if size <= SMALL else None

    def version(self, place: Place, table: Table) -> TableVersion | None:
        """Return the current version of a table; None where there is no such table, or no snapshot."""
        found = self.load(place, table)
        snapshot_id = _current(found) if found is not None else None
        if found is None or snapshot_id is None:
            return None
        return version_of(found, snapshot_id)

    def size(self, place: Place, table: Table, version: TableVersion | None) -> TableSize:
        """Return the size of a version of a table, as its snapshot sums it up."""
        found = self.load(place, table)
        if found is None:
            return TableSize(rows=0, bytes=0, files=0)
        snapshot = (
            found.current_snapshot()
            if version is None
            else found.snapshot_by_id(version.snapshot_id)
        )
        if snapshot is None and version is not None:
            raise expired(table.name.catalog, version.snapshot_id)
        summary = snapshot.summary if snapshot is not None else None

        def total(name: str) -> int:
            return int((summary[name] if summary is not None else None) or 0)

        return TableSize(
            rows=total("total-records") - total("total-position-deletes"),
            bytes=total("total-files-size"),
            files=total("total-data-files") + total("total-delete-files"),
        )

    def named_files(self, place: Place, table: Table) -> frozenset[str]:
        """Return the keys of all files that a table's metadata names, of every snapshot."""
        found = self.load(place, table)
        return frozenset(map(place.key, named_files(found))) if found is not None else frozenset()

    def below(self, place: Place, folder: str) -> tuple[str, ...]:
        """Return the names of the tables in Glue that lie in a folder below the staging folder."""
        pages = self._clients.glue.get_paginator("get_tables")

        def listed() -> tuple[str, ...]:
            return tuple(
                table["Name"]
                for page in pages.paginate(DatabaseName=place.database)
                for table in page["TableList"]
                if table.get("StorageDescriptor", {})
                .get("Location", "")
                .startswith(f"{place.root}{folder}/")
            )

        return self._called(f"listing the tables of {place.database}", listed)

    def drop(self, database: str, name: str) -> None:
        """Remove a table from Glue; its files stay."""
        try:
            self._called(
                f"dropping table {database}.{name}",
                lambda: self.glue.drop_table((database, name)),
            )
        except NoSuchTableError:
            return

    def _called(self, what: str, function: Callable[[], Result]) -> Result:
        """Return what a read of metadata returns, tried again where files or services fail in passing."""

        def tried() -> Result:
            try:
                return function()
            except (FileNotFoundError, PermissionError):
                raise
            except OSError as error:
                raise failures.failure(f"{what}: {error}; run again", Kind.TRANSIENT) from error

        return self._retries.call(what, tried)


def version_of(table: IcebergTable, snapshot_id: int) -> TableVersion:
    """Return a snapshot of a table as a version."""
    return TableVersion(
        snapshot_id=snapshot_id,
        metadata_location=table.metadata_location,
        tag=iceberg.tag_of(table, snapshot_id),
    )


def _raise_unless_passing(error: Exception) -> None:
    """Raise an error of a commit that another attempt would meet again.

    pyarrow raises an OSError for whatever S3 answers, after having tried again itself.
    """
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError | PermissionError):
        return
    mapped = failures.failed_call(error, "committing to a table")
    if mapped is None:
        raise error
    if mapped.kind not in PATIENCE:
        raise mapped from error


def is_followed(table: IcebergTable) -> bool:
    """Return whether the current snapshot of a table has the columns of the table."""
    snapshot = table.current_snapshot()
    current = table.metadata.current_schema_id
    return snapshot is not None and snapshot.schema_id in (None, current)


def _current(table: IcebergTable) -> int | None:
    snapshot = table.current_snapshot()
    return None if snapshot is None else snapshot.snapshot_id


def misplaced(place: Place, table: Table, where: str) -> WarehouseError:
    """Return the error for a table that lies elsewhere: it is somebody else's."""
    return WarehouseError(
        f"table {place.database}.{place.name(table)} lies at {where}, not at {place.location(table)}: "
        "it is somebody else's and was left as it is; choose another connection.database or "
        "connection.folder"
    )


def expired(name: str, snapshot_id: int) -> WarehouseError:
    """Return the error for a snapshot that has left retention."""
    return WarehouseError(
        f"table {name} has no snapshot {snapshot_id} any more: the load that it belongs to "
        "has left retention; read again, or raise connection.keep_loads"
    )

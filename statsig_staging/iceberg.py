"""Iceberg commits: the only module that makes pyiceberg's semi-internal calls.

pyiceberg 0.12 has no public way to commit data files that another engine wrote with field ids in
them, and none to do several changes of a table in one commit. The calls used for that are
``_create_staged_table``, ``_OverwriteFiles`` with its ``append_data_file`` and ``delete_data_file`` and
the hooks that choose its manifests, ``Transaction._stage`` and ``table_metadata``, the catalog's own table
of ``IcebergTables``, the footer statistics of ``pyiceberg.io.pyarrow`` and the decoding of bounds; the
contract test ``tests/test_iceberg.py`` holds them to what is needed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.conversions import from_bytes
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io import load_file_io
from pyiceberg.io.pyarrow import (
    _dataframe_to_data_files,
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
)
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import CreateTableTransaction, Transaction
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update import (
    RemoveSnapshotRefUpdate,
    RemoveSnapshotsUpdate,
    SetCurrentSchemaUpdate,
    SetSnapshotRefUpdate,
)
from pyiceberg.table.update.snapshot import (
    ManageSnapshots,
    _ManifestMergeManager,
    _OverwriteFiles,
)
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import EMPTY_DICT, Record
from pyiceberg.types import (
    BooleanType,
    DateType,
    DoubleType,
    IcebergType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
)
from pyiceberg.utils.datetime import days_to_date, micros_to_timestamp
from sqlalchemy import bindparam, select
from sqlalchemy.exc import SQLAlchemyError

from statsig_staging.errors import WarehouseError
from statsig_staging.manifests import is_alive, live_entries, manifests_of, only_of
from statsig_staging.plan import Column, ColumnType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa
    from pyiceberg.catalog import Catalog
    from pyiceberg.catalog.glue import GlueCatalog
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot
    from pyiceberg.table.update import TableUpdate
    from pyiceberg.typedef import Identifier, Properties

CATALOG_NAME = "statsig_staging"
"""Rows of pyiceberg's SQL catalog carry a catalog name; a reader must use the same one."""

PARTITION_COLUMN = "ds"

PREVIOUS_METADATA = 3
"""So many earlier metadata files a table remembers; older ones stay while a kept load names them."""

MANY_MANIFESTS = 10
"""A commit that would leave so many manifests puts them into one; to open one takes milliseconds."""

TABLE_PROPERTIES = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    "write.metadata.delete-after-commit.enabled": "false",
    "write.metadata.previous-versions-max": str(PREVIOUS_METADATA),
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": str(MANY_MANIFESTS),
    "commit.retry.num-retries": "20",
}

_EPOCH = date(1970, 1, 1).toordinal()

_TYPES: dict[ColumnType, IcebergType] = {
    ColumnType.STRING: StringType(),
    ColumnType.LONG: LongType(),
    ColumnType.DOUBLE: DoubleType(),
    ColumnType.DATE: DateType(),
    ColumnType.TIMESTAMP: TimestampType(),
    ColumnType.BOOLEAN: BooleanType(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    """A Parquet file that was written into a table's folder and is not committed yet."""

    path: Path
    rows: int
    size: int
    partition: date | None = None


def open_catalog(database: Path, warehouse: Path) -> SqlCatalog:
    """Return the catalog kept in a SQLite file, which is created on first use.

    Raises:
        WarehouseError: If the file is something else, or cannot be opened.
    """
    try:
        return _Catalog(CATALOG_NAME, uri=f"sqlite:///{database}", warehouse=location_of(warehouse))
    except SQLAlchemyError as error:
        raise WarehouseError(
            f"{database} is not a catalog that can be opened; move it away, "
            "or choose an empty connection.path"
        ) from error


_METADATA_KEPT = 256

_POINTER = select(IcebergTables.metadata_location).where(
    IcebergTables.catalog_name == bindparam("catalog"),
    IcebergTables.table_namespace == bindparam("database"),
    IcebergTables.table_name == bindparam("name"),
)


class _Catalog(SqlCatalog):
    """pyiceberg's catalog, which reads a metadata file once: none is ever written again."""

    @cached_property
    def _file_io(self) -> FileIO:
        return load_file_io(self.properties, self.properties["warehouse"])

    def _load_file_io(
        self,
        properties: Properties = EMPTY_DICT,  # noqa: ARG002
        location: str | None = None,  # noqa: ARG002
    ) -> FileIO:
        return self._file_io

    def load_table(self, identifier: str | Identifier) -> IcebergTable:
        (database,), name = self.namespace_from(identifier), self.table_name_from(identifier)
        key = {"catalog": self.name, "database": database, "name": name}
        with self.engine.connect() as connection:
            where = connection.scalar(_POINTER, key)
        if where is None:
            raise NoSuchTableError(f"Table does not exist: {database}.{name}")
        written_ns = Path(path_of(where)).stat().st_mtime_ns
        metadata = _metadata_at(where, written_ns)
        return IcebergTable((database, name), metadata, where, self._file_io, self)


@lru_cache(_METADATA_KEPT)
def _metadata_at(location: str, written_ns: int) -> TableMetadata:  # noqa: ARG001
    """Return what a metadata file holds that was written at a moment."""
    return FromInputFile.table_metadata(load_file_io(location=location).new_input(location))


def location_of(path: Path) -> str:
    """Return the Iceberg location of a local path.

    pyiceberg 0.12 takes what follows ``file://`` as the path itself: an escaped character stays escaped.
    """
    return f"file://{path}"


def path_of(location: str) -> str:
    """Return the local path of an Iceberg location."""
    return location.removeprefix("file://")


def load_table(catalog: Catalog, database: str, name: str) -> IcebergTable | None:
    """Return a table, or None where the catalog has no such name.

    Raises:
        WarehouseError: If the table's metadata is gone.
    """
    try:
        return _loaded(catalog, database, name)
    except NoSuchTableError:
        return None
    except FileNotFoundError as error:
        raise WarehouseError(
            f"table {database}.{name}: its metadata is not where the catalog says ({error}); "
            "if the warehouse was moved, move it back or choose an empty connection.path"
        ) from error


def _loaded(catalog: Catalog, database: str, name: str) -> IcebergTable:
    try:
        return catalog.load_table((database, name))
    except FileNotFoundError:
        # The metadata may have become an old one, and have gone, after the catalog had named it.
        return catalog.load_table((database, name))


def metadata_locations(catalog: SqlCatalog, database: str) -> dict[str, str]:
    """Return table → location of its current metadata, of every table that the catalog names."""
    query = select(IcebergTables.table_name, IcebergTables.metadata_location).where(
        IcebergTables.catalog_name == catalog.name, IcebergTables.table_namespace == database
    )
    with catalog.engine.connect() as connection:
        return {row[0]: row[1] or "" for row in connection.execute(query)}


def schema_of(columns: Iterable[Column]) -> Schema:
    """Return the Iceberg schema of a new table: ids count from 1 in the order of the columns."""
    fields = [
        NestedField(
            number, column.name, _TYPES[column.type], required=False, doc=column.doc or None
        )
        for number, column in enumerate(columns, start=1)
    ]
    return Schema(*fields)


def columns_of(schema: Schema) -> tuple[Column, ...]:
    """Return the columns of a staging table from its schema."""
    kinds = {kind: column_type for column_type, kind in _TYPES.items()}
    return tuple(
        Column(field.name, kinds[field.field_type], field.doc or "") for field in schema.fields
    )


def data_files(
    table: IcebergTable, snapshot_id: int | None = None, partitions: Iterable[date] | None = None
) -> list[DataFile]:
    """Return the live data files of a snapshot, of the given ``ds`` partitions only if there are any.

    Raises:
        ValueError: If the table carries delete files; reading its data files would resurrect rows.
        WarehouseError: If the snapshot has expired.
    """
    snapshot = (
        table.current_snapshot() if snapshot_id is None else table.snapshot_by_id(snapshot_id)
    )
    if snapshot is None and snapshot_id is not None:
        raise WarehouseError(
            f"table {'.'.join(table.name())} has no snapshot {snapshot_id} any more: the load that it "
            "belongs to has left retention; read again, or raise connection.keep_loads"
        )
    if snapshot is None:
        return []
    wanted = None if partitions is None else {_days_since_1970(day) for day in partitions}
    found = []
    for manifest in manifests_of(snapshot, table.io):
        if manifest.content is not ManifestContent.DATA:
            raise ValueError(f"table {'.'.join(table.name())} carries delete files")
        found += [
            entry.data_file
            for entry in live_entries(manifest, table.io)
            if wanted is None or entry.data_file.partition[0] in wanted
        ]
    return found


def _days_since_1970(day: date) -> int:
    return day.toordinal() - _EPOCH


def partition_date(file: DataFile) -> date | None:
    """Return the ``ds`` of a data file, or None where the table is not partitioned."""
    if not len(file.partition):
        return None
    value: int = file.partition[0]
    return date.fromordinal(value + _EPOCH)


def day_of_bound(field: NestedField, bound: bytes | None) -> date | None:
    """Return the UTC day of a data file's bound of a column; None where it has none, or is no time."""
    if bound is None:
        return None
    match field.field_type:
        case DateType():
            return days_to_date(int(from_bytes(field.field_type, bound)))
        case TimestampType() | TimestamptzType():
            return micros_to_timestamp(int(from_bytes(field.field_type, bound))).date()
        case _:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What a commit did.

    Attributes:
        snapshot_id: The one snapshot that it made.
        retired: Files that no snapshot of the table names any more, by their local paths.
    """

    snapshot_id: int
    retired: tuple[str, ...]


class _Overwrite(_OverwriteFiles):
    """An overwrite that carries no dead manifest along, puts many into one, and reads none twice.

    pyiceberg 0.12 takes over every manifest of the snapshot before, also those that only say what some
    earlier snapshot deleted, and reads those that name a deleted file once for its deletion and once more
    for what is left.
    """

    merge_at = MANY_MANIFESTS
    unused: frozenset[str] = frozenset()
    """Manifests that were written and then put into another one; pyiceberg 0.12 leaves them lying."""

    def _manifests(self) -> list[ManifestFile]:
        found = super()._manifests()
        named = {manifest.manifest_path for manifest in found}
        self.unused = frozenset(self._written_manifests) - named
        return found

    def _before(self) -> list[ManifestFile]:
        parent = self._parent_snapshot_id
        before = parent and self._transaction.table_metadata.snapshot_by_id(parent)
        return (
            [found for found in manifests_of(before, self._io) if is_alive(found)] if before else []
        )

    def _deleted_entries(self) -> list[ManifestEntry]:
        found = [
            _entry(entry, ManifestEntryStatus.DELETED, self._snapshot_id)
            for manifest in self._before()
            if self._deleted_data_files
            for entry in live_entries(manifest, self._io)
            if entry.data_file in self._deleted_data_files
        ]
        self._validate_required_deletes(found)
        return found

    def _existing_manifests(self) -> list[ManifestFile]:
        if not self._deleted_data_files:
            return self._before()
        return [left for manifest in self._before() for left in self._without_deleted(manifest)]

    def _without_deleted(self, manifest: ManifestFile) -> list[ManifestFile]:
        """Return what is left of a manifest: itself, one that is written anew, or none."""
        entries = live_entries(manifest, self._io)
        left = [entry for entry in entries if entry.data_file not in self._deleted_data_files]
        if not left or len(left) == len(entries):
            return [manifest] if left else []
        with self.new_manifest_writer(self.spec(manifest.partition_spec_id)) as writer:
            for entry in left:
                writer.add_entry(_entry(entry, ManifestEntryStatus.EXISTING, entry.snapshot_id))
        return [writer.to_manifest_file()]

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        merging: _ManifestMergeManager[_OverwriteFiles] = _ManifestMergeManager(
            target_size_bytes=_MANIFEST_BYTES,
            min_count_to_merge=self.merge_at,
            merge_enabled=True,
            snapshot_producer=self,
        )
        data = [found for found in manifests if found.content is ManifestContent.DATA]
        deletes = [found for found in manifests if found.content is not ManifestContent.DATA]
        return [*merging.merge_manifests(data), *deletes]


def _entry(
    entry: ManifestEntry, status: ManifestEntryStatus, snapshot_id: int | None
) -> ManifestEntry:
    return ManifestEntry.from_args(
        status=status,
        snapshot_id=snapshot_id,
        sequence_number=entry.sequence_number,
        file_sequence_number=entry.file_sequence_number,
        data_file=entry.data_file,
    )


_MANIFEST_BYTES = 8 * 2**20
"""Iceberg's own target for the size of a manifest."""


class _Change(Transaction):
    """A transaction that applies its updates once.

    pyiceberg 0.12 applies all of them to a deep copy of the metadata whenever these are looked at, which
    one commit does two dozen times.
    """

    _applied: tuple[TableMetadata, tuple[TableUpdate, ...], TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        base, updates = self._table.metadata, self._updates
        if self._applied is None or self._applied[0] is not base or self._applied[1] is not updates:
            self._applied = (base, updates, super().table_metadata)
        return self._applied[2]


class _Creation(_Change, CreateTableTransaction):
    """A transaction that makes a table."""


class TableChange:
    """One commit in the making: a new or an evolved table, files out and files in, tags and expiry.

    Nothing is visible before :meth:`commit`; a process that dies before it leaves files that no
    snapshot names, and nothing else.
    """

    def __init__(self, transaction: Transaction, *, new: bool) -> None:
        self._transaction = transaction
        self._new = new

    @classmethod
    def create(
        cls,
        catalog: SqlCatalog | GlueCatalog,
        database: str,
        name: str,
        *,
        location: str,
        columns: Iterable[Column],
        partitioned: bool,
        properties: Mapping[str, str] = TABLE_PROPERTIES,
    ) -> TableChange:
        """Begin a table that does not exist yet."""
        schema = schema_of(columns)
        staged = catalog._create_staged_table(  # noqa: SLF001
            (database, name),
            schema=schema,
            location=location,
            partition_spec=_partition_spec(schema) if partitioned else UNPARTITIONED_PARTITION_SPEC,
            properties=dict(properties),
        )
        return cls(_Creation(staged), new=True)

    @classmethod
    def of(cls, table: IcebergTable, columns: Iterable[Column], *, exact: bool) -> TableChange:
        """Begin a change of an existing table, adding the columns that it lacks.

        Args:
            table: The table.
            columns: The columns that the new files have.
            exact: Whether columns that are not among them are dropped.
        """
        return cls.on(table).evolved(tuple(columns), exact=exact)

    @classmethod
    def on(cls, table: IcebergTable) -> TableChange:
        """Begin a change of an existing table that leaves its columns alone."""
        transaction = _Change(table)
        new = {key: value for key, value in TABLE_PROPERTIES.items() if key != "format-version"}
        if not new.items() <= table.properties.items():
            transaction.set_properties(new)
        return cls(transaction, new=False)

    @classmethod
    def of_others(cls, table: IcebergTable) -> TableChange:
        """Begin a change of a table that another engine made, and whose properties are its own."""
        return cls(_Change(table), new=False)

    def evolved(self, columns: tuple[Column, ...], *, exact: bool) -> TableChange:
        """Return the change with the columns that the table lacks, and without others if ``exact``."""
        present = {field.name for field in self.schema.fields}
        missing = [column for column in columns if column.name not in present]
        surplus = sorted(present - {column.name for column in columns}) if exact else []
        if not missing and not surplus:
            return self
        with self._transaction.update_schema(allow_incompatible_changes=True) as update:
            for name in surplus:
                update.delete_column(name)
            for column in missing:
                update.add_column(column.name, _TYPES[column.type], doc=column.doc or None)
        return self

    @property
    def transaction(self) -> Transaction:
        """The transaction that nothing of is committed yet."""
        return self._transaction

    @property
    def table(self) -> IcebergTable:
        """The table as it was when the change was begun."""
        return self._table

    def replace(
        self,
        remove: Iterable[DataFile],
        add: Iterable[DataFile],
        properties: Mapping[str, str],
        tag: str | None = None,
    ) -> int:
        """Commit other data files as one snapshot, under a tag if there is one; no snapshot expires."""
        with self._producer(properties, MANY_MANIFESTS) as snapshot:
            for file in remove:
                snapshot.delete_data_file(file)
            for file in add:
                snapshot.append_data_file(file)
        if tag is not None:
            self._tag(snapshot.snapshot_id, tag)
        self._transaction.commit_transaction()
        return snapshot.snapshot_id

    @property
    def schema(self) -> Schema:
        """The schema that the commit leaves behind."""
        return self._transaction.table_metadata.schema()

    @property
    def field_ids(self) -> Mapping[str, int]:
        """Column → field id, to be written into the Parquet files."""
        return {field.name: field.field_id for field in self.schema.fields}

    def commit(
        self,
        *,
        remove: Iterable[DataFile] = (),
        add: Iterable[WrittenFile] = (),
        properties: Mapping[str, str],
        tag: str | None = None,
        keep_tags: Iterable[str] | None = None,
        merge_at: int = MANY_MANIFESTS,
    ) -> Committed:
        """Commit, as one snapshot.

        Args:
            remove: Data files that the new snapshot no longer has.
            add: Files that it has in addition.
            properties: Kept in the snapshot's summary.
            tag: A tag for the new snapshot.
            keep_tags: Other tags of this library's that stay; snapshots under none of them expire.
            merge_at: So many manifests are put into one.
        """
        metadata = self._transaction.table_metadata
        files = _data_files(add, self.schema, metadata.spec())
        snapshot = self._producer(properties, merge_at)
        with snapshot:
            for file in remove:
                snapshot.delete_data_file(file)
            for file in files:
                snapshot.append_data_file(file)
        if tag is not None:
            self._tag(snapshot.snapshot_id, tag)
        retired: tuple[str, ...] = ()
        if keep_tags is not None:
            retired = self._expire({tag, *keep_tags})
        self._transaction.commit_transaction()
        unused = tuple(path_of(manifest) for manifest in sorted(snapshot.unused))
        return Committed(snapshot_id=snapshot.snapshot_id, retired=(*retired, *unused))

    def keep(self, snapshot_id: int, tag: str, keep_tags: Iterable[str]) -> tuple[str, ...]:
        """Commit a tag for a snapshot that another engine made, and that those under no kept tag are gone.

        Returns:
            Files that no snapshot names any more; none where nothing expired.
        """
        self._tag(snapshot_id, tag)
        retired = self._expire({tag, *keep_tags})
        self._transaction.commit_transaction()
        return retired

    def described(self, columns: Iterable[Column]) -> TableChange:
        """Return the change with the columns' docs, which a CREATE TABLE AS of Athena's cannot say."""
        present = {field.name: field.doc for field in self.schema.fields}
        undescribed = [
            column
            for column in columns
            if column.doc and column.name in present and present[column.name] != column.doc
        ]
        if undescribed:
            with self._transaction.update_schema() as update:
                for column in undescribed:
                    update.update_column(column.name, doc=column.doc)
        return self

    def apply(self) -> None:
        """Commit changes of the schema alone, without a new snapshot."""
        self._transaction.commit_transaction()

    def expire(self, keep_tags: Iterable[str]) -> tuple[str, ...]:
        """Commit, without a new snapshot, that only the current one and those under some tags stay.

        Returns:
            Files that no snapshot names any more, by their local paths; none where nothing expired.
        """
        retired = self._expire(set(keep_tags))
        self._transaction.commit_transaction()
        return retired

    @property
    def _table(self) -> IcebergTable:
        return self._transaction._table  # noqa: SLF001

    def _producer(self, properties: Mapping[str, str], merge_at: int) -> _Overwrite:
        producer = _Overwrite(
            operation=Operation.APPEND if self._new else Operation.OVERWRITE,
            transaction=self._transaction,
            io=self._table.io,
            snapshot_properties=dict(properties),
        )
        producer.merge_at = merge_at
        return producer

    def _tag(self, snapshot_id: int, tag: str) -> None:
        self._stage(
            SetSnapshotRefUpdate(
                snapshot_id=snapshot_id,
                ref_name=tag,
                type=SnapshotRefType.TAG,
                max_ref_age_ms=None,
                max_snapshot_age_ms=None,
                min_snapshots_to_keep=None,
            )
        )

    def _stage(self, *updates: TableUpdate) -> None:
        self._transaction._stage(updates)  # noqa: SLF001

    def _expire(self, keep: set[str | None]) -> tuple[str, ...]:
        """Remove tags that are not kept, and the snapshots under none; return the files they alone had."""
        metadata = self._transaction.table_metadata
        gone = {name for name in metadata.refs if name.startswith("load-") and name not in keep}
        protected = {ref.snapshot_id for name, ref in metadata.refs.items() if name not in gone}
        expired = [s for s in metadata.snapshots if s.snapshot_id not in protected]
        live = [s for s in metadata.snapshots if s.snapshot_id in protected]
        self._stage(*(RemoveSnapshotRefUpdate(ref_name=name) for name in sorted(gone)))
        if not expired:
            return ()
        self._stage(RemoveSnapshotsUpdate(snapshot_ids=[s.snapshot_id for s in expired]))
        return tuple(sorted(path_of(name) for name in only_of(self._table, expired, live)))


def put_rows(
    change: TableChange,
    present: IcebergTable | None,
    rows: pa.Table,
    *,
    replace: bool,
    properties: Mapping[str, str],
    tag: str,
) -> int:
    """Append rows to a table in one commit, or have it hold exactly them; return the snapshot.

    Args:
        change: The change that makes it.
        present: The table as it is; None where it is new.
        rows: The rows.
        replace: Whether the table is to hold no others.
        properties: Kept in the snapshot's summary.
        tag: A tag for the new snapshot.

    Raises:
        CommitFailedException: If the table has changed since it was loaded.
    """
    gone = data_files(present) if present is not None and replace else []
    metadata, io = change.transaction.table_metadata, change.table.io
    added = _dataframe_to_data_files(table_metadata=metadata, df=rows, io=io)
    return change.replace(gone, added, properties, tag)


def tag_of(table: IcebergTable, snapshot_id: int) -> str:
    """Return the last tag of a snapshot, in the order of names; empty where it has none."""
    refs = table.refs().items()
    return max((n for n, ref in refs if ref.snapshot_id == snapshot_id and n != "main"), default="")


def lineage(table: IcebergTable, since: int | None) -> list[Snapshot] | None:
    """Return the snapshots after one, through the current one; None where it is no ancestor of that.

    Args:
        table: The table.
        since: The snapshot; None for before the first.
    """
    path: list[Snapshot] = []
    snapshot = table.current_snapshot()
    while snapshot is not None and snapshot.snapshot_id != since:
        path.append(snapshot)
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None
    found = since is None or snapshot is not None
    return path[::-1] if found else None


def partitions_of(table: IcebergTable) -> frozenset[date]:
    """Return the ``ds`` partitions that hold files, data or deletes, in the current snapshot."""
    snapshot = table.current_snapshot()
    if snapshot is None:
        return frozenset()
    days = (
        partition_date(entry.data_file)
        for manifest in manifests_of(snapshot, table.io)
        for entry in live_entries(manifest, table.io)
    )
    return frozenset(day for day in days if day is not None)


def restore(table: IcebergTable, snapshot_id: int) -> None:
    """Make an earlier snapshot the current one again, with the columns that it had."""
    transaction = table.transaction()
    with ManageSnapshots(transaction) as manage:
        manage.set_current_snapshot(snapshot_id=snapshot_id)
    schema_id = schema_at(table, snapshot_id).schema_id
    if schema_id != transaction.table_metadata.current_schema_id:
        transaction._stage((SetCurrentSchemaUpdate(schema_id=schema_id),), ())  # noqa: SLF001
    transaction.commit_transaction()


def schema_at(table: IcebergTable, snapshot_id: int | None = None) -> Schema:
    """Return the schema of a snapshot, by default the table's current one."""
    snapshot = None if snapshot_id is None else table.snapshot_by_id(snapshot_id)
    if snapshot is None or snapshot.schema_id is None:
        return table.schema()
    return table.schemas()[snapshot.schema_id]


def _partition_spec(schema: Schema) -> PartitionSpec:
    source = schema.find_field(PARTITION_COLUMN).field_id
    return PartitionSpec(
        PartitionField(
            source_id=source, field_id=1000, transform=IdentityTransform(), name=PARTITION_COLUMN
        )
    )


def _data_files(
    files: Iterable[WrittenFile], schema: Schema, spec: PartitionSpec
) -> list[DataFile]:
    """Return files with what Iceberg's metadata says about them, from their footers."""
    wanted = compute_statistics_plan(schema, TABLE_PROPERTIES)
    ids = parquet_path_to_id_mapping(schema)
    return [
        DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=location_of(file.path),
            file_format=FileFormat.PARQUET,
            partition=Record(_days_since_1970(file.partition)) if file.partition else Record(),
            file_size_in_bytes=file.size,
            sort_order_id=None,
            spec_id=spec.spec_id,
            equality_ids=None,
            key_metadata=None,
            **data_file_statistics_from_parquet_metadata(
                parquet_metadata=pq.read_metadata(file.path),
                stats_columns=wanted,
                parquet_column_mapping=ids,
            ).to_serialized_dict(),
        )
        for file in files
    ]

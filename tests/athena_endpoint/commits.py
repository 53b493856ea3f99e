"""Commits of Iceberg tables: rows in, rows out by position, files out, as one snapshot in Glue.

pyiceberg 0.12 writes no position deletes, which is all that Athena's DELETE, UPDATE and MERGE write. So
manifests are written with its public writers here, and committed with ``Catalog.commit_table``.
"""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
    write_manifest_list,
)
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import (
    Operation,
    Snapshot,
    SnapshotSummaryCollector,
    Summary,
    ancestors_of,
    update_snapshot_summaries,
)
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertRefSnapshotId,
    AssertTableUUID,
    SetSnapshotRefUpdate,
)

from tests.athena_endpoint.failures import failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyiceberg.catalog import Catalog
    from pyiceberg.io import OutputFile
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table as IcebergTable

_ATTEMPTS = 20
"""Appends that lose a race are tried again inside the engine; everything else fails at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a commit does to a table.

    Attributes:
        add: New data files.
        deletes: New position delete files.
        remove: Data files and delete files that go.
        targets: The data files that the delete files are for.
        reads: Whether what is added was computed from the table, so that another commit in between matters.
        rewrite: Whether the rows stay the same: the change conflicts with deletes only.
    """

    add: Sequence[DataFile] = ()
    deletes: Sequence[DataFile] = ()
    remove: Sequence[DataFile] = ()
    targets: frozenset[str] = frozenset()
    reads: bool = False
    rewrite: bool = False

    @property
    def appends(self) -> bool:
        """Whether it adds rows whatever the table holds."""
        return not self.deletes and not self.remove and not self.reads

    @property
    def operation(self) -> Operation:
        """The operation in the snapshot's summary."""
        if self.rewrite:
            return Operation.REPLACE
        if self.appends:
            return Operation.APPEND
        return Operation.OVERWRITE if self.add or self.deletes else Operation.DELETE


def commit(catalog: Catalog, base: IcebergTable, change: Change) -> int:
    """Commit a change that was computed from `base`, and return the snapshot's id.

    Raises:
        StatementError: If another commit came in between and the change conflicts with it.
    """
    for _ in range(_ATTEMPTS):
        try:
            table = catalog.load_table(base.name())
        except NoSuchTableError as error:
            raise _conflict(base, "it was dropped") from error
        _check(base, table, change)
        snapshot = _snapshot(table, change)
        current = table.current_snapshot()
        try:
            catalog.commit_table(
                table,
                (
                    AssertTableUUID(uuid=base.metadata.table_uuid),
                    AssertRefSnapshotId(
                        ref=MAIN_BRANCH, snapshot_id=current.snapshot_id if current else None
                    ),
                ),
                (
                    AddSnapshotUpdate(snapshot=snapshot),
                    SetSnapshotRefUpdate(
                        ref_name=MAIN_BRANCH,
                        type=SnapshotRefType.BRANCH,
                        snapshot_id=snapshot.snapshot_id,
                        max_ref_age_ms=None,
                        max_snapshot_age_ms=None,
                        min_snapshots_to_keep=None,
                    ),
                ),
            )
        except CommitFailedException as error:
            if not change.appends:
                raise _conflict(base, str(error)) from error
            continue
        return snapshot.snapshot_id
    raise _conflict(base, "too many other commits")


def _conflict(table: IcebergTable, why: str) -> Exception:
    name = ".".join(table.name())
    return failed(
        "ICEBERG_COMMIT_ERROR", f"Failed to commit Iceberg update to table: {name}: {why}"
    )


def _check(base: IcebergTable, table: IcebergTable, change: Change) -> None:
    """Make sure that what was read is still true: Iceberg's serializable isolation, for whole tables."""
    if change.appends:
        return
    before, now = base.current_snapshot(), table.current_snapshot()
    if now is None or (before is not None and before.snapshot_id == now.snapshot_id):
        return
    newer = list(
        itertools.takewhile(
            lambda snapshot: before is None or snapshot.snapshot_id != before.snapshot_id,
            ancestors_of(now, table.metadata),
        )
    )
    for snapshot in newer:
        operation = snapshot.summary.operation if snapshot.summary else Operation.OVERWRITE
        if operation is Operation.REPLACE and not _lost(table, change):
            continue
        if change.rewrite and operation is Operation.APPEND:
            continue
        raise _conflict(
            base, f"snapshot {snapshot.snapshot_id} ({operation.value}) came in between"
        )


def _lost(table: IcebergTable, change: Change) -> bool:
    live = {task.file.file_path for task in table.scan().plan_files()}
    needed = set(change.targets) | {
        file.file_path for file in change.remove if file.content is DataFileContent.DATA
    }
    return not needed <= live


class _DeletesWriter(ManifestWriterV2):
    """A manifest of delete files: https://iceberg.apache.org/spec/#manifests"""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


class _Manifests:
    """Writes the manifests of one snapshot."""

    def __init__(self, table: IcebergTable, snapshot_id: int) -> None:
        self._table = table
        self._snapshot_id = snapshot_id
        self._folder = f"{table.metadata.location.rstrip('/')}/metadata"
        self._commit = uuid.uuid4()
        self._number = itertools.count()

    def output(self, name: str) -> OutputFile:
        return self._table.io.new_output(f"{self._folder}/{name}")

    def added(self, files: Sequence[DataFile], content: ManifestContent) -> list[ManifestFile]:
        return [
            self._written(
                spec_id, content, [self._entry(ManifestEntryStatus.ADDED, f) for f in group]
            )
            for spec_id, group in _by_spec(files)
        ]

    def kept(self, manifest: ManifestFile, gone: frozenset[str]) -> list[ManifestFile]:
        """Return a manifest without the files that go; itself where none of them is in it."""
        entries = manifest.fetch_manifest_entry(self._table.io, discard_deleted=True)
        if not any(entry.data_file.file_path in gone for entry in entries):
            return [manifest] if entries else []
        written = []
        for entry in entries:
            leaves = entry.data_file.file_path in gone
            status = ManifestEntryStatus.DELETED if leaves else ManifestEntryStatus.EXISTING
            written.append(self._entry(status, entry.data_file, entry))
        return [self._written(manifest.partition_spec_id, manifest.content, written)]

    def _entry(
        self, status: ManifestEntryStatus, file: DataFile, known: ManifestEntry | None = None
    ) -> ManifestEntry:
        added_by = known.snapshot_id if known and status is ManifestEntryStatus.EXISTING else None
        return ManifestEntry.from_args(
            status=status,
            snapshot_id=added_by or self._snapshot_id,
            sequence_number=known.sequence_number if known else None,
            file_sequence_number=known.file_sequence_number if known else None,
            data_file=file,
        )

    def _written(
        self, spec_id: int, content: ManifestContent, entries: Sequence[ManifestEntry]
    ) -> ManifestFile:
        kind = _DeletesWriter if content is ManifestContent.DELETES else ManifestWriterV2
        output = self.output(f"{self._commit}-m{next(self._number)}.avro")
        metadata = self._table.metadata
        writer = kind(
            metadata.specs()[spec_id], metadata.schema(), output, self._snapshot_id, "deflate"
        )
        with writer:
            for entry in entries:
                writer.add_entry(entry)
        return writer.to_manifest_file()


def _by_spec(files: Sequence[DataFile]) -> list[tuple[int, list[DataFile]]]:
    groups: dict[int, list[DataFile]] = {}
    for file in files:
        groups.setdefault(file.spec_id or 0, []).append(file)
    return list(groups.items())


def _snapshot(table: IcebergTable, change: Change) -> Snapshot:
    metadata = table.metadata
    snapshot_id = metadata.new_snapshot_id()
    current = table.current_snapshot()
    manifests = _Manifests(table, snapshot_id)
    gone = frozenset(file.file_path for file in change.remove)
    listed = manifests.added(change.add, ManifestContent.DATA)
    listed += manifests.added(change.deletes, ManifestContent.DELETES)
    for manifest in current.manifests(table.io) if current else []:
        if gone:
            listed += manifests.kept(manifest, gone)
        elif manifest.has_added_files() or manifest.has_existing_files():
            listed.append(manifest)
    sequence = metadata.next_sequence_number()
    output = manifests.output(f"snap-{snapshot_id}-0-{uuid.uuid4()}.avro")
    with write_manifest_list(
        format_version=2,
        output_file=output,
        snapshot_id=snapshot_id,
        parent_snapshot_id=current.snapshot_id if current else None,
        sequence_number=sequence,
        avro_compression="deflate",
    ) as writer:
        writer.add_manifests(listed)
    return Snapshot(
        snapshot_id=snapshot_id,
        parent_snapshot_id=current.snapshot_id if current else None,
        manifest_list=output.location,
        sequence_number=sequence,
        summary=_summary(table, change),
        schema_id=metadata.current_schema_id,
    )


def _summary(table: IcebergTable, change: Change) -> Summary:
    schema, specs = table.schema(), table.specs()
    collector = SnapshotSummaryCollector()
    for file in [*change.add, *change.deletes]:
        collector.add_file(file, schema, specs[file.spec_id or 0])
    for file in change.remove:
        collector.remove_file(file, schema, specs[file.spec_id or 0])
    current = table.current_snapshot()
    # pyiceberg adds the totals up for every operation but "replace".
    counted = Operation.OVERWRITE if change.rewrite else change.operation
    totals = update_snapshot_summaries(
        Summary(operation=counted, **collector.build()), current.summary if current else None
    )
    return Summary(**{**totals.model_dump(), "operation": change.operation})

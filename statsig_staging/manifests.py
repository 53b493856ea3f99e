"""What an Iceberg table names: the manifests and files of its snapshots, by their locations."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyiceberg.io import FileIO
    from pyiceberg.manifest import ManifestEntry, ManifestFile
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.snapshots import Snapshot


_T = TypeVar("_T")


def named_files(table: IcebergTable) -> set[str]:
    """Return every file that a table's metadata names: those of all its snapshots, and its own."""
    metadata = table.metadata
    manifests = _manifests(table, metadata.snapshots)
    return {
        table.metadata_location,
        *(entry.metadata_file for entry in metadata.metadata_log),
        *(file.statistics_path for file in metadata.statistics),
        *(snapshot.manifest_list for snapshot in metadata.snapshots),
        *manifests,
        *_live_files(table, manifests.values()),
    }


def only_of(table: IcebergTable, some: Iterable[Snapshot], others: Iterable[Snapshot]) -> set[str]:
    """Return the files that some snapshots of a table name and others do not."""
    gone, kept = _manifests(table, some), _manifests(table, others)
    lists = {snapshot.manifest_list for snapshot in some}
    files = _live_files(table, (found for path, found in gone.items() if path not in kept))
    if files:
        files -= _live_files(table, kept.values())
    return files | (gone.keys() - kept.keys()) | lists


def is_alive(manifest: ManifestFile) -> bool:
    """Return whether a manifest names any file that is not deleted."""
    return manifest.has_added_files() or manifest.has_existing_files()


FILES_KEPT = 1024
"""Manifests and their lists are never written again under one name, and a load reads each many times."""


def manifests_of(snapshot: Snapshot, io: FileIO) -> tuple[ManifestFile, ...]:
    """Return the manifests of a snapshot."""
    return _manifests_in(_Written(snapshot.manifest_list, snapshot, io))


def live_entries(manifest: ManifestFile, io: FileIO) -> tuple[ManifestEntry, ...]:
    """Return the entries of a manifest whose files are not deleted."""
    return _entries_in(_Written(manifest.manifest_path, manifest, io))


@dataclass(frozen=True, slots=True)
class _Written(Generic[_T]):
    """A file of metadata, known by its location alone: every time that a table is loaded it has another FileIO."""

    location: str
    named_by: _T = field(compare=False)
    io: FileIO = field(compare=False)


@lru_cache(FILES_KEPT)
def _manifests_in(written: _Written[Snapshot]) -> tuple[ManifestFile, ...]:
    return tuple(written.named_by.manifests(written.io))


@lru_cache(FILES_KEPT)
def _entries_in(written: _Written[ManifestFile]) -> tuple[ManifestEntry, ...]:
    return tuple(written.named_by.fetch_manifest_entry(written.io, discard_deleted=True))


def _manifests(table: IcebergTable, snapshots: Iterable[Snapshot]) -> dict[str, ManifestFile]:
    """Return location → manifest, of all manifests of some snapshots; most they have in common."""
    return {
        manifest.manifest_path: manifest
        for snapshot in snapshots
        for manifest in manifests_of(snapshot, table.io)
    }


def _live_files(table: IcebergTable, manifests: Iterable[ManifestFile]) -> set[str]:
    return {
        entry.data_file.file_path
        for manifest in manifests
        if is_alive(manifest)
        for entry in live_entries(manifest, table.io)
    }

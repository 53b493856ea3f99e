"""What an Iceberg table names: the manifests and files of its snapshots, by their locations."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyiceberg.io import FileIO
    from pyiceberg.manifest import ManifestEntry, ManifestFile
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.snapshots import Snapshot


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


@lru_cache(FILES_KEPT)
def manifests_of(snapshot: Snapshot, io: FileIO) -> tuple[ManifestFile, ...]:
    """Return the manifests of a snapshot."""
    return tuple(snapshot.manifests(io))


@lru_cache(FILES_KEPT)
def live_entries(manifest: ManifestFile, io: FileIO) -> tuple[ManifestEntry, ...]:
    """Return the entries of a manifest whose files are not deleted."""
    return tuple(manifest.fetch_manifest_entry(io, discard_deleted=True))


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

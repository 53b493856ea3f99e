"""Upkeep: what no load needs any more goes, and what is needed stays where readers find it.

Everything here runs under the experiment's lease. A list of files is taken first, then what is named is
read, then the lease is renewed, and only files of that list are removed: what another holder writes after
a lost lease is never among them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from statsig_staging import state
from statsig_staging.journal import journal_key
from statsig_staging.names import experiment_folder
from statsig_staging.plan import Drop, Table
from statsig_staging.results import Removed
from statsig_staging.warehouses.base import Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from statsig_staging.state import Published
    from statsig_staging.warehouses.base import (
        CatalogEntry,
        StoredFile,
        TableVersion,
        Warehouse,
    )

GRACE = timedelta(hours=1)
"""What is younger is no orphan yet: a holder that lost its lease may still be writing it."""

PREVIOUS_METADATA = 3
"""So many metadata files before the current one stay for readers that have just looked it up."""

_LOAD_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
_METADATA = re.compile(r"(\d+)-[0-9a-f-]+\.metadata\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """An experiment whose lease is held, and what of it stays.

    Attributes:
        warehouse: Where it lies.
        experiment_id: The experiment.
        kept: The loads that stay readable, the current one first.
        published: Ids of all loads that were ever published.
        spared: Ids of other loads whose own files stay, such as one that is to be repaired.
        still_held: Raises a LoadConflictError where the lease was lost.
        told: Ids of loads that ``status`` tells of, or the ledger still has to: their journals stay.
    """

    warehouse: Warehouse
    experiment_id: str
    kept: tuple[Published, ...]
    published: frozenset[str]
    still_held: Callable[[], object]
    spared: frozenset[str] = field(default=frozenset())
    told: frozenset[str] = field(default=frozenset())

    @property
    def folder(self) -> str:
        """The experiment's folder below the staging folder."""
        return experiment_folder(self.experiment_id)

    def files(self) -> tuple[StoredFile, ...]:
        """Return every file of the experiment."""
        return self.warehouse.list_files(self.folder)

    def entries(self) -> tuple[CatalogEntry, ...]:
        """Return every table of the experiment that the catalog names."""
        return self.warehouse.entries(self.experiment_id)

    def remove(self, files: Iterable[StoredFile]) -> Removed:
        """Remove files that were listed before the lease is renewed once more."""
        found = tuple(files)
        if found:
            self.still_held()
            self.warehouse.delete_files(file.key for file in found)
        return removed(found)

    def load_of(self, file: StoredFile) -> str | None:
        """Return the load whose own folder a file lies in, if it lies in one."""
        parts = file.key.removeprefix(f"{self.folder}/").split("/")
        is_own = len(parts) > 2 and parts[0] == "_loads" and _LOAD_ID.fullmatch(parts[1])
        return parts[1] if is_own else None

    def is_left(self, file: StoredFile, load: str) -> bool:
        """Return whether a file of a load's own folder is not needed any more."""
        if load in self.staying:
            return False
        return not (load in self.told and file.key == journal_key(self.experiment_id, load))

    @property
    def staying(self) -> frozenset[str]:
        """Ids of the loads whose own files stay."""
        return self.spared | {load.load_id for load in self.kept}


def removed(files: Iterable[StoredFile]) -> Removed:
    """Return what a list of files comes to."""
    sizes = [file.size for file in files]
    return Removed(files=len(sizes), bytes=sum(sizes))


def entry_table(experiment_id: str, entry: CatalogEntry) -> Table:
    """Return a table of the catalog, whatever its columns are."""
    return Table(name=entry.name, experiment_id=experiment_id, columns=())


def tidy(upkeep: Upkeep) -> Removed:
    """Remove what a load leaves behind in the normal course: old metadata, and files of old loads."""
    files, entries = upkeep.files(), upkeep.entries()
    left = [
        file
        for file in files
        if (load := upkeep.load_of(file)) in upkeep.published and upkeep.is_left(file, load)
    ]
    return upkeep.remove([*left, *_old_metadata(upkeep, files, entries)])


def _old_metadata(
    upkeep: Upkeep, files: Iterable[StoredFile], entries: Iterable[CatalogEntry]
) -> list[StoredFile]:
    """Return metadata files that are neither among the last ones of a table nor named by a kept load."""
    named = _kept_metadata(upkeep)
    current: dict[str, int] = {}
    for entry in entries:
        folder, name = entry.metadata.rsplit("/", 1)
        current[folder] = _number(name) or 0
    found = []
    for file in files:
        folder, name = file.key.rsplit("/", 1)
        number = _number(name)
        if number is None or name in named or folder not in current:
            continue
        if number < current[folder] - PREVIOUS_METADATA:
            found.append(file)
    return found


def _kept_metadata(upkeep: Upkeep) -> set[str]:
    """Return the names of the metadata files that kept loads name; each name is unique."""
    return {
        version.metadata_location.rsplit("/", 1)[-1]
        for load in upkeep.kept
        for version in load.tables.values()
    }


def _number(name: str) -> int | None:
    """Return the number of a metadata file, which rises with every commit of a table."""
    found = _METADATA.fullmatch(name)
    return int(found[1]) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep found.

    Attributes:
        removed: What it removed.
        young: Files that nothing names and that are too young to be removed.
    """

    removed: Removed = field(default_factory=Removed)
    young: int = 0


def sweep(upkeep: Upkeep, before: datetime) -> Swept:
    """Remove files that no snapshot and no kept load names, where they are older than a moment."""
    files = upkeep.files()
    named, metadata = _named(upkeep), _kept_metadata(upkeep)
    orphans = [
        file
        for file in files
        if file.key.rsplit("/", 1)[-1] not in metadata and _is_orphan(upkeep, file, named)
    ]
    old = [file for file in orphans if file.modified_at < before]
    return Swept(removed=upkeep.remove(old), young=len(orphans) - len(old))


def _named(upkeep: Upkeep) -> set[str]:
    found: set[str] = set()
    for entry in upkeep.entries():
        found |= upkeep.warehouse.named_files(entry_table(upkeep.experiment_id, entry))
    return found


def _is_orphan(upkeep: Upkeep, file: StoredFile, named: set[str]) -> bool:
    inside = file.key.removeprefix(f"{upkeep.folder}/")
    if inside.startswith("_loads/"):
        load = upkeep.load_of(file)
        return _is_draft(file) if load is None else upkeep.is_left(file, load)
    return file.key not in named


def _is_draft(file: StoredFile) -> bool:
    """Return whether a file was to replace another one, and did not come to it."""
    return re.fullmatch(r"\..+\.[0-9a-f]{32}", file.key.rsplit("/", 1)[-1]) is not None


def sweep_after(upkeep: Upkeep, now: datetime, *, cut_short: bool, grace: timedelta) -> None:
    """Sweep where a load was cut short, and once more when what it left is old enough.

    A note, ``_loads/sweep.json``, remembers that there is something left.
    """
    note = f"{upkeep.folder}/_loads/sweep.json"
    since = upkeep.warehouse.get_object(note)
    due = since is not None and datetime.fromisoformat(json.loads(since)["since"]) + grace < now
    if not cut_short and not due:
        return
    if sweep(upkeep, now - grace).young:
        text = json.dumps({"since": now.astimezone(UTC).isoformat()})
        upkeep.warehouse.put_object(note, text.encode())
    elif since is not None:
        upkeep.warehouse.delete_files([note])


def expire(upkeep: Upkeep) -> Removed:
    """Forget snapshots that no kept load names, of every table."""
    before = removed(upkeep.files())
    tags = kept_tags(upkeep.kept)
    upkeep.still_held()
    for entry in upkeep.entries():
        table = entry_table(upkeep.experiment_id, entry)
        current = upkeep.warehouse.version(table)
        keep = {*tags.get(entry.name.catalog, ()), current.tag if current is not None else ""}
        upkeep.warehouse.expire(table, sorted(keep))
    after = removed(upkeep.files())
    return Removed(
        files=max(0, before.files - after.files), bytes=max(0, before.bytes - after.bytes)
    )


def kept_tags(kept: Iterable[Published]) -> dict[str, tuple[str, ...]]:
    """Return catalog name → tags of the snapshots that some loads name."""
    tags: dict[str, set[str]] = {}
    for load in kept:
        for name, version in load.tables.items():
            tags.setdefault(name, set()).add(version.tag)
    return {name: tuple(sorted(found)) for name, found in tags.items()}


def compact(upkeep: Upkeep, load_id: str) -> dict[str, TableVersion]:
    """Put small files and manifests together, of the published tables; nobody reads the result yet.

    Returns:
        Catalog name → new version, of each table where it was worth it.
    """
    published = upkeep.kept[0].tables if upkeep.kept else {}
    stamp = Stamp(load_id=load_id, step="compact")
    found: dict[str, TableVersion] = {}
    for entry in upkeep.entries():
        if entry.name.catalog not in published:
            continue
        upkeep.still_held()
        stats = upkeep.warehouse.compact(entry_table(upkeep.experiment_id, entry), stamp)
        if stats is not None and stats.version is not None:
            found[entry.name.catalog] = stats.version
    return found


def republish(
    upkeep: Upkeep,
    load_id: str,
    versions: Mapping[str, TableVersion],
    before: tuple[Published, ...],
    *,
    number: int,
    now: datetime,
) -> Published:
    """Publish the current load once more, with compacted tables in the place of its own."""
    current = before[0]
    load = replace(
        current,
        load_id=load_id,
        number=number,
        published_at=now.astimezone(UTC),
        refresh="maintain",
        tables={**current.tables, **versions},
        rows=0,
        bytes_read=0,
        bytes_written=0,
        seconds=0.0,
    )
    files = upkeep.warehouse.get_object(state.files_key(upkeep.experiment_id, current.load_id))
    if files is not None:
        upkeep.warehouse.put_object(state.files_key(upkeep.experiment_id, load_id), files)
    upkeep.still_held()
    state.publish(upkeep.warehouse, upkeep.experiment_id, load, before)
    return load


def drop_tables(warehouse: Warehouse, experiment_id: str) -> None:
    """Drop every table of an experiment, the published loads first, so that none is half there."""
    loads = state.loads_table(experiment_id).name.catalog
    entries = warehouse.entries(experiment_id)
    for entry in sorted(entries, key=lambda entry: entry.name.catalog != loads):
        drop = Drop(target=entry_table(experiment_id, entry))
        warehouse.write(drop, Stamp(load_id="clean", step="clean"), lambda *_: None)

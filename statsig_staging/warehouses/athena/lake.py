"""Iceberg tables as sources: what the metadata of their current snapshot says; no data file is opened.

A data file never changes, so its path and size tell it apart. The rows of it that are live do change, by
delete files, which Athena applies when it reads: those that may apply to a data file are part of what tells
it apart. Which may is told as the Iceberg spec does, section Scan Planning, where in doubt more than it does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from pyiceberg.manifest import DataFileContent, ManifestContent
from pyiceberg.transforms import (
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    YearTransform,
)
from pyiceberg.types import DateType, TimestampType, TimestamptzType

from statsig_staging import iceberg
from statsig_staging.days import DAY
from statsig_staging.names import digest
from statsig_staging.sources import SourceFile, TableObservation
from statsig_staging.warehouses import lineage
from statsig_staging.warehouses.athena.dating import dated, of_any_day
from statsig_staging.warehouses.layout import partition_dates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pyiceberg.manifest import DataFile, ManifestEntry
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot
    from pyiceberg.types import NestedField

    from statsig_staging.warehouses.base import Sighting

PATH_FIELD = 2147483546
"""The field id of ``file_path`` in position delete files, by the Iceberg spec's table of reserved ids."""

_EPOCH = date(1970, 1, 1)


def observe(table: Table, sighting: Sighting, known: Mapping[str, SourceFile]) -> TableObservation:
    """Return the files of an Iceberg table's current snapshot.

    Args:
        table: The table, as its current metadata has it.
        sighting: What is looked at, and how its days are told.
        known: Path → file, as the last load knew them; of those no more is looked at.
    """
    look = _Look(table, sighting)
    return TableObservation(table=sighting.table, columns=look.columns, files=look.files(known))


@dataclass(frozen=True, slots=True)
class _Live:
    """A data file, and what deletes rows of it."""

    data: DataFile
    deletes: tuple[str, ...]


class _Look:
    """One look at an Iceberg table."""

    def __init__(self, table: Table, sighting: Sighting) -> None:
        self._table = table
        self._sighting = sighting
        kinds = lineage.columns_of(table.schema())
        self._fields = {name: field for name, (field, _) in kinds.items()}
        self.columns = {name: kind for name, (_, kind) in kinds.items()}
        self._ids = {name: field.field_id for name, field in self._fields.items()}

    def files(self, known: Mapping[str, SourceFile]) -> tuple[SourceFile, ...]:
        """Return the files of the current snapshot."""
        snapshot = self._table.current_snapshot()
        if snapshot is None:
            return ()
        if self._stands_still(snapshot, known):
            return tuple(self._again(file) for _, file in sorted(known.items()))
        found = self.data_files(snapshot)
        before = lineage.followed(self._table, snapshot, known, self)
        return tuple(
            replace(self.file(live, before.get(path)), snapshot=snapshot.snapshot_id)
            for path, live in sorted(found.items())
        )

    def _stands_still(self, snapshot: Snapshot, known: Mapping[str, SourceFile]) -> bool:
        """Return whether nothing was committed since the files were looked at, and no column renamed."""
        return bool(known) and all(
            file.snapshot == snapshot.snapshot_id and self._has_its_names(file)
            for file in known.values()
        )

    def _has_its_names(self, before: SourceFile) -> bool:
        kept = before.field_ids.keys() & self._ids.keys()
        return all(before.field_ids[name] == self._ids[name] for name in kept)

    def _again(self, before: SourceFile) -> SourceFile:
        days = of_any_day(self._sighting).days if before.anytime else before.days
        return replace(before, columns=self.columns, field_ids=self._ids, days=days)

    def data_files(self, snapshot: Snapshot) -> dict[str, _Live]:
        """Return path → data file with what deletes rows of it, of every live one."""
        data: list[ManifestEntry] = []
        deletes = Deletes(self._is_partitioned)
        for manifest in snapshot.manifests(self._table.io):
            entries = manifest.fetch_manifest_entry(self._table.io, discard_deleted=True)
            if manifest.content is ManifestContent.DATA:
                data += entries
            else:
                deletes.add(entries)
        return {
            entry.data_file.file_path: _Live(entry.data_file, deletes.of(entry)) for entry in data
        }

    def _is_partitioned(self, file: DataFile) -> bool:
        return bool(self._table.specs()[file.spec_id].fields)

    def kept(self, data: _Live, before: SourceFile) -> SourceFile:
        """Return a file that a snapshot which only rewrites files has left, maybe with other delete files."""
        return replace(before, content=_content(data))

    def is_same(self, data: _Live, before: SourceFile) -> bool:
        """Return whether a data file still has the rows that it had, under the same names."""
        return before.content == _content(data) and self._has_its_names(before)

    def file(self, data: _Live, before: SourceFile | None) -> SourceFile:
        """Return a data file as a file of the source; one that is as ``before`` is not looked at."""
        if before is not None and self.is_same(data, before):
            return self._again(before)
        found = data.data
        content = _content(data)
        renamed = "" if before is None else repr(sorted(self._ids.items()))
        days_of = dated(found.record_count, self._spans(found), self._laid(found), self._sighting)
        return SourceFile(
            path=found.file_path,
            size=found.file_size_in_bytes,
            modified_ns=0,
            changed_ns=0,
            rows=found.record_count,
            columns=self.columns,
            days=days_of.days,
            misplaced=days_of.misplaced,
            anytime=days_of.anytime,
            nulls={} if data.deletes else self._nulls(found),
            column_bytes=self._sizes(found),
            field_ids=self._ids,
            content=content,
            identity=digest(found.file_path, content, renamed, length=16),
        )

    def _sizes(self, data: DataFile) -> dict[str, int]:
        """Return column → compressed bytes; of a file that does not say, everything is read."""
        if not data.column_sizes:
            return {"": data.file_size_in_bytes}
        return {name: data.column_sizes.get(number, 0) for name, number in self._ids.items()}

    def _nulls(self, data: DataFile) -> dict[str, int]:
        """Return column → rows without an id, where the metadata tells."""
        found = {}
        for name in self._sighting.units:
            number = self._ids.get(name, -1)
            nulls = (data.null_value_counts or {}).get(number)
            lowest = (data.lower_bounds or {}).get(number)
            if nulls is not None and (lowest or nulls == data.record_count):
                found[name] = nulls
        return found

    def _spans(self, data: DataFile) -> list[tuple[date, date]] | None:
        """Return the first and the last day of a file's rows; nothing where all its timestamps are null."""
        field = self._fields.get((self._sighting.timestamp or "").lower())
        if field is None or not isinstance(
            field.field_type, (DateType, TimestampType, TimestamptzType)
        ):
            return []
        if (data.null_value_counts or {}).get(field.field_id) == data.record_count:
            return []
        span = _bounded(field, data) or self._by_partition(field, data)
        return None if span is None else [span]

    def _laid(self, data: DataFile) -> list[tuple[date, date] | None] | None:
        """Return the dates of the partition column in a file; None where its metadata does not tell."""
        partition = self._sighting.partition
        field = self._fields.get(partition.column.lower()) if partition is not None else None
        if partition is None or field is None:
            return None
        span = _bounded(field, data) or self._by_partition(field, data)
        if span is not None:
            return [span]
        for part, value in self._parts(field, data):
            if isinstance(part, IdentityTransform) and isinstance(value, (str, int)):
                return [partition_dates(value, partition)]
        return None

    def _by_partition(self, field: NestedField, data: DataFile) -> tuple[date, date] | None:
        """Return the first and the last day that a file's partition allows, by Iceberg's transforms."""
        for transform, value in self._parts(field, data):
            if isinstance(value, int) and (span := _days_of(transform, field, value)):
                return span
        return None

    def _parts(self, field: NestedField, data: DataFile) -> Iterator[tuple[object, object]]:
        """Return transform and value of the partition fields that are made of a column."""
        spec = self._table.specs()[data.spec_id]
        for position, part in enumerate(spec.fields):
            if part.source_id == field.field_id:
                yield part.transform, data.partition[position]


def _content(live: _Live) -> str:
    """Return what tells the live rows of a data file apart."""
    return digest(str(live.data.file_size_in_bytes), *live.deletes, length=16)


def _bounded(field: NestedField, data: DataFile) -> tuple[date, date] | None:
    low = iceberg.day_of_bound(field, (data.lower_bounds or {}).get(field.field_id))
    high = iceberg.day_of_bound(field, (data.upper_bounds or {}).get(field.field_id))
    return None if low is None or high is None else (low, high)


_HOURS = 24
_MONTHS = 12
_MICROSECONDS_OF_DAY = 86_400_000_000


def _days_of(transform: object, field: NestedField, value: int) -> tuple[date, date] | None:
    """Return the days of a partition value, which counts from 1970."""
    match transform:
        case IdentityTransform() if isinstance(field.field_type, DateType):
            return _one(value)
        case IdentityTransform():
            is_time = isinstance(field.field_type, (TimestampType, TimestamptzType))
            return _one(value // _MICROSECONDS_OF_DAY) if is_time else None
        case DayTransform():
            return _one(value)
        case HourTransform():
            return _one(value // _HOURS)
        case MonthTransform():
            return _first_of_month(value), _first_of_month(value + 1) - DAY
        case YearTransform():
            return date(1970 + value, 1, 1), date(1970 + value, 12, 31)
        case _:
            return None


def _one(days: int) -> tuple[date, date]:
    day = _EPOCH + timedelta(days=days)
    return day, day


def _first_of_month(months: int) -> date:
    return date(1970 + months // _MONTHS, months % _MONTHS + 1, 1)


@dataclass(frozen=True, slots=True)
class _Delete:
    path: str
    sequence: int
    equality: bool
    low: str
    high: str


class Deletes:
    """The delete files of a snapshot, by the partition that they are of; None is every one."""

    def __init__(self, is_partitioned: Callable[[DataFile], bool]) -> None:
        self._is_partitioned = is_partitioned
        self._by_partition: dict[str | None, list[_Delete]] = {}

    def add(self, entries: Sequence[ManifestEntry]) -> None:
        """Add the entries of a manifest."""
        for entry in entries:
            file = entry.data_file
            equality = file.content is DataFileContent.EQUALITY_DELETES
            lower, upper = file.lower_bounds or {}, file.upper_bounds or {}
            found = _Delete(
                path=file.file_path,
                sequence=entry.sequence_number or 0,
                equality=equality,
                low=lower.get(PATH_FIELD, b"").decode(errors="ignore"),
                high=upper.get(PATH_FIELD, b"").decode(errors="replace"),
            )
            whole = equality and not self._is_partitioned(file)
            self._by_partition.setdefault(None if whole else _partition(file), []).append(found)

    def of(self, entry: ManifestEntry) -> tuple[str, ...]:
        """Return the paths of the delete files that may apply to a data file."""
        file, sequence = entry.data_file, entry.sequence_number or 0
        candidates = (
            *self._by_partition.get(None, ()),
            *self._by_partition.get(_partition(file), ()),
        )
        return tuple(sorted(d.path for d in candidates if _may_apply(d, file, sequence)))


def _may_apply(delete: _Delete, file: DataFile, sequence: int) -> bool:
    if delete.equality:
        return sequence < delete.sequence
    if sequence > delete.sequence:
        return False
    is_below = bool(delete.high) and file.file_path[: len(delete.high)] > delete.high
    return not (file.file_path < delete.low or is_below)


def _partition(file: DataFile) -> str:
    return f"{file.spec_id} {[file.partition[n] for n in range(len(file.partition))]!r}"

"""What a source held when it was looked at, and which of its days changed since. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from statsig_staging.names import digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import date

TICK_NS = 20_000_000
"""How long after its last change a file's times may still hide another one, in nanoseconds.

Twice the slowest tick of Linux's clock, which stamps files every 1 to 10 ms.
"""

COARSE_TICK_NS = 2_000_000_000
"""The same where times are whole seconds, as on file systems such as FAT, which stamps every 2 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file of a source table.

    Attributes:
        path: Absolute path.
        size: Bytes.
        modified_ns: Time of its last modification, nanoseconds since 1970.
        changed_ns: Time of the last change of its inode, which ``touch -d`` cannot set back.
        rows: Number of rows; 1 where only reading it would tell, and it has some.
        columns: Column → Athena type.
        days: UTC days of its rows that count for the source, in order; empty where they are not known.
        misplaced: Rows whose partition is too far from their day; they are left out.
        nulls: Column → rows without a value or with an empty one, for the unit columns of the source.
        column_bytes: Column → compressed bytes; one entry under no name for a format read whole.
        delimiter: What separates the values of a CSV file.
        keys: Column → key of an NDJSON file, where that is not the column's name.
        seen_ns: When its size and times were taken, nanoseconds since 1970.
        content: Digest of its bytes, where it was taken.
        identity: What its fingerprint was when it was first seen; empty where its size and times say it.
        field_ids: Column → field id, of a data file of an Iceberg table; such a file never changes.
        snapshot: The snapshot that such a file was last seen in.
        stands_for: Day (ISO) → fingerprints of the files of which it holds the rows now; under no day,
            those of all. Empty for a file that took no other one's place.
        anytime: Whether its rows may be of any day; ``days`` are then all that were asked about.
    """

    path: str
    size: int
    modified_ns: int
    changed_ns: int
    rows: int
    columns: Mapping[str, str]
    days: tuple[date, ...] = ()
    misplaced: int = 0
    nulls: Mapping[str, int] = field(default_factory=dict)
    column_bytes: Mapping[str, int] = field(default_factory=dict)
    delimiter: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    seen_ns: int = 0
    content: str = ""
    identity: str = ""
    field_ids: Mapping[str, int] = field(default_factory=dict)
    snapshot: int = 0
    stands_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    anytime: bool = False

    def bytes_of(self, columns: Iterable[str]) -> int:
        """Return the compressed bytes that reading ``columns`` takes."""
        if "" in self.column_bytes:
            return self.column_bytes[""]
        return sum(self.column_bytes.get(name, 0) for name in {name.lower() for name in columns})

    @property
    def is_settled(self) -> bool:
        """Whether the file is the same as long as its size and times are.

        A write in the same tick of the file system's clock as the one before it leaves the times as they
        are. A file system without times of inode changes reports something else in their place, which
        lies before the modification sooner or later.
        """
        last = max(self.modified_ns, self.changed_ns)
        tick = TICK_NS if self.changed_ns % 1_000_000_000 else COARSE_TICK_NS
        return self.modified_ns <= self.changed_ns and last + tick < self.seen_ns

    @property
    def fingerprint(self) -> str:
        """A digest that differs when the file's content does; a file that was only touched keeps it."""
        return self.identity or _stamp(self.path, self.size, self.modified_ns, self.changed_ns)

    def prints(self, day: date | None = None) -> tuple[str, ...]:
        """Return what tells the file's rows apart, on one day or altogether."""
        if not self.stands_for:
            return (self.fingerprint,)
        return tuple(self.stands_for.get("" if day is None else day.isoformat(), ()))


STAMPS_KEPT = 65_536
"""A load asks for each file's fingerprint half a dozen times, and a file is a new object in each of its places."""


@lru_cache(STAMPS_KEPT)
def _stamp(path: str, size: int, modified_ns: int, changed_ns: int) -> str:
    return digest(path, str(size), str(modified_ns), str(changed_ns), length=16)


def heirs(gone: Iterable[SourceFile], added: Iterable[SourceFile]) -> list[SourceFile]:
    """Return ``added`` files as those that hold the rows of ``gone`` ones now, and no others.

    Of each day, the first file that holds it stands for all that held it before.
    """
    left, found = list(gone), list(added)
    lost: dict[str, tuple[str, ...]] = {"": tuple(sorted(p for f in left for p in f.prints()))}
    for file in left:
        for day in file.days:
            lost[day.isoformat()] = (*lost.get(day.isoformat(), ()), *file.prints(day))
    kept = {day.isoformat() for file in found for day in file.days}
    if not left or not lost.keys() - {""} <= kept:
        return found
    taken: set[str] = set()
    result = []
    for file in found:
        days = ["", *(day.isoformat() for day in file.days)]
        stands_for = {
            day: () if day in taken else lost.get(day, (file.fingerprint,)) for day in days
        }
        taken.update(days)
        result.append(replace(file, stands_for=stands_for))
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class TableObservation:
    """What one source table held: its files and the columns of all of them together.

    ``dated`` says whether the days of each file are known, also under a SELECT. ``opaque`` says that
    changes of its rows cannot be seen, as those of a view; its one file is then what it is defined as.
    """

    table: str
    columns: Mapping[str, str]
    files: tuple[SourceFile, ...]
    dated: bool = False
    opaque: bool = False

    def files_of(self, days: Collection[date]) -> tuple[SourceFile, ...]:
        """Return the files that may have rows of some days."""
        if not self.dated:
            return self.files
        return tuple(file for file in self.files if not {*days}.isdisjoint(file.days))


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that is not what it was when the source was last loaded.

    Attributes:
        table: ``database.table``.
        path: The file.
        what: What happened to it: ``is new``, ``changed`` or ``is gone``.
        days: Days of the rows that it has and had; None where they are not known.
    """

    table: str
    path: str
    what: str
    days: frozenset[date] | None

    @property
    def is_new(self) -> bool:
        """Whether there was no such file before."""
        return self.what == "is new"


def file_changes(
    table: TableObservation, known: Mapping[str, SourceFile]
) -> tuple[FileChange, ...]:
    """Return the files of a table that differ from those known by path."""
    now = {file.path: file for file in table.files}
    there = [{p for file in files.values() for p in file.prints()} for files in (known, now)]
    found = []
    for path in sorted(known.keys() | now.keys()):
        versions = [files[path] for files in (known, now) if path in files]
        what = "changed" if len(versions) == 2 else "is new" if path in now else "is gone"
        if all(
            there[0].issuperset(f.prints()) and there[1].issuperset(f.prints()) for f in versions
        ):
            continue
        found.append(FileChange(table.table, path, what, _days_of(versions)))
    return tuple(found)


def _days_of(files: Iterable[SourceFile]) -> frozenset[date] | None:
    days: set[date] = set()
    for file in files:
        if file.rows and not file.days:
            return None
        days.update(file.days)
    return frozenset(days)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a source held when a load was planned.

    Attributes:
        source: Name of the source.
        columns: The source's own columns → Athena type; for a SQL source those of its SELECT.
        tables: The tables it reads.
        dated: Whether the days of each file are known, so that changes can be seen day by day.
        expressions: The project's expressions over the source → Athena type.
        changes: What changed since the source was last loaded; kept where ``dated`` does not hold.
    """

    source: str
    columns: Mapping[str, str]
    tables: tuple[TableObservation, ...]
    dated: bool
    expressions: Mapping[str, str] = field(default_factory=dict)
    changes: tuple[FileChange, ...] = ()

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """Every file of every table."""
        return tuple(file for table in self.tables for file in table.files)

    @property
    def opaque(self) -> tuple[str, ...]:
        """The tables among them whose changes cannot be seen."""
        return tuple(table.table for table in self.tables if table.opaque)

    def with_contents(self, contents: Mapping[str, str]) -> Observation:
        """Return the observation with the digests of some files' bytes, by their paths."""
        tables = tuple(
            replace(
                table,
                files=tuple(
                    replace(file, content=contents.get(file.path, file.content))
                    for file in table.files
                ),
            )
            for table in self.tables
        )
        return replace(self, tables=tables)

    def digests(self) -> dict[date, str]:
        """Return one digest per day that the source holds; empty where days cannot be told."""
        if not self.dated:
            return {}
        holders: dict[date, list[str]] = {}
        for file in self.files:
            for day in file.days:
                holders.setdefault(day, []).extend(file.prints(day))
        return {day: digest(*sorted(prints), length=16) for day, prints in sorted(holders.items())}

    def fingerprint(self) -> str:
        """Return one digest of everything the source held."""
        return digest(*sorted(p for file in self.files for p in file.prints()), length=16)


def changed_days(before: Mapping[date, str], now: Mapping[date, str]) -> dict[date, str]:
    """Return the days whose digest differs, each with the reason in words."""
    changed = {}
    for day in sorted(before.keys() | now.keys()):
        if day not in now:
            changed[day] = "its files are gone"
        elif day not in before:
            changed[day] = "it had no files before"
        elif before[day] != now[day]:
            changed[day] = "its files changed"
    return changed


def components(days: Iterable[date], files: Iterable[SourceFile]) -> tuple[tuple[date, ...], ...]:
    """Group ``days`` so that no file holds days of two groups: each group is one scan of its files.

    A group of several days falls apart into single days where reading its shared files more than
    once costs at most a tenth more bytes.
    """
    wanted = set(days)
    holding = [(file, wanted.intersection(file.days)) for file in files]
    leader = {day: day for day in wanted}

    def find(day: date) -> date:
        while leader[day] != day:
            leader[day] = leader[leader[day]]
            day = leader[day]
        return day

    for _, held in holding:
        for day in held:
            leader[find(day)] = find(min(held))
    groups: dict[date, list[date]] = {}
    for day in sorted(wanted):
        groups.setdefault(find(day), []).append(day)
    return tuple(part for group in groups.values() for part in _split(group, holding))


_REREAD_LIMIT = 1.1


def _split(
    group: list[date], holding: list[tuple[SourceFile, set[date]]]
) -> tuple[tuple[date, ...], ...]:
    shared = [(file.size, len(held.intersection(group))) for file, held in holding]
    once = sum(size for size, count in shared if count)
    apart = sum(size * count for size, count in shared)
    if len(group) == 1 or apart > _REREAD_LIMIT * once:
        return (tuple(group),)
    return tuple((day,) for day in group)

"""Compaction: many small files of a day become few, while whoever reads the old ones still can.

Where statements can read it, a merged file has a hidden name until the files go that it took the place of, so
that readers who list the folder never find a row twice. A later call gives it a name that everybody sees, and
removes the old ones.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from statsig_staging.errors import LoadConflictError
from statsig_staging.forwarded import HIDDEN, DataFile, Receipt, read_state
from statsig_staging.forwarding.acceptance import Acceptance, held, in_text, recovered
from statsig_staging.forwarding.writing import merge, opened
from statsig_staging.results import Compaction, Removed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date, timedelta
    from pathlib import Path

    import duckdb

    from statsig_staging.forwarded import DayState, ForwardedTable, TableState
    from statsig_staging.forwarding.loading import Site
    from statsig_staging.lease import HeldLease

FEWEST = 4
"""Small files of a day that are worth a merge."""

SMALL = 64 << 20
"""Bytes from which on a file is no small one."""

LARGEST = 256 << 20
"""Bytes of small files that go into one."""

AT_ONCE = 4 << 30
"""Bytes of days beyond which a receipt is written before others are merged."""


def compact(
    site: Site,
    table: ForwardedTable,
    *,
    grace: timedelta,
    is_read: bool = False,
    skip_held: bool = False,
) -> Compaction | None:
    """Merge small files of each day, and remove those that were replaced long enough ago; no row changes.

    Args:
        site: Where.
        table: The table.
        grace: How long files stay once others hold their rows.
        is_read: Whether a load is running that may read old files; then they stay.
        skip_held: Whether a table that a loader holds is skipped.

    Returns:
        What was done; None where nothing has been forwarded yet.

    Raises:
        LoadConflictError: If a loader holds the table and it is not skipped.
    """
    name = f"{site.database}.{table.name}"
    if not read_state(site.warehouse, table).days:
        return None
    until = None if is_read else site.now() - grace
    try:
        with held(site, table, lambda: False) as lease:
            return _Compactor(site, table, lease, until).run(name)
    except LoadConflictError as error:
        if not skip_held:
            raise
        return Compaction(table=name, skipped=str(error))


def groups(held_: DayState) -> list[tuple[DataFile, ...]]:
    """Return which files of a day are merged with which; none while others wait to go."""
    small = [file for file in held_.files if file.size < SMALL]
    if len(small) < FEWEST or held_.replaced:
        return []
    found: list[list[DataFile]] = [[]]
    for file in small:
        if sum(each.size for each in found[-1]) + file.size > LARGEST:
            found.append([])
        found[-1].append(file)
    return [tuple(group) for group in found if len(group) > 1]


def is_due(held_: DayState, until: datetime | None) -> bool:
    """Return whether all that was replaced of a day was so before a moment; never where that is None."""
    if until is None or not held_.replaced:
        return False
    return all(datetime.fromisoformat(file.since) <= until for file in held_.replaced)


def portions(days: Mapping[date, DayState], until: datetime | None) -> Iterator[tuple[date, ...]]:
    """Return the days that there is something to do for, as many at once as fit on a disk."""
    found: list[date] = []
    size = 0
    for day, held_ in sorted(days.items()):
        if is_due(held_, until) or groups(held_):
            found.append(day)
            size += sum(file.size for file in held_.files)
        if size > AT_ONCE:
            yield tuple(found)
            found, size = [], 0
    if found:
        yield tuple(found)


@dataclass(slots=True)
class _Change:
    """What changes for the days of a table, and the files that are put in place for it."""

    days: dict[date, tuple[DataFile, ...]] = field(default_factory=dict)
    removed: dict[date, tuple[str, ...]] = field(default_factory=dict)
    deleted: dict[date, tuple[str, ...]] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    done: Compaction = field(default_factory=lambda: Compaction(table=""))


class _Compactor:
    """A table whose files are put together, under its lease."""

    def __init__(
        self, site: Site, table: ForwardedTable, lease: HeldLease, until: datetime | None
    ) -> None:
        self._site = site
        self._table = table
        self._lease = lease
        self._until = until
        self._landing = site.warehouse.landing()

    def run(self, name: str) -> Compaction:
        """Do it, a portion of days after the other."""
        state = recovered(self._site.warehouse, self._table)
        done = Compaction(table=name)
        for days in tuple(portions(state.days, self._until)):
            with (
                self._landing.workplace() as workplace,
                opened(self._site.limits, workplace) as duck,
            ):
                state, part = self._portion(state, days, workplace, duck)
            done += part
        waiting = sum(len(held_.replaced) for held_ in state.days.values())
        return replace(done, waiting=waiting)

    def _portion(
        self,
        state: TableState,
        days: Iterable[date],
        workplace: Path,
        duck: duckdb.DuckDBPyConnection,
    ) -> tuple[TableState, Compaction]:
        began, change = self._site.now(), _Change()
        acceptance = Acceptance(self._site, self._landing, self._table, self._lease, state)
        for day in days:
            held_ = state.days[day]
            if is_due(held_, self._until):
                self._settle(day, held_, workplace, change)
            for number, group in enumerate(groups(held_)):
                self._lease.renew()
                name = f"{acceptance.batch}-{number}.parquet"
                self._merge(day, group, name, workplace, duck, change)
        going = [
            f"{self._table.day_folder(day)}/{name}"
            for day, names in change.deleted.items()
            for name in names
        ]
        removed = self._size(change.deleted)
        acceptance.place(change.files, after=going)
        receipt = Receipt(
            number=acceptance.number,
            batch=acceptance.batch,
            kind=str(self._table.kind),
            table=f"{self._site.database}.{self._table.name}",
            key=state.key or (),
            began_at=in_text(began),
            ended_at=in_text(self._site.now()),
            columns=state.columns,
            days=change.days,
            removed=change.removed,
            deleted=change.deleted,
        )
        acceptance.publish(receipt)
        return state.after(receipt), replace(change.done, removed=removed)

    def _merge(
        self,
        day: date,
        group: Sequence[DataFile],
        name: str,
        workplace: Path,
        duck: duckdb.DuckDBPyConnection,
        change: _Change,
    ) -> None:
        """Make one file of several."""
        folder, copies = self._table.day_folder(day), workplace / "parts"
        parts = [self._landing.local(f"{folder}/{file.name}", copies) for file in group]
        name = f"{HIDDEN}{name}" if self._landing.reads_hidden else name
        path = workplace / f"{day}" / name
        merge(duck, parts, path)
        shutil.rmtree(copies, ignore_errors=True)
        merged = DataFile(
            name=name,
            rows=sum(file.rows for file in group),
            size=path.stat().st_size,
            of=tuple(batch for file in group for batch in file.batches),
        )
        change.files[f"{folder}/{name}"] = path
        change.days[day] = (*change.days.get(day, ()), merged)
        names = (file.name for file in group)
        change.removed[day] = (*change.removed.get(day, ()), *names)
        change.done += Compaction(table="", days=(day,), merged=len(group), into=1)

    def _settle(self, day: date, held_: DayState, workplace: Path, change: _Change) -> None:
        """Have every reader see what is hidden of a day, in place of what it has replaced."""
        folder = self._table.day_folder(day)
        change.deleted[day] = tuple(file.name for file in held_.replaced)
        hidden = [file for file in held_.files if file.is_hidden]
        for file in hidden:
            name = file.name.removeprefix(HIDDEN)
            path = workplace / f"{day}" / name
            path.parent.mkdir(exist_ok=True)
            shutil.copyfile(self._landing.local(f"{folder}/{file.name}", workplace), path)
            change.files[f"{folder}/{name}"] = path
            change.days[day] = (*change.days.get(day, ()), replace(file, name=name))
        if hidden:
            change.removed[day] = tuple(file.name for file in hidden)

    def _size(self, deleted: Mapping[date, Iterable[str]]) -> Removed:
        found = Removed()
        for day, names in deleted.items():
            folder, going = self._table.day_folder(day), {*names}
            for file in self._site.warehouse.list_files(folder):
                if file.key.rsplit("/", 1)[1] in going:
                    found += Removed(files=1, bytes=file.size)
        return found

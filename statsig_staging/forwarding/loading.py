"""Loading a batch into a forwarded table: every row once, whatever is loaded again and wherever it was killed.

The files of a batch are made aside, and named in a note before the first of them is put in place. Last comes
the receipt. A note without a receipt is what a batch leaves behind that was killed: its files are removed
before anything else is done, and loading it again finds the table as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from statsig_staging import forwarded
from statsig_staging.errors import ConfigError
from statsig_staging.forwarded import DataFile, Input, Receipt, column_types
from statsig_staging.forwarding.acceptance import Acceptance, held, in_text, recovered
from statsig_staging.forwarding.inputs import Reading, named_inputs
from statsig_staging.forwarding.writing import Bench, opened
from statsig_staging.results import Forwarding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date, datetime
    from pathlib import Path

    from statsig_staging.forwarded import ForwardedTable, Identities, TableState
    from statsig_staging.forwarding.inputs import Given
    from statsig_staging.forwarding.writing import Made
    from statsig_staging.warehouses.base import Warehouse


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What DuckDB may take; None leaves it to DuckDB."""

    memory: str | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where forwarded rows go, and what else a batch needs of the world.

    Attributes:
        warehouse: The warehouse.
        database: The staging database.
        limits: What DuckDB may take.
        now: The clock, UTC.
        wait: Waits a little while another loader holds the table; false to give up.
        monotonic: Seconds from some moment on.
        on_event: Hears how far a batch is.
    """

    warehouse: Warehouse
    database: str
    limits: Limits
    now: Callable[[], datetime]
    wait: Callable[[], bool]
    monotonic: Callable[[], float]
    on_event: Callable[[Forwarding], object]


def forward(
    site: Site,
    table: ForwardedTable,
    given: Given,
    *,
    key: tuple[str, ...] | None = None,
) -> Receipt:
    """Load rows into a forwarded table, each of them once, and return the receipt.

    Args:
        site: Where, and with what.
        table: The table.
        given: Paths, globs, prefixes of S3, an Arrow reader, or an iterable of dicts.
        key: The columns that make two rows one; none for all of them, None for what the table has.

    Raises:
        ConfigError: If an input is none, or the table has another key.
        SourceFileError: If a file cannot be read to its end; nothing was loaded then.
        LoadConflictError: If another loader holds the table.
    """
    landing = site.warehouse.landing()
    with (
        landing.workplace() as workplace,
        held(site, table) as lease,
        opened(site.limits, workplace) as duck,
    ):
        state = recovered(site.warehouse, table)
        acceptance = Acceptance(site, landing, table, lease, state)
        batch = _Batch(site, acceptance, workplace, _key(table, state, key))
        bench = Bench(
            duck, table, batch.key, site.now(), list(state.columns), batch.read, batch.advance
        )
        inputs = batch.parse(bench, given)
        made = bench.write(workplace, partial(batch.known, bench), batch.id)
        return batch.accept(bench, inputs, made)


def _key(table: ForwardedTable, state: TableState, key: tuple[str, ...] | None) -> tuple[str, ...]:
    wanted = None if key is None else tuple(name.lower() for name in key)
    if state.key is None or wanted is None or wanted == state.key:
        return (state.key or ()) if wanted is None else wanted
    has = ", ".join(state.key) or "all its columns"
    raise ConfigError(
        f"forwarded table {table.name!r} tells rows apart by {has}, not by {', '.join(wanted) or 'all columns'}; "
        f"leave --key (forward_key) as it was, or choose another name under connection.forwarded_{table.kind}"
    )


class _Batch:
    """A batch on its way into a table, under the table's lease."""

    def __init__(
        self,
        site: Site,
        acceptance: Acceptance,
        workplace: Path,
        key: tuple[str, ...],
    ) -> None:
        self.key = key
        self.number = acceptance.number
        self.id = acceptance.batch
        self._site = site
        self._acceptance = acceptance
        self._landing = acceptance.landing
        self._table = acceptance.table
        self._lease = acceptance.lease
        self._workplace = workplace
        self._state = acceptance.state
        self._began = site.now()
        self._clock = site.monotonic()
        self._rows = 0
        self._input = Reading(name="", read=lambda _, __: 0)
        self._reached = 0.0

    def advance(self, reached: float) -> None:
        """Say how much of the input has been read that is read at once, from 0 to 1."""
        self._reached = reached
        self.read(0)

    def read(self, rows: int) -> None:
        """Say that further rows have been read."""
        self._rows += rows
        before, part = self._input.share, self._input.part
        self._site.on_event(
            Forwarding(
                table=self._table.name,
                rows=self._rows,
                seconds=self._site.monotonic() - self._clock,
                share=None if before is None else before + part * self._reached,
            )
        )

    def parse(self, bench: Bench, given: Given) -> list[Input]:
        """Read all inputs, and return how many rows each had."""
        found = []
        bench.parser.begin()
        for number, one in enumerate(named_inputs(given, self._landing, self._workplace)):
            self._input, self._reached = one, 0.0
            self._lease.renew()
            found.append(Input(name=one.name, rows=one.read(bench.parser, number)))
        return found

    def known(self, bench: Bench, day: date) -> list[Path]:
        """Return files of the identities that are accepted of a day."""
        held = self._state.days.get(day)
        if held is None or not held.files:
            return []
        if all(each.hashing == bench.hashing for each in held.identities):
            keys = [self._identity_key(day, each.name) for each in held.identities]
            return [self._landing.local(key, self._workplace) for key in keys]
        folder = self._table.day_folder(day)
        files = [
            self._landing.local(f"{folder}/{file.name}", self._workplace) for file in held.files
        ]
        return [bench.identified(files, self._workplace)]

    def _identity_key(self, day: date, name: str) -> str:
        return f"{self._table.records}/identities/{day.isoformat()}/{name}"

    def accept(self, bench: Bench, inputs: list[Input], made: Made) -> Receipt:
        """Put the files in place and write the receipt, which makes them count."""
        columns = tuple(bench.parser.columns)
        receipt = Receipt(
            number=self.number,
            batch=self.id,
            kind=str(self._table.kind),
            table=f"{self._site.database}.{self._table.name}",
            key=self.key,
            began_at=in_text(self._began),
            inputs=tuple(inputs),
            rows=sum(one.rows for one in inputs),
            accepted=made.accepted,
            duplicates=made.duplicates,
            quarantined=made.quarantined,
            quarantine=f"{self._table.records}/quarantine/{self.id}.ndjson"
            if made.quarantine
            else "",
            columns_added=tuple(name for name in columns if name not in self._state.columns),
            columns=columns,
            days={
                day: (DataFile(name=path.name, rows=rows, size=path.stat().st_size),)
                for day, (path, rows) in sorted(made.files.items())
            },
        )
        placed = {self._place(day, path): path for day, (path, _) in made.files.items()}
        if made.quarantine is not None:
            placed[receipt.quarantine] = made.quarantine
        identities, beside = self._identities(bench, made)
        placed |= beside
        self._acceptance.place(placed, after=self._superseded(identities))
        if receipt.days or receipt.columns_added:
            after = replace(self._state, columns=columns)
            self._landing.register(self._table, column_types(after), receipt.days)
        return self._acceptance.publish(
            replace(receipt, identities=identities, ended_at=in_text(self._site.now()))
        )

    def _place(self, day: date, path: Path) -> str:
        return f"{self._table.day_folder(day)}/{path.name}"

    def _identities(
        self, bench: Bench, made: Made
    ) -> tuple[dict[date, tuple[Identities, ...]], dict[str, Path]]:
        """Return the identities of the days that grew, put together where there are many files of them."""
        found: dict[date, tuple[Identities, ...]] = {}
        beside: dict[str, Path] = {}
        for day, (path, rows) in made.identities.items():
            before = self._state.days.get(day, forwarded.DayState())
            kept = before.identities
            new = forwarded.Identities(path.name, rows, bench.hashing)
            if len(kept) >= MOST_IDENTITY_FILES or any(e.hashing != bench.hashing for e in kept):
                parts = [*self.known(bench, day), path]
                path = bench.together(parts, self._workplace / f"all-{day}-{self.id}.parquet")  # noqa: PLW2901
                total = sum(file.rows for file in before.files) + rows
                kept, new = (), forwarded.Identities(path.name, total, bench.hashing)
            found[day] = (*kept, new)
            beside[self._identity_key(day, path.name)] = path
        return found, beside

    def _superseded(self, identities: Mapping[date, tuple[Identities, ...]]) -> Iterable[str]:
        """Return the files of identities that others hold now; nobody reads them but who has the lease."""
        for day, now in identities.items():
            before = self._state.days.get(day, forwarded.DayState()).identities
            yield from (self._identity_key(day, each.name) for each in before if each not in now)


MOST_IDENTITY_FILES = 8
"""Files of a day's identities that are put together with those of a ninth batch."""

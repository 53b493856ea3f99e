"""Forwarded tables: where their files lie, what their receipts say, and what is accepted by them all. Pure.

A receipt is one small object. The number in its name is taken once, so of two loaders that lost sight of
each other one gets it. What the table holds is what all receipts say together; every so often a checkpoint
says it in one object.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from statsig_staging.config.forwarded import EVENT_COLUMNS, EXPOSURE_COLUMNS, PARTITION, TIMESTAMP
from statsig_staging.names import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from statsig_staging.config import Connection
    from statsig_staging.sources import SourceFile

RECORDS = "_forwarded"
"""The folder of receipts and quarantine, below the staging folder."""

CHECKPOINT_EVERY = 64
"""Receipts between two checkpoints."""

HIDDEN = "_"
"""What the names of files begin with that only readers of receipts shall find."""


class Kind(StrEnum):
    """What is forwarded."""

    EXPOSURES = "exposures"
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class ForwardedTable:
    """A forwarded table: a plain table of Parquet files, one folder per UTC day.

    Attributes:
        kind: What its rows are.
        name: Its name in the catalog, and of its folder.
    """

    kind: Kind
    name: str

    @property
    def folder(self) -> str:
        """Its folder below the staging folder; nothing but folders of days lies there."""
        return f"statsig_forwarded_{self.kind}/{self.name}"

    @property
    def records(self) -> str:
        """The folder of its receipts, quarantine and identities."""
        return f"{RECORDS}/{self.name}"

    @property
    def columns(self) -> Mapping[str, str]:
        """The documented columns, the timestamp aside → whether they are ``text`` or an ``object``."""
        return EXPOSURE_COLUMNS if self.kind is Kind.EXPOSURES else EVENT_COLUMNS

    def day_folder(self, day: date) -> str:
        """Return the folder of a day."""
        return f"{self.folder}/{day.isoformat()}"


def forwarded_table(connection: Connection, kind: Kind) -> ForwardedTable:
    """Return the forwarded table of a kind that a connection names."""
    match kind:
        case Kind.EXPOSURES:
            return ForwardedTable(kind, connection.forwarded_exposures)
        case Kind.EVENTS:
            return ForwardedTable(kind, connection.forwarded_events)


def named_table(connection: Connection, table: str) -> ForwardedTable | None:
    """Return the forwarded table that ``database.table`` names; None where it is another table."""
    found = (forwarded_table(connection, kind) for kind in Kind)
    wanted = table.lower()
    return next((t for t in found if f"{connection.database}.{t.name}".lower() == wanted), None)


def marked(file: SourceFile, table: ForwardedTable, day: date, held: DataFile) -> SourceFile:
    """Return an accepted file as a source that is told by the batches whose rows it holds.

    So files of several batches and the one that they were merged into are the same to a load.
    """
    prints = tuple(digest(f"{table.day_folder(day)}/{name}", length=16) for name in held.batches)
    if not held.of:
        return replace(file, identity=prints[0])
    days = dict.fromkeys(("", *(each.isoformat() for each in file.days)), prints)
    return replace(file, identity=digest(*prints, length=16), stands_for=days)


def column_types(state: TableState) -> dict[str, str]:
    """Return every column of a table → Athena type, the date of its folder last."""
    texts = dict.fromkeys(state.columns, "varchar")
    return {TIMESTAMP: "timestamp(6)", **texts, PARTITION: "date"}


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of rows.

    Attributes:
        name: Its name in the folder of its day.
        rows: Its rows.
        size: Its bytes.
        of: Names of the files of batches whose rows it holds; empty for one of a batch.
    """

    name: str
    rows: int
    size: int
    of: tuple[str, ...] = ()

    @property
    def batches(self) -> tuple[str, ...]:
        """Names of the files in which its rows came, its own where they came in it."""
        return self.of or (self.name,)

    @property
    def is_hidden(self) -> bool:
        """Whether readers that go by names pass it over, as Hive, Spark and Arrow do."""
        return self.name.startswith(HIDDEN)


@dataclass(frozen=True, slots=True)
class Replaced:
    """A file whose rows are in another one: its name, and since when, UTC, ISO."""

    name: str
    since: str


@dataclass(frozen=True, slots=True)
class Identities:
    """The identities of some rows of a day, in a file beside the receipts.

    Attributes:
        name: Its name.
        rows: How many.
        hashing: What tells the hash function apart that they were made with.
    """

    name: str
    rows: int
    hashing: str


@dataclass(frozen=True, slots=True)
class DayState:
    """What is accepted of a day.

    Attributes:
        files: The files that hold its rows.
        identities: What tells these apart.
        replaced: Files that are still there for readers that have begun; none of them counts.
    """

    files: tuple[DataFile, ...] = ()
    identities: tuple[Identities, ...] = ()
    replaced: tuple[Replaced, ...] = ()

    def after(self, receipt: Receipt, day: date) -> DayState:
        """Return what is accepted of a day once a further receipt is."""
        left = frozenset(receipt.removed.get(day, ()))
        gone = frozenset(receipt.deleted.get(day, ()))
        kept = (file for file in self.files if file.name not in left)
        waiting = (file for file in self.replaced if file.name not in gone)
        return DayState(
            files=(*kept, *receipt.days.get(day, ())),
            identities=receipt.identities.get(day, self.identities),
            replaced=(*waiting, *(Replaced(name, receipt.ended_at) for name in sorted(left))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What was read: its name, and how many rows it had."""

    name: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a batch.

    Attributes:
        number: The receipt's; rises by one with every batch of the table.
        batch: The batch's id.
        kind: ``exposures`` or ``events``.
        table: ``database.table``.
        key: The columns that make two rows one; empty for all of them.
        began_at: When it began, UTC, ISO.
        ended_at: When it was accepted.
        inputs: What was read.
        rows: Rows read: those accepted, duplicates and those in quarantine.
        accepted: Rows that are in the table now and were not before.
        duplicates: Rows that were in the table, or in the batch, already.
        quarantined: Reason → rows that are in the quarantine file.
        quarantine: Key of the quarantine file below the staging folder; empty where there is none.
        columns_added: Columns that the table had not.
        days: Day → what the batch added to it.
        removed: Day → names of files whose rows are in added ones now.
        deleted: Day → names of such files that go, and are nobody's business any more.
        identities: Day → the files of its identities from here on.
        columns: Every column of the table from here on, in order.
    """

    number: int
    batch: str
    kind: str
    table: str
    key: tuple[str, ...] = ()
    began_at: str
    ended_at: str = ""
    inputs: tuple[Input, ...] = ()
    rows: int = 0
    accepted: int = 0
    duplicates: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    quarantine: str = ""
    columns_added: tuple[str, ...] = ()
    days: Mapping[date, tuple[DataFile, ...]] = field(default_factory=dict)
    removed: Mapping[date, tuple[str, ...]] = field(default_factory=dict)
    deleted: Mapping[date, tuple[str, ...]] = field(default_factory=dict)
    identities: Mapping[date, tuple[Identities, ...]] = field(default_factory=dict)
    columns: tuple[str, ...] = ()

    @property
    def rows_quarantined(self) -> int:
        """Rows in the quarantine file."""
        return sum(self.quarantined.values())

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON can hold, for people and programs."""
        found = asdict(self)
        for name in ("identities", "columns", "removed", "deleted"):
            del found[name]
        found["quarantined"] = dict(self.quarantined)
        found["days"] = {
            day.isoformat(): {
                "rows": sum(file.rows for file in files),
                "bytes": sum(file.size for file in files),
                "files": [file.name for file in files],
            }
            for day, files in sorted(self.days.items())
        }
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class TableState:
    """What all receipts of a table say together.

    Attributes:
        number: That of the last receipt; 0 where there is none.
        key: The columns that make two rows one; None before the first batch.
        columns: Every column but the timestamp and the date, in order.
        days: Day → what is accepted of it.
    """

    number: int = 0
    key: tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()
    days: Mapping[date, DayState] = field(default_factory=dict)

    def after(self, receipt: Receipt) -> TableState:
        """Return the state once a further receipt is accepted."""
        days = dict(self.days)
        for day in {*receipt.days, *receipt.removed, *receipt.deleted, *receipt.identities}:
            days[day] = days.get(day, DayState()).after(receipt, day)
        return replace(
            self,
            number=receipt.number,
            key=receipt.key,
            columns=receipt.columns,
            days=days,
        )


class Objects(Protocol):
    """Files below the staging folder."""

    def get_object(self, key: str) -> bytes | None:
        """Return a file, or None."""

    def list_files(self, prefix: str) -> Sequence[_Stored]:
        """Return every file below a folder."""


class _Stored(Protocol):
    @property
    def key(self) -> str:
        """Its path below the staging folder."""


def lease_key(table: ForwardedTable) -> str:
    """Return the key of a table's lease."""
    return f"{table.records}/lease.json"


def receipt_key(table: ForwardedTable, number: int) -> str:
    """Return the key of a receipt."""
    return f"{table.records}/receipts/{number:08d}.json"


def checkpoint_key(table: ForwardedTable, number: int) -> str:
    """Return the key of the checkpoint that stands for the receipts through a number."""
    return f"{table.records}/checkpoints/{number:08d}.json"


def read_state(objects: Objects, table: ForwardedTable) -> TableState:
    """Return what is accepted of a table."""
    state = TableState()
    checkpoints = _numbers(objects, f"{table.records}/checkpoints")
    if checkpoints:
        data = objects.get_object(checkpoint_key(table, checkpoints[-1]))
        state = state if data is None else decode_state(data)
    for number in _numbers(objects, f"{table.records}/receipts"):
        data = objects.get_object(receipt_key(table, number)) if number > state.number else None
        if data is not None:
            state = state.after(decode_receipt(data))
    return state


def _numbers(objects: Objects, prefix: str) -> list[int]:
    names = (file.key.rsplit("/", 1)[1] for file in objects.list_files(prefix))
    stems = (name.removesuffix(".json") for name in names if name.endswith(".json"))
    return sorted(int(stem) for stem in stems if stem.isdigit())


def encode_receipt(receipt: Receipt) -> bytes:
    """Return a receipt as the content of its object."""
    found = asdict(receipt)
    for name in ("days", "removed", "deleted", "identities"):
        found[name] = {day.isoformat(): value for day, value in sorted(found[name].items())}
    return json.dumps(found, ensure_ascii=False).encode()


def decode_receipt(data: bytes) -> Receipt:
    """Return the receipt that an object holds."""
    found = json.loads(data)
    found["inputs"] = tuple(Input(**one) for one in found["inputs"])
    found["days"] = {day: _files(files) for day, files in _by_day(found["days"])}
    for name in ("removed", "deleted"):
        found[name] = {day: tuple(names) for day, names in _by_day(found.get(name, {}))}
    found["identities"] = {day: _identities(all_) for day, all_ in _by_day(found["identities"])}
    for name in ("key", "columns", "columns_added"):
        found[name] = tuple(found[name])
    return Receipt(**found)


def encode_state(state: TableState) -> bytes:
    """Return a state as the content of a checkpoint."""
    days = {day.isoformat(): asdict(held) for day, held in sorted(state.days.items())}
    return json.dumps({**asdict(replace(state, days={})), "days": days}).encode()


def decode_state(data: bytes) -> TableState:
    """Return the state that a checkpoint holds."""
    found = json.loads(data)
    days = {
        day: DayState(
            files=_files(held["files"]),
            identities=_identities(held["identities"]),
            replaced=tuple(Replaced(**one) for one in held.get("replaced", ())),
        )
        for day, held in _by_day(found["days"])
    }
    key = None if found["key"] is None else tuple(found["key"])
    return TableState(number=found["number"], key=key, columns=tuple(found["columns"]), days=days)


def _by_day(found: Mapping[str, Any]) -> Iterable[tuple[date, Any]]:
    return ((date.fromisoformat(day), value) for day, value in found.items())


def _files(found: Iterable[Mapping[str, Any]]) -> tuple[DataFile, ...]:
    return tuple(DataFile(**{**one, "of": tuple(one.get("of", ()))}) for one in found)


def _identities(found: Iterable[Mapping[str, Any]]) -> tuple[Identities, ...]:
    return tuple(Identities(**one) for one in found)

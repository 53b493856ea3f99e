"""Writing: parsed rows as files by day, those aside that are in the table already, or cannot be."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import duckdb
from sqlglot import exp

from statsig_staging.config.forwarded import PARTITION, TIMESTAMP
from statsig_staging.errors import SourceFileError, StepFailedError
from statsig_staging.forwarding.cells import (
    DAY,
    DIALECT,
    HASHING,
    HIGH,
    LINE,
    LOW,
    RAW,
    REASON,
    SOURCE,
    column,
    identity,
    sql,
)
from statsig_staging.forwarding.parsing import PARSED, Parser, temporary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date, datetime
    from pathlib import Path

    from statsig_staging.forwarded import ForwardedTable
    from statsig_staging.forwarding.loading import Limits

_DROPPED = "dropped"
_AT_ONCE = 64
"""So many days are written by one statement. DuckDB keeps 100 files open (``partitioned_write_max_open_files``);
beyond that it closes some, and goes on in others of another name."""
_LAID = "_laid"
_BY_DAY = {"PARTITION_BY": exp.Tuple(expressions=[column(_LAID)])}
_PACKED = {
    "FORMAT": exp.var("parquet"),
    "COMPRESSION": exp.var("zstd"),
    "COMPRESSION_LEVEL": exp.Literal.number(1),
}
_UNPACKED = {"FORMAT": exp.var("parquet"), "COMPRESSION": exp.var("uncompressed")}


@contextmanager
def opened(limits: Limits, workplace: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Return a DuckDB of its own, which spills into the workplace; its errors become the library's.

    Raises:
        StepFailedError: If the disk or the memory does not suffice.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "temp_directory": str(workplace / "spill"),
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "TimeZone": "UTC",
        # What waits to be written competes with the parsed rows for memory. With DuckDB's own 524,288 rows
        # ten million took 41 seconds in a gigabyte, with these 29 (DuckDB 2.0).
        "partitioned_write_flush_threshold": 32_768,
    }
    if limits.memory is not None:
        settings["memory_limit"] = limits.memory
    if limits.threads is not None:
        settings["threads"] = limits.threads
    duck = duckdb.connect(config=settings)
    try:
        yield duck
    except duckdb.OutOfMemoryException as error:
        raise StepFailedError(
            f"not enough memory to forward: {error}; raise connection.memory_limit, or point "
            "connection.temp_directory to a larger disk"
        ) from error
    except duckdb.IOException as error:
        if "No space left" in str(error):
            raise StepFailedError(f"the disk is full: {error}") from error
        raise SourceFileError(str(error)) from error
    except duckdb.Error as error:
        raise StepFailedError(f"forwarding failed: {error}") from error
    finally:
        duck.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The files of a batch, aside.

    Attributes:
        files: Day → file and rows.
        identities: Day → file and rows of their identities.
        quarantine: The file of rows that cannot be in the table; None where there are none.
        accepted: Rows in the files.
        duplicates: Rows that are in the table or in the files once already.
        quarantined: Reason → rows in quarantine.
    """

    files: Mapping[date, tuple[Path, int]] = field(default_factory=dict)
    identities: Mapping[date, tuple[Path, int]] = field(default_factory=dict)
    quarantine: Path | None
    accepted: int
    duplicates: int
    quarantined: Mapping[str, int]


class Bench:
    """Where the rows of a batch are sorted out.

    Args:
        duck: DuckDB.
        table: The table.
        key: The columns that make two rows one.
        now: The time.
        columns: The columns that the table has.
        on_rows: Hears how many rows have been read.
        on_share: Hears how much of a file has been read that is read at once.
    """

    def __init__(
        self,
        duck: duckdb.DuckDBPyConnection,
        table: ForwardedTable,
        key: Sequence[str],
        now: datetime,
        columns: list[str],
        on_rows: Callable[[int], object],
        on_share: Callable[[float], object],
    ) -> None:
        columns += [name for name in table.columns if name not in columns]
        self.parser = Parser(duck, table, key, now, columns, on_rows, on_share)
        self._key = key
        self._run = self.parser.run
        if key:
            # The first of several rows of one key is that of the lowest rowid, so these are in their order.
            duck.execute("SET preserve_insertion_order = true")
        probe = duck.execute(f"SELECT {HASHING}").fetchone()
        self.hashing = str(probe[0]) if probe else ""

    def write(self, workplace: Path, known: Callable[[date], Iterable[Path]], name: str) -> Made:
        """Write the files of a batch.

        Args:
            workplace: Where.
            known: Returns files of the identities that a day of the table has.
            name: What files are called.
        """
        quarantined = self._quarantined()
        days = self._days()
        duplicates = self._drop([path for day in days for path in known(day)]) if days else 0
        counts = self._days() if duplicates else days
        files = self._files(counts, workplace / "days", name)
        identities = self._identities(counts, workplace / "identities", name)
        return Made(
            files={day: (files[day], rows) for day, rows in counts.items()},
            identities={day: (identities[day], rows) for day, rows in counts.items()},
            quarantine=self._quarantine(workplace / "quarantine.ndjson") if quarantined else None,
            accepted=sum(counts.values()),
            duplicates=duplicates,
            quarantined=quarantined,
        )

    def _quarantined(self) -> dict[str, int]:
        query = (
            exp.select(column(REASON), exp.Count(this=exp.Star()))
            .from_(PARSED)
            .where(sql("cell IS NOT NULL", cell=column(REASON)))
            .group_by(column(REASON))
            .order_by(column(REASON))
        )
        return {str(reason): int(rows) for reason, rows in self._run(query).fetchall()}

    def _days(self) -> dict[date, int]:
        query = (
            exp.select(column(DAY), exp.Count(this=exp.Star()))
            .from_(PARSED)
            .where(_is_good())
            .group_by(column(DAY))
            .order_by(column(DAY))
        )
        return {day: int(rows) for day, rows in self._run(query).fetchall()}

    def _drop(self, known: Sequence[Path]) -> int:
        """Remove rows that are there already or more than once, and return how many."""
        same = [column(name) for name in (DAY, HIGH, LOW)]
        often = (
            exp.select(*same, exp.alias_(sql("min(rowid)"), "first"))
            .from_(PARSED)
            .where(_is_good())
            .group_by(*same)
            .having(sql("count(*) > 1"))
        )
        using: list[int | str | exp.Expr] = [name.copy() for name in same]
        twice = (
            exp.select(exp.alias_(sql("p.rowid"), "place"))
            .from_(exp.alias_(exp.to_table(PARSED), "p", table=True))
            .join(often.subquery("f"), using=using)
            .where(_is_good(), sql("p.rowid <> f.first"))
        )
        dropped: exp.Query = twice
        if known:
            there = (
                exp.select(exp.alias_(sql("p.rowid"), "place"))
                .from_(exp.alias_(exp.to_table(PARSED), "p", table=True))
                .join(
                    exp.select(*same).from_(_parquet(known)).subquery("k"),
                    using=using,
                    join_type="semi",
                )
                .where(_is_good())
            )
            dropped = exp.union(twice, there, distinct=True)
        self._run(temporary(exp.to_table(_DROPPED), dropped))
        count = self.parser.value(exp.select(exp.Count(this=exp.Star())).from_(_DROPPED))
        if count:
            places = exp.select("place").from_(_DROPPED)
            self._run(
                exp.delete(PARSED, where=exp.In(this=exp.column("rowid"), query=places.subquery()))
            )
        return count

    def _files(self, days: Iterable[date], folder: Path, name: str) -> dict[date, Path]:
        names = [TIMESTAMP, *self.parser.columns]
        laid = exp.alias_(exp.cast(column(DAY), "date"), PARTITION, quoted=True)
        select = exp.select(*map(column, names), laid)
        return self._by_day(select, days, folder / f"{name}.parquet", _PACKED)

    def _identities(self, days: Iterable[date], folder: Path, name: str) -> dict[date, Path]:
        select = exp.select(*map(column, (DAY, HIGH, LOW)))
        return self._by_day(select, days, folder / f"{name}.parquet", _UNPACKED)

    def _by_day(
        self, select: exp.Select, days: Iterable[date], path: Path, options: Mapping[str, exp.Expr]
    ) -> dict[date, Path]:
        """Write one file for each day, called as ``path``, below its folder, and return them."""
        found: dict[date, Path] = {}
        rows = select.from_(PARSED).where(_is_good())
        for portion in _portions(days):
            first, last = portion[0], portion[-1]
            folder = path.parent / f"{first}"
            within = exp.Between(this=column(DAY), low=_day(first), high=_day(last))
            query = rows.where(within)
            if first == last:
                found[first] = folder / path.name
                self._to_file(query, found[first], options)
                continue
            folder.mkdir(parents=True)
            query = query.select(exp.alias_(column(DAY), _LAID, quoted=True))
            _copy_to(self.parser.duck, query, folder, {**options, **_BY_DAY})
            for day in portion:
                [written] = (folder / f"{_LAID}={day}").iterdir()
                found[day] = written.rename(written.with_name(path.name))
        return found

    def _to_file(self, query: exp.Query, path: Path, options: Mapping[str, exp.Expr]) -> None:
        _to_parquet(self.parser.duck, query, path, options)

    def _quarantine(self, path: Path) -> Path:
        names = {SOURCE: "input", LINE: "line", REASON: "reason", RAW: "row"}
        query = (
            exp.select(*(exp.alias_(column(n), alias, quoted=True) for n, alias in names.items()))
            .from_(PARSED)
            .where(sql("cell IS NOT NULL", cell=column(REASON)))
            .order_by(column(SOURCE), column(LINE))
        )
        _copy_to(self.parser.duck, query, path, {"FORMAT": exp.var("json")})
        return path

    def identified(self, files: Sequence[Path], workplace: Path) -> Path:
        """Return a file of the identities of rows in data files, made with the hash of today."""
        high, low = identity(self.parser.columns, self._key)
        reader = _parquet(files)
        present = {
            name
            for (name, *_) in self.parser.duck.execute(
                f"DESCRIBE {exp.select(exp.Star()).from_(reader).sql(DIALECT)}"
            ).fetchall()
        }
        lacking = [
            exp.alias_(exp.cast(exp.null(), "varchar"), name, quoted=True)
            for name in self.parser.columns
            if name not in present
        ]
        inner = exp.select(exp.Star(), *lacking).from_(reader)
        query = exp.select(
            exp.alias_(column(PARTITION), DAY, quoted=True),
            exp.alias_(high, HIGH, quoted=True),
            exp.alias_(low, LOW, quoted=True),
        ).from_(inner.subquery("d"))
        path = workplace / f"anew-{uuid.uuid4().hex}.parquet"
        self._to_file(query, path, _UNPACKED)
        return path

    def together(self, parts: Sequence[Path], path: Path) -> Path:
        """Put files of identities together into one."""
        self._to_file(exp.select(exp.Star()).from_(_parquet(parts)), path, _UNPACKED)
        return path


def merge(duck: duckdb.DuckDBPyConnection, parts: Sequence[Path], path: Path) -> None:
    """Write the rows of files of a day into one, with the columns of them all."""
    _to_parquet(duck, exp.select(exp.Star()).from_(_parquet(parts)), path, _PACKED)


def _to_parquet(
    duck: duckdb.DuckDBPyConnection, query: exp.Query, path: Path, options: Mapping[str, exp.Expr]
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _copy_to(duck, query, path, options)


def _copy_to(
    duck: duckdb.DuckDBPyConnection, query: exp.Query, path: Path, options: Mapping[str, exp.Expr]
) -> None:
    copy = exp.Copy(
        this=query.subquery(),
        kind=False,
        files=[exp.Literal.string(str(path))],
        params=[exp.CopyParameter(this=exp.var(n), expression=v) for n, v in options.items()],
    )
    duck.execute(copy.sql(DIALECT, copy=False))


def _portions(days: Iterable[date]) -> list[list[date]]:
    """Return days in their order, no more together than files that are written side by side."""
    found = sorted(days)
    return [found[first : first + _AT_ONCE] for first in range(0, len(found), _AT_ONCE)]


def _day(day: date) -> exp.Expr:
    return exp.cast(exp.Literal.string(day.isoformat()), "date")


def _is_good() -> exp.Expr:
    return sql("cell IS NULL", cell=column(REASON))


def _parquet(paths: Sequence[Path]) -> exp.Table:
    listed = exp.Array(expressions=[exp.Literal.string(str(path)) for path in paths])
    together = exp.EQ(this=exp.column("union_by_name"), expression=exp.true())
    options = [together] if len(paths) > 1 else []
    return exp.Table(this=exp.Anonymous(this="read_parquet", expressions=[listed, *options]))

"""Parsing: the rows of every input in one table of DuckDB's, those that cannot be rows with their reasons.

A file of NDJSON is read by DuckDB as a whole, which refuses whatever is out of the ordinary: a line that is
no object, a key it has not seen, a key twice. Then, and where a row is not one of the table, the file is read
again line by line, so that each fault has its line.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from statsig_staging.config.forwarded import PARTITION, TIMESTAMP
from statsig_staging.errors import SourceFileError
from statsig_staging.forwarding.advance import watched
from statsig_staging.forwarding.cells import (
    DIALECT,
    FAULT,
    LINE,
    OWN,
    RAW,
    REASON,
    SOURCE,
    Cell,
    Form,
    column,
    laid,
    rows,
    sql,
)
from statsig_staging.forwarding.lines import KEPT, LONGEST, TOO_LONG, Line, blocks, records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from statsig_staging.forwarded import ForwardedTable
    from statsig_staging.forwarding.lines import Record

PARSED = "parsed"
_CHUNK = "chunk"
_ROWS = 20_000

FORMATS = {
    ".ndjson": "json",
    ".jsonl": "json",
    ".json": "json",
    ".csv": "csv",
    ".parquet": "parquet",
}
PACKED = (".gz", ".zst")


def format_of(name: str) -> str | None:
    """Return ``json``, ``csv`` or ``parquet`` by the ending of a name; None where it is another."""
    plain = name.lower()
    for ending in PACKED:
        plain = plain.removesuffix(ending)
    found = next((kind for ending, kind in FORMATS.items() if plain.endswith(ending)), None)
    return None if found == "parquet" and plain != name.lower() else found


def temporary(this: exp.Expr, rows: exp.Query | None = None) -> exp.Create:
    """Return the statement that makes a table anew that is gone with DuckDB."""
    return exp.Create(
        this=this,
        kind="TABLE",
        replace=True,
        properties=exp.Properties(expressions=[exp.TemporaryProperty()]),
        expression=rows,
    )


@dataclass
class Parser:
    """Fills the table of parsed rows, whose columns grow with those of its inputs.

    Attributes:
        duck: DuckDB.
        table: The forwarded table.
        key: The columns that make two rows one.
        now: The time.
        columns: The columns that the forwarded table has, and gets.
        on_rows: Hears how many rows have been read.
        on_share: Hears how much of a file has been read that is read at once, from 0 to 1.
    """

    duck: duckdb.DuckDBPyConnection
    table: ForwardedTable
    key: Sequence[str]
    now: datetime
    columns: list[str]
    on_rows: Callable[[int], object]
    on_share: Callable[[float], object]
    _own: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """Make the table anew, without rows."""
        kinds = {
            SOURCE: "INTEGER",
            LINE: "BIGINT",
            RAW: "VARCHAR",
            REASON: "VARCHAR",
            "_high": "UBIGINT",
            "_low": "UBIGINT",
            "_day": "DATE",
            TIMESTAMP: "TIMESTAMP",
            **dict.fromkeys(self.columns, "VARCHAR"),
        }
        listed = [
            exp.ColumnDef(
                this=exp.to_identifier(name, quoted=True),
                kind=exp.DataType.build(kind, dialect=DIALECT),
            )
            for name, kind in kinds.items()
        ]
        self.run(temporary(exp.Schema(this=exp.to_table(PARSED), expressions=listed)))
        self._own = {*kinds}

    def run(self, statement: exp.Expr) -> duckdb.DuckDBPyConnection:
        """Run a statement."""
        return self.duck.execute(statement.sql(DIALECT, copy=False))

    def value(self, query: exp.Query) -> int:
        """Return the one number of a query."""
        found = self.run(query).fetchone()
        return int(found[0]) if found is not None else 0

    def file(self, number: int, path: Path, kind: str) -> int:
        """Add the rows of a file, and return how many it has.

        Raises:
            SourceFileError: If it cannot be read to its end.
        """
        if path.stat().st_size == 0:
            return 0
        if kind == "csv":
            return sum(self._csv(number, header, found) for header, found in records(path))
        if kind == "parquet":
            return self._parquet(number, path)
        found = self._whole(number, path)
        if found is None:
            self.on_share(0.0)
            return sum(self.lines(number, block) for block in blocks(path))
        self.on_share(1.0)
        self.on_rows(found)
        return found

    def _whole(self, number: int, path: Path) -> int | None:
        """Read a file of NDJSON at once; return None, with nothing added, where it is not all as usual."""
        reader = exp.Table(this=_json_reader(path))
        names = self._names_of(reader)
        if names is None:
            return None
        cells = [Cell(name, column(name), Form.JSON) for name in names]
        nothing = [
            exp.alias_(exp.cast(exp.null(), kind), name, quoted=True, copy=False)
            for name, kind in _NO_LINE
        ]
        known = self._widened(cells)
        self.duck.execute("BEGIN")
        try:
            source = exp.select(exp.Star(), *nothing).from_(reader)
            watched(self.duck, self._insertion(source, cells, number), self.on_share)
            faulty = self.value(_count(number).where(sql("cell IS NOT NULL", cell=column(REASON))))
            found = self.value(_count(number))
        except duckdb.OutOfMemoryException:
            self.duck.execute("ROLLBACK")
            raise
        except duckdb.Error:
            faulty, found = 1, 0
        if faulty:
            self.duck.execute("ROLLBACK")
            del self.columns[known:]
            return None
        self.duck.execute("COMMIT")
        return found

    def _names_of(self, reader: exp.Table) -> list[str] | None:
        try:
            described = self.duck.execute(
                f"DESCRIBE {exp.select(exp.Star()).from_(reader).sql(DIALECT)}"
            ).fetchall()
        except duckdb.Error:
            return None
        if any(row[1] != "JSON" for row in described):
            return None
        names = [str(row[0]) for row in described]
        # Of two keys that differ in case only, DuckDB calls the second one by a number of its own.
        stems = {re.sub(r"_\d+$", "", name).lower() for name in names if re.search(r"_\d+$", name)}
        return None if stems & {name.lower() for name in names} else names

    def lines(self, number: int, found: Sequence[Line]) -> int:
        """Add lines of NDJSON, and return how many."""
        if found:
            self._lines(number, found)
            self.on_rows(len(found))
        return len(found)

    def _lines(self, number: int, found: Sequence[Line]) -> None:
        try:
            self._chunk(number, found)
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            # One line of them is more than DuckDB can read; it is found by halves.
            if len(found) == 1:
                reason = f"cannot be read: {' '.join(str(error).split())[:200]}"
                self._chunk(number, [Line(found[0].number, found[0].text, reason)])
                return
            middle = len(found) // 2
            self._lines(number, found[:middle])
            self._lines(number, found[middle:])

    def _chunk(self, number: int, found: Sequence[Line]) -> None:
        given = pa.table(
            {
                LINE: pa.array([line.number for line in found], pa.int64()),
                RAW: pa.array([line.text for line in found], pa.string()),
                FAULT: pa.array([line.fault for line in found], pa.string()),
            }
        )
        self.duck.register("given", given)
        try:
            self.run(temporary(exp.to_table(_CHUNK), _judged()))
        finally:
            self.duck.unregister("given")
        listed = [
            tuple(keys)
            for (keys,) in self.run(
                exp.select(sql("json_keys(cell)", cell=column("object"))).distinct().from_(_CHUNK)
            ).fetchall()
            if keys
        ]
        names = sorted({name for keys in listed for name in keys})
        source = exp.select(
            column(LINE), column(RAW), exp.alias_(_twice(listed), FAULT, quoted=True, copy=False)
        )
        if names:
            pointers = exp.Array(expressions=[exp.Literal.string(_pointer(name)) for name in names])
            cells_ = sql("json_extract(cell, pointers)", cell=column("object"), pointers=pointers)
            source = source.select(exp.alias_(cells_, "cells"))
        cells = [
            Cell(name, sql("list_extract(cells, place)", place=exp.convert(place)), Form.JSON)
            for place, name in enumerate(names, start=1)
        ]
        before = len(self.columns)
        self._widened(cells)
        try:
            self._add(source.from_(_CHUNK), cells, number)
        except duckdb.Error:
            del self.columns[before:]
            raise

    def _csv(self, number: int, header: Sequence[str], found: Sequence[Record]) -> int:
        if not found:
            return 0
        empty = [""] * len(header)
        fields = [record.fields if record.fault is None else empty for record in found]
        given = {
            f"c{place}": pa.array(values, pa.string())
            for place, values in enumerate(zip(*fields, strict=True))
        }
        given[LINE] = pa.array([record.number for record in found], pa.int64())
        given[RAW] = pa.array([record.text for record in found], pa.string())
        given[FAULT] = pa.array([record.fault for record in found], pa.string())
        cells = [Cell(name, column(f"c{place}"), Form.TEXT) for place, name in enumerate(header)]
        self._given(number, pa.table(given), cells)
        return len(found)

    def _given(self, number: int, given: pa.Table, cells: Sequence[Cell]) -> None:
        self._widened(cells)
        self.duck.register("given", given)
        try:
            self._add(exp.select(exp.Star()).from_("given"), cells, number)
        finally:
            self.duck.unregister("given")
        self.on_rows(given.num_rows)

    def _parquet(self, number: int, path: Path) -> int:
        try:
            with pq.ParquetFile(path) as file:
                return self.arrow(number, file.iter_batches(_ROWS), file.schema_arrow)
        except (OSError, pa.ArrowException) as error:
            raise SourceFileError(f"{path}: cannot be read: {error}") from error

    def arrow(self, number: int, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
        """Add the rows of Arrow's batches, and return how many they are."""
        names = schema.names
        total = 0
        for batch in batches:
            columns = {f"c{place}": batch.column(place) for place in range(len(names))}
            numbers = pa.array(range(total + 1, total + 1 + batch.num_rows), pa.int64())
            given = pa.table({**columns, LINE: numbers})
            cells = [
                _arrow_cell(name, f"c{place}", kind)
                for place, (name, kind) in enumerate(zip(names, schema.types, strict=True))
                if name.lower() != PARTITION
            ]
            self._arrow_rows(number, given, cells, names)
            total += batch.num_rows
        return total

    def _arrow_rows(
        self, number: int, given: pa.Table, cells: Sequence[Cell], names: Sequence[str]
    ) -> None:
        self._widened(cells)
        self.duck.register("given", given)
        whole = exp.Anonymous(
            this="json_object",
            expressions=[
                part
                for place, name in enumerate(names)
                for part in (exp.Literal.string(name), column(f"c{place}"))
            ],
        )
        source = exp.select(
            exp.Star(),
            exp.alias_(
                exp.cast(whole, "varchar") if names else exp.Literal.string("{}"),
                RAW,
                quoted=True,
                copy=False,
            ),
            exp.alias_(exp.cast(exp.null(), "varchar"), FAULT, quoted=True, copy=False),
        ).from_("given")
        try:
            self._add(source, cells, number)
        finally:
            self.duck.unregister("given")
        self.on_rows(given.num_rows)

    def _widened(self, cells: Iterable[Cell]) -> int:
        """Have a column for every cell that gets one, and return how many there were before."""
        before = len(self.columns)
        found = laid(cells, self.columns)
        new = [name for name in found.columns if name not in self.columns and name != TIMESTAMP]
        self.columns += new
        for name in new:
            if name in self._own:
                continue
            self.run(
                exp.Alter(
                    this=exp.to_table(PARSED),
                    kind="TABLE",
                    actions=[
                        exp.ColumnDef(
                            this=exp.to_identifier(name, quoted=True),
                            kind=exp.DataType.build("varchar"),
                        )
                    ],
                )
            )
            self._own.add(name)
        return before

    def _add(self, source: exp.Query, cells: Sequence[Cell], number: int) -> None:
        self.duck.execute(self._insertion(source, cells, number))

    def _insertion(self, source: exp.Query, cells: Sequence[Cell], number: int) -> str:
        """Return the statement that adds the rows of a relation; batches that are alike share it."""
        told = source.sql(DIALECT)
        values = tuple((cell.name, cell.value.sql(DIALECT), cell.form) for cell in cells)
        day = self.now.date()
        alike = (told, values, frozenset(self.columns), self.table, tuple(self.key), day, number)
        if alike not in _INSERTIONS:
            found = laid(cells, self.columns)
            select = rows(source, found, self.table, key=self.key, today=day, number=number)
            insert = exp.Insert(this=exp.to_table(PARSED), by_name=True, expression=select)
            if len(_INSERTIONS) >= _MOST_INSERTIONS:
                _INSERTIONS.clear()
            _INSERTIONS[alike] = insert.sql(DIALECT, copy=False)
        return _INSERTIONS[alike]


_INSERTIONS: dict[object, str] = {}
_MOST_INSERTIONS = 256
"""Building a statement takes longer than running it on a small batch."""

_NO_LINE = (
    (LINE, "bigint"),
    (RAW, "varchar"),
    (FAULT, "varchar"),
)


def _json_reader(path: Path) -> exp.Expr:
    options = {
        "format": exp.Literal.string("newline_delimited"),
        "records": exp.Literal.string("true"),
        "maximum_depth": exp.convert(1),
        "maximum_object_size": exp.convert(LONGEST),
    }
    named = [exp.EQ(this=exp.column(name), expression=value) for name, value in options.items()]
    return exp.Anonymous(this="read_json", expressions=[exp.Literal.string(str(path)), *named])


def _count(number: int) -> exp.Select:
    return (
        exp.select(exp.Count(this=exp.Star()))
        .from_(PARSED)
        .where(exp.EQ(this=column(SOURCE), expression=exp.convert(number)))
    )


_JUDGED = """CASE WHEN fault IS NOT NULL THEN fault
  WHEN NOT json_valid(raw) THEN 'not JSON'
  ELSE CASE WHEN json_type(raw) <> 'OBJECT' THEN 'not an object' END END"""


def _judged() -> exp.Query:
    """Return the given lines with their faults, and as objects those that are."""
    fault = sql(_JUDGED, fault=column(FAULT), raw=column(RAW))
    told = exp.select(
        column(LINE), column(RAW), exp.alias_(fault, FAULT, quoted=True, copy=False)
    ).from_("given")
    whole = sql("CASE WHEN fault IS NULL THEN raw END", fault=column(FAULT), raw=column(RAW))
    return exp.select(exp.Star(), exp.alias_(whole, "object", quoted=True, copy=False)).from_(
        told.subquery("g")
    )


def _twice(listed: Iterable[Sequence[str]]) -> exp.Expr:
    """Return the fault of a line, which may also be that it repeats a key."""
    if all(len(set(keys)) == len(keys) for keys in listed):
        return column(FAULT)
    return sql(
        """CASE WHEN fault IS NOT NULL THEN fault
          WHEN length(json_keys(cell)) <> length(list_distinct(json_keys(cell))) THEN 'repeats a key' END""",
        fault=column(FAULT),
        cell=column("object"),
    )


def _pointer(name: str) -> str:
    """Return a key as a JSON pointer (RFC 6901)."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _arrow_cell(name: str, place: str, kind: pa.DataType) -> Cell:
    """Return a column of Arrow's as a cell."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    value = column(place)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        if getattr(kind, "tz", None):
            value = sql("make_timestamp(epoch_us(cell))", cell=value)
        return Cell(name, exp.cast(value, "timestamp"), Form.MOMENT)
    if pa.types.is_nested(kind):
        return Cell(name, exp.cast(sql("to_json(cell)", cell=value), "varchar"), Form.TEXT)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return Cell(name, sql("TRY(decode(cell))", cell=value), Form.TEXT)
    return Cell(name, exp.cast(value, "varchar"), Form.TEXT)


def of_dicts(found: Iterable[object]) -> Iterator[list[Line]]:
    """Return what an iterator yields as lines of NDJSON, in parts; what is no JSON becomes a faulty line."""
    part: list[Line] = []
    for number, one in enumerate(found, start=1):
        try:
            text, fault = (
                json.dumps(one, default=_as_text, ensure_ascii=False, allow_nan=False),
                None,
            )
            text.encode()
        except (TypeError, ValueError, RecursionError) as error:
            text, fault = ascii(one)[:KEPT], f"not JSON: {error}"
        if fault is None and len(text) > LONGEST:
            text, fault = text[:KEPT], TOO_LONG
        part.append(Line(number, text, fault))
        if len(part) >= _ROWS:
            yield part
            part = []
    yield part


def _as_text(value: object) -> str:
    return str(value)


OWN_COLUMNS = frozenset(OWN)

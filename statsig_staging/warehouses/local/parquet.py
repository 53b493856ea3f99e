"""Parquet files of staging tables: DuckDB writes them with field ids, ready to be committed."""

from __future__ import annotations

import uuid
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self

import duckdb
from sqlglot import exp

from statsig_staging.iceberg import WrittenFile
from statsig_staging.warehouses.local.statements import typed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from pyiceberg.schema import Schema

    from statsig_staging.plan import Column


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Rows of a DuckDB query that go into files of a table.

    Attributes:
        select: The query.
        columns: The columns it has, with their types.
        schema: The table's schema, whose field ids go into the files; its other columns are null.
        folder: The table's data folder.
        partition: The ``ds`` of all rows, where it is one.
        split: Whether rows are written to one folder per ``ds``.
    """

    select: exp.Query
    columns: Sequence[Column]
    schema: Schema
    folder: Path
    partition: date | None
    split: bool


def copy_rows(connection: duckdb.DuckDBPyConnection, copy: Copy) -> list[WrittenFile]:
    """Write the files of a copy; no table knows them yet."""
    return _run(connection, copy, _statement(copy))


def _statement(copy: Copy) -> str:
    place = copy.folder / (uuid.uuid4().hex + ("" if copy.split else ".parquet"))
    given = {column.name for column in copy.columns}
    others = [field for field in copy.schema.fields if field.name not in given]
    select = typed(copy.select, copy.columns, others)
    return _copy(select, place, copy.schema, split=copy.split)


def _run(connection: duckdb.DuckDBPyConnection, copy: Copy, statement: str) -> list[WrittenFile]:
    copy.folder.mkdir(parents=True, exist_ok=True)
    cursor = connection.execute(statement)
    names = [column[0] for column in cursor.description or ()]
    rows = (dict(zip(names, row, strict=True)) for row in cursor.fetchall())
    return list(_written(rows, copy.partition))


STATEMENTS_AT_ONCE = 2
"""One statement does not keep two cores busy while it opens files and writes footers."""


class CopyQueue:
    """Copies that run a few at once; leaving it early stops those that run.

    Args:
        connection: DuckDB; each worker has a cursor of its own.
        on_done: Hears of (copies done, all).
        count: How many copies there will be.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        on_done: Callable[[int, int], None],
        count: int,
    ) -> None:
        workers = max(1, min(STATEMENTS_AT_ONCE, count))
        self._cursors = [connection.cursor() for _ in range(workers)] if count else []
        self._free = SimpleQueue[duckdb.DuckDBPyConnection]()
        for cursor in self._cursors:
            self._free.put(cursor)
        self._pool = ThreadPoolExecutor(workers)
        self._running: list[Future[list[WrittenFile]]] = []
        self._on_done = on_done
        self._count = count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            for cursor in self._cursors:
                cursor.interrupt()
        self._pool.shutdown(cancel_futures=True)
        for cursor in self._cursors:
            cursor.close()

    def add(self, copy: Copy) -> None:
        """Have a copy made as soon as a worker is free; its query may be changed afterwards."""
        self._running.append(self._pool.submit(self._make, copy, _statement(copy)))

    def _make(self, copy: Copy, statement: str) -> list[WrittenFile]:
        cursor = self._free.get()
        try:
            return _run(cursor, copy, statement)
        finally:
            self._free.put(cursor)

    def files(self) -> list[WrittenFile]:
        """Wait for all copies and return their files."""
        for done, future in enumerate(as_completed(self._running), start=1):
            future.result()
            self._on_done(done, self._count)
        return [file for future in self._running for file in future.result()]


def _copy(select: exp.Query, place: Path, schema: Schema, *, split: bool) -> str:
    ids = exp.Struct(
        expressions=[
            exp.PropertyEQ(
                this=exp.to_identifier(field.name, quoted=True),
                expression=exp.Literal.number(field.field_id),
            )
            for field in schema.fields
        ]
    )
    options: dict[str, exp.Expr] = {
        "FORMAT": exp.var("parquet"),
        "COMPRESSION": exp.var("zstd"),
        # Measured on a day of 178,000 unit-days with DuckDB 2.0: level 1 takes half of the default's
        # time and its files are 4 % smaller. Bloom filters, which nothing here asks, take a tenth more.
        # Pages of version 2 without dictionaries of unit ids, which are all different, take a quarter less
        # and are 4 % smaller again.
        "COMPRESSION_LEVEL": exp.Literal.number(1),
        "WRITE_BLOOM_FILTER": exp.false(),
        "PARQUET_VERSION": exp.var("V2"),
        "DICTIONARY_SIZE_LIMIT": exp.Literal.number(1000),
        "RETURN_STATS": exp.true(),
        "FIELD_IDS": ids,
    }
    if split:
        options["PARTITION_BY"] = exp.Tuple(expressions=[exp.to_identifier("ds")])
        options["WRITE_PARTITION_COLUMNS"] = exp.true()
    statement = exp.Copy(
        this=select.subquery(copy=False),
        kind=False,
        files=[exp.Literal.string(str(place))],
        params=[
            exp.CopyParameter(this=exp.var(name), expression=value)
            for name, value in options.items()
        ],
    )
    return statement.sql("duckdb", copy=False)


def _written(rows: Iterable[Mapping[str, object]], partition: date | None) -> Iterator[WrittenFile]:
    for row in rows:
        path = Path(str(row["filename"]))
        if not row["count"]:
            # DuckDB leaves a Parquet file without rows where a query has none.
            path.unlink(missing_ok=True)
            continue
        keys = row.get("partition_keys")
        yield WrittenFile(
            path=path,
            rows=int(str(row["count"])),
            size=int(str(row["file_size_bytes"])),
            partition=_day(keys["ds"]) if isinstance(keys, dict) and keys else partition,
        )


def _day(value: object) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))

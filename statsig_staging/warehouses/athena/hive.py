"""Hive tables as sources: the objects in their folders, and what the footers of Parquet files tell.

An object is known by its size and ETag, so that one that was replaced by another of its size is noticed.
No row is read; objects that are as they were are not opened.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from statsig_staging.config import Partition
from statsig_staging.errors import SourceFileError
from statsig_staging.names import digest
from statsig_staging.sources import SourceFile, TableObservation
from statsig_staging.warehouses.athena import footers
from statsig_staging.warehouses.athena.calling import code, once
from statsig_staging.warehouses.athena.dating import dated, of_any_day
from statsig_staging.warehouses.athena.listing import CALLS_AT_ONCE, stored
from statsig_staging.warehouses.layout import partition_dates

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from mypy_boto3_s3 import S3Client

    from statsig_staging.warehouses.athena.calling import Call
    from statsig_staging.warehouses.athena.glue import GlueTable, GlueTables
    from statsig_staging.warehouses.athena.listing import Stored
    from statsig_staging.warehouses.base import Sighting

_CHANGED = frozenset({"PreconditionFailed", "412", "NoSuchKey", "404", "InvalidRange", "416"})


def observe(
    s3: S3Client,
    glue: GlueTables,
    table: GlueTable,
    sighting: Sighting,
    known: Mapping[str, SourceFile],
    now: datetime,
    *,
    call: Call = once,
) -> TableObservation:
    """Return the objects of a Hive table.

    Args:
        s3: boto3's client.
        glue: Where partitions are listed.
        table: The table.
        sighting: What is looked at, and how its days are told.
        known: Path → file, as the last load knew them.
        now: The time, up to which partitions are projected.
        call: Makes each call.

    Raises:
        WarehouseError: If objects may not be listed or read.
        SourceFileError: If a Parquet file cannot be read, or changes meanwhile.
    """
    look = _Look(s3, table, sighting, call)
    found = stored(s3, glue, table, now, call=call).values()
    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        files = list(pool.map(lambda one: look.file(one, known.get(one.path)), found))
    files.sort(key=lambda file: file.path)
    return TableObservation(table=sighting.table, columns=table.columns, files=tuple(files))


class _Look:
    """One look at a Hive table."""

    def __init__(self, s3: S3Client, table: GlueTable, sighting: Sighting, call: Call) -> None:
        self._s3 = s3
        self._table = table
        self._sighting = sighting
        self._call = call
        kind = table.columns.get((sighting.timestamp or "").lower(), "")
        self._is_dated = kind.startswith(("date", "timestamp"))

    def file(self, one: Stored, before: SourceFile | None) -> SourceFile:
        """Return an object as a file of the source; one that is as ``before`` is not opened."""
        values = repr([sorted(laid.items()) for laid in one.laid])
        content = digest(str(one.size), one.etag, self._table.reading, values, length=16)
        if before is not None and self._is_same(content, before):
            days = of_any_day(self._sighting).days if before.anytime else before.days
            return replace(before, columns=self._table.columns, days=days)
        columns = "" if before is None else repr(sorted(self._table.columns.items()))
        file = SourceFile(
            path=one.path,
            size=one.size,
            modified_ns=one.modified_ns,
            changed_ns=one.modified_ns,
            rows=1,
            columns=self._table.columns,
            column_bytes={"": one.size},
            content=content,
            identity=digest(one.path, content, columns, length=16),
        )
        return self._by_footer(file, one) if self._table.is_parquet else self._at(file, one, None)

    def _is_same(self, content: str, before: SourceFile) -> bool:
        columns = self._table.columns
        kept = before.columns.keys() & columns.keys()
        return before.content == content and all(before.columns[n] == columns[n] for n in kept)

    def _by_footer(self, file: SourceFile, one: Stored) -> SourceFile:
        told = footers.read(
            one.path,
            one.size,
            lambda start: self._call(lambda: self._bytes(one, start)),
            timestamp=self._sighting.timestamp,
            units=self._sighting.units,
        )
        file = replace(file, rows=told.rows, nulls=told.nulls, column_bytes=told.column_bytes)
        return self._at(file, one, told.spans)

    def _bytes(self, one: Stored, start: int) -> bytes:
        bucket, _, key = one.path.removeprefix("s3://").partition("/")
        try:
            answer = self._s3.get_object(
                Bucket=bucket, Key=key, Range=f"bytes={start}-", IfMatch=one.etag
            )
            return answer["Body"].read()
        except ClientError as error:
            if code(error) not in _CHANGED:
                raise
            raise SourceFileError(
                f"{one.path}: changed while it was looked at; nothing was changed, run again"
            ) from error

    def _at(
        self, file: SourceFile, one: Stored, spans: tuple[tuple[date, date], ...] | None
    ) -> SourceFile:
        if not self._is_dated:
            return file
        spans = self._spans_of_key(one) or spans
        found = dated(file.rows, spans, self._laid(one), self._sighting)
        return replace(file, days=found.days, misplaced=found.misplaced, anytime=found.anytime)

    def _spans_of_key(self, one: Stored) -> tuple[tuple[date, date], ...] | None:
        """Return the days of an object's partitions, where the timestamp is a key of them."""
        key = (self._sighting.timestamp or "").lower()
        if key not in self._table.keys:
            return None
        found = [
            partition_dates(laid.get(key, "")[:10], Partition(column=key)) for laid in one.laid
        ]
        return tuple(days for days in found if days is not None)

    def _laid(self, one: Stored) -> list[tuple[date, date] | None] | None:
        """Return the dates of an object's partitions; None where the date column is no key of them."""
        partition = self._sighting.partition
        if partition is None or partition.column.lower() not in self._table.keys:
            return None
        key = partition.column.lower()
        if self._table.columns.get(key, "").startswith(("date", "timestamp")):
            plain = Partition(column=key)
            return [partition_dates(laid.get(key, "")[:10], plain) for laid in one.laid]
        return [partition_dates(laid.get(key), partition) for laid in one.laid]

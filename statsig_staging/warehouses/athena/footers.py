"""Footers of Parquet objects: what a file holds, from its last bytes, without a row being read."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from statsig_staging.errors import SourceFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

TAIL = 64 * 1024
"""Bytes that are asked for at first; most footers are shorter, and one call then suffices."""

_END = 8
"""A Parquet file ends in the length of its footer and four letters.
https://parquet.apache.org/docs/file-format/"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """What a footer tells.

    Attributes:
        rows: Number of rows.
        column_bytes: Column → compressed bytes.
        nulls: Column → rows without a value, of the columns asked about whose statistics tell.
        spans: First and last day of each row group that has any; None where one of them does not tell.
    """

    rows: int
    column_bytes: Mapping[str, int]
    nulls: Mapping[str, int]
    spans: tuple[tuple[date, date], ...] | None


def read(
    path: str,
    size: int,
    fetch: Callable[[int], bytes],
    *,
    timestamp: str | None,
    units: Iterable[str],
) -> Footer:
    """Return what the footer of an object tells.

    Args:
        path: The object, for errors.
        size: Its bytes.
        fetch: Returns its bytes from a place on.
        timestamp: The column whose days are wanted.
        units: Columns whose missing values are counted.

    Raises:
        SourceFileError: If it is no Parquet file that can be read.
    """
    tail = fetch(max(0, size - TAIL))
    if len(tail) < _END or tail[-4:] != b"PAR1":
        raise SourceFileError(f"{path}: cannot be read: it does not end as a Parquet file does")
    length = int.from_bytes(tail[-_END:-4], "little") + _END
    if length > len(tail) and length <= size:
        tail = fetch(size - length)
    try:
        metadata = pq.read_metadata(io.BytesIO(tail))
    except (pa.ArrowException, OSError) as error:
        raise SourceFileError(f"{path}: cannot be read: {error}") from error
    return _told(metadata, timestamp, frozenset(units))


def _told(metadata: pq.FileMetaData, timestamp: str | None, units: frozenset[str]) -> Footer:
    sizes: dict[str, int] = {}
    nulls: dict[str, int | None] = {}
    spans: list[tuple[date, date] | None] = []
    for group in range(metadata.num_row_groups):
        found = metadata.row_group(group)
        span: tuple[date, date] | None = None
        has_days = found.num_rows > 0
        for index in range(found.num_columns):
            chunk = found.column(index)
            name = chunk.path_in_schema.split(".")[0].lower()
            sizes[name] = sizes.get(name, 0) + chunk.total_compressed_size
            if name in units:
                missing, so_far = _missing(chunk), nulls.get(name, 0)
                nulls[name] = None if missing is None or so_far is None else so_far + missing
            if timestamp is not None and name == timestamp.lower():
                span = _span(chunk)
                has_days = not _is_empty(chunk)
        if has_days:
            spans.append(span)
    return Footer(
        rows=metadata.num_rows,
        column_bytes=sizes,
        nulls={name: count for name, count in nulls.items() if count is not None},
        spans=None if None in spans else tuple(span for span in spans if span is not None),
    )


def _missing(chunk: pq.ColumnChunkMetaData) -> int | None:
    """Return how many values of an id column are null; None where nothing tells, or some are empty."""
    statistics = chunk.statistics
    if statistics is None or statistics.null_count is None:
        return None
    if statistics.has_min_max and statistics.min in ("", b""):
        return None
    found: int = statistics.null_count
    return found


def _is_empty(chunk: pq.ColumnChunkMetaData) -> bool:
    """Return whether all values of a column are known to be null."""
    statistics = chunk.statistics
    return statistics is not None and bool(statistics.null_count == chunk.num_values)


def _span(chunk: pq.ColumnChunkMetaData) -> tuple[date, date] | None:
    statistics = chunk.statistics
    if statistics is None or not statistics.has_min_max:
        return None
    try:
        low, high = statistics.min, statistics.max
    except (ValueError, OverflowError, pa.ArrowException):
        return None
    if not isinstance(low, date) or not isinstance(high, date):
        return None
    return _day(low), _day(high)


def _day(value: date) -> date:
    return value.date() if isinstance(value, datetime) else value

"""Tables laid out by date: which dates a value of the partition column stands for."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from statsig_staging.days import DAY

if TYPE_CHECKING:
    from statsig_staging.config import Partition


def partition_date(value: object, partition: Partition) -> date | None:
    """Return the date that a value of the partition column stands for."""
    match value:
        case datetime():
            return value.date()
        case date():
            return value
        case str():
            try:
                return datetime.strptime(value, partition.format or "%Y-%m-%d").date()  # noqa: DTZ007
            except ValueError:
                return None
        case int() if partition.format is not None:
            return partition_date(str(value), partition)
        case _:
            return None


_MOST_DAYS = 366


def partition_dates(value: object, partition: Partition) -> tuple[date, date] | None:
    """Return the first and the last date that are written like a value; months and years have several."""
    first = last = partition_date(value, partition)
    if first is None or last is None or partition.format is None or isinstance(value, date):
        return None if first is None or last is None else (first, last)
    text = first.strftime(partition.format)
    for _ in range(_MOST_DAYS):
        if (last + DAY).strftime(partition.format) != text:
            break
        last += DAY
    return first, last

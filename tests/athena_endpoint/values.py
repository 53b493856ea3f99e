"""Values as Athena writes them into results, and result files."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Row = tuple["str | None", ...]


def rendered(value: Any, kind: str, *, micros: bool = False) -> str | None:
    """Return a value of a result column; None is null.

    Args:
        value: What DuckDB returned.
        kind: The type of the column, as Athena names it.
        micros: Whether timestamps show six digits of a second.
    """
    if value is None:
        return None
    if kind == "timestamp with time zone":
        return f"{_moment(value, micros=micros)} UTC"
    if kind == "varbinary":
        return " ".join(f"{byte:02x}" for byte in value)
    return _plain(value, micros=micros)


def _plain(value: Any, *, micros: bool) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return java_double(value)
        case Decimal():
            return f"{value:f}"
        case datetime():
            return _moment(value, micros=micros)
        case date() | time():
            return value.isoformat()
        case dict():
            pairs = (
                f"{_plain(k, micros=micros)}={_plain(v, micros=micros)}" for k, v in value.items()
            )
            return "{" + ", ".join(pairs) + "}"
        case list() | tuple():
            return "[" + ", ".join(_plain(item, micros=micros) for item in value) + "]"
        case bytes():
            # Measured: varbinary inside an array prints Java's name of a byte array.
            return "[B@0"
        case _:
            return str(value)


def _moment(value: datetime, *, micros: bool) -> str:
    text = value.strftime("%Y-%m-%d %H:%M:%S").rjust(19, "0")
    return (
        f"{text}.{value.microsecond:06d}" if micros else f"{text}.{value.microsecond // 1000:03d}"
    )


def java_double(value: float) -> str:
    """Return a double as Java's ``Double.toString`` writes it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        text = f"{Decimal(repr(value)):f}"
        return text if "." in text else f"{text}.0"
    mantissa, _, exponent = f"{Decimal(repr(value)):e}".lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    return f"{whole}.{fraction.rstrip('0') or '0'}E{int(exponent)}"


def csv_line(cells: Sequence[str | None]) -> str:
    """Return a line of a result file: everything is quoted, and null is nothing at all."""
    return ",".join("" if cell is None else '"' + cell.replace('"', '""') + '"' for cell in cells)


def csv_text(header: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """Return the lines of a result file."""
    yield csv_line(header) + "\n"
    for row in rows:
        yield csv_line(row) + "\n"


_CELL = re.compile(r'(?:"((?:[^"]|"")*)")?(,|\n|$)')


def csv_rows(text: str) -> Iterator[Row]:
    """Return the rows of a result file with its header; nothing at all is null."""
    position, row = 0, []
    while position < len(text):
        found = _CELL.match(text, position)
        if found is None:
            raise ValueError(f"not a result file at {position}")
        row.append(None if found[1] is None else found[1].replace('""', '"'))
        position = found.end()
        if found[2] == "\n" or found[2] == "":
            yield tuple(row)
            row = []

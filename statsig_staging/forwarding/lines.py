"""Lines and records of text files, a bounded number at a time, whatever bytes are in them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from statsig_staging.errors import SourceFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LONGEST = 1 << 20
"""Bytes of the longest row."""

KEPT = 1 << 16
"""Bytes that the quarantine keeps of a row that is longer."""

TOO_LONG = "longer than 1 MiB"
NOT_TEXT = "not UTF-8"

_BLOCK = 4 << 20
_RECORDS = 20_000


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its number from 1 on, its text, and what is wrong with it, if anything."""

    number: int
    text: str
    fault: str | None = None


def blocks(path: Path) -> Iterator[list[Line]]:
    """Return the lines of a file that are not blank, in parts; compressed files are told by their names.

    Raises:
        SourceFileError: If it cannot be read to its end.
    """
    try:
        with pa.input_stream(str(path)) as stream:
            yield from _split(iter(lambda: stream.read(_BLOCK), b""))
    except (OSError, pa.ArrowException) as error:
        raise SourceFileError(f"{path}: cannot be read: {error}") from error


def _split(parts: Iterable[bytes]) -> Iterator[list[Line]]:
    rest, number, skipped = b"", 1, 0
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        found = []
        for line in whole:
            found += _line(number, line, skipped)
            number, skipped = number + 1, 0
        if len(rest) > LONGEST:
            rest, skipped = rest[:KEPT], skipped + len(rest) - KEPT
        yield found
    yield _line(number, rest, skipped)


def _line(number: int, data: bytes, skipped: int) -> list[Line]:
    data = data.removesuffix(b"\r")
    if number == 1:
        data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        return []
    if skipped or len(data) > LONGEST:
        return [Line(number, readable(data[:KEPT]), TOO_LONG)]
    try:
        return [Line(number, data.decode())]
    except UnicodeDecodeError:
        return [Line(number, readable(data), NOT_TEXT)]


def readable(data: bytes) -> str:
    """Return bytes as text, with what is no UTF-8 written as it would be in a program."""
    return data.decode(errors="backslashreplace")


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a CSV file: the line that it begins in, its fields, its text, and its fault, if any."""

    number: int
    fields: list[str]
    text: str
    fault: str | None = None


_DELIMITERS = ",;\t|"


def records(path: Path) -> Iterator[tuple[list[str], list[Record]]]:
    """Return the header of a CSV file with its records, in parts.

    Raises:
        SourceFileError: If it cannot be read to its end.
    """
    feed = _Feed(path)
    first = next(iter(feed), "")
    if not first.strip():
        return
    delimiter = max(_DELIMITERS, key=first.count)
    header = next(csv.reader([first], delimiter=delimiter))
    feed.taken.clear()
    csv.field_size_limit(LONGEST)
    reader = csv.reader(feed, delimiter=delimiter)
    found: list[Record] = []
    while True:
        number = feed.number + 1
        try:
            fields, fault = next(reader), None
        except StopIteration:
            break
        except csv.Error as error:
            fields, fault = [], f"not CSV: {error}"
        text, faults = feed.take()
        if not text.strip() and fault is None:
            continue
        if fault is None:
            fault = faults or _fault(fields, header, text)
        found.append(Record(number, fields, text[:KEPT] if fault == TOO_LONG else text, fault))
        if len(found) >= _RECORDS:
            yield header, found
            found = []
    yield header, found


def _fault(fields: list[str], header: list[str], text: str) -> str | None:
    if len(text) > LONGEST:
        return TOO_LONG
    if len(fields) != len(header):
        return f"{len(fields)} fields where the header has {len(header)}"
    return None


class _Feed:
    """The lines of a file one by one, remembering those that were taken since it was last asked."""

    def __init__(self, path: Path) -> None:
        self._lines = (line for block in blocks(path) for line in block)
        self.number = 0
        self.taken: list[Line] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number = line.number
        self.taken.append(line)
        return f"{line.text}\n" if line.fault is None else ""

    def take(self) -> tuple[str, str | None]:
        """Return the text that was taken, and what is wrong with it."""
        text = "\n".join(line.text for line in self.taken)
        fault = next((line.fault for line in self.taken if line.fault), None)
        self.taken.clear()
        return text, fault

"""Inputs: paths, globs, prefixes of S3, an Arrow reader or an iterable of dicts, each with how it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from statsig_staging.errors import ConfigError
from statsig_staging.forwarding.parsing import FORMATS, PACKED, format_of, of_dicts

if TYPE_CHECKING:
    from statsig_staging.forwarding.parsing import Parser
    from statsig_staging.warehouses.base import Found, Landing

Paths: TypeAlias = str | PathLike[str] | list[str] | tuple[str, ...] | list[Path] | tuple[Path, ...]
Given: TypeAlias = Paths | pa.RecordBatchReader | pa.Table | Iterable[Mapping[str, Any]]
"""What may be forwarded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One input.

    Attributes:
        name: What it is called in receipts and in quarantine.
        read: Adds its rows to those that are parsed, and returns how many.
        share: How much of all inputs lies before it, from 0 to 1; None where that is not known.
        part: How much of all inputs it is.
    """

    name: str
    read: Callable[[Parser, int], int]
    share: float | None = None
    part: float = 0.0


def named_inputs(given: Given, landing: Landing, workplace: Path) -> Iterator[Reading]:
    """Return the inputs one by one.

    Raises:
        ConfigError: If a pattern names no file, or a file is of no format that can be read.
    """
    match given:
        case str() | PathLike():
            yield from _files([given], landing, workplace)
        case pa.RecordBatchReader():
            yield Reading(name="reader", read=lambda p, n: p.arrow(n, given, given.schema))
        case pa.Table():
            yield Reading(
                name="table", read=lambda p, n: p.arrow(n, given.to_batches(20_000), given.schema)
            )
        case list() | tuple() if given and all(isinstance(one, str | PathLike) for one in given):
            yield from _files(given, landing, workplace)
        case _:
            yield Reading(
                name="rows", read=lambda p, n: sum(p.lines(n, part) for part in of_dicts(given))
            )


def _files(patterns: Iterable[Any], landing: Landing, workplace: Path) -> Iterator[Reading]:
    every = [found for pattern in patterns for found in landing.inputs(str(pattern), workplace)]
    total = sum(found.size for found in every)
    before = 0
    for found in every:
        kind = format_of(found.name)
        if kind is None:
            raise ConfigError(
                f"{found.name}: cannot tell the format from the name; forwarded files end in one of "
                f"{', '.join(FORMATS)}, the text formats also with {' or '.join(PACKED)}"
            )
        share = before / total if total else None
        before += found.size
        part = found.size / total if total else 0.0
        yield Reading(name=found.name, read=_reader(found, kind), share=share, part=part)


def _reader(found: Found, kind: str) -> Callable[[Parser, int], int]:
    def read(parser: Parser, number: int) -> int:
        with found.opened() as path:
            return parser.file(number, path, kind)

    return read

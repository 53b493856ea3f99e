"""What a query reads from, in DuckDB's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH, POSITION = "$path", "$pos"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """Something that a query reads from.

    Attributes:
        sql: DuckDB's SELECT.
        columns: Its columns and their Athena types, without the hidden ones.
    """

    sql: str
    columns: Mapping[str, str]


def quoted(name: str) -> str:
    """Return an identifier for DuckDB."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a string for DuckDB."""
    return "'" + value.replace("'", "''") + "'"

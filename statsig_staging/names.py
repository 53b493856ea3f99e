"""Names: what an experiment's folder and tables are called, so that no two ever collide."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_LEGAL_NAME = re.compile(r"[a-z0-9_]{1,60}")
_LEGAL_FOLDER = re.compile(r"(?!\.)[A-Za-z0-9_.-]{1,120}")
_SLUG_LENGTH = 40
_HASH_LENGTH = 10
_HASHED = re.compile(r".*_x[0-9a-f]{10}", re.DOTALL)
"""What a name with a hash looks like; a name that is written so gets one of its own."""


def digest(*parts: str, length: int = 8) -> str:
    """Return a short hexadecimal digest of ``parts``; different parts give different digests."""
    hasher = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        hasher.update(len(data).to_bytes(8, "big"))
        hasher.update(data)
    return hasher.hexdigest()[:length]


def legal_name(name: str) -> str:
    """Return ``name`` as part of a table name: as written if it is legal, else a slug with a hash."""
    if _LEGAL_NAME.fullmatch(name) and not _HASHED.fullmatch(name):
        return name
    slug = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_")[:_SLUG_LENGTH]
    return _hashed(slug or "id", name)


def _hashed(name: str, *parts: str) -> str:
    return f"{name}_x{digest(*parts, length=_HASH_LENGTH)}"


def experiment_folder(experiment_id: str) -> str:
    """Return the folder of an experiment below the staging folder, ``experiment-<ID>``."""
    if _LEGAL_FOLDER.fullmatch(experiment_id) and not _HASHED.fullmatch(experiment_id):
        return f"experiment-{experiment_id}"
    return f"experiment-{legal_name(experiment_id)}"


@dataclass(frozen=True, slots=True)
class TableName:
    """Where a staging table lives: its name in the catalog, and its folder inside the experiment's.

    Attributes:
        catalog: Its name in the catalog.
        folder: Its folder.
        kind: What it is, such as ``unit_day_metrics``; empty where no more than its place is known.
        source: The metric source that it is of; None for a table of no source.
    """

    catalog: str
    folder: str
    kind: str = field(default="", compare=False)
    source: str | None = field(default=None, compare=False)


def experiment_table(table: str, experiment_id: str) -> TableName:
    """Return the name of a table with one copy per experiment, ``<table>_<id>``."""
    return TableName(catalog=f"{table}_{legal_name(experiment_id)}", folder=table, kind=table)


def source_table(table: str, experiment_id: str, source: str, number: int = 1) -> TableName:
    """Return the name of a table with one copy per experiment and source, ``<table>_<id>_<source>``.

    Further tables of a source, from number 2 on, are called like those of a source ``<source>_<number>``,
    so there must be none: see :func:`is_free`.
    Where the id's part contains ``_`` the boundary between id and source is not readable from the name,
    so it ends in a hash of the pair.
    """
    called = numbered(source, number)
    name = f"{table}_{legal_name(experiment_id)}_{legal_name(called)}"
    if "_" in legal_name(experiment_id):
        name = _hashed(name, experiment_id, called)
    folder = f"{table}_{legal_name(called)}"
    return TableName(catalog=name, folder=folder, kind=table, source=source)


def numbered(source: str, number: int) -> str:
    """Return what stands for a source in the names of its tables of a number: the first go without."""
    return source if number == 1 else f"{source}_{number}"


def is_free(source: str, number: int, sources: Collection[str]) -> bool:
    """Return whether tables of this number of a source are not called like those of one of ``sources``."""
    return number == 1 or numbered(source, number) not in sources

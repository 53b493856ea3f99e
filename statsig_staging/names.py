"""Names: what an experiment's folder and tables are called, so that no two ever collide."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    """Where a staging table lives: its name in the catalog, and its folder inside the experiment's."""

    catalog: str
    folder: str


def experiment_table(table: str, experiment_id: str) -> TableName:
    """Return the name of a table with one copy per experiment, ``<table>_<id>``."""
    return TableName(catalog=f"{table}_{legal_name(experiment_id)}", folder=table)


def source_table(table: str, experiment_id: str, source: str) -> TableName:
    """Return the name of a table with one copy per experiment and source, ``<table>_<id>_<source>``.

    Where the id's part contains ``_`` the boundary between id and source is not readable from the name,
    so it ends in a hash of the pair.
    """
    name = f"{table}_{legal_name(experiment_id)}_{legal_name(source)}"
    if "_" in legal_name(experiment_id):
        name = _hashed(name, experiment_id, source)
    return TableName(catalog=name, folder=f"{table}_{legal_name(source)}")


def source_of(name: TableName, experiment_id: str, sources: Iterable[str]) -> str | None:
    """Return the source that :func:`source_table` gave a name to; None for a table of no source."""
    for source in sources:
        table = name.folder.removesuffix(f"_{legal_name(source)}")
        if table != name.folder and source_table(table, experiment_id, source) == name:
            return source
    return None

"""Access keys that lie in a file of the project, where they would be committed and copied with it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from statsig_staging.doctor.checks import NotRightError

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEY: Final = re.compile(rb"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Z0-9])")
"""What ids of access keys look like.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids"""

_LARGEST: Final = 1_000_000
"""Bytes of a file that is looked into."""

_DATA: Final = frozenset({".parquet", ".csv", ".ndjson", ".db"})


def files_with_keys(root: Path) -> tuple[str, ...]:
    """Return the names of the files in a project's folder, not below it, that hold an access key."""
    return tuple(sorted(file.name for file in _files(root) if _holds_key(file)))


def _files(root: Path) -> Iterator[Path]:
    try:
        found = list(root.iterdir())
    except OSError:
        return
    yield from (file for file in found if file.is_file() and file.suffix not in _DATA)


def _holds_key(file: Path) -> bool:
    try:
        return file.stat().st_size <= _LARGEST and _KEY.search(file.read_bytes()) is not None
    except OSError:
        return False


def credentials_file_inside(root: Path) -> Path | None:
    """Return the credentials file that the environment names, if it lies in the project."""
    named = os.environ.get("AWS_SHARED_CREDENTIALS_FILE")
    if not named:
        return None
    file = Path(named).expanduser().resolve()
    return file if file.is_relative_to(root.resolve()) else None


def keys_inside(root: Path) -> Iterator[str]:
    """Return where access keys lie in a project, one phrase each."""
    yield from (f"{name} holds an access key" for name in files_with_keys(root))
    inside = credentials_file_inside(root)
    if inside is not None:
        yield f"AWS_SHARED_CREDENTIALS_FILE is {inside}, in the project"


def probe_keys(root: Path) -> str:
    """Look through the files of a project."""
    found = list(keys_inside(root))
    if found:
        raise NotRightError("; ".join(found))
    return ""

"""Scratch space: one folder for each open warehouse, and what is left of those whose process is gone."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from statsig_staging.errors import WarehouseError
from statsig_staging.warehouses.base import StoredFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from statsig_staging.config import LocalConnection

_PREFIX = "spill-"
_LOCK = ".in-use"


def scratch_root(
    connection: LocalConnection, root: Path, warehouse: Path, *, writable: bool
) -> Path:
    """Return the folder below which a warehouse spills; one that cannot be written spills elsewhere."""
    if connection.temp_directory is not None:
        return root / connection.temp_directory
    return warehouse / ".tmp" if writable else Path(tempfile.gettempdir())


class Spill:
    """A folder of scratch space that this process holds until it is closed, or ends.

    Args:
        scratch: The folder that it is made in.

    Raises:
        WarehouseError: If that folder cannot be written.
    """

    def __init__(self, scratch: Path) -> None:
        try:
            scratch.mkdir(parents=True, exist_ok=True)
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=scratch))
            self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR)
        except (OSError, ValueError) as error:
            raise WarehouseError(
                f"connection.temp_directory {scratch}: cannot be written ({error})"
            ) from error
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """Remove it with everything in it."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def sweep(scratch: Path, before: datetime) -> tuple[StoredFile, ...]:
    """Remove folders that nobody holds and that are older than a moment; return their files."""
    found: list[StoredFile] = []
    for folder in sorted(scratch.glob(f"{_PREFIX}*")):
        if folder.is_dir() and _modified(folder) < before and _is_free(folder):
            found += files_below(folder, Path("/"))
            shutil.rmtree(folder, ignore_errors=True)
    return tuple(found)


def _is_free(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _modified(place: Path) -> datetime:
    return datetime.fromtimestamp(place.stat().st_mtime, UTC)


def files_below(folder: Path, root: Path) -> list[StoredFile]:
    """Return every file below a folder, with its path from ``root`` on; one may vanish meanwhile."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            moment = datetime.fromtimestamp(stat.st_mtime, UTC)
            key = path.relative_to(root).as_posix()
            found.append(StoredFile(key=key, size=stat.st_size, modified_at=moment))
    return found


def remove_empty(folders: Iterable[Path], root: Path) -> None:
    """Remove folders below ``root`` that are empty, and those above them that are empty then."""
    for folder in folders:
        while folder != root and folder.is_relative_to(root):
            try:
                folder.rmdir()
            except OSError:
                break
            folder = folder.parent  # noqa: PLW2901  a walk upwards

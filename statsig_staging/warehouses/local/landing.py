"""Where forwarded rows land on the local disk: files put in place by a rename."""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from statsig_staging.warehouses.given import found_at
from statsig_staging.warehouses.local.drivers import mapped_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date
    from pathlib import Path

    from statsig_staging.forwarded import ForwardedTable
    from statsig_staging.warehouses.base import Found


class LocalLanding:
    """Files below the staging folder of a local warehouse.

    Args:
        folder: The staging folder.
        root: The project folder, where relative patterns start.
        scratch: Where work is done; it is gone with the process.
    """

    reads_hidden = True

    def __init__(self, folder: Path, root: Path, scratch: Path) -> None:
        self._folder = folder
        self._root = root
        self._scratch = scratch

    @contextmanager
    def workplace(self) -> Iterator[Path]:
        """Return a folder that is gone after the block."""
        place = self._scratch / f"forward-{uuid.uuid4().hex[:12]}"
        with mapped_errors():
            place.mkdir(parents=True)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def inputs(self, pattern: str, workplace: Path) -> Iterable[Found]:  # noqa: ARG002
        """Return the files that a path or a glob names, in order."""
        return found_at(pattern, self._root)

    def deliver(self, path: Path, key: str) -> None:
        """Put a file in place, whole or not at all."""
        place = self._folder / key
        with mapped_errors():
            place.parent.mkdir(parents=True, exist_ok=True)
            if path.stat().st_dev != place.parent.stat().st_dev:
                draft = place.with_name(f".{place.name}")
                shutil.copyfile(path, draft)
                path.unlink()
                path = draft
            _sync(path)
            path.replace(place)

    def local(self, key: str, workplace: Path) -> Path:  # noqa: ARG002
        """Return a file below the staging folder."""
        return self._folder / key

    def register(
        self, table: ForwardedTable, columns: Mapping[str, str], days: Iterable[date]
    ) -> None:
        """Do nothing: the embedded catalog of forwarded tables is what their receipts say."""


def _sync(path: Path) -> None:
    """Have a file on the disk before its name is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

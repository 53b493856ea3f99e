"""Whether a source file is still the one that was looked at: by its size and times, by its content where those can lie."""

from __future__ import annotations

import contextlib
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from statsig_staging.errors import SourceFileError
from statsig_staging.names import digest
from statsig_staging.sources import SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from statsig_staging.plan import Batch


def content_of(path: Path) -> str:
    """Return a digest of a file's bytes, reading it piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamped(path: Path, seen_ns: int) -> SourceFile:
    """Return a file by its size and times, and by its content where those cannot vouch for it.

    To be called before anything else is read of the file: what is written meanwhile is noticed then.
    """
    stat = path.stat()
    found = SourceFile(
        path=str(path),
        size=stat.st_size,
        modified_ns=stat.st_mtime_ns,
        changed_ns=stat.st_ctime_ns,
        rows=0,
        columns={},
        seen_ns=seen_ns,
    )
    if found.is_settled:
        return found
    content = content_of(path)
    return replace(found, content=content, identity=digest(found.fingerprint, content, length=16))


def still(path: Path, before: SourceFile, seen_ns: int) -> SourceFile | None:
    """Return a file as it is known where it still holds what it held, else None.

    One with other times and the same content was only touched: it is the same file with these times.
    """
    stat = path.stat()
    if stat.st_size != before.size:
        return None
    if before.field_ids:
        return before
    is_as_stamped = (stat.st_mtime_ns, stat.st_ctime_ns) == (before.modified_ns, before.changed_ns)
    if is_as_stamped and before.is_settled:
        return before
    if not before.content or content_of(path) != before.content:
        return None
    return replace(
        before,
        modified_ns=stat.st_mtime_ns,
        changed_ns=stat.st_ctime_ns,
        seen_ns=seen_ns,
        identity=before.fingerprint,
    )


FILES_AT_ONCE = 2
"""A digest keeps one core busy, and nothing else runs when digests are taken."""


def contents_of(files: Iterable[SourceFile]) -> dict[str, str]:
    """Return path → digest of the bytes of files that are still as they were looked at."""
    own = [file for file in files if not file.field_ids]
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        digests = list(pool.map(_unchanged_content, own))
    return {file.path: found for file, found in zip(own, digests, strict=True) if found is not None}


def _unchanged_content(file: SourceFile) -> str | None:
    path = Path(file.path)
    with contextlib.suppress(OSError):
        before = still(path, file, file.seen_ns)
        content = file.content or content_of(path)
        if before is not None and still(path, file, file.seen_ns) is not None:
            return content
    return None


def check_untouched(batches: Iterable[Batch]) -> None:
    """Make sure that what was read is what was looked at.

    Raises:
        SourceFileError: If a file changed or vanished meanwhile.
    """
    for file in files_of(batches):
        check_file(file)


def check_file(file: SourceFile, failure: Exception | None = None) -> None:
    """Make sure that a file is what was looked at.

    Raises:
        SourceFileError: If it changed or vanished meanwhile; ``failure`` is what that led to.
    """
    try:
        same = still(Path(file.path), file, file.seen_ns)
    except FileNotFoundError:
        same = None
    if same is None:
        raise SourceFileError(
            f"{file.path}: changed while it was read; nothing was published, run again"
        ) from failure


def files_of(batches: Iterable[Batch]) -> list[SourceFile]:
    """Return the source files that statements read, each once."""
    found = {file.path: file for batch in batches for read in batch.reads for file in read.files}
    return list(found.values())

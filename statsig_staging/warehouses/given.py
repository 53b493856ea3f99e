"""Files of this machine that are given to be forwarded."""

from __future__ import annotations

import glob
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from statsig_staging.errors import ConfigError
from statsig_staging.warehouses.base import Found

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def found_at(pattern: str, root: Path) -> list[Found]:
    """Return the files that a path or a glob names, as inputs."""
    return [
        Found(name=str(path), size=path.stat().st_size, opened=partial(_here, path))
        for path in matching(pattern, root)
    ]


def _here(path: Path) -> AbstractContextManager[Path]:
    return nullcontext(path)


def matching(pattern: str, root: Path) -> list[Path]:
    """Return the files that a path or a glob names, relative to the working folder or else to ``root``.

    Raises:
        ConfigError: If there is none.
    """
    if pattern.startswith("s3://"):
        raise ConfigError(f"{pattern}: only a project with warehouse: athena reads from S3")
    for place in (Path(), root):
        whole = place / pattern
        if whole.is_file():
            return [whole]
        found = [Path(name) for name in sorted(glob.glob(str(whole), recursive=True))]  # noqa: PTH207
        files = [path for path in found if path.is_file() and not path.name.startswith((".", "_"))]
        if files:
            return files
    raise ConfigError(f"{pattern}: there is no such file")

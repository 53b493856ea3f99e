"""Stage experiment exposures and metrics as Apache Iceberg tables, on Athena or on your laptop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from statsig_staging.errors import (
    ConfigError,
    InterruptedLoadError,
    LoadConflictError,
    NoExposuresError,
    SourceFileError,
    StagingError,
    StepFailedError,
    UnsupportedSqlError,
    WarehouseError,
)

if TYPE_CHECKING:
    from statsig_staging.config import Project
    from statsig_staging.engine import Engine, connect
    from statsig_staging.plan import Plan
    from statsig_staging.project import load_project
    from statsig_staging.results import LoadResult

__all__ = [
    "ConfigError",
    "Engine",
    "InterruptedLoadError",
    "LoadConflictError",
    "LoadResult",
    "NoExposuresError",
    "Plan",
    "Project",
    "SourceFileError",
    "StagingError",
    "StepFailedError",
    "UnsupportedSqlError",
    "WarehouseError",
    "connect",
    "load_project",
]

_ROOMS = {
    "Engine": "engine",
    "LoadResult": "results",
    "Plan": "plan",
    "Project": "config",
    "connect": "engine",
    "load_project": "project",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use: drivers load late, and ``--help`` answers at once."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

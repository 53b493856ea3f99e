"""What other programs may import: exactly these names."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import statsig_staging
from statsig_staging import errors
from tests.markdown import page

NAMES = [
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


def test_the_names_are_these() -> None:
    """A name is added or removed on purpose, here as well."""
    assert statsig_staging.__all__ == NAMES
    assert sorted(NAMES) == NAMES
    assert dir(statsig_staging) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_imported(name: str) -> None:
    """Each name is what it says, and has a docstring."""
    found = getattr(statsig_staging, name)
    assert found.__name__ == name
    assert inspect.getdoc(found)


def test_every_error_is_public() -> None:
    """Whatever the library raises on purpose can be caught by name."""
    raised = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.StagingError)
    }
    assert raised <= set(NAMES)


def test_other_names_are_missing() -> None:
    """A wrong name is an AttributeError, not something odd from the late imports."""
    with pytest.raises(AttributeError, match="has no attribute 'run'"):
        _ = statsig_staging.run


def test_the_readme_names_the_main_ones() -> None:
    """Somebody who reads the README finds what to import."""
    readme = page("README.md")
    main = [
        "load_project",
        "connect",
        "Project",
        "Plan",
        "LoadResult",
        "StagingError",
        "ConfigError",
    ]
    assert not [name for name in main if name not in readme]


def test_importing_loads_no_driver() -> None:
    """The import is quick: drivers come with the first connection."""
    code = (
        "import sys, statsig_staging; "
        "print(sorted({'boto3', 'duckdb', 'pyarrow', 'pyathena', 'pyiceberg'} & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"

"""The checks of the embedded warehouse: versions, the disk, and everything that loads do, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from statsig_staging import words
from statsig_staging.doctor.catalogs import misspelt, sources_of
from statsig_staging.doctor.checks import Check, NothingToCheckError, NotRightError, findings
from statsig_staging.doctor.keys import probe_keys
from statsig_staging.doctor.probing import probe_table
from statsig_staging.plan import Read
from statsig_staging.warehouses.base import Sighting
from statsig_staging.warehouses.local.warehouse import LocalWarehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from statsig_staging.config import LocalConnection, Project
    from statsig_staging.doctor.checks import Finding

VERSIONS: Final = {
    "duckdb": ((1, 5), (3,)),
    "pyarrow": ((20,), ()),
    "pyiceberg": ((0, 12), (0, 13)),
}
"""Package → the first version that was tested, and the first that was not; a test compares pyproject.toml."""

SPACE: Final = 1_000_000_000
"""Free bytes below which a disk is as good as full: loads write beside what they replace."""

KEYS = Check(
    name="keys",
    means="no access key lies in a file of the project",
    mend="remove the key from the file and make it invalid in IAM",
)
PACKAGES = Check(
    name="versions",
    means="Python and the engines have versions that were tested",
    mend="install the package anew: pip install --upgrade statsig-staging",
)
FOLDER = Check(
    name="folder",
    means="files in connection.path can be written, renamed and removed",
    mend="choose a folder that this user may write to, or change its permissions",
)
DISK = Check(
    name="disk",
    means="there is space left",
    mend="make space, or move connection.path to another disk",
)
TEMPORARY = Check(
    name="temp_directory",
    means="queries can spill",
    mend="choose a connection.temp_directory that this user may write to",
)
TABLES = Check(
    name="tables",
    means="a table can be created, merged into, read and dropped",
    mend="correct what is named here; `--debug` shows where it comes from",
    needs=("folder", "disk", "temp_directory"),
)


def examine_local(project: Project, connection: LocalConnection) -> Iterator[Finding]:
    """Look at the connection of an embedded warehouse.

    Args:
        project: The project.
        connection: Its connection.
    """
    yield from findings(_checks(project, connection))


def _checks(
    project: Project, connection: LocalConnection
) -> Iterator[tuple[Check, Callable[[], str]]]:
    path = (project.root / connection.path).resolve()
    yield KEYS, partial(probe_keys, project.root)
    yield PACKAGES, probe_versions
    yield FOLDER, partial(probe_folder, path)
    yield DISK, partial(probe_space, path)
    yield TEMPORARY, partial(probe_temporary, project.root, connection)
    yield TABLES, partial(probe_tables, project, connection)
    for table, columns in sources_of(project).items():
        check = Check(
            name=f"source {table}",
            means="its files have the columns that sources name, and a row of it can be read",
            mend="correct the source, or its pattern in connection.sources",
            needs=("tables",),
        )
        yield check, partial(probe_source, project, connection, table, columns)


def probe_versions() -> str:
    """Return the versions that are installed."""
    found = {name: version(name) for name in VERSIONS}
    for name, (least, below) in VERSIONS.items():
        numbers = tuple(int(part) for part in found[name].split(".")[:2] if part.isdigit())
        if numbers < least or (below and numbers >= below):
            raise NotRightError(f"{name} {found[name]} was not tested")
    python = ".".join(map(str, sys.version_info[:3]))
    return ", ".join((f"Python {python}", *(f"{name} {each}" for name, each in found.items())))


def _nearest(path: Path) -> Path:
    """Return a folder, or the nearest above it that is there."""
    return next(each for each in (path, *path.parents) if each.exists())


def probe_folder(path: Path) -> str:
    """Write, rename and remove a file in a folder, or where it would be made."""
    where = _nearest(path)
    with tempfile.TemporaryDirectory(dir=where, prefix=".doctor-") as scratch:
        file = Path(scratch) / "probe"
        file.write_bytes(b"probe")
        renamed = file.replace(file.with_name("renamed"))
        if renamed.read_bytes() != b"probe":
            raise NotRightError(f"{where}: a file was read otherwise than it was written")
    return str(path)


def probe_space(path: Path) -> str:
    """Return how much space is left."""
    free = shutil.disk_usage(_nearest(path)).free
    if free < SPACE:
        raise NotRightError(f"{words.size(free)} are free, and loads need {words.size(SPACE)}")
    return f"{words.size(free)} free"


def probe_temporary(root: Path, connection: LocalConnection) -> str:
    """See that the folder for spills can be written."""
    if connection.temp_directory is None:
        raise NothingToCheckError("no connection.temp_directory: queries spill in connection.path")
    return probe_folder((root / connection.temp_directory).resolve())


@contextmanager
def _beside(project: Project, connection: LocalConnection) -> Iterator[LocalWarehouse]:
    """Open a warehouse of the same settings in a folder of its own, which is gone after the block."""
    path = (project.root / connection.path).resolve()
    with tempfile.TemporaryDirectory(dir=_nearest(path), prefix=".doctor-") as scratch:
        elsewhere = {"path": os.fspath(Path(scratch) / "warehouse"), "temp_directory": None}
        warehouse = LocalWarehouse(connection.model_copy(update=elsewhere), project.root)
        try:
            yield warehouse
        finally:
            warehouse.close()


def probe_tables(project: Project, connection: LocalConnection) -> str:
    """Have a table for a moment, with everything that loads do to one."""
    with _beside(project, connection) as warehouse:
        probe_table(warehouse)
    return ""


def probe_source(
    project: Project, connection: LocalConnection, table: str, columns: tuple[str, ...]
) -> str:
    """Return how many files and columns a source has, after a row of it was read."""
    with _beside(project, connection) as warehouse:
        found = warehouse.observe(Sighting(table=table), {})
        misspelt(table, columns, found.columns)
        asked = columns or tuple(found.columns)[:1]
        read = Read(table=table, columns=found.columns, files=found.files, used=frozenset(asked))
        database, _, name = table.partition(".")
        query = exp.select(*(exp.column(each, quoted=True) for each in asked))
        warehouse.fetch(query.from_(exp.table_(name, db=database, quoted=True)).limit(1), (read,))
    return f"{words.count(len(found.files), 'file')}, {words.count(len(found.columns), 'column')}"

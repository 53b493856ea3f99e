"""What the embedded warehouse asks of its drivers: errors mapped once, and a lock between processes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from typing import TYPE_CHECKING

import duckdb
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    ValidationException,
)
from sqlalchemy.exc import SQLAlchemyError

from statsig_staging.errors import SourceFileError, StepFailedError, WarehouseError
from statsig_staging.warehouses.local import dialect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def mapped_errors() -> Iterator[None]:
    """Turn errors of DuckDB, of pyiceberg's commits and of the file system into the library's own."""
    try:
        with _commit_errors():
            yield
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException) as error:
        raise WarehouseError(said(error)) from error
    except duckdb.OutOfMemoryException as error:
        raise StepFailedError(
            f"not enough memory: {said(error)}; raise connection.memory_limit, "
            "or point connection.temp_directory to a larger disk"
        ) from error
    except (duckdb.InvalidInputException, duckdb.IOException) as error:
        if (reason := dialect.reason(str(error))) is not None:
            raise StepFailedError(reason) from error
        if "No space left" in str(error):
            raise StepFailedError(f"the disk is full: {said(error)}") from error
        raise SourceFileError(said(error)) from error
    except duckdb.Error as error:
        raise StepFailedError(dialect.reason(str(error)) or said(error)) from error
    except RuntimeError as error:
        # DuckDB 2.0 raises a plain RuntimeError where Ctrl-C stops a query.
        if "interrupted" not in str(error).lower():
            raise
        raise KeyboardInterrupt from error
    except OSError as error:
        what = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise StepFailedError(f"{error.filename or 'warehouse'}: {what}") from error


@contextlib.contextmanager
def _commit_errors() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        cause = said(getattr(error, "orig", None) or error)
        full = "the disk is full: " if "disk is full" in cause else ""
        raise StepFailedError(f"{full}the catalog was not changed: {cause}") from error
    except (CommitFailedException, ValidationException) as error:
        raise StepFailedError(
            f"another process changed the table meanwhile: {said(error)}; "
            "nothing of this step was committed, run again"
        ) from error
    except CommitStateUnknownException as error:
        raise StepFailedError(
            f"the catalog did not say whether the commit succeeded: {said(error)}; "
            "run again, which repairs the table either way"
        ) from error


def said(error: Exception) -> str:
    """Return what a driver said, on one line and without the statement that it quotes."""
    return " ".join(str(error).split()).split(" LINE 1: ")[0]


def prepared(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Return a connection with the macros that translated SQL calls; its cursors share them."""
    for macro in dialect.MACROS:
        connection.execute(macro)
    return connection


@contextlib.contextmanager
def locked(place: Path) -> Iterator[None]:
    """Hold a lock between processes for the length of a ``with`` block; it ends with the process."""
    while True:
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_still_at(place, file.fileno()):
                yield
                return


def _is_still_at(place: Path, descriptor: int) -> bool:
    """Return whether an open file is the one that lies at a path; it may have been removed."""
    held = os.fstat(descriptor)
    try:
        found = place.stat()
    except FileNotFoundError:
        return False
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)


def overwrite(place: Path, data: bytes) -> None:
    """Write over a file's bytes where they lie, at once; it takes no more room than it has."""
    with place.open("r+b", buffering=0) as file:
        file.write(data)

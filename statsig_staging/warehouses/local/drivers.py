"""Driver errors of the embedded warehouse, mapped once to the library's own."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

import duckdb

from statsig_staging.errors import SourceFileError, StepFailedError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def mapped_errors() -> Iterator[None]:
    """Turn errors of DuckDB and of the file system into the library's own."""
    try:
        yield
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException) as error:
        raise WarehouseError(_message(error)) from error
    except duckdb.OutOfMemoryException as error:
        raise StepFailedError(
            f"not enough memory: {_message(error)}; raise connection.memory_limit, "
            "or point connection.temp_directory to a larger disk"
        ) from error
    except (duckdb.InvalidInputException, duckdb.IOException) as error:
        if "No space left" in str(error):
            raise StepFailedError(f"the disk is full: {_message(error)}") from error
        raise SourceFileError(_message(error)) from error
    except duckdb.Error as error:
        raise StepFailedError(_message(error)) from error
    except OSError as error:
        what = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise StepFailedError(f"{error.filename or 'warehouse'}: {what}") from error


def _message(error: Exception) -> str:
    return " ".join(str(error).split())

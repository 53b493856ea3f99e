"""What one statement works with: a DuckDB connection, local copies of files, and errors in Athena's words."""

from __future__ import annotations

import contextlib
import re
import shutil
from typing import TYPE_CHECKING, Any

import duckdb

from statsig_staging.warehouses.local import dialect
from tests.athena_endpoint.failures import StatementCancelledError, failed, known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from statsig_staging.errors import UnsupportedSqlError
    from tests.athena_endpoint.accounts import Account
    from tests.athena_endpoint.executions import Execution
    from tests.athena_endpoint.storage import Copies, Storage


class Engine:
    """One DuckDB for all statements of a server; each statement has a connection of its own to it."""

    def __init__(self, copies: Copies, threads: int = 2) -> None:
        self.copies = copies
        self._database = duckdb.connect(
            ":memory:",
            config={
                **dialect.SETTINGS,
                "threads": str(threads),
                "temp_directory": str(copies.folder / "spill"),
                "autoinstall_known_extensions": "false",
                "partitioned_write_max_open_files": "1000",
            },
        )
        self._database.execute("SET GLOBAL TimeZone = 'UTC'")
        # For all connections, where the embedded warehouse has them for one.
        for macro in dialect.MACROS:
            if " MACRO " in macro:
                self._database.execute(macro.replace(" TEMP MACRO ", " MACRO "))

    def connect(self) -> DuckDBPyConnection:
        """Return a connection of its own, with the macros that translated SQL calls."""
        return self._database.cursor()

    def close(self) -> None:
        """Close the database."""
        self._database.close()


class Session:
    """The means of one statement."""

    def __init__(
        self,
        engine: Engine,
        account: Account,
        execution: Execution,
        before_commit: Callable[[], None],
    ) -> None:
        self.placed: dict[str, Mapping[str, str]] = {}
        self.hive_files: list[str] | None = None
        group = account.workgroups.get(execution.request.workgroup)["Configuration"]
        self.cutoff: int | None = group.get("BytesScannedCutoffPerQuery")
        self._before_commit = before_commit
        self.account = account
        self.execution = execution
        self._copies = engine.copies
        self._connection = engine.connect()
        self._taken: list[Path] = []
        self._scratch: list[Path] = []
        self._names = 0
        execution.on_stop(self._connection.interrupt)

    @property
    def storage(self) -> Storage:
        """The buckets."""
        return self.account.storage

    def run(self, sql: str) -> DuckDBPyConnection:
        """Run DuckDB's SQL.

        Raises:
            StatementError: What Athena would have said.
            StatementCancelledError: If the statement was stopped.
        """
        self.execution.check()
        with self._said():
            return self._connection.execute(sql)

    def fetch(self, many: int) -> list[tuple[Any, ...]]:
        """Return the next rows of what was run."""
        self.execution.check()
        with self._said():
            return self._connection.fetchmany(many)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run DuckDB's SQL and return all rows."""
        self.run(sql)
        with self._said():
            return self._connection.fetchall()

    def described(self, sql: str) -> list[tuple[str, Any]]:
        """Return names and types of a query's columns."""
        self.run(f"SELECT * FROM ({sql}) LIMIT 0")
        return [(column[0], column[1]) for column in self._connection.description or ()]

    def add(self, name: str, table: Any) -> None:
        """Make an Arrow table known to DuckDB."""
        self._connection.register(name, table)

    def new_name(self, prefix: str) -> str:
        """Return a name that nothing in this session has."""
        self._names += 1
        return f"{prefix}_{self._names}"

    def local(self, uri: str, scanned: int | None = None) -> str:
        """Return a local copy of an object.

        Args:
            uri: The object.
            scanned: The bytes of it that count as scanned, by default all.

        Raises:
            StatementError: If the object is gone.
        """
        try:
            path = self._copies.take(self.storage, uri)
        except FileNotFoundError as error:
            raise failed("ICEBERG_FILESYSTEM_ERROR", f"No such file: {uri}") from error
        self._taken.append(path)
        self.execution.scanned += path.stat().st_size if scanned is None else scanned
        if self.cutoff is not None and self.execution.scanned > self.cutoff:
            raise StatementCancelledError("Query cancelled! : Bytes scanned limit was exceeded")
        return str(path)

    def upload(self, path: Path, uri: str) -> None:
        """Move a file into S3."""
        self._copies.upload(self.storage, path, uri)

    def folder(self) -> Path:
        """Return a new local folder, which goes with the session."""
        folder = self._copies.scratch()
        self._scratch.append(folder)
        return folder

    def committing(self) -> None:
        """Pass the point after which a stop comes too late; a hold may keep the statement here.

        Raises:
            StatementCancelledError: If the statement was stopped before.
        """
        self._before_commit()
        self.execution.commit()

    def close(self) -> None:
        """Let go of everything."""
        self.execution.forget_interrupts()
        self._connection.close()
        for path in self._taken:
            self._copies.release(path)
        for folder in self._scratch:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except duckdb.InterruptException as error:
            raise StatementCancelledError from error
        except duckdb.Error as error:
            raise _in_athenas_words(error) from error
        except RuntimeError as error:
            # DuckDB 2.0 raises a plain RuntimeError where a query is interrupted.
            if "interrupt" not in str(error).lower():
                raise
            raise StatementCancelledError from error


_COLUMN = re.compile(
    r'(?:Referenced column|Values list "\w+" does not have a column named|Table "\w+" does not have a column named|column named) "([^"]+)"'
)
_AMBIGUOUS = re.compile(r'Ambiguous reference to column name "([^"]+)"')
_TABLE = re.compile(r'Referenced table "([^"]+)" not found')
_FUNCTION = re.compile(r"(?:Scalar |Table |Aggregate )?Function with name (\S+) does not exist")


def _in_athenas_words(error: duckdb.Error) -> Exception:
    text = str(error)
    reason = dialect.reason(text)
    if reason is not None:
        return known(reason) or failed("NOT_SUPPORTED", reason)
    if found := _COLUMN.search(text) or _TABLE.search(text):
        return failed("COLUMN_NOT_FOUND", f"line 1:1: Column '{found[1]}' cannot be resolved")
    if found := _AMBIGUOUS.search(text):
        return failed("AMBIGUOUS_NAME", f"line 1:1: Column '{found[1]}' is ambiguous")
    if found := _FUNCTION.search(text):
        return failed("FUNCTION_NOT_FOUND", f"line 1:1: Function '{found[1]}' not registered")
    line = " ".join(text.split()).split(" LINE 1: ")[0]
    match error:
        case duckdb.ConversionException():
            return failed("INVALID_CAST_ARGUMENT", line)
        case duckdb.OutOfRangeException():
            return failed("NUMERIC_VALUE_OUT_OF_RANGE", line)
        case duckdb.BinderException() | duckdb.TypeMismatchException():
            return failed("TYPE_MISMATCH", line)
        case duckdb.InvalidInputException():
            return failed("INVALID_FUNCTION_ARGUMENT", line)
        case _:
            return failed("GENERIC_INTERNAL_ERROR", line)


def refusal(error: UnsupportedSqlError) -> Exception:
    """Return what a statement fails with that the translation refuses."""
    if "of the literal zero" in str(error):
        return failed("DIVISION_BY_ZERO", "Division by zero")
    if "it mixes" in str(error) or "it takes numbers, not" in str(error):
        return failed("TYPE_MISMATCH", f"line 1:1: {error}")
    return known(str(error)) or failed("NOT_SUPPORTED", f"this endpoint cannot run it: {error}")

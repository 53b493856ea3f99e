"""Result files, and pages of them."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from tests.athena_endpoint.executions import Outcome, State
from tests.athena_endpoint.failures import StatementError, invalid
from tests.athena_endpoint.statements import Kind
from tests.athena_endpoint.types import ResultColumn
from tests.athena_endpoint.values import csv_rows, csv_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.athena_endpoint.executions import Execution
    from tests.athena_endpoint.queries import Rows
    from tests.athena_endpoint.session import Session
    from tests.athena_endpoint.shows import Lines
    from tests.athena_endpoint.storage import Storage
    from tests.athena_endpoint.values import Row

MOST_ROWS = 1000
_ROWS_COLUMN = ResultColumn("rows", "bigint", 19)


def _put(session: Session, suffix: str, data: bytes) -> str | None:
    """Write a result file; where Athena manages results, keep it in a place that only it reads."""
    execution = session.execution
    location = execution.request.location
    if location is None:
        PRIVATE[execution.id] = data
        return None
    uri = f"{location}{execution.id}{suffix}"
    try:
        session.storage.write(uri, data)
        if suffix:
            session.storage.write(f"{uri}.metadata", b"")
    except StatementError:
        # Measured: a statement whose output bucket does not exist is reported as SUCCEEDED.
        return uri
    return uri


PRIVATE: dict[str, bytes] = {}
"""Results of workgroups whose results Athena manages."""


def of_rows(session: Session, rows: Rows) -> Outcome:
    """Write the rows of a query."""
    buffer = io.StringIO()
    for line in csv_text([column.name for column in rows.columns], rows.rows):
        buffer.write(line)
    location = _put(session, ".csv", buffer.getvalue().encode())
    return Outcome(columns=rows.columns, location=location, header=True)


def of_lines(session: Session, lines: Lines | None) -> Outcome:
    """Write lines of text; None where a statement says nothing."""
    text = "".join(f"{line}\n" for line in lines.lines) if lines else ""
    location = _put(session, ".txt", text.encode())
    columns = [ResultColumn(name, "string") for name in lines.columns] if lines else []
    return Outcome(columns=columns, location=location)


def of_count(session: Session, count: int) -> Outcome:
    """Return the result of a statement that wrote rows: no rows, and how many were written.

    Measured: a column ``rows bigint``, and UpdateCount.
    """
    kind = session.execution.request.statement.kind
    suffix = ".csv" if kind in {Kind.UPDATE, Kind.DELETE, Kind.MERGE} else ""
    location = session.execution.request.location
    manifest = None
    if session.hive_files is not None:
        # Measured: a manifest lists the files of writes to Hive tables, and there is none for Iceberg's.
        manifest = _put(session, "-manifest.csv", _lines(session.hive_files))
    if kind is Kind.CTAS and location is not None:
        where: str | None = f"{location}tables/{session.execution.id}"
    else:
        where = _put(session, suffix, b"")
    return Outcome(columns=[_ROWS_COLUMN], update_count=count, location=where, manifest=manifest)


def _lines(files: Sequence[str]) -> bytes:
    return "".join(f"{file}\n" for file in files).encode()


def of_files(session: Session, files: Sequence[str]) -> Outcome:
    """Write the manifest of an UNLOAD."""
    manifest = _put(session, "-manifest.csv", _lines(files))
    location = session.execution.request.location
    where = f"{location}{session.execution.id}" if location else None
    return Outcome(columns=[], location=where, manifest=manifest)


class Pages:
    """Rows of results for GetQueryResults; the newest few stay parsed."""

    def __init__(self) -> None:
        self._parsed: OrderedDict[str, list[Row]] = OrderedDict()
        self._lock = threading.Lock()

    def page(
        self, storage: Storage, execution: Execution, token: str | None, most: int | None
    ) -> dict[str, Any]:
        """Return a page of a result.

        Raises:
            CallError: If there is no result, or not yet.
        """
        _check(execution, most)
        outcome = execution.outcome
        if execution.state is State.FAILED or outcome.columns is None:
            return {"ResultSet": {"Rows": [], "ResultSetMetadata": {}}}
        begin = int(token) if token else 0
        size = most or MOST_ROWS
        rows = self._rows(storage, execution)
        shown = rows[begin : begin + size]
        answer: dict[str, Any] = {
            "ResultSet": {
                "Rows": [{"Data": [_datum(cell) for cell in row]} for row in shown],
                "ResultSetMetadata": {
                    "ColumnInfo": [column.document() for column in outcome.columns]
                },
            }
        }
        if outcome.update_count is not None:
            answer["UpdateCount"] = outcome.update_count
        if begin + size < len(rows):
            answer["NextToken"] = str(begin + size)
        return answer

    def _rows(self, storage: Storage, execution: Execution) -> list[Row]:
        if execution.outcome.update_count is not None or execution.outcome.manifest is not None:
            return []
        with self._lock:
            if execution.id in self._parsed:
                self._parsed.move_to_end(execution.id)
                return self._parsed[execution.id]
        text = _content(storage, execution)
        if execution.outcome.header:
            rows = list(csv_rows(text))
        else:
            rows = [(line,) for line in text.splitlines()]
        with self._lock:
            self._parsed[execution.id] = rows
            while len(self._parsed) > 4:
                self._parsed.popitem(last=False)
        return rows


def _content(storage: Storage, execution: Execution) -> str:
    if execution.outcome.location is None:
        return PRIVATE.get(execution.id, b"").decode()
    try:
        return storage.read(execution.outcome.location).decode()
    except FileNotFoundError as error:
        raise invalid(
            f"Could not find results: {execution.outcome.location}", "RESULT_NOT_FOUND"
        ) from error


def _datum(cell: str | None) -> dict[str, str]:
    return {} if cell is None else {"VarCharValue": cell}


def _check(execution: Execution, most: int | None) -> None:
    if most is not None and not 1 <= most <= MOST_ROWS:
        raise invalid(f"MaxResults is more than maximum allowed length {MOST_ROWS}.")
    if not execution.state.terminal:
        raise invalid(
            f"Query has not yet finished. Current state: {execution.state}",
            "INVALID_QUERY_EXECUTION_STATE",
        )
    if execution.state is State.CANCELLED:
        raise invalid("Could not find results", "RESULT_NOT_FOUND")
    if execution.state is State.FAILED and not execution.request.statement.kind.hive:
        # Measured: a failed statement of the Hive path answers 200 without metadata.
        raise invalid(
            f"Query did not finish successfully. Final query state: {execution.state}",
            "INVALID_QUERY_EXECUTION_STATE",
        )

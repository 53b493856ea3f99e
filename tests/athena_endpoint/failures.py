"""How Athena says no: to a call at once, or to a statement in its final state."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class Category(IntEnum):
    """``AthenaError.ErrorCategory``."""

    SYSTEM = 1
    USER = 2
    OTHER = 3


class CallError(Exception):
    """A call that is refused: an AWS error with its code and HTTP status."""

    def __init__(self, code: str, message: str, *, status: int = 400, **details: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.details = details


def invalid(message: str, code: str = "INVALID_INPUT") -> CallError:
    """Return an ``InvalidRequestException`` with its ``AthenaErrorCode``."""
    return CallError("InvalidRequestException", message, AthenaErrorCode=code)


def malformed(message: str) -> CallError:
    """Return the refusal of SQL that does not parse."""
    return invalid(message, "MALFORMED_QUERY")


@dataclass(frozen=True, slots=True)
class AthenaError:
    """What ``QueryExecution.Status.AthenaError`` carries."""

    category: Category
    type: int
    message: str
    retryable: bool = False

    def document(self) -> dict[str, Any]:
        """Return the structure of the API."""
        return {
            "ErrorCategory": int(self.category),
            "ErrorType": self.type,
            "Retryable": self.retryable,
            "ErrorMessage": self.message,
        }


class StatementError(Exception):
    """A statement that ends in FAILED."""

    def __init__(self, error: AthenaError) -> None:
        super().__init__(error.message)
        self.error = error


class StatementCancelledError(Exception):
    """A statement that ends in CANCELLED."""

    def __init__(self, reason: str = "Query cancelled by user") -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Kind:
    type: int
    category: Category = Category.USER
    aliases: tuple[str, ...] = field(default=())


# Types: the error catalog of the Athena user guide, and what was measured against the service:
# TABLE_NOT_FOUND 1301, COLUMN_NOT_FOUND 1006, DIVISION_BY_ZERO 1001, INVALID_CAST_ARGUMENT 1100,
# TYPE_MISMATCH 1002 (aoyagikouhei/athena-local, docs/dev/measurements).
_KINDS = {
    "TABLE_NOT_FOUND": _Kind(1301),
    "SCHEMA_NOT_FOUND": _Kind(1301),
    "CATALOG_NOT_FOUND": _Kind(1006),
    "COLUMN_NOT_FOUND": _Kind(1006),
    "SYNTAX_ERROR": _Kind(1006),
    "FUNCTION_NOT_FOUND": _Kind(1303),
    "MISSING_COLUMN_NAME": _Kind(1006),
    "DUPLICATE_COLUMN_NAME": _Kind(1006),
    "AMBIGUOUS_NAME": _Kind(1006),
    "TYPE_MISMATCH": _Kind(1002),
    "MISMATCHED_COLUMN_ALIASES": _Kind(1006),
    "DIVISION_BY_ZERO": _Kind(1001),
    "NUMERIC_VALUE_OUT_OF_RANGE": _Kind(1001),
    "INVALID_CAST_ARGUMENT": _Kind(1100),
    "INVALID_FUNCTION_ARGUMENT": _Kind(1100),
    "INVALID_TABLE_PROPERTY": _Kind(1100),
    "TABLE_ALREADY_EXISTS": _Kind(1110),
    "NOT_SUPPORTED": _Kind(1200),
    "MERGE_TARGET_ROW_MULTIPLE_MATCHES": _Kind(1001),
    "HIVE_PATH_ALREADY_EXISTS": _Kind(1110),
    "HIVE_TOO_MANY_OPEN_PARTITIONS": _Kind(1100),
    "ICEBERG_TOO_MANY_OPEN_PARTITIONS": _Kind(233),
    "ICEBERG_COMMIT_ERROR": _Kind(233),
    "ICEBERG_FILESYSTEM_ERROR": _Kind(233),
    "ICEBERG_OPTIMIZE_MORE_RUNS_NEEDED": _Kind(233),
    "ICEBERG_VACUUM_MORE_RUNS_NEEDED": _Kind(233),
    "PERMISSION_DENIED": _Kind(1500),
    "GENERIC_INTERNAL_ERROR": _Kind(9999, Category.SYSTEM),
}


def failed(name: str, message: str) -> StatementError:
    """Return the failure that Athena calls `name`; its message begins with the name."""
    kind = _KINDS[name]
    return StatementError(AthenaError(kind.category, kind.type, f"{name}: {message}"))


def known(text: str) -> StatementError | None:
    """Return the failure of a message that begins with a name of Athena's, None for any other."""
    name = text.split(":", maxsplit=1)[0].split(",", maxsplit=1)[0].split(" ", maxsplit=1)[0]
    if name not in _KINDS:
        return None
    rest = text[len(name) :].lstrip(":, ")
    return failed(name, rest or name)


def ddl_failed(message: str, *, parse: bool = False) -> StatementError:
    """Return the failure of a statement of the Hive path.

    Block comments in such a statement were measured as category 1, type 1003, ``ParseException``
    (aoyagikouhei/athena-local, docs/dev/measurements/statements.md).
    """
    prefix = (
        "FAILED: ParseException line 1:0 " if parse else "FAILED: Execution Error, return code 1. "
    )
    return StatementError(AthenaError(Category.SYSTEM, 1003, f"{prefix}{message}"))

"""How statements end that do not succeed: Athena's ``AthenaError``, its type and its text, as an error of ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from statsig_staging.warehouses.athena import failures
from statsig_staging.warehouses.athena.failures import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from statsig_staging.warehouses.athena.failures import AwsError

# Types: the error catalog of the Athena user guide. The type of everything of Iceberg is 233, so the name that
# begins the message decides first.
_NAMES: Final[Mapping[str, Kind]] = {
    "MORE_RUNS_NEEDED": Kind.MORE_RUNS_NEEDED,
    "TOO_MANY_OPEN_PARTITIONS": Kind.TOO_MANY_PARTITIONS,
    "TABLE_NOT_FOUND": Kind.MISSING,
    "COLUMN_NOT_FOUND": Kind.MISSING,
    "SCHEMA_NOT_FOUND": Kind.MISSING,
    "CATALOG_NOT_FOUND": Kind.MISSING,
    "EXCEEDED_TIME_LIMIT": Kind.TIMED_OUT,
    "EXCEEDED_MEMORY_LIMIT": Kind.RESOURCES_EXHAUSTED,
    "EXCEEDED_LOCAL_MEMORY_LIMIT": Kind.RESOURCES_EXHAUSTED,
    "CLUSTER_OUT_OF_MEMORY": Kind.RESOURCES_EXHAUSTED,
    "PERMISSION_DENIED": Kind.PERMISSION,
    "DIVISION_BY_ZERO": Kind.WRONG_DATA,
    "NUMERIC_VALUE_OUT_OF_RANGE": Kind.WRONG_DATA,
    "INVALID_CAST_ARGUMENT": Kind.WRONG_DATA,
    "INVALID_FUNCTION_ARGUMENT": Kind.WRONG_DATA,
    "MERGE_TARGET_ROW_MULTIPLE_MATCHES": Kind.WRONG_DATA,
    "HIVE_BAD_DATA": Kind.WRONG_DATA,
    "HIVE_CURSOR_ERROR": Kind.WRONG_DATA,
    "HIVE_PARTITION_SCHEMA_MISMATCH": Kind.WRONG_DATA,
}
_TYPES: Final[Mapping[int, Kind]] = {
    **dict.fromkeys(range(9), Kind.RESOURCES_EXHAUSTED),
    206: Kind.TIMED_OUT,
    210: Kind.TIMED_OUT,
    234: Kind.PERMISSION,
    1001: Kind.WRONG_DATA,
    1301: Kind.MISSING,
    **dict.fromkeys(range(1400, 1407), Kind.THROTTLED),
    1500: Kind.PERMISSION,
    1501: Kind.PERMISSION,
    1602: Kind.RESOURCES_EXHAUSTED,
    9999: Kind.TRANSIENT,
}
_TEXTS: Final = (
    (re.compile(r"bytes scanned limit|scan(?:ned)? limit", re.IGNORECASE), Kind.BYTES_CUTOFF),
    (
        re.compile(r"exhausted resources|resources? exhausted", re.IGNORECASE),
        Kind.RESOURCES_EXHAUSTED,
    ),
    (re.compile(r"query time ?out|timed? ?out after", re.IGNORECASE), Kind.TIMED_OUT),
    (failures.DENIED, Kind.PERMISSION),
    (re.compile(r"Rate exceeded|SlowDown|Please reduce your request rate"), Kind.THROTTLED),
)
_ICEBERG: Final = 233
_USER: Final = 2


def kind_of_statement(state: str, reason: str, error: Mapping[str, Any]) -> Kind:
    """Return why a statement ended as it did.

    Args:
        state: ``FAILED`` or ``CANCELLED``.
        reason: ``StateChangeReason``.
        error: ``AthenaError``; empty where there is none.
    """
    said = f"{error.get('ErrorMessage') or ''} {reason}"
    number = int(error.get("ErrorType", -1))
    if state == "CANCELLED":
        return Kind.BYTES_CUTOFF if _TEXTS[0][0].search(said) else Kind.CANCELLED
    if number == _ICEBERG and "ICEBERG_COMMIT_ERROR" in said:
        return Kind.COMMIT_CONFLICT
    for name, kind in _NAMES.items():
        if name in said:
            return kind
    for pattern, kind in _TEXTS:
        if pattern.search(said):
            return kind
    if number in _TYPES:
        return _TYPES[number]
    if error.get("Retryable"):
        return Kind.TRANSIENT
    return Kind.REFUSED if error.get("ErrorCategory") == _USER else Kind.UNKNOWN


def failed_statement(
    what: str, query_id: str, state: str, reason: str, error: Mapping[str, Any], bytes_scanned: int
) -> AwsError:
    """Return the error of a statement that ended in FAILED or CANCELLED."""
    kind = kind_of_statement(state, reason, error)
    said = failures.said_plainly(str(error.get("ErrorMessage") or reason or state))
    message = f"{what} (query {query_id}): {said}; {_advice_for_statement(kind, said)}"
    return failures.failure(message, kind, query_id=query_id, bytes_scanned=bytes_scanned)


_LESS: Final = "lower connection.max_bytes_per_statement, so that a statement reads fewer days"
_ADVICE: Final[Mapping[Kind, str]] = {
    Kind.COMMIT_CONFLICT: "another process writes the table; run again when it is done",
    Kind.MORE_RUNS_NEEDED: "a part of the work is done; run again for the rest",
    Kind.TOO_MANY_PARTITIONS: "Athena writes at most 100 partitions in one statement",
    Kind.RESOURCES_EXHAUSTED: _LESS,
    Kind.TIMED_OUT: _LESS,
    Kind.CANCELLED: "somebody stopped it; run again",
    Kind.BYTES_CUTOFF: "raise the limit of scanned bytes of the workgroup, or read less",
    Kind.MISSING: failures.CREATE,
    Kind.WRONG_DATA: "a value of a source does not fit the SQL of the configuration; correct either",
    Kind.REFUSED: "correct the SQL or the columns in the configuration",
}


def _advice_for_statement(kind: Kind, said: str) -> str:
    if kind is Kind.PERMISSION:
        return failures.denied(said)
    if kind is Kind.REFUSED and failures.FOREIGN.search(said):
        return failures.ELSEWHERE
    return _ADVICE.get(kind, failures.AGAIN)

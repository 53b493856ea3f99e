"""The guard: what may leave for Athena. A statement writes to the staging database and folder only, or not at all.

It looks at the text as Athena will read it, parsed anew, and not at the tree that the text was made of:
what a generator got wrong is seen here too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, assert_never

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from statsig_staging.errors import WarehouseError
from statsig_staging.templates import DIALECT

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 262_144
"""Bytes of the longest statement that Athena takes (botocore service model, StartQueryExecution.QueryString)."""

_OPTIMIZE = re.compile(r"OPTIMIZE (\w+)\.\w+ REWRITE DATA USING BIN_PACK")

_Root = exp.Query | exp.Create | exp.Insert | exp.Delete | exp.Merge
_WRITES = (
    exp.Alter,
    exp.Command,
    exp.Copy,
    exp.Create,
    exp.Delete,
    exp.Drop,
    exp.Insert,
    exp.Into,
    exp.Merge,
    exp.TruncateTable,
    exp.Update,
    exp.Use,
)


def admitted(statement: exp.Expr, database: str, folder: str) -> str:
    """Return the text of a statement that only reads, or that writes where this project may.

    Args:
        statement: Its tree.
        database: The staging database.
        folder: The staging folder as a location, ``s3://bucket/folder/``.

    Raises:
        WarehouseError: If it is anything else, or longer than Athena takes.
    """
    text = statement.sql(DIALECT, comments=False)
    if len(text.encode()) > LONGEST:
        raise WarehouseError(
            f"a statement of {len(text.encode()):,} bytes is longer than the {LONGEST:,} that Athena takes; "
            "shorten what the project's filters and values say, or give it fewer metrics"
        )
    if isinstance(statement, exp.Command):
        _check_command(text, database)
    else:
        _check(_parsed(text), database, folder)
    return text


def _parsed(text: str) -> exp.Expr:
    try:
        found = sqlglot.parse(text, read=DIALECT)
    except SqlglotError as error:
        raise WarehouseError(f"a statement cannot be read back: {error}") from error
    if len(found) != 1 or found[0] is None:
        raise WarehouseError("a statement is more than one; it was not sent")
    return found[0]


def _check(root: exp.Expr, database: str, folder: str) -> None:
    if not isinstance(root, _Root):
        raise _refused(f"{root.key.upper()} is no statement that a load sends")
    nested = next(_writes_inside(root), None)
    if nested is not None:
        raise _refused(f"{nested.key.upper()} inside of another statement")
    match root:
        case exp.Query():
            return
        case exp.Create():
            _check_creation(root, database, folder)
        case exp.Insert() | exp.Delete() | exp.Merge():
            _check_target(root.this, database)
        case _:
            assert_never(root)


def _writes_inside(root: exp.Expr) -> Iterator[exp.Expr]:
    """Return what writes below the root, the branches of a MERGE aside."""
    for node in root.find_all(*_WRITES):
        is_branch = isinstance(root, exp.Merge) and isinstance(node.parent, exp.When)
        if node is not root and not is_branch:
            yield node


def _check_creation(root: exp.Create, database: str, folder: str) -> None:
    if root.kind != "TABLE" or not isinstance(root.expression, exp.Query):
        raise _refused(f"CREATE {root.kind} that takes no rows from a query")
    if root.args.get("replace"):
        raise _refused("CREATE OR REPLACE")
    _check_target(root.this, database)
    locations = [found.this.name for found in root.find_all(exp.LocationProperty)]
    if len(locations) != 1 or not _lies_in(locations[0], folder):
        raise _refused(
            f"a table at {', '.join(locations) or 'no location'}, which is not in {folder}"
        )


def _check_command(text: str, database: str) -> None:
    """Let ``OPTIMIZE`` of a staging table pass, and no other statement that sqlglot has no tree for."""
    found = _OPTIMIZE.fullmatch(text)
    if found is None or found[1] != database:
        raise _refused(f"{text.split(maxsplit=1)[0]} is no statement that a load sends")


def _lies_in(location: str, folder: str) -> bool:
    return location.startswith(folder) and ".." not in location.removeprefix(folder).split("/")


def _check_target(target: exp.Expr, database: str) -> None:
    table = target.this if isinstance(target, exp.Schema) else target
    if not isinstance(table, exp.Table) or table.db != database or table.catalog:
        raise _refused(f"a write to {table.sql(DIALECT)}, which is not in database {database}")


def _refused(what: str) -> WarehouseError:
    return WarehouseError(
        f"{what}: it was not sent. Statements write to the staging database and folder only; "
        "this is a mistake of the library, or an attempt to get round it"
    )

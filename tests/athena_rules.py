"""What Athena refuses and other engines take: a checklist for every statement that is sent to it.

Each rule names where it is known from. "measured" and "documented" are as in ``docs/athena-endpoint.md``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 262_144
MOST_ARGUMENTS = 127
MOST_ELEMENTS = 254
MOST_MERGE_COLUMNS = 321
MOST_PARTITIONS = 100


def broken_rules(sql: str) -> list[str]:
    """Return the rules that a statement breaks, in words."""
    return list(_broken(sql))


def _broken(sql: str) -> Iterator[str]:
    if len(sql.encode()) > LONGEST:
        yield f"longer than {LONGEST} bytes (documented: StartQueryExecution.QueryString)"
    if sql.startswith("OPTIMIZE "):
        if '"' in sql:
            yield "double quotes on the Hive path (measured)"
        return
    statements = sqlglot.parse(sql, read="athena")
    if len(statements) != 1:
        yield "not one statement"
        return
    tree = statements[0]
    if tree is None or isinstance(tree, exp.Command):
        yield "sqlglot has no tree for it"
        return
    yield from _broken_by_text(sql, tree)
    yield from _broken_by_tree(tree)


def _broken_by_text(sql: str, tree: exp.Expr) -> Iterator[str]:
    is_hive = isinstance(tree, exp.Alter | exp.Drop | exp.Describe) or (
        isinstance(tree, exp.Create) and not isinstance(tree.expression, exp.Query)
    )
    if is_hive and '"' in sql:
        yield "double quotes on the Hive path (measured)"
    if is_hive and "/*" in sql:
        yield "block comment on the Hive path (measured)"
    if not is_hive and "`" in sql:
        yield "backticks on the Trino path (documented)"
    if re.search(r"\bSELECT\b[^;]*\bEXCEPT\s*\(", sql) and "EXCEPT (SELECT" not in sql:
        yield "SELECT * EXCEPT is not Trino's (documented)"


def _broken_by_tree(tree: exp.Expr) -> Iterator[str]:
    yield from _broken_creation(tree)
    yield from _broken_merge(tree)
    for function in tree.find_all(exp.Func):
        if isinstance(function, exp.Array):
            count, most = len(function.expressions), MOST_ELEMENTS
        else:
            count, most = len(function.expressions), MOST_ARGUMENTS
        if count > most and not isinstance(function, exp.And | exp.Or):
            yield f"{function.key} of {count} arguments (documented: at most {most})"
    for cast in tree.find_all(exp.Cast):
        kind = cast.to.sql("athena").upper()
        if kind in {"TIMESTAMP", "TIMESTAMPTZ", "DATETIME", "TEXT", "STRING", "FLOAT64", "INT64"}:
            yield f"cast to {kind}: say its precision, or its name in Trino (documented)"
    if tree.find(exp.Qualify):
        yield "QUALIFY (not in Trino's grammar)"
    if tree.find(exp.TryCast) and not tree.find(exp.Select):
        yield "TRY_CAST outside of a query"
    for literal in tree.find_all(exp.Interval):
        if literal.unit is None:
            yield "interval without a unit (documented)"


def _broken_creation(tree: exp.Expr) -> Iterator[str]:
    if not isinstance(tree, exp.Create):
        return
    if tree.args.get("replace"):
        yield "CREATE OR REPLACE TABLE is a syntax error (measured)"
    if isinstance(tree.this, exp.Schema):
        yield "CTAS with a list of columns fails with MISSING_COLUMN_NAME (measured)"
    found = {
        each.name.lower(): each.args["value"].name
        for each in tree.find_all(exp.Property)
        if not isinstance(each, exp.LocationProperty | exp.FileFormatProperty)
    }
    if found.get("table_type", "").upper() != "ICEBERG":
        yield "a staging table that is not Iceberg's"
    if "is_external" not in found:
        yield "is_external has to be false (documented)"
    if tree.find(exp.LocationProperty) is None:
        yield "CTAS of Iceberg needs a location (documented)"
    if tree.find(exp.Order) is not None and isinstance(tree.expression, exp.Select):
        order = tree.expression.args.get("order")
        if order is not None:
            yield "ORDER BY is ignored in CTAS (documented)"


def _broken_merge(tree: exp.Expr) -> Iterator[str]:
    if not isinstance(tree, exp.Merge):
        return
    whens = tree.args["whens"].expressions
    if any(when.args.get("source") for when in whens):
        yield "WHEN NOT MATCHED BY SOURCE (documented: not there)"
    inserts = [when.args["then"] for when in whens if isinstance(when.args["then"], exp.Insert)]
    for insert in inserts:
        if len(insert.this.expressions) > MOST_MERGE_COLUMNS and len(whens) > 1:
            yield f"MERGE of more than {MOST_MERGE_COLUMNS} columns (apache/iceberg#10294)"

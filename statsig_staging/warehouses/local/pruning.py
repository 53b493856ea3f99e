"""Which partitions of a staging table a query needs: those that its WHERE does not rule out."""

from __future__ import annotations

import operator
from datetime import date
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging.iceberg import PARTITION_COLUMN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Test = Callable[[date], bool]

_COMPARISONS: dict[type[exp.Expr], Callable[[date, date], bool]] = {
    exp.EQ: operator.eq,
    exp.GT: operator.gt,
    exp.GTE: operator.ge,
    exp.LT: operator.lt,
    exp.LTE: operator.le,
}


def needed(table: exp.Table, days: Iterable[date | None]) -> frozenset[date | None]:
    """Return the partitions that the SELECT around a table can have rows of.

    DuckDB skips row groups by their statistics, and opens every file for that: of 300 days it opens 300 files
    for the rows of one. Conditions of the whole WHERE count, so what they keep out of an outer join they keep out
    of its result as well. What they do not compare with the text of a day stays.
    """
    tests = _tests(table)
    return frozenset(day for day in days if day is None or all(test(day) for test in tests))


def _tests(table: exp.Table) -> list[Test]:
    select = table.parent_select
    where = select.args.get("where") if isinstance(select, exp.Select) else None
    if where is None or not isinstance(table.parent, (exp.From, exp.Join)):
        return []
    found = (_test(condition, table.alias_or_name) for condition in _conditions(where.this))
    return [test for test in found if test is not None]


def _conditions(where: exp.Expr) -> Iterable[exp.Expr]:
    where = where.unnest()
    if not isinstance(where, exp.And):
        return [where]
    return [each for side in (where.this, where.expression) for each in _conditions(side)]


def _test(condition: exp.Expr, alias: str) -> Test | None:
    """Return what ``alias.ds = …``, a comparison or ``alias.ds IN (…)`` asks of a day."""
    if not _is_partition(condition.this, alias):
        return None
    if isinstance(condition, exp.In):
        listed = _days(condition.expressions) if not condition.args.get("query") else None
        return listed.__contains__ if listed else None
    compare = _COMPARISONS.get(type(condition))
    bound = _days([condition.expression]) if compare else None
    return (lambda day: compare(day, bound[0])) if compare and bound else None


def _is_partition(node: object, alias: str) -> bool:
    return isinstance(node, exp.Column) and (node.table, node.name) == (alias, PARTITION_COLUMN)


def _days(values: Sequence[exp.Expr]) -> list[date] | None:
    """Return the days of ``CAST('2026-01-31' AS DATE), …``; None where any is something else."""
    texts = [value.this for value in values if isinstance(value, exp.Cast) and _is_date(value)]
    if len(texts) != len(values):
        return None
    try:
        return [date.fromisoformat(text.name) for text in texts]
    except ValueError:
        return None


def _is_date(value: exp.Cast) -> bool:
    return isinstance(value.this, exp.Literal) and value.this.is_string and value.is_type("date")

"""Which partitions of a staging table are opened: never fewer than its rows are asked of."""

from datetime import date, timedelta

import pytest
import sqlglot
from sqlglot import exp

from statsig_staging.warehouses.local import pruning

DAYS = [date(2026, 1, 1) + timedelta(days=number) for number in range(5)]
ALL = {1, 2, 3, 4, 5}
NAMED = {"d1": "CAST('2026-01-01' AS DATE)", "d2": "DATE '2026-01-02'", "d4": "DATE '2026-01-04'"}


def needed(sql: str) -> set[int | None]:
    """Return the days of January that are needed of table ``statsig.t``; None is the partition without a day."""
    query = sqlglot.parse_one(sql.format(**NAMED), read="athena")
    [table] = [node for node in query.find_all(exp.Table) if node.name == "t"]
    found = pruning.needed(table, [None, *DAYS])
    return {day.day if day is not None else None for day in found}


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("d.ds = {d2}", {2}),
        ("d.ds IN ({d1}, {d4})", {1, 4}),
        ("d.ds > {d2}", {3, 4, 5}),
        ("d.ds >= {d2}", {2, 3, 4, 5}),
        ("d.ds < {d2}", {1}),
        ("d.ds <= {d4} AND d.x = 1 AND (d.y = 2 AND d.ds > {d2})", {3, 4}),
        ("(d.ds IN ({d1}, {d2})) AND d.ds IN ({d2}, {d4})", {2}),
    ],
)
def test_conditions_on_the_day_count(where: str, wanted: set[int]) -> None:
    """What compares the partition with the text of a day."""
    assert needed(f"SELECT * FROM statsig.t AS d WHERE {where}") == {None, *wanted}


@pytest.mark.parametrize(
    "where",
    [
        "d.ds = {d2} OR d.x = 1",
        "NOT d.ds = {d2}",
        "NOT d.ds IN ({d2})",
        "d.ds <> {d2}",
        "d.x = {d2}",
        "o.ds = {d2}",
        "ds = {d2}",
        "d.ds + INTERVAL '1' DAY = {d2}",
        "d.ds IN ({d2}, o.ds)",
        "d.ds IN (SELECT x.ds FROM statsig.x AS x)",
        "d.ds = :day",
        "d.ds = '2026-01-02'",
        "d.ds = CAST('2026-1' AS DATE)",
        "CASE WHEN d.ds = {d2} THEN FALSE ELSE TRUE END",
    ],
)
def test_anything_else_leaves_all_days(where: str) -> None:
    """It may be true of every day, or cannot be told here."""
    query = "SELECT * FROM statsig.t AS d CROSS JOIN statsig.o AS o WHERE "

    assert needed(query + where) == {None, *ALL}


def test_the_condition_of_an_outer_select_is_not_that_of_an_inner_one() -> None:
    """It is about the columns that the inner one puts out, under whatever name."""
    inner = "SELECT t.unit_id, t.seen AS ds FROM statsig.t AS t"

    assert needed(f"SELECT * FROM ({inner}) AS t WHERE t.ds = {{d2}}") == {None, *ALL}


def test_what_where_keeps_out_of_an_outer_join_may_stay_closed() -> None:
    """Rows that find no match have no day, and the condition drops these as well."""
    query = "SELECT * FROM statsig.o AS o LEFT JOIN statsig.t AS d ON d.x = o.x WHERE d.ds = {d2}"

    assert needed(query) == {None, 2}


def test_the_condition_of_a_join_does_not_count() -> None:
    """Rows of a table that an outer join keeps are in the result whatever their day."""
    query = "SELECT * FROM statsig.t AS d LEFT JOIN statsig.o AS o ON d.ds = {d2}"

    assert needed(query) == {None, *ALL}

"""User SQL is read as a tree, or refused by name."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from sqlglot import exp

from statsig_staging import expressions
from statsig_staging.expressions import (
    bind_macros,
    column,
    columns_used,
    fingerprint,
    macros_used,
    parse_query,
    parse_scalar,
    parse_table,
    tables,
)

START, END = date(2026, 1, 1), date(2026, 1, 31)
MOMENT = datetime(2026, 1, 1, 8, 30, tzinfo=UTC)


def bound(sql: str) -> str:
    return bind_macros(parse_query(sql), START, END, MOMENT).sql("athena")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a FROM s.t",
        "select a from s.t;",
        "(SELECT 1)",
        "((SELECT 1))",
        "WITH x AS (SELECT 1 AS a) SELECT a FROM x",
        "SELECT 1 UNION ALL SELECT 2",
        "SELECT 1 EXCEPT SELECT 2",
        "SELECT ';' AS a, '--' AS b, '/*' AS c -- DROP TABLE x; SELECT 2",
        'SELECT "we;ird ""name""" FROM "s p"."t;t"',
        "SELECT u FROM s.t CROSS JOIN UNNEST(t.users) AS x (u)",
        "SELECT count(*), row_number() OVER (ORDER BY a) FROM s.t GROUP BY a",
        "SELECT 'héllo 世界 🎉' AS a",
        'SELECT "$path" FROM s.t',
    ],
)
def test_one_select_is_a_query(sql: str) -> None:
    """One SELECT, with WITH or UNION, quotes and comments of every kind, is a query."""
    assert isinstance(parse_query(sql), exp.Query)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "empty"),
        (" -- nothing\n", "empty"),
        (";", "empty"),
        ("SELECT 1; SELECT 2", "more than one statement"),
        ("SELECT 1;;DROP TABLE t", "more than one statement"),
        ("DROP TABLE t", "not a SELECT"),
        ("INSERT INTO t SELECT 1", "not a SELECT"),
        ("CREATE TABLE t AS SELECT 1", "not a SELECT"),
        ("MERGE INTO t USING s ON a = b WHEN MATCHED THEN DELETE", "not a SELECT"),
        ("UNLOAD (SELECT 1) TO 's3://b/p' WITH (format = 'PARQUET')", "not a SELECT"),
        ("EXPLAIN SELECT 1", "not a SELECT"),
        ("SHOW TABLES", "not a SELECT"),
        ("VALUES (1)", "not a SELECT"),
        ("FROM s.t", "not a SELECT"),
        ("CALL f()", "not a SELECT"),
        ("a + b", "not a SELECT"),
        ("WITH x AS (DELETE FROM t) SELECT 1", "more than read"),
        ("WITH x AS (INSERT INTO t VALUES (1)) SELECT 1", "more than read"),
        ("SELECT * INTO t FROM s.t", "more than read"),
        ("SELECT * FROM s.t FOR UPDATE", "more than read"),
        ("SELECT * FROM read_csv('/etc/passwd')", "no table"),
        ("SELECT * FROM a.b.c.d", "no table"),
        ("SELECT ?", "parameter"),
        ("SELECT :name", "parameter"),
        ("SELECT :statsig_start_date", "parameter"),
        ("SELECT @name", "parameter"),
        ("SELECT $1", "parameter"),
        ("SELECT 'open", "does not end"),
        ("SELECT 1 /* open", "does not end"),
        ("SELECT a FROM", "not SQL"),
        ("SELECT `a` FROM s.t", "not SQL"),
        ("SELECT 1 )", "not SQL"),
        ("SELECT \0", "NUL"),
        ("SELECT " + "(" * 3_000 + "1" + ")" * 3_000, "nested too deeply"),
        ("SELECT '" + "x" * 200_001 + "'", "longer"),
    ],
)
def test_anything_else_is_refused(sql: str, message: str) -> None:
    """What is not one SELECT is refused in one line that says why."""
    with pytest.raises(ValueError, match=message) as caught:
        parse_query(sql)

    assert "\n" not in str(caught.value)


def test_a_syntax_error_says_where_and_repeats_no_sql() -> None:
    """A syntax error names line and column, and never repeats what was written."""
    with pytest.raises(ValueError, match=r"\(line 2, column \d+\)") as caught:
        parse_query("SELECT secret\nFROM s.t WHERE topsecret topsecret 'topsecret'")

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("quotes", ["{}", "`{}`", '"{}"', "'{}'"])
def test_macros_become_literals_in_any_quotes(quotes: str) -> None:
    """A macro is a value, whether it stands alone or inside quotes."""
    macro = quotes.format("{statsig_start_date}")

    expected = "SELECT a FROM s.t WHERE d >= CAST('2026-01-01' AS DATE)"
    assert bound(f"SELECT a FROM s.t WHERE d >= {macro}") == expected


@pytest.mark.parametrize(
    ("macro", "literal"),
    [
        ("statsig_start_date", "CAST('2026-01-01' AS DATE)"),
        ("statsig_end_date", "CAST('2026-01-31' AS DATE)"),
        ("statsig_start_date_int", "20260101"),
        ("statsig_end_date_int", "20260131"),
        (
            "statsig_experiment_start_timestamp",
            "CAST('2026-01-01 08:30:00.000000' AS TIMESTAMP(6))",
        ),
    ],
)
def test_each_macro_has_its_literal(macro: str, literal: str) -> None:
    """Dates, day numbers and the naive timestamp are literals of their own types."""
    assert bound(f"SELECT {{{macro}}}") == f"SELECT {literal}"


def test_a_timestamp_is_bound_as_utc_without_a_zone() -> None:
    """An aware moment is converted to UTC and loses its zone."""
    moment = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    query = parse_query("SELECT {statsig_experiment_start_timestamp}")

    assert "'2026-01-01 00:00:00.000000'" in bind_macros(query, START, END, moment).sql("athena")


def test_braces_in_other_literals_and_comments_stay() -> None:
    """Only a literal that is exactly a macro is one; longer text and comments are left alone."""
    sql = "SELECT '{statsig_start_date} x', '{user}', '{}' -- {nonsense} {statsig_strt_date}"

    assert bound(sql) == "SELECT '{statsig_start_date} x', '{user}', '{}'"


def test_binding_leaves_the_query_as_it_was() -> None:
    """Binding returns a copy; the query can be bound again for other days."""
    query = parse_query("SELECT {statsig_start_date}, {statsig_end_date_int}")

    bind_macros(query, START, END, MOMENT)

    assert macros_used(query) == {"statsig_start_date", "statsig_end_date_int"}
    assert not macros_used(bind_macros(query, START, END, MOMENT))


@pytest.mark.parametrize(
    "macro", ["{statsig_strt_date}", "`{statsig_strt_date}`", "'{statsig_strt_date}'"]
)
def test_an_unknown_macro_suggests_the_nearest(macro: str) -> None:
    """A misspelled macro is refused, with the nearest one."""
    with pytest.raises(ValueError, match="did you mean 'statsig_start_date'"):
        parse_query(f"SELECT {macro}")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a FROM {statsig_start_date}",
        'SELECT a AS "{statsig_start_date}" FROM s.t',
        "SELECT a {statsig_start_date} FROM s.t",
        "SELECT {'a': 1}",
        "SELECT {statsig_start_date",
        "SELECT ${statsig_start_date}",
    ],
)
def test_a_macro_stands_for_a_value_only(sql: str) -> None:
    """A macro is no table, no alias and no other brace."""
    with pytest.raises(ValueError, match=r"\w"):
        parse_query(sql)


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("amount_cents / 100.0", {"amount_cents"}),
        ("event_name = 'purchase'", {"event_name"}),
        ("name = 'it''s; -- /* '", {"name"}),
        ('"we;ird ""x""" > 1', {'we;ird "x"'}),
        ("props.usd + json_extract_scalar(props.raw, '$.x')", {"props"}),
        ("cardinality(filter(items, x -> x > 1))", {"items"}),
        ("CASE WHEN a IS NULL THEN b ELSE 0 END", {"a", "b"}),
        ("TRY_CAST(a AS double)", {"a"}),
        ("名前 = '世界'", {"名前"}),
        ("'{'", set()),
        ("1", set()),
    ],
)
def test_a_scalar_names_the_columns_it_uses(sql: str, columns: set[str]) -> None:
    """A scalar expression is read as one, and says which columns it needs."""
    assert columns_used(parse_scalar(sql)) == columns


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "empty"),
        ("-- nothing", "empty"),
        ("a, b", "not one expression"),
        ("a FROM t", "not one expression"),
        ("a WHERE b", "not one expression"),
        ("a UNION SELECT 1", "not one expression"),
        ("DISTINCT a", "not one expression"),
        ("ALL a", "not one expression"),
        ("a LIMIT 1", "not one expression"),
        ("a; DROP TABLE t", "';'"),
        ("a;", "';'"),
        ("a) OR (1 = 1", "not SQL"),
        ("SELECT 1", "not SQL"),
        ("DROP TABLE t", "not SQL"),
        ("(SELECT 1)", "subquery"),
        ("a IN (SELECT 1)", "subquery"),
        ("EXISTS (SELECT 1)", "subquery"),
        ("sum(a)", "aggregate"),
        ("1 + max(a)", "aggregate"),
        ("count(*)", "aggregate"),
        ("map_agg(a, b)", "aggregate"),
        ("row_number() OVER ()", "window function"),
        ("row_number()", "window function"),
        ("*", "star"),
        ("t.*", "star"),
        ("a AS b", "alias"),
        ("a b", "alias"),
        ("?", "placeholder"),
        (":x", "placeholder"),
        ("@x", "parameter"),
        ("$1", "parameter"),
        ("{statsig_start_date}", "macro"),
        ("d > '{statsig_start_date}'", "macro"),
        ("'open", "does not end"),
    ],
)
def test_a_scalar_is_nothing_else(sql: str, message: str) -> None:
    """What is not one value for each row is refused in one line that says why."""
    with pytest.raises(ValueError, match=message) as caught:
        parse_scalar(sql)

    assert "\n" not in str(caught.value)


def test_a_long_scalar_is_read() -> None:
    """A thousand conditions in a row are one expression."""
    sql = " OR ".join(f"a = {number}" for number in range(1_000))

    assert columns_used(parse_scalar(sql)) == {"a"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shop.events", ("shop", "events")),
        ('"shop"."events"', ("shop", "events")),
        ('"sh.op"."e; DROP TABLE x --"', ("sh.op", "e; DROP TABLE x --")),
        ('"a""b".c', ('a"b', "c")),
        ("shop.order", ("shop", "order")),
        ('"店"."事件"', ("店", "事件")),
    ],
)
def test_a_table_has_two_parts(name: str, expected: tuple[str, str]) -> None:
    """A table is a database and a name, quoted or not."""
    table = parse_table(name)

    assert (table.db, table.name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        "events",
        "a.b.c",
        "a.b c",
        "a.b; DROP TABLE t",
        "'a'.'b'",
        '"".b',
        "a-b.c",
        "1.2",
        "a.",
        "x y",
    ],
)
def test_anything_else_is_no_table(name: str) -> None:
    """What has not exactly two parts is refused with the way to write it."""
    with pytest.raises(ValueError, match=r"database\.table"):
        parse_table(name)


@pytest.mark.parametrize("name", ["ts", 'a"b', "x; DROP TABLE t --", "世界", "select", "x" * 1_000])
def test_a_column_is_any_name(name: str) -> None:
    """A column name is taken as it is, whatever characters it has."""
    query = exp.select(column(name))

    parsed = parse_query(query.sql("athena"))
    assert columns_used(parsed) == {name}


def test_tables_are_the_physical_ones() -> None:
    """Common table expressions are no tables where they can be seen, and are where they cannot."""
    query = parse_query(
        """
        WITH a AS (SELECT * FROM a), b AS (SELECT * FROM a JOIN s.c ON true)
        SELECT * FROM b, A, s.a, d, (WITH d AS (SELECT 1) SELECT * FROM d) AS q
        WHERE EXISTS (SELECT 1 FROM s.e) AND x IN (SELECT y FROM s.c)
        UNION SELECT * FROM d
        """
    )

    assert [table.sql() for table in tables(query)] == ["a", "s.c", "s.a", "d", "s.e"]


def test_a_recursive_expression_does_not_read_itself() -> None:
    """WITH RECURSIVE hides the expression's own name inside itself."""
    query = parse_query(
        "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r JOIN s.t ON true)"
        " SELECT * FROM r"
    )

    assert [table.sql() for table in tables(query)] == ["s.t"]


def test_tables_of_a_very_long_union() -> None:
    """A query of a thousand parts is walked without running out of stack."""
    query = parse_query(" UNION ALL ".join(["SELECT a FROM s.t"] * 1_000))

    assert [table.sql() for table in tables(query)] == ["s.t"]


def test_columns_of_a_query_are_the_last_parts() -> None:
    """In a query a qualifier is a table, and a star is no column."""
    assert columns_used(parse_query("SELECT e.a, b, e.* FROM s.t AS e")) == {"a", "b"}


@pytest.mark.parametrize(
    "other",
    [
        "select a,\n\tB from S.t",
        "SELECT a, b FROM s.t;",
        "SELECT a, b -- comment\nFROM /* comment */ s.t",
    ],
)
def test_a_fingerprint_ignores_layout(other: str) -> None:
    """White space, comments and the case of plain words do not change a fingerprint."""
    assert fingerprint("SELECT a, b FROM s.t") == fingerprint(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a = 'x'", "a = 'X'"),
        ("a = 'x y'", "a = 'x  y'"),
        ("a", "'a'"),
        ('"a"', "'a'"),
        ('"A"', '"a"'),
        ("ab", "a b"),
        ("X'41'", "'41'"),
        ("1", "1.0"),
        ("'a', 'b'", "'a'', ''b'"),
        ("{statsig_start_date}", "{statsig_end_date}"),
    ],
)
def test_a_fingerprint_sees_what_matters(one: str, other: str) -> None:
    """Literals, quoted names and every token change a fingerprint."""
    assert fingerprint(one) != fingerprint(other)


def test_a_fingerprint_stays_for_ever() -> None:
    """A fingerprint is a fixed function of the tokens, whatever the version of the parser."""
    expected = "dc1dbb4cc90496a08f01ecb6303a3f3c018acabf09a70011a01f32026ef89db6"

    assert fingerprint("SELECT a FROM s.t WHERE b = 'C' GROUP  BY a") == expected


def test_a_suggestion_needs_a_near_name() -> None:
    """A name far from all others gets no suggestion."""
    assert expressions.suggestion("evnts", ["events", "x"]) == "; did you mean 'events'?"
    assert expressions.suggestion("zzz", ["events", "x"]) == ""

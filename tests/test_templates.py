"""Templates are plain SQL, and what is put into them stays what it was."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from statsig_staging import templates
from statsig_staging.templates import (
    DIALECT,
    aliased,
    bind,
    literal,
    part,
    replace_tables,
    template_root,
    values_table,
)

FOLDER = Path(__file__).parents[1] / "sql"
NAMES = sorted(file.stem for file in FOLDER.iterdir())


def select(sql: str) -> exp.Select:
    """Return a SELECT as a syntax tree."""
    return sqlglot.parse_one(sql, read=DIALECT, into=exp.Select)


def text(tree: exp.Expr) -> str:
    """Return a tree as Athena reads it."""
    return tree.sql(DIALECT, comments=False)


def test_templates_lie_beside_the_package() -> None:
    """A checkout keeps them where people look for SQL."""
    assert sorted(Path(file.name).stem for file in template_root().iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_one_select(name: str) -> None:
    """It parses as it stands, and there is nothing else in the file."""
    (tree,) = sqlglot.parse((FOLDER / f"{name}.sql").read_text("utf-8"), read=DIALECT)

    assert isinstance(tree, exp.Select)


@pytest.mark.parametrize("name", NAMES)
def test_a_template_starts_with_what_it_is_for(name: str) -> None:
    """The first line is a comment, a sentence."""
    lines = (FOLDER / f"{name}.sql").read_text("utf-8").splitlines()
    comment = " ".join(line for line in lines if line.startswith("-- "))

    assert lines[0].startswith("-- ")
    assert comment.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_a_template_names_its_columns(name: str) -> None:
    """Every column of the outcome has a name."""
    (tree,) = sqlglot.parse((FOLDER / f"{name}.sql").read_text("utf-8"), read=DIALECT)

    assert isinstance(tree, exp.Select)
    assert all(tree.named_selects)


def test_a_value_that_is_not_given_is_named() -> None:
    """A parameter never goes out as it stands."""
    table = exp.to_table("db.t")

    with pytest.raises(LookupError, match=r"'staged_unit_days' has no value for :on_days"):
        bind("staged_unit_days", tables={"unit_day_metrics": table, "late_units": table})


def test_a_table_that_is_not_given_is_named() -> None:
    """A logical name is no table of any database."""
    with pytest.raises(LookupError, match="'earliest_late_day' reads 'late_units'"):
        bind("earliest_late_day")


def test_tables_and_values_are_filled_in() -> None:
    """A bound template is a statement that can run."""
    bound = bind(
        "staged_unit_days",
        tables={"unit_day_metrics": exp.to_table("db.m"), "late_units": exp.to_table("db.l")},
        values={"on_days": exp.true()},
    )

    assert text(bound) == (
        "SELECT m.unit_id, m.ds FROM db.m AS m JOIN db.l AS l ON l.unit_id = m.unit_id WHERE TRUE"
    )


def test_binding_leaves_the_template_alone() -> None:
    """A template is read once and bound many times."""
    one, other = (
        bind("earliest_late_day", tables={"late_units": exp.to_table(f"db.{name}")})
        for name in ("a", "b")
    )

    assert "db.a" in text(one)
    assert "db.a" not in text(other)


def test_only_a_select_is_a_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template cannot write."""
    (tmp_path / "no_select.sql").write_text("DROP TABLE t", encoding="utf-8")
    monkeypatch.setattr(templates, "template_root", lambda: tmp_path)

    with pytest.raises(TypeError, match="'no_select' is not one SELECT"):
        bind("no_select")


@pytest.mark.parametrize(
    "value", ["it's", "' OR 1 = 1 --", "\\'", "a\nb", ":on_days", "{x}", 'say "no"', "/* */ ; --"]
)
def test_a_hostile_string_stays_a_literal(value: str) -> None:
    """Nothing inside a string is SQL, whatever it looks like."""
    written = text(exp.select(literal(value)))
    (read,) = sqlglot.parse(written, read=DIALECT)

    assert isinstance(read, exp.Select)
    assert [(node.is_string, node.name) for node in read.expressions] == [(True, value)]


@given(st.text())
def test_any_string_comes_back(value: str) -> None:
    """What Athena reads is what was put in."""
    read = sqlglot.parse_one(text(exp.select(literal(value))), read=DIALECT)

    assert [node.name for node in read.expressions] == [value]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 1, 1, 12, tzinfo=UTC), "2026-01-01 12:00:00.000000"),
        (
            datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))),
            "2025-12-31 23:00:00.000000",
        ),
        (datetime(2026, 1, 1, 0, 0, 0, 1), "2026-01-01 00:00:00.000001"),  # noqa: DTZ001
    ],
    ids=["UTC", "another zone", "no zone"],
)
def test_a_moment_becomes_naive_utc(value: datetime, expected: str) -> None:
    """Tables hold UTC without a zone, at microseconds."""
    assert text(literal(value)) == f"CAST('{expected}' AS TIMESTAMP(6))"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (date(2026, 1, 31), "CAST('2026-01-31' AS DATE)"),
        (True, "TRUE"),
        (None, "NULL"),
        (-1, "-1"),
        (exp.column("ds", "m"), "m.ds"),
    ],
    ids=["date", "bool", "nothing", "number", "tree"],
)
def test_other_values_become_literals(value: object, expected: str) -> None:
    """A date is no arithmetic, and a tree is taken as it is."""
    assert text(literal(value)) == expected


def test_values_as_a_table() -> None:
    """Every value is a literal, every column has a name."""
    table = values_table("k", ["metric", "number"], [["it's", 0], ["b", 1]])

    assert text(exp.select("k.metric").from_(table)) == (
        "SELECT k.metric FROM (VALUES ('it''s', 0), ('b', 1)) AS k(metric, number)"
    )


def test_replaced_tables_keep_their_aliases() -> None:
    """A table that has no alias keeps its logical name as one."""
    query = replace_tables(
        select("SELECT a.x, units.y FROM days AS a JOIN units ON units.x = a.x"),
        {"days": exp.to_table("db.t1"), "units": exp.to_table("db.t2")},
        template="t",
    )

    assert text(query) == (
        "SELECT a.x, units.y FROM db.t1 AS a JOIN db.t2 AS units ON units.x = a.x"
    )


def test_a_query_can_stand_for_a_table() -> None:
    """It becomes a subquery under the same alias."""
    query = replace_tables(
        select("SELECT d.x FROM days AS d"), {"days": select("SELECT 1 AS x")}, template="t"
    )

    assert text(query) == "SELECT d.x FROM (SELECT 1 AS x) AS d"


def test_what_is_no_logical_name_is_not_replaced() -> None:
    """Tables of a database and parts of the template itself stay."""
    sql = "WITH days AS (SELECT u.x FROM db.units AS u) SELECT d.x FROM days AS d"

    assert text(replace_tables(select(sql), {}, template="t")) == sql


def test_tables_inside_what_is_put_in_are_not_replaced() -> None:
    """A query that stands for a table has its own names."""
    inner = select("SELECT u.x FROM units AS u")
    query = replace_tables(select("SELECT d.x FROM days AS d"), {"days": inner}, template="t")

    assert "FROM units AS u" in text(query)


def test_a_part_of_a_query_is_changed_in_place() -> None:
    """What is added to the part is in the query."""
    query = select("WITH a AS (SELECT 1 AS x) SELECT a.x FROM a")

    part(query, "a").select("2 AS y", copy=False)

    assert text(query) == "WITH a AS (SELECT 1 AS x, 2 AS y) SELECT a.x FROM a"


def test_a_part_that_is_not_there_is_named() -> None:
    """A template and the code that fills it belong together."""
    with pytest.raises(LookupError, match="no part 'b'"):
        part(select("WITH a AS (SELECT 1 AS x) SELECT a.x FROM a"), "b")


def test_only_a_table_or_query_gets_an_alias() -> None:
    """A value is nothing to select from."""
    with pytest.raises(TypeError, match="not a table or query"):
        aliased(exp.Literal.number(1), "a")

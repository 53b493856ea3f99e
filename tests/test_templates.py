"""Templates are plain SQL, and what is put into them stays what it was."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from statsig_staging import expressions, templates
from statsig_staging.templates import (
    DIALECT,
    Blanks,
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
VERSIONS = Path(__file__).parent / "golden" / "template_versions.json"


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
    """A comment of one sentence or more, then a line with its version, then SQL."""
    lines = (FOLDER / f"{name}.sql").read_text("utf-8").splitlines()
    comment = [line for line in lines if line.startswith("--")]

    assert lines[: len(comment)] == comment
    assert comment[0].startswith("-- ")
    assert comment[-2].endswith(".")
    assert comment[-1] == f"-- version: {templates.version(name)}"


def test_a_template_without_a_version_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it computes could change unseen."""
    (tmp_path / "bare.sql").write_text("-- version: one\nSELECT 1 AS x", encoding="utf-8")
    monkeypatch.setattr(templates, "template_root", lambda: tmp_path)

    with pytest.raises(LookupError, match="'bare' carries no version"):
        templates.version("bare")


@dataclass(frozen=True)
class Edition:
    """A template's version, and a digest of its tokens, which comments are none of."""

    version: int
    digest: str

    @classmethod
    def of(cls, name: str) -> "Edition":
        """Return the edition of a template as it stands."""
        sql = (FOLDER / f"{name}.sql").read_text("utf-8")
        return cls(int(templates.version(name)), expressions.fingerprint(sql)[:16])

    def why_not_after(self, before: "Edition") -> str | None:
        """Return why this one may not follow another, or None where it may."""
        if self.version < before.version:
            return f"its version went back from {before.version} to {self.version}; raise it"
        if self.digest != before.digest and self.version == before.version:
            return (
                f"its SQL changed but its version did not; raise '-- version: {self.version}' to "
                f"{self.version + 1}, so that tables built by the old one are built again"
            )
        return None


def recorded() -> dict[str, Edition]:
    """Return the editions of the templates as they were recorded."""
    if not VERSIONS.exists():
        return {}
    found = json.loads(VERSIONS.read_text("utf-8"))
    return {name: Edition(**edition) for name, edition in found.items()}


def test_a_changed_template_has_a_new_version(update_golden: bool) -> None:
    """Tables that an earlier version built are stale; only the version says so."""
    before, now = recorded(), {name: Edition.of(name) for name in NAMES}
    refused = [
        f"sql/{name}.sql: {why}"
        for name, edition in now.items()
        if name in before and (why := edition.why_not_after(before[name]))
    ]
    assert not refused, "\n".join(refused)
    if update_golden:
        editions = {name: asdict(edition) for name, edition in now.items()}
        VERSIONS.write_text(json.dumps(editions, indent=2) + "\n", encoding="utf-8")
        before = recorded()
    assert before == now, (
        "versions were raised, templates added or removed; record them: "
        "python -m pytest tests/test_templates.py --update-golden"
    )


@pytest.mark.parametrize(
    ("after", "refusal"),
    [
        (Edition(3, "a"), None),
        (Edition(4, "b"), None),
        (Edition(4, "a"), None),
        (Edition(3, "b"), "raise '-- version: 3' to 4"),
        (Edition(2, "b"), "its version went back from 3 to 2"),
    ],
    ids=["same", "raised with a change", "raised without", "change alone", "lowered"],
)
def test_what_may_follow_a_version(after: Edition, refusal: str | None) -> None:
    """A change of SQL needs a raise; a raise needs no change of SQL."""
    why = after.why_not_after(Edition(3, "a"))

    assert why is None if refusal is None else refusal in str(why)


def test_comments_and_white_space_need_no_new_version() -> None:
    """They change no row."""
    one, other = "-- One.\nSELECT\n  a.x\nFROM a", "-- Two.\nselect a.x /* here */ from a"

    assert expressions.fingerprint(one) == expressions.fingerprint(other)


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
        bind("earliest_late_day", values={"days": 0})


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


def test_blanks_are_filled_in_again_and_again() -> None:
    """Each time every parameter says what was given last, whatever is in the text."""
    query = sqlglot.parse_one("SELECT :day AS a, t.x FROM t WHERE t.ds = :day OR t.y = :other")
    assert isinstance(query, exp.Query)
    blanks = Blanks(query)
    for day in ("2026-01-01", "it's', ''"):
        blanks.fill({"day": day, "other": ":day"})

        found = [node.name for node in query.find_all(exp.Literal)]
        assert sorted(found) == sorted([day, day, ":day"])
        assert sqlglot.parse_one(query.sql()) == query
    with pytest.raises(LookupError):
        blanks.fill({"day": "2026-01-01"})


def test_binding_leaves_the_template_alone() -> None:
    """A template is read once and bound many times."""
    one, other = (
        bind(
            "earliest_late_day",
            tables={"late_units": exp.to_table(f"db.{name}")},
            values={"days": 0},
        )
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

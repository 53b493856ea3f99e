"""The SQL for Athena keeps the rules of Athena: over all golden files, and each rule is one that can be broken."""

from datetime import date

import pytest
import sqlglot

from statsig_staging.names import TableName
from statsig_staging.plan import Column, ColumnType, Merge, Table
from statsig_staging.templates import DIALECT
from statsig_staging.warehouses.athena import dml
from statsig_staging.warehouses.athena.place import Place
from tests.athena_rules import broken_rules
from tests.conftest import GOLDEN

PLACE = Place(bucket="lake", folder="statsig", database="staging")
TARGET = Table(
    name=TableName(catalog="units_123", folder="units"),
    experiment_id="123",
    partitioned=True,
    columns=(
        Column("unit_id", ColumnType.STRING),
        Column("ds", ColumnType.DATE),
        *(Column(f"m{number}", ColumnType.DOUBLE) for number in range(150)),
    ),
)


def golden_statements() -> list[str]:
    """Return every SELECT of the golden files in Athena's dialect."""
    return [
        statement.sql(DIALECT, comments=False)
        for path in sorted(GOLDEN.glob("*.athena.sql"))
        for statement in sqlglot.parse(path.read_text(encoding="utf-8"), read=DIALECT)
        if statement is not None
    ]


def test_every_golden_statement_keeps_the_rules() -> None:
    """As it stands, and inside of each statement that a write sends."""
    statements = golden_statements()
    assert len(statements) > 20
    for sql in statements:
        assert broken_rules(sql) == [], sql
        select = sqlglot.parse_one(sql, read=DIALECT)
        assert isinstance(select, sqlglot.exp.Query)
        table = PLACE.node(TARGET)
        for tree in (
            dml.creation(table.copy(), TARGET, f"{PLACE.location(TARGET)}/", select.copy()),
            dml.insertion(table.copy(), TARGET.columns, select.copy()),
        ):
            assert broken_rules(tree.sql(DIALECT)) == []


def test_a_merge_of_the_widest_table_keeps_the_rules() -> None:
    """A hundred and fifty columns of metrics."""
    write = Merge(target=TARGET, keys=("unit_id", "ds"), deleted="is_deleted", batches=())
    rows = sqlglot.parse_one("SELECT 1 AS unit_id", read=DIALECT)
    assert isinstance(rows, sqlglot.exp.Select)

    merge = dml.merge(PLACE.node(TARGET), write, rows, ())

    assert broken_rules(merge.sql(DIALECT)) == []


@pytest.mark.parametrize("days", [None, [date(2026, 1, 1)]], ids=["all", "a day"])
def test_deletes_keep_the_rules(days: list[date] | None) -> None:
    """Of every row, and of partitions."""
    assert broken_rules(dml.deletion(PLACE.node(TARGET), days).sql(DIALECT)) == []
    assert broken_rules(dml.optimization(PLACE.node(TARGET)).sql(DIALECT)) == []


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("SELECT 1; SELECT 2", "not one statement"),
        (f"SELECT '{'x' * 262_144}'", "longer than"),
        ("CREATE OR REPLACE TABLE a.b WITH (table_type='ICEBERG') AS SELECT 1 AS c", "OR REPLACE"),
        ("CREATE TABLE a.b WITH (table_type='ICEBERG') AS SELECT 1 AS c", "needs a location"),
        ("CREATE TABLE a.b WITH (format='PARQUET') AS SELECT 1 AS c", "not Iceberg's"),
        ('DROP TABLE "a"."b"', "double quotes"),
        ('OPTIMIZE "a"."b" REWRITE DATA USING BIN_PACK', "double quotes"),
        ("VACUUM a.b", "no tree"),
        ("SELECT CAST(a AS TIMESTAMP) FROM b.c", "cast to TIMESTAMP"),
        ("SELECT CONCAT(" + ", ".join("'a'" for _ in range(128)) + ")", "128 arguments"),
        ("SELECT ARRAY[" + ", ".join("1" for _ in range(255)) + "]", "255 arguments"),
        (
            "MERGE INTO a.b USING c.d ON b.x = d.x WHEN NOT MATCHED BY SOURCE THEN DELETE",
            "BY SOURCE",
        ),
        (
            "CREATE TABLE a.b WITH (table_type='ICEBERG', is_external=false, location='s3://a/b/') AS "
            "SELECT 1 AS c ORDER BY 1",
            "ORDER BY is ignored",
        ),
    ],
)
def test_a_rule_that_is_broken(sql: str, rule: str) -> None:
    """Each is told by its name."""
    assert any(rule in broken for broken in broken_rules(sql)), broken_rules(sql)

"""The guard: a statement writes to the staging database and folder only, or is not sent."""

import pytest
import sqlglot
from sqlglot import exp

from statsig_staging.errors import WarehouseError
from statsig_staging.warehouses.athena import dml
from statsig_staging.warehouses.athena.guard import LONGEST, admitted

DATABASE, FOLDER = "staging", "s3://lake/statsig/"


def admit(sql: str) -> str:
    """Return the text of a statement that passes."""
    return admitted(sqlglot.parse_one(sql, read="athena"), DATABASE, FOLDER)


CTAS = "CREATE TABLE {name} WITH (table_type='ICEBERG', location='{place}') AS SELECT 1 AS a"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 AS a",
        'SELECT * FROM "shop"."events" UNION ALL SELECT * FROM "other"."events"',
        "WITH a AS (SELECT 1 AS b) SELECT * FROM a",
        CTAS.format(name='"staging"."t"', place="s3://lake/statsig/experiment-1/t/"),
        'INSERT INTO "staging"."t" ("a") SELECT 1',
        'DELETE FROM "staging"."t" WHERE "a" = 1',
        'MERGE INTO "staging"."t" AS t USING (SELECT 1 AS a) AS s ON t.a = s.a '
        "WHEN MATCHED AND s.a = 2 THEN DELETE WHEN MATCHED THEN UPDATE SET a = s.a "
        "WHEN NOT MATCHED THEN INSERT (a) VALUES (s.a)",
    ],
)
def test_what_a_load_sends_passes(sql: str) -> None:
    """Reads of anything, and writes to the staging database and folder."""
    assert admit(sql)


@pytest.mark.parametrize(
    "sql",
    [
        'INSERT INTO "shop"."events" ("a") SELECT 1',
        'INSERT INTO "other"."staging"."t" ("a") SELECT 1',
        "INSERT INTO t (a) SELECT 1",
        'DELETE FROM "shop"."events"',
        'MERGE INTO "shop"."t" AS t USING (SELECT 1 AS a) AS s ON t.a = s.a WHEN MATCHED THEN DELETE',
        CTAS.format(name='"shop"."t"', place="s3://lake/statsig/experiment-1/t/"),
        CTAS.format(name='"staging"."t"', place="s3://lake/other/t/"),
        CTAS.format(name='"staging"."t"', place="s3://lake/statsig-elsewhere/t/"),
        CTAS.format(name='"staging"."t"', place="s3://lake/statsig/../other/t/"),
        'CREATE TABLE "staging"."t" WITH (table_type=\'ICEBERG\') AS SELECT 1 AS a',
        'CREATE TABLE "staging"."t" (a bigint)',
        'CREATE OR REPLACE TABLE "staging"."t" AS SELECT 1 AS a',
        'CREATE VIEW "staging"."v" AS SELECT 1 AS a',
        'DROP TABLE "staging"."t"',
        'ALTER TABLE "staging"."t" ADD COLUMNS (b bigint)',
        'UPDATE "staging"."t" SET a = 1',
        "UNLOAD (SELECT 1) TO 's3://lake/statsig/x/' WITH (format='PARQUET')",
        "VACUUM staging.t",
        "OPTIMIZE shop.t REWRITE DATA USING BIN_PACK",
        "MSCK REPAIR TABLE staging.t",
        "GRANT SELECT ON staging.t TO x",
    ],
)
def test_anything_else_is_not_sent(sql: str) -> None:
    """Writes elsewhere, and every statement that a load has no use for."""
    with pytest.raises(WarehouseError, match="it was not sent"):
        admit(sql)


def test_a_write_inside_of_a_read_is_not_sent() -> None:
    """However it came into the tree."""
    with pytest.raises(WarehouseError, match="it was not sent"):
        admit('SELECT a INTO "shop"."t" FROM "shop"."events"')


def test_two_statements_are_not_sent() -> None:
    """A semicolon that a tree smuggles in makes two statements of its text."""
    tree = exp.select(exp.Var(this="1; DROP TABLE staging.t"))

    with pytest.raises(WarehouseError):
        admitted(tree, DATABASE, FOLDER)


def test_a_statement_that_is_too_long_is_not_sent() -> None:
    """Its length in bytes is what Athena counts."""
    fits = "ü" * ((LONGEST - 20) // 2)
    assert admit(f"SELECT '{fits}' AS a")

    with pytest.raises(WarehouseError, match="longer than"):
        admit(f"SELECT '{fits}{fits}' AS a")


def test_optimize_of_a_staging_table_passes() -> None:
    """Without quotes, which Athena refuses there."""
    table = exp.table_("t", db=DATABASE, quoted=True)

    text = admitted(dml.optimization(table), DATABASE, FOLDER)

    assert text == "OPTIMIZE staging.t REWRITE DATA USING BIN_PACK"

"""Clients of Athena against the endpoint, as they are: each finds it through the environment only."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.athena_endpoint.fixtures import DATABASE, Aws

CTAS = (
    "CREATE TABLE {name} WITH (table_type = 'ICEBERG', is_external = false, location = '{place}') AS "
    "SELECT * FROM (VALUES (CAST(1 AS bigint), 'ann', CAST(1.5 AS decimal(10, 2)), DATE '2026-01-01', "
    "CAST(TIMESTAMP '2026-01-01 10:00:00.123456' AS timestamp(6)), true), "
    "(CAST(2 AS bigint), '', NULL, NULL, NULL, NULL), (NULL, NULL, NULL, NULL, NULL, NULL)) "
    "AS v(id, name, price, ds, ts, ok)"
)
MERGE = (
    "MERGE INTO {name} t USING (SELECT CAST(1 AS bigint) AS id, 'eve' AS name) s ON t.id = s.id "
    "WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)"
)


def statements(aws: Aws, name: str) -> list[str]:
    """Return a statement of each kind, which leaves the row of id 1 with the name eve, and a view."""
    return [
        CTAS.format(name=name, place=aws.place(name)),
        f"INSERT INTO {name} (id, name) VALUES (3, 'joe')",
        MERGE.format(name=name),
        f"UPDATE {name} SET name = 'bob' WHERE id = 3",
        f"DELETE FROM {name} WHERE id = 3",
        f"ALTER TABLE {name} ADD COLUMNS (extra string)",
        f"UNLOAD (SELECT id FROM {name}) TO '{aws.place('out')}' WITH (format = 'PARQUET')",
        f"CREATE OR REPLACE VIEW {name}_view AS SELECT id, name FROM {name}",
        f"DESCRIBE {name}",
        f"SHOW CREATE TABLE {name}",
        f"CREATE TABLE gone (a int) LOCATION '{aws.place('gone')}' TBLPROPERTIES ('table_type' = 'ICEBERG')",
        "DROP TABLE gone",
    ]


def test_boto3(aws_environment: Aws) -> None:
    """boto3 without any argument runs every kind of statement, and reads its results in pages."""
    import boto3

    athena = boto3.client("athena")
    for sql in statements(aws_environment, "t"):
        started = athena.start_query_execution(
            QueryString=sql,
            QueryExecutionContext={"Database": DATABASE},
            ResultConfiguration={"OutputLocation": aws_environment.results},
        )
        status = aws_environment.wait(started["QueryExecutionId"])["Status"]
        assert status["State"] == "SUCCEEDED", status
    assert aws_environment.rows("SELECT id, name FROM t_view ORDER BY id") == [
        ("1", "eve"),
        ("2", ""),
        (None, None),
    ]
    athena.close()


@pytest.fixture
def connection(aws_environment: Aws) -> Iterator[Any]:
    """Return a connection of PyAthena."""
    from pyathena import connect

    found = connect(
        s3_staging_dir=aws_environment.results, schema_name=DATABASE, poll_interval=0.01
    )
    yield found
    found.client.close()
    found.close()


def test_pyathena(connection: Any, aws_environment: Aws) -> None:
    """PyAthena's default cursor runs every kind of statement and returns Python's types."""
    from datetime import date, datetime
    from decimal import Decimal

    cursor = connection.cursor()
    for sql in statements(aws_environment, "t"):
        cursor.execute(sql)
    rows = cursor.execute("SELECT * FROM t ORDER BY id").fetchall()
    moment = datetime(2026, 1, 1, 10, 0, 0, 123456)  # noqa: DTZ001 - without a zone, as it is
    assert rows[0] == (1, "eve", Decimal("1.50"), date(2026, 1, 1), moment, True, None)
    assert rows[1] == (2, "", None, None, None, None, None)
    assert [column[1] for column in cursor.description] == [
        "bigint", "varchar", "decimal", "date", "timestamp", "boolean", "varchar",
    ]  # fmt: skip
    assert cursor.execute("SHOW TABLES").fetchall() == [("t",), ("t_view",)]
    assert cursor.execute(
        "SELECT name FROM t WHERE id = ?", ["1"], paramstyle="qmark"
    ).fetchall() == [("eve",)]
    many = cursor.execute("SELECT n FROM UNNEST(sequence(1, 2500)) AS s(n)").fetchall()
    assert [row[0] for row in many] == list(range(1, 2501))
    from pyathena.error import OperationalError

    with pytest.raises(OperationalError, match="TABLE_NOT_FOUND"):
        cursor.execute("SELECT * FROM missing")
    cursor.close()


@pytest.mark.slow
@pytest.mark.parametrize("unload", [False, True])
def test_pyathena_arrow(connection: Any, aws_environment: Aws, unload: bool) -> None:
    """PyAthena's Arrow cursor reads results that Athena manages.

    Results in S3 it reads with pyarrow's S3FileSystem, to which PyAthena 4.2 gives no endpoint and which
    looks for none in the environment.
    """
    from pyathena import connect
    from pyathena.arrow.cursor import ArrowCursor

    aws_environment.run(CTAS.format(name="t", place=aws_environment.place("t")))
    aws_environment.client("athena").create_work_group(
        Name="managed", Configuration={"ManagedQueryResultsConfiguration": {"Enabled": True}}
    )
    managed = connect(work_group="managed", schema_name=DATABASE, poll_interval=0.01)
    cursor = managed.cursor(ArrowCursor)
    if unload:
        place = aws_environment.place("out")
        cursor.execute(f"UNLOAD (SELECT id FROM t) TO '{place}' WITH (format = 'PARQUET')")
        listed = aws_environment.client("s3").list_objects_v2(
            Bucket=aws_environment.bucket, Prefix="tables/out/"
        )
        assert listed["KeyCount"] == 1
    found = cursor.execute("SELECT id, name, price, ds, ok FROM t ORDER BY id").as_arrow()
    assert found["id"].to_pylist() == [1, 2, None]
    assert found["name"].to_pylist()[0] == "ann"
    assert str(found["price"].to_pylist()[0]) == "1.50"
    assert found["ok"].to_pylist() == [True, None, None]
    cursor.close()
    managed.client.close()
    managed.close()


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:engine='auto':DeprecationWarning"
)  # PyAthena 4.2 asks pandas 3.1 so
@pytest.mark.parametrize("unload", [False, True])
def test_pyathena_pandas(connection: Any, aws_environment: Aws, unload: bool) -> None:
    """PyAthena's pandas cursor reads the CSV, or what it had unloaded, from S3."""
    from pyathena.pandas.cursor import PandasCursor

    aws_environment.run(CTAS.format(name="t", place=aws_environment.place("t")))
    cursor = connection.cursor(PandasCursor, unload=unload)
    frame = cursor.execute("SELECT id, name, ds, ok FROM t ORDER BY id").as_pandas()
    assert frame["id"].tolist()[:2] == [1, 2]
    assert frame["name"].tolist()[0] == "ann"
    assert frame["id"].isna().tolist() == [False, False, True]
    cursor.close()


def wrangler_warnings(test: Any) -> Any:
    """Silence how awswrangler 3.17 calls pandas 3.1, which pandas 4 will not take."""
    for message in ("The copy keyword is deprecated", "The inplace keyword"):
        test = pytest.mark.filterwarnings(f"ignore:{message}:DeprecationWarning")(test)
    return test


@pytest.fixture
def wrangler(aws_environment: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return awswrangler, told nothing but how often to poll."""
    monkeypatch.setenv("WR_ATHENA_QUERY_WAIT_POLLING_DELAY", "0.02")
    import awswrangler as wr
    import boto3

    boto3.setup_default_session()
    wr.config.reset()
    wr.config.athena_query_wait_polling_delay = 0.02
    yield wr
    wr.config.reset()
    boto3.DEFAULT_SESSION = None


@pytest.mark.slow
@wrangler_warnings
@pytest.mark.parametrize(
    "how",
    [
        {"ctas_approach": False},
        {"ctas_approach": True},
        {"ctas_approach": False, "unload_approach": True},
    ],
)
def test_wrangler_reads(wrangler: Any, aws_environment: Aws, how: dict[str, bool]) -> None:
    """awswrangler reads a query by CSV, by CTAS and by UNLOAD."""
    aws_environment.run(CTAS.format(name="t", place=aws_environment.place("t")))
    frame = wrangler.athena.read_sql_query(
        "SELECT id, name, price, ds, ok FROM t WHERE id IS NOT NULL ORDER BY id",
        database=DATABASE,
        s3_output=aws_environment.place("unloaded")
        if how.get("unload_approach")
        else aws_environment.results,
        **how,
    )
    assert sorted(frame["id"].tolist()) == [1, 2]
    assert str(frame.sort_values("id")["price"].tolist()[0]) == "1.50"
    assert set(frame["name"].dropna().tolist()) >= {"ann"}


@pytest.mark.slow
@wrangler_warnings
def test_wrangler_writes(wrangler: Any, aws_environment: Aws) -> None:
    """awswrangler writes Iceberg by append, merge, overwrite of partitions and delete, and evolves columns."""
    import pandas as pd

    def write(frame: Any, **more: Any) -> None:
        wrangler.athena.to_iceberg(
            df=frame,
            database=DATABASE,
            table="w",
            table_location=aws_environment.place("w"),
            temp_path=aws_environment.place("temp"),
            s3_output=aws_environment.results,
            keep_files=False,
            **more,
        )

    def read() -> list[tuple[str | None, ...]]:
        return aws_environment.rows("SELECT * FROM w ORDER BY id")

    write(pd.DataFrame({"id": [1, 2], "day": ["a", "b"]}), partition_cols=["day"])
    write(pd.DataFrame({"id": [3], "day": ["b"]}), partition_cols=["day"])
    assert read() == [("1", "a"), ("2", "b"), ("3", "b")]
    write(pd.DataFrame({"id": [3, 4], "day": ["c", "c"]}), merge_cols=["id"])
    assert read() == [("1", "a"), ("2", "b"), ("3", "c"), ("4", "c")]
    write(
        pd.DataFrame({"id": [9], "day": ["c"]}), mode="overwrite_partitions", partition_cols=["day"]
    )
    assert read() == [("1", "a"), ("2", "b"), ("9", "c")]
    wrangler.athena.delete_from_iceberg_table(
        df=pd.DataFrame({"id": [1]}),
        database=DATABASE,
        table="w",
        merge_cols=["id"],
        temp_path=aws_environment.place("temp2"),
        s3_output=aws_environment.results,
    )
    frame = pd.DataFrame({"id": [5], "day": ["z"], "extra": [1.5]})
    write(frame, schema_evolution=True)
    assert read() == [("2", "b", None), ("5", "z", "1.5"), ("9", "c", None)]
    write(pd.DataFrame({"id": [7], "day": ["q"], "extra": [2.5]}), mode="overwrite")
    assert read() == [("7", "q", "2.5")]


@pytest.mark.slow
@wrangler_warnings
def test_wrangler_looks(wrangler: Any, aws_environment: Aws) -> None:
    """awswrangler describes, shows, repairs and unloads."""
    import pandas as pd

    s3 = wrangler.s3.to_parquet(
        df=pd.DataFrame({"id": [1, 2], "day": ["a", "b"]}),
        path=aws_environment.place("h"),
        dataset=True,
        database=DATABASE,
        table="h",
        partition_cols=["day"],
    )
    assert len(s3["paths"]) == 2
    more = {"database": DATABASE, "s3_output": aws_environment.results}
    described = wrangler.athena.describe_table(table="h", **more)
    assert described["Column Name"].tolist() == ["id", "day"]
    assert "CREATE EXTERNAL TABLE `h`" in wrangler.athena.show_create_table(table="h", **more)
    assert wrangler.athena.repair_table(table="h", **more) == "SUCCEEDED"
    wrangler.athena.create_ctas_table(sql="SELECT id FROM h", ctas_table="copy", wait=True, **more)
    assert aws_environment.rows("SELECT count(*) FROM copy") == [("2",)]
    unloaded = wrangler.athena.unload(
        sql="SELECT id FROM h", path=aws_environment.place("u"), database=DATABASE
    )
    assert unloaded.manifest_location.endswith("-manifest.csv")


def glue_catalog(aws: Aws) -> Any:
    """Return pyiceberg's catalog of an account, over HTTP."""
    from pyiceberg.catalog import load_catalog

    return load_catalog(
        "glue",
        **{
            "type": "glue",
            "glue.endpoint": aws.endpoint.url,
            "glue.access-key-id": aws.credentials.access_key,
            "glue.secret-access-key": aws.credentials.secret_key,
            "glue.region": "us-east-1",
            "s3.endpoint": aws.endpoint.url,
            "s3.access-key-id": aws.credentials.access_key,
            "s3.secret-access-key": aws.credentials.secret_key,
            "s3.region": "us-east-1",
        },
    )


def test_pyiceberg(aws: Aws) -> None:
    """pyiceberg's GlueCatalog reads what SQL wrote, with its deletes, and SQL reads what pyiceberg committed."""
    import pyarrow as pa

    catalog = glue_catalog(aws)
    for sql in statements(aws, "t")[:5]:
        aws.run(sql)
    table = catalog.load_table((DATABASE, "t"))
    found = table.scan(selected_fields=("id", "name")).to_arrow().sort_by("id").to_pydict()
    assert found == {"id": [1, 2, None], "name": ["eve", "", None]}
    rows = table.scan().to_arrow().schema.empty_table()
    table.append(pa.Table.from_pylist([{"id": 8, "name": "pat"}], schema=rows.schema))
    table.delete("id = 2")
    assert aws.rows("SELECT id, name FROM t ORDER BY id") == [
        ("1", "eve"),
        ("8", "pat"),
        (None, None),
    ]
    catalog.glue.close()


@pytest.mark.slow
def test_pyiceberg_loses_a_race(aws: Aws) -> None:
    """pyiceberg's commit of a table that SQL changed in between is a conflict, and SQL's the other way round."""
    from pyiceberg.exceptions import ValidationException

    catalog = glue_catalog(aws)
    aws.iceberg("t", "SELECT * FROM (VALUES (1), (2)) AS v(a)")
    stale = catalog.load_table((DATABASE, "t"))
    aws.run("DELETE FROM t WHERE a = 1")
    with pytest.raises(ValidationException):
        stale.delete("a = 2")
    hold = aws.endpoint.holds.hold(aws.id, stage="commit")
    late = aws.start("UPDATE t SET a = 3")
    aws.endpoint.holds.held(aws.id, hold)
    catalog.load_table((DATABASE, "t")).delete("a = 2")
    aws.endpoint.holds.release(aws.id)
    assert "ICEBERG_COMMIT_ERROR" in aws.wait(late)["Status"]["StateChangeReason"]
    catalog.glue.close()

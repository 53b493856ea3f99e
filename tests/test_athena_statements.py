"""Statements of the Athena endpoint: each really runs, and says what Athena says.

Where a test names a source, it is one of those in docs/athena-endpoint.md.
"""

from typing import Any

import pytest

from tests.athena_endpoint.fixtures import Aws

ORDERS = (
    "SELECT * FROM (VALUES (CAST(1 AS bigint), 'ann', DATE '2026-01-01'), "
    "(CAST(2 AS bigint), CAST(NULL AS varchar), DATE '2026-01-02'), "
    "(CAST(3 AS bigint), '', DATE '2026-01-02')) AS v(id, name, ds)"
)


@pytest.fixture
def orders(aws: Aws) -> Aws:
    """Return an account with the table ``orders`` of three rows on two days."""
    assert aws.iceberg("orders", ORDERS, partitioning=["ds"]) == 3
    return aws


def refusal(aws: Aws, sql: str, **more: Any) -> tuple[str, str]:
    """Return code and message of a statement that does not even start."""
    athena = aws.client("athena")
    with pytest.raises(athena.exceptions.InvalidRequestException) as caught:
        aws.start(sql, **more)
    answer = caught.value.response
    return answer["AthenaErrorCode"], answer["Error"]["Message"]


def test_ctas_then_select(orders: Aws) -> None:
    """What a CTAS wrote is read back, null and the empty text apart."""
    assert orders.rows("SELECT * FROM orders ORDER BY id") == [
        ("1", "ann", "2026-01-01"),
        ("2", None, "2026-01-02"),
        ("3", "", "2026-01-02"),
    ]


def test_insert(orders: Aws) -> None:
    """INSERT adds rows, by position and by name, and counts them; of no rows it counts none."""
    assert orders.count("INSERT INTO orders VALUES (4, 'dan', DATE '2026-01-03')") == 1
    assert orders.count("INSERT INTO orders (ds, id) SELECT ds, id + 10 FROM orders") == 4
    assert orders.count("INSERT INTO orders SELECT * FROM orders WHERE id = 99") == 0
    assert orders.rows("SELECT count(*), count(name), max(id) FROM orders") == [("8", "3", "14")]


def test_update_and_delete_write_position_deletes(orders: Aws) -> None:
    """UPDATE and DELETE of rows leave the data files and add delete files, which ``$files`` shows."""
    assert orders.count("UPDATE orders SET name = 'bob' WHERE id = 2") == 1
    assert orders.count("DELETE FROM orders WHERE id = 3") == 1
    files = orders.rows(
        'SELECT content, sum(record_count) FROM "orders$files" GROUP BY 1 ORDER BY 1'
    )
    assert files == [("0", "4"), ("1", "2")]
    assert orders.rows("SELECT id, name FROM orders ORDER BY id") == [("1", "ann"), ("2", "bob")]


def test_delete_of_whole_partitions_touches_metadata_only(orders: Aws) -> None:
    """A DELETE that partition values decide drops files and writes none."""
    assert orders.count("DELETE FROM orders WHERE ds = DATE '2026-01-02'") == 2
    assert orders.rows('SELECT content, record_count FROM "orders$files"') == [("0", "1")]
    assert orders.count("DELETE FROM orders") == 1
    assert orders.rows("SELECT * FROM orders") == []


MERGE = """
    MERGE INTO orders AS t USING (
        SELECT * FROM (VALUES (1, 'new'), (2, 'gone'), (9, 'added')) AS v(id, name)
    ) AS s ON t.id = s.id
    WHEN MATCHED AND s.name = 'gone' THEN DELETE
    WHEN MATCHED THEN UPDATE SET name = s.name
    WHEN NOT MATCHED THEN INSERT (id, name, ds) VALUES (s.id, s.name, DATE '2026-01-09')
"""


def test_merge(orders: Aws) -> None:
    """MERGE updates, deletes and inserts as one snapshot; the first clause that applies wins."""
    before = len(orders.rows('SELECT * FROM "orders$snapshots"'))
    assert orders.count(MERGE) == 3
    assert orders.rows("SELECT id, name FROM orders ORDER BY id") == [
        ("1", "new"),
        ("3", ""),
        ("9", "added"),
    ]
    assert len(orders.rows('SELECT * FROM "orders$snapshots"')) == before + 1


def test_merge_refuses_two_matches(orders: Aws) -> None:
    """A target row that two source rows match fails the statement, and nothing is written (Trino, MERGE)."""
    error = orders.fails(
        "MERGE INTO orders t USING (SELECT * FROM (VALUES (1, 'a'), (1, 'b')) AS v(id, name)) s "
        "ON t.id = s.id WHEN MATCHED THEN UPDATE SET name = s.name"
    )
    assert error["ErrorMessage"].startswith("MERGE_TARGET_ROW_MULTIPLE_MATCHES")
    assert error["ErrorCategory"] == 2
    assert orders.rows("SELECT name FROM orders WHERE id = 1") == [("ann",)]


def test_merge_null_keys_never_match(aws: Aws) -> None:
    """A null key is equal to none, so the row is inserted once more (Trino, MERGE)."""
    aws.iceberg("t", "SELECT CAST(NULL AS bigint) AS id")
    merge = "MERGE INTO t USING (SELECT CAST(NULL AS bigint) AS id) s ON {} WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)"
    assert aws.count(merge.format("t.id = s.id")) == 1
    assert aws.count(merge.format("t.id IS NOT DISTINCT FROM s.id")) == 0


def test_merge_replaces_partitions_in_one_commit(orders: Aws) -> None:
    """A MERGE on a synthetic key replaces a partition as one snapshot (Trino, MERGE)."""
    assert (
        orders.count("""
        MERGE INTO orders t USING (
            SELECT DATE '2026-01-02' AS k, CAST(NULL AS bigint) AS id, CAST(NULL AS varchar) AS name,
                CAST(NULL AS date) AS ds
            UNION ALL SELECT CAST(NULL AS date), CAST(7 AS bigint), 'new', DATE '2026-01-02'
        ) src ON t.ds = src.k
        WHEN MATCHED THEN DELETE
        WHEN NOT MATCHED AND src.k IS NULL THEN INSERT (id, name, ds) VALUES (src.id, src.name, src.ds)
    """)
        == 3
    )
    assert orders.rows("SELECT id FROM orders ORDER BY id") == [("1",), ("7",)]


MALFORMED = [
    "SELEC 1",
    "SELECT FROM WHERE",
    "SELECT 1; SELECT 2",
    "CREATE OR REPLACE TABLE t AS SELECT 1 AS a",
    'DROP TABLE "orders"',
    'ALTER TABLE "orders" ADD COLUMNS (x int)',
    'DESCRIBE "orders"',
    'SHOW CREATE TABLE "orders"',
    'SHOW COLUMNS IN "orders"',
    "CREATE TABLE \"x\" (a int) LOCATION 's3://b/x/'",
    'OPTIMIZE "orders" REWRITE DATA USING BIN_PACK',
    "ALTER TABLE IF EXISTS orders ADD COLUMNS (x int)",
    "ALTER TABLE orders ADD COLUMN x int",
    "ALTER TABLE orders RENAME COLUMN a TO b",
    "ALTER TABLE orders DROP COLUMN IF EXISTS a",
    "SELECT * FROM a.b.c.d",
    "INSERT OVERWRITE orders SELECT 1",
    "TRUNCATE TABLE orders",
    "MERGE INTO a USING b ON a.x = b.x WHEN NOT MATCHED BY SOURCE THEN DELETE",
    "DESCRIBE missing",
    "SHOW COLUMNS IN missing",
]


def test_malformed_statements_do_not_start(aws: Aws) -> None:
    """What does not parse is refused by StartQueryExecution itself (athena-local, statements)."""
    assert {sql: refusal(aws, sql)[0] for sql in MALFORMED} == dict.fromkeys(
        MALFORMED, "MALFORMED_QUERY"
    )
    assert aws.client("athena").list_query_executions()["QueryExecutionIds"] == []


def test_ctas_and_views_take_double_quotes(aws: Aws) -> None:
    """The Trino path quotes names with double quotes (athena-local, statements)."""
    aws.iceberg('"shop"."_odd"', "SELECT 1 AS a")
    aws.run('CREATE OR REPLACE VIEW "v" AS SELECT a + 1 AS b FROM "awsdatacatalog"."shop"."_odd"')
    assert aws.rows('SELECT b FROM "v"') == [("2",)]
    aws.run("DROP TABLE `_odd`")
    aws.run("DROP VIEW v")
    assert aws.rows("SHOW TABLES") == []


def test_block_comments_break_the_hive_path(orders: Aws) -> None:
    """A block comment fails DESCRIBE of a Hive table at run time; of an Iceberg table it does not (athena-local, statements)."""
    orders.run(f"CREATE EXTERNAL TABLE h (a int) STORED AS PARQUET LOCATION '{orders.place('h')}'")
    error = orders.fails("/* tag */ DESCRIBE h")
    assert (error["ErrorCategory"], error["ErrorType"]) == (1, 1003)
    assert "ParseException" in error["ErrorMessage"]
    assert orders.fails("SHOW CREATE TABLE /* tag */ missing")["ErrorType"] == 1003
    for sql in ("/* tag */ DESCRIBE orders", "-- tag\nDESCRIBE h", "/* tag */ DROP TABLE h"):
        orders.run(sql)
    assert orders.rows("/* tag */ SELECT count(*) FROM orders") == [("3",)]


MEANINGLESS = [
    ("SELECT * FROM missing", "TABLE_NOT_FOUND", 1301),
    ("SELECT * FROM nowhere.missing", "SCHEMA_NOT_FOUND", 1301),
    ("SELECT nope FROM orders", "COLUMN_NOT_FOUND", 1006),
    ("SELECT id / 0 FROM orders", "DIVISION_BY_ZERO", 1001),
    ("SELECT id / (id - id) FROM orders", "DIVISION_BY_ZERO", 1001),
    ("SELECT CAST(name AS bigint) FROM orders WHERE id = 1", "INVALID_CAST_ARGUMENT", 1100),
    ("SELECT * FROM orders WHERE id = 'x'", "TYPE_MISMATCH", 1002),
    ("INSERT INTO orders VALUES ('x', 'y', DATE '2026-01-01')", "TYPE_MISMATCH", 1002),
    ("INSERT INTO orders (id, nope) VALUES (1, 2)", "COLUMN_NOT_FOUND", 1006),
    ("CREATE TABLE t(n) AS SELECT 1", "MISSING_COLUMN_NAME", 1006),
    ("CREATE TABLE t AS SELECT 1", "MISSING_COLUMN_NAME", 1006),
    ("CREATE TABLE orders AS SELECT 1 AS a", "TABLE_ALREADY_EXISTS", 1110),
]


def test_semantic_errors_fail_with_their_type(orders: Aws) -> None:
    """What parses and means nothing ends in FAILED, with an AthenaError (athena-local, statements; AWS, error reference)."""
    for sql, name, type_ in MEANINGLESS:
        error = orders.fails(sql)
        assert error["ErrorMessage"].startswith(name), sql
        found = (error["ErrorCategory"], error["ErrorType"], error["Retryable"])
        assert found == (2, type_, False), sql


def test_decimal_literals_are_doubles(aws: Aws) -> None:
    """``0.1 + 0.2`` is what doubles make of it (athena-local, caveats)."""
    assert aws.rows("SELECT 0.1 + 0.2") == [("0.30000000000000004",)]


def test_ctas_needs_an_empty_place(aws: Aws) -> None:
    """A CTAS at the location of another fails, also of one that failed; IF NOT EXISTS does nothing (AWS, CTAS)."""
    aws.iceberg("first", "SELECT 1 AS a")
    place = aws.place("first")
    sql = "CREATE TABLE {} WITH (table_type = 'ICEBERG', is_external = false, location = '{}') AS SELECT 1 AS a"
    error = aws.fails(sql.format("second", place))
    assert error["ErrorMessage"].startswith("ICEBERG_FILESYSTEM_ERROR")
    assert error["ErrorType"] == 233
    assert aws.count(sql.format("IF NOT EXISTS first", place)) == 0


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ("table_type = 'ICEBERG', location = 's3://b/x/'", "is_external"),
        ("table_type = 'ICEBERG', is_external = false", "location must be set"),
        (
            "table_type = 'ICEBERG', is_external = false, location = 's3://b/x/', run_id = '7'",
            "run_id",
        ),
        (
            "table_type = 'ICEBERG', is_external = false, location = 's3://b/x/', "
            "partitioning = ARRAY['bucket(16, a)']",
            "partitioning",
        ),
    ],
)
def test_ctas_refuses_properties(aws: Aws, properties: str, message: str) -> None:
    """Properties of an Iceberg CTAS are a closed list, and two are required (AWS, Iceberg tables)."""
    error = aws.fails(f"CREATE TABLE t WITH ({properties}) AS SELECT 1 AS a")
    assert error["ErrorMessage"].startswith("INVALID_TABLE_PROPERTY")
    assert message in error["ErrorMessage"]


def test_timestamps_have_six_digits_in_iceberg_and_three_in_hive(aws: Aws) -> None:
    """A CTAS into Iceberg wants timestamp(6), and Hive's formats refuse it (aws-sdk-pandas#2252)."""
    moment = "TIMESTAMP '2026-01-01 10:00:00'"
    place = aws.place("t")
    ctas = (
        "CREATE TABLE t WITH (table_type = 'ICEBERG', is_external = false, location = '{}') AS "
        "SELECT CAST({} AS {}) AS ts"
    )
    assert "timestamp(6)" in aws.fails(ctas.format(place, moment, "timestamp"))["ErrorMessage"]
    aws.run(ctas.format(place, moment, "timestamp(6)"))
    for sql in (
        "CREATE TABLE h WITH (format = 'PARQUET') AS SELECT ts FROM t",
        f"UNLOAD (SELECT * FROM t) TO '{aws.place('u')}' WITH (format = 'PARQUET')",
    ):
        error = aws.fails(sql)
        assert error["ErrorMessage"].startswith("NOT_SUPPORTED: Incorrect timestamp precision")


@pytest.mark.slow
def test_hundred_partitions_and_no_more(aws: Aws) -> None:
    """A statement writes a hundred partitions; one more fails and leaves its files (AWS, CTAS)."""
    select = "SELECT n, n AS part FROM UNNEST(sequence(1, {})) AS s(n)"
    assert aws.iceberg("hundred", select.format(100), partitioning=["part"]) == 100
    error = aws.fails(f"INSERT INTO hundred {select.format(101)}")
    assert error["ErrorMessage"].startswith("ICEBERG_TOO_MANY_OPEN_PARTITIONS")
    assert aws.rows("SELECT count(*) FROM hundred") == [("100",)]
    listed = aws.client("s3").list_objects_v2(Bucket=aws.bucket, Prefix="tables/hundred/data/")
    assert listed["KeyCount"] == 201


@pytest.mark.slow
def test_buckets_count_as_partitions(aws: Aws) -> None:
    """The limit counts tuples: 16 buckets on 7 days are 112 (AWS, CTAS)."""
    aws.run(
        f"CREATE TABLE b (id bigint, day date) PARTITIONED BY (bucket(16, id), day) "
        f"LOCATION '{aws.place('b')}' TBLPROPERTIES ('table_type' = 'ICEBERG')"
    )
    rows = (
        "SELECT i, date_add('day', d, DATE '2026-01-01') FROM UNNEST(sequence(1, 200)) AS a(i) "
        "CROSS JOIN UNNEST(sequence(1, {})) AS b(d)"
    )
    assert aws.count(f"INSERT INTO b {rows.format(6)}") == 1200
    assert "TOO_MANY_OPEN" in aws.fails(f"INSERT INTO b {rows.format(7)}")["ErrorMessage"]


def test_unload(orders: Aws) -> None:
    """UNLOAD writes Parquet to an empty place and lists it in a manifest (AWS, UNLOAD)."""
    import io

    import pyarrow.parquet as pq

    place = orders.place("out")
    sql = f"UNLOAD (SELECT id, name FROM orders) TO '{place}' WITH (format = 'PARQUET', compression = 'SNAPPY')"
    manifest = orders.run(sql)["Statistics"]["DataManifestLocation"]
    s3 = orders.client("s3")
    key = manifest.removeprefix(f"s3://{orders.bucket}/")
    files = s3.get_object(Bucket=orders.bucket, Key=key)["Body"].read().decode().split()
    assert len(files) == 1
    assert files[0].startswith(place)
    written = s3.get_object(
        Bucket=orders.bucket, Key=files[0].removeprefix(f"s3://{orders.bucket}/")
    )
    table = pq.read_table(io.BytesIO(written["Body"].read()))
    assert table.sort_by("id").to_pydict() == {"id": [1, 2, 3], "name": ["ann", None, ""]}
    assert orders.fails(sql)["ErrorMessage"].startswith("HIVE_PATH_ALREADY_EXISTS")


def test_hive_ctas_and_partitions(orders: Aws) -> None:
    """A CTAS without a table type makes a Hive table below the results, whose partitions are in Glue (AWS, CTAS)."""
    sql = "CREATE TABLE h WITH (format = 'PARQUET', partitioned_by = ARRAY['day']) AS SELECT id, CAST(ds AS varchar) AS day FROM orders"
    execution = orders.run(sql)
    assert execution["Statistics"]["DataManifestLocation"].endswith("-manifest.csv")
    glue = orders.client("glue").get_table(DatabaseName="shop", Name="h")["Table"]
    assert (
        glue["StorageDescriptor"]["Location"]
        == f"{orders.results}tables/{execution['QueryExecutionId']}/"
    )
    assert orders.rows("SHOW PARTITIONS h") == [("day=2026-01-01",), ("day=2026-01-02",)]
    assert orders.count("INSERT INTO h SELECT 9, '2026-01-05'") == 1
    assert orders.rows("SELECT day, count(*) FROM h GROUP BY day ORDER BY day") == [
        ("2026-01-01", "1"),
        ("2026-01-02", "2"),
        ("2026-01-05", "1"),
    ]
    assert orders.fails("DELETE FROM h WHERE id = 9")["ErrorMessage"].startswith("NOT_SUPPORTED")


def test_external_text_files(aws: Aws) -> None:
    """Delimited and JSON files are read with their partitions, from folders that ALTER TABLE or MSCK names."""
    put = aws.client("s3").put_object
    put(Bucket=aws.bucket, Key="tables/c/2026-01-01/a.csv", Body=b"id,name\n1,ann\n2,\\N\n")
    put(Bucket=aws.bucket, Key="tables/c/2026-01-01/_hidden", Body=b"9,no\n")
    put(
        Bucket=aws.bucket,
        Key="tables/j/dt=2026-01-01/a.json",
        Body=b'{"id": 5, "tags": ["x", null]}\n',
    )
    aws.run(
        "CREATE EXTERNAL TABLE c (id bigint, name string) PARTITIONED BY (dt string) ROW FORMAT DELIMITED "
        f"FIELDS TERMINATED BY ',' LOCATION '{aws.place('c')}' TBLPROPERTIES ('skip.header.line.count' = '1')"
    )
    add = f"ALTER TABLE c ADD IF NOT EXISTS PARTITION (dt = '2026-01-01') LOCATION '{aws.place('c')}2026-01-01/'"
    aws.run(add)
    aws.run(add)
    assert aws.rows("SELECT id, name, dt FROM c ORDER BY id") == [
        ("1", "ann", "2026-01-01"),
        ("2", None, "2026-01-01"),
    ]
    aws.run(
        "CREATE EXTERNAL TABLE j (id bigint, tags array<string>) PARTITIONED BY (dt string) "
        f"ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' LOCATION '{aws.place('j')}'"
    )
    assert aws.rows("SELECT * FROM j") == []
    aws.run("MSCK REPAIR TABLE j")
    assert aws.rows("SELECT * FROM j") == [("5", "[x, null]", "2026-01-01")]


def test_partition_projection(aws: Aws) -> None:
    """Projected partitions are read without being in Glue, and days outside the range are not there (AWS, partition projection)."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    for day, id_ in (("2026-01-01", 1), ("2026-02-01", 2)):
        buffer = io.BytesIO()
        pq.write_table(pa.table({"id": pa.array([id_], pa.int64())}), buffer)
        aws.client("s3").put_object(
            Bucket=aws.bucket, Key=f"tables/p/{day}/a.parquet", Body=buffer.getvalue()
        )
    aws.run(
        "CREATE EXTERNAL TABLE p (id bigint) PARTITIONED BY (dt string) STORED AS PARQUET "
        f"LOCATION '{aws.place('p')}' TBLPROPERTIES ('projection.enabled' = 'true', "
        "'projection.dt.type' = 'date', 'projection.dt.range' = '2026-01-01,2026-01-05', "
        f"'projection.dt.format' = 'yyyy-MM-dd', 'storage.location.template' = '{aws.place('p')}${{dt}}/')"
    )
    assert aws.rows("SELECT id, dt FROM p") == [("1", "2026-01-01")]


def test_empty_iceberg_table_and_evolution(aws: Aws) -> None:
    """CREATE TABLE with Hive's words, then columns added, renamed, widened, moved and dropped (AWS, Iceberg schema)."""
    aws.run(
        "CREATE TABLE shop.e (id int COMMENT 'key', `name` string, gone double) PARTITIONED BY (truncate(1, name)) "
        f"LOCATION '{aws.place('e')}' TBLPROPERTIES ('table_type' = 'ICEBERG', 'write_compression' = 'snappy')"
    )
    aws.run("INSERT INTO e VALUES (1, 'ann', 1.5e0)")
    aws.run("ALTER TABLE e ADD COLUMNS (extra string, more decimal(5,2))")
    aws.run("ALTER TABLE e CHANGE COLUMN id key bigint")
    aws.run("ALTER TABLE e DROP COLUMN gone")
    aws.run("INSERT INTO e (key, name, extra) VALUES (2, 'bob', 'x')")
    assert aws.rows("SELECT * FROM e ORDER BY key") == [
        ("1", "ann", None, None),
        ("2", "bob", "x", None),
    ]
    assert aws.rows("SHOW COLUMNS IN e") == [
        (f"{name:<20}",) for name in ("key", "name", "extra", "more")
    ]
    aws.run("ALTER TABLE e SET TBLPROPERTIES ('vacuum_max_snapshot_age_seconds' = '60')")
    assert "run_id" in aws.fails("ALTER TABLE e SET TBLPROPERTIES ('run_id' = '7')")["ErrorMessage"]
    assert aws.fails("ALTER TABLE e REPLACE COLUMNS (a int)")["ErrorType"] == 1003
    glue = aws.client("glue").get_table(DatabaseName="shop", Name="e")["Table"]
    current = {
        c["Name"]: c["Parameters"]["iceberg.field.current"]
        for c in glue["StorageDescriptor"]["Columns"]
    }
    assert current["gone"] == "false"
    assert current["key"] == "true"
    aws.run("ALTER TABLE e RENAME TO f")
    assert aws.rows("SHOW TABLES") == [("f",)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [("a smallint", "smallint"), ("a tinyint", "tinyint"), ("a char(3)", "char")],
)
def test_iceberg_ddl_refuses_types(aws: Aws, columns: str, message: str) -> None:
    """Athena creates Iceberg tables with the types of its list only (AWS, Iceberg tables)."""
    error = aws.fails(
        f"CREATE TABLE e ({columns}) LOCATION '{aws.place('e')}' TBLPROPERTIES ('table_type' = 'ICEBERG')"
    )
    assert message in error["ErrorMessage"]


def test_external_iceberg_is_refused(aws: Aws) -> None:
    """EXTERNAL and Iceberg exclude each other (AWS, Iceberg tables)."""
    error = aws.fails(
        f"CREATE EXTERNAL TABLE e (a int) LOCATION '{aws.place('e')}' TBLPROPERTIES ('table_type' = 'ICEBERG')"
    )
    assert "External keyword not supported for table type ICEBERG" in error["ErrorMessage"]


def test_drop_table_deletes_the_data_of_iceberg(orders: Aws) -> None:
    """DROP TABLE deletes the files of an Iceberg table (AWS, Iceberg tables)."""
    orders.run("DROP TABLE orders")
    listed = orders.client("s3").list_objects_v2(Bucket=orders.bucket, Prefix="tables/orders/")
    assert listed["KeyCount"] == 0
    orders.run("DROP TABLE IF EXISTS orders")
    assert orders.fails("DROP TABLE orders")["ErrorType"] == 1003


def test_time_travel(orders: Aws) -> None:
    """FOR VERSION and FOR TIMESTAMP AS OF read the past, with the columns of the past (AWS, time travel)."""
    ((first, moment),) = orders.rows('SELECT snapshot_id, committed_at FROM "orders$snapshots"')
    assert moment is not None
    assert moment.endswith(" UTC")
    orders.run("INSERT INTO orders VALUES (4, 'dan', DATE '2026-01-03')")
    assert orders.rows(f"SELECT count(*) FROM orders FOR VERSION AS OF {first}") == [("3",)]
    past = f"SELECT count(*) FROM orders FOR TIMESTAMP AS OF TIMESTAMP '{moment}'"
    assert orders.rows(past) == [("3",)]
    assert orders.rows("SELECT count(*) FROM orders") == [("4",)]


def test_metadata_tables(orders: Aws) -> None:
    """The metadata tables of an Iceberg table are tables (AWS, Iceberg metadata)."""
    assert orders.rows('SELECT operation FROM "orders$snapshots"') == [("append",)]
    assert orders.rows('SELECT is_current_ancestor FROM "orders$history"') == [("true",)]
    assert orders.rows('SELECT name, type FROM "orders$refs"') == [("main", "BRANCH")]
    partitions = 'SELECT partition, record_count FROM "orders$partitions" ORDER BY 2'
    assert orders.rows(partitions) == [("{ds=2026-01-01}", "1"), ("{ds=2026-01-02}", "2")]
    assert orders.rows('SELECT added_data_files_count FROM "orders$manifests"') == [("2",)]
    paths = orders.rows('SELECT DISTINCT "$path" FROM orders')
    assert sorted(paths) == sorted(orders.rows('SELECT file_path FROM "orders$files"'))


def test_information_schema_and_describe(orders: Aws) -> None:
    """Tables and columns are described by queries, by SHOW and DESCRIBE, and by the metadata API."""
    columns = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'orders' ORDER BY ordinal_position"
    assert orders.rows(columns) == [("id", "bigint"), ("name", "varchar"), ("ds", "date")]
    assert orders.rows("SHOW TABLES IN shop 'ord*'") == [("orders",)]
    assert orders.rows("SHOW DATABASES") == [("shop",)]
    described = [row[0] for row in orders.rows("DESCRIBE orders")]
    assert "id\tbigint\t" in described
    assert "ds\tidentity\tds" in described
    created = "\n".join(str(row[0]) for row in orders.rows("SHOW CREATE TABLE orders"))
    assert "PARTITIONED BY (`ds`)" in created
    athena = orders.client("athena")
    metadata = athena.get_table_metadata(
        CatalogName="AwsDataCatalog", DatabaseName="shop", TableName="orders"
    )["TableMetadata"]
    assert [column["Type"] for column in metadata["Columns"]] == ["bigint", "string", "date"]
    with pytest.raises(athena.exceptions.MetadataException):
        athena.get_table_metadata(
            CatalogName="AwsDataCatalog", DatabaseName="shop", TableName="missing"
        )


def test_databases(aws: Aws) -> None:
    """Databases are created and dropped, and one with tables only with CASCADE."""
    aws.run("CREATE DATABASE IF NOT EXISTS staging COMMENT 'x'")
    aws.run("CREATE DATABASE IF NOT EXISTS staging")
    assert aws.fails("CREATE SCHEMA staging")["ErrorType"] == 1003
    aws.iceberg("staging.t", "SELECT 1 AS a")
    assert aws.fails("DROP DATABASE staging")["ErrorType"] == 1003
    aws.run("DROP DATABASE staging CASCADE")
    assert aws.rows("SHOW DATABASES") == [("shop",)]


def test_optimize_and_vacuum(orders: Aws) -> None:
    """OPTIMIZE folds delete files in, VACUUM deletes what no snapshot names."""
    orders.run("UPDATE orders SET name = 'x'")
    orders.run("OPTIMIZE orders REWRITE DATA USING BIN_PACK WHERE ds >= DATE '2026-01-01'")
    assert orders.rows('SELECT content, count(*) FROM "orders$files" GROUP BY 1') == [("0", "2")]
    assert orders.rows('SELECT operation FROM "orders$snapshots" ORDER BY committed_at')[-1] == (
        "replace",
    )
    orders.run(
        "ALTER TABLE orders SET TBLPROPERTIES ('vacuum_max_snapshot_age_seconds' = '0', "
        "'vacuum_min_snapshots_to_keep' = '1')"
    )
    orders.run("VACUUM orders")
    assert len(orders.rows('SELECT * FROM "orders$snapshots"')) == 1
    data = orders.client("s3").list_objects_v2(Bucket=orders.bucket, Prefix="tables/orders/data/")
    assert data["KeyCount"] == 2
    assert orders.rows("SELECT count(*), min(name) FROM orders") == [("3", "x")]


def test_vacuum_wants_more_runs(orders: Aws) -> None:
    """A VACUUM with more files than a run deletes fails, not retryable, and is simply run again (AWS, VACUUM)."""
    orders.account.settings.vacuum_files = 3
    orders.run("UPDATE orders SET name = 'x'")
    orders.run("DELETE FROM orders")
    orders.run("ALTER TABLE orders SET TBLPROPERTIES ('vacuum_max_snapshot_age_seconds' = '0')")
    error = orders.fails("VACUUM orders")
    assert error["ErrorMessage"].startswith("ICEBERG_VACUUM_MORE_RUNS_NEEDED")
    assert (error["ErrorCategory"], error["ErrorType"], error["Retryable"]) == (2, 233, False)


def test_execution_parameters_are_classified(orders: Aws) -> None:
    """A parameter that is an expression without columns is one, any other is a text (athena-local, api)."""
    sql = "SELECT ?, ? || '', ? FROM orders WHERE id = ?"
    given = ["1+1", "abc", "it's", "1"]
    assert orders.rows(sql, ExecutionParameters=given) == [("2", "abc", "it's")]
    assert refusal(orders, sql, ExecutionParameters=["1"])[0] == "MALFORMED_QUERY"


def test_prepared_statements(orders: Aws) -> None:
    """A prepared statement of the workgroup runs with the values of EXECUTE."""
    orders.client("athena").create_prepared_statement(
        StatementName="by_id",
        WorkGroup="primary",
        QueryStatement="SELECT name FROM orders WHERE id = ?",
    )
    assert orders.rows("EXECUTE by_id USING 1") == [("ann",)]


def test_partition_statements_are_not_for_iceberg(orders: Aws) -> None:
    """SHOW PARTITIONS, ADD PARTITION and MSCK are for Hive tables (AWS, Iceberg tables)."""
    for sql in (
        "SHOW PARTITIONS orders",
        "ALTER TABLE orders ADD PARTITION (ds = '2026-01-01') LOCATION 's3://b/x/'",
        "MSCK REPAIR TABLE orders",
        "ALTER TABLE orders SET LOCATION 's3://b/x/'",
    ):
        assert orders.fails(sql)["ErrorType"] == 1003


def test_an_unknown_catalog_is_noticed_by_queries_only(orders: Aws) -> None:
    """A catalog that does not exist fails a query, and the Hive path falls back to the default (athena-local, api)."""
    context = {"Database": "shop", "Catalog": "nowhere"}
    error = orders.fails("SELECT 1", QueryExecutionContext=context)
    assert error["ErrorMessage"].startswith("CATALOG_NOT_FOUND")
    assert orders.rows("SHOW TABLES", QueryExecutionContext=context) == [("orders",)]


def test_vacuum_refuses_the_root_of_a_bucket(aws: Aws) -> None:
    """A table at the root of its bucket is not vacuumed (AWS, VACUUM)."""
    bucket = f"root-{aws.id}"
    aws.client("s3").create_bucket(Bucket=bucket)
    aws.run(
        f"CREATE TABLE r (a int) LOCATION 's3://{bucket}/' TBLPROPERTIES ('table_type' = 'ICEBERG')"
    )
    assert "root of a bucket" in aws.fails("VACUUM r")["ErrorMessage"]


@pytest.mark.slow
def test_optimize_wants_more_runs(aws: Aws) -> None:
    """OPTIMIZE rewrites a hundred partitions a run, and fails as long as there are more (AWS, OPTIMIZE)."""
    select = "SELECT n, n AS part FROM UNNEST(sequence({}, {})) AS s(n)"
    aws.iceberg("t", select.format(1, 100), partitioning=["part"])
    for first, last in ((101, 120), (1, 100), (101, 120)):
        aws.run(f"INSERT INTO t {select.format(first, last)}")
    error = aws.fails("OPTIMIZE t REWRITE DATA USING BIN_PACK")
    assert error["ErrorMessage"].startswith("ICEBERG_OPTIMIZE_MORE_RUNS_NEEDED")
    assert error["Retryable"] is False
    aws.run("OPTIMIZE t REWRITE DATA USING BIN_PACK")
    assert aws.rows('SELECT count(*), sum(record_count) FROM "t$files"') == [("120", "240")]


def test_now_is_one_moment(aws: Aws) -> None:
    """``now()`` is the same wherever a statement asks."""
    assert aws.rows("SELECT now() = current_timestamp") == [("true",)]


def test_unnamed_columns(aws: Aws) -> None:
    """Columns without a name are ``_col0`` and on; names are in lower case."""
    execution = aws.run("SELECT 1, 'x' AS Word, 2")
    result = aws.client("athena").get_query_results(QueryExecutionId=execution["QueryExecutionId"])
    assert [c["VarCharValue"] for c in result["ResultSet"]["Rows"][0]["Data"]] == [
        "_col0",
        "word",
        "_col2",
    ]

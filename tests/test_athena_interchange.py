"""One table, three writers: what SQL, pyiceberg and DuckDB write reads the same in each of them."""

import io
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.athena_endpoint.fixtures import DATABASE, Aws
from tests.test_athena_clients import glue_catalog

COLUMNS = (
    "id bigint, small int, ok boolean, real float, wide double, price decimal(12,2), name string, day date, "
    "ts timestamp, data binary, tags array<string>, counts map<string,bigint>, place struct<x:int,label:string>"
)

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("small", pa.int32()),
        ("ok", pa.bool_()),
        ("real", pa.float32()),
        ("wide", pa.float64()),
        ("price", pa.decimal128(12, 2)),
        ("name", pa.string()),
        ("day", pa.date32()),
        ("ts", pa.timestamp("us")),
        ("data", pa.binary()),
        ("tags", pa.list_(pa.string())),
        ("counts", pa.map_(pa.string(), pa.int64())),
        ("place", pa.struct([("x", pa.int32()), ("label", pa.string())])),
    ]
)


def moment(*parts: int) -> datetime:
    """Return a moment without a zone, as the column is."""
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001


def rows() -> list[dict[str, Any]]:
    """Return a row of everything, one of nothing, and one of edges."""
    full = {
        "id": 1, "small": -7, "ok": True, "real": 1.5, "wide": 0.1, "price": Decimal("12.34"), "name": "añ😀",
        "day": date(2026, 1, 2), "ts": moment(2026, 1, 2, 3, 4, 5, 678901), "data": b"\x00\xff",
        "tags": ["a", None, ""], "counts": [("k", 5)], "place": {"x": 3, "label": "here"},
    }  # fmt: skip
    nothing = dict.fromkeys(full)
    edges: dict[str, Any] = {
        **nothing, "id": 3, "name": "", "day": date(1969, 12, 31), "ts": moment(1960, 1, 1, 0, 0, 0, 1),
        "wide": -1e300, "price": Decimal("-9999999999.99"), "tags": [], "counts": [],
    }  # fmt: skip
    return [full, {**nothing, "id": 2}, edges]


def by_sql(aws: Aws) -> None:
    """Write the rows with INSERT."""
    for sql in (
        "INSERT INTO t SELECT CAST(1 AS bigint), CAST(-7 AS integer), true, CAST(1.5 AS real), 0.1, "
        "CAST('12.34' AS decimal(12, 2)), 'añ😀', DATE '2026-01-02', TIMESTAMP '2026-01-02 03:04:05.678901', "
        "data, ARRAY['a', NULL, ''], counts, place FROM other WHERE id = 1",
        "INSERT INTO t (id) VALUES (2)",
        "INSERT INTO t (id, name, day, ts, wide, price, tags, counts) SELECT CAST(3 AS bigint), '', DATE '1969-12-31', "
        "TIMESTAMP '1960-01-01 00:00:00.000001', -1e300, CAST('-9999999999.99' AS decimal(12, 2)), tags, counts "
        "FROM other WHERE id = 3",
    ):
        aws.run(sql)


def by_pyiceberg(aws: Aws) -> None:
    """Append the rows with pyiceberg, over HTTP."""
    catalog = glue_catalog(aws)
    catalog.load_table((DATABASE, "t")).append(pa.Table.from_pylist(rows(), schema=SCHEMA))
    catalog.glue.close()


def by_duckdb(aws: Aws) -> None:
    """Have DuckDB write a Parquet file without field ids, and add it to the table."""
    catalog = glue_catalog(aws)
    source = pa.Table.from_pylist(rows(), schema=SCHEMA)
    with duckdb.connect() as connection:
        connection.register("source", source)
        place = Path(aws.endpoint.copies.scratch()) / "a.parquet"
        connection.execute(f"COPY (SELECT * FROM source) TO '{place}' (FORMAT parquet)")
    aws.client("s3").put_object(Bucket=aws.bucket, Key="files/a.parquet", Body=place.read_bytes())
    catalog.load_table((DATABASE, "t")).add_files([f"s3://{aws.bucket}/files/a.parquet"])
    catalog.glue.close()


@pytest.fixture
def table(aws: Aws) -> Aws:
    """Return an account with the empty table ``t`` and a table ``other`` that pyiceberg filled."""
    for name in ("other", "t"):
        aws.run(
            f"CREATE TABLE {name} ({COLUMNS}) LOCATION '{aws.place(name)}' TBLPROPERTIES ('table_type' = 'ICEBERG')"
        )
    catalog = glue_catalog(aws)
    catalog.load_table((DATABASE, "other")).append(pa.Table.from_pylist(rows(), schema=SCHEMA))
    catalog.glue.close()
    return aws


TEXTS = [
    (
        "1", "-7", "true", "1.5", "0.1", "12.34", "añ😀", "2026-01-02", "2026-01-02 03:04:05.678901", "00 ff",
        "[a, null, ]", "{k=5}", "{x=3, label=here}",
    ),
    ("2", *[None] * 12),
    (
        "3", None, None, None, "-1.0E300", "-9999999999.99", "", "1969-12-31", "1960-01-01 00:00:00.000001",
        None, "[]", "{}", None,
    ),
]  # fmt: skip


def normal(found: pa.Table) -> list[dict[str, Any]]:
    """Return rows by id, maps as pairs whatever the reader makes of them."""
    listed = found.sort_by("id").to_pylist()
    return [
        {
            key: list(value.items()) if key == "counts" and isinstance(value, dict) else value
            for key, value in row.items()
        }
        for row in listed
    ]


@pytest.mark.parametrize(
    "write",
    [by_sql, *(pytest.param(by, marks=pytest.mark.slow) for by in (by_pyiceberg, by_duckdb))],
)
def test_written_by_one_read_by_all(table: Aws, write: Callable[[Aws], None]) -> None:
    """Every type, null, the empty text, empty lists and moments before 1970 come back from each reader."""
    write(table)
    assert table.rows("SELECT * FROM t ORDER BY id") == TEXTS
    catalog = glue_catalog(table)
    loaded = catalog.load_table((DATABASE, "t"))
    assert normal(loaded.scan().to_arrow().cast(SCHEMA)) == rows()
    connection = loaded.scan().to_duckdb("t")
    assert normal(connection.sql("SELECT * FROM t").to_arrow_table().cast(SCHEMA)) == rows()
    connection.close()
    catalog.glue.close()


def test_external_parquet_of_duckdb(aws: Aws) -> None:
    """A file that DuckDB wrote is a Hive table, whose timestamps have milliseconds (aws-sdk-pandas#2252)."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows(), schema=SCHEMA), buffer)
    aws.client("s3").put_object(Bucket=aws.bucket, Key="tables/x/a.parquet", Body=buffer.getvalue())
    aws.run(f"CREATE EXTERNAL TABLE x ({COLUMNS}) STORED AS PARQUET LOCATION '{aws.place('x')}'")
    found = aws.rows("SELECT id, ts, place, tags FROM x ORDER BY id")
    assert found[0] == ("1", "2026-01-02 03:04:05.678", "{x=3, label=here}", "[a, null, ]")
    assert found[1] == ("2", None, None, None)


def test_partitions_are_those_of_the_specification(aws: Aws) -> None:
    """Each transform gives the partition that pyiceberg's transforms compute from the row (Iceberg, partition transforms)."""
    micros = 1767323045000000
    values = {"id": 34, "name": "abc", "day": 20455, "ts": micros}
    transforms = [
        "year(ts)", "month(ts)", "day(ts)", "hour(ts)", "bucket(16, id)", "bucket(8, name)", "truncate(10, id)",
        "truncate(2, name)", "name", "day",
    ]  # fmt: skip
    aws.run(
        f"CREATE TABLE p (id bigint, name string, day date, ts timestamp) PARTITIONED BY ({', '.join(transforms)}) "
        f"LOCATION '{aws.place('p')}' TBLPROPERTIES ('table_type' = 'ICEBERG')"
    )
    row = "34, 'abc', DATE '2026-01-02', TIMESTAMP '2026-01-02 03:04:05'"
    aws.run(f"INSERT INTO p VALUES ({row}), (NULL, NULL, NULL, NULL)")
    table = aws.account.catalog.load_table((DATABASE, "p"))
    schema = table.schema()
    expected = []
    for field in table.spec().fields:
        source = schema.find_field(field.source_id)
        expected.append(field.transform.transform(source.field_type)(values[source.name]))
    files = [task.file for task in table.scan().plan_files()]
    found = {tuple(file.partition[n] for n in range(len(expected))) for file in files}
    assert found == {tuple(expected), tuple([None] * len(expected))}
    (path,) = aws.rows('SELECT "$path" FROM p WHERE id = 34')
    assert "/ts_day=2026-01-02/" in str(path[0])
    assert "/name=abc/" in str(path[0])

"""GloBox on Athena: the known answers, from Hive tables of Parquet files that come day by day.

Skipped where the data are absent.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
import yaml

import statsig_staging as staging
from tests.athena_endpoint.fixtures import DATABASE, Aws
from tests.athena_worlds import STAGING, athena_connection, glue_of
from tests.test_globox import (
    DAYS,
    FROM_SQL,
    FROM_TABLE,
    GLOBOX,
    LAST,
    NOW,
    check,
    connected,
    same,
    write_project,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not GLOBOX.is_dir(), reason="the GloBox data are not here"),
]

HIVE = {"string": "string", "date32[day]": "date", "double": "double", "int64": "bigint"}


class HiveTable:
    """A Hive table of Parquet files, partitioned by a day that is written as text.

    Args:
        aws: The account.
        name: Its name.
        rows: All its rows, in time.
        day: The column of the day; the partition key is ``arrived``.
    """

    def __init__(self, aws: Aws, name: str, rows: pa.Table, day: str) -> None:
        self._aws = aws
        self._name = name
        self._rows = rows
        self._day = day
        columns = [{"Name": each.name, "Type": HIVE[str(each.type)]} for each in rows.schema]
        self._storage = {
            "Columns": columns,
            "Location": f"s3://{aws.bucket}/lake/{name}/",
            "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
            "SerdeInfo": {
                "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
            },
        }
        aws.client("glue").create_table(
            DatabaseName=DATABASE,
            TableInput={
                "Name": name,
                "TableType": "EXTERNAL_TABLE",
                "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet"},
                "StorageDescriptor": self._storage,
                "PartitionKeys": [{"Name": "arrived", "Type": "string"}],
            },
        )

    def arrive(self, *days: Any) -> None:
        """Have the rows of some days arrive, a partition and a file for each."""
        for day in days:
            place = f"lake/{self._name}/arrived={day}/"
            buffer = io.BytesIO()
            pq.write_table(self._rows.filter(pc.equal(self._rows[self._day], day)), buffer)
            body = buffer.getvalue()
            self._aws.client("s3").put_object(
                Bucket=self._aws.bucket, Key=f"{place}part-0.parquet", Body=body
            )
            storage = {**self._storage, "Location": f"s3://{self._aws.bucket}/{place}"}
            self._aws.client("glue").batch_create_partition(
                DatabaseName=DATABASE,
                TableName=self._name,
                PartitionInputList=[{"Values": [str(day)], "StorageDescriptor": storage}],
            )


def read(name: str) -> pa.Table:
    """Return a file of the data as a table without nulls in names."""
    options = csv.ConvertOptions(strings_can_be_null=True)
    return csv.read_csv(GLOBOX / name, convert_options=options)


@contextmanager
def athena_project(aws: Aws, folder: Path, source: dict[str, Any]) -> Iterator[staging.Engine]:
    """Open the project of the local tests over the tables of an account."""
    write_project(folder, source, "unused.csv", "unused.csv")
    path = folder / "staging.yml"
    definition = yaml.safe_load(path.read_text(encoding="utf-8"))
    definition["connection"] = athena_connection(aws)
    definition["metric_sources"][0]["partition"] = {"column": "arrived"}
    path.write_text(yaml.safe_dump(definition, sort_keys=False), encoding="utf-8")
    glue_of(aws).create_namespace_if_not_exists(STAGING)
    with staging.connect(staging.load_project(folder), now=lambda: NOW) as engine:
        yield engine


@pytest.mark.parametrize("source", [FROM_TABLE, FROM_SQL], ids=["table", "sql"])
def test_the_known_answers_on_athena(
    aws_environment: Aws, tmp_path: Path, source: dict[str, Any]
) -> None:
    """Loads over partitions that come, and every cell is what the local warehouse has."""
    aws = aws_environment
    groups = read("groups.csv")
    if source is FROM_TABLE:
        groups = groups.append_column("experiment_id", pa.array(["globox"] * groups.num_rows))
    exposures = HiveTable(aws, "groups", groups, "join_dt")
    activity = HiveTable(aws, "activity", read("activity.csv"), "dt")
    with athena_project(aws, tmp_path / "athena", source) as engine:
        for start, end in [(0, 4), (4, 5), (5, len(DAYS))]:
            exposures.arrive(*DAYS[start:end])
            activity.arrive(*DAYS[start:end])
            engine.run("globox", through=DAYS[end - 1])
        found = engine.results("globox").to_pylist()
    check(found)

    write_project(
        tmp_path / "local", FROM_SQL, *(str(GLOBOX / f"{n}.csv") for n in ("groups", "activity"))
    )
    with connected(tmp_path / "local") as engine:
        engine.run("globox", through=LAST)
        same(found, engine.results("globox").to_pylist())

"""Source tables on Athena: what is seen of them, and of their changes, without any statement."""

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestEntry,
    ManifestEntryStatus,
)
from pyiceberg.table import StaticTable, Table
from pyiceberg.typedef import Record

from statsig_staging.config import Partition
from statsig_staging.days import Window
from statsig_staging.errors import SourceFileError, WarehouseError
from statsig_staging.plan import Read
from statsig_staging.sources import (
    Observation,
    TableObservation,
    changed_days,
)
from statsig_staging.warehouses.athena.glue import GlueTables, athena_type
from statsig_staging.warehouses.athena.lake import PATH_FIELD, Deletes
from statsig_staging.warehouses.athena.observing import DEFINITION, Observer
from statsig_staging.warehouses.base import Sighting
from tests.athena_endpoint.fixtures import DATABASE, REGION, Aws

NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)
WINDOW = Window(date(2026, 1, 1), date(2026, 1, 5))
BY_DS = Partition(column="ds")
PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
LAZY = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
COLUMNS = {"user_id": "string", "ts": "timestamp", "amount": "double"}


def day(number: int) -> date:
    """Return a day of January 2026."""
    return date(2026, 1, number)


def at(number: int, hour: int = 12) -> datetime:
    """Return a moment of January 2026, UTC."""
    return datetime(2026, 1, number, hour)  # noqa: DTZ001 - as the column is


@dataclass
class Bench:
    """An account with source tables, and an observer of them."""

    aws: Aws
    loaded: list[str] = field(default_factory=list)

    def load(self, where: str, name: str) -> Table:
        """Return an Iceberg table over HTTP, as the adapter does."""
        self.loaded.append(name)
        return StaticTable.from_metadata(
            where,
            {
                "s3.endpoint": self.aws.endpoint.url,
                "s3.access-key-id": self.aws.credentials.access_key,
                "s3.secret-access-key": self.aws.credentials.secret_key,
                "s3.region": REGION,
            },
        )

    @property
    def observer(self) -> Observer:
        """An observer whose clock stands still."""
        glue = GlueTables(self.aws.client("glue"))
        return Observer(glue, self.aws.client("s3"), self.load, lambda: NOW)

    def see(
        self, known: TableObservation | None = None, name: str = "shop.events", **changes: Any
    ) -> TableObservation:
        """Return what the table holds, with what an earlier look knew of it."""
        sighting = Sighting(
            **{"table": name, "timestamp": "ts", "units": ("user_id",), "window": WINDOW, **changes}
        )
        files = known.files if known is not None else ()
        return self.observer.observe(sighting, {file.path: file for file in files})

    def hive(
        self,
        name: str = "events",
        *,
        columns: Mapping[str, str] = COLUMNS,
        keys: Mapping[str, str] | None = None,
        serde: str = PARQUET,
        **more: Any,
    ) -> None:
        """Create a Hive table, or describe it anew."""
        glue = self.aws.client("glue")
        table = {
            "Name": name,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"EXTERNAL": "TRUE", **more.get("parameters", {})},
            "PartitionKeys": [{"Name": n, "Type": t} for n, t in (keys or {}).items()],
            "StorageDescriptor": {
                "Columns": [{"Name": n, "Type": t} for n, t in columns.items()],
                "Location": more.get("location", self.place(name)),
                "SerdeInfo": {
                    "SerializationLibrary": serde,
                    "Parameters": more.get("options", {}),
                },
                "InputFormat": more.get("input_format", ""),
            },
        }
        known = [found["Name"] for found in glue.get_tables(DatabaseName=DATABASE)["TableList"]]
        call = glue.update_table if name in known else glue.create_table
        call(DatabaseName=DATABASE, TableInput=table)

    def place(self, name: str = "events") -> str:
        """Return where a table lies."""
        return f"s3://{self.aws.bucket}/lake/{name}/"

    def partition(self, *values: str, name: str = "events", location: str | None = None) -> None:
        """Add a partition to a Hive table."""
        place = location or self.place(name) + "/".join(values) + "/"
        self.aws.client("glue").create_partition(
            DatabaseName=DATABASE,
            TableName=name,
            PartitionInput={"Values": list(values), "StorageDescriptor": {"Location": place}},
        )

    def put(self, key: str, data: bytes) -> str:
        """Write an object, and return its path."""
        self.aws.client("s3").put_object(Bucket=self.aws.bucket, Key=f"lake/{key}", Body=data)
        return f"s3://{self.aws.bucket}/lake/{key}"

    def parquet(self, key: str, *days: int, **options: Any) -> str:
        """Write a Parquet object with a row for each day."""
        return self.put(key, rows(days, **options))

    def delete(self, path: str) -> None:
        """Delete an object."""
        bucket, _, key = path.removeprefix("s3://").partition("/")
        self.aws.client("s3").delete_object(Bucket=bucket, Key=key)

    def counts(self, do: Callable[[], object]) -> dict[str, int]:
        """Return the calls that something makes."""
        before = self.aws.endpoint.calls.counts(self.aws.id)
        do()
        after = self.aws.endpoint.calls.counts(self.aws.id)
        counts = {name: count - before.get(name, 0) for name, count in after.items()}
        return {name: count for name, count in counts.items() if count}


def rows(
    days: Iterable[int],
    *,
    amount: float = 1.0,
    users: Iterable[str | None] | None = None,
    **options: Any,
) -> bytes:
    """Return a Parquet file with a row for each day of January 2026."""
    moments = [at(number) for number in days]
    found = list(users) if users is not None else [f"u{n}" for n in range(len(moments))]
    table = pa.table(
        {
            "user_id": pa.array(found, pa.string()),
            "ts": pa.array(moments, pa.timestamp("ms")),
            "amount": pa.array([amount] * len(moments), pa.float64()),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


@pytest.fixture
def bench(aws: Aws) -> Bench:
    """An account without source tables."""
    return Bench(aws)


def days_of(seen: TableObservation) -> dict[str, tuple[int, ...]]:
    """Return the name of each file → its days of January."""
    return {file.path.rsplit("/", 1)[1]: tuple(d.day for d in file.days) for file in seen.files}


def changes(before: TableObservation, now: TableObservation) -> set[int]:
    """Return the days of January that changed between two looks."""
    digests = [
        Observation(source="s", columns={}, tables=(each,), dated=True).digests()
        for each in (before, now)
    ]
    return {found.day for found in changed_days(*digests)}


# Hive tables


def test_a_hive_table_is_known_by_its_footers(bench: Bench) -> None:
    """Rows, days, missing ids and bytes of each column come from footers; the columns from Glue."""
    bench.hive(columns={**COLUMNS, "tags": "array<string>", "n": "int", "p": "decimal(10,2)"})
    path = bench.parquet("events/a.parquet", 1, 3, users=["u", None])
    seen = bench.see()
    (file,) = seen.files
    assert seen.columns == {
        "user_id": "varchar",
        "ts": "timestamp(3)",
        "amount": "double",
        "n": "integer",
        "p": "decimal(10, 2)",
    }
    assert (file.path, file.rows, dict(file.nulls)) == (path, 2, {"user_id": 1})
    assert file.days == (day(1), day(2), day(3))
    footer = pq.read_metadata(io.BytesIO(rows([1, 3], users=["u", None])))
    sizes = [footer.row_group(0).column(n).total_compressed_size for n in range(3)]
    assert dict(file.column_bytes) == dict(zip(COLUMNS, sizes, strict=True))
    read = Read(table="shop.events", columns=seen.columns, files=seen.files, used=frozenset({"ts"}))
    assert read.bytes == sizes[1]


def test_days_of_row_groups_are_apart(bench: Bench) -> None:
    """A file whose row groups have single days has no days in between."""
    bench.hive()
    bench.parquet("events/a.parquet", 1, 4, row_group_size=1)
    assert days_of(bench.see()) == {"a.parquet": (1, 4)}


def test_what_is_hidden_or_empty_is_no_file(bench: Bench) -> None:
    """Names that begin with _ or ., at any depth, folders and objects without content are passed over."""
    bench.hive()
    bench.parquet("events/deep/er/a.parquet", 1)
    for key in ("_SUCCESS", ".a.crc", "_tmp/b.parquet", "deep/.c/d.parquet"):
        bench.put(f"events/{key}", b"no parquet")
    for key in ("empty", "folder/"):
        bench.put(f"events/{key}", b"")
    bench.parquet("events_more/a.parquet", 2)
    assert list(days_of(bench.see())) == ["a.parquet"]


def test_nothing_is_opened_where_nothing_changed(bench: Bench) -> None:
    """A second look lists objects and opens none; a new object alone is opened."""
    bench.hive()
    for number in (1, 2, 3):
        bench.parquet(f"events/{number}.parquet", number)
    first = bench.see()
    calls = bench.counts(lambda: bench.see(first))
    assert calls == {"glue.GetTable": 1, "s3.ListObjectsV2": 1}
    assert bench.see(first).files == first.files
    bench.parquet("events/4.parquet", 4)
    assert bench.counts(lambda: bench.see(first))["s3.GetObject"] == 1
    assert changes(first, bench.see(first)) == {4}


def test_an_object_of_the_same_size_is_another_one(bench: Bench) -> None:
    """An object that was replaced by one of its size changes its days; one written again as it was does not."""
    bench.hive()
    bench.parquet("events/1.parquet", 1)
    bench.parquet("events/2.parquet", 2)
    first = bench.see()
    bench.parquet("events/1.parquet", 1, amount=1.0)
    assert changes(first, bench.see(first)) == set()
    bench.parquet("events/1.parquet", 1, amount=2.0)
    second = bench.see(first)
    assert [file.size for file in first.files] == [file.size for file in second.files]
    assert changes(first, second) == {1}


def test_an_object_that_is_gone_changes_its_days(bench: Bench) -> None:
    """The days of an object that vanished are seen to have changed."""
    bench.hive()
    paths = [bench.parquet(f"events/{number}.parquet", number) for number in (1, 2)]
    first = bench.see()
    bench.delete(paths[0])
    assert changes(first, bench.see(first)) == {1}


def test_partitions_are_listed_together(bench: Bench) -> None:
    """Partitions below the table's folder take one listing, others one each; values are told apart."""
    bench.hive(keys={"ds": "string"})
    for number in (1, 2, 3):
        bench.partition(f"2026-01-0{number}")
        bench.parquet(f"events/2026-01-0{number}/{number}.parquet", number)
    bench.partition("2026-01-04", location=bench.place("elsewhere") + "x")
    bench.parquet("elsewhere/x/4.parquet", 4)
    bench.parquet("elsewhere/xy/5.parquet", 4)
    bench.parquet("events/2026-01-09/unknown.parquet", 9)
    seen = bench.see(partition=BY_DS)
    assert days_of(seen) == {f"{n}.parquet": (n,) for n in (1, 2, 3, 4)}
    assert seen.columns["ds"] == "varchar"
    calls = bench.counts(lambda: bench.see(seen, partition=BY_DS))
    assert calls == {"glue.GetTable": 1, "glue.GetPartitions": 1, "s3.ListObjectsV2": 2}


def test_a_partition_narrows_the_days(bench: Bench) -> None:
    """Days are those that the partition may hold and the footer allows; what the footer proves is misplaced."""
    bench.hive(keys={"ds": "date"})
    for number in (2, 3):
        bench.partition(f"2026-01-0{number}")
    bench.parquet("events/2026-01-02/wide.parquet", 1, 4)
    bench.parquet("events/2026-01-02/far.parquet", 9, 10)
    bench.parquet("events/2026-01-03/near.parquet", 3)
    strict = bench.see(partition=BY_DS)
    assert days_of(strict) == {"wide.parquet": (2,), "far.parquet": (), "near.parquet": (3,)}
    assert sum(file.misplaced for file in strict.files) == 2
    loose = bench.see(partition=Partition(column="ds", early=2, late=1))
    assert days_of(loose)["wide.parquet"] == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("kind", "value", "format_", "days"),
    [
        ("string", "2026-01-02", None, (2,)),
        ("date", "2026-01-02", None, (2,)),
        ("timestamp", "2026-01-02 00:00:00", None, (2,)),
        ("int", "20260102", "%Y%m%d", (2,)),
        ("string", "02.01.2026", "%d.%m.%Y", (2,)),
        ("string", "2026-01", "%Y-%m", tuple(range(1, 32))),
        ("string", "__HIVE_DEFAULT_PARTITION__", None, ()),
        ("string", "no date", None, ()),
    ],
)
def test_text_files_have_the_days_of_their_partition(
    bench: Bench, kind: str, value: str, format_: str | None, days: tuple[int, ...]
) -> None:
    """Files without footers have the days of the date that their partition is called by."""
    bench.hive(keys={"ds": kind}, serde=LAZY)
    bench.partition(value, location=bench.place() + "p/")
    bench.put("events/p/a.csv", b"u,2026-01-02 00:00:00,1\n")
    seen = bench.see(partition=Partition(column="ds", format=format_))
    assert days_of(seen) == {"a.csv": days}
    assert dict(seen.files[0].column_bytes) == {"": 24}


def test_text_files_without_dates_may_have_any_day(bench: Bench) -> None:
    """Every day that matters changes with such a file, and the next day is not forgotten."""
    bench.hive(serde=LAZY)
    bench.put("events/a.csv", b"u,2026-01-02 00:00:00,1\n")
    first = bench.see()
    assert days_of(first) == {"a.csv": (1, 2, 3, 4)}
    assert first.files[0].anytime
    later = bench.see(first, window=Window(day(1), day(6)))
    assert days_of(later) == {"a.csv": (1, 2, 3, 4, 5)}
    assert changes(first, later) == {5}
    bench.put("events/b.csv", b"u,2026-01-03 00:00:00,1\n")
    assert changes(first, bench.see(first)) == {1, 2, 3, 4}
    assert days_of(bench.see(window=None)) == {"a.csv": (), "b.csv": ()}


def test_footers_that_tell_nothing_hide_nothing(bench: Bench) -> None:
    """A file without statistics, or with a moment of another age, may have any day; one of nulls has none."""
    bench.hive()
    bench.parquet("events/none.parquet", 2, write_statistics=False)
    moments = [at(1), datetime(9999, 1, 1)]  # noqa: DTZ001
    for name, values in (("ages", moments), ("nulls", [None])):
        table = pa.table(
            {"ts": pa.array(values, pa.timestamp("ms")), "user_id": ["u"] * len(values)}
        )
        pq.write_table(table, buffer := io.BytesIO())
        bench.put(f"events/{name}.parquet", buffer.getvalue())
    every = (1, 2, 3, 4)
    seen = bench.see()
    assert days_of(seen) == {"ages.parquet": every, "none.parquet": every, "nulls.parquet": ()}
    assert dict(next(f for f in seen.files if "none" in f.path).nulls) == {}


def test_long_footers_are_fetched_whole(bench: Bench) -> None:
    """A footer that is longer than what is asked for at first is read by a second call."""
    bench.hive()
    path = bench.parquet("events/a.parquet", *range(1, 5), *[1] * 2000, row_group_size=2)
    calls = bench.counts(bench.see)
    assert calls["s3.GetObject"] == 2
    (file,) = bench.see().files
    assert (file.path, file.rows) == (path, 2004)


def test_a_file_that_is_no_parquet_is_named(bench: Bench) -> None:
    """An object that cannot be read is an error with its path."""
    bench.hive()
    bench.put("events/bad.parquet", b"not at all")
    with pytest.raises(SourceFileError, match=r"lake/events/bad\.parquet: cannot be read"):
        bench.see()
    bench.put("events/bad.parquet", b"x" * 20 + (5).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(SourceFileError, match=r"lake/events/bad\.parquet: cannot be read"):
        bench.see()


def test_an_object_that_changes_meanwhile_is_an_error(bench: Bench) -> None:
    """What is read is what was listed, or the look fails."""
    bench.hive()
    path = bench.parquet("events/a.parquet", 1)
    s3 = bench.aws.client("s3")

    def meanwhile(**_: object) -> None:
        s3.meta.events.unregister("before-call.s3.GetObject", meanwhile)
        bench.parquet("events/a.parquet", 2)

    s3.meta.events.register("before-call.s3.GetObject", meanwhile)
    with pytest.raises(SourceFileError, match="changed while it was looked at"):
        bench.see()
    assert path


def test_an_added_column_is_no_change_and_another_type_is(bench: Bench) -> None:
    """Columns of a known file follow Glue; its content changes with the type of a column or the format."""
    bench.hive()
    bench.parquet("events/1.parquet", 1)
    first = bench.see()
    bench.hive(columns={**COLUMNS, "more": "bigint"})
    added = bench.see(first)
    assert added.files[0].columns["more"] == "bigint"
    assert changes(first, added) == set()
    bench.hive(columns={**COLUMNS, "more": "string"})
    retyped = bench.see(added)
    assert changes(added, retyped) == {1}
    assert changes(retyped, bench.see(retyped)) == set()


def test_another_delimiter_changes_what_files_say(bench: Bench) -> None:
    """How text becomes rows is part of what a file holds."""
    bench.hive(serde=LAZY, options={"field.delim": ","})
    bench.put("events/a.csv", b"u,2026-01-02 00:00:00,1\n")
    first = bench.see()
    bench.hive(serde=LAZY, options={"field.delim": "|"})
    assert changes(first, bench.see(first)) == {1, 2, 3, 4}


def test_a_partition_key_may_be_the_timestamp(bench: Bench) -> None:
    """A date source that is dated by its partition key has exactly those days."""
    bench.hive(keys={"ds": "date"}, serde=LAZY)
    bench.partition("2026-01-03")
    bench.put("events/2026-01-03/a.csv", b"u,,1\n")
    assert days_of(bench.see(timestamp="ds")) == {"a.csv": (3,)}


# partition projection


PROJECTION = {
    "projection.enabled": "true",
    "projection.ds.type": "date",
    "projection.ds.range": "2026-01-02,NOW",
    "projection.region.type": "enum",
    "projection.region.values": "eu, us",
}


def test_projected_partitions_are_found_by_one_listing(bench: Bench) -> None:
    """Objects of projected partitions are found whatever Glue lists; those out of range are not read."""
    bench.hive(keys={"region": "string", "ds": "string"}, parameters=PROJECTION)
    for region, number in (("eu", 2), ("us", 3), ("mars", 3), ("eu", 1), ("eu", 31)):
        bench.parquet(f"events/region={region}/ds=2026-01-{number:02}/{region}{number}", number)
    seen = bench.see(partition=BY_DS)
    assert days_of(seen) == {"eu2": (2,), "us3": (3,)}
    calls = bench.counts(lambda: bench.see(seen, partition=BY_DS))
    assert calls == {"glue.GetTable": 1, "s3.ListObjectsV2": 1}


def test_projected_partitions_lie_where_the_template_says(bench: Bench) -> None:
    """Dates may be spread over folders, integers have digits, injected keys have any value."""
    parameters = {
        "projection.enabled": "TRUE",
        "storage.location.template": bench.place("log") + "h=${hour}/${ds}/${who}",
        "projection.hour.type": "integer",
        "projection.hour.range": "0,23",
        "projection.hour.digits": "2",
        "projection.ds.type": "date",
        "projection.ds.format": "yyyy/MM/dd",
        "projection.ds.range": "NOW-1MONTHS,NOW",
        "projection.who.type": "injected",
    }
    keys = {"hour": "int", "ds": "string", "who": "string"}
    bench.hive(keys=keys, parameters=parameters, serde=LAZY)
    for key in (
        "h=07/2026/01/02/ann/a",
        "h=7/2026/01/02/ann/b",
        "h=07/2026/01/x/ann/c",
        "h=24/2026/01/02/d/d",
    ):
        bench.put(f"log/{key}", b"x")
    seen = bench.see(partition=Partition(column="ds", format="%Y/%m/%d"))
    assert days_of(seen) == {"a": (2,)}


def test_a_projection_that_makes_no_sense_is_named(bench: Bench) -> None:
    """Properties that cannot be read end in an error with table and key."""
    bench.hive(keys={"ds": "string"}, parameters={"projection.enabled": "true"})
    with pytest.raises(WarehouseError, match=r"shop\.events: partition projection of ds"):
        bench.see()


# Iceberg tables

FIRST = (
    "SELECT * FROM (VALUES ('u1', TIMESTAMP '2026-01-01 10:00:00.000000', CAST(1 AS double)), "
    "('u2', TIMESTAMP '2026-01-02 10:00:00.000000', CAST(2 AS double)), "
    "('u3', TIMESTAMP '2026-01-03 10:00:00.000000', CAST(3 AS double))) AS e(user_id, ts, amount)"
)


@pytest.fixture
def lake(bench: Bench) -> Bench:
    """An Iceberg table of three days, one file each."""
    bench.aws.iceberg("events", FIRST, partitioning=["day(ts)"])
    return bench


def days_held(seen: TableObservation) -> list[int]:
    """Return the days of all files, in order."""
    return sorted(found.day for file in seen.files for found in file.days)


def test_an_iceberg_table_is_known_by_its_metadata(lake: Bench) -> None:
    """Rows, days, missing ids and bytes come from the current snapshot, which every file names."""
    seen = lake.see()
    assert seen.columns == {"user_id": "varchar", "ts": "timestamp(6)", "amount": "double"}
    assert days_held(seen) == [1, 2, 3]
    assert {(file.rows, file.nulls["user_id"]) for file in seen.files} == {(1, 0)}
    assert len({file.snapshot for file in seen.files}) == 1
    assert seen.files[0].snapshot != 0
    assert all(file.bytes_of(["ts"]) < file.bytes_of(["ts", "amount"]) for file in seen.files)
    assert lake.loaded == ["shop.events"]


def test_nothing_but_metadata_is_read_where_nothing_changed(lake: Bench) -> None:
    """A second look reads one file of metadata, and no statement is ever run."""
    first = lake.see()
    statements = len(lake.aws.account.executions.all())
    calls = lake.counts(lambda: lake.see(first))
    assert calls["glue.GetTable"] == 1
    assert calls.get("s3.GetObject", 0) == 1
    assert set(calls) <= {"glue.GetTable", "s3.GetObject", "s3.HeadObject", "s3.ListObjectsV2"}
    assert lake.see(first).files == first.files
    assert len(lake.aws.account.executions.all()) == statements


@pytest.mark.parametrize(
    ("sql", "days"),
    [
        ("INSERT INTO events VALUES ('u4', TIMESTAMP '2026-01-02 11:00:00.000000', 1e0)", {2}),
        ("DELETE FROM events WHERE user_id = 'u3'", {3}),
        ("UPDATE events SET amount = 9e0 WHERE user_id = 'u1'", {1}),
        ("DELETE FROM events WHERE ts < TIMESTAMP '2026-01-02 00:00:00.000000'", {1}),
        ("OPTIMIZE events REWRITE DATA USING BIN_PACK", set()),
    ],
)
def test_changes_of_an_iceberg_table_are_seen_by_day(lake: Bench, sql: str, days: set[int]) -> None:
    """New files, delete files and files that are gone change their days, compaction none."""
    lake.aws.run("INSERT INTO events VALUES ('u9', TIMESTAMP '2026-01-03 11:00:00.000000', 1e0)")
    first = lake.see()
    lake.aws.run(sql)
    second = lake.see(first)
    assert changes(first, second) == days
    assert changes(second, lake.see(second)) == set()


def test_a_compaction_of_deleted_rows_is_no_change(lake: Bench) -> None:
    """Files that were rewritten without what was deleted stand for those; later changes are seen still."""
    lake.aws.run("INSERT INTO events VALUES ('u9', TIMESTAMP '2026-01-03 11:00:00.000000', 1e0)")
    lake.aws.run("DELETE FROM events WHERE user_id = 'u3'")
    first = lake.see()
    lake.aws.run("OPTIMIZE events REWRITE DATA USING BIN_PACK")
    second = lake.see(first)
    assert changes(first, second) == set()
    lake.aws.run("DELETE FROM events WHERE user_id = 'u9'")
    assert changes(second, lake.see(second)) == {3}


def test_an_added_column_of_an_iceberg_table_is_no_change(lake: Bench) -> None:
    """Files keep their fingerprints when a column comes to the table, and another name is another content."""
    first = lake.see()
    lake.aws.run("ALTER TABLE events ADD COLUMNS (more bigint)")
    added = lake.see(first)
    assert added.columns["more"] == "bigint"
    assert changes(first, added) == set()
    lake.aws.run("ALTER TABLE events CHANGE COLUMN amount price double")
    assert "amount" not in lake.see(added).columns


def test_an_iceberg_table_without_a_snapshot_is_empty(bench: Bench) -> None:
    """A table that nobody wrote to has columns and no files."""
    bench.aws.run(
        "CREATE TABLE events (user_id string, ts timestamp) "
        f"LOCATION '{bench.place()}' TBLPROPERTIES ('table_type' = 'ICEBERG')"
    )
    seen = bench.see()
    assert (list(seen.columns), seen.files) == (["user_id", "ts"], ())


def test_metadata_that_is_gone_is_named(lake: Bench) -> None:
    """A table whose metadata cannot be read is an error that names it."""
    where = lake.aws.client("glue").get_table(DatabaseName=DATABASE, Name="events")["Table"]
    lake.delete(where["Parameters"]["metadata_location"])
    with pytest.raises(SourceFileError, match=r"metadata\.json: cannot be read"):
        lake.see()


# views and what Glue says


def test_changes_of_a_view_cannot_be_seen(lake: Bench) -> None:
    """A view has columns in its own types and no files; only that it is defined anew is seen."""
    lake.aws.run("CREATE VIEW recent AS SELECT ts, user_id, amount > 1 AS big FROM events")
    seen = lake.see(name="shop.recent")
    assert seen.opaque
    assert not seen.dated
    assert seen.columns == {"ts": "timestamp(6)", "user_id": "varchar", "big": "boolean"}
    assert [file.path for file in seen.files] == [DEFINITION]
    lake.aws.run(
        "CREATE OR REPLACE VIEW recent AS SELECT ts, user_id, amount > 2 AS big FROM events"
    )
    assert lake.see(name="shop.recent").files[0].fingerprint != seen.files[0].fingerprint


@pytest.mark.parametrize(
    "more",
    [
        {"parameters": {"table_type": "DELTA"}},
        {"parameters": {"spark.sql.sources.provider": "delta"}},
        {"input_format": "org.apache.hudi.hadoop.HoodieParquetInputFormat"},
        {"input_format": "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat"},
    ],
)
def test_formats_whose_live_files_only_athena_knows_are_opaque(bench: Bench, more: Any) -> None:
    """The objects in the folder of such a table are not its rows."""
    bench.hive(**more)
    bench.parquet("events/a.parquet", 1)
    assert bench.see().opaque


def test_a_table_that_is_not_there_is_named_with_one_that_is(bench: Bench) -> None:
    """A missing table ends in an error with its name and a near one, also where the database is missing."""
    bench.hive()
    with pytest.raises(
        WarehouseError, match=r"shop\.evnts does not exist in Glue; did you mean 'events'"
    ):
        bench.see(name="shop.evnts")
    with pytest.raises(WarehouseError, match=r"nowhere\.events does not exist in Glue"):
        bench.see(name="nowhere.events")


def test_no_permission_is_no_missing_table(bench: Bench) -> None:
    """A table that may not be seen ends in an error that says so."""
    bench.aws.endpoint.faults.add(
        account=bench.aws.id,
        service="glue",
        operation="GetTable",
        kind="refuse",
        code="AccessDeniedException",
        message="not authorized to perform glue:GetTable",
    )
    with pytest.raises(WarehouseError, match="glue:GetTable"):
        bench.see()


@pytest.mark.parametrize("name", ["2026-events", "_x", "naïve events"])
def test_names_with_odd_characters_are_found(bench: Bench, name: str) -> None:
    """Names that need quotes in SQL need none in Glue; capitals are small there."""
    bench.hive(name)
    bench.parquet(f"{name}/ä b=1%.parquet", 1)
    seen = bench.see(name=f"Shop.{name.upper() if name.isascii() else name}")
    assert list(days_of(seen)) == ["ä b=1%.parquet"]


def test_the_database_default_is_one_like_others(bench: Bench) -> None:
    """Tables of the database ``default`` are found."""
    glue = bench.aws.client("glue")
    glue.create_database(DatabaseInput={"Name": "default"})
    bench.hive()
    entry = glue.get_table(DatabaseName=DATABASE, Name="events")["Table"]
    kept = ("Name", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor")
    glue.create_table(DatabaseName="default", TableInput={key: entry[key] for key in kept})
    assert bench.see(name="default.events").files == ()


@pytest.mark.parametrize(
    ("hive", "athena"),
    [
        ("string", "varchar"),
        ("varchar(20)", "varchar"),
        ("char(3)", "varchar"),
        ("int", "integer"),
        ("INT", "integer"),
        ("tinyint", "tinyint"),
        ("float", "real"),
        ("decimal(10,2)", "decimal(10, 2)"),
        ("decimal(5)", "decimal(5, 0)"),
        ("decimal", "decimal(10, 0)"),
        ("binary", "varbinary"),
        ("timestamp", "timestamp(3)"),
        ("timestamp(6)", "timestamp(6)"),
        ("timestamp(3) with time zone", "timestamp(3) with time zone"),
        ("array<string>", None),
        ("map<string,int>", None),
        ("struct<a:int>", None),
        ("row(a integer)", None),
        ("uniontype<int,string>", None),
    ],
)
def test_types_of_glue_are_types_of_athena(hive: str, athena: str | None) -> None:
    """Hive's names of types become Athena's; columns that have parts are left out."""
    assert athena_type(hive) == athena


def test_entries_are_the_tables_in_an_experiments_folder(bench: Bench) -> None:
    """Of all pages of the staging database, the tables of one experiment; their metadata's keys."""
    glue, root = bench.aws.client("glue"), f"s3://{bench.aws.bucket}/statsig"
    glue.create_database(DatabaseInput={"Name": "staging"})
    for number in range(120):
        folder = f"{root}/experiment-{number // 2}/t{number % 2}"
        glue.create_table(
            DatabaseName="staging",
            TableInput={
                "Name": f"t{number}",
                "Parameters": {"metadata_location": f"{folder}/metadata/1.metadata.json"},
                "StorageDescriptor": {"Location": folder},
            },
        )
    found = GlueTables(glue).entries("staging", root, "1")
    assert [(entry.name.catalog, entry.name.folder, entry.metadata) for entry in found] == [
        ("t2", "t0", "experiment-1/t0/metadata/1.metadata.json"),
        ("t3", "t1", "experiment-1/t1/metadata/1.metadata.json"),
    ]
    assert len(GlueTables(glue).entries("staging", root, "59")) == 2
    assert GlueTables(glue).entries("not there", root, "1") == ()


# delete files that the endpoint does not write


def entry(path: str, sequence: int, content: DataFileContent, **more: Any) -> ManifestEntry:
    """Return an entry of a manifest, of the partition 1 of spec 0 unless told otherwise."""
    file = DataFile.from_args(
        content=content,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=Record(more.pop("partition", 1)),
        record_count=1,
        file_size_in_bytes=1,
        **more,
    )
    file.spec_id = 0
    return ManifestEntry.from_args(
        status=ManifestEntryStatus.ADDED, sequence_number=sequence, data_file=file
    )


@pytest.mark.parametrize(
    ("content", "sequence", "more", "applies"),
    [
        (DataFileContent.POSITION_DELETES, 5, {}, True),
        (DataFileContent.POSITION_DELETES, 4, {}, False),
        (DataFileContent.EQUALITY_DELETES, 6, {}, True),
        (DataFileContent.EQUALITY_DELETES, 5, {}, False),
        (DataFileContent.EQUALITY_DELETES, 6, {"partition": 2}, False),
        (DataFileContent.POSITION_DELETES, 6, {"partition": 2}, False),
        (DataFileContent.POSITION_DELETES, 6, {"lower_bounds": {PATH_FIELD: b"s3://b/c"}}, False),
        (DataFileContent.POSITION_DELETES, 6, {"upper_bounds": {PATH_FIELD: b"s3://b/A"}}, False),
        (DataFileContent.POSITION_DELETES, 6, {"upper_bounds": {PATH_FIELD: b"s3://b/b"}}, True),
        (DataFileContent.POSITION_DELETES, 6, {"lower_bounds": {PATH_FIELD: b"s3://b/b.p"}}, True),
    ],
)
def test_delete_files_apply_as_the_specification_says(
    content: DataFileContent, sequence: int, more: dict[str, Any], applies: bool
) -> None:
    """A delete file belongs to older data files of its partition, within its bounds of paths."""
    deletes = Deletes(lambda _: True)
    deletes.add([entry("s3://b/delete", sequence, content, **more)])
    data = entry("s3://b/b.parquet", 5, DataFileContent.DATA)
    assert deletes.of(data) == (("s3://b/delete",) if applies else ())


def test_equality_deletes_without_partitions_apply_everywhere() -> None:
    """One that belongs to an unpartitioned spec is for every older data file."""
    deletes = Deletes(lambda _: False)
    deletes.add([entry("s3://b/delete", 6, DataFileContent.EQUALITY_DELETES, partition=2)])
    data = entry("s3://b/b.parquet", 5, DataFileContent.DATA)
    assert deletes.of(data) == ("s3://b/delete",)

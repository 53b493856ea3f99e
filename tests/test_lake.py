"""Iceberg tables as sources: read at their current snapshot, watched by their snapshots and files."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan, _dataframe_to_data_files
from pyiceberg.manifest import DataFile, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DateType, DoubleType, NestedField, StringType, TimestampType

import statsig_staging as staging
from statsig_staging.config import LocalConnection
from statsig_staging.errors import SourceFileError, WarehouseError
from statsig_staging.results import LoadStarted
from statsig_staging.sources import SourceFile, TableObservation
from statsig_staging.warehouses.base import Sighting
from statsig_staging.warehouses.local.lake import local_path, newest
from statsig_staging.warehouses.local.warehouse import LocalWarehouse
from tests.shop import ANSWERS, EVENTS, Event, Shop, at, events

SCHEMA = Schema(
    NestedField(1, "user_id", StringType()),
    NestedField(2, "ts", TimestampType()),
    NestedField(3, "kind", StringType()),
    NestedField(4, "amount_cents", DoubleType()),
    NestedField(5, "day", DateType()),
)
BY_DAY = PartitionSpec(PartitionField(5, 1000, IdentityTransform(), "day"))
DAYS = (date(2025, 1, 1), date(2025, 1, 2))


def laid_out(rows: list[Event]) -> pa.Table:
    """Return events as the table has them."""
    found = events(rows).drop_columns(["loyal"])
    return found.append_column("day", pa.array([row[1] and row[1].date() for row in rows]))


@dataclass
class Lake:
    """An Iceberg table of events, in a folder of the project."""

    folder: Path
    catalog: SqlCatalog

    @classmethod
    def open(cls, folder: Path, spec: PartitionSpec = BY_DAY) -> "Lake":
        """Make an empty table."""
        catalog = SqlCatalog(
            "lake", uri=f"sqlite:///{folder}/lake.db", warehouse=f"file://{folder}"
        )
        catalog.create_namespace("lake")
        catalog.create_table(
            "lake.events", SCHEMA, location=f"file://{folder}/lake/events", partition_spec=spec
        )
        return cls(folder, catalog)

    @property
    def table(self) -> Table:
        """The table as it is now."""
        return self.catalog.load_table("lake.events")

    def append(self, rows: list[Event]) -> None:
        """Append rows as new files."""
        self.table.append(laid_out(rows))

    def files(self) -> list[DataFile]:
        """Return the files of the current snapshot."""
        return [task.file for task in self.table.scan().plan_files()]

    def compact(self, *days: int) -> None:
        """Write the files of some days of January 2025, by default of all, as one file for each day."""
        scratch = self.table.transaction()
        chosen = [
            file
            for file in self.files()
            if not days or self.day_of(file) in days or not len(file.partition)
        ]
        paths = {file.file_path for file in chosen}
        tasks = [t for t in self.table.scan().plan_files() if t.file.file_path in paths]
        metadata = self.table.metadata
        rows = ArrowScan(metadata, self.table.io, self.table.schema(), AlwaysTrue()).to_table(tasks)
        new = list(_dataframe_to_data_files(metadata, rows, self.table.io))
        with scratch.update_snapshot().overwrite() as snapshot:
            for file in chosen:
                snapshot.delete_data_file(file)
            for file in new:
                snapshot.append_data_file(file)
        scratch.commit_transaction()
        # pyiceberg 0.12 cannot write the operation that engines give to a compaction.
        path = Path(self.table.metadata_location.removeprefix("file://"))
        document = json.loads(path.read_text())
        current = self.table.current_snapshot()
        assert current is not None
        for written in document["snapshots"]:
            if written["snapshot-id"] == current.snapshot_id:
                written["summary"]["operation"] = "replace"
        path.write_text(json.dumps(document))

    @staticmethod
    def day_of(file: DataFile) -> int | None:
        """Return the day of January 2025 whose partition a file lies in."""
        return file.partition[0] - 20088 if len(file.partition) else None


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A table with the events of the shop."""
    lake = Lake.open(tmp_path)
    lake.append(EVENTS)
    return lake


@pytest.fixture
def shop(tmp_path: Path, lake: Lake) -> Shop:
    """A shop whose events are that table, loaded once."""
    shop = Shop.open(tmp_path)
    (tmp_path / "events/a.parquet").unlink()
    configure(shop)
    shop.run()
    assert shop.answers() == ANSWERS
    return shop


def configure(shop: Shop, **changes: Any) -> None:
    """Let the events be the Iceberg table."""
    metadata = {"connection__sources__shop.events": "lake/events/metadata/*.metadata.json"}
    shop.configure(**metadata, **changes)


@pytest.fixture
def warehouse(tmp_path: Path, lake: Lake) -> Iterator[LocalWarehouse]:
    """A warehouse over the table."""
    sources = {"shop.events": ("lake/events/metadata/*.metadata.json",)}
    opened = LocalWarehouse(LocalConnection(warehouse="local", sources=sources), tmp_path)
    yield opened
    opened.close()


SIGHTING = Sighting(table="shop.events", timestamp="ts", units=("user_id",))


def seen(
    warehouse: LocalWarehouse, before: TableObservation | None = None
) -> tuple[TableObservation, dict[str, SourceFile]]:
    """Look at the table, knowing it from before."""
    known = {file.path: file for file in before.files} if before is not None else {}
    found = warehouse.observe(SIGHTING, known)
    return found, {file.path: file for file in found.files}


def prints(table: TableObservation) -> dict[date, list[str]]:
    """Return what tells the rows of each day apart."""
    days = sorted({day for file in table.files for day in file.days})
    return {
        day: sorted(p for file in table.files if day in file.days for p in file.prints(day))
        for day in days
    }


def test_days_come_from_bounds(warehouse: LocalWarehouse) -> None:
    """Files are known by the table's own metadata; its columns are those of its schema."""
    found, _ = seen(warehouse)

    assert [file.days for file in sorted(found.files, key=lambda file: file.days)] == [
        (day,) for day in DAYS
    ]
    assert found.columns == {
        "user_id": "varchar",
        "ts": "timestamp(6)",
        "kind": "varchar",
        "amount_cents": "double",
        "day": "date",
    }
    assert all(file.bytes_of(["user_id"]) < file.bytes_of(found.columns) for file in found.files)


def test_days_are_read_where_bounds_do_not_tell(tmp_path: Path) -> None:
    """A file of several days is opened once."""
    lake = Lake.open(tmp_path, PartitionSpec())
    lake.append([*EVENTS, ("u1", at(9, 1), "visit", None), ("", None, "visit", None)])
    sources = {"shop.events": ("lake/events/metadata/*.metadata.json",)}
    opened = LocalWarehouse(LocalConnection(warehouse="local", sources=sources), tmp_path)
    (file,) = seen(opened)[0].files

    assert file.days == (*DAYS, date(2025, 1, 9))
    assert file.nulls == {"user_id": 1}
    opened.close()


def test_an_append_to_an_old_day_restates_that_day(shop: Shop, lake: Lake) -> None:
    """The other one is not read again."""
    assert shop.run().status == "unchanged"
    lake.append([("u2", at(1, 12), "purchase", 300.0)])
    result = shop.run()

    assert result.days_read["events"] == DAYS[:1]
    assert shop.answers()["revenue", "A"] == (2, 18.0)


@pytest.mark.slow
def test_a_compaction_is_no_change(shop: Shop, lake: Lake) -> None:
    """Nothing is read again; what is appended later is all that is read then."""
    lake.append([("u2", at(1, 12), "purchase", 300.0)])
    shop.run()
    lake.compact()
    assert len(lake.files()) == 2
    assert shop.run().status == "unchanged"

    lake.append([("u2", at(2, 12), "purchase", 100.0)])
    assert shop.run().days_read["events"] == DAYS[1:]
    lake.compact()
    lake.compact()
    assert shop.run().status == "unchanged"
    assert shop.run(refresh="full").status == "published"
    assert shop.answers()["revenue", "A"] == (2, 19.0)


def test_rows_that_were_appended_before_a_compaction_are_noticed(shop: Shop, lake: Lake) -> None:
    """On their days only, although no file is the one it was."""
    lake.append([("u2", at(2, 12), "purchase", 300.0)])
    lake.compact()
    result = shop.run()

    assert result.days_read["events"] == DAYS[1:]
    assert shop.answers()["revenue", "A"] == (2, 18.0)


def test_deleted_rows_are_noticed(shop: Shop, lake: Lake) -> None:
    """A copy-on-write delete rewrites a file and means another one."""
    lake.table.delete("user_id = 'u1' AND ts < '2025-01-02T00:00:00'")
    result = shop.run()

    assert result.days_read["events"] == DAYS[:1]
    assert shop.answers()["revenue", "A"] == (2, 5.0)


def test_expired_snapshots_leave_the_files_to_compare(shop: Shop, lake: Lake) -> None:
    """A compaction whose past is gone looks like a change, which is safe."""
    lake.compact(1)
    lake.table.maintenance.expire_snapshots().by_ids(
        [s.snapshot_id for s in lake.table.snapshots()][:-1]
    ).commit()

    assert shop.run().days_read["events"] == DAYS[:1]
    assert shop.answers() == ANSWERS


def test_a_renamed_and_a_new_column(shop: Shop, lake: Lake) -> None:
    """Columns are read by field id: old files have the renamed one, and nulls in the new one."""
    with lake.table.update_schema() as update:
        update.rename_column("kind", "event")
        update.add_column("gift", DoubleType())
    rows = laid_out([("u2", at(2, 12), "purchase", 300.0)])
    rows = rows.rename_columns(["user_id", "ts", "event", "amount_cents", "day"])
    lake.table.append(rows.append_column("gift", pa.array([50.0])))
    configure(
        shop,
        metrics__0__filter="event = 'purchase'",
        metrics__1__value="amount_cents / 100 + COALESCE(gift, 0)",
    )
    shop.run()

    assert shop.answers()["purchases", "A"] == (2, 3.0)
    assert shop.answers()["revenue", "A"] == (2, 15.0 + 53.0)


def test_a_new_column_changes_nothing(shop: Shop, lake: Lake) -> None:
    """A schema is no row."""
    with lake.table.update_schema() as update:
        update.add_column("gift", DoubleType())

    assert shop.run().status == "unchanged"


def test_a_column_that_was_made_anew_is_another_one(warehouse: LocalWarehouse, lake: Lake) -> None:
    """Files that had the old one hold nulls now, which is a change."""
    before, _ = seen(warehouse)
    with lake.table.update_schema() as update:
        update.delete_column("amount_cents")
    with lake.table.update_schema() as update:
        update.add_column("amount_cents", DoubleType())
    after, _ = seen(warehouse, before)
    again, _ = seen(warehouse, after)

    assert not set(prints(after)[DAYS[0]]) & set(prints(before)[DAYS[0]])
    assert prints(again) == prints(after)


@pytest.mark.slow
def test_what_is_read_is_what_was_looked_at(shop: Shop, lake: Lake) -> None:
    """A commit during a load belongs to the next one."""
    lake.append([("u2", at(1, 12), "purchase", 300.0)])

    def on_event(event: object) -> None:
        if isinstance(event, LoadStarted):
            lake.append([("u2", at(1, 13), "purchase", 7700.0)])

    shop.run(on_event=on_event)
    assert shop.answers()["revenue", "A"] == (2, 18.0)
    assert shop.run().days_read["events"] == DAYS[:1]
    assert shop.answers()["revenue", "A"] == (2, 95.0)


def test_a_file_that_vanishes_is_named(shop: Shop, lake: Lake) -> None:
    """Exit code 4."""
    lake.append([("u2", at(1, 12), "purchase", 300.0)])
    lost = Path(lake.files()[0].file_path.removeprefix("file://"))

    def on_event(event: object) -> None:
        if isinstance(event, LoadStarted):
            lost.unlink()

    with pytest.raises(staging.StagingError) as caught:
        shop.run(refresh="full", on_event=on_event)
    assert caught.value.exit_code == 4
    assert str(lost) in str(caught.value)


@pytest.mark.slow
def test_a_select_over_a_compacted_table(shop: Shop, lake: Lake) -> None:
    """Also where the days of its rows are not known."""
    sql = "WITH e AS (SELECT * FROM shop.events) SELECT * FROM e"
    configure(
        shop,
        metric_sources__0__table=None,
        metric_sources__0__sql=sql,
        metric_sources__0__lookback_days=1,
    )
    lake.append([("u2", at(1, 12), "purchase", 300.0)])
    shop.run()
    lake.compact()

    assert shop.run().status == "unchanged"


def test_an_empty_table(tmp_path: Path) -> None:
    """It has columns and no rows."""
    Lake.open(tmp_path)
    shop = Shop.open(tmp_path)
    configure(shop)

    assert shop.run().warnings == ("source 'events' is empty",)


def test_damaged_metadata_is_named(shop: Shop, lake: Lake) -> None:
    """Exit code 4, with the file."""
    path = Path(lake.table.metadata_location.removeprefix("file://"))
    path.write_text("{")

    with pytest.raises(SourceFileError, match=r"metadata\.json: cannot be read"):
        shop.run()


def test_files_that_were_added_without_field_ids_are_refused(
    shop: Shop, lake: Lake, tmp_path: Path
) -> None:
    """Reading them by field id would read nulls."""
    path = shop.put(
        "other/a.parquet", events([("u2", at(1, 12), "x", 1.0)]).drop_columns(["loyal"])
    )
    lake.table.add_files([f"file://{path}"])

    with pytest.raises(WarehouseError, match="without Iceberg field ids"):
        shop.run()


def test_delete_files_are_refused(
    warehouse: LocalWarehouse, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading data files alone would bring deleted rows back; the table is named, and what to do."""
    data = lake.files()[0]
    tasks = [SimpleNamespace(file=data, delete_files={data})]
    monkeypatch.setattr("pyiceberg.table.DataScan.plan_files", lambda _: tasks)

    with pytest.raises(WarehouseError, match=r"shop\.events.*copy-on-write"):
        seen(warehouse)


@pytest.mark.parametrize(
    ("location", "kind"),
    [("s3://lake/a.parquet", FileFormat.PARQUET), ("file:///lake/a.avro", FileFormat.AVRO)],
)
def test_files_elsewhere_are_refused(location: str, kind: FileFormat) -> None:
    """This warehouse reads Parquet files of its machine."""
    with pytest.raises(WarehouseError, match=f"shop.events: {location} is no Parquet file"):
        local_path("shop.events", location, kind)


@pytest.mark.parametrize(
    "location", ["/lake/a.parquet", "file:/lake/a.parquet", "file:///lake/a.parquet"]
)
def test_local_files_are_written_in_several_ways(location: str) -> None:
    """Hadoop writes one slash, others three."""
    assert local_path("shop.events", location, FileFormat.PARQUET) == "/lake/a.parquet"


def test_the_newest_metadata_is_taken(tmp_path: Path) -> None:
    """By the number in its name; of two with the same, that with the later commit."""
    names = ["00002-b.metadata.json", "00010-a.metadata.json", "v9.metadata.json"]
    for name in names:
        (tmp_path / name).write_text('{"last-sequence-number": 1}')
    paths = [tmp_path / name for name in names]
    assert newest(paths) == paths[1]

    other = tmp_path / "00010-b.metadata.json"
    other.write_text('{"last-sequence-number": 2}')
    assert newest([*paths, other]) == other

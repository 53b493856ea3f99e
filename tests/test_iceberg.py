"""What the semi-internal calls of pyiceberg must do, so that a new release that does otherwise is noticed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.conversions import from_bytes
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, ValidationException
from pyiceberg.manifest import DataFile, ManifestContent
from pyiceberg.table import Table as IcebergTable

from statsig_staging import iceberg
from statsig_staging.errors import WarehouseError
from statsig_staging.iceberg import TableChange, WrittenFile
from statsig_staging.manifests import named_files
from statsig_staging.plan import Column, ColumnType
from tests.factories import day, days

COLUMNS = (
    Column("unit_id", ColumnType.STRING, "The unit"),
    Column("ds", ColumnType.DATE, "UTC day"),
    Column("n", ColumnType.LONG),
    Column("x", ColumnType.DOUBLE),
    Column("at", ColumnType.TIMESTAMP),
    Column("flag", ColumnType.BOOLEAN),
)
ARROW = {
    ColumnType.STRING: pa.string(),
    ColumnType.LONG: pa.int64(),
    ColumnType.DOUBLE: pa.float64(),
    ColumnType.DATE: pa.date32(),
    ColumnType.TIMESTAMP: pa.timestamp("us"),
    ColumnType.BOOLEAN: pa.bool_(),
}
NOON = datetime(2026, 1, 1, 12)  # noqa: DTZ001

Row = tuple[object, ...]


def row(unit: str | None, ds: date | None = None, n: int | None = None) -> Row:
    """Return a row of which the rest is null."""
    return (unit, ds, n, None, None, None)


@dataclass
class Lab:
    """A catalog with one database, and a folder for one table."""

    catalog: SqlCatalog
    folder: Path
    columns: tuple[Column, ...] = COLUMNS
    written: int = 0

    def file(self, change: TableChange, *rows: Row, partition: date | None = None) -> WrittenFile:
        """Write rows as another engine would: with the field ids of the change."""
        schema = pa.schema(
            [
                pa.field(
                    column.name,
                    ARROW[column.type],
                    metadata={"PARQUET:field_id": str(change.field_ids[column.name])},
                )
                for column in self.columns
            ]
        )
        names = [column.name for column in self.columns]
        found = pa.Table.from_pylist(
            [dict(zip(names, each, strict=False)) for each in rows], schema
        )
        self.written += 1
        path = self.folder / "data" / f"{self.written}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(found, path)
        return WrittenFile(path=path, rows=len(rows), size=path.stat().st_size, partition=partition)

    def new(self, *, partitioned: bool = False) -> TableChange:
        """Begin a table."""
        return TableChange.create(
            self.catalog,
            "db",
            "units",
            location=iceberg.location_of(self.folder),
            columns=self.columns,
            partitioned=partitioned,
        )

    def change(self, *, exact: bool = False) -> TableChange:
        """Begin a change of the table."""
        return TableChange.of(self.table, self.columns, exact=exact)

    def append(self, change: TableChange, *rows: Row, tag: str | None = None) -> int:
        """Commit rows, and return the snapshot."""
        done = change.commit(add=[self.file(change, *rows)], properties={}, tag=tag)
        return done.snapshot_id

    @property
    def table(self) -> IcebergTable:
        """The table as it is now."""
        return self.catalog.load_table("db.units")

    def units(self, snapshot_id: int | None = None) -> list[str | None]:
        """Return the units of the table, now or at a snapshot."""
        found: list[str | None] = (
            self.table.scan(snapshot_id=snapshot_id).to_arrow().column("unit_id").to_pylist()
        )
        return sorted(found, key=repr)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Return an empty catalog."""
    catalog = iceberg.open_catalog(tmp_path / "catalog.db", tmp_path)
    catalog.create_namespace("db")
    yield Lab(catalog, tmp_path / "a folder" / "units")
    catalog.close()


def only_file(table: IcebergTable) -> DataFile:
    """Return the one data file of a table."""
    (file,) = iceberg.data_files(table)
    return file


def test_field_ids_count_from_one(lab: Lab) -> None:
    """In the order of the columns; pyiceberg gives a new table no others."""
    change = lab.new()

    assert change.field_ids == {column.name: n for n, column in enumerate(COLUMNS, start=1)}
    lab.append(change, row("a"))
    assert lab.table.schema().fields == iceberg.schema_of(COLUMNS).fields
    assert [field.doc for field in lab.table.schema().fields][:3] == ["The unit", "UTC day", None]


def test_nothing_is_there_before_the_commit(lab: Lab) -> None:
    """A process that dies leaves files that nobody knows."""
    lab.file(lab.new(), row("a"))

    assert iceberg.load_table(lab.catalog, "db", "units") is None
    with pytest.raises(NoSuchTableError):
        lab.catalog.load_table("db.units")


def test_a_table_that_is_there_is_not_made_again(lab: Lab) -> None:
    """The second of two that begin it fails, and the first one's rows stay."""
    first, second = lab.new(), lab.new()
    lab.append(first, row("a"))

    with pytest.raises(CommitFailedException):
        lab.append(second, row("b"))

    assert lab.units() == ["a"]


def test_properties_of_a_table(lab: Lab) -> None:
    """Format 2; a few earlier metadata files are remembered, and none is removed by itself."""
    lab.append(lab.new(), row("a"))

    assert lab.table.format_version == 2
    for _ in range(iceberg.PREVIOUS_METADATA + 3):
        lab.append(lab.change(), row("b"))
    found = list((lab.folder / "metadata").glob("*.metadata.json"))
    assert len(lab.table.metadata.metadata_log) == iceberg.PREVIOUS_METADATA
    assert len(found) == iceberg.PREVIOUS_METADATA + 4


def test_a_table_of_an_earlier_version_gets_the_properties(lab: Lab) -> None:
    """With the next commit, whichever it is."""
    lab.append(lab.new(), row("a"))
    with lab.table.transaction() as transaction:
        transaction.set_properties({"write.metadata.delete-after-commit.enabled": "true"})

    lab.append(lab.change(), row("b"))

    assert iceberg.TABLE_PROPERTIES.items() - {("format-version", "2")} <= set(
        lab.table.properties.items()
    )


def bounds(table: IcebergTable, found: dict[int, bytes]) -> dict[int, Any]:
    """Return field id → bound."""
    schema = table.schema()
    return {
        key: from_bytes(schema.find_type(key), value)  # type: ignore[arg-type]
        for key, value in found.items()
    }


def test_bounds_and_counts_of_a_file(lab: Lab) -> None:
    """Other engines skip files by them."""
    change = lab.new()
    rows = [
        ("b", day(2), -5, 0.5, NOON, True),
        ("a", day(1), 2**40, -1.5, NOON.replace(year=1969), False),
        (None,) * 6,
    ]
    change.commit(add=[lab.file(change, *rows)], properties={})
    file = only_file(lab.table)

    lower, upper = bounds(lab.table, file.lower_bounds), bounds(lab.table, file.upper_bounds)
    assert file.record_count == 3
    assert file.null_value_counts == dict.fromkeys(range(1, 7), 1)
    assert file.value_counts == dict.fromkeys(range(1, 7), 3)
    assert set(file.column_sizes) == set(range(1, 7))
    assert (lower[1], upper[1]) == ("a", "b")
    assert (lower[3], upper[3]) == (-5, 2**40)
    assert (lower[4], upper[4]) == (-1.5, 0.5)
    assert (lower[6], upper[6]) == (False, True)


@pytest.mark.parametrize("unit", ["x" * 1000, "é" * 40, "😀" * 20, "\U0010ffff" * 20, ""])
def test_a_row_is_found_by_a_long_text(lab: Lab, unit: str) -> None:
    """Bounds of text are cut short, so that they still hold what lies between."""
    change = lab.new()
    change.commit(add=[lab.file(change, row(unit)), lab.file(change, row("other"))], properties={})

    scan = lab.table.scan(row_filter=f"unit_id = '{unit}'")
    assert scan.to_arrow().column("unit_id").to_pylist() == [unit]
    assert len(list(scan.plan_files())) == 1


def test_not_a_number_has_no_bounds(lab: Lab) -> None:
    """A filter on such a column still finds the other rows."""
    change = lab.new()
    numbers = [("a", day(1), 1, float("nan"), NOON, True), ("b", day(1), 1, 2.5, NOON, True)]
    change.commit(add=[lab.file(change, *numbers)], properties={})

    found = lab.table.scan(row_filter="x > 2").to_arrow().column("unit_id").to_pylist()
    assert "b" in found


ODD_DAYS = (
    day(1),
    date(1970, 1, 1),
    date(1969, 12, 31),
    date(1, 1, 1),
    date(9999, 12, 31),
    date(2024, 2, 29),
)


@pytest.mark.parametrize("ds", ODD_DAYS, ids=str)
def test_partitions_are_days_since_1970(lab: Lab, ds: date) -> None:
    """Also days before it; another engine finds them by a filter."""
    change = lab.new(partitioned=True)
    change.commit(
        add=[
            lab.file(change, row("a", ds), partition=ds),
            lab.file(change, row("b", date(2000, 1, 1)), partition=date(2000, 1, 1)),
        ],
        properties={},
    )

    (file,) = iceberg.data_files(lab.table, partitions=[ds])
    assert iceberg.partition_date(file) == ds
    scan = lab.table.scan(row_filter=f"ds = '{ds.isoformat()}'")
    assert scan.to_arrow().column("unit_id").to_pylist() == ["a"]
    assert [task.file.file_path for task in scan.plan_files()] == [file.file_path]


@pytest.mark.xfail(
    reason="a file without a day gets an empty partition in a table by day", strict=True
)
def test_a_partition_may_be_null(lab: Lab) -> None:
    """Rows without a day have a partition of their own."""
    change = lab.new(partitioned=True)
    change.commit(add=[lab.file(change, row("a"), partition=None)], properties={})

    assert iceberg.partition_date(only_file(lab.table)) is None
    assert lab.table.scan(row_filter="ds is null").to_arrow().num_rows == 1


def test_a_table_without_partitions_has_no_days(lab: Lab) -> None:
    """Its files hold any."""
    lab.append(lab.new(), row("a", day(1)))

    assert iceberg.partition_date(only_file(lab.table)) is None


def test_files_of_some_partitions(lab: Lab) -> None:
    """Of those that are asked for; none where none is."""
    change = lab.new(partitioned=True)
    files = [lab.file(change, row(str(ds), ds), partition=ds) for ds in days(1, 2, 3)]
    change.commit(add=files, properties={})

    for wanted in ((), days(2), days(1, 3), days(9)):
        found = iceberg.data_files(lab.table, partitions=wanted)
        assert sorted(map(iceberg.partition_date, found)) == [  # type: ignore[type-var]
            ds for ds in wanted if ds != day(9)
        ]


def test_an_empty_table_has_no_files(lab: Lab) -> None:
    """A commit of nothing is a commit."""
    done = lab.new().commit(properties={})

    assert iceberg.data_files(lab.table) == []
    assert lab.table.metadata.current_snapshot_id == done.snapshot_id
    assert lab.units() == []


def test_everything_is_one_commit(lab: Lab) -> None:
    """Another schema, files out and in, a tag, an expiry: one snapshot, one version of the metadata."""
    old = lab.append(lab.new(), row("a"), tag="load-a")
    older = only_file(lab.table)
    before = lab.table.metadata_location
    lab.columns = (*COLUMNS[:3], Column("y", ColumnType.DOUBLE, "New"))
    change = lab.change(exact=True)

    done = change.commit(
        remove=[older],
        add=[lab.file(change, ("b", day(1), 1, 0.5))],
        properties={"statsig_staging.load": "b"},
        tag="load-b",
        keep_tags=(),
    )

    table = lab.table
    assert len(table.metadata.metadata_log) == 1
    assert table.metadata.metadata_log[0].metadata_file == before
    assert [snapshot.snapshot_id for snapshot in table.snapshots()] == [done.snapshot_id]
    assert set(table.metadata.refs) == {"main", "load-b"}
    assert old not in {snapshot.snapshot_id for snapshot in table.snapshots()}
    assert [field.name for field in table.schema().fields] == ["unit_id", "ds", "n", "y"]
    assert lab.units() == ["b"]
    summary = table.snapshots()[0].summary
    assert summary is not None
    assert summary.additional_properties["statsig_staging.load"] == "b"


def test_a_new_column_gets_an_id_that_was_never_used(lab: Lab) -> None:
    """Also where one of its name was dropped: nothing of that one is read under it."""
    lab.append(lab.new(), ("a", day(1), 1, 9.5))
    lab.columns = COLUMNS[:3]
    lab.append(lab.change(exact=True), row("b"))
    lab.columns = COLUMNS[:4]

    lab.append(lab.change(), ("c", day(1), 1, 1.5))

    assert lab.table.schema().find_field("x").field_id == 7
    found = lab.table.scan().to_arrow().to_pylist()
    assert {each["unit_id"]: each["x"] for each in found} == {"a": None, "b": None, "c": 1.5}


def test_files_that_are_removed_are_kept_for_old_snapshots(lab: Lab) -> None:
    """They are gone from the current one only."""
    old = lab.append(lab.new(), row("a"), tag="load-a")
    change = lab.change()

    change.commit(
        remove=iceberg.data_files(lab.table),
        add=[lab.file(change, row("b"))],
        properties={},
        tag="load-b",
        keep_tags=["load-a"],
    )

    assert lab.units() == ["b"]
    assert lab.units(old) == ["a"]
    assert [file.record_count for file in iceberg.data_files(lab.table, old)] == [1]


def test_retired_files_are_those_that_nothing_names(lab: Lab) -> None:
    """Data, manifests and their lists of expired snapshots, none that a kept one still has."""
    lab.append(lab.new(), row("a"), tag="load-a")
    first = only_file(lab.table).file_path
    change = lab.change()
    kept = lab.file(change, row("b"))
    change.commit(add=[kept], properties={}, tag="load-b", keep_tags=["load-a"])
    last = lab.change()

    done = last.commit(
        remove=[file for file in iceberg.data_files(lab.table) if file.file_path == first],
        properties={},
        tag="load-c",
        keep_tags=(),
    )

    for path in done.retired:
        Path(path).unlink()
    assert iceberg.path_of(first) in done.retired
    assert str(kept.path) not in done.retired
    assert lab.units() == ["b"]
    on_disk = {str(path) for path in lab.folder.rglob("*") if path.suffix in {".avro", ".parquet"}}
    assert on_disk == {
        iceberg.path_of(name) for name in named_files(lab.table) if not name.endswith(".json")
    }


def test_many_manifests_become_few(lab: Lab) -> None:
    """Each commit adds one; they are put together before planning takes long."""
    lab.append(lab.new(), row("u000"))

    for number in range(1, 30):
        lab.append(lab.change(), row(f"u{number:03}"))

    snapshot = lab.table.current_snapshot()
    assert snapshot is not None
    assert len(snapshot.manifests(lab.table.io)) <= iceberg.MANY_MANIFESTS
    assert lab.units() == [f"u{number:03}" for number in range(30)]


def test_manifests_that_became_one_are_retired(lab: Lab) -> None:
    """Also those of the commit itself: nothing lies there in the end that no snapshot names."""
    lab.append(lab.new(), row("u00"))

    for number in range(1, 2 * iceberg.MANY_MANIFESTS + 2):
        change = lab.change()
        done = change.commit(
            add=[lab.file(change, row(f"u{number:02}"))],
            properties={},
            tag="load-a",
            keep_tags=(),
        )
        for path in done.retired:
            Path(path).unlink()

    on_disk = {str(path) for path in lab.folder.rglob("*.avro")}
    named = {iceberg.path_of(name) for name in named_files(lab.table)}
    assert on_disk == {name for name in named if name.endswith(".avro")}
    assert len(lab.units()) == 2 * iceberg.MANY_MANIFESTS + 2


def test_dead_manifests_are_left_behind(lab: Lab) -> None:
    """A table whose one file is replaced again and again has two manifests: the new file, the old one."""
    lab.append(lab.new(), row("u0"))

    for number in range(1, 6):
        change = lab.change()
        change.commit(
            remove=iceberg.data_files(lab.table),
            add=[lab.file(change, row(f"u{number}"))],
            properties={},
        )

    snapshot = lab.table.current_snapshot()
    assert snapshot is not None
    assert len(snapshot.manifests(lab.table.io)) == 2
    assert lab.units() == ["u5"]


def test_manifests_are_put_into_one_where_asked_for(lab: Lab) -> None:
    """A commit without any file: the same rows, one manifest, sequence numbers as they were."""
    lab.append(lab.new(), row("a"))
    lab.append(lab.change(), row("b"))

    done = TableChange.on(lab.table).commit(properties={}, merge_at=2)

    snapshot = lab.table.current_snapshot()
    assert snapshot is not None
    assert snapshot.snapshot_id == done.snapshot_id
    (manifest,) = snapshot.manifests(lab.table.io)
    entries = manifest.fetch_manifest_entry(lab.table.io)
    assert sorted(entry.sequence_number or 0 for entry in entries) == [1, 2]
    assert lab.units() == ["a", "b"]


def test_snapshots_expire_without_a_new_one(lab: Lab) -> None:
    """Those under no kept tag go, the current one stays, and their own files are named."""
    lab.append(lab.new(), row("a"), tag="load-a")
    first = only_file(lab.table).file_path
    change = lab.change()
    change.commit(
        remove=iceberg.data_files(lab.table),
        add=[lab.file(change, row("b"))],
        properties={},
        tag="load-b",
    )
    current = lab.table.metadata.current_snapshot_id

    retired = TableChange.on(lab.table).expire(["load-b"])

    assert iceberg.path_of(first) in retired
    assert [snapshot.snapshot_id for snapshot in lab.table.snapshots()] == [current]
    assert set(lab.table.metadata.refs) == {"main", "load-b"}
    assert lab.units() == ["b"]


def test_where_nothing_expires_nothing_is_committed(lab: Lab) -> None:
    """The metadata stays the same file."""
    lab.append(lab.new(), row("a"), tag="load-a")
    before = lab.table.metadata_location

    assert TableChange.on(lab.table).expire(["load-a"]) == ()

    assert lab.table.metadata_location == before


def test_the_catalog_says_where_metadata_lies(lab: Lab) -> None:
    """Without opening it: also of a table whose files are gone."""
    lab.append(lab.new(), row("a"))
    where = lab.table.metadata_location
    Path(iceberg.path_of(where)).unlink()

    assert iceberg.metadata_locations(lab.catalog, "db") == {"units": where}
    assert iceberg.metadata_locations(lab.catalog, "other") == {}


def test_tags_of_others_protect_their_snapshots(lab: Lab) -> None:
    """Only tags of loads are removed."""
    old = lab.append(lab.new(), row("a"))
    lab.table.manage_snapshots().create_tag(old, "audit").commit()
    change = lab.change()

    change.commit(add=[lab.file(change, row("b"))], properties={}, tag="load-b", keep_tags=())

    assert set(lab.table.metadata.refs) == {"main", "load-b", "audit"}
    assert lab.units(old) == ["a"]


def test_a_tag_moves_to_the_last_snapshot_of_its_load(lab: Lab) -> None:
    """A load may write a table more than once."""
    lab.append(lab.new(), row("a"), tag="load-a")

    last = lab.append(lab.change(), row("b"), tag="load-a")

    assert lab.table.metadata.refs["load-a"].snapshot_id == last


@pytest.mark.parametrize("replaces", [False, True], ids=["append", "replace"])
def test_of_two_writers_one_fails(lab: Lab, replaces: bool) -> None:
    """Nothing is lost in silence: the second one has to begin anew, and succeeds then."""
    lab.append(lab.new(), row("a"))
    one, other = lab.change(), lab.change()
    old = iceberg.data_files(lab.table) if replaces else []
    one.commit(remove=old, add=[lab.file(one, row("b"))], properties={})

    with pytest.raises((CommitFailedException, ValidationException)):
        other.commit(remove=old, add=[lab.file(other, row("c"))], properties={})

    before = ["b"] if replaces else ["a", "b"]
    assert lab.units() == before
    lab.append(lab.change(), row("c"))
    assert lab.units() == [*before, "c"]


def test_an_earlier_snapshot_is_restored_with_its_columns(lab: Lab) -> None:
    """Those that were dropped since are back, those that were added are gone."""
    old = lab.append(lab.new(), ("a", day(1), 1, 9.5))
    lab.columns = (*COLUMNS[:3], Column("y", ColumnType.DOUBLE))
    change = lab.change(exact=True)
    change.commit(
        remove=iceberg.data_files(lab.table),
        add=[lab.file(change, ("b", day(1), 1, 0.5))],
        properties={},
    )

    iceberg.restore(lab.table, old)

    assert lab.table.metadata.current_snapshot_id == old
    assert lab.table.scan().to_arrow().column_names == [column.name for column in COLUMNS]
    assert lab.table.scan().to_arrow().column("x").to_pylist() == [9.5]


def test_a_snapshot_that_is_gone_is_no_empty_table(lab: Lab) -> None:
    """Whoever was to read it hears that it has expired."""
    lab.append(lab.new(), row("a"))

    with pytest.raises(WarehouseError, match="has no snapshot 1 any more"):
        iceberg.data_files(lab.table, 1)


def test_a_table_with_delete_files_is_not_read(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its data files alone would bring deleted rows back."""
    lab.append(lab.new(), row("a"))
    table = lab.table
    deletes = [SimpleNamespace(content=ManifestContent.DELETES)]
    monkeypatch.setattr("pyiceberg.table.snapshots.Snapshot.manifests", lambda *_: deletes)

    with pytest.raises(ValueError, match="carries delete files"):
        iceberg.data_files(table)


@pytest.mark.parametrize("name", ["a b", "ü", "100%", "%41", "a+b", "it's"])
def test_a_path_is_its_location(tmp_path: Path, name: str) -> None:
    """Nothing in it is escaped, so that what is written is found."""
    place = tmp_path / name

    assert iceberg.path_of(iceberg.location_of(place)) == str(place)
    catalog = iceberg.open_catalog(tmp_path / "catalog.db", tmp_path)
    catalog.create_namespace("db")
    lab = Lab(catalog, place)
    lab.append(lab.new(), row("a"))
    assert lab.units() == ["a"]
    catalog.close()

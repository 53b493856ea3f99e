"""The port: what every warehouse does with a write, whatever it runs on.

A warehouse joins by a parameter of ``bench``.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.metadata import TableMetadataV1
from sqlglot import exp

from statsig_staging.config import AthenaConnection, LocalConnection
from statsig_staging.errors import StagingError, StepFailedError, WarehouseError
from statsig_staging.names import TableName, experiment_folder
from statsig_staging.plan import (
    Batch,
    Column,
    ColumnType,
    CreateTable,
    Drop,
    Merge,
    Replace,
    ReplacePartitions,
    Table,
    Write,
)
from statsig_staging.planner.tables import node
from statsig_staging.templates import literal
from statsig_staging.warehouses.athena.warehouse import AthenaWarehouse, open_athena
from statsig_staging.warehouses.base import Stamp, TableVersion, Warehouse, WriteStats
from statsig_staging.warehouses.local.warehouse import LocalWarehouse
from tests.athena_endpoint.fixtures import Aws
from tests.athena_worlds import athena_connection, glue_of
from tests.factories import day, days

DATABASE = "statsig_staging"
TYPES = {
    "unit_id": ColumnType.STRING,
    "ds": ColumnType.DATE,
    "n": ColumnType.LONG,
    "x": ColumnType.DOUBLE,
    "at": ColumnType.TIMESTAMP,
    "flag": ColumnType.BOOLEAN,
}
COLUMNS = ("unit_id", "ds", "n")

Row = tuple[object, ...]


@dataclass
class Bench:
    """A warehouse under test, and what is seen of it from outside.

    Attributes:
        warehouse: The warehouse, with its staging folder ``statsig``.
        elsewhere: Opens another one over the same catalog and database, with another staging folder.
        catalog: The catalog, opened by somebody else.
        files: Returns the files that lie in a table's folder.
        commits_once: Whether a write is one commit, which is the library's own.
    """

    warehouse: Warehouse
    elsewhere: Callable[[], Warehouse]
    catalog: Catalog
    files: Callable[[Table], set[str]]
    load_id: str = "a"
    commits_once: bool = True

    def write(self, write: Write, *keep_tags: str, load_id: str | None = None) -> WriteStats:
        """Perform a write."""
        stamp = Stamp(load_id=load_id or self.load_id, step="step", keep_tags=keep_tags)
        return self.warehouse.write(write, stamp, lambda _done, _all: None)

    def made(self, write: Write, *keep_tags: str, load_id: str | None = None) -> TableVersion:
        """Perform a write and return the version that it made."""
        version = self.write(write, *keep_tags, load_id=load_id).version
        assert version is not None
        return version

    def rows(self, table: Table, version: TableVersion | None = None) -> list[Row]:
        """Return the rows of a table in order, now or as of a version."""
        return sorted(self.fetched(table, version), key=repr)

    def fetched(self, table: Table, version: TableVersion | None = None) -> Iterator[Row]:
        """Return the rows of a table's columns."""
        found = self.fetch(table, version).to_pydict()
        return zip(*found.values(), strict=True)

    def fetch(self, table: Table, version: TableVersion | None = None) -> pa.Table:
        """Return a table's columns."""
        snapshot = version.snapshot_id if version is not None else None
        columns = (exp.column(column.name, quoted=True) for column in table.columns)
        return self.warehouse.fetch(exp.select(*columns).from_(node(DATABASE, table, snapshot)))

    def seen(self, table: Table) -> IcebergTable:
        """Return a table as somebody else finds it in the catalog."""
        return self.catalog.load_table((DATABASE, table.name.catalog))

    def commits(self, table: Table) -> tuple[int, int]:
        """Return how many snapshots a table ever had, and how many versions its metadata had."""
        try:
            found = self.seen(table)
        except NoSuchTableError:
            return 0, 0
        number = found.metadata_location.rsplit("/", 1)[1].split("-")[0]
        assert not isinstance(found.metadata, TableMetadataV1)
        return found.metadata.last_sequence_number, int(number) + 1

    def tags(self, table: Table) -> dict[str, int]:
        """Return the tags of a table's snapshots."""
        refs = self.seen(table).metadata.refs
        return {name: ref.snapshot_id for name, ref in refs.items() if name != "main"}


def local_bench(folder: Path) -> Iterator[Bench]:
    """Return the embedded warehouse."""
    opened: list[LocalWarehouse] = []

    def open_in(name: str) -> LocalWarehouse:
        connection = LocalConnection(warehouse="local", folder=name, threads=1)
        opened.append(LocalWarehouse(connection, folder))
        return opened[-1]

    here = open_in("statsig")
    catalog = SqlCatalog("statsig_staging", uri=f"sqlite:///{folder}/warehouse/catalog.db")

    def files(table: Table) -> set[str]:
        place = folder / "warehouse/statsig" / experiment_folder(table.experiment_id)
        return {
            str(file.relative_to(folder))
            for file in (place / table.name.folder).rglob("*")
            if file.is_file()
        }

    yield Bench(warehouse=here, elsewhere=lambda: open_in("other"), catalog=catalog, files=files)
    for warehouse in opened:
        warehouse.close()
    catalog.close()


def athena_bench(aws: Aws) -> Iterator[Bench]:
    """Return Athena, at the endpoint of the tests."""
    opened: list[AthenaWarehouse] = []
    glue = glue_of(aws)
    glue.create_namespace_if_not_exists(DATABASE)

    def open_in(name: str) -> AthenaWarehouse:
        opened.append(open_athena(AthenaConnection(**athena_connection(aws, folder=name))))
        return opened[-1]

    def files(table: Table) -> set[str]:
        prefix = f"statsig/{experiment_folder(table.experiment_id)}/{table.name.folder}/"
        pages = aws.client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=aws.bucket, Prefix=prefix)
        return {entry["Key"] for page in found for entry in page.get("Contents", [])}

    yield Bench(
        warehouse=open_in("statsig"),
        elsewhere=lambda: open_in("other"),
        catalog=glue,
        files=files,
        commits_once=False,
    )
    for warehouse in opened:
        warehouse.close()


@pytest.fixture(params=["local", pytest.param("athena", marks=pytest.mark.slow)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Return each warehouse in turn."""
    if request.param == "local":
        yield from local_bench(tmp_path)
    else:
        yield from athena_bench(request.getfixturevalue("aws_environment"))


def only_where_writes_are_commits(bench: Bench) -> None:
    """Skip a test of what a warehouse cannot do that commits each statement by itself."""
    if not bench.commits_once:
        pytest.skip("Athena commits each statement by itself")


def table(*columns: str, name: str = "units", partitioned: bool = False) -> Table:
    """Return a staging table; columns are of the type that their name stands for."""
    return Table(
        name=TableName(catalog=f"{name}_123", folder=name),
        experiment_id="123",
        partitioned=partitioned,
        columns=tuple(Column(name, TYPES[name], f"about {name}") for name in columns or COLUMNS),
    )


UNITS = table()
BY_DAY = table(name="unit_days", partitioned=True)


def batch(target: Table, *rows: Row, deleted: Sequence[bool | None] | None = None) -> Batch:
    """Return a statement whose outcome is some rows; with ``deleted``, those of a merge."""
    kinds: list[tuple[str, str]] = [(column.name, column.type) for column in target.columns]
    if deleted is not None:
        kinds.append(("is_deleted", "boolean"))
        rows = tuple((*row, gone) for row, gone in zip(rows, deleted, strict=True))
    selects = [_row(kinds, row) for row in rows or [(None,) * len(kinds)]]
    if not rows:
        selects = [selects[0].where(exp.false())]
    select: exp.Query = selects[0]
    for other in selects[1:]:
        select = exp.union(select, other, distinct=False)
    dated = "ds" in {column.name for column in target.columns} and target.partitioned
    place = [column.name for column in target.columns].index("ds") if dated else 0
    partitions = {row[place] for row in rows} if dated else set()
    return Batch(select=select, partitions=tuple(sorted(partitions)))  # type: ignore[arg-type]


def _row(kinds: Sequence[tuple[str, str]], row: Row) -> exp.Select:
    return exp.select(
        *(
            exp.alias_(exp.cast(_literal(value), kind, dialect="athena"), name, quoted=True)
            for (name, kind), value in zip(kinds, row, strict=True)
        )
    )


def _literal(value: object) -> exp.Expr:
    if isinstance(value, float) and not math.isfinite(value):
        names = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
        return exp.Literal.string(names[str(value)])
    if isinstance(value, float):
        return exp.Literal.string(repr(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return exp.Literal.string(str(value))
    return literal(value)


def create(target: Table, *rows: Row) -> CreateTable:
    """Return the write of a new table."""
    return CreateTable(target=target, batches=(batch(target, *rows),))


def replace_all(target: Table, *rows: Row) -> Replace:
    """Return the write of other rows."""
    return Replace(target=target, batches=(batch(target, *rows),))


def replace_days(target: Table, partitions: Sequence[date], *rows: Row) -> ReplacePartitions:
    """Return the write of some partitions, with one statement for each day that has rows."""
    by_day = {day: [row for row in rows if row[1] == day] for day in partitions}
    batches = tuple(batch(target, *found) for found in by_day.values() if found)
    return ReplacePartitions(target=target, partitions=tuple(partitions), batches=batches)


def merge(
    target: Table,
    *rows: Row,
    deleted: Iterable[Row] = (),
    keys: tuple[str, ...] = ("unit_id",),
) -> Merge:
    """Return the merge of rows, and of rows whose keys go."""
    gone = tuple(deleted)
    flags = [False] * len(rows) + [True] * len(gone)
    return Merge(
        target=target,
        keys=keys,
        deleted="is_deleted",
        batches=(batch(target, *rows, *gone, deleted=flags),),
    )


BY_UNIT_AND_DAY = ("unit_id", "ds")
A, B, C = ("a", day(1), 1), ("b", day(1), 2), ("c", day(2), 3)

WRITES: Mapping[str, Write] = {
    "create": create(UNITS, A, C),
    "create by day": create(BY_DAY, A, C),
    "replace": replace_all(UNITS, A, C),
    "replace partitions": replace_days(BY_DAY, days(2, 3), ("x", day(3), 1)),
    "merge": merge(UNITS, ("b", day(1), 9), ("x", None, None), deleted=[A]),
    "merge by day": merge(
        BY_DAY, ("b", day(1), 9), ("x", day(9), 1), deleted=[C], keys=BY_UNIT_AND_DAY
    ),
}
"""What each of them does to a table that holds A, B and C."""

AFTER: Mapping[str, list[Row]] = {
    "create": [A, C],
    "create by day": [A, C],
    "replace": [A, C],
    "replace partitions": [A, B, ("x", day(3), 1)],
    "merge": [("b", day(1), 9), C, ("x", None, None)],
    "merge by day": [A, ("b", day(1), 9), ("x", day(9), 1)],
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_on_a_table(bench: Bench, name: str) -> None:
    """Rows are replaced, replaced by partition, or updated, inserted and deleted by key."""
    write = WRITES[name]
    bench.write(create(write.target, A, B, C))

    bench.write(write)

    assert bench.rows(write.target) == AFTER[name]


@pytest.mark.parametrize("name", WRITES)
def test_a_write_where_there_is_no_table(bench: Bench, name: str) -> None:
    """The table is made, and holds what it would if it had been there without rows."""
    write = WRITES[name]
    expected = {"merge": ["b", "x"], "merge by day": ["b", "x"], "replace partitions": ["x"]}

    bench.write(write)

    assert [row[0] for row in bench.rows(write.target)] == expected.get(name, ["a", "c"])


@pytest.mark.parametrize("name", WRITES)
def test_a_write_can_run_twice(bench: Bench, name: str) -> None:
    """With the same outcome, as after a crash that nobody can tell the moment of."""
    write = WRITES[name]
    bench.write(create(write.target, A, B, C))
    bench.write(write)

    bench.write(write)

    assert bench.rows(write.target) == AFTER[name]


@pytest.mark.parametrize("kept", [(), ("load-0",)], ids=["nothing kept", "a load kept"])
@pytest.mark.parametrize("name", WRITES)
def test_a_write_is_one_commit(bench: Bench, name: str, kept: tuple[str, ...]) -> None:
    """One snapshot and one version of the metadata, with its tag and what expires in it."""
    only_where_writes_are_commits(bench)
    write = WRITES[name]
    bench.write(create(write.target, A, B, C), load_id="0")
    before = bench.commits(write.target)

    bench.write(write, *kept)

    assert bench.commits(write.target) == tuple(count + 1 for count in before)


@pytest.mark.parametrize("name", WRITES)
def test_a_new_table_is_one_commit(bench: Bench, name: str) -> None:
    """Nobody ever sees it without its rows."""
    only_where_writes_are_commits(bench)
    bench.write(WRITES[name])

    assert bench.commits(WRITES[name].target) == (1, 1)


@pytest.mark.parametrize("name", WRITES)
def test_a_pinned_reader_sees_the_old_rows(bench: Bench, name: str) -> None:
    """While the table has a new version, and while that one is written."""
    write = WRITES[name]
    old = bench.made(create(write.target, A, B, C))
    stamp = Stamp(load_id="b", step="step", keep_tags=(old.tag,))

    bench.warehouse.write(write, stamp, lambda _done, _all: None)

    assert bench.rows(write.target, old) == [A, B, C]
    assert bench.rows(write.target) == AFTER[name]


@pytest.mark.parametrize("name", WRITES)
def test_an_earlier_version_can_be_restored(bench: Bench, name: str) -> None:
    """It is the current one again, and further writes build on it."""
    write = WRITES[name]
    old = bench.made(create(write.target, A, B, C))
    bench.write(write, old.tag, load_id="b")

    bench.warehouse.restore(write.target, old)

    now = bench.warehouse.version(write.target)
    assert now is not None
    assert now.snapshot_id == old.snapshot_id
    assert bench.rows(write.target) == [A, B, C]
    bench.write(write, load_id="c")
    assert bench.rows(write.target) == AFTER[name]


@pytest.mark.parametrize("name", WRITES)
def test_a_version_is_what_the_write_made(bench: Bench, name: str) -> None:
    """Before the first write there is none."""
    write = WRITES[name]
    assert bench.warehouse.version(write.target) is None

    made = bench.made(write)

    assert bench.warehouse.version(write.target) == made
    assert made.tag == "load-a"
    found = bench.seen(write.target)
    assert made.metadata_location == found.metadata_location
    assert found.metadata.current_snapshot_id == made.snapshot_id


@pytest.mark.parametrize("name", WRITES)
def test_a_write_tells_what_it_did(bench: Bench, name: str) -> None:
    """Rows and bytes written, and how many statements."""
    write = WRITES[name]
    assert not isinstance(write, Drop)

    stats = bench.write(write)

    assert stats.rows == len(bench.rows(write.target))
    assert stats.bytes_written == bench.warehouse.size(write.target).bytes
    if bench.commits_once:
        assert stats.statements == len(write.batches)


def test_every_statement_is_told_about(bench: Bench) -> None:
    """How many are done, of how many."""
    heard: list[tuple[int, int]] = []
    write = CreateTable(target=BY_DAY, batches=(batch(BY_DAY, A), batch(BY_DAY, C)))

    bench.warehouse.write(
        write, Stamp(load_id="a", step="step"), lambda done, every: heard.append((done, every))
    )

    assert heard == [(1, 2), (2, 2)]


def test_a_snapshot_says_who_made_it(bench: Bench) -> None:
    """The load and the step, for whoever looks at the table's history."""
    only_where_writes_are_commits(bench)
    bench.write(create(UNITS, A))
    snapshot = bench.seen(UNITS).current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None

    properties = snapshot.summary.additional_properties
    assert properties["statsig_staging.load"] == "a"
    assert properties["statsig_staging.step"] == "step"


@pytest.mark.parametrize("target", [UNITS, BY_DAY], ids=["plain", "by day"])
def test_statements_of_one_write_add_up(bench: Bench, target: Table) -> None:
    """Several for one table, several days in one."""
    bench.write(CreateTable(target=target, batches=(batch(target, A, C), batch(target, B))))

    assert bench.rows(target) == [A, B, C]


def test_parameters_of_a_statement_are_filled_in(bench: Bench) -> None:
    """Statements that share a tree differ in their values, which stay what they are."""
    tree = exp.select(
        exp.alias_(exp.cast(exp.Placeholder(this="unit"), "varchar"), "unit_id"),
        exp.alias_(exp.cast(exp.Placeholder(this="ds"), "date"), "ds"),
        exp.alias_(exp.cast(exp.Literal.number(1), "bigint"), "n"),
    )
    batches = tuple(
        Batch(select=tree, values={"unit": unit, "ds": ds.isoformat()}, partitions=(ds,))
        for unit, ds in [("it's", day(1)), (":ds", day(2))]
    )

    bench.write(CreateTable(target=BY_DAY, batches=batches))

    assert bench.rows(BY_DAY) == [("it's", day(1), 1), (":ds", day(2), 1)]


NOTHING: Mapping[str, Callable[[Table], Write]] = {
    "an empty statement": create,
    "no statement": lambda target: CreateTable(target=target, batches=()),
    "replaced by an empty statement": replace_all,
    "replaced without a statement": lambda target: Replace(target=target, batches=()),
    "every partition emptied": lambda target: ReplacePartitions(
        target=target, partitions=days(1, 2), batches=()
    ),
    "every partition empty": lambda target: ReplacePartitions(
        target=target, partitions=days(1, 2), batches=(batch(target),)
    ),
}


@pytest.mark.parametrize("before", [[], [A, B, C]], ids=["new", "with rows"])
@pytest.mark.parametrize("name", NOTHING)
def test_a_table_without_rows(bench: Bench, name: str, before: list[Row]) -> None:
    """It is there, with its columns and a version, and can be read and written."""
    if before:
        bench.write(create(BY_DAY, *before))

    made = bench.made(NOTHING[name](BY_DAY))

    assert bench.warehouse.version(BY_DAY) == made
    assert bench.rows(BY_DAY) == bench.rows(BY_DAY, made) == []
    assert bench.fetch(BY_DAY).column_names == list(COLUMNS)
    bench.write(merge(BY_DAY, A, keys=BY_UNIT_AND_DAY))
    assert bench.rows(BY_DAY) == [A]


def test_a_merge_of_nothing_changes_nothing(bench: Bench) -> None:
    """A statement may find that there is nothing to do."""
    bench.write(create(BY_DAY, A, B, C))

    bench.write(merge(BY_DAY, keys=BY_UNIT_AND_DAY))

    assert bench.rows(BY_DAY) == [A, B, C]


def test_a_partition_becomes_empty(bench: Bench) -> None:
    """By a merge that deletes its last row, or a statement that finds none; its files are gone."""
    bench.write(create(BY_DAY, A, B, C))

    bench.write(merge(BY_DAY, deleted=[A, B], keys=BY_UNIT_AND_DAY))
    assert bench.rows(BY_DAY) == [C]
    write = ReplacePartitions(
        target=BY_DAY, partitions=days(2), batches=(replace(batch(BY_DAY), partitions=days(2)),)
    )
    bench.write(write)

    assert bench.rows(BY_DAY) == []
    if bench.commits_once:
        assert bench.warehouse.size(BY_DAY).files == 0


def test_only_touched_partitions_get_new_files(bench: Bench) -> None:
    """The files of other days are those that they were."""
    bench.write(create(BY_DAY, A, B, C))
    before = {task.file.file_path for task in bench.seen(BY_DAY).scan().plan_files()}

    bench.write(merge(BY_DAY, ("a", day(1), 9), keys=BY_UNIT_AND_DAY))

    after = {task.file.file_path for task in bench.seen(BY_DAY).scan().plan_files()}
    assert len(before & after) == (1 if bench.commits_once else 2)


def test_a_merge_deletes_what_is_not_there(bench: Bench) -> None:
    """It is gone already."""
    bench.write(create(UNITS, A))

    bench.write(merge(UNITS, deleted=[("z", None, None)]))

    assert bench.rows(UNITS) == [A]


def test_a_merge_row_that_does_not_say_whether_it_is_deleted(bench: Bench) -> None:
    """It updates the row of its key, or is a new one; it neither removes its key nor vanishes."""
    bench.write(create(UNITS, A, B))
    rows = batch(UNITS, ("a", day(2), 7), C, deleted=[None, None])

    bench.write(Merge(target=UNITS, keys=("unit_id",), deleted="is_deleted", batches=(rows,)))

    assert bench.rows(UNITS) == [("a", day(2), 7), B, C]


def test_keys_of_a_merge_are_taken_together(bench: Bench) -> None:
    """One unit has a row on each of its days."""
    bench.write(create(BY_DAY, ("a", day(1), 1), ("a", day(2), 2)))

    bench.write(merge(BY_DAY, ("a", day(2), 9), ("a", day(3), 3), keys=BY_UNIT_AND_DAY))

    assert bench.rows(BY_DAY) == [("a", day(1), 1), ("a", day(2), 9), ("a", day(3), 3)]


def test_keys_of_a_merge_are_compared_exactly(bench: Bench) -> None:
    """Case, white space, composed letters and quotes make a difference."""
    names = [
        "a",
        "A",
        " a",
        "a ",
        "",
        "\u00e9",
        "e\u0301",
        "it's",
        'say "a"',
        "a\nb",
        "日本",
        "😀" * 300,
    ]
    bench.write(create(UNITS, *((name, day(1), 1) for name in names)))

    bench.write(merge(UNITS, *((name, day(1), number) for number, name in enumerate(names))))

    assert dict((row[0], row[2]) for row in bench.rows(UNITS)) == {  # noqa: C402
        name: number for number, name in enumerate(names)
    }


@pytest.mark.parametrize(
    "batches",
    [
        [batch(UNITS, A, ("a", day(2), 7), deleted=[False, False])],
        [batch(UNITS, A, A, deleted=[False, True])],
        [batch(UNITS, A, deleted=[False]), batch(UNITS, A, deleted=[False])],
    ],
    ids=["two rows", "a row and its end", "two statements"],
)
def test_a_merge_with_two_rows_for_a_key_is_refused(bench: Bench, batches: list[Batch]) -> None:
    """Nobody could say which one counts; the table stays as it was."""
    before = bench.made(create(UNITS, A, B))
    write = Merge(target=UNITS, keys=("unit_id",), deleted="is_deleted", batches=tuple(batches))

    with pytest.raises(StepFailedError, match="more than one source row"):
        bench.write(write)

    now = bench.warehouse.version(UNITS)
    assert now is not None
    assert now.snapshot_id == before.snapshot_id
    assert bench.rows(UNITS) == [A, B]


def test_a_merge_works_after_one_that_was_refused(bench: Bench) -> None:
    """Nothing of the failed one is left over."""
    bench.write(create(UNITS, A))
    with pytest.raises(StepFailedError):
        bench.write(merge(UNITS, A, ("a", day(2), 7)))

    bench.write(merge(UNITS, B))

    assert bench.rows(UNITS) == [A, B]


ALL_TYPES = table(*TYPES)
DATED_TYPES = replace(ALL_TYPES, partitioned=True)
NULLS: Row = ("n", day(1), None, None, None, None)
VALUES: list[Row] = [
    NULLS,
    ("", day(1), 0, 0.0, datetime(1970, 1, 1), False),  # noqa: DTZ001
    ("max", day(1), 2**63 - 1, 1.7976931348623157e308, datetime(9999, 12, 31, 23, 59, 59, 999999), True),  # noqa: DTZ001
    ("min", date(1969, 12, 31), -(2**63), -5e-324, datetime(1900, 1, 1, 0, 0, 0, 1), True),  # noqa: DTZ001
    ("third", date(2400, 2, 29), 1, 1 / 3, datetime(2026, 1, 1, 12, 0, 0, 123456), False),  # noqa: DTZ001
    ("inf", day(1), 1, math.inf, None, None),
    ("-inf", day(1), 1, -math.inf, None, None),
    ("long " * 500 + "é😀", day(1), 1, 1.0, None, None),
    ("NULL", day(1), 1, 1.0, None, None),
]  # fmt: skip


@pytest.mark.parametrize("target", [ALL_TYPES, DATED_TYPES], ids=["plain", "by day"])
def test_values_come_back_as_they_were(bench: Bench, target: Table) -> None:
    """Of every type: nulls, extremes, the days before 1970, what is long and what is not ASCII."""
    bench.write(create(target, *VALUES))

    assert bench.rows(target) == sorted(VALUES, key=repr)


@pytest.mark.parametrize("target", [ALL_TYPES, DATED_TYPES], ids=["plain", "by day"])
def test_values_survive_a_merge(bench: Bench, target: Table) -> None:
    """Rows that are rewritten beside a merged one are what they were; so are merged ones."""
    bench.write(create(target, *VALUES))
    merged = [("new", *row[1:]) for row in VALUES[:1]]

    bench.write(merge(target, *merged, *VALUES[1:3], keys=BY_UNIT_AND_DAY))

    assert bench.rows(target) == sorted([*VALUES, *merged], key=repr)


def test_a_row_may_be_null_everywhere(bench: Bench) -> None:
    """A table without partitions takes it."""
    nothing = (None,) * len(TYPES)

    bench.write(create(ALL_TYPES, nothing))

    assert bench.rows(ALL_TYPES) == [nothing]


def test_not_a_number_is_not_null(bench: Bench) -> None:
    """It is written and read as what it is."""
    target = table("unit_id", "x")

    bench.write(create(target, ("a", math.nan), ("b", None)))

    (_, number), (_, nothing) = bench.rows(target)
    assert math.isnan(number)  # type: ignore[arg-type]
    assert nothing is None


def test_fetched_columns_have_their_types(bench: Bench) -> None:
    """Also where every value is null."""
    bench.write(create(ALL_TYPES, (None,) * len(TYPES)))

    assert dict(zip(TYPES, map(str, bench.fetch(ALL_TYPES).schema.types), strict=True)) == {
        "unit_id": "string",
        "ds": "date32[day]",
        "n": "int64",
        "x": "double",
        "at": "timestamp[us]",
        "flag": "bool",
    }


WIDER = table(*COLUMNS, "x", "flag", name="unit_days", partitioned=True)


@pytest.mark.parametrize(
    "write",
    [
        replace_days(WIDER, days(2), ("c", day(2), 3, 0.5, True)),
        merge(WIDER, ("c", day(2), 3, 0.5, True), keys=BY_UNIT_AND_DAY),
    ],
    ids=["replace partitions", "merge"],
)
def test_a_new_column_is_null_in_old_rows(bench: Bench, write: Write) -> None:
    """They were written before anybody asked for it."""
    bench.write(create(BY_DAY, A, ("d", day(2), 4)))

    bench.write(write)

    rows = {row[0]: row[2:] for row in bench.rows(WIDER)}
    assert rows["a"] == (1, None, None)
    assert rows["c"] == (3, 0.5, True)
    assert rows.get("d", (4, None, None)) == (4, None, None)


def test_a_column_that_is_not_written_is_null(bench: Bench) -> None:
    """A table may have columns that a write does not know; other rows keep theirs."""
    bench.write(create(WIDER, (*A, 0.5, True), (*C, 0.5, True)))

    bench.write(replace_days(BY_DAY, days(2), C))

    assert bench.rows(WIDER) == [(*A, 0.5, True), (*C, None, None)]


@pytest.mark.parametrize("make", [create, replace_all], ids=["create", "replace"])
def test_columns_that_are_no_longer_there_are_dropped(
    bench: Bench, make: Callable[..., Write]
) -> None:
    """The table holds exactly what it was told, and the rest keeps its place."""
    bench.write(create(WIDER, (*A, 0.5, True)))

    bench.write(make(BY_DAY, B))

    fields = bench.seen(BY_DAY).schema().fields
    assert [(field.name, field.field_id) for field in fields] == [
        ("unit_id", 1),
        ("ds", 2),
        ("n", 3),
    ]
    assert bench.rows(BY_DAY) == [B]


def test_a_column_that_comes_back_is_a_new_one(bench: Bench) -> None:
    """Nothing of what it held before is left."""
    bench.write(create(WIDER, (*A, 0.5, True)))
    bench.write(create(BY_DAY, A))

    bench.write(replace_days(WIDER, days(2), (*C, 1.5, False)))

    assert bench.rows(WIDER) == [(*A, None, None), (*C, 1.5, False)]


def test_a_pinned_reader_keeps_a_dropped_column(bench: Bench) -> None:
    """A version is its rows with the columns that it had."""
    old = bench.made(create(WIDER, (*A, 0.5, True)))

    bench.write(create(BY_DAY, A), old.tag, load_id="b")

    assert bench.rows(WIDER, old) == [(*A, 0.5, True)]


def test_a_restored_version_has_its_columns(bench: Bench) -> None:
    """Those that were dropped after it too, with their values."""
    old = bench.made(create(WIDER, (*A, 0.5, True)))
    bench.write(create(BY_DAY, A), old.tag, load_id="b")

    bench.warehouse.restore(WIDER, old)

    assert bench.rows(WIDER) == [(*A, 0.5, True)]
    bench.write(replace_days(WIDER, days(2), (*C, 1.5, False)), load_id="c")
    assert bench.rows(WIDER) == [(*A, 0.5, True), (*C, 1.5, False)]


def test_columns_carry_their_words(bench: Bench) -> None:
    """Whoever opens the table with another tool reads what a column is."""
    bench.write(create(BY_DAY, A))
    bench.write(replace_days(WIDER, days(2)))

    docs = {field.name: field.doc for field in bench.seen(WIDER).schema().fields}
    assert docs == {name: f"about {name}" for name in (*COLUMNS, "x", "flag")}


def test_snapshots_of_kept_loads_stay(bench: Bench) -> None:
    """Each under the tag of its load; what no kept load needs expires."""
    made = {
        load: bench.made(create(UNITS, (load, None, None)), *kept, load_id=load)
        for load, kept in {"a": (), "b": ("load-a",), "c": ("load-a", "load-b")}.items()
    }
    assert bench.tags(UNITS) == {f"load-{name}": made[name].snapshot_id for name in "abc"}

    made["d"] = bench.made(create(UNITS, ("d", None, None)), "load-b", "load-c", load_id="d")

    assert bench.tags(UNITS) == {f"load-{name}": made[name].snapshot_id for name in "bcd"}
    assert {snapshot.snapshot_id for snapshot in bench.seen(UNITS).snapshots()} == {
        made[name].snapshot_id for name in "bcd"
    }
    for name in "bcd":
        assert bench.rows(UNITS, made[name]) == [(name, None, None)]


@pytest.mark.slow
def test_a_table_that_is_written_often_stays_small(bench: Bench) -> None:
    """What expires is removed, however many loads there were; kept loads see what they saw."""
    made = [bench.made(create(BY_DAY, *((f"u{n}", day(n), 0) for n in range(1, 10))), load_id="0")]

    for number in range(1, 27):
        kept = tuple(f"load-{load}" for load in range(max(number - 2, 0), number))
        today = day(number % 9 + 1)
        write = replace_days(BY_DAY, [today], (f"u{today.day}", today, number))
        made.append(bench.made(write, *kept, load_id=str(number)))

    for number in (24, 25, 26):
        last = {
            n: max(load for load in range(number + 1) if load % 9 + 1 == n) for n in range(1, 10)
        }
        rows = [(f"u{n}", day(n), load) for n, load in last.items()]
        assert bench.rows(BY_DAY, made[number]) == rows
    assert bench.rows(BY_DAY) == bench.rows(BY_DAY, made[26])
    assert len(bench.files(BY_DAY)) < (80 if bench.commits_once else 160)


def test_a_load_that_writes_twice_has_one_tag(bench: Bench) -> None:
    """It names the last snapshot; the one between is nobody's and expires."""
    kept = bench.made(create(UNITS, A), load_id="a")
    bench.write(create(UNITS, B), kept.tag, load_id="b")

    last = bench.made(merge(UNITS, C), kept.tag, load_id="b")

    assert bench.tags(UNITS) == {"load-a": kept.snapshot_id, "load-b": last.snapshot_id}
    assert len(list(bench.seen(UNITS).snapshots())) == 2


def test_tags_of_others_stay(bench: Bench) -> None:
    """The library removes no tag that it did not make."""
    made = bench.made(create(UNITS, A))
    bench.seen(UNITS).manage_snapshots().create_tag(made.snapshot_id, "audit").commit()

    bench.write(create(UNITS, B), load_id="b")

    assert bench.tags(UNITS)["audit"] == made.snapshot_id
    assert bench.rows(UNITS, made) == [A]


def test_a_restored_version_is_kept_by_its_tag(bench: Bench) -> None:
    """After an interrupted load the next one expires what that load left behind."""
    old = bench.made(create(UNITS, A), load_id="a")
    lost = bench.made(create(UNITS, B), old.tag, load_id="lost")
    bench.warehouse.restore(UNITS, old)

    new = bench.made(merge(UNITS, C), old.tag, load_id="b")

    found = {snapshot.snapshot_id for snapshot in bench.seen(UNITS).snapshots()}
    assert found == {old.snapshot_id, new.snapshot_id}
    assert lost.snapshot_id not in found
    assert bench.rows(UNITS, old) == [A]


def test_a_dropped_table_is_gone(bench: Bench) -> None:
    """Its name in the catalog and every file of it; another table stays."""
    bench.write(create(UNITS, A))
    bench.write(create(BY_DAY, A))
    assert bench.files(UNITS)

    bench.write(Drop(target=UNITS))

    assert bench.warehouse.version(UNITS) is None
    assert not bench.files(UNITS)
    with pytest.raises(NoSuchTableError):
        bench.seen(UNITS)
    assert bench.rows(BY_DAY) == [A]


def test_a_drop_can_run_twice(bench: Bench) -> None:
    """Also where there never was a table; afterwards the name is free."""
    bench.write(Drop(target=UNITS))
    bench.write(create(UNITS, A))
    bench.write(Drop(target=UNITS))

    bench.write(Drop(target=UNITS))
    bench.write(create(UNITS, B))

    assert bench.rows(UNITS) == [B]


def appended(target: Table, *rows: Row) -> pa.Table:
    """Return rows to append."""
    kinds = {ColumnType.STRING: pa.string(), ColumnType.DATE: pa.date32()}
    return pa.table(
        {
            column.name: pa.array([row[place] for row in rows], kinds.get(column.type, pa.int64()))
            for place, column in enumerate(target.columns)
        }
    )


STAMP = Stamp(load_id="a", step="publish")


def test_rows_are_appended(bench: Bench) -> None:
    """The first time the table is made; each time is one commit."""
    for count, row in enumerate([A, B, A], start=1):
        made = bench.warehouse.put_rows(UNITS, appended(UNITS, row), STAMP, replace=False)

        assert bench.commits(UNITS) == (count, count)
        now = bench.warehouse.version(UNITS)
        assert now is not None
        assert (now.snapshot_id, now.metadata_location) == (
            made.snapshot_id,
            made.metadata_location,
        )
    assert bench.rows(UNITS) == [A, A, B]


@pytest.mark.parametrize("before", [[], [A, B]], ids=["new", "with rows"])
def test_rows_that_are_put_replace_all(bench: Bench, before: list[Row]) -> None:
    """In one commit; a second time changes nothing."""
    if before:
        bench.warehouse.put_rows(UNITS, appended(UNITS, *before), STAMP, replace=False)
    commits = bench.commits(UNITS)

    bench.warehouse.put_rows(UNITS, appended(UNITS, C), STAMP, replace=True)

    assert bench.commits(UNITS) == tuple(count + 1 for count in commits)
    assert bench.rows(UNITS) == [C]
    bench.warehouse.put_rows(UNITS, appended(UNITS, C), STAMP, replace=True)
    assert bench.rows(UNITS) == [C]


def test_rows_that_are_put_carry_the_tag_of_their_load(bench: Bench) -> None:
    """Tags of kept loads stay, and so do the rows that they see."""
    made = bench.made(create(UNITS, A), load_id="0")
    stamp = Stamp(load_id="a", step="publish", keep_tags=("load-0",))

    put = bench.warehouse.put_rows(UNITS, appended(UNITS, B), stamp, replace=False)

    assert bench.tags(UNITS) == {"load-0": made.snapshot_id, "load-a": put.snapshot_id}
    assert bench.rows(UNITS, made) == [A]
    assert bench.rows(UNITS) == [A, B]


def test_rows_are_swapped_in_where_the_table_is_as_expected(bench: Bench) -> None:
    """None stands for a table that is not there; what is refused leaves nothing."""
    swap = bench.warehouse.swap_rows

    assert swap(UNITS, None, appended(UNITS, A), STAMP, replace=False)
    first = bench.warehouse.version(UNITS)
    assert not swap(UNITS, None, appended(UNITS, C), STAMP, replace=False)
    assert swap(UNITS, first, appended(UNITS, B), STAMP, replace=False)
    assert not swap(UNITS, first, appended(UNITS, C), STAMP, replace=True)

    assert bench.rows(UNITS) == [A, B]
    assert bench.commits(UNITS) == (2, 2)
    assert swap(UNITS, bench.warehouse.version(UNITS), appended(UNITS, C), STAMP, replace=True)
    assert bench.rows(UNITS) == [C]


def test_a_table_of_the_project_lies_beside_the_experiments(bench: Bench) -> None:
    """Its folder is its own name."""
    table = replace(UNITS, name=TableName(catalog="jobs", folder="jobs"), experiment_id="")

    made = bench.warehouse.put_rows(table, appended(table, A), STAMP, replace=False)

    assert "/statsig/jobs/metadata/" in made.metadata_location
    assert bench.rows(table) == [A]


def test_the_size_of_a_version(bench: Bench) -> None:
    """Rows, bytes and files of the current version, or of an earlier one."""
    old = bench.made(create(BY_DAY, A, B, C))
    bench.write(replace_days(BY_DAY, days(2)), old.tag, load_id="b")

    now, before = bench.warehouse.size(BY_DAY), bench.warehouse.size(BY_DAY, old)

    assert (now.rows, now.files) == (2, 1)
    assert (before.rows, before.files) == (3, 2)
    assert 0 < now.bytes < before.bytes


def test_no_table_has_no_size(bench: Bench) -> None:
    """Nothing is no error."""
    size = bench.warehouse.size(UNITS)

    assert (size.rows, size.bytes, size.files) == (0, 0, 0)


def test_an_object_is_what_was_put_last(bench: Bench) -> None:
    """Any bytes, at any depth; nothing else is left beside it."""
    key = "experiment-123/_loads/a/sources.parquet"
    assert bench.warehouse.get_object(key) is None

    for data in (b"", bytes(range(256)) * 1000, b"last"):
        bench.warehouse.put_object(key, data)
        assert bench.warehouse.get_object(key) == data

    assert bench.warehouse.get_object("experiment-123/_loads/b/sources.parquet") is None


def test_an_object_is_swapped_where_it_is_as_expected(bench: Bench) -> None:
    """None stands for one that is not there."""
    swap = bench.warehouse.swap_object

    assert not swap("lease.json", b"other", b"1")
    assert swap("lease.json", None, b"1")
    assert not swap("lease.json", None, b"2")
    assert not swap("lease.json", b"2", b"3")
    assert swap("lease.json", b"1", b"2")
    assert bench.warehouse.get_object("lease.json") == b"2"


def test_of_several_swaps_one_succeeds(bench: Bench) -> None:
    """Whoever comes second sees what the first one wrote."""

    def swap(number: int) -> bool:
        return bench.warehouse.swap_object("lease.json", None, str(number).encode())

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(swap, range(32)))

    assert done.count(True) == 1
    assert bench.warehouse.get_object("lease.json") == str(done.index(True)).encode()


FOREIGN: Mapping[str, Callable[[Warehouse, TableVersion], object]] = {
    **{
        name: lambda warehouse, _, write=write: warehouse.write(  # type: ignore[misc]
            replace(write, target=UNITS), STAMP, lambda _done, _all: None
        )
        for name, write in {**WRITES, "drop": Drop(target=UNITS)}.items()
        if "day" not in name and "partitions" not in name
    },
    "append": lambda warehouse, _: warehouse.put_rows(
        UNITS, appended(UNITS, A), STAMP, replace=False
    ),
    "swap": lambda warehouse, version: warehouse.swap_rows(
        UNITS, version, appended(UNITS, A), STAMP, replace=False
    ),
    "put": lambda warehouse, _: warehouse.put_rows(UNITS, appended(UNITS, A), STAMP, replace=True),
    "restore": lambda warehouse, version: warehouse.restore(UNITS, version),
    "version": lambda warehouse, _: warehouse.version(UNITS),
    "size": lambda warehouse, _: warehouse.size(UNITS),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_table_that_lies_elsewhere_is_somebody_elses(bench: Bench, name: str) -> None:
    """It has our name and is not in our folder: exit code 3, and it stays as it was."""
    owner = bench.elsewhere()
    theirs = owner.write(create(UNITS, B), STAMP, lambda _done, _all: None).version
    assert theirs is not None

    with pytest.raises(WarehouseError, match=r"statsig_staging\.units_123 lies at ") as caught:
        FOREIGN[name](bench.warehouse, theirs)

    assert caught.value.exit_code == 3
    assert bench.seen(UNITS).metadata_location == theirs.metadata_location
    assert owner.version(UNITS) == theirs
    assert bench.seen(UNITS).scan().to_arrow().to_pylist() == [dict(zip(COLUMNS, B, strict=True))]
    assert not bench.files(UNITS)


BROKEN: Mapping[str, tuple[exp.Query, int]] = {
    "no such table": (exp.select("unit_id", "ds", "n").from_("statsig_staging.absent_123"), 3),
    "no such column": (exp.select("absent").from_("statsig_staging.units_123"), 3),
    "not a number": (
        exp.select(
            "unit_id", "ds", exp.alias_(exp.cast(exp.column("unit_id"), "bigint"), "n")
        ).from_("statsig_staging.units_123"),
        4,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_statement_that_fails_leaves_the_table_alone(bench: Bench, name: str) -> None:
    """Also where it is not the first one of its write; the next write works."""
    select, code = BROKEN[name]
    before = bench.made(create(UNITS, A, B))
    write = CreateTable(target=UNITS, batches=(batch(UNITS, C), Batch(select=select)))

    with pytest.raises(StagingError) as caught:
        bench.write(write)

    assert caught.value.exit_code == code
    now = bench.warehouse.version(UNITS)
    assert now is not None
    assert now.snapshot_id == before.snapshot_id
    assert now == before or not bench.commits_once
    assert bench.rows(UNITS) == [A, B]
    bench.write(merge(UNITS, C))
    assert bench.rows(UNITS) == [A, B, C]


@pytest.mark.parametrize("name", [name for name in BROKEN if name != "not a number"])
def test_a_question_that_cannot_be_answered_is_refused(bench: Bench, name: str) -> None:
    """With the exit code of a refusal."""
    bench.write(create(UNITS, A))

    with pytest.raises(WarehouseError):
        bench.warehouse.fetch(BROKEN[name][0])


def test_a_table_that_somebody_else_changes_meanwhile(bench: Bench) -> None:
    """The write says so and commits nothing; run again, it succeeds."""
    only_where_writes_are_commits(bench)
    bench.write(create(UNITS, A, B))

    def meddle(_done: int, _all: int) -> None:
        bench.seen(UNITS).delete("unit_id = 'b'")

    with pytest.raises(StepFailedError, match=r"another process changed the table.*run again"):
        bench.warehouse.write(merge(UNITS, C), STAMP, meddle)

    assert bench.rows(UNITS) == [A]
    bench.write(merge(UNITS, C))
    assert bench.rows(UNITS) == [A, C]


def test_a_table_is_read_while_it_is_written(bench: Bench) -> None:
    """A write may select from its own target; it reads the version that it replaces."""
    bench.write(create(UNITS, A, B, C))
    own = exp.select("unit_id", "ds", "n").from_(node(DATABASE, UNITS)).where("n > 1")

    bench.write(Replace(target=UNITS, batches=(Batch(select=own),)))

    assert bench.rows(UNITS) == [B, C]


def test_files_are_those_of_the_table(bench: Bench) -> None:
    """Everything of a table lies in its own folder, under ``data`` and ``metadata``."""
    bench.write(create(BY_DAY, A, C))

    found = bench.seen(BY_DAY)
    assert found.location().endswith("/statsig/experiment-123/unit_days")
    assert {
        task.file.file_path.split("/unit_days/")[1].split("/")[0]
        for task in found.scan().plan_files()
    } == {"data"}
    assert "/unit_days/metadata/" in found.metadata_location

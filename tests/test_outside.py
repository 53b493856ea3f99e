"""What a load wrote, read with tools that know nothing of this library."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import StaticTable
from pyiceberg.table import Table as IcebergTable

import statsig_staging as staging
from statsig_staging import terms
from statsig_staging.plan import ColumnType, Table
from statsig_staging.planner import tables
from statsig_staging.state import loads_table
from tests.factories import ASSIGNMENT_SOURCE, EXPERIMENT, METRIC_SOURCE, PURCHASES, REVENUE, day

ICEBERG_TYPES = {
    ColumnType.STRING: "string",
    ColumnType.LONG: "long",
    ColumnType.DOUBLE: "double",
    ColumnType.DATE: "date",
    ColumnType.TIMESTAMP: "timestamp",
    ColumnType.BOOLEAN: "boolean",
}
DUCKDB_TYPES = {ColumnType.TIMESTAMP: "TIMESTAMP"}
DEFINITION: Mapping[str, Any] = {
    "connection": {
        "warehouse": "local",
        "threads": 1,
        "sources": {
            "shop.exposures": "data/exposures-*.parquet",
            "shop.events": "data/events-*.parquet",
        },
    },
    "assignment_sources": [{**ASSIGNMENT_SOURCE, "context": {"device": "device"}}],
    "metric_sources": [METRIC_SOURCE],
    "metrics": [
        PURCHASES,
        REVENUE,
        {**REVENUE, "name": "order_value", "type": "mean", "filter": "kind = 'purchase'"},
    ],
    "experiments": [{**EXPERIMENT, "metrics": ["purchases", "revenue", "order_value"]}],
}


def write_day(folder: Path, number: int) -> None:
    """Write a day's exposures and events; some come late, some units cross over or are strangers."""
    midnight = datetime(2026, 1, number)  # noqa: DTZ001
    units = [(f"user {n}", n) for n in range(number * 20)]
    exposures = [
        {
            "exposed_at": midnight + timedelta(minutes=n),
            "experiment_id": "123",
            "group_id": "test" if (n + (number if n % 10 == 0 else 0)) % 2 else "control",
            "user_id": unit,
            "device": None if n % 3 else f"dévice {n % 2}",
        }
        for unit, n in units
    ]
    late = timedelta(days=1 if number > 1 else 0)
    events = [
        {
            "ts": midnight - (late if n % 7 == 0 else timedelta()) + timedelta(hours=12, seconds=n),
            "user_id": unit if n % 5 else "stranger",
            "kind": "purchase" if n % 2 else "visit",
            "amount_cents": None if n % 4 == 0 else n * 100 + number,
        }
        for unit, n in units
    ]
    (folder / "data").mkdir(exist_ok=True)
    for name, rows in {"exposures": exposures, "events": events}.items():
        pq.write_table(pa.Table.from_pylist(rows), folder / "data" / f"{name}-{number}.parquet")


def documented() -> dict[str, Table]:
    """Return the tables of the experiment, by the names that the library reads them under."""
    project = staging.Project.model_validate(DEFINITION)
    experiment, source = project.experiment("123"), project.assignment_source("exposures")
    statistics = [terms.statistic_of(project.metric(name), project) for name in experiment.metrics]
    found = terms.aggregates_of(statistics, "events")
    return {
        "exposure_counts": tables.exposure_counts("123"),
        "unit_day_exposures": tables.unit_day_exposures("123", source),
        "first_exposures": tables.first_exposures("123", source),
        "exposures_summary": tables.exposures_summary("123"),
        "unit_day_metrics_events": tables.unit_day_metrics("123", "events", found),
        "unit_totals_events": tables.unit_totals("123", "events", found),
        "results": tables.results("123"),
    }


TABLES = documented()


@dataclass(frozen=True)
class Lake:
    """A project that was loaded twice, and its catalog as anybody may open it."""

    engine: staging.Engine
    catalog: SqlCatalog

    def seen(self, name: str) -> IcebergTable:
        """Return a table as the catalog has it."""
        return self.catalog.load_table(("statsig_staging", TABLES[name].name.catalog))

    def files(self, name: str) -> list[str]:
        """Return the paths of a table's files."""
        tasks = self.seen(name).scan().plan_files()
        return [task.file.file_path.removeprefix("file://") for task in tasks]

    def rows(self, name: str) -> list[tuple[object, ...]]:
        """Return a table's rows as the library reads them."""
        return rows(self.engine.table("123", name))


def rows(found: pa.Table) -> list[tuple[object, ...]]:
    """Return the rows of an Arrow table in order."""
    return sorted(zip(*found.to_pydict().values(), strict=True), key=repr)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """Return a lake after a first load, and one that adds a day and restates another."""
    folder = tmp_path_factory.mktemp("a project")
    (folder / "staging.yml").write_text(yaml.safe_dump(DEFINITION, allow_unicode=True), "utf-8")
    now = datetime(2026, 2, 1, tzinfo=UTC)
    with staging.connect(staging.load_project(folder), now=lambda: now) as engine:
        for through in (2, 3):
            for number in range(1, through + 1):
                write_day(folder, number)
            engine.run("123", through=day(through))
        catalog = SqlCatalog("statsig_staging", uri=f"sqlite:///{folder}/warehouse/catalog.db")
        yield Lake(engine, catalog)
        catalog.close()


def test_the_catalog_holds_every_table(lake: Lake) -> None:
    """Those that are documented, the published loads and the project's ledger, nothing else."""
    expected = {table.name.catalog for table in TABLES.values()}
    expected |= {"loads_123", "pipeline_overview"}

    assert {name for _, name in lake.catalog.list_tables("statsig_staging")} == expected


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_rows(lake: Lake, name: str) -> None:
    """What follows would hold of empty tables too."""
    assert len(lake.rows(name)) >= 6


@pytest.mark.parametrize("name", TABLES)
def test_columns_are_as_documented(lake: Lake, name: str) -> None:
    """Names, types and words; field ids count from 1 in the order of the columns."""
    fields = lake.seen(name).schema().fields

    assert [
        (field.field_id, field.name, str(field.field_type), field.doc, field.required)
        for field in fields
    ] == [
        (number, column.name, ICEBERG_TYPES[column.type], column.doc, False)
        for number, column in enumerate(TABLES[name].columns, start=1)
    ]


@pytest.mark.parametrize("name", TABLES)
def test_partitions_are_as_documented(lake: Lake, name: str) -> None:
    """By ``ds`` where the table is laid out by day, else none."""
    fields = lake.seen(name).spec().fields

    partitioned = [("ds", "identity", 1000)] if TABLES[name].partitioned else []
    assert [(field.name, str(field.transform), field.field_id) for field in fields] == partitioned


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_iceberg_2(lake: Lake, name: str) -> None:
    """In the folder of the table, with nothing that a plain reader of files would have to know."""
    table = lake.seen(name)

    assert table.format_version == 2
    assert table.location().endswith(
        f"/warehouse/statsig/experiment-123/{TABLES[name].name.folder}"
    )
    assert not any(task.delete_files for task in table.scan().plan_files())


@pytest.mark.parametrize("name", TABLES)
def test_a_catalog_reads_the_same_rows(lake: Lake, name: str) -> None:
    """The SQLite file is all that another pyiceberg needs."""
    assert rows(lake.seen(name).scan().to_arrow()) == lake.rows(name)


@pytest.mark.parametrize("name", TABLES)
def test_metadata_alone_reads_the_same_rows(lake: Lake, name: str) -> None:
    """Without any catalog."""
    table = StaticTable.from_metadata(lake.seen(name).metadata_location)

    assert rows(table.scan().to_arrow()) == lake.rows(name)


@pytest.mark.parametrize("name", TABLES)
def test_the_published_metadata_reads_the_same_rows(lake: Lake, name: str) -> None:
    """What ``loads_<id>`` names is there: its metadata, and the snapshot in it."""
    loads = lake.catalog.load_table("statsig_staging.loads_123").scan().to_arrow().to_pylist()
    current = max(loads, key=lambda load: int(load["number"]))
    version = json.loads(current["tables"])[TABLES[name].name.catalog]

    table = StaticTable.from_metadata(version["metadata_location"])

    assert rows(table.scan(snapshot_id=version["snapshot_id"]).to_arrow()) == lake.rows(name)


@pytest.mark.parametrize("name", TABLES)
def test_the_tag_of_the_load_reads_the_same_rows(lake: Lake, name: str) -> None:
    """Whoever knows the load's id needs no snapshot id; an earlier load's tag stays where it was."""
    current, first = lake.engine.status("123")[0].loads
    table = lake.seen(name)
    tagged = table.snapshot_by_name(current.tables[TABLES[name].name.catalog].tag)
    earlier = table.snapshot_by_name(f"load-{first.load_id}")
    assert tagged is not None
    assert earlier is not None

    assert rows(table.scan(snapshot_id=tagged.snapshot_id).to_arrow()) == lake.rows(name)
    assert earlier.snapshot_id == first.tables[TABLES[name].name.catalog].snapshot_id


@pytest.mark.parametrize("name", TABLES)
def test_plain_parquet_reads_the_same_rows(lake: Lake, name: str) -> None:
    """DuckDB takes the files as they lie, in the types that the columns have."""
    source = "SELECT * FROM read_parquet(?, hive_partitioning = false)"
    with duckdb.connect() as connection:
        found = connection.execute(source, [lake.files(name)]).fetchall()
        described = connection.execute(f"DESCRIBE {source}", [lake.files(name)]).fetchall()

    assert sorted(found, key=repr) == lake.rows(name)
    assert [(column[0], column[1]) for column in described] == [
        (column.name, DUCKDB_TYPES.get(column.type, column.type.upper()))
        for column in TABLES[name].columns
    ]


@pytest.mark.parametrize("name", TABLES)
def test_files_carry_the_field_ids(lake: Lake, name: str) -> None:
    """A reader that goes by ids finds each column in every file."""
    ids = list(range(1, len(TABLES[name].columns) + 1))

    for file in lake.files(name):
        schema = pq.read_schema(file)
        assert [int(field.metadata[b"PARQUET:field_id"]) for field in schema] == ids


@pytest.mark.parametrize("name", [name for name, table in TABLES.items() if table.partitioned])
def test_a_filter_on_the_day_opens_its_files_only(lake: Lake, name: str) -> None:
    """Another engine prunes by partition."""
    scan = lake.seen(name).scan(row_filter="ds = '2026-01-02'")

    place = [column.name for column in TABLES[name].columns].index("ds")
    assert 0 < len(list(scan.plan_files())) < len(lake.files(name))
    assert rows(scan.to_arrow()) == [row for row in lake.rows(name) if row[place] == day(2)]


def test_a_filter_on_a_unit_finds_it(lake: Lake) -> None:
    """The bounds in the metadata are those of the files."""
    scan = lake.seen("first_exposures").scan(row_filter="unit_id = 'user 7'")

    assert rows(scan.to_arrow()) == [
        row for row in lake.rows("first_exposures") if row[0] == "user 7"
    ]


def test_published_loads_are_a_table(lake: Lake) -> None:
    """One row for each, with the columns of the documentation."""
    found = lake.catalog.load_table("statsig_staging.loads_123")

    assert [field.name for field in found.schema().fields] == [
        column.name for column in loads_table("123").columns
    ]
    assert sorted(found.scan().to_arrow().column("through").to_pylist()) == [day(2), day(3)]

"""What a load publishes, the next one reads."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest

from statsig_staging.state import (
    SourceState,
    kept,
    load_folder,
    publish,
    read_files,
    read_loads,
    write_files,
)
from tests.factories import (
    daily,
    day,
    make_file,
    make_observation,
    make_published,
    make_version,
)
from tests.fakes.warehouse import RecordingWarehouse

LOAD = make_published(
    definitions={"exposures": "1f", "source web events": "it's"},
    sources={
        "exposures": SourceState(fingerprint="aa", days={day(1): "1a", day(2): "2b"}),
        "a view": SourceState(fingerprint="bb", days={}),
    },
    tables={"results_123": make_version(2**62)},
    rows=7,
    bytes_read=2**40,
    bytes_written=3,
    seconds=1.5,
    warnings=("é is a letter", "{count}"),
)


def test_a_load_comes_back_as_it_was_published() -> None:
    """Every attribute of it, through one row of a table."""
    warehouse = RecordingWarehouse()

    publish(warehouse, "123", LOAD, [])

    assert read_loads(warehouse, "statsig_staging", "123", 3) == (LOAD,)


@pytest.mark.parametrize(
    "attribute",
    ["start", "through", "watermark", "definitions", "sources", "tables", "rows", "warnings"],
)
def test_what_the_next_load_plans_with_comes_back(attribute: str) -> None:
    """Days are dates, digests are by day, snapshot ids keep every bit."""
    warehouse = RecordingWarehouse()

    publish(warehouse, "123", LOAD, [])

    (load,) = read_loads(warehouse, "statsig_staging", "123", 3)
    assert getattr(load, attribute) == getattr(LOAD, attribute)


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=30))])
def test_the_moment_of_publishing_is_utc(zone: tzinfo) -> None:
    """The table holds naive UTC, whatever zone the moment came in; readers get it with its zone."""
    warehouse = RecordingWarehouse()
    moment = LOAD.published_at.astimezone(zone)

    publish(warehouse, "123", replace(LOAD, published_at=moment), [])

    (row,) = warehouse.appended["loads_123"].to_pylist()
    (load,) = read_loads(warehouse, "statsig_staging", "123", 3)
    assert row["published_at"].tzinfo is None
    assert row["published_at"].replace(tzinfo=UTC) == datetime(2026, 1, 10, 4, tzinfo=UTC)
    assert load.published_at.tzinfo is UTC
    assert load.published_at == moment


def test_publishing_is_one_append() -> None:
    """Nothing else is written, so a load is published or it is not."""
    warehouse = RecordingWarehouse()

    publish(warehouse, "123", LOAD, [])

    assert list(warehouse.appended) == ["loads_123"]
    assert not warehouse.writes
    assert not warehouse.objects


def test_the_highest_number_is_the_current_load() -> None:
    """Rows come in any order."""
    warehouse = RecordingWarehouse()
    for number in (2, 10, 1):
        publish(warehouse, "123", make_published(number=number), [])

    loads = read_loads(warehouse, "statsig_staging", "123", 3)

    assert [load.number for load in loads] == [10, 2, 1]


def test_without_a_table_nothing_is_published() -> None:
    """A first load finds no state, and asks for none."""
    warehouse = RecordingWarehouse()

    assert read_loads(warehouse, "statsig_staging", "123", 3) == ()
    assert not warehouse.queries


def test_experiments_have_their_own_loads() -> None:
    """One experiment's load is none of another's."""
    warehouse = RecordingWarehouse()

    publish(warehouse, "123", LOAD, [])

    assert read_loads(warehouse, "statsig_staging", "124", 3) == ()


def test_files_come_back_as_they_were_seen() -> None:
    """By source and table, then by path, with everything that is known of them."""
    warehouse = RecordingWarehouse()
    file = make_file(
        "/lake/é.parquet",
        1,
        3,
        columns={"ts": "timestamp(6)", "a": "varchar"},
        misplaced=2,
        nulls={"user_id": 1},
        column_bytes={"ts": 40, "a": 60},
        anytime=True,
    )
    seen = [make_observation("exposures", file), daily("events", 1, 2)]

    write_files(warehouse, "123", "a", seen)

    known = read_files(warehouse, "123", "a")
    assert known["exposures", "shop.exposures"] == {file.path: file}
    assert list(known["events", "shop.events"]) == ["events/1", "events/2"]


def test_columns_of_a_file_keep_their_order() -> None:
    """A schema is a list."""
    warehouse = RecordingWarehouse()
    file = make_file(columns={"z": "varchar", "a": "varchar"})

    write_files(warehouse, "123", "a", [make_observation("events", file)])

    known = read_files(warehouse, "123", "a")
    assert list(known["events", "shop.events"][file.path].columns) == ["z", "a"]


def test_file_lists_lie_in_the_folder_of_their_load() -> None:
    """Below the experiment's folder, so that they go when it goes."""
    warehouse = RecordingWarehouse()

    write_files(warehouse, "123", "a", [daily("events", 1)])

    assert load_folder("123", "a") == "experiment-123/_loads/a"
    assert list(warehouse.objects) == ["experiment-123/_loads/a/sources.parquet"]


def test_a_load_without_a_file_list_knows_no_files() -> None:
    """Every file is looked at again then."""
    assert read_files(RecordingWarehouse(), "123", "a") == {}


def test_sources_without_files_are_written_too() -> None:
    """An empty list is a list."""
    warehouse = RecordingWarehouse()

    write_files(warehouse, "123", "a", [make_observation("events")])

    assert len(warehouse.objects) == 1
    assert read_files(warehouse, "123", "a") == {}


@pytest.mark.parametrize(("keep", "numbers"), [(3, [9, 8]), (2, [9]), (1, [9])])
def test_loads_that_stay_readable(keep: int, numbers: list[int]) -> None:
    """The new load takes one place; until it is published the current one stays in any case."""
    loads = [make_published(number=number) for number in (9, 8, 7)]

    assert [load.number for load in kept(loads, keep)] == numbers

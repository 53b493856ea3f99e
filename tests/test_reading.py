"""Cost follows the change: the source files that a load really opens, and the bytes it reads."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import statsig_staging as staging
from tests import plain
from tests.edits import Definitions
from tests.histories import fast_folder
from tests.opens import opens_below
from tests.plain import ORDER_VALUE, ORDERS, PURCHASES, REVENUE, day, event, exposure
from tests.worlds import World

DAYS = 12
METRICS = (REVENUE, PURCHASES, ORDERS)
SOURCES = ("events", "orders")
UNITS = 3


class CostError(AssertionError):
    """Too much was read."""


def add_day(world: World, number: int) -> None:
    """Have a day arrive: one file of each source, with some new units and an event of each unit so far."""
    groups = plain.GROUPS
    new = [exposure(f"u{number}-{n}", groups[n % 2], number, 1) for n in range(UNITS)]
    world.put("exposures", f"{day(number)}.parquet", new)
    units = [f"u{seen}-{n}" for seen in range(number + 1) for n in range(UNITS)]
    for name in SOURCES:
        rows = [event(unit, number, 2, 1.5) for unit in units]
        world.put(name, f"{day(number)}.parquet", rows)


@pytest.fixture
def definitions() -> Definitions:
    """Two metric sources, one file a day in each."""
    return plain.definitions(*METRICS, sources=SOURCES)


@pytest.fixture
def world(definitions: Definitions) -> Iterator[World]:
    """A project whose twelve days are loaded."""
    with fast_folder() as folder:
        world = World.begin(definitions.spelled_out(), folder / "project")
        for number in range(DAYS):
            add_day(world, number)
        load(world, DAYS)
        yield world


def load(world: World, days: int) -> staging.LoadResult:
    """Load so many days."""
    with plain.connect(world) as engine:
        return engine.run("123", through=day(days - 1))


def opened(world: World, days: int) -> set[str]:
    """Load so many days, and return which source files were opened."""
    with opens_below(world.folder / "data") as opens:
        load(world, days)
        return opens.files()


def test_the_watch_sees_what_a_load_opens(definitions: Definitions) -> None:
    """A first load opens every file; the tests below would fail if the watch were blind."""
    with fast_folder() as folder:
        world = World.begin(definitions.spelled_out(), folder / "project")
        add_day(world, 0)

        files = {f"{name}/{file}" for name, found in world.files.items() for file in found}
        assert opened(world, 1) == files


def test_where_nothing_changed_nothing_is_opened(world: World) -> None:
    """Neither by looking whether there is something to do."""
    assert opened(world, DAYS) == set()


def test_one_new_day_opens_its_files(world: World) -> None:
    """One of each source."""
    add_day(world, DAYS)

    assert opened(world, DAYS + 1) == {
        f"{name}/{day(DAYS)}.parquet" for name in ("exposures", *SOURCES)
    }


def test_one_new_day_opens_no_staged_day(world: World) -> None:
    """Of the tables by day it reads what it has just written: a hundredth day costs what the tenth did."""
    warehouse = world.folder / "warehouse"
    before = {
        str(file.relative_to(warehouse))
        for table in ("unit_day_exposures", "unit_day_metrics_events", "unit_day_metrics_orders")
        for file in warehouse.rglob(f"{table}/data/*.parquet")
    }
    assert len(before) == 3 * DAYS
    add_day(world, DAYS)

    with opens_below(warehouse) as opens:
        load(world, DAYS + 1)
        assert not opens.files() & before


def test_a_late_file_opens_its_day(world: World) -> None:
    """A file for a day ten days back: itself, and what else that source holds of that day."""
    late = DAYS - 11
    world.put("events", "late.parquet", [event("u0-0", late, 20, 8.0)])

    assert opened(world, DAYS) == {"events/late.parquet", f"events/{day(late)}.parquet"}


def test_a_late_exposure_that_moves_nobody_opens_no_events(world: World) -> None:
    """A unit is seen once more ten days back, after its first exposure."""
    late = DAYS - 11
    world.put("exposures", "late.parquet", [exposure("u0-0", "control", late, 20)])

    assert opened(world, DAYS) == {"exposures/late.parquet"}


def test_a_new_metric_opens_its_source(world: World, definitions: Definitions) -> None:
    """All days of the one source that it reads."""
    plain.redefine(world, definitions, *METRICS, ORDER_VALUE)

    assert opened(world, DAYS) == {f"orders/{day(number)}.parquet" for number in range(DAYS)}


MONTH = 28


def size_of(world: World, files: set[str]) -> int:
    return sum((world.folder / "data" / file).stat().st_size for file in files)


def all_files(world: World) -> set[str]:
    return {f"{name}/{file}" for name, found in world.files.items() for file in found}


def add_even_day(world: World, number: int) -> None:
    """Have a day arrive that is as large as every other."""
    rows = [exposure(f"u{number:02d}-{n:03d}", plain.GROUPS[n % 2], number, 1) for n in range(200)]
    world.add("exposures", rows)
    world.add("events", [event(row.unit or "", number, 2, 1.5) for row in rows])


@pytest.mark.slow
def test_one_more_day_of_a_month_reads_a_twenty_eighth() -> None:
    """By the files that are opened and by what the load says, each plus five per cent."""
    with fast_folder() as folder:
        world = World.begin(plain.definitions().spelled_out(), folder / "project")
        for number in range(MONTH):
            add_even_day(world, number)
            if number == MONTH - 2:
                load(world, MONTH - 1)
        with opens_below(world.folder / "data") as opens:
            result = load(world, MONTH)
            read = size_of(world, opens.files())
        most = size_of(world, all_files(world)) / MONTH * 1.05

    assert 0 < read <= most
    assert 0 < result.bytes_read <= most


LOOKBACK = 2


def read_by_query(world: World) -> None:
    """Have the project read its events by a SELECT, whose changes cannot be told by day."""
    file = world.folder / "staging.yml"
    project = yaml.safe_load(file.read_text("utf-8"))
    source = project["metric_sources"][0]
    del source["table"]
    source["sql"] = (
        "SELECT user_id, ts, amount FROM shop.events "
        "WHERE ds BETWEEN {statsig_start_date} AND {statsig_end_date}"
    )
    source["columns"] = {}
    source["lookback_days"] = LOOKBACK
    file.write_text(yaml.safe_dump(project, sort_keys=False), encoding="utf-8")


def events_only(files: set[str]) -> set[str]:
    return {file for file in files if Path(file).parts[0] == "events"}


@pytest.mark.slow
def test_one_more_day_of_a_query_reads_its_lookback() -> None:
    """The day and the days of the lookback, out of 28, plus five per cent."""
    with fast_folder() as folder:
        definitions = plain.definitions(REVENUE, layout="hive folders")
        world = World.begin(definitions.spelled_out(), folder / "project")
        read_by_query(world)
        for number in range(MONTH):
            add_even_day(world, number)
            if number == MONTH - 2:
                load(world, MONTH - 1)
        with opens_below(world.folder / "data") as opens:
            result = load(world, MONTH)
            read = size_of(world, events_only(opens.files()))
        total = size_of(world, events_only(all_files(world)))
        share = (LOOKBACK + 1) / MONTH * 1.05
        whole = size_of(world, all_files(world))

    assert min(read, result.bytes_read) > 0
    if read > total * share or result.bytes_read > whole * share:
        raise CostError(
            f"opened {read} of {total} bytes, and says to have read {result.bytes_read}"
        )

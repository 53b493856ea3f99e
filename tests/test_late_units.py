"""What late exposures may cost: a month of daily loads against one load of everything."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import statsig_staging as staging
from tests import plain
from tests.histories import fast_folder
from tests.worlds import World, compare, read_tables, write_yaml

START = date(2024, 6, 3)
DAYS = 28
UNITS_PER_DAY = 200
DAYS_LATE = 7
MOST = 1.5
"""The bytes that the daily loads may read, as a multiple of what one full load reads."""


class CostError(AssertionError):
    """Too much was read."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An exposure, and how many days late it arrives."""

    unit: str
    group: str
    day: int
    late: int


def exposures(share: float) -> list[Seen]:
    """Some hundred units a day; a share of them arrives one to seven days late."""
    dice = Random(20240603)
    found = []
    for number in range(DAYS * UNITS_PER_DAY):
        late = dice.randint(1, DAYS_LATE) if dice.random() < share else 0
        group = ("control", "test")[number % 2]
        found.append(Seen(f"u{number:05d}", group, number // UNITS_PER_DAY, late))
    assert any(seen.late for seen in found)
    return found


def day(number: int) -> date:
    return START + timedelta(days=number)


def at(number: int, hour: int) -> datetime:
    return datetime.combine(day(number), time(hour))


def write(folder: Path, name: str, partition: date, columns: dict[str, list[Any]]) -> None:
    """Write a new file into the folder of a date."""
    place = folder / "data" / name / f"ds={partition}"
    place.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    moment = table.column_names.index("at")
    table = table.set_column(moment, "at", table.column("at").cast(pa.timestamp("us")))
    pq.write_table(table, place / f"part-{len(list(place.iterdir()))}.parquet")


def arrive(folder: Path, number: int, seen: list[Seen], *, by_arrival: bool) -> None:
    """Have the rows of a day come: its events, its exposures, and those that are late."""
    rows = [each for each in seen if each.day + each.late == number]
    for partition in sorted({number if by_arrival else each.day for each in rows}):
        part = [each for each in rows if by_arrival or each.day == partition]
        columns: dict[str, list[Any]] = {
            "user_id": [each.unit for each in part],
            "variant": [each.group for each in part],
            "experiment": ["123"] * len(part),
            "at": [at(each.day, 1) for each in part],
        }
        write(folder, "exposures", day(partition), columns)
    active = [each.unit for each in seen if each.day <= number]
    events: dict[str, list[Any]] = {
        "user_id": active,
        "at": [at(number, 2)] * len(active),
        "amount": [(place * 7 + number) % 100 for place in range(len(active))],
    }
    write(folder, "events", day(number), events)


def definition(*, by_arrival: bool) -> dict[str, Any]:
    partition = {"column": "ds", "late": DAYS_LATE} if by_arrival else {"column": "ds"}
    return {
        "connection": {
            "warehouse": "local",
            "path": "warehouse",
            "sources": {f"shop.{name}": f"../data/{name}/*/*.parquet" for name in SOURCES},
        },
        "assignment_sources": [
            {
                "name": "exposures",
                "table": "shop.exposures",
                "timestamp": "at",
                "experiment_id": "experiment",
                "group_id": "variant",
                "units": {"user_id": "user_id"},
                "partition": partition,
            }
        ],
        "metric_sources": [
            {
                "name": "events",
                "table": "shop.events",
                "timestamp": "at",
                "units": {"user_id": "user_id"},
                "partition": {"column": "ds"},
            }
        ],
        "metrics": [
            {"name": "revenue", "type": "sum", "source": "events", "value": "amount"},
            {"name": "purchases", "type": "count", "source": "events"},
        ],
        "experiments": [
            {
                "id": "123",
                "assignment_source": "exposures",
                "unit": "user_id",
                "start": START,
                "end": day(DAYS - 1),
                "metrics": ["revenue", "purchases"],
            }
        ],
    }


SOURCES = ("exposures", "events")


def connect(folder: Path) -> staging.Engine:
    now = datetime(2025, 1, 1, tzinfo=UTC)
    return staging.connect(staging.load_project(folder), now=lambda: now)


def read(folder: Path) -> dict[str, list[str]]:
    """Return the rows of every table; amounts are whole numbers, so that their sums are exact."""
    project = staging.load_project(folder)
    with connect(folder) as engine:
        tables = dict(read_tables(engine, project, "123"))
    tables["results"] = tables["results"].drop_columns(["mean", "variance"])
    return {name: sorted(map(repr, table.to_pylist())) for name, table in tables.items()}


def test_a_day_that_was_loaded_before_it_was_over_loses_a_unit(tmp_path: Path) -> None:
    """Its file is replaced before the next load: a unit that is in no file is in no table."""
    world = World.begin(plain.definitions().spelled_out(), tmp_path / "project")
    world.add("exposures", [plain.exposure("stays", "control", 0, 1)])
    world.add("exposures", [plain.exposure("goes", "test", 1, 1)])
    noon = datetime.combine(plain.day(1), time(12), UTC)
    with plain.connect(world, noon) as engine:
        engine.run("123", through=plain.day(1))
        assert engine.table("123", "first_exposures").num_rows == 2
    world.put("exposures", max(world.files["exposures"]), [])
    with plain.connect(world, noon) as engine:
        engine.run("123", through=plain.day(1))
        compare(world, engine, plain.day(1))
        assert engine.table("123", "first_exposures")["unit_id"].to_pylist() == ["stays"]


def play(folder: Path, share: float, *, by_arrival: bool) -> float:
    """Load a month day by day and at once, compare, and return daily bytes over bytes at once."""
    for name in ("daily", "at_once"):
        (folder / name).mkdir()
        write_yaml(folder / name, definition(by_arrival=by_arrival))
    seen = exposures(share)
    daily = 0
    for number in range(DAYS):
        arrive(folder, number, seen, by_arrival=by_arrival)
        with connect(folder / "daily") as engine:
            daily += engine.run("123", through=day(number)).bytes_read
    with connect(folder / "at_once") as engine:
        at_once = engine.run("123", refresh="full").bytes_read
    assert read(folder / "daily") == read(folder / "at_once")
    return daily / at_once


@pytest.mark.slow
@pytest.mark.parametrize("by_arrival", [False, True], ids=["in old folders", "by arrival"])
@pytest.mark.parametrize("share", [0.001, 0.01])
def test_late_exposures_cost_little(share: float, by_arrival: bool) -> None:
    """Twenty-eight daily loads hold what one full load holds, and read at most half as much again."""
    with fast_folder() as folder:
        times = play(folder, share, by_arrival=by_arrival)
    if times > MOST:
        raise CostError(f"the daily loads read {times:.2f} times what one load reads")

"""GloBox, a real A/B test of an online shop: known answers from real files, as they were published.

Skipped where the data are absent. The answers were checked three ways; see the data's own README.
"""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
import yaml

import statsig_staging as staging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from statsig_staging.engine import Engine

SHARED = os.environ.get("STATSIG_STAGING_SHARED", str(Path(__file__).parents[2] / "shared"))
GLOBOX = Path(SHARED, "data", "globox")
FIRST, LAST = date(2023, 1, 25), date(2023, 2, 6)
DAYS = tuple(FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1))
NOW = datetime(2023, 3, 1, tzinfo=UTC)
COUNTS = {"A": (24_343, 955, 1_014), "B": (24_600, 1_139, 1_219)}
"""Group → units, purchasers, purchases."""
REVENUE = {
    "A": (82_145.90306479178, 16_651_977.543693932, 3.374518467928841, 672.6963551366814),
    "B": (83_415.32686879027, 16_170_777.779040685, 3.3908669458857834, 645.876966721454),
}
"""Group → revenue: total, total of squares, mean, sample variance."""
RATIO = {"A": 81.01173872267434, "B": 68.42930834191162}
"""Group → revenue per purchase."""

pytestmark = pytest.mark.skipif(not GLOBOX.is_dir(), reason="the GloBox data are not here")

FROM_SQL = {"sql": "SELECT *, 'globox' AS experiment_id FROM shop.groups"}
FROM_TABLE = {"table": '"shop"."groups"'}
slow = partial(pytest.param, marks=pytest.mark.slow)


def write_project(folder: Path, source: dict[str, Any], groups: str, activity: str) -> Path:
    """Write a project over two globs; ``source`` is the table or the SELECT of the exposures."""
    definition = {
        "connection": {
            "warehouse": "local",
            "sources": {"shop.groups": groups, "shop.activity": activity},
        },
        "assignment_sources": [
            {
                "name": "groups",
                **source,
                "timestamp": "join_dt",
                "experiment_id": "experiment_id",
                "group_id": "group",
                "units": {"user": "uid"},
                "context": {"device": "device"},
            }
        ],
        "metric_sources": [
            {
                "name": "activity",
                "table": "shop.activity",
                "timestamp": "dt",
                "timestamp_is_date": True,
                "units": {"user": "uid"},
            }
        ],
        "metrics": [
            {"name": "purchasers", "type": "unit_count", "source": "activity"},
            {"name": "purchases", "type": "count", "source": "activity"},
            {"name": "revenue", "type": "sum", "source": "activity", "value": "spent"},
            {"name": "order_value", "type": "mean", "source": "activity", "value": "spent"},
            {
                "name": "revenue_per_purchase",
                "type": "ratio",
                "numerator": {"type": "sum", "source": "activity", "value": "spent"},
                "denominator": {"type": "count", "source": "activity"},
            },
        ],
        "experiments": [
            {
                "id": "globox",
                "assignment_source": "groups",
                "unit": "user",
                "start": FIRST,
                "end": LAST,
                "groups": ["A", "B"],
                "control": "A",
                "metrics": [
                    "purchasers",
                    "purchases",
                    "revenue",
                    "order_value",
                    "revenue_per_purchase",
                ],
            }
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "staging.yml").write_text(yaml.safe_dump(definition, sort_keys=False))
    return folder


def with_experiment(folder: Path) -> None:
    """Write a copy of the exposures that has the column of the experiment, as CSV and as Parquet."""
    with (GLOBOX / "groups.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    with (folder / "groups.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [[*header, "experiment_id"], *([*row, "globox"] for row in rows)]
        )
    pq.write_table(pc.read_csv(folder / "groups.csv"), folder / "groups.parquet")


def connected(folder: Path) -> Engine:
    """Return an engine at a time when the test was long over."""
    return staging.connect(staging.load_project(folder), now=lambda: NOW)


def check(rows: Iterable[dict[str, Any]]) -> None:
    """Assert the known answers for the last day of ``cumulative``."""
    last = [row for row in rows if row["rollup"] == "cumulative" and str(row["ds"]) == str(LAST)]
    found = {(row["metric"], row["group_id"]): row for row in last}
    assert len(last) == len(found) == 10
    for group in ("A", "B"):
        units, purchasers, purchases = COUNTS[group]
        assert {row["units"] for row in last if row["group_id"] == group} == {units}
        assert found["purchasers", group]["total"] == purchasers
        assert found["purchases", group]["total"] == purchases
        revenue = found["revenue", group]
        moments = [revenue[name] for name in ("total", "total_squares", "mean", "variance")]
        assert moments == pytest.approx(REVENUE[group], rel=1e-9, abs=0)
        for metric in ("order_value", "revenue_per_purchase"):
            ratio = found[metric, group]
            assert ratio["mean"] == pytest.approx(RATIO[group], rel=1e-9, abs=0)
            assert ratio["total"] == pytest.approx(REVENUE[group][0], rel=1e-9, abs=0)
            assert ratio["denominator_total"] == purchases


def same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Assert that two results have the same rows on every day of every rollup."""
    assert len(found) == len(expected) == 2 * len(DAYS) * 10
    for mine, theirs in zip(found, expected, strict=True):
        assert mine == {
            name: pytest.approx(value, rel=1e-9, abs=1e-6) if isinstance(value, float) else value
            for name, value in theirs.items()
        }


@pytest.fixture(scope="module")
def in_one_go(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A project over the files as they are, loaded at once: its folder and its results."""
    folder = tmp_path_factory.mktemp("globox")
    write_project(folder, FROM_SQL, str(GLOBOX / "groups.csv"), str(GLOBOX / "activity.csv"))
    with connected(folder) as engine:
        engine.run("globox")
        return folder, engine.results("globox").to_pylist()


def test_the_files_as_they_are(in_one_go: tuple[Path, list[dict[str, Any]]]) -> None:
    """A byte order mark, quoted numbers and a missing column are no obstacle to the known answers."""
    check(in_one_go[1])


def test_units_are_counted_by_day(in_one_go: tuple[Path, list[dict[str, Any]]]) -> None:
    """Every day of `cumulative` has the units and purchasers that plain Python counts."""
    with (GLOBOX / "groups.csv").open(encoding="utf-8-sig", newline="") as file:
        joined = {row["uid"]: (row["group"], row["join_dt"]) for row in csv.DictReader(file)}
    with (GLOBOX / "activity.csv").open(encoding="utf-8-sig", newline="") as file:
        bought = [
            (row["uid"], row["dt"])
            for row in csv.DictReader(file)
            if row["dt"] >= joined[row["uid"]][1]
        ]
    for row in in_one_go[1]:
        if row["rollup"] != "cumulative" or row["metric"] != "purchasers":
            continue
        group, day = row["group_id"], str(row["ds"])
        assert row["units"] == sum(g == group and d <= day for g, d in joined.values())
        assert row["total"] == len(
            {uid for uid, dt in bought if dt <= day and joined[uid][0] == group}
        )


def test_the_command_line_gives_the_same(in_one_go: tuple[Path, list[dict[str, Any]]]) -> None:
    """`results --json` is one document with the known answers."""
    done = subprocess.run(
        [sys.executable, "-m", "statsig_staging", "results", "--experiment", "globox", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=in_one_go[0],
    )

    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert (document["experiment_id"], document["through"]) == ("globox", LAST.isoformat())
    check(document["rows"])


WITH_COUNTRY = {
    "sql": "SELECT g.*, u.country, 'globox' AS experiment_id "
    "FROM shop.groups AS g JOIN shop.users AS u ON u.id = g.uid"
}
BY_LEVEL = ("purchasers", "purchases", "revenue", "order_value")


def with_dimensions(folder: Path, users: str) -> None:
    """Have a project break some of its metrics down by device and country."""
    path = folder / "staging.yml"
    definition = yaml.safe_load(path.read_text(encoding="utf-8"))
    definition["connection"]["sources"] |= {"shop.users": users}
    definition["assignment_sources"][0]["context"] = {"device": "device", "country": "country"}
    for metric in definition["metrics"]:
        if metric["name"] in BY_LEVEL:
            metric["dimensions"] = ["device", "country"]
    definition["experiments"][0]["rollups"] = ["cumulative"]
    path.write_text(yaml.safe_dump(definition, sort_keys=False), encoding="utf-8")


def by_level(dimension: str) -> dict[tuple[str | None, str], tuple[int, int, int, float]]:
    """Return level and group → units, purchasers, purchases and revenue, as plain Python counts them."""
    with (GLOBOX / "users.csv").open(encoding="utf-8-sig", newline="") as file:
        countries = {row["id"]: row["country"] for row in csv.DictReader(file)}
    with (GLOBOX / "groups.csv").open(encoding="utf-8-sig", newline="") as file:
        units = {
            row["uid"]: row | {"country": countries[row["uid"]]} for row in csv.DictReader(file)
        }
    spent: dict[str, list[float]] = {}
    with (GLOBOX / "activity.csv").open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            if row["dt"] >= units[row["uid"]]["join_dt"]:
                spent.setdefault(row["uid"], []).append(float(row["spent"]))
    found: dict[tuple[str | None, str], tuple[int, int, int, float]] = {}
    for uid, unit in units.items():
        key, mine = (unit[dimension] or None, unit["group"]), spent.get(uid, [])
        count, buyers, bought, revenue = found.get(key, (0, 0, 0, 0.0))
        found[key] = (count + 1, buyers + bool(mine), bought + len(mine), revenue + sum(mine))
    return found


def check_levels(rows: Iterable[dict[str, Any]]) -> None:
    """Assert the answers for the last day by device and country, and that levels add up to the whole."""
    last = [row for row in rows if str(row["ds"]) == str(LAST) and row["metric"] in BY_LEVEL]
    for dimension, units_without in (("device", 294), ("country", 643)):
        expected = by_level(dimension)
        assert sum(units for (value, _), (units, *_) in expected.items() if value is None) == (
            units_without
        )
        of = {
            (row["metric"], row["dimension_value"], row["group_id"]): row
            for row in last
            if row["dimension"] == dimension
        }
        assert {(value, group) for _, value, group in of} == set(expected)
        assert len(of) == len(expected) * len(BY_LEVEL)
        for (value, group), (units, buyers, bought, revenue) in expected.items():
            assert {of[metric, value, group]["units"] for metric in BY_LEVEL} == {units}
            assert of["purchasers", value, group]["total"] == buyers
            assert of["purchases", value, group]["total"] == bought
            assert of["revenue", value, group]["total"] == pytest.approx(revenue, rel=1e-9)
            assert of["order_value", value, group]["denominator_total"] == bought
        for group, (total, squares, *_) in REVENUE.items():
            levels = [row for (name, _, at), row in of.items() if (name, at) == ("revenue", group)]
            assert math.fsum(row["total"] for row in levels) == pytest.approx(total, rel=1e-9)
            assert math.fsum(row["total_squares"] for row in levels) == pytest.approx(
                squares, rel=1e-9
            )


@pytest.mark.slow
def test_by_device_and_country(tmp_path: Path) -> None:
    """Each level has what plain Python counts, units without a value their own, in one load and in three."""
    files = [str(GLOBOX / f"{name}.csv") for name in ("groups", "activity", "users")]
    folder = write_project(tmp_path, WITH_COUNTRY, *files[:2])
    with_dimensions(folder, files[2])

    with connected(folder) as engine:
        for day in (DAYS[3], DAYS[9], LAST):
            engine.run("globox", through=day)
        found = engine.results("globox").to_pylist()
        engine.run("globox", refresh="full")
        at_once = engine.results("globox").to_pylist()

    check([row for row in found if row["dimension"] is None])
    check_levels(found)
    assert [(row["units"], *map(row.get, ROW)) for row in found] == [
        (row["units"], *map(row.get, ROW)) for row in at_once
    ]


ROW = ("rollup", "ds", "metric", "dimension", "dimension_value", "group_id")


@pytest.mark.parametrize("name", ["groups.csv", "groups.parquet"])
def test_a_table_with_the_column(tmp_path: Path, name: str) -> None:
    """A table source gives what the SELECT does; globs are relative to the project or absolute."""
    with_experiment(tmp_path)
    write_project(tmp_path, FROM_TABLE, name, str(GLOBOX / "activity.csv"))

    with connected(tmp_path) as engine:
        engine.run("globox")
        check(engine.results("globox").to_pylist())


@pytest.mark.parametrize("source", [slow(FROM_SQL), slow(FROM_TABLE)], ids=["sql", "table"])
def test_day_by_day(
    tmp_path: Path, source: dict[str, Any], in_one_go: tuple[Path, list[dict[str, Any]]]
) -> None:
    """Thirteen loads over files that hold everything publish what one load does, on every day."""
    with_experiment(tmp_path)
    groups = str(GLOBOX / "groups.csv") if source is FROM_SQL else "groups.parquet"
    write_project(tmp_path, source, groups, str(GLOBOX / "activity.csv"))

    with connected(tmp_path) as engine:
        refreshes = [engine.run("globox", through=day).refresh.value for day in DAYS]
        found = engine.results("globox").to_pylist()

    assert refreshes == ["full"] + ["incremental"] * (len(DAYS) - 1)
    check(found)
    same(found, in_one_go[1])


@pytest.mark.parametrize(
    ("source", "arrive"),
    [
        slow(FROM_TABLE, "a file a day"),
        slow(FROM_SQL, "a file a day"),
        slow(FROM_TABLE, "one file that grows"),
        slow(FROM_SQL, "one file that grows"),
    ],
    ids=["table-daily", "sql-daily", "table-growing", "sql-growing"],
)
def test_as_the_files_grow(
    tmp_path: Path,
    source: dict[str, Any],
    arrive: str,
    in_one_go: tuple[Path, list[dict[str, Any]]],
) -> None:
    """Thirteen loads, each right after its day's rows arrived, publish what one load does."""
    with_experiment(tmp_path)
    groups = GLOBOX / "groups.csv" if source is FROM_SQL else tmp_path / "groups.csv"
    folder = write_project(tmp_path / "project", source, "groups/*.csv", "activity/*.csv")
    bring = one_file if arrive == "one file that grows" else one_file_a_day

    with connected(folder) as engine:
        for day in DAYS:
            bring(groups, folder / "groups", "join_dt", day)
            bring(GLOBOX / "activity.csv", folder / "activity", "dt", day)
            engine.run("globox", through=day)
        found = engine.results("globox").to_pylist()

    check(found)
    same(found, in_one_go[1])


def one_file(whole: Path, folder: Path, column: str, day: date) -> None:
    """Write the rows until ``day`` in place of those until the day before."""
    copy_rows(whole, folder / "all.csv", column, lambda found: found <= day.isoformat())


def one_file_a_day(whole: Path, folder: Path, column: str, day: date) -> None:
    """Write the rows of ``day`` beside those of the days before."""
    copy_rows(whole, folder / f"{day}.csv", column, lambda found: found == day.isoformat())


def copy_rows(whole: Path, target: Path, column: str, wanted: Callable[[str], bool]) -> None:
    """Copy the lines of a CSV file whose ``column`` is wanted, byte for byte."""
    target.parent.mkdir(exist_ok=True)
    header, *lines = whole.read_bytes().splitlines(keepends=True)
    names = next(csv.reader([header.decode("utf-8-sig")]))
    place = names.index(column)
    kept = [line for line in lines if wanted(next(csv.reader([line.decode()]))[place])]
    target.write_bytes(b"".join([header, *kept]))

"""The oracle against answers worked out by hand, and against a published experiment."""

import csv
import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings

from tests import oracle
from tests.oracle import (
    ANYTHING,
    Aggregate,
    AggregateKey,
    Double,
    Event,
    Expected,
    Experiment,
    Exposure,
    OracleMetric,
    PartitionRule,
    Row,
    assert_close,
    assert_unit_days_close,
    expected,
)
from tests.strategies import (
    FILTERS,
    LAYOUTS,
    VALUES,
    Expression,
    Layout,
    Scenario,
    scenarios,
    write_project,
    write_source,
)

GLOBOX = Path(__file__).parents[2] / "shared/data/globox"
MICROSECOND = timedelta(microseconds=1)
DAY_1, DAY_2, DAY_3, DAY_4 = (date(2024, 3, day) for day in (1, 2, 3, 4))


def on(day: int, hour: int = 12, minute: int = 0) -> datetime:
    return datetime(2024, 3, day, hour, minute)  # noqa: DTZ001


def exposure(unit: str | None, group: str | None, at: datetime | None, **context: str) -> Exposure:
    return Exposure(unit, group, "123", at, context)


def event(unit: str | None, at: date | None, usd: float | None = 1.0, name: str = "buy") -> Event:
    return Event(unit, at, {"usd": usd, "name": name})


def usd(fields: Mapping[str, Any]) -> float | None:
    amount: float | None = fields["usd"]
    return amount


COUNT = OracleMetric(
    name="purchases", type="count", numerator=Aggregate(kind="count", source="events")
)
SUM = OracleMetric(
    name="revenue", type="sum", numerator=Aggregate(kind="sum", source="events", value=usd)
)
MEAN = OracleMetric(
    name="order_value", type="mean", numerator=Aggregate(kind="sum", source="events", value=usd)
)
ONCE = OracleMetric(
    name="purchasers", type="unit_count", numerator=Aggregate(kind="unit_count", source="events")
)
RATIO = OracleMetric(
    name="per_visit",
    type="ratio",
    numerator=Aggregate(kind="sum", source="events", value=usd),
    denominator=Aggregate(kind="count", source="visits"),
)


def load(
    exposures: Iterable[Exposure],
    events: Iterable[Event] = (),
    *metrics: OracleMetric,
    through: date = DAY_3,
    visits: Iterable[Event] = (),
    **experiment: Any,
) -> Expected:
    settings = Experiment(id="123", start=DAY_1, metrics=metrics, **experiment)
    return expected(settings, exposures, {"events": events, "visits": visits}, through=through)


def columns(rows: Iterable[Row], *names: str) -> list[tuple[object, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def one(table: Expected, rollup: str, ds: date, group: str, metric: str = "revenue") -> Row:
    wanted = {"rollup": rollup, "ds": ds, "group_id": group, "metric": metric}
    found = [row for row in table.results if wanted.items() <= row.items()]
    assert len(found) == 1
    return found[0]


def test_the_earliest_row_decides_group_and_time() -> None:
    """Duplicates and later rows change nothing, in whatever order they lie."""
    rows = [exposure("u", "A", on(2)), exposure("u", "A", on(1, 9)), exposure("u", "A", on(1, 9))]
    assert load(rows).first_exposures == [
        {
            "unit_id": "u",
            "group_id": "A",
            "first_exposure": on(1, 9),
            "first_exposure_ds": DAY_1,
            "crossover": False,
            "crossover_at": None,
        }
    ]


def test_a_tie_goes_to_the_smallest_group_and_is_a_crossover() -> None:
    rows = [exposure("u", "B", on(1)), exposure("u", "A", on(1)), exposure("u", "C", on(2))]
    assert columns(load(rows).first_exposures, "group_id", "crossover", "crossover_at") == [
        ("A", True, on(1))
    ]


def test_rows_that_do_not_count_as_exposures() -> None:
    """Null and empty ids, foreign experiments, days outside, unlisted groups, no timestamp."""
    rows = [
        exposure(None, "A", on(1)),
        exposure("", "A", on(1)),
        exposure("u", None, on(1)),
        exposure("u", "", on(1)),
        exposure("u", "A", None),
        exposure("u", "C", on(1)),
        Exposure("u", "A", "124", on(1)),
        Exposure("u", "A", None, on(1)),
        exposure("u", "A", on(1, 0) - MICROSECOND),
        exposure("u", "A", on(4, 0)),
    ]
    assert load(rows, groups=("A", "B")).first_exposures == []
    assert load([row for row in rows if row.group != "C"]).first_exposures == []
    assert load(rows, groups=("A", "B"), through=DAY_4, end=DAY_3).first_exposures == []


def test_the_first_and_the_last_microsecond_count() -> None:
    rows = [exposure("u", "A", on(1, 0)), exposure("v", "A", on(4, 0) - MICROSECOND)]
    assert columns(load(rows).first_exposures, "unit_id", "first_exposure_ds") == [
        ("u", DAY_1),
        ("v", DAY_3),
    ]


def test_a_row_of_an_unlisted_group_makes_no_crossover() -> None:
    rows = [exposure("u", "C", on(1)), exposure("u", "A", on(2))]
    listed = load(rows, groups=("A", "B"))
    assert columns(listed.first_exposures, "group_id", "first_exposure", "crossover") == [
        ("A", on(2), False)
    ]
    unlisted = load(rows)
    assert columns(unlisted.first_exposures, "group_id", "first_exposure", "crossover") == [
        ("C", on(1), True)
    ]


def test_context_is_the_first_known_value_of_the_first_day() -> None:
    rows = [
        exposure("u", "A", on(1, 9)),
        exposure("u", "A", on(1, 10), device="web"),
        exposure("u", "A", on(1, 10), device="ios"),
        exposure("v", "A", on(1)),
        exposure("v", "A", on(2), device="web"),
    ]
    table = load(rows, context=("device",))
    assert columns(table.first_exposures, "unit_id", "device") == [("u", "ios"), ("v", None)]
    assert columns(table.unit_day_exposures, "unit_id", "ds", "device") == [
        ("u", DAY_1, "ios"),
        ("v", DAY_1, None),
        ("v", DAY_2, "web"),
    ]


def test_unit_day_exposures_look_at_each_day_alone() -> None:
    rows = [
        exposure("u", "B", on(1)),
        exposure("u", "C", on(2, 11)),
        exposure("u", "A", on(2, 13)),
        exposure("u", "B", on(2, 12)),
    ]
    assert load(rows).unit_day_exposures == [
        {
            "unit_id": "u",
            "ds": DAY_1,
            "first_exposure": on(1),
            "group_id": "B",
            "min_group_id": "B",
            "max_group_id": "B",
            "crossover_at": None,
        },
        {
            "unit_id": "u",
            "ds": DAY_2,
            "first_exposure": on(2, 11),
            "group_id": "C",
            "min_group_id": "A",
            "max_group_id": "C",
            "crossover_at": on(2, 12),
        },
    ]


CROSSING = (
    exposure("stays", "A", on(1)),
    exposure("leaves", "A", on(1)),
    exposure("leaves", "B", on(3)),
    exposure("passes", "A", on(2, 9)),
    exposure("passes", "B", on(2, 10)),
)
SUMMARY = ("ds", "daily_first_exposures", "daily_crossovers", "cumulative_exposures")


def test_the_summary_has_every_day_and_group() -> None:
    """A crossover leaves on the day it meets its second group; B only ever had such units."""
    table = load(CROSSING)
    in_a = [row for row in table.exposures_summary if row["group_id"] == "A"]
    in_b = [row for row in table.exposures_summary if row["group_id"] == "B"]
    assert columns(in_a, *SUMMARY) == [(DAY_1, 2, 0, 2), (DAY_2, 1, 1, 2), (DAY_3, 0, 1, 1)]
    assert columns(in_b, *SUMMARY) == [(DAY_1, 0, 0, 0), (DAY_2, 0, 0, 0), (DAY_3, 0, 0, 0)]


def test_nobody_leaves_where_crossovers_count_in_their_first_group() -> None:
    table = load(CROSSING, crossover="first_group", groups=("A",))
    assert columns(table.exposures_summary, *SUMMARY) == [
        (DAY_1, 2, 0, 2),
        (DAY_2, 1, 0, 3),
        (DAY_3, 0, 0, 3),
    ]
    table = load(CROSSING, crossover="first_group", groups=("A", "B"))
    in_a = [row for row in table.exposures_summary if row["group_id"] == "A"]
    assert columns(in_a, *SUMMARY) == [(DAY_1, 2, 0, 2), (DAY_2, 1, 0, 3), (DAY_3, 0, 0, 3)]


def test_a_crossover_counts_until_the_day_before_it_crosses() -> None:
    """Unit ``leaves`` is in the results of days 1 and 2 and gone from day 3, with all its rows."""
    events = [event("stays", on(1), 1.0), event("leaves", on(1), 10.0), event("leaves", on(3), 5.0)]
    table = load(CROSSING, events, SUM)
    of_a = [one(table, "cumulative", ds, "A") for ds in (DAY_1, DAY_2, DAY_3)]
    assert columns(of_a, "units", "total") == [(2, 11.0), (2, 11.0), (1, 1.0)]
    of_a = [one(table, "daily", ds, "A") for ds in (DAY_1, DAY_2, DAY_3)]
    assert columns(of_a, "units", "total") == [(2, 11.0), (2, 0.0), (1, 0.0)]
    assert table.unit_days["events"] == {
        ("stays", DAY_1): {("revenue", "numerator"): 1.0},
        ("leaves", DAY_1): {("revenue", "numerator"): 10.0},
        ("leaves", DAY_3): {("revenue", "numerator"): 5.0},
    }
    first_group = load(CROSSING, events, SUM, crossover="first_group")
    assert one(first_group, "cumulative", DAY_3, "A")["total"] == 16.0
    assert one(first_group, "cumulative", DAY_3, "B")["units"] == 0


def test_a_row_at_the_very_moment_of_the_exposure_counts() -> None:
    moment = on(1, 12, 30)
    events = [
        event("u", moment - MICROSECOND, 1.0),
        event("u", moment, 2.0),
        event("u", moment + MICROSECOND, 4.0),
    ]
    table = load([exposure("u", "A", moment)], events, SUM)
    assert table.unit_days["events"] == {("u", DAY_1): {("revenue", "numerator"): 6.0}}


def test_a_date_counts_from_the_day_of_the_exposure() -> None:
    events = [event("u", DAY_1, 1.0), event("u", DAY_2, 2.0), event("u", DAY_3, 4.0)]
    table = load([exposure("u", "A", on(2, 23))], events, SUM)
    assert one(table, "cumulative", DAY_3, "A")["total"] == 6.0


def test_metric_rows_that_do_not_count() -> None:
    """Strangers, null ids, no timestamp, before the first day, after the last or the target."""
    events = [
        event("stranger", on(2)),
        event(None, on(2)),
        event("u", None),
        event("u", on(1, 0) - MICROSECOND),
        event("u", on(3, 0)),
    ]
    table = load([exposure("u", "A", on(1, 0))], events, COUNT, through=DAY_2)
    assert table.unit_days["events"] == {}
    table = load([exposure("u", "A", on(1, 0))], events, COUNT, through=DAY_4, end=DAY_2)
    assert table.unit_days["events"] == {}
    assert max(row["ds"] for row in table.results if isinstance(row["ds"], date)) == DAY_2


def test_a_row_far_from_its_own_day_is_left_out() -> None:
    """With early 1 and late 0, the rows of day 2 may lie in the partitions of days 1 and 2."""
    partitions = (date(2024, 2, 29), DAY_1, DAY_2, DAY_3, None)
    exposures = [
        Exposure(f"u{number}", "A", "123", on(2), partition=partition)
        for number, partition in enumerate(partitions)
    ]
    table = load(exposures, exposure_partitions=PartitionRule(early=1))
    assert columns(table.first_exposures, "unit_id") == [("u1",), ("u2",)]

    events = [Event("u", on(2), {"usd": 10.0**n}, day) for n, day in enumerate(partitions)]
    rules = {"events": PartitionRule(late=1)}
    table = load([exposure("u", "A", on(1))], events, SUM, source_partitions=rules)
    assert one(table, "cumulative", DAY_3, "A")["total"] == 1100.0


THREE = tuple(exposure(unit, "A", on(1, 0)) for unit in ("u", "v", "w"))


def test_a_sum_by_hand() -> None:
    """Units 3, 0 and 6: mean 3, squares 45, variance ((3-3)² + (0-3)² + (6-3)²) / 2 = 9."""
    events = [event("u", on(1), 1.0), event("u", on(2), 2.0), event("w", on(2), 6.0)]
    table = load(THREE, events, SUM)
    assert one(table, "cumulative", DAY_2, "A") == {
        "experiment_id": "123",
        "rollup": "cumulative",
        "ds": DAY_2,
        "day_index": None,
        "metric": "revenue",
        "dimension": None,
        "dimension_value": None,
        "group_id": "A",
        "units": 3,
        "total": 9.0,
        "total_squares": 45.0,
        "mean": 3.0,
        "variance": 9.0,
        "denominator_total": None,
        "denominator_total_squares": None,
        "numerator_denominator_product": None,
    }
    daily = one(table, "daily", DAY_2, "A")
    assert columns([daily], "total", "total_squares", "mean") == [(8.0, 40.0, 8 / 3)]
    assert daily["variance"] == pytest.approx(28 / 3)
    last = one(table, "daily", DAY_3, "A")
    assert columns([last], "units", "total", "variance") == [(3, 0.0, 0.0)]


def test_a_unit_counts_once() -> None:
    """A unit of two days is one purchaser in all, and one on each of its days."""
    events = [event("u", on(1)), event("u", on(1)), event("u", on(2)), event("v", on(2))]
    table = load(THREE, events, ONCE, COUNT)
    purchasers = [one(table, "cumulative", ds, "A", "purchasers") for ds in (DAY_1, DAY_2)]
    assert columns(purchasers, "total", "mean") == [(1.0, 1 / 3), (2.0, 2 / 3)]
    assert one(table, "daily", DAY_2, "A", "purchasers")["total"] == 2.0
    assert one(table, "cumulative", DAY_2, "A", "purchases")["total"] == 4.0
    assert table.unit_days["events"]["u", DAY_1] == {
        ("purchasers", "numerator"): 1,
        ("purchases", "numerator"): 2,
    }


def test_a_mean_is_over_known_values() -> None:
    """Values 4, 0, null, NaN and infinity: total 4, two values. Null is not zero."""
    values = (4.0, 0.0, None, math.nan, -math.inf)
    events = [event("u", on(1), value) for value in values] + [event("v", on(1), None)]
    table = load(THREE, events, MEAN, COUNT)
    row = one(table, "cumulative", DAY_1, "A", "order_value")
    assert columns([row], "units", "total", "denominator_total", "mean") == [(3, 4.0, 2.0, 2.0)]
    assert columns(
        [row], "variance", "denominator_total_squares", "numerator_denominator_product"
    ) == [(pytest.approx(16 / 3), 4.0, 8.0)]
    assert one(table, "cumulative", DAY_1, "A", "purchases")["total"] == 6.0
    assert table.unit_days["events"]["v", DAY_1] == {("purchases", "numerator"): 1}


def test_a_ratio_is_sums_over_sums() -> None:
    """10/1 and 2/3 give 12/4 = 3, not the mean of 10 and 2/3; w's visit counts without revenue."""
    events = [event("u", on(1), 10.0), event("v", on(1), 2.0)]
    visits = [Event("u", on(1)), *[Event("v", DAY_1)] * 2, Event("v", on(2)), Event("w", on(2))]
    table = load(THREE, events, RATIO, visits=visits)
    first = one(table, "cumulative", DAY_1, "A", "per_visit")
    assert columns([first], "total", "denominator_total", "mean") == [(12.0, 3.0, 4.0)]
    row = one(table, "cumulative", DAY_2, "A", "per_visit")
    assert columns([row], "units", "total", "denominator_total", "mean") == [(3, 12.0, 5.0, 2.4)]
    assert columns(
        [row], "total_squares", "denominator_total_squares", "numerator_denominator_product"
    ) == [(104.0, 11.0, 16.0)]
    assert row["variance"] == pytest.approx(28.0)
    quiet = one(table, "daily", DAY_3, "A", "per_visit")
    assert columns([quiet], "total", "denominator_total", "mean") == [(0.0, 0.0, None)]


def test_a_filter_that_is_null_is_not_true() -> None:
    answers = iter((True, False, None))
    metric = OracleMetric(
        name="filtered",
        type="count",
        numerator=Aggregate(kind="count", source="events", where=lambda f: f["pass"]),
    )
    events = [Event("u", on(1), {"pass": answer}) for answer in answers]
    table = load(THREE, events, metric)
    assert one(table, "cumulative", DAY_1, "A", "filtered")["total"] == 1.0


def test_what_is_undefined_is_null() -> None:
    """No units: no mean. One unit: no variance. Groups are there whether seen or not."""
    table = load([exposure("u", "A", on(2))], [event("u", on(2), 5.0)], SUM, groups=("A", "B"))
    names = ("units", "total", "total_squares", "mean", "variance")
    before = one(table, "cumulative", DAY_1, "A")
    assert columns([before], *names) == [(0, 0.0, 0.0, None, None)]
    after = one(table, "cumulative", DAY_2, "A")
    assert columns([after], *names) == [(1, 5.0, 25.0, 5.0, None)]
    never = one(table, "cumulative", DAY_3, "B")
    assert columns([never], *names) == [(0, 0.0, 0.0, None, None)]


def test_a_divisor_made_of_rounding_determines_nothing() -> None:
    """0.1 + 0.2 - 0.3 is 0 or 5.6e-17 by the order of adding; nothing at all is exactly nothing."""
    metric = OracleMetric(
        name="odd",
        type="ratio",
        numerator=Aggregate(kind="count", source="events"),
        denominator=Aggregate(kind="sum", source="events", value=usd),
    )
    events = [event("u", on(1), value) for value in (0.1, 0.2, -0.3)]
    assert one(load(THREE, events, metric), "cumulative", DAY_1, "A", "odd")["mean"] is ANYTHING
    zeros = [event("u", on(1), 0.0)]
    assert one(load(THREE, zeros, metric), "cumulative", DAY_1, "A", "odd")["mean"] is None


def test_cells_carry_what_went_in() -> None:
    """Units 5 - 2 = 3 and 4: 11 went into the total, 7² + 4² into the squares."""
    events = [event("u", on(1), 5.0), event("u", on(1), -2.0), event("v", on(1), 4.0)]
    row = one(load(THREE, events, SUM), "cumulative", DAY_1, "A")
    total, squares, mean = row["total"], row["total_squares"], row["mean"]
    assert isinstance(total, Double)
    assert isinstance(squares, Double)
    assert isinstance(mean, Double)
    assert (total.scale, squares.scale, mean.scale) == (11.0, 65.0, 11 / 3)


def test_only_the_days_asked_for_are_computed() -> None:
    settings = Experiment(id="123", start=DAY_1, metrics=(COUNT,))
    table = expected(settings, THREE, {"events": []}, through=DAY_3, days=[DAY_2])
    assert {row["ds"] for row in table.results} == {DAY_2}
    assert len(table.exposures_summary) == 3


def results_row(**cells: object) -> Row:
    return dict.fromkeys(oracle.GRAINS["results"]) | {"metric": "m"} | cells


def test_close_rows_pass() -> None:
    """Order, further columns and the last digits of a DOUBLE do not matter."""
    wanted = [results_row(group_id=g, total=Double(1.0, 1000.0), units=3) for g in ("A", None)]
    found = [results_row(group_id=g, total=1.0000009, units=3, more=1) for g in (None, "A")]
    assert_close(found, wanted, table="results")


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        ([], "missing row: .*group_id='A'"),
        ([{"group_id": "A"}, {"group_id": "B"}], "unexpected row: .*group_id='B'"),
        ([{"group_id": "A"}, {"group_id": "A"}], "two rows: .*'group_id': 'A'"),
        ([{"group_id": "A", "total": 1.1}], "total: expected 1.0 ± 1e-06, found 1.1"),
        ([{"group_id": "A", "total": None}], "total: expected 1.0 ± 1e-06, found None"),
        ([{"group_id": "A", "total": math.nan}], "total: expected 1.0 ± 1e-06, found nan"),
        ([{"group_id": "A", "mean": 0.0}], "mean: expected None, found 0.0"),
        ([{"group_id": "A", "units": 3.0}], "units: expected 3, found 3.0"),
        ([{"group_id": "A", "units": True}], "units: expected 3, found True"),
    ],
)
def test_rows_that_differ_fail(found: list[Row], complaint: str) -> None:
    cells: Row = {"total": Double(1.0, 1000.0), "mean": None, "units": 3}
    plain: Row = {"total": 1.0, "mean": None, "units": 3}
    with pytest.raises(AssertionError, match=complaint):
        assert_close(
            [results_row(**(plain | row)) for row in found],
            [results_row(group_id="A", **cells)],
            table="results",
        )


def test_a_missing_column_fails() -> None:
    with pytest.raises(AssertionError, match="no column 'units'"):
        assert_close([results_row()], [results_row(units=3)], table="results")


def test_empty_unit_days_do_not_matter() -> None:
    days = load(THREE, [event("u", on(1), 2.5)], SUM, COUNT).unit_days["events"]
    names: dict[AggregateKey, str] = {
        ("revenue", "numerator"): "usd",
        ("purchases", "numerator"): "rows",
    }
    row: Row = {"unit_id": "u", "ds": DAY_1, "usd": 2.5, "rows": 1}
    empty: Row = {"unit_id": "v", "ds": DAY_1, "usd": None, "rows": None}
    assert_unit_days_close([empty, row], days, names)
    with pytest.raises(AssertionError, match="rows: expected 1, found 2"):
        assert_unit_days_close([row | {"rows": 2}], days, names)


FIELDS = [
    dict(zip(("event_name", "amount", "qty", "flag"), values, strict=True))
    for values in product(
        ("purchase", "it's", "", None), (-2.5, 0.0, None), (-1, 0, 3, None), (True, False, None)
    )
]


@pytest.mark.parametrize("expression", [*FILTERS, *VALUES], ids=lambda e: e.sql)
def test_scenarios_mean_the_same_in_sql_and_in_python(expression: Expression) -> None:
    """Each expression is evaluated by a database and by its callable, on every kind of row."""
    table = pa.Table.from_pylist(FIELDS)
    with duckdb.connect() as connection:
        connection.register("source", table)
        sql = f"SELECT ({expression.sql}) FROM (SELECT *, amount * 0.5 AS half FROM source)"
        found = [value for (value,) in connection.execute(sql).fetchall()]
    assert found == [expression(fields) for fields in FIELDS]


@given(scenarios())
@settings(max_examples=50, deadline=None)
def test_scenarios_hold_together(scenario: Scenario) -> None:
    """The summary counts the units of the results, and each load agrees with a later one."""
    table = scenario.expected()
    assert table.first_exposures
    counted = {(r["ds"], r["group_id"]): r["cumulative_exposures"] for r in table.exposures_summary}
    for row in table.results:
        assert row["units"] == counted[row["ds"], row["group_id"]]

    earlier = scenario.expected(scenario.first_day)
    later = [row for row in table.results if row["ds"] <= scenario.first_day]  # type: ignore[operator]
    seen = {row["group_id"] for row in earlier.results}
    assert_close([r for r in later if r["group_id"] in seen], earlier.results, table="results")


@given(scenarios())
@settings(max_examples=25, deadline=None)
def test_written_projects_hold_the_rows(scenario: Scenario) -> None:
    """Every row lies in a file that the project's globs find, and the project reads back."""
    with TemporaryDirectory() as temporary:
        folder = write_project(scenario, Path(temporary) / "project")
        text = (folder / "staging.yml").read_text(encoding="utf-8")
        assert yaml.safe_load(text) == scenario.definition()
        globs = scenario.definition()["connection"]["sources"]
        for name, rows in {"exposures": scenario.exposures, **scenario.events}.items():
            files = list(folder.glob(globs[f"shop.{name}"]))
            assert files
            assert sum(pq.read_metadata(file).num_rows for file in files) == len(rows)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_keep_every_row(tmp_path: Path, layout: Layout) -> None:
    rows = pa.table(
        {
            "id": [1, 2, 3],
            "at": pa.array([on(1), on(2), None], pa.timestamp("us")),
            "ds": pa.array([DAY_1, DAY_1, DAY_3], pa.date32()),
        }
    )
    paths = write_source(rows, tmp_path, layout)
    found = pa.concat_tables(pq.ParquetFile(path).read(["id", "at"]) for path in paths)
    assert found.sort_by("id") == rows.select(["id", "at"])
    names = {str(path.relative_to(tmp_path)) for path in paths}
    if layout == "hive folders":
        assert names == {"ds=2024-03-01/rows.parquet", "ds=2024-03-03/rows.parquet"}
    if layout == "one file per day":
        assert names == {"2024-03-01.parquet", "2024-03-02.parquet", "undated.parquet"}


@cache
def globox() -> Expected:
    """The whole test, results of its last day only."""
    with (GLOBOX / "groups.csv").open(encoding="utf-8-sig", newline="") as file:
        exposures = [
            Exposure(row["uid"], row["group"], "globox", datetime.fromisoformat(row["join_dt"]))
            for row in csv.DictReader(file)
        ]
    with (GLOBOX / "activity.csv").open(encoding="utf-8-sig", newline="") as file:
        events = [
            Event(row["uid"], date.fromisoformat(row["dt"]), {"usd": float(row["spent"])})
            for row in csv.DictReader(file)
        ]
    ratio = OracleMetric(
        name="revenue_per_purchase",
        type="ratio",
        numerator=SUM.numerator,
        denominator=COUNT.numerator,
    )
    last = date(2023, 2, 6)
    settings = Experiment(
        id="globox",
        start=date(2023, 1, 25),
        end=last,
        groups=("A", "B"),
        metrics=(ONCE, COUNT, SUM, MEAN, ratio),
    )
    return expected(settings, exposures, {"events": events}, through=last, days=[last])


GLOBOX_ANSWERS = {
    ("units", "revenue", "units"): (24_343, 24_600),
    ("purchasers", "purchasers", "total"): (955.0, 1_139.0),
    ("purchases", "purchases", "total"): (1_014.0, 1_219.0),
    ("revenue", "revenue", "total"): (82_145.90306479178, 83_415.32686879027),
    ("squares", "revenue", "total_squares"): (16_651_977.543693932, 16_170_777.779040685),
    ("mean", "revenue", "mean"): (3.374518467928841, 3.3908669458857834),
    ("variance", "revenue", "variance"): (672.6963551366814, 645.876966721454),
    ("ratio", "revenue_per_purchase", "mean"): (81.01173872267434, 68.42930834191162),
    ("order value", "order_value", "mean"): (81.01173872267434, 68.42930834191162),
}


@pytest.mark.skipif(not GLOBOX.is_dir(), reason="the GloBox files are not here")
@pytest.mark.parametrize("answer", GLOBOX_ANSWERS, ids=lambda answer: answer[0])
def test_globox(answer: tuple[str, str, str]) -> None:
    """A real experiment, whose answers are published and were checked by other means."""
    _, metric, column = answer
    rows = [one(globox(), "cumulative", date(2023, 2, 6), group, metric) for group in ("A", "B")]
    assert [row[column] for row in rows] == pytest.approx(GLOBOX_ANSWERS[answer], rel=1e-12)

"""The oracle's metric types, windows, options and rollups against answers worked out by hand."""

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from tests.metric_strategies import new_scenarios
from tests.oracle import (
    Aggregate,
    AggregateKind,
    Double,
    Event,
    Experiment,
    Exposure,
    Funnel,
    OracleMetric,
    PartitionRule,
    Retention,
    Row,
    Step,
    Term,
    Window,
    Winsorize,
    expected,
)
from tests.oracle_cells import is_close
from tests.strategies import Scenario

MICROSECOND = timedelta(microseconds=1)
START = date(2024, 3, 1)


def on(day: int, hour: int = 12, minute: int = 0) -> datetime:
    return datetime(2024, 3, 1, hour, minute) + timedelta(days=day - 1)  # noqa: DTZ001


def day(number: int) -> date:
    return START + timedelta(days=number - 1)


def event(unit: str, at: date | None, usd: object = 1.0, name: str | None = "buy") -> Event:
    return Event(unit, at, {"usd": usd, "name": name})


def usd(fields: Mapping[str, Any]) -> Any:
    return fields["usd"]


def is_named(name: str) -> Callable[[Mapping[str, Any]], bool | None]:
    return lambda fields: None if fields["name"] is None else fields["name"] == name


def of(kind: AggregateKind, **options: Any) -> Aggregate:
    value = None if kind in {"count", "unit_count"} else usd
    return Aggregate(**{"kind": kind, "source": "events", "value": value, **options})


def metric(
    kind: AggregateKind, *, of_metric: Mapping[str, Any] | None = None, **options: Any
) -> OracleMetric:
    return OracleMetric(
        name="m",
        type=kind,
        numerator=of(kind, **options),
        **(of_metric or {}),
    )


UNITS = {"u": on(1), "v": on(1), "w": on(1)}
"""Three units of one group, exposed at noon of day 1."""


class Table:
    """The results of one metric ``m``."""

    def __init__(
        self,
        tested: OracleMetric,
        events: Iterable[Event],
        *,
        units: Mapping[str, datetime] = UNITS,
        through: int = 10,
        context: Mapping[str, str | None] | None = None,
        **settings: Any,
    ) -> None:
        devices = {} if context is None else {"context": ("device",)}
        exposures = [
            Exposure(unit, "A", "123", at, {"device": (context or {}).get(unit)})
            for unit, at in units.items()
        ]
        experiment = Experiment(id="123", start=START, metrics=(tested,), **devices, **settings)  # type: ignore[arg-type]
        sources = {"events": list(events)}
        self.rows = expected(experiment, exposures, sources, through=day(through)).results

    def row(self, ds: int | None, rollup: str = "cumulative", **also: object) -> Row:
        """Return the row of a day; without further columns, that of the whole population."""
        wanted: Row = {"rollup": rollup, "ds": None if ds is None else day(ds)}
        wanted |= {"dimension": None, "dimension_value": None} | also
        found = [row for row in self.rows if wanted.items() <= row.items()]
        assert len(found) == 1
        return found[0]

    def totals(self, *days: int, rollup: str = "cumulative") -> list[object]:
        return [self.row(ds, rollup)["total"] for ds in days]

    def fractions(self, *days: int, rollup: str = "cumulative") -> list[tuple[object, object]]:
        rows = [self.row(ds, rollup) for ds in days]
        return [(row["total"], row["denominator_total"]) for row in rows]


NOT_KNOWN = (None, math.nan, math.inf)


def test_the_smallest_and_the_largest_value() -> None:
    """Unit u has -2, 5 and 3, v has only unknown values and w no rows: both are 0."""
    events = [event("u", on(2), -2.0), event("u", on(2), 5.0), event("u", on(3), 3.0)]
    events += [event("v", on(2), value) for value in NOT_KNOWN]
    smallest, largest = (Table(metric(kind), events) for kind in ("min", "max"))
    assert smallest.totals(1, 2, 3) == [0.0, -2.0, -2.0]
    assert largest.totals(1, 2, 3) == [0.0, 5.0, 5.0]
    assert smallest.totals(2, 3, 4, rollup="daily") == [-2.0, 3.0, 0.0]
    assert smallest.row(3)["units"] == 3
    assert smallest.row(3)["variance"] == pytest.approx(4 / 3)
    assert smallest.row(3)["denominator_total"] is None


def test_the_first_and_the_latest_value() -> None:
    """The row without a value does not count, and the earliest row is the last to be written."""
    events = [event("u", on(3), 4.0), event("u", on(4), None), event("u", on(2), 7.0)]
    first, latest = (Table(metric(kind), events) for kind in ("first_value", "latest_value"))
    assert first.totals(1, 2, 3, 9) == [0.0, 7.0, 7.0, 7.0]
    assert latest.totals(1, 2, 3, 9) == [0.0, 7.0, 4.0, 4.0]
    assert latest.totals(3, 4, rollup="daily") == [4.0, 0.0]


def test_of_one_instant_the_first_is_the_smallest_and_the_latest_the_largest() -> None:
    events = [event("u", at, value) for at in (on(2), day(4)) for value in (2.0, 1.0, 3.0)]
    assert Table(metric("first_value"), events[:3]).totals(2) == [1.0]
    assert Table(metric("latest_value"), events[:3]).totals(2) == [3.0]
    assert Table(metric("first_value"), events[3:]).totals(4) == [1.0]
    assert Table(metric("latest_value"), events[3:]).totals(4) == [3.0]


def test_distinct_values_are_counted_once_over_all_days() -> None:
    events = [event("u", on(2), "a"), event("u", on(2), "A"), event("u", on(3), "a")]
    events += [event("v", on(2), None), event("v", on(2), math.nan), event("v", on(3), "a")]
    table = Table(metric("count_distinct"), events)
    assert table.totals(1, 2, 3) == [0.0, 2.0, 3.0]
    assert table.totals(2, 3, 4, rollup="daily") == [2.0, 2.0, 0.0]


def test_daily_participation_is_days_with_a_row_by_days_exposed() -> None:
    """Two rows of day 2 are one day: on day 2 it is 1 of 2, on day 4 it is 2 of 4, day 4 alone is 1 of 1."""
    events = [event("u", on(2)), event("u", on(2)), event("u", on(4)), event("u", on(3), name=None)]
    table = Table(metric("unit_count", rollup="daily", where=is_named("buy")), events)
    assert table.totals(1, 2, 3, 4) == pytest.approx([0.0, 1 / 2, 1 / 3, 2 / 4])
    assert table.totals(4, rollup="daily") == [1.0]


def test_latest_participation_is_of_the_latest_of_all_rows() -> None:
    """A later row that does not pass, or is null, ends it; of one instant one that passes wins."""
    where = is_named("buy")
    events = [event("u", on(2)), event("u", on(4), name="visit"), event("u", on(6), name="visit")]
    events += [event("u", on(6)), event("v", on(2)), event("v", on(3), name=None)]
    table = Table(metric("unit_count", rollup="latest", where=where), events)
    assert table.totals(1, 2, 3, 4, 6, 9) == [0.0, 2.0, 1.0, 0.0, 1.0, 1.0]


BACK = Retention(
    source="events", where=is_named("buy"), completed_by=is_named("visit"), end=3, length=2
)
RETENTION = OracleMetric(name="m", type="retention", retention=BACK)


@pytest.mark.parametrize(("back", "completed"), [(3, 0), (4, 1), (5, 1), (6, 0)])
def test_a_retention_window_ends_so_many_days_after_its_start(back: int, completed: int) -> None:
    """A start on day 2 asks for a row on day 4 or 5, and is there from day 5 on."""
    events = [event("u", on(2)), event("u", on(back), name="visit"), event("v", on(3), name=None)]
    table = Table(RETENTION, events)
    assert table.fractions(4, 5) == [(0.0, 0.0), (completed, 1.0)]
    assert table.row(4)["mean"] is None
    assert table.row(5)["mean"] == completed


def test_every_day_with_a_start_has_its_window() -> None:
    """Without a completion filter a start completes another: of days 2, 2, 4 and 5, only day 2."""
    alone = Retention(source="events", where=is_named("buy"), end=3, length=2)
    events = [event("u", on(at)) for at in (2, 2, 4, 5)]
    table = Table(OracleMetric(name="m", type="retention", retention=alone), events)
    assert table.fractions(5, 6, 7, 8) == [(1.0, 1.0), (1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]


def test_a_ratio_of_any_components() -> None:
    """u has at most 5 over two distinct values, v at most 4 over one, w nothing."""
    ratio = OracleMetric(
        name="m", type="ratio", numerator=of("max"), denominator=of("count_distinct", threshold=2.0)
    )
    events = [event("u", on(2), 5.0), event("u", on(3), 1.0), event("v", on(2), 4.0)]
    table = Table(ratio, events)
    assert table.fractions(2, 3) == [(9.0, 0.0), (9.0, 1.0)]
    assert (table.row(2)["mean"], table.row(3)["mean"]) == (None, 9.0)


def test_a_composite_adds_and_takes_away() -> None:
    """u: 5 + 2 - 3 rows; v: only a row without a value, which counts as one row."""
    terms = (
        Term(metric=metric("sum")),
        Term(metric=metric("max")),
        Term(metric=metric("count"), sign=-1),
    )
    composite = OracleMetric(name="m", type="composite", terms=terms)
    events = [event("u", on(2), value) for value in (1.0, 2.0, 2.0)] + [event("v", on(2), None)]
    table = Table(composite, events)
    assert table.totals(1, 2) == [0.0, 3.0]
    row = table.row(2)
    assert (row["total_squares"], row["mean"]) == (17.0, 1.0)
    assert isinstance(row["total"], Double)
    assert row["total"].scale == 11.0


def test_a_percentile_is_of_all_values_of_a_group() -> None:
    """Of 1, 2, 4, 8 the 0.75 percentile lies a quarter of the way from 4 to 8: 5."""
    p75 = OracleMetric(name="m", type="percentile", numerator=of("sum"), percentile=0.75)
    events = [event("u", on(2), 1.0), event("u", on(3), 8.0), event("u", on(2), None)]
    events += [event("v", on(3), 2.0), event("v", on(3), 4.0)]
    table = Table(p75, events)
    row = table.row(3)
    assert (row["units"], row["mean"], row["total"], row["denominator_total"]) == (3, 5.0, 3.0, 4.0)
    assert (row["total_squares"], row["denominator_total_squares"]) == (5.0, 8.0)
    assert row["numerator_denominator_product"] == 6.0
    assert (table.row(1)["mean"], table.row(1)["total"]) == (None, 0.0)
    assert table.row(3, "daily")["mean"] == 6.0
    assert table.fractions(3, rollup="daily") == [(2.0, 3.0)]


def test_the_percentile_itself_counts_as_below() -> None:
    median = OracleMetric(name="m", type="percentile", numerator=of("sum"), percentile=0.5)
    events = [event("u", on(2), value) for value in (1.0, 3.0, 3.0, 4.0, 9.0)]
    assert Table(median, events).row(2)["mean"] == 3.0
    assert Table(median, events).fractions(2) == [(3.0, 5.0)]


def funnel(**options: Any) -> OracleMetric:
    steps = tuple(Step(source="events", where=is_named(name)) for name in ("a", "b", "c"))
    return OracleMetric(name="m", type="funnel", funnel=Funnel(**{"steps": steps, **options}))


def walk(unit: str, **steps: datetime) -> list[Event]:
    return [event(unit, at, name=name) for name, at in steps.items()]


def test_a_funnel_and_its_steps() -> None:
    """u reaches all three steps on days 2, 3 and 5, v the first two on day 3, w none."""
    events = walk("u", a=on(2), b=on(3), c=on(5)) + walk("v", a=on(3), b=on(3, 13), c=on(3, 11))
    events += [event("w", on(2), name=None)]
    table = Table(funnel(), events)
    assert table.fractions(1, 2, 3, 5) == [(0.0, 0.0), (0.0, 1.0), (0.0, 2.0), (1.0, 2.0)]
    assert table.fractions(2, 3, 5, rollup="daily") == [(0.0, 1.0), (0.0, 1.0), (1.0, 0.0)]
    steps = [table.row(5, dimension="step", dimension_value=str(step)) for step in (1, 2, 3)]
    assert [(row["total"], row["denominator_total"]) for row in steps] == [
        (2.0, None),
        (2.0, 2.0),
        (1.0, 2.0),
    ]
    assert [row["mean"] for row in steps] == [2 / 3, 1.0, 0.5]
    second = table.row(3, "daily", dimension="step", dimension_value="2")
    assert (second["total"], second["denominator_total"]) == (2.0, 1.0)


def test_sessions_go_through_a_funnel_one_by_one() -> None:
    """u has sessions 1 and 2, of which 1 goes through, and rows of none; a step of another session is no step."""
    steps = tuple(
        Step(source="events", where=is_named(name), session=lambda f: f["session"])
        for name in ("a", "b")
    )
    rows = [("a", 2, 1), ("b", 3, 1), ("a", 3, 2), ("b", 4, 3), ("a", 4, None), ("b", 5, None)]
    events = [
        Event("u", on(day), {"name": name, "session": None if session is None else str(session)})
        for name, day, session in rows
    ]
    table = Table(funnel(steps=steps), events)
    assert table.fractions(2, 3, 5) == [(0.0, 1.0), (1.0, 2.0), (1.0, 2.0)]
    assert table.fractions(3, 4, rollup="daily") == [(1.0, 1.0), (0.0, 0.0)]
    lasting = Table(funnel(steps=steps, time_to_convert=True), events)
    assert lasting.fractions(5) == [(86400.0, 1.0)]


@pytest.mark.parametrize(
    ("options", "later", "reached"),
    [
        ({}, timedelta(0), 0.0),
        ({}, MICROSECOND, 1.0),
        ({"strict": False}, timedelta(0), 1.0),
        ({"strict": False}, -MICROSECOND, 0.0),
        ({"allowance": timedelta(milliseconds=1)}, timedelta(0), 1.0),
        ({"allowance": timedelta(milliseconds=1)}, timedelta(milliseconds=-1), 0.0),
        ({"allowance": timedelta(milliseconds=1)}, timedelta(microseconds=-999), 1.0),
        ({"allowance": timedelta(milliseconds=1), "strict": False}, -1000 * MICROSECOND, 1.0),
        ({"allowance": timedelta(milliseconds=1), "strict": False}, -1001 * MICROSECOND, 0.0),
    ],
)
def test_how_close_steps_may_lie(
    options: Mapping[str, Any], later: timedelta, reached: float
) -> None:
    steps = tuple(Step(source="events", where=is_named(name)) for name in ("a", "b"))
    events = walk("u", a=on(2), b=on(2) + later)
    assert Table(funnel(steps=steps, **options), events).totals(3) == [reached]


@pytest.mark.parametrize(
    ("window", "within", "later", "reached"),
    [
        (Window(end=0), None, timedelta(days=1) - MICROSECOND, 1.0),
        (Window(end=0), None, timedelta(days=1), 0.0),
        (Window(end=29, unit="minutes"), None, timedelta(minutes=30) - MICROSECOND, 1.0),
        (Window(end=29, unit="minutes"), None, timedelta(minutes=30), 0.0),
        (None, Window(end=1), timedelta(days=2) - MICROSECOND, 1.0),
        (None, Window(end=1), timedelta(days=2), 0.0),
    ],
)
def test_how_long_a_step_may_take(
    window: Window | None, within: Window | None, later: timedelta, reached: float
) -> None:
    steps = (
        Step(source="events", where=is_named("a")),
        Step(source="events", where=is_named("b"), window=window),
    )
    events = walk("u", a=on(2), b=on(2) + later)
    assert Table(funnel(steps=steps, within=within), events).totals(9) == [reached]


def test_nobody_enters_a_funnel_again() -> None:
    """The window counts from the first a; the second one, just before b, means nothing."""
    steps = (
        Step(source="events", where=is_named("a")),
        Step(source="events", where=is_named("b"), window=Window(end=0)),
    )
    events = [*walk("u", a=on(2)), *walk("u", a=on(6, 11), b=on(6))]
    assert Table(funnel(steps=steps), events).fractions(9) == [(0.0, 1.0)]


def test_the_exposure_is_a_step_before_the_others() -> None:
    """All three units are exposed; u goes on at that very instant, which is too early if strict."""
    steps = (Step(source="events", where=is_named("a")),)
    events = walk("u", a=on(1)) + walk("v", a=on(2))
    strict = Table(funnel(steps=steps, exposure_as_first_step=True), events)
    assert strict.fractions(1, 2) == [(0.0, 3.0), (1.0, 3.0)]
    first = strict.row(2, dimension="step", dimension_value="1")
    assert (first["total"], first["denominator_total"], first["mean"]) == (3.0, None, 1.0)
    loose = Table(funnel(steps=steps, exposure_as_first_step=True, strict=False), events)
    assert loose.fractions(2) == [(2.0, 3.0)]


def test_a_window_of_days_is_of_24_hours_from_the_exposure() -> None:
    """Days 1 and 2 since noon of day 1: from noon of day 2 to just before noon of day 4."""
    moments = (on(2) - MICROSECOND, on(2), on(4) - MICROSECOND, on(4))
    events = [event("u", at, 10.0**n) for n, at in enumerate(moments)] + [event("u", on(3), None)]
    table = Table(metric("sum", window=Window(start=1, end=2)), events)
    assert table.totals(2, 4, 9) == [10.0, 110.0, 110.0]
    assert table.totals(4, rollup="daily") == [100.0]
    assert table.row(1)["units"] == 3


def test_a_window_of_minutes() -> None:
    moments = (on(1, 12, 4), on(1, 12, 5), on(1, 12, 10) - MICROSECOND, on(1, 12, 10))
    events = [event("u", at) for at in moments]
    window = Window(start=5, end=9, unit="minutes")
    assert Table(metric("count", window=window), events).totals(1) == [2.0]
    assert Table(metric("unit_count", window=window), events).totals(1) == [1.0]
    assert Table(metric("unit_count", window=window), events[::3]).totals(1) == [0.0]


def test_a_window_over_dates() -> None:
    events = [event("u", day(at), 10.0**at) for at in (1, 2, 3, 4)]
    table = Table(metric("sum", window=Window(start=1, end=2)), events)
    assert table.totals(9) == [1100.0]


def test_only_units_whose_window_is_over() -> None:
    """Two days from noon of day 1 end on day 3, from midnight of day 2 right after day 3."""
    units = {"u": on(1), "v": on(2, 0), "w": on(2, 0) + MICROSECOND}
    events = [event(unit, on(2)) for unit in units]
    completed = Window(end=1, completed_only=True)
    table = Table(metric("count", window=completed), events, units=units)
    assert [table.row(ds)["units"] for ds in (2, 3, 4)] == [0, 2, 3]
    assert table.totals(2, 3, 4) == [0.0, 2.0, 3.0]
    dated = frozenset({"events"})
    events = [event(unit, day(2)) for unit in units]
    table = Table(metric("count", window=completed), events, units=units, dated_sources=dated)
    assert [table.row(ds)["units"] for ds in (1, 2, 3)] == [0, 1, 3]


def test_rows_and_units_bake() -> None:
    """With two days, day 4 is as day 2 was: v, who comes on day 3, is not there yet."""
    units = {"u": on(1), "v": on(3), "w": on(2)}
    events = [event("u", on(2)), event("u", on(3)), event("v", on(3), None), event("u", on(3))]
    table = Table(metric("count", of_metric={"bake_days": 2}), events, units=units)
    assert [table.row(ds)["units"] for ds in (2, 3, 4, 5)] == [0, 1, 2, 3]
    assert table.totals(2, 3, 4, 5) == [0.0, 0.0, 1.0, 4.0]
    assert table.totals(4, 5, 6, rollup="daily") == [1.0, 3.0, 0.0]


def test_a_crossover_is_gone_whether_baked_or_not() -> None:
    """u crosses on day 3, so it is gone from day 3, though the rows of day 3 bake until day 5."""
    exposures = [Exposure("u", group, "123", on(at)) for group, at in (("A", 1), ("B", 3))]
    baking = metric("count", of_metric={"bake_days": 1})
    experiment = Experiment(id="123", start=START, groups=("A",), metrics=(baking,))
    assert len(expected(experiment, exposures, {"events": []}, through=day(4)).results) == 8
    experiment = Experiment(id="123", start=START, metrics=(baking,))
    rows = expected(experiment, exposures, {"events": []}, through=day(4)).results
    of_a = [r for r in rows if (r["group_id"], r["rollup"]) == ("A", "cumulative")]
    assert [row["units"] for row in of_a] == [0, 1, 0, 0]


def test_each_day_is_capped_before_days_are_added() -> None:
    """Of 3 + 4 and 2 with a cap of 5: 5 + 2. Of three rows and one with a cap of 2: 2 + 1."""
    events = [event("u", on(2), 3.0), event("u", on(2), 4.0), event("u", on(2), None)]
    events += [event("u", on(3), 2.0), event("v", on(3), -9.0)]
    assert Table(metric("sum", cap=5.0), events).totals(2, 3) == [5.0, -2.0]
    assert Table(metric("count", cap=2.0), events).totals(2, 3) == [2.0, 4.0]
    assert Table(metric("sum", cap=5.0), events).totals(2, 3, rollup="daily") == [5.0, -7.0]


@pytest.mark.parametrize(
    ("kind", "totals"),
    [
        ("sum", [0.0, 1.0]),
        ("count", [0.0, 0.0]),
        ("count_distinct", [0.0, 0.0]),
        ("min", [0.0, 0.0]),
        ("max", [0.0, 0.0]),
        ("first_value", [0.0, 0.0]),
        ("latest_value", [0.0, 0.0]),
    ],
)
def test_a_threshold_of_three(kind: AggregateKind, totals: list[float]) -> None:
    """u has 2.75 on day 2 and 0.25 more on day 3, which is just enough for a sum."""
    events = [event("u", on(2), 2.75), event("u", on(3), 0.25), event("v", on(3), None)]
    assert Table(metric(kind, threshold=3.0), events).totals(2, 3) == totals


def test_a_threshold_that_all_kinds_reach() -> None:
    events = [event("u", on(2), value) for value in (4.0, 5.0, 6.0)]
    kinds: tuple[AggregateKind, ...] = ("sum", "count", "count_distinct", "min", "max")
    for kind in kinds:
        assert Table(metric(kind, threshold=3.0), events).totals(2) == [1.0]


def test_a_logarithm_is_of_totals_above_zero() -> None:
    """u has ln(2 + 6), v nets out at 0 and w at -1: only u counts below."""
    events = [event("u", on(2), 2.0), event("u", on(3), 6.0), event("v", on(2), None)]
    events += [event("v", on(2), 1.0), event("v", on(2), -1.0), event("w", on(2), -1.0)]
    row = Table(metric("sum", of_metric={"log": True}), events).row(3)
    assert row["total"] == pytest.approx(math.log(8))
    assert (row["units"], row["denominator_total"]) == (3, 1.0)
    assert row["mean"] == pytest.approx(math.log(8))
    rows = Table(metric("count", of_metric={"log": True}), events).row(3)
    assert (rows["total"], rows["denominator_total"]) == (
        pytest.approx(math.log(2) + math.log(3)),
        3.0,
    )


def test_units_are_winsorized_between_percentiles_of_those_above_zero() -> None:
    """Of 1, 2, 4, 8 and 16 the percentiles 0.125 and 0.875 are 1.5 and 12; zeros stay zero."""
    amounts = {"a": 1.0, "b": 2.0, "c": 4.0, "d": 8.0, "e": 16.0, "f": 0.0, "g": None}
    units = dict.fromkeys([*amounts, "h"], on(1))
    events = [event(unit, on(2), value) for unit, value in amounts.items()]
    both = Winsorize(low=0.125, high=0.875)
    row = Table(metric("sum", winsorize=both), events, units=units).row(2)
    assert (row["units"], row["total"]) == (8, 27.5)
    assert row["total_squares"] == 230.25
    assert Table(metric("sum", winsorize=Winsorize()), events, units=units).totals(2) == [31.0]
    mean = OracleMetric(name="m", type="mean", numerator=of("sum", winsorize=both))
    assert Table(mean, events, units=units).fractions(2) == [(27.5, 6.0)]
    term = Term(metric=metric("sum"), sign=-1)
    composite = OracleMetric(name="m", type="composite", terms=(term,), winsorize=both)
    assert Table(composite, events, units=units).totals(2) == [-27.5]


def test_the_percentiles_are_of_all_groups_and_of_the_day() -> None:
    """On day 2 the median of 2 and 4 is 3; on day 3 that of 2, 4 and 9 is 4, also for group A."""
    exposures = [
        Exposure(unit, group, "123", on(1)) for unit, group in zip("uvw", "ABB", strict=True)
    ]
    exposures += [Exposure("x", group, "123", on(at)) for group, at in (("A", 1), ("B", 3))]
    halved = metric("sum", winsorize=Winsorize(high=0.5))
    events = [event("u", on(2), 4.0), event("v", on(2), 2.0), event("w", on(3), 9.0)]
    events += [event("u", on(3), 5.0), event("x", on(3), 99.0)]
    experiment = Experiment(id="123", start=START, metrics=(halved,))
    rows = expected(experiment, exposures, {"events": events}, through=day(3)).results
    found = {(r["rollup"], r["ds"], r["group_id"]): r["total"] for r in rows}
    assert found["cumulative", day(2), "A"] == 3.0
    assert found["cumulative", day(3), "A"] == 9.0
    assert found["cumulative", day(3), "B"] == 11.0
    assert found["daily", day(3), "A"] == 5.0
    assert found["daily", day(3), "B"] == 7.0


def scale_of(row: Row) -> float:
    total = row["total"]
    assert isinstance(total, Double)
    return total.scale


def test_cells_carry_what_went_into_a_transformed_number() -> None:
    """3 was added from 10 and -7: its logarithm may be off by 17/3 more, a bound by what it is."""
    events = [event("u", on(2), 10.0), event("u", on(2), -7.0)]
    assert scale_of(Table(metric("sum"), events).row(2)) == 17.0
    logs = Table(metric("sum", of_metric={"log": True}), events)
    assert scale_of(logs.row(2)) == pytest.approx(math.log(3) + 17 / 3)
    assert scale_of(Table(metric("sum", cap=2.0), events).row(2)) == 2.0
    assert scale_of(Table(metric("sum", threshold=2.0), events).row(2)) == 1.0
    both = [*events, event("v", on(2), 1.0)]
    held = Table(metric("sum", winsorize=Winsorize(high=0.0)), both)
    assert (held.row(2)["total"], scale_of(held.row(2))) == (2.0, 2.0)


CUPED = {"cuped_days": 2}


def test_a_covariate_is_of_the_days_before_the_exposure() -> None:
    """Two days before noon of day 1, which is before the experiment; the exposure is after."""
    moments = (on(-1) - MICROSECOND, on(-1), on(1) - MICROSECOND, on(1))
    events = [event("u", at, 10.0**n) for n, at in enumerate(moments)] + [event("u", on(0), None)]
    events += [event("v", on(0), 3.0), event("w", on(2), 4.0)]
    row = Table(metric("sum", of_metric=CUPED), events).row(2)
    assert row["total"] == 1004.0
    assert (row["covariate_total"], row["covariate_total_squares"]) == (113.0, 110.0**2 + 9.0)
    assert row["covariate_product"] == 110_000.0
    assert "denominator_covariate_total" not in row
    assert "covariate_total" not in Table(metric("sum"), events).row(2)


def test_a_covariate_over_dates() -> None:
    """Days -1 and 0 count, the day of the exposure does not."""
    events = [event("u", day(at), 10.0 ** (at + 2)) for at in (-2, -1, 0, 1)]
    row = Table(metric("sum", of_metric=CUPED), events).row(1)
    assert (row["total"], row["covariate_total"]) == (1000.0, 110.0)


def test_a_covariate_has_the_options_but_not_the_window() -> None:
    """The cap holds before the exposure, the window from day 5 on does not."""
    events = [event("u", on(0), 3.0), event("u", on(0), 4.0), event("u", on(1, 9), 1.0)]
    capped = metric("sum", cap=5.0, window=Window(start=4, end=9), of_metric=CUPED)
    assert Table(capped, events).row(9)["covariate_total"] == 6.0
    reached = metric("sum", threshold=8.0, of_metric=CUPED)
    assert Table(reached, events).row(9)["covariate_total"] == 1.0
    kinds = {"min": 1.0, "max": 4.0, "first_value": 3.0, "latest_value": 1.0, "unit_count": 1.0}
    for kind, wanted in kinds.items():
        found = Table(metric(kind, of_metric=CUPED), events).row(9)  # type: ignore[arg-type]
        assert found["covariate_total"] == wanted


def test_a_ratio_has_two_covariates() -> None:
    """u: Y 6, N 2, X 5, M 1. v: Y 1, N 1, X 4, M 2."""
    ratio = OracleMetric(
        name="m", type="ratio", numerator=of("sum"), denominator=of("count"), cuped_days=2
    )
    events = [event("u", on(2), 2.0), event("u", on(2), 4.0), event("u", on(0), 5.0)]
    events += [event("v", on(2), 1.0), event("v", on(0), 4.0), event("v", on(0), None)]
    row = Table(ratio, events).row(2)
    assert row["covariate_total"] == 9.0
    assert row["covariate_total_squares"] == 41.0
    assert row["covariate_product"] == 34.0
    assert row["denominator_covariate_total"] == 3.0
    assert row["denominator_covariate_total_squares"] == 5.0
    assert row["numerator_denominator_covariate_product"] == 8.0
    assert row["denominator_covariate_product"] == 14.0
    assert row["denominator_denominator_covariate_product"] == 4.0
    assert row["covariates_product"] == 13.0


def test_trailing_days() -> None:
    """A row of day 2 is among the last seven days through day 8, with all units."""
    units = {"u": on(1), "v": on(9)}
    events = [event("u", on(2), 1.0), event("u", on(9), 2.0), event("u", on(3), None)]
    rollups = ("7_day", "14_day", "28_day")
    table = Table(metric("sum"), events, units=units, through=31, rollups=rollups)
    assert table.totals(1, 2, 8, 9, 15, 16, rollup="7_day") == [0.0, 1.0, 1.0, 2.0, 2.0, 0.0]
    assert table.totals(15, 16, 22, 23, rollup="14_day") == [3.0, 2.0, 2.0, 0.0]
    assert table.totals(29, 30, rollup="28_day") == [3.0, 2.0]
    assert [table.row(ds, "7_day")["units"] for ds in (8, 9)] == [1, 2]


def test_days_since_exposure() -> None:
    """Through day 4, u from day 1 came as far as index 3, v from day 3 as far as index 1."""
    units = {"u": on(1), "v": on(3)}
    events = [event("u", on(1)), event("u", on(2)), event("v", on(4)), event("v", on(5))]
    events += [event("u", on(4), None)]
    table = Table(
        metric("sum"), events, units=units, through=4, rollups=("daily", "days_since_exposure")
    )
    found = [table.row(None, "days_since_exposure", day_index=index) for index in range(4)]
    assert [row["units"] for row in found] == [2, 2, 1, 1]
    assert [row["total"] for row in found] == [1.0, 2.0, 0.0, 0.0]
    assert len(table.rows) == 4 + 4


def test_a_dimension_keeps_the_units_without_a_value() -> None:
    events = [event("u", on(2), 1.0), event("v", on(2), 2.0), event("w", on(2), 4.0)]
    devices = {"u": "ios", "v": None, "w": "ios"}
    table = Table(metric("sum"), events, context=devices, dimensions=("device",))
    assert table.row(2)["total"] == 7.0
    of_ios = table.row(2, dimension="device", dimension_value="ios")
    of_none = table.row(2, dimension="device", dimension_value=None)
    assert (of_ios["units"], of_ios["total"]) == (2, 5.0)
    assert (of_none["units"], of_none["total"]) == (1, 2.0)
    assert table.row(1, "daily", dimension="device", dimension_value="ios")["total"] == 0.0


def test_a_late_row_counts_on_its_own_day() -> None:
    """A row of day 2 that lies in the partition of day 3, before and after what is tolerated."""
    late = Event("u", on(2), {"usd": 9.0, "name": "buy"}, day(3))
    punctual = Event("u", on(3), {"usd": 5.0, "name": "buy"}, day(3))
    kinds = {"first_value": (9.0, 5.0), "latest_value": (5.0, 5.0), "max": (9.0, 5.0)}
    kinds |= {"min": (5.0, 5.0), "count_distinct": (2.0, 1.0)}
    for kind, (with_it, without_it) in kinds.items():
        for rule, wanted in ((PartitionRule(late=1), with_it), (PartitionRule(), without_it)):
            rules = {"events": rule}
            table = Table(metric(kind), [punctual, late], source_partitions=rules)  # type: ignore[arg-type]
            assert table.totals(3) == [wanted]


def cells(rows: Iterable[Row], rollup: str) -> dict[tuple[object, ...], Row]:
    """Return the rows of a rollup by what else tells them apart, without what names the rollup."""
    key = ("ds", "metric", "dimension", "dimension_value", "group_id")
    return {
        tuple(row[name] for name in key): {name: row[name] for name in row if name != "rollup"}
        for row in rows
        if row["rollup"] == rollup
    }


@given(new_scenarios())
@settings(max_examples=25, deadline=None)
def test_drawn_metrics_hold_together(scenario: Scenario) -> None:
    """Within seven days all trailing rollups are the cumulative one; parts add up to the whole."""
    assert [metric.name for metric in scenario.experiment.metrics] == [
        config["name"] for config in scenario.metric_definitions
    ]
    rows = scenario.expected().results
    cumulative = cells(rows, "cumulative")
    for rollup in ("7_day", "14_day", "28_day"):
        assert cells(rows, rollup) == cumulative
    for (ds, metric_name, dimension, _, group), whole in cumulative.items():
        if dimension is not None:
            continue
        for name in scenario.experiment.dimensions:
            parts = [
                row
                for key, row in cumulative.items()
                if (key[0], key[1], key[2], key[4]) == (ds, metric_name, name, group)
            ]
            assert sum(part["units"] for part in parts) == whole["units"]  # type: ignore[misc]
            if "percentile" not in config_of(scenario, metric_name):
                total = math.fsum(part["total"] for part in parts)  # type: ignore[misc]
                assert is_close(total, whole["total"])


def config_of(scenario: Scenario, name: object) -> Mapping[str, Any]:
    """Return how a project defines a metric."""
    (found,) = (config for config in scenario.metric_definitions if config["name"] == name)
    return found

"""What a unit's rows come to: x and y of every type of metric, before units are compared.

Sums are taken to be exact: whether a sum reaches a threshold, or whether it is zero, is read off
the number itself. The rows of tests are made so.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from tests.oracle_cells import TOLERANCE, Double, SideName
from tests.oracle_inputs import (
    Aggregate,
    Fields,
    Funnel,
    OracleMetric,
    Retention,
    Step,
    Window,
)
from tests.oracle_units import EventsOfUnits, ExposedUnit, KeptEvent, midnight

Part = TypeVar("Part", Aggregate, Retention, Step)
Days = Callable[[date], bool]
"""Whether a day is among those that are looked at."""

NOTHING = Double(0.0, 0.0)
ONE = Double(1.0, 1.0)
DAY = timedelta(days=1)


def whole(number: int) -> Double:
    """Return a number of things, which is exact."""
    return Double(number, number)


def contribution(aggregate: Aggregate, fields: Fields) -> float | None:
    """Return what one row brings to an aggregate, or None if it brings nothing.

    A row passes where the filter is true, not where it is null. A null value, and one that is not
    a finite number, brings nothing; null is not zero. A sum gets the value. A count gets the row,
    or where it counts a value, the row whose value is known. A unit count gets the row.
    """
    if aggregate.where(fields) is not True:
        return None
    if aggregate.value is None:
        return 1
    amount: float | None = known(aggregate.value(fields))
    if amount is None:
        return None
    return 1 if aggregate.kind in {"count", "unit_count"} else amount


def as_of(unit: ExposedUnit, part: Part) -> Part:
    """Return what looks at rows as it looks at those of one unit.

    A row passes where the moment that is to be after the exposure is at or after it, and the one
    that is to be before it is before; an unknown moment is neither. A date is compared with the
    day of the exposure.
    """

    def passes(condition: Callable[[Fields], bool | None]) -> Callable[[Fields], bool | None]:
        def both(fields: Fields) -> bool:
            after, before = part.after_exposure, part.before_exposure
            return (
                condition(fields) is True
                and (after is None or is_before_exposure(unit, after(fields)) is False)
                and (before is None or is_before_exposure(unit, before(fields)) is True)
            )

        return both

    found = replace(part, where=passes(part.where))
    if isinstance(found, Retention):
        completed_by = found.completed_by or part.where
        return replace(found, completed_by=passes(completed_by))
    return found


def is_before_exposure(unit: ExposedUnit, moment: date | None) -> bool | None:
    """Return whether a moment lies before a unit's first exposure; an unknown one is unknown."""
    if moment is None:
        return None
    if isinstance(moment, datetime):
        return moment < unit.first_exposure
    return moment < unit.first_exposure_ds


def known(value: Any) -> Any:
    """A value that is null, NaN or infinite is no value."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def contributions(aggregate: Aggregate, rows: Iterable[KeptEvent]) -> list[float]:
    """Return what the rows bring to an aggregate, in no order."""
    amounts = (contribution(aggregate, row.fields) for row in rows)
    return [amount for amount in amounts if amount is not None]


def added(amounts: Sequence[float]) -> Double:
    """Add up."""
    return Double(math.fsum(amounts), math.fsum(abs(amount) for amount in amounts))


def capped(amount: Double, cap: float) -> Double:
    """Each unit-day's value is min(value, cap)."""
    if amount <= cap:
        return amount
    near = amount - cap <= TOLERANCE * amount.scale
    return Double(cap, amount.scale if near else cap)


def total(aggregate: Aggregate, rows: Sequence[KeptEvent]) -> Double | None:
    """A count is the number of rows, a sum the sum of values; a day's is capped, then they add."""
    if aggregate.cap is None:
        amounts = contributions(aggregate, rows)
        return added(amounts) if amounts else None
    days = []
    for ds in {row.ds for row in rows}:
        amounts = contributions(aggregate, [row for row in rows if row.ds == ds])
        if amounts:
            days.append(capped(added(amounts), aggregate.cap))
    if not days:
        return None
    return Double(math.fsum(days), math.fsum(day.scale for day in days))


def extreme(aggregate: Aggregate, rows: Sequence[KeptEvent]) -> Double | None:
    """Return the smallest or the largest value."""
    values = contributions(aggregate, rows)
    if not values:
        return None
    value = min(values) if aggregate.kind == "min" else max(values)
    return Double(value, abs(value))


def first_or_latest(aggregate: Aggregate, rows: Sequence[KeptEvent]) -> Double | None:
    """Return the value of the earliest or of the latest row that has a value.

    Of several at that timestamp, the earliest takes the smallest and the latest the largest.
    """
    values = []
    for row in rows:
        value = contribution(aggregate, row.fields)
        if value is not None:
            values.append((row.moment, value))
    if not values:
        return None
    _, value = min(values) if aggregate.kind == "first_value" else max(values)
    return Double(value, abs(value))


def distinct(aggregate: Aggregate, rows: Sequence[KeptEvent]) -> Double | None:
    """Return the number of distinct values that are not null, compared as strings."""
    assert aggregate.value is not None
    values = [known(aggregate.value(r.fields)) for r in rows if aggregate.where(r.fields) is True]
    strings = {str(value) for value in values if value is not None}
    return whole(len(strings)) if strings else None


def participation(
    aggregate: Aggregate, rows: Sequence[KeptEvent], exposed_days: int
) -> Double | None:
    """Return a unit count.

    Once: 1 if there is a row. Daily: the number of days with a row, divided by the number of days
    of exposure that are looked at. Latest: 1 if the filter is true of the latest row of
    all rows, or of one of several at that timestamp.
    """
    passing = [row for row in rows if contribution(aggregate, row.fields) is not None]
    match aggregate.rollup:
        case "once":
            return ONE if passing else None
        case "daily":
            days = len({row.ds for row in passing})
            share = days / exposed_days
            return Double(share, share)
        case "latest":
            latest = max((row.moment for row in rows), default=None)
            return ONE if any(row.moment == latest for row in passing) else None


def at_least(threshold: float, number: Double) -> Double:
    """1 if the value is at least the threshold, else 0."""
    return ONE if number >= threshold else NOTHING


def number(aggregate: Aggregate, rows: Sequence[KeptEvent], exposed_days: int = 1) -> Double:
    """Return what the unit's rows come to; without rows, or without a value, it is 0.

    Args:
        aggregate: How the rows are read and put together.
        rows: The unit's rows that are looked at.
        exposed_days: Of how many days of its exposure they are.
    """
    found: Double | None
    match aggregate.kind:
        case "count" | "sum":
            found = total(aggregate, rows)
        case "unit_count":
            found = participation(aggregate, rows, exposed_days)
        case "min" | "max":
            found = extreme(aggregate, rows)
        case "first_value" | "latest_value":
            found = first_or_latest(aggregate, rows)
        case "count_distinct":
            found = distinct(aggregate, rows)
    if found is None:
        return NOTHING
    return found if aggregate.threshold is None else at_least(aggregate.threshold, found)


def is_in_window(window: Window | None, unit: ExposedUnit, row: KeptEvent) -> bool:
    """Only rows with fe + s·U <= ts < fe + (e + 1)·U; of dates fe_ds + s <= date <= fe_ds + e."""
    if window is None:
        return True
    if row.is_day:
        assert window.unit == "days", "minutes are refused where rows are days"
        return window.start <= (row.ds - unit.first_exposure_ds).days <= window.end
    first = unit.first_exposure
    return first + window.opens_after <= row.moment < first + window.closes_after


def is_over(window: Window | None, unit: ExposedUnit, day: date, *, dated: bool) -> bool:
    """With ``completed_only`` a unit counts once its window is over.

    That is when fe + (e + 1)·U <= midnight after the day; of dates, when fe_ds + e <= the day.
    """
    if window is None or not window.completed_only:
        return True
    if dated:
        return unit.first_exposure_ds + window.end * DAY <= day
    return unit.first_exposure + window.closes_after <= midnight(day + DAY)


def is_in_lookback(days: int, unit: ExposedUnit, row: KeptEvent) -> bool:
    """A covariate's rows: fe - N·24 h <= ts < fe; of dates fe_ds - N <= date < fe_ds."""
    if row.is_day:
        return unit.first_exposure_ds - days * DAY <= row.ds < unit.first_exposure_ds
    return unit.first_exposure - days * DAY <= row.moment < unit.first_exposure


def covariate(
    aggregate: Aggregate, days: int, unit: ExposedUnit, earlier: Sequence[KeptEvent]
) -> Double:
    """The same definition over the rows of the days before the exposure, without the window."""
    rows = [row for row in earlier if is_in_lookback(days, unit, row)]
    return number(as_of(unit, aggregate), rows)


def day_before(
    aggregate: Aggregate,
    days: int,
    unit: ExposedUnit,
    earlier: Sequence[KeptEvent],
    day: date,
) -> Double:
    """A covariate of the rows of one day before the day of the exposure."""
    return covariate(aggregate, days, unit, [row for row in earlier if row.ds == day])


def aggregates_of(metric: OracleMetric) -> dict[SideName, Aggregate]:
    """Return the aggregates of a metric by their sides, ``numerator`` and ``denominator``.

    A ratio has its own two. A mean divides by the number of its values that are known.
    """
    found: dict[SideName, Aggregate] = {}
    if metric.numerator is not None:
        found["numerator"] = metric.numerator
    if metric.type == "mean":
        assert metric.numerator is not None
        found["denominator"] = Aggregate(
            kind="count",
            source=metric.numerator.source,
            where=metric.numerator.where,
            value=metric.numerator.value,
            window=metric.numerator.window,
            after_exposure=metric.numerator.after_exposure,
            before_exposure=metric.numerator.before_exposure,
        )
    elif metric.denominator is not None:
        found["denominator"] = metric.denominator
    return found


def windows_of(metric: OracleMetric) -> list[tuple[str, Window]]:
    """Return the windows that decide which units count, each with the source that it reads."""
    parts: list[Aggregate | Retention] = list(aggregates_of(metric).values())
    if metric.retention is not None:
        parts.append(metric.retention)
    windows = [(part.source, part.window) for part in parts if part.window is not None]
    for term in metric.terms:
        windows += windows_of(term.metric)
    return windows


def retention(
    definition: Retention,
    rows: Sequence[KeptEvent],
    days: Days,
    day: date,
    may_start: Callable[[KeptEvent], bool] = lambda _: True,
) -> tuple[Double, Double]:
    """Return how many windows were completed, and how many there were.

    A window is there for each day s with a row that passes the filter and s + end <= the day. It
    is completed if on some day from s + end - length + 1 through s + end a row passes the
    completion filter. A window belongs to the day s + end, on which it is over. ``may_start`` says
    which rows are early enough to start one.
    """
    completion = definition.completed_by or definition.where
    starts = {row.ds for row in rows if definition.where(row.fields) is True and may_start(row)}
    returns = {row.ds for row in rows if completion(row.fields) is True}
    completed = windows = 0
    for start in starts:
        last = start + definition.end * DAY
        if last > day or not days(last):
            continue
        windows += 1
        if any(last - n * DAY in returns for n in range(definition.length)):
            completed += 1
    return whole(completed), whole(windows)


def sessions_of(
    funnel: Funnel, unit: ExposedUnit, events: Mapping[str, EventsOfUnits]
) -> list[Funnel]:
    """Return the funnel of each session of the unit: of its rows alone; of all rows where no step has any.

    A row whose session is not known is of none.
    """
    if all(step.session is None for step in funnel.steps):
        return [funnel]
    names = {
        step.session(row.fields)
        for step in funnel.steps
        if step.session is not None
        for row in rows_of_step(step, unit, events)
    }
    return [
        replace(funnel, steps=tuple(in_session(step, name) for step in funnel.steps))
        for name in sorted(name for name in names if name is not None)
    ]


def in_session(step: Step, name: str) -> Step:
    """Return a step that only rows of one session are."""
    session, where = step.session, step.where

    def both(fields: Fields) -> bool:
        return session is not None and session(fields) == name and where(fields) is True

    return replace(step, where=both)


def times_of_steps(
    funnel: Funnel, unit: ExposedUnit, events: Mapping[str, EventsOfUnits]
) -> list[datetime]:
    """Return when the unit reached each step, as far as it came, in one session.

    t1 is the earliest row of step 1, or the exposure. t_i is the earliest row of step i that comes
    after t_(i-1), or where not strict no earlier than it, less the allowance; and that comes
    before t_(i-1) plus the step's window and before t1 plus ``within``. A time that is there never
    changes: later rows of earlier steps mean nothing.
    """
    times = [unit.first_exposure] if funnel.exposure_as_first_step else []
    for step in funnel.steps:
        moments = sorted(row.moment for row in rows_of_step(step, unit, events))
        for at in moments:
            if times:
                earliest = times[-1] - funnel.allowance
                if at < earliest or (funnel.strict and at == earliest):
                    continue
                if step.window is not None and at >= times[-1] + step.window.closes_after:
                    continue
                if funnel.within is not None and at >= times[0] + funnel.within.closes_after:
                    continue
            times.append(at)
            break
        else:
            break
    return times


def days_of_steps(
    funnel: Funnel, unit: ExposedUnit, events: Mapping[str, EventsOfUnits]
) -> list[date | None]:
    """Return the day on which the unit reached each step, None from the first that it did not.

    A step that an allowance lets come before the one that it follows is reached on that one's day.
    """
    times = times_of_steps(funnel, unit, events)
    steps = len(funnel.steps) + funnel.exposure_as_first_step
    known = [max(times[: number + 1]).date() for number in range(len(times))]
    return [*known, *[None] * (steps - len(times))]


def seconds_to_convert(
    funnel: Funnel, unit: ExposedUnit, events: Mapping[str, EventsOfUnits]
) -> Double:
    """Return the time from the first step to the last, in seconds; of moments whole milliseconds count."""
    times = times_of_steps(funnel, unit, events)
    first, last = (
        at.replace(microsecond=at.microsecond // 1000 * 1000) for at in (times[0], times[-1])
    )
    seconds = (last - first).total_seconds()
    return Double(seconds, abs(seconds))


def rows_of_step(
    step: Step, unit: ExposedUnit, events: Mapping[str, EventsOfUnits]
) -> list[KeptEvent]:
    """Return the unit's rows of a step."""
    rows = events[step.source].get(unit.unit, [])
    where = as_of(unit, step).where
    return [row for row in rows if where(row.fields) is True]


def logarithm(total: Double) -> tuple[Double, Double]:
    """Return ln(T) and 1 where the unit's total T is above 0, else 0 and 0."""
    if total <= 0:
        return NOTHING, NOTHING
    value = math.log(total)
    return Double(value, abs(value) + total.scale / total), ONE

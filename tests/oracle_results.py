"""The rows of ``results``: which units and days a row looks at, and the statistics of its units."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from typing import Self

from tests import oracle_durations as durations
from tests import oracle_metrics as metrics
from tests.oracle_cells import Double, Row
from tests.oracle_inputs import Aggregate, Experiment, Funnel, OracleMetric, Rollup, Winsorize
from tests.oracle_levels import AllLevels, at_level
from tests.oracle_metrics import NOTHING, whole
from tests.oracle_statistics import (
    Side,
    covariate_statistics,
    ratio_covariate_statistics,
    statistics,
)
from tests.oracle_units import ExposedUnit, KeptEvent, Loaded, is_counted

TRAILING: Mapping[Rollup, int] = {"7_day": 7, "14_day": 14, "28_day": 28}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Which units and which of their days the rows of one rollup and day look at.

    Attributes:
        rollup: The rollup.
        day: The day of the row; of days since exposure, the last day.
        day_index: How many days after the exposure, where the rollup counts those.
        bake_days: How many days a day's rows and units bake before they count.
    """

    rollup: Rollup
    day: date
    day_index: int | None = None
    bake_days: int = 0

    @property
    def baked(self) -> date:
        """The last day whose rows and units count: d - b."""
        return self.day - timedelta(days=self.bake_days)

    def last_day_of(self, unit: ExposedUnit) -> date:
        """Return the day as of which a unit is looked at."""
        if self.day_index is None:
            return self.baked
        return unit.first_exposure_ds + timedelta(days=self.day_index)

    def holds(self, unit: ExposedUnit, day: date) -> bool:
        """Whether a day of a unit is looked at.

        ``daily`` looks at the day itself, ``cumulative`` at all days through it, ``k_day`` at the
        k days that end with it. Days since exposure look at the day that is ``day_index`` days
        after the first exposure.
        """
        last = self.last_day_of(unit)
        if self.rollup == "cumulative":
            return day <= last
        length = TRAILING.get(self.rollup, 1)
        return last - timedelta(days=length) < day <= last

    def exposed_days_of(self, unit: ExposedUnit) -> int:
        """Return how many days of a unit's exposure are looked at."""
        if self.day_index is not None:
            return 1
        exposed = (self.baked - unit.first_exposure_ds).days + 1
        if self.rollup == "cumulative":
            return exposed
        return min(exposed, TRAILING.get(self.rollup, 1))

    def holds_unit(self, unit: ExposedUnit) -> bool:
        """Units first exposed on the last day or before; since exposure, those that came so far."""
        return max(unit.first_exposure_ds, self.last_day_of(unit)) <= self.baked


def frames_of_day(experiment: Experiment, day: date) -> list[Frame]:
    """Return one frame for each rollup by day."""
    rollups = [name for name in experiment.rollups if name != "days_since_exposure"]
    return [Frame(rollup=name, day=day) for name in rollups]


def frames_since_exposure(experiment: Experiment, last_day: date) -> list[Frame]:
    """Return one frame for each number of days that a unit can have been exposed.

    Metrics with covariates have the days before the exposure too.
    """
    if "days_since_exposure" not in experiment.rollups:
        return []
    before = max((metric.cuped_days or 0 for metric in experiment.metrics), default=0)
    return [
        Frame(rollup="days_since_exposure", day=last_day, day_index=index)
        for index in range(-before, (last_day - experiment.start).days + 1)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitNumbers:
    """A unit's x, its y where the type has one, and its covariates where the metric has them.

    ``values`` are those of which a percentile is taken.
    """

    x: Double
    y: Double | None = None
    covariate: Double | None = None
    denominator_covariate: Double | None = None
    values: tuple[float, ...] = ()


Numbers = dict[str, UnitNumbers]
"""Unit → its numbers, of one metric in one frame."""


@dataclass(frozen=True, slots=True)
class View:
    """The units and rows that a metric sees in a frame; crossovers that are left out, too."""

    experiment: Experiment
    loaded: Loaded
    frame: Frame
    units: tuple[ExposedUnit, ...]

    @classmethod
    def of(cls, experiment: Experiment, loaded: Loaded, frame: Frame, metric: OracleMetric) -> Self:
        """Take the units of the frame whose windows are over, where the metric waits for that."""
        units = [
            unit
            for unit in loaded.units.values()
            if frame.holds_unit(unit)
            and durations.is_complete(experiment, metric, unit, frame.baked)
        ]
        return cls(experiment, loaded, frame, tuple(units))

    def rows(self, unit: ExposedUnit, aggregate: Aggregate) -> list[KeptEvent]:
        """Return the unit's rows that the aggregate looks at: of the frame and in its window."""
        return [
            row
            for row in self.loaded.events[aggregate.source].get(unit.unit, ())
            if self.frame.holds(unit, row.ds)
            and durations.counts(self.experiment, aggregate.window, unit, row)
        ]

    def aggregated(self, aggregate: Aggregate) -> dict[str, Double]:
        """Aggregate each unit's rows; a unit without any is zero."""
        found = {}
        for unit in self.units:
            days = self.frame.exposed_days_of(unit)
            own = metrics.as_of(unit, aggregate)
            found[unit.unit] = metrics.number(own, self.rows(unit, aggregate), days)
        return self.winsorized(aggregate.winsorize, found)

    def winsorized(self, rule: Winsorize | None, found: Mapping[str, Double]) -> dict[str, Double]:
        """Hold each x between two percentiles of the x of all counted units that are not zero.

        A zero stays zero. The percentiles 0 and 1 hold nothing.
        """
        if rule is None:
            return dict(found)
        counted = [found[u.unit] for u in self.units if is_counted(self.experiment, u)]
        amounts = [x for x in counted if float(x) != 0.0]
        low = percentile(amounts, rule.low) if rule.low > 0.0 else None
        high = percentile(amounts, rule.high) if rule.high < 1.0 else None
        return {unit: clamped(x, low, high) for unit, x in found.items()}

    def side(self, aggregate: Aggregate, cuped_days: int | None) -> dict[str, Double]:
        """Aggregate each unit's rows; on a day before the exposure those of its covariate."""
        index = self.frame.day_index
        if index is None or index >= 0 or cuped_days is None:
            return self.aggregated(aggregate)
        earlier = self.loaded.earlier[aggregate.source]
        found = {}
        for unit in self.units:
            rows, day = earlier.get(unit.unit, []), self.frame.last_day_of(unit)
            found[unit.unit] = metrics.day_before(aggregate, cuped_days, unit, rows, day)
        return self.winsorized(aggregate.winsorize, found)

    def covariates(self, aggregate: Aggregate, days: int) -> dict[str, Double]:
        """Return each unit's number from before its exposure."""
        earlier = self.loaded.earlier[aggregate.source]
        return {
            unit.unit: metrics.covariate(aggregate, days, unit, earlier.get(unit.unit, []))
            for unit in self.units
        }


def clamped(x: Double, low: Double | None, high: Double | None) -> Double:
    """Return an x that is not zero, held between two bounds."""
    if float(x) == 0.0:
        return x
    if low is not None and x < low:
        return Double(low, max(x.scale, low.scale))
    if high is not None and x > high:
        return Double(high, high.scale)
    return x


def percentile(values: Sequence[float], share: float) -> Double | None:
    """Interpolate between the sorted values at rank p·(n - 1), counted from 0."""
    if not values:
        return None
    ordered = sorted(values)
    rank = share * (len(ordered) - 1)
    below, above = ordered[math.floor(rank)], ordered[math.ceil(rank)]
    scale = max(
        value.scale if isinstance(value, Double) else abs(value) for value in (below, above)
    )
    return Double(below + (above - below) * (rank - math.floor(rank)), scale)


def numbers_of(
    experiment: Experiment, loaded: Loaded, frame: Frame, metric: OracleMetric
) -> Numbers:
    """Return x and y of each unit of a frame; units that have no rows are in it, with zeros."""
    view = View.of(experiment, loaded, frame, metric)
    match metric.type:
        case "retention":
            return retentions(view, metric)
        case "percentile":
            return values_of(view, metric)
        case "composite":
            return composites(view, metric)
        case "funnel":
            assert metric.funnel is not None
            if metric.funnel.time_to_convert:
                return conversions(view, metric.funnel)
            return funnel_steps(view, metric.funnel, len(steps_of(metric.funnel)), after=1)
        case _:
            return aggregates(view, metric)


def aggregates(view: View, metric: OracleMetric) -> Numbers:
    """x is the numerator, y the denominator where there is one; a log has a y of its own."""
    sides = metrics.aggregates_of(metric)
    found = {side: view.side(aggregate, metric.cuped_days) for side, aggregate in sides.items()}
    x, y = found["numerator"], found.get("denominator")
    if metric.log:
        logs = {unit: metrics.logarithm(total) for unit, total in x.items()}
        x, y = {u: log[0] for u, log in logs.items()}, {u: log[1] for u, log in logs.items()}
    before: dict[str, dict[str, Double]] = {}
    if metric.cuped_days is not None:
        before = {
            side: view.covariates(aggregate, metric.cuped_days) for side, aggregate in sides.items()
        }
    return {
        unit: UnitNumbers(
            x=amount,
            y=y[unit] if y is not None else None,
            covariate=before["numerator"][unit] if "numerator" in before else None,
            denominator_covariate=before["denominator"][unit] if "denominator" in before else None,
        )
        for unit, amount in x.items()
    }


def retentions(view: View, metric: OracleMetric) -> Numbers:
    """x is the number of windows completed, y the number of windows."""
    definition = metric.retention
    assert definition is not None
    found = {}
    for unit in view.units:
        rows = [
            row
            for row in view.loaded.events[definition.source].get(unit.unit, ())
            if row.ds <= view.frame.baked
            and metrics.is_in_window(definition.window, unit, row)
            and durations.returns(view.experiment, row)
        ]
        holds = partial(view.frame.holds, unit)
        own = metrics.as_of(unit, definition)
        may_start = partial(durations.starts, view.experiment, definition, unit)
        x, y = metrics.retention(own, rows, holds, view.frame.baked, may_start)
        found[unit.unit] = UnitNumbers(x=x, y=y)
    return found


def values_of(view: View, metric: OracleMetric) -> Numbers:
    """Return the values of each unit's rows, whose number is y; x depends on the group."""
    assert metric.numerator is not None
    found = {}
    for unit in view.units:
        own = metrics.as_of(unit, metric.numerator)
        values = metrics.contributions(own, view.rows(unit, metric.numerator))
        found[unit.unit] = UnitNumbers(x=NOTHING, y=whole(len(values)), values=tuple(values))
    return found


def composites(view: View, metric: OracleMetric) -> Numbers:
    """x is the sum of the terms' x, each with its sign."""
    terms = [
        (term.sign, numbers_of(view.experiment, view.loaded, view.frame, term.metric))
        for term in metric.terms
    ]
    found = {}
    for unit in view.units:
        amounts = [(sign, numbers[unit.unit].x) for sign, numbers in terms]
        found[unit.unit] = Double(
            math.fsum(sign * x for sign, x in amounts), math.fsum(x.scale for _, x in amounts)
        )
    return {u: UnitNumbers(x=x) for u, x in view.winsorized(metric.winsorize, found).items()}


def steps_of(funnel: Funnel) -> range:
    """Return the numbers of a funnel's steps, from 1."""
    return range(1, len(funnel.steps) + funnel.exposure_as_first_step + 1)


def baked_events(view: View) -> dict[str, dict[str, list[KeptEvent]]]:
    """Return the rows of the days that count, by source and unit."""
    return {
        source: {
            unit: [
                row
                for row in rows
                if row.ds <= view.frame.baked
                and durations.counts(view.experiment, None, view.loaded.units[unit], row)
            ]
            for unit, rows in of_units.items()
        }
        for source, of_units in view.loaded.events.items()
    }


def conversions(view: View, funnel: Funnel) -> Numbers:
    """x is the time that sessions took to reach the last step, y how many did so on a day of the frame."""
    events = baked_events(view)
    found = {}
    for unit in view.units:
        seconds = []
        for session in metrics.sessions_of(funnel, unit, events):
            day = metrics.days_of_steps(session, unit, events)[-1]
            if day is not None and view.frame.holds(unit, day):
                seconds.append(metrics.seconds_to_convert(session, unit, events))
        total = Double(math.fsum(seconds), math.fsum(each.scale for each in seconds))
        found[unit.unit] = UnitNumbers(x=total, y=whole(len(seconds)))
    return found


def funnel_steps(view: View, funnel: Funnel, step: int, *, after: int | None) -> Numbers:
    """x is how many sessions reached a step, y how many ``after``; each on a day of the frame."""
    events = baked_events(view)
    found = {}
    for unit in view.units:
        sessions = [
            metrics.days_of_steps(session, unit, events)
            for session in metrics.sessions_of(funnel, unit, events)
        ]
        reached = [
            whole(sum(day is not None and view.frame.holds(unit, day) for day in days))
            for days in zip(*sessions, strict=True)
        ] or [NOTHING for _ in steps_of(funnel)]
        y = None if after is None else reached[after - 1]
        found[unit.unit] = UnitNumbers(x=reached[step - 1], y=y)
    return found


def rows_of_frame(
    experiment: Experiment,
    loaded: Loaded,
    groups: Sequence[str],
    levels: AllLevels,
    frame: Frame,
) -> list[Row]:
    """Return the rows of a frame: for each metric the whole population, then its parts.

    Args:
        experiment: The experiment.
        loaded: What counts through the frame's day and no later, so a crossover counts until the
            day before it meets its second group.
        groups: The groups, each of which has its row.
        levels: Which row a value of a dimension goes to; each of them has its row.
        frame: Which days and units are looked at.
    """
    rows: list[Row] = []
    for metric in experiment.metrics:
        if frame.day_index is not None and frame.day_index < -(metric.cuped_days or 0):
            continue
        for part in parts_of(experiment, loaded, levels, frame, metric):
            for group in groups:
                units = [unit for unit in loaded.units.values() if unit.group == group]
                row: Row = {
                    "experiment_id": experiment.id,
                    "rollup": frame.rollup,
                    "ds": frame.day if frame.day_index is None else None,
                    "day_index": frame.day_index,
                    "metric": metric.name,
                    "dimension": part.dimension,
                    "dimension_value": part.value,
                    "group_id": group,
                    **group_statistics(experiment, metric, units, part),
                }
                rows.append(row)
    return rows


@dataclass(frozen=True, slots=True)
class Part:
    """What one row of each group is about: the population, a part of it, or a step of a funnel."""

    dimension: str | None
    value: object
    numbers: Numbers
    divided: bool


def parts_of(
    experiment: Experiment,
    loaded: Loaded,
    levels: AllLevels,
    frame: Frame,
    metric: OracleMetric,
) -> list[Part]:
    """Return the whole population, the units and the rows of each level, and the steps.

    Of the steps of a funnel each has a row: x is whether it is reached, y whether the one before
    is; the first has no y.
    """
    baking = replace(frame, bake_days=metric.bake_days)
    numbers = numbers_of(experiment, loaded, baking, metric)
    parts = [Part(None, None, numbers, is_divided(metric))]
    for dimension, rows in levels.of_units.items():
        for value in dict.fromkeys(rows.values()):
            of_level = {
                unit: of_unit
                for unit, of_unit in numbers.items()
                if rows[loaded.units[unit].context[dimension]] == value
            }
            parts.append(Part(dimension, value, of_level, is_divided(metric)))
    for dimension in metric.dimensions:
        of_rows = levels.of_rows[metric.name, dimension]
        for value in dict.fromkeys(of_rows.values()):
            there = numbers_of(
                experiment, loaded, baking, at_level(metric, dimension, of_rows, value)
            )
            parts.append(Part(dimension, value, there, is_divided(metric)))
    if metric.funnel is not None:
        view = View.of(experiment, loaded, baking, metric)
        for step in steps_of(metric.funnel):
            after = step - 1 if step > 1 else None
            of_step = funnel_steps(view, metric.funnel, step, after=after)
            parts.append(Part("step", str(step), of_step, after is not None))
    return parts


def is_divided(metric: OracleMetric) -> bool:
    """Whether units have a y."""
    return metric.log or metric.type in {"mean", "ratio", "retention", "percentile", "funnel"}


def group_statistics(
    experiment: Experiment, metric: OracleMetric, units: Iterable[ExposedUnit], part: Part
) -> Row:
    """Return the statistics of one metric over the units of one group.

    Crossovers that are left out add nothing; see ``Side`` for their one trace.
    """
    here = [unit for unit in units if unit.unit in part.numbers]
    counted = [part.numbers[unit.unit] for unit in here if is_counted(experiment, unit)]
    left = [part.numbers[unit.unit] for unit in here if not is_counted(experiment, unit)]
    if metric.percentile is not None:
        return percentile_statistics(metric.percentile, counted)
    x = Side.of((u.x for u in counted), (u.x for u in left))
    y = Side.of((u.y for u in counted), (u.y for u in left)) if part.divided else None
    row = statistics(x, y)
    if metric.cuped_days is not None:
        before = Side.of((u.covariate for u in counted), (u.covariate for u in left))
        row |= covariate_statistics(x, before)
        if y is not None:
            below = Side.of(
                (u.denominator_covariate for u in counted), (u.denominator_covariate for u in left)
            )
            row |= ratio_covariate_statistics(x, y, before, below)
    return row


def percentile_statistics(share: float, counted: Sequence[UnitNumbers]) -> Row:
    """Return the percentile of all values as the mean, and the sums of x and y.

    x is the number of a unit's values that are not above the percentile, y the number of its
    values.
    """
    bound = percentile([value for unit in counted for value in unit.values], share)
    below = [
        whole(0 if bound is None else sum(value <= bound for value in unit.values))
        for unit in counted
    ]
    y = Side.of((unit.y for unit in counted), ())
    return statistics(Side.of(below, ()), y) | {"mean": bound}

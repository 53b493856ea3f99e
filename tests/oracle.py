"""What every published table must hold, worked out row by row from the definitions.

The oracle is the independent second opinion on the engine: plain loops over plain rows, with no
SQL and nothing imported from the library. Every function implements one sentence of the semantics
and quotes it in its docstring, so it can be audited on its own. It is slow on purpose.

Three words carry the rest: a row is *kept* if it counts at all; a unit is *exposed* if it has a
kept exposure row; a unit is *counted* if results include it.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any, Final, Literal, Self

Fields = Mapping[str, Any]
"""The columns of one input row, by name."""

AggregateKind = Literal["count", "sum", "unit_count"]
MetricType = Literal["count", "sum", "mean", "unit_count", "ratio"]

Row = dict[str, object]
"""One row of an expected table, by column name."""

AggregateKey = tuple[str, Literal["numerator", "denominator"]]
"""Names an aggregate: the metric it belongs to, and its side."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """A row of the assignment source; ``at`` is naive UTC."""

    unit: str | None
    group: str | None
    experiment_id: str | None
    at: datetime | None
    context: Fields = field(default_factory=dict)
    partition: date | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A row of a metric source; ``at`` is naive UTC, or a plain date where the source has days."""

    unit: str | None
    at: date | None
    fields: Fields = field(default_factory=dict)
    partition: date | None = None


@dataclass(frozen=True, slots=True)
class PartitionRule:
    """How far from the day of its timestamp a row's partition may lie, in days."""

    early: int = 0
    late: int = 0


def always(_: Fields) -> bool:
    """No filter: every row passes."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """One number per unit: how rows of a source are filtered, read and put together."""

    kind: AggregateKind
    source: str
    where: Callable[[Fields], bool | None] = always
    value: Callable[[Fields], float | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleMetric:
    """A metric; the denominator of a mean follows from its numerator and is left out."""

    name: str
    type: MetricType
    numerator: Aggregate
    denominator: Aggregate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """The settings of an experiment that decide what its tables hold."""

    id: str
    start: date
    end: date | None = None
    groups: tuple[str, ...] | None = None
    crossover: Literal["exclude", "first_group"] = "exclude"
    context: tuple[str, ...] = ()
    metrics: tuple[OracleMetric, ...] = ()
    exposure_partitions: PartitionRule | None = None
    source_partitions: Mapping[str, PartitionRule] = field(default_factory=dict)


class Double(float):
    """A floating-point cell that knows the sum of the absolute values that went into it."""

    scale: float

    def __new__(cls, value: float, scale: float) -> Self:
        """Make the cell from its value and its scale."""
        cell = super().__new__(cls, value)
        cell.scale = scale
        return cell


class Undetermined(Enum):
    """A cell that rounding decides."""

    ANYTHING = "anything"


ANYTHING: Final = Undetermined.ANYTHING
"""The cell of a quotient whose divisor is nothing but rounding: any number or null is right."""

UnitDays = dict[tuple[str, date], dict[AggregateKey, int | Double]]
"""The aggregates of each unit-day; one without anything to aggregate is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Exactly what a full load publishes."""

    unit_day_exposures: list[Row]
    first_exposures: list[Row]
    exposures_summary: list[Row]
    unit_days: dict[str, UnitDays]
    results: list[Row]


GRAINS: Final[Mapping[str, tuple[str, ...]]] = {
    "unit_day_exposures": ("unit_id", "ds"),
    "first_exposures": ("unit_id",),
    "exposures_summary": ("ds", "group_id"),
    "unit_day_metrics": ("unit_id", "ds"),
    "results": (
        "experiment_id",
        "rollup",
        "ds",
        "day_index",
        "metric",
        "dimension",
        "dimension_value",
        "group_id",
    ),
}
"""The columns that tell the rows of each table apart."""


def expected(
    experiment: Experiment,
    exposures: Iterable[Exposure],
    sources: Mapping[str, Iterable[Event]],
    *,
    through: date,
    days: Collection[date] | None = None,
) -> Expected:
    """Return what a full load through the day ``through`` publishes.

    Args:
        experiment: The settings and the metrics.
        exposures: All rows of the assignment source.
        sources: All rows of each metric source, by its name.
        through: The last day to load; days after the experiment's end are never loaded.
        days: The days to compute results for, as each is computed from scratch; default all.
    """
    exposures = list(exposures)
    sources = {name: list(events) for name, events in sources.items()}
    last_day = through if experiment.end is None else min(experiment.end, through)
    loaded = Loaded.of(experiment, exposures, sources, last_day)
    groups = groups_of(experiment, loaded.exposures)

    results: list[Row] = []
    for day in days_between(experiment.start, last_day):
        if days is None or day in days:
            as_of_day = Loaded.of(experiment, exposures, sources, day)
            results.extend(results_of_day(experiment, as_of_day, groups, day))
    return Expected(
        unit_day_exposures=unit_day_exposures(loaded.exposures, experiment.context),
        first_exposures=[unit.row() for unit in loaded.units.values()],
        exposures_summary=exposures_summary(experiment, loaded.units, groups, last_day),
        unit_days={name: unit_days(experiment, loaded, name) for name in sources},
        results=results,
    )


@dataclass(frozen=True, slots=True)
class KeptExposure:
    """An exposure row that counts, so nothing in it is unknown."""

    unit: str
    group: str
    at: datetime
    context: Fields

    @property
    def ds(self) -> date:
        """The UTC day of the row."""
        return self.at.date()


def kept_exposures(
    experiment: Experiment, exposures: Iterable[Exposure], last_day: date
) -> list[KeptExposure]:
    """Return the rows that count through ``last_day``.

    These are the rows with this experiment id, a unit id and a group id that are neither null nor
    empty, and a timestamp from the first day through the last, both whole days. Where the
    experiment lists its groups, rows of other groups are as if absent. Where the source is
    partitioned, rows that lie too far from their own day are left out.
    """
    kept = []
    for row in exposures:
        if row.experiment_id != experiment.id:
            continue
        if row.unit is None or row.unit == "" or row.group is None or row.group == "":
            continue
        if experiment.groups is not None and row.group not in experiment.groups:
            continue
        if row.at is None or not experiment.start <= row.at.date() <= last_day:
            continue
        if not lies_where_it_may(row.at.date(), row.partition, experiment.exposure_partitions):
            continue
        kept.append(KeptExposure(row.unit, row.group, row.at, row.context))
    return kept


def lies_where_it_may(day: date, partition: date | None, rule: PartitionRule | None) -> bool:
    """A row of day d counts only in the partitions from d - early through d + late."""
    if rule is None:
        return True
    if partition is None:
        return False
    return day - timedelta(days=rule.early) <= partition <= day + timedelta(days=rule.late)


def groups_of(experiment: Experiment, kept: Iterable[KeptExposure]) -> list[str]:
    """The groups are those the experiment lists, else all groups seen in the rows that count."""
    if experiment.groups is not None:
        return list(experiment.groups)
    return sorted({row.group for row in kept})


def days_between(first: date, last: date) -> list[date]:
    """Return the days from ``first`` through ``last``, both included."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


@dataclass(frozen=True, slots=True)
class ExposedUnit:
    """A unit with its group and the moment from which its metric rows count."""

    unit: str
    group: str
    first_exposure: datetime
    crossover_at: datetime | None
    context: Row

    @property
    def first_exposure_ds(self) -> date:
        """The UTC day of the first exposure."""
        return self.first_exposure.date()

    @property
    def crossover(self) -> bool:
        """Whether the unit was seen in more than one group."""
        return self.crossover_at is not None

    def row(self) -> Row:
        """Return the unit as a row of ``first_exposures``."""
        return {
            "unit_id": self.unit,
            "group_id": self.group,
            "first_exposure": self.first_exposure,
            "first_exposure_ds": self.first_exposure_ds,
            "crossover": self.crossover,
            "crossover_at": self.crossover_at,
            **self.context,
        }


def earliest(rows: Iterable[KeptExposure]) -> KeptExposure:
    """The earliest row decides time and group; of several at that instant, the smallest group."""
    return min(rows, key=lambda row: (row.at, row.group))


def second_group_at(rows: Iterable[KeptExposure]) -> datetime | None:
    """Return when the first row came whose group is not that of the earliest row, if ever."""
    rows = list(rows)
    group = earliest(rows).group
    return min((row.at for row in rows if row.group != group), default=None)


def context_of(rows: Iterable[KeptExposure], columns: Iterable[str]) -> Row:
    """Return each context column's first non-null value, in the order of (timestamp, value)."""
    rows = list(rows)
    context: Row = {}
    for column in columns:
        seen = [(row.at, row.context.get(column)) for row in rows]
        known = sorted((at, value) for at, value in seen if value is not None)
        context[column] = known[0][1] if known else None
    return context


def exposed_units(kept: Iterable[KeptExposure], context: Iterable[str]) -> dict[str, ExposedUnit]:
    """One unit per unit id: its earliest row, its crossover, the context of its first day.

    A unit seen in more than one group is a crossover, from its first row in a second group on.
    """
    context = list(context)
    rows_of_unit: dict[str, list[KeptExposure]] = defaultdict(list)
    for row in kept:
        rows_of_unit[row.unit].append(row)
    units = {}
    for unit, rows in rows_of_unit.items():
        first = earliest(rows)
        first_day = [row for row in rows if row.ds == first.ds]
        units[unit] = ExposedUnit(
            unit, first.group, first.at, second_group_at(rows), context_of(first_day, context)
        )
    return units


def unit_day_exposures(kept: Iterable[KeptExposure], context: Iterable[str]) -> list[Row]:
    """One row per unit and day: the same facts as of a unit, of that day's rows alone."""
    context = list(context)
    rows_of_day: dict[tuple[str, date], list[KeptExposure]] = defaultdict(list)
    for row in kept:
        rows_of_day[row.unit, row.ds].append(row)
    return [
        {
            "unit_id": unit,
            "ds": ds,
            "first_exposure": earliest(rows).at,
            "group_id": earliest(rows).group,
            "min_group_id": min(row.group for row in rows),
            "max_group_id": max(row.group for row in rows),
            "crossover_at": second_group_at(rows),
            **context_of(rows, context),
        }
        for (unit, ds), rows in rows_of_day.items()
    ]


def is_counted(experiment: Experiment, unit: ExposedUnit) -> bool:
    """A crossover is left out of results, unless it counts in its first group."""
    return experiment.crossover == "first_group" or not unit.crossover


def exposures_summary(
    experiment: Experiment,
    units: Mapping[str, ExposedUnit],
    groups: Iterable[str],
    last_day: date,
) -> list[Row]:
    """One row for every day and group: who came, who left, who is counted at the end of the day.

    A unit comes on the day of its first exposure. Where crossovers are left out, it leaves on the
    day it meets its second group, which may be the day it came. Nobody leaves otherwise.
    """
    rows: list[Row] = []
    for group in groups:
        counted = 0
        for day in days_between(experiment.start, last_day):
            came = left = 0
            for unit in units.values():
                if unit.group != group:
                    continue
                if unit.first_exposure_ds == day:
                    came += 1
                if (
                    experiment.crossover == "exclude"
                    and unit.crossover_at is not None
                    and unit.crossover_at.date() == day
                ):
                    left += 1
            counted += came - left
            rows.append(
                {
                    "ds": day,
                    "group_id": group,
                    "daily_first_exposures": came,
                    "daily_crossovers": left,
                    "cumulative_exposures": counted,
                }
            )
    return rows


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """A metric row that counts, with the UTC day it counts on."""

    unit: str
    ds: date
    fields: Fields


def kept_events(
    experiment: Experiment,
    units: Mapping[str, ExposedUnit],
    events: Iterable[Event],
    rule: PartitionRule | None,
    last_day: date,
) -> list[KeptEvent]:
    """Return the metric rows that count through ``last_day``.

    These are the rows of exposed units, crossovers included, from the first day of the experiment
    through the last, at or after the unit's first exposure. A row that is only a date counts from
    the day of the first exposure on. Where the source is partitioned, rows that lie too far from
    their own day are left out.
    """
    kept = []
    for event in events:
        unit = None if event.unit is None else units.get(event.unit)
        if unit is None or event.at is None:
            continue
        if isinstance(event.at, datetime):
            ds = event.at.date()
            exposed = event.at >= unit.first_exposure
        else:
            ds = event.at
            exposed = event.at >= unit.first_exposure_ds
        if not exposed or not experiment.start <= ds <= last_day:
            continue
        if not lies_where_it_may(ds, event.partition, rule):
            continue
        kept.append(KeptEvent(unit.unit, ds, event.fields))
    return kept


@dataclass(frozen=True, slots=True)
class Loaded:
    """All input that counts through some day, as if the later rows had not been written yet."""

    exposures: list[KeptExposure]
    units: dict[str, ExposedUnit]
    events: dict[str, list[KeptEvent]]

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        exposures: Iterable[Exposure],
        sources: Mapping[str, Iterable[Event]],
        last_day: date,
    ) -> Self:
        """Work everything out from the input rows of days through ``last_day`` alone."""
        kept = kept_exposures(experiment, exposures, last_day)
        units = exposed_units(kept, experiment.context)
        rules = experiment.source_partitions
        events = {
            name: kept_events(experiment, units, rows, rules.get(name), last_day)
            for name, rows in sources.items()
        }
        return cls(kept, units, events)


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
    value = aggregate.value(fields)
    if value is None or not math.isfinite(value):
        return None
    return value if aggregate.kind == "sum" else 1


def contributions(aggregate: Aggregate, events: Iterable[KeptEvent]) -> dict[str, list[float]]:
    """Return what the rows bring to an aggregate, unit by unit; units without any are absent."""
    brought: dict[str, list[float]] = defaultdict(list)
    for event in events:
        amount = contribution(aggregate, event.fields)
        if amount is not None:
            brought[event.unit].append(amount)
    return brought


def combine(aggregate: Aggregate, brought: Sequence[float]) -> int | Double:
    """Return the aggregate of at least one contribution: their number, their sum, or just 1."""
    match aggregate.kind:
        case "count":
            return len(brought)
        case "sum":
            return Double(math.fsum(brought), math.fsum(abs(amount) for amount in brought))
        case "unit_count":
            return 1


def aggregates_of(metric: OracleMetric) -> dict[AggregateKey, Aggregate]:
    """Return the aggregates of a metric.

    A ratio has its own two. A mean divides by the number of its non-null values. The others are
    divided by the number of units and have no denominator.
    """
    numerator = metric.numerator
    denominator = metric.denominator
    if metric.type == "mean":
        denominator = Aggregate(
            kind="count", source=numerator.source, where=numerator.where, value=numerator.value
        )
    aggregates: dict[AggregateKey, Aggregate] = {(metric.name, "numerator"): numerator}
    if denominator is not None:
        aggregates[metric.name, "denominator"] = denominator
    return aggregates


def unit_days(experiment: Experiment, loaded: Loaded, source: str) -> UnitDays:
    """Return the aggregates that read ``source`` for each exposed unit and day.

    A unit-day exists where at least one aggregate has something to aggregate, and holds those.
    """
    events_of_day: dict[date, list[KeptEvent]] = defaultdict(list)
    for event in loaded.events[source]:
        events_of_day[event.ds].append(event)
    found: UnitDays = defaultdict(dict)
    for metric in experiment.metrics:
        for key, aggregate in aggregates_of(metric).items():
            if aggregate.source != source:
                continue
            for ds, events in events_of_day.items():
                for unit, brought in contributions(aggregate, events).items():
                    found[unit, ds][key] = combine(aggregate, brought)
    return dict(found)


def results_of_day(
    experiment: Experiment, as_of_day: Loaded, groups: Iterable[str], day: date
) -> list[Row]:
    """Return the rows of both rollups for one day: one for each metric and group.

    ``as_of_day`` holds the rows through ``day`` and no later ones, so a crossover counts until
    the day before it meets its second group. ``cumulative`` takes all of the metric rows,
    ``daily`` only those of the day itself; both have the same units.
    """
    that_day = {
        name: [event for event in events if event.ds == day]
        for name, events in as_of_day.events.items()
    }
    rows: list[Row] = []
    for group in groups:
        units = [unit for unit in as_of_day.units.values() if unit.group == group]
        for rollup, events in (("daily", that_day), ("cumulative", as_of_day.events)):
            for metric in experiment.metrics:
                row: Row = {
                    "experiment_id": experiment.id,
                    "rollup": rollup,
                    "ds": day,
                    "day_index": None,
                    "metric": metric.name,
                    "dimension": None,
                    "dimension_value": None,
                    "group_id": group,
                    **group_statistics(experiment, metric, units, events),
                }
                rows.append(row)
    return rows


def group_statistics(
    experiment: Experiment,
    metric: OracleMetric,
    units: Sequence[ExposedUnit],
    events: Mapping[str, Sequence[KeptEvent]],
) -> Row:
    """Return the statistics of one metric over the units of one group.

    ``units`` is the number of counted units. A counted unit without rows counts as zero. ``mean``
    is the total over the units, and for mean and ratio metrics over the denominator's total; what
    has nothing to divide by is null.
    Crossovers that are left out add nothing; see ``Side`` for their one trace.
    """
    sides = {
        key[1]: Side.of(experiment, aggregate, units, events[aggregate.source])
        for key, aggregate in aggregates_of(metric).items()
    }
    numerator, denominator = sides["numerator"], sides.get("denominator")
    count = len(numerator.values)
    if denominator is None:
        mean = quotient(numerator.total(), Double(count, 0.0)) if count else None
    else:
        mean = None if denominator.is_empty else quotient(numerator.total(), denominator.total())
    return {
        "units": count,
        "total": numerator.total(),
        "total_squares": numerator.product(numerator),
        "mean": mean,
        "variance": numerator.variance(),
        "denominator_total": denominator.total() if denominator else None,
        "denominator_total_squares": denominator.product(denominator) if denominator else None,
        "numerator_denominator_product": numerator.product(denominator) if denominator else None,
    }


@dataclass(frozen=True, slots=True)
class Side:
    """One number for each counted unit of a group: a metric's numerator or its denominator.

    ``scales`` holds the absolute amounts that went into each number, and as the last entries
    those of the crossovers that are left out: a running total had them until they left.
    """

    values: list[float]
    scales: list[float]

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        aggregate: Aggregate,
        units: Sequence[ExposedUnit],
        events: Iterable[KeptEvent],
    ) -> Self:
        """Aggregate each unit's rows; a unit without any is zero."""
        brought = contributions(aggregate, events)
        counted = [unit for unit in units if is_counted(experiment, unit)]
        left = [unit for unit in units if not is_counted(experiment, unit)]
        values: list[float] = []
        for unit in counted:
            amounts = brought.get(unit.unit)
            values.append(0.0 if amounts is None else combine(aggregate, amounts))
        scales = [math.fsum(map(abs, brought.get(u.unit, ()))) for u in (*counted, *left)]
        return cls(values, scales)

    @property
    def is_empty(self) -> bool:
        """Whether no counted unit brought anything but zeros."""
        return not any(self.scales[: len(self.values)])

    def total(self) -> Double:
        """Add up the units."""
        return Double(math.fsum(self.values), math.fsum(self.scales))

    def product(self, other: "Side") -> Double:
        """Add up, over the units, this number times the other; with itself, the squares."""
        return Double(
            math.fsum(x * y for x, y in zip(self.values, other.values, strict=True)),
            math.fsum(x * y for x, y in zip(self.scales, other.scales, strict=True)),
        )

    def variance(self) -> Double | None:
        """Return the sample variance over the units, null for fewer than two."""
        count = len(self.values)
        if count < 2:
            return None
        mean = math.fsum(self.values) / count
        squares = math.fsum((x - mean) ** 2 for x in self.values)
        scale = math.fsum(x**2 for x in self.scales) + math.fsum(self.scales) ** 2 / count
        return Double(squares / (count - 1), scale / (count - 1))


TOLERANCE: Final = 1e-9
"""How far a DOUBLE may be off, as a share of the sum of the absolute values that went in."""


def quotient(total: Double, divisor: Double) -> Double | Undetermined:
    """Divide.

    A divisor that may be off by as much as it is large says nothing, so neither does the answer.
    """
    certain = abs(divisor) - TOLERANCE * divisor.scale
    if certain <= 0:
        return ANYTHING
    answer = total / divisor
    return Double(answer, (total.scale + abs(answer) * divisor.scale) / certain)


def assert_close(
    actual_rows: Iterable[Mapping[str, object]],
    expected_rows: Iterable[Mapping[str, object]],
    *,
    table: str,
) -> None:
    """Fail unless a table holds the expected rows, in any order.

    DOUBLE cells may be off by 1e-9 of the sum of the absolute values that went in; everything
    else is equal in value and type. Columns that nothing is expected of are not looked at.

    Args:
        actual_rows: The rows found, by column name: ``pyarrow.Table.to_pylist()``.
        expected_rows: The rows from ``expected``.
        table: Which table this is, one of ``GRAINS``.
    """
    grain = GRAINS[table]
    actual, problems = by_grain(actual_rows, grain)
    wanted, twice = by_grain(expected_rows, grain)
    if twice:
        raise ValueError("\n".join(["the expected rows contradict themselves:", *twice]))
    for key in sorted(wanted.keys() | actual.keys(), key=sortable):
        where = ", ".join(f"{column}={value!r}" for column, value in zip(grain, key, strict=True))
        if key not in actual:
            problems.append(f"missing row: {where}: {dict(wanted[key])}")
        elif key not in wanted:
            problems.append(f"unexpected row: {where}: {dict(actual[key])}")
        else:
            for column, cell in wanted[key].items():
                if column not in actual[key]:
                    problems.append(f"{where}: no column {column!r}")
                elif not is_close(actual[key][column], cell):
                    found = actual[key][column]
                    problems.append(f"{where}: {column}: expected {shown(cell)}, found {found!r}")
    if problems:
        rest = [f"… and {len(problems) - 20} more"] if len(problems) > 20 else []
        head = f"{table}: {len(problems)} differences from the definitions"
        raise AssertionError("\n  ".join([head, *problems[:20], *rest]))


def assert_unit_days_close(
    actual_rows: Iterable[Mapping[str, object]],
    expected_days: UnitDays,
    columns: Mapping[AggregateKey, str],
) -> None:
    """Fail unless a unit-day table holds the expected aggregates.

    Unit-days that are empty in all of the columns are not looked at.

    Args:
        actual_rows: The rows found, by column name.
        expected_days: The unit-days of that source.
        columns: The column that holds each aggregate; two may share one.
    """
    wanted: list[Row] = []
    for (unit, ds), aggregates in expected_days.items():
        row: Row = {"unit_id": unit, "ds": ds}
        row |= {column: aggregates.get(key) for key, column in columns.items()}
        if any(row[column] is not None for column in columns.values()):
            wanted.append(row)
    actual = [
        row for row in actual_rows if any(row[column] is not None for column in columns.values())
    ]
    assert_close(actual, wanted, table="unit_day_metrics")


def by_grain(
    rows: Iterable[Mapping[str, object]], grain: Sequence[str]
) -> tuple[dict[tuple[object, ...], Mapping[str, object]], list[str]]:
    """Return the rows by their key, and a complaint for every key that comes twice."""
    found: dict[tuple[object, ...], Mapping[str, object]] = {}
    twice = []
    for row in rows:
        key = tuple(row[column] for column in grain)
        if key in found:
            twice.append(f"two rows: {dict(zip(grain, key, strict=True))}")
        found[key] = row
    return found, twice


def is_close(actual: object, wanted: object) -> bool:
    """Whether a cell is what was expected: a DOUBLE within its tolerance, all else exactly."""
    if wanted is ANYTHING:
        return True
    if isinstance(wanted, Double):
        if isinstance(actual, bool) or not isinstance(actual, int | float):
            return False
        return abs(actual - wanted) <= TOLERANCE * wanted.scale
    return type(actual) is type(wanted) and actual == wanted


def shown(cell: object) -> str:
    """Return a cell as a failure message shows it."""
    if isinstance(cell, Double):
        return f"{float(cell)!r} ± {TOLERANCE * cell.scale:.3g}"
    return repr(cell)


def sortable(key: Iterable[object]) -> list[tuple[bool, str]]:
    """Return a key that sorts next to any other, nulls first."""
    return [(value is not None, str(value)) for value in key]

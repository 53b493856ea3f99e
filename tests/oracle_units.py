"""Which rows count, and the units that they make."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Self

from tests.oracle_cells import Row
from tests.oracle_inputs import Event, Experiment, Exposure, Fields, PartitionRule


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
    empty, and a timestamp from the first day through the last, both whole days, and no later than
    the experiment's end. Where the
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
        if experiment.end is not None and row.at.date() > experiment.end:
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


def is_counted(experiment: Experiment, unit: ExposedUnit) -> bool:
    """A crossover is left out of results, unless it counts in its first group."""
    return experiment.crossover == "first_group" or not unit.crossover


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """A metric row that counts, with the UTC day it counts on; ``at`` may be that day alone."""

    unit: str
    at: date
    fields: Fields

    @property
    def ds(self) -> date:
        """The UTC day of the row."""
        return self.at.date() if isinstance(self.at, datetime) else self.at

    @property
    def is_day(self) -> bool:
        """Whether the row is only a date."""
        return not isinstance(self.at, datetime)

    @property
    def moment(self) -> datetime:
        """The instant of the row; a row that is only a date is of its midnight."""
        return self.at if isinstance(self.at, datetime) else midnight(self.at)


def midnight(day: date) -> datetime:
    """Return the instant at which a day begins."""
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - naive UTC throughout


EventsOfUnits = dict[str, list[KeptEvent]]
"""Unit → its rows of one source."""


def events_of_exposed(
    units: Mapping[str, ExposedUnit], events: Iterable[Event], rule: PartitionRule | None
) -> list[KeptEvent]:
    """Return the rows of exposed units, crossovers included, of whatever time.

    Where the source is partitioned, rows that lie too far from their own day are left out.
    """
    rows = []
    for event in events:
        if event.unit is None or event.unit not in units or event.at is None:
            continue
        row = KeptEvent(event.unit, event.at, event.fields)
        if lies_where_it_may(row.ds, event.partition, rule):
            rows.append(row)
    return rows


def is_since_exposure(row: KeptEvent, unit: ExposedUnit) -> bool:
    """A row counts at or after the first exposure; one that is only a date, from its day on."""
    if isinstance(row.at, datetime):
        return row.at >= unit.first_exposure
    return row.at >= unit.first_exposure_ds


def kept_events(
    experiment: Experiment,
    units: Mapping[str, ExposedUnit],
    rows: Iterable[KeptEvent],
    last_day: date,
) -> EventsOfUnits:
    """Return the metric rows that count through ``last_day``.

    These are the rows of exposed units from the first day of the experiment through the last, at
    or after the unit's first exposure.
    """
    kept: EventsOfUnits = defaultdict(list)
    for row in rows:
        since_exposure = is_since_exposure(row, units[row.unit])
        if since_exposure and experiment.start <= row.ds <= last_day:
            kept[row.unit].append(row)
    return kept


def earlier_events(units: Mapping[str, ExposedUnit], rows: Iterable[KeptEvent]) -> EventsOfUnits:
    """Return the metric rows from before the unit's first exposure, from before the start too."""
    earlier: EventsOfUnits = defaultdict(list)
    for row in rows:
        if not is_since_exposure(row, units[row.unit]):
            earlier[row.unit].append(row)
    return earlier


@dataclass(frozen=True, slots=True)
class Loaded:
    """All input that counts through some day, as if the later rows had not been written yet.

    ``events`` and ``earlier`` are those since and those before the exposure, by source.
    """

    exposures: list[KeptExposure]
    units: dict[str, ExposedUnit]
    events: dict[str, EventsOfUnits]
    earlier: dict[str, EventsOfUnits]

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
        rows = {
            name: events_of_exposed(units, events, rules.get(name))
            for name, events in sources.items()
        }
        return cls(
            kept,
            units,
            {name: kept_events(experiment, units, rows[name], last_day) for name in sources},
            {name: earlier_events(units, rows[name]) for name in sources},
        )

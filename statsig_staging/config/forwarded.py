"""The forwarded tables as sources: there without being declared, over whatever unit types are asked for."""

from collections.abc import Iterable, Mapping
from typing import Final

from statsig_staging.config.connections import Connection
from statsig_staging.config.sources import AssignmentSource, MetricSource, Partition

EXPOSURES_SOURCE: Final = "statsig_forwarded_exposures"
"""The assignment source of forwarded exposures."""

EVENTS_SOURCE: Final = "statsig_forwarded_events"
"""The metric source of forwarded events."""

BUILT_IN: Final[Mapping[str, str]] = {
    "assignment_sources": EXPOSURES_SOURCE,
    "metric_sources": EVENTS_SOURCE,
}
"""List → the source of it that need not be declared."""

TIMESTAMP: Final = "timestamp"
PARTITION: Final = "ds"
"""The date column of the folders."""

OTHERS: Final = "other_columns"
"""The column of everything whose name can be no column's, as one object."""

UNITS: Final = ("user_id", "stable_id")
"""The unit ids that every forwarded table has."""

EXPOSURE_COLUMNS: Final[Mapping[str, str]] = {
    "experiment_id": "text",
    "group_id": "text",
    "group_name": "text",
    "user_id": "text",
    "stable_id": "text",
    "user_dimensions": "object",
    OTHERS: "object",
}
EVENT_COLUMNS: Final[Mapping[str, str]] = {
    "user_id": "text",
    "stable_id": "text",
    "event_name": "text",
    "event_value": "text",
    "user_object": "object",
    "statsig_metadata": "object",
    "company_metadata": "object",
    OTHERS: "object",
}


def forwarded_exposures(connection: Connection, units: Iterable[str]) -> AssignmentSource:
    """Return the source of forwarded exposures; a unit type is the column of its name."""
    return AssignmentSource(
        name=EXPOSURES_SOURCE,
        table=f'"{connection.database}"."{connection.forwarded_exposures}"',
        timestamp=TIMESTAMP,
        experiment_id="experiment_id",
        group_id="group_id",
        units=_units(units),
        partition=Partition(column=PARTITION),
        context={"group_name": "group_name"},
    )


def forwarded_events(connection: Connection, units: Iterable[str]) -> MetricSource:
    """Return the source of forwarded events; a unit type is the column of its name."""
    return MetricSource(
        name=EVENTS_SOURCE,
        table=f'"{connection.database}"."{connection.forwarded_events}"',
        timestamp=TIMESTAMP,
        units=_units(units),
        partition=Partition(column=PARTITION),
    )


def _units(units: Iterable[str]) -> dict[str, str]:
    return {unit: unit for unit in (*UNITS, *units)}

"""Partition projection: partitions that a table's properties describe, and Glue does not list.

Read from the other end: a location is matched with the template, and its values with what the properties
allow, so that one listing finds every partition that has files.
https://docs.aws.amazon.com/athena/latest/ug/partition-projection-supported-types.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from statsig_staging.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from statsig_staging.warehouses.athena.glue import GlueTable

_PLACE = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True, slots=True)
class Projection:
    """Where the partitions of a table may lie.

    Attributes:
        stem: What all locations begin with, up to a folder's end.
        pattern: Matches the location of a partition, and the beginning of what lies in it.
        allows: Key → whether a value is one of its range.
        groups: Key → group of the pattern.
    """

    stem: str
    pattern: re.Pattern[str]
    allows: Mapping[str, Callable[[str], bool]]
    groups: Mapping[str, str]

    def match(self, location: str) -> tuple[Mapping[str, str], str] | None:
        """Return the values of the partition that a file lies in, and its path from there on."""
        found = self.pattern.match(location)
        if found is None:
            return None
        values = {key: found[group] for key, group in self.groups.items()}
        if not all(self.allows[key](value) for key, value in values.items()):
            return None
        return values, location[found.end() :]


def is_projected(table: GlueTable) -> bool:
    """Return whether Athena makes a table's partitions from its properties."""
    return bool(table.keys) and table.parameters.get("projection.enabled", "").lower() == "true"


def projection_of(table: GlueTable, now: datetime) -> Projection:
    """Return the projection of a table.

    Raises:
        WarehouseError: If its properties do not make sense.
    """
    by_key = "/".join(f"{key}=${{{key}}}" for key in table.keys)
    default = f"{table.location.rstrip('/')}/{by_key}"
    template = table.parameters.get("storage.location.template", default).rstrip("/") + "/"
    parameters = {key.lower(): value for key, value in table.parameters.items()}
    groups: dict[str, str] = {}
    allows: dict[str, Callable[[str], bool]] = {}
    pattern, last = "", 0
    for place in _PLACE.finditer(template):
        key = place[1].lower()
        pattern += re.escape(template[last : place.start()])
        last = place.end()
        if key in groups:
            pattern += f"(?P={groups[key]})"
            continue
        try:
            form, allows[key] = _rule(parameters, key, now)
        except (KeyError, ValueError) as error:
            raise WarehouseError(
                f"table {table.database}.{table.name}: partition projection of {key} cannot be read: {error}"
            ) from error
        groups[key] = f"k{len(groups)}"
        pattern += f"(?P<{groups[key]}>{form})"
    pattern += re.escape(template[last:])
    stem = _PLACE.split(template)[0]
    return Projection(stem[: stem.rfind("/") + 1], re.compile(pattern), allows, groups)


def _rule(
    parameters: Mapping[str, str], key: str, now: datetime
) -> tuple[str, Callable[[str], bool]]:
    """Return how the values of a key are written, and which of them are in its range."""
    kind = parameters[f"projection.{key}.type"].lower()
    if kind == "injected":
        return "[^/]+", lambda _: True
    if kind == "enum":
        values = {value.strip() for value in parameters[f"projection.{key}.values"].split(",")}
        return "|".join(
            re.escape(v) for v in sorted(values, key=len, reverse=True)
        ), values.__contains__
    first, last = (part.strip() for part in parameters[f"projection.{key}.range"].split(","))
    if kind == "integer":
        low, high = int(first), int(last)
        step = int(parameters.get(f"projection.{key}.interval", "1"))
        width = int(parameters.get(f"projection.{key}.digits", "0"))
        return (
            "-?[0-9]+",
            lambda text: (
                low <= int(text) <= high
                and (int(text) - low) % step == 0
                and text == f"{int(text):0{width}d}"
            ),
        )
    if kind != "date":
        raise ValueError(f"type {kind}")
    format_ = _JavaFormat(parameters.get(f"projection.{key}.format", "yyyy-MM-dd"))
    begin, end = format_.bound(first, now), format_.bound(last, now)
    return (
        format_.pattern,
        lambda text: (moment := format_.read(text)) is not None and begin <= moment <= end,
    )


_LETTERS = {
    "yyyy": ("%Y", "[0-9]{4}"),
    "uuuu": ("%Y", "[0-9]{4}"),
    "yy": ("%y", "[0-9]{2}"),
    "MMM": ("%b", "[A-Za-z]{3}"),
    "MM": ("%m", "[0-9]{2}"),
    "M": ("%m", "[0-9]{1,2}"),
    "dd": ("%d", "[0-9]{2}"),
    "d": ("%d", "[0-9]{1,2}"),
    "DDD": ("%j", "[0-9]{3}"),
    "HH": ("%H", "[0-9]{2}"),
    "H": ("%H", "[0-9]{1,2}"),
    "mm": ("%M", "[0-9]{2}"),
    "ss": ("%S", "[0-9]{2}"),
}
"""Letters of Java's DateTimeFormatter that Python's strptime has a directive for."""

_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|.", re.DOTALL)
_RELATIVE = re.compile(r"NOW\s*(?:([+-])\s*([0-9]+)\s*([A-Z]+?)S?)?")
_UNITS = {
    "SECOND": timedelta(seconds=1),
    "MINUTE": timedelta(minutes=1),
    "HOUR": timedelta(hours=1),
    "DAY": timedelta(days=1),
    "WEEK": timedelta(weeks=1),
    "MONTH": timedelta(days=31),
    "YEAR": timedelta(days=366),
}
"""A month and a year at their longest: a partition too many has no files that Athena would not read."""


class _JavaFormat:
    """A format of Java's DateTimeFormatter, as far as dates in paths need it."""

    def __init__(self, text: str) -> None:
        self._format = self.pattern = ""
        for token in _TOKEN.finditer(text):
            plain = token[0]
            if token[1] is not None:
                plain = token[1].replace("''", "'") or "'"
            elif token[2] is not None:
                directive, form = _LETTERS[plain]
                self._format += directive
                self.pattern += form
                continue
            self._format += plain.replace("%", "%%")
            self.pattern += re.escape(plain)

    def read(self, text: str) -> datetime | None:
        """Return the moment that a value stands for."""
        try:
            return datetime.strptime(text, self._format).replace(tzinfo=UTC)
        except ValueError:
            return None

    def bound(self, text: str, now: datetime) -> datetime:
        """Return an end of a range, which may be relative to now.

        Raises:
            ValueError: If it is neither that nor a date of this format.
        """
        relative = _RELATIVE.fullmatch(text.upper())
        if relative is None:
            found = self.read(text)
            if found is None:
                raise ValueError(f"{text!r} is not of its format")
            return found
        if relative[1] is None:
            return now
        shift = int(relative[2]) * _UNITS[relative[3]]
        return now - shift if relative[1] == "-" else now + shift

"""Cells that know how exact they are, and the comparison of tables made of them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from enum import Enum
from typing import Final, Literal, Self

Row = dict[str, object]
"""One row of an expected table, by column name."""

SideName = Literal["numerator", "denominator"]
AggregateKey = tuple[str, SideName]
"""Names an aggregate: the metric it belongs to, and its side."""


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

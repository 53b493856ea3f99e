"""Answers of queries as Athena writes them: nulls, empty texts and types."""

from datetime import date, datetime

import pyarrow as pa
import pytest

from statsig_staging.warehouses.athena.answers import _parsed

DAY = pa.schema([("day", pa.date32())])


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"", []),
        (b'"day"\n', []),
        (b'"day"\n\n', [None]),
        (b'"day"\n"2026-01-01"\n\n', [date(2026, 1, 1), None]),
        (b'"day"\n"2026-01-01"\n', [date(2026, 1, 1)]),
    ],
    ids=["no file", "no row", "null", "a day and null", "a day"],
)
def test_a_row_of_one_null_is_a_row(data: bytes, rows: list[date | None]) -> None:
    """Athena writes it as an empty line."""
    assert _parsed(data, DAY).column(0).to_pylist() == rows


def test_null_and_the_empty_text_are_two_things() -> None:
    """One is nothing between two commas, the other is quoted; a text may have lines."""
    schema = pa.schema([("a", pa.string()), ("at", pa.timestamp("us")), ("x", pa.float64())])
    data = b'"a","at","x"\n"","2026-01-01 12:00:00.123456","NaN"\n,,\n"b\nc","2026-01-01 12:00:00.000","-Infinity"\n'

    found = _parsed(data, schema).to_pylist()

    assert [row["a"] for row in found] == ["", None, "b\nc"]
    assert found[0]["at"] == datetime(2026, 1, 1, 12, 0, 0, 123456)  # noqa: DTZ001
    assert str(found[0]["x"]) == "nan"
    assert [row["x"] for row in found[1:]] == [None, float("-inf")]

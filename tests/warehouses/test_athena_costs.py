"""What a statement costs at Athena."""

import pytest

from statsig_staging.warehouses.athena.costs import Cost, billed, price, said_price, said_size


@pytest.mark.parametrize(
    ("state", "kind", "subtype", "scanned", "expected"),
    [
        ("SUCCEEDED", "DML", "SELECT", 0, 10_000_000),
        ("SUCCEEDED", "DML", "INSERT", 10_000_000, 10_000_000),
        ("SUCCEEDED", "DML", "MERGE", 10_000_001, 11_000_000),
        ("SUCCEEDED", "DDL", "CREATE_TABLE_AS_SELECT", 1, 10_000_000),
        ("SUCCEEDED", "DDL", "OPTIMIZE", 25_000_000, 25_000_000),
        ("SUCCEEDED", "DDL", "CREATE_TABLE", 0, 0),
        ("SUCCEEDED", "DDL", "ALTER_TABLE", 0, 0),
        ("SUCCEEDED", "UTILITY", "SHOW_TABLES", 0, 0),
        ("FAILED", "DML", "INSERT", 10**12, 0),
        ("CANCELLED", "DML", "INSERT", 0, 0),
        ("CANCELLED", "DML", "INSERT", 12_345_678, 13_000_000),
    ],
)
def test_what_is_billed(state: str, kind: str, subtype: str, scanned: int, expected: int) -> None:
    """Bytes are rounded up to the MB, at least 10 MB; DDL and failed statements are free (AWS, pricing)."""
    assert billed(state, kind, subtype, scanned) == expected


def test_the_price() -> None:
    """The price is for 10^12 bytes, and costs add up."""
    assert price(10**12, 5.0) == 5.0
    assert price(10_000_000, 5.0) == pytest.approx(0.00005)
    one = Cost(statements=1, bytes_scanned=3, bytes_billed=10_000_000, dollars=0.5)
    two = Cost(statements=2, bytes_scanned=6, bytes_billed=20_000_000, dollars=1.0)
    assert one + one == two
    assert one + Cost() == one


def test_in_words() -> None:
    """Sizes have decimal units, and a price below a cent is not nothing."""
    sizes = (0, 999, 1000, 1_500_000, 2 * 10**12, 12_345 * 10**12)
    assert [said_size(size) for size in sizes] == [
        "0 B",
        "999 B",
        "1 kB",
        "1.5 MB",
        "2 TB",
        "12,345 TB",
    ]
    assert [said_price(dollars) for dollars in (0.0, 0.00005, 0.01, 12.345)] == [
        "US$ 0.00",
        "US$ 0.00005",
        "US$ 0.01",
        "US$ 12.35",
    ]

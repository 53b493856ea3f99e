"""Statements of the Athena endpoint: each really runs, and says what Athena says."""

import pytest

from tests.athena_endpoint.fixtures import Aws

ORDERS = (
    "SELECT * FROM (VALUES (CAST(1 AS bigint), 'ann', DATE '2026-01-01'), "
    "(CAST(2 AS bigint), CAST(NULL AS varchar), DATE '2026-01-02'), "
    "(CAST(3 AS bigint), '', DATE '2026-01-02')) AS v(id, name, ds)"
)


@pytest.fixture
def orders(aws: Aws) -> Aws:
    """Return an account with the table ``orders`` of three rows on two days."""
    assert aws.iceberg("orders", ORDERS, partitioning=["ds"]) == 3
    return aws


def test_ctas_then_select(orders: Aws) -> None:
    """What a CTAS wrote is read back, null and the empty text apart."""
    assert orders.rows("SELECT * FROM orders ORDER BY id") == [
        ("1", "ann", "2026-01-01"),
        ("2", None, "2026-01-02"),
        ("3", "", "2026-01-02"),
    ]


def test_insert(orders: Aws) -> None:
    """INSERT adds rows, by position and by name, and counts them; of no rows it counts none."""
    assert orders.count("INSERT INTO orders VALUES (4, 'dan', DATE '2026-01-03')") == 1
    assert orders.count("INSERT INTO orders (ds, id) SELECT ds, id + 10 FROM orders") == 4
    assert orders.count("INSERT INTO orders SELECT * FROM orders WHERE id = 99") == 0
    assert orders.rows("SELECT count(*), count(name), max(id) FROM orders") == [("8", "3", "14")]

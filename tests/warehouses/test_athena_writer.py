"""Writes on Athena whose statements fail: what is tried again, what is split, and what is left as it was."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from statsig_staging.config import AthenaConnection
from statsig_staging.errors import StagingError
from statsig_staging.plan import Batch, CreateTable, Write
from statsig_staging.warehouses.athena.warehouse import AthenaWarehouse, open_athena
from statsig_staging.warehouses.base import Stamp
from tests.athena_endpoint.fixtures import Aws
from tests.athena_worlds import athena_connection, glue_of
from tests.factories import days
from tests.warehouses.test_conformance import (
    BY_DAY,
    BY_UNIT_AND_DAY,
    DATABASE,
    A,
    B,
    Bench,
    C,
    athena_bench,
    batch,
    create,
    merge,
    replace_days,
)

pytestmark = pytest.mark.slow

CONFLICT: dict[str, Any] = {
    "message": "ICEBERG_COMMIT_ERROR: Failed to commit Iceberg update to table",
    "category": 2,
    "type": 233,
}
TIMEOUT: dict[str, Any] = {"message": "Query timeout", "category": 2, "type": 206}
NEW = ("x", days(1)[0], 7)


@pytest.fixture
def bench(aws_environment: Aws) -> Iterator[Bench]:
    """Return Athena, at the endpoint of the tests."""
    yield from athena_bench(aws_environment)


def fail(aws: Aws, statement: str, *, stage: str = "running", times: int = 1, **how: Any) -> None:
    """Have the next statements of a kind fail."""
    aws.endpoint.holds.end(aws.id, stage=stage, match=f"^{statement}", times=times, **how)


@pytest.mark.parametrize("stage", ["running", "commit", "end"])
@pytest.mark.parametrize("statement", ["CREATE TABLE", "INSERT INTO", "DELETE FROM", "MERGE INTO"])
def test_a_write_is_begun_anew(
    bench: Bench, aws_environment: Aws, statement: str, stage: str
) -> None:
    """After a conflict, whether the statement that failed had its effect or not."""
    if statement != "CREATE TABLE":
        bench.write(create(BY_DAY, A, B, C))
    fail(aws_environment, statement, stage=stage, **CONFLICT)
    writes: dict[str, Write] = {
        "CREATE TABLE": create(BY_DAY, A, B),
        "MERGE INTO": merge(BY_DAY, ("b", B[1], 9), deleted=[C], keys=BY_UNIT_AND_DAY),
    }

    bench.write(writes.get(statement, replace_days(BY_DAY, days(1, 2), A, B)), load_id="b")

    expected = [A, ("b", B[1], 9)] if statement == "MERGE INTO" else [A, B]
    assert bench.rows(BY_DAY) == expected


def test_a_statement_that_takes_too_long_is_split(bench: Bench, aws_environment: Aws) -> None:
    """In halves of its days; each row is there once."""
    rows = [(f"u{number}", day, number) for number, day in enumerate(days(*range(1, 9)))]
    fail(aws_environment, "CREATE TABLE", **TIMEOUT)
    fail(aws_environment, "INSERT INTO", **TIMEOUT)

    stats = bench.write(CreateTable(target=BY_DAY, batches=(batch(BY_DAY, *rows),)))

    assert bench.rows(BY_DAY) == rows
    assert stats.rows == len(rows)
    assert stats.statements == 3


def test_what_cannot_succeed_is_not_tried_again(bench: Bench, aws_environment: Aws) -> None:
    """The table is as it was, and the error is the statement's."""
    before = bench.made(create(BY_DAY, A, B))
    fail(
        aws_environment, "INSERT INTO", message="DIVISION_BY_ZERO: / by zero", category=2, type=1001
    )

    with pytest.raises(StagingError, match="DIVISION_BY_ZERO"):
        bench.write(replace_days(BY_DAY, days(1), NEW), load_id="b")

    now = bench.warehouse.version(BY_DAY)
    assert now is not None
    assert now.snapshot_id == before.snapshot_id
    assert bench.rows(BY_DAY) == [A, B]


def test_conflicts_come_to_an_end(bench: Bench, aws_environment: Aws) -> None:
    """A table that is never left alone is given up."""
    bench.write(create(BY_DAY, A, B))
    fail(aws_environment, "INSERT INTO", times=50, **CONFLICT)

    with pytest.raises(StagingError, match="ICEBERG_COMMIT_ERROR"):
        bench.write(replace_days(BY_DAY, days(1), NEW), load_id="b")

    assert bench.rows(BY_DAY) == [A, B]


def test_a_hundred_and_one_days_are_two_statements(bench: Bench) -> None:
    """Athena writes a hundred partitions a statement."""
    first = days(1)[0]
    rows = [(f"u{number}", first + timedelta(days=number), number) for number in range(101)]
    one = batch(BY_DAY, *rows)

    stats = bench.write(
        CreateTable(target=BY_DAY, batches=(Batch(select=one.select, partitions=one.partitions),))
    )

    assert stats.statements == 2
    assert stats.rows == len(rows)


def test_scattered_rows_are_put_together(bench: Bench) -> None:
    """Deleted rows are kept apart until ``OPTIMIZE``; no row changes."""
    bench.write(create(BY_DAY, A, B, C))
    bench.write(merge(BY_DAY, ("a", A[1], 7), deleted=[B], keys=BY_UNIT_AND_DAY), "load-a")

    stats = bench.warehouse.compact(BY_DAY, Stamp(load_id="c", step="compact"))

    assert stats is not None
    assert stats.version == bench.warehouse.version(BY_DAY)
    assert bench.rows(BY_DAY) == [("a", A[1], 7), C]
    assert bench.warehouse.compact(BY_DAY, Stamp(load_id="d", step="compact")) is None


def test_a_budget_stops_before_the_next_statement(aws_environment: Aws) -> None:
    """And says what was scanned, for how much, and which setting it is."""
    aws = aws_environment
    glue_of(aws).create_namespace_if_not_exists(DATABASE)
    connection = AthenaConnection(**athena_connection(aws), max_bytes_per_load="1 B")
    warehouse: AthenaWarehouse = open_athena(connection)
    aws.iceberg("source", "SELECT 'a' AS unit_id, DATE '2026-01-01' AS ds, BIGINT '1' AS n")
    read = Batch(select=_select("shop.source"), partitions=days(1))

    with pytest.raises(StagingError, match="max_bytes_per_load"):
        warehouse.write(
            CreateTable(target=BY_DAY, batches=(read, read)),
            Stamp(load_id="a", step="s"),
            lambda *_: None,
        )

    assert warehouse.version(BY_DAY) is None
    assert warehouse.spent().bytes_scanned > 0
    warehouse.close()


def _select(table: str) -> exp.Query:
    return sqlglot.parse_one(f"SELECT unit_id, ds, n FROM {table}", read="athena")  # type: ignore[return-value]

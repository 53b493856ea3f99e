"""A plan is a value: it says how much a statement reads, and nobody changes it."""

from dataclasses import FrozenInstanceError

import pytest

from statsig_staging.plan import ColumnType, Read, Refresh
from statsig_staging.planner import build_plan
from tests.factories import make_file, make_plan, make_request


def test_a_read_takes_the_bytes_of_its_columns() -> None:
    """What a statement does not name is not read."""
    files = tuple(
        make_file(name, column_bytes={"ts": 5, "user_id": 7, "note": 100}) for name in ("a", "b")
    )
    read = Read(table="shop.events", columns={}, files=files, used=frozenset({"ts", "user_id"}))

    assert read.bytes == 24


def test_a_plan_does_not_change() -> None:
    """What was explained is what runs."""
    plan = make_plan()

    with pytest.raises(FrozenInstanceError):
        plan.reason = "another"  # type: ignore[misc]


def test_equal_requests_make_equal_plans() -> None:
    """Planning has no clock, no dice and no memory."""
    assert build_plan(make_request()) == build_plan(make_request())


def test_words_are_as_users_write_them() -> None:
    """The command line and Athena use the values of the enumerations."""
    assert [refresh.value for refresh in Refresh] == ["incremental", "full", "metric"]
    assert ColumnType("timestamp(6)") is ColumnType.TIMESTAMP

"""Windows are half-open, and days are read by people."""

from datetime import date
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from statsig_staging.days import DAY, Window, in_words, windows
from tests.factories import day, days

DAYS = st.lists(st.dates(date(2025, 12, 1), date(2026, 2, 1)))


def test_a_window_does_not_hold_its_end() -> None:
    """The first day is in, the end is out."""
    window = Window(day(1), day(3))

    assert window.days() == days(1, 2)
    assert day(1) in window
    assert day(3) not in window


def test_a_window_through_its_last_day() -> None:
    """The command line names the last day; that day is in."""
    window = Window.through(day(1), day(3))

    assert window == Window(day(1), day(4))
    assert window.last == day(3)


def test_a_window_that_ends_before_it_starts_is_empty() -> None:
    """There is nothing between a day and an earlier one."""
    window = Window(day(3), day(1))

    assert window.days() == ()
    assert day(2) not in window


def test_a_window_spans_months() -> None:
    """The day after 31 December is 1 January."""
    assert Window.through(date(2025, 12, 31), day(1)).days() == (date(2025, 12, 31), day(1))


def test_neighbouring_days_make_one_window() -> None:
    """In any order, and named more than once."""
    assert windows(days(3, 1, 2, 2, 7)) == (Window(day(1), day(4)), Window(day(7), day(8)))


def test_no_days_make_no_window() -> None:
    """Nothing in, nothing out."""
    assert windows([]) == ()


@given(DAYS)
def test_windows_hold_exactly_their_days(chosen: list[date]) -> None:
    """Every day is in one window, and no other day is in any."""
    held = [held for window in windows(chosen) for held in window.days()]

    assert held == sorted(set(chosen))


@given(DAYS)
def test_windows_are_as_few_as_can_be(chosen: list[date]) -> None:
    """There is a day between any two."""
    found = windows(chosen)

    assert all(one.end + DAY <= other.start for one, other in pairwise(found))


def test_days_in_words() -> None:
    """A single day is its date, more are first..last."""
    assert in_words(days(1, 2, 3, 7)) == "2026-01-01..2026-01-03, 2026-01-07"


def test_no_days_in_words() -> None:
    """Nothing to say."""
    assert in_words([]) == ""

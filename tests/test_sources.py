"""What changed at a source is seen by day, and each scan reads its files once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statsig_staging.sources import (
    Observation,
    SourceFile,
    TableObservation,
    changed_days,
    components,
)
from tests.factories import daily, day, days, make_file, make_observation

NUMBERS = st.integers(1, 8)
FILES = st.lists(
    st.builds(
        lambda numbers, size: make_file("file", *sorted(numbers), size=size),
        st.sets(NUMBERS, max_size=4),
        st.integers(0, 1_000),
    ),
    max_size=8,
)
WANTED = st.sets(NUMBERS.map(day))


def test_bytes_of_columns() -> None:
    """Only the columns that are read count, whatever their case, each once."""
    file = make_file(column_bytes={"user_id": 5, "ts": 7, "note": 100})

    assert file.bytes_of(["USER_ID", "ts", "ts", "absent"]) == 12


def test_bytes_of_a_file_that_is_read_whole() -> None:
    """A text file has no columns to leave out."""
    assert make_file(column_bytes={"": 100}).bytes_of(["user_id"]) == 100


@pytest.mark.parametrize(
    "change",
    [
        lambda file: replace(file, path="other"),
        lambda file: replace(file, size=101),
        lambda file: replace(file, modified_ns=2),
        lambda file: replace(file, changed_ns=2),
    ],
    ids=["path", "size", "modified", "changed"],
)
def test_a_file_that_differs_has_another_fingerprint(
    change: Callable[[SourceFile], SourceFile],
) -> None:
    """Its path, size and both of its times tell it apart."""
    file = make_file()

    assert change(file).fingerprint != file.fingerprint


def test_digests_are_by_day() -> None:
    """A file counts for every day that it holds, and for no other."""
    before = make_observation("events", make_file("a", 1, 2), make_file("b", 3)).digests()
    now = make_observation("events", make_file("a", 1, 2), make_file("b", 3, size=7)).digests()

    assert list(now) == list(days(1, 2, 3))
    assert [when for when in now if now[when] != before[when]] == [day(3)]


def test_a_second_file_of_a_day_changes_its_digest() -> None:
    """Late rows come in files of their own."""
    before = daily("events", 1, 2)
    now = make_observation("events", *before.files, make_file("late", 1))

    assert now.digests()[day(1)] != before.digests()[day(1)]
    assert now.digests()[day(2)] == before.digests()[day(2)]


def test_the_order_of_files_is_no_change() -> None:
    """Listings come in any order."""
    one, other = make_file("a", 1, 2), make_file("b", 1)
    listed, reversed_ = (
        make_observation("events", one, other),
        make_observation("events", other, one),
    )

    assert listed.digests() == reversed_.digests()
    assert listed.fingerprint() == reversed_.fingerprint()


def test_a_source_without_days_has_no_digests() -> None:
    """A SELECT is watched as a whole."""
    observation = daily("events", 1, dated=False)

    assert observation.digests() == {}
    assert observation.fingerprint() != daily("events", 2, dated=False).fingerprint()


def test_a_source_of_two_tables_has_the_files_of_both() -> None:
    """A SELECT may read more than one table."""
    tables = tuple(
        TableObservation(table=name, columns={}, files=(make_file(name),)) for name in ("a", "b")
    )
    observation = Observation(source="joined", columns={}, tables=tables, dated=False)

    assert [file.path for file in observation.files] == ["a", "b"]


def test_changed_days_have_reasons() -> None:
    """A day is new, gone or different; one that is as before is not named."""
    before = {day(1): "a", day(2): "b", day(3): "c"}
    now = {day(2): "b", day(3): "x", day(4): "d"}

    assert changed_days(before, now) == {
        day(1): "its files are gone",
        day(3): "its files changed",
        day(4): "it had no files before",
    }


def test_files_of_one_day_each_are_scanned_day_by_day() -> None:
    """Nothing is shared, so nothing is read twice."""
    files = daily("events", 1, 2, 3).files

    assert components(days(3, 1, 2), files) == (days(1), days(2), days(3))


def test_a_file_of_several_days_is_scanned_once() -> None:
    """Its days are one group, also those that only another file links to it."""
    files = [make_file("a", 1, 2), make_file("b", 2, 3), make_file("c", 4)]

    assert components(days(1, 2, 3, 4), files) == (days(1, 2, 3), days(4))


def test_days_that_are_not_wanted_link_nothing() -> None:
    """Days 1 and 3 share no file once day 2 is left out."""
    files = [make_file("a", 1, 2), make_file("b", 2, 3)]

    assert components(days(1, 3), files) == (days(1), days(3))


def test_a_small_shared_file_is_read_again() -> None:
    """Ten days that share a file of a hundredth of the bytes are ten scans."""
    numbers = range(1, 11)
    files = [make_file(f"{number}", number, size=1_000) for number in numbers]
    late = make_file("late", *numbers, size=100)

    assert components(days(*numbers), [*files, late]) == tuple(days(number) for number in numbers)


def test_a_day_without_files_is_a_group() -> None:
    """What no file holds is nobody else's either."""
    assert components(days(1, 2), [make_file("a", 2)]) == (days(1), days(2))


@settings(deadline=None)
@given(WANTED, FILES)
def test_every_wanted_day_is_in_one_group(wanted: set[date], files: list[SourceFile]) -> None:
    """No day is lost, none is scanned twice."""
    groups = components(wanted, files)

    assert sorted(held for group in groups for held in group) == sorted(wanted)
    assert all(group == tuple(sorted(group)) for group in groups)


@settings(deadline=None)
@given(WANTED, FILES)
def test_files_are_shared_only_by_single_days(wanted: set[date], files: list[SourceFile]) -> None:
    """A file that two groups read is read for one day at a time."""
    groups = components(wanted, files)
    for file in files:
        reading = [group for group in groups if set(group).intersection(file.days)]

        assert len(reading) <= 1 or all(len(group) == 1 for group in reading)


@settings(deadline=None)
@given(WANTED, FILES)
def test_reading_again_costs_little(wanted: set[date], files: list[SourceFile]) -> None:
    """All scans together read at most a tenth more than every file once."""
    groups = components(wanted, files)
    once = sum(file.size for file in files if wanted.intersection(file.days))
    read = sum(
        file.size for group in groups for file in files if set(group).intersection(file.days)
    )

    assert read <= 1.1 * once + 1e-6

"""What counts as a change of a source file, and what does not."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from statsig_staging.config import LocalConnection
from statsig_staging.errors import SourceFileError
from statsig_staging.plan import Batch, Read
from statsig_staging.sources import TICK_NS, SourceFile
from statsig_staging.warehouses.base import Sighting
from statsig_staging.warehouses.local.stamps import check_untouched, stamped, still
from statsig_staging.warehouses.local.warehouse import LocalWarehouse
from tests.factories import make_batch, make_file
from tests.shop import ANSWERS, EVENTS, Event, Shop, events

HOUR_NS = 3_600_000_000_000


def later() -> int:
    """Return a time at which what was written by now has settled."""
    return time.time_ns() + HOUR_NS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file."""
    path = tmp_path / "a.csv"
    path.write_text("before")
    return path


def test_a_touched_source_is_no_change(tmp_path: Path) -> None:
    """Files that were copied back or touched, and hold what they held, are not read again."""
    shop = Shop.open(tmp_path)
    shop.run()
    for file in tmp_path.glob("e*/*.parquet"):
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content)

    assert shop.run().status == "unchanged"


def test_a_file_of_the_same_size_and_time_is_noticed(tmp_path: Path) -> None:
    """Whoever sets the modification time back cannot set back the time of that."""
    shop = Shop.open(tmp_path)
    file = tmp_path / "events/a.parquet"
    shop.run()
    before = file.stat()
    doubled: list[Event] = [(*row[:3], 2 * (row[3] or 0)) for row in EVENTS]
    shop.put("events/a.parquet", events(doubled))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)

    assert shop.run().days_read["events"]
    assert shop.answers()["revenue", "A"] == (2, 2 * ANSWERS["revenue", "A"][1])


def test_a_settled_file_is_not_read(path: Path) -> None:
    """Long after its last change, size and times are enough: what is known of the content is not compared."""
    settled = replace(stamped(path, later()), content="another")

    assert still(path, settled, later()) == settled


@pytest.mark.parametrize("tick", [0, TICK_NS - 1], ids=["at once", "in the same tick"])
def test_a_write_in_the_same_tick_is_noticed(path: Path, tick: int) -> None:
    """A file looked at right after it was written may change without its times changing."""
    seen = stamped(path, path.stat().st_ctime_ns + tick)
    path.write_text("behind")
    stat = path.stat()
    as_if = replace(seen, modified_ns=stat.st_mtime_ns, changed_ns=stat.st_ctime_ns)

    assert still(path, as_if, later()) is None


def test_whole_seconds_settle_later() -> None:
    """Where a file system counts in seconds, so must the wait."""
    moment = 1_700_000_000_000_000_000
    file = SourceFile(
        path="",
        size=1,
        modified_ns=0,
        changed_ns=moment,
        rows=0,
        columns={},
        seen_ns=moment + 10**9,
    )

    assert not file.is_settled
    assert replace(file, changed_ns=moment + 1).is_settled


def test_a_fresh_file_settles(path: Path) -> None:
    """Once it was compared long enough after its last change, its times vouch for it."""
    fresh = stamped(path, at_once(path))
    compared = still(path, fresh, later())

    assert compared is not None
    assert not fresh.is_settled
    assert compared.is_settled
    assert compared.fingerprint == fresh.fingerprint


def test_times_that_cannot_be_are_not_believed(path: Path) -> None:
    """Where the inode's last change lies before the last modification, the content is compared."""
    os.utime(path, ns=(0, path.stat().st_mtime_ns + HOUR_NS))
    seen = stamped(path, later() + HOUR_NS)

    assert not seen.is_settled
    assert still(path, seen, later()) is not None
    assert still(path, replace(seen, content="another"), later()) is None


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        (os.utime, True),
        (lambda path: path.write_text("before"), True),
        (lambda path: path.write_text("behind"), False),
        (lambda path: path.write_text("longer than before"), False),
    ],
    ids=["touched", "written alike", "same size", "another size"],
)
def test_moved_times_are_checked_against_the_content(
    path: Path, change: Callable[[Path], object], is_same: bool
) -> None:
    """A file keeps its fingerprint as long as it keeps its bytes."""
    before = stamped(path, at_once(path))
    change(path)
    after = still(path, before, later())

    assert (after is not None) == is_same
    if after is not None:
        assert after.fingerprint == before.fingerprint
        assert after.modified_ns == path.stat().st_mtime_ns


def test_a_file_whose_content_is_not_known_has_changed_when_its_times_have(path: Path) -> None:
    """Nobody can tell what it held."""
    before = stamped(path, later())
    os.utime(path, ns=(0, 0))

    assert before.content == ""
    assert still(path, before, later()) is None


def at_once(path: Path) -> int:
    """Return the moment of a file's last change: who looks then cannot tell what comes right after."""
    return path.stat().st_ctime_ns


def reading(file: SourceFile) -> Batch:
    """Return a statement that reads a file."""
    read = Read(table="shop.events", columns={}, files=(file,), used=frozenset())
    return replace(make_batch(), reads=(read,))


def test_a_file_that_is_touched_while_it_is_read(path: Path) -> None:
    """What was read is still what was looked at; another content of the same size is not."""
    seen = stamped(path, at_once(path))
    os.utime(path)
    check_untouched([reading(seen)])

    path.write_text("behind")
    with pytest.raises(SourceFileError, match="changed while it was read"):
        check_untouched([reading(seen)])


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[LocalWarehouse]:
    """A warehouse whose clock is an hour ahead: every file has settled."""
    connection = LocalConnection(warehouse="local", sources={"shop.events": ("events/*",)})
    opened = LocalWarehouse(connection, tmp_path, clock=later)
    yield opened
    opened.close()


def test_content_is_taken_of_what_was_read(warehouse: LocalWarehouse, tmp_path: Path) -> None:
    """A settled file is hashed when its rows have been read; touched later, it is the same file."""
    file = Shop.open(tmp_path).put("events/a.parquet", events(EVENTS))
    sighting = Sighting(table="shop.events", timestamp="ts")
    (seen,) = warehouse.observe(sighting, {}).files
    contents = warehouse.contents([seen])
    os.utime(file, ns=(0, 0))

    known = {seen.path: replace(seen, content=contents[seen.path])}
    (again,) = warehouse.observe(sighting, known).files
    (unknown,) = warehouse.observe(sighting, {seen.path: seen}).files

    assert seen.content == ""
    assert again.fingerprint == seen.fingerprint
    assert again.days == seen.days
    assert unknown.fingerprint != seen.fingerprint


def test_content_is_not_taken_of_what_changed(warehouse: LocalWarehouse, tmp_path: Path) -> None:
    """It would be that of another file than the one that was read; nor of what is gone."""
    file = Shop.open(tmp_path).put("events/a.parquet", events(EVENTS))
    (seen,) = warehouse.observe(Sighting(table="shop.events", timestamp="ts"), {}).files
    os.utime(file, ns=(0, 0))

    assert warehouse.contents([seen, make_file(str(tmp_path / "gone"))]) == {}

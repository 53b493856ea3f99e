"""Python's garbage collector, while plans are built."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from statsig_staging.collecting import SELDOM, seldom_collected

if TYPE_CHECKING:
    from collections.abc import Iterator

USUAL = (700, 10, 10)


@pytest.fixture(autouse=True)
def _thresholds() -> Iterator[None]:
    found = gc.get_threshold()
    gc.set_threshold(*USUAL)
    yield
    gc.set_threshold(*found)


def test_thresholds_are_raised_and_put_back() -> None:
    """After the function, or an error in it, the process collects as it did."""

    @seldom_collected
    def fail() -> None:
        assert gc.get_threshold() == SELDOM
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        fail()
    assert gc.get_threshold() == USUAL


def test_the_last_block_puts_them_back() -> None:
    """Blocks that overlap, as those of two threads do, leave the process as it was."""
    first, second = seldom_collected, seldom_collected
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert gc.get_threshold() == SELDOM
    second.__exit__(None, None, None)
    assert gc.get_threshold() == USUAL


@pytest.mark.parametrize("chosen", [(0, 0, 0), (50_000, 10, 10)])
def test_what_a_program_chose_stays(chosen: tuple[int, int, int]) -> None:
    """A collector that is off, or looks even less often, is left alone."""
    gc.set_threshold(*chosen)
    with seldom_collected:
        assert gc.get_threshold() == chosen
    assert gc.get_threshold() == chosen


def test_thresholds_set_meanwhile_stay() -> None:
    """A program that sets thresholds inside a block keeps them."""
    with seldom_collected:
        gc.set_threshold(1_000, 10, 10)
    assert gc.get_threshold() == (1_000, 10, 10)

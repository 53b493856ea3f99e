"""What every test may ask for: golden files, and leave to rewrite them."""

import gc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis.internal.constants_ast import Constants

from tests.athena_endpoint.fixtures import athena_endpoint, aws, aws_environment

__all__ = ["athena_endpoint", "aws", "aws_environment"]

GOLDEN = Path(__file__).parent / "golden"


def pytest_configure() -> None:
    """Collect garbage less often: loads make many small objects and few cycles. And let seeds stand.

    Hypothesis mixes constants of the modules that happen to be imported into what it draws (6.150): without
    them a seed gives the same examples whatever was edited, and whichever tests run.
    """
    gc.set_threshold(50_000, 20, 100)
    constants = "hypothesis.internal.conjecture.providers._get_local_constants"
    pytest.MonkeyPatch().setattr(constants, Constants, raising=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that rewrites golden files."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the golden files; the difference is to be read like code",
    )
    parser.addoption(
        "--sequences", type=int, default=0, help="how many more sequences of edits to play"
    )
    parser.addoption("--sequence-seed", type=int, default=1, help="which ones")
    parser.addoption(
        "--every",
        type=int,
        default=0,
        help="let calls of loads on Athena fail, or kill such loads, at every N-th place",
    )


SEQUENCES_AT_ONCE = 20


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Share the sequences that were asked for out in portions of (seed, number)."""
    if "by_hand" in metafunc.fixturenames:
        first = metafunc.config.getoption("--sequence-seed") * 1_000_000
        count = metafunc.config.getoption("--sequences")
        starts = range(0, count, SEQUENCES_AT_ONCE)
        portions = [(first + start, min(SEQUENCES_AT_ONCE, count - start)) for start in starts]
        metafunc.parametrize("by_hand", portions)


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Return whether golden files are rewritten."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def golden(update_golden: bool) -> Callable[[str, str], None]:
    """Return a function that compares a text with ``golden/<name>``, or writes it there."""

    def compare(name: str, text: str) -> None:
        file = GOLDEN / name
        if update_golden:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert file.is_file(), f"{file.name} is missing; make golden writes it"
        assert text == file.read_text("utf-8"), f"{file.name} differs; make golden rewrites it"

    return compare

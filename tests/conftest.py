"""What every test may ask for: golden files, and leave to rewrite them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.athena_endpoint.fixtures import athena_endpoint, aws, aws_environment

__all__ = ["athena_endpoint", "aws", "aws_environment"]

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that rewrites golden files."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the golden files; the difference is to be read like code",
    )


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

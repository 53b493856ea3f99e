"""Checks: what is looked at, what is found, and what has to be right before it can be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from statsig_staging.errors import StagingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """There is nothing to check, or something before it has to be mended first."""

    @property
    def symbol(self) -> str:
        """One character for it."""
        return {Outcome.PASSED: "✓", Outcome.FAILED: "✗", Outcome.SKIPPED: "–"}[self]  # noqa: RUF001


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something to look at.

    Attributes:
        name: What it is called.
        means: What is right when it passes, as a sentence without its end.
        mend: What to do when it does not.
        needs: Names of the checks that have to be right first.
    """

    name: str
    means: str
    mend: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found.

    Attributes:
        check: The check.
        outcome: How it ended.
        said: What was seen.
    """

    check: Check
    outcome: Outcome
    said: str

    def line(self) -> str:
        """Return the finding as a person reads it."""
        text = f"{self.outcome.symbol} {self.check.name}: {self.check.means}"
        if self.outcome is Outcome.FAILED:
            return f"{text}. It is not so: {self.said}. To mend it: {self.check.mend}"
        return f"{text} ({self.said})" if self.said else text

    def document(self) -> dict[str, str]:
        """Return the finding as ``--json`` prints it."""
        mend = self.check.mend if self.outcome is Outcome.FAILED else ""
        return {
            "check": self.check.name,
            "outcome": self.outcome,
            "means": self.check.means,
            "said": self.said,
            "mend": mend,
        }


class NotRightError(StagingError):
    """A probe saw something that is not as it has to be."""


class NothingToCheckError(StagingError):
    """A probe has nothing to look at."""


def findings(checks: Iterable[tuple[Check, Callable[[], str]]]) -> Iterator[Finding]:
    """Make checks in order; those that build on one that is not right are left out.

    Args:
        checks: Each with its probe, which returns what it saw or raises why that is not right.
    """
    wrong: set[str] = set()
    for check, probe in checks:
        blocked = [name for name in check.needs if name in wrong]
        if blocked:
            wrong.add(check.name)
            said = f"not looked at until this is right: {blocked[0]}"
            yield Finding(check=check, outcome=Outcome.SKIPPED, said=said)
            continue
        finding = _found(check, probe)
        if finding.outcome is Outcome.FAILED:
            wrong.add(check.name)
        yield finding


def _found(check: Check, probe: Callable[[], str]) -> Finding:
    try:
        return Finding(check=check, outcome=Outcome.PASSED, said=probe())
    except NothingToCheckError as error:
        return Finding(check=check, outcome=Outcome.SKIPPED, said=str(error))
    except (StagingError, OSError) as error:
        said = " ".join(str(error).split()).rstrip(".")
        return Finding(check=check, outcome=Outcome.FAILED, said=said or type(error).__name__)

"""What can go wrong, as one tree; each class says which exit code it ends a command with.

StagingError                 4
├── ConfigError              2   the project's files, or the arguments of a call
├── WarehouseError           3   the warehouse refused: missing table or column, wrong type, no permission
│   └── UnsupportedSqlError  3   user SQL that this warehouse cannot run with Athena's answer
├── StepFailedError          4   a step of a load failed; nothing was published
│   └── SourceFileError      4   a source file that cannot be read
├── NoExposuresError         4   the experiment has no exposures at all
├── LoadConflictError        5   another load holds the experiment
└── InterruptedLoadError   130   stopped from outside
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


class StagingError(Exception):
    """Base of every error this library raises on purpose."""

    exit_code: ClassVar[int] = 4


class ConfigError(StagingError):
    """The project's files or the arguments of a call do not make sense.

    Attributes:
        problems: One line each: file, path inside it, what is wrong, what to do.
    """

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        self.problems: Sequence[str] = problems
        super().__init__("\n".join(problems))


class WarehouseError(StagingError):
    """The warehouse refused: a missing table or column, a wrong type, no permission."""

    exit_code = 3


class UnsupportedSqlError(WarehouseError):
    """User SQL that this warehouse cannot run with the answer Athena would give."""


class StepFailedError(StagingError):
    """A step of a load failed; nothing was published and the last load stays readable."""


class SourceFileError(StepFailedError):
    """A file of a source cannot be read."""


class NoExposuresError(StagingError):
    """The experiment has no exposures in its window."""


class LoadConflictError(StagingError):
    """Another load holds the experiment."""

    exit_code = 5


class InterruptedLoadError(StagingError):
    """The load was stopped from outside."""

    exit_code = 130

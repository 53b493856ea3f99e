"""What a command that failed says, and the exit code it ends with."""

from __future__ import annotations

import traceback
from typing import Final

import click

from statsig_staging.errors import ConfigError, StagingError

PROGRAM: Final = "statsig-staging"
USAGE: Final = 2
UNEXPECTED: Final = 4
INTERRUPTED: Final = 130


def exit_code(error: BaseException) -> int:
    """Return the exit code that an error ends a command with."""
    match error:
        case StagingError():
            return error.exit_code
        case click.ClickException():
            return USAGE
        case KeyboardInterrupt() | click.Abort():
            return INTERRUPTED
        case _:
            return UNEXPECTED


def lines(error: BaseException, *, debug: bool = False) -> list[str]:
    """Return what a person reads about an error; with ``debug`` the traceback comes first."""
    trace = traceback.format_exception(error) if debug else []
    said = [f"error: {text}" for text in (*_problems(error), *getattr(error, "__notes__", ()))]
    if isinstance(error, click.UsageError):
        where = PROGRAM if error.ctx is None else error.ctx.command_path
        said.append(f"try: {where} --help")
    return "".join(trace).splitlines() + said


def _problems(error: BaseException) -> list[str]:
    match error:
        case ConfigError():
            return _lines_of("\n".join(error.problems))
        case StagingError():
            return _lines_of(str(error) or type(error).__name__)
        case click.ClickException():
            return _lines_of(error.format_message())
        case KeyboardInterrupt() | click.Abort():
            return ["interrupted"]
        case _:
            text = " ".join(f"unexpected {type(error).__name__}: {error}".split())
            return [f"{text}; add --debug to see where it comes from"]


def _lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]

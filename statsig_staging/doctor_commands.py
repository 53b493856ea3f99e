"""The command `doctor`: looks at a connection and says what is not right, and how to mend it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = ("doctor", "doctor --json")

REFUSED = 3
"""The exit code where something is not right."""


def add(commands: click.Group, base: type[click.Command]) -> None:
    """Add the command to others.

    Args:
        commands: The group.
        base: The class of its commands.
    """
    parameters: list[click.Parameter] = [
        click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON document.")
    ]
    commands.add_command(
        base(
            name="doctor",
            callback=run,
            params=parameters,
            help=run.__doc__,
            examples=EXAMPLES,  # type: ignore[call-arg]
        )
    )


def run(project: Path, *, as_json: bool) -> None:
    """Check the connection from end to end.

    A line for each check: ✓ right, ✗ wrong and how to mend it, a dash where there is nothing to check. Ends with 3
    where anything is wrong.

    Probe files, a probe table and a row of each source are written and read; nothing is left behind.
    """
    from statsig_staging.doctor import examine
    from statsig_staging.doctor.checks import Outcome
    from statsig_staging.project import load_project

    documents, wrong = [], 0
    for finding in examine(load_project(project)):
        documents.append(finding.document())
        wrong += finding.outcome is Outcome.FAILED
        if not as_json:
            print(finding.line(), flush=True)  # noqa: T201
    if as_json:
        found = {"healthy": not wrong, "checks": documents}
        print(json.dumps(found, indent=2, ensure_ascii=False))  # noqa: T201
    click.get_current_context().exit(REFUSED if wrong else 0)

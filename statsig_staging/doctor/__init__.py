"""Whether a connection can do what loads ask of it, looked at one thing after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from statsig_staging.config import AthenaConnection, LocalConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from statsig_staging.config import Project
    from statsig_staging.doctor.checks import Finding


def examine(project: Project) -> Iterator[Finding]:
    """Look at a project's connection, and return what is found, one finding for each check.

    Nothing is left behind.
    """
    connection = project.connection
    match connection:
        case LocalConnection():
            from statsig_staging.doctor.local import examine_local

            yield from examine_local(project, connection)
        case AthenaConnection():
            from statsig_staging.doctor.athena import examine_athena

            yield from examine_athena(project, connection)
        case _:
            assert_never(connection)

"""Which tables the sources of a project read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from statsig_staging import expressions

if TYPE_CHECKING:
    from statsig_staging.config import AthenaConnection, Project


def tables_read(project: Project) -> tuple[str, ...]:
    """Return the tables that the sources of a project read, as ``database.table``, each once."""
    found: dict[str, None] = {}
    for source in (*project.assignment_sources, *project.metric_sources):
        tables = (
            (expressions.parse_table(source.table),)
            if source.table is not None
            else expressions.tables(expressions.parse_query(source.sql or ""))
        )
        found.update(dict.fromkeys(f"{table.db}.{table.name}" for table in tables))
    return tuple(found)


def undeclared(project: Project, connection: AthenaConnection) -> tuple[str, ...]:
    """Return the tables that are read and lie in no database that ``read_only`` lists."""
    known = {read.database.lower() for read in connection.read_only} | {connection.database}
    return tuple(
        table for table in tables_read(project) if table.partition(".")[0].lower() not in known
    )

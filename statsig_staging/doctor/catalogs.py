"""Databases and tables of Glue: the staging database, those that are only read, and each source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import expressions, words
from statsig_staging.config import AssignmentSource
from statsig_staging.doctor.checks import NothingToCheckError, NotRightError
from statsig_staging.templates import DIALECT
from statsig_staging.warehouses.athena.failures import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from statsig_staging.config import MetricSource, Project
    from statsig_staging.doctor.patient import Patient


def probe_database(patient: Patient) -> str:
    """Return the staging database."""
    name = patient.connection.database
    patient.call(
        f"looking at the database {name}", lambda: patient.clients.glue.get_database(Name=name)
    )
    return name


def probe_read_only(patient: Patient) -> str:
    """See that a table of a read-only database, which is not there, may be neither changed nor dropped."""
    names = sorted({read.database.lower() for read in patient.connection.read_only})
    names = [name for name in names if name != patient.connection.database]
    if not names:
        raise NothingToCheckError("no connection.read_only")
    glue, table = patient.clients.glue, f"statsig_staging_{patient.name}".replace("-", "_")
    for name in names:
        writes = {
            "UpdateTable": lambda name=name: glue.update_table(
                DatabaseName=name, TableInput={"Name": table}
            ),
            "DeleteTable": lambda name=name: glue.delete_table(DatabaseName=name, Name=table),
        }
        for action, write in writes.items():
            refused = patient.refusal(f"writing to database {name}", write)
            # IAM says no before Glue looks whether there is such a table.
            if refused is None or refused.kind is Kind.MISSING:
                raise NotRightError(f"glue:{action} is allowed in {name}")
            if refused.kind is not Kind.PERMISSION:
                raise refused
    return ", ".join(names)


def sources_of(project: Project) -> dict[str, tuple[str, ...]]:
    """Return table → columns that sources name, of all tables that sources read."""
    found: dict[str, dict[str, None]] = {}
    sources: tuple[AssignmentSource | MetricSource, ...] = (
        *project.assignment_sources,
        *project.metric_sources,
    )
    for source in sources:
        for table, columns in _read_by(source):
            found.setdefault(table, {}).update(dict.fromkeys(columns))
    return {table: tuple(columns) for table, columns in found.items()}


def _read_by(source: AssignmentSource | MetricSource) -> Iterator[tuple[str, tuple[str, ...]]]:
    if source.table is None:
        for table in expressions.tables(expressions.parse_query(source.sql or "")):
            yield f"{table.db}.{table.name}", ()
        return
    named = expressions.parse_table(source.table)
    columns = [source.timestamp, *source.units.values()]
    if source.partition is not None:
        columns.append(source.partition.column)
    if isinstance(source, AssignmentSource):
        columns += [source.experiment_id, source.group_id]
    yield f"{named.db}.{named.name}", tuple(columns)


def probe_source(patient: Patient, table: str, columns: tuple[str, ...]) -> str:
    """Return how many columns a source's table has, after a row of it was read."""
    found = patient.glue.table(table)
    misspelt(table, columns, found.columns)
    asked: list[exp.Expr] = [exp.column(name, quoted=True) for name in columns]
    database, _, name = table.partition(".")
    query = (
        exp.select(*(asked or [exp.Star()]))
        .from_(exp.table_(name, db=database, quoted=True))
        .limit(1)
    )
    patient.query(query.sql(DIALECT), f"source {table}")
    return words.count(len(found.columns), "column")


def misspelt(table: str, columns: Iterable[str], found: Iterable[str]) -> None:
    """Make sure that a table has columns, in whatever case.

    Raises:
        NotRightError: If one is not there.
    """
    known = {name.lower() for name in found}
    missing = next((name for name in columns if name.lower() not in known), None)
    if missing is not None:
        near = expressions.suggestion(missing, known)
        raise NotRightError(f"table {table} has no column {missing!r}{near}")

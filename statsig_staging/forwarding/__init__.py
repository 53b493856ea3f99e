"""Forwarding: rows of files, readers or iterators into the forwarded tables, each of them exactly once."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from statsig_staging.config import LocalConnection
from statsig_staging.forwarded import Kind, forwarded_table
from statsig_staging.forwarding import compacting, loading
from statsig_staging.forwarding.loading import Limits, Site
from statsig_staging.lease import is_held

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta

    from statsig_staging.config import Connection, Project
    from statsig_staging.forwarded import Receipt
    from statsig_staging.forwarding.inputs import Given
    from statsig_staging.results import Compaction, Forwarding
    from statsig_staging.warehouses.base import Warehouse

REMOTE_MEMORY = "2GB"
"""What DuckDB may take where the connection is not one of DuckDB's."""


def site_of(
    connection: Connection,
    warehouse: Warehouse,
    *,
    now: Callable[[], datetime],
    wait: Callable[[], bool],
    on_event: Callable[[Forwarding], object],
) -> Site:
    """Return where a project's forwarded rows go."""
    limits = Limits(memory=REMOTE_MEMORY)
    if isinstance(connection, LocalConnection):
        limits = Limits(memory=connection.memory_limit, threads=connection.threads)
    return Site(
        warehouse=warehouse,
        database=connection.database,
        limits=limits,
        now=now,
        wait=wait,
        monotonic=monotonic,
        on_event=on_event,
    )


def forward(
    site: Site,
    connection: Connection,
    kind: Kind,
    given: Given,
    key: Sequence[str] | None,
) -> Receipt:
    """Load rows into a forwarded table, each of them once; see :func:`loading.forward`."""
    table = forwarded_table(connection, kind)
    wanted = _declared_key(connection, kind) if key is None else tuple(key)
    return loading.forward(site, table, given, key=wanted)


def compact(
    site: Site, project: Project, *, grace: timedelta, skip_held: bool = False
) -> tuple[Compaction, ...]:
    """Put the files of the forwarded tables together; see :func:`compacting.compact`."""
    is_read = any(is_held(site.warehouse, each.id, site.now()) for each in project.experiments)
    tables = (forwarded_table(project.connection, kind) for kind in Kind)
    found = (
        compacting.compact(site, table, grace=grace, is_read=is_read, skip_held=skip_held)
        for table in tables
    )
    return tuple(each for each in found if each is not None)


def _declared_key(connection: Connection, kind: Kind) -> tuple[str, ...] | None:
    declared = connection.forward_key
    if declared is None:
        return None
    return (declared.exposures if kind is Kind.EXPOSURES else declared.events) or None

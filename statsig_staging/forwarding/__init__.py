"""Forwarding: rows of files, readers or iterators into the forwarded tables, each of them exactly once."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from statsig_staging.config import LocalConnection
from statsig_staging.forwarded import Kind, forwarded_table
from statsig_staging.forwarding import loading
from statsig_staging.forwarding.loading import Limits, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from statsig_staging.config import Connection
    from statsig_staging.forwarded import Receipt
    from statsig_staging.forwarding.inputs import Given
    from statsig_staging.results import Forwarding
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


def _declared_key(connection: Connection, kind: Kind) -> tuple[str, ...] | None:
    declared = connection.forward_key
    if declared is None:
        return None
    return (declared.exposures if kind is Kind.EXPOSURES else declared.events) or None

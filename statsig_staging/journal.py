"""The journal of a load: written before it changes anything, closed by its publishing.

It lies at ``experiment-<ID>/_loads/<load_id>/journal.json``; the name of the load that began last is at
``experiment-<ID>/_loads/begun.json``. A load that began after the published one and has no end was
interrupted: its tables are put back before the next one begins.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from statsig_staging.names import experiment_folder
from statsig_staging.state import load_folder

if TYPE_CHECKING:
    from statsig_staging.state import Published
    from statsig_staging.warehouses.base import Warehouse


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What a load set out to do.

    Attributes:
        load_id: The load.
        experiment_id: The experiment.
        began_at: When it began, UTC.
        refresh: ``full`` or ``incremental``.
        through: Last day it was to publish, ISO.
        steps: What it was going to do.
        ended: How it ended: ``published`` or ``failed``; None while it runs, or if it was killed.
        error: Why it failed.
    """

    load_id: str
    experiment_id: str
    began_at: str
    refresh: str
    through: str
    steps: tuple[str, ...]
    ended: str | None = None
    error: str | None = None


def begin(warehouse: Warehouse, journal: Journal) -> None:
    """Write that a load begins."""
    _put(warehouse, _begun_key(journal.experiment_id), asdict(journal))


def end(warehouse: Warehouse, journal: Journal) -> None:
    """Write how a load ended, beside its other files and as the last that began."""
    key = f"{load_folder(journal.experiment_id, journal.load_id)}/journal.json"
    _put(warehouse, key, asdict(journal))
    _put(warehouse, _begun_key(journal.experiment_id), asdict(journal))


def unfinished(
    warehouse: Warehouse, experiment_id: str, published: tuple[Published, ...]
) -> Journal | None:
    """Return the load that began last where it neither was published nor said how it ended."""
    journal = cut_short(warehouse, experiment_id, published)
    return None if journal is None or journal.ended is not None else journal


def cut_short(
    warehouse: Warehouse, experiment_id: str, published: tuple[Published, ...]
) -> Journal | None:
    """Return the load that began last where it was not published: it failed or was killed."""
    data = warehouse.get_object(_begun_key(experiment_id))
    if data is None:
        return None
    found: dict[str, Any] = json.loads(data)
    journal = Journal(**{**found, "steps": tuple(found["steps"])})
    is_published = any(load.load_id == journal.load_id for load in published)
    return None if is_published else journal


def moment(now: datetime) -> str:
    """Return a moment as it is written in a journal."""
    return now.astimezone(UTC).isoformat(timespec="seconds")


def _begun_key(experiment_id: str) -> str:
    return f"{experiment_folder(experiment_id)}/_loads/begun.json"


def _put(warehouse: Warehouse, key: str, value: object) -> None:
    warehouse.put_object(key, json.dumps(value, indent=1).encode())

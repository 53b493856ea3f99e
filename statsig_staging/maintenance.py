"""Between loads: clean an experiment away, or tidy up what its loads have left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from statsig_staging import journal, state, upkeep
from statsig_staging.errors import LoadConflictError
from statsig_staging.lease import held, lease_key
from statsig_staging.names import experiment_folder
from statsig_staging.results import Maintenance, Removed
from statsig_staging.upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta

    from statsig_staging.config import Experiment, Project
    from statsig_staging.lease import HeldLease
    from statsig_staging.plan import Table
    from statsig_staging.reader import Reader
    from statsig_staging.state import Published
    from statsig_staging.warehouses.base import StoredFile, Warehouse


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where experiments are kept, and what upkeep needs besides.

    Attributes:
        project: The configuration.
        warehouse: Where everything lies.
        reader: Reads what is published.
        now: The clock, UTC.
        new_load_id: Returns an id for a load that begins at a moment.
        repair: Puts tables that an interrupted load has moved back to the published ones.
    """

    project: Project
    warehouse: Warehouse
    reader: Reader
    now: Callable[[], datetime]
    new_load_id: Callable[[datetime], str]
    repair: Callable[[Experiment, tuple[Published, ...]], object]

    def hold(self, experiment_id: str, lowest: int = 1) -> AbstractContextManager[HeldLease]:
        """Return the experiment's lease, numbered from ``lowest`` on, to be held in a ``with`` block."""
        return held(self.warehouse, experiment_id, lowest=lowest, now=self.now, wait=lambda: False)

    def upkeep(
        self,
        experiment_id: str,
        kept: tuple[Published, ...],
        published: Iterable[Published],
        lease: HeldLease,
    ) -> Upkeep:
        """Return an experiment with what of it stays: some loads, and one that was cut short."""
        ever = tuple(published)
        recent = [each.load_id for each in journal.recent(self.warehouse, experiment_id)]
        cut_short = [load_id for load_id in recent[:1] if all(load_id != e.load_id for e in ever)]
        return Upkeep(
            warehouse=self.warehouse,
            experiment_id=experiment_id,
            kept=kept,
            published=frozenset(load.load_id for load in ever),
            still_held=lease.renew,
            spared=frozenset(cut_short),
            told=frozenset(recent),
        )

    @property
    def keep(self) -> int:
        """How many loads stay readable."""
        return self.project.connection.keep_loads


def before_load(
    site: Site, experiment_id: str, published: tuple[Published, ...], lease: HeldLease
) -> None:
    """Remove what a load that failed or was killed has left, once it is old enough."""
    around = site.upkeep(experiment_id, published[: site.keep], published, lease)
    upkeep.sweep_after(around, site.now(), cut_short=bool(around.spared), grace=upkeep.GRACE)


def after_load(
    site: Site,
    experiment_id: str,
    load: Published,
    before: tuple[Published, ...],
    lease: HeldLease,
) -> None:
    """Remove what the loads before a load that was just published no longer need."""
    kept = (load, *state.kept(before, site.keep))
    upkeep.tidy(site.upkeep(experiment_id, kept, (load, *before), lease))


def clean(site: Site, experiment_id: str) -> Removed:
    """Remove everything that is staged of an experiment: tables, files and state.

    One that was cleaned in part is cleaned to the end.

    Raises:
        ConfigError: If the project has no such experiment, and nothing of one is staged.
        WarehouseError: If a table of its name lies elsewhere: it is somebody else's.
        LoadConflictError: If a load holds the experiment.
    """
    folder = experiment_folder(experiment_id)
    _check_owned(site, experiment_id)
    is_there = bool(site.warehouse.entries(experiment_id) or site.warehouse.list_files(folder))
    if not is_there:
        site.project.experiment(experiment_id)
    with site.hold(experiment_id) as lease:
        site.warehouse.settle(experiment_id)
        found = upkeep.removed(_besides_lease(site, experiment_id) if is_there else ())
        upkeep.drop_tables(site.warehouse, experiment_id)
        lease.renew()
        site.warehouse.delete_files(file.key for file in _besides_lease(site, experiment_id))
        lease.discard()
    site.warehouse.delete_empty(folder)
    return found


def _besides_lease(site: Site, experiment_id: str) -> list[StoredFile]:
    files = site.warehouse.list_files(experiment_folder(experiment_id))
    return [file for file in files if file.key != lease_key(experiment_id)]


def _check_owned(site: Site, experiment_id: str) -> None:
    """Raise a WarehouseError where the catalog has a table of the experiment's that lies elsewhere."""
    ours = {entry.name.catalog for entry in site.warehouse.entries(experiment_id)}
    for table in _tables(site, experiment_id):
        if table.name.catalog not in ours:
            site.warehouse.version(table)


def _tables(site: Site, experiment_id: str) -> Iterable[Table]:
    yield state.loads_table(experiment_id)
    for experiment in site.project.experiments:
        if experiment.id == experiment_id:
            yield from site.reader.tables(experiment).values()


def maintain(
    site: Site, experiment: Experiment, grace: timedelta, *, skip_held: bool
) -> Maintenance:
    """Expire, compact and sweep what is staged of an experiment; no row changes.

    Args:
        site: Where it is kept.
        experiment: The experiment.
        grace: What nothing names goes once it is older than this.
        skip_held: Whether an experiment that a load holds is skipped.

    Raises:
        LoadConflictError: If a load holds the experiment and it is not skipped.
    """
    if not site.warehouse.list_files(experiment_folder(experiment.id)):
        return Maintenance(experiment_id=experiment.id, skipped="nothing is staged")
    before = site.reader.loads(experiment.id)
    try:
        with site.hold(experiment.id, before[0].number + 1 if before else 1) as lease:
            return _maintain(site, experiment, grace, lease)
    except LoadConflictError as error:
        if not skip_held:
            raise
        return Maintenance(experiment_id=experiment.id, skipped=str(error))


def _maintain(
    site: Site, experiment: Experiment, grace: timedelta, lease: HeldLease
) -> Maintenance:
    site.warehouse.settle(experiment.id)
    published = site.reader.loads(experiment.id)
    site.repair(experiment, published)
    around = site.upkeep(experiment.id, published[: site.keep], published, lease)
    expired = upkeep.expire(around)
    load_id = site.new_load_id(site.now())
    versions = upkeep.compact(around, load_id)
    if versions:
        load = upkeep.republish(
            around, load_id, versions, published, number=lease.number, now=site.now()
        )
        around = replace(around, kept=(load, *state.kept(published, site.keep)))
    return Maintenance(
        experiment_id=experiment.id,
        expired=expired,
        old=upkeep.tidy(around),
        orphans=upkeep.sweep(around, site.now() - grace).removed,
        compacted=tuple(sorted(versions)),
        load_id=load_id if versions else None,
    )

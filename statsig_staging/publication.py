"""Publishing: a load's last act is one row that names every table's version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from statsig_staging import state
from statsig_staging.results import LoadResult

if TYPE_CHECKING:
    from datetime import date, datetime

    from statsig_staging.executor import Execution
    from statsig_staging.plan import Plan
    from statsig_staging.sources import Observation
    from statsig_staging.state import Published
    from statsig_staging.warehouses.base import Warehouse


def load_result(
    plan: Plan, load_id: str, seconds: float, *, status: str, done: Execution | None = None
) -> LoadResult:
    """Return what a load did, in figures and for people.

    Args:
        plan: What it was to do.
        load_id: The load that is published now.
        seconds: How long it has taken so far.
        status: ``published`` or ``unchanged``.
        done: What running the plan made; None where there was nothing to run.
    """
    return LoadResult(
        experiment_id=plan.experiment_id,
        load_id=load_id,
        status=status,
        refresh=plan.refresh,
        reason=plan.reason,
        start=plan.start,
        through=plan.through,
        steps=done.steps if done is not None else (),
        readings=plan.readings,
        warnings=plan.warnings if done is None else (*plan.warnings, *done.warnings),
        seconds=seconds,
    )


def publish(
    warehouse: Warehouse,
    plan: Plan,
    done: Execution,
    result: LoadResult,
    before: tuple[Published, ...],
    *,
    number: int,
    now: datetime,
) -> Published:
    """Publish a load that has run: from here on readers see its tables.

    Args:
        warehouse: Where it ran.
        plan: What it did.
        done: What that made.
        result: The same in figures.
        before: The loads that were published before, the current one first.
        number: The number of the lease that it ran under.
        now: The time.
    """
    observations = _with_contents(warehouse, plan, result.files_read)
    load = state.Published(
        load_id=result.load_id,
        number=number,
        published_at=now,
        refresh=plan.refresh.value,
        start=plan.start,
        through=plan.through,
        watermark=plan.watermark,
        definitions=plan.definitions,
        sources={
            reading.source: state.SourceState(
                fingerprint=observations[reading.source].fingerprint(),
                days=observations[reading.source].digests(),
                watch=reading.watch,
                unseen=reading.unseen,
                kept_rows=_kept_rows(plan, reading.source, done),
                late=plan.kept[reading.source].late if reading.source in plan.kept else None,
            )
            for reading in plan.readings
        },
        tables={**(before[0].tables if before else {}), **done.versions},
        totals_through=plan.totals_through,
        rows=result.rows,
        bytes_read=result.bytes_read,
        bytes_written=result.bytes_written,
        seconds=result.seconds,
        warnings=result.warnings,
    )
    state.write_files(warehouse, plan.experiment_id, load.load_id, observations.values())
    state.publish(warehouse, plan.experiment_id, load, before)
    return load


def _with_contents(
    warehouse: Warehouse, plan: Plan, read: frozenset[str]
) -> dict[str, Observation]:
    """Return what the sources held, with the content of the files that the load has just read."""
    files = {
        file.path: file
        for seen in plan.observations.values()
        for file in seen.files
        if file.path in read and not file.content
    }
    contents = warehouse.contents(files.values())
    return {name: seen.with_contents(contents) for name, seen in plan.observations.items()}


def _kept_rows(plan: Plan, source: str, done: Execution) -> tuple[date, ...]:
    """Return the days whose rows are kept of a source once the plan has run."""
    kept = plan.kept.get(source)
    if kept is None:
        return ()
    more = (day for step in done.steps if step.step == kept.more for day in step.partitions)
    return tuple(sorted({*kept.days, *more}))

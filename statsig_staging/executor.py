"""Run the steps of a plan against a warehouse, and say what happens while it does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging.plan import Check, CreateTable, Drop, Merge, Replace, ReplacePartitions
from statsig_staging.results import (
    BatchFinished,
    StepFailed,
    StepFinished,
    StepResult,
    StepStarted,
    Warned,
)
from statsig_staging.templates import snapshot
from statsig_staging.warehouses.base import Stamp, WriteStats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date

    from statsig_staging.plan import Plan, Step, Write
    from statsig_staging.results import Event
    from statsig_staging.warehouses.base import TableVersion, Warehouse


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What running a plan's steps did.

    Attributes:
        steps: What each step did.
        versions: Catalog name → version, of every table that was written.
        warnings: What the checks found.
    """

    steps: tuple[StepResult, ...]
    versions: Mapping[str, TableVersion]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What running needs besides the plan: all side effects come in here.

    Attributes:
        warehouse: Where statements run.
        load_id: The load that the commits belong to.
        keep_tags: Catalog name → tags of the table's snapshots that stay.
        on_event: Hears of everything that happens.
        clock: Seconds on a clock that only goes forward.
        before_step: Called before each step; an error from it stops the load.
        database: The staging database.
        published: Catalog name → snapshot of each table as published.
        after_step: Called with what a step did.
    """

    warehouse: Warehouse
    load_id: str
    keep_tags: Mapping[str, tuple[str, ...]]
    on_event: Callable[[Event], object]
    clock: Callable[[], float]
    database: str = ""
    published: Mapping[str, int] = field(default_factory=dict)
    before_step: Callable[[Step], object] = lambda _: None
    after_step: Callable[[StepResult], object] = lambda _: None


def execute(plan: Plan, around: Surroundings) -> Execution:
    """Run the steps of ``plan`` in an order that respects their needs.

    Raises:
        StagingError: If a step fails; the steps after it are not run.
    """
    results: list[StepResult] = []
    versions: dict[str, TableVersion] = {}
    warnings: list[str] = []
    for step in in_order(plan.steps):
        try:
            around.before_step(step)
            result, found = _run(step, around, versions)
            around.after_step(result)
        except BaseException as error:
            around.on_event(StepFailed(step=step.name, error=str(error) or type(error).__name__))
            raise
        results.append(result)
        warnings += found
    return Execution(steps=tuple(results), versions=versions, warnings=tuple(warnings))


def in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return steps so that each comes after those it needs, otherwise in the order they were given.

    Raises:
        CycleError: If steps need each other.
    """
    given = tuple(steps)
    names = [step.name for step in given]
    graph = {step.name: [need for need in step.needs if need in names] for step in given}
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    ready: set[str] = set()
    ordered: list[Step] = []
    while sorter.is_active():
        ready.update(sorter.get_ready())
        step = next(step for step in given if step.name in ready)
        ready.remove(step.name)
        sorter.done(step.name)
        ordered.append(step)
    return tuple(ordered)


def _run(
    step: Step, around: Surroundings, versions: dict[str, TableVersion]
) -> tuple[StepResult, list[str]]:
    began, spent = around.clock(), around.warehouse.spent()
    found: list[str] = []
    if isinstance(step.action, Check):
        around.on_event(StepStarted(step=step.name, batches=1))
        pins = Pins(around.database, around.published, versions)
        found = _check(replace(step.action, select=pins.bind(step.action.select)), around)
        result = StepResult(
            step=step.name, table=None, seconds=around.clock() - began, statements=1
        )
    else:
        result = _write(step, step.action, around, versions, began)
    result = replace(result, usage=around.warehouse.spent() - spent)
    around.on_event(
        StepFinished(
            step=step.name,
            seconds=result.seconds,
            rows=result.rows,
            bytes_read=result.bytes_read,
            bytes_written=result.bytes_written,
            usage=result.usage,
        )
    )
    return result, found


def _write(
    step: Step, write: Write, around: Surroundings, versions: dict[str, TableVersion], began: float
) -> StepResult:
    pins = Pins(around.database, around.published, versions)
    write = _pinned(_guarded(step, write, around.warehouse, pins), pins)
    table = write.target.name.catalog
    around.on_event(StepStarted(step=step.name, batches=batch_count(write)))
    stats = WriteStats()
    if not _is_idle(step, write):
        stamp = Stamp(
            load_id=around.load_id,
            step=step.name,
            keep_tags=around.keep_tags.get(table, ()),
            base=pins.of(table),
        )
        stats = around.warehouse.write(write, stamp, _batch_listener(step, around))
    if stats.version is not None:
        versions[table] = stats.version
    return _result(step, write, around.clock() - began, stats)


def _is_idle(step: Step, write: Write) -> bool:
    """Return whether a write has nothing to do: no rows to merge, or none that its guard lets through."""
    return batch_count(write) == 0 and (isinstance(write, Merge) or step.guard is not None)


def _batch_listener(step: Step, around: Surroundings) -> Callable[[int, int], None]:
    def heard(done: int, batches: int) -> None:
        around.on_event(BatchFinished(step=step.name, done=done, batches=batches))

    return heard


def batch_count(write: Write) -> int:
    """Return the number of statements of a write."""
    return 1 if isinstance(write, Drop) else len(write.batches)


def _result(step: Step, write: Write, seconds: float, stats: WriteStats) -> StepResult:
    batches = () if isinstance(write, Drop) else write.batches
    return StepResult(
        step=step.name,
        table=write.target.name.catalog,
        seconds=seconds,
        rows=stats.rows,
        statements=stats.statements,
        bytes_read=stats.bytes_read,
        bytes_written=stats.bytes_written,
        files_read=stats.files_read,
        snapshot_id=stats.version.snapshot_id if stats.version is not None else None,
        partitions=tuple(sorted(day for batch in batches for day in batch.partitions)),
        statement_ids=tuple(stats.query_ids),
    )


@dataclass(frozen=True, slots=True)
class Pins:
    """Where each staging table stands for this load: as it left it, else as published.

    Attributes:
        database: The staging database.
        published: Catalog name → snapshot as published.
        written: Catalog name → version that this load wrote.
    """

    database: str
    published: Mapping[str, int]
    written: Mapping[str, TableVersion]

    def of(self, table: str) -> int | None:
        """Return the snapshot of a table, or None where the load knows none."""
        if table in self.written:
            return self.written[table].snapshot_id
        return self.published.get(table)

    def bind(self, query: exp.Query) -> exp.Query:
        """Return a query whose staging tables are read at these snapshots, whoever writes to them."""
        if all(self._of_node(node) is None for node in query.find_all(exp.Table)):
            return query
        bound = query.copy()
        for node in bound.find_all(exp.Table):
            pinned = self._of_node(node)
            if pinned is not None:
                node.set("version", snapshot(pinned))
        return bound

    def _of_node(self, node: exp.Table) -> int | None:
        """Return the snapshot that is to be read in place of a table that names none."""
        if node.db != self.database or node.args.get("version") is not None:
            return None
        return self.of(node.name)


def _pinned(write: Write, pins: Pins) -> Write:
    """Return the write with its reads pinned; batches that share a tree go on sharing one."""
    if isinstance(write, Drop):
        return write
    bound: dict[int, exp.Query] = {}
    for batch in write.batches:
        if id(batch.select) not in bound:
            bound[id(batch.select)] = pins.bind(batch.select)
    batches = tuple(replace(batch, select=bound[id(batch.select)]) for batch in write.batches)
    return replace(write, batches=batches)


def _guarded(step: Step, write: Write, warehouse: Warehouse, pins: Pins) -> Write:
    """Return the write without the batches that its guard rules out."""
    if step.guard is None or not isinstance(
        write, CreateTable | Merge | Replace | ReplacePartitions
    ):
        return write
    earliest: date | None = warehouse.fetch(pins.bind(step.guard)).column(0)[0].as_py()
    if earliest is None:
        return replace(write, batches=())
    batches = tuple(batch for batch in write.batches if max(batch.partitions) >= earliest)
    return replace(write, batches=batches)


def _check(check: Check, around: Surroundings) -> list[str]:
    row = around.warehouse.fetch(check.select).to_pylist()[0]
    found = [
        message.format(count=row[column], example=row.get(f"{column}_example"))
        for column, message in check.messages.items()
        if row[column]
    ]
    for message in found:
        around.on_event(Warned(message=message))
    return found

"""Plans, status and results as plain values, the documents that ``--json`` prints; a plan's SQL."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, assert_never

from statsig_staging.collecting import seldom_collected
from statsig_staging.days import in_words
from statsig_staging.plan import Check, CreateTable, Drop, Merge, Replace, ReplacePartitions
from statsig_staging.templates import Blanks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa
    from sqlglot import exp

    from statsig_staging.plan import Batch, Plan, Step
    from statsig_staging.reader import ExperimentStatus
    from statsig_staging.reconciliation import Reconciliation
    from statsig_staging.results import MaintenanceResult
    from statsig_staging.state import Published

SQL_DIALECT = "athena"


@seldom_collected
def plan_document(plan: Plan, *, sql: bool) -> dict[str, Any]:
    """Return a plan as values that JSON can hold, with the SQL of each statement if asked for."""
    return {
        "experiment_id": plan.experiment_id,
        "refresh": plan.refresh.value,
        "reason": plan.reason,
        "start": plan.start.isoformat(),
        "through": plan.through.isoformat(),
        "watermark": plan.watermark.isoformat(),
        "sources": [reading.to_dict() for reading in plan.readings],
        "steps": [
            _step_document(step, sql=sql, price_per_tb=plan.price_per_tb) for step in plan.steps
        ],
        "price_usd": round(sum(price(step, plan.price_per_tb) for step in plan.steps), 6),
        "warnings": list(plan.warnings),
    }


def _step_document(step: Step, *, sql: bool, price_per_tb: float) -> dict[str, Any]:
    document: dict[str, Any] = {
        "step": step.name,
        "reason": step.reason,
        "write": kind_of(step),
        "table": table_of(step),
        "needs": list(step.needs),
        "days": [day.isoformat() for day in step.days],
        "statements": statement_count(step),
        "files": len(files_read(step)),
        "bytes": bytes_read(step),
        "price_usd": round(price(step, price_per_tb), 6),
    }
    if sql:
        document["sql"] = [_text(select) for _, select in _selects(step)]
    return document


def status_document(statuses: Iterable[ExperimentStatus]) -> dict[str, Any]:
    """Return what is published as values that JSON can hold."""
    return {
        "experiments": [
            {
                "experiment_id": status.experiment_id,
                "published": _load_document(status.loads[0]) if status.loads else None,
                "tables": [
                    {
                        "table": table.name,
                        "rows": table.size.rows,
                        "files": table.size.files,
                        "bytes": table.size.bytes,
                    }
                    for table in status.tables
                ],
                "loads": [_load_document(load) for load in status.loads],
                "sources": [
                    {"source": reading.source, "watch": reading.watch}
                    for reading in status.readings
                ],
                "history": [load.to_dict() for load in status.history],
                "interrupted": status.interrupted.to_dict() if status.interrupted else None,
            }
            for status in statuses
        ]
    }


def _load_document(load: Published) -> dict[str, Any]:
    return {
        "load_id": load.load_id,
        "number": load.number,
        "published_at": load.published_at.replace(tzinfo=None).isoformat() + "Z",
        "refresh": load.refresh,
        "start": load.start.isoformat(),
        "through": load.through.isoformat(),
        "watermark": load.watermark.isoformat(),
        "rows": load.rows,
        "bytes_read": load.bytes_read,
        "bytes_written": load.bytes_written,
        "seconds": round(load.seconds, 3),
        "warnings": list(load.warnings),
        "watch": {name: source.watch for name, source in load.sources.items()},
    }


def maintenance_document(done: MaintenanceResult) -> dict[str, Any]:
    """Return what maintaining a project did as values that JSON can hold."""
    return {
        "experiments": [
            {**asdict(found), "compacted": list(found.compacted), "removed": asdict(found.removed)}
            for found in done.experiments
        ],
        "scratch": asdict(done.scratch),
        "forwarded": [
            {**asdict(found), "days": [day.isoformat() for day in found.days]}
            for found in done.forwarded
        ],
    }


def reconciliation_document(found: Reconciliation) -> dict[str, Any]:
    """Return what reconciling an experiment found as values that JSON can hold."""
    return {
        "experiment_id": found.experiment_id,
        "load_id": found.load_id,
        "through": found.through.isoformat(),
        "rows": found.rows,
        "tables": [
            {
                "table": table.table,
                "rows": table.rows,
                "days": [day.isoformat() for day in table.days],
                "differences": [
                    {
                        "key": {name: _plain(value) for name, value in each.key.items()},
                        "column": each.column,
                        "staged": _plain(each.staged),
                        "recomputed": _plain(each.recomputed),
                    }
                    for each in table.shown
                ],
            }
            for table in found.tables
        ],
        "notes": list(found.notes),
        "healed": found.healed.to_dict() if found.healed is not None else None,
    }


def load_of(table: pa.Table) -> dict[str, str]:
    """Return ``load_id`` and ``through`` of the load that results were read from."""
    metadata = table.schema.metadata or {}
    return {name: metadata[name.encode()].decode() for name in ("load_id", "through")}


def results_document(experiment_id: str, table: pa.Table) -> dict[str, Any]:
    """Return published group statistics as values that JSON can hold."""
    rows = table.to_pylist()
    return {
        "experiment_id": experiment_id,
        **load_of(table),
        "rows": [{name: _plain(value) for name, value in row.items()} for row in rows],
    }


def _plain(value: object) -> object:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no word for it
    return value


def kind_of(step: Step) -> str:
    """Return the name of what a step does, such as ``replace_partitions``."""
    match step.action:
        case CreateTable():
            return "create_table"
        case ReplacePartitions():
            return "replace_partitions"
        case Merge():
            return "merge"
        case Replace():
            return "replace"
        case Drop():
            return "drop"
        case Check():
            return "check"
        case _:
            assert_never(step.action)


def table_of(step: Step) -> str | None:
    """Return the catalog name of the table that a step writes; None for a check."""
    return None if isinstance(step.action, Check) else step.action.target.name.catalog


def batches_of(step: Step) -> tuple[Batch, ...]:
    """Return the statements of a step's write."""
    return () if isinstance(step.action, Check | Drop) else step.action.batches


def statement_count(step: Step) -> int:
    """Return how many statements a step runs; a guarded step may run fewer."""
    return 1 if isinstance(step.action, Check | Drop) else len(step.action.batches)


def files_read(step: Step) -> frozenset[str]:
    """Return the paths of the source files that a step reads."""
    reads = (read for batch in batches_of(step) for read in batch.reads)
    return frozenset(file.path for read in reads for file in read.files)


def bytes_read(step: Step) -> int:
    """Return the compressed bytes of source columns that a step reads."""
    return sum(read.bytes for batch in batches_of(step) for read in batch.reads)


LEAST_BILLED = 10_000_000
"""Bytes that Athena bills for a statement at least (its price list)."""


def price(step: Step, price_per_tb: float) -> float:
    """Return about how many US dollars a step costs: what it reads of the sources, and at least the minimum."""
    amounts = (
        [sum(read.bytes for read in batch.reads) for batch in batches_of(step)]
        if not isinstance(step.action, Check | Drop)
        else [0]
    )
    return sum(max(amount, LEAST_BILLED) for amount in amounts) / 1e12 * price_per_tb


def statements_text(plan: Plan) -> Iterator[str]:
    """Yield the SQL of each statement of a plan, each below a comment that says what it is for."""
    for step in plan.steps:
        for comment, select in _selects(step):
            with seldom_collected:
                text = _text(select)
            yield f"-- step {comment}\n{text};\n"


def _text(select: exp.Query) -> str:
    """Return a query as SQL. What was read as Athena's SQL has nothing in it that its generator would rewrite."""
    return select.sql(SQL_DIALECT, pretty=True, copy=False)


def _selects(step: Step) -> Iterator[tuple[str, exp.Query]]:
    """Yield what each statement of a step is for and its SELECT, which is good until the next one."""
    if step.guard is not None:
        yield f"{step.name}, first: the earliest day that has to be restated", step.guard
    if isinstance(step.action, Check):
        yield f"{step.name}: check", step.action.select
    batches = batches_of(step)
    filled = _filled(batches)
    for number, (batch, select) in enumerate(zip(batches, filled, strict=True), start=1):
        position = f", statement {number} of {len(batches)}" if len(batches) > 1 else ""
        days = f", {in_words(batch.partitions)}" if batch.partitions else ""
        yield f"{step.name}{position}: {kind_of(step)} {table_of(step)}{days}", select


def _filled(batches: Iterable[Batch]) -> Iterator[exp.Query]:
    """Yield the SELECT of each batch with its parameters filled in; those that share a tree share a copy of it."""
    known: dict[int, tuple[exp.Query, Blanks]] = {}
    for batch in batches:
        if not batch.values:
            yield batch.select
            continue
        if id(batch.select) not in known:
            select = batch.select.copy()
            known[id(batch.select)] = (select, Blanks(select))
        select, blanks = known[id(batch.select)]
        blanks.fill(batch.values)
        yield select

"""The ledger: ``pipeline_overview``, one row per job of every load of the project, however it ended.

Rows come from the journals of loads, once each: after a load has ended, or, where its process was killed,
by the next run of its experiment. ``recent.json`` beside the journals says which loads are in; where a
process died between the append and that note, the ledger itself says it.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlglot import exp
from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_random_exponential

from statsig_staging import journal
from statsig_staging.errors import LoadConflictError, StagingError, WarehouseError
from statsig_staging.journal import JobState, Outcome
from statsig_staging.names import TableName
from statsig_staging.plan import Column, ColumnType, Table
from statsig_staging.planner.tables import node
from statsig_staging.warehouses.base import Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from tenacity import RetryCallState

    from statsig_staging.journal import Job, Journal
    from statsig_staging.state import Published
    from statsig_staging.warehouses.base import TableVersion, Warehouse

NAME = "pipeline_overview"

_STRING, _LONG, _DATE = ColumnType.STRING, ColumnType.LONG, ColumnType.DATE

DOCUMENTED = (
    Column("ts", ColumnType.TIMESTAMP, "When the load began, UTC"),
    Column("job_type", _STRING, "What kind of job it is, such as Unit-Day Calculations"),
    Column("metric_source_id", _STRING, "The metric source; only for jobs that read one"),
    Column("assignment_source_id", _STRING, "The assignment source of the experiment"),
    Column("job_status", _STRING, "success or fail; null for a job that was not run"),
    Column("metrics", _STRING, "JSON: the metrics that the job serves"),
    Column("dag_state", _STRING, "success, or failure where nothing was published"),
    Column("dag_type", _STRING, "full or incremental"),
    Column("experiment_id", _STRING, "The experiment, as configured"),
    Column("dag_start_ds", _STRING, "First day that the load read, ISO"),
    Column("dag_end_ds", _STRING, "Last day that the load read, ISO"),
    Column("wall_time", _LONG, "How long the load took, milliseconds"),
    Column("turbo_mode", ColumnType.BOOLEAN, "Always false"),
    Column("dag_id", _STRING, "The load"),
    Column("dag_duration", _LONG, "Days from dag_start_ds through dag_end_ds"),
    Column("is_scheduled", ColumnType.BOOLEAN, "Always false: who started the load is not known"),
)
"""The columns of the ledger of Statsig Warehouse Native, by their names there."""

OWN = (
    Column("job_number", _LONG, "Place of the job in its load, from 1"),
    Column("job", _STRING, "The step's name"),
    Column("job_state", _STRING, "ended, failed, interrupted or not_run"),
    Column("reason", _STRING, "Why the job was there"),
    Column("table_name", _STRING, "Table that it wrote, by its name in the catalog"),
    Column("first_ds", _DATE, "First of the days that it read or restated"),
    Column("last_ds", _DATE, "The last of them"),
    Column("days", _LONG, "Their number"),
    Column("started_at", ColumnType.TIMESTAMP, "When it began, UTC"),
    Column("seconds", ColumnType.DOUBLE, "How long it took"),
    Column("rows", _LONG, "Rows written"),
    Column("statements", _LONG, "Statements run"),
    Column(
        "bytes_scanned",
        _LONG,
        "What Athena says it has scanned; elsewhere compressed bytes of the columns read from source files",
    ),
    Column("bytes_written", _LONG, "Size of the files written"),
    Column("statement_ids", _STRING, "JSON: ids of the statements at the service"),
    Column("snapshot_id", _LONG, "The Iceberg snapshot that it made"),
    Column("error", _STRING, "Why the job failed"),
    Column("dag_error", _STRING, "Why the load failed"),
    Column("queued_seconds", ColumnType.DOUBLE, "How long its statements waited at the service"),
    Column("engine_seconds", ColumnType.DOUBLE, "How long the service worked on them"),
    Column("price_usd", ColumnType.DOUBLE, "What the service charges for them, US dollars"),
)

_ARROW = {
    ColumnType.STRING: pa.string(),
    ColumnType.LONG: pa.int64(),
    ColumnType.DOUBLE: pa.float64(),
    ColumnType.DATE: pa.date32(),
    ColumnType.TIMESTAMP: pa.timestamp("us"),
    ColumnType.BOOLEAN: pa.bool_(),
}

_SCHEMA = pa.schema([(column.name, _ARROW[column.type]) for column in (*DOCUMENTED, *OWN)])

_JOB_TYPES = {
    "unit_day_metrics": "Unit-Day Calculations",
    "unit_day_exposures": "Unit-Day Exposures",
    "exposures_summary": "Exposure Summary",
}

FEW_FILES, ROWS_PER_FILE = 8, 10_000
"""The rows become one file where there are so many, and one more for each ``ROWS_PER_FILE`` rows: what is
copied for it comes to at most that many rows for each append, however long the ledger is."""

ATTEMPTS = 60
"""So often an append begins anew because another process was faster."""


def ledger_table() -> Table:
    """Return the table ``pipeline_overview``, one for the whole project."""
    return Table(
        name=TableName(catalog=NAME, folder=NAME), experiment_id="", columns=(*DOCUMENTED, *OWN)
    )


def read(warehouse: Warehouse, database: str, experiment_id: str | None = None) -> pa.Table:
    """Return the jobs of all experiments, or of one, the latest load first."""
    version = warehouse.version(ledger_table())
    if version is None:
        return _SCHEMA.empty_table()
    query = _select(database, version)
    if experiment_id is not None:
        query = query.where(_column("experiment_id").eq(experiment_id))
    found = _aligned(warehouse.fetch(query))
    return found.sort_by(
        [("ts", "descending"), ("dag_id", "descending"), ("job_number", "ascending")]
    )


def record(
    warehouse: Warehouse,
    database: str,
    experiment_id: str,
    *,
    published: Callable[[], Iterable[Published]],
    ended: Journal | None = None,
    confirm: Callable[[], object] = lambda: None,
    pause: Callable[[float], object],
) -> tuple[str, ...]:
    """Append the jobs of every load of an experiment that has ended and is not in the ledger.

    Only the holder of the experiment's lease may do it: every load but its own has ended then.

    Args:
        warehouse: Where the ledger lies.
        database: The staging database.
        experiment_id: The experiment.
        published: Returns the published loads.
        ended: The load that this process has just ended.
        confirm: Asked right before each append; an error from it stops it.
        pause: Waits for some seconds where another process was faster.

    Returns:
        What a person should know where it failed: the next run of the experiment makes up for it.
    """
    try:
        _record(warehouse, database, experiment_id, published, ended, confirm, pause)
    except LoadConflictError:
        return ()  # whoever took the lease over records it
    except Exception as error:  # noqa: BLE001  a load is done whether the ledger can be written or not
        said = str(error) or type(error).__name__
        return (f"{NAME} was not written: {said}; the next load of the experiment makes up for it",)
    return ()


def _record(
    warehouse: Warehouse,
    database: str,
    experiment_id: str,
    published: Callable[[], Iterable[Published]],
    ended: Journal | None,
    confirm: Callable[[], object],
    pause: Callable[[float], object],
) -> None:
    begun = journal.recent(warehouse, experiment_id)
    waiting = [each.load_id for each in reversed(begun) if not each.recorded]
    if not waiting:
        return
    known = {load.load_id for load in published()}
    journals = (_journal(warehouse, experiment_id, load_id, ended) for load_id in waiting)
    rows = {each.load_id: _rows(each, each.outcome(known)) for each in journals if each}
    # A load that was ended just now cannot be in; an earlier one may be, without the note.
    sure = {ended.load_id} if ended is not None else set()
    _append(warehouse, database, rows, sure, confirm, pause)
    journal.note_recorded(warehouse, experiment_id, waiting)


def _journal(
    warehouse: Warehouse, experiment_id: str, load_id: str, ended: Journal | None
) -> Journal | None:
    if ended is not None and ended.load_id == load_id:
        return ended
    return journal.read(warehouse, experiment_id, load_id)


def _append(
    warehouse: Warehouse,
    database: str,
    rows: Mapping[str, list[dict[str, Any]]],
    sure: Collection[str],
    confirm: Callable[[], object],
    pause: Callable[[float], object],
) -> None:
    """Append rows by load, without those of loads that are in; begin anew where the table has moved."""

    def attempt() -> bool:
        table = ledger_table()
        before = warehouse.version(table)
        compact = before is not None and _has_many_files(warehouse, before)
        try:
            present = _present(warehouse, database, before, rows.keys() - sure)
            kept = (
                _all(warehouse, database, before) if before and compact else _SCHEMA.empty_table()
            )
        except StagingError:
            # The files of a version go with the second append after it: these were faster.
            if warehouse.version(table) == before:
                raise
            return False
        new = [row for load_id, found in rows.items() if load_id not in present for row in found]
        if not new:
            return True
        added = pa.concat_tables([kept, pa.Table.from_pylist(new, schema=_SCHEMA)])
        keep = (before.tag,) if before is not None else ()
        stamp = Stamp(load_id=new[-1]["dag_id"], step=NAME, keep_tags=keep)
        confirm()
        return warehouse.swap_rows(table, before, added, stamp, replace=compact)

    def wait(seconds: float) -> None:
        pause(seconds)

    Retrying(
        retry=retry_if_result(lambda done: not done),
        wait=wait_random_exponential(multiplier=0.02, max=1),
        stop=stop_after_attempt(ATTEMPTS),
        sleep=wait,
        retry_error_callback=_give_up,
    )(attempt)


def _give_up(state: RetryCallState) -> None:
    raise WarehouseError(f"other loads were faster, {state.attempt_number} times")


def _present(
    warehouse: Warehouse, database: str, version: TableVersion | None, load_ids: Collection[str]
) -> set[str]:
    """Return those of some loads that are in the ledger."""
    if version is None or not load_ids:
        return set()
    query = (
        exp.select(_column("dag_id"))
        .distinct()
        .from_(node(database, ledger_table(), version.snapshot_id))
        .where(_column("dag_id").isin(*load_ids))
    )
    return set(warehouse.fetch(query).column("dag_id").to_pylist())


def _has_many_files(warehouse: Warehouse, version: TableVersion) -> bool:
    size = warehouse.size(ledger_table(), version)
    return size.files >= FEW_FILES + size.rows // ROWS_PER_FILE


def _all(warehouse: Warehouse, database: str, version: TableVersion) -> pa.Table:
    return _aligned(warehouse.fetch(_select(database, version)))


def _select(database: str, version: TableVersion) -> exp.Select:
    return exp.select("*").from_(node(database, ledger_table(), version.snapshot_id))


def _aligned(found: pa.Table) -> pa.Table:
    """Return rows with today's columns; those that were added since are null."""
    columns = [
        found.column(field.name).cast(field.type)
        if field.name in found.column_names
        else pa.nulls(found.num_rows, field.type)
        for field in _SCHEMA
    ]
    return pa.table(columns, schema=_SCHEMA)


def _column(name: str) -> exp.Column:
    return exp.column(name, quoted=True)


def _rows(load: Journal, outcome: Outcome) -> list[dict[str, Any]]:
    """Return the rows of a load, which has ended."""
    first, last = _days_read(load)
    shared = {
        "ts": _naive(load.began_at),
        "assignment_source_id": load.assignment_source,
        "dag_state": "success" if outcome is Outcome.PUBLISHED else "failure",
        "dag_type": load.refresh,
        "experiment_id": load.experiment_id,
        "dag_start_ds": first.isoformat(),
        "dag_end_ds": last.isoformat(),
        "wall_time": round(load.seconds * 1000),
        "turbo_mode": False,
        "dag_id": load.load_id,
        "dag_duration": (last - first).days + 1,
        "is_scheduled": False,
        "dag_error": _error(load, outcome),
    }
    return [
        {**shared, **_job_columns(job, outcome), "job_number": number}
        for number, job in enumerate(load.jobs, start=1)
    ]


def _days_read(load: Journal) -> tuple[date, date]:
    days = [day for reading in load.readings for day in reading.days]
    return (min(days), max(days)) if days else (load.start, load.through)


def _error(load: Journal, outcome: Outcome) -> str | None:
    if outcome is not Outcome.INTERRUPTED:
        return load.error if outcome is Outcome.FAILED else None
    if load.current is not None:
        return f"interrupted in {load.current.name}"
    return "interrupted while publishing" if load.publishing else "interrupted between jobs"


def _job_columns(job: Job, outcome: Outcome) -> dict[str, Any]:
    state = _state(job, outcome)
    columns: dict[str, Any] = {
        "job_type": _job_type(job),
        "metric_source_id": job.source,
        "job_status": {"ended": "success", "not_run": None}.get(state, "fail"),
        "metrics": json.dumps(list(job.metrics), ensure_ascii=False),
        "job": job.name,
        "job_state": state,
        "reason": job.reason,
        "table_name": job.table,
        "first_ds": None if job.first_day is None else date.fromisoformat(job.first_day),
        "last_ds": None if job.last_day is None else date.fromisoformat(job.last_day),
        "days": job.days,
        "error": "interrupted" if state == "interrupted" else job.error,
    }
    if job.started_at is not None:
        columns["started_at"] = _naive(datetime.fromisoformat(job.started_at))
    return columns | (_figures(job) if job.state is JobState.ENDED else {})


def _figures(job: Job) -> dict[str, Any]:
    return {
        "seconds": job.seconds,
        "rows": job.rows,
        "statements": job.statements,
        "bytes_scanned": job.bytes_scanned or job.bytes_read,
        "bytes_written": job.bytes_written,
        "statement_ids": json.dumps(list(job.statement_ids)),
        "snapshot_id": job.snapshot_id,
        "queued_seconds": job.queued_seconds,
        "engine_seconds": job.engine_seconds,
        "price_usd": job.price,
    }


def _state(job: Job, outcome: Outcome) -> str:
    match job.state:
        case JobState.PLANNED:
            return "not_run"
        case JobState.STARTED if outcome is Outcome.INTERRUPTED:
            return "interrupted"
        case JobState.ENDED:
            return "ended"
        case JobState.STARTED | JobState.FAILED:
            return "failed"


def _job_type(job: Job) -> str:
    words = _JOB_TYPES.get(job.kind, job.kind.replace("_", " ").title())
    return f"[Health Check] {words}" if job.is_check else words


def _naive(moment: datetime) -> datetime:
    """Return a moment as the tables hold it: UTC without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)

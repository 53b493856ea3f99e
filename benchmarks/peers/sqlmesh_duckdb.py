"""SQLMesh with DuckDB: models incremental by time range, as its documentation lays them out.

``unit_day_exposures`` and ``unit_day_metrics`` are ``INCREMENTAL_BY_TIME_RANGE`` on ``ds``, filtered by
``@start_ds`` and ``@end_ds``; first exposures, the summary and all results are ``FULL``. The first load and
one with other metrics apply a plan, all others are ``sqlmesh run``, which loads the days whose intervals
are missing. A row that arrives for a day that is loaded is not read: the documentation has ``lookback``,
which takes effect when a further day is loaded, and restating, which asks to be told the days. The
subject whose name ends in ``restated`` is told them.
"""

from __future__ import annotations

import logging
from datetime import date, timedelta
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from sqlmesh import Context
from sqlmesh.core.console import NoopConsole, set_console

from benchmarks.metrics import EXPOSURE_COLUMNS, SETS, START
from benchmarks.peers.models import INCREMENTAL, models
from benchmarks.process import Cost, Read, serve, shown

if TYPE_CHECKING:
    from benchmarks.process import Load, Task

Days = dict[str, tuple[str, ...]]
"""Source → some of its days."""

TOLD = "restated"
"""End of the name of a subject that is told which days changed."""

_LAST_DAY = "CAST(@execution_ds AS DATE) - INTERVAL 1 DAY"

READS = {"exposures": "unit_day_exposures", "events": "unit_day_metrics"}
"""Source → the model that reads it."""


def prepare(task: Task, load: Load) -> None:
    """Write the project; a model's text is the same from load to load, unless metrics change."""
    folder = Path(task.folder) / "sqlmesh"
    (folder / "models").mkdir(parents=True, exist_ok=True)
    settings = "".join(f"          {name}: '{value}'\n" for name, value in task.limits.items())
    (folder / "config.yaml").write_text(
        "gateways:\n  here:\n    connection:\n      type: duckdb\n"
        f"      database: {folder}/bench.duckdb\n      connector_config:\n{settings}"
        "default_gateway: here\ndisable_anonymized_analytics: true\n"
        f"model_defaults: {{dialect: duckdb, start: '{START}', cron: '@daily'}}\n",
        encoding="utf-8",
    )
    selects = models(SETS[load.metrics], task.sources, _LAST_DAY, ref=_name, since=_since)
    for name, text in selects.items():
        kind = "INCREMENTAL_BY_TIME_RANGE (time_column ds)" if name in INCREMENTAL else "FULL"
        header = f"MODEL (name {_name(name)}, kind {kind});\n"
        (folder / "models" / f"{name}.sql").write_text(header + text, encoding="utf-8")


def _name(model: str) -> str:
    return f"staging.{model}"


def _since(column: str) -> str:
    return f"AND {column} BETWEEN @start_ds AND @end_ds"


class _Statements(logging.Handler):
    """Counts what SQLMesh says that it executes."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += str(record.msg).startswith("Executing SQL")


def load(task: Task, load: Load) -> Cost:
    """Apply a plan, or run what is due."""
    told = _old_days(load) if task.subject.endswith(TOLD) else {}
    now = str(date.fromisoformat(load.days[-1]) + timedelta(days=1))
    heard = _Statements()
    adapters = logging.getLogger("sqlmesh.core.engine_adapter.base")
    adapters.setLevel(logging.DEBUG)
    adapters.addHandler(heard)
    context = Context(paths=str(Path(task.folder) / "sqlmesh"))
    try:
        days = _perform(context, load, told, now)
    finally:
        context.close()
        adapters.removeHandler(heard)
    columns = {"exposures": EXPOSURE_COLUMNS, "events": SETS[load.metrics].columns}
    return Cost(
        statements=heard.count,
        reads=tuple(
            Read(files=tuple(shown(task.sources, table, read)), columns=columns[table])
            for table, read in days.items()
        ),
    )


def _perform(context: Context, load: Load, told: Days, now: str) -> Days:
    """Return the days that are read of each source."""
    plan: dict[str, Any] = {"auto_apply": True, "no_prompts": True, "execution_time": now}
    if told:
        for table, days in told.items():
            context.plan(**plan, restate_models=[_name(READS[table])], start=days[0], end=days[-1])
        return told
    if load.is_full or not (load.new_days or load.old_days_changed):
        new = context.plan(**plan).context_diff.new_snapshots.values()
        names = {snapshot.node.view_name for snapshot in new}
        return {table: load.days for table, model in READS.items() if model in names}
    if context.run(execution_time=now).is_failure:
        raise RuntimeError("sqlmesh run failed")
    return dict.fromkeys(READS, load.new_days)


def _old_days(load: Load) -> Days:
    """Return the days that were loaded before and changed, of each source."""
    found = {
        table: tuple(sorted(day for day in days if day not in load.new_days))
        for table, days in load.added.items()
    }
    return {table: days for table, days in found.items() if days}


def answer(task: Task) -> None:
    """Copy the results out of the database, whose views name it by its file."""
    with duckdb.connect(f"{task.folder}/sqlmesh/bench.duckdb") as connection:
        connection.execute(f"COPY staging.results TO '{task.answer}' (FORMAT parquet)")


if __name__ == "__main__":
    set_console(NoopConsole())
    serve(
        load,
        answer,
        {name: metadata.version(name) for name in ("sqlmesh", "duckdb", "sqlglot")},
        before=prepare,
    )

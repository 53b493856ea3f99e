"""dbt with DuckDB: incremental models per day, as dbt's documentation lays them out.

``unit_day_exposures`` and ``unit_day_metrics`` are incremental: they read the source from the last day
that they hold, and replace it (``delete+insert`` on the day, ``merge`` on unit and day). First exposures,
the summary and all results are tables made anew from those. A row that arrives for an earlier day
is not read; dbt says so and suggests a lookback or a full refresh, which is what a new metric gets.
"""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dbt.adapters.duckdb  # noqa: F401  (its drivers, before the clock starts)
import duckdb
from dbt.cli.main import dbtRunner

from benchmarks.metrics import EXPOSURE_COLUMNS, SETS, START
from benchmarks.peers.models import INCREMENTAL, models
from benchmarks.process import Cost, Read, serve, shown

if TYPE_CHECKING:
    from benchmarks.process import Load, Task

STRATEGIES = {
    "dbt_duckdb_delete_insert": ("delete+insert", "ds"),
    "dbt_duckdb_merge": ("merge", "['unit_id', 'ds']"),
}


def prepare(task: Task, load: Load) -> None:
    """Write the project; a model's text is the same from load to load."""
    folder = Path(task.folder) / "dbt"
    (folder / "models").mkdir(parents=True, exist_ok=True)
    (folder / "dbt_project.yml").write_text(
        "name: bench\nversion: '1.0'\nprofile: bench\nmodel-paths: [models]\n"
        "flags: {send_anonymous_usage_stats: false}\n",
        encoding="utf-8",
    )
    limits = "".join(
        f"        {name}: '{value}'\n"
        for name, value in task.limits.items()
        if name == "memory_limit"
    )
    (folder / "profiles.yml").write_text(
        "bench:\n  target: dev\n  outputs:\n    dev:\n      type: duckdb\n"
        f"      path: {folder}/bench.duckdb\n      threads: {task.limits['threads']}\n"
        f"      settings:\n        threads: {task.limits['threads']}\n{limits}",
        encoding="utf-8",
    )
    strategy, key = STRATEGIES[task.subject]
    header = (
        "{{ config(materialized='incremental', incremental_strategy='"
        + strategy
        + "', unique_key="
        + (key if key.startswith("[") else f"'{key}'")
        + ") }}\n"
    )
    selects = models(
        SETS[load.metrics],
        task.sources,
        f"DATE '{load.days[-1]}'",
        ref=_ref,
        since=_since,
    )
    for name, text in selects.items():
        place = folder / "models" / f"{name}.sql"
        place.write_text((header if name in INCREMENTAL else _TABLE) + text, encoding="utf-8")


def load(task: Task, load: Load) -> Cost:
    """Run dbt once."""
    folder = Path(task.folder) / "dbt"
    statements = 0

    def heard(event: Any) -> None:
        nonlocal statements
        statements += event.info.name == "SQLQuery"

    begins = _first_day_read(folder, load)
    arguments = ["run", "--project-dir", str(folder), "--profiles-dir", str(folder), "--quiet"]
    if load.is_full or load.old_days_changed or load.new_days:
        done = dbtRunner(callbacks=[heard]).invoke(arguments)
    else:
        done = dbtRunner(callbacks=[heard]).invoke([*arguments, "--full-refresh"])
    if not done.success:
        raise RuntimeError(str(done.exception or [each.message for each in done.result]))
    days = tuple(day for day in load.days if day >= begins)
    return Cost(
        statements=statements,
        reads=(
            Read(
                files=tuple(shown(task.sources, "exposures", days)),
                columns=EXPOSURE_COLUMNS,
            ),
            Read(
                files=tuple(shown(task.sources, "events", days)),
                columns=SETS[load.metrics].columns,
            ),
        ),
    )


def _first_day_read(folder: Path, load: Load) -> str:
    """Return the last day that was loaded before, which is read again."""
    before = [day for day in load.days if day not in load.new_days]
    if load.is_full or not (folder / "bench.duckdb").exists() or not load.new_days:
        return before[-1] if load.old_days_changed and before else START
    return before[-1] if before else START


_TABLE = "{{ config(materialized='table') }}\n"

# The documentation's own pattern, with the day looked up first so that folders can be left out.
_SINCE = """
{% if is_incremental() %}
  {% set since = run_query("SELECT coalesce(max(ds), DATE '1970-01-01') FROM " ~ this).columns[0].values()[0] %}
  AND COLUMN >= DATE '{{ since }}'
{% endif %}
"""


def _ref(name: str) -> str:
    return f"{{{{ ref('{name}') }}}}"


def _since(column: str) -> str:
    return _SINCE.replace("COLUMN", column)


def answer(task: Task) -> None:
    """Copy the results out of the database, which dbt still holds open."""
    folder = Path(task.folder)
    for ending in ("", ".wal"):
        database = folder / "dbt" / f"bench.duckdb{ending}"
        if database.exists():
            shutil.copyfile(database, folder / f"answer.duckdb{ending}")
    with duckdb.connect(str(folder / "answer.duckdb")) as connection:
        connection.execute(f"COPY results TO '{task.answer}' (FORMAT parquet)")


if __name__ == "__main__":
    serve(
        load,
        answer,
        {name: metadata.version(name) for name in ("dbt-core", "dbt-duckdb", "duckdb")},
        before=prepare,
    )

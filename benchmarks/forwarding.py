"""Forwarding events from NDJSON, beside DuckDB's COPY written by hand.

``measure`` runs each subject in a process of its own and returns what it took. The files are made once.
``python -m benchmarks.forwarding [ROWS] [FOLDER]`` prints the ratios.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import resource
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

MEMORY = "1GB"
THREADS = 2
_FIRST = datetime(2025, 1, 1, tzinfo=UTC)
_COLUMNS = {
    "user_id": "VARCHAR",
    "stable_id": "VARCHAR",
    "company_id": "VARCHAR",
    "timestamp": "TIMESTAMP",
    "event_name": "VARCHAR",
    "event_value": "VARCHAR",
    "user_object": "JSON",
    "statsig_metadata": "JSON",
    "company_metadata": "JSON",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What one way of doing it took.

    Attributes:
        name: ``forward``, ``copy distinct`` or ``copy``.
        seconds: From begin to end.
        cpu_seconds: Of all threads.
        rows_written: Rows in the files.
        peak_bytes: Most memory that the process had.
    """

    name: str
    seconds: float
    cpu_seconds: float
    rows_written: int
    peak_bytes: int


def write_events(path: Path, rows: int, days: int = 7, repeated: float = 0.05) -> None:
    """Write events of some days, some of them twice, as an SDK logs them."""
    rng = random.Random(1)
    line = ""
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            if not number or rng.random() >= repeated:
                line = _event(rng, rows, days)
            file.write(line)


def _event(rng: random.Random, rows: int, days: int) -> str:
    moment = _FIRST + timedelta(microseconds=rng.randrange(86_400_000_000 * days))
    user = rng.randrange(rows // 10 + 1)
    row = {
        "user_id": f"user_{user:08d}",
        "stable_id": f"st_{rng.randrange(1 << 40)}",
        "company_id": f"c{user % 97}",
        "timestamp": moment.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds"),
        "event_name": rng.choice(["visit", "purchase", "click", "scroll"]),
        "event_value": f"{rng.random() * 100:.2f}",
        "user_object": {"os": rng.choice(["ios", "android", "web"]), "locale": "de-DE"},
        "statsig_metadata": {"deviceType": "phone", "samplingRate": 1, "is_bot": False},
        "company_metadata": {
            "page": f"/p/{rng.randrange(5000)}",
            "price": rng.randrange(999) / 100,
        },
    }
    return json.dumps(row) + "\n"


def _forward(path: Path, place: Path) -> int:
    import statsig_staging as staging

    connection = {"warehouse": "local", "memory_limit": MEMORY, "threads": THREADS}
    project = staging.Project.model_validate({"connection": connection, "root": place})
    with staging.connect(project) as engine:
        return engine.forward_events(path).accepted


def _copy(path: Path, place: Path, *, distinct: bool) -> int:
    import duckdb

    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in _COLUMNS.items())
    rows = f"read_json('{path}', format = 'newline_delimited', columns = {{{columns}}})"
    which = "DISTINCT" if distinct else ""
    settings: dict[str, Any] = {
        "memory_limit": MEMORY,
        "threads": THREADS,
        "temp_directory": str(place / "tmp"),
        "preserve_insertion_order": False,
    }
    with duckdb.connect(config=settings) as connection:
        done = connection.execute(
            f"COPY (SELECT {which} *, timestamp::DATE AS ds FROM {rows}) TO '{place / 'events'}' "
            "(FORMAT parquet, COMPRESSION zstd, PARTITION_BY (ds))"
        ).fetchall()
    return int(done[0][0])


Way: TypeAlias = Callable[[Path, Path], int]
"""Loads a file into a place, and returns how many rows it wrote."""

SUBJECTS: dict[str, Way] = {
    "forward": _forward,
    "copy distinct": partial(_copy, distinct=True),
    "copy": partial(_copy, distinct=False),
}


def _run(name: str, way: Way, path: Path, place: Path, answer: Any) -> None:
    place.mkdir(parents=True)
    began, cpu = time.perf_counter(), time.process_time()
    rows = way(path, place)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    answer.send(Subject(name, seconds, cpu, rows, peak))


def measure(path: Path, folder: Path, ways: Mapping[str, Way] = SUBJECTS) -> list[Subject]:
    """Return what each way of loading a file of events takes, one after the other."""
    spawn = multiprocessing.get_context("spawn")
    found = []
    for name, way in ways.items():
        place = folder / name.replace(" ", "-")
        shutil.rmtree(place, ignore_errors=True)
        receive, send = spawn.Pipe(duplex=False)
        child = spawn.Process(target=_run, args=(name, way, path, place, send))
        child.start()
        send.close()
        found.append(receive.recv())
        child.join()
        shutil.rmtree(place, ignore_errors=True)
    return found


def main(rows: int, folder: Path) -> None:
    """Print what each way takes, and the ratios of rows per second."""
    path = folder / f"events-{rows}.ndjson"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_events(path, rows)
    found = {subject.name: subject for subject in measure(path, folder)}
    for subject in found.values():
        print(
            f"{subject.name}: {subject.seconds:.1f} s, {subject.cpu_seconds:.1f} s of CPU, "
            f"{subject.rows_written:,} rows, {subject.peak_bytes / 1e6:,.0f} MB",
            flush=True,
        )
    ours = found["forward"]
    for name in ("copy distinct", "copy"):
        other = found[name]
        print(
            f"rows per second against {name}: {other.seconds / ours.seconds:.2f}, "
            f"by CPU {other.cpu_seconds / ours.cpu_seconds:.2f}"
        )


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(
        int(arguments[0]) if arguments else 1_000_000,
        Path(arguments[1] if arguments[1:] else ".bench"),
    )

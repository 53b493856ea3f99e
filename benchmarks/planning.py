"""A thousand metrics: from files of definitions to SQL, before any row is read."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import datasets, ours
from benchmarks.metrics import SETS
from benchmarks.process import default_threads, show
from benchmarks.report import CONTRACT, skipped, surroundings, table
from benchmarks.subjects import OURS, Program, SubjectFailedError, run_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.report import Record

NAME = "planning"
_PEER = "benchmarks.peers.{}"
PLANNERS = {
    OURS: Program(module="benchmarks.peers.plan_ours"),
    "dbt_parse_warm": Program(
        module=_PEER.format("plan_dbt"), environment="general", needs=("dbt.cli.main",)
    ),
    "mozanalysis": Program(
        module=_PEER.format("plan_mozanalysis"), environment="mozanalysis", needs=("mozanalysis",)
    ),
}
"""Who plans: dbt parses a project that it has parsed before, mozanalysis renders the queries."""

_AGAIN = ("dbt_parse_warm",)
"""Who is measured the second time only."""


def measure(scale: str, *, root: Path = datasets.ROOT) -> list[Record]:
    """Return one record; the data is as small as can be, whatever the scale: only its columns matter."""
    dataset = datasets.ensure(datasets.SCALES["XS"], root=root)
    subjects: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        for name, program in PLANNERS.items():
            why = program.missing()
            subjects[name] = skipped(why) if why else _measure(name, Path(place) / name, dataset)
    return [{"scenario": NAME, "scale": scale, "subjects": subjects, **surroundings()}]


def _measure(name: str, folder: Path, dataset: datasets.Dataset) -> Record:
    prepare(folder, dataset)
    program = PLANNERS[name]
    command = [str(program.python), "-m", program.module, str(folder)]
    try:
        if name in _AGAIN:
            run_command(command)
        said, took = run_command(command)
    except SubjectFailedError as error:
        print(f"{name} failed:\n{error}", file=sys.stderr)
        return {**dict.fromkeys(CONTRACT), "failed": str(error), "equal": False}
    found = json.loads(said)
    return {
        "seconds": round(found["seconds"], 3),
        "bytes_read": 0,
        "statements": found["statements"],
        "files_opened": 0,
        "equal": True,
        "cpu_seconds": round(found["cpu_seconds"], 3),
        "process_seconds": round(took, 3),
        "peak_mb": round(found["peak_mb"]),
    }


def prepare(folder: Path, dataset: datasets.Dataset) -> None:
    """Lay out this library's project over the sources, which the others do not need."""
    added = {
        name: {day.isoformat(): dataset.sources.files(name, [day]) for day in dataset.days}
        for name in datasets.TABLES
    }
    show(folder / "sources", added)
    connection = ours.embedded({"threads": str(default_threads())})
    found = ours.project(connection, dataset.days[-1].isoformat(), SETS["thousand"])
    (folder / "staging.yml").write_text(json.dumps(found, indent=2), encoding="utf-8")


def markdown(records: Sequence[Record]) -> str:
    """Return one row per subject."""
    header = (NAME, "seconds", "process s", "cpu s", "peak MB", "statements", "")
    rows = []
    for record in records:
        for name, subject in record["subjects"].items():
            figures = (
                subject.get(key) for key in ("seconds", "process_seconds", "cpu_seconds", "peak_mb")
            )
            why = f"skipped: {subject['skipped']}" if "skipped" in subject else ""
            rows.append(
                (
                    name,
                    *("-" if each is None else str(each) for each in figures),
                    str(subject.get("statements") or "-"),
                    why or ("failed" if "failed" in subject else ""),
                )
            )
    return table(header, rows)

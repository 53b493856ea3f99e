"""What comes out: the documented JSON, JSON lines to keep, Markdown tables to read."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.process import default_threads
from benchmarks.subjects import BY_HAND, OURS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.scenarios import Limits, Outcome, Scenario

PACKAGES = ("duckdb", "pyarrow", "pyiceberg", "sqlglot", "statsig-staging")

Record = dict[str, Any]
"""One scenario at one scale: ``scenario``, ``scale``, ``subjects`` and how it was measured."""


CONTRACT = ("seconds", "bytes_read", "statements", "files_opened", "equal")
"""What other programs read of every subject; null where it did not take part."""


def record(scenario: Scenario, scale: str, outcomes: Iterable[Outcome], limits: Limits) -> Record:
    """Return what is kept of a scenario; ``seconds`` and the rest are those of the best repeat."""
    subjects = {outcome.subject: _subject(outcome) for outcome in outcomes}
    return {
        "scenario": scenario.name,
        "scale": scale,
        "subjects": subjects | {name: skipped(why) for name, why in scenario.skipped},
        "limits": asdict(limits),
        **surroundings(),
    }


def surroundings() -> Record:
    """Return the versions and the machine."""
    return {
        "versions": versions(),
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "processors": default_threads(),
        },
    }


def skipped(why: str) -> Record:
    """Return what is kept of a subject that did not take part."""
    return {**dict.fromkeys(CONTRACT), "skipped": why}


def _subject(outcome: Outcome) -> Record:
    if outcome.skipped is not None:
        return skipped(outcome.skipped)
    if outcome.failure is not None or not outcome.runs:
        return {**dict.fromkeys(CONTRACT), "failed": outcome.failure, "equal": False}
    best = outcome.best
    return {
        "seconds": round(best.seconds, 3),
        "bytes_read": best.bytes_read,
        "statements": best.statements,
        "files_opened": best.files_opened,
        "equal": outcome.wrong_rows == 0,
        "wrong_rows": outcome.wrong_rows,
        "cpu_seconds": round(best.cpu_seconds, 3),
        "process_seconds": round(best.process_seconds, 3),
        "peak_mb": round(best.peak_mb),
        "bytes_written": best.bytes_written,
        "commits": best.commits,
        "all_seconds": [round(run.seconds, 3) for run in outcome.runs],
        "all_cpu_seconds": [round(run.cpu_seconds, 3) for run in outcome.runs],
        "each_seconds": list(best.each_seconds),
        "steps": list(best.steps),
        "versions": dict(best.versions),
    }


def versions() -> dict[str, str]:
    """Return the versions of what takes part; a package that is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """Return the name of the processor, as well as it can be told."""
    told = Path("/proc/cpuinfo")
    if told.exists():
        for line in told.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def succeeded(records: Iterable[Record]) -> bool:
    """Whether this library, and the SQL that it is compared with, ended with the right answer.

    A peer that answers wrong is part of what is reported.
    """
    subjects = (
        (name, subject) for record in records for name, subject in record["subjects"].items()
    )
    return all(
        subject.get("equal") is not False
        for name, subject in subjects
        if name.startswith((OURS, BY_HAND))
    )


def write_lines(records: Iterable[Record], path: Path) -> None:
    """Append one JSON line per record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


def read_lines(path: Path) -> list[Record]:
    """Return the records that ``write_lines`` wrote."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def markdown(records: Iterable[Record]) -> str:
    """Return one row per scenario and subject; ratios are to the SQL by hand of the same run."""
    header = (
        "scenario", "scale", "subject", "seconds", "ratio", "cpu s", "cpu ratio", "process s",
        "peak MB", "MB read", "statements", "files", "commits", "answer",
    )  # fmt: skip
    return table(header, (row for record in records for row in _rows(record)))


def _rows(record: Record) -> Iterator[Sequence[str]]:
    floor = record["subjects"].get(BY_HAND) or record["subjects"].get(f"{BY_HAND}_recompute", {})
    for name, subject in record["subjects"].items():
        yield (
            record["scenario"],
            record["scale"],
            name,
            _number(subject.get("seconds"), 2),
            _ratio(subject, floor, "seconds"),
            _number(subject.get("cpu_seconds"), 2),
            _ratio(subject, floor, "cpu_seconds"),
            _number(subject.get("process_seconds"), 2),
            _number(subject.get("peak_mb"), 0),
            _number(subject.get("bytes_read"), 1, unit=1e6),
            _number(subject.get("statements"), 0),
            _number(subject.get("files_opened"), 0),
            _number(subject.get("commits"), 0),
            _answer(subject),
        )


def _answer(subject: Record) -> str:
    if "skipped" in subject:
        return f"skipped: {subject['skipped']}"
    if "failed" in subject:
        return "failed"
    return "equal" if subject["equal"] else f"{subject['wrong_rows']} wrong rows"


def comparison(before: Iterable[Record], after: Iterable[Record]) -> str:
    """Return what changed between two files: of each subject, the second over the first."""
    header = (
        "scenario",
        "scale",
        "subject",
        "seconds A",
        "seconds B",
        "B / A",
        "cpu B / A",
        "bytes B / A",
    )
    earlier = {(record["scenario"], record["scale"]): record["subjects"] for record in before}
    rows = []
    for record in after:
        known = earlier.get((record["scenario"], record["scale"]), {})
        for name in sorted(record["subjects"].keys() & known.keys(), key=list(known).index):
            a, b = known[name], record["subjects"][name]
            ratios = (_ratio(b, a, key) for key in ("seconds", "cpu_seconds", "bytes_read"))
            seconds = (_number(side.get("seconds"), 2) for side in (a, b))
            rows.append((record["scenario"], record["scale"], name, *seconds, *ratios))
    return table(header, rows)


def _ratio(subject: Record, floor: Record, key: str) -> str:
    above, below = subject.get(key), floor.get(key)
    return f"{above / below:.2f}" if above is not None and below else "-"


def _number(value: float | None, digits: int, *, unit: float = 1) -> str:
    return "-" if value is None else f"{value / unit:,.{digits}f}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

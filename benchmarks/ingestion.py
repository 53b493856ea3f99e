"""Forwarded ingestion: NDJSON into the date-partitioned table, beside a bare COPY and one that de-duplicates."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks import forwarding
from benchmarks.report import surroundings
from benchmarks.subjects import BY_HAND, OURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.forwarding import Subject
    from benchmarks.report import Record

NAME = "forwarded_ingestion"
ROWS = {"XS": 2_000, "S": 200_000, "M": 10_000_000, "L": 20_000_000}
"""Scale → lines of the file, of which one in twenty comes twice."""
SUBJECTS = {
    "forward": OURS,
    "copy distinct": f"{BY_HAND}_distinct",
    "copy": f"{BY_HAND}_bare",
}
"""What forwarding calls a subject → what the benchmarks call it."""


def measure(scale: str) -> list[Record]:
    """Return what each way of loading one file of events takes."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "events.ndjson")
        forwarding.write_events(path, ROWS[scale])
        found = {each.name: each for each in forwarding.measure(path, Path(folder, "out"))}
        size = path.stat().st_size
    rows = found["copy distinct"].rows_written
    subjects = {
        SUBJECTS[name]: _record(subject, size, rows if name != "copy" else ROWS[scale])
        for name, subject in found.items()
    }
    return [{"scenario": NAME, "scale": scale, "subjects": subjects, **surroundings()}]


def _record(subject: Subject, size: int, rows: int) -> Record:
    return {
        "seconds": round(subject.seconds, 3),
        "cpu_seconds": round(subject.cpu_seconds, 3),
        "bytes_read": size,
        "statements": None,
        "files_opened": 1,
        "rows": subject.rows_written,
        "rows_per_second": round(subject.rows_written / subject.seconds),
        "peak_bytes": subject.peak_bytes,
        "equal": subject.rows_written == rows,
    }


def markdown(records: Sequence[Record]) -> str:
    """Return one row per subject."""
    lines = [
        "| ingestion | subject | seconds | cpu s | rows | rows a second | peak MB | rows right |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for record in records:
        for name, of in record["subjects"].items():
            cells = (
                record["scale"],
                name,
                of["seconds"],
                of["cpu_seconds"],
                of["rows"],
                of["rows_per_second"],
                round(of["peak_bytes"] / 1e6),
                "yes" if of["equal"] else "no",
            )
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)

"""Forwarded ingestion: NDJSON into the date-partitioned table.

On the disk beside a bare COPY and one that de-duplicates, on S3 beside awswrangler.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks import forwarding, forwarding_s3
from benchmarks.report import skipped, surroundings, table
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


BARE = (f"{BY_HAND}_bare", forwarding_s3.BARE)
"""Who writes what comes twice twice."""


def measure(scale: str) -> list[Record]:
    """Return what each way of loading one file of events takes, on the disk and on S3."""
    with TemporaryDirectory() as folder, forwarding_s3.ways() as ways:
        path = Path(folder, "events.ndjson")
        forwarding.write_events(path, ROWS[scale])
        on_disk = forwarding.measure(path, Path(folder, "disk"))
        on_s3 = forwarding.measure(path, Path(folder, "s3"), ways)
        size = path.stat().st_size
    local = {SUBJECTS[each.name]: each for each in on_disk}
    distinct = local[SUBJECTS["copy distinct"]].rows_written
    records = []
    for how, found in (("disk", local), ("S3", {each.name: each for each in on_s3})):
        subjects = {
            name: _record(each, size, ROWS[scale] if name in BARE else distinct)
            for name, each in found.items()
        }
        records.append(
            {"scenario": NAME, "how": how, "scale": scale, "subjects": subjects, **surroundings()}
        )
    why = forwarding_s3.missing()
    if why is not None:
        records[-1]["subjects"] |= {name: skipped(why) for name in forwarding_s3.AWSWRANGLER}
    return records


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
    """Return one row per place and subject."""
    header = (
        "ingestion", "scale", "subject", "seconds", "cpu s", "rows", "rows a second", "peak MB",
        "rows right",
    )  # fmt: skip
    rows = (
        (record["how"], record["scale"], name, *_cells(of))
        for record in records
        for name, of in record["subjects"].items()
    )
    return table(header, rows)


def _cells(of: Record) -> tuple[str, ...]:
    if "skipped" in of:
        return (*("-",) * 5, f"skipped: {of['skipped']}")
    figures = (of[key] for key in ("seconds", "cpu_seconds", "rows", "rows_per_second"))
    peak = round(of["peak_bytes"] / 1e6)
    return (*map(str, figures), str(peak), "yes" if of["equal"] else "no")

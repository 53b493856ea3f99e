"""Gates: what this library did in each scenario, counted, against what is written down in ``baselines/``.

A change that makes a scenario cost more, or less, has to say so: it rewrites the baseline on purpose
(``python -m benchmarks run --scale S --update``), and the difference is part of its review.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import ours, process
from benchmarks.scenarios import SCENARIOS, Limits, perform
from benchmarks.subjects import OURS, Ran

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.datasets import Dataset
    from benchmarks.process import Task

Counts = dict[str, int]

BASELINES = Path(__file__).parent / "baselines"
EXACT = ("statements", "files_opened", "commits")
SIZES = {"bytes_read": 0.0, "bytes_written": 0.02}
"""By how much a size may differ: rows of a written file lie in the order in which threads came to them."""
OTHER_VERSION = 0.10
"""The same for the sizes that another version of DuckDB makes, of sources too."""


def baseline_file(scale: str) -> Path:
    """Return where the baseline of a scale lies."""
    return BASELINES / f"{scale}.json"


def counts_of(subject: Mapping[str, Any]) -> Counts:
    """Return the counts in the record of a subject."""
    return {name: int(subject[name]) for name in (*EXACT, *SIZES)}


def counted(records: list[dict[str, Any]]) -> dict[str, Counts]:
    """Return scenario → counts of this library, of the records in which it has an answer."""
    subjects = {record["scenario"]: record["subjects"].get(OURS, {}) for record in records}
    return {
        name: counts_of(found)
        for name, found in subjects.items()
        if found.get("equal") and found.get("commits") is not None
    }


def measure_here(name: str, dataset: Dataset, folder: Path) -> Counts:
    """Return the counts of a scenario, its loads run in this process."""
    limits = Limits(threads=2)
    measured = perform(SCENARIOS[name], OURS, dataset, limits, folder, run=_run_here)
    return {each: int(getattr(measured, each)) for each in (*EXACT, *SIZES)}


def _run_here(task: Task) -> Ran:
    Path(task.folder).mkdir(parents=True, exist_ok=True)
    report = process.perform(task, ours.load_once, ours.answer, {}, before=ours.configure)
    return Ran(report=report, process_seconds=0.0)


def differences(found: Mapping[str, Counts], baseline: Mapping[str, Any]) -> list[str]:
    """Return what is not as the baseline has it, one line each; scenarios that it lacks are left out."""
    same_version = baseline["duckdb"] == metadata.version("duckdb")
    lines = []
    for scenario, counts in found.items():
        known = baseline["scenarios"].get(scenario)
        if known is None:
            continue
        for name, value in counts.items():
            allowed = SIZES.get(name, 0.0)
            if name in SIZES and not same_version:
                allowed = OTHER_VERSION
            if abs(value - known[name]) > allowed * known[name]:
                lines.append(f"{scenario}: {name} is {value:,}, and was {known[name]:,}")
    return lines


def read_baseline(scale: str) -> dict[str, Any]:
    """Return the baseline of a scale; without scenarios where there is none."""
    place = baseline_file(scale)
    if not place.exists():
        return {"duckdb": metadata.version("duckdb"), "scenarios": {}}
    found: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return found


def write_baseline(scale: str, found: Mapping[str, Counts]) -> Path:
    """Write what was found over the baseline of a scale, other scenarios aside."""
    scenarios = {**read_baseline(scale)["scenarios"], **found}
    baseline = {
        "duckdb": metadata.version("duckdb"),
        "scenarios": {name: scenarios[name] for name in SCENARIOS if name in scenarios},
    }
    BASELINES.mkdir(exist_ok=True)
    place = baseline_file(scale)
    place.write_text(json.dumps(baseline, indent=2) + "\n", encoding="utf-8")
    return place

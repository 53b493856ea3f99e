"""``python -m benchmarks.plots RUN.jsonl FOLDER``: bars of CPU seconds, one picture per scenario.

Runs in the environment of the peers, which has matplotlib: ``.bench-venv/general/bin/python``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

OURS = "statsig_staging"


def draw(record: dict[str, Any], folder: Path) -> Path | None:
    """Draw a scenario; None where fewer than two subjects have a time."""
    timed = {name: each for name, each in record["subjects"].items() if each.get("cpu_seconds")}
    if len(timed) < 2:
        return None
    names = list(reversed(timed))
    figure, axes = pyplot.subplots(figsize=(7, 0.5 + 0.45 * len(names)), layout="constrained")
    bars = axes.barh(
        [_label(name, timed[name]) for name in names],
        [timed[name]["cpu_seconds"] for name in names],
        color=["#1f6f8b" if name == OURS else "#b8c4cc" for name in names],
    )
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.set_xlabel("CPU seconds, one run")
    axes.set_title(f"{record['scenario']} at scale {record['scale']}", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    target = folder / f"{record['scenario']}-{record['scale']}.png"
    figure.savefig(target, dpi=100)
    pyplot.close(figure)
    return target


def _label(name: str, subject: dict[str, Any]) -> str:
    wrong = subject.get("wrong_rows")
    return f"{name} ({wrong} rows wrong)" if wrong else name


def main() -> None:
    """Draw every scenario of a run."""
    run, folder = (Path(argument) for argument in sys.argv[1:3])
    folder.mkdir(parents=True, exist_ok=True)
    for line in run.read_text(encoding="utf-8").splitlines():
        target = draw(json.loads(line), folder)
        if target is not None:
            print(target)


if __name__ == "__main__":
    main()

"""``python -m benchmarks run`` measures; ``python -m benchmarks compare A B`` compares two runs."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import (
    athena_price,
    datasets,
    gates,
    ingestion,
    planning,
    polling,
    process,
    report,
    scenarios,
)
from benchmarks.scenarios import SCENARIOS, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.report import Record

OTHERS: dict[str, tuple[Callable[[str], list[Record]], Callable[[Sequence[Record]], str]]] = {
    planning.NAME: (planning.measure, planning.markdown),
    polling.NAME: (polling.measure, polling.markdown),
    ingestion.NAME: (ingestion.measure, ingestion.markdown),
    athena_price.NAME: (athena_price.measure, athena_price.markdown),
}
"""Scenarios that are no loads: name → what measures at a scale, and what lays its records out."""

NAMES = (*SCENARIOS, *OTHERS)


def main() -> int:
    """Return 0, or 1 where this library or the SQL by hand failed, answered wrong or missed a gate."""
    arguments = _parser().parse_args()
    if arguments.command == "run":
        return _run(arguments)
    print(report.comparison(_loads_in(arguments.a), _loads_in(arguments.b)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="{run,compare}")
    run = commands.add_parser("run", help="measure scenarios; all of them unless named")
    run.add_argument("scenario", nargs="*", type=_scenario, help=", ".join(NAMES))
    run.add_argument("--scale", choices=list(datasets.SCALES), default="S")
    run.add_argument("--json", action="store_true", help="one JSON document on stdout")
    run.add_argument("--memory-limit", metavar="SIZE", help="for every subject; 2GB at scale L")
    run.add_argument("--threads", type=int, default=process.default_threads())
    run.add_argument("--repeat", type=int, default=1, metavar="N", help="the fastest counts")
    run.add_argument("--subject", action="append", metavar="NAME", help="only these; may repeat")
    run.add_argument("--gates", action="store_true", help="fail where a baseline is not met")
    run.add_argument("--update", action="store_true", help="rewrite the baselines")
    run.add_argument("--output", type=Path, metavar="FILE", help="JSON lines are appended here")
    compare = commands.add_parser("compare", help="ratios between two files of JSON lines")
    compare.add_argument("a", type=Path, metavar="A")
    compare.add_argument("b", type=Path, metavar="B")
    return parser


def _scenario(name: str) -> str:
    found = name.replace("-", "_")
    if found not in NAMES:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(NAMES)}")
    return found


def _run(arguments: argparse.Namespace) -> int:
    names = arguments.scenario or NAMES
    loads = _loads([name for name in names if name in SCENARIOS], arguments)
    records, tables = list(loads), [report.markdown(loads)] if loads else []
    for name, (measure, markdown) in OTHERS.items():
        if name in names:
            _say(name)
            found = measure(arguments.scale)
            records += found
            tables.append(markdown(found))
    now = datetime.now(UTC)
    target = arguments.output or scenarios.RUNS / f"{now:%Y%m%dT%H%M%S}.jsonl"
    report.write_lines(records, target)
    print(json.dumps(records, indent=2) if arguments.json else "\n\n".join(tables))
    _say(f"kept in {target}")
    met = _gates(arguments, loads)
    return 0 if met and report.succeeded(records) else 1


def _gates(arguments: argparse.Namespace, loads: list[Record]) -> bool:
    """Return whether this library did what the baselines say, where that is asked."""
    found = gates.counted(loads)
    if arguments.update:
        _say(f"baselines: {gates.write_baseline(arguments.scale, found)}")
    if not arguments.gates:
        return True
    wrong = gates.differences(found, gates.read_baseline(arguments.scale))
    for line in wrong:
        _say(f"gate: {line}")
    _say("gates: " + (f"{len(wrong)} not met" if wrong else "met"))
    return not wrong


def _loads(names: Sequence[str], arguments: argparse.Namespace) -> list[Record]:
    memory_limit = arguments.memory_limit or ("2GB" if arguments.scale == "L" else None)
    limits = Limits(threads=arguments.threads, memory_limit=memory_limit)
    scale = datasets.SCALES[arguments.scale]
    records = []
    for name in names:
        scenario = scenarios.only(SCENARIOS[name], arguments.subject)
        _say(f"{name}: {', '.join(scenario.subjects)}")
        outcomes = scenarios.run_scenario(scenario, scale, limits, repeat=arguments.repeat)
        for outcome in outcomes:
            if outcome.failure:
                _say(f"{outcome.subject} failed:\n{outcome.failure}")
        records.append(report.record(scenario, arguments.scale, outcomes, limits))
    return records


def _loads_in(path: Path) -> list[Record]:
    return [each for each in report.read_lines(path) if each["scenario"] in SCENARIOS]


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

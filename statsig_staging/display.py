"""How plans, loads, status and results look to a person."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from shlex import quote
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from statsig_staging import documents
from statsig_staging.days import in_words
from statsig_staging.journal import Outcome
from statsig_staging.plan import Check, CreateTable, Drop, Merge, Replace, ReplacePartitions
from statsig_staging.results import Usage
from statsig_staging.words import (
    NOTHING,
    count,
    difference,
    duration,
    number,
    one_line,
    price,
    size,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date
    from typing import TextIO

    from rich.console import RenderableType

    from statsig_staging.config import Experiment
    from statsig_staging.history import PastLoad
    from statsig_staging.plan import Plan, SourceReading, Step
    from statsig_staging.reader import ExperimentStatus, TableStatus
    from statsig_staging.reconciliation import Difference, Reconciliation
    from statsig_staging.results import Compaction, LoadResult, MaintenanceResult, Removed

RECENT_LOADS = 5
_WIDE = 10_000
_REST = "OTHER"
_NULL = "null"


def console_on(stream: TextIO) -> Console:
    """Return a console that prints text as it is, and as wide as needed where no terminal has a width."""
    width = None if stream.isatty() else _WIDE
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


def load_summary(result: LoadResult) -> RenderableType:
    """Return what a load did."""
    through = f"through {result.through}"
    if result.status == "unchanged":
        return Text(
            f"Nothing to do for experiment {one_line(result.experiment_id)}: no change "
            f"{result.reason}.\n"
            f"Load {result.load_id} stays published."
        )
    read = f"{size(result.bytes_read)} from {count(len(result.files_read), 'file')}"
    facts = [
        *_readings_as_facts(result.readings),
        ("bytes read", read),
        ("written", f"{count(result.rows, 'row')}, {size(result.bytes_written)}"),
        *_charged(result.usage),
        ("took", duration(result.seconds)),
        ("load", result.load_id),
    ]
    title = f"Loaded experiment {one_line(result.experiment_id)} {through}"
    return Group(Text(f"{title}: {result.refresh.value} refresh, {result.reason}."), _facts(facts))


def _charged(usage: Usage) -> Iterable[tuple[str, str]]:
    """Yield what a service charges for a load, where one does."""
    if usage != Usage():
        yield "scanned", f"{size(usage.bytes_scanned)}, {price(usage.price)}"
        yield "in queues", duration(usage.queued_seconds)


def _readings_as_facts(readings: Iterable[SourceReading]) -> Iterable[tuple[str, str]]:
    """Yield lines for the days of each source, by reason."""
    for reading in readings:
        name = f"read {reading.source}"
        for reason, days in reading.by_reason().items() or [("", ())]:
            yield name, f"{_days(days)}: {reason}" if days else f"no days ({reading.watch})"
            name = ""


def plan_view(plan: Plan) -> RenderableType:
    """Return what a load would do, and why."""
    title = f"Experiment {one_line(plan.experiment_id)} through {plan.through}"
    if not plan.steps:
        return Text(f"{title}: nothing to do, no change {plan.reason}.")
    return Group(
        Text(f"{title}: {plan.refresh.value} refresh, {plan.reason}.\n"),
        _readings(plan),
        Text(),
        _steps(plan),
        Text(f"\n{_totals(plan)}"),
    )


def _totals(plan: Plan) -> str:
    statements = sum(documents.statement_count(step) for step in plan.steps)
    files = frozenset[str]().union(*(documents.files_read(step) for step in plan.steps))
    amount = sum(documents.bytes_read(step) for step in plan.steps)
    atmost = "at most " if any(step.guard is not None for step in plan.steps) else ""
    return (
        f"Total: {atmost}{count(statements, 'statement')}, "
        f"{count(len(files), 'source file')}, {size(amount)} to read{_about(plan)}."
    )


def _about(plan: Plan) -> str:
    """Return about what a plan costs, where somebody charges for it."""
    if not plan.price_per_tb:
        return ""
    return f", about {price(sum(documents.price(step, plan.price_per_tb) for step in plan.steps))}"


def _readings(plan: Plan) -> Table:
    table = _table(_left("Source"), _left("Days to read"), _left("Why"))
    for reading in plan.readings:
        name = reading.source
        for reason, days in reading.by_reason().items():
            table.add_row(name, _days(days), reason)
            name = ""
        table.add_row(name, NOTHING if not reading.days else "", f"({reading.watch})")
    return table


def _steps(plan: Plan) -> Table:
    table = _table(
        _left("Step"),
        _left("Writes"),
        _right("Statements"),
        _right("Files"),
        _right("Bytes"),
        *([_right("Price")] if plan.price_per_tb else []),
        _left("Why"),
    )
    for step in plan.steps:
        statements = documents.statement_count(step)
        table.add_row(
            step.name,
            _writes(step),
            f"up to {statements:,}" if step.guard is not None else f"{statements:,}",
            _or_nothing(len(documents.files_read(step))),
            size(documents.bytes_read(step)) if documents.bytes_read(step) else NOTHING,
            *([price(documents.price(step, plan.price_per_tb))] if plan.price_per_tb else []),
            one_line(step.reason),
        )
    return table


def _writes(step: Step) -> str:
    table = documents.table_of(step)
    match step.action:
        case CreateTable():
            return f"create {table}"
        case ReplacePartitions(partitions=days):
            return f"replace {count(len(days), 'day')} of {table}"
        case Merge():
            return f"merge into {table}"
        case Replace():
            return f"replace rows of {table}"
        case Drop():
            return f"drop {table}"
        case Check():
            return "nothing: a check"


def status_view(status: ExperimentStatus) -> RenderableType:
    """Return what is published of an experiment, and what its last loads did."""
    name = one_line(status.experiment_id)
    if not status.loads:
        command = f"statsig-staging run --experiment {one_line(quote(status.experiment_id))}"
        return Group(
            Text(f"Experiment {name}: nothing is published yet.\n  run it: {command}"),
            *([_facts(unpublished)] if (unpublished := _unpublished(status)) else []),
            *_sections(status),
        )
    load = status.loads[0]
    facts = [
        ("watermark", f"{load.watermark}, the first day that is not loaded"),
        ("load", load.load_id),
        ("published", f"{load.published_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("refresh", f"{load.refresh}, took {duration(load.seconds)}"),
        *(("warning", one_line(warning)) for warning in load.warnings),
        *_unpublished(status),
    ]
    return Group(
        Text(f"Experiment {name}: published from {load.start} through {load.through}"),
        _facts(facts),
        *_sections(status),
    )


def _unpublished(status: ExperimentStatus) -> list[tuple[str, str]]:
    """Return the lines about the loads since the current one: running, killed or failed."""
    found: list[tuple[str, str]] = []
    for load in status.history[:RECENT_LOADS]:
        where = "" if load.job is None else f" in {one_line(load.job)}"
        began = f"load {load.load_id} began at {load.began_at:%Y-%m-%d %H:%M:%S} UTC"
        match load.outcome:
            case Outcome.PUBLISHED:
                break
            case Outcome.RUNNING:
                found.append(("running", f"{began}, now{where or ' between jobs'}"))
            case Outcome.INTERRUPTED:
                repaired = "; the next run repairs it" if load.awaits_repair else ""
                found.append(("interrupted", f"{began} and did not end{where}{repaired}"))
            case Outcome.FAILED:
                found.append(("failed", f"{began} and failed{where}: {one_line(load.error or '')}"))
    return found


def _sections(status: ExperimentStatus) -> Iterable[RenderableType]:
    """Yield the tables of a status, those that have rows, each below an empty line."""
    shown = status.history[:RECENT_LOADS]
    for table in (
        _tables(status.tables),
        _watches(status.readings),
        _loads(shown, {load.load_id: load.number for load in status.loads}),
        _reads(shown),
    ):
        if table.row_count:
            yield Text()
            yield Padding(table, (0, 0, 0, 2), expand=False)


def _tables(tables: Iterable[TableStatus]) -> Table:
    table = _table(_left("Table"), _right("Rows"), _right("Files"), _right("Size"))
    for found in tables:
        row = found.size
        table.add_row(found.name, f"{row.rows:,}", f"{row.files:,}", size(row.bytes))
    return table


def _watches(readings: Iterable[SourceReading]) -> Table:
    table = _table(_left("Source"), _left("How changes are noticed"))
    for reading in readings:
        table.add_row(one_line(reading.source), reading.watch)
    return table


def _loads(loads: Sequence[PastLoad], numbers: Mapping[str, int]) -> Table:
    charged = any(load.price for load in loads)
    table = _table(
        _right("#"),
        _left("Began (UTC)"),
        _left("Outcome"),
        _left("Through"),
        _left("Refresh"),
        _right("Rows"),
        _right("Read"),
        _right("Written"),
        *([_right("Price")] if charged else []),
        _right("Took"),
        _left("Load"),
    )
    for load in loads:
        table.add_row(
            f"{numbers[load.load_id]:,}" if load.load_id in numbers else NOTHING,
            f"{load.began_at:%Y-%m-%d %H:%M:%S}",
            load.outcome.value,
            load.through.isoformat(),
            load.refresh,
            f"{load.rows:,}",
            size(load.bytes_read),
            size(load.bytes_written),
            *([price(load.price)] if charged else []),
            duration(load.seconds),
            load.load_id,
        )
    return table


def _reads(loads: Iterable[PastLoad]) -> Table:
    """Return what each load read of its sources, and why; the columns are those of a plan."""
    table = _table(_left("Load"), _left("Source"), _left("Days read"), _left("Why"))
    for load in loads:
        if load.reason is not None:
            table.add_row(load.load_id, "", "", f"{load.refresh} refresh, {one_line(load.reason)}")
        for reading in load.readings:
            source = one_line(reading.source)
            for reason, days in reading.by_reason().items():
                table.add_row("", source, _days(days), reason)
                source = ""
    return table


def removed(found: Removed) -> str:
    """Return how much was removed."""
    return f"{count(found.files, 'file')}, {size(found.bytes)}" if found.files else NOTHING


def maintenance_view(done: MaintenanceResult) -> RenderableType:
    """Return what maintaining a project did, a line for each experiment."""
    table = _table(
        _left("Experiment"),
        _left("Expired snapshots"),
        _left("Old metadata and loads"),
        _left("Orphans"),
        _left("Compacted"),
        _left("Note"),
    )
    for each in done.experiments:
        parts = (each.expired, each.old, each.orphans)
        note = f"published as load {each.load_id}" if each.load_id else each.skipped or ""
        table.add_row(
            one_line(each.experiment_id),
            *map(removed, parts),
            ", ".join(each.compacted) or NOTHING,
            one_line(note),
        )
    found = [each.removed for each in done.experiments]
    found += [each.removed for each in done.forwarded]
    total = sum(found, done.scratch)
    scratch = f"Scratch space of processes that are gone: {removed(done.scratch)}."
    compacted = compaction_view(done.forwarded) if done.forwarded else Text()
    return Group(table, compacted, Text(f"\n{scratch}\nRemoved in all: {removed(total)}."))


def compaction_view(found: Sequence[Compaction]) -> RenderableType:
    """Return what putting the files of forwarded tables together did, a line for each table."""
    if not found:
        return Text("Nothing has been forwarded.")
    table = _table(
        _left("Forwarded table"),
        _left("Put together"),
        _left("Removed"),
        _left("Kept for readers"),
        _left("Note"),
    )
    for each in found:
        merged = f"{count(each.merged, 'file')} of {count(len(each.days), 'day')} into {each.into}"
        table.add_row(
            one_line(each.table),
            merged if each.merged else NOTHING,
            removed(each.removed),
            count(each.waiting, "file") if each.waiting else NOTHING,
            one_line(each.skipped or ""),
        )
    return table


def reconciliation_view(found: Reconciliation) -> RenderableType:
    """Return the cells that differ from what their sources hold, the first ones of each table."""
    what = f"load {found.load_id} of experiment {one_line(found.experiment_id)}"
    healed = f"Days were read again, as load {found.healed.load_id}.\n" if found.healed else ""
    if not found.rows:
        compared = count(len(found.tables), "table")
        return Text(f"{healed}Nothing differs: {compared} of {what} through {found.through}.")
    table = _table(
        _left("Table"), _left("Key"), _left("Column"), _left("Staged"), _left("Recomputed")
    )
    for differing in found.tables:
        for each in differing.shown:
            key = ", ".join(
                f"{name}={value}" for name, value in each.key.items() if value is not None
            )
            sides = [_side(each, value) for value in (each.staged, each.recomputed)]
            table.add_row(
                differing.table, one_line(key), each.column or "(row)", *map(one_line, sides)
            )
    verb = "differs" if found.rows == 1 else "differ"
    by_table = ", ".join(f"{each.table} {each.rows:,}" for each in found.tables if each.rows)
    summary = f"{count(found.rows, 'row')} {verb} in {what}: {by_table}."
    return Group(Text(f"{healed}{summary}\n"), table)


def _side(difference: Difference, value: object) -> str:
    if difference.column is None:
        return "there" if value else "missing"
    return NOTHING if value is None else str(value)


def results_view(rows: Sequence[Mapping[str, Any]], experiment: Experiment) -> RenderableType:
    """Return a table per metric: its groups on the last day that ``rows`` hold, the control first.

    A dimension of a metric has a table of its own, with the groups of each level, the largest level first.

    Args:
        rows: Rows of ``results``, of one rollup.
        experiment: Its control is what the other groups are compared with.
    """
    rank = {metric: index for index, metric in enumerate(experiment.metrics)}
    last = last_day(rows)
    of_day = [row for row in rows if _day(row) == last]
    units: Counter[tuple[str | None, ...]] = Counter()
    for row in of_day:
        units[_part(row)] += row["units"]
    shown = sorted(
        of_day,
        key=lambda row: (
            rank.get(row["metric"], len(rank)),
            *_heading(row),
            row["dimension_value"] == _REST,
            -units[_part(row)],
            row["dimension_value"] is None,
            row["dimension_value"] or "",
            row["group_id"] != experiment.control,
            row["group_id"],
        ),
    )
    parts: list[RenderableType] = []
    for _, group in groupby(shown, key=_heading):
        parts += [Text(), _metric(list(group), experiment.control)]
    return Group(*parts)


def last_day(rows: Iterable[Mapping[str, Any]]) -> date | int | None:
    """Return the last day in rows of one rollup: a date, or a number of days since exposure."""
    return max((day for row in rows if (day := _day(row)) is not None), default=None)


def _day(row: Mapping[str, Any]) -> Any:
    return row["ds"] if row["ds"] is not None else row["day_index"]


def _heading(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["metric"], row["dimension"] or ""


def _part(row: Mapping[str, Any]) -> tuple[str | None, ...]:
    return row["metric"], row["dimension"], row["dimension_value"]


def _metric(rows: Sequence[Mapping[str, Any]], control: str | None) -> RenderableType:
    metric, dimension = _heading(rows[0])
    title = f"{metric} by {dimension}" if dimension else metric
    bases = {_part(row): row["mean"] for row in rows if row["group_id"] == control}
    columns = [_left("Group"), _right("Units"), _right("Mean"), _right("Total")]
    if dimension:
        columns.insert(0, _left(one_line(dimension)))
    if control is not None:
        columns.append(_right(f"Mean vs {one_line(control)}"))
    table = _table(*columns)
    for row in rows:
        cells = [row["group_id"], f"{row['units']:,}", number(row["mean"]), number(row["total"])]
        if control is not None:
            base = bases.get(_part(row))
            cells.append("" if row["group_id"] == control else difference(row["mean"], base))
        if dimension:
            cells.insert(0, _NULL if row["dimension_value"] is None else row["dimension_value"])
        table.add_row(*map(one_line, cells))
    return Group(Text(one_line(title), style="bold"), Padding(table, (0, 0, 0, 2), expand=False))


def _days(days: Iterable[date]) -> str:
    listed = tuple(days)
    return f"{in_words(listed)} ({count(len(listed), 'day')})" if listed else "no days"


def _or_nothing(amount: int) -> str:
    return f"{amount:,}" if amount else NOTHING


def _facts(facts: Iterable[tuple[str, str]]) -> RenderableType:
    table = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2))
    for name, value in facts:
        table.add_row(one_line(name), value)
    return Padding(table, (0, 0, 0, 2), expand=False)


def _table(*columns: Column) -> Table:
    return Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def _left(header: str) -> Column:
    return Column(header, overflow="fold")


def _right(header: str) -> Column:
    return Column(header, justify="right", no_wrap=True)

"""What a person sees: numbers in words, tables of plans, status and results, progress of a load."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console
from sqlglot import exp

from statsig_staging import display, documents, words
from statsig_staging.config import Experiment
from statsig_staging.history import PastLoad
from statsig_staging.journal import Outcome
from statsig_staging.names import experiment_table
from statsig_staging.plan import (
    Batch,
    Check,
    Column,
    ColumnType,
    CreateTable,
    Drop,
    Merge,
    Plan,
    Refresh,
    Replace,
    ReplacePartitions,
    SourceReading,
    Step,
    Table,
)
from statsig_staging.progress import Bars, Lines, Watch
from statsig_staging.reader import ExperimentStatus, TableStatus
from statsig_staging.results import (
    BatchFinished,
    LoadPublished,
    LoadResult,
    LoadStarted,
    StepFailed,
    StepFinished,
    StepResult,
    StepStarted,
    Warned,
)
from statsig_staging.state import Published
from statsig_staging.warehouses.base import TableSize

if TYPE_CHECKING:
    from rich.console import RenderableType

    from statsig_staging.plan import Write
    from statsig_staging.results import Event

JAN = [date(2026, 1, day) for day in range(1, 8)]


def text_of(view: RenderableType) -> list[str]:
    """Return the lines of a view where nobody sets a width."""
    stream = io.StringIO()
    display.console_on(stream).print(view)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def table(name: str = "results") -> Table:
    return Table(
        name=experiment_table(name, "123"),
        experiment_id="123",
        columns=(Column("ds", ColumnType.DATE),),
    )


def batch(*days: date) -> Batch:
    return Batch(select=exp.select("1"), partitions=days)


def step(action: Write | Check, **options: Any) -> Step:
    return Step(name="some_step", reason="because", action=action, **options)


def plan_of(*steps: Step, readings: tuple[SourceReading, ...] = ()) -> Plan:
    return Plan(
        experiment_id="123",
        refresh=Refresh.INCREMENTAL,
        reason="since load a through 2026-01-02",
        start=JAN[0],
        through=JAN[3],
        watermark=JAN[4],
        totals_through=None,
        steps=steps,
        readings=readings,
        warnings=(),
        definitions={},
    )


def published(**options: Any) -> Published:
    values: dict[str, Any] = {
        "load_id": "20260105T000000Z-aa",
        "number": 1,
        "published_at": datetime(2026, 1, 5, 3, 4, 5, tzinfo=UTC),
        "refresh": "full",
        "start": JAN[0],
        "through": JAN[3],
        "watermark": JAN[4],
        "definitions": {},
        "sources": {},
        "tables": {},
        "rows": 1234,
        "bytes_read": 2_000_000,
        "bytes_written": 1_000,
        "seconds": 2.5,
    }
    return Published(**values | options)


def past_load(**options: Any) -> PastLoad:
    values: dict[str, Any] = {
        "load_id": "20260105T000000Z-aa",
        "outcome": Outcome.PUBLISHED,
        "began_at": datetime(2026, 1, 5, 3, 4, 2, tzinfo=UTC),
        "refresh": "full",
        "through": JAN[3],
        "seconds": 2.5,
        "rows": 1234,
        "bytes_read": 2_000_000,
        "bytes_written": 1_000,
    }
    return PastLoad(**values | options)


def row(group: str, mean: float | None, **options: Any) -> dict[str, Any]:
    values = {
        "metric": "revenue",
        "dimension": None,
        "dimension_value": None,
        "ds": JAN[3],
        "day_index": None,
        "group_id": group,
        "units": 1234,
        "total": 12345.678,
        "mean": mean,
    }
    return values | options


def experiment(control: str | None = "control") -> Experiment:
    return Experiment.model_validate(
        {
            "id": "123",
            "assignment_source": "exposures",
            "unit": "user_id",
            "start": "2026-01-01",
            "groups": ["control", "test"],
            "control": control,
            "metrics": ["revenue", "orders"],
        }
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (float("inf"), "inf"),
        (0.0, "0"),
        (464.0, "464"),
        (21440.37, "21,440"),
        (1234567.0, "1,234,567"),
        (0.30687, "0.3069"),
        (-5.2, "-5.200"),
        (999.99, "1000"),
        (0.0000123, "1.23e-05"),
        (1e22, "1e+22"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    """Whole and large numbers have separators, others four significant digits."""
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("value", "base", "text"),
    [
        (1.1, 1.0, "+10.00%"),
        (0.5, 1.0, "-50.00%"),
        (-1.0, -2.0, "+50.00%"),
        (1.0, 0.0, "-"),
        (None, 1.0, "-"),
        (1.0, None, "-"),
    ],
)
def test_differences(value: float | None, base: float | None, text: str) -> None:
    """A difference is relative to the size of the base, where it has one."""
    assert words.difference(value, base) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (137_376, "137 kB"),
        (999_999, "1.0 MB"),
        (5e15, "5,000 TB"),
    ],
)
def test_sizes(amount: float, text: str) -> None:
    """Bytes are shown in decimal units."""
    assert words.size(amount) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.126, "0.13 s"), (12.34, "12.3 s"), (59.99, "1 min 0 s")]
)
def test_durations(seconds: float, text: str) -> None:
    """Seconds become minutes where there are many."""
    assert words.duration(seconds) == text


def test_one_is_not_many() -> None:
    """A count agrees with its noun."""
    assert [words.count(amount, "row") for amount in (0, 1, 1234)] == [
        "0 rows",
        "1 row",
        "1,234 rows",
    ]


def test_text_cannot_steer_the_terminal() -> None:
    """Line ends become spaces, control characters are spelled out."""
    assert words.one_line("a\nb\x1b[31mc é") == "a b\\x1b[31mc é"


def test_results_are_compared_with_the_control() -> None:
    """The control comes first, the others with their difference to it."""
    rows = [row("test", 2.2), row("a", 1.0), row("control", 2.0)]

    assert text_of(display.results_view(rows, experiment())) == [
        "",
        "revenue",
        "  Group    Units   Mean   Total  Mean vs control",
        "  control  1,234      2  12,346",
        "  a        1,234      1  12,346          -50.00%",
        "  test     1,234  2.200  12,346          +10.00%",
    ]


def test_results_without_a_control() -> None:
    """Without a control there is nothing to compare with, and no such column."""
    lines = text_of(display.results_view([row("test", None)], experiment(control=None)))

    assert lines[2:] == ["  Group  Units  Mean   Total", "  test   1,234     -  12,346"]


def test_results_of_the_last_day_in_the_order_of_the_metrics() -> None:
    """Earlier days are left out; metrics come as they are declared, a dimension below its metric."""
    rows = [
        row("control", 7.0, ds=JAN[2]),
        row("control", 1.0, metric="orders"),
        row("control", 2.0, dimension="device", dimension_value="ios"),
        row("control", 2.0, dimension="device", dimension_value="web"),
        row("control", 3.0),
    ]
    lines = text_of(display.results_view(rows, experiment()))

    assert [line for line in lines if line and not line.startswith(" ")] == [
        "revenue",
        "revenue by device",
        "orders",
    ]
    assert "7" not in "".join(lines)


def test_levels_of_a_dimension_come_by_their_size() -> None:
    """The largest level first and OTHER last; each is compared with the control of its own."""
    levels: list[tuple[str | None, int]] = [("OTHER", 9), ("ios", 1), (None, 2)]
    rows = [
        row(group, mean, units=units, total=None, dimension="device", dimension_value=level)
        for level, units in levels
        for group, mean in (("test", 3.0), ("control", float(units)))
    ]

    assert text_of(display.results_view(rows, experiment()))[1:] == [
        "revenue by device",
        "  device  Group    Units  Mean  Total  Mean vs control",
        "  null    control      2     2      -",
        "  null    test         2     3      -          +50.00%",
        "  ios     control      1     1      -",
        "  ios     test         1     3      -         +200.00%",
        "  OTHER   control      9     9      -",
        "  OTHER   test         9     3      -          -66.67%",
    ]


def test_names_are_no_markup() -> None:
    """A group that looks like markup is shown as it is."""
    lines = text_of(display.results_view([row("[red]x[/red]", 1.0)], experiment()))

    assert any("[red]x[/red]" in line for line in lines)


def test_a_rollup_by_day_index_ends_with_its_last() -> None:
    """Where rows have no date, the highest day index is the last day."""
    rows = [row("test", 1.0, ds=None, day_index=day) for day in (0, 1)]

    assert display.last_day(rows) == 1
    assert display.last_day([]) is None


@pytest.mark.parametrize(
    ("action", "kind", "writes"),
    [
        (CreateTable(target=table(), batches=(batch(),)), "create_table", "create results_123"),
        (
            ReplacePartitions(target=table(), partitions=(JAN[0],), batches=(batch(JAN[0]),)),
            "replace_partitions",
            "replace 1 day of results_123",
        ),
        (
            Merge(target=table(), keys=("ds",), deleted="gone", batches=(batch(),)),
            "merge",
            "merge into results_123",
        ),
        (Replace(target=table(), batches=(batch(),)), "replace", "replace rows of results_123"),
        (Drop(target=table()), "drop", "drop results_123"),
        (Check(select=batch().select, messages={}), "check", "nothing: a check"),
    ],
)
def test_every_kind_of_write_has_words(action: Write | Check, kind: str, writes: str) -> None:
    """Each step says what it writes, to people and to programs."""
    plan = plan_of(step(action))

    assert any(writes in line for line in text_of(display.plan_view(plan)))
    assert documents.plan_document(plan, sql=False)["steps"][0]["write"] == kind


def test_a_plan_groups_days_by_reason() -> None:
    """Each source has a line per reason, and one that says how its changes are noticed."""
    days = {JAN[2]: "changed", JAN[0]: "changed", JAN[3]: "not loaded yet"}
    readings = (
        SourceReading(source="events", days=days, watch="file by file"),
        SourceReading(source="facts", days={}, watch="by luck"),
    )
    write = Replace(target=table(), batches=(batch(),))
    lines = text_of(display.plan_view(plan_of(step(write), readings=readings)))

    assert lines[2:7] == [
        "Source  Days to read                     Why",
        "events  2026-01-01, 2026-01-03 (2 days)  changed",
        "        2026-01-04 (1 day)               not loaded yet",
        "                                         (file by file)",
        "facts   -                                (by luck)",
    ]


def test_a_guarded_step_may_run_less() -> None:
    """Where a step decides while it runs, its statements are an upper limit."""
    write = Replace(target=table(), batches=(batch(), batch()))
    lines = text_of(display.plan_view(plan_of(step(write, guard=batch().select))))

    assert any("up to 2" in line for line in lines)
    assert lines[-1].startswith("Total: at most 2 statements")


def test_an_empty_plan_says_so() -> None:
    """Without steps there is nothing to do."""
    assert text_of(display.plan_view(plan_of())) == [
        "Experiment 123 through 2026-01-04: nothing to do, no change since load a through 2026-01-02."
    ]


def test_each_statement_has_a_comment() -> None:
    """A statement's comment names its step, position, write and days; values are filled in."""
    select = exp.select("CAST(:day AS DATE) AS ds")
    batches = tuple(
        Batch(select=select, values={"day": f"{day}"}, partitions=(day,)) for day in JAN[:2]
    )
    plan = plan_of(step(CreateTable(target=table(), batches=batches)))

    assert list(documents.statements_text(plan))[1] == (
        "-- step some_step, statement 2 of 2: create_table results_123, 2026-01-02\n"
        "SELECT\n  CAST('2026-01-02' AS DATE) AS ds;\n"
    )


def test_status() -> None:
    """The current load is told first, then tables, sources, loads, and what these read and why."""
    reading = SourceReading(
        source="events",
        days={JAN[1]: "its files changed", JAN[2]: "not loaded yet", JAN[3]: "not loaded yet"},
        watch="changes are seen file by file",
    )
    status = ExperimentStatus(
        experiment_id="123",
        loads=(published(warnings=("beware",)),),
        tables=(TableStatus(name="results_123", size=TableSize(rows=280, bytes=9330, files=1)),),
        history=(past_load(readings=(reading,), reason="asked for"),),
    )

    assert text_of(display.status_view(status)) == [
        "Experiment 123: published from 2026-01-01 through 2026-01-04",
        "  watermark  2026-01-05, the first day that is not loaded",
        "  load       20260105T000000Z-aa",
        "  published  2026-01-05 03:04:05 UTC",
        "  refresh    full, took 2.50 s",
        "  warning    beware",
        "",
        "  Table        Rows  Files    Size",
        "  results_123   280      1  9.3 kB",
        "",
        "  Source  How changes are noticed",
        "  events  changes are seen file by file",
        "",
        "  #  Began (UTC)          Outcome    Through     Refresh   Rows    Read  Written    Took  Load",
        "  1  2026-01-05 03:04:02  published  2026-01-04  full     1,234  2.0 MB   1.0 kB  2.50 s"
        "  20260105T000000Z-aa",
        "",
        "  Load                 Source  Days read                        Why",
        "  20260105T000000Z-aa                                           full refresh, asked for",
        "                       events  2026-01-02 (1 day)               its files changed",
        "                               2026-01-03..2026-01-04 (2 days)  not loaded yet",
    ]


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (
            {"outcome": Outcome.RUNNING, "job": "results"},
            "running    load b began at 2026-01-05 03:04:02 UTC, now in results",
        ),
        (
            {"outcome": Outcome.RUNNING},
            "running    load b began at 2026-01-05 03:04:02 UTC, now between jobs",
        ),
        (
            {"outcome": Outcome.INTERRUPTED, "job": "results", "awaits_repair": True},
            "interrupted  load b began at 2026-01-05 03:04:02 UTC and did not end in results; "
            "the next run repairs it",
        ),
        (
            {"outcome": Outcome.FAILED, "error": "no\nexposures"},
            "failed     load b began at 2026-01-05 03:04:02 UTC and failed: no exposures",
        ),
    ],
    ids=["in a job", "between jobs", "interrupted", "failed"],
)
def test_status_names_what_came_after_the_published_load(load: dict[str, Any], said: str) -> None:
    """A load that runs, was killed or failed since; not those before the published one."""
    status = ExperimentStatus(
        experiment_id="123",
        loads=(published(),),
        tables=(),
        history=(
            past_load(load_id="b", **load),
            past_load(),
            past_load(load_id="old", outcome=Outcome.FAILED, error="long ago"),
        ),
    )

    lines = text_of(display.status_view(status))

    assert f"  {said}" in lines
    assert not [line for line in lines if "long ago" in line]
    assert [line.split()[-1] for line in lines[-3:]] == ["b", "20260105T000000Z-aa", "old"]


def test_what_was_repaired_does_not_wait_for_it() -> None:
    """A run that came since has put it right, whatever it did."""
    history = (
        past_load(load_id="b", outcome=Outcome.FAILED, error="no"),
        past_load(load_id="a", outcome=Outcome.INTERRUPTED),
    )
    status = ExperimentStatus(experiment_id="123", loads=(), tables=(), history=history)

    lines = text_of(display.status_view(status))

    assert status.interrupted is None
    assert not [line for line in lines if "repair" in line]


def test_status_before_the_first_load() -> None:
    """What is not loaded yet comes with the command that loads it."""
    status = ExperimentStatus(experiment_id="123", loads=(), tables=())

    assert text_of(display.status_view(status))[1] == (
        "  run it: statsig-staging run --experiment 123"
    )


def test_load_summary() -> None:
    """A load says what it did, why, what it read and its id."""
    result = LoadResult(
        experiment_id="123",
        load_id="abc",
        status="published",
        refresh=Refresh.FULL,
        reason="asked for",
        start=JAN[0],
        through=JAN[2],
        steps=(StepResult(step="s", table="t", seconds=1.0, rows=5, files_read=frozenset({"a"})),),
        readings=(
            SourceReading(
                source="events",
                days={
                    JAN[0]: "its files changed",
                    JAN[1]: "not loaded yet",
                    JAN[2]: "not loaded yet",
                },
                watch="changes are seen file by file",
            ),
            SourceReading(source="facts", days={}, watch="changes are seen file by file"),
        ),
        seconds=1.5,
    )

    assert text_of(display.load_summary(result)) == [
        "Loaded experiment 123 through 2026-01-03: full refresh, asked for.",
        "  read events  2026-01-01 (1 day): its files changed",
        "               2026-01-02..2026-01-03 (2 days): not loaded yet",
        "  read facts   no days (changes are seen file by file)",
        "  bytes read   0 B from 1 file",
        "  written      5 rows, 0 B",
        "  took         1.50 s",
        "  load         abc",
    ]


STEP = StepFinished(step="scan", seconds=0.5, rows=1000, bytes_read=2_000, bytes_written=1)
EVENTS: tuple[Event, ...] = (
    Warned(message="be\ncareful"),
    LoadStarted(experiment_id="123", load_id="abc", steps=("scan", "write")),
    StepStarted(step="scan", batches=2),
    BatchFinished(step="scan", done=1, batches=2),
    STEP,
    StepStarted(step="write", batches=0),
    StepFailed(step="write", error="no"),
    StepFailed(step="never_started", error="no"),
    LoadPublished(load_id="abc"),
)


def test_a_line_per_finished_step() -> None:
    """Where there is no terminal, steps become lines as they end."""
    said: list[str] = []
    with Lines(said.append) as lines:
        for event in EVENTS:
            lines(event)

    assert said[1:] == [
        "load abc of experiment 123: 2 steps",
        "scan: 1,000 rows, 2.0 kB read, 0.50 s",
        "write: failed",
        "never_started: failed",
    ]
    assert said[0].startswith("warning: ")


def test_a_bar_per_step() -> None:
    """On a terminal every step has a bar that ends with what it did."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80, color_system=None)
    with Bars(console) as bars:
        for event in EVENTS:
            bars(event)
    last = [line for line in stream.getvalue().splitlines() if "/" in line][-2:]

    assert "warning: be careful" in stream.getvalue()
    assert "2/2" in last[0]
    assert "1,000 rows, 2.0 kB read, 0.50 s" in last[0]
    assert "failed" in last[1]


def test_a_load_cut_short_names_its_step() -> None:
    """Between its beginning and its publication, a load leaves nothing behind, and says so."""
    seen: list[Event] = []
    watch = Watch(seen.append)
    outcomes = [watch.outcome()]
    for event in (EVENTS[1], EVENTS[6], EVENTS[8]):
        watch(event)
        outcomes.append(watch.outcome())

    readable = "nothing was published, what was published before stays readable"
    assert outcomes == [None, readable, f"step write failed; {readable}", None]
    assert seen == [EVENTS[1], EVENTS[6], EVENTS[8]]

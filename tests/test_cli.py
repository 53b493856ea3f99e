"""The command line: exit codes, what goes to stdout and what to stderr, documents, errors."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import resources
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

import statsig_staging as staging
from statsig_staging import demo
from statsig_staging.cli import commands, main
from statsig_staging.engine import Engine
from statsig_staging.results import LoadStarted, StepFailed, StepStarted, Warned

if TYPE_CHECKING:
    from pathlib import Path

    from statsig_staging.results import Event

UNITS = 300
HEAVY = ("boto3", "duckdb", "pyarrow", "pydantic", "pyiceberg", "rich", "sqlglot", "yaml")
RESULT_COLUMNS = {"rollup", "ds", "metric", "group_id", "units", "total", "mean", "variance"}


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Outcome]


def new_project(folder: Path) -> Path:
    """Write a demonstration with few units."""
    text = resources.files("statsig_staging").joinpath("starters", "demo.yml").read_text("utf-8")
    folder.mkdir(exist_ok=True)
    (folder / "staging.yml").write_text(text, encoding="utf-8")
    demo.write_data(folder / "data", units=UNITS)
    return folder


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two published loads; nobody changes it."""
    folder = new_project(tmp_path_factory.mktemp("loaded"))
    for through in ("2026-01-10", "2026-01-14"):
        assert (
            main(["run", "--experiment", "123", "--project", str(folder), "--through", through])
            == 0
        )
    return folder


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A project that nothing is loaded of."""
    return new_project(tmp_path / "fresh")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command in this process; a folder becomes its project."""

    def called(*args: str, project: Path | None = None) -> Outcome:
        where = [] if project is None else ["--project", str(project)]
        capsys.readouterr()
        code = main([*args, *where])
        said = capsys.readouterr()
        assert "Traceback" not in said.err or "--debug" in args
        return Outcome(code, said.out, said.err)

    return called


def process(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "statsig_staging", *args],
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


def test_from_nothing_to_results(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new demonstration is loaded and shows each of its metrics."""
    monkeypatch.setattr(demo, "write_data", partial(demo.write_data, units=UNITS))
    folder = tmp_path / "a shop"

    begun = call("init", str(folder), "--demo")
    assert begun.code == 0
    assert f"run --experiment 123 --project '{folder}'" in begun.out
    assert call("run", "--experiment", "123", project=folder).code == 0
    shown = call("results", "--experiment", "123", project=folder)

    titles = [line for line in shown.out.splitlines()[1:] if line and not line.startswith(" ")]
    assert titles == ["purchases", "revenue", "order_value", "purchasers", "revenue_per_visit"]
    assert shown.out.startswith("Experiment 123, cumulative, 2026-01-14 (load ")
    assert shown.err == ""


def test_the_folder_of_the_process_is_the_project(fresh: Path) -> None:
    """Without --project the current folder is meant, and `python -m` works like the script."""
    done = process("status", cwd=fresh)

    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing is published yet" in done.stdout


def test_init_writes_a_project_that_loads(call: Call, tmp_path: Path) -> None:
    """The starter is a valid project, and what to do next is said."""
    outcome = call("init", str(tmp_path / "new"))

    assert outcome.code == 0
    assert "plan --experiment my_experiment" in outcome.out
    assert staging.load_project(tmp_path / "new").experiments


def test_init_overwrites_nothing(call: Call, tmp_path: Path) -> None:
    """A folder with a project is left alone."""
    (tmp_path / "staging.yml").write_text("mine")

    assert call("init", project=tmp_path).code == 2
    assert (tmp_path / "staging.yml").read_text() == "mine"


def test_run_tells_progress_on_stderr(call: Call, fresh: Path) -> None:
    """One line per finished step goes to stderr, the summary to stdout."""
    outcome = call("run", "--experiment", "123", project=fresh)

    assert outcome.code == 0
    steps = [line for line in outcome.err.splitlines() if " read, " in line]
    assert any(line.startswith("unit_day_metrics_events: ") for line in steps)
    assert outcome.out.startswith("Loaded experiment 123 through 2026-01-14: full refresh, ")
    assert "2026-01-01..2026-01-14 (14 days)" in outcome.out


def test_run_prints_one_document(call: Call, fresh: Path) -> None:
    """With --json stdout is one document: what the load did."""
    outcome = call("run", "--experiment", "123", "--through", "2026-01-03", "--json", project=fresh)

    assert outcome.document["through"] == "2026-01-03"
    assert outcome.document["status"] == "published"
    assert outcome.document["steps"]


def test_run_when_nothing_changed(call: Call, loaded: Path) -> None:
    """A second run does nothing and says so."""
    outcome = call("run", "--experiment", "123", project=loaded)

    assert outcome.code == 0
    assert outcome.out.startswith("Nothing to do for experiment 123: no change since load ")


def test_warnings_are_lines_on_stderr(
    call: Call, loaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the engine warns of is told while it runs."""

    def warn(*_: object, on_event: Callable[[Event], object], **__: object) -> None:
        on_event(Warned(message="3 rows have no user_id"))
        raise staging.NoExposuresError("no exposures")

    monkeypatch.setattr(Engine, "run", warn)
    outcome = call("run", "--experiment", "123", project=loaded)

    assert outcome.err.splitlines() == ["warning: 3 rows have no user_id", "error: no exposures"]


def test_plan_touches_nothing(call: Call, fresh: Path) -> None:
    """A plan names days, reasons and steps, and publishes nothing."""
    outcome = call("plan", "--experiment", "123", project=fresh)

    assert outcome.code == 0
    assert "full refresh, nothing is published yet" in outcome.out
    assert "create results_123" in outcome.out
    assert "nothing is published yet" in call("status", project=fresh).out


def test_plan_as_data(call: Call, loaded: Path) -> None:
    """Everything a plan says is in its document; SQL only when asked for."""
    args = ("plan", "--experiment", "123", "--refresh", "full", "--json")
    plain, full = (call(*args, *more, project=loaded).document for more in ((), ("--sql",)))

    assert [source["source"] for source in plain["sources"]] == ["exposures", "events"]
    assert len(plain["sources"][0]["days"][0]["days"]) == 14
    assert all("sql" not in step for step in plain["steps"])
    scan = next(step for step in full["steps"] if step["step"] == "unit_day_metrics_events")
    assert scan["files"] > 0
    assert scan["bytes"] > 0
    assert len(scan["sql"]) == scan["statements"]


def test_plan_as_sql(call: Call, loaded: Path) -> None:
    """Each statement stands below a comment, parses in Athena's dialect and has no open parameter."""
    import sqlglot

    outcome = call("plan", "--experiment", "123", "--refresh", "full", "--sql", project=loaded)
    statements = [tree for tree in sqlglot.parse(outcome.out, read="athena") if tree is not None]

    assert outcome.out.startswith("-- step ")
    assert outcome.out.count("-- step ") == len(statements)
    assert not any(tree.find(sqlglot.exp.Placeholder) for tree in statements)


def test_a_plan_of_nothing(call: Call, loaded: Path) -> None:
    """Where nothing changed, a plan says so in each of its forms."""
    args = ("plan", "--experiment", "123")

    assert "nothing to do" in call(*args, project=loaded).out
    assert call(*args, "--sql", project=loaded).out.startswith("-- nothing to do")
    assert call(*args, "--json", project=loaded).document["steps"] == []


def test_status_lists_loads_and_tables(call: Call, loaded: Path) -> None:
    """What is published, how large, and by which loads."""
    outcome = call("status", "--experiment", "123", project=loaded)

    assert "published from 2026-01-01 through 2026-01-14" in outcome.out
    assert "first_exposures_123" in outcome.out
    assert "changes are seen file by file" in outcome.out
    assert "2026-01-11..2026-01-14 (4 days)   not loaded yet" in outcome.out
    assert outcome.out.count("Z-") == 6


def test_status_as_data(call: Call, loaded: Path) -> None:
    """The current load, all loads and the tables with their sizes are in the document."""
    found = call("status", "--json", project=loaded).document["experiments"][0]

    assert found["published"]["through"] == "2026-01-14"
    assert found["published"]["watermark"] == "2026-01-15"
    assert [load["number"] for load in found["loads"]] == [2, 1]
    assert {"table": "results_123", "rows": 280}.items() <= found["tables"][-1].items()


def test_results_as_data(call: Call, loaded: Path) -> None:
    """All rollups, days and metrics of one load, dates as ISO strings."""
    document = call("results", "--experiment", "123", "--json", project=loaded).document
    rows = document["rows"]

    assert set(document) == {"experiment_id", "load_id", "through", "rows"}
    assert (document["experiment_id"], document["through"]) == ("123", "2026-01-14")
    assert {row["rollup"] for row in rows} == {"daily", "cumulative"}
    assert {row["ds"] for row in rows} == {f"2026-01-{day:02}" for day in range(1, 15)}
    assert set(rows[0]) >= RESULT_COLUMNS


def test_results_of_some(call: Call, loaded: Path) -> None:
    """--rollup and --metric, which may be repeated, choose rows."""
    args = ("results", "--experiment", "123", "--rollup", "daily")
    chosen = (*args, "--metric", "revenue", "--metric", "purchases")
    rows = call(*chosen, "--json", project=loaded).document["rows"]

    assert {(row["rollup"], row["metric"]) for row in rows} == {
        ("daily", "purchases"),
        ("daily", "revenue"),
    }
    assert call(*args, project=loaded).out.startswith("Experiment 123, daily, 2026-01-14 ")


def test_results_before_the_first_load(call: Call, fresh: Path) -> None:
    """Without a load the answer is which command to run, and exit code 3."""
    outcome = call("results", "--experiment", "123", project=fresh)

    assert (outcome.code, outcome.out) == (3, "")
    assert "run --experiment 123" in outcome.err


def test_results_of_what_there_cannot_be(call: Call, loaded: Path) -> None:
    """An unknown rollup and an unknown metric are both named, with what there is."""
    wrong = ("--rollup", "weekly", "--metric", "revenu")
    outcome = call("results", "--experiment", "123", *wrong, project=loaded)

    assert outcome.code == 2
    assert "did you mean 'revenue'?" in outcome.err
    assert "choose one of daily, cumulative" in outcome.err


def test_results_of_a_metric_that_is_not_loaded_yet(call: Call, loaded: Path) -> None:
    """A metric declared since the last load is named, with the command that loads it."""
    file = loaded / "staging.yml"
    text = file.read_text()
    new = "metrics:\n  - {name: visits, type: count, source: events}"
    listed = text.replace("\nmetrics:", f"\n{new}", 1).replace("metrics: [", "metrics: [visits, ")
    file.write_text(listed)
    try:
        outcome = call("results", "--experiment", "123", project=loaded)
    finally:
        file.write_text(text)

    assert outcome.code == 0
    assert outcome.err.startswith("warning: metric 'visits' is not in load ")


def test_clean_asks_where_it_can(call: Call, fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal it wants --yes; on one, a no leaves everything, and a yes does it."""
    assert call("run", "--experiment", "123", project=fresh).code == 0
    clean = ("clean", "--experiment", "123")

    refused = call(*clean, project=fresh)
    assert (refused.code, refused.out) == (2, "")
    assert "--yes" in refused.err

    terminal = io.StringIO("n\ny\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    assert call(*clean, project=fresh).code == 130
    assert "results_123" in call("status", project=fresh).out

    done = call(*clean, "--yes", project=fresh)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Cleaned experiment 123: ")
    assert "results_123" not in call("status", project=fresh).out
    assert "nothing is published yet" in call("status", project=fresh).out


def test_maintain_says_what_it_removed(call: Call, loaded: Path) -> None:
    """A line for each experiment, or one document."""
    shown = call("maintain", project=loaded)
    found = call("maintain", "--experiment", "123", "--json", project=loaded).document

    assert shown.code == 0
    assert "Removed in all: " in shown.out
    assert found["experiments"][0]["experiment_id"] == "123"
    assert found["experiments"][0]["removed"] == {"files": 0, "bytes": 0}


@pytest.mark.parametrize("name", list(commands.commands))
def test_help_shows_an_example(call: Call, name: str) -> None:
    """Each command's help has an example of itself, and the options that all have."""
    outcome = call(name, "--help")

    assert outcome.code == 0
    assert f"\nExamples:\n  statsig-staging {name}" in outcome.out
    assert "--project DIR" in outcome.out
    assert "--debug" in outcome.out


def test_summaries_are_whole_sentences(call: Call) -> None:
    """The list of commands cuts no summary short."""
    assert "..." not in call("--help").out.split("Commands:")[1]


def test_no_command_is_a_question(call: Call) -> None:
    """Without a command the help goes to stderr."""
    outcome = call()

    assert (outcome.code, outcome.out) == (2, "")
    assert "Commands:" in outcome.err


def test_version(call: Call) -> None:
    """--version answers on stdout."""
    assert call("--version").out.startswith("statsig-staging, version ")


@pytest.mark.parametrize("args", [("--help",), ("run", "--help"), ("results", "--help")])
def test_help_loads_no_driver(args: tuple[str, ...]) -> None:
    """Help answers at once: nothing heavy is imported for it."""
    code = (
        "import sys; from statsig_staging.cli import main; code = main(sys.argv[1:]); "
        f"print([name for name in {HEAVY!r} if name in sys.modules]); sys.exit(code)"
    )
    began = monotonic()
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True)

    assert done.stdout.splitlines()[-1] == "[]"
    assert monotonic() - began < 3


def test_schema(call: Call) -> None:
    """The schema of a project file is one document."""
    assert "experiments" in call("schema").document["properties"]


@pytest.mark.parametrize(
    "args",
    [
        ("rum",),
        ("run",),
        ("run", "--experiment"),
        ("run", "--experiment", "123", "--refresh", "sometimes"),
        ("run", "--experiment", "123", "--nonsense"),
        ("run", "--experiment", "123", "--through", "yesterday"),
        ("run", "--experiment", "123", "--through", "2026-1-5"),
        ("run", "--experiment", "123", "--through", "2026-02-30"),
        ("clean",),
        ("reconcile",),
    ],
)
def test_usage_errors(call: Call, args: tuple[str, ...]) -> None:
    """A wrong call ends with 2, says what is wrong and where to look."""
    outcome = call(*args)

    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert outcome.err.splitlines()[-1].startswith("try: statsig-staging")


@pytest.mark.parametrize(
    "args",
    [
        ("run", "--experiment", "12"),
        ("run", "--experiment", "123", "--through", "2025-12-31"),
        ("run", "--experiment", "123", "--through", "2999-01-01"),
        ("plan", "--experiment", "12"),
        ("status", "--experiment", "12"),
        ("results", "--experiment", "12"),
    ],
)
def test_calls_that_do_not_fit_the_project(call: Call, loaded: Path, args: tuple[str, ...]) -> None:
    """An unknown experiment, or a day outside of it, ends with 2."""
    outcome = call(*args, project=loaded)

    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")


def test_every_problem_of_a_project_has_its_line(call: Call, tmp_path: Path) -> None:
    """All mistakes in a project are told at once, one line each."""
    (tmp_path / "staging.yml").write_text("connection: {warehouse: local, pat: x}\nmetricks: []\n")
    outcome = call("run", "--experiment", "123", project=tmp_path)

    assert outcome.code == 2
    assert len(outcome.err.splitlines()) >= 2
    assert all(line.startswith("error: staging.yml") for line in outcome.err.splitlines())


def test_a_folder_without_a_project(call: Call, tmp_path: Path) -> None:
    """A folder without a project is named, with the command that makes one."""
    outcome = call("status", project=tmp_path)

    assert outcome.code == 2
    assert "statsig-staging init" in outcome.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (staging.ConfigError("a", "b"), 2),
        (staging.WarehouseError("no such table"), 3),
        (staging.UnsupportedSqlError("no such function"), 3),
        (staging.StepFailedError("disk full"), 4),
        (staging.NoExposuresError("none"), 4),
        (staging.LoadConflictError("held by another"), 5),
        (staging.InterruptedLoadError("stopped"), 130),
        (KeyboardInterrupt(), 130),
        (KeyError("x"), 4),
    ],
)
def test_exit_codes(
    call: Call, loaded: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    """Each kind of error ends a command with its exit code, and no traceback."""
    outcome = failing(call, loaded, monkeypatch, error)

    assert (outcome.code, outcome.out) == (code, "")
    assert all(line.startswith("error: ") for line in outcome.err.splitlines())


def failing(
    call: Call, project: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, *more: str
) -> Outcome:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Engine, "run", fail)
    return call("run", "--experiment", "123", "--json", *more, project=project)


def test_an_unexpected_error_is_one_line(
    call: Call, loaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody thought of is named, with the way to learn more."""
    outcome = failing(call, loaded, monkeypatch, KeyError("x"))

    assert outcome.err.splitlines() == [
        "error: unexpected KeyError: 'x'; add --debug to see where it comes from"
    ]


def test_debug_shows_where_an_error_comes_from(
    call: Call, loaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --debug the traceback comes before the error's lines."""
    outcome = failing(call, loaded, monkeypatch, staging.WarehouseError("no"), "--debug")

    assert outcome.err.startswith("Traceback")
    assert outcome.err.splitlines()[-1] == "error: no"
    assert outcome.code == 3


def test_a_load_that_fails_changes_nothing(call: Call, fresh: Path) -> None:
    """A file that cannot be read ends with 4, and what was published stays readable."""
    run = ("run", "--experiment", "123", "--through")
    assert call(*run, "2026-01-05", project=fresh).code == 0
    before = call("results", "--experiment", "123", "--json", project=fresh).out
    for file in fresh.glob("data/events/ds=2026-01-0[67]/*.parquet"):
        file.write_bytes(file.read_bytes()[:-200])
    outcome = call(*run, "2026-01-08", project=fresh)

    assert (outcome.code, outcome.out) == (4, "")
    assert "error: " in outcome.err
    assert call("results", "--experiment", "123", "--json", project=fresh).out == before


def test_a_failed_step_is_named(call: Call, loaded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load that fails half way says in which step, and that nothing was published."""

    def fail(*_: object, on_event: Callable[[Event], object], **__: object) -> None:
        on_event(LoadStarted(experiment_id="123", load_id="abc", steps=("scan",)))
        on_event(StepStarted(step="scan", batches=1))
        on_event(StepFailed(step="scan", error="disk full"))
        raise staging.StepFailedError("disk full")

    monkeypatch.setattr(Engine, "run", fail)
    outcome = call("run", "--experiment", "123", project=loaded)

    assert outcome.err.splitlines()[-2:] == [
        "error: disk full",
        "error: step scan failed; nothing was published, what was published before stays readable",
    ]


def closing(stream: str, *args: str) -> tuple[int, str]:
    """Run a command whose reader goes away at once; return its code and the rest of stderr."""
    reader, writer = os.pipe()
    os.close(reader)
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    pipes[stream] = writer
    command = [sys.executable, "-m", "statsig_staging", *args]
    done = subprocess.run(command, text=True, timeout=60, **pipes)
    os.close(writer)
    return done.returncode, done.stderr or ""


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_reader_that_goes_away_is_no_error(loaded: Path, more: tuple[str, ...]) -> None:
    """`statsig-staging results | head` ends quietly."""
    args = ("results", "--experiment", "123", "--project", str(loaded), *more)

    assert closing("stdout", *args) == (0, "")


def test_a_load_goes_on_when_nobody_listens(call: Call, fresh: Path) -> None:
    """Losing stderr does not stop a load."""
    args = ("run", "--experiment", "123", "--project", str(fresh))

    assert closing("stderr", *args)[0] == 0
    assert "through 2026-01-14" in call("status", project=fresh).out


def test_text_that_the_terminal_cannot_show(loaded: Path) -> None:
    """Where the encoding lacks a letter, it is spelled out."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = process("status", "--experiment", "é", "--project", str(loaded), env=environment)

    assert done.returncode == 2
    assert "\\xe9" in done.stderr

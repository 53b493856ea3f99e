"""The command line: arguments in, text or one JSON document and an exit code out."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from statsig_staging import access_commands, cli_forward, doctor_commands, failures
from statsig_staging.failures import PROGRAM
from statsig_staging.plan import Refresh
from statsig_staging.words import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import FrameType
    from typing import TextIO

    from rich.console import RenderableType

    from statsig_staging.config import Experiment, Project
    from statsig_staging.engine import Engine
    from statsig_staging.progress import Bars, Lines
    from statsig_staging.results import LoadResult


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` names, by default the process's own, and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _terminable():
            code = commands.main(args=argv, prog_name=PROGRAM, standalone_mode=False)
    except (click.ClickException, click.Abort, KeyboardInterrupt) as error:
        return _fail(error)
    return code if isinstance(code, int) else 0


@contextmanager
def _terminable() -> Iterator[None]:
    """Have SIGTERM end a command as Ctrl-C does: what runs elsewhere is stopped, and that is said."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Command(click.Command):
    """A command with ``--project``, ``--debug`` and examples; its errors become lines and exit codes."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.params += [
            click.Option(
                ["--project"],
                type=click.Path(path_type=Path),
                default=".",
                metavar="DIR",
                help="The project's folder; by default this one.",
            ),
            click.Option(["--debug"], is_flag=True, help="Show where an error comes from."),
        ]

    def format_epilog(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the examples below the options."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{PROGRAM} {example}\n")

    def invoke(self, ctx: click.Context) -> None:
        """Run the command; end it with an exit code where it fails."""
        debug = bool(ctx.params.pop("debug"))
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _silence(sys.stdout)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  the last stop of every error
            ctx.exit(_fail(error, debug=debug))


class Commands(click.Group):
    """The commands, in the order of a day's work."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands as they were declared."""
        return list(self.commands)


def _day(ctx: click.Context, param: click.Parameter, value: str | None) -> date | None:  # noqa: ARG001
    """Return the UTC day that an option names."""
    if value is None:
        return None
    try:
        day = datetime.strptime(value, "%Y-%m-%d").date()  # noqa: DTZ007  a day has no zone
    except ValueError:
        day = None
    if day is None or day.isoformat() != value:
        raise click.BadParameter(f"{value!r} is no day; write it as YYYY-MM-DD, like 2026-01-31")
    return day


_experiment = click.option(
    "--experiment", "experiment_id", required=True, metavar="ID", help="The experiment's id."
)
_refresh = click.option(
    "--refresh",
    type=click.Choice([refresh.value for refresh in Refresh]),
    default=Refresh.INCREMENTAL.value,
    show_default=True,
    help="Load what is new or changed, everything, or some metrics on every day too.",
)
_metrics = click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="Compute this metric anew, with --refresh metric; repeatable.",
)
_through = click.option(
    "--through",
    callback=_day,
    metavar="DATE",
    help="Last day to load, UTC; by default yesterday, or the experiment's last day.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group(cls=Commands, invoke_without_command=True)
@click.version_option(package_name="statsig-staging", prog_name=PROGRAM)
@click.pass_context
def commands(ctx: click.Context) -> None:
    """Stage experiment exposures and metrics as Apache Iceberg tables.

    Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 reconcile found
    differences, 2 usage or configuration, 3 the warehouse refused, 4 a step failed, 5 another load holds the experiment,
    130 interrupted.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(failures.USAGE)


@commands.command(
    cls=Command,
    examples=("init my_project", "init demo --demo"),
)
@click.argument("folder", required=False, metavar="[DIR]", type=click.Path(path_type=Path))
@click.option(
    "--demo", is_flag=True, help="With generated data, for a first run of experiment 123."
)
def init(folder: Path | None, project: Path, *, demo: bool) -> None:
    """Write a new project into a folder."""
    from statsig_staging.demo import write_demo, write_project

    root = folder or project
    if demo:
        _say("generating exposures and events …")
        write_demo(root)
    else:
        write_project(root)
    _print(f"Wrote {root / 'staging.yml'}. Next:")
    experiment = "123" if demo else "my_experiment"
    where = "" if root == Path() else f" --project {_quoted(root)}"
    verb = "run" if demo else "plan"
    _print(f"  {PROGRAM} {verb} --experiment {experiment}{where}")


@commands.command(
    cls=Command,
    examples=(
        "run --experiment 123",
        "run --experiment 123 --through 2026-01-31",
        "run --experiment 123 --refresh full --json",
        "run --experiment 123 --refresh metric --metric purchases",
        "run --experiment 123 --wait",
    ),
)
@_experiment
@_refresh
@_metrics
@_through
@click.option("--wait", is_flag=True, help="Wait while another load holds the experiment.")
@_json
def run(
    experiment_id: str,
    refresh: str,
    metrics: tuple[str, ...],
    through: date | None,
    project: Path,
    *,
    wait: bool,
    as_json: bool,
) -> None:
    """Load an experiment and publish it.

    Reads what is new or changed since the last load. Where nothing is, nothing is done.
    """
    from statsig_staging.display import load_summary

    with _connect(_project(project)) as engine:
        result = _load(
            engine, experiment_id, refresh=refresh, metrics=metrics, through=through, wait=wait
        )
    _print_json(result.to_dict()) if as_json else _show(load_summary(result))


@commands.command(
    cls=Command,
    examples=(
        "plan --experiment 123",
        "plan --experiment 123 --refresh full --sql > load.sql",
        "plan --experiment 123 --json",
    ),
)
@_experiment
@_refresh
@_metrics
@_through
@click.option("--sql", is_flag=True, help="Print the SQL of each statement, in Athena's dialect.")
@_json
def plan(
    experiment_id: str,
    refresh: str,
    metrics: tuple[str, ...],
    through: date | None,
    project: Path,
    *,
    sql: bool,
    as_json: bool,
) -> None:
    """Show what a load would do, and why.

    With the same options, `run` then does exactly this. Nothing is written.
    """
    from statsig_staging import display, documents

    with _connect(_project(project)) as engine:
        planned = engine.plan(experiment_id, refresh=refresh, metrics=metrics, through=through)
    _warn(planned.warnings)
    if as_json:
        _print_json(documents.plan_document(planned, sql=sql))
    elif sql and planned.steps:
        for statement in documents.statements_text(planned):
            _print(statement)
    elif sql:
        _print(f"-- nothing to do: no change {planned.reason}")
    else:
        _show(display.plan_view(planned))


@commands.command(cls=Command, examples=("status", "status --experiment 123 --json"))
@click.option("--experiment", "experiment_id", metavar="ID", help="Only this experiment.")
@_json
def status(experiment_id: str | None, project: Path, *, as_json: bool) -> None:
    """Show what is published of each experiment.

    The days, the tables with their sizes, and the last loads.
    """
    from statsig_staging import display, documents

    with _connect(_project(project)) as engine:
        statuses = engine.status(experiment_id)
    if as_json:
        _print_json(documents.status_document(statuses))
        return
    for index, found in enumerate(statuses):
        if index:
            _print("")
        _show(display.status_view(found))


@commands.command(
    cls=Command,
    examples=(
        "results --experiment 123",
        "results --experiment 123 --rollup daily --metric purchases",
        "results --experiment 123 --dimension device",
        "results --experiment 123 --json > results.json",
    ),
)
@_experiment
@click.option(
    "--rollup", metavar="NAME", help="daily or cumulative; by default cumulative, or all in JSON."
)
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Only this; repeatable.")
@click.option(
    "--dimension",
    metavar="NAME",
    help="By level of this; by default the whole population, or all in JSON.",
)
@_json
def results(
    experiment_id: str,
    rollup: str | None,
    metrics: tuple[str, ...],
    dimension: str | None,
    project: Path,
    *,
    as_json: bool,
) -> None:
    """Show the published statistics of each group.

    A table per metric for the last day; in JSON, the rows of all days.
    """
    from statsig_staging import display, documents

    declared = _project(project)
    experiment = declared.experiment(experiment_id)
    shown = rollup if as_json else rollup or "cumulative"
    with _connect(declared) as engine:
        table = engine.results(experiment_id, rollup=shown, metrics=metrics, dimension=dimension)
    rows = table.to_pylist()
    load_id = documents.load_of(table)["load_id"]
    wanted = [
        name
        for name in metrics or experiment.metrics
        if dimension is None or dimension in declared.metric(name).all_dimensions
    ]
    _warn_of_missing(experiment, wanted, {row["metric"] for row in rows}, load_id)
    if as_json:
        _print_json(documents.results_document(experiment_id, table))
        return
    day = display.last_day(rows)
    _print(
        f"Experiment {experiment_id}, {shown}, {'no days' if day is None else day} (load {load_id})"
    )
    _show(display.results_view([r for r in rows if r["dimension"] == dimension], experiment))


@commands.command(
    cls=Command,
    examples=(
        "reconcile --experiment 123",
        "reconcile --experiment 123 --heal",
        "reconcile --experiment 123 --json",
    ),
)
@_experiment
@click.option("--heal", is_flag=True, help="Load the days that differ again, then compare again.")
@_json
@click.pass_context
def reconcile(
    ctx: click.Context, experiment_id: str, project: Path, *, heal: bool, as_json: bool
) -> None:
    """Compare what is published with its sources.

    Recomputes everything into a scratch place. Ends with 1 where anything differs.
    """
    from statsig_staging import display, documents
    from statsig_staging.progress import Watch

    with _connect(_project(project)) as engine, _progress() as show:
        found = engine.reconcile(experiment_id, heal=heal, on_event=Watch(show))
    _warn(found.notes)
    if as_json:
        _print_json(documents.reconciliation_document(found))
    else:
        _show(display.reconciliation_view(found))
    ctx.exit(_DIFFERENT if found.rows else 0)


_DIFFERENT = 1
"""The exit code where something staged is not what its source says."""


@commands.command(cls=Command, examples=("clean --experiment 123", "clean --experiment 123 --yes"))
@_experiment
@click.option("--yes", is_flag=True, help="Do not ask first.")
def clean(experiment_id: str, project: Path, *, yes: bool) -> None:
    """Remove everything that is staged of an experiment.

    Its tables, their files and its state go; the sources are untouched, and the next load starts from
    nothing.
    """
    from statsig_staging.display import removed

    with _connect(_project(project)) as engine:
        if not yes:
            _confirm(f"Remove all tables and files of experiment {one_line(experiment_id)}?")
        found = engine.clean(experiment_id)
    _print(f"Cleaned experiment {one_line(experiment_id)}: {removed(found)} removed.")


def _confirm(question: str) -> None:
    """Ask before something is done for good."""
    if not sys.stdin.isatty():
        raise click.UsageError(
            "there is no terminal to ask on; say --yes", click.get_current_context()
        )
    click.confirm(question, abort=True, err=True)


@commands.command(
    cls=Command,
    examples=("maintain", "maintain --experiment 123", "maintain --forwarded", "maintain --json"),
)
@click.option("--experiment", "experiment_id", metavar="ID", help="Only this experiment.")
@click.option("--forwarded", is_flag=True, help="Only the forwarded tables.")
@_json
def maintain(experiment_id: str | None, project: Path, *, forwarded: bool, as_json: bool) -> None:
    """Tidy up what loads have left; no row changes.

    Old snapshots expire, small files are put together, and files that nothing names any more go once
    they are an hour old.
    """
    from statsig_staging import display, documents
    from statsig_staging.results import MaintenanceResult

    if forwarded and experiment_id is not None:
        raise click.UsageError("say --experiment or --forwarded", click.get_current_context())
    with _connect(_project(project)) as engine:
        if forwarded:
            done = MaintenanceResult(forwarded=engine.compact_forwarded())
        else:
            done = engine.maintain(experiment_id)
    if as_json:
        _print_json(documents.maintenance_document(done))
    else:
        view = (
            display.compaction_view(done.forwarded) if forwarded else display.maintenance_view(done)
        )
        _show(view)


@commands.command(cls=Command, examples=("schema > staging.schema.json",))
def schema(**_: object) -> None:
    """Print the JSON Schema of a project file, for editors."""
    from statsig_staging.project import json_schema

    _print_json(json_schema())


def _project(folder: Path) -> Project:
    from statsig_staging.doctor.keys import keys_inside
    from statsig_staging.project import load_project

    project = load_project(folder)
    _warn(f"{found}; {_NO_KEYS}" for found in keys_inside(project.root))
    return project


_NO_KEYS = "make it invalid in IAM, and give keys by the environment or a profile"


def _connect(project: Project) -> Engine:
    from statsig_staging.engine import connect

    return connect(project)


def _load(
    engine: Engine,
    experiment_id: str,
    *,
    refresh: str,
    metrics: tuple[str, ...],
    through: date | None,
    wait: bool,
) -> LoadResult:
    from statsig_staging.progress import Watch

    with _progress() as show:
        watch = Watch(show)
        try:
            return engine.run(
                experiment_id,
                refresh=refresh,
                metrics=metrics,
                through=through,
                wait=wait,
                on_event=watch,
            )
        except (Exception, KeyboardInterrupt) as error:
            if outcome := watch.outcome():
                error.add_note(outcome)
            raise


def _progress() -> Bars | Lines:
    from statsig_staging.display import console_on
    from statsig_staging.progress import Bars, Lines

    console = console_on(sys.stderr)
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        return Bars(console)
    return Lines(_say)


def _warn_of_missing(
    experiment: Experiment, wanted: Iterable[str], found: set[str], load_id: str
) -> None:
    _warn(
        f"metric {name!r} is not in load {load_id}; run: {PROGRAM} run --experiment {experiment.id}"
        for name in wanted
        if name not in found
    )


def _fail(error: BaseException, *, debug: bool = False) -> int:
    """Say what went wrong and return the exit code."""
    for line in failures.lines(error, debug=debug):
        _say(line)
    return failures.exit_code(error)


def _warn(messages: Iterable[str]) -> None:
    for message in messages:
        _say(f"warning: {message}")


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))


def _print(text: str) -> None:
    print(text)  # noqa: T201


def _print_json(document: object) -> None:
    _print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def _show(view: RenderableType) -> None:
    from statsig_staging.display import console_on

    console = console_on(sys.stdout)
    with console.capture() as captured:
        console.print(view)
    for line in captured.get().splitlines():
        _print(line.rstrip())


def _say(text: str) -> None:
    """Write a line to stderr; a load goes on when nobody reads it any more."""
    try:
        print(one_line(text), file=sys.stderr, flush=True)  # noqa: T201
    except BrokenPipeError:
        _silence(sys.stderr)


def _silence(stream: TextIO) -> None:
    """Let what is still written to a broken pipe go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


access_commands.add(commands, Command, _say)
doctor_commands.add(commands, Command)
cli_forward.register(commands, Command, _project, _connect, _say, _print, _print_json)  # type: ignore[arg-type]

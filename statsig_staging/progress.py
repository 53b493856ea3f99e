"""How a running load looks: a bar per step on a terminal, a line per finished step elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, assert_never

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn
from rich.text import Text

from statsig_staging.results import (
    BatchFinished,
    LoadPublished,
    LoadStarted,
    StepFailed,
    StepFinished,
    StepStarted,
    Usage,
    Warned,
)
from statsig_staging.words import count, duration, one_line, price, size

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console
    from rich.progress import Task, TaskID

    from statsig_staging.results import Event


def finished_text(event: StepFinished) -> str:
    """Return what a finished step did, for a person."""
    read = f"{size(event.bytes_read)} read"
    if event.usage != Usage():
        read = f"{size(event.usage.bytes_scanned)} scanned, {price(event.usage.price)}"
    return f"{count(event.rows, 'row')}, {read}, {duration(event.seconds)}"


class Watch:
    """Passes events on, and remembers how far the load has come."""

    def __init__(self, show: Callable[[Event], None]) -> None:
        self._show = show
        self._unpublished = False
        self._failed: str | None = None

    def __call__(self, event: Event) -> None:
        """Remember an event and pass it on."""
        match event:
            case LoadStarted():
                self._unpublished = True
            case LoadPublished():
                self._unpublished = False
            case StepFailed(step=step):
                self._failed = step
            case _:
                pass
        self._show(event)

    def outcome(self) -> str | None:
        """Return what a load that was cut short leaves behind; None if it had not begun."""
        if not self._unpublished:
            return None
        failed = "" if self._failed is None else f"step {self._failed} failed; "
        return f"{failed}nothing was published, what was published before stays readable"


class Lines:
    """One line per finished step."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def __call__(self, event: Event) -> None:
        """Say what happened, where it is worth a line."""
        match event:
            case LoadStarted():
                steps = count(len(event.steps), "step")
                self._say(f"load {event.load_id} of experiment {event.experiment_id}: {steps}")
            case StepFinished():
                self._say(f"{event.step}: {finished_text(event)}")
            case StepFailed():
                self._say(f"{event.step}: failed")
            case Warned():
                self._say(f"warning: {event.message}")
            case StepStarted() | BatchFinished() | LoadPublished():
                return
            case _:
                assert_never(event)


class _Note(ProgressColumn):
    """How long a step has been running; once it has ended, what it did."""

    def render(self, task: Task) -> Text:
        """Return the note of one step."""
        return Text(task.fields["note"] or duration(task.elapsed or 0.0))


class Bars:
    """A bar per step; it moves with every statement and ends with what the step did."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            _Note(),
            console=console,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tasks: dict[str, TaskID] = {}
        self._totals: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Move the bars along."""
        match event:
            case StepStarted():
                self._begin(event)
            case BatchFinished():
                self._progress.update(self._tasks[event.step], completed=event.done)
            case StepFinished():
                self._finish(event)
            case StepFailed():
                self._fail(event.step)
            case Warned():
                self._progress.console.print(f"warning: {one_line(event.message)}", style="yellow")
            case LoadStarted() | LoadPublished():
                return
            case _:
                assert_never(event)

    def _begin(self, event: StepStarted) -> None:
        total = max(event.batches, 1)
        self._totals[event.step] = total
        self._tasks[event.step] = self._progress.add_task(event.step, total=total, note="")

    def _finish(self, event: StepFinished) -> None:
        total, note = self._totals[event.step], finished_text(event)
        self._progress.update(self._tasks[event.step], completed=total, note=note)

    def _fail(self, step: str) -> None:
        if step in self._tasks:
            self._progress.stop_task(self._tasks[step])
            self._progress.update(self._tasks[step], note="failed")

"""``forward``: files into the forwarded tables."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from statsig_staging.words import count, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from statsig_staging.config import Project
    from statsig_staging.engine import Engine
    from statsig_staging.forwarded import Receipt
    from statsig_staging.results import Event, Forwarding

IN_QUARANTINE = 4
"""The exit code where rows are in quarantine and none should be."""


class Rows:
    """Says how many rows have been read, how fast, and how long it will take."""

    def __init__(self, say: Callable[[str], None], every: float = 2.0) -> None:
        self._say = say
        self._every = every
        self._next = every

    def __call__(self, event: Event | Forwarding) -> None:
        """Say it, every two seconds."""
        seconds = getattr(event, "seconds", None)
        rows = getattr(event, "rows", None)
        if seconds is None or rows is None or seconds < self._next:
            return
        self._next = seconds + self._every
        share = getattr(event, "share", None)
        left = f", {duration(seconds * (1 - share) / share)} left" if share else ""
        part = f"{share:.0%} read" if share else "reading"
        told = f"{count(rows, 'row')} read, {rows / seconds:,.0f} a second" if rows else part
        self._say(f"{told}{left}")


@contextmanager
def rows_on(say: Callable[[str], None]) -> Iterator[Rows]:
    """Return what says how far a batch is."""
    yield Rows(say)


def receipt_lines(receipt: Receipt) -> Iterator[str]:
    """Return what a person reads of a receipt."""
    yield (
        f"Forwarded {count(receipt.accepted, 'row')} of {receipt.rows:,} to {receipt.table} "
        f"({count(len(receipt.days), 'day')}); {count(receipt.duplicates, 'duplicate')}, "
        f"{receipt.rows_quarantined:,} in quarantine."
    )
    if receipt.columns_added and receipt.number > 1:
        yield f"New columns: {', '.join(receipt.columns_added)}."


def warnings_of(receipt: Receipt) -> Iterator[str]:
    """Return what a person should know of a receipt."""
    for reason, rows in receipt.quarantined.items():
        yield f"{count(rows, 'row')} in quarantine: {reason}"
    if receipt.quarantine:
        yield f"they are in {receipt.quarantine}, below the staging folder"


def register(
    commands: click.Group,
    command: type[click.Command],
    project_at: Callable[[Path], Project],
    connect: Callable[[Project], Engine],
    say: Callable[[str], None],
    show: Callable[[object], None],
    show_json: Callable[[object], None],
) -> None:
    """Add ``forward`` to the commands.

    Args:
        commands: The commands.
        command: The class of a command.
        project_at: Reads a project.
        connect: Opens its engine.
        say: Writes a line to stderr.
        show: Writes a line to stdout.
        show_json: Writes a document to stdout.
    """
    examples = (
        "forward exposures exposures.ndjson.gz",
        "forward events 'logs/2025-01-*.parquet'",
        "forward events s3://my-bucket/logs/2025/01/31/ --key event_id --strict",
    )

    @commands.command(cls=command, examples=examples)
    @click.argument("kind", type=click.Choice(["exposures", "events"]))
    @click.argument("files", nargs=-1, required=True, metavar="FILE...")
    @click.option(
        "--key",
        multiple=True,
        metavar="COLUMN",
        help="Rows of one value in it on one day are one row; repeatable. By default forward_key, "
        "else all columns.",
    )
    @click.option("--strict", is_flag=True, help="End with 4 where a row is in quarantine.")
    @click.option("--wait", is_flag=True, help="Wait while another loader holds the table.")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    @click.pass_context
    def forward(
        ctx: click.Context,
        kind: str,
        files: tuple[str, ...],
        key: tuple[str, ...],
        project: Path,
        *,
        strict: bool,
        wait: bool,
        as_json: bool,
    ) -> None:
        """Load files into the forwarded tables, every row once.

        FILE is a path, a glob or a prefix of S3: NDJSON, CSV or Parquet, the text formats also as .gz or
        .zst. Loading a file again changes nothing. Rows that cannot be loaded go to a quarantine file.
        """
        with connect(project_at(project)) as engine, rows_on(say) as heard:
            call = engine.forward_exposures if kind == "exposures" else engine.forward_events
            receipt = call(list(files), key=key or None, wait=wait, on_event=heard)
        for warning in warnings_of(receipt):
            say(f"warning: {warning}")
        if as_json:
            show_json(receipt.to_dict())
        else:
            for line in receipt_lines(receipt):
                show(line)
        sys.stdout.flush()
        ctx.exit(IN_QUARANTINE if strict and receipt.quarantined else 0)

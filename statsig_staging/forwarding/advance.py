"""A statement that takes a while, run so that somebody hears how far it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

EVERY = 0.5
"""Seconds between two looks."""


def watched(
    duck: duckdb.DuckDBPyConnection, statement: str, on_share: Callable[[float], object]
) -> None:
    """Run a statement, while ``on_share`` hears in this thread how much of it is done, from 0 to 1.

    Whatever is raised meanwhile, as by Ctrl-C, stops the statement.
    """
    duck.execute("SET enable_progress_bar = true")
    duck.execute("SET enable_progress_bar_print = false")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(duck.execute, statement)
        try:
            while not wait([running], EVERY).done:
                # DuckDB says -1 while it does not know.
                on_share(max(duck.query_progress(), 0.0) / 100)
            running.result()
        except BaseException:
            if not running.done():
                duck.interrupt()
            raise

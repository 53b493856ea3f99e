"""On AWS too a batch or a compaction may be killed before any call that writes: again, it comes to the same rows."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.httpsession import URLLib3Session

import statsig_staging as staging
from statsig_staging.forwarded import Kind
from statsig_staging.warehouses import open_warehouse
from tests.athena_endpoint.fixtures import Aws
from tests.athena_worlds import athena_connection, in_environment
from tests.forwards import Row, a_project, events, opened, rows_of

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "tests.test_forwarding_athena_kills",
        "statsig_staging.forwarding",
        "statsig_staging.warehouses.athena.warehouse",
    ]
)

Act = Callable[[staging.Engine], object]
FIRST = "case_0"


def project_of(aws: Aws, folder: Path, name: str) -> staging.Project:
    """Return a project with a staging folder and a database of its own."""
    connection = {**athena_connection(aws, folder=name), "database": name}
    return a_project(folder, connection=connection)


def prepare(aws: Aws, name: str, like: str | None = None) -> None:
    """Make the database of a project, and give it the objects of another one."""
    aws.client("glue").create_database(DatabaseInput={"Name": name})
    s3 = aws.client("s3")
    for key in keys_of(aws, like) if like else ():
        copy = f"{name}/{key.removeprefix(f'{like}/')}"
        s3.copy_object(Bucket=aws.bucket, Key=copy, CopySource={"Bucket": aws.bucket, "Key": key})


def keys_of(aws: Aws, folder: str) -> list[str]:
    """Return the keys of all objects below a folder."""
    found = aws.client("s3").list_objects_v2(Bucket=aws.bucket, Prefix=f"{folder}/")
    return [each["Key"] for each in found.get("Contents", [])]


def rows_in(project: staging.Project) -> list[Row]:
    """Return the rows of the accepted objects."""
    warehouse = open_warehouse(project)
    try:
        return rows_of(warehouse, project, Kind.EVENTS)
    finally:
        warehouse.close()


class _Calls:
    """Counts the calls that write, and dies before one of them."""

    def __init__(self, kill_at: int | None) -> None:
        self.passed: list[str] = []
        self._kill_at = kill_at
        self._guard = threading.Lock()

    def around(self, send: Callable[..., Any]) -> Callable[..., Any]:
        """Return what sends a request, with a point before those that write."""

        def watched(session: Any, request: Any) -> Any:
            operation = request.headers.get("X-Amz-Target", b"")
            name = f"{request.method} {urlsplit(request.url).path} {operation!r}"
            reads = request.method in {"GET", "HEAD"} or b".Get" in _bytes(operation)
            if not reads:
                with self._guard:
                    if len(self.passed) == self._kill_at:
                        os.kill(os.getpid(), signal.SIGKILL)
                    self.passed.append(name)
            return send(session, request)

        return watched


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _in_child(
    project: staging.Project, act: Act, kill_at: int | None, keys: dict[str, str], answer: Any
) -> None:
    os.environ.update(keys)
    calls = _Calls(kill_at)
    URLLib3Session.send = calls.around(URLLib3Session.send)  # type: ignore[method-assign]
    with opened(project) as engine:
        act(engine)
    answer.send(calls.passed)


def acted(project: staging.Project, act: Act, kill_at: int | None = None) -> list[str] | None:
    """Act in a process of its own; return the calls it made that write, or None where it was killed."""
    keys = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    receive, send = _FORKS.Pipe(duplex=False)
    child = _FORKS.Process(target=_in_child, args=(project, act, kill_at, keys, send))
    child.start()
    send.close()
    child.join()
    passed: list[str] | None = receive.recv() if child.exitcode == 0 else None
    if passed is None and child.exitcode != -signal.SIGKILL:
        raise AssertionError(f"the process ended with {child.exitcode}")
    receive.close()
    return passed


def forwarding(rows: list[Row], engine: staging.Engine) -> None:
    """Forward rows."""
    engine.forward_events(rows)


def compacting(engine: staging.Engine) -> None:
    """Compact, and have what was replaced before go."""
    engine.compact_forwarded(grace=timedelta(0))


@pytest.mark.slow
def test_batches_are_killed_before_every_call_that_writes(aws: Aws, tmp_path: Path) -> None:
    """Until the receipt is there readers of receipts see nothing of the batch; after a retry, all of it."""
    rows = events(60, days=2)
    with in_environment(aws):
        play_batches(aws, tmp_path, rows)


def play_batches(aws: Aws, folder: Path, rows: list[Row]) -> None:
    """Kill a batch on top of another one, at every place."""
    first = project_of(aws, folder, FIRST)
    prepare(aws, FIRST)
    acted(first, partial(forwarding, rows[:30]))
    before, objects = rows_in(first), keys_of(aws, FIRST)
    whole = project_of(aws, folder, "whole")
    prepare(aws, "whole", FIRST)
    points = acted(whole, partial(forwarding, rows[20:]))
    assert points is not None
    assert len(points) > 8
    expected = rows_in(whole)
    for point, what in enumerate(points):
        name = f"killed_{point}"
        case = project_of(aws, folder, name)
        prepare(aws, name, FIRST)
        assert acted(case, partial(forwarding, rows[20:]), kill_at=point) is None
        assert rows_in(case) in (before, expected), what
        with opened(case) as engine:
            engine.forward_events(rows[20:])
        assert rows_in(case) == expected, what
        assert len(keys_of(aws, name)) <= len(keys_of(aws, "whole")) + 1, what
        assert not [key for key in keys_of(aws, name) if "/pending/" in key], what
    assert len(objects) > 4


@pytest.mark.slow
def test_compactions_are_killed_before_every_call_that_writes(aws: Aws, tmp_path: Path) -> None:
    """The rows are the same at any moment, and after more compactions there is one object a day."""
    with in_environment(aws):
        play_compactions(aws, tmp_path)


def play_compactions(aws: Aws, folder: Path) -> None:
    """Kill a compaction, and the one that has the replaced objects go, at every place."""
    rows, before = events(60), FIRST
    first = project_of(aws, folder, before)
    prepare(aws, before)
    with opened(first) as engine:
        for number in range(4):
            engine.forward_events(rows[number::4])
    expected = rows_in(first)
    for turn in range(2):
        whole = f"whole_{turn}"
        prepare(aws, whole, before)
        points = acted(project_of(aws, folder, whole), compacting)
        assert points is not None
        assert len(points) > 3
        for point, what in enumerate(points):
            name = f"killed_{turn}_{point}"
            case = project_of(aws, folder, name)
            prepare(aws, name, before)
            assert acted(case, compacting, kill_at=point) is None
            assert rows_in(case) == expected, what
            with opened(case) as engine:
                compacting(engine)
                assert rows_in(case) == expected, what
                compacting(engine)
                assert rows_in(case) == expected, what
                assert engine.forward_events(rows).accepted == 0
            assert len(data_of(aws, name)) == 1, what
        before = whole


def data_of(aws: Aws, folder: str) -> list[str]:
    """Return the objects below a forwarded table's folder."""
    return [key for key in keys_of(aws, folder) if "/statsig_forwarded_events/" in key]

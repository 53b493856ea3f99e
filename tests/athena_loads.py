"""Loads on Athena that something happens to: a fault at one of their calls, or their process dies there."""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.httpsession import URLLib3Session

import statsig_staging as staging
from statsig_staging.results import StepStarted
from tests import plain
from tests.athena_endpoint.fixtures import Aws
from tests.athena_rules import broken_rules
from tests.athena_worlds import AthenaWorld
from tests.plain import day, event, exposure
from tests.worlds import NOW, compare

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.athena_loads"])

THROUGH = day(3)


@dataclass(frozen=True, slots=True)
class Site:
    """A call site: the operation and the step that a load was in, and which call of that operation it was.

    Attributes:
        service: The service.
        operation: The operation.
        step: The step that ran; empty between steps.
        skip: Calls of the operation before it, in the same load.
    """

    service: str
    operation: str
    step: str
    skip: int


@dataclass
class Case:
    """A project on Athena with three days loaded; every further load has every kind of step."""

    aws: Aws
    world: AthenaWorld
    rounds: int = 0

    def disturb(self) -> None:
        """Have late, moved and crossing units come, restated events and new ones."""
        self.rounds += 1
        n, world = self.rounds, self.world
        world.add(
            "exposures", [exposure(f"late{n}", "test", 0, 5), exposure(f"new{n}", "test", 3, 1)]
        )
        world.add("exposures", [exposure(f"new{n}", "control", 3, 2 + n % 5)])
        world.add("exposures", [exposure(f"waiting{n}", "control", 1, 3)])
        world.add("events", [event(f"new{n}", 3, 7, 9.25)])

    def load(self) -> None:
        """Load in this process."""
        with self.connect() as engine:
            engine.run("123", through=THROUGH)

    def connect(self) -> staging.Engine:
        """Open the project."""
        return staging.connect(staging.load_project(self.world.folder), now=lambda: NOW)

    def check(self) -> None:
        """Compare every table with what a full load would publish; no token ran twice."""
        with self.connect() as engine:
            compare(self.world, engine, THROUGH)
            assert engine.status("123")[0].interrupted is None
        statements = self.aws.account.executions.all()
        tokens = Counter(each.request.token for each in statements)
        assert max(tokens.values()) == 1
        assert all(each.effects <= 1 for each in statements)
        for sql in {each.request.sql for each in statements}:
            assert broken_rules(sql) == [], sql

    def sites(self) -> list[Site]:
        """Return the call sites of a load: the first call of each operation in each step."""
        self.disturb()
        marks: list[tuple[int, str]] = [(0, "")]
        before = len(self.aws.endpoint.calls.of(self.aws.id))

        def heard(event_: object) -> None:
            if isinstance(event_, StepStarted):
                marks.append((len(self.aws.endpoint.calls.of(self.aws.id)) - before, event_.step))

        with self.connect() as engine:
            engine.run("123", through=THROUGH, on_event=heard)
        calls = self.aws.endpoint.calls.of(self.aws.id)[before:]
        found: dict[tuple[str, str, str], Site] = {}
        counts: Counter[tuple[str, str]] = Counter()
        for number, call in enumerate(calls):
            step = [name for start, name in marks if start <= number][-1]
            place = (call.service, call.operation)
            key = (*place, step)
            if key not in found:
                found[key] = Site(*key, skip=counts[place])
            counts[place] += 1
        return list(found.values())

    def kill(self, at: int) -> bool:
        """Load in a process that dies at its ``at``-th moment; return whether it came to it."""
        return play(self.world.folder, at) is None


def begin(folder: Path, aws: Aws) -> Case:
    """Return a project with three days loaded."""
    world = AthenaWorld.open(plain.definitions().spelled_out(), folder / "project", aws)
    for number in range(3):
        world.add("exposures", [exposure(f"u{number}", plain.GROUPS[number % 2], number, 1)])
        world.add("events", [event(f"u{n}", number, 2, 1.5 + number) for n in range(4)])
        world.add("events", [event(f"waiting{n}", number, 6, n + 0.5) for n in range(200)])
    case = Case(aws, world)
    with case.connect() as engine:
        engine.run("123", through=day(2))
    return case


class _Moments:
    """Counts the moments before and after each call to AWS, and kills the process at one of them."""

    def __init__(self, at: int | None) -> None:
        self.passed: list[str] = []
        self._at = at

    def around(self, send: Callable[..., Any]) -> Callable[..., Any]:
        """Return what sends a request with a moment before and after it."""

        def watched(session: Any, request: Any) -> Any:
            self._pass(f"before {request.method} {request.url}")
            answer = send(session, request)
            self._pass(f"after {request.method} {request.url}")
            return answer

        return watched

    def _pass(self, name: str) -> None:
        if len(self.passed) == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed.append(name)


def _load(folder: str, at: int | None, environment: dict[str, str], answer: Any) -> None:
    os.environ.update(environment)
    moments = _Moments(at)
    patched = setattr
    patched(URLLib3Session, "send", moments.around(URLLib3Session.send))
    with staging.connect(staging.load_project(Path(folder)), now=lambda: NOW) as engine:
        engine.run("123", through=THROUGH)
    answer.send(moments.passed)


def play(folder: Path, at: int | None) -> list[str] | None:
    """Load in a process of its own; return the moments that it passed, or None where it was killed."""
    with started(folder, at) as child:
        child.process.join()
        passed: list[str] | None = child.receive.recv() if child.process.exitcode == 0 else None
    if passed is None and child.process.exitcode != -signal.SIGKILL:
        raise AssertionError(f"the load ended with {child.process.exitcode}")
    return passed


@dataclass
class Child:
    """A load in a process of its own."""

    process: Any
    receive: Any

    def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        self.process.kill()
        self.process.join()


@contextmanager
def started(folder: Path, at: int | None = None) -> Iterator[Child]:
    """Start a load in a process of its own."""
    receive, send = _FORKS.Pipe(duplex=False)
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    process = _FORKS.Process(target=_load, args=(str(folder), at, environment, send))
    process.start()
    send.close()
    try:
        yield Child(process, receive)
    finally:
        receive.close()

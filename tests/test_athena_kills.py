"""Loads on Athena whose calls fail, and whose process dies: the next run is right, and nothing ran twice."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import pytest

from tests.athena_endpoint.faults import FaultKind
from tests.athena_endpoint.fixtures import Aws
from tests.athena_loads import Case, begin, play, started
from tests.histories import fast_folder

KINDS = (FaultKind.THROTTLE, FaultKind.SERVER_ERROR, FaultKind.LOSE_ANSWER)

pytestmark = pytest.mark.slow


@pytest.fixture
def every(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """Return what says at every how manieth place something happens, unless ``--every`` says it."""

    def chosen(usual: int) -> int:
        asked: int = request.config.getoption("--every")
        return asked or usual

    return chosen


@pytest.fixture
def case(aws_environment: Aws) -> Iterator[Case]:
    """Three days loaded; what comes then has every kind of step."""
    with fast_folder() as folder:
        yield begin(Path(folder), aws_environment)


def play_faults(case: Case, kinds: tuple[FaultKind, ...], part: slice) -> None:
    """Have calls fail, one at a time: the load gets over it, in this run or in the next."""
    turns = cycle(kinds)
    for site in case.sites()[part]:
        kind = next(turns)
        case.disturb()
        case.aws.endpoint.faults.add(
            account=case.aws.id,
            service=site.service,
            operation=site.operation,
            kind=kind,
            skip=site.skip,
        )
        try:
            case.load()
        except Exception as error:
            raise AssertionError(f"{kind} at {site}") from error
        case.aws.endpoint.faults.clear(case.aws.id)
        case.check()


@pytest.mark.parametrize("part", range(2))
def test_calls_that_fail(case: Case, every: Callable[[int], int], part: int) -> None:
    """Throttled, a 500, or the answer lost after the effect, in turn over the call sites of a load.

    With ``--every 1`` at every site.
    """
    step = every(24)
    play_faults(case, KINDS[part:] + KINDS[:part], slice(part * step // 2, None, step))


def play_kills(case: Case, part: slice) -> None:
    """Kill a load before and after its calls, one at a time: the next run repairs, and is right."""
    case.disturb()
    passed = play(case.world.folder, None)
    assert passed is not None
    case.check()
    for number in range(len(passed))[part]:
        case.disturb()
        case.kill(number)
        case.load()
        case.check()


@pytest.mark.parametrize("part", range(2))
def test_loads_that_are_killed(case: Case, every: Callable[[int], int], part: int) -> None:
    """At some moments before or after a call; with ``--every 1`` at every one."""
    step = every(160)
    play_kills(case, slice(part * step // 2 + 7, None, step))


@pytest.mark.parametrize(
    ("statement", "stage"),
    [
        ("INSERT INTO", "commit"),
        ("MERGE INTO", "commit"),
        ("INSERT INTO", "running"),
        ("DELETE FROM", "queued"),
    ],
)
def test_a_statement_of_a_dead_process_that_commits_late(
    case: Case, statement: str, stage: str
) -> None:
    """It is stopped before anything is written: let go afterwards, it changes nothing."""
    case.disturb()
    hold = case.aws.endpoint.holds.hold(case.aws.id, stage=stage, match=f"^{statement}")
    with started(case.world.folder) as child:
        case.aws.endpoint.holds.held(case.aws.id, hold, seconds=60)
        child.kill()
    case.load()
    case.check()
    case.aws.endpoint.holds.clear(case.aws.id)
    case.check()
    case.disturb()
    case.load()
    case.check()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_ended_stops_its_statement(case: Case, number: signal.Signals) -> None:
    """At Athena too, before the process ends with 130, and it says so; the next run is right."""
    case.disturb()
    hold = case.aws.endpoint.holds.hold(case.aws.id, stage="running", match="^INSERT INTO")
    command = [sys.executable, "-m", "statsig_staging", "run", "--experiment", "123", "--through"]
    with subprocess.Popen(
        [*command, "2024-06-06", "--project", str(case.world.folder)],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        (statement,) = case.aws.endpoint.holds.held(case.aws.id, hold, seconds=60)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]

    assert process.returncode == 130, said
    assert case.aws.account.executions.get(statement).state == "CANCELLED"
    assert f"query {statement} was stopped" in said
    case.load()
    case.check()

"""The poller: when it asks, about whom, and how little it waits in vain."""

import itertools
import random
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statsig_staging.warehouses.athena.failures import AwsFailedError, Kind, failure
from statsig_staging.warehouses.athena.poller import (
    GAP,
    MOST_IDS,
    Execution,
    Poller,
    interval,
    next_call,
)
from tests.athena_endpoint.fixtures import Aws
from tests.warehouses.athena import a_statement, statements_of


def test_the_schedule() -> None:
    """Statements are asked about as often as calls allow for a minute, and every two seconds from five on."""
    assert [interval(age) for age in (0.0, 0.5, 30.0, 60.0)] == [GAP] * 4
    assert interval(180.0) == pytest.approx(1.0)
    assert [interval(age) for age in (300.0, 3600.0, 14400.0)] == [2.0] * 3


@given(st.floats(0, 20_000), st.floats(0, 20_000))
def test_older_statements_are_asked_about_less(one: float, other: float) -> None:
    """The older a statement, the longer the interval; from a minute on it is below one percent of the age."""
    young, old = sorted((one, other))
    assert GAP <= interval(young) <= interval(old) <= 2.0
    assert old < 60.0 or interval(old) / 2 <= 0.01 * old


def test_calls_keep_their_distance() -> None:
    """A call comes when something is due, and never too soon after the last one: at most five in a second."""
    assert next_call(10.0, [9.0, 12.0]) == 10.0 + GAP
    assert next_call(10.0, [13.0, 12.0]) == 12.0
    assert 5 * GAP > 1.0


class Service:
    """A service whose statements end when they are told to, and whose calls are written down."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, Sequence[str]]] = []
        self.states: dict[str, str] = {}
        self.error: Exception | None = None

    def ask(self, ids: Sequence[str]) -> Iterable[Execution]:
        self.calls.append((time.monotonic(), ids))
        if self.error is not None:
            raise self.error
        return [
            Execution(query_id=each, state=self.states[each]) for each in ids if each in self.states
        ]


def test_states_may_go_back() -> None:
    """QUEUED after RUNNING is no end and no error."""
    service = Service()
    service.states["a"] = "RUNNING"
    poller = Poller(service.ask)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(poller.wait, "a")
        for state in ("RUNNING", "QUEUED", "RUNNING", "SUCCEEDED"):
            calls = len(service.calls)
            service.states["a"] = state
            while len(service.calls) == calls and not waiting.done():
                time.sleep(0.01)
        assert waiting.result(5).state == "SUCCEEDED"


def test_what_is_not_processed_is_asked_again() -> None:
    """An id about which a call says nothing is in the next one."""
    service = Service()
    poller = Poller(service.ask)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(poller.wait, "a")
        while len(service.calls) < 2:
            time.sleep(0.01)
        service.states["a"] = "FAILED"
        assert waiting.result(5).state == "FAILED"


def test_what_is_never_processed_is_given_up() -> None:
    """A statement about which nothing is said for a minute is an error, not a wait for ever."""
    moments = iter(range(0, 10_000, 7))
    with pytest.raises(AwsFailedError, match="said nothing about query a for 60 s"):
        Poller(Service().ask, clock=lambda: float(next(moments))).wait("a")


def test_an_error_is_raised_where_somebody_waits() -> None:
    """If the service cannot be asked everybody hears it, each with an error of his own; the poller goes on."""
    service = Service()
    service.error = failure("no", Kind.THROTTLED, code="ThrottlingException")
    poller = Poller(service.ask)
    with ThreadPoolExecutor(2) as pool:
        errors = [pool.submit(poller.wait, each).exception(5) for each in ("a", "b")]
    assert [str(error) for error in errors] == ["no", "no"]
    assert errors[0] is not errors[1]
    service.error, service.states["a"] = None, "SUCCEEDED"
    assert poller.wait("a").ended


def test_nobody_waits_longer_than_he_says() -> None:
    """A wait with an end ends, and its statement is asked about no more."""
    service = Service()
    service.states["a"] = "RUNNING"
    with pytest.raises(TimeoutError):
        Poller(service.ask).wait("a", seconds=0.05)
    calls = len(service.calls)
    time.sleep(2 * GAP)
    assert len(service.calls) <= calls
    assert not [t for t in threading.enumerate() if t.name == "athena-poller"]


def test_one_call_asks_for_many() -> None:
    """A hundred and twenty statements take calls of at most fifty ids, and none is forgotten."""
    service = Service()
    poller = Poller(service.ask)
    ids = [f"q{n}" for n in range(120)]
    service.states = dict.fromkeys(ids, "SUCCEEDED")
    with ThreadPoolExecutor(120) as pool:
        assert all(found.ended for found in pool.map(poller.wait, ids))
    assert max(len(asked) for _, asked in service.calls) <= MOST_IDS
    assert len(service.calls) <= 12
    moments = [moment for moment, _ in service.calls]
    assert all(b - a >= GAP - 0.01 for a, b in itertools.pairwise(moments))


@pytest.mark.slow
@pytest.mark.parametrize(("at_once", "rounds"), [(1, 20), (8, 6)])
def test_there_are_never_more_than_five_calls_a_second(
    aws_environment: Aws, at_once: int, rounds: int
) -> None:
    """However many statements are asked about; what is waited is measured by the benchmark ``polling``."""
    aws = aws_environment

    def lane(number: int) -> int:
        chance = random.Random(number)
        for n in range(rounds):
            # Statements that a look found to have ended would otherwise begin, and end, together; and one that
            # always lasts as long would always end as long before a look.
            time.sleep(chance.random() * 2 * GAP)
            aws.account.settings.running_seconds = 0.5 + chance.random()
            sql = f"SELECT {number}, {n}"
            statements.run(a_statement(sql, reads_only=True))
        return rounds

    with (
        statements_of(aws, max_concurrent_queries=at_once) as statements,
        ThreadPoolExecutor(at_once) as pool,
    ):
        began = time.time()
        ended = sum(pool.map(lane, range(at_once)))
        took = time.time() - began
    calls = aws.endpoint.calls.counts(aws.id)["athena.BatchGetQueryExecution"]
    assert ended == at_once * rounds
    assert calls <= 5 * took

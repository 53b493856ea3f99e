"""The policy for calls to AWS: what is tried again, how long, and how the waits are spread."""

import pytest
from botocore.exceptions import ClientError

from statsig_staging.warehouses.athena.failures import AwsFailedError, AwsRefusedError, Kind
from statsig_staging.warehouses.athena.retries import PATIENCE, Patience, Retries
from tests.warehouses.athena import Pauses

CODES = {
    Kind.THROTTLED: ("ThrottlingException", 400),
    Kind.TRANSIENT: ("InternalServerException", 500),
    Kind.EXPIRED_CREDENTIALS: ("ExpiredTokenException", 400),
    Kind.QUEUE_FULL: ("TooManyRequestsException", 400),
    Kind.PERMISSION: ("AccessDeniedException", 400),
}


class Call:
    """A call that fails so many times."""

    def __init__(self, kind: Kind, times: int) -> None:
        self.made = 0
        self._times = times
        code, status = CODES[kind]
        reason = "CONCURRENT_QUERY_LIMIT_EXCEEDED" if kind is Kind.QUEUE_FULL else ""
        self._answer = {
            "Error": {"Code": code, "Message": "no"},
            "ResponseMetadata": {"HTTPStatusCode": status},
            "Reason": reason,
        }

    def __call__(self) -> str:
        self.made += 1
        if self.made <= self._times:
            raise ClientError(self._answer, "Anything")  # type: ignore[arg-type]
        return "done"


@pytest.mark.parametrize("kind", list(PATIENCE))
def test_what_may_help_is_tried_again(kind: Kind) -> None:
    """Calls that are throttled, lost or queued out are made again, after one wait each."""
    pauses, call = Pauses(), Call(kind, 2)
    assert Retries(pause=pauses).call("asking", call) == "done"
    assert (call.made, len(pauses.seconds)) == (3, 2)


def test_a_refusal_is_not_tried_again() -> None:
    """A call that is refused is made once."""
    pauses, call = Pauses(), Call(Kind.PERMISSION, 1)
    with pytest.raises(AwsRefusedError, match=r"^asking: AccessDeniedException: no; "):
        Retries(pause=pauses).call("asking", call)
    assert (call.made, pauses.seconds) == (1, [])


def test_errors_of_no_call_pass() -> None:
    """An error that is not of AWS is raised as it is."""

    def wrong() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        Retries(pause=Pauses()).call("asking", wrong)


@pytest.mark.parametrize("kind", [Kind.THROTTLED, Kind.TRANSIENT, Kind.EXPIRED_CREDENTIALS])
def test_there_is_a_last_call(kind: Kind) -> None:
    """A call that always fails is made as often as its kind deserves, and then its error is raised."""
    call = Call(kind, 1000)
    with pytest.raises((AwsFailedError, AwsRefusedError)) as caught:
        Retries(pause=Pauses(), chance=lambda: 0.0).call("asking", call)
    assert caught.value.kind is kind
    assert call.made == PATIENCE[kind].attempts


def test_there_is_a_last_moment() -> None:
    """Waits are counted, so that a full queue is waited for half an hour and no longer."""
    pauses, call = Pauses(), Call(Kind.QUEUE_FULL, 1000)
    with pytest.raises(AwsFailedError):
        Retries(pause=pauses, chance=lambda: 1.0).call("asking", call)
    assert 1800 <= sum(pauses.seconds) < 1860


def test_a_caller_may_have_less_patience() -> None:
    """A caller can allow fewer calls, and never more."""
    for attempts, made in ((2, 2), (100, PATIENCE[Kind.TRANSIENT].attempts)):
        call = Call(Kind.TRANSIENT, 1000)
        with pytest.raises(AwsFailedError):
            Retries(pause=Pauses()).call("asking", call, attempts=attempts)
        assert call.made == made


@pytest.mark.parametrize(
    ("attempt", "chance", "seconds"),
    [(1, 0.0, 0.0), (1, 1.0, 0.5), (2, 1.0, 1.0), (3, 0.5, 1.0), (4, 1.0, 3.0), (99, 1.0, 3.0)],
)
def test_waits_have_full_jitter(attempt: int, chance: float, seconds: float) -> None:
    """A wait lies anywhere between nothing and a length that doubles up to its longest."""
    patience = Patience(attempts=9, first=0.5, longest=3.0)
    assert patience.wait(attempt, chance) == pytest.approx(seconds)


def test_a_full_queue_is_not_hammered() -> None:
    """A wait for the queue has a shortest length too."""
    assert PATIENCE[Kind.QUEUE_FULL].wait(1, 0.0) == 2.0

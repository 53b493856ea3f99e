"""The one policy by which calls to AWS are tried again: full jitter, and an end."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import tenacity

from statsig_staging.warehouses.athena import failures
from statsig_staging.warehouses.athena.failures import AwsError, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a kind of failure is worth waiting for.

    Attributes:
        attempts: Calls at most.
        first: Seconds of the first wait at most; every further one may be twice as long.
        longest: Seconds of a wait at most.
        least: Seconds of a wait at least.
        total: Seconds after which there is no further call.
    """

    attempts: int
    first: float
    longest: float
    least: float = 0.0
    total: float = 120.0

    def wait(self, attempt: int, chance: float) -> float:
        """Return the seconds to wait after the ``attempt``-th call, ``chance`` being between 0 and 1.

        Full jitter: many that failed together come back one by one.
        """
        most = min(self.longest, self.first * 2.0 ** min(attempt - 1, 30))
        return self.least + chance * max(0.0, most - self.least)


PATIENCE: Final[Mapping[Kind, Patience]] = {
    Kind.THROTTLED: Patience(attempts=10, first=0.4, longest=20.0),
    Kind.TRANSIENT: Patience(attempts=8, first=0.2, longest=20.0),
    # Credentials that refresh themselves are fresh at the next call, which is signed anew; others are not.
    Kind.EXPIRED_CREDENTIALS: Patience(attempts=3, first=0.5, longest=2.0),
    # Statements of the whole account have to end first.
    Kind.QUEUE_FULL: Patience(attempts=1000, first=10.0, longest=60.0, least=2.0, total=1800.0),
}
"""The kinds of failure after which the same call is made again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Makes calls to AWS, again where that may help. Whatever is called has to be safe to repeat.

    Attributes:
        pause: Waits for seconds.
        chance: Returns a random number between 0 and 1.
    """

    pause: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def call(
        self, what: str, function: Callable[[], Result], *, attempts: int | None = None
    ) -> Result:
        """Return what ``function`` returns.

        Args:
            what: The call and what it is about, for messages: ``listing s3://bucket/folder``.
            function: Makes the call.
            attempts: Fewer calls at most than the policy allows.

        Raises:
            AwsError: If the last call failed, or one failed in a way that no other call would help.
        """
        retrying = tenacity.Retrying(
            sleep=self.pause,
            wait=self._wait,
            stop=lambda state: _is_over(state, attempts),
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, AwsError) and error.kind in PATIENCE
            ),
            reraise=True,
        )
        result: Result = retrying(_mapped, what, function)
        return result

    def _wait(self, state: tenacity.RetryCallState) -> float:
        patience = _patience(state)
        return patience.wait(state.attempt_number, self.chance())


def _mapped(what: str, function: Callable[[], Result]) -> Result:
    try:
        return function()
    except Exception as error:  # noqa: BLE001  whatever boto3 raises; the rest is raised as it is
        failures.raise_mapped(error, what)


def _patience(state: tenacity.RetryCallState) -> Patience:
    error = state.outcome.exception() if state.outcome is not None else None
    if not isinstance(error, AwsError):
        raise TypeError(f"no wait after {type(error).__name__}")
    return PATIENCE[error.kind]


def _is_over(state: tenacity.RetryCallState, attempts: int | None) -> bool:
    patience = _patience(state)
    if state.attempt_number >= min(patience.attempts, attempts or patience.attempts):
        return True
    # The pauses count even where the clock does not run while they last.
    spent = max(state.idle_for, state.seconds_since_start or 0.0)
    return spent >= patience.total

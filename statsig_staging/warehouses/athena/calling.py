"""How a call to AWS is made: what is asked, inside the one policy that says when it is asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from statsig_staging.errors import StagingError, StepFailedError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")

REFUSALS = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "Forbidden",
        "NoSuchBucket",
    }
)
"""Codes by which S3 and Glue say that something is not there for us, whoever asks again."""


class Call(Protocol):
    """Makes a call to AWS, again where that may help, and maps what it ends in to the library's errors.

    What it is given may run more than once, and says itself what of an error is an answer.
    """

    def __call__(self, operation: Callable[[], Answer], /) -> Answer:
        """Return what the operation returns."""


def once(operation: Callable[[], Answer], /) -> Answer:
    """Make a call once.

    Raises:
        WarehouseError: If there is no permission, or no such bucket.
        StepFailedError: If it fails otherwise.
    """
    try:
        return operation()
    except (ClientError, BotoCoreError) as error:
        raise failure(error) from error


def failure(error: ClientError | BotoCoreError) -> StagingError:
    """Return what an error of boto3 is to the library."""
    if isinstance(error, ClientError) and code(error) in REFUSALS:
        return WarehouseError(str(error))
    return StepFailedError(str(error))


def code(error: ClientError) -> str:
    """Return the code of an error, as the service spells it."""
    return error.response.get("Error", {}).get("Code", "")

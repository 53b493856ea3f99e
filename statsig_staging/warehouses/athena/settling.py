"""Settling: what a process that is gone has begun comes to an end before anything else is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from statsig_staging.warehouses.athena.failures import AwsError
from statsig_staging.warehouses.athena.intents import End
from statsig_staging.warehouses.athena.service import never_began

if TYPE_CHECKING:
    from statsig_staging.warehouses.athena.intents import Intent, Intents
    from statsig_staging.warehouses.athena.poller import Execution, Poller
    from statsig_staging.warehouses.athena.service import Service


def settle(service: Service, poller: Poller, intents: Intents, prefix: str) -> int:
    """End the statements of all intents without a known end, and return how many there were.

    All are stopped before the first is waited for.

    Raises:
        AwsError: If the service cannot be asked.
    """
    begun: list[tuple[str, str]] = []
    for key, intent in intents.open(prefix):
        query_id = _begin_again(service, intents, key, intent)
        if query_id is not None:
            service.stop(query_id, f"step {intent.step}")
            begun.append((key, query_id))
    for key, query_id in begun:
        intents.end(key, end_of(poller.wait(query_id)))
    return len(begun)


def _begin_again(service: Service, intents: Intents, key: str, intent: Intent) -> str | None:
    """Return the id of an intent's statement; None where the service takes no such statement."""
    try:
        return service.start(intent.request, f"step {intent.step}")
    except AwsError as error:
        if not never_began(error):
            raise
        intents.end(key, End(state="REFUSED", reason=str(error)))
        return None


def end_of(execution: Execution) -> End:
    """Return what is written down about a statement that has ended."""
    return End(
        state=execution.state,
        query_id=execution.query_id,
        bytes_scanned=execution.bytes_scanned,
        reason=execution.reason or None,
    )

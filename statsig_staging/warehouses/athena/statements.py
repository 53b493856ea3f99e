"""Statements at Athena, each run exactly once.

A statement's ClientRequestToken is a digest of what the statement is and of which attempt it is, so a request
that is repeated, by this process or by the one after it, is the same statement at the service. Before a
statement that writes starts, its intent is written down; whoever comes after a dead process settles those.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from statsig_staging.errors import InterruptedLoadError, StagingError
from statsig_staging.warehouses.athena import costs, endings, failures, intents, settling
from statsig_staging.warehouses.athena.costs import Cost
from statsig_staging.warehouses.athena.failures import AwsError, Kind
from statsig_staging.warehouses.athena.intents import End, Intent, Intents, Objects
from statsig_staging.warehouses.athena.poller import Execution, Poller
from statsig_staging.warehouses.athena.requests import (
    Request,
    Settings,
    Statement,
    request_of,
)
from statsig_staging.warehouses.athena.retries import Retries
from statsig_staging.warehouses.athena.service import Service, never_began
from statsig_staging.warehouses.athena.settling import end_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from statsig_staging.warehouses.athena.clients import Clients

_STOPPING: Final = 30.0
"""Seconds to wait for the end of a statement that was stopped."""

_FEW: Final = 3
"""Calls at most where an error is on its way already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A statement that succeeded.

    Attributes:
        query_id: Its id at the service.
        rows: Rows it wrote; None where it writes none.
        bytes_scanned: What it scanned.
        queued_seconds: How long it waited at the service.
        engine_seconds: How long it ran.
        output_location: Where its result is; None where Athena keeps it.
        cost: What it cost.
    """

    query_id: str
    rows: int | None
    bytes_scanned: int
    queued_seconds: float
    engine_seconds: float
    output_location: str | None
    cost: Cost


@dataclass(eq=False, slots=True, kw_only=True)
class _Run:
    """A statement that this process runs.

    Attributes:
        intent: Key of its intent, once that is written.
        sent: Whether a request to start it may have reached the service.
        query_id: Its id, once the service has said it.
        ended: Whether its end is known.
        stopped: Whether somebody here wants it stopped.
    """

    statement: Statement
    request: Request
    intent: str | None = None
    sent: bool = False
    query_id: str | None = None
    ended: bool = False
    stopped: bool = False

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"step {self.statement.purpose}"


class Statements:
    """Runs the statements of a warehouse. Threads share it.

    Args:
        clients: Athena.
        objects: Where intents are kept.
        settings: How statements run.
        retries: The policy for calls.
        clock: Seconds that only go up, for deadlines and polls.
        now: The clock, UTC, for the names of intents.
    """

    def __init__(
        self,
        clients: Clients,
        objects: Objects,
        settings: Settings,
        *,
        retries: Retries | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._service = Service(clients.athena, retries or Retries())
        self._intents = Intents(objects, now)
        self._poller = Poller(self._service.look, clock=clock)
        self._clock = clock
        self._slots = threading.BoundedSemaphore(settings.at_once)
        self._changed = threading.Condition()
        self._runs: set[_Run] = set()
        self._costs: dict[tuple[str, str], Cost] = {}

    def run(self, statement: Statement, *, deadline: float | None = None) -> Finished:
        """Run a statement to its end.

        Whatever is raised, the statement does not run on: it has ended, or was stopped.

        Args:
            statement: The statement; the same one again is not run again, its end is returned or raised again.
            deadline: The moment of the clock at which it is stopped.

        Raises:
            AwsRefusedError: If the service takes no such statement, or it failed for good.
            AwsFailedError: If it failed, with a kind that says whether another attempt may help.
            InterruptedLoadError: If ``stop_all`` stopped it.
        """
        run = _Run(statement=statement, request=request_of(statement, self._settings))
        with self._registered(run), self._slots:
            self._check_goes_on(run)
            self._check_budget(statement)
            try:
                execution = self._perform(run, deadline)
            except BaseException as error:
                self._abandon(run, error)
                raise
            return self._finished(run, execution)

    def cost(self, load_id: str, step: str | None = None) -> Cost:
        """Return what the statements of a load, or of one of its steps, have cost in this process."""
        with self._changed:
            found = [
                cost
                for (load, purpose), cost in self._costs.items()
                if load == load_id and step in (None, purpose)
            ]
        return sum(found, Cost())

    def stop_all(self) -> int:
        """Stop every statement that runs or is about to, wait for their ends, and return how many there were.

        Whoever waits for one of them gets an ``InterruptedLoadError``; later statements run as ever.

        Raises:
            AwsError: If one could not be stopped.
        """
        with self._changed:
            runs = list(self._runs)
            for run in runs:
                run.stopped = True
        errors = []
        for run in runs:
            try:
                self._stop(run)
            except AwsError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        with self._changed:
            self._changed.wait_for(lambda: self._runs.isdisjoint(runs), _STOPPING)
        return len(runs)

    def settle(self, prefix: str) -> int:
        """Have every statement ended that a process which is gone has begun, and return how many there were.

        Each intent without a known end is sent again with its token: it is the same statement, or one that
        never began. Then it is stopped, and its end waited for. After that nothing of it can be committed.
        Whoever is killed meanwhile leaves the rest to the next one.

        Args:
            prefix: The folder of a load, or any above it, below the staging folder.

        Raises:
            AwsError: If the service cannot be asked; the end of a statement is not known then.
        """
        return settling.settle(self._service, self._poller, self._intents, prefix)

    @contextlib.contextmanager
    def _registered(self, run: _Run) -> Iterator[None]:
        with self._changed:
            self._runs.add(run)
        try:
            yield
        finally:
            with self._changed:
                self._runs.discard(run)
                self._changed.notify_all()

    def _check_goes_on(self, run: _Run) -> None:
        """Make sure that nobody stopped a statement.

        Raises:
            InterruptedLoadError: If somebody did.
        """
        if run.stopped:
            query = f" (query {run.query_id})" if run.query_id else ""
            raise InterruptedLoadError(f"{run.name} was stopped{query}")

    def _check_budget(self, statement: Statement) -> None:
        most, spent = self._settings.max_bytes_per_load, self.cost(statement.load_id)
        if most is None or spent.bytes_scanned < most:
            return
        raise failures.failure(
            f"step {statement.purpose} was not started: the load has scanned "
            f"{costs.said_size(spent.bytes_scanned)} for {costs.said_price(spent.dollars)}, and "
            f"connection.max_bytes_per_load is {costs.said_size(most)}; raise it, or load fewer days at once",
            Kind.BYTES_CUTOFF,
        )

    def _perform(self, run: _Run, deadline: float | None) -> Execution:
        """Start a statement and wait until it has ended, or has to be stopped."""
        statement = run.statement
        if not statement.reads_only:
            folder = intents.folder_of(statement.experiment_id, statement.load_id)
            run.intent = self._intents.begin(folder, _intent_of(run))
        run.query_id = self._start(run)
        self._check_goes_on(run)
        most = self._settings.max_bytes_per_query
        seconds = None if deadline is None else max(0.0, deadline - self._clock())
        try:
            execution = self._poller.wait(
                run.query_id,
                until=lambda seen: seen.ended or (most is not None and seen.bytes_scanned > most),
                seconds=seconds,
            )
        except TimeoutError:
            raise failures.failure(
                f"{run.name} (query {run.query_id}): it did not end in the time it was given; run again",
                Kind.TIMED_OUT,
                query_id=run.query_id,
            ) from None
        if execution.ended:
            self._ended(run, execution)
        self._check_bytes(run, execution)
        return execution

    def _start(self, run: _Run) -> str:
        def before() -> None:
            self._check_goes_on(run)
            run.sent = True

        try:
            return self._service.start(run.request, run.name, before=before)
        except AwsError as error:
            if never_began(error):
                run.sent = False
                with contextlib.suppress(StagingError):
                    self._note(run, End(state="REFUSED", reason=str(error)))
            raise

    def _ended(self, run: _Run, execution: Execution) -> None:
        """Count what a statement cost, and write its end down."""
        run.ended = True
        self._count(run, execution)
        self._note(run, end_of(execution))

    def _note(self, run: _Run, end: End) -> None:
        if run.intent is not None:
            self._intents.end(run.intent, end)

    def _count(self, run: _Run, execution: Execution) -> None:
        key = run.statement.load_id, run.statement.purpose
        with self._changed:
            self._costs[key] = self._costs.get(key, Cost()) + self._cost_of(execution)

    def _cost_of(self, execution: Execution) -> Cost:
        scanned = execution.bytes_scanned
        billed = costs.billed(execution.state, execution.type, execution.subtype, scanned)
        dollars = costs.price(billed, self._settings.price_per_tb)
        return Cost(statements=1, bytes_scanned=scanned, bytes_billed=billed, dollars=dollars)

    def _check_bytes(self, run: _Run, execution: Execution) -> None:
        most = self._settings.max_bytes_per_query
        if most is None or execution.bytes_scanned <= most:
            return
        price = costs.price(execution.bytes_scanned, self._settings.price_per_tb)
        raise failures.failure(
            f"{run.name} (query {execution.query_id}): it scanned "
            f"{costs.said_size(execution.bytes_scanned)} for {costs.said_price(price)}, and "
            f"connection.max_bytes_per_query is {costs.said_size(most)}; raise it, or lower "
            "connection.max_bytes_per_statement",
            Kind.BYTES_CUTOFF,
            query_id=execution.query_id,
            bytes_scanned=execution.bytes_scanned,
        )

    def _finished(self, run: _Run, execution: Execution) -> Finished:
        """Return what a statement that has ended did, or raise why it did not succeed."""
        self._check_goes_on(run)
        if execution.state != "SUCCEEDED":
            raise endings.failed_statement(
                run.name,
                execution.query_id,
                execution.state,
                execution.reason,
                execution.error,
                execution.bytes_scanned,
            )
        reads_only = run.statement.reads_only
        rows = None if reads_only else self._service.rows_written(execution, run.name)
        return Finished(
            query_id=execution.query_id,
            rows=rows,
            bytes_scanned=execution.bytes_scanned,
            queued_seconds=execution.queued_seconds,
            engine_seconds=execution.engine_seconds,
            output_location=execution.output_location,
            cost=self._cost_of(execution),
        )

    def _abandon(self, run: _Run, error: BaseException) -> None:
        """Leave no statement running behind an error; what goes wrong now is said beside it."""
        if run.ended or not run.sent:
            return
        try:
            if run.query_id is None:
                run.query_id = self._service.start(run.request, run.name, attempts=_FEW)
            self._service.stop(run.query_id, run.name, attempts=_FEW)
            self._ended(run, self._poller.wait(run.query_id, seconds=_STOPPING))
        except (StagingError, TimeoutError) as again:
            left = f"query {run.query_id}" if run.query_id else "its query"
            error.add_note(f"{run.name}: {left} may still run: {again}")
        else:
            error.add_note(f"{run.name}: query {run.query_id} was stopped")

    def _stop(self, run: _Run) -> None:
        """Stop a statement of this process; one without an id is stopped by who starts it."""
        if run.query_id is not None and not run.ended:
            self._service.stop(run.query_id, run.name)


def _intent_of(run: _Run) -> Intent:
    statement = run.statement
    return Intent(
        request=run.request,
        step=statement.purpose,
        load_id=statement.load_id,
        attempt=statement.attempt,
        number=statement.number,
    )

"""The lease: at most one load of an experiment at a time, whichever process or machine it runs on.

One small object, ``experiment-<ID>/_loads/lease.json``, written only if it is still as it was read. The
holder renews it; one that has not been renewed for its time is taken over, and so is one whose holder
was a process of this machine that is gone. The lease's number rises with every holder and is stored
with the published row: a holder that lost its lease cannot publish.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from statsig_staging.errors import LoadConflictError, StagingError
from statsig_staging.names import experiment_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from statsig_staging.warehouses.base import Warehouse

HEARTBEAT = timedelta(seconds=10)
EXPIRY = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who holds an experiment.

    Attributes:
        holder: Machine, process and load, for a person.
        host: The machine.
        pid: The process.
        pid_began: When the process began, in the machine's own ticks; tells it from a later one.
        number: Rises with every holder.
        renewed_at: When the holder last said that it lives, UTC, ISO.
        released: Whether the holder has let go.
    """

    holder: str
    host: str
    pid: int
    pid_began: str
    number: int
    renewed_at: str
    released: bool = False


class HeldLease:
    """A lease that this process holds, renewed by a thread until it is let go."""

    def __init__(
        self, warehouse: Warehouse, key: str, lease: Lease, now: Callable[[], datetime]
    ) -> None:
        self._warehouse = warehouse
        self._key = key
        self._lease = lease
        self._now = now
        self._guard = threading.Lock()
        self._stopped = threading.Event()
        self._gone = False
        self._thread = threading.Thread(target=self._beat, daemon=True)

    @property
    def number(self) -> int:
        """The number under which this holder publishes."""
        return self._lease.number

    def start(self) -> None:
        """Begin to renew it."""
        self._thread.start()

    def _beat(self) -> None:
        while not self._stopped.wait(HEARTBEAT.total_seconds()):
            with contextlib.suppress(StagingError):
                self.renew()

    def renew(self) -> None:
        """Say that the holder lives.

        Raises:
            LoadConflictError: If somebody else holds the experiment by now.
        """
        with self._guard:
            self._write(replace(self._lease, renewed_at=_text(self._now())))

    def discard(self) -> None:
        """Let go for good, with the lease itself: nothing of the experiment is left.

        Raises:
            LoadConflictError: If somebody else holds the experiment by now.
        """
        self._stop()
        self.renew()
        self._gone = True
        self._warehouse.delete_files([self._key])

    def _stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def release(self) -> None:
        """Let go, so that the next one need not wait."""
        self._stop()
        if self._gone:
            return
        with contextlib.suppress(StagingError), self._guard:
            self._write(replace(self._lease, released=True))

    def _write(self, lease: Lease) -> None:
        if not self._warehouse.swap_object(self._key, _encode(self._lease), _encode(lease)):
            raise LoadConflictError(
                f"the lease of {self._key.rsplit('/', 2)[0]} was taken over by another load; "
                "nothing was published"
            )
        self._lease = lease


@contextlib.contextmanager
def held(
    warehouse: Warehouse,
    experiment_id: str,
    *,
    lowest: int,
    now: Callable[[], datetime],
    wait: Callable[[], bool],
) -> Iterator[HeldLease]:
    """Hold the lease of an experiment for the length of a ``with`` block.

    Args:
        warehouse: Where the lease is kept.
        experiment_id: The experiment.
        lowest: The lease's number is at least this.
        now: The clock, UTC.
        wait: Waits a little while somebody else holds it; false to give up.

    Raises:
        LoadConflictError: If another load holds the experiment and ``wait`` gives up.
    """
    what = f"experiment {experiment_id!r} is being loaded"
    with held_at(
        warehouse, lease_key(experiment_id), what, lowest=lowest, now=now, wait=wait
    ) as found:
        yield found


@contextlib.contextmanager
def held_at(
    warehouse: Warehouse,
    key: str,
    what: str,
    *,
    lowest: int,
    now: Callable[[], datetime],
    wait: Callable[[], bool],
) -> Iterator[HeldLease]:
    """Hold the lease that is kept under a key for the length of a ``with`` block.

    Args:
        warehouse: Where the lease is kept.
        key: Its key, below the staging folder.
        what: What somebody else is doing who holds it, such as ``experiment '1' is being loaded``.
        lowest: The lease's number is at least this.
        now: The clock, UTC.
        wait: Waits a little while somebody else holds it; false to give up.

    Raises:
        LoadConflictError: If another holds it and ``wait`` gives up.
    """
    lease = _acquire(warehouse, key, what, lowest=lowest, now=now, wait=wait)
    held_lease = HeldLease(warehouse, key, lease, now)
    held_lease.start()
    try:
        yield held_lease
    finally:
        held_lease.release()


def _acquire(
    warehouse: Warehouse,
    key: str,
    what: str,
    *,
    lowest: int,
    now: Callable[[], datetime],
    wait: Callable[[], bool],
) -> Lease:
    while True:
        data = warehouse.get_object(key)
        current = None if data is None else Lease(**json.loads(data))
        if current is None or is_free(current, now()):
            number = max(lowest, current.number + 1 if current is not None else 1)
            mine = _of_this_process(number, now())
            if warehouse.swap_object(key, data, _encode(mine)):
                return mine
        elif not wait():
            raise LoadConflictError(
                f"{what} by {current.holder} "
                f"(last heard of at {current.renewed_at}); wait for it, or use --wait"
            )


def is_held(warehouse: Warehouse, experiment_id: str, now: datetime) -> bool:
    """Return whether somebody holds the experiment."""
    data = warehouse.get_object(lease_key(experiment_id))
    return data is not None and not is_free(Lease(**json.loads(data)), now)


def lease_key(experiment_id: str) -> str:
    """Return the key of an experiment's lease, below the staging folder."""
    return f"{experiment_folder(experiment_id)}/_loads/lease.json"


def is_free(lease: Lease, now: datetime) -> bool:
    """Return whether nobody holds the experiment any more."""
    if lease.released:
        return True
    if datetime.fromisoformat(lease.renewed_at) + EXPIRY < now:
        return True
    return lease.host == _host() and process_began(lease.pid) != lease.pid_began


def _of_this_process(number: int, now: datetime) -> Lease:
    pid = os.getpid()
    return Lease(
        holder=f"process {pid} on {socket.gethostname()}",
        host=_host(),
        pid=pid,
        pid_began=process_began(pid) or "",
        number=number,
        renewed_at=_text(now),
    )


def _host() -> str:
    """Return a name of this machine since it was started."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            return f"{socket.gethostname()} {file.read().strip()}"
    except OSError:
        return socket.gethostname()


def process_began(pid: int) -> str | None:
    """Return when a process of this machine began, or None where there is no such process.

    Linux says it in field 22 of ``/proc/<pid>/stat``, counted after the command's closing bracket
    (proc(5)). Elsewhere any process of that number counts as the same one.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return "" if not os.path.isdir("/proc") and _is_alive(pid) else None  # noqa: PTH112


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _text(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="milliseconds")


_LENGTH = 1024
"""Leases have the same length, so that one can take another's place on a disk that is full."""


def _encode(lease: Lease) -> bytes:
    return json.dumps(asdict(lease), sort_keys=True).encode().ljust(_LENGTH)

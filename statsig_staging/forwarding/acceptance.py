"""Acceptance: files into place, and then the receipt that makes them count; what a process that was killed has left.

Everything that is about to be put in place is named in a note first, and so is what goes once the receipt is
there. A note without its receipt is what was left by a process that was killed: the files that it names are
removed before anything else is done. One with its receipt says what else has to go.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any

from statsig_staging.errors import LoadConflictError
from statsig_staging.forwarded import (
    CHECKPOINT_EVERY,
    checkpoint_key,
    encode_receipt,
    encode_state,
    lease_key,
    read_state,
    receipt_key,
)
from statsig_staging.lease import held_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from statsig_staging.forwarded import ForwardedTable, Receipt, TableState
    from statsig_staging.forwarding.loading import Site
    from statsig_staging.lease import HeldLease
    from statsig_staging.warehouses.base import Landing, Warehouse


def held(
    site: Site, table: ForwardedTable, wait: Callable[[], bool] | None = None
) -> AbstractContextManager[HeldLease]:
    """Return the table's lease, to be held in a ``with`` block.

    Args:
        site: Where the table is.
        table: The table.
        wait: Waits while another holds it; as the site does by default.
    """
    what = f"table {site.database}.{table.name} is being forwarded to"
    return held_at(
        site.warehouse, lease_key(table), what, lowest=1, now=site.now, wait=wait or site.wait
    )


def recovered(warehouse: Warehouse, table: ForwardedTable) -> TableState:
    """Return what is accepted, once what processes that were killed have left is gone."""
    state = read_state(warehouse, table)
    for file in warehouse.list_files(f"{table.records}/pending"):
        data = warehouse.get_object(file.key)
        note: dict[str, Any] = json.loads(data) if data else {"number": 0, "keys": []}
        if note["number"] > state.number or not _is_accepted(warehouse, table, note):
            warehouse.delete_files(note["keys"])
        else:
            warehouse.delete_files(note.get("after", ()))
        warehouse.delete_files([file.key])
    return state


def _is_accepted(warehouse: Warehouse, table: ForwardedTable, note: Mapping[str, Any]) -> bool:
    data = warehouse.get_object(receipt_key(table, int(note["number"])))
    return data is not None and json.loads(data)["batch"] == note["batch"]


def new_batch(number: int) -> str:
    """Return an id for what gets the receipt of a number."""
    return f"{number:08d}-{uuid.uuid4().hex[:8]}"


def in_text(moment: datetime) -> str:
    """Return a moment as receipts write it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


@dataclass(slots=True)
class Acceptance:
    """What is about to be accepted, under the table's lease.

    Attributes:
        site: Where.
        landing: Where its files land.
        table: The table.
        lease: The lease.
        batch: The id of what is accepted.
        number: The number of its receipt.
        state: What is accepted before it.
    """

    site: Site
    landing: Landing
    table: ForwardedTable
    lease: HeldLease
    state: TableState
    number: int = field(init=False)
    batch: str = field(init=False)
    _after: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.number = self.state.number + 1
        self.batch = new_batch(self.number)

    def place(self, files: Mapping[str, Path], after: Iterable[str] = ()) -> None:
        """Put files in place, which do not count yet.

        Args:
            files: Key → file of the workplace; it is gone then.
            after: Keys of what goes once the receipt is there.
        """
        self._after = tuple(after)
        self._note(list(files))
        for key, path in files.items():
            self.lease.renew()
            self.landing.deliver(path, key)

    def _note(self, keys: list[str]) -> None:
        note = {"number": self.number, "batch": self.batch, "keys": keys, "after": self._after}
        self.site.warehouse.put_object(self._note_key, json.dumps(note).encode())

    @property
    def _note_key(self) -> str:
        return f"{self.table.records}/pending/{self.batch}.json"

    def publish(self, receipt: Receipt) -> Receipt:
        """Write the receipt, which makes the files count, and remove what goes with it.

        Raises:
            LoadConflictError: If another one took its number.
        """
        warehouse = self.site.warehouse
        self.lease.renew()
        key = receipt_key(self.table, receipt.number)
        if not warehouse.swap_object(key, None, encode_receipt(receipt)):
            raise LoadConflictError(
                f"table {receipt.table}: another loader took receipt {receipt.number}; "
                "nothing of this batch counts, run it again"
            )
        if receipt.number % CHECKPOINT_EVERY == 0:
            after = self.state.after(receipt)
            warehouse.put_object(checkpoint_key(self.table, receipt.number), encode_state(after))
        warehouse.delete_files(self._after)
        warehouse.delete_files([self._note_key])
        return receipt

"""What statements cost at Athena: bytes scanned, bytes billed and US dollars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MB: Final = 10**6
"""Athena's MB: the smallest ``BytesScannedCutoffPerQuery``, "10 MB", is 10,000,000 bytes (AWS, API reference)."""

LEAST_BILLED: Final = 10 * MB
"""https://aws.amazon.com/athena/pricing: rounded up to the MB, at least 10 MB a query."""

_TB: Final = 10**12
_QUERIES_AMONG_DDL: Final = frozenset({"CREATE_TABLE_AS_SELECT", "OPTIMIZE"})
"""Statements that Athena calls DDL and that scan data (measured; see ``docs/athena-endpoint.md``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one statement cost, or several.

    Attributes:
        statements: How many.
        bytes_scanned: What they scanned, whether it is billed or not.
        bytes_billed: What is billed.
        dollars: The price of it.
    """

    statements: int = 0
    bytes_scanned: int = 0
    bytes_billed: int = 0
    dollars: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            statements=self.statements + other.statements,
            bytes_scanned=self.bytes_scanned + other.bytes_scanned,
            bytes_billed=self.bytes_billed + other.bytes_billed,
            dollars=self.dollars + other.dollars,
        )


def billed(state: str, statement_type: str, subtype: str, scanned: int) -> int:
    """Return the bytes that Athena bills for a statement that has ended.

    DDL and failed statements are free; cancelled ones are billed for what they had scanned.

    Args:
        state: Its last state.
        statement_type: ``DDL``, ``DML`` or ``UTILITY``.
        subtype: Like ``CREATE_TABLE_AS_SELECT``.
        scanned: Bytes.
    """
    if state == "FAILED" or (state == "CANCELLED" and not scanned):
        return 0
    if statement_type != "DML" and subtype not in _QUERIES_AMONG_DDL:
        return 0
    return max(LEAST_BILLED, -(-scanned // MB) * MB)


def price(bytes_billed: int, price_per_tb: float) -> float:
    """Return the US dollars for bytes billed; ``price_per_tb`` is for 10^12 bytes."""
    return bytes_billed / _TB * price_per_tb


def said_size(amount: float) -> str:
    """Return bytes as a person writes them: ``512 B``, ``1.5 MB``."""
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.3g} {unit}" if amount < 1000 else f"{amount:,.0f} {unit}"


def said_price(dollars: float) -> str:
    """Return US dollars as a person writes them."""
    return f"US$ {dollars:.2f}" if dollars >= 0.01 or not dollars else f"US$ {dollars:.5f}"

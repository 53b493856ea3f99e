"""Values in words: numbers, counts, sizes and durations, and any text on one line."""

from __future__ import annotations

import math

NOTHING = "-"
"""Stands where there is no value."""

_LARGEST_IN_FULL = 1e15
_SMALLEST_IN_FULL = 1e-3


def number(value: float | None) -> str:
    """Return a number with thousands separators, or four significant digits."""
    if value is None or math.isnan(value):
        return NOTHING
    if abs(value) >= _LARGEST_IN_FULL:
        return f"{value:.4g}"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:#.4g}".rstrip(".") if abs(value) >= _SMALLEST_IN_FULL else f"{value:.4g}"


def difference(value: float | None, base: float | None) -> str:
    """Return how far a value lies from ``base``, in percent of the latter."""
    if value is None or base is None or base == 0:
        return NOTHING
    return f"{(value - base) / abs(base):+,.2%}"


def count(amount: int, what: str) -> str:
    """Return how many there are of something: ``1 row``, ``1,234 rows``."""
    return f"{amount:,} {what}" if amount == 1 else f"{amount:,} {what}s"


def size(amount: float) -> str:
    """Return a number of bytes in decimal units: ``512 B``, ``1.5 kB``, ``137 kB``."""
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:,.0f} {unit}" if unit == "B" or amount >= 99.95 else f"{amount:.1f} {unit}"


def price(dollars: float) -> str:
    """Return US dollars as ``$12.34``, and below a cent with as many digits as matter."""
    if dollars >= 0.01 or dollars == 0:
        return f"${dollars:,.2f}"
    return f"${dollars:.5f}"


def duration(seconds: float) -> str:
    """Return seconds as ``0.42 s``, ``12.3 s`` or ``2 min 5 s``."""
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes:,} min {rest} s"


def one_line(text: str) -> str:
    """Return text on one line, with control characters spelled out."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in " ".join(text.splitlines())
    )

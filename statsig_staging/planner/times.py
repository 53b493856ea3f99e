"""Times: a moment or a day, some time later."""

from __future__ import annotations

from sqlglot import exp

from statsig_staging import templates


def block(*, is_minutes: bool) -> str:
    """Return the unit of a window's blocks."""
    return "MINUTE" if is_minutes else "DAY"


def later(moment: exp.Expr, blocks: int, unit: str) -> exp.Expr:
    """Return a moment, or a day, so many units later."""
    if not blocks:
        return moment
    return exp.DateAdd(this=moment, expression=exp.convert(blocks), unit=exp.var(unit))


def days_later(day: exp.Expr, days: int) -> exp.Expr:
    """Return a day so many days later, as a date."""
    return exp.cast(later(day, days, "DAY"), "date") if days else day


def midnight(day: exp.Expr) -> exp.Expr:
    """Return the moment at which a day begins."""
    return exp.cast(day, "timestamp(6)", dialect=templates.DIALECT)

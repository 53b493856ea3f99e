"""Dates and timestamps: a DATE stays a DATE, differences count whole elapsed units."""

from __future__ import annotations

from sqlglot import exp

from statsig_staging.warehouses.local.dialect.build import (
    call,
    case,
    cast,
    must,
    must_type,
    of_family,
    paren,
)
from statsig_staging.warehouses.local.dialect.refusals import refused, unknown_type
from statsig_staging.warehouses.local.dialect.types import (
    INTEGERS,
    UNKNOWN,
    DType,
    Family,
    family_of,
    is_integer,
    is_unknown,
    type_of,
)

DAYS = frozenset({"DAY", "WEEK", "MONTH", "QUARTER", "YEAR"})
CLOCK = frozenset({"MILLISECOND", "SECOND", "MINUTE", "HOUR"})

# DuckDB counts buckets of days from Monday 2000-01-03 and of months from 2000-01-01, as ISO 8601 does.
_BUCKETS = {
    "DAY": (1, "DAY"),
    "WEEK": (7, "DAY"),
    "MONTH": (1, "MONTH"),
    "QUARTER": (3, "MONTH"),
    "YEAR": (12, "MONTH"),
}

_PARTS = {
    "YEAR": "year",
    "QUARTER": "quarter",
    "MONTH": "month",
    "WEEK": "week",
    "DAY": "day",
    "DAY_OF_MONTH": "day",
    "DAY_OF_WEEK": "isodow",
    "DOW": "isodow",
    "DAY_OF_YEAR": "dayofyear",
    "DOY": "dayofyear",
    "YEAR_OF_WEEK": "isoyear",
    "YOW": "isoyear",
    "HOUR": "hour",
    "MINUTE": "minute",
    "SECOND": "second",
}

_WRITTEN = frozenset(
    ["Y", "y", "m", "-m", "d", "-d", "H", "-H", "I", "-I", "M", "S", "f", "p", "j", "a", "b", "%"]
)
_READ = frozenset(["Y", "m", "-m", "d", "-d", "H", "-H", "I", "-I", "M", "S", "f", "p", "j", "%"])


def interval(node: exp.Expr) -> exp.Expr:
    """Leave INTERVAL '1' DAY as it is; refuse fractions and spans."""
    unit = node.args.get("unit")
    if not isinstance(unit, exp.Var) or unit.name.upper() not in DAYS | CLOCK:
        raise refused("INTERVAL", "write it in one unit, as INTERVAL '1' DAY")
    if not node.name.lstrip("-").isdigit():
        raise refused("INTERVAL", "it must hold a whole number")
    return node


def shift(node: exp.Expr) -> exp.Expr:
    """Return a date or timestamp plus or minus an interval."""
    left, right = node.this, node.expression
    moment, amount = (right, left) if family_of(left) is Family.INTERVAL else (left, right)
    if family_of(moment) is Family.INTERVAL:
        return node
    name = "+" if isinstance(node, exp.Add) else "-"
    if name == "-" and moment is right:
        raise refused("-", "a date cannot be taken from an interval")
    units = {unit.unit.name.upper() for unit in amount.find_all(exp.Interval) if unit.unit}
    guarded = _moment(moment, node, units, name)
    found = type(node)(this=guarded, expression=amount.copy())
    if type_of(moment).this is DType.DATE:
        return cast(found, DType.DATE)
    return found


def _moment(moment: exp.Expr, user: exp.Expr, units: set[str], name: str) -> exp.Expr:
    """Return what is moved; a DATE must be known, and moves by whole days."""
    if is_unknown(moment):
        return _timestamp(moment, user, name)
    if family_of(moment) not in {Family.MOMENT, Family.NULL}:
        raise refused(name, f"it moves dates and timestamps, not {family_of(moment)}; write a CAST")
    if type_of(moment).this is DType.DATE and not units <= DAYS:
        raise refused(name, "Athena adds no hours, minutes or seconds to a date")
    return moment.copy()


def _timestamp(moment: exp.Expr, user: exp.Expr, name: str) -> exp.Expr:
    zoned = call("starts_with", call("typeof", moment.copy()), "TIMESTAMP")
    why = f"{name} of what is no timestamp; CAST a date to DATE"
    return must_type(moment.copy(), zoned, why, user)


def add(node: exp.Expr) -> exp.Expr:
    """Return DATE_ADD(unit, n, x)."""
    unit, amount, moment = _unit(node, "date_add"), node.expression, node.this
    if not (is_integer(amount) or is_unknown(amount)):
        raise refused("date_add", f"it adds whole units, not {family_of(amount)}; write a CAST")
    guarded = _moment(moment, node, {unit}, "date_add")
    if type_of(moment).this is not DType.DATE:
        return exp.Paren(this=exp.Add(this=guarded, expression=_interval(amount, unit)))
    if unit == "DAY":
        days = amount.copy() if _is_number(amount) else cast(amount.copy(), DType.INT)
        return exp.Paren(this=exp.Add(this=guarded, expression=days))
    return cast(exp.Add(this=guarded, expression=_interval(amount, unit)), DType.DATE)


def _is_number(amount: exp.Expr) -> bool:
    value = amount.this if isinstance(amount, exp.Neg) else amount
    return isinstance(value, exp.Literal)


def _interval(amount: exp.Expr, unit: str) -> exp.Expr:
    factor = {"QUARTER": 3, "WEEK": 7}.get(unit, 1)
    name = {"QUARTER": "to_months", "WEEK": "to_days"}.get(unit, f"to_{unit.lower()}s")
    kind = DType.BIGINT if unit in CLOCK else DType.INT
    number = amount.copy() if _is_number(amount) else cast(amount.copy(), kind)
    if factor > 1:
        number = exp.Mul(this=paren(number), expression=exp.Literal.number(factor))
    return call(name, number)


def difference(node: exp.Expr) -> exp.Expr:
    """Return DATE_DIFF: whole elapsed units, where DuckDB's date_diff counts boundaries."""
    unit = _unit(node, "date_diff")
    sides = [of_family(side.copy(), Family.MOMENT, node) for side in (node.expression, node.this)]
    dates = [type_of(side).this is DType.DATE for side in (node.expression, node.this)]
    if all(dates) and unit in CLOCK:
        raise refused("date_diff", f"Athena has no {unit.lower()} between two dates")
    if not all(dates):
        # Athena compares milliseconds, whatever the precision of the timestamps.
        sides = [call("date_trunc", "millisecond", side) for side in sides]
    return call("date_sub", unit.lower(), *sides)


def truncate(node: exp.Expr) -> exp.Expr:
    """Return DATE_TRUNC, a DATE for a DATE."""
    unit, moment = _unit(node, "date_trunc"), node.this
    kind = type_of(moment).this
    if unit in CLOCK:
        if kind is DType.DATE:
            raise refused("date_trunc", f"Athena cuts no date to the {unit.lower()}")
        guarded = _timestamp(moment, node, "date_trunc") if is_unknown(moment) else moment.copy()
        return call("date_trunc", unit.lower(), guarded)
    if kind is UNKNOWN.this:
        count, base = _BUCKETS[unit]
        width = exp.Interval(this=exp.Literal.string(str(count)), unit=exp.Var(this=base))
        return call("time_bucket", width, of_family(moment.copy(), Family.MOMENT, node))
    cut = call("date_trunc", unit.lower(), of_family(moment.copy(), Family.MOMENT, node))
    return cast(cut, DType.DATE) if kind is DType.DATE else cut


def _unit(node: exp.Expr, name: str) -> str:
    unit = node.args.get("unit")
    text = unit.name.upper() if isinstance(unit, exp.Expr) else ""
    if text not in DAYS | CLOCK:
        raise refused(name, f"it has no unit {text.lower() or 'given'}")
    return text


def extract(node: exp.Expr) -> exp.Expr:
    """Return EXTRACT(part FROM x)."""
    part = node.this.name.upper()
    if part not in _PARTS:
        raise refused(f"EXTRACT({part})", "it has no counterpart")
    return _part(_PARTS[part], node.expression, node)


def clock(node: exp.Expr) -> exp.Expr:
    """Return HOUR, MINUTE, SECOND or MILLISECOND, of a timestamp only."""
    if isinstance(node, exp.Anonymous):
        found = _part("millisecond", node.expressions[0], node)
        return exp.Paren(this=exp.Mod(this=found, expression=exp.Literal.number(1000)))
    return _part(node.key, node.this, node)


def _part(name: str, moment: exp.Expr, user: exp.Expr) -> exp.Expr:
    if name.upper() not in CLOCK:
        return call(name, of_family(moment.copy(), Family.MOMENT, user))
    if type_of(moment).this is DType.DATE:
        raise refused(name, "Athena takes it of timestamps only")
    if is_unknown(moment):
        return call(name, _timestamp(moment, user, name))
    return call(name, of_family(moment.copy(), Family.MOMENT, user))


def from_seconds(node: exp.Expr) -> exp.Expr:
    """Return FROM_UNIXTIME(x), rounded to milliseconds."""
    if node.args.get("zone") or node.args.get("hours") or node.args.get("scale"):
        raise refused("from_unixtime", "everything is UTC; give it one argument")
    seconds = cast(of_family(node.this.copy(), Family.NUMBER, node), DType.DOUBLE)
    thousand = exp.Mul(this=seconds, expression=exp.Literal.number(1000))
    half = exp.Add(this=thousand, expression=exp.Literal.number("0.5e0"))
    millis = cast(call("floor", half), DType.BIGINT)
    return call("timezone", "UTC", call("epoch_ms", millis))


def to_seconds(node: exp.Expr) -> exp.Expr:
    """Return TO_UNIXTIME(x)."""
    return call("epoch", of_family(node.this.copy(), Family.MOMENT, node))


def at_zone(node: exp.Expr) -> exp.Expr:
    """Return x AT TIME ZONE 'UTC'; DuckDB takes the wall clock of other zones for another instant."""
    if node.args["zone"].name.upper() not in {"UTC", "Z", "+00:00", "ETC/UTC", "GMT"}:
        raise refused("AT TIME ZONE", "everything is UTC; shift the timestamp with date_add")
    moment = of_family(node.this.copy(), Family.MOMENT, node)
    return (
        moment if type_of(node.this).this is DType.TIMESTAMPTZ else cast(moment, DType.TIMESTAMPTZ)
    )


def written(node: exp.Expr) -> exp.Expr:
    """Return DATE_FORMAT(x, pattern)."""
    tokens = _tokens(node, "date_format", _WRITTEN)
    moment = of_family(node.this.copy(), Family.MOMENT, node)
    if "f" in tokens:
        moment = call("date_trunc", "millisecond", moment)
    return call("strftime", moment, node.args["format"].copy())


def read(node: exp.Expr) -> exp.Expr:
    """Return DATE_PARSE(text, pattern), at milliseconds."""
    tokens = _tokens(node, "date_parse", _READ)
    found = call(
        "strptime", of_family(node.this.copy(), Family.TEXT, node), node.args["format"].copy()
    )
    return call("date_trunc", "millisecond", found) if "f" in tokens else found


def _tokens(node: exp.Expr, name: str, allowed: frozenset[str]) -> set[str]:
    pattern = node.args.get("format")
    if not isinstance(pattern, exp.Literal) or not pattern.is_string:
        raise refused(name, "the pattern must be a literal")
    found, rest = set(), pattern.name
    while "%" in rest:
        rest = rest.partition("%")[2]
        length = 2 if rest.startswith("-") else 1
        token, rest = rest[:length], rest[length:]
        # %B and %A: sqlglot writes %M and %W so, and Athena takes them for the letters B and A.
        if token not in allowed:
            raise refused(
                f"{name} with this pattern", "only numbers and short names are the same on both"
            )
        found.add(token)
    return found


_ISO = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,3})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"


def from_iso_timestamp(node: exp.Expr) -> exp.Expr:
    """Return FROM_ISO8601_TIMESTAMP(text); refuse at run time what DuckDB may read differently."""
    text = of_family(node.this.copy(), Family.TEXT, node)
    checked = call("athena_castable", text, _ISO, "a^", exp.true())
    return cast(checked, DType.TIMESTAMPTZ)


def from_iso_date(node: exp.Expr) -> exp.Expr:
    """Return FROM_ISO8601_DATE(text)."""
    text = of_family(node.this.copy(), Family.TEXT, node)
    return cast(
        call("athena_castable", text, r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "a^", exp.true()), DType.DATE
    )


def sequence(node: exp.Expr) -> exp.Expr:
    """Return SEQUENCE(start, stop[, step]), at most 10,000 entries, downward where stop is smaller."""
    start, stop, step = node.args["start"], node.args["end"], node.args.get("step")
    kinds = {type_of(start).this, type_of(stop).this}
    if kinds <= INTEGERS:
        return _series(start, stop, step or _step(start, stop, exp.Literal.number(1)))
    if kinds <= {DType.DATE} or kinds <= {DType.TIMESTAMP}:
        if step is not None and family_of(step) is not Family.INTERVAL:
            raise refused("sequence", "its step must be an interval")
        if step is None and kinds != {DType.DATE}:
            raise refused("sequence", "of timestamps it needs a step")
        day = exp.Interval(this=exp.Literal.string("1"), unit=exp.Var(this="DAY"))
        found = _series(start, stop, step or _step(start, stop, day))
        kind = exp.DataType(
            this=DType.ARRAY, expressions=[exp.DataType(this=DType.DATE)], nested=True
        )
        return cast(found, kind) if kinds == {DType.DATE} else found
    for side in (start, stop):
        if is_unknown(side):
            raise unknown_type("sequence", side)
    raise refused("sequence", "it takes whole numbers, dates or timestamps")


def _step(start: exp.Expr, stop: exp.Expr, one: exp.Expr) -> exp.Expr:
    upward = exp.LTE(this=paren(start.copy()), expression=paren(stop.copy()))
    return case((upward, one), default=exp.Neg(this=one.copy()))


def _series(start: exp.Expr, stop: exp.Expr, step: exp.Expr) -> exp.Expr:
    """Return generate_series; Athena fails where DuckDB has nothing, and beyond 10,000 entries."""
    found = call("generate_series", start.copy(), stop.copy(), step.copy())
    length = call("len", found.copy())
    ok = exp.Between(this=length, low=exp.Literal.number(1), high=exp.Literal.number(10_000))
    return must(
        found, ok, "INVALID_FUNCTION_ARGUMENT: sequence, its step or more than 10000 entries"
    )

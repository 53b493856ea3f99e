"""Casts: Athena takes less text than DuckDB, rounds halves away from zero, writes floats its own way."""

from __future__ import annotations

from sqlglot import exp

from statsig_staging.warehouses.local.dialect.build import (
    call,
    case,
    cast,
    must_type,
    paren,
)
from statsig_staging.warehouses.local.dialect.inference import parse_like
from statsig_staging.warehouses.local.dialect.refusals import refused
from statsig_staging.warehouses.local.dialect.types import (
    FLOATS,
    INTEGERS,
    LARGEST_PRECISION,
    DType,
    Family,
    decimal,
    family_of,
    is_floating,
    is_unknown,
    type_of,
)

_SPACE = r"[\x00-\x20]*"
_WHOLE = r"[+-]?[0-9]+"
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_DAY = r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
_TIME = r"[0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2}(\.[0-9]{1,6})?)?"

_TEXTS: dict[DType, tuple[str, str]] = {
    **dict.fromkeys(INTEGERS, (_WHOLE, f"{_SPACE}{_WHOLE}{_SPACE}")),
    # Java's Double.parseDouble takes blanks around, a suffix and hexadecimals.
    **dict.fromkeys(
        FLOATS,
        (
            f"{_SPACE}({_NUMBER}|NaN|[+-]?Infinity){_SPACE}",
            rf"{_SPACE}{_NUMBER}[dDfF]{_SPACE}|{_SPACE}[+-]?0[xX].*|{_SPACE}[+-]NaN{_SPACE}",
        ),
    ),
    DType.DECIMAL: (_NUMBER, f"{_SPACE}{_NUMBER}{_SPACE}"),
    DType.BOOLEAN: ("(?i)t|true|1|f|false|0", "a^"),
    DType.DATE: (_DAY, rf"{_SPACE}[+-]?[0-9]*{_DAY}{_SPACE}"),
    DType.TIMESTAMP: (f"{_DAY}( {_TIME})?", rf"{_SPACE}[+-]?[0-9]*{_DAY}([ ].*)?"),
}
"""For each type the text that every release of Trino casts, and the text that only some do."""

_NOT_TO_TEXT = {
    **dict.fromkeys(FLOATS, "Athena writes 1.0E0"),
    DType.TIMESTAMP: "its digits depend on the table's format; write date_format(x, '%Y-%m-%d %H:%i:%s')",
    DType.TIMESTAMPTZ: "Athena adds the zone; write date_format(x, '%Y-%m-%d %H:%i:%s')",
    DType.DECIMAL: "",
}


def convert(node: exp.Expr) -> exp.Expr:
    """Translate CAST and TRY_CAST."""
    to = node.args["to"]
    strict = not isinstance(node, exp.TryCast)
    value = node.this
    if family_of(value) is Family.NULL:
        return cast(value.copy(), _duckdb_type(node), strict=strict)
    match to.this:
        case DType.VARCHAR | DType.TEXT:
            return _to_text(node, value, to)
        case DType.TIMESTAMP:
            return _to_timestamp(value, to, strict=strict)
        case DType.TIMESTAMPTZ:
            return _to_zoned(node, value, strict=strict)
        case DType.DECIMAL:
            return _to_decimal(value, to, strict=strict)
        case kind if kind in INTEGERS:
            return _to_whole(value, to, strict=strict)
        case DType.DOUBLE | DType.FLOAT | DType.BOOLEAN | DType.DATE:
            return _from_any(value, to, to.this, strict=strict)
        case _:
            raise refused(f"CAST to {to.sql(dialect='athena')}", "the type has no counterpart")


def date(node: exp.Expr) -> exp.Expr:
    """Return DATE(x), which is CAST(x AS DATE)."""
    if node.expressions or node.args.get("zone"):
        raise refused("date", "it takes one argument")
    to = exp.DataType(this=DType.DATE)
    return _from_any(node.this, to, DType.DATE, strict=True)


def _duckdb_type(node: exp.Expr) -> exp.DataType:
    kind = type_of(node)
    if kind.this in {DType.UNKNOWN, DType.NULL}:
        raise refused(
            f"CAST to {node.args['to'].sql(dialect='athena')}", "the type has no counterpart"
        )
    return parse_like(kind)


def _from_any(value: exp.Expr, to: exp.DataType, kind: DType, *, strict: bool) -> exp.Expr:
    """Cast text that Athena casts, and everything else plainly."""
    if is_unknown(value):
        text = _from_text(cast(value.copy(), DType.VARCHAR), to, kind, strict=strict)
        return case((_is_text(value), text), default=cast(value.copy(), to, strict=strict))
    if family_of(value) is Family.TEXT:
        if isinstance(value, exp.Literal) and _is_plain(value.name, kind):
            return cast(value.copy(), to, strict=strict)
        return _from_text(value.copy(), to, kind, strict=strict)
    return cast(value.copy(), to, strict=strict)


def _is_plain(text: str, kind: DType) -> bool:
    plain = {DType.DATE: ("-",), DType.TIMESTAMP: ("-", ":", " ", ".")}.get(kind)
    if plain is None or len(text) < len("2026-01-01"):
        return False
    return all(character.isdigit() or character in plain for character in text)


def _from_text(value: exp.Expr, to: exp.DataType, kind: DType, *, strict: bool) -> exp.Expr:
    sure, doubtful = _TEXTS[kind]
    checked = call("athena_castable", value, sure, doubtful, exp.Boolean(this=strict))
    return cast(checked, to, strict=strict)


def _is_text(value: exp.Expr) -> exp.Expr:
    return exp.EQ(this=call("typeof", value.copy()), expression=exp.Literal.string("VARCHAR"))


def _is_float(value: exp.Expr) -> exp.Expr:
    names = [exp.Literal.string(name) for name in ("FLOAT", "DOUBLE")]
    return exp.In(this=call("typeof", value.copy()), expressions=names)


def _to_whole(value: exp.Expr, to: exp.DataType, *, strict: bool) -> exp.Expr:
    if is_floating(value):
        return cast(call("round", value.copy()), to, strict=strict)
    found = _from_any(value, to, to.this, strict=strict)
    if not is_unknown(value) or not isinstance(found, exp.Case):
        return found
    number = cast(value.copy(), DType.DOUBLE, strict=False)
    return _with_branch(found, _is_float(value), cast(call("round", number), to, strict=strict))


def _with_branch(found: exp.Case, condition: exp.Expr, value: exp.Expr) -> exp.Expr:
    found.append("ifs", exp.If(this=condition, true=value))
    return found


def _to_decimal(value: exp.Expr, to: exp.DataType, *, strict: bool) -> exp.Expr:
    if not to.expressions:
        if isinstance(value, exp.Literal) and value.is_string and not value.name.isdigit():
            # sqlglot parses DECIMAL '1.5' and CAST('1.5' AS DECIMAL), 1.5 and 2 on Athena, alike.
            raise refused(
                "DECIMAL '…'", "write CAST('1.5' AS DECIMAL(2, 1)), with the digits it needs"
            )
        to = decimal(LARGEST_PRECISION, 0)
    if is_floating(value):
        # BigDecimal.valueOf rounds the shortest text of the double, and so does this.
        return cast(cast(value.copy(), DType.VARCHAR), to, strict=strict)
    found = _from_any(value, to, DType.DECIMAL, strict=strict)
    if not is_unknown(value) or not isinstance(found, exp.Case):
        return found
    text = cast(cast(value.copy(), DType.VARCHAR), to, strict=strict)
    return _with_branch(found, _is_float(value), text)


def _to_text(node: exp.Expr, value: exp.Expr, to: exp.DataType) -> exp.Expr:
    plain = exp.DataType(this=DType.VARCHAR)
    if why := _NOT_TO_TEXT.get(type_of(value).this):
        raise refused(f"CAST({type_of(value).sql(dialect='athena')} AS VARCHAR)".lower(), why)
    if family_of(value) not in {
        Family.TEXT,
        Family.NUMBER,
        Family.BOOLEAN,
        Family.MOMENT,
        Family.UNKNOWN,
    }:
        raise refused("CAST to varchar", f"of {family_of(value)}")
    if to.expressions:
        return _to_short_text(node, value, to)
    if family_of(value) is Family.TEXT:
        return cast(value.copy(), plain)
    if is_unknown(value):
        value = must_type(value.copy(), _writes_alike(value), "CAST of this type to varchar", node)
    return cast(value.copy(), plain)


def _writes_alike(value: exp.Expr) -> exp.Expr:
    families = [
        exp.Literal.string(name)
        for name in (Family.NUMBER, Family.TEXT, Family.BOOLEAN, Family.NULL)
    ]
    known = exp.In(this=call("athena_family", value.copy()), expressions=families)
    date_ = exp.EQ(this=call("typeof", value.copy()), expression=exp.Literal.string("DATE"))
    floats = exp.Not(this=_is_float(value))
    return exp.or_(exp.and_(known, floats, copy=False), date_, copy=False)


def _to_short_text(node: exp.Expr, value: exp.Expr, to: exp.DataType) -> exp.Expr:
    if family_of(value) not in {Family.TEXT, Family.UNKNOWN}:
        raise refused(f"CAST to {to.sql(dialect='athena')}".lower(), "write CAST(x AS VARCHAR)")
    if is_unknown(value):
        value = must_type(value.copy(), _is_text(value), "CAST of this type to varchar(n)", node)
    return call("left", value.copy(), to.expressions[0].this.copy())


def _to_timestamp(value: exp.Expr, to: exp.DataType, *, strict: bool) -> exp.Expr:
    micros = exp.DataType(this=DType.TIMESTAMP)
    digits = int(to.expressions[0].name) if to.expressions else 3
    if digits not in {0, 3, 6}:
        raise refused(f"CAST to timestamp({digits})", "write timestamp(3) or timestamp(6)")
    found = _from_any(value, micros, DType.TIMESTAMP, strict=strict)
    if digits == 6 or type_of(value).this is DType.DATE or _has_fraction(value, digits) is False:
        return found
    if digits == 0:
        raise refused("CAST to timestamp(0)", "write date_trunc('second', x)")
    return call("athena_milliseconds", found)


def _has_fraction(value: exp.Expr, digits: int) -> bool | None:
    """Return whether a literal has more than `digits` of a second, None for what is no literal."""
    if not isinstance(value, exp.Literal) or not value.is_string:
        return None
    return len(value.name.partition(".")[2]) > digits


def _to_zoned(node: exp.Expr, value: exp.Expr, *, strict: bool) -> exp.Expr:
    zoned = exp.DataType(this=DType.TIMESTAMPTZ)
    if isinstance(value, exp.Literal) and value.name.upper().endswith((" UTC", "+00:00", " Z")):
        return cast(value.copy(), zoned, strict=strict)
    if family_of(value) is Family.TEXT:
        raise refused("CAST of text to timestamp with time zone", "write from_iso8601_timestamp(x)")
    if is_unknown(value):
        moment = exp.EQ(
            this=call("athena_family", value.copy()), expression=exp.Literal.string(Family.MOMENT)
        )
        value = must_type(
            value.copy(), moment, "CAST of this type to timestamp with time zone", node
        )
    return cast(paren(value.copy()), zoned, strict=strict)

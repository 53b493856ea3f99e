"""Arithmetic: whole division, decimal scales, errors where Athena has them and NaN where not."""

from __future__ import annotations

from sqlglot import exp

from statsig_staging.warehouses.local.dialect import times
from statsig_staging.warehouses.local.dialect.build import (
    call,
    case,
    cast,
    must,
    must_type,
    of_family,
    paren,
)
from statsig_staging.warehouses.local.dialect.refusals import athena_name, refused, unknown_type
from statsig_staging.warehouses.local.dialect.types import (
    LARGEST_PRECISION,
    DType,
    Family,
    decimal,
    digits,
    family_of,
    is_floating,
    is_integer,
    is_unknown,
    type_of,
)

NUMBER = Family.NUMBER

_WHOLE: dict[type[exp.Expr], str] = {exp.Floor: "floor", exp.Ceil: "ceil"}


def literal(node: exp.Expr) -> exp.Expr:
    """Write 1.5 as 1.5e0: Athena types it double, DuckDB decimal."""
    if node.args.get("is_string") or node.name.isdigit() or "e" in node.name.lower():
        return node
    return exp.Literal.number(f"{node.name}e0")


def plus(node: exp.Expr) -> exp.Expr:
    """Add or subtract numbers; dates only with intervals."""
    families = {family_of(node.this), family_of(node.expression)}
    if Family.INTERVAL in families:
        return times.shift(node)
    if families == {Family.MOMENT}:
        raise refused("date - date", "the engines return different types; write date_diff")
    left, right = (of_family(side, NUMBER, node) for side in (node.this, node.expression))
    return type(node)(this=left, expression=right)


def multiply(node: exp.Expr) -> exp.Expr:
    """Multiply numbers, or an interval by a number."""
    for side in (node.this, node.expression):
        if family_of(side) not in {NUMBER, Family.INTERVAL, Family.NULL, Family.UNKNOWN}:
            raise refused("*", f"it takes numbers, not {family_of(side)}; write a CAST")
    return node


def divide(node: exp.Expr) -> exp.Expr:
    """Divide: whole numbers toward zero, decimals to their scale, doubles by IEEE 754."""
    left, right = node.this.copy(), node.expression.copy()
    for side in (left, right):
        if family_of(side) not in {NUMBER, Family.NULL, Family.UNKNOWN}:
            raise refused("/", f"it takes numbers, not {family_of(side)}; write a CAST")
    if is_floating(left) or is_floating(right):
        # typed=False: sqlglot adds nothing of its own.
        return exp.Div(this=left, expression=right, typed=False, safe=False)
    if is_integer(left) and is_integer(right):
        return exp.Paren(this=exp.IntDiv(this=paren(left), expression=paren(_not_zero(right))))
    sizes = digits(type_of(left)), digits(type_of(right))
    if sizes[0] and sizes[1]:
        return _decimal_division(left, right, sizes[0][1], sizes[1][1], type_of(node))
    if node.find_ancestor(exp.Try):
        raise unknown_type("TRY", left if is_unknown(left) else right)
    return call("athena_divide", left, right)


def _not_zero(value: exp.Expr) -> exp.Expr:
    if isinstance(value, exp.Literal):
        if not value.name.strip("0"):
            raise refused("/ and %", "of the literal zero")
        return value
    zero = exp.NEQ(this=paren(value.copy()), expression=exp.Literal.number(0))
    return must(value, zero, "DIVISION_BY_ZERO")


def _decimal_division(
    left: exp.Expr, right: exp.Expr, scale: int, other: int, result: exp.DataType
) -> exp.Expr:
    """Divide as whole numbers of the smallest unit, half up, which is away from zero."""
    size = digits(result)
    if size is None:
        raise refused("/", "the sizes of the decimals are not known; CAST them")
    precision, target = size
    dividend = _unscaled(left, scale, target - scale + other)
    divisor = _unscaled(_not_zero(right), other, 0)
    twice = exp.Mul(this=exp.Literal.number(2), expression=call("abs", dividend))
    numerator = exp.Paren(this=exp.Add(this=twice, expression=call("abs", divisor)))
    double = exp.Mul(this=exp.Literal.number(2), expression=call("abs", divisor.copy()))
    half_up = exp.IntDiv(this=numerator, expression=exp.Paren(this=double))
    sign = exp.Mul(this=call("sign", dividend.copy()), expression=call("sign", divisor.copy()))
    whole = exp.Mul(this=exp.Paren(this=half_up), expression=exp.Paren(this=sign))
    scaled = cast(whole, decimal(LARGEST_PRECISION - target, 0))
    if target:
        scaled = exp.Mul(this=scaled, expression=_power(-target))
    return cast(exp.Paren(this=scaled), decimal(precision, target))


def _unscaled(value: exp.Expr, scale: int, more: int) -> exp.Expr:
    wide = cast(value, decimal(LARGEST_PRECISION, scale))
    power = exp.Literal.number(10 ** (scale + more))
    factor = cast(power, decimal(LARGEST_PRECISION, 0))
    return cast(exp.Mul(this=wide, expression=factor), DType.INT128)


def _power(exponent: int) -> exp.Expr:
    text = f"0.{'0' * (-exponent - 1)}1"
    return cast(exp.Literal.string(text), decimal(-exponent, -exponent))


def modulo(node: exp.Expr) -> exp.Expr:
    """Return the remainder, with the sign of the dividend; a whole division by zero fails."""
    left, right = node.this.copy(), node.expression.copy()
    for side in (left, right):
        if family_of(side) not in {NUMBER, Family.NULL, Family.UNKNOWN}:
            raise refused("%", f"it takes numbers, not {family_of(side)}; write a CAST")
    if is_floating(left) or is_floating(right):
        return exp.Mod(this=left, expression=right)
    if is_unknown(left) or is_unknown(right):
        return call("athena_modulo", left, right)
    return exp.Mod(this=paren(left), expression=paren(_not_zero(right)))


def negative(node: exp.Expr) -> exp.Expr:
    """Leave -x as it is, for numbers and intervals."""
    if family_of(node.this) in {Family.TEXT, Family.MOMENT, Family.BOOLEAN}:
        raise refused("-", f"it takes numbers, not {family_of(node.this)}; write a CAST")
    return node


def rounded(node: exp.Expr) -> exp.Expr:
    """Round half away from zero, which both engines do; whole numbers stay."""
    places = node.args.get("decimals")
    if places is not None and not isinstance(places, exp.Literal):
        raise refused("round", "the number of decimals must be a literal that is not negative")
    value: exp.Expr = node.this.copy()
    if family_of(value) not in {NUMBER, Family.NULL, Family.UNKNOWN}:
        raise refused("round", f"it takes numbers, not {family_of(value)}; write a CAST")
    if is_integer(value):
        return value
    return call("round", value, *([places.copy()] if places else []))


def whole(node: exp.Expr) -> exp.Expr:
    """Return FLOOR, CEIL or TRUNCATE; DuckDB turns whole numbers into doubles."""
    name = athena_name(node)
    if any(node.args.get(key) for key in node.args if key != "this"):
        raise refused(name, "it has a second argument")
    value: exp.Expr = node.this.copy()
    if family_of(value) not in {NUMBER, Family.NULL, Family.UNKNOWN}:
        raise refused(name, f"it takes numbers, not {family_of(value)}; write a CAST")
    if is_integer(value):
        return value
    if is_unknown(value) and not isinstance(node, exp.Trunc):
        floats = exp.In(
            this=call("typeof", value.copy()),
            expressions=[exp.Literal.string("FLOAT"), exp.Literal.string("DOUBLE")],
        )
        decimals = call("starts_with", call("typeof", value.copy()), "DECIMAL")
        ok = exp.or_(floats, decimals, copy=False)
        value = must_type(value, ok, f"{name} of a column that may be an integer; CAST it", node)
    return call(_WHOLE.get(type(node), "trunc"), value)


def sign(node: exp.Expr) -> exp.Expr:
    """Return the sign in the type of the number; DuckDB has TINYINT, and 0 for NaN."""
    value = of_family(node.this.copy(), NUMBER, node)
    if is_unknown(node.this):
        raise unknown_type("sign", node.this)
    found = cast(call("sign", value), type_of(node.this))
    if not is_floating(node.this):
        return found
    return case((call("isnan", value.copy()), value.copy()), default=found)


def logarithm(node: exp.Expr) -> exp.Expr:
    """Return LN, LOG2, LOG10 or LOG(base, x)."""
    if isinstance(node, exp.Ln):
        return call("athena_ln", _double(node.this, node))
    if node.expression is None:
        raise refused("log", "Athena's takes a base and a number")
    base, value = node.this, node.expression
    if isinstance(base, exp.Literal) and base.name == "10":
        infinite = exp.LTE(this=_double(value, node), expression=exp.Literal.number(0))
        default = call("log10", _double(value, node))
        return case((infinite, call("athena_ln", _double(value, node))), default=default)
    parts = (call("athena_ln", _double(part, node)) for part in (value, base))
    left, right = parts
    return exp.Paren(this=exp.Div(this=left, expression=right, typed=False, safe=False))


def square_root(node: exp.Expr) -> exp.Expr:
    """Return the root, NaN for what is negative."""
    return call("athena_sqrt", _double(node.this, node))


def _double(value: exp.Expr, user: exp.Expr) -> exp.Expr:
    value = of_family(value.copy(), NUMBER, user)
    return value if type_of(value).this is DType.DOUBLE else cast(value, DType.DOUBLE)


def float_test(node: exp.Expr) -> exp.Expr:
    """Return IS_NAN, IS_FINITE or IS_INFINITE; DuckDB's isfinite takes dates too."""
    name = node.name.lower() if isinstance(node, exp.Anonymous) else "is_nan"
    value = node.expressions[0] if isinstance(node, exp.Anonymous) else node.this
    found = {"is_nan": "isnan", "is_finite": "isfinite", "is_infinite": "isinf"}[name]
    return call(found, of_family(value.copy(), NUMBER, node))


def constant(node: exp.Expr) -> exp.Expr:
    """Return NAN(), INFINITY() or E()."""
    if node.name.lower() == "e":
        return exp.Literal.number("2.718281828459045e0")
    text = {"nan": "nan", "infinity": "inf"}[node.name.lower()]
    return cast(exp.Literal.string(text), DType.DOUBLE)


def bitwise(node: exp.Expr) -> exp.Expr:
    """Return BITWISE_AND, _OR, _XOR or _NOT of whole numbers, a bigint."""
    parts = [node.this] if isinstance(node, exp.BitwiseNot) else [node.this, node.expression]
    for part in parts:
        if not is_integer(part) and not is_unknown(part):
            raise refused(athena_name(node), "it takes whole numbers; write a CAST")
    wide = [
        exp.Paren(this=cast(part.copy(), DType.BIGINT)) if is_integer(part) else paren(part.copy())
        for part in parts
    ]
    if isinstance(node, exp.BitwiseXor):
        return call("xor", *wide)
    if isinstance(node, exp.BitwiseNot):
        return exp.BitwiseNot(this=wide[0])
    return exp.Paren(this=type(node)(this=wide[0], expression=wide[1]))

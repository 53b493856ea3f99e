"""Comparisons: NaN equals and exceeds nothing on Athena, and types are never cast to fit.

DuckDB sorts NaN above every number, lets it equal itself, and casts '5' to a number to compare it with one.
"""

from __future__ import annotations

from sqlglot import exp

from statsig_staging.warehouses.local.dialect.build import (
    alike,
    both,
    call,
    case,
    is_null,
    negated,
    of_family,
    paren,
)
from statsig_staging.warehouses.local.dialect.inference import values_of
from statsig_staging.warehouses.local.dialect.refusals import refused
from statsig_staging.warehouses.local.dialect.types import (
    BOOLEAN,
    Family,
    family_of,
    is_floating,
    is_unknown,
    type_of,
)

OPERATORS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
}

_NUMBERS = {Family.NUMBER, Family.UNKNOWN}


def compare(node: exp.Expr) -> exp.Expr:
    """Compare as Athena does; plain where neither side can be NaN."""
    left, right = node.this, node.expression
    guard = alike(left, right, node, OPERATORS[type(node)])
    match node:
        case _ if not {family_of(left), family_of(right)} <= _NUMBERS:
            found = node
        case exp.GT() | exp.GTE():
            found = _without_nan(node, left, right)
        case exp.LT() | exp.LTE():
            found = _without_nan(node, right, left)
        case exp.EQ():
            found = _equal(node)
        case exp.NEQ():
            found = _unequal(node)
        case _:
            found = node
    return both(found.copy(), guard) if guard else found


def may_be_nan(value: exp.Expr) -> bool:
    """Return whether `value` can be NaN, as far as is known."""
    if isinstance(value, (exp.Literal, exp.Null)):
        return False
    if isinstance(value, (exp.Paren, exp.Neg)):
        return may_be_nan(value.this)
    if isinstance(value, exp.Cast) and isinstance(value.this, exp.Literal):
        return not value.this.is_number and is_floating(value)
    return is_floating(value) or is_unknown(value)


def is_nan(value: exp.Expr) -> exp.Expr:
    """Return the test for NaN, false for every other type and null for null."""
    name = "isnan" if is_floating(value) else "athena_is_nan"
    return call(name, value.copy())


def not_nan(value: exp.Expr) -> exp.Expr:
    """Return `value`, null in place of NaN."""
    return case((is_nan(value), exp.Null()), default=value.copy())


def _without_nan(node: exp.Expr, larger: exp.Expr, smaller: exp.Expr) -> exp.Expr:
    if not may_be_nan(larger):
        return node
    if isinstance(smaller, exp.Literal):
        return both(node.copy(), negated(is_nan(larger)))
    nan = both(is_nan(larger), is_null(smaller.copy(), negate=True))
    return both(node.copy(), negated(nan))


def _equal(node: exp.Expr) -> exp.Expr:
    left, right = node.this, node.expression
    if not (may_be_nan(left) and may_be_nan(right)):
        return node
    if _decides_rows(node):
        # One side only, so that a join stays a hash join; null and false are one here.
        return exp.EQ(this=left.copy(), expression=not_nan(right))
    return both(node.copy(), negated(both(is_nan(left), is_nan(right))))


def _unequal(node: exp.Expr) -> exp.Expr:
    left, right = node.this, node.expression
    if not (may_be_nan(left) and may_be_nan(right)):
        return node
    nans = both(is_nan(left), is_nan(right))
    return exp.paren(exp.or_(node.copy(), nans, copy=False), copy=False)


def _decides_rows(node: exp.Expr) -> bool:
    """Return whether `node` only decides which rows stay, so that null means false."""
    child, parent = node, node.parent
    while isinstance(parent, (exp.And, exp.Or, exp.Paren)):
        child, parent = parent, parent.parent
    if isinstance(parent, exp.Join):
        return child.arg_key == "on"
    return isinstance(parent, (exp.Where, exp.Having))


def between(node: exp.Expr) -> exp.Expr:
    """Compare with both bounds; plain where NaN can make no difference."""
    value, low, high = node.this, node.args["low"], node.args["high"]
    if may_be_nan(low) or may_be_nan(high):
        return both(
            compare(_moved(exp.GTE, node, value, low)), compare(_moved(exp.LTE, node, value, high))
        )
    guards = [alike(value, bound, node, "BETWEEN") for bound in (low, high)]
    needed = [guard for guard in guards if guard]
    return both(node.copy(), *needed) if needed else node


def _moved(operator: type[exp.Binary], node: exp.Expr, left: exp.Expr, right: exp.Expr) -> exp.Expr:
    moved = operator(this=left.copy(), expression=right.copy())
    moved.parent = node.parent
    return moved


def membership(node: exp.Expr) -> exp.Expr:
    """Compare with each member; NaN is none of them."""
    value, query = node.this, node.args.get("query")
    if isinstance(value, (exp.Tuple, exp.Struct)):
        raise refused("IN", "it compares rows; compare their columns")
    members = [query] if query else node.expressions
    # The guard would run a subquery of unknown type as a scalar.
    typed = [member for member in members if not (query and is_unknown(member))]
    guards = [
        alike(value, member, node, "IN") for member in typed if not (query and is_unknown(value))
    ]
    conditions = list({guard.sql(): guard for guard in guards if guard}.values())
    if may_be_nan(value) and any(may_be_nan(member) for member in members):
        conditions.append(negated(is_nan(value)))
    return both(node.copy(), *conditions) if conditions else node


def nullif(node: exp.Expr) -> exp.Expr:
    """Return null where the values are equal; NaN equals nothing."""
    value, other = node.this, node.expression
    guard = alike(value, other, node, "nullif")
    if guard is None and not (may_be_nan(value) and may_be_nan(other)):
        return node
    equal = compare(_moved(exp.EQ, node, value, other))
    return case((equal, exp.Null()), default=value.copy())


def simple_case(node: exp.Expr) -> exp.Expr:
    """Return CASE x WHEN y as CASE WHEN x = y, before types are known."""
    subject = node.this
    if not subject:
        return node
    for branch in node.args["ifs"]:
        equal = exp.EQ(this=paren(subject.copy()), expression=paren(branch.this))
        branch.set("this", equal)
    node.set("this", None)
    return node


def one_type(node: exp.Expr) -> exp.Expr:
    """Make sure that CASE, IF, COALESCE and the like mix no types that Athena keeps apart."""
    first, *rest = values_of(node)
    guards = [alike(first, other, node) for other in rest]
    needed = list({guard.sql(): guard for guard in guards if guard}.values())
    if not needed:
        return node
    return case((both(*needed), node.copy()))


def conditions(node: exp.Expr) -> exp.Expr:
    """Make sure that what stands as a condition is a BOOLEAN; DuckDB takes numbers too."""
    keys = ["this", "expression"] if isinstance(node, exp.Binary) else ["this"]
    for key in keys:
        value = node.args[key]
        if family_of(value) not in {Family.BOOLEAN, Family.NULL} and not _is_predicate(value):
            guarded = of_family(value.copy(), Family.BOOLEAN, node)
            guarded.type = BOOLEAN
            node.set(key, guarded)
    return node


def _is_predicate(value: exp.Expr) -> bool:
    return isinstance(value, (exp.Predicate, exp.Connector, exp.Not, exp.Boolean))


def extreme(node: exp.Expr) -> exp.Expr:
    """Return GREATEST or LEAST, null when any value is null; NaN is neither."""
    values = [value.copy() for value in values_of(node)]
    guards = [alike(values[0], value, node) for value in values[1:]]
    needed = [guard for guard in guards if guard]
    found: exp.Expr = call(node.key, *values)
    if isinstance(node, exp.Greatest) and any(may_be_nan(value) for value in values):
        # DuckDB ignores null, and Trino ignores NaN beside a number.
        present = [not_nan(value) if may_be_nan(value) else value.copy() for value in values]
        last = next(value for value in values if may_be_nan(value))
        found = exp.Coalesce(this=call(node.key, *present), expressions=[last.copy()])
    nulls = exp.or_(*(is_null(value.copy()) for value in values), copy=False)
    result = case((nulls, exp.Null()), default=found)
    return case((both(*needed), result)) if needed else result


def like(node: exp.Expr) -> exp.Expr:
    """Leave LIKE as it is: neither engine has an escape character by default."""
    for value in (node.this, node.expression):
        if not isinstance(value, exp.Escape) and type_of(value).this is not exp.DType.UNKNOWN:
            of_family(value, Family.TEXT, node)
    return node


def united(node: exp.Expr) -> exp.Expr:
    """Make sure that the columns of a UNION have types that Athena puts together."""
    sides = [side.unnest() for side in (node.this, node.expression)]
    selects = [side.selects if isinstance(side, exp.Query) else [] for side in sides]
    if any(column.is_star for side in selects for column in side):
        return node
    for left, right in zip(*selects, strict=False):
        if not is_unknown(left) and not is_unknown(right):
            alike(left, right, node)
    return node


def is_null_test(node: exp.Expr) -> exp.Expr:
    """Leave IS NULL as it is; Athena has no other IS."""
    if not isinstance(node.expression, exp.Null):
        raise refused("IS", "Athena has IS NULL and IS DISTINCT FROM only")
    return node

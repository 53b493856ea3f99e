"""Arrays and maps."""

from __future__ import annotations

from sqlglot import exp
from sqlglot.expressions import apply_index_offset

from statsig_staging.warehouses.local.dialect.build import (
    both,
    call,
    case,
    cast,
    is_null,
    must,
    paren,
)
from statsig_staging.warehouses.local.dialect.refusals import athena_name, refused, unknown_type
from statsig_staging.warehouses.local.dialect.types import (
    FLOATS,
    UNKNOWN,
    DType,
    Family,
    family,
    family_of,
    type_of,
)


def subscript(node: exp.Expr) -> exp.Expr:
    """Return x[i], an error beyond the end or for a missing key, before types are known."""
    index = node.expressions[0] if len(node.expressions) == 1 else None
    if index is None or isinstance(index, exp.Slice):
        raise refused("[]", "it takes one position or key")
    if node.args.get("safe"):
        return exp.Anonymous(this="element_at", expressions=[node.this.copy(), index.copy()])
    written = apply_index_offset(node.this.copy(), [index.copy()], 1, dialect="duckdb")[0]
    return exp.Anonymous(this="subscript", expressions=[node.this.copy(), written])


def element_at(node: exp.Expr) -> exp.Expr:
    """Return ELEMENT_AT(x, i), null beyond the end or for a missing key."""
    collection, index = (value.copy() for value in node.expressions)
    if family_of(node.expressions[0]) is not Family.MAP and not _is_position(index):
        nonzero = exp.NEQ(this=paren(index.copy()), expression=exp.Literal.number(0))
        if family_of(node.expressions[0]) is Family.ARRAY:
            index = must(index, nonzero, "INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1")
        elif family_of(node.expressions[1]) is not Family.TEXT:
            raise unknown_type("element_at", node.expressions[0])
    return _at(collection, index)


def strict_element(node: exp.Expr) -> exp.Expr:
    """Return x[i] of `subscript`."""
    collection, index = node.expressions
    found = _at(collection.copy(), index.copy())
    present = is_null(found.copy(), negate=True)
    if family_of(collection) is Family.ARRAY:
        length = call("len", collection.copy())
        present = exp.Between(this=paren(index.copy()), low=exp.Literal.number(1), high=length)
    elif family_of(collection) is Family.MAP:
        present = call("map_contains", collection.copy(), index.copy())
    else:
        missing = both(is_null(collection.copy(), negate=True), is_null(index.copy(), negate=True))
        present = exp.or_(present, exp.Not(this=missing), copy=False)
    return must(found, present, "the subscript finds nothing; write element_at(x, i)")


def _is_position(index: exp.Expr) -> bool:
    value = index.this if isinstance(index, exp.Neg) else index
    return isinstance(value, exp.Literal) and value.name != "0"


def _at(collection: exp.Expr, index: exp.Expr) -> exp.Expr:
    """Return DuckDB's x[i]; offset=1: sqlglot leaves the index as it is."""
    return exp.Bracket(this=paren(collection), expressions=[index], offset=1)


def size(node: exp.Expr) -> exp.Expr:
    """Return CARDINALITY, a bigint."""
    name = "cardinality" if family_of(node.this) is Family.MAP else "array_length"
    return cast(call(name, node.this.copy()), DType.BIGINT)


def contains(node: exp.Expr) -> exp.Expr:
    """Return CONTAINS, null where it is not found among nulls."""
    array, value = node.this, node.expression
    found = call("list_contains", array.copy(), value.copy())
    nulls = exp.LT(
        this=call("list_count", array.copy()), expression=call("array_length", array.copy())
    )
    unknown = both(exp.Not(this=found), nulls)
    return case((unknown, exp.Null()), default=found.copy())


def position(node: exp.Expr) -> exp.Expr:
    """Return ARRAY_POSITION, 0 where it is not found."""
    array, value = node.this, node.expression
    ok = both(is_null(array.copy(), negate=True), is_null(value.copy(), negate=True))
    found = call("list_position", array.copy(), value.copy())
    zero = exp.Coalesce(this=found, expressions=[exp.Literal.number(0)])
    return case((ok, cast(zero, DType.BIGINT)))


def extreme(node: exp.Expr) -> exp.Expr:
    """Return ARRAY_MAX or ARRAY_MIN, null where an element is."""
    array = node.this
    if _element(array).this is DType.UNKNOWN:
        raise unknown_type(athena_name(node), array)
    if _element(array).this in FLOATS:
        raise refused(athena_name(node), "of doubles, among which NaN may be")
    name = "list_max" if isinstance(node, exp.ArrayMax) else "list_min"
    full = exp.EQ(this=call("list_count", array.copy()), expression=call("len", array.copy()))
    return case((full, call(name, array.copy())))


def _element(array: exp.Expr) -> exp.DataType:
    kinds = type_of(array).expressions
    return kinds[0] if kinds and isinstance(kinds[0], exp.DataType) else UNKNOWN


def ordered(node: exp.Expr) -> exp.Expr:
    """Return ARRAY_SORT, nulls last."""
    if node.expression:
        raise refused("array_sort", "with a comparison")
    return call("list_sort", node.this.copy(), "ASC", "NULLS LAST")


def joined(node: exp.Expr) -> exp.Expr:
    """Return ARRAY_JOIN of text, without its nulls."""
    if node.args.get("null"):
        raise refused("array_join", "with a replacement for null")
    if _element(node.this).this is DType.UNKNOWN:
        raise unknown_type("array_join", node.this)
    if family(_element(node.this)) is not Family.TEXT:
        raise refused("array_join", "it must join text; write a CAST")
    return call("array_to_string", node.this.copy(), node.expression.copy())


def part(node: exp.Expr) -> exp.Expr:
    """Return SLICE(x, start, length), where DuckDB's takes the end."""
    start, length = node.args.get("start"), node.args.get("end")
    if not (isinstance(start, exp.Literal) and isinstance(length, exp.Literal)):
        raise refused("slice", "start and length must be literals that are not negative")
    if int(start.name) < 1:
        raise refused("slice", "the start must be 1 or more")
    end = int(start.name) + int(length.name) - 1
    return call("list_slice", node.this.copy(), int(start.name), end)


def mapped(node: exp.Expr) -> exp.Expr:
    """Return TRANSFORM or FILTER."""
    name = "list_transform" if isinstance(node, exp.Transform) else "list_filter"
    return call(name, node.this.copy(), node.expression.copy())


def any_or_all(node: exp.Expr) -> exp.Expr:
    """Return ANY_MATCH, ALL_MATCH or NONE_MATCH, null where an unknown may decide."""
    array, test = node.expressions
    found = call("list_transform", array.copy(), test.copy())
    holds, fails = (
        call("list_contains", found.copy(), exp.Boolean(this=truth)) for truth in (True, False)
    )
    nulls = exp.LT(this=call("list_count", found.copy()), expression=call("len", found.copy()))
    name = node.name.lower()
    decided, otherwise = (fails, True) if name == "all_match" else (holds, False)
    if name == "none_match":
        otherwise = True
    return case(
        (decided, exp.Boolean(this=name == "any_match")),
        (nulls, exp.Null()),
        (is_null(array.copy(), negate=True), exp.Boolean(this=otherwise)),
    )


def unnest(node: exp.Expr) -> exp.Expr:
    """Leave UNNEST of one array as it is; Athena makes columns of maps and rows."""
    if len(node.expressions) != 1:
        raise refused("UNNEST", "of more than one array")
    kind = type_of(node.expressions[0])
    inner = kind.expressions[0] if kind.this is DType.ARRAY and kind.expressions else None
    if kind.this is DType.MAP or (inner is not None and family(inner) is Family.ROW):
        raise refused("UNNEST", "of a map or of rows")
    alias = node.args.get("alias")
    if alias is not None and len(alias.columns) > 1:
        raise refused("UNNEST", "of a map or of rows")
    return node

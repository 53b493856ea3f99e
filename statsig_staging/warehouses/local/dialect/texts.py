"""Text, and JSON in text."""

from __future__ import annotations

import re

from sqlglot import exp

from statsig_staging.warehouses.local.dialect.build import (
    both,
    call,
    case,
    is_null,
    must,
    of_family,
    paren,
)
from statsig_staging.warehouses.local.dialect.functions import arguments, function_of
from statsig_staging.warehouses.local.dialect.refusals import athena_name, refused
from statsig_staging.warehouses.local.dialect.types import DType, Family, family_of, is_unknown

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIADIC = (exp.ConcatWs,)
_DIGESTS: dict[type[exp.Expr], str] = {exp.MD5Digest: "md5", exp.SHA: "sha1"}


def plain(node: exp.Expr) -> exp.Expr:
    """Call a function of `FUNCTIONS` under DuckDB's name."""
    function, given = function_of(node), arguments(node)
    if function is None:
        raise AssertionError(node)
    expected = len(function.takes)
    if len(given) != expected and not (isinstance(node, _VARIADIC) and len(given) > expected):
        raise refused(athena_name(node), f"with {len(given)} arguments")
    for position, argument in enumerate(given):
        wanted = function.takes[min(position, expected - 1)]
        if not is_unknown(argument) or wanted is Family.BINARY:
            of_family(argument, wanted, node)
    return call(function.duckdb, *(argument.copy() for argument in given))


def joined(node: exp.Expr) -> exp.Expr:
    """Return a || b || …, null when one is null; DuckDB turns numbers into text."""
    parts = arguments(node)
    families = {family_of(part) for part in parts}
    if Family.ARRAY in families:
        raise refused("||", "of arrays")
    texts = [paren(of_family(part.copy(), Family.TEXT, node)) for part in parts]
    found = texts[0]
    for text in texts[1:]:
        found = exp.DPipe(this=found, expression=text, safe=False)
    return exp.Paren(this=found)


def substring(node: exp.Expr) -> exp.Expr:
    """Return SUBSTR: nothing before the first character, which DuckDB reaches with 0."""
    text = of_family(node.this.copy(), Family.TEXT, node)
    start, length = node.args.get("start"), node.args.get("length")
    if start is None:
        raise refused("substr", "without a start")
    if length is not None and not _is_positive(length):
        length = call("greatest", length.copy(), 0)
    found = call("substring", text, start.copy(), *([length.copy()] if length else []))
    if _is_positive(start):
        return found
    zero = exp.EQ(this=paren(start.copy()), expression=exp.Literal.number(0))
    before = exp.LT(this=paren(start.copy()), expression=exp.Neg(this=call("length", text.copy())))
    outside = exp.or_(zero, before, copy=False)
    ok = [is_null(value.copy(), negate=True) for value in (text, length) if value]
    return case((both(*ok, outside), exp.Literal.string("")), default=found)


def _is_positive(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and node.name.isdigit() and int(node.name) > 0


def split(node: exp.Expr) -> exp.Expr:
    """Return SPLIT(text, delimiter)."""
    if node.args.get("limit"):
        raise refused("split", "with a limit")
    text = of_family(node.this.copy(), Family.TEXT, node)
    return call("string_split", text, _delimiter(node.expression, "split"))


def split_part(node: exp.Expr) -> exp.Expr:
    """Return SPLIT_PART, null beyond the last part where DuckDB has ''."""
    text = of_family(node.this.copy(), Family.TEXT, node)
    parts = call("string_split", text, _delimiter(node.args["delimiter"], "split_part"))
    index = node.args["part_index"].copy()
    if not _is_positive(index):
        positive = exp.GT(this=paren(index.copy()), expression=exp.Literal.number(0))
        index = must(index, positive, "INVALID_FUNCTION_ARGUMENT: Index must be greater than zero")
    return call("list_extract", parts, index)


def _delimiter(node: exp.Expr, name: str) -> exp.Expr:
    if not isinstance(node, exp.Literal) or not node.is_string or not node.name:
        raise refused(name, "the delimiter must be a literal that is not empty")
    return node.copy()


def replace(node: exp.Expr) -> exp.Expr:
    """Return REPLACE; of nothing, Athena puts the replacement around every character."""
    text = of_family(node.this.copy(), Family.TEXT, node)
    found = _delimiter(node.expression, "replace")
    replacement = of_family(node.args["replacement"].copy(), Family.TEXT, node)
    return call("replace", text, found, replacement)


def padded(node: exp.Expr) -> exp.Expr:
    """Return LPAD or RPAD."""
    name = "lpad" if node.args.get("is_left") else "rpad"
    size, fill = node.expression, node.args.get("fill_pattern")
    if fill is None or not isinstance(size, exp.Literal):
        raise refused(name, "the size must be a literal and the padding given")
    text = of_family(node.this.copy(), Family.TEXT, node)
    return call(name, text, size.copy(), _delimiter(fill, name))


def trimmed(node: exp.Expr) -> exp.Expr:
    """Return TRIM, LTRIM or RTRIM, of every kind of white space unless told what."""
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position")), "trim")
    what = node.expression.copy() if node.expression else call("athena_blanks")
    return call(name, of_family(node.this.copy(), Family.TEXT, node), what)


def digest(node: exp.Expr) -> exp.Expr:
    """Return MD5, SHA1 or SHA256 as bytes; DuckDB returns hexadecimals."""
    length = node.args.get("length")
    if isinstance(length, exp.Literal) and length.name != "256":
        raise refused(f"sha{length.name}", "DuckDB has none")
    name = _DIGESTS.get(type(node), "sha256")
    return call("unhex", call(name, of_family(node.this.copy(), Family.BINARY, node)))


def json_scalar(node: exp.Expr) -> exp.Expr:
    """Return JSON_EXTRACT_SCALAR(text, path), null for objects and arrays."""
    if not isinstance(node.expression, exp.JSONPath):
        raise refused(
            "json_extract_scalar", "the path must be a literal of plain keys and positions"
        )
    path = "".join(_step(part) for part in node.expression.expressions)
    text = of_family(node.this.copy(), Family.TEXT, node)
    return call("athena_json_scalar", text, path, exp.Boolean(this=_becomes_number(node)))


def _step(part: exp.Expr) -> str:
    match part:
        case exp.JSONPathRoot():
            return "$"
        case exp.JSONPathKey() if _KEY.fullmatch(str(part.this)):
            return f'."{part.this}"'
        case exp.JSONPathSubscript() if isinstance(part.this, int) and part.this >= 0:
            return f"[{part.this}]"
        case _:
            raise refused("json_extract_scalar", "of a path of more than plain keys and positions")


def _becomes_number(node: exp.Expr) -> bool:
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    to = parent.args["to"].this if isinstance(parent, exp.Cast) else None
    return to in {DType.DOUBLE, DType.FLOAT, DType.DECIMAL}

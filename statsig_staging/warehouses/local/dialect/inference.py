"""What type Athena gives an expression, from the types of its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging.warehouses.local.dialect.functions import arguments, function_of
from statsig_staging.warehouses.local.dialect.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    FLOATS,
    INTEGER,
    INTEGERS,
    INTERVAL,
    LARGEST_INTEGER,
    LARGEST_PRECISION,
    NULL,
    TIMESTAMP,
    TIMESTAMPTZ,
    UNKNOWN,
    VARCHAR,
    DType,
    Family,
    common,
    common_number,
    decimal,
    digits,
    family,
    type_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VARBINARY = exp.DataType(this=DType.VARBINARY)
Kind = exp.DataType


def infer(node: exp.Expr) -> Kind:
    """Return the type of `node`, whose parts have theirs already."""
    if function := function_of(node):
        kinds = [type_of(argument) for argument in arguments(node)]
        returns = function.returns
        return returns if isinstance(returns, exp.DataType) else returns(kinds or [UNKNOWN])
    if isinstance(node, exp.Anonymous):
        return ANONYMOUS.get(node.name.lower(), UNKNOWN)
    kind: type[exp.Expr] = type(node)
    if kind not in _RULE_OF:
        matching = (rule for kinds, rule in RULES.items() if issubclass(kind, kinds))
        _RULE_OF[kind] = next(matching, _fixed(UNKNOWN))
    return _RULE_OF[kind](node)


_RULE_OF: dict[type[exp.Expr], Callable[[exp.Expr], Kind]] = {}
"""The rule of each class, as it was found in `RULES`."""


def element(array: Kind) -> Kind:
    """Return the type of what is in `array`."""
    inner = array.expressions
    if array.this is not DType.ARRAY or not inner or not isinstance(inner[0], exp.DataType):
        return UNKNOWN
    return inner[0]


def array_of(inner: Kind) -> Kind:
    """Return ARRAY(inner)."""
    return exp.DataType(this=DType.ARRAY, expressions=[inner.copy()], nested=True)


def _literal(node: exp.Expr) -> Kind:
    if node.args.get("is_string"):
        return VARCHAR
    # Athena types 1.5 as double, where Trino has decimal(2,1).
    # https://github.com/aoyagikouhei/athena-local/blob/main/docs/caveats.md
    if not node.name.isdigit():
        return DOUBLE
    return INTEGER if int(node.name) <= LARGEST_INTEGER else BIGINT


def _cast(node: exp.Expr) -> Kind:
    to = node.args["to"]
    if to.this is DType.DECIMAL and not to.expressions:
        return decimal(LARGEST_PRECISION, 0)
    return parse_like(to)


def parse_like(kind: Kind) -> Kind:
    """Return `kind` without the sizes that no answer depends on."""
    plain = exp.DataType(this=kind.this)
    return plain if kind.this in {DType.VARCHAR, DType.TIMESTAMP, DType.TIMESTAMPTZ} else kind


def _this(node: exp.Expr) -> Kind:
    return type_of(node.this) if isinstance(node.this, exp.Expr) else UNKNOWN


def _branches(node: exp.Expr) -> Kind:
    return common([type_of(value) for value in values_of(node)])


def values_of(node: exp.Expr) -> list[exp.Expr]:
    """Return the expressions of which CASE, IF, COALESCE, GREATEST and the like return one."""
    if isinstance(node, exp.Case):
        values = [branch.args["true"] for branch in node.args["ifs"]]
        return [*values, *filter(None, [node.args.get("default")])]
    if isinstance(node, exp.If):
        return [value for value in (node.args["true"], node.args.get("false")) if value]
    return [node.this, *node.expressions]


def _sum_or_difference(node: exp.Expr) -> Kind:
    left, right = type_of(node.this), type_of(node.expression)
    families = {family(left), family(right)}
    if Family.INTERVAL in families:
        other = right if family(left) is Family.INTERVAL else left
        return other if family(other) in {Family.MOMENT, Family.INTERVAL} else UNKNOWN
    if families != {Family.NUMBER}:
        return UNKNOWN
    sizes = digits(left), digits(right)
    if DType.DECIMAL in {left.this, right.this} and sizes[0] and sizes[1]:
        (p1, s1), (p2, s2) = sizes[0], sizes[1]
        scale = max(s1, s2)
        return _decimal_unless_float(left, right, decimal(scale + max(p1 - s1, p2 - s2) + 1, scale))
    return common_number([left, right])


def _product(node: exp.Expr) -> Kind:
    left, right = type_of(node.this), type_of(node.expression)
    families = {family(left), family(right)}
    if Family.INTERVAL in families:
        return INTERVAL
    if families != {Family.NUMBER}:
        return UNKNOWN
    sizes = digits(left), digits(right)
    if DType.DECIMAL in {left.this, right.this} and sizes[0] and sizes[1]:
        (p1, s1), (p2, s2) = sizes[0], sizes[1]
        return _decimal_unless_float(left, right, decimal(p1 + p2, s1 + s2))
    return common_number([left, right])


def _quotient(node: exp.Expr) -> Kind:
    left, right = type_of(node.this), type_of(node.expression)
    if {family(left), family(right)} != {Family.NUMBER}:
        return UNKNOWN
    sizes = digits(left), digits(right)
    if DType.DECIMAL in {left.this, right.this} and sizes[0] and sizes[1]:
        (p1, s1), (_, s2) = sizes[0], sizes[1]
        # https://trino.io/docs/current/functions/decimal.html#arithmetic-operators
        size = decimal(p1 + s2 + max(s2 - s1, 0), max(s1, s2))
        return _decimal_unless_float(left, right, size)
    return common_number([left, right])


def _remainder(node: exp.Expr) -> Kind:
    left, right = type_of(node.this), type_of(node.expression)
    if {family(left), family(right)} != {Family.NUMBER}:
        return UNKNOWN
    return common_number([left, right])


def _decimal_unless_float(left: Kind, right: Kind, size: Kind) -> Kind:
    return common_number([left, right]) if {left.this, right.this} & FLOATS else size


def _total(node: exp.Expr) -> Kind:
    value = _this(node)
    if value.this in INTEGERS:
        return BIGINT
    size = digits(value)
    return decimal(LARGEST_PRECISION, size[1]) if size else value


def _mean(node: exp.Expr) -> Kind:
    value = _this(node)
    return DOUBLE if value.this in INTEGERS else value


def _subquery(node: exp.Expr) -> Kind:
    selects = node.this.selects if isinstance(node.this, exp.Query) else []
    return type_of(selects[0]) if len(selects) == 1 else UNKNOWN


def _truncated(node: exp.Expr) -> Kind:
    return _this(node)


def _fixed(kind: Kind) -> Callable[[exp.Expr], Kind]:
    return lambda _: kind


def _array(node: exp.Expr) -> Kind:
    return array_of(common([type_of(item) for item in node.expressions]))


def _sequence(node: exp.Expr) -> Kind:
    start = type_of(node.args["start"])
    return array_of(BIGINT if start.this in INTEGERS else start)


def _joined(node: exp.Expr) -> Kind:
    kinds = [type_of(part) for part in arguments(node)]
    return VARCHAR if any(family(kind) is Family.TEXT for kind in kinds) else UNKNOWN


def _distinct(node: exp.Expr) -> Kind:
    return type_of(node.expressions[0]) if len(node.expressions) == 1 else UNKNOWN


def _whole(node: exp.Expr) -> Kind:
    value = _this(node)
    size = digits(value)
    if value.this in INTEGERS or size is None:
        return value
    return decimal(size[0] - size[1] + min(size[1], 1), 0)


RULES: Mapping[tuple[type[exp.Expr], ...], Callable[[exp.Expr], Kind]] = {
    (exp.Literal,): _literal,
    (exp.Null,): _fixed(NULL),
    (exp.Cast,): _cast,
    (exp.Interval,): _fixed(INTERVAL),
    (exp.Div,): _quotient,
    (exp.Mod,): _remainder,
    (exp.Mul,): _product,
    (exp.Add, exp.Sub): _sum_or_difference,
    (exp.DPipe, exp.Concat): _joined,
    (exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseNot): _fixed(BIGINT),
    (exp.Boolean, exp.Predicate, exp.Connector, exp.Not, exp.RegexpLike, exp.ArrayContains): _fixed(
        BOOLEAN
    ),
    (exp.IsNan, exp.Escape): _fixed(BOOLEAN),
    (exp.Case, exp.If, exp.Coalesce, exp.Greatest, exp.Least): _branches,
    (exp.Count, exp.DateDiff, exp.RowNumber, exp.Rank, exp.DenseRank, exp.Ntile): _fixed(BIGINT),
    (exp.Sum,): _total,
    (exp.Avg,): _mean,
    (exp.Floor, exp.Ceil, exp.Trunc): _whole,
    (exp.Ln, exp.Log, exp.Sqrt, exp.TimeToUnix): _fixed(DOUBLE),
    (exp.PercentRank, exp.CumeDist, exp.Corr): _fixed(DOUBLE),
    (exp.Extract, exp.Hour, exp.Minute, exp.Second): _fixed(BIGINT),
    (exp.Date, exp.FromISO8601Date): _fixed(DATE),
    (exp.StrToTime,): _fixed(TIMESTAMP),
    (exp.UnixToTime, exp.AtTimeZone, exp.FromISO8601Timestamp): _fixed(TIMESTAMPTZ),
    (exp.MD5Digest, exp.SHA, exp.SHA2Digest): _fixed(VARBINARY),
    (exp.Substring, exp.SplitPart, exp.Pad, exp.Trim, exp.Replace): _fixed(VARCHAR),
    (exp.RegexpExtract, exp.RegexpReplace, exp.TimeToStr, exp.ArrayToString): _fixed(VARCHAR),
    (exp.JSONExtractScalar, exp.GroupConcat): _fixed(VARCHAR),
    (exp.RegexpExtractAll, exp.RegexpSplit, exp.Split): _fixed(array_of(VARCHAR)),
    (exp.ArraySize, exp.ArrayPosition): _fixed(BIGINT),
    (exp.Array,): _array,
    (exp.ArrayAgg,): lambda node: array_of(_this(node)),
    (exp.ArraySort, exp.ArraySlice, exp.ArrayFilter): _this,
    (exp.ArrayMax, exp.ArrayMin): lambda node: element(_this(node)),
    (exp.GenerateSeries,): _sequence,
    (exp.Subquery,): _subquery,
    (exp.Distinct,): _distinct,
    (exp.Bracket,): lambda node: element(_this(node)),
    (exp.Paren, exp.Alias, exp.Neg, exp.Round, exp.Sign, exp.Nullif, exp.Try): _this,
    (exp.Min,): lambda node: array_of(_this(node)) if node.expressions else _this(node),
    (exp.Max, exp.ArgMax, exp.ArgMin, exp.Lag, exp.Lead): _this,
    (exp.FirstValue, exp.LastValue, exp.NthValue, exp.Order): _this,
    (exp.Filter, exp.Window, exp.IgnoreNulls, exp.RespectNulls, exp.WithinGroup): _this,
    (exp.DateAdd, exp.TimestampTrunc): _this,
}
"""First match wins: a class stands before the classes it is derived from."""

ANONYMOUS: Mapping[str, Kind] = {
    "is_finite": BOOLEAN,
    "is_infinite": BOOLEAN,
    "any_match": BOOLEAN,
    "all_match": BOOLEAN,
    "none_match": BOOLEAN,
    "nan": DOUBLE,
    "infinity": DOUBLE,
    "e": DOUBLE,
    "millisecond": BIGINT,
}

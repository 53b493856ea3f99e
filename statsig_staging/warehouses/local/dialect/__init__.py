"""Athena's SQL as DuckDB's SQL with Athena's answers, or a refusal by name.

A query is a syntax tree in Athena's dialect. `scopes` finds the type of every expression, then each node is
translated by the entry of `TRANSLATIONS` for its class, the innermost first. What has no entry there, in
`functions` or in `shape` is refused. Where the schema does not tell a type, a macro of `macros` decides while
DuckDB binds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging.warehouses.local.dialect import (
    aggregates,
    arrays,
    casts,
    comparisons,
    numbers,
    regexes,
    scopes,
    shape,
    texts,
    times,
)
from statsig_staging.warehouses.local.dialect.build import Place
from statsig_staging.warehouses.local.dialect.functions import function_of
from statsig_staging.warehouses.local.dialect.macros import MACROS, SETTINGS, reason
from statsig_staging.warehouses.local.dialect.refusals import (
    UnknownTypeError,
    refused,
    refused_node,
)
from statsig_staging.warehouses.local.dialect.types import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MACROS", "SETTINGS", "check", "reason", "to_duckdb"]

Translation = Callable[[exp.Expr], exp.Expr]

BEFORE_TYPES: Mapping[type[exp.Expr], Translation] = {
    exp.Case: comparisons.simple_case,
    exp.Bracket: arrays.subscript,
}

TRANSLATIONS: Mapping[type[exp.Expr] | str, Translation] = {
    # comparisons and conditions
    **dict.fromkeys(comparisons.OPERATORS, comparisons.compare),
    exp.Between: comparisons.between,
    exp.In: comparisons.membership,
    exp.Like: comparisons.like,
    exp.Is: comparisons.is_null_test,
    exp.Nullif: comparisons.nullif,
    **dict.fromkeys((exp.Case, exp.Coalesce), comparisons.one_type),
    exp.Greatest: comparisons.extreme,
    exp.Least: comparisons.extreme,
    **dict.fromkeys((exp.And, exp.Or, exp.Not, exp.Where, exp.Having), comparisons.conditions),
    **dict.fromkeys((exp.Union, exp.Except, exp.Intersect), comparisons.united),
    # numbers
    exp.Literal: numbers.literal,
    **dict.fromkeys((exp.Add, exp.Sub), numbers.plus),
    exp.Mul: numbers.multiply,
    exp.Div: numbers.divide,
    exp.Mod: numbers.modulo,
    exp.Neg: numbers.negative,
    exp.Round: numbers.rounded,
    **dict.fromkeys((exp.Floor, exp.Ceil, exp.Trunc), numbers.whole),
    exp.Sign: numbers.sign,
    **dict.fromkeys((exp.Ln, exp.Log), numbers.logarithm),
    exp.Sqrt: numbers.square_root,
    **dict.fromkeys((exp.IsNan, "is_finite", "is_infinite"), numbers.float_test),
    **dict.fromkeys(("nan", "infinity", "e"), numbers.constant),
    **dict.fromkeys(
        (exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseNot), numbers.bitwise
    ),
    # casts
    **dict.fromkeys((exp.Cast, exp.TryCast), casts.convert),
    exp.Date: casts.date,
    # dates and timestamps
    exp.Interval: times.interval,
    exp.DateAdd: times.add,
    exp.DateDiff: times.difference,
    exp.TimestampTrunc: times.truncate,
    exp.Extract: times.extract,
    **dict.fromkeys((exp.Hour, exp.Minute, exp.Second, "millisecond"), times.clock),
    exp.UnixToTime: times.from_seconds,
    exp.TimeToUnix: times.to_seconds,
    exp.AtTimeZone: times.at_zone,
    exp.TimeToStr: times.written,
    exp.StrToTime: times.read,
    exp.FromISO8601Timestamp: times.from_iso_timestamp,
    exp.FromISO8601Date: times.from_iso_date,
    exp.GenerateSeries: times.sequence,
    # text
    **dict.fromkeys((exp.DPipe, exp.Concat), texts.joined),
    exp.Substring: texts.substring,
    exp.Split: texts.split,
    exp.SplitPart: texts.split_part,
    exp.Replace: texts.replace,
    exp.Pad: texts.padded,
    exp.Trim: texts.trimmed,
    **dict.fromkeys((exp.MD5Digest, exp.SHA, exp.SHA2Digest), texts.digest),
    exp.JSONExtractScalar: texts.json_scalar,
    exp.RegexpLike: regexes.matches,
    exp.RegexpExtract: regexes.first,
    exp.RegexpExtractAll: regexes.every,
    exp.RegexpReplace: regexes.replaced,
    # aggregates
    exp.Count: aggregates.count,
    exp.Sum: aggregates.total,
    exp.Avg: aggregates.mean,
    **dict.fromkeys((exp.Min, exp.Max), aggregates.lowest_or_highest),
    **dict.fromkeys((exp.ArgMin, exp.ArgMax), aggregates.at_extreme),
    exp.ArrayAgg: aggregates.array,
    exp.GroupConcat: aggregates.joined,
    exp.Corr: lambda node: node,
    **dict.fromkeys((exp.Struct, "row"), aggregates.row),
    # arrays and maps
    "element_at": arrays.element_at,
    "subscript": arrays.strict_element,
    exp.Array: lambda node: node,
    exp.ArraySize: arrays.size,
    exp.ArrayContains: arrays.contains,
    exp.ArrayPosition: arrays.position,
    **dict.fromkeys((exp.ArrayMax, exp.ArrayMin), arrays.extreme),
    exp.ArraySort: arrays.ordered,
    exp.ArrayToString: arrays.joined,
    exp.ArraySlice: arrays.part,
    **dict.fromkeys((exp.Transform, exp.ArrayFilter), arrays.mapped),
    **dict.fromkeys(("any_match", "all_match", "none_match"), arrays.any_or_all),
    exp.Unnest: arrays.unnest,
}


def to_duckdb(query: exp.Query, schema: Mapping[str, Mapping[str, str]]) -> str:
    """Return `query`, in Athena's dialect, as DuckDB's SQL with Athena's answers.

    Args:
        query: A syntax tree read with ``read="athena"``; it is not changed. Table functions in FROM are left alone.
        schema: For each table, as it stands in the tree or by its alias, its columns and their Athena types.

    Raises:
        UnsupportedSqlError: If DuckDB cannot be made to give Athena's answer.
    """
    return translate(query, schema).sql(dialect="duckdb", identify=True)


def translate(query: exp.Query, schema: Mapping[str, Mapping[str, str]]) -> exp.Query:
    """Return the tree of :func:`to_duckdb`; a parameter of the query is a parameter of it."""
    found = _translated(query, schema, strict=True)
    if not isinstance(found, exp.Query):
        raise TypeError(f"not a query: {found!r}")
    return found


def check(node: exp.Expr) -> None:
    """Make sure of what can be told before any table is seen.

    Raises:
        UnsupportedSqlError: If `node` holds what the embedded warehouse refuses whatever the types are.
    """
    for table in node.find_all(exp.Table):
        if shape.is_table_function(table):
            raise refused(table.this.sql(dialect="athena").split("(")[0].lower(), "it is no table")
    _translated(node, {}, strict=False)


def _translated(
    query: exp.Expr, schema: Mapping[str, Mapping[str, str]], *, strict: bool
) -> exp.Expr:
    # A root of its own: a transformation may replace any node that has a parent.
    root = exp.Paren(this=query.copy())
    for node in _inside_out(root):
        if change := BEFORE_TYPES.get(type(node)):
            Place.of(node).take(change(node))
    scopes.annotate(root.this, schema)
    finishing = {id(shell): aggregates.finishing(found) for found, shell in _shells(root)}
    for node in _inside_out(root):
        place = Place.of(node)
        try:
            found = _translate(node)
        except UnknownTypeError:
            if strict:
                raise
            continue
        if finish := finishing.get(id(node)):
            found = finish(found)
        if found is not node:
            found.type = node.type
            place.take(found)
    for node in root.walk():
        node.type = None
    result: exp.Expr = root.this
    return result


def _inside_out(root: exp.Expr) -> Iterator[exp.Expr]:
    """Return what is to be translated, children before their parents, without what is opaque."""
    nodes = root.this.walk(bfs=False, prune=shape.is_opaque)
    return iter(reversed(list(nodes)))


def _shells(root: exp.Expr) -> Iterator[tuple[exp.Expr, exp.Expr]]:
    """Return each aggregate with the outermost FILTER or OVER that belongs to it."""
    for aggregate in root.find_all(exp.Sum, exp.Avg, exp.Max, exp.Corr):
        shell: exp.Expr = aggregate
        while isinstance(shell.parent, (exp.Filter, exp.Window)) and shell.arg_key == "this":
            shell = shell.parent
        yield aggregate, shell


def _translate(node: exp.Expr) -> exp.Expr:
    key = node.name.lower() if isinstance(node, exp.Anonymous) else type(node)
    if translation := TRANSLATIONS.get(key):
        return translation(node)
    if function_of(node):
        return texts.plain(node)
    if isinstance(node, exp.If):
        return _if(node)
    if type(node) not in shape.STRUCTURE:
        raise refused_node(node)
    shape.check(node)
    return node


def _if(node: exp.If) -> exp.Expr:
    """Return IF(…) as CASE; a branch of a CASE stays."""
    comparisons.conditions(node)
    if isinstance(node.parent, exp.Case):
        return node
    branch = exp.If(this=node.this, true=node.args["true"])
    found = exp.Case(ifs=[branch], default=node.args.get("false"))
    found.type = node.type or UNKNOWN
    return comparisons.one_type(found)

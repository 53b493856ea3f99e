"""What the embedded warehouse will not run, by name, and what to write instead."""

from __future__ import annotations

import re

from sqlglot import exp

from statsig_staging.errors import UnsupportedSqlError

_APPROXIMATE = "it is approximate, and the two engines approximate differently"
_VOLATILE = (
    "it differs from one load to the next, so an incremental load would differ from a full one"
)
_ARBITRARY = "which of the values it returns is not determined by the data"

REASONS: dict[type[exp.Expr] | str, tuple[str, str]] = {
    exp.ApproxDistinct: ("approx_distinct", f"{_APPROXIMATE}; write COUNT(DISTINCT x)"),
    exp.ApproxQuantile: (
        "approx_percentile",
        f"{_APPROXIMATE}; use a metric of type percentile",
    ),
    "approx_set": ("approx_set", _APPROXIMATE),
    "approx_most_frequent": ("approx_most_frequent", _APPROXIMATE),
    "numeric_histogram": ("numeric_histogram", _APPROXIMATE),
    exp.Rand: ("random", _VOLATILE),
    exp.Uuid: ("uuid", _VOLATILE),
    exp.CurrentTimestamp: (
        "now / current_timestamp",
        f"{_VOLATILE}; write {{statsig_end_date}}",
    ),
    exp.CurrentDate: ("current_date", f"{_VOLATILE}; write {{statsig_end_date}}"),
    exp.CurrentTime: ("current_time", _VOLATILE),
    exp.Localtimestamp: ("localtimestamp", f"{_VOLATILE}; write {{statsig_end_date}}"),
    exp.Localtime: ("localtime", _VOLATILE),
    exp.CurrentUser: ("current_user", _VOLATILE),
    "shuffle": ("shuffle", _VOLATILE),
    exp.TableSample: ("TABLESAMPLE", _VOLATILE),
    exp.AnyValue: ("any_value / arbitrary", f"{_ARBITRARY}; write MIN(x) or MIN_BY(x, y)"),
    exp.JSONExtract: (
        "json_extract / json_query",
        "JSON values have no counterpart; write json_extract_scalar with the whole path",
    ),
    exp.ParseJSON: ("json_parse", "JSON values have no counterpart; write json_extract_scalar"),
    exp.JSONFormat: ("json_format", "JSON values have no counterpart"),
    exp.Reverse: ("reverse", "Athena turns code points around and DuckDB whole characters"),
    exp.Levenshtein: ("levenshtein_distance", "Athena counts code points and DuckDB bytes"),
    exp.Typeof: ("typeof", "the engines name their types differently"),
    exp.ArrayDistinct: ("array_distinct", "DuckDB keeps neither order nor nulls"),
    "format_datetime": ("format_datetime", "write date_format(x, '%Y-%m-%d')"),
    "parse_datetime": ("parse_datetime", "write date_parse(x, '%Y-%m-%d')"),
    "to_iso8601": ("to_iso8601", "write date_format(x, '%Y-%m-%dT%H:%i:%s')"),
    "at_timezone": ("at_timezone", "everything is UTC; shift the timestamp with date_add"),
    "with_timezone": ("with_timezone", "everything is UTC"),
    exp.Pivot: ("PIVOT", "Athena has none"),
    exp.Xor: ("xor", "Athena has none"),
}
"""Why, where there is more to say than that nobody has made sure of the answer."""


_SYMBOLS: dict[type[exp.Expr], str] = {
    exp.DPipe: "||",
    exp.Concat: "||",
    exp.Add: "+",
    exp.Sub: "-",
    exp.Like: "LIKE",
    exp.AtTimeZone: "AT TIME ZONE",
    exp.If: "CASE",
    exp.And: "AND",
    exp.Or: "OR",
    exp.Not: "NOT",
}

_CALL = re.compile(r"(\w+)\(")


class UnknownTypeError(UnsupportedSqlError):
    """A refusal that a schema naming the type could turn into a translation."""


def refused(name: str, why: str) -> UnsupportedSqlError:
    """Return the refusal of the function or construct called `name`."""
    return UnsupportedSqlError(message(name, why))


def unknown_type(name: str, node: exp.Expr) -> UnknownTypeError:
    """Return the refusal of `name`, whose answer depends on the unknown type of `node`."""
    text = node.sql(dialect="athena")
    return UnknownTypeError(
        message(name, f"the type of {text} is not known; write CAST({text} AS …)")
    )


def refused_node(node: exp.Expr) -> UnsupportedSqlError:
    """Return the refusal of a node that no list of this package names."""
    key = node.name.lower() if isinstance(node, exp.Anonymous) else type(node)
    default = "it is not among what gives the same answer on both"
    name, why = REASONS.get(key, (athena_name(node), default))
    return refused(name, why)


def athena_name(node: exp.Expr) -> str:
    """Return what a user of Athena calls `node`."""
    if symbol := _SYMBOLS.get(type(node)):
        return symbol
    if isinstance(node, (exp.Binary, exp.Unary, exp.Query)) and not isinstance(node, exp.Func):
        return node.key.upper()
    called = _CALL.match(node.sql(dialect="athena"))
    return called[1].lower() if called else node.key.upper()


def message(name: str, why: str) -> str:
    """Return the one sentence that every refusal is."""
    return f"the embedded warehouse cannot run {name} with Athena's answer: {why}"

"""Athena's functions whose answers DuckDB gives too, under its own names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from statsig_staging.warehouses.local.dialect.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    VARCHAR,
    Family,
)

NUMBER, TEXT, MOMENT, BINARY = Family.NUMBER, Family.TEXT, Family.MOMENT, Family.BINARY
VARBINARY = exp.DataType(this=exp.DType.VARBINARY)

Returns = exp.DataType | Callable[[Sequence[exp.DataType]], exp.DataType]


@dataclass(frozen=True, slots=True)
class Function:
    """One function: DuckDB's name, the families it takes (the last again and again), its type."""

    duckdb: str
    takes: tuple[Family, ...]
    returns: Returns


def _first(kinds: Sequence[exp.DataType]) -> exp.DataType:
    return kinds[0]


def _real(name: str, parameters: int = 1) -> Function:
    return Function(name, (NUMBER,) * parameters, DOUBLE)


def _part(name: str) -> Function:
    return Function(name, (MOMENT,), BIGINT)


FUNCTIONS: Mapping[type[exp.Expr] | str, Function] = {
    # text
    exp.Lower: Function("lower", (TEXT,), VARCHAR),
    exp.Upper: Function("athena_upper", (TEXT,), VARCHAR),
    exp.Length: Function("length", (TEXT,), BIGINT),
    exp.StartsWith: Function("starts_with", (TEXT, TEXT), BOOLEAN),
    exp.StrPosition: Function("strpos", (TEXT, TEXT), BIGINT),
    exp.ConcatWs: Function("concat_ws", (TEXT,), VARCHAR),
    exp.Chr: Function("chr", (NUMBER,), VARCHAR),
    # varbinary
    exp.Encode: Function("encode", (TEXT,), VARBINARY),
    exp.Decode: Function("decode", (BINARY,), VARCHAR),
    exp.Hex: Function("hex", (BINARY,), VARCHAR),
    "to_ieee754_64": Function("athena_ieee754_64", (NUMBER,), VARBINARY),
    exp.ToBase64: Function("to_base64", (BINARY,), VARCHAR),
    exp.FromBase64: Function("from_base64", (TEXT,), VARBINARY),
    # numbers
    exp.Abs: Function("abs", (NUMBER,), _first),
    exp.Exp: _real("exp"),
    exp.Cbrt: _real("cbrt"),
    exp.Pow: _real("pow", 2),
    exp.Degrees: _real("degrees"),
    exp.Radians: _real("radians"),
    exp.Sin: _real("sin"),
    exp.Cos: _real("cos"),
    exp.Tan: _real("tan"),
    exp.Atan: _real("atan"),
    exp.Atan2: _real("atan2", 2),
    exp.Pi: _real("pi", 0),
    # dates
    exp.Year: _part("year"),
    exp.Quarter: _part("quarter"),
    exp.Month: _part("month"),
    exp.WeekOfYear: _part("week"),
    exp.YearOfWeek: _part("isoyear"),
    exp.Day: _part("day"),
    exp.DayOfMonth: _part("day"),
    exp.DayOfYear: _part("dayofyear"),
    exp.DayOfWeekIso: _part("isodow"),
    exp.LastDay: Function("last_day", (MOMENT,), DATE),
    # aggregates
    exp.LogicalAnd: Function("bool_and", (Family.BOOLEAN,), BOOLEAN),
    exp.LogicalOr: Function("bool_or", (Family.BOOLEAN,), BOOLEAN),
    "every": Function("bool_and", (Family.BOOLEAN,), BOOLEAN),
    exp.CountIf: Function("count_if", (Family.BOOLEAN,), BIGINT),
    exp.Stddev: _real("stddev_samp"),
    exp.StddevSamp: _real("stddev_samp"),
    exp.StddevPop: _real("stddev_pop"),
    exp.Variance: _real("var_samp"),
    exp.VariancePop: _real("var_pop"),
    exp.CovarSamp: _real("covar_samp", 2),
    exp.CovarPop: _real("covar_pop", 2),
}


def arguments(node: exp.Expr) -> list[exp.Expr]:
    """Return the arguments of a call in the order they are written; a charset is none."""
    found: list[exp.Expr] = []
    for key in ("this", "expressions") if isinstance(node, exp.Anonymous) else node.arg_types:
        value = node.args.get(key)
        values = value if isinstance(value, list) else [value]
        found += [argument for argument in values if isinstance(argument, exp.Expr)]
    return found[:1] if isinstance(node, (exp.Encode, exp.Decode)) else found


def function_of(node: exp.Expr) -> Function | None:
    """Return the entry of `FUNCTIONS` for a call, None when it has none."""
    key = node.name.lower() if isinstance(node, exp.Anonymous) else type(node)
    return FUNCTIONS.get(key)

"""Small pieces of DuckDB's SQL that several translations are made of."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from statsig_staging.warehouses.local.dialect.refusals import athena_name, refused, unknown_type
from statsig_staging.warehouses.local.dialect.types import Family, family_of, is_unknown


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands, noted before something that may hold it stands there instead."""

    parent: exp.Expr
    key: str
    index: int | None

    @classmethod
    def of(cls, node: exp.Expr) -> Place:
        """Return the place of a node that stands in a tree."""
        if node.parent is None or node.arg_key is None:
            raise TypeError(f"it stands nowhere: {node!r}")
        return cls(node.parent, node.arg_key, node.index)

    def take(self, found: exp.Expr) -> None:
        """Let a node stand here."""
        self.parent.set(self.key, found, self.index)


def call(name: str, *arguments: exp.Expr | str | int) -> exp.Anonymous:
    """Return a call of a DuckDB function or macro, its arguments as they are."""
    return exp.Anonymous(this=name, expressions=[_literal(argument) for argument in arguments])


def _literal(argument: exp.Expr | str | int) -> exp.Expr:
    if isinstance(argument, str):
        return exp.Literal.string(argument)
    if isinstance(argument, int):
        return exp.Literal.number(argument)
    return argument


def cast(value: exp.Expr, kind: exp.DataType | exp.DType, *, strict: bool = True) -> exp.Expr:
    """Return a plain DuckDB cast; without `strict`, what cannot be cast is null."""
    kind = kind.copy() if isinstance(kind, exp.DataType) else exp.DataType(this=kind)
    return exp.Cast(this=value, to=kind) if strict else exp.TryCast(this=value, to=kind)


def paren(value: exp.Expr) -> exp.Expr:
    """Return `value` in parentheses where an operator around it would bind tighter."""
    return exp.Paren(this=value) if isinstance(value, (exp.Binary, exp.Unary, exp.Case)) else value


def case(*branches: tuple[exp.Expr, exp.Expr], default: exp.Expr | None = None) -> exp.Case:
    """Return CASE WHEN condition THEN value, for each pair."""
    ifs = [exp.If(this=condition, true=value) for condition, value in branches]
    return exp.Case(ifs=ifs, default=default)


def both(*conditions: exp.Expr) -> exp.Expr:
    """Return the conditions joined by AND, in parentheses."""
    return exp.paren(exp.and_(*conditions, copy=False), copy=False)


def negated(condition: exp.Expr) -> exp.Expr:
    """Return NOT condition."""
    return exp.Not(this=paren(condition))


def is_null(value: exp.Expr, *, negate: bool = False) -> exp.Expr:
    """Return value IS NULL, or IS NOT NULL."""
    test = exp.Is(this=paren(value), expression=exp.Null())
    return exp.Not(this=test) if negate else test


def must(value: exp.Expr, condition: exp.Expr, why: str) -> exp.Expr:
    """Return `value`, an error at run time where `condition` is false for the data."""
    return call("athena_must", value, condition, why)


def must_type(value: exp.Expr, condition: exp.Expr, why: str, user: exp.Expr) -> exp.Expr:
    """Return `value`, an error when its type, which the schema does not tell, is not right."""
    # TRY would take the error of a guard for an error of the data.
    if user.find_ancestor(exp.Try):
        raise unknown_type("TRY", value)
    return must(value, condition, f"TYPE_MISMATCH: {why}")


def of_family(value: exp.Expr, wanted: Family, user: exp.Expr) -> exp.Expr:
    """Return `value`, refused where `user` does not take its type, guarded where it is unknown."""
    found = family_of(value)
    if found in {wanted, Family.NULL}:
        return value
    if found is not Family.UNKNOWN:
        raise refused(athena_name(user), f"it takes {wanted}, not {found}; write a CAST")
    condition = exp.In(
        this=call("athena_family", value.copy()),
        expressions=[exp.Literal.string(wanted), exp.Literal.string("null")],
    )
    return must_type(value, condition, f"{athena_name(user)} takes {wanted}", user)


def alike(
    left: exp.Expr, right: exp.Expr, user: exp.Expr, name: str | None = None
) -> exp.Expr | None:
    """Return the guard that Athena takes both types for one; None where the schema tells so.

    Args:
        left: A value.
        right: Another one.
        user: What takes both.
        name: What a refusal calls that, by default what Athena calls it.
    """
    families = {family_of(left), family_of(right)}
    if Family.NULL in families or (len(families) == 1 and Family.UNKNOWN not in families):
        return None
    if Family.UNKNOWN in families:
        if user.find_ancestor(exp.Try):
            raise unknown_type("TRY", left if is_unknown(left) else right)
        return call("athena_alike", left.copy(), right.copy())
    name = name or athena_name(user)
    raise refused(name, f"it mixes {family_of(left)} and {family_of(right)}; write a CAST")

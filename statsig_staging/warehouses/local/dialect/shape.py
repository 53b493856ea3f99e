"""The parts of a query that are no functions: which may stand, and under what conditions."""

from __future__ import annotations

from sqlglot import exp

from statsig_staging.warehouses.local.dialect.refusals import refused, refused_node

STRUCTURE: frozenset[type[exp.Expr]] = frozenset(
    {
        exp.Select, exp.From, exp.Join, exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered,
        exp.Limit, exp.Offset, exp.Fetch, exp.LimitOptions, exp.Distinct, exp.With, exp.CTE,
        exp.Subquery, exp.Values, exp.Lateral, exp.Table,
        exp.TableAlias, exp.Alias, exp.Column, exp.Identifier, exp.Star, exp.Literal, exp.Null,
        exp.Boolean, exp.Paren, exp.Tuple, exp.GroupingSets, exp.Rollup, exp.Cube, exp.Grouping,
        exp.Window, exp.WindowSpec, exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.Lambda,
        exp.Exists, exp.Var, exp.DataType, exp.DataTypeParam, exp.Escape, exp.Try, exp.Dot,
        exp.JSONPath, exp.Version,
        exp.Placeholder,
        exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile,
        exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue,
    }
)  # fmt: skip


def is_opaque(node: exp.Expr) -> bool:
    """Return whether what is in `node` is not Athena's SQL: a table function's arguments, a path."""
    return is_table_function(node) or isinstance(node, (exp.JSONPath, exp.DataType))


def is_table_function(node: exp.Expr) -> bool:
    """Return whether `node` reads files rather than a table."""
    return isinstance(node, exp.Table) and not isinstance(node.this, exp.Identifier)


def check(node: exp.Expr) -> None:
    """Refuse what a node of `STRUCTURE` holds that only one engine has."""
    match node:
        case exp.With() if node.recursive:
            raise refused("WITH RECURSIVE", "nobody has made sure of the answer")
        case exp.Join() if node.method:
            raise refused(f"{node.method} JOIN", "Athena has none; write ON or USING")
        case exp.Join() if node.kind.upper() in {"SEMI", "ANTI", "ASOF"}:
            raise refused(f"{node.kind} JOIN", "Athena has none; write EXISTS")
        case exp.Distinct() if node.args.get("on"):
            raise refused("DISTINCT ON", "Athena has none")
        case exp.Star() if any(node.args.values()):
            raise refused("* EXCEPT", "Athena has none; name the columns")
        case exp.LimitOptions() if node.args.get("with_ties"):
            raise refused("FETCH … WITH TIES", "nobody has made sure of the answer")
        case exp.Select() if node.args.get("match") or node.args.get("qualify"):
            raise refused("MATCH_RECOGNIZE / QUALIFY", "use a window in a subquery")
        case exp.Tuple() if not _is_list(node):
            raise refused("(a, b)", "rows are not compared alike; compare their columns")
        case exp.Table() if node.args.get("sample"):
            raise refused_node(node.args["sample"])


def _is_list(node: exp.Expr) -> bool:
    return isinstance(node.parent, (exp.Values, exp.Group, exp.GroupingSets, exp.Rollup, exp.Cube))

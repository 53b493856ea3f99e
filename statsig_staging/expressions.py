"""User SQL: read it as a syntax tree, or refuse it by name; text is never pasted together.

Everything here takes SQL that a user wrote in Athena's dialect. A mistake in it is a ``ValueError``
with a message of one line that never repeats the SQL itself.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date, datetime

DIALECT: Final = "athena"
"""The SQL that users write; every other dialect is generated from the tree."""

MACROS: Final = (
    "statsig_start_date",
    "statsig_end_date",
    "statsig_start_date_int",
    "statsig_end_date_int",
    "statsig_experiment_start_timestamp",
)
"""What may stand in braces in a query; both dates are inclusive."""

_QUERY_STARTS = frozenset({TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN})
_BRACES = frozenset({TokenType.L_BRACE, TokenType.R_BRACE})
_NOT_READING = (
    exp.DML,
    exp.DDL,
    exp.Command,
    exp.Into,
    exp.Lock,
    exp.Drop,
    exp.Alter,
    exp.Set,
    exp.Use,
)
_NOT_SCALAR: tuple[tuple[type[exp.Expr], str], ...] = (
    (exp.Query, "a subquery"),
    (exp.Values, "a subquery"),
    (exp.Exists, "a subquery"),
    (exp.Window, "a window function"),
    (exp.RowNumber, "a window function"),
    (exp.AggFunc, "an aggregate"),
    (exp.Star, "a star"),
    (exp.Alias, "an alias"),
    (exp.Aliases, "an alias"),
    (exp.Placeholder, "a placeholder"),
    (exp.Parameter, "a parameter"),
)
# Aggregates of Trino that sqlglot reads as plain functions.
# https://trino.io/docs/current/functions/aggregate.html
_MORE_AGGREGATES = frozenset(
    [
        "approx_most_frequent",
        "approx_set",
        "bitwise_and_agg",
        "bitwise_or_agg",
        "bitwise_xor_agg",
        "bool_and",
        "bool_or",
        "checksum",
        "entropy",
        "every",
        "geometric_mean",
        "histogram",
        "kurtosis",
        "learn_classifier",
        "learn_regressor",
        "listagg",
        "make_set_digest",
        "map_agg",
        "map_union",
        "merge",
        "merge_set_digest",
        "multimap_agg",
        "numeric_histogram",
        "qdigest_agg",
        "reduce_agg",
        "regr_intercept",
        "regr_slope",
        "skewness",
        "tdigest_agg",
    ]
)
_REMEMBERED = 4096
"""So many expressions are remembered: a project is read, planned and fingerprinted from the same ones."""
_PLAIN_NAME = re.compile(r"[^\W\d]\w*")
_MACRO_TEXT = re.compile(r"\{\s*(statsig_\w*)\s*\}")
# Athena takes at most 262,144 bytes a statement, and what we put around user SQL counts too.
# https://docs.aws.amazon.com/athena/latest/ug/service-limits.html
_MAX_SQL_BYTES = 200_000


def parse_query(sql: str) -> exp.Query:
    """Return the one SELECT that ``sql`` is; its macros are placeholders until they are bound.

    WITH and UNION are part of a SELECT. Comments are dropped, a semicolon at the end is ignored.

    Raises:
        ValueError: If ``sql`` is anything else, or writes, or has a parameter that is no macro.
    """
    tokens = _with_macros(_without_end(_tokens(sql)))
    if not tokens:
        raise ValueError("is empty; write one SELECT")
    if any(token.token_type is TokenType.SEMICOLON for token in tokens):
        raise ValueError("holds more than one statement; write one SELECT")
    if tokens[0].token_type not in _QUERY_STARTS:
        raise ValueError("is not a SELECT; write one SELECT, nothing else")
    tree = _tree(tokens, sql)
    query = tree.unnest() if isinstance(tree, exp.Subquery) and tree.is_wrapper else tree
    if not isinstance(query, exp.Query):
        raise ValueError("is not a SELECT; write one SELECT, nothing else")  # noqa: TRY004
    _check_query(query)
    return query


def parse_scalar(sql: str) -> exp.Expr:
    """Return the scalar expression that ``sql`` is: one value for each row.

    Raises:
        ValueError: If ``sql`` is not one expression, or holds a subquery, an aggregate, a window
            function, a star, an alias or a macro.
    """
    return _scalar(sql).copy()


@lru_cache(_REMEMBERED)
def _scalar(sql: str) -> exp.Expr:
    tokens = _tokens(sql)
    if not tokens:
        raise ValueError("is empty; write one expression")
    if any(token.token_type is TokenType.SEMICOLON for token in tokens):
        raise ValueError("holds ';'; write one expression")
    if any(token.token_type in _BRACES or _macro_in_quotes(token) for token in tokens):
        raise ValueError("holds a macro or '{'; macros stand in the sql of a source only")
    tree = _tree([Token(TokenType.SELECT, "SELECT"), *tokens], sql)
    extra = [key for key, value in tree.args.items() if value and key != "expressions"]
    if not isinstance(tree, exp.Select) or extra or len(tree.expressions) != 1 or _is_all(tokens):
        raise ValueError("is not one expression")
    expression: exp.Expr = tree.expressions[0].pop()
    _check_scalar(expression)
    return expression


def parse_table(name: str) -> exp.Table:
    """Return the table that ``name`` is: ``database.table``, each part plain or in double quotes.

    Raises:
        ValueError: If ``name`` has not exactly two parts.
    """
    tokens = _tokens(name)
    kinds = [token.token_type for token in tokens]
    parts = [token.text for token in tokens[::2] if _is_name(token)]
    if len(parts) != 2 or len(tokens) != 3 or kinds[1] is not TokenType.DOT:
        raise ValueError('is not a table; write database.table or "database"."table"')
    database, table = (exp.to_identifier(part, quoted=True) for part in parts)
    return exp.Table(this=table, db=database)


def column(name: str) -> exp.Column:
    """Return the column called ``name``, whatever characters it has."""
    return exp.Column(this=exp.to_identifier(name, quoted=True))


def bind_macros(query: exp.Query, start: date, end: date, experiment_start: datetime) -> exp.Query:
    """Return a copy of ``query`` with its macros replaced by literals.

    Args:
        query: A tree from ``parse_query``.
        start: First day being loaded, UTC.
        end: Last day being loaded, inclusive, UTC.
        experiment_start: When the experiment starts; without a zone it is taken as UTC.
    """
    values: dict[str, exp.Expr] = {
        "statsig_start_date": _date(start),
        "statsig_end_date": _date(end),
        "statsig_start_date_int": _day_number(start),
        "statsig_end_date_int": _day_number(end),
        "statsig_experiment_start_timestamp": _timestamp(experiment_start),
    }
    bound = query.copy()
    for placeholder in list(bound.find_all(exp.Placeholder)):
        if macro := _macro_of(placeholder):
            placeholder.replace(values[macro].copy())
    return bound


def macros_used(query: exp.Query) -> frozenset[str]:
    """Return the names of the macros that ``query`` still holds, without their braces."""
    names = (_macro_of(placeholder) for placeholder in query.find_all(exp.Placeholder))
    return frozenset(name for name in names if name)


def tables(query: exp.Query) -> tuple[exp.Table, ...]:
    """Return the physical tables that ``query`` names, each once, in the order they first appear.

    The name of a common table expression is no table where that expression can be seen.
    """
    found: dict[tuple[str, ...], exp.Table] = {}
    for table in _physical_tables(query):
        found.setdefault((table.catalog, table.db, table.name), table)
    return tuple(found.values())


def columns_used(node: exp.Expr) -> frozenset[str]:
    """Return the names of the columns that ``node`` uses, as written.

    In a scalar expression there are no table names, so ``a.b`` is field ``b`` of column ``a``; in a
    query it is column ``b`` of table ``a``.
    """
    position = -1 if node.find(exp.Query) else 0
    found = (used.parts[position] for used in node.find_all(exp.Column))
    return frozenset(part.name for part in found if not isinstance(part, exp.Star))


def fingerprint(sql: str) -> str:
    """Return a digest of the tokens of ``sql``, 64 hexadecimal digits.

    White space, comments and the case of keywords and plain names do not change it; anything inside
    quotes does. It depends on the text alone, never on generated SQL.

    Raises:
        ValueError: If a quote or a comment does not end.
    """
    digest = hashlib.sha256()
    for token in _without_end(_tokens(sql)):
        for part in _token_parts(token):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big"))
            digest.update(data)
    return digest.hexdigest()


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the known name nearest to ``name``, or nothing."""
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _tokens(sql: str) -> list[Token]:
    if len(sql.encode("utf-8", "surrogatepass")) > _MAX_SQL_BYTES:
        raise ValueError(f"is longer than {_MAX_SQL_BYTES:,} bytes")
    if "\0" in sql:
        raise ValueError("holds a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in sql):
        raise ValueError("holds a surrogate, which is half a character")
    try:
        tokens = sqlglot.tokenize(sql, read=DIALECT)
    except TokenError:
        raise ValueError("is not SQL: a quote or a comment does not end") from None
    return [_uncommented(token) for token in tokens]


def _uncommented(token: Token) -> Token:
    return _moved(token, token.token_type, token.text)


def _moved(token: Token, kind: TokenType, text: str) -> Token:
    return Token(kind, text, token.line, token.col, token.start, token.end)


def _without_end(tokens: list[Token]) -> list[Token]:
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens = tokens[:-1]
    return tokens


def _tree(tokens: list[Token], sql: str) -> exp.Expr:
    parser = sqlglot.Dialect.get_or_raise(DIALECT).parser()
    try:
        trees = [tree for tree in parser.parse(tokens, sql) if tree is not None]
    except ParseError as error:
        raise ValueError(f"is not SQL that Athena reads: {_first_error(error)}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if len(trees) != 1:
        raise ValueError("holds more than one statement")
    return without_positions(trees[0])


def without_positions(tree: exp.Expr) -> exp.Expr:
    """Return a tree that has forgotten where in the text it stood, which every copy of it would copy.

    None instead of an empty dict: sqlglot 30 copies that too, which took half of the time of a copy.
    """
    for node in tree.walk():
        if node.meta_get("line") is not None:
            node._meta = None  # noqa: SLF001
    return tree


def _first_error(error: ParseError) -> str:
    details = error.errors[0] if error.errors else {}
    message = str(details.get("description") or "it cannot be parsed")
    message = re.sub(r" but got <.*", "", message, flags=re.DOTALL)
    message = re.sub(r"<class '[\w.]*?(\w+)'>", r"\1", message).strip().rstrip(".")
    place = f" (line {details['line']}, column {details['col']})" if details.get("line") else ""
    return " ".join(f"{message}{place}".split())


def _is_all(tokens: list[Token]) -> bool:
    return tokens[0].token_type is TokenType.ALL


def _with_macros(tokens: list[Token]) -> list[Token]:
    result: list[Token] = []
    position = 0
    while position < len(tokens):
        length, name = _macro_at(tokens, position)
        if name:
            result += _placeholder_tokens(tokens[position], name)
        else:
            result += tokens[position : position + length]
        position += length
    return result


def _macro_at(tokens: list[Token], position: int) -> tuple[int, str]:
    """Return how many tokens to take at ``position``, and the macro that they are, or nothing."""
    token = tokens[position]
    if name := _macro_in_quotes(token):
        _check_macro(name)
        # A literal stays one until the tree is built: DATE '…' is a type and a literal.
        return (1, "") if token.token_type is TokenType.STRING else (1, name)
    if token.text == "`" and _braced(tokens, position + 1) and _is_backquote(tokens, position + 4):
        return 5, _checked_macro(tokens[position + 2])
    if _braced(tokens, position):
        return 3, _checked_macro(tokens[position + 1])
    if token.token_type is TokenType.L_BRACE and not _is_quantifier(tokens, position):
        raise ValueError("has '{' that starts no macro; macros are written {statsig_start_date}")
    return 1, ""


def _braced(tokens: list[Token], position: int) -> bool:
    found = tokens[position : position + 3]
    kinds = [token.token_type for token in found]
    if len(found) != 3 or kinds[0] is not TokenType.L_BRACE or kinds[2] is not TokenType.R_BRACE:
        return False
    return _is_name(found[1])


def _is_quantifier(tokens: list[Token], position: int) -> bool:
    kinds = [token.token_type for token in tokens[position + 1 : position + 2]]
    return bool(kinds) and kinds[0] in {TokenType.NUMBER, TokenType.COMMA}


def _is_backquote(tokens: list[Token], position: int) -> bool:
    return position < len(tokens) and tokens[position].text == "`"


def _is_name(token: Token) -> bool:
    if token.token_type is TokenType.IDENTIFIER:
        return bool(token.text)
    quoted = token.token_type is TokenType.STRING or token.token_type.name.endswith("_STRING")
    return not quoted and bool(_PLAIN_NAME.fullmatch(token.text))


def _macro_in_quotes(token: Token) -> str:
    if token.token_type not in {TokenType.STRING, TokenType.IDENTIFIER}:
        return ""
    match = _MACRO_TEXT.fullmatch(token.text)
    return match[1] if match else ""


def _checked_macro(token: Token) -> str:
    _check_macro(token.text)
    return token.text


def _check_macro(name: str) -> None:
    if name not in MACROS:
        raise ValueError(f"has an unknown macro {{{name}}}{suggestion(name, MACROS)}")


def _placeholder_tokens(token: Token, name: str) -> list[Token]:
    # The name keeps its braces: no parameter that a user can write has any.
    return [
        _moved(token, TokenType.COLON, ":"),
        _moved(token, TokenType.VAR, f"{{{name}}}"),
    ]


def _macro_of(placeholder: exp.Placeholder) -> str:
    name = placeholder.name
    return name[1:-1] if name[:1] == "{" and name[1:-1] in MACROS else ""


def _check_query(query: exp.Query) -> None:
    _literals_to_macros(query)
    faults = (_query_fault(node) for node in query.walk())
    if fault := next(filter(None, faults), ""):
        raise ValueError(fault)


def _query_fault(node: exp.Expr) -> str:
    if isinstance(node, _NOT_READING):
        return "does more than read; write one SELECT, nothing else"
    if isinstance(node, exp.Table) and not isinstance(node.this, exp.Identifier):
        return "reads something that is no table; FROM takes tables, queries and UNNEST"
    if isinstance(node, exp.Placeholder) and not _is_bindable(node):
        return "has a parameter, or a macro that does not stand for a value"
    if isinstance(node, exp.Parameter | exp.SessionParameter) or _is_dollar_name(node):
        return "has a parameter; only macros may stand for values"
    return ""


def _literals_to_macros(query: exp.Query) -> None:
    for literal in list(query.find_all(exp.Literal)):
        match = _MACRO_TEXT.fullmatch(literal.name) if literal.is_string else None
        if match:
            literal.replace(exp.Placeholder(this=f"{{{match[1]}}}"))


def _is_bindable(placeholder: exp.Placeholder) -> bool:
    return bool(_macro_of(placeholder)) and placeholder.arg_key != "alias"


def _is_dollar_name(node: exp.Expr) -> bool:
    return isinstance(node, exp.Identifier) and not node.quoted and node.name.startswith("$")


def _check_scalar(expression: exp.Expr) -> None:
    faults = (_scalar_fault(node) for node in expression.walk())
    if fault := next(filter(None, faults), ""):
        raise ValueError(f"holds {fault}; write one plain expression over one row")


def _scalar_fault(node: exp.Expr) -> str:
    for kind, what in _NOT_SCALAR:
        if isinstance(node, kind):
            return what
    if isinstance(node, exp.Anonymous) and node.name.lower() in _MORE_AGGREGATES:
        return "an aggregate"
    if isinstance(node, _NOT_READING):
        return "a statement"
    return "a parameter" if _is_dollar_name(node) else ""


def _physical_tables(query: exp.Query) -> Iterator[exp.Table]:
    pending: list[tuple[exp.Expr, frozenset[str]]] = [(query, frozenset())]
    while pending:
        node, hidden = pending.pop()
        if isinstance(node, exp.Table) and (node.db or node.name.lower() not in hidden):
            yield node
        pending += reversed(_scoped_children(node, hidden))


def _scoped_children(
    node: exp.Expr, hidden: frozenset[str]
) -> list[tuple[exp.Expr, frozenset[str]]]:
    """Return the children of ``node``, each with the names that are no tables in it."""
    children: list[tuple[exp.Expr, frozenset[str]]] = []
    with_ = node.args.get("with_")
    recursive = isinstance(with_, exp.With) and with_.recursive
    for cte in with_.expressions if isinstance(with_, exp.With) else ():
        own = frozenset({cte.alias.lower()})
        children.append((cte.this, hidden | own if recursive else hidden))
        hidden |= own
    rest = (child for child in node.iter_expressions() if child is not with_)
    return children + [(child, hidden) for child in rest]


def _token_parts(token: Token) -> tuple[str, ...]:
    match token.token_type:
        case TokenType.STRING:
            return "'", token.text
        case TokenType.IDENTIFIER:
            return '"', token.text
        case kind if kind.name.endswith("_STRING"):
            return kind.name, token.text
        case _:
            # One token may be several words (GROUP BY), which another version may split.
            return tuple(part for word in token.text.casefold().split() for part in ("", word))


def _date(day: date) -> exp.Expr:
    return exp.Cast(this=exp.Literal.string(day.isoformat()), to=exp.DataType.build("date"))


def _day_number(day: date) -> exp.Expr:
    return exp.Literal.number(day.year * 10_000 + day.month * 100 + day.day)


def _timestamp(moment: datetime) -> exp.Expr:
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    text = moment.isoformat(sep=" ", timespec="microseconds")
    kind = exp.DataType.build("timestamp(6)", dialect=DIALECT)
    return exp.Cast(this=exp.Literal.string(text), to=kind)

"""Regular expressions: Athena's are Java's by way of Joni and know Unicode, DuckDB's are RE2's."""

from __future__ import annotations

import re

from sqlglot import exp

from statsig_staging.warehouses.local.dialect.build import call, of_family
from statsig_staging.warehouses.local.dialect.refusals import athena_name, refused
from statsig_staging.warehouses.local.dialect.types import Family

# In a UTF-8 pattern Joni's classes are Unicode's, RE2's are ASCII.
# https://github.com/jruby/joni/blob/master/src/org/joni/Syntax.java
_SPACES = r"\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
_CLASSES = {"d": r"\p{Nd}", "w": r"\p{L}\p{M}\p{Nd}\p{Pc}", "s": _SPACES}
_END = r"(?:\n?\z)"
_PIECE = re.compile(
    r"""\\p\{[A-Z][a-z]?\} | \\P\{[A-Z][a-z]?\} | \\. | \(\?[a-zA-Z]*[:)] | \(\?. | [*+?}][+] | && | .""",
    re.VERBOSE | re.DOTALL,
)


def matches(node: exp.Expr) -> exp.Expr:
    """Return REGEXP_LIKE(text, pattern)."""
    text, pattern = _parts(node)
    return call("regexp_matches", text, translate(pattern, athena_name(node), end=_END))


def first(node: exp.Expr) -> exp.Expr:
    """Return REGEXP_EXTRACT(text, pattern[, group]), null where nothing matches."""
    return call("list_extract", every(node), 1)


def every(node: exp.Expr) -> exp.Expr:
    """Return REGEXP_EXTRACT_ALL(text, pattern[, group])."""
    text, pattern = _parts(node)
    group = node.args.get("group")
    if group is not None and not isinstance(group, exp.Literal):
        raise refused(athena_name(node), "the group must be a literal")
    number = int(group.name) if group is not None else 0
    end = _END if number else ""
    return call("regexp_extract_all", text, translate(pattern, athena_name(node), end=end), number)


def replaced(node: exp.Expr) -> exp.Expr:
    """Return REGEXP_REPLACE(text, pattern, replacement)."""
    text, pattern = _parts(node)
    replacement = node.args.get("replacement")
    if not isinstance(replacement, exp.Literal) or not replacement.is_string:
        raise refused("regexp_replace", "the replacement must be a literal")
    found = translate(pattern, "regexp_replace", end="")
    return call("regexp_replace", text, found, _replacement(replacement.name), "g")


def _parts(node: exp.Expr) -> tuple[exp.Expr, str]:
    pattern = node.expression
    if not isinstance(pattern, exp.Literal) or not pattern.is_string:
        raise refused(athena_name(node), "the pattern must be a literal, to be checked")
    return of_family(node.this.copy(), Family.TEXT, node), pattern.name


def translate(pattern: str, name: str, *, end: str) -> str:
    """Return `pattern` for RE2; `end` stands for $, which on Athena comes before a last newline too."""
    found: list[str] = []
    in_class = False
    for match in _PIECE.finditer(pattern):
        piece = match[0]
        if in_class:
            in_class = piece != "]" or found[-1] in {"[", "[^"}
            found.append(_in_class(piece, name))
        elif piece == "[":
            in_class = True
            found.append(piece)
        else:
            found.append(_outside(piece, name, end))
    return "".join(found)


def _in_class(piece: str, name: str) -> str:
    if piece in {"[", "&&"}:
        raise refused(name, "of Java's classes within classes")
    if piece.startswith("\\"):
        return _escape(piece, name, bracket=False)
    return piece


def _outside(piece: str, name: str, end: str) -> str:
    if piece == "$":
        if not end:
            raise refused(name, r"of $, which comes before a last newline too; write \z")
        return end
    if piece.startswith("(?") and piece not in {"(?:", "(?i)", "(?i:"}:
        raise refused(name, f"of {piece}; RE2 has no lookaround, and names and flags differ")
    if len(piece) == len("++") and piece[1] == "+" and piece[0] != "\\":
        raise refused(name, "of possessive repetition")
    if piece.startswith("\\"):
        return _escape(piece, name, bracket=True)
    return piece


def _escape(piece: str, name: str, *, bracket: bool) -> str:
    letter = piece[1]
    if letter in _CLASSES:
        return f"[{_CLASSES[letter]}]" if bracket else _CLASSES[letter]
    if letter.lower() in _CLASSES and bracket:
        return f"[^{_CLASSES[letter.lower()]}]"
    if letter in "pP" and len(piece) > len(r"\p"):
        return piece
    if letter in "Az" and bracket:
        return piece
    if letter in "tnrf" or not letter.isalnum():
        return piece
    raise refused(name, f"of {piece}, which the engines read differently")


def _replacement(text: str) -> str:
    r"""Return Java's replacement for RE2: $1 is \1, and a backslash quotes."""
    if re.search(r"\$(\{|\d\d)", text):
        raise refused("regexp_replace", "of a group's name, or a group beyond 9")
    found = re.sub(r"\\(.)|\$(\d)|(\\)", _piece, text, flags=re.DOTALL)
    if "$" in re.sub(r"\\.", "", text) and not re.search(r"\$\d", text):
        raise refused("regexp_replace", r"of a $ that is no group; write \$")
    return found


def _piece(match: re.Match[str]) -> str:
    quoted, group, _ = match.groups()
    if group is not None:
        return f"\\{group}"
    return r"\\" if quoted in {"\\", None} else quoted

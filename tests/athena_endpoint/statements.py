"""What kind of statement a text is, and which texts are refused before anything runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tests.athena_endpoint.failures import CallError, invalid, malformed

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_BYTES = 262_144


class Kind(Enum):
    """Statements, with their type and subtype in the API; whether the Hive path runs them."""

    SELECT = ("DML", "SELECT", False)
    INSERT = ("DML", "INSERT", False)
    UPDATE = ("DML", "UPDATE", False)
    DELETE = ("DML", "DELETE", False)
    MERGE = ("DML", "MERGE", False)
    UNLOAD = ("DML", "UNLOAD", False)
    # Measured: OPTIMIZE is DDL and VACUUM is DML.
    VACUUM = ("DML", "VACUUM_TABLE", False)
    OPTIMIZE = ("DDL", "OPTIMIZE", False)
    CTAS = ("DDL", "CREATE_TABLE_AS_SELECT", False)
    CREATE_VIEW = ("DDL", "CREATE_VIEW", False)
    DROP_VIEW = ("DDL", "DROP_VIEW", False)
    EXPLAIN = ("UTILITY", "EXPLAIN", False)
    PREPARE = ("DDL", "PREPARE", False)
    EXECUTE = ("DML", "EXECUTE", False)
    DEALLOCATE = ("DDL", "DEALLOCATE", False)
    CREATE_TABLE = ("DDL", "CREATE_TABLE", True)
    CREATE_DATABASE = ("DDL", "CREATE_DATABASE", True)
    DROP_TABLE = ("DDL", "DROP_TABLE", True)
    DROP_DATABASE = ("DDL", "DROP_DATABASE", True)
    ALTER_TABLE = ("DDL", "ALTER_TABLE", True)
    MSCK = ("DDL", "MSCK_REPAIR_TABLE", True)
    SHOW_DATABASES = ("UTILITY", "SHOW_DATABASES", True)
    SHOW_TABLES = ("UTILITY", "SHOW_TABLES", True)
    SHOW_VIEWS = ("UTILITY", "SHOW_VIEWS", True)
    SHOW_COLUMNS = ("UTILITY", "SHOW_COLUMNS", True)
    SHOW_PARTITIONS = ("UTILITY", "SHOW_PARTITIONS", True)
    SHOW_CREATE_TABLE = ("UTILITY", "SHOW_CREATE_TABLE", True)
    SHOW_CREATE_VIEW = ("UTILITY", "SHOW_CREATE_VIEW", False)
    SHOW_TBLPROPERTIES = ("UTILITY", "SHOW_TBLPROPERTIES", True)
    DESCRIBE = ("UTILITY", "DESCRIBE_TABLE", True)

    @property
    def type(self) -> str:
        """``StatementType``."""
        return self.value[0]

    @property
    def subtype(self) -> str:
        """``SubstatementType``."""
        return self.value[1]

    @property
    def hive(self) -> bool:
        """Whether the Hive parser reads it: backticks, and no double quotes around names."""
        return self.value[2]

    @property
    def counts_as_dml(self) -> bool:
        """Whether the quota of DML statements counts it; for CTAS it does, whatever its type is."""
        return self.type == "DML" or self is Kind.CTAS


_TOKEN = re.compile(
    r"""(?P<line>--[^\n]*)|(?P<block>/\*.*?\*/)|(?P<string>'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")*")"""
    r"""|(?P<tick>`(?:[^`]|``)*`)|(?P<word>\w+)|(?P<question>\?)|(?P<space>\s+)|(?P<other>.)""",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a statement."""

    kind: str
    text: str
    start: int


def tokens_of(sql: str) -> list[Token]:
    """Return the pieces of a statement without blanks, with comments."""
    return [
        Token(found.lastgroup or "other", found[0], found.start())
        for found in _TOKEN.finditer(sql)
        if found.lastgroup != "space"
    ]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its text without the closing semicolon, and what it is."""

    sql: str
    kind: Kind
    block_comment: bool = False


_HEADS: Sequence[tuple[str, Kind]] = (
    (r"(SELECT|WITH|VALUES|TABLE)\b|\(", Kind.SELECT),
    (r"INSERT INTO\b", Kind.INSERT),
    (r"UPDATE\b", Kind.UPDATE),
    (r"DELETE FROM\b", Kind.DELETE),
    (r"MERGE INTO\b", Kind.MERGE),
    (r"UNLOAD\b", Kind.UNLOAD),
    (r"VACUUM\b", Kind.VACUUM),
    (r"OPTIMIZE\b", Kind.OPTIMIZE),
    (r"EXPLAIN\b", Kind.EXPLAIN),
    (r"PREPARE\b", Kind.PREPARE),
    (r"EXECUTE\b", Kind.EXECUTE),
    (r"DEALLOCATE PREPARE\b", Kind.DEALLOCATE),
    (r"CREATE (OR REPLACE )?VIEW\b", Kind.CREATE_VIEW),
    (r"DROP VIEW\b", Kind.DROP_VIEW),
    (r"CREATE (DATABASE|SCHEMA)\b", Kind.CREATE_DATABASE),
    (r"CREATE (EXTERNAL )?TABLE\b", Kind.CREATE_TABLE),
    (r"DROP TABLE\b", Kind.DROP_TABLE),
    (r"DROP (DATABASE|SCHEMA)\b", Kind.DROP_DATABASE),
    (r"ALTER TABLE\b", Kind.ALTER_TABLE),
    (r"MSCK REPAIR TABLE\b", Kind.MSCK),
    (r"SHOW (DATABASES|SCHEMAS)\b", Kind.SHOW_DATABASES),
    (r"SHOW TABLES\b", Kind.SHOW_TABLES),
    (r"SHOW VIEWS\b", Kind.SHOW_VIEWS),
    (r"SHOW COLUMNS\b", Kind.SHOW_COLUMNS),
    (r"SHOW PARTITIONS\b", Kind.SHOW_PARTITIONS),
    (r"SHOW CREATE TABLE\b", Kind.SHOW_CREATE_TABLE),
    (r"SHOW CREATE VIEW\b", Kind.SHOW_CREATE_VIEW),
    (r"SHOW TBLPROPERTIES\b", Kind.SHOW_TBLPROPERTIES),
    (r"(DESCRIBE|DESC)\b", Kind.DESCRIBE),
)

# Measured (aoyagikouhei/athena-local, docs/dev/measurements/statements.md): a double-quoted name in these
# is refused at StartQueryExecution.
_NO_DOUBLE_QUOTES = frozenset(
    {
        Kind.DROP_TABLE, Kind.ALTER_TABLE, Kind.DESCRIBE, Kind.SHOW_CREATE_TABLE, Kind.SHOW_COLUMNS,
        Kind.CREATE_TABLE, Kind.OPTIMIZE,
    }
)  # fmt: skip

_TREES = frozenset(
    {
        Kind.SELECT, Kind.INSERT, Kind.UPDATE, Kind.DELETE, Kind.MERGE, Kind.CTAS, Kind.CREATE_VIEW,
        Kind.CREATE_TABLE,
    }
)  # fmt: skip

_REFUSED_ALTERS = (
    (r"ALTER TABLE IF EXISTS\b", "IF"),
    (r"ALTER TABLE \S+ ADD COLUMN\b", "COLUMN"),
    (r"ALTER TABLE \S+ RENAME COLUMN\b", "COLUMN"),
    (r"ALTER TABLE \S+ ALTER COLUMN\b", "ALTER"),
    (r"ALTER TABLE \S+ DROP COLUMN IF EXISTS\b", "IF"),
    (r"ALTER TABLE \S+ EXECUTE\b", "EXECUTE"),
)


def read(sql: str) -> Statement:
    """Return the statement that a text is.

    Raises:
        CallError: If it is too long, more than one, or not a statement that parses.
    """
    size = len(sql.encode())
    if size > MOST_BYTES:
        raise invalid(
            f"1 validation error detected: Value at 'queryString' failed to satisfy constraint: "
            f"Member must have length less than or equal to {MOST_BYTES}"
        )
    tokens = tokens_of(sql)
    code = [token for token in tokens if token.kind not in {"line", "block"}]
    while code and code[-1].text == ";":
        code.pop()
    if not code:
        raise malformed("Queries of this type are not supported")
    if any(token.text == ";" for token in code):
        raise malformed("Only one sql statement is allowed. Got: " + sql)
    end = code[-1].start + len(code[-1].text)
    head = " ".join(token.text.upper() if token.kind == "word" else token.text for token in code)
    kind = _kind(head, code)
    statement = Statement(sql[:end], kind, any(token.kind == "block" for token in tokens))
    _check(statement, head, code)
    return statement


def _kind(head: str, code: Sequence[Token]) -> Kind:
    if head.startswith("CREATE OR REPLACE TABLE"):
        # Measured.
        raise malformed(
            "line 1:19: mismatched input 'TABLE'. Expecting: 'MATERIALIZED', 'MULTI', 'PROTECTED', 'VIEW'"
        )
    kind = next((kind for pattern, kind in _HEADS if re.match(pattern, head)), None)
    if kind is None:
        raise malformed(f"line 1:1: mismatched input '{code[0].text}'. Expecting: <query>")
    if kind is Kind.CREATE_TABLE and _has_select(code):
        return Kind.CTAS
    return kind


def _has_select(code: Sequence[Token]) -> bool:
    words = [token.text.upper() if token.kind == "word" else token.text for token in code]
    for position, word in enumerate(words[:-1]):
        after = words[position + 1 :]
        while after and after[0] == "(":
            after = after[1:]
        if word == "AS" and after and after[0] in {"SELECT", "WITH", "VALUES", "TABLE"}:
            return True
    return False


def _check(statement: Statement, head: str, code: Sequence[Token]) -> None:
    quoted = next((token for token in code if token.kind == "quoted"), None)
    if quoted is not None and statement.kind in _NO_DOUBLE_QUOTES:
        raise malformed(
            f"line 1:{quoted.start + 1}: mismatched input '{quoted.text}' expecting {{'`'}}"
        )
    for pattern, word in _REFUSED_ALTERS:
        if re.match(pattern, re.sub(r"\s*\.\s*", ".", head)):
            raise malformed(f"line 1:13: mismatched input '{word}'")
    if statement.kind in _TREES:
        tree = tree_of(statement.sql)
        if isinstance(tree, exp.Merge) and any(
            when.args.get("source") for when in tree.args["whens"].expressions
        ):
            raise malformed("line 1:1: mismatched input 'BY'. Expecting: 'AND', 'THEN'")


def tree_of(sql: str) -> exp.Expr:
    """Return a statement as a tree.

    Raises:
        CallError: If it does not parse.
    """
    try:
        found = sqlglot.parse(sql, read="athena")
    except SqlglotError as error:
        raise _syntax_error(error) from error
    if len(found) != 1 or found[0] is None:
        raise malformed("Only one sql statement is allowed")
    tree = found[0]
    if isinstance(tree, exp.Command):
        raise malformed(f"line 1:1: mismatched input '{sql.split(maxsplit=1)[0]}'")
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Dot):
            raise malformed(f"line 1:1: Too many parts in table name: {table.sql(dialect='trino')}")
    return tree


def _syntax_error(error: SqlglotError) -> CallError:
    details = getattr(error, "errors", None) or [{}]
    line, column = details[0].get("line") or 1, details[0].get("col") or 1
    near = details[0].get("highlight") or ""
    return malformed(f"line {line}:{column}: mismatched input '{near}'")


def with_parameters(sql: str, parameters: Sequence[str]) -> str:
    """Put execution parameters into the places of the question marks.

    A parameter that parses as an expression without columns is that expression, any other is a string;
    this was measured (aoyagikouhei/athena-local).

    Raises:
        CallError: If there are not as many as question marks.
    """
    places = [token for token in tokens_of(sql) if token.kind == "question"]
    if len(places) != len(parameters):
        raise malformed(
            f"line 1:1: Incorrect number of parameters: expected {len(places)} but found {len(parameters)}"
        )
    for place, parameter in sorted(zip(places, parameters, strict=True), key=lambda p: -p[0].start):
        sql = sql[: place.start] + _classified(parameter) + sql[place.start + 1 :]
    return sql


def _classified(parameter: str) -> str:
    literal = exp.Literal.string(parameter).sql(dialect="trino")
    try:
        tree = sqlglot.parse_one(f"SELECT {parameter}", read="athena")
    except SqlglotError:
        return literal
    if not isinstance(tree, exp.Select) or len(tree.expressions) != 1:
        return literal
    alone = not tree.find(exp.Column, exp.Subquery, exp.Alias) and tree.args.get("from_") is None
    return f"({parameter})" if alone else literal

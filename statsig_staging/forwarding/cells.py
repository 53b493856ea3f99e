"""Cells: what a row of any input becomes in a forwarded table, or why it cannot. Trees of DuckDB's SQL.

Every column is text but the timestamp: a column has one type for good, whatever batches bring. An object is
the text of its JSON. What tells two rows apart is computed of these texts, so it does not matter in which
format or in which columns' company a row came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from functools import cache
from typing import TYPE_CHECKING, assert_never

import sqlglot
from sqlglot import exp

from statsig_staging.config.forwarded import OTHERS, PARTITION, TIMESTAMP, UNITS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date

    from statsig_staging.forwarded import ForwardedTable

DIALECT = "duckdb"

MOST_COLUMNS = 500
"""Columns of a table beyond which further ones go into ``other_columns``."""

FIRST_YEAR = "2000-01-01"
"""No SDK has logged anything before it."""

AHEAD = timedelta(days=3)
"""From today on, the first day that no clock of a device is on: they are wrong, but not by two days."""

LINE, RAW, FAULT, REASON, SOURCE = "_line", "_raw", "_fault", "_reason", "_source"
HIGH, LOW, DAY = "_high", "_low", "_day"
OWN = (SOURCE, LINE, RAW, REASON, HIGH, LOW, DAY)
"""Columns of parsed rows that are no columns of the table."""

_LEGAL = re.compile(r"[a-z][a-z0-9_]{0,127}")
_RESERVED = frozenset([PARTITION, OTHERS, "rowid"])


class Form(Enum):
    """How the value of a cell is written."""

    JSON = auto()
    """As JSON: a string has its quotes."""
    TEXT = auto()
    """As text; empty text is no value."""
    MOMENT = auto()
    """As a moment, in UTC."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A column of an input: its name there, and where its values are."""

    name: str
    value: exp.Expr
    form: Form


def sql(text: str, /, **nodes: exp.Expr) -> exp.Expr:
    """Return a scalar expression whose columns of the given names are replaced by trees."""
    tree = _parsed(text).copy()
    holder = exp.Paren(this=tree)
    for column in list(holder.find_all(exp.Column)):
        if column.name in nodes and not column.table:
            column.replace(nodes[column.name].copy())
    found: exp.Expr = holder.this
    return found


@cache
def _parsed(text: str) -> exp.Expr:
    return sqlglot.parse_one(text, read=DIALECT)


def column(name: str) -> exp.Expr:
    """Return a column."""
    return exp.column(name, quoted=True)


def is_column(name: str) -> bool:
    """Return whether a key of an input may be a column as it is."""
    return bool(_LEGAL.fullmatch(name)) and name not in _RESERVED


@dataclass(frozen=True, slots=True)
class Laid:
    """Which cells go into which columns.

    Attributes:
        columns: Column → its cells; more than one where a key is spelt in several ways.
        others: Cells whose names can be no columns'.
    """

    columns: Mapping[str, tuple[Cell, ...]]
    others: tuple[Cell, ...]


def laid(cells: Iterable[Cell], known: Collection[str]) -> Laid:
    """Return which cells go into which columns of a table that has some already."""
    columns: dict[str, tuple[Cell, ...]] = {}
    others: list[Cell] = []
    count = len(known)
    for cell in sorted(cells, key=lambda cell: cell.name):
        name = cell.name.lower()
        is_new = name not in known and name not in columns and name != TIMESTAMP
        if not is_column(name) or (is_new and count >= MOST_COLUMNS):
            others.append(cell)
            continue
        count += is_new
        columns[name] = (*columns.get(name, ()), cell)
    return Laid(columns, tuple(others))


def rows(
    source: exp.Query,
    found: Laid,
    table: ForwardedTable,
    *,
    key: Sequence[str],
    today: date,
    number: int,
) -> exp.Select:
    """Return the rows of a relation as those of a table, each with why it cannot be one, if it cannot.

    Args:
        source: The relation, with its line numbers, lines and faults beside the cells.
        found: Which cells go where.
        table: The table.
        key: The columns that make two rows one; none for all.
        today: The day it is, UTC; moments far beyond it are absurd.
        number: The number of the input.
    """
    numbered = _numbered(found, table)
    texts = _texts(numbered, found)
    written = [exp.alias_(_written(one.cell), one.raw, quoted=True, copy=False) for one in numbered]
    # A layer of its own: what stands twice in one layer is computed twice.
    text = [
        exp.alias_(_text(one), one.text, quoted=True, copy=False)
        for one in numbered
        if one.role != "object"
    ]
    read = [exp.alias_(_read(one), one.read, quoted=True, copy=False) for one in numbered]
    raw = exp.select(column(LINE), column(RAW), column(FAULT), *written).from_(
        source.subquery("s", copy=False), copy=False
    )
    plain = exp.select(exp.Star(), *text).from_(raw.subquery("r", copy=False), copy=False)
    typed = exp.select(exp.Star(), *read).from_(plain.subquery("x", copy=False), copy=False)
    moments = [column(one.read) for one in numbered if one.role == "moment"]
    moment = _coalesced(moments) if moments else exp.cast(exp.null(), "timestamp")
    told = exp.select(
        column(LINE),
        column(RAW),
        exp.alias_(_faults(numbered), FAULT, quoted=True, copy=False),
        exp.alias_(moment, TIMESTAMP, quoted=True, copy=False),
        *(exp.alias_(text, name, quoted=True, copy=False) for name, text in texts.items()),
    ).from_(typed.subquery("c", copy=False), copy=False)
    high, low = identity(sorted(texts), key)
    judged = exp.select(
        exp.Star(),
        exp.alias_(_reason(texts, today), REASON, quoted=True, copy=False),
        exp.alias_(high, HIGH, quoted=True, copy=False),
        exp.alias_(low, LOW, quoted=True, copy=False),
    ).from_(told.subquery("t", copy=False), copy=False)
    line = sql("CASE WHEN reason IS NOT NULL THEN raw END", reason=column(REASON), raw=column(RAW))
    return exp.select(
        exp.alias_(exp.cast(exp.convert(number), "integer"), SOURCE, quoted=True, copy=False),
        column(LINE),
        exp.alias_(line, RAW, quoted=True, copy=False),
        column(REASON),
        column(TIMESTAMP),
        *(column(name) for name in texts),
        column(HIGH),
        column(LOW),
        exp.alias_(exp.cast(column(TIMESTAMP), "date"), DAY, quoted=True, copy=False),
    ).from_(judged.subquery("j", copy=False), copy=False)


@dataclass(frozen=True, slots=True)
class _Numbered:
    """A cell under names that meet no other inside a statement.

    Attributes:
        cell: The cell.
        column: Its column; empty for one that is none.
        role: ``moment``, ``object``, ``unit``, ``text`` or ``other``.
        number: Its number.
    """

    cell: Cell
    column: str
    role: str
    number: int

    @property
    def raw(self) -> str:
        """The name of what is written in it."""
        return f"w{self.number}"

    @property
    def text(self) -> str:
        """The name of the text that this is."""
        return f"x{self.number}"

    @property
    def read(self) -> str:
        """The name of what that is read as."""
        return f"c{self.number}"


def _numbered(found: Laid, table: ForwardedTable) -> list[_Numbered]:
    named = [(cell, name) for name, cells in found.columns.items() for cell in cells]
    every = [*named, *((cell, "") for cell in found.others)]
    return [
        _Numbered(cell, name, _role(name, table), number)
        for number, (cell, name) in enumerate(every)
    ]


def _role(name: str, table: ForwardedTable) -> str:
    if name == TIMESTAMP:
        return "moment"
    if name in UNITS:
        return "unit"
    documented = table.columns.get(name)
    if documented is not None:
        return documented
    return "unit" if is_unit(name) else "other"


_NO_UNITS = frozenset(["experiment_id", "group_id"])


def is_unit(name: str) -> bool:
    """Return whether a column is taken for a unit id."""
    return name in UNITS or (name.endswith("id") and name not in _NO_UNITS)


def _texts(numbered: Iterable[_Numbered], found: Laid) -> dict[str, exp.Expr]:
    """Return column → its value, of every column but the timestamp."""
    cells: dict[str, list[exp.Expr]] = {}
    others = []
    for one in numbered:
        if one.column:
            cells.setdefault(one.column, []).append(column(one.read))
        else:
            others.append((one.cell.name, column(one.read)))
    texts = {name: _coalesced(values) for name, values in cells.items() if name != TIMESTAMP}
    if found.others:
        texts[OTHERS] = _object_of(others)
    return texts


def _coalesced(values: Sequence[exp.Expr]) -> exp.Expr:
    return values[0] if len(values) == 1 else exp.Coalesce(this=values[0], expressions=values[1:])


def _written(cell: Cell) -> exp.Expr:
    """Return what is written in a cell; nothing where that stands for no value."""
    match cell.form:
        case Form.JSON:
            return sql("nullif(cell, 'null')", cell=exp.cast(cell.value, "varchar"))
        case Form.TEXT:
            return sql("nullif(cell, '')", cell=cell.value)
        case Form.MOMENT:
            return cell.value
        case _:
            assert_never(cell.form)


_UNQUOTED = "json_extract_string(cell, '$')"
"""Faster than telling apart what needs it: a CASE costs more than the parsing of a short string."""

_OBJECT = """CASE WHEN json_valid(cell)
  THEN CASE WHEN json_type(cell) = 'OBJECT' THEN CAST(json(cell) AS VARCHAR) END END"""


def _text(one: _Numbered) -> exp.Expr:
    """Return what is written in a cell as text; a string of JSON without its quotes."""
    raw = column(one.raw)
    if one.cell.form is Form.JSON:
        return sql(_UNQUOTED, cell=raw)
    return exp.cast(raw, "varchar")


def _read(one: _Numbered) -> exp.Expr:
    """Return what a cell is read as; of an object the JSON, as short as it can be written."""
    raw = column(one.raw)
    text = _text(one) if one.role == "object" else column(one.text)
    if not one.column:
        if one.cell.form is Form.JSON:
            return raw
        return sql("CAST(to_json(cell) AS VARCHAR)", cell=text)
    if one.role == "moment" and one.cell.form is Form.MOMENT:
        return exp.cast(raw, "timestamp")
    match one.role:
        case "moment":
            number = sql(_NUMBER, cell=text)
            return exp.Coalesce(this=sql(_ISO, cell=text), expressions=[sql(_EPOCH, cell=number)])
        case "object" if one.cell.form is Form.JSON:
            return sql(
                "CASE WHEN starts_with(raw, '{') THEN raw WHEN starts_with(raw, '\"') THEN inner_object END",
                raw=raw,
                inner_object=sql(_OBJECT, cell=text),
            )
        case "object":
            return sql(_OBJECT, cell=text)
        case "unit":
            return sql("nullif(cell, '')", cell=text)
        case _:
            return text


def _object_of(cells: Sequence[tuple[str, exp.Expr]]) -> exp.Expr:
    """Return one object of the cells that have a value."""
    parts = []
    for name, value in cells:
        named = exp.cast(sql("to_json(name)", name=exp.Literal.string(name)), "varchar")
        parts.append(sql("name || ':' || value", value=value, name=named))
    joined = exp.Anonymous(this="concat_ws", expressions=[exp.Literal.string(","), *parts])
    return sql("CASE WHEN joined <> '' THEN '{' || joined || '}' END", joined=joined)


_ISO = """CASE WHEN substring(cell, 5, 1) = '-' AND substring(cell, 8, 1) = '-'
  THEN make_timestamp(epoch_us(TRY_CAST(cell AS TIMESTAMPTZ))) END"""

_NUMBER = """TRY_CAST(CASE WHEN substring(cell, 5, 1) = '-' AND substring(cell, 8, 1) = '-' THEN NULL ELSE cell END
  AS DECIMAL(30, 6))"""
"""Of a text like a date nothing is tried: DuckDB computes what stands several times for every row, needed or not,
and a cast that fails costs more than all the rest."""

_EPOCH = """CASE WHEN abs(cell) < 1e11 THEN make_timestamp(CAST(floor(cell * 1000000) AS BIGINT))
  WHEN abs(cell) < 1e14 THEN make_timestamp(CAST(floor(cell * 1000) AS BIGINT))
  WHEN abs(cell) < 1e17 THEN make_timestamp(CAST(floor(cell) AS BIGINT)) END"""
"""A number is seconds, milliseconds or microseconds since 1970, by its size."""


def _faults(numbered: Sequence[_Numbered]) -> exp.Expr:
    """Return why a row's cells cannot be those of the table."""
    case = exp.Case().when(sql("fault IS NOT NULL", fault=column(FAULT)), column(FAULT))
    spelt: dict[str, list[_Numbered]] = {}
    for one in numbered:
        if one.column:
            spelt.setdefault(one.column, []).append(one)
        wrong = _wrong(one)
        if wrong is not None:
            condition, what = wrong
            case = case.when(condition, exp.Literal.string(f"{one.column} {what}"), copy=False)
    for name, several in spelt.items():
        if len(several) > 1:
            given = [
                sql("CASE WHEN cell IS NULL THEN 0 ELSE 1 END", cell=column(one.read))
                for one in several
            ]
            total = given[0]
            for part in given[1:]:
                total = exp.Add(this=total, expression=part)
            twice = exp.GT(this=exp.Paren(this=total), expression=exp.convert(1))
            case = case.when(twice, exp.Literal.string(f"{name} is spelt in two ways"), copy=False)
    return case


def _wrong(one: _Numbered) -> tuple[exp.Expr, str] | None:
    """Return when the value of a cell is of a wrong type, and what is wrong; None where it cannot be."""
    raw, read = column(one.raw), column(one.read)
    match one.role:
        case "moment":
            if one.cell.form is Form.MOMENT:
                return None
            return (
                sql("raw IS NOT NULL AND raw <> '\"\"' AND read IS NULL", raw=raw, read=read),
                "cannot be read",
            )
        case "object":
            return (
                sql("raw IS NOT NULL AND raw <> '\"\"' AND read IS NULL", raw=raw, read=read),
                "is not an object",
            )
        case "unit" | "text" if one.cell.form is Form.JSON and one.column:
            return (
                sql("starts_with(raw, '{') OR starts_with(raw, '[')", raw=raw),
                "is an object or a list",
            )
        case _:
            return None


def _reason(texts: Mapping[str, exp.Expr], today: date) -> exp.Expr:
    """Return why a row cannot be one of the table; null where it can."""
    moment = column(TIMESTAMP)
    until = (today + AHEAD).isoformat()
    last = exp.cast(exp.Literal.string(until), "timestamp")
    first = exp.cast(exp.Literal.string(FIRST_YEAR), "timestamp")
    empty = [sql("cell IS NULL", cell=column(name)) for name in texts if is_unit(name)]
    return (
        exp.Case()
        .when(sql("fault IS NOT NULL", fault=column(FAULT)), column(FAULT))
        .when(sql("moment IS NULL", moment=moment), exp.Literal.string("timestamp is missing"))
        .when(
            sql("moment < first OR moment >= last", moment=moment, first=first, last=last),
            exp.Literal.string("timestamp is absurd"),
        )
        .when(exp.and_(*empty) if empty else exp.true(), exp.Literal.string("no unit id"))
    )


def _xor(parts: Sequence[exp.Expr]) -> exp.Expr:
    """Return the exclusive or of some hashes, by halves: a row of garbage may have a thousand columns."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return exp.Anonymous(this="xor", expressions=[_xor(parts[:middle]), _xor(parts[middle:])])


def identity(names: Sequence[str], key: Sequence[str]) -> tuple[exp.Expr, exp.Expr]:
    """Return the two numbers that tell rows apart.

    Without a key these are a hash of all values, in which a column without a value has no part, and the
    moment itself: two different rows would have to be of one microsecond and of one hash of 64 bits. A row
    without a value in every column of the key is told by all its values.
    """
    parts = [
        sql(
            "CASE WHEN cell IS NOT NULL THEN hash(hash(name, cell)) ELSE CAST(0 AS UBIGINT) END",
            cell=column(name),
            name=exp.Literal.string(name),
        )
        for name in names
    ]
    whole = _xor(parts) if parts else sql("CAST(0 AS UBIGINT)")
    moment = sql("CAST(greatest(epoch_us(moment), 0) AS UBIGINT)", moment=column(TIMESTAMP))
    if not key or not {*key} <= {*names, TIMESTAMP}:
        return whole, moment
    given = [exp.cast(column(name), "varchar") for name in key]
    text = exp.Anonymous(
        this="concat",
        expressions=[
            part
            for value in given
            for part in (sql("length(cell)", cell=value), exp.Literal.string(":"), value.copy())
        ],
    )
    there = exp.and_(*(sql("cell IS NOT NULL", cell=value) for value in given))
    number = "CASE WHEN there THEN {}(key_text) ELSE other END"
    return (
        sql(number.format("md5_number_upper"), there=there, key_text=text, other=whole),
        sql(number.format("md5_number_lower"), there=there, key_text=text, other=moment),
    )


HASHING = "xor(hash(hash('user_id', 'a user')), hash(hash('event_name', 'an event')))"
"""An expression whose value tells DuckDB's hash function apart from that of another version."""

"""Names of types: Iceberg's, Hive's in Glue, Athena's in results, DuckDB's underneath."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from duckdb.sqltypes import DuckDBPyType
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tests.athena_endpoint.failures import failed

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class _Names:
    athena: str
    duckdb: str
    hive: str


_PRIMITIVES: dict[type[IcebergType], _Names] = {
    BooleanType: _Names("boolean", "BOOLEAN", "boolean"),
    IntegerType: _Names("integer", "INTEGER", "int"),
    LongType: _Names("bigint", "BIGINT", "bigint"),
    FloatType: _Names("real", "FLOAT", "float"),
    DoubleType: _Names("double", "DOUBLE", "double"),
    DateType: _Names("date", "DATE", "date"),
    TimeType: _Names("time(6)", "TIME", "string"),
    TimestampType: _Names("timestamp(6)", "TIMESTAMP", "timestamp"),
    TimestamptzType: _Names("timestamp(6) with time zone", "TIMESTAMPTZ", "timestamp"),
    StringType: _Names("varchar", "VARCHAR", "string"),
    UUIDType: _Names("uuid", "UUID", "string"),
    BinaryType: _Names("varbinary", "BLOB", "binary"),
}


def _names(kind: IcebergType) -> _Names:
    match kind:
        case DecimalType():
            size = f"({kind.precision},{kind.scale})"
            return _Names(f"decimal{size}", f"DECIMAL{size}", f"decimal{size}")
        case FixedType():
            return _Names("varbinary", "BLOB", "binary")
        case ListType():
            inner = _names(kind.element_type)
            return _Names(f"array({inner.athena})", f"{inner.duckdb}[]", f"array<{inner.hive}>")
        case MapType():
            key, value = _names(kind.key_type), _names(kind.value_type)
            return _Names(
                f"map({key.athena}, {value.athena})",
                f"MAP({key.duckdb}, {value.duckdb})",
                f"map<{key.hive},{value.hive}>",
            )
        case StructType():
            parts = [(field.name, _names(field.field_type)) for field in kind.fields]
            return _Names(
                f"row({', '.join(f'{name} {part.athena}' for name, part in parts)})",
                "STRUCT(" + ", ".join(f'"{name}" {part.duckdb}' for name, part in parts) + ")",
                f"struct<{','.join(f'{name}:{part.hive}' for name, part in parts)}>",
            )
        case _:
            return _PRIMITIVES[type(kind)]


def athena_of(kind: IcebergType) -> str:
    """Return Athena's name of an Iceberg type."""
    return _names(kind).athena


def duckdb_of(kind: IcebergType) -> str:
    """Return DuckDB's name of an Iceberg type."""
    return _names(kind).duckdb


def hive_of(kind: IcebergType) -> str:
    """Return the name that Glue and DESCRIBE have for an Iceberg type."""
    return _names(kind).hive


def _parsed(hive: str) -> exp.DataType:
    try:
        return exp.DataType.build(hive, dialect="hive")
    except (SqlglotError, ValueError) as error:
        raise failed("NOT_SUPPORTED", f"Unsupported Hive type: {hive}") from error


def athena_of_hive(hive: str) -> str:
    """Return Athena's name of a type in Glue."""
    lowered = hive.strip().lower()
    plain = {"string": "varchar", "int": "integer", "float": "real", "binary": "varbinary"}
    plain["timestamp"] = "timestamp(3)"
    if lowered in plain:
        return plain[lowered]
    return _parsed(lowered).sql(dialect="trino").lower()


def duckdb_of_hive(hive: str) -> str:
    """Return DuckDB's name of a type in Glue."""
    return _parsed(hive.strip().lower()).sql(dialect="duckdb")


def duckdb_of_athena(name: str) -> str:
    """Return DuckDB's name of a type of Athena's."""
    return exp.DataType.build(name, dialect="athena").sql(dialect="duckdb")


class _Ids:
    """Field ids that count up; a new table's ids are assigned anew by pyiceberg."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        self._last += 1
        return self._last


def iceberg_fields(columns: Sequence[tuple[str, IcebergType, str | None]]) -> list[NestedField]:
    """Return fields with ids for new columns."""
    ids = _Ids()
    return [
        NestedField(ids.next(), name, _renumbered(kind, ids), required=False, doc=doc)
        for name, kind, doc in columns
    ]


def _renumbered(kind: IcebergType, ids: _Ids) -> IcebergType:
    match kind:
        case ListType():
            return ListType(ids.next(), _renumbered(kind.element_type, ids), element_required=False)
        case MapType():
            key_id, value_id = ids.next(), ids.next()
            key, value = _renumbered(kind.key_type, ids), _renumbered(kind.value_type, ids)
            return MapType(key_id, key, value_id, value, value_required=False)
        case StructType():
            fields = [
                NestedField(ids.next(), f.name, _renumbered(f.field_type, ids), required=False)
                for f in kind.fields
            ]
            return StructType(*fields)
        case _:
            return kind


_BY_DUCKDB: dict[str, IcebergType] = {
    "boolean": BooleanType(),
    "tinyint": IntegerType(),
    "smallint": IntegerType(),
    "integer": IntegerType(),
    "bigint": LongType(),
    "hugeint": LongType(),
    "ubigint": LongType(),
    "uinteger": LongType(),
    "float": FloatType(),
    "double": DoubleType(),
    "date": DateType(),
    "time": TimeType(),
    "timestamp": TimestampType(),
    "timestamp_s": TimestampType(),
    "timestamp_ms": TimestampType(),
    "timestamp_ns": TimestampType(),
    "timestamp with time zone": TimestamptzType(),
    "varchar": StringType(),
    "uuid": UUIDType(),
    "blob": BinaryType(),
    '"null"': StringType(),
}


def iceberg_of_duckdb(kind: DuckDBPyType) -> IcebergType:
    """Return the Iceberg type that a column of a query becomes; ids are placeholders."""
    match kind.id:
        case "decimal":
            sizes = dict(kind.children)
            return DecimalType(int(str(sizes["precision"])), int(str(sizes["scale"])))
        case "list":
            return ListType(0, iceberg_of_duckdb(_child(kind, 0)), element_required=False)
        case "map":
            key, value = iceberg_of_duckdb(_child(kind, 0)), iceberg_of_duckdb(_child(kind, 1))
            return MapType(0, key, 0, value, value_required=False)
        case "struct":
            fields = [
                NestedField(0, name, iceberg_of_duckdb(_type(child)), required=False)
                for name, child in kind.children
            ]
            return StructType(*fields)
        case _:
            pass
    found = _BY_DUCKDB.get(kind.id) or _BY_DUCKDB.get(str(kind).lower())
    if found is None:
        raise failed("NOT_SUPPORTED", f"Type not supported for Iceberg: {kind}")
    return found


def _type(child: Any) -> DuckDBPyType:
    if not isinstance(child, DuckDBPyType):
        raise TypeError(f"not a type: {child!r}")
    return child


def _child(kind: DuckDBPyType, position: int) -> DuckDBPyType:
    return _type(kind.children[position][1])


_BY_NAME: dict[str, IcebergType] = {
    "binary": BinaryType(),
    "boolean": BooleanType(),
    "date": DateType(),
    "double": DoubleType(),
    "float": FloatType(),
    "int": IntegerType(),
    "integer": IntegerType(),
    "bigint": LongType(),
    "long": LongType(),
    "string": StringType(),
    "timestamp": TimestampType(),
}
"""The types that the Athena user guide lists for CREATE TABLE of Iceberg tables."""


def iceberg_of_ddl(kind: exp.DataType) -> IcebergType:
    """Return the Iceberg type of a column in a CREATE TABLE.

    Raises:
        StatementError: If Athena creates no Iceberg table with it.
    """
    inner: list[Any] = kind.expressions
    match kind.this:
        case exp.DType.DECIMAL:
            sizes = [int(part.name) for part in kind.expressions] or [10, 0]
            return DecimalType(sizes[0], sizes[1] if len(sizes) > 1 else 0)
        case exp.DType.ARRAY | exp.DType.LIST:
            return ListType(0, iceberg_of_ddl(inner[0]), element_required=False)
        case exp.DType.MAP:
            key, value = iceberg_of_ddl(inner[0]), iceberg_of_ddl(inner[1])
            return MapType(0, key, 0, value, value_required=False)
        case exp.DType.STRUCT:
            fields = [
                NestedField(0, part.name, iceberg_of_ddl(part.args["kind"]), required=False)
                for part in inner
            ]
            return StructType(*fields)
        case _:
            pass
    name = kind.sql(dialect="hive").lower()
    if name not in _BY_NAME:
        raise failed("NOT_SUPPORTED", f"Unsupported type for an Iceberg table: {name}")
    return _BY_NAME[name]


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column of a result, as ``ColumnInfo`` describes it."""

    name: str
    type: str
    precision: int = 0
    scale: int = 0

    def document(self) -> dict[str, Any]:
        """Return the structure of the API."""
        return {
            "CatalogName": "hive",
            "SchemaName": "",
            "TableName": "",
            "Name": self.name,
            "Label": self.name,
            "Type": self.type,
            "Precision": self.precision,
            "Scale": self.scale,
            "Nullable": "UNKNOWN",
            "CaseSensitive": self.type in {"varchar", "string", "char"},
        }


_RESULT_TYPES = {
    "boolean": ("boolean", 0),
    "tinyint": ("tinyint", 3),
    "smallint": ("smallint", 5),
    "integer": ("integer", 10),
    "bigint": ("bigint", 19),
    "hugeint": ("bigint", 19),
    "ubigint": ("bigint", 19),
    "uinteger": ("bigint", 19),
    "float": ("float", 17),
    "double": ("double", 17),
    "date": ("date", 0),
    "time": ("time", 3),
    "timestamp": ("timestamp", 3),
    "timestamp_s": ("timestamp", 3),
    "timestamp_ms": ("timestamp", 3),
    "timestamp_ns": ("timestamp", 3),
    "timestamp with time zone": ("timestamp with time zone", 3),
    "varchar": ("varchar", 2147483647),
    "uuid": ("uuid", 0),
    "blob": ("varbinary", 1073741824),
    "list": ("array", 0),
    "map": ("map", 0),
    "struct": ("row", 0),
    "interval": ("interval day to second", 0),
}


def result_column(name: str, kind: DuckDBPyType) -> ResultColumn:
    """Return how a result describes a column of a DuckDB query."""
    if kind.id == "decimal":
        sizes = dict(kind.children)
        precision, scale = int(str(sizes["precision"])), int(str(sizes["scale"]))
        return ResultColumn(name, "decimal", precision, scale)
    type_, precision = _RESULT_TYPES.get(kind.id, ("unknown", 0))
    return ResultColumn(name, type_, precision)

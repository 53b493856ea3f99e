"""What a CREATE TABLE says about its table: properties, location, partitions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    TruncateTransform,
    YearTransform,
)
from sqlglot import exp

from tests.athena_endpoint.failures import failed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyiceberg.schema import Schema

# https://docs.aws.amazon.com/athena/latest/ug/querying-iceberg-creating-tables.html
_OWN = frozenset(
    {
        "write_target_data_file_size_bytes",
        "optimize_rewrite_min_data_file_size_bytes",
        "optimize_rewrite_max_data_file_size_bytes",
        "optimize_rewrite_data_file_threshold",
        "optimize_rewrite_delete_file_threshold",
        "vacuum_min_snapshots_to_keep",
        "vacuum_max_snapshot_age_seconds",
        "vacuum_max_metadata_files_to_keep",
    }
)
_ICEBERG = {"format", "write_compression", "compression_level", "table_type"} | _OWN
_SETTABLE = _OWN | {
    "format",
    "write_compression",
    "compression_level",
    "write.data.path",
    "write.object-storage.path",
}


def values_of(properties: exp.Properties | None) -> dict[str, Any]:  # noqa: C901 - one case each
    """Return the properties of a tree by their names; arrays as lists, everything else as text."""
    found: dict[str, Any] = {}
    for node in properties.expressions if properties else []:
        match node:
            case exp.LocationProperty():
                found["location"] = node.this.name
            case exp.FileFormatProperty():
                found["format"] = node.this.name
            case exp.PartitionedByProperty() if isinstance(node.this, exp.Array):
                found["partitioned_by"] = [item.name for item in node.this.expressions]
            case exp.WithDataProperty():
                found["no data"] = bool(node.args.get("no"))
            case exp.ExternalProperty():
                found["external"] = True
            case exp.RowFormatSerdeProperty():
                found["serde"] = node.this.name
                found["serde properties"] = _pairs(node.args.get("serde_properties"))
            case exp.RowFormatDelimitedProperty():
                found["serde"] = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
                fields = node.args.get("fields")
                found["serde properties"] = {"field.delim": fields.name if fields else "\x01"}
            case exp.SchemaCommentProperty():
                found["comment"] = node.this.name
            case exp.SerdeProperties():
                found["serde properties"] = _pairs(node)
            case exp.Property() if isinstance(node.args.get("value"), exp.Expr):
                found[node.name.lower()] = _value(node.args["value"])
    return found


def _pairs(node: exp.Expr | None) -> dict[str, str]:
    return {item.name: item.args["value"].name for item in node.expressions} if node else {}


def _value(node: exp.Expr) -> Any:
    if isinstance(node, exp.Array):
        return [item.name for item in node.expressions]
    if isinstance(node, exp.Boolean):
        return "true" if node.this else "false"
    return node.name


def iceberg_properties(properties: Mapping[str, Any], known: frozenset[str]) -> dict[str, str]:
    """Return what an Iceberg table keeps of its properties.

    Raises:
        StatementError: If there is one that Athena does not know.
    """
    foreign = sorted(set(properties) - _ICEBERG - known)
    if foreign:
        raise failed("INVALID_TABLE_PROPERTY", f"Unsupported table property key: {foreign[0]}")
    kind = str(properties.get("format", "parquet")).lower()
    if kind != "parquet":
        raise failed("NOT_SUPPORTED", f"this endpoint writes Iceberg tables as Parquet, not {kind}")
    codec = str(properties.get("write_compression", "zstd")).lower()
    own = {key: str(value) for key, value in properties.items() if key in _OWN}
    return {
        "format-version": "2",
        "write.format.default": "parquet",
        "write.parquet.compression-codec": codec,
        **own,
    }


def check_settable(keys: Sequence[str]) -> None:
    """Make sure that ALTER TABLE may set properties of an Iceberg table.

    Raises:
        StatementError: If it may not set one of them.
    """
    foreign = [key for key in keys if key not in _SETTABLE]
    if foreign:
        raise failed("INVALID_TABLE_PROPERTY", f"Unsupported table property key: {foreign[0]}")


@dataclass(frozen=True, slots=True)
class _Transform:
    transform: Transform[Any, Any]
    suffix: str


_SIMPLE = {
    "year": _Transform(YearTransform(), "_year"),
    "month": _Transform(MonthTransform(), "_month"),
    "day": _Transform(DayTransform(), "_day"),
    "hour": _Transform(HourTransform(), "_hour"),
}
_CALL = re.compile(r"^(\w+)\s*\(\s*(.+?)\s*\)$")


def partition_spec(schema: Schema, parts: Sequence[str], *, number_first: bool) -> PartitionSpec:
    """Return the partitioning that texts such as ``day(ts)`` ask for.

    Args:
        schema: The columns.
        parts: The texts.
        number_first: Whether it is ``bucket(16, id)``, as in CREATE TABLE, or ``bucket(id, 16)``, as in CTAS.

    Raises:
        StatementError: If a text asks for nothing that Athena knows.
    """
    fields = []
    for number, part in enumerate(parts):
        column, transform = _parsed(part, number_first=number_first)
        source = _source(schema, column)
        fields.append(
            PartitionField(
                source_id=source,
                field_id=1000 + number,
                transform=transform.transform,
                name=f"{column}{transform.suffix}",
            )
        )
    return PartitionSpec(*fields)


def _source(schema: Schema, column: str) -> int:
    for field in schema.fields:
        if field.name.lower() == column:
            return field.field_id
    raise failed("INVALID_TABLE_PROPERTY", f"Invalid partition field declaration: {column}")


def _parsed(part: str, *, number_first: bool) -> tuple[str, _Transform]:
    called = _CALL.match(part.strip())
    if called is None:
        return part.strip().strip('`"').lower(), _Transform(IdentityTransform(), "")
    name = called[1].lower()
    arguments = [argument.strip().strip('`"').lower() for argument in called[2].split(",")]
    if name in _SIMPLE and len(arguments) == 1:
        return arguments[0], _SIMPLE[name]
    if name in {"bucket", "truncate"} and len(arguments) == 2:
        width, column = arguments if number_first else reversed(arguments)
        if width.isdigit():
            number = int(width)
            if name == "bucket":
                return column, _Transform(BucketTransform(num_buckets=number), "_bucket")
            return column, _Transform(TruncateTransform(width=number), "_trunc")
    raise failed("INVALID_TABLE_PROPERTY", f"Unable to parse partitioning value: {part}")

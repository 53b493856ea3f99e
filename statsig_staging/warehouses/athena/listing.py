"""Objects of a Hive table: those in the folders of its partitions, as Athena finds them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from statsig_staging.errors import WarehouseError
from statsig_staging.warehouses.athena import objects
from statsig_staging.warehouses.athena.calling import once
from statsig_staging.warehouses.athena.glue import Laid
from statsig_staging.warehouses.athena.projection import is_projected, projection_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

    from statsig_staging.warehouses.athena.calling import Call
    from statsig_staging.warehouses.athena.glue import GlueTable, GlueTables

CALLS_AT_ONCE = 16
"""Listings and reads of footers that wait for S3 side by side."""

_ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes that Athena passes over unless a table says otherwise.
https://docs.aws.amazon.com/athena/latest/ug/restored-objects.html"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An object that holds rows of a table.

    Attributes:
        path: ``s3://bucket/key``.
        size: Bytes.
        modified_ns: When it was written, nanoseconds since 1970.
        etag: What changes with its content.
        laid: The values of the partitions that it lies in, nearly always of one.
    """

    path: str
    size: int
    modified_ns: int
    etag: str
    laid: tuple[Mapping[str, str], ...]


def stored(
    s3: S3Client, glue: GlueTables, table: GlueTable, now: datetime, *, call: Call = once
) -> dict[str, Stored]:
    """Return path → object, of every object that Athena reads for a table.

    Names that begin with ``_`` or ``.`` are hidden below a partition's folder, and objects without
    content hold no rows. A folder above many partitions is listed once, not for each of them.

    Raises:
        WarehouseError: If a location is not in S3, or may not be listed.
    """
    if is_projected(table):
        projection = projection_of(table, now)
        roots, place = {_folder(projection.stem, table)}, projection.match
        return _found(s3, roots, lambda path: filter(None, [place(path)]), table, call)
    laid: Iterable[Laid] = glue.partitions(table) if table.keys else [Laid({}, table.location)]
    places: dict[str, list[Laid]] = {}
    for partition in laid:
        places.setdefault(_folder(partition.location, table), []).append(partition)
    above = _folder(table.location, table) if table.location and places else None
    roots = {above if above and place.startswith(above) else place for place in places}
    return _found(s3, roots, partial(_within, places), table, call)


Placed = tuple["Mapping[str, str]", str]
"""The values of a partition, and the path of an object from its folder on."""


def _within(places: Mapping[str, list[Laid]], path: str) -> Iterator[Placed]:
    """Return the partitions whose folders are above an object."""
    end = path.find("/", len("s3://"))
    while end >= 0:
        for partition in places.get(path[: end + 1], ()):
            yield partition.values, path[end + 1 :]
        end = path.find("/", end + 1)


def _found(
    s3: S3Client,
    roots: Iterable[str],
    placed: Callable[[str], Iterable[Placed]],
    table: GlueTable,
    call: Call,
) -> dict[str, Stored]:
    archived = table.parameters.get("read_restored_glacier_objects", "").lower() != "true"

    def below(root: str) -> list[tuple[str, ObjectTypeDef]]:
        bucket, _, prefix = root.removeprefix("s3://").partition("/")
        listed = objects.listed(s3, bucket, prefix, call=call)
        return [(f"s3://{bucket}/{found['Key']}", found) for found in listed]

    result: dict[str, Stored] = {}
    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        for path, entry in (pair for pairs in pool.map(below, roots) for pair in pairs):
            values = tuple(where for where, rest in placed(path) if not _is_hidden(rest))
            if not values or not entry["Size"]:
                continue
            if archived and entry.get("StorageClass") in _ARCHIVED:
                continue
            result[path] = Stored(
                path=path,
                size=entry["Size"],
                modified_ns=int(entry["LastModified"].timestamp() * 1e9),
                etag=entry["ETag"],
                laid=values,
            )
    return result


def _is_hidden(rest: str) -> bool:
    return any(part.startswith(("_", ".")) for part in rest.split("/"))


def _folder(location: str, table: GlueTable) -> str:
    """Return a location as that of a folder.

    Raises:
        WarehouseError: If it is not in S3.
    """
    scheme, _, rest = location.partition("://")
    if scheme not in {"s3", "s3a", "s3n"} or not rest:
        raise WarehouseError(
            f"source table {table.database}.{table.name}: its files lie at {location or 'no place'}, "
            "which is not in S3"
        )
    return f"s3://{rest.rstrip('/')}/"

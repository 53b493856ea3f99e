"""A look at a source table, of whatever kind: from Glue, S3 and Iceberg's metadata, without any statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from pyiceberg.exceptions import ValidationError

from statsig_staging.errors import SourceFileError
from statsig_staging.names import digest
from statsig_staging.sources import SourceFile, TableObservation
from statsig_staging.warehouses.athena import hive, lake
from statsig_staging.warehouses.athena.calling import once
from statsig_staging.warehouses.athena.glue import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from mypy_boto3_s3 import S3Client
    from pyiceberg.table import Table

    from statsig_staging.warehouses.athena.calling import Call
    from statsig_staging.warehouses.athena.glue import GlueTable, GlueTables
    from statsig_staging.warehouses.base import Sighting

DEFINITION = "the definition"
"""The path of the one file of a view: what it is defined as. There is nothing to read at it."""


class Observer:
    """Looks at source tables.

    Args:
        glue: What Glue says of them.
        s3: boto3's client.
        load: Returns an Iceberg table by its metadata's location, and its ``database.table``.
        now: The clock, UTC.
        call: Makes each call to S3.
    """

    def __init__(
        self,
        glue: GlueTables,
        s3: S3Client,
        load: Callable[[str, str], Table],
        now: Callable[[], datetime],
        *,
        call: Call = once,
    ) -> None:
        self._glue = glue
        self._s3 = s3
        self._load = load
        self._now = now
        self._call = call

    def observe(self, sighting: Sighting, known: Mapping[str, SourceFile]) -> TableObservation:
        """Return the files of a source table; files that are still as ``known`` are not opened.

        Raises:
            WarehouseError: If there is no such table, or it may not be looked at.
            SourceFileError: If its files or its metadata cannot be read.
        """
        table = self._glue.table(sighting.table)
        match table.kind:
            case Kind.HIVE:
                return hive.observe(
                    self._s3, self._glue, table, sighting, known, self._now(), call=self._call
                )
            case Kind.ICEBERG:
                return self._observe_lake(table, sighting, known)
            case Kind.OPAQUE:
                return _defined(table, sighting)
            case _:
                assert_never(table.kind)

    def _observe_lake(
        self, table: GlueTable, sighting: Sighting, known: Mapping[str, SourceFile]
    ) -> TableObservation:
        where = table.metadata_location
        try:
            return lake.observe(
                self._load(where, f"{table.database}.{table.name}"), sighting, known
            )
        except (OSError, ValueError, ValidationError) as error:
            raise SourceFileError(f"{where or sighting.table}: cannot be read: {error}") from error


def _defined(table: GlueTable, sighting: Sighting) -> TableObservation:
    """Return a view: whether its rows changed cannot be seen, but whether it is still the same view can."""
    definition = SourceFile(
        path=DEFINITION,
        size=0,
        modified_ns=0,
        changed_ns=0,
        rows=1,
        columns=table.columns,
        column_bytes={"": 0},
        content=table.reading,
        identity=digest(table.database, table.name, table.reading, length=16),
    )
    return TableObservation(
        table=sighting.table, columns=table.columns, files=(definition,), opaque=True
    )

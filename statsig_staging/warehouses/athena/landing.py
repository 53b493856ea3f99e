"""Where forwarded rows land on AWS: objects that are put whole, and a plain table in Glue.

The table is an external one of Parquet files. Each date is a partition with its own location, of which
BatchCreatePartition takes 100 at once.
https://docs.aws.amazon.com/glue/latest/webapi/API_BatchCreatePartition.html
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from statsig_staging.config.forwarded import PARTITION
from statsig_staging.errors import ConfigError, WarehouseError
from statsig_staging.warehouses.athena.calling import code
from statsig_staging.warehouses.athena.objects import listed
from statsig_staging.warehouses.base import Found
from statsig_staging.warehouses.given import found_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date

    from statsig_staging.forwarded import ForwardedTable
    from statsig_staging.warehouses.athena.objects import S3Objects
    from statsig_staging.warehouses.athena.place import Place
    from statsig_staging.warehouses.athena.services import Services

AT_ONCE = 100
"""Partitions that one BatchCreatePartition takes."""

_HIVE = {"varchar": "string", "timestamp(6)": "timestamp", "date": "date"}


class AthenaLanding:
    """Objects below the staging folder of a bucket, and their table in Glue.

    Args:
        services: What is called.
        place: Where the tables lie.
        objects: The objects below the staging folder.
    """

    reads_hidden = False

    def __init__(self, services: Services, place: Place, objects: S3Objects) -> None:
        self._services = services
        self._glue = services.clients.glue
        self._s3 = services.clients.s3
        self._place = place
        self._objects = objects

    @contextmanager
    def workplace(self) -> Iterator[Path]:
        """Return a folder that is gone after the block."""
        place = Path(tempfile.mkdtemp(prefix="statsig-forward-"))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def inputs(self, pattern: str, workplace: Path) -> Iterator[Found]:
        """Return the files that a path or a glob, or the objects that a prefix names, in order."""
        if not pattern.startswith("s3://"):
            yield from found_at(pattern, Path())
            return
        bucket, _, prefix = pattern.removeprefix("s3://").partition("/")
        found = self._call(lambda: list(listed(self._s3, bucket, prefix)))
        sizes = {each["Key"]: each["Size"] for each in found if not each["Key"].endswith("/")}
        if not sizes:
            raise ConfigError(f"{pattern}: there is no such object")
        for key, size in sorted(sizes.items()):
            opened = partial(self._copied, bucket, key, workplace)
            yield Found(name=f"s3://{bucket}/{key}", size=size, opened=opened)

    @contextmanager
    def _copied(self, bucket: str, key: str, workplace: Path) -> Iterator[Path]:
        """Return an object as a file of this machine that is gone after the block."""
        path = workplace / f"{uuid.uuid4().hex}-{key.rsplit('/', 1)[-1]}"
        self._call(partial(self._s3.download_file, bucket, key, str(path)))
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def deliver(self, path: Path, key: str) -> None:
        """Put a file as an object; S3 shows it once all of it is there."""
        extra: dict[str, Any] = {}
        if self._services.connection.kms_key is not None:
            extra = {
                "ServerSideEncryption": "aws:kms",
                "SSEKMSKeyId": self._services.connection.kms_key,
            }
        target = f"{self._place.folder}/{key}"
        self._call(
            lambda: self._s3.upload_file(str(path), self._place.bucket, target, ExtraArgs=extra)
        )
        path.unlink()

    def local(self, key: str, workplace: Path) -> Path:
        """Return an object as a file of this machine."""
        path = workplace / "objects" / key
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            source = f"{self._place.folder}/{key}"
            self._call(partial(self._s3.download_file, self._place.bucket, source, str(path)))
        return path

    def register(
        self, table: ForwardedTable, columns: Mapping[str, str], days: Iterable[date]
    ) -> None:
        """Have Glue know the table with these columns and the dates that it does not know yet.

        Raises:
            WarehouseError: If a table of this name lies elsewhere.
        """
        self._declare(table, columns)
        wanted = sorted(set(days))
        known = self._known(table, wanted)
        new = [day for day in wanted if day.isoformat() not in known]
        for start in range(0, len(new), AT_ONCE):
            some = new[start : start + AT_ONCE]
            self._call(partial(self._add, table, columns, some))

    def _location(self, table: ForwardedTable) -> str:
        return f"{self._place.root}{table.folder}/"

    def _declare(self, table: ForwardedTable, columns: Mapping[str, str]) -> None:
        found = self._call(partial(self._table, table))
        wanted = self._described(table, columns)
        if found is None:
            self._call(partial(self._create, wanted))
            return
        storage = found["StorageDescriptor"]
        if storage.get("Location", "").rstrip("/") + "/" != self._location(table):
            raise WarehouseError(
                f"table {self._place.database}.{table.name} lies at {storage.get('Location')}, not at "
                f"{self._location(table)}; choose another name under connection.forwarded_{table.kind}"
            )
        known = {column["Name"] for column in storage["Columns"]}
        if not {*columns} - {PARTITION} <= known:
            self._call(
                lambda: self._glue.update_table(
                    DatabaseName=self._place.database, TableInput=wanted
                )
            )

    def _table(self, table: ForwardedTable) -> Any:
        try:
            return self._glue.get_table(DatabaseName=self._place.database, Name=table.name)["Table"]
        except ClientError as error:
            if code(error) == "EntityNotFoundException":
                return None
            raise

    def _create(self, described: Any) -> None:
        try:
            self._glue.create_table(DatabaseName=self._place.database, TableInput=described)
        except ClientError as error:
            if code(error) != "AlreadyExistsException":
                raise

    def _described(self, table: ForwardedTable, columns: Mapping[str, str]) -> Any:
        return {
            "Name": table.name,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet"},
            "PartitionKeys": [{"Name": PARTITION, "Type": "date"}],
            "StorageDescriptor": _storage(self._location(table), columns),
        }

    def _known(self, table: ForwardedTable, wanted: list[date]) -> set[str]:
        """Return the dates between the first and the last wanted that are partitions already."""
        if not wanted:
            return set()
        request: dict[str, Any] = {
            "DatabaseName": self._place.database,
            "TableName": table.name,
            "ExcludeColumnSchema": True,
        }
        found: set[str] = set()
        while True:
            page: Any = self._call(lambda: self._glue.get_partitions(**request))
            found |= {each["Values"][0] for each in page.get("Partitions", [])}
            if not page.get("NextToken"):
                return found
            request["NextToken"] = page["NextToken"]

    def _add(self, table: ForwardedTable, columns: Mapping[str, str], days: list[date]) -> None:
        inputs: list[Any] = [
            {
                "Values": [day.isoformat()],
                "StorageDescriptor": _storage(
                    f"{self._location(table)}{day.isoformat()}/", columns
                ),
            }
            for day in days
        ]
        answer = self._glue.batch_create_partition(
            DatabaseName=self._place.database, TableName=table.name, PartitionInputList=inputs
        )
        for failed in answer.get("Errors", []):
            reason = failed.get("ErrorDetail", {})
            if reason.get("ErrorCode") != "AlreadyExistsException":
                # Errors of single partitions stand in an answer that is a success.
                raise ClientError(
                    {
                        "Error": {
                            "Code": reason.get("ErrorCode", ""),
                            "Message": f"{reason.get('ErrorMessage', '')} (partition {failed.get('PartitionValues')})",
                        }
                    },
                    "BatchCreatePartition",
                )

    def _call(self, operation: Any) -> Any:
        return self._services.retries.call("forwarding to S3 and Glue", operation)


def _storage(location: str, columns: Mapping[str, str]) -> Any:
    return {
        "Columns": [
            {"Name": name, "Type": _HIVE[kind]}
            for name, kind in columns.items()
            if name != PARTITION
        ],
        "Location": location,
        "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        "SerdeInfo": {
            "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
            "Parameters": {"serialization.format": "1"},
        },
    }

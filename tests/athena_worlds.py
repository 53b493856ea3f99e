"""Worlds whose sources are Iceberg tables in Glue, and whose warehouse is Athena, at the endpoint of the tests."""

import functools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.table import Table as IcebergTable

from tests.athena_endpoint.fixtures import DATABASE, REGION, Aws
from tests.athena_endpoint.server import Endpoint
from tests.strategies import PARTITION_COLUMN, Scenario
from tests.worlds import Row, World, write_yaml

STAGING = "statsig_staging"


@contextmanager
def account_of(endpoint: Endpoint) -> Iterator[Aws]:
    """Return an account that nobody used before, with a bucket and databases."""
    aws = Aws(endpoint=endpoint, credentials=endpoint.new_account())
    aws.prepare()
    try:
        yield aws
    finally:
        aws.close()


@contextmanager
def in_environment(aws: Aws) -> Iterator[None]:
    """Have clients find an account through the environment, as a user's do."""
    keys = {
        "AWS_ACCESS_KEY_ID": aws.credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": aws.credentials.secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in keys.items():
            patch.setenv(name, value)
        yield


def athena_connection(aws: Aws, *, folder: str = "statsig") -> dict[str, Any]:
    """Return a project's ``connection`` to an account of the endpoint."""
    return {
        "warehouse": "athena",
        "region": REGION,
        "bucket": aws.bucket,
        "folder": folder,
        "database": STAGING,
        "query_results": aws.results,
        "endpoint_url": aws.endpoint.url,
    }


@functools.cache
def lake_catalog(aws_id: str, endpoint: str, access_key: str, secret_key: str) -> GlueCatalog:
    """Return Glue as pyiceberg sees it."""
    properties: dict[str, Any] = {
        "client.region": REGION,
        "client.access-key-id": access_key,
        "client.secret-access-key": secret_key,
        "glue.endpoint": endpoint,
        "s3.endpoint": endpoint,
    }
    return GlueCatalog(f"lake-{aws_id}", **properties)


def glue_of(aws: Aws) -> GlueCatalog:
    """Return the Glue catalog of an account of the endpoint."""
    keys = aws.credentials
    return lake_catalog(aws.id, aws.endpoint.url, keys.access_key, keys.secret_key)


@dataclass
class AthenaWorld(World):
    """A world in an account of the endpoint.

    A file that comes is an append; one that goes, or comes in the place of another, has the whole
    table written anew.

    Attributes:
        aws: The account.
    """

    aws: Aws = field(kw_only=True)

    @classmethod
    def open(cls, scenario: Scenario, folder: Path, aws: Aws) -> "AthenaWorld":
        """Return a project with an empty table for each source, where everything is still to come."""
        world = cls(scenario, folder, aws=aws)
        folder.mkdir(parents=True, exist_ok=True)
        glue_of(aws).create_namespace_if_not_exists(STAGING)
        for name, source in world.sources.items():
            world.arriving[name] = list(source.rows)
            world.files[name] = {}
            world._create(name)
            world.put(name, world.new_name(name, None), [])
        world.write_definition()
        return world

    def definition(self, folder: str = "statsig") -> dict[str, Any]:
        """Return the project as it is now, over the tables of the account."""
        found = self.scenario.definition()
        return {**found, "connection": athena_connection(self.aws, folder=folder)}

    def write_definition(self) -> None:
        """Write the project's configuration as it is now."""
        write_yaml(self.folder, self.definition())

    def _name(self, name: str) -> tuple[str, str]:
        return (DATABASE, name)

    def _create(self, name: str) -> None:
        place = f"s3://{self.aws.bucket}/sources/{name}"
        schema = self.sources[name].table([]).schema
        table = glue_of(self.aws).create_table(self._name(name), schema, location=place)
        if self.sources[name].partition is not None:
            with table.update_spec() as update:
                update.add_identity(PARTITION_COLUMN)

    def table(self, name: str) -> IcebergTable:
        """Return a source's table."""
        return glue_of(self.aws).load_table(self._name(name))

    def put(self, name: str, file: str, rows: Iterable[Row]) -> None:
        """Add rows under the name of a file, in place of earlier ones of that name."""
        rows = list(rows)
        was_there = bool(self.files[name].get(file))
        self.files[name][file] = rows
        if was_there:
            self._rewrite(name)
        elif rows:
            self.table(name).append(self._rows(name, rows))

    def _rows(self, name: str, rows: Iterable[Row]) -> pa.Table:
        return self.sources[name].table(rows)  # type: ignore[arg-type]

    def _rewrite(self, name: str) -> None:
        self.table(name).overwrite(self._rows(name, self.rows(name)))

    def remove(self, name: str, file: str) -> None:
        """Remove the rows of a file."""
        if len(self.files[name]) == 1:
            self.put(name, file, [])
            return
        had_rows = bool(self.files[name].pop(file))
        if had_rows:
            self._rewrite(name)

    def touch(self, name: str, file: str, stamp: int) -> None:
        """Do nothing: rows of a table have no time."""

    def restate(self, name: str, file: str, rows: Iterable[Row]) -> None:
        """Write the rows of a file again."""
        self.put(name, file, rows)

    def rename(self, name: str, file: str, new: str) -> None:
        """Know the rows of a file by another name."""
        self.files[name][new] = self.files[name].pop(file)

    def new_name(self, name: str, partition: date | None) -> str:
        """Return a name that was never used."""
        self.written += 1
        return f"part-{self.written:04d}"

    def add(self, name: str, rows: Iterable[Row]) -> None:
        """Add rows."""
        self.put(name, self.new_name(name, None), rows)

"""The services that an Athena warehouse calls, opened once and shared by its scratch warehouses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from statsig_staging.warehouses.athena import answers
from statsig_staging.warehouses.athena.catalog import Catalog
from statsig_staging.warehouses.athena.clients import open_clients
from statsig_staging.warehouses.athena.failures import Kind
from statsig_staging.warehouses.athena.glue import GlueTables
from statsig_staging.warehouses.athena.objects import S3Objects
from statsig_staging.warehouses.athena.observing import Observer
from statsig_staging.warehouses.athena.retries import PATIENCE, Retries
from statsig_staging.warehouses.athena.statements import Statements
from statsig_staging.warehouses.athena.workgroups import settings_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa
    from pyiceberg.table import Table as IcebergTable

    from statsig_staging.config import AthenaConnection
    from statsig_staging.sources import SourceFile, TableObservation
    from statsig_staging.warehouses.athena.clients import Clients
    from statsig_staging.warehouses.athena.place import Place
    from statsig_staging.warehouses.athena.requests import Settings
    from statsig_staging.warehouses.athena.statements import Finished
    from statsig_staging.warehouses.base import CatalogEntry, Sighting


Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What an Athena warehouse calls.

    Attributes:
        connection: The project's ``connection``.
        clients: Clients of boto3.
        retries: How calls are repeated.
        settings: How statements run, as the workgroup leaves it.
        catalog: Staging tables, through pyiceberg.
        now: The clock, UTC.
    """

    connection: AthenaConnection
    clients: Clients
    retries: Retries
    settings: Settings
    catalog: Catalog
    now: Callable[[], datetime]

    def objects(self, place: Place) -> S3Objects:
        """Return the files of a staging folder."""
        return S3Objects(
            self.clients.s3,
            place.bucket,
            place.folder,
            self.connection.kms_key,
            call=self._call,
        )

    def _call(self, operation: Callable[[], Result]) -> Result:
        return self.retries.call("calling S3 or Glue", operation)

    def statements(self, objects: S3Objects) -> Statements:
        """Return what runs statements, each exactly once; their intents are kept among the files."""
        return Statements(self.clients, objects, self.settings, retries=self.retries)

    def pause_before_attempt(self, attempt: int) -> None:
        """Wait before a write is begun again, with full jitter."""
        patience = PATIENCE[Kind.THROTTLED]
        self.retries.pause(patience.wait(attempt + 1, self.retries.chance()))

    def observe(self, sighting: Sighting, known: Mapping[str, SourceFile]) -> TableObservation:
        """Return the files of a source table, as Glue and S3 tell them."""
        glue = GlueTables(self.clients.glue, call=self._call)
        observer = Observer(glue, self.clients.s3, self._lake, self.now, call=self._call)
        return observer.observe(sighting, known)

    def _lake(self, where: str, name: str) -> IcebergTable:  # noqa: ARG002
        return self.catalog.at(where)

    def entries(self, place: Place, experiment_id: str) -> tuple[CatalogEntry, ...]:
        """Return the tables of the staging database that lie in an experiment's folder."""
        glue = GlueTables(self.clients.glue, call=self._call)
        return glue.entries(place.database, place.root, experiment_id)

    def described(self, finished: Finished) -> dict[str, str]:
        """Return column → Athena type of a query that has ended."""
        return answers.columns_of(self.clients.athena, finished, self.retries)

    def rows(self, finished: Finished) -> pa.Table:
        """Return the rows of a query that has ended."""
        return answers.rows_of(self.clients.athena, self.clients.s3, finished, self.retries)

    def close(self) -> None:
        """Close the clients."""
        self.clients.close()


def open_services(connection: AthenaConnection) -> Services:
    """Return the services of a connection.

    Raises:
        AwsRefusedError: If there are no credentials, or the workgroup cannot serve.
    """
    retries = Retries()
    clients = open_clients(connection, retries)
    return Services(
        connection=connection,
        clients=clients,
        retries=retries,
        settings=settings_at(connection, clients, retries),
        catalog=Catalog(clients, connection, retries),
        now=lambda: datetime.now(UTC),
    )

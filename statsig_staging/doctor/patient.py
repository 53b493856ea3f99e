"""What the probes of an Athena connection share: its clients, opened when first used, and what is to be removed."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from statsig_staging.warehouses.athena.catalog import Catalog
from statsig_staging.warehouses.athena.clients import Clients, open_clients
from statsig_staging.warehouses.athena.failures import AwsError
from statsig_staging.warehouses.athena.glue import GlueTables
from statsig_staging.warehouses.athena.objects import S3Objects, listed
from statsig_staging.warehouses.athena.place import Place
from statsig_staging.warehouses.athena.requests import Statement, settings_of
from statsig_staging.warehouses.athena.services import Services
from statsig_staging.warehouses.athena.workgroups import within

if TYPE_CHECKING:
    from collections.abc import Callable

    from statsig_staging.config import AthenaConnection, Project
    from statsig_staging.warehouses.athena.requests import Settings
    from statsig_staging.warehouses.athena.retries import Retries
    from statsig_staging.warehouses.athena.statements import Finished
Result = TypeVar("Result")

FOLDER: Final = "_doctor"
"""The folder of probe files below the staging folder."""


@dataclass(eq=False)
class Patient:
    """A connection that is looked at.

    Attributes:
        project: The project.
        connection: Its connection.
        retries: How calls are repeated.
        name: What probes are called, so that no two doctors meet.
        group: The workgroup, once it was looked at.
        written: Keys of probe files that may be there.
        queries: Statements that have left results.
    """

    project: Project
    connection: AthenaConnection
    retries: Retries
    name: str = field(default_factory=lambda: f"doctor-{uuid.uuid4().hex[:12]}")
    group: dict[str, Any] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)

    @cached_property
    def own(self) -> Clients:
        """Clients with the credentials that were found, before any role is assumed."""
        return open_clients(self.connection.model_copy(update={"role_arn": None}), self.retries)

    @cached_property
    def clients(self) -> Clients:
        """Clients that act as the engine does."""
        if self.connection.role_arn is None:
            return self.own
        return open_clients(self.connection, self.retries)

    @cached_property
    def settings(self) -> Settings:
        """How statements run, as the workgroup leaves it."""
        return within(settings_of(self.connection), self.group)

    @cached_property
    def services(self) -> Services:
        """What an Athena warehouse calls."""
        return Services(
            connection=self.connection,
            clients=self.clients,
            retries=self.retries,
            settings=self.settings,
            catalog=Catalog(self.clients, self.connection, self.retries),
            now=lambda: datetime.now(UTC),
        )

    @property
    def place(self) -> Place:
        """Where staging tables lie."""
        found = self.connection
        return Place(bucket=found.bucket, folder=found.folder, database=found.database)

    @cached_property
    def objects(self) -> S3Objects:
        """Files of the staging folder."""
        found = self.connection
        return S3Objects(
            self.clients.s3,
            found.bucket,
            found.folder,
            found.kms_key,
            call=lambda operation: self.retries.call("calling S3", operation),
        )

    @property
    def glue(self) -> GlueTables:
        """Tables in Glue."""
        return GlueTables(
            self.clients.glue, call=lambda operation: self.retries.call("calling Glue", operation)
        )

    @property
    def results(self) -> str | None:
        """Where results of queries go; None where Athena keeps them itself."""
        configuration = self.group.get("Configuration") or {}
        if (configuration.get("ManagedQueryResultsConfiguration") or {}).get("Enabled"):
            return None
        own: str | None = (configuration.get("ResultConfiguration") or {}).get("OutputLocation")
        return self.settings.output_location or own

    def key(self, name: str) -> str:
        """Return the key of a probe file below the staging folder."""
        return f"{FOLDER}/{self.name}/{name}"

    def call(self, what: str, function: Callable[[], Result]) -> Result:
        """Make a call, again where that may help."""
        return self.retries.call(what, function)

    def refusal(self, what: str, function: Callable[[], object]) -> AwsError | None:
        """Return how a call was refused; None where it was not."""
        try:
            self.retries.call(what, function)
        except AwsError as error:
            return error
        return None

    def query(self, sql: str, purpose: str) -> Finished:
        """Run a query to its end."""
        done = self.services.statements(self.objects).run(
            Statement(
                sql=sql, purpose=purpose, load_id=self.name, experiment_id="", reads_only=True
            )
        )
        self.queries.append(done.query_id)
        return done

    def tidy(self) -> None:
        """Remove probe files, and results of queries."""
        self.objects.delete_files(
            file.key for file in self.objects.list_files(f"{FOLDER}/{self.name}")
        )
        where = self.results if self.queries else None
        if where is None:
            return
        bucket, _, prefix = where.removeprefix("s3://").partition("/")
        prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        for query_id in self.queries:
            self._remove(bucket, f"{prefix}{query_id}")
            self._remove(bucket, f"{prefix}tables/{query_id}")
        self.queries.clear()

    def _remove(self, bucket: str, prefix: str) -> None:
        s3 = self.clients.s3
        keys = self.call("listing results", lambda: [o["Key"] for o in listed(s3, bucket, prefix)])
        for key in keys:
            self.call(
                "removing a result",
                lambda key=key: s3.delete_object(Bucket=bucket, Key=key),  # type: ignore[misc]
            )

    def close(self) -> None:
        """Close the clients that were opened."""
        for name in ("own", "clients"):
            opened = self.__dict__.get(name)
            if opened is not None:
                opened.close()

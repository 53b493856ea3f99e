"""The workgroup: who says where results go, and what a statement may scan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from statsig_staging.warehouses.athena.failures import AwsError, Kind, failure
from statsig_staging.warehouses.athena.requests import Settings, settings_of

if TYPE_CHECKING:
    from statsig_staging.config import AthenaConnection
    from statsig_staging.warehouses.athena.clients import Clients
    from statsig_staging.warehouses.athena.retries import Retries


def settings_at(connection: AthenaConnection, clients: Clients, retries: Retries) -> Settings:
    """Return the settings of a connection, as its workgroup leaves them.

    Without the permission to look at the workgroup they are those of the connection, and Athena says what is
    wrong with them.

    Raises:
        AwsRefusedError: If nobody says where results go, there is no such workgroup or it is disabled.
        AwsFailedError: If Athena cannot be asked.
    """
    settings = settings_of(connection)
    try:
        answer = retries.call(
            f"looking at the workgroup {connection.workgroup}",
            lambda: clients.athena.get_work_group(WorkGroup=connection.workgroup),
        )
    except AwsError as error:
        if error.kind is Kind.PERMISSION:
            return settings
        raise
    return within(settings, answer["WorkGroup"])


def within(settings: Settings, group: Any) -> Settings:
    """Return settings within what a ``WorkGroup`` of the API allows.

    Raises:
        AwsRefusedError: If nothing can run there.
    """
    name, configuration = settings.workgroup, group.get("Configuration") or {}
    if group.get("State") == "DISABLED":
        raise failure(
            f"the workgroup {name} is disabled; enable it, or set connection.workgroup to another",
            Kind.REFUSED,
        )
    if (configuration.get("ManagedQueryResultsConfiguration") or {}).get("Enabled"):
        # Athena refuses a location where it keeps the results itself.
        return replace(settings, output_location=None, kms_key=None)
    own = (configuration.get("ResultConfiguration") or {}).get("OutputLocation")
    enforced = configuration.get("EnforceWorkGroupConfiguration", False)
    if enforced and own:
        return replace(settings, output_location=None, kms_key=None)
    if not own and settings.output_location is None:
        raise failure(
            "nothing says where Athena writes results: set connection.query_results to an s3:// location, or "
            f"give the workgroup {name} a query result location",
            Kind.REFUSED,
        )
    return settings

"""Workgroups: where results go where workgroup and connection both may say it."""

from typing import Any

import pytest

from statsig_staging.errors import WarehouseError
from statsig_staging.warehouses.athena.clients import open_clients
from statsig_staging.warehouses.athena.requests import Settings
from statsig_staging.warehouses.athena.retries import Retries
from statsig_staging.warehouses.athena.statements import Statements
from statsig_staging.warehouses.athena.workgroups import settings_at
from tests.athena_endpoint.fixtures import Aws
from tests.warehouses.athena import Files, Pauses, a_connection, a_statement, fault


def found(aws: Aws, **connection: Any) -> Settings:
    """Return the settings at a workgroup, after a check that a statement runs with them."""
    retries = Retries(pause=Pauses())
    with open_clients(a_connection(aws, **connection), retries) as clients:
        settings = settings_at(a_connection(aws, **connection), clients, retries)
        statements = Statements(clients, Files(clients.s3, aws.bucket), settings)
        statements.run(a_statement("SELECT 1", reads_only=True))
        return settings


def create(aws: Aws, **configuration: Any) -> None:
    """Create a workgroup."""
    aws.client("athena").create_work_group(Name="analysts", Configuration=configuration)


KEY = "arn:aws:kms:us-east-1:123456789012:key/1"


def test_the_connection_says_it(aws_environment: Aws) -> None:
    """A workgroup without a location leaves it to the connection, with its key."""
    settings = found(aws_environment, kms_key=KEY)
    assert (settings.output_location, settings.kms_key) == (aws_environment.results, KEY)


def test_the_workgroup_says_it(aws_environment: Aws) -> None:
    """A connection that says nothing takes the location of the workgroup."""
    create(aws_environment, ResultConfiguration={"OutputLocation": aws_environment.results})
    settings = found(aws_environment, workgroup="analysts", query_results=None)
    assert settings.output_location is None


def test_an_enforced_location_wins(aws_environment: Aws) -> None:
    """Where the workgroup enforces its location, the connection's is not sent."""
    create(aws_environment, ResultConfiguration={"OutputLocation": aws_environment.results})
    settings = found(aws_environment, workgroup="analysts", kms_key=KEY)
    assert (settings.output_location, settings.kms_key) == (None, None)


def test_athena_may_keep_the_results(aws_environment: Aws) -> None:
    """Where Athena keeps results itself no location is sent, which it would refuse."""
    create(aws_environment, ManagedQueryResultsConfiguration={"Enabled": True})
    assert found(aws_environment, workgroup="analysts").output_location is None


def test_nobody_says_it(aws_environment: Aws) -> None:
    """Where nobody says it both places are named before anything runs."""
    with pytest.raises(WarehouseError, match=r"connection\.query_results .* workgroup primary"):
        found(aws_environment, query_results=None)


def test_no_such_workgroup(aws_environment: Aws) -> None:
    """A workgroup that is not there is named."""
    with pytest.raises(WarehouseError, match="looking at the workgroup nowhere"):
        found(aws_environment, workgroup="nowhere")


def test_a_disabled_workgroup(aws_environment: Aws) -> None:
    """A workgroup that is disabled is named."""
    create(aws_environment)
    aws_environment.client("athena").update_work_group(WorkGroup="analysts", State="DISABLED")
    with pytest.raises(WarehouseError, match="workgroup analysts is disabled"):
        found(aws_environment, workgroup="analysts")


def test_nobody_has_to_be_allowed_to_look(aws_environment: Aws) -> None:
    """Without the permission to look, the connection's settings are used."""
    fault(aws_environment, "GetWorkGroup", "refuse", code="AccessDeniedException", message="no")
    assert found(aws_environment).output_location == aws_environment.results

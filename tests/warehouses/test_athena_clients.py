"""Clients of AWS: whose credentials, where they go, and what nobody gets to see."""

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.credentials import RefreshableCredentials

from statsig_staging.access.identities import ROLE_SESSION
from statsig_staging.errors import WarehouseError
from statsig_staging.warehouses.athena.clients import Clients, open_clients
from statsig_staging.warehouses.athena.retries import Retries
from tests.athena_endpoint.fixtures import Aws
from tests.warehouses.athena import Pauses, a_connection

EXTERNAL_ID = "external-id-that-is-secret"


@pytest.fixture
def role(aws_environment: Aws) -> str:
    """A role of the account."""
    found = aws_environment.client("iam").create_role(
        RoleName="staging", AssumeRolePolicyDocument="{}"
    )
    arn: str = found["Role"]["Arn"]
    return arn


def test_the_default_chain(aws_environment: Aws) -> None:
    """Without a role the clients act as whoever the environment names, at the endpoint of the connection."""
    with open_clients(a_connection(aws_environment)) as clients:
        assert clients.sts.get_caller_identity()["Account"] == aws_environment.id
        assert clients.credentials().access_key == aws_environment.credentials.access_key
        assert clients.credentials().token is None


def test_every_client_goes_to_the_endpoint(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection's endpoint is that of every client, and of assuming the role; nothing else names it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", aws.credentials.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", aws.credentials.secret_key)
    role = aws.client("iam").create_role(RoleName="staging", AssumeRolePolicyDocument="{}")
    connection = a_connection(aws, role_arn=role["Role"]["Arn"], external_id=EXTERNAL_ID)
    with open_clients(connection) as clients:
        for client in (clients.athena, clients.s3, clients.glue, clients.sts):
            assert client.meta.endpoint_url == aws.endpoint.url
        clients.s3.list_objects_v2(Bucket=aws.bucket)
        clients.glue.get_databases()
        clients.athena.list_work_groups()
    assert [call.operation for call in aws.endpoint.calls.of(aws.id, "sts")] == ["AssumeRole"]


def test_a_role_is_assumed(aws_environment: Aws, role: str) -> None:
    """With a role the clients act as its session, which is named after the program, and is assumed once."""
    with open_clients(a_connection(aws_environment, role_arn=role)) as clients:
        arn = clients.sts.get_caller_identity()["Arn"]
        assert arn.endswith(f"assumed-role/staging/{ROLE_SESSION}")
        assert clients.credentials().token
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: clients.credentials(), range(50)))
    operations = [
        call.operation for call in aws_environment.endpoint.calls.of(aws_environment.id, "sts")
    ]
    assert operations.count("AssumeRole") == 1


def test_a_role_is_assumed_again_before_it_expires(
    aws_environment: Aws, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that are about to expire are replaced by new ones at the next call, without anybody's doing."""
    with open_clients(a_connection(aws_environment, role_arn=role)) as clients:
        first = clients.credentials()
        clients.glue.get_databases()
        assert clients.credentials() == first
        # Sessions last an hour; botocore refreshes those that end within fifteen minutes.
        monkeypatch.setattr(RefreshableCredentials, "_advisory_refresh_timeout", 2 * 3600)
        monkeypatch.setattr(RefreshableCredentials, "_mandatory_refresh_timeout", 2 * 3600)
        second = clients.credentials()
        assert second != first
        clients.athena.list_work_groups()


@pytest.mark.parametrize("kind", ["throttle", "server_error", "lose_answer", "kill"])
def test_assuming_a_role_is_tried_again(aws_environment: Aws, role: str, kind: str) -> None:
    """A failure on the way to STS is not the end."""
    pauses = Pauses()
    aws_environment.endpoint.faults.add(
        account=aws_environment.id, service="sts", operation="AssumeRole", kind=kind, times=2
    )
    connection = a_connection(aws_environment, role_arn=role)
    with open_clients(connection, Retries(pause=pauses)) as clients:
        assert clients.credentials().token
    assert len(pauses.seconds) == 2


def test_a_role_that_refuses_is_named(aws_environment: Aws, role: str) -> None:
    """A role that may not be assumed ends with exit code 3, with the role's name and without the external id."""
    aws_environment.endpoint.faults.add(
        account=aws_environment.id,
        service="sts",
        operation="AssumeRole",
        kind="refuse",
        code="AccessDenied",
        status=403,
        message=f"User: arn:aws:iam::1:user/x is not authorized to perform: sts:AssumeRole on resource: {role}",
    )
    connection = a_connection(aws_environment, role_arn=role, external_id=EXTERNAL_ID)
    with open_clients(connection) as clients, pytest.raises(WarehouseError) as caught:
        clients.credentials()
    assert f"sts:AssumeRole on {role} is missing" in str(caught.value)
    assert EXTERNAL_ID not in str(caught.value)


def test_no_credentials_at_all(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials the error says where they come from."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(WarehouseError, match="no AWS credentials; set AWS_PROFILE"):
        open_clients(a_connection(aws))


def secrets(aws: Aws, clients: Clients) -> list[str]:
    """Return what nobody may see."""
    keys = clients.credentials()
    found = [EXTERNAL_ID, aws.credentials.secret_key, keys.secret_key, keys.token or EXTERNAL_ID]
    assert all(len(secret) > 10 for secret in found)
    return found


def test_no_secret_is_shown(
    aws_environment: Aws, role: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No text of clients, keys, errors or our own log holds a key, a token or the external id."""
    caplog.set_level(logging.DEBUG, "statsig_staging")
    connection = a_connection(aws_environment, role_arn=role, external_id=EXTERNAL_ID)
    texts: list[Any] = []
    with open_clients(connection) as clients:
        hidden = secrets(aws_environment, clients)
        texts += [clients, clients.credentials(), clients.athena, vars(clients)]
        fault = {"account": aws_environment.id, "service": "athena", "operation": "ListWorkGroups"}
        aws_environment.endpoint.faults.add(**fault, kind="expired_token")
        with pytest.raises(WarehouseError) as caught:
            Retries().call("asking", clients.athena.list_work_groups, attempts=1)
        texts += [caught.value, repr(caught.value), vars(caught.value), caplog.text]
    for text in texts:
        assert not [secret for secret in hidden if secret in f"{text!s} {text!r}"]


def test_connections_suffice_for_all_statements(aws_environment: Aws) -> None:
    """Every statement has a connection of its own, with ten beside for polls and files."""
    with open_clients(a_connection(aws_environment, max_concurrent_queries=40)) as clients:
        assert clients.athena.meta.config.max_pool_connections == 50  # type: ignore[attr-defined]
        assert clients.sts.meta.config.retries["total_max_attempts"] == 1  # type: ignore[attr-defined]

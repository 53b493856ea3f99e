"""Faults, holds and the journal of the Athena endpoint: what goes wrong on purpose, and what is written down."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.athena_endpoint.calls import Call
from tests.athena_endpoint.fixtures import Aws

START = ("athena", "StartQueryExecution")


def script(aws: Aws, service: str, operation: str, kind: str, **more: Any) -> None:
    """Have the next call of a kind go wrong."""
    aws.endpoint.faults.add(account=aws.id, service=service, operation=operation, kind=kind, **more)


def seen(aws: Aws, service: str, operation: str) -> list[tuple[int, str | None]]:
    """Return status and fault of the calls of a kind."""
    return [(call.status, call.fault) for call in logged(aws, service, operation)]


def logged(aws: Aws, service: str, operation: str) -> list[Call]:
    """Return the calls of a kind; one whose connection has ended is entered a moment later."""
    for _ in range(250):
        found = aws.endpoint.calls.of(aws.id, service, operation)
        if found:
            return found
        time.sleep(0.02)
    return []


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttle", "ThrottlingException", 400),
        ("server_error", "InternalServerException", 500),
        ("expired_token", "ExpiredTokenException", 400),
    ],
)
def test_a_call_is_refused_once(aws: Aws, kind: str, code: str, status: int) -> None:
    """A scripted error meets one call, has no effect, and the next call passes."""
    script(aws, *START, kind)
    with pytest.raises(ClientError) as caught:
        aws.start("SELECT 1")
    answer = caught.value.response
    assert answer["Error"]["Code"] == code
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status
    assert aws.account.executions.all() == []
    aws.run("SELECT 1")
    assert seen(aws, *START) == [(status, kind), (200, None)]


@pytest.mark.parametrize(
    ("service", "operation", "kind", "code"),
    [
        ("s3", "PutObject", "throttle", "SlowDown"),
        ("s3", "ListObjectsV2", "expired_token", "ExpiredToken"),
        ("glue", "GetDatabase", "throttle", "ThrottlingException"),
        ("sts", "GetCallerIdentity", "expired_token", "ExpiredToken"),
        ("kms", "ListKeys", "server_error", "InternalError"),
    ],
)
def test_other_services_have_their_errors(
    aws: Aws, service: str, operation: str, kind: str, code: str
) -> None:
    """Faults meet the calls of moto's services too, each in the form of its protocol."""
    calls: dict[str, Any] = {
        "PutObject": lambda: aws.client("s3").put_object(Bucket=aws.bucket, Key="a", Body=b""),
        "ListObjectsV2": lambda: aws.client("s3").list_objects_v2(Bucket=aws.bucket),
        "GetDatabase": lambda: aws.client("glue").get_database(Name="shop"),
        "GetCallerIdentity": lambda: aws.client("sts").get_caller_identity(),
        "ListKeys": lambda: aws.client("kms").list_keys(),
    }
    script(aws, service, operation, kind)
    with pytest.raises(ClientError) as caught:
        calls[operation]()
    assert caught.value.response["Error"]["Code"] == code
    calls[operation]()


def test_a_killed_connection_has_no_effect(aws: Aws) -> None:
    """A connection that is killed before the call starts nothing."""
    script(aws, *START, "kill")
    with pytest.raises(ConnectionClosedError):
        aws.start("SELECT 1")
    assert aws.account.executions.all() == []
    assert seen(aws, *START) == [(0, "kill")]


@pytest.mark.parametrize("kind", ["lose_answer", "error_after_effect"])
def test_a_lost_answer_has_its_effect(aws: Aws, kind: str) -> None:
    """An answer that is lost, or turned into a 500, leaves a statement that runs."""
    script(aws, *START, kind)
    with pytest.raises((ConnectionClosedError, ClientError)):
        aws.start("SELECT 1")
    (execution,) = aws.account.executions.all()
    assert aws.wait(execution.id)["Status"]["State"] == "SUCCEEDED"
    (call,) = logged(aws, *START)
    assert call.execution_id == execution.id


def test_slow_calls_skipped_calls_and_chosen_calls(aws: Aws) -> None:
    """A rule waits for its text, lets calls pass first, and meets as many as it says."""
    script(aws, *START, "slow", seconds=0.2, match="'chosen'", skip=1, times=2)
    for _ in range(4):
        aws.run("SELECT 'chosen'")
        aws.run("SELECT 'other'")
    calls = aws.endpoint.calls.of(aws.id, *START)
    slow = [call.fault == "slow" for call in calls]
    assert slow == [False, False, True, False, True, False, False, False]
    assert min(call.took for call in calls if call.fault == "slow") >= 0.2


def test_any_error_can_be_scripted(aws: Aws) -> None:
    """A rule may name code, status and message."""
    script(
        aws,
        "s3",
        "GetObject",
        "refuse",
        code="AccessDenied",
        status=403,
        message="no",
        match="secret",
    )
    s3 = aws.client("s3")
    for key in ("secret", "public"):
        s3.put_object(Bucket=aws.bucket, Key=key, Body=b"x")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.get_object(Bucket=aws.bucket, Key="secret")
    assert s3.get_object(Bucket=aws.bucket, Key="public")["Body"].read() == b"x"


@pytest.mark.parametrize("stage", ["queued", "running", "commit"])
def test_statements_are_held_and_released(aws: Aws, stage: str) -> None:
    """A statement that is held back changes nothing until it is released, and commits then."""
    aws.iceberg("t", "SELECT 1 AS a")
    hold = aws.endpoint.holds.hold(aws.id, stage=stage, match="INSERT")
    execution_id = aws.start("INSERT INTO t SELECT 2")
    assert aws.endpoint.holds.held(aws.id, hold) == [execution_id]
    assert aws.rows("SELECT count(*) FROM t") == [("1",)]
    state = aws.client("athena").get_query_execution(QueryExecutionId=execution_id)
    expected = "QUEUED" if stage == "queued" else "RUNNING"
    assert state["QueryExecution"]["Status"]["State"] == expected
    aws.endpoint.holds.release(aws.id, hold)
    assert aws.wait(execution_id)["Status"]["State"] == "SUCCEEDED"
    assert aws.rows("SELECT count(*) FROM t") == [("2",)]


def test_a_held_statement_can_be_stopped(aws: Aws) -> None:
    """A statement that is stopped before its commit commits nothing."""
    aws.iceberg("t", "SELECT 1 AS a")
    hold = aws.endpoint.holds.hold(aws.id, stage="commit", match="INSERT")
    execution_id = aws.start("INSERT INTO t SELECT 2")
    aws.endpoint.holds.held(aws.id, hold)
    aws.client("athena").stop_query_execution(QueryExecutionId=execution_id)
    assert aws.wait(execution_id)["Status"]["State"] == "CANCELLED"
    assert aws.rows("SELECT count(*) FROM t") == [("1",)]


def test_a_stop_that_comes_too_late(aws: Aws) -> None:
    """After the commit a stop changes nothing: the statement ends in SUCCEEDED."""
    aws.iceberg("t", "SELECT 1 AS a")
    hold = aws.endpoint.holds.hold(aws.id, stage="end", match="INSERT")
    execution_id = aws.start("INSERT INTO t SELECT 2")
    aws.endpoint.holds.held(aws.id, hold)
    assert aws.rows("SELECT count(*) FROM t") == [("2",)]
    aws.client("athena").stop_query_execution(QueryExecutionId=execution_id)
    aws.endpoint.holds.release(aws.id)
    assert aws.wait(execution_id)["Status"]["State"] == "SUCCEEDED"


def test_a_running_query_can_be_stopped(aws: Aws) -> None:
    """A stop ends a query in the middle of its work."""
    aws.start("SELECT 1")
    execution_id = aws.start(
        "SELECT sum(a.n * b.n) FROM UNNEST(sequence(1, 10000)) AS a(n), UNNEST(sequence(1, 10000)) AS b(n), "
        "UNNEST(sequence(1, 10000)) AS c(n)"
    )
    while aws.account.executions.get(execution_id).state == "QUEUED":
        time.sleep(0.01)
    aws.client("athena").stop_query_execution(QueryExecutionId=execution_id)
    assert aws.wait(execution_id)["Status"]["State"] == "CANCELLED"


@pytest.mark.parametrize(
    ("late", "between", "conflict"),
    [
        ("INSERT INTO t VALUES (9)", "INSERT INTO t VALUES (8)", False),
        pytest.param(
            "INSERT INTO t VALUES (9)", "DELETE FROM t WHERE a = 1", False, marks=pytest.mark.slow
        ),
        ("UPDATE t SET a = 5 WHERE a = 1", "INSERT INTO t VALUES (8)", True),
        ("UPDATE t SET a = 5 WHERE a = 1", "DELETE FROM t WHERE a = 1", True),
        pytest.param(
            "DELETE FROM t", "OPTIMIZE t REWRITE DATA USING BIN_PACK", True, marks=pytest.mark.slow
        ),
        ("OPTIMIZE t REWRITE DATA USING BIN_PACK", "UPDATE t SET a = 6 WHERE a = 1", True),
        (
            "MERGE INTO t USING (SELECT 7 AS a) s ON t.a = s.a WHEN NOT MATCHED THEN INSERT (a) VALUES (s.a)",
            "INSERT INTO t VALUES (7)",
            True,
        ),
    ],
)
def test_commit_conflicts(aws: Aws, late: str, between: str, conflict: bool) -> None:
    """Appends never lose; what read the table fails if another commit came first, and runs again well (Iceberg, isolation)."""
    aws.iceberg("t", "SELECT 1 AS a")
    aws.run("INSERT INTO t VALUES (2)")
    hold = aws.endpoint.holds.hold(aws.id, stage="commit")
    execution_id = aws.start(late)
    aws.endpoint.holds.held(aws.id, hold)
    aws.run(between)
    aws.endpoint.holds.release(aws.id)
    status = aws.wait(execution_id)["Status"]
    assert status["State"] == ("FAILED" if conflict else "SUCCEEDED")
    if conflict:
        error = status["AthenaError"]
        assert error["ErrorMessage"].startswith(
            "ICEBERG_COMMIT_ERROR: Failed to commit Iceberg update to table"
        )
        assert error["ErrorType"] == 233
        aws.run(late)


def test_concurrent_appends_all_land(aws: Aws) -> None:
    """Eight inserts at once are eight snapshots: the engine retries appends that lose a race."""
    aws.iceberg("t", "SELECT 0 AS a")
    ids = [aws.start(f"INSERT INTO t VALUES ({n})") for n in range(1, 9)]
    assert {aws.wait(execution_id)["Status"]["State"] for execution_id in ids} == {"SUCCEEDED"}
    assert aws.rows("SELECT count(DISTINCT a) FROM t") == [("9",)]
    assert aws.rows('SELECT count(*) FROM "t$snapshots"') == [("9",)]


def test_endings_are_scripted(aws: Aws) -> None:
    """A statement fails as a script says, before its effect or after it."""
    aws.iceberg("t", "SELECT 1 AS a")
    holds = aws.endpoint.holds
    holds.end(
        aws.id,
        stage="running",
        match="INSERT",
        message="Query exhausted resources",
        category=1,
        type=5,
    )
    error = aws.fails("INSERT INTO t VALUES (2)")
    assert (error["ErrorCategory"], error["ErrorType"]) == (1, 5)
    assert aws.rows("SELECT count(*) FROM t") == [("1",)]
    holds.end(aws.id, stage="end", match="INSERT", message="lost", retryable=True)
    assert aws.fails("INSERT INTO t VALUES (2)")["Retryable"] is True
    assert aws.rows("SELECT count(*) FROM t") == [("2",)]


def test_glue_refuses_a_stale_version(aws: Aws) -> None:
    """UpdateTable with a version that is not the newest is refused, also from a client (AWS, Iceberg tables)."""
    aws.iceberg("t", "SELECT 1 AS a")
    glue = aws.client("glue")
    found = glue.get_table(DatabaseName="shop", Name="t")["Table"]
    table = {key: found[key] for key in ("Name", "TableType", "Parameters", "StorageDescriptor")}
    glue.update_table(DatabaseName="shop", TableInput=table, VersionId=found["VersionId"])
    with pytest.raises(glue.exceptions.ConcurrentModificationException):
        glue.update_table(DatabaseName="shop", TableInput=table, VersionId=found["VersionId"])
    glue.update_table(DatabaseName="shop", TableInput=table)


def test_everything_is_counted(aws: Aws) -> None:
    """Calls, tokens, statements and their effects can be read back."""
    aws.iceberg("t", "SELECT 1 AS a")
    token = "t" * 40
    for _ in range(3):
        aws.start("INSERT INTO t VALUES (2)", ClientRequestToken=token)
    aws.wait(aws.account.executions.all()[-1].id)
    documents = aws.endpoint.documents(aws.id)
    assert documents["counts"]["athena.StartQueryExecution"] == 4
    statement = documents["statements"][-1]
    assert (statement["token"], statement["repeats"], statement["effects"]) == (token, 2, 1)
    assert [call["token"] for call in documents["calls"] if call["token"] == token] == [token] * 3


def asked(url: str, document: dict[str, Any] | None = None) -> Any:
    """Ask the control address."""
    data = None if document is None else json.dumps(document).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data)) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_another_process_asks_over_http() -> None:
    """``python -m tests.athena_endpoint`` serves; accounts, faults, holds and the journal are there over HTTP."""
    command = [sys.executable, "-m", "tests.athena_endpoint", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[2]
            account = asked(f"{url}/_endpoint/accounts", {})
            base = f"{url}/_endpoint/accounts/{account['account']}"
            _drive(url, base, account)
        finally:
            process.terminate()
            process.wait(20)
    assert process.returncode == 0


def _drive(url: str, base: str, account: dict[str, str]) -> None:
    import boto3

    keys = {
        "aws_access_key_id": account["access_key"],
        "aws_secret_access_key": account["secret_key"],
        "region_name": "us-east-1",
        "endpoint_url": url,
    }
    s3 = boto3.client("s3", **keys)  # type: ignore[call-overload]
    athena = boto3.client("athena", **keys)  # type: ignore[call-overload]
    s3.create_bucket(Bucket="lake")
    asked(f"{base}/settings", {"dml_limit": 5})
    fault = {"service": "athena", "operation": "StartQueryExecution", "kind": "lose_answer"}
    asked(f"{base}/faults", fault)
    hold = asked(f"{base}/holds", {"stage": "running"})
    where = {"OutputLocation": "s3://lake/"}
    started = athena.start_query_execution(QueryString="SELECT 1", ResultConfiguration=where)
    held = asked(f"{base}/wait", {"number": hold["number"]})
    assert held["execution_ids"] == [started["QueryExecutionId"]]
    asked(f"{base}/release", {"number": hold["number"]})
    everything = asked(f"{base}/all")
    assert everything["settings"]["dml_limit"] == 5
    assert everything["counts"]["athena.StartQueryExecution"] == 2
    assert [s["repeats"] for s in everything["statements"]] == [1]
    assert [call["fault"] for call in everything["calls"]][1:] == ["lose_answer", None]
    athena.close()
    s3.close()

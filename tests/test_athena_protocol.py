"""The API of the Athena endpoint: tokens, states, errors, pages, workgroups, limits.

Where a test names a source, it is one of those in docs/athena-endpoint.md.
"""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.athena_endpoint.fixtures import DATABASE, Aws


def token() -> str:
    """Return a token that nobody used."""
    return f"token-{uuid.uuid4()}"


def refused(aws: Aws, call: Callable[[], Any]) -> dict[str, Any]:
    """Return the answer of a call that has to be an InvalidRequestException."""
    with pytest.raises(aws.client("athena").exceptions.InvalidRequestException) as caught:
        call()
    answer: dict[str, Any] = caught.value.response
    return answer


def code_of(aws: Aws, call: Callable[[], Any]) -> str:
    """Return the AthenaErrorCode of a call that has to be refused."""
    return str(refused(aws, call)["AthenaErrorCode"])


def tokens_of(aws: Aws) -> list[tuple[str, int]]:
    """Return token and number of repeats of each statement."""
    return [(s["token"], s["repeats"]) for s in aws.account.executions.documents()]


@pytest.mark.parametrize("sql", ["SELECT 1", "SELECT * FROM missing"])
def test_a_token_returns_its_statement(aws: Aws, sql: str) -> None:
    """The same token returns the same statement, also after SUCCEEDED and FAILED (athena-local, api)."""
    same = token()
    first = aws.start(sql, ClientRequestToken=same)
    aws.wait(first)
    assert aws.start(sql, ClientRequestToken=same) == first
    assert tokens_of(aws) == [(same, 1)]


def test_a_token_outlives_a_cancel(aws: Aws) -> None:
    """The same token returns the same statement while it is held, and after CANCELLED (athena-local, api)."""
    aws.endpoint.holds.hold(aws.id, stage="running")
    same = token()
    first = aws.start("SELECT 1", ClientRequestToken=same)
    assert aws.start("SELECT 1", ClientRequestToken=same) == first
    aws.client("athena").stop_query_execution(QueryExecutionId=first)
    assert aws.wait(first)["Status"]["State"] == "CANCELLED"
    assert aws.start("SELECT 1", ClientRequestToken=same) == first


@pytest.mark.parametrize(
    "other",
    [
        {"QueryString": "SELECT 2"},
        {"QueryExecutionContext": {"Database": "SHOP"}},
        {"QueryExecutionContext": {}},
        {"QueryExecutionContext": {"Database": DATABASE, "Catalog": "awsdatacatalog"}},
        {"ResultConfiguration": {"OutputLocation": "s3://elsewhere/"}},
    ],
)
def test_a_token_with_another_request_is_refused(aws: Aws, other: dict[str, Any]) -> None:
    """SQL, database, catalog and location are compared, an explicit default with none too (athena-local, api)."""
    same = token()
    aws.start("SELECT 1", ClientRequestToken=same)
    asked: dict[str, Any] = {"QueryString": "SELECT 1", **other}
    sql = asked.pop("QueryString")
    code = code_of(aws, lambda: aws.start(sql, ClientRequestToken=same, **asked))
    assert code == "IDEMPOTENT_PARAMETER_MISMATCH"


def test_a_token_does_not_see_parameters_and_workgroup(aws: Aws) -> None:
    """Other execution parameters or another workgroup silently return the old statement (athena-local, api)."""
    aws.client("athena").create_work_group(Name="other")
    same = token()
    first = aws.start("SELECT ?", ClientRequestToken=same, ExecutionParameters=["1"])
    again = aws.start(
        "SELECT ?", ClientRequestToken=same, ExecutionParameters=["2"], WorkGroup="other"
    )
    assert again == first


def test_syntax_errors_do_not_use_a_token_up(aws: Aws) -> None:
    """A token of a statement that did not parse is free (athena-local, api)."""
    same = token()
    assert code_of(aws, lambda: aws.start("SELEC 1", ClientRequestToken=same)) == "MALFORMED_QUERY"
    aws.run("SELECT 1", ClientRequestToken=same)


def test_order_of_validation(aws: Aws) -> None:
    """Token length, then output location, then syntax, then the known token (athena-local, api)."""
    same = token()
    aws.start("SELECT 1", ClientRequestToken=same)
    athena = aws.client("athena")

    def start(sql: str, token_: str, **more: Any) -> str:
        call = athena.start_query_execution
        return str(refused(aws, lambda: call(QueryString=sql, ClientRequestToken=token_, **more)))

    location = {"ResultConfiguration": {"OutputLocation": aws.results}}
    assert "No output location" in start("SELEC 1", same)
    assert "MALFORMED_QUERY" in start("SELEC 1", same, **location)
    assert "IDEMPOTENT_PARAMETER_MISMATCH" in start("SELECT 1", same, **location)


def test_tokens_have_a_length(aws: Aws) -> None:
    """Tokens have 32 to 128 bytes; boto3 checks the lower bound itself, so this call is made by hand."""
    status, answer = by_hand(aws, {"QueryString": "SELEC 1", "ClientRequestToken": "short"})
    assert status == 400
    assert "clientRequestToken" in answer["message"]


def by_hand(aws: Aws, document: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Call StartQueryExecution without boto3's checks."""
    import http.client
    from urllib.parse import urlsplit

    connection = http.client.HTTPConnection(urlsplit(aws.endpoint.url).netloc)
    scope = f"{aws.credentials.access_key}/20260101/us-east-1/athena/aws4_request"
    headers = {
        "X-Amz-Target": "AmazonAthena.StartQueryExecution",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
    }
    connection.request("POST", "/", json.dumps(document), headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def test_statements_have_a_length(aws: Aws) -> None:
    """A statement has 262,144 bytes at most, counted in UTF-8 (AWS, API reference)."""
    longest = f"SELECT '{'x' * (262_144 - 9)}'"
    aws.run(longest)
    status, answer = by_hand(
        aws,
        {
            "QueryString": f"SELECT '{'é' * 131_072}'",
            "ResultConfiguration": {"OutputLocation": aws.results},
        },
    )
    assert status == 400
    assert "262144" in answer["message"]


def test_a_call_gets_a_token_of_its_own(aws: Aws) -> None:
    """boto3's inner retries keep the token, a second call has another (botocore)."""
    aws.endpoint.faults.add(
        account=aws.id, service="athena", operation="StartQueryExecution", kind="lose_answer"
    )
    athena = aws.client("athena", retries=True)
    where = {"OutputLocation": aws.results}
    for _ in range(2):
        athena.start_query_execution(QueryString="SELECT 1", ResultConfiguration=where)
    calls = aws.endpoint.calls.of(aws.id, "athena", "StartQueryExecution")
    assert [call.fault for call in calls] == ["lose_answer", None, None]
    assert calls[0].token == calls[1].token != calls[2].token
    assert [repeats for _, repeats in tokens_of(aws)] == [1, 0]


def test_states_and_times(aws: Aws) -> None:
    """A statement is QUEUED, then RUNNING, then SUCCEEDED, and the statistics say how long."""
    holds, athena = aws.endpoint.holds, aws.client("athena")
    queued, running = holds.hold(aws.id, stage="queued"), holds.hold(aws.id, stage="running")
    execution_id = aws.start("SELECT 1")
    for hold, state in ((queued, "QUEUED"), (running, "RUNNING")):
        holds.held(aws.id, hold)
        found = athena.get_query_execution(QueryExecutionId=execution_id)["QueryExecution"]
        assert found["Status"]["State"] == state
        assert "CompletionDateTime" not in found["Status"]
        time.sleep(0.1)
        holds.release(aws.id, hold)
    execution = aws.wait(execution_id)
    assert execution["Status"]["State"] == "SUCCEEDED"
    assert execution["Status"]["SubmissionDateTime"] < execution["Status"]["CompletionDateTime"]
    statistics = execution["Statistics"]
    assert statistics["QueryQueueTimeInMillis"] >= 100
    assert statistics["EngineExecutionTimeInMillis"] >= 100
    assert statistics["TotalExecutionTimeInMillis"] >= 200


def test_states_last_as_long_as_asked(aws: Aws) -> None:
    """An account's statements stay QUEUED and RUNNING for the seconds of its settings."""
    aws.account.settings.queued_seconds = 0.1
    aws.account.settings.running_seconds = 0.1
    statistics = aws.run("SELECT 1")["Statistics"]
    assert statistics["QueryQueueTimeInMillis"] >= 100
    assert statistics["EngineExecutionTimeInMillis"] >= 100


def test_queued_after_running(aws: Aws) -> None:
    """A transient error sends a statement from RUNNING back to QUEUED, and it ends all the same (AWS, API reference)."""
    aws.endpoint.holds.end(aws.id, stage="running", requeue=True)
    execution = aws.run("SELECT 1")
    history = aws.account.executions.get(execution["QueryExecutionId"]).history
    assert [state for state, _ in history] == [
        "QUEUED",
        "RUNNING",
        "QUEUED",
        "RUNNING",
        "SUCCEEDED",
    ]


def scanned(aws: Aws, sql: str) -> int:
    """Run a statement and return the bytes it scanned."""
    return int(aws.run(sql)["Statistics"]["DataScannedInBytes"])


def test_bytes_scanned(aws: Aws) -> None:
    """A statement scans the columns that it names, of the files that its conditions leave."""
    days = "SELECT n, n * 7 AS m, date_add('day', n, DATE '2026-01-01') AS ds FROM UNNEST(sequence(1, 4)) AS s(n)"
    aws.iceberg("t", days, partitioning=["ds"])
    sizes = aws.rows('SELECT file_size_in_bytes FROM "t$files"')
    everything = scanned(aws, "SELECT * FROM t")
    assert everything == sum(int(str(size)) for (size,) in sizes)
    assert scanned(aws, "SELECT 1") == 0
    assert scanned(aws, "SELECT count(*) FROM t") == 0
    column = scanned(aws, "SELECT sum(n) FROM t")
    assert 0 < column < scanned(aws, "SELECT sum(n + m) FROM t") < everything
    for sql in (
        "SELECT sum(n) FROM t WHERE ds = DATE '2026-01-03'",
        "SELECT sum(x.n) FROM t AS x WHERE DATE '2026-01-03' >= x.ds AND x.ds > DATE '2026-01-02'",
        "SELECT sum(n) FROM t WHERE ds IN (DATE '2026-01-03')",
        "SELECT sum(n) FROM t WHERE n BETWEEN 2 AND 2",
    ):
        assert 0 < scanned(aws, sql) < column, sql
    assert aws.rows("SELECT count(*) FROM t WHERE ds > DATE '2026-01-02'") == [("3",)]


def test_conditions_leave_no_row_out(aws: Aws) -> None:
    """Files are left out where a condition holds for every row that counts, and on no other side of a join."""
    aws.iceberg("a", "SELECT * FROM (VALUES (1, 10), (2, 20)) AS v(k, x)", partitioning=["k"])
    aws.iceberg("b", "SELECT * FROM (VALUES (1, 1), (3, 3)) AS v(k, y)", partitioning=["k"])
    left = "SELECT a.k, b.y FROM a LEFT JOIN b ON a.k = b.k AND {} ORDER BY 1"
    assert aws.rows(left.format("a.k = 2")) == [("1", None), ("2", None)]
    assert aws.rows(left.format("b.k = 1")) == [("1", "1"), ("2", None)]
    assert aws.rows("SELECT a.x, b.y FROM a RIGHT JOIN b ON a.k = b.k AND b.k = 1 ORDER BY 2") == [
        ("10", "1"),
        (None, "3"),
    ]
    assert aws.rows("SELECT a.k FROM a LEFT JOIN b ON a.k = b.k WHERE b.y = 1") == [("1",)]
    merge = (
        "MERGE INTO a USING b ON a.k = b.k AND a.k = 1 WHEN MATCHED THEN UPDATE SET x = b.y "
        "WHEN NOT MATCHED THEN INSERT (k, x) VALUES (b.k, b.y)"
    )
    assert aws.count(merge) == 2
    assert aws.count("UPDATE a SET x = 0 WHERE k = 2") == 1
    assert aws.rows("SELECT k, x FROM a ORDER BY 1") == [("1", "1"), ("2", "0"), ("3", "3")]


TYPES = [
    ("SELECT 1", "DML", "SELECT", ".csv"),
    (
        "CREATE TABLE x WITH (format = 'PARQUET') AS SELECT 1 AS a",
        "DDL",
        "CREATE_TABLE_AS_SELECT",
        "",
    ),
    ("SHOW TABLES", "UTILITY", "SHOW_TABLES", ".txt"),
    ("CREATE DATABASE d", "DDL", "CREATE_DATABASE", ".txt"),
    ("OPTIMIZE t REWRITE DATA USING BIN_PACK", "DDL", "OPTIMIZE", ".txt"),
    ("VACUUM t", "DML", "VACUUM_TABLE", ".txt"),
    ("EXPLAIN SELECT 1", "UTILITY", "EXPLAIN", ".txt"),
    ("INSERT INTO t SELECT 1", "DML", "INSERT", ""),
    ("DELETE FROM t", "DML", "DELETE", ".csv"),
]


def test_statement_types(aws: Aws) -> None:
    """StatementType, SubstatementType and the result file's name are Athena's (athena-local, statements)."""
    aws.iceberg("t", "SELECT 1 AS a")
    for sql, type_, subtype, suffix in TYPES:
        execution = aws.run(sql)
        assert (execution["StatementType"], execution["SubstatementType"]) == (type_, subtype)
        location = execution["ResultConfiguration"]["OutputLocation"]
        assert location.endswith(f"{execution['QueryExecutionId']}{suffix}"), sql


def test_batch_get(aws: Aws) -> None:
    """BatchGetQueryExecution answers for fifty ids at most, and names those it does not know."""
    ids = [aws.start("SELECT 1") for _ in range(3)]
    for execution_id in ids:
        aws.wait(execution_id)
    athena = aws.client("athena")
    missing = str(uuid.uuid4())
    found = athena.batch_get_query_execution(QueryExecutionIds=[*ids, missing])
    assert [e["QueryExecutionId"] for e in found["QueryExecutions"]] == ids
    assert [e["QueryExecutionId"] for e in found["UnprocessedQueryExecutionIds"]] == [missing]
    many = [missing] * 51
    assert (
        code_of(aws, lambda: athena.batch_get_query_execution(QueryExecutionIds=many))
        == "INVALID_INPUT"
    )
    assert (
        code_of(aws, lambda: athena.get_query_execution(QueryExecutionId=missing))
        == "INVALID_INPUT"
    )


def test_list(aws: Aws) -> None:
    """ListQueryExecutions lists a workgroup, the newest first, in pages."""
    ids = [aws.run("SELECT 1")["QueryExecutionId"] for _ in range(3)]
    athena = aws.client("athena")
    first = athena.list_query_executions(MaxResults=2)
    assert first["QueryExecutionIds"] == [ids[2], ids[1]]
    rest = athena.list_query_executions(NextToken=first["NextToken"])
    assert rest["QueryExecutionIds"] == [ids[0]]


def test_pages_of_results(aws: Aws) -> None:
    """A page has a thousand rows at most, the first row of the first one is the header (AWS, API reference)."""
    execution = aws.run("SELECT n FROM UNNEST(sequence(1, 2500)) AS t(n)")
    asked = {"QueryExecutionId": execution["QueryExecutionId"]}
    athena = aws.client("athena")
    pages: list[list[str]] = []
    next_: dict[str, str] = {}
    while True:
        page = athena.get_query_results(**asked, **next_)
        pages.append([row["Data"][0]["VarCharValue"] for row in page["ResultSet"]["Rows"]])
        if "NextToken" not in page:
            break
        next_ = {"NextToken": page["NextToken"]}
    assert [len(page) for page in pages] == [1000, 1000, 501]
    assert pages[0][:2] == ["n", "1"]
    assert len(athena.get_query_results(**asked, MaxResults=7)["ResultSet"]["Rows"]) == 7


def test_results_are_typed_csv(aws: Aws) -> None:
    """The CSV quotes every value; null is nothing at all, and values look as Java writes them (athena-local, results)."""
    execution = aws.run(
        "SELECT CAST(NULL AS varchar) AS a, '' AS b, 'x\"y' AS c, 1e10 AS d, 1.5 AS e, true AS f, "
        "TIMESTAMP '2026-01-02 03:04:05.678' AS g, CAST('1.50' AS decimal(5, 2)) AS h, ARRAY[1, NULL] AS i"
    )
    # A byte array in an array is written as Java names it.
    assert aws.rows("SELECT ARRAY[to_utf8('a')]")[0][0] == "[[B@0]"
    bucket, _, key = execution["ResultConfiguration"]["OutputLocation"][5:].partition("/")
    body = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    header, row = body.splitlines()
    assert header == '"a","b","c","d","e","f","g","h","i"'
    assert row == ',"","x""y","1.0E10","1.5","true","2026-01-02 03:04:05.678","1.50","[1, null]"'
    result = aws.client("athena").get_query_results(QueryExecutionId=execution["QueryExecutionId"])
    info = result["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    assert [column["Type"] for column in info] == [
        "varchar", "varchar", "varchar", "double", "double", "boolean", "timestamp", "decimal", "array",
    ]  # fmt: skip
    assert (info[7]["Precision"], info[7]["Scale"]) == (5, 2)
    assert result["ResultSet"]["Rows"][1]["Data"][:2] == [{}, {"VarCharValue": ""}]


def test_update_counts(aws: Aws) -> None:
    """Statements that write have no rows, one column ``rows bigint`` and an UpdateCount (athena-local, results)."""
    aws.iceberg("t", "SELECT 1 AS a")
    execution = aws.run("INSERT INTO t SELECT 2 WHERE false")
    result = aws.client("athena").get_query_results(QueryExecutionId=execution["QueryExecutionId"])
    assert result["UpdateCount"] == 0
    assert result["ResultSet"]["Rows"] == []
    (column,) = result["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    assert (column["Name"], column["Type"]) == ("rows", "bigint")


def test_results_that_are_not_there(aws: Aws) -> None:
    """Results of a statement that runs, failed or was cancelled are refused, each in its way (athena-local, api)."""
    athena = aws.client("athena")

    def results(execution_id: str) -> str:
        return code_of(aws, lambda: athena.get_query_results(QueryExecutionId=execution_id))

    aws.endpoint.holds.hold(aws.id, stage="running")
    held = aws.start("SELECT 1")
    assert results(held) == "INVALID_QUERY_EXECUTION_STATE"
    athena.stop_query_execution(QueryExecutionId=held)
    aws.wait(held)
    assert results(held) == "RESULT_NOT_FOUND"
    failed = aws.start("SELECT * FROM missing")
    aws.wait(failed)
    assert results(failed) == "INVALID_QUERY_EXECUTION_STATE"
    ddl = aws.start("DROP TABLE missing")
    aws.wait(ddl)
    answer = athena.get_query_results(QueryExecutionId=ddl)
    assert answer["ResultSet"]["ResultSetMetadata"] == {}


def test_a_missing_bucket_is_not_noticed(aws: Aws) -> None:
    """A SELECT whose output bucket does not exist is reported as SUCCEEDED (athena-local, api)."""
    where = {"OutputLocation": "s3://no-such-bucket/"}
    execution = aws.run("SELECT 1", ResultConfiguration=where)
    asked = {"QueryExecutionId": execution["QueryExecutionId"]}
    code = code_of(aws, lambda: aws.client("athena").get_query_results(**asked))
    assert code == "RESULT_NOT_FOUND"


def test_concurrent_statements_are_limited(aws: Aws) -> None:
    """More DML than the quota is refused with a reason; DDL has a quota of its own, CTAS counts as DML (AWS, API reference; AWS, CTAS)."""
    aws.account.settings.dml_limit = 1
    aws.endpoint.holds.hold(aws.id, stage="running")
    aws.start("SELECT 1")
    athena = aws.client("athena")
    for sql in ("SELECT 2", "CREATE TABLE t AS SELECT 1 AS a"):
        with pytest.raises(athena.exceptions.TooManyRequestsException) as caught:
            aws.start(sql)
        assert caught.value.response["Reason"] == "CONCURRENT_QUERY_LIMIT_EXCEEDED"
    aws.run("SHOW TABLES")


def test_workgroup_with_enforced_location(aws: Aws) -> None:
    """An enforced location overrides the client's, and a Hive CTAS may not name its own (AWS, workgroups; AWS, CTAS)."""
    athena = aws.client("athena")
    place = f"s3://{aws.bucket}/enforced/"
    settings = {
        "ResultConfiguration": {"OutputLocation": place},
        "EnforceWorkGroupConfiguration": True,
    }
    athena.create_work_group(Name="enforced", Configuration=settings)
    execution = aws.run("SELECT 1", WorkGroup="enforced")
    assert execution["ResultConfiguration"]["OutputLocation"].startswith(place)
    sql = f"CREATE TABLE h WITH (format = 'PARQUET', external_location = '{aws.place('h')}') AS SELECT 1 AS a"
    assert "external_location" in aws.fails(sql, WorkGroup="enforced")["ErrorMessage"]
    iceberg = (
        f"CREATE TABLE i WITH (table_type = 'ICEBERG', is_external = false, location = '{aws.place('i')}') "
        "AS SELECT 1 AS a"
    )
    aws.run(iceberg, WorkGroup="enforced")


def test_workgroup_without_enforcement(aws: Aws) -> None:
    """A location that is not enforced is the default, and the client's wins."""
    athena = aws.client("athena")
    place = f"s3://{aws.bucket}/default/"
    settings = {
        "ResultConfiguration": {"OutputLocation": place},
        "EnforceWorkGroupConfiguration": False,
    }
    athena.create_work_group(Name="loose", Configuration=settings)
    own = aws.run("SELECT 1", WorkGroup="loose")
    assert own["ResultConfiguration"]["OutputLocation"].startswith(aws.results)
    given = aws.run("SELECT 1", WorkGroup="loose", ResultConfiguration={})
    assert given["ResultConfiguration"]["OutputLocation"].startswith(place)
    found = athena.get_work_group(WorkGroup="loose")["WorkGroup"]["Configuration"]
    assert found["ResultConfiguration"]["OutputLocation"] == place


def test_workgroup_with_managed_results(aws: Aws) -> None:
    """Results that Athena manages are read through GetQueryResults only (AWS, workgroups)."""
    athena = aws.client("athena")
    settings = {"ManagedQueryResultsConfiguration": {"Enabled": True}}
    athena.create_work_group(Name="managed", Configuration=settings)
    execution = aws.run("SELECT 7 AS n", WorkGroup="managed", ResultConfiguration={})
    assert "ResultConfiguration" not in execution
    asked = {"QueryExecutionId": execution["QueryExecutionId"]}
    rows = athena.get_query_results(**asked)["ResultSet"]["Rows"]
    assert rows[1]["Data"] == [{"VarCharValue": "7"}]
    assert "OutputLocation" in str(refused(aws, lambda: aws.start("SELECT 1", WorkGroup="managed")))


def test_workgroups_are_kept(aws: Aws) -> None:
    """Workgroups are created, changed, listed and deleted; a disabled one takes no statements."""
    athena = aws.client("athena")
    athena.create_work_group(Name="etl", Description="x")
    assert code_of(aws, lambda: athena.create_work_group(Name="etl")) == "INVALID_INPUT"
    updates = {"BytesScannedCutoffPerQuery": 10_000_000}
    athena.update_work_group(WorkGroup="etl", State="DISABLED", ConfigurationUpdates=updates)
    found = athena.get_work_group(WorkGroup="etl")["WorkGroup"]
    assert found["Configuration"]["BytesScannedCutoffPerQuery"] == 10_000_000
    assert "disabled" in str(refused(aws, lambda: aws.start("SELECT 1", WorkGroup="etl")))
    assert [g["Name"] for g in athena.list_work_groups()["WorkGroups"]] == ["primary", "etl"]
    athena.delete_work_group(WorkGroup="etl", RecursiveDeleteOption=True)
    assert code_of(aws, lambda: athena.get_work_group(WorkGroup="etl")) == "INVALID_INPUT"


def test_accounts_do_not_see_each_other(aws: Aws) -> None:
    """Statements, tokens and tables belong to one account."""
    other = Aws(endpoint=aws.endpoint, credentials=aws.endpoint.new_account())
    other.prepare()
    same = token()
    first = aws.start("SELECT 1", ClientRequestToken=same)
    assert other.start("SELECT 1", ClientRequestToken=same) != first
    aws.iceberg("t", "SELECT 1 AS a")
    assert "TABLE_NOT_FOUND" in other.fails("SELECT * FROM t")["ErrorMessage"]
    other.close()


def test_assumed_roles_belong_to_their_account(aws: Aws) -> None:
    """The credentials of AssumeRole reach the same account."""
    import boto3

    role = aws.client("iam").create_role(RoleName="etl", AssumeRolePolicyDocument="{}")["Role"]
    given = aws.client("sts").assume_role(
        RoleArn=role["Arn"], RoleSessionName="test", ExternalId="secret"
    )["Credentials"]
    athena = boto3.client(
        "athena",
        endpoint_url=aws.endpoint.url,
        region_name="us-east-1",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    execution = aws.run("SELECT 1")
    assert athena.list_query_executions()["QueryExecutionIds"] == [execution["QueryExecutionId"]]
    athena.close()

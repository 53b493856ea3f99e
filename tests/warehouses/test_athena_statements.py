"""Statements at Athena: each runs exactly once, whatever happens to calls and to processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from statsig_staging.errors import InterruptedLoadError, StepFailedError, WarehouseError
from statsig_staging.state import load_folder
from statsig_staging.warehouses.athena.failures import AwsError, AwsFailedError, Kind
from statsig_staging.warehouses.athena.requests import request_of, settings_of
from statsig_staging.warehouses.athena.statements import Statements
from tests.athena_endpoint.fixtures import Aws
from tests.warehouses.athena import (
    EXPERIMENT,
    FOLDER,
    LOAD,
    Pauses,
    a_connection,
    a_statement,
    fault,
    open_intents,
    ran,
    statements_of,
)

KINDS = (
    "throttle",
    "lose_answer",
    "error_after_effect",
    *(
        pytest.param(kind, marks=pytest.mark.slow)
        for kind in ("server_error", "kill", "expired_token")
    ),
)
INSERT = "INSERT INTO t VALUES (2)"


@pytest.fixture
def account(aws_environment: Aws) -> Aws:
    """An account with a table of one row."""
    aws_environment.iceberg("t", "SELECT 1 AS a")
    return aws_environment


@pytest.fixture
def statements(account: Aws) -> Iterator[Statements]:
    """What runs statements."""
    with statements_of(account) as found:
        yield found


def rows_of(aws: Aws) -> int:
    """Return the rows of the table."""
    ((count,),) = aws.rows("SELECT count(*) FROM t")
    return int(count or 0)


def in_a_thread(statements: Statements, *asked: Any) -> tuple[ThreadPoolExecutor, list[Any]]:
    """Begin to run statements at once, each in a thread of its own."""
    pool = ThreadPoolExecutor(len(asked))
    return pool, [pool.submit(statements.run, each) for each in asked]


def test_a_statement_says_what_it_did(account: Aws, statements: Statements) -> None:
    """Rows written, bytes, times and the place of the result come back, and the cost is counted."""
    account.iceberg("big", "SELECT n FROM UNNEST(sequence(1, 1000)) AS s(n)")
    sql = "INSERT INTO t SELECT CAST(n AS integer) FROM big"
    finished = statements.run(a_statement(sql))
    assert finished.rows == 1000
    assert finished.bytes_scanned > 0
    assert finished.engine_seconds > 0
    assert (finished.output_location or "").startswith(account.results)
    assert finished.cost.bytes_billed == 10_000_000
    assert finished.cost.dollars == pytest.approx(0.00005)
    assert statements.cost(LOAD) == statements.cost(LOAD, "results") == finished.cost
    assert statements.cost(LOAD, "other").statements == 0


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("CREATE TABLE u (a int) LOCATION '{place}' TBLPROPERTIES ('table_type'='ICEBERG')", None),
        ("UPDATE t SET a = 5", 1),
        ("DELETE FROM t WHERE a = 9", 0),
    ],
)
def test_rows_are_those_written(
    account: Aws, statements: Statements, sql: str, rows: int | None
) -> None:
    """Statements that write rows say how many, also none; DDL says nothing."""
    assert statements.run(a_statement(sql.format(place=account.place("u")))).rows == rows


def test_reads_leave_no_intent(account: Aws, statements: Statements) -> None:
    """A SELECT has a token and a place of its result, and nothing is written down about it."""
    finished = statements.run(a_statement("SELECT a FROM t", reads_only=True))
    assert finished.rows is None
    assert (finished.output_location or "").endswith(f"{finished.query_id}.csv")
    assert [len(each["token"]) for each in ran(account, "SELECT a FROM t")] == [64]
    keys = account.client("s3").list_objects_v2(Bucket=account.bucket, Prefix="statsig/")
    assert keys["KeyCount"] == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "operation", ["StartQueryExecution", "BatchGetQueryExecution", "GetQueryResults"]
)
def test_a_call_that_fails_is_made_again(
    account: Aws, statements: Statements, operation: str, kind: str
) -> None:
    """Whichever call fails, and however, the statement runs once and its rows are known."""
    fault(account, operation, kind, times=2)
    assert statements.run(a_statement(INSERT)).rows == 1
    (statement,) = ran(account, INSERT)
    assert statement["effects"] == 1
    assert rows_of(account) == 2
    assert open_intents(account) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_stop_that_fails_is_made_again(account: Aws, statements: Statements, kind: str) -> None:
    """However a stop fails, the statement is stopped in the end."""
    hold = account.endpoint.holds.hold(account.id, stage="commit", match="INSERT")
    pool, (running,) = in_a_thread(statements, a_statement(INSERT))
    with pool:
        account.endpoint.holds.held(account.id, hold)
        fault(account, "StopQueryExecution", kind, times=2)
        assert statements.stop_all() == 1
        with pytest.raises(InterruptedLoadError, match="step results was stopped"):
            running.result()
    (statement,) = ran(account, INSERT)
    assert (statement["state"], statement["effects"]) == ("CANCELLED", 0)
    assert open_intents(account) == []


def test_the_same_statement_is_not_run_again(account: Aws, statements: Statements) -> None:
    """Running a statement a second time returns what it did the first time; another attempt runs anew."""
    first = statements.run(a_statement(INSERT))
    assert statements.run(a_statement(INSERT)).query_id == first.query_id
    assert rows_of(account) == 2
    assert statements.run(a_statement(INSERT, attempt=2)).query_id != first.query_id
    assert rows_of(account) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"sql": "INSERT INTO t VALUES (3)"},
        {"purpose": "other"},
        {"load_id": "other"},
        {"experiment_id": "other"},
        {"attempt": 2},
        {"number": 2},
    ],
)
def test_tokens_tell_statements_apart(aws: Aws, change: dict[str, Any]) -> None:
    """Whatever differs, the token does; the service takes 32 to 128 bytes."""
    settings = settings_of(a_connection(aws))
    token = request_of(a_statement(INSERT), settings).token
    assert token == request_of(a_statement(INSERT), settings).token
    assert len(token) == 64
    assert request_of(a_statement(**{"sql": INSERT, **change}), settings).token != token


@pytest.mark.parametrize(
    "change",
    [{"workgroup": "other"}, {"database": "other"}, {"query_results": "s3://other-bucket/"}],
)
def test_tokens_tell_places_apart(aws: Aws, change: dict[str, Any]) -> None:
    """The same SQL in another workgroup or database, or with its result elsewhere, is another statement."""
    here, there = settings_of(a_connection(aws)), settings_of(a_connection(aws, **change))
    statement = a_statement(INSERT)
    assert request_of(statement, here).token != request_of(statement, there).token


def test_intents_lie_in_the_folder_of_the_load() -> None:
    """Intents are files of the load, so that they go with it."""
    assert load_folder(EXPERIMENT, LOAD) == FOLDER


FAILURES = [
    ("ICEBERG_COMMIT_ERROR: Failed to commit Iceberg update to table", 2, 233, "COMMIT_CONFLICT"),
    ("ICEBERG_OPTIMIZE_MORE_RUNS_NEEDED: run again", 2, 233, "MORE_RUNS_NEEDED"),
    ("ICEBERG_VACUUM_MORE_RUNS_NEEDED: run again", 2, 233, "MORE_RUNS_NEEDED"),
    ("ICEBERG_TOO_MANY_OPEN_PARTITIONS: 101", 2, 233, "TOO_MANY_PARTITIONS"),
    ("HIVE_TOO_MANY_OPEN_PARTITIONS: 101", 2, 1100, "TOO_MANY_PARTITIONS"),
    ("Query exhausted resources at this scale factor", 1, 5, "RESOURCES_EXHAUSTED"),
    ("Query timeout", 1, 210, "TIMED_OUT"),
    ("Query timed out after 30 minutes", 3, 206, "TIMED_OUT"),
    ("Please reduce your request rate. SlowDown", 1, 1403, "THROTTLED"),
    ("GENERIC_INTERNAL_ERROR: oops", 1, 9999, "TRANSIENT"),
    ("ICEBERG_CURSOR_ERROR: oops", 3, 233, "UNKNOWN"),
    ("DIVISION_BY_ZERO: /", 2, 1001, "WRONG_DATA"),
]


@pytest.mark.parametrize(("message", "category", "number", "kind"), FAILURES)
def test_failures_have_a_kind(
    account: Aws, statements: Statements, message: str, category: int, number: int, kind: str
) -> None:
    """What a statement fails with is told by type and text; step and query are named; the next attempt runs."""
    account.endpoint.holds.end(
        account.id,
        stage="running",
        match="INSERT",
        message=message,
        category=category,
        type=number,
    )
    with pytest.raises(AwsFailedError, match=r"step results \(query [0-9a-f-]{36}\): ") as caught:
        statements.run(a_statement(INSERT))
    assert caught.value.kind is Kind[kind]
    assert isinstance(caught.value, StepFailedError)
    assert caught.value.query_id == ran(account, INSERT)[0]["execution_id"]
    assert open_intents(account) == []
    statements.run(a_statement(INSERT, attempt=2))
    assert rows_of(account) == 2


DENIED = (
    "Insufficient permissions: User: arn:aws:sts::123456789012:assumed-role/staging/x is not authorized to "
    "perform: s3:PutObject on resource: arn:aws:s3:::lake/x because no identity-based policy allows it"
)


@pytest.mark.parametrize(
    ("message", "number", "kind", "said"),
    [
        (DENIED, 1501, "PERMISSION", "s3:PutObject on arn:aws:s3:::lake/x is missing; .*access policy"),
        ("PERMISSION_DENIED: no", 1500, "PERMISSION", "access policy"),
        ("TYPE_MISMATCH: a is varchar", 1002, "REFUSED", "correct the SQL"),
    ],
)  # fmt: skip
def test_refusals_have_a_kind(
    account: Aws, statements: Statements, message: str, number: int, kind: str, said: str
) -> None:
    """A statement that is refused for good ends with exit code 3, and says what is missing."""
    account.endpoint.holds.end(
        account.id, stage="running", match="INSERT", message=message, category=2, type=number
    )
    with pytest.raises(WarehouseError, match=said) as caught:
        statements.run(a_statement(INSERT))
    assert isinstance(caught.value, AwsError)
    assert caught.value.kind is Kind[kind]
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELEC 1", "REFUSED"),
        ("SELECT * FROM nothing", "MISSING"),
        ("SELECT nothing FROM t", "MISSING"),
    ],
)
def test_wrong_sql_is_refused(account: Aws, statements: Statements, sql: str, kind: str) -> None:
    """SQL that does not parse, or names what is not there, ends with exit code 3 and leaves nothing open."""
    with pytest.raises(WarehouseError, match="step results") as caught:
        statements.run(a_statement(sql))
    assert isinstance(caught.value, AwsError)
    assert caught.value.kind is Kind[kind]
    assert open_intents(account) == []


def test_a_missing_output_location_names_both_settings(account: Aws) -> None:
    """Where neither the connection nor the workgroup says where results go, both are named."""
    with statements_of(account, query_results=None) as statements:
        with pytest.raises(
            WarehouseError, match=r"connection\.query_results.*connection\.workgroup"
        ):
            statements.run(a_statement(INSERT))
        group = {"ResultConfigurationUpdates": {"OutputLocation": account.results}}
        account.client("athena").update_work_group(WorkGroup="primary", ConfigurationUpdates=group)
        assert statements.run(a_statement(INSERT, attempt=2)).rows == 1


def test_a_workgroup_may_keep_the_results(account: Aws) -> None:
    """With results that Athena manages, rows are known all the same."""
    account.client("athena").create_work_group(
        Name="managed",
        Configuration={"ManagedQueryResultsConfiguration": {"Enabled": True}},
    )
    with statements_of(account, query_results=None, workgroup="managed") as statements:
        finished = statements.run(a_statement(INSERT))
    assert (finished.rows, finished.output_location) == (1, None)


def test_a_full_queue_is_waited_for(account: Aws) -> None:
    """Where the account has no room for another statement, the policy waits long, and then the statement runs."""
    hold = account.endpoint.holds.hold(account.id, stage="running", match="SELECT 42")
    account.account.settings.dml_limit = 1
    first = account.start("SELECT 42")
    account.endpoint.holds.held(account.id, hold)

    class Until(Pauses):
        def __call__(self, seconds: float) -> None:
            super().__call__(seconds)
            if len(self.seconds) == 3:
                account.endpoint.holds.release(account.id)
                account.wait(first)

    pauses = Until()
    with statements_of(account, pauses=pauses) as statements:
        assert statements.run(a_statement(INSERT)).rows == 1
    assert len(pauses.seconds) == 3
    assert min(pauses.seconds) >= 2.0


def test_a_deadline_stops_the_statement(account: Aws, statements: Statements) -> None:
    """A statement that does not end in its time is stopped, and has no effect."""
    account.endpoint.holds.hold(account.id, stage="commit", match="INSERT")
    with pytest.raises(AwsFailedError, match="did not end in the time") as caught:
        statements.run(a_statement(INSERT), deadline=time.monotonic() + 0.3)
    assert caught.value.kind is Kind.TIMED_OUT
    assert [each["state"] for each in ran(account, INSERT)] == ["CANCELLED"]
    assert any("was stopped" in note for note in caught.value.__notes__)
    assert open_intents(account) == []


@pytest.mark.slow
def test_twenty_at_once_within_the_cap(account: Aws) -> None:
    """Twenty statements from twenty threads all run once, at most as many at once as the connection says."""
    account.account.settings.running_seconds = 0.3
    with statements_of(account, max_concurrent_queries=6) as statements:
        asked = [a_statement(f"INSERT INTO t VALUES ({n})", number=n) for n in range(20)]
        pool, running = in_a_thread(statements, *asked)
        with pool:
            assert [each.result().rows for each in running] == [1] * 20
    documents = ran(account, "INSERT")
    assert [each["effects"] for each in documents] == [1] * 20
    assert rows_of(account) == 21
    moments = sorted(
        (moment, change)
        for each in documents
        for moment, change in ((each["history"][0][1], 1), (each["history"][-1][1], -1))
    )
    under_way = [sum(change for _, change in moments[: n + 1]) for n in range(len(moments))]
    assert max(under_way) <= 6
    assert open_intents(account) == []


def test_stopping_stops_all(account: Aws) -> None:
    """What runs and what waits for its turn is stopped, and counted; later statements run."""
    with statements_of(account, max_concurrent_queries=2) as statements:
        hold = account.endpoint.holds.hold(account.id, stage="commit", match="INSERT", times=3)
        asked = [a_statement(f"INSERT INTO t VALUES ({n})", number=n) for n in range(3)]
        pool, running = in_a_thread(statements, *asked)
        with pool:
            account.endpoint.holds.held(account.id, hold, statements=2)
            assert statements.stop_all() == 3
            for each in running:
                with pytest.raises(InterruptedLoadError):
                    each.result()
        assert [each["state"] for each in ran(account, "INSERT")] == ["CANCELLED"] * 2
        account.endpoint.holds.release(account.id)
        assert statements.run(a_statement(INSERT)).rows == 1
        assert statements.stop_all() == 0
    assert rows_of(account) == 2
    assert open_intents(account) == []


@pytest.fixture
def _interrupts() -> Iterator[None]:
    """SIGINT is a KeyboardInterrupt, also in a process that a shell has started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interrupts")
def test_an_interrupt_stops_the_statement(account: Aws, statements: Statements) -> None:
    """Ctrl-C while a statement runs leaves none running, and says so."""
    hold = account.endpoint.holds.hold(account.id, stage="commit", match="INSERT")

    def interrupt() -> None:
        account.endpoint.holds.held(account.id, hold)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt) as caught:
        statements.run(a_statement(INSERT))
    thread.join()
    assert [each["state"] for each in ran(account, INSERT)] == ["CANCELLED"]
    assert "was stopped" in caught.value.__notes__[0]
    assert open_intents(account) == []


def test_a_start_without_an_answer_leaves_nothing_running(
    account: Aws, statements: Statements
) -> None:
    """Where the service never says the id of a statement that it has started, the statement is stopped after all."""
    hold = account.endpoint.holds.hold(account.id, stage="commit", match="INSERT")
    fault(account, "StartQueryExecution", "lose_answer", times=8)
    with pytest.raises(AwsFailedError) as caught:
        statements.run(a_statement(INSERT))
    assert caught.value.kind is Kind.TRANSIENT
    assert account.endpoint.holds.held(account.id, hold)
    assert [each["state"] for each in ran(account, INSERT)] == ["CANCELLED"]
    assert open_intents(account) == []


def test_what_could_not_be_stopped_is_settled_later(account: Aws, statements: Statements) -> None:
    """Where even that fails the error says so, and the intent stays for whoever settles it."""
    account.endpoint.holds.hold(account.id, stage="commit", match="INSERT")
    fault(account, "StartQueryExecution", "lose_answer", times=11)
    with pytest.raises(AwsFailedError) as caught:
        statements.run(a_statement(INSERT))
    assert "may still run" in caught.value.__notes__[0]
    assert len(open_intents(account)) == 1
    assert statements.settle(FOLDER) == 1
    assert [each["state"] for each in ran(account, INSERT)] == ["CANCELLED"]
    assert open_intents(account) == []


CHILD = """
import sys
from statsig_staging.warehouses.athena.clients import open_clients
from statsig_staging.warehouses.athena.requests import settings_of
from statsig_staging.warehouses.athena.statements import Statements
from statsig_staging.config import AthenaConnection
from tests.warehouses.athena import Files, a_statement

connection = AthenaConnection.model_validate_json(sys.argv[1])
clients = open_clients(connection)
files = Files(clients.s3, connection.bucket)
Statements(clients, files, settings_of(connection)).run(a_statement(sys.argv[2]))
"""


def a_dead_process(account: Aws, stage: str) -> None:
    """Have a process killed while its statement is held at a stage."""
    hold = account.endpoint.holds.hold(account.id, stage=stage, match="INSERT")
    connection = a_connection(account).model_dump_json()
    with subprocess.Popen([sys.executable, "-c", CHILD, connection, INSERT]) as child:
        account.endpoint.holds.held(account.id, hold, seconds=60)
        child.kill()


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["queued", "running", "commit"])
def test_a_dead_process_can_no_longer_commit(
    account: Aws, statements: Statements, stage: str
) -> None:
    """After settling, a statement of a process that was killed has not committed, and never will."""
    a_dead_process(account, stage)
    assert statements.settle(FOLDER) == 1
    account.endpoint.holds.release(account.id)
    (statement,) = ran(account, INSERT)
    assert (statement["state"], statement["effects"], statement["repeats"]) == ("CANCELLED", 0, 1)
    assert rows_of(account) == 1
    assert open_intents(account) == []
    assert statements.settle(FOLDER) == 0


@pytest.mark.slow
def test_settling_waits_for_what_commits_already(account: Aws, statements: Statements) -> None:
    """A statement that can no longer be stopped is waited for; whatever it did was done before settling ended."""
    a_dead_process(account, "end")
    with ThreadPoolExecutor(1) as pool:
        settling = pool.submit(statements.settle, FOLDER)
        while not account.endpoint.calls.of(account.id, "athena", "StopQueryExecution"):
            time.sleep(0.02)
        assert not settling.done()
        account.endpoint.holds.release(account.id)
        assert settling.result(20) == 1
    assert [each["state"] for each in ran(account, INSERT)] == ["SUCCEEDED"]
    assert open_intents(account) == []


@pytest.mark.parametrize("operation", ["StartQueryExecution", "StopQueryExecution", "BatchGetQueryExecution"])  # fmt: skip
@pytest.mark.parametrize("kind", KINDS)
def test_settling_survives_faults(
    account: Aws, statements: Statements, operation: str, kind: str
) -> None:
    """Whichever call of settling fails, the statement is stopped in the end."""
    leave_one_behind(account, statements)
    fault(account, operation, kind, times=2)
    assert statements.settle(FOLDER) == 1
    (statement,) = ran(account, INSERT)
    assert (statement["state"], statement["effects"]) == ("CANCELLED", 0)
    assert open_intents(account) == []


@pytest.mark.parametrize("operation", ["StartQueryExecution", "StopQueryExecution", "BatchGetQueryExecution"])  # fmt: skip
def test_settling_that_fails_leaves_the_intent(
    account: Aws, statements: Statements, operation: str
) -> None:
    """Where settling cannot be done it says so, and the next one does it."""
    leave_one_behind(account, statements)
    fault(account, operation, "refuse", code="AccessDeniedException", message="no")
    with pytest.raises(WarehouseError, match="access policy"):
        statements.settle(FOLDER)
    assert len(open_intents(account)) == 1
    assert statements.settle(FOLDER) == 1
    assert open_intents(account) == []
    (statement,) = ran(account, INSERT)
    assert statement["effects"] == 0


def leave_one_behind(account: Aws, statements: Statements) -> None:
    """Leave a statement running as a dead process would, held before its commit."""
    account.endpoint.holds.hold(account.id, stage="commit", match="INSERT")
    fault(account, "StartQueryExecution", "lose_answer", times=11)
    with pytest.raises(AwsFailedError):
        statements.run(a_statement(INSERT))


def test_a_statement_that_is_no_longer_accepted_has_ended(
    account: Aws, statements: Statements
) -> None:
    """An intent whose request the service refuses as such is closed; nothing of it can run."""
    fault(account, "StartQueryExecution", "kill", times=11)
    with pytest.raises(AwsFailedError):
        statements.run(a_statement(INSERT))
    assert len(open_intents(account)) == 1
    fault(
        account,
        "StartQueryExecution",
        "refuse",
        code="InvalidRequestException",
        message="Unable to verify/create output bucket gone",
    )
    assert statements.settle(FOLDER) == 0
    assert open_intents(account) == []
    assert ran(account, INSERT) == []


def test_the_budget_of_a_load_stops_the_next_statement(account: Aws) -> None:
    """Once a load has scanned its bytes it starts nothing more, and says bytes, price and setting."""
    with statements_of(account, max_bytes_per_load=1) as statements:
        statements.run(a_statement("SELECT * FROM t", reads_only=True))
        said = r"has scanned .* for US\$ 0\.00005, and connection\.max_bytes_per_load is 1 B"
        with pytest.raises(StepFailedError, match=said):
            statements.run(a_statement(INSERT))
        statements.run(a_statement("SELECT * FROM t", reads_only=True, load_id="another"))
    assert ran(account, INSERT) == []


def test_a_statement_that_scans_too_much_is_stopped(account: Aws) -> None:
    """A statement that has scanned more than the connection allows does not go on."""
    account.endpoint.holds.hold(account.id, stage="commit", match="INSERT")
    with statements_of(account, max_bytes_per_query=1) as statements:
        with pytest.raises(
            AwsFailedError, match=r"connection\.max_bytes_per_query is 1 B"
        ) as caught:
            statements.run(a_statement("INSERT INTO t SELECT a FROM t"))
        assert caught.value.kind is Kind.BYTES_CUTOFF
        assert statements.cost(LOAD).bytes_scanned > 1
    assert [each["state"] for each in ran(account, "INSERT")] == ["CANCELLED"]
    assert open_intents(account) == []


def test_a_statement_that_scanned_too_much_is_told_after(account: Aws) -> None:
    """A statement that ended before anybody saw what it scanned fails all the same."""
    with (
        statements_of(account, max_bytes_per_query=1) as statements,
        pytest.raises(AwsFailedError, match="max_bytes_per_query"),
    ):
        statements.run(a_statement("SELECT a FROM t", reads_only=True))
    assert [each["state"] for each in ran(account, "SELECT a FROM t")] == ["SUCCEEDED"]

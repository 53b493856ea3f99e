"""The policy against what the engine does: every call is recorded, IAM's rules are applied to each."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlglot import exp

import statsig_staging as staging
from statsig_staging.doctor import examine
from statsig_staging.doctor.checks import Outcome
from statsig_staging.errors import WarehouseError
from statsig_staging.warehouses.athena.warehouse import open_athena
from statsig_staging.warehouses.base import Sighting
from tests import plain
from tests.athena_endpoint.fixtures import DATABASE
from tests.athena_loads import THROUGH, Case
from tests.guarded import GuardedWorld, guarded
from tests.iam import Need, allows, refused, without
from tests.plain import day

if TYPE_CHECKING:
    from collections.abc import Iterator

    from statsig_staging.config import AthenaConnection
    from tests.athena_endpoint.server import Endpoint

EVENT = {"user_id": "u1", "timestamp": "2024-06-03 10:00:00", "event_name": "visit"}
UNUSED = {("StagingTables", "glue:BatchGetPartition"): "Athena, reading forwarded data"}
"""Statement and action → what needs it that is not played here."""


@dataclass(frozen=True)
class Recording:
    """What was recorded of the role and of its user, and the policy of the role."""

    needs: tuple[Need, ...]
    denied: tuple[Need, ...]
    policy: dict[str, Any]
    of_user: tuple[Need, ...]


def partitioned_table(world: GuardedWorld) -> str:
    """Create a Hive table with one partition; return its name."""
    aws = world.aws
    glue, where = aws.client("glue"), f"s3://{world.lake}/sources/visits/"
    serde = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    storage = {
        "Columns": [{"Name": "ts", "Type": "timestamp"}],
        "Location": where,
        "SerdeInfo": {"SerializationLibrary": serde},
    }
    table = {
        "Name": "visits",
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE"},
        "PartitionKeys": [{"Name": "ds", "Type": "string"}],
        "StorageDescriptor": storage,
    }
    glue.create_table(DatabaseName=DATABASE, TableInput=table)
    part = {"Values": ["2024-06-03"], "StorageDescriptor": {**storage, "Location": f"{where}d/"}}
    glue.create_partition(DatabaseName=DATABASE, TableName="visits", PartitionInput=part)
    rows = pa.table({"ts": pa.array([plain.at(0, 1)], pa.timestamp("ms"))})
    data = io.BytesIO()
    pq.write_table(rows, data)
    aws.client("s3").put_object(
        Bucket=world.lake, Key="sources/visits/d/a.parquet", Body=data.getvalue()
    )
    return f"{DATABASE}.visits"


def play(case: Case) -> None:
    """Load, load again, look, compare, forward, fail, tidy up and clean, as the role."""
    with case.connect() as engine:
        engine.run("123", through=day(2))
    case.disturb()
    case.load()
    with case.connect() as engine:
        engine.plan("123", through=THROUGH)
        engine.status("123")
        engine.results("123")
        engine.maintain("123")
        engine.reconcile("123")
        engine.forward_events([EVENT])
        engine.forward_events([EVENT, {**EVENT, "timestamp": "2024-06-04 00:00:00"}])
    fail(case)
    with case.connect() as engine:
        engine.clean("123")
    found = list(examine(staging.load_project(case.world.folder)))
    assert [each.line() for each in found if each.outcome is Outcome.FAILED] == []


def fail(case: Case) -> None:
    """Lose a statement on the way, so that it is stopped; and miss a table."""
    aws = case.aws
    case.disturb()
    aws.endpoint.holds.hold(aws.id, stage="running", match="unit_day_exposures_123")
    aws.endpoint.faults.add(
        account=aws.id,
        service="athena",
        operation="BatchGetQueryExecution",
        kind="refuse",
        code="InvalidRequestException",
    )
    with case.connect() as engine, pytest.raises(staging.StagingError):
        engine.run("123", through=THROUGH)
    aws.endpoint.holds.clear(aws.id)


def look(connection: AthenaConnection, table: str) -> None:
    """Look at a partitioned source and read it, and at one that is not there."""
    warehouse = open_athena(connection)
    try:
        warehouse.observe(Sighting(table=table, timestamp="ts"), {})
        warehouse.fetch(query_of(table))
        with pytest.raises(WarehouseError, match="visits"):
            warehouse.observe(Sighting(table=f"{DATABASE}.visit", timestamp="ts"), {})
    finally:
        warehouse.close()


def query_of(table: str) -> exp.Query:
    """Return a query over a source table."""
    database, _, name = table.partition(".")
    return exp.select("ts").from_(exp.table_(name, db=database, quoted=True))


@pytest.fixture(scope="module")
def recording(
    athena_endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Recording]:
    """A project that lives from its first load to its end, by keys that may do what the policy says."""
    with guarded(athena_endpoint, tmp_path_factory.mktemp("recorded") / "p") as found:
        table = partitioned_table(found.world)
        play(Case(found.aws, found.world))
        look(found.connection, table)
        assert found.role.policy is not None
        assert found.user.policy is not None
        yield Recording(
            needs=tuple(found.role.needs),
            denied=tuple(found.role.denied),
            policy=dict(found.role.policy),
            of_user=tuple(found.user.needs),
        )


@pytest.mark.slow
def test_everything_that_is_called_is_allowed(recording: Recording) -> None:
    """Every call, and everything that Athena does in the engine's name, is allowed by the policy.

    What the doctor tries to have refused is not among it.
    """
    assert len(recording.needs) > 100
    assert refused(recording.policy, recording.needs) == []
    denied = {need.action for need in recording.denied}
    assert denied == {"s3:PutObject", "glue:UpdateTable", "glue:DeleteTable"}
    assert {need.why for need in recording.denied} <= {
        "s3.CreateMultipartUpload",
        "glue.UpdateTable",
        "glue.DeleteTable",
    }


@pytest.mark.slow
def test_the_user_only_becomes_the_role(recording: Recording) -> None:
    """Whoever's keys the engine runs with needs nothing but to assume the role."""
    assert {need.action for need in recording.of_user} == {"sts:AssumeRole"}


@pytest.mark.slow
def test_every_action_is_needed(recording: Recording) -> None:
    """Without any one action of any one statement something is refused; the rest are listed with their reasons."""
    unneeded = {
        (statement["Sid"], action)
        for statement in recording.policy["Statement"]
        for action in statement["Action"]
        if not refused(without(recording.policy, statement["Sid"], action), recording.needs)
    }
    assert unneeded == UNUSED.keys()


@pytest.mark.slow
def test_every_resource_is_needed(recording: Recording) -> None:
    """Without any one resource of any one statement something is refused.

    The catalog stands in each statement of Glue, so that each is whole by itself.
    """
    unneeded = set()
    for statement in recording.policy["Statement"]:
        for resource in statement["Resource"]:
            left = [each for each in statement["Resource"] if each != resource]
            others = [each for each in recording.policy["Statement"] if each is not statement]
            policy = {"Statement": [*others, {**statement, "Resource": left}]}
            if all(allows(policy, need) for need in recording.needs):
                unneeded.add((statement["Sid"], resource.split(":", 5)[5]))
    assert unneeded == {("SourceTables", "catalog"), ("DefaultDatabase", "catalog")}


@pytest.mark.slow
def test_nothing_is_written_outside(recording: Recording) -> None:
    """No write was even asked for outside the folder, the results and the staging database."""
    writes = [
        need
        for need in recording.needs
        if need.action.startswith(("s3:Put", "s3:Delete", "s3:Abort"))
        or need.action in {"glue:CreateTable", "glue:UpdateTable", "glue:DeleteTable"}
    ]
    places = {need.resource.split(":", 5)[5] for need in writes}
    outside = {
        place
        for place in places
        if "/statsig/" not in place
        and "/results/" not in place
        and "/statsig_staging" not in place
        and place != "catalog"
    }
    assert outside == set()

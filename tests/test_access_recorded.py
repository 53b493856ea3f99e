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
from statsig_staging.access.permissions import engine_policy
from statsig_staging.access.policy import document
from statsig_staging.access.scope import scope_of
from statsig_staging.config import AthenaConnection
from statsig_staging.errors import WarehouseError
from statsig_staging.warehouses.athena.warehouse import open_athena
from statsig_staging.warehouses.base import Sighting
from tests import plain
from tests.athena_endpoint.accounts import new_credentials
from tests.athena_endpoint.fixtures import DATABASE, Aws
from tests.athena_endpoint.gate import Gate
from tests.athena_loads import THROUGH, Case
from tests.athena_worlds import AthenaWorld, account_of, glue_of, in_environment
from tests.iam import Need, allows, refused, without
from tests.plain import day, event, exposure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.athena_endpoint.server import Endpoint

KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"

UNUSED = {
    ("StagingTables", "glue:GetPartitions"): "forwarded data, registered by day",
    ("StagingTables", "glue:BatchGetPartition"): "Athena, reading forwarded data",
    ("StagingTables", "glue:BatchCreatePartition"): "forwarded data, registered by day",
    ("QueryResults", "s3:DeleteObject"): "the doctor, which removes the results of its queries",
}
"""Statement and action → what needs it that is not played here."""


class GuardedWorld(AthenaWorld):
    """A world whose project has a key, and whose sources lie in a bucket of their own."""

    @property
    def lake(self) -> str:
        """The bucket of the sources."""
        return f"company-{self.aws.id}"

    def _create(self, name: str) -> None:
        schema = self.sources[name].table([]).schema
        place = f"s3://{self.lake}/sources/{name}"
        glue_of(self.aws).create_table(self._name(name), schema, location=place)

    def definition(self, folder: str = "statsig") -> dict[str, Any]:
        found = super().definition(folder)
        more = {
            "kms_key": KEY,
            "read_only": [{"database": DATABASE, "locations": [f"s3://{self.lake}/sources/"]}],
        }
        return {**found, "connection": {**found["connection"], **more}}


@dataclass(frozen=True)
class Recording:
    """What was recorded, and the policy that it was recorded under."""

    needs: tuple[Need, ...]
    policy: dict[str, Any]


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
    """Load, load again, look, fail, tidy up and clean, as the role."""
    with case.connect() as engine:
        engine.run("123", through=day(2))
    case.disturb()
    case.load()
    with case.connect() as engine:
        engine.plan("123", through=THROUGH)
        engine.status("123")
        engine.results("123")
        engine.maintain("123")
    fail(case)
    with case.connect() as engine:
        engine.clean("123")


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
    with account_of(athena_endpoint) as aws:
        aws.client("s3").create_bucket(Bucket=f"company-{aws.id}")
        world = GuardedWorld.open(
            plain.definitions().spelled_out(), tmp_path_factory.mktemp("recorded") / "p", aws
        )
        for number in range(3):
            world.add("exposures", [exposure(f"u{number}", plain.GROUPS[number % 2], number, 1)])
            world.add("events", [event(f"u{n}", number, 2, 1.5 + number) for n in range(4)])
            world.add("events", [event(f"waiting{n}", number, 6, n + 0.5) for n in range(200)])
        connection = AthenaConnection.model_validate(world.definition()["connection"])
        policy = document(engine_policy(connection, scope_of(connection, aws.id)))
        keys = new_credentials(aws.id)
        gate = Gate(aws.id, policy, kms_key=KEY)
        athena_endpoint.gates[keys.access_key] = gate
        assert isinstance(world, GuardedWorld)
        table = partitioned_table(world)
        with in_environment(Aws(endpoint=athena_endpoint, credentials=keys)):
            play(Case(aws, world))
            look(connection, table)
        yield Recording(tuple(gate.needs), policy)


@pytest.mark.slow
def test_everything_that_is_called_is_allowed(recording: Recording) -> None:
    """Every call, and everything that Athena does in the engine's name, is allowed by the policy."""
    assert len(recording.needs) > 100
    assert refused(recording.policy, recording.needs) == []


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

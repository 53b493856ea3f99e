"""Forwarding on AWS: objects and a plain table in Glue, as they are on the local disk."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import statsig_staging as staging
from statsig_staging.errors import WarehouseError
from statsig_staging.forwarded import Kind, forwarded_table
from statsig_staging.warehouses import open_warehouse
from tests.athena_endpoint.fixtures import REGION, Aws
from tests.athena_worlds import STAGING, athena_connection, in_environment
from tests.forwards import DAY, Row, a_file, a_project, accepted, events, ndjson, opened, rows_of
from tests.test_forwarding import play_batches


def on_aws(aws: Aws, folder: Path, **more: Any) -> staging.Project:
    """Return a project in an account of the endpoint."""
    glue = aws.client("glue")
    if STAGING not in {each["Name"] for each in glue.get_databases()["DatabaseList"]}:
        glue.create_database(DatabaseInput={"Name": STAGING})
    return a_project(folder, connection=athena_connection(aws), **more)


def rows_on_aws(project: staging.Project, kind: Kind = Kind.EVENTS) -> list[Row]:
    """Return the rows of the accepted objects."""
    warehouse = open_warehouse(project)
    try:
        return rows_of(warehouse, project, kind)
    finally:
        warehouse.close()


def writes(aws: Aws, since: int = 0) -> Counter[str]:
    """Return how often each call of Glue was made that writes."""
    calls = aws.endpoint.calls.of(aws.id)[since:]
    return Counter(
        call.operation
        for call in calls
        if call.service == "glue" and not call.operation.startswith("Get")
    )


def test_the_same_rows_as_on_the_local_disk(aws: Aws, tmp_path: Path) -> None:
    """Batches that overlap come to the same rows, and Athena reads them by day."""
    rows = events(60, days=3)
    with in_environment(aws), opened(on_aws(aws, tmp_path)) as engine:
        first = engine.forward_events(rows[:40])
        again = engine.forward_events(a_file(tmp_path, rows[20:]))
        found = rows_on_aws(on_aws(aws, tmp_path))
    assert (first.accepted, again.accepted, again.duplicates) == (40, 20, 20)
    with opened(a_project(tmp_path / "local")) as local:
        local.forward_events(rows)
    assert found == accepted(a_project(tmp_path / "local"))
    day = f"DATE '{DAY.date()}'"
    count = f"SELECT count(*), count(company_id) FROM {STAGING}.events WHERE ds = {day}"
    on_day = sum(row["timestamp"].startswith(str(DAY.date())) for row in rows)
    assert aws.rows(count) == [(str(on_day), str(on_day))]


def test_a_prefix_of_s3_is_an_input(aws: Aws, tmp_path: Path) -> None:
    """Every object below a prefix is read, under its own name."""
    rows = events(20)
    for name, part in (("a.ndjson", rows[:10]), ("b.ndjson", rows[10:])):
        aws.client("s3").put_object(Bucket=aws.bucket, Key=f"logs/{name}", Body=ndjson(part))
    with in_environment(aws), opened(on_aws(aws, tmp_path)) as engine:
        receipt = engine.forward_events(f"s3://{aws.bucket}/logs/")
    assert [one.name for one in receipt.inputs] == [
        f"s3://{aws.bucket}/logs/a.ndjson",
        f"s3://{aws.bucket}/logs/b.ndjson",
    ]
    assert receipt.accepted == 20


def test_dates_are_registered_a_hundred_a_call(aws: Aws, tmp_path: Path) -> None:
    """250 dates take three calls that write partitions; loading them again takes none."""
    play_dates(aws, tmp_path, 250)


@pytest.mark.slow
def test_a_thousand_dates_take_ten_calls(aws: Aws, tmp_path: Path) -> None:
    """1,000 dates take ten calls that write partitions; loading them again takes none."""
    play_dates(aws, tmp_path, 1000)


def play_dates(aws: Aws, folder: Path, dates: int) -> None:
    """Forward a row for each of many dates, twice, and count the calls."""
    rows = [
        {"user_id": "u", "timestamp": (DAY - timedelta(days=number)).isoformat()}
        for number in range(dates)
    ]
    with in_environment(aws), opened(on_aws(aws, folder)) as engine:
        assert len(engine.forward_events(rows).days) == dates
        assert writes(aws) == {
            "CreateDatabase": 1,
            "CreateTable": 1,
            "BatchCreatePartition": -(-dates // 100),
        }
        before = len(aws.endpoint.calls.of(aws.id))
        assert engine.forward_events(rows).accepted == 0
        assert engine.forward_events([{**rows[0], "event_name": "more"}]).accepted == 1
        assert writes(aws, before) == {}


def test_new_columns_evolve_the_table(aws: Aws, tmp_path: Path) -> None:
    """A column that a later batch brings can be queried; rows from before have no value in it."""
    row = {"user_id": "u", "timestamp": DAY.isoformat(), "event_name": "visit"}
    with in_environment(aws), opened(on_aws(aws, tmp_path)) as engine:
        engine.forward_events([row])
        engine.forward_events([{**row, "plan": "pro"}])
    found = aws.rows(f"SELECT plan FROM {STAGING}.events ORDER BY plan NULLS FIRST")
    assert found == [(None,), ("pro",)]


def test_a_table_that_lies_elsewhere_is_left_alone(aws: Aws, tmp_path: Path) -> None:
    """A table of the name that is not in the staging folder is refused, and nothing is accepted."""
    project = on_aws(aws, tmp_path)
    place = {"Location": f"s3://{aws.bucket}/other/", "Columns": []}
    aws.client("glue").create_table(
        DatabaseName=STAGING, TableInput={"Name": "events", "StorageDescriptor": place}
    )
    with in_environment(aws), opened(project) as engine:
        with pytest.raises(WarehouseError, match="lies at"):
            engine.forward_events(events(3))
        assert rows_on_aws(project) == []
    assert forwarded_table(project.connection, Kind.EVENTS).name == "events"
    assert REGION


EXPERIMENT: dict[str, Any] = {
    "metrics": [
        {"name": "events", "type": "count", "source": "statsig_forwarded_events"},
        {
            "name": "value",
            "type": "sum",
            "source": "statsig_forwarded_events",
            "value": "CAST(event_value AS double)",
        },
    ],
    "experiments": [
        {
            "id": "123",
            "assignment_source": "statsig_forwarded_exposures",
            "unit": "user_id",
            "start": "2025-01-10",
            "end": "2025-01-12",
            "metrics": ["events", "value"],
        }
    ],
}


def test_a_load_reads_what_receipts_have_accepted(aws: Aws, tmp_path: Path) -> None:
    """An object beside the accepted ones is none of the source; results are those of the local disk."""
    day = {"timestamp": DAY.isoformat(), "experiment_id": "123"}
    exposures = [{**day, "user_id": f"u{n}", "group_id": "ab"[n % 2]} for n in range(20)]
    projects = [on_aws(aws, tmp_path, **EXPERIMENT), a_project(tmp_path / "local", **EXPERIMENT)]
    found = []
    with in_environment(aws):
        for project in projects:
            with opened(project) as engine:
                engine.forward_exposures(exposures)
                engine.forward_events(events(60, days=2))
                if project is projects[0]:
                    leave_a_stray_object(aws)
                engine.run("123")
                found.append(sorted(engine.results("123").to_pylist(), key=str))
                assert engine.run("123").status == "unchanged"
    assert found[0] == found[1]
    assert sum(row["total"] for row in found[0] if row["metric"] == "events") > 0


def test_objects_of_a_day_become_one(aws: Aws, tmp_path: Path) -> None:
    """A load reads the merged object and sees no change; others find each row again once old ones are gone."""
    project, rows = on_aws(aws, tmp_path, **EXPERIMENT), events(40)
    day = {"timestamp": DAY.isoformat(), "experiment_id": "123"}
    exposures = [{**day, "user_id": f"u{n}", "group_id": "ab"[n % 2]} for n in range(20)]
    every = f"SELECT count(*) FROM {STAGING}.events"
    distinct = f"SELECT count(*) FROM (SELECT DISTINCT * FROM {STAGING}.events)"
    with in_environment(aws), opened(project) as engine:
        engine.forward_exposures(exposures)
        for number in range(4):
            engine.forward_events(rows[number::4])
        engine.run("123")
        before = sorted(engine.results("123").to_pylist(), key=str)
        (merged,) = [done for done in engine.compact_forwarded() if done.merged]
        assert (merged.merged, merged.into, merged.waiting) == (4, 1, 4)
        assert engine.run("123").status == "unchanged"
        assert aws.rows(distinct) == [(str(len(rows)),)]
        assert sum(each.removed.files for each in engine.compact_forwarded()) == 0
        done = engine.compact_forwarded(grace=timedelta(0))
        assert sum(each.removed.files for each in done) == 4
        assert aws.rows(every) == [(str(len(rows)),)]
        assert engine.run("123").status == "unchanged"
        assert engine.forward_events(rows).accepted == 0
        engine.run("123", refresh="full")
        assert sorted(engine.results("123").to_pylist(), key=str) == before
        assert len(rows_on_aws(project)) == len(rows)


@pytest.mark.slow
def test_one_batch_or_many(aws: Aws, tmp_path: Path) -> None:
    """A day in shuffled batches that overlap and repeat comes to the rows of one batch on the local disk."""
    with in_environment(aws):
        play_batches(tmp_path, rows=300, batches=40, many=on_aws(aws, tmp_path / "many"))


def leave_a_stray_object(aws: Aws) -> None:
    """Put a copy of an accepted object beside it."""
    s3 = aws.client("s3")
    prefix = "statsig/statsig_forwarded_events/events/"
    key = s3.list_objects_v2(Bucket=aws.bucket, Prefix=prefix)["Contents"][0]["Key"]
    copy = key.replace(".parquet", "-again.parquet")
    s3.copy_object(Bucket=aws.bucket, Key=copy, CopySource={"Bucket": aws.bucket, "Key": key})

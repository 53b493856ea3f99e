"""The benchmarks: the data, the SQL by hand against the oracle, the comparison, the report."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchmarks import (
    athena_price,
    datasets,
    duckdb_by_hand,
    forwarding_s3,
    gates,
    ingestion,
    ours,
    polling,
    process,
    report,
    scenarios,
)
from benchmarks.answers import wrong_rows
from benchmarks.metrics import EXPERIMENT_ID, GROUPS, SETS
from benchmarks.process import show, shown
from benchmarks.scenarios import SCENARIOS, Limits, Measured, Outcome
from benchmarks.subjects import BY_HAND, OURS, PROGRAMS, Program
from statsig_staging import Project
from tests import oracle

SETTINGS = {"threads": "2"}
LIMITS = Limits(threads=2)
COST = Measured(
    seconds=2.0,
    cpu_seconds=3.0,
    process_seconds=2.5,
    peak_mb=100.0,
    bytes_read=10,
    statements=4,
    files_opened=1,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> datasets.Dataset:
    """The smallest scale."""
    return datasets.ensure(datasets.SCALES["XS"], root=tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def written_by_hand(dataset: datasets.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of a full load."""
    out = tmp_path_factory.mktemp("written_by_hand")
    files = {table: dataset.sources.files(table, dataset.days) for table in datasets.TABLES}
    duckdb_by_hand.load_days(files, out, days=dataset.days, settings=SETTINGS)
    return out


def rows(files: object) -> list[dict[str, Any]]:
    """Return the rows of Parquet files as dictionaries."""
    found = duckdb.connect().read_parquet(str(files), hive_partitioning=True)
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def expected(dataset: datasets.Dataset) -> oracle.Expected:
    """Return what the definitions say of three of the metrics."""
    source = dataset.sources.path
    exposures = [
        oracle.Exposure(
            row["user_id"],
            row["group_id"],
            row["experiment_id"],
            row["exposed_at"],
        )
        for row in rows(source / "exposures/*/*.parquet")
    ]
    events = [
        oracle.Event(row["user_id"], row["ts"], row) for row in rows(source / "events/*/*.parquet")
    ]
    purchase: dict[str, Any] = {
        "source": "events",
        "where": lambda row: row["event_name"] == "purchase",
    }
    revenue = oracle.Aggregate(
        kind="sum",
        value=lambda row: None if row["amount_cents"] is None else row["amount_cents"] / 100,
        **purchase,
    )
    visits = oracle.Aggregate(
        kind="count", source="events", where=lambda row: row["event_name"] == "visit"
    )
    buyers = oracle.Aggregate(kind="unit_count", **purchase)
    experiment = oracle.Experiment(
        id=EXPERIMENT_ID,
        start=dataset.days[0],
        end=dataset.days[-1],
        groups=GROUPS,
        metrics=(
            oracle.OracleMetric(name="purchasers", type="unit_count", numerator=buyers),
            oracle.OracleMetric(name="order_value", type="mean", numerator=revenue),
            oracle.OracleMetric(
                name="revenue_per_visit", type="ratio", numerator=revenue, denominator=visits
            ),
        ),
    )
    return oracle.expected(experiment, exposures, {"events": events}, through=dataset.days[-1])


def test_the_data_is_the_same_every_time(dataset: datasets.Dataset, tmp_path: Path) -> None:
    """Same rows in the same order, as many as the scale says, each in the folder of its day."""
    again = datasets.ensure(dataset.scale, root=tmp_path)

    for table, count in (("exposures", 600), ("events", 4_000)):
        for day in dataset.days:
            [first] = dataset.sources.files(table, [day])
            [second] = again.sources.files(table, [day])
            assert rows(first) == rows(second)
        assert len(rows(dataset.sources.path / table / "*/*.parquet")) == count


def test_data_is_made_once(dataset: datasets.Dataset) -> None:
    """A second request finds it."""
    [file] = dataset.sources.files("events", dataset.days[:1])
    root = dataset.sources.path.parent

    assert datasets.ensure(dataset.scale, root=root).sources.files("events", dataset.days[:1]) == [
        file
    ]


def test_by_hand_gives_the_answer_of_the_definitions(
    dataset: datasets.Dataset, written_by_hand: Path
) -> None:
    """The floor is measured on the same answer, crossovers and empty days included."""
    wanted = expected(dataset)
    metrics = {row["metric"] for row in wanted.results}
    results = [
        row for row in rows(written_by_hand / "results/*.parquet") if row["metric"] in metrics
    ]

    assert any(row["crossover"] for row in wanted.first_exposures)
    oracle.assert_close(results, wanted.results, table="results")
    for table in ("first_exposures", "exposures_summary"):
        found = rows(written_by_hand / f"{table}.parquet")
        oracle.assert_close(found, getattr(wanted, table), table=table)
    found = rows(written_by_hand / "unit_day_exposures/*/*.parquet")
    oracle.assert_close(found, wanted.unit_day_exposures, table="unit_day_exposures")


def test_by_hand_has_a_row_for_every_day_group_and_metric(
    dataset: datasets.Dataset, written_by_hand: Path
) -> None:
    """Two rollups, every day, two groups, ten metrics."""
    results = rows(written_by_hand / "results/*.parquet")

    assert len(results) == 2 * len(dataset.days) * 2 * 10
    assert {row["metric"] for row in results} == {metric.name for metric in SETS["ten"].metrics}


def test_by_hand_day_by_day_equals_all_at_once(
    dataset: datasets.Dataset, written_by_hand: Path, tmp_path: Path
) -> None:
    """The increments that `one_more_day` measures end where a full load does."""
    for day in dataset.days:
        files = {table: dataset.sources.files(table, [day]) for table in datasets.TABLES}
        duckdb_by_hand.load_days(files, tmp_path, days=(day,), settings=SETTINGS)

    answer = tmp_path / "answer.parquet"
    duckdb.read_parquet(str(tmp_path / "results/*.parquet")).write_parquet(str(answer))
    assert wrong_rows(answer, written_by_hand / f"results/{dataset.days[-1]}.parquet") == 0


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ("SELECT * FROM answer", 0),
        ("SELECT * REPLACE (total * (1 + 1e-12) AS total) FROM answer", 0),
        ("SELECT * REPLACE (total * (1 + 1e-6) AS total) FROM answer WHERE total > 0", 200),
        ("SELECT * REPLACE (units + 1 AS units) FROM answer", 200),
        ("SELECT * REPLACE ('NaN'::DOUBLE AS mean) FROM answer", 200),
        ("SELECT * FROM answer LIMIT 190", 10),
        ("FROM answer UNION ALL (FROM answer LIMIT 7)", 7),
    ],
)
def test_wrong_rows_are_counted(
    change: str, wrong: int, written_by_hand: Path, tmp_path: Path
) -> None:
    """Missing, additional and different rows count; rounding does not."""
    reference = written_by_hand / "results" / "2026-01-05.parquet"
    answer = tmp_path / "answer.parquet"
    with duckdb.connect() as connection:
        connection.read_parquet(str(reference)).create_view("answer")
        connection.sql(change).write_parquet(str(answer))

    assert wrong_rows(answer, reference) == wrong


@pytest.mark.parametrize(("name", "count"), [("nine", 9), ("ten", 10), ("hundred", 100)])
def test_our_project_has_the_metrics_of_the_sql_by_hand(name: str, count: int) -> None:
    """All subjects compute the same metrics under the same names."""
    connection = ours.embedded(LIMITS.settings() | {"memory_limit": "1GB"})
    project = Project.model_validate(ours.project(connection, "2026-01-05", SETS[name]))

    names = [metric.name for metric in project.metrics]
    assert names == [row[0] for row in SETS[name].rows()]
    assert len(set(names)) == count


def test_days_appear_one_after_the_other(dataset: datasets.Dataset, tmp_path: Path) -> None:
    """A subject sees the files of the days that exist so far, and no others."""
    loads = list(scenarios.loads_of(SCENARIOS["daily_loads"], OURS, dataset))
    counts = []
    for load in loads:
        show(tmp_path, load.added)
        counts.append(len(shown(tmp_path, "events", loads[-1].days)))

    assert counts == [1, 2, 3, 4, 5]
    assert [load.new_days for load in loads] == [(day,) for day in loads[-1].days]
    assert [load.is_full for load in loads] == [True, False, False, False, False]


def test_late_rows_come_one_load_late(dataset: datasets.Dataset) -> None:
    """Every day but the last has some, and all rows are there in the end."""
    loads = list(scenarios.loads_of(SCENARIOS["daily_loads_late"], OURS, dataset))

    assert [load.old_days_changed for load in loads] == [False, True, True, True, True]
    for table in datasets.TABLES:
        files = [file for load in loads for found in load.added[table].values() for file in found]
        every = rows(dataset.sources.path / table / "*/*.parquet")
        assert len(files) == 2 * len(dataset.days) - 1
        assert len([row for file in files for row in rows(file)]) == len(every)


def test_one_late_file_is_all_that_comes(dataset: datasets.Dataset) -> None:
    """One file of one day that was loaded before."""
    _, load = scenarios.loads_of(SCENARIOS["late_file"], OURS, dataset)

    [(table, days)] = load.added.items()
    assert (table, list(days)) == ("events", ["2026-01-03"])
    assert load.new_days == ()


def test_bytes_read_are_those_of_the_columns(dataset: datasets.Dataset) -> None:
    """Column by column they add up, and a column that is not there adds nothing."""
    files = dataset.sources.files("events", dataset.days)
    names = [name for name in rows(files[0])[0] if name != "ds"]

    apart = [datasets.column_bytes(files, [name]) for name in names]
    assert all(size > 0 for size in apart)
    assert datasets.column_bytes(files, [*names, "nowhere"]) == sum(apart)


def test_a_scenario_runs_in_fresh_processes(
    dataset: datasets.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last load counts, and its answer is compared."""
    monkeypatch.setattr(scenarios, "RUNS", tmp_path)
    scenario = replace(SCENARIOS["one_more_day"], subjects=(BY_HAND,))

    root = dataset.sources.path.parent
    [outcome] = scenarios.run_scenario(scenario, dataset.scale, LIMITS, root=root)

    assert outcome.wrong_rows == 0
    assert outcome.failure is None
    assert outcome.best.files_opened == 2
    assert outcome.best.seconds > 0
    assert list(tmp_path.iterdir()) == []


def test_the_record_has_the_documented_shape() -> None:
    """Other programs read these names."""
    outcomes = (
        Outcome(subject=OURS, runs=(COST, replace(COST, seconds=1.5)), wrong_rows=0),
        Outcome(subject="polars_by_hand", skipped="polars is not installed"),
    )
    record = report.record(SCENARIOS["nothing_changed"], "S", outcomes, LIMITS)

    assert (record["scenario"], record["scale"]) == ("nothing_changed", "S")
    subject = record["subjects"][OURS]
    documented = ("seconds", "bytes_read", "statements", "files_opened", "equal")
    assert [subject[name] for name in documented] == [1.5, 10, 4, 1, True]
    for name in (BY_HAND, "polars_by_hand"):
        assert "skipped" in record["subjects"][name]
        assert [record["subjects"][name][each] for each in documented] == [None] * 5
    assert json.loads(json.dumps(record)) == record
    assert report.succeeded([record])


def test_wrong_answers_and_failures_are_named() -> None:
    """Neither passes for a time."""
    outcomes = (
        Outcome(subject=OURS, runs=(COST,), wrong_rows=3),
        Outcome(subject=BY_HAND, runs=(), wrong_rows=0, failure="no memory"),
    )
    record = report.record(SCENARIOS["full_load"], "S", outcomes, LIMITS)

    assert not report.succeeded([record])
    table = report.markdown([record])
    assert "| 3 wrong rows |" in table
    assert "| failed |" in table


GATED = ("full_load", "one_more_day", "nothing_changed", "late_file", "new_metric")


@pytest.mark.slow
@pytest.mark.parametrize("name", GATED)
def test_a_load_costs_what_is_written_down(
    name: str, dataset: datasets.Dataset, tmp_path: Path
) -> None:
    """Statements, files, bytes and commits; rewrite: python -m benchmarks run --scale XS --update."""
    found = {name: gates.measure_here(name, dataset, tmp_path)}

    baseline = gates.read_baseline("XS")
    assert name in baseline["scenarios"]
    assert gates.differences(found, baseline) == []


def test_what_differs_from_a_baseline_is_named() -> None:
    """Counts exactly; what was written to two in a hundred."""
    known = {"statements": 8, "files_opened": 2, "commits": 9}
    known |= {"bytes_read": 1000, "bytes_written": 5000}
    baseline = {**gates.read_baseline("nowhere"), "scenarios": {"full_load": known}}

    assert gates.differences({"full_load": known}, baseline) == []
    assert gates.differences({"full_load": {**known, "bytes_written": 5090}}, baseline) == []
    more = {**known, "statements": 9, "bytes_written": 5200}
    assert gates.differences({"full_load": more, "one_more_day": more}, baseline) == [
        "full_load: statements is 9, and was 8",
        "full_load: bytes_written is 5,200, and was 5,000",
    ]


def test_a_missing_peer_is_named() -> None:
    """It says what is missing, and what to do."""
    nowhere = Program(module="none", environment="none", needs=("polars",))
    assert nowhere.missing() == "polars is not installed: make bench-peers"


def test_a_missing_command_is_named() -> None:
    """A peer that needs more than its packages says what."""
    without_java = Program(module="none", needs=("duckdb",), command="no-such-command")
    assert without_java.missing() == "no-such-command is not on the path"


def answered(scenario: str, subject: str, dataset: datasets.Dataset, folder: Path) -> int:
    """Return how many rows a peer has wrong; the test is skipped where the peer is not installed."""
    why = PROGRAMS[subject].missing()
    if why is not None:
        pytest.skip(why)
    found = SCENARIOS[scenario]
    reference = scenarios.reference_of(found, dataset, LIMITS, folder / "reference")
    scenarios.perform(found, subject, dataset, LIMITS, folder / subject)
    return wrong_rows(folder / subject / "answer.parquet", reference)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("subject", "scenario"),
    [
        ("sqlmesh_by_time_range", "one_more_day"),
        ("sqlmesh_by_time_range", "new_metric"),
        ("sqlmesh_by_time_range", "daily_loads"),
        ("sqlmesh_restated", "late_file"),
        ("pyspark_by_hand", "one_more_day"),
        ("dbt_duckdb_merge", "one_more_day"),
    ],
)
def test_a_peer_answers_as_the_sql_by_hand(
    subject: str, scenario: str, dataset: datasets.Dataset, tmp_path: Path
) -> None:
    """Where its documentation promises that it does."""
    assert answered(scenario, subject, dataset, tmp_path) == 0


@pytest.mark.slow
def test_a_late_file_is_not_seen_by_a_run(dataset: datasets.Dataset, tmp_path: Path) -> None:
    """Nothing is missing where a day is loaded that had a file less."""
    assert answered("late_file", "sqlmesh_by_time_range", dataset, tmp_path) > 0


def test_processes_that_run_below_are_counted() -> None:
    """What a child spends and holds is there while it runs."""
    spent, held = process.cpu_seconds(), process.peak_mb()
    code = "x = bytearray(80_000_000); sum(range(10_000_000)); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        before_the_end = process.cpu_seconds() - spent
        more_held = process.peak_mb() - held
        child.communicate(b"\n")

    if Path("/proc/self/status").exists():
        assert before_the_end > 0.05
        assert more_held > 80
    assert process.cpu_seconds() >= spent


def bill_of(*statements: tuple[str, str, str, int]) -> athena_price.Bill:
    """Return what statements of a state, type, subtype and size cost."""
    return athena_price.bill_of(
        [
            {
                "Status": {"State": state},
                "StatementType": kind,
                "SubstatementType": subtype,
                "Statistics": {"DataScannedInBytes": size},
            }
            for state, kind, subtype, size in statements
        ]
    )


def test_a_statement_costs_at_least_ten_megabytes() -> None:
    """By the megabyte, DDL for nothing."""
    assert bill_of() == athena_price.Bill(statements=0, bytes_scanned=0, dollars=0)
    bill = bill_of(
        ("SUCCEEDED", "DML", "INSERT", 7),
        ("SUCCEEDED", "DML", "SELECT", 20_000_001),
        ("SUCCEEDED", "DDL", "CREATE_TABLE", 0),
    )
    assert (bill.statements, bill.bytes_scanned) == (3, 20_000_008)
    assert bill.dollars == pytest.approx(31e6 / 1e12 * 5)


def test_a_billion_events_a_day_on_paper() -> None:
    """Bytes grow with events; without increments the n-th day scans n days."""
    size = {"bytes_read": 4_000_000, "statements": 1, "dollars": 0.0, "equal": True}
    records = [{"how": how, "scale": "XS", "subjects": {OURS: size}} for how in athena_price.LOADS]
    records[0]["subjects"] = {OURS: size, athena_price.RECOMPUTE: size}

    found = {each.what: each for each in athena_price.on_paper(records)}
    assert found[f"{OURS}: one_more_day"].bytes_scanned == 5e12
    assert found[f"{OURS}: 5 daily loads"].dollars == pytest.approx(125)
    assert found["5 days without increments"].bytes_scanned == 15e12
    assert "| one_more_day | XS |" in athena_price.markdown(records)


@pytest.mark.slow
def test_loads_are_billed_at_the_endpoint(
    dataset: datasets.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every answer is right; a further day scans less than everything."""
    monkeypatch.setattr(scenarios, "RUNS", tmp_path)
    records = athena_price.measure("XS", root=dataset.sources.path.parent)

    found = {record["how"]: record["subjects"][OURS] for record in records}
    assert list(found) == list(athena_price.LOADS)
    assert all(of["equal"] for of in found.values())
    assert found["one_more_day"]["bytes_read"] < found["full_load"]["bytes_read"]
    assert found["nothing_changed"]["statements"] <= 1


@pytest.mark.slow
def test_ingestion_is_compared_on_the_disk_and_on_s3() -> None:
    """Every subject writes the rows that it should, or is named as skipped."""
    records = ingestion.measure("XS")
    assert [record["how"] for record in records] == ["disk", "S3"]
    assert report.succeeded(records)
    assert set(records[1]["subjects"]) == {OURS, *forwarding_s3.AWSWRANGLER}
    assert len(ingestion.markdown(records).splitlines()) == 8


def test_two_runs_are_compared_by_subject(tmp_path: Path) -> None:
    """The second over the first, whatever else one of them holds."""
    for name, seconds in (("a", 2.0), ("b", 1.0)):
        outcomes = (Outcome(subject=OURS, runs=(replace(COST, seconds=seconds),), wrong_rows=0),)
        record = report.record(SCENARIOS["full_load"], "S", outcomes, LIMITS)
        report.write_lines([record], tmp_path / name)

    before, after = (report.read_lines(tmp_path / name) for name in ("a", "b"))
    table = report.comparison(before, after)
    assert f"| full_load | S | {OURS} | 2.00 | 1.00 | 0.50 | 1.00 | 1.00 |" in table
    assert report.comparison([], after).count("\n") == 1


def test_lengths_of_polled_statements() -> None:
    """Statements last from half a second to the longest of the scale, each longer by the same factor."""
    assert polling.lengths(3, 50.0) == pytest.approx([0.5, 5.0, 50.0])


@pytest.mark.slow
def test_polling_is_compared_in_one_run() -> None:
    """Alone and at once, every subject runs every statement, ours with at most five calls a second."""
    records = polling.measure("XS")
    assert [record["how"] for record in records] == ["alone", "20 at once"]
    for record, statements in zip(records, (16, 20), strict=True):
        subjects = record["subjects"]
        assert {subject["statements"] for subject in subjects.values()} == {statements}
        assert set(subjects) == {OURS, polling.PYATHENA, polling.AWSWRANGLER}
        assert all(subject["added_seconds"] >= 0 for subject in subjects.values())
        assert subjects[OURS]["polls_per_second"] <= 5
    assert len(polling.markdown(records).splitlines()) == 8

"""Bad input: every mistake has its own error or warning and exit code, and leaves what is published alone."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import statsig_staging as staging
from statsig_staging.results import LoadStarted
from tests.factories import ASSIGNMENT_SOURCE, METRIC_SOURCE, REVENUE
from tests.shop import (
    ANSWERS,
    CONFIG,
    DEFINITION,
    EVENTS,
    EXPOSURES,
    FAILED,
    REFUSED,
    Event,
    Exposure,
    Shop,
    as_csv,
    as_ndjson,
    at,
    events,
    exposures,
    parquet,
)

LONG = "x" * 1_000


def command(*args: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "statsig_staging", *args],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
    )


@pytest.fixture(scope="module")
def only_one(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A loaded project; nobody adds to what is published."""
    shop = Shop.open(tmp_path_factory.mktemp("shop"))
    shop.run()
    shop.remember()
    assert shop.answers() == ANSWERS
    return shop


@pytest.fixture
def loaded(only_one: Shop) -> Iterator[Shop]:
    """A loaded project; its files and its definition are as before after each test."""
    before = {path: path.read_bytes() for path in only_one.folder.glob("e*/*")}
    yield only_one
    for path in only_one.folder.glob("e*/*"):
        if path not in before:
            path.unlink()
    for path, content in before.items():
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
    only_one.configure()


@pytest.fixture
def fresh(tmp_path: Path) -> Shop:
    """A project that nothing is loaded of."""
    return Shop.open(tmp_path / "shop")


def sql(query: str) -> dict[str, Any]:
    """Return what makes the events a query."""
    return {"metric_sources__0__table": None, "metric_sources__0__sql": query}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metrics__0__valu": "x"}, ["metrics[0].valu", "unknown key"]),
        ({"connection__memory": "1GB"}, ["connection.memory", "memory_limit"]),
        (
            {"metrics__1__name": "purchases"},
            ["metrics[1].name", "duplicate name", "metrics[0].name"],
        ),
        ({"metrics__1__source": "event"}, ["metrics[1].source", "did you mean 'events'"]),
        ({"experiments__0__end": "2024-12-31"}, ["start 2025-01-01 is after end 2024-12-31"]),
        ({"experiments__0__start": "yesterday"}, ["experiments[0].start", "2026-01-31"]),
        ({"experiments__0__id": "a\nb"}, ["experiments[0].id", "control character"]),
        ({"experiments__0__id": LONG + "x"}, ["experiments[0].id", "longer than 1,000"]),
        ({"experiments__0__id": ""}, ["experiments[0].id", "empty"]),
        (sql(""), ["metric_sources[0].sql", "empty"]),
        (sql("SELECT 1; SELECT 2"), ["more than one statement"]),
        (sql("DROP TABLE shop.events"), ["not a SELECT"]),
        (sql("INSERT INTO shop.events SELECT 1"), ["not a SELECT"]),
        (sql("WITH x AS (SELECT 1) DELETE FROM shop.events"), ["not a SELECT"]),
        (sql("CREATE TABLE x AS SELECT 1"), ["not a SELECT"]),
        (sql("COPY shop.events TO 'x'"), ["not a SELECT"]),
        (sql("SELECT * FROM read_csv('/etc/passwd')"), ["no table"]),
        (sql("SELECT * FROM"), ["not SQL that Athena reads"]),
        ({"metric_sources__0__sql": "SELECT 1"}, ["exactly one of table and sql"]),
        ({"metrics__1__value": "sum(usd)"}, ["metrics[1].value", "aggregate"]),
        ({"metrics__0__filter": "kind = 'a'; DROP TABLE x"}, ["metrics[0].filter", "';'"]),
    ],
)
def test_configuration(loaded: Shop, changes: dict[str, Any], words: list[str]) -> None:
    """A mistake in the project's files is named with its place, exit code 2."""
    loaded.configure(**changes)
    loaded.refuses(CONFIG, "staging.yml", *words)


@pytest.mark.parametrize("setting", ["connection__path", "connection__temp_directory"])
def test_a_path_with_a_null_character(loaded: Shop, setting: str) -> None:
    """What can be no path is a mistake in the configuration."""
    loaded.configure(**{setting: "a\0b"})
    loaded.refuses(CONFIG, "staging.yml")


def test_all_mistakes_come_at_once(loaded: Shop) -> None:
    """Mistakes of several kinds are one error."""
    loaded.configure(
        metrics__0__valu="x", experiments__0__end="2024-12-31", metric_sources__0__sql="DROP"
    )
    loaded.refuses(CONFIG, "unknown key", "is after end", "is not a SELECT")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"through": datetime.now(UTC).date() + timedelta(days=2)}, ["in the future"]),
        ({"through": date(2024, 12, 31)}, ["starts on 2025-01-01", "2024-12-31"]),
        ({"refresh": "sometimes"}, ["'sometimes'", "incremental, full"]),
        ({"experiment": "124"}, ["no experiment '124'"]),
    ],
)
def test_arguments(loaded: Shop, options: dict[str, Any], words: list[str]) -> None:
    """Arguments that make no sense end with exit code 2."""
    loaded.refuses(CONFIG, *words, **options)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"assignment_sources__0__table": "shop.nope"}, ["shop.nope", "connection.sources"]),
        ({"metric_sources__0__table": "shop.nope"}, ["shop.nope", "shop.events"]),
        (sql("SELECT * FROM shop.nope"), ["shop.nope", "connection.sources"]),
        ({"connection__sources__shop.events": "nope/*"}, ["shop.events", "nope/*"]),
        ({"connection__sources__shop.exposures": ["nope/*", "none.csv"]}, ["nope/*, none.csv"]),
        ({"assignment_sources__0__timestamp": "nope"}, ["'exposures'", "timestamp", "'nope'"]),
        ({"assignment_sources__0__experiment_id": "nope"}, ["experiment_id", "'nope'"]),
        ({"assignment_sources__0__group_id": "nope"}, ["group_id", "'nope'"]),
        ({"assignment_sources__0__units": {"user_id": "nope"}}, ["units.user_id", "'nope'"]),
        ({"assignment_sources__0__context": {"c": "nope"}}, ["context.c", "'nope'"]),
        ({"metric_sources__0__timestamp": "nope"}, ["'events'", "timestamp", "'nope'"]),
        ({"metric_sources__0__timestamp": "tss"}, ["did you mean 'ts'"]),
        ({"metric_sources__0__units": {"user_id": "nope"}}, ["units.user_id", "'nope'"]),
        ({"metric_sources__0__columns": {"usd": "nope / 100"}}, ["'events'", "'nope'"]),
        ({"metrics__0__filter": "nope = 'x'"}, ["'events'", "'nope'", "columns: "]),
        ({"metrics__1__value": "usd + nope"}, ["'events'", "'nope'"]),
        (sql("SELECT nope, ts, user_id FROM shop.events"), ["'events'", "sql", "nope"]),
        (sql("SELECT user_id, kind FROM shop.events"), ["'events'", "timestamp", "'ts'"]),
    ],
)
def test_what_is_missing(loaded: Shop, changes: dict[str, Any], words: list[str]) -> None:
    """A missing table, file or column is named with the setting that asks for it, exit code 3."""
    loaded.configure(**changes)
    loaded.refuses(REFUSED, *words)


@pytest.mark.parametrize("source", ["assignment_sources", "metric_sources"])
def test_a_missing_partition_column(loaded: Shop, source: str) -> None:
    """The column that a table is laid out by is one of its columns, exit code 3."""
    loaded.configure(**{f"{source}__0__partition": {"column": "nope"}})
    loaded.refuses(REFUSED, "partition", "'nope'")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"assignment_sources__0__timestamp": "group_id"},
            ["'exposures'", "'group_id'", "varchar"],
        ),
        ({"assignment_sources__0__experiment_id": "exposed_at"}, ["experiment_id", "timestamp"]),
        ({"assignment_sources__0__group_id": "exposed_at"}, ["group_id", "'exposed_at'"]),
        ({"assignment_sources__0__units": {"user_id": "exposed_at"}}, ["units.user_id"]),
        ({"metric_sources__0__timestamp": "kind"}, ["'kind'", "varchar", "a timestamp or a date"]),
        ({"metric_sources__0__timestamp": "amount_cents"}, ["'amount_cents'", "double"]),
        ({"metric_sources__0__units": {"user_id": "amount_cents"}}, ["units.user_id", "double"]),
        ({"metric_sources__0__units": {"user_id": "loyal"}}, ["units.user_id", "boolean"]),
        ({"metric_sources__0__partition": {"column": "amount_cents"}}, ["partition", "double"]),
        ({"metric_sources__0__partition": {"column": "loyal"}}, ["partition", "boolean"]),
        ({"metrics__1__value": "kind"}, ["value 'kind'", "varchar", "a number"]),
        ({"metrics__1__value": "loyal"}, ["value 'loyal'", "boolean", "a number"]),
        ({"metrics__1__value": "ts"}, ["value 'ts'", "timestamp", "a number"]),
        ({"metrics__0__filter": "kind"}, ["filter 'kind'", "varchar", "a condition"]),
        ({"metrics__0__filter": "amount_cents"}, ["filter 'amount_cents'", "a condition"]),
        ({"metrics__0__filter": "amount_cents = 'x'"}, ["number", "varchar", "CAST"]),
        ({"metrics__0__filter": "frobnicate(kind) = 1"}, ["frobnicate"]),
    ],
)
def test_what_has_the_wrong_type(loaded: Shop, changes: dict[str, Any], words: list[str]) -> None:
    """A column or an expression of a type that cannot serve is named with its type, exit code 3."""
    loaded.configure(**changes)
    loaded.refuses(REFUSED, *words)


def test_a_group_that_is_a_boolean(loaded: Shop) -> None:
    """A group id is a string or an integer."""
    table = exposures(EXPOSURES).append_column("treated", pa.array([True, False, True]))
    loaded.put("exposures/a.parquet", table)
    loaded.configure(assignment_sources__0__group_id="treated")
    loaded.refuses(REFUSED, "group_id", "'treated'", "boolean")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "experiment", "groups", "refresh"),
    [
        (EXPOSURES, "124", None, "incremental"),
        (EXPOSURES, None, None, "full"),
        ([("u1", "A", at(3, 1))], "123", None, "full"),
        ([("u1", "A", datetime(2024, 12, 31, 23, 59, 59, 999999))], "123", None, "incremental"),  # noqa: DTZ001
        ([("u1", None, at(1, 1)), (None, "A", at(1, 1)), ("u1", "A", None)], "123", None, "full"),
        (EXPOSURES, "123", ["C", "D"], "full"),
        ([], "123", None, "incremental"),
    ],
    ids=["other id", "null id", "after", "before", "nulls", "unlisted", "no rows"],
)
def test_no_exposures(
    loaded: Shop,
    rows: list[Exposure],
    experiment: str | None,
    groups: list[str] | None,
    refresh: str,
) -> None:
    """An experiment without exposures is an error of its own, exit code 4."""
    loaded.put("exposures/a.parquet", exposures(rows, experiment))
    if groups:
        loaded.configure(experiments__0__groups=groups)
    loaded.refuses(FAILED, "experiment '123' has no exposures", "'exposures'", refresh=refresh)


GOOD = parquet(events(EVENTS))
ROW = "u1,2025-01-01 12:00:00,purchase,1000,true\n"
HEADER = "user_id,ts,kind,amount_cents,loyal\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("z.parquet", b""),
        ("z.parquet", b"PAR1"),
        ("z.parquet", GOOD[: len(GOOD) // 2]),
        ("z.parquet", GOOD[:-1]),
        ("z.parquet", GOOD[1:]),
        ("z.parquet", bytes(range(256)) * 8),
        ("z.parquet", (HEADER + ROW).encode()),
        ("z.csv", GOOD),
        ("z.csv", bytes(range(256)) * 8),
        ("z.csv", (HEADER + ROW + "u1,2025-01-01 12:00:00\n").encode()),
        ("z.csv", (HEADER + ROW + "Total: 1 row\n").encode()),
        ("z.csv", (HEADER + ROW + ROW.strip() + ",9,9\n").encode()),
        ("z.csv", (HEADER + '"u1,2025-01-01 12:00:00,purchase,1000,true\n').encode()),
        ("z.csv", HEADER.encode() + b"u\xff\xfe,2025-01-01 12:00:00,purchase,1000,true\n"),
        ("z.csv.gz", b"not gzip"),
        ("z.ndjson", b"hello {{{\n1,2\n"),
        ("z.ndjson", b'{"user_id": "u1", "ts": "2025-01-01T12:00:00"}\n{"user_id": "u1", "ts":'),
        ("z.ndjson", b"1\n2\n"),
        ("z.ndjson", b'[{"user_id": "u1"}]\n'),
        ("z.ndjson.gz", b"not gzip"),
    ],
)
def test_unreadable_files(loaded: Shop, name: str, content: bytes) -> None:
    """A file that is cut off, empty or not of its format is named, exit code 4."""
    path = loaded.put(f"events/{name}", content)
    loaded.refuses(FAILED, str(path), "cannot be read")


def test_unreadable_exposures(loaded: Shop) -> None:
    """A cut-off file of the assignment source is named too, also by a full refresh."""
    path = loaded.folder / "exposures" / "a.parquet"
    path.write_bytes(path.read_bytes()[:100])
    loaded.refuses(FAILED, str(path), refresh="full")


@pytest.mark.parametrize("name", ["z.txt", "README", "z.parquet.bak", "z.csv.bz2"])
def test_unknown_formats(loaded: Shop, name: str) -> None:
    """A file whose name does not tell its format is named with the endings that do, exit code 3."""
    path = loaded.put(f"events/{name}", b"hello")
    loaded.refuses(REFUSED, str(path), ".parquet", ".csv", ".ndjson")


def with_damaged_pages(content: bytes) -> bytes:
    """Return a Parquet file whose footer is fine and whose first page is not."""
    return content[:4] + b"\xff" * 60 + content[64:]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (Path.unlink, ["z.parquet"]),
        (lambda path: path.write_bytes(b""), ["z.parquet"]),
        (lambda path: path.write_bytes(path.read_bytes()[:200]), ["z.parquet"]),
        (lambda path: pq.write_table(events(EVENTS), path), ["z.parquet", "run again"]),
        (lambda path: path.write_bytes(with_damaged_pages(path.read_bytes())), ["z.parquet"]),
    ],
    ids=["vanishes", "is emptied", "is cut off", "is replaced", "is damaged"],
)
def test_a_file_between_planning_and_reading(
    loaded: Shop, harm: Callable[[Path], object], words: list[str]
) -> None:
    """A source file that is no more what was planned with stops the load by its name, exit code 4."""
    path = loaded.put("events/z.parquet", events(EVENTS[:1]))

    def on_event(event: object) -> None:
        if isinstance(event, LoadStarted):
            harm(path)

    loaded.refuses(FAILED, *words, on_event=on_event)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("z.parquet", parquet(events([]))),
        ("z.csv", b""),
        ("z.csv", b"\n\n"),
        ("z.csv", HEADER.encode()),
        ("z.csv", b"\xef\xbb\xbf" + HEADER.strip().encode()),
        ("z.ndjson", b""),
        ("z.ndjson", b"\n\n"),
    ],
)
def test_files_without_rows(loaded: Shop, name: str, content: bytes) -> None:
    """A file that has no rows yet, beside others that have, changes nothing."""
    loaded.run()
    loaded.put(f"events/{name}", content)
    result = loaded.run()

    assert (result.status, result.warnings) == ("unchanged", ())
    assert loaded.rows() == loaded.published


EMPTY = [
    ("a.parquet", lambda table: parquet(table.slice(0, 0))),
    ("a.csv", lambda _: b""),
    ("a.csv", lambda table: as_csv(table.slice(0, 0))),
    ("a.ndjson", lambda _: b""),
]
EMPTY_IDS = ["parquet", "empty csv", "header", "ndjson"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "empty"), EMPTY, ids=EMPTY_IDS)
def test_an_empty_metric_source(fresh: Shop, name: str, empty: Callable[[pa.Table], bytes]) -> None:
    """A metric source without rows is a warning, and every unit counts with zero."""
    (fresh.folder / "events" / "a.parquet").unlink()
    fresh.put(f"events/{name}", empty(events(EVENTS)))

    assert fresh.run().warnings == ("source 'events' is empty",)
    assert set(fresh.answers().values()) == {(2, 0.0), (1, 0.0)}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "empty"), EMPTY, ids=EMPTY_IDS)
def test_an_empty_assignment_source(
    loaded: Shop, name: str, empty: Callable[[pa.Table], bytes]
) -> None:
    """An assignment source without rows has no exposures, exit code 4."""
    (loaded.folder / "exposures" / "a.parquet").unlink()
    loaded.put(f"exposures/{name}", empty(exposures(EXPOSURES)))
    loaded.refuses(FAILED, "no exposures")


@pytest.mark.slow
def test_what_is_left_out_is_named(fresh: Shop) -> None:
    """Null and empty ids, unlisted groups and misplaced rows are named with their number; the rest counts."""
    extra: list[Exposure] = [
        (None, "A", at(1, 1)),
        ("", "A", at(1, 1)),
        ("u9", None, at(1, 1)),
        ("u9", "", at(1, 1)),
        ("u9", "C", at(1, 1)),
        ("u9", "A", None),
    ]
    late: list[Event] = [(None, at(1, 13), "purchase", 1.0), ("", at(1, 13), "purchase", 1.0)]
    rows = [*EVENTS, *late, ("u1", None, "purchase", 1.0), ("u1", at(1, 13), "purchase", 100.0)]
    laid = [row[1].date() if row[1] else date(2025, 1, 1) for row in rows]
    laid[-1] = date(2025, 1, 20)
    fresh.put("exposures/a.parquet", exposures([*EXPOSURES, *extra]))
    fresh.put("events/a.parquet", events(rows).append_column("laid", pa.array(laid)))
    fresh.configure(
        experiments__0__groups=["A", "B"], metric_sources__0__partition={"column": "laid"}
    )
    heard: list[str] = []
    warnings = fresh.run(
        on_event=lambda event: heard.append(getattr(event, "message", ""))
    ).warnings

    assert sorted(warnings) == sorted(filter(None, heard))
    said = " | ".join(sorted(warnings))
    for words in (
        "2 exposures have no unit id",
        "2 exposures have no group id",
        "1 exposures belong to groups that the experiment does not list, such as 'C'",
        "source 'events': 2 rows have no user_id",
        "source 'events': 1 rows lie too far from the partition of their day",
    ):
        assert words in said
    assert len(warnings) == 5
    assert fresh.answers() == ANSWERS


def nulled(table: pa.Table, column: str, kind: pa.DataType | None) -> pa.Table:
    """Return the table with nothing in a column, of its own type or of none."""
    nulls = pa.nulls(len(table), table.schema.field(column).type if kind is None else kind)
    return table.set_column(table.column_names.index(column), column, nulls)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [None, pa.null()], ids=["typed", "untyped"])
@pytest.mark.parametrize("column", exposures([]).column_names)
def test_exposures_with_a_column_of_nulls(
    loaded: Shop, column: str, kind: pa.DataType | None
) -> None:
    """A column of the exposures that holds nulls only leaves no exposures, exit code 4."""
    loaded.put("exposures/a.parquet", nulled(exposures(EXPOSURES), column, kind))
    loaded.refuses(FAILED, "no exposures")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [None, pa.null()], ids=["typed", "untyped"])
@pytest.mark.parametrize(
    ("column", "purchases", "revenue", "warnings"),
    [
        ("user_id", 0.0, 0.0, 1),
        ("ts", 0.0, 0.0, 0),
        ("kind", 0.0, 15.0, 0),
        ("loyal", 2.0, 15.0, 0),
    ],
)
def test_events_with_a_column_of_nulls(
    fresh: Shop,
    column: str,
    kind: pa.DataType | None,
    purchases: float,
    revenue: float,
    warnings: int,
) -> None:
    """A column of the events that holds nulls only takes out what it would give, nothing else."""
    fresh.put("events/a.parquet", nulled(events(EVENTS), column, kind))
    result = fresh.run()

    assert len(result.warnings) == warnings
    assert fresh.answers()["purchases", "A"] == (2, purchases)
    assert fresh.answers()["revenue", "A"] == (2, revenue)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [None, pa.null()], ids=["typed", "untyped"])
def test_amounts_that_are_all_null(fresh: Shop, kind: pa.DataType | None) -> None:
    """Events without amounts are counted and add nothing up."""
    fresh.put("events/a.parquet", nulled(events(EVENTS), "amount_cents", kind))
    fresh.run()

    assert fresh.answers()["purchases", "A"] == (2, 2.0)
    assert fresh.answers()["revenue", "A"] == (2, 0.0)


@pytest.mark.slow
def test_values_that_are_no_numbers(fresh: Shop) -> None:
    """NaN and infinity are as if there was no value, and no result is ever either of them."""
    odd: list[Event] = [
        ("u1", at(2, 13), "purchase", math.nan),
        ("u2", at(2, 13), "purchase", math.inf),
        ("u3", at(2, 13), "purchase", -math.inf),
    ]
    fresh.put("events/a.parquet", events(EVENTS + odd))
    fresh.run()

    assert fresh.answers()["purchases", "A"] == (2, 4.0)
    assert fresh.answers()["revenue", "A"] == ANSWERS["revenue", "A"]
    assert fresh.answers()["revenue", "B"] == ANSWERS["revenue", "B"]


@pytest.mark.slow
def test_values_that_overflow(fresh: Shop) -> None:
    """A total or a square beyond the largest double is undefined, which is null."""
    huge: list[Event] = [("u1", at(1, 13), "purchase", 1e308), ("u1", at(2, 13), "purchase", 1e308)]
    fresh.put("events/a.parquet", events(EVENTS + huge + huge + huge))
    fresh.run()

    found = [value for row in fresh.rows() for value in row.values() if isinstance(value, float)]
    assert [value for value in found if not math.isfinite(value)] == []
    assert fresh.answers()["revenue", "B"] == ANSWERS["revenue", "B"]


@pytest.mark.slow
def test_moments_far_away(fresh: Shop) -> None:
    """Rows of the first and the last year there is are outside, and harm nothing."""
    ends = [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)]  # noqa: DTZ001
    fresh.put("exposures/a.parquet", exposures([*EXPOSURES, *(("u1", "B", end) for end in ends)]))
    fresh.put(
        "events/a.parquet", events([*EVENTS, *(("u1", end, "purchase", 1.0) for end in ends)])
    )
    fresh.run()

    assert fresh.answers() == ANSWERS


UNWRITABLE = ["below/a/file", "a file", "/proc/statsig", "/dev/null/statsig", "x" * 300]


@pytest.mark.parametrize("path", UNWRITABLE)
@pytest.mark.parametrize("setting", ["path", "temp_directory"])
def test_a_folder_that_cannot_be_written(loaded: Shop, path: str, setting: str) -> None:
    """A warehouse or a scratch folder that cannot be made is named with its setting, exit code 3."""
    (loaded.folder / "below").mkdir(exist_ok=True)
    for name in ("below/a", "a file"):
        (loaded.folder / name).write_text("a file, not a folder")
    loaded.configure(**{f"connection__{setting}": path})
    loaded.refuses(REFUSED, f"connection.{setting}", "cannot be written")


def test_a_scratch_folder_that_is_there_and_cannot_be_written(loaded: Shop) -> None:
    """A folder that exists is tried before it is needed."""
    loaded.configure(connection__temp_directory="/proc")
    loaded.refuses(REFUSED, "connection.temp_directory", "cannot be written")


def mounted(*args: str) -> None:
    """Mount something, or skip the test where this user may not."""
    if sys.platform != "linux" or shutil.which("mount") is None:
        pytest.skip("there is no mount")
    done = subprocess.run(["mount", *args], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")


@pytest.fixture
def read_only(fresh: Shop) -> Iterator[Shop]:
    """A loaded project whose warehouse has become read-only."""
    fresh.run()
    warehouse = str(fresh.folder / "warehouse")
    mounted("--bind", warehouse, warehouse)
    try:
        mounted("-o", "remount,ro,bind", warehouse)
        yield fresh
    finally:
        subprocess.run(["umount", warehouse], check=True)


@pytest.mark.slow
def test_a_read_only_warehouse(read_only: Shop) -> None:
    """A load into a read-only folder is refused, also for root, exit code 3."""
    read_only.refuses(REFUSED, "connection.path", "cannot be written")


@pytest.mark.slow
def test_a_read_only_warehouse_is_readable(read_only: Shop) -> None:
    """What was published before stays readable, and can be planned from."""
    assert read_only.answers() == ANSWERS
    with staging.connect(staging.load_project(read_only.folder)) as engine:
        assert len(engine.status("123")[0].loads) == 1
        assert engine.plan("123").steps == ()


@pytest.mark.slow
def test_a_moved_warehouse(fresh: Shop) -> None:
    """A warehouse that was moved is refused until it is moved back, exit code 3."""
    fresh.run()
    before = fresh.rows()
    (fresh.folder / "warehouse").rename(fresh.folder / "moved")
    fresh.configure(connection__path="moved")
    for refresh in ("incremental", "full"):
        fresh.refuses(REFUSED, "loads_123", "move it back", refresh=refresh)
    with pytest.raises(staging.WarehouseError, match="move it back"):
        fresh.rows()

    (fresh.folder / "moved").rename(fresh.folder / "warehouse")
    fresh.configure()
    assert fresh.rows() == before


def test_a_copied_warehouse(loaded: Shop) -> None:
    """A copy of a warehouse is somebody else's tables, exit code 3."""
    copy = loaded.folder / "copy"
    shutil.copytree(loaded.folder / "warehouse", copy)
    loaded.configure(connection__path="copy")
    loaded.refuses(REFUSED, "loads_123", "lies at", str(loaded.folder / "warehouse"))
    shutil.rmtree(copy)


def test_a_catalog_that_is_none(fresh: Shop) -> None:
    """A file in the place of the catalog that is no catalog is named, exit code 3."""
    fresh.put("warehouse/catalog.db", b"this is no database" * 100)
    fresh.refuses(REFUSED, "catalog.db")


@pytest.fixture
def disk(fresh: Shop) -> Iterator[Path]:
    """A small disk below the project."""
    place = fresh.folder / "disk"
    place.mkdir()
    mounted("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place))
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Write a file that leaves so many bytes of a disk."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    place = disk / "ballast"
    place.write_bytes(b"x" * max(0, free - leave))
    return place


def many(number: int) -> tuple[list[Exposure], list[Event]]:
    """Return exposures and events of many units."""
    exposed: list[Exposure] = [(f"unit {n * 7919}", "AB"[n % 2], at(1, 1)) for n in range(number)]
    happened: list[Event] = [
        (f"unit {n * 7919}", at(1, 2), "purchase", n * 1.1) for n in range(number)
    ]
    return exposed, happened


@pytest.mark.slow
@pytest.mark.parametrize("leave", [0, 200_000])
def test_a_full_disk(fresh: Shop, disk: Path, leave: int) -> None:
    """A disk that fills up stops the load, exit code 4; the next one after space was made repairs all."""
    fresh.configure(connection__path="disk/warehouse")
    fresh.run()
    before = fresh.rows()
    exposed, happened = many(20_000)
    fresh.put("exposures/many.parquet", exposures(exposed))
    fresh.put("events/many.parquet", events(happened))
    ballast = fill(disk, leave)
    with pytest.raises(staging.StagingError, match="disk is full") as caught:
        fresh.run()
    assert caught.value.exit_code == FAILED
    ballast.unlink()
    assert fresh.rows() == before

    fresh.run()
    assert fresh.answers()["purchases", "A"] == (10_002, 10_002.0)


@pytest.mark.slow
def test_a_disk_that_is_full_to_the_last_byte(fresh: Shop, disk: Path) -> None:
    """Also where nothing at all can be written any more, the same process may load once there is space."""
    fresh.configure(connection__path="disk/warehouse")

    def on_event(event: object) -> None:
        if isinstance(event, LoadStarted):
            fill(disk, 0)

    with pytest.raises(staging.StagingError, match="disk is full"):
        fresh.run(on_event=on_event)
    (disk / "ballast").unlink()
    fresh.run()
    assert fresh.answers() == ANSWERS


ODD = [
    "o'neil",
    'say "hi"',
    "a/b",
    "../..",
    "a\\b",
    "ünï 日本 🎉",
    "'; DROP TABLE x; --",
    "{x} %s ? $y",
    "null",
    "01",
    "-x",
    "A",
    "a",
    LONG,
    LONG[1:] + "y",
]


@pytest.mark.slow
@pytest.mark.parametrize("names", [ODD[:8], ODD[8:]], ids=["signs", "lookalikes"])
def test_odd_experiment_ids(fresh: Shop, names: list[str]) -> None:
    """Quotes, slashes, unicode and 1,000 characters in ids are taken as they are, and none collide."""
    tables = [
        exposures([(f"{number} a", "A", at(1, 1)), (f"{number} b", "A", at(1, 1))], name)
        for number, name in enumerate(names)
    ]
    happened: list[Event] = [
        (f"{number} a", at(1, 2), "purchase", 100.0 * number) for number in range(len(names))
    ]
    fresh.put("exposures/a.parquet", pa.concat_tables(tables))
    fresh.put("events/a.parquet", events(happened))
    experiment = DEFINITION["experiments"][0]
    fresh.write({**DEFINITION, "experiments": [{**experiment, "id": name} for name in names]})
    with staging.connect(staging.load_project(fresh.folder)) as engine:
        for name in names:
            engine.run(name)

    for number, name in enumerate(names):
        assert fresh.answers(name)["revenue", "A"] == (2, float(number))
        assert {row["experiment_id"] for row in fresh.rows(name)} == {name}
    outside = {path.name for path in fresh.folder.iterdir()}
    assert outside == {"staging.yml", "exposures", "events", "warehouse"}


@pytest.mark.slow
def test_odd_groups_metrics_and_sources(fresh: Shop) -> None:
    """Groups, metrics, sources and context columns have any names."""
    exposed: list[Exposure] = [(f"u{n}", name, at(1, 1)) for n, name in enumerate(ODD)]
    happened: list[Event] = [(f"u{n}", at(1, 2), "purchase", n * 100.0) for n in range(len(ODD))]
    fresh.put("exposures/a.parquet", exposures(exposed))
    fresh.put("events/a.parquet", events(happened))
    source = ODD[1]
    fresh.write(
        {
            **DEFINITION,
            "assignment_sources": [
                {**ASSIGNMENT_SOURCE, "name": ODD[2], "context": {ODD[5]: "user_id"}}
            ],
            "metric_sources": [{**METRIC_SOURCE, "name": source}],
            "metrics": [{**REVENUE, "name": name, "source": source} for name in ODD],
            "experiments": [
                {
                    **DEFINITION["experiments"][0],
                    "assignment_source": ODD[2],
                    "groups": ODD,
                    "control": ODD[0],
                    "metrics": ODD,
                }
            ],
        }
    )
    assert fresh.run().warnings == ()

    found = fresh.answers()
    assert len(found) == len(ODD) ** 2
    for number, group in enumerate(ODD):
        assert {found[metric, group] for metric in ODD} == {(1, float(number))}
    with staging.connect(staging.load_project(fresh.folder)) as engine:
        assert engine.table("123", f"unit_day_metrics_{source}").num_rows == len(ODD)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "write"), [("parquet", parquet), ("csv", as_csv), ("ndjson", as_ndjson)]
)
def test_odd_unit_ids(fresh: Shop, ending: str, write: Callable[[pa.Table], bytes]) -> None:
    """Unit ids keep every character in every format."""
    names = [*ODD, "a,b", "a;b", "a|b", "a\tb", "a\nb", " a ", "#a", "'a'", "\\N", "NULL", "1e5"]
    exposed: list[Exposure] = [(name, "A", at(1, 1)) for name in names]
    happened: list[Event] = [(name, at(1, 2), "purchase", 1.0) for name in names]
    for folder, table in (("exposures", exposures(exposed)), ("events", events(happened))):
        (fresh.folder / folder / "a.parquet").unlink()
        fresh.put(f"{folder}/a.{ending}", write(table))
    fresh.run()

    with staging.connect(staging.load_project(fresh.folder)) as engine:
        for table in ("first_exposures", "unit_day_metrics_events"):
            found = engine.table("123", table).column("unit_id").to_pylist()
            assert sorted(found) == sorted(names)


@pytest.mark.slow
def test_the_command_line(loaded: Shop) -> None:
    """In a process of its own each kind of mistake ends with its code, one line for people, no traceback."""
    damaged = loaded.put("events/z.parquet", GOOD[:100])
    run = ("run", "--experiment", "123")
    cases: list[tuple[tuple[str, ...], dict[str, Any], int, str]] = [
        (run, {}, FAILED, f"error: {damaged}: cannot be read"),
        (run, {"metrics__0__valu": "x"}, CONFIG, "error: staging.yml: metrics[0].valu"),
        (run, {"metric_sources__0__timestamp": "nope"}, REFUSED, "'nope'"),
        ((*run, "--through", "2999-01-01"), {}, CONFIG, "in the future"),
        ((*run, "--through", "2024-12-31"), {}, CONFIG, "starts on 2025-01-01"),
        (run, {"connection__path": "staging.yml/x"}, REFUSED, "cannot be written"),
    ]
    for args, changes, code, words in cases:
        loaded.configure(**changes)
        done = command(*args, folder=loaded.folder)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        damaged.unlink(missing_ok=True)
    loaded.configure()
    shown = command("results", "--experiment", "123", "--json", folder=loaded.folder)
    assert shown.returncode == 0
    assert len(json.loads(shown.stdout)["rows"]) == len(loaded.published)


@pytest.mark.slow
def test_the_command_line_without_exposures(fresh: Shop) -> None:
    """An experiment without exposures ends with 4, one with rows that are left out with 0 and warnings."""
    fresh.put("exposures/a.parquet", exposures(EXPOSURES, "124"))
    done = command("run", "--experiment", "123", folder=fresh.folder)
    assert done.returncode == FAILED
    assert "no exposures" in done.stderr
    assert "Traceback" not in done.stderr

    fresh.put("exposures/a.parquet", exposures([*EXPOSURES, (None, "A", at(1, 1))]))
    done = command("run", "--experiment", "123", "--json", folder=fresh.folder)
    assert done.returncode == 0
    assert "warning: 1 exposures have no unit id" in done.stderr
    assert json.loads(done.stdout)["warnings"]

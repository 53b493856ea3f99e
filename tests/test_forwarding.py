"""Forwarded rows are in their table once each, whatever format they come in and however often."""

import json
import random
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import statsig_staging as staging
from statsig_staging.errors import ConfigError, LoadConflictError, SourceFileError
from statsig_staging.forwarded import Kind
from statsig_staging.forwarding.advance import watched
from tests.forwards import (
    DAY,
    NOW,
    a_file,
    a_project,
    accepted,
    events,
    ndjson,
    opened,
    quarantined,
    stray,
)

ROW = {"user_id": "u1", "timestamp": "2025-01-10T12:00:00Z", "event_name": "visit"}


def forwarded(folder: Path, given: Any, **more: Any) -> Any:
    """Forward events to a project, and return the receipt."""
    with opened(a_project(folder, **more)) as engine:
        return engine.forward_events(given)


def test_a_batch_is_in_the_table(tmp_path: Path) -> None:
    """Rows lie in the folder of their UTC day, with every column as text, and the receipt says how many."""
    rows = [
        {**ROW, "timestamp": "2025-01-11T01:00:00+02:00", "plan": 3, "user_object": {"os": "ios"}}
    ]
    receipt = forwarded(tmp_path, a_file(tmp_path, rows))
    assert (receipt.rows, receipt.accepted, receipt.duplicates) == (1, 1, 0)
    assert set(receipt.days) == {date(2025, 1, 10)}
    folder = tmp_path / "warehouse/statsig/statsig_forwarded_events/events"
    assert [path.name for path in folder.iterdir()] == ["2025-01-10"]
    assert accepted(a_project(tmp_path)) == [
        {
            "timestamp": datetime(2025, 1, 10, 23),  # noqa: DTZ001
            "ds": date(2025, 1, 10),
            "user_id": "u1",
            "event_name": "visit",
            "plan": "3",
            "user_object": '{"os":"ios"}',
        }
    ]


def test_a_batch_again_changes_nothing(tmp_path: Path) -> None:
    """The second receipt accepts no row, and no file comes."""
    given = a_file(tmp_path, events(200))
    first = forwarded(tmp_path, given)
    before = accepted(a_project(tmp_path))
    again = forwarded(tmp_path, given)
    assert (again.accepted, again.duplicates) == (0, first.rows)
    assert again.days == {}
    assert accepted(a_project(tmp_path)) == before


def test_one_batch_or_many(tmp_path: Path) -> None:
    """A day in one batch, and in shuffled batches that overlap and repeat, comes to the same rows."""
    play_batches(tmp_path, rows=300, batches=12)


def play_batches(
    folder: Path, rows: int, batches: int, many: staging.Project | None = None
) -> None:
    """Forward a day at once and in many shuffled, overlapping, repeated batches, and compare.

    Now and then a compaction comes in between. ``many`` is where the batches go, by default the local disk.
    """
    day = events(rows)
    forwarded(folder / "once", a_file(folder, day))
    rng = random.Random(1)
    parts = [
        day[number::batches] + rng.sample(day, max(1, rows // batches)) for number in range(batches)
    ]
    parts += rng.sample(parts, batches // 4)
    rng.shuffle(parts)
    project = many or a_project(folder / "many")
    receipts = []
    with opened(project) as engine:
        for number, part in enumerate(parts):
            receipts.append(engine.forward_events(part))
            if number % (batches // 3) == 0:
                engine.compact_forwarded(grace=timedelta(0))
    assert sum(receipt.accepted for receipt in receipts) == rows
    assert all(r.rows == r.accepted + r.duplicates + r.rows_quarantined for r in receipts)
    assert accepted(project) == accepted(a_project(folder / "once"))


@pytest.mark.slow
def test_one_batch_or_hundreds(tmp_path: Path) -> None:
    """The same with more of them; a thousand take a few minutes."""
    play_batches(tmp_path, rows=3000, batches=200)


FORMATS = [
    "rows.ndjson",
    "rows.jsonl.gz",
    "rows.ndjson.zst",
    "rows.csv",
    "rows.csv.gz",
    "rows.parquet",
]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format(tmp_path: Path, name: str) -> None:
    """The same rows in another format are the same rows."""
    rows = events(50)
    forwarded(tmp_path, a_file(tmp_path, rows))
    receipt = forwarded(tmp_path, written(tmp_path, rows, name))
    assert (receipt.rows, receipt.accepted, receipt.quarantined) == (50, 0, {})


def written(folder: Path, rows: list[dict[str, Any]], name: str) -> str:
    """Write rows in the format of a name."""
    if ".csv" in name:
        flat = [{**row, "user_object": json.dumps(row["user_object"])} for row in rows]
        quoted = [
            [f'"{str(v).replace(chr(34), chr(34) * 2)}"' for v in row.values()] for row in flat
        ]
        lines = [",".join(flat[0]), *(",".join(line) for line in quoted)]
        return a_file(folder, ("\n".join(lines) + "\n").encode(), name)
    if name.endswith(".zst"):
        return a_file(folder, pa.compress(ndjson(rows), "zstd", asbytes=True), name)
    if name.endswith(".parquet"):
        table = pa.table(
            {
                **{k: [row[k] for row in rows] for k in rows[0]},
                "timestamp": [datetime.fromisoformat(row["timestamp"]) for row in rows],
                "user_object": [json.dumps(row["user_object"]) for row in rows],
            }
        )
        pq.write_table(table, folder / name)
        return str(folder / name)
    return a_file(folder, rows, name)


def test_readers_and_iterators(tmp_path: Path) -> None:
    """An Arrow reader, an iterator of dicts and a glob are inputs as well."""
    rows = events(30)
    a_file(tmp_path / "in", rows[:10], "a.ndjson")
    a_file(tmp_path / "in", rows[10:20], "b.ndjson")
    glob = forwarded(tmp_path, str(tmp_path / "in" / "*.ndjson"))
    assert [one.rows for one in glob.inputs] == [10, 10]
    assert forwarded(tmp_path, iter(rows)).accepted == 10
    plain = [{k: v for k, v in row.items() if k != "user_object"} for row in rows]
    table = pa.Table.from_pylist(plain)
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches())
    assert forwarded(tmp_path, reader).accepted == 30


BAD = [
    (b"not json", "not JSON"),
    (b"[1, 2]", "not an object"),
    (b'{"user_id": "u1"}', "timestamp is missing"),
    (b'{"user_id": "u1", "timestamp": "yesterday"}', "timestamp cannot be read"),
    (b'{"user_id": "u1", "timestamp": {"a": 1}}', "timestamp cannot be read"),
    (b'{"user_id": "u1", "timestamp": "1970-01-02T00:00:00Z"}', "timestamp is absurd"),
    (b'{"user_id": "u1", "timestamp": "2125-01-01T00:00:00Z"}', "timestamp is absurd"),
    (b'{"timestamp": "2025-01-10T00:00:00Z", "user_id": ""}', "no unit id"),
    (
        b'{"timestamp": "2025-01-10T00:00:00Z", "user_id": {"a": 1}}',
        "user_id is an object or a list",
    ),
    (
        b'{"timestamp": "2025-01-10T00:00:00Z", "user_id": "u", "user_object": 3}',
        "user_object is not an object",
    ),
    (b'{"user_id": "u1", "user_id": "u2", "timestamp": "2025-01-10"}', "repeats a key"),
    (
        b'{"user_id": "u1", "USER_ID": "u2", "timestamp": "2025-01-10"}',
        "user_id is spelt in two ways",
    ),
    (b'{"user_id": "\xff", "timestamp": "2025-01-10"}', "not UTF-8"),
    (b'{"user_id": "' + b"x" * (1 << 20) + b'"}', "longer than 1 MiB"),
]


@pytest.mark.parametrize(("line", "reason"), BAD, ids=range(len(BAD)))
def test_a_bad_row_is_in_quarantine(tmp_path: Path, line: bytes, reason: str) -> None:
    """A row that cannot be in the table is beside it, with its line and the reason; its neighbours are in."""
    lines = [ndjson([ROW]).strip(), b"", line, ndjson([{**ROW, "user_id": "u2"}]).strip()]
    receipt = forwarded(tmp_path, a_file(tmp_path, b"\n".join(lines)))
    assert (receipt.rows, receipt.accepted) == (3, 2)
    assert receipt.quarantined == {reason: 1}
    (held,) = quarantined(a_project(tmp_path), receipt)
    assert (held["line"], held["reason"]) == (3, reason)
    assert line.decode(errors="backslashreplace").startswith(held["row"])


def test_bad_records_of_csv(tmp_path: Path) -> None:
    """A record of a CSV file with too few fields is in quarantine with the line that it begins in."""
    text = 'user_id,timestamp,note\nu1,2025-01-10,"two\nlines"\nu2,2025-01-10\nu3,2025-01-10,x\n'
    receipt = forwarded(tmp_path, a_file(tmp_path, text.encode(), "rows.csv"))
    assert (receipt.rows, receipt.accepted) == (3, 2)
    (held,) = quarantined(a_project(tmp_path), receipt)
    assert (held["line"], held["row"]) == (4, "u2,2025-01-10")


def test_new_columns_come_without_old_files_changing(tmp_path: Path) -> None:
    """A column that a later batch brings is one of the table; a row without it is still the same row."""
    forwarded(tmp_path, [ROW])
    receipt = forwarded(tmp_path, [{**ROW, "plan": "pro"}, {**ROW, "plan": None}])
    assert receipt.columns_added == ("plan",)
    assert (receipt.accepted, receipt.duplicates) == (1, 1)


def test_names_that_no_column_can_have(tmp_path: Path) -> None:
    """Values under such names are kept in one object."""
    forwarded(tmp_path, [{**ROW, "a b": 1, "ds": "x", "_x/~": [None]}])
    (row,) = accepted(a_project(tmp_path))
    assert json.loads(row["other_columns"]) == {"a b": 1, "ds": "x", "_x/~": [None]}


def test_a_key_makes_rows_one(tmp_path: Path) -> None:
    """Rows of one key on one day are one row, the first; rows without the key are told by all columns."""
    rows = [
        {**ROW, "event_id": "a", "event_value": "1"},
        {**ROW, "event_id": "a", "event_value": "2"},
        {**ROW, "event_value": "3"},
        {**ROW, "event_value": "4"},
    ]
    with opened(a_project(tmp_path)) as engine:
        first = engine.forward_events(a_file(tmp_path, rows), key=["event_id"])
        again = engine.forward_events(rows)
        with pytest.raises(ConfigError, match="tells rows apart by event_id"):
            engine.forward_events(rows, key=["user_id"])
    assert (first.accepted, again.accepted) == (3, 0)
    assert {row["event_value"] for row in accepted(a_project(tmp_path))} == {"1", "3", "4"}


def test_times(tmp_path: Path) -> None:
    """Moments are ISO 8601 with or without zone, or seconds, milliseconds or microseconds since 1970."""
    seconds = int(DAY.timestamp())
    given = ["2025-01-10", "2025-01-10 02:00:00+02", seconds, seconds * 1000, str(seconds * 10**6)]
    rows = [{**ROW, "event_value": str(n), "timestamp": moment} for n, moment in enumerate(given)]
    forwarded(tmp_path, rows)
    moments = [row["timestamp"] for row in accepted(a_project(tmp_path))]
    assert moments == [DAY.replace(tzinfo=None)] * len(given)


def test_another_loader_holds_the_table(tmp_path: Path) -> None:
    """A second loader ends with an error that names the first one; nothing of it is loaded."""
    with opened(a_project(tmp_path)) as first, opened(a_project(tmp_path)) as second:

        def rows() -> Any:
            yield ROW
            with pytest.raises(LoadConflictError, match="is being forwarded to by process"):
                second.forward_events([ROW])

        assert first.forward_events(rows()).accepted == 1


def test_a_file_that_ends_early_is_no_batch(tmp_path: Path) -> None:
    """A compressed file that is cut short is named, and nothing of the batch is loaded."""
    whole = Path(a_file(tmp_path, events(2000), "rows.ndjson.gz"))
    whole.write_bytes(whole.read_bytes()[:-200])
    with pytest.raises(SourceFileError, match=r"rows\.ndjson\.gz"):
        forwarded(tmp_path, str(whole))
    assert accepted(a_project(tmp_path)) == []
    assert stray(a_project(tmp_path)) == set()


def test_what_is_no_input(tmp_path: Path) -> None:
    """A pattern without files, a format that nobody knows, and S3 without AWS are said to be that."""
    for given, message in (
        ("nowhere/*.ndjson", "there is no such file"),
        (a_file(tmp_path, [ROW], "rows.xml"), "cannot tell the format"),
        ("s3://lake/x/", "only a project with warehouse: athena"),
    ):
        with pytest.raises(ConfigError, match=message):
            forwarded(tmp_path, given)


def test_exposures_have_a_table_of_their_own(tmp_path: Path) -> None:
    """Exposures and events do not meet."""
    with opened(a_project(tmp_path)) as engine:
        engine.forward_exposures([{**ROW, "experiment_id": "e", "group_id": "g"}])
    assert accepted(a_project(tmp_path)) == []
    (row,) = accepted(a_project(tmp_path), Kind.EXPOSURES)
    assert (row["experiment_id"], row["group_id"]) == ("e", "g")
    assert NOW.date() > row["ds"]


def test_progress_within_a_statement() -> None:
    """While a statement runs it is said how far it is, and what the listener raises stops it."""
    heard: list[float] = []
    endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range < 0"

    def on_share(share: float) -> None:
        heard.append(share)
        if len(heard) == 2:
            raise KeyboardInterrupt

    with duckdb.connect(config={"threads": 1}) as duck:
        with pytest.raises(KeyboardInterrupt):
            watched(duck, endless, on_share)
        watched(duck, "CREATE TABLE t AS SELECT 1", on_share)
        assert duck.execute("SELECT count(*) FROM t").fetchone() == (1,)
    assert all(0 <= share <= 1 for share in heard)
    assert len(heard) >= 2


def test_the_share_of_inputs(tmp_path: Path) -> None:
    """What is said of a batch of several files never goes back."""
    names = [a_file(tmp_path / "in", events(200), f"{name}.ndjson") for name in "abc"]
    heard: list[Any] = []
    with opened(a_project(tmp_path)) as engine:
        engine.forward_events(names, on_event=heard.append)
    assert [event.rows for event in heard if event.rows] == sorted(
        event.rows for event in heard if event.rows
    )
    assert [event.share for event in heard] == sorted(event.share for event in heard)
    assert heard[-1].share == pytest.approx(1.0)

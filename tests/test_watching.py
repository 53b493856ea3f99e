"""A SQL source is watched through its tables: where the days of its rows come from, and whole loads."""

from pathlib import Path
from typing import Any

import pytest

import statsig_staging as staging
from statsig_staging import expressions
from statsig_staging.planner.watching import dating
from tests.shop import ANSWERS, DEFINITION, EVENTS, Event, Shop, at, events


@pytest.mark.parametrize(
    ("sql", "column"),
    [
        ("SELECT * FROM shop.events", "ts"),
        ("SELECT e.* FROM shop.events AS e WHERE kind = 'x'", "ts"),
        ("SELECT user_id, TS FROM shop.events", "ts"),
        ("SELECT user_id, happened_at AS ts FROM shop.events", "happened_at"),
        ("SELECT e.ts, u.age FROM shop.events e LEFT JOIN shop.users u ON e.id = u.id", "ts"),
        ("SELECT DISTINCT user_id, ts FROM shop.events", "ts"),
        ("SELECT user_id, ts, SUM(x) AS x FROM shop.events GROUP BY 1, 2 HAVING SUM(x) > 1", "ts"),
    ],
)
def test_a_plain_column_dates_the_rows(sql: str, column: str) -> None:
    """Each row comes from one row of that table, and has its day."""
    found = dating(expressions.parse_query(sql), "ts")

    assert found is not None
    assert (found.table, found.column, found.is_cut) == ("shop.events", column, False)


@pytest.mark.parametrize("day", ["CAST(ts AS DATE)", "date(ts)", "date_trunc('day', ts)"])
def test_the_day_of_a_column_dates_the_rows(day: str) -> None:
    """A sum by day has the days of what it adds up."""
    sql = f"SELECT user_id, {day} AS day, SUM(x) AS x FROM shop.events GROUP BY 1, 2"
    found = dating(expressions.parse_query(sql), "day")

    assert found is not None
    assert (found.column, found.is_cut) == ("ts", True)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT user_id, MAX(ts) AS ts FROM shop.events GROUP BY 1",
        "SELECT user_id, ts + INTERVAL '1' DAY AS ts FROM shop.events",
        "SELECT user_id, date_trunc('month', ts) AS ts FROM shop.events",
        "SELECT user_id, ts, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY ts) AS n FROM shop.events",
        "SELECT * FROM shop.events LIMIT 10",
        "SELECT * FROM shop.events UNION ALL SELECT * FROM shop.more",
        "SELECT * FROM (SELECT * FROM shop.events) AS e",
        "WITH e AS (SELECT * FROM shop.events) SELECT * FROM e",
        "SELECT * FROM shop.events WHERE user_id IN (SELECT user_id FROM shop.users)",
        "SELECT ts FROM shop.events JOIN shop.users USING (user_id)",
        "SELECT a.ts FROM shop.events AS a JOIN shop.events AS b ON a.user_id = b.user_id",
        "SELECT e.*, u.* FROM shop.events AS e CROSS JOIN shop.users AS u",
        "SELECT *, now_at AS ts FROM shop.events",
        "SELECT user_id FROM shop.events",
    ],
)
def test_what_other_rows_decide_has_no_days_of_its_own(sql: str) -> None:
    """A row of any day may change when a file does."""
    assert dating(expressions.parse_query(sql), "ts") is None


LATE: list[Event] = [("u2", at(1, 12), "purchase", 300.0)]
NEW: list[Event] = [("u2", at(2, 12), "purchase", 300.0)]


def opened(folder: Path, sql: str = "SELECT * FROM shop.events", **source: Any) -> Shop:
    """Return a loaded shop whose events are a SELECT that looks one day back."""
    shop = Shop.open(folder)
    changes = {f"metric_sources__0__{key}": value for key, value in source.items()}
    shop.configure(
        metric_sources__0__table=None,
        metric_sources__0__sql=sql,
        metric_sources__0__lookback_days=1,
        **changes,
    )
    shop.run()
    return shop


@pytest.mark.slow
def test_late_rows_are_named_until_a_full_refresh(tmp_path: Path) -> None:
    """The file, in every load from then on, and in what is published."""
    shop = opened(tmp_path)
    assert shop.run().status == "unchanged"
    late = shop.put("events/late.parquet", events(LATE))

    (warning,) = shop.run().warnings
    assert f"{late} of table shop.events is new since load " in warning
    assert shop.run().warnings == (warning,)
    assert shop.answers() == ANSWERS
    with staging.connect(staging.load_project(tmp_path)) as engine:
        assert engine.status("123")[0].loads[0].sources["events"].unseen in warning

    assert shop.run(refresh="full").warnings == ()
    assert shop.answers()["revenue", "A"] == (2, 18.0)
    assert shop.run().warnings == ()


def test_rows_within_the_lookback_are_read_in_silence(tmp_path: Path) -> None:
    """A SELECT whose timestamp is a column of its table knows the days of the files."""
    shop = opened(tmp_path)
    shop.put("events/new.parquet", events(NEW))
    result = shop.run()

    assert result.warnings == ()
    assert [day.isoformat() for day in result.days_read["events"]] == ["2025-01-02"]
    assert "when a file of shop.events changed" in result.watch["events"]
    assert shop.answers()["revenue", "A"] == (2, 18.0)


@pytest.mark.slow
def test_rows_of_unknown_days_are_named(tmp_path: Path) -> None:
    """A SELECT that mixes rows cannot say what a file changes."""
    sql = "WITH e AS (SELECT * FROM shop.events) SELECT * FROM e"
    shop = opened(tmp_path, sql)
    shop.put("events/new.parquet", events(NEW))
    (warning,) = shop.run().warnings

    assert "is new since load" in warning
    assert shop.answers()["revenue", "A"] == (2, 18.0)


def test_a_refresh_takes_late_rows_in(tmp_path: Path) -> None:
    """The load says why it reads everything."""
    shop = opened(tmp_path, on_unseen_change="refresh")
    late = shop.put("events/late.parquet", events(LATE))
    result = shop.run()

    assert result.refresh == "full"
    assert str(late) in result.reason
    assert shop.answers()["revenue", "A"] == (2, 18.0)


def test_a_failure_changes_nothing(tmp_path: Path) -> None:
    """Exit code 4, with what to do; what was published stays, and a full refresh goes through."""
    shop = opened(tmp_path, on_unseen_change="fail")
    late = shop.put("events/late.parquet", events(LATE))

    for _ in range(2):
        with pytest.raises(staging.StepFailedError, match="--refresh full") as caught:
            shop.run()
        assert str(late) in str(caught.value)
    assert shop.answers() == ANSWERS
    assert shop.run(refresh="full").warnings == ()
    assert shop.answers()["revenue", "A"] == (2, 18.0)


@pytest.mark.slow
def test_a_table_beside_it_may_change_any_day(tmp_path: Path) -> None:
    """What a SELECT joins is not dated by its timestamp."""
    shop = Shop.open(tmp_path)
    shop.put("users/a.csv", b"user_id,factor\nu1,1\nu2,1\nu3,1\n")
    sql = (
        "SELECT e.ts, e.user_id, e.kind, e.amount_cents * u.factor AS amount_cents "
        "FROM shop.events e JOIN shop.users u ON e.user_id = u.user_id"
    )
    shop.configure(
        connection__sources={**DEFINITION["connection"]["sources"], "shop.users": "users/*"},
        metric_sources__0__table=None,
        metric_sources__0__sql=sql,
        metric_sources__0__lookback_days=1,
    )
    shop.run()
    shop.put("events/new.parquet", events(NEW))
    assert shop.run().warnings == ()

    users = shop.put("users/a.csv", b"user_id,factor\nu1,2\nu2,2\nu3,2\n")
    (warning,) = shop.run().warnings
    assert f"{users} of table shop.users changed since load" in warning


@pytest.mark.slow
def test_days_in_another_zone_are_not_known(tmp_path: Path) -> None:
    """Athena takes the day of a moment in the moment's zone, which may not be the day in UTC."""
    shop = Shop.open(tmp_path)
    (tmp_path / "events/a.parquet").unlink()
    lines = ["user_id,ts,kind,amount_cents"]
    lines += [f"{user},{moment}+05:00,{kind},{amount}" for user, moment, kind, amount in EVENTS]
    shop.put("events/a.csv", "\n".join(lines).encode())
    shop.configure(
        metric_sources__0__table=None,
        metric_sources__0__sql="SELECT user_id, date(ts) AS ts, kind, amount_cents FROM shop.events",
        metric_sources__0__lookback_days=1,
    )
    shop.run()
    shop.put(
        "events/b.csv", b"user_id,ts,kind,amount_cents\nu2,2025-01-02 12:00:00+05:00,purchase,1\n"
    )

    assert len(shop.run().warnings) == 1

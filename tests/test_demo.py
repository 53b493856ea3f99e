"""New projects: what `init` writes, and that the demonstration's data is as its text says."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import duckdb
import pytest
import yaml

from statsig_staging import demo, load_project
from statsig_staging.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

UNITS = 4_000
Rows = list[tuple[object, ...]]

FIRST_EXPOSURES = [
    ("d7b6d46d-c3cd-481f-8f4b-9d37ab48cf79", "control", "2026-01-01 06:02:49.366753"),
    ("7dfe85e7-0b67-4a6a-5cd0-2376fd0bbfb4", "test", "2026-01-01 06:03:10.156652"),
]
EVENTS = (30066, 8963470)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A smaller shop."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    demo.write_data(folder, units=UNITS)
    return folder


def rows_of(folder: Path, name: str) -> Rows:
    """Return every row with its file, in the order they lie in."""
    files = sorted(folder.glob(f"{name}/*/*.parquet"))
    assert files
    rows: Rows = []
    for file in files:
        found = duckdb.connect().execute("SELECT * FROM read_parquet($file)", {"file": str(file)})
        place = str(file.relative_to(folder))
        rows.extend((place, *row) for row in found.fetchall())
    return rows


def ask(folder: Path, question: str) -> Rows:
    """Return the answer of a query over the views ``exposures`` and ``events``."""
    connection = duckdb.connect()
    for name in ("exposures", "events"):
        files = folder / name / "*" / "*.parquet"
        connection.read_parquet(str(files), filename=True, hive_partitioning=True).create_view(name)
    return connection.execute(question).fetchall()


def test_the_same_seed_gives_the_same_rows_in_the_same_order(data: Path, tmp_path: Path) -> None:
    """Nothing depends on threads, time or chance."""
    demo.write_data(tmp_path, units=UNITS)

    for name in ("exposures", "events"):
        assert rows_of(tmp_path, name) == rows_of(data, name)


def test_another_seed_gives_other_rows(data: Path, tmp_path: Path) -> None:
    """The seed reaches the unit ids and what the units do."""
    demo.write_data(tmp_path, units=UNITS, seed=124)

    assert rows_of(tmp_path, "exposures") != rows_of(data, "exposures")


def test_rows_do_not_change_between_versions(data: Path) -> None:
    """No number comes from a function that DuckDB may change: these rows are the same for ever."""
    first = (
        "SELECT user_id, group_id, exposed_at::VARCHAR FROM exposures WHERE experiment_id = '123'"
    )

    assert ask(data, f"{first} ORDER BY exposed_at, user_id LIMIT 2") == FIRST_EXPOSURES
    assert ask(data, "SELECT count(*), sum(amount_cents)::BIGINT FROM events") == [EVENTS]


def test_as_many_units_are_exposed_as_asked_for(data: Path) -> None:
    """Every exposed unit has an exposure row of experiment 123, in one of two groups."""
    units = "SELECT count(DISTINCT user_id), count(DISTINCT group_id) FROM exposures"

    assert ask(data, f"{units} WHERE experiment_id = '123'") == [(UNITS, 2)]
    [(others, groups)] = ask(data, f"{units} WHERE experiment_id = '456'")
    assert isinstance(others, int)
    assert others > 0
    assert groups == 2


def test_every_row_lies_in_the_partition_of_its_day(data: Path) -> None:
    """The configuration says that partitions are days, of fourteen days."""
    assert ask(data, "SELECT count(*) FROM exposures WHERE ds <> exposed_at::DATE") == [(0,)]
    assert ask(data, "SELECT count(*) FROM events WHERE ds <> ts::DATE") == [(0,)]
    assert ask(data, "SELECT count(DISTINCT ds) FROM events") == [(demo.DAYS,)]


def test_some_rows_are_late(data: Path) -> None:
    """About 1 % of the rows lie in a second file of their day."""
    for name in ("exposures", "events"):
        [(share,)] = ask(data, f"SELECT avg((filename LIKE '%late%')::INTEGER) FROM {name}")
        assert isinstance(share, float)
        assert 0.005 < share < 0.02


def test_some_exposures_are_sent_twice(data: Path) -> None:
    """About 5 % of the exposure rows come a second time, the same in every column."""
    distinct = "SELECT DISTINCT user_id, experiment_id, group_id, exposed_at, device FROM exposures"
    [(rows, once)] = ask(
        data, f"SELECT (SELECT count(*) FROM exposures), (SELECT count(*) FROM ({distinct}))"
    )

    assert isinstance(rows, int)
    assert isinstance(once, int)
    assert 1.03 < rows / once < 1.07


def test_a_few_units_cross_over(data: Path) -> None:
    """About 0.3 % of the units are seen in both groups."""
    crossovers = """
        SELECT count(*) FROM (
            SELECT user_id FROM exposures WHERE experiment_id = '123'
            GROUP BY user_id HAVING count(DISTINCT group_id) > 1
        )
    """
    [(count,)] = ask(data, crossovers)

    assert isinstance(count, int)
    assert 0.001 < count / UNITS < 0.006


def test_the_funnel_is_believable(data: Path) -> None:
    """More visits than carts, more carts than purchases; weekends are busier; amounts are skewed."""
    steps = ("visit", "add_to_cart", "purchase")
    each = ", ".join(f"count(*) FILTER (WHERE event_name = '{step}')" for step in steps)
    [(visits, carts, purchases)] = ask(data, f"SELECT {each} FROM events")
    assert isinstance(visits, int)
    assert isinstance(carts, int)
    assert isinstance(purchases, int)
    assert visits > carts > purchases > 0

    weekend = "avg(n) FILTER (WHERE isodow(ds) > 5) > avg(n) FILTER (WHERE isodow(ds) < 6)"
    per_day = "SELECT ds, count(*) AS n FROM events GROUP BY ds"
    assert ask(data, f"SELECT {weekend} FROM ({per_day})") == [(True,)]

    skew = "SELECT avg(amount_cents) > 1.2 * median(amount_cents) FROM events"
    assert ask(data, skew) == [(True,)]


def test_the_demo_is_a_complete_project(tmp_path: Path) -> None:
    """It is written in seconds, it loads, and the test group is better, as it was made to be."""
    began = monotonic()
    demo.write_demo(tmp_path)
    assert monotonic() - began < 10

    project = load_project(tmp_path)
    assert [experiment.id for experiment in project.experiments] == ["123"]
    assert {metric.type for metric in project.metrics} == {
        "count", "sum", "mean", "unit_count", "ratio",
    }  # fmt: skip
    rates = """
        WITH units AS (
            SELECT user_id, min(group_id) AS group_id, min(exposed_at) AS since FROM exposures
            WHERE experiment_id = '123' GROUP BY user_id HAVING count(DISTINCT group_id) = 1
        ),
        buyers AS (
            SELECT DISTINCT user_id FROM events JOIN units USING (user_id)
            WHERE event_name = 'purchase' AND ts >= since
        )
        SELECT group_id, avg((b.user_id IS NOT NULL)::INTEGER)
        FROM units LEFT JOIN buyers AS b USING (user_id) GROUP BY group_id ORDER BY group_id
    """
    (control, test) = (rate for _, rate in ask(tmp_path / "data", rates))
    assert isinstance(control, float)
    assert isinstance(test, float)
    assert 1.01 < test / control < 1.08


def test_the_starter_is_a_project_to_edit(tmp_path: Path) -> None:
    """Plain ``init`` writes a file that is valid as it stands, into a folder that it makes."""
    demo.write_project(tmp_path / "new")

    project = load_project(tmp_path / "new")
    assert [experiment.id for experiment in project.experiments] == ["my_experiment"]
    assert not (tmp_path / "new" / "data").exists()


@pytest.mark.parametrize("write", [demo.write_demo, demo.write_project])
@pytest.mark.parametrize("taken", ["staging.yml", "data/file.csv", "data"])
def test_nothing_is_overwritten(write: Callable[[Path], None], taken: str, tmp_path: Path) -> None:
    """A project or data that lie there already stay as they are."""
    path = tmp_path / taken
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine", encoding="utf-8")

    with pytest.raises(ConfigError, match="choose another folder"):
        write(tmp_path)

    assert path.read_text(encoding="utf-8") == "mine"
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == [path.name]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The message says which folder, and why."""
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(ConfigError, match=r"file/project cannot be written: Not a directory"):
        demo.write_project(tmp_path / "file" / "project")


@pytest.mark.parametrize("name", ["demo.yml", "project.yml"])
def test_starters_are_commented(name: str) -> None:
    """They teach: every part has a comment, and they are plain YAML."""
    text = (Path(demo.__file__).parent / "starters" / name).read_text(encoding="utf-8")

    assert text.count("#") > 10
    assert set(yaml.safe_load(text)) >= {"connection", "metrics", "experiments"}

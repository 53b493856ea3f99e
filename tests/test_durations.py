"""Which rows and units count: by other moments of a row, and by how long an experiment looks at them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

import statsig_staging as staging
from statsig_staging.config import parse_project
from statsig_staging.errors import ConfigError, WarehouseError
from statsig_staging.terms import statistic_of
from tests import oracle, plain
from tests.athena_endpoint.fixtures import Aws
from tests.athena_worlds import AthenaWorld
from tests.factories import ASSIGNMENT_SOURCE, EXPERIMENT, METRIC_SOURCE, day, make_project
from tests.test_cases import Row, read_csv, write_rows

NOW = datetime(2026, 2, 1, tzinfo=UTC)


def rows(text: str) -> list[Row]:
    """Return the rows of a table that a test writes down."""
    return read_csv(text.strip().replace("/", " "))


def write(folder: Path, exposures: Sequence[Row], events: Sequence[Row]) -> None:
    """Write the files of both sources."""
    seen = [{"experiment_id": "123", **row} for row in exposures]
    write_rows(folder, "exposures", seen, "parquet")
    write_rows(folder, "events", events, "parquet")


def project(
    folder: Path, metrics: Iterable[Mapping[str, Any]], **experiment: Any
) -> staging.Project:
    """Return a project over the files of a folder."""
    chosen = [dict(metric) for metric in metrics]
    sources = {f"shop.{name}": f"data/{name}.parquet" for name in ("exposures", "events")}
    definition = {
        "connection": {"warehouse": "local", "threads": 1, "sources": sources},
        "assignment_sources": [ASSIGNMENT_SOURCE],
        "metric_sources": [
            METRIC_SOURCE | {"columns": {"signed": "cast(signed_up_at AS timestamp)"}}
        ],
        "metrics": chosen,
        "experiments": [
            {**EXPERIMENT, "metrics": [metric["name"] for metric in chosen], **experiment}
        ],
    }
    (folder / "staging.yml").write_text(yaml.safe_dump(definition), "utf-8")
    return staging.load_project(folder)


def load(found: staging.Project, through: date, refresh: str = "incremental") -> Any:
    """Load, and return the results as rows and what the load did."""
    with staging.connect(found, now=lambda: NOW) as engine:
        done = engine.run("123", through=through, refresh=refresh)
        return engine.results("123").to_pylist(), done


def totals(results: Iterable[Mapping[str, Any]], metric: str, rollup: str = "cumulative") -> Any:
    """Return day → units and total of a metric."""
    return {
        row["ds"].day: (row["units"], row["total"])
        for row in results
        if row["metric"] == metric and row["rollup"] == rollup
    }


SIDES: tuple[dict[str, Any], ...] = (
    {"name": "after", "type": "count", "source": "events", "after_exposure": "signed"},
    {"name": "before", "type": "count", "source": "events", "before_exposure": "signed"},
    {
        "name": "kinds",
        "type": "count_distinct",
        "source": "events",
        "value": "kind",
        "after_exposure": "signed",
    },
)
EVENTS = """
ts,user_id,kind,amount_cents,signed_up_at
2026-01-02/12:00:00,a,buy,1,2026-01-02/09:00:00
2026-01-03/12:00:00,a,see,1,2026-01-02/09:00:00
2026-01-03/13:00:00,a,see,1,2026-01-01/09:00:00
"""


def test_rows_are_looked_at_again_when_an_exposure_moves(tmp_path: Path) -> None:
    """A late exposure, and then a late row, change on which side of the exposure moments lie."""
    found = project(tmp_path, SIDES)
    exposures = rows("exposed_at,group_id,user_id\n2026-01-02/10:00:00,control,a")
    write(tmp_path, exposures, rows(EVENTS))
    results, _ = load(found, day(3))
    assert totals(results, "after") == {1: (0, 0), 2: (1, 0), 3: (1, 0)}
    assert totals(results, "before") == {1: (0, 0), 2: (1, 1), 3: (1, 3)}

    exposures += rows("exposed_at,group_id,user_id\n2026-01-01/22:00:00,control,a")
    write(tmp_path, exposures, rows(EVENTS))
    results, _ = load(found, day(3))
    assert totals(results, "after") == {1: (1, 0), 2: (1, 1), 3: (1, 2)}
    assert totals(results, "before") == {1: (1, 0), 2: (1, 0), 3: (1, 1)}
    assert totals(results, "kinds") == {1: (1, 0), 2: (1, 1), 3: (1, 2)}

    late = "2026-01-01/23:00:00,a,late,1,2026-01-01/22:00:00\n"
    write(tmp_path, exposures, rows(EVENTS + late))
    results, _ = load(found, day(3))
    assert totals(results, "after") == {1: (1, 1), 2: (1, 2), 3: (1, 3)}
    assert load(found, day(3), "full")[0] == results


def test_another_moment_is_another_aggregate() -> None:
    """Metrics that differ in the side of the exposure alone share nothing."""
    found = make_project(metrics=[*SIDES[:2], {"name": "all", "type": "count", "source": "events"}])
    columns = {statistic_of(each, found).aggregates[0].column for each in found.metrics}
    assert len(columns) == 3


@pytest.mark.parametrize("option", ["after_exposure", "before_exposure"])
def test_what_is_compared_with_the_exposure_is_a_moment(tmp_path: Path, option: str) -> None:
    """A text is refused by name before anything is read."""
    metric = {"name": "sides", "type": "count", "source": "events", option: "kind"}
    write(tmp_path, rows("exposed_at,group_id,user_id\n2026-01-01,control,a"), rows(EVENTS))

    with pytest.raises(
        WarehouseError, match=r"'kind' is of type varchar; .* a timestamp or a date"
    ):
        load(project(tmp_path, [metric]), day(3))


def problems(*metrics: Mapping[str, Any], **experiment: Any) -> str:
    """Return what is wrong with a project of these metrics."""
    names = [metric["name"] for metric in metrics]
    data: dict[str, Any] = {
        "connection": {"warehouse": "local"},
        "assignment_sources": [ASSIGNMENT_SOURCE],
        "metric_sources": [METRIC_SOURCE],
        "metrics": list(metrics),
        "experiments": [{**EXPERIMENT, "metrics": names, **experiment}],
    }
    with pytest.raises(ConfigError) as error:
        parse_project(data, root=Path())
    return str(error.value)


def test_no_covariate_is_of_what_happened_after() -> None:
    """CUPED with rows of after the exposure is refused, of a ratio too."""
    side = {"type": "count", "source": "events"}
    after = {**side, "after_exposure": "ts"}
    simple = {"name": "m", **after, "cuped": {"days": 7}}
    ratio = {
        "name": "m",
        "type": "ratio",
        "numerator": side,
        "denominator": after,
        "cuped": {"days": 7},
    }
    assert "cuped does not go with after_exposure" in problems(simple)
    assert "cuped does not go with after_exposure" in problems(ratio)


COUNTED: dict[str, Any] = {"name": "rows", "type": "count", "source": "events"}
WINDOW: dict[str, Any] = {**COUNTED, "name": "window", "window": {"end": 1}}
DAYS_IN_ROW = """
ts,user_id,kind,amount_cents,signed_up_at
2026-01-01/12:00:00,a,x,1,
2026-01-02/12:00:00,b,x,1,
2026-01-03/09:00:00,b,x,1,
2026-01-04/08:00:00,b,x,1,
2026-01-04/12:00:00,b,x,1,
2026-01-05/12:00:00,b,x,1,
"""
EXPOSURES = """
exposed_at,group_id,user_id
2026-01-01/10:00:00,control,a
2026-01-02/10:00:00,control,b
2026-01-03/10:00:00,control,c
"""


@pytest.mark.slow
def test_a_window_is_followed_after_the_end_day_by_day(tmp_path: Path) -> None:
    """Loads of a day each give what one load gives, until nothing is open; a late row is not lost."""
    write(tmp_path, rows(EXPOSURES), rows(DAYS_IN_ROW))
    experiment = {"end": "2026-01-02", "mature_after_end": True}
    found = project(tmp_path, [COUNTED, WINDOW], **experiment)
    for number in (1, 2, 3):
        results, done = load(found, day(number))
        assert done.through == day(number)
        assert load_beside(found, day(number), tmp_path) == results
    results, _ = load(found, day(4))
    assert totals(results, "rows") == {1: (1, 1), 2: (2, 2), 3: (2, 2), 4: (2, 2)}
    assert totals(results, "window") == {1: (1, 1), 2: (2, 2), 3: (2, 3), 4: (2, 4)}

    results, done = load(found, day(9))
    assert (done.through, done.status) == (day(4), "unchanged")

    late = "2026-01-03/23:00:00,a,late,1,\n2026-01-03/23:00:00,b,late,1,\n"
    write(tmp_path, rows(EXPOSURES), rows(DAYS_IN_ROW + late))
    results, _ = load(found, day(9))
    assert totals(results, "window") == {1: (1, 1), 2: (2, 2), 3: (2, 4), 4: (2, 5)}
    assert load_beside(found, day(9), tmp_path) == results


def load_beside(found: staging.Project, through: date, folder: Path) -> Any:
    """Return the results of a first load of the same files."""
    other = folder / f"beside_{len(list(folder.iterdir()))}"
    connection = found.connection.model_copy(update={"path": str(other)})
    return load(found.model_copy(update={"connection": connection}), through)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"cohorted_duration": 1}),
        ({"cohorted_duration": 1}, {"cohorted_duration": 2, "completed_cohorts_only": True}),
        ({"fixed_duration": 1}, {"fixed_duration": 3}),
        ({"fixed_duration": 3}, {"fixed_duration": 1}),
        ({"fixed_duration": 1}, {}),
        ({"mature_after_end": True}, {}),
        ({}, {"mature_after_end": True}),
        ({"mature_after_end": True}, {"mature_after_end": True, "end": "2026-01-01"}),
        ({"mature_after_end": True}, {"mature_after_end": True, "end": "2026-01-03"}),
    ],
)
def test_a_duration_may_change(
    before: dict[str, Any], after: dict[str, Any], tmp_path: Path
) -> None:
    """A load after the change holds what a first load with the new durations holds."""
    write(tmp_path, rows(EXPOSURES), rows(DAYS_IN_ROW))
    end = {"end": "2026-01-02"}
    load(project(tmp_path, [COUNTED, WINDOW], **end | before), day(4))
    found = project(tmp_path, [COUNTED, WINDOW], **end | after)

    assert load(found, day(4))[0] == load_beside(found, day(4), tmp_path)


def test_days_that_count_for_nothing_are_not_read(tmp_path: Path) -> None:
    """After the fixed duration the rows of metrics are left alone; units keep coming."""
    write(tmp_path, rows(EXPOSURES), rows(DAYS_IN_ROW))
    found = project(tmp_path, [COUNTED], fixed_duration=2)
    results, done = load(found, day(4))

    assert totals(results, "rows") == {1: (1, 1), 2: (2, 2), 3: (3, 2), 4: (3, 2)}
    assert done.days_read["events"] == (day(1), day(2))


@pytest.mark.parametrize(
    ("metric", "experiment", "message"),
    [
        (COUNTED, {"completed_cohorts_only": True}, "completed_cohorts_only goes with cohorted"),
        (COUNTED, {"mature_after_end": True}, "mature_after_end needs an end"),
        (
            COUNTED,
            {"mature_after_end": True, "end": "2026-01-09", "fixed_duration": 3},
            "mature_after_end does not go with fixed_duration",
        ),
        (COUNTED, {"cohorted_duration": 0}, "greater than or equal to 1"),
        (COUNTED, {"fixed_duration": True}, "fixed_duration"),
        (
            {"name": "m", "type": "unit_count", "source": "events", "rollup": "daily"},
            {"cohorted_duration": 3},
            "metric 'm' has rollup daily, which does not go with cohorted_duration",
        ),
        (
            {"name": "m", "type": "retention", "source": "events", "end": 7, "length": 7},
            {"fixed_duration": 7},
            "metric 'm' has windows of 7 days after their start; fixed_duration 7 leaves none",
        ),
        (
            {**COUNTED, "name": "m", "window": {"start": 7, "end": 9}},
            {"cohorted_duration": 7},
            "metric 'm' has a window that begins 7 days after the exposure; cohorted_duration 7",
        ),
    ],
)
def test_durations_that_make_no_sense_are_refused(
    metric: dict[str, Any], experiment: dict[str, Any], message: str
) -> None:
    """By the name of what does not go together."""
    assert message in problems(metric, **experiment)


def signed(unit: str, number: int, hour: float, at: datetime | None) -> oracle.Event:
    """Return a row on Athena with another moment and its day."""
    row = plain.event(unit, number, hour, 1.0)
    on = at.date() if at is not None else None
    return replace(row, fields={**row.fields, "signed_at": at, "signed_on": on})


def moment(name: str) -> Callable[[oracle.Fields], Any]:
    """Return another moment of a row."""
    return lambda fields: fields[name]


ON_ATHENA: tuple[tuple[dict[str, Any], oracle.OracleMetric], ...] = (
    (
        {"name": "sides", "type": "count", "source": "events", "after_exposure": "signed_at"},
        oracle.OracleMetric(
            name="sides",
            type="count",
            numerator=oracle.Aggregate(
                kind="count", source="events", after_exposure=moment("signed_at")
            ),
        ),
    ),
    (
        {
            "name": "kinds",
            "type": "count_distinct",
            "source": "events",
            "value": "event_name",
            "before_exposure": "signed_on",
            "window": {"end": 0},
        },
        oracle.OracleMetric(
            name="kinds",
            type="count_distinct",
            numerator=oracle.Aggregate(
                kind="count_distinct",
                source="events",
                value=moment("event_name"),
                before_exposure=moment("signed_on"),
                window=oracle.Window(end=0),
            ),
        ),
    ),
    (
        {"name": "back", "type": "retention", "source": "events", "end": 1, "length": 1},
        oracle.OracleMetric(
            name="back",
            type="retention",
            retention=oracle.Retention(source="events", end=1, length=1),
        ),
    ),
)


@pytest.mark.slow
@pytest.mark.usefixtures("aws_environment")
def test_sides_and_maturing_windows_on_athena(aws: Aws, tmp_path: Path) -> None:
    """Through the end, after it, and with a late unit the results are those of the definitions."""
    start = plain.definitions().spelled_out()
    experiment = replace(
        start.experiment,
        metrics=tuple(metric for _, metric in ON_ATHENA),
        end=plain.day(1),
        mature_after_end=True,
    )
    scenario = replace(
        start,
        experiment=experiment,
        metric_definitions=tuple(config for config, _ in ON_ATHENA),
    )
    world = AthenaWorld.open(scenario, tmp_path, aws)
    world.add("exposures", [plain.exposure(unit, "control", 1, 1) for unit in "ab"])
    world.add("exposures", [plain.exposure("after", "control", 2, 1)])
    for unit, at in (("a", plain.at(1, 1)), ("b", plain.at(0, 23)), ("after", None)):
        world.add("events", [signed(unit, number, 2, at) for number in (1, 2, 3)])
    for number in (1, 2, 3):
        with plain.connect(world) as engine:
            engine.run("123", through=plain.day(number))
            found = engine.results("123").to_pylist()
        oracle.assert_close(found, world.expected(plain.day(number)).results, table="results")
        world.add("exposures", [plain.exposure("a", "control", 0, number)])

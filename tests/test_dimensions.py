"""Results by dimension: they are those of the definitions, however the levels came to be what they are."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, seed, settings
from hypothesis import strategies as st

import statsig_staging as staging
from tests.factories import ASSIGNMENT_SOURCE, EXPERIMENT, METRIC_SOURCE
from tests.histories import History, histories, play
from tests.metric_histories import QUIET, play_days, whole
from tests.metric_strategies import new_scenarios
from tests.strategies import Scenario

FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)


@st.composite
def by_context(draw: st.DrawFn) -> Scenario:
    """Draw an experiment that breaks metrics of any type down by its context columns."""
    drawn = new_scenarios().filter(lambda found: found.experiment.context)
    scenario = draw(drawn.map(whole).filter(lambda s: s.metric_definitions))
    rollups = draw(
        st.sampled_from((("daily", "cumulative"), ("cumulative", "days_since_exposure")))
    )
    experiment = replace(
        scenario.experiment,
        rollups=rollups,  # type: ignore[arg-type]
        dimensions=scenario.experiment.context,
        dimension_units=draw(st.sampled_from((1, 2, 3))),
    )
    return replace(scenario, experiment=experiment)


@pytest.mark.slow
@seed(20260701)
@settings(QUIET, max_examples=6)
@given(by_context())
def test_levels_are_what_the_definitions_say(scenario: Scenario) -> None:
    """Every cell of every level agrees with the oracle, after loads of late and new rows, too."""
    play_days(scenario)


def broken_down(history: History) -> History:
    """Return a history in which results are by level of all context columns from the first load on."""
    definitions = history.definitions
    experiment = definitions.scenario.experiment
    by_level = replace(experiment, dimensions=experiment.context, dimension_units=2)
    return replace(history, definitions=definitions.with_experiment(by_level))


@pytest.mark.slow
@seed(20260702)
@settings(QUIET, max_examples=8)
@given(histories().map(broken_down))
def test_sequences_of_loads_by_level(history: History) -> None:
    """After any edits and loads the levels are those of one full load."""
    play(history)


class Shop:
    """A project over CSV files that grow.

    Args:
        folder: Where.
        metrics: The metrics, all by device.
        settings: What else the experiment says.
    """

    def __init__(self, folder: Path, metrics: Sequence[Mapping[str, Any]], **settings: Any) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._rows: dict[str, list[Sequence[object]]] = {"exposures": [], "events": []}
        source = {**ASSIGNMENT_SOURCE, "context": {"device": "device"}}
        definition = {
            "connection": {
                "warehouse": "local",
                "threads": 1,
                "sources": {f"shop.{name}": f"{self._data}/{name}.csv" for name in self._rows},
            },
            "assignment_sources": [source],
            "metric_sources": [METRIC_SOURCE],
            "metrics": [{**metric, "dimensions": ["device"]} for metric in metrics],
            "experiments": [
                {**EXPERIMENT, "metrics": [metric["name"] for metric in metrics], **settings}
            ],
        }
        for place in (folder, folder / "fresh", self._data):
            place.mkdir(exist_ok=True)
        for place in (folder, folder / "fresh"):
            (place / "staging.yml").write_text(yaml.safe_dump(definition), "utf-8")

    def expose(self, day: int, unit: str, group: str, device: str) -> None:
        """Have a unit see a group at noon of a day of January."""
        row = (f"2026-01-{day:02} 12:00:00", "123", group, unit, device)
        self._rows["exposures"].append(row)

    def spend(self, day: int, unit: str, cents: int) -> None:
        """Have a unit spend something in the evening of a day of January."""
        self._rows["events"].append((f"2026-01-{day:02} 18:00:00", unit, "purchase", cents))

    def load(self, day: int, *, fresh: bool = False) -> list[dict[str, Any]]:
        """Load through a day of January, at once in a project that has loaded nothing if ``fresh``."""
        headers = {
            "exposures": ("exposed_at", "experiment_id", "group_id", "user_id", "device"),
            "events": ("ts", "user_id", "kind", "amount_cents"),
        }
        for name, header in headers.items():
            with (self._data / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([header, *self._rows[name]])
        project = staging.load_project(self._folder / "fresh" if fresh else self._folder)
        with staging.connect(project, now=lambda: FEBRUARY) as engine:
            engine.run("123", through=date(2026, 1, day))
            found: list[dict[str, Any]] = engine.results("123").to_pylist()
        return found


REVENUE = {"name": "revenue", "type": "sum", "source": "events", "value": "usd"}
WINSORIZED = {**REVENUE, "name": "winsorized", "winsorize": {"high": 0.75}}


def levels(rows: Sequence[Mapping[str, Any]], day: int) -> dict[str | None, int]:
    """Return the levels of a day of the cumulative revenue, with their units in all groups."""
    found: dict[str | None, int] = {}
    for row in rows:
        wanted = (row["metric"], row["rollup"], row["dimension"], row["ds"])
        if wanted == ("revenue", "cumulative", "device", date(2026, 1, day)):
            found[row["dimension_value"]] = found.get(row["dimension_value"], 0) + row["units"]
    return found


@pytest.mark.slow
def test_a_level_that_grows_has_rows_of_all_days(tmp_path: Path) -> None:
    """Late rows, a level that leaves OTHER and a unit whose level moves: as one full load has it."""
    shop = Shop(tmp_path, (REVENUE, WINSORIZED), dimension_units=2)
    for unit, group, device in (
        ("a", "control", "ios"),
        ("b", "test", "ios"),
        ("c", "control", "web"),
        ("d", "test", ""),
    ):
        shop.expose(1, unit, group, device)
        shop.spend(1, unit, 100)
    first = shop.load(1)
    assert levels(first, 1) == {"ios": 2, "OTHER": 2}

    shop.expose(2, "e", "test", "web")
    shop.spend(2, "c", 700)
    assert levels(shop.load(2), 1) == {"ios": 2, "web": 1, "OTHER": 1}

    shop.expose(1, "f", "control", "web")
    shop.expose(3, "f", "control", "ios")
    shop.expose(3, "d", "control", "")
    shop.spend(1, "a", 50)
    shop.spend(3, "e", 300)
    found, at_once = shop.load(3), shop.load(3, fresh=True)

    assert levels(found, 3) == {"ios": 2, "web": 3, "OTHER": 0}
    assert sorted(map(repr, found)) == sorted(map(repr, at_once))
    wholes = {key_of(row): row for row in found if row["dimension"] is None}
    assert len(wholes) * 4 == len(found)
    for key, row_of_all in wholes.items():
        parts = [row for row in found if row["dimension"] is not None and key_of(row) == key]
        for column in ("units", "total", "total_squares"):
            assert sum(part[column] for part in parts) == pytest.approx(
                row_of_all[column], rel=1e-9
            )


def key_of(row: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what a level's row and that of its group have in common."""
    return row["metric"], row["rollup"], row["ds"], row["group_id"]


def test_a_load_says_what_it_does_by_level(tmp_path: Path) -> None:
    """Rows of the whole are kept, those of the levels are computed on every day."""
    shop = Shop(tmp_path, (REVENUE,))
    shop.expose(1, "a", "control", "ios")
    shop.spend(1, "a", 100)
    shop.load(1)

    with staging.connect(staging.load_project(tmp_path), now=lambda: FEBRUARY) as engine:
        (step,) = [s for s in engine.plan("123").steps if s.name == "results"]

    assert step.reason == "days from 2026-01-02 on; earlier rows are kept; every day by device"


def test_one_dimension_of_the_results(tmp_path: Path) -> None:
    """It can be read alone; one that no metric has is named."""
    shop = Shop(tmp_path, (REVENUE,))
    shop.expose(1, "a", "control", "ios")
    shop.spend(1, "a", 100)
    shop.load(1)

    with staging.connect(staging.load_project(tmp_path)) as engine:
        found = engine.results("123", dimension="device").to_pylist()
        with pytest.raises(staging.ConfigError, match="dimension 'devise' is not known; did you"):
            engine.results("123", dimension="devise")

    assert {(row["dimension"], row["dimension_value"]) for row in found} == {("device", "ios")}

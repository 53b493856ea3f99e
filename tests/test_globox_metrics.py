"""GloBox by windows and winsorized: every unit's value worked out in plain Python, percentiles by NumPy.

Skipped where the data are absent.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from tests.test_globox import FROM_SQL, GLOBOX, LAST, connected, write_project

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not GLOBOX.is_dir(), reason="the GloBox data are not here")

WINDOWS = (0, 1, 3)
SHARES = (0.999, 0.99)
REVENUE = {"type": "sum", "source": "activity", "value": "spent"}
METRICS: list[dict[str, Any]] = [
    *({"name": f"day_{end}", **REVENUE, "window": {"end": end}} for end in WINDOWS),
    *({"name": f"winsorized_{share}", **REVENUE, "winsorize": {"high": share}} for share in SHARES),
]


def rows_of(name: str) -> list[dict[str, str]]:
    """Return the rows of a file."""
    with (GLOBOX / name).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def units_by_group(last: int | None) -> dict[str, np.ndarray[Any, Any]]:
    """Return group → each unit's revenue through so many days after it joined; None for every day."""
    joined = {
        row["uid"]: (row["group"], date.fromisoformat(row["join_dt"]))
        for row in rows_of("groups.csv")
    }
    totals: dict[str, float] = defaultdict(float)
    for row in rows_of("activity.csv"):
        days = (date.fromisoformat(row["dt"]) - joined[row["uid"]][1]).days
        if days >= 0 and (last is None or days <= last):
            totals[row["uid"]] += float(row["spent"])
    found: dict[str, list[float]] = defaultdict(list)
    for unit, (group, _) in joined.items():
        found[group].append(totals[unit])
    return {group: np.array(values) for group, values in found.items()}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, Any]]:
    """(metric, group) → the row of the last day, all days added up."""
    folder: Path = tmp_path_factory.mktemp("globox")
    write_project(folder, FROM_SQL, str(GLOBOX / "groups.csv"), str(GLOBOX / "activity.csv"))
    definition = yaml.safe_load((folder / "staging.yml").read_text("utf-8"))
    definition["metrics"] = METRICS
    definition["experiments"][0]["metrics"] = [metric["name"] for metric in METRICS]
    definition["experiments"][0]["rollups"] = ["cumulative"]
    (folder / "staging.yml").write_text(yaml.safe_dump(definition), "utf-8")
    with connected(folder) as engine:
        engine.run("globox")
        rows = engine.results("globox", rollup="cumulative").to_pylist()
    return {(row["metric"], row["group_id"]): row for row in rows if row["ds"] == LAST}


def moments(values: np.ndarray[Any, Any]) -> list[float]:
    """Return what ``results`` has of some units' values."""
    return [values.sum(), (values**2).sum(), values.mean(), values.var(ddof=1)]


def check(row: dict[str, Any], values: np.ndarray[Any, Any]) -> None:
    """Assert that a row is of these values."""
    found = [row[name] for name in ("total", "total_squares", "mean", "variance")]
    assert row["units"] == len(values)
    assert found == pytest.approx(moments(values), rel=1e-9, abs=0)


@pytest.mark.parametrize("end", WINDOWS)
def test_windows(published: dict[tuple[str, str], dict[str, Any]], end: int) -> None:
    """Revenue of the day of joining, and through one and three days after it."""
    for group, values in units_by_group(end).items():
        check(published[f"day_{end}", group], values)


@pytest.mark.parametrize("share", SHARES)
def test_winsorized(published: dict[tuple[str, str], dict[str, Any]], share: float) -> None:
    """Cut off at a percentile of the totals that are not zero, of both groups together."""
    groups = units_by_group(None)
    every = np.concatenate(list(groups.values()))
    bound = np.percentile(every[every != 0], 100 * share)
    for group, values in groups.items():
        check(published[f"winsorized_{share}", group], np.minimum(values, bound))

"""Many loads in a row: what lies in an experiment's folder does not grow faster than its data."""

import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import statsig_staging as staging
from statsig_staging import journal
from statsig_staging.iceberg import MANY_MANIFESTS, PREVIOUS_METADATA
from statsig_staging.state import LOADS_PER_FILE
from tests.test_kills import GROUPS, START, event, exposure, scenario
from tests.worlds import World, compare

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEEP = 3
LATE_EVERY = 10


def arrive(world: World, day: int) -> None:
    """The files of one day arrive, and now and then a late one of an earlier day."""
    units = range(max(0, day - 20), day + 1)
    world.add("exposures", [exposure(f"u{day}", GROUPS[day % 2], day, 1)])
    world.add("events", [event(f"u{unit}", day, 2, 1.5 + unit) for unit in units])
    if day % LATE_EVERY == LATE_EVERY - 1:
        world.add("exposures", [exposure(f"late{day}", GROUPS[day % 2], day - 5, 1)])
        world.add("events", [event(f"late{day}", day - 3, 2, 1.0)])


def experiment_folder(project: Path) -> Path:
    return project / "warehouse" / "statsig" / "experiment-123"


def files_of(project: Path) -> list[Path]:
    return [path for path in experiment_folder(project).rglob("*") if path.is_file()]


def size_of(project: Path) -> int:
    return sum(path.stat().st_size for path in files_of(project))


def classes_of(project: Path) -> Counter[tuple[str, str]]:
    """Return (table, class) → files, the classes being data, manifests, their lists and metadata."""
    found: Counter[tuple[str, str]] = Counter()
    for path in files_of(project):
        table = path.relative_to(experiment_folder(project)).parts[0]
        kind = {".json": "metadata", ".parquet": "data"}.get(path.suffix, "other")
        if path.suffix == ".avro":
            kind = "list" if path.name.startswith("snap-") else "manifest"
        found[table, kind] += 1
    return found


def load_many(world: World, loads: int) -> None:
    """Load day by day, each once its files are there."""
    project = staging.load_project(world.folder)
    with staging.connect(project, now=lambda: NOW) as engine:
        for day in range(loads):
            arrive(world, day)
            engine.run("123", through=START + timedelta(days=day))
        compare(world, engine, START + timedelta(days=loads - 1))


def check_classes(world: World, days: int) -> None:
    """Each class of files is bounded by what is kept, data of tables by day by their days."""
    by_day = {
        "exposure_counts",
        "unit_day_exposures",
        "unit_day_metrics_events",
        "metric_rows_events",
    }
    for (table, kind), count in classes_of(world.folder).items():
        if table == "_loads":
            # A file list for each kept load, the journals that status tells of, the lease, what began last.
            assert count <= KEEP + journal.KEPT + 4, (table, kind, count)
            continue
        most = {
            "data": days + KEEP if table in by_day else max(KEEP, LOADS_PER_FILE),
            "manifest": KEEP * (MANY_MANIFESTS + 1),
            "list": KEEP,
            "metadata": KEEP + PREVIOUS_METADATA + 1,
        }[kind]
        assert count <= most, (table, kind, count)


@pytest.mark.slow
def test_a_few_loads_in_a_row_leave_what_is_kept(tmp_path: Path) -> None:
    """Twelve loads: no class of files has more than kept loads, and the days, need."""
    world = World.begin(scenario(), tmp_path / "project")

    load_many(world, 12)

    check_classes(world, 12)


MANY = 60


class TooLargeError(AssertionError):
    """A folder takes too much room."""


@pytest.mark.slow
@pytest.mark.xfail(
    raises=TooLargeError,
    strict=True,
    reason="3.2 times where tables are tiny and rows are kept for late exposures",
)
def test_sixty_loads_in_a_row(tmp_path: Path) -> None:
    """The folder stays within twice that of one full refresh, and no class of files grows."""
    world = World.begin(scenario(), tmp_path / "project")

    load_many(world, MANY)

    check_classes(world, MANY)
    fresh = tmp_path / "fresh"
    shutil.copytree(world.folder, fresh, ignore=shutil.ignore_patterns("warehouse"))
    with staging.connect(staging.load_project(fresh), now=lambda: NOW) as engine:
        engine.run("123", through=START + timedelta(days=MANY - 1))
    if size_of(world.folder) > 2 * size_of(fresh):
        raise TooLargeError(f"{size_of(world.folder)} bytes, {size_of(fresh)} after a full refresh")

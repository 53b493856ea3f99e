"""Seeded exposures and events in Parquet, one folder per day, made once per scale and kept."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow.parquet as pq

from benchmarks.metrics import START

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = "1"
"""Part of the cache folder's name; raise it with every change of the rows."""

SEED = 123
FIRST_DAY = date.fromisoformat(START)
TABLES = ("exposures", "events")
ROOT = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much data: about 60 % of ``units`` are exposed, all of them have events."""

    name: str
    events: int
    exposures: int
    units: int
    days: int


SCALES = {
    scale.name: scale
    for scale in (
        Scale(name="XS", events=4_000, exposures=600, units=150, days=5),
        Scale(name="S", events=2_000_000, exposures=133_000, units=50_000, days=28),
        Scale(name="M", events=20_000_000, exposures=1_330_000, units=500_000, days=28),
        Scale(name="L", events=200_000_000, exposures=13_300_000, units=5_000_000, days=28),
    )
}


def over_days(scale: Scale, days: int) -> Scale:
    """Return a scale with the same rows spread over another number of days."""
    return replace(scale, name=f"{scale.name}-{days}days", days=days)


@dataclass(frozen=True, slots=True)
class Sources:
    """A folder with ``exposures/ds=…/*.parquet`` and ``events/ds=…/*.parquet``."""

    path: Path

    def folder(self, table: str, day: date) -> Path:
        """Return the folder of one day of a table."""
        return self.path / table / f"ds={day}"

    def files(self, table: str, days: Iterable[date]) -> list[str]:
        """Return the paths of a table's files of ``days``."""
        folders = [self.folder(table, day) for day in days]
        return [str(file) for folder in folders for file in sorted(folder.glob("*.parquet"))]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A generated dataset: its scale, and where it lies."""

    scale: Scale
    sources: Sources

    @property
    def days(self) -> tuple[date, ...]:
        """Every day that has data, in order; the experiment lasts from the first to the last."""
        return tuple(FIRST_DAY + timedelta(days=index) for index in range(self.scale.days))


def ensure(scale: Scale, *, root: Path = ROOT) -> Dataset:
    """Return the dataset of ``scale``, generated unless it lies there already."""
    target = root / f"{scale.name}-{VERSION}"
    if not target.exists():
        partial = root / f"{scale.name}-{VERSION}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        _generate(Dataset(scale, Sources(partial)))
        partial.rename(target)
    return Dataset(scale, Sources(target))


def ensure_split(dataset: Dataset) -> Dataset:
    """Return the same rows with about 0.1 % of every day but the last in a file ``late-0`` of their own."""
    target = dataset.sources.path.with_name(f"{dataset.sources.path.name}-split")
    if not target.exists():
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        with duckdb.connect() as connection:
            for table in TABLES:
                for day in dataset.days:
                    _split_day(connection, dataset, table, day, Sources(partial))
        partial.rename(target)
    return Dataset(dataset.scale, Sources(target))


def _split_day(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, table: str, day: date, to: Sources
) -> None:
    [file] = dataset.sources.files(table, [day])
    folder = to.folder(table, day)
    folder.mkdir(parents=True)
    if day == dataset.days[-1]:
        shutil.copyfile(file, folder / "part-0.parquet")
        return
    every = min(1000, pq.read_metadata(file).num_rows // 2)
    for name, condition in (("part-0", "<>"), ("late-0", "=")):
        connection.execute(
            f"""
            COPY (
                SELECT * EXCLUDE (file_row_number)
                FROM read_parquet('{file}', hive_partitioning = false, file_row_number = true)
                WHERE file_row_number % {every} {condition} {every // 2}
                ORDER BY file_row_number
            ) TO '{folder / name}.parquet' (FORMAT parquet, COMPRESSION zstd)
            """
        )


def column_bytes(files: Iterable[str], columns: Iterable[str]) -> int:
    """Return the compressed size of the column chunks of ``columns`` in Parquet files."""
    wanted = set(columns)
    total = 0
    for file in files:
        footer = pq.read_metadata(file)
        for index in range(footer.num_row_groups):
            group = footer.row_group(index)
            chunks = (group.column(number) for number in range(group.num_columns))
            total += sum(
                chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema in wanted
            )
    return total


# murmur3's 32-bit finalizer in plain arithmetic: DuckDB's own hash() may change between versions.
_MACROS = """
CREATE MACRO folded(x) AS xor(x, x >> 16);
CREATE MACRO once(x) AS (folded(x) * 2246822507) & 4294967295;
CREATE MACRO twice(x) AS (xor(x, x >> 13) * 3266489909) & 4294967295;
CREATE MACRO draw(n, salt) AS
    folded(twice(once((n::UBIGINT * 2654435761 + salt::UBIGINT * 2246822519) & 4294967295)))
    / 4294967296.0;
"""

# Unit ids look like UUIDs. About 0.3 % of the units will be seen in both groups.
_UNITS = """
CREATE TEMP TABLE units AS
SELECT
    range AS unit,
    CAST(CAST(md5($seed || '/' || range) AS UUID) AS VARCHAR) AS user_id,
    draw(range, $seed + 1) < 0.5 AS tested,
    draw(range, $seed + 2) < 0.003 AS crosses
FROM range($units)
"""

# Every eighth row belongs to another experiment; units are drawn evenly, so most come back.
_EXPOSURES = """
COPY (
    SELECT
        u.user_id,
        IF(e.other, '456', '123') AS experiment_id,
        IF(u.tested <> (u.crosses AND e.flip), 'test', 'control') AS group_id,
        e.exposed_at,
        e.device
    FROM (
        SELECT
            range AS n,
            CAST(floor(draw(range, $seed + 3) * $pool) AS BIGINT) AS unit,
            draw(range, $seed + 4) < 0.125 AS other,
            draw(range, $seed + 5) < 0.5 AS flip,
            {moment} AS exposed_at,
            ['ios', 'android', 'web'][1 + CAST(floor(draw(range, $seed + 6) * 3) AS INTEGER)] AS device
        FROM range($first, $last)
    ) AS e
    JOIN units AS u USING (unit)
    ORDER BY e.n
) TO '{file}' (FORMAT parquet, COMPRESSION zstd)
"""

# The exponent makes few units very active; the multiplication spreads them over all unit numbers.
# A quarter of the rows ('view_item') feeds no metric; the last four columns feed none either.
_EVENTS = """
COPY (
    SELECT
        u.user_id,
        e.event_name,
        e.ts,
        IF(e.event_name = 'purchase', e.amount_cents, NULL) AS amount_cents,
        IF(e.event_name = 'purchase', e.quantity, NULL) AS quantity,
        e.session_id,
        ['ios', 'android', 'web'][1 + e.session_id % 3] AS device,
        '/shop/' || (e.session_id % 997) || '/item' AS path,
        ['de', 'fr', 'us', 'jp', 'br'][1 + e.session_id % 5] AS country
    FROM (
        SELECT
            range AS n,
            CAST(floor(pow(draw(range, $seed + 11), 1.5) * $units) AS BIGINT) * 7919 % $units AS unit,
            CASE
                WHEN draw(range, $seed + 12) < 0.50 THEN 'visit'
                WHEN draw(range, $seed + 12) < 0.75 THEN 'view_item'
                WHEN draw(range, $seed + 12) < 0.90 THEN 'add_to_cart'
                ELSE 'purchase'
            END AS event_name,
            {moment} AS ts,
            CAST(floor(500 + 2500 / pow(1.001 - draw(range, $seed + 13), 0.6)) AS BIGINT) AS amount_cents,
            CAST(floor(1 + 4 * pow(draw(range, $seed + 14), 3)) AS INTEGER) AS quantity,
            CAST(floor(draw(range, $seed + 15) * 1000000000) AS BIGINT) AS session_id
        FROM range($first, $last)
    ) AS e
    JOIN units AS u USING (unit)
    ORDER BY e.n
) TO '{file}' (FORMAT parquet, COMPRESSION zstd)
"""

# Rows of a day lie in the order of their time, spread evenly with some jitter.
_MOMENT = """TIMESTAMP '{day}' + to_microseconds(CAST(
    (range - $first + draw(range, $seed + 20)) * 86400000000 / ($last - $first) AS BIGINT))"""


def _generate(dataset: Dataset) -> None:
    scale = dataset.scale
    with duckdb.connect() as connection:
        connection.execute(_MACROS)
        connection.execute(_UNITS, {"seed": SEED, "units": scale.units})
        pool = {"seed": SEED, "pool": scale.units * 61 // 100}
        _write_days(connection, dataset, "exposures", (_EXPOSURES, scale.exposures, pool))
        units = {"seed": SEED, "units": scale.units}
        _write_days(connection, dataset, "events", (_EVENTS, scale.events, units))


def _write_days(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    table: str,
    recipe: tuple[str, int, dict[str, int]],
) -> None:
    template, rows, params = recipe
    count = dataset.scale.days
    for index, day in enumerate(dataset.days):
        folder = dataset.sources.folder(table, day)
        folder.mkdir(parents=True)
        statement = template.format(moment=_MOMENT.format(day=day), file=folder / "part-0.parquet")
        bounds = {"first": rows * index // count, "last": rows * (index + 1) // count}
        connection.execute(statement, params | bounds)

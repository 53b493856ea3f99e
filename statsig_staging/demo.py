"""New projects: an empty one to edit, and a demonstration with a generated shop experiment."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import date, timedelta
from importlib import resources
from typing import TYPE_CHECKING, Final

from statsig_staging.errors import ConfigError, StagingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from duckdb import DuckDBPyConnection

FIRST_DAY: Final = date(2026, 1, 1)
DAYS: Final = 14
UNITS: Final = 50_000
"""How many units the demonstration exposes to experiment ``123``."""


def write_project(folder: Path) -> None:
    """Write a ``staging.yml`` to edit.

    Raises:
        ConfigError: If the folder holds a project already, or cannot be written.
    """
    _prepare(folder)
    _write_starter("project.yml", folder)


def write_demo(folder: Path, *, seed: int = 123) -> None:
    """Write a project that runs at once, with exposures and events for experiment ``123``.

    The same seed gives the same rows, in the same order, in the same files.

    Raises:
        ConfigError: If the folder holds a project or data already, or cannot be written.
    """
    _prepare(folder)
    write_data(folder / "data", seed=seed)
    _write_starter("demo.yml", folder)


def write_data(folder: Path, *, units: int = UNITS, seed: int = 123) -> None:
    """Write ``exposures/ds=…/`` and ``events/ds=…/`` below ``folder``: on time, and late.

    Args:
        folder: Where the data goes.
        units: How many units are exposed to experiment ``123``.
        seed: A number from 0 to 1,000,000.
    """
    import duckdb  # noqa: PLC0415  the driver loads late

    try:
        with duckdb.connect() as connection:
            _generate(connection, units, seed)
            _write_days(connection, folder)
    except duckdb.Error as error:
        raise StagingError(f"{folder}: the demo data could not be written: {error}") from error


def _prepare(folder: Path) -> None:
    project, data = folder / "staging.yml", folder / "data"
    with _named_failures(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if project.exists():
            raise ConfigError(f"{project} exists already; choose another folder, or remove it")
        if data.exists() and not (data.is_dir() and not any(data.iterdir())):
            raise ConfigError(f"{data} is not empty; choose another folder, or remove it")


def _write_starter(name: str, folder: Path) -> None:
    text = resources.files("statsig_staging").joinpath("starters", name).read_text(encoding="utf-8")
    with _named_failures(folder):
        (folder / "staging.yml").write_text(text, encoding="utf-8")


@contextmanager
def _named_failures(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}") from error


def _generate(connection: DuckDBPyConnection, units: int, seed: int) -> None:
    connection.execute(_MACROS)
    connection.execute(_DAYS, {"first": FIRST_DAY, "count": DAYS})
    connection.execute(_VISITORS, {"units": units, "seed": seed})
    connection.execute(_SESSIONS, {"seed": seed})
    connection.execute(_EXPOSURES, {"seed": seed})
    connection.execute(_EVENTS, {"seed": seed})


def _write_days(connection: DuckDBPyConnection, folder: Path) -> None:
    for name, query in (("exposures", _EXPOSURES_OF_DAY), ("events", _EVENTS_OF_DAY)):
        for day in (FIRST_DAY + timedelta(days=index) for index in range(DAYS)):
            target = folder / name / f"ds={day}"
            with _named_failures(target):
                target.mkdir(parents=True, exist_ok=True)
            for late, file in ((False, "part-0.parquet"), (True, "part-1-late.parquet")):
                rows = connection.sql(query, params={"ds": day, "late": late})
                rows.write_parquet(str(target / file), compression="zstd")


# murmur3's 32-bit finalizer in plain arithmetic: DuckDB's own hash() may change between versions.
# draw(n, salt) looks like a random number in [0, 1) and is always the same.
_MACROS = """
CREATE MACRO folded(x) AS xor(x, x >> 16);
CREATE MACRO once(x) AS (folded(x) * 2246822507) & 4294967295;
CREATE MACRO twice(x) AS (xor(x, x >> 13) * 3266489909) & 4294967295;
CREATE MACRO draw(n, salt) AS
    folded(twice(once((n::UBIGINT * 2654435761 + salt::UBIGINT * 2246822519) & 4294967295)))
    / 4294967296.0;
CREATE MACRO seconds(s) AS to_microseconds(CAST(floor(s::DOUBLE * 1000000) AS BIGINT));
"""

# A shop is busier at weekends; most visitors of an experiment come in its first days.
_DAYS = """
CREATE TEMP TABLE days AS
WITH rhythms AS (
    SELECT
        range AS day,
        CAST($first AS DATE) + CAST(range AS INTEGER) AS ds,
        [0.95, 0.90, 0.90, 1.00, 1.05, 1.25, 1.30][isodow(ds)]::DOUBLE AS rhythm,
        rhythm / (1 + 0.10 * range) AS weight
    FROM range($count)
),
shares AS (SELECT *, sum(weight) OVER (ORDER BY day) / sum(weight) OVER () AS share FROM rhythms)
SELECT
    day,
    ds,
    rhythm,
    lag(share, 1, 0.0) OVER (ORDER BY day) AS first_share,
    IF(day = $count - 1, 1.0, share) AS last_share
FROM shares
"""

# A sixth of the visitors never meets the experiment. Few come often, few buy often.
_VISITORS = """
CREATE TEMP TABLE visitors AS
SELECT
    range AS visitor,
    CAST(CAST(md5($seed || '/' || range) AS UUID) AS VARCHAR) AS user_id,
    range < $units AS exposed,
    draw(range, $seed * 200 + 1) < 0.5 AS tested,
    draw(range, $seed * 200 + 2) < 0.003 AS crosses,
    draw(range, $seed * 200 + 3) < 0.3 AS in_other,
    d.day AS arrival,
    0.02 + 0.45 * draw(range, $seed * 200 + 5) * draw(range, $seed * 200 + 6) AS loyalty,
    0.05 + 0.40 * draw(range, $seed * 200 + 7) * draw(range, $seed * 200 + 7) AS appetite,
    ['ios', 'android', 'web'][1 + CAST(floor(draw(range, $seed * 200 + 8) * 3) AS INTEGER)] AS device
FROM range($units + $units // 5)
JOIN days AS d
    ON draw(range, $seed * 200 + 4) >= d.first_share AND draw(range, $seed * 200 + 4) < d.last_share
"""

# At most one session a day. Before a visitor meets the experiment there are sessions too.
_SESSIONS = """
CREATE TEMP TABLE sessions AS
SELECT
    v.*,
    v.visitor * 16 + d.day AS session,
    d.day,
    d.ds + seconds(6 * 3600 + 61200 * draw(v.visitor * 16 + d.day, $seed * 200 + 11)) AS began,
    1 + CAST(floor(4 * draw(session, $seed * 200 + 12) * draw(session, $seed * 200 + 13)) AS INTEGER)
        AS visits,
    v.exposed AND d.day >= v.arrival AS in_experiment
FROM visitors AS v
JOIN days AS d
    ON d.day = v.arrival OR draw(v.visitor * 16 + d.day, $seed * 200 + 14) < v.loyalty * d.rhythm
"""

# One exposure a session, a little after it began; every twentieth is sent twice. A unit that
# crosses over is seen in the other group within a day.
_EXPOSURES = """
CREATE TEMP TABLE exposures AS
WITH seen AS (
    SELECT
        session,
        user_id,
        '123' AS experiment_id,
        IF(tested, 'test', 'control') AS group_id,
        began + seconds(240 * draw(session, $seed * 200 + 21)) AS exposed_at,
        device
    FROM sessions
    WHERE in_experiment
    UNION ALL
    SELECT
        session,
        user_id,
        '123',
        IF(tested, 'control', 'test'),
        least(
            began + seconds(600 + 86400 * draw(session, $seed * 200 + 22)),
            (SELECT max(ds) FROM days) + seconds(86399)
        ),
        device
    FROM sessions
    WHERE in_experiment AND crosses AND day = arrival
    UNION ALL
    SELECT
        session,
        user_id,
        '456',
        IF(draw(visitor, $seed * 200 + 23) < 0.5, 'new_search', 'old_search'),
        began + seconds(60 * draw(session, $seed * 200 + 24)),
        device
    FROM sessions
    WHERE in_other
)
SELECT
    s.* EXCLUDE (session),
    CAST(exposed_at AS DATE) AS ds,
    draw(session * 2 + copy, $seed * 200 + 26) < 0.01 AS late
FROM seen AS s
JOIN (SELECT unnest([0, 1]) AS copy) ON copy = 0 OR draw(session, $seed * 200 + 25) < 0.05
"""

# Everybody visits, some put a thing into the cart, some of these buy. The test group buys more
# often once it is exposed: of its units, about 4 % more than of the control group become buyers.
_EVENTS = """
CREATE TEMP TABLE events AS
WITH funnel AS (
    SELECT
        *,
        draw(session, $seed * 200 + 31) AS luck,
        appetite * IF(in_experiment AND tested, 1.05, 1.0) AS chance
    FROM sessions
),
steps AS (
    SELECT session, user_id, device, began, 'visit' AS event_name, 0 AS delay, unnest(range(visits)) AS nth
    FROM funnel
    UNION ALL
    SELECT session, user_id, device, began, 'add_to_cart', 300, 0 FROM funnel WHERE luck < 2.2 * chance
    UNION ALL
    SELECT session, user_id, device, began, 'purchase', 600, unnest(range(IF(luck < 0.15 * chance, 2, 1)))
    FROM funnel
    WHERE luck < chance
),
drawn AS (SELECT *, session * 64 + delay // 300 * 16 + nth AS step FROM steps)
SELECT
    user_id,
    event_name,
    began + seconds(delay + 200 * nth + 200 * draw(step, $seed * 200 + 32)) AS ts,
    IF(event_name = 'purchase', CAST(floor(900 + 1500 * sqrt(
        draw(step, $seed * 200 + 33) / (1.0005 - draw(step, $seed * 200 + 33)))) AS BIGINT), NULL)
        AS amount_cents,
    device,
    CAST(began AS DATE) AS ds,
    draw(step, $seed * 200 + 34) < 0.01 AS late
FROM drawn
"""

_EXPOSURES_OF_DAY = """
SELECT user_id, experiment_id, group_id, exposed_at, device
FROM exposures
WHERE ds = $ds AND late = $late
ORDER BY exposed_at, user_id, experiment_id, group_id
"""

_EVENTS_OF_DAY = """
SELECT user_id, event_name, ts, amount_cents, device
FROM events
WHERE ds = $ds AND late = $late
ORDER BY ts, user_id, event_name, amount_cents
"""

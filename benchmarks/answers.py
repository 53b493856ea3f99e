"""Whether two answers are the same: rows of ``results``, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from pathlib import Path


def wrong_rows(answer: Path, reference: Path) -> int:
    """Count the rows of ``results`` that are missing, too many, or differ in any column.

    Units are compared exactly, doubles to 1e-9 of their magnitude: a variance is a difference of
    squares, so its magnitude is that of the squares. Running totals that end at zero may be off
    by 1e-12.
    """
    agree = " AND ".join([_equal("units"), *(_close(name) for name in _MAGNITUDES)])
    keys = " AND ".join(f"a.{name} IS NOT DISTINCT FROM r.{name}" for name in _KEYS)
    query = f"""
        SELECT
            count(*) FILTER (WHERE NOT coalesce({agree}, false))
            + (SELECT count(*) - count(DISTINCT ({", ".join(_KEYS)})) FROM read_parquet($answer))
        FROM read_parquet($answer) AS a
        FULL JOIN read_parquet($reference) AS r ON {keys}
    """
    with duckdb.connect() as connection:
        paths = {"answer": str(answer), "reference": str(reference)}
        row = connection.execute(query, paths).fetchone()
    return int(row[0]) if row else 0


_KEYS = (
    "experiment_id",
    "rollup",
    "ds",
    "day_index",
    "metric",
    "dimension",
    "dimension_value",
    "group_id",
)

_MAGNITUDES = {
    "total": "r.total",
    "total_squares": "r.total_squares",
    "mean": "r.mean",
    "variance": "r.total_squares / (r.units - 1)",
    "denominator_total": "r.denominator_total",
    "denominator_total_squares": "r.denominator_total_squares",
    "numerator_denominator_product": "r.numerator_denominator_product",
}


def _equal(column: str) -> str:
    return f"a.{column} IS NOT DISTINCT FROM r.{column}"


def _close(column: str) -> str:
    size = _MAGNITUDES[column]
    return f"""({_equal(column)} OR abs(a.{column} - r.{column}) <= 1e-9 * greatest(abs({size}), 1e-3))"""

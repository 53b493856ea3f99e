"""Rows of ``results`` in the words of two public statistics libraries, gbstats and tea-tasting.

A row is a mapping from column to value: of ``engine.results(…).to_pylist()``, of ``results --json``, or of any reader of
the table. Neither library is imported, nor needed. ``docs/statistics.md`` has examples.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from statsig_staging.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Row = Mapping[str, Any]

_TOTALS = {
    "value": "total",
    "denominator": "denominator_total",
    "covariate": "covariate_total",
    "denominator_covariate": "denominator_covariate_total",
}
_PRODUCTS = {
    ("value", "denominator"): "numerator_denominator_product",
    ("value", "covariate"): "covariate_product",
    ("value", "denominator_covariate"): "numerator_denominator_covariate_product",
    ("denominator", "covariate"): "denominator_covariate_product",
    ("denominator", "denominator_covariate"): "denominator_denominator_covariate_product",
    ("covariate", "denominator_covariate"): "covariates_product",
}
# The columns that gbstats' query results have, as of 0.8 (gbstats.gbstats.SUM_COLS).
_GBSTATS_COLUMNS = {
    "main_sum": "total",
    "main_sum_squares": "total_squares",
    "denominator_sum": "denominator_total",
    "denominator_sum_squares": "denominator_total_squares",
    "main_denominator_sum_product": "numerator_denominator_product",
    "covariate_sum": "covariate_total",
    "covariate_sum_squares": "covariate_total_squares",
    "main_covariate_sum_product": "covariate_product",
}


def tea_tasting_aggregates(row: Row) -> dict[str, Any]:
    """Return what ``tea_tasting.aggr.Aggregates`` takes.

    Its variables are ``value``, and where the metric has them ``denominator``, ``covariate`` and
    ``denominator_covariate``.

    Args:
        row: A row of ``results``.

    Returns:
        ``count_``, ``mean_``, ``var_`` and ``cov_``. What is undefined is NaN, as tea-tasting has it of
        units: means of a group without units, variances of fewer than two.

    Raises:
        ConfigError: If it is no row of ``results``.
    """
    count = _get(row, "units")
    means = {
        name: _divided(_get(row, total), count)
        for name, total in _TOTALS.items()
        if name == "value" or row.get(total) is not None
    }
    return {
        "count_": count,
        "mean_": means,
        "var_": {
            name: max(_covariance(row, name, name, f"{_TOTALS[name]}_squares"), 0.0)
            for name in means
        },
        "cov_": {
            (left, right): _covariance(row, left, right, product)
            for (left, right), product in _PRODUCTS.items()
            if left in means and right in means
        },
    }


def gbstats_sample_mean(row: Row) -> dict[str, Any]:
    """Return what ``SampleMeanStatistic`` of gbstats takes: the metric's value per unit.

    Raises:
        ConfigError: If it is no row of ``results``.
    """
    return _gbstats_sample(row, "value")


def gbstats_proportion(row: Row) -> dict[str, Any]:
    """Return what ``ProportionStatistic`` of gbstats takes, for a metric whose values are 0 or 1.

    gbstats then takes p times 1 - p for the variance, of which ``SampleMeanStatistic`` has n / (n - 1).

    Raises:
        ConfigError: If it is no row of ``results``, or the sums are not those of zeros and ones.
    """
    if _get(row, "total_squares") != _get(row, "total"):
        raise ConfigError(
            f"{_name(row)} has units with values other than 0 and 1 and is no proportion; "
            "use gbstats_sample_mean"
        )
    return {"n": _get(row, "units"), "sum": row["total"]}


def gbstats_ratio(row: Row) -> dict[str, Any]:
    """Return what ``RatioStatistic`` of gbstats takes, for a metric with a denominator.

    Its two statistics are dictionaries, of which gbstats makes ``SampleMeanStatistic``.

    Raises:
        ConfigError: If the metric has no denominator.
    """
    return {
        "n": _get(row, "units"),
        "m_statistic": _gbstats_sample(row, "value"),
        "d_statistic": _gbstats_sample(row, "denominator"),
        "m_d_sum_of_products": _get(row, "numerator_denominator_product"),
    }


def gbstats_regression_adjusted(row: Row, theta: float = 0.0) -> dict[str, Any]:
    """Return what ``RegressionAdjustedStatistic`` of gbstats takes, for a metric with ``cuped``.

    Args:
        row: A row of ``results``.
        theta: What the covariate counts. The tests of gbstats set it themselves.

    Raises:
        ConfigError: If the metric has no covariate, or has a denominator: gbstats 0.8 adjusts no ratios.
    """
    if row.get("denominator_total") is not None:
        raise ConfigError(
            f"{_name(row)} is a ratio, which gbstats does not adjust; "
            "use gbstats_ratio, or tea_tasting_aggregates"
        )
    return {
        "n": _get(row, "units"),
        "post_statistic": _gbstats_sample(row, "value"),
        "pre_statistic": _gbstats_sample(row, "covariate"),
        "post_pre_sum_of_products": _get(row, "covariate_product"),
        "theta": theta,
    }


def gbstats_columns(row: Row) -> dict[str, Any]:
    """Return a row of query results as gbstats takes them, in a list of rows of one metric.

    ``variation`` is the group. ``dimension`` is ``All`` for the whole population, and empty for units without a value of
    the dimension. Columns that the metric does not have are left out, which gbstats takes for 0.

    Raises:
        ConfigError: If it is no row of ``results``.
    """
    units, total = _get(row, "units"), _get(row, "total")
    return {
        "dimension": "All" if row.get("dimension") is None else row["dimension_value"] or "",
        "variation": _get(row, "group_id"),
        "users": units,
        "count": units,
        "main_sum": total,
    } | {
        name: row[column]
        for name, column in _GBSTATS_COLUMNS.items()
        if row.get(column) is not None
    }


def _gbstats_sample(row: Row, name: str) -> dict[str, Any]:
    return {
        "n": _get(row, "units"),
        "sum": _get(row, _TOTALS[name]),
        "sum_squares": _get(row, f"{_TOTALS[name]}_squares"),
    }


def _covariance(row: Row, left: str, right: str, product: str) -> float:
    count = _get(row, "units")
    both = _get(row, _TOTALS[left]) * _get(row, _TOTALS[right])
    return _divided(_get(row, product) - _divided(both, count), count - 1)


def _divided(total: float, count: int) -> float:
    return total / count if count > 0 else math.nan


def _get(row: Row, column: str) -> Any:
    if row.get(column) is None:
        raise ConfigError(
            f"{_name(row)} has no {column}; rows are those of the table results, "
            "whose columns depend on the type of the metric"
        )
    return row[column]


def _name(row: Row) -> str:
    return f"metric {row['metric']}" if row.get("metric") is not None else "a row"

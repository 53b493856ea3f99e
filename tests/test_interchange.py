"""What is published suffices: public statistics libraries say of it what they say of the units themselves."""

from __future__ import annotations

import doctest
import math
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import statsig_staging as staging
from statsig_staging import interchange
from tests.factories import ASSIGNMENT_SOURCE, METRIC_SOURCE
from tests.markdown import blocks, page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    Event = tuple[datetime, str, int | None]
    Value = Callable[[Iterable[Event]], float]

FIRST, LAST = date(2026, 1, 5), date(2026, 1, 14)
COVARIATE_DAYS = 3
SEED = 20260105
MOMENTS = [("cumulative", LAST), ("daily", date(2026, 1, 11))]
GROUPS = ("control", "test")


def count(kind: str) -> Value:
    """Return how many rows of a kind there are."""
    return lambda events: sum(1 for _, found, _ in events if found == kind)


def any_of(kind: str) -> Value:
    """Return whether there is a row of a kind, as 1 or 0."""
    return lambda events: float(any(found == kind for _, found, _ in events))


def amounts(events: Iterable[Event]) -> float:
    """Return the sum of the amounts."""
    return math.fsum(cents / 100.0 for _, _, cents in events if cents is not None)


def records(events: Iterable[Event]) -> float:
    """Return how many rows have an amount."""
    return sum(1 for _, _, cents in events if cents is not None)


@dataclass(frozen=True)
class Metric:
    """A metric as it is configured, and what its value and its denominator are in plain Python."""

    definition: Mapping[str, Any]
    value: Value
    denominator: Value | None = None


def where(kind: str) -> dict[str, str]:
    """Return the filter for a kind of rows."""
    return {"source": "events", "filter": f"kind = '{kind}'"}


REVENUE = {"type": "sum", "source": "events", "value": "usd"}
METRICS = {
    "purchases": Metric({"type": "count", **where("purchase")}, count("purchase")),
    "purchasers": Metric({"type": "unit_count", **where("purchase")}, any_of("purchase")),
    "revenue": Metric(REVENUE, amounts),
    "order_value": Metric({**REVENUE, "type": "mean"}, amounts, records),
    "revenue_per_visit": Metric(
        {
            "type": "ratio",
            "numerator": REVENUE,
            "denominator": {"type": "count", **where("visit")},
        },
        amounts,
        count("visit"),
    ),
    "conversion": Metric(
        {
            "type": "ratio",
            "numerator": {"type": "unit_count", **where("purchase")},
            "denominator": {"type": "unit_count", **where("visit")},
        },
        any_of("purchase"),
        any_of("visit"),
    ),
}
MEANS = ["purchases", "purchasers", "revenue"]
RATIOS = ["order_value", "revenue_per_visit", "conversion"]
ADJUSTABLE = [name for name in METRICS if name != "order_value"]
"""Metrics that may have a covariate; a ``mean`` may not."""


@dataclass
class Units:
    """Generated units with what they did, before and after they were exposed.

    Attributes:
        groups: Unit → its group.
        exposed: Unit → when it was exposed.
        events: Unit → its rows.
    """

    groups: dict[str, str] = field(default_factory=dict)
    exposed: dict[str, datetime] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))

    def frame(self, metric: Metric, rollup: str, day: date) -> pd.DataFrame:
        """Return a row per unit: its group, value, denominator, and both of the days before its exposure."""
        return pd.DataFrame(
            {"group": self.groups[unit], **self._values(metric, unit, rollup, day)}
            for unit, moment in self.exposed.items()
            if moment.date() <= day
        )

    def _values(self, metric: Metric, unit: str, rollup: str, day: date) -> dict[str, float]:
        moment, events = self.exposed[unit], self.events[unit]
        first = FIRST if rollup == "cumulative" else day
        after = [row for row in events if row[0] >= moment and first <= row[0].date() <= day]
        before = [
            row
            for row in events
            if moment - timedelta(hours=24 * COVARIATE_DAYS) <= row[0] < moment
        ]
        found = {"value": metric.value(after), "covariate": metric.value(before)}
        if metric.denominator is not None:
            found["denominator"] = metric.denominator(after)
            found["denominator_covariate"] = metric.denominator(before)
        return found


def generate() -> Units:
    """Return units that differ in how active they are, so that what they did before tells of later."""
    random = np.random.default_rng(SEED)
    units = Units()
    for number in range(400):
        unit = f"u{number}"
        units.groups[unit] = GROUPS[int(random.integers(2))]
        units.exposed[unit] = moment(random, FIRST, days=8)
        zeal = random.gamma(2.0) * (1.1 if units.groups[unit] == "test" else 1.0)
        for _ in range(int(random.poisson(3 * zeal))):
            units.events[unit].append((moment(random, date(2026, 1, 1), days=14), "visit", None))
        for _ in range(int(random.poisson(zeal))):
            cents = int(random.lognormal(8.0)) if random.random() < 0.9 else None
            row = (moment(random, date(2026, 1, 1), days=14), "purchase", cents)
            units.events[unit].append(row)
    return units


def moment(random: np.random.Generator, first: date, *, days: int) -> datetime:
    """Return a moment of some days."""
    seconds = int(random.integers(days * 86_400))
    return datetime(first.year, first.month, first.day) + timedelta(seconds=seconds)  # noqa: DTZ001


def write(units: Units, folder: Path) -> staging.Project:
    """Write the units as a project's sources; return the project."""
    exposures = [
        {
            "user_id": unit,
            "experiment_id": "checkout_button",
            "group_id": units.groups[unit],
            "exposed_at": exposed,
        }
        for unit, exposed in units.exposed.items()
    ]
    events = [
        {"user_id": unit, "ts": at, "kind": kind, "amount_cents": cents}
        for unit, rows in units.events.items()
        for at, kind, cents in rows
    ]
    definitions = [{"name": name, **metric.definition} for name, metric in METRICS.items()] + [
        {"name": f"{name}_adjusted", **METRICS[name].definition, "cuped": {"days": COVARIATE_DAYS}}
        for name in ADJUSTABLE
    ]
    pq.write_table(pa.Table.from_pylist(exposures), folder / "exposures.parquet")
    pq.write_table(pa.Table.from_pylist(events), folder / "events.parquet")
    return staging.Project.model_validate(
        {
            "root": folder,
            "connection": {
                "warehouse": "local",
                "threads": 1,
                "sources": {"shop.exposures": "exposures.parquet", "shop.events": "events.parquet"},
            },
            "assignment_sources": [ASSIGNMENT_SOURCE],
            "metric_sources": [METRIC_SOURCE],
            "metrics": definitions,
            "experiments": [
                {
                    "id": "checkout_button",
                    "assignment_source": "exposures",
                    "unit": "user_id",
                    "start": FIRST,
                    "end": LAST,
                    "metrics": [definition["name"] for definition in definitions],
                }
            ],
        }
    )


@dataclass(frozen=True)
class Trial:
    """The units, and the engine that has published their statistics."""

    units: Units
    engine: staging.Engine
    published: list[dict[str, Any]]
    frames: dict[tuple[str, str, date], pd.DataFrame] = field(default_factory=dict)

    def frame(self, metric: str, rollup: str, day: date) -> pd.DataFrame:
        """Return the units themselves."""
        key = (metric, rollup, day)
        if key not in self.frames:
            self.frames[key] = self.units.frame(METRICS[metric], rollup, day)
        return self.frames[key].copy()

    def rows(self, metric: str, rollup: str, day: date) -> dict[str, dict[str, Any]]:
        """Return group → the published row."""
        key = (metric, rollup, day)
        return {
            row["group_id"]: row
            for row in self.published
            if (row["metric"], row["rollup"], row["ds"]) == key
        }

    def adjusted_rows(self, metric: str, rollup: str, day: date) -> dict[str, dict[str, Any]]:
        """Return group → the published row of the same metric with ``cuped``."""
        return self.rows(f"{metric}_adjusted", rollup, day)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterable[Trial]:
    """One load of the generated units."""
    units = generate()
    project = write(units, tmp_path_factory.mktemp("trial"))
    with staging.connect(project, now=lambda: datetime(2026, 2, 1, tzinfo=UTC)) as engine:
        engine.run("checkout_button")
        yield Trial(units, engine, engine.results("checkout_button").to_pylist())


def close(expected: Any) -> Any:
    """Return what compares equal within 1e-9, relative."""
    return pytest.approx(expected, rel=1e-9, abs=0.0, nan_ok=True)


FOR_TEA_TASTING = [
    (name, adjusted)
    for name in METRICS
    for adjusted in (False, True)
    if not adjusted or name in ADJUSTABLE
]
"""Each metric without and, where it may have one, with a covariate."""
FOR_GBSTATS = [
    (name, adjusted) for name, adjusted in FOR_TEA_TASTING if not (adjusted and name in RATIOS)
]
"""The same without what gbstats 0.8 cannot do, a ratio with a covariate."""


def variables(metric: str, *, adjusted: bool) -> list[str]:
    """Return the names of what a metric has of each unit."""
    names = ["value"] if metric in MEANS else ["value", "denominator"]
    covariates = ["covariate"] if metric in MEANS else ["covariate", "denominator_covariate"]
    return names + covariates if adjusted else names


def aggregates(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return group → the published row as tea-tasting's aggregates."""
    from tea_tasting.aggr import Aggregates

    return {
        group: Aggregates(**interchange.tea_tasting_aggregates(row)) for group, row in rows.items()
    }


@pytest.mark.parametrize(("metric", "adjusted"), FOR_TEA_TASTING)
@pytest.mark.parametrize(("rollup", "day"), MOMENTS)
def test_tea_tasting_reads_the_same_moments(
    trial: Trial, metric: str, adjusted: bool, rollup: str, day: date
) -> None:
    """Counts, means, variances and covariances are those that tea-tasting reads from the units."""
    from tea_tasting.aggr import read_aggregates

    names = variables(metric, adjusted=adjusted)
    expected = read_aggregates(
        trial.frame(metric, rollup, day),
        "group",
        has_count=True,
        mean_cols=names,
        var_cols=names,
        cov_cols=[(left, right) for left in names for right in names if left < right],
    )
    rows = trial.adjusted_rows if adjusted else trial.rows
    found = aggregates(rows(metric, rollup, day))
    assert found.keys() == expected.keys() == set(GROUPS)
    for group in GROUPS:
        assert found[group].count_ == expected[group].count_
        assert found[group].mean_ == close(expected[group].mean_)
        assert found[group].var_ == close(expected[group].var_)
        assert found[group].cov_ == close(expected[group].cov_)


@pytest.mark.parametrize(("metric", "adjusted"), FOR_TEA_TASTING)
@pytest.mark.parametrize(("rollup", "day"), MOMENTS)
def test_tea_tasting_gives_the_same_answers(
    trial: Trial, metric: str, adjusted: bool, rollup: str, day: date
) -> None:
    """Estimates, intervals and p-values are those that tea-tasting has for the units, CUPED included."""
    import tea_tasting

    names = variables(metric, adjusted=adjusted)
    test = (tea_tasting.Mean if metric in MEANS else tea_tasting.RatioOfMeans)(*names)
    units = trial.frame(metric, rollup, day)
    expected = test.analyze(units, "control", "test", variant="group")
    rows = trial.adjusted_rows if adjusted else trial.rows
    found = test.analyze(aggregates(rows(metric, rollup, day)), "control", "test")
    assert found._asdict() == close(expected._asdict())
    assert math.isfinite(found.pvalue)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("rollup", "day"), MOMENTS)
def test_the_published_mean_and_variance_are_those_of_tea_tasting(
    trial: Trial, metric: str, rollup: str, day: date
) -> None:
    """The columns mean and variance are tea-tasting's mean, or ratio, and its variance of the value."""
    import tea_tasting
    from tea_tasting.aggr import read_aggregates

    names = variables(metric, adjusted=False)
    test = (tea_tasting.Mean if metric in MEANS else tea_tasting.RatioOfMeans)(*names)
    units = trial.frame(metric, rollup, day)
    answer = test.analyze(units, "control", "test", variant="group")
    variances = read_aggregates(
        units, "group", has_count=True, mean_cols=[], var_cols=["value"], cov_cols=[]
    )
    rows = trial.rows(metric, rollup, day)
    assert (rows["control"]["mean"], rows["test"]["mean"]) == close(
        (answer.control, answer.treatment)
    )
    for group in GROUPS:
        assert rows[group]["variance"] == close(variances[group].var_["value"])


def sample(values: pd.Series[float]) -> dict[str, Any]:
    """Return gbstats' sums over units."""
    return {
        "n": len(values),
        "sum": math.fsum(values),
        "sum_squares": math.fsum(values * values),
    }


def gbstats_statistic(metric: str, row: Mapping[str, Any], *, adjusted: bool) -> Any:
    """Return the published row as gbstats' statistic of its kind."""
    from gbstats.models import statistics

    if metric in RATIOS:
        return statistics.RatioStatistic(**interchange.gbstats_ratio(row))
    if adjusted:
        return statistics.RegressionAdjustedStatistic(
            **interchange.gbstats_regression_adjusted(row)
        )
    if metric == "purchasers":
        return statistics.ProportionStatistic(**interchange.gbstats_proportion(row))
    return statistics.SampleMeanStatistic(**interchange.gbstats_sample_mean(row))


def gbstats_statistic_of_units(metric: str, units: pd.DataFrame, *, adjusted: bool) -> Any:
    """Return gbstats' statistic from the sums over the units themselves."""
    from gbstats.models import statistics

    value = statistics.SampleMeanStatistic(**sample(units["value"]))
    if metric in RATIOS:
        return statistics.RatioStatistic(
            n=len(units),
            m_statistic=value,
            d_statistic=statistics.SampleMeanStatistic(**sample(units["denominator"])),
            m_d_sum_of_products=math.fsum(units["value"] * units["denominator"]),
        )
    if adjusted:
        return statistics.RegressionAdjustedStatistic(
            n=len(units),
            post_statistic=value,
            pre_statistic=statistics.SampleMeanStatistic(**sample(units["covariate"])),
            post_pre_sum_of_products=math.fsum(units["value"] * units["covariate"]),
            theta=0.0,
        )
    if metric == "purchasers":
        return statistics.ProportionStatistic(n=len(units), sum=math.fsum(units["value"]))
    return value


@pytest.mark.parametrize(("metric", "adjusted"), FOR_GBSTATS)
@pytest.mark.parametrize(("rollup", "day"), MOMENTS)
def test_gbstats_gives_the_same_answers(
    trial: Trial, metric: str, adjusted: bool, rollup: str, day: date
) -> None:
    """Lift, interval and p-value of gbstats are those from sums over the units, CUPED included."""
    from gbstats.frequentist.tests import TwoSidedTTest

    rows = (trial.adjusted_rows if adjusted else trial.rows)(metric, rollup, day)
    frame = trial.frame(metric, rollup, day)
    found = TwoSidedTTest(
        *(gbstats_statistic(metric, rows[group], adjusted=adjusted) for group in GROUPS)
    )
    expected = TwoSidedTTest(
        *(
            gbstats_statistic_of_units(metric, frame[frame["group"] == group], adjusted=adjusted)
            for group in GROUPS
        )
    )
    answer, right = found.compute_result(), expected.compute_result()
    assert answer.error_message is None
    assert answer.expected == close(right.expected)
    assert list(answer.ci) == close(list(right.ci))
    assert answer.uplift.stddev == close(right.uplift.stddev)
    assert answer.p_value == close(right.p_value)


@pytest.mark.parametrize(("metric", "adjusted"), FOR_GBSTATS)
def test_gbstats_has_the_mean_and_variance_of_the_units(
    trial: Trial, metric: str, adjusted: bool
) -> None:
    """What gbstats makes of a row is the mean and the variance that numpy finds in the units."""
    from gbstats.models.statistics import compute_theta

    rows = (trial.adjusted_rows if adjusted else trial.rows)(metric, "cumulative", LAST)
    frame = trial.frame(metric, "cumulative", LAST)
    found = {
        group: gbstats_statistic(metric, row, adjusted=adjusted) for group, row in rows.items()
    }
    if adjusted:
        theta = compute_theta(found["control"], found["test"])
        cov = np.cov(frame["value"], frame["covariate"])
        assert theta == close(cov[0, 1] / cov[1, 1])
        frame["value"] -= theta * frame["covariate"]
        for statistic in found.values():
            statistic.theta = theta
    if metric in RATIOS:
        # Of a ratio of means the delta method takes what is left of each unit when it is subtracted.
        sums = frame.groupby("group")[["value", "denominator"]].sum()
        ratio = frame["group"].map(sums["value"] / sums["denominator"])
        means = frame["group"].map(frame.groupby("group")["denominator"].mean())
        frame["value"] = ratio + (frame["value"] - ratio * frame["denominator"]) / means
    for group in GROUPS:
        values = frame["value"][frame["group"] == group]
        assert found[group].n == len(values)
        assert found[group].mean == close(values.mean())
        degrees = 0 if metric == "purchasers" and not adjusted else 1
        assert found[group].variance == close(values.var(ddof=degrees))


@pytest.mark.filterwarnings("ignore:Setting a value on a Series via .at:DeprecationWarning")
@pytest.mark.parametrize(("metric", "adjusted"), FOR_GBSTATS)
def test_gbstats_takes_rows_as_query_results(trial: Trial, metric: str, adjusted: bool) -> None:
    """Rows with gbstats' columns go through its whole pipeline to the answer of its test."""
    from gbstats.frequentist.tests import FrequentistConfig, TwoSidedTTest
    from gbstats.gbstats import process_single_metric
    from gbstats.models.settings import AnalysisSettingsForStatsEngine, MetricSettingsForStatsEngine

    rows = (trial.adjusted_rows if adjusted else trial.rows)(metric, "cumulative", LAST)
    kind = "binomial" if metric == "purchasers" and not adjusted else "count"
    settings = MetricSettingsForStatsEngine(
        id=metric,
        name=metric,
        statistic_type="ratio" if metric in RATIOS else "mean_ra" if adjusted else "mean",
        main_metric_type=kind,
        denominator_metric_type="count",
        covariate_metric_type="count",
    )
    analysis = AnalysisSettingsForStatsEngine(
        var_names=list(GROUPS),
        var_ids=list(GROUPS),
        weights=[0.5, 0.5],
        stats_engine="frequentist",
        difference_type="absolute",
    )
    query = [interchange.gbstats_columns(row) for row in rows.values()]
    (answer,) = process_single_metric(query, settings, [analysis]).analyses[0].dimensions
    expected = TwoSidedTTest(
        *(gbstats_statistic(metric, rows[group], adjusted=adjusted) for group in GROUPS),
        FrequentistConfig(difference_type="absolute"),
    ).compute_result()
    control, test = answer.variations
    assert answer.dimension == "All"
    assert (control.users, test.users) == (rows["control"]["units"], rows["test"]["units"])
    assert control.cr == close(rows["control"]["mean"])
    assert test.expected == close(expected.expected)
    assert list(test.ci) == close(list(expected.ci))
    assert test.pValue == close(expected.p_value)


ROW: dict[str, Any] = {
    "metric": "revenue",
    "dimension": None,
    "dimension_value": None,
    "group_id": "control",
    "units": 3,
    "total": 66.0,
    "total_squares": 3636.0,
    "denominator_total": None,
}


@pytest.mark.parametrize("amount", [[5.0], []])
def test_what_is_undefined_is_nan_as_in_tea_tasting(amount: list[float]) -> None:
    """A group of one unit has no variance, a group without units no mean either; the answer says so."""
    import tea_tasting

    row = ROW | {
        "units": len(amount),
        "total": sum(amount),
        "total_squares": sum(value * value for value in amount),
    }
    found = interchange.tea_tasting_aggregates(row)
    assert found["mean_"] == close({"value": amount[0] if amount else math.nan})
    assert math.isnan(found["var_"]["value"])
    groups = aggregates({"control": row, "test": ROW})
    answer = tea_tasting.Mean("value").analyze(groups, "control", "test")
    assert answer.treatment == 22.0
    assert math.isnan(answer.pvalue)


def test_a_variance_that_rounding_made_negative_is_zero() -> None:
    """Equal values have no variance, whatever is left of the difference of two large sums."""
    row = ROW | {"total": 0.3, "total_squares": 0.1 * 0.3 - 1e-17}
    assert row["total_squares"] - row["total"] ** 2 / 3 < 0
    assert interchange.tea_tasting_aggregates(row)["var_"] == {"value": 0.0}


@pytest.mark.parametrize(
    ("dimension", "value", "expected"),
    [(None, None, "All"), ("device", "ios", "ios"), ("device", None, "")],
)
def test_levels_of_a_dimension_have_names_for_gbstats(
    dimension: str | None, value: str | None, expected: str
) -> None:
    """gbstats wants text: the population is All, units without a value have an empty name."""
    row = ROW | {"dimension": dimension, "dimension_value": value}
    assert interchange.gbstats_columns(row)["dimension"] == expected


@pytest.mark.parametrize(
    ("take", "change", "message"),
    [
        (interchange.gbstats_proportion, {}, "revenue has units with values other than 0 and 1"),
        (interchange.gbstats_ratio, {}, "revenue has no denominator_total"),
        (interchange.gbstats_regression_adjusted, {}, "revenue has no covariate_total"),
        (
            interchange.gbstats_regression_adjusted,
            {"denominator_total": 5.0},
            "revenue is a ratio, which gbstats does not adjust",
        ),
        (interchange.gbstats_sample_mean, {"total": None}, "revenue has no total"),
        (interchange.tea_tasting_aggregates, {"total_squares": None}, "has no total_squares"),
        (interchange.gbstats_columns, {"metric": None, "units": None}, "a row has no units"),
    ],
)
def test_what_a_row_cannot_be_is_refused(
    take: Callable[[Mapping[str, Any]], object], change: dict[str, Any], message: str
) -> None:
    """No statistic is made of columns that are not there: the error names the metric and the column."""
    with pytest.raises(staging.ConfigError, match=message):
        take(ROW | change)


def test_the_example_by_hand_is_right() -> None:
    """The session of docs/statistics.md prints what it says."""
    (session,) = blocks(page("docs/statistics.md"), "pycon")
    test = doctest.DocTestParser().get_doctest(session, {}, "statistics", None, None)
    assert doctest.DocTestRunner().run(test).attempted > 3
    assert doctest.DocTestRunner().run(test).failed == 0


def test_the_examples_with_the_libraries_run(trial: Trial) -> None:
    """The Python of docs/statistics.md works on a published experiment, and both libraries agree."""
    names: dict[str, Any] = {"engine": trial.engine}
    for code in blocks(page("docs/statistics.md"), "python"):
        exec(compile(code, "docs/statistics.md", "exec"), names)
    revenue = trial.frame("revenue", "cumulative", LAST).groupby("group")["value"].mean()
    assert names["revenue"].effect_size == close(revenue["test"] - revenue["control"])
    assert names["adjusted"] == close(
        names["tt"]
        .Mean("value", "covariate")
        .analyze(trial.frame("revenue", "cumulative", LAST), "control", "test", "group")
    )
    assert names["lift"].expected == close(revenue["test"] / revenue["control"] - 1.0)
    assert names["revenue_per_visit"].pvalue == close(names["ratio_test"].compute_result().p_value)

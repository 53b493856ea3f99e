"""Metrics that need the same number share it; a number that means something else is another one."""

from typing import Any

import pytest

from statsig_staging.aggregates import Aggregate, AggregateKind, Rows
from statsig_staging.terms import ShapeKind, Statistic, aggregates_of, statistic_of
from tests.factories import PURCHASES, REVENUE, make_project


def statistic(metric: dict[str, Any], **source: Any) -> Statistic:
    """Return the statistic of a metric over the source ``events``."""
    project = make_project(metrics=[metric], metric_source=source)
    return statistic_of(project.metric(metric["name"]), project)


def column(metric: dict[str, Any], **source: Any) -> str:
    """Return the column that a metric's numerator lies in."""
    return statistic(metric, **source).numerator.aggregates[0].column


def test_equal_definitions_share_a_column() -> None:
    """A metric's name has no part in what is stored."""
    assert column(REVENUE) == column(REVENUE | {"name": "turnover"})


def test_a_count_and_a_unit_count_share_a_column() -> None:
    """Whether a unit has a row is told from how many it has."""
    rows = statistic(PURCHASES)
    units = statistic(PURCHASES | {"type": "unit_count"})

    assert units.aggregates == rows.aggregates
    assert units.numerator.parts[0].shape.kind is ShapeKind.ONCE
    assert units.numerator.key != rows.numerator.key


@pytest.mark.parametrize(
    "change",
    [
        {"filter": "kind = 'refund'"},
        {"filter": "kind = 'Purchase'"},
        {"value": "amount_cents"},
        {"value": "usd * 2"},
        {"type": "count", "value": None},
    ],
    ids=["filter", "case inside quotes", "value", "expression", "kind"],
)
def test_a_changed_definition_is_another_column(change: dict[str, Any]) -> None:
    """Nothing of the old numbers is left under the new definition."""
    before = REVENUE | {"filter": "kind = 'purchase'"}
    now = {key: value for key, value in (before | change).items() if value is not None}

    assert column(now) != column(before)


@pytest.mark.parametrize(
    ("metric", "part"),
    [(REVENUE, "value"), (PURCHASES | {"filter": "usd > 1"}, "filter")],
    ids=["value", "filter"],
)
def test_a_changed_alias_is_another_column(metric: dict[str, Any], part: str) -> None:
    """An alias is part of the expressions that name it, whatever its case."""
    quoted = metric | {part: metric[part].replace("usd", '"USD"')}

    for written in (metric, quoted):
        assert column(written, columns={"usd": "amount_cents"}) != column(written)


def test_the_case_of_an_alias_does_not_matter() -> None:
    """Athena knows no case in names."""
    one, other = ({"USD": formula} for formula in ("amount_cents", "amount_cents / 100.0"))

    assert column(REVENUE, columns=one) != column(REVENUE, columns=other)


def test_an_alias_that_is_not_named_changes_nothing() -> None:
    """Other metrics may use it."""
    aliases = {"usd": "amount_cents / 100.0", "euro": "amount_cents / 120.0"}

    assert column(REVENUE, columns=aliases) == column(REVENUE)


@pytest.mark.parametrize(
    "written",
    [
        "kind='purchase'",
        "  kind\n  =  'purchase'  ",
        "kind = 'purchase' -- only these",
        "/* only these */ KIND = 'purchase'",
    ],
    ids=["none", "lines", "comment after", "comment before and case"],
)
def test_white_space_and_comments_change_nothing(written: str) -> None:
    """A definition is its tokens."""
    assert column(PURCHASES | {"filter": written}) == column(PURCHASES)


@pytest.mark.parametrize("written", [" usd ", "usd -- dollars"], ids=["space", "comment"])
def test_white_space_around_a_value_changes_nothing(written: str) -> None:
    """A value is its tokens, too."""
    assert column(REVENUE | {"value": written}) == column(REVENUE)


def test_a_column_says_what_it_is() -> None:
    """Kind, then the value where it is a name, then a hash that no release may change."""
    assert column(PURCHASES) == "count_59959d15"
    assert column(REVENUE).startswith("sum_usd_")
    assert column(REVENUE | {"value": "usd * 2"}).count("_") == 1


def test_a_mean_is_a_sum_over_records() -> None:
    """Rows without a value count on neither side."""
    mean = statistic(REVENUE | {"type": "mean"})

    assert mean.numerator == statistic(REVENUE).numerator
    assert mean.denominator is not None
    assert mean.denominator.aggregates[0].kind is AggregateKind.RECORDS
    assert [each.value for each in mean.aggregates] == ["usd", "usd"]


def test_a_ratio_has_the_terms_of_its_sides() -> None:
    """One total over another, each with its own filter."""
    ratio = statistic(
        {
            "name": "revenue_per_purchase",
            "type": "ratio",
            "numerator": {"type": "sum", "source": "events", "value": "usd"},
            "denominator": {"type": "count", "source": "events", "filter": "kind = 'purchase'"},
        }
    )

    assert [each.column for each in ratio.aggregates] == [column(REVENUE), column(PURCHASES)]


def test_a_source_delivers_each_aggregate_once() -> None:
    """Sorted by column, without those of other sources."""
    statistics = [
        statistic(PURCHASES),
        statistic(PURCHASES | {"type": "unit_count"}),
        statistic(REVENUE),
        statistic(REVENUE | {"type": "mean"}),
    ]

    kinds = [aggregate.kind for aggregate in aggregates_of(statistics, "events")]

    assert kinds == [AggregateKind.COUNT, AggregateKind.RECORDS, AggregateKind.SUM]
    assert aggregates_of(statistics, "visits") == ()


@pytest.mark.parametrize(
    ("kind", "value", "where", "expected"),
    [
        (AggregateKind.COUNT, None, None, "rows"),
        (AggregateKind.COUNT, None, "a > 1", "rows where a > 1"),
        (AggregateKind.SUM, "usd", None, "sum of usd"),
        (AggregateKind.RECORDS, "usd", "a > 1", "rows with a value of usd where a > 1"),
    ],
    ids=["count", "filtered count", "sum", "records"],
)
def test_an_aggregate_in_words(
    kind: AggregateKind, value: str | None, where: str | None, expected: str
) -> None:
    """The table's schema tells what a column holds."""
    aggregate = Aggregate(source="events", kind=kind, rows=Rows(where), value=value, column="c")

    assert aggregate.doc == expected

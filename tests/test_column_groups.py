"""The aggregates of a metric source lie in several tables where they are many, and stay where they are."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from sqlglot import exp

import statsig_staging as staging
from statsig_staging import terms
from statsig_staging.config import Project
from statsig_staging.engine import Engine
from statsig_staging.plan import (
    CreateTable,
    Drop,
    Merge,
    Plan,
    Refresh,
    Replace,
    ReplacePartitions,
    Write,
)
from statsig_staging.planner import LoadRequest, build_plan
from statsig_staging.planner.column_groups import ColumnGroup, placed
from statsig_staging.state import Published
from statsig_staging.warehouses.athena import dml
from statsig_staging.warehouses.athena.guard import LONGEST
from statsig_staging.warehouses.athena.place import Place
from statsig_staging.warehouses.base import Traits
from tests.factories import (
    ASSIGNMENT_SOURCE,
    EXPERIMENT,
    METRIC_SOURCE,
    PURCHASES,
    REVENUE,
    daily,
    day,
    days,
    make_file,
    make_observation,
    make_project,
    make_request,
    make_version,
    published_by,
)
from tests.histories import History, histories, narrow, play
from tests.metric_histories import QUIET
from tests.shop import ANSWERS, Shop
from tests.test_planner import names, partitions, step
from tests.test_reconcile import damage, differing, first

TWO = Traits(days_per_statement=1, aggregates_per_table=2)
"""A table takes two aggregates."""


def count(kind: str) -> dict[str, Any]:
    """Return a metric with one aggregate that no other has."""
    return {"name": kind, "type": "count", "source": "events", "filter": f"kind = '{kind}'"}


def counts(kinds: str) -> Project:
    """Return a project with one such metric per letter."""
    return make_project(metrics=map(count, kinds))


def asked(project: Project, **changes: Any) -> LoadRequest:
    return make_request(project=project, traits=TWO, **changes)


def after(project: Project, *more: Project) -> Published:
    """Return what is published once the loads of several projects have followed each other."""
    published = published_by(asked(project))
    for number, each in enumerate(more, start=1):
        plan = build_plan(asked(each, published=published))
        written = {
            made.action.target.name.catalog: make_version(100 * number + position)
            for position, made in enumerate(plan.steps)
            if isinstance(made.action, Write)
        }
        published = replace(
            published, definitions=plan.definitions, tables={**published.tables, **written}
        )
    return published


def lying(definitions: Iterable[tuple[str, str]], project: Project) -> dict[str, str]:
    """Return definition → letters of the metrics whose aggregates it lists."""
    kinds = {
        terms.statistic_of(metric, project).aggregates[0].column: metric.name
        for metric in project.metrics
    }
    return {
        name: "".join(sorted(kinds.get(column, "?") for column in columns.split()))
        for name, columns in definitions
        if name.startswith(("aggregates", "left"))
    }


def lies(plan: Plan, kinds: str = "abcdefgh") -> dict[str, str]:
    return lying(plan.definitions.items(), counts(kinds))


def test_as_many_as_a_table_takes_lie_in_one() -> None:
    """Nothing is numbered."""
    assert names(build_plan(asked(counts("ab")))) == names(build_plan(make_request()))


def test_more_lie_in_further_tables() -> None:
    """Each is filled from the source, and has totals of its own."""
    plan = build_plan(asked(counts("abcde")))
    numbers = ("", "_2", "_3")

    assert lies(plan) == {
        "aggregates events": "ab",
        "aggregates_2 events": "cd",
        "aggregates_3 events": "e",
    }
    for number in numbers:
        made = step(plan, f"unit_day_metrics_events{number}").action
        assert isinstance(made, CreateTable)
        assert made.target.name.catalog == f"unit_day_metrics_123_events{number}"
        assert [len(batch.reads) for batch in made.batches] == [1, 1, 1]
    assert names(plan)[-4:] == [*(f"unit_totals_events{n}" for n in numbers), "results"]


def test_the_aggregates_of_a_metric_lie_together() -> None:
    """They are placed in the order of the metrics, not of their names."""
    means = [
        {"name": f"mean_{n}", "type": "mean", "source": "events", "value": f"usd + {n}"}
        for n in range(4)
    ]
    plan = build_plan(asked(make_project(metrics=means)))

    for number in ("", "_2", "_3", "_4"):
        action = step(plan, f"unit_day_metrics_events{number}").action
        assert isinstance(action, CreateTable)
        kinds = [column.name.split("_")[0] for column in action.target.columns[2:]]
        assert kinds == ["records", "sum"]


def test_nothing_changed_is_nothing_to_do() -> None:
    """What was placed is found where it is."""
    project = counts("abcde")

    assert build_plan(asked(project, published=published_by(asked(project)))).steps == ()


def test_the_order_of_metrics_moves_nothing() -> None:
    """Only the results are computed again: of other metrics, as far as they can tell."""
    published = published_by(asked(counts("abcde")))
    plan = build_plan(asked(counts("edcba"), published=published))

    assert not [name for name in names(plan) if name.startswith("unit_day")]
    assert (
        plan.definitions.items()
        >= {
            name: columns
            for name, columns in published.definitions.items()
            if name.startswith("aggregates")
        }.items()
    )


def test_a_new_metric_goes_where_there_is_room() -> None:
    """It restates that table alone, and the other aggregates of that are taken as they are."""
    plan = build_plan(asked(counts("acde"), published=after(counts("abcd"), counts("acd"))))

    assert lies(plan) == {
        "aggregates events": "ae",
        "left events": "b",
        "aggregates_2 events": "cd",
    }
    restated = step(plan, "unit_day_metrics_events")
    assert isinstance(restated.action, ReplacePartitions)
    assert restated.reason == "new or changed: e"
    assert "unit_day_metrics_events_2" not in names(plan)


def test_a_new_metric_without_room_begins_a_table() -> None:
    """It is built from every day, and nothing else is touched."""
    plan = build_plan(asked(counts("abcde"), published=after(counts("abcd"))))
    new = step(plan, "unit_day_metrics_events_3")

    assert isinstance(new.action, CreateTable)
    assert new.reason == "new or changed: e"
    assert new.days == days(1, 2, 3)
    assert [name for name in names(plan) if name.startswith("unit_day")] == [new.name]


def test_a_table_whose_metrics_are_gone_is_left_alone() -> None:
    """The others keep their numbers; its own is given again, and then it is built anew."""
    published = after(counts("abcdef"), counts("abef"))
    plan = build_plan(asked(counts("abef"), published=published))
    again = build_plan(asked(counts("abefgh"), published=published))

    assert plan.steps == ()
    assert lies(plan) == {"aggregates events": "ab", "aggregates_3 events": "ef"}
    assert lies(again)["aggregates_2 events"] == "gh"
    assert isinstance(step(again, "unit_day_metrics_events_2").action, CreateTable)


def test_a_full_refresh_puts_them_together() -> None:
    """Whether it was asked for, or the exposures are defined anew."""
    published = after(counts("abcdef"), counts("acef"))
    asked_for = build_plan(asked(counts("acef"), published=published, refresh=Refresh.FULL))
    groups = make_project(metrics=map(count, "acef"), groups=["control"])
    implied = build_plan(asked(groups, published=published))

    assert implied.refresh is Refresh.FULL
    for plan in (asked_for, implied):
        assert lies(plan) == {"aggregates events": "ac", "aggregates_2 events": "ef"}
        assert "unit_day_metrics_events_3" not in names(plan)


def test_a_load_may_place_what_it_stages_as_another_did() -> None:
    """So that the tables of a full one can be compared with it."""
    published = after(counts("abcdef"), counts("acef"))
    plan = build_plan(asked(counts("acef"), refresh=Refresh.FULL, placed_as=published.definitions))

    assert lies(plan) == lying(published.definitions.items(), counts("abcdef"))
    assert lies(plan)["aggregates_3 events"] == "ef"


def test_a_new_day_fills_every_table() -> None:
    """One scan of the source for each."""
    project = counts("abc")
    exposures, events = daily("exposures", 1, 2, 3, 4), daily("events", 1, 2, 3, 4)
    plan = build_plan(
        asked(
            project,
            published=published_by(asked(project)),
            through=day(4),
            observations={"exposures": exposures, "events": events},
        )
    )

    for number in ("", "_2"):
        assert partitions(plan, f"unit_day_metrics_events{number}") == [days(4)]
        assert f"unit_totals_events{number}" in names(plan)


def test_late_units_are_merged_into_every_table() -> None:
    """From rows that are kept of the source once."""
    project = counts("abc")
    files = [make_file(f"exposures/{number}", number) for number in (1, 2, 3)]
    files[1] = replace(files[1], size=7)
    changed = make_observation("exposures", *files)
    plan = build_plan(
        asked(
            project,
            published=published_by(asked(project)),
            observations={"exposures": changed, "events": daily("events", 1, 2, 3)},
        )
    )

    assert names(plan).count("late_metric_rows_events") == 1
    for number in ("", "_2"):
        late = step(plan, f"late_units_events{number}")
        assert isinstance(late.action, Merge)
        assert late.action.target.name.catalog == f"unit_day_metrics_123_events{number}"
        assert f"unit_day_metrics_events{number}" in late.needs


def test_a_metric_over_two_tables_has_results() -> None:
    """A ratio whose sides lie apart reads both."""
    ratio = {
        "name": "rate",
        "type": "ratio",
        "numerator": {key: count("a")[key] for key in ("type", "source", "filter")},
        "denominator": {key: count("c")[key] for key in ("type", "source", "filter")},
    }
    results = step(build_plan(asked(make_project(metrics=[*map(count, "abc"), ratio]))), "results")

    assert isinstance(results.action, CreateTable)
    [batch] = results.action.batches
    read = {table.name for table in batch.select.find_all(exp.Table)}
    assert read >= {"unit_day_metrics_123_events", "unit_day_metrics_123_events_2"}


def with_source(name: str, kinds: str) -> Project:
    """Return a project with a further source, and a metric of it."""
    chosen = [*map(count, kinds), {"name": "more", "type": "count", "source": name}]
    return Project.model_validate(
        {
            "connection": {"warehouse": "local"},
            "assignment_sources": [ASSIGNMENT_SOURCE],
            "metric_sources": [METRIC_SOURCE, {**METRIC_SOURCE, "name": name}],
            "metrics": chosen,
            "experiments": [{**EXPERIMENT, "metrics": [each["name"] for each in chosen]}],
        }
    )


def both(project: Project, name: str, **changes: Any) -> LoadRequest:
    """Return the request of a load where a further source holds what ``events`` does."""
    seen = {each: daily(each, 1, 2, 3) for each in ("exposures", "events")}
    other = replace(seen["events"], source=name)
    return asked(project, observations={**seen, name: other}, **changes)


def test_a_number_that_another_source_is_called_by_is_left_out() -> None:
    """Two tables are never called alike."""
    plan = build_plan(both(with_source("events_2", "abc"), "events_2"))
    targets = [each.action.target.name for each in plan.steps if isinstance(each.action, Write)]

    assert lies(plan)["aggregates_3 events"] == "c"
    assert len({name.catalog for name in targets}) == len(targets)
    assert len(set(names(plan))) == len(names(plan))


def test_a_new_source_may_take_the_name_of_a_table() -> None:
    """What lay there is computed again under another number."""
    published = after(counts("abc"))
    plan = build_plan(both(with_source("events_2", "abc"), "events_2", published=published))

    assert lies(plan)["aggregates_3 events"] == "c"
    assert isinstance(step(plan, "unit_day_metrics_events_3").action, CreateTable)
    taken = step(plan, "unit_day_metrics_events_2").action
    assert isinstance(taken, CreateTable)
    assert taken.target.name.source == "events_2"


KINDS = "abcdefghij"


@given(
    st.lists(st.sets(st.sampled_from(KINDS), min_size=1), min_size=1, max_size=8),
    st.integers(1, 3),
)
def test_whatever_comes_and_goes(sets: list[set[str]], most: int) -> None:
    """Everything lies somewhere, once; what stays needed stays where it is; no table grows without end."""
    places: dict[str, str] = {}
    columns: dict[int, set[str]] = {}
    before: dict[str, int] = {}
    for kinds in sets:
        project = counts("".join(sorted(kinds)))
        statistics = [terms.statistic_of(each, project) for each in project.metrics]
        groups = placed(statistics, "events", places=places, sources=["events"], most=most)
        now = {each.column: group.number for group in groups for each in group.aggregates}

        assert sum(len(group.aggregates) for group in groups) == len(now) == len(kinds)
        assert all(now[column] == before[column] for column in now.keys() & before.keys())
        assert all(len(group.aggregates) <= most for group in groups)
        for group in groups:
            held = {each.column for each in group.aggregates}
            stays = any(before.get(column) == group.number for column in held)
            columns[group.number] = held | columns[group.number] if stays else held
            assert len(columns[group.number]) <= 2 * most
        before, places = now, _definitions(groups)


def _definitions(groups: Iterable[ColumnGroup]) -> dict[str, str]:
    return {name: columns for group in groups for name, columns in group.definitions.items()}


def many(number: int) -> dict[str, Any]:
    """Return a metric of a kind that its number decides."""
    of = {"source": "events", "filter": f"kind = 'kind number {number}'"}
    usd = {**of, "value": "usd"}
    choices: tuple[dict[str, Any], ...] = (
        {"type": "count", **of},
        {"type": "sum", **usd, "cuped": {"days": 7}},
        {"type": "mean", **usd},
        {
            "type": "ratio",
            "numerator": {"type": "sum", **usd},
            "denominator": {"type": "count", **of},
        },
    )
    return {"name": f"metric_{number}", **choices[number % len(choices)]}


@pytest.mark.slow
def test_four_hundred_metrics_of_a_source_are_within_the_limits_of_athena() -> None:
    """No statement is too long, and no table is too wide for a MERGE."""
    traits = Traits(days_per_statement=dml.PARTITIONS)
    first = make_request(project=make_project(metrics=map(many, range(400))), traits=traits)
    files = [make_file(f"exposures/{number}", number) for number in (1, 2, 3)]
    files[1] = replace(files[1], size=7)
    changed = make_project(
        metrics=map(many, [*range(0, 400, 2), *range(1, 400, 2), *range(400, 450)])
    )
    second = make_request(
        make_observation("exposures", *files),
        project=changed,
        published=published_by(first),
        traits=traits,
    )

    for request in (first, second):
        plan = build_plan(request)
        assert sum(name.startswith("unit_day_metrics") for name in names(plan)) > 1
        for each in plan.steps:
            if isinstance(each.action, Write) and not isinstance(each.action, Drop):
                assert longest(each.action) <= LONGEST
            if isinstance(each.action, Merge):
                assert len(each.action.target.columns) <= 2 + 150


def longest(write: CreateTable | ReplacePartitions | Merge | Replace) -> int:
    """Return the bytes of the longest statement of a write, as it is sent to Athena."""
    place = Place(bucket="bucket", folder="statsig", database="statsig_staging")
    selects = {id(batch.select): batch for batch in write.batches}
    sizes = []
    for batch in selects.values():
        table, rows = place.node(write.target), dml.rows_of(batch, write.target.columns)
        statement: exp.Expr = dml.creation(table, write.target, place.root, rows)
        if isinstance(write, Merge):
            statement = dml.merge(place.node(write.target), write, rows, batch.partitions)
        sizes.append(len(statement.sql("athena", comments=False).encode()))
    return max(sizes, default=0)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop whose two metrics lie in two tables, loaded."""
    shop = Shop.open(tmp_path / "shop")
    with narrow_engine(shop) as engine:
        engine.run("123")
    return shop


def narrow_engine(shop: Shop) -> Engine:
    return narrow(staging.connect(staging.load_project(shop.folder)), 1)


EVERYWHERE = (
    PURCHASES,
    {**REVENUE, "name": "order_value", "type": "mean", "filter": "kind = 'purchase'"},
    {
        "name": "share",
        "type": "ratio",
        "numerator": {"type": "sum", "source": "events", "value": "usd", "filter": "usd > 6"},
        "denominator": {"type": "sum", "source": "events", "value": "usd"},
        "cuped": {"days": 2},
    },
    {**REVENUE, "name": "first", "type": "first_value"},
    {
        "name": "back",
        "type": "retention",
        "source": "events",
        "filter": "usd > 6",
        "completion_filter": "usd < 6",
        "end": 1,
        "length": 1,
    },
)
"""Metrics over several aggregates, or of another fold than a sum."""


def test_numbers_do_not_depend_on_where_they_lie(tmp_path: Path) -> None:
    """Sides of a ratio, what starts a window of retention and what ends it may lie apart."""
    shop = Shop.open(tmp_path / "shop")
    chosen = [each["name"] for each in EVERYWHERE]
    rollups = ["daily", "cumulative", "7_day"]
    shop.configure(
        metrics=list(EVERYWHERE), experiments__0__metrics=chosen, experiments__0__rollups=rollups
    )
    shop.run()
    whole = shop.rows()
    assert any(row["metric"] == "back" and row["total"] for row in whole)
    with narrow_engine(shop) as engine:
        engine.run("123", refresh="full")
        assert engine.table("123", "unit_day_metrics_events_8").num_rows

    assert shop.rows() == whole


FURTHER = ("unit_day_metrics_events_2", "unit_totals_events_2")


def test_results_are_those_of_one_table(shop: Shop) -> None:
    """It is nobody's business where numbers lie."""
    assert shop.answers() == ANSWERS


def test_further_tables_are_read_and_shown(shop: Shop) -> None:
    """By ``table`` and ``status``; the ledger says whose they are."""
    with narrow_engine(shop) as engine:
        found = [engine.table("123", name) for name in FURTHER]
        [status] = engine.status("123")
        jobs = {row["job"]: row for row in engine.ledger("123").to_pylist()}

    assert [len(table.column_names) for table in found] == [3, 3]
    assert found[0].num_rows == 3
    shown = {table.name for table in status.tables}
    assert shown >= {"unit_day_metrics_123_events_2", "unit_totals_123_events_2"}
    assert jobs[FURTHER[0]]["metric_source_id"] == "events"
    assert jobs[FURTHER[0]]["job_type"] == "Unit-Day Calculations"


def test_further_tables_reconcile_and_are_healed(shop: Shop) -> None:
    """Also where a full load would place what they hold otherwise."""
    loyal = {"name": "loyal", "type": "count", "source": "events", "filter": "loyal"}
    chosen = [REVENUE, loyal, {**loyal, "name": "others", "filter": "NOT loyal"}]
    names = [each["name"] for each in chosen]
    shop.configure(metrics=chosen, experiments__0__metrics=names)
    with narrow_engine(shop) as engine:
        engine.run("123")
        damage(engine, "unit_day_metrics_123_events_2", first("unit_id", lambda _: "nobody"))
        found = engine.reconcile("123")
        healed = engine.reconcile("123", heal=True)

    assert {each.table for each in found.tables} >= set(FURTHER)
    assert differing(found) == {FURTHER[0]: 2}
    assert (healed.rows, differing(healed)) == (0, {})


def test_further_tables_are_kept_and_cleaned_away(shop: Shop) -> None:
    """``maintain`` leaves them readable, ``clean`` leaves nothing."""
    with narrow_engine(shop) as engine:
        before = [engine.table("123", name) for name in FURTHER]
        engine.maintain("123")
        assert [engine.table("123", name) for name in FURTHER] == before
        engine.clean("123")
        assert engine._warehouse.entries("123") == ()


def test_a_wider_limit_moves_nothing(shop: Shop) -> None:
    """Until a full refresh; what a load left behind stays what it is."""
    assert shop.run().status == "unchanged"
    with staging.connect(staging.load_project(shop.folder)) as engine:
        assert engine.table("123", FURTHER[0]).num_rows == 3
        engine.run("123", refresh="full")
        whole = engine.table("123", "unit_day_metrics_events")
        with pytest.raises(staging.WarehouseError, match="has no table"):
            engine.table("123", FURTHER[0])

    assert len(whole.column_names) == 4
    assert shop.answers() == ANSWERS


def play_narrow(history: History, most: int) -> None:
    """Play a history where a table takes few aggregates; a load that is killed takes no notice of it."""
    play(replace(history, aggregates_per_table=most))


def test_sequences_of_few_aggregates_per_table() -> None:
    """Metrics come and go, units arrive late, a full refresh comes between: each load is a full one's equal."""
    drawn = settings(QUIET, max_examples=6)(given(histories(), st.integers(1, 2))(play_narrow))
    seed(20300101)(drawn)()

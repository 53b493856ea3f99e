"""From what is declared, what is published and what the sources hold follows what a load does."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from statsig_staging.errors import StepFailedError, WarehouseError
from statsig_staging.executor import in_order
from statsig_staging.plan import (
    Check,
    CreateTable,
    Merge,
    Plan,
    Refresh,
    Replace,
    ReplacePartitions,
    Step,
)
from statsig_staging.planner import LoadRequest, build_plan
from statsig_staging.sources import Observation, SourceFile, file_changes
from statsig_staging.warehouses.base import Traits
from tests.factories import (
    COLUMNS,
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
    published_by,
)

EXPOSURE_STEPS = [
    "exposure_counts",
    "exposures_left_out",
    "unit_day_exposures",
    "first_exposures",
    "exposures_summary",
]
RESULT_STEPS = ["exposures_summary", "unit_totals_events", "results"]
SQL_SOURCE = {"table": None, "sql": "SELECT * FROM shop.events WHERE ds >= {statsig_start_date}"}


def next_plan(*observations: Observation, first: LoadRequest | None = None, **changes: Any) -> Plan:
    """Return the plan of a load after a first one through 3 January."""
    first = first or make_request()
    request = make_request(*observations, published=published_by(first), **changes)
    return build_plan(request)


def names(plan: Plan) -> list[str]:
    """Return the names of a plan's steps."""
    return [step.name for step in plan.steps]


def step(plan: Plan, name: str) -> Step:
    """Return a plan's step by its name."""
    return next(step for step in plan.steps if step.name == name)


def partitions(plan: Plan, name: str) -> list[tuple[date, ...]]:
    """Return the days that each statement of a step fills."""
    action = step(plan, name).action
    assert isinstance(action, CreateTable | ReplacePartitions | Merge)
    return [batch.partitions for batch in action.batches]


def reasons(plan: Plan, source: str) -> dict[date, str]:
    """Return why each day of a source is read."""
    return dict(next(reading.days for reading in plan.readings if reading.source == source))


def restated(source: str, number: int) -> Observation:
    """Return a source of three days whose file of one day is another one now."""
    files = [make_file(f"{source}/{other}", other) for other in (1, 2, 3)]
    files[number - 1] = replace(files[number - 1], size=7)
    return make_observation(source, *files)


def test_a_first_load_builds_every_table() -> None:
    """Exposures, their checks and summaries, then metrics, then results."""
    plan = build_plan(make_request())

    assert names(plan) == [
        *EXPOSURE_STEPS,
        "unit_day_metrics_events",
        "unit_totals_events",
        "results",
    ]
    assert {type(step.action) for step in plan.steps} == {CreateTable, Check}
    assert (plan.refresh, plan.reason) == (Refresh.FULL, "nothing is published yet")


def test_a_first_load_reads_every_day() -> None:
    """From the experiment's first day through the last one to load."""
    plan = build_plan(make_request())

    for source in COLUMNS:
        assert reasons(plan, source) == dict.fromkeys(days(1, 2, 3), "full refresh")


def test_days_outside_the_experiment_are_not_read() -> None:
    """What a source holds of other days is nobody's business."""
    plan = build_plan(make_request(daily("events", 1, 3, 4, 5), through=day(3)))

    assert partitions(plan, "unit_day_metrics_events") == [days(1), days(3)]


def test_every_source_of_the_metrics_has_a_step() -> None:
    """A metric source that no metric needs is not read."""
    project = make_project()
    unused = project.model_copy(
        update={
            "metric_sources": (
                *project.metric_sources,
                project.metric_sources[0].model_copy(update={"name": "unused"}),
            )
        }
    )

    plan = build_plan(make_request(project=unused))

    assert [reading.source for reading in plan.readings] == ["exposures", "events"]


def test_an_experiment_without_metrics_has_its_exposures() -> None:
    """Groups can be counted before anything is measured; results have their columns and no rows."""
    plan = build_plan(make_request(project=make_project(metrics=[])))
    action = step(plan, "results").action
    assert isinstance(action, CreateTable)
    (batch,) = action.batches

    assert names(plan) == [*EXPOSURE_STEPS, "results"]
    assert batch.select.named_selects == [column.name for column in action.target.columns]
    assert not list(batch.select.find_all(exp.Table))
    assert batch.select.args["where"].this == exp.false()


def test_nothing_changed_is_nothing_to_do() -> None:
    """The next load has no steps and reads no day."""
    plan = next_plan()

    assert plan.steps == ()
    assert [dict(reading.days) for reading in plan.readings] == [{}, {}]


def test_a_full_refresh_can_be_asked_for() -> None:
    """Everything is built anew although nothing changed."""
    plan = next_plan(refresh=Refresh.FULL)

    assert names(plan) == names(build_plan(make_request()))
    assert (plan.refresh, plan.reason) == (Refresh.FULL, "asked for")


def test_a_new_day_is_read_and_nothing_else() -> None:
    """Each table is brought up to date, by day where it is laid out by day."""
    plan = next_plan(daily("exposures", 1, 2, 3, 4), daily("events", 1, 2, 3, 4), through=day(4))

    assert [(step.name, type(step.action)) for step in plan.steps] == [
        ("exposure_counts", ReplacePartitions),
        ("exposures_left_out", Check),
        ("unit_day_exposures", ReplacePartitions),
        ("first_exposures", Merge),
        ("exposures_summary", Replace),
        ("unit_day_metrics_events", ReplacePartitions),
        ("unit_totals_events", Replace),
        ("results", Replace),
    ]
    assert partitions(plan, "unit_day_exposures") == [days(4)]
    assert partitions(plan, "unit_day_metrics_events") == [days(4)]
    assert reasons(plan, "events") == {day(4): "not loaded yet"}
    assert plan.reason == "since load a through 2026-01-03"


def test_a_new_day_without_files_is_loaded_as_empty() -> None:
    """Its partitions are cleared, without a statement."""
    plan = next_plan(through=day(4))
    action = step(plan, "unit_day_metrics_events").action

    assert isinstance(action, ReplacePartitions)
    assert action.partitions == days(4)
    assert action.batches == ()


def test_a_changed_old_day_of_events() -> None:
    """Only that day of that source is read; exposures stay as they are."""
    plan = next_plan(restated("events", 2))

    assert names(plan) == ["unit_day_metrics_events", "unit_totals_events", "results"]
    assert partitions(plan, "unit_day_metrics_events") == [days(2)]
    assert reasons(plan, "events") == {day(2): "its files changed"}
    assert reasons(plan, "exposures") == {}
    assert step(plan, "unit_day_metrics_events").reason == "2026-01-02: its files changed"


def test_a_day_whose_files_are_gone_is_emptied() -> None:
    """Its partition is cleared, without a statement."""
    plan = next_plan(daily("events", 1, 3))
    action = step(plan, "unit_day_metrics_events").action

    assert isinstance(action, ReplacePartitions)
    assert (action.partitions, action.batches) == (days(2), ())
    assert reasons(plan, "events") == {day(2): "its files are gone"}


def test_a_change_outside_the_experiment_is_no_change() -> None:
    """Days after the last one to load wait for their load."""
    assert next_plan(daily("events", 1, 2, 3, 4)).steps == ()


def test_a_changed_old_day_of_exposures() -> None:
    """The units that it moves are restated from that day on, and nobody else."""
    plan = next_plan(restated("exposures", 2))
    late = step(plan, "late_units_events")

    assert names(plan) == [
        *EXPOSURE_STEPS,
        "metric_rows_events",
        "late_metric_rows_events",
        "late_units_events",
        "unit_totals_events",
        "results",
    ]
    assert partitions(plan, "unit_day_exposures") == [days(2)]
    assert late.days == days(2, 3)
    assert isinstance(late.action, Merge)
    assert late.action.keys == ("unit_id", "ds")
    assert reasons(plan, "events") == {}


def test_days_that_are_read_whole_hold_late_units_too() -> None:
    """Late units are restated on the other days only."""
    plan = next_plan(restated("exposures", 1), restated("events", 2))

    assert partitions(plan, "unit_day_metrics_events") == [days(2)]
    assert partitions(plan, "late_units_events") == [days(1), days(3)]


def test_late_units_come_after_whole_days() -> None:
    """Both write the same table."""
    plan = next_plan(restated("exposures", 1), restated("events", 2))

    assert "unit_day_metrics_events" in step(plan, "late_units_events").needs


def test_only_late_units_have_a_guard() -> None:
    """It asks for the earliest day; where no unit is late, nothing is read."""
    plan = next_plan(restated("exposures", 2))

    assert [step.name for step in plan.steps if step.guard is not None] == [
        "late_metric_rows_events",
        "late_units_events",
    ]
    guard = step(plan, "late_units_events").guard
    assert guard is not None
    assert guard.named_selects == ["ds"]


def test_a_guard_compares_with_the_published_units() -> None:
    """The snapshot of the last load is what late is measured by."""
    first = make_request()
    published = published_by(first)
    plan = next_plan(restated("exposures", 2), first=first)
    guard = step(plan, "late_units_events").guard
    assert guard is not None
    version = next(iter(guard.find_all(exp.Version)))

    assert version.expression.name == str(published.tables["first_exposures_123"].snapshot_id)


def test_moving_through_back_forgets_days() -> None:
    """They are emptied without reading anything."""
    plan = next_plan(through=day(2))

    assert names(plan) == [
        *EXPOSURE_STEPS,
        "unit_day_metrics_events",
        "unit_totals_events",
        "results",
    ]
    assert reasons(plan, "events") == {}
    for name in ("exposure_counts", "unit_day_exposures", "unit_day_metrics_events"):
        action = step(plan, name).action
        assert isinstance(action, ReplacePartitions)
        assert (action.partitions, action.batches) == (days(3), ())
    assert step(plan, "unit_day_metrics_events").reason == (
        "2026-01-03: after the last day to load"
    )


def test_moving_through_forward_again_loads_the_days() -> None:
    """What was forgotten is not loaded yet."""
    plan = next_plan(first=make_request(through=day(2)))

    assert reasons(plan, "events") == {day(3): "not loaded yet"}


def test_a_day_loaded_before_it_was_over_is_loaded_again() -> None:
    """Rows may have come since."""
    plan = next_plan(first=make_request(today=day(3)))

    assert reasons(plan, "exposures") == {day(3): "not loaded yet"}


@pytest.mark.parametrize(("today", "watermark"), [(4, 4), (3, 3)], ids=["over", "running"])
def test_the_watermark_is_the_first_day_that_is_not_loaded(today: int, watermark: int) -> None:
    """A day that is not over counts as not loaded."""
    plan = build_plan(make_request(today=day(today)))

    assert plan.watermark == day(watermark)


def test_a_new_metric_restates_its_source() -> None:
    """Every day of that source is read, exposures are not."""
    plan = next_plan(project=make_project(metrics=[PURCHASES, REVENUE]))

    assert names(plan) == ["unit_day_metrics_events", *RESULT_STEPS]
    assert reasons(plan, "events") == dict.fromkeys(days(1, 2, 3), "new or changed: revenue")
    assert reasons(plan, "exposures") == {}


def test_a_new_metric_restates_its_columns_only() -> None:
    """The other numbers are taken over as they are staged; only what is needed is read."""
    both = make_project(metrics=[PURCHASES, REVENUE])
    before = step(next_plan(project=both), "unit_day_metrics_events").action
    assert isinstance(before, ReplacePartitions)
    read = before.batches[0].reads[0].used
    select = before.batches[0].select

    assert read == {"user_id", "ts", "amount_cents"}
    assert before.partitions == days(1, 2, 3)
    assert any(table.args.get("version") for table in select.find_all(exp.Table))


def test_a_metric_refresh_restates_what_is_asked_for() -> None:
    """Its columns on every day, and whatever else an incremental load would read."""
    both = make_project(metrics=[PURCHASES, REVENUE])
    plan = next_plan(
        first=make_request(project=both),
        project=both,
        refresh=Refresh.METRIC,
        metrics=("revenue",),
    )

    assert (plan.refresh, plan.reason) == (Refresh.METRIC, "asked for revenue")
    assert reasons(plan, "events") == dict.fromkeys(days(1, 2, 3), "asked for: revenue")
    assert names(plan) == ["unit_day_metrics_events", "unit_totals_events", "results"]


def test_a_new_file_of_an_old_day_is_read_alone() -> None:
    """Exposures that arrive late come on top of those that are staged."""
    first = make_request()
    files = [make_file(f"exposures/{number}", number) for number in (1, 2, 3)]
    late = make_file("exposures/late", 2)
    plan = next_plan(
        make_observation("exposures", *files, late), first=first, known={"exposures": tuple(files)}
    )

    for name in ("exposure_counts", "unit_day_exposures"):
        action = step(plan, name).action
        assert isinstance(action, ReplacePartitions)
        assert action.partitions == days(2)
        assert [read.files for batch in action.batches for read in batch.reads] == [(late,)]


def test_a_day_that_lost_a_file_is_read_whole() -> None:
    """What the lost file had added cannot be taken away again."""
    files = [make_file(f"exposures/{number}", number) for number in (1, 2, 3)]
    lost, late = make_file("exposures/lost", 2), make_file("exposures/late", 2)
    plan = next_plan(
        make_observation("exposures", *files, late),
        first=make_request(make_observation("exposures", *files, lost)),
        known={"exposures": (*files, lost)},
    )
    action = step(plan, "unit_day_exposures").action

    assert isinstance(action, ReplacePartitions)
    assert [read.files for batch in action.batches for read in batch.reads] == [(files[1], late)]


def test_a_changed_metric_restates_its_source() -> None:
    """Another filter is another number."""
    changed = PURCHASES | {"filter": "kind = 'refund'"}
    plan = next_plan(project=make_project(metrics=[changed]))

    assert step(plan, "unit_day_metrics_events").reason == "new or changed: purchases"


def test_a_new_metric_over_staged_numbers_reads_nothing() -> None:
    """Who purchased follows from how often."""
    purchasers = PURCHASES | {"name": "purchasers", "type": "unit_count"}
    plan = next_plan(project=make_project(metrics=[PURCHASES, purchasers]))

    assert names(plan) == RESULT_STEPS


def test_a_removed_metric_reads_nothing() -> None:
    """Its rows leave the results, that is all."""
    plan = next_plan(first=make_request(project=make_project(metrics=[PURCHASES, REVENUE])))

    assert names(plan) == RESULT_STEPS
    assert reasons(plan, "events") == {}


def test_a_removed_metric_is_forgotten_at_once() -> None:
    """Where it comes back it is a new one: days may have been loaded without it."""
    both = make_project(metrics=[PURCHASES, REVENUE])
    removed = next_plan(first=make_request(project=both))
    published = replace(published_by(make_request()), definitions=removed.definitions)

    plan = build_plan(make_request(project=both, published=published))

    assert step(plan, "unit_day_metrics_events").reason == "new or changed: revenue"


def test_comments_in_a_metric_change_nothing() -> None:
    """A definition is its tokens."""
    commented = PURCHASES | {"filter": "kind  = 'purchase' -- only these"}

    assert next_plan(project=make_project(metrics=[commented])).steps == ()


@pytest.mark.parametrize(
    "project",
    [
        make_project(groups=["control", "test"]),
        make_project(start="2026-01-02"),
        make_project(assignment_source={"group_id": "experiment_id"}),
        make_project(assignment_source={"table": "shop.other"}),
        make_project(assignment_source={"context": {"device": "user_id"}}),
        make_project(assignment_source={"partition": {"column": "user_id"}}),
    ],
    ids=["groups", "start", "column", "table", "context", "partition"],
)
def test_a_changed_assignment_definition_is_a_full_refresh(project: Any) -> None:
    """Whoever is in the experiment decides about every number."""
    plan = next_plan(project=project)

    assert (plan.refresh, plan.reason) == (
        Refresh.FULL,
        "the definition of the exposures changed",
    )
    assert "unit_day_metrics_events" in names(plan)


@pytest.mark.parametrize(
    "project",
    [
        make_project(control="control"),
        make_project(end="2026-01-31"),
        make_project(assignment_source={"lookback_days": 9}),
        make_project(metric_source={"lookback_days": 9, "on_unseen_change": "fail"}),
        make_project(metric_source={"columns": METRIC_SOURCE["columns"] | {"unused": "kind"}}),
    ],
    ids=["control", "end", "assignment lookback", "metric lookback", "unused alias"],
)
def test_what_reaches_no_table_changes_nothing(project: Any) -> None:
    """Not every edit of a project costs a load."""
    assert next_plan(project=project).steps == ()


def test_another_crossover_rule_computes_the_results_again() -> None:
    """Who counts is decided over staged tables."""
    assert names(next_plan(project=make_project(crossover="first_group"))) == RESULT_STEPS


def test_a_changed_metric_source_is_read_from_the_start() -> None:
    """Another timestamp puts rows on other days."""
    plan = next_plan(project=make_project(metric_source={"timestamp_is_date": True}))

    assert step(plan, "unit_day_metrics_events").reason == ("the definition of the source changed")


def test_a_table_that_was_never_published_is_built() -> None:
    """A source that the experiment did not have before."""
    published = published_by(make_request())
    tables = {
        name: version
        for name, version in published.tables.items()
        if not name.startswith("unit_day_metrics")
    }

    plan = build_plan(make_request(published=replace(published, tables=tables)))

    assert step(plan, "unit_day_metrics_events").reason == "new source"


def test_a_file_of_several_days_is_read_once() -> None:
    """Its days are filled by one statement."""
    events = make_observation("events", make_file("a", 1, 2), make_file("b", 3))
    plan = build_plan(make_request(events))

    assert partitions(plan, "unit_day_metrics_events") == [days(1, 2), days(3)]


def test_a_statement_reads_exactly_the_files_of_its_days() -> None:
    """With the columns that it names."""
    events = make_observation("events", make_file("a", 1), make_file("b", 1), make_file("c", 2))
    action = step(build_plan(make_request(events)), "unit_day_metrics_events").action
    assert isinstance(action, CreateTable)
    reads = [read for batch in action.batches for read in batch.reads]

    assert [[file.path for file in read.files] for read in reads] == [["a", "b"], ["c"]]
    assert [read.table for read in reads] == ["shop.events"] * 2
    assert reads[0].used == {"user_id", "ts", "kind"}


def test_statements_of_one_day_share_a_tree() -> None:
    """What differs are the values of its parameters, which are text and become literals."""
    action = step(build_plan(make_request()), "unit_day_metrics_events").action
    assert isinstance(action, CreateTable)
    first, *others = action.batches

    assert all(batch.select is first.select for batch in others)
    assert {node.name for node in first.select.find_all(exp.Placeholder)} == set(first.values)
    assert [batch.values for batch in action.batches] == [
        {
            "ds": f"2026-01-0{number}",
            "day_start": f"2026-01-0{number} 00:00:00",
            "day_end": f"2026-01-0{number + 1} 00:00:00",
        }
        for number in (1, 2, 3)
    ]


def test_partitions_of_a_day_are_parameters_too() -> None:
    """As many as a row of the day may lie in, written as the source has them."""
    partition = {"column": "kind", "early": 1, "late": 1, "format": "%Y%m%d"}
    project = make_project(metric_source={"partition": partition})
    action = step(build_plan(make_request(project=project)), "unit_day_metrics_events").action
    assert isinstance(action, CreateTable)

    assert {
        name: text for name, text in action.batches[0].values.items() if name.startswith("part")
    } == {"partition_0": "20251231", "partition_1": "20260101", "partition_2": "20260102"}


def test_a_statement_of_several_days_has_no_parameters() -> None:
    """Its days are literals."""
    events = make_observation("events", make_file("a", 1, 2))
    action = step(build_plan(make_request(events)), "unit_day_metrics_events").action
    assert isinstance(action, CreateTable)
    (batch,) = action.batches

    assert batch.values == {}
    assert not list(batch.select.find_all(exp.Placeholder))


def test_a_warehouse_may_want_more_days_in_a_statement() -> None:
    """Neighbouring days go together up to its number."""
    traits = Traits(days_per_statement=2)
    plan = build_plan(make_request(traits=traits))

    assert partitions(plan, "unit_day_metrics_events") == [days(1, 2), days(3)]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sets(st.integers(1, 5), max_size=3), max_size=5), st.integers(1, 4))
def test_every_day_that_is_held_is_filled_once(held: list[set[int]], most: int) -> None:
    """However files lie, each day comes from all of its files in one statement."""
    files: list[SourceFile] = [
        make_file(f"{number}", *sorted(numbers)) for number, numbers in enumerate(held)
    ]
    traits = Traits(days_per_statement=most)
    request = make_request(make_observation("events", *files), through=day(5), traits=traits)
    action = step(build_plan(request), "unit_day_metrics_events").action
    assert isinstance(action, CreateTable)

    filled = [filled for batch in action.batches for filled in batch.partitions]
    assert sorted(filled) == sorted(days(*set().union(*held)))
    for batch in action.batches:
        wanted = [file for file in files if set(batch.partitions).intersection(file.days)]
        assert list(batch.reads[0].files) == wanted


def test_a_select_is_read_in_one_statement() -> None:
    """Which of its files hold a day is not known."""
    request = make_request(
        daily("events", 1, 2, 3, dated=False), project=make_project(metric_source=SQL_SOURCE)
    )
    plan = build_plan(request)
    action = step(plan, "unit_day_metrics_events").action
    assert isinstance(action, CreateTable)

    assert partitions(plan, "unit_day_metrics_events") == [days(1, 2, 3)]
    assert len(action.batches[0].reads[0].files) == 3


def next_plan_of_a_select(*numbers: int, **changes: Any) -> Plan:
    """Return the plan of a load whose metric source is a SELECT with files of these days."""
    return plan_of_a_select(daily("events", *numbers), **changes)


def plan_of_a_select(
    now: Observation,
    *,
    before: Observation | None = None,
    source: dict[str, Any] | None = None,
    **changes: Any,
) -> Plan:
    """Return the plan of a load whose metric source is a SELECT over a table that has changed."""
    project = make_project(metric_source={**SQL_SOURCE, **(source or {})})
    before = before or daily("events", 1, 2, 3)
    known = {file.path: file for file in before.files}
    seen = replace(now, dated=False, changes=file_changes(now.tables[0], known))
    first = make_request(replace(before, dated=False), project=project)
    return next_plan(seen, first=first, project=project, **changes)


def test_a_select_that_did_not_change_is_not_read() -> None:
    """None of the files under it changed."""
    assert next_plan_of_a_select(1, 2, 3).steps == ()


def test_a_select_that_changed_is_read_as_far_as_its_lookback() -> None:
    """And `plan` says that this is how it is watched."""
    plan = next_plan_of_a_select(1, 2, 3, 4)
    watch = next(reading.watch for reading in plan.readings if reading.source == "events")

    assert reasons(plan, "events") == dict.fromkeys(days(2, 3), "lookback of 2 days")
    assert watch.startswith("changes cannot be told by day")


def test_a_lookback_and_new_days_are_read_together() -> None:
    """The days up to the watermark again, then those after it."""
    plan = next_plan_of_a_select(1, 2, 3, 4, through=day(4))

    assert reasons(plan, "events") == {
        day(2): "lookback of 2 days",
        day(3): "lookback of 2 days",
        day(4): "not loaded yet",
    }


UNKNOWN = make_observation(
    "events", *daily("events", 1, 2, 3).files, make_file("events/x", days=())
)
"""Three days, and a file whose days nobody knows."""


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (restated("events", 1), "events/1 of table shop.events changed since load a"),
        (restated("events", 2), ""),
        (daily("events", 2, 3), "events/1 of table shop.events is gone since load a"),
        (daily("events", 1, 2), ""),
        (daily("events", 1, 2, 3, 4, 5), ""),
        (UNKNOWN, "events/x of table shop.events is new since load a and may have rows before"),
        (
            make_observation("events", *daily("events", 1, 2, 3).files, make_file("late", 1, 3)),
            "late of table shop.events is new since load a and has or had rows before 2026-01-02",
        ),
        (make_observation("events"), "events/1 of table shop.events is gone"),
        (
            make_observation("events", *daily("events", 1, 2, 3).files, make_file("e", rows=0)),
            "",
        ),
    ],
    ids=[
        "old",
        "within",
        "old one gone",
        "within gone",
        "later",
        "unknown",
        "late rows",
        "all gone",
        "empty",
    ],
)
def test_a_change_that_a_lookback_does_not_reach_is_named(now: Observation, words: str) -> None:
    """The file, what happened to it, and what to do; what is read again needs no words."""
    plan = plan_of_a_select(now)

    assert plan.refresh is Refresh.INCREMENTAL
    assert reasons(plan, "events") == dict.fromkeys(days(2, 3), "lookback of 2 days")
    said = " | ".join(plan.warnings)
    assert words in said
    assert ("--refresh full" in said) == bool(words)


def test_several_changes_are_counted() -> None:
    """The first one is named, one that existed before rather than a new one."""
    now = make_observation("events", make_file("a", 1), *daily("events", 2, 3).files)
    (warning,) = plan_of_a_select(now).warnings

    assert "events/1 of table shop.events is gone since load a (and 1 more)" in warning


def test_a_long_lookback_reaches_everything() -> None:
    """It is cut at the experiment's first day."""
    plan = plan_of_a_select(UNKNOWN, source={"lookback_days": 9})

    assert plan.warnings == ()
    assert list(reasons(plan, "events")) == list(days(1, 2, 3))


def test_an_unseen_change_may_mean_a_full_refresh() -> None:
    """The reason says which file it was."""
    plan = plan_of_a_select(restated("events", 1), source={"on_unseen_change": "refresh"})

    assert plan.refresh is Refresh.FULL
    assert "events/1 of table shop.events changed" in plan.reason
    assert "on_unseen_change: refresh" in plan.reason
    assert plan.warnings == ()


def test_an_unseen_change_may_stop_the_load() -> None:
    """Before anything is written; a full refresh reads everything and is not stopped."""
    source = {"on_unseen_change": "fail"}

    with pytest.raises(StepFailedError, match=r"events/1 of table .* --refresh full"):
        plan_of_a_select(restated("events", 1), source=source)
    full = plan_of_a_select(restated("events", 1), source=source, refresh=Refresh.FULL)
    assert full.warnings == ()


@pytest.mark.parametrize("setting", ["warn", "refresh", "fail"])
def test_a_change_within_the_lookback_is_just_read(setting: str) -> None:
    """Whatever is to be done about those beyond it."""
    plan = plan_of_a_select(restated("events", 3), source={"on_unseen_change": setting})

    assert plan.refresh is Refresh.INCREMENTAL
    assert plan.warnings == ()


def test_an_unseen_change_is_remembered() -> None:
    """The next load still warns, also where nothing changed since; a table built anew forgets it."""
    project = make_project(metric_source=SQL_SOURCE)
    seen = daily("events", 1, 2, 3, dated=False)
    first = published_by(make_request(seen, project=project))
    sources = {**first.sources, "events": replace(first.sources["events"], unseen="a lost file")}
    published = replace(first, sources=sources)

    plan = build_plan(make_request(seen, project=project, published=published))
    other = make_project(metric_source=SQL_SOURCE, metrics=[REVENUE])
    anew = build_plan(make_request(seen, project=other, published=published))

    assert plan.warnings[0].startswith("source 'events': a lost file; ")
    assert next(r.unseen for r in plan.readings if r.source == "events") == "a lost file"
    assert anew.warnings == ()
    assert {reading.unseen for reading in anew.readings} == {""}


def opaque(identity: str = "as it was") -> Observation:
    """Return a view, of which only the definition is known."""
    definition = make_file("the definition", rows=1, identity=identity)
    seen = make_observation("events", definition, dated=False)
    return replace(seen, tables=(replace(seen.tables[0], dated=False, opaque=True),))


def test_a_view_is_read_again_as_far_as_its_lookback() -> None:
    """Its changes cannot be seen, so they are taken to be there, and `plan` says so."""
    first = make_request(opaque())
    plan = next_plan(opaque(), first=first)
    watch = next(reading.watch for reading in plan.readings if reading.source == "events")

    assert reasons(plan, "events") == dict.fromkeys(days(2, 3), "lookback of 2 days")
    assert watch == "changes of shop.events cannot be seen; the last 2 loaded days are read again"
    assert plan.warnings == ()


def test_a_view_that_is_defined_anew_is_named() -> None:
    """Days before the lookback may be of the old definition."""
    now = opaque("anew")
    known = {file.path: file for file in opaque().files}
    seen = replace(now, changes=file_changes(now.tables[0], known))
    plan = next_plan(seen, first=make_request(opaque()))

    assert plan.warnings[0].startswith(
        "source 'events': the definition of table shop.events changed since load a and may have rows"
    )


def test_a_select_of_exposures_is_watched_too() -> None:
    """An assignment source has the same settings."""
    source = {"table": None, "sql": "SELECT * FROM shop.exposures", "on_unseen_change": "refresh"}
    project = make_project(assignment_source=source)
    before = daily("exposures", 1, 2, 3)
    now = restated("exposures", 1)
    changes = file_changes(now.tables[0], {file.path: file for file in before.files})
    first = make_request(replace(before, dated=False), project=project)

    plan = next_plan(replace(now, dated=False, changes=changes), first=first, project=project)

    assert plan.refresh is Refresh.FULL
    assert plan.reason.startswith("source 'exposures': exposures/1 ")


PLANS = {
    "first load": lambda: build_plan(make_request()),
    "new day": lambda: next_plan(through=day(4)),
    "old exposures": lambda: next_plan(restated("exposures", 1)),
    "old exposures and events": lambda: next_plan(restated("exposures", 1), restated("events", 2)),
    "old events": lambda: next_plan(restated("events", 2)),
    "through back": lambda: next_plan(through=day(2)),
    "new metric": lambda: next_plan(project=make_project(metrics=[PURCHASES, REVENUE])),
}


@pytest.mark.parametrize("name", PLANS)
def test_steps_run_after_what_they_need(name: str) -> None:
    """Names are unique, the plan's own order will do, and the executor keeps to the needs."""
    plan = PLANS[name]()

    assert len(set(names(plan))) == len(plan.steps)
    for steps in (plan.steps, in_order(plan.steps), in_order(reversed(plan.steps))):
        order = [step.name for step in steps]
        for later in steps:
            needed = [need for need in later.needs if need in order]
            assert all(order.index(need) < order.index(later.name) for need in needed)


@pytest.mark.parametrize("name", PLANS)
def test_results_come_last(name: str) -> None:
    """They are computed over every other table."""
    assert names(PLANS[name]())[-1] == "results"


@pytest.mark.parametrize("name", PLANS)
def test_results_need_every_other_step(name: str) -> None:
    """Whatever the order of the list, results follow what they read."""
    plan = PLANS[name]()

    assert [*step(plan, "results").needs, "results"] == names(plan)


@pytest.mark.parametrize("name", [name for name in PLANS if "events" not in name])
def test_the_summary_follows_units_and_definitions(name: str) -> None:
    """It is written again where exposures, the target day or the definition of the results changed."""
    assert "exposures_summary" in names(PLANS[name]())


def snapshots_read(plan: Plan) -> set[str]:
    """Return the snapshots that the results are pinned to."""
    action = step(plan, "results").action
    assert isinstance(action, CreateTable | Replace)
    (batch,) = action.batches
    return {found.expression.name for found in batch.select.find_all(exp.Version)}


@pytest.mark.parametrize(
    ("name", "first"),
    [("new day", day(4)), ("old events", day(2)), ("through back", day(3))],
)
def test_results_of_untouched_days_are_kept(name: str, first: date) -> None:
    """They come from the published results, at the snapshot of the last load."""
    published = published_by(make_request()).tables["results_123"]
    plan = PLANS[name]()

    assert step(plan, "results").reason == f"days from {first} on; earlier rows are kept"
    assert snapshots_read(plan) == {str(published.snapshot_id)}


@pytest.mark.parametrize("name", ["first load", "old exposures", "new metric"])
def test_results_that_the_first_day_touches_are_computed_anew(name: str) -> None:
    """No row is kept, so the published results are not read."""
    plan = PLANS[name]()

    assert step(plan, "results").reason == "every day"
    assert snapshots_read(plan) == set()


def test_a_new_definition_keeps_no_row() -> None:
    """Also where a new day alone would keep the earlier ones."""
    project = make_project(crossover="first_group")

    assert snapshots_read(next_plan(project=project, through=day(4))) == set()


def test_a_new_group_is_computed_on_every_day() -> None:
    """Earlier rows are kept of the groups that the published results have; others are not there yet."""
    action = step(next_plan(through=day(4)), "results").action
    assert isinstance(action, Replace)
    (batch,) = action.batches
    assert isinstance(batch.select, exp.Union)
    computed = batch.select.left.sql("athena")

    assert "z.ds >= CAST('2026-01-04' AS DATE) OR NOT z.group_id IN (" in computed


@pytest.mark.parametrize("name", PLANS)
def test_staging_tables_are_named_after_the_experiment(name: str) -> None:
    """Nothing else is written."""
    for planned in PLANS[name]().steps:
        if not isinstance(planned.action, Check):
            assert "_123" in planned.action.target.name.catalog


def test_a_missing_column_is_named() -> None:
    """With the source, and what it has."""
    columns = {name: kind for name, kind in COLUMNS["events"].items() if name != "ts"}
    events = daily("events", 1, columns=columns)

    with pytest.raises(
        WarehouseError, match=r"source 'events' has no timestamp column 'ts'.*amount_cents"
    ):
        build_plan(make_request(events))


@pytest.mark.parametrize(
    ("source", "column", "kind", "message"),
    [
        ("events", "ts", "varchar", "must be a timestamp or a date"),
        ("events", "user_id", "double", "must be a string, an integer or a UUID"),
        ("exposures", "group_id", "boolean", "group_id column 'group_id' is of type boolean"),
        ("exposures", "experiment_id", "date", "experiment_id column 'experiment_id'"),
    ],
    ids=["timestamp", "unit", "group", "experiment"],
)
def test_a_column_of_a_wrong_type_is_named(
    source: str, column: str, kind: str, message: str
) -> None:
    """Before anything is read."""
    observation = daily(source, 1, columns=COLUMNS[source] | {column: kind})

    with pytest.raises(WarehouseError, match=message):
        build_plan(make_request(observation))


def test_rows_without_a_unit_are_a_warning() -> None:
    """Of metric sources; those of exposures are counted when they are loaded."""
    without = make_file("a", 1, nulls={"user_id": 3})
    plan = build_plan(
        make_request(make_observation("events", without), make_observation("exposures", without))
    )

    assert plan.warnings == ("source 'events': 3 rows have no user_id; they are left out",)


def test_rows_in_a_far_partition_are_a_warning() -> None:
    """It says which setting widens what counts."""
    plan = build_plan(make_request(make_observation("exposures", make_file("a", 1, misplaced=2))))

    assert plan.warnings[0].startswith("source 'exposures': 2 rows lie too far from the partition")
    assert "partition.late" in plan.warnings[0]


def test_an_empty_metric_source_is_a_warning() -> None:
    """It is loaded all the same."""
    plan = build_plan(make_request(make_observation("events")))

    assert plan.warnings == ("source 'events' is empty",)
    assert "unit_day_metrics_events" in names(plan)

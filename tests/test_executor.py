"""Steps run in order, everything that happens is told, and a failure stops the load."""

from collections.abc import Sequence
from graphlib import CycleError
from itertools import count

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from statsig_staging.errors import StepFailedError
from statsig_staging.executor import Execution, Surroundings, batch_count, execute, in_order
from statsig_staging.plan import Batch, Check, CreateTable, Drop, Merge, Read, Step, Write
from statsig_staging.results import (
    BatchFinished,
    Event,
    StepFailed,
    StepFinished,
    StepStarted,
    Warned,
)
from tests.factories import day, days, make_batch, make_file, make_plan, make_table, one_value
from tests.fakes.warehouse import RecordingWarehouse


def make_step(name: str, *needs: str, action: Write | Check | None = None) -> Step:
    """Return a step that builds a table of its own name with one statement."""
    target = make_table(name)
    return Step(
        name=name,
        reason="",
        action=action or CreateTable(target=target, batches=(make_batch(1),)),
        needs=needs,
    )


def make_late_step(*batches: Batch) -> Step:
    """Return a step whose statements a guard can rule out."""
    merge = Merge(
        target=make_table("units"), keys=("unit_id",), deleted="is_deleted", batches=batches
    )
    return Step(name="late", reason="", action=merge, guard=exp.select("d"))


class Listener(list[Event]):
    """Every event, in order."""

    def of(self, *kinds: type[Event]) -> list[Event]:
        """Return the events of some kinds."""
        return [event for event in self if isinstance(event, kinds)]


def run(
    warehouse: RecordingWarehouse,
    *steps: Step,
    heard: Listener | None = None,
    keep_tags: dict[str, tuple[str, ...]] | None = None,
) -> Execution:
    """Run steps, on a clock that goes one second further each time it is read."""
    clock = count()
    around = Surroundings(
        warehouse=warehouse,
        load_id="a",
        keep_tags=keep_tags or {},
        on_event=(heard if heard is not None else Listener()).append,
        clock=lambda: float(next(clock)),
    )
    return execute(make_plan(*steps), around)


def written(warehouse: RecordingWarehouse) -> list[str]:
    """Return the steps whose writes were performed."""
    return [stamp.step for _, stamp in warehouse.writes]


def names(steps: Sequence[Step]) -> list[str]:
    """Return the names of steps."""
    return [step.name for step in steps]


def test_steps_run_after_what_they_need() -> None:
    """Also where the plan lists them the other way round."""
    warehouse = RecordingWarehouse()

    run(warehouse, make_step("c", "b"), make_step("b", "a"), make_step("a"))

    assert written(warehouse) == ["a", "b", "c"]


def test_what_is_not_in_the_plan_is_done() -> None:
    """A step may need one that had nothing to do."""
    assert names(in_order([make_step("a", "another")])) == ["a"]


@settings(deadline=None)
@given(st.permutations("abcdef"), st.data())
def test_no_step_is_lost_and_needs_come_first(letters: list[str], data: st.DataObject) -> None:
    """For every graph, however it is listed; a list that will do comes out as it went in."""
    earlier = {letter: letters[:place] for place, letter in enumerate(letters)}
    steps = [
        make_step(
            letter, *data.draw(st.sets(st.sampled_from(earlier[letter] or [letter]))) - {letter}
        )
        for letter in letters
    ]
    listed = data.draw(st.permutations(steps))

    order = names(in_order(listed))

    assert sorted(order) == sorted(letters)
    for step in steps:
        assert all(order.index(need) < order.index(step.name) for need in step.needs)
    assert names(in_order(steps)) == letters


def test_steps_that_need_each_other_are_refused() -> None:
    """There is no order that would do."""
    with pytest.raises(CycleError):
        in_order([make_step("a", "b"), make_step("b", "a")])


def test_an_order_that_will_do_is_kept() -> None:
    """What is explained is what runs."""
    steps = [make_step("a"), make_step("b", "a"), make_step("c")]

    assert names(in_order(steps)) == ["a", "b", "c"]


def test_every_step_is_told_about() -> None:
    """That it starts, each of its statements, that it is done and what it did."""
    heard = Listener()
    file = make_file(column_bytes={"ts": 5})
    read = Read(table="shop.events", columns={}, files=(file,), used=frozenset({"ts"}))
    batches = (Batch(select=exp.select("1"), reads=(read,)), make_batch(2))

    run(
        RecordingWarehouse(),
        make_step("a", action=CreateTable(target=make_table(), batches=batches)),
        heard=heard,
    )

    assert heard == [
        StepStarted(step="a", batches=2),
        BatchFinished(step="a", done=1, batches=2),
        BatchFinished(step="a", done=2, batches=2),
        StepFinished(step="a", seconds=1.0, rows=2, bytes_read=5, bytes_written=20),
    ]


def test_what_a_step_did_is_in_the_outcome() -> None:
    """With the version of the table that it made."""
    warehouse = RecordingWarehouse()

    done = run(warehouse, make_step("a"), make_step("b"))

    assert [(step.step, step.table, step.rows, step.seconds) for step in done.steps] == [
        ("a", "a_123", 1, 1.0),
        ("b", "b_123", 1, 1.0),
    ]
    assert done.versions == warehouse.versions
    assert [step.snapshot_id for step in done.steps] == [1, 2]


def test_commits_carry_the_load_and_the_step() -> None:
    """And the tags of the table's snapshots that stay."""
    warehouse = RecordingWarehouse()

    run(warehouse, make_step("a"), make_step("b"), keep_tags={"b_123": ("load-z",)})

    stamps = [stamp for _, stamp in warehouse.writes]
    assert [(stamp.load_id, stamp.tag, stamp.step) for stamp in stamps] == [
        ("a", "load-a", "a"),
        ("a", "load-a", "b"),
    ]
    assert [stamp.keep_tags for stamp in stamps] == [(), ("load-z",)]


def test_a_failing_step_stops_the_load() -> None:
    """The steps after it are not run, and the error is what the step said."""
    warehouse, heard = RecordingWarehouse(broken=["b"]), Listener()

    with pytest.raises(StepFailedError, match="b is broken"):
        run(warehouse, make_step("a"), make_step("b", "a"), make_step("c", "b"), heard=heard)

    assert written(warehouse) == ["a"]
    assert heard[-1] == StepFailed(step="b", error="b is broken")
    assert len(heard.of(StepFinished)) == 1


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_step_is_told_about(stop: type[BaseException]) -> None:
    """Ctrl-C has no message of its own."""
    heard = Listener()

    def interrupt(event: Event) -> None:
        heard.append(event)
        if isinstance(event, BatchFinished):
            raise stop

    around = Surroundings(
        warehouse=RecordingWarehouse(),
        load_id="a",
        keep_tags={},
        on_event=interrupt,
        clock=lambda: 0.0,
    )
    with pytest.raises(stop):
        execute(make_plan(make_step("a")), around)

    assert heard[-1] == StepFailed(step="a", error=stop.__name__)


def test_a_guard_leaves_out_earlier_statements() -> None:
    """A statement runs where its last day is the guard's day or later."""
    warehouse = RecordingWarehouse(one_value(day(2)))
    batches = make_batch(1), make_batch(1, 2), make_batch(3)

    run(warehouse, make_late_step(*batches))

    ((write, _),) = warehouse.writes
    assert isinstance(write, Merge)
    assert [batch.partitions for batch in write.batches] == [days(1, 2), days(3)]


@pytest.mark.parametrize("earliest", [None, day(4)], ids=["no unit is late", "later than all"])
def test_a_merge_of_nothing_is_not_written(earliest: object) -> None:
    """The table keeps its version, and the step is told about all the same."""
    warehouse, heard = RecordingWarehouse(one_value(earliest)), Listener()

    done = run(warehouse, make_late_step(make_batch(1), make_batch(3)), heard=heard)

    assert not warehouse.writes
    assert done.versions == {}
    assert [step.statements for step in done.steps] == [0]
    assert [type(event) for event in heard] == [StepStarted, StepFinished]


def test_a_guard_is_asked_when_its_step_begins() -> None:
    """The steps before it decide about the answer."""
    warehouse = RecordingWarehouse(one_value(None), broken=["a"])
    late = make_late_step(make_batch(1))

    with pytest.raises(StepFailedError):
        run(warehouse, make_step("a"), late)

    assert not warehouse.queries


def test_a_table_without_statements_is_written() -> None:
    """It holds nothing then, which is not what it held before."""
    warehouse = RecordingWarehouse()

    run(warehouse, make_step("a", action=CreateTable(target=make_table(), batches=())))

    assert len(warehouse.writes) == 1


def make_check() -> Check:
    """Return a check with two questions."""
    return Check(
        select=exp.select("1"),
        messages={
            "without_unit": "{count} rows have no unit",
            "unlisted": "{count} rows of other groups, such as {example!r}",
        },
    )


def test_answers_above_zero_become_warnings() -> None:
    """With how many there are, and an example where there is one."""
    heard = Listener()
    answer = pa.table({"without_unit": [2], "unlisted": [1], "unlisted_example": ["it's"]})

    done = run(RecordingWarehouse(answer), make_step("check", action=make_check()), heard=heard)

    expected = ("2 rows have no unit", """1 rows of other groups, such as "it's\"""")
    assert done.warnings == expected
    assert heard == [
        StepStarted(step="check", batches=1),
        *(Warned(message=message) for message in expected),
        StepFinished(step="check", seconds=1.0, rows=0, bytes_read=0, bytes_written=0),
    ]


@pytest.mark.parametrize("nothing", [0, None])
def test_a_check_that_finds_nothing_is_silent(nothing: int | None) -> None:
    """There is nothing to know but that it was asked."""
    heard = Listener()
    answer = pa.table(
        {"without_unit": [nothing], "unlisted": [nothing], "unlisted_example": [None]}
    )

    done = run(RecordingWarehouse(answer), make_step("check", action=make_check()), heard=heard)

    assert done.warnings == ()
    assert [type(event) for event in heard] == [StepStarted, StepFinished]
    assert [(step.step, step.table) for step in done.steps] == [("check", None)]


def test_statements_of_a_write() -> None:
    """Dropping a table is one, whatever it held."""
    batches = make_batch(1), make_batch(2)

    assert batch_count(CreateTable(target=make_table(), batches=batches)) == 2
    assert batch_count(Drop(target=make_table())) == 1

"""What may happen to a project between two loads: its sources change, or its definitions do.

An edit is a value: what happens, where, and three numbers that choose among what is there at the time.
Nothing else decides, so that a sequence of edits can be printed, played again and made smaller.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import TypeVar

from tests.oracle import Event, Experiment, Exposure, OracleMetric
from tests.strategies import (
    HALVES,
    PARTITION_RULES,
    AnyDraft,
    AssignmentSource,
    Draft,
    MetricSource,
    Scenario,
    Side,
    UnitType,
)
from tests.worlds import Row, World

T = TypeVar("T")
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Picks:
    """Numbers that choose; what there is to choose from is only known when an edit happens."""

    first: int = 0
    second: int = 0
    third: int = 0

    def of(self, choices: "list[T] | tuple[T, ...]") -> T:
        """Return one of ``choices`` by the first number."""
        return choices[self.first % len(choices)]


Happening = Callable[[World, str, Picks], None]


@dataclass(frozen=True, slots=True)
class SourceEdit:
    """Something that happens to a source."""

    happening: Happening
    source: str
    picks: Picks

    def __call__(self, world: World) -> None:
        """Have it happen."""
        self.happening(world, self.source, self.picks)

    def __repr__(self) -> str:
        return f"{self.happening.__name__}({self.source}, {self.picks})"


def append(world: World, name: str, picks: Picks) -> None:
    """Some rows arrive, of any day: new days, late rows and future ones alike."""
    waiting = world.arriving[name]
    count = 1 + picks.first % max(1, len(waiting))
    taken, world.arriving[name] = waiting[:count], waiting[count:]
    if taken:
        world.add(name, taken)


def append_in_order(world: World, name: str, picks: Picks) -> None:
    """The rows of the earliest day that has any arrive, as on a normal day."""
    dated = [row for row in world.arriving[name] if row.at is not None]
    if not dated:
        append(world, name, picks)
        return
    first = min(day_of(row) for row in dated)
    taken = [row for row in dated if day_of(row) == first]
    world.arriving[name] = [row for row in world.arriving[name] if row not in taken]
    world.add(name, taken)


def append_late(world: World, name: str, picks: Picks) -> None:
    """Copies of rows arrive for an earlier day, most of them in a new file of that day's folder."""
    rows = [row for row in world.rows(name) if row.at is not None]
    if rows:
        row = moved(picks.of(rows), -(1 + picks.second % 3))
        if picks.third % 3 and row.at is not None:
            row = replace(row, partition=day_of(row))
        world.add(name, [row])


def duplicate(world: World, name: str, picks: Picks) -> None:
    """A file's rows arrive once more."""
    rows = world.files[name][a_file(world, name, picks)]
    if rows:
        world.add(name, rows)


def delete(world: World, name: str, picks: Picks) -> None:
    """A file vanishes."""
    world.remove(name, a_file(world, name, picks))


def restate(world: World, name: str, picks: Picks) -> None:
    """A file is written again with some of its rows gone, and one that comes from elsewhere."""
    file = a_file(world, name, picks)
    rows = [row for n, row in enumerate(world.files[name][file]) if picks.second >> (n % 8) & 1]
    if world.arriving[name] and world.sources[name].layout != "hive folders":
        rows.append(world.arriving[name].pop())
    world.put(name, file, rows)


def move(world: World, name: str, picks: Picks) -> None:
    """The rows of a file move by a day or two."""
    file = a_file(world, name, picks)
    days = (-1, 1, -2, 2)[picks.second % 4]
    world.put(name, file, [moved(row, days) for row in world.files[name][file]])


def regroup(world: World, name: str, picks: Picks) -> None:
    """Some exposures of a file get another group, so that crossovers come and go."""
    file = a_file(world, "exposures", picks)
    groups = group_names(world)
    if not groups:
        return
    rows = [
        replace(row, group=groups[(picks.third + n) % len(groups)])
        if isinstance(row, Exposure) and picks.second >> (n % 8) & 1
        else row
        for n, row in enumerate(world.files["exposures"][file])
    ]
    world.put("exposures", file, rows)


def rename_group(world: World, name: str, picks: Picks) -> None:
    """A group has another group's name from now on, in all files."""
    groups = group_names(world)
    if not groups:
        return
    old, new = picks.of(groups), groups[picks.second % len(groups)]

    def renamed(row: Row) -> Row:
        if isinstance(row, Exposure) and row.group == old:
            return replace(row, group=new)
        return row

    rewrite(world, "exposures", renamed)


def forget_unit(world: World, name: str, picks: Picks) -> None:
    """A unit vanishes from all files of a source."""
    units = sorted({row.unit for row in world.rows(name) if row.unit is not None})
    if units:
        unit = picks.of(units)
        rewrite(world, name, lambda row: None if row.unit == unit else row)


def empty_day(world: World, name: str, picks: Picks) -> None:
    """A day has no rows any more, in any file."""
    days = sorted({day_of(row) for row in world.rows(name) if row.at is not None})
    if days:
        day = picks.of(days)
        rewrite(world, name, lambda row: None if row.at and day_of(row) == day else row)


def leave(world: World, name: str, picks: Picks) -> None:
    """All files of a source vanish; their rows may arrive again."""
    world.arriving[name] = [*world.rows(name), *world.arriving[name]]
    for file in list(world.files[name]):
        world.remove(name, file)


def arrive(world: World, name: str, picks: Picks) -> None:
    """All that is still to come arrives."""
    world.add(name, world.arriving[name])
    world.arriving[name] = []


def touch(world: World, name: str, picks: Picks) -> None:
    """A file gets a new time and keeps its rows."""
    world.touch(name, a_file(world, name, picks), 1 + picks.second * 10**9)


def restate_unseen(world: World, name: str, picks: Picks) -> None:
    """A file is written again with its rows moved by a day, under its old time and mostly its old size."""
    file = a_file(world, name, picks)
    days = (-1, 1)[picks.second % 2]
    world.restate(name, file, [moved(row, days) for row in world.files[name][file]])


def rename(world: World, name: str, picks: Picks) -> None:
    """A file gets another name."""
    file = a_file(world, name, picks)
    rows = world.files[name][file]
    new = world.new_name(name, rows[0].partition if rows else None)
    if world.sources[name].layout == "hive folders":
        new = f"{file.rpartition('/')[0]}/{new.rpartition('/')[2]}"
    world.rename(name, file, new)


def on_the_edge(world: World, name: str, picks: Picks) -> None:
    """A row comes at midnight of a day around the last, where one day ends and the next begins."""
    rows = world.rows(name)
    if not rows:
        return
    start = world.scenario.experiment.start
    day = start + (picks.second % 8) * DAY
    row = picks.of(rows)
    at: date = day
    if isinstance(row, Exposure) or isinstance(row.at, datetime):
        at = datetime.combine(day, time()) - timedelta(microseconds=picks.third % 2)
    world.add(name, [replace(row, at=at, partition=day)])  # type: ignore[arg-type]


def future(world: World, name: str, picks: Picks) -> None:
    """A row comes that is stamped with a day to come, some of them in the clock's future."""
    rows = [row for row in world.rows(name) if row.at is not None]
    if rows:
        row = moved(picks.of(rows), (3, 6, 400)[picks.second % 3])
        world.add(name, [replace(row, partition=day_of(row))])


def a_file(world: World, name: str, picks: Picks) -> str:
    """Return a file of a source."""
    return picks.of(list(world.files[name]))


def group_names(world: World) -> list[str]:
    """Return the groups that exposures name, come or still to come."""
    rows = [*world.rows("exposures"), *world.arriving["exposures"]]
    return sorted({row.group for row in rows if isinstance(row, Exposure) and row.group})


def day_of(row: Row) -> date:
    """Return the day of a row that has a moment."""
    assert row.at is not None
    return row.at.date() if isinstance(row.at, datetime) else row.at


def moved(row: Row, days: int) -> Row:
    """Return a row some days later."""
    match row:
        case Exposure(at=datetime() as at):
            return replace(row, at=at + days * DAY)
        case Event(at=date() as at):
            return replace(row, at=at + days * DAY)
        case _:
            return row


def rewrite(world: World, name: str, change: Callable[[Row], Row | None]) -> None:
    """Write those files of a source again in which a row changes or goes."""
    for file, rows in list(world.files[name].items()):
        changed = [new for row in rows if (new := change(row)) is not None]
        if changed != rows:
            world.put(name, file, changed)


HAPPENINGS: tuple[Happening, ...] = (
    append_in_order,
    append_in_order,
    append,
    append,
    append_late,
    duplicate,
    delete,
    restate,
    move,
    regroup,
    regroup,
    rename_group,
    forget_unit,
    empty_day,
    leave,
    arrive,
    touch,
    restate_unseen,
    rename,
    on_the_edge,
    future,
)


@dataclass(frozen=True, slots=True)
class Definitions:
    """What a user may change: the scenario, and its metrics before they are spelled out.

    Attributes:
        scenario: All else.
        drafts: The experiment's metrics.
        spare: Metrics that the experiment may have one day.
    """

    scenario: Scenario
    drafts: tuple[AnyDraft, ...]
    spare: tuple[AnyDraft, ...]

    def spelled_out(self) -> Scenario:
        """Return the scenario with the metrics, and with the partitions as its sources have them."""
        sources = self.scenario.sources
        aliases = {name: source.alias for name, source in sources.items()}
        metrics: tuple[OracleMetric, ...] = tuple(draft.metric(aliases) for draft in self.drafts)
        experiment = replace(
            self.scenario.experiment,
            metrics=metrics,
            exposure_partitions=self.scenario.assignment.partition,
            source_partitions={
                name: source.partition for name, source in sources.items() if source.partition
            },
        )
        return replace(
            self.scenario,
            experiment=experiment,
            metric_definitions=tuple(draft.definition() for draft in self.drafts),
        )

    def with_experiment(self, experiment: Experiment) -> "Definitions":
        """Return these definitions with other settings of the experiment."""
        return replace(self, scenario=replace(self.scenario, experiment=experiment))

    def with_assignment(self, source: AssignmentSource) -> "Definitions":
        """Return these definitions with another assignment source."""
        return replace(self, scenario=replace(self.scenario, assignment=source))

    def with_source(self, source: MetricSource) -> "Definitions":
        """Return these definitions with a metric source changed."""
        sources = {**self.scenario.sources, source.name: source}
        return replace(self, scenario=replace(self.scenario, sources=sources))


Redefinition = Callable[[Definitions, Picks], Definitions]


@dataclass(frozen=True, slots=True)
class DefinitionEdit:
    """A change of the project's definitions."""

    redefinition: Redefinition
    picks: Picks

    def __call__(self, definitions: Definitions) -> Definitions:
        """Return the definitions after the change."""
        return self.redefinition(definitions, self.picks)

    def __repr__(self) -> str:
        return f"{self.redefinition.__name__}({self.picks})"


def add_metric(now: Definitions, picks: Picks) -> Definitions:
    """A metric is added."""
    if not now.spare:
        return now
    new = picks.of(now.spare)
    rest = tuple(draft for draft in now.spare if draft is not new)
    return replace(now, drafts=(*now.drafts, new), spare=rest)


def remove_metric(now: Definitions, picks: Picks) -> Definitions:
    """A metric is removed, and may come back."""
    if len(now.drafts) == 1:
        return now
    old = picks.of(now.drafts)
    rest = tuple(draft for draft in now.drafts if draft is not old)
    return replace(now, drafts=rest, spare=(*now.spare, old))


def change_metric(now: Definitions, picks: Picks) -> Definitions:
    """A metric's name stands for another metric."""
    if not now.spare:
        return now
    old, new = picks.of(now.drafts), now.spare[picks.second % len(now.spare)]
    return with_draft(now, old, replace(new, name=old.name))


def swap_sides(now: Definitions, picks: Picks) -> Definitions:
    """Filter and value of a metric become those of another."""
    old, model = picks.of(now.drafts), (*now.drafts, *now.spare)[picks.second % 3]
    if not isinstance(old, Draft) or not isinstance(model, Draft):
        return now
    source = model.sides[0]

    def altered(side: Side) -> Side:
        value = source.value or side.value
        return replace(side, where=source.where, value=value if side.kind == "sum" else None)

    return with_draft(now, old, replace(old, sides=tuple(map(altered, old.sides))))


def with_draft(now: Definitions, old: AnyDraft, new: AnyDraft) -> Definitions:
    """Return the definitions with a metric replaced."""
    return replace(now, drafts=tuple(new if draft is old else draft for draft in now.drafts))


def change_alias(now: Definitions, picks: Picks) -> Definitions:
    """An alias of a source stands for another expression."""
    source = a_source(now, picks)
    return now.with_source(replace(source, alias=HALVES[HALVES[0] == source.alias]))


def change_mapping(now: Definitions, picks: Picks) -> Definitions:
    """A source's timestamp, unit or group comes from another column."""
    sources: list[AssignmentSource | MetricSource] = [
        now.scenario.assignment,
        *now.scenario.sources.values(),
    ]
    source = picks.of(sources)
    sight = source.sight
    if picks.second % 4 == 3 and isinstance(source, AssignmentSource):
        sight = replace(sight, regrouped=not sight.regrouped)
    elif picks.second % 2:
        sight = replace(sight, swapped=not sight.swapped)
    else:
        sight = replace(sight, later=not sight.later)
    if isinstance(source, AssignmentSource):
        return now.with_assignment(replace(source, sight=sight))
    return now.with_source(replace(source, sight=sight))


def change_partition(now: Definitions, picks: Picks) -> Definitions:
    """A source is laid out otherwise than was said."""
    rule = PARTITION_RULES[picks.second % len(PARTITION_RULES)]
    if picks.first % 2:
        return now.with_assignment(replace(now.scenario.assignment, partition=rule))
    return now.with_source(replace(a_source(now, picks), partition=rule))


def change_unit(now: Definitions, picks: Picks) -> Definitions:
    """The experiment counts other units."""
    unit = now.scenario.unit
    other: UnitType = "device_id" if unit == "user_id" else "user_id"
    return replace(now, scenario=replace(now.scenario, unit=other))


def change_start(now: Definitions, picks: Picks) -> Definitions:
    """The experiment starts earlier or later."""
    experiment = now.scenario.experiment
    start = experiment.start + (-1, 1, 2, -2)[picks.first % 4] * DAY
    if experiment.end is not None:
        start = min(start, experiment.end)
    return now.with_experiment(replace(experiment, start=start))


def change_end(now: Definitions, picks: Picks) -> Definitions:
    """The experiment ends earlier or later, or on no known day."""
    experiment = now.scenario.experiment
    endless = picks.second % 4 == 3 and not experiment.mature_after_end
    end = None if endless else experiment.start + (picks.first % 7) * DAY
    return now.with_experiment(replace(experiment, end=end))


def change_groups(now: Definitions, picks: Picks) -> Definitions:
    """Other groups are listed, or none."""
    scenario = now.scenario
    seen = sorted({row.group for row in scenario.assignment.rows if row.group})
    others = [group for group in seen if group != scenario.control]
    lists = (
        None,
        (scenario.control,),
        (scenario.control, *others[:1]),
        (scenario.control, *others),
    )
    return now.with_experiment(replace(scenario.experiment, groups=picks.of(lists)))


def change_crossover(now: Definitions, picks: Picks) -> Definitions:
    """Crossovers count in their first group, or do not."""
    experiment = now.scenario.experiment
    first = experiment.crossover == "exclude"
    return now.with_experiment(replace(experiment, crossover="first_group" if first else "exclude"))


def change_context(now: Definitions, picks: Picks) -> Definitions:
    """Other columns are kept per unit."""
    experiment = now.scenario.experiment
    context = picks.of(((), ("device",), ("device", "tier"), ("tier",)))
    left = tuple(name for name in experiment.dimensions if name in context)
    return now.with_experiment(replace(experiment, context=context, dimensions=left))


def change_dimensions(now: Definitions, picks: Picks) -> Definitions:
    """Results are broken down by other columns, or by none, or smaller levels have their own rows."""
    experiment = now.scenario.experiment
    dimensions = picks.of((experiment.context, experiment.context[:1], ()))
    units = (1, 1, 2)[picks.second % 3]
    return now.with_experiment(replace(experiment, dimensions=dimensions, dimension_units=units))


def a_source(now: Definitions, picks: Picks) -> MetricSource:
    """Return a metric source."""
    return picks.of(list(now.scenario.sources.values()))


REDEFINITIONS: tuple[Redefinition, ...] = (
    add_metric,
    add_metric,
    remove_metric,
    change_metric,
    swap_sides,
    change_alias,
    change_mapping,
    change_partition,
    change_unit,
    change_start,
    change_end,
    change_end,
    change_groups,
    change_crossover,
    change_context,
    change_dimensions,
)

"""Steps of the exposure tables: unit-day exposures, first exposures and their summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from statsig_staging import templates
from statsig_staging.plan import Batch, Check, CreateTable, Merge, Replace, ReplacePartitions, Step
from statsig_staging.planner import tables
from statsig_staging.planner.scans import parameter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from statsig_staging.config import AssignmentSource, Experiment
    from statsig_staging.plan import Table, Write
    from statsig_staging.planner.scans import Days, Scan
    from statsig_staging.warehouses.base import Traits

LEFT_OUT = {
    "without_unit": "{count} exposures have no unit id; they are left out",
    "without_group": "{count} exposures have no group id; they are left out",
    "unlisted": "{count} exposures belong to groups that the experiment does not list, such as "
    "{example!r}; they are left out",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """The days of a source that a load fills again, and those that it empties."""

    read: tuple[date, ...]
    gone: tuple[date, ...] = ()

    @property
    def all(self) -> tuple[date, ...]:
        """Both, in order."""
        return tuple(sorted({*self.read, *self.gone}))

    def write(self, target: Table, batches: tuple[Batch, ...], *, full: bool) -> Write:
        """Return the write of a table that is partitioned by day."""
        if full:
            return CreateTable(target=target, batches=batches)
        return ReplacePartitions(target=target, partitions=self.all, batches=batches)


def _of_experiment(scan: Scan, source: AssignmentSource) -> exp.Expr:
    wanted = exp.Literal.string(scan.experiment.id)
    return exp.EQ(this=scan.text(source.experiment_id), expression=wanted)


def _listed(scan: Scan, source: AssignmentSource) -> exp.Expr | None:
    if scan.experiment.groups is None:
        return None
    groups = [exp.Literal.string(group) for group in scan.experiment.groups]
    return exp.In(this=scan.text(source.group_id), expressions=groups)


def exposures(scan: Scan, source: AssignmentSource, days: Days) -> exp.Query:
    """Return the exposures of ``days`` that count."""
    query = templates.bind(
        "exposures",
        tables={"assignment_source": scan.relation(days)},
        values={
            "unit_id": scan.text(scan.unit_column),
            "group_id": scan.text(source.group_id),
            "exposed_at": scan.moment,
            "ds": scan.day(days),
            "of_experiment": _of_experiment(scan, source),
            "within": exp.paren(scan.within(days)),
        },
    )
    listed = _listed(scan, source)
    query = query if listed is None else query.where(listed)
    return query.select(
        *(
            exp.alias_(scan.text(column), _internal(number))
            for number, column in enumerate(source.context.values())
        )
    )


def _internal(number: int) -> str:
    """Return the name of a context column inside a statement, where it meets no other."""
    return f"context_{number}"


def unit_day_exposures(scan: Scan, source: AssignmentSource, days: Days) -> exp.Query:
    """Return one row per unit and day, with the context columns."""
    outer = templates.bind(
        "unit_day_exposures", tables={"exposures": exposures(scan, source, days)}
    )
    by_group, ranked = templates.part(outer, "by_group"), templates.part(outer, "ranked")
    for number, name in enumerate(source.context):
        inner = _internal(number)
        by_group.select(*_first_value(inner), copy=False)
        ranked.select(_first_of_groups(inner), copy=False)
        outer.select(exp.alias_(exp.column(inner, "r"), name.lower(), quoted=True), copy=False)
    return outer


def _first_value(name: str) -> tuple[exp.Expr, exp.Expr]:
    """Return a group's first value that is not null, ties by value, and when it was."""
    value, moment = exp.column(name, "e", quoted=True), exp.column("exposed_at", "e")
    present = exp.Where(this=exp.not_(exp.Is(this=value, expression=exp.null())))
    order = exp.Anonymous(this="ROW", expressions=[moment.copy(), value.copy()])
    first = exp.Filter(this=exp.ArgMin(this=value.copy(), expression=order), expression=present)
    seen = exp.Filter(this=exp.Min(this=moment.copy()), expression=present.copy())
    return exp.alias_(first, name, quoted=True), exp.alias_(seen, f"{name}_at", quoted=True)


def _first_of_groups(name: str) -> exp.Expr:
    """Return the first of the groups' values, over the whole unit-day."""
    order = exp.Order(
        expressions=[
            exp.Ordered(this=exp.column(f"{name}_at", "g", quoted=True), nulls_first=False),
            exp.Ordered(this=exp.column(name, "g", quoted=True), nulls_first=False),
        ]
    )
    window = exp.Window(
        this=exp.FirstValue(this=exp.column(name, "g", quoted=True)),
        partition_by=[exp.column("unit_id", "g"), exp.column("ds", "g")],
        order=order,
        spec=exp.WindowSpec(
            kind="ROWS",
            start="UNBOUNDED",
            start_side="PRECEDING",
            end="UNBOUNDED",
            end_side="FOLLOWING",
        ),
    )
    return exp.alias_(window, name, quoted=True)


def counts_step(
    scan: Scan, source: AssignmentSource, days: Loaded, traits: Traits, *, full: bool
) -> Step:
    """Return the step that counts exposure rows by day and group."""
    target = tables.exposure_counts(scan.experiment.id)
    batches = scan.batches(
        days.read, traits, lambda portion: exposure_counts(scan, source, portion)
    )
    return Step(
        name="exposure_counts",
        reason="exposure rows by day and group",
        action=days.write(target, batches, full=full),
        days=days.all,
    )


def exposure_counts(scan: Scan, source: AssignmentSource, days: Days) -> exp.Query:
    """Return the number of exposure rows by day and group."""
    return templates.bind(
        "exposure_counts",
        tables={"assignment_source": scan.relation(days)},
        values={
            "unit_id": scan.text(scan.unit_column),
            "group_id": scan.text(source.group_id),
            "ds": scan.day(days),
            "of_experiment": _of_experiment(scan, source),
            "within": exp.paren(scan.within(days)),
        },
    )


def check_step(experiment: Experiment, database: str) -> Step:
    """Return the step that names the exposures which are left out."""
    unlisted: exp.Expr = exp.false()
    if experiment.groups is not None:
        groups = [exp.Literal.string(group) for group in experiment.groups]
        unlisted = exp.not_(exp.In(this=exp.column("group_id", "c"), expressions=groups))
    select = templates.bind(
        "exposures_left_out",
        tables={"exposure_counts": tables.node(database, tables.exposure_counts(experiment.id))},
        values={"unlisted": unlisted},
    )
    return Step(
        name="exposures_left_out",
        reason="exposures that do not count are named",
        action=Check(select=select, messages=LEFT_OUT),
        needs=("exposure_counts",),
    )


def unit_day_step(
    scan: Scan, source: AssignmentSource, days: Loaded, traits: Traits, *, full: bool
) -> Step:
    """Return the step that loads the unit-days of exposures."""
    target = tables.unit_day_exposures(scan.experiment.id, source)
    batches = scan.batches(
        days.read, traits, lambda portion: unit_day_exposures(scan, source, portion)
    )
    return Step(
        name="unit_day_exposures",
        reason="first exposure of each unit and day",
        action=days.write(target, batches, full=full),
        days=days.all,
    )


def first_exposures(source: AssignmentSource, unit_days: exp.Expr) -> exp.Query:
    """Return one row per unit of the given unit-days."""
    query = templates.bind("first_exposures", tables={"unit_day_exposures": unit_days})
    units = templates.part(query, "units")
    for name in (name.lower() for name in source.context):
        first = exp.ArgMin(
            this=exp.column(name, "d", quoted=True), expression=exp.column("first_exposure", "d")
        )
        units.select(exp.alias_(first, name, quoted=True), copy=False)
        query.select(exp.column(name, "u", quoted=True), copy=False)
    return query


def first_exposures_step(
    experiment: Experiment,
    source: AssignmentSource,
    database: str,
    *,
    days: Loaded,
    published: int | None,
) -> Step:
    """Return the step that brings first exposures up to date.

    Args:
        experiment: The experiment.
        source: Its assignment source.
        database: The staging database.
        days: The days whose unit-days were replaced.
        published: Snapshot of the unit-days as published; None to build the table anew.
    """
    target = tables.first_exposures(experiment.id, source)
    unit_days = tables.unit_day_exposures(experiment.id, source)
    current = tables.node(database, unit_days)
    if published is None:
        select = first_exposures(source, current)
        return Step(
            name="first_exposures",
            reason="first exposure of each unit",
            action=CreateTable(target=target, batches=(Batch(select=select),)),
            needs=("unit_day_exposures",),
        )
    touched = templates.bind(
        "touched_units",
        tables={
            "unit_day_exposures": current,
            "published_unit_day_exposures": tables.node(database, unit_days, published),
        },
        values={"on_days": on_days("d", days.all), "on_published_days": on_days("p", days.all)},
    )
    theirs = templates.bind(
        "unit_days_of", tables={"unit_day_exposures": current, "touched_units": touched}
    )
    changes = templates.bind(
        "first_exposures_changes",
        tables={"touched_units": touched, "first_exposures": first_exposures(source, theirs)},
    )
    for name in (name.lower() for name in source.context):
        changes.select(exp.column(name, "f", quoted=True), copy=False)
    return Step(
        name="first_exposures",
        reason="units with exposures on the days that were loaded",
        action=Merge(
            target=target, keys=("unit_id",), deleted="is_deleted", batches=(Batch(select=changes),)
        ),
        needs=("unit_day_exposures",),
    )


def on_days(alias: str, days: Days) -> exp.Expr:
    """Return the condition that the ``ds`` of a staging table is one of ``days``."""
    if days is None:
        return exp.EQ(this=exp.column("ds", alias), expression=parameter("ds", "date"))
    values = [templates.literal(day) for day in days]
    if not values:
        return exp.false()
    return exp.In(this=exp.column("ds", alias), expressions=values)


def groups(experiment: Experiment, database: str) -> exp.Query:
    """Return the groups of the results: those listed, else all that were seen."""
    if experiment.groups is None:
        counts = tables.node(database, tables.exposure_counts(experiment.id))
        return templates.bind("groups_seen", tables={"exposure_counts": counts})
    listed = templates.values_table("g", ["group_id"], [[group] for group in experiment.groups])
    return exp.select(exp.column("group_id", "g")).from_(listed)


def listed_days(days: Iterable[date]) -> exp.Query:
    """Return ``days`` as rows."""
    listed = templates.values_table("d", ["ds"], [[day] for day in days])
    return exp.select(exp.column("ds", "d")).from_(listed)


def summary_step(
    experiment: Experiment,
    source: AssignmentSource,
    database: str,
    days: Sequence[date],
    *,
    full: bool,
) -> Step:
    """Return the step that counts units by day and group."""
    select = templates.bind(
        "exposures_summary",
        tables={
            "first_exposures": tables.node(database, tables.first_exposures(experiment.id, source)),
            "days": listed_days(days),
            "groups": groups(experiment, database),
        },
        values={"crossovers_leave": experiment.crossover == "exclude"},
    )
    target = tables.exposures_summary(experiment.id)
    batches = (Batch(select=select),)
    write = (
        CreateTable(target=target, batches=batches)
        if full
        else Replace(target=target, batches=batches)
    )
    return Step(
        name="exposures_summary",
        reason="units by day and group",
        action=write,
        needs=("first_exposures", "exposure_counts"),
    )

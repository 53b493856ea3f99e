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
    from collections.abc import Callable, Iterable, Mapping, Sequence
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
    """The days of a source that a load fills again, and those that it empties.

    Attributes:
        read: Days that are filled.
        gone: Days that are emptied.
        added: Days of ``read`` that nothing but new files came to: only those are read, on top of what
            is staged.
        files: The new files, by their paths.
        grows: Whether every day of ``read`` is new or was only added to.
    """

    read: tuple[date, ...]
    gone: tuple[date, ...] = ()
    added: tuple[date, ...] = ()
    files: frozenset[str] = frozenset()
    grows: bool = False

    @property
    def all(self) -> tuple[date, ...]:
        """Both, in order."""
        return tuple(sorted({*self.read, *self.gone}))

    def write(self, target: Table, batches: tuple[Batch, ...], *, full: bool) -> Write:
        """Return the write of a table that is partitioned by day."""
        if full:
            return CreateTable(target=target, batches=batches)
        return ReplacePartitions(target=target, partitions=self.all, batches=batches)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureTables:
    """The exposure tables of an experiment as one load fills them.

    Attributes:
        scan: How the assignment source is read.
        source: The assignment source.
        database: The staging database.
        traits: How the warehouse likes its statements.
        days: The days that are loaded.
        published: Catalog name → snapshot of each table as published; None to build them anew.
    """

    scan: Scan
    source: AssignmentSource
    database: str
    traits: Traits
    days: Loaded
    published: Mapping[str, int] | None

    @property
    def experiment(self) -> Experiment:
        """The experiment."""
        return self.scan.experiment

    @property
    def is_full(self) -> bool:
        """Whether the tables are built anew."""
        return self.published is None

    def node(self, table: Table) -> exp.Table:
        """Return a staging table as this load leaves it."""
        return tables.node(self.database, table)

    def before(self, table: Table) -> exp.Table:
        """Return a staging table as published."""
        if self.published is None:
            raise ValueError("nothing is published that the tables could be built on")
        return tables.node(self.database, table, self.published[table.name.catalog])

    def batches(
        self,
        build: Callable[[Scan, Days], exp.Query],
        build_added: Callable[[Scan, Days], exp.Query],
    ) -> tuple[Batch, ...]:
        """Return the statements of a table that is partitioned by day.

        Args:
            build: Returns the rows of some days from all their files.
            build_added: Returns them from new files, on top of what is staged.
        """
        whole = [day for day in self.days.read if day not in self.days.added]
        new = self.scan.only(self.days.files)
        return (
            *self.scan.batches(whole, self.traits, lambda portion: build(self.scan, portion)),
            *new.batches(self.days.added, self.traits, lambda portion: build_added(new, portion)),
        )


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


def unit_day_exposures(source: AssignmentSource, rows: exp.Query) -> exp.Query:
    """Return one row per unit and day of the given exposures, with the context columns."""
    outer = templates.bind("unit_day_exposures", tables={"exposures": rows})
    by_group = templates.part(outer, "by_group")
    for number, name in enumerate(source.context):
        inner = _internal(number)
        value, moment = exp.column(inner, "e", quoted=True), exp.column("exposed_at", "e")
        seen = exp.Filter(this=exp.Min(this=moment.copy()), expression=_present(value))
        by_group.select(
            exp.alias_(_first(value, moment), inner, quoted=True),
            exp.alias_(seen, f"{inner}_at", quoted=True),
            copy=False,
        )
        value, moment = (exp.column(each, "g", quoted=True) for each in (inner, f"{inner}_at"))
        outer.select(exp.alias_(_first(value, moment), name.lower(), quoted=True), copy=False)
    return outer


def _first(value: exp.Expr, moment: exp.Expr) -> exp.Expr:
    """Return the first value that is not null, ties by value."""
    order = exp.Anonymous(this="ROW", expressions=[moment.copy(), value.copy()])
    found = exp.ArgMin(this=value.copy(), expression=order)
    return exp.Filter(this=found, expression=_present(value))


def _present(value: exp.Expr) -> exp.Where:
    return exp.Where(this=exp.not_(exp.Is(this=value.copy(), expression=exp.null())))


def counts_step(of: ExposureTables) -> Step:
    """Return the step that counts exposure rows by day and group."""
    target = tables.exposure_counts(of.experiment.id)

    def build(scan: Scan, days: Days) -> exp.Query:
        return exposure_counts(scan, of.source, days)

    def added(scan: Scan, days: Days) -> exp.Query:
        staged = templates.bind(
            "staged_exposure_counts",
            tables={"exposure_counts": of.before(target)},
            values={"on_days": on_days("d", days)},
        )
        counted = exp.union(build(scan, days), staged, distinct=False, copy=False)
        return templates.bind("exposure_counts_added", tables={"counted": counted})

    return Step(
        name="exposure_counts",
        reason="exposure rows by day and group",
        action=of.days.write(target, of.batches(build, added), full=of.is_full),
        days=of.days.all,
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


def unit_day_step(of: ExposureTables) -> Step:
    """Return the step that loads the unit-days of exposures."""
    target = tables.unit_day_exposures(of.experiment.id, of.source)

    def build(scan: Scan, days: Days) -> exp.Query:
        return unit_day_exposures(of.source, exposures(scan, of.source, days))

    def added(scan: Scan, days: Days) -> exp.Query:
        places = exp.select("place").from_(templates.values_table("p", ["place"], [[1], [2], [3]]))
        staged = templates.bind(
            "staged_exposures",
            tables={"unit_day_exposures": of.before(target), "places": places},
            values={"on_days": on_days("d", days)},
        )
        rows = exp.union(exposures(scan, of.source, days), staged, distinct=False, copy=False)
        return unit_day_exposures(of.source, rows)

    return Step(
        name="unit_day_exposures",
        reason="first exposure of each unit and day",
        action=of.days.write(target, of.batches(build, added), full=of.is_full),
        days=of.days.all,
    )


def first_exposures(
    source: AssignmentSource, unit_days: exp.Expr, *, may_tie: bool = False
) -> exp.Query:
    """Return one row per unit of the given unit-days.

    Args:
        source: The assignment source.
        unit_days: The unit-days.
        may_tie: Whether two of a unit's may begin at the same moment; the smaller group then counts.
    """
    earliest: exp.Expr = exp.column("first_exposure", "d")
    if may_tie:
        earliest = exp.Anonymous(this="ROW", expressions=[earliest, exp.column("group_id", "d")])
    query = templates.bind(
        "first_exposures", tables={"unit_day_exposures": unit_days}, values={"earliest": earliest}
    )
    units = templates.part(query, "units")
    for name in _context_names(source):
        first = exp.ArgMin(
            this=exp.column(name, "d", quoted=True), expression=exp.column("first_exposure", "d")
        )
        units.select(exp.alias_(first, name, quoted=True), copy=False)
        query.select(exp.column(name, "u", quoted=True), copy=False)
    return query


def _context_names(source: AssignmentSource) -> tuple[str, ...]:
    return tuple(name.lower() for name in source.context)


def first_exposures_step(of: ExposureTables) -> Step:
    """Return the step that brings first exposures up to date."""
    target = tables.first_exposures(of.experiment.id, of.source)
    if of.is_full:
        unit_days = of.node(tables.unit_day_exposures(of.experiment.id, of.source))
        select = first_exposures(of.source, unit_days)
        return Step(
            name="first_exposures",
            reason="first exposure of each unit",
            action=CreateTable(target=target, batches=(Batch(select=select),)),
            needs=("unit_day_exposures",),
        )
    touched, anew = _grown_units(of, target) if of.days.grows else _touched_units(of)
    changes = templates.bind(
        "first_exposures_changes", tables={"touched_units": touched, "first_exposures": anew}
    )
    for name in _context_names(of.source):
        changes.select(exp.column(name, "f", quoted=True), copy=False)
    return Step(
        name="first_exposures",
        reason="units with exposures on the days that were loaded",
        action=Merge(
            target=target, keys=("unit_id",), deleted="is_deleted", batches=(Batch(select=changes),)
        ),
        needs=("unit_day_exposures",),
    )


def _touched_units(of: ExposureTables) -> tuple[exp.Query, exp.Query]:
    """Return the units that have or had exposures on the loaded days, and what all their days say."""
    unit_days = tables.unit_day_exposures(of.experiment.id, of.source)
    touched = templates.bind(
        "touched_units",
        tables={
            "unit_day_exposures": of.node(unit_days),
            "published_unit_day_exposures": of.before(unit_days),
        },
        values={
            "on_days": on_days("d", of.days.all),
            "on_published_days": on_days("p", of.days.all),
        },
    )
    theirs = templates.bind(
        "unit_days_of",
        tables={"unit_day_exposures": of.node(unit_days), "touched_units": touched},
    )
    return touched, first_exposures(of.source, theirs)


def _grown_units(of: ExposureTables, target: Table) -> tuple[exp.Query, exp.Query]:
    """Return the units with exposures on the loaded days, and what those days add to what was known."""
    unit_days = of.node(tables.unit_day_exposures(of.experiment.id, of.source))
    days = on_days("d", of.days.read)
    touched = templates.bind(
        "units_on_days", tables={"unit_day_exposures": unit_days}, values={"on_days": days}
    )
    new = templates.bind(
        "unit_days_on", tables={"unit_day_exposures": unit_days}, values={"on_days": days}
    )
    known = templates.bind(
        "known_units",
        tables={"first_exposures": of.before(target), "touched_units": touched},
    )
    for name in _context_names(of.source):
        new.select(exp.column(name, "d", quoted=True), copy=False)
        known.select(exp.column(name, "f", quoted=True), copy=False)
    both = exp.union(new, known, distinct=False, copy=False)
    return touched, first_exposures(of.source, both, may_tie=True)


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
    return templates.listed("g", ["group_id"], [[group] for group in experiment.groups])


def listed_days(days: Iterable[date]) -> exp.Query:
    """Return ``days`` as rows."""
    return templates.listed("d", ["ds"], [[day] for day in days])


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

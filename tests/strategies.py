"""Small, nasty experiments for property tests, and the files a project would read them from.

A ``Scenario`` says everything twice, from the same draw: as the plain definition that the library
loads, and as the callables that the oracle computes with. What a test then compares is only
whether the two come to the same tables.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from hypothesis import strategies as st

from tests import oracle
from tests.oracle import AggregateKind, Event, Exposure, Fields, MetricType, PartitionRule

T = TypeVar("T")
Layout = Literal["one file", "one file per day", "hive folders", "random split"]
"""How the rows of a source are spread over Parquet files."""

UnitType = Literal["user_id", "device_id"]

Clock = Literal["timestamp", "date", "midnight"]
"""What a metric source's timestamp column holds."""

CLOCKS: tuple[Clock, ...] = ("timestamp", "timestamp", "date", "midnight")
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
MICROSECOND = timedelta(microseconds=1)
PARTITION_COLUMN = "ds"


@dataclass(frozen=True, slots=True)
class Expression:
    """A scalar expression, in the SQL that users write and as the function it stands for."""

    sql: str
    python: Callable[[Fields], Any] = field(repr=False, compare=False)

    def __call__(self, fields: Fields) -> Any:
        """Return the expression's value for one row; null is None."""
        return self.python(fields)


def times(factor: float) -> Expression:
    """Return the amount times a number."""
    return Expression(
        f"amount * {factor}", lambda f: None if f["amount"] is None else f["amount"] * factor
    )


ALIAS = "half"
HALVES = (times(0.5), times(0.25))
"""What the alias may stand for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Which of its columns a project takes a source's facts from; the tables hold two of each.

    Attributes:
        later: Whether the timestamp is the column that is a day ahead of the other.
        swapped: Whether the columns of the two unit types have changed places.
        regrouped: Whether the group is the column that is also the context ``tier``.
    """

    later: bool = False
    swapped: bool = False
    regrouped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentSource:
    """The rows of the assignment source and how its table is laid out."""

    rows: tuple[Exposure, ...]
    layout: Layout
    partition: PartitionRule | None
    columns: Mapping[str, str]
    integer_units: bool
    integer_groups: bool
    split_seed: int
    sight: Sight = Sight()

    def seen(self, row: Exposure, unit: UnitType) -> Exposure:
        """Return a row as the project's column mapping has it."""
        other = (unit == "device_id") != self.sight.swapped
        return replace(
            row,
            unit=row.context.get("device") if other else row.unit,
            group=row.context.get("tier") if self.sight.regrouped else row.group,
            at=a_day_later(row.at) if self.sight.later else row.at,
        )

    def table(self, rows: Iterable[Exposure] | None = None) -> pa.Table:
        """Return ``rows``, by default all of them, as the source's table holds them."""
        rows = self.rows if rows is None else tuple(rows)
        unit_type = pa.int64() if self.integer_units else pa.string()
        group_type = pa.int64() if self.integer_groups else pa.string()
        return pa.table(
            {
                self.columns["unit"]: ids([row.unit for row in rows], unit_type),
                self.columns["group"]: ids([row.group for row in rows], group_type),
                self.columns["experiment"]: pa.array(
                    [row.experiment_id for row in rows], pa.string()
                ),
                self.columns["at"]: pa.array([row.at for row in rows], pa.timestamp("us")),
                LATER_COLUMN: pa.array([a_day_later(row.at) for row in rows], pa.timestamp("us")),
                **{
                    column: pa.array([row.context.get(name) for row in rows], pa.string())
                    for name, column in CONTEXT_COLUMNS.items()
                },
                PARTITION_COLUMN: pa.array([row.partition for row in rows], pa.date32()),
            }
        )

    def definition(self, context: Sequence[str]) -> dict[str, Any]:
        """Return the source as a project defines it."""
        source: dict[str, Any] = {
            "name": "exposures",
            "table": '"shop"."exposures"',
            "timestamp": LATER_COLUMN if self.sight.later else self.columns["at"],
            "experiment_id": self.columns["experiment"],
            "group_id": CONTEXT_COLUMNS["tier"] if self.sight.regrouped else self.columns["group"],
            "units": units_definition(self.columns["unit"], CONTEXT_COLUMNS["device"], self.sight),
        }
        if context:
            source["context"] = {name: CONTEXT_COLUMNS[name] for name in context}
        return source | partition_definition(self.partition)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSource:
    """The rows of a metric source and how its table is laid out.

    ``clock`` says what the timestamp column is: a timestamp, a DATE, or a midnight timestamp that
    the project declares to be a date.
    """

    name: str
    rows: tuple[Event, ...]
    clock: Clock
    declared_date: bool
    layout: Layout
    partition: PartitionRule | None
    columns: Mapping[str, str]
    integer_units: bool
    split_seed: int
    sight: Sight = Sight()
    alias: Expression = HALVES[0]

    def seen(self, row: Event, unit: UnitType) -> Event:
        """Return a row as the project's column mapping has it."""
        other = (unit == "device_id") != self.sight.swapped
        return replace(
            row,
            unit=PAYERS[row.fields["flag"]] if other else row.unit,
            at=a_day_later(row.at) if self.sight.later else row.at,
        )

    def table(self, rows: Iterable[Event] | None = None) -> pa.Table:
        """Return ``rows``, by default all of them, as the source's table holds them."""
        rows = self.rows if rows is None else tuple(rows)
        unit_type = pa.int64() if self.integer_units else pa.string()
        at_type = pa.timestamp("us") if self.clock == "timestamp" else pa.date32()
        at = pa.array([row.at for row in rows], at_type)
        later = pa.array([a_day_later(row.at) for row in rows], at_type)
        if self.clock == "midnight":
            at, later = at.cast(pa.timestamp("us")), later.cast(pa.timestamp("us"))
        return pa.table(
            {
                self.columns["unit"]: ids([row.unit for row in rows], unit_type),
                self.columns["at"]: at,
                LATER_COLUMN: later,
                PAYER_COLUMN: pa.array([PAYERS[row.fields["flag"]] for row in rows], pa.string()),
                **{
                    name: pa.array([row.fields.get(name) for row in rows], type_)
                    for name, type_ in FIELD_TYPES.items()
                },
                PARTITION_COLUMN: pa.array([row.partition for row in rows], pa.date32()),
            }
        )

    def definition(self) -> dict[str, Any]:
        """Return the source as a project defines it."""
        source: dict[str, Any] = {
            "name": self.name,
            "table": f'"shop"."{self.name}"',
            "timestamp": LATER_COLUMN if self.sight.later else self.columns["at"],
            "units": units_definition(self.columns["unit"], PAYER_COLUMN, self.sight),
            "columns": {ALIAS: self.alias.sql},
        }
        if self.declared_date:
            source["timestamp_is_date"] = True
        return source | partition_definition(self.partition)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """An experiment with its sources, for the library and for the oracle alike."""

    experiment: oracle.Experiment
    control: str
    through: date
    assignment: AssignmentSource
    sources: Mapping[str, MetricSource]
    metric_definitions: tuple[Mapping[str, Any], ...] = field(repr=False)
    unit: UnitType = "user_id"
    threads: int | None = None

    @property
    def exposures(self) -> tuple[Exposure, ...]:
        """All rows of the assignment source."""
        return self.assignment.rows

    @property
    def events(self) -> dict[str, tuple[Event, ...]]:
        """All rows of each metric source."""
        return {name: source.rows for name, source in self.sources.items()}

    @property
    def first_day(self) -> date:
        """The first day a load can end on: a load without any exposure is an error."""
        last = self.through if self.experiment.end is None else self.experiment.end
        kept = oracle.kept_exposures(self.experiment, self.exposures, last)
        return min(row.ds for row in kept)

    def expected(self, through: date | None = None) -> oracle.Expected:
        """Return what a full load through a day publishes, by default through the last."""
        return oracle.expected(
            self.experiment, self.exposures, self.events, through=through or self.through
        )

    def definition(self) -> dict[str, Any]:
        """Return the project as a plain dict; its globs are relative to the project's folder."""
        experiment = self.experiment
        settings: dict[str, Any] = {
            "id": experiment.id,
            "assignment_source": "exposures",
            "unit": self.unit,
            "start": experiment.start,
            "control": self.control,
            "metrics": [metric.name for metric in experiment.metrics],
        }
        if experiment.end is not None:
            settings["end"] = experiment.end
        if experiment.groups is not None:
            settings["groups"] = list(experiment.groups)
        if experiment.crossover != "exclude":
            settings["crossover"] = experiment.crossover
        if experiment.rollups != ("daily", "cumulative"):
            settings["rollups"] = list(experiment.rollups)
        if experiment.cohorted_duration is not None:
            settings["cohorted_duration"] = experiment.cohorted_duration
        if experiment.completed_cohorts_only:
            settings["completed_cohorts_only"] = True
        if experiment.fixed_duration is not None:
            settings["fixed_duration"] = experiment.fixed_duration
        if experiment.mature_after_end:
            settings["mature_after_end"] = True
        if experiment.dimension_units != 1:
            settings["dimension_units"] = experiment.dimension_units
        layouts = {"exposures": self.assignment.layout} | {
            name: source.layout for name, source in self.sources.items()
        }
        by_level = {"dimensions": list(experiment.dimensions)} if experiment.dimensions else {}
        threads = {} if self.threads is None else {"threads": self.threads}
        return {
            "connection": {
                "warehouse": "local",
                **threads,
                "path": "warehouse",
                "folder": "statsig",
                "database": "statsig_staging",
                "sources": {
                    f"shop.{name}": f"data/{name}/{pattern(layout)}"
                    for name, layout in layouts.items()
                },
            },
            "assignment_sources": [self.assignment.definition(experiment.context)],
            "metric_sources": [source.definition() for source in self.sources.values()],
            "metrics": [dict(metric) | by_level for metric in self.metric_definitions],
            "experiments": [settings],
        }


CONTEXT_COLUMNS = {"device": "device", "tier": "plan"}
LATER_COLUMN = "a_day_later"
PAYER_COLUMN = "payer"
PAYERS = {True: "ios", False: "android", None: None}
"""Flag of an event → its other unit."""
FIELD_TYPES = {
    "event_name": pa.string(),
    "amount": pa.float64(),
    "qty": pa.int64(),
    "flag": pa.bool_(),
    "signed_at": pa.timestamp("us"),
    "signed_on": pa.date32(),
}


Moment = TypeVar("Moment", datetime, date)


def a_day_later(at: Moment | None) -> Moment | None:
    """Return the moment a day later."""
    return None if at is None else at + timedelta(days=1)


def units_definition(own: str, other: str, sight: Sight) -> dict[str, str]:
    """Return unit type → column."""
    own, other = (other, own) if sight.swapped else (own, other)
    return {"user_id": own, "device_id": other}


def ids(values: Sequence[str | None], type_: pa.DataType) -> pa.Array:
    """Return ids as a column of strings or of integers."""
    return pa.array(values, pa.string()).cast(type_)


def partition_definition(rule: PartitionRule | None) -> dict[str, Any]:
    """Return how a project says that a source is partitioned, or nothing."""
    if rule is None:
        return {}
    partition: dict[str, Any] = {"column": PARTITION_COLUMN}
    partition |= {"early": rule.early} if rule.early else {}
    partition |= {"late": rule.late} if rule.late else {}
    return {"partition": partition}


def pattern(layout: Layout) -> str:
    """Return the glob of a layout, below the source's folder."""
    return "*/*.parquet" if layout == "hive folders" else "*.parquet"


def write_project(scenario: Scenario, folder: Path) -> Path:
    """Write the scenario's files and its ``staging.yml``; return the project's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, AssignmentSource | MetricSource] = {"exposures": scenario.assignment}
    tables |= scenario.sources
    for name, source in tables.items():
        write_source(
            source.table(),
            folder / "data" / name,
            source.layout,
            at=source.columns["at"],
            seed=source.split_seed,
        )
    text = yaml.safe_dump(scenario.definition(), sort_keys=False, allow_unicode=True)
    (folder / "staging.yml").write_text(text, encoding="utf-8")
    return folder


def write_source(
    rows: pa.Table, folder: Path, layout: Layout, *, at: str = "at", seed: int = 0
) -> list[Path]:
    """Write a source's rows as Parquet files and return their paths.

    Files of an earlier call with the same layout are overwritten where the names meet and stay
    where they do not. A table without rows becomes one file without rows.

    Args:
        rows: A table that has the columns ``at`` and ``ds``.
        folder: Where the files go.
        layout: How the rows are spread over them.
        at: The timestamp column, whose days make the files of ``one file per day``.
        seed: Chooses the files of ``random split``.
    """
    names = file_names(rows, layout, at, seed)
    if layout == "hive folders":
        rows = rows.drop_columns([PARTITION_COLUMN])
    chosen: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        chosen[name].append(index)
    if not chosen:
        empty = f"{PARTITION_COLUMN}=2024-01-01/" if layout == "hive folders" else ""
        chosen[f"{empty}rows.parquet"] = []
    paths = []
    for name, indices in chosen.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows.take(pa.array(indices, pa.int64())), path)
        paths.append(path)
    return paths


def file_names(rows: pa.Table, layout: Layout, at: str, seed: int) -> list[str]:
    """Return, for each row, the file that it belongs in."""
    match layout:
        case "one file":
            return ["rows.parquet"] * rows.num_rows
        case "one file per day":
            days = [None if moment is None else str(moment)[:10] for moment in rows[at].to_pylist()]
            return [f"{day or 'undated'}.parquet" for day in days]
        case "hive folders":
            partitions = rows[PARTITION_COLUMN].to_pylist()
            return [f"{PARTITION_COLUMN}={day}/rows.parquet" for day in partitions]
        case "random split":
            dice = random.Random(seed)
            files = [f"part-{n}.parquet" for n in range(dice.randint(1, 4))]
            return [dice.choice(files) for _ in range(rows.num_rows)]


# Expressions. Filters read no floating-point column: whether NaN is more than 0 is a dialect's
# choice. Values divide nothing: what a whole number divided by 100.0 is, is one too.


def and3(left: bool | None, right: bool | None) -> bool | None:
    """SQL's AND: false beats null, null beats true."""
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def or3(left: bool | None, right: bool | None) -> bool | None:
    """SQL's OR: true beats null, null beats false."""
    if left is True or right is True:
        return True
    return None if left is None or right is None else False


def not3(operand: bool | None) -> bool | None:
    """SQL's NOT: null stays null."""
    return None if operand is None else not operand


def named(name: str) -> Callable[[Fields], bool | None]:
    """Whether the event has a name; an unknown name is neither."""
    return lambda f: None if f["event_name"] is None else f["event_name"] == name


def many(fields: Fields) -> bool | None:
    """Whether the quantity is positive; an unknown one is neither."""
    return None if fields["qty"] is None else fields["qty"] > 0


FILTERS = (
    Expression("event_name = 'purchase'", named("purchase")),
    Expression("event_name <> 'visit'", lambda f: not3(named("visit")(f))),
    Expression(
        "event_name IN ('purchase', 'it''s')",
        lambda f: or3(named("purchase")(f), named("it's")(f)),
    ),
    Expression("event_name IS NULL", lambda f: f["event_name"] is None),
    Expression("event_name = ''", named("")),
    Expression("flag", lambda f: f["flag"]),
    Expression("NOT flag", lambda f: not3(f["flag"])),
    Expression("qty > 0", many),
    Expression(
        "qty > 0 AND event_name = 'purchase'", lambda f: and3(many(f), named("purchase")(f))
    ),
    Expression("flag OR qty > 0", lambda f: or3(f["flag"], many(f))),
    Expression("NOT (flag AND qty > 0)", lambda f: not3(and3(f["flag"], many(f)))),
    Expression("event_name = 'never'", named("never")),
)
VALUES = (
    Expression("amount", lambda f: f["amount"]),
    Expression("qty", lambda f: f["qty"]),
    Expression(ALIAS, HALVES[0].python),
    Expression("-amount", lambda f: None if f["amount"] is None else -f["amount"]),
    Expression("qty * 2", lambda f: None if f["qty"] is None else f["qty"] * 2),
    Expression("nullif(qty, 0)", lambda f: f["qty"] or None),
    Expression("coalesce(qty, 1)", lambda f: 1 if f["qty"] is None else f["qty"]),
    Expression("CASE WHEN flag THEN amount END", lambda f: f["amount"] if f["flag"] else None),
)


UNIT_POOLS = (
    ("u1", "u2", "u3", "u4", "u5"),
    ("u1", "U1", "u1 ", " u1", "u1\n"),
    ("it's", '"quoted"', "a;b--", "50%_", "back\\slash"),
    ("é", "e\u0301", "日本語", "🙂", "x" * 300),
    ("null", "NULL", "0", "00", "None"),
)
INTEGER_UNITS = ("1", "2", "10", "-3", "9007199254740993")
GROUP_POOLS = (
    ("control", "test", "other"),
    ("A", "a", "A "),
    ("contrôle", "it's", '"test"'),
)
INTEGER_GROUPS = ("10", "9", "1")
TIMES = (
    time(0, 0),
    time(0, 0, 0, 1),
    time(12, 0),
    time(12, 0, 0, 1),
    time(17, 42, 7, 123456),
    time(23, 59, 59, 999999),
)
ASSIGNMENT_COLUMNS = (
    {"unit": "user_id", "group": "variant", "experiment": "experiment", "at": "exposed_at"},
    {"unit": "user", "group": "group", "experiment": "order", "at": "timestamp"},
)
METRIC_TYPES: tuple[MetricType, ...] = get_args(MetricType)
METRIC_COLUMNS = ({"unit": "user_id", "at": "ts"}, {"unit": "from", "at": "date"})
PARTITION_RULES = (
    None,
    PartitionRule(),
    PartitionRule(early=1),
    PartitionRule(late=1),
    PartitionRule(early=1, late=2),
    PartitionRule(late=3),
)
STARTS = (date(2024, 2, 27), date(2023, 12, 29), date(2024, 6, 3))
EVENT_NAMES = ("purchase", "purchase", "visit", "it's", "Purchase", "", None)
CENTS = st.integers(-5_000, 100_000).map(lambda cents: cents / 100)
EXTREME_AMOUNTS = (0.0, -0.0, 0.1, -0.3, 1e-9, 1e12, -1e12, 3.5e11, float("nan"), float("inf"))
EXTREME_QUANTITIES = (0, 1, -1, 10**12, -(10**12), 2**31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a scenario may be.

    Attributes:
        days: Most days of the experiment.
        exposures: Fewest and most exposures; fewer are drawn where that shows more.
        events: Fewest and most events of a source.
        sources: The metric sources; None for those that the metrics read.
    """

    days: int
    exposures: tuple[Sequence[int], int]
    events: tuple[Sequence[int], int]
    sources: tuple[str, ...] | None = None


LARGE = Size(days=8, exposures=((1, 10, 18, 18), 24), events=((0, 12, 20, 20), 28))
SMALL = Size(days=5, exposures=((3, 8), 12), events=((0, 8, 8), 14), sources=("events", "orders"))


@st.composite
def scenarios(draw: st.DrawFn, size: Size = LARGE) -> Scenario:
    """Experiments of a few days with few units and every trap the definitions know."""
    start = draw(st.sampled_from(STARTS))
    length = draw(st.integers(1, size.days))
    days = oracle.days_between(start, start + timedelta(days=length - 1))
    outer_days = oracle.days_between(days[0] - timedelta(days=2), days[-1] + timedelta(days=2))
    integer_units, integer_groups = draw(st.booleans()), draw(st.integers(0, 3)) == 3
    pool = INTEGER_UNITS if integer_units else draw(st.sampled_from(UNIT_POOLS))
    units = pool[: draw(st.sampled_from((3, 5, 4, 5, 2, 1)))]
    groups = INTEGER_GROUPS if integer_groups else draw(st.sampled_from(GROUP_POOLS))
    experiment_id = draw(st.sampled_from(("123", "Checkout_v2", "it's/1")))

    metrics, metric_definitions = draw(metric_lists())
    source_names = size.sources or sorted(
        {
            aggregate.source
            for metric in metrics
            for aggregate in (metric.numerator, metric.denominator)
            if aggregate is not None
        }
    )
    assignment = draw(
        assignment_sources(
            experiment_id,
            days,
            outer_days,
            units,
            groups,
            size,
            integer_units=integer_units,
            integer_groups=integer_groups,
        )
    )
    moments = sorted({row.at for row in assignment.rows if row.at is not None})
    sources = {
        name: draw(
            metric_sources(
                name, days, outer_days, units, moments, size, integer_units=integer_units
            )
        )
        for name in source_names
    }
    through = draw(st.just(days[-1]) | st.sampled_from(days))
    experiment = oracle.Experiment(
        id=experiment_id,
        start=start,
        end=draw(st.sampled_from((days[-1], None))),
        groups=draw(st.sampled_from((None, groups[:2], groups, (*groups[:2], "77")))),
        crossover=draw(st.sampled_from(("exclude", "first_group"))),
        context=draw(st.sampled_from(((), ("device",), ("device", "tier")))),
        metrics=metrics,
        exposure_partitions=assignment.partition,
        source_partitions={
            name: source.partition for name, source in sources.items() if source.partition
        },
        dated_sources=frozenset(
            name for name, source in sources.items() if source.clock != "timestamp"
        ),
    )
    return Scenario(
        experiment=experiment,
        control=groups[0],
        through=through,
        assignment=with_an_exposure(experiment, assignment, through, units[0], groups[0]),
        sources=sources,
        metric_definitions=metric_definitions,
    )


def with_an_exposure(
    experiment: oracle.Experiment,
    source: AssignmentSource,
    through: date,
    unit: str,
    group: str,
) -> AssignmentSource:
    """Return the source with at least one row that counts: a load without any is an error."""
    if oracle.kept_exposures(experiment, source.rows, through):
        return source
    noon = datetime.combine(through, time(12))
    row = Exposure(unit, group, experiment.id, noon, {}, partition=through)
    return replace(source, rows=(*source.rows, row))


@st.composite
def assignment_sources(
    draw: st.DrawFn,
    experiment_id: str,
    days: Sequence[date],
    outer_days: Sequence[date],
    units: Sequence[str],
    groups: Sequence[str],
    size: Size,
    *,
    integer_units: bool,
    integer_groups: bool,
) -> AssignmentSource:
    """Assignment sources; most rows count, and some are null, foreign, early, late or twice."""
    unit_column = integer_units and draw(st.booleans())
    rows = st.builds(
        Exposure,
        unit=mostly(st.sampled_from(units), odd_ids(integers=unit_column)),
        group=mostly(st.sampled_from(groups), odd_ids(integers=integer_groups)),
        experiment_id=mostly(
            st.just(experiment_id), st.sampled_from((None, "", "9", experiment_id + " "))
        ),
        at=mostly(moments_on(days), moments_on(outer_days) | st.none()),
        context=st.fixed_dictionaries(
            {
                "device": st.sampled_from((None, None, "ios", "android", "")),
                "tier": st.sampled_from((None, "Ünï", "it's", "a")),
            }
        ),
    )
    fewest, most = size.exposures
    exposures = draw(st.lists(rows, min_size=draw(st.sampled_from(fewest)), max_size=most))
    exposures += draw(st.lists(st.sampled_from(exposures), max_size=3))
    partition = draw(st.sampled_from(PARTITION_RULES))
    return AssignmentSource(
        rows=tuple(
            replace(row, partition=draw(partition_dates(row.at, outer_days, partition)))
            for row in exposures
        ),
        layout=draw(st.sampled_from(LAYOUTS)),
        partition=partition,
        columns=draw(st.sampled_from(ASSIGNMENT_COLUMNS)),
        integer_units=unit_column,
        integer_groups=integer_groups,
        split_seed=draw(st.integers(0, 9)),
    )


@st.composite
def metric_sources(
    draw: st.DrawFn,
    name: str,
    days: Sequence[date],
    outer_days: Sequence[date],
    units: Sequence[str],
    moments: Sequence[datetime],
    size: Size,
    *,
    integer_units: bool,
) -> MetricSource:
    """Metric sources; rows lie before, at and after exposures, and some are null or foreign."""
    unit_column = integer_units and draw(st.booleans())
    clock = draw(st.sampled_from(CLOCKS))
    at: st.SearchStrategy[date] = st.sampled_from(days)
    odd_at: st.SearchStrategy[date | None] = st.none() | st.sampled_from(outer_days)
    if clock == "timestamp":
        at = moments_on(days)
        odd_at = st.none() | moments_on(outer_days)
        if moments:
            at |= near(moments)
    signed = moments_on(outer_days) | (near(moments) if moments else st.none())
    extreme = draw(st.integers(0, 3)) == 3
    amounts = st.sampled_from(EXTREME_AMOUNTS) if extreme else CENTS
    quantities = st.sampled_from(EXTREME_QUANTITIES) if extreme else st.integers(-2, 5)
    rows = st.builds(
        Event,
        unit=mostly(st.sampled_from(units), odd_ids(integers=unit_column) | st.just("42")),
        at=mostly(at, odd_at),
        fields=st.fixed_dictionaries(
            {
                "event_name": st.sampled_from(EVENT_NAMES),
                "amount": mostly(amounts, st.sampled_from((None, float("nan"), -float("inf")))),
                "qty": mostly(quantities, st.none()),
                "flag": st.sampled_from((True, False, None)),
                "signed_at": mostly(signed, st.none()),
                "signed_on": mostly(st.sampled_from(days), st.none()),
            }
        ),
    )
    fewest, most = size.events
    events = draw(st.lists(rows, min_size=draw(st.sampled_from(fewest)), max_size=most))
    partition = draw(st.sampled_from(PARTITION_RULES))
    if events:
        events += draw(st.lists(st.sampled_from(events), max_size=3))
    return MetricSource(
        name=name,
        rows=tuple(
            replace(row, partition=draw(partition_dates(row.at, outer_days, partition)))
            for row in events
        ),
        clock=clock,
        declared_date=clock == "midnight" or (clock == "date" and draw(st.booleans())),
        layout=draw(st.sampled_from(LAYOUTS)),
        partition=partition,
        columns=draw(st.sampled_from(METRIC_COLUMNS)),
        integer_units=unit_column,
        split_seed=draw(st.integers(0, 9)),
    )


def mostly(usual: st.SearchStrategy[T], odd: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """The usual value nine times out of ten, else an odd one."""
    return st.sampled_from(range(10)).flatmap(lambda n: odd if n == 9 else usual)


def odd_ids(*, integers: bool) -> st.SearchStrategy[str | None]:
    """Ids that count as null; a column of integers has but one."""
    return st.none() if integers else st.sampled_from((None, ""))


def moments_on(days: Sequence[date]) -> st.SearchStrategy[datetime]:
    """Timestamps on these days; there are so few that ties are common."""
    return st.builds(datetime.combine, st.sampled_from(days), st.sampled_from(TIMES))


def near(moments: Sequence[datetime]) -> st.SearchStrategy[datetime]:
    """Some of the moments, or a microsecond off."""
    return st.builds(
        lambda moment, step: moment + step * MICROSECOND,
        st.sampled_from(moments),
        st.sampled_from((0, -1, 1)),
    )


NEARBY = (0,) * 14 + (-1, 1, -1, 1, -2, 2, 3)
ARRIVALS = (0,) * 6 + (1, 1, 2, 2, 3, 3, -1, 4)
"""How many days from its own a row lies; in a table laid out by arrival, mostly a few later."""


def partition_dates(
    at: date | None, outer_days: Sequence[date], rule: PartitionRule | None
) -> st.SearchStrategy[date]:
    """Partitions of a row: mostly its own day, or up to a few days off."""
    if at is None:
        return st.sampled_from(outer_days)
    own = at.date() if isinstance(at, datetime) else at
    offsets = ARRIVALS if rule == PartitionRule(late=3) else NEARBY
    return st.sampled_from(offsets).map(lambda days: own + timedelta(days=days))


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """An aggregate: for the oracle, and as a project defines it."""

    kind: AggregateKind
    source: str
    where: Expression | None = None
    value: Expression | None = None

    def aggregate(self, alias: Expression) -> oracle.Aggregate:
        """Return it for the oracle, where the source's alias stands for ``alias``."""
        named = self.value is not None and self.value.sql == ALIAS
        return oracle.Aggregate(
            kind=self.kind,
            source=self.source,
            where=self.where or oracle.always,
            value=alias if named else self.value,
        )

    def definition(self) -> dict[str, Any]:
        """Return it as a project defines it."""
        found: dict[str, Any] = {"type": self.kind, "source": self.source}
        found |= {"value": self.value.sql} if self.value else {}
        return found | ({"filter": self.where.sql} if self.where else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A metric: for the oracle, and as a project defines it."""

    name: str
    type: MetricType
    sides: tuple[Side, ...]

    def metric(self, aliases: Mapping[str, Expression]) -> oracle.OracleMetric:
        """Return it for the oracle, where the sources' aliases stand for these expressions."""
        found = [side.aggregate(aliases.get(side.source, HALVES[0])) for side in self.sides]
        return oracle.OracleMetric(
            name=self.name,
            type=self.type,
            numerator=found[0],
            denominator=found[1] if len(found) > 1 else None,
        )

    def definition(self) -> dict[str, Any]:
        """Return it as a project defines it."""
        if self.type == "ratio":
            numerator, denominator = (side.definition() for side in self.sides)
            return {
                "name": self.name,
                "type": self.type,
                "numerator": numerator,
                "denominator": denominator,
            }
        return {"name": self.name, **self.sides[0].definition(), "type": self.type}


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedDraft:
    """A metric of any type, as it was drawn: for the oracle, and as a project defines it."""

    name: str
    of: oracle.OracleMetric
    config: Mapping[str, Any]

    def metric(self, aliases: Mapping[str, Expression]) -> oracle.OracleMetric:
        """Return it for the oracle; it names no aliases."""
        return replace(self.of, name=self.name)

    def definition(self) -> dict[str, Any]:
        """Return it as a project defines it."""
        return {**self.config, "name": self.name}


AnyDraft = Draft | FixedDraft


@st.composite
def drafts(draw: st.DrawFn, index: int) -> Draft:
    """Draw a metric; its name ends in ``index``."""
    kind = draw(st.sampled_from(METRIC_TYPES))
    sides: tuple[Side, ...]
    if kind == "ratio":
        sides = (
            draw(aggregates(("sum", "count", "unit_count"))),
            draw(aggregates(("count", "sum", "unit_count"))),
        )
    else:
        sides = (draw(aggregates(("sum",) if kind == "mean" else (kind,))),)
    return Draft(name=f"{kind}_{index}", type=kind, sides=sides)


@st.composite
def metric_lists(
    draw: st.DrawFn,
) -> tuple[tuple[oracle.OracleMetric, ...], tuple[dict[str, Any], ...]]:
    """One to four metrics: for the oracle, and as a project defines them."""
    found = [draw(drafts(index)) for index in range(draw(st.integers(1, 4)))]
    return (
        tuple(draft.metric({}) for draft in found),
        tuple(draft.definition() for draft in found),
    )


@st.composite
def aggregates(draw: st.DrawFn, kinds: Sequence[AggregateKind]) -> Side:
    """An aggregate of one of the kinds."""
    kind = draw(st.sampled_from(kinds))
    return Side(
        kind=kind,
        source=draw(st.sampled_from(("events", "events", "orders"))),
        where=draw(st.none() | st.sampled_from(FILTERS)),
        value=draw(st.sampled_from(VALUES)) if kind == "sum" else None,
    )

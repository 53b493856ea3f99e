"""Metrics of every type with every option, drawn as a project defines them and for the oracle.

Whatever adds up is a multiple of 0.25, so that no sum hangs on rounding: neither whether it
reaches a threshold nor whether it is zero. Shares of percentiles whose metric counts values are
exact in binary for the same reason.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, get_args

from hypothesis import strategies as st

from tests.oracle import (
    Aggregate,
    AggregateKind,
    Experiment,
    Fields,
    Funnel,
    OracleMetric,
    Retention,
    Rollup,
    Step,
    Term,
    Window,
    Winsorize,
    always,
)
from tests.oracle_durations import parts_of
from tests.strategies import FILTERS, Expression, Scenario, Size, scenarios

Config = dict[str, Any]
"""A metric, or a part of one, as a project defines it."""

QUARTERS = (
    Expression("qty", lambda f: f["qty"]),
    Expression("qty * 0.25", lambda f: None if f["qty"] is None else f["qty"] * 0.25),
    Expression("nullif(qty, 0)", lambda f: f["qty"] or None),
    Expression("CASE WHEN flag THEN qty * 0.5 END", lambda f: half_if_flagged(f["qty"], f["flag"])),
)
AMOUNT = Expression("amount", lambda f: f["amount"])
NAME = Expression("event_name", lambda f: f["event_name"])
FLAG = Expression("flag", lambda f: f["flag"])
MOMENTS = (
    Expression("signed_at", lambda f: f["signed_at"]),
    Expression("signed_on", lambda f: f["signed_on"]),
    Expression(
        "date_add('day', 1, signed_at)",
        lambda f: f["signed_at"] and f["signed_at"] + timedelta(days=1),
    ),
)
"""Other moments of a row than when it happened."""


def half_if_flagged(quantity: int | None, flag: bool | None) -> float | None:
    """Return half the quantity of a row with a flag."""
    return quantity * 0.5 if flag and quantity is not None else None


VALUES: dict[AggregateKind, Sequence[Expression]] = {
    "count": (),
    "unit_count": (),
    "sum": QUARTERS,
    "min": (*QUARTERS, AMOUNT),
    "max": (*QUARTERS, AMOUNT),
    "first_value": (*QUARTERS, AMOUNT),
    "latest_value": (*QUARTERS, AMOUNT),
    "count_distinct": (*QUARTERS, NAME, FLAG),
}
KINDS: tuple[AggregateKind, ...] = tuple(VALUES)
CAPPED = {"count", "sum"}
LOGGED = {"count", "sum"}
WINSORIZED = {"count", "sum", "min", "max", "count_distinct"}
THRESHOLDS = (0.25, 1.0, 2.5, 100.0)
CAPS = (0.5, 1.0, 2.5, 4.0)
SHARES = ((0.0, 0.999), (0.01, 0.99), (0.0, 0.75), (0.25, 1.0), (0.125, 0.875), (0.0, 1.0))
PERCENTILES = (0.125, 0.25, 0.5, 0.75, 0.875)

ChosenType = Literal[
    "aggregate", "participation", "mean", "ratio", "retention", "percentile", "funnel", "composite"
]
CHOICES: tuple[ChosenType, ...] = (
    "aggregate",
    "ratio",
    "composite",
    "funnel",
    "retention",
    "percentile",
    "mean",
    "participation",
    "aggregate",
    "ratio",
    "composite",
    "aggregate",
)
DENSE = Size(days=7, exposures=((8, 14), 18), events=((16, 24), 32), sources=("events", "orders"))
"""Scenarios with so many rows that most metrics are of something."""


@dataclass(frozen=True, slots=True)
class Part:
    """An aggregate: as a project defines it, and for the oracle."""

    config: Config
    aggregate: Aggregate


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The metric sources to draw from; ``dated`` are those whose rows are days."""

    names: tuple[str, ...]
    dated: frozenset[str]


@st.composite
def new_metrics(
    draw: st.DrawFn,
    dated: Collection[str] = (),
    sources: Sequence[str] = ("events", "orders"),
    most: int = 4,
) -> list[tuple[Config, OracleMetric]]:
    """Draw metrics, each as a project defines it and for the oracle.

    Args:
        draw: Given by hypothesis.
        dated: The sources whose rows are days, for which minutes are refused.
        sources: The metric sources to read.
        most: How many metrics at most; at least one.
    """
    of = Sources(names=tuple(sources), dated=frozenset(dated))
    found: list[tuple[Config, OracleMetric]] = []
    for index in range(draw(st.integers(1, most))):
        found.append(draw(metrics(f"metric_{index}", of, tuple(m for _, m in found))))
    return found


LEVELS = ("event_name", "flag", "qty")
"""Columns of events whose values are levels."""


@st.composite
def metric_dimensions(draw: st.DrawFn, pair: tuple[Config, OracleMetric]) -> "Drawn":
    """Draw the columns that tell a metric's rows apart, most of the time none."""
    config, metric = pair
    if not may_have_levels(metric) or draw(st.integers(0, 5)):
        return pair
    chosen = draw(st.lists(st.sampled_from(LEVELS), min_size=1, max_size=2, unique=True))
    return config | {"metric_dimensions": chosen}, replace(metric, dimensions=tuple(chosen))


def may_have_levels(metric: OracleMetric) -> bool:
    """Whether the numbers of two levels of a metric become one."""
    if any(not may_have_levels(term.metric) for term in metric.terms):
        return False
    sides = [side for side in (metric.numerator, metric.denominator) if side is not None]
    return metric.type not in UNLEVELED and not any(
        side.kind in UNLEVELED or side.rollup == "latest" for side in sides
    )


UNLEVELED = {
    "count_distinct",
    "first_value",
    "latest_value",
    "percentile",
    "retention",
    "funnel",
}


@st.composite
def new_scenarios(draw: st.DrawFn, size: Size = DENSE) -> Scenario:
    """Draw a scenario with such metrics, with all rollups, and with its context as dimensions."""
    scenario = draw(scenarios(size))
    scenario = replace(scenario, experiment=draw(with_durations(scenario)))
    found = draw(new_metrics(dated=scenario.experiment.dated_sources))
    found = [one for one in found if suits(scenario.experiment, one[1])] or [ROWS]
    experiment = replace(
        scenario.experiment,
        metrics=tuple(metric for _, metric in found),
        rollups=get_args(Rollup),
        dimensions=scenario.experiment.context,
    )
    definitions = tuple(config for config, _ in found)
    return replace(scenario, experiment=experiment, metric_definitions=definitions)


DURATIONS: tuple[dict[str, Any], ...] = (
    {"cohorted_duration": 1},
    {"cohorted_duration": 2},
    {"cohorted_duration": 2, "completed_cohorts_only": True},
    {"cohorted_duration": 4},
    {"fixed_duration": 1},
    {"fixed_duration": 3},
    {"fixed_duration": 4, "cohorted_duration": 2},
    {"mature_after_end": True},
    {"mature_after_end": True},
    {"mature_after_end": True, "cohorted_duration": 2},
)
"""For how long an experiment may look at its units and rows."""


@st.composite
def with_durations(draw: st.DrawFn, scenario: Scenario) -> Experiment:
    """Draw for how long an experiment looks, half of the time for ever."""
    experiment = scenario.experiment
    if draw(st.booleans()):
        return experiment
    chosen = draw(st.sampled_from(DURATIONS))
    if "mature_after_end" in chosen:
        later = draw(st.sampled_from((0, 0, 1, 2)))
        chosen = {**chosen, "end": scenario.first_day + timedelta(days=later)}
    return replace(experiment, **chosen)


def suits(experiment: Experiment, metric: OracleMetric) -> bool:
    """Whether the durations of an experiment leave something of a metric."""
    cohort, fixed = experiment.cohorted_duration, experiment.fixed_duration
    days = [number for number in (cohort, fixed) if number is not None]
    for part in parts_of(metric):
        if isinstance(part, Retention):
            if any(part.end >= number for number in days):
                return False
            continue
        if isinstance(part, Aggregate):
            if part.rollup == "daily" and (days or experiment.mature_after_end):
                return False
            if part.window is None or cohort is None:
                continue
            if part.window.opens_after >= timedelta(days=cohort):
                return False
    return True


ROWS: tuple[Config, OracleMetric] = (
    {"name": "rows", "type": "count", "source": "events"},
    OracleMetric(name="rows", type="count", numerator=Aggregate(kind="count", source="events")),
)
"""A metric that suits every experiment."""


@st.composite
def metrics(
    draw: st.DrawFn, name: str, sources: Sources, earlier: tuple[OracleMetric, ...]
) -> tuple[Config, OracleMetric]:
    """Draw a metric of any type, now and then with dimensions of its own."""
    return draw(metric_dimensions(draw(plain_metrics(name, sources, earlier))))


@st.composite
def plain_metrics(
    draw: st.DrawFn, name: str, sources: Sources, earlier: tuple[OracleMetric, ...]
) -> tuple[Config, OracleMetric]:
    """Draw a metric of any type; a composite is of ``earlier`` ones, where there are any."""
    terms = [metric for metric in earlier if may_be_a_term(metric)]
    choice = draw(st.sampled_from(CHOICES))
    bake_days = draw(st.sampled_from((0, 0, 0, 1, 2)))
    config: Config = {"name": name}
    config |= {"bake_days": bake_days} if bake_days else {}
    common: dict[str, Any] = {"name": name, "bake_days": bake_days}
    if choice == "composite" and not terms:
        choice = "aggregate"
    match choice:
        case "aggregate":
            return draw(aggregates(sources, config, common))
        case "participation":
            return draw(participations(sources, config, common))
        case "mean":
            part = draw(parts(("sum",), sources, ("window", "winsorize", "sides")))
            metric = OracleMetric(type="mean", numerator=part.aggregate, **common)
            return config | part.config | {"type": "mean"}, metric
        case "ratio":
            return draw(ratios(sources, config, common))
        case "retention":
            return draw(retentions(sources, config, common))
        case "percentile":
            part = draw(parts(("sum",), sources, ("window", "sides")))
            share = draw(st.sampled_from(PERCENTILES))
            metric = OracleMetric(
                type="percentile", numerator=part.aggregate, percentile=share, **common
            )
            return config | part.config | {"type": "percentile", "percentile": share}, metric
        case "funnel":
            return draw(funnels(sources, config, common))
        case "composite":
            return draw(composites(terms, config, common))


def may_be_a_term(metric: OracleMetric) -> bool:
    """Whether a composite may add a metric: one without a y, a bake time or terms of its own."""
    daily = metric.numerator is not None and metric.numerator.rollup == "daily"
    return metric.type in KINDS and not metric.log and not daily and metric.bake_days == 0


@st.composite
def windows(draw: st.DrawFn, *, minutes: bool) -> tuple[Config, Window]:
    """Draw a window since the exposure."""
    completed = draw(st.integers(0, 3)) == 3
    if minutes and draw(st.booleans()):
        window = Window(
            start=draw(st.sampled_from((0, 0, 1, 720))),
            end=draw(st.sampled_from((720, 721, 1439, 2000))),
            unit="minutes",
            completed_only=completed,
        )
    else:
        start = draw(st.sampled_from((0, 0, 1, 2)))
        window = Window(start=start, end=start + draw(st.integers(0, 3)), completed_only=completed)
    config: Config = {"start": window.start, "end": window.end, "unit": window.unit}
    config |= {"completed_only": True} if completed else {}
    return config, window


@st.composite
def parts(
    draw: st.DrawFn, kinds: Sequence[AggregateKind], sources: Sources, options: Collection[str]
) -> Part:
    """Draw an aggregate of one of the kinds with some of the options that it may have."""
    kind = draw(st.sampled_from(kinds))
    source = draw(st.sampled_from(sources.names))
    config: Config = {"type": kind, "source": source}
    chosen: dict[str, Any] = {"kind": kind, "source": source}
    where = draw(st.none() | st.sampled_from(FILTERS))
    if where is not None:
        config["filter"], chosen["where"] = where.sql, where
    if "sides" in options:
        sides, chosen_sides = draw(sides_of_exposure())
        config, chosen = config | sides, chosen | chosen_sides
    if VALUES[kind]:
        value = draw(st.sampled_from(VALUES[kind]))
        config["value"], chosen["value"] = value.sql, value
    if "window" in options and draw(st.booleans()):
        config["window"], chosen["window"] = draw(windows(minutes=source not in sources.dated))
    if kind == "unit_count":
        config["rollup"] = "window" if "window" in chosen else "once"
        return Part(config, Aggregate(**chosen))
    if kind in CAPPED and "cap" in options and draw(st.booleans()):
        config["cap"] = chosen["cap"] = draw(st.sampled_from(CAPS))
    bounds = ["none", *({"threshold", "winsorize"} & set(options))]
    bound = draw(st.sampled_from(sorted(bounds)))
    if bound == "threshold":
        config["threshold"] = chosen["threshold"] = draw(st.sampled_from(THRESHOLDS))
    if bound == "winsorize" and kind in WINSORIZED:
        config["winsorize"], chosen["winsorize"] = draw(winsorizations())
    return Part(config, Aggregate(**chosen))


ALL_OPTIONS = ("window", "cap", "threshold", "winsorize", "sides")


@st.composite
def sides_of_exposure(draw: st.DrawFn) -> tuple[Config, dict[str, Any]]:
    """Draw on which side of the exposure other moments of a row lie, most of the time on any."""
    names = draw(
        st.sampled_from(
            (
                (),
                (),
                (),
                ("after_exposure",),
                ("before_exposure",),
                ("after_exposure", "before_exposure"),
            )
        )
    )
    chosen = {name: draw(st.sampled_from(MOMENTS)) for name in names}
    return {name: moment.sql for name, moment in chosen.items()}, chosen


@st.composite
def winsorizations(draw: st.DrawFn) -> tuple[Config, Winsorize]:
    """Draw the percentiles between which values are held."""
    low, high = draw(st.sampled_from(SHARES))
    config: Config = {"low": low} if low > 0.0 else {}
    config |= {"high": high} if high < 1.0 else {}
    return config or {"low": 0.0, "high": 1.0}, Winsorize(low=low, high=high)


@st.composite
def lookbacks(draw: st.DrawFn, *of: Part) -> tuple[Config, dict[str, Any]]:
    """Draw the days of a covariate, half of the time none, and none of what happens after the exposure."""
    days = draw(st.sampled_from((None, None, 1, 2, 3)))
    if days is None or any(part.aggregate.after_exposure for part in of):
        return {}, {}
    return {"cuped": {"days": days}}, {"cuped_days": days}


Drawn = tuple[Config, OracleMetric]


@st.composite
def aggregates(draw: st.DrawFn, sources: Sources, config: Config, common: Config) -> Drawn:
    """Draw a metric of one aggregate, now and then its logarithm or with a covariate."""
    logged = draw(st.integers(0, 5)) == 5
    if logged:
        part = draw(parts(("count", "sum"), sources, ("window", "cap", "sides")))
        metric = OracleMetric(
            type=part.config["type"], numerator=part.aggregate, log=True, **common
        )
        return config | part.config | {"log": True}, metric
    part = draw(parts(KINDS, sources, ALL_OPTIONS))
    cuped, days = draw(lookbacks(part))
    metric = OracleMetric(type=part.config["type"], numerator=part.aggregate, **common, **days)
    return config | part.config | cuped, metric


@st.composite
def participations(draw: st.DrawFn, sources: Sources, config: Config, common: Config) -> Drawn:
    """Draw daily or latest participation."""
    rollup: Literal["daily", "latest"] = draw(st.sampled_from(("daily", "latest")))
    source = draw(st.sampled_from(sources.names))
    where = draw(st.sampled_from(FILTERS))
    sides, chosen = draw(sides_of_exposure())
    numerator = Aggregate(kind="unit_count", source=source, where=where, rollup=rollup, **chosen)
    config |= {"type": "unit_count", "source": source, "filter": where.sql, "rollup": rollup}
    config |= sides
    return config, OracleMetric(type="unit_count", numerator=numerator, **common)


@st.composite
def ratios(draw: st.DrawFn, sources: Sources, config: Config, common: Config) -> Drawn:
    """Draw a ratio of any two aggregates, each with options of its own."""
    above, below = (draw(parts(KINDS, sources, ALL_OPTIONS)) for _ in range(2))
    cuped, days = draw(lookbacks(above, below))
    config |= {"type": "ratio", "numerator": above.config, "denominator": below.config}
    metric = OracleMetric(
        type="ratio", numerator=above.aggregate, denominator=below.aggregate, **common, **days
    )
    return config | cuped, metric


@st.composite
def retentions(draw: st.DrawFn, sources: Sources, config: Config, common: Config) -> Drawn:
    """Draw a retention, half of the time with another filter for the return."""
    source = draw(st.sampled_from(sources.names))
    where = draw(st.none() | st.sampled_from(FILTERS))
    completion = draw(st.none() | st.sampled_from(FILTERS))
    end = draw(st.integers(1, 3))
    length = draw(st.integers(1, end))
    config |= {"type": "retention", "source": source, "end": end, "length": length}
    config |= {"filter": where.sql} if where else {}
    config |= {"completion_filter": completion.sql} if completion else {}
    sides, chosen = draw(sides_of_exposure())
    config |= sides
    definition = Retention(
        source=source,
        where=where or always,
        completed_by=completion,
        end=end,
        length=length,
        **chosen,
    )
    return config, OracleMetric(type="retention", retention=definition, **common)


@st.composite
def step_windows(draw: st.DrawFn, minutes: bool) -> Window | None:
    """Draw how long a step may take, half of the time without end."""
    if draw(st.booleans()):
        return None
    if minutes and draw(st.booleans()):
        return Window(end=draw(st.sampled_from((0, 719, 720, 2000))), unit="minutes")
    return Window(end=draw(st.integers(0, 2)))


def end_of(window: Window) -> Config:
    """Return a window that has but an end, as a project defines it."""
    return {"end": window.end, "unit": window.unit}


SESSIONS: tuple[tuple[str, Callable[[Fields], str | None]], ...] = (
    ("qty", lambda fields: None if fields["qty"] is None else str(fields["qty"])),
    ("flag", lambda fields: None if fields["flag"] is None else str(fields["flag"]).lower()),
    ("event_name", lambda fields: fields["event_name"]),
)
"""Columns of rows that may name a session, and its name as text."""


@st.composite
def sessions(draw: st.DrawFn) -> tuple[str | None, Callable[[Fields], str | None] | None]:
    """Draw the column that names sessions, half of the time none."""
    return draw(st.sampled_from((*SESSIONS, *[(None, None)] * 3)))


@st.composite
def funnels(draw: st.DrawFn, sources: Sources, config: Config, common: Config) -> Drawn:
    """Draw a funnel; its steps read rows with a time of day, or days, but never both."""
    dated = sorted(sources.dated & set(sources.names))
    timed = [name for name in sources.names if name not in sources.dated]
    names = draw(st.sampled_from([pool for pool in (timed, dated) if pool]))
    minutes = names is timed
    exposure_first = minutes and draw(st.booleans())
    told, session = (None, None) if exposure_first else draw(sessions())
    step_configs: list[Config] = []
    steps: list[Step] = []
    for _ in range(draw(st.integers(1 if exposure_first else 2, 3))):
        source = draw(st.sampled_from(names))
        where = draw(st.sampled_from(FILTERS))
        window = draw(step_windows(minutes)) if steps or exposure_first else None
        sides, chosen = draw(sides_of_exposure())
        step_config: Config = {"source": source, "filter": where.sql} | sides
        step_configs.append(step_config | ({"window": end_of(window)} if window else {}))
        steps.append(Step(source=source, where=where, window=window, session=session, **chosen))
    strict = draw(st.booleans())
    allowance_ms = draw(st.sampled_from((0, 0, 1)))
    within = draw(step_windows(minutes))
    config |= {"type": "funnel", "steps": step_configs}
    config |= {} if strict else {"strict": False}
    config |= {"allowance_ms": allowance_ms} if allowance_ms else {}
    config |= {"within": end_of(within)} if within else {}
    config |= {"session": told} if told else {}
    config |= {"exposure_as_first_step": True} if exposure_first else {}
    timed_whole = draw(st.booleans())
    config |= {"time_to_convert": True} if timed_whole else {}
    funnel = Funnel(
        steps=tuple(steps),
        strict=strict,
        allowance=timedelta(milliseconds=allowance_ms),
        within=within,
        exposure_as_first_step=exposure_first,
        time_to_convert=timed_whole,
    )
    return config, OracleMetric(type="funnel", funnel=funnel, **common)


@st.composite
def composites(
    draw: st.DrawFn, metrics_before: Sequence[OracleMetric], config: Config, common: Config
) -> Drawn:
    """Draw a sum and difference of earlier metrics.

    It is winsorized only where all of its terms are exact, so that it is zero or not.
    """
    chosen = draw(
        st.lists(
            st.sampled_from(metrics_before), min_size=1, max_size=3, unique_by=lambda m: m.name
        )
    )
    signs: list[Literal[1, -1]] = [draw(st.sampled_from((1, -1))) for _ in chosen]
    terms = tuple(
        Term(metric=metric, sign=sign) for metric, sign in zip(chosen, signs, strict=True)
    )
    config |= {
        "type": "composite",
        "terms": [{"metric": term.metric.name, "sign": term.sign} for term in terms],
    }
    winsorize = None
    if all(is_exact(metric) for metric in chosen) and draw(st.booleans()):
        config["winsorize"], winsorize = draw(winsorizations())
    return config, OracleMetric(type="composite", terms=terms, winsorize=winsorize, **common)


def is_exact(metric: OracleMetric) -> bool:
    """Whether a metric's x are multiples of 0.25."""
    numerator = metric.numerator
    return (
        numerator is not None
        and numerator.winsorize is None
        and numerator.rollup != "daily"
        and numerator.value is not AMOUNT
    )

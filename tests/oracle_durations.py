"""For how long an experiment looks at its units and rows."""

from collections.abc import Iterator
from datetime import date, timedelta

from tests.oracle_inputs import Aggregate, Experiment, OracleMetric, Retention, Step, Window
from tests.oracle_metrics import aggregates_of, is_in_window, is_over, windows_of
from tests.oracle_units import ExposedUnit, KeptEvent

DAY = timedelta(days=1)


def last_day(experiment: Experiment) -> date | None:
    """Return the last day with results: the end, and the longest time that a metric may need after it."""
    if experiment.end is None or not experiment.mature_after_end:
        return experiment.end
    more = max((days_after_end(experiment, metric) for metric in experiment.metrics), default=0)
    return experiment.end + more * DAY


def days_after_end(experiment: Experiment, metric: OracleMetric) -> int:
    """Return how many days after the last exposure windows of a metric last, and its rows then bake."""
    cohort, parts = experiment.cohorted_duration, list(parts_of(metric))
    longest = 0
    for part in parts:
        if isinstance(part, Retention):
            longest = max(longest, part.end if cohort is None else cohort)
            continue
        window = part.window if isinstance(part, Aggregate) else None
        lengths = [] if window is None else [-(-window.closes_after // DAY)]
        lengths += [] if cohort is None else [cohort]
        longest = max(longest, min(lengths, default=0))
    return longest + metric.bake_days if longest else 0


def parts_of(metric: OracleMetric) -> Iterator[Aggregate | Retention | Step]:
    """Return what of a metric reads rows."""
    yield from aggregates_of(metric).values()
    if metric.retention is not None:
        yield metric.retention
    if metric.funnel is not None:
        yield from metric.funnel.steps
    for term in metric.terms:
        yield from parts_of(term.metric)


def counts(
    experiment: Experiment, window: Window | None, unit: ExposedUnit, row: KeptEvent
) -> bool:
    """A row counts in the metric's window, in the unit's cohorted duration and in the fixed one.

    Where metrics mature after the end, rows after it count for those with a window or a cohorted
    duration only.
    """
    cohort = experiment.cohorted_duration
    if not is_in_window(window, unit, row):
        return False
    if cohort is not None and not is_in_window(Window(end=cohort - 1), unit, row):
        return False
    if experiment.fixed_duration is not None:
        return (row.ds - experiment.start).days < experiment.fixed_duration
    waits = window is not None or cohort is not None
    return waits or experiment.end is None or row.ds <= experiment.end


def starts(experiment: Experiment, retention: Retention, unit: ExposedUnit, row: KeptEvent) -> bool:
    """A row starts a window of retention if that is over when the duration is.

    Of a cohorted duration of N days these are rows of the first N - end; without durations, those
    of days through the experiment's end.
    """
    cohort, fixed = experiment.cohorted_duration, experiment.fixed_duration
    if cohort is not None and not is_in_window(Window(end=cohort - retention.end - 1), unit, row):
        return False
    if fixed is not None and (row.ds - experiment.start).days + retention.end >= fixed:
        return False
    return cohort is not None or experiment.end is None or row.ds <= experiment.end


def returns(experiment: Experiment, row: KeptEvent) -> bool:
    """A window of retention is followed to its last day, unless the fixed duration is over."""
    fixed = experiment.fixed_duration
    return fixed is None or (row.ds - experiment.start).days < fixed


def is_complete(experiment: Experiment, metric: OracleMetric, unit: ExposedUnit, day: date) -> bool:
    """Whether the windows that a metric waits for are over for a unit; none is longer than its cohort."""
    cohort = experiment.cohorted_duration
    waits = list(windows_of(metric))
    if cohort is not None and experiment.completed_cohorts_only:
        sources = {part.source for part in parts_of(metric)}
        waits += [(source, Window(end=cohort - 1, completed_only=True)) for source in sources]
    for source, window in waits:
        dated = source in experiment.dated_sources
        ends = [window]
        if cohort is not None:
            ends.append(Window(end=cohort - 1, completed_only=window.completed_only))
        if not any(is_over(each, unit, day, dated=dated) for each in ends):
            return False
    return True

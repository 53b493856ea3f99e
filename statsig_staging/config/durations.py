"""Durations: which metrics an experiment's durations leave nothing of."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from statsig_staging.config.problems import quote

_DAY = 24 * 60


def unfit_durations(
    experiment: Mapping[str, Any], metric: Mapping[str, Any], sides: Iterable[Mapping[str, Any]]
) -> Iterator[str]:
    """Return why a metric does not go with the durations of an experiment.

    Args:
        experiment: The experiment, right or wrong.
        metric: The metric.
        sides: What of the metric reads a source.
    """
    name = f"metric {quote(str(metric.get('name')))}"
    if metric.get("rollup") == "daily":
        for option in ("cohorted_duration", "fixed_duration", "mature_after_end"):
            if experiment.get(option):
                yield f"{name} has rollup daily, which does not go with {option}"
    if metric.get("type") == "retention":
        for option in ("cohorted_duration", "fixed_duration"):
            days, end = _number(experiment.get(option)), _number(metric.get("end"))
            if days is not None and end is not None and end >= days:
                yield f"{name} has windows of {end} days after their start; {option} {days} leaves none"
    cohort = _number(experiment.get("cohorted_duration"))
    for side in sides:
        start = _days_to(side.get("window"))
        if cohort is not None and start is not None and start >= cohort:
            yield (
                f"{name} has a window that begins {start:g} days after the exposure; "
                f"cohorted_duration {cohort} leaves nothing of it"
            )


def _days_to(window: object) -> float | None:
    """Return how many days after an exposure a window begins."""
    if not isinstance(window, Mapping):
        return None
    start = _number(window.get("start"))
    if start is None:
        return None
    return start / _DAY if window.get("unit") == "minutes" else start


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None

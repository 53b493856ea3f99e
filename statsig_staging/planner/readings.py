"""Readings: which days of a source a load reads, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from statsig_staging.days import DAY, Window, in_words
from statsig_staging.plan import SourceReading
from statsig_staging.planner import watching
from statsig_staging.planner.exposures import Loaded
from statsig_staging.sources import changed_days

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from statsig_staging.config import AssignmentSource, MetricSource
    from statsig_staging.planner.request import LoadRequest
    from statsig_staging.state import Published


def days_to_read(
    request: LoadRequest, source: AssignmentSource | MetricSource, published: Published
) -> dict[date, str]:
    """Return the days of a source that an incremental load reads, each with its reason."""
    window = request.window(source)
    observation = request.observations[source.name]
    before = published.sources.get(source.name)
    found: dict[date, str] = {}
    if observation.dated:
        changes = changed_days(before.days if before else {}, observation.digests())
        found = {day: reason for day, reason in changes.items() if day in window}
    else:
        found = dict(watching.watched(source, observation, published, window.days()).again)
    last = min(published.watermark - DAY, published.through)
    for day in window.days():
        if day > last:
            found[day] = "not loaded yet"
    for day, reason in request.again.get(source.name, {}).items():
        if day in window:
            found.setdefault(day, reason)
    return dict(sorted(found.items()))


def days_gone(request: LoadRequest, published: Published) -> tuple[date, ...]:
    """Return the published days that lie after the last day to load."""
    return Window(request.through + DAY, published.through + DAY).days()


def exposed_days(request: LoadRequest, reasons: Mapping[date, str], published: Published) -> Loaded:
    """Return the days of exposures to load, and those of them that new files alone have come to."""
    source, gone = request.assignment_source, days_gone(request, published)
    known = request.known.get(source.name)
    observation = request.observations[source.name]
    if known is None or not observation.dated:
        return Loaded(tuple(reasons), gone)
    before = {file.fingerprint for file in known}
    still = {file.fingerprint for file in observation.files}
    lost = {day for file in known if file.fingerprint not in still for day in file.days}
    kept = {day for file in observation.files if file.fingerprint in before for day in file.days}
    new = [file for file in observation.files if file.fingerprint not in before]
    come = {day for file in new for day in file.days}
    loaded = Window(request.experiment.start, min(published.watermark, published.through + DAY))
    lost |= request.again.get(source.name, {}).keys()
    old = {day for day in reasons if day in loaded and day in come and day not in lost}
    # A day that was loaded before it was over has rows, of files that may be gone.
    fresh = {day for day in reasons if day not in loaded and day not in kept and day not in lost}
    # The moment of a context value is not staged, so a day of it cannot be added to.
    can_add = request.traits.reads_chosen_files and not source.context
    added = old | fresh if old and can_add else set()
    return Loaded(
        tuple(reasons),
        gone,
        added=tuple(sorted(added)),
        files=frozenset(file.path for file in new),
        grows=not gone and set(reasons) == fresh | added,
    )


def reading_of(
    request: LoadRequest,
    source: AssignmentSource | MetricSource,
    reasons: Mapping[date, str],
    unseen: str = "",
) -> SourceReading:
    """Return what is read of a source, with how its changes are noticed."""
    watch = watching.rule(source, request.observations[source.name])
    return SourceReading(source=source.name, days=dict(reasons), watch=watch, unseen=unseen)


def in_reasons(reasons: Mapping[date, str], gone: Iterable[date]) -> str:
    """Return the days of each reason in words."""
    by_reason: dict[str, list[date]] = {}
    for day, reason in reasons.items():
        by_reason.setdefault(reason, []).append(day)
    for day in gone:
        by_reason.setdefault("after the last day to load", []).append(day)
    return "; ".join(f"{in_words(days)}: {reason}" for reason, days in by_reason.items())


def unseen_warnings(request: LoadRequest, readings: Iterable[SourceReading]) -> Iterable[str]:
    """Return a warning for each change that no load has read all of."""
    unseen = {reading.source: reading.unseen for reading in readings if reading.unseen}
    for source in request.sources:
        if source.name in unseen:
            yield watching.warning(source, unseen[source.name])


def warnings(request: LoadRequest) -> Iterable[str]:
    """Return what a person should know of the sources: rows that are left out, and empty ones."""
    for source in (request.assignment_source, *request.metric_sources):
        observation = request.observations[source.name]
        unit = source.units[request.experiment.unit].lower()
        missing = sum(file.nulls.get(unit, 0) for file in observation.files)
        if missing and source is not request.assignment_source:
            yield f"source {source.name!r}: {missing} rows have no {unit}; they are left out"
        misplaced = sum(file.misplaced for file in observation.files)
        if misplaced:
            yield (
                f"source {source.name!r}: {misplaced} rows lie too far from the partition of their "
                "day; they are left out (partition.early and partition.late widen what counts)"
            )
        if source is not request.assignment_source and not any(f.rows for f in observation.files):
            yield f"source {source.name!r} is empty"

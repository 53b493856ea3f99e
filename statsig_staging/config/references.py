"""References: names are unique, and what an entry names exists."""

from collections.abc import Iterable, Mapping
from typing import Any

from statsig_staging import expressions
from statsig_staging.config.durations import unfit_durations
from statsig_staging.config.fields import Model
from statsig_staging.config.forwarded import BUILT_IN
from statsig_staging.config.kinds import KINDS
from statsig_staging.config.metrics import UNLEVELED
from statsig_staging.config.problems import Location, Problem, quote


def reference_problems(data: Mapping[str, Any], checked: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong between entries: names that stand twice, references to nothing.

    Args:
        data: What a project declares.
        checked: The same with every entry as its model, or None where it is wrong.
    """
    entries = _Entries(data, checked)
    problems = [
        *_duplicates(entries.names("assignment_sources") + entries.names("metric_sources")),
        *_duplicates(entries.names("metrics")),
        *_duplicates(entries.names("experiments")),
    ]
    for location, metric in entries.all("metrics"):
        for place, component in _sides(metric):
            source = _text(component.get("source"))
            problems += entries.unknown("metric_sources", source, (*location, *place, "source"))
        for place, name in _terms(metric):
            problems += entries.unknown("metrics", name, (*location, *place))
            problems += entries.unfit_term(name, (*location, *place))
            if metric.get("metric_dimensions"):
                problems += entries.unleveled_term(name, (*location, *place))
    for location, experiment in entries.all("experiments"):
        problems += _experiment_problems(entries, location, experiment)
    return problems


class _Entries:
    """All entries of a project as plain data, right or wrong, so that every reference is checked."""

    def __init__(self, data: Mapping[str, Any], checked: Mapping[str, Any]) -> None:
        self._views = {
            kind: [
                _view(entry, data[kind][index]) for index, entry in enumerate(checked.get(kind, ()))
            ]
            for kind in KINDS
        }
        self._named = {kind: self._by_name(kind) for kind in KINDS}

    def _by_name(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """Return name → entry; of two that share a name, the first."""
        found: dict[str, Mapping[str, Any]] = {}
        for _, view in self.all(kind):
            found.setdefault(_text(view.get("name")), view)
        return found

    def all(self, kind: str) -> Iterable[tuple[Location, Mapping[str, Any]]]:
        for index, view in enumerate(self._views[kind]):
            yield (kind, index), view

    def names(self, kind: str) -> list[tuple[Location, str]]:
        key = "id" if kind == "experiments" else "name"
        found = [((*location, key), _text(view.get(key))) for location, view in self.all(kind)]
        return [(location, name) for location, name in found if name]

    def find(self, kind: str, name: str) -> Mapping[str, Any]:
        return self._named[kind].get(name, {})

    def unknown(self, kind: str, name: str, location: Location) -> Iterable[Problem]:
        built_in = BUILT_IN.get(kind)
        if name and name not in self._named[kind] and name != built_in:
            known = [*filter(None, self._named[kind]), *([built_in] if built_in else [])]
            what = kind.removesuffix("s").replace("_", " ")
            near = expressions.suggestion(name, known)
            yield Problem(location, f"there is no {what} {quote(name)}{near}", absent=True)

    def unfit_term(self, name: str, location: Location) -> Iterable[Problem]:
        metric = self.find("metrics", name)
        for unfit in _UNFIT_TERMS.intersection({_text(metric.get("type"))}):
            yield Problem(location, f"metric {quote(name)} is a {unfit}, which no composite takes")
        for option in ("log", "bake_days"):
            if metric.get(option):
                message = f"metric {quote(name)} has {option}, which no composite takes"
                yield Problem(location, message)
        if metric.get("rollup") == "daily":
            yield Problem(
                location, f"metric {quote(name)} has rollup daily, which no composite takes"
            )

    def unleveled_term(self, name: str, location: Location) -> Iterable[Problem]:
        """Return why a term cannot be told apart by the composite's metric dimensions, if it cannot."""
        metric = self.find("metrics", name)
        kind = _text(metric.get("type"))
        what = f"is a {kind}" if kind in UNLEVELED and kind not in _UNFIT_TERMS else ""
        what = "has rollup latest" if metric.get("rollup") == "latest" else what
        if what:
            message = f"metric {quote(name)} {what}, which metric_dimensions do not go with"
            yield Problem(location, message)

    def unknown_dimensions(self, name: str, source: str, location: Location) -> Iterable[Problem]:
        """Return the dimensions of a metric that an experiment's assignment source has no column for."""
        context = self.find("assignment_sources", source).get("context")
        known = [*map(_text, context)] if isinstance(context, Mapping) else []
        wanted = self.find("metrics", name).get("dimensions")
        for dimension in map(_text, wanted if isinstance(wanted, list | tuple) else ()):
            if not source or not dimension or dimension in known:
                continue
            which = f"it has {', '.join(known)}" if known else "it has none"
            message = (
                f"metric {quote(name)} has dimension {quote(dimension)}, which is no context column of "
                f"assignment source {quote(source)}: {which}{expressions.suggestion(dimension, known)}; "
                f"a column of the metric's source goes under metric_dimensions"
            )
            yield Problem(location, message)

    def sides(self, metric: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        """Return what of a metric reads a source, that of a composite's terms too."""
        for _, side in _sides(metric):
            yield side
        for _, name in _terms(metric):
            term = self.find("metrics", name)
            if term.get("type") != "composite":
                yield from self.sides(term)

    def without_unit(
        self, kind: str, name: str, unit: str, location: Location
    ) -> Iterable[Problem]:
        units = self.find(kind, name).get("units")
        if unit and units and isinstance(units, Mapping) and unit not in map(_text, units):
            what = kind.removesuffix("s").replace("_", " ")
            near = expressions.suggestion(unit, map(_text, units))
            message = f"{what} {quote(name)} has no unit type {quote(unit)}{near}"
            yield Problem(location, message)


def _duplicates(names: Iterable[tuple[Location, str]]) -> Iterable[Problem]:
    first: dict[str, Location] = {}
    for location, name in names:
        if name in first:
            yield Problem(location, f"duplicate name {quote(name)}", also=first[name])
        first.setdefault(name, location)


def _experiment_problems(
    entries: _Entries, location: Location, experiment: Mapping[str, Any]
) -> Iterable[Problem]:
    source = _text(experiment.get("assignment_source"))
    unit = _text(experiment.get("unit"))
    yield from entries.unknown("assignment_sources", source, (*location, "assignment_source"))
    yield from entries.without_unit("assignment_sources", source, unit, (*location, "unit"))
    names = experiment.get("metrics")
    for index, value in enumerate(names if isinstance(names, list | tuple) else ()):
        name, place = _text(value), (*location, "metrics", index)
        yield from entries.unknown("metrics", name, place)
        yield from entries.unknown_dimensions(name, source, place)
        metric = entries.find("metrics", name)
        sides = list(entries.sides(metric))
        for message in unfit_durations(experiment, metric, sides):
            yield Problem(place, message)
        for used in dict.fromkeys(_text(side.get("source")) for side in sides):
            yield from entries.without_unit("metric_sources", used, unit, place)


_UNFIT_TERMS = frozenset(["composite", "funnel", "mean", "percentile", "ratio", "retention"])


def _terms(metric: Mapping[str, Any]) -> Iterable[tuple[Location, str]]:
    terms = metric.get("terms") if metric.get("type") == "composite" else None
    for index, term in enumerate(terms if isinstance(terms, list | tuple) else ()):
        if isinstance(term, Mapping):
            yield ("terms", index, "metric"), _text(term.get("metric"))


def _sides(metric: Mapping[str, Any]) -> Iterable[tuple[Location, Mapping[str, Any]]]:
    if metric.get("type") == "composite":
        return
    if metric.get("type") == "funnel":
        steps = metric.get("steps")
        for index, step in enumerate(steps if isinstance(steps, list | tuple) else ()):
            if isinstance(step, Mapping):
                yield ("steps", index), step
        return
    if metric.get("type") != "ratio":
        yield (), metric
        return
    for side in ("numerator", "denominator"):
        if isinstance(metric.get(side), Mapping):
            yield (side,), metric[side]


def _view(entry: object, raw: object) -> Mapping[str, Any]:
    if isinstance(entry, Model):
        return entry.model_dump()
    return raw if isinstance(raw, Mapping) else {}


def _text(value: object) -> str:
    """Return a name as text, or nothing where it is none."""
    is_name = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value) if is_name else ""

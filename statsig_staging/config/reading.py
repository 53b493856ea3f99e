"""Reading: every entry of a project as its model, and everything that is wrong with them together."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from statsig_staging import expressions
from statsig_staging.config.connections import CONNECTIONS, ReadOnly
from statsig_staging.config.fields import Model
from statsig_staging.config.kinds import KINDS, LATER_KINDS, models_of
from statsig_staging.config.metrics import (
    COMPONENTS,
    METRICS,
    UNLEVELED,
    CompositeTerm,
    Cuped,
    FunnelStep,
    StepWindow,
    Window,
    Winsorize,
    checked_metric_type,
)
from statsig_staging.config.problems import (
    UNKNOWN_KEY,
    Location,
    Problem,
    problems_of,
    quote,
    unknown_key,
)
from statsig_staging.config.references import reference_problems
from statsig_staging.config.sources import Partition

_NESTED: Final[dict[str, type[Model]]] = {
    "cuped": Cuped,
    "partition": Partition,
    "read_only": ReadOnly,
    "steps": FunnelStep,
    "terms": CompositeTerm,
    "window": Window,
    "winsorize": Winsorize,
    "within": StepWindow,
}


def read_entries(
    data: Mapping[str, Any], keys: Collection[str]
) -> tuple[dict[str, Any], list[Problem]]:
    """Return ``data`` with every entry as its model, or None where it is wrong, and the problems.

    Args:
        data: What a project declares.
        keys: What it may have at the top.
    """
    problems = [
        Problem((str(key),), unknown_key(key, keys, LATER_KINDS)) for key in data if key not in keys
    ]
    checked: dict[str, Any] = {"root": data.get("root", Path())}
    checked["connection"] = _read_connection(data, problems)
    for kind in KINDS:
        checked[kind] = _read_list(kind, data.get(kind), problems)
    problems += reference_problems(data, checked)
    return checked, problems


def _read_connection(data: Mapping[str, Any], problems: list[Problem]) -> object:
    value = data.get("connection")
    if value is None:
        message = "is required; say at least warehouse: local"
        problems.append(Problem(("connection",), message, absent=True))
        return None
    return _read(value, _connection_model, ("connection",), problems)


def _read_list(kind: str, entries: object, problems: list[Problem]) -> tuple[object, ...]:
    if entries is None:
        return ()
    if not isinstance(entries, Sequence) or isinstance(entries, str | bytes):
        problems.append(Problem((kind,), "should be a list"))
        return ()

    def model_of(value: Mapping[str, Any]) -> type[Model]:
        if kind != "metrics":
            return models_of(kind)[0]
        checked_metric_type(value)
        return METRICS[value["type"]]

    return tuple(
        _read(value, model_of, (kind, index), problems) for index, value in enumerate(entries)
    )


def _connection_model(value: Mapping[str, Any]) -> type[Model]:
    tag = value.get("warehouse")
    if isinstance(tag, str) and tag in CONNECTIONS:
        return CONNECTIONS[tag]
    choices = " or ".join(sorted(CONNECTIONS))
    if tag is None:
        raise ValueError(f"warehouse is required: {choices}")
    near = expressions.suggestion(str(tag), CONNECTIONS)
    raise ValueError(f"unknown warehouse {quote(tag)}; it is {choices}{near}")


def _read(
    value: object,
    model_of: Callable[[Mapping[str, Any]], type[Model]],
    location: Location,
    problems: list[Problem],
) -> object:
    """Return ``value`` as its model, or None and what is wrong with it in ``problems``."""
    if isinstance(value, Model):
        return value
    if not isinstance(value, Mapping):
        problems.append(Problem(location, "should be a mapping of keys to values"))
        return None
    try:
        model = model_of(value)
    except ValueError as error:
        tag = "warehouse" if location == ("connection",) else "type"
        problems.append(Problem((*location, tag), str(error)))
        return None
    try:
        return model.model_validate(dict(value))
    except ValidationError as error:
        problems += [
            problem._replace(
                location=location + problem.location,
                message=_with_keys(problem, model, value),
            )
            for problem in problems_of(error, value)
        ]
        return None


def _with_keys(problem: Problem, model: type[Model], value: Mapping[str, Any]) -> str:
    """Return the problem's message; an unknown key is compared with those of its own mapping."""
    if problem.message != UNKNOWN_KEY:
        return problem.message
    if problem.location == ("metric_dimensions",) and value.get("type") in UNLEVELED:
        return f"metric_dimensions do not go with {value['type']}"
    known: Iterable[str] = model.model_fields
    for step in problem.location[:-1]:
        if step in ("numerator", "denominator"):
            known = COMPONENTS[value[str(step)]["type"]].model_fields
        elif step in _NESTED:
            known = _NESTED[str(step)].model_fields
    return unknown_key(problem.location[-1], known)

"""Problems: what is wrong with a project, where, and in words that a person can act on."""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from pydantic import ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from statsig_staging import expressions
from statsig_staging.config.fields import EXAMPLES

Location: TypeAlias = tuple[str | int, ...]
"""Where something stands in a project's data: ``("metrics", 3, "source")``."""

UNKNOWN_KEY = "unknown key"
"""The message of an unknown key before it is compared with the known ones."""


class Problem(NamedTuple):
    """One mistake.

    Attributes:
        location: Where it stands.
        message: What is wrong, and what to do.
        also: The other place it has to do with.
        absent: Whether it is about something that the project lacks, but might have elsewhere.
    """

    location: Location
    message: str
    also: Location | None = None
    absent: bool = False


def problems_of(error: ValidationError, value: object = None) -> list[Problem]:
    """Return what pydantic found, in our words; ``value`` is what was validated, if not a project."""
    return [
        Problem(
            location=_without_tags(details["loc"], value),
            message=_message(details),
            also=details.get("ctx", {}).get("also"),
            absent=details.get("ctx", {}).get("absent", False),
        )
        for details in error.errors(include_url=False, include_input=False)
    ]


def describe(problem: Problem, origins: Mapping[Location, str]) -> str:
    """Return ``problem`` as one line: ``file: path.inside[0].key: message``."""
    place = _place(problem.location, origins)
    also = f"; see {_place(problem.also, origins)}" if problem.also else ""
    return f"{place}: {problem.message}{also}" if place else f"{problem.message}{also}"


def unknown_key(key: object, known: Iterable[str], later: Container[str] = ()) -> str:
    """Return what to say about a key that is none of ``known``; ``later`` is known but unsupported."""
    if isinstance(key, str) and key in later:
        return f"option {key!r} is not supported yet"
    return f"unknown key{expressions.suggestion(str(key), known)}"


def quote(value: object) -> str:
    """Return ``value`` in quotes, on one line."""
    return repr(str(value))


def error_details(problem: Problem) -> InitErrorDetails:
    """Return ``problem`` as pydantic takes it; ``problems_of`` gives it back."""
    context = {"message": problem.message, "also": problem.also, "absent": problem.absent}
    error = PydanticCustomError("project", "{message}", context)
    return InitErrorDetails(type=error, loc=problem.location, input=None)


def lies_below(location: Location, places: Iterable[Location]) -> bool:
    """Return whether ``location`` is one of ``places``, or inside one."""
    return any(location[: len(place)] == place for place in places)


def _message(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    match details["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return UNKNOWN_KEY
        case "value_error":
            return str(context["error"])
        case "too_short":
            return "is empty"
        case "string_pattern_mismatch":
            return f"should look like {EXAMPLES[context['pattern']]}"
        case "project":
            return str(context["message"])
        case _:
            text = str(details["msg"]).removeprefix("Input ")
            return text[:1].lower() + text[1:]


def _without_tags(location: Location, value: object) -> Location:
    """Return ``location`` without the union tags and key marks that pydantic puts into it."""
    kept: list[str | int] = []
    entered = False
    for step in location:
        tag = value.get("type") if isinstance(value, Mapping) else None
        if step == "[key]" or (step == tag and kept and not entered and isinstance(step, str)):
            entered = True
            continue
        kept.append(step)
        entered = False
        value = _inside(value, step)
    return tuple(kept)


def _inside(value: object, step: str | int) -> object:
    if isinstance(value, Mapping):
        return value.get(step)
    if isinstance(value, Sequence) and isinstance(step, int) and step < len(value):
        return value[step]
    return None


def _place(location: Location, origins: Mapping[Location, str]) -> str:
    for length in range(len(location), 0, -1):
        if location[:length] in origins:
            return origins[location[:length]] + _path(location[length:], nested=True)
    return _path(location, nested=False)


def _path(location: Location, *, nested: bool) -> str:
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.fullmatch(r"[\w-]+", step):
            text += f".{step}" if text or nested else step
        else:
            text += f"[{quote(step)}]"
    return text

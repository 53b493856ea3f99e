"""Lists of names in which none stands twice."""

from collections.abc import Iterable
from typing import Annotated, TypeVar

from pydantic import AfterValidator

from statsig_staging.config.fields import Name
from statsig_staging.config.problems import quote

_T = TypeVar("_T", bound=str)


def _repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def no_repeats(names: tuple[_T, ...]) -> tuple[_T, ...]:
    """Return ``names`` unless one of them stands twice."""
    if (name := _repeated(names)) is not None:
        raise ValueError(f"lists {quote(name)} twice")
    return names


Names = Annotated[tuple[Name, ...], AfterValidator(no_repeats)]
"""Names, each once."""

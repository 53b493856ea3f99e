"""A policy in words: for each statement what it is for, and why each action is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from statsig_staging.access.policy import Policy, Statement


def explained(policy: Policy) -> str:
    """Return a policy as a person reads it."""
    return "\n\n".join("\n".join(_lines(each)) for each in policy.statements)


def _lines(statement: Statement) -> Iterator[str]:
    yield f"{statement.sid}: {statement.purpose}"
    yield from (f"  for  {each}" for each in statement.principals)
    yield from (f"  on   {each}" for each in statement.resources)
    for each in statement.conditions:
        yield f"  if   {each.key} {each.operator} {' or '.join(each.values)}"
    width = max(len(action.name) for action in statement.actions)
    yield from (f"  {action.name:<{width}}  {action.reason}" for action in statement.actions)

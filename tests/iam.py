"""IAM as far as the policies of this project use it: which request a document allows.

Actions and resources have wildcards, ``${*}`` and its like stand for the characters themselves, an explicit
Deny wins, and what nothing allows is denied.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Need:
    """One action on one resource, as one request asks for it.

    Attributes:
        action: Like ``s3:GetObject``.
        resource: Its ARN.
        context: Condition key → value.
        why: What asked for it, for messages.
    """

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()
    why: str = field(default="", compare=False)


def allows(document: Mapping[str, Any], need: Need) -> bool:
    """Return whether a policy allows a request."""
    effects = {
        statement["Effect"] for statement in document["Statement"] if _applies(statement, need)
    }
    return effects == {"Allow"}


def refused(document: Mapping[str, Any], needs: Iterable[Need]) -> list[Need]:
    """Return the requests that a policy does not allow."""
    return [need for need in needs if not allows(document, need)]


def without(document: Mapping[str, Any], sid: str, action: str) -> dict[str, Any]:
    """Return a policy whose statement of that Sid lacks an action."""
    statements = []
    for statement in document["Statement"]:
        actions = [
            each for each in statement["Action"] if (statement["Sid"], each) != (sid, action)
        ]
        if actions:
            statements.append({**statement, "Action": actions})
    return {**document, "Statement": statements}


def _applies(statement: Mapping[str, Any], need: Need) -> bool:
    return (
        any(_matches(each, need.action.lower()) for each in _many(statement["Action"], lower=True))
        and any(_matches(each, need.resource) for each in _many(statement["Resource"]))
        and all(
            _meets(operator, key, _many(values), dict(need.context))
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _many(value: str | list[str], *, lower: bool = False) -> list[str]:
    values = [value] if isinstance(value, str) else value
    return [each.lower() for each in values] if lower else values


def _meets(operator: str, key: str, values: list[str], context: Mapping[str, str]) -> bool:
    """Return whether a condition holds; one on a key that the request does not have fails."""
    if key not in context:
        return False
    if operator == "StringEquals":
        return context[key] in [_plain(value) for value in values]
    if operator == "StringLike":
        return any(_matches(value, context[key]) for value in values)
    raise NotImplementedError(operator)


_VARIABLE = re.compile(r"\$\{([*?$])\}|([*?])|([^*?$]+|\$)")


def _plain(text: str) -> str:
    return re.sub(r"\$\{([*?$])\}", r"\1", text)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    parts = []
    for literal, wildcard, plain in _VARIABLE.findall(text):
        parts.append({"*": ".*", "?": "."}.get(wildcard) or re.escape(literal or plain))
    return re.compile("".join(parts), re.DOTALL)


def _matches(pattern: str, text: str) -> bool:
    return _pattern(pattern).fullmatch(text) is not None

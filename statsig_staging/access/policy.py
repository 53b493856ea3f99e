"""Policies as values, and as the JSON that IAM reads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

VERSION: Final = "2012-10-17"
"""The version of the policy language that knows ``${*}``.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html"""

LONGEST: Final = 6_144
"""Characters of the longest managed policy, white space aside.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""


@dataclass(frozen=True, slots=True)
class Action:
    """An action and why it is needed.

    Attributes:
        name: Like ``s3:GetObject``.
        reason: What it is for, in a few words.
    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a statement.

    Attributes:
        operator: Like ``StringLike``.
        key: Like ``s3:prefix``.
        values: One of them has to fit.
    """

    operator: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement that allows something.

    Attributes:
        sid: Its name, letters and digits.
        purpose: What it is for, in one sentence.
        actions: What is allowed.
        resources: On what; empty in a trust policy, whose resource is the role itself.
        conditions: Under which conditions; all have to hold.
        principals: ARNs of who may; empty where the policy belongs to whoever it is attached to.
    """

    sid: str
    purpose: str
    actions: tuple[Action, ...]
    resources: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    principals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """Statements that are one document."""

    statements: tuple[Statement, ...]


def document(policy: Policy) -> dict[str, Any]:
    """Return a policy as IAM reads it."""
    return {"Version": VERSION, "Statement": [_statement(each) for each in policy.statements]}


def _statement(statement: Statement) -> dict[str, Any]:
    found: dict[str, Any] = {"Sid": statement.sid, "Effect": "Allow"}
    if statement.principals:
        found["Principal"] = {"AWS": list(statement.principals)}
    found["Action"] = [action.name for action in statement.actions]
    if statement.resources:
        found["Resource"] = list(statement.resources)
    if statement.conditions:
        operators: dict[str, dict[str, list[str]]] = {}
        for condition in statement.conditions:
            operators.setdefault(condition.operator, {})[condition.key] = list(condition.values)
        found["Condition"] = operators
    return found


def spelled(text: str) -> str:
    """Return text as it stands in a resource or a condition, where ``*``, ``?`` and ``$`` mean something else.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-specialchars
    """
    return re.sub(r"[*?$]", lambda found: f"${{{found[0]}}}", text)

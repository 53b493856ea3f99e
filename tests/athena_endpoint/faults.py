"""Faults on purpose: which call they meet, and what the client sees."""

from __future__ import annotations

import itertools
import re
import threading
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any
from xml.sax.saxutils import escape

from tests.athena_endpoint.failures import CallError

_JSON_SERVICES = frozenset({"athena", "glue", "kms"})


class FaultKind(StrEnum):
    """What happens to a call."""

    THROTTLE = "throttle"
    SERVER_ERROR = "server_error"
    EXPIRED_TOKEN = "expired_token"
    REFUSE = "refuse"
    """An error of the rule's own code, message and status."""
    SLOW = "slow"
    """The call is answered after the rule's seconds."""
    KILL = "kill"
    """The connection ends before anything ran."""
    LOSE_ANSWER = "lose_answer"
    """Everything ran, and the connection ends instead of the answer."""
    ERROR_AFTER_EFFECT = "error_after_effect"
    """Everything ran, and the answer is a 500."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A fault and the calls that it meets.

    Attributes:
        match: A regular expression that is searched for in the path, the query and the body of a JSON call.
        skip: Matching calls that pass before the first one is met.
        times: Calls that are met.
    """

    number: int = 0
    account: str
    service: str
    operation: str
    kind: FaultKind
    match: str | None = None
    skip: int = 0
    times: int = 1
    seconds: float = 0.0
    code: str = "InternalServerException"
    message: str = "scripted"
    status: int = 400


class Faults:
    """The rules that are left."""

    def __init__(self) -> None:
        self._rules: dict[int, Rule] = {}
        self._seen: dict[int, int] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, **details: Any) -> int:
        """Add a rule and return its number."""
        with self._lock:
            number = next(self._numbers)
            rule = Rule(**{**details, "kind": FaultKind(details["kind"]), "number": number})
            self._rules[number] = rule
            self._seen[number] = 0
            return number

    def clear(self, account: str) -> None:
        """Forget the rules of an account."""
        with self._lock:
            for number in [n for n, rule in self._rules.items() if rule.account == account]:
                del self._rules[number]

    def left(self, account: str) -> list[dict[str, Any]]:
        """Return the rules of an account that have not met all their calls yet."""
        with self._lock:
            return [asdict(rule) for rule in self._rules.values() if rule.account == account]

    def take(self, account: str, service: str, operation: str, text: str) -> Rule | None:
        """Return the rule that meets a call, and count it."""
        with self._lock:
            for rule in self._rules.values():
                if (rule.account, rule.service, rule.operation) != (account, service, operation):
                    continue
                if rule.match is not None and not re.search(rule.match, text):
                    continue
                self._seen[rule.number] += 1
                if self._seen[rule.number] <= rule.skip:
                    continue
                if self._seen[rule.number] == rule.skip + rule.times:
                    del self._rules[rule.number]
                return rule
        return None


def error_of(rule: Rule, service: str) -> CallError | None:
    """Return the error that a rule answers with before anything runs, None if it is of another kind."""
    json, s3 = service in _JSON_SERVICES, service == "s3"
    match rule.kind:
        case FaultKind.THROTTLE:
            if s3:
                return CallError("SlowDown", "Please reduce your request rate.", status=503)
            return CallError("ThrottlingException" if json else "Throttling", "Rate exceeded")
        case FaultKind.SERVER_ERROR | FaultKind.ERROR_AFTER_EFFECT:
            code = {"athena": "InternalServerException", "glue": "InternalServiceException"}
            return CallError(code.get(service, "InternalError"), "scripted", status=500)
        case FaultKind.EXPIRED_TOKEN:
            code_ = "ExpiredTokenException" if json else "ExpiredToken"
            message = "The security token included in the request is expired"
            return CallError(code_, message, status=400 if json or s3 else 403)
        case FaultKind.REFUSE:
            return CallError(rule.code, rule.message, status=rule.status)
        case FaultKind.SLOW | FaultKind.KILL | FaultKind.LOSE_ANSWER:
            return None


def xml_of(error: CallError, service: str) -> bytes:
    """Return the body of an error of a service that does not speak JSON."""
    inner = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    if service == "s3":
        return f'<?xml version="1.0" encoding="UTF-8"?><Error>{inner}</Error>'.encode()
    return f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error></ErrorResponse>".encode()


def speaks_json(service: str) -> bool:
    """Return whether errors of a service are JSON."""
    return service in _JSON_SERVICES

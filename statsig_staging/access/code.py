"""The documents as code: Terraform and CloudFormation."""

from __future__ import annotations

import json
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, assert_never

from statsig_staging.access.policy import document
from statsig_staging.errors import ConfigError

if TYPE_CHECKING:
    from statsig_staging.access.policy import Policy

NAME: Final = "statsig-staging"
"""What policy, role and user are called."""


class Subject(Enum):
    """What a document is for."""

    POLICY = auto()
    TRUST = auto()
    USER = auto()
    KEY = auto()


def json_text(found: object) -> str:
    """Return a document as text."""
    return json.dumps(found, indent=2, ensure_ascii=False)


def terraform(subject: Subject, policy: Policy, key: str | None = None) -> str:
    """Return a resource of the AWS provider.

    Args:
        subject: What the policy is for.
        policy: The policy.
        key: The KMS key, for its grant.
    """
    body = f"jsonencode({_templated(json_text(document(policy)))})"
    match subject:
        case Subject.POLICY:
            return _resource("aws_iam_policy", f'name   = "{NAME}"\npolicy = {body}')
        case Subject.TRUST:
            return _resource(
                "aws_iam_role", f'name               = "{NAME}"\nassume_role_policy = {body}'
            )
        case Subject.USER:
            return "\n\n".join(
                (
                    _resource("aws_iam_user", f'name = "{NAME}"'),
                    _resource(
                        "aws_iam_user_policy",
                        f'name   = "{NAME}"\nuser   = aws_iam_user.statsig_staging.name\npolicy = {body}',
                    ),
                )
            )
        case Subject.KEY:
            return _grant(policy, key or "")
        case _:
            assert_never(subject)


def _grant(policy: Policy, key: str) -> str:
    """Return a grant of the key: Terraform writes a key's policy only as a whole."""
    (statement,) = policy.statements
    operations = json.dumps([action.name.removeprefix("kms:") for action in statement.actions])
    return _resource(
        "aws_kms_grant",
        f'name              = "{NAME}"\nkey_id            = {_templated(json.dumps(key))}\n'
        f"grantee_principal = {_templated(json.dumps(statement.principals[0]))}\n"
        f"operations        = {operations}",
    )


def _resource(kind: str, body: str) -> str:
    lines = "\n".join(f"  {line}" for line in body.splitlines())
    return f'resource "{kind}" "statsig_staging" {{\n{lines}\n}}'


def _templated(text: str) -> str:
    """Return JSON as an expression of Terraform, in whose strings ``${`` and ``%{`` begin templates.

    https://developer.hashicorp.com/terraform/language/expressions/strings#escape-sequences-1
    """
    return text.replace("${", "$${").replace("%{", "%%{")


def cloudformation(subject: Subject, policy: Policy) -> str:
    """Return a template, in JSON.

    Raises:
        ConfigError: For a key, whose policy CloudFormation writes only as a whole; or where a value would be
            taken for a dynamic reference.
    """
    found = document(policy)
    if "{{resolve:" in json_text(found):
        raise ConfigError("a value holds '{{resolve:', which CloudFormation replaces; rename it")
    resources: dict[str, Any]
    match subject:
        case Subject.POLICY:
            resources = {
                "Policy": _typed(
                    "ManagedPolicy", {"ManagedPolicyName": NAME, "PolicyDocument": found}
                )
            }
        case Subject.TRUST:
            resources = {
                "Role": _typed("Role", {"RoleName": NAME, "AssumeRolePolicyDocument": found})
            }
        case Subject.USER:
            inline = {"PolicyName": NAME, "PolicyDocument": found}
            resources = {"User": _typed("User", {"UserName": NAME, "Policies": [inline]})}
        case Subject.KEY:
            raise ConfigError(
                "CloudFormation writes the policy of a key as a whole; add the statement that "
                "`access kms` prints to the key's own template"
            )
        case _:
            assert_never(subject)
    return json_text({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources})


def _typed(kind: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"Type": f"AWS::IAM::{kind}", "Properties": properties}

"""Who acts: the role's trust policy, the user who assumes it, and what a KMS key has to say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from statsig_staging.access.permissions import engine_policy, key_actions
from statsig_staging.access.policy import Action, Condition, Policy, Statement, spelled
from statsig_staging.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from statsig_staging.access.scope import Scope
    from statsig_staging.config import AthenaConnection

ROLE_SESSION: Final = "statsig-staging"
"""The name of the role's sessions, as CloudTrail shows it."""


def trust_policy(
    connection: AthenaConnection,
    scope: Scope,
    *,
    organization: str | None = None,
    source_ips: tuple[str, ...] = (),
    session_name: bool = False,
) -> Policy:
    """Return who may assume the role.

    Args:
        connection: The project's ``connection``: its principal and its external id.
        scope: The role's account, which is the principal where none is given.
        organization: The AWS organization that the principal has to belong to.
        source_ips: Addresses that it has to call from.
        session_name: Whether sessions have to carry the engine's own name.
    """
    conditions = []
    if connection.external_id is not None:
        conditions.append(
            Condition("StringEquals", "sts:ExternalId", (spelled(connection.external_id),))
        )
    if session_name:
        conditions.append(Condition("StringEquals", "sts:RoleSessionName", (ROLE_SESSION,)))
    if organization is not None:
        conditions.append(Condition("StringEquals", "aws:PrincipalOrgID", (spelled(organization),)))
    if source_ips:
        conditions.append(Condition("IpAddress", "aws:SourceIp", source_ips))
    return Policy(
        (
            Statement(
                sid="AssumeStagingRole",
                purpose="Who may act as the role.",
                actions=(Action("sts:AssumeRole", "begin a session of the role"),),
                conditions=tuple(conditions),
                principals=(connection.trusted_principal or scope.root,),
            ),
        )
    )


def missing_protection(connection: AthenaConnection, scope: Scope) -> Iterator[str]:
    """Return what a trust policy lacks, one sentence each."""
    principal = connection.trusted_principal or scope.root
    if connection.external_id is None:
        yield (
            "there is no connection.external_id: whoever the principal also works for can have it assume "
            "this role; ask it for an id of your own, or choose one"
        )
    if principal.endswith(":root"):
        yield (
            f"{principal} is a whole account: everybody there with sts:AssumeRole may act as the role; set "
            "connection.trusted_principal to one role or user"
        )


def user_policy(connection: AthenaConnection, scope: Scope) -> Policy:
    """Return what the user needs whose keys the engine runs with: the role alone, or without one everything."""
    if connection.role_arn is None:
        return engine_policy(connection, scope)
    return Policy(
        (
            Statement(
                sid="AssumeStagingRole",
                purpose="The user does nothing itself; it acts as the role.",
                actions=(Action("sts:AssumeRole", "begin and renew sessions of the role"),),
                resources=(spelled(connection.role_arn),),
            ),
        )
    )


def key_policy(connection: AthenaConnection, scope: Scope, principal: str | None = None) -> Policy:
    """Return what the policy of the key has to allow: its use, not its administration.

    Args:
        connection: The project's ``connection``.
        scope: Where the key is used.
        principal: Who uses it; by default the role.

    Raises:
        ConfigError: If there is no key, or nobody to name.
    """
    user = principal or connection.role_arn
    if connection.kms_key is None:
        raise ConfigError("staging.yml: connection.kms_key is not set; there is no key to use")
    if user is None:
        raise ConfigError(
            "nobody to allow the key to: set connection.role_arn, or give --principal with an ARN"
        )
    return Policy(
        (
            Statement(
                sid="StagingKeyUser",
                purpose="Use of the key through S3; no right to change or delete it.",
                actions=key_actions(),
                # In a key's policy the key itself is "*".
                resources=("*",),
                conditions=(
                    Condition("StringEquals", "kms:ViaService", (scope.service("s3"),)),
                    Condition("StringEquals", "kms:CallerAccount", (scope.account,)),
                ),
                principals=(user,),
            ),
        )
    )

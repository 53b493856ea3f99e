"""Whose account, which partition and which region a document is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from statsig_staging.access.policy import spelled
from statsig_staging.errors import ConfigError

if TYPE_CHECKING:
    from statsig_staging.config import AthenaConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where the resources of a connection are.

    Attributes:
        partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
        region: The region.
        account: Twelve digits.
    """

    partition: str
    region: str
    account: str

    def glue(self, resource: str) -> str:
        """Return the ARN of something in Glue, like ``database/shop``."""
        return f"arn:{self.partition}:glue:{self.region}:{self.account}:{spelled(resource)}"

    def tables(self, database: str) -> str:
        """Return the ARN of all tables of a database."""
        return f"{self.glue(f'table/{database}')}/*"

    def workgroup(self, name: str) -> str:
        """Return the ARN of a workgroup."""
        return f"arn:{self.partition}:athena:{self.region}:{self.account}:workgroup/{name}"

    def bucket(self, name: str) -> str:
        """Return the ARN of a bucket."""
        return f"arn:{self.partition}:s3:::{name}"

    def service(self, name: str) -> str:
        """Return the host of a service, as conditions name it."""
        suffix = "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"
        return f"{name}.{self.region}.{suffix}"

    @property
    def root(self) -> str:
        """The account itself, as a principal."""
        return f"arn:{self.partition}:iam::{self.account}:root"


def scope_of(connection: AthenaConnection, account: str | None = None) -> Scope:
    """Return the scope of a connection.

    Args:
        connection: The project's ``connection``.
        account: The account; by default that of the role.

    Raises:
        ConfigError: If the account is not known, or no account.
    """
    found = account or _account_of(connection.role_arn)
    if found is None:
        raise ConfigError(
            "the AWS account is not known: give --account with its twelve digits, or set connection.role_arn"
        )
    if re.fullmatch(r"\d{12}", found, re.ASCII) is None:
        raise ConfigError(f"{found!r} is no AWS account; it has twelve digits")
    return Scope(partition=_partition(connection.region), region=connection.region, account=found)


def _account_of(arn: str | None) -> str | None:
    found = re.match(r"arn:[\w-]+:iam::(\d{12}):", arn or "", re.ASCII)
    return found[1] if found else None


def _partition(region: str) -> str:
    """Return the partition of a region.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
    """
    by_prefix = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    return next((name for prefix, name in by_prefix.items() if region.startswith(prefix)), "aws")

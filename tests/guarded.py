"""Projects on Athena whose engine may do what its policy says, and no more."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from statsig_staging.access.identities import trust_policy, user_policy
from statsig_staging.access.permissions import engine_policy
from statsig_staging.access.policy import document
from statsig_staging.access.scope import scope_of
from statsig_staging.config import AthenaConnection
from tests import plain
from tests.athena_endpoint.accounts import new_credentials
from tests.athena_endpoint.fixtures import DATABASE, Aws
from tests.athena_endpoint.gate import Gate
from tests.athena_worlds import AthenaWorld, account_of, glue_of, in_environment
from tests.plain import event, exposure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.athena_endpoint.server import Endpoint

KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"


class GuardedWorld(AthenaWorld):
    """A world whose project has a key and a role, and whose sources lie in a bucket of their own."""

    @property
    def lake(self) -> str:
        """The bucket of the sources."""
        return f"company-{self.aws.id}"

    def _create(self, name: str) -> None:
        schema = self.sources[name].table([]).schema
        place = f"s3://{self.lake}/sources/{name}"
        glue_of(self.aws).create_table(self._name(name), schema, location=place)

    def definition(self, folder: str = "statsig") -> dict[str, Any]:
        found = super().definition(folder)
        more = {
            "kms_key": KEY,
            "role_arn": f"arn:aws:iam::{self.aws.id}:role/staging",
            "external_id": "of-this-company",
            "read_only": [{"database": DATABASE, "locations": [f"s3://{self.lake}/sources/"]}],
        }
        return {**found, "connection": {**found["connection"], **more}}


@dataclass
class Guarded:
    """A project, and the gates before its user and its role.

    Attributes:
        world: The project.
        user: The gate before whoever assumes the role.
        role: The gate before the role.
    """

    world: GuardedWorld
    user: Gate
    role: Gate
    keys: Aws = field(kw_only=True)

    @property
    def aws(self) -> Aws:
        """The account, without any gate."""
        return self.world.aws

    @property
    def connection(self) -> AthenaConnection:
        """The project's connection."""
        return AthenaConnection.model_validate(self.world.definition()["connection"])

    def reset(self, connection: AthenaConnection | None = None) -> None:
        """Let user and role do what the documents of a connection say."""
        found = connection or self.connection
        scope = scope_of(found)
        self.user.policy = document(user_policy(found, scope))
        self.user.trust = document(trust_policy(found, scope))
        self.role.denied.clear()
        self.role.policy = document(engine_policy(found, scope))


@contextmanager
def guarded(endpoint: Endpoint, folder: Path) -> Iterator[Guarded]:
    """Return a project with three days of data and nothing loaded, in the environment of its user."""
    with account_of(endpoint) as aws:
        aws.client("s3").create_bucket(Bucket=f"company-{aws.id}")
        aws.client("iam").create_role(RoleName="staging", AssumeRolePolicyDocument="{}")
        world = GuardedWorld.open(plain.definitions().spelled_out(), folder, aws)
        assert isinstance(world, GuardedWorld)
        for number in range(3):
            world.add("exposures", [exposure(f"u{number}", plain.GROUPS[number % 2], number, 1)])
            world.add("events", [event(f"u{n}", number, 2, 1.5 + number) for n in range(4)])
            world.add("events", [event(f"waiting{n}", number, 6, n + 0.5) for n in range(200)])
        keys = Aws(endpoint=endpoint, credentials=new_credentials(aws.id))
        user, role = Gate(aws.id), Gate(aws.id, kms_key=KEY)
        endpoint.gates[keys.credentials.access_key] = user
        endpoint.gates[f"role:{aws.id}"] = role
        found = Guarded(world, user, role, keys=keys)
        found.reset()
        with in_environment(keys):
            yield found

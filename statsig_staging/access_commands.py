"""The command `access`: prints what the engine needs on AWS, made of the project's configuration."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click

from statsig_staging.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from statsig_staging.access.policy import Policy
    from statsig_staging.access.scope import Scope
    from statsig_staging.config import AthenaConnection, Project

EXAMPLES = (
    "access policy > policy.json",
    "access policy --explain",
    "access policy --account 123456789012 --terraform",
    "access trust --cloudformation",
    "access user",
    "access kms",
)

_DOCUMENTS = ("policy", "trust", "user", "kms")

_APPLIES = {
    "source_keys": ("policy", "user"),
    "lake_formation": ("policy", "user"),
    "results": ("policy", "user"),
    "organization": ("trust",),
    "source_ips": ("trust",),
    "session_name": ("trust",),
    "principal": ("kms",),
}


def add(commands: click.Group, base: type[click.Command], say: Callable[[str], None]) -> None:
    """Add the command to others.

    Args:
        commands: The group.
        base: The class of its commands.
        say: Writes a line to stderr.
    """

    def run(
        subject: str, project: Path, account: str | None, form: str | None, **options: Any
    ) -> None:
        """Print the IAM documents of this connection.

        policy: what the engine may do. trust: who may act as its role. user: what the user needs whose keys it runs
        with. kms: what the key's policy has to allow.

        Nothing is called. Sources whose databases are not in connection.read_only are named on stderr.
        """
        from statsig_staging.project import load_project

        _check_options(subject, options)
        declared = load_project(project)
        text, notes = _printed(declared, subject, account, form, options)
        for note in notes:
            say(f"warning: {note}")
        print(text)  # noqa: T201

    commands.add_command(
        base(
            name="access",
            callback=run,
            params=list(_PARAMETERS),
            help=run.__doc__,
            examples=EXAMPLES,  # type: ignore[call-arg]
        )
    )


def _formed(pattern: str, example: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return what checks the value of an option, or each of its values."""

    def checked(ctx: click.Context, param: click.Parameter, value: Any) -> Any:  # noqa: ARG001
        for each in (value,) if isinstance(value, str) else value or ():
            if re.fullmatch(pattern, each, re.ASCII) is None:
                raise click.BadParameter(f"{each!r} is none; write it like {example}")
        return value

    return checked


_ARN = _formed(r"arn:[\w-]+:[\w-]+:[\w-]*:\d*:[!-~]+", "arn:aws:iam::123456789012:role/name")

_PARAMETERS: list[click.Parameter] = [
    click.Argument(["subject"], type=click.Choice(_DOCUMENTS), metavar="policy|trust|user|kms"),
    click.Option(["--account"], metavar="DIGITS", help="The AWS account; by default the role's."),
    click.Option(["--explain", "form"], flag_value="explain", help="Say why each action is there."),
    click.Option(["--terraform", "form"], flag_value="terraform", help="Print it for Terraform."),
    click.Option(
        ["--cloudformation", "form"],
        flag_value="cloudformation",
        help="Print it for CloudFormation.",
    ),
    click.Option(
        ["--source-key", "source_keys"],
        multiple=True,
        metavar="ARN",
        callback=_ARN,
        help="A key that sources are encrypted with; repeatable.",
    ),
    click.Option(
        ["--results"],
        metavar="LOCATION",
        callback=_formed(r"s3://[a-z0-9][a-z0-9.-]+(/[ -~]*)?", "s3://bucket/prefix/"),
        help="Where the workgroup puts results, if connection.query_results does not say it.",
    ),
    click.Option(
        ["--lake-formation"], is_flag=True, help="Lake Formation governs tables of the sources."
    ),
    click.Option(
        ["--organization"],
        metavar="ID",
        callback=_formed(r"o-[a-z0-9]{10,32}", "o-a1b2c3d4e5"),
        help="Only principals of this AWS organization.",
    ),
    click.Option(
        ["--source-ip", "source_ips"],
        multiple=True,
        metavar="CIDR",
        callback=_formed(r"[0-9a-fA-F.:]+(/\d{1,3})?", "203.0.113.0/24"),
        help="Only calls from these addresses; repeatable.",
    ),
    click.Option(["--session-name"], is_flag=True, help="Only sessions named statsig-staging."),
    click.Option(
        ["--principal"], metavar="ARN", callback=_ARN, help="Who uses the key; by default the role."
    ),
]


def _check_options(subject: str, options: dict[str, Any]) -> None:
    """Raise a UsageError for an option that does nothing for a document."""
    names = {parameter.name: parameter.opts[0] for parameter in _PARAMETERS}
    for name, subjects in _APPLIES.items():
        if options[name] and subject not in subjects:
            raise click.UsageError(
                f"{names[name]} goes with access {' and access '.join(subjects)} only",
                click.get_current_context(),
            )


def _printed(
    project: Project,
    subject: str,
    account: str | None,
    form: str | None,
    options: dict[str, Any],
) -> tuple[str, list[str]]:
    """Return a document as text, and what has to be said beside it."""
    from statsig_staging.access.scope import scope_of
    from statsig_staging.config import AthenaConnection

    connection = project.connection
    if not isinstance(connection, AthenaConnection):
        raise ConfigError(
            "access prints IAM documents, and this project's warehouse is local: it needs none"
        )
    if options["results"]:
        connection = AthenaConnection.model_validate(
            {**connection.model_dump(), "query_results": options["results"]}
        )
    scope = scope_of(connection, account)
    policy = _document(connection, scope, subject, options)
    notes = [*_notes(project, connection, scope, subject), *_too_long(policy, subject)]
    return _text(policy, subject, form, connection), notes


def _document(
    connection: AthenaConnection, scope: Scope, subject: str, options: dict[str, Any]
) -> Policy:
    from statsig_staging.access import identities, permissions

    match subject:
        case "trust":
            return identities.trust_policy(
                connection,
                scope,
                organization=options["organization"],
                source_ips=options["source_ips"],
                session_name=options["session_name"],
            )
        case "kms":
            return identities.key_policy(connection, scope, options["principal"])
        case "user" if connection.role_arn is not None:
            return identities.user_policy(connection, scope)
        case _:
            return permissions.engine_policy(
                connection,
                scope,
                source_keys=options["source_keys"],
                lake_formation=options["lake_formation"],
            )


def _text(policy: Policy, subject: str, form: str | None, connection: AthenaConnection) -> str:
    from statsig_staging.access import code, explanation
    from statsig_staging.access.policy import document

    kinds = dict(zip(_DOCUMENTS, code.Subject, strict=True))
    match form:
        case "explain":
            return explanation.explained(policy)
        case "terraform":
            return code.terraform(kinds[subject], policy, connection.kms_key)
        case "cloudformation":
            return code.cloudformation(kinds[subject], policy)
        case _:
            return code.json_text(document(policy))


def _too_long(policy: Policy, subject: str) -> Iterable[str]:
    from statsig_staging.access.policy import LONGEST, document

    length = len("".join(json.dumps(document(policy)).split()))
    if subject == "policy" and length > LONGEST:
        yield (
            f"the policy has {length:,} characters, and a managed policy takes {LONGEST:,}: attach it to the role "
            "as an inline policy, which takes 10,240, or name fewer and higher locations in connection.read_only"
        )


def _notes(
    project: Project, connection: AthenaConnection, scope: Scope, subject: str
) -> Iterable[str]:
    from statsig_staging.access import identities
    from statsig_staging.access.reading import undeclared

    if subject == "trust":
        yield from identities.missing_protection(connection, scope)
    if subject == "policy":
        if connection.query_results is None:
            yield (
                "connection.query_results is not set: where the workgroup puts results in a bucket of yours, say where "
                "by --results"
            )
        for table in undeclared(project, connection):
            yield (
                f"{table} is read by a source, and connection.read_only does not list its database: the policy does "
                "not cover it"
            )

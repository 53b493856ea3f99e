"""The IAM documents: what they hold, what they allow and deny, and that a linter finds nothing in them."""

from __future__ import annotations

import json
import re
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import statsig_staging as staging
from statsig_staging.access import code, identities, permissions
from statsig_staging.access.code import Subject
from statsig_staging.access.explanation import explained
from statsig_staging.access.policy import document
from statsig_staging.access.scope import scope_of
from statsig_staging.cli import main
from statsig_staging.config import AthenaConnection
from tests.iam import Need, allows
from tests.worlds import write_yaml

if TYPE_CHECKING:
    from pathlib import Path

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/statsig-staging"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
SOURCE_KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/99999999-2222-3333-4444-555555555555"
GLUE = f"arn:aws:glue:us-east-1:{ACCOUNT}"

CONNECTION: dict[str, Any] = {
    "warehouse": "athena",
    "region": "us-east-1",
    "bucket": "my-bucket",
    "query_results": "s3://my-bucket/athena-results/",
    "role_arn": ROLE,
    "external_id": "of-this-company",
    "trusted_principal": f"arn:aws:iam::{ACCOUNT}:role/analysis",
    "kms_key": KEY,
    "read_only": [{"database": "shop", "locations": ["s3://company-lake/shop/"]}],
}


def connection(**changes: Any) -> AthenaConnection:
    """Return a connection; a change to None leaves a key out."""
    given = {**CONNECTION, **changes}
    return AthenaConnection.model_validate({k: v for k, v in given.items() if v is not None})


def policy_of(found: AthenaConnection, **options: Any) -> dict[str, Any]:
    """Return the policy of a connection."""
    return document(permissions.engine_policy(found, scope_of(found, ACCOUNT), **options))


VARIANTS: dict[str, AthenaConnection] = {
    "full": connection(),
    "least": connection(
        query_results=None, role_arn=None, external_id=None, kms_key=None, read_only=None
    ),
    "two lakes": connection(
        query_results="s3://results-elsewhere",
        read_only=[
            {"database": "shop", "locations": ["s3://company-lake/shop", "s3://company-lake/old/"]},
            {"database": "Web", "locations": "s3://web-lake/"},
        ],
    ),
    "odd folder": connection(folder="a*b/$c? {x}", query_results="s3://my-bucket/r*/"),
}


def findings_of(text: str) -> list[str]:
    """Return what parliament finds in a policy."""
    with warnings.catch_warnings():
        # Importing it leaves two of its files open.
        warnings.simplefilter("ignore", ResourceWarning)
        from parliament import analyze_policy_string

        return [str(each) for each in analyze_policy_string(text).findings]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_linter_finds_nothing(name: str) -> None:
    """parliament knows all actions and conditions, that each fits its resource, and no wildcard too many."""
    found = VARIANTS[name]
    keys = {"source_keys": (SOURCE_KEY,)}
    assert findings_of(code.json_text(policy_of(found, **keys))) == []
    user = identities.user_policy(found, scope_of(found, ACCOUNT))
    assert findings_of(code.json_text(document(user))) == []


def test_the_linter_finds_what_is_wrong() -> None:
    """A policy with an unknown action, or an action on a resource that it cannot have, has findings."""
    broken = policy_of(connection())
    broken["Statement"][0]["Action"].append("s3:PutObject")
    assert findings_of(json.dumps(broken))


@pytest.mark.parametrize("name", VARIANTS)
def test_every_resource_is_scoped(name: str) -> None:
    """No resource is ``*`` or names all of a service; a star stands for what lies below a place only."""
    found = policy_of(VARIANTS[name], source_keys=(SOURCE_KEY,))
    resources = {each for statement in found["Statement"] for each in statement["Resource"]}
    for resource in resources:
        plain = resource.replace("${*}", "")
        assert plain.count("*") == 0 or re.fullmatch(r"arn:aws:\S+[^*]+/\*", plain), resource


def test_lake_formation_is_the_only_star_and_asked_for() -> None:
    """lakeformation:GetDataAccess knows no ARN; it is there on demand only."""
    plain, governed = policy_of(connection()), policy_of(connection(), lake_formation=True)
    stars = [each for each in governed["Statement"] if each["Resource"] == ["*"]]
    assert [each["Action"] for each in stars] == [["lakeformation:GetDataAccess"]]
    assert not [each for each in plain["Statement"] if each["Resource"] == ["*"]]


def test_sids_are_unique_and_plain() -> None:
    """Each statement has a name of its own, of letters and digits as IAM asks."""
    for found in VARIANTS.values():
        sids = [each["Sid"] for each in policy_of(found)["Statement"]]
        assert len(set(sids)) == len(sids)
        assert all(re.fullmatch(r"[A-Za-z0-9]+", sid) for sid in sids)


WRITES = ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")
GLUE_WRITES = tuple(
    f"glue:{action}"
    for action in (
        "CreateTable", "UpdateTable", "DeleteTable", "BatchCreatePartition", "CreatePartition",
        "UpdatePartition", "DeletePartition", "BatchDeletePartition", "BatchDeleteTable",
        "UpdateDatabase", "DeleteDatabase", "DeleteTableVersion",
    )
)  # fmt: skip


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:s3:::my-bucket/a-file",
        "arn:aws:s3:::my-bucket/statsig",
        "arn:aws:s3:::my-bucket/statsig2/a-file",
        "arn:aws:s3:::my-bucket/other/statsig/a-file",
        "arn:aws:s3:::company-lake/shop/a-file",
        "arn:aws:s3:::other-bucket/statsig/a-file",
    ],
)
def test_no_write_outside_the_folder(resource: str) -> None:
    """Objects outside the staging folder and the results, the sources' too, are neither written nor removed."""
    found = policy_of(connection())
    assert not [action for action in WRITES if allows(found, Need(action, resource))]


@pytest.mark.parametrize("database", ["shop", "default", "statsig_staging2", "other"])
def test_no_glue_write_outside_the_staging_database(database: str) -> None:
    """No table, partition or database is written but in the staging database."""
    found = policy_of(connection())
    places = (f"{GLUE}:database/{database}", f"{GLUE}:table/{database}/orders")
    asked = [Need(action, place) for action in GLUE_WRITES for place in places]
    assert not [need for need in asked if allows(found, need)]


@pytest.mark.parametrize("bucket", ["other-bucket", "my-bucket2", "company-lake2"])
def test_no_other_bucket(bucket: str) -> None:
    """Nothing of another bucket is listed, located or read."""
    found = policy_of(connection())
    asked = [
        Need("s3:ListBucket", f"arn:aws:s3:::{bucket}", (("s3:prefix", "statsig/"),)),
        Need("s3:GetBucketLocation", f"arn:aws:s3:::{bucket}"),
        Need("s3:GetObject", f"arn:aws:s3:::{bucket}/shop/a-file"),
        Need("s3:GetObject", f"arn:aws:s3:::{bucket}/statsig/a-file"),
    ]
    assert not [need for need in asked if allows(found, need)]


def test_no_listing_outside_the_prefixes() -> None:
    """A bucket is listed below the folder, the results and the sources, and nowhere else."""
    found = policy_of(connection())

    def listed(bucket: str, prefix: str) -> bool:
        return allows(
            found, Need("s3:ListBucket", f"arn:aws:s3:::{bucket}", (("s3:prefix", prefix),))
        )

    assert listed("my-bucket", "statsig/")
    assert listed("company-lake", "shop/")
    assert not listed("my-bucket", "")
    assert not listed("my-bucket", "statsig")
    assert not listed("my-bucket", "shop/")
    assert not listed("company-lake", "statsig/")
    assert not allows(found, Need("s3:ListBucket", "arn:aws:s3:::my-bucket"))


def test_no_other_workgroup_and_no_other_key() -> None:
    """Statements run in one workgroup; the key is used through S3 only, and sources' keys only decrypt."""
    found = policy_of(connection(), source_keys=(SOURCE_KEY,))
    group = f"arn:aws:athena:us-east-1:{ACCOUNT}:workgroup"
    via = (("kms:ViaService", "s3.us-east-1.amazonaws.com"),)
    assert allows(found, Need("athena:StartQueryExecution", f"{group}/primary"))
    assert not allows(found, Need("athena:StartQueryExecution", f"{group}/other"))
    assert allows(found, Need("kms:GenerateDataKey", KEY, via))
    assert not allows(found, Need("kms:GenerateDataKey", KEY))
    assert allows(found, Need("kms:Decrypt", SOURCE_KEY, via))
    assert not allows(found, Need("kms:GenerateDataKey", SOURCE_KEY, via))


def test_wildcards_in_names_are_characters() -> None:
    """A star in the folder's name is that star: the policy of ``a*b`` says nothing of ``axb``."""
    found = policy_of(VARIANTS["odd folder"])
    assert allows(found, Need("s3:PutObject", "arn:aws:s3:::my-bucket/a*b/$c? {x}/file"))
    assert not allows(found, Need("s3:PutObject", "arn:aws:s3:::my-bucket/axb/$c? {x}/file"))
    assert not allows(found, Need("s3:PutObject", "arn:aws:s3:::my-bucket/a*b/$cc {x}/file"))
    listing = (("s3:prefix", "a*b/$c? {x}/sub"),)
    assert allows(found, Need("s3:ListBucket", "arn:aws:s3:::my-bucket", listing))


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_partitions(region: str, partition: str) -> None:
    """China and GovCloud have ARNs of their own."""
    found = policy_of(connection(region=region, kms_key=None))
    resources = [each for statement in found["Statement"] for each in statement["Resource"]]
    assert {each.split(":")[1] for each in resources} == {partition}


def test_trust_asks_for_the_external_id() -> None:
    """The role is assumed by one principal, with the external id, and under the conditions that are asked for."""
    found = connection()
    (plain,) = document(identities.trust_policy(found, scope_of(found)))["Statement"]
    assert plain["Principal"] == {"AWS": [found.trusted_principal]}
    assert plain["Condition"] == {"StringEquals": {"sts:ExternalId": ["of-this-company"]}}
    strict = identities.trust_policy(
        found,
        scope_of(found),
        organization="o-a1b2c3d4e5",
        source_ips=("203.0.113.0/24",),
        session_name=True,
    )
    assert document(strict)["Statement"][0]["Condition"] == {
        "StringEquals": {
            "sts:ExternalId": ["of-this-company"],
            "sts:RoleSessionName": ["statsig-staging"],
            "aws:PrincipalOrgID": ["o-a1b2c3d4e5"],
        },
        "IpAddress": {"aws:SourceIp": ["203.0.113.0/24"]},
    }


def test_a_key_is_used_and_not_administrated() -> None:
    """The key's policy lets its user encrypt and decrypt, and neither change nor delete it."""
    found = connection()
    (statement,) = document(identities.key_policy(found, scope_of(found)))["Statement"]
    assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert statement["Principal"] == {"AWS": [ROLE]}


def test_every_action_has_its_reason() -> None:
    """The explanation names each action of the policy with what it is for."""
    policy = permissions.engine_policy(connection(), scope_of(connection()), lake_formation=True)
    text = explained(policy)
    for statement in policy.statements:
        assert f"{statement.sid}: {statement.purpose}" in text
        for action in statement.actions:
            assert len(action.reason) > 10
            assert re.search(rf"^  {action.name} +{re.escape(action.reason)}$", text, re.MULTILINE)


@pytest.mark.parametrize("subject", Subject)
def test_terraform_says_the_same(subject: Subject) -> None:
    """What stands in jsonencode is the document; ``${`` in it is no template of Terraform's."""
    found = VARIANTS["odd folder"]
    policy = permissions.engine_policy(found, scope_of(found))
    if subject is Subject.KEY:
        grant = code.terraform(
            subject, identities.key_policy(found, scope_of(found)), found.kms_key
        )
        assert 'operations        = ["Decrypt", "GenerateDataKey"]' in grant
        return
    text = code.terraform(subject, policy)
    inner = text[text.index("jsonencode(") + len("jsonencode(") : text.rindex(")")]
    assert re.search(r"(?<!\$)\$\{", inner) is None
    assert json.loads(inner.replace("$${", "${")) == document(policy)


@pytest.mark.parametrize("subject", [Subject.POLICY, Subject.TRUST, Subject.USER])
def test_cloudformation_says_the_same(subject: Subject) -> None:
    """The template holds the document."""
    policy = permissions.engine_policy(connection(), scope_of(connection()))
    (resource,) = json.loads(code.cloudformation(subject, policy))["Resources"].values()
    properties = resource["Properties"]
    inner = properties.get("PolicyDocument") or properties.get("AssumeRolePolicyDocument")
    assert (inner or properties["Policies"][0]["PolicyDocument"]) == document(policy)


def test_cloudformation_takes_no_dynamic_reference() -> None:
    """A folder that CloudFormation would replace by a secret is refused."""
    found = connection(folder="{{resolve:ssm:x}}")
    policy = permissions.engine_policy(found, scope_of(found))
    with pytest.raises(staging.ConfigError, match="resolve"):
        code.cloudformation(Subject.POLICY, policy)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project on Athena whose metric source reads a database that is not declared."""
    source = {
        "timestamp": "ts",
        "units": {"user_id": "user_id"},
    }
    assignment = {**source, "experiment_id": "e", "group_id": "g", "name": "x", "table": "shop.x"}
    definition = {
        "connection": CONNECTION,
        "assignment_sources": [assignment],
        "metric_sources": [{**source, "name": "y", "sql": "SELECT ts, user_id FROM web.y"}],
    }
    write_yaml(tmp_path, definition)
    return tmp_path


def test_access_prints_one_document(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`access policy` is the policy on stdout; a source that it does not cover is named on stderr."""
    assert main(["access", "policy", "--project", str(project)]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == policy_of(connection())
    assert said.err.startswith("warning: web.y is read by a source")
    assert said.err.count("\n") == 1


def test_a_policy_that_is_too_long_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A policy that IAM does not take as a managed one is printed with what to do instead."""
    many = [f"s3://company-lake/{'folder' * 8}{number}/" for number in range(40)]
    given = {**CONNECTION, "read_only": [{"database": "shop", "locations": many}]}
    write_yaml(tmp_path, {"connection": given})
    assert main(["access", "policy", "--project", str(tmp_path)]) == 0
    assert "as an inline policy" in capsys.readouterr().err
    assert len("".join(json.dumps(policy_of(connection())).split())) < 4_000


def test_results_of_the_workgroup_are_covered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without query_results the place has to be said: `--results` adds it to the policy."""
    given = {key: value for key, value in CONNECTION.items() if key != "query_results"}
    write_yaml(tmp_path, {"connection": given})
    assert main(["access", "policy", "--project", str(tmp_path)]) == 0
    assert "--results" in capsys.readouterr().err
    place = "s3://results-elsewhere/athena/"
    assert main(["access", "policy", "--results", place, "--project", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    written = Need("s3:PutObject", "arn:aws:s3:::results-elsewhere/athena/a-file")
    assert allows(json.loads(said.out), written)


@pytest.mark.parametrize("form", [None, "--explain", "--terraform", "--cloudformation"])
@pytest.mark.parametrize("subject", ["policy", "trust", "user", "kms"])
def test_access_has_every_form(
    project: Path, capsys: pytest.CaptureFixture[str], subject: str, form: str | None
) -> None:
    """Each document is printed in each form; a key's policy is no template of CloudFormation's."""
    arguments = ["access", subject, "--project", str(project), *([form] if form else [])]
    ends = main(arguments)
    said = capsys.readouterr()
    if (subject, form) == ("kms", "--cloudformation"):
        assert (ends, said.out) == (2, "")
        assert "as a whole" in said.err
    else:
        assert ends == 0
        assert "staging" in said.out.lower()


@pytest.mark.parametrize(
    ("changes", "arguments", "says"),
    [
        ({"role_arn": None, "external_id": None}, ["policy"], "--account"),
        ({}, ["policy", "--account", "12"], "twelve digits"),
        ({"kms_key": None}, ["kms"], "kms_key"),
        ({}, ["trust", "--source-key", KEY], "--source-key goes with access policy"),
        ({}, ["policy", "--principal", ROLE], "--principal goes with access kms"),
        ({}, ["policy", "--source-key", "a key"], "write it like arn:"),
        ({}, ["policy", "--results", "somewhere"], "write it like s3://"),
        ({}, ["kms", "--principal", "*"], "write it like arn:"),
        ({}, ["trust", "--organization", "*"], "write it like o-"),
        ({}, ["trust", "--source-ip", "anywhere"], "write it like 203."),
        ({}, ["bucket"], "'bucket' is not one of"),
    ],
)
def test_access_refuses(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    arguments: list[str],
    says: str,
) -> None:
    """What is missing or makes no sense ends with 2 and says what to do."""
    given = {key: value for key, value in {**CONNECTION, **changes}.items() if value is not None}
    write_yaml(tmp_path, {"connection": given})
    assert main(["access", *arguments, "--project", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err


def test_access_is_for_athena(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A local project needs no IAM, and is told so."""
    write_yaml(tmp_path, {"connection": {"warehouse": "local"}})
    assert main(["access", "policy", "--project", str(tmp_path)]) == 2
    assert "warehouse is local" in capsys.readouterr().err


def test_a_trust_without_protection_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A role that a whole account may assume, without an external id, is printed with two warnings."""
    given = {k: v for k, v in CONNECTION.items() if k not in {"external_id", "trusted_principal"}}
    write_yaml(tmp_path, {"connection": given})
    assert main(["access", "trust", "--project", str(tmp_path)]) == 0
    assert capsys.readouterr().err.count("warning: ") == 2


def one(effect: str = "Allow", **more: Any) -> dict[str, Any]:
    """Return a statement on what lies in a folder."""
    return {"Effect": effect, "Action": ["s3:Get*"], "Resource": ["arn:aws:s3:::b/f/*"], **more}


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([], False),
        ([one()], True),
        ([one(), one("Deny")], False),
        ([one(), one("Deny", Action="s3:PutObject")], True),
        ([one(Action="S3:getobject")], True),
        ([one(Action="s3:GetObjec")], False),
        ([one(Action="s3:GetObjec?")], True),
        ([one(Resource="arn:aws:s3:::b/f")], False),
        ([one(Resource="arn:aws:s3:::b/${*}/x")], False),
        ([one(Condition={"StringEquals": {"k": ["v"]}})], True),
        ([one(Condition={"StringEquals": {"k": ["v*"]}})], False),
        ([one(Condition={"StringLike": {"k": ["v*"]}})], True),
        ([one(Condition={"StringLike": {"k": ["v"], "l": ["*"]}})], False),
    ],
)
def test_the_evaluator_reads_policies_as_iam_does(
    statements: list[dict[str, Any]], allowed: bool
) -> None:
    """Nothing is allowed by itself, a Deny wins, wildcards and conditions mean what they do in IAM."""
    need = Need("s3:GetObject", "arn:aws:s3:::b/f/x", (("k", "v"),))
    assert allows({"Statement": statements}, need) is allowed

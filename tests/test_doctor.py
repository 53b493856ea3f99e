"""The doctor: a connection that is right passes, and each of many broken ones is named for what is wrong with it."""

from __future__ import annotations

import json
import shutil
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

import statsig_staging as staging
from statsig_staging.access.permissions import engine_policy
from statsig_staging.access.policy import document
from statsig_staging.access.scope import scope_of
from statsig_staging.cli import main
from statsig_staging.config import AthenaConnection, Project
from statsig_staging.doctor import examine, local
from statsig_staging.doctor.athena import examine_athena
from statsig_staging.doctor.checks import Check, NothingToCheckError, NotRightError, Outcome
from statsig_staging.doctor.checks import findings as examined
from statsig_staging.warehouses.athena.retries import Retries
from tests import shop
from tests.guarded import Guarded, guarded
from tests.iam import without
from tests.markdown import ROOT
from tests.worlds import write_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from statsig_staging.doctor.checks import Finding
    from tests.athena_endpoint.server import Endpoint


def wrong(found: list[Finding]) -> list[str]:
    """Return the names of the checks that failed."""
    return [each.check.name for each in found if each.outcome is Outcome.FAILED]


def outcomes(found: list[Finding]) -> dict[str, str]:
    """Return check → outcome."""
    return {each.check.name: each.outcome.value for each in found}


def a_check(name: str, *needs: str) -> Check:
    return Check(name=name, means="it is so", mend="make it so", needs=needs)


def refuse(error: Exception) -> Callable[[], str]:
    """Return a probe that raises."""

    def probe() -> str:
        raise error

    return probe


def test_what_builds_on_something_wrong_is_left_out() -> None:
    """A failed check takes along all that need it, and nothing else; one with nothing to check takes along none."""
    found = list(
        examined(
            [
                (a_check("a"), refuse(NotRightError("no"))),
                (a_check("b", "a"), lambda: "never"),
                (a_check("c", "b"), lambda: "never"),
                (a_check("d"), refuse(NothingToCheckError("no d"))),
                (a_check("e", "d"), lambda: "fine"),
            ]
        )
    )
    assert outcomes(found) == {
        "a": "failed",
        "b": "skipped",
        "c": "skipped",
        "d": "skipped",
        "e": "passed",
    }
    assert found[0].line() == "✗ a: it is so. It is not so: no. To mend it: make it so"
    assert found[2].line() == "– c: it is so (not looked at until this is right: b)"  # noqa: RUF001
    assert found[4].line() == "✓ e: it is so (fine)"


@pytest.fixture(scope="module")
def clinic(
    athena_endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    """A project on Athena that is right."""
    with guarded(athena_endpoint, tmp_path_factory.mktemp("clinic") / "p") as found:
        yield found


@dataclass
class Visit:
    """A project that something is made wrong with.

    Attributes:
        clinic: The project and its gates.
        patch: Undoes what it does.
        connection: Keys of the connection that are changed; None leaves one out.
        rewritten: What the definition becomes.
        policy: Whether the documents are those of the changed connection.
    """

    clinic: Guarded
    patch: pytest.MonkeyPatch
    connection: dict[str, Any] = field(default_factory=dict)
    rewritten: Callable[[dict[str, Any]], None] = lambda _: None
    policy: bool = True

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.clinic.world.folder

    def project(self) -> Project:
        """Return the project as it is now."""
        definition = self.clinic.world.definition()
        definition["connection"].update(self.connection)
        for key in [key for key, value in definition["connection"].items() if value is None]:
            del definition["connection"][key]
        self.rewritten(definition)
        write_yaml(self.root, definition)
        return staging.load_project(self.root)

    def fault(self, service: str, operation: str, code: str, **more: Any) -> None:
        """Have a call refused, again and again."""
        details = {"kind": "refuse", "code": code, "times": 100, **more}
        aws = self.clinic.aws
        aws.endpoint.faults.add(account=aws.id, service=service, operation=operation, **details)

    def fails(self, match: str, message: str, category: int = 2, kind: int = 1500) -> None:
        """Have statements fail."""
        aws = self.clinic.aws
        aws.endpoint.holds.end(
            aws.id,
            stage="running",
            match=match,
            message=message,
            category=category,
            type=kind,
            times=10,
        )

    def deny(self, sid: str, action: str) -> None:
        """Take an action out of the role's policy."""
        policy = self.clinic.role.policy
        assert policy is not None
        assert any(each["Sid"] == sid and action in each["Action"] for each in policy["Statement"])
        self.clinic.role.policy = without(policy, sid, action)

    def allow(self, action: str, *resources: str) -> None:
        """Add an action to the role's policy."""
        policy = self.clinic.role.policy
        assert policy is not None
        more = {
            "Sid": "More",
            "Effect": "Allow",
            "Action": [action],
            "Resource": list(resources),
        }
        self.clinic.role.policy = {**policy, "Statement": [*policy["Statement"], more]}

    def examine(self, make: Callable[[Visit], None] = lambda _: None) -> list[Finding]:
        """Return what the doctor finds after something was made wrong."""
        clinic = self.clinic
        clinic.reset()
        make(self)
        project = self.project()
        assert isinstance(project.connection, AthenaConnection)
        if self.connection and self.policy:
            found = project.connection
            clinic.role.policy = document(engine_policy(found, scope_of(found)))
        retries = Retries(pause=lambda _: None)
        try:
            return list(examine_athena(project, project.connection, retries))
        finally:
            clinic.aws.endpoint.faults.clear(clinic.aws.id)
            clinic.aws.endpoint.holds.clear(clinic.aws.id)
            clinic.reset()
            clinic.world.write_definition()


@pytest.fixture
def visit(clinic: Guarded, monkeypatch: pytest.MonkeyPatch) -> Visit:
    """A project that is right, and whatever is made of it."""
    return Visit(clinic, monkeypatch)


def no_credentials(visit: Visit) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        visit.patch.delenv(name)
    visit.patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    visit.patch.setenv("AWS_CONFIG_FILE", "/nowhere")


def expired(visit: Visit) -> None:
    visit.fault("sts", "GetCallerIdentity", "ExpiredToken", status=403)


def unknown_key(visit: Visit) -> None:
    visit.fault("sts", "GetCallerIdentity", "InvalidClientTokenId", status=403)


def user_may_not_assume(visit: Visit) -> None:
    visit.clinic.user.policy = {"Statement": []}


def other_external_id(visit: Visit) -> None:
    visit.connection = {"external_id": "of-another-company"}


def open_trust(visit: Visit) -> None:
    visit.clinic.user.trust = None


def no_bucket(visit: Visit) -> None:
    visit.connection = {"bucket": "not-there-at-all"}


def bucket_elsewhere(visit: Visit) -> None:
    name = f"elsewhere-{visit.clinic.aws.id}"
    _bucket_in(visit, name)
    visit.connection = {"bucket": name}


def _bucket_in(visit: Visit, name: str) -> None:
    s3 = visit.clinic.aws.client("s3")
    if name not in {each["Name"] for each in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})


def bucket_hidden(visit: Visit) -> None:
    visit.deny("WrittenBuckets", "s3:GetBucketLocation")


def no_workgroup(visit: Visit) -> None:
    visit.connection = {"workgroup": "nobody"}


def _workgroup(visit: Visit, name: str, **configuration: Any) -> None:
    configuration.setdefault("ResultConfiguration", {"OutputLocation": visit.clinic.aws.results})
    visit.clinic.aws.client("athena").create_work_group(Name=name, Configuration=configuration)
    visit.connection = {"workgroup": name}


def disabled_workgroup(visit: Visit) -> None:
    _workgroup(visit, "disabled")
    visit.clinic.aws.client("athena").update_work_group(WorkGroup="disabled", State="DISABLED")


def hidden_workgroup(visit: Visit) -> None:
    visit.deny("Workgroup", "athena:GetWorkGroup")


def no_results(visit: Visit) -> None:
    visit.connection = {"query_results": None}


def results_elsewhere(visit: Visit) -> None:
    name = f"results-{visit.clinic.aws.id}"
    _bucket_in(visit, name)
    visit.connection = {"query_results": f"s3://{name}/"}


def disabled_key(visit: Visit) -> None:
    visit.fault("s3", "PutObject", "KMS.DisabledException", match="encrypted")


def forbidden_key(visit: Visit) -> None:
    visit.deny("StagingKey", "kms:GenerateDataKey")


def no_decryption(visit: Visit) -> None:
    visit.deny("StagingKey", "kms:Decrypt")


def no_writing(visit: Visit) -> None:
    visit.deny("StagingObjects", "s3:PutObject")


def no_reading(visit: Visit) -> None:
    visit.deny("StagingObjects", "s3:GetObject")


def no_listing(visit: Visit) -> None:
    visit.fault("s3", "ListObjectsV2", "AccessDenied", match="_doctor", status=403)


def no_conditions(visit: Visit) -> None:
    visit.fault("s3", "PutObject", "NotImplemented", match="_doctor", skip=2, status=501)


def no_parts(visit: Visit) -> None:
    visit.deny("StagingObjects", "s3:AbortMultipartUpload")


def no_deleting(visit: Visit) -> None:
    visit.deny("StagingObjects", "s3:DeleteObject")


def wide_writing(visit: Visit) -> None:
    visit.allow("s3:PutObject", f"arn:aws:s3:::{visit.clinic.aws.bucket}/*")


def sources_writable(visit: Visit) -> None:
    visit.allow("s3:PutObject", f"arn:aws:s3:::{visit.clinic.world.lake}/sources/*")


def no_database(visit: Visit) -> None:
    visit.connection = {"database": "not_there"}


def hidden_database(visit: Visit) -> None:
    visit.deny("StagingTables", "glue:GetDatabase")


def tables_writable(visit: Visit) -> None:
    visit.allow("glue:DeleteTable", "*")


def tables_changeable(visit: Visit) -> None:
    visit.allow("glue:UpdateTable", "*")


def no_statements(visit: Visit) -> None:
    visit.deny("Workgroup", "athena:StartQueryExecution")


def no_answers(visit: Visit) -> None:
    visit.deny("QueryResults", "s3:GetObject")


def missing_source(visit: Visit) -> None:
    def rename(definition: dict[str, Any]) -> None:
        definition["metric_sources"][0]["table"] = "shop.evnts"

    visit.rewritten = rename


def missing_column(visit: Visit) -> None:
    def rename(definition: dict[str, Any]) -> None:
        definition["metric_sources"][0]["timestamp"] = "moment"

    visit.rewritten = rename


def hidden_source(visit: Visit) -> None:
    visit.fails(
        '"shop"."events"', "Permission denied on S3 path: s3://company/sources: Access Denied"
    )


def no_creation(visit: Visit) -> None:
    visit.fails("^CREATE TABLE", "not authorized to perform: glue:CreateTable on resource: x")


def no_merging(visit: Visit) -> None:
    visit.fails("^MERGE", "not authorized to perform: glue:UpdateTable on resource: x")


def no_dropping(visit: Visit) -> None:
    visit.deny("StagingTables", "glue:DeleteTable")


def key_in_a_file(visit: Visit) -> None:
    file = visit.root / ".env"
    file.write_text("AWS_ACCESS_KEY_ID=" + "AKIA" + "ABCDEFGH234567XY\n", encoding="utf-8")


def credentials_inside(visit: Visit) -> None:
    visit.patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(visit.root / "credentials"))


WAYS: dict[Callable[[Visit], None], str] = {
    no_credentials: "credentials",
    expired: "credentials",
    unknown_key: "credentials",
    user_may_not_assume: "role",
    other_external_id: "role",
    open_trust: "external id",
    no_bucket: "bucket",
    bucket_elsewhere: "bucket",
    bucket_hidden: "bucket",
    no_workgroup: "workgroup",
    disabled_workgroup: "workgroup",
    hidden_workgroup: "workgroup",
    no_results: "results",
    results_elsewhere: "results",
    disabled_key: "kms",
    forbidden_key: "kms",
    no_decryption: "kms",
    no_writing: "write",
    no_reading: "read",
    no_listing: "list",
    no_conditions: "conditional write",
    no_parts: "multipart",
    no_deleting: "delete",
    wide_writing: "outside",
    sources_writable: "outside",
    no_database: "database",
    hidden_database: "database",
    tables_writable: "read-only databases",
    tables_changeable: "read-only databases",
    no_statements: "queries",
    no_answers: "queries",
    missing_source: "source shop.evnts",
    missing_column: "source shop.events",
    hidden_source: "source shop.events",
    no_creation: "tables",
    no_merging: "tables",
    no_dropping: "tables",
    key_in_a_file: "keys",
    credentials_inside: "keys",
}
"""What is made wrong → the one check that names it."""


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_is_wrong_is_named_and_nothing_else(
    visit: Visit, way: Callable[[Visit], None]
) -> None:
    """An endpoint that is broken in one way fails that one check; it says what was seen and how to mend it."""
    try:
        found = visit.examine(way)
    finally:
        (visit.root / ".env").unlink(missing_ok=True)
    assert wrong(found) == [WAYS[way]], [each.line() for each in found]
    (failed,) = [each for each in found if each.outcome is Outcome.FAILED]
    assert failed.said
    assert failed.check.mend


def test_there_are_enough_ways_of_enough_kinds() -> None:
    """At least 20 ways are broken, and every check but those of nothing to break is named by one of them."""
    assert len(WAYS) >= 20
    assert len(set(WAYS.values())) >= 16


def held(clinic: Guarded) -> set[str]:
    """Return every object of the bucket and every table of the staging database."""
    aws = clinic.aws
    pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=aws.bucket)
    objects = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
    tables = aws.client("glue").get_tables(DatabaseName="statsig_staging")["TableList"]
    uploads = aws.client("s3").list_multipart_uploads(Bucket=aws.bucket).get("Uploads", [])
    return objects | {each["Name"] for each in tables} | {each["Key"] for each in uploads}


def test_a_connection_that_is_right(visit: Visit) -> None:
    """Under the policy that `access` prints every check passes, and afterwards everything is as it was."""
    before = held(visit.clinic)
    found = visit.examine()
    assert set(outcomes(found).values()) == {"passed"}, [each.line() for each in found]
    assert held(visit.clinic) == before


def test_only_what_must_not_be_is_refused(visit: Visit) -> None:
    """On the way nothing is refused but the three writes that the doctor wants to see refused."""
    visit.clinic.reset()
    list(examine_athena(visit.project(), visit.clinic.connection))
    denied = {need.action for need in visit.clinic.role.denied}
    assert denied == {"s3:PutObject", "glue:UpdateTable", "glue:DeleteTable"}


def test_what_is_not_configured_is_not_checked(visit: Visit) -> None:
    """Without role, key and read-only databases there are checks with nothing to check, and none that fails."""
    visit.connection = {"role_arn": None, "external_id": None, "kms_key": None, "read_only": None}
    visit.policy = False

    def as_the_user(visit: Visit) -> None:
        visit.clinic.user.policy = visit.clinic.role.policy

    found = visit.examine(as_the_user)
    skipped = {name for name, outcome in outcomes(found).items() if outcome == "skipped"}
    assert wrong(found) == []
    assert skipped == {"role", "external id", "kms", "read-only databases"}


def test_the_command_prints_a_line_or_a_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`doctor` ends with 0 where all is right and with 3 where something is not, in lines or as JSON."""
    write_yaml(tmp_path, {"connection": {"warehouse": "local"}})
    assert main(["doctor", "--project", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[0] for line in lines if line.startswith("✓ tables")] == ["✓"]

    (tmp_path / "notes.txt").write_text("ASIA" + "ABCDEFGH234567XY", encoding="utf-8")
    assert main(["doctor", "--project", str(tmp_path), "--json"]) == 3
    shown = json.loads(capsys.readouterr().out)
    assert shown["healthy"] is False
    (failed,) = [each for each in shown["checks"] if each["outcome"] == "failed"]
    assert failed["check"] == "keys"
    assert "notes.txt" in failed["said"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "staging.yml"]


def test_a_key_in_the_project_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command names the file that an access key lies in, and not the key."""
    write_yaml(tmp_path, {"connection": {"warehouse": "local"}})
    key = "AKIA" + "ABCDEFGH234567XY"
    (tmp_path / ".env").write_text(f"AWS_ACCESS_KEY_ID={key}\n", encoding="utf-8")
    assert main(["status", "--project", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("warning: .env holds an access key; ")
    assert key not in said.err + said.out


@dataclass
class Home:
    """A local project of the shop."""

    shop: shop.Shop

    def examine(self, **changes: Any) -> list[Finding]:
        """Return what the doctor finds with other keys in the configuration."""
        self.shop.configure(**changes)
        return list(examine(staging.load_project(self.shop.folder)))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A local project that is right."""
    return Home(shop.Shop.open(tmp_path))


def test_a_local_project_that_is_right(home: Home) -> None:
    """Every check passes, on sources of files too, and the folder holds what it held before."""
    folder = home.shop.folder
    before = sorted(folder.rglob("*"))
    found = home.examine()
    assert wrong(found) == []
    assert outcomes(found)["source shop.events"] == "passed"
    assert sorted(folder.rglob("*")) == before


def test_a_loaded_local_project_stays_as_it_is(home: Home) -> None:
    """What is published is not touched."""
    home.shop.run()
    before = {path for path in home.shop.folder.rglob("*") if path.is_file()}
    catalog = home.shop.catalog()
    assert wrong(home.examine()) == []
    assert {path for path in home.shop.folder.rglob("*") if path.is_file()} == before
    assert home.shop.catalog() == catalog


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"connection__memory_limit": "1KB"}, "tables"),
        ({"connection__path": "events/a.parquet/warehouse"}, "folder"),
        ({"connection__temp_directory": "events/a.parquet"}, "temp_directory"),
        ({"metric_sources__0__timestamp": "tss"}, "source shop.events"),
        ({"connection__sources": {"shop.exposures": "exposures/*", "shop.events": "no/*"}},
         "source shop.events"),
    ],
)  # fmt: skip
def test_a_broken_local_project_is_named(home: Home, changes: dict[str, Any], name: str) -> None:
    """A local project that is broken in one way fails that one check."""
    found = home.examine(**changes)
    assert wrong(found) == [name], [each.line() for each in found]


def test_the_versions_are_those_of_the_package() -> None:
    """The ranges that the doctor knows are those that pyproject.toml asks for."""
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    for name, (least, below) in local.VERSIONS.items():
        (line,) = [each for each in asked if each.startswith(name) and "pyathena" not in each]
        wanted = f">={'.'.join(map(str, least))}" + (
            f",<{'.'.join(map(str, below))}" if below else ""
        )
        assert line.endswith(wanted), line


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than a gigabyte of free space is a disk as good as full."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    write_yaml(tmp_path, {"connection": {"warehouse": "local"}})
    found = list(examine(staging.load_project(tmp_path)))
    assert wrong(found) == ["disk"]

"""The checks of an Athena connection, in the order in which one thing builds on another."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from statsig_staging.doctor import catalogs, files, identity, statements
from statsig_staging.doctor.checks import Check, findings
from statsig_staging.doctor.keys import probe_keys
from statsig_staging.doctor.patient import Patient
from statsig_staging.errors import StagingError
from statsig_staging.warehouses.athena.retries import Retries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from statsig_staging.config import AthenaConnection, Project
    from statsig_staging.doctor.checks import Finding

_POLICY = "attach what `statsig-staging access policy` prints to the role or user"

KEYS = Check(
    name="keys",
    means="no access key lies in a file of the project",
    mend="remove the key from the file, make it invalid in IAM, and give keys by the environment or a profile",
)
CREDENTIALS = Check(
    name="credentials",
    means="AWS knows whoever the credentials are of",
    mend="set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or sign in again",
)
ROLE = Check(
    name="role",
    means="the role can be assumed",
    mend="compare the role's trust policy with `statsig-staging access trust`, and let the user assume it: "
    "`statsig-staging access user`",
    needs=("credentials",),
)
EXTERNAL_ID = Check(
    name="external id",
    means="the role cannot be assumed without the external id",
    mend="put the condition that `statsig-staging access trust` prints into the role's trust policy",
    needs=("role",),
)
BUCKET = Check(
    name="bucket",
    means="the bucket is there, in connection.region",
    mend="correct connection.bucket or connection.region, or " + _POLICY,
    needs=("role",),
)
WORKGROUP = Check(
    name="workgroup",
    means="the workgroup is there, is enabled and has engine version 3",
    mend="create or enable it in connection.region, or set connection.workgroup to another, or "
    + _POLICY,
    needs=("role",),
)
RESULTS = Check(
    name="results",
    means="something says where results of queries go, in connection.region",
    mend="set connection.query_results, or give the workgroup a query result location",
    needs=("workgroup",),
)
KMS = Check(
    name="kms",
    means="the key encrypts and decrypts files of the folder",
    mend="enable the key, add what `statsig-staging access kms` prints to its policy, and "
    + _POLICY,
    needs=("bucket",),
)
WRITE = Check(
    name="write",
    means="files of the folder can be written",
    mend=_POLICY + "; a policy of the bucket may refuse it too",
    needs=("bucket", "kms"),
)
READ = Check(
    name="read",
    means="files of the folder are read as they were written",
    mend=_POLICY,
    needs=("write",),
)
LIST = Check(name="list", means="files of the folder can be listed", mend=_POLICY, needs=("write",))
CONDITION = Check(
    name="conditional write",
    means="a file is not written over another under If-None-Match",
    mend="use an endpoint that knows conditional writes; leases need them",
    needs=("write",),
)
MULTIPART = Check(
    name="multipart",
    means="uploads in parts can be begun and given up",
    mend=_POLICY,
    needs=("write",),
)
DELETE = Check(
    name="delete",
    means="files of the folder can be removed",
    mend=f"{_POLICY}; then remove what is left below {files.LEFT}",
    needs=("write", "list"),
)
OUTSIDE = Check(
    name="outside",
    means="nothing outside the folder can be written, neither in the bucket nor where sources lie",
    mend="take s3:PutObject outside the folder and the results away: `statsig-staging access policy` has it "
    "nowhere else",
    needs=("bucket",),
)
DATABASE = Check(
    name="database",
    means="the staging database is there",
    mend="create it: aws glue create-database --database-input Name=…; or correct connection.database, or "
    + _POLICY,
    needs=("role",),
)
READ_ONLY = Check(
    name="read-only databases",
    means="tables of the sources' databases can be seen, and not written",
    mend="take glue:UpdateTable and glue:DeleteTable on them away: `statsig-staging access policy` has them on "
    "the staging database only",
    needs=("role",),
)
QUERIES = Check(
    name="queries",
    means="Athena runs a query and its result can be read",
    mend=_POLICY,
    needs=("results", "database", "kms"),
)
TABLES = Check(
    name="tables",
    means="CTAS, MERGE and drop of a table work in the folder and the staging database",
    mend=_POLICY,
    needs=("queries", "write", "read", "list", "delete"),
)
QUOTAS = Check(
    name="quotas",
    means="connection.max_concurrent_queries is within what every account may run",
    mend="lower connection.max_concurrent_queries",
)


def examine_athena(
    project: Project, connection: AthenaConnection, retries: Retries | None = None
) -> Iterator[Finding]:
    """Look at an Athena connection.

    Args:
        project: The project.
        connection: Its connection.
        retries: How calls are repeated.
    """
    patient = Patient(project, connection, retries or Retries())
    try:
        yield from findings(_checks(patient))
    finally:
        with suppress(StagingError):
            patient.tidy()
        patient.close()


def _checks(patient: Patient) -> Iterator[tuple[Check, Callable[[], str]]]:
    yield KEYS, partial(probe_keys, patient.project.root)
    yield CREDENTIALS, partial(identity.probe_credentials, patient)
    yield ROLE, partial(identity.probe_role, patient)
    yield EXTERNAL_ID, partial(identity.probe_external_id, patient)
    yield BUCKET, partial(files.probe_bucket, patient)
    yield WORKGROUP, partial(statements.probe_workgroup, patient)
    yield RESULTS, partial(statements.probe_results, patient)
    yield KMS, partial(files.probe_key, patient)
    yield WRITE, partial(files.probe_write, patient)
    yield READ, partial(files.probe_read, patient)
    yield LIST, partial(files.probe_list, patient)
    yield CONDITION, partial(files.probe_condition, patient)
    yield MULTIPART, partial(files.probe_multipart, patient)
    yield OUTSIDE, partial(files.probe_outside, patient)
    yield DATABASE, partial(catalogs.probe_database, patient)
    yield READ_ONLY, partial(catalogs.probe_read_only, patient)
    yield QUERIES, partial(statements.probe_queries, patient)
    for table, columns in catalogs.sources_of(patient.project).items():
        yield _source(table), partial(catalogs.probe_source, patient, table, columns)
    yield DELETE, partial(files.probe_delete, patient)
    yield TABLES, partial(statements.probe_tables, patient)
    yield QUOTAS, partial(statements.probe_quotas, patient)


def _source(table: str) -> Check:
    return Check(
        name=f"source {table}",
        means="its table has the columns that sources name, and a row of it can be read",
        mend="correct the source, or list its database and locations in connection.read_only and "
        + _POLICY,
        needs=("queries",),
    )

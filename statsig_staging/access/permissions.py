"""The policy of whoever runs the engine: what it calls itself, and what Athena does in its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from statsig_staging.access.policy import Action, Condition, Policy, Statement, spelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from statsig_staging.access.scope import Scope
    from statsig_staging.config import AthenaConnection

_GET_LOCATION = Action("s3:GetBucketLocation", "Athena asks where the bucket is")
_LIST = Action("s3:ListBucket", "list files; without it a missing file looks like a forbidden one")
_GET = Action("s3:GetObject", "read files, by us and by Athena")
_PUT = Action("s3:PutObject", "write files, by us and by Athena")
_ABORT = Action(
    "s3:AbortMultipartUpload", "give up an upload that failed, so that nobody pays for it"
)
_PARTS = Action("s3:ListMultipartUploadParts", "Athena completes uploads in parts")
_UPLOADS = Action("s3:ListBucketMultipartUploads", "Athena looks for uploads that were begun")


def engine_policy(
    connection: AthenaConnection,
    scope: Scope,
    *,
    source_keys: Sequence[str] = (),
    lake_formation: bool = False,
) -> Policy:
    """Return what a connection needs, and nothing else.

    Args:
        connection: The project's ``connection``.
        scope: Where its resources are.
        source_keys: KMS keys that files of sources are encrypted with.
        lake_formation: Whether tables are governed by Lake Formation.
    """
    return Policy(
        (
            *_buckets(connection, scope),
            *_objects(connection, scope),
            *_source_files(connection, scope),
            _staging_tables(connection, scope),
            *_source_tables(connection, scope),
            _default_database(scope),
            _workgroup(connection, scope),
            *_keys(connection, scope, source_keys),
            *_lake_formation(lake_formation),
        )
    )


def _buckets(connection: AthenaConnection, scope: Scope) -> Iterator[Statement]:
    """Return what is asked of whole buckets; listing only below the folders that are used."""
    own = [(connection.bucket, f"{connection.folder}/"), *_results(connection)]
    yield Statement(
        sid="WrittenBuckets",
        purpose="Where the buckets are that are written to, and which uploads are under way in them.",
        actions=(_GET_LOCATION, _UPLOADS),
        resources=_unique(scope.bucket(bucket) for bucket, _ in own),
    )
    for number, (bucket, prefixes) in enumerate(_by_bucket(own), start=1):
        yield _listing(scope, f"ListWritten{number}", "Listing what is staged.", bucket, prefixes)


def _results(connection: AthenaConnection) -> list[tuple[str, str]]:
    return [] if connection.query_results is None else [_place(connection.query_results)]


def _objects(connection: AthenaConnection, scope: Scope) -> Iterator[Statement]:
    yield Statement(
        sid="StagingObjects",
        purpose="Files of the staging folder.",
        actions=(
            _GET,
            _PUT,
            Action("s3:DeleteObject", "remove files that no kept load names"),
            _ABORT,
            _PARTS,
        ),
        resources=(_below(scope, connection.bucket, f"{connection.folder}/"),),
    )
    for bucket, prefix in _results(connection):
        yield Statement(
            sid="QueryResults",
            purpose="Results of queries, which Athena writes and the engine reads.",
            actions=(
                _GET,
                _PUT,
                Action("s3:DeleteObject", "the doctor removes the results of its own queries"),
                _ABORT,
                _PARTS,
            ),
            resources=(_below(scope, bucket, prefix),),
        )


def _source_files(connection: AthenaConnection, scope: Scope) -> Iterator[Statement]:
    places = [_place(each) for read in connection.read_only for each in read.locations]
    if not places:
        return
    yield Statement(
        sid="SourceBuckets",
        purpose="Where the buckets of the sources are.",
        actions=(_GET_LOCATION,),
        resources=_unique(scope.bucket(bucket) for bucket, _ in places),
    )
    for number, (bucket, prefixes) in enumerate(_by_bucket(places), start=1):
        yield _listing(
            scope, f"ListSources{number}", "Listing the files of sources.", bucket, prefixes
        )
    yield Statement(
        sid="SourceObjects",
        purpose="Files of the sources; they are only read.",
        actions=(_GET,),
        resources=_unique(_below(scope, bucket, prefix) for bucket, prefix in places),
    )


def _staging_tables(connection: AthenaConnection, scope: Scope) -> Statement:
    database = connection.database
    return Statement(
        sid="StagingTables",
        purpose="Tables of the staging database.",
        actions=(
            Action("glue:GetDatabase", "see that the database is there"),
            Action("glue:GetTable", "read a table's columns and its current version"),
            Action("glue:GetTables", "find the tables of an experiment"),
            Action("glue:GetPartitions", "find the days of forwarded data"),
            Action("glue:BatchGetPartition", "Athena reads the days of forwarded data"),
            Action("glue:CreateTable", "create staging tables"),
            Action("glue:UpdateTable", "commit a new version of a table"),
            Action("glue:DeleteTable", "drop tables of an experiment that is cleaned"),
            Action("glue:BatchCreatePartition", "register days of forwarded data"),
        ),
        resources=(
            scope.glue("catalog"),
            scope.glue(f"database/{database}"),
            scope.tables(database),
        ),
    )


def _source_tables(connection: AthenaConnection, scope: Scope) -> Iterator[Statement]:
    # Names are of small letters in Glue, however they are written.
    names = _unique(read.database.lower() for read in connection.read_only)
    names = tuple(name for name in names if name != connection.database)
    if not names:
        return
    yield Statement(
        sid="SourceTables",
        purpose="Tables of the sources; they are only read.",
        actions=(
            Action("glue:GetDatabase", "Athena looks at the database of each table"),
            Action("glue:GetTable", "read a table's columns, location and version"),
            Action("glue:GetTables", "name the nearest table where one is misspelt"),
            Action("glue:GetPartitions", "see which partitions have changed"),
            Action("glue:BatchGetPartition", "Athena reads the partitions that a query names"),
        ),
        resources=(
            scope.glue("catalog"),
            *(scope.glue(f"database/{name}") for name in names),
            *(scope.tables(name) for name in names),
        ),
    )


def _default_database(scope: Scope) -> Statement:
    return Statement(
        sid="DefaultDatabase",
        purpose="Athena looks for the database default with every query.",
        actions=(Action("glue:GetDatabase", "Athena asks for default before each query"),),
        resources=(scope.glue("catalog"), scope.glue("database/default")),
    )


def _workgroup(connection: AthenaConnection, scope: Scope) -> Statement:
    return Statement(
        sid="Workgroup",
        purpose="Statements in one workgroup.",
        actions=(
            Action("athena:GetWorkGroup", "see where it puts results and what it allows"),
            Action("athena:StartQueryExecution", "run statements"),
            Action("athena:BatchGetQueryExecution", "see how they are, fifty at once"),
            Action("athena:GetQueryResults", "read how many rows were written, and of which types"),
            Action("athena:StopQueryExecution", "stop what nobody waits for any more"),
        ),
        resources=(scope.workgroup(connection.workgroup),),
    )


def _keys(
    connection: AthenaConnection, scope: Scope, source_keys: Sequence[str]
) -> Iterator[Statement]:
    via = (Condition("StringEquals", "kms:ViaService", (scope.service("s3"),)),)
    if connection.kms_key is not None:
        yield Statement(
            sid="StagingKey",
            purpose="The key of the staging folder, through S3 only.",
            actions=key_actions(),
            resources=(spelled(connection.kms_key),),
            conditions=via,
        )
    if source_keys:
        yield Statement(
            sid="SourceKeys",
            purpose="Keys that files of sources are encrypted with, through S3 only.",
            actions=(Action("kms:Decrypt", "read files of sources"),),
            resources=tuple(map(spelled, source_keys)),
            conditions=via,
        )


def key_actions() -> tuple[Action, ...]:
    """Return what a user of the staging folder's key does with it."""
    return (
        Action("kms:Decrypt", "read files, and complete uploads in parts"),
        Action("kms:GenerateDataKey", "write files"),
    )


def _lake_formation(wanted: bool) -> Iterator[Statement]:
    if wanted:
        yield Statement(
            sid="LakeFormation",
            purpose="Tables that Lake Formation governs; it knows no resource for this action.",
            actions=(
                Action("lakeformation:GetDataAccess", "Athena gets the files of such tables"),
            ),
            resources=("*",),
        )


def _listing(
    scope: Scope, sid: str, purpose: str, bucket: str, prefixes: Iterable[str]
) -> Statement:
    """Return the permission to list below some prefixes of a bucket."""
    values = _unique(f"{spelled(prefix)}*" for prefix in prefixes)
    return Statement(
        sid=sid,
        purpose=purpose,
        actions=(_LIST,),
        resources=(scope.bucket(bucket),),
        conditions=(Condition("StringLike", "s3:prefix", values),),
    )


def _below(scope: Scope, bucket: str, prefix: str) -> str:
    return f"{scope.bucket(bucket)}/{spelled(prefix)}*"


def _place(location: str) -> tuple[str, str]:
    """Return the bucket of a location, and the prefix of what is below it: empty, or with a slash at its end."""
    bucket, _, key = location.removeprefix("s3://").partition("/")
    folder = key.rstrip("/")
    return bucket, f"{folder}/" if folder else ""


def _by_bucket(places: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for bucket, prefix in places:
        found.setdefault(bucket, []).append(prefix)
    return list(found.items())


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))

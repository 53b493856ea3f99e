"""The gate: which permissions each request of a client needs, and IAM's word on it where a policy is given.

A statement of Athena's needs more than the call that starts it: Athena reads tables, writes files and keeps
the result with the permissions of whoever started it.
https://docs.aws.amazon.com/athena/latest/ug/security-iam-athena.html
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

import sqlglot
from sqlglot import exp

from tests.athena_endpoint.failures import CallError
from tests.iam import Need, allows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from wsgiref.types import WSGIEnvironment

    from tests.athena_endpoint.requests import Incoming

_S3 = {
    "GetObject": "GetObject",
    "HeadObject": "GetObject",
    "PutObject": "PutObject",
    "DeleteObject": "DeleteObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "AbortMultipartUpload": "AbortMultipartUpload",
    "ListParts": "ListMultipartUploadParts",
    "ListObjectsV2": "ListBucket",
    "HeadBucket": "ListBucket",
    "GetBucketLocation": "GetBucketLocation",
    "ListMultipartUploads": "ListBucketMultipartUploads",
}
"""Call → the action that it needs.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html"""

_FREE = {("sts", "GetCallerIdentity")}
"""Calls that need no permission."""

_KEY = re.compile(r"<Key>(.*?)</Key>", re.DOTALL)


@dataclass
class Gate:
    """What the requests of one account need.

    Attributes:
        account: The account.
        policy: What they may do; None lets everything pass.
        trust: Who may assume the account's roles; None for everybody.
        kms_key: The key that objects are encrypted with.
        needs: What was needed and allowed so far, each once.
        denied: What was needed and refused.
        lock: Held while a need is added.
    """

    account: str
    policy: Mapping[str, Any] | None = None
    trust: Mapping[str, Any] | None = None
    kms_key: str | None = None
    needs: dict[Need, None] = field(default_factory=dict)
    denied: dict[Need, None] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def refusal(self, call: Incoming, environ: WSGIEnvironment) -> CallError | None:
        """Write down what a request needs; return IAM's refusal where the policy does not allow it."""
        needs = list(self._needs(call, environ))
        later: list[Need] = []
        if call.operation == "StartQueryExecution":
            # What is not allowed of these fails the statement, not the call.
            later = list(self._of_statement(call.document, "athena"))
        denied = [need for need in needs if not self._passes(need)]
        with self.lock:
            self.denied.update(dict.fromkeys(denied))
            if not denied:
                self.needs.update(dict.fromkeys([*needs, *later]))
        return self._said(call, denied[0]) if denied else None

    def _passes(self, need: Need) -> bool:
        if self.trust is not None and need.action == "sts:AssumeRole":
            trusted = [{**each, "Resource": ["*"]} for each in self.trust["Statement"]]
            if not allows({"Statement": trusted}, need):
                return False
        return self.policy is None or allows(self.policy, need)

    def _said(self, call: Incoming, denied: Need) -> CallError:
        """Return the error in which a service says IAM's no."""
        return CallError(
            "AccessDenied" if call.service in {"s3", "sts"} else "AccessDeniedException",
            f"User: arn:aws:iam::{self.account}:user/tester is not authorized to perform: {denied.action} on "
            f"resource: {denied.resource} because no identity-based policy allows the {denied.action} action",
            status=403 if call.service in {"s3", "sts"} else 400,
        )

    def _needs(self, call: Incoming, environ: WSGIEnvironment) -> Iterator[Need]:
        why = f"{call.service}.{call.operation}"
        if (call.service, call.operation) in _FREE:
            return
        match call.service:
            case "s3":
                yield from self._of_s3(call, environ, why)
            case "glue":
                yield from self._of_glue(call, why)
            case "athena":
                yield from self._of_athena(call, why)
            case "sts":
                asked = parse_qs(call.text)
                context = tuple(("sts:ExternalId", each) for each in asked.get("ExternalId", ()))
                yield Need("sts:AssumeRole", asked.get("RoleArn", [""])[0], context, why)
            case _:
                yield Need(why, "*", (), why)

    def _of_s3(self, call: Incoming, environ: WSGIEnvironment, why: str) -> Iterator[Need]:
        path = unquote(environ["PATH_INFO"]).lstrip("/")
        bucket, _, key = path.partition("/")
        if call.operation == "DeleteObjects":
            for each in _KEY.findall(_body(environ).decode()):
                yield Need("s3:DeleteObject", f"arn:aws:s3:::{bucket}/{_unescaped(each)}", (), why)
            return
        action = f"s3:{_S3.get(call.operation, call.operation)}"
        context: tuple[tuple[str, str], ...] = ()
        if call.operation == "ListObjectsV2":
            asked = parse_qs(environ.get("QUERY_STRING", ""))
            context = (("s3:prefix", asked.get("prefix", [""])[0]),)
        yield Need(action, f"arn:aws:s3:::{bucket}{'/' if key else ''}{key}", context, why)
        if key:
            yield from self._of_kms(call.operation, why)

    def _of_kms(self, operation: str, why: str) -> Iterator[Need]:
        if self.kms_key is None:
            return
        via = (("kms:ViaService", "s3.us-east-1.amazonaws.com"),)
        if operation in {"PutObject", "CreateMultipartUpload"}:
            yield Need("kms:GenerateDataKey", self.kms_key, via, why)
        if operation in {"GetObject", "UploadPart", "CompleteMultipartUpload"}:
            yield Need("kms:Decrypt", self.kms_key, via, why)

    def _of_glue(self, call: Incoming, why: str) -> Iterator[Need]:
        asked = call.document
        name = asked.get("Name", "")
        if call.operation in {"GetDatabase", "CreateDatabase", "DeleteDatabase", "UpdateDatabase"}:
            database, table = name, ""
        else:
            database = asked.get("DatabaseName", "")
            table = asked.get("TableName") or name or asked.get("TableInput", {}).get("Name", "")
        if call.operation == "GetTables":
            table = "*"
        yield from self.glue(call.operation, database, table, why)

    def glue(self, operation: str, database: str, table: str, why: str) -> Iterator[Need]:
        """Return what a call to Glue needs: each action on the catalog, the database and the table.

        https://docs.aws.amazon.com/glue/latest/dg/glue-specifying-resource-arns.html
        """
        root = f"arn:aws:glue:us-east-1:{self.account}"
        yield Need(f"glue:{operation}", f"{root}:catalog", (), why)
        if database:
            yield Need(f"glue:{operation}", f"{root}:database/{database}", (), why)
        if table:
            yield Need(f"glue:{operation}", f"{root}:table/{database}/{table}", (), why)

    def _of_athena(self, call: Incoming, why: str) -> Iterator[Need]:
        asked = call.document
        group = asked.get("WorkGroup", "primary")
        arn = f"arn:aws:athena:us-east-1:{self.account}:workgroup/{group}"
        yield Need(f"athena:{call.operation}", arn, (), why)

    def _of_statement(self, asked: Mapping[str, Any], why: str) -> Iterator[Need]:
        """Return what Athena needs of who starts a statement."""
        sql: str = asked["QueryString"]
        why = f"{why}: {' '.join(sql.split())[:60]}"
        output = asked.get("ResultConfiguration", {}).get("OutputLocation")
        if output is not None:
            yield from self._files(output, why, writes=True)
        yield from self.glue("GetDatabase", "default", "", why)
        target, tables = _tables(sql)
        for database, name in tables:
            is_target = (database, name) == target
            yield from self.glue("GetDatabase", database, "", why)
            yield from self.glue("GetTable", database, name, why)
            described = self._table(database, name)
            if described.get("PartitionKeys") and described["Parameters"].get("EXTERNAL"):
                yield from self.glue("GetPartitions", database, name, why)
                yield from self.glue("BatchGetPartition", database, name, why)
            if is_target:
                action = "UpdateTable" if described else "CreateTable"
                yield from self.glue(action, database, name, why)
            where = described.get("StorageDescriptor", {}).get("Location") or _location(sql)
            if where:
                yield from self._files(where, why, writes=is_target)

    def _table(self, database: str, name: str) -> dict[str, Any]:
        """Return a table as Glue has it; nothing where there is none."""
        from moto.glue.exceptions import GlueClientError
        from moto.glue.models import glue_backends

        try:
            found = glue_backends[self.account]["us-east-1"].get_table(database, name)
        except GlueClientError:
            return {}
        described: dict[str, Any] = found.as_dict()
        return described

    def _files(self, location: str, why: str, *, writes: bool) -> Iterator[Need]:
        bucket, _, prefix = location.removeprefix("s3://").rstrip("/").partition("/")
        root, objects = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/{prefix}/a-file"
        yield Need("s3:GetBucketLocation", root, (), why)
        yield Need("s3:ListBucket", root, (("s3:prefix", f"{prefix}/"),), why)
        yield Need("s3:GetObject", objects, (), why)
        yield from self._of_kms("GetObject", why)
        if not writes:
            return
        yield Need("s3:ListBucketMultipartUploads", root, (), why)
        for action in ("PutObject", "AbortMultipartUpload", "ListMultipartUploadParts"):
            yield Need(f"s3:{action}", objects, (), why)
        yield from self._of_kms("CreateMultipartUpload", why)


def _body(environ: WSGIEnvironment) -> bytes:
    data: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(data)
    return data


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _tables(sql: str) -> tuple[tuple[str, str] | None, list[tuple[str, str]]]:
    """Return the table that a statement writes, and all that it names."""
    if sql.startswith("OPTIMIZE "):
        database, _, name = sql.split()[1].partition(".")
        return (database, name), [(database, name)]
    tree = sqlglot.parse_one(sql, read="athena")
    target = None
    if isinstance(tree, exp.Create | exp.Insert | exp.Delete | exp.Merge):
        node = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        target = (node.db, node.name)
    found = [(each.db, each.name.partition("$")[0]) for each in tree.find_all(exp.Table)]
    return target, list(dict.fromkeys(each for each in found if each[0]))


def _location(sql: str) -> str:
    found = re.search(r"location='(s3://[^']+)'", sql)
    return found[1] if found else ""

"""What a request asks: its account, its service, its operation."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tests.athena_endpoint.accounts import REGION, account_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIEnvironment

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A request.

    Attributes:
        access_key: The id of the key that it is signed with.
        text: Path, query and the body of a small request, for the rules of faults.
        document: The body of a JSON call.
    """

    account: str
    access_key: str
    region: str
    service: str
    operation: str
    text: str
    document: dict[str, Any] = field(default_factory=dict)


def account_and_region(environ: WSGIEnvironment) -> tuple[str, str]:
    """Return who asks, and where."""
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    return (account_of(found[1]), found[2]) if found else (account_of(""), REGION)


def read(environ: WSGIEnvironment, owner: Callable[[str], str]) -> Incoming:
    """Return what a request asks; its body stays readable."""
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    account = owner(found[1] if found else "")
    region, service = (found[2], found[3]) if found else (REGION, "s3")
    path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    document: dict[str, Any] = {}
    text = f"{path}?{query}"
    if target:
        body = _body(environ)
        document = json.loads(body or b"{}")
        operation = target.rpartition(".")[2]
        text = body.decode()
    elif service in {"sts", "iam"}:
        text = _body(environ).decode() or query
        operation = (parse_qs(text).get("Action") or parse_qs(query).get("Action") or ["?"])[0]
    elif service == "s3":
        operation = s3_operation(environ["REQUEST_METHOD"], path, query, environ)
    else:
        operation = "?"
    return Incoming(
        account=account,
        access_key=found[1] if found else "",
        region="us-east-1" if region == "aws-global" else region,
        service=service,
        operation=operation,
        text=text,
        document=document,
    )


def _body(environ: WSGIEnvironment) -> bytes:
    data: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(data)
    return data


_BUCKET_CALLS = {
    "GET": "ListObjectsV2",
    "PUT": "CreateBucket",
    "HEAD": "HeadBucket",
    "DELETE": "DeleteBucket",
}
_OBJECT_CALLS = {
    "GET": "GetObject",
    "PUT": "PutObject",
    "HEAD": "HeadObject",
    "DELETE": "DeleteObject",
}


def s3_operation(method: str, path: str, query: str, environ: WSGIEnvironment) -> str:
    """Return the name of a call to S3, of those that matter here."""
    flags = set(parse_qs(query, keep_blank_values=True))
    if not path.strip("/"):
        return "ListBuckets"
    if "/" not in path.strip("/"):
        if method == "POST":
            return "DeleteObjects"
        special = {"location": "GetBucketLocation", "uploads": "ListMultipartUploads"}
        named = next((name for flag, name in special.items() if flag in flags), None)
        return named or _BUCKET_CALLS.get(method, "?")
    if method == "POST":
        return "CreateMultipartUpload" if "uploads" in flags else "CompleteMultipartUpload"
    if "uploadId" in flags:
        parts = {"PUT": "UploadPart", "DELETE": "AbortMultipartUpload", "GET": "ListParts"}
        return parts.get(method, "?")
    if method == "PUT" and environ.get("HTTP_X_AMZ_COPY_SOURCE"):
        return "CopyObject"
    return _OBJECT_CALLS.get(method, "?")

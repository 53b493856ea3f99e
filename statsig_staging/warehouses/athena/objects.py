"""Files below the staging folder, as objects in S3.

An object is written whole or not at all. A swap is a write under a condition: ``If-None-Match: *`` where
there is to be no object yet, else ``If-Match`` with the ETag of the one that was compared. S3 lets one of
several such writes through.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from statsig_staging.errors import StepFailedError
from statsig_staging.warehouses.athena.calling import code, once
from statsig_staging.warehouses.base import StoredFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import (
        ListObjectsV2RequestTypeDef,
        ObjectTypeDef,
        PutObjectRequestTypeDef,
    )

    from statsig_staging.warehouses.athena.calling import Call

DELETED_AT_ONCE = 1000
"""Keys that one DeleteObjects takes. https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html"""

_CONFLICTS = 5
"""How often a swap that S3 finds in conflict with another write is begun anew."""

_WRITER = "statsig-writer"
"""The metadata under which an object says which swap wrote it."""

_MISSING = frozenset({"NoSuchKey", "404"})


class _Outcome(Enum):
    WRITTEN = auto()
    REFUSED = auto()
    CONFLICT = auto()


@dataclass(frozen=True, slots=True)
class _Found:
    data: bytes
    etag: str
    writer: str


class S3Objects:
    """The objects below one folder of a bucket; keys are relative to that folder.

    Args:
        s3: boto3's client.
        bucket: The bucket.
        folder: The staging folder inside it.
        kms_key: The key that objects are encrypted with; None leaves it to the bucket.
        call: Makes each call.
    """

    def __init__(
        self,
        s3: S3Client,
        bucket: str,
        folder: str,
        kms_key: str | None = None,
        *,
        call: Call = once,
    ) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._root = f"{folder.strip('/')}/"
        self._kms_key = kms_key
        self._call = call

    def put_object(self, key: str, data: bytes) -> None:
        """Write a file below the staging folder, whole or not at all.

        Raises:
            WarehouseError: If it may not be written.
        """
        request = self._request(key, data)
        self._call(lambda: self._s3.put_object(**request))

    def get_object(self, key: str) -> bytes | None:
        """Return a file below the staging folder, or None.

        Raises:
            WarehouseError: If it may not be read.
        """
        found = self._call(lambda: self._read(key))
        return None if found is None else found.data

    def swap_object(self, key: str, before: bytes | None, after: bytes) -> bool:
        """Write a file below the staging folder if it is still ``before`` (None: if there is none).

        Where the answer to a write is lost and it is sent again, it meets itself; the object then says
        whose it is.

        Returns:
            Whether it was, and is ``after`` now; of several at once one succeeds.

        Raises:
            WarehouseError: If it may not be read or written.
            StepFailedError: If other writers come in between again and again.
        """
        writer = uuid.uuid4().hex
        request = self._request(key, after)
        request["Metadata"] = {_WRITER: writer}
        for _ in range(_CONFLICTS):
            found = self._call(lambda: self._read(key))
            if found is not None and found.writer == writer:
                return True
            if (None if found is None else found.data) != before:
                return False
            etag = None if found is None else found.etag
            outcome = self._call(partial(self._put_if, request, etag))
            if outcome is _Outcome.WRITTEN:
                return True
            if outcome is _Outcome.REFUSED:
                now = self._call(lambda: self._read(key))
                return now is not None and now.writer == writer
        raise StepFailedError(
            f"s3://{self._bucket}/{self._root}{key}: others wrote it at the same time, "
            f"{_CONFLICTS} times over; run again"
        )

    def list_files(self, prefix: str) -> tuple[StoredFile, ...]:
        """Return every file below a folder of the staging folder; none where there is no such folder."""
        folder = prefix.strip("/")
        below = f"{self._root}{folder}/" if folder else self._root
        return tuple(
            StoredFile(
                key=found["Key"].removeprefix(self._root),
                size=found["Size"],
                modified_at=found["LastModified"],
            )
            for found in listed(self._s3, self._bucket, below, call=self._call)
        )

    def delete_files(self, keys: Iterable[str]) -> None:
        """Remove files below the staging folder; one that is gone already is no error.

        Raises:
            WarehouseError: If one may not be removed.
        """
        wanted = [f"{self._root}{key}" for key in keys]
        for start in range(0, len(wanted), DELETED_AT_ONCE):
            some = wanted[start : start + DELETED_AT_ONCE]
            self._call(partial(self._delete, some))

    def delete_empty(self, prefix: str) -> None:
        """Do nothing: folders are but parts of names."""

    def _request(self, key: str, data: bytes) -> PutObjectRequestTypeDef:
        request: PutObjectRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": f"{self._root}{key}",
            "Body": data,
        }
        if self._kms_key is not None:
            request["ServerSideEncryption"] = "aws:kms"
            request["SSEKMSKeyId"] = self._kms_key
        return request

    def _read(self, key: str) -> _Found | None:
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=f"{self._root}{key}")
        except ClientError as error:
            if code(error) in _MISSING:
                return None
            raise
        return _Found(answer["Body"].read(), answer["ETag"], answer["Metadata"].get(_WRITER, ""))

    def _put_if(self, request: PutObjectRequestTypeDef, etag: str | None) -> _Outcome:
        conditional = request.copy()
        if etag is None:
            conditional["IfNoneMatch"] = "*"
        else:
            conditional["IfMatch"] = etag
        try:
            self._s3.put_object(**conditional)
        except ClientError as error:
            if code(error) in {"PreconditionFailed", "412", *_MISSING}:
                return _Outcome.REFUSED
            if code(error) in {"ConditionalRequestConflict", "409"}:
                return _Outcome.CONFLICT
            raise
        return _Outcome.WRITTEN

    def _delete(self, keys: list[str]) -> None:
        answer = self._s3.delete_objects(
            Bucket=self._bucket,
            Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
        )
        for failed in answer.get("Errors", []):
            if failed.get("Code") not in _MISSING:
                message = f"{failed.get('Message', '')} (s3://{self._bucket}/{failed.get('Key')})"
                # Errors of single keys stand in an answer that is a success.
                raise ClientError(
                    {"Error": {"Code": failed.get("Code", ""), "Message": message}},
                    "DeleteObjects",
                )


def listed(s3: S3Client, bucket: str, prefix: str, *, call: Call = once) -> Iterator[ObjectTypeDef]:
    """Return every object whose key begins with a prefix, a thousand for each call."""
    request: ListObjectsV2RequestTypeDef = {"Bucket": bucket, "Prefix": prefix}
    while True:
        answer = call(partial(s3.list_objects_v2, **request))
        yield from answer.get("Contents", [])
        if not answer["IsTruncated"]:
            return
        request["ContinuationToken"] = answer["NextContinuationToken"]

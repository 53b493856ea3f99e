"""Files: what can be done in the folder, and what cannot outside of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from statsig_staging.doctor.checks import NothingToCheckError, NotRightError
from statsig_staging.doctor.patient import FOLDER
from statsig_staging.warehouses.athena.failures import AwsError, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from statsig_staging.doctor.patient import Patient

LEFT: Final = f"<folder>/{FOLDER}/"
"""Where probe files lie that could not be removed."""

_FILE: Final = "probe"
_TEXT: Final = b"written by the doctor of statsig-staging"


def probe_bucket(patient: Patient) -> str:
    """Return where the bucket is."""
    return located(patient, patient.connection.bucket)


def located(patient: Patient, bucket: str) -> str:
    """Return the region of a bucket.

    Raises:
        NotRightError: If it is another one than the connection's.
    """
    answer: dict[str, Any] = patient.call(
        f"looking where the bucket {bucket} is",
        lambda: dict(patient.clients.s3.get_bucket_location(Bucket=bucket)),
    )
    # us-east-1 says nothing, and eu-west-1 may say EU.
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html
    said = str(answer.get("LocationConstraint") or "us-east-1")
    region = "eu-west-1" if said == "EU" else said
    if region != patient.connection.region:
        raise NotRightError(f"{bucket} is in {region}, and not in {patient.connection.region}")
    return f"{bucket} in {region}"


def probe_key(patient: Patient) -> str:
    """Return that a file was encrypted with the key and decrypted; other failures are those of later checks."""
    key = patient.connection.kms_key
    if key is None:
        raise NothingToCheckError("no connection.kms_key")
    name = patient.key("encrypted")
    patient.written.append(name)
    try:
        patient.objects.put_object(name, _TEXT)
        patient.objects.get_object(name)
    except AwsError as error:
        if error.code.startswith(("KMS", "kms")) or "kms:" in str(error):
            raise
        raise NothingToCheckError("the folder itself is refused, see below") from error
    return key


def probe_write(patient: Patient) -> str:
    """Write a file."""
    patient.written.append(patient.key(_FILE))
    patient.objects.put_object(patient.key(_FILE), _TEXT)
    return f"s3://{patient.connection.bucket}/{patient.connection.folder}/"


def probe_read(patient: Patient) -> str:
    """Read the file."""
    if patient.objects.get_object(patient.key(_FILE)) != _TEXT:
        raise NotRightError("a file was read otherwise than it was written")
    return ""


def probe_list(patient: Patient) -> str:
    """List the file."""
    found = patient.objects.list_files(f"{FOLDER}/{patient.name}")
    if patient.key(_FILE) not in {file.key for file in found}:
        raise NotRightError("a file that was written is not listed")
    return ""


def probe_condition(patient: Patient) -> str:
    """See that a file is kept which is there already."""
    key = f"{patient.connection.folder}/{patient.key(_FILE)}"
    refused = patient.refusal(
        "writing a file that is there under If-None-Match",
        lambda: patient.clients.s3.put_object(
            Bucket=patient.connection.bucket, Key=key, Body=_TEXT, IfNoneMatch="*"
        ),
    )
    if refused is None:
        raise NotRightError("a file was written over another")
    if refused.kind is not Kind.COMMIT_CONFLICT:
        raise refused
    return ""


def probe_multipart(patient: Patient) -> str:
    """Begin an upload in parts, and give it up."""
    _begin_upload(
        patient,
        patient.connection.bucket,
        f"{patient.connection.folder}/{patient.key('parts')}",
    )
    return ""


def _begin_upload(patient: Patient, bucket: str, key: str) -> None:
    """Begin an upload and give it up; nothing of it can be seen, and no object is touched."""
    s3 = patient.clients.s3
    begun = patient.call(
        f"writing to s3://{bucket}/{key}",
        lambda: s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"],
    )
    patient.call(
        f"giving up an upload to s3://{bucket}/{key}",
        lambda: s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=begun),
    )


def probe_outside(patient: Patient) -> str:
    """See that uploads outside the folder cannot even begin."""
    places = list(_outside(patient))
    for bucket, key in places:
        refused = _refusal_of_upload(patient, bucket, key)
        if refused is None:
            raise NotRightError(f"s3://{bucket}/{key} could be written")
        if refused.kind not in {Kind.PERMISSION, Kind.MISSING}:
            raise refused
    return f"tried in {', '.join(dict.fromkeys(bucket for bucket, _ in places))}"


def _refusal_of_upload(patient: Patient, bucket: str, key: str) -> AwsError | None:
    s3 = patient.clients.s3
    begun: list[str] = []

    def begin() -> None:
        begun.append(s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"])

    refused = patient.refusal(f"writing to s3://{bucket}/{key}", begin)
    for upload in begun:
        patient.refusal(
            "giving up an upload",
            partial(s3.abort_multipart_upload, Bucket=bucket, Key=key, UploadId=upload),
        )
    return refused


def _outside(patient: Patient) -> Iterator[tuple[str, str]]:
    yield patient.connection.bucket, f"statsig-staging-{patient.name}"
    for read in patient.connection.read_only:
        for location in read.locations:
            bucket, _, folder = location.removeprefix("s3://").partition("/")
            below = f"{folder.rstrip('/')}/" if folder else ""
            yield bucket, f"{below}statsig-staging-{patient.name}"


def probe_delete(patient: Patient) -> str:
    """Remove all probe files, and see that they are gone."""
    patient.tidy()
    if patient.objects.list_files(f"{FOLDER}/{patient.name}"):
        raise NotRightError("files that were removed are still there")
    return ""

"""Files below the staging folder in S3: whole or not at all, and one winner of several swaps at once."""

import threading
from collections.abc import Callable
from typing import TypeVar

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from statsig_staging.errors import StepFailedError, WarehouseError
from statsig_staging.warehouses.athena import objects
from statsig_staging.warehouses.athena.calling import failure
from statsig_staging.warehouses.athena.objects import S3Objects
from tests.athena_endpoint.fixtures import Aws

T = TypeVar("T")
KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def again(operation: Callable[[], T], /) -> T:
    """Make a call up to three times."""
    for _ in range(2):
        try:
            return operation()
        except (ClientError, BotoCoreError):
            pass
    try:
        return operation()
    except (ClientError, BotoCoreError) as error:
        raise failure(error) from error


def at(aws: Aws, kms_key: str | None = None) -> S3Objects:
    """Return the staging folder of an account."""
    return S3Objects(aws.client("s3"), aws.bucket, "statsig", kms_key, call=again)


def script(aws: Aws, operation: str, kind: str, **more: object) -> None:
    """Have the next call of a kind go wrong."""
    aws.endpoint.faults.add(account=aws.id, service="s3", operation=operation, kind=kind, **more)


def test_what_is_written_is_read(aws: Aws) -> None:
    """An object lies below the folder under its key, whatever characters that has, and is replaced whole."""
    place = at(aws)
    for key in ("experiment-1/_loads/a.json", "experiment-ü 1/a+b%20&c?.json"):
        assert place.get_object(key) is None
        place.put_object(key, b"first")
        place.put_object(key, b"second")
        assert place.get_object(key) == b"second"
    keys = [
        found["Key"] for found in aws.client("s3").list_objects_v2(Bucket=aws.bucket)["Contents"]
    ]
    assert keys == ["statsig/experiment-1/_loads/a.json", "statsig/experiment-ü 1/a+b%20&c?.json"]


def test_without_permission_there_is_no_answer(aws: Aws) -> None:
    """An object that may not be read is no missing one."""
    script(aws, "GetObject", "refuse", code="AccessDenied", message="no", status=403, times=3)
    with pytest.raises(WarehouseError, match="AccessDenied"):
        at(aws).get_object("a")


@pytest.mark.parametrize(("before", "is_swapped"), [(None, False), (b"is", True), (b"was", False)])
def test_a_swap_compares_with_what_is_there(
    aws: Aws, before: bytes | None, is_swapped: bool
) -> None:
    """A swap writes where the object is as expected, and leaves it alone otherwise."""
    place = at(aws)
    place.put_object("lease", b"is")
    assert place.swap_object("lease", before, b"will be") is is_swapped
    assert place.get_object("lease") == (b"will be" if is_swapped else b"is")


def test_a_swap_may_expect_nothing(aws: Aws) -> None:
    """Where there is no object, only a swap that expects none writes."""
    place = at(aws)
    assert not place.swap_object("lease", b"was", b"a")
    assert place.get_object("lease") is None
    assert place.swap_object("lease", None, b"a")
    assert not place.swap_object("lease", None, b"b")
    assert place.get_object("lease") == b"a"


@pytest.mark.parametrize("before", [None, b"is"])
@pytest.mark.parametrize("alike", [True, False], ids=["same bytes", "other bytes"])
def test_of_several_swaps_at_once_one_succeeds(aws: Aws, before: bytes | None, alike: bool) -> None:
    """Exactly one of ten swaps at once says that it wrote, also where all write the same."""
    place = at(aws)
    if before is not None:
        place.put_object("lease", before)
    wrote: list[bytes] = []
    ready = threading.Barrier(10)

    def swap(number: int) -> None:
        after = b"mine" if alike else f"mine {number}".encode()
        ready.wait()
        if place.swap_object("lease", before, after):
            wrote.append(after)

    threads = [threading.Thread(target=swap, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrote == [place.get_object("lease")]


@pytest.mark.parametrize(
    "kind", ["lose_answer", "error_after_effect", "server_error", "kill", "throttle"]
)
@pytest.mark.parametrize("before", [None, b"is"])
def test_a_swap_that_is_sent_again_is_one_swap(aws: Aws, kind: str, before: bytes | None) -> None:
    """Whatever becomes of the first attempt, the second says that the swap succeeded, and it did once."""
    place = at(aws)
    if before is not None:
        place.put_object("lease", before)
    script(aws, "PutObject", kind)
    assert place.swap_object("lease", before, b"mine")
    assert place.get_object("lease") == b"mine"
    assert not place.swap_object("lease", before, b"other")


def test_a_swap_that_lost_does_not_take_an_equal_object_for_its_own(aws: Aws) -> None:
    """A write that is refused since somebody else wrote the same bytes has not succeeded."""
    s3, place = aws.client("s3"), at(aws)

    def meanwhile(**_: object) -> None:
        s3.meta.events.unregister("before-call.s3.PutObject", meanwhile)
        s3.put_object(Bucket=aws.bucket, Key="statsig/lease", Body=b"mine")

    s3.meta.events.register("before-call.s3.PutObject", meanwhile)
    assert not place.swap_object("lease", None, b"mine")


def test_a_conflict_begins_the_swap_anew(aws: Aws) -> None:
    """Where S3 answers 409 for a write at the same time, the object is compared again; not for ever."""
    place = at(aws)
    conflict = {"code": "ConditionalRequestConflict", "status": 409, "message": "at once"}
    script(aws, "PutObject", "refuse", **conflict)
    assert place.swap_object("lease", None, b"a")
    script(aws, "PutObject", "refuse", times=100, **conflict)
    with pytest.raises(StepFailedError, match="run again"):
        place.swap_object("lease", b"a", b"b")
    assert place.get_object("lease") == b"a"


def test_a_listing_has_every_page_of_one_folder(aws: Aws) -> None:
    """All objects below a folder are listed with size and time, and none of a folder whose name begins alike."""
    place = at(aws)
    for number in range(1003):
        aws.account.storage.write(f"s3://{aws.bucket}/statsig/experiment-1/t/{number:04}", b"abc")
    place.put_object("experiment-10/other", b"")
    found = place.list_files("experiment-1")
    assert [file.key for file in found] == [f"experiment-1/t/{n:04}" for n in range(1003)]
    assert {file.size for file in found} == {3}
    assert all(file.modified_at.tzinfo is not None for file in found)
    assert aws.endpoint.calls.counts(aws.id)["s3.ListObjectsV2"] == 2
    assert place.list_files("experiment-2") == ()
    assert len(place.list_files("")) == 1004


def test_any_number_of_files_is_removed(aws: Aws) -> None:
    """Files are removed a thousand for each call; those that are gone already are no error."""
    place = at(aws)
    keys = [f"t/{number}" for number in range(1003)]
    for key in [*keys, "stays"]:
        aws.account.storage.write(f"s3://{aws.bucket}/statsig/{key}", b"")
    place.delete_files([*keys, "never was"])
    assert [file.key for file in place.list_files("")] == ["stays"]
    assert aws.endpoint.calls.counts(aws.id)["s3.DeleteObjects"] == 2
    place.delete_files([])
    assert aws.endpoint.calls.counts(aws.id)["s3.DeleteObjects"] == 2


def test_an_error_of_one_key_is_an_error(aws: Aws) -> None:
    """DeleteObjects succeeds with errors in its answer, which are not passed over."""
    s3 = aws.client("s3")
    s3.put_bucket_policy(
        Bucket=aws.bucket,
        Policy=(
            '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", '
            f'"Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::{aws.bucket}/statsig/kept"}}]}}'
        ),
    )
    place = at(aws)
    place.put_object("kept", b"")
    with pytest.raises(WarehouseError, match=r"AccessDenied.*statsig/kept"):
        place.delete_files(["kept", "gone"])


def test_objects_are_encrypted_with_the_key(aws: Aws) -> None:
    """Every write, conditional or not, names the key of the connection."""
    place = at(aws, KEY_ARN)
    place.put_object("a", b"a")
    assert place.swap_object("b", None, b"b")
    for key in ("a", "b"):
        head = aws.client("s3").head_object(Bucket=aws.bucket, Key=f"statsig/{key}")
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", KEY_ARN)


def test_folders_are_parts_of_names(aws: Aws) -> None:
    """There is no empty folder to be removed, and no call is made for it."""
    at(aws).delete_empty("experiment-1")
    assert aws.endpoint.calls.counts(aws.id) == {}
    assert objects.DELETED_AT_ONCE == 1000

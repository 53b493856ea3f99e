"""Errors of calls to AWS, as the library's own."""

from typing import Any

import pytest
from botocore import exceptions
from botocore.exceptions import ClientError

from statsig_staging.errors import StepFailedError, WarehouseError
from statsig_staging.warehouses.athena.failures import AwsError, Kind, failed_call


def answered(code: str, message: str = "no", status: int = 400, **more: Any) -> ClientError:
    """Return an error that a service answered."""
    answer: dict[str, Any] = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
        **more,
    }
    return ClientError(answer, "Anything")  # type: ignore[arg-type]


def mapped(error: Exception) -> AwsError:
    """Return what an error is to the library."""
    found = failed_call(error, "asking Athena")
    assert found is not None
    assert str(found).startswith("asking Athena: ")
    assert "\n" not in str(found)
    return found


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answered("ThrottlingException"), Kind.THROTTLED),
        (answered("TooManyRequestsException"), Kind.THROTTLED),
        (answered("SlowDown", status=503), Kind.THROTTLED),
        (answered("Whatever", status=429), Kind.THROTTLED),
        (
            answered("TooManyRequestsException", Reason="CONCURRENT_QUERY_LIMIT_EXCEEDED"),
            Kind.QUEUE_FULL,
        ),
        (answered("InternalServerException", status=500), Kind.TRANSIENT),
        (answered("Whatever", status=502), Kind.TRANSIENT),
        (answered("RequestTimeout"), Kind.TRANSIENT),
        (answered("ExpiredToken"), Kind.EXPIRED_CREDENTIALS),
        (answered("ExpiredTokenException"), Kind.EXPIRED_CREDENTIALS),
        (answered("AccessDeniedException"), Kind.PERMISSION),
        (answered("403", "Forbidden", 403), Kind.PERMISSION),
        (answered("KMS.DisabledException"), Kind.PERMISSION),
        (answered("UnrecognizedClientException"), Kind.PERMISSION),
        (answered("NoSuchBucket", status=404), Kind.MISSING),
        (answered("EntityNotFoundException"), Kind.MISSING),
        (answered("InvalidRequestException", "WorkGroup is not found: x"), Kind.MISSING),
        (answered("ConcurrentModificationException"), Kind.COMMIT_CONFLICT),
        (answered("PreconditionFailed", status=412), Kind.COMMIT_CONFLICT),
        (answered("InvalidRequestException"), Kind.REFUSED),
        (exceptions.ConnectTimeoutError(endpoint_url="http://x"), Kind.TRANSIENT),
        (exceptions.ReadTimeoutError(endpoint_url="http://x"), Kind.TRANSIENT),
        (exceptions.EndpointConnectionError(endpoint_url="http://x"), Kind.TRANSIENT),
        (exceptions.ConnectionClosedError(endpoint_url="http://x"), Kind.TRANSIENT),
        (exceptions.SSLError(endpoint_url="http://x", error=OSError("eof")), Kind.TRANSIENT),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), Kind.TRANSIENT),
        (exceptions.NoCredentialsError(), Kind.PERMISSION),
        (
            exceptions.CredentialRetrievalError(provider="sso", error_msg="gone"),
            Kind.EXPIRED_CREDENTIALS,
        ),
        (exceptions.NoRegionError(), Kind.REFUSED),
        (exceptions.ParamValidationError(report="value: x"), Kind.REFUSED),
        (exceptions.DataNotFoundError(data_path="x"), Kind.UNKNOWN),
        (ConnectionResetError("reset"), Kind.TRANSIENT),
        (TimeoutError("late"), Kind.TRANSIENT),
    ],
)
def test_calls_fail_in_a_kind(error: Exception, kind: Kind) -> None:
    """Every error of boto3 has a kind, and the class of the tree that goes with it."""
    found = mapped(error)
    assert found.kind is kind
    refused = kind in {Kind.PERMISSION, Kind.MISSING, Kind.REFUSED, Kind.EXPIRED_CREDENTIALS}
    assert issubclass(type(found), WarehouseError if refused else StepFailedError)
    assert found.exit_code == (3 if refused else 4)


def test_other_errors_are_none_of_aws() -> None:
    """What boto3 did not raise is not mapped, and what is mapped stays as it is."""
    mine = mapped(answered("AccessDenied"))
    again: Exception = mine
    assert failed_call(again, "again") == mine
    assert failed_call(KeyError("x"), "asking Athena") is None


def test_a_missing_permission_is_named() -> None:
    """Action and resource are named as the service says them, and where to get the permission."""
    said = (
        "User: arn:aws:iam::1:user/x is not authorized to perform: athena:StopQueryExecution on resource: "
        "arn:aws:athena:us-east-1:1:workgroup/primary because no identity-based policy allows the action"
    )
    found = str(mapped(answered("AccessDeniedException", said)))
    on = "athena:StopQueryExecution on arn:aws:athena:us-east-1:1:workgroup/primary"
    assert f"the permission {on} is missing; `statsig-staging access policy`" in found


def test_a_foreign_bucket_is_named() -> None:
    """A bucket in another region points to the settings that name it."""
    said = "The bucket you are attempting to access must be addressed using the specified endpoint."
    found = str(mapped(answered("PermanentRedirect", said, 301)))
    assert "connection.region" in found
    assert "connection.query_results" in found


@pytest.mark.parametrize(
    "error",
    [
        exceptions.EndpointConnectionError(endpoint_url="https://me:SECRET@host/x"),
        exceptions.ParamValidationError(report="ExternalId, value: SECRET, type: str"),
        exceptions.ConnectionClosedError(endpoint_url="https://h/?X-Amz-Signature=SECRET&x=1"),
        answered("AccessDenied", "no. Encoded authorization failure message: SECRET"),
    ],
)
def test_no_secret_is_in_a_message(error: Exception) -> None:
    """What a driver's message quotes of passwords, signatures and parameters is left out."""
    assert "SECRET" not in str(mapped(error))

"""What AWS answers where something goes wrong, as the library's own errors and one closed classification.

Two things fail: calls, which raise an error of botocore, and statements, which end in FAILED or CANCELLED (see
``endings``). Both end in an :class:`AwsError` with a :class:`Kind`, which is what retries and loops match on.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NoReturn

from botocore import exceptions as botocore

from statsig_staging.errors import StagingError, StepFailedError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Kind(StrEnum):
    """What went wrong, as far as it matters for what to do next."""

    THROTTLED = "throttled"
    """Too many calls; the same call succeeds a little later."""
    QUEUE_FULL = "queue full"
    """The account's quota of statements under way is used up; it takes until some of them end."""
    TRANSIENT = "transient"
    """The service or the network failed; whether the call had its effect is not known."""
    EXPIRED_CREDENTIALS = "expired credentials"
    COMMIT_CONFLICT = "commit conflict"
    """Another commit came first; the statement has to run again on what is there now."""
    MORE_RUNS_NEEDED = "more runs needed"
    """OPTIMIZE or VACUUM did a part of its work."""
    TOO_MANY_PARTITIONS = "too many partitions"
    RESOURCES_EXHAUSTED = "resources exhausted"
    TIMED_OUT = "timed out"
    """The service's limit for a statement, or the caller's own."""
    CANCELLED = "cancelled"
    BYTES_CUTOFF = "bytes cutoff"
    """A limit of scanned bytes: the workgroup's or the connection's."""
    PERMISSION = "permission"
    MISSING = "missing"
    """A table, column, database, bucket or object that is not there."""
    WRONG_DATA = "wrong data"
    """A value that the statement cannot work on, like a division by zero."""
    REFUSED = "refused"
    """The service takes no such call or statement: malformed, of wrong types, without an output location."""
    UNKNOWN = "unknown"


class AwsError(StagingError):
    """A call or a statement failed. Raised as one of the two classes below.

    Attributes:
        kind: What went wrong.
        code: The error code of the call, Athena's own where it gives one; empty for statements.
        query_id: The statement at the service, where there is one.
        bytes_scanned: What the statement had scanned.
    """

    def __init__(
        self,
        message: str,
        kind: Kind,
        *,
        code: str = "",
        query_id: str | None = None,
        bytes_scanned: int = 0,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code
        self.query_id = query_id
        self.bytes_scanned = bytes_scanned


class AwsRefusedError(AwsError, WarehouseError):
    """The service said no, and will say it again: permission, something missing, a malformed statement."""


class AwsFailedError(AwsError, StepFailedError):
    """The service could not, this time."""


_REFUSALS: Final = frozenset(
    {Kind.PERMISSION, Kind.MISSING, Kind.REFUSED, Kind.EXPIRED_CREDENTIALS}
)


def failure(message: str, kind: Kind, **details: Any) -> AwsError:
    """Return the error of a kind: ``AwsRefusedError`` (exit code 3) or ``AwsFailedError`` (exit code 4)."""
    described = AwsRefusedError if kind in _REFUSALS else AwsFailedError
    return described(message, kind, **details)


_CODES: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(
        (
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "TooManyRequestsException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "SlowDown",
            "ProvisionedThroughputExceededException",
            "BandwidthLimitExceeded",
            "LimitExceededException",
        ),
        Kind.THROTTLED,
    ),
    **dict.fromkeys(
        (
            "InternalServerException",
            "InternalServiceException",
            "InternalServerError",
            "InternalFailure",
            "InternalError",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "RequestTimeout",
            "RequestTimeoutException",
            "OperationTimeoutException",
            "FederationSourceRetryableException",
        ),
        Kind.TRANSIENT,
    ),
    **dict.fromkeys(
        (
            "ExpiredToken",
            "ExpiredTokenException",
            "RequestExpired",
            "TokenRefreshRequired",
        ),
        Kind.EXPIRED_CREDENTIALS,
    ),
    **dict.fromkeys(
        (
            "AccessDenied",
            "AccessDeniedException",
            "AllAccessDisabled",
            "AuthFailure",
            "UnauthorizedOperation",
            "NotAuthorized",
            "InvalidClientTokenId",
            "UnrecognizedClientException",
            "InvalidAccessKeyId",
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
            "RequestTimeTooSkewed",
            "KMSAccessDeniedException",
            "KMS.DisabledException",
            "GlueEncryptionException",
            "OptInRequired",
            "403",
        ),
        Kind.PERMISSION,
    ),
    **dict.fromkeys(
        (
            "NoSuchBucket",
            "NoSuchKey",
            "NoSuchUpload",
            "EntityNotFoundException",
            "ResourceNotFoundException",
            "404",
        ),
        Kind.MISSING,
    ),
    **dict.fromkeys(
        (
            "ConcurrentModificationException",
            "ConditionalRequestConflict",
            "PreconditionFailed",
            "412",
        ),
        Kind.COMMIT_CONFLICT,
    ),
}


def failed_call(error: BaseException, what: str) -> AwsError | None:
    """Return what a failed call means; None for an error that is not of a call.

    Args:
        error: What boto3 raised.
        what: The call and what it was about, as a person says it: ``starting step results``.
    """
    match error:
        case AwsError():
            return error
        case botocore.ClientError():
            return _of_answer(error, what)
        case botocore.BotoCoreError():
            return _of_client(error, what)
        case ConnectionError() | TimeoutError():
            return failure(
                f"{what}: the connection to AWS was lost ({type(error).__name__}); {AGAIN}",
                Kind.TRANSIENT,
            )
        case _:
            return None


def raise_mapped(error: BaseException, what: str) -> NoReturn:
    """Raise what a failed call means; anything else is raised as it is.

    Raises:
        AwsError: What the call's failure means.
    """
    mapped = failed_call(error, what)
    if mapped is None or mapped is error:
        raise error
    raise mapped from error


AGAIN: Final = "run again"
_POLICY: Final = "`statsig-staging access policy` prints what the role needs"
CREATE: Final = "create it, or correct its name in the configuration"
ELSEWHERE: Final = (
    "a bucket is not in connection.region, or not where the role may write; check "
    "connection.region, connection.bucket and connection.query_results"
)
_LOCATION: Final = (
    "set connection.query_results to an s3:// location, or give the workgroup of connection.workgroup "
    "a query result location"
)


def _of_answer(error: botocore.ClientError, what: str) -> AwsError:
    """Return what an error that the service answered means."""
    details = error.response.get("Error", {})
    code, said = str(details.get("Code", "")), said_plainly(str(details.get("Message", "")))
    kind = _kind_of_answer(error, code, said)
    code = str(error.response.get("AthenaErrorCode") or code)
    advice = _advice_for_call(kind, said)
    reason = said if said and code.isdigit() else ": ".join(filter(None, (code, said)))
    return failure(f"{what}: {reason}; {advice}", kind, code=code)


def _kind_of_answer(error: botocore.ClientError, code: str, said: str) -> Kind:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if "CONCURRENT_QUERY_LIMIT_EXCEEDED" in str(error.response.get("Reason", "")):
        return Kind.QUEUE_FULL
    if code in _CODES:
        return _CODES[code]
    if code.startswith("KMS."):
        return Kind.PERMISSION
    if status >= 500:
        return Kind.TRANSIENT
    if status == 429:
        return Kind.THROTTLED
    if DENIED.search(said):
        return Kind.PERMISSION
    if _NOT_FOUND.search(said):
        return Kind.MISSING
    return Kind.REFUSED


def _advice_for_call(kind: Kind, said: str) -> str:
    match kind:
        case Kind.THROTTLED:
            return (
                "AWS limits the rate of calls for the whole account; run again when it is less busy"
            )
        case Kind.QUEUE_FULL:
            return (
                "the account's quota of statements under way is used up; run again later, lower "
                "connection.max_concurrent_queries or have the quota raised"
            )
        case Kind.EXPIRED_CREDENTIALS:
            return "sign in again, then run again"
        case Kind.PERMISSION:
            return denied(said)
        case Kind.MISSING:
            return CREATE
        case Kind.REFUSED if _NO_LOCATION.search(said):
            return _LOCATION
        case Kind.REFUSED if FOREIGN.search(said):
            return ELSEWHERE
        case Kind.REFUSED:
            return "correct the configuration"
        case _:
            return AGAIN


DENIED: Final = re.compile(
    r"not authorized to perform|Access ?Denied|PERMISSION_DENIED|Insufficient (?:permissions|Lake Formation)"
    r"|insufficient permissions|do(?:es)? not have (?:the )?permission|Required .* permission",
    re.IGNORECASE,
)
_NOT_FOUND: Final = re.compile(r"(?:was|is) not found|does not exist|not found\.?$", re.IGNORECASE)
_NO_LOCATION: Final = re.compile(r"No output location provided|output ?location", re.IGNORECASE)
FOREIGN: Final = re.compile(
    r"must be addressed using the specified endpoint|region .* is wrong|PermanentRedirect"
    r"|bucket is in this region|Unable to verify/create output bucket|expected ?bucket ?owner",
    re.IGNORECASE,
)
_ACTION: Final = re.compile(r"not authorized to perform:? ([\w*:-]+)(?: on resource:? (\S+))?")


def denied(said: str) -> str:
    """Return which permission is missing, as far as the message names it, and where to get it."""
    found = _ACTION.search(said)
    if found is None:
        return f"a permission is missing; {_POLICY}"
    on = f" on {found[2]}" if found[2] else ""
    return f"the permission {found[1]}{on} is missing; {_POLICY}"


def _of_client(error: botocore.BotoCoreError, what: str) -> AwsError:
    """Return what an error that came before an answer, or instead of one, means."""
    match error:
        case botocore.NoCredentialsError() | botocore.PartialCredentialsError():
            return failure(
                f"{what}: there are no AWS credentials; set AWS_PROFILE or AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or sign in",
                Kind.PERMISSION,
            )
        case (
            botocore.CredentialRetrievalError()
            | botocore.TokenRetrievalError()
            | botocore.UnauthorizedSSOTokenError()
            | botocore.SSOTokenLoadError()
        ):
            return failure(
                f"{what}: AWS credentials could not be had: {said_plainly(str(error))}; sign in again",
                Kind.EXPIRED_CREDENTIALS,
            )
        case botocore.ParamValidationError():
            # Its message quotes values, and one may be the external id.
            return failure(
                f"{what}: the call is not valid; correct the configuration", Kind.REFUSED
            )
        case (
            botocore.HTTPClientError()
            | botocore.ConnectionError()
            | botocore.IncompleteReadError()
            | botocore.ChecksumError()
        ):
            said = said_plainly(str(error))
            return failure(
                f"{what}: {said}; check the network and connection.endpoint_url, and {AGAIN}",
                Kind.TRANSIENT,
            )
        case botocore.BaseEndpointResolverError():
            return failure(
                f"{what}: {said_plainly(str(error))}; check connection.region", Kind.REFUSED
            )
        case _:
            return failure(f"{what}: {said_plainly(str(error))}; {AGAIN}", Kind.UNKNOWN)


_SECRETS: Final = (
    (re.compile(r"//[^/@\s]+@"), "//"),
    (re.compile(r"\s*Encoded authorization failure message: \S+"), ""),
    (re.compile(r"(?i)\b(X-Amz-(?:Signature|Security-Token|Credential)=)[^&\s]+"), r"\1..."),
)


def said_plainly(message: str) -> str:
    """Return a message on one line, without what may be a secret."""
    text = " ".join(message.split())
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text.rstrip(".; ")

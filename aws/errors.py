"""What an AWS operation answers when it does not succeed.

An `AwsError` is raised anywhere below the dispatcher, which alone renders it. The errors that every service shares go
by different names in the JSON and the Query protocol; they are the rows of `Common`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class AwsError(Exception):
    """An error with the code and status that the JSON protocol shows, and those of Query where they differ.

    `code` is a shape of the service's model (`RepositoryNotFoundException`), whose own status and Query code then win,
    or a common one. `fields` are further members of a modelled error.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        query_code: str | None = None,
        query_status: int | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status
        self.query_code = code if query_code is None else query_code
        self.query_status = status if query_status is None else query_status
        self.fields: dict[str, Any] = dict(fields or {})

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(frozen=True, slots=True)
class CommonError:
    """A row of the table below."""

    code: str
    status: int
    query_code: str
    query_status: int
    message: str


class Common(Enum):
    """Errors of every service (each service's API reference, "Common Errors"): JSON, Query, the usual words."""

    value: CommonError

    ACCESS_DENIED = CommonError(
        "AccessDeniedException", 400, "AccessDenied", 403, "You do not have sufficient access to perform this action."
    )
    EXPIRED_TOKEN = CommonError(
        "ExpiredTokenException", 400, "ExpiredToken", 403, "The security token included in the request is expired"
    )
    INCOMPLETE_SIGNATURE = CommonError(
        "IncompleteSignatureException", 400, "IncompleteSignature", 400, "The request signature is not complete."
    )
    INTERNAL_FAILURE = CommonError(
        "InternalFailure", 500, "InternalFailure", 500, "The request processing has failed because of an unknown error."
    )
    MALFORMED_INPUT = CommonError(
        "SerializationException", 400, "MalformedInput", 400, "The request body is not what the operation takes."
    )
    MALFORMED_QUERY_STRING = CommonError(
        "MalformedQueryString", 400, "MalformedQueryString", 400, "The query string contains a syntax error."
    )
    MISSING_ACTION = CommonError(
        "UnknownOperationException", 400, "MissingAction", 400, "The request is missing an action."
    )
    MISSING_TOKEN = CommonError(
        "MissingAuthenticationTokenException",
        400,
        "MissingAuthenticationToken",
        403,
        "Request is missing Authentication Token",
    )
    SERVICE_UNAVAILABLE = CommonError(
        "ServiceUnavailable",
        503,
        "ServiceUnavailable",
        503,
        "The request has failed due to a temporary failure of the server.",
    )
    SIGNATURE_MISMATCH = CommonError(
        "InvalidSignatureException",
        400,
        "SignatureDoesNotMatch",
        403,
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
        "Key and signing method. Consult the service documentation for details.",
    )
    THROTTLING = CommonError("ThrottlingException", 400, "Throttling", 400, "Rate exceeded")
    UNKNOWN_OPERATION = CommonError(
        "UnknownOperationException", 400, "InvalidAction", 400, "The action or operation requested is invalid."
    )
    UNRECOGNIZED_CLIENT = CommonError(
        "UnrecognizedClientException",
        400,
        "InvalidClientTokenId",
        403,
        "The security token included in the request is invalid.",
    )
    VALIDATION = CommonError(
        "ValidationException",
        400,
        "ValidationError",
        400,
        "The input fails to satisfy the constraints specified by an AWS service.",
    )

    def error(self, message: str | None = None) -> AwsError:
        """The error, in the usual words where none are given."""
        row = self.value
        return AwsError(
            row.code,
            row.message if message is None else message,
            status=row.status,
            query_code=row.query_code,
            query_status=row.query_status,
        )

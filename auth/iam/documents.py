"""Policy documents in requests and answers."""

from typing import Final
from urllib.parse import quote

from auth.iam.call import malformed_policy
from auth.policy.document import Kind, PolicyMalformed, parse_policy

_WHITE_SPACE: Final = str.maketrans("", "", " \t\n\r")


def check_document(text: str, kind: Kind = Kind.IDENTITY, *, managed: bool = False) -> None:
    """Raises AwsError (MalformedPolicyDocument) for what cannot be evaluated."""
    try:
        parse_policy(text, kind, managed=managed)
    except PolicyMalformed as error:
        raise malformed_policy(error.message) from error


def size_of(text: str) -> int:
    """In characters, as quotas count: without white space (IAM, "IAM and AWS STS quotas")."""
    return len(text.translate(_WHITE_SPACE))


def encode_document(text: str) -> str:
    """As IAM answers with it: encoded for a URL (RFC 3986)."""
    return quote(text, safe="")

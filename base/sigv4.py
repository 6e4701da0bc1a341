"""What whoever signs and whoever verifies have in common of Signature Version 4 (AWS General Reference, "Signing AWS API
requests")."""

import hashlib
import hmac
from typing import Final

ALGORITHM: Final = "AWS4-HMAC-SHA256"
TERMINATOR: Final = "aws4_request"


def derive_key(secret_access_key: str, date: str, region: str, service: str) -> bytes:
    """The signing key of a day (YYYYMMDD) of one region and service."""
    key = f"AWS4{secret_access_key}".encode()
    for part in (date, region, service, TERMINATOR):
        key = hmac.digest(key, part.encode("utf-8", "surrogateescape"), "sha256")
    return key


def write_string_to_sign(timestamp: str, scope: str, canonical: bytes) -> str:
    """Of a canonical request; `timestamp` is YYYYMMDD'T'HHMMSS'Z'."""
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}"

"""Content digests (OCI image-spec, descriptor.md, "Digests")."""

import hashlib
import re
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from hashlib import _Hash

Digest = NewType("Digest", str)
"""A well-formed digest of a registered algorithm: `sha256:<64 hex>` or `sha512:<128 hex>`, lower case."""

CANONICAL = "sha256"
_HEX_LENGTHS = {"sha256": 64, "sha512": 128}
ALGORITHMS = tuple(_HEX_LENGTHS)
_GRAMMAR = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\Z", re.ASCII)


class DigestMalformed(ValueError):
    """The text is no digest of an algorithm that we compute."""


def parse_digest(text: str) -> Digest:
    """Return `text` as a digest.

    Raises DigestMalformed.
    """
    if _GRAMMAR.match(text) is None:
        shown = text if len(text) <= 160 else text[:160] + "..."
        raise DigestMalformed(f"`{shown}` is not a digest: expected sha256:<64 hex digits> or sha512:<128 hex digits>")
    return Digest(text)


def algorithm_of(digest: Digest) -> str:
    """`sha256` or `sha512`."""
    return digest.partition(":")[0]


def new_hash(algorithm: str = CANONICAL) -> "_Hash":
    """A running hash of one of ALGORITHMS."""
    if algorithm not in _HEX_LENGTHS:
        raise DigestMalformed(f"`{algorithm}` is not a digest algorithm: expected one of {', '.join(ALGORITHMS)}")
    return hashlib.new(algorithm)


def digest_of(data: bytes, algorithm: str = CANONICAL) -> Digest:
    """The digest of `data`."""
    return Digest(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}")

"""Pages of a listing: `maxResults` of them, and a `nextToken` that says where the next one begins.

A token holds the listing's name and the last entry's position. It is no secret and grants nothing; clients are told
that it is opaque.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from registry.ecr.call import refuse

DEFAULT = 100
"""Entries of a page where the call does not say."""
_LONGEST = 4096


def read_page(
    params: Mapping[str, Any], listing: str, width: int = 1, *, default: int = DEFAULT
) -> tuple[int, tuple[str, ...]]:
    """(entries wanted, position after which they begin: `width` texts, empty ones at the start).

    Raises ParameterInvalid for a token that is not one of `listing`.
    """
    limit = params.get("maxResults") or default
    token = params.get("nextToken")
    if not token:
        return limit, ("",) * width
    position = _read_token(token, listing)
    if position is None or len(position) != width:
        refuse("nextToken", "The token is not one that this operation returned")
    return limit, position


def _read_token(token: str, listing: str) -> tuple[str, ...] | None:
    if len(token) > _LONGEST:
        return None
    try:
        named, *position = json.loads(base64.urlsafe_b64decode(token))
        text = "".join(position).encode()  # texts, all of them
    except (binascii.Error, ValueError, TypeError):
        return None
    return tuple(position) if named == listing and b"\0" not in text else None  # which no database would take


def write_token(listing: str, *position: str) -> str:
    """The token that `read_page` reads."""
    return base64.urlsafe_b64encode(json.dumps([listing, *position]).encode()).decode()


def refuse_paging(params: Mapping[str, Any], given: str) -> None:
    """Raises ParameterInvalid for the members of a page beside `given`, which names what is wanted."""
    for member in ("nextToken", "maxResults"):
        if params.get(member) is not None:
            refuse(member, f"Member must be null when {given} is specified")

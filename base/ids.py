"""Unguessable and time-ordered identifiers."""

import os
import secrets
import uuid
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from base.clock import Clock

_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}

Ids: TypeAlias = Callable[[], str]
"""Returns a new unguessable identifier, never the same twice."""


def new_uuid() -> str:
    """A random (version 4) UUID: the form of ECR's upload and request ids."""
    return str(uuid.uuid4())


def new_serial(clock: Clock) -> int:
    """A positive 63-bit integer: milliseconds of `clock` above 21 random bits, so that new rows lie together in an index."""
    return (int(clock() * 1000) << 21) | secrets.randbits(21)


class RandomIds:
    """Random UUIDs (version 4), made many at a time. Threads may share one; processes may not: not across a fork."""

    def __init__(self) -> None:
        self._ready: deque[str] = deque()

    def __call__(self) -> str:
        try:
            return self._ready.popleft()
        except IndexError:
            made = _uuids(256)
            self._ready.extend(made[1:])
            return made[0]


def _uuids(count: int) -> list[str]:
    random = os.urandom(16 * count).hex()
    return [
        f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:]}"
        for text in (random[start : start + 32] for start in range(0, 32 * count, 32))
    ]

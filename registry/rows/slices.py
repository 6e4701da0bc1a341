"""Long lists of values, in pieces that a statement takes."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

_IN = 400
"""Values in one IN list at the most."""


def slices(values: Sequence[T], size: int = _IN) -> Iterable[Sequence[T]]:
    return (values[start : start + size] for start in range(0, len(values), size))

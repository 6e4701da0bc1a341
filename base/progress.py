"""How far long work has come, told to whoever shows it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` (0: nobody knows) things of a step, and the bytes that it moved or read so far."""

    step: str
    done: int = 0
    total: int = 0
    bytes: int = 0


Tell: TypeAlias = Callable[[Progress], None]


def untold(_: Progress) -> None:
    """For work that nobody watches."""

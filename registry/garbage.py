"""What garbage there is, and how it is counted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Garbage(StrEnum):
    """Why bytes of the store are nobody's any more."""

    UPLOAD = "upload"
    """Of an upload that was cancelled, or that nobody touched for too long."""
    DUPLICATE = "duplicate"
    """Of a blob that was there already when they came."""
    UNREFERENCED = "unreferenced"
    """Of a blob that no manifest names, and whose grace is over."""
    DELETED = "deleted"
    """Of a blob that was deleted."""
    REPOSITORY = "repository"
    """Of a blob of a repository that was deleted."""
    LOST = "lost"
    """Of a blob whose bytes were found to be damaged, or missing."""
    ORPHAN = "orphan"
    """Of which no row knows: left by a crash, or by who was overtaken."""
    BURIED = "buried"
    """Of an orphan that is gone: its key is remembered until nobody can bring a row for it any more."""
    OTHER = ""
    """Of a tombstone that the release before made."""


COUNTED = tuple(kind for kind in Garbage if kind is not Garbage.BURIED)
"""The kinds that stand for bytes."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Things in the store, and their bytes as far as rows know them."""

    items: int = 0
    bytes: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.items + other.items, self.bytes + other.bytes)


@dataclass(slots=True)
class Tally:
    """Amounts by kind."""

    amounts: dict[Garbage, Amount] = field(default_factory=dict)

    def add(self, kind: Garbage, amount: Amount) -> None:
        self.amounts[kind] = self.amounts.get(kind, Amount()) + amount

    def add_all(self, amounts: Mapping[Garbage, Amount]) -> None:
        for kind, amount in amounts.items():
            self.add(kind, amount)

    @property
    def total(self) -> Amount:
        return sum(self.amounts.values(), Amount())

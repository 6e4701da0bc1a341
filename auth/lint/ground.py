"""What all checks stand on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Generic, TypeVar

from auth.lint.coverage import Shape
from auth.lint.reading import Document, Part, Span
from auth.lint.rules import RULES, Finding
from auth.policy.catalogue import Action, Catalogue, nearest
from auth.policy.document import Kind
from auth.policy.patterns import plain_tokens, resource_tokens

_COMPARISONS: Final = 1_500_000
"""Signs of patterns that are compared, and pairs of statements: some seconds."""
_SUGGESTIONS: Final = 50


@dataclass(slots=True)
class Budget:
    """How many more comparisons there may be, so that the longest document ends. What is left undone is said."""

    left: int

    def spend(self, amount: int = 1) -> bool:
        """Whether there was as much left."""
        self.left -= amount
        return self.left >= 0

    @property
    def is_spent(self) -> bool:
        return self.left < 0


@dataclass(frozen=True)
class Ground:
    """The document, and what is known beside it. What is found out once is remembered for the next check."""

    document: Document
    catalogue: Catalogue
    now: float
    given: frozenset[str]
    budget: Budget = field(default_factory=lambda: Budget(_COMPARISONS))
    foreign: set[str] = field(default_factory=set)
    """Services that were said to be foreign."""
    _actions: dict[int, tuple[Action, ...]] = field(default_factory=dict)
    _suggestions: Budget = field(default_factory=lambda: Budget(_SUGGESTIONS))

    @property
    def kind(self) -> Kind:
        return self.document.kind

    @property
    def is_ceiling(self) -> bool:
        """Whether what such a document allows is no more than what other policies may."""
        return self.kind in {Kind.BOUNDARY, Kind.SESSION, Kind.CONTROL}

    def actions(self, part: Part) -> tuple[Action, ...]:
        """The known actions that a statement is about."""
        known = self._actions.get(part.number)
        if known is None:
            known = self._actions[part.number] = self._find_actions(part)
        return known

    def is_known(self, part: Part) -> bool:
        """Whether the statement is about known actions alone."""
        if part.actions.excluded:
            return False
        return all(not one.text.startswith("*") and self.catalogue.matching(one.text) for one in part.actions.values)

    def resource_shape(self, text: str) -> Shape:
        return resource_shape(text, variables=self.document.has_variables)

    def suggest(self, written: str, known: Callable[[], Iterable[str]]) -> str:
        """What may be meant, as the end of a message."""
        if not self._suggestions.spend():
            return ""
        meant = nearest(written, known())
        return f"; did you mean {meant}?" if meant else ""

    def _find_actions(self, part: Part) -> tuple[Action, ...]:
        named = {one: None for text in part.actions.values for one in self.catalogue.matching(text.text)}
        if not part.actions.excluded:
            return tuple(named)
        return tuple(one for one in self.catalogue.matching("*") if one not in named)


@lru_cache(20_000)
def action_shape(text: str) -> Shape:
    return Shape(plain_tokens("*:*" if text == "*" else text.lower()))


@lru_cache(20_000)
def resource_shape(text: str, *, variables: bool) -> Shape:
    return Shape(resource_tokens(text, variables=variables))


Entry = TypeVar("Entry")


class Net(Generic[Entry]):
    """Patterns by what they begin with, so that those that may cover another are found among many."""

    def __init__(self) -> None:
        self._exact: dict[str, list[Entry]] = {}
        self._heads: dict[str, list[tuple[Shape, Entry]]] = {}
        self._lengths: Sequence[int] | None = None

    def add(self, shape: Shape, entry: Entry) -> None:
        if shape.whole:
            self._exact.setdefault(shape.head, []).append(entry)
        else:
            self._heads.setdefault(shape.head, []).append((shape, entry))
            self._lengths = None

    def covering(self, narrow: Shape, budget: Budget) -> Iterator[Entry]:
        """The entries of those that cover it; of one that is equal to it, too."""
        head = narrow.head
        if narrow.whole:
            yield from self._exact.get(head, ())
        if self._lengths is None:
            self._lengths = sorted({len(one) for one in self._heads})
        for length in self._lengths:
            if length > len(head):
                break
            for shape, entry in self._heads.get(head[:length], ()):
                if not budget.spend(len(narrow.signs)):
                    return
                if shape.covers(narrow):
                    yield entry


def found(rule: str, part: Part | None, at: Span, message: str) -> Finding:
    """A finding; `part` is None for one about the whole document."""
    if part is None:
        return Finding(RULES[rule], message, at)
    return Finding(RULES[rule], message, at, part.number, part.sid.text if part.sid else "")


def listed(names: Iterable[str], most: int = 4) -> str:
    """`a, b and 3 more`."""
    shown = list(names)
    if len(shown) <= most:
        return ", ".join(shown)
    return f"{', '.join(shown[:most])} and {len(shown) - most} more"

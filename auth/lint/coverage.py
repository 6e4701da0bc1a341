"""How patterns lie to each other: whether one covers all that another matches, and whether any text matches both.

Both read one pattern once. What a variable stands for is not known: it is covered by itself and
by `*`, and may meet anything.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

from auth.policy.patterns import Token, Wild
from auth.policy.variables import Variable

_LONGEST: Final = 4_096
"""Signs. No ARN is half as long, and the time that a comparison takes grows faster than longer patterns do."""


class Shape:
    """A pattern, prepared for being compared. `head` is what every text that matches begins with, `whole` whether that is
    all of it."""

    __slots__ = ("_bits", "head", "signs", "whole")

    def __init__(self, parts: Sequence[Token]) -> None:
        """`parts` as in `auth.policy.patterns`."""
        self.signs = _signs(parts)
        fixed = next((number for number, sign in enumerate(self.signs) if not isinstance(sign, str)), len(self.signs))
        self.head = "".join(map(str, self.signs[:fixed]))
        self.whole = fixed == len(self.signs)
        self._bits: _Bits | None = None

    @property
    def bits(self) -> "_Bits":
        if self._bits is None:
            self._bits = _Bits(self.signs)
        return self._bits

    def covers(self, narrow: "Shape") -> bool:
        """Whether it matches whatever `narrow` does. True is certain; false may be so only by the order in which wildcards
        stand (`?*` and `*?`), or by their number."""
        if self.whole or len(self.signs) > _LONGEST:
            return self.signs == narrow.signs
        if not narrow.head.startswith(self.head):
            return False
        return self.bits.covers(narrow.signs)

    def meets(self, other: "Shape") -> bool:
        """Whether some text matches both; of patterns that are too long, whether some might."""
        length = min(len(self.head), len(other.head))
        if self.head[:length] != other.head[:length]:
            return False
        if self.whole and other.whole:
            return self.head == other.head
        if len(self.signs) > _LONGEST or len(other.signs) > _LONGEST:
            return True
        return self.bits.meets(other.signs)


class _Bits:
    """Bit n of a number is set where the n-th sign is of that sort."""

    __slots__ = ("_any_within", "_length", "_many", "_many_within", "_one", "_one_within", "_passable", "_step")

    def __init__(self, signs: Sequence["_Sign"]) -> None:
        self._length = len(signs)
        step: dict[str | Variable, int] = {}
        wild = dict.fromkeys(Wild, 0)
        variables = 0
        for position, sign in enumerate(signs):
            bit = 1 << position
            if isinstance(sign, Wild):
                wild[sign] |= bit
            else:
                step[sign] = step.get(sign, 0) | bit
                if isinstance(sign, Variable):
                    variables |= bit
        self._step = step
        self._many, self._many_within = wild[Wild.MANY], wild[Wild.MANY_WITHIN]
        self._one, self._one_within = wild[Wild.ONE], wild[Wild.ONE_WITHIN]
        self._any_within = self._many | self._many_within
        self._passable = variables

    def covers(self, narrow: Sequence["_Sign"]) -> bool:
        everywhere = self._any_within
        states = self._closed(1, everywhere)
        for sign in narrow:
            match sign:
                case Wild.MANY:
                    states &= self._many
                case Wild.MANY_WITHIN:
                    states &= everywhere
                case Wild.ONE:
                    states = (states & self._one) << 1 | states & self._many
                case Wild.ONE_WITHIN:
                    states = (states & (self._one | self._one_within)) << 1 | states & everywhere
                case Variable():
                    states = (states & self._step.get(sign, 0)) << 1 | states & self._many
                case ":":
                    states = (states & (self._step.get(":", 0) | self._one)) << 1 | states & self._many
                case _:
                    one = self._step.get(sign, 0) | self._one | self._one_within
                    states = (states & one) << 1 | states & everywhere
            if not states:
                return False
            states = self._closed(states, everywhere)
        return bool(states >> self._length & 1)

    def meets(self, other: Sequence["_Sign"]) -> bool:
        skipped = self._any_within | self._passable
        states = self._closed(1, skipped)
        colons = self._step.get(":", 0)
        for sign in other:
            match sign:
                case Wild.MANY | Variable():
                    low = states & -states
                    states = (1 << self._length + 1) - low
                case Wild.MANY_WITHIN:
                    states = self._run(states, ((1 << self._length) - 1) & ~colons)
                case Wild.ONE:
                    fixed = ((1 << self._length) - 1) & ~skipped
                    states = (states & fixed) << 1 | states & (self._many | self._passable | self._many_within)
                case Wild.ONE_WITHIN:
                    fixed = ((1 << self._length) - 1) & ~skipped & ~colons
                    states = (states & fixed) << 1 | states & skipped
                case ":":
                    states = (states & (colons | self._one)) << 1 | states & (self._many | self._passable)
                case _:
                    one = self._step.get(sign, 0) | self._one | self._one_within
                    states = (states & one) << 1 | states & skipped
            if not states:
                return False
            states = self._closed(states, skipped)
        return bool(states >> self._length & 1)

    def _closed(self, states: int, skipped: int) -> int:
        """With what is reached by letting wildcards stand for nothing."""
        while True:
            more = states | (states & skipped) << 1
            if more == states:
                return states
            states = more

    def _run(self, states: int, passable: int) -> int:
        while True:
            more = states | (states & passable) << 1
            if more == states:
                return states
            states = more


_Sign: TypeAlias = str | Wild | Variable


def _signs(parts: Sequence[Token]) -> list[_Sign]:
    """Characters, wildcards and variables; of two `*` beside each other the wider, and `?` before them."""
    signs: list[_Sign] = []
    for part in parts:
        if isinstance(part, Variable) and not part.key:
            signs += part.default or ""
        elif isinstance(part, str):
            signs += part
        elif part in _MANY and signs and signs[-1] in _MANY:
            signs[-1] = Wild.MANY if Wild.MANY in {part, signs[-1]} else Wild.MANY_WITHIN
        elif part in _ONE and signs and signs[-1] in _MANY:
            signs.insert(-1, part)
        else:
            signs.append(part)
    return signs


_MANY = frozenset({Wild.MANY, Wild.MANY_WITHIN})
_ONE = frozenset({Wild.ONE, Wild.ONE_WITHIN})

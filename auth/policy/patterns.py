"""Wildcards: `*` any characters or none, `?` one (IAM User Guide, "JSON policy elements: Resource", "Action").

A pattern is taken apart once and becomes a function from a text to whether it matches. Time grows with the text, never
with the number of ways to lay the wildcards: plain pieces between `*` are looked for from left to right, the leftmost
place being as good as any; what has `?`, or a `*` that must stay within its ARN segment, is a set of states in the bits
of a number.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias, TypeGuard

from auth.policy.variables import Context, Variable, split

Match: TypeAlias = Callable[[str], bool]


class Wild(Enum):
    """What a wildcard stands for. The latter two stay within their segment of an ARN: no colon."""

    MANY = "*"
    ONE = "?"
    MANY_WITHIN = "*:"
    ONE_WITHIN = "?:"


Fixed: TypeAlias = str | Wild
Token: TypeAlias = Fixed | Variable

_WILD = re.compile(r"([*?])")
_MANY = {Wild.MANY, Wild.MANY_WITHIN}
SEGMENTS = 6


def tokens(text: str, *, variables: bool) -> tuple[Token, ...]:
    """Of a text where `*` and `?` stand for any characters."""
    if not variables:
        return plain_tokens(text)
    found: list[Token] = []
    for part in split(text):
        found += plain_tokens(part) if isinstance(part, str) else [part]
    return tuple(found)


def plain_tokens(text: str) -> tuple[Fixed, ...]:
    return tuple(Wild(piece) if piece in {"*", "?"} else piece for piece in _WILD.split(text) if piece)


def literal_tokens(text: str, *, variables: bool) -> tuple[Token, ...]:
    """Of a text where `*` and `?` are themselves."""
    return split(text) if variables else (text,)


def resource_tokens(text: str, *, variables: bool) -> tuple[Token, ...]:
    """Of a Resource. Wildcards stay within their segment, but for a `*` that ends one: it runs on. Variables stand after
    the fifth colon only; before it they are text. What an ARN lacks is anything."""
    found: list[Token] = []
    colons = 0
    parts = tokens(text + ":*" * missing_segments(text), variables=variables)
    for position, part in enumerate(parts):
        if colons >= SEGMENTS - 1:
            found.append(part)
        elif isinstance(part, str):
            found.append(part)
            colons += part.count(":")
        elif isinstance(part, Variable):
            found.append(part.written)
        elif part is Wild.MANY:
            following = parts[position + 1] if position + 1 < len(parts) else ":"
            ends = isinstance(following, str) and following.startswith(":")
            found.append(Wild.MANY if ends else Wild.MANY_WITHIN)
        else:
            found.append(Wild.ONE_WITHIN)
    return tuple(found)


def missing_segments(text: str) -> int:
    """How many of its six an incomplete ARN lacks (IAM User Guide, "IAM identifiers", IAM ARNs)."""
    return max(0, SEGMENTS - 1 - text.count(":")) if text.startswith("arn:") else 0


def resolve(parts: Sequence[Token], context: Context) -> list[Fixed] | None:
    """With the variables' texts in their places, or None where one has none."""
    resolved: list[Fixed] = []
    for part in parts:
        text = part.resolve(context) if isinstance(part, Variable) else part
        if text is None:
            return None
        resolved.append(text)
    return resolved


def is_fixed(parts: Sequence[Token]) -> TypeGuard[Sequence[Fixed]]:
    """Whether it has no variables."""
    return not any(isinstance(part, Variable) for part in parts)


def show(parts: Sequence[Fixed]) -> str:
    """As a policy would write it."""
    return "".join(part if isinstance(part, str) else part.value[0] for part in parts)


def compile_match(parts: Sequence[Fixed]) -> Match:
    """The function of a pattern without variables."""
    joined = _joined(parts)
    if all(part is Wild.MANY for part in joined if isinstance(part, Wild)):
        return _compile_pieces(joined)
    return _compile_states(joined)


def compile_arn(parts: Sequence[Fixed]) -> Match:
    """The function of a value of an ARN operator: each of the six segments by itself, the last with all further colons."""
    segments: list[list[Fixed]] = [[]]
    for part in parts:
        if isinstance(part, str):
            head, *others = part.split(":", SEGMENTS - len(segments))
            segments[-1].append(head)
            segments += [[other] for other in others]
        else:
            segments[-1].append(part)
    if len(segments) != SEGMENTS:
        return _never
    if all(isinstance(part, str) for part in parts):
        return "".join(map(str, parts)).__eq__
    matches = [compile_match(segment) for segment in segments]

    def match(text: str) -> bool:
        given = text.split(":", SEGMENTS - 1)
        return len(given) == SEGMENTS and all(one(part) for one, part in zip(matches, given, strict=True))

    return match


def cost_of(patterns: Iterable[Sequence[Token]]) -> int:
    """Characters of those patterns that take time for each of them and each of a text's: with `?`, with a `*` that stays in
    its segment, or with a variable."""
    costly = (
        pattern for pattern in patterns if any(not isinstance(part, str) and part is not Wild.MANY for part in pattern)
    )
    return sum(len(part) if isinstance(part, str) else 1 for pattern in costly for part in pattern)


def _joined(parts: Sequence[Fixed]) -> list[Fixed]:
    """No two texts beside each other, and no two `*`: the wider stays."""
    joined: list[Fixed] = []
    for part in parts:
        if not joined or part == "":
            joined += [part] if part != "" else []
        elif isinstance(part, str) and isinstance(joined[-1], str):
            joined[-1] += part
        elif part in _MANY and joined[-1] in _MANY:
            joined[-1] = Wild.MANY if Wild.MANY in {part, joined[-1]} else Wild.MANY_WITHIN
        else:
            joined.append(part)
    return joined


def _never(_: str) -> bool:
    return False


def _always(_: str) -> bool:
    return True


def _compile_pieces(parts: Sequence[Fixed]) -> Match:
    pieces = [""]
    for part in parts:
        if isinstance(part, str):
            pieces[-1] = part
        else:
            pieces.append("")
    if len(pieces) == 1:
        return pieces[0].__eq__
    first, *middle, last = pieces
    if not middle:
        return _compile_ends(first, last)
    shortest = len(first) + len(last)

    def match(text: str) -> bool:
        end = len(text)
        if end < shortest or not text.startswith(first) or not text.endswith(last):
            return False
        end -= len(last)
        position = len(first)
        for piece in middle:
            position = text.find(piece, position, end)
            if position < 0:
                return False
            position += len(piece)
        return True

    return match


def _compile_ends(first: str, last: str) -> Match:
    if not last:
        return (lambda text: text.startswith(first)) if first else _always
    shortest = len(first) + len(last)
    return lambda text: len(text) >= shortest and text.startswith(first) and text.endswith(last)


def _compile_states(parts: Sequence[Fixed]) -> Match:
    """Bit n of `states` is set when the first n signs of the pattern match what was read so far. A `*` keeps its bit over
    what it stands for, and is passed without reading anything."""
    signs = [sign for part in parts for sign in (part if isinstance(part, str) else (part,))]
    step: dict[str, int] = {}
    one = one_within = many = many_within = 0
    for position, sign in enumerate(signs):
        bit = 1 << position
        match sign:
            case Wild.MANY:
                many |= bit
            case Wild.MANY_WITHIN:
                many_within |= bit
            case Wild.ONE:
                one |= bit
            case Wild.ONE_WITHIN:
                one_within |= bit
            case _:
                step[str(sign)] = step.get(str(sign), 0) | bit
    everywhere = many | many_within
    goal = 1 << len(signs)
    step = {character: bits | one | (0 if character == ":" else one_within) for character, bits in step.items()}
    step.setdefault(":", one)
    otherwise = one | one_within

    def match(text: str) -> bool:
        states = 1 | (everywhere & 1) << 1
        for character in text:
            stay = many if character == ":" else everywhere
            moved = (states & step.get(character, otherwise)) << 1 | states & stay
            if not moved:
                return False
            states = moved | (moved & everywhere) << 1
        return bool(states & goal)

    return match


@dataclass(frozen=True, slots=True, eq=False)
class Actions:
    """Action, or NotAction where it is `excluded`. `match` takes an action in lower case."""

    written: tuple[str, ...]
    excluded: bool
    match: Match = field(repr=False)

    def cover(self, action: str) -> bool:
        """Whether the statement is about the action; case does not matter."""
        return self.match(action.lower()) is not self.excluded


def compile_actions(written: Sequence[str], *, excluded: bool) -> Actions:
    return Actions(tuple(written), excluded, any_of([compile_match(plain_tokens(one.lower())) for one in written]))


Covers: TypeAlias = Callable[[str, Context], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Resources:
    """Resource, or NotResource where it is `excluded`. `patterns` are what is written, taken apart; `variables` theirs."""

    written: tuple[str, ...]
    excluded: bool
    patterns: tuple[tuple[Token, ...], ...] = field(repr=False)
    variables: tuple[Variable, ...] = field(repr=False)
    cover: Covers = field(repr=False)
    """Whether the statement is about the resource. What has a variable without a text is like no resource."""

    @property
    def everything(self) -> bool:
        return not self.excluded and "*" in self.written

    @property
    def cost(self) -> int:
        return cost_of(self.patterns)


def compile_resources(written: Sequence[str], *, excluded: bool, variables: bool) -> Resources:
    patterns = tuple(resource_tokens(one, variables=variables) for one in written)
    used = tuple(part for pattern in patterns for part in pattern if isinstance(part, Variable))
    plain = any_of([compile_match(pattern) for pattern in patterns if is_fixed(pattern)])
    moving = [pattern for pattern in patterns if not is_fixed(pattern)]

    def cover(resource: str, context: Context) -> bool:
        if not moving:
            return plain(resource) is not excluded
        matched = plain(resource)
        for pattern in () if matched else moving:
            fixed = resolve(pattern, context)
            matched = matched or (fixed is not None and compile_match(fixed)(resource))
        return matched is not excluded

    return Resources(tuple(written), excluded, patterns, used, cover)


def literal_tail(pattern: Sequence[Token]) -> tuple[str, bool] | None:
    """What the sixth segment of an ARN begins with if the pattern is to match it, and whether that is all of it. None
    where the pattern may match texts of other than six segments only, or has no six."""
    head = 0
    for position, part in enumerate(pattern):
        if not isinstance(part, str):
            continue
        colons = part.count(":")
        if head + colons >= SEGMENTS - 1:
            tail = part.split(":", SEGMENTS - 1 - head)[-1]
            return tail, position + 1 == len(pattern)
        head += colons
    return None


def any_of(matches: Sequence[Match]) -> Match:
    if len(matches) == 1:
        return matches[0]

    def match(text: str) -> bool:
        return any(one(text) for one in matches)

    return match

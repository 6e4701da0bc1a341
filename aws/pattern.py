"""The regular expressions of service models: Java's syntax, matched in time linear in the text.

The models' patterns are applied to whatever a caller sends, and several of them take exponential time in a
backtracking matcher. Here an expression becomes a nondeterministic automaton whose deterministic states are made as
texts need them. As in AWS's validation an expression has to match the whole text.
"""

import re
import sys
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

_MOST_NODES: Final = 50_000
_MOST_TRANSITIONS: Final = 100_000
_NO_LIMIT: Final = 1 << 62


class PatternError(ValueError):
    """The expression is not Java's, or uses what is not matched here (back-references, lookbehind, flags)."""


# --- sets of characters


@dataclass(frozen=True, slots=True)
class CharSet:
    """Characters by code point ranges, by Unicode general categories (or their first letter), and by further sets."""

    ranges: tuple[tuple[int, int], ...] = ()
    categories: tuple[str, ...] = ()
    sets: tuple["CharSet", ...] = ()
    negated: bool = False

    def __contains__(self, character: str) -> bool:
        point = ord(character)
        found = any(low <= point <= high for low, high in self.ranges) or any(character in one for one in self.sets)
        if not found and self.categories:
            found = unicodedata.category(character).startswith(self.categories)
        return found is not self.negated


def _among(characters: str, *ranges: tuple[str, str]) -> CharSet:
    points = [(ord(one), ord(one)) for one in characters]
    return CharSet(ranges=(*points, *((ord(low), ord(high)) for low, high in ranges)))


def _but(inner: CharSet) -> CharSet:
    return CharSet(sets=(inner,), negated=True)


_ANY = CharSet(negated=True)
_DIGIT = _among("", ("0", "9"))
_SPACE = _among(" \t\n\x0b\f\r")
_WORD = _among("_", ("a", "z"), ("A", "Z"), ("0", "9"))
_LINE = _but(_among("\n\r\x85\u2028\u2029"))
_SHORTHANDS: Final = {
    "d": _DIGIT,
    "D": _but(_DIGIT),
    "s": _SPACE,
    "S": _but(_SPACE),
    "w": _WORD,
    "W": _but(_WORD),
}
# java.util.regex.Pattern, "POSIX character classes (US-ASCII only)".
_POSIX: Final = {
    "Lower": _among("", ("a", "z")),
    "Upper": _among("", ("A", "Z")),
    "ASCII": _among("", ("\x00", "\x7f")),
    "Alpha": _among("", ("a", "z"), ("A", "Z")),
    "Digit": _DIGIT,
    "Alnum": _among("", ("a", "z"), ("A", "Z"), ("0", "9")),
    "Punct": _among("", ("!", "/"), (":", "@"), ("[", "`"), ("{", "~")),
    "Graph": _among("", ("!", "~")),
    "Print": _among("", (" ", "~")),
    "Blank": _among(" \t"),
    "Cntrl": _among("\x7f", ("\x00", "\x1f")),
    "XDigit": _among("", ("0", "9"), ("a", "f"), ("A", "F")),
    "Space": _SPACE,
}
_CATEGORY: Final = re.compile(r"C[cfnos]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?")
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "a": "\x07", "e": "\x1b"}


# --- the expression as a tree


@dataclass(frozen=True, slots=True)
class _One:
    set: CharSet


@dataclass(frozen=True, slots=True)
class _Sequence:
    parts: tuple["_Tree", ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    branches: tuple["_Tree", ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    body: "_Tree"
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class _Edge:
    """The beginning or the end of the text."""

    end: bool


@dataclass(frozen=True, slots=True)
class _Ahead:
    body: "_Tree"
    negated: bool


_Tree: TypeAlias = _One | _Sequence | _Choice | _Repeat | _Edge | _Ahead


class _Reader:
    """Recursive descent over one expression."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0

    def read(self) -> _Tree:
        tree = self._choice()
        if self._at < len(self._source):
            raise self._error("unbalanced parenthesis")
        return tree

    def _error(self, what: str) -> PatternError:
        return PatternError(f"{what} at offset {self._at} of pattern {self._source!r}")

    def _peek(self, text: str) -> bool:
        return self._source.startswith(text, self._at)

    def _take(self, text: str) -> bool:
        if not self._peek(text):
            return False
        self._at += len(text)
        return True

    def _next(self) -> str:
        if self._at >= len(self._source):
            raise self._error("unexpected end")
        self._at += 1
        return self._source[self._at - 1]

    def _until(self, end: str) -> str:
        stop = self._source.find(end, self._at)
        if stop < 0:
            raise self._error(f"{end!r} is missing")
        text = self._source[self._at : stop]
        self._at = stop + len(end)
        return text

    def _choice(self) -> _Tree:
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else _Choice(tuple(branches))

    def _sequence(self) -> _Tree:
        parts: list[_Tree] = []
        while self._at < len(self._source) and not self._peek("|") and not self._peek(")"):
            parts.append(self._quantified(self._atom()))
        return parts[0] if len(parts) == 1 else _Sequence(tuple(parts))

    def _atom(self) -> _Tree:
        match self._next():
            case "(":
                return self._group()
            case "[":
                return _One(self._set())
            case ".":
                return _One(_LINE)
            case "^":
                return _Edge(end=False)
            case "$":
                return _Edge(end=True)
            case "\\":
                return self._escaped_atom()
            case "*" | "+" | "?" | "{":
                raise self._error("nothing to repeat")
            case character:
                return _One(_among(character))

    def _group(self) -> _Tree:
        ahead: bool | None = None
        if self._take("?"):
            if self._take("=") or self._take("!"):
                ahead = self._source[self._at - 1] == "!"
            elif self._peek("<=") or self._peek("<!"):
                raise self._error("lookbehind is not matched")
            elif self._take("<"):
                self._until(">")
            elif not self._take(":"):
                raise self._error("flags and atomic groups are not matched")
        body = self._choice()
        if not self._take(")"):
            raise self._error("')' is missing")
        return body if ahead is None else _Ahead(body, negated=ahead)

    def _quantified(self, body: _Tree) -> _Tree:
        while True:
            if self._take("*"):
                least, most = 0, _NO_LIMIT
            elif self._take("+"):
                least, most = 1, _NO_LIMIT
            elif self._take("?"):
                least, most = 0, 1
            elif self._take("{"):
                least, most = self._bounds(self._until("}"))
            else:
                return body
            if isinstance(body, (_Edge, _Ahead)):
                raise self._error("nothing to repeat")
            if self._take("+"):
                raise self._error("possessive quantifiers are not matched")
            self._take("?")  # reluctant: the same texts match as a whole
            body = _Repeat(body, least, most)

    def _bounds(self, text: str) -> tuple[int, int]:
        first, comma, last = text.partition(",")
        try:
            least = int(first)
            most = least if not comma else int(last) if last else _NO_LIMIT
        except ValueError as error:
            raise self._error(f"{{{text}}} is not a quantifier") from error
        if not 0 <= least <= most:
            raise self._error(f"{{{text}}} is not a quantifier")
        return least, most

    def _escaped_atom(self) -> _Tree:
        if self._take("A"):
            return _Edge(end=False)
        if self._take("z") or self._take("Z"):
            return _Edge(end=True)
        shorthand = self._shorthand()
        return _One(_among(self._escaped_character()) if shorthand is None else shorthand)

    def _shorthand(self) -> CharSet | None:
        """The set behind `\\d`, `\\p{L}` and their like, if that is what stands here."""
        character = self._next()
        if character in _SHORTHANDS:
            return _SHORTHANDS[character]
        if character not in "pP":
            self._at -= 1
            return None
        name = self._until("}") if self._take("{") else self._next()
        category = name.removeprefix("Is")
        if name in _POSIX:
            inner = _POSIX[name]
        elif _CATEGORY.fullmatch(category):
            inner = CharSet(categories=(category,))
        else:
            raise self._error(f"the property {name!r} is not known")
        return inner if character == "p" else _but(inner)

    def _escaped_character(self) -> str:
        character = self._next()
        if character == "u":
            point = self._hex(4)
            if 0xD800 <= point < 0xDC00 and self._take("\\u"):
                point = 0x10000 + ((point - 0xD800) << 10) + (self._hex(4) - 0xDC00)
            return chr(point)
        if character == "x":
            text = self._until("}") if self._take("{") else ""
            return chr(self._code_point(text, len(text)) if text else self._hex(2))
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character.isalnum():
            raise self._error(f"the escape \\{character} is not matched")
        return character

    def _hex(self, digits: int) -> int:
        text = self._source[self._at : self._at + digits]
        self._at += digits
        return self._code_point(text, digits)

    def _code_point(self, text: str, digits: int) -> int:
        if not re.fullmatch(f"[0-9A-Fa-f]{{{digits}}}", text) or int(text, 16) > sys.maxunicode:
            raise self._error(f"{text!r} is not a character's number")
        return int(text, 16)

    def _set(self) -> CharSet:
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        sets: list[CharSet] = []
        first = True
        while first or not self._take("]"):
            first = False
            if self._peek("&&"):
                raise self._error("intersections are not matched")
            character = self._next()
            if character == "[":
                sets.append(self._set())
                continue
            if character == "\\":
                shorthand = self._shorthand()
                if shorthand is not None:
                    sets.append(shorthand)
                    continue
                character = self._escaped_character()
            low = high = ord(character)
            if self._peek("-") and not self._peek("-]") and not self._peek("-["):
                before = self._at
                self._at += 1
                character = self._next()
                if character == "\\":
                    if self._shorthand() is not None:  # [a-\d]: the hyphen stands for itself
                        self._at = before
                        ranges.append((low, high))
                        continue
                    character = self._escaped_character()
                high = ord(character)
                if high < low:
                    raise self._error("a range runs backwards")
            ranges.append((low, high))
        return CharSet(ranges=tuple(ranges), sets=tuple(sets), negated=negated)


# --- the automaton


@dataclass(slots=True)
class _Node:
    """`to` after one character of `set`, or without one: always, or where the edge or the next character allow it."""

    to: tuple[int, ...] = ()
    set: CharSet | None = None
    edge: _Edge | None = None
    ahead: tuple[CharSet, bool] | None = None
    accept: bool = False


class _State:
    __slots__ = ("accepts", "initial", "nodes", "successors")

    def __init__(self, nodes: frozenset[int], *, initial: bool) -> None:
        self.nodes = nodes
        self.initial = initial
        self.successors: dict[str, _State] = {}
        self.accepts: bool | None = None


class _Automaton:
    def __init__(self, tree: _Tree) -> None:
        self._nodes: list[_Node] = [_Node(accept=True)]
        start = self._build(tree, 0)
        self._start = _State(frozenset((start,)), initial=True)
        self._states: dict[frozenset[int], _State] = {}
        self._transitions = 0

    def matches(self, text: str) -> bool:
        state = self._start
        for character in text:
            successor = state.successors.get(character)
            if successor is None:
                successor = self._step(state, character)
            if not successor.nodes:
                return False
            state = successor
        if state.accepts is None:
            state.accepts = any(self._nodes[node].accept for node in self._closure(state, None))
        return state.accepts

    def _add(self, node: _Node) -> int:
        if len(self._nodes) >= _MOST_NODES:
            raise PatternError("the expression is too large")
        self._nodes.append(node)
        return len(self._nodes) - 1

    def _build(self, tree: _Tree, after: int) -> int:
        """Adds the nodes of `tree`, which lead on to `after`; returns where they begin."""
        match tree:
            case _One(characters):
                return self._add(_Node(to=(after,), set=characters))
            case _Sequence(parts):
                for part in reversed(parts):
                    after = self._build(part, after)
                return after
            case _Choice(branches):
                return self._add(_Node(to=tuple(self._build(branch, after) for branch in branches)))
            case _Repeat(body, least, most):
                return self._build_repeat(body, least, most, after)
            case _Edge():
                return self._add(_Node(to=(after,), edge=tree))
            case _Ahead(_One(characters), negated):
                return self._add(_Node(to=(after,), ahead=(characters, negated)))
            case _Ahead():
                raise PatternError("lookahead of more than a character is matched at the beginning only")

    def _build_repeat(self, body: _Tree, least: int, most: int, after: int) -> int:
        begin = after
        if most == _NO_LIMIT:
            begin = self._add(_Node())
            self._nodes[begin].to = (self._build(body, begin), after)
        else:
            for _ in range(most - least):
                begin = self._add(_Node(to=(self._build(body, begin), after)))
        for _ in range(least):
            begin = self._build(body, begin)
        return begin

    def _closure(self, state: _State, character: str | None) -> Iterable[int]:
        """The nodes reached from `state` without taking `character`, the next one (None: the text ends here)."""
        seen = set(state.nodes)
        pending = list(seen)
        while pending:
            node = self._nodes[pending.pop()]
            if node.set is not None:
                continue
            if node.edge is not None and not (character is None if node.edge.end else state.initial):
                continue
            if node.ahead is not None:
                wanted, negated = node.ahead
                if (character is not None and character in wanted) is negated:
                    continue
            new = [one for one in node.to if one not in seen]
            seen.update(new)
            pending += new
        return seen

    def _step(self, state: _State, character: str) -> _State:
        nodes: set[int] = set()
        for index in self._closure(state, character):
            node = self._nodes[index]
            if node.set is not None and character in node.set:
                nodes.update(node.to)
        if self._transitions >= _MOST_TRANSITIONS:  # forget, rather than grow with every text
            for known in (self._start, *self._states.values()):
                known.successors = {}
            self._states = {}
            self._transitions = 0
        key = frozenset(nodes)
        successor = self._states.setdefault(key, _State(key, initial=False))
        state.successors[character] = successor
        self._transitions += 1
        return successor


class Pattern:
    """A compiled expression; `source` is as in the model. Safe to share between threads."""

    __slots__ = ("_matches", "source")

    def __init__(self, source: str) -> None:
        """Raises PatternError."""
        self.source = source
        self._matches = _matcher(_Reader(source).read())

    def matches(self, text: str) -> bool:
        """Whether the whole of `text` is matched, in time linear in its length."""
        return self._matches(text)

    def __repr__(self) -> str:
        return f"Pattern({self.source!r})"


def _matcher(tree: _Tree) -> Callable[[str], bool]:
    parts = list(tree.parts if isinstance(tree, _Sequence) else (tree,))
    conditions: list[tuple[_Automaton, bool]] = []
    while parts and (isinstance(parts[0], _Ahead) or parts[0] == _Edge(end=False)):
        first = parts.pop(0)
        if isinstance(first, _Ahead):
            rest = _Repeat(_One(_ANY), 0, _NO_LIMIT)
            conditions.append((_Automaton(_Sequence((first.body, rest))), first.negated))
    while parts and parts[-1] == _Edge(end=True):
        parts.pop()
    body = _class_matcher(parts[0]) if len(parts) == 1 else None
    if body is None:
        body = _Automaton(_Sequence(tuple(parts))).matches
    if not conditions:
        return body
    whole = body
    return lambda text: whole(text) and all(ahead.matches(text) is not negated for ahead, negated in conditions)


def _class_matcher(tree: _Tree) -> Callable[[str], bool] | None:
    """Most patterns are one class of characters, repeated; only the text's different characters have to be looked at."""
    if not isinstance(tree, _Repeat) or not isinstance(tree.body, _One):
        return None
    characters, least, most = tree.body.set, tree.least, tree.most
    return lambda text: least <= len(text) <= most and all(one in characters for one in set(text))

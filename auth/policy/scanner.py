"""JSON that knows where each of its parts stands, and is stricter than JSON: no key twice, no endless depth."""

import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, TypeAlias

DEEPEST = 32
"""Far beyond any policy; what is deeper is refused before it costs anything."""

LONGEST = 20_480
"""Characters of a text: twice what the largest policy may have. What a pattern costs grows with the square."""
_DIGITS = 400

_TOKEN = re.compile(
    r"[ \t\r\n]*+(?:"
    r"(?P<sign>[{}\[\],:])"
    r'|(?P<string>"(?:[^"\\\x00-\x1f]++|\\.)*+")'
    r"|(?P<number>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?)"
    r"|(?P<word>true|false|null)"
    r"|(?P<end>\Z))"
)
_WORDS = {"true": True, "false": False, "null": None}


class Unreadable(ValueError):
    """Not JSON, or not JSON that means one thing only."""

    def __init__(self, detail: str, offset: int) -> None:
        super().__init__(detail)
        self.detail = detail
        self.offset = offset


class Number(str):
    """A number as it is written."""

    __slots__ = ()


Content: TypeAlias = "str | Number | bool | list[Node] | dict[str, Node] | None"


@dataclass(slots=True, eq=False)
class Node:
    """A value and the offsets of its first character and of what follows its last; `key` is where its name starts, in
    an object."""

    content: Content
    start: int
    end: int
    key: int = -1


def scan(text: str) -> Node:
    """Raises Unreadable. Time is linear in the text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unreadable("half of a surrogate pair", error.start) from error
    node = _value(text, 0, 0)
    kind, _, start, _ = _token(text, node.end)
    if kind != "end":
        raise Unreadable("something follows the document", start)
    return node


def plain(node: Node) -> Any:
    """The value as json.loads would have it."""
    content = node.content
    if isinstance(content, dict):
        return {name: plain(member) for name, member in content.items()}
    if isinstance(content, list):
        return [plain(member) for member in content]
    if isinstance(content, Number):
        return float(content) if set(content) & set(".eE") else int(content)
    return content


class Lines:
    """From offsets to lines and columns."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def place(self, offset: int) -> tuple[int, int]:
        """Both from 1."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def start(self, line: int) -> int:
        """The offset of a line's first character."""
        return self._starts[line - 1]


def _token(text: str, at: int) -> tuple[str, str, int, int]:
    """Kind, text, offsets of its start and end."""
    found = _TOKEN.match(text, at)
    if found is None or found.lastgroup is None:
        start = at + len(text[at : at + 1000]) - len(text[at : at + 1000].lstrip(" \t\r\n"))
        raise Unreadable("neither a value nor a sign of JSON", start)
    kind = found.lastgroup
    return kind, found[kind], found.start(kind), found.end()


def _value(text: str, at: int, depth: int) -> Node:
    kind, written, start, end = _token(text, at)
    match kind:
        case "string":
            return Node(_string(written, start), start, end)
        case "number":
            if len(written) > _DIGITS:
                raise Unreadable(f"a number of more than {_DIGITS} digits", start)
            return Node(Number(written), start, end)
        case "word":
            return Node(_WORDS[written], start, end)
    if depth >= DEEPEST:
        raise Unreadable(f"nested deeper than {DEEPEST} levels", start)
    if written == "{":
        return _object(text, start, end, depth + 1)
    if written == "[":
        return _array(text, start, end, depth + 1)
    raise Unreadable("a value is missing", start)


def _string(written: str, start: int) -> str:
    if len(written) > LONGEST:
        raise Unreadable(f"a text of more than {LONGEST:,} characters", start)
    if "\\" not in written:
        return written[1:-1]
    try:
        value: str = json.loads(written)
        value.encode()
    except ValueError as error:
        raise Unreadable("a string with an escape that is none", start) from error
    return value


def _object(text: str, start: int, at: int, depth: int) -> Node:
    members: dict[str, Node] = {}
    kind, written, here, end = _token(text, at)
    if written == "}" and kind == "sign":
        return Node(members, start, end)
    while True:
        if kind != "string":
            raise Unreadable("a name in double quotes is missing", here)
        name = _string(written, here)
        if name in members:
            raise Unreadable(f"{name!r} stands twice in one object", here)
        colon, sign, there, end = _token(text, end)
        if colon != "sign" or sign != ":":
            raise Unreadable("a colon is missing", there)
        member = _value(text, end, depth)
        member.key = here
        members[name] = member
        kind, written, here, end = _token(text, member.end)
        if kind == "sign" and written == "}":
            return Node(members, start, end)
        if kind != "sign" or written != ",":
            raise Unreadable("a comma or a closing brace is missing", here)
        kind, written, here, end = _token(text, end)


def _array(text: str, start: int, at: int, depth: int) -> Node:
    members: list[Node] = []
    kind, written, here, end = _token(text, at)
    if written == "]" and kind == "sign":
        return Node(members, start, end)
    end = at
    while True:
        member = _value(text, end, depth)
        members.append(member)
        kind, written, here, end = _token(text, member.end)
        if kind == "sign" and written == "]":
            return Node(members, start, end)
        if kind != "sign" or written != ",":
            raise Unreadable("a comma or a closing bracket is missing", here)

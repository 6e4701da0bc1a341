"""Tables of cases from YAML and JSON, with the place of everything."""

from collections.abc import Mapping
from typing import Final

import yaml

from auth.policy.scanner import Lines, Node, Unreadable, scan
from auth.rehearsal.written import Content, Member, Refused, Written

_NOTHING: Final = "tag:yaml.org,2002:null"
_MOST: Final = 200_000
"""Values in one table, each alias counted where it stands."""
_DEEPEST: Final = 32


def parse_table(text: str, file: str) -> Written:
    """JSON where the file's name ends so, otherwise YAML. Raises Refused."""
    return _parse_json(text) if file.lower().endswith(".json") else _parse_yaml(text)


def _parse_json(text: str) -> Written:
    lines = Lines(text)
    try:
        return _from_json(scan(text), lines)
    except Unreadable as error:
        raise Refused(f"it is no JSON: {error.detail}", *lines.place(error.offset)) from error


def _from_json(node: Node, lines: Lines) -> Written:
    place = lines.place(node.start)
    content: Content
    match node.content:
        case bool(truth):
            content = "true" if truth else "false"
        case list(several):
            content = tuple(_from_json(one, lines) for one in several)
        case dict(members):
            content = {name: Member(_from_json(one, lines), *lines.place(one.key)) for name, one in members.items()}
        case text:
            content = None if text is None else str(text)
    return Written(content, *place)


def _parse_yaml(text: str) -> Written:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        raise Refused(f"it is no YAML: {error.problem or error.context}", line, column) from error
    except yaml.YAMLError as error:
        raise Refused(f"it is no YAML: {' '.join(str(error).split())}", 1, 1) from error
    except RecursionError as error:
        raise Refused(f"it is nested deeper than {_DEEPEST} levels", 1, 1) from error
    if root is None:
        raise Refused("it is empty", 1, 1)
    return _Composed().read(root, 0)


class _Composed:
    """Texts stand as they are written: 012345678901 is an account, and yes a word."""

    def __init__(self) -> None:
        self._left = _MOST

    def read(self, node: yaml.Node, depth: int) -> Written:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            what = "it holds too many values" if self._left < 0 else f"it is nested deeper than {_DEEPEST} levels"
            raise Refused(what, line, column)
        content: Content
        if isinstance(node, yaml.MappingNode):
            content = self._members(node, depth)
        elif isinstance(node, yaml.SequenceNode):
            content = tuple(self.read(one, depth + 1) for one in node.value)
        else:
            content = None if node.tag == _NOTHING else node.value
        return Written(content, line, column)

    def _members(self, node: yaml.MappingNode, depth: int) -> Mapping[str, Member]:
        members: dict[str, Member] = {}
        for key, value in node.value:
            line, column = key.start_mark.line + 1, key.start_mark.column + 1
            if not isinstance(key, yaml.ScalarNode):
                raise Refused("a name is wanted before the colon", line, column)
            if key.value in members:
                raise Refused(f"`{key.value}` stands twice", line, column)
            members[key.value] = Member(self.read(value, depth + 1), line, column)
        return members

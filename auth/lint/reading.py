"""A policy with the place of each of its parts, as far as it can be read at all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from auth.policy.conditions import Clause
from auth.policy.document import (
    OLD_VERSION,
    Kind,
    PolicyMalformed,
    Statement,
    parse_policy,
)
from auth.policy.scanner import Lines, Node, Unreadable, scan


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets in the document's text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Text:
    """A value and where it stands."""

    text: str
    at: Span


@dataclass(frozen=True, slots=True)
class Listed:
    """Action, NotAction, Resource or NotResource (`excluded`: the two that begin with Not). `at` is its name."""

    name: str
    at: Span
    values: tuple[Text, ...]

    @property
    def excluded(self) -> bool:
        return self.name.startswith("Not")


@dataclass(frozen=True, slots=True)
class Asked:
    """One operator with one key, compiled. `at` is the key, `operator_at` the operator."""

    clause: Clause
    operator_at: Span
    at: Span
    values: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """A principal. `type` is AWS, Service, Federated, CanonicalUser, or empty for a bare `*`."""

    type: str
    text: str
    at: Span


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One statement that is well-formed. `number` counts all of the document's, from 0."""

    number: int
    at: Span
    compiled: Statement
    sid: Text | None
    actions: Listed
    resources: Listed | None
    principals: tuple[Named, ...]
    principal_at: Span | None
    asked: tuple[Asked, ...]
    empty: tuple[Span, ...]
    """Conditions that ask for nothing."""

    @property
    def allows(self) -> bool:
        return self.compiled.effect == "Allow"

    @property
    def label(self) -> str:
        """What people call it."""
        return f"statement {self.number + 1}" + (f" ({self.sid.text})" if self.sid and self.sid.text else "")


@dataclass(frozen=True, slots=True)
class Fault:
    """What the service that keeps such policies refuses: its message, and what is wrong."""

    message: str
    detail: str
    line: int
    column: int


@dataclass(frozen=True)
class Document:
    """`faults` are those of the whole, and the first one of each statement."""

    text: str
    kind: Kind
    version: str
    version_at: Span | None
    start: int
    parts: tuple[Part, ...]
    faults: tuple[Fault, ...]

    @cached_property
    def _lines(self) -> Lines:
        return Lines(self.text)

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, from 1."""
        return self._lines.place(offset)

    def offset(self, line: int, column: int) -> int:
        """Of a place."""
        return self._lines.start(line) + column - 1

    @property
    def has_variables(self) -> bool:
        return self.version != OLD_VERSION


def read(text: str, kind: Kind) -> Document:
    """Never raises: what cannot be read is among the faults."""
    try:
        policy = parse_policy(text, kind)
    except PolicyMalformed as error:
        return _read_broken(text, kind, error)
    root = scan(text)
    nodes = _statements(root)
    parts = tuple(_part(number, node, policy.statements[number]) for number, node in enumerate(nodes))
    return Document(text, kind, policy.version, _version_at(root), root.start, parts, ())


def guess_kind(text: str) -> Kind:
    """What a document is likely to be, by what stands in it: who names principals is a policy of a resource."""
    try:
        nodes = _statements(scan(text))
    except Unreadable:
        return Kind.IDENTITY
    statements = [_members(node) for node in nodes]
    if not any({"Principal", "NotPrincipal"} & members.keys() for members in statements):
        return Kind.IDENTITY
    actions = [one.text.lower() for members in statements for one in _texts(members.get("Action"))]
    if actions and all(action.startswith("sts:") for action in actions):
        return Kind.TRUST
    with_resource = [bool({"Resource", "NotResource"} & members.keys()) for members in statements]
    return Kind.REGISTRY if all(with_resource) else Kind.REPOSITORY


def _read_broken(text: str, kind: Kind, error: PolicyMalformed) -> Document:
    """Each statement is tried alone."""
    faults = [Fault(error.message, error.detail, error.line, error.column)]
    try:
        root = scan(text)
    except Unreadable:
        return Document(text, kind, OLD_VERSION, None, 0, (), tuple(faults))
    version = _members(root).get("Version")
    written = version.content if version is not None and isinstance(version.content, str) else OLD_VERSION
    lines = Lines(text)
    parts = []
    for number, node in enumerate(_statements(root)):
        head = f'{{"Version": "{_good_version(written, kind)}", "Statement": [\n'
        try:
            policy = parse_policy(f"{head}{text[node.start : node.end]}\n]}}", kind)
        except PolicyMalformed as its:
            line, column = lines.place(node.start)
            column = its.column + column - 1 if its.line == 2 else its.column
            fault = Fault(its.message, its.detail, line + max(its.line, 2) - 2, column)
            if (fault.line, fault.column) != (error.line, error.column):
                faults.append(fault)
            continue
        parts.append(_part(number, node, policy.statements[0]))
    return Document(text, kind, written, _version_at(root), root.start, tuple(parts), tuple(faults))


def _good_version(written: str, kind: Kind) -> str:
    good = "2012-10-17"
    return written if written == OLD_VERSION and kind is not Kind.CONTROL else good


def _statements(root: Node) -> Sequence[Node]:
    statement = _members(root).get("Statement")
    if statement is None:
        return ()
    return statement.content if isinstance(statement.content, list) else [statement]


def _version_at(root: Node) -> Span | None:
    version = _members(root).get("Version")
    return None if version is None else Span(version.start, version.end)


def _part(number: int, node: Node, compiled: Statement) -> Part:
    members = _members(node)
    listed = {name: _listed(name, members[name]) for name in _LISTS if name in members}
    principal = members.get("Principal") or members.get("NotPrincipal")
    clauses = iter(compiled.clauses)
    asked, empty = [], []
    condition = members.get("Condition")
    for written, keys in _members(condition).items():
        for name, values in _members(keys).items():
            asked.append(Asked(next(clauses), _key(keys, written), _key(values, name), tuple(_texts(values))))
        if not _members(keys):
            empty.append(_key(keys, written))
    if condition is not None and not _members(condition):
        empty.append(_key(condition, "Condition"))
    return Part(
        number,
        Span(node.start, node.end),
        compiled,
        next(iter(_texts(members.get("Sid"))), None),
        listed.get("Action") or listed["NotAction"],
        listed.get("Resource") or listed.get("NotResource"),
        tuple(_principals(principal)) if principal is not None else (),
        None if principal is None else _key(principal, "Principal"),
        tuple(asked),
        tuple(empty),
    )


_LISTS = ("Action", "NotAction", "Resource", "NotResource")


def _listed(name: str, node: Node) -> Listed:
    return Listed(name, _key(node, name), tuple(_texts(node)))


def _principals(node: Node) -> Iterator[Named]:
    if isinstance(node.content, str):
        yield Named("", node.content, Span(node.start, node.end))
    for kind, values in _members(node).items():
        for one in _texts(values):
            yield Named(kind, one.text, one.at)


def _texts(node: Node | None) -> Iterator[Text]:
    """The values that stand in a list, or alone."""
    if node is None:
        return
    for one in node.content if isinstance(node.content, list) else [node]:
        content = one.content
        if isinstance(content, bool):
            yield Text("true" if content else "false", Span(one.start, one.end))
        elif isinstance(content, str):
            yield Text(content, Span(one.start, one.end))


def _key(node: Node, name: str) -> Span:
    """Where the name of a member stands."""
    return Span(node.key, node.key + len(name) + 2)


def _members(node: Node | None) -> Mapping[str, Node]:
    return node.content if node is not None and isinstance(node.content, dict) else {}

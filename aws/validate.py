"""Are parameters within the constraints of the model.

The checks give structured violations; a service says in whose words it reports them: `report_all` is the grammar of
most services, `report_first` that of ECR's.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from aws.errors import AwsError, Common
from aws.model import Kind, Shape

_MOST_VIOLATIONS: Final = 50
_LONGEST_VALUE: Final = 1024
_LONGEST_MATCHED: Final = 1 << 20
_REDACTED: Final = "*** Sensitive Data Redacted ***"


@dataclass(frozen=True, slots=True)
class Constraint:
    """One demand of the model, met or not. `limit` is a bound, a pattern or the values of an enum in AWS's words."""

    kind: str
    """null, pattern, enum, {length,value}-{least,most}."""
    limit: str = ""

    @property
    def text(self) -> str:
        """As AWS has it after `Member must `."""
        return _TEXTS[self.kind].format(self.limit)


_TEXTS: Final = {
    "null": "not be null",
    "pattern": "satisfy regular expression pattern: {}",
    "enum": "satisfy enum value set: [{}]",
    "length-least": "have length greater than or equal to {}",
    "length-most": "have length less than or equal to {}",
    "value-least": "have value greater than or equal to {}",
    "value-most": "have value less than or equal to {}",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """`path` is AWS's: `tags.1.member.key`; `value` is shown in AWS's way; None: there is none.

    `of` is empty for a demand on the value itself; the demands on a list's elements and on a map's keys and values are
    reported on the list or map, all of them whichever is broken.
    """

    path: str
    value: str | None
    constraints: tuple[Constraint, ...]
    of: str = ""

    @property
    def shown(self) -> str:
        """The value in quotes, or null."""
        return "null" if self.value is None else f"'{self.value}'"

    @property
    def text(self) -> str:
        """What comes after `failed to satisfy constraint: `."""
        if not self.of:
            return f"Member must {self.constraints[0].text}"
        demands = ", ".join(f"Member must {one.text}" for one in self.constraints)
        return f"{self.of} must satisfy constraint: [{demands}]"


Report: TypeAlias = Callable[[Sequence[Violation]], AwsError]


def report_all(violations: Sequence[Violation]) -> AwsError:
    """ValidationException (ValidationError in Query) with every violation."""
    found = "; ".join(
        f"Value {one.shown} at '{one.path}' failed to satisfy constraint: {one.text}" for one in violations
    )
    plural = "" if len(violations) == 1 else "s"
    return Common.VALIDATION.error(f"{len(violations)} validation error{plural} detected: {found}")


def report_first(code: str, *, plain: Collection[str] = ()) -> Report:
    """`code` with the first violation: `Invalid parameter at 'x' failed to satisfy constraint: '..'`.

    Of the members in `plain` the texts go without `Member`, as ECR's for repositoryName.
    """

    def report(violations: Sequence[Violation]) -> AwsError:
        first = violations[0]
        text = first.text
        if first.path in plain and not first.of:
            constraint = first.constraints[0]
            text = f"must {constraint.text}"
            if constraint.kind == "pattern":
                text = f"must satisfy regular expression '{constraint.limit}'"
        return AwsError(code, f"Invalid parameter at '{first.path}' failed to satisfy constraint: '{text}'")

    return report


def violations(shape: Shape | None, parameters: dict[str, Any]) -> list[Violation]:
    """Everything in `parameters` that the shape does not admit, up to fifty."""
    found: list[Violation] = []
    if shape is not None:
        _check_structure(shape, parameters, "", found)
    return found


def _check_structure(shape: Shape, value: dict[str, Any], path: str, found: list[Violation]) -> None:
    prefix = f"{path}." if path else ""
    for name in shape.required:
        if value.get(name) is None and len(found) < _MOST_VIOLATIONS:
            found.append(Violation(prefix + _lower_first(name), None, (Constraint("null"),)))
    members = shape.members
    for name, item in value.items():
        if item is not None:
            _check(members[name], item, prefix + _lower_first(name), found)


def _check(shape: Shape, value: Any, path: str, found: list[Violation]) -> None:
    if len(found) >= _MOST_VIOLATIONS:
        return
    found += (Violation(path, _show(shape, value), (broken,)) for broken in _broken(shape, value))
    if shape.kind is Kind.STRUCTURE:
        if not shape.document:
            _check_structure(shape, value, path, found)
    elif shape.kind is Kind.LIST:
        assert shape.element is not None
        _check_elements(shape, shape.element, value, path, found)
    elif shape.kind is Kind.MAP:
        assert shape.key is not None
        assert shape.value is not None
        _check_entries(shape, value, path, found)


def _check_elements(shape: Shape, element: Shape, values: list[Any], path: str, found: list[Violation]) -> None:
    for number, item in enumerate(values, 1):
        if item is None:
            found.append(Violation(f"{path}.{number}.member", None, (Constraint("null"),)))
        elif not element.scalar:
            _check(element, item, f"{path}.{number}.member", found)
        elif _broken(element, item):  # reported once, on the list
            found.append(Violation(path, _show(shape, values), tuple(_demands(element)), of="Member"))
            return
        if len(found) >= _MOST_VIOLATIONS:
            return


def _check_entries(shape: Shape, entries: dict[str, Any], path: str, found: list[Violation]) -> None:
    assert shape.key is not None
    assert shape.value is not None
    if any(_broken(shape.key, key) for key in entries):
        found.append(Violation(path, _show(shape, entries), tuple(_demands(shape.key)), of="Map keys"))
    for key, item in entries.items():
        if item is None:
            found.append(Violation(f"{path}.{key[:100]}.member", None, (Constraint("null"),)))
        elif not shape.value.scalar:
            _check(shape.value, item, f"{path}.{key[:100]}.member", found)
        elif _broken(shape.value, item):
            found.append(Violation(path, _show(shape, entries), tuple(_demands(shape.value)), of="Map value"))
            return
        if len(found) >= _MOST_VIOLATIONS:
            return


def _broken(shape: Shape, value: Any) -> list[Constraint]:
    """The demands on the value itself that it does not meet."""
    broken = []
    kind = shape.kind
    too_long = False
    if shape.minimum is not None or shape.maximum is not None:
        word, size = _measure(kind, value)
        if shape.maximum is not None and size > shape.maximum:
            broken.append(Constraint(f"{word}-most", _number(shape.maximum)))
            too_long = True
        if shape.minimum is not None and size < shape.minimum:
            broken.append(Constraint(f"{word}-least", _number(shape.minimum)))
    if kind is Kind.STRING:
        too_long = too_long or len(value) > _LONGEST_MATCHED
        if shape.pattern is not None and not too_long and not shape.pattern.matches(value):
            broken.append(Constraint("pattern", shape.pattern.source))
        if shape.enum and value not in shape.enum:
            broken.append(Constraint("enum", ", ".join(in_hash_order(shape.enum))))
    return broken


def _demands(shape: Shape) -> list[Constraint]:
    """All demands on a scalar, in AWS's order."""
    demands = []
    word = _measure(shape.kind, "" if shape.kind in _SIZED else 0)[0]
    if shape.maximum is not None:
        demands.append(Constraint(f"{word}-most", _number(shape.maximum)))
    if shape.minimum is not None:
        demands.append(Constraint(f"{word}-least", _number(shape.minimum)))
    if shape.pattern is not None:
        demands.append(Constraint("pattern", shape.pattern.source))
    if shape.enum:
        demands.append(Constraint("enum", ", ".join(in_hash_order(shape.enum))))
    return demands


_SIZED: Final = frozenset({Kind.STRING, Kind.CHARACTER, Kind.BLOB, Kind.LIST, Kind.MAP})


def _measure(kind: Kind, value: Any) -> tuple[str, float]:
    return ("length", len(value)) if kind in _SIZED else ("value", value)


def _number(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]


def in_hash_order(values: Sequence[str]) -> list[str]:
    """As a java.util.HashSet of these strings lists them, which is the order that AWS's messages have."""
    capacity = 16
    while capacity * 3 < len(values) * 4:
        capacity *= 2

    def bucket(value: str) -> int:
        code = 0
        for character in value:
            code = (31 * code + ord(character)) & 0xFFFFFFFF
        return (code ^ (code >> 16)) & (capacity - 1)

    return sorted(values, key=bucket)


def _show(shape: Shape, value: Any) -> str:
    """A value as Java prints it, shortened."""
    text = _java(shape, value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _java(shape: Shape, value: Any) -> str:
    if value is None:
        return "null"
    if shape.sensitive:
        return _REDACTED
    match shape.kind:
        case Kind.STRUCTURE if not shape.document:
            parts = (f"{_lower_first(name)}={_java(shape.members[name], item)}" for name, item in value.items())
            return f"{shape.name}({', '.join(parts)})"
        case Kind.LIST if shape.element is not None:
            # more than fit need not be printed to be cut off
            return f"[{', '.join(_java(shape.element, item) for item in value[:_LONGEST_VALUE])}]"
        case Kind.MAP if shape.value is not None:
            return f"{{{', '.join(f'{key}={_java(shape.value, item)}' for key, item in value.items())}}}"
        case Kind.BLOB:
            return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
        case Kind.BOOLEAN:
            return str(value).lower()
        case _:
            return str(value)[: _LONGEST_VALUE + 1]

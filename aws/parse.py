"""From the body of a request to the parameters of an operation, by the shape of its input.

AWS JSON 1.0/1.1 and the Query protocol (Smithy, "AWS protocols"). Members that the model does not know are ignored,
members that are null are absent. What has the wrong type is refused here; lengths, patterns and required members are
the business of `aws.validate`.
"""

import binascii
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn
from urllib.parse import unquote_to_bytes

from aws.errors import AwsError, Common
from aws.model import Kind, Shape

MOST_FIELDS: Final = 20_000
"""Fields of a Query request."""
_MOST_DOTS: Final = 10 * MOST_FIELDS
_LONGEST_PICKED: Final = 1000
_DEEPEST: Final = 64
_BASE64_STEP: Final = 1 << 20  # a multiple of 4
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BITS: Final = {Kind.INTEGER: 31, Kind.LONG: 63}
_NON_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", re.ASCII)
_INDEX: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_SURROGATES_OR_NUL: Final = re.compile("[\ud800-\udfff\x00]")
_JAVA_NAMES: Final = {
    Kind.STRING: "a String",
    Kind.CHARACTER: "a Character",
    Kind.INTEGER: "an Integer",
    Kind.LONG: "a Long",
    Kind.FLOAT: "a Float",
    Kind.DOUBLE: "a Double",
    Kind.BOOLEAN: "a Boolean",
    Kind.TIMESTAMP: "a Timestamp",
    Kind.BLOB: "a Blob",
}


class _Wrong(Exception):
    """A value of the wrong type; the path to it grows on the way out."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.path: list[str] = []

    def under(self, *steps: str) -> "_Wrong":
        self.path[:0] = steps
        return self

    def error(self) -> AwsError:
        where = f" at '{'.'.join(self.path)}'" if self.path else ""
        return Common.MALFORMED_INPUT.error(f"{self.what}{where}")


# --- AWS JSON


def parse_json(shape: Shape | None, body: bytes) -> dict[str, Any]:
    """An empty body has no members. Raises AwsError (SerializationException)."""
    document = _load(body) if body.strip() else {}
    if not isinstance(document, dict):
        raise Common.MALFORMED_INPUT.error("the request body is not a JSON object")
    if shape is None:
        return {}
    try:
        return _structure(shape, document, 0)
    except _Wrong as wrong:
        raise wrong.error() from None


def _load(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        reason = f"the request body is not UTF-8 at byte {error.start}"
    except RecursionError:
        reason = "the request body is nested too deep"
    except json.JSONDecodeError as error:
        reason = f"the request body is not JSON: {error.msg} at character {error.pos}"
    except ValueError as error:  # of the hooks below, and of numbers with thousands of digits
        reason = f"the request body is not JSON: {error}"[:300]
    raise Common.MALFORMED_INPUT.error(reason)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the member {twice[:100]!r} is there twice")
    return members


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates)


def _token(value: object) -> str:
    """What a Java parser calls it."""
    match value:
        case bool():
            return "TRUE_VALUE" if value else "FALSE_VALUE"
        case str():
            return "STRING_VALUE"
        case int() | float():
            return "NUMBER_VALUE"
        case list():
            return "START_ARRAY"
        case None:
            return "VALUE_NULL"
        case _:
            return "START_OBJECT"


def _unfit(value: object, shape: Shape) -> _Wrong:
    if isinstance(value, list):
        return _Wrong("Start of list found where not expected")
    if isinstance(value, dict):
        return _Wrong("Start of structure or map found where not expected")
    return _Wrong(f"{_token(value)} can not be converted to {_JAVA_NAMES[shape.kind]}")


def _structure(shape: Shape, value: Any, depth: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Wrong("Expected structure or null")
    known = shape.by_wire_name
    members: dict[str, Any] = {}
    for wire_name, item in value.items():
        if item is None or wire_name not in known:
            continue
        name, member = known[wire_name]
        try:
            members[name] = _json(member, item, depth)
        except _Wrong as wrong:
            raise wrong.under(name) from None
    return members


def _json(shape: Shape, value: Any, depth: int) -> Any:
    match shape.kind:
        case Kind.STRING | Kind.CHARACTER:
            if not isinstance(value, str):
                raise _unfit(value, shape)
            return _text(value)
        case Kind.STRUCTURE | Kind.LIST | Kind.MAP:
            return _json_composite(shape, value, depth + 1)
        case Kind.BOOLEAN:
            if not isinstance(value, bool):
                raise _unfit(value, shape)
            return value
        case Kind.BLOB:
            if not isinstance(value, str):
                raise _unfit(value, shape)
            return _base64(value)
        case _:
            if isinstance(value, bool) or not isinstance(value, (int, float, str)):
                raise _unfit(value, shape)
            return _json_number(shape, value)


def _json_composite(shape: Shape, value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        raise _Wrong("nested too deep")
    if shape.kind is Kind.STRUCTURE:
        return _document(value) if shape.document else _structure(shape, value, depth)
    if shape.kind is Kind.LIST:
        if not isinstance(value, list):
            raise _Wrong("Expected list or null")
        assert shape.element is not None
        return [_json_element(shape.element, item, depth, number) for number, item in enumerate(value, 1)]
    if not isinstance(value, dict):
        raise _Wrong("Expected map or null")
    assert shape.value is not None
    entries: dict[str, Any] = {}
    for key, item in value.items():
        try:
            entries[_text(key)] = None if item is None else _json(shape.value, item, depth)
        except _Wrong as wrong:
            raise wrong.under(key[:100], "member") from None
    return entries


def _json_element(shape: Shape, value: Any, depth: int, number: int) -> Any:
    if value is None:
        return None  # validation says that it must not be
    try:
        return _json(shape, value, depth)
    except _Wrong as wrong:
        raise wrong.under(str(number), "member") from None


def _json_number(shape: Shape, value: float | str) -> Any:
    if shape.kind is Kind.TIMESTAMP:
        return _timestamp(value)
    if shape.kind in _BITS:
        if isinstance(value, str) or not math.isfinite(value) or value != int(value):
            raise _unfit(value, shape)
        return _within_bits(shape, int(value))
    if isinstance(value, str):
        if value not in _NON_FINITE:
            raise _unfit(value, shape)
        return _NON_FINITE[value]
    return _finite(shape, value)


def _document(value: Any) -> Any:
    """Kept as it is, once it is known that it can be written again."""
    try:
        _text(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        raise _Wrong("nested too deep") from None
    return value


# --- values that both protocols have


def _text(value: str) -> str:
    """Text that a database and an XML document can hold."""
    if not value.isascii():
        if _SURROGATES_OR_NUL.search(value):
            raise _Wrong("a string may hold neither half a surrogate pair nor U+0000")
    elif "\x00" in value:
        raise _Wrong("a string may not hold U+0000")
    return value


def _base64(value: str) -> bytes:
    try:
        if len(value) <= _BASE64_STEP:
            return binascii.a2b_base64(value, strict_mode=True)
        if "=" in value[:-2]:
            raise _Wrong("a blob is not base64")
        # In steps, between which other threads may run.
        steps = (value[start : start + _BASE64_STEP] for start in range(0, len(value), _BASE64_STEP))
        return b"".join([binascii.a2b_base64(step, strict_mode=True) for step in steps])
    except ValueError as error:  # binascii.Error is one; so is text that is not ASCII
        raise _Wrong("a blob is not base64") from error


def _within_bits(shape: Shape, value: int) -> int:
    limit = 1 << _BITS[shape.kind]
    if not -limit <= value < limit:
        raise _Wrong(f"{str(value)[:40]} is out of range for {_JAVA_NAMES[shape.kind]}")
    return value


def _finite(shape: Shape, value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _Wrong(f"the number is out of range for {_JAVA_NAMES[shape.kind]}")
    return number


def _timestamp(value: float | str) -> datetime:
    """Seconds since the epoch, or ISO 8601; UTC."""
    try:
        if not isinstance(value, str):
            return _EPOCH + timedelta(seconds=value)
        if _DECIMAL.fullmatch(value):
            return _EPOCH + timedelta(seconds=float(value))
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _Wrong(f"'{str(value)[:60]}' is not a timestamp") from error


# --- Query


def parse_form(text: str | bytes) -> list[tuple[str, str]]:
    """Names and values of application/x-www-form-urlencoded. Raises AwsError (MalformedInput)."""
    pairs: list[tuple[str, str]] = []
    try:
        for field in _split(text):
            if field:
                name, _, value = field.partition(b"=")
                pairs.append((_unquote(name), _unquote(value)))
    except UnicodeDecodeError as error:
        raise Common.MALFORMED_INPUT.error("the request is not UTF-8") from error
    return pairs


def pick_fields(text: str | bytes, wanted: Collection[str]) -> dict[str, str]:
    """The first value of each field that is wanted. Nothing else is decoded, for this is done for anybody who asks: a
    value is cut where it is too long to mean anything. Raises AwsError (MalformedInput)."""
    names = {name.encode(): name for name in wanted}
    picked: dict[str, str] = {}
    for field in _split(text):
        start, _, value = field[: 2 * _LONGEST_PICKED].partition(b"=")
        if start in names and names[start] not in picked:
            try:
                picked[names[start]] = _unquote(value[:_LONGEST_PICKED])
            except UnicodeDecodeError as error:
                raise Common.MALFORMED_INPUT.error("the request is not UTF-8") from error
    return picked


def _split(text: str | bytes) -> list[bytes]:
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    if raw.count(b"&") >= MOST_FIELDS:
        raise Common.MALFORMED_INPUT.error(f"a request may have {MOST_FIELDS} fields")
    return raw.split(b"&")


def _unquote(raw: bytes) -> str:
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    return (unquote_to_bytes(raw) if b"%" in raw else raw).decode("utf-8")


class _Field:
    """A node of the tree that dotted names make."""

    __slots__ = ("children", "value")

    def __init__(self) -> None:
        self.value: str | None = None
        self.children: dict[str, _Field] = {}

    def at(self, *names: str) -> "_Field | None":
        field: _Field | None = self
        for name in names:
            if field is None:
                return None
            field = field.children.get(name)
        return field

    def numbered(self) -> list[tuple[int, "_Field"]]:
        """The children in the order of their numbers."""
        for name in self.children:
            if not _INDEX.fullmatch(name):
                raise _Wrong(f"'{name[:60]}' is not the number of a member")
        return sorted(((int(name), child) for name, child in self.children.items()), key=lambda item: item[0])


def parse_query(shape: Shape | None, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Of a repeated field the first counts. Raises AwsError (MalformedInput)."""
    if shape is None:
        return {}
    root = _Field()
    dots = 0
    for name, value in pairs:
        dots += (more := name.count("."))
        if more > _DEEPEST or dots > _MOST_DOTS:  # each costs hundreds of bytes
            raise Common.MALFORMED_INPUT.error("nested too deep: the names of the fields have too many parts")
        field = root
        for step in name.split("."):
            child = field.children.get(step)
            if child is None:
                child = field.children[step] = _Field()
            field = child
        if field.value is None:
            field.value = value
    try:
        return _query_structure(shape, root, 0)
    except _Wrong as wrong:
        raise wrong.error() from None


def _query_structure(shape: Shape, field: _Field, depth: int) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, member in shape.members.items():
        wire_name = member.wire_name or name
        if member.kind is Kind.LIST and member.flattened and member.element is not None and member.element.wire_name:
            wire_name = member.element.wire_name
        child = field.children.get(wire_name)
        if child is None:
            continue
        try:
            members[name] = _query(member, child, depth)
        except _Wrong as wrong:
            raise wrong.under(name) from None
    return members


def _query(shape: Shape, field: _Field, depth: int) -> Any:
    if shape.scalar:
        if field.value is None:
            raise _Wrong(f"a structure or list stands where {_JAVA_NAMES[shape.kind]} is expected")
        return _query_scalar(shape, _text(field.value))
    if depth > _DEEPEST:
        raise _Wrong("nested too deep")
    if shape.kind is Kind.STRUCTURE:
        return _query_structure(shape, field, depth + 1)
    if shape.kind is Kind.LIST:
        return _query_list(shape, field, depth + 1)
    return _query_map(shape, field, depth + 1)


def _query_list(shape: Shape, field: _Field, depth: int) -> list[Any]:
    assert shape.element is not None
    items = field if shape.flattened else field.at(shape.element.wire_name or "member")
    if items is None or not items.children:
        if field.children or field.value:
            raise _Wrong("Expected a list: NAME.member.1, NAME.member.2, ..")
        return []
    elements = []
    for number, item in items.numbered():
        try:
            elements.append(_query(shape.element, item, depth))
        except _Wrong as wrong:
            raise wrong.under(str(number), "member") from None
    return elements


def _query_map(shape: Shape, field: _Field, depth: int) -> dict[str, Any]:
    assert shape.key is not None
    assert shape.value is not None
    items = field if shape.flattened else field.at("entry")
    if items is None or not items.children:
        if field.children or field.value:
            raise _Wrong("Expected a map: NAME.entry.1.key, NAME.entry.1.value, ..")
        return {}
    entries: dict[str, Any] = {}
    for number, item in items.numbered():
        key = item.children.get(shape.key.wire_name or "key")
        value = item.children.get(shape.value.wire_name or "value")
        if key is None or key.value is None or value is None:
            raise _Wrong("an entry needs a key and a value").under("entry", str(number))
        try:
            entries[_text(key.value)] = _query(shape.value, value, depth)
        except _Wrong as wrong:
            raise wrong.under("entry", str(number)) from None
    return entries


def _query_scalar(shape: Shape, text: str) -> Any:
    match shape.kind:
        case Kind.STRING | Kind.CHARACTER:
            return text
        case Kind.INTEGER | Kind.LONG:
            if not _WHOLE.fullmatch(text):
                raise _unreadable(shape, text)
            return _within_bits(shape, int(text))
        case Kind.FLOAT | Kind.DOUBLE:
            if text in _NON_FINITE:
                return _NON_FINITE[text]
            if len(text) > 400 or not _DECIMAL.fullmatch(text):
                raise _unreadable(shape, text)
            return _finite(shape, float(text))
        case Kind.BOOLEAN:
            if text.lower() not in {"true", "false"}:
                raise _unreadable(shape, text)
            return text.lower() == "true"
        case Kind.TIMESTAMP:
            return _timestamp(text)
        case _:
            return _base64(text)


def _unreadable(shape: Shape, text: str) -> _Wrong:
    return _Wrong(f"'{text[:60]}' can not be converted to {_JAVA_NAMES[shape.kind]}")

"""From the result of an operation, or its error, to the body of an answer, by the shape of its output.

AWS JSON 1.0/1.1 and the Query protocol (Smithy, "AWS protocols"). Members that are None are left out; what the model
does not know, or has of another type, is a mistake of ours and raises ResultError.
"""

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from xml.sax.saxutils import escape

from aws.errors import AwsError
from aws.model import Kind, ServiceModel, Shape

JSON: Final = "json"
QUERY: Final = "query"
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ENTITIES: Final = {"\r": "&#13;", '"': "&quot;"}
_PYTHON_TYPES: Final[dict[Kind, type | tuple[type, ...]]] = {
    Kind.STRING: str,
    Kind.CHARACTER: str,
    Kind.INTEGER: int,
    Kind.LONG: int,
    Kind.FLOAT: (int, float),
    Kind.DOUBLE: (int, float),
    Kind.BOOLEAN: bool,
    Kind.TIMESTAMP: (int, float, datetime),
    Kind.BLOB: (bytes, bytearray, memoryview),
    Kind.STRUCTURE: Mapping,
    Kind.LIST: (list, tuple),
    Kind.MAP: Mapping,
}


class ResultError(TypeError):
    """A result that its model does not admit."""


def serialize_json(shape: Shape | None, result: Mapping[str, Any]) -> bytes:
    """The body of an AWS JSON answer. Raises ResultError."""
    return _dump(_json_structure(shape, result))


def serialize_query(
    shape: Shape | None, result: Mapping[str, Any], *, operation: str, namespace: str, request_id: str
) -> bytes:
    """The body of a Query answer. Raises ResultError."""
    parts: list[str] = []
    if shape is not None:
        wrapper = shape.result_wrapper or f"{operation}Result"
        parts.append(f"<{wrapper}>")
        _xml_structure(parts, shape, result)
        parts.append(f"</{wrapper}>")
    elif result:
        raise ResultError(f"{operation} has no output, but the result has {', '.join(result)}")
    metadata = f"<ResponseMetadata><RequestId>{_escape(request_id)}</RequestId></ResponseMetadata>"
    name = f"{operation}Response"
    return _encode(f'<{name} xmlns="{_escape(namespace)}">{"".join(parts)}{metadata}</{name}>')


def serialize_error(error: AwsError, service: ServiceModel | None, protocol: str, request_id: str) -> tuple[int, bytes]:
    """Status and body of an error; `service` is None where it is not known whom the request was for.

    Raises ResultError for fields that the modelled error has not.
    """
    if protocol == QUERY:
        return _query_error(error, service, request_id)
    model = service.error(error.code) if service is not None else None
    status = error.status
    body: dict[str, Any] = {"__type": error.code}
    message_name = "message"
    if model is not None:
        status = model.status or status
        body["__type"] = model.shape.name
        message_name = next((name for name in model.shape.members if name.lower() == "message"), message_name)
        body |= _json_structure(model.shape, error.fields)
    elif error.fields:
        raise ResultError(f"{error.code} is not modelled, so it has no fields: {', '.join(error.fields)}")
    body[message_name] = error.message
    return status, _dump(body)


def _query_error(error: AwsError, service: ServiceModel | None, request_id: str) -> tuple[int, bytes]:
    # A common error has a Query name of its own, whatever a model calls by its JSON name.
    common = error.query_code != error.code
    model = None if common or service is None else service.error(error.code)
    status, code = error.query_status, error.query_code
    parts: list[str] = []
    if model is not None:
        status = model.status or status
        code = model.query_code or code
        _xml_structure(parts, model.shape, error.fields)
    elif error.fields:
        raise ResultError(f"{error.code} is not modelled, so it has no fields: {', '.join(error.fields)}")
    blame = "Receiver" if status >= 500 else "Sender"
    namespace = f' xmlns="{_escape(service.namespace)}"' if service is not None and service.namespace else ""
    return status, _encode(
        f"<ErrorResponse{namespace}><Error><Type>{blame}</Type><Code>{_escape(code)}</Code>"
        f"<Message>{_escape(error.message)}</Message>{''.join(parts)}</Error>"
        f"<RequestId>{_escape(request_id)}</RequestId></ErrorResponse>"
    )


def _checked(shape: Shape, value: Any, where: str) -> Any:
    right = isinstance(value, _PYTHON_TYPES[shape.kind])
    if isinstance(value, bool) and shape.kind is not Kind.BOOLEAN:
        right = False
    if not right and not (shape.document and shape.kind is Kind.STRUCTURE):
        raise ResultError(f"{where} is a {shape.kind}, but the result has a {type(value).__name__}")
    return value


def _member(shape: Shape, name: str) -> Shape:
    try:
        return shape.members[name]
    except KeyError:
        raise ResultError(f"{shape.name} has no member {name!r}") from None


def _moment(value: float | datetime, where: str) -> datetime:
    if not isinstance(value, datetime):
        return datetime.fromtimestamp(value, tz=UTC)
    if value.tzinfo is None:
        raise ResultError(f"{where} is a time without a zone")
    return value.astimezone(UTC)


# --- AWS JSON


def _dump(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")


def _json_structure(shape: Shape | None, value: Mapping[str, Any]) -> dict[str, Any]:
    if shape is None:
        if value:
            raise ResultError(f"the operation has no output, but the result has {', '.join(value)}")
        return {}
    document: dict[str, Any] = {}
    for name, item in value.items():
        member = _member(shape, name)
        if item is not None:
            document[member.wire_name or name] = _json(member, item, name)
    return document


def _json(shape: Shape, value: Any, where: str) -> Any:
    _checked(shape, value, where)
    match shape.kind:
        case Kind.STRUCTURE:
            return value if shape.document else _json_structure(shape, value)
        case Kind.LIST:
            assert shape.element is not None
            element = shape.element
            return [_json(element, item, where) for item in value]
        case Kind.MAP:
            assert shape.value is not None
            inner = shape.value
            return {key: _json(inner, item, where) for key, item in value.items()}
        case Kind.TIMESTAMP:
            return _json_timestamp(shape, value, where)
        case Kind.BLOB:
            return base64.b64encode(value).decode("ascii")
        case Kind.FLOAT | Kind.DOUBLE:
            return _number(value) if value != value or value in _INFINITE else value  # noqa: PLR0124 - a NaN
        case _:
            return value


def _json_timestamp(shape: Shape, value: float | datetime, where: str) -> float | str:
    moment = _moment(value, where)
    if shape.timestamp_format == "iso8601":
        return _iso(moment)
    return round(moment.timestamp(), 3)


_INFINITE: Final = (float("inf"), float("-inf"))


def _number(value: float) -> str:
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124


# --- Query


def _escape(text: str) -> str:
    """What XML 1.0 cannot hold, such as control characters that an error quotes, becomes U+FFFD."""
    if not text.isprintable():
        text = _NOT_XML.sub("\ufffd", text)
    return escape(text, _ENTITIES)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _xml_structure(parts: list[str], shape: Shape, value: Mapping[str, Any]) -> None:
    for name, item in value.items():
        member = _member(shape, name)
        if item is not None:
            _xml(parts, member, item, member.wire_name or name, name)


def _xml(parts: list[str], shape: Shape, value: Any, tag: str, where: str) -> None:
    _checked(shape, value, where)
    match shape.kind:
        case Kind.STRUCTURE:
            parts.append(f"<{tag}>")
            _xml_structure(parts, shape, value)
            parts.append(f"</{tag}>")
        case Kind.LIST:
            _xml_list(parts, shape, value, tag, where)
        case Kind.MAP:
            _xml_map(parts, shape, value, tag, where)
        case _:
            parts.append(f"<{tag}>{_xml_scalar(shape, value, where)}</{tag}>")


def _xml_list(parts: list[str], shape: Shape, value: Any, tag: str, where: str) -> None:
    assert shape.element is not None
    if shape.flattened:
        for item in value:
            _xml(parts, shape.element, item, shape.element.wire_name or tag, where)
        return
    parts.append(f"<{tag}>")
    for item in value:
        _xml(parts, shape.element, item, shape.element.wire_name or "member", where)
    parts.append(f"</{tag}>")


def _xml_map(parts: list[str], shape: Shape, value: Mapping[str, Any], tag: str, where: str) -> None:
    assert shape.key is not None
    assert shape.value is not None
    entry = tag if shape.flattened else "entry"
    if not shape.flattened:
        parts.append(f"<{tag}>")
    for key, item in value.items():
        parts.append(f"<{entry}>")
        _xml(parts, shape.key, key, shape.key.wire_name or "key", where)
        _xml(parts, shape.value, item, shape.value.wire_name or "value", where)
        parts.append(f"</{entry}>")
    if not shape.flattened:
        parts.append(f"</{tag}>")


def _xml_scalar(shape: Shape, value: Any, where: str) -> str:
    match shape.kind:
        case Kind.BOOLEAN:
            return "true" if value else "false"
        case Kind.TIMESTAMP:
            moment = _moment(value, where)
            return repr(moment.timestamp()) if shape.timestamp_format == "unixTimestamp" else _iso(moment)
        case Kind.BLOB:
            return base64.b64encode(value).decode("ascii")
        case Kind.FLOAT | Kind.DOUBLE:
            return _number(value) if value != value or value in _INFINITE else repr(value)  # noqa: PLR0124
        case _:
            return _escape(str(value))


def _iso(moment: datetime) -> str:
    """`2026-01-01T00:00:00Z`, with milliseconds where there are any."""
    precision = "milliseconds" if moment.microsecond >= 1000 else "seconds"
    return f"{moment.replace(tzinfo=None).isoformat(timespec=precision)}Z"

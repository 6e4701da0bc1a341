import base64
import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aws import parse
from aws.errors import AwsError
from aws.model import Kind, Models, Shape


def _structure(**members: Shape) -> Shape:
    return Shape(
        "Input", Kind.STRUCTURE, members=members, by_wire_name={name: (name, one) for name, one in members.items()}
    )


def _of(kind: Kind, **facts: Any) -> Shape:
    return Shape(kind.value, kind, **facts)


TEXT = _of(Kind.STRING)
EVERYTHING = _structure(
    text=TEXT,
    whole=_of(Kind.INTEGER),
    long=_of(Kind.LONG),
    double=_of(Kind.DOUBLE),
    flag=_of(Kind.BOOLEAN),
    at=_of(Kind.TIMESTAMP),
    blob=_of(Kind.BLOB),
    texts=_of(Kind.LIST, element=TEXT),
    flat=_of(Kind.LIST, element=TEXT, flattened=True),
    tags=_of(Kind.MAP, key=TEXT, value=TEXT),
    flatmap=_of(Kind.MAP, key=TEXT, value=_of(Kind.INTEGER), flattened=True),
    inner=_structure(text=TEXT),
    inners=_of(Kind.LIST, element=_structure(text=TEXT)),
    any=_of(Kind.STRUCTURE, document=True),
)
RECURSIVE = _structure(text=TEXT)
RECURSIVE.members["deeper"] = RECURSIVE
RECURSIVE.by_wire_name["deeper"] = ("deeper", RECURSIVE)


def _json(document: Any) -> dict[str, Any]:
    return parse.parse_json(EVERYTHING, document if isinstance(document, bytes) else json.dumps(document).encode())


def _query(text: str) -> dict[str, Any]:
    return parse.parse_query(EVERYTHING, parse.parse_form(text))


def _refusal(work: Any, *arguments: Any) -> str:
    with pytest.raises(AwsError) as raised:
        work(*arguments)
    assert (raised.value.code, raised.value.query_code) == ("SerializationException", "MalformedInput")
    assert raised.value.status == 400
    return raised.value.message


# --- JSON


def test_values_of_every_type():
    parsed = _json({
        "text": "ü", "whole": 7.0, "long": 2**40, "double": "NaN", "flag": True, "at": 1767323045.5,
        "blob": "AAEC", "texts": ["a"], "tags": {"k": "v"}, "inner": {"text": "t"}, "any": {"x": [1, None]},
    })  # fmt: skip
    assert math.isnan(parsed.pop("double"))
    assert parsed == {
        "text": "ü",
        "whole": 7,
        "long": 2**40,
        "flag": True,
        "at": datetime(2026, 1, 2, 3, 4, 5, 500_000, tzinfo=UTC),
        "blob": b"\x00\x01\x02",
        "texts": ["a"],
        "tags": {"k": "v"},
        "inner": {"text": "t"},
        "any": {"x": [1, None]},
    }
    assert isinstance(parsed["whole"], int)


@pytest.mark.parametrize("body", [b"", b"  ", b"{}", b'{"unknown": {"deep": [1, 2]}, "text": null}'])
def test_unknown_and_null_members_are_absent(body: bytes):
    assert _json(body) == {}
    assert parse.parse_json(None, body) == {}


def test_null_elements_are_left_to_validation():
    assert _json({"texts": ["a", None], "tags": {"a": None}}) == {"texts": ["a", None], "tags": {"a": None}}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"text": 1}, "NUMBER_VALUE can not be converted to a String at 'text'"),
        ({"text": True}, "TRUE_VALUE can not be converted to a String at 'text'"),
        ({"text": ["a"]}, "Start of list found where not expected at 'text'"),
        ({"text": {}}, "Start of structure or map found where not expected at 'text'"),
        ({"text": "a\x00"}, "a string may not hold U+0000 at 'text'"),
        ({"text": "\udc00"}, "a string may hold neither half a surrogate pair nor U+0000 at 'text'"),
        ({"whole": "1"}, "STRING_VALUE can not be converted to an Integer at 'whole'"),
        ({"whole": 1.5}, "NUMBER_VALUE can not be converted to an Integer at 'whole'"),
        ({"whole": True}, "TRUE_VALUE can not be converted to an Integer at 'whole'"),
        ({"whole": 2**31}, "2147483648 is out of range for an Integer at 'whole'"),
        ({"long": -(2**63) - 1}, "-9223372036854775809 is out of range for a Long at 'long'"),
        ({"double": "1"}, "STRING_VALUE can not be converted to a Double at 'double'"),
        ({"double": 10**400}, "the number is out of range for a Double at 'double'"),
        ({"flag": "true"}, "STRING_VALUE can not be converted to a Boolean at 'flag'"),
        ({"flag": 1}, "NUMBER_VALUE can not be converted to a Boolean at 'flag'"),
        ({"at": "soon"}, "'soon' is not a timestamp at 'at'"),
        ({"at": 1e300}, "'1e+300' is not a timestamp at 'at'"),
        ({"at": {}}, "Start of structure or map found where not expected at 'at'"),
        ({"blob": "A"}, "a blob is not base64 at 'blob'"),
        ({"blob": "AA==AA=="}, "a blob is not base64 at 'blob'"),
        ({"blob": "é"}, "a blob is not base64 at 'blob'"),
        ({"blob": 1}, "NUMBER_VALUE can not be converted to a Blob at 'blob'"),
        ({"texts": "a"}, "Expected list or null at 'texts'"),
        ({"texts": ["a", 1]}, "NUMBER_VALUE can not be converted to a String at 'texts.2.member'"),
        ({"tags": []}, "Expected map or null at 'tags'"),
        ({"tags": {"k": 1}}, "NUMBER_VALUE can not be converted to a String at 'tags.k.member'"),
        ({"tags": {"\x00": "v"}}, "a string may not hold U+0000 at 'tags.\x00.member'"),
        ({"inner": "a"}, "Expected structure or null at 'inner'"),
        ({"inners": [{}, {"text": 1}]}, "NUMBER_VALUE can not be converted to a String at 'inners.2.member.text'"),
        ({"any": {"x": "\ud800"}}, "a string may hold neither half a surrogate pair nor U+0000 at 'any'"),
        ([], "the request body is not a JSON object"),
        (7, "the request body is not a JSON object"),
    ],
    ids=repr,
)
def test_wrong_types_are_refused(document: Any, message: str):
    assert _refusal(_json, document) == message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the request body is not JSON: Expecting property name enclosed in double quotes at character 1"),
        (b"{} {}", "the request body is not JSON: Extra data at character 3"),
        (b'{"whole": NaN}', "the request body is not JSON: NaN is no number"),
        (b'{"x": -Infinity}', "the request body is not JSON: -Infinity is no number"),
        (b'{"text": "a", "text": "b"}', "the request body is not JSON: the member 'text' is there twice"),
        (b'{"text": "\xff"}', "the request body is not UTF-8 at byte 10"),
        ('{"text": "a"}'.encode("utf-16"), "the request body is not UTF-8 at byte 0"),
        (b'{"x":' * 100_000, "the request body is nested too deep"),
        (b'{"x":' + b"[" * 100_000, "the request body is nested too deep"),
        (b'{"double": 1e999}', "the number is out of range for a Double at 'double'"),
        (b'{"whole": 1e999}', "NUMBER_VALUE can not be converted to an Integer at 'whole'"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_bodies_that_are_no_json_are_refused(body: bytes, message: str):
    assert _refusal(_json, body) == message


def test_numbers_of_thousands_of_digits_are_refused():
    assert _refusal(_json, b'{"x": ' + b"9" * 5000 + b"}").startswith("the request body is not JSON: ")


def test_recursive_shapes_are_followed_so_far():
    body = b'{"deeper":' * 200 + b"{}" + b"}" * 200
    assert _refusal(parse.parse_json, RECURSIVE, body).startswith("nested too deep at 'deeper.deeper.")
    assert parse.parse_json(RECURSIVE, b'{"deeper": {"text": "a"}}') == {"deeper": {"text": "a"}}


@settings(derandomize=True, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(sorted(EVERYTHING.members)) | st.text(max_size=3), inner, max_size=4)
        ),
    )
)
def test_any_json_is_read_or_refused(document: Any):
    try:
        _json(document)
    except AwsError as error:
        assert error.code == "SerializationException"  # noqa: PT017 - either way is right


@settings(derandomize=True, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_or_refused(body: bytes):
    try:
        _json(body)
    except AwsError as error:
        assert error.code == "SerializationException"  # noqa: PT017 - either way is right


def test_a_layer_part_is_read(models: Models):
    shape = models.service("ecr").operation("UploadLayerPart").input
    content = bytes(range(256)) * 80_000  # 20 MiB
    body = b'{"layerPartBlob":"' + base64.b64encode(content) + b'","partFirstByte":0}'
    assert parse.parse_json(shape, body) == {"layerPartBlob": content, "partFirstByte": 0}


@pytest.mark.parametrize("middle", ["AA==AAAA", "A", "AAA!", "AA=="])
def test_a_large_blob_is_base64_throughout(middle: str):
    half = "AAAA" * (2**18 - 1)
    assert _json({"blob": half + "AAAA" + half}) == {"blob": bytes(len(half) * 3 // 2 + 3)}
    assert _refusal(_json, {"blob": half + middle + half}) == "a blob is not base64 at 'blob'"


# --- Query


def test_fields_of_every_type():
    assert _query(
        "Action=A&text=a+b%2B%C3%BC&whole=-7&long=9&double=1.5e3&flag=True&at=2026-01-02T03:04:05Z&blob=AAEC"
        "&texts.member.2=y&texts.member.1=x&texts.member.10=z&flat.1=f&tags.entry.1.key=k&tags.entry.1.value=v"
        "&flatmap.1.key=n&flatmap.1.value=1&inner.text=t&inners.member.1.text=i&other.thing=x"
    ) == {
        "text": "a b+ü",
        "whole": -7,
        "long": 9,
        "double": 1500.0,
        "flag": True,
        "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "blob": b"\x00\x01\x02",
        "texts": ["x", "y", "z"],
        "flat": ["f"],
        "tags": {"k": "v"},
        "flatmap": {"n": 1},
        "inner": {"text": "t"},
        "inners": [{"text": "i"}],
    }


def test_empty_lists_and_maps_are_empty():
    assert _query("texts=&tags=&text=") == {"texts": [], "tags": {}, "text": ""}


def test_times_may_have_offsets_or_be_seconds():
    assert _query("at=2026-01-02T04:04:05%2B01:00") == _query("at=2026-01-02T03:04:05") == _query("at=1767323045")


def test_the_first_of_repeated_fields_counts():
    assert _query("text=a&text=b") == {"text": "a"}


@pytest.mark.parametrize("text", ["double=NaN", "double=-Infinity"])
def test_numbers_may_be_none(text: str):
    assert not math.isfinite(_query(text)["double"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("whole=", "'' can not be converted to an Integer at 'whole'"),
        ("whole=1_0", "'1_0' can not be converted to an Integer at 'whole'"),
        ("whole=%D9%A1", "'\u0661' can not be converted to an Integer at 'whole'"),
        ("whole=2147483648", "2147483648 is out of range for an Integer at 'whole'"),
        ("double=1e9999", "the number is out of range for a Double at 'double'"),
        ("double=x", "'x' can not be converted to a Double at 'double'"),
        ("flag=yes", "'yes' can not be converted to a Boolean at 'flag'"),
        ("at=soon", "'soon' is not a timestamp at 'at'"),
        ("blob=%21", "a blob is not base64 at 'blob'"),
        ("text.a=1", "a structure or list stands where a String is expected at 'text'"),
        ("text=%00", "a string may not hold U+0000 at 'text'"),
        ("texts.member.x=1", "'x' is not the number of a member at 'texts'"),
        ("texts.1=a", "Expected a list: NAME.member.1, NAME.member.2, .. at 'texts'"),
        ("texts=a", "Expected a list: NAME.member.1, NAME.member.2, .. at 'texts'"),
        ("tags=a", "Expected a map: NAME.entry.1.key, NAME.entry.1.value, .. at 'tags'"),
        ("tags.entry.1.key=a", "an entry needs a key and a value at 'tags.entry.1'"),
        ("tags.entry.1.value=a", "an entry needs a key and a value at 'tags.entry.1'"),
        ("flatmap.1.key=a&flatmap.1.value=b", "'b' can not be converted to an Integer at 'flatmap.entry.1'"),
        ("inners.member.3.text.x=1", "a structure or list stands where a String is expected at 'inners.3.member.text'"),
    ],
)  # fmt: skip
def test_wrong_fields_are_refused(text: str, message: str):
    assert _refusal(_query, text) == message


def test_forms_are_bounded_and_utf_8():
    assert _refusal(_query, "a=%ff") == "the request is not UTF-8"
    assert _refusal(_query, "a&" * parse.MOST_FIELDS) == "a request may have 20000 fields"
    assert _refusal(parse.parse_query, RECURSIVE, [("deeper." * 500 + "text", "a")]).startswith("nested too deep")


def test_names_of_endless_depth_cost_nothing():
    assert _refusal(_query, "a." * 500_000 + "=1").startswith("nested too deep")
    assert _refusal(_query, "&".join(f"{number}{'.a' * 60}=1" for number in range(4000))).startswith("nested too deep")


def test_picked_fields_are_the_first_of_their_names_and_all_that_is_decoded():
    wanted = ("Action", "Version")
    assert parse.pick_fields("x=%ff&Action=Get%55ser&Action=Other&Versions=1", wanted) == {"Action": "GetUser"}
    assert parse.pick_fields(b"Version=&Action", wanted) == {"Version": "", "Action": ""}
    assert len(parse.pick_fields("Action=" + "a" * 1_000_000, wanted)["Action"]) < 10_000
    assert _refusal(lambda text: parse.pick_fields(text, wanted), "Action=%ff") == "the request is not UTF-8"
    assert _refusal(lambda text: parse.pick_fields(text, wanted), "a&" * 20_000) == "a request may have 20000 fields"


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.text("textsagmbr.entry12", max_size=20), st.text(max_size=5)), max_size=6))
def test_any_fields_are_read_or_refused(pairs: list[tuple[str, str]]):
    try:
        parse.parse_query(EVERYTHING, pairs)
    except AwsError as error:
        assert error.query_code == "MalformedInput"  # noqa: PT017 - either way is right

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.policy.scanner import DEEPEST, Lines, Node, Unreadable, plain, scan
from tests.unit.auth.policy.made import STEADY

_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    ),
)


def nodes(node: Node) -> list[Node]:
    content = node.content
    inside = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return [node, *(found for one in inside for found in nodes(one))]


@STEADY
@given(_VALUES, st.sampled_from([None, 1]), st.booleans())
def test_a_value_is_read_as_json_has_it(value: Any, indent: int | None, ascii_only: bool):
    assert plain(scan(json.dumps(value, indent=indent, ensure_ascii=ascii_only))) == value


@STEADY
@given(_VALUES, st.sampled_from([None, 1]))
def test_every_node_stands_where_its_text_does(value: Any, indent: int | None):
    text = json.dumps(value, indent=indent)
    for node in nodes(scan(text)):
        assert json.loads(text[node.start : node.end]) == plain(node)
        assert node.key == -1 or text[node.key] == '"'


@STEADY
@given(st.text(st.sampled_from('{}[]:,"a1 \\\n-.eu\t')))
def test_what_is_read_at_all_is_json(text: str):
    try:
        found = plain(scan(text))
    except Unreadable:
        return
    assert json.loads(text) == found


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("", 0),
        ("{", 1),
        ('{"a": 1,}', 8),
        ('{"a" 1}', 5),
        ("{a: 1}", 1),
        ("[1 2]", 3),
        ("[1,", 3),
        ("1 2", 2),
        ("01", 1),
        ("nul", 0),
        ("NaN", 0),
        ('"a\nb"', 0),
        ('["a", "\\x"]', 6),
        ('["\\ud800"]', 1),
        ('"' + "\ud800" + '"', 1),
        ('{"a": 1, "b": 2, "a": 3}', 17),
        ('{"a": 1, "\\u0061": 3}', 9),
        ("[" * DEEPEST + "[]" + "]" * DEEPEST, DEEPEST),
    ],
)
def test_what_cannot_be_read_is_said_where(text: str, offset: int):
    with pytest.raises(Unreadable) as error:
        scan(text)
    assert error.value.offset == offset


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        '{"a":' * 200_000,
        '"' + '\\"' * 500_000,
        '"\\',
        "1" * 1_000_000,
        " " * 1_000_000,
        '["' + "\\u0061" * 150_000,
        '["' + "?*" * 500_000 + '"]',
    ],
    ids=["brackets", "braces", "escaped quotes", "half an escape", "digits", "white space", "escapes", "a text"],
)
def test_a_megabyte_of_the_same_sign_is_refused_and_no_more(text: str):
    with pytest.raises(Unreadable):
        scan(text)


def test_lines_and_columns_count_from_one():
    lines = Lines("ab\n\ncd")
    assert [lines.place(offset) for offset in range(7)] == [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (3, 2), (3, 3)]

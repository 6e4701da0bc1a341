import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.digest import digest_of
from registry.errors import RangeNotSatisfiable
from registry.oci.blobs import matches, parse_range
from registry.oci.uploads import span


@pytest.mark.parametrize(("text", "size", "part"), [
    ("bytes=0-0", 10, (0, 1)), ("bytes=0-9", 10, (0, 10)), ("bytes=0-", 10, (0, 10)), ("bytes=9-", 10, (9, 1)),
    ("bytes=3-5", 10, (3, 3)), ("bytes=5-100", 10, (5, 5)), ("bytes=-1", 10, (9, 1)), ("bytes=-10", 10, (0, 10)),
    ("bytes=-99", 10, (0, 10)), (" bytes = 1 - 2 ", 10, (1, 2)), ("bytes=0-999999999999999999", 10, (0, 10)),
])  # fmt: skip
def test_a_single_range_is_what_it_says(text: str, size: int, part: tuple[int, int]):
    assert parse_range(text, size) == part


@pytest.mark.parametrize(("text", "size"), [
    ("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=0-", 0), ("bytes=0-0", 0), ("bytes=-0", 10), ("bytes=-5", 0),
    ("bytes=5-4", 10), ("bytes=999999999999999999-", 10),
])  # fmt: skip
def test_a_range_without_a_byte_is_not_satisfiable(text: str, size: int):
    with pytest.raises(RangeNotSatisfiable) as refused:
        parse_range(text, size)
    assert refused.value.size == size


@pytest.mark.parametrize("text", [
    "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "items=0-1", "bytes=0-1,3-4", "bytes=0", "0-1", "bytes=--1", "bytes=+1-2",
    "bytes=0-1-2", "bytes=1e3-", "bytes=0x1-", "bytes=\u0661-", "bytes=" + "9" * 5000 + "-",
])  # fmt: skip
def test_what_is_no_single_range_is_passed_over(text: str):
    assert parse_range(text, 10) is None


@given(st.integers(0, 50), st.integers(0, 60), st.none() | st.integers(0, 60))
def test_a_range_is_the_bytes_that_slicing_gives(size: int, first: int, last: int | None):
    data = bytes(range(size))
    expected = data[first : None if last is None else last + 1]
    text = f"bytes={first}-{'' if last is None else last}"
    try:
        part = parse_range(text, size)
    except RangeNotSatisfiable:
        assert expected == b""
    else:
        assert part is not None
        assert data[part[0] : part[0] + part[1]] == expected != b""
        assert part[1] == len(expected)


@pytest.mark.parametrize(("received", "text"), [(0, "0-0"), (1, "0-0"), (2, "0-1"), (10**12, "0-999999999999")])
def test_the_span_of_an_upload_ends_at_its_last_byte(received: int, text: str):
    assert span(received) == text


@pytest.mark.parametrize(
    ("condition", "same"),
    [
        (None, False),
        ("", False),
        ("*", True),
        ('"{}"', True),
        ('W/"{}"', True),
        ("{}", True),
        ('"x", "{}"', True),
        ('"x","y"', False),
        ('"{}x"', False),
    ],
)
def test_a_condition_names_the_digest(condition: str | None, same: bool):
    digest = digest_of(b"x")
    assert matches(condition and condition.replace("{}", digest), digest) is same

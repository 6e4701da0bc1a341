from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.access import Value
from auth.policy.conditions import (
    OPERATORS,
    Family,
    compile_clause,
    find_operator,
    read_address,
    read_date,
    read_number,
)
from tests.unit.auth.policy.made import STEADY

_SECOND = 1_000_000_000


def holds(operator: str, wanted: list[str], value: Value | None, **context: Value) -> bool:
    given_context: dict[str, Value] = {f"aws:{key}": one for key, one in context.items()}
    if value is not None:
        given_context["aws:key"] = value
    return compile_clause(operator, "AWS:Key", wanted, variables=True).holds(given_context)


@STEADY
@given(
    st.datetimes(
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=9))])
    )
)
def test_a_date_is_read_as_python_reads_it(moment: datetime):
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    assert read_date(moment.isoformat()) == expected
    assert read_date(moment.isoformat().lower()) == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1767225600", 1767225600),
        ("0", 0),
        ("2026-01-01T00:00:00Z", 1767225600),
        ("2026-01-01T00:00Z", 1767225600),
        ("2026-01-01T00Z", 1767225600),
        ("2026-01-01", 1767225600),
        ("2026-01", 1767225600),
        ("2026", 1767225600),
        ("02026", 2026),
        ("2026-01-01T02:00:00+02:00", 1767225600),
        ("2026-01-01T02:00:00+02", 1767225600),
        ("2025-12-31T22:00:00-0200", 1767225600),
        ("01T", -62135596800),
        ("-1-01-01", -62198755200),
        ("9223372036854775807", 9223372036854775807),
    ],
)
def test_every_shortened_form_of_a_date_is_one(text: str, seconds: int):
    assert read_date(text) == seconds * _SECOND


@pytest.mark.parametrize(
    "text",
    ["", "b", "2026-13", "2026-00", "2026-01-32", "2026-01-01T24", "2026-01-01T00:60", "2026-01-01T00:00:60", "234-13",
     "2026-01-01T00:00:00.1234567890", "2026-01-01T00:00:00+1", "2026-01-01T00:00:00+24:00", "2026-01-01-01", "9223372036854775808",
     "1" * 100_000, "-292275055", "\u0661970", "1767225600.5"],
)  # fmt: skip
def test_what_is_no_date_is_none(text: str):
    assert read_date(text) is None
    assert not holds("DateEquals", ["2026-01-01"], text)


@STEADY
@given(st.decimals(allow_nan=False, allow_infinity=False, places=3))
def test_a_number_is_read_exactly(number: Decimal):
    assert read_number(f"{number:f}") == number


@pytest.mark.parametrize(
    "text", ["", "x", "1_000", "NaN", "Infinity", "1e99999", "1.2.3", " 1", "\u0663", "--1", "9" * 100_000, "0x10"]
)
def test_what_is_no_number_is_none(text: str):
    assert read_number(text) is None
    assert not holds("NumericGreaterThan", ["-1"], text)


@STEADY
@given(st.ip_addresses(v=4))
def test_an_address_of_four_bytes_is_read_whatever_it_wears(address: Any):
    assert read_address(str(address)) == read_address(f"::ffff:{address}") == (4, int(address))


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.1/8", "fe80::1%eth0", "::1::", "10.0.0.\u0661", "999.0.0.1"],
)
def test_what_is_no_address_is_none(text: str):
    assert read_address(text) is None
    assert not holds("IpAddress", ["0.0.0.0/0", "::/0"], text)
    assert holds("NotIpAddress", ["0.0.0.0/0", "::/0"], text)


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "expected"),
    [
        ("IpAddress", ["10.0.0.0/8"], "10.255.0.1", True),
        ("IpAddress", ["10.0.0.7/8"], "10.255.0.1", True),
        ("IpAddress", ["10.0.0.1"], "10.0.0.1", True),
        ("IpAddress", ["0.0.0.0/0"], "::1", False),
        ("IpAddress", ["2001:db8::/32"], "2001:DB8:0::7", True),
        ("IpAddress", ["10.0.0.0/33", "10.0.0.0/255.0.0.0", "office"], "10.0.0.1", False),
        ("BinaryEquals", ["aGk="], "aGk=", True),
        ("BinaryEquals", ["aGk="], "aGo=", False),
        ("BinaryEquals", ["!"], "!", False),
        ("Bool", ["TRUE"], "true", True),
        ("Bool", ["yes"], "yes", False),
        ("NumericEquals", ["5.0"], "5", True),
        ("NumericLessThan", ["10", "3"], "7", True),
        ("NumericNotEquals", ["7", "8"], "7", False),
        ("StringEquals", ["a*"], "a*", True),
        ("StringEquals", ["a*"], "ab", False),
        ("StringEqualsIgnoreCase", ["Straße"], "STRASSE", True),
        ("StringLike", ["a*", "?b"], "xb", True),
        ("StringNotLike", ["a*", "?b"], "xb", False),
        ("ArnEquals", ["arn:aws:iam::*:role/*"], "arn:aws:iam::1:role/a:b/c", True),
        ("ArnLike", ["arn:aws:iam:*"], "arn:aws:iam::1:role/a", False),
        ("ArnLike", ["arn:aws:*:1:role/a"], "arn:aws:iam::1:role/a", False),
        ("ArnNotLike", ["arn:aws:iam::*:role/*"], "no ARN", True),
        ("Null", ["true"], None, True),
        ("Null", ["true"], "", True),
        ("Null", ["True"], (), True),
        ("Null", ["false"], "x", True),
        ("Null", ["true", "false"], "x", True),
        ("Null", ["maybe"], "x", False),
    ],
)
def test_an_operator_compares_as_documented(operator: str, wanted: list[str], value: Value | None, expected: bool):
    assert holds(operator, wanted, value) is expected


_COMPARED = sorted(name for name, known in OPERATORS.items() if known.family is not Family.PRESENCE)


@pytest.mark.parametrize("operator", _COMPARED)
def test_an_absent_key_fails_what_asks_for_a_value_and_passes_what_excludes_one(operator: str):
    assert holds(operator, ["x"], None) is OPERATORS[operator].negated
    assert holds(operator + "IfExists", ["x"], None)
    assert holds("ForAllValues:" + operator, ["x"], None)
    assert not holds("ForAnyValue:" + operator, ["x"], None)
    assert holds("ForAnyValue:" + operator + "IfExists", ["x"], None)


_PAIRS = [(name, name.replace("Not", "")) for name in _COMPARED if OPERATORS[name].negated]
_WORDS = st.sampled_from(["a", "b", "*", "7", "07", "10.0.0.1", "2026-01-01", "arn:a:b:c:d:e", ""])


@STEADY
@given(
    st.sampled_from(_PAIRS),
    st.lists(_WORDS, max_size=3),
    st.one_of(st.none(), _WORDS, st.lists(_WORDS, max_size=3).map(tuple)),
)
def test_a_negated_operator_is_the_opposite_of_its_other(pair: tuple[str, str], wanted: list[str], value: Value | None):
    negated, plain = pair
    assert holds(negated, wanted, value) is not holds(plain, wanted, value)


@STEADY
@given(st.sampled_from(_COMPARED), st.lists(_WORDS, max_size=3), st.lists(_WORDS, min_size=1, max_size=3))
def test_set_operators_say_of_all_and_of_any_what_the_operator_says_of_one(
    operator: str, wanted: list[str], values: list[str]
):
    each = [holds(operator, wanted, value) for value in values]
    if values != [""]:
        assert holds("ForAllValues:" + operator, wanted, tuple(values)) is all(each)
        assert holds("ForAnyValue:" + operator, wanted, tuple(values)) is any(each)


def test_a_variable_without_a_value_is_equal_to_nothing_and_like_nothing():
    for operator in ("StringEquals", "StringLike", "StringEqualsIgnoreCase", "ArnEquals"):
        assert not holds(operator, ["${aws:team}"], "")
    for operator in ("StringNotEquals", "StringNotLike", "StringNotEqualsIgnoreCase", "ArnNotEquals"):
        assert holds(operator, ["${aws:team}"], "")
    assert holds("StringEquals", ["${aws:team}", "blue"], "blue")


def test_a_variables_value_is_no_pattern():
    assert holds("StringLike", ["${aws:team}-?"], "*-1", team="*")
    assert not holds("StringLike", ["${aws:team}-?"], "blue-1", team="*")
    assert holds("ArnEquals", ["${aws:arn}"], "arn:aws:iam::1:role/a", arn="arn:aws:iam::1:role/a")


def test_numbers_dates_and_addresses_have_no_variables():
    for operator, value in (("NumericEquals", "7"), ("DateEquals", "7"), ("IpAddress", "10.0.0.1"), ("Bool", "true")):
        clause = compile_clause(operator, "aws:key", ["${aws:key}"], variables=True)
        assert clause.variables == ()
        assert not clause.holds({"aws:key": value})


@pytest.mark.parametrize(
    "written",
    ["", "StringIs", "stringequals", "IfExists", "NullIfExists", "ForAnyValue:Null", "ForAllValues:", "ForAnyValue::StringEquals",
     "ForAllValues:ForAnyValue:StringEquals", "StringEqualsIfExistsIfExists", "IfExistsStringEquals", "foranyvalue:StringEquals"],
)  # fmt: skip
def test_what_is_no_operator_is_none(written: str):
    assert find_operator(written) is None

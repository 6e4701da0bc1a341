import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aws.model import Models
from aws.pattern import Pattern, PatternError

# Of these, Python's syntax means the same.
COMMON = [
    "[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(\\/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*",
    "^$|a[bc]{2,3}",
    "[a-c-_+.]+:[a-fA-F0-9]+",
    "^[a-z0-9]([a-z0-9]|-(?!-)){1,6}[a-z0-9]$",
    "(a|ab)(c|bcd)(d*)",
    "a{2}b{0,2}c{1,}",
    "^(?!arn:)[!-~]{1,10}$",
    "(?=^.{1,3}$)^a(\\.b)*",
    "(a*)*b?",
    "[^a-c]*",
    "a??b+?",
]


@pytest.mark.parametrize("source", COMMON)
@settings(derandomize=True, deadline=None)
@given(data=st.data())
def test_it_matches_what_the_expression_matches(source: str, data: st.DataObject):
    pattern = Pattern(source)
    near = st.from_regex(re.compile(source, re.ASCII), fullmatch=True)
    text = data.draw(st.one_of(near, st.text("ab-_./:cd1", max_size=12)))
    if "\n" not in text:
        assert pattern.matches(text) == bool(re.fullmatch(source, text, re.ASCII))


@pytest.mark.parametrize(
    ("source", "yes", "no"),
    [
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", ["", "Grüße an 東京 7", "a-b"], ["a!", "a\n"]),
        (r"[\u0009\u000A\u000D\u0020-\u00FF]+", ["a\tb\r\n", "ÿ"], ["", "Ā", "\x00"]),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF]*", ["a", "🐳", "\U0010ffff"], ["\ufffe", "\n"]),
        (r"[\w-_]*", ["a-b_c"], ["a b", "é"]),
        (r"[a-\d]*", ["a-7"], ["b"]),
        (r"\p{Print}+", ["a ~"], ["\t", "é", ""]),
        (r"\P{L}+", ["123"], ["a"]),
        (r"[\S&&[^a]]", [], []),
        (r"\x41\t[\]\[]", ["A\t]", "A\t["], ["A\t", "a\t]"]),
        (r"[a[0-9]]+", ["a7"], ["b"]),
        (r"a.c", ["abc", "a c"], ["a\nc", "a\u2028c"]),
        (r"[]a]+", ["]a"], ["b"]),
        (r"^\S+$", ["a"], ["a\n", "a b"]),
        (r"\d{12}", ["123456789012"], ["12345678901", "1234567890123", "١٢٣٤٥٦٧٨٩٠١٢"]),
    ],
)
def test_java_syntax(source: str, yes: list[str], no: list[str]):
    if "&&" in source:
        with pytest.raises(PatternError, match="intersections"):
            Pattern(source)
        return
    pattern = Pattern(source)
    assert [text for text in yes if not pattern.matches(text)] == []
    assert [text for text in no if pattern.matches(text)] == []


@pytest.mark.parametrize(
    "source",
    ["(a", "a)", "[a", "*a", "a{2,1}", "a{x}", r"(a)\1", "(?<=a)b", "(?i)a", "a++", r"\p{Nope}", r"\q", "\\", "a(?!bc)d",
     r"\u12", r"\x{110000}", r"\u+123", "[z-a]", "((a{200}){200}){200}", "^*"],
)  # fmt: skip
def test_what_cannot_be_matched_is_refused(source: str):
    with pytest.raises(PatternError):
        Pattern(source)


def test_exponential_patterns_take_linear_time():
    pattern = Pattern("^[a-z0-9*](?:[._\\-/a-z0-9*]?[a-z0-9*]+)*$")
    begin = time.process_time()
    assert not pattern.matches("a" * 100_000 + "!")
    assert time.process_time() - begin < 5


def test_the_automaton_does_not_grow_without_end():
    pattern = Pattern("(a|[^b])*c")
    for first in range(0, 0x30000, 1000):
        text = "".join(chr(point) for point in range(first, first + 1000) if not 0xD800 <= point < 0xE000)
        assert pattern.matches(text.replace("b", "") + "c")
    assert pattern.matches("xc")
    assert not pattern.matches("xbc")


@pytest.mark.parametrize(
    "service", ["ecr", "ecr-public", "sts", "iam", "ecs", "logs", "application-autoscaling", "autoscaling", "elbv2"]
)
def test_every_operation_of_the_models_can_be_checked(models: Models, service: str):
    model = models.service(service)
    assert len([model.operation(name) for name in model.operations]) >= 11

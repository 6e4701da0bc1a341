"""Tables from YAML and JSON: what is written, and where."""

import pytest

from auth.rehearsal.written import Refused
from server.policy.tables import parse_table


def test_texts_stand_as_they_are_written():
    table = parse_table("a: 012345678901\nb: yes\nc: 2026-01-01\nd: null\ne: 1.50\nf: 'x'\ng: ~", "t.yaml").members()
    contents = {name: one.content for name, one in table.items()}
    assert contents == {
        "a": "012345678901", "b": "yes", "c": "2026-01-01", "d": None, "e": "1.50", "f": "x", "g": None,
    }  # fmt: skip


def test_json_says_the_same():
    table = parse_table('{"a": "012345678901", "b": true, "d": null, "e": 1.50, "f": ["x", 3]}', "t.JSON").members()
    assert {name: one.content for name, one in table.items() if name != "f"} == {
        "a": "012345678901", "b": "true", "d": None, "e": "1.50",
    }  # fmt: skip
    assert table["f"].texts() == ["x", "3"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("t.yaml", "cases:\n  - {action: push,\n     resource: a}"),
        ("t.json", '{"cases":\n  [ {"action": "push",\n     "resource": "a"}]}'),
    ],
)
def test_everything_has_its_place(file: str, text: str):
    (case,) = parse_table(text, file).members()["cases"].items()
    assert (case.line, case.what) == (2, "cases[1]")
    resource = case.members()["resource"]
    assert (resource.line, resource.what) == (3, "cases[1].resource")
    with pytest.raises(Refused) as refused:
        case.members("action")
    assert (refused.value.line, refused.value.column) == (3, 6)
    assert refused.value.message == "cases[1].resource: there is no such key; there are action"


@pytest.mark.parametrize(
    ("file", "text", "line", "said"),
    [
        ("t.yaml", "a: 1\nb: [", 2, "no YAML"),
        ("t.yaml", "a: 1\na: 2", 2, "`a` stands twice"),
        ("t.yaml", "a: 1\n---\nb: 2", 2, "no YAML"),
        ("t.yaml", "", 1, "empty"),
        ("t.yaml", "# nothing\n", 1, "empty"),
        ("t.yaml", "a: 1\n[b]: 2", 2, "a name is wanted"),
        ("t.yaml", "a: \x01", 1, "no YAML"),
        ("t.yaml", "[" * 40 + "]" * 40, 1, "deeper"),
        ("t.json", '{"a": 1,\n"a": 2}', 2, "stands twice"),
        ("t.json", "{", 1, "no JSON"),
    ],
)
def test_what_is_no_table_is_refused_where_it_ends_to_be_one(file: str, text: str, line: int, said: str):
    with pytest.raises(Refused, match=said) as refused:
        parse_table(text, file)
    assert refused.value.line == line


def test_aliases_that_multiply_are_refused_before_they_cost_anything():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(Refused, match="too many values"):
        parse_table("\n".join(lines), "t.yaml")


def test_an_alias_that_holds_itself_is_refused():
    with pytest.raises(Refused):
        parse_table("a: &a [*a]", "t.yaml")


def test_an_alias_is_what_it_stands_for():
    table = parse_table("a: &ours {x: '1'}\nb: *ours", "t.yaml").members()
    assert table["b"].members()["x"].text() == "1"


def test_a_tag_makes_nothing():
    assert parse_table("a: !!python/object/apply:os.system [ls]", "t.yaml").members()["a"].texts() == ["ls"]

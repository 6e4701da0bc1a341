"""The checker of tags' histories: it accepts what a tag can do, and nothing else."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.linear import Kind, Operation, Value, is_linearizable_by_trying, told, violation


def put(value: str, began: float, ended: float = math.inf) -> Operation:
    return Operation("t", Kind.PUT, value, began, ended)


def get(value: Value, began: float, ended: float) -> Operation:
    return Operation("t", Kind.GET, value, began, ended)


def delete(there: bool, began: float, ended: float = math.inf) -> Operation:
    return Operation("t", Kind.DELETE, "there" if there else None, began, ended)


POSSIBLE = {
    "one after the other": [put("a", 0, 1), get("a", 2, 3), delete(True, 4, 5), get(None, 6, 7)],
    "nothing yet": [get(None, 0, 1), delete(False, 2, 3)],
    "reads beside a write see before or after": [put("a", 0, 10), get(None, 1, 2), get("a", 3, 4), get("a", 5, 6)],
    "writes beside each other end in any order": [put("a", 0, 10), put("b", 0, 10), get("a", 11, 12), get("a", 13, 14)],
    "an unanswered write happens": [put("a", 0), get("a", 5, 6)],
    "an unanswered write happens late": [put("a", 0), get(None, 5, 6), get("a", 7, 8)],
    "an unanswered write never happens": [put("a", 0), get(None, 5, 6), get(None, 7, 8)],
    "an unanswered deletion happens late": [put("a", 0, 1), delete(True, 2), get("a", 3, 4), get(None, 5, 6)],
    "only one deletion finds the tag": [put("a", 0, 1), delete(True, 2, 9), delete(False, 2, 9)],
    "a dropped manifest takes its tag": [put("a", 0, 1), Operation("t", Kind.DROP, "a", 2, 3), get(None, 4, 5)],
    "a dropped manifest leaves others' tags": [put("a", 0, 1), Operation("t", Kind.DROP, "b", 2, 3), get("a", 4, 5)],
    "a list": [put("a", 0, 1), Operation("t", Kind.SEEN, "there", 2, 3)],
}  # fmt: skip
IMPOSSIBLE = {
    "a stale read": [put("a", 0, 1), put("b", 2, 3), get("a", 4, 5)],
    "a read that goes back": [put("a", 0, 1), put("b", 2, 20), get("b", 4, 5), get("a", 6, 7)],
    "a read of a write that is to come": [get("a", 0, 1), put("a", 2, 3)],
    "a deleted tag that is read": [put("a", 0, 1), delete(True, 2, 3), get("a", 4, 5)],
    "a write that is lost": [put("a", 0, 1), get(None, 2, 3)],
    "two deletions that both find the tag": [put("a", 0, 1), delete(True, 2, 9), delete(True, 2, 9)],
    "an unanswered write that happens twice": [put("a", 0), put("b", 1, 2), get("a", 3, 4), put("c", 5, 6), get("a", 7, 8)],
    "an unanswered write that happens before it began": [get("a", 0, 1), put("a", 2)],
    "a list without the tag": [put("a", 0, 1), Operation("t", Kind.SEEN, None, 2, 3)],
    "a dropped manifest whose tag stays": [put("a", 0, 1), Operation("t", Kind.DROP, "a", 2, 3), get("a", 4, 5)],
}  # fmt: skip


@pytest.mark.parametrize("history", POSSIBLE.values(), ids=POSSIBLE)
def test_what_a_tag_can_do_is_accepted(history: list[Operation]):
    assert violation(history) == []
    assert is_linearizable_by_trying(history)


@pytest.mark.parametrize("history", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_a_tag_cannot_do_is_caught(history: list[Operation]):
    assert violation(history)
    assert not is_linearizable_by_trying(history)


def test_tags_are_checked_apart_and_the_violation_is_one_tags():
    other = [Operation("u", Kind.PUT, "x", 0, 1), Operation("u", Kind.GET, "x", 2, 3)]
    assert violation(other + POSSIBLE["one after the other"]) == []
    found = violation(other + IMPOSSIBLE["a stale read"])
    assert {operation.tag for operation in found} == {"t"}
    assert "GET t a" in told(found)


OPERATIONS = st.builds(
    lambda kind, value, began, length, answered: Operation(
        "t", kind, value, began, began + length if answered else math.inf
    ),
    st.sampled_from(list(Kind)),
    st.sampled_from([None, "a", "b"]),
    st.integers(0, 12),
    st.integers(1, 8),
    st.booleans(),
).filter(lambda one: one.value is not None or one.kind not in {Kind.PUT, Kind.DROP})


@settings(max_examples=300, deadline=None)
@given(st.lists(OPERATIONS, min_size=1, max_size=6))
def test_it_says_what_trying_all_orders_says(history: list[Operation]):
    answered = [one for one in history if not (math.isinf(one.ended) and one.kind in {Kind.GET, Kind.SEEN})]
    assert (violation(history) == []) == is_linearizable_by_trying(answered)


def played(source: random.Random, *, clients: int, steps: int, stale: float = 0.0) -> list[Operation]:
    """What clients see of one true tag, each of whose operations takes effect at some moment between its beginning and
    its end; some reads, if any are to be stale, see what was there before."""
    planned = []
    for _ in range(clients):
        clock = 0.0
        for _ in range(steps // clients):
            began = clock + source.random()
            clock = began + source.random()
            planned.append((source.uniform(began, clock), began, clock))
    history: list[Operation] = []
    state: Value = None
    former: Value = None
    for number, (_, began, ended) in enumerate(sorted(planned)):
        kind = source.choice((Kind.PUT, Kind.GET, Kind.GET, Kind.GET, Kind.DELETE))
        value: Value
        if kind is Kind.PUT:
            former, state = state, f"v{number}"
            value = state
        elif kind is Kind.GET:
            value = former if source.random() < stale else state
        else:
            value, former, state = None if state is None else "there", state, None
        answered = kind is Kind.GET or source.random() < 0.98
        history.append(Operation("t", kind, value, began, ended if answered else math.inf))
    return history


@pytest.mark.parametrize("clients", [1, 3, 8])
def test_long_histories_are_checked_and_stale_reads_in_them_are_caught(clients: int):
    for seed in range(3):
        assert violation(played(random.Random(seed), clients=clients, steps=1500)) == []
    caught = [violation(played(random.Random(seed), clients=clients, steps=1500, stale=0.05)) for seed in range(3)]
    assert all(caught)

"""Whether what clients saw of a tag can be told as one thing after the other: a checker of linearizability.

A history is a list of operations, each with the times between which it must have taken effect. It is linearizable if
some order of the operations keeps to those times and to what a tag is: it names what was last put, until it is deleted. An
operation without an answer may have taken effect at any time after it began, or never.

The search is that of Wing and Gong with Lowe's memory of what was tried (which operations are done, and what the tag
then is), as in porcupine. Tags do not touch each other, so each is checked alone.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

Value = str | None
"""What a tag names; None: there is no such tag."""


class Kind(Enum):
    PUT = "the tag names `value` from now on"
    GET = "the tag named `value`"
    DELETE = "the tag is gone; `value`: whether there was one, 'there' or None"
    DROP = "the tag is gone if it named `value`"
    SEEN = "the tag was listed: `value` is 'there', or not: None"


@dataclass(frozen=True, slots=True)
class Operation:
    """`ended` is infinite where no answer came; then `value` of a DELETE means nothing."""

    tag: str
    kind: Kind
    value: Value
    began: float
    ended: float = math.inf
    by: str = ""

    def __str__(self) -> str:
        end = "..." if math.isinf(self.ended) else f"{self.ended:.6f}"
        return f"{self.began:.6f}-{end} {self.by} {self.kind.name} {self.tag} {self.value}"


IMPOSSIBLE = object()


def _after(state: Value, operation: Operation) -> object:
    """What the tag names after the operation, or IMPOSSIBLE."""
    match operation.kind:
        case Kind.PUT:
            return operation.value
        case Kind.GET:
            return state if state == operation.value else IMPOSSIBLE
        case Kind.SEEN:
            return state if (state is None) == (operation.value is None) else IMPOSSIBLE
        case Kind.DROP:
            return None if state == operation.value else state
        case Kind.DELETE:
            known = not math.isinf(operation.ended)
            return IMPOSSIBLE if known and (state is None) != (operation.value is None) else None


class _Event:
    """The beginning of an operation, or its end; in a list that is linked both ways."""

    __slots__ = ("after", "before", "end", "number", "operation")

    def __init__(self, operation: Operation, number: int, end: "_Event | None") -> None:
        self.operation = operation
        self.number = number
        self.end = end
        """Of a beginning; None for an end."""
        self.before: _Event | None = None
        self.after: _Event | None = None

    def lift(self) -> None:
        """Take a beginning and its end out of the list."""
        for event in (self, self.end):
            assert event is not None
            assert event.before is not None
            event.before.after = event.after
            if event.after is not None:
                event.after.before = event.before

    def put_back(self) -> None:
        for event in (self.end, self):
            assert event is not None
            assert event.before is not None
            event.before.after = event
            if event.after is not None:
                event.after.before = event


def violation(operations: Iterable[Operation], first: Value = None) -> list[Operation]:
    """Empty if the history is linearizable, else one tag's operations up to the one that cannot be explained."""
    by_tag: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        if not (math.isinf(operation.ended) and operation.kind in {Kind.GET, Kind.SEEN}):  # which told nobody anything
            by_tag[operation.tag].append(operation)
    for one in by_tag.values():
        if found := _violation_of_one(one, first):
            return found
    return []


def _violation_of_one(operations: Sequence[Operation], first: Value) -> list[Operation]:
    head = _linked(operations)
    state, done = first, 0
    tried: set[tuple[int, Value]] = set()
    chosen: list[tuple[_Event, Value]] = []
    furthest: _Event | None = None
    event = head.after
    while event is not None:
        if event.end is not None:
            found = _after(state, event.operation)
            mark = done | 1 << event.number
            if found is not IMPOSSIBLE and (mark, found) not in tried:
                tried.add((mark, found))  # type: ignore[arg-type]
                chosen.append((event, state))
                state, done = found, mark  # type: ignore[assignment]
                event.lift()
                event = head.after
            else:
                event = event.after
            continue
        if math.isinf(event.operation.ended):  # all that was answered is told
            return []
        # it has to have happened by now, and cannot: something before was told wrongly
        if furthest is None or event.operation.ended > furthest.operation.ended:
            furthest = event
        if not chosen:
            last = furthest.operation.ended
            return sorted((one for one in operations if one.began <= last), key=lambda one: one.began)
        back, state = chosen.pop()
        done &= ~(1 << back.number)
        back.put_back()
        event = back.after
    return []


def _linked(operations: Sequence[Operation]) -> _Event:
    """All beginnings and ends in the order of their times; what begins when another ends is at the same time as it."""
    events: list[tuple[float, int, _Event]] = []
    for number, operation in enumerate(operations):
        end = _Event(operation, number, None)
        events.append((operation.began, 0, _Event(operation, number, end)))
        events.append((operation.ended, 1, end))
    events.sort(key=lambda entry: entry[:2])
    head = before = _Event(operations[0], -1, None)
    for _, _, event in events:
        before.after, event.before = event, before
        before = event
    return head


def told(found: Sequence[Operation], *, last: int = 30) -> str:
    """A violation, for people."""
    return "these operations cannot be told as one after the other:\n" + "\n".join(map(str, found[-last:]))


def is_linearizable_by_trying(operations: Sequence[Operation], first: Value = None) -> bool:
    """The same by all orders of a few operations, to check the checker."""

    def go_on(state: Value, left: frozenset[int]) -> bool:
        waiting = [operations[number] for number in left]
        if all(math.isinf(one.ended) for one in waiting):
            return True
        soonest = min(one.ended for one in waiting)
        for number in left:
            operation = operations[number]
            if operation.began <= soonest:
                found = _after(state, operation)
                if found is not IMPOSSIBLE and go_on(found, left - {number}):  # type: ignore[arg-type]
                    return True
        return False

    return go_on(first, frozenset(range(len(operations))))

import contextlib
import math
import timeit
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from base.limits import Lanes, Limit, Refused, Turn


@dataclass
class House:
    """Lanes, and who was let in when."""

    limit: Limit
    now: float = 0.0
    keys: int = 100
    entered: list[tuple[float, Turn]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lanes = Lanes(self.limit, keys=self.keys)

    def enter(self, key: str = "a", *, upload: bool = False, patient: bool = True) -> Turn:
        turn = self.lanes.enter(key, self.now, upload=upload, patient=patient)
        if turn.let_in:
            self.entered.append((self.now, turn))
        else:
            turn.when = lambda: self.entered.append((self.now, turn))
        return turn

    def leave(self, turn: Turn) -> None:
        self.lanes.leave(turn, self.now)

    def pass_time(self, seconds: float, key: str = "a") -> None:
        """As who keeps a timer does: looks when it was told to, and at the end."""
        end = self.now + seconds
        while (again := self.lanes.advance(key, self.now)) is not None and again <= end:
            self.now = max(self.now, again)
        self.now = end
        self.lanes.advance(key, self.now)


def test_a_burst_is_let_in_at_once_and_then_one_for_each_token():
    house = House(Limit(rate=10, burst=3, queue=100, wait=60))
    turns = [house.enter() for _ in range(8)]
    assert [turn.let_in for turn in turns] == [True] * 3 + [False] * 5
    house.pass_time(0.1)
    assert [turn.let_in for turn in turns] == [True] * 4 + [False] * 4
    house.pass_time(0.4)
    assert all(turn.let_in for turn in turns)
    assert [at for at, _ in house.entered] == pytest.approx([0, 0, 0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_who_was_quiet_has_a_burst_again_and_no_more():
    house = House(Limit(rate=10, burst=3))
    for _ in range(3):
        house.enter()
    house.pass_time(1000)
    for _ in range(3):
        assert house.enter().let_in
    with pytest.raises(Refused):
        house.enter()


def test_keys_do_not_know_of_each_other():
    house = House(Limit(rate=1, burst=1))
    assert all(house.enter(key).let_in for key in "abc")
    with pytest.raises(Refused):
        house.enter("b")


def test_as_many_are_under_way_as_may_be_and_the_next_when_one_leaves():
    house = House(Limit(at_once=2, queue=10, wait=60))
    turns = [house.enter() for _ in range(4)]
    assert [turn.let_in for turn in turns] == [True, True, False, False]
    house.pass_time(1000)
    assert not turns[2].let_in, "time alone helps nobody"
    house.leave(turns[1])
    assert [turn.let_in for turn in turns] == [True, True, True, False]
    house.leave(turns[0])
    assert turns[3].let_in


def test_nobody_overtakes_who_waits():
    house = House(Limit(rate=1, burst=1, at_once=5, queue=10, wait=60))
    turns = [house.enter() for _ in range(5)]
    for done in range(4):
        house.pass_time(1)
        assert [turn.let_in for turn in turns] == [True] * (done + 2) + [False] * (3 - done)


def test_an_upload_that_waits_for_another_holds_up_nobody_else():
    house = House(Limit(at_once=3, uploads=1, queue=10, wait=60))
    first, second, third = house.enter(upload=True), house.enter(upload=True), house.enter(upload=True)
    plain = house.enter()
    assert (first.let_in, second.let_in, third.let_in, plain.let_in) == (True, False, False, True)
    house.leave(first)
    assert (second.let_in, third.let_in) == (True, False)
    house.leave(second)
    assert third.let_in


def test_a_full_queue_refuses():
    house = House(Limit(at_once=1, queue=2, wait=60))
    turns = [house.enter() for _ in range(3)]
    with pytest.raises(Refused):
        house.enter()
    assert house.lanes.waiting == 2
    house.leave(turns[0])
    assert house.enter().let_in is False, "there is a place again"


def test_who_would_wait_too_long_is_refused_at_once_and_told_how_long():
    house = House(Limit(rate=2, burst=1, queue=100, wait=3))
    assert house.enter().let_in
    assert [house.enter().let_in for _ in range(6)] == [False] * 6
    with pytest.raises(Refused) as refused:
        house.enter()
    assert refused.value.retry_after == 4
    assert house.lanes.waiting == 6


def test_who_has_no_patience_is_refused_instead_of_waiting():
    house = House(Limit(rate=1, burst=1, queue=100, wait=60))
    assert house.enter(patient=False).let_in
    with pytest.raises(Refused):
        house.enter(patient=False)
    assert house.lanes.waiting == 0


def test_who_gives_up_takes_nothing_from_those_behind():
    house = House(Limit(rate=1, burst=1, queue=10, wait=60))
    house.enter()
    gone, behind = house.enter(), house.enter()
    house.leave(gone)
    house.pass_time(1)
    assert (gone.let_in, behind.let_in) == (False, True)
    assert house.lanes.waiting == 0


def test_keys_beyond_the_most_take_the_places_of_those_that_were_quiet_longest():
    house = House(Limit(rate=1, burst=2, at_once=10, queue=10, wait=60), keys=3)
    busy = house.enter("busy")
    for number in range(1000):
        house.leave(house.enter(f"key {number}"))
    assert len(house.lanes) <= 4
    house.leave(busy)
    assert house.enter("busy").let_in, "the busy one was not forgotten: it had one token left"
    assert not house.enter("busy").let_in


def test_what_is_not_limited_always_has_room():
    limit = Limit()
    assert not limit
    house = House(limit)
    assert all(house.enter().let_in for _ in range(1000))
    assert Limit(rate=1)
    assert Limit(at_once=1)
    assert Limit(uploads=1)


def test_letting_in_costs_microseconds():
    lanes = Lanes(Limit(rate=1e9, burst=1e9, at_once=1000, uploads=1000, queue=10, wait=1))
    for number in range(10_000):
        lanes.leave(lanes.enter(f"key {number}", 0.0), 0.0)
    best = min(timeit.repeat(lambda: lanes.leave(lanes.enter("key 5000", 1.0), 1.0), number=1000, repeat=20)) / 1000
    assert best < 20e-6


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.booleans()),
        st.tuples(st.just("leave"), st.integers(0, 50)),
        st.tuples(st.just("time"), st.floats(0.01, 3)),
    ),
    max_size=60,
)
LIMITS = st.builds(
    Limit,
    rate=st.sampled_from([0.0, 0.5, 3.0, 100.0]),
    burst=st.sampled_from([1.0, 2.5, 10.0]),
    at_once=st.integers(0, 4),
    uploads=st.integers(0, 2),
    queue=st.integers(0, 6),
    wait=st.sampled_from([0.5, 3.0, 100.0]),
)


@settings(max_examples=150, deadline=None)
@given(limit=LIMITS, events=EVENTS)
def test_whatever_happens_the_limits_hold_and_nobody_waits_without_need(limit: Limit, events: list[tuple]):
    house = House(limit)
    present: list[Turn] = []
    for what, value in events:
        if what == "enter":
            with contextlib.suppress(Refused):
                present.append(house.enter(upload=value))
        elif what == "leave" and present:
            house.leave(present.pop(value % len(present)))
        elif what == "time":
            house.pass_time(value)
        under_way = [turn for turn in present if turn.let_in]
        waiting = [turn for turn in present if not turn.let_in]
        uploads = sum(turn.upload for turn in under_way)
        assert not limit.at_once or len(under_way) <= limit.at_once
        assert not limit.uploads or uploads <= limit.uploads
        assert len(waiting) == house.lanes.waiting <= limit.queue
        # of those of one kind, nobody was overtaken
        for kind in (False, True):
            order = [turn.let_in for turn in present if turn.upload is kind]
            assert order == sorted(order, reverse=True)
    if limit.rate:
        times = [at for at, _ in house.entered]
        for first, start in enumerate(times):
            for last in range(first, len(times)):
                most = limit.burst + (times[last] - start) * limit.rate
                assert last - first + 1 <= math.floor(most + 1e-6) or last == first
    while present:  # with time and an end for each, all come in
        house.pass_time(100)
        let_in = [turn for turn in present if turn.let_in]
        assert let_in
        for turn in let_in:
            house.leave(turn)
            present.remove(turn)

import asyncio
from contextvars import Context
from random import Random

import pytest

from server.telemetry.spans import CHILDREN, Parent, Span, Tracer, parse_parent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


class House:
    def __init__(self, ratio: float = 1.0) -> None:
        self.now = 1_000_000_000
        self.spans: list[Span] = []
        self.tracer = Tracer(ratio, export=self.spans.append, now=lambda: self.now, random=Random(7))


@pytest.mark.parametrize(("text", "found"), [
    (f"00-{TRACE}-{PARENT}-01", Parent(TRACE, PARENT, sampled=True)),
    (f"00-{TRACE}-{PARENT}-00", Parent(TRACE, PARENT, sampled=False)),
    (f"00-{TRACE}-{PARENT}-03", Parent(TRACE, PARENT, sampled=True)),
    (f"cc-{TRACE}-{PARENT}-01-what-the-future-brings", Parent(TRACE, PARENT, sampled=True)),
    (f"cc-{TRACE}-{PARENT}-01", Parent(TRACE, PARENT, sampled=True)),
    (f"00-{TRACE}-{PARENT}-01-more", None),
    (f"cc-{TRACE}-{PARENT}-01.more", None),
    (f"ff-{TRACE}-{PARENT}-01", None),
    (f"00-{'0' * 32}-{PARENT}-01", None),
    (f"00-{TRACE}-{'0' * 16}-01", None),
    (f"00-{TRACE.upper()}-{PARENT}-01", None),
    (f"00-{TRACE[1:]}-{PARENT}-01", None),
    (f"00-{TRACE}-{PARENT}-1", None),
    (f"00-{TRACE}-{PARENT}-01\n", None),
    ("", None),
    ("nonsense", None),
])  # fmt: skip
def test_a_traceparent_is_read_as_the_w3c_has_it(text: str, found: Parent | None):
    assert parse_parent(text) == found


def test_a_request_goes_on_with_its_clients_trace():
    house = House(ratio=0.0)
    span = house.tracer.begin(f"00-{TRACE}-{PARENT}-01", "vendor=value")
    assert span is not None
    assert (span.trace_id, span.parent_id, span.state, span.server) == (TRACE, PARENT, "vendor=value", True)
    assert span.span_id != PARENT
    assert len(span.span_id) == 16


def test_a_client_that_keeps_nothing_of_its_trace_is_not_traced():
    assert House(ratio=1.0).tracer.begin(f"00-{TRACE}-{PARENT}-00") is None


def test_of_traces_that_begin_here_the_ratio_is_kept():
    house = House(ratio=0.25)
    kept = [house.tracer.begin(text) for _ in range(2000) for text in (None, "nonsense")]
    spans = [span for span in kept if span is not None]
    assert 800 < len(spans) < 1200
    assert len({span.trace_id for span in spans}) == len(spans)
    assert all(len(span.trace_id) == 32 and not span.parent_id for span in spans)
    assert not any(House(ratio=0.0).tracer.begin(None) for _ in range(100))


def test_what_is_recorded_is_a_child_of_the_request_of_its_task():
    house = House()

    async def answer() -> Span:
        span = house.tracer.begin(None)
        assert span is not None
        await asyncio.sleep(0)
        house.now += 5_000_000_000
        house.tracer.record("database read", 2.0, {"db.query.text": "SELECT 1"})
        house.tracer.end(span)
        return span

    async def act() -> list[Span]:
        house.tracer.record("of nobody", 1.0, {})
        return await asyncio.gather(answer(), answer())

    first, second = Context().run(asyncio.run, act())
    children = [span for span in house.spans if not span.server]
    assert [(child.trace_id, child.parent_id) for child in children] == [
        (span.trace_id, span.span_id) for span in (first, second)
    ]
    assert {child.name for child in children} == {"database read"}
    assert all(child.ended - child.started == 2_000_000_000 for child in children)
    assert children[0].attributes == {"db.query.text": "SELECT 1"}


def test_a_span_has_a_bounded_number_of_children_and_says_how_many_are_left_out():
    house = House()
    span = house.tracer.begin(None)
    assert span is not None
    for _ in range(CHILDREN + 36):
        house.tracer.record("store read", 0.001, {})
    house.tracer.end(span)
    assert len(house.spans) == CHILDREN + 1
    assert house.spans[-1].attributes == {"longshore.children_left_out": 36}

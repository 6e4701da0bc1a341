import asyncio
import io
import json

import pytest

from server.logs import Log

ACCESS = {
    "method": "GET", "path": "/v2/", "status": 200, "seconds": 0.0123, "received": 12, "sent": 345, "client": "127.0.0.1",
    "principal": "arn:aws:iam::1:root", "agent": "docker/28.2", "request_id": "5ad1bd4b-1d5c-4c6c-b1bb-6a66dd4b4e0a",
}  # fmt: skip
HOSTILE = [
    "a\nb",
    "a\r\nGET /fake 200",
    "\x1b[31mred",
    "\udc80\udcff",
    '"quoted"',
    "back\\slash",
    "tab\t",
    "\x00",
    "\u2028",
    "\x7f",
    "ä\U0001f433",
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(style: str, act, **options) -> list[str]:
    stream = io.StringIO()
    log = Log(style, stream=stream, **options)
    act(log)
    log.flush()
    return stream.getvalue().splitlines(keepends=True)


def test_a_request_is_one_line_with_its_id():
    for style in ("text", "json"):
        (line,) = lines(style, lambda log: log.access(**ACCESS))
        assert ACCESS["request_id"] in line
        assert "200" in line
        assert line.endswith("\n")


def test_json_lines_are_json():
    (line,) = lines("json", lambda log: log.access(**ACCESS))
    found = json.loads(line)
    assert found["time"].endswith("Z")
    assert (found["status"], found["ms"], found["path"], found["event"]) == (200, 12.3, "/v2/", "request")
    assert (found["bytes_in"], found["bytes_out"], found["user_agent"]) == (12, 345, "docker/28.2")
    assert not {"trace_id", "waited_ms"} & found.keys()
    (line,) = lines("json", lambda log: log.access(**ACCESS, waited=1.5, trace_id="4bf92f3577b34da6a3ce929d0e0e4736"))
    found = json.loads(line)
    assert (found["waited_ms"], found["trace_id"]) == (1500, "4bf92f3577b34da6a3ce929d0e0e4736")
    (line,) = lines("json", lambda log: log.event("something", path=io, number=5))
    assert json.loads(line)["number"] == 5


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("field", ["path", "method", "client", "agent", "refused"])
@pytest.mark.parametrize("style", ["text", "json"])
def test_what_a_client_sends_cannot_write_lines_or_colours_of_its_own(style: str, field: str, hostile: str):
    found = lines(style, lambda log: log.access(**{**ACCESS, field: hostile}))
    assert len(found) == 1
    assert len(found[0].splitlines()) == 1
    assert "\x1b" not in found[0]
    assert found[0].rstrip("\n").isprintable()
    found[0].encode("utf-8")
    if style == "json":
        assert json.loads(found[0])[{"agent": "user_agent"}.get(field, field)] == hostile


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_a_client_sends_stays_on_its_line_in_a_failure_too(hostile: str):
    (line,) = lines("json", lambda log: log.failure("failed", ValueError(hostile), path=hostile))
    assert json.loads(line)["path"] == hostile
    shown = lines("text", lambda log: log.event("happened", path=hostile))
    assert len(shown) == 1
    assert "\x1b" not in shown[0]


def fail() -> None:
    raise LookupError("the reason")


def test_a_failure_says_where_it_happened():
    def act(log: Log) -> None:
        try:
            fail()
        except LookupError as error:
            log.failure("a request failed", error, request_id="some-id")

    text = "".join(lines("text", act))
    assert "a request failed" in text
    assert "LookupError: the reason" in text
    assert "test_logs.py" in text
    (line,) = lines("json", act)
    assert json.loads(line)["level"] == "error"
    assert "test_logs.py" in json.loads(line)["trace"]


def test_auto_is_text_on_a_terminal_and_json_elsewhere():
    for stream, is_json in ((Terminal(), False), (io.StringIO(), True)):
        log = Log("auto", stream=stream)
        log.event("hello")
        log.flush()
        assert stream.getvalue().startswith("{") is is_json


def test_requests_are_not_logged_where_that_is_set():
    assert lines("text", lambda log: log.access(**ACCESS), access=False) == []
    assert len(lines("text", lambda log: log.event("still"), access=False)) == 1


def test_lines_are_written_before_there_are_too_many_and_all_at_a_flush():
    stream = io.StringIO()

    async def act() -> None:
        log = Log("json", stream=stream)
        for _ in range(1234):
            log.access(**ACCESS)
        assert 1000 <= stream.getvalue().count("\n") <= 1234
        log.flush()
        log.flush()

    asyncio.run(act())
    assert stream.getvalue().count("\n") == 1234


def test_outside_a_loop_a_line_is_written_at_once():
    stream = io.StringIO()
    Log("text", stream=stream).event("now")
    assert "now" in stream.getvalue()

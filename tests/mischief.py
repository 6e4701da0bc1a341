"""A proxy for HTTP that does to its clients what networks and servers do on bad days."""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self
from urllib.parse import urlsplit


class Kind(Enum):
    REFUSED = "the connection ends before a byte of the answer, by RST"
    SILENT = "no answer comes, and the connection stays"
    SLOW = "the answer comes in crumbs, with pauses"
    ERROR = "500 InternalError, and the server never saw the request"
    SLOW_DOWN = "503 SlowDown, and the server never saw the request"
    LOST = "the server did what was asked, and its answer is lost"
    CUT = "the answer ends by RST after some bytes"
    HALF_CLOSED = "the answer ends after some bytes as if it were over, and the connection stays open the other way"
    CUT_REQUEST = "the connection ends by RST after some bytes of the request"
    STALE = "the connection ends after the answer, which said that it stays"


MISCHIEF = tuple(kind for kind in Kind if kind is not Kind.SILENT)
"""What is over soon."""


@dataclass(frozen=True)
class Fault:
    """`after`: bytes that still come through."""

    kind: Kind
    after: int = 0


Choice = Callable[[str, str], Fault | None]
"""(method, target) -> what is done to a request."""


def well(_: str, __: str) -> None:
    return None


def often(source: random.Random, share: float, kinds: Iterable[Kind] = MISCHIEF) -> Choice:
    """A share of the requests, at random."""
    known = tuple(kinds)

    def choose(_: str, __: str) -> Fault | None:
        if source.random() >= share:
            return None
        return Fault(source.choice(known), source.choice((0, 1, 10, 200, 3000, 200_000)))

    return choose


def all_of(kind: Kind) -> Choice:
    return lambda _method, _target: Fault(kind)


class FaultyProxy:
    """In front of the server at `url`, on a port of its own, in a thread of its own. `choose` may be set at any time."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname, target.port)
        self.choose: Choice = well
        self.met: list[Fault] = []
        self.requests = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def refuse(self) -> None:
        """Nobody listens any more, and what was open is ended."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)

    def listen(self) -> None:
        """On the same port again."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._converse, sock=self._listener, limit=1 << 20)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        upstream = None
        try:
            upstream = await asyncio.open_connection(*self._target, limit=1 << 20)
            while await self._exchange(reader, writer, *upstream):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            _reset(writer)
            if upstream is not None:
                _reset(upstream[1])

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        requests: asyncio.StreamWriter,
    ) -> bool:
        """One request and its answer. Whether the connection goes on."""
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        fields = _fields(head)
        self.requests += 1
        fault = self.choose(method, target)
        if fault is not None:
            self.met.append(fault)
        kind = fault.kind if fault is not None else None
        after = fault.after if fault is not None else 0
        if kind is Kind.REFUSED:
            return False
        if kind is Kind.SILENT:
            await asyncio.Event().wait()
        if fields.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if kind in {Kind.ERROR, Kind.SLOW_DOWN}:
            async for _ in _body(reader, fields, method):
                pass
            writer.write(_error(kind))
            await writer.drain()
            return True
        requests.write(_without_expect(head))
        left = after
        async for piece in _body(reader, fields, method):
            if kind is Kind.CUT_REQUEST and left < len(piece):
                return False
            left -= len(piece)
            requests.write(piece)
            await requests.drain()
        if kind is Kind.CUT_REQUEST:
            return False
        answer = await answers.readuntil(b"\r\n\r\n")
        if kind is Kind.LOST:
            async for _ in _body(answers, _fields(answer), "", asked=method):
                pass
            return False
        left = after
        async for piece in _prefixed(answer, _body(answers, _fields(answer), "", asked=method)):
            if kind in {Kind.CUT, Kind.HALF_CLOSED} and left < len(piece):
                writer.write(piece[:left])
                await writer.drain()
                if kind is Kind.HALF_CLOSED:
                    writer.write_eof()
                    await asyncio.wait_for(reader.read(), 60)
                return False
            left -= len(piece)
            await _write(writer, piece, slow=kind is Kind.SLOW)
        return kind is not Kind.STALE and _fields(answer).get("connection", "").lower() != "close"


async def _write(writer: asyncio.StreamWriter, piece: bytes, *, slow: bool) -> None:
    step = max(1, len(piece) // 5) if slow else len(piece)
    for at in range(0, len(piece), step):
        writer.write(piece[at : at + step])
        await writer.drain()
        if slow:
            await asyncio.sleep(0.02)


async def _prefixed(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


async def _body(
    reader: asyncio.StreamReader, fields: dict[str, str], method: str, *, asked: str = ""
) -> AsyncIterator[bytes]:
    """The bytes of a message's body, as they are on the wire. `asked`: the method that it answers."""
    status = fields.get(":status", "")
    if asked == "HEAD" or status in {"204", "304"}:
        return
    if fields.get("transfer-encoding", "").lower() == "chunked":
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            yield line + await reader.readexactly(size + 2)
            if size == 0:
                return
    left = int(fields.get("content-length", "0"))
    while left:
        piece = await reader.read(min(left, 1 << 16))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
        yield piece


def _fields(head: bytes) -> dict[str, str]:
    first, *lines = head.decode("latin-1").split("\r\n")
    found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    if first.startswith("HTTP/"):
        found[":status"] = first.split(" ", 2)[1]
    return found


def _without_expect(head: bytes) -> bytes:
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(b"expect:"))


def _error(kind: Kind) -> bytes:
    status, code = (
        ("500 Internal Server Error", "InternalError") if kind is Kind.ERROR else ("503 Slow Down", "SlowDown")
    )
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>on purpose</Message></Error>'.encode()
    return f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by RST."""
    found: Any = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        if found is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

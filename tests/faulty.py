"""A proxy in front of an HTTP server that breaks requests: one kind of fault, at the requests that are named."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CONNECTION = re.compile(rb"\r\nconnection:[^\r]*", re.IGNORECASE)
_BLOCK = 1 << 16


@dataclass(frozen=True)
class Fault:
    """What happens to a request instead of what should: the first of these that is given.

    `refuse`: the connection ends unread. `cut_request`: it ends after so many bytes of the request have come. `status`: that is
    answered, with `code`, by nobody. `cut`: the server does its work, and of its answer so many bytes come (negative:
    all but so many). `late`: the answer waits for so many seconds.
    """

    name: str
    refuse: bool = False
    cut_request: int | None = None
    status: int = 0
    code: str = ""
    cut: int | None = None
    late: float = 0.0

    def __str__(self) -> str:
        return self.name


Chosen = Callable[[int, str], Fault | None]
"""(number of the request from 0, its line) -> what happens to it."""


@dataclass
class Faulty:
    """`choose` may be set anew at any time; `asked` are the lines of all requests."""

    target: str
    choose: Chosen = lambda _number, _line: None
    asked: list[str] = field(default_factory=list)
    port: int = 0
    stale: bool = False
    """Every connection ends, without a word, when a second request comes over it."""
    replay: dict[str, bytes] = field(default_factory=dict)
    """Answers by the beginning of the line of their request, instead of the server's."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                count = 0
                while await self._pass_on(reader, writer, count):
                    count += 1
            writer.close()
        finally:
            if not writer.is_closing():
                writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> bool:
        """One request; whether the connection goes on."""
        head = await reader.readuntil(b"\r\n\r\n")
        if self.stale and count:
            return False
        line = head.partition(b"\r\n")[0].decode()
        fault = self.choose(len(self.asked), line) or Fault("none")
        self.asked.append(line)
        found = _LENGTH.search(head)
        length = int(found.group(1)) if found else 0
        if fault.refuse:
            return False
        if fault.cut_request is not None:
            await reader.readexactly(min(length, fault.cut_request))
            return False
        body = await reader.readexactly(length)
        answer = next((known for start, known in self.replay.items() if line.startswith(start)), None)
        if fault.status:
            said = f"<Error><Code>{fault.code}</Code></Error>".encode() if fault.code else b""
            answer = b"HTTP/1.1 %d -\r\nContent-Length: %d\r\n\r\n%b" % (fault.status, len(said), said)
        answer = answer or await self.ask(head, body)
        if fault.late:
            await asyncio.sleep(fault.late)
        whole = fault.cut is None
        writer.write(answer if whole else answer[: fault.cut])
        await writer.drain()
        return whole

    async def ask(self, head: bytes, body: bytes) -> bytes:
        """The server's answer, whole."""
        where = urlsplit(self.target)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        try:
            writer.write(_CONNECTION.sub(b"", head)[:-2] + b"Connection: close\r\n\r\n" + body)
            answer = await reader.read(-1)
        finally:
            writer.close()
        start, blank, rest = answer.partition(b"\r\n\r\n")
        return _CONNECTION.sub(b"", start) + blank + rest


@asynccontextmanager
async def faulty(target: str) -> AsyncIterator[Faulty]:
    """The proxy, in this loop."""
    proxy = Faulty(target)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=_BLOCK)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()

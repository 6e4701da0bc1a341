"""Writing answers below aiohttp's response classes: one string of header fields, one write, or sendfile.

aiohttp parses requests, owns connections and keep-alive. What it is handed here has the two methods that its protocol
calls on a response, `prepare` and `write_eof`. A body of up to 256 KiB goes out with its header fields; larger parts of
local files go from the page cache to the socket by sendfile, on a duplicate of the connection's descriptor (uvloop has
no sendfile of its own); anything else, and everything over TLS, is read and written in pieces.
"""

import asyncio
import contextlib
import os
import socket
import time
from http import HTTPStatus
from typing import Protocol, cast

from base.web import Part, Reply, Source

INLINE = 256 * 1024
_PIECE, _LEAST_PIECE = 512 * 1024, 64 * 1024
_IN_HAND = 8 * 1024 * 1024
"""Bytes of pieces, about, that wait for clients in all: the more take some, the smaller their pieces."""
_SENDFILE = 4 * 1024 * 1024

_LONGEST_PHRASE = 200
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_NO_BODY = {204, 304}
_sending = 0
"""Answers that are being sent in pieces."""


class LocalFile(Protocol):
    """A source that lies in a local file (`store.blobs.driver.Span` is one)."""

    @property
    def descriptor(self) -> int: ...

    @property
    def offset(self) -> int: ...

    @property
    def file(self) -> str: ...


class Connection(Protocol):
    """What an answer needs to know of the request that it answers, and of its connection."""

    method: str
    keep_alive: bool
    is_http10: bool
    request_id: str
    idle_timeout: float
    transport: asyncio.Transport | None

    def now(self) -> str:
        """The Date field."""
        ...

    async def drain(self) -> None:
        """Wait until the connection takes more. Raises ConnectionError."""
        ...

    async def flush(self) -> None:
        """Wait until nothing is left in the connection's write buffer. Raises ConnectionError."""
        ...

    def end(self, sent: int) -> None:
        """The request is over: so many bytes of its answer's body were handed to the transport."""
        ...


class Now:
    """The Date field, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def __call__(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._text = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(second))
        return self._text


class Answer:
    """A reply on its way out: what aiohttp's protocol takes for a response."""

    __slots__ = ("_connection", "_reply", "_sent", "keep_alive", "status")

    def __init__(self, connection: Connection, reply: Reply) -> None:
        self._connection = connection
        self._reply = reply
        self._sent = 0
        self.status = reply.status
        self.keep_alive = connection.keep_alive and not reply.close

    @property
    def body_length(self) -> int:
        """Bytes of the body that were handed to the transport."""
        return self._sent

    async def prepare(self, request: object) -> None:
        """Everything happens in `write_eof`."""

    async def write_eof(self) -> None:
        """Send. Raises ConnectionError where the client is gone."""
        try:
            await self._send()
        finally:
            self._connection.end(self._sent)

    async def _send(self) -> None:
        reply, connection = self._reply, self._connection
        transport = connection.transport
        body = reply.body
        part = body if isinstance(body, Part) else None
        if transport is None or transport.is_closing():
            if part is not None:
                part.source.close()
            raise ConnectionResetError("the client is gone")
        if part is None:
            assert isinstance(body, bytes)
            head = self._head(len(body) if reply.length is None else reply.length)
            if connection.method == "HEAD":
                transport.write(head)
                return
            if len(body) < 16384:
                transport.write(head + body)
            else:
                transport.writelines([head, body])
            self._sent = len(body)
            return
        try:
            await self._send_part(part, transport)
        finally:
            part.source.close()

    def _head(self, length: int) -> bytes:
        reply = self._reply
        lines = [f"HTTP/1.1 {reply.status} {_phrase(reply.reason) or _REASONS.get(reply.status, '')}"]
        for name, value in reply.headers:
            if "\r" in value or "\n" in value:
                raise ValueError(f"the field {name} has a line break")
            lines.append(f"{name}: {value}")
        if reply.status not in _NO_BODY:
            lines.append(f"Content-Length: {length}")
        connection = self._connection
        lines.append(f"Date: {connection.now()}\r\nx-amzn-RequestId: {connection.request_id}")
        if not self.keep_alive:
            lines.append("Connection: close")
        elif connection.is_http10:
            lines.append("Connection: keep-alive")
        lines.append("\r\n")
        return "\r\n".join(lines).encode("utf-8", "replace")

    async def _send_part(self, part: Part, transport: asyncio.Transport) -> None:
        head = self._head(part.length)
        source, start, length = part.source, part.start, part.length
        if length <= INLINE:
            data = source.read_now(start, length)
            if data is None:
                data = await source.read(start, length)
            transport.writelines([head, data])
            self._sent = length
            await self._connection.drain()
            return
        local = cast("LocalFile | None", getattr(source, "span", None))
        sock = transport.get_extra_info("socket")
        if local is not None and sock is not None and transport.get_extra_info("sslcontext") is None:
            await self._send_file(head, local, start, length, transport, sock)
        else:
            await self._send_pieces(head, source, start, length, transport)

    async def _send_pieces(
        self, head: bytes, source: Source, start: int, length: int, transport: asyncio.Transport
    ) -> None:
        global _sending  # noqa: PLW0603 - of the process, whose memory it bounds
        transport.write(head)
        end = start + length
        _sending += 1
        try:
            await self._send_piecewise(source, start, end, transport)
        finally:
            _sending -= 1

    async def _send_piecewise(self, source: Source, start: int, end: int, transport: asyncio.Transport) -> None:
        while start < end:
            size = min(max(_LEAST_PIECE, min(_PIECE, _IN_HAND // _sending)), end - start)
            data = source.read_now(start, size)
            if data is None:
                data = await source.read(start, size)
            if transport.is_closing():
                raise ConnectionResetError("the client is gone")
            transport.write(data)
            del data
            self._sent += size
            start += size
            await self._connection.drain()

    async def _send_file(
        self, head: bytes, local: LocalFile, start: int, length: int, transport: asyncio.Transport, sock: socket.socket
    ) -> None:
        loop = asyncio.get_running_loop()
        await self._connection.flush()
        out = os.dup(sock.fileno())
        try:
            head = await _send_head(loop, out, head, self._connection.idle_timeout)
            offset, end = local.offset + start, local.offset + start + length
            while offset < end:
                if transport.is_closing():
                    raise ConnectionResetError("the client is gone")
                size = min(_SENDFILE, end - offset)
                try:
                    if _in_memory(local.descriptor, offset, size):
                        count = os.sendfile(out, local.descriptor, offset, size)
                    else:
                        count = await asyncio.to_thread(os.sendfile, out, local.descriptor, offset, size)
                except BlockingIOError:
                    await _writable(loop, out, self._connection.idle_timeout)
                    continue
                if count == 0:
                    raise ConnectionResetError("the file ended early")
                offset += count
                self._sent += count
        finally:
            os.close(out)


async def _send_head(loop: asyncio.AbstractEventLoop, out: int, head: bytes, timeout: float) -> bytes:
    with socket.socket(fileno=os.dup(out)) as sender:
        while head:
            try:
                count = sender.send(head, socket.MSG_MORE | socket.MSG_DONTWAIT)
                head = head[count:]
            except BlockingIOError:
                await _writable(loop, out, timeout)
    return head


def _in_memory(descriptor: int, offset: int, size: int) -> bool:
    """Whether the end of that part of the file is in the page cache: then the rest most likely is, too."""
    with contextlib.suppress(OSError):
        return os.preadv(descriptor, [bytearray(1)], offset + size - 1, os.RWF_NOWAIT) == 1
    return False


async def _writable(loop: asyncio.AbstractEventLoop, descriptor: int, timeout: float) -> None:
    ready = loop.create_future()
    loop.add_writer(descriptor, _wake, ready)
    try:
        async with asyncio.timeout(timeout):
            await ready
    except TimeoutError:
        raise ConnectionResetError("the client takes nothing") from None
    finally:
        loop.remove_writer(descriptor)


def _wake(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


def _phrase(text: str) -> str:
    """As much of it as a status line takes (RFC 9112, 4)."""
    return "".join(character for character in text if " " <= character <= "~")[:_LONGEST_PHRASE]

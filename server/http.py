"""The HTTP server: aiohttp's protocol, our requests and replies.

aiohttp's low-level `web.Server` parses requests and owns connections; what it makes of a request here is an `Exchange`,
and what it sends is an `Answer`. Request bodies are never decompressed and never read before a handler asks for them.
"""

import asyncio
import contextlib
import json
import math
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from aiohttp import web
from aiohttp.helpers import set_exception
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from base.ids import new_uuid
from base.web import Reply
from registry.uploads import ClientGone
from server.reply import Answer, Now

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage
    from aiohttp.streams import StreamReader
    from multidict import CIMultiDictProxy

Handler: TypeAlias = Callable[["Exchange"], Awaitable[Reply]]
Unreadable: TypeAlias = Callable[["Exchange", int, str], None]
"""Told of a request that could not be read: the status that it is answered with, and why."""

MAX_LINE = 16 * 1024
MAX_FIELD = 16 * 1024
_TELL_AGAIN = 60.0
READ_AHEAD = 32 * 1024
"""Bytes of a body that are taken from its connection before anybody asks for them, about: twice that, and one read of
the event loop's. aiohttp makes it more for who reads more at a time."""
_GREETING = 1.0
"""Seconds that a server that stops leaves to handshakes of TLS."""
_STOP_LOOK = 0.02
"""Seconds between two looks at the connections of a server that stops."""


class ExchangeBody:
    """The bytes of a request (`registry.uploads.Body`)."""

    __slots__ = ("_idle_timeout", "_stream", "length", "received")

    def __init__(self, stream: "StreamReader", length: int | None, idle_timeout: float) -> None:
        self._stream = stream
        self._idle_timeout = idle_timeout
        self.length = length
        self.received = 0

    async def read(self, size: int) -> list[bytes]:
        if self.length == 0:
            return []
        stream = self._stream
        pieces: list[bytes] = []
        count = 0
        try:
            while count < size:
                piece = stream.read_nowait(size - count)
                if not piece:
                    if stream.at_eof():
                        break
                    async with asyncio.timeout(self._idle_timeout):
                        piece = await stream.read(min(size - count, READ_AHEAD))
                    if not piece:
                        break
                pieces.append(piece)
                count += len(piece)
        except TimeoutError:
            raise ClientGone("the client fell silent") from None
        except Exception as error:  # aiohttp raises what ended the connection, of several types
            raise ClientGone("the client went away") from error
        finally:
            self.received += count
        return pieces


class Exchange:
    """One request and its connection: what aiohttp's protocol takes for a request."""

    __slots__ = (
        "_body",
        "_protocol",
        "_stream",
        "_task",
        "_waits",
        "headers",
        "idle_timeout",
        "is_http10",
        "keep_alive",
        "method",
        "now",
        "on_end",
        "raw_path",
        "request_id",
        "transport",
        "writer",
    )

    def __init__(
        self,
        message: "RawRequestMessage",
        stream: "StreamReader",
        protocol: RequestHandler,
        writer: "AbstractStreamWriter",
        task: "asyncio.Task[None]",
        service: "HttpService",
    ) -> None:
        self.method = message.method
        self.raw_path = message.path
        self.headers: CIMultiDictProxy[str] = message.headers
        self.is_http10 = message.version < (1, 1)
        # the parser takes nothing more from a connection whose client offered another protocol
        self.keep_alive = not message.should_close and not message.upgrade
        self.transport = protocol.transport
        self.writer = writer
        self.now: Callable[[], str] = service.now
        self.idle_timeout = service.idle_timeout
        self.request_id = ""
        self.on_end: Callable[[int], None] | None = None
        """Called once, when the answer was sent or will not be, with the bytes of its body that were."""
        self._body: ExchangeBody | None = None
        self._waits = not self.is_http10 and (message.headers.get("Expect") or "").lower() == "100-continue"
        self._protocol = protocol
        self._stream = stream
        self._task = task

    @property
    def waits(self) -> bool:
        """Whether the client waits to be told to send its body."""
        return self._waits

    @property
    def peer(self) -> str:
        """The address at the other end of the connection."""
        name = self._protocol.peername
        return str(name[0]) if isinstance(name, tuple) else str(name or "")

    @property
    def gone(self) -> bool:
        """Whether the connection has ended."""
        return self.transport is None or self.transport.is_closing()

    @property
    def secure(self) -> bool:
        """Whether the connection is TLS."""
        return self._protocol.ssl_context is not None

    @property
    def remote(self) -> str:
        """For aiohttp's own log."""
        return self.peer

    @property
    def content_length(self) -> int | None:
        text = self.headers.get("Content-Length")
        if text is not None:
            return int(text)
        return None if "Transfer-Encoding" in self.headers else 0

    @property
    def body(self) -> ExchangeBody:
        if self._body is None:
            self._body = ExchangeBody(self._stream, self.content_length, self.idle_timeout)
        return self._body

    @property
    def received(self) -> int:
        """Bytes of the body that were read."""
        return 0 if self._body is None else self._body.received

    async def proceed(self) -> None:
        """Answer Expect: 100-continue, once the request is let in."""
        if self._waits and self.transport is not None:
            self._waits = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def drain(self) -> None:
        """Wait until the connection takes more. Raises ConnectionError."""
        try:
            async with asyncio.timeout(self.idle_timeout):
                await self._protocol._drain_helper()  # noqa: SLF001 - the protocol's only way to wait
        except TimeoutError:
            self.abort()
            raise ConnectionResetError("the client takes nothing") from None

    async def flush(self) -> None:
        """Wait until nothing is left in the connection's write buffer. Raises ConnectionError."""
        transport = self.transport
        if transport is None or transport.get_write_buffer_size() == 0:
            return
        low, high = transport.get_write_buffer_limits()
        transport.set_write_buffer_limits(high=0)
        try:
            while transport.get_write_buffer_size():
                await asyncio.sleep(0)
                await self.drain()
        finally:
            transport.set_write_buffer_limits(high=high, low=low)

    def end(self, sent: int) -> None:
        """The request is over: `sent` bytes of its answer's body were handed to the transport."""
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end(sent)

    def refuse(self, status: int, text: str) -> Answer:
        """An answer to what cannot be read, which ends the connection."""
        protocol = self._protocol
        assert isinstance(protocol, _Protocol)
        return protocol.refuse(self, status, text)

    def abort(self) -> None:
        """End the connection at once: the client must not take what it got for a whole answer."""
        if self.transport is not None:
            self.transport.abort()

    def _cancel(self, error: BaseException) -> None:
        """The protocol calls it when the connection ends in the middle of a request: whoever reads the body learns it."""
        set_exception(self._stream, error)

    def _finish(self) -> None:
        """The protocol calls it before the answer is sent."""


class _Protocol(RequestHandler):
    """aiohttp's protocol, with errors of HTTP itself in a form that every client here can read."""

    def __init__(
        self, server: web.Server, unreadable: Unreadable, arrived: Callable[["_Protocol"], None], **options: Any
    ) -> None:
        super().__init__(server, **options)
        self._unreadable = unreadable
        self._arrived = arrived
        self.asked_at = float("-inf")
        """When the header of its last request was whole; monotonic, and finer than the loop's clock."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._arrived(self)

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a request, and none has come."""
        return self._waiter is not None and not self._messages and not self._force_close

    def end(self) -> None:
        """At once, without a farewell for which TLS would wait."""
        transport = self.transport
        self.force_close()
        if transport is not None:
            transport.abort()

    def handle_error(
        self, request: Any, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> Any:
        if isinstance(exc, ConnectionError):
            raise ConnectionResetError("the client is gone") from None
        if status >= 500 and exc is not None:
            self.log_exception("the request could not be answered", exc_info=exc)
        text = exc.message if isinstance(exc, HttpProcessingError) else message or "the request cannot be read"
        return self.refuse(request, status, text)

    def refuse(self, request: Any, status: int, text: str) -> Answer:
        """An answer to what cannot be read, which ends the connection."""
        request.request_id = request.request_id or new_uuid()
        self._unreadable(request, status, text)
        code = "UNSUPPORTED" if status < 500 or status == 501 else "UNKNOWN"
        body = json.dumps({"errors": [{"code": code, "message": text.split("\n", 1)[0][:200]}]}).encode()
        return Answer(request, Reply(status, [("Content-Type", "application/json")], body, close=True))


class HttpService:
    """Hands connections to aiohttp and requests to `handler`."""

    def __init__(
        self,
        handler: Handler,
        *,
        unreadable: Unreadable,
        idle_timeout: float,
        context: ssl.SSLContext | None,
        most: int,
        crowded: Callable[[], None],
    ) -> None:
        """`most`: connections that are kept at the most; `crowded` is told, once a minute, that there were more."""
        self._handler = handler
        self._context = context
        self._most = most
        self._crowded = crowded
        self._told_at = float("-inf")
        self._arriving: dict[_Protocol, asyncio.Task[None]] = {}
        """Connections that are not made yet: for a moment, or while they are in the handshake of TLS. The first first."""
        self._unreadable = unreadable
        self.idle_timeout = idle_timeout
        self.now = Now()
        self._stopping = False
        self._server = web.Server(
            self._handle,  # type: ignore[arg-type]
            request_factory=self._make_exchange,  # type: ignore[arg-type]
        )
        self._options: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": 75.0,
            "max_line_size": MAX_LINE,
            "max_field_size": MAX_FIELD,
            "lingering_time": 5.0,
            "auto_decompress": False,
            "read_bufsize": READ_AHEAD,
        }

    def take(self, connection: socket.socket) -> None:
        """A new connection, accepted: it is served from now on, or closed where there is no room for it."""
        if self.connections >= self._most and not self._make_room():
            connection.close()
            return
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        protocol = _Protocol(self._server, self._unreadable, self._arrived, loop=loop, **self._options)
        self._arriving[protocol] = loop.create_task(self._greet(connection, protocol))

    async def _greet(self, connection: socket.socket, protocol: _Protocol) -> None:
        loop = asyncio.get_running_loop()
        try:
            with contextlib.suppress(OSError):  # a client that is gone already, or speaks no TLS
                await loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._context)
        finally:
            self._arriving.pop(protocol, None)

    def _arrived(self, protocol: _Protocol) -> None:
        self._arriving.pop(protocol, None)

    def _make_room(self) -> bool:
        """End a connection that has no request under way. False where there is none: then the new one has to go.

        Those in the handshake of TLS have half of the room at the most, and of them the first that came goes. Of those
        that wait for a request, or for the rest of one's header, the first that came of those that never brought one;
        where there is none, the one whose last is longest ago.
        """
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= _TELL_AGAIN:
            self._told_at = now
            self._crowded()
        greeted = self._arriving if self._context is not None else {}  # without TLS they are there in a moment
        waits = None if len(greeted) > self._most // 2 else self._longest_idle()
        if waits is not None:
            waits.end()
        elif greeted:
            greeted.pop(next(iter(greeted))).cancel()
        else:
            return False
        return True

    def _longest_idle(self) -> _Protocol | None:
        longest: _Protocol | None = None
        for one in self._server.connections:  # in the order in which they came
            if not isinstance(one, _Protocol) or not one.is_idle:
                continue
            if longest is None or one.asked_at < longest.asked_at:
                longest = one
            if math.isinf(one.asked_at):
                break
        return longest

    @property
    def connections(self) -> int:
        return len(self._server.connections) + len(self._arriving)

    async def stop(self, within: float) -> None:
        """Close idle connections, let requests under way finish for `within` seconds, then end them.

        aiohttp's own shutdown takes no more bytes from any connection, so a body that is still coming would never end.
        """
        self._stopping = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        if self._arriving:
            await asyncio.wait(self._arriving.values(), timeout=min(within, _GREETING))
        for task in self._arriving.values():
            task.cancel()  # they are in the handshake
        while self._server.connections and loop.time() < deadline:
            for protocol in self._server.connections:
                if isinstance(protocol, _Protocol) and protocol.is_idle:
                    protocol.force_close()
            await asyncio.sleep(_STOP_LOOK)
        self._server.pre_shutdown()
        await self._server.shutdown(_STOP_LOOK)

    def _make_exchange(
        self,
        message: "RawRequestMessage",
        stream: "StreamReader",
        protocol: RequestHandler,
        writer: "AbstractStreamWriter",
        task: "asyncio.Task[None]",
    ) -> Exchange:
        if isinstance(protocol, _Protocol):
            protocol.asked_at = time.monotonic()
        return Exchange(message, stream, protocol, writer, task, self)

    async def _handle(self, exchange: Exchange) -> Answer:
        coding = exchange.headers.get("Transfer-Encoding")
        if coding is not None and coding.strip().lower() != "chunked":
            # the parser undoes chunks and nothing else: what is left is not what the client means
            return exchange.refuse(501, f"the transfer coding {coding[:80]!a} is not understood: use chunked")
        try:
            reply = await self._handler(exchange)
        except ClientGone:
            exchange.end(0)
            exchange.abort()
            raise ConnectionResetError("the client is gone") from None
        except asyncio.CancelledError:
            exchange.end(0)
            raise
        # a client that was not told to go on sends no body: what comes next would be taken for it
        reply.close = reply.close or exchange.waits or self._stopping
        return Answer(exchange, reply)

"""One process that answers requests: alone on a listening socket, or one of several that are handed connections."""

import asyncio
import gc
import logging
import signal
import socket
import ssl

from config.settings import Settings
from server.app import App
from server.first import FirstThings
from server.http import HttpService
from server.logs import Forward, Log
from server.process import raise_limit
from server.tls import Certificate

_TLS_LOOK = 2.0
_HANDED = 64
"""Connections that are taken at once at the most."""
_ACCEPT_AGAIN = 0.05
_OTHER_FILES = 200
"""Descriptors that a worker has for other things than connections, at the most: packs, the database, a bucket."""
_FILES_OF_ONE = 2
"""Descriptors of a connection: its own, and often that of the file that goes to it."""
_LEAST = 64


async def work(
    settings: Settings,
    first: FirstThings,
    log: Log,
    *,
    worker: int,
    listener: socket.socket | None = None,
    channel: socket.socket | None = None,
    certificate: Certificate | None = None,
) -> None:
    """Answer until a signal (or, with `channel`, the end of the parent) says stop; then drain."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    logging.getLogger().addHandler(Forward(log))
    app = App(settings, first, log, worker=worker)
    await app.start()
    most = min(settings.server.connections, max(_LEAST, (raise_limit() - _OTHER_FILES) // _FILES_OF_ONE))
    service = HttpService(
        app.handle,
        unreadable=app.unreadable,
        idle_timeout=settings.server.idle_timeout,
        context=certificate.context if certificate is not None else None,
        most=most,
        crowded=lambda: log.event("too many connections: those that wait longest are ended", worker=worker, most=most),
    )

    def accept(listener: socket.socket) -> None:
        for _ in range(_HANDED):
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:  # out of descriptors, or memory: what is open goes on
                log.event("a connection cannot be accepted", reason=str(error))
                loop.remove_reader(listener)
                loop.call_later(_ACCEPT_AGAIN, accept_again, listener)
                return
            service.take(connection)

    def accept_again(listener: socket.socket) -> None:
        if not stopping.is_set():
            loop.add_reader(listener, accept, listener)

    def receive(channel: socket.socket) -> None:
        try:
            _, descriptors, _, _ = socket.recv_fds(channel, 1, _HANDED)
        except BlockingIOError:
            return
        if not descriptors:  # the parent is gone
            loop.remove_reader(channel)
            stopping.set()
        for descriptor in descriptors:
            service.take(socket.socket(fileno=descriptor))

    app.measures["connections"] = lambda: service.connections
    watch = None
    if certificate is not None:
        app.measures["tls_expiry_timestamp_seconds"] = lambda: certificate.expires_at
        watch = asyncio.create_task(_watch(certificate, log))
    gc.freeze()  # what is here stays: the collector need not look at it again
    gc.set_threshold(10_000, 20, 50)
    if listener is not None:
        listener.setblocking(False)
        loop.add_reader(listener, accept, listener)
    elif channel is not None:
        channel.setblocking(False)
        loop.add_reader(channel, receive, channel)
        channel.send(b"r")
    await stopping.wait()
    log.event("stopping", worker=worker, connections=service.connections)
    app.ready = False
    if listener is not None:
        loop.remove_reader(listener)
        listener.close()
    if channel is not None:
        loop.remove_reader(channel)
    await service.stop(settings.server.drain)
    if watch is not None:
        watch.cancel()
    await app.stop()
    log.event("stopped", worker=worker)
    log.flush()
    for number in (signal.SIGTERM, signal.SIGINT):  # whoever says it once more does not turn this into a failure
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


async def _watch(certificate: Certificate, log: Log) -> None:
    while True:
        await asyncio.sleep(_TLS_LOOK)
        try:
            if await asyncio.to_thread(certificate.reload):
                log.event("the TLS certificate was read again")
        except (OSError, ssl.SSLError, ValueError) as error:
            log.event("the TLS certificate cannot be read again, the old one stays in use", reason=str(error))

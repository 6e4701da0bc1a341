"""One process that answers requests: alone on a listening socket, or one of several that are handed connections."""

import asyncio
import contextlib
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
        most=most,
        crowded=lambda: log.event("too many connections: those that wait longest are ended", worker=worker, most=most),
    )
    context = certificate.context if certificate is not None else None
    app.measures["connections"] = lambda: service.connections
    watch = None
    if certificate is not None:
        app.measures["tls_expiry_timestamp_seconds"] = lambda: certificate.expires_at
        watch = asyncio.create_task(_watch(certificate, log))
    gc.freeze()  # what is here stays: the collector need not look at it again
    gc.set_threshold(10_000, 20, 50)
    server = None
    connecting: set[asyncio.Task[None]] = set()
    if listener is not None:
        server = await loop.create_server(service, sock=listener, ssl=context, backlog=1024)
    elif channel is not None:
        channel.setblocking(False)

        def receive() -> None:
            try:
                _, descriptors, _, _ = socket.recv_fds(channel, 1, _HANDED)
            except BlockingIOError:
                return
            if not descriptors:  # the parent is gone
                loop.remove_reader(channel)
                stopping.set()
            for descriptor in descriptors:
                task = loop.create_task(_adopt(socket.socket(fileno=descriptor), service, context))
                connecting.add(task)
                task.add_done_callback(connecting.discard)

        loop.add_reader(channel, receive)
        channel.send(b"r")
    await stopping.wait()
    log.event("stopping", worker=worker, connections=service.connections)
    app.ready = False
    if server is not None:
        server.close()
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


async def _adopt(connection: socket.socket, service: HttpService, context: ssl.SSLContext | None) -> None:
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):  # a client that is gone already, or speaks no TLS
        await loop.connect_accepted_socket(service, connection, ssl=context)


async def _watch(certificate: Certificate, log: Log) -> None:
    while True:
        await asyncio.sleep(_TLS_LOOK)
        try:
            if await asyncio.to_thread(certificate.reload):
                log.event("the TLS certificate was read again")
        except (OSError, ssl.SSLError, ValueError) as error:
            log.event("the TLS certificate cannot be read again, the old one stays in use", reason=str(error))

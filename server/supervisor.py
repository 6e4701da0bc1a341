"""The parent of several workers: it listens, hands each new connection to the next worker, and replaces workers that end.

Connections are handed over as descriptors, in turn, so that a handful of long-lived connections is spread evenly,
which neither a shared listening socket nor SO_REUSEPORT does.
"""

import contextlib
import ctypes
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from server.logs import Log

_PR_SET_PDEATHSIG = 1
_SOON = 5.0
_HELD_LOOK = 0.001
"""Seconds between two attempts to hand over a connection that no worker could take."""


@dataclass(slots=True)
class _Child:
    number: int
    pid: int
    channel: socket.socket
    started: float
    ready: bool = False


class Workers:
    """Runs `run(number, channel)` in child processes until told to stop."""

    def __init__(
        self, listener: socket.socket, count: int, run: Callable[[int, socket.socket], None], log: Log
    ) -> None:
        self._listener = listener
        self._count = count
        self._run = run
        self._log = log
        self._children: list[_Child] = []
        self._turn = 0
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._held: socket.socket | None = None
        """A connection that no worker could take yet: meanwhile none is accepted, they wait in the system's queue."""

    def supervise(self, drain: float) -> None:
        """Returns when all workers have ended."""
        self._listener.setblocking(False)
        wake, waker = socket.socketpair()
        for end in (wake, waker):
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: setattr(self, "_stopping", True))
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(wake, selectors.EVENT_READ, "wake")
        for number in range(self._count):
            self._spawn(number)
        self._selector.register(self._listener, selectors.EVENT_READ, "listener")
        while not self._stopping:
            for key, _ in self._selector.select(timeout=1.0 if self._held is None else _HELD_LOOK):
                if key.data == "listener":
                    self._accept()
                elif key.data == "wake":
                    wake.recv(4096)
                else:
                    self._hear(key.data)
            self._let_go()
            self._replace_ended()
            self._log.flush()
        self._listener.close()
        if self._held is not None:
            self._held.close()
        self._end(drain)
        self._log.flush()

    def _spawn(self, number: int) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._log.flush()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._become_worker(number, theirs)
        theirs.close()
        ours.setblocking(False)
        child = _Child(number, pid, ours, time.monotonic())
        self._children.append(child)
        self._selector.register(ours, selectors.EVENT_READ, child)

    def _become_worker(self, number: int, channel: socket.socket) -> None:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for name in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(name, signal.SIG_DFL)
            with contextlib.suppress(OSError, AttributeError):
                ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            self._selector.close()
            self._listener.close()
            if self._held is not None:
                self._held.close()
            for child in self._children:
                child.channel.close()
            self._run(number, channel)
            code = 0
        except BaseException as error:  # noqa: BLE001 - nothing may get past this point of a forked process
            self._log.failure("a worker failed", error, worker=number)
            self._log.flush()
        finally:
            os._exit(code)

    def _hear(self, child: _Child) -> None:
        try:
            said = child.channel.recv(16)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if said:
            child.ready = True
        else:
            self._selector.unregister(child.channel)
            child.ready = False

    def _accept(self) -> None:
        for _ in range(64):
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:  # out of descriptors: what is open goes on
                self._log.event("a connection cannot be accepted", reason=str(error))
                time.sleep(0.05)
                return
            if not self._hand_over(connection):
                self._hold(connection)
                return
            connection.close()

    def _hold(self, connection: socket.socket) -> None:
        """All workers are busy, or beginning: try again in a moment."""
        self._held = connection
        self._selector.unregister(self._listener)

    def _let_go(self) -> None:
        if self._held is None or not self._hand_over(self._held):
            return
        self._held.close()
        self._held = None
        self._selector.register(self._listener, selectors.EVENT_READ, "listener")

    def _hand_over(self, connection: socket.socket) -> bool:
        """Give it to the next worker that can take it. False where none can."""
        ready = [child for child in self._children if child.ready]
        for _ in range(len(ready)):
            self._turn += 1
            child = ready[self._turn % len(ready)]
            try:
                socket.send_fds(child.channel, [b"c"], [connection.fileno()])
            except OSError:  # this one is busy or gone: the next
                continue
            return True
        return False

    def _replace_ended(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in [one for one in self._children if one.pid == pid]:
                self._children.remove(child)
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(child.channel)
                child.channel.close()
                if self._stopping:
                    continue
                self._log.event("a worker ended, another takes its place", worker=child.number, status=status)
                if time.monotonic() - child.started < _SOON:
                    time.sleep(1.0)
                self._spawn(child.number)

    def _end(self, drain: float) -> None:
        deadline = time.monotonic() + drain + 10
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)
        while self._children and time.monotonic() < deadline:
            self._replace_ended()
            if self._children:
                time.sleep(0.02)
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)

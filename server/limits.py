"""Limits on what an address and a principal may ask of this process: who asks for more waits, and is refused at last.

Docker gives a pull up at the first refusal, and older containerd tries again at once; so a request first waits for its
turn, its body unread. Each process counts for itself: a client whose connections are spread over N of them may do N
times as much.
"""

import asyncio
import ipaddress
import time
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from auth.access import Principal, PrincipalKind
from base.limits import Lanes, Limit, Refused, Turn
from config.settings import Limits as Settings
from registry.uploads import ClientGone
from server.visit import Visit

__all__ = ["Limits", "Refused"]

Key: TypeAlias = str | bytes
Count: TypeAlias = Callable[[str, float, str], None]
"""Told a metric's name, by how much it grows, and who is limited."""


class Limits:
    """Of one process; bound to the running loop."""

    def __init__(self, settings: Settings, *, count: Count, observe: Count) -> None:
        self._gates = {
            "address": _Gate(
                "address",
                _limit(
                    settings,
                    rate=settings.address_rate,
                    burst=settings.address_burst,
                    at_once=settings.address_at_once,
                    uploads=settings.address_uploads,
                ),
                count,
                observe,
            ),
            "principal": _Gate(
                "principal",
                _limit(
                    settings,
                    rate=settings.principal_rate,
                    burst=settings.principal_burst,
                    at_once=settings.principal_at_once,
                    uploads=settings.principal_uploads,
                ),
                count,
                observe,
            ),
        }

    def __bool__(self) -> bool:
        """Whether anything is limited."""
        return any(gate.lanes.limit for gate in self._gates.values())

    def waiting(self, by: str) -> int:
        """Requests that wait for the turn of their `address` or `principal`."""
        return self._gates[by].lanes.waiting

    async def enter_address(self, visit: Visit) -> None:
        """Before anybody looks at who asks. Raises Refused, ClientGone."""
        gate = self._gates["address"]
        if gate.lanes.limit:
            await gate.enter(visit, _network(visit.origin.client or visit.exchange.peer), patient=True)

    async def enter_principal(self, visit: Visit, principal: Principal, *, patient: bool = True) -> None:
        """Once it is known who asks: a user, a role (all of its sessions), an account's root. Raises Refused, ClientGone.

        Who is not `patient`, because it holds what takes much memory, is refused instead of waiting.
        """
        gate = self._gates["principal"]
        if gate.lanes.limit and principal.kind is not PrincipalKind.ANONYMOUS:
            await gate.enter(visit, principal.identity_id or principal.arn, patient=patient)

    @staticmethod
    def leave(visit: Visit) -> None:
        """The request is over."""
        now = time.monotonic()
        for lanes, turn in visit.turns:
            lanes.leave(turn, now)


class _Gate:
    """Lanes, and the futures of those that wait in them."""

    def __init__(self, by: str, limit: Limit, count: Count, observe: Count) -> None:
        self.lanes = Lanes(limit)
        self._by = by
        self._count = count
        self._observe = observe
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    async def enter(self, visit: Visit, key: Key, *, patient: bool) -> None:
        try:
            turn = self.lanes.enter(key, time.monotonic(), upload=visit.uploads, patient=patient)
        except Refused:
            self._count("limits_refused", 1, self._by)
            raise
        if not turn.let_in:
            await self._wait(visit, turn)
        visit.turns.append((self.lanes, turn))

    async def _wait(self, visit: Visit, turn: Turn) -> None:
        let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        turn.when = partial(_wake, let_in)
        self._count("limits_waited", 1, self._by)
        started = time.monotonic()
        self._look(turn.key)
        try:
            async with asyncio.timeout(self.lanes.limit.wait):
                await let_in
        except TimeoutError:
            if not turn.let_in:  # it may be, in the last moment
                self.lanes.leave(turn, time.monotonic())
                self._count("limits_refused", 1, self._by)
                raise Refused(1.0) from None
        except BaseException:
            self.lanes.leave(turn, time.monotonic())
            raise
        finally:
            waited = time.monotonic() - started
            visit.waited += waited
            self._observe("limits_wait_seconds", waited, self._by)
        if visit.exchange.gone:
            self.lanes.leave(turn, time.monotonic())
            raise ClientGone("the client went away while it waited for its turn")

    def _look(self, key: Key) -> None:
        """Let in whose turn it is, and look again when the next one's comes."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        now = time.monotonic()
        again = self.lanes.advance(key, now)
        if again is not None:
            self._timers[key] = asyncio.get_running_loop().call_later(again - now, self._look, key)


def _limit(settings: Settings, *, rate: float, burst: float, at_once: int, uploads: int) -> Limit:
    return Limit(
        rate=rate,
        burst=burst or max(1.0, rate),
        at_once=at_once,
        uploads=uploads,
        queue=settings.queue if settings.longest_wait else 0,
        wait=settings.longest_wait,
    )


def _network(address: str) -> Key:
    """An address as it counts: of IPv6 the first 64 bits, which one machine can have all addresses of."""
    if ":" not in address:
        return address
    try:
        return ipaddress.IPv6Address(address).packed[:8]
    except ValueError:
        return address


def _wake(let_in: "asyncio.Future[None]") -> None:
    if not let_in.done():
        let_in.set_result(None)

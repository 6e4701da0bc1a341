"""How often, and how many at once: a token bucket and a queue for each of many keys. Pure: the time is an argument.

A request of a key is let in at once while the key has a token and fewer requests under way than it may have; else it
waits in the key's queue, first come, first served; it is refused where the queue is full or its turn would come too late.

    lanes = Lanes(limit)
    turn = lanes.enter("key", now)              let in, if turn.let_in; or it waits; or Refused is raised
    again = lanes.advance("key", now)           lets in whose turn it is, and says when to be asked again
    lanes.leave(turn, now)                      whether it was let in or gives up waiting

An upload (a request that takes long) counts among the key's requests, and by itself: one that waits for another upload's
end holds up nobody else.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

KEYS = 16_384
"""Keys that are remembered at the most, besides those that have requests under way."""
_LOOKED_AT = 8
_WHOLE = 1 - 1e-6
"""A token, but for what adding up loses."""

When: TypeAlias = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Limit:
    """What each key may do; 0 is without limit.

    `rate`: requests a second, on average; `burst`: requests at once after a pause; `at_once`: requests under way, and
    `uploads` uploads of them; `queue`: requests that wait, and `wait`: seconds that one waits at the most.
    """

    rate: float = 0.0
    burst: float = 1.0
    at_once: int = 0
    uploads: int = 0
    queue: int = 0
    wait: float = 0.0

    def __bool__(self) -> bool:
        """Whether anything is limited."""
        return bool(self.rate or self.at_once or self.uploads)


class Refused(Exception):
    """Too many requests. The next is worth trying in `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("too many requests: slow down")
        self.retry_after = max(1, math.ceil(retry_after))


class Turn:
    """A request that is under way, or waits for it. `when` is called once it is let in after waiting."""

    __slots__ = ("key", "let_in", "upload", "when")

    def __init__(self, key: str | bytes, *, upload: bool) -> None:
        self.key = key
        self.upload = upload
        self.let_in = False
        self.when: When | None = None


class _Lane:
    __slots__ = ("seen_at", "tokens", "under_way", "uploads", "waiting")

    def __init__(self, tokens: float, now: float) -> None:
        self.tokens = tokens
        self.seen_at = now
        self.under_way = 0
        self.uploads = 0
        self.waiting: deque[Turn] = deque()


class Lanes:
    """One limit, for many keys. `now` is in seconds and never runs backwards."""

    def __init__(self, limit: Limit, *, keys: int = KEYS) -> None:
        self.limit = limit
        self.waiting = 0
        """Requests that wait, of all keys."""
        self._keys = keys
        self._lanes: OrderedDict[str | bytes, _Lane] = OrderedDict()

    def __len__(self) -> int:
        return len(self._lanes)

    def enter(self, key: str | bytes, now: float, *, upload: bool = False, patient: bool = True) -> Turn:
        """A turn that is let in, or waits. Raises Refused; also where it would have to wait and is not `patient`."""
        lane = self._lane(key, now)
        turn = Turn(key, upload=upload)
        if not lane.waiting and self._has_room(lane) and self._has_upload(lane, turn):
            self._let_in(lane, turn)
            return turn
        lane.waiting.append(turn)
        self.waiting += 1
        self._advance(lane)
        if turn.let_in:
            return turn
        limit = self.limit
        late = max(0.0, len(lane.waiting) - lane.tokens) / limit.rate if limit.rate else 0.0
        if not patient or len(lane.waiting) > limit.queue or late > limit.wait:
            lane.waiting.pop()
            self.waiting -= 1
            raise Refused(late or limit.wait)
        return turn

    def advance(self, key: str | bytes, now: float) -> float | None:
        """Let in whose turn it is. When the key's next token comes, if somebody waits for that."""
        lane = self._lanes.get(key)
        if lane is None:
            return None
        self._refill(lane, now)
        self._advance(lane)
        limit = self.limit
        if lane.tokens >= _WHOLE or not limit.rate or not any(self._has_upload(lane, turn) for turn in lane.waiting):
            return None  # only the end of another one helps
        return now + (1 - lane.tokens) / limit.rate

    def leave(self, turn: Turn, now: float) -> None:
        """It is over, or waits no more; whose turn it is then is let in."""
        lane = self._lanes[turn.key]
        if turn.let_in:
            lane.under_way -= 1
            lane.uploads -= turn.upload
        else:
            lane.waiting.remove(turn)
            self.waiting -= 1
        if lane.waiting:
            self._refill(lane, now)
            self._advance(lane)

    # -- one lane

    def _lane(self, key: str | bytes, now: float) -> _Lane:
        lanes = self._lanes
        lane = lanes.get(key)
        if lane is None:
            if len(lanes) >= self._keys:
                self._forget()
            lane = lanes[key] = _Lane(self.limit.burst, now)
            return lane
        lanes.move_to_end(key)
        self._refill(lane, now)
        return lane

    def _forget(self) -> None:
        """The key that was quiet for longest; those with requests under way are passed over."""
        for _ in range(_LOOKED_AT):
            key, lane = self._lanes.popitem(last=False)
            if not lane.under_way and not lane.waiting:
                return
            self._lanes[key] = lane

    def _refill(self, lane: _Lane, now: float) -> None:
        limit = self.limit
        lane.tokens = min(limit.burst, lane.tokens + (now - lane.seen_at) * limit.rate)
        lane.seen_at = now

    def _has_room(self, lane: _Lane) -> bool:
        limit = self.limit
        return (lane.tokens >= _WHOLE or not limit.rate) and (lane.under_way < limit.at_once or not limit.at_once)

    def _has_upload(self, lane: _Lane, turn: Turn) -> bool:
        return not turn.upload or lane.uploads < self.limit.uploads or not self.limit.uploads

    def _let_in(self, lane: _Lane, turn: Turn) -> None:
        if self.limit.rate:
            lane.tokens -= 1
        lane.under_way += 1
        lane.uploads += turn.upload
        turn.let_in = True

    def _advance(self, lane: _Lane) -> None:
        if not lane.waiting:
            return
        passed: list[Turn] = []
        while lane.waiting and self._has_room(lane):
            turn = lane.waiting.popleft()
            if not self._has_upload(lane, turn):
                passed.append(turn)
                continue
            self.waiting -= 1
            self._let_in(lane, turn)
            if turn.when is not None:
                turn.when()
        lane.waiting.extendleft(reversed(passed))

"""How much a background task does at once, and how long it rests, so that others hardly notice it.

It takes a share of the time: after a step that took a second it rests nine, at a share of a tenth. A step's time counts
whatever it waited for, so what slows others down slows the task down, too. Steps are as large as they can be while each
holds what others wait for no longer than `hold`.
"""

import time
from collections.abc import Callable

_LONGEST_REST = 10.0


class Pace:
    """`share`: more than 0, up to 1 (never rest). `hold`: seconds. `most`: the largest step."""

    def __init__(
        self, *, share: float = 1.0, hold: float = 0.005, most: int = 1000, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._share = share
        self._hold = hold
        self._most = most
        self.timer = timer
        self.size = min(most, 100)
        """Things in the next step at the most."""

    def held(self, seconds: float, *, full: bool) -> None:
        """A step held what others wait for so long; `full`: it had as many things as it may have."""
        if seconds > self._hold:
            self.size = max(1, int(self.size * max(0.25, self._hold / seconds)))
        elif full and seconds < self._hold / 2:
            self.size = min(self._most, self.size * 2)

    def rest(self, took: float) -> float:
        """Seconds to rest after a step that took so long."""
        return min(_LONGEST_REST, max(0.0, took) * (1 / self._share - 1))

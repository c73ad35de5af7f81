"""Time that passes only when everything due has happened."""

from __future__ import annotations

import heapq
from collections.abc import Callable

#: The instant at which every history begins.
BEGIN = 1_000_000


class Clock:
    """A queue of calls by instant (ms); equal instants in order of asking."""

    def __init__(self) -> None:
        self.now = BEGIN
        self._count = 0
        self._queue: list[tuple[int, int, Callable[[], None]]] = []

    def after(self, ms: int, call: Callable[[], None]) -> None:
        """Call once so much time has passed."""
        self._count += 1
        heapq.heappush(self._queue, (self.now + max(0, ms), self._count, call))

    def step(self, until: int) -> bool:
        """Make the next call that is due by then; False when there is none."""
        if not self._queue or self._queue[0][0] > until:
            self.now = max(self.now, until)
            return False
        at, _, call = heapq.heappop(self._queue)
        self.now = max(self.now, at)
        call()
        return True

"""The project's clock: never back, and aware of the host's sleep (EN-7).

Belongs here: reading the time. Does not belong here: what follows from it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

#: Wall-clock time in ms that may run ahead of awake time before that counts as sleep.
TOLERANCE_MS = 2_000


class Clock:
    """Instants in ms UTC; `newest` is the newest that is on record."""

    def __init__(
        self,
        newest: int = 0,
        wall: Callable[[], int] = time.time_ns,
        awake: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._now = newest
        self._wall, self._awake = wall, awake
        self._seen = (wall(), awake())
        self._slept_ms = 0
        #: Since when the process has been there and its host awake.
        self.awake_since = max(newest, wall() // 1_000_000)

    def now(self) -> int:
        """The present instant; looks for a sleep that has ended as well."""
        wall, awake = self._wall(), self._awake()
        gap_ms = ((wall - self._seen[0]) - (awake - self._seen[1])) // 1_000_000
        self._seen = (wall, awake)
        self._now = max(self._now, wall // 1_000_000)
        if gap_ms > TOLERANCE_MS:
            self._slept_ms += gap_ms
            self.awake_since = self._now
        return self._now

    def take_sleep(self) -> int:
        """How many ms the host has slept since this was last asked."""
        self.now()
        slept, self._slept_ms = self._slept_ms, 0
        return slept

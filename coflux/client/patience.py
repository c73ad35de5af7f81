"""How long waiting goes on while the server is away. Nothing else belongs here."""

from __future__ import annotations

import time

#: Seconds that an outage may last while somebody waits: restarts and short failures.
_PATIENCE_S = 60.0
_PAUSE_MIN_S = 0.1
_PAUSE_MAX_S = 2.0


class Patience:
    """How long an outage may last while somebody waits, and the pauses between attempts."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew: the server has answered."""
        self._until = time.monotonic() + _PATIENCE_S
        self._pause = _PAUSE_MIN_S

    def spend(self, deadline: float | None) -> bool:
        """Pause before the next attempt; False when there should be none."""
        end = self._until if deadline is None else min(self._until, deadline)
        if time.monotonic() >= end:
            return False
        time.sleep(self._pause)
        self._pause = min(self._pause * 2, _PAUSE_MAX_S)
        return True

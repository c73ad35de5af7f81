"""The machine that the server runs on: it may fall asleep, and then nothing of the server happens.

Belongs here: time as the server's processes see it. Agents and clients are on other machines.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.clock import Clock


class Host:
    """A clock whose calls wait until the host is awake."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wakes_at = 0
        #: When it fell asleep last, and for how long it was asleep before that.
        self._fell_at = 0
        self._slept_ms = 0

    @property
    def now(self) -> int:
        """The present instant (ms)."""
        return self._clock.now

    @property
    def awake_ms(self) -> int:
        """An instant of a clock that stands still while the host is asleep."""
        slept = min(self._clock.now, self._wakes_at) - self._fell_at
        return self._clock.now - self._slept_ms - slept

    @property
    def is_asleep(self) -> bool:
        """Whether nothing happens here at the moment."""
        return self._clock.now < self._wakes_at

    def sleep(self, ms: int) -> None:
        """Fall asleep for so long."""
        if not self.is_asleep:
            self._slept_ms += self._wakes_at - self._fell_at
            self._fell_at, self._wakes_at = self._clock.now, self._clock.now + ms

    def after(self, ms: int, call: Callable[[], None]) -> None:
        """Call once so much time has passed and the host is awake."""

        def make() -> None:
            if self.is_asleep:
                self._clock.after(self._wakes_at - self._clock.now, make)
            else:
                call()

        self._clock.after(ms, make)

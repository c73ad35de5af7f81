"""The timetable of the project process, with timers of the simulation and a simple calendar.

Everything that decides which instants have come, and which were missed, is the real one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from coflux.model import Submission
from coflux.server.core.changes import Change
from coflux.server.core.entities import Schedule
from coflux.server.core.events import Event
from coflux.server.core.machine import Machine
from coflux.server.project import timetable
from coflux.server.project.clock import Clock
from tests.simulation.host import Host


class Multiples:
    """All instants that can be divided by a period (ms)."""

    def __init__(self, period: int) -> None:
        self.period = period

    def after(self, instant: int) -> int:
        """The first one that is later."""
        return instant - instant % self.period + self.period

    def newest(self, since: int, until: int, count: int) -> list[int]:
        """At most so many in (since, until], the newest."""
        return list(range(self.after(since), until + 1, self.period))[-count:]


def calendar_of(schedule: Schedule) -> Multiples:
    """Schedules of the simulation have their period in place of a cron expression."""
    return Multiples(int(schedule.spec.cron))


class Desk:
    """What a timetable needs of the project process."""

    def __init__(self, machine: Machine, host: Host, put: Callable[[Event], None]) -> None:
        self.machine = machine
        self.put = put
        self.listeners: list[Callable[[list[Change]], None]] = []
        self.clock = Clock(
            host.now, lambda: host.now * 1_000_000, lambda: host.awake_ms * 1_000_000
        )  # fmt: skip
        self.now = self.clock.now


class Timetable(timetable.Timetable):
    """The schedules of one server process."""

    def __init__(
        self, desk: Any, host: Host, calls: dict[str, Submission], is_alive: Callable[[], bool]
    ) -> None:
        super().__init__(desk, None)  # type: ignore[arg-type]
        self._host = host
        self._calls = calls
        self._ring = 0
        #: Whether its process lives.
        self._is_alive = is_alive

    def _calendar(self, schedule: Schedule) -> Any:
        return calendar_of(schedule)

    def _submission(self, schedule: Schedule) -> tuple[Submission | None, str]:
        return self._calls[schedule.spec.name], ""

    def _set_timer(self) -> None:
        self._ring += 1
        number = self._ring

        def ring() -> None:
            if self._ring == number and self._is_alive():
                self._on_timer()

        if self._next:
            ahead = max(0, min(self._next.values()) - self._host.now)
            self._host.after(min(ahead, timetable.LOOK_MS), ring)

"""Waiting for the instants of schedules, and telling the core when they have come (SD-2, SD-4).

Belongs here: which instants lie between the last that was decided and now, and what they start, as
the target is registered at that moment. Does not belong here: whether they start it (core).
"""

from __future__ import annotations

import asyncio

from coflux.blobs import LocalBlobs
from coflux.errors import CofluxError
from coflux.model import Submission
from coflux.server.core import changes as c
from coflux.server.core.entities import Schedule
from coflux.server.core.events import ScheduleDue
from coflux.server.core.schedules import CAUGHT_UP
from coflux.server.core.submission import find_definition
from coflux.server.project import submissions
from coflux.server.project.calendar import Calendar, calendar_of
from coflux.server.project.orchestrator import LOOK_MS, Orchestrator


class Timetable:
    """The next instant of every schedule of a project."""

    def __init__(self, orchestrator: Orchestrator, blobs: LocalBlobs) -> None:
        self._orchestrator = orchestrator
        self._blobs = blobs
        self._next: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look at all schedules; the loop must be running."""
        self._orchestrator.listeners.append(self._committed)
        for schedule in self._orchestrator.machine.state.schedules.values():
            self._look_at(schedule)
        self._set_timer()

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _committed(self, changes: list[c.Change]) -> None:
        state = self._orchestrator.machine.state
        found = [x.schedule for x in changes if isinstance(x, c.ScheduleSet | c.ScheduleAdvanced)]
        touched = dict.fromkeys(found)  # in order, for equal instants fire in this order
        for id in touched:
            schedule = state.schedules.get(id)
            if schedule is None:
                self._next.pop(id, None)
            else:
                self._look_at(schedule)
        if touched:
            self._set_timer()

    def _look_at(self, schedule: Schedule) -> None:
        instant = self._calendar(schedule).after(schedule.cursor)
        if instant is None:
            self._next.pop(schedule.id, None)
        else:
            self._next[schedule.id] = instant

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._next:
            # Looked at again soon, because the host may sleep meanwhile.
            ahead = min(self._next.values()) - self._orchestrator.now()
            delay = min(max(0, ahead), LOOK_MS) / 1000
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        now = self._orchestrator.now()
        state = self._orchestrator.machine.state
        for id, instant in list(self._next.items()):
            schedule = state.schedules.get(id)
            if schedule is not None and instant <= now:
                self._tell(schedule, now)
        self._set_timer()

    def _tell(self, schedule: Schedule, now: int) -> None:
        calendar = self._calendar(schedule)
        instants = calendar.newest(schedule.cursor, now, CAUGHT_UP)
        first = calendar.after(schedule.cursor)
        # Until the core has decided, which moves the cursor.
        self._next[schedule.id] = calendar.after(now) or 2**62
        if not instants:
            return
        awake_since = self._orchestrator.clock.awake_since
        submission, problem = self._submission(schedule)
        self._orchestrator.put(
            ScheduleDue(
                schedule.id, tuple(instants), sum(i < awake_since for i in instants),
                first is not None and first < instants[0], submission, problem,
            )
        )  # fmt: skip

    def _calendar(self, schedule: Schedule) -> Calendar:
        return calendar_of(schedule.spec.cron, schedule.spec.zone)

    def _submission(self, schedule: Schedule) -> tuple[Submission | None, str]:
        spec = schedule.spec
        environment = self._orchestrator.machine.state.environments[schedule.environment]
        definition, problem = find_definition(environment, spec.repository, spec.target)
        if definition is None:
            return None, problem
        try:
            arguments = submissions.complete(definition, spec.arguments, self._blobs)
        except CofluxError as error:
            return None, str(error)
        options = spec.options.over(definition.options)
        call = Submission(
            spec.repository, spec.target, definition.type, arguments, options, code=definition.code
        )
        return call, ""

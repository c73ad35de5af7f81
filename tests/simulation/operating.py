"""People who operate the project: schedules, limits, slots, pools; and a host that falls asleep.

Belongs here: what they ask for while things run and break, and how they leave everything in order
in the end. Does not belong here: what must be true of it (`operated`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from coflux.model import PoolSpec, Submission
from coflux.server.core import events as e
from coflux.server.core.specs import ScheduleSpec
from tests.simulation.code import REPOSITORY
from tests.simulation.operated import Operated
from tests.simulation.platform import Launching, Platform
from tests.simulation.timetable import Timetable

#: An environment that has no agents but those of its pool.
POOLED = "pooled"
ENVIRONMENTS = ("default", "dev", "dev/a", POOLED)
#: Values that settings are given, and taken from again in the end.
SETTINGS: dict[str, list[int | None]] = {
    "run_steps": [2, 4, None],
    "depth": [1, 2, None],
    "suspensions": [1, None],
    "suspensions_per_minute": [1, 3, None],
    "waiting_processes": [1, 2, None],
    "queue_timeout_ms": [4_000, None],
    "start_ms": [5_000, None],
    "reconnect_ms": [3_000, None],
    "pool_idle_ms": [1_000, 4_000],
}
#: Named slots as they are in the end: enough of each, for who holds one and waits for who needs
#: another may else wait for ever.
SLOTS = {"one": (100, None, None), "two": (100, None, None), "often": (None, 5, 1_000)}
#: So long (ms) after the faults have stopped, schedules have caught up and end.
CAUGHT_UP = 8_000


class Operation:
    """What is done in one simulation."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._rng = world.rng
        self._server = world.server
        self._calls: dict[str, Submission] = {}
        self._platform = Platform(world)
        self._launching = Launching(world, self._platform)
        self.oracle = Operated(self._server, self._platform)
        self._launching.on_kill = self.oracle.killed
        self._server.on_launch = self._launching.carry_out
        self._server.on_start = self._begin
        self._server.on_event = self.oracle.event
        self._is_calm = False

    def _begin(self) -> None:
        """A server process is there."""
        desk = self._server.desk
        self.oracle.restarted()
        timetable = Timetable(
            desk, self._server.clock, self._calls, lambda: self._server.desk is desk
        )  # fmt: skip
        timetable.start()
        self._launching.begin()

    # --- in the beginning -----------------------------------------------------------------------

    def furnish(self) -> None:
        """There is something to operate."""
        self._insist(lambda to: e.EnvironmentRequested(to, POOLED, "default"))
        self._after(200, self._configure)  # the environments are there

    def _configure(self) -> None:
        if self._rng.random() < 0.8:
            self._in(POOLED, lambda to, id: e.PoolRequested(to, id, "pool", self._pool()))
        for number in range(self._rng.randint(0, 3)):
            self._schedule(f"schedule{number}")
        if self._rng.random() < 0.5:
            self._insist(lambda to: e.SlotRequested(to, None, "often", None, 2, 15_000))
        for _ in range(self._rng.randint(0, 4)):
            self._change_slot()

    def plan(self, until: int) -> None:
        """What is changed, and when the host sleeps."""
        changes = [
            self._change_settings, self._change_settings, self._change_slot, self._change_slot,
            self._change_schedule, self._change_pool,
        ]  # fmt: skip
        for _ in range(self._rng.randint(0, 10)):
            self._after(self._rng.randint(1_000, until), self._rng.choice(changes))
        for _ in range(self._rng.choice([0, 0, 1, 1, 2])):
            self._after(self._rng.randint(1_000, until), self._sleep)

    def _pool(self) -> PoolSpec:
        return PoolSpec(
            (REPOSITORY,), min=self._rng.choice([0, 0, 1]), max=self._rng.choice([1, 2, 3]),
            concurrency=self._rng.choice([1, 2]),
        )  # fmt: skip

    def _schedule(self, name: str) -> None:
        call = self._rng.choice(self._world.programs.submissions)
        self._calls[name] = call
        spec = ScheduleSpec(
            name, REPOSITORY, call.target, str(self._rng.choice([3_000, 7_000, 20_000])),
            catch_up=self._rng.choice(["none", "latest", "all", "all"]),
            overlap=self._rng.choice(["skip", "queue", "allow"]),
        )  # fmt: skip
        self._in(self._environment(), lambda to, id: e.ScheduleRequested(to, id, spec))

    # --- meanwhile ------------------------------------------------------------------------------

    def _change_settings(self) -> None:
        name = self._rng.choice(list(SETTINGS))
        value = self._rng.choice(SETTINGS[name])
        self._world.say(f"{name} shall be {value}")
        self._in(
            self._environment(), lambda to, id: e.SettingsRequested(to, id, {name: value})
        )  # fmt: skip

    def _change_slot(self) -> None:
        name = self._rng.choice(list(SLOTS))
        where = self._rng.choice([None, *ENVIRONMENTS])
        units, rate, period = self._rng.choice(
            [(0, None, None), (1, None, None), (2, None, None), (3, 1, 500), (None, 2, 15_000)]
        )
        is_removed = self._rng.random() < 0.2
        if where is None:
            self._insist(
                lambda to: e.SlotRequested(to, None, name, units, rate, period, is_removed)
            )  # fmt: skip
        else:
            self._in(
                where,
                lambda to, id: e.SlotRequested(to, id, name, units, rate, period, is_removed),
            )

    def _change_schedule(self) -> None:
        machine = self._server.machine
        if machine is None or not machine.state.schedules:
            return
        schedule = self._rng.choice(list(machine.state.schedules))
        paused = self._rng.random() < 0.5
        self._insist(lambda to: e.ScheduleChangeRequested(to, schedule, paused=paused))

    def _change_pool(self) -> None:
        how = self._rng.choice(["active", "disabled", "deleted", "spec", "spec", "spec"])
        if how == "spec":
            fields: dict[str, Any] = self._rng.choice(
                [{"max": self._rng.randint(1, 3), "min": 0}, {"env": {"A": "1"}}, {"min": 1},
                 {"concurrency": 3}]
            )  # fmt: skip
            self._in(POOLED, lambda to, id: e.PoolChanged(to, id, "pool", fields))
        else:
            self._in(POOLED, lambda to, id: e.PoolStateRequested(to, id, "pool", how))

    def _sleep(self) -> None:
        if self._server.machine is not None:
            ms = self._rng.choice([3_000, 10_000, 40_000])
            self._world.say(f"the server's host sleeps for {ms} ms")
            self._server.clock.sleep(ms)

    # --- in the end -----------------------------------------------------------------------------

    def calm_down(self) -> None:
        """Limits allow everything again, there is a pool that works, and schedules come to rest."""
        self._put_in_order()
        # Again, because what was asked for before may be asked once more.
        self._after(CAUGHT_UP // 2, self._put_in_order)
        self._after(CAUGHT_UP, self._end_schedules)

    def _put_in_order(self) -> None:
        settings: dict[str, int | None] = dict.fromkeys(SETTINGS)
        for name in ENVIRONMENTS:
            self._in(name, lambda to, id: e.SettingsRequested(to, id, settings))
            self._in(name, lambda to, id: e.EnvironmentStateRequested(to, id, "active"))
            for slot in SLOTS:
                self._in(
                    name, lambda to, id, s=slot: e.SlotRequested(to, id, s, is_removed=True)
                )  # fmt: skip
        for slot, limits in SLOTS.items():
            self._insist(lambda to, s=slot, all=limits: e.SlotRequested(to, None, s, *all))
        self._in(POOLED, lambda to, id: e.PoolRequested(to, id, "pool", self._pool()))
        self._in(POOLED, lambda to, id: e.PoolStateRequested(to, id, "pool", "active"))

    def _end_schedules(self) -> None:
        machine = self._server.machine
        if machine is None or self._server.clock.is_asleep or not self._server.is_idle:
            self._after(100, self._end_schedules)
            return
        self.oracle.have_caught_up(machine.state)
        for schedule in list(machine.state.schedules):
            self._insist(lambda to, id=schedule: e.ScheduleChangeRequested(to, id, is_deleted=True))
        self._end_sensors()

    def _end_sensors(self) -> None:
        """Sensors go on until they are cancelled (RC-3)."""
        state = self._server.machine.state if self._server.machine is not None else None
        if state is None or state.schedules:
            self._after(1_000, self._end_sensors)
            return
        endless = [
            run.id for run in state.runs.values()
            if run.status is None and run.steps[1].submission.type == "sensor"
        ]  # fmt: skip
        for run in endless:
            self._insist(lambda to, id=run: e.CancelRequested(to, (id,)))
        if endless:
            self._after(5_000, self._end_sensors)
        else:
            self._is_calm = True

    @property
    def is_calm(self) -> bool:
        """Nothing begins by itself any more."""
        return self._is_calm

    def close(self) -> None:
        """Everything has ended, and so shall what was launched."""
        self._in(POOLED, lambda to, id: e.PoolStateRequested(to, id, "pool", "deleted"))

    @property
    def is_closed(self) -> bool:
        """No launched agent is left."""
        machine = self._server.machine
        is_left = machine is None or machine.state.pools or self._platform.running()
        return not is_left

    # --- asking ---------------------------------------------------------------------------------

    def _environment(self) -> str:
        name: str = self._rng.choice(["default", "default", *ENVIRONMENTS])
        return name

    def _in(self, name: str, event: Callable[[e.Caller, str], e.Event]) -> None:
        def made(to: e.Caller) -> e.Event:
            found = self._server.machine.state.environment_named(name)
            return event(to, found.id if found is not None else "")

        self._insist(made)

    def _insist(self, event: Callable[[e.Caller], e.Event]) -> None:
        self._world.insist(event)

    def _after(self, ms: int, call: Callable[[], None]) -> None:
        self._world.clock.after(ms, call)

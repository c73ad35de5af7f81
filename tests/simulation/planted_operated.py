"""Faults planted into schedules, limits, slots, pools, sensors and the clock: as in `planted`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import msgspec

from coflux.server.core import caps, launches, outcomes, schedules, sending, slots, timeouts
from coflux.server.core import changes as c
from coflux.server.core import events as e
from coflux.server.core.effects import StopLaunch
from coflux.server.core.machine import _RULES
from coflux.server.core.state import _APPLY, State
from tests.simulation.planted import Fault, replaced


def instants_are_decided_twice() -> Any:
    """SD-2: what was decided is not on the disk."""
    return replaced(c.ScheduleAdvanced, "DURABLE", False)


def overlap_is_allowed() -> Any:
    """SD-5."""
    old = schedules._fire

    def fire(turn: Any, schedule: Any, instant: int, event: Any, is_caught_up: bool) -> None:
        runs, schedule.runs = schedule.runs, {}
        try:
            old(turn, schedule, instant, event, is_caught_up)
        finally:
            schedule.runs = {**runs, **schedule.runs}

    return replaced(schedules, "_fire", fire)


def the_queue_has_no_order() -> Any:
    """SD-5."""
    return replaced(State, "earlier_in_turn", lambda self, run: None)


def missed_instants_are_forgotten() -> Any:
    """SD-4: whatever is to be caught up with."""
    return replaced(schedules, "_left_out", lambda schedule, instants, event: event.missed)


def paused_schedules_fire() -> Any:
    """SD-4."""
    old = _RULES[e.ScheduleDue]

    def due(turn: Any, event: Any) -> None:
        schedule = turn.state.schedules.get(event.schedule)
        if schedule is None:
            return
        paused, schedule.paused = schedule.paused, False
        try:
            old(turn, event)
        finally:
            schedule.paused = paused

    return replaced(_RULES, e.ScheduleDue, due)


def sleep_counts() -> Any:
    """EN-7: windows and deadlines go on while the host is asleep."""
    return replaced(_RULES, e.HostSlept, lambda turn, event: None)


def waits_do_not_sleep() -> Any:
    """EN-7: deadlines of waits are not postponed, all others are."""
    old = timeouts.slept

    def slept(turn: Any, event: Any) -> None:
        before = [x for x in turn.agenda.deadlines if x[1] == "wait"]
        old(turn, event)
        rest = [x for x in turn.agenda.deadlines if x[1] != "wait"]
        turn.agenda.deadlines = sorted([*before, *rest])
        for session in turn.state.sessions.values():
            for execution in session.blocked.values():
                for wait in execution.waits.values():
                    wait.deadline = wait.deadline and wait.deadline - event.ms

    return replaced(_RULES, e.HostSlept, slept)


def caps_are_ignored() -> Any:
    """SC-9."""
    return replaced(caps, "passed_by", lambda turn, parent, count: None)


def raised_caps_free_nobody() -> Any:
    """SC-9: what was held is held for ever."""
    return replaced(caps, "reconsider", lambda turn, environment: [])


def rates_begin_anew_with_a_restart() -> Any:
    """SC-8."""
    old = State.load

    def load(self: State, facts: Any) -> None:
        old(self, facts)
        self.uses.clear()

    return replaced(State, "load", load)


def shared_slots_are_not_shared() -> Any:
    """SC-7: a limit of the project is counted in each environment for itself."""
    return replaced(slots, "is_shared", lambda state, name, environment: False)


def lowered_limits_do_not_count() -> Any:
    """SC-7: the first definition of a slot is kept."""

    def set_slot(self: State, change: c.SlotSet) -> None:
        if change.limit is None or (change.environment, change.name) not in self.slots:
            old(self, change)

    old = _APPLY[c.SlotSet]
    return replaced(_APPLY, c.SlotSet, set_slot)


def sensors_do_not_rest() -> Any:
    """RC-4."""

    def next_round(turn: Any, execution: Any, result: Any) -> int | None:
        due_at = old(turn, execution, result)
        is_sensor = execution.step.submission.type == "sensor"
        return turn.now if due_at is not None and is_sensor else due_at

    old = outcomes._next_round
    return replaced(outcomes, "_next_round", next_round)


def checkpoints_are_not_kept() -> Any:
    """RC-5: those that are there survive no restart."""
    old = State.load

    def load(self: State, facts: Any) -> None:
        old(self, (fact for fact in facts if not isinstance(fact, c.CheckpointSaved)))

    return replaced(State, "load", load)


def the_first_checkpoint_counts() -> Any:
    """RC-5."""

    def checkpoint(state: Any, execution: Any) -> Any:
        if execution.step.checkpoints:
            firsts.setdefault(execution.step.id, old(state, execution))
        return firsts.get(execution.step.id)

    firsts: dict[str, Any] = {}
    old = sending.checkpoint
    return replaced(sending, "checkpoint", checkpoint)


def pools_have_one_too_many() -> Any:
    """PO-2."""

    def fill(turn: Any, pool: Any, waiting: Any) -> None:
        spec = pool.spec
        pool.spec = msgspec.structs.replace(spec, max=spec.max + 1)
        try:
            old(turn, pool, waiting)
        finally:
            pool.spec = spec

    old = launches._fill
    return replaced(launches, "_fill", fill)


def launched_agents_are_killed() -> Any:
    """PO-3: and not drained."""

    def retire(turn: Any, launch: Any, reason: str) -> None:
        if launch.retired_at is None:
            turn.send(StopLaunch(launch.id, launch.pool, launch.launcher, now=True))
        old(turn, launch, reason)

    old = launches._retire
    return replaced(launches, "_retire", retire)


def launches_are_forgotten_with_a_restart() -> Any:
    """PO-5: those that run are not adopted."""

    @contextmanager
    def forgetting() -> Any:
        def load(self: State, facts: Any) -> None:
            old(self, facts)
            self.launches.clear()
            self.launched.clear()
            for pool in self.pools.values():
                pool.launches.clear()

        old = State.load
        with replaced(State, "load", load):
            yield

    return forgetting()


def lost_launches_are_waited_for() -> Any:
    """PO-2: a pool believes in what its launcher does not know any more."""

    def reported(turn: Any, event: Any) -> None:
        if event.error is None:
            old(turn, event)

    old = _RULES[e.LaunchReported]
    return replaced(_RULES, e.LaunchReported, reported)


FAULTS_OF_OPERATION: tuple[Fault, ...] = (
    instants_are_decided_twice,
    overlap_is_allowed,
    the_queue_has_no_order,
    missed_instants_are_forgotten,
    paused_schedules_fire,
    sleep_counts,
    waits_do_not_sleep,
    caps_are_ignored,
    raised_caps_free_nobody,
    rates_begin_anew_with_a_restart,
    shared_slots_are_not_shared,
    lowered_limits_do_not_count,
    sensors_do_not_rest,
    checkpoints_are_not_kept,
    the_first_checkpoint_counts,
    pools_have_one_too_many,
    launched_agents_are_killed,
    launches_are_forgotten_with_a_restart,
    lost_launches_are_waited_for,
)

"""What must be true of schedules, limits, slots, pools and sleep, whatever broke on the way.

As `oracles`, it keeps its own account of what came out, and trusts no index of the core.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from coflux import wire
from coflux.model import Abandoned
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core.entities import Execution, Run
from coflux.server.core.launches import DRAIN_MS
from coflux.server.core.machine import Machine, Outcome
from coflux.server.core.specs import ScheduleSpec
from coflux.server.core.state import State
from coflux.server.core.statuses import Status
from tests.simulation.oracles import Violation
from tests.simulation.timetable import Multiples

#: What the clocks may differ by (ms).
TOLERANCE = 50


class Use(NamedTuple):
    """An assignment of something that names a slot."""

    at: int
    environment: str
    name: str


class Operated:
    """Watches a simulation that is operated."""

    def __init__(self, server: Any, platform: Any) -> None:
        self._server = server
        self._platform = platform
        #: Schedules: what they are, the newest instant that was decided, runs that have finished.
        self._specs: dict[str, ScheduleSpec] = {}
        self._cursors: dict[str, int] = {}
        self._fired: set[tuple[str, int | None]] = set()
        self._was_paused: set[str] = set()
        self._finished: set[str] = set()
        #: Assignments that name slots: those on the disk, and those that are decided.
        self._uses: list[Use] = []
        self._decided_uses: list[Use] = []
        #: Launches by pool: those on the disk, and those that are decided.
        self._launches: dict[str, str] = {}
        self._decided: dict[str, str] = {}
        self._retired: dict[str, int] = {}
        #: Sessions that are away: since when, and how long they may be (ms in which it was awake).
        self._away: dict[str, tuple[int, int]] = {}
        self._asked: dict[tuple[str, int], tuple[int, int]] = {}
        self._assigned: dict[str, tuple[int, int]] = {}
        #: Checkpoints of each step: (attempt, number, environment, arguments).
        self._checkpoints: dict[str, list[tuple[int, int, str, Any]]] = {}
        self._expected: dict[str, tuple[Any, ...]] = {}

    # --- what happens ---------------------------------------------------------------------------

    def event(self, event: e.Event) -> None:
        """Something comes in."""
        if isinstance(event, e.WaitRequested) and event.timeout_ms is not None:
            place = (event.to.execution, event.to.key)
            self._asked.setdefault(place, (self._server.clock.awake_ms, event.timeout_ms))

    def restarted(self) -> None:
        """A new process: every window begins anew (SE-3)."""
        state = self._server.machine.state
        self._decided, self._decided_uses = dict(self._launches), list(self._uses)
        now = self._server.clock.awake_ms
        for id, session in state.sessions.items():
            self._away[id] = (now, state.setting(session.environment, "reconnect_ms"))

    def turn(self, machine: Machine, outcome: Outcome, now: int) -> None:
        """After each event, before it is committed."""
        for change in outcome.changes:
            if isinstance(change, c.RunFinished):  # a person may run it again, which is his concern
                self._finished.add(change.run)
            look = _LOOKS.get(type(change))
            if look is not None:
                look(self, machine.state, change, now)
        for effect in outcome.effects:
            if isinstance(effect, fx.Expire) and isinstance(effect.to, e.Code):
                asked = self._asked.get((effect.to.execution, effect.to.key))
                _require(asked is not None, f"{effect.to} expired and had not asked")
                since, ms = asked or (0, 0)
                awake = self._server.clock.awake_ms - since
                _require(awake >= ms - TOLERANCE, f"EN-7: {effect.to} expired after {awake} ms")

    def committed(self, state: State, changes: list[c.Change]) -> None:
        """What is on the disk now."""
        for change in changes:
            if isinstance(change, c.ScheduleSet):
                self._set(change)
            elif isinstance(change, c.EnvironmentSet) and change.state != "active":
                found = state.schedules.values()
                here = {s.id for s in found if s.environment == change.environment}
                self._was_paused |= here
            elif isinstance(change, c.RunCreated) and change.schedule is not None:
                place = (change.schedule, change.scheduled_at)
                _require(place not in self._fired, f"SD-2: {place} started a second run")
                self._fired.add(place)
            elif isinstance(change, c.ScheduleAdvanced):
                self._advanced(change)
            elif isinstance(change, c.CheckpointSaved):
                step, _, attempt = change.execution.rpartition(":")
                saved = self._checkpoints.setdefault(step, [])
                where = state.executions[change.execution].environment
                saved.append((int(attempt), len(saved), where, change.arguments))
            elif isinstance(change, c.Assigned):
                self._note_assigned(state.executions[change.execution], change.at)
            elif isinstance(change, c.LaunchWanted):
                self._launches[change.launch] = change.pool
            elif isinstance(change, c.LaunchEnded):
                self._launches.pop(change.launch, None)
            elif isinstance(change, c.LaunchRetired):
                self._retired.setdefault(change.launch, self._server.clock.awake_ms)

    # --- schedules ------------------------------------------------------------------------------

    def _set(self, change: c.ScheduleSet) -> None:
        if change.spec is None:
            return
        self._specs[change.schedule] = change.spec
        self._cursors.setdefault(change.schedule, change.at)
        if change.paused:
            self._was_paused.add(change.schedule)
        elif change.schedule in self._was_paused:  # what came while it was paused is dropped
            self._cursors[change.schedule] = max(change.at, self._cursors[change.schedule])

    def _advanced(self, change: c.ScheduleAdvanced) -> None:
        id, before = change.schedule, self._cursors[change.schedule]
        _require(change.instant > before, f"SD-2: {id} went back to {change.instant}")
        self._cursors[id] = change.instant
        spec = self._specs[id]
        instants = Multiples(int(spec.cron)).newest(before, change.instant, 1_000)
        if change.reason == "paused":
            _require(id in self._was_paused, f"{id} takes itself for paused")
        elif change.reason.startswith("missed"):
            _require(spec.catch_up != "all", f"SD-4: {id} did not catch up")
            since = self._server.desk.clock.awake_since
            late = [i for i in instants if i > since]
            _require(not late, f"SD-4: {id} missed {late} although somebody was there")
        else:
            _require(instants == [change.instant], f"SD-2: {id} left out some of {instants}")

    def _scheduled(self, state: State, change: c.RunCreated, now: int) -> None:
        if change.schedule is None:
            return
        schedule = state.schedules[change.schedule]
        _require((change.scheduled_at or 0) <= now, f"{schedule.id} fired too early")
        _require(not schedule.paused, f"{schedule.id} fired although it is paused")
        _require(state.is_active(schedule.environment), f"{schedule.id} fired while paused")
        if schedule.spec.overlap == "skip" and change.is_in_turn:
            since = self._server.desk.clock.awake_since
            is_late = (change.scheduled_at or 0) <= since and schedule.spec.catch_up == "all"
            _require(is_late, f"SD-5: {change.run} waits for its turn although it is no late one")
        elif schedule.spec.overlap == "skip":
            earlier = self._earlier(state, change.schedule, change.run)
            _require(not earlier, f"SD-5: {change.run} overlaps {earlier}")

    def _earlier(self, state: State, schedule: str, run: str) -> list[str]:
        found = [r for r in state.runs.values() if r.schedule == schedule and r.status is None]
        mine = state.runs[run].scheduled_at or 0
        earlier = [r for r in found if (r.scheduled_at or 0) < mine and r.id not in self._finished]
        # One that was deferred to this one is finished when this one is.
        ends = {r.id: _last(state, r) for r in earlier}
        return [id for id, end in ends.items() if end is None or end.run.id != run]

    def have_caught_up(self, state: State) -> None:
        """Everything works, so that every instant up to now has been decided."""
        for schedule in state.schedules.values():
            expected = Multiples(int(schedule.spec.cron)).newest(0, self._server.clock.now - 500, 1)
            cursor = self._cursors[schedule.id]
            _require([cursor] >= expected, f"{schedule.id} stands at {cursor}, not at {expected}")

    # --- slots and caps -------------------------------------------------------------------------

    def _is_assigned(self, state: State, change: c.Assigned, now: int) -> None:
        execution = state.executions[change.execution]
        run = execution.run
        is_first = execution.step.number == 1 and execution.attempt == 1
        if run.is_in_turn and is_first and run.schedule in state.schedules:
            earlier = self._earlier(state, run.schedule or "", run.id)
            _require(not earlier, f"SD-5: {run.id} started before {earlier} had finished")
        for name in execution.step.submission.options.slots or ():
            self._check_slot(state, execution, name, now)

    def _check_slot(self, state: State, execution: Execution, name: str, now: int) -> None:
        here = execution.environment
        own = state.slots.get((here, name))
        limit = own or state.slots.get((None, name))
        places = {here}
        if own is None and limit is not None:  # all that go by the project's
            places |= {id for id in state.environments if (id, name) not in state.slots}
        units = 1 if limit is None else limit.units
        held = [
            e for session in state.sessions.values() for e in session.held.values()
            if e.environment in places and e.status is not Status.WAITING
        ]  # fmt: skip
        used = sum((e.step.submission.options.slots or {}).get(name, 0) for e in held)
        _require(units is None or used <= units, f"SC-7: {used} of {units} {name} are used")
        if limit is not None and limit.rate is not None:
            since = now - (limit.period_ms or 0)
            recent = [u for u in self._decided_uses if u.name == name and u.environment in places]
            count = sum(u.at > since for u in recent) + 1
            _require(count <= limit.rate, f"SC-8: {name} for the {count}th time")
        self._decided_uses.append(Use(now, here, name))

    def _step(self, state: State, change: c.StepCreated, now: int) -> None:
        run = state.runs[change.run]
        if change.parent is None:
            return
        for setting, value in (
            ("run_steps", change.step),
            ("depth", run.steps[change.step].depth),
        ):
            allowed = state.setting(run.environment, setting)
            _require(value <= allowed, f"SC-9: {run.id} has {value}, {setting} is {allowed}")

    # --- pools ----------------------------------------------------------------------------------

    def _launch_wanted(self, state: State, change: c.LaunchWanted, now: int) -> None:
        self._decided[change.launch] = change.pool
        pool = state.pools[change.pool]
        count = Counter(self._decided.values())[change.pool]
        _require(count <= pool.spec.max, f"PO-2: {count} launches, at most {pool.spec.max}")
        _require(pool.state == "active", f"PO-3: {pool.id} is {pool.state} and launches")

    def _launch_retired(self, state: State, change: c.LaunchRetired, now: int) -> None:
        session = state.sessions.get(state.launches[change.launch].session or "")
        is_busy = session is not None and bool(session.held)
        _require(
            change.reason != "idle" or not is_busy, f"PO-3: {change.launch} is not idle"
        )  # fmt: skip

    def _launch_ended(self, state: State, change: c.LaunchEnded, now: int) -> None:
        self._decided.pop(change.launch, None)
        agent = self._platform.agents.get(change.launch)
        is_alive = agent is not None and agent.is_alive
        _require(not is_alive, f"PO-5: {change.launch} is forgotten and runs")

    def killed(self, launch: str, is_known: bool) -> None:
        """A launched agent is about to be killed."""
        since = self._retired.get(launch)
        awake = self._server.clock.awake_ms
        is_overdue = since is not None and awake - since >= DRAIN_MS - TOLERANCE
        is_wanted = launch in self._launches
        _require(is_overdue or not is_wanted, f"PO-3: {launch} is killed and not drained")

    # --- sleep ----------------------------------------------------------------------------------

    def _opened(self, state: State, change: c.SessionOpened, now: int) -> None:
        self._away[change.session] = (self._server.clock.awake_ms, 600_000)

    def _connected(self, state: State, change: c.Connected, now: int) -> None:
        if change.hello is not None:
            self._away.pop(change.session, None)
        elif change.session not in self._away:
            environment = state.sessions[change.session].environment
            allowed = state.setting(environment, "reconnect_ms")
            self._away[change.session] = (self._server.clock.awake_ms, allowed)

    def _session_ended(self, state: State, change: c.SessionEnded, now: int) -> None:
        since, allowed = self._away.pop(change.session, (0, 0))
        if change.reason == "session lost":
            awake = self._server.clock.awake_ms - since
            _require(
                awake >= allowed - TOLERANCE,
                f"EN-7: {change.session} was lost after {awake} ms of {allowed}",
            )

    def _result(self, state: State, change: c.ResultRecorded, now: int) -> None:
        result = change.result
        if isinstance(result, Abandoned) and "start limit" in result.cause:
            since, allowed = self._assigned[change.execution]
            environment = state.executions[change.execution].environment
            allowed = min(allowed, state.setting(environment, "start_ms"))
            awake = self._server.clock.awake_ms - since
            _require(
                awake >= allowed - TOLERANCE,
                f"EN-7: {change.execution} was not started within {awake} ms of {allowed}",
            )

    # --- sensors and checkpoints ----------------------------------------------------------------

    def _attempt(self, state: State, change: c.ExecutionCreated, now: int) -> None:
        before = state.executions.get(change.predecessor or "")
        if change.origin != "recurrence" or before is None:
            return
        submission = before.step.submission
        if submission.type == "sensor":
            rest = change.due_at - (before.started_at or 0)
            _require(rest >= 5_000, f"RC-4: {before.id} goes on after {rest} ms")
        elif before.result is not None:
            delay = submission.options.delay_ms
            _require(change.due_at >= now + delay, f"RC-1: {before.id} goes on too early")

    def _note_assigned(self, execution: Execution, at: int) -> None:
        state = self._server.machine.state
        self._assigned[execution.id] = (
            self._server.clock.awake_ms, state.setting(execution.environment, "start_ms")
        )  # fmt: skip
        for name in execution.step.submission.options.slots or ():
            self._uses.append(Use(at, execution.environment, name))
        lineage = tuple(state.lineage(execution.environment))
        known = self._checkpoints.get(execution.step.id, [])
        self._expected[execution.id] = (lineage, len(known))

    def started(self, assignment: wire.Execute) -> None:
        """RC-5: it begins with the newest checkpoint, or one that was written since."""
        lineage, known = self._expected[assignment.execution]
        found = self._checkpoints.get(assignment.execution.rpartition(":")[0], [])
        allowed = []
        for count in range(known, len(found) + 1):
            visible = [x for x in found[:count] if x[2] in lineage]
            allowed.append(max(visible)[3] if visible else None)
        given = assignment.arguments if assignment.checkpoint else None
        _require(given in allowed, f"RC-5: {assignment.execution} begins with {given}")


def _last(state: State, run: Run) -> Execution | None:
    latest = run.steps[1].latest(run.environment)
    return state.end_of(latest.id)[1] if latest is not None else None


_LOOKS: dict[type[Any], Any] = {
    c.RunCreated: Operated._scheduled,
    c.Assigned: Operated._is_assigned,
    c.StepCreated: Operated._step,
    c.LaunchWanted: Operated._launch_wanted,
    c.LaunchRetired: Operated._launch_retired,
    c.LaunchEnded: Operated._launch_ended,
    c.SessionOpened: Operated._opened,
    c.Connected: Operated._connected,
    c.SessionEnded: Operated._session_ended,
    c.ResultRecorded: Operated._result,
    c.ExecutionCreated: Operated._attempt,
}


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise Violation(message)

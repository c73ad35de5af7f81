"""Caps on what runs away: runs too large or deep, chains that suspend for ever (SC-9, WA-12).

What passes a cap is held, never killed: it stays queued with reason `cap`, and submissions of a run
that is held wait for their answer, until the cap is raised, or it is cancelled or given a result.
"""

from __future__ import annotations

from typing import NamedTuple

from coflux.model import Suspended
from coflux.server.core.agenda import Agenda
from coflux.server.core.changes import RunHeld
from coflux.server.core.entities import Execution, Run, Session
from coflux.server.core.events import StepsRequested
from coflux.server.core.state import State
from coflux.server.core.statuses import Status
from coflux.server.core.turn import Turn

#: Origins of attempts that go on with the chain of the one before.
CONTINUING = ("retry", "resume", "relink")
MINUTE_MS = 60_000


class Cap(NamedTuple):
    """A cap that is passed: the setting, what it allows, and what there is (or would be)."""

    setting: str
    allowed: int
    value: int


def of(state: State, execution: Execution) -> Cap | None:
    """The cap that holds a queued execution back, if any."""
    run = execution.run
    if run.held is not None:
        setting, value = run.held
        return Cap(setting, state.setting(run.environment, setting), value)
    for setting, value in (
        ("suspensions", execution.suspensions),
        ("suspensions_per_minute", execution.burst),
    ):
        if value and value > (allowed := state.setting(execution.environment, setting)):
            return Cap(setting, allowed, value)
    return None


def passed_by(turn: Turn, parent: Execution, count: int) -> Cap | None:
    """The cap that further children of an execution would pass, if any."""
    run = parent.run
    if run.held is not None:
        return Cap(run.held[0], 0, run.held[1])
    for setting, value in (
        ("run_steps", len(run.steps) + count),
        ("depth", parent.step.depth + 1),
    ):
        if value > (allowed := turn.state.setting(run.environment, setting)):
            return Cap(setting, allowed, value)
    return None


def hold(turn: Turn, event: StepsRequested, parent: Execution, cap: Cap) -> None:
    """Hold a run: its queue waits, and this request for its answer."""
    run = parent.run
    requests = turn.agenda.held_requests.setdefault(run.id, {})
    requests[event.to.execution, event.to.key] = event
    if run.held is not None:
        return
    turn.record(RunHeld(run.id, cap.setting, cap.value, turn.now))
    for execution in run.unfinished.values():
        if execution.id in turn.agenda.ready:
            turn.agenda.unready(execution)
            keep(turn, execution)


def is_asking(agenda: Agenda, execution: Execution) -> bool:
    """Whether a submission of running code waits for its answer until its run is released."""
    held = agenda.held_requests.get(execution.run.id, {})
    return execution.result is None and any(id == execution.id for id, _ in held)


def asking(agenda: Agenda) -> list[str]:
    """The executions whose submissions wait so."""
    return list(dict.fromkeys(id for held in agenda.held_requests.values() for id, _ in held))


def keep(turn: Turn, execution: Execution) -> None:
    """Put a queued execution aside until its cap is raised."""
    turn.agenda.capped.setdefault(execution.environment, {})[execution.id] = None


def reconsider(turn: Turn, environment: str) -> list[StepsRequested]:
    """The caps of an environment may have been raised; the submissions that waited for it."""
    requests: list[StepsRequested] = []
    for id in turn.agenda.capped.pop(environment, {}):
        execution = turn.state.executions.get(id)
        if execution is not None and execution.result is None:
            turn.agenda.schedule(execution)
    for run in list(turn.state.runs.values()):
        if run.environment == environment and run.held is not None:
            setting, value = run.held
            if value <= turn.state.setting(environment, setting):
                release(turn, run)
                requests += turn.agenda.held_requests.pop(run.id, {}).values()
    return requests


def release(turn: Turn, run: Run) -> None:
    """A run is not held any more."""
    turn.record(RunHeld(run.id, None, 0, turn.now))
    for execution in run.unfinished.values():
        capped = turn.agenda.capped.get(execution.environment, {})
        if execution.id in capped:
            del capped[execution.id]
            turn.agenda.schedule(execution)


def count_suspension(turn: Turn, execution: Execution) -> tuple[int, int]:
    """Suspensions of a chain with the one to come, in all and within a minute (WA-12)."""
    allowed = turn.state.setting(execution.environment, "suspensions_per_minute")
    recent, attempt = 1, execution
    while attempt.origin in CONTINUING and recent <= allowed:
        before = turn.state.executions.get(attempt.predecessor or "")
        if before is None:
            break
        if isinstance(before.result, Suspended):
            if (before.ended_at or 0) <= turn.now - MINUTE_MS:
                break
            recent += 1
        attempt = before
    return execution.suspensions + 1, recent


def is_crowded_with_waiting(state: State, session: Session) -> bool:
    """Whether as many executions wait in live processes of an agent as may (WA-10)."""
    allowed = state.setting(session.environment, "waiting_processes")
    if len(session.blocked) < allowed:
        return False
    waiting = sum(e.status is Status.WAITING for e in session.blocked.values())
    return waiting >= allowed

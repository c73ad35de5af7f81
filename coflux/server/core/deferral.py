"""Of equal executions that have not started, only the latest runs (DF, T4).

Belongs here: who takes part, who survives, what happens when the survivor is cancelled. Does not
belong here: the index of those that may be deferred (`unstarted`).
"""

from __future__ import annotations

from coflux.model import Cancelled, Deferred
from coflux.server.core import circles, results
from coflux.server.core.entities import Execution
from coflux.server.core.keys import defer_ends, defer_shape
from coflux.server.core.statuses import Status
from coflux.server.core.turn import Turn

#: Origins of attempts whose chain has not begun to run (DF-3).
UNSTARTED = ("submit", "relink")


def enter(turn: Turn, execution: Execution, compare: bool = True) -> None:
    """A queued execution exists: it replaces the equal ones before it, or is replaced itself."""
    if not _takes_part(execution):
        return
    submission = execution.step.submission
    shape = defer_shape(submission)[0]
    if shape is None:
        return
    key = (execution.environment, shape, defer_ends(turn.state, submission))
    turn.agenda.unstarted.add(execution, key)
    if compare and turn.state.is_active(execution.environment):
        _compare(turn, turn.agenda.unstarted.equal_to(execution.id))


def moved(turn: Turn, end: str) -> None:
    """Handles that led to this execution lead elsewhere, so others may be equal now."""
    for execution in turn.agenda.unstarted.leading_to(end):
        if execution.result is None:
            turn.agenda.unstarted.remove(execution.id)
            enter(turn, execution)


def resumed(turn: Turn, environment: str) -> None:
    """An environment is active again: do what was not done while it was paused (DF-2)."""
    for equals in turn.agenda.unstarted.twins(environment):
        _compare(turn, equals)


def relink(turn: Turn, follower: Execution) -> None:
    """What a deferred execution follows was cancelled: go on without it (DF-4)."""
    attempt = results.relink(turn, follower)
    survivor = _survivor(turn, follower)
    if survivor is not None:
        results.end(turn, attempt, Deferred(survivor.id))
    else:
        enter(turn, attempt)


def _takes_part(execution: Execution) -> bool:
    if not execution.step.submission.options.defer or execution.origin not in UNSTARTED:
        return False
    # The initial step of a spawned run: the spawning step has been compared (SU-5).
    is_spawned = execution.step.number == 1 and execution.run.parent is not None
    return execution.status is Status.QUEUED and not is_spawned


def _rank(turn: Turn, execution: Execution) -> tuple[int, int]:
    """Due and created; a relink attempt stands where the one before it stood."""
    while execution.origin == "relink":
        before = turn.state.executions.get(execution.predecessor or "")
        if before is None:
            break
        execution = before
    return execution.due_at, execution.order


def _compare(turn: Turn, equals: list[Execution]) -> None:
    if len(equals) < 2:
        return
    survivor = max(equals, key=lambda execution: _rank(turn, execution))
    for execution in equals:
        # The survivor may wait for somebody who waits for this one (WA-11).
        if execution is not survivor and not circles.closed_by(
            turn.state, execution.id, (survivor.id,)
        ):
            results.end(turn, execution, Deferred(survivor.id))
            turn.agenda.let_in(turn.state, execution.run.schedule)


def _survivor(turn: Turn, follower: Execution) -> Execution | None:
    """The last in its chain of deferrals, unless that has been cancelled.

    One in the middle that was cancelled by name does not take those before it along (CA-8).
    """
    execution: Execution | None = follower
    while execution is not None and isinstance(execution.result, Deferred):
        execution = turn.state.executions.get(execution.result.execution)
    if execution is None:
        return None
    end = turn.state.end_of(execution.id)[1]
    is_cancelled = end is not None and isinstance(end.result, Cancelled)
    return None if is_cancelled else execution

"""How long an attempt may take to be acknowledged, to start and to end (T8, T14, T16, TO-2).

Belongs here: the server's own deadlines, so that a frozen agent holds nothing up for ever. Does not
belong here: deadlines of waits (`waiting`), sessions that are lost (`sessions`).
"""

from __future__ import annotations

from coflux.model import Abandoned, TimedOut
from coflux.server.core import cancellation, results, sending
from coflux.server.core.changes import Connected
from coflux.server.core.effects import Abort
from coflux.server.core.entities import Execution, Session
from coflux.server.core.events import HostSlept
from coflux.server.core.statuses import Status
from coflux.server.core.turn import Turn


def watch(turn: Turn, id: str) -> None:
    """See whether an attempt was acknowledged, started and ended in time."""
    execution = turn.state.executions.get(id)
    session = turn.state.sessions.get((execution.assigned_to if execution else None) or "")
    if execution is None or session is None or execution.result is not None:
        return
    if session.connection is None:  # judged once the agent is back, or ended with the session
        return
    deadline = _deadline(turn, execution)
    if deadline is not None:
        # What happened in time while the agent was away is on its way.
        deadline = max(deadline, session.connected_at + turn.limits.slack_ms)
    if deadline is not None and deadline <= turn.now:
        _overdue(turn, execution)
    elif execution.id in session.unacknowledged:
        _send_again(turn, session, execution, deadline)
    elif deadline is not None:
        turn.agenda.at(deadline, "attempt", id)


def watch_ready(turn: Turn, execution: Execution) -> None:
    """An execution is ready from now on; it may not wait for an agent for ever (T20)."""
    turn.agenda.ready_since[execution.id] = turn.now
    limit = turn.state.setting(execution.environment, "queue_timeout_ms")
    if limit:
        turn.agenda.at(turn.now + limit, "queue", execution.id)


def watch_queue(turn: Turn, environment: str) -> None:
    """The queue timeout of an environment may be another."""
    limit = turn.state.setting(environment, "queue_timeout_ms")
    for id, key in turn.agenda.ready.items() if limit else ():
        if key.environment == environment:
            turn.agenda.at(turn.agenda.ready_since[id] + limit, "queue", id)


def queue_resumed(turn: Turn, environment: str) -> None:
    """An environment was paused, and what is ready there could not be assigned."""
    for id, key in turn.agenda.ready.items():
        if key.environment == environment:
            turn.agenda.ready_since[id] = turn.now
    watch_queue(turn, environment)


def queued_too_long(turn: Turn, id: str) -> None:
    """See whether an execution has been ready for too long (T20)."""
    key = turn.agenda.ready.get(id)
    if key is None or not turn.state.is_active(key.environment):
        return
    limit = turn.state.setting(key.environment, "queue_timeout_ms")
    if not limit or turn.agenda.ready_since[id] + limit > turn.now:
        return
    execution = turn.state.executions[id]
    cancellation.cancel_descendants(turn, execution, "", "parent timed out")
    results.end(turn, execution, TimedOut(limit, "queue"))


def slept(turn: Turn, event: HostSlept) -> None:
    """Deadlines and windows count only time in which the host was awake (EN-7)."""
    turn.agenda.postpone(event.ms, turn.now)
    for session in turn.state.sessions.values():
        if session.lost_at is not None:
            turn.record(Connected(session.id, None, session.lost_at + event.ms))
        for execution in session.blocked.values():
            for wait in execution.waits.values():
                if wait.deadline is not None:
                    wait.deadline += event.ms


def _deadline(turn: Turn, execution: Execution) -> int | None:
    """When the attempt is over by the server's clock."""
    assert execution.assigned_at is not None
    if execution.started_at is None:
        limit = turn.state.setting(execution.environment, "start_ms")
        return turn.agenda.deadline(execution.assigned_at, limit)
    timeout = execution.step.submission.options.timeout_ms
    if not timeout:
        return None
    return turn.agenda.deadline(execution.started_at, timeout + turn.limits.slack_ms)


def _send_again(
    turn: Turn, session: Session, execution: Execution, deadline: int | None
) -> None:  # T8
    turn.send(sending.execute(turn.state, execution))
    at = turn.now + turn.limits.acknowledge_ms
    turn.agenda.at(at if deadline is None else min(at, deadline), "attempt", execution.id)


def _overdue(turn: Turn, execution: Execution) -> None:
    if execution.status is Status.ASSIGNED:
        result: Abandoned | TimedOut = Abandoned("not started within the start limit")
    else:
        result = TimedOut(execution.step.submission.options.timeout_ms)
        cancellation.cancel_descendants(turn, execution, "", "parent timed out")
    turn.send(Abort(execution.assigned_to or "", execution.id))
    results.fail(turn, execution, result, process="stopping")

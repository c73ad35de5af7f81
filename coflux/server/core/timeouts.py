"""How long an attempt may take to be acknowledged, to start and to end (T8, T14, T16, TO-2).

Belongs here: the server's own deadlines, so that a frozen agent holds nothing up for ever. Does not
belong here: deadlines of waits (`waiting`), sessions that are lost (`sessions`).
"""

from __future__ import annotations

from coflux.model import Abandoned, TimedOut
from coflux.server.core import cancellation, results, scheduling
from coflux.server.core.effects import Abort
from coflux.server.core.entities import Execution, Session
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


def _deadline(turn: Turn, execution: Execution) -> int | None:
    """When the attempt is over by the server's clock."""
    assert execution.assigned_at is not None
    if execution.started_at is None:
        return execution.assigned_at + turn.limits.start_ms
    timeout = execution.step.submission.options.timeout_ms
    return execution.started_at + timeout + turn.limits.slack_ms if timeout else None


def _send_again(
    turn: Turn, session: Session, execution: Execution, deadline: int | None
) -> None:  # T8
    turn.send(scheduling.execute(turn.state, execution))
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

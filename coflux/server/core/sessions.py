"""Agents' sessions: connecting, being lost, and what happens to what they held (SE, T8, T16).

Belongs here: liveness and settlement between server and agent. Does not belong here: which session
gets an execution (`scheduling`).
"""

from __future__ import annotations

from coflux.model import Abandoned, TimedOut
from coflux.server.core import cancellation, results, scheduling
from coflux.server.core.changes import (
    Acknowledged,
    Announced,
    CodeRecorded,
    Connected,
    Drained,
    IncarnationSet,
    SessionEnded,
    SessionOpened,
    Started,
)
from coflux.server.core.effects import Abort, Close, Confirm, Welcome
from coflux.server.core.entities import Execution, Session
from coflux.server.core.events import (
    AssignmentAcknowledged,
    CodeReported,
    ExecutionStarted,
    ProcessDied,
    SessionClosed,
    SessionConnected,
    SessionDisconnected,
    SessionDrained,
    SessionRequested,
    TargetsAnnounced,
)
from coflux.server.core.statuses import Status
from coflux.server.core.submission import find_environment
from coflux.server.core.turn import Turn


def requested(turn: Turn, event: SessionRequested) -> None:
    """An agent wants an identity."""
    environment = find_environment(turn, event.to, event.environment)
    if environment is None:
        return
    session = turn.source.id("S")
    turn.record(SessionOpened(session, environment.id, event.token_hash, event.to.by, turn.now))
    lost_at = turn.now + turn.limits.first_connection_ms
    turn.record(Connected(session, None, lost_at))
    turn.agenda.at(lost_at, "session", session)
    turn.send(Confirm(event.to, {"session": session, "environment": environment.id}))


def connected(turn: Turn, event: SessionConnected) -> None:
    """An agent is there: settle what it should hold and what it does (SE-1 to SE-4)."""
    session = turn.state.sessions.get(event.session)
    if session is None:
        turn.send(Close(event.session, event.connection, "the session is over", final=True))
        return
    if session.connection is not None:
        turn.send(Close(session.id, session.connection, "another connection took the session"))
    if session.incarnation != event.incarnation:
        turn.record(IncarnationSet(session.id, event.incarnation, turn.now))
    turn.record(Connected(session.id, event))
    _rehost(turn, session)
    held = dict(event.held)
    turn.send(Welcome(session.id, tuple(id for id in held if _keeps(session, id))))
    for execution in list(session.held.values()):
        _settle(turn, execution, held.get(execution.id))


def disconnected(turn: Turn, event: SessionDisconnected) -> None:
    """A connection is gone; the session waits for another (SE-3)."""
    session = turn.state.sessions.get(event.session)
    if session is None or session.connection != event.connection:
        return
    lost_at = turn.now + turn.limits.reconnect_ms
    turn.record(Connected(session.id, None, lost_at))
    turn.agenda.at(lost_at, "session", session.id)


def closed(turn: Turn, event: SessionClosed) -> None:
    """The agent ends in good order; what is left is abandoned at once (SE-3)."""
    session = turn.state.sessions.get(event.session)
    if session is not None:
        end(turn, session, event.reason)


def drained(turn: Turn, event: SessionDrained) -> None:
    """No new work for it (SC-10)."""
    session = turn.state.sessions.get(event.session)
    if session is not None:
        turn.record(Drained(session.id))
        turn.agenda.stirred[session.environment] = None


def announced(turn: Turn, event: TargetsAnnounced) -> None:
    """It hosts other targets now."""
    session = turn.state.sessions.get(event.session)
    if session is not None:
        turn.record(Announced(session.id, event.repositories))
        _rehost(turn, session)


def end(turn: Turn, session: Session, reason: str) -> None:
    """A session is over for ever; its executions are abandoned (T16)."""
    held = list(session.held.values())
    turn.record(SessionEnded(session.id, reason, turn.now))
    turn.send(Close(session.id, session.connection, reason, final=True))
    turn.agenda.eligible.clear()
    turn.agenda.stirred[session.environment] = None
    for execution in held:
        if execution.result is None:
            results.fail(turn, execution, Abandoned(reason))
        else:
            results.wake_next(turn, execution)


def expired(turn: Turn, id: str) -> None:
    """The reconnection window may have passed."""
    session = turn.state.sessions.get(id)
    if session is None or session.lost_at is None or session.lost_at > turn.now:
        return
    end(turn, session, "session lost")


def acknowledged(turn: Turn, event: AssignmentAcknowledged) -> None:
    """The agent has an assignment."""
    session = turn.state.sessions.get(event.session)
    if session is not None and event.execution in session.unacknowledged:
        turn.record(Acknowledged(session.id, event.execution))


def started(turn: Turn, event: ExecutionStarted) -> None:
    """An executor runs (T7)."""
    execution = _of(turn, event.session, event.execution)
    if execution is None:
        return
    if execution.result is not None:  # T21
        turn.send(Abort(event.session, execution.id))
    elif execution.status is Status.ASSIGNED:
        turn.record(Started(execution.id, turn.now))
        if execution.step.submission.options.timeout_ms:
            turn.agenda.at(_deadline(turn, execution), "attempt", execution.id)


def code_reported(turn: Turn, event: CodeReported) -> None:
    """The code that an execution runs (CO-5)."""
    execution = _of(turn, event.session, event.execution)
    if execution is not None and execution.code is None:
        turn.record(CodeRecorded(execution.id, event.code))


def watch_attempt(turn: Turn, id: str) -> None:
    """See whether an attempt was acknowledged, started and ended in time (T8, T14, T16)."""
    execution = turn.state.executions.get(id)
    session = turn.state.sessions.get((execution.assigned_to if execution else None) or "")
    if execution is None or session is None or execution.result is not None:
        return
    at = _deadline(turn, execution)
    if at <= turn.now:
        _overdue(turn, execution)
    elif execution.id in session.unacknowledged:
        if session.connection is not None:
            turn.send(scheduling.execute(turn.state, execution))
        turn.agenda.at(turn.now + turn.limits.acknowledge_ms, "attempt", id)
    elif execution.status is Status.ASSIGNED:
        turn.agenda.at(at, "attempt", id)


def _deadline(turn: Turn, execution: Execution) -> int:
    """When the attempt is over by the server's clock (TO-2)."""
    assert execution.assigned_at is not None
    if execution.started_at is None:
        return execution.assigned_at + turn.limits.start_ms
    timeout = execution.step.submission.options.timeout_ms
    if not timeout:
        return turn.now + 1
    return execution.started_at + timeout + turn.limits.slack_ms


def _overdue(turn: Turn, execution: Execution) -> None:
    if execution.status is Status.ASSIGNED:
        result: Abandoned | TimedOut = Abandoned("not started within the start limit")
    else:
        result = TimedOut(execution.step.submission.options.timeout_ms)
        cancellation.cancel_descendants(turn, execution, "", "parent timed out")
    turn.send(Abort(execution.assigned_to or "", execution.id))
    results.fail(turn, execution, result, process="stopping")


def _of(turn: Turn, session: str, id: str) -> Execution | None:
    execution = turn.state.executions.get(id)
    return execution if execution is not None and execution.assigned_to == session else None


def _rehost(turn: Turn, session: Session) -> None:
    turn.agenda.eligible.clear()
    turn.agenda.stirred[session.environment] = None


def _keeps(session: Session, id: str) -> bool:
    execution = session.held.get(id)
    return execution is not None and execution.result is None


def _settle(turn: Turn, execution: Execution, is_running: bool | None) -> None:
    """Compare what the server thinks of an execution with what the agent says."""
    session = execution.assigned_to or ""
    if is_running is not None:
        acknowledged(turn, AssignmentAcknowledged(session, execution.id))
        if is_running and execution.result is None:
            started(turn, ExecutionStarted(session, execution.id))
    elif execution.result is not None:
        results.process_died(turn, ProcessDied(session, execution.id))
    elif execution.id in turn.state.sessions[session].unacknowledged:
        turn.send(scheduling.execute(turn.state, execution))  # T8
    else:
        results.fail(turn, execution, Abandoned("the agent does not have it any more"))  # T16

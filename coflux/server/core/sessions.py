"""Agents' sessions: connecting, being lost, and what happens to what they held (SE, T8, T16).

Belongs here: liveness and settlement between server and agent. Does not belong here: which session
gets an execution (`scheduling`).
"""

from __future__ import annotations

from coflux.model import Abandoned, Suspended
from coflux.server.core import claims, results, sending
from coflux.server.core.changes import (
    Acknowledged,
    Announced,
    CodeRecorded,
    Connected,
    Drained,
    IncarnationSet,
    SessionEnded,
    SessionOpened,
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
from coflux.server.core.ownership import began
from coflux.server.core.statuses import Status
from coflux.server.core.submission import find_environment
from coflux.server.core.turn import Turn


def requested(turn: Turn, event: SessionRequested) -> None:
    """An agent wants an identity."""
    environment = find_environment(turn, event.to, event.environment)
    if environment is None:
        return
    launch = turn.state.launches.get(event.launch or "")
    if event.launch is not None and (launch is None or launch.session is not None):
        turn.refuse(event.to, "not_found", f"launch {event.launch} needs no session", "launch")
        return
    session = turn.source.id("S")
    turn.record(
        SessionOpened(
            session, environment.id, event.token_hash, event.to.by, turn.now, event.launch
        )
    )
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
    is_new_process = session.incarnation != event.incarnation
    if is_new_process:
        turn.record(IncarnationSet(session.id, event.incarnation, turn.now))
    before = dict(session.targets)
    turn.record(Connected(session.id, event, at=turn.now))
    claims.settle(turn, session, before, is_anew=is_new_process)
    _rehost(turn, session)
    held = dict(event.held)
    for id in held:
        execution = session.held.get(id)
        if execution is not None and isinstance(execution.result, Suspended):
            # Before all else, for what is not in the welcome is stopped with grace (WA-5).
            turn.send(Abort(session.id, id, now=True))
    turn.send(Welcome(session.id, tuple(id for id in held if _keeps(session, id))))
    for execution in list(session.held.values()):
        if execution.id in held:
            _compare(turn, execution, held[execution.id])
        else:
            _miss(turn, session, execution)


def disconnected(turn: Turn, event: SessionDisconnected) -> None:
    """A connection is gone; the session waits for another (SE-3)."""
    session = turn.state.sessions.get(event.session)
    if session is None or session.connection != event.connection:
        return
    lost_at = turn.now + turn.state.setting(session.environment, "reconnect_ms")
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
        before = dict(session.targets)
        turn.record(Announced(session.id, event.repositories))
        claims.settle(turn, session, before, is_anew=True)
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
            results.give_back(turn, execution)


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
        began(turn, execution)


def code_reported(turn: Turn, event: CodeReported) -> None:
    """The code that an execution runs, where the agent has loaded other in the meantime (CO-5)."""
    execution = _of(turn, event.session, event.execution)
    if execution is not None and execution.code != event.code:
        turn.record(CodeRecorded(execution.id, event.code))


def _of(turn: Turn, session: str, id: str) -> Execution | None:
    execution = turn.state.executions.get(id)
    return execution if execution is not None and execution.assigned_to == session else None


def _rehost(turn: Turn, session: Session) -> None:
    turn.agenda.eligible.clear()
    turn.agenda.stirred[session.environment] = None


def _keeps(session: Session, id: str) -> bool:
    execution = session.held.get(id)
    return execution is not None and execution.result is None


def _compare(turn: Turn, execution: Execution, is_running: bool) -> None:
    """The agent has an execution that the server takes it to have."""
    session = execution.assigned_to or ""
    acknowledged(turn, AssignmentAcknowledged(session, execution.id))
    if execution.result is not None:
        # It is not in the welcome, so the agent stops it; or only its outcome is left (SE-2).
        if results.is_orphan(turn, execution):
            results.process_died(turn, ProcessDied(session, execution.id))
        return
    if is_running:
        started(turn, ExecutionStarted(session, execution.id))
    # Its deadlines stood still while the agent was away.
    turn.agenda.at(turn.now, "attempt", execution.id)


def _miss(turn: Turn, session: Session, execution: Execution) -> None:
    """The agent does not have an execution that the server takes it to have."""
    if execution.result is not None:
        results.process_died(turn, ProcessDied(session.id, execution.id))
    elif execution.id not in session.unacknowledged:
        results.fail(turn, execution, Abandoned("the agent does not have it any more"))  # T16
    elif results.is_orphan(turn, execution):
        # The one before may have started it and not lived to say so (SE-2).
        results.fail(turn, execution, Abandoned("the agent was started anew"))
    else:
        turn.send(sending.execute(turn.state, execution))  # T8
        turn.agenda.at(turn.now + turn.limits.acknowledge_ms, "attempt", execution.id)

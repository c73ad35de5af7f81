"""Running code that waits for outcomes (WA): opening, answering, resuming, suspending.

Belongs here: waits of executions and of clients. Does not belong here: finding out that a handle is
resolved (`settling`), gates of queued executions (`scheduling`).
"""

from __future__ import annotations

from coflux.model import Returned, Suspended, is_input, run_of
from coflux.server.core import cancellation, caps, circles, results, slots
from coflux.server.core.agenda import Waiter
from coflux.server.core.changes import Blocked, Depended, ExecutionCreated, Unblocked
from coflux.server.core.effects import Answer, Expire, Outcome
from coflux.server.core.entities import Execution, Session, Wait
from coflux.server.core.events import (
    Caller,
    Code,
    OutcomeAwaited,
    OutcomeUnawaited,
    SuspensionRequested,
    WaitRequested,
)
from coflux.server.core.ownership import owned
from coflux.server.core.state import State
from coflux.server.core.statuses import Status
from coflux.server.core.turn import Turn

#: Outcomes of other children that travel with an answer.
AHEAD = 256


def requested(turn: Turn, event: WaitRequested) -> None:
    """Running code waits (T9)."""
    execution = owned(turn, event.to)
    if execution is None:
        return
    unknown = next((h for h in event.handles if not turn.state.is_known(h)), None)
    if unknown is not None:
        what = "input" if is_input(unknown) else "execution"
        is_removed = run_of(unknown) in turn.agenda.removed
        hint = " any more: its run was removed" if is_removed else ""
        turn.refuse(event.to, "not_found", f"there is no {what} {unknown}{hint}")
        return
    if event.first and not event.handles:
        turn.refuse(event.to, "invalid", "select needs at least one handle", "handles")
        return
    wait = Wait(event.to.key, event.handles)
    wait.first, wait.suspend = event.first, event.suspend
    wait.cancel_remaining = event.cancel_remaining
    ask(turn, execution, wait, event.timeout_ms)


def ask(turn: Turn, execution: Execution, wait: Wait, timeout_ms: int | None = None) -> None:
    """Answer at once what can be answered, else open the wait."""
    to = Code(execution.assigned_to or "", execution.id, wait.key)
    if wait.key in execution.waits:  # asked again after a reconnect: the answer will come
        return
    if wait.key in execution.expired:
        turn.send(Expire(to))
        return
    is_look = timeout_ms is not None and timeout_ms <= 0 and not wait.suspend
    circle = [] if is_look else circles.closed_by(turn.state, execution.id, wait.handles)
    if circle:
        message = "waiting here would close a circle: " + " → ".join(circle)
        turn.refuse(to, "cycle", message)
        return
    _depend(turn, execution, wait.handles)
    wait.left = {h: None for h in wait.handles if not turn.state.is_resolved(h)}
    if _is_over(wait):
        _settle_at_once(turn, execution, wait, is_look)
    elif timeout_ms is not None and timeout_ms <= 0:
        _expire(turn, execution, wait)
    else:
        _open(turn, execution, wait, timeout_ms)


def told(turn: Turn, execution: Execution, key: int, handle: str) -> None:
    """A handle of an open wait is resolved."""
    wait = execution.waits.get(key)
    if wait is None or wait.is_done:
        return
    wait.left.pop(handle, None)
    if not _is_over(wait):
        return
    if wait.first:
        _win(turn, execution, wait, handle)
    if execution.result is None:  # a loser's descendants may include the one that selects
        _complete(turn, execution, wait)


def expired(turn: Turn, execution: Execution, key: int) -> None:
    """The time of an open wait is up."""
    wait = execution.waits.get(key)
    if wait is None or wait.is_done or wait.deadline is None or wait.deadline > turn.now:
        return
    wait.expired = True
    if wait.suspend:
        _suspend_for(turn, execution, wait)
    else:
        _complete(turn, execution, wait)


def resume(turn: Turn, session: Session) -> None:
    """Give answers whose executions have a slot again, before any new assignment (T10)."""
    for id in list(session.resuming):
        execution = turn.state.executions[id]
        if not session.is_free:
            return
        if id in session.resuming and slots.has_all_back(turn, execution):
            del session.resuming[id]
            _release(turn, execution)


def suspension_requested(turn: Turn, event: SuspensionRequested) -> None:
    """Running code suspends of its own will (WA-4)."""
    execution = owned(turn, event.to)
    if execution is not None:
        suspend(turn, execution, turn.now + max(0, event.delay_ms), ())


def suspend(
    turn: Turn, execution: Execution, due_at: int, gate: tuple[str, ...], first: bool = False,
    cancel_remaining: bool = False,
) -> None:  # fmt: skip
    """End the attempt; the next goes on when due and when what it waits for is resolved (T15)."""
    suspensions, burst = caps.count_suspension(turn, execution)
    attempt = ExecutionCreated(
        execution.step.next_id(), execution.environment, "resume", due_at, turn.now,
        predecessor=execution.id, retries_used=execution.retries_used, gate=gate,
        gate_first=first, gate_cancel=cancel_remaining, code=execution.required_code,
        reuse=execution.reuse, suspensions=suspensions, burst=burst,
    )  # fmt: skip
    results.stop(turn, execution, Suspended(), successor=attempt.execution, now=True)
    results.create(turn, attempt)


def awaited(turn: Turn, event: OutcomeAwaited) -> None:
    """A client waits for an outcome; it is told now or later."""
    if not turn.state.is_known(event.execution):
        turn.refuse(event.to, "not_found", f"there is no {event.execution}")
        return
    waiter = Waiter("client", event.to.by, event.to.token, event.execution)
    end_id = turn.state.end_of(event.execution)[0]
    if not turn.state.is_resolved(end_id):
        turn.agenda.watch(end_id, waiter)
        turn.agenda.clients[event.to.token] = waiter
    else:
        answer_client(turn, waiter)


def unawaited(turn: Turn, event: OutcomeUnawaited) -> None:
    """A client does not wait any more."""
    waiter = turn.agenda.clients.pop(event.token, None)
    if waiter is not None:
        turn.agenda.unwatch(turn.state.end_of(waiter.handle)[0], waiter)


def answer_client(turn: Turn, waiter: Waiter) -> None:
    """Tell a client."""
    turn.agenda.clients.pop(waiter.key, None)
    turn.send(Answer(Caller(waiter.key, waiter.id), (outcome(turn.state, waiter.handle),)))


def outcome(state: State, handle: str) -> Outcome:
    """Where a resolved handle leads."""
    if handle in state.inputs:
        return Outcome(handle, handle, state.inputs[handle].result)
    id, end = state.end_of(handle)
    return Outcome(handle, id, end.result if end is not None else None)


def _depend(turn: Turn, execution: Execution, handles: tuple[str, ...]) -> None:
    new = tuple(dict.fromkeys(h for h in handles if h not in execution.dependencies))
    if new:
        turn.record(Depended(execution.id, new, turn.now))


def _is_over(wait: Wait) -> bool:
    return not wait.left or (wait.first and len(wait.left) < len(set(wait.handles)))


def _settle_at_once(turn: Turn, execution: Execution, wait: Wait, is_look: bool) -> None:
    if wait.first:
        resolved = [h for h in wait.handles if h not in wait.left]
        _win(turn, execution, wait, _first_of(turn.state, execution, resolved))
        if execution.result is not None:
            return
    session = turn.state.sessions.get(execution.assigned_to or "")
    if is_look or session is None or not session.is_crowded or execution.id in session.blocked:
        _answer(turn, execution, wait)
        return
    # After a restart of the server more may be taken for running than there are slots (WA-9).
    _finish(turn, execution, wait)
    _block(turn, execution, wait)
    session.resuming[execution.id] = None


def _open(turn: Turn, execution: Execution, wait: Wait, timeout_ms: int | None) -> None:
    if timeout_ms is not None:
        wait.deadline = turn.now + timeout_ms
        turn.agenda.at(wait.deadline, "wait", execution.id, wait.key)
    for handle in wait.left:
        end_id = turn.state.end_of(handle)[0]
        turn.agenda.watch(end_id, Waiter("wait", execution.id, wait.key, handle))
    session = turn.state.sessions.get(execution.assigned_to or "")
    if session is not None and execution.id in session.resuming:
        # No longer the last: what was to be answered once a slot is free can be answered now.
        del session.resuming[execution.id]
        for other in list(execution.waits.values()):
            _close(turn, execution, other)
    _block(turn, execution, wait)


def _block(turn: Turn, execution: Execution, wait: Wait) -> None:
    turn.state.open_wait(execution, wait)
    # Also where it waits already: a draining agent or a slot is there for what is awaited now.
    turn.agenda.stirred[execution.environment] = None
    if execution.status is not Status.WAITING:
        turn.record(Blocked(execution.id, turn.now))
        session = turn.state.sessions.get(execution.assigned_to or "")
        if session is not None:
            _relieve(turn, session)


def _relieve(turn: Turn, session: Session) -> None:
    """At the cap of waiting processes those that may suspend do so early (WA-10)."""
    while caps.is_crowded_with_waiting(turn.state, session):
        found = [
            (wait.deadline or 0, execution.order, execution, wait)
            for execution in session.blocked.values()
            if (wait := _suspendable(execution)) is not None
        ]
        if not found:
            return
        _, _, execution, wait = min(found, key=lambda each: each[:2])
        _suspend_for(turn, execution, wait)


def _suspendable(execution: Execution) -> Wait | None:
    """The wait that an execution would suspend for, when no other keeps its process."""
    waits = [wait for wait in execution.waits.values() if not wait.is_done]
    is_inside = waits and all(wait.suspend for wait in waits) and len(waits) == len(execution.waits)
    return waits[0] if is_inside else None


def _complete(turn: Turn, execution: Execution, wait: Wait) -> None:
    """Answer now if other waits stay open, else when a slot is free (WA-9)."""
    _finish(turn, execution, wait)
    session = turn.state.sessions.get(execution.assigned_to or "")
    if session is None or any(not w.is_done for w in execution.waits.values()):
        _close(turn, execution, wait)
        return
    session.resuming[execution.id] = None
    resume(turn, session)


def _release(turn: Turn, execution: Execution) -> None:
    session = turn.state.sessions.get(execution.assigned_to or "")
    if session is not None and caps.is_crowded_with_waiting(turn.state, session):
        turn.agenda.stirred[session.environment] = None  # it may take new work again (WA-10)
    turn.record(Unblocked(execution.id, turn.now))
    for wait in list(execution.waits.values()):
        _close(turn, execution, wait)


def _finish(turn: Turn, execution: Execution, wait: Wait) -> None:
    wait.is_done = True
    for handle in wait.left:
        results.forget_wait(turn, execution, wait.key, handle)
    wait.left.clear()


def _close(turn: Turn, execution: Execution, wait: Wait) -> None:
    execution.waits.pop(wait.key, None)
    if wait.expired:
        _expire(turn, execution, wait)
    else:
        _answer(turn, execution, wait)


def _expire(turn: Turn, execution: Execution, wait: Wait) -> None:
    if wait.suspend:
        _suspend_for(turn, execution, wait)
    else:
        execution.expired[wait.key] = None
        turn.send(Expire(Code(execution.assigned_to or "", execution.id, wait.key)))


def _suspend_for(turn: Turn, execution: Execution, wait: Wait) -> None:
    suspend(
        turn, execution, turn.now, tuple(wait.left), wait.first,
        wait.first and wait.cancel_remaining,
    )  # fmt: skip


def _answer(turn: Turn, execution: Execution, wait: Wait) -> None:
    resolved = [h for h in wait.handles if turn.state.is_resolved(h)]
    chosen = [wait.winner] if wait.winner is not None else resolved
    to = Code(execution.assigned_to or "", execution.id, wait.key)
    outcomes = tuple(outcome(turn.state, h) for h in dict.fromkeys(chosen))
    for handle in chosen:
        execution.fresh.pop(handle, None)
    turn.send(Answer(to, outcomes, wait.executions, _ahead(turn.state, execution)))


def _win(turn: Turn, execution: Execution, wait: Wait, winner: str) -> None:
    wait.winner = winner
    if wait.cancel_remaining:
        cancellation.cancel_others(turn, execution, wait.handles, winner)


def _first_of(state: State, execution: Execution, resolved: list[str]) -> str:
    """The first in the list (WA-7), but for those that an earlier win of this step cancelled.

    A resumed attempt, and a request that is sent again, so find the winner that there was.
    """
    lost = [h for h in resolved if cancellation.is_loser(state, execution, h)]
    return next((h for h in resolved if h not in lost), resolved[0])


def _ahead(state: State, execution: Execution) -> tuple[Outcome, ...]:
    if not execution.fresh:
        return ()
    told = list(execution.fresh)[:AHEAD]
    for id in told:
        del execution.fresh[id]
    outcomes = [outcome(state, id) for id in told]
    return tuple(o for o in outcomes if isinstance(o.result, Returned))

"""Telling everybody who waits for what ended in this turn (RS-2), in the same commit.

Belongs here: passing waiters on along links, and what each kind of waiter is told by. Does not
belong here: what it then does.
"""

from __future__ import annotations

from coflux.model import Cached, Deferred, Returned
from coflux.server.core import caps, deferral, inputs, links, scheduling, waiting
from coflux.server.core.agenda import Waiter
from coflux.server.core.changes import RunFinished
from coflux.server.core.entities import Execution, Run
from coflux.server.core.turn import Turn


def settle(turn: Turn) -> None:
    """Go on until nothing that ended has waiters left."""
    while turn.ended or turn.ended_inputs:
        if turn.ended_inputs:
            for waiter in turn.agenda.waiters.pop(turn.ended_inputs.popleft(), {}):
                attach(turn, waiter)
            continue
        execution = turn.ended.popleft()
        _offer_to_parents(turn, execution)
        # Followers first: a link that breaks now leads the others elsewhere (CA-9).
        found = turn.agenda.waiters.pop(execution.id, {})
        for waiter in sorted(found, key=lambda waiter: _place(turn, waiter)):
            attach(turn, waiter)
        if isinstance(execution.result, Cached | Deferred) and execution.link_successor is None:
            links.follow(turn, execution)
        if turn.state.next_of(execution) is not None:
            deferral.moved(turn, execution.id)
        finish(turn, execution.run)
        inputs.released(turn, execution)


def attach(turn: Turn, waiter: Waiter) -> None:
    """Have a waiter wait where its handle leads now, or tell it."""
    if not _still_waits(turn, waiter):
        return
    end_id, end = turn.state.end_of(waiter.handle)
    if not turn.state.is_resolved(end_id):
        turn.agenda.watch(end_id, waiter)
    else:
        _tell(turn, waiter, end)


def finish(turn: Turn, run: Run) -> None:
    """Record that a run is finished, when it is (RS-6)."""
    if run.unfinished or run.status is not None:
        return
    latest = run.steps[1].latest(run.environment) or run.steps[1].executions[-1]
    # A follower may have to run yet (CA-9).
    for id in [latest.id, *turn.agenda.following.get(run.id, {})]:
        end_id, end = turn.state.end_of(id)
        if end is not None and end.result is None:
            turn.agenda.watch(end_id, Waiter("run", run.id, 0, id))
            return
    if run.held is not None:  # there is nothing left to hold
        caps.release(turn, run)
    turn.agenda.held_requests.pop(run.id, None)
    turn.record(RunFinished(run.id, turn.state.run_status(run), turn.now))
    turn.agenda.let_in(turn.state, run.schedule)
    inputs.run_finished(turn, run)


def _still_waits(turn: Turn, waiter: Waiter) -> bool:
    """Whether it has not ended or been answered since, in this very turn."""
    if waiter.kind == "wait":
        execution = turn.state.executions.get(waiter.id)
        wait = execution.waits.get(waiter.key) if execution is not None else None
        return wait is not None and waiter.handle in wait.left
    return waiter.kind != "gate" or waiter.handle in turn.agenda.gated.get(waiter.id, {})


def _place(turn: Turn, waiter: Waiter) -> tuple[bool, int]:
    """Of the deferred ones the newest comes first, for the others to follow it (DF-4)."""
    follower = turn.state.executions.get(waiter.id) if waiter.kind == "follow" else None
    is_deferred = follower is not None and isinstance(follower.result, Deferred)
    return waiter.kind != "follow", -follower.order if follower is not None and is_deferred else 0


def _tell(turn: Turn, waiter: Waiter, end: Execution | None) -> None:
    if waiter.kind == "client":
        waiting.answer_client(turn, waiter)
    elif waiter.kind == "run":
        run = turn.state.runs.get(waiter.id)
        if run is not None:
            finish(turn, run)
    else:
        execution = turn.state.executions.get(waiter.id)
        if execution is not None:
            _tell_execution(turn, waiter, execution, end)


def _tell_execution(
    turn: Turn, waiter: Waiter, execution: Execution, end: Execution | None
) -> None:
    if waiter.kind == "wait":
        waiting.told(turn, execution, waiter.key, waiter.handle)
    elif waiter.kind == "gate":
        scheduling.gate_opened(turn, execution, waiter.handle)
    else:
        links.settle(turn, execution, end.result if end is not None else None)


def _offer_to_parents(turn: Turn, execution: Execution) -> None:
    """Let running parents know the value with their next answer, ahead of being asked."""
    if not isinstance(execution.result, Returned | Cached):
        return
    for parent_id in execution.step.parents:
        parent = turn.state.executions.get(parent_id)
        if parent is not None and parent.result is None and execution.id in parent.children:
            parent.fresh[execution.id] = None

"""How executions end and which attempt goes on from there (RS, T11 to T22).

Belongs here: recording a result and its successor. Does not belong here: whether to retry
(`retries`), what an agent's report means (`outcomes`), telling those who wait (`settling`).
"""

from __future__ import annotations

from coflux.model import Result
from coflux.server.core import retries, slots
from coflux.server.core.agenda import Waiter
from coflux.server.core.changes import (
    Depended,
    ExecutionCreated,
    LinkSucceeded,
    ProcessEnded,
    ResultRecorded,
)
from coflux.server.core.effects import Abort
from coflux.server.core.entities import Execution
from coflux.server.core.events import DependenciesReported, ProcessDied
from coflux.server.core.statuses import Process
from coflux.server.core.turn import Turn


def fail(
    turn: Turn, execution: Execution, result: Result, process: str = "gone", frees: bool = False
) -> None:
    """End with a failure, and go on as `retries` decides."""
    following = retries.after(turn, execution, result)
    if following is None:
        end(turn, execution, result, process=process, frees=frees)
    else:
        succeed(turn, execution, result, following, process, frees=frees)


def succeed(
    turn: Turn, execution: Execution, result: Result, successor: ExecutionCreated,
    process: str = "gone", frees: bool = False,
) -> Execution:  # fmt: skip
    """End with a result that another attempt of the step goes on from."""
    end(turn, execution, result, process=process, successor=successor.execution, frees=frees)
    return create(turn, successor)


def create(turn: Turn, attempt: ExecutionCreated) -> Execution:
    """Make a further attempt and see to it when it is due."""
    turn.record(attempt)
    execution = turn.state.executions[attempt.execution]
    turn.agenda.schedule(execution)
    return execution


def end(
    turn: Turn, execution: Execution, result: Result, *, process: str = "none",
    successor: str | None = None, by: str = "", reason: str = "", frees: bool = False,
) -> None:  # fmt: skip
    """Record the one result of an execution."""
    forget_waits(turn, execution)
    forget_gates(turn, execution)
    turn.agenda.drop(execution)
    if execution.process is Process.NONE:
        process = "none"
    frees = frees and process == "stopping"
    turn.record(
        ResultRecorded(execution.id, result, turn.now, successor, process, by, reason, frees)
    )
    _stir(turn, execution)
    turn.ended.append(execution)
    if execution.process is Process.GONE:
        wake_next(turn, execution)


def forget_waits(turn: Turn, execution: Execution) -> None:
    """Take back everything that an execution waits for."""
    for wait in execution.waits.values():
        for handle in wait.left:
            forget_wait(turn, execution, wait.key, handle)


def forget_wait(turn: Turn, execution: Execution, key: int, handle: str) -> None:
    """Take back one wait for one handle."""
    end_id = turn.state.end_of(handle)[0]
    turn.agenda.unwatch(end_id, Waiter("wait", execution.id, key, handle))


def forget_gates(turn: Turn, execution: Execution) -> None:
    """Take back everything that a queued execution is held back by."""
    for handle in turn.agenda.gated.pop(execution.id, {}):
        end_id = turn.state.end_of(handle)[0]
        turn.agenda.unwatch(end_id, Waiter("gate", execution.id, 0, handle))


def stop(
    turn: Turn, execution: Execution, result: Result, *, successor: str | None = None,
    by: str = "", reason: str = "", now: bool = False,
) -> None:  # fmt: skip
    """End an execution by the server's decision; its process is told to stop (ST-5)."""
    session = execution.assigned_to if execution.process is Process.ALIVE else None
    process = "stopping" if session in turn.state.sessions else "gone"
    end(turn, execution, result, process=process, successor=successor, by=by, reason=reason)
    if session is not None:
        turn.send(Abort(session, execution.id, now))


def relink(turn: Turn, execution: Execution) -> Execution:
    """Replace a broken link by an attempt that looks up anew, or runs (CA-9)."""
    attempt = ExecutionCreated(
        execution.step.next_id(), execution.environment, "relink", turn.now, turn.now,
        predecessor=execution.id, retries_used=execution.retries_used,
        code=execution.required_code, reuse=execution.reuse, suspensions=execution.suspensions,
    )  # fmt: skip
    following = create(turn, attempt)
    turn.record(LinkSucceeded(execution.id, attempt.execution, turn.now))
    return following


def is_orphan(turn: Turn, execution: Execution) -> bool:
    """Whether the agent process that it was given to has been followed by another (SE-6)."""
    session = turn.state.sessions.get(execution.assigned_to or "")
    if session is None or execution.incarnation is None:
        return False
    return execution.incarnation != session.incarnation


def process_died(turn: Turn, event: ProcessDied) -> None:
    """A process group that was being stopped is dead (ST-5)."""
    execution = turn.state.executions.get(event.execution)
    if execution is None or execution.assigned_to != event.session or execution.result is None:
        return
    if execution.process is not Process.STOPPING:
        return
    turn.record(ProcessEnded(execution.id, turn.now))
    _stir(turn, execution)
    wake_next(turn, execution)


def give_back(turn: Turn, execution: Execution) -> None:
    """The process of an ended execution is dead, because its session is over."""
    _stir(turn, execution)
    wake_next(turn, execution)


def _stir(turn: Turn, execution: Execution) -> None:
    """Something may be assignable now that its slots are free."""
    turn.agenda.stirred[execution.environment] = None
    named = execution.step.submission.options.slots
    if named:
        slots.stir(turn, named, execution.environment)


def depend(turn: Turn, event: DependenciesReported) -> None:
    """Outcomes given ahead have been asked for (EN-5)."""
    execution = turn.state.executions.get(event.execution)
    if execution is None or execution.assigned_to != event.session or execution.result is not None:
        return
    new = tuple(
        h
        for h in dict.fromkeys(event.handles)
        if turn.state.is_known(h) and h not in execution.dependencies
    )
    if new:
        turn.record(Depended(execution.id, new, turn.now))


def wake_next(turn: Turn, execution: Execution) -> None:
    """Attempts that waited for this one's process to be dead go on (ST-5)."""
    for id in turn.agenda.behind.pop(execution.id, {}):
        following = turn.state.executions.get(id)
        if following is not None and following.result is None:
            turn.agenda.schedule(following)

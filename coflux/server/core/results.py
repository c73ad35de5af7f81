"""How executions end and which attempt goes on from there (RS, T11 to T22).

Belongs here: recording a result and its successor. Does not belong here: whether to retry
(`retries`), telling those who wait (`settling`).
"""

from __future__ import annotations

from coflux.model import FAILURES, Recurred, Result, Returned
from coflux.server.core import retries
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
from coflux.server.core.events import DependenciesReported, OutcomeReported, ProcessDied
from coflux.server.core.statuses import Process
from coflux.server.core.turn import Turn


def reported(turn: Turn, event: OutcomeReported) -> None:
    """An agent says how an execution ended (T11 to T14)."""
    execution = turn.state.executions.get(event.execution)
    if execution is None or execution.assigned_to != event.session:
        return
    if execution.result is not None:  # RS-1, T21
        if event.gone:
            process_died(turn, ProcessDied(event.session, event.execution))
        return
    process = "gone" if event.gone else "stopping"
    if isinstance(event.result, FAILURES):
        fail(turn, execution, event.result, process)
    elif execution.step.submission.options.recurrent and _is_none(event.result):
        _recur(turn, execution, process)
    else:
        end(turn, execution, event.result, process=process)


def fail(turn: Turn, execution: Execution, result: Result, process: str = "gone") -> None:
    """End with a failure, and retry within the budget (RE)."""
    delay = retries.delay_before(execution, result, turn.source)
    if delay is None:
        end(turn, execution, result, process=process)
    else:
        retry = ExecutionCreated(
            execution.step.next_id(), execution.environment, "retry", turn.now + delay, turn.now,
            predecessor=execution.id, retries_used=execution.retries_used + 1, code=None,
            reuse=execution.reuse,
        )  # fmt: skip
        succeed(turn, execution, result, retry, process)


def succeed(
    turn: Turn, execution: Execution, result: Result, successor: ExecutionCreated,
    process: str = "gone", by: str = "", reason: str = "",
) -> Execution:  # fmt: skip
    """End with a result that another attempt of the step goes on from."""
    end(
        turn, execution, result, process=process, successor=successor.execution, by=by,
        reason=reason,
    )  # fmt: skip
    return create(turn, successor)


def create(turn: Turn, attempt: ExecutionCreated) -> Execution:
    """Make a further attempt and see to it when it is due."""
    turn.record(attempt)
    execution = turn.state.executions[attempt.execution]
    turn.agenda.schedule(execution)
    return execution


def end(
    turn: Turn, execution: Execution, result: Result, *, process: str = "none",
    successor: str | None = None, by: str = "", reason: str = "",
) -> None:  # fmt: skip
    """Record the one result of an execution."""
    forget_waits(turn, execution)
    turn.agenda.drop(execution)
    if execution.process is Process.NONE:
        process = "none"
    turn.record(ResultRecorded(execution.id, result, turn.now, successor, process, by, reason))
    turn.agenda.stirred[execution.environment] = None
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


def relink(turn: Turn, execution: Execution) -> None:
    """Replace a broken link by an attempt that looks up anew, or runs (CA-9)."""
    attempt = ExecutionCreated(
        execution.step.next_id(), execution.environment, "relink", turn.now, turn.now,
        predecessor=execution.id, retries_used=execution.retries_used, reuse=execution.reuse,
    )  # fmt: skip
    create(turn, attempt)
    turn.record(LinkSucceeded(execution.id, attempt.execution, turn.now))


def process_died(turn: Turn, event: ProcessDied) -> None:
    """A process group that was being stopped is dead (ST-5)."""
    execution = turn.state.executions.get(event.execution)
    if execution is None or execution.assigned_to != event.session or execution.result is None:
        return
    if execution.process is not Process.STOPPING:
        return
    turn.record(ProcessEnded(execution.id, turn.now))
    turn.agenda.stirred[execution.environment] = None
    wake_next(turn, execution)


def depend(turn: Turn, event: DependenciesReported) -> None:
    """Outcomes given ahead have been asked for (EN-5)."""
    execution = turn.state.executions.get(event.execution)
    if execution is None or execution.assigned_to != event.session or execution.result is not None:
        return
    new = tuple(h for h in event.handles if h not in execution.dependencies)
    if new:
        turn.record(Depended(execution.id, new, turn.now))


def _recur(turn: Turn, execution: Execution, process: str) -> None:
    due_at = turn.now + execution.step.submission.options.delay_ms
    attempt = ExecutionCreated(
        execution.step.next_id(), execution.environment, "recurrence", due_at, turn.now,
        predecessor=execution.id,
    )  # fmt: skip
    succeed(turn, execution, Recurred(), attempt, process)


def _is_none(result: Result) -> bool:
    return isinstance(result, Returned) and result.value.type == "NoneType"


def wake_next(turn: Turn, execution: Execution) -> None:
    """Attempts that waited for this one's process to be dead go on (ST-5)."""
    for id in turn.agenda.behind.pop(execution.id, {}):
        following = turn.state.executions.get(id)
        if following is not None and following.result is None:
            turn.agenda.schedule(following)

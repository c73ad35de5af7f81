"""What an agent's report of an outcome leads to (T11 to T14): an end, a retry, the next round.

Belongs here: telling reports apart. Does not belong here: recording ends (`results`), whether to
retry (`retries`).
"""

from __future__ import annotations

from coflux.model import FAILURES, Recurred, Result, Returned, TimedOut
from coflux.server.core import cancellation, results
from coflux.server.core.changes import ExecutionCreated
from coflux.server.core.entities import Execution
from coflux.server.core.events import OutcomeReported, ProcessDied
from coflux.server.core.turn import Turn


def reported(turn: Turn, event: OutcomeReported) -> None:
    """An agent says how an execution ended; the first result wins (RS-1, T21)."""
    execution = turn.state.executions.get(event.execution)
    if execution is None or execution.assigned_to != event.session:
        return
    # What a dead agent has left on its disk is the outcome of a dead process (SE-2, SE-6).
    is_gone = event.gone or results.is_orphan(turn, execution)
    if execution.result is None:
        _conclude(turn, execution, event.result, "gone" if is_gone else "stopping")
    elif is_gone:
        results.process_died(turn, ProcessDied(event.session, event.execution))


def _conclude(turn: Turn, execution: Execution, result: Result, process: str) -> None:
    if isinstance(result, TimedOut):
        cancellation.cancel_descendants(turn, execution, "", "parent timed out")
    # A process that has been told to stop keeps the slot until it is dead (ST-5).
    frees = not isinstance(result, TimedOut)
    due_at = _next_round(turn, execution, result)
    if isinstance(result, FAILURES):
        results.fail(turn, execution, result, process, frees=frees)
    elif due_at is not None:
        attempt = ExecutionCreated(
            execution.step.next_id(), execution.environment, "recurrence", due_at, turn.now,
            predecessor=execution.id, code=execution.required_code,
        )  # fmt: skip
        results.succeed(turn, execution, Recurred(), attempt, process, frees=frees)
    else:
        results.end(turn, execution, result, process=process, frees=frees)


def _next_round(turn: Turn, execution: Execution, result: Result) -> int | None:
    """When a recurrent target or a sensor that has returned goes on (RC-1, RC-4)."""
    submission = execution.step.submission
    if not isinstance(result, Returned):
        return None
    due_at = turn.now + submission.options.delay_ms
    if submission.type == "sensor":
        began_at = execution.started_at or execution.assigned_at or turn.now
        return max(due_at, began_at + turn.limits.sensor_spacing_ms)
    is_round = submission.options.recurrent and result.value.type == "NoneType"
    return due_at if is_round else None

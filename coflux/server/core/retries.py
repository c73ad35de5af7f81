"""Whether a failed attempt is followed by another, and when (RE, and RC-4 for sensors)."""

from __future__ import annotations

from coflux.model import Raised, Result, RetryPolicy, TimedOut
from coflux.server.core.changes import ExecutionCreated
from coflux.server.core.entities import Execution
from coflux.server.core.turn import Source, Turn

#: Outcomes that a retry may follow (RE-1) are `model.FAILURES`, but for these marks.


def after(turn: Turn, execution: Execution, result: Result) -> ExecutionCreated | None:
    """The attempt that follows a failure, or None when there is none."""
    if execution.step.submission.type == "sensor":
        return _sense_again(turn, execution)
    delay = delay_before(execution, result, turn.source)
    if delay is None:
        return None
    return ExecutionCreated(
        execution.step.next_id(), execution.environment, "retry", turn.now + delay, turn.now,
        predecessor=execution.id, retries_used=execution.retries_used + 1,
        code=execution.required_code, reuse=execution.reuse, suspensions=execution.suspensions,
    )  # fmt: skip


def delay_before(execution: Execution, result: Result, source: Source) -> int | None:
    """Milliseconds until the retry, or None when there is none."""
    policy = execution.step.submission.options.retries
    if policy is None or not _is_retryable(result):
        return None
    number = execution.retries_used + 1
    if policy.limit is not None and number > policy.limit:
        return None
    return max(0, round(_back_off(policy, number, source)))


def _sense_again(turn: Turn, execution: Execution) -> ExecutionCreated:
    """A failed sensor goes on after a back-off that a new checkpoint resets (RC-4)."""
    failures = 0 if execution.has_checkpoint else execution.retries_used
    low, high = turn.limits.sensor_spacing_ms, turn.limits.sensor_backoff_ms
    # The shift is bounded: a sensor may fail for years.
    delay = min(low << min(failures, 20), high)
    return ExecutionCreated(
        execution.step.next_id(), execution.environment, "recurrence", turn.now + delay, turn.now,
        predecessor=execution.id, retries_used=failures + 1, code=execution.required_code,
    )  # fmt: skip


def _is_retryable(result: Result) -> bool:
    if isinstance(result, Raised):
        return result.retryable
    return not (isinstance(result, TimedOut) and result.cause == "queue")


def _back_off(policy: RetryPolicy, number: int, source: Source) -> float:
    low, high = policy.min_ms, policy.max_ms
    if policy.limit is None:
        delay = source.uniform(low, high)
    elif policy.limit == 1:
        delay = float(low)
    else:
        delay = low + (number - 1) / (policy.limit - 1) * (high - low)
    if policy.jitter:
        delay *= source.uniform(1 - policy.jitter, 1 + policy.jitter)
    return delay

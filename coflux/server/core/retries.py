"""Whether a failed attempt is followed by another, and when (RE)."""

from __future__ import annotations

from coflux.model import Raised, Result, RetryPolicy, TimedOut
from coflux.server.core.entities import Execution
from coflux.server.core.turn import Source

#: Outcomes that a retry may follow (RE-1) are `model.FAILURES`, but for these marks.


def delay_before(execution: Execution, result: Result, source: Source) -> int | None:
    """Milliseconds until the retry, or None when there is none."""
    policy = execution.step.submission.options.retries
    if policy is None or not _is_retryable(result) or execution.step.submission.type == "sensor":
        return None
    if execution.step.number != 1 and execution.step.submission.type != "task":
        return None  # the child run's initial step applies retries (SU-5)
    number = execution.retries_used + 1
    if policy.limit is not None and number > policy.limit:
        return None
    return round(_back_off(policy, number, source))


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

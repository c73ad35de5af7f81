"""Joining equal calls within one run (ME), and taking a previous attempt's children (RR-4)."""

from __future__ import annotations

from coflux.model import FINAL, Returned, Submission
from coflux.server.core.entities import Execution, Step
from coflux.server.core.keys import memo_shape, same_references
from coflux.server.core.turn import Turn


def is_memoised(parent: Execution, submission: Submission) -> bool:
    """Its own setting, else its workflow's (ME-3)."""
    own = submission.options.memo
    return parent.run.memo if own is None else bool(own)


def find(turn: Turn, parent: Execution, submission: Submission, shape: bytes) -> Execution | None:
    """The newest execution of the run that the call may join (ME-2)."""
    line = turn.state.lineage(parent.environment)
    ancestors = dict.fromkeys(turn.state.ancestors(parent.id))
    found = [
        execution
        for step in parent.run.memos.get(shape, [])
        if same_references(turn.state, submission, step.submission)
        for execution in step.executions
        if execution.environment in line
        and execution.id not in ancestors
        and _serves(turn, parent, execution)
    ]
    return max(found, key=lambda e: e.order, default=None)


def reusable(turn: Turn, parent: Execution, submission: Submission) -> Execution | None:
    """A child of the attempt being re-run that is equal and has a value (RR-4)."""
    if parent.reuse is None or (shape := memo_shape(submission)[0]) is None:
        return None
    previous = turn.state.executions.get(parent.reuse)
    line = turn.state.lineage(parent.environment)
    steps = _earlier_children(turn, previous, submission) if previous is not None else []
    found = [
        execution
        for step in steps
        if memo_shape(step.submission)[0] == shape
        and same_references(turn.state, submission, step.submission)
        for execution in step.executions
        if execution.environment in line and _has_value(turn, execution)
    ]
    return max(found, key=lambda e: e.order, default=None)


def _earlier_children(turn: Turn, previous: Execution, submission: Submission) -> list[Step]:
    """Child steps of the earlier attempts of that step with the same target."""
    children = [
        turn.state.executions.get(child)
        for attempt in previous.step.executions
        for child in attempt.children
    ]
    steps = {c.step.id: c.step for c in children if c is not None}
    return [s for s in steps.values() if _is_same_target(s.submission, submission)]


def _is_same_target(one: Submission, other: Submission) -> bool:
    return (one.repository, one.target) == (other.repository, other.target)


def _serves(turn: Turn, parent: Execution, execution: Execution) -> bool:
    end = turn.state.end_of(execution.id)[1]
    if end is None or isinstance(end.result, Returned):
        return True
    if isinstance(end.result, FINAL):
        return False
    return execution.environment == parent.environment or turn.state.is_active(
        execution.environment
    )


def _has_value(turn: Turn, execution: Execution) -> bool:
    end = turn.state.end_of(execution.id)[1]
    return end is None or isinstance(end.result, Returned)

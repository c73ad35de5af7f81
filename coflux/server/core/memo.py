"""Joining equal calls within one run (ME), and taking a previous attempt's children (RR-4)."""

from __future__ import annotations

from coflux.model import FINAL, Returned, Submission
from coflux.server.core.entities import Execution, MemoKey, Step
from coflux.server.core.keys import memo_place, memo_shape
from coflux.server.core.turn import Turn

#: Origins of attempts that go on with the chain of the one before.
CONTINUING = ("retry", "resume", "relink")


def is_memoised(parent: Execution, submission: Submission) -> bool:
    """Its own setting, else its workflow's (ME-3)."""
    own = submission.options.memo
    return parent.run.memo if own is None else bool(own)


def find(turn: Turn, parent: Execution, submission: Submission, shape: bytes) -> Execution | None:
    """The newest execution of the run that the call may join (ME-2)."""
    line = turn.state.lineage(parent.environment)
    ancestors = dict.fromkeys(turn.state.ancestors(parent.id))
    place = memo_place(turn.state, submission, shape)
    found = [
        next((e for e in reversed(step.executions) if _may_join(turn, parent, e, line, ancestors)),
             None)
        for step in parent.run.memos.get(place, {}).values()
    ]  # fmt: skip
    return max((e for e in found if e is not None), key=lambda e: e.order, default=None)


def reusable(turn: Turn, parent: Execution, submission: Submission) -> Execution | None:
    """A child of the attempt before the re-run that is equal and has a value (RR-4)."""
    if parent.reuse is None or (shape := memo_shape(submission)[0]) is None:
        return None
    known = turn.agenda.reusable.get(parent.id)
    if known is None:
        known = turn.agenda.reusable[parent.id] = _earlier_children(turn, parent.reuse)
    line = turn.state.lineage(parent.environment)
    found = [
        next((e for e in reversed(step.executions)
              if e.environment in line and _has_value(turn, e)), None)
        for step in known.get(memo_place(turn.state, submission, shape), [])
    ]  # fmt: skip
    return max((e for e in found if e is not None), key=lambda e: e.order, default=None)


def _may_join(
    turn: Turn, parent: Execution, execution: Execution, line: list[str], ancestors: dict[str, None]
) -> bool:
    if execution.environment not in line:
        return False
    id, end = turn.state.end_of(execution.id)
    # To wait for what leads to an ancestor would close a circle.
    if execution.id in ancestors or id in ancestors:
        return False
    if end is None or isinstance(end.result, Returned):
        return True
    if isinstance(end.result, FINAL):
        return False
    return execution.environment == parent.environment or turn.state.is_active(
        execution.environment
    )


def _earlier_children(turn: Turn, previous: str) -> dict[MemoKey, list[Step]]:
    """The child steps of an attempt and of the chain that it ends, by memo key."""
    steps: dict[str, Step] = {}
    id: str | None = previous
    while id is not None and (attempt := turn.state.executions.get(id)) is not None:
        children = [turn.state.executions.get(child) for child in attempt.children]
        steps.update({c.step.id: c.step for c in children if c is not None})
        # One that reused and ended early left to its successor what it had not come to.
        id = attempt.predecessor if attempt.origin in CONTINUING else attempt.reuse
    found: dict[MemoKey, list[Step]] = {}
    for step in steps.values():
        shape = memo_shape(step.submission)[0]
        if shape is not None:
            found.setdefault(memo_place(turn.state, step.submission, shape), []).append(step)
    return found


def _has_value(turn: Turn, execution: Execution) -> bool:
    end = turn.state.end_of(execution.id)[1]
    return end is None or isinstance(end.result, Returned)

"""What a queued execution must wait for before it is ready (DL-2, and what a suspension awaits).

Belongs here: finding it out from the facts. Does not belong here: being told when it is there
(`scheduling`), running code that waits (`waiting`).
"""

from __future__ import annotations

from coflux.model import Returned, Submission
from coflux.server.core.entities import Execution
from coflux.server.core.state import State


def unresolved(state: State, execution: Execution) -> list[str]:
    """Handles that must be resolved first: the attempt's own, and those of `wait`."""
    own = [h for h in execution.gate if not state.is_resolved(h)]
    if execution.gate_first and len(own) < len(execution.gate):
        own = []
    return list(dict.fromkeys([*own, *_of_arguments(state, execution.step.submission)]))


def stopping(state: State, execution: Execution) -> Execution | None:
    """An earlier attempt there whose process may not be dead yet (ST-5)."""
    return next(
        (
            earlier
            for earlier in execution.step.stopping.values()
            if earlier.environment == execution.environment
            # A session that is over has taken its processes with it.
            and earlier.assigned_to in state.sessions
        ),
        None,
    )


def _of_arguments(state: State, submission: Submission) -> list[str]:
    wait = submission.options.wait
    if not wait:
        return []
    names = wait if isinstance(wait, tuple) else tuple(submission.arguments)
    todo = [r for n in names for r in submission.arguments[n].references if r.kind == "execution"]
    seen: dict[str, None] = {}
    found = []
    for reference in todo:  # grows while it is gone through
        handle = reference.id
        if handle in seen:
            continue
        seen[handle] = None
        end = state.end_of(handle)[1]
        if end is not None and end.result is None:
            found.append(handle)
        elif end is not None and isinstance(end.result, Returned):
            todo += [r for r in end.result.value.references if r.kind == "execution"]
    return found

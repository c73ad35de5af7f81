"""What an agent is told to run: arguments or the newest checkpoint, and the code (RC-5, CO-3).

Belongs here: making the instruction from the facts, the same each time it is sent. Does not belong
here: when it is sent.
"""

from __future__ import annotations

from coflux.model import Value
from coflux.server.core.effects import Execute
from coflux.server.core.entities import Execution
from coflux.server.core.state import State


def execute(state: State, execution: Execution) -> Execute:
    """What an agent is told to run."""
    submission = execution.step.submission
    saved = checkpoint(state, execution)
    session = state.sessions[execution.assigned_to or ""]
    definition = session.hosted((submission.repository, submission.target))
    return Execute(
        session.id, execution.id, submission.repository, submission.target, submission.type,
        submission.arguments if saved is None else saved, submission.options.timeout_ms,
        definition.pickle if definition else None, saved is not None, execution.code,
        execution.required_code is not None, _scheduled_at(state, execution),
        session.connection,
    )  # fmt: skip


def _scheduled_at(state: State, execution: Execution) -> int | None:
    """The instant that started the run, or the one that it was spawned for (SD-2)."""
    root = state.runs.get(execution.run.root, execution.run)
    return root.scheduled_at


def arguments(state: State, execution: Execution) -> dict[str, Value]:
    """What it is run with: the newest checkpoint, else the step's arguments."""
    saved = checkpoint(state, execution)
    return execution.step.submission.arguments if saved is None else saved


def checkpoint(state: State, execution: Execution) -> dict[str, Value] | None:
    """The newest checkpoint its environment or an ancestor wrote (RC-5)."""
    written = execution.step.checkpoints
    visible = [written[id] for id in state.lineage(execution.environment) if id in written]
    return dict(max(visible, key=lambda found: found[0])[1]) if visible else None

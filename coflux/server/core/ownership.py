"""Whether running code may ask something, and that it runs at all (ST-6, T7).

Belongs here: the check that every request of an execution passes first. Does not belong here: what
the request then does.
"""

from __future__ import annotations

from coflux.model import Suspended
from coflux.server.core.changes import Started
from coflux.server.core.effects import Abort
from coflux.server.core.entities import Execution
from coflux.server.core.events import Code
from coflux.server.core.statuses import Status
from coflux.server.core.turn import Turn


def owned(turn: Turn, to: Code) -> Execution | None:
    """The execution that a request comes from; None (and refused) when it may not ask."""
    execution = turn.state.executions.get(to.execution)
    if execution is None or execution.assigned_to != to.session:
        turn.refuse(to, "not_found", f"execution {to.execution} is not held by this session")
        return None
    if isinstance(execution.result, Suspended):
        # No answer: its code must not go on (WA-5). It may not have been told to stop yet.
        turn.send(Abort(to.session, execution.id, now=True))
        return None
    if execution.result is not None:
        turn.refuse(to, "conflict", f"execution {to.execution} has ended")
        return None
    if execution.status is Status.ASSIGNED:  # a request sent again may overtake the report
        began(turn, execution)
    return execution


def began(turn: Turn, execution: Execution) -> None:
    """Its process runs; from now on its timeout counts (TO-1)."""
    turn.record(Started(execution.id, turn.now))
    timeout = execution.step.submission.options.timeout_ms
    if timeout:
        turn.agenda.at(turn.now + timeout + turn.limits.slack_ms, "attempt", execution.id)

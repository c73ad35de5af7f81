"""Identities of code: which is current, and which is older (CO-5).

Belongs here: comparing what ran with what is hosted or registered now. Does not belong here: what
an identity is made from, and sessions that must run a certain one (`scheduling`).
"""

from __future__ import annotations

from coflux.server.core.entities import Execution
from coflux.server.core.state import State


def current(state: State, environment: str, repository: str, target: str) -> str | None:
    """The code that a target has in an environment now: of the newest agent, or as registered."""
    place = (repository, target)
    hosting = [
        session
        for session in state.sessions.values()
        if session.environment == environment
        and session.connection is not None
        and place in session.targets
    ]
    if hosting:
        newest = max(hosting, key=lambda session: (not session.draining, session.connected_at))
        return newest.targets[place].code
    found = state.environments.get(environment)
    definition = found.manifests.get(repository, {}).get(target) if found is not None else None
    return definition.code if definition is not None else None


def is_older(state: State, execution: Execution) -> bool:
    """Whether an execution's outcome comes of other code than the target has now."""
    _, end = state.end_of(execution.id)
    ran = execution.code or (end.code if end is not None else None)
    if ran is None:
        return False
    submission = execution.step.submission
    now = current(state, execution.environment, submission.repository, submission.target)
    return now is not None and now != ran

"""Two notebooks that claim one repository name (CO-3): who is told.

Belongs here: noticing that a claim is new, and the words. Which claim counts is decided where a
session's targets are looked up (`entities.Session.hosted`).
"""

from __future__ import annotations

from collections.abc import Mapping

from coflux.model import Definition
from coflux.server.core.effects import Notify
from coflux.server.core.entities import Session
from coflux.server.core.turn import Turn

Targets = Mapping[tuple[str, str], Definition]


def tell(turn: Turn, session: Session, before: Targets) -> None:
    """Tell both sides of each repository that a session claims anew, pickled, and others have."""
    for repository in _claimed(session.targets):
        if repository in _claimed(before):
            continue
        for other in turn.state.sessions.values():
            is_rival = other.environment == session.environment and other.connection is not None
            if other is session or not is_rival or repository not in _claimed(other.targets):
                continue
            turn.send(Notify(session.id, _words(repository, other, "this one's count")))
            turn.send(Notify(other.id, _words(repository, session, "that one's count")))


def _claimed(targets: Targets) -> dict[str, None]:
    """Repositories of pickled targets."""
    return {place[0]: None for place, each in targets.items() if each.pickle is not None}


def _words(repository: str, rival: Session, whose: str) -> str:
    return (
        f"another notebook serves the repository {repository} as well (session {rival.id}, process"
        f" {rival.pid} on {rival.host}); of targets that both have {whose} until the other's"
        " change; `%coflux connect --repository NAME` gives a notebook a name of its own"
    )

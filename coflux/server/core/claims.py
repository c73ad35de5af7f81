"""Pickled targets and who claims their names: the newest counts, and both sides are told (CO-3).

Belongs here: which claim is recorded, noticing that one is new, and the words. What follows for a
session is looked up where it is asked for (`entities.Session.hosted`).
"""

from __future__ import annotations

from collections.abc import Mapping

from coflux.model import Definition
from coflux.server.core.changes import TargetPickled
from coflux.server.core.effects import Notify
from coflux.server.core.entities import Session
from coflux.server.core.turn import Turn

Place = tuple[str, str]
Targets = Mapping[Place, Definition]


def settle(turn: Turn, session: Session, before: Targets, *, is_anew: bool) -> None:
    """A session has announced its targets; `before` are those it had until now.

    `is_anew`: it says so for the first time, and not only because the connection is a new one.
    """
    for place in {**before, **session.targets}:
        after = session.targets.get(place)
        if after is not None and after.pickle is not None:
            _claim(turn, session, place, after, is_anew and before.get(place) != after)
        else:
            _give_up(turn, session, place, after, is_anew and before.get(place) != after)
    if is_anew:
        _tell(turn, session, before)


def _claim(turn: Turn, session: Session, place: Place, after: Definition, is_news: bool) -> None:
    known = session.pickles.get(place)
    if known is not None and known.definition == after:
        if known.owner is None:
            _record(turn, session, place, after)
    elif known is None or known.owner == session.id or is_news:
        _record(turn, session, place, after)


def _give_up(
    turn: Turn, session: Session, place: Place, after: Definition | None, is_news: bool
) -> None:
    known = session.pickles.get(place)
    if known is None or not is_news:
        return
    # It can be imported now, or its notebook has it no more.
    if after is not None or known.owner == session.id:
        _record(turn, session, place, None)


def _record(turn: Turn, session: Session, place: Place, definition: Definition | None) -> None:
    turn.record(
        TargetPickled(session.environment, *place, definition, session.python, session.id, turn.now)
    )


def _tell(turn: Turn, session: Session, before: Targets) -> None:
    """Tell both sides of each repository that a session claims anew, and others have."""
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

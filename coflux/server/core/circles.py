"""Who waits for whom, so that nobody comes to wait for himself (WA-11).

Belongs here: following waits, gates and links from one execution to the next. Does not belong here:
what is done about a circle.
"""

from __future__ import annotations

from collections.abc import Iterable

from coflux.server.core import gates
from coflux.server.core.state import State
from coflux.server.core.statuses import Status


def closed_by(state: State, execution: str, handles: Iterable[str]) -> list[str]:
    """The ids of the circle that closes if the execution waits for the handles, or nothing."""
    came_from: dict[str, str] = {}
    todo = list(_ends(state, handles))
    for id in todo:
        came_from.setdefault(id, execution)
    while todo:
        id = todo.pop()
        if id == execution:
            return _path(came_from, id)
        for following in waits_for(state, id):
            if following not in came_from:
                came_from[following] = id
                todo.append(following)
    return []


def waits_for(state: State, id: str) -> list[str]:
    """The unresolved executions that an unresolved execution cannot go on without."""
    execution = state.executions.get(id)
    if execution is None:
        return []
    handles = [h for wait in execution.waits.values() for h in wait.left]
    if execution.status is Status.QUEUED:
        handles += gates.unresolved(state, execution)
    return _ends(state, handles)


def _ends(state: State, handles: Iterable[str]) -> list[str]:
    ends = [state.end_of(handle) for handle in handles]
    return [id for id, end in ends if end is not None and end.result is None]


def _path(came_from: dict[str, str], id: str) -> list[str]:
    path = [id]
    while came_from[path[-1]] != id:
        path.append(came_from[path[-1]])
    return [id, *reversed(path)]

"""What may be removed: families of finished runs, the oldest first, that nothing kept reaches.

Belongs here: the decision from facts, and its last check against what is live. What is reached is
computed anew each time, never counted. Does not belong here: finding the facts and removing rows
(`store.removal`), when it is done (`project.collecting`).

A family is a run with all that it spawned: its runs stay and go together, so that a step never
loses its child run, nor a child run the step that spawned it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from coflux.server.core.changes import RunsRemoved
from coflux.server.core.components import components
from coflux.server.core.effects import Confirm
from coflux.server.core.entities import Run, attempts
from coflux.server.core.events import RemovalProposed
from coflux.server.core.state import State
from coflux.server.core.turn import Turn


class Family(NamedTuple):
    """A run at the top with all below it; instants in ms UTC."""

    root: str
    runs: tuple[str, ...]
    #: When the last of its runs ended; None = it must stay, whatever its age.
    ended_at: int | None
    #: Until when it stays because of its age; None = for ever.
    kept_until: int | None
    environment: str = ""
    #: Bytes that are only its own, and the blobs that it reaches.
    size: int = 0
    blobs: frozenset[str] = frozenset()


def removable(
    families: Collection[Family],
    links: Iterable[tuple[str, str]],
    now: int,
    limits: Mapping[str, int] | None = None,
    blob_sizes: Mapping[str, int] | None = None,
) -> list[list[Family]]:
    """The families that may go, in groups of those that reach each other (DM-2).

    The longest ended come first, but none before those that reach it: so what is there has all that
    it reaches, also when only some of them have gone.

    `links`: pairs of runs, of which the first reaches the second. `limits`: bytes that the families
    of an environment may take together; an environment without one has no limit.
    """
    doomed = {each.root: each for each in families if _is_over(each, now)}
    for environment, limit in (limits or {}).items():
        there = [each for each in families if each.environment == environment]
        doomed.update((each.root, each) for each in too_many(there, limit, blob_sizes or {}))
    reaching = _reaching(families, links)
    for root in _reached(reaching, doomed):
        doomed.pop(root, None)
    oldest = sorted(doomed, key=lambda root: (doomed[root].ended_at or 0, root))
    before: dict[str, dict[str, None]] = {}
    for root in oldest:
        for other in reaching.get(root, ()):
            if other in doomed:
                before.setdefault(other, {})[root] = None
    return [[doomed[root] for root in group] for group in components(oldest, before)]


def too_many(families: Iterable[Family], limit: int, blob_sizes: Mapping[str, int]) -> list[Family]:
    """The oldest of them, those beyond the newest that fit into so many bytes together.

    Those that must stay take their room first; a blob counts once.
    """
    seen: set[str] = set()
    left = limit
    found: list[Family] = []
    for each in sorted(families, key=lambda f: (f.ended_at is None, f.ended_at or 0), reverse=True):
        new = each.blobs - seen
        seen |= new
        left -= each.size + sum(blob_sizes.get(blob, 0) for blob in new)
        if left < 0 and each.ended_at is not None:
            found.append(each)
    return found


def _is_over(family: Family, now: int) -> bool:
    return (
        family.ended_at is not None and family.kept_until is not None and family.kept_until <= now
    )


def _reaching(
    families: Iterable[Family], links: Iterable[tuple[str, str]]
) -> dict[str, dict[str, None]]:
    """Which family reaches which others, by roots."""
    roots = {run: each.root for each in families for run in each.runs}
    found: dict[str, dict[str, None]] = {}
    for start, end in links:
        if start in roots and end in roots and roots[start] != roots[end]:
            found.setdefault(roots[start], {})[roots[end]] = None
    return found


def _reached(reaching: Mapping[str, Iterable[str]], doomed: Collection[str]) -> set[str]:
    """Roots of those doomed that a kept one leads to, over any number of links."""
    todo = [root for root in reaching if root not in doomed]
    reached: set[str] = set()
    while todo:
        for root in reaching.get(todo.pop(), ()):
            if root in doomed and root not in reached:
                reached.add(root)
                todo.append(root)
    return reached


def needed(state: State) -> set[str]:
    """Runs that stay whatever their age, as far as is known without reading them: those pinned, and
    the newest run of each schedule."""
    newest = (schedule.run for schedule in state.schedules.values())
    return {*state.pinned, *(run for run in newest if run is not None)}


def proposed(turn: Turn, event: RemovalProposed) -> None:
    """Remove these families and assets, all or none: none if one of them is needed after all."""
    wanted = needed(turn.state)
    if any(run in wanted or _is_in_use(turn.state, run, event) for run in event.runs):
        turn.send(Confirm(event.to, {"removed": False}))
        return
    for run in event.runs:
        turn.agenda.last_assigned.pop(run, None)
    turn.record(RunsRemoved(event.runs, turn.now, event.entries, event.keys, event.assets))
    turn.send(Confirm(event.to, {"removed": True}))


def _is_in_use(state: State, id: str, event: RemovalProposed) -> bool:
    """Whether a run in memory goes on, is asked something, or is led to by what stays."""
    run: Run | None = state.runs.get(id)
    if run is None:
        return False
    is_asked = any(asked.is_open for asked in run.inputs.values())
    if run.status is not None and not is_asked and not run.stopping:
        return run.pins > 0 and run.pins > _pinned_by_them(state, id, event)
    return True


def _pinned_by_them(state: State, root: str, event: RemovalProposed) -> int:
    """How many links that lead to a family are of others that go with it."""
    going = [run for run in event.runs if run in state.families and run != root]
    return sum(
        execution.pinned == root
        for other in going
        for run in state.families[other]
        for execution in attempts(state.runs[run])
    )

"""Links to executions elsewhere, and what becomes of them when those end badly (CA-9, DF-4, T22).

Belongs here: following a leader until it ends for good. Does not belong here: when a link is made
(`caching`, `deferral`, `scheduling`).
"""

from __future__ import annotations

from coflux.model import Abandoned, Cached, Cancelled, Crashed, Deferred, Result, TimedOut
from coflux.server.core import deferral, results
from coflux.server.core.agenda import Waiter
from coflux.server.core.entities import Execution
from coflux.server.core.turn import Turn

#: Outcomes of a leader that are not its followers' (CA-9).
BREAKING = (Cancelled, Abandoned, Crashed, TimedOut)


def breaks(follower: Execution, result: Result | None) -> bool:
    """Whether this end of what a link leads to is not the follower's as well (CA-9, DF-4)."""
    kinds = Cancelled if isinstance(follower.result, Deferred) else BREAKING
    return isinstance(result, kinds)


def follow(turn: Turn, follower: Execution) -> None:
    """Be told when the chain of the one that a link leads to ends."""
    assert isinstance(follower.result, Cached | Deferred)
    leader = follower.result.execution
    end_id, end = turn.state.end_of(leader)
    if end is None:
        turn.agenda.unfollow(follower)
    elif end.result is None:
        turn.agenda.follow(follower)
        turn.agenda.watch(end_id, Waiter("follow", follower.id, 0, leader))
    else:
        settle(turn, follower, end.result)


def settle(turn: Turn, follower: Execution, result: Result | None) -> None:
    """A leader ended for good: keep the link, or break it."""
    turn.agenda.unfollow(follower)
    if follower.link_successor is not None:
        return
    old_end = turn.state.end_of(follower.id)[0]
    if breaks(follower, result):
        if isinstance(follower.result, Deferred):
            deferral.relink(turn, follower)
        else:
            deferral.enter(turn, results.relink(turn, follower))
    deferral.moved(turn, old_end)


def moved(turn: Turn, old_end: str) -> None:
    """A link that led to this execution leads elsewhere now: waiters and keys go along."""
    turn.agenda.move(turn.state, old_end)
    deferral.moved(turn, old_end)

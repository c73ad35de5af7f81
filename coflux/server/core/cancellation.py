"""Cancelling: nothing of it runs on, whatever attempt one happens to name (CN).

Belongs here: what is covered, and ending it. Does not belong here: stopping processes (agents).
"""

from __future__ import annotations

from collections.abc import Iterable

from coflux.model import Cached, Cancelled, Deferred, Spawned
from coflux.server.core import inputs, links, results
from coflux.server.core.changes import ExecutionCreated, LinkSucceeded
from coflux.server.core.effects import Confirm
from coflux.server.core.entities import Execution, Input, Step, attempts
from coflux.server.core.events import CancelRequested, Code
from coflux.server.core.ids import parse
from coflux.server.core.ownership import owned
from coflux.server.core.state import State
from coflux.server.core.turn import Turn

#: Cause of what a select cancels because another handle was resolved first.
LOST = "another won the select"
#: A step as seen from one environment.
Place = tuple[str, str]


def requested(turn: Turn, event: CancelRequested) -> None:
    """Somebody wants something cancelled."""
    requester = owned(turn, event.to) if isinstance(event.to, Code) else None
    if isinstance(event.to, Code) and requester is None:
        return
    named: list[Execution] = []
    asked = [turn.state.inputs[id] for id in event.ids if id in turn.state.inputs]
    for id in event.ids:
        found = [] if id in turn.state.inputs else _named(turn, id, event.environment)
        if found is None:
            turn.refuse(event.to, "not_found", f"there is no {id!r}.", "id")
            return
        named += found
    covered = cover(turn, named)
    allowed = (requester.environment,) if requester is not None else event.allowed
    forbidden = _first_outside([*covered, *asked], allowed)
    if forbidden is not None:
        turn.refuse(event.to, "forbidden", f"{forbidden.id} may not be cancelled from here")
        return
    by = event.to.execution if isinstance(event.to, Code) else event.to.by
    ended = [i for i in asked if i.is_open]
    cancel(turn, covered, by, "requested")
    inputs.cancel(turn, ended, by, "requested")
    cancelled = [*(e.id for e in covered), *(i.id for i in ended)]
    turn.send(Confirm(event.to, {"cancelled": cancelled}))


def cover(turn: Turn, named: Iterable[Execution], spare_memos: bool = False) -> list[Execution]:
    """Every unfinished execution that goes with those named (CN-2, CN-3), in order."""
    return _cover(turn, [(e.step, e.environment) for e in named], {}, spare_memos)


def cancel(turn: Turn, executions: Iterable[Execution], by: str, cause: str) -> None:
    """End them all in this commit, without successors (CN-4, CN-5)."""
    found = [e for e in executions if _can_be_cancelled(turn, e)]
    # Followers first: the end of a leader among them must not start them anew (CA-9).
    for execution in found:
        if execution.result is not None:
            _cancel_link(turn, execution, by, cause)
    for execution in found:
        if execution.result is None:
            results.stop(turn, execution, Cancelled(by, cause), by=by)


def cancel_descendants(
    turn: Turn, execution: Execution, by: str, cause: str, spare_memos: bool = False
) -> None:
    """What a parent takes with it (TO-3, RR-2)."""
    step, environment = execution.step, execution.environment
    places = {(step.id, environment): step}
    below = _below(turn, step, environment, places, {}, spare_memos)
    covered = _cover(turn, below, places, spare_memos)
    cancel(turn, [e for e in covered if e.step is not step], by, cause)


def cancel_others(turn: Turn, execution: Execution, handles: Iterable[str], winner: str) -> None:
    """The losers of a select, as far as its execution may cancel them (WA-7, CN-6)."""
    losers: list[Execution] = []
    for handle in handles:
        loser = turn.state.executions.get(handle)
        if handle == winner or loser is None or turn.state.is_resolved(handle):
            continue
        chain = _chain(loser)
        if _first_outside(cover(turn, chain), (execution.environment,)) is None:
            losers += chain
    # All at once: one may follow what goes with another, and must not start anew (CA-9).
    cancel(turn, cover(turn, losers), execution.id, LOST)


def is_loser(state: State, execution: Execution, handle: str) -> bool:
    """Whether a select of this step has cancelled what a handle leads to."""
    end = state.end_of(handle)[1]
    result = end.result if end is not None else None
    if not isinstance(result, Cancelled) or result.cause != LOST:
        return False
    return result.by.rpartition(":")[0] == execution.step.id


def _cover(
    turn: Turn, todo: list[tuple[Step, str]], places: dict[Place, Step], spare_memos: bool
) -> list[Execution]:
    spared: dict[Place, Step] = {}
    while todo:
        for step, environment in todo:  # grows while it is gone through
            if (step.id, environment) in places:
                continue
            places[step.id, environment] = step
            todo += _below(turn, step, environment, places, spared, spare_memos)
        # All chains that share it may be covered by now, also those of other environments (CN-3).
        todo = [
            (step, place[1])
            for place, step in spared.items()
            if place not in places and not _is_shared(turn, step, places)
        ]
    return [
        execution
        for (_, environment), step in places.items()
        for execution in step.executions
        if execution.environment == environment and _can_be_cancelled(turn, execution)
    ]


def _named(turn: Turn, id: str, environment_name: str | None) -> list[Execution] | None:
    """What an id stands for (CN-1), or None when there is no such thing."""
    parts = parse(id)
    run = turn.state.runs.get(parts.run) if parts is not None else None
    if parts is None or run is None:
        return None
    step = run.steps.get(parts.step) if parts.step is not None else None
    if parts.step is not None and step is None:
        return None
    if step is not None and parts.attempt is not None:
        is_there = parts.attempt <= len(step.executions)
        return _chain(step.executions[parts.attempt - 1]) if is_there else None
    everything = list(attempts(run)) if step is None else list(step.executions)
    if environment_name is None:
        return everything
    environment = turn.state.environment_named(environment_name)
    if environment is None:
        return None
    return [e for e in everything if e.environment == environment.id]


def _chain(execution: Execution) -> list[Execution]:
    """All attempts of its step in its environment: the live end of its chain is among them."""
    return [e for e in execution.step.executions if e.environment == execution.environment]


def _first_outside(
    executions: Iterable[Execution | Input], environments: tuple[str, ...] | None
) -> Execution | Input | None:
    if environments is None:
        return None
    return next((e for e in executions if e.environment not in environments), None)


def _below(
    turn: Turn, step: Step, environment: str, places: dict[Place, Step],
    spared: dict[Place, Step], spare_memos: bool,
) -> list[tuple[Step, str]]:  # fmt: skip
    found: dict[Place, Step] = {}
    for execution in step.executions:
        if execution.environment != environment:
            continue
        for child_id in execution.children:
            child = turn.state.executions.get(child_id)
            if child is None or child.environment != environment:
                continue
            if spare_memos and child.step.memo_key is not None:
                continue
            if _is_shared(turn, child.step, places):
                spared[child.step.id, environment] = child.step
                continue
            found[child.step.id, environment] = child.step
        spawned = _spawned(turn, execution)
        if spawned is not None:
            found[spawned.step.id, environment] = spawned.step
    return [(s, environment) for s in found.values()]


def _spawned(turn: Turn, execution: Execution) -> Execution | None:
    if not isinstance(execution.result, Spawned):
        return None
    return turn.state.executions.get(execution.result.execution)


def _is_shared(turn: Turn, child: Step, places: dict[Place, Step]) -> bool:
    """Whether an unfinished chain outside what is covered also has it as a child (CN-3)."""
    for parent_id in child.parents:
        parent = turn.state.executions.get(parent_id)
        if parent is None or (parent.step.id, parent.environment) in places:
            continue
        if not turn.state.is_resolved(parent.id):
            return True
    return False


def _can_be_cancelled(turn: Turn, execution: Execution) -> bool:
    if execution.result is None:
        return True
    if not isinstance(execution.result, Cached | Deferred) or execution.link_successor is not None:
        return False
    end = turn.state.end_of(execution.id)[1]
    # Or it is about to break, because its leader has been lost in this very turn.
    return end is not None and (end.result is None or links.breaks(execution, end.result))


def _cancel_link(turn: Turn, execution: Execution, by: str, cause: str) -> None:
    """A follower is cancelled without its leader: its link leads to a cancelled attempt (CA-8)."""
    attempt = ExecutionCreated(
        execution.step.next_id(), execution.environment, "relink", turn.now, turn.now,
        predecessor=execution.id, by=by,
    )  # fmt: skip
    old_end = turn.state.end_of(execution.id)[0]
    turn.record(attempt)
    turn.record(LinkSucceeded(execution.id, attempt.execution, turn.now))
    turn.agenda.unfollow(execution)
    links.moved(turn, old_end)
    results.end(turn, turn.state.executions[attempt.execution], Cancelled(by, cause), by=by)

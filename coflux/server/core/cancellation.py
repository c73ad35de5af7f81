"""Cancelling: nothing of it runs on, whatever attempt one happens to name (CN).

Belongs here: what is covered, and ending it. Does not belong here: stopping processes (agents).
"""

from __future__ import annotations

from collections.abc import Iterable

from coflux.model import Cached, Cancelled, Deferred, Spawned
from coflux.server.core import results, waiting
from coflux.server.core.changes import ExecutionCreated, LinkSucceeded
from coflux.server.core.effects import Confirm
from coflux.server.core.entities import Execution, Run, Step, attempts
from coflux.server.core.events import CancelRequested, Code
from coflux.server.core.turn import Turn

#: A step as seen from one environment.
Place = tuple[str, str]


def requested(turn: Turn, event: CancelRequested) -> None:
    """Somebody wants something cancelled."""
    by = event.to.by if not isinstance(event.to, Code) else event.to.execution
    requester = waiting.owned(turn, event.to) if isinstance(event.to, Code) else None
    if isinstance(event.to, Code) and requester is None:
        return
    named: list[Execution] = []
    for id in event.ids:
        found = _named(turn, id, event.environment)
        if found is None:
            turn.refuse(event.to, "not_found", f"there is no {id}")
            return
        named += found
    covered = cover(turn, named)
    allowed = (requester.environment,) if requester is not None else event.allowed
    forbidden = next((e for e in covered if allowed and e.environment not in allowed), None)
    if forbidden is not None:
        turn.refuse(event.to, "forbidden", f"{forbidden.id} may not be cancelled from here")
        return
    cancel(turn, covered, by, "requested")
    turn.send(Confirm(event.to, {"cancelled": [e.id for e in covered]}))


def cover(turn: Turn, named: Iterable[Execution], spare_memos: bool = False) -> list[Execution]:
    """Every unfinished execution that goes with those named (CN-2, CN-3), in order."""
    places: dict[Place, Step] = {}
    todo = [(e.step, e.environment) for e in named]
    while todo:
        step, environment = todo.pop(0)
        if (step.id, environment) in places:
            continue
        places[step.id, environment] = step
        todo += _below(turn, step, environment, places, spare_memos)
    return [
        execution
        for (_, environment), step in places.items()
        for execution in step.executions
        if execution.environment == environment and _can_be_cancelled(turn, execution)
    ]


def cancel(turn: Turn, executions: Iterable[Execution], by: str, cause: str) -> None:
    """End them all in this commit, without successors (CN-4, CN-5)."""
    for execution in executions:
        if execution.result is None:
            results.stop(turn, execution, Cancelled(by, cause), by=by)
        elif _can_be_cancelled(turn, execution):
            _cancel_link(turn, execution, by, cause)


def cancel_descendants(
    turn: Turn, execution: Execution, by: str, cause: str, spare_memos: bool = False
) -> None:
    """What a parent takes with it (TO-3, RR-2)."""
    below = _below(turn, execution.step, execution.environment, {}, spare_memos)
    found = [step.latest(environment) for step, environment in below]
    covered = cover(turn, [e for e in found if e is not None], spare_memos)
    cancel(turn, [e for e in covered if e.step is not execution.step], by, cause)


def _named(turn: Turn, id: str, environment_name: str | None) -> list[Execution] | None:
    """What an id stands for (CN-1)."""
    run_id, _, rest = id.partition(":")
    run = turn.state.runs.get(run_id)
    if run is None:
        return None
    if not rest:
        return _of_run(turn, run, environment_name)
    number, _, attempt = rest.partition(":")
    step = run.steps.get(int(number)) if number.isdigit() else None
    if step is None or (attempt and not _has_attempt(step, attempt)):
        return None
    if not attempt:
        return step.executions
    return [e for e in step.executions if e.environment == step.executions[
        int(attempt) - 1].environment]  # fmt: skip


def _of_run(turn: Turn, run: Run, environment_name: str | None) -> list[Execution]:
    everything = list(attempts(run))
    if environment_name is None:
        return everything
    found = turn.state.environment_named(environment_name)
    return [e for e in everything if found is not None and e.environment == found.id]


def _below(
    turn: Turn, step: Step, environment: str, places: dict[Place, Step], spare_memos: bool
) -> list[tuple[Step, str]]:
    found: dict[Place, Step] = {}
    for execution in step.executions:
        if execution.environment != environment:
            continue
        for child_id in execution.children:
            child = turn.state.executions.get(child_id)
            if child is None or child.environment != environment:
                continue
            if _is_shared(turn, child.step, environment, step, places):
                continue
            if spare_memos and child.step.memo_key is not None:
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


def _is_shared(
    turn: Turn, child: Step, environment: str, covered: Step, places: dict[Place, Step]
) -> bool:
    """Whether an unfinished chain outside what is covered also has it as a child (CN-3)."""
    for parent_id in child.parents:
        parent = turn.state.executions.get(parent_id)
        if parent is None or parent.step is covered:
            continue
        if (parent.step.id, parent.environment) in places:
            continue
        if not turn.state.is_resolved(parent.id):
            return True
    return False


def _can_be_cancelled(turn: Turn, execution: Execution) -> bool:
    if execution.result is None:
        return True
    is_open_link = isinstance(execution.result, Cached | Deferred)
    return (
        is_open_link
        and execution.link_successor is None
        and not turn.state.is_resolved(execution.id)
    )


def _cancel_link(turn: Turn, execution: Execution, by: str, cause: str) -> None:
    """A follower is cancelled without its leader: its link leads to a cancelled attempt (CA-8)."""
    attempt = ExecutionCreated(
        execution.step.next_id(), execution.environment, "relink", turn.now, turn.now,
        predecessor=execution.id, by=by,
    )  # fmt: skip
    old_end = turn.state.end_of(execution.id)[0]
    turn.record(attempt)
    turn.record(LinkSucceeded(execution.id, attempt.execution, turn.now))
    turn.agenda.move(turn.state, old_end)
    results.end(turn, turn.state.executions[attempt.execution], Cancelled(by, cause), by=by)


def _has_attempt(step: Step, attempt: str) -> bool:
    return attempt.isdigit() and 1 <= int(attempt) <= len(step.executions)

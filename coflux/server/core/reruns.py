"""Running a step again, and giving it a result by hand (RR, T18, T19, T22).

Belongs here: where it is allowed, what the new attempt replaces. Does not belong here: what its
children do (memo and reuse are `memo`'s).
"""

from __future__ import annotations

from coflux.model import LINKS, Raised, Returned, Spawned, Superseded
from coflux.server.core import cancellation, links, results
from coflux.server.core.changes import ExecutionCreated, LinkSucceeded
from coflux.server.core.effects import Submitted
from coflux.server.core.entities import Environment, Execution, Step
from coflux.server.core.events import Caller, RerunRequested, ResultSet
from coflux.server.core.ids import parse
from coflux.server.core.submission import find_environment
from coflux.server.core.turn import Turn


def requested(turn: Turn, event: RerunRequested) -> None:
    """Somebody wants a step run again with its saved arguments."""
    place = _place(turn, event)
    if place is None:
        return
    step, environment, named = place
    previous = _visible(turn, step, environment.id) or step.executions[-1]
    code = _code_of(turn, named or previous) if event.original else None
    if event.original and code is None:
        message = f"which code {(named or previous).id} ran is not known, so it cannot be run again"
        turn.refuse(event.to, "conflict", f"{message}; leave out `original`", "original")
        return
    attempt = ExecutionCreated(
        step.next_id(), environment.id, "rerun", turn.now, turn.now, predecessor=previous.id,
        code=code, reuse=previous.id if event.reuse else None, by=event.to.by,
    )  # fmt: skip
    _replace(turn, step, environment, attempt, f"re-run as {attempt.execution}")
    turn.send(Submitted(event.to, (attempt.execution,)))


def result_set(turn: Turn, event: ResultSet) -> None:
    """Somebody gives a step a value or an error, with a reason (RR-5)."""
    if not isinstance(event.result, Returned | Raised):
        turn.refuse(event.to, "invalid", "a result set by hand is a value or an error", "result")
        return
    if not event.reason.strip():
        turn.refuse(event.to, "invalid", "say why: the reason is shown with the result", "reason")
        return
    place = _place(turn, event)
    if place is None:
        return
    step, environment, _ = place
    latest = _visible(turn, step, environment.id)
    end = turn.state.end_of(latest.id)[1] if latest is not None else None
    if latest is not None and (end is None or isinstance(end.result, Returned)):
        turn.refuse(event.to, "conflict", f"step {step.id} has a value already ({latest.id})")
        return
    attempt = ExecutionCreated(
        step.next_id(), environment.id, "manual", turn.now, turn.now,
        predecessor=latest.id if latest else None, by=event.to.by,
    )  # fmt: skip
    execution = _replace(turn, step, environment, attempt, f"result set as {attempt.execution}")
    results.end(turn, execution, event.result, by=event.to.by, reason=event.reason)
    turn.send(Submitted(event.to, (execution.id,)))


def base_of(turn: Turn, step: Step) -> str:
    """A step's base: the environment of its parent execution, else of its first."""
    parent = turn.state.executions.get(step.parent or "")
    return parent.environment if parent is not None else step.executions[0].environment


def _place(
    turn: Turn, event: RerunRequested | ResultSet
) -> tuple[Step, Environment, Execution | None] | None:
    """The step, the environment and the attempt that is named, or a refusal (RR table)."""
    found = _find(turn, event.id)
    if found is None:
        turn.refuse(event.to, "not_found", f"there is no {event.id!r}.", "id")
        return None
    step, named = found
    base = turn.state.environments[base_of(turn, step)]
    environment = find_environment(turn, event.to, event.environment) if event.environment else base
    if environment is None or not _is_permitted(turn, event, environment, base):
        return None
    return step, environment, named


def _is_permitted(
    turn: Turn, event: RerunRequested | ResultSet, environment: Environment, base: Environment
) -> bool:
    if environment.state == "archived":
        return _no(turn, event.to, "not_found", f"environment {environment.name!r} is archived")
    if event.allowed is not None and environment.id not in event.allowed:
        return _no(turn, event.to, "forbidden", f"no right to run in {environment.name!r}")
    line = turn.state.lineage(environment.id)
    if base.id in line:
        return True
    lineage = " → ".join(turn.state.environments[id].name for id in line)
    message = (
        f"step {event.id} belongs to environment {base.name!r} and can be run again there or in "
        f"environments based on it; the lineage of {environment.name!r} is {lineage}"
    )
    return _no(turn, event.to, "invalid", message)


def _no(turn: Turn, to: Caller, code: str, message: str) -> bool:
    turn.refuse(to, code, message, "environment")
    return False


def _find(turn: Turn, id: str) -> tuple[Step, Execution | None] | None:
    parts = parse(id)
    step = turn.state.step(parts.run, parts.step or 1) if parts is not None else None
    if parts is None or step is None or (parts.attempt or 1) > len(step.executions):
        return None
    return step, step.executions[parts.attempt - 1] if parts.attempt is not None else None


def _visible(turn: Turn, step: Step, environment: str) -> Execution | None:
    """The latest attempt seen from an environment (RR-6)."""
    line = turn.state.lineage(environment)
    return next((e for e in reversed(step.executions) if e.environment in line), None)


def _code_of(turn: Turn, execution: Execution) -> str | None:
    """The identity of the code it ran, or that of what its links lead to."""
    end = turn.state.end_of(execution.id)[1]
    return execution.code or (end.code if end is not None else None)


def _replace(
    turn: Turn, step: Step, environment: Environment, attempt: ExecutionCreated, cause: str
) -> Execution:
    current = step.latest(environment.id)
    by = attempt.by
    if current is None or (current.result is not None and not _is_open_link(turn, current)):
        return results.create(turn, attempt)
    if current.result is None:  # T18
        cancellation.cancel_descendants(turn, current, by, cause, spare_memos=True)
        results.stop(turn, current, Superseded(), successor=attempt.execution, by=by, reason=cause)
        return results.create(turn, attempt)
    old_end = turn.state.end_of(current.id)[0]  # T22
    execution = results.create(turn, attempt)
    turn.record(LinkSucceeded(current.id, attempt.execution, turn.now))
    turn.agenda.unfollow(current)
    links.moved(turn, old_end)
    if isinstance(current.result, Spawned):
        child = turn.state.executions[current.result.execution]
        cancellation.cancel(turn, cancellation.cover(turn, [child]), by, cause)
    return execution


def _is_open_link(turn: Turn, execution: Execution) -> bool:
    if not isinstance(execution.result, LINKS) or execution.link_successor is not None:
        return False
    return not turn.state.is_resolved(execution.id)

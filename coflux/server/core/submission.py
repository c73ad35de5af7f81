"""Calls become runs and steps (SU, T1).

Belongs here: what a submission makes, idempotency, fit to the manifest. Does not belong here: when
it runs (`scheduling`).
"""

from __future__ import annotations

import difflib
from typing import Any

from coflux.model import Definition, Group, Reference, Submission, run_of
from coflux.server.core import bounds, caps, deferral, memo, waiting
from coflux.server.core.changes import (
    ChildJoined,
    GroupNamed,
    RunCreated,
    StepCreated,
)
from coflux.server.core.effects import Submitted
from coflux.server.core.entities import Environment, Execution, Wait
from coflux.server.core.events import Requester, RunRequested, StepsRequested
from coflux.server.core.keys import defer_shape, memo_shape
from coflux.server.core.ownership import owned
from coflux.server.core.turn import Turn


def run_requested(turn: Turn, event: RunRequested) -> None:
    """A client wants a run (SU-2 to SU-4)."""
    environment = find_environment(turn, event.to, event.environment)
    if environment is None or _known_key(turn, event, environment):
        return
    if not _is_sound(turn, event.to, event.submission):
        return
    execution = start(
        turn, environment, event.submission, event.to.by, idempotency_key=event.idempotency_key,
        fingerprint=event.fingerprint,
    )  # fmt: skip
    turn.send(Submitted(event.to, (execution.id,)))


def start(
    turn: Turn, environment: Environment, submission: Submission, by: str, **more: Any
) -> Execution:
    """Make a run; `more` are further fields of `RunCreated`."""
    run = turn.source.id("R")
    turn.record(
        RunCreated(
            run, environment.id, submission.repository, submission.target, by, turn.now,
            memo=bool(submission.options.memo), requires=submission.options.requires,
            priority=submission.options.priority or 0, **more,
        )
    )  # fmt: skip
    due_at = turn.now + submission.options.delay_ms
    note = "; ".join(_undeferrable(submission)) or None
    turn.record(StepCreated(run, 1, submission, environment.id, due_at, turn.now, memo_note=note))
    execution = turn.state.runs[run].steps[1].executions[0]
    turn.agenda.schedule(execution)
    deferral.enter(turn, execution)
    return execution


def steps_requested(turn: Turn, event: StepsRequested) -> None:
    """Running code calls targets, in order, all or none (SU-5, SU-10)."""
    parent = owned(turn, event.to)
    if parent is None:
        return
    made = parent.requests.get(event.to.key)
    if made is None:
        if not _is_small_enough(turn, event) or not all(
            _is_sound(turn, event.to, s) for s in event.submissions
        ):
            return
        cap = caps.passed_by(turn, parent, len(event.submissions))
        if cap is not None:
            caps.hold(turn, event, parent, cap)
            return
        for index, submission in enumerate(event.submissions):
            _call(turn, parent, submission, (event.to.key, index))
        made = parent.requests.get(event.to.key, [])
    if event.wait:
        _wait_for(turn, parent, event.to.key, tuple(made))
    else:
        turn.send(Submitted(event.to, tuple(made)))


def find_environment(turn: Turn, to: Requester, name: str) -> Environment | None:
    """The environment, or a refusal that names the nearest (ID-6)."""
    found = turn.state.environment_named(name)
    if found is None:
        names = [e.name for e in turn.state.environments.values() if e.state != "archived"]
        turn.refuse(
            to, "not_found", f"there is no environment {name!r}" + nearest(name, names),
            "environment",
        )  # fmt: skip
    return found


def nearest(name: str, names: list[str]) -> str:
    """`; did you mean 'x'?` where a name is close."""
    close = difflib.get_close_matches(name, names, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def find_definition(
    environment: Environment, repository: str, target: str
) -> tuple[Definition | None, str]:
    """The registered target, or the reason why there is none with the nearest name (SU-2)."""
    definitions = environment.manifests.get(repository)
    if definitions is None:
        hint = nearest(repository, list(environment.manifests))
        return None, f"no repository {repository!r} is registered in {environment.name}{hint}"
    if target not in definitions:
        hint = nearest(target, list(definitions))
        return None, f"repository {repository!r} has no workflow {target!r}{hint}"
    return definitions[target], ""


def _known_key(turn: Turn, event: RunRequested, environment: Environment) -> bool:
    if event.idempotency_key is None:
        return False
    known = turn.state.idempotency.get((environment.id, event.idempotency_key))
    if known is None or turn.now - known[2] > turn.limits.idempotency_ms:
        return False
    if known[1] != event.fingerprint:
        message = f"idempotency key {event.idempotency_key!r} was used for another request"
        turn.refuse(event.to, "conflict", f"{message} (run {known[0]})", "idempotency_key")
    else:
        turn.send(Submitted(event.to, (f"{known[0]}:1:1",), is_new=False))
    return True


def _is_small_enough(turn: Turn, event: StepsRequested) -> bool:
    count, limit = len(event.submissions), turn.limits.batch
    if count <= limit:
        return True
    message = f"{count} submissions in one request; at most {limit} are allowed"
    turn.refuse(event.to, "invalid", message, "submissions")
    return False


def _is_sound(turn: Turn, to: Requester, submission: Submission) -> bool:
    """Whether all that the call names is there; refused where it is not (LI-1)."""
    problem = bounds.problem_of_call(turn.limits, submission)
    if problem is not None:
        turn.refuse(to, "invalid", problem.message, problem.field)
        return False
    return _names_exist(turn, to, submission) and _references_exist(turn, to, submission)


def _names_exist(turn: Turn, to: Requester, submission: Submission) -> bool:
    options = submission.options
    selections = {
        "wait": options.wait, "memo": options.memo, "defer": options.defer,
        "cache": options.cache.params if options.cache is not None else None,
    }  # fmt: skip
    for option, names in selections.items():
        listed = names if isinstance(names, tuple) else ()
        unknown = next((n for n in listed if n not in submission.arguments), None)
        if unknown is not None:
            hint = nearest(unknown, list(submission.arguments))
            message = f"{option} names the parameter {unknown!r}, which the call does not have"
            turn.refuse(to, "invalid", message + hint, f"options.{option}")
            return False
    return True


def _references_exist(turn: Turn, to: Requester, submission: Submission) -> bool:
    for name, value in submission.arguments.items():
        for reference in value.references:
            if not _is_there(turn, reference):
                message = f"argument {name} refers to {reference.id}, which does not exist"
                turn.refuse(to, "not_found", message, f"arguments.{name}")
                return False
    return True


def _is_there(turn: Turn, reference: Reference) -> bool:
    if reference.kind == "asset":
        return reference.id in turn.state.assets
    # A handle to a removed run is a value that fails only when used (VA).
    return turn.state.is_known(reference.id) or run_of(reference.id) in turn.agenda.removed


def _call(turn: Turn, parent: Execution, submission: Submission, request: tuple[int, int]) -> None:
    _name_group(turn, parent, submission.group)
    is_memoised = memo.is_memoised(parent, submission)
    shape, note = memo_shape(submission) if is_memoised else (None, "")
    joined = memo.find(turn, parent, submission, shape) if shape is not None else None
    joined = joined or memo.reusable(turn, parent, submission)
    if joined is not None:
        group = submission.group.number if submission.group else None
        turn.record(ChildJoined(parent.id, joined.id, group, request, turn.now))
        return
    notes = [f"not memoised: {note}"] if note else []
    notes += _undeferrable(submission)
    number = len(parent.run.steps) + 1
    turn.record(
        StepCreated(
            parent.run.id, number, submission, parent.environment,
            turn.now + submission.options.delay_ms, turn.now, parent.id, request, shape,
            "; ".join(notes) or None,
        )
    )  # fmt: skip
    execution = parent.run.steps[number].executions[0]
    turn.agenda.schedule(execution)
    deferral.enter(turn, execution)


def _undeferrable(submission: Submission) -> list[str]:
    """What is said of a call that would be deferred if it had a key (DF-1)."""
    problem = defer_shape(submission)[1] if submission.options.defer else ""
    return [f"not deferred: {problem}"] if problem else []


def _name_group(turn: Turn, parent: Execution, group: Group | None) -> None:
    if group is not None and group.number not in parent.groups:
        turn.record(GroupNamed(parent.id, group.number, group.name))


def _wait_for(turn: Turn, parent: Execution, key: int, handles: tuple[str, ...]) -> None:
    wait = Wait(key, handles)
    wait.executions = handles
    waiting.ask(turn, parent, wait)

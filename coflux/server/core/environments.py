"""Environments: creating, renaming, re-basing, pausing, archiving (EV)."""

from __future__ import annotations

import re

from coflux.server.core import cancellation, deferral, inputs, schedules, sessions, timeouts
from coflux.server.core.changes import EnvironmentSet
from coflux.server.core.effects import Confirm
from coflux.server.core.entities import Environment, Execution, attempts
from coflux.server.core.events import (
    Caller,
    EnvironmentChangeRequested,
    EnvironmentRequested,
    EnvironmentStateRequested,
)
from coflux.server.core.submission import find_environment
from coflux.server.core.turn import Turn

STATES = ("active", "paused", "archived")
_NAME = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")


def created(turn: Turn, event: EnvironmentRequested) -> None:
    """Make an environment (ID-5, EV-3)."""
    if not _is_name_free(turn, event.to, event.name, None):
        return
    base = None
    if event.base is not None:
        found = find_environment(turn, event.to, event.base)
        if found is None or not _is_shallow(turn, event.to, found, 1):
            return
        base = found.id
    id = turn.source.id("E")
    _set(turn, event.to.by, id, event.name, base, "active")
    turn.send(Confirm(event.to, describe(turn, id)))


def changed(turn: Turn, event: EnvironmentChangeRequested) -> None:
    """Rename or re-base (EV-2 to EV-4)."""
    environment = _find(turn, event.to, event.environment)
    if environment is None:
        return
    name = event.name if event.name is not None else environment.name
    if name != environment.name and not _is_name_free(turn, event.to, name, environment.id):
        return
    base = environment.base
    if event.is_base_given:
        found = find_environment(turn, event.to, event.base) if event.base is not None else None
        if event.base is not None and (
            found is None or not _is_base_allowed(turn, event.to, environment, found)
        ):
            return
        base = found.id if found is not None else None
    if (name, base) != (environment.name, environment.base):
        _set(turn, event.to.by, environment.id, name, base, environment.state)
    turn.send(Confirm(event.to, describe(turn, environment.id)))


def state_requested(turn: Turn, event: EnvironmentStateRequested) -> None:
    """Pause, resume or archive (ST-2, EV-4, EV-5)."""
    environment = _find(turn, event.to, event.environment)
    if environment is None:
        return
    if event.state not in STATES:
        message = f"an environment can be {', '.join(STATES)}, not {event.state!r}"
        turn.refuse(event.to, "invalid", message, "state")
        return
    if event.state == "archived" and not _archive(turn, event.to, environment):
        return
    if event.state != environment.state:
        _set(turn, event.to.by, environment.id, environment.name, environment.base, event.state)
        if event.state == "active":
            # Not where it was active before: what has not been decided yet was not paused (SD-4).
            _wake(turn, environment)
    turn.send(Confirm(event.to, describe(turn, environment.id)))


def describe(turn: Turn, id: str) -> dict[str, str | None]:
    """An environment as shown: id, name, name of its base, state."""
    environment = turn.state.environments[id]
    base = turn.state.environments.get(environment.base or "")
    return {
        "id": id, "name": environment.name, "base": base.name if base else None,
        "state": environment.state,
    }  # fmt: skip


def _set(turn: Turn, by: str, id: str, name: str, base: str | None, state: str) -> None:
    turn.record(EnvironmentSet(id, name, base, state, by, turn.now))


def _find(turn: Turn, to: Caller, id: str) -> Environment | None:
    environment = turn.state.environments.get(id)
    if environment is None or environment.state == "archived":
        turn.refuse(to, "not_found", f"there is no environment {id}", "environment")
        return None
    return environment


def _is_name_free(turn: Turn, to: Caller, name: str, own: str | None) -> bool:
    limits = turn.limits
    if not _NAME.fullmatch(name):
        message = (
            f"{name!r} is not an environment name: use letters, digits, - and _, "
            "in segments joined by /"
        )
        turn.refuse(to, "invalid", message, "name")
        return False
    if len(name) > limits.environment_name or name.count("/") >= limits.environment_segments:
        message = (
            f"environment names have at most {limits.environment_name} characters and "
            f"{limits.environment_segments} segments"
        )
        turn.refuse(to, "invalid", message, "name")
        return False
    holder = turn.state.environment_named(name)
    if holder is not None and holder.id != own:
        turn.refuse(to, "conflict", f"environment {name!r} exists already", "name")
        return False
    return True


def _is_base_allowed(turn: Turn, to: Caller, environment: Environment, base: Environment) -> bool:
    line = turn.state.lineage(base.id)
    if environment.id in line:
        chain = " → ".join(turn.state.environments[id].name for id in line)
        message = f"{base.name!r} cannot be the base of {environment.name!r}: that closes a circle"
        turn.refuse(to, "conflict", f"{message} ({chain})", "base")
        return False
    return _is_shallow(turn, to, base, _height(turn, environment.id))


def _height(turn: Turn, environment: str) -> int:
    """Levels from an environment down to the deepest that is based on it."""
    lines = [turn.state.lineage(id) for id in turn.state.environments]
    return max(line.index(environment) + 1 for line in lines if environment in line)


def _is_shallow(turn: Turn, to: Caller, base: Environment, levels: int) -> bool:
    if len(turn.state.lineage(base.id)) + levels <= turn.limits.base_depth:
        return True
    turn.refuse(to, "invalid", f"bases are at most {turn.limits.base_depth} deep", "base")
    return False


def _archive(turn: Turn, to: Caller, environment: Environment) -> bool:
    child = next(
        (
            e
            for e in turn.state.environments.values()
            if e.base == environment.id and e.state != "archived"
        ),
        None,
    )
    if child is not None:
        message = f"{environment.name!r} is the base of {child.name!r}; archive or re-base it first"
        turn.refuse(to, "conflict", message, "environment")
        return False
    cancellation.cancel(turn, _open_in(turn, environment.id), to.by, "environment archived")
    inputs.archive(turn, environment.id, to.by)
    schedules.end_all(turn, environment.id, to.by)
    for session in list(turn.state.sessions.values()):
        if session.environment == environment.id:
            sessions.end(turn, session, "environment archived")
    return True


def _open_in(turn: Turn, environment: str) -> list[Execution]:
    return [
        execution
        for run in turn.state.runs.values()
        for execution in attempts(run)
        if execution.environment == environment
    ]


def _wake(turn: Turn, environment: Environment) -> None:
    """Resuming acts at once (EV-4)."""
    for id in turn.agenda.paused.pop(environment.id, {}):
        execution = turn.state.executions.get(id)
        if execution is not None and execution.result is None:
            turn.agenda.schedule(execution)
    deferral.resumed(turn, environment.id)
    timeouts.queue_resumed(turn, environment.id)
    schedules.resumed(turn, environment.id)
    turn.agenda.stirred[environment.id] = None

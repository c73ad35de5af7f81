"""Pools as they are configured: create, update, disable, delete, import (PO-1, PO-3, PO-4).

Belongs here: what a pool may say of itself, and what changing it makes a fact. Does not belong
here: which agents are started and stopped (`launches`), and how (launchers).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from coflux.model import PoolSpec, Record
from coflux.server.core.changes import PoolSet
from coflux.server.core.effects import Confirm
from coflux.server.core.entities import Environment, Pool
from coflux.server.core.events import (
    Caller,
    PoolChanged,
    PoolRequested,
    PoolsImported,
    PoolStateRequested,
)
from coflux.server.core.state import State
from coflux.server.core.submission import nearest
from coflux.server.core.turn import Turn

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
_REPOSITORY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(\.\*)?\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_OURS = "COFLUX_"
_MOST = 1_000
_KEYS, _VALUES, _LENGTH = 10, 10, 64
_TEXT = 32 * 1024


class _Problem(Exception):
    """Why a pool cannot be as it is wanted, and which field is at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def requested(turn: Turn, event: PoolRequested) -> None:
    """Somebody wants a new pool."""
    environment = _environment(turn, event.to, event.environment)
    if environment is None:
        return
    if turn.state.pool_named(environment.id, event.name) is not None:
        message = f"pool {event.name!r} exists already in {environment.name}; update it instead"
        turn.refuse(event.to, "conflict", message, "name")
        return
    try:
        check(event.name, event.spec)
    except _Problem as problem:
        turn.refuse(event.to, "invalid", str(problem), problem.field)
        return
    id = _set(turn, event.to, environment, None, event.name, event.spec)
    turn.send(Confirm(event.to, {"pool": id}))


def changed(turn: Turn, event: PoolChanged) -> None:
    """Somebody wants a pool to be otherwise; fields that are not named stay."""
    environment = _environment(turn, event.to, event.environment)
    pool = _find(turn, event.to, environment, event.name)
    if environment is None or pool is None:
        return
    spec = msgspec.structs.replace(pool.spec, **event.fields)
    try:
        check(event.name, spec)
    except _Problem as problem:
        turn.refuse(event.to, "invalid", str(problem), problem.field)
        return
    if spec != pool.spec:
        _set(turn, event.to, environment, pool, pool.name, spec, pool.state)
    turn.send(Confirm(event.to, {"pool": pool.id}))


def state_requested(turn: Turn, event: PoolStateRequested) -> None:
    """A pool shall be active, disabled or deleted."""
    environment = _environment(turn, event.to, event.environment)
    pool = _find(turn, event.to, environment, event.name)
    if environment is None or pool is None:
        return
    if pool.state != event.state:
        _set(turn, event.to, environment, pool, pool.name, pool.spec, event.state)
    turn.send(Confirm(event.to, {"pool": pool.id}))


class _Step(Record):
    """What an import does to one pool."""

    name: str
    action: str
    #: Fields that change.
    fields: tuple[str, ...] = ()


def imported(turn: Turn, event: PoolsImported) -> None:
    """The pools of an environment shall be these, or of some names only (PO-4). All or none."""
    environment = _environment(turn, event.to, event.environment)
    if environment is None:
        return
    known = {pool.name: pool for pool in turn.state.pools_of(environment.id)}
    names = [*event.pools, *(name for name in known if name not in event.pools)]
    if event.only is not None:
        unknown = next((name for name in event.only if name not in names), None)
        if unknown is not None:
            message = f"there is no pool {unknown!r}, neither here nor in what is imported"
            turn.refuse(event.to, "not_found", message + nearest(unknown, names), "names")
            return
        names = [name for name in names if name in event.only]
    try:
        steps = [_plan(event, name, known.get(name)) for name in names]
    except _Problem as problem:
        code = "conflict" if problem.field.endswith("revision") else "invalid"
        turn.refuse(event.to, code, str(problem), problem.field)
        return
    if not event.dry_run:
        for step in steps:
            _carry_out(turn, event, environment, step, known.get(step.name))
    shown = [{"name": s.name, "action": s.action, "fields": list(s.fields)} for s in steps]
    turn.send(Confirm(event.to, {"steps": shown}))


def _plan(event: PoolsImported, name: str, pool: Pool | None) -> _Step:
    wanted = event.pools.get(name)
    if wanted is None:
        return _Step(name, "delete")
    check(name, wanted.spec, f"pools.{name}.")
    if wanted.revision is not None and not event.force:
        now = pool.revision if pool is not None else 0
        if wanted.revision != now:
            raise _Problem(
                f"pools.{name}.revision",
                f"pool {name!r} has been changed since it was exported (revision"
                f" {wanted.revision}, now {now or 'deleted'}); export again, or force it",
            )
    if pool is None:
        return _Step(name, "create")
    fields = differences(pool.spec, wanted.spec)
    return _Step(name, "update" if fields else "unchanged", fields)


def _carry_out(
    turn: Turn, event: PoolsImported, environment: Environment, step: _Step, pool: Pool | None
) -> None:
    if step.action == "unchanged":
        return
    if step.action == "delete":
        assert pool is not None
        _set(turn, event.to, environment, pool, pool.name, pool.spec, "deleted")
        return
    spec = event.pools[step.name].spec
    state = pool.state if pool is not None else "active"
    _set(turn, event.to, environment, pool, step.name, spec, state)


def differences(old: PoolSpec, new: PoolSpec) -> tuple[str, ...]:
    """The fields in which two pools differ."""
    return tuple(f for f in PoolSpec.__struct_fields__ if getattr(old, f) != getattr(new, f))


def _set(
    turn: Turn, to: Caller, environment: Environment, pool: Pool | None, name: str,
    spec: PoolSpec, state: str = "active",
) -> str:  # fmt: skip
    id = pool.id if pool is not None else turn.source.id("P")
    revision = (pool.revision if pool is not None else 0) + 1
    turn.record(PoolSet(id, environment.id, name, spec, state, revision, to.by, turn.now))
    turn.agenda.stirred[environment.id] = None
    return id


def _environment(turn: Turn, to: Caller, id: str) -> Environment | None:
    environment = turn.state.environments.get(id)
    if environment is None or environment.state == "archived":
        turn.refuse(to, "not_found", f"there is no environment {id}", "environment")
        return None
    return environment


def _find(turn: Turn, to: Caller, environment: Environment | None, name: str) -> Pool | None:
    if environment is None:
        return None
    pool = turn.state.pool_named(environment.id, name)
    if pool is None:
        turn.refuse(to, "not_found", unknown(turn.state, environment, name), "name")
    return pool


def unknown(state: State, environment: Environment, name: str) -> str:
    """What is said of a pool that there is not."""
    names = [pool.name for pool in state.pools_of(environment.id)]
    return f"there is no pool {name[:100]!r} in {environment.name}{nearest(name, names)}"


# --- checks -------------------------------------------------------------------------------------


def check(name: str, spec: PoolSpec, prefix: str = "") -> None:
    """Raise `_Problem` for what a pool cannot be."""
    if not _NAME.match(name):
        raise _Problem(
            f"{prefix}name",
            f"{name[:100]!r} is no name of a pool: use letters, digits, `-`, `_` and `.`",
        )
    for field, problem in _problems(spec):
        raise _Problem(prefix + field, problem)


def _problems(spec: PoolSpec) -> Iterable[tuple[str, str]]:
    if not spec.repositories:
        yield "repositories", "a pool serves at least one repository"
    for repository in spec.repositories:
        if not _REPOSITORY.match(repository):
            yield (
                "repositories",
                f"{repository[:100]!r} is no repository; write `module` or `package.*`",
            )
    if not 0 <= spec.min <= _MOST:
        yield "min", f"min is from 0 to {_MOST}, not {spec.min}"
    if not max(1, spec.min) <= spec.max <= _MOST:
        yield "max", f"max is from {max(1, spec.min)} (1, and at least min) to {_MOST}"
    if not 1 <= spec.concurrency <= _MOST:
        yield "concurrency", f"concurrency is from 1 to {_MOST}, not {spec.concurrency}"
    yield from _tag_problems("provides", spec.provides)
    yield from _tag_problems("accepts", spec.accepts)
    yield from _variable_problems(spec)


def _tag_problems(field: str, tags: dict[str, Any]) -> Iterable[tuple[str, str]]:
    if len(tags) > _KEYS:
        yield field, f"{field} may have {_KEYS} keys, not {len(tags)}"
    for key, values in tags.items():
        listed = values if isinstance(values, tuple) else ()
        if not 1 <= len(listed) <= _VALUES:
            yield field, f"{field}.{key} has 1 to {_VALUES} values"
        if any(not 0 < len(text) <= _LENGTH for text in (key, *listed)):
            yield field, f"keys and values of {field} have 1 to {_LENGTH} characters"


def _variable_problems(spec: PoolSpec) -> Iterable[tuple[str, str]]:
    for field, names in (("env", spec.env), ("secrets", spec.secrets)):
        for name in names:
            if not _VARIABLE.match(name):
                yield field, f"{name[:100]!r} is no name of a variable"
            if name.upper().startswith(_OURS):
                yield field, f"{name} is set by Coflux itself; leave out variables with {_OURS}"
    if any(len(value) > _TEXT for value in spec.env.values()):
        yield "env", f"a variable's value has at most {_TEXT} characters"
    both = next((name for name in spec.secrets if name in spec.env), None)
    if both is not None:
        yield "secrets", f"{both} is both a variable and a secret"

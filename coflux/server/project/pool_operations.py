"""Operations on pools over HTTP (PO-1, PO-4, PO-5).

Belongs here: what each does with a call, and how a pool is shown: never with the value of a secret.
Does not belong here: rules (the core's `pools`), carrying out (`pools`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from coflux.errors import InvalidRequest, NotFound
from coflux.model import PoolSpec
from coflux.server.bodies import PoolFields, PoolInFile
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core import launches
from coflux.server.core.entities import Environment, LaunchRecord, Pool
from coflux.server.core.pools import unknown
from coflux.server.core.state import State
from coflux.server.launchers.launcher import check_settings
from coflux.server.project.calls import Call, sentence
from coflux.server.project.pools import Pools

#: Stands for the value of a secret.
MASK = "***"


async def list_pools(call: Call) -> Any:
    return [show_pool(call.state, p) for e in call.chosen() for p in call.state.pools_of(e.id)]


async def get_pool(call: Call) -> Any:
    environment = call.environment(call.query.get("environment"), "read")
    return show_pool(call.state, _pool(call, environment, call.path["name"]))


async def create_pool(call: Call) -> Any:
    body = call.body
    environment = call.environment(body.environment, "admin")
    spec = PoolSpec(
        body.repositories, body.launcher, body.settings, body.min, body.max, body.concurrency,
        body.provides, body.accepts, body.env, tuple(body.secrets),
    )  # fmt: skip
    _check(call, spec)
    spec = msgspec.structs.replace(spec, secrets_revision=_pools(call).secrets.put(body.secrets))
    await _ask(call, lambda to: e.PoolRequested(to, environment.id, body.name, spec))
    return show_pool(call.state, _pool(call, environment, body.name))


async def update_pool(call: Call) -> Any:
    environment = call.environment(call.body.environment, "admin")
    pool = _pool(call, environment, call.path["name"])
    fields = _changes(call, pool)
    _check(call, msgspec.structs.replace(pool.spec, **fields))
    await _ask(call, lambda to: e.PoolChanged(to, environment.id, pool.name, fields))
    return show_pool(call.state, pool)


async def enable_pool(call: Call) -> Any:
    return await _put(call, call.body.environment, "active")


async def disable_pool(call: Call) -> Any:
    return await _put(call, call.body.environment, "disabled")


async def delete_pool(call: Call) -> Any:
    await _put(call, call.query.get("environment"), "deleted")
    return {"ok": True}


async def import_pools(call: Call) -> Any:
    body = call.body
    environment = call.environment(body.environment, "admin")
    wanted = {}
    for each in body.pools:
        if each.name in wanted:
            raise InvalidRequest(f"Pool {each.name!r} is there twice.", field="pools")
        spec = _imported(call, environment, each)
        _check(call, spec, f"pools.{each.name}.")
        wanted[each.name] = e.PoolWanted(spec, each.revision)
    done = await _ask(
        call,
        lambda to: e.PoolsImported(
            to, environment.id, wanted, body.names, body.dry_run, body.force
        ),
    )
    return done.data["steps"]


ALL = (
    list_pools, get_pool, create_pool, update_pool, enable_pool, disable_pool, delete_pool,
    import_pools,
)  # fmt: skip


# --- parts --------------------------------------------------------------------------------------


def show_pool(state: State, pool: Pool) -> dict[str, Any]:
    """A pool with its agents; of secrets only the names."""
    spec = pool.spec
    return {
        "id": pool.id,
        "name": pool.name,
        "environment": state.environments[pool.environment].name,
        "state": pool.state,
        "revision": pool.revision,
        "repositories": list(spec.repositories),
        "launcher": spec.launcher,
        "settings": spec.settings,
        "min": spec.min,
        "max": spec.max,
        "concurrency": spec.concurrency,
        "provides": spec.provides,
        "accepts": spec.accepts,
        "env": spec.env,
        "secrets": dict.fromkeys(spec.secrets, MASK),
        "launches": [_show_launch(state, launch) for launch in pool.launches.values()],
        "failures": pool.failures,
        "retry_at": pool.retry_at or None,
        "error": pool.error,
        "lines": list(pool.lines),
    }


def _show_launch(state: State, launch: LaunchRecord) -> dict[str, Any]:
    if launch.retired_at is not None:
        status = "draining"
    else:
        status = "starting" if launches.is_starting(state, launch) else "running"
    return {
        "launch": launch.id,
        "session": launch.session,
        "status": status,
        "created_at": launch.created_at,
        "reason": launch.reason or None,
    }


async def _put(call: Call, name: str | None, state: str) -> Any:
    environment = call.environment(name, "admin")
    pool = _pool(call, environment, call.path["name"])
    await _ask(call, lambda to: e.PoolStateRequested(to, environment.id, pool.name, state))
    return show_pool(call.state, pool)


async def _ask(call: Call, event: Any) -> fx.Confirm:
    try:
        return await call.ask(event, fx.Confirm)
    finally:
        # What was refused, or has been replaced, leaves nothing behind.
        state = call.state
        _pools(call).secrets.keep_only(p.spec.secrets_revision for p in state.pools.values())


def _pool(call: Call, environment: Environment, name: str) -> Pool:
    pool = call.state.pool_named(environment.id, name)
    if pool is None:
        message = unknown(call.state, environment, name)
        raise NotFound(f"{sentence(message)}.", field="name")
    return pool


def _changes(call: Call, pool: Pool) -> dict[str, Any]:
    body: PoolFields = call.body
    names = set(PoolSpec.__struct_fields__) - {"secrets", "secrets_revision"}
    fields = {name: value for name in names if (value := getattr(body, name)) is not UNSET}
    if body.secrets is not UNSET:
        store = _pools(call).secrets
        values = {**store.get(pool.spec.secrets_revision), **body.secrets}
        kept = {name: value for name, value in values.items() if value is not None}
        gone = {name for name, value in body.secrets.items() if value is None}
        # Names whose values a restore has lost stay names.
        fields["secrets"] = tuple(
            dict.fromkeys(n for n in (*pool.spec.secrets, *kept) if n not in gone)
        )
        fields["secrets_revision"] = store.put(kept)
    return fields


def _imported(call: Call, environment: Environment, each: PoolInFile) -> PoolSpec:
    known = call.state.pool_named(environment.id, each.name)
    revision = ""
    if known is not None and set(known.spec.secrets) == set(each.secrets):
        # A file holds no values: they stay what they are.
        revision = known.spec.secrets_revision
    secrets = known.spec.secrets if known is not None and revision else tuple(each.secrets)
    return PoolSpec(
        each.repositories, each.launcher, each.settings, each.min, each.max, each.concurrency,
        each.provides, each.accepts, each.env, secrets, revision,
    )  # fmt: skip


def _check(call: Call, spec: PoolSpec, prefix: str = "") -> None:
    allowed: Mapping[str, Any] = _pools(call).launchers
    launcher = allowed.get(spec.launcher)
    if launcher is None:
        names = ", ".join(allowed) or "none"
        raise InvalidRequest(
            f"The launcher {spec.launcher[:50]!r} is not allowed on this server (allowed: {names});"
            " its operator names them in COFLUX_LAUNCHERS.",
            field=f"{prefix}launcher",
        )
    problem = check_settings(launcher, spec.settings)
    if problem is not None:
        raise InvalidRequest(f"{sentence(problem)}.", field=f"{prefix}settings")


def _pools(call: Call) -> Pools:
    assert call.project.pools is not None, "the process has made them"
    return call.project.pools

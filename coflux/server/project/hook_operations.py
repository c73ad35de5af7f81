"""Operations on hooks over HTTP. Addresses are shown without what may be secret in them.

Belongs here: what each does with a call. Does not belong here: when hooks are told (`hooks`).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import msgspec

from coflux.errors import Conflict, InvalidRequest, NotFound, Unavailable
from coflux.server.core.entities import Environment
from coflux.server.core.submission import nearest
from coflux.server.hooks.hook import OUTCOMES, Delivery, Ended, Hook, hidden
from coflux.server.hooks.means import Undelivered
from coflux.server.project.calls import Call
from coflux.server.project.hooks import Hooks

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")


async def list_hooks(call: Call) -> Any:
    wanted = {environment.id for environment in call.chosen()}
    return [_show(call, hook) for hook in _hooks(call).all if hook.environment in wanted]


async def create_hook(call: Call) -> Any:
    body = call.body
    environment = call.environment(body.environment, "admin")
    if (environment.id, body.name) in _known(call):
        raise Conflict(
            f"Hook {body.name!r} exists already in {environment.name}; delete it first.",
            field="name",
        )
    hook = Hook(
        body.name, environment.id, body.kind, body.outcomes, body.target, body.command, body.url,
        body.headers,
    )  # fmt: skip
    _check(call, hook)
    _put(call, hook)
    return _show(call, hook)


async def enable_hook(call: Call) -> Any:
    return _switch(call, True)


async def disable_hook(call: Call) -> Any:
    return _switch(call, False)


async def delete_hook(call: Call) -> Any:
    environment = call.environment(call.query.get("environment"), "admin")
    hook = _find(call, environment)
    _hooks(call).store.set(environment.id, hook.name, None, call.principal.name, _now(call))
    return {"ok": True}


async def try_hook(call: Call) -> Any:
    environment = call.environment(call.body.environment, "admin")
    hook, now = _find(call, environment), _now(call)
    ended = Ended("Rtrial", environment.id, "trial", "run", hook.outcomes[0], now, now)
    try:
        await _hooks(call).tell_now(hook, ended)
    except Undelivered as undelivered:
        raise Unavailable(f"Hook {hook.name!r}: {undelivered}.") from undelivered
    return {"ok": True}


async def list_deliveries(call: Call) -> Any:
    environment = call.environment(call.query.get("environment"), "read")
    hook = _find(call, environment)
    found = _hooks(call).store.of(environment.id, hook.name, call.query["limit"])
    return [_show_delivery(delivery) for delivery in found]


ALL = (
    list_hooks, create_hook, enable_hook, disable_hook, delete_hook, try_hook, list_deliveries,
)  # fmt: skip


# --- parts --------------------------------------------------------------------------------------


def _hooks(call: Call) -> Hooks:
    assert call.project.hooks is not None, "the process has made them"
    return call.project.hooks


def _known(call: Call) -> dict[tuple[str, str], Hook]:
    return {(hook.environment, hook.name): hook for hook in _hooks(call).all}


def _now(call: Call) -> int:
    return call.orchestrator.now()


def _put(call: Call, hook: Hook) -> None:
    _hooks(call).store.set(hook.environment, hook.name, hook, call.principal.name, _now(call))


def _switch(call: Call, is_enabled: bool) -> Any:
    environment = call.environment(call.body.environment, "admin")
    hook = msgspec.structs.replace(_find(call, environment), is_enabled=is_enabled)
    _put(call, hook)
    return _show(call, hook)


def _find(call: Call, environment: Environment) -> Hook:
    name = call.path["name"]
    known = _known(call)
    found = known.get((environment.id, name))
    if found is None:
        hint = nearest(name, [n for e, n in known if e == environment.id])
        raise NotFound(
            f"There is no hook {name[:100]!r} in {environment.name}{hint}.", field="name"
        )
    return found


def _show(call: Call, hook: Hook) -> dict[str, Any]:
    return {
        "name": hook.name,
        "environment": call.state.environments[hook.environment].name,
        "kind": hook.kind,
        "outcomes": list(hook.outcomes),
        "target": hook.target,
        "command": list(hook.command),
        "url": hidden(hook.url),
        "headers": dict.fromkeys(hook.headers, "***"),
        "enabled": hook.is_enabled,
    }


def _show_delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "run": delivery.ended.run,
        "status": delivery.ended.status,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "next_at": delivery.next_at or None if delivery.state == "owed" else None,
        "error": delivery.error,
        "finished_at": delivery.ended.finished_at,
    }


def _check(call: Call, hook: Hook) -> None:
    if not _NAME.match(hook.name):
        raise InvalidRequest(
            f"{hook.name[:100]!r} is no name of a hook: use letters, digits, `-`, `_` and `.`.",
            field="name",
        )
    allowed = _hooks(call).allowed
    if hook.kind not in allowed:
        raise InvalidRequest(
            f"Hooks of kind {hook.kind} are not allowed on this server (allowed:"
            f" {', '.join(allowed) or 'none'}); its operator names them in COFLUX_HOOKS.",
            field="kind",
        )
    unknown = next((each for each in hook.outcomes if each not in OUTCOMES), None)
    if unknown is not None or not hook.outcomes:
        raise InvalidRequest(f"`outcomes` are of {', '.join(OUTCOMES)}.", field="outcomes")
    if (hook.kind == "command") != bool(hook.command) or (hook.kind == "command") == bool(hook.url):
        raise InvalidRequest(
            "A hook of kind `command` has a `command`, others have a `url`.", field="kind"
        )
    if hook.kind == "webhook" and urlsplit(hook.url).scheme not in ("http", "https"):
        raise InvalidRequest("The URL of a webhook begins with http:// or https://.", field="url")

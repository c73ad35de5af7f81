"""Operations on what limits work: settings of environments, named slots (SC-7 to SC-9).

Belongs here: what each does with a call. Does not belong here: what a limit means (core).
"""

from __future__ import annotations

from typing import Any

from coflux.errors import Forbidden
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core import settings
from coflux.server.core.entities import Environment
from coflux.server.project.calls import Call
from coflux.server.views import limits


async def list_settings(call: Call) -> Any:
    return settings.show(call.state, call.environment_by_id("read"))


async def change_settings(call: Call) -> Any:
    environment = call.environment_by_id("admin")
    done = await call.ask(
        lambda to: e.SettingsRequested(to, environment.id, call.body.values), fx.Confirm
    )
    return done.data["settings"]


async def list_slots(call: Call) -> Any:
    environment = call.environment(call.query.get("environment"), "read")
    return limits.show_slots(call.orchestrator.machine, environment, call.orchestrator.now())


async def set_slot(call: Call) -> Any:
    environment = _place(call, call.body.environment)
    name, body = call.path["name"], call.body
    await call.ask(
        lambda to: e.SlotRequested(
            to, environment.id if environment is not None else None, name, body.limit, body.rate,
            body.period_ms,
        ),
        fx.Confirm,
    )  # fmt: skip
    return {"ok": True}


async def remove_slot(call: Call) -> Any:
    environment = _place(call, call.query.get("environment"))
    id = environment.id if environment is not None else None
    await call.ask(
        lambda to: e.SlotRequested(to, id, call.path["name"], is_removed=True), fx.Confirm
    )
    return {"ok": True}


def _place(call: Call, name: str | None) -> Environment | None:
    """The environment, or None for the whole project, when the caller may change limits there."""
    if name is not None:
        return call.environment(name, "admin")
    if not call.principal.may("admin", "*"):
        raise Forbidden("A limit of the project needs a token with admin in every environment.")
    return None

"""The operations that pin runs: the mark that keeps them for ever (DM-2, AU-2).

Belongs here: finding the run's environment without reading the run, which may be a big one of long
ago. Does not belong here: what the mark does.
"""

from __future__ import annotations

from typing import Any

from coflux.errors import Forbidden
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.project.calls import Call, no_such, parse_id
from coflux.server.views import runs


async def pin_run(call: Call) -> Any:
    return await _set(call, True)


async def unpin_run(call: Call) -> Any:
    return await _set(call, False)


async def _set(call: Call, is_pinned: bool) -> Any:
    run = _find(call, call.path["run"])
    await call.ask(lambda to: e.PinRequested(to, run, is_pinned), fx.Confirm)
    return {"run": run, "pinned": runs.show_pin(call.state, run)}


def _find(call: Call, id: str) -> str:
    """The run's id, when there is one and the caller may run in its environment."""
    parts = parse_id(id)
    live = call.state.runs.get(parts.run)
    found = live.environment if live else call.orchestrator.store.reader.environment_of(parts.run)
    environment = call.state.environments.get(found or "")
    if (
        environment is None or parts.step is not None
        or not call.principal.may("read", environment.name)
    ):  # fmt: skip
        raise no_such(id)
    if not call.principal.may("run", environment.name):
        raise Forbidden(f"The token does not give the right to run in {environment.name!r}.")
    return parts.run


ALL = (pin_run, unpin_run)

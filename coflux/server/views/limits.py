"""Named slots as shown: what is allowed, what is in use and by whom (SC-7, SC-8)."""

from __future__ import annotations

from typing import Any

from coflux.server.core import slots
from coflux.server.core.entities import Environment
from coflux.server.core.machine import Machine


def show_slots(machine: Machine, environment: Environment, now: int) -> list[dict[str, Any]]:
    """Slots that are defined for an environment, or held or wanted there, by name."""
    state = machine.state
    names = {name for place, name in state.slots if place in (None, environment.id)}
    names |= {name for name, found in state.holders.items() if _is_held(found, environment)}
    wanted = [
        name
        for lane in machine.agenda.lanes.get(environment.id, {})
        for name, _ in lane.slots
    ]  # fmt: skip
    return [_show(machine, environment, name, now) for name in sorted({*names, *wanted})]


def _is_held(found: dict[str, Any], environment: Environment) -> bool:
    return any(execution.environment == environment.id for execution in found.values())


def _show(machine: Machine, environment: Environment, name: str, now: int) -> dict[str, Any]:
    state = machine.state
    limit = slots.limit_of(state, name, environment.id)
    holders = slots.holders(state, name, environment.id)
    free_at = slots.next_free(state, name, environment.id, now)
    if (environment.id, name) in state.slots:
        scope = "environment"
    else:
        scope = "project" if (None, name) in state.slots else "undefined"
    lanes = machine.agenda.lanes.get(environment.id, {})
    return {
        "name": name,
        "scope": scope,
        "limit": limit.units,
        "rate": limit.rate,
        "period_ms": limit.period_ms,
        "in_use": sum(slots.units_of(holder)[name] for holder in holders),
        "holders": [holder.id for holder in holders],
        "ready": sum(lane.size for key, lane in lanes.items() if name in dict(key.slots)),
        "next_at": free_at if free_at > now else None,
    }

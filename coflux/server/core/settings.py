"""Settings of environments and named slots: changing them, and what follows at once (SC-7 to SC-9).

Belongs here: checking and recording. Does not belong here: what a limit means where it applies
(`caps`, `slots`, `timeouts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coflux.server.core import caps, slots, submission, timeouts
from coflux.server.core.changes import SettingSet, SlotSet
from coflux.server.core.effects import Confirm
from coflux.server.core.entities import Environment
from coflux.server.core.events import Caller, SettingsRequested, SlotRequested
from coflux.server.core.limits import SETTINGS
from coflux.server.core.specs import SlotLimit
from coflux.server.core.state import State
from coflux.server.core.submission import nearest
from coflux.server.core.turn import Turn

#: Rates are computed from at most so many assignments.
RATE_LIMIT = 10_000
PERIOD_LIMIT_MS = 24 * 3600 * 1000
UNITS_LIMIT = 1_000_000


def requested(turn: Turn, event: SettingsRequested) -> None:
    """Set limits of an environment, all or none; None = the default again."""
    environment = turn.state.environments.get(event.environment)
    if environment is None or environment.state == "archived":
        turn.refuse(event.to, "not_found", f"there is no environment {event.environment}")
        return
    problem = _problem(event.values)
    if problem is not None:
        turn.refuse(event.to, "invalid", problem[1], f"values.{problem[0]}")
        return
    for name, value in event.values.items():
        if environment.settings.get(name) != value:
            turn.record(SettingSet(environment.id, name, value, event.to.by, turn.now))
    for request in caps.reconsider(turn, environment.id):
        submission.steps_requested(turn, request)
    timeouts.watch_queue(turn, environment.id)
    turn.agenda.stirred[environment.id] = None
    turn.send(Confirm(event.to, {"settings": show(turn.state, environment)}))


def slot_requested(turn: Turn, event: SlotRequested) -> None:
    """Define a named slot in an environment or for the project, or remove its definition."""
    if not _is_slot_allowed(turn, event):
        return
    known = turn.state.slots.get((event.environment, event.name))
    wanted = None
    if not event.is_removed:
        wanted = SlotLimit(event.units, event.rate, event.period_ms)
    elif known is None:
        turn.refuse(event.to, "not_found", f"slot {event.name!r} is not defined here", "name")
        return
    if wanted != known:
        turn.record(SlotSet(event.environment, event.name, wanted, event.to.by, turn.now))
        slots.stir(turn, (event.name,), None)
    turn.send(Confirm(event.to, {"name": event.name}))


def show(state: State, environment: Environment) -> list[dict[str, Any]]:
    """All settings of an environment with values, defaults and meanings."""
    return [
        {
            "name": name,
            "value": state.setting(environment.id, name),
            "default": getattr(state.defaults, name),
            "is_set": name in environment.settings,
            "unit": setting.unit,
            "summary": setting.summary,
        }
        for name, setting in SETTINGS.items()
    ]


def _problem(values: Mapping[str, int | None]) -> tuple[str, str] | None:
    for name, value in values.items():
        setting = SETTINGS.get(name)
        if setting is None:
            return name, f"there is no setting {name!r}{nearest(name, list(SETTINGS))}"
        if value is not None and not setting.minimum <= value <= setting.maximum:
            bounds = f"from {setting.minimum} to {setting.maximum}"
            return name, f"{name} may be {bounds}, not {value}"
    return None


def _is_slot_allowed(turn: Turn, event: SlotRequested) -> bool:
    if not 0 < len(event.name) <= turn.limits.name:
        message = f"a slot's name has 1 to {turn.limits.name} characters"
        return _no(turn, event.to, message, "name")
    if event.is_removed:
        return True
    if event.units is None and event.rate is None:
        return _no(turn, event.to, "give a limit or a rate", "limit")
    if event.units is not None and not 0 <= event.units <= UNITS_LIMIT:
        return _no(turn, event.to, f"a limit is from 0 to {UNITS_LIMIT}", "limit")
    if (event.rate is None) != (event.period_ms is None):
        return _no(turn, event.to, "a rate needs a number and a period", "rate")
    if event.rate is not None and not 1 <= event.rate <= RATE_LIMIT:
        return _no(turn, event.to, f"a rate is from 1 to {RATE_LIMIT} in its period", "rate")
    if event.period_ms is not None and not 1 <= event.period_ms <= PERIOD_LIMIT_MS:
        return _no(turn, event.to, "a period is from 1 ms to 24 h", "period_ms")
    return True


def _no(turn: Turn, to: Caller, message: str, field: str) -> bool:
    turn.refuse(to, "invalid", message, field)
    return False

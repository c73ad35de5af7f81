"""What facts about environments, their manifests, settings, slots and schedules change.

Belongs here: one function a fact, which takes it as it is. Does not belong here: what is decided
from them; runs (`state`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coflux.server.core import changes as c
from coflux.server.core.entities import Environment, Schedule

if TYPE_CHECKING:
    from coflux.server.core.state import State


def set_environment(state: State, x: c.EnvironmentSet) -> None:
    known = state.environments.get(x.environment)
    if known is None:
        state.environments[x.environment] = Environment(x.environment, x.name, x.base, x.state)
        return
    known.name, known.base, known.state = x.name, x.base, x.state


def set_manifest(state: State, x: c.ManifestSet) -> None:
    environment = state.environments[x.environment]
    manifests = environment.manifests
    environment.revisions[x.repository] = environment.revisions.get(x.repository, 0) + 1
    manifests.pop(x.repository, None)
    if x.definitions is not None:
        manifests[x.repository] = {d.name: d for d in x.definitions}


def set_setting(state: State, x: c.SettingSet) -> None:
    settings = state.environments[x.environment].settings
    settings.pop(x.name, None)
    if x.value is not None:
        settings[x.name] = x.value


def set_slot(state: State, x: c.SlotSet) -> None:
    state.slots.pop((x.environment, x.name), None)
    if x.limit is not None:
        state.slots[x.environment, x.name] = x.limit


def set_schedule(state: State, x: c.ScheduleSet) -> None:
    known = state.schedules.get(x.schedule)
    if x.spec is None:
        state.schedules.pop(x.schedule, None)
        return
    if known is None:
        known = state.schedules[x.schedule] = Schedule(x.schedule, x.environment, x.spec, x.at)
    elif known.paused or (known.spec.cron, known.spec.zone) != (x.spec.cron, x.spec.zone):
        # What came before this was of another rule, or of nobody's concern (SD-4).
        known.cursor = max(known.cursor, x.at)
    known.spec, known.paused, known.by = x.spec, x.paused, x.by
    known.declaration = x.declaration


def advance_schedule(state: State, x: c.ScheduleAdvanced) -> None:
    schedule = state.schedules.get(x.schedule)
    if schedule is not None:
        schedule.advance(x.instant, x.started)
        schedule.problem = x.reason or None

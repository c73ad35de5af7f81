"""Why a queued execution is queued: the first reason that applies (SC-11).

Belongs here: the order of reasons and their words. Does not belong here: any decision; reading it
changes nothing.
"""

from __future__ import annotations

import difflib
from typing import Any

from coflux.model import Record, Requires, is_input, target_id
from coflux.server.core import caps, gates, launches, scheduling, slots
from coflux.server.core.agenda import Agenda, LaneKey
from coflux.server.core.entities import Execution, Session
from coflux.server.core.state import State
from coflux.server.core.statuses import Status

#: Why an execution is due in the future, by its origin.
_WHY = {"retry": "back-off", "resume": "suspension", "recurrence": "recurrence"}
#: Reasons that another agent would end.
_OF_AGENTS = ("agent", "tags", "draining", "concurrency")
#: Ids named in a text; the data has all of them.
_SHOWN = 3


class Reason(Record):
    """A code, a text for people, and data for programs."""

    code: str
    text: str
    data: dict[str, Any] = {}


def reason(state: State, agenda: Agenda, execution: Execution, now: int) -> Reason:
    """The first reason that applies to a queued execution; `now` in ms UTC.

    Of one that waits in a process: what it waits for; of one whose submissions are held (SC-9): the
    cap.
    """
    if execution.status is Status.WAITING:
        handles = dict.fromkeys(h for wait in execution.waits.values() for h in wait.left)
        return _awaits(list(handles), any(wait.first for wait in execution.waits.values()))
    held = _capped(state, execution) if caps.is_asking(agenda, execution) else None
    found = held or _first(state, agenda, execution, now)
    if found.code not in _OF_AGENTS:
        return found
    hint, data = launches.hint(state, scheduling.lane_key(execution), now)
    return Reason(found.code, f"{found.text}; {hint}", {**found.data, **data}) if hint else found


def _first(state: State, agenda: Agenda, execution: Execution, now: int) -> Reason:
    return (
        _paused(state, execution)
        or _due(execution, now)
        or _waiting(state, execution)
        or _capped(state, execution)
        or _unhosted(state, execution)
        or _unmatched(state, execution)
        or _crowded(state, execution)
        or _draining(state, execution)
        or _slotless(state, agenda, execution, now)
        or _full(state, execution)
        or Reason("assignable", "will go out with the next decision")
    )


def _paused(state: State, execution: Execution) -> Reason | None:
    environment = state.environments[execution.environment]
    if environment.state == "active":
        return None
    text = f"environment {environment.name} is {environment.state}"
    return Reason("paused", text, {"environment": environment.name})


def _due(execution: Execution, now: int) -> Reason | None:
    if execution.due_at <= now:
        return None
    why = _WHY.get(execution.origin, "delay")
    text = f"due in {_duration(execution.due_at - now)} ({why})"
    return Reason("due", text, {"due_at": execution.due_at, "why": why})


def _waiting(state: State, execution: Execution) -> Reason | None:
    first = state.earlier_in_turn(execution.run)
    if first is not None:
        text = f"waits for {first} of the same schedule to finish"
        return Reason("waiting", text, {"ids": [first], "schedule": execution.run.schedule})
    handles = gates.unresolved(state, execution)
    if handles:
        return _awaits(handles, execution.gate_first and handles[0] in execution.gate)
    earlier = gates.stopping(state, execution)
    if earlier is None:
        return None
    text = f"waits for the process of {earlier.id} to be dead"
    return Reason("waiting", text, {"ids": [earlier.id], "session": earlier.assigned_to})


def _awaits(handles: list[str], is_any: bool) -> Reason:
    if not handles:
        return Reason("waiting", "waits for a free slot to go on")
    named = [f"an answer to {handle}" if is_input(handle) else handle for handle in handles]
    text = f"waits for {'the first of ' if is_any and len(handles) > 1 else ''}{_list(named)}"
    return Reason("waiting", text, {"ids": handles})


def _capped(state: State, execution: Execution) -> Reason | None:
    cap = caps.of(state, execution)
    if cap is None:
        return None
    what = {
        "run_steps": f"run {execution.run.id} would have {cap.value} steps",
        "depth": f"run {execution.run.id} would be {cap.value} calls deep",
        "suspensions": f"its chain was suspended {cap.value} times",
        "suspensions_per_minute": f"its chain was suspended {cap.value} times in a minute",
    }[cap.setting]
    is_of_run = execution.run.held is not None
    place = execution.run.environment if is_of_run else execution.environment
    return _cap(state, cap, what, place)


def _crowded(state: State, execution: Execution) -> Reason | None:
    """All agents that could take it are full of waiting processes (WA-10)."""
    taking = [s for s in _matching(state, execution) if not s.draining]
    if not taking or not all(caps.is_crowded_with_waiting(state, s) for s in taking):
        return None
    value = max(len(s.blocked) for s in taking)
    allowed = state.setting(execution.environment, "waiting_processes")
    what = f"{value} executions wait in live processes of {_list([s.id for s in taking])}"
    cap = caps.Cap("waiting_processes", allowed, value)
    return _cap(state, cap, what, execution.environment)


def _cap(state: State, cap: caps.Cap, what: str, environment: str) -> Reason:
    name = state.environments[environment].name
    how = f"coflux env settings {name} --set {cap.setting}={2 * cap.value}"
    text = f"{what}; {cap.setting} of {name} allows {cap.allowed}: raise it with `{how}`"
    return Reason("cap", text, {**cap._asdict(), "environment": name, "how": how})


def _slotless(state: State, agenda: Agenda, execution: Execution, now: int) -> Reason | None:
    named = slots.units_of(execution)
    if not named or execution.id not in agenda.ready:
        return None
    lacking = slots.lacking(state, execution, now)
    if lacking:
        return _lacking(state, execution, lacking[0], now)
    for key, lane in agenda.lanes.get(execution.environment, {}).items():
        front = agenda.front(lane) if key.slots and set(dict(key.slots)) & set(named) else None
        if front is None or front[1] == execution.id:
            continue
        wanted = slots.keeps_for_itself(state, state.executions[front[1]], now)
        name = next((name for name in wanted if name in named), None)
        if name is not None:
            text = f"waits for a slot of {name}, which {front[1]} is to get first"
            return Reason("slot", text, {"slot": name, "before": front[1]})
    return None


def _lacking(state: State, execution: Execution, name: str, now: int) -> Reason:
    limit = slots.limit_of(state, name, execution.environment)
    free_at = slots.next_free(state, name, execution.environment, now)
    if free_at > now:
        text = f"waits for a slot of {name}, free in {_duration(free_at - now)}"
        rate = {"rate": limit.rate, "period_ms": limit.period_ms}
        return Reason("slot", text, {"slot": name, "next_at": free_at, **rate})
    found = [holder.id for holder in slots.holders(state, name, execution.environment)]
    wanted = slots.units_of(execution)[name]
    held = f", held by {_list(found)}" if found else ""
    units = f"{wanted} slots" if wanted > 1 else "a slot"
    text = f"waits for {units} of {name} ({limit.units} in all){held}"
    return Reason("slot", text, {"slot": name, "limit": limit.units, "holders": found})


# --- agents -------------------------------------------------------------------------------------


def _unhosted(state: State, execution: Execution) -> Reason | None:
    key = scheduling.lane_key(execution)
    if _hosting(state, key):
        return None
    name = target_id(key.repository, key.target)
    where = state.environments[key.environment].name
    text = f"waits for an agent that hosts {name} in {where}"
    hint, data = _nearest(state, key)
    return Reason("agent", text + (f"; {hint}" if hint else ""), {"target": name, **data})


def _nearest(state: State, key: LaneKey) -> tuple[str, dict[str, Any]]:
    """What comes closest to an agent that could run it, in words and as data."""
    place = (key.repository, key.target)
    there = [s for s in state.sessions.values() if s.environment == key.environment]
    connected = [s for s in there if s.connection is not None]
    for session in connected:
        found = session.targets.get(place)
        if found is not None and found.type != key.type:
            data: dict[str, Any] = {"missing": "type", "type": key.type, "hosted_type": found.type}
            return f"agent {session.id} hosts it as a {found.type}, not as a {key.type}", data
    if any(place in s.targets for s in connected):
        data = {"missing": "code", "code": key.code}
        return f"no agent has the code that was asked for ({(key.code or '')[:12]})", data
    for session in connected:
        if key.repository in session.failures:
            trace = session.failures[key.repository].strip()
            last = trace.splitlines()[-1] if trace else "no message"
            data = {"missing": "repository", "session": session.id, "failure": trace}
            return f"agent {session.id} could not import {key.repository}: {last}", data
    for session in there:
        if place in session.targets:
            data = {"missing": "connection", "session": session.id}
            return f"agent {session.id} hosts it and is not connected", data
    if place in state.pickles.get(key.environment, {}):
        return _generic(state.pickles[key.environment][place].python, connected)
    return _nearest_name(state, key, connected)


def _generic(python: str, connected: list[Session]) -> tuple[str, dict[str, Any]]:
    """What is missing for a target of a notebook, which any agent with its Python runs (CO-4)."""
    wanted = ".".join(python.split(".")[:2])
    other = next((s for s in connected if s.generic), None)
    data: dict[str, Any] = {"missing": "agent", "python": wanted}
    if other is not None:
        data = {"missing": "python", "python": wanted, "session": other.id}
        return f"agent {other.id} has Python {other.python}, and it needs {wanted}", data
    how = f"`coflux agent` without repositories, with Python {wanted}"
    return f"it is of a notebook: its kernel runs it, or a generic agent ({how})", data


def _nearest_name(
    state: State, key: LaneKey, connected: list[Session]
) -> tuple[str, dict[str, Any]]:
    elsewhere = next(
        (
            state.environments[s.environment].name
            for s in state.sessions.values()
            if s.connection is not None
            and s.environment != key.environment
            and (key.repository, key.target) in s.targets
        ),
        None,
    )
    if elsewhere is not None:
        data: dict[str, Any] = {"missing": "environment", "environment": elsewhere}
        return f"it is hosted in {elsewhere}", data
    if not connected:
        return "no agent is connected there", {"missing": "agent"}
    names = list(dict.fromkeys(target_id(*place) for s in connected for place in s.targets))
    close = difflib.get_close_matches(target_id(key.repository, key.target), names, 1, 0.5)
    if not close:
        return "", {"missing": "target"}
    return f"the nearest hosted is {close[0]}", {"missing": "target", "nearest": close[0]}


def _unmatched(state: State, execution: Execution) -> Reason | None:
    key = scheduling.lane_key(execution)
    requires = dict(key.requires)
    hosting = _hosting(state, key)
    if any(scheduling.matches(s, requires) for s in hosting):
        return None
    missing = {s.id: scheduling.missing_tags(s, requires) for s in hosting}
    unwanted = {s.id: scheduling.unwanted_tags(s, requires) for s in hosting}
    wanted = next((m for m in missing.values() if m), None)
    if wanted:
        text = f"no agent that hosts it provides {_tags(wanted)}"
    else:
        accepted = next(u for u in unwanted.values() if u)
        text = f"the agents that host it only accept work that requires {_tags(accepted)}"
    sessions = {s.id: {"missing": missing[s.id], "accepts": unwanted[s.id]} for s in hosting}
    return Reason("tags", text, {"requires": requires, "sessions": sessions})


def _draining(state: State, execution: Execution) -> Reason | None:
    matching = _matching(state, execution)
    if not all(s.draining for s in matching):
        return None
    agents = [s.id for s in matching]
    text = f"the only matching agents are draining: {_list(agents)}"
    return Reason("draining", text, {"agents": agents})


def _full(state: State, execution: Execution) -> Reason | None:
    taking = [s for s in _matching(state, execution) if not s.draining]
    if any(s.is_free for s in taking):
        return None
    agents = {s.id: [id for id in s.held if id not in s.blocked] for s in taking}
    slots = sum(s.concurrency for s in taking)
    text = f"all {slots} slots of {_list(list(agents))} are in use"
    return Reason("concurrency", text, {"agents": agents})


def _hosting(state: State, key: LaneKey) -> list[Session]:
    return [
        s
        for s in state.sessions.values()
        if s.environment == key.environment
        and s.connection is not None
        and scheduling.hosts(s, key)
    ]


def _matching(state: State, execution: Execution) -> list[Session]:
    key = scheduling.lane_key(execution)
    requires = dict(key.requires)
    return [s for s in _hosting(state, key) if scheduling.matches(s, requires)]


# --- words --------------------------------------------------------------------------------------


def _list(ids: list[str]) -> str:
    rest = len(ids) - _SHOWN
    return ", ".join(ids[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _tags(tags: Requires) -> str:
    return ", ".join(
        f"{key}:{'|'.join(values) if isinstance(values, tuple) else 'any'}"
        for key, values in tags.items()
    )


def _duration(ms: int) -> str:
    seconds = -(-ms // 1000)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"

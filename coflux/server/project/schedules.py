"""Operations on schedules (SD-1): checked when saved, shown with what comes next.

Belongs here: what each does with a call. Does not belong here: when an instant has come
(`timetable`), what follows then (core).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from coflux.errors import Forbidden, InvalidRequest, NotFound
from coflux.model import Definition, Options, Overrides, RetryPolicy, Value, target_id
from coflux.server.bodies import NewSchedule, RunOptions, SchedulePatch
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core.entities import Environment, Schedule
from coflux.server.core.schedules import WITHDRAWN
from coflux.server.core.specs import ScheduleSpec
from coflux.server.project import submissions
from coflux.server.project.calendar import calendar_of, upcoming
from coflux.server.project.calls import Call

#: Instants to come that are shown.
SHOWN = 3
#: Instants of the past that are shown with one schedule.
HISTORY = 50


async def list_schedules(call: Call) -> Any:
    return [show(call, schedule) for schedule in visible(call)]


async def create_schedule(call: Call) -> Any:
    body: NewSchedule = call.body
    environment = call.environment(body.environment, "admin")
    repository, target, definition = _target(environment, body.target)
    calendar_of(body.cron, body.zone)
    spec = ScheduleSpec(
        body.name, repository, target, body.cron, body.zone,
        _arguments(call, definition, body.arguments, body.keyword_arguments),
        overrides(body.options), body.catch_up, body.overlap,
    )  # fmt: skip
    done = await call.ask(
        lambda to: e.ScheduleRequested(to, environment.id, spec, body.paused), fx.Confirm
    )
    return show(call, call.state.schedules[done.data["id"]])


async def get_schedule(call: Call) -> Any:
    schedule = _find(call, "read")
    rows = call.orchestrator.store.reader.instants(schedule.id, HISTORY)
    history = [
        {"instant": x.instant, "run": x.started, "reason": x.reason or None, "at": x.at}
        for x in rows
    ]
    return {**show(call, schedule), "history": history}


async def update_schedule(call: Call) -> Any:
    schedule = _find(call, "admin")
    body: SchedulePatch = call.body
    spec = schedule.spec
    given = {
        name: value
        for name in ("cron", "zone", "catch_up", "overlap")
        if (value := getattr(body, name)) is not UNSET
    }
    calendar_of(given.get("cron", spec.cron), given.get("zone", spec.zone))
    changes: dict[str, Any] = dict(given)
    if body.arguments is not UNSET or body.keyword_arguments is not UNSET:
        environment = call.state.environments[schedule.environment]
        _, _, definition = _target(environment, target_id(spec.repository, spec.target))
        positional = body.arguments if body.arguments is not UNSET else []
        named = body.keyword_arguments if body.keyword_arguments is not UNSET else {}
        changes["arguments"] = _arguments(call, definition, positional, named)
    if body.options is not UNSET:
        changes["options"] = overrides(body.options)
    return await _change(call, schedule, spec=msgspec.structs.replace(spec, **changes))


async def pause_schedule(call: Call) -> Any:
    return await _change(call, _find(call, "admin"), paused=True)


async def resume_schedule(call: Call) -> Any:
    return await _change(call, _find(call, "admin"), paused=False)


async def delete_schedule(call: Call) -> Any:
    schedule = _find(call, "admin")
    await call.ask(
        lambda to: e.ScheduleChangeRequested(to, schedule.id, is_deleted=True), fx.Confirm
    )
    return {"ok": True}


def visible(call: Call) -> list[Schedule]:
    """Schedules of the environment of the query, or of all that may be read."""
    wanted = {environment.id for environment in call.chosen()}
    return [s for s in call.state.schedules.values() if s.environment in wanted]


def show(call: Call, schedule: Schedule) -> dict[str, Any]:
    """A schedule with the instants to come."""
    spec = schedule.spec
    environment = call.state.environments[schedule.environment]
    calendar = calendar_of(spec.cron, spec.zone)
    after = max(call.orchestrator.now(), schedule.cursor)
    return {
        "id": schedule.id,
        "name": spec.name,
        "environment": environment.name,
        "target": target_id(spec.repository, spec.target),
        "arguments": {name: value.preview for name, value in spec.arguments.items()},
        "options": msgspec.to_builtins(spec.options),
        "cron": spec.cron,
        "zone": spec.zone,
        "catch_up": spec.catch_up,
        "overlap": spec.overlap,
        "state": "paused" if schedule.paused else "active",
        "declared": schedule.declaration not in (None, WITHDRAWN),
        "next": [] if schedule.paused else list(upcoming(calendar, after, SHOWN)),
        "run": schedule.run,
        "problem": schedule.problem,
        "unfinished": list(schedule.runs),
        "created_by": schedule.by,
    }


def overrides(given: RunOptions) -> Overrides:
    """Options of a submission as the core keeps them."""
    found = {
        name: value
        for name in RunOptions.__struct_fields__
        if (value := getattr(given, name)) is not UNSET
    }
    if isinstance(found.get("retries"), int):
        found["retries"] = RetryPolicy(limit=found["retries"])
    made = Overrides(**found)
    submissions.check_options(made.over(Options()))
    return made


def check_declared(definitions: tuple[Definition, ...]) -> None:
    """Refuse a registration whose schedules cannot be (SD-1)."""
    for definition in definitions:
        for schedule in definition.schedules:
            calendar_of(schedule.cron, schedule.zone)
            submissions.complete(definition, schedule.arguments, None)


def _find(call: Call, right: Any) -> Schedule:
    schedule = call.state.schedules.get(call.path["id"])
    environment = call.state.environments[schedule.environment] if schedule is not None else None
    if schedule is None or environment is None:
        raise NotFound(f"There is no schedule {call.path['id'][:80]!r}.", field="id")
    if not call.principal.may("read", environment.name):
        raise NotFound(f"There is no schedule {call.path['id'][:80]!r}.", field="id")
    if not call.principal.may(right, environment.name):
        raise Forbidden(f"The token does not give the right to {right} in {environment.name!r}.")
    return schedule


def _target(environment: Environment, target: str) -> tuple[str, str, Definition]:
    repository, _, name = target.rpartition("/")
    if not repository:
        message = f"Name the target as repository/target, not {target!r}."
        raise InvalidRequest(message, field="target")
    return repository, name, submissions.registered(environment, repository, name)


def _arguments(
    call: Call, definition: Definition, positional: list[Any], named: dict[str, Any]
) -> dict[str, Value]:
    return submissions.bind_given(definition, positional, named, call.project.blobs)


async def _change(call: Call, schedule: Schedule, **fields: Any) -> Any:
    await call.ask(lambda to: e.ScheduleChangeRequested(to, schedule.id, **fields), fx.Confirm)
    return show(call, schedule)

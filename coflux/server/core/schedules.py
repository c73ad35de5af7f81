"""Runs started by the calendar: exactly once for each instant (SD).

The shell knows calendars and says which instants have come; here is decided which of them start a
run. Belongs here: catching up, overlap, declarations in code. Does not belong here: cron, zones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from coflux.model import Definition, digest, target_id
from coflux.model import Schedule as Declared
from coflux.server.core import submission as submissions
from coflux.server.core.changes import ScheduleAdvanced, ScheduleSet
from coflux.server.core.effects import Confirm
from coflux.server.core.entities import Environment, Schedule
from coflux.server.core.events import (
    Caller,
    ScheduleChangeRequested,
    ScheduleDue,
    ScheduleRequested,
)
from coflux.server.core.specs import ScheduleSpec
from coflux.server.core.turn import Turn

#: Schedules of an environment (section 32).
LIMIT = 1_000
#: Missed instants that `all` catches up with (SD-4).
CAUGHT_UP = 100
_CATCHES_UP = {"none": 0, "latest": 1, "all": CAUGHT_UP}
NAME_LIMIT = 201
#: Declaration of a schedule whose code does not declare it any more.
WITHDRAWN = b""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")
_encode = msgspec.msgpack.Encoder(order="deterministic").encode


def requested(turn: Turn, event: ScheduleRequested) -> None:
    """Make a schedule (SD-1)."""
    environment = turn.state.environments.get(event.environment)
    if environment is None or environment.state == "archived":
        turn.refuse(event.to, "not_found", "there is no such environment", "environment")
        return
    if not _is_allowed(turn, event.to, environment, event.spec):
        return
    id = turn.source.id("D")
    turn.record(
        ScheduleSet(id, environment.id, event.spec, event.paused, None, event.to.by, turn.now)
    )
    turn.send(Confirm(event.to, {"id": id}))


def change_requested(turn: Turn, event: ScheduleChangeRequested) -> None:
    """Change, pause, resume or delete a schedule; by hand, until its declaration changes (SD-6)."""
    schedule = turn.state.schedules.get(event.schedule)
    if schedule is None:
        turn.refuse(event.to, "not_found", f"there is no schedule {event.schedule}", "id")
        return
    spec = None if event.is_deleted else event.spec or schedule.spec
    paused = schedule.paused if event.paused is None else event.paused
    if (spec, paused) != (schedule.spec, schedule.paused):
        _set(turn, schedule, spec, paused, schedule.declaration, event.to.by)
    turn.send(Confirm(event.to, {"id": event.schedule}))


def due(turn: Turn, event: ScheduleDue) -> None:
    """Instants have come: each starts a run, or none and it is recorded why (SD-2, SD-4, SD-5)."""
    schedule = turn.state.schedules.get(event.schedule)
    if schedule is None:
        return
    instants = [instant for instant in event.instants if instant > schedule.cursor]
    if not instants:
        return
    if schedule.paused or not turn.state.is_active(schedule.environment):
        _advance(turn, schedule, instants[-1], "paused")
        return
    left_out = _left_out(schedule, instants, event)
    if left_out or event.has_more:
        last = instants[left_out - 1] if left_out else instants[0] - 1
        _advance(turn, schedule, last, f"missed ({left_out}{' and more' * event.has_more})")
    caught_up = _missed(instants, event) - left_out if schedule.spec.catch_up == "all" else 0
    for position, instant in enumerate(instants[left_out:]):
        _fire(turn, schedule, instant, event, is_caught_up=position < caught_up)


def _left_out(schedule: Schedule, instants: list[int], event: ScheduleDue) -> int:
    """How many of the missed ones, which are the oldest, are not caught up with (SD-4)."""
    return max(0, _missed(instants, event) - _CATCHES_UP[schedule.spec.catch_up])


def _missed(instants: list[int], event: ScheduleDue) -> int:
    """How many of the instants that were not decided yet were missed."""
    known = len(event.instants) - len(instants)
    return max(0, event.missed - known)


def resumed(turn: Turn, environment: str) -> None:
    """What an environment missed while it was paused is dropped (SD-4)."""
    for schedule in turn.state.schedules.values():
        if schedule.environment == environment and schedule.cursor < turn.now:
            _advance(turn, schedule, turn.now, "paused")


def end_all(turn: Turn, environment: str, by: str) -> None:
    """An environment is archived, and its schedules end (SD-6)."""
    for schedule in list(turn.state.schedules.values()):
        if schedule.environment == environment:
            _set(turn, schedule, None, True, schedule.declaration, by)


def problem_of(
    turn: Turn, environment: Environment, manifests: Mapping[str, tuple[Definition, ...]]
) -> str:
    """What keeps the schedules that a registration declares from being saved, or nothing."""
    names: dict[str, str] = {}
    for repository, definitions in manifests.items():
        for definition in definitions:
            for declared in definition.schedules:
                spec = _spec(repository, definition, declared)
                if spec.name in names:
                    return f"schedule {spec.name!r} is declared twice"
                names[spec.name] = target_id(repository, definition.name)
                problem = _name_problem(spec.name) or _clash(turn, environment, spec)
                if problem:
                    return problem
    mine = [s for s in turn.state.schedules.values() if s.environment == environment.id]
    others = [s for s in mine if s.spec.name not in names]
    if names and len(others) + len(names) > LIMIT:
        return f"an environment has at most {LIMIT} schedules"
    return ""


def register(
    turn: Turn, environment: Environment, repository: str, definitions: tuple[Definition, ...],
    by: str,
) -> None:  # fmt: skip
    """Save what is declared, where it has changed; pause what is declared no more (SD-6)."""
    declared: dict[str, None] = {}
    for definition in definitions:
        for one in definition.schedules:
            spec = _spec(repository, definition, one)
            declared[spec.name] = None
            declaration = digest(_encode(spec), b"paused" if one.paused else b"")
            known = turn.state.schedule_named(environment.id, spec.name)
            if known is None:
                id = turn.source.id("D")
                turn.record(
                    ScheduleSet(id, environment.id, spec, one.paused, declaration, by, turn.now)
                )
            elif known.declaration != declaration:
                _set(turn, known, spec, one.paused, declaration, by)
    for schedule in list(turn.state.schedules.values()):
        is_ours = (schedule.environment, schedule.spec.repository) == (environment.id, repository)
        is_declared = schedule.declaration not in (None, WITHDRAWN)
        if is_ours and is_declared and schedule.spec.name not in declared:
            _set(turn, schedule, schedule.spec, True, WITHDRAWN, by)


def _fire(
    turn: Turn, schedule: Schedule, instant: int, event: ScheduleDue, is_caught_up: bool
) -> None:
    earlier = next(iter(schedule.runs), None)
    # Those of which all were wanted come at once; they would skip each other, and run in order.
    overlap = "queue" if is_caught_up and schedule.spec.overlap == "skip" else schedule.spec.overlap
    if event.submission is None:
        _advance(turn, schedule, instant, event.problem or "there is nothing to start")
    elif earlier is not None and overlap == "skip":
        _advance(turn, schedule, instant, f"overlap: {earlier} is not finished")
    else:
        run = submissions.start(
            turn, turn.state.environments[schedule.environment], event.submission,
            f"schedule {schedule.spec.name}", schedule=schedule.id, scheduled_at=instant,
            is_in_turn=overlap == "queue",
        ).run  # fmt: skip
        turn.record(ScheduleAdvanced(schedule.id, instant, run.id, "", turn.now))


def _advance(turn: Turn, schedule: Schedule, instant: int, reason: str) -> None:
    turn.record(ScheduleAdvanced(schedule.id, instant, None, reason, turn.now))


def _set(
    turn: Turn, schedule: Schedule, spec: ScheduleSpec | None, paused: bool,
    declaration: bytes | None, by: str,
) -> None:  # fmt: skip
    turn.record(
        ScheduleSet(schedule.id, schedule.environment, spec, paused, declaration, by, turn.now)
    )
    if spec is None:  # runs that it has started go on, and nothing is left to order them
        turn.agenda.let_in(turn.state, schedule.id)


def _spec(repository: str, definition: Definition, declared: Declared) -> ScheduleSpec:
    return ScheduleSpec(
        declared.name or target_id(repository, definition.name), repository, definition.name,
        declared.cron, declared.zone, declared.arguments, catch_up=declared.catch_up,
        overlap=declared.overlap,
    )  # fmt: skip


def _is_allowed(turn: Turn, to: Caller, environment: Environment, spec: ScheduleSpec) -> bool:
    problem = _name_problem(spec.name)
    if problem:
        turn.refuse(to, "invalid", problem, "name")
    elif turn.state.schedule_named(environment.id, spec.name) is not None:
        message = f"schedule {spec.name!r} exists already in {environment.name}"
        turn.refuse(to, "conflict", message, "name")
    elif sum(s.environment == environment.id for s in turn.state.schedules.values()) >= LIMIT:
        turn.refuse(to, "invalid", f"an environment has at most {LIMIT} schedules")
    else:
        return True
    return False


def _name_problem(name: str) -> str:
    if _NAME.fullmatch(name) and len(name) <= NAME_LIMIT:
        return ""
    return f"{name!r} is not a name of a schedule: use letters, digits, _, -, . and /"


def _clash(turn: Turn, environment: Environment, spec: ScheduleSpec) -> str:
    known = turn.state.schedule_named(environment.id, spec.name)
    if known is None or (known.declaration is not None and known.spec.target == spec.target):
        return ""
    if known.declaration is not None and known.spec.repository == spec.repository:
        return ""
    return (
        f"a schedule {spec.name!r} exists already in {environment.name} and is not this code's;"
        " delete it, or declare this one under another name"
    )

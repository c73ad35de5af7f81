"""Schedules as code declares them (SD-6): forms that users write, checked where they are written.

Belongs here: `cf.Schedule` and the forms of the option `schedule`. Does not belong here: when an
instant comes, which the server knows.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Union

from coflux import model

_CATCH_UP = ("none", "latest", "all")
_OVERLAP = ("skip", "queue", "allow")


@dataclass(frozen=True)
class Schedule:
    """When a workflow is started by the calendar, where it is registered.

    `cron` has five fields (minute, hour, day, month, weekday) in the time zone `zone` (IANA).
    `arguments` are by parameter name. `name` is the schedule's, unless it is called
    `repository/target`. `catch_up` says what becomes of instants that came while the server was
    away: `none`, `latest` or `all` (the newest 100); `overlap` what an instant does while the
    previous run is not finished: `skip`, `queue` or `allow`. A `paused` one is resumed by hand.
    """

    cron: str
    zone: str = "UTC"
    arguments: Mapping[str, Any] | None = None
    name: str | None = None
    catch_up: str = "none"
    overlap: str = "skip"
    paused: bool = False


ScheduleForm = Union[str, Schedule, Iterable[Union[str, Schedule]], None]


def parse_schedules(value: ScheduleForm, signature: inspect.Signature) -> tuple[Schedule, ...]:
    """The schedules of `schedule=value`; raises `TypeError` or `ValueError` for a wrong form."""
    if value is None:
        return ()
    forms: Iterable[Any] = (value,) if isinstance(value, (str, Schedule)) else value
    if not isinstance(forms, Iterable):
        raise TypeError(f"schedule must be a cron expression or cf.Schedule(…), not {value!r}")
    found = tuple(_parse(each, signature) for each in forms)
    names = [each.name for each in found]
    if len(set(names)) < len(names):
        raise ValueError("of several schedules each needs a name of its own")
    return found


def encode_schedules(schedules: tuple[Schedule, ...], encode: Any) -> tuple[model.Schedule, ...]:
    """The schedules as a manifest has them; `encode` takes a value and what to call it."""
    return tuple(
        model.Schedule(
            each.cron, each.zone, each.name,
            {name: encode(v, f"schedule.{name}") for name, v in (each.arguments or {}).items()},
            each.catch_up, each.overlap, each.paused,  # type: ignore[arg-type]  # checked before
        )
        for each in schedules
    )  # fmt: skip


def _parse(value: object, signature: inspect.Signature) -> Schedule:
    schedule = Schedule(value) if isinstance(value, str) else value
    if not isinstance(schedule, Schedule):
        raise TypeError(f"schedule must be a cron expression or cf.Schedule(…), not {value!r}")
    _check_rule(schedule.cron, schedule.zone)
    for name, word, words in (
        ("catch_up", schedule.catch_up, _CATCH_UP), ("overlap", schedule.overlap, _OVERLAP),
    ):  # fmt: skip
        if word not in words:
            raise ValueError(f"schedule.{name} must be one of {', '.join(words)}, not {word!r}")
    if schedule.name is not None and not isinstance(schedule.name, str):
        raise TypeError(f"schedule.name must be a string, not {schedule.name!r}")
    try:
        signature.bind(**(schedule.arguments or {}))
    except TypeError as error:
        raise TypeError(f"schedule.arguments: {error}") from None
    return schedule


def _check_rule(cron: object, zone: object) -> None:
    # Only code that has a schedule needs these.
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from cronsim import CronSim, CronSimError

    if not isinstance(cron, str) or len(cron.split()) != 5:
        raise ValueError(
            f"a cron expression has five fields (minute, hour, day, month, weekday), not {cron!r}"
        )
    try:
        CronSim(cron, datetime(2000, 1, 1))
    except CronSimError as error:
        raise ValueError(f"{cron!r} is no cron expression: {error}") from None
    try:
        ZoneInfo(zone)  # type: ignore[arg-type]  # what is no string is refused as well
    except (TypeError, ValueError, KeyError, OSError):
        raise ValueError(f"there is no time zone {zone!r}, such as Europe/Berlin or UTC") from None

"""What people configure, as values that events, changes and entities share.

Belongs here: frozen records of named slots and schedules. Does not belong here: rules on them.
"""

from __future__ import annotations

from coflux.model import CatchUp, Overlap, Overrides, Record, Value


class SlotLimit(Record):
    """What a named slot allows: units at a time, assignments in a period; None = no such limit."""

    units: int | None
    rate: int | None = None
    period_ms: int | None = None


class ScheduleSpec(Record):
    """What a schedule starts and when (SD-1)."""

    name: str
    repository: str
    target: str
    cron: str
    zone: str = "UTC"
    #: Arguments that were given, by parameter; bound to the target's manifest at each instant.
    arguments: dict[str, Value] = {}
    options: Overrides = Overrides()
    catch_up: CatchUp = "none"
    overlap: Overlap = "skip"

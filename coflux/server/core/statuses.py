"""The statuses of an execution and the table of transitions (ST-1, SEMANTICS.md section 5).

All that decides a status lives here; the documentation's diagram is drawn from `TRANSITIONS`. A
pair that is not in the table changes nothing.
"""

from __future__ import annotations

from enum import Enum


class Status(str, Enum):
    """Where an execution is."""

    QUEUED = "queued"
    ASSIGNED = "assigned"
    RUNNING = "running"
    WAITING = "waiting"
    ENDED = "ended"


class Trigger(str, Enum):
    """The facts that move it, by the tag of the change."""

    ASSIGNED = "assigned"
    STARTED = "started"
    BLOCKED = "blocked"
    UNBLOCKED = "unblocked"
    RESULT = "result"


class Process(str, Enum):
    """Whether anything of it may still be alive on an agent."""

    NONE = "none"
    ALIVE = "alive"
    STOPPING = "stopping"
    GONE = "gone"


TRANSITIONS: dict[tuple[Status, Trigger], Status] = {
    (Status.QUEUED, Trigger.ASSIGNED): Status.ASSIGNED,  # T6
    (Status.ASSIGNED, Trigger.STARTED): Status.RUNNING,  # T7
    (Status.RUNNING, Trigger.BLOCKED): Status.WAITING,  # T9
    (Status.WAITING, Trigger.UNBLOCKED): Status.RUNNING,  # T10
    (Status.QUEUED, Trigger.RESULT): Status.ENDED,  # T3-T5, T17-T20
    (Status.ASSIGNED, Trigger.RESULT): Status.ENDED,  # T11-T18
    (Status.RUNNING, Trigger.RESULT): Status.ENDED,
    (Status.WAITING, Trigger.RESULT): Status.ENDED,
}


def next_status(status: Status, trigger: Trigger) -> Status:
    """The status after the fact; the same where the table has no entry (T21)."""
    return TRANSITIONS.get((status, trigger), status)

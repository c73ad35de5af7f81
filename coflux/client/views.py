"""Runs, steps and attempts as the server describes them.

Belongs here: the shapes of the answers about runs, read tolerantly (a newer server may say more).
Does not belong here: asking for them, and how they are shown.
"""

from __future__ import annotations

from typing import Any

import msgspec

from coflux.client.statuses import FINISHED


class _View(msgspec.Struct, frozen=True):
    """A part of an answer; unknown fields are ignored."""


class Attempt(_View, frozen=True):
    """One execution of a step."""

    execution: str
    environment: str = ""
    #: Why it was made: submit, retry, resume, recurrence, relink, rerun or manual.
    origin: str = "submit"
    #: A status, or the kind of result once it has ended.
    status: str = "queued"
    #: Why it is queued: {"code", "text", …}.
    reason: Any = None
    #: {"kind", …} once it has ended.
    result: dict[str, Any] | None = None
    code: Any = None
    #: Whether the target has other code now.
    older_code: bool = False
    #: Why the cache was hit or missed.
    cache: Any = None
    children: Any = ()
    dependencies: Any = ()
    created_at: int | None = None
    due_at: int | None = None
    assigned_at: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    #: Who asked for this attempt, and why, where somebody did.
    by: str | None = None
    note: str | None = None

    @property
    def number(self) -> int:
        """The attempt's number in its step."""
        return int(self.execution.rsplit(":", 1)[-1])


class Step(_View, frozen=True):
    """One call in a run, with its attempts, oldest first."""

    step: str
    target: str = ""
    type: str = "task"
    #: The execution that made the step; None for the initial step.
    parent: str | None = None
    group: Any = None
    #: Previews by name.
    arguments: dict[str, Any] = {}
    executions: tuple[Attempt, ...] = ()
    options: Any = None

    @property
    def id(self) -> str:
        """`RUN:STEP`."""
        return self.step

    @property
    def latest(self) -> Attempt | None:
        """The attempt with the highest number."""
        return max(self.executions, key=lambda attempt: attempt.number, default=None)


class RunView(_View, frozen=True):
    """A run with its steps, as it was when asked."""

    run: str
    target: str = ""
    environment: str = ""
    status: str = "queued"
    parent: Any = None
    created_at: int | None = None
    steps: tuple[Step, ...] = ()
    groups: Any = None
    #: Targets of which more than one version of the code ran.
    mixed_code: tuple[str, ...] = ()
    #: The cap that holds it back (SC-9): {"setting", "value"}.
    held: dict[str, Any] | None = None
    #: Who wants it kept for ever, and since when: {"by", "at"}.
    pinned: dict[str, Any] | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the run's outcome is final."""
        return self.status in FINISHED


def run_view(body: Any) -> RunView:
    """The run in an answer of `GET /runs/{run}`."""
    return msgspec.convert(body, RunView, strict=False)

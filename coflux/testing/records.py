"""What a test can look at afterwards. Nothing else belongs here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """A call in a run, with its attempts."""

    #: `RUN:STEP`.
    id: str
    #: `repository/name`.
    target: str
    #: `RUN:STEP` of the step that called it; None for the first.
    parent: str | None
    #: What it was called with, by name.
    arguments: dict[str, Any]
    #: How each attempt stands or ended: `value`, `error`, `cached`, `queued`, …
    attempts: tuple[str, ...]

    @property
    def name(self) -> str:
        """The target's name, without its repository."""
        return self.target.rpartition("/")[2]

    @property
    def status(self) -> str:
        """Of the last attempt."""
        return self.attempts[-1]

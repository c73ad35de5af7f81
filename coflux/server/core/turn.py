"""One event being handled: what the rules read, record and send.

Belongs here: the hand that rules write with. Does not belong here: any rule.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from coflux.server.core.agenda import Agenda
from coflux.server.core.changes import Change
from coflux.server.core.effects import Effect, Refuse
from coflux.server.core.entities import Execution
from coflux.server.core.events import Requester
from coflux.server.core.limits import Limits as Limits
from coflux.server.core.state import State


class Source(Protocol):
    """Randomness and fresh ids, from outside."""

    def id(self, prefix: str) -> str:
        """An id that nothing has or had (ID-1)."""

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high]."""


class Turn:
    """Reads `state`, `agenda` and `now`; writes through `record` and `send`."""

    __slots__ = (
        "agenda",
        "changes",
        "effects",
        "ended",
        "ended_inputs",
        "limits",
        "now",
        "source",
        "state",
    )

    def __init__(
        self, state: State, agenda: Agenda, source: Source, limits: Limits, now: int
    ) -> None:
        self.state = state
        self.agenda = agenda
        self.source = source
        self.limits = limits
        self.now = now
        self.changes: list[Change] = []
        self.effects: list[Effect] = []
        #: Executions that got a result and whose waiters have not been told.
        self.ended: deque[Execution] = deque()
        #: The same of inputs.
        self.ended_inputs: deque[str] = deque()

    def record(self, change: Change) -> None:
        """Make something a fact."""
        self.state.apply(change)
        self.changes.append(change)

    def send(self, effect: Effect) -> None:
        """Wish for something, after the commit."""
        self.effects.append(effect)

    def refuse(self, to: Requester, code: str, message: str, field: str | None = None) -> None:
        """Answer no."""
        self.send(Refuse(to, code, message, field))

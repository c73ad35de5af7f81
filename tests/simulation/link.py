"""A connection: ordered both ways, slow, and gone in the middle of things."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.simulation.clock import Clock

Take = Callable[["Link", list[Any]], None]


class Link:
    """Frames between one agent and the server. What is on the way when it breaks is lost."""

    def __init__(self, number: int, clock: Clock, rng: random.Random) -> None:
        self.number = number
        self.is_open = True
        self._clock = clock
        self._rng = rng
        #: When the newest frame of each direction arrives; none overtakes another.
        self._arrival = {"up": 0, "down": 0}
        self.to_server: Take = _ignore
        self.to_agent: Take = _ignore
        #: Called once when it is broken, on either side.
        self.agent_hears: Callable[[Link], None] = lambda link: None
        self.server_hears: Callable[[Link], None] = lambda link: None
        #: Highest number that came, and that has been acknowledged.
        self.received = 0
        self.session = ""

    def send_up(self, messages: list[Any]) -> None:
        """From the agent to the server."""
        self._send("up", messages, lambda: self.to_server)

    def send_down(self, messages: list[Any]) -> None:
        """From the server to the agent."""
        self._send("down", messages, lambda: self.to_agent)

    def _send(self, way: str, messages: list[Any], take: Callable[[], Take]) -> None:
        if not self.is_open:
            return
        at = max(self._clock.now + self._rng.choice([0, 1, 1, 2, 20]), self._arrival[way])
        self._arrival[way] = at

        def deliver() -> None:
            if self.is_open:
                take()(self, messages)

        self._clock.after(at - self._clock.now, deliver)

    def cut(self) -> None:
        """Both sides find out, sooner or later."""
        if not self.is_open:
            return
        self.is_open = False
        self._clock.after(self._rng.choice([0, 5, 50]), lambda: self.agent_hears(self))
        self._clock.after(self._rng.choice([0, 5, 2_000]), lambda: self.server_hears(self))


def _ignore(link: Link, messages: list[Any]) -> None:
    """Nobody listens yet."""

"""Randomness and fresh ids for the core, from the operating system (ID-1)."""

from __future__ import annotations

import random
from collections.abc import Callable

from coflux.model import SYMBOLS

LENGTH = 6


class RandomSource:
    """Draws ids until one is free, each time one symbol longer."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()
        #: Asks the store; also what was drawn and not written yet counts.
        self.is_taken: Callable[[str], bool] = lambda id: False
        self._drawn: set[str] = set()

    def id(self, prefix: str) -> str:
        """An id that nothing has or had."""
        length = LENGTH
        while True:
            id = prefix + "".join(self._random.choices(SYMBOLS, k=length))
            if id not in self._drawn and not self.is_taken(id):
                break
            length += 1
        if len(self._drawn) > 10_000:  # all but the newest are in the store by now
            self._drawn.clear()
        self._drawn.add(id)
        return id

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high]."""
        return self._random.uniform(low, high)

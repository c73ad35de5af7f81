"""Long work on the loop in steps of a few milliseconds, with pauses in which others have it.

Belongs here: how much fits into a step. Does not belong here: what a step does.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

#: What a step may take, in seconds, and how many times as long others have the loop then.
STEP_S, PAUSES = 0.005, 3
#: Things that the first step takes; the next as many as fit into `STEP_S`, within these bounds.
PORTION, LEAST, MOST = 200, 20, 5_000


class Pace:
    """How much is done in one step."""

    def __init__(self) -> None:
        self.portion = PORTION

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """One step, whose time says how much the next may do."""
        begun = time.monotonic()
        yield
        took = max(time.monotonic() - begun, 1e-4)
        wanted = int(self.portion * min(2.0, STEP_S / took))
        self.portion = max(LEAST, min(MOST, wanted))


async def breathe() -> None:
    """Let others have the loop, after a step."""
    await asyncio.sleep(STEP_S * PAUSES)

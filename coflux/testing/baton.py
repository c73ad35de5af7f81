"""One at a time: threads that run user code by turns with whoever drives them.

Belongs here: handing over. While a thread has its turn the driver waits, and the other way round,
so that a test goes the same way each time. Does not belong here: who is next (`engine`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Stopped(BaseException):
    """The execution is over; its code ends where it waits."""


class Turns:
    """The driver's side."""

    def __init__(self) -> None:
        self._back = threading.Semaphore(0)

    def give(self, turn: threading.Semaphore) -> None:
        """Let a thread go on, and wait until it waits again or ends."""
        turn.release()
        self._back.acquire()

    def back(self) -> None:
        """From a thread: it waits, or has ended."""
        self._back.release()


class Runner:
    """A thread that runs one execution by turns."""

    def __init__(self, turns: Turns, work: Callable[[], None]) -> None:
        self._turns = turns
        self._work = work
        #: The first turn.
        self.begin = threading.Semaphore(0)
        # A daemon: code that is stuck in something of its own must not hold up the end.
        self._thread = threading.Thread(target=self._run, name="coflux-test", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.begin.acquire()
        try:
            self._work()
        finally:
            self._turns.back()

    def wait(self, turn: threading.Semaphore) -> None:
        """From inside: let the driver go on until it gives this turn."""
        self._turns.back()
        turn.acquire()

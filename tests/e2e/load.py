"""Submitting without end, through every outage, and remembering what was acknowledged.

Belongs here: the client's side of the crash tests. Does not belong here: killing, and checking.
"""

from __future__ import annotations

import random
import threading
from typing import Any

from coflux.client import Client
from coflux.errors import Unavailable

#: Runs that are waited for at once.
_OPEN = 14
#: Between two looks at the runs, in seconds.
_LOOK_S = 0.02


class Load:
    """A thread that keeps some runs going; a context manager."""

    def __init__(self, client: Client, seed: int) -> None:
        self._client = client
        self._random = random.Random(seed)
        self._seed = seed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="load")
        self._error: BaseException | None = None
        #: Run -> target and number, of every submission that was acknowledged.
        self.acknowledged: dict[str, tuple[str, int]] = {}
        #: Run -> its outcome as it was first told.
        self.told: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        number = 0
        try:
            while not self._stop.is_set():
                if len(self.acknowledged) - len(self.told) < _OPEN:
                    number += 1
                    self._submit(number)
                self.look()
                self._stop.wait(_LOOK_S)
        except BaseException as error:
            self._error = error
            raise

    def _submit(self, number: int) -> None:
        target = self._random.choice(["job", "job", "job", "fragile", "suspending"])
        key = f"{self._seed}-{number}"
        while not self._stop.is_set():
            try:
                # Asked again with the same key when nobody knows whether it arrived.
                run = self._client.start(f"crash/{target}", (number,), idempotency_key=key)
            except Unavailable:
                self._stop.wait(_LOOK_S)
                continue
            assert run.id not in self.acknowledged, f"{run.id} was given for two keys"
            self.acknowledged[run.id] = (target, number)
            return

    def look(self) -> bool:
        """See which outcomes are there; True when none is missing."""
        for run in [each for each in self.acknowledged if each not in self.told]:
            try:
                outcome = self._client.outcome(run)
            except Unavailable:
                return False
            if outcome.kind is not None:
                self.told[run] = outcome.body
        return len(self.told) == len(self.acknowledged)

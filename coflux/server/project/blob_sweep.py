"""Which of a project's blobs nothing needs, and having them removed (DM-3).

Belongs here: who needs blobs. Does not belong here: files (`blobs.sweeping`), which runs there are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path

from coflux.blobs import sweeping
from coflux.server.core.state import State
from coflux.server.project.orchestrator import Orchestrator
from coflux.server.project.watching import Watch
from coflux.server.store import reaching

#: Seconds without a byte after which a blob in the making counts as given up, whatever the grace.
UNFINISHED_S = 24 * 3_600.0


class BlobSweep:
    """One look over all blobs: mark what is needed, then remove (or count) the others.

    It is made on the loop and carried out in a thread.
    """

    def __init__(
        self, orchestrator: Orchestrator, folder: Path, watch: Watch, without: Collection[str] = ()
    ) -> None:
        state = orchestrator.machine.state
        active = [e.id for e in state.environments.values() if e.state != "archived"]
        grace = max(state.setting(e, "blob_grace_ms") for e in active or state.environments)
        self._orchestrator = orchestrator
        self._folder = folder
        self._watch = watch
        #: Runs that are taken for gone.
        self._without = frozenset(without)
        self._announced = _announced(state)
        self._since = orchestrator.now() - grace

    def count(self) -> tuple[int, int]:
        """How many blobs would go, and their bytes."""
        found = list(sweeping.unneeded(self._folder, self._mark(), self._since / 1000))
        return len(found), sum(size for _, size in found)

    def remove(self, is_enough: Callable[[], bool]) -> tuple[int, int]:
        """How many blobs have gone, and their bytes; stops when it is enough."""
        sweeping.put_back(self._folder)
        sweeping.remove_unfinished(self._folder, time.time() - UNFINISHED_S)
        is_needed, before = self._mark(), self._since / 1000
        count = total = 0
        for key, size in sweeping.unneeded(self._folder, is_needed, before):
            if is_enough():
                break
            if sweeping.remove(self._folder, key, is_needed, before):
                count, total = count + 1, total + size
        return count, total

    def _mark(self) -> Callable[[str], bool]:
        needed = self._orchestrator.store.removal.blobs(self._since, self._without)
        needed |= self._announced | self._orchestrator.logs.trimming.blobs()
        noted = self._watch.noted
        return lambda key: key in needed or key in noted


def _announced(state: State) -> set[str]:
    """What the targets of connected agents hold on to."""
    return {
        target
        for session in state.sessions.values()
        for definition in session.targets.values()
        for target in reaching.of_definition(definition)
    }

"""Reading the facts of a finished run in another thread before an event that names it is decided.

A re-run or a cancellation of a big finished run needs all of its facts in memory; reading them
takes longer than the loop may stand still. Belongs here: reading them ahead, and noticing that what
was read has become old. Does not belong here: applying them (`Machine.fetch`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, nullcontext

from coflux.model import run_of
from coflux.server.core import events as e
from coflux.server.core.changes import Change
from coflux.server.project.uncollected import uncollected

Facts = list[Change]


class ReadAhead:
    """Facts of runs that events under way name. `read` gives those of a family, in any thread."""

    def __init__(self, read: Callable[[str], Facts]) -> None:
        self._read = read
        self._facts: dict[str, Facts] = {}
        self._users: dict[str, int] = {}
        #: Runs whose family was in memory since reading began, where it may have changed.
        self._stale: set[str] = set()

    @asynccontextmanager
    async def of(self, event: e.Event, known: Collection[str]) -> AsyncIterator[None]:
        """Within the block, the facts of what the event names and is not `known` are at hand."""
        wanted = [run for run in _named(event) if run not in known]
        for run in wanted:
            self._users[run] = self._users.get(run, 0) + 1
        try:
            with uncollected() if wanted else nullcontext():
                for run in wanted:
                    if run not in self._facts:
                        facts = await asyncio.to_thread(self._read, run)
                        if run not in self._stale:
                            self._facts[run] = facts
                yield
        finally:
            for run in wanted:
                self._users[run] -= 1
                if not self._users[run]:
                    del self._users[run]
                    self._facts.pop(run, None)
                    self._stale.discard(run)

    def take(self, run: str) -> Facts | None:
        """What was read ahead and still holds; None for nothing."""
        return self._facts.pop(run, None)

    def evicting(self, family: Collection[str]) -> None:
        """These runs leave memory now, perhaps with more facts than were read."""
        for run in family:
            if run in self._users:
                self._facts.pop(run, None)
                self._stale.add(run)


def _named(event: e.Event) -> list[str]:
    """Runs that must be whole in memory for what people do to finished runs."""
    ids: tuple[str, ...] = ()
    if isinstance(event, e.CancelRequested):
        ids = tuple(event.ids)
    elif isinstance(event, e.RerunRequested | e.ResultSet):
        ids = (event.id,)
    return list(dict.fromkeys(run_of(id) for id in ids))

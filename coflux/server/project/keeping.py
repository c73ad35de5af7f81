"""Big runs that finish have their graph made and kept at once, before anybody asks for it.

Belongs here: noticing, and doing it bit by bit. Does not belong here: the graph (`graph_feed`), the
files (`kept_graphs`).
"""

from __future__ import annotations

import asyncio
import contextlib

from coflux.errors import CofluxError
from coflux.server.access import Principal, Scope
from coflux.server.core import changes as c
from coflux.server.project.calls import Call, Project
from coflux.server.project.folding import WHOLE
from coflux.server.project.graph_feed import GraphFeed

_OURSELVES = Principal("server", "", (Scope("*", "read"),))


class Keeping:
    """Watches what is committed for as long as the project runs."""

    def __init__(self, project: Project, whole: int = WHOLE) -> None:
        self._project = project
        self._whole = whole
        self.tasks: set[asyncio.Future[None]] = set()
        project.orchestrator.listeners.append(self._committed)

    def close(self) -> None:
        """Give up what is under way; it is made when somebody looks."""
        for task in self.tasks:
            task.cancel()

    def _committed(self, changes: list[c.Change]) -> None:
        runs = self._project.orchestrator.machine.state.runs
        for change in changes:
            if not isinstance(change, c.RunFinished) or change.run not in runs:
                continue
            if len(runs[change.run].steps) > self._whole:
                task = asyncio.ensure_future(self._keep(change.run))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)

    async def _keep(self, run: str) -> None:
        feed = GraphFeed(Call(self._project, _OURSELVES), {"run": run}, self._whole)
        # It may be gone from memory by the time; then it is made when somebody looks.
        with contextlib.suppress(CofluxError):
            for _ in feed.build():
                await asyncio.sleep(0)

"""The topic `queue`: all queued executions, each with its reason.

Belongs here: keeping the document up to date at a cost that depends on what changed. Does not
belong here: reasons (core), the beginning of a long queue that a page shows (topic `waiting`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from coflux.model import execution_id
from coflux.server.core import caps
from coflux.server.core import changes as c
from coflux.server.project.calls import Call
from coflux.server.project.graph_feed import STIRRING
from coflux.server.project.rounds import Rounds
from coflux.server.views import lists

#: Executions that are looked at between two chances for other work.
PORTION = 500
Document = dict[str, Any]
Operation = list[Any]


class QueueFeed:
    """What waits in the environments that are looked at."""

    run = None

    def __init__(self, call: Call, arguments: dict[str, Any]) -> None:
        self.call = call
        call.query = {"environment": arguments.get("environment")}
        self.document: Document = {}
        self._wanted = self._environments()
        self._queued: Rounds[str] = Rounds()

    @property
    def has_more(self) -> bool:
        """Whether another patch is due although nothing else changes."""
        return self._queued.is_due

    def build(self) -> Iterator[None]:
        """Make the document; other work may be done between the entries."""
        self._wanted = self._environments()
        self._queued = Rounds()
        self.document = {}
        machine = self.call.orchestrator.machine
        every = [execution.id for execution in lists.queued(machine, self._wanted)]
        for count, id in enumerate(every):
            if count % PORTION == PORTION - 1:
                yield
            self._look(id)

    def touched(self, change: c.Change) -> str | None:
        """The execution that comes or goes, `*` where any reason may be another now."""
        if isinstance(change, c.StepCreated):
            return execution_id(change.run, change.step, 1)
        if isinstance(change, c.ExecutionCreated | c.Assigned | c.ResultRecorded):
            return change.execution
        return "*" if isinstance(change, (*STIRRING, c.RunHeld)) else None

    def patch(self, parts: set[str]) -> list[Operation] | None:
        """The operations that bring a copy up to date, but for some reasons that may be old."""
        if self._environments() != self._wanted:
            return None
        if parts:
            self._queued.restart()
        operations: list[Operation] = []
        held = caps.asking(self.call.orchestrator.machine.agenda) if parts else ()
        for id in sorted({*(parts - {"*"}), *held, *self._queued.take()}):
            before = self.document.get(id)
            entry = self._look(id)
            if entry is None and before is not None:
                operations.append(["del", [id]])
            elif entry is not None and entry != before:
                operations.append(["set", [id], entry])
        return operations

    def _environments(self) -> set[str]:
        return {environment.id for environment in self.call.chosen()}

    def _look(self, id: str) -> Document | None:
        """The entry of an execution as it is now; None when it is not queued here."""
        machine = self.call.orchestrator.machine
        execution = machine.state.executions.get(id)
        is_here = (
            execution is not None
            and execution.environment in self._wanted
            and lists.is_queued(machine, execution)
        )
        self._queued.set(id, is_here)
        if execution is None or not is_here:
            self.document.pop(id, None)
            return None
        (entry,) = lists.show_queue(machine, [execution], self.call.orchestrator.now())
        self.document[id] = entry
        return entry

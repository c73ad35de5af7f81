"""The topic `run`: a run with all its steps in full, except their values.

Belongs here: keeping the document up to date at a cost that depends on what changed. Does not
belong here: what the fields are (`views.runs`); the compact form for big runs (`graph_feed`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from coflux.model import run_of
from coflux.server.core import changes as c
from coflux.server.core.entities import Run
from coflux.server.core.state import State
from coflux.server.project.calls import Call, parse_id
from coflux.server.project.graph_feed import INPUTS, STIRRING, part_of
from coflux.server.project.input_operations import rows_of_run
from coflux.server.project.rounds import Rounds
from coflux.server.views import runs

#: Steps that are looked at between two chances for other work.
PORTION = 200
Document = dict[str, Any]
Operation = list[Any]
_UNFINISHED = ("queued", "assigned", "running", "waiting")


class RunFeed:
    """One run."""

    def __init__(self, call: Call, arguments: dict[str, Any]) -> None:
        self.call = call
        self.run = parse_id(str(arguments.get("run") or "")).run
        call.query = {"environment": arguments.get("environment")}
        self.document: Document = {}
        #: Steps that lead to an outcome that is not known yet.
        self._open: set[int] = set()
        #: Queued ones: why may change at any time.
        self._queued: Rounds[int] = Rounds()

    @property
    def has_more(self) -> bool:
        """Whether another patch is due although nothing else changes."""
        return self._queued.is_due

    def build(self) -> Iterator[None]:
        """Make the document; other work may be done between the steps."""
        state, run = self.call.find_run(self.run)
        steps: Document = {}
        for count, number in enumerate(list(run.steps)):
            if count % PORTION == PORTION - 1:
                yield
            shown = self._show(state, run, number)
            if shown is not None:
                steps[str(number)] = shown
        self.document = {**self._header(state, run), "steps": steps}

    def touched(self, change: c.Change) -> str | None:
        """A step's number, `header`, or `links` where what happens elsewhere may be seen here."""
        part = part_of(self.run, change)
        if part is not None:
            return part
        may_lead = isinstance(change, c.ResultRecorded | c.RunFinished) and self._open
        return "links" if may_lead or (self._queued and isinstance(change, STIRRING)) else None

    def patch(self, parts: set[str]) -> list[Operation]:
        """The operations that bring a copy up to date, but for some reasons of queued steps."""
        state, run = self.call.find_run(self.run)
        if parts:
            self._queued.restart()
        changed = {int(part) for part in parts if part.isdigit()} | self._open
        changed |= self._makers(run, changed)
        operations: list[Operation] = []
        for name, value in self._header(state, run).items():
            if self.document[name] != value:
                self.document[name] = value
                operations.append(["set", [name], value])
        for number in sorted(changed | set(self._queued.take())):
            shown = self._show(state, run, number) if number in run.steps else None
            if shown is not None and self.document["steps"].get(str(number)) != shown:
                self.document["steps"][str(number)] = shown
                operations.append(["set", ["steps", str(number)], shown])
        return operations

    def _makers(self, run: Run, numbers: set[int]) -> set[int]:
        """Steps of this run that have made those that are new: these are their children now."""
        new = [n for n in numbers if n in run.steps and str(n) not in self.document["steps"]]
        makers = [id for n in new for id in run.steps[n].parents if run_of(id) == run.id]
        return {int(id.split(":")[1]) for id in makers}

    def _header(self, state: State, run: Run) -> Document:
        return {
            **runs.show_header(state, run, self._seen(state, run)),
            "inputs": rows_of_run(self.call, state, run, INPUTS),
        }

    def _seen(self, state: State, run: Run) -> list[str]:
        return runs.visible_from(state, run, self.call.viewpoint())

    def _show(self, state: State, run: Run, number: int) -> Document | None:
        seen = self._seen(state, run)
        blobs = self.call.project.blobs
        shown = runs.show_step(state, run.steps[number], seen, self.call.reason_of, blobs)
        attempts = shown["executions"]
        ends = [attempt["resolved"] for attempt in attempts if attempt["resolved"]]
        if any(end["status"] in _UNFINISHED for end in ends):
            self._open.add(number)
        else:
            self._open.discard(number)
        self._queued.set(number, any(attempt["status"] == "queued" for attempt in attempts))
        if not attempts:
            return None
        return {**shown, "executions": {e["execution"].split(":")[2]: e for e in attempts}}

"""Runs past their time are removed while things run and break, as `project.collecting` does it.

What it finds out takes a while, in which others come to need what was to go. Belongs here: when it
is done, and what must be true after it. Does not belong here: what may go.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from coflux.model import run_of
from coflux.server.core import changes as c
from coflux.server.core import events as e
from coflux.server.core import retention
from coflux.server.core.entities import attempts
from coflux.server.core.retention import Family
from coflux.server.core.state import State
from coflux.server.project.watching import Watch
from coflux.server.store.removal import Terms
from tests.simulation.oracles import Violation
from tests.simulation.server import Server

#: How long runs are kept after their end, and their keys after their beginning (ms).
RUNS_KEPT, KEYS_KEPT = 4_000, 25_000
#: Time between two passes, and what a pass takes to find out what may go (ms).
EVERY, LOOKING = (500, 6_000), (0, 3_000)


class Collecting:
    """Passes over one simulation, one after the other."""

    def __init__(self, server: Server, rng: random.Random, say: Callable[[str], None]) -> None:
        self._server = server
        self._rng = rng
        self._say = say
        self._watch = Watch()
        #: Runs that were removed, that are pinned, and when others finished, as the disk knows.
        self.removed: set[str] = set()
        self._pinned: set[str] = set()
        self._finished: dict[str, int] = {}

    def begin(self) -> None:
        """Make passes from now on."""
        self._server.world_clock.after(self._rng.randint(*EVERY), self._look)

    def committed(self, changes: list[c.Change], journal: list[c.Change]) -> None:
        """What is on the disk now."""
        self._watch.committed(changes)
        for change in changes:
            if isinstance(change, c.RunsRemoved):
                early = [r for r in change.runs if self._is_wanted(r, change.at)]
                _require(
                    not early, f"DM-2: {early} were removed, and are pinned, going on or young"
                )
                self.removed.update(change.runs)
                self._check(journal)
            elif isinstance(change, c.RunCreated):
                _require(change.run not in self.removed, f"ID-1: {change.run} was drawn again")
            elif isinstance(change, c.RunFinished):
                self._finished[change.run] = change.at
            elif isinstance(change, c.ExecutionCreated):
                self._finished.pop(run_of(change.execution), None)
            elif isinstance(change, c.RunPinned):
                (self._pinned.add if change.is_pinned else self._pinned.discard)(change.run)

    def _is_wanted(self, run: str, now: int) -> bool:
        ended_at = self._finished.get(run)
        return run in self._pinned or ended_at is None or ended_at + RUNS_KEPT > now

    def _pin(self, process: Any) -> None:
        """Somebody pins a run, or takes a pin away."""
        run = self._rng.choice([*process.state.runs, *self._pinned, ""])
        is_pinned = run not in self._pinned
        if run and run not in self.removed:
            self._server.ask(lambda to: e.PinRequested(to, run, is_pinned), lambda answer: None)

    # --- a pass -----------------------------------------------------------------------------------

    def _look(self) -> None:
        process = self._server.machine
        if process is None or not self._server.is_idle or self._server.clock.is_asleep:
            self.begin()
            return
        self._watch.noted.clear()
        state = process.state
        terms = Terms(
            self._server.clock.now, dict.fromkeys(state.environments, RUNS_KEPT), {}, KEYS_KEPT,
            frozenset(retention.needed(state)),
        )  # fmt: skip
        found = self._server.disk.survey(terms)
        groups = retention.removable(found.families, found.links, terms.now)
        took = self._rng.randint(*LOOKING)
        if self._rng.random() < 0.3:
            self._server.world_clock.after(took // 2, lambda: self._pin(process))
        self._server.world_clock.after(took, lambda: self._go_on(process, groups))

    def _go_on(self, process: Any, groups: list[list[Family]]) -> None:
        """Remove the first group, and then the others."""
        if (
            self._server.machine is not process
            or not groups
            or self._watch.concerns({*_runs(groups)})
        ):
            self.begin()
            return
        if self._server.is_idle and not self._server.clock.is_asleep:
            runs = tuple(_runs(groups[:1]))
            proposal = self._server.disk.propose(runs, process.state)
            self._say(f"{runs} are past their time")
            if not self._server.remove(proposal):
                self.begin()
                return
            groups = groups[1:]
        later = self._rng.choice([0, 1, 20, 400])
        self._server.world_clock.after(later, lambda: self._go_on(process, groups))

    # --- what must be true ------------------------------------------------------------------------

    def _check(self, journal: list[c.Change]) -> None:
        """DM-2: what is there has all that it reaches, by an account of its own."""
        state = State()
        state.load(journal)
        back = [run for run in self.removed if run in state.runs]
        _require(not back, f"{back} were removed and are there")
        for run in state.runs.values():
            top = state.runs.get(run_of(run.parent)) if run.parent else run
            _require(top is not None, f"{run.id} has lost its parent {run.parent}")
            for execution in attempts(run):
                end, found = state.end_of(execution.id)
                _require(found is not None, f"{execution.id} leads to {end}, which is gone")
                for step_value in execution.step.submission.arguments.values():
                    gone = [r.id for r in step_value.references if self._is_gone(r.id)]
                    _require(not gone, f"{execution.step.id} has lost {gone}")
                lost = [id for id in execution.dependencies if self._is_gone(id)]
                _require(not lost, f"{execution.id} has seen {lost}, which is gone")

    def _is_gone(self, id: str) -> bool:
        return run_of(id) in self.removed


def _runs(groups: list[list[Family]]) -> Iterator[str]:
    return (run for group in groups for family in group for run in family.runs)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise Violation(message)

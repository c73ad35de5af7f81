"""Which finished runs stay in memory, and how the others leave it.

Belongs here: the count of what is kept, by runs and by steps, and taking apart what has left: steps
and executions refer to each other, and would stay until a search for cycles that never comes
(`process` has it look seldom). Does not belong here: whether a family may leave (`Machine`).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable

from coflux.server.core.entities import Run
from coflux.server.core.machine import Machine
from coflux.server.core.state import State

#: Families of finished runs that stay in memory for quick answers, and steps of them in all; the
#: newest stays whatever its size.
KEPT, KEPT_STEPS = 64, 50_000
#: The same of families that were read for looking at them.
ARCHIVED, ARCHIVED_STEPS = 16, 50_000
#: Seconds in which whoever looks at a run when it leaves may finish looking.
GRACE_S = 60.0
#: Steps taken apart in one turn of the loop.
PORTION = 2_000
#: Families looked at in one go, of which some may not leave yet.
LOOK = 64


class Leaving:
    """Takes runs apart that have left memory; what is only theirs is freed then."""

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s

    def add(self, runs: Iterable[Run]) -> None:
        """Take these apart after the grace; at once where no loop runs."""
        found = list(runs)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            while found:
                _take_apart(found)
            return
        loop.call_later(self._grace_s, self._go_on, loop, found)

    def _go_on(self, loop: asyncio.AbstractEventLoop, runs: list[Run]) -> None:
        _take_apart(runs)
        if runs:
            loop.call_soon(self._go_on, loop, runs)


def _take_apart(runs: list[Run]) -> None:
    """Some of their steps; runs without any are taken from the list."""
    for _ in range(PORTION):
        while runs and not runs[-1].steps:
            runs.pop().inputs.clear()
        if not runs:
            return
        runs[-1].steps.popitem()[1].executions.clear()


class Finished:
    """Families of finished runs in memory, the one that finished last at the end."""

    def __init__(
        self, machine: Machine, leaving: Leaving, most: int = KEPT, most_steps: int = KEPT_STEPS
    ) -> None:
        self._machine = machine
        self._leaving = leaving
        self._most, self._most_steps = most, most_steps
        self._steps: OrderedDict[str, int] = OrderedDict()
        self._total = 0

    def note(self, root: str) -> None:
        """A run of this family has finished, or was read from the store."""
        state = self._machine.state
        self._forget(root)
        self._steps[root] = sum(len(state.runs[run].steps) for run in state.families.get(root, ()))
        self._total += self._steps[root]

    def forget(self, root: str) -> None:
        """This family is no more."""
        self._forget(root)

    def prune(self, leaves: Callable[[list[str]], None]) -> None:
        """Evict families, the longest finished first, while there are too many; tells of each."""
        for root in list(self._steps)[:LOOK] if self._is_over() else ():
            if not self._is_over():
                return
            if not self._machine.is_evictable(root):
                self._steps.move_to_end(root)
                continue
            self._forget(root)
            state = self._machine.state
            family = [state.runs[run] for run in state.families.get(root, ())]
            leaves([run.id for run in family])
            self._machine.evict(root)
            self._leaving.add(family)

    def _is_over(self) -> bool:
        count = len(self._steps)
        return count > self._most or (count > 1 and self._total > self._most_steps)

    def _forget(self, root: str) -> None:
        self._total -= self._steps.pop(root, 0)


class Archive:
    """States that were read from the store for looking at a run, the one looked at last at the end.

    They share what is live of environments, sessions and pins.
    """

    def __init__(
        self, live: State, leaving: Leaving, most: int = ARCHIVED, most_steps: int = ARCHIVED_STEPS
    ) -> None:
        self._live = live
        self._leaving = leaving
        self._most, self._most_steps = most, most_steps
        self._states: OrderedDict[str, State] = OrderedDict()

    def __contains__(self, run: str) -> bool:
        return run in self._states

    def get(self, run: str) -> State | None:
        """The state that has the run."""
        found = self._states.get(run)
        if found is not None:
            self._states.move_to_end(run)
        return found

    def put(self, run: str, state: State) -> None:
        """Take in a state; others may leave."""
        if self._states.get(run) is not state:  # two may have waited for the same reading
            self.drop(run)
        live = self._live
        state.environments, state.sessions = live.environments, live.sessions
        state.pinned = live.pinned
        self._states[run] = state
        while len(self._states) > self._most or (len(self._states) > 1 and self._is_big()):
            self._leaving.add(self._states.popitem(last=False)[1].runs.values())

    def drop(self, run: str) -> None:
        """What is known of the run is old."""
        state = self._states.pop(run, None)
        if state is not None:
            self._leaving.add(state.runs.values())

    def _is_big(self) -> bool:
        states = self._states.values()
        steps = sum(len(run.steps) for state in states for run in state.runs.values())
        return steps > self._most_steps

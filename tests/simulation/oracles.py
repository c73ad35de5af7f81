"""What must be true of every history, whatever broke on the way.

An oracle looks at what came out (changes, answers, starts of processes), not at how it was decided.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from coflux import wire
from coflux.model import Abandoned, Cached, Cancelled, Resolution, Returned, result_kind, run_of
from coflux.server.core import changes as c
from coflux.server.core import effects as fx
from coflux.server.core.entities import Execution, attempts
from coflux.server.core.links import BREAKING
from coflux.server.core.machine import Machine, Outcome
from coflux.server.core.state import State
from coflux.server.core.statuses import Process
from tests.core import invariants

#: Origins that go on with the chain before.
GOING_ON = ("retry", "resume", "relink")


#: Causes of what goes with an attempt that was superseded.
SUPERSEDING = ("re-run", "result set")


class Violation(AssertionError):
    """Something happened that must not happen."""


class Oracles:
    """Watches a simulation."""

    def __init__(self) -> None:
        self.starts: Counter[str] = Counter()
        #: The outcome that somebody was told for a handle.
        self.told: dict[str, tuple[str, Resolution]] = {}
        #: How inputs ended that a person was told to have ended: `answered` or `dismissed`.
        self.responded: dict[str, str] = {}
        self._questions: set[tuple[str, str, bytes]] = set()
        self._answered: set[str] = set()
        #: Runs that a client was told of.
        self.acknowledged: set[str] = set()
        #: After a restart more may be taken for running than there are slots.
        self.is_crowded = False
        #: Turns until all invariants are recomputed; the more there is, the rarer.
        self._turns_left = 0
        self._results: set[str] = set()
        self._requests: set[tuple[str, tuple[int, int]]] = set()

    # --- while it goes on -----------------------------------------------------------------------

    def started(self, execution: str) -> None:
        """SE-5: an execution is started at most once."""
        self.starts[execution] += 1
        _require(self.starts[execution] == 1, f"{execution} was started twice")

    def heard(self, handle: str, execution: str, result: Resolution) -> None:
        """RS-1, WA-8: all who ask are told the same, for ever."""
        before = self.told.setdefault(handle, (execution, result))
        _require(
            before == (execution, result),
            f"{handle}: told {before[0]} {result_kind(before[1])}, then {execution} "
            f"{result_kind(result)}",
        )

    def answered(self, answer: Any) -> None:
        """An answer of the server to code or client."""
        if isinstance(answer, wire.Resolved):
            for outcome in (*answer.outcomes, *answer.also):
                self.heard(outcome.handle, outcome.execution, outcome.result)
        elif isinstance(answer, fx.Answer):
            for found in answer.outcomes:
                if found.result is not None:
                    self.heard(found.handle, found.execution, found.result)

    def turn(self, machine: Machine, outcome: Outcome, now: int) -> None:
        """After each event, before it is committed."""
        for change in outcome.changes:
            self._look_at(machine.state, change, now)
        self._turns_left -= 1
        if self._turns_left <= 0:
            self.check(machine, now)
            self._turns_left = 25 + len(machine.state.executions)

    def committed(self, changes: list[c.Change]) -> None:
        """What is on the disk now."""
        for change in changes:
            if isinstance(change, c.ResultRecorded):  # EN-4
                id = change.execution
                _require(id not in self._results, f"{id} got a second result")
                self._results.add(id)
            elif isinstance(change, c.StepCreated | c.ChildJoined) and change.request is not None:
                place = (change.parent or "", change.request)
                _require(place not in self._requests, f"request {place} took effect twice")  # SU-10
                self._requests.add(place)
            elif isinstance(change, c.InputCreated):  # IN-2
                asked = (change.run, change.environment, change.key)
                _require(asked not in self._questions, f"{change.input} was asked before")
                self._questions.add(asked)
            elif isinstance(change, c.InputEnded):  # IN-3
                _require(change.input not in self._answered, f"{change.input} ended twice")
                self._answered.add(change.input)
                if change.cause:  # with its run: who asks again asks anew
                    gone = {q for q in self._questions if q[0] == change.run}
                    self._questions -= gone

    def abandoned(self, change: c.ResultRecorded, running_at: list[Any]) -> None:
        """SE-4: what its agent has, on a connection that is there, is not abandoned."""
        result = change.result
        is_lost = isinstance(result, Abandoned) and result.cause in ("session lost", "retired")
        _require(
            is_lost or not running_at, f"{change.execution} was abandoned, and its agent has it"
        )

    def check(self, machine: Machine, now: int) -> None:
        """The invariants of the core."""
        invariants.check(machine, now)
        if not self.is_crowded:
            invariants.check_crowding(machine.state)

    def _look_at(self, state: State, change: c.Change, now: int) -> None:
        if isinstance(change, c.Assigned):
            execution = state.executions[change.execution]
            _require(execution.due_at <= now, f"{change.execution} was assigned before it was due")
            environment = state.environments[execution.environment]
            _require(environment.state == "active", f"{change.execution} started while paused")
            old = [e.id for e in execution.step.stopping.values()
                   if e.environment == execution.environment]  # fmt: skip
            _require(not old, f"{change.execution} was assigned before {old} were dead")  # ST-5
        elif isinstance(change, c.ResultRecorded) and isinstance(change.result, Cancelled):
            self._check_descendants(state, state.executions[change.execution])
        elif isinstance(change, c.ResultRecorded) and isinstance(change.result, Cached):
            source = state.executions.get(change.result.execution)
            if source is not None and source.result is not None:
                _require(
                    isinstance(source.result, Returned),
                    f"{change.execution} took the failure of {source.id}",
                )

    def _check_descendants(self, state: State, cancelled: Execution) -> None:
        """CN-2: nothing below it runs on that nobody else waits for."""
        result = cancelled.result
        if not isinstance(result, Cancelled) or result.cause.startswith(SUPERSEDING):
            return  # what is memoised may be joined again (RR-2)
        for id in cancelled.children:
            child = state.executions.get(id)
            if child is None or child.environment != cancelled.environment:
                continue
            is_wanted = any(not state.is_resolved(p) for p in child.step.parents)
            _require(
                is_wanted or state.is_resolved(id),
                f"{cancelled.id} was cancelled, and its child {id} goes on",
            )

    # --- in the end -----------------------------------------------------------------------------

    def finish(
        self, machine: Machine, journal: list[c.Change], processes: set[str], removed: set[str]
    ) -> None:
        """When all faults have stopped and nothing happens any more."""
        whole = State()
        whole.load(journal)
        for run in self.acknowledged - removed:
            _require(run in whole.runs, f"{run} was acknowledged and is lost")
        unfinished = [run.id for run in whole.runs.values() if run.status is None]
        _require(not unfinished, f"never finished: {unfinished}")
        for session in machine.state.sessions.values():
            _require(session.used == 0, f"{session.id} still counts {session.used} slots in use")
        dead = [id for id in processes if run_of(id) in removed]
        _require(not dead, f"removed and still running: {dead}")
        left = [id for id in processes if whole.executions[id].result is not None]
        _require(not left, f"ended and still running: {left}")
        for id, how in self.responded.items():
            if run_of(id) in removed:
                continue
            _require(whole.inputs[id].state == how, f"{id} was {how} and is not any more")
        for id, (end, result) in self.told.items():
            if run_of(id) in removed:
                continue
            if id in whole.inputs:
                _require(whole.inputs[id].result == result, f"{id} changed its answer")
                continue
            found_id, found = whole.end_of(id)
            _require(found is not None and found.result == result, f"{id} changed its outcome")
            _require(found_id == end, f"{id} leads to {found_id}, told was {end}")
        for run in whole.runs.values():
            for execution in attempts(run):
                self._check_history(whole, execution)
        self._compare(machine, whole)

    def _check_history(self, state: State, execution: Execution) -> None:
        results = Counter(e.id for e in [execution] if e.result is not None)
        _require(results[execution.id] == 1, f"{execution.id} has no result")
        _require(execution.process is not Process.ALIVE, f"{execution.id} is still alive")
        if isinstance(execution.result, Cached) and execution.link_successor is None:
            end = state.end_of(execution.id)[1]
            is_broken = end is not None and isinstance(end.result, BREAKING)
            _require(not is_broken, f"{execution.id} follows {end and end.id}, which was lost")
        policy = execution.step.submission.options.retries
        limit = policy.limit if policy is not None else 0
        used, at = 0, execution
        while at.origin in GOING_ON and at.predecessor is not None:
            used += at.origin == "retry"
            at = state.executions[at.predecessor]
        _require(limit is None or used <= limit, f"{execution.id} is retry {used} of {limit}")
        failed = result_kind(execution.result) if execution.result is not None else ""
        is_task_of_its_own = execution.step.number == 1 or execution.step.submission.type == "task"
        if failed in ("error", "crashed") and execution.origin != "manual" and is_task_of_its_own:
            _require(
                limit is None or used == limit or execution.successor is not None,
                f"{execution.id} failed and was not retried",
            )

    def _compare(self, machine: Machine, whole: State) -> None:
        """What is in memory is what is on the disk."""
        for root in [r for r in whole.families if r not in machine.state.families]:
            whole.evict(root)
        for part in ("environments", "runs", "sets", "steps", "executions", "inputs"):
            live, kept = invariants.dump(machine.state)[part], invariants.dump(whole)[part]
            for id, fields in live.items():
                _require(_same(fields, kept.get(id)), f"{part} {id}: {fields} != {kept.get(id)}")


def _same(one: Any, other: Any) -> bool:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return bool(one == other)
    # Order and pins depend on what was in memory when, and nothing durable depends on them.
    ignored = ("order", "pins", "pinned")
    return all(one[key] == other.get(key) for key in one if key not in ignored)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise Violation(message)

"""Faults planted into the core on purpose, each of one rule: the simulation must find them all.

Each is a context manager that replaces one function while it is open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from coflux.model import Abandoned, Returned
from coflux.server.core import (
    caching,
    cancellation,
    entries,
    gates,
    inputs,
    links,
    outcomes,
    results,
    retries,
    scheduling,
    sessions,
    settling,
)
from coflux.server.core import changes as c
from coflux.server.core.agenda import Agenda
from coflux.server.core.entities import CacheEntry, Execution
from coflux.server.core.events import OutcomeReported
from coflux.server.core.machine import _RULES, Outcome
from coflux.server.core.state import _APPLY, State
from coflux.wire import Acknowledgement
from tests.simulation.server import Server

Fault = Callable[[], Any]


@contextmanager
def replaced(owner: Any, name: Any, new: Any) -> Iterator[None]:
    """An attribute, or an entry of a dict, is another for a while."""
    old = owner[name] if isinstance(owner, dict) else getattr(owner, name)
    _put(owner, name, new)
    try:
        yield
    finally:
        _put(owner, name, old)


def _put(owner: Any, name: Any, value: Any) -> None:
    if isinstance(owner, dict):
        owner[name] = value
    else:
        setattr(owner, name, value)


def one_retry_too_many() -> Any:
    """RE-3."""
    old = retries.delay_before

    def delay_before(execution: Execution, result: Any, source: Any) -> int | None:
        if execution.retries_used == 0:
            return old(execution, result, source)
        execution.retries_used -= 1
        try:
            return old(execution, result, source)
        finally:
            execution.retries_used += 1

    return replaced(retries, "delay_before", delay_before)


def effects_before_the_commit() -> Any:
    """SE-9."""

    def commit(self: Server, outcomes_: list[Outcome], covered: Any) -> None:
        self._send([effect for outcome in outcomes_ for effect in outcome.effects])
        old(self, [Outcome(outcome.changes, []) for outcome in outcomes_], covered)

    old = Server._commit
    return replaced(Server, "_commit", commit)


def failures_are_cached() -> Any:
    """CA-10."""

    def serves(turn: Any, seeker: Execution, entry: CacheEntry) -> bool:
        leader = turn.state.executions.get(entry.execution)
        is_own = leader is not None and leader.step is seeker.step
        return not is_own and (
            entry.value_at is not None or (leader is not None and leader.result is not None)
        )

    def settle(state: State, execution: Execution, at: int) -> None:
        entry = state.entries.get(execution.id)
        if entry is not None:
            entry.value_at = at

    @contextmanager
    def both() -> Iterator[None]:
        with (
            replaced(caching, "_serves", serves),
            replaced(entries, "settle", settle),
        ):
            yield

    return both()


def waiters_stay_behind() -> Any:
    """RS-2: they are not moved to where a result leads."""

    def attach(turn: Any, waiter: Any) -> None:
        end = turn.state.end_of(waiter.handle)[1]
        if end is None or end.result is not None:
            old(turn, waiter)

    old = settling.attach
    return replaced(settling, "attach", attach)


def slots_leak() -> Any:
    """ST-5: a process that is dead keeps its slot."""

    def process(self: State, change: c.ProcessEnded) -> None:
        self.bury(self.executions[change.execution])

    return replaced(_APPLY, c.ProcessEnded, process)


def requests_are_forgotten() -> Any:
    """SU-10: one that is sent again makes a second step."""

    def adopt(
        self: State, parent: str | None, child: str, group: Any, request: Any, *more: Any
    ) -> None:
        old(self, parent, child, group, None, *more)

    old = State._adopt
    return replaced(State, "_adopt", adopt)


def spawned_runs_are_not_cancelled() -> Any:
    """CN-1."""
    return replaced(cancellation, "_spawned", lambda turn, execution: None)


def reconnecting_abandons() -> Any:
    """SE-4: what the agent still has."""

    def compare(turn: Any, execution: Execution, is_running: bool) -> None:
        if execution.result is None and is_running:
            results.fail(turn, execution, Abandoned("reconnected"))
        else:
            old(turn, execution, is_running)

    old = sessions._compare
    return replaced(sessions, "_compare", compare)


def delays_end_with_a_restart() -> Any:
    """SE-10: a planned instant is forgotten."""

    def requeue_all(self: Agenda, executions: dict[str, Execution]) -> None:
        old(self, executions)
        self.due = [(0, order, id) for _, order, id in self.due]

    old = Agenda.requeue_all
    return replaced(Agenda, "requeue_all", requeue_all)


def outcomes_are_overwritten() -> Any:
    """RS-1, EN-4: the last one wins."""

    def reported(turn: Any, event: Any) -> None:
        execution = turn.state.executions.get(event.execution)
        if execution is not None and isinstance(event.result, Returned):
            outcomes._conclude(turn, execution, event.result, "gone")

    return replaced(_RULES, OutcomeReported, reported)


def the_old_process_may_live() -> Any:
    """ST-5: a successor does not wait for it."""

    @contextmanager
    def both() -> Iterator[None]:
        with (
            replaced(gates, "stopping", lambda state, execution: None),
            replaced(scheduling.gates, "stopping", lambda state, execution: None),
        ):
            yield

    return both()


def a_new_process_gets_the_old_assignments() -> Any:
    """SE-2, SE-5."""
    return replaced(results, "is_orphan", lambda turn, execution: False)


def links_do_not_break() -> Any:
    """CA-9: a follower of a leader that was cancelled is told that it was."""

    def settle(turn: Any, follower: Execution, result: Any) -> None:
        turn.agenda.unfollow(follower)

    return replaced(links, "settle", settle)


def acknowledgements_come_too_early() -> Any:
    """SE-9: before the commit that covers them."""

    def commit(self: Server, outcomes_: list[Outcome], covered: Any) -> None:
        for link, number in covered:
            link.send_down([Acknowledgement(number)])
        old(self, outcomes_, covered)

    old = Server._commit
    return replaced(Server, "_commit", commit)


def answers_wake_nobody() -> Any:
    """RS-2, IN-3: whoever waits is not told."""
    return replaced(inputs, "_end", lambda turn, ended: turn.record(ended))


def the_last_answer_counts() -> Any:
    """IN-3: a second response replaces the first."""
    return replaced(inputs, "_still_open", lambda turn, to, id: turn.state.inputs.get(id))


def questions_are_asked_again() -> Any:
    """IN-2: an attempt that resumes does not find what it has asked."""
    return replaced(inputs, "_find", lambda turn, execution, key: None)


def questions_are_forgotten_with_a_restart() -> Any:
    """SE-10: what is open is not known to be so."""

    def load(self: State, facts: Any) -> None:
        old(self, facts)
        self.open_inputs.clear()

    old = State.load
    return replaced(State, "load", load)


#: Those that only a history in which people are asked can show.
FAULTS_OF_INPUTS: tuple[Fault, ...] = (
    answers_wake_nobody,
    the_last_answer_counts,
    questions_are_asked_again,
    questions_are_forgotten_with_a_restart,
)
FAULTS: tuple[Fault, ...] = (
    one_retry_too_many,
    effects_before_the_commit,
    failures_are_cached,
    waiters_stay_behind,
    slots_leak,
    requests_are_forgotten,
    spawned_runs_are_not_cancelled,
    reconnecting_abandons,
    delays_end_with_a_restart,
    outcomes_are_overwritten,
    the_old_process_may_live,
    a_new_process_gets_the_old_assignments,
    links_do_not_break,
    acknowledgements_come_too_early,
)

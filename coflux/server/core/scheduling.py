"""From due to assigned (T3 to T6, SC): gates, order, tags, the choice of a session.

Belongs here: what happens to queued executions. Does not belong here: how a lookup goes
(`caching`), what a queued execution tells about itself (`reasons`).
"""

from __future__ import annotations

import heapq
import operator
from typing import Protocol

from coflux.model import Requires, Spawned, execution_id
from coflux.server.core import (
    caching,
    cancellation,
    caps,
    gates,
    results,
    sending,
    slots,
    timeouts,
    waiting,
)
from coflux.server.core.agenda import Head, LaneKey, Waiter
from coflux.server.core.changes import Assigned, RunCreated, StepCreated
from coflux.server.core.entities import Execution, Session
from coflux.server.core.state import State
from coflux.server.core.statuses import Status
from coflux.server.core.turn import Turn


class Offering(Protocol):
    """What tags are compared with: a session, or the recipe for one."""

    @property
    def provides(self) -> dict[str, tuple[str, ...]]:
        """Tags that it offers."""

    @property
    def accepts(self) -> Requires:
        """Tags that its work must require."""


_RANK = operator.itemgetter(0, 1)


def take_due(turn: Turn) -> None:
    """Consider every execution whose time has come."""
    due = turn.agenda.due
    while due and due[0][0] <= turn.now:
        execution = turn.state.executions.get(heapq.heappop(due)[2])
        if execution is not None and execution.status is Status.QUEUED:
            consider(turn, execution)


def consider(turn: Turn, execution: Execution) -> None:
    """Take a due execution as far towards a session as it can go now."""
    agenda = turn.agenda
    if execution.id in agenda.ready or execution.id in agenda.gated:
        return
    if not turn.state.is_active(execution.environment):
        agenda.paused.setdefault(execution.environment, {})[execution.id] = None
        return
    if turn.state.earlier_in_turn(execution.run) is not None:
        agenda.in_turn.setdefault(execution.run.schedule or "", {})[execution.id] = None
        return
    if caching.check(turn, execution):
        return
    handles = gates.unresolved(turn.state, execution)
    _end_select(turn, execution)
    if execution.result is not None:
        return
    if handles:
        _hold(turn, execution, handles)
    elif execution.id not in agenda.rechecks or not caching.check(turn, execution, again=True):
        agenda.rechecks.pop(execution.id, None)
        _proceed(turn, execution)


def gate_opened(turn: Turn, execution: Execution, handle: str) -> None:
    """One of the handles that hold an execution back is resolved."""
    held = turn.agenda.gated.get(execution.id)
    if held is None:
        return
    held.pop(handle, None)
    _end_select(turn, execution)
    is_first = execution.gate_first and handle in execution.gate
    if execution.result is None and (is_first or not held):
        results.forget_gates(turn, execution)
        # What the handles resolved to may hold handles of its own (DL-2).
        consider(turn, execution)


def assign(turn: Turn) -> None:
    """Give ready executions to sessions with free slots, best first (SC-4, SC-5)."""
    stirred, turn.agenda.stirred = turn.agenda.stirred, {}
    for environment in stirred:
        sessions = [s for s in turn.state.sessions.values() if s.environment == environment]
        for session in sessions:
            waiting.resume(turn, session)
        if turn.state.is_active(environment):
            _assign_needed(turn, sessions)
            _assign_lent(turn, environment)
            while any(s.is_free for s in sessions) and _assign_best(turn, environment):
                pass


def effective_requires(execution: Execution) -> Requires:
    """The tags a session must offer: the run's, overlaid by the step's (SC-3)."""
    merged = dict(execution.run.requires or {})
    merged.update(execution.step.submission.options.requires or {})
    return {key: values for key, values in merged.items() if values not in ((), False)}


def matches(session: Offering, requires: Requires) -> bool:
    """Whether the tags of a session and of an execution fit (SC-2)."""
    return not missing_tags(session, requires) and not unwanted_tags(session, requires)


def missing_tags(session: Offering, requires: Requires) -> dict[str, tuple[str, ...] | bool]:
    """Required tags that a session does not offer."""
    return {key: values for key, values in requires.items() if not _offers(session, key, values)}


def unwanted_tags(session: Offering, requires: Requires) -> Requires:
    """Tags of which a session accepts only work that requires them."""
    accepts = session.accepts.items()
    return {key: values for key, values in accepts if not _overlap(requires.get(key), values)}


def hosts(session: Session, key: LaneKey) -> bool:
    """Whether a session hosts exactly that target and type (SC-1)."""
    definition = session.hosted((key.repository, key.target))
    if definition is None or definition.type != key.type:
        return False
    return key.code is None or definition.code == key.code


def lane_key(execution: Execution) -> LaneKey:
    """What decides which sessions can run it."""
    submission = execution.step.submission
    tags = tuple(sorted(effective_requires(execution).items()))
    return LaneKey(
        execution.environment, submission.repository, submission.target, submission.type, tags,
        execution.required_code, tuple(sorted((submission.options.slots or {}).items())),
    )  # fmt: skip


def priority_of(execution: Execution) -> int:
    """Its own priority, or its run's."""
    own = execution.step.submission.options.priority
    return execution.run.priority if own is None else own


def _overlap(required: tuple[str, ...] | bool | None, accepted: tuple[str, ...] | bool) -> bool:
    if required is None or required is False:
        return False
    return required is True or accepted is True or bool(set(required) & set(accepted or ()))


def _offers(session: Offering, key: str, values: tuple[str, ...] | bool) -> bool:
    accepted = session.accepts.get(key, ())
    offered = session.provides.get(key, ()) + (accepted if isinstance(accepted, tuple) else ())
    if accepted is True or values is True:
        return bool(offered) or key in session.provides or accepted is True
    return bool(set(offered) & set(values or ()))


def _end_select(turn: Turn, execution: Execution) -> None:
    """A select that was suspended has the losers cancelled once one has won (WA-7)."""
    if execution.gate_cancel:
        state = turn.state
        winner = next((h for h in execution.gate if state.is_resolved(h)), None)
        if winner is not None:
            cancellation.cancel_others(turn, execution, execution.gate, winner)


def _hold(turn: Turn, execution: Execution, handles: list[str]) -> None:
    turn.agenda.gated[execution.id] = dict.fromkeys(handles)
    # Its key may be another when they are resolved (CA-5).
    turn.agenda.rechecks[execution.id] = None
    for handle in handles:
        end_id = turn.state.end_of(handle)[0]
        turn.agenda.watch(end_id, Waiter("gate", execution.id, 0, handle))


def _proceed(turn: Turn, execution: Execution) -> None:
    earlier = gates.stopping(turn.state, execution)
    if earlier is not None:  # ST-5: not before the old process is dead
        turn.agenda.behind.setdefault(earlier.id, {})[execution.id] = None
    elif caps.of(turn.state, execution) is not None:
        caps.keep(turn, execution)
    elif execution.step.submission.type != "task" and execution.step.parent is not None:
        _spawn(turn, execution)
    else:
        turn.agenda.enqueue(execution, lane_key(execution), priority_of(execution))
        timeouts.watch_ready(turn, execution)


def _spawn(turn: Turn, execution: Execution) -> None:
    """A workflow called from an execution becomes a child run (T5, SU-5)."""
    submission, run = execution.step.submission, execution.run
    child = turn.source.id("R")
    memo = submission.options.memo
    turn.record(
        RunCreated(
            child, execution.environment, submission.repository, submission.target, run.by,
            turn.now, parent=execution.id, root=run.root, memo=bool(memo),
            requires=effective_requires(execution), priority=priority_of(execution),
        )
    )  # fmt: skip
    turn.record(StepCreated(child, 1, submission, execution.environment, turn.now, turn.now))
    initial = turn.state.executions[execution_id(child, 1, 1)]
    results.end(turn, execution, Spawned(initial.id))
    turn.agenda.schedule(initial)


def _assign_best(turn: Turn, environment: str) -> bool:
    """Assign the first in order that a session and its slots are free for."""
    lacked: dict[str, None] = {}
    fronts = _fronts(turn, environment)
    if len(fronts) > 1:
        fronts.sort(key=_RANK)
    for _, id, session in fronts:
        execution = turn.state.executions[id]
        named = execution.step.submission.options.slots
        lacking = slots.lacking(turn.state, execution, turn.now) if named else []
        if not lacking and not (named and any(name in lacked for name in named)):
            _give(turn, execution, session)
            return True
        for name in lacking:
            _wait_for_rate(turn, name, environment)
        # One that needs more units than are free is not overtaken for ever by those with less.
        lacked.update(dict.fromkeys(slots.keeps_for_itself(turn.state, execution, turn.now)))
    return False


def _fronts(turn: Turn, environment: str) -> list[tuple[Head, str, Session]]:
    """The first of each lane that has a free session."""
    found: list[tuple[Head, str, Session]] = []
    for lane in list(turn.agenda.lanes.get(environment, {}).values()):
        session = _least_loaded(turn.state, _eligible(turn, lane.key))
        front = turn.agenda.front(lane) if session is not None else None
        if front is not None and session is not None:
            found.append((front[0], front[1], session))
    return found


def _wait_for_rate(turn: Turn, name: str, environment: str) -> None:
    at = slots.next_free(turn.state, name, environment, turn.now)
    if at > turn.now and turn.agenda.next_free.get((environment, name)) != at:
        turn.agenda.next_free[environment, name] = at
        turn.agenda.at(at, "slot", environment)


def _eligible(turn: Turn, key: LaneKey) -> list[Session]:
    known = turn.agenda.eligible.get(key)
    if known is None:
        requires = dict(key.requires)
        known = [
            session
            for session in turn.state.sessions.values()
            # What is awaited may live in another environment, whose agents run it (EV-6).
            if session.environment == key.environment
            and hosts(session, key)
            and matches(session, requires)
        ]
        turn.agenda.eligible[key] = known
    return known


def _least_loaded(state: State, sessions: list[Session]) -> Session | None:
    free = [
        s
        for s in sessions
        if s.is_free and not s.draining and not caps.is_crowded_with_waiting(state, s)
    ]
    return min(free, key=lambda s: (s.used / s.concurrency, s.id), default=None)


def _give(turn: Turn, execution: Execution, session: Session) -> None:
    if execution.step.submission.options.slots:
        slots.borrow(turn, execution)
    turn.agenda.take(execution, turn.now)
    if session.id in turn.state.launched:
        turn.agenda.used_launches[turn.state.launched[session.id].id] = None
    submission = execution.step.submission
    hosted = session.hosted((submission.repository, submission.target))
    code = hosted.code if hosted is not None else None
    turn.record(Assigned(execution.id, session.id, turn.now, code, session.incarnation))
    limit = turn.state.setting(execution.environment, "start_ms")
    first = min(turn.limits.acknowledge_ms, limit)
    turn.agenda.at(turn.now + first, "attempt", execution.id)
    turn.send(sending.execute(turn.state, execution))


def _assign_needed(turn: Turn, sessions: list[Session]) -> None:
    """A draining session, or one full of waiting ones, still gets what those wait for (SC-10)."""
    for session in sessions:
        is_closed = session.draining or caps.is_crowded_with_waiting(turn.state, session)
        if not is_closed or not session.blocked:
            continue
        for id in _needed(turn.state, session):
            key = turn.agenda.ready.get(id)
            if key is not None and session.is_free and session in _eligible(turn, key):
                execution = turn.state.executions[id]
                if not slots.lacking(turn.state, execution, turn.now):
                    _give(turn, execution, session)


def _assign_lent(turn: Turn, environment: str) -> None:
    """Those that a holder of a slot waits for take its units, past all others (SC-7)."""
    lanes = turn.agenda.lanes.get(environment, {})
    for name in dict.fromkeys(name for key in lanes for name, _ in key.slots):
        for id in slots.awaited_by_holders(turn.state, name, environment):
            key = turn.agenda.ready.get(id)
            if key is None or name not in dict(key.slots):
                continue
            if not turn.state.is_active(key.environment):  # another than that of who waits
                continue
            execution = turn.state.executions[id]
            session = _least_loaded(turn.state, _eligible(turn, key))
            if session is not None and not slots.lacking(turn.state, execution, turn.now):
                _give(turn, execution, session)


def _needed(state: State, session: Session) -> list[str]:
    seen: dict[str, None] = {}
    todo = [h for e in session.blocked.values() for w in e.waits.values() for h in w.left]
    while todo:
        id, end = state.end_of(todo.pop())
        if end is None or end.result is not None or id in seen:
            continue
        seen[id] = None
        todo += [h for w in end.waits.values() for h in w.left]
        if end.status is Status.QUEUED:
            todo += gates.unresolved(state, end)
    return list(seen)

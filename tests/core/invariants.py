"""What must be so after every turn, recomputed from scratch.

Nothing here trusts an index: each is rebuilt from the facts it is derived from and compared.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from coflux.model import (
    LINKS,
    Cached,
    Deferred,
    Recurred,
    Returned,
    Superseded,
    Suspended,
    is_input,
    run_of,
)
from coflux.server.core import caps, gates, keys, reasons, scheduling, slots
from coflux.server.core.agenda import Waiter
from coflux.server.core.entities import Execution, Run, Session, attempts
from coflux.server.core.entries import CANDIDATES
from coflux.server.core.machine import Machine
from coflux.server.core.state import State
from coflux.server.core.statuses import Process, Status

#: Results that lead on to another attempt of the same step.
PASSING = (Suspended, Recurred, Superseded)


def check(machine: Machine, now: int) -> None:
    """All invariants of a machine between two turns at `now`."""
    state = machine.state
    check_runs(state)
    check_sessions(state, machine.agenda.lent)
    check_memory(state)
    check_cache(state)
    check_memos(state)
    check_waiters(machine)
    check_queue(machine, now)
    check_lanes(machine)
    check_assigned(machine, now)
    check_slots(state)
    check_finished(machine)
    check_deferred(machine)
    check_inputs(machine)


def everything(state: State) -> list[Execution]:
    return [e for run in state.runs.values() for e in attempts(run)]


def check_runs(state: State) -> None:
    """Numbers without gaps, edges both ways, one result, one unfinished attempt for each place."""
    found = everything(state)
    assert {e.id: e for e in found} == state.executions
    for run in state.runs.values():
        assert list(run.steps) == list(range(1, len(run.steps) + 1))
        unfinished = {e.id: e for e in attempts(run) if e.result is None}
        assert unfinished == run.unfinished, f"unfinished of {run.id}"
        assert run.id in state.families[run.root]
        for step in run.steps.values():
            assert [e.attempt for e in step.executions] == list(range(1, len(step.executions) + 1))
            open_in = Counter(e.environment for e in step.executions if e.result is None)
            assert all(n == 1 for n in open_in.values()), f"{step.id} is unfinished twice"
            assert (step.parent is None) == (step.number == 1)
    for execution in found:
        check_execution(state, execution)


def check_execution(state: State, execution: Execution) -> None:
    """Its fields fit each other."""
    id = execution.id
    assert (execution.status is Status.ENDED) == (execution.result is not None), id
    for child in execution.children:
        if child in state.executions:
            assert id in state.executions[child].step.parents, f"edge {id} → {child}"
            assert run_of(child) == run_of(id), f"edge {id} → {child}"
    if execution.result is None:
        assert execution.successor is None
        assert execution.link_successor is None
        is_queued = execution.status is Status.QUEUED
        assert is_queued == (execution.process is Process.NONE), id
        assert is_queued == (execution.assigned_to is None), id
        assert is_queued or execution.assigned_to in state.sessions, f"{id} is held by nobody"
        session = state.sessions.get(execution.assigned_to or "")
        assert session is None or session.environment == execution.environment, f"EV-6: {id}"
        return
    assert execution.process is not Process.ALIVE, id
    assert not execution.waits, id
    if isinstance(execution.result, PASSING):
        assert execution.successor is not None, f"{id} leads nowhere"
    if execution.link_successor is not None:
        assert isinstance(execution.result, LINKS), id
    for successor in (execution.successor, execution.link_successor):
        if successor is not None:
            following = state.executions[successor]
            assert following.step is execution.step, id
            assert following.environment == execution.environment, id
    end, seen = id, set()
    while end in state.executions and (following_id := next_of(state, end)) is not None:
        assert end not in seen, f"{id} leads back to {end}"
        seen.add(end)
        end = following_id
    assert state.end_of(id)[0] == end


def next_of(state: State, id: str) -> str | None:
    execution = state.executions[id]
    return state.next_of(execution) if execution.result is not None else None


def check_sessions(state: State, lent: Any) -> None:
    """What sessions hold, and that no more runs than there are slots (WA-9)."""
    for session in state.sessions.values():
        held = {
            e.id
            for e in everything(state)
            if e.assigned_to == session.id and (e.result is None or e.process is Process.STOPPING)
        }
        assert set(session.held) == held, f"held by {session.id}"
        assert set(session.blocked) <= held
        for execution in session.held.values():
            is_waiting = execution.status is Status.WAITING
            assert not is_waiting or execution.id in session.blocked, execution.id
            if execution.id in session.blocked:
                assert is_waiting or execution.result is not None, execution.id
            assert is_waiting == bool(execution.waits), f"waits of {execution.id}"
        check_resuming(session, lent)
        assigned = {e.id for e in session.held.values() if e.status is Status.ASSIGNED}
        assert set(session.unacknowledged) <= assigned
    for execution in everything(state):
        is_stopping = execution.process is Process.STOPPING
        assert is_stopping == (execution.id in execution.step.stopping)
        assert is_stopping == (execution.id in execution.run.stopping)


def check_resuming(session: Session, lent: Any) -> None:
    for id in session.resuming:
        waits = session.held[id].waits.values()
        assert waits, f"{id} resumes without a wait"
        assert all(w.is_done for w in waits), f"{id} resumes with an open wait"
    is_kept = session.is_free and any(id not in lent for id in session.resuming)
    assert not is_kept, "a free slot is kept from who waits for it"
    done = {e.id for e in session.held.values() if e.waits and all(
        w.is_done for w in e.waits.values())}  # fmt: skip
    assert done == set(session.resuming), "answered for ever"


def check_crowding(state: State) -> None:
    """No more executions run than there are slots; not so for a while after a restart (WA-9)."""
    for session in state.sessions.values():
        assert not session.is_crowded, f"{session.id}: {session.used} of {session.concurrency}"


def check_memory(state: State) -> None:
    """Links between families keep them in memory."""
    pins: Counter[str] = Counter(e.pinned for e in everything(state) if e.pinned is not None)
    for run in state.runs.values():
        assert run.pins == pins[run.id], f"pins of {run.id}"
    for execution in everything(state):
        target = next_of(state, execution.id) if execution.result is not None else None
        run = state.runs.get(run_of(target)) if target is not None else None
        if run is not None and run.root != execution.run.root and execution.pinned is not None:
            assert execution.pinned == run.root


def check_cache(state: State) -> None:
    """The index has all and only executions that may serve (CA-6, CA-7, CA-10)."""
    by_key = {
        (entry.environment, entry.key, id)
        for id, entry in state.entries.items()
        if entry.execution == id
    }
    indexed = {(*place, id) for place, entries in state.cache.items() for id in entries}
    assert by_key == indexed
    assert all(state.cache.values()), "an empty set of entries"
    for execution in everything(state):
        note = execution.cache
        may_serve = (
            note is not None
            and note.key is not None
            and note.source is None
            and execution.id not in state.forgotten
            and (execution.result is None or isinstance(execution.result, Returned))
        )
        if may_serve and execution.id not in state.entries and note is not None:
            newer = state.cache.get((execution.environment, note.key or b""), {}).values()
            # Only the newest values of a key are kept.
            is_old = sum(entry.order > execution.order for entry in newer) >= CANDIDATES
            assert is_old, f"no cache entry of {execution.id}"
            continue
        assert may_serve == (execution.id in state.entries), f"cache entry of {execution.id}"
        if may_serve and note is not None:
            entry = state.entries[execution.id]
            assert (entry.environment, entry.key) == (execution.environment, note.key)
            is_there = execution.result is not None
            assert entry.value_at == (execution.ended_at if is_there else None)


def check_memos(state: State) -> None:
    """Memoised steps are found under what their references lead to now (ME-1)."""
    for run in state.runs.values():
        places: dict[Any, set[str]] = {}
        for step in run.steps.values():
            if step.memo_key is None:
                assert step.memo_place is None
                continue
            names = step.submission.options.memo
            chosen = names if isinstance(names, tuple) else tuple(step.submission.arguments)
            references = [r for n in chosen for r in step.submission.arguments[n].references]
            place = (step.memo_key, tuple(state.identity(r) for r in references))
            assert step.memo_place == place, f"memo place of {step.id}"
            places.setdefault(place, set()).add(step.id)
        assert {p: set(steps) for p, steps in run.memos.items()} == places


def check_waiters(machine: Machine) -> None:
    """Everybody who waits is attached where his handle leads, and to nothing that has ended."""
    state, agenda = machine.state, machine.agenda
    expected: set[tuple[str, Waiter]] = set()
    for execution in everything(state):
        for wait in execution.waits.values():
            for handle in wait.left:
                end = state.end_of(handle)
                assert not wait.is_done, f"{execution.id} still waits for {handle}"
                assert not state.is_resolved(handle), f"{execution.id} waits for {handle}"
                expected.add((end[0], Waiter("wait", execution.id, wait.key, handle)))
        if isinstance(execution.result, Cached) and execution.link_successor is None:
            leader = execution.result.execution
            end_id, found = state.end_of(leader)
            if found is not None and found.result is None:
                expected.add((end_id, Waiter("follow", execution.id, 0, leader)))
                assert execution.id in agenda.following.get(execution.run.id, {})
    for id, gated in agenda.gated.items():
        assert gated, f"{id} is held back by nothing"
        for handle in gated:
            expected.add((state.end_of(handle)[0], Waiter("gate", id, 0, handle)))
    for token, waiter in agenda.clients.items():
        assert waiter.key == token
        expected.add((state.end_of(waiter.handle)[0], waiter))
    found_waiters = {(id, w) for id, waiters in agenda.waiters.items() for w in waiters}
    still = {(id, w) for id, w in expected if not state.is_resolved(id)}
    assert still <= found_waiters, f"not attached: {still - found_waiters}"
    for id, waiter in found_waiters:
        assert not state.is_resolved(id), f"{waiter} waits for {id}, which has ended"
        assert state.end_of(waiter.handle)[0] == id, f"{waiter} is attached at {id}"
        if waiter.kind in ("wait", "gate", "client"):
            assert (id, waiter) in expected, f"{waiter} is attached for nobody"


def check_queue(machine: Machine, now: int) -> None:
    """Each queued execution is at exactly one place, so that none is lost (SC-6)."""
    state, agenda = machine.state, machine.agenda
    due = Counter(id for _, _, id in agenda.due)
    paused = {id for ids in agenda.paused.values() for id in ids}
    behind = {id for ids in agenda.behind.values() for id in ids}
    capped = {id for ids in agenda.capped.values() for id in ids}
    in_turn = {id for ids in agenda.in_turn.values() for id in ids}
    for execution in everything(state):
        id = execution.id
        places = [
            name
            for name, is_there in (
                ("due", due[id] > 0), ("paused", id in paused), ("gated", id in agenda.gated),
                ("behind", id in behind), ("ready", id in agenda.ready),
                ("capped", id in capped), ("in turn", id in in_turn),
            )
            if is_there
        ]  # fmt: skip
        if execution.status is Status.QUEUED:
            assert len(places) == 1, f"{id} is at {places or 'no place'}"
            assert places != ["due"] or execution.due_at > now, f"{id} is overdue"
            assert places == ["due"] or execution.due_at <= now, f"{id} is early"
        else:
            assert not {"gated", "ready"} & set(places), f"{id} has ended and is at {places}"
            if execution.status is not Status.ENDED:
                assert not places, f"{id} is {execution.status.value} and at {places}"
    for earlier in agenda.behind:
        assert state.executions[earlier].process is Process.STOPPING, f"behind {earlier}"
    for id in in_turn & set(state.executions):
        assert state.earlier_in_turn(state.executions[id].run), f"{id} comes after nothing"
    for id in agenda.gated:
        assert gates.unresolved(state, state.executions[id]), f"{id} could go on"


def check_lanes(machine: Machine) -> None:
    """Lanes hold what is ready, and every group can be found."""
    agenda = machine.agenda
    sizes = Counter(agenda.ready.values())
    lanes = {key: lane for lanes in agenda.lanes.values() for key, lane in lanes.items()}
    assert {key: lane.size for key, lane in lanes.items()} == dict(sizes)
    for id, key in agenda.ready.items():
        execution = machine.state.executions[id]
        assert key == scheduling.lane_key(execution)
        lane = lanes[key]
        group = (scheduling.priority_of(execution), execution.run.root)
        assert id in {entry[2] for entry in lane.groups[group]}, f"{id} is lost in its lane"
        place = lane.places[group]
        assert (-group[0], place, group[1]) in lane.heads
        true = agenda.place(execution.run.root, execution.due_at)
        assert place <= true, f"{id} would come too late"


def check_assigned(machine: Machine, now: int) -> None:
    """Nothing is left that could be given to a free session (SC-6)."""
    state, agenda = machine.state, machine.agenda
    for id, key in agenda.ready.items():
        if not state.is_active(key.environment):
            continue
        for session in state.sessions.values():
            fits = scheduling.hosts(session, key) and scheduling.matches(
                session, dict(key.requires)
            )
            is_closed = session.draining or caps.is_crowded_with_waiting(state, session)
            if session.environment == key.environment and fits and not is_closed:
                is_lacking = slots.lacking(state, state.executions[id], now)
                is_behind = reasons.reason(state, agenda, state.executions[id], now).code == "slot"
                assert not session.is_free or is_lacking or is_behind, (
                    f"{id} could run at {session.id}"
                )


def check_finished(machine: Machine) -> None:
    """Runs are finished when nothing of them is unfinished (RS-6)."""
    state = machine.state
    for run in state.runs.values():
        is_over = not run.unfinished and not _has_open_links(state, run)
        assert (run.status is not None) == is_over, f"status of {run.id}: {run.status}"
        if run.status is not None:
            assert run.status == state.run_status(run), run.id


def _has_open_links(state: State, run: Run) -> bool:
    links = [e for e in attempts(run) if isinstance(e.result, Cached | Deferred)]
    latest = run.steps[1].latest(run.environment) or run.steps[1].executions[-1]
    return any(
        not state.is_resolved(e.id)
        for e in [*(link for link in links if link.link_successor is None), latest]
    )


def check_slots(state: State) -> None:
    """Slots are held by all and only those that name them and whose process may be alive (SC-7)."""
    held: dict[str, set[str]] = {}
    for session in state.sessions.values():
        for execution in session.held.values():
            for name in execution.step.submission.options.slots or ():
                held.setdefault(name, set()).add(execution.id)
    assert {name: set(found) for name, found in state.holders.items()} == held


def check_deferred(machine: Machine) -> None:
    """Of equal executions that have not started one is left, outside paused environments (DF-2)."""
    state = machine.state
    equals: dict[Any, list[Execution]] = {}
    for execution in everything(state):
        submission = execution.step.submission
        shape = keys.defer_shape(submission)[0] if submission.options.defer else None
        is_unstarted = execution.status is Status.QUEUED and execution.origin in (
            "submit",
            "relink",
        )
        is_spawned = execution.step.number == 1 and execution.run.parent is not None
        if shape is not None and is_unstarted and not is_spawned:
            place = (execution.environment, shape, keys.defer_ends(state, submission))
            equals.setdefault(place, []).append(execution)
            assert machine.agenda.unstarted.equal_to(execution.id), f"{execution.id} is not found"
    for (environment, *_), found in equals.items():
        # One that waits for its arguments may have been spared, to close no circle (WA-11).
        is_gated = any(execution.step.submission.options.wait for execution in found)
        assert not state.is_active(environment) or len(found) == 1 or is_gated, (
            f"equal and not deferred: {[e.id for e in found]}"
        )
        known = {e.id for e in machine.agenda.unstarted.equal_to(found[0].id)}
        assert known == {e.id for e in found}


def check_inputs(machine: Machine) -> None:
    """Inputs are numbered, known, found by who refers to them; and open while they are wanted."""
    state = machine.state
    found = {i.id: i for run in state.runs.values() for i in run.inputs.values()}
    assert found == state.inputs
    assert {id: i for id, i in found.items() if i.is_open} == state.open_inputs
    for run in state.runs.values():
        assert list(run.inputs) == list(range(1, len(run.inputs) + 1))
        assert sum(map(len, run.questions.values())) == len(run.inputs)
        for key, numbers in run.questions.items():
            assert all(run.inputs[number].key == key for number in numbers)
        assert [i.id for i in run.inputs.values()] == [f"{run.id}/i{n}" for n in run.inputs]
    referring: dict[str, set[str]] = {}
    for execution in everything(state):
        if execution.result is None:
            values = execution.step.submission.arguments.values()
            ids = [r.id for v in values for r in v.references if r.kind == "input"]
            ids += [id for id in (*execution.gate, *execution.dependencies) if is_input(id)]
            for id in ids:
                referring.setdefault(id, set()).add(execution.id)
    assert {id: set(ids) for id, ids in state.referring.items()} == referring
    for asked in state.open_inputs.values():
        run = asked.run
        assert state.environments[asked.environment].state != "archived", asked.id
        assert run.status != "cancelled", asked.id
        latest = run.steps[1].latest(run.environment) or run.steps[1].executions[-1]
        end = state.end_of(latest.id)[1]
        held = end.result.value.references if end and isinstance(end.result, Returned) else ()
        is_held = asked.id in {r.id for r in held}
        assert run.status is None or asked.id in referring or is_held, f"{asked.id} is forgotten"


# --- replay -------------------------------------------------------------------------------------


def check_replay(live: State, replayed: State) -> None:
    """What was applied from the store is what is in memory, but for what agents tell anew."""
    one, other = dump(live), dump(replayed)
    for part in one:
        assert one[part] == other[part], part


def dump(state: State) -> dict[str, Any]:
    """Everything durable of a state as plain data."""
    return {
        "environments": {i: _fields(e) for i, e in state.environments.items()},
        "sessions": {
            i: (s.environment, s.token_hash, s.incarnation, set(s.held))
            for i, s in state.sessions.items()
        },
        "runs": {i: _fields(r, "steps", "unfinished", "stopping", "memos", "inputs")
                 for i, r in state.runs.items()},
        "sets": {i: [list(r.unfinished), set(r.stopping), {k: list(v) for k, v in r.memos.items()}]
                 for i, r in state.runs.items()},
        "steps": {s.id: _fields(s, "run", "executions", "stopping", "checkpoints")
                  for r in state.runs.values() for s in r.steps.values()},
        "executions": {i: _execution(e) for i, e in state.executions.items()},
        "idempotency": state.idempotency,
        "families": state.families,
        "cache": {i: _fields(e) for i, e in state.entries.items()},
        "namespaces": {n: list(entries) for n, entries in state.namespaces.items()},
        "forgotten": state.forgotten,
        "pinned": state.pinned,
        "assets": {i: _fields(a) for i, a in state.assets.items()},
        "inputs": {i: _fields(a, "run") for i, a in state.inputs.items()},
        "open inputs": list(state.open_inputs),
        "referring": {i: set(found) for i, found in state.referring.items()},
        "order": state.order,
    }  # fmt: skip


def _execution(execution: Execution) -> dict[str, Any]:
    fields = _fields(execution, "step", "waits", "fresh", "expired", "cache", "onward")
    if execution.status is Status.WAITING:  # waits are asked for again
        fields["status"] = Status.RUNNING
    fields["cache"] = _fields(execution.cache) if execution.cache is not None else None
    return fields


def _fields(thing: Any, *without: str) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in type(thing).__slots__ if name not in without}

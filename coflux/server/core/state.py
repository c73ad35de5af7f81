"""What is so: live runs, all environments, manifests, sessions, and small indexes of history.

`apply(change)` is the only mutation. It takes a fact as it is, never asks whether it should be, and
works the same for a fact just decided and for one read from the store after a restart. Belongs
here: facts, and lookups that follow them. Does not belong here: policy; anything that exists only
to find the next thing to do (that is `agenda`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from coflux.model import (
    LINKS,
    Raised,
    Reference,
    Returned,
    Selection,
    Submission,
    Value,
    is_input,
    run_of,
    target_id,
)
from coflux.server.core import changes as c
from coflux.server.core import entries, facts_of_agents, facts_of_environments
from coflux.server.core.entities import (
    AssetRecord,
    CacheEntry,
    Environment,
    Execution,
    Input,
    LaunchRecord,
    Pickles,
    Pool,
    Run,
    Schedule,
    Session,
    Step,
    Wait,
    attempts,
)
from coflux.server.core.limits import Limits
from coflux.server.core.specs import SlotLimit
from coflux.server.core.statuses import Process, Trigger, next_status

#: Assignments that are remembered for each slot; no rate is higher.
USES = 10_000


class State:
    """Everything the core knows; dicts keep order, so the same facts give the same state."""

    def __init__(self) -> None:
        self.environments: dict[str, Environment] = {}
        self.sessions: dict[str, Session] = {}
        #: Pickled targets by environment.
        self.pickles: dict[str, Pickles] = {}
        self.runs: dict[str, Run] = {}
        self.executions: dict[str, Execution] = {}
        #: Runs by (environment, idempotency key): run, fingerprint, created_at (SU-4).
        self.idempotency: dict[tuple[str, str], tuple[str, bytes, int]] = {}
        #: Runs by family: the run at the top of the spawns -> all below it, itself included.
        self.families: dict[str, dict[str, None]] = {}
        #: Entries by (environment, key) and execution, and the same by execution alone.
        self.cache: dict[tuple[str, bytes], dict[str, CacheEntry]] = {}
        self.entries: dict[str, CacheEntry] = {}
        self.namespaces: dict[str, dict[str, CacheEntry]] = {}
        #: Executions that no longer serve lookups (CA-13).
        self.forgotten: dict[str, None] = {}
        #: Runs that are kept for ever, whether in memory or not: by whom, since when (DM-2).
        self.pinned: dict[str, tuple[str, int]] = {}
        self.pools: dict[str, Pool] = {}
        #: Pools that are not deleted, or still have agents, by environment.
        self.pools_in: dict[str, dict[str, Pool]] = {}
        #: Launches that have not ended; and the same by the session opened for them.
        self.launches: dict[str, LaunchRecord] = {}
        self.launched: dict[str, LaunchRecord] = {}
        self.assets: dict[str, AssetRecord] = {}
        self.asset_ids: dict[str, str] = {}
        #: Inputs of the runs in memory, those that are open, and who refers to each (IN-6).
        self.inputs: dict[str, Input] = {}
        self.open_inputs: dict[str, Input] = {}
        self.referring: dict[str, dict[str, None]] = {}
        #: Runs that links lead to and that have not been read from the store, with the links.
        self.absent: dict[str, list[Execution]] = {}
        self._is_loading = False
        #: Memoised steps by the unresolved executions that their arguments lead to.
        self.memo_ends: dict[str, dict[str, Step]] = {}
        self.order = 0
        #: What holds where an environment has set nothing of its own.
        self.defaults = Limits()
        #: Named slots by (environment or None for the project, name).
        self.slots: dict[tuple[str | None, str], SlotLimit] = {}
        self.schedules: dict[str, Schedule] = {}
        #: Executions by the slots they name, whose process may be alive.
        self.holders: dict[str, dict[str, Execution]] = {}
        #: (at, environment) of the newest assignments that named a slot.
        self.uses: dict[str, deque[tuple[int, str]]] = {}

    # --- lookups -------------------------------------------------------------------------------

    def environment_named(self, name: str) -> Environment | None:
        """The environment with that name that is not archived (ID-5)."""
        return next(
            (e for e in self.environments.values() if e.name == name and e.state != "archived"),
            None,
        )

    def lineage(self, environment: str) -> list[str]:
        """The environment and its ancestors, nearest first; guarded against circles (EV-3)."""
        line: list[str] = []
        id: str | None = environment
        while id is not None and id not in line and id in self.environments:
            line.append(id)
            id = self.environments[id].base
        return line

    def setting(self, environment: str, name: str) -> int:
        """A limit as it is in an environment."""
        own = self.environments[environment].settings.get(name)
        return int(getattr(self.defaults, name)) if own is None else own

    def is_active(self, environment: str) -> bool:
        """Whether work may start there."""
        return self.environments[environment].state == "active"

    def pools_of(self, environment: str) -> list[Pool]:
        """Pools of an environment that are not deleted."""
        return [p for p in self.pools_in.get(environment, {}).values() if p.state != "deleted"]

    def pool_named(self, environment: str, name: str) -> Pool | None:
        """The pool with that name that is not deleted (PO-1)."""
        return next((p for p in self.pools_of(environment) if p.name == name), None)

    def step(self, run: str, number: int) -> Step | None:
        """A step by its numbers."""
        found = self.runs.get(run)
        return found.steps.get(number) if found else None

    def next_of(self, execution: Execution) -> str | None:
        """The execution that its result leads on to, if any."""
        if execution.link_successor is not None:
            return execution.link_successor
        if execution.successor is not None:
            return execution.successor
        if isinstance(execution.result, LINKS):
            return execution.result.execution
        return None

    def end_of(self, id: str) -> tuple[str, Execution | None]:
        """Where the links of an execution lead: its id, and itself unless it is only in the store.

        What is only in the store is finished.
        """
        while True:
            execution = self.executions.get(id)
            if execution is None:
                return id, None
            if execution.successor is not None:
                id = self._onward(execution, execution.successor)
                continue
            following = self.next_of(execution) if execution.result is not None else None
            if following is None:
                return id, execution
            id = following

    def _onward(self, execution: Execution, successor: str) -> str:
        """Follow a successor, and shorten the way: successors never change, and chains are long."""
        following = self.executions.get(execution.onward or successor)
        if following is None:
            return successor
        execution.onward = following.onward or following.successor or following.id
        return execution.onward

    def is_resolved(self, id: str) -> bool:
        """Whether following links ends at a final result."""
        end = self.end_of(id)[1]
        if end is None:
            return id not in self.open_inputs
        return end.result is not None

    def is_known(self, handle: str) -> bool:
        """Whether an execution or input is in memory."""
        return handle in self.executions or handle in self.inputs

    def run_status(self, run: Run, now: int | None = None) -> str:
        """The status of a run from its initial step's latest attempt (RS-6).

        `now` in ms UTC tells a resumption that is due from one that is not; without it none is.
        """
        latest = run.steps[1].latest(run.environment) or run.steps[1].executions[-1]
        return self.status_by(latest, now)

    def status_by(self, attempt: Execution, now: int | None = None) -> str:
        """The status of a run whose initial step's latest attempt this is; `now` as above."""
        id, end = self.end_of(attempt.id)
        if end is None:
            return self._stored_status(id)
        if end.result is None:
            if end.status == "queued":
                is_due = now is not None and end.due_at <= now and self._is_awaited_there(end)
                return "suspended" if end.origin == "resume" and not is_due else "queued"
            return "running"
        if isinstance(end.result, Returned):
            return "succeeded"
        return "cancelled" if end.result.__struct_config__.tag == "cancelled" else "failed"

    def _is_awaited_there(self, resumed: Execution) -> bool:
        there = [self.is_resolved(handle) for handle in resumed.gate]
        return not there or (any(there) if resumed.gate_first else all(there))

    def _stored_status(self, id: str) -> str:
        # Only values in the cache index may be linked to without being in memory.
        return "succeeded"

    def cached(self, environment: str, key: bytes) -> Iterator[CacheEntry]:
        """Entries with that key in one environment, newest created first."""
        found = self.cache.get((environment, key), {}).values()
        return iter(sorted(found, key=lambda entry: -entry.order))

    def identity(self, reference: Reference) -> str:
        """What a reference counts as in a key (CA-3)."""
        if reference.kind == "execution":
            return self.end_of(reference.id)[0]
        if reference.kind == "asset" and reference.id in self.assets:
            return self.assets[reference.id].digest
        return reference.id

    def ancestors(self, execution: str | None) -> Iterator[str]:
        """An execution's parents, across spawns, nearest first."""
        while execution is not None:
            yield execution
            found = self.executions.get(execution)
            if found is None:
                return
            execution = found.step.parent or found.run.parent

    # --- facts ---------------------------------------------------------------------------------

    def apply(self, change: c.Change) -> None:
        """Take in one fact."""
        _APPLY[type(change)](self, change)

    def load(self, facts: Iterable[c.Change]) -> None:
        """Take in facts read from the store.

        What links in them lead to and is not in memory is noted in `absent`.
        """
        self._is_loading = True
        for fact in facts:
            self.apply(fact)
        self._is_loading = False
        for run in [run for run in self.absent if run in self.runs]:
            for execution in self.absent.pop(run):
                if self.executions.get(execution.id) is execution and execution.pinned is None:
                    self._pin(execution)

    def evict(self, root: str) -> None:
        """Forget the runs of a family; the store still has them. Changes no outcome."""
        for run_id in self.families.pop(root, {}):
            run = self.runs.pop(run_id)
            for asked in run.inputs.values():
                del self.inputs[asked.id]
            for step in run.steps.values():
                self._lift(step)
            for execution in attempts(run):
                del self.executions[execution.id]
                self._unpin(execution)

    def _pin(self, execution: Execution) -> None:
        """Note a link between families, which keeps the other in memory."""
        target = self.next_of(execution)
        run = self.runs.get(run_of(target)) if target else None
        if run is not None and run.root != execution.run.root:
            execution.pinned = run.root
            self.runs[run.root].pins += 1
        elif run is None and target is not None and self._is_loading:
            entry = self.entries.get(target)
            if entry is None or entry.value_at is None:  # else it is known to be a value
                self.absent.setdefault(run_of(target), []).append(execution)

    def _unpin(self, execution: Execution) -> None:
        family = self.runs.get(execution.pinned or "")
        execution.pinned = None
        if family is not None:
            family.pins -= 1

    def _pinned(self, x: c.RunPinned) -> None:
        self.pinned.pop(x.run, None)
        if x.is_pinned:
            self.pinned[x.run] = (x.by, x.at)

    def _removed(self, x: c.RunsRemoved) -> None:
        for run in x.runs:
            if run in self.families:
                self.evict(run)
            self.pinned.pop(run, None)
        for id in x.entries:
            entry = self.entries.get(id)
            if entry is not None:
                self.namespaces.get(entry.namespace, {}).pop(id, None)
                entries.drop(self, id)
        for key in x.keys:
            known = self.idempotency.get(key)
            if known is not None and known[0] in x.runs:
                del self.idempotency[key]
        for id in x.assets:
            asset = self.assets.pop(id, None)
            if asset is not None:
                self.asset_ids.pop(asset.digest, None)

    def schedule_named(self, environment: str, name: str) -> Schedule | None:
        """The schedule of that name in an environment."""
        found = self.schedules.values()
        return next((s for s in found if (s.environment, s.spec.name) == (environment, name)), None)

    def earlier_in_turn(self, run: Run) -> str | None:
        """The oldest unfinished run of its schedule that a run comes after (SD-5).

        One that was deferred to this run is finished when this one is, and does not hold it back.
        A run that has been finished and is run again by hand comes after nothing.
        """
        schedule = self.schedules.get(run.schedule or "") if run.is_in_turn else None
        for id in schedule.runs if schedule is not None and run.id in schedule.runs else ():
            if id == run.id:
                return None
            if not self._leads_to(self.runs[id], run):
                return id
        return None

    def _leads_to(self, earlier: Run, run: Run) -> bool:
        latest = earlier.steps[1].latest(earlier.environment) or earlier.steps[1].executions[-1]
        end = self.end_of(latest.id)[1]
        return end is not None and end.run is run

    def _run(self, x: c.RunCreated) -> None:
        run = Run(x.run, x.environment, x.repository, x.target, x.at)
        run.by, run.parent, run.root = x.by, x.parent, x.root or x.run
        run.memo, run.requires, run.priority = x.memo, x.requires, x.priority
        run.idempotency_key, run.fingerprint = x.idempotency_key, x.fingerprint
        run.schedule, run.scheduled_at, run.is_in_turn = x.schedule, x.scheduled_at, x.is_in_turn
        if x.schedule in self.schedules:
            self.schedules[x.schedule].runs[x.run] = None
        self.runs[x.run] = run
        self.families.setdefault(run.root, {})[x.run] = None
        if x.idempotency_key is not None:
            key = (x.environment, x.idempotency_key)
            self.idempotency[key] = (x.run, x.fingerprint, x.at)

    def _step(self, x: c.StepCreated) -> None:
        run = self.runs[x.run]
        step = Step(run, x.step, x.submission, x.parent)
        step.created_at = x.at
        above = self.executions.get(x.parent or run.parent or "")
        step.depth = above.step.depth + 1 if above is not None else 0
        step.memo_key, step.arguments_note = x.memo_key, x.memo_note
        run.steps[x.step] = step
        if x.memo_key is not None:
            self._place(step)
        execution = self._add(step, x.environment, x.at)
        execution.due_at = x.due_at
        group = x.submission.group
        self._adopt(x.parent, execution.id, group.number if group else None, x.request)

    def _adopt(
        self, parent: str | None, child: str, group: int | None, request: tuple[int, int] | None
    ) -> None:
        execution = self.executions.get(parent) if parent else None
        if execution is None:
            return
        execution.children.setdefault(child, group)
        if request is not None:
            execution.requests.setdefault(request[0], []).append(child)

    def _child(self, x: c.ChildJoined) -> None:
        self._adopt(x.parent, x.child, x.group, x.request)
        child = self.executions.get(x.child)
        if child is not None:
            child.step.parents[x.parent] = None

    def _place(self, step: Step) -> None:
        """Index a memoised step by what its call is equal to now (ME-1)."""
        assert step.memo_key is not None
        references = memo_references(step.submission)
        place = (step.memo_key, tuple(self.identity(r) for r in references))
        step.memo_place = place
        step.run.memos.setdefault(place, {})[step.id] = step
        for reference, end in zip(references, place[1], strict=True):
            if reference.kind == "execution" and not _is_settled(self.executions.get(end)):
                self.memo_ends.setdefault(end, {})[step.id] = step

    def _lift(self, step: Step) -> None:
        if step.memo_place is None:
            return
        steps = step.run.memos.get(step.memo_place, {})
        steps.pop(step.id, None)
        if not steps:
            step.run.memos.pop(step.memo_place, None)
        for end in step.memo_place[1]:
            waiting = self.memo_ends.get(end)
            if waiting is not None:
                waiting.pop(step.id, None)
                if not waiting:
                    del self.memo_ends[end]
        step.memo_place = None

    def _move_memos(self, end: str) -> None:
        """Handles that led to this execution may lead elsewhere now."""
        for step in list(self.memo_ends.pop(end, {}).values()):
            self._lift(step)
            self._place(step)

    def _group(self, x: c.GroupNamed) -> None:
        self.executions[x.execution].groups.setdefault(x.group, x.name)

    def _add(self, step: Step, environment: str, at: int) -> Execution:
        self.order += 1
        execution = Execution(step, len(step.executions) + 1, environment, at)
        execution.order = self.order
        step.executions.append(execution)
        self.executions[execution.id] = execution
        step.run.unfinished[execution.id] = execution
        step.run.status = None
        for value in step.submission.arguments.values():
            if value.references:
                self._refer(execution.id, inputs_in(value))
        return execution

    def _refer(self, execution: str, handles: Iterable[str]) -> None:
        """An unfinished execution refers to these, of which some may be inputs."""
        for id in handles:
            if is_input(id):
                self.referring.setdefault(id, {})[execution] = None

    def _unrefer(self, execution: Execution) -> None:
        for id in referred(execution):
            found = self.referring.get(id)
            if found is not None:
                found.pop(execution.id, None)
                if not found:
                    del self.referring[id]

    def _execution(self, x: c.ExecutionCreated) -> None:
        run, number, _ = x.execution.split(":")
        execution = self._add(self.runs[run].steps[int(number)], x.environment, x.at)
        execution.origin, execution.due_at, execution.by = x.origin, x.due_at, x.by
        execution.predecessor, execution.retries_used = x.predecessor, x.retries_used
        execution.gate, execution.gate_first = x.gate, x.gate_first
        execution.gate_cancel = x.gate_cancel
        execution.suspensions, execution.burst = x.suspensions, x.burst
        execution.required_code, execution.reuse = x.code, x.reuse
        self._refer(execution.id, x.gate)

    def _assigned(self, x: c.Assigned) -> None:
        execution = self.executions[x.execution]
        execution.status = next_status(execution.status, Trigger.ASSIGNED)
        execution.process = Process.ALIVE
        execution.assigned_to, execution.assigned_at = x.session, x.at
        execution.incarnation = x.incarnation
        self._note_code(execution, x.code)
        session = self.sessions.get(x.session)
        if session is not None:
            session.held[x.execution] = execution
            session.unacknowledged[x.execution] = None
        for name in execution.step.submission.options.slots or ():
            self.note_use(name, x.at, execution.environment)
            if session is not None:
                self.holders.setdefault(name, {})[x.execution] = execution

    def note_use(self, name: str, at: int, environment: str) -> None:
        """An execution that names the slot was assigned (SC-8)."""
        uses = self.uses.setdefault(name, deque(maxlen=USES))
        if not uses or uses[-1][0] <= at:  # not so for a finished run that is read again
            uses.append((at, environment))

    def give_back(self, execution: Execution) -> None:
        """Its process is dead, and with it all that it held of named slots."""
        for name in execution.step.submission.options.slots or ():
            found = self.holders.get(name, {})
            found.pop(execution.id, None)
            if not found:
                self.holders.pop(name, None)

    def _started(self, x: c.Started) -> None:
        execution = self.executions[x.execution]
        execution.status = next_status(execution.status, Trigger.STARTED)
        execution.started_at = x.at
        session = self.sessions.get(execution.assigned_to or "")
        if session is not None:
            session.unacknowledged.pop(x.execution, None)

    def _code(self, x: c.CodeRecorded) -> None:
        execution = self.executions[x.execution]
        self._note_code(execution, x.code)
        entry = self.entries.get(x.execution)
        if entry is not None:
            entry.code = x.code

    def _note_code(self, execution: Execution, code: str | None) -> None:
        submission = execution.step.submission
        name = target_id(submission.repository, submission.target)
        counts = execution.run.codes.setdefault(name, {}).setdefault(execution.environment, {})
        if execution.code is not None:
            counts[execution.code] -= 1
        if code is not None:
            counts[code] = counts.get(code, 0) + 1
        execution.code = code

    def _blocked(self, x: c.Blocked) -> None:
        execution = self.executions[x.execution]
        execution.status = next_status(execution.status, Trigger.BLOCKED)
        session = self.sessions.get(execution.assigned_to or "")
        if session is not None:
            session.blocked[x.execution] = execution

    def _unblocked(self, x: c.Unblocked) -> None:
        execution = self.executions[x.execution]
        execution.status = next_status(execution.status, Trigger.UNBLOCKED)
        session = self.sessions.get(execution.assigned_to or "")
        if session is not None:
            session.blocked.pop(x.execution, None)

    def _depended(self, x: c.Depended) -> None:
        self.executions[x.execution].dependencies.update(dict.fromkeys(x.on))
        self._refer(x.execution, x.on)

    def _result(self, x: c.ResultRecorded) -> None:
        execution = self.executions[x.execution]
        execution.result, execution.ended_at = x.result, x.at
        execution.successor, execution.by, execution.reason = x.successor, x.by, x.reason
        execution.status = next_status(execution.status, Trigger.RESULT)
        execution.process = Process(x.process)
        execution.waits.clear()
        execution.fresh.clear()
        execution.run.unfinished.pop(x.execution, None)
        self._unrefer(execution)
        self._pin(execution)
        self._release(execution, x.frees)
        entries.settle(self, execution, x.at)
        if x.successor is not None or isinstance(x.result, LINKS):
            self._move_memos(x.execution)
        elif _is_settled(execution):
            self.memo_ends.pop(x.execution, None)

    def _release(self, execution: Execution, frees: bool) -> None:
        """Give back what it held of its session; a process being stopped keeps the slot (ST-5)."""
        session = self.sessions.get(execution.assigned_to or "")
        if session is None and execution.process is Process.STOPPING:
            # Read after a restart: a session that is over has taken its processes with it.
            execution.process = Process.GONE
        if execution.process is not Process.STOPPING:
            self.give_back(execution)
        if session is None:
            return
        session.resuming.pop(execution.id, None)
        session.unacknowledged.pop(execution.id, None)
        if execution.process is not Process.STOPPING:
            session.held.pop(execution.id, None)
            session.blocked.pop(execution.id, None)
            return
        execution.step.stopping[execution.id] = execution
        execution.run.stopping[execution.id] = execution
        if frees:
            session.blocked[execution.id] = execution

    def bury(self, execution: Execution) -> None:
        """The process of an ended execution is dead."""
        execution.process = Process.GONE
        execution.step.stopping.pop(execution.id, None)
        execution.run.stopping.pop(execution.id, None)

    def _link(self, x: c.LinkSucceeded) -> None:
        execution = self.executions[x.execution]
        end = self.end_of(x.execution)[0]
        self._unpin(execution)
        execution.link_successor = x.successor
        self._move_memos(end)

    def _process(self, x: c.ProcessEnded) -> None:
        execution = self.executions[x.execution]
        self.bury(execution)
        self._release(execution, False)

    def _asset(self, x: c.AssetRecorded) -> None:
        execution = self.executions.get(x.execution)
        if execution is not None:
            execution.assets[x.asset] = None
        if x.asset not in self.assets:
            self.add_asset(AssetRecord(x.asset, x.digest, x.manifest, x.execution))

    def add_asset(self, asset: AssetRecord) -> None:
        """Take in an asset read from the store."""
        self.assets[asset.id] = asset
        self.asset_ids[asset.digest] = asset.id

    def _checkpoint(self, x: c.CheckpointSaved) -> None:
        execution = self.executions[x.execution]
        newest = execution.step.checkpoints.get(execution.environment)
        if newest is None or newest[0] <= execution.attempt:
            execution.step.checkpoints[execution.environment] = (execution.attempt, x.arguments)
        execution.has_checkpoint = True
        if x.request is not None:
            execution.checkpoint_keys[x.request] = None

    def _input(self, x: c.InputCreated) -> None:
        run = self.runs[x.run]
        asked = Input(
            run, x.input, x.execution, x.environment, x.target, x.question, x.key, x.at
        )  # fmt: skip
        number = len(run.inputs) + 1
        run.inputs[number] = asked
        run.questions.setdefault(x.key, []).append(number)
        self.inputs[x.input] = self.open_inputs[x.input] = asked

    def _input_ended(self, x: c.InputEnded) -> None:
        asked = self.inputs[x.input]
        asked.state, asked.answer, asked.ended_at = x.state, x.answer, x.at
        asked.by, asked.cause = x.by, x.cause
        self.open_inputs.pop(x.input, None)

    def _held(self, x: c.RunHeld) -> None:
        self.runs[x.run].held = (x.setting, x.value) if x.setting is not None else None

    def _finished(self, x: c.RunFinished) -> None:
        run = self.runs[x.run]
        run.status = x.status
        if run.schedule in self.schedules:
            self.schedules[run.schedule].runs.pop(run.id, None)

    def open_wait(self, execution: Execution, wait: Wait) -> None:
        """Remember an open wait; like the session's connection it is told anew by the agent."""
        execution.waits[wait.key] = wait


def inputs_in(value: Value) -> list[str]:
    """Inputs that a value refers to."""
    return [r.id for r in value.references if r.kind == "input"]


def referred(execution: Execution) -> list[str]:
    """Inputs that an execution refers to: in its arguments, or because it asked for them."""
    arguments = execution.step.submission.arguments.values()
    found = [id for value in arguments if value.references for id in inputs_in(value)]
    found += [id for id in (*execution.gate, *execution.dependencies) if is_input(id)]
    return found


def memo_references(submission: Submission) -> list[Reference]:
    """References in the arguments that a call's memo key is made of, in order."""
    return references_in(submission, submission.options.memo)


def references_in(submission: Submission, selection: Selection | None) -> list[Reference]:
    """References in the selected arguments of a call, in order."""
    names = selection if isinstance(selection, tuple) else tuple(submission.arguments)
    return [r for name in names for r in submission.arguments[name].references]


def _is_settled(end: Execution | None) -> bool:
    """Whether no link that leads there can ever lead elsewhere (a failed leader's may, CA-9)."""
    return end is not None and isinstance(end.result, Returned | Raised)


_APPLY: dict[type[c.Change], Callable[[State, Any], None]] = {
    c.EnvironmentSet: facts_of_environments.set_environment,
    c.ManifestSet: facts_of_environments.set_manifest,
    c.SettingSet: facts_of_environments.set_setting,
    c.SlotSet: facts_of_environments.set_slot,
    c.ScheduleSet: facts_of_environments.set_schedule,
    c.ScheduleAdvanced: facts_of_environments.advance_schedule,
    c.RunPinned: State._pinned,
    c.RunsRemoved: State._removed,
    c.CacheForgotten: entries.forget,
    c.SessionOpened: facts_of_agents.open_session,
    c.PoolSet: facts_of_agents.set_pool,
    c.LaunchWanted: facts_of_agents.want_launch,
    c.LaunchRetired: facts_of_agents.retire_launch,
    c.LaunchEnded: facts_of_agents.end_launch,
    c.IncarnationSet: facts_of_agents.set_incarnation,
    c.SessionEnded: facts_of_agents.end_session,
    c.Connected: facts_of_agents.connect,
    c.Announced: facts_of_agents.announce,
    c.TargetPickled: facts_of_agents.pickle,
    c.Drained: facts_of_agents.drain,
    c.Acknowledged: facts_of_agents.acknowledge,
    c.RunCreated: State._run,
    c.StepCreated: State._step,
    c.ChildJoined: State._child,
    c.GroupNamed: State._group,
    c.ExecutionCreated: State._execution,
    c.CacheChecked: entries.check,
    c.Assigned: State._assigned,
    c.Started: State._started,
    c.CodeRecorded: State._code,
    c.Blocked: State._blocked,
    c.Unblocked: State._unblocked,
    c.Depended: State._depended,
    c.ResultRecorded: State._result,
    c.LinkSucceeded: State._link,
    c.ProcessEnded: State._process,
    c.AssetRecorded: State._asset,
    c.CheckpointSaved: State._checkpoint,
    c.InputCreated: State._input,
    c.InputEnded: State._input_ended,
    c.RunHeld: State._held,
    c.RunFinished: State._finished,
}

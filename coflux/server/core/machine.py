"""The door of the core: an event and the time in, facts and wishes out.

Belongs here: which rule an event goes to, and what is looked after at the end of every turn. Does
not belong here: any rule.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from coflux.model import Cached, Deferred, Record, Submission, run_of
from coflux.server.core import (
    assets,
    caching,
    cancellation,
    deferral,
    environments,
    inputs,
    launches,
    manifests,
    outcomes,
    pinning,
    pools,
    reruns,
    results,
    retention,
    schedules,
    scheduling,
    sessions,
    settings,
    settling,
    submission,
    timeouts,
    waiting,
)
from coflux.server.core import events as e
from coflux.server.core.agenda import Agenda
from coflux.server.core.changes import Change, Connected, EnvironmentSet
from coflux.server.core.effects import Effect
from coflux.server.core.entities import Run, attempts
from coflux.server.core.state import State
from coflux.server.core.turn import Limits, Source, Turn


class Outcome(Record):
    """What a turn decided: facts to write, and wishes to carry out once they are written."""

    changes: list[Change]
    effects: list[Effect]


class Machine:
    """A project's decisions."""

    def __init__(self, source: Source, limits: Limits | None = None) -> None:
        self.state = State()
        self.agenda = Agenda()
        self.source = source
        self.limits = limits or Limits()
        self.state.defaults = self.limits
        #: What has turned out in reading, to be recorded with the next turn.
        self._died: list[e.ProcessDied] = []

    def handle(self, event: e.Event, now: int) -> Outcome:
        """Decide on one event. `now` is in ms UTC and never less than before."""
        turn = Turn(self.state, self.agenda, self.source, self.limits, now)
        for died in self._died:
            results.process_died(turn, died)
        self._died.clear()
        rule = _RULES.get(type(event))
        if rule is not None:
            rule(turn, event)
        _look_after(turn)
        return Outcome(turn.changes, turn.effects)

    def next_deadline(self) -> int | None:
        """The earliest instant (ms UTC) at which something happens without an event."""
        return self.agenda.next()

    def start(self, now: int) -> Outcome:
        """Go on after the rows of live work were applied (SE-10); also the very first start."""
        turn = Turn(self.state, self.agenda, self.source, self.limits, now)
        if not self.state.environments:
            turn.record(EnvironmentSet(self.source.id("E"), "default", None, "active", "", now))
        for session in self.state.sessions.values():
            lost_at = now + self.state.setting(session.environment, "reconnect_ms")
            turn.record(Connected(session.id, None, lost_at))
            self.agenda.at(lost_at, "session", session.id)
        for launch in self.state.launches.values():
            # Whether one that was there before has been of use is not told again.
            self.agenda.used_launches[launch.id] = None
            if launch.retired_at is not None:
                self.agenda.at(now + launches.DRAIN_MS, "launch", launch.id)
        for environment, found in self.state.pools_in.items():
            if found:
                self.agenda.stirred[environment] = None
        runs = list(self.state.runs.values())
        for run in runs:
            self._take_up(turn, run)
        settling.settle(turn)
        for run in runs:  # not before links are followed: a follower may have to run yet (CA-9)
            settling.finish(turn, run)
        _look_after(turn)
        return Outcome(turn.changes, turn.effects)

    def _take_up(self, turn: Turn, run: Run) -> None:
        self.agenda.requeue_all(run.unfinished)
        for execution in run.unfinished.values():
            deferral.enter(turn, execution, compare=False)
        for execution in attempts(run):
            if execution.result is not None and execution.link_successor is None:
                following = self.state.next_of(execution)
                if execution.successor is None and following is not None:
                    turn.ended.append(execution)
                    if isinstance(execution.result, Cached | Deferred):
                        # Before the first is settled: the run is not finished before the last.
                        self.agenda.follow(execution)

    def fetch(
        self,
        event: e.Event,
        family: Callable[[str], list[Change]],
        was_removed: Callable[[str], bool] = lambda run: False,
    ) -> list[str]:
        """Read what an event names, and what links in that lead to, from the store.

        `family` gives the changes of a run and of its family; `was_removed` is asked of runs that
        have none. Returns the roots that were read.
        """
        state, read = self.state, []
        self.agenda.removed.clear()
        todo = [*dict.fromkeys(run_of(id) for id in _named(event)), *state.absent]
        for run in todo:  # grows while it is gone through
            if not run or run in state.runs:
                continue
            facts = family(run)
            if facts:
                state.load(facts)
                read.append(state.runs[run].root)
                self._note_dead(state.runs[run].root, event)
            elif was_removed(run):
                self.agenda.removed.add(run)
            todo += [absent for absent in state.absent if absent not in todo]
        state.absent.clear()
        return read

    def _note_dead(self, root: str, event: e.Event) -> None:
        """Processes that were being stopped when the server died, and that no agent has told of.

        Their runs were finished, so they were not in memory when their agent came back; had it had
        them then, they would have been read.
        """
        held = dict(event.held) if isinstance(event, e.SessionConnected) else {}
        for run in self.state.families[root]:
            for execution in self.state.runs[run].stopping.values():
                session = self.state.sessions.get(execution.assigned_to or "")
                if session is not None and session.connected_at and execution.id not in held:
                    self._died.append(e.ProcessDied(session.id, execution.id))

    def missing_assets(self, event: e.Event) -> list[str]:
        """Ids and digests of assets that an event names and that are not in memory."""
        if isinstance(event, e.AssetRequested):
            return [] if event.asset in self.state.assets else [event.asset]
        if isinstance(event, e.AssetPersisted):
            return [] if event.digest in self.state.asset_ids else [event.digest]
        return [id for id in _asset_references(event) if id not in self.state.assets]

    def is_evictable(self, root: str) -> bool:
        """Whether a family of runs is finished and nothing in memory leads to it."""
        family = [self.state.runs[id] for id in self.state.families.get(root, {})]
        if any(asked.is_open for run in family for asked in run.inputs.values()):
            return False
        return all(r.status is not None and r.pins <= 0 and not r.stopping for r in family)

    def evict(self, root: str) -> None:
        """Forget a finished family; the store has it, and it is read again when named."""
        self.agenda.last_assigned.pop(root, None)
        self.state.evict(root)


def _look_after(turn: Turn) -> None:
    """What may follow from anything: deadlines, waiters, due work, free slots."""
    _take_deadlines(turn)
    while True:
        settling.settle(turn)
        scheduling.take_due(turn)
        if turn.ended or turn.ended_inputs:
            continue
        if not turn.agenda.stirred:
            return
        # After all that has ended: waiting executions come before new work (T10).
        stirred = list(turn.agenda.stirred)
        scheduling.assign(turn)
        for environment in stirred:
            launches.follow(turn, environment)


def _take_deadlines(turn: Turn) -> None:
    deadlines = turn.agenda.deadlines
    while deadlines and deadlines[0][0] <= turn.now:
        _, kind, id, key = heapq.heappop(deadlines)
        if kind == "session":
            sessions.expired(turn, id)
        elif kind == "attempt":
            timeouts.watch(turn, id)
        elif kind == "queue":
            timeouts.queued_too_long(turn, id)
        elif kind == "pool":
            launches.woken(turn, id)
        elif kind == "launch":
            launches.overdue(turn, id)
        elif kind == "slot":
            turn.agenda.stirred[id] = None
        else:
            execution = turn.state.executions.get(id)
            if execution is not None:
                waiting.expired(turn, execution, key)


def _named(event: e.Event) -> list[str]:
    """Ids of executions, steps and runs that an event speaks of."""
    ids: list[str] = []
    submissions: tuple[Submission, ...] = ()
    if isinstance(event, e.RunRequested):
        submissions = (event.submission,)
    elif isinstance(event, e.StepsRequested):
        submissions = event.submissions
    elif isinstance(event, e.WaitRequested | e.DependenciesReported):
        ids += event.handles
    elif isinstance(event, e.CancelRequested):
        ids += event.ids
    elif isinstance(event, e.RerunRequested | e.ResultSet):
        ids.append(event.id)
    elif isinstance(event, e.OutcomeAwaited | e.OutcomeReported | e.ProcessDied):
        ids.append(event.execution)
    elif isinstance(event, e.InputAnswered | e.InputDismissed):
        ids.append(event.input)
    elif isinstance(event, e.SessionConnected):
        ids += [id for id, _ in event.held]
    return ids + _references(submissions, "execution") + _references(submissions, "input")


def _asset_references(event: e.Event) -> list[str]:
    if isinstance(event, e.RunRequested):
        return _references((event.submission,), "asset")
    return _references(event.submissions, "asset") if isinstance(event, e.StepsRequested) else []


def _references(submissions: tuple[Submission, ...], kind: str) -> list[str]:
    return [
        reference.id
        for call in submissions
        for value in call.arguments.values()
        for reference in value.references
        if reference.kind == kind
    ]


_RULES: dict[type[Any], Callable[[Turn, Any], None]] = {
    e.RunRequested: submission.run_requested,
    e.OutcomeAwaited: waiting.awaited,
    e.OutcomeUnawaited: waiting.unawaited,
    e.CancelRequested: cancellation.requested,
    e.RerunRequested: reruns.requested,
    e.ResultSet: reruns.result_set,
    e.PinRequested: pinning.requested,
    e.RemovalProposed: retention.proposed,
    e.EnvironmentRequested: environments.created,
    e.EnvironmentChangeRequested: environments.changed,
    e.EnvironmentStateRequested: environments.state_requested,
    e.HostSlept: timeouts.slept,
    e.ScheduleRequested: schedules.requested,
    e.ScheduleChangeRequested: schedules.change_requested,
    e.ScheduleDue: schedules.due,
    e.SettingsRequested: settings.requested,
    e.SlotRequested: settings.slot_requested,
    e.ManifestsRegistered: manifests.registered,
    e.CacheForgetRequested: caching.forget,
    e.SessionRequested: sessions.requested,
    e.SessionConnected: sessions.connected,
    e.SessionDisconnected: sessions.disconnected,
    e.SessionClosed: sessions.closed,
    e.SessionDrained: sessions.drained,
    e.TargetsAnnounced: sessions.announced,
    e.AssignmentAcknowledged: sessions.acknowledged,
    e.ExecutionStarted: sessions.started,
    e.OutcomeReported: outcomes.reported,
    e.ProcessDied: results.process_died,
    e.CodeReported: sessions.code_reported,
    e.StepsRequested: submission.steps_requested,
    e.WaitRequested: waiting.requested,
    e.DependenciesReported: results.depend,
    e.SuspensionRequested: waiting.suspension_requested,
    e.AssetPersisted: assets.persisted,
    e.AssetRequested: assets.requested,
    e.CheckpointRequested: assets.checkpoint_requested,
    e.InputRequested: inputs.requested,
    e.InputAnswered: inputs.answered,
    e.InputDismissed: inputs.dismissed,
    e.PoolRequested: pools.requested,
    e.PoolChanged: pools.changed,
    e.PoolStateRequested: pools.state_requested,
    e.PoolsImported: pools.imported,
    e.LaunchReported: launches.reported,
}

"""The project process around the real core: batches, commits, and crashes at named points.

Belongs here: what `server.project` does, without sockets. Does not belong here: rules.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from coflux import wire
from coflux.model import SYMBOLS, Abandoned, run_of
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core.changes import Change, RunFinished, RunsRemoved
from coflux.server.core.events import Caller, Code
from coflux.server.core.machine import Machine, Outcome
from coflux.server.core.state import State
from coflux.server.core.turn import Limits
from coflux.server.store.removal import Proposal
from tests.simulation.clock import Clock
from tests.simulation.host import Host
from tests.simulation.link import Link
from tests.simulation.store import Disk
from tests.simulation.timetable import Desk

#: Finished families that stay in memory: few, so that reading them again is practised.
KEPT = 2
#: Where a crash may strike.
POINTS = ("before commit", "after commit", "between batches")


class Chance:
    """Ids and numbers from the seed."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._drawn: set[str] = set()

    def id(self, prefix: str) -> str:
        while True:
            id = prefix + "".join(self._rng.choices(SYMBOLS, k=4))
            if id not in self._drawn:
                self._drawn.add(id)
                return id

    def uniform(self, low: float, high: float) -> float:
        return self._rng.uniform(low, high)


class Crashed(Exception):
    """The process dies here."""


class Server:
    """One server process after another on one disk."""

    def __init__(self, clock: Clock, rng: random.Random, disk: Disk) -> None:
        self.world_clock = clock
        self.clock = Host(clock)
        self.rng = rng
        self.disk = disk
        self.source = Chance(rng)
        self.limits = Limits()
        self.machine: Machine | None = None
        #: The next batch dies at this point.
        self.crash_at: str | None = None
        #: Called with each turn, before it is committed; and with changes once they are.
        self.on_turn: Callable[[Machine, Outcome], None] = lambda machine, outcome: None
        self.on_commit: Callable[[list[Change]], None] = lambda changes: None
        self.on_crash: Callable[[], None] = lambda: None
        #: Called with each event before it is decided.
        self.on_event: Callable[[e.Event], None] = lambda event: None
        #: Called when a process is there, and with what it wants of launchers.
        self.on_start: Callable[[], None] = lambda: None
        self.on_launch: Callable[[fx.Launch | fx.StopLaunch], None] = lambda effect: None
        #: What other parts of the process see of it.
        self.desk: Desk | None = None
        self.crashes = 0
        self._links: dict[str, Link] = {}
        self._all_links: list[Link] = []
        self._inbox: list[e.Event] = []
        self._touched: dict[int, Link] = {}
        self._callers: dict[int, Callable[[Any], None]] = {}
        self._tokens = 0
        self._finished: dict[str, None] = {}
        self._is_flushing = False
        self._timer = 0

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """A new process takes up what is on the disk."""
        self.machine = Machine(self.source, self.limits)
        self._finished.clear()
        self.disk.open(self.machine.state)
        self.desk = Desk(self.machine, self.clock, self._put)
        for root in self.machine.state.families:
            if self.machine.is_evictable(root):
                self._finished[root] = None
        try:
            self._decide([self.machine.start(self.clock.now)])
        except Crashed:
            self.crash()
            return
        self.on_start()

    def crash(self) -> None:
        """Die; whatever was in memory and on the way is lost."""
        self.crashes += 1
        self.machine = self.desk = None
        self.disk.close()
        self._is_flushing = False
        self._inbox.clear()
        self._links.clear()
        self._touched.clear()
        callers, self._callers = self._callers, {}
        links, self._all_links = self._all_links, []
        for link in links:
            link.cut()
        for answer in callers.values():
            answer(None)
        self.on_crash()

    @property
    def is_idle(self) -> bool:
        """Everything that was decided is on the disk."""
        return not self._is_flushing

    def remove(self, proposal: Proposal) -> bool:
        """Have runs removed, in a commit of their own; whether they were."""
        assert self.machine is not None
        event = e.RemovalProposed(Caller(0), proposal.runs, proposal.entries, proposal.keys)
        outcome = self._handle(event)
        for run in proposal.runs:
            self._finished.pop(run, None)
        try:
            self._decide([outcome])
        except Crashed:
            self.crash()
        return any(isinstance(change, RunsRemoved) for change in outcome.changes)

    # --- from outside ---------------------------------------------------------------------------

    def dial(self) -> Link | None:
        """A new connection; None when nobody listens."""
        if self.machine is None:
            return None
        self._tokens += 1
        link = Link(self._tokens, self.world_clock, self.rng)
        link.to_server = self._on_frame
        link.server_hears = self._on_break
        self._all_links.append(link)
        return link

    def ask(self, event: Callable[[Caller], e.Event], answer: Callable[[Any], None]) -> None:
        """A client's request; None is the answer of a server that is not there (any more)."""
        if self.machine is None:
            self.clock.after(1, lambda: answer(None))
            return
        self._tokens += 1
        self._callers[self._tokens] = answer
        self._put(event(Caller(self._tokens, "client")))

    def _on_break(self, link: Link) -> None:
        if self.clock.is_asleep:
            self.clock.after(0, lambda: self._on_break(link))
            return
        if link in self._all_links:
            self._all_links.remove(link)
        if self._links.get(link.session) is link:
            del self._links[link.session]
            self._put(e.SessionDisconnected(link.session, link.number))

    def _on_frame(self, link: Link, messages: list[Any]) -> None:
        if self.clock.is_asleep:
            self.clock.after(0, lambda: self._on_frame(link, messages))
            return
        if self.machine is None:
            return
        for message in messages:
            if isinstance(message, wire.Hello):
                self._greet(link, message)
            elif self._links.get(link.session) is link:
                link.received = max(link.received, message.number)
                self._touched[link.number] = link
                self._put(_event(link.session, message.message))

    def _greet(self, link: Link, hello: wire.Hello) -> None:
        link.session = hello.session
        self._links[hello.session] = link
        self._put(
            e.SessionConnected(
                hello.session, link.number, hello.incarnation,
                tuple(
                    e.Repository(r.name, r.targets, r.failure, r.remarks)
                    for r in hello.repositories
                ),
                hello.concurrency, hello.provides, hello.accepts,
                held=tuple((h.execution, h.state == "running") for h in hello.held),
            )
        )  # fmt: skip

    def _put(self, event: e.Event) -> None:
        self._inbox.append(event)
        self._flush_soon()

    def _flush_soon(self) -> None:
        process = self.machine

        def flush() -> None:
            if self.machine is process:
                self._flush()

        if not self._is_flushing:
            self._is_flushing = True
            self.clock.after(self.rng.choice([0, 0, 1, 5]), flush)

    # --- the loop -------------------------------------------------------------------------------

    def _flush(self) -> None:
        if self.machine is None:
            return
        assert self.desk is not None
        slept = self.desk.clock.take_sleep()
        batch, self._inbox = self._inbox, []
        if slept:
            batch.insert(0, e.HostSlept(slept))
        covered = [(link, link.received) for link in self._touched.values()]
        self._touched = {}
        self._commit([self._handle(event) for event in batch], covered)

    def _commit(self, outcomes: list[Outcome], covered: list[tuple[Link, int]]) -> None:
        """The disk takes its time; what comes meanwhile is for the next batch."""
        process = self.machine

        def done() -> None:
            if self.machine is process and process is not None:
                self._conclude(outcomes, covered)

        self.clock.after(self.rng.choice([0, 0, 1, 10]), done)

    def _conclude(self, outcomes: list[Outcome], covered: list[tuple[Link, int]]) -> None:
        try:
            self._decide(outcomes)
        except Crashed:
            self.crash()
            return
        for link, number in covered:
            link.send_down([wire.Acknowledgement(number)])
        self._is_flushing = False
        if self._inbox:
            self._flush_soon()

    def _handle(self, event: e.Event) -> Outcome:
        assert self.machine is not None
        for root in self.machine.fetch(event, self.disk.family):
            self._finished[root] = None
        self.on_event(event)
        outcome = self.machine.handle(event, self.clock.now)
        self.on_turn(self.machine, outcome)
        return outcome

    def _decide(self, outcomes: list[Outcome]) -> None:
        changes = [change for outcome in outcomes for change in outcome.changes]
        self._maybe_crash("before commit")
        self.disk.write(changes)
        self.on_commit(changes)
        self._maybe_crash("after commit")
        self._send([effect for outcome in outcomes for effect in outcome.effects])
        for listener in self.desk.listeners if self.desk else ():
            listener(changes)
        self._evict(changes)
        self._maybe_crash("between batches")
        self._set_timer()

    def _maybe_crash(self, point: str) -> None:
        if self.crash_at == point:
            self.crash_at = None
            raise Crashed

    def _set_timer(self) -> None:
        assert self.machine is not None
        deadline = self.machine.next_deadline()
        if deadline is None or (self.clock.now < self._timer <= deadline):
            return
        at = self._timer = max(deadline, self.clock.now)

        def ring() -> None:
            if self.machine is not None and self._timer == at:
                self._put(e.TimePassed())

        self.clock.after(at - self.clock.now, ring)

    def _evict(self, changes: list[Change]) -> None:
        assert self.machine is not None
        state = self.machine.state
        for change in changes:
            if isinstance(change, RunFinished) and change.run in state.runs:
                self._finished[state.runs[change.run].root] = None
        for root in list(self._finished)[:-KEPT]:
            if self.machine.is_evictable(root):
                del self._finished[root]
                self.machine.evict(root)

    # --- to outside -----------------------------------------------------------------------------

    def _send(self, effects: list[fx.Effect]) -> None:
        frames: dict[int, tuple[Link, list[Any]]] = {}
        for effect in effects:
            if isinstance(effect, fx.Close):
                self._close(effect)
                continue
            if isinstance(effect, fx.Launch | fx.StopLaunch):
                self.on_launch(effect)
                continue
            to = getattr(effect, "to", None)
            if isinstance(to, Caller):
                answer = self._callers.pop(to.token, None)
                if answer is not None:
                    self._deliver(answer, effect)
                continue
            link = self._links.get(to.session if isinstance(to, Code) else effect.session)
            if isinstance(effect, fx.Execute) and link and effect.connection != link.number:
                continue
            if link is not None:
                frames.setdefault(link.number, (link, []))[1].append(self._instruction(effect))
        for link, messages in frames.values():
            link.send_down(messages)

    def _deliver(self, answer: Callable[[Any], None], effect: Any) -> None:
        self.clock.after(self.rng.choice([0, 1, 5]), lambda: answer(effect))

    def _close(self, effect: fx.Close) -> None:
        for link in list(self._all_links):
            if link.session == effect.session and effect.connection in (None, link.number):
                link.send_down([wire.Goodbye(effect.reason, effect.final)])
                if self._links.get(effect.session) is link:
                    del self._links[effect.session]

    def _instruction(self, effect: Any) -> Any:
        if isinstance(effect, fx.Execute):
            return wire.Execute(
                effect.execution, effect.repository, effect.target, effect.type, effect.arguments,
                effect.timeout_ms, effect.pickle, effect.checkpoint,
            )  # fmt: skip
        if isinstance(effect, fx.Abort):
            return wire.Abort(effect.execution, effect.now)
        if isinstance(effect, fx.Welcome):
            return wire.Welcome(effect.keep)
        if isinstance(effect, fx.Retire):
            return wire.Retire()
        return wire.Reply(effect.to.execution, effect.to.key, self._answer(effect))

    def _answer(self, effect: Any) -> Any:
        if isinstance(effect, fx.Answer):
            outcomes = tuple(self._outcome(o) for o in effect.outcomes)
            also = tuple(self._outcome(o) for o in effect.also)
            return wire.Resolved(outcomes, effect.executions, also)
        if isinstance(effect, fx.Submitted):
            return wire.Submitted(effect.executions)
        if isinstance(effect, fx.GiveInput):
            return wire.Asked(effect.input)
        if isinstance(effect, fx.Refuse):
            return wire.Refusal(effect.code, effect.message)
        return wire.Expired() if isinstance(effect, fx.Expire) else wire.Done()

    def _outcome(self, outcome: fx.Outcome) -> wire.Outcome:
        result = outcome.result
        if result is None:
            state = State()
            state.load(self.disk.family(run_of(outcome.execution)))
            found: Any = state.inputs.get(outcome.execution)
            found = found or state.executions.get(outcome.execution)
            result = found.result if found is not None else None
        return wire.Outcome(outcome.handle, outcome.execution, result or Abandoned())


def _event(session: str, m: Any) -> e.Event:
    if isinstance(m, wire.Submit):
        return e.StepsRequested(Code(session, m.execution, m.key), m.submissions, m.wait)
    if isinstance(m, wire.Wait):
        to = Code(session, m.execution, m.key)
        return e.WaitRequested(
            to, m.handles, m.timeout_ms, m.suspend, m.first, m.cancel_remaining
        )  # fmt: skip
    return _EVENTS[type(m)](session, m)


_EVENTS: dict[type[Any], Callable[[str, Any], e.Event]] = {
    wire.Acknowledged: lambda s, m: e.AssignmentAcknowledged(s, m.execution),
    wire.Started: lambda s, m: e.ExecutionStarted(s, m.execution),
    wire.Ended: lambda s, m: e.OutcomeReported(s, m.execution, m.result, m.gone),
    wire.Gone: lambda s, m: e.ProcessDied(s, m.execution),
    wire.Draining: lambda s, m: e.SessionDrained(s),
    wire.Closing: lambda s, m: e.SessionClosed(s, m.reason),
    wire.Suspend: lambda s, m: e.SuspensionRequested(Code(s, m.execution, m.key), m.delay_ms),
    wire.Cancel: lambda s, m: e.CancelRequested(Code(s, m.execution, m.key), m.handles),
    wire.Ask: lambda s, m: e.InputRequested(Code(s, m.execution, m.key), m.question),
    wire.Checkpoint: lambda s, m: e.CheckpointRequested(
        Code(s, m.execution, m.key), m.arguments
    ),
}  # fmt: skip

"""The decision loop: takes events in batches, has the core decide, writes, then carries out.

Belongs here: the order in which these happen, the clock, and what is kept in memory. It is the only
place that reads the time and writes the store. Does not belong here: rules, HTTP, messages.

Whatever arrives in one turn of the event loop becomes one batch and one commit; while a commit is
under way the next batch gathers in the sockets. Answers and instructions leave only after the
commit (SE-9).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from coflux.model import Abandoned, Deferred, LogEntry, Measurement, Resolution, run_of
from coflux.server.core import effects as fx
from coflux.server.core.changes import Change, RunFinished, RunsRemoved
from coflux.server.core.events import (
    Caller,
    Event,
    HostSlept,
    OutcomeUnawaited,
    RemovalProposed,
    TimePassed,
)
from coflux.server.core.machine import Machine, Outcome
from coflux.server.core.state import State
from coflux.server.core.turn import Limits
from coflux.server.project.clock import Clock
from coflux.server.project.memory import Archive, Finished, Leaving
from coflux.server.project.read_ahead import ReadAhead
from coflux.server.project.source import RandomSource
from coflux.server.project.uncollected import uncollected
from coflux.server.store.logs import LogStore
from coflux.server.store.metrics import MetricStore
from coflux.server.store.removal import Proposal
from coflux.server.store.store import Store

#: Events decided in one batch at most, so that a flood cannot hold the loop for long.
BATCH = 2_000
#: How long, in seconds, what is not urgent waits for company before it is committed.
PATIENCE_S = 0.003
#: Two commits are at least so far apart, in seconds: less than any caller needs to come again.
BREATH_S = 0.0002
#: With so many executions running, somebody waits for each answer and for nothing else.
ALONE = 2
#: Longest time between two looks at the clock while something is due later.
LOOK_MS = 10_000
#: Changes of a family beyond which it is big.
BIG = 20_000
_TO_SESSIONS = (fx.Execute, fx.Abort, fx.Welcome, fx.Close, fx.Notify, fx.Retire)


class Connection(Protocol):
    """An agent's connection, as effects see it."""

    def send(self, effect: fx.Effect) -> None:
        """Put an instruction into the frame that goes out next."""

    def deliver(self) -> None:
        """Send that frame."""

    def close(self) -> None:
        """The server ends."""


class Orchestrator:
    """One project's loop."""

    def __init__(self, directory: Path, limits: Limits | None = None) -> None:
        source = RandomSource()
        self.machine = Machine(source, limits)
        self.store = Store(directory, self.machine.state)
        self.logs = LogStore(directory)
        self.metrics = MetricStore(self.logs.database, self.logs.path)
        source.is_taken = self.store.reader.is_taken
        self.connections: dict[str, Connection] = {}
        #: Called after each commit with what changed.
        self.listeners: list[Callable[[list[Change]], None]] = []
        #: Called after each commit that kept log entries or metrics, with their executions.
        self.log_listeners: list[Callable[[Iterable[str]], None]] = []
        #: Called when a decision could not be made or kept; does not return.
        self.on_failure: Callable[[BaseException, list[Change]], None] | None = None
        #: Carries out what pools want.
        self.on_launch: Callable[[fx.Launch | fx.StopLaunch], None] | None = None
        self._inbox: deque[Event] = deque()
        self._log_inbox: list[LogEntry] = []
        self._measurements: list[Measurement] = []
        self._after: list[Callable[[], None]] = []
        self._tokens = itertools.count(1)
        self._callers: dict[int, asyncio.Future[fx.Effect]] = {}
        self._fetching: set[asyncio.Future[None]] = set()
        self._turn = asyncio.Lock()
        self._leaving = Leaving()
        self._finished = Finished(self.machine, self._leaving)
        self._archive = Archive(self.machine.state, self._leaving)
        self._reading: dict[str, asyncio.Future[State]] = {}
        self._ahead = ReadAhead(self._family_aside)
        self._flush_handle: asyncio.Handle | None = None
        self._is_lazy = False
        #: When the last commit ended and how long it took, in seconds.
        self._committed_at = 0.0
        self._commit_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        with uncollected():
            newest = self.store.load(self.machine.state)
        self.clock = Clock(newest)

    # --- outside to inside ----------------------------------------------------------------------

    def start(self) -> None:
        """Take up live work; the loop must be running."""
        self._loop = asyncio.get_running_loop()
        with uncollected():
            self._decide(lambda now: [self.machine.start(now)])
        self._set_timer()

    def put(self, event: Event, lazy: bool = False) -> None:
        """Have an event decided with the next batch.

        Nobody waits for what follows from a `lazy` one, so it may share the commit of the next
        event that comes within `PATIENCE_S`.
        """
        self._inbox.append(event)
        self._wake(lazy)

    def put_logs(self, entries: Iterable[LogEntry]) -> None:
        """Have log entries kept with the next batch."""
        self._log_inbox.extend(entries)
        self._wake(lazy=True)

    def put_measurements(self, measurements: Iterable[Measurement]) -> None:
        """Have points of metrics kept with the next batch."""
        self._measurements.extend(measurements)
        self._wake(lazy=True)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call once everything put so far is on disk."""
        self._after.append(call)
        self._wake(lazy=True)

    async def ask(self, event: Callable[[Caller], Event], by: str = "") -> fx.Effect:
        """Put an event that wants an answer, and wait for it."""
        token = next(self._tokens)
        future: asyncio.Future[fx.Effect] = asyncio.get_running_loop().create_future()
        wanted = event(Caller(token, by))
        self._callers[token] = future
        try:
            async with self._ahead.of(wanted, self.machine.state.runs):
                self.put(wanted)
                return await future
        finally:
            if self._callers.pop(token, None) is not None and future.cancelled():
                self.put(OutcomeUnawaited(token))

    def remove(self, proposal: Proposal, assets: tuple[str, ...] = ()) -> bool:
        """Have runs (whole families) and assets removed, in a commit of their own.

        Returns False, with nothing removed, when one of the runs is needed after all.
        """
        runs, state = proposal.runs, self.machine.state
        family = [state.runs[run] for run in runs if run in state.runs]
        self._ahead.evicting(runs)
        event = RemovalProposed(
            Caller(next(self._tokens)), runs, proposal.entries, proposal.keys, assets
        )
        outcomes: list[Outcome] = []

        def decide(now: int) -> Iterator[Outcome]:
            outcomes.append(self.machine.handle(event, now))
            yield from outcomes

        self._decide(decide)
        self._wake()  # for what else was due
        if not any(isinstance(change, RunsRemoved) for change in outcomes[0].changes):
            return False
        for run in runs:
            self._archive.drop(run)
            self._finished.forget(run)
        self._leaving.add(family)
        return True

    def now(self) -> int:
        """The project's clock in ms UTC, which never goes back (EN-7)."""
        return self.clock.now()

    def close(self) -> None:
        """Write what waits, and let go of agents and files."""
        self._flush()
        for connection in list(self.connections.values()):
            connection.close()
        for handle in (self._timer, self._flush_handle):
            if handle is not None:
                handle.cancel()
        self.logs.close()
        self.store.close()

    # --- reading ----------------------------------------------------------------------------------

    def state_with(self, run: str) -> State | None:
        """A state that has the run: the live one, or one read from the store."""
        if run in self.machine.state.runs:
            return self.machine.state
        archived = self._archive.get(run)
        if archived is None:
            archived = State()
            self._read_family(archived, run)
            if run not in archived.runs:
                return None
            self._archive.put(run, archived)
        return archived

    async def fetch(self, run: str) -> None:
        """Have a run read from the store, where it must be, without holding up the loop.

        `state_with` then has it at hand. Reading a hundred thousand steps takes seconds.
        """
        if run in self.machine.state.runs or run in self._archive:
            return
        reading = self._reading.get(run)
        if reading is None:
            reading = asyncio.ensure_future(self._read_in_turn(run))
            self._reading[run] = reading
            reading.add_done_callback(lambda _: self._reading.pop(run, None))
        archived = await asyncio.shield(reading)
        is_needed = run in archived.runs and run not in self.machine.state.runs
        if is_needed and self.store.reader.is_there(run):  # else it was removed while it was read
            self._archive.put(run, archived)

    def fetch_soon(self, run: str) -> None:
        """Begin to read a run that somebody looks at, and will look at more closely."""
        task = asyncio.ensure_future(self.fetch(run))
        self._fetching.add(task)
        task.add_done_callback(self._fetching.discard)

    async def _read_in_turn(self, run: str) -> State:
        """Big families one after the other, for the sake of memory."""
        is_big = self.store.reader.has_many(run, BIG)
        async with self._turn if is_big else contextlib.nullcontext():
            return await asyncio.to_thread(self._read_aside, run)

    def _read_aside(self, run: str) -> State:
        """Read a family in a thread of its own, with a connection of its own."""
        archived = State()
        try:
            with uncollected():
                self._read_family(archived, run)
        finally:
            self.store.release_thread()
        return archived

    def _read_family(self, state: State, run: str) -> None:
        """Read a family, and those that its deferred executions lead to: they may have failed."""
        wanted = [run]
        while wanted:
            if (next_run := wanted.pop()) in state.runs:
                continue
            state.load(self.store.reader.each_of_family(next_run))
            wanted += {
                linked
                for execution in state.executions.values()
                if isinstance(execution.result, Deferred)
                and (linked := run_of(execution.result.execution)) not in state.runs
                and self.store.reader.is_there(linked)
            }

    def result_of(self, execution: str) -> Resolution:
        """The result that an ended execution (or input) leads to, from memory or the store."""
        state = self.state_with(run_of(execution))
        asked = state.inputs.get(execution) if state is not None else None
        if asked is not None and asked.result is not None:
            return asked.result
        found = state.end_of(execution)[1] if state is not None else None
        if found is None or found.result is None:
            return Abandoned("its record was removed")
        return found.result

    # --- the loop -------------------------------------------------------------------------------

    def _wake(self, lazy: bool = False) -> None:
        if self._loop is None or (self._flush_handle is not None and (lazy or not self._is_lazy)):
            return
        if self._flush_handle is not None:
            self._flush_handle.cancel()
        self._is_lazy = lazy
        delay = PATIENCE_S if lazy else self._breath()
        if delay > 0:
            self._flush_handle = self._loop.call_later(delay, self._flush)
        else:
            self._flush_handle = self._loop.call_soon(self._flush)

    def _breath(self) -> float:
        """Seconds until the next commit.

        While many executions run, as long as the last commit took: under load the loop then commits
        for half of its time at most, and a batch is what came in during the other half. A caller
        that is alone does not wait, unless it sends faster than one by one.
        """
        running = sum(session.used for session in self.machine.state.sessions.values())
        pause = BREATH_S if running <= ALONE else max(BREATH_S, self._commit_s)
        return self._committed_at + pause - time.monotonic()

    def _flush(self) -> None:
        self._flush_handle = None
        slept = self.clock.take_sleep()
        if slept:
            self._inbox.appendleft(HostSlept(slept))
        batch = [self._inbox.popleft() for _ in range(min(BATCH, len(self._inbox)))]
        if not self._inbox:
            after, self._after = self._after, []
            entries, self._log_inbox = self._log_inbox, []
            measurements, self._measurements = self._measurements, []
        else:
            after, entries, measurements = [], [], []
        self._decide(lambda now: (self._handle(event, now) for event in batch))
        try:
            self._keep_logs(entries)
            self._keep_measurements(measurements)
        except BaseException as error:
            # What comes later would acknowledge these as well (LO-2): they have to be sent again.
            if self.on_failure is not None:
                self.on_failure(error, [])
            raise
        for call in after:
            call()
        for connection in list(self.connections.values()):
            connection.deliver()
        if self._inbox or self._after or self._log_inbox or self._measurements:
            self._wake()
        self._set_timer()

    def _handle(self, event: Event, now: int) -> Outcome:
        self._fetch(event)
        return self.machine.handle(event, now)

    def _decide(self, turns: Callable[[int], Iterable[Outcome]]) -> None:
        changes: list[Change] = []
        effects: list[fx.Effect] = []
        try:
            for outcome in turns(self.now()):
                changes += outcome.changes
                effects += outcome.effects
            begun = time.monotonic()
            self.store.write(changes)
            self._committed_at = time.monotonic()
            self._commit_s = min(self._committed_at - begun, PATIENCE_S)
        except BaseException as error:
            # Memory and disk may differ now: nothing may leave this process any more.
            if self.on_failure is not None:
                self.on_failure(error, changes)
            raise
        for effect in effects:
            self._carry_out(effect)
        if changes:
            self._note_finished(changes)
            for listener in self.listeners:
                listener(changes)

    def _carry_out(self, effect: fx.Effect) -> None:
        if isinstance(effect, _TO_SESSIONS):
            self._instruct(effect.session, effect)
        elif isinstance(effect, fx.Launch | fx.StopLaunch):
            if self.on_launch is not None:
                self.on_launch(effect)
        elif isinstance(effect.to, Caller):
            future = self._callers.pop(effect.to.token, None)
            if future is not None and not future.done():
                future.set_result(effect)
        else:
            self._instruct(effect.to.session, effect)

    def _instruct(self, session: str, effect: fx.Effect) -> None:
        connection = self.connections.get(session)
        if connection is not None:
            connection.send(effect)

    def _keep_logs(self, entries: list[LogEntry]) -> None:
        if not entries:
            return
        self.logs.write(entries)
        runs = dict.fromkeys(entry.execution for entry in entries)
        for listener in self.log_listeners:
            listener(runs)

    def _keep_measurements(self, measurements: list[Measurement]) -> None:
        if not measurements:
            return
        self.metrics.write(measurements)
        for listener in self.log_listeners:
            listener(dict.fromkeys(each.execution for each in measurements))

    def _fetch(self, event: Event) -> None:
        """Bring what the event names and what is only in the store into memory."""
        was_removed = self.store.reader.is_taken
        for root in self.machine.fetch(event, self._family, was_removed):
            self._finished.note(root)
        for key in self.machine.missing_assets(event):
            reader = self.store.reader
            asset = reader.asset(id=key) if key.startswith("A") else reader.asset(digest=key)
            if asset is not None:
                self.machine.state.add_asset(asset)

    def _family(self, run: str) -> list[Change]:
        facts = self._ahead.take(run)
        return self.store.reader.family(run) if facts is None else facts

    def _family_aside(self, run: str) -> list[Change]:
        try:
            return self.store.reader.family(run)
        finally:
            self.store.release_thread()

    def _note_finished(self, changes: list[Change]) -> None:
        """Let go of finished runs, the longest finished first, when there are many."""
        for change in changes:
            if isinstance(change, RunFinished):
                run = self.machine.state.runs.get(change.run)
                if run is not None:
                    self._finished.note(run.root)
                    self._archive.drop(run.id)
        self._finished.prune(self._ahead.evicting)

    def _set_timer(self) -> None:
        deadline = self.machine.next_deadline()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline is not None and self._loop is not None:
            # Wall-clock, because the host may sleep; looked at again soon after it wakes.
            delay = min(max(0, deadline - self.now()), LOOK_MS) / 1000
            self._timer = self._loop.call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.put(TimePassed())

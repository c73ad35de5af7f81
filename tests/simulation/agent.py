"""An agent by the book: numbered messages until acknowledged, requests until answered (`wire`).

A small class without I/O: it knows a clock, a source of chance and a server to connect to. What it
keeps on its disk survives its crash; executors do not.
"""

from __future__ import annotations

import random
from typing import Any, Protocol

import msgspec

from coflux import wire
from coflux.model import Crashed, Result, TimedOut
from tests.simulation.clock import Clock
from tests.simulation.code import Crash, Program, Programs
from tests.simulation.link import Link

#: Requests of running code, which may be sent again after later messages.
REQUESTS = (wire.Submit, wire.Wait, wire.Suspend, wire.Cancel, wire.Checkpoint, wire.Ask)


class Surroundings(Protocol):
    """What an agent needs of the world."""

    clock: Clock
    rng: random.Random
    programs: Programs

    def request_session(self, agent: Agent) -> None:
        """Ask the server for a session; `agent.open(session)` follows, sooner or later."""

    def dial(self, agent: Agent) -> Link | None:
        """A connection to the server, or None when it is down."""

    def started(self, assignment: wire.Execute) -> None:
        """An executor has been started."""

    def told(self, execution: str, answer: Any) -> None:
        """Running code got an answer."""

    def say(self, text: str) -> None:
        """For the story."""


class Executor:
    """A process that runs one execution."""

    def __init__(self, assignment: wire.Execute) -> None:
        self.assignment = assignment
        self.execution = assignment.execution
        self.target = assignment.target
        self.timeout_ms = assignment.timeout_ms
        self.program: Program | None = None
        #: Its outcome is known, or it was told to stop; the process may live on for a while.
        self.is_over = False
        self.keys = 0
        #: Keys of requests that the code waits for, and the answers that there are.
        self.pending: list[int] = []
        self.answers: dict[int, Any] = {}


class Agent:
    """One agent process after another, for one environment."""

    def __init__(self, world: Surroundings, name: str, environment: str, concurrency: int) -> None:
        self.world = world
        self.name = name
        self.environment = environment
        self.concurrency = concurrency
        self.is_alive = False
        self.is_draining = False
        #: Dies with the next assignment, whose process has started by then (SE-2).
        self.is_doomed = False
        self.session: str | None = None
        self.link: Link | None = None
        self.is_welcome = False
        self._processes = 0
        #: Outcomes on the disk, by execution.
        self.disk: dict[str, wire.Ended] = {}
        self._forget()

    def _forget(self) -> None:
        self._number = 0
        self._unacknowledged: dict[int, Any] = {}
        #: Requests without an answer, and the number that each was sent under last.
        self._requests: dict[tuple[str, int], Any] = {}
        self._numbers: dict[tuple[str, int], int] = {}
        #: Outcomes without an acknowledgement, by number.
        self._owed: dict[int, str] = {}
        #: Everything that was ever assigned to this process.
        self._known: set[str] = set()
        #: Of these, those whose outcome it has reported.
        self._concluded: set[str] = set()
        self.executors: dict[str, Executor] = {}

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """A new process; with the session of its predecessor, if that left one."""
        self.is_alive, self.is_draining, self.is_doomed = True, False, False
        self._processes += 1
        self._forget()
        for execution, outcome in self.disk.items():
            self._owed[self._report(outcome)] = execution
        if self.session is None:
            self.world.request_session(self)
        else:
            self._connect()

    def open(self, session: str) -> None:
        """There is a session."""
        if self.is_alive and self.session is None:
            self.session = session
            self._connect()

    def crash(self) -> None:
        """Die, and all executors with it."""
        self.is_alive = self.is_welcome = False
        self.executors.clear()
        if self.link is not None:
            self.link.cut()
            self.link = None

    def drain(self) -> None:
        """No new work."""
        self.is_draining = True
        self._report(wire.Draining())

    def retire(self) -> None:
        """End in good order."""
        self._report(wire.Closing("retired"))
        self.world.clock.after(50, self._end)

    def _end(self) -> None:
        self.crash()
        self.session = None
        self.disk.clear()

    # --- connection -----------------------------------------------------------------------------

    def _connect(self) -> None:
        if not self.is_alive or self.link is not None or self.session is None:
            return
        link = self.world.dial(self)
        if link is None:
            self._connect_later()
            return
        self.link = link
        link.to_agent = self._on_frame
        link.agent_hears = self._on_break
        held = [
            wire.Held(each.execution, "running" if each.program is not None else "assigned")
            for each in self.executors.values()
        ]
        owed = [wire.Held(execution, "running") for execution in self._owed.values()]
        repository = wire.Repository("repo", tuple(self.world.programs.definitions))
        hello = wire.Hello(
            self.session, f"{self.name}.{self._processes}", (repository,), self.concurrency,
            held=(*held, *owed),
        )  # fmt: skip
        link.send_up([hello])

    def _connect_later(self) -> None:
        self.world.clock.after(self.world.rng.randint(100, 2_000), self._connect)

    def _on_break(self, link: Link) -> None:
        if link is self.link:
            self.link, self.is_welcome = None, False
            self._connect_later()

    def _on_frame(self, link: Link, messages: list[Any]) -> None:
        for message in messages:
            if link is self.link:
                self._take(message)

    def _take(self, message: Any) -> None:
        if isinstance(message, wire.Welcome):
            self._on_welcome(message)
        elif isinstance(message, wire.Goodbye):
            self._on_goodbye(message)
        elif isinstance(message, wire.Execute):
            self._on_execute(message)
        elif isinstance(message, wire.Abort):
            self._stop(message.execution)
        elif isinstance(message, wire.Acknowledgement):
            self._on_acknowledged(message.number)
        elif isinstance(message, wire.Reply):
            self._on_reply(message)
        elif isinstance(message, wire.Retire):
            self.drain()

    def _on_welcome(self, message: wire.Welcome) -> None:
        self.is_welcome = True
        for executor in list(self.executors.values()):
            if executor.execution not in message.keep:
                self._stop(executor.execution)
        for place, request in self._requests.items():
            if self._numbers[place] not in self._unacknowledged:
                self._numbers[place] = self._number_for(request)
        if self.is_draining:
            self._number_for(wire.Draining())
        messages = [wire.Numbered(n, m) for n, m in self._unacknowledged.items()]
        if self.world.rng.random() < 0.3:  # requests overtake reports, or the other way round
            messages.sort(key=lambda n: isinstance(n.message, REQUESTS))
        elif self.world.rng.random() < 0.3:
            messages.sort(key=lambda n: not isinstance(n.message, REQUESTS))
        self._send(messages)

    def _on_goodbye(self, message: wire.Goodbye) -> None:
        link, self.link, self.is_welcome = self.link, None, False
        if link is not None:
            link.cut()
        if not message.final:
            self._connect_later()
            return
        self.world.say(f"{self.name} lost its session: {message.reason}")
        self.session = None
        self.disk.clear()
        self._forget()
        self._go_on_without_session()

    def _go_on_without_session(self) -> None:
        self.world.request_session(self)

    def _on_acknowledged(self, number: int) -> None:
        for each in [n for n in self._unacknowledged if n <= number]:
            del self._unacknowledged[each]
        for each in [n for n in self._owed if n <= number]:
            self.disk.pop(self._owed.pop(each), None)

    # --- messages -------------------------------------------------------------------------------

    def _number_for(self, message: Any) -> int:
        self._number += 1
        self._unacknowledged[self._number] = message
        return self._number

    def _report(self, message: Any) -> int:
        number = self._number_for(message)
        self._send([wire.Numbered(number, message)])
        return number

    def _send(self, messages: list[wire.Numbered]) -> None:
        if self.link is None or not self.is_welcome or not messages:
            return
        if self.world.rng.random() < 0.05:  # once more, for a second arrival has no effect
            messages = [*messages, self.world.rng.choice(messages)]
        self.link.send_up(messages)

    # --- executions -----------------------------------------------------------------------------

    def _on_execute(self, assignment: wire.Execute) -> None:
        id = assignment.execution
        if id not in self._known:
            self._known.add(id)
            executor = self.executors[id] = Executor(assignment)
            if self.is_doomed:
                self._start(executor)
                self._report(wire.Acknowledged(id))
                self.is_doomed = False
                self.crash()
                return
            self._later(executor, self.world.rng.choice([0, 1, 10, 100]), self._start)
        self._report(wire.Acknowledged(id))

    def _later(self, executor: Executor, ms: int, call: Any) -> None:
        def do() -> None:
            if self.executors.get(executor.execution) is executor:
                call(executor)

        self.world.clock.after(ms, do)

    def _start(self, executor: Executor) -> None:
        if executor.is_over:
            return
        self.world.started(executor.assignment)
        executor.program = self.world.programs.program(executor.target, executor.execution)
        self._report(wire.Started(executor.execution))
        if executor.timeout_ms:
            self._later(executor, executor.timeout_ms, self._time_out)
        self._go_on(executor, None)

    def _go_on(self, executor: Executor, answer: Any) -> None:
        if executor.is_over or executor.program is None:
            return
        try:
            step = executor.program.send(answer)
        except StopIteration as stop:
            self._finish(executor, stop.value)
        except Crash:
            self._finish(executor, Crashed(signal=9))
        else:
            if isinstance(step, int):
                self._later(executor, step, lambda e: self._go_on(e, None))
            else:
                self._ask(executor, step)

    def _ask(self, executor: Executor, requests: list[Any]) -> None:
        executor.pending, executor.answers = [], {}
        for request in requests:
            executor.keys += 1
            executor.pending.append(executor.keys)
            place = (executor.execution, executor.keys)
            self._requests[place] = msgspec.structs.replace(request, key=executor.keys)
            self._numbers[place] = self._report(self._requests[place])

    def _on_reply(self, reply: wire.Reply) -> None:
        if self._requests.pop((reply.execution, reply.key), None) is None:
            return
        executor = self.executors.get(reply.execution)
        if executor is None or executor.is_over:
            return
        self.world.told(reply.execution, reply.answer)
        executor.answers[reply.key] = reply.answer
        if all(key in executor.answers for key in executor.pending):
            answers = [executor.answers[key] for key in executor.pending]
            self._later(executor, 0, lambda e: self._go_on(e, answers))

    def _finish(self, executor: Executor, result: Result) -> None:
        is_gone = self.world.rng.random() < 0.7 and not isinstance(result, TimedOut)
        outcome = wire.Ended(executor.execution, result, is_gone)
        self._concluded.add(executor.execution)
        self._leave(executor)
        self.disk[executor.execution] = outcome
        self._owed[self._report(outcome)] = executor.execution
        if is_gone:
            del self.executors[executor.execution]
        else:
            self._later(executor, self.world.rng.choice([1, 30, 800]), self._die)

    def _time_out(self, executor: Executor) -> None:
        if not executor.is_over:
            self._finish(executor, TimedOut(executor.timeout_ms))

    def _stop(self, execution: str) -> None:
        executor = self.executors.get(execution)
        if executor is not None and not executor.is_over:
            self._leave(executor)
            self._later(executor, self.world.rng.choice([0, 5, 300, 3_000]), self._die)

    def _leave(self, executor: Executor) -> None:
        executor.is_over = True
        for place in [p for p in self._requests if p[0] == executor.execution]:
            del self._requests[place]

    def _die(self, executor: Executor) -> None:
        del self.executors[executor.execution]
        self._report(wire.Gone(executor.execution))

    def has(self, execution: str) -> bool:
        """Whether it runs or has run to its end here, on a connection that is there."""
        executor = self.executors.get(execution)
        is_running = executor is not None and not executor.is_over
        return self.link is not None and (is_running or execution in self._concluded)

    def kill_executor(self) -> None:
        """A process dies without a word (T13)."""
        running = [e for e in self.executors.values() if e.program is not None and not e.is_over]
        if running:
            executor = self.world.rng.choice(running)
            self.world.say(f"executor of {executor.execution} is killed")
            self._finish(executor, Crashed(signal=9))

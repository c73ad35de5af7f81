"""A simulation from a seed: what is there, what is asked, what breaks, and how it must end."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from coflux import wire
from coflux.model import Abandoned, Error, Raised, Result, Returned
from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core.changes import Change, InputCreated, ResultRecorded
from coflux.server.core.events import Caller
from coflux.server.core.machine import Machine, Outcome
from tests.simulation.agent import Agent
from tests.simulation.clock import BEGIN, Clock
from tests.simulation.code import Programs, encode
from tests.simulation.collecting import Collecting
from tests.simulation.link import Link
from tests.simulation.operating import Operation
from tests.simulation.oracles import Oracles, Violation
from tests.simulation.server import POINTS, Server
from tests.simulation.store import DatabaseDisk, Disk, ListDisk

#: Faults stop after so long (ms), and all must be over after so much longer.
TROUBLE, PATIENCE = 60_000, 4_000_000
#: Lines of the story that are kept.
LINES = 400


class Simulation:
    """One history. `run()` raises `Violation` (or whatever the core raised) where it goes wrong."""

    def __init__(
        self,
        seed: int,
        disk: Disk | None = None,
        asks: bool = False,
        operates: bool = False,
        collects: bool = False,
    ) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.clock = Clock()
        self.programs = Programs(self.rng, asks, operates)
        self.oracles = Oracles()
        self.disk = disk if disk is not None else ListDisk()
        self.server = Server(self.clock, self.rng, self.disk)
        self.server.on_turn = self._on_turn
        self.server.on_commit = self._on_commit
        self.server.on_crash = self._on_crash
        self.agents: list[Agent] = []
        self.story: list[str] = []
        self.is_troubled = True
        self._environments: dict[str, str] = {}
        self._executions: list[str] = []
        self.operation = Operation(self) if operates else None
        # With a chance of its own: what else happens is the same without.
        own = random.Random(f"collecting {seed}")
        self.collecting = Collecting(self.server, own, self.say) if collects else None

    # --- what agents need (`agent.Surroundings`) ------------------------------------------------

    def request_session(self, agent: Agent) -> None:
        """As an agent's request over HTTP, again until it is answered."""

        def answered(answer: Any) -> None:
            if isinstance(answer, fx.Confirm):
                agent.open(answer.data["session"])
            elif agent.is_alive:
                self.clock.after(self.rng.randint(100, 1_000), ask)

        def ask() -> None:
            name = agent.environment
            self.server.ask(lambda to: e.SessionRequested(to, name, b"hash"), answered)

        ask()

    def dial(self, agent: Agent) -> Link | None:
        return self.server.dial()

    def started(self, assignment: wire.Execute) -> None:
        self.oracles.started(assignment.execution)
        if self.operation is not None:
            self.operation.oracle.started(assignment)

    def told(self, execution: str, answer: Any) -> None:
        self.oracles.answered(answer)

    def say(self, text: str) -> None:
        self.story.append(f"{self.clock.now - BEGIN:>8} {text}")
        del self.story[:-LINES]

    # --- the course of it -----------------------------------------------------------------------

    def run(self) -> None:
        """From the beginning to an end that the oracles approve of."""
        self.server.start()
        self._furnish()
        self._plan()
        if self.collecting is not None:
            self.collecting.begin()
        until = self.clock.now + TROUBLE
        while self.clock.step(until):
            pass
        self._calm_down()
        end = self.clock.now + PATIENCE
        while not self._is_over() and self.clock.step(end):
            pass
        self.clock.step(self.clock.now)
        if self.operation is not None:
            self.operation.close()
        for _ in range(5_000):  # what is still being stopped
            if self._is_quiet() or not self.clock.step(self.clock.now + 60_000):
                break
        if self.operation is not None and not self.operation.is_closed:
            raise Violation("launched agents are left, or taken to be")
        machine = self._machine()
        self.oracles.check(machine, self.clock.now)
        processes = {id for agent in self.agents for id in agent.executors}
        removed = self.collecting.removed if self.collecting is not None else set()
        self.oracles.finish(machine, self.disk.journal, processes, removed)

    def _machine(self) -> Machine:
        if self.server.machine is None:
            raise Violation("the server is down although nothing is wrong")
        return self.server.machine

    def _furnish(self) -> None:
        for name, base in (("dev", "default"), ("dev/a", "dev")):
            self.insist(lambda to, n=name, b=base: e.EnvironmentRequested(to, n, b))
        for number in range(self.rng.randint(2, 4)):
            self._add_agent(("default", "dev", "default", "dev/a")[number])
        if self.operation is not None:
            self.operation.furnish()

    def _add_agent(self, environment: str) -> None:
        name = f"agent{len(self.agents)}"
        agent = Agent(self, name, environment, self.rng.choice([1, 1, 2, 5]))
        self.agents.append(agent)
        self.clock.after(self.rng.randint(10, 500), lambda: self._start(agent))

    def _plan(self) -> None:
        for _ in range(self.rng.randint(3, 8)):
            self.clock.after(self.rng.randint(0, TROUBLE * 2 // 3), self._submit)
        for _ in range(self.rng.randint(0, 6)):
            self.clock.after(self.rng.randint(2_000, TROUBLE), self._meddle)
        for _ in range(self.rng.choice([0, 2, 5, 12])):
            self.clock.after(self.rng.randint(1_000, TROUBLE), self._break_something)
        if self.operation is not None:
            self.operation.plan(TROUBLE)

    def _calm_down(self) -> None:
        """Nothing breaks any more, and there is somebody for everything."""
        self.say("--- faults stop")
        self.is_troubled = False
        self.server.crash_at = None
        if self.server.machine is None:
            self.server.start()
        for name in ("default", "dev", "dev/a"):
            self.insist(lambda to, n=name: self._state_request(to, n, "active"))
            self._add_agent(name)
        if self.operation is not None:
            self.operation.calm_down()
        for agent in self.agents:
            if not agent.is_alive:
                agent.start()

    def _is_over(self) -> bool:
        machine = self.server.machine
        if machine is None or not self.server.is_idle or self.clock.now < BEGIN + TROUBLE + 5_000:
            return False
        if self.operation is not None and not self.operation.is_calm:
            return False
        return all(run.status is not None for run in machine.state.runs.values())

    def _is_quiet(self) -> bool:
        is_in_use = any(session.used for session in self._machine().state.sessions.values())
        is_running = any(agent.executors for agent in self.agents)
        if self.operation is not None and not self.operation.is_closed:
            return False
        return self.server.is_idle and not is_in_use and not is_running

    def _on_turn(self, machine: Machine, outcome: Outcome) -> None:
        self.oracles.turn(machine, outcome, self.clock.now)
        if self.operation is not None:
            self.operation.oracle.turn(machine, outcome, self.clock.now)
        for change in outcome.changes:
            if isinstance(change, ResultRecorded) and isinstance(change.result, Abandoned):
                self.oracles.abandoned(change, [a for a in self.agents if a.has(change.execution)])

    def _on_commit(self, changes: list[Change]) -> None:
        self.oracles.committed(changes)
        if self.collecting is not None:
            self.collecting.committed(changes, self.disk.journal)
        if self.operation is not None and self.server.machine is not None:
            self.operation.oracle.committed(self.server.machine.state, changes)
        for change in changes:
            self.say(_shorten(change))
            if isinstance(change, InputCreated):
                for _ in range(self.rng.choice([1, 1, 2])):
                    self.clock.after(self.rng.randint(0, 15_000), self._responder(change.input))

    def _on_crash(self) -> None:
        self.say("the server crashes")
        self.oracles.is_crowded = True
        if self.is_troubled:
            self.clock.after(self.rng.randint(10, 20_000), self._restart)

    def _restart(self) -> None:
        if self.server.machine is None:
            self.say("the server starts")
            self.server.start()

    # --- clients --------------------------------------------------------------------------------

    def insist(
        self, event: Callable[[Caller], e.Event], done: Callable[[Any], None] | None = None
    ) -> None:
        """Ask again until there is an answer."""

        def answered(answer: Any) -> None:
            if answer is None:
                self.clock.after(self.rng.randint(50, 3_000), ask)
            elif done is not None:
                done(answer)

        def ask() -> None:
            self.server.ask(event, answered)

        ask()

    def _submit(self) -> None:
        call = self.rng.choice(self.programs.submissions)
        pooled = ["pooled"] if self.operation is not None else []
        environment = self.rng.choice(["default", "default", "dev", "dev/a", *pooled])
        key = f"key{self.rng.randrange(10**9)}"

        def submitted(answer: Any) -> None:
            if isinstance(answer, fx.Submitted):
                (id,) = answer.executions
                self.oracles.acknowledged.add(id.partition(":")[0])
                self._executions.append(id)
                self._await(id)

        self.insist(lambda to: e.RunRequested(to, environment, call, key, b"same"), submitted)

    def _await(self, id: str) -> None:
        self.insist(lambda to: e.OutcomeAwaited(to, id), self.oracles.answered)

    def _responder(self, input: str) -> Callable[[], None]:
        """A person who answers a question, or does not want to, or withdraws it."""
        how = self.rng.choice(["answered", "answered", "answered", "dismissed", "cancelled"])
        answer = encode(f"answer {self.rng.randrange(3)}")
        asked: dict[str, Callable[[Caller], e.Event]] = {
            "answered": lambda to: e.InputAnswered(to, input, answer),
            "dismissed": lambda to: e.InputDismissed(to, input),
            "cancelled": lambda to: e.CancelRequested(to, (input,)),
        }

        def done(found: Any) -> None:
            if isinstance(found, fx.Confirm) and how != "cancelled":
                self.oracles.responded[input] = how

        return lambda: self.insist(asked[how], done)

    def _meddle(self) -> None:
        """A person cancels, re-runs, sets a result, or pauses an environment."""
        machine = self.server.machine
        if machine is None or not self._executions:
            return
        known = [*machine.state.executions][-60:] + self._executions
        id = self.rng.choice(known)
        where = self.rng.choice([None, None, "default", "dev", "dev/a"])
        result: Result = self.rng.choice(
            [Returned(encode("by hand")), Raised(Error("Hand", "by hand"))]
        )
        reuse = self.rng.random() < 0.5
        level = self.rng.randint(1, 3)
        events: list[Callable[[Caller], e.Event]] = [
            lambda to: e.CancelRequested(to, (":".join(id.split(":")[:level]),)),
            lambda to: e.RerunRequested(to, id, where, False, reuse),
            lambda to: e.RerunRequested(to, id, where, False, reuse),
            lambda to: e.ResultSet(to, id, result, "by hand", where),
            lambda to: self._state_request(to, where or "default", "paused"),
        ]
        event = self.rng.choice(events)
        self.server.ask(event, lambda answer: None)

    def _state_request(self, to: Caller, name: str, state: str) -> e.Event:
        machine = self._machine()
        environment = machine.state.environment_named(name)
        return e.EnvironmentStateRequested(to, environment.id if environment else "", state)

    # --- faults ---------------------------------------------------------------------------------

    def _break_something(self) -> None:
        self.rng.choice(
            [self._crash_server, self._crash_server, self._crash_agent, self._crash_agent,
             self._cut_link, self._cut_link, self._kill_executor, self._kill_executor,
             self._drain_agent, self._retire_agent, self._resume]
        )()  # fmt: skip

    def _some_agent(self) -> Agent | None:
        alive = [agent for agent in self.agents if agent.is_alive]
        return self.rng.choice(alive) if alive else None

    def _crash_server(self) -> None:
        if self.server.machine is not None:
            self.server.crash_at = self.rng.choice(POINTS)
            self.say(f"the server will crash {self.server.crash_at}")

    def _crash_agent(self) -> None:
        agent = self._some_agent()
        if agent is None:
            return
        if self.rng.random() < 0.3:
            self.say(f"{agent.name} will crash with its next assignment")
            agent.is_doomed = True
            self.clock.after(20_000, lambda: self._start(agent))
            return
        self.say(f"{agent.name} crashes")
        agent.crash()
        if self.rng.random() < 0.2:  # with another session, as on another machine
            agent.session = None
            agent.disk.clear()
        self.clock.after(self.rng.choice([100, 5_000, 40_000]), lambda: self._start(agent))

    def _start(self, agent: Agent) -> None:
        if not agent.is_alive:
            self.say(f"{agent.name} starts")
            agent.start()

    def _cut_link(self) -> None:
        agent = self._some_agent()
        if agent is not None and agent.link is not None:
            self.say(f"the connection of {agent.name} breaks")
            agent.link.cut()

    def _kill_executor(self) -> None:
        agent = self._some_agent()
        if agent is not None:
            agent.kill_executor()

    def _drain_agent(self) -> None:
        agent = self._some_agent()
        if agent is not None:
            self.say(f"{agent.name} drains")
            agent.drain()

    def _retire_agent(self) -> None:
        agent = self._some_agent()
        if agent is not None:
            self.say(f"{agent.name} retires")
            agent.retire()

    def _resume(self) -> None:
        if self.server.machine is not None:
            name = self.rng.choice(["default", "dev", "dev/a"])
            self.server.ask(lambda to: self._state_request(to, name, "active"), lambda _: None)


def simulate(
    seed: int,
    database: bool = False,
    asks: bool = False,
    operates: bool = False,
    collects: bool = False,
) -> Simulation:
    """Run a seed to its end, with the real store or with a list.

    With `asks` people are asked; with `operates` others change schedules, limits and pools; with
    `collects` runs are removed soon after their end.
    """
    disk: Disk = DatabaseDisk() if database else ListDisk()
    simulation = Simulation(seed, disk, asks, operates, collects)
    try:
        simulation.run()
    except Exception as error:
        raise Failure("\n".join([*simulation.story[-60:], f"seed {seed}: {error!r}"])) from error
    finally:
        disk.remove()
    return simulation


class Failure(Exception):
    """A seed that ended badly, with its story."""


def _shorten(change: Any) -> str:
    fields = {
        name: getattr(change, name)
        for name in change.__struct_fields__
        if name not in ("submission", "at", "hello", "parts", "key", "repositories", "token_hash")
    }
    shown = " ".join(
        f"{k}={_short(v)}" for k, v in fields.items() if v not in (None, "", (), False)
    )
    return f"{type(change).__name__} {shown}"


def _short(value: Any) -> str:
    text = type(value).__name__ if hasattr(value, "__struct_fields__") else str(value)
    return text[:60]

"""Where launched agents run, and the part of the project process that launches them.

The platform is slow, fails, loses what it was to start, and outlives the server. Belongs here: what
`server.project.pools` and a launcher do. Does not belong here: how many agents there should be.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Protocol

from coflux.server.core import effects as fx
from coflux.server.core import events as e
from coflux.server.core.machine import Machine
from tests.simulation.agent import Agent
from tests.simulation.server import Server

#: Between two looks at what runs, and two looks of an agent that is to end at itself (ms).
LOOK_MS, AGAIN_MS = 2_000, 100
#: An agent that drains ends after so long in any case.
DRAIN_MS = 120_000


class LaunchedAgent(Agent):
    """An agent with a session that was opened for it; it lives once."""

    def __init__(
        self, world: World, launch: str, environment: str, concurrency: int, session: str
    ) -> None:
        super().__init__(world, f"agent of {launch}", environment, concurrency)
        self.world: World = world
        self.session = session
        self.launch = launch
        #: Why it ended; None while it lives, or when it ended in good order.
        self.error: str | None = None
        self.is_spent = False
        self._is_ending = False

    def start(self) -> None:
        """Only the first time."""
        if not self.is_spent:
            self.is_spent = True
            super().start()

    def crash(self) -> None:
        """It is gone for good."""
        if self.is_alive and not self._is_ending:
            self.error = "it crashed"
        super().crash()

    def drain(self) -> None:
        """It ends when it has nothing left to do."""
        if self.is_alive and not self.is_draining:
            super().drain()
            until = self.world.clock.now + DRAIN_MS
            self._end_when_empty(until)

    def retire(self) -> None:
        """End in good order."""
        self._is_ending = True
        super().retire()

    def _end_when_empty(self, until: int) -> None:
        if not self.is_alive or self._is_ending:
            return
        if (not self.executors and not self.disk) or self.world.clock.now >= until:
            self.retire()
        else:
            self.world.clock.after(AGAIN_MS, lambda: self._end_when_empty(until))

    def _go_on_without_session(self) -> None:
        self._is_ending = True
        self.crash()


class World(Protocol):
    """What launching needs of the world."""

    clock: Any
    rng: random.Random
    programs: Any
    server: Server
    agents: list[Agent]
    is_troubled: bool

    def say(self, text: str) -> None: ...
    def request_session(self, agent: Agent) -> None: ...
    def dial(self, agent: Agent) -> Any: ...
    def started(self, assignment: Any) -> None: ...
    def told(self, execution: str, answer: Any) -> None: ...


class Platform:
    """Agents that were launched, by launch."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.agents: dict[str, LaunchedAgent] = {}

    def start(self, agent: LaunchedAgent) -> str | None:
        """Start it, or say why not; sometimes it is lost without a word."""
        chance = self._world.rng.random() if self._world.is_troubled else 1.0
        if chance < 0.15:
            return "there is no room"
        if chance < 0.25:
            self._world.say(f"{agent.name} is lost")
            return None
        self.agents[agent.launch] = agent
        self._world.agents.append(agent)
        self._world.say(f"{agent.name} is started")
        agent.start()
        return None

    def stop(self, launch: str, now: bool) -> None:
        """Have it end, or kill it."""
        agent = self.agents.get(launch)
        if agent is not None and now:
            agent.crash()
        elif agent is not None:
            agent.drain()

    def running(self) -> list[str]:
        """Launches whose agents live."""
        return [id for id, agent in self.agents.items() if agent.is_alive]


class Launching:
    """What one server process after another does for its pools."""

    def __init__(self, world: World, platform: Platform) -> None:
        self._world = world
        self._server = world.server
        self._platform = platform
        self._starting: set[str] = set()
        #: Called before one is killed, with whether its pool knows it.
        self.on_kill: Callable[[str, bool], None] = lambda launch, is_known: None

    def begin(self) -> None:
        """A process is there: stop what nobody wants, and look at the rest."""
        self._starting.clear()
        known = self._machine().state.launches
        for id in self._platform.running():
            if id not in known:
                self._kill(id, False)
        self._soon(LOOK_MS, self._look)

    def carry_out(self, effect: fx.Launch | fx.StopLaunch) -> None:
        """A wish of the core."""
        if isinstance(effect, fx.Launch):
            self._starting.add(effect.launch)
            delay = self._world.rng.choice([0, 10, 500])
            self._soon(delay, lambda: self._open_session(effect.launch))
        elif effect.launch not in self._starting:
            if effect.now:
                self._kill(effect.launch, True)
            else:
                self._platform.stop(effect.launch, False)

    def _machine(self) -> Machine:
        machine = self._server.machine
        assert machine is not None
        return machine

    def _soon(self, ms: int, call: Callable[[], None]) -> None:
        """Unless this process is dead by then."""
        process = self._server.machine

        def do() -> None:
            if self._server.machine is process:
                call()

        self._server.clock.after(ms, do)

    def _kill(self, launch: str, is_known: bool) -> None:
        self.on_kill(launch, is_known)
        self._platform.stop(launch, True)

    def _report(self, launch: str, error: str | None) -> None:
        self._starting.discard(launch)
        self._server.ask(lambda to: e.LaunchReported(launch, error), lambda answer: None)

    def _open_session(self, launch: str) -> None:
        state = self._machine().state
        found = state.launches.get(launch)
        if found is None or found.retired_at is not None:
            self._report(launch, None)
            return
        pool = state.pools[found.pool]
        environment = state.environments[pool.environment].name
        process = self._server.machine

        def opened(answer: Any) -> None:
            if self._server.machine is not process or answer is None:
                return
            if isinstance(answer, fx.Confirm):
                agent = LaunchedAgent(
                    self._world, launch, environment, pool.spec.concurrency, answer.data["session"]
                )
                self._start(agent)
            else:
                self._report(launch, "the project gave it no session")

        self._server.ask(
            lambda to: e.SessionRequested(to, environment, b"hash", launch), opened
        )  # fmt: skip

    def _start(self, agent: LaunchedAgent) -> None:
        """The platform goes on also when the process that asked it has died."""
        process = self._server.machine

        def start() -> None:
            error = self._platform.start(agent)
            self._server.clock.after(0, lambda: done(error))

        def done(error: str | None) -> None:
            if self._server.machine is not process or process is None:
                return
            if error is not None:
                self._report(agent.launch, error)
                return
            self._starting.discard(agent.launch)
            found = process.state.launches.get(agent.launch)
            if found is None or found.retired_at is not None:
                self._platform.stop(agent.launch, False)

        self._world.clock.after(self._world.rng.choice([0, 50, 3_000, 15_000]), start)

    def _look(self) -> None:
        for id in list(self._machine().state.launches):
            agent = self._platform.agents.get(id)
            if id in self._starting or (agent is not None and agent.is_alive):
                continue
            error = "nobody knows it (any more)" if agent is None else agent.error
            self._report(id, error)
        self._soon(LOOK_MS, self._look)

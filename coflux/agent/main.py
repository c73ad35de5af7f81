"""An agent process from start to end: its loop, its signals, its exit code.

Belongs here: what a process does around an `Agent`. Does not belong here: options of the command
line, and what an agent is.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from coflux.agent.agent import Agent
from coflux.agent.config import AgentConfig


def run_agent(config: AgentConfig) -> int:
    """Run an agent until it is told to end; returns the process's exit code.

    The first SIGTERM or SIGINT drains it, the second ends the drain, the third exits at once.

    Raises `Refused` where the server gives no session. Must be called in the main thread.
    """
    return asyncio.run(_run(config))


async def _run(config: AgentConfig) -> int:
    agent = Agent(config)
    signals = _Signals(agent)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.on_signal)
    if config.ends_with_stdin:
        _end_with_stdin(agent)
    try:
        await agent.run()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    return 0


class _Signals:
    """Counts signals: each one is more pressing than the one before."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._count = 0
        self._tasks: list[asyncio.Task[None]] = []

    def on_signal(self) -> None:
        self._count += 1
        if self._count == 1:
            self._tasks.append(asyncio.ensure_future(self._agent.drain()))
        elif self._count == 2:
            self._tasks.append(asyncio.ensure_future(self._agent.end("interrupted")))
        else:
            # Executors end with their agent, however it ends.
            os._exit(130)


def _end_with_stdin(agent: Agent) -> None:
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[None]] = []

    def on_input() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin)
            tasks.append(asyncio.ensure_future(agent.end("its owner is gone")))

    loop.add_reader(sys.stdin, on_input)

"""Work counts as activity: neither server nor kernels are ended for idleness in the middle of it.

Jupyter judges by requests and by what kernels say, and a kernel whose agent works says nothing.

Belongs here: looking at who works, and telling Jupyter. Does not belong here: how that is asked
(a gateway's method, or a request to another server).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, Protocol

import psutil

from coflux.errors import CofluxError

#: Seconds between two looks. Time-outs of idleness have to be longer.
LOOK_S = 2.0
#: Under which Jupyter keeps our last activity; JupyterHub's culler is told the newest of all.
NAME = "coflux"


class Working(Protocol):
    """An agent that is at work, as far as it matters here."""

    @property
    def host(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def executions(self) -> int: ...


class Activity:
    """What goes on, looked at again and again.

    `ask` gives the agents at work. With `is_own` their work ends with this server; otherwise only
    that of its kernels matters, because the rest goes on without it.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[Sequence[Working]]],
        settings: dict[str, Any],
        kernels: Any,
        log: Any,
        *,
        is_own: bool,
    ) -> None:
        self._ask = ask
        self._settings = settings
        self._kernels = kernels
        self._log = log
        self._is_own = is_own
        #: Executions that would end with the server; their processes may be alive.
        self.executions = 0

    async def watch(self) -> None:
        """Look, for ever."""
        while True:
            try:
                await self.look()
            except (CofluxError, OSError) as error:
                # Nobody works where nobody answers.
                self.executions = 0
                self._log.debug("Coflux's activity is not known: %s", error)
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask once, and tell Jupyter."""
        here = socket.gethostname()
        working = [agent for agent in await self._ask() if self._is_own or agent.host == here]
        now = datetime.now(timezone.utc)
        kernels = self._kernels_of({agent.pid for agent in working if agent.host == here})
        for kernel in kernels:
            kernel.last_activity = now
        self.executions = sum(agent.executions for agent in working) if self._is_own else 0
        if kernels or self.executions:
            self._settings["last_activity_times"][NAME] = now

    def _kernels_of(self, agents: set[int]) -> list[Any]:
        """The kernels of this server from which these processes come."""
        ancestors = {pid for agent in agents for pid in _ancestors(agent)}
        every = [self._kernels.get_kernel(id) for id in self._kernels.list_kernel_ids()]
        return [kernel for kernel in every if _pid(kernel) in ancestors]


def _pid(kernel: Any) -> int | None:
    """A kernel that runs elsewhere has no process here."""
    pid: int | None = getattr(getattr(kernel, "provisioner", None), "pid", None)
    return pid


def _ancestors(pid: int) -> Iterator[int]:
    try:
        for process in psutil.Process(pid).parents():
            yield process.pid
    except psutil.Error:
        return

"""Which project processes run: started on first use, restarted with back-off, stopped at the end.

Belongs here: the decision to start, to wait and to give up for a while. Does not belong here:
how a process is started (`child`) and how requests get to it (`upstream`).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from coflux.errors import Unavailable
from coflux.server.gateway.child import Child
from coflux.server.space import shortage

State = Literal["idle", "starting", "running", "restarting", "failed"]

#: Delay before a restart, in seconds, by the number of deaths within `WINDOW`.
BACK_OFF = (0.1, 1.0)
#: That many deaths within `WINDOW` seconds mark a project as failed; from then on it is tried once
#: in that time.
DEATHS = len(BACK_OFF) + 1
WINDOW = 60.0
#: How long a request waits for a process that is being started.
PATIENCE = 15.0

log = logging.getLogger("coflux.server")


class Supervised:
    """The process of one project over all its lives."""

    def __init__(
        self, project: str, command: Sequence[str], directory: Path, socket: Path
    ) -> None:  # fmt: skip
        self.project = project
        self.directory = directory
        self.state: State = "idle"
        #: Why it is not running; None while all is well.
        self.reason: str | None = None
        self._command = command
        self._socket = socket
        self._child: Child | None = None
        self._deaths: deque[float] = deque(maxlen=DEATHS)
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self._closed = False
        #: At the end the process is left to itself.
        self._leaves = False

    @property
    def pid(self) -> int | None:
        """Id of the process that runs now."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Keep the process running from now on."""
        if self._task is None and not self._closed:
            self.state = "starting"
            self._task = asyncio.create_task(self._keep_running())

    async def socket(self) -> Path:
        """The socket to reach the process by, once it is ready.

        Raises `Unavailable`, with the reason, when it is not within reach soon.
        """
        if self._child is not None:
            return self._child.socket
        if self._closed:
            raise Unavailable("The server is stopping.")
        self.start()
        try:
            await asyncio.wait_for(self._until_settled(), PATIENCE)
        except asyncio.TimeoutError:
            pass
        if self._child is None:
            raise self.unavailable()
        return self._child.socket

    def unavailable(self) -> Unavailable:
        """What a request is told while there is no process to serve it."""
        reason = f" ({self.reason})" if self.reason else ""
        # A process may be unable to say so: its log is on the same disk (SE-11).
        full = shortage(self.directory) if self.directory.exists() else None
        if full is not None:
            return Unavailable(
                f"{full}, so project {self.project!r} does not run{reason}; free some space. It is"
                f" tried again every {WINDOW:.0f} s."
            )
        if self.state == "failed":
            return Unavailable(
                f"Project {self.project!r} has failed{reason}; it is tried again every"
                f" {WINDOW:.0f} s. See projects/{self.directory.name}/process.log in the data"
                " directory."
            )
        return Unavailable(f"Project {self.project!r} is starting{reason}; send it again.")

    async def _until_settled(self) -> None:
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._child is not None or self.state == "failed" or self._closed
            )

    async def _keep_running(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._closed:
            try:
                child = await Child.start(self._command, self.project, self.directory, self._socket)
            except (Unavailable, OSError) as error:
                reason = str(error)
            else:
                if self._closed:
                    # Before Python 3.12 a cancellation that comes with "ready" is lost on the way.
                    await child.stop()
                    return
                await self._change("running", None, child)
                try:
                    reason = await child.ended()
                finally:
                    self._child = None
                    await self._part_from(child)
            delay = self._after_death(loop.time())
            state: State = "failed" if delay == WINDOW else "restarting"
            log.warning("project %s: %s (%s)", self.project, reason, state)
            await self._change(state, reason, None)
            await asyncio.sleep(delay)

    async def _part_from(self, child: Child) -> None:
        if not self._closed:
            await child.kill()
        elif self._leaves:
            child.leave()
        else:
            await child.stop()

    def _after_death(self, now: float) -> float:
        self._deaths.append(now)
        recent = sum(1 for death in self._deaths if now - death < WINDOW)
        return BACK_OFF[recent - 1] if recent < DEATHS else WINDOW

    async def _change(self, state: State, reason: str | None, child: Child | None) -> None:
        async with self._changed:
            self.state, self.reason, self._child = state, reason, child
            self._changed.notify_all()

    async def stop(self, *, leave: bool = False) -> None:
        """End the process, or leave it to itself, and start no other."""
        self._closed, self._leaves = True, leave
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._change("idle", None, None)


class Supervisor:
    """The processes of all projects of a server.

    `command` starts a project process (the arguments of the process contract are added);
    `sockets` is a private folder with a short path; `projects` the folder of the projects' folders.
    """

    def __init__(
        self,
        command: Sequence[str],
        sockets: Path,
        projects: Path,
        directory_of: Callable[[str], str | None],
    ) -> None:
        self._command = tuple(command)
        self._sockets = sockets
        self._projects = projects
        self._directory_of = directory_of
        self._supervised: dict[str, Supervised] = {}

    def get(self, project: str) -> Supervised | None:
        """The project's process, running or not; None if there is no such project."""
        name = self._directory_of(project)
        if name is None:
            return None
        if project not in self._supervised:
            self._supervised[project] = Supervised(
                project, self._command, self._projects / name, self._sockets / f"{name}.sock"
            )
        return self._supervised[project]

    def start_used(self, projects: Sequence[str], first: str) -> None:
        """Start those that have a store: their due times are met without anybody asking (SC-6).

        `first` is started in any case, because it is what a new server is used for.
        """
        for project in projects:
            supervised = self.get(project)
            if supervised is not None and (project == first or has_store(supervised.directory)):
                supervised.start()

    async def stop(self, *, leave: bool = False) -> None:
        """End all processes; with `leave` they go on for as long as their command says."""
        await asyncio.gather(*(each.stop(leave=leave) for each in self._supervised.values()))


def has_store(directory: Path) -> bool:
    """Whether the project has been used before."""
    return os.path.exists(directory / "store.db")

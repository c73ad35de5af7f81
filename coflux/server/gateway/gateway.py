"""What the gateway's handlers work with: accounts, processes, connections. No HTTP.

Belongs here: putting these parts together, and what needs more than one of them. Does not belong
here: sockets that listen, and handlers.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from tornado.httputil import HTTPHeaders, RequestStartLine
from tornado.iostream import IOStream, StreamClosedError

from coflux.errors import NotFound, Unavailable
from coflux.server import answers, bodies
from coflux.server.gateway.accounts import DEFAULT_PROJECT, Accounts
from coflux.server.gateway.auth import SESSION_PREFIX
from coflux.server.gateway.blobs import BlobFolder
from coflux.server.gateway.identity import Grant, Identity
from coflux.server.gateway.live import LiveConnections
from coflux.server.gateway.supervisor import Supervised, Supervisor, has_store
from coflux.server.gateway.upstream import Exchange, Upstream
from coflux.server.routes import INTERNAL

#: How long the answer about a session token counts, in seconds.
SESSION_CACHE = 5.0
_SESSION_CACHE_SIZE = 10_000


@dataclass(frozen=True)
class Project:
    """A project as a handler sees it."""

    name: str
    supervised: Supervised
    upstream: Upstream
    blobs: BlobFolder

    @property
    def directory(self) -> Path:
        """Its folder."""
        return self.supervised.directory


@dataclass
class Body:
    """A whole small answer of a project process."""

    status: int = 0
    content: bytearray = field(default_factory=bytearray)


class Gateway:
    """One server's accounts, project processes and open connections.

    `data_dir` is the server's alone (its lock is held); `sockets` is a private folder with a short
    path; `command` starts a project process; `now` gives the time in ms.
    """

    def __init__(
        self,
        data_dir: Path,
        sockets: Path,
        command: Sequence[str],
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.data_dir = data_dir
        self.accounts = Accounts(data_dir / "server.db", now)
        self.supervisor = Supervisor(
            command, sockets, data_dir / "projects", self.accounts.directory
        )
        self.live = LiveConnections(now)
        self.accounts.on_revoked(self.live.close_of)
        self._projects: dict[str, Project] = {}
        self._sessions: dict[bytes, tuple[float, Identity]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        #: The project processes go on, and so do their sockets.
        self.has_left_processes = False

    def start(self) -> None:
        """Begin to work; needs the running event loop."""
        self._sweep = self.in_background(self.live.sweep())
        self.supervisor.start_used(self.accounts.projects(), DEFAULT_PROJECT)

    async def stop(self, *, leave: bool = False) -> None:
        """Close all connections, end all processes (or `leave` them), close the database."""
        self._sweep.cancel()
        self.live.close_all()
        self.has_left_processes = leave
        await self.supervisor.stop(leave=leave)
        if self._tasks:
            await asyncio.wait(self._tasks)
        for project in self._projects.values():
            project.upstream.close()
        self.accounts.close()

    def in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` beside the requests; `stop` waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def project(self, name: str) -> Project:
        """The project of that name; raises `NotFound`."""
        if name not in self._projects:
            supervised = self.supervisor.get(name)
            if supervised is None:
                raise NotFound(f"There is no project {name!r}.")
            blobs = BlobFolder(supervised.directory / "blobs")
            blobs.remove_leftovers()
            self._projects[name] = Project(name, supervised, Upstream(), blobs)
        return self._projects[name]

    def state(self, name: str) -> answers.ProjectState:
        """How the project's process is."""
        supervised = self.project(name).supervised
        return answers.ProjectState(name=name, state=supervised.state, reason=supervised.reason)

    # --- requests of the gateway itself -------------------------------------------------------

    async def ask(self, project: Project, path: str, body: msgspec.Struct) -> Body:
        """Post to an internal route of the project's process; raises `Unavailable`."""
        answer = Body()
        content = msgspec.json.encode(body)
        headers = HTTPHeaders({"Host": "project", "Content-Type": "application/json"})
        headers["Content-Length"] = str(len(content))
        start = RequestStartLine("POST", INTERNAL + path, "HTTP/1.1")

        def on_headers(status: int, reason: str, headers: HTTPHeaders) -> None:
            answer.status = status

        async def on_data(chunk: bytes) -> None:
            answer.content += chunk

        def on_stream(stream: IOStream) -> None:
            """Nobody closes it early."""

        socket = await project.supervised.socket()
        try:
            await project.upstream.request(
                socket, start, headers, content, Exchange(on_headers, on_data), on_stream
            )
        except StreamClosedError as error:
            raise Unavailable(f"The process of project {project.name!r} ended.") from error
        return answer

    async def working(self) -> list[answers.Working]:
        """The agents that are at work in the projects whose process runs; starts none."""
        found: list[answers.Working] = []
        for name in self.accounts.projects():
            project = self.project(name)
            if project.supervised.state != "running":
                continue
            try:
                answer = await self.ask(project, "/activity", bodies.ActivityRequest())
            except Unavailable:
                # It has just ended; what it said a moment ago is not true any more either.
                continue
            if answer.status == 200:
                found += msgspec.json.decode(answer.content, type=answers.Activity).agents
        return found

    async def identify_session(self, token: str) -> Identity | None:
        """Whose session token it is, by asking its project; None if it is nobody's."""
        key = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._sessions.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        identity = await self._ask_for_session(token)
        if len(self._sessions) >= _SESSION_CACHE_SIZE:
            self._sessions.clear()
        self._sessions.pop(key, None)
        if identity is not None:
            self._sessions[key] = (time.monotonic() + SESSION_CACHE, identity)
        return identity

    async def _ask_for_session(self, token: str) -> Identity | None:
        name = token.removeprefix(SESSION_PREFIX).partition(".")[0]
        directory = self.accounts.directory(name)
        if directory is None:
            return None
        project = self.project(name)
        # A project that was never used has no sessions, and a made-up token starts no process.
        if project.supervised.state == "idle" and not has_store(project.directory):
            return None
        answer = await self.ask(project, "/authenticate", bodies.SessionToken(token=token))
        if answer.status != 200:
            return None
        principal = msgspec.json.decode(answer.content, type=answers.Authenticated).principal
        grants = tuple(Grant(name, scope.environment, scope.right) for scope in principal.scopes)
        return Identity(principal.id, principal.name, grants)

"""A Coflux server that runs already, found and reached by the Jupyter server's extension.

Belongs here: where it is, with which token, who works there, and connections to it. Does not
belong here: what is passed on (`forwarding`).
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpclient import TCPClient
from tornado.util import TimeoutError as ConnectTimeout

from coflux import config
from coflux.client.transport import Transport, segment
from coflux.errors import Unavailable
from coflux.server.answers import Working

#: How long what a runtime file said is believed, in seconds.
_BELIEVED_S = 1.0
_CONNECT_S = 10.0


@dataclass(frozen=True)
class Place:
    """Where a server is. `url` has no slash at its end."""

    url: str
    token: str | None


class Attached:
    """The server; `find` gives its place as it is now, or None, and `missing` says why not."""

    def __init__(self, find: Callable[[], Place | None], missing: str) -> None:
        self._find = find
        self._missing = missing
        self._place: Place | None = None
        self._found_at = float("-inf")
        self._tcp = TCPClient()

    def place(self) -> Place:
        """Where it is now; raises `Unavailable` where it is nowhere.

        A server that was started again has another token and perhaps another port.
        """
        now = time.monotonic()
        if self._place is None or now - self._found_at > _BELIEVED_S:
            self._place, self._found_at = self._find(), now
        if self._place is None:
            raise Unavailable(self._missing)
        return self._place

    async def connect(self) -> IOStream:
        """A connection to it; raises `Unavailable` where nobody answers."""
        parts = urlsplit(self.place().url)
        is_secure = parts.scheme == "https"
        port = parts.port or (443 if is_secure else 80)
        secure = ssl.create_default_context() if is_secure else None
        try:
            return await self._tcp.connect(
                parts.hostname or "", port, ssl_options=secure, timeout=_CONNECT_S
            )
        except (StreamClosedError, ConnectTimeout, OSError) as error:
            raise Unavailable(
                f"No Coflux server answers at {self.place().url}, to which this Jupyter server is"
                " attached; start it again."
            ) from error

    async def working(self) -> Sequence[Working]:
        """The agents that are at work in its projects; raises a `Refused`."""
        return await asyncio.get_running_loop().run_in_executor(None, self._ask_working)

    def _ask_working(self) -> list[Working]:
        place = self.place()
        transport = Transport(place.url, place.token)
        try:
            projects = transport.request("GET", "/api/v1/projects").body
            return [
                agent
                for project in projects
                if project["state"] == "running"
                for agent in _working(transport, project["name"])
            ]
        except (KeyError, TypeError) as error:
            raise Unavailable(
                f"The server at {place.url} answers in a form that is not known here: {error!r}."
            ) from error
        finally:
            transport.close()

    def close(self) -> None:
        """Let go of what connecting needed."""
        self._tcp.close()


def _working(transport: Transport, project: str) -> list[Working]:
    path = f"/api/v1/projects/{segment(project)}/agents"
    agents: list[dict[str, Any]] = transport.request("GET", path).body
    return [
        Working(host=agent["host"], pid=agent["pid"], executions=number)
        for agent in agents
        if (number := len(agent["running"]) + len(agent["waiting"]))
    ]


def over(data_dir: Path, conflict: str) -> Attached:
    """The server of this user that has the lock of a data directory.

    `conflict` is what was said when the lock was not to be had.
    """

    def find() -> Place | None:
        for server in config.running_servers(data_dir):
            return Place(server.url, server.token)
        return None

    return Attached(
        find,
        f"The Coflux server over {data_dir}, to which this Jupyter server is attached, is not to be"
        f" found. Start it again (`coflux server --data-dir {data_dir}`), or the Jupyter server,"
        f" which then runs one itself. When this one was started: {conflict}",
    )


def at(url: str, token: str | None) -> Attached:
    """The server at an address; raises `InvalidRequest` for what is none.

    Without a token, COFLUX_TOKEN's or that of a server of this user with that address.
    """
    # Once, so that a wrong address is told at start.
    config.address(url, "CofluxApp.server_url")
    # As it is before kernels are given what is found here.
    variables = dict(os.environ)

    def find() -> Place | None:
        settings = config.resolve(host=url, token=token or None, variables=variables)
        return Place(settings.host, settings.token)

    return Attached(find, "")

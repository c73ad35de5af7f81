"""One WebSocket to the server. Nothing of what the frames mean belongs here."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.netutil import Resolver
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from coflux.wire import MAX_FRAME

#: Seconds between pings.
PING_S = 5.0
#: Seconds without a sign of life after which the connection counts as lost.
SILENT_S = 15.0


class _UnixResolver(Resolver):
    """Leads every name to one Unix socket."""

    def initialize(self, path: str) -> None:
        self._path = path

    async def resolve(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[tuple[int, Any]]:
        return [(socket.AF_UNIX, self._path)]


class Connection:
    """An open connection: frames in and out, pings, and its end."""

    def __init__(self, on_frame: Callable[[bytes], None]) -> None:
        self._on_frame = on_frame
        self._socket: WebSocketClientConnection | None = None
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._watch: asyncio.TimerHandle | None = None

    async def open(self, url: str, token: str, unix_socket: str | None = None) -> None:
        """Connect; raises `OSError` or tornado's `HTTPError` where that fails."""
        request = HTTPRequest(
            url,
            headers={"Authorization": f"Bearer {token}"},
            connect_timeout=10.0,
            request_timeout=10.0,
        )
        resolver = _UnixResolver(path=unix_socket) if unix_socket is not None else None
        connected = await websocket_connect(
            request,
            on_message_callback=self._on_message,
            max_message_size=4 * MAX_FRAME,
            resolver=resolver,
        )
        self._socket = connected
        # Any byte is a sign of life: the answer to our ping, too.
        connected.on_pong = self._on_pong  # type: ignore[method-assign]
        self._heard_at = self._loop.time()
        self._ping()

    def send(self, frame: bytes) -> None:
        """Send a frame; one that cannot be sent is lost with the connection."""
        if self._socket is None:
            return
        try:
            self._socket.write_message(frame, binary=True)
        except WebSocketClosedError:
            self._end()

    async def closed(self) -> None:
        """Return when the connection has ended."""
        await asyncio.shield(self._closed)

    def close(self) -> None:
        """End it."""
        if self._socket is not None:
            self._socket.close()
        self._end()

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return self._socket is not None and not self._closed.done()

    def _on_message(self, message: str | bytes | None) -> None:
        if message is None:
            self._end()
            return
        self._heard_at = self._loop.time()
        self._on_frame(message.encode() if isinstance(message, str) else message)

    def _on_pong(self, data: bytes) -> None:
        self._heard_at = self._loop.time()

    def _ping(self) -> None:
        if self._closed.done() or self._socket is None:
            return
        if self._loop.time() - self._heard_at > SILENT_S:
            self.close()
            return
        try:
            self._socket.ping()
        except WebSocketClosedError:
            self._end()
            return
        self._watch = self._loop.call_later(PING_S, self._ping)

    def _end(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if not self._closed.done():
            self._closed.set_result(None)

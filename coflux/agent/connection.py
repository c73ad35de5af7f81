"""One WebSocket to the server, as a client. Nothing of what the messages mean belongs here.

Written on asyncio's transports rather than taken from tornado, because each hop of a small task
goes through it: a message is handed over in the turn of the loop in which its bytes arrive, and
costs no task and no future.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

from coflux import frames
from coflux.wire import MAX_FRAME

#: Seconds between pings.
PING_S = 5.0
#: Seconds without a sign of life after which the connection counts as lost.
SILENT_S = 15.0
_CONNECT_S = 10.0
_LIMIT = 4 * MAX_FRAME


class HandshakeRefused(Exception):
    """The server answered the handshake with another status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status


class Connection(asyncio.Protocol):
    """An open connection: messages in and out, pings, and its end."""

    def __init__(self, on_message: Callable[[bytes], None]) -> None:
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._parser = frames.Parser(are_masked=False, limit=_LIMIT)
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._key = base64.b64encode(os.urandom(16)).decode()
        self._is_open = False
        self._is_local = False
        self._heard_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    async def open(self, url: str, token: str, unix_socket: str | None = None) -> None:
        """Connect to a `ws://` or `wss://` address, or to it by way of a Unix socket.

        Raises `OSError` or `asyncio.TimeoutError` where nobody answers, `HandshakeRefused` where
        the answer is no.
        """
        parts = urlsplit(url)
        self._is_local = unix_socket is not None
        is_secure = parts.scheme == "wss"
        if unix_socket is not None:
            connecting = self._loop.create_unix_connection(lambda: self, unix_socket)
        else:
            connecting = self._loop.create_connection(
                lambda: self,
                parts.hostname or "",
                parts.port or (443 if is_secure else 80),
                ssl=ssl.create_default_context() if is_secure else None,
            )
        try:
            await asyncio.wait_for(connecting, _CONNECT_S)
            assert self._transport is not None
            self._transport.write(self._handshake(parts.netloc, parts.path, token))
            await asyncio.wait_for(asyncio.shield(self._opened), _CONNECT_S)
        except BaseException:
            self.close()
            raise
        self._tick()

    def _handshake(self, host: str, path: str, token: str) -> bytes:
        lines = [
            f"GET {path or '/'} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {self._key}",
            "Sec-WebSocket-Version: 13",
            f"Authorization: Bearer {token}",
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    # --- sending --------------------------------------------------------------------------------

    def send(self, message: bytes) -> None:
        """Send a binary message; what cannot be sent is lost with the connection."""
        self._write(frames.BINARY, message)

    def _write(self, opcode: int, content: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        # Masks protect proxies on the way; where there are none, there is nothing to protect.
        mask = frames.NO_MASK if self._is_local else frames.new_mask()
        self._transport.write(frames.pack(opcode, content, mask))

    def _tick(self) -> None:
        if self._closed.done():
            return
        if self._loop.time() - self._heard_at > SILENT_S:
            self.close()
            return
        self._write(frames.PING, b"")
        self._timer = self._loop.call_later(PING_S, self._tick)

    # --- receiving ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        if not self._is_open:
            data = self._take_handshake(data)
        try:
            found = self._parser.feed(data)
        except frames.Malformed:
            # No server of ours: what follows cannot be trusted either.
            self.close()
            return
        for opcode, content in found:
            self._take(opcode, content)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error)

    def _take_handshake(self, data: bytes) -> bytes:
        """What follows the answer's head, once that is complete and says yes."""
        self._head += data
        head, separator, rest = self._head.partition(b"\r\n\r\n")
        if not separator:
            return b""
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        _, status, reason = (*status_line.split(" ", 2), "", "")[:3]
        if status != "101" or headers.get("sec-websocket-accept") != frames.accepted(self._key):
            if not self._opened.done():
                code = int(status) if status.isdigit() else 0
                self._opened.set_exception(HandshakeRefused(code, reason))
            self.close()
            return b""
        self._is_open = True
        if not self._opened.done():
            self._opened.set_result(None)
        return rest

    def _take(self, opcode: int, content: bytes) -> None:
        if opcode == frames.PING:
            self._write(frames.PONG, content)
        elif opcode == frames.CLOSE:
            self._write(frames.CLOSE, content[:2])
            self.close()
        elif opcode != frames.PONG:
            self._on_message(content)

    # --- ending ---------------------------------------------------------------------------------

    async def closed(self) -> None:
        """Return when the connection has ended."""
        await asyncio.shield(self._closed)

    def close(self) -> None:
        """End it; what has been sent still goes out."""
        if self._transport is not None:
            self._transport.close()
        self._end(None)

    def _end(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._opened.done():
            self._opened.set_exception(error or ConnectionResetError("the server hung up"))
            # Nobody may be waiting for it any more.
            self._opened.exception()
        if not self._closed.done():
            self._closed.set_result(None)

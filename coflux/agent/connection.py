"""One WebSocket to the server, as a client. Nothing of what the messages mean belongs here.

Written on asyncio's transports rather than taken from tornado, because each hop of a small task
goes through it: a message is handed over in the turn of the loop in which its bytes arrive, and
costs no task and no future.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import ssl
import struct
from collections.abc import Callable
from urllib.parse import urlsplit

from coflux.wire import MAX_FRAME

#: Seconds between pings.
PING_S = 5.0
#: Seconds without a sign of life after which the connection counts as lost.
SILENT_S = 15.0
_CONNECT_S = 10.0

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_FIN = 0x80
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
        self._buffer = b""
        self._parts: list[bytes] = []
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._key = base64.b64encode(os.urandom(16))
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
            f"Sec-WebSocket-Key: {self._key.decode()}",
            "Sec-WebSocket-Version: 13",
            f"Authorization: Bearer {token}",
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    # --- sending --------------------------------------------------------------------------------

    def send(self, message: bytes) -> None:
        """Send a binary message; what cannot be sent is lost with the connection."""
        self._write(_BINARY, message)

    def _write(self, opcode: int, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", _FIN | opcode, 0x80 | size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", _FIN | opcode, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", _FIN | opcode, 0x80 | 127, size)
        if self._is_local:
            # Masks protect proxies on the way; there are none.
            self._transport.write(b"".join((head, b"\0\0\0\0", data)))
        else:
            mask = os.urandom(4)
            self._transport.write(b"".join((head, mask, _masked(data, mask))))

    def _tick(self) -> None:
        if self._closed.done():
            return
        if self._loop.time() - self._heard_at > SILENT_S:
            self.close()
            return
        self._write(_PING, b"")
        self._timer = self._loop.call_later(PING_S, self._tick)

    # --- receiving ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._buffer = self._buffer + data if self._buffer else data
        if not self._is_open and not self._take_handshake():
            return
        self._take_frames()

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error)

    def _take_handshake(self) -> bool:
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return False
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        _, status, reason = (*status_line.split(" ", 2), "", "")[:3]
        accept = base64.b64encode(hashlib.sha1(self._key + _GUID).digest()).decode()
        if status != "101" or headers.get("sec-websocket-accept") != accept:
            if not self._opened.done():
                code = int(status) if status.isdigit() else 0
                self._opened.set_exception(HandshakeRefused(code, reason))
            self.close()
            return False
        self._is_open = True
        self._buffer = rest
        if not self._opened.done():
            self._opened.set_result(None)
        return True

    def _take_frames(self) -> None:
        buffer, position, end = self._buffer, 0, len(self._buffer)
        while end - position >= 2:
            first, second = buffer[position], buffer[position + 1]
            begin, size = position + 2, second & 0x7F
            if size == 126:
                begin += 2
                if begin > end:
                    break
                (size,) = struct.unpack_from("!H", buffer, position + 2)
            elif size == 127:
                begin += 8
                if begin > end:
                    break
                (size,) = struct.unpack_from("!Q", buffer, position + 2)
            if size > _LIMIT or second & 0x80:
                # No server of ours: what follows cannot be trusted either.
                self.close()
                return
            if begin + size > end:
                break
            position = begin + size
            self._take_frame(first, buffer[begin:position])
        self._buffer = buffer[position:] if position < end else b""

    def _take_frame(self, first: int, data: bytes) -> None:
        opcode = first & 0x0F
        if opcode == _PING:
            self._write(_PONG, data)
        elif opcode == _CLOSE:
            self._write(_CLOSE, data[:2])
            self.close()
        elif opcode in (_TEXT, _BINARY, _CONTINUATION):
            if first & _FIN and not self._parts:
                self._on_message(data)
                return
            self._parts.append(data)
            if first & _FIN:
                message, self._parts = b"".join(self._parts), []
                self._on_message(message)

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


def _masked(data: bytes, mask: bytes) -> bytes:
    size = len(data)
    pattern = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")

"""The server's end of an agent's WebSocket: opening it, signs of life, and its end.

Belongs here: the handshake, pings, closing. Does not belong here: the layout of frames (`frames`),
what a message means (`agents`).

Written on asyncio's transports rather than left to tornado, because each hop of a small task goes
through it: a message is handed over in the turn of the loop in which its bytes arrive, and costs no
future.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tornado.web import HTTPError, RequestHandler

from coflux import frames
from coflux.wire import MAX_FRAME

#: SE-3: pings both ways every 5 s; silent for 15 s is disconnected.
PING_S, SILENT_S = 5.0, 15.0
#: Seconds in which the agent may answer that the connection is closed.
_CLOSE_S = 5.0


class AgentSocket(asyncio.Protocol):
    """An open connection: messages in and out, until its end is told, once."""

    def __init__(self, on_message: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = frames.Parser(are_masked=True, limit=MAX_FRAME)
        self._heard_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closing = False
        self._has_ended = False

    def accept(self, key: str) -> None:
        """Answer the handshake that had this key."""
        assert self._transport is not None
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {frames.accepted(key)}",
        ]
        self._transport.write("\r\n".join([*lines, "", ""]).encode())
        self._tick()

    def send(self, message: bytes) -> None:
        """Send a binary message; what cannot be sent is lost with the connection."""
        if not self._is_closing:
            self._write(frames.BINARY, message)

    def close(self, code: int = frames.NORMAL, reason: str = "") -> None:
        """Say goodbye; what has been sent still arrives, what comes is not heard any more."""
        if self._is_closing:
            return
        self._is_closing = True
        self._write(frames.CLOSE, frames.closing(code, reason))
        self._wait(_CLOSE_S, self.drop)

    def drop(self) -> None:
        """Hang up without a word."""
        if self._transport is not None:
            self._transport.abort()
        self._end()

    # --- asyncio's side -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        try:
            for opcode, content in self._parser.feed(data):
                self._take(opcode, content)
        except frames.Malformed as error:
            self.close(error.code, str(error))

    def connection_lost(self, error: Exception | None) -> None:
        self._end()

    # --- frames ---------------------------------------------------------------------------------

    def _take(self, opcode: int, content: bytes) -> None:
        if opcode == frames.CLOSE:
            if not self._is_closing:
                self._write(frames.CLOSE, content[:2])
            self._hang_up()
        elif self._is_closing:
            return
        elif opcode == frames.PING:
            self._write(frames.PONG, content)
        elif opcode == frames.BINARY:
            self._on_message(content)
        elif opcode == frames.TEXT:
            self.close(frames.POLICY_VIOLATION, "frames are binary")

    def _write(self, opcode: int, content: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames.pack(opcode, content))

    def _tick(self) -> None:
        if self._loop.time() - self._heard_at > SILENT_S:
            # Nobody may be there to take part in a closing.
            self.drop()
            return
        self._write(frames.PING, b"")
        self._wait(PING_S, self._tick)

    # --- the end --------------------------------------------------------------------------------

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, then)

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self._end()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._has_ended:
            self._has_ended = self._is_closing = True
            self._on_end()


async def upgrade(
    handler: RequestHandler, on_message: Callable[[bytes], None], on_end: Callable[[], None]
) -> AgentSocket:
    """Turn a handler's request into a socket; the handler is done with it.

    Raises `HTTPError` where the request asks for no WebSocket.
    """
    headers = handler.request.headers
    key = headers.get("Sec-WebSocket-Key")
    if headers.get("Upgrade", "").lower() != "websocket" or key is None:
        raise HTTPError(426)
    stream = handler.detach()
    # A descriptor of our own: that of the stream ends with the stream. Nothing can have been read
    # beyond the request, because clients say nothing before they are answered.
    own = stream.socket.dup()
    stream.close()
    own.setblocking(False)
    socket = AgentSocket(on_message, on_end)
    await asyncio.get_running_loop().connect_accepted_socket(lambda: socket, own)
    socket.accept(key)
    return socket

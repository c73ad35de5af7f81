"""HTTP and raw bytes between the gateway and a project process, over its Unix socket.

Belongs here: connections, kept alive and used again, and passing a response on as it comes.
Does not belong here: what is sent, and to whom the answer goes.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream, StreamClosedError

from coflux.errors import Unavailable

#: Headers that belong to one connection, not to the message.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
#: Most bytes read at once when splicing.
_PIECE = 256 * 1024
_MAX_IDLE = 64
#: An idle connection older than this, in seconds, is not used again.
_MAX_IDLE_AGE = 60.0
#: Long polls last 30 s at most; a process that says nothing for longer is stuck.
PARAMETERS = HTTP1ConnectionParameters(
    header_timeout=120.0, max_body_size=1 << 62, chunk_size=256 * 1024
)

OnHeaders = Callable[[int, str, HTTPHeaders], None]
OnData = Callable[[bytes], Awaitable[None]]


async def connect(path: Path) -> IOStream:
    """A connection to the socket; raises `Unavailable` when nothing listens there."""
    stream = IOStream(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        # A path instead of host and port: the socket decides what an address is.
        await stream.connect(str(path))
    except (StreamClosedError, OSError) as error:
        stream.close()
        raise Unavailable("The project's process has just ended; send it again.") from error
    return stream


class Exchange(HTTPMessageDelegate):
    """One request and its response; the response is handed on piece by piece."""

    def __init__(self, on_headers: OnHeaders, on_data: OnData) -> None:
        self._on_headers = on_headers
        self._on_data = on_data
        self.has_headers = False
        self.is_complete = False
        self.keep_alive = False

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        assert isinstance(start_line, ResponseStartLine)
        self.has_headers = True
        self.keep_alive = headers.get("Connection", "").lower() != "close"
        self._on_headers(start_line.code, start_line.reason, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None]:
        return self._on_data(chunk)

    def finish(self) -> None:
        self.is_complete = True

    def on_connection_close(self) -> None:
        self.keep_alive = False


class Upstream:
    """Connections to one project's process."""

    def __init__(self) -> None:
        self._idle: list[tuple[float, Path, IOStream]] = []

    async def request(
        self,
        path: Path,
        start: RequestStartLine,
        headers: HTTPHeaders,
        body: bytes,
        exchange: Exchange,
        on_stream: Callable[[IOStream], Any],
    ) -> None:
        """Send a request and hand its response to `exchange`.

        `on_stream` gets the connection, so that the caller can close it when nobody wants the
        answer any more. Raises `Unavailable` when the process ends before its response began, and
        `StreamClosedError` when it ends in the middle of it.
        """
        stream = self._take(path) or await connect(path)
        on_stream(stream)
        connection = HTTP1Connection(stream, is_client=True, params=PARAMETERS)
        try:
            # Not awaited: a peer that died answers with the end of the stream, met when reading.
            connection.write_headers(start, headers, body)
            connection.finish()
            await connection.read_response(exchange)
        except StreamClosedError:
            pass
        except BaseException:
            stream.close()
            raise
        if exchange.is_complete and exchange.keep_alive:
            self._keep(path, stream)
            return
        stream.close()
        if exchange.has_headers and not exchange.is_complete:
            raise StreamClosedError()
        if not exchange.has_headers:
            raise Unavailable("The project's process ended during the request; send it again.")

    def _take(self, path: Path) -> IOStream | None:
        while self._idle:
            since, where, stream = self._idle.pop()
            # The file name stays the same over the lives of a process, its connections do not:
            # those to a dead one are closed.
            if where == path and not stream.closed() and time.monotonic() - since < _MAX_IDLE_AGE:
                stream.set_close_callback(None)
                return stream
            stream.close()
        return None

    def _keep(self, path: Path, stream: IOStream) -> None:
        if stream.closed() or len(self._idle) >= _MAX_IDLE:
            stream.close()
            return
        # With a callback the stream watches for the other side's end while nobody reads.
        stream.set_close_callback(_forget)
        self._idle.append((time.monotonic(), path, stream))

    def close(self) -> None:
        """Close the idle connections."""
        for _, _, stream in self._idle:
            stream.close()
        self._idle.clear()


def _forget() -> None:
    """A closed stream is left out when the next one is taken."""


async def splice(one: IOStream, other: IOStream) -> None:
    """Pass bytes both ways until either side ends, then close both."""
    await asyncio.gather(_pump(one, other), _pump(other, one))


async def _pump(source: IOStream, target: IOStream) -> None:
    try:
        while True:
            await target.write(await source.read_bytes(_PIECE, partial=True))
    except StreamClosedError:
        pass
    finally:
        source.close()
        target.close()

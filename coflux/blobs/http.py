"""The blobs of a project on a server, over HTTP.

Belongs here: connections, streaming, and what answers mean. Does not belong here: anything about
blobs that is true of every store (`coflux.blobs`).
"""

from __future__ import annotations

import hashlib
import json
import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from io import FileIO
from pathlib import Path
from urllib.parse import urlsplit

from coflux.blobs.store import CHUNK, Reader, check_key, damaged, is_key, missing, save
from coflux.errors import REFUSALS, CofluxError, Unavailable

#: Seconds without a byte after which the server counts as out of reach.
TIMEOUT = 60.0
#: Bytes; blobs above are sent only when the server does not have them yet.
_ASK_FIRST = 256 * 1024
#: Connections kept open while nobody uses them.
_KEPT = 8

_CODES = {400: "invalid", 401: "forbidden", 403: "forbidden", 409: "conflict"}


class HttpBlobs:
    """Blobs behind a server. Connections are kept and shared between threads, not across forks.

    Args:
        url: `http://host:port/api/v1/projects/NAME/blobs`.
        token: sent as `Authorization: Bearer`; None sends none.
        timeout: seconds without a byte after which the server counts as out of reach.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an HTTP address: {url!r}")
        self.url = url.rstrip("/")
        self._path = parts.path.rstrip("/")
        self._host, self._port = parts.hostname, parts.port
        self._is_secure = parts.scheme == "https"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout = timeout
        self._idle: list[HTTPConnection] = []
        self._pid = os.getpid()

    def put_bytes(self, data: bytes) -> str:
        """Store the bytes and return their key."""
        sha = hashlib.sha256(data).hexdigest()
        if len(data) <= _ASK_FIRST or not self.exists(sha):
            self._put(sha, len(data), lambda: data)
        return sha

    def put_file(self, path: Path) -> tuple[str, int]:
        """Store a file's bytes, streamed; return key and size in bytes."""
        with FileIO(path) as file:
            sha, size = _hashed(file)
            if size <= _ASK_FIRST or not self.exists(sha):

                def from_start() -> FileIO:
                    file.seek(0)
                    return file

                self._put(sha, size, from_start)
        return sha, size

    def open(self, sha: str) -> Reader:
        """A reader of the blob. `NotFound` when it is not there."""
        connection, response = self._request("GET", sha)
        if response.status != 200:
            raise self._refused(sha, connection, response)
        length = response.getheader("Content-Length")
        body = _Body(self, connection, response)
        return Reader(sha, body, int(length) if length is not None else None)

    def read(self, sha: str) -> bytes:
        """All bytes, verified."""
        with self.open(sha) as reader:
            return reader.read()

    def exists(self, sha: str) -> bool:
        """Whether the blob is there; its bytes are not verified."""
        if not is_key(sha):
            return False
        connection, response = self._request("HEAD", sha)
        if response.status not in (200, 404):
            raise self._refused(sha, connection, response)
        response.read()
        self._keep(connection, response)
        return response.status == 200

    def fetch_to(self, sha: str, path: Path) -> None:
        """Write the verified bytes to a file, which appears whole or not at all."""
        with self.open(sha) as reader:
            save(reader, path)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def _put(self, sha: str, size: int, body: Callable[[], bytes | FileIO]) -> None:
        connection, response = self._request("PUT", sha, size, body)
        if response.status not in (200, 201, 204):
            raise self._refused(sha, connection, response)
        response.read()
        self._keep(connection, response)

    def _request(
        self,
        method: str,
        sha: str,
        size: int | None = None,
        body: Callable[[], bytes | FileIO] | None = None,
    ) -> tuple[HTTPConnection, HTTPResponse]:
        check_key(sha)
        headers = dict(self._headers)
        if size is not None:
            headers["Content-Length"] = str(size)
        while True:
            connection, is_used = self._connection()
            try:
                content = body() if body is not None else None
                # A server that refuses before it has read all may have closed its side already;
                # then its answer says why.
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.request(method, f"{self._path}/{sha}", content, headers)
                return connection, connection.getresponse()
            except (OSError, HTTPException) as error:
                connection.close()
                # The server may have closed a kept connection meanwhile. All requests here may be
                # repeated; the next kept one may be closed as well, a new one settles it.
                if not is_used:
                    raise self._unreachable(error) from error

    def _connection(self) -> tuple[HTTPConnection, bool]:
        if self._pid != os.getpid():
            # Forked: the sockets are the parent's.
            self._idle, self._pid = [], os.getpid()
        try:
            return self._idle.pop(), True
        except IndexError:
            pass
        if self._is_secure:
            return (
                HTTPSConnection(
                    self._host,
                    self._port,
                    timeout=self._timeout,
                    blocksize=CHUNK,
                    context=ssl.create_default_context(),
                ),
                False,
            )
        made = HTTPConnection(self._host, self._port, timeout=self._timeout, blocksize=CHUNK)
        return made, False

    def _keep(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        if response.will_close or len(self._idle) >= _KEPT:
            connection.close()
        else:
            self._idle.append(connection)

    def _refused(self, sha: str, connection: HTTPConnection, response: HTTPResponse) -> CofluxError:
        try:
            text = response.read(64 * 1024)
        finally:
            connection.close()
        code, message, field = _CODES.get(response.status, "unavailable"), "", None
        with suppress(ValueError, KeyError, TypeError):
            error = json.loads(text)["error"]
            code, message, field = str(error["code"]), str(error["message"]), error.get("field")
        if response.status == 404:
            # It may be there with other bytes; then its content is at fault.
            return damaged(sha) if field == "content" else missing(sha)
        message = message or f"{self.url} answered {response.status} {response.reason}"
        return REFUSALS.get(code, REFUSALS[_CODES.get(response.status, "unavailable")])(
            message, blob=sha, status=response.status
        )

    def _unreachable(self, error: Exception) -> Unavailable:
        return Unavailable(f"the server's blobs at {self.url} are out of reach: {error}")


class _Body:
    """The body of an answer; its connection is kept for the next request once it is read."""

    def __init__(
        self, blobs: HttpBlobs, connection: HTTPConnection, response: HTTPResponse
    ) -> None:
        self._blobs = blobs
        self._connection = connection
        self._response = response

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._response.read(None if size < 0 else size)
        except (OSError, HTTPException) as error:
            raise self._blobs._unreachable(error) from error

    def close(self) -> None:
        # Closed by itself once all is read.
        if self._response.isclosed():
            self._blobs._keep(self._connection, self._response)
        else:
            self._connection.close()


def _hashed(file: FileIO) -> tuple[str, int]:
    sha = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK))
    size = 0
    while count := file.readinto(buffer):
        sha.update(buffer[:count])
        size += count
    return sha.hexdigest(), size

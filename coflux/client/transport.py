"""Requests to the server over kept-alive connections, and refusals as exceptions.

Belongs here: sockets, headers, JSON bodies and what may be sent again after a broken connection.
Does not belong here: which routes there are and what their bodies mean.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from coflux.errors import (
    REFUSALS,
    ArgumentsDoNotFit,
    Forbidden,
    InvalidRequest,
    NotFound,
    Refused,
    Unavailable,
)

if TYPE_CHECKING:
    import ssl

#: As `coflux.wire.PROTOCOL`; importing that takes longer than most requests.
PROTOCOL = 1

#: Seconds to wait for an answer beyond the time the server was asked to wait.
ANSWER_TIMEOUT_S = 30.0
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_CHUNK = 1024 * 1024


class Answer(NamedTuple):
    """Status (below 400) and decoded JSON body of an answer."""

    status: int
    body: Any


class Transport:
    """Connections to one server with one token. Threads may share it."""

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        self.url = url.rstrip("/")
        self.token = token
        self._base = parts.path.rstrip("/")
        self._host = parts.hostname or ""
        self._port = parts.port
        self._context = _secure_context() if parts.scheme == "https" else None
        self._idle: list[http.client.HTTPConnection] = []
        #: The process that the idle connections belong to.
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        wait_s: float = 0.0,
        repeatable: bool = False,
    ) -> Answer:
        """Send a request and give its answer.

        `path` begins with `/` and is quoted already; entries of `query` that are None are left
        out; `body` is bytes of JSON or anything that has a JSON form. `wait_s` is how long the
        server was asked to hold its answer. `repeatable` allows a second sending of a method that
        is not idempotent by itself.

        Raises a subclass of `Refused`; `Unavailable` also where nobody answers.
        """
        payload = body if isinstance(body, bytes) or body is None else _json(body)
        target = self._target(path, query)
        again = repeatable or method in _IDEMPOTENT
        timeout = ANSWER_TIMEOUT_S + wait_s
        with self._exchange(method, target, payload, timeout, again) as response:
            content = self._read(response)
        if response.status >= 400:
            raise refusal(response.status, content)
        return Answer(response.status, _decode(content) if content else None)

    @contextmanager
    def stream(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None
    ) -> Iterator[tuple[http.client.HTTPResponse, Iterator[bytes]]]:
        """The answer's headers and its body in pieces; raises as `request`."""
        target = self._target(path, query)
        with self._exchange(method, target, None, ANSWER_TIMEOUT_S * 10, False) as response:
            if response.status >= 400:
                raise refusal(response.status, self._read(response))
            yield response, self._pieces(response)

    def close(self) -> None:
        """Close the connections that nobody uses at the moment."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def __del__(self) -> None:
        # A client that is only dropped, as scripts do, leaves no warnings about sockets behind.
        for connection in self.__dict__.get("_idle", ()):
            connection.close()

    # --- one exchange -------------------------------------------------------------------------

    @contextmanager
    def _exchange(
        self, method: str, target: str, payload: bytes | None, timeout: float, again: bool
    ) -> Iterator[http.client.HTTPResponse]:
        connection, response = self._send(method, target, payload, timeout, again)
        finished = False
        try:
            yield response
            finished = response.isclosed()
        finally:
            # A half-read answer would be taken for the beginning of the next one.
            if finished and not response.will_close:
                with self._lock:
                    self._idle.append(connection)
            else:
                connection.close()

    def _send(
        self, method: str, target: str, payload: bytes | None, timeout: float, again: bool
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        while True:
            connection, is_fresh = self._connection(timeout)
            try:
                connection.request(method, target, payload, self._headers(payload))
                return connection, connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                # The server may close an idle connection at the moment we use it; a fresh one
                # that breaks means that something is wrong.
                if is_fresh or not again:
                    raise self._unreachable(error) from error

    def _connection(self, timeout: float) -> tuple[http.client.HTTPConnection, bool]:
        while True:
            with self._lock:
                if self._pid != os.getpid():
                    # After a fork the connections are the parent's.
                    self._idle, self._pid = [], os.getpid()
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._connect(timeout), True
            if connection.sock is not None and not _has_input(connection):
                connection.sock.settimeout(timeout)
                return connection, False
            connection.close()

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        if self._context is not None:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=timeout, context=self._context
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)

    def _headers(self, payload: bytes | None) -> dict[str, str]:
        headers = {"Accept": "application/json", "X-Coflux-Protocol": str(PROTOCOL)}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if payload is not None:
            headers["Content-Type"] = "application/json"
        return headers

    def _target(self, path: str, query: Mapping[str, Any] | None) -> str:
        given = {name: _text(v) for name, v in (query or {}).items() if v is not None}
        return self._base + path + (f"?{urlencode(given)}" if given else "")

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            return response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _pieces(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        try:
            while piece := response.read(_CHUNK):
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        if response.length:
            raise Unavailable(f"the answer of {self.url} broke off; ask again")

    def _unreachable(self, error: Exception) -> Unavailable:
        if self._context is not None and type(error).__module__ == "ssl":
            return Unavailable(f"no secure connection to {self.url}: {error}", unreachable=True)
        if isinstance(error, TimeoutError):
            return Unavailable(f"{self.url} did not answer in time; ask again", unreachable=True)
        return Unavailable(
            f"no Coflux server answers at {self.url} ({_reason(error)}); start one with"
            " `coflux server`, or name another with --host or COFLUX_HOST",
            unreachable=True,
        )


def refusal(status: int, content: bytes) -> Refused:
    """The exception that an answer of 400 or above stands for."""
    error: Any = None
    try:
        error = json.loads(content)["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return _by_status(status)(
            f"the server answered {status} {http.client.responses.get(status, '')}".rstrip()
        )
    fields = {"field": error["field"]} if error.get("field") else {}
    if code == "unauthorized":
        return Forbidden(message, unauthorized=True, **fields)
    if code == "invalid" and fields.get("field") == "arguments":
        return ArgumentsDoNotFit(message, **fields)
    return REFUSALS.get(code, _by_status(status))(message, **fields)


def _by_status(status: int) -> type[Refused]:
    if status in (401, 403):
        return Forbidden
    if status == 404:
        return NotFound
    return Unavailable if status >= 500 else InvalidRequest


def segment(text: str) -> str:
    """`text` as one segment of a path."""
    return quote(text, safe=":")


def _has_input(connection: http.client.HTTPConnection) -> bool:
    """An idle connection with something to read has been closed, or is out of step."""
    # Not select(): a process with many open files has descriptors that it does not take.
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _secure_context() -> ssl.SSLContext:
    import ssl

    return ssl.create_default_context()


def _json(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _decode(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise Unavailable("the answer is no JSON; is this a Coflux server?") from error


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__

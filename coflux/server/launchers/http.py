"""JSON over HTTP to a platform's API: a Unix socket or a server with TLS.

Belongs here: one request, one answer, in the standard library's words. Does not belong here: what
is asked.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

#: Seconds that a platform may take to answer.
TIMEOUT_S = 30.0


class Refused(OSError):
    """The platform answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message} ({status})")
        self.status = status


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Api:
    """An API at `unix:///path`, `http://host` or `https://host`."""

    def __init__(
        self, address: str, headers: Mapping[str, str] | None = None, ca_file: str | None = None
    ) -> None:
        parts = urlsplit(address)
        self._scheme, self._host = parts.scheme, parts.netloc
        #: Of a Unix socket; else the beginning of every path.
        self._path = parts.path.rstrip("/")
        self._headers = dict(headers or {})
        self._ca_file = ca_file

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Any:
        """The decoded answer (bytes, where it is no JSON).

        Raises `Refused` for an error of the platform, `OSError` where it cannot be reached.
        """
        connection = self._connect(timeout_s)
        prefix = "" if self._scheme == "unix" else self._path
        target = prefix + path + (f"?{urlencode(query)}" if query else "")
        content = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, **({"Content-Type": "application/json"} if content else {})}
        try:
            connection.request(method, target, content, headers)
            answer = connection.getresponse()
            data = answer.read()
        except http.client.HTTPException as error:
            raise OSError(f"it does not speak HTTP: {error!r}") from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise Refused(answer.status, _message(data) or answer.reason)
        return _decoded(data)

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._scheme == "unix":
            return _UnixConnection(self._path, timeout_s)
        if self._scheme == "https":
            context = ssl.create_default_context(cafile=self._ca_file)
            return http.client.HTTPSConnection(self._host, timeout=timeout_s, context=context)
        return http.client.HTTPConnection(self._host, timeout=timeout_s)


def _decoded(data: bytes) -> Any:
    if not data:
        return None
    try:
        return json.loads(data)
    except ValueError:
        return data


def _message(data: bytes) -> str:
    content = _decoded(data)
    if isinstance(content, dict):
        return str(content.get("message", ""))[:500]
    return data.decode("utf-8", "replace").strip()[:500]

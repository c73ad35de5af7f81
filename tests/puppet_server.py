"""An HTTP server that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Asked:
    """A request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)


Reply = tuple[int, Any]


@dataclass
class Puppet:
    """Its strings: `on` says how to answer, `asked` holds what came."""

    token: str = "secret"
    project: str = "default"
    asked: list[Asked] = field(default_factory=list)
    routes: list[tuple[str, re.Pattern[str], Callable[[Asked], Reply]]] = field(
        default_factory=list
    )
    url: str = ""
    #: Connections that were made.
    connections: int = 0

    def on(self, method: str, path: str, *replies: Any, status: int = 200) -> None:
        """Answer requests below the project with `replies` in order; the last one stays.

        A reply is a body, a pair of status and body, or a function of the request.
        """
        self.on_api(method, f"/projects/{self.project}{path}", *replies, status=status)

    def on_api(self, method: str, path: str, *replies: Any, status: int = 200) -> None:
        """As `on`, below `/api/v1`."""
        left = list(replies)

        def answer(asked: Asked) -> Reply:
            reply = left.pop(0) if len(left) > 1 else left[0]
            if callable(reply):
                reply = reply(asked)
            return reply if isinstance(reply, tuple) else (status, reply)

        pattern = re.compile(re.escape(f"/api/v1{path}").replace(r"\*", "[^/]+"))
        self.routes.insert(0, (method, pattern, answer))

    def requests(self, method: str, path: str) -> list[Asked]:
        """The requests of this method below the project, in order."""
        full = f"/api/v1/projects/{self.project}{path}"
        return [asked for asked in self.asked if (asked.method, asked.path) == (method, full)]

    def reply(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return refused(401, "unauthorized", "This token is unknown.")
        for method, pattern, answer in self.routes:
            if method == asked.method and pattern.fullmatch(asked.path):
                return answer(asked)
        return refused(404, "not_found", f"There is no route {asked.method} {asked.path}.")


def refused(status: int, code: str, message: str, **more: Any) -> Reply:
    """An answer that refuses."""
    return status, {"error": {"code": code, "message": message, **more}}


def start(puppet: Puppet) -> ThreadingHTTPServer:
    """Serve the puppet on a free port, in threads."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Otherwise an answer's body waits for the client to confirm its headers.
        disable_nagle_algorithm = True

        def setup(self) -> None:
            puppet.connections += 1
            super().setup()

        def handle_one(self) -> None:
            parts = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, parts.path, dict(parse_qsl(parts.query)), headers, content)
            puppet.asked.append(asked)
            status, body = puppet.reply(asked)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_one

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    puppet.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server

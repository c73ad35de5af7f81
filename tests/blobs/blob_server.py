"""A small real HTTP server of blobs, that can be told to misbehave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class BlobServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.connections = 0
        #: Close each connection after its answer, without saying so.
        self.hangs_up = False
        #: Send only half of each body.
        self.cuts = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/api/v1/projects/p/blobs"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: BlobServer

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        sha = self._sha()
        if sha is not None and sha256(body).hexdigest() == sha:
            self.server.blobs[sha] = body
            self._answer(201)
        elif sha is not None:
            self._answer(400, self._error("invalid", "the hash differs"))

    def do_GET(self) -> None:
        sha = self._sha()
        if sha is not None:
            body = self.server.blobs.get(sha)
            self._answer(404 if body is None else 200, body or b"")

    do_HEAD = do_GET

    def _sha(self) -> str | None:
        self.server.requests.append(f"{self.command} {self.path}")
        if self.headers["Authorization"] != "Bearer secret":
            self._answer(401, self._error("unauthorized", "who are you?"))
            return None
        return self.path.rpartition("/")[2]

    def _error(self, code: str, message: str) -> bytes:
        return json.dumps({"error": {"code": code, "message": message}}).encode()

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if self.server.cuts else body)
        if self.server.cuts or self.server.hangs_up:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[BlobServer]:
    server = BlobServer()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

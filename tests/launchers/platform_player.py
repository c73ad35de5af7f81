"""A platform's API that plays recordings: it answers what it was recorded to answer, in order.

A recording is a list of exchanges: method, path, query, the part of the body that matters, status,
and the answer (`json`, or `base64` for bytes). Any other request fails the test. Those of Docker
stand beside tests with a real engine (tests/e2e/test_containers.py). Those of Kubernetes are made
after its API's documents, and what it is sent is held against its schemas.
"""

from __future__ import annotations

import base64
import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

RECORDINGS = Path(__file__).with_name("recordings")


class Player:
    """Serves one recording on a Unix socket, or on a port of this machine."""

    def __init__(self, recording: str, socket: Path | None = None) -> None:
        self.exchanges = json.loads((RECORDINGS / f"{recording}.json").read_text("utf-8"))
        self.played = 0
        #: What was sent, where it was JSON.
        self.bodies: list[Any] = []
        self.problems: list[str] = []
        handler = type("Handler", (_Handler,), {"player": self})
        server: Any
        if socket is not None:
            server = _UnixServer(str(socket), handler)
            self.address = f"unix://{socket}"
        else:
            server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
            self.address = f"http://127.0.0.1:{server.server_address[1]}"
        self._server = server
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def next(self, method: str, target: str, body: Any) -> dict[str, Any]:
        """The answer to a request, if it is the one that comes next."""
        if body is not None:
            self.bodies.append(body)
        parts = urlsplit(target)
        given = {"method": method, "path": parts.path, "query": dict(parse_qsl(parts.query))}
        if self.played >= len(self.exchanges):
            self.problems.append(f"nothing more was recorded, but there came {given}")
            return {"status": 500, "json": {"message": "the recording is over"}}
        exchange = self.exchanges[self.played]
        wanted = {"method": exchange["method"], "path": exchange["path"],
                  "query": exchange.get("query", {})}  # fmt: skip
        if given != wanted:
            self.problems.append(f"recorded was {wanted}, but there came {given}")
        if "body" in exchange and not _contains(body, exchange["body"]):
            self.problems.append(f"recorded was {exchange['body']}, but there came {body}")
        self.played += 1
        answer: dict[str, Any] = exchange
        return answer

    def close(self) -> None:
        """Stop; what did not go as recorded fails the test."""
        self._server.shutdown()
        self._server.server_close()
        assert not self.problems, "\n".join(self.problems)
        left = self.exchanges[self.played :]
        assert not left, f"recorded, but never asked: {left}"


def _contains(given: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(given, dict) and all(
            key in given and _contains(given[key], value) for key, value in wanted.items()
        )
    return bool(given == wanted)


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    player: Player

    def address_string(self) -> str:
        return "test"

    def log_message(self, *_: Any) -> None:
        return

    def _play(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length)
        answer = self.player.next(self.command, self.path, json.loads(content) if content else None)
        data = b""
        if "json" in answer:
            data = json.dumps(answer["json"]).encode()
        elif "base64" in answer:
            data = base64.b64decode(answer["base64"])
        self.send_response(answer.get("status", 200))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if data:
            # Who needs no body may be gone already.
            self.wfile.write(data)

    do_GET = do_POST = do_DELETE = do_PATCH = _play

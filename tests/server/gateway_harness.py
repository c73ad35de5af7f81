"""A real server on a thread of its own, and a plain HTTP client for it."""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from coflux.server.main import RunningServer, ServerConfig, start

FAKE = (sys.executable, "-W", "error", str(Path(__file__).parent / "fake_project.py"))
API = "/api/v1"
P = f"{API}/projects/default"
T = TypeVar("T")


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])


class Server:
    """Runs from `__enter__` to `__exit__`."""

    def __init__(self, data_dir: Path, **config: Any) -> None:
        settings: dict[str, Any] = {
            "port": 0, "data_dir": data_dir, "command": FAKE, "runtime_dir": data_dir / "runtime",
        }  # fmt: skip
        self.config = ServerConfig(**{**settings, **config})
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> Server:
        self._thread.start()
        try:
            self.running: RunningServer = self.run(start(self.config))
        except BaseException:
            self._end()
            raise
        self.port = self.running.port
        self.token = self.running.token
        return self

    def __exit__(self, *error: object) -> None:
        self.run(self.running.stop())
        self._end()

    def _end(self) -> None:
        self.run(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    def run(self, work: Awaitable[T]) -> T:
        """Run on the server's loop."""

        async def wrapped() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(wrapped(), self.loop).result(60)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        token: str | None = "own",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request; `token="own"` is the server's user's, None is none."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {self.token if token == 'own' else token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, self.config.base_path.rstrip("/") + path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def create_token(self, right: str, project: str = "default", **more: Any) -> str:
        answer = self.call(
            "POST", f"{API}/projects/{project}/tokens", {"name": right, "right": right, **more}
        )
        assert answer.status == 201, answer
        return str(answer.json["token"])

    def pid(self, project: str = "default") -> int | None:
        supervised = self.running.gateway.supervisor.get(project)
        return supervised.pid if supervised else None

    def websocket_url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{self.config.base_path.rstrip('/')}{path}"


class Peer:
    """The client's end of a WebSocket."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self._connection = connection
        self._has_ended = False

    async def read(self) -> str | bytes | None:
        """The next message; None at the end."""
        message = await asyncio.wait_for(self._connection.read_message(), 10)
        self._has_ended = message is None
        return message

    async def write(self, message: str | bytes) -> None:
        await self._connection.write_message(message, binary=isinstance(message, bytes))

    async def close(self) -> None:
        self._connection.close()
        while not self._has_ended:
            await self.read()


@asynccontextmanager
async def connected(server: Server, path: str, token: str | None = None) -> AsyncIterator[Peer]:
    """A WebSocket to a path of the default project."""
    headers = {"Authorization": f"Bearer {token or server.token}"}
    request = HTTPRequest(server.websocket_url(P + path), headers=headers)
    peer = Peer(await websocket_connect(request))
    try:
        yield peer
    finally:
        await peer.close()


def eventually(condition: Callable[[], T], seconds: float = 10.0) -> T:
    """The first true value of the condition; fails at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "the condition did not become true in time"
        threading.Event().wait(0.02)

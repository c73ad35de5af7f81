"""A server that the test drives by hand: it speaks the wire protocol and decides nothing."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets, bind_unix_socket
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

from coflux import values, wire
from coflux.blobs import LocalBlobs
from coflux.model import Returned, Submission, Value

M = TypeVar("M", bound=msgspec.Struct)

PATIENCE_S = 20.0


class Puppet:
    """The server end of one agent."""

    def __init__(self, folder: Path, *, unix: bool = False) -> None:
        self.folder = folder
        self.blobs = folder / "blobs"
        self.blobs.mkdir()
        self.socket_path = folder / "project.sock" if unix else None
        #: Whether messages are acknowledged as they come.
        self.acknowledges = True
        #: What `Welcome` says to keep; None keeps all that the agent holds.
        self.kept: tuple[str, ...] | None = None
        self.is_refusing = False
        self.sessions = 0
        self.hellos: list[wire.Hello] = []
        self.manifests: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.numbers: list[int] = []
        self.connected_by: list[str] = []
        self._messages: list[Any] = []
        self._arrived = threading.Condition()
        self._handler: _Agent | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)

    # --- the test's side ------------------------------------------------------------------------

    def wait(
        self,
        kind: type[M],
        where: Callable[[M], bool] = lambda _: True,
        timeout_s: float = PATIENCE_S,
    ) -> M:
        """Take the first message of a kind that has not been taken."""

        def find() -> M | None:
            for index, message in enumerate(self._messages):
                if isinstance(message, kind) and where(message):
                    del self._messages[index]
                    return message
            return None

        deadline = time.monotonic() + timeout_s
        with self._arrived:
            while (found := find()) is None:
                left = deadline - time.monotonic()
                if left <= 0 or not self._arrived.wait(left):
                    raise AssertionError(f"no {kind.__name__} among {self._messages}")
            return found

    def until(self, condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
        """Wait until something about what has arrived is true."""
        deadline = time.monotonic() + timeout_s
        with self._arrived:
            while not condition():
                assert time.monotonic() < deadline, self._messages
                # Not everything that is waited for is announced: files, processes.
                self._arrived.wait(0.02)

    def pending(self, kind: type[M]) -> list[M]:
        """Messages of a kind that have not been taken."""
        with self._arrived:
            return [message for message in self._messages if isinstance(message, kind)]

    def send(self, *instructions: Any) -> None:
        """Send one frame."""
        frame = wire.encode(list(instructions))
        self._call(lambda: self._handler and self._handler.write_message(frame, binary=True))

    def execute(
        self, execution: str, target: str, *args: Any, repository: str = "flow", **more: Any
    ) -> None:
        """Assign an execution with positional arguments a, b, c … by name."""
        arguments = more.pop("arguments", {})
        for name, argument in zip("abcdefgh", args, strict=False):
            arguments[name] = argument
        encoded = {
            name: argument if isinstance(argument, Value) else values.encode(argument, blobs=None)
            for name, argument in arguments.items()
        }
        more.setdefault("target_type", "task")
        self.send(wire.Execute(execution, repository, target, arguments=encoded, **more))

    def answer(self, request: Any, answer: Any) -> None:
        """Answer a request of running code."""
        self.send(wire.Reply(request.execution, request.key, answer))

    def resolve(self, request: Any, value: Any, *, execution: str = "R:9:1") -> None:
        """Answer a waiting request with a value."""
        handles = getattr(request, "handles", (execution,))
        result = Returned(values.encode(value, blobs=None))
        executions = (execution,) if isinstance(request, wire.Submit) else ()
        self.answer(
            request, wire.Resolved((wire.Outcome(handles[0], handles[0], result),), executions)
        )

    def outcome(self, execution: str, timeout_s: float = PATIENCE_S) -> Any:
        """The result of an execution."""
        ended = self.wait(wire.Ended, lambda m: m.execution == execution, timeout_s)
        return ended.result

    def value(self, execution: str) -> Any:
        """The value of an execution, which must have one."""
        result = self.outcome(execution)
        assert isinstance(result, Returned), result
        return values.decode(result.value, blobs=LocalBlobs(self.blobs))

    def submission(self, execution: str) -> tuple[wire.Submit, Submission]:
        """The next request of an execution for one child."""
        submit = self.wait(wire.Submit, lambda m: m.execution == execution)
        assert len(submit.submissions) == 1
        return submit, submit.submissions[0]

    def logs(self, execution: str, until: Callable[[list[Any]], bool]) -> list[Any]:
        """The log entries of an execution, once they satisfy a condition."""

        def entries() -> list[Any]:
            found = {
                entry.seq: entry
                for message in self._messages
                if isinstance(message, wire.Logged)
                for entry in message.entries
                if entry.execution == execution
            }
            return [found[seq] for seq in sorted(found)]

        self.until(lambda: until(entries()))
        with self._arrived:
            return entries()

    def disconnect(self) -> None:
        """Cut the connection."""
        self._call(lambda: self._handler and self._handler.stream_close())

    def close(self) -> None:
        """Stop serving."""
        self._call(self._loop.stop)
        self._thread.join(PATIENCE_S)

    # --- the server's side ----------------------------------------------------------------------

    def _call(self, function: Callable[[], Any]) -> None:
        self._loop.call_soon_threadsafe(function)

    def _serve(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = _Stoppable(asyncio.get_running_loop())
        base = "/api/v1/projects/default"
        routes: list[Any] = [
            (f"{base}/sessions", _Sessions, {"puppet": self}),
            (f"{base}/manifests", _Manifests, {"puppet": self}),
            (f"{base}/agent", _Agent, {"puppet": self, "via": "tcp"}),
            ("/agent", _Agent, {"puppet": self, "via": "unix"}),
        ]
        server = HTTPServer(Application(routes, websocket_max_message_size=64 * 1024 * 1024))
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        if self.socket_path is not None:
            server.add_socket(bind_unix_socket(str(self.socket_path), mode=0o600))
        self.port = sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._ready.set()
        await self._loop.stopped
        server.stop()
        if self._handler is not None:
            self._handler.stream_close()

    def _on_hello(self, handler: _Agent, hello: wire.Hello) -> None:
        self._handler = handler
        self.connected_by.append(handler.via)
        kept = self.kept if self.kept is not None else tuple(h.execution for h in hello.held)
        handler.write_message(wire.encode([wire.Welcome(kept)]), binary=True)
        with self._arrived:
            self.hellos.append(hello)
            self._arrived.notify_all()

    def _on_messages(self, handler: _Agent, messages: list[Any]) -> None:
        with self._arrived:
            for numbered in messages:
                if numbered.number in self.numbers:
                    continue
                self.numbers.append(numbered.number)
                self._messages.append(numbered.message)
            self._arrived.notify_all()
        if self.acknowledges and messages:
            ack = wire.Acknowledgement(messages[-1].number)
            handler.write_message(wire.encode([ack]), binary=True)


class _Stoppable:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.stopped: asyncio.Future[None] = loop.create_future()

    def call_soon_threadsafe(self, function: Callable[[], Any]) -> None:
        self._loop.call_soon_threadsafe(function)

    def stop(self) -> None:
        self.stopped.set_result(None)


class _Handler(RequestHandler):
    def initialize(self, puppet: Puppet) -> None:
        self.puppet = puppet


class _Sessions(_Handler):
    def post(self) -> None:
        self.puppet.requests.append(json.loads(self.request.body))
        self.puppet.sessions += 1
        number = self.puppet.sessions
        path = self.puppet.socket_path
        self.finish(
            {
                "session": f"S{number}",
                "token": f"token-{number}",
                "socket": str(path) if path is not None else None,
                "blobs": str(self.puppet.blobs),
                "environment": {"id": "E1", "name": "default"},
                "project": "default",
            }
        )


class _Manifests(_Handler):
    def post(self) -> None:
        with self.puppet._arrived:
            self.puppet.manifests.append(json.loads(self.request.body))
            self.puppet._arrived.notify_all()
        self.finish({"registered": []})


class _Agent(WebSocketHandler):
    def initialize(self, puppet: Puppet, via: str) -> None:
        self.puppet = puppet
        self.via = via

    async def prepare(self) -> None:
        if self.puppet.is_refusing:
            self.send_error(503)

    def on_message(self, message: str | bytes) -> None:
        assert isinstance(message, bytes)
        decoded = wire.decode_from_agent(message)
        if isinstance(decoded[0], wire.Hello):
            self.puppet._on_hello(self, decoded[0])
        else:
            self.puppet._on_messages(self, decoded)

    def stream_close(self) -> None:
        """Cut the connection as a broken network does: no closing handshake."""
        if self.ws_connection is not None:
            self.ws_connection._abort()

"""What widgets ask the server for through the kernel, where their page cannot reach it.

Belongs here: a thread that passes topics and requests on, both ways, as they are. It never prints.
Does not belong here: what they mean (`ui/src/widget/comm.ts` is the other end).
"""

from __future__ import annotations

import asyncio
import functools
import threading
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from coflux.client import Client
from coflux.wire import PROTOCOL

#: Only what is below it may be asked for.
_API = "/api/v1/"
_CONNECT_S, _REQUEST_S = 10.0, 60.0
#: Most bytes of an answer; larger things are downloaded elsewhere.
_BODY = 64 * 1024 * 1024
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Bridge:
    """The thread with its loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._http: AsyncHTTPClient | None = None
        self._sockets: dict[tuple[str, int], WebSocketClientConnection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        threading.Thread(target=self._loop.run_forever, name="coflux-bridge", daemon=True).start()

    def serve(self, widget: Any, client: Client) -> None:
        """Pass on what the widget's page asks for."""

        def hear(_: Any, content: Any, buffers: Any) -> None:
            if isinstance(content, dict) and "coflux" in content:
                self._loop.call_soon_threadsafe(self._begin, widget, client, content)

        widget.on_msg(hear)

    def _begin(self, widget: Any, client: Client, message: dict[str, Any]) -> None:
        kind, id = message.get("coflux"), int(message.get("id", 0))
        place = (widget.model_id, id)
        if kind == "open":
            self._start(self._open(widget, client, place))
        elif kind == "fetch":
            self._start(self._fetch(widget, client, message))
        elif place in self._sockets:
            if kind == "send":
                self._start(self._write(self._sockets[place], str(message["text"])))
            else:
                self._sockets.pop(place).close()

    def _start(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, widget: Any, client: Client, place: tuple[str, int]) -> None:
        id = place[1]
        address = client.host.replace("http", "ws", 1) + client.prefix + "/topics"
        reason = ""
        try:
            request = HTTPRequest(address, headers=_headers(client), connect_timeout=_CONNECT_S)
            socket = await websocket_connect(request)
            self._sockets[place] = socket
            widget.send({"coflux": "opened", "id": id})
            while (text := await socket.read_message()) is not None:
                widget.send({"coflux": "message", "id": id, "text": str(text)})
        except (OSError, HTTPClientError, asyncio.TimeoutError) as error:
            reason = str(error)
        self._sockets.pop(place, None)
        widget.send({"coflux": "closed", "id": id, "text": reason})

    async def _write(self, socket: WebSocketClientConnection, text: str) -> None:
        try:
            await socket.write_message(text)
        except OSError:
            # Closed meanwhile; its reader says so.
            return

    async def _fetch(self, widget: Any, client: Client, message: dict[str, Any]) -> None:
        answer = {"coflux": "answer", "id": message["id"]}
        url, method = str(message.get("url")), str(message.get("method"))
        if not url.startswith(_API) or "/../" in url or method not in _METHODS:
            widget.send({**answer, "text": "there is no such route"})
            return
        if self._http is None:
            self._http = AsyncHTTPClient(force_instance=True, max_body_size=_BODY)
        headers = _headers(client)
        if message.get("range"):
            headers["Range"] = str(message["range"])
        body = message.get("body")
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = HTTPRequest(
            client.host + url, method, headers, body=body, connect_timeout=_CONNECT_S,
            request_timeout=_REQUEST_S, allow_nonstandard_methods=True,
        )  # fmt: skip
        try:
            response = await self._http.fetch(request, raise_error=False)
        except (OSError, HTTPClientError) as error:
            widget.send({**answer, "text": str(error)})
            return
        if response.code == 599:
            widget.send({**answer, "text": str(response.error)})
            return
        widget.send({**answer, "status": response.code}, buffers=[response.body or b""])


def _headers(client: Client) -> dict[str, str]:
    headers = {"X-Coflux-Protocol": str(PROTOCOL)}
    if client.transport.token:
        headers["Authorization"] = f"Bearer {client.transport.token}"
    return headers


@functools.cache
def bridge() -> Bridge:
    """The bridge of this kernel."""
    return Bridge()

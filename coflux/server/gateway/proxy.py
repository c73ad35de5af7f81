"""Passing requests on to a project's process: HTTP as it comes, WebSockets as spliced bytes.

Belongs here: what is passed on and what is not. Nothing is decoded here.
"""

from __future__ import annotations

from tornado.httputil import HTTPHeaders, RequestStartLine
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import HTTPError, stream_request_body

from coflux.server.access import LOCAL_HEADER, PRINCIPAL_HEADER, encode_principal
from coflux.server.gateway.auth import SESSION_PREFIX, is_loopback
from coflux.server.gateway.handler import JsonHandler, RouteHandler
from coflux.server.gateway.upstream import HOP_BY_HOP, Exchange, connect, splice
from coflux.server.routes import PREFIX

#: What the client said in them is between it and the gateway, or would be a forgery.
_NOT_PASSED_ON = HOP_BY_HOP | {
    "authorization", "cookie", "content-length", "expect", "host", "origin",
    PRINCIPAL_HEADER.lower(), LOCAL_HEADER.lower(),
}  # fmt: skip
_NOT_PASSED_BACK = HOP_BY_HOP | {"server", "date"}


class _ToProject(RouteHandler):
    def target(self) -> str:
        """Path and query in the project process."""
        request = self.request
        _, _, rest = request.path.partition(f"{PREFIX}/projects/")
        path = "/" + rest.partition("/")[2]
        return f"{path}?{request.query}" if request.query else path

    def passed_on(self) -> HTTPHeaders:
        """The client's headers without those of the hop, with the principal."""
        headers = HTTPHeaders()
        for name, value in self.request.headers.get_all():
            if name.lower() not in _NOT_PASSED_ON:
                headers.add(name, value)
        headers["Host"] = "project"
        headers[PRINCIPAL_HEADER] = encode_principal(self.principal)
        if is_loopback(self.request.remote_ip or ""):
            headers[LOCAL_HEADER] = "1"
        return headers


@stream_request_body
class Proxied(JsonHandler, _ToProject):
    """A request that the project's process answers."""

    _upstream: IOStream | None = None

    async def serve(self) -> None:
        headers = self.passed_on()
        body = bytes(self.content)
        if body or self.request.method not in ("GET", "HEAD"):
            headers["Content-Length"] = str(len(body))
        start = RequestStartLine(self.request.method or "", self.target(), "HTTP/1.1")
        socket = await self.project.supervised.socket()
        with self.gateway.live.track(self.identity, self._abandon):
            try:
                await self.project.upstream.request(
                    socket, start, headers, body, Exchange(self._begin, self._pass_back), self._own
                )
            except StreamClosedError:
                # The answer has begun: a broken connection is the only honest end of it.
                self._abandon()
                return
        if not self._finished:
            self.finish()

    def _begin(self, status: int, reason: str, headers: HTTPHeaders) -> None:
        self.set_status(status, reason)
        self.clear_header("Content-Type")
        for name, value in headers.get_all():
            if name.lower() not in _NOT_PASSED_BACK:
                self.set_header(name, value)

    async def _pass_back(self, chunk: bytes) -> None:
        self.write(chunk)
        await self.flush()

    def _own(self, stream: IOStream) -> None:
        self._upstream = stream

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self._upstream is not None:
            self._upstream.close()

    def _abandon(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        self.break_off()


class Spliced(_ToProject):
    """A WebSocket of the project's process: the caller is checked, then bytes flow both ways."""

    async def serve(self) -> None:
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise HTTPError(426)
        head = self._head()
        upstream = await connect(await self.project.supervised.socket())
        client = self.detach()
        client.set_nodelay(True)

        def close() -> None:
            client.close()
            upstream.close()

        with self.gateway.live.track(self.identity, close):
            try:
                await upstream.write(head)
            except StreamClosedError:
                close()
                return
            await splice(client, upstream)

    def passed_on(self) -> HTTPHeaders:
        headers = super().passed_on()
        authorization = self.request.headers.get("Authorization", "")
        if self.route.name == "agent" and SESSION_PREFIX in authorization:
            # The project made this token, and knows the agent by it on its own socket as well.
            headers["Authorization"] = authorization
        return headers

    def _head(self) -> bytes:
        headers = self.passed_on()
        headers["Connection"] = "Upgrade"
        headers["Upgrade"] = "websocket"
        lines = [f"GET {self.target()} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.get_all()]
        return "\r\n".join([*lines, "", ""]).encode("latin1")

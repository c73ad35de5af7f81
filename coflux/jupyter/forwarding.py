"""Coflux's pages and API below a Jupyter server, where Coflux itself runs elsewhere.

A request is admitted by Jupyter's rules, then passed on with the token for the other server, and
its answer passed back as it comes.

Belongs here: what is passed on and what is not. Does not belong here: who asks (`sign_in`), where
the other server is (`attaching`).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from jupyter_server.base.handlers import JupyterHandler
from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, RequestStartLine
from tornado.iostream import IOStream, StreamClosedError
from tornado.routing import URLSpec
from tornado.web import HTTPError, RequestHandler, stream_request_body

from coflux.errors import Forbidden, Unavailable
from coflux.jupyter.attaching import Attached
from coflux.jupyter.scripts import widget_script
from coflux.jupyter.sign_in import JupyterAuthenticator, own_token
from coflux.server.bodies import MAX_BODY
from coflux.server.gateway.blobs import MAX_BLOB
from coflux.server.gateway.handler import RouteHandler, Unknown
from coflux.server.gateway.identity import Identity
from coflux.server.gateway.mounting import based
from coflux.server.gateway.pages import PLACES, Page, Static
from coflux.server.gateway.upstream import HOP_BY_HOP, PARAMETERS, Exchange, splice
from coflux.server.routes import PREFIX, ROUTES, Route, by_pattern, to_regex

#: Between the client and Jupyter, or replaced by ours.
_NOT_PASSED_ON = HOP_BY_HOP | {"authorization", "cookie", "expect", "host", "origin", "x-xsrftoken"}
_NOT_PASSED_BACK = HOP_BY_HOP | {"server", "date", "www-authenticate"}
#: Handlers of the gateway that need no gateway for what they do here.
_NO_GATEWAY: Any = None


class _Forwarding(RouteHandler):
    """What HTTP and WebSockets have in common."""

    def initialize(  # type: ignore[override]  # what the rules of its routes pass
        self, attached: Attached, authenticator: JupyterAuthenticator, routes: dict[str, Route]
    ) -> None:
        super().initialize(_NO_GATEWAY, authenticator, routes)
        self.attached = attached
        is_big = any(route.kind == "stream" for route in routes.values())
        self.max_body = MAX_BLOB if is_big else MAX_BODY

    def _check_right(self, route: Route) -> None:
        """Of Jupyter's users; what other tokens are good for, the other server knows."""
        right = route.right
        if own_token(self) or right == "open":
            return
        if not self.identity.may_everywhere(right):
            raise Forbidden(f"Jupyter does not allow you what needs the {right} right here.")

    def target(self) -> str:
        """Path and query at the other server."""
        _, _, rest = self.request.path.partition(PREFIX)
        path = urlsplit(self.attached.place().url).path + PREFIX + rest
        return f"{path}?{self.request.query}" if self.request.query else path

    def passed_on(self) -> HTTPHeaders:
        """The client's headers without those of the hop, with the token."""
        headers = HTTPHeaders()
        for name, value in self.request.headers.get_all():
            if name.lower() not in _NOT_PASSED_ON:
                headers.add(name, value)
        place = self.attached.place()
        headers["Host"] = urlsplit(place.url).netloc
        token = own_token(self) or (None if self.route.right == "open" else place.token)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return headers


@stream_request_body
class Forwarded(_Forwarding):
    """A request that the other server answers."""

    _stream: IOStream | None = None

    async def admitted(self) -> None:
        self._stream = await self.attached.connect()
        self._connection = HTTP1Connection(self._stream, is_client=True, params=PARAMETERS)
        start = RequestStartLine(self.request.method or "", self.target(), "HTTP/1.1")
        # Not awaited, nor is what follows: a refusal is met when reading.
        self._connection.write_headers(start, self.passed_on())

    async def body_received(self, chunk: bytes) -> None:
        try:
            await self._connection.write(chunk)
        except StreamClosedError:
            # It has answered already, and does not want the rest.
            return

    async def serve(self) -> None:
        assert self._stream is not None
        exchange = Exchange(self._begin, self._pass_back)
        try:
            if not self._stream.closed():
                self._connection.finish()
            await self._connection.read_response(exchange)
        except StreamClosedError:
            pass
        finally:
            self._stream.close()
        if not exchange.has_headers:
            raise Unavailable(
                f"The Coflux server at {self.attached.place().url} ended during the request; send"
                " it again."
            )
        if not exchange.is_complete:
            # The answer has begun: a broken connection is the only honest end of it.
            self._abandon()
        elif self._is_refused:
            raise _refused(self.attached)
        elif not self._finished:
            self.finish()

    #: The other server does not take the token that we have for it.
    _is_refused = False

    def _begin(self, status: int, reason: str, headers: HTTPHeaders) -> None:
        if status == 401 and own_token(self) is None:
            # It would tell the browser that its own sign-in was wrong.
            self._is_refused = True
            return
        self.set_status(status, reason)
        self.clear_header("Content-Type")
        for name, value in headers.get_all():
            if name.lower() not in _NOT_PASSED_BACK:
                self.set_header(name, value)

    async def _pass_back(self, chunk: bytes) -> None:
        if not self._is_refused:
            self.write(chunk)
            await self.flush()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self._stream is not None:
            self._stream.close()

    def _abandon(self) -> None:
        self.break_off()


class Joined(_Forwarding):
    """A WebSocket of the other server: the caller is checked, then bytes flow both ways."""

    async def serve(self) -> None:
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise HTTPError(426)
        head = self._head()
        upstream = await self.attached.connect()
        client = self.detach()
        client.set_nodelay(True)
        try:
            await upstream.write(head)
        except StreamClosedError:
            client.close()
            return
        await splice(client, upstream)

    def _head(self) -> bytes:
        headers = self.passed_on()
        headers["Connection"] = "Upgrade"
        headers["Upgrade"] = "websocket"
        lines = [f"GET {self.target()} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.get_all()]
        return "\r\n".join([*lines, "", ""]).encode("latin1")


async def take_token(token: str) -> Identity | None:
    """Whose token it is, the other server knows; here it opens nothing but what is passed on."""
    return Identity("T0", "", ())


def _refused(attached: Attached) -> Unavailable:
    return Unavailable(
        f"The Coflux server at {attached.place().url} does not accept the token that this Jupyter"
        " server has for it; set CofluxApp.server_token to one that is in force."
    )


def forward(
    attached: Attached, prefix: str, authenticator: JupyterAuthenticator
) -> list[URLSpec]:  # fmt: skip
    """URL specifications of everything below `prefix`."""
    base = "/" + prefix.strip("/") + "/"
    start = re.escape(base.rstrip("/"))
    common = {"gateway": _NO_GATEWAY, "authenticator": authenticator}
    page = {**common, "base": base}

    def spec(pattern: str, handler: type[RequestHandler], arguments: dict[str, Any]) -> URLSpec:
        return URLSpec(start + pattern, based(handler, JupyterHandler), arguments)

    return [
        widget_script(_NO_GATEWAY, prefix, authenticator),
        *(
            spec(
                PREFIX + to_regex(pattern),
                _handler(routes),
                {"attached": attached, "authenticator": authenticator, "routes": routes},
            )
            for pattern, routes in by_pattern(ROUTES).items()
        ),
        spec(r"/static/(.+)", Static, page),
        spec(rf"/(?:(?:{'|'.join(PLACES)})(?:/.*)?)?", Page, page),
        spec(r"/.*", Unknown, common),
    ]


def _handler(routes: dict[str, Route]) -> type[RouteHandler]:
    is_socket = any(route.kind == "websocket" for route in routes.values())
    return Joined if is_socket else Forwarded

"""What every handler of the API has in common: who asks, what may be sent, how errors look.

Belongs here: admission in one fixed order and the form of refusals. Does not belong here: what
any single route does.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from types import TracebackType
from typing import Any

import msgspec
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler, stream_request_body

from coflux.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    Refused,
    Unavailable,
)
from coflux.server.answers import Failure, Problem, ProblemCode
from coflux.server.bodies import MAX_BODY
from coflux.server.core.submission import nearest
from coflux.server.gateway.auth import (
    Authenticator,
    Unauthenticated,
    check_protocol,
    refuse_query_token,
)
from coflux.server.gateway.gateway import Gateway, Project
from coflux.server.gateway.identity import Identity
from coflux.server.routes import Route
from coflux.wire import PROTOCOL

log = logging.getLogger("coflux.server")

#: A body that is refused is read to its end up to this size, because a client that is still
#: sending would otherwise see a broken connection instead of the reason.
DRAIN = 64 * 1024 * 1024

_CODES: dict[type[Refused], tuple[int, ProblemCode]] = {
    InvalidRequest: (400, "invalid"),
    NotFound: (404, "not_found"),
    Conflict: (409, "conflict"),
    Forbidden: (403, "forbidden"),
    Unavailable: (503, "unavailable"),
}
_STATUS_CODES: dict[int, ProblemCode] = {
    401: "unauthorized", 403: "forbidden", 404: "not_found", 409: "conflict",
}  # fmt: skip


class Handler(RequestHandler):
    """Errors as JSON, no caching, no sniffing."""

    def initialize(self, gateway: Gateway, authenticator: Authenticator, **more: Any) -> None:
        """Called by Tornado with the arguments of the URL specification."""
        self.gateway = gateway
        self.authenticator = authenticator

    def set_default_headers(self) -> None:
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")

    def check_xsrf_cookie(self) -> None:
        """Origin, checked by the authenticator, says whether a page of ours sent the request."""

    def break_off(self) -> None:
        """Cut the connection: a response that has begun cannot become a refusal any more."""
        # Tornado's server always gives a connection over a stream; its types allow for others.
        stream = self.request.connection.stream  # type: ignore[union-attr]
        if stream is not None:
            stream.close()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        status, problem = describe(error, status_code)
        self.set_status(status)
        if status == 401:
            self.set_header("WWW-Authenticate", 'Bearer realm="coflux"')
        if status == 503:
            self.set_header("Retry-After", "1")
        self.answer(Failure(error=problem))

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if not isinstance(value, Refused | Unauthenticated | HTTPError | StreamClosedError):
            log.error("%s %s", self.request.method, self.request.path, exc_info=value)

    def answer(self, content: Any) -> None:
        """Finish with JSON."""
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(content))


def describe(error: BaseException | None, status: int) -> tuple[int, Problem]:
    """Status and body for what went wrong."""
    if isinstance(error, Refused):
        for kind, (number, code) in _CODES.items():
            if isinstance(error, kind):
                field = error.fields.get("field")
                return number, Problem(code=code, message=str(error), field=field)
    if isinstance(error, Unauthenticated):
        return 401, Problem(code="unauthorized", message=str(error))
    if isinstance(error, HTTPError):
        status = error.status_code
    if status >= 500:
        return status, Problem(code="internal", message="The server failed; see its log.")
    code = _STATUS_CODES.get(status, "invalid")
    message = f"{HTTPStatus(status).phrase}."
    return status, Problem(code=code, message=message)


class Unknown(Handler):
    """Any path of the API that is no route: the same answer with and without a token."""

    def prepare(self) -> None:
        self.authenticator.check_source(self)
        raise NotFound(f"There is no route {self.request.path}.")


@stream_request_body
class RouteHandler(Handler):
    """A request for a route of the list, admitted or refused before its body is looked at.

    `routes` are the routes that share a path, by method.
    """

    #: Most bytes of body.
    max_body = MAX_BODY
    route: Route
    identity: Identity

    def initialize(  # type: ignore[override]  # what the rules of its routes pass
        self, gateway: Gateway, authenticator: Authenticator, routes: dict[str, Route]
    ) -> None:
        super().initialize(gateway, authenticator)
        self._routes = routes
        self._refusal: Exception | None = None
        self._received = 0

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if status_code == 405:
            self.set_header("Allow", ", ".join(self._routes))
        super().write_error(status_code, **kwargs)

    async def prepare(self) -> None:
        header = self.request.headers.get("Content-Length", "0")
        # Tornado refuses what is no number, after this.
        length = int(header) if header.isascii() and header.isdigit() else 0
        # See `break_off` for the type.
        self.request.connection.set_max_body_size(self.max_body + DRAIN)  # type: ignore[union-attr]
        try:
            await self._admit()
            self._check_length(length)
            await self.admitted()
        except (Refused, Unauthenticated, HTTPError) as refusal:
            if length == 0 and "Transfer-Encoding" not in self.request.headers:
                raise
            if "Expect" in self.request.headers or length > self.max_body + DRAIN:
                raise
            self._refusal = refusal

    async def _admit(self) -> None:
        self.authenticator.check_source(self)
        route = self._routes.get(self.request.method or "")
        if route is None:
            raise HTTPError(405)
        self.route = route
        check_protocol(self.request, PROTOCOL)
        refuse_query_token(self.request)
        if route.right == "open":
            return
        self.identity = await self.authenticator.authenticate(self)
        self._check_right(route)

    def _check_right(self, route: Route) -> None:
        if "project" not in self.path_kwargs:
            if route.right == "admin" and not self.identity.may_everywhere("admin"):
                raise Forbidden("This needs a token with the admin right over all projects.")
            return
        name = self.path_kwargs["project"]
        self.principal = self.identity.principal(name)
        if not self.principal.scopes:
            # The same answer whether it exists or not (ID-4, AS-6).
            raise self._no_project(name)
        try:
            self.project: Project = self.gateway.project(name)
        except NotFound:
            raise self._no_project(name) from None
        assert route.right != "open"
        if not self.principal.may_somewhere(route.right):
            raise Forbidden(f"This needs a token with the {route.right} right in {name!r}.")

    def _no_project(self, name: str) -> NotFound:
        """Names the nearest of those that the caller may know of."""
        projects = self.gateway.accounts.projects()
        visible = [each for each in projects if self.identity.principal(each).scopes]
        return NotFound(f"There is no project {name!r}{nearest(name, visible) or '.'}")

    async def admitted(self) -> None:
        """What a kind of handler does before the body comes; may refuse."""

    def _check_length(self, length: int) -> None:
        if length > self.max_body:
            raise InvalidRequest(
                f"The body has {length} bytes or more, above the limit of {self.max_body}."
            )

    async def data_received(self, chunk: bytes) -> None:
        if self._refusal is not None:
            return
        self._received += len(chunk)
        try:
            self._check_length(self._received)
            await self.body_received(chunk)
        except Refused as refusal:
            self._refusal = refusal

    async def body_received(self, chunk: bytes) -> None:
        """Take a piece of the body; may refuse."""

    async def _serve(self, **parameters: str) -> None:
        if self._refusal is not None:
            raise self._refusal
        await self.serve()

    async def serve(self) -> None:
        """Answer; the body has come."""
        raise NotImplementedError

    get = head = post = put = patch = delete = _serve


@stream_request_body
class JsonHandler(RouteHandler):
    """A route with a small body, kept in memory."""

    def initialize(  # type: ignore[override]  # what the rules of its routes pass
        self, gateway: Gateway, authenticator: Authenticator, routes: dict[str, Route]
    ) -> None:
        super().initialize(gateway, authenticator, routes)
        self.content = bytearray()

    async def body_received(self, chunk: bytes) -> None:
        self.content += chunk

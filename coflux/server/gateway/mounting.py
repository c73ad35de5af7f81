"""The gateway's routes as a list that a Tornado application serves under a prefix.

Belongs here: from the list of routes to URL specifications. A gateway route without a handler
fails here, at start.
"""

from __future__ import annotations

import re
from typing import Any

from tornado.routing import URLSpec
from tornado.web import RequestHandler

from coflux.server.gateway.auth import Authenticator
from coflux.server.gateway.backup_handler import BackupHandler
from coflux.server.gateway.blob_handler import BlobHandler
from coflux.server.gateway.gateway import Gateway
from coflux.server.gateway.handler import RouteHandler, Unknown
from coflux.server.gateway.operations import OPERATIONS, Operation
from coflux.server.gateway.pages import PLACES, Page, Static
from coflux.server.gateway.proxy import Proxied, Spliced
from coflux.server.routes import PREFIX, ROUTES, Route, by_pattern, to_regex


def mount(
    gateway: Gateway,
    prefix: str,
    authenticator: Authenticator,
    base_class: type[RequestHandler] | None = None,
) -> list[URLSpec]:
    """URL specifications of everything the gateway serves.

    `prefix` is a path such as `/` or `/user/x/coflux/`; `authenticator` says who asks;
    `base_class` is mixed into every handler, for applications whose own handlers carry state that
    their authenticator needs.
    """
    base = "/" + prefix.strip("/") + "/" if prefix.strip("/") else "/"
    start = re.escape(base.rstrip("/"))
    common: dict[str, Any] = {"gateway": gateway, "authenticator": authenticator}
    page: dict[str, Any] = {**common, "base": base}

    def spec(pattern: str, handler: type[RequestHandler], arguments: dict[str, Any]) -> URLSpec:
        return URLSpec(start + pattern, based(handler, base_class), arguments)

    return [
        *(
            spec(PREFIX + to_regex(pattern), _handler(routes), {**common, "routes": routes})
            for pattern, routes in by_pattern(ROUTES).items()
        ),
        spec(r"/static/(.+)", Static, page),
        spec(rf"/(?:(?:{'|'.join(PLACES)})(?:/.*)?)?", Page, page),
        spec(r"/.*", Unknown, common),
    ]


_STREAMS: dict[str, type[RouteHandler]] = {
    "get_blob": BlobHandler,
    "check_blob": BlobHandler,
    "put_blob": BlobHandler,
    "backup": BackupHandler,
}


def _handler(routes: dict[str, Route]) -> type[RouteHandler]:
    (handler,) = {_handler_of(route) for route in routes.values()}
    return handler


def _handler_of(route: Route) -> type[RouteHandler]:
    if route.served_by == "project":
        return Spliced if route.kind == "websocket" else Proxied
    if route.name in OPERATIONS:
        return Operation
    return _STREAMS[route.name]


def based(handler: type[RequestHandler], base: type[RequestHandler] | None) -> Any:
    """The handler with the application's own class mixed in, if there is one."""
    if base is None:
        return handler
    return type(handler.__name__, (handler, base), {"__module__": handler.__module__})

"""The project's HTTP API: routes to operations, bodies and answers as JSON.

Belongs here: HTTP. The routes are those of `coflux.server.routes`; the gateway has authenticated
the caller and names it in a header, which only a process of the same user can send. Does not belong
here: what an operation does.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from tornado.web import RequestHandler

from coflux.errors import (
    CofluxError,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    Refused,
    Unavailable,
)
from coflux.server.access import LOCAL_HEADER, PRINCIPAL_HEADER, Principal, decode_principal
from coflux.server.bodies import ActivityRequest, BackupRequest, SessionToken, decode_body
from coflux.server.project import operations
from coflux.server.project.agents import AgentHandler
from coflux.server.project.calls import Call, Project, parse_id
from coflux.server.project.topics import TopicsHandler
from coflux.server.query import read_query
from coflux.server.routes import INTERNAL, PROJECT_ROUTES, Route, to_regex

log = logging.getLogger("coflux.project")

_STATUS: tuple[tuple[type[Refused], int, str], ...] = (
    (NotFound, 404, "not_found"),
    (Conflict, 409, "conflict"),
    (Forbidden, 403, "forbidden"),
    (Unavailable, 503, "unavailable"),
    (InvalidRequest, 400, "invalid"),
)

Rule = tuple[str, type[RequestHandler], dict[str, Any]]


class JsonHandler(RequestHandler):
    """Answers with JSON, errors included."""

    project: Project

    def set_default_headers(self) -> None:
        """JSON that nobody keeps."""
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")

    def answer(self, body: Any, status: int = 200) -> None:
        """Send a body."""
        self.set_status(status)
        self.finish(msgspec.json.encode(body))

    def refuse(self, status: int, code: str, message: str, field: str | None = None) -> None:
        """Send an error."""
        error = {"code": code, "message": message}
        if field is not None:
            error["field"] = field
        self.answer({"error": error}, status)

    def principal(self) -> Principal | None:
        """Who the gateway says it is."""
        try:
            return decode_principal(self.request.headers.get(PRINCIPAL_HEADER, ""))
        except msgspec.DecodeError:
            return None

    async def run(self, operation: Callable[[], Awaitable[None]]) -> None:
        """Do something, and answer its refusal or failure."""
        try:
            await operation()
        except Refused as error:
            status, code = next((s, c) for kind, s, c in _STATUS if isinstance(error, kind))
            self.refuse(status, code, str(error), error.fields.get("field"))
        except CofluxError as error:
            self.refuse(400, "invalid", str(error))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Failures of our own say so, without a traceback for the caller."""
        self.refuse(status_code, "internal", "The project's process failed; see its log.")


class ApiHandler(JsonHandler):
    """All operations; `routes` are those of one path, by method."""

    def initialize(self, project: Project, routes: dict[str, Route]) -> None:
        self.project = project
        self.routes = routes

    async def prepare(self) -> None:
        """Find the route, decode, carry out."""
        route = self.routes.get(self.request.method or "")
        principal = self.principal()
        if principal is None:
            self.refuse(401, "unauthorized", "No principal.")
        elif route is None:
            self.refuse(405, "invalid", f"Use {', '.join(self.routes)} here.")
        else:
            await self.run(lambda: self._operate(route, principal))

    async def _operate(self, route: Route, principal: Principal) -> None:
        if route.right != "open" and not principal.may_somewhere(route.right):
            raise Forbidden(f"The token does not give the right to {route.right}.")
        pairs = [
            (name, value.decode("utf-8", "replace"))
            for name, values in self.request.query_arguments.items()
            for value in values
        ]
        query = read_query(route.query, pairs)
        body = decode_body(self.request.body, route.request) if route.request else None
        is_local = self.request.headers.get(LOCAL_HEADER) == "1"
        call = Call(self.project, principal, body, query, dict(self.path_kwargs), is_local)
        if route.name not in operations.WITHOUT_RUN:
            await _fetch_runs(call)
        answer = await operations.OPERATIONS[route.name](call)
        self.answer(answer, call.status or route.status)


async def _fetch_runs(call: Call) -> None:
    """Have the runs that the path and the query name read, if they are not in memory."""
    for text in (*call.path.values(), call.query.get("id"), call.query.get("run")):
        if isinstance(text, str) and text.startswith("R"):
            # What is no id at all is told so by the operation.
            with contextlib.suppress(NotFound):
                await call.orchestrator.fetch(parse_id(text).run)


class InternalHandler(JsonHandler):
    """What only the gateway asks."""

    def initialize(self, project: Project, operation: operations.Operation, body: type) -> None:
        self.project = project
        self.operation = operation
        self.body = body

    async def post(self) -> None:
        """Carry out."""
        await self.run(self._operate)

    async def _operate(self) -> None:
        principal = self.principal() or Principal("gateway", "gateway")
        call = Call(self.project, principal, decode_body(self.request.body, self.body))
        self.answer(await self.operation(call))


class UnknownHandler(JsonHandler):
    """Everything else."""

    def initialize(self) -> None:
        pass

    def prepare(self) -> None:
        """There is nothing here."""
        self.refuse(404, "not_found", f"There is no {self.request.path}.")


def rules(project: Project) -> list[Rule]:
    """Tornado rules for all routes of the project."""
    by_path: dict[str, dict[str, Route]] = {}
    for route in PROJECT_ROUTES:
        if route.kind == "json":
            by_path.setdefault(to_regex(route.project_pattern), {})[route.method] = route
    found: list[Rule] = [
        (path, ApiHandler, {"project": project, "routes": routes})
        for path, routes in sorted(by_path.items(), key=lambda item: "(?P" in item[0])
    ]
    agent = {"orchestrator": project.orchestrator, "project": project.name}
    return [
        (r"/agent", AgentHandler, agent),
        (r"/topics", TopicsHandler, {"project": project}),
        _internal(project, "/authenticate", operations.authenticate, SessionToken),
        _internal(project, "/backup", operations.back_up, BackupRequest),
        _internal(project, "/activity", operations.activity, ActivityRequest),
        *found,
    ]


def _internal(project: Project, path: str, operation: operations.Operation, body: type) -> Rule:
    arguments = {"project": project, "operation": operation, "body": body}
    return (INTERNAL + path, InternalHandler, arguments)

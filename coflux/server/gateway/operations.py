"""The gateway's own JSON operations: version, projects, tokens.

Belongs here: one function for each such route, by the route's name. Does not belong here: routes
that a project process serves, blobs and backups.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from coflux.errors import NotFound
from coflux.server import answers, bodies
from coflux.server.gateway.handler import JsonHandler
from coflux.server.gateway.openapi import document
from coflux.wire import PROTOCOL


class Operation(JsonHandler):
    """A route that is answered by the function of the same name."""

    async def serve(self) -> None:
        content = OPERATIONS[self.route.name](self)
        self.set_status(self.route.status)
        self.answer(content)


def installed_version() -> str:
    """Version of this software."""
    try:
        return version("coflux-jupyter")
    except PackageNotFoundError:
        return "unknown"


def _health(request: Operation) -> Any:
    return answers.Health(status="ok")


def _version(request: Operation) -> Any:
    return answers.Version(version=installed_version(), protocol=PROTOCOL)


def _openapi(request: Operation) -> Any:
    base = request.request.path.removesuffix("/openapi.json")
    return document(base, installed_version())


def _list_projects(request: Operation) -> Any:
    gateway = request.gateway
    return [
        gateway.state(name)
        for name in gateway.accounts.projects()
        if request.identity.principal(name).scopes
    ]


def _create_project(request: Operation) -> Any:
    body = bodies.decode_body(bytes(request.content), bodies.NewProject)
    request.gateway.accounts.create_project(body.name)
    return request.gateway.state(body.name)


def _list_tokens(request: Operation) -> Any:
    rows = request.gateway.accounts.list_tokens(request.principal, request.project.name)
    return [answers.TokenInfo(**row) for row in rows]


def _create_token(request: Operation) -> Any:
    body = bodies.decode_body(bytes(request.content), bodies.NewToken)
    id, token = request.gateway.accounts.create_token(
        request.principal,
        request.project.name,
        body.name,
        body.right,
        body.environment,
        body.expires_ms,
        body.tags,
    )
    return answers.TokenCreated(id=id, token=token)


def _revoke_token(request: Operation) -> Any:
    id = request.path_kwargs["id"]
    if not id.isascii():
        raise NotFound(f"There is no token {id!r}.")
    request.gateway.accounts.revoke_token(request.principal, request.project.name, id)
    return answers.Done(ok=True)


OPERATIONS: dict[str, Callable[[Operation], Any]] = {
    "health": _health,
    "version": _version,
    "openapi": _openapi,
    "list_projects": _list_projects,
    "create_project": _create_project,
    "list_tokens": _list_tokens,
    "create_token": _create_token,
    "revoke_token": _revoke_token,
}

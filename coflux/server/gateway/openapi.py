"""The OpenAPI document, generated from the list of routes.

Belongs here: the translation of `Route` into OpenAPI 3.1. Nothing about a single route is said
here.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from coflux.server.answers import Failure
from coflux.server.query import Parameter
from coflux.server.routes import ROUTES, Route

_REF = "#/components/schemas/{name}"
_KINDS = {
    "stream": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    "websocket": {},
}


def document(base: str, version: str) -> dict[str, Any]:
    """The whole document; `base` is the path that all routes begin with."""
    types = [type for route in ROUTES for type in (route.request, route.response) if type]
    schemas, components = msgspec.json.schema_components([*types, Failure], ref_template=_REF)
    known = dict(zip(map(repr, [*types, Failure]), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.pattern, {})[route.method.lower()] = _operation(route, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Coflux", "version": version},
        "servers": [{"url": base}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "x-coflux-right": route.right,
        "parameters": [
            *(_path_parameter(name) for name in re.findall(r"\{(\w+)\}", route.pattern)),
            *(_query_parameter(parameter) for parameter in route.query),
        ],
        "responses": {
            str(101 if route.kind == "websocket" else route.status): _response(route, schemas),
            "default": {
                "description": "Refused; `error` says why.",
                "content": {"application/json": {"schema": schemas[repr(Failure)]}},
            },
        },
    }
    if route.right == "open":
        operation["security"] = []
    if route.request is not None:
        content = {"application/json": {"schema": schemas[repr(route.request)]}}
        operation["requestBody"] = {"required": True, "content": content}
    elif route.kind == "stream" and route.method == "PUT":
        operation["requestBody"] = {"required": True, "content": _KINDS["stream"]}
    return operation


def _response(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    if route.response is not None:
        content: Any = {"application/json": {"schema": schemas[repr(route.response)]}}
    elif route.method in ("PUT", "HEAD"):
        content = {}
    else:
        content = _KINDS[route.kind]
    return {"description": route.summary, "content": content}


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameter(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": parameter.type}
    if parameter.type == "integer":
        schema["minimum"] = parameter.minimum
    if parameter.maximum is not None:
        schema["maximum"] = parameter.maximum
    if parameter.default is not None:
        schema["default"] = parameter.default
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.summary,
        "schema": schema,
    }

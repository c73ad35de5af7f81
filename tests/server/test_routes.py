"""The list of routes, what is generated from it, and the decoding of bodies and queries."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from gateway_harness import API, Server

from coflux.errors import InvalidRequest
from coflux.server.access import (
    PRINCIPAL_HEADER,
    RIGHTS,
    Principal,
    Scope,
    decode_principal,
    encode_principal,
)
from coflux.server.bodies import NewRun, decode_body
from coflux.server.gateway.mounting import _handler_of
from coflux.server.gateway.openapi import document
from coflux.server.query import Parameter, read_query
from coflux.server.routes import GATEWAY, PROJECT_ROUTES, ROUTES, by_pattern, to_regex

PUBLIC = {"health", "version", "openapi"}


def test_every_route_declares_a_right_and_only_three_are_open_AU_2() -> None:
    for route in ROUTES:
        assert route.right in (*RIGHTS, "open")
        assert (route.right == "open") == (route.name in PUBLIC)


def test_names_and_paths_are_unique() -> None:
    assert len({route.name for route in ROUTES}) == len(ROUTES)
    assert len({(route.method, route.pattern) for route in ROUTES}) == len(ROUTES)


def test_every_gateway_route_has_a_handler() -> None:
    for route in GATEWAY:
        assert _handler_of(route)
    for route in PROJECT_ROUTES:
        assert route.pattern.startswith("/projects/{project}/")


def test_every_path_leads_to_its_own_routes() -> None:
    grouped = by_pattern(ROUTES)
    for pattern in grouped:
        path = re.sub(r"\{\w+\}", "x:1", pattern)
        first = next(other for other in grouped if re.match(to_regex(other), path))
        assert first == pattern


def test_json_routes_declare_what_they_answer() -> None:
    for route in ROUTES:
        assert (route.kind == "json") == (route.response is not None)
        if route.method in ("GET", "HEAD", "DELETE"):
            assert route.request is None


# --- OpenAPI -----------------------------------------------------------------------------------


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(references(value) for value in node))
    return set()


def test_the_document_has_every_route_with_its_right() -> None:
    generated = document("/api/v1", "1.0")
    found = {
        (path, method.upper()): operation
        for path, operations in generated["paths"].items()
        for method, operation in operations.items()
    }
    assert set(found) == {(route.pattern, route.method) for route in ROUTES}
    for route in ROUTES:
        operation = found[route.pattern, route.method]
        assert operation["x-coflux-right"] == route.right
        assert operation["operationId"] == route.name
        assert ("security" in operation) == (route.right == "open")


def test_all_references_in_the_document_lead_somewhere() -> None:
    generated = document("/api/v1", "1.0")
    names = {f"#/components/schemas/{name}" for name in generated["components"]["schemas"]}
    assert references(generated) <= names
    assert msgspec.json.encode(generated)


def test_the_document_is_served_without_a_token(server: Server) -> None:
    answer = server.call("GET", f"{API}/openapi.json", token=None)
    assert answer.status == 200
    assert answer.json["openapi"].startswith("3.1")


# --- bodies and queries ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"target": 1}', "target"),
        (b'{"options": {"delay_ms": "x"}}', "options.delay_ms"),
        (b'{"options": {"colour": 1}}', "options.colour"),
        (b'{"colour": 1}', "colour"),
        (b'{"options": {"requires": {"a": [1]}}}', "options.requires[...][0]"),
        (b"[]", None),
        (b"{", None),
        (b"", "environment"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_with_the_fields_path_LI_1(
    body: bytes, field: str | None
) -> None:
    if body == b"":
        assert decode_body(body, NewRun).target is None
        return
    with pytest.raises(InvalidRequest) as caught:
        decode_body(body, NewRun)
    assert caught.value.fields.get("field") == field


PARAMETERS = (
    Parameter("name", ""),
    Parameter("limit", "", "integer", 10, maximum=100, minimum=1),
    Parameter("flag", "", "boolean", False),
    Parameter("level", "", choices=("a", "b")),
)


def test_queries_are_read_with_their_types_and_defaults() -> None:
    given = [("name", "x"), ("limit", "7"), ("flag", "1")]
    assert read_query(PARAMETERS, given) == {"name": "x", "limit": 7, "flag": True, "level": None}
    assert read_query(PARAMETERS, []) == {"name": None, "limit": 10, "flag": False, "level": None}


@pytest.mark.parametrize(
    "given",
    [
        [("colour", "x")],
        [("limit", "-1")],
        [("limit", "0")],
        [("limit", "1e3")],
        [("limit", "101")],
        [("limit", "٣")],
        [("flag", "maybe")],
        [("level", "c")],
        [("name", "a"), ("name", "b")],
    ],
)
def test_queries_that_do_not_fit_are_refused_by_name_LI_1(given: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_query(PARAMETERS, given)
    assert caught.value.fields["field"] == given[0][0]
    with pytest.raises(InvalidRequest):
        read_query([Parameter("id", "", required=True)], [])


def test_a_principal_survives_its_header() -> None:
    assert PRINCIPAL_HEADER.isascii()
    for name in ("Anna", "Ännä 😀", 'quote" and \\ backslash', "line\nbreak"):
        principal = Principal(name, "T1", (Scope("dev/*", "run"),))
        header = encode_principal(principal)
        assert header.isascii()
        assert "\n" not in header
        assert decode_principal(header) == principal

"""Requests that a project's process serves: passed on, isolated, and refused while it is dead."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import threading
from typing import Any

import pytest
from gateway_harness import API, P, Peer, Server, connected, eventually
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect


def test_a_request_reaches_the_project_with_its_principal_and_without_its_credentials(
    server: Server,
) -> None:
    answer = server.call(
        "POST", f"{P}/runs?x=1", {"target": "a/b"}, headers={
            "Cookie": "secret=1", "X-Coflux-Principal": "forged", "X-Coflux-Local": "forged",
            "X-Other": "kept",
        },
    )  # fmt: skip
    seen = answer.json
    assert answer.status == 200
    assert seen["uri"] == "/runs?x=1"
    assert json.loads(seen["body"]) == {"target": "a/b"}
    names = {name.lower() for name in seen["headers"]}
    assert not names & {"authorization", "cookie"}
    assert seen["headers"]["X-Other"] == "kept"
    assert seen["headers"]["X-Coflux-Local"] == "1"
    principal = json.loads(seen["headers"]["X-Coflux-Principal"])
    assert principal["scopes"] == [{"environment": "*", "right": "admin"}]


def test_the_principal_has_only_the_scopes_of_the_project_asked(server: Server) -> None:
    server.call("POST", f"{API}/projects", {"name": "other"})
    token = server.create_token("run", environment="dev/*")
    seen = server.call("GET", f"{P}/runs", token=token).json
    principal = json.loads(seen["headers"]["X-Coflux-Principal"])
    assert principal["name"] == "run"
    assert principal["scopes"] == [{"environment": "dev/*", "right": "run"}]


def test_refusals_of_the_project_pass_unchanged(server: Server) -> None:
    answer = server.call("GET", f"{P}/runs?before=conflict")
    assert (answer.status, answer.json) == (
        409,
        {"error": {"code": "conflict", "message": "no"}},
    )


def test_large_answers_are_streamed(server: Server) -> None:
    answer = server.call("GET", f"{P}/runs?before=big")
    assert len(answer.body) == 64_000_000


def test_bodies_above_the_limit_are_refused_naming_limit_and_size_LI_3(server: Server) -> None:
    answer = server.call("POST", f"{P}/runs", b" " * (8 * 1024 * 1024 + 1))
    assert (answer.status, answer.code) == (400, "invalid")
    assert "8388609" in answer.message
    assert "8388608" in answer.message


def test_chunked_bodies_above_the_limit_are_refused_LI_3(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    pieces = (b" " * 1_000_000 for _ in range(9))
    headers = {"Authorization": f"Bearer {server.token}"}
    connection.request("POST", f"{P}/runs", pieces, headers, encode_chunked=True)
    response = connection.getresponse()
    assert response.status == 400
    assert b"8388608" in response.read()
    connection.close()


def test_internal_routes_are_not_reachable_from_outside(server: Server) -> None:
    for path in ("/internal/authenticate", "/internal/backup", "/x/../internal/backup"):
        assert server.call("POST", f"{P}{path}", {}).status == 404


# --- processes that die ------------------------------------------------------------------------


def test_a_request_in_flight_when_the_process_dies_is_told_to_come_again(server: Server) -> None:
    answer = server.call("GET", f"{P}/runs?before=die")
    assert (answer.status, answer.code) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "1"


def test_a_killed_process_is_replaced_and_the_next_request_served(server: Server) -> None:
    first = server.call("GET", f"{P}/runs").json["pid"]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: server.pid() != first)
    assert server.call("GET", f"{P}/runs").json["pid"] != first


def test_kept_connections_to_a_dead_process_are_not_used_again(server: Server) -> None:
    for _ in range(2):
        pid = server.call("GET", f"{P}/runs").json["pid"]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: server.pid() not in (pid, None))  # type: ignore[misc]
        assert server.call("GET", f"{P}/runs").status == 200


def test_an_answer_cut_short_breaks_the_connection_instead_of_looking_whole(
    server: Server,
) -> None:
    with pytest.raises(http.client.IncompleteRead):
        server.call("GET", f"{P}/runs?before=half")


def test_three_deaths_in_a_minute_mark_the_project_as_failed_with_the_reason(
    server: Server,
) -> None:
    server.call("GET", f"{P}/runs")
    for _ in range(3):
        pid = eventually(lambda: server.pid())
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: server.pid() != pid)  # type: ignore[misc]
    state = eventually(
        lambda: next(
            (p for p in server.call("GET", f"{API}/projects").json if p["state"] == "failed"), None
        )
    )
    assert "SIGKILL" in state["reason"]
    answer = server.call("GET", f"{P}/runs")
    assert (answer.status, answer.code) == (503, "unavailable")
    assert "SIGKILL" in answer.message


def test_a_process_that_cannot_start_says_why(server: Server) -> None:
    server.call("POST", f"{API}/projects", {"name": "other"})
    directory = server.running.gateway.project("other").directory
    directory.mkdir(parents=True)
    (directory / "refuse").touch()
    answer = server.call("GET", f"{API}/projects/other/runs")
    assert answer.status == 503
    assert "the store is broken" in answer.message


def test_the_death_of_one_project_is_not_felt_in_another_EN_1(server: Server) -> None:
    server.call("POST", f"{API}/projects", {"name": "other"})
    other = f"{API}/projects/other/runs"
    pid = server.call("GET", other).json["pid"]
    server.call("GET", f"{P}/runs?before=die")
    seen = server.call("GET", other).json
    assert (seen["pid"], seen["project"]) == (pid, "other")


def test_a_client_that_leaves_ends_its_request_to_the_project(server: Server) -> None:
    server.call("GET", f"{P}/runs")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"Authorization": f"Bearer {server.token}"}
    connection.request("GET", f"{P}/runs?before=hang", headers=headers)
    live = server.running.gateway.live
    eventually(lambda: len(live._open) == 1)
    connection.close()
    eventually(lambda: len(live._open) == 0)


# --- WebSockets --------------------------------------------------------------------------------


async def greeting(peer: Peer) -> Any:
    message = await peer.read()
    assert isinstance(message, str)
    return json.loads(message)


def test_a_websocket_is_spliced_with_its_principal(server: Server) -> None:
    async def scenario() -> None:
        async with connected(server, "/topics?a=b") as peer:
            seen = await greeting(peer)
            assert seen["uri"] == "/topics?a=b"
            assert "Authorization" not in seen["headers"]
            assert json.loads(seen["headers"]["X-Coflux-Principal"])["scopes"]
            await peer.write("text")
            assert await peer.read() == "text"
            piece = os.urandom(5_000_000)
            await peer.write(piece)
            assert await peer.read() == piece

    asyncio.run(scenario())


def test_a_websocket_ends_with_its_process(server: Server) -> None:
    async def scenario() -> None:
        async with connected(server, "/agent") as peer:
            await greeting(peer)
            await peer.write("die")
            assert await peer.read() is None

    asyncio.run(scenario())


def test_a_process_learns_that_the_client_of_a_websocket_has_gone(server: Server) -> None:
    async def scenario() -> None:
        async with connected(server, "/agent") as peer:
            await greeting(peer)
            assert server.running.gateway.live._open

    asyncio.run(scenario())
    eventually(lambda: not server.running.gateway.live._open)


def test_a_websocket_without_the_right_is_refused_before_the_upgrade(server: Server) -> None:
    async def scenario() -> None:
        token = server.create_token("read")
        for path, headers, status in (
            ("/agent", {"Authorization": f"Bearer {token}"}, 403),
            ("/topics", {}, 401),
            ("/topics", {"Authorization": f"Bearer {token}", "Origin": "http://evil"}, 403),
            ("/topics", {"Authorization": f"Bearer {token}", "Host": "evil"}, 403),
        ):
            request = HTTPRequest(server.websocket_url(P + path), headers=headers)
            with pytest.raises(HTTPClientError) as caught:
                await websocket_connect(request)
            assert caught.value.code == status

    asyncio.run(scenario())


def test_a_websocket_route_without_upgrade_says_so(server: Server) -> None:
    assert server.call("GET", f"{P}/topics").status == 426


def test_many_requests_at_once_share_the_connections(server: Server) -> None:
    answers: list[int] = []

    def ask() -> None:
        for _ in range(20):
            answers.append(server.call("GET", f"{P}/runs").status)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [200] * 160

"""The gateway's routes inside another Tornado application, under a prefix, with its own sign-in."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

from gateway_harness import FAKE
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import websocket_connect

from coflux.server.gateway.auth import Unauthenticated
from coflux.server.gateway.identity import Grant, Identity
from coflux.server.gateway.mounting import mount
from coflux.server.main import open_gateway

PREFIX = "/user/anna/coflux"


class HostHandler(RequestHandler):
    """What the other application's handlers have in common."""

    def user_name(self) -> str | None:
        return self.request.headers.get("X-User")


class HostAuthenticator:
    """The other application knows its users."""

    def check_source(self, handler: RequestHandler) -> None:
        """It has checked already."""

    async def authenticate(self, handler: RequestHandler) -> Identity:
        assert isinstance(handler, HostHandler)
        name = handler.user_name()
        if name is None:
            raise Unauthenticated("Sign in.")
        return Identity("T0", name, (Grant("*", "*", "admin"),))

    def sign_in(self, handler: RequestHandler, token: str) -> None:
        raise Unauthenticated("Sign in elsewhere.")


class Own(HostHandler):
    def get(self) -> None:
        self.write("the other application's page")


async def ask(port: int, path: str, **headers: str) -> HTTPResponse:
    request = HTTPRequest(f"http://127.0.0.1:{port}{path}", headers=headers)
    return await AsyncHTTPClient().fetch(request, raise_error=False)


async def walk(data_dir: Path) -> None:
    with contextlib.ExitStack() as cleanup:
        gateway, announce = open_gateway(data_dir, FAKE, cleanup)
        application = Application([("/own", Own)], xsrf_cookies=True)
        application.add_handlers(
            ".*", list(mount(gateway, PREFIX, HostAuthenticator(), HostHandler))
        )
        http = HTTPServer(application)
        sockets = bind_sockets(0, "127.0.0.1")
        http.add_sockets(sockets)
        port = sockets[0].getsockname()[1]
        announce(f"http://127.0.0.1:{port}{PREFIX}/")
        gateway.start()
        try:
            await visit(port)
        finally:
            http.stop()
            await gateway.stop()
            await http.close_all_connections()


async def visit(port: int) -> None:
    runs = f"{PREFIX}/api/v1/projects/default/runs"
    assert (await ask(port, runs)).code == 401
    seen = json.loads((await ask(port, runs, **{"X-User": "anna"})).body)
    assert seen["uri"] == "/runs"
    assert json.loads(seen["headers"]["X-Coflux-Principal"])["name"] == "anna"
    page = await ask(port, f"{PREFIX}/", **{"X-User": "anna"})
    assert f'<base href="{PREFIX}/">'.encode() in page.body
    assert (await ask(port, "/own")).body == b"the other application's page"
    assert (await ask(port, f"{PREFIX}/api/v1/nope")).code == 404
    posted = HTTPRequest(
        f"http://127.0.0.1:{port}{runs}", "POST", {"X-User": "anna"}, body=b'{"target": "a/b"}'
    )
    assert (await AsyncHTTPClient().fetch(posted)).code == 200
    url = f"ws://127.0.0.1:{port}{PREFIX}/api/v1/projects/default/topics"
    connection = await websocket_connect(HTTPRequest(url, headers={"X-User": "anna"}))
    assert json.loads(str(await connection.read_message()))["uri"] == "/topics"
    connection.close()
    assert await connection.read_message() is None


def test_routes_are_served_under_a_prefix_with_the_hosts_authentication(tmp_path: Path) -> None:
    asyncio.run(walk(tmp_path / "data"))
